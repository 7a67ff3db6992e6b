"""Optimisers as one kernel over the whole flat vector. Gain: not measured."""

from __future__ import annotations

from kdlearn.backend import Array
from kdlearn.fast.launch import each
from kdlearn.nn import optim

WHOLE = 1 << 62  # no blocks: a GPU has no use for a cache's worth of numbers at a time


class SGD(optim.SGD):
    """`kdlearn.SGD` with one launch a step."""

    block = WHOLE

    def update(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
        """See `Optimizer.update`."""
        v = moments[0] if moments else theta
        numbers = self.lr * self.scale, float(self.momentum), int(self.nesterov), float(decay)
        each("sgd", theta.size, theta, theta, grad, v, theta.size, *numbers)


class Adam(optim.Adam):
    """`kdlearn.Adam` with one launch a step."""

    block = WHOLE

    def update(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
        """See `Optimizer.update`."""
        self._launch(theta, grad, moments, t, decay, 1.0)

    def _launch(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, keep: float) -> None:
        rate, eps = self.corrected(t)
        numbers = float(self.beta1), float(self.beta2), rate, eps, float(decay), keep
        each("adam", theta.size, theta, theta, grad, *moments, theta.size, *numbers)


class AdamW(Adam, optim.AdamW):
    """`kdlearn.AdamW` with one launch a step."""

    def update(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
        """See `Optimizer.update`."""
        self._launch(theta, grad, moments, t, 0.0, 1 - self.lr * self.scale * decay)
