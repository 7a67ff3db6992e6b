"""What stands before the network in an ONNX file: inputs, imputers, encoders, and rows that are refused."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from kdlearn.export.check import unscaled
from kdlearn.export.columns import Encoding
from kdlearn.export.onnx_int8 import extra
from kdlearn.export.plan import Plan
from kdlearn.export.transformers import NotPlain, gaps_of, rest_of

OPSET, ML_OPSET = 17, 3  # the first with LayerNormalization
LARGEST = np.array(np.finfo(np.float32).max, np.float32)


def prefix_of(steps: Plan) -> str:
    """Of all that has a name inside a file whose inputs have the columns' names: no column begins with it."""
    if steps.encoding is None or steps.encoding.is_plain:
        return ""
    prefix = "net."
    while any(name.startswith(prefix) for name in steps.encoding.names):
        prefix = "_" + prefix
    return prefix


def kind_of(steps: Plan, i: int) -> str:
    """What column i is in the file: "float32", "float64", "int64" or "str"."""
    assert steps.encoding is not None
    known = steps.encoding.columns[i].categories
    if known is not None:
        if all(isinstance(v, (str, type(None))) for v in known):
            return "str"
        if all(type(v) is int or (isinstance(v, float) and v.is_integer()) for v in known):
            return "int64"
        raise TypeError(
            f"column {steps.encoding.columns[i].name!r}: categories in ONNX are texts or whole numbers: make "
            "them texts before fit, or write C"
        )
    wide = steps.centre is not None and (steps.encoding.is_plain or bool(steps.centre[i]))
    return "float64" if wide else "float32"


def door_of(onnx: ModuleType, steps: Plan, p: str, numbers: Any) -> tuple[list[Any], list[Any], list[Any], str]:
    """`(nodes, constants, inputs, name of the features)` of what stands before the network."""
    helper, kind = onnx.helper, onnx.TensorProto
    types = {"float32": kind.FLOAT, "float64": kind.DOUBLE, "int64": kind.INT64, "str": kind.STRING}
    if steps.encoding is None and not steps.takes_tokens:
        return _skl2onnx_door(onnx, steps, numbers is np.float64)
    if steps.encoding is None or steps.encoding.is_plain:
        of_x = "int64" if steps.encoding is None else kind_of(steps, 0)
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
        of_x = kind_of(steps, i)
        inputs.append(helper.make_tensor_value_info(column.name, types[of_x], ["N", 1]))
        if of_x == "float64":
            assert steps.centre is not None
            tensors.append(onnx.numpy_helper.from_array(steps.centre[i : i + 1], f"{p}door.centre{i}"))
            nodes.append(helper.make_node("Sub", [column.name, f"{p}door.centre{i}"], [f"{p}door.centred{i}"]))
            nodes.append(helper.make_node("Cast", [f"{p}door.centred{i}"], [f"{p}encode.c{i}"], to=1))
        else:
            nodes.append(helper.make_node("Identity", [column.name], [f"{p}encode.c{i}"]))
    encoder = _converted(steps.encoding, [kind_of(steps, i) for i in range(len(steps.encoding.columns))])
    graph = onnx.compose.add_prefix_graph(encoder, p + "encode.")
    nodes, tensors, x = [*nodes, *graph.node], [*tensors, *graph.initializer], graph.output[0].name
    rest = rest_of(steps.encoding)
    if rest is not None:
        tensors += [onnx.numpy_helper.from_array(a, name) for a, name in zip(rest, (p + "rest.A", p + "rest.c"))]
        nodes.append(helper.make_node("Gemm", [x, p + "rest.A", p + "rest.c"], [p + "features"], name=p + "rest"))
        x = p + "features"
    return nodes, tensors, inputs, x


def poison(helper: Any, nodes: list[Any], constants: dict[str, np.ndarray], p: str, x: str, y: str, out: str) -> None:
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


def _converted(encoding: Encoding, kinds: Sequence[str]) -> Any:
    """The graph of the encoding's unscaled features, by skl2onnx."""
    from kdlearn.export.transformers import transformer_of

    return _skl2onnx(transformer_of(unscaled(encoding)), [(f"c{i}", kind, 1) for i, kind in enumerate(kinds)])


def _skl2onnx_door(onnx: ModuleType, steps: Plan, wide: bool) -> tuple[list[Any], list[Any], list[Any], str]:
    """A preprocessing that is not plain (PCA, splines, …): as skl2onnx writes it, of numbers x (N, C)."""
    from sklearn.pipeline import make_pipeline

    chain, names = steps.parts.chain
    one = ("x", "double" if wide else "float32", len(names))
    graph = onnx.compose.add_prefix_graph(_skl2onnx(make_pipeline(*chain), [one], steps.parts.reason), "encode.")
    helper, kind = onnx.helper, onnx.TensorProto
    x = helper.make_tensor_value_info("x", kind.DOUBLE if wide else kind.FLOAT, ["N", len(names)])
    nodes = [
        helper.make_node("Identity", ["x"], ["encode.x"]),
        *graph.node,
        helper.make_node("Cast", [graph.output[0].name], ["door.made"], to=kind.FLOAT),
        helper.make_node("Cast", ["x"], ["door.x"], to=kind.FLOAT),
    ]
    # bins, bounds and quantiles make numbers of infinity, and some of NaN: what Python refuses is seen in x itself
    constants = {"door.gap": gaps_of(chain, names), "door.zero": np.array(0, np.float32)}
    for op, inputs, output in (
        ("IsNaN", ["door.x"], "missing"),
        ("And", ["door.missing", "door.gap"], "filled"),
        ("Where", ["door.filled", "door.zero", "door.x"], "seen"),
    ):
        nodes.append(helper.make_node(op, inputs, ["door." + output]))
    poison(helper, nodes, constants, "door.", "door.seen", "door.made", "features")
    tensors = [onnx.numpy_helper.from_array(a, name) for name, a in constants.items()]
    return nodes, [*graph.initializer, *tensors], [x], "features"


def _skl2onnx(transformer: Any, inputs: Sequence[tuple[str, str, int]], reason: str = "") -> Any:
    convert = extra("skl2onnx").convert_sklearn
    data = importlib.import_module("skl2onnx.common.data_types")
    types = {
        "float32": "Float",
        "float64": "Float",
        "double": "Double",
        "int64": "Int64",
        "str": "String",
    }  # float64 is centred by then
    initial = [(name, getattr(data, types[kind] + "TensorType")([None, n])) for name, kind, n in inputs]
    try:
        return convert(transformer, initial_types=initial, target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET}).graph
    except Exception as error:  # of many kinds
        said = f"{reason}; " if reason else ""
        raise NotPlain(f"{said}skl2onnx does not write it for ONNX: {str(error).splitlines()[0]}") from error
