"""What a fitted model is made of, as plain data: columns, scaler, network, classes or target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kdlearn.export.columns import Encoding
from kdlearn.export.transformers import NotPlain, centre_of, encoding_of
from kdlearn.nn.layers import Embedding, Linear
from kdlearn.nn.network import Network, check_answers_as_ours


@dataclass(frozen=True)
class Parts:
    """A network with what stands before and behind it.

    Parameters
    ----------
    encoding : raw columns and their D features; None where the preprocessing is not plain (`chain` has it),
        and for a network of tokens.
    mean, scale : (D,) of the scaler after the encoding; None for none.
    classes : (K,) what the logits stand for; None for a regressor.
    target : (mean, scale) of a regressor's target, numbers or (M,).
    chain : the fitted transformers before the network, and the names of the raw columns.
    """

    net: Network
    encoding: Encoding | None
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    classes: np.ndarray | None = None
    target: tuple[Any, Any] = (0.0, 1.0)
    chain: tuple[tuple[Any, ...], tuple[str, ...]] = ((), ())
    reason: str = ""

    @property
    def knows_no_inputs(self) -> bool:
        """Whether nothing says how large its numbers are: no scaler, no transformer."""
        e = self.encoding
        return e is not None and e.is_plain and self.mean is None and not e.shift.any() and bool((e.factor == 1).all())

    def plain(self) -> Encoding:
        """The encoding, or NotPlain with the reason why there is none."""
        if self.encoding is None:
            raise NotPlain(self.reason)
        return self.encoding


def network_of(model: Any) -> Network | None:
    """The network inside a fitted estimator, pipeline or search, the network itself, or None."""
    inner = _unwrapped(model)[0]
    inner = getattr(inner, "student_", inner)
    return inner if isinstance(inner, Network) else None


def parts_of(model: Any, scaler: Any = None, classes: Any = None, inputs: Sequence[str] | None = None) -> Parts:
    """The parts of a network, or of a fitted distilled estimator, a pipeline or a search that ends in one.

    Parameters
    ----------
    scaler : (mean, scale), each (D,), or an object with `mean_` and `scale_`; by default the estimator's.
    classes : (K,) what the logits stand for; by default the estimator's, or 0 … K-1. A network with one
        output is a regressor.
    inputs : names of the raw columns; by default the names it was fitted with, or x0, x1, …
    """
    known = getattr(model, "parts_", None)
    if isinstance(known, Parts):
        if scaler is not None:
            mean, scale = _mean_and_scale(scaler, len(known.plain().table))
            known = replace(known, mean=mean, scale=scale)
        return known if classes is None else replace(known, classes=_check_classes(classes, output_width(known.net)))
    inner, before = _unwrapped(model)
    net = network_of(model)
    if net is None:
        raise TypeError(
            f"a network, a fitted distilled estimator, or a pipeline or search that ends in one can be exported, "
            f"not {what_it_is(model)}"
        )
    if net.members > 1:
        raise TypeError("a stack has no one answer to export: take its members one by one, stack[0] and so on")
    for part in (inner, net):
        check_answers_as_ours(part, "what is written")
    owners = (model, *before, inner)
    names, named = _names(owners, net) if inputs is None else (list(inputs), True)
    preprocessor = getattr(inner, "preprocessor_", None)
    if preprocessor is not None:
        before = (*before, preprocessor.of_sklearn() if hasattr(preprocessor, "of_sklearn") else preprocessor)
    scaler = getattr(inner, "scaler_", None) if scaler is None else scaler
    K = output_width(net)
    is_regressor = K == 1 or hasattr(inner, "target_mean_")
    target = (getattr(inner, "target_mean_", 0.0), getattr(inner, "target_scale_", 1.0))
    classes = getattr(inner, "classes_", None) if classes is None else classes
    found = Parts(net, None, target=target) if is_regressor else Parts(net, None, classes=_check_classes(classes, K))
    if isinstance(net.layers[0], Embedding):
        if scaler is not None:
            raise ValueError("tokens are not standardised: a network with an Embedding takes no scaler")
        return replace(found, reason="a network of tokens has no columns")
    try:
        encoding, reason = encoding_of(before, names, named), ""
    except NotPlain as error:
        encoding, reason = None, str(error)
    D = input_width(net)
    if encoding is not None and len(encoding.table) != D:
        raise ValueError(f"inputs must name the network's {D} inputs, got {len(encoding.table)} names")
    if scaler is not None:
        mean, scale = _mean_and_scale(scaler, D)
        found = replace(found, mean=mean, scale=scale)
    return replace(found, encoding=encoding, chain=(before, tuple(names)), reason=reason)


def what_it_is(model: Any) -> str:
    """The kind of what has no network inside, and what of it can be taken instead."""
    inner = _unwrapped(model)[0]
    if network_of(getattr(inner, "regressor_", None)) is not None:
        how = ": its regressor_ is one, and answers as without transforming back"
    elif getattr(inner, "refit", True) is False and hasattr(inner, "cv_results_"):
        how = ": with refit=False it keeps no fitted model"
    elif any(network_of(part) is not None for part in getattr(inner, "estimators_", ())):
        how = ": its estimators_ are some, each with a file of its own"
    else:
        how = ": it is not fitted" if hasattr(inner, "hidden_layer_sizes") and hasattr(inner, "soft_weight") else ""
    return type(inner).__name__ + how


def _unwrapped(model: Any) -> tuple[Any, tuple[Any, ...]]:
    """`(estimator, fitted transformers before it)` inside searches, frozen estimators and pipelines."""
    before: tuple[Any, ...] = ()
    while not hasattr(model, "student_"):
        if type(model).__name__ == "Pipeline" and hasattr(model, "steps"):
            before = (*before, *(step for _, step in model.steps[:-1]))
            model = model.steps[-1][1]
            continue
        frozen = type(model).__name__ == "FrozenEstimator"
        inner = getattr(model, "estimator" if frozen else "best_estimator_", None)
        if inner is None:
            break
        model = inner
    return model, before


def _names(owners: Sequence[Any], net: Network) -> tuple[list[str], bool]:
    """Names of the raw columns, as the whole, or what comes first in it, was fitted with them; whether it had them."""
    for owner in owners:
        if getattr(owner, "feature_names_in_", None) is not None:
            return [str(name) for name in owner.feature_names_in_], True
        if getattr(owner, "n_features_in_", None) is not None:
            return [f"x{i}" for i in range(owner.n_features_in_)], False
    return [f"x{i}" for i in range(input_width(net))], False


def with_scaler_of(parts: Parts, X: Any) -> Parts:
    """The same answers by a network of standardised inputs, if it knows nothing of its own: their scaler is that of X.

    With m the mean and s the deviation of a column, x W + b = ((x - m) / s) (s W) + (b + m W). Rounding to integers
    needs inputs of one size. A network whose inputs are within a factor of four of standardised stays as it is.
    """
    first = parts.net.layers[0]
    if not parts.knows_no_inputs or not isinstance(first, Linear):
        return parts
    x = parts.plain().features(parts.plain().codes(X))
    x = x[np.isfinite(x).all(axis=1)]
    if len(x) == 0:
        return parts
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    if (np.abs(np.log(scale)) <= np.log(4)).all() and (np.abs(mean) <= 4).all():
        return parts
    net = parts.net.to("cpu").copy()
    first = net.layers[0]
    assert isinstance(first, Linear)
    W = first.W.astype(np.float64)
    first.W[...], first.b[...] = scale[:, None] * W, first.b + mean @ W
    return replace(parts, net=net, mean=mean, scale=scale)


def input_width(net: Network) -> int:
    """Numbers that a network takes."""
    for layer in net.layers:
        if layer.shapes:
            return layer.shapes["W" if "W" in layer.shapes else "g"][0]
    raise ValueError("a network without parameters has no input width to export")


def output_width(net: Network) -> int:
    """Numbers that a network puts out."""
    for layer in reversed(net.layers[: net.taps["logits"] + 1]):
        if isinstance(layer, Linear):
            return layer.shapes["W"][1]
    return input_width(net)


def _mean_and_scale(scaler: Any, D: int) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(scaler, "mean_") and hasattr(scaler, "scale_"):
        centre = centre_of(scaler)
        pair = (np.zeros(D) if centre is None else centre, np.ones(D) if scaler.scale_ is None else scaler.scale_)
    elif isinstance(scaler, (tuple, list)) and len(scaler) == 2:
        pair = tuple(scaler)
    else:
        raise TypeError(f"scaler is (mean, scale) or a fitted StandardScaler, got {scaler!r}")
    mean, scale = (np.asarray(a, dtype=np.float64) for a in pair)
    if mean.shape != (D,) or scale.shape != (D,):
        raise ValueError(f"the scaler's mean and scale must have shape ({D},), got {mean.shape} and {scale.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("the scaler's mean must be finite and its scale positive")
    return mean, scale


def _check_classes(classes: Any, K: int) -> np.ndarray:
    if classes is None:
        return np.arange(K)
    classes = np.asarray(classes)
    if classes.shape != (K,):
        raise ValueError(f"classes must name the network's {K} outputs, got shape {classes.shape}")
    if classes.dtype.kind in "iubUf" or (classes.dtype.kind == "O" and all(isinstance(c, str) for c in classes)):
        return classes
    raise TypeError(f"classes must be numbers or texts, got {classes.dtype}")
