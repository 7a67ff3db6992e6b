"""An affine map and its rectifier as one layer. Gain: not measured."""

from __future__ import annotations

from typing import Any

from kdlearn.backend import Array, array_module
from kdlearn.fast.launch import each
from kdlearn.nn.layers import Dice, Linear


class LinearReLU(Linear):
    """`Linear`, then `ReLU`: bias and rectifier in one launch, and the rectifier's backward in one.

    What lies between the two is not kept, so a network of these has no taps a1, a2, …
    """

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, Any]:
        """See `Layer.forward`."""
        h = x @ self.W
        each("bias_relu", h.size, h, h, self.b, h.size, h.shape[1])
        return h, (x, h)

    def backward(self, dy: Array, cache: Any, accumulate: bool | None = False, need_dx: bool = True) -> Array | None:
        """See `Layer.backward`."""
        xp, (x, h) = array_module(dy), cache
        d, dy = xp.empty_like(h), xp.ascontiguousarray(dy)
        each("relu_backward", h.size, h, dy, h, d, h.size)
        return super().backward(d, x, accumulate, need_dx)
