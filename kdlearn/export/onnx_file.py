"""Fitted models as ONNX files, in float32 and in int8, with imputer, encoder and scaler inside."""

from __future__ import annotations

import importlib
import json
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kdlearn.export.check import check, unscaled, warn_of_drawn
from kdlearn.export.columns import Encoding
from kdlearn.export.onnx_int8 import extra, quantized
from kdlearn.export.plan import Plan, Step, plan
from kdlearn.export.transformers import NotPlain, gaps_of, rest_of

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8  # the first with LayerNormalization, and the format that came with it
LARGEST = np.array(np.finfo(np.float32).max, np.float32)


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
    Preprocessing is written by skl2onnx.

    Parameters
    ----------
    scaler, classes, inputs, rows : as in `to_c`; names of a plain model's columns are kept in the metadata.
    fold : write the scaler into the first linear layer, where no input has |mean| > 100 scale.
    int8 : quantise with `quantize_onnx`, on `rows`, or on drawn ones.
    """
    onnx = extra("onnx")
    steps = plan(net, scaler, classes, fold and not int8, inputs, rows=rows if int8 else None)
    codes = None if steps.encoding is None and not steps.takes_tokens else check(steps, rows)[1]
    model = onnx.helper.make_model(
        _graph(onnx, steps),
        producer_name="kdlearn",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )
    known = {"inputs": json.dumps(list(steps.parts.chain[1] if steps.encoding is None else steps.encoding.names))}
    if steps.classes is not None:
        known["refused"] = json.dumps(_refused(steps.classes))
    onnx.helper.set_model_props(model, known)
    onnx.checker.check_model(model, full_check=True)
    if not int8:
        Path(path).write_bytes(model.SerializeToString())
        return {"method": "float32", "bytes": os.path.getsize(path)}
    if codes is None:
        raise TypeError(f"int8 needs rows to calibrate on, and these cannot be drawn: {steps.parts.reason}")
    warn_of_drawn(steps, rows, "the range of eight bits")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "float.onnx")
        whole.write_bytes(model.SerializeToString())
        advice = "stay with float32" if rows is not None else "give rows of yours (rows=, --calibration)"
        return quantized(whole, path, feeds(steps, codes), advice)


def feeds(steps: Plan, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Rows, as `Encoding.codes` reads them, as the inputs of the file."""
    if steps.encoding is None:
        return {"x": codes}
    kinds = [_kind(steps, i) for i in range(codes.shape[1])]
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
    outputs = "prediction" if steps.classes is None else "logits"
    for i, step in enumerate(steps.steps):
        constants |= {f"{prefix}{a}{i}": value for a, value in step.arrays.items()}
        name = _add(helper, nodes, constants, step, prefix, str(i), name, f"{prefix}y{i}")
    poisoned = f"{prefix}y"
    if steps.takes_tokens:
        poisoned = name
    else:
        _poison(helper, nodes, constants, prefix + "in.", x, name, poisoned)
    _poison(helper, nodes, constants, prefix + "end.", poisoned, poisoned, prefix + outputs)
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


def _poison(helper: Any, nodes: list[Any], constants: dict[str, np.ndarray], p: str, x: str, y: str, out: str) -> None:
    """`out` is y, with NaN in the rows where x is not finite; ReLU and quantisers would lose the NaN on their way."""
    constants |= {p + "largest": LARGEST, p + "nan": np.array(np.nan, np.float32), p + "axis": np.array([1], np.int64)}
    for op, inputs, output, more in (
        ("Abs", [x], "abs", {}),
        ("LessOrEqual", [p + "abs", p + "largest"], "finite", {}),
        ("Not", [p + "finite"], "odd", {}),
        ("Cast", [p + "odd"], "ones", {"to": 6}),  # 6: int32
        ("ReduceSum", [p + "ones", p + "axis"], "sum", {"keepdims": 1}),
        ("Cast", [p + "sum"], "bad", {"to": 9}),  # 9: bool
    ):
        nodes.append(helper.make_node(op, inputs, [p + output], **more))
    nodes.append(helper.make_node("Where", [p + "bad", p + "nan", y], [out]))


def _graph(onnx: ModuleType, steps: Plan) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto
    p = _prefix(steps)
    door, tensors, inputs, x = _door(onnx, steps, p)
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
    if door:
        inner.append(helper.make_tensor_value_info(x, kind.FLOAT, ["N", steps.steps[0].n_in]))
    return helper.make_graph(
        nodes, "kdlearn", inputs, outputs, [t for t in tensors if t.name in used], value_info=inner
    )


def _prefix(steps: Plan) -> str:
    """Of all that has a name inside a file whose inputs have the columns' names: no column begins with it."""
    if steps.encoding is None or steps.encoding.is_plain:
        return ""
    prefix = "net."
    while any(name.startswith(prefix) for name in steps.encoding.names):
        prefix = "_" + prefix
    return prefix


def _kind(steps: Plan, i: int) -> str:
    """What column i is in the file: "float32", "float64", "int64" or "str"."""
    assert steps.encoding is not None
    known = steps.encoding.columns[i].categories
    if known is not None:
        if all(isinstance(v, (str, type(None))) for v in known):
            return "str"
        if all(isinstance(v, int) and not isinstance(v, bool) for v in known):
            return "int64"
        raise TypeError(f"column {steps.encoding.columns[i].name!r}: categories in ONNX are texts or whole numbers")
    wide = steps.centre is not None and (steps.encoding.is_plain or bool(steps.centre[i]))
    return "float64" if wide else "float32"


def _door(onnx: ModuleType, steps: Plan, p: str) -> tuple[list[Any], list[Any], list[Any], str]:
    """`(nodes, constants, inputs, name of the features)` of what stands before the network."""
    helper, kind = onnx.helper, onnx.TensorProto
    types = {"float32": kind.FLOAT, "float64": kind.DOUBLE, "int64": kind.INT64, "str": kind.STRING}
    if steps.encoding is None and not steps.takes_tokens:
        return _skl2onnx_door(onnx, steps)
    if steps.encoding is None or steps.encoding.is_plain:
        of_x = "int64" if steps.encoding is None else _kind(steps, 0)
        inputs = [helper.make_tensor_value_info("x", types[of_x], ["N", steps.n_in])]
        if of_x != "float64":
            return [], [], inputs, "x"
        nodes = [
            helper.make_node("Sub", ["x", "centre"], ["x-centre"]),
            helper.make_node("Cast", ["x-centre"], ["features"], to=1),  # 1: float32
        ]
        return nodes, [onnx.numpy_helper.from_array(steps.centre, "centre")], inputs, "features"
    nodes, tensors, inputs = [], [], []
    for i in steps.encoding.used:
        column = steps.encoding.columns[i]
        of_x = _kind(steps, i)
        inputs.append(helper.make_tensor_value_info(column.name, types[of_x], ["N", 1]))
        if of_x == "float64":
            assert steps.centre is not None
            tensors.append(onnx.numpy_helper.from_array(steps.centre[i : i + 1], f"{p}door.centre{i}"))
            nodes.append(helper.make_node("Sub", [column.name, f"{p}door.centre{i}"], [f"{p}door.centred{i}"]))
            nodes.append(helper.make_node("Cast", [f"{p}door.centred{i}"], [f"{p}encode.c{i}"], to=1))
        else:
            nodes.append(helper.make_node("Identity", [column.name], [f"{p}encode.c{i}"]))
    encoder = _converted(steps.encoding, [_kind(steps, i) for i in range(len(steps.encoding.columns))])
    graph = onnx.compose.add_prefix_graph(encoder, p + "encode.")
    nodes, tensors, x = [*nodes, *graph.node], [*tensors, *graph.initializer], graph.output[0].name
    rest = rest_of(steps.encoding)
    if rest is not None:
        tensors += [onnx.numpy_helper.from_array(a, name) for a, name in zip(rest, (p + "rest.A", p + "rest.c"))]
        nodes.append(helper.make_node("Gemm", [x, p + "rest.A", p + "rest.c"], [p + "features"]))
        x = p + "features"
    return nodes, tensors, inputs, x


def _converted(encoding: Encoding, kinds: Sequence[str]) -> Any:
    """The graph of the encoding's unscaled features, by skl2onnx."""
    from kdlearn.export.transformers import transformer_of

    return _skl2onnx(transformer_of(unscaled(encoding)), [(f"c{i}", kind, 1) for i, kind in enumerate(kinds)])


def _skl2onnx_door(onnx: ModuleType, steps: Plan) -> tuple[list[Any], list[Any], list[Any], str]:
    """A preprocessing that is not plain (PCA, splines, …): as skl2onnx writes it, of numbers x (N, C)."""
    from sklearn.pipeline import make_pipeline

    chain, names = steps.parts.chain
    graph = onnx.compose.add_prefix_graph(_skl2onnx(make_pipeline(*chain), [("x", "float32", len(names))]), "encode.")
    helper = onnx.helper
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", len(names)])
    nodes = [helper.make_node("Identity", ["x"], ["encode.x"]), *graph.node]
    # bins, bounds and quantiles make numbers of infinity, and some of NaN: what Python refuses is seen in x itself
    constants = {"door.gap": gaps_of(chain, names), "door.zero": np.array(0, np.float32)}
    for op, inputs, output in (
        ("IsNaN", ["x"], "missing"),
        ("And", ["door.missing", "door.gap"], "filled"),
        ("Where", ["door.filled", "door.zero", "x"], "seen"),
    ):
        nodes.append(helper.make_node(op, inputs, ["door." + output]))
    _poison(helper, nodes, constants, "door.", "door.seen", graph.output[0].name, "features")
    tensors = [onnx.numpy_helper.from_array(a, name) for name, a in constants.items()]
    return nodes, [*graph.initializer, *tensors], [x], "features"


def _skl2onnx(transformer: Any, inputs: Sequence[tuple[str, str, int]], reason: str = "") -> Any:
    convert = extra("skl2onnx").convert_sklearn
    data = importlib.import_module("skl2onnx.common.data_types")
    types = {"float32": "Float", "float64": "Float", "int64": "Int64", "str": "String"}  # float64 is centred by then
    initial = [(name, getattr(data, types[kind] + "TensorType")([None, n])) for name, kind, n in inputs]
    try:
        return convert(transformer, initial_types=initial, target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET}).graph
    except Exception as error:  # of many kinds
        said = f"{reason}; " if reason else ""
        raise NotPlain(f"{said}skl2onnx does not write it for ONNX: {str(error).splitlines()[0]}") from error


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
