"""The distilled estimators made known to skl2onnx, so that it converts pipelines that hold one."""

from __future__ import annotations

from typing import Any

from kdlearn.export.check import ExportError, check, unscaled
from kdlearn.export.onnx_file import label_values, network_nodes
from kdlearn.export.onnx_int8 import extra
from kdlearn.export.parts import Parts
from kdlearn.export.plan import Plan, plan
from kdlearn.export.transformers import rest_of, transformer_of

ALIAS = "KdlearnNetwork"


class NetworkOperator:
    """What skl2onnx sees of an estimator: its parts, behind whatever encodes its raw columns."""

    def __init__(self, parts: Parts) -> None:
        self.parts_ = parts

    def plan(self) -> Plan:
        """The steps to write."""
        return plan(self)


def register_skl2onnx() -> None:
    """Tell skl2onnx how `DistilledClassifier` and `DistilledRegressor` are converted; once is enough.

    After it `skl2onnx.to_onnx(pipeline, X[:1])` works for a pipeline that ends in one of them. The outputs are
    `label` and `probabilities` (no ZipMap), or `variable` of a regressor. Preprocessing inside the estimator is
    written by skl2onnx's own converters.

    Only what reaches the estimator is checked: a NaN or an infinity there makes the answer NaN. One that an earlier
    step of the pipeline takes for a number (`PowerTransformer`, `KBinsDiscretizer`, `QuantileTransformer`, a scaler
    with `clip=True`) or drops (`SelectKBest`) gets an answer, where Python refuses the row. `kdlearn.export.to_onnx`
    checks the rows themselves.
    """
    skl2onnx = extra("skl2onnx")
    from kdlearn.estimators import DistilledClassifier, DistilledRegressor
    from kdlearn.export.fitted import FittedClassifier, FittedRegressor

    skl2onnx.update_registered_converter(NetworkOperator, ALIAS, _shapes, _convert, overwrite=True)
    for kind in (DistilledClassifier, DistilledRegressor, FittedClassifier, FittedRegressor):
        skl2onnx.update_registered_parser(kind, _parse)
        skl2onnx.update_registered_converter(kind, ALIAS, _shapes, _convert, overwrite=True, parser=_parse)


def _parse(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    from skl2onnx._parse import _parse_sklearn
    from skl2onnx.common import data_types

    steps = plan(model)
    if not steps.parts.plain().is_plain:
        inputs = list(_parse_sklearn(scope, transformer_of(unscaled(steps.parts.plain())), inputs))
    if rest_of(steps.parts.plain()) is not None:
        raise ExportError("infrequent categories that share an input: use kdlearn.export.to_onnx")
    operator = scope.declare_local_operator(ALIAS, NetworkOperator(steps.parts))
    operator.inputs = inputs
    names = ["variable"] if steps.classes is None else ["label", "probabilities"]
    for name in names:
        operator.outputs.append(scope.declare_local_variable(name, data_types.FloatTensorType()))
    return list(operator.outputs)


def _shapes(operator: Any) -> None:
    from skl2onnx.common import data_types

    steps = operator.raw_operator.plan()
    n = operator.inputs[0].get_first_dimension()
    operator.outputs[-1].type = data_types.FloatTensorType([n, steps.n_out])
    if steps.classes is not None:
        kinds = {str: data_types.StringTensorType, float: data_types.DoubleTensorType, int: data_types.Int64TensorType}
        operator.outputs[0].type = kinds[type(label_values(steps.classes)[0])]([n])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    onnx = extra("onnx")
    steps = operator.raw_operator.plan()
    check(steps)
    prefix = scope.get_unique_variable_name("kdlearn") + "."
    names = [v.onnx_name for v in operator.inputs]
    encoded = not steps.parts.plain().is_plain
    if steps.centre is not None and (encoded or "Double" not in type(operator.inputs[0].type).__name__):
        raise ExportError("a column is too large beside its spread for float32: use kdlearn.export.to_onnx")
    x = names[0]
    if len(names) > 1:
        x = prefix + "x"
        container.add_node("Concat", names, [x], op_version=13, axis=1)
    nodes, constants = network_nodes(onnx, steps, prefix + "features", prefix)
    if steps.centre is not None:
        constants[prefix + "centre"] = steps.centre
        container.add_node("Sub", [x, prefix + "centre"], [prefix + "centred"], op_version=14)
        x = prefix + "centred"
    container.add_node("Cast", [x], [prefix + "features"], op_version=13, to=1)
    used = {name for node in nodes for name in node.input} | {prefix + "centre"}
    for name, a in constants.items():
        if name in used:
            container.initializers.append(onnx.numpy_helper.from_array(a, name))
    for node in nodes:
        more = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        container.add_node(node.op_type, list(node.input), list(node.output), op_version=17, **more)
    made = ["prediction"] if steps.classes is None else ["label", "probabilities"]
    for name, variable in zip(made, operator.outputs):
        container.add_node("Identity", [prefix + name], [variable.onnx_name], op_version=14)
