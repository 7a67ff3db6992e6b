"""Jacobian matching: the student learns how the teacher's answers change with its input.

Letters: N rows, D inputs, K classes; J the Jacobian of the logits, one (K, D) matrix a row.
Derivation: docs/derivations/jacobian.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdlearn.backend import Array, array_module
from kdlearn.nn.layers import Dropout, Layer, Linear, ReLU
from kdlearn.nn.network import Network


class WithJacobian(Network):
    r"""A ReLU network that publishes its Jacobian too, as the tap `jacobian` `[jacobian.1]`.

    .. math:: J_{kd} = \frac{\partial z_k}{\partial x_d},\quad J^\top = W_1 M_1 W_2 M_2 \cdots W_L, \qquad
              \frac{\partial L}{\partial W_l} = \big(R\,W_1 M_1 \cdots M_{l-1}\big)^\top
              \big(I\,W_L^\top M_{L-1} \cdots M_l\big),\quad R = \frac{\partial L}{\partial J}

    where M are the rectifiers' masks, ones and zeros on a diagonal; a sum over rows is understood.
    The tap is (N, K·D), class by class, ready for `squared_error`:
    `Match("student.jacobian", "teacher.jacobian", squared_error)`, both networks wrapped.

    Parameters
    ----------
    net : layers `Linear`, `ReLU` and `Dropout` only. Its parameters are shared, not copied: give the
        wrapped network to `fit`, and use either afterwards. Freeze layers before.

    Costs K backward passes, and N·K times the sum of all widths in memory. Biases have no part in
    J, and between the kinks J does not depend on x: neither gets a gradient.
    Source: Czarnecki et al. 2017, equation 1, for first derivatives.
    """

    def __init__(self, net: Network) -> None:
        for layer in net.layers:
            if not isinstance(layer, (Linear, ReLU, Dropout)):
                raise TypeError(f"the Jacobian is there for Linear, ReLU and Dropout layers, not for {layer!r}")
        net.check_laid()
        super().__init__(net.layers, {**net.taps, "jacobian": len(net.layers)}, net.theta, net.grad)
        self.frozen = net.frozen

    def forward(
        self, x: Array, rng: Any = None, taps: Iterable[str] | None = None
    ) -> tuple[dict[str, Array], list[Any]]:
        """See `Network.forward`; with `jacobian` asked for, what it remembers is one more cache."""
        names = list(self.taps if taps is None else taps)
        sites, caches = super().forward(x, rng, names)
        if "jacobian" in names:
            xp, (N, K) = array_module(x), (x.shape[0], self.layers[-1].shapes["b"][0])
            d = xp.tile(xp.eye(K, dtype=self.theta.dtype), (N, 1))
            slopes = []  # of each logit, with respect to each layer's output: (N K, width)
            for layer, cache in zip(reversed(self.layers), reversed(caches)):
                slopes.append(d)
                d = d @ layer.W.T if isinstance(layer, Linear) else _masked(layer, d, cache, K)
            sites["jacobian"] = d.reshape(N, -1)
            caches = [*caches, slopes[::-1]]
        return sites, caches

    def backward(self, caches: list[Any], gradients: Mapping[str, Array], need_dx: bool = False) -> Array | None:
        """See `Network.backward`. The second-order part runs upwards, from the data to the logits."""
        others = {tap: g for tap, g in gradients.items() if tap != "jacobian"}
        dx = super().backward(caches, others, need_dx)
        if "jacobian" in gradients:
            R = gradients["jacobian"]
            K = self.layers[-1].shapes["b"][0]
            t = R.reshape(R.shape[0] * K, -1)
            for layer, cache, slope in zip(self.layers, caches, caches[-1]):
                if isinstance(layer, Linear):
                    layer.dW += t.T @ slope
                    t = t @ layer.W
                else:
                    t = _masked(layer, t, cache, K)
        return dx


def _masked(layer: Layer, d: Array, cache: Array | None, K: int) -> Array:
    # ReLU and Dropout multiply by a mask: the same on the way up as on the way down
    return d if cache is None else layer.backward(d, cache.repeat(K, axis=0))
