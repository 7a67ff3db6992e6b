"""Fitted models as ONNX files, in float32 and in int8, with imputer, encoder and scaler inside."""

from __future__ import annotations

import json
import math
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kdlearn.export.check import TOLERANCE, check, warn_of_drawn
from kdlearn.export.held import answers_of, numbers_of, off, refuse, stretched
from kdlearn.export.onnx_door import ML_OPSET, OPSET, door_of, kind_of, poison, prefix_of
from kdlearn.export.onnx_int8 import extra, quantized
from kdlearn.export.plan import Plan, Step, plan

IR_VERSION = 8  # the format that came with OPSET


def to_onnx(
    net: Any,
    path: str | os.PathLike,
    scaler: Any = None,
    classes: Any = None,
    *,
    fold: bool = True,
    int8: bool = False,
    inputs: Sequence[str] | None = None,
    rows: Any = None,
) -> dict[str, Any]:
    """Write a network, a fitted distilled estimator, pipeline or search as ONNX (opset 17, any batch size).

    Inputs. A model of numbers alone has one, `x`: (N, D) float32; one with encoders or imputers has one for
    each raw column that it reads, under its name, (N, 1): float32 where NaN is a missing value, string where "" is one,
    int64 for categories that are whole numbers. A column whose values are so large beside their spread that
    float32 would lose them is float64, and so is the whole of x then. Tokens are (N, C) int64.

    Outputs. `logits` and `probabilities` (N, K) and `label` (N,); of a regressor `prediction` (N, M). A row
    that is refused (NaN where no imputer is, infinity, an answer that overflows) has NaN for all of them and
    the label NaN, "" (or, where that is a class, "refused"), or one less than all classes and than 0: the file's
    metadata say which, under `refused`. A text that a strict encoder does not know is an error of the runtime.
    Preprocessing is written by skl2onnx. The file is run by onnxruntime first, and held to the model's answers in
    float64, on `rows` or on drawn ones; ExportError where a probability moves by more than 0.001. What is not plain
    (PCA, …) is tried on given rows alone, and has a float64 input where float32 does not do; a warning says that
    there were none.

    Parameters
    ----------
    scaler, classes, inputs, rows : as in `to_c`; names of a plain model's columns are kept in the metadata.
    fold : write the scaler into the first linear layer, where no input has |mean| > 100 scale.
    int8 : quantise with `quantize_onnx`, on `rows`, or on drawn ones.
    """
    onnx = extra("onnx")
    steps = plan(net, scaler, classes, fold and not int8, inputs, rows=rows if int8 else None)
    model, codes = _tried(onnx, steps, rows)
    if not int8:
        Path(path).write_bytes(model)
        return {"method": "float32", "bytes": os.path.getsize(path)}
    if codes is None:
        raise TypeError(f"int8 needs rows to calibrate on, and these cannot be drawn, give rows: {steps.parts.reason}")
    warn_of_drawn(steps, rows, "the range of eight bits")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "float.onnx")
        whole.write_bytes(model)
        advice = "stay with float32" if rows is not None else "give rows of yours (rows=, --calibration)"
        return quantized(whole, path, feeds(steps, codes), advice)


def _tried(onnx: ModuleType, steps: Plan, rows: Any) -> tuple[bytes, np.ndarray | None]:
    """`(the file's content, rows)` on which it answered as the model does in float64; ExportError if it does not."""
    if steps.encoding is not None or steps.takes_tokens:
        steps, codes = check(steps, rows)
        data = _model(onnx, steps)
        refuse(steps, off(data, steps, feeds(steps, codes), answers_of(steps, codes)))
        return data, codes
    if rows is None:
        warnings.warn(
            f"the file is held to the model on no rows: none can be drawn, give rows= ({steps.parts.reason})",
            stacklevel=4,
        )
        return _model(onnx, steps), None
    codes = numbers_of(steps, rows)
    try:
        x = stretched(codes)
        want = answers_of(steps, x)
    except ValueError:  # of splines, beyond their knots
        x, want = codes, answers_of(steps, codes)
    data = _model(onnx, steps)
    worst = off(data, steps, {"x": x.astype(np.float32)}, want)
    if worst <= TOLERANCE:
        return data, codes.astype(np.float32)
    try:  # float32 may have too few digits for the columns
        data = _model(onnx, steps, np.float64)
        worst = off(data, steps, {"x": x}, want)
    except Exception:  # of many kinds: skl2onnx does not write everything in float64
        pass
    refuse(steps, worst)
    return data, codes


def _model(onnx: ModuleType, steps: Plan, kind: Any = np.float32) -> bytes:
    model = onnx.helper.make_model(
        _graph(onnx, steps, kind),
        producer_name="kdlearn",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )
    known = {"inputs": json.dumps(list(steps.parts.chain[1] if steps.encoding is None else steps.encoding.names))}
    if steps.classes is not None:
        known["refused"] = json.dumps(_refused(steps.classes))
    onnx.helper.set_model_props(model, known)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def feeds(steps: Plan, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Rows, as `Encoding.codes` reads them, as the inputs of the file."""
    if steps.encoding is None:
        return {"x": codes}
    kinds = [kind_of(steps, i) for i in range(codes.shape[1])]
    if steps.encoding.is_plain:
        return {"x": codes.astype(kinds[0])}
    found = {}
    for i in steps.encoding.used:
        column, whole = steps.encoding.columns[i], kinds[i] == "int64"
        if column.categories is None:
            found[column.name] = codes[:, i : i + 1].astype(kinds[i])
            continue
        known = [*("" if v is None else v for v in column.categories), max(column.categories) + 1 if whole else "?"]
        gap = known[-1] if whole else ""  # whole numbers have no gap: it is one that is not known, like any other
        cells = [gap if np.isnan(v) else known[int(v)] if v >= 0 else known[-1] for v in codes[:, i]]
        found[column.name] = np.array(cells, np.int64 if whole else object)[:, None]
    return found


def network_nodes(onnx: ModuleType, steps: Plan, x: str, prefix: str = "") -> tuple[list[Any], dict[str, np.ndarray]]:
    """Nodes and constants from the features (N, D), named x, to the outputs, with `prefix` before every name."""
    helper = onnx.helper
    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {}
    name = x
    if not steps.takes_tokens:  # a quantiser cuts what the first layer takes; what is refused is seen in x itself
        nodes.append(helper.make_node("Identity", [x], [prefix + "taken"]))
        name = prefix + "taken"
    outputs = "prediction" if steps.classes is None else "logits"
    for i, step in enumerate(steps.steps):
        constants |= {f"{prefix}{a}{i}": value for a, value in step.arrays.items()}
        name = _add(helper, nodes, constants, step, prefix, str(i), name, f"{prefix}y{i}")
    poisoned = f"{prefix}y"
    if steps.takes_tokens:
        poisoned = name
    else:
        poison(helper, nodes, constants, prefix + "in.", x, name, poisoned)
    poison(helper, nodes, constants, prefix + "end.", poisoned, poisoned, prefix + outputs)
    if steps.classes is None:
        return nodes, constants
    nodes.append(helper.make_node("Softmax", [prefix + "logits"], [prefix + "probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", [poisoned], [prefix + "position"], axis=1, keepdims=0))
    constants[prefix + "K"] = np.array(len(steps.classes), np.int64)
    nodes.append(helper.make_node("Squeeze", [prefix + "end.bad", prefix + "end.axis"], [prefix + "bad"]))
    nodes.append(helper.make_node("Where", [prefix + "bad", prefix + "K", prefix + "position"], [prefix + "chosen"]))
    table = [*label_values(steps.classes), _refused(steps.classes)]
    constants[prefix + "classes"] = np.array(table, dtype=object if isinstance(table[0], str) else None)
    nodes.append(helper.make_node("Gather", [prefix + "classes", prefix + "chosen"], [prefix + "label"], axis=0))
    return nodes, constants


def _graph(onnx: ModuleType, steps: Plan, numbers: Any) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto
    p = prefix_of(steps)
    door, tensors, inputs, x = door_of(onnx, steps, p, numbers)
    nodes, constants = network_nodes(onnx, steps, x, p)
    K = steps.n_out
    if steps.classes is None:
        outputs = [helper.make_tensor_value_info("prediction", kind.FLOAT, ["N", K])]
    else:
        label = {str: kind.STRING, float: kind.DOUBLE, int: kind.INT64}[type(label_values(steps.classes)[0])]
        outputs = [
            helper.make_tensor_value_info("logits", kind.FLOAT, ["N", K]),
            helper.make_tensor_value_info("probabilities", kind.FLOAT, ["N", K]),
            helper.make_tensor_value_info("label", label, ["N"]),
        ]
    made = {value.name for value in outputs}
    if any(value.name == "" for value in inputs):
        raise ValueError('a column is called "", which ONNX has no input for: rename the column')
    taken = made & {value.name for value in inputs}
    if taken:
        raise ValueError(f"a column is called {taken.pop()!r}, which is an output of the file: rename the column")
    for node in nodes:
        for names in (node.input, node.output):
            names[:] = [name.removeprefix(p) if name.removeprefix(p) in made else name for name in names]
    tensors = [*tensors, *(onnx.numpy_helper.from_array(a, n) for n, a in constants.items())]
    nodes = [*door, *nodes]
    used = {name for node in nodes for name in node.input}
    # types that shape inference cannot see through an encoder, and a quantiser needs
    inner = [helper.make_tensor_value_info(f"{p}y{i}", kind.FLOAT, ["N", s.n_out]) for i, s in enumerate(steps.steps)]
    if not steps.takes_tokens:
        inner.append(helper.make_tensor_value_info(f"{p}taken", kind.FLOAT, ["N", steps.steps[0].n_in]))
    if door:
        inner.append(helper.make_tensor_value_info(x, kind.FLOAT, ["N", steps.steps[0].n_in]))
    return helper.make_graph(
        nodes, "kdlearn", inputs, outputs, [t for t in tensors if t.name in used], value_info=inner
    )


def label_values(classes: np.ndarray) -> list[Any]:
    """Classes as ONNX holds them: texts, whole numbers or floats."""
    kind = classes.dtype.kind
    return [str(c) if kind in "UO" else float(c) if kind == "f" else int(c) for c in classes.tolist()]


def _refused(classes: np.ndarray) -> Any:
    """The label of a row that is refused: none of the classes."""
    labels = label_values(classes)
    if isinstance(labels[0], str):
        return next(text for text in ("", *(f"refused{'!' * n}" for n in range(len(labels)))) if text not in labels)
    if isinstance(labels[0], float):
        return math.nan
    if min(labels) == -(2**63) or max(labels) >= 2**63:
        raise ValueError("ONNX holds labels in int64, the refused one included: make texts of these")
    return min(0, *labels) - 1


def _add(
    helper: Any, nodes: list[Any], constants: dict[str, np.ndarray], step: Step, p: str, i: str, x: str, out: str
) -> str:
    """Append the nodes of one step, from the value named x to the value named `out`."""

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))

    if step.kind == "Linear":
        node("Gemm", [x, f"{p}W{i}", f"{p}b{i}"], out)
    elif step.kind == "LayerNorm":
        node("LayerNormalization", [x, f"{p}g{i}", f"{p}b{i}"], out, axis=-1, epsilon=step.eps)
    elif step.kind == "Standardize":
        node("Sub", [x, f"{p}mean{i}"], f"{p}centred{i}")
        node("Mul", [f"{p}centred{i}", f"{p}factor{i}"], out)
    elif step.kind == "Embedding":
        node("Gather", [f"{p}W{i}", x], f"{p}rows{i}", axis=0)
        node("Flatten", [f"{p}rows{i}"], out, axis=1)
    elif step.kind == "GELU":
        for name, value in (("root", math.sqrt(0.5)), ("half", 0.5), ("one", 1.0)):
            constants[p + name] = np.array(value, np.float32)
        node("Mul", [x, p + "root"], f"{p}scaled{i}")
        node("Erf", [f"{p}scaled{i}"], f"{p}erf{i}")
        node("Add", [f"{p}erf{i}", p + "one"], f"{p}sum{i}")
        node("Mul", [f"{p}sum{i}", p + "half"], f"{p}Phi{i}")
        node("Mul", [x, f"{p}Phi{i}"], out)
    else:
        node({"ReLU": "Relu", "Tanh": "Tanh"}[step.kind], [x], out)
    return out
