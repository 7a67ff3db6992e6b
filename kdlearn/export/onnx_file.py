"""Networks as ONNX files, in float32 and in int8."""

from __future__ import annotations

import importlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kdlearn.export.plan import Plan, Step, plan

OPSET, IR_VERSION = 17, 8  # the first with LayerNormalization, and the format that came with it


def to_onnx(
    net: Any,
    path: str | os.PathLike,
    scaler: Any = None,
    classes: Any = None,
    *,
    fold: bool = True,
    inputs: Sequence[str] | None = None,
) -> None:
    """Write a network, or a fitted `DistilledClassifier`, as an ONNX file (opset 17, any batch size).

    Input `x`: (N, D) float32, or (N, C) int64 tokens. Outputs: `logits` and `probabilities`
    (N, K), `label` (N,). Dropout is left out.

    Parameters
    ----------
    scaler : (mean, scale) of the inputs, or a fitted StandardScaler; by default the estimator's.
    classes : the labels, integers, floats or texts; by default the estimator's, or 0 … K-1.
    fold : write the scaler into the first linear layer, where no input has |mean| > 1000 scale.
        A file that is to be quantised must keep it apart (`fold=False`): folded, one grid of 256
        values has to span inputs of all units.
    inputs : names of the D inputs, kept in the file's metadata.
    """
    onnx = _extra("onnx")
    steps = plan(net, scaler, classes, fold)
    if inputs is not None and len(inputs) != steps.n_in:
        raise ValueError(f"inputs must name the network's {steps.n_in} inputs, got {len(inputs)} names")
    model = onnx.helper.make_model(
        _graph(onnx, steps),
        producer_name="kdlearn",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    if inputs is not None:
        onnx.helper.set_model_props(model, {"inputs": json.dumps(list(inputs))})
    onnx.checker.check_model(model, full_check=True)
    Path(path).write_bytes(model.SerializeToString())


def _graph(onnx: ModuleType, steps: Plan) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto
    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {}
    name = "x"
    for i, step in enumerate(steps.steps):
        last = i + 1 == len(steps.steps)
        constants |= {f"{a}{i}": value for a, value in step.arrays.items()}
        name = _add(helper, nodes, constants, step, str(i), name, "logits" if last else f"y{i}")
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", ["logits"], ["position"], axis=1, keepdims=0))
    text = steps.classes.dtype.kind == "U"
    constants["classes"] = steps.classes.astype(object) if text else steps.classes
    nodes.append(helper.make_node("Gather", ["classes", "position"], ["label"], axis=0))
    K = len(steps.classes)
    label = {"U": kind.STRING, "f": kind.DOUBLE}.get(steps.classes.dtype.kind, kind.INT64)
    x = helper.make_tensor_value_info("x", kind.INT64 if steps.takes_tokens else kind.FLOAT, ["N", steps.n_in])
    outputs = [
        helper.make_tensor_value_info("logits", kind.FLOAT, ["N", K]),
        helper.make_tensor_value_info("probabilities", kind.FLOAT, ["N", K]),
        helper.make_tensor_value_info("label", label, ["N"]),
    ]
    tensors = [onnx.numpy_helper.from_array(a, n) for n, a in constants.items()]
    return helper.make_graph(nodes, "kdlearn", [x], outputs, tensors)


def _add(helper: Any, nodes: list[Any], constants: dict[str, np.ndarray], step: Step, i: str, x: str, out: str) -> str:
    """Append the nodes of one step, from the value named x to the value named `out`."""

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))

    if step.kind == "Linear":
        node("Gemm", [x, "W" + i, "b" + i], out)
    elif step.kind == "LayerNorm":
        node("LayerNormalization", [x, "g" + i, "b" + i], out, axis=-1, epsilon=step.eps)
    elif step.kind == "Standardize":
        node("Sub", [x, "mean" + i], "centred" + i)
        node("Mul", ["centred" + i, "factor" + i], out)
    elif step.kind == "Embedding":
        node("Gather", ["W" + i, x], "rows" + i, axis=0)
        node("Flatten", ["rows" + i], out, axis=1)
    elif step.kind == "GELU":
        for name, value in (("root", math.sqrt(0.5)), ("half", 0.5), ("one", 1.0)):
            constants[name] = np.array(value, np.float32)
        node("Mul", [x, "root"], "scaled" + i)
        node("Erf", ["scaled" + i], "erf" + i)
        node("Add", ["erf" + i, "one"], "sum" + i)
        node("Mul", ["sum" + i, "half"], "Phi" + i)
        node("Mul", [x, "Phi" + i], out)
    else:
        node({"ReLU": "Relu", "Tanh": "Tanh"}[step.kind], [x], out)
    return out


def quantize_onnx(
    path_in: str | os.PathLike, path_out: str | os.PathLike, calibration_x: np.ndarray | None = None
) -> dict[str, Any]:
    """Rewrite a file of `to_onnx` with int8 weights, through onnxruntime's quantiser.

    Dynamic: activations are quantised as they come, over the whole batch, so an answer may depend
    on the rows beside it. Static: ranges are fixed beforehand, from `calibration_x` (N, D). With
    calibration rows both are made, and the one whose labels agree with the float file's on more of
    those rows is kept (ties: the one with the closer probabilities). Without, dynamic.

    Returns `{"method", "bytes_before", "bytes_after"}`, and with calibration rows `"agreement"`, the
    share of equal labels, and `"error"`, the mean absolute difference of probabilities, of both methods.
    """
    _extra("onnx")
    runtime, tools = _extra("onnxruntime"), _extra("onnxruntime.quantization")
    prepare = importlib.import_module("onnxruntime.quantization.shape_inference").quant_pre_process
    common = {
        "weight_type": tools.QuantType.QInt8,
        "per_channel": True,
        "op_types_to_quantize": ["MatMul", "Gemm"],
    }
    with tempfile.TemporaryDirectory() as folder:
        prepared, files = f"{folder}/in.onnx", {"dynamic": f"{folder}/dynamic.onnx"}
        prepare(os.fspath(path_in), prepared, skip_optimization=True, skip_symbolic_shape=True)
        tools.quantize_dynamic(prepared, files["dynamic"], **common)
        found: dict[str, Any] = {}
        chosen = "dynamic"
        if calibration_x is not None:
            x = _rows(runtime, prepared, calibration_x)
            files["static"] = f"{folder}/static.onnx"
            tools.quantize_static(prepared, files["static"], _reader(tools, x), **common)
            found = _compare(runtime, prepared, files, x)
            chosen = max(files, key=lambda m: (found["agreement"][m], -found["error"][m]))
        data = Path(files[chosen]).read_bytes()
    before = os.path.getsize(path_in)
    Path(path_out).write_bytes(data)
    return {"method": chosen, "bytes_before": before, "bytes_after": len(data), **found}


def _rows(runtime: ModuleType, path: str, x: Any) -> np.ndarray:
    wanted = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0]
    x = np.asarray(x, dtype=np.int64 if "int64" in wanted.type else np.float32)
    if x.ndim != 2 or x.shape[1] != wanted.shape[1] or len(x) == 0:
        raise ValueError(f"calibration_x must hold rows of {wanted.shape[1]} inputs, got shape {x.shape}")
    return x


def _reader(tools: ModuleType, x: np.ndarray) -> Any:
    class Rows(tools.CalibrationDataReader):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(np.array_split(x, -(-len(x) // 256)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"x": batch}

    return Rows()


def _compare(runtime: ModuleType, reference: str, files: dict[str, str], x: np.ndarray) -> dict[str, Any]:
    def answers(path: str) -> tuple[np.ndarray, np.ndarray]:
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(["probabilities", "label"], {"x": x})

    p, label = answers(reference)
    found: dict[str, Any] = {"agreement": {}, "error": {}}
    for method, path in files.items():
        q, other = answers(path)
        found["agreement"][method] = float((label == other).mean())
        found["error"][method] = float(np.abs(p - q).mean())
    return found


def _extra(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name.partition('.')[0]} is needed to write ONNX files: pip install 'kdlearn[export]'"
        ) from error
