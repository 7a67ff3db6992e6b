"""What is exported: the arithmetic between a raw row and its answer, in float32 on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kdlearn.backend import to_numpy
from kdlearn.export.columns import VALUE, Encoding
from kdlearn.export.parts import Parts, parts_of, with_scaler_of
from kdlearn.nn.layers import GELU, Dropout, Embedding, LayerNorm, Linear, ReLU, Tanh
from kdlearn.nn.network import Network

KINDS = (Linear, ReLU, Tanh, GELU, LayerNorm, Embedding)
FOLD_LIMIT = 100.0  # |mean| / scale beyond which a folded float32 product loses more than two of its seven digits
CENTRE_LIMIT = 4096.0  # |mean| / scale beyond which float32 tells less than 2^12 steps of a standard deviation apart
LEVELS = 127  # int8 from -127 to 127: symmetric, so that zero is zero


@dataclass(frozen=True)
class Step:
    """One layer to write out: its kind, its parameters, the widths of its input and output."""

    kind: str
    arrays: dict[str, np.ndarray]
    n_in: int
    n_out: int
    eps: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A raw row's way to its answer.

    1. `centre` (C,) is subtracted from the columns in float64; None where float32 holds them as they come.
    2. `encoding` makes D features; None for a network of tokens.
    3. `steps`, the first of which standardises unless it is folded into a linear layer, make the outputs:
       logits of `classes`, or, where `classes` is None, a regressor's M answers, each about its `target_scale`
       apart; (M,) or, one for all, (1,).
    """

    steps: list[Step]
    classes: np.ndarray | None
    encoding: Encoding | None
    centre: np.ndarray | None
    target_scale: np.ndarray
    parts: Parts

    @property
    def n_in(self) -> int:
        """Raw columns, or tokens, in one row."""
        return self.steps[0].n_in if self.encoding is None else len(self.encoding.columns)

    @property
    def n_out(self) -> int:
        """Outputs of one row."""
        return self.steps[-1].n_out

    @property
    def takes_tokens(self) -> bool:
        """Whether a row holds integers."""
        return self.steps[0].kind == "Embedding"

    def answer(self, codes: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
        """Outputs (N, K) of rows (N, C) as `Encoding.codes` reads them, computed in `dtype`; NaN for refused rows."""
        if self.encoding is None:
            y = codes
        else:
            codes = codes if self.centre is None else codes - self.centre
            y = self.encoding.features(codes.astype(dtype))
        with np.errstate(all="ignore"):
            for step in self.steps:
                y = _apply(step, y, dtype)
        y[~np.isfinite(y).all(axis=1)] = np.nan
        return y

    def rounded(self) -> Plan:
        """The same with the weights as int8 holds them."""
        return replace(self, steps=[_dequantised(step) for step in self.steps])


def plan(
    model: Any,
    scaler: Any = None,
    classes: Any = None,
    fold: bool = True,
    inputs: Sequence[str] | None = None,
    dtype: Any = np.float32,
    rows: Any = None,
) -> Plan:
    """The steps of a network, of a fitted distilled estimator, or of a pipeline or search that ends in one.

    Parameters
    ----------
    scaler, classes, inputs : as in `parts_of`.
    fold : write the standardisation into the first linear layer, where float32 keeps its digits.
    dtype : of the steps' arrays; float64 is the yardstick.
    rows : raw rows that a bare network, which has no scaler, takes one from; the answers stay the same.
    """
    parts = parts_of(model, scaler, classes, inputs)
    parts = parts if rows is None else with_scaler_of(parts, rows)
    steps = _steps(parts.net)
    centre, encoding = None, parts.encoding
    if encoding is not None or parts.mean is not None:
        n = steps[0].n_in
        shift, factor = (encoding.shift, encoding.factor) if encoding is not None else (np.zeros(n), np.ones(n))
        if parts.mean is not None and parts.scale is not None:
            shift, factor = shift + parts.mean / factor, factor / parts.scale
        if encoding is not None:
            encoding = Encoding(
                encoding.columns,
                [replace(f, shift=float(s), factor=float(g)) for f, s, g in zip(encoding.table, shift, factor)],
            )
            centre = _centre(encoding)
            encoding = encoding if centre is None else encoding.moved(centre)
            shift = encoding.shift
        steps = _standardised(steps, shift, factor, fold)
    if parts.classes is None:
        steps = _in_units(steps, *parts.target)
    steps = [replace(s, arrays={name: a.astype(dtype) for name, a in s.arrays.items()}) for s in steps]
    for step in steps:
        for name, a in step.arrays.items():
            if not np.isfinite(a).all():
                raise ValueError(
                    f"{name} of {step.kind} {step.n_in} -> {step.n_out} has values that are not finite: the weights, "
                    "or the scale of a column, which may be too small for float32 (give it in another unit)"
                )
    return Plan(steps, parts.classes, encoding, centre, np.atleast_1d(np.asarray(parts.target[1], np.float64)), parts)


def quantize(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(integers, scale)` with W ≈ integers · scale, one scale for each output unit (column)."""
    scale = np.abs(W).max(axis=0) / LEVELS
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(W / scale).clip(-LEVELS, LEVELS).astype(np.int8), scale


def softmax_rows(z: np.ndarray) -> np.ndarray:
    """Probabilities of logits, in their precision."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _steps(net: Network) -> list[Step]:
    layers = [layer for layer in net.layers[: net.taps["logits"] + 1] if type(layer) is not Dropout]
    widths = []  # of each layer's input; None where it takes any
    for layer in layers:
        if type(layer) not in KINDS:
            known = ", ".join(kind.__name__ for kind in KINDS)
            raise TypeError(f"{type(layer).__name__} cannot be exported; these can: {known}, Dropout")
        widths.append(layer.shapes["W" if "W" in layer.shapes else "g"][0] if layer.shapes else None)
    following = next((w for w in widths[1:] if w is not None), None)
    steps: list[Step] = []
    width = next(w for w in widths if w is not None)
    for layer in layers:
        arrays = {name: to_numpy(getattr(layer, name)).astype(np.float64) for name in layer.parameters}
        n_in, n_out = width, width
        if isinstance(layer, Linear):
            n_out = layer.shapes["W"][1]
        elif isinstance(layer, Embedding):
            if following is None:
                raise ValueError("an Embedding without a layer above does not say how many tokens a row has")
            n_in, n_out = following // layer.shapes["W"][1], following
        steps.append(Step(type(layer).__name__, arrays, n_in, n_out, getattr(layer, "eps", 0.0)))
        width = n_out
    return steps


def _centre(encoding: Encoding) -> np.ndarray | None:
    """What to subtract from each column in float64; None where no column needs it."""
    centre = np.zeros(len(encoding.columns))
    for f in encoding.table:
        is_number = f.code == VALUE and encoding.columns[f.column].categories is None
        if is_number and abs(f.shift * f.factor) > CENTRE_LIMIT:
            centre[f.column] = f.shift
    return centre if centre.any() else None


def _standardised(steps: list[Step], shift: np.ndarray, factor: np.ndarray, fold: bool) -> list[Step]:
    first = steps[0]
    if not shift.any() and (factor == 1).all():
        return steps
    if fold and first.kind == "Linear" and np.abs(shift * factor).max() <= FOLD_LIMIT:
        W = first.arrays["W"] * factor[:, None]  # float64: ((x - m) f) W + b = x (f W) + (b - m (f W))
        return [replace(first, arrays={"W": W, "b": first.arrays["b"] - shift @ W}), *steps[1:]]
    return [Step("Standardize", {"mean": shift, "factor": factor}, first.n_in, first.n_in), *steps]


def _in_units(steps: list[Step], mean: Any, scale: Any) -> list[Step]:
    """A regressor's last layer in units of the target."""
    last = steps[-1]
    if np.all(np.asarray(mean) == 0) and np.all(np.asarray(scale) == 1):
        return steps
    if last.kind != "Linear":
        raise TypeError(
            f"a regressor's last layer must be Linear to carry its target's mean and scale, not {last.kind}"
        )
    arrays = {"W": last.arrays["W"] * scale, "b": last.arrays["b"] * scale + mean}
    return [*steps[:-1], replace(last, arrays=arrays)]


def _dequantised(step: Step) -> Step:
    if "W" not in step.arrays:
        return step
    integers, scale = quantize(step.arrays["W"])
    return replace(step, arrays={**step.arrays, "W": (integers * scale).astype(step.arrays["W"].dtype)})


def _apply(step: Step, x: np.ndarray, dtype: Any) -> np.ndarray:
    a = {name: value.astype(dtype) for name, value in step.arrays.items()}
    if step.kind == "Standardize":
        return (x - a["mean"]) * a["factor"]
    if step.kind == "Linear":
        return x @ a["W"] + a["b"]
    if step.kind == "Embedding":
        return a["W"][x.astype(np.int64)].reshape(len(x), -1)
    if step.kind == "LayerNorm":
        centred = x - x.mean(axis=1, keepdims=True)
        return a["g"] * centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + dtype(step.eps)) + a["b"]
    if step.kind == "GELU":
        erf = np.vectorize(math.erf, otypes=[dtype])
        return x * dtype(0.5) * (1 + erf(x * math.sqrt(0.5)))
    return np.maximum(x, 0) if step.kind == "ReLU" else np.tanh(x)
