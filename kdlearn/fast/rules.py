"""The update of each optimiser in one launch over the whole flat vector."""

from __future__ import annotations

from kdlearn.backend import Array
from kdlearn.fast.launch import each
from kdlearn.nn import optim


def sgd(rule: optim.SGD, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
    """`SGD.update`."""
    v = moments[0] if moments else theta  # without momentum it is not read
    numbers = rule.lr * rule.scale, float(rule.momentum), int(rule.nesterov), float(decay)
    each("sgd", theta.size, theta, theta, grad, v, theta.size, *numbers)


def adam(
    rule: optim.Adam, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array
) -> None:
    """`Adam.update`."""
    _adam(rule, theta, grad, moments, t, float(decay), 1.0)


def adamw(
    rule: optim.AdamW, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array
) -> None:
    """`AdamW.update`."""
    _adam(rule, theta, grad, moments, t, 0.0, 1 - rule.lr * rule.scale * decay)


def _adam(rule: optim.Adam, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, keep: float) -> None:
    rate, eps = rule.corrected(t)
    numbers = float(rule.beta1), float(rule.beta2), rate, eps, decay, keep
    each("adam", theta.size, theta, theta, grad, *moments, theta.size, *numbers)
