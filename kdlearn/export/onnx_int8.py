"""ONNX files in int8, with activations' ranges that no row can change."""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kdlearn.export.check import LEAST_AGREEMENT


def quantize_onnx(path_in: str | os.PathLike, path_out: str | os.PathLike, calibration_x: Any) -> dict[str, Any]:
    """Rewrite a file of `to_onnx` with int8 weights and activations, through onnxruntime's static quantiser.

    The activations' ranges are fixed beforehand, from `calibration_x`: rows (N, D), or {input: (N, 1)}. So an
    answer does not depend on the rows beside it in a batch. (Ranges found while running are those of the
    whole batch: one outlier would change its neighbours' labels.) What lies beyond them, at an input or inside the
    network, counts as the end of the range, and nothing says so: calibrate on rows that reach as far as those to come.
    What a linear layer takes is rounded, what it puts out is not: logits, and answers of any size, keep their digits.
    Rows that the file refuses are left out, with a warning.
    All inputs of a layer share one range, so they must be of one size: give a file written with `fold=False`.

    Returns `{"method", "bytes_before", "bytes_after", "agreement", "error", "largest_error"}`: on the calibration
    rows, the share of equal labels, and the mean and largest absolute difference of probabilities, each
    `{"static": value}`; of a regressor agreement is None and the differences are those of predictions.
    """
    return quantized(
        path_in,
        path_out,
        calibration_x,
        "all inputs of a layer share one range: write the file with fold=False, or stay with float32",
    )


def quantized(path_in: str | os.PathLike, path_out: str | os.PathLike, x: Any, advice: str) -> dict[str, Any]:
    """`quantize_onnx`, with what to do where rounding costs much."""
    onnx = extra("onnx")
    runtime, tools = extra("onnxruntime"), extra("onnxruntime.quantization")
    prepare = importlib.import_module("onnxruntime.quantization.shape_inference").quant_pre_process
    common: dict[str, Any] = {
        "weight_type": tools.QuantType.QInt8,
        "per_channel": True,
        "op_types_to_quantize": ["MatMul", "Gemm"],
        "extra_options": {"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
    }
    nodes = onnx.load(os.fspath(path_in)).graph.node
    common["nodes_to_exclude"] = [node.name for node in nodes if node.name]  # the preprocessing's; ours have no names
    if any(node.op_type == "QuantizeLinear" for node in nodes):
        raise ValueError(f"{os.fspath(path_in)} is in eight bits already: give the file in float32")
    with tempfile.TemporaryDirectory() as folder:
        prepared, made = f"{folder}/in.onnx", f"{folder}/static.onnx"
        prepare(os.fspath(path_in), prepared, skip_optimization=True, skip_symbolic_shape=True)
        rows = _taken(runtime, prepared, _rows(runtime, prepared, x))
        tools.quantize_static(prepared, made, _reader(tools, rows), **common)
        want, got = (_answers(runtime, path, rows) for path in (prepared, made))
        data = Path(made).read_bytes()
    before = os.path.getsize(path_in)
    Path(path_out).write_bytes(data)
    same = float((want[1] == got[1]).mean()) if len(want) > 1 else None
    off = np.abs(want[0] - got[0])
    lost = _lost(want, got)
    if lost:
        warnings.warn(f"in 8 bits {lost}: {advice}", stacklevel=3)
    return {
        "method": "static",
        "bytes_before": before,
        "bytes_after": len(data),
        "agreement": {"static": same},
        "error": {"static": float(np.nanmean(off))},
        "largest_error": {"static": float(np.nanmax(off))},
    }


def _lost(want: list[np.ndarray], got: list[np.ndarray]) -> str:
    """What rounding costs, where that is much: of labels, or of a regressor's answers."""
    if len(want) > 1:
        same = float((want[1] == got[1]).mean())
        return "" if same >= LEAST_AGREEMENT else f"{100 * (1 - same):.0f} % of the rows get another label"
    off, spread, size = np.nanmean(np.abs(want[0] - got[0]), axis=0), np.nanstd(want[0], axis=0), np.abs(want[0])
    spread = np.where(spread > 1e-6 * np.nanmax(size, axis=0), spread, np.nanmax(size, axis=0))  # one may be constant
    return "the answers move by more than a twentieth of their own spread" if (off > 0.05 * spread).any() else ""


def _rows(runtime: ModuleType, path: str, x: Any) -> dict[str, np.ndarray]:
    wanted = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
    if isinstance(x, Mapping):
        return dict(x)
    kind = {"tensor(int64)": np.int64, "tensor(double)": np.float64}.get(wanted[0].type, np.float32)
    x = np.asarray(x, dtype=kind)
    if x.ndim != 2 or x.shape[1] != wanted[0].shape[1] or len(x) == 0:
        raise ValueError(f"calibration_x must hold rows of {wanted[0].shape[1]} inputs, got shape {x.shape}")
    return {wanted[0].name: x}


def _taken(runtime: ModuleType, path: str, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The rows that the file answers; the ranges of NaN and infinity would be no ranges."""
    answered = np.isfinite(_answers(runtime, path, rows)[0]).all(axis=1)
    if not answered.any():
        raise ValueError("calibration_x holds no row that the file takes: all are refused")
    if not answered.all():
        warnings.warn(
            f"{int((~answered).sum())} of {len(answered)} calibration rows are refused by the file, and left out",
            stacklevel=4,
        )
    return {name: a[answered] for name, a in rows.items()}


def _reader(tools: ModuleType, rows: dict[str, np.ndarray]) -> Any:
    n = len(next(iter(rows.values())))
    batches = iter([{name: a[i : i + 256] for name, a in rows.items()} for i in range(0, n, 256)])

    class Rows(tools.CalibrationDataReader):  # type: ignore[name-defined]
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(batches, None)

    return Rows()


def _answers(runtime: ModuleType, path: str, rows: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    return session.run(["prediction"] if outputs == ["prediction"] else ["probabilities", "label"], rows)


def extra(name: str) -> ModuleType:
    """A package of the extra `export`, or ImportError that names it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name.partition('.')[0]} is needed to write ONNX files: pip install 'kdlearn[export]'"
        ) from error
