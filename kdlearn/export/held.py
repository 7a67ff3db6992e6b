"""An ONNX file, run on rows and held to the model's own answers in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdlearn.export.check import TOLERANCE, ExportError, distance, exactly
from kdlearn.export.onnx_int8 import extra
from kdlearn.export.plan import Plan
from kdlearn.export.transformers import NotPlain, gaps_of, transformed


def numbers_of(steps: Plan, X: Any) -> np.ndarray:
    """Raw rows (N, C) of a preprocessing that is not plain, float64: those that are not refused."""
    chain, names = steps.parts.chain
    try:
        x = np.asarray(X[list(names)] if hasattr(X, "columns") else X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NotPlain(f"{steps.parts.reason}; what is not plain goes into ONNX of numbers alone: {error}") from None
    if x.ndim != 2 or x.shape[1] != len(names):
        raise ValueError(f"rows of {len(names)} columns are needed, got shape {x.shape}")
    taken = (np.isfinite(x) | (np.isnan(x) & gaps_of(chain, names))).all(axis=1)
    if not taken.any():
        raise ExportError("none of the rows that were given is one that the model takes")
    return x[taken]


def stretched(x: np.ndarray) -> np.ndarray:
    """Rows (N, C), and the same ones three times as far from their mean: bounds and clips show there."""
    with np.errstate(all="ignore"):
        mean = np.nan_to_num(np.nansum(x, axis=0) / np.isfinite(x).sum(axis=0))
    return np.concatenate([x, mean + 3 * (x - mean)])


def answers_of(steps: Plan, x: np.ndarray) -> np.ndarray:
    """Outputs (N, K) in float64, of rows (N, C) as `Encoding.codes` or `numbers_of` reads them."""
    if steps.encoding is None and not steps.takes_tokens:
        x = transformed(*steps.parts.chain, x)
    return exactly(steps).answer(x, np.float64)


def off(data: bytes, steps: Plan, feed: dict[str, np.ndarray], want: np.ndarray) -> float:
    """How far at most the answers of a file's content lie from `want` (N, K), of a probability or a deviation."""
    runtime = extra("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (got,) = session.run(["prediction" if steps.classes is None else "logits"], feed)
    return float(distance(steps, want, got.astype(np.float64)).max())


def refuse(steps: Plan, worst: float) -> None:
    """ExportError, if that is too far."""
    if worst <= TOLERANCE:
        return
    what = "probability" if steps.classes is not None else "standard deviation of the target"
    why = steps.parts.reason.partition(";")[0] or "an encoder or an imputer"
    raise ExportError(
        f"the file answers otherwise than the model, by {worst:.2g} of a {what}: float32 has too few digits for its "
        f"columns, or skl2onnx writes another preprocessing than the model's ({why})"
    )
