"""Branches of one trunk: several classifiers on one network's hidden layer teach each other.

Letters: N rows, H width of the hidden layer, K classes, M branches, T temperature. What is trained is
deployed as it is; heads and gate are thrown away. Derivation: docs/derivations/branches.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.checks import check_share, check_weight
from kdlearn.distill.ensemble import mean_of_logits
from kdlearn.distill.mutual import total
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.functional import softmax
from kdlearn.nn.layers import Linear
from kdlearn.nn.mixture import mixture, mixture_backward, team
from kdlearn.nn.module import Module
from kdlearn.nn.network import Network
from kdlearn.objective import Given, Objective, Through, Weight


class Gate(Module):
    r"""A trainable mixture of M answers, chosen by what the trunk sees `[branches.1]`.

    .. math:: z_e = \sum_m g_m z_m,\quad g = \mathrm{softmax}(hW + b), \qquad
              \frac{\partial L}{\partial z_m} = g_m\,d,\quad
              \frac{\partial L}{\partial g_m} = d\cdot z_m,\quad d = \frac{\partial L}{\partial z_e}

    An adaptor for `Through` with the sources (h, z_1, …, z_M).

    Parameters
    ----------
    width, members : H of h (N, H), and M.
    seed, dtype : as in `MLP`.

    Source: Lan, Zhu and Gong 2018, equation 5; their gate has batch normalisation and a ReLU before the
    softmax.
    """

    def __init__(self, width: int, members: int, seed: Any = 0, dtype: str = "float32") -> None:
        super().__init__([Linear(width, members, rng=np.random.default_rng(seed), dtype=dtype)])

    def forward(self, h: Array, *z: Array, taps: Iterable[str] | None = None) -> tuple[dict[str, Array], Any]:
        """`({"logits": z_e (N, K)}, cache)`."""
        a, cache = self.layers[0].forward(h)
        if len(z) != a.shape[1]:
            raise ValueError(f"this gate mixes {a.shape[1]} answers, got {len(z)}")
        g, Z = softmax(a), team(z)
        return {"logits": mixture(g, Z)}, (cache, g, Z)

    def backward(self, caches: Any, gradients: Mapping[str, Array], need_dx: bool = False) -> tuple[Array | None, ...]:
        """The gradients of h and of each answer."""
        cache, g, Z = caches
        da, dz = mixture_backward(g, Z, gradients["logits"])
        dh = self.layers[0].backward(da, cache, self.written, need_dx)
        self.written = True
        return dh, *dz


def one(
    gate: Gate,
    *heads: Network,
    hidden: str = "student.h1",
    student: str = "student.logits",
    T: float = 3.0,
    weight: Weight = 1.0,
) -> Objective:
    """On-the-fly native ensemble: the branches of one trunk, mixed by a gate, teach themselves.

    `cross_entropy` for every branch and for the gated mixture [branches.1], and, times `weight`,
    `soft_targets` of each branch from the mixture, held. The first branch is the student's own
    output: what is trained is deployed as it is, and heads and gate are thrown away.

    Parameters
    ----------
    gate : `Gate(width of hidden, 1 + len(heads))`.
    heads : networks from `hidden` to logits, the further branches.
    hidden, student : the student's sites: where the branches start, and its own answer.
    T : temperature.

    Source: Lan, Zhu and Gong 2018, equation 8.
    """
    branches = [student, *(f"{hidden}>head{i}" for i in range(1, len(heads) + 1))]
    mixed = f"{hidden}>gate"
    check_weight("weight", weight)
    taught = total([SoftTargets(T, branch, mixed) for branch in branches]).scaled(weight)
    inner = total([*(CrossEntropy(site) for site in (*branches, mixed)), taught])
    return _through(heads, hidden, branches[1:], Through(gate, (hidden, *branches), mixed, inner))


def cl_ilr(
    *heads: Network, hidden: str = "student.h1", student: str = "student.logits", T: float = 2.0, beta: float = 0.5
) -> Objective:
    r"""Collaborative learning of heads on one trunk: each is taught by the mean of the others `[branches.2]`.

    .. math:: L = \sum_m \Big[\beta\,\mathrm{CE}(z_m, y) + (1-\beta)\,T^2\,
              \mathrm{KL}\Big(\mathrm{softmax}\big(\tfrac{\bar z_{-m}}{T}\big)\,\Big\|\,p_m\Big)\Big],\qquad
              \bar z_{-m} = \frac{1}{M-1}\sum_{j\ne m} z_j

    The paper divides the gradient that enters the trunk by M, so that the trunk does not learn M
    times as fast as the heads. That is no derivative of L and is not done here: `1 / M * cl_ilr(…)`
    gives the trunk the same gradient, and the heads theirs divided by M, to which Adam is blind.

    Parameters
    ----------
    heads : networks from `hidden` to logits, beside the student's own output; at least one.
    hidden, student : the student's sites: where the heads start, and its own answer.
    T : temperature.
    beta : share of the labels.

    Source: Song and Chai 2018, section 3.
    """
    if not heads:
        raise ValueError("collaborative learning needs at least one head beside the student's own")
    check_share("beta", beta)
    answers = [student, *(f"{hidden}>head{i}" for i in range(1, len(heads) + 1))]
    parts: list[Objective] = []
    for own in answers:
        others = tuple(a for a in answers if a != own)
        taught = Given(f"others of {own}", mean_of_logits, others, SoftTargets(T, own, f"others of {own}"))
        parts += [beta * CrossEntropy(own), (1 - beta) * taught]
    return _through(heads, hidden, answers[1:], total(parts))


def _through(heads: Sequence[Network], hidden: str, targets: Sequence[str], inner: Objective) -> Objective:
    for head, target in zip(heads, targets):
        inner = Through(head, hidden, target, inner)
    return inner
