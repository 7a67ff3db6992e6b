"""What is exported: the arithmetic between a row of inputs and its logits, in float32 on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlearn.backend import to_numpy
from kdlearn.nn.layers import GELU, Dropout, Embedding, LayerNorm, Linear, ReLU, Tanh
from kdlearn.nn.network import Network

KINDS = (Linear, ReLU, Tanh, GELU, LayerNorm, Embedding)
FOLD_LIMIT = 1000.0  # |mean| / scale beyond which a folded float32 product loses more than three of its seven digits


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
    """The steps of a classifier, and the classes that its logits stand for."""

    steps: list[Step]
    classes: np.ndarray

    @property
    def n_in(self) -> int:
        """Numbers, or tokens, in one row of inputs."""
        return self.steps[0].n_in

    @property
    def takes_tokens(self) -> bool:
        """Whether a row holds integers."""
        return self.steps[0].kind == "Embedding"


def network_of(model: Any) -> Network | None:
    """The network inside a fitted estimator, the network itself, or None."""
    inner = getattr(model, "student_", model)
    return inner if isinstance(inner, Network) else None


def plan(model: Any, scaler: Any = None, classes: Any = None, fold: bool = True) -> Plan:
    """The steps of a network, or of a fitted `DistilledClassifier` with its scaler and classes.

    Parameters
    ----------
    scaler : (mean, scale), each (D,), or an object with `mean_` and `scale_`; None for none.
    classes : what the K logits stand for; by default 0 … K-1, or the estimator's `classes_`.
    fold : write the standardisation into the first linear layer, where float32 keeps its digits.
    """
    net = network_of(model)
    if net is None:
        raise TypeError(f"a network or a fitted DistilledClassifier can be exported, not {type(model).__name__}")
    scaler = getattr(model, "scaler_", None) if scaler is None else scaler
    classes = getattr(model, "classes_", None) if classes is None else classes
    steps = _steps(net)
    if scaler is not None:
        steps = _with_scaler(steps, *_mean_and_scale(scaler, steps[0]), fold)
    for step in steps:
        for name, a in step.arrays.items():
            if not np.isfinite(a).all():
                raise ValueError(f"{name} of {step.kind} {step.n_in} -> {step.n_out} has values that are not finite")
    return Plan(steps, _check_classes(classes, steps[-1].n_out))


def _steps(net: Network) -> list[Step]:
    layers = [layer for layer in net.layers[: net.taps["logits"] + 1] if type(layer) is not Dropout]
    widths = []  # of each layer's output; None until a layer that knows
    for layer in layers:
        if type(layer) not in KINDS:
            known = ", ".join(kind.__name__ for kind in KINDS)
            raise TypeError(f"{type(layer).__name__} cannot be exported; these can: {known}, Dropout")
        widths.append(_width_of_input(layer))
    if all(width is None for width in widths):
        raise ValueError("a network without parameters has no input width to export")
    following = next((w for w in widths[1:] if w is not None), None)
    steps: list[Step] = []
    width = next(w for w in widths if w is not None)
    for layer in layers:
        arrays = {name: to_numpy(getattr(layer, name)).astype(np.float32) for name in layer.parameters}
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


def _width_of_input(layer: Any) -> int | None:
    return layer.shapes["W" if "W" in layer.shapes else "g"][0] if layer.shapes else None


def _mean_and_scale(scaler: Any, first: Step) -> tuple[np.ndarray, np.ndarray]:
    if first.kind == "Embedding":
        raise ValueError("tokens are not standardised: a network with an Embedding takes no scaler")
    pair = (scaler.mean_, scaler.scale_) if hasattr(scaler, "mean_") else scaler
    mean, scale = (np.asarray(a, dtype=np.float64) for a in pair)
    if mean.shape != (first.n_in,) or scale.shape != (first.n_in,):
        raise ValueError(
            f"the scaler's mean and scale must have shape ({first.n_in},), got {mean.shape} and {scale.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("the scaler's mean must be finite and its scale positive")
    return mean, scale


def _with_scaler(steps: list[Step], mean: np.ndarray, scale: np.ndarray, fold: bool) -> list[Step]:
    first = steps[0]
    if fold and first.kind == "Linear" and np.abs(mean / scale).max() <= FOLD_LIMIT:
        W = first.arrays["W"] / scale[:, None]  # float64: ((x - m) / s) W + b = x (W/s) + (b - m (W/s))
        b = first.arrays["b"] - mean @ W
        folded = {"W": W.astype(np.float32), "b": b.astype(np.float32)}
        return [Step("Linear", folded, first.n_in, first.n_out), *steps[1:]]
    arrays = {"mean": mean.astype(np.float32), "factor": (1 / scale).astype(np.float32)}
    return [Step("Standardize", arrays, first.n_in, first.n_in), *steps]


def _check_classes(classes: Any, K: int) -> np.ndarray:
    if K < 2:
        raise ValueError("a network with one output predicts a number; classifiers can be exported")
    if classes is None:
        return np.arange(K)
    classes = np.asarray(classes)
    if classes.shape != (K,):
        raise ValueError(f"classes must name the network's {K} outputs, got shape {classes.shape}")
    if classes.dtype.kind in "iub":
        return classes.astype(np.int64)
    if classes.dtype.kind == "U" or (classes.dtype.kind == "O" and all(isinstance(c, str) for c in classes)):
        return classes.astype(str)
    if classes.dtype.kind == "f":
        return classes.astype(np.float64)
    raise TypeError(f"classes must be numbers or texts, got {classes.dtype}")
