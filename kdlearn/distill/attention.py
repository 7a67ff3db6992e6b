"""Peers who choose whom to listen to, and a leader who listens to all.

Letters: N rows, H width of the features, K classes, M peers, T temperature.
Derivation: docs/derivations/attention.md.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_weight
from kdlearn.distill.divergence import reverse_kl
from kdlearn.distill.ensemble import mean_of_logits
from kdlearn.distill.mutual import each_with_labels, total
from kdlearn.distill.response import SoftTargets, soft_targets
from kdlearn.hooks import check_names
from kdlearn.loss import mean_over_rows
from kdlearn.nn.functional import softmax
from kdlearn.nn.layers import Layer
from kdlearn.nn.mixture import mixture, mixture_backward, team
from kdlearn.nn.module import Module
from kdlearn.objective import Given, Objective, Term, Through, Weight


class Attention(Module):
    r"""A trainable mixture of the peers' answers for one of them, by how their features match `[attention.1]`.

    .. math:: t = \sum_m g_m z_m,\quad g = \mathrm{softmax}_m\big((h L)\cdot(h_m E)\big), \qquad
              \frac{\partial L}{\partial (hL)} = \sum_m e_m\,h_m E,\quad
              \frac{\partial L}{\partial (h_m E)} = e_m\,hL,\quad
              e = \frac{\partial L}{\partial\,(\text{scores})}

    An adaptor for `Through` with the sources (h, h_1, …, h_M, z_1, …, z_M). It is not symmetric: a
    peer may listen to one who does not listen back, and so peers stay different.

    Parameters
    ----------
    width, size : H of the features (N, H), and the width of the two projections L and E, (H, size).
    seed, dtype : as in `MLP`.

    Source: Chen et al. 2020, section 3.2, with logits mixed as in their code (read from source, not executed).
    """

    def __init__(self, width: int, size: int = 8, seed: Any = 0, dtype: str = "float32") -> None:
        rng, layer = np.random.default_rng(seed), Layer()
        layer.weights = ("L", "E")
        draw = rng.standard_normal((2, width, size)) / width**0.5
        layer.hold(L=draw[0].astype(dtype), E=draw[1].astype(dtype))
        super().__init__([layer])

    def forward(self, h: Array, *peers: Array, taps: Iterable[str] | None = None) -> tuple[dict[str, Array], Any]:
        """`({"logits": t (N, K)}, cache)`; `peers` are M features, then M answers."""
        layer: Any = self.layers[0]
        if len(peers) % 2 or len({a.shape for a in (h, *peers[: len(peers) // 2])}) != 1:
            raise ValueError(f"attention takes as many features, all of one width, as answers, got {len(peers)} arrays")
        if h.shape[1] != layer.L.shape[0]:
            raise ValueError(f"the features have rows of {h.shape[1]} numbers, this attention takes {layer.L.shape[0]}")
        xp, M = array_module(h), len(peers) // 2
        H, Z = xp.stack(peers[:M]), team(peers[M:])
        u, V = h @ layer.L, H @ layer.E
        g = softmax((u * V).sum(axis=2).T)
        return {"logits": mixture(g, Z)}, (h, H, Z, u, V, g)

    def backward(self, caches: Any, gradients: Mapping[str, Array], need_dx: bool = False) -> tuple[Array, ...]:
        """The gradients of h, of the peers' features and of their answers."""
        h, H, Z, u, V, g = caches
        layer: Any = self.layers[0]
        e, dz = mixture_backward(g, Z, gradients["logits"])
        scores = e.T[:, :, None]
        du, dV = (scores * V).sum(axis=0), scores * u
        if not self.written:
            self.grad[...] = 0
        self.written = True
        layer.dL += h.T @ du
        layer.dE += (H.swapaxes(1, 2) @ dV).sum(axis=0)
        return du @ layer.L.T, *(d @ layer.E.T for d in dV), *dz


@mean_over_rows
def moving_target(z: Array, z_t: Array, T: float = 3.0) -> tuple[Array, tuple[Array, Array]]:
    r"""`soft_targets` from a teacher who moves as well: a gradient for each `[attention.2]`.

    .. math:: L = \frac{T^2}{N}\sum_n w_n\,\mathrm{KL}(p_n\,\|\,q_n), \qquad
              \frac{\partial L}{\partial z} = \frac{w\,T}{N}(q - p),\quad
              \frac{\partial L}{\partial z_t} = \frac{w\,T}{N}\,p\,\Big(\delta - \sum_k p_k\delta_k\Big),\quad
              \delta = \frac{z_t - z}{T}

    A term with two live sites: `Term(moving_target, ("a.logits", "target"))`. Shapes (N, K).

    Example
    -------
    >>> import numpy as np
    >>> z, z_t = np.log([[1.0, 1.0]]), np.log([[3.0, 1.0]])  # q = (1/2, 1/2), p = (3/4, 1/4)
    >>> value, (dz, dz_t) = moving_target(z, z_t, T=1.0)
    >>> print(round(float(value), 4), dz.round(4), dz_t.round(4))
    0.1308 [[-0.25  0.25]] [[ 0.206 -0.206]]
    """
    rows, dz = soft_targets.rows(z, z_t, T)  # type: ignore[attr-defined]
    return rows, (dz, reverse_kl.rows(z_t, z, T)[1])  # type: ignore[attr-defined]


def okddip(
    attention: Attention, leader: str, *peers: str, tap: str = "h1", T: float = 3.0, weight: Weight = 1.0
) -> Objective:
    """Diverse peers and a group leader: each peer learns from a mixture of its own, the leader from their mean.

    `cross_entropy` for everyone; times `weight`, `moving_target` [attention.2] of each peer from the
    mixture that `attention` [attention.1] makes for it, and `soft_targets` of the leader from the mean
    of the peers' logits, held. The leader is the one to be deployed.

    Parameters
    ----------
    attention : one for all peers; it learns what helps them to agree.
    leader, peers : names of students.
    tap : the peers' features that attention compares; of one width.
    T : temperature.

    Source: Chen et al. 2020, equations 4 to 8. As in their code the gradient goes through the
    mixture; there it also goes from the leader's loss into the peers (read from source, not executed).
    """
    check_names((leader, *peers))
    if not peers:
        raise ValueError("a leader needs at least one peer")
    check_weight("weight", weight)
    features, answers = [f"{p}.{tap}" for p in peers], [f"{p}.logits" for p in peers]
    loss = functools.partial(moving_target, T=T)
    taught: list[Objective] = [
        Through(attention, (h, *features, *answers), f"target of {z}", Term(loss, (z, f"target of {z}")))
        for h, z in zip(features, answers)
    ]
    taught.append(
        Given(
            "mean of the peers", mean_of_logits, tuple(answers), SoftTargets(T, f"{leader}.logits", "mean of the peers")
        )
    )
    return total([*each_with_labels((leader, *peers)), *(part.scaled(weight) for part in taught)])
