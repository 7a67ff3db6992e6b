"""Online distillation: students without a teacher, who learn together.

Letters: N rows, K classes, M peers, T temperature. Peers are students with names; a peer's answer
is read twice, `live` where it learns and `fixed` where it teaches, and that is all there is to
it: each of these methods is a sum of terms. Two of them need more than a sum: `alternating_step`
goes to `fit(step=…)`, and `StalePeers` is a hook. Derivation: docs/derivations/online.md.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.distill.divergence import reverse_kl
from kdlearn.distill.ensemble import descend_on_simplex, mean_of_logits, mean_of_probabilities
from kdlearn.distill.response import CrossEntropy, SoftTargets, soft_targets
from kdlearn.hooks import check_names
from kdlearn.loss import check_logits, mean_over_rows
from kdlearn.nn.functional import log_softmax, one_hot, softmax, softmax_backward
from kdlearn.nn.layers import Layer, Linear
from kdlearn.nn.module import Module
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Given, Objective, Term, Through, Weight
from kdlearn.step import Dice, Networks, hand_back, members_of, named, run_networks, trained

# ------------------------------------------------------------------ every peer is a teacher


def mutual(*names: str, T: float = 1.0, weight: Weight = 1.0) -> Objective:
    r"""Deep mutual learning: each peer has the labels, and all the others for teachers `[online.1]`.

    .. math:: L = \sum_i \Big[\mathrm{CE}(z_i, y) + \frac{1}{M-1}\sum_{j\ne i} T^2\,\mathrm{KL}(p_j\,\|\,p_i)\Big],
              \qquad \frac{\partial L}{\partial z_i} = \frac1N\Big[q_i - \mathrm{onehot}(y)
              + T\Big(p_i - \frac{1}{M-1}\sum_{j\ne i} p_j\Big)\Big]

    with :math:`q_i` the answer at temperature 1. Each :math:`p_j` is held where it teaches. With
    `train_step` all peers move at once; `alternating_step` is the published order. A single peer has
    the labels alone.

    Parameters
    ----------
    names : of the students, at least one.
    T : temperature, 1 in the paper.
    weight : of the peers' part, 1 in the paper.

    Source: Zhang et al. 2018, equations 5 to 8 and, for more than two, 9.
    """
    check_names(names)
    share = 1 / max(len(names) - 1, 1)
    peers = [
        (share * SoftTargets(T, f"{i}.logits", f"{j}.logits")).scaled(weight) for i in names for j in names if i != j
    ]
    return _sum([*_labels(names), *peers])


def alternating_step(
    students: Networks,
    teachers: Networks | None,
    objective: Objective,
    batch: Mapping[str, Array],
    *,
    optimizer: Optimizer,
    rng: Dice = None,
) -> dict[str, Array]:
    r"""A step in which the peers move one after the other, each facing the others as they are by then `[online.2]`.

    .. math:: \theta_i \leftarrow \theta_i - \eta\,\frac{\partial}{\partial\theta_i}
              L(\theta_1^{\mathrm{new}}, \dots, \theta_{i-1}^{\mathrm{new}}, \theta_i, \dots, \theta_M)

    For `fit(step=alternating_step)`. After a peer has moved it is run afresh, so the next one learns
    from its new answers. Costs M evaluations of the objective and one more forward pass for all but
    the last peer. A network with two names moves once, adaptors after everyone. The values
    returned are those from before anyone moved. Parameters as in `train_step`.

    Source: Zhang et al. 2018, algorithm 1. A widely used PyTorch version computes all answers first
    and then moves the networks in turn, which is the simultaneous rule (read from source, not executed).
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    live, fixed, caches = run_networks(students, teachers, objective, batch, rng)
    moved = trained(students, objective)
    report: dict[str, Array] = {}
    turns = list(dict.fromkeys(students.values()))
    for net in turns:
        for other in moved:
            other.written = False
        result = objective(live, fixed, members=members_of(students))
        report = report or {"loss": result.value, **result.terms}
        own = {name: student for name, student in students.items() if student is net}
        hand_back(own, caches, result)
        optimizer.step(net)
        if net is not turns[-1]:
            again, _, _ = run_networks(own, {}, objective, batch, rng)
            live.update(again)
            fixed.update(again)
    for adaptor in objective.nets:
        if adaptor not in turns:
            optimizer.step(adaptor)
    return report


# ------------------------------------------------------------------ the peers make one teacher


def lowest_loss(y: Array, *logits: Array) -> Array:
    r"""In each row the answer of the peer with the smallest loss `[online.3]`.

    .. math:: z_t = z_m,\qquad m = \arg\min_i\,\mathrm{CE}(z_i, y)

    Shapes: y (N,), each of the logits (N, K). Source: Guo et al. 2020, section 3.2 (KDCL-Naive).
    """
    Z = _stacked(logits)
    M = Z.shape[0]
    chosen = one_hot(_losses(y, Z).argmin(axis=1), M, Z.dtype)
    xp = array_module(Z)
    return xp.where(chosen.T[:, :, None] > 0, Z, 0).sum(axis=0)


def best_mixture(y: Array, *logits: Array, steps: int = 20) -> Array:
    r"""In each row the convex combination of the peers' logits with the smallest loss `[online.4]`.

    .. math:: z_t = \sum_m w_m z_m,\qquad w = \arg\min_{w\ge0,\ \sum w = 1} \mathrm{CE}\Big(\sum_m w_m z_m,\ y\Big),
              \qquad \frac{\partial\,\mathrm{CE}}{\partial w_m} = z_m\cdot(p - \mathrm{onehot}(y))

    Convex in w. The search starts at `lowest_loss` and never rises, so it is at least as good, after
    however few steps. Logits must be finite.

    Parameters
    ----------
    steps : shifts of weight from one peer to another, the most promising pair each time.

    Source: Guo et al. 2020, section 3.2 (KDCL-Linear).
    """
    Z = _stacked(logits)
    M, K = Z.shape[0], Z.shape[2]
    target = one_hot(y, K, Z.dtype)

    def slope(w: Array) -> Array:
        r = softmax(mixture(w, Z)) - target
        return (Z * r).sum(axis=2).T

    def curvature(d: Array) -> Array:
        # the variance of a quantity that spans a range is at most a quarter of the range's square
        v = mixture(d, Z)
        span = v.max(axis=1) - v.min(axis=1)
        return 0.25 * span * span

    w = one_hot(_losses(y, Z).argmin(axis=1), M, Z.dtype)
    return mixture(descend_on_simplex(slope, curvature, w, steps), Z) if M > 1 else Z[0]


def min_logit(y: Array, *logits: Array) -> Array:
    r"""In each class the smallest lead that any peer gives it over the label's `[online.5]`.

    .. math:: z_{t,k} = \min_m\,(z_{m,k} - z_{m,y}), \qquad
              \mathrm{CE}(z_t, y) = \log\sum_k e^{z_{t,k}} \le \min_m \mathrm{CE}(z_m, y)

    A teacher better than each of the peers on every row, and surer than all of them. Shapes: y
    (N,), each of the logits (N, K). Source: Guo et al. 2020, section 3.2 (KDCL-MinLogit).
    """
    _check_labels(y, logits)
    xp = array_module(y, *logits)
    return xp.stack([z - xp.take_along_axis(z, y[:, None], axis=1) for z in logits]).min(axis=0)


def kdcl(
    *names: str, target: Callable[..., Array] = min_logit, T: float = 2.0, weight: Weight = 1.0, labels: str = "y"
) -> Objective:
    """Collaborative learning: the peers' answers are made into one, which teaches them all.

    The sum over the peers of `cross_entropy` and, times `weight`, `soft_targets` from
    `target(y, *logits)`, which is held.

    Parameters
    ----------
    names : of the students.
    target : `lowest_loss` [online.3], `best_mixture` [online.4], `min_logit` [online.5], or any
        function of the labels and the peers' logits, e.g. `lambda y, *z: mean_of_logits(*z)`.
    T : temperature.
    weight : of the distillation.
    labels : name of their column.

    Source: Guo et al. 2020, equation 2; there each peer also sees an augmentation of its own, which
    is a column `<name>.x`.
    """
    check_names(names)
    answers = [f"{name}.logits" for name in names]
    taught = _sum([SoftTargets(T, answer, "team") for answer in answers]).scaled(weight)
    return _sum([*_labels(names, labels), Given("team", target, (labels, *answers), taught)])


# ------------------------------------------------------------------ branches of one trunk


class Gate(Module):
    r"""A trainable mixture of M answers, chosen by what the trunk sees `[online.6]`.

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
        g, Z = softmax(a), _stacked(z)
        return {"logits": mixture(g, Z)}, (cache, g, Z)

    def backward(self, caches: Any, gradients: Mapping[str, Array], need_dx: bool = False) -> tuple[Array | None, ...]:
        """The gradients of h and of each answer."""
        cache, g, Z = caches
        da, dz = _mixture_backward(g, Z, gradients["logits"])
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

    `cross_entropy` for every branch and for the gated mixture [online.6], and, times `weight`,
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
    taught = _sum([SoftTargets(T, branch, mixed) for branch in branches]).scaled(weight)
    inner = _sum([*(CrossEntropy(site) for site in (*branches, mixed)), taught])
    return _through(heads, hidden, branches[1:], Through(gate, (hidden, *branches), mixed, inner))


def cl_ilr(
    *heads: Network, hidden: str = "student.h1", student: str = "student.logits", T: float = 2.0, beta: float = 0.5
) -> Objective:
    r"""Collaborative learning of heads on one trunk: each is taught by the mean of the others `[online.7]`.

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
    answers = [student, *(f"{hidden}>head{i}" for i in range(1, len(heads) + 1))]
    parts: list[Objective] = []
    for own in answers:
        others = tuple(a for a in answers if a != own)
        taught = Given(f"others of {own}", mean_of_logits, others, SoftTargets(T, own, f"others of {own}"))
        parts += [beta * CrossEntropy(own), (1 - beta) * taught]
    return _through(heads, hidden, answers[1:], _sum(parts))


# ------------------------------------------------------------------ whom to listen to, learned


class Attention(Module):
    r"""A trainable mixture of the peers' answers for one of them, by how their features match `[online.8]`.

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
        xp, M = array_module(h), len(peers) // 2
        H, Z = xp.stack(peers[:M]), _stacked(peers[M:])
        u, V = h @ layer.L, H @ layer.E
        g = softmax((u * V).sum(axis=2).T)
        return {"logits": mixture(g, Z)}, (h, H, Z, u, V, g)

    def backward(self, caches: Any, gradients: Mapping[str, Array], need_dx: bool = False) -> tuple[Array, ...]:
        """The gradients of h, of the peers' features and of their answers."""
        h, H, Z, u, V, g = caches
        layer: Any = self.layers[0]
        e, dz = _mixture_backward(g, Z, gradients["logits"])
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
    r"""`soft_targets` from a teacher who moves as well: a gradient for each `[online.9]`.

    .. math:: L = \frac{T^2}{N}\sum_n w_n\,\mathrm{KL}(p_n\,\|\,q_n), \qquad
              \frac{\partial L}{\partial z} = \frac{w\,T}{N}(q - p),\quad
              \frac{\partial L}{\partial z_t} = \frac{w\,T}{N}\,p\,\Big(\delta - \sum_k p_k\delta_k\Big),\quad
              \delta = \frac{z_t - z}{T}

    A term with two live sites: `Term(moving_target, ("a.logits", "target"))`. Shapes (N, K).
    """
    rows, dz = soft_targets.rows(z, z_t, T)  # type: ignore[attr-defined]
    return rows, (dz, reverse_kl.rows(z_t, z, T)[1])  # type: ignore[attr-defined]


def okddip(
    attention: Attention, leader: str, *peers: str, tap: str = "h1", T: float = 3.0, weight: Weight = 1.0
) -> Objective:
    """Diverse peers and a group leader: each peer learns from a mixture of its own, the leader from their mean.

    `cross_entropy` for everyone; times `weight`, `moving_target` [online.9] of each peer from the
    mixture that `attention` [online.8] makes for it, and `soft_targets` of the leader from the mean
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
    return _sum([*_labels((leader, *peers)), *(part.scaled(weight) for part in taught)])


# ------------------------------------------------------------------ peers who are out of date


def codistillation(*names: str, T: float = 1.0, burn_in: float = 0.25, weight: float = 1.0) -> Objective:
    r"""Each peer learns from what the others answered some time ago `[online.10]`.

    .. math:: L = \sum_i \Big[\mathrm{CE}(z_i, y) + w(t)\,T^2\,
              \mathrm{KL}\Big(\frac{1}{M-1}\sum_{j\ne i}\tilde p_j\,\Big\|\,p_i\Big)\Big],\qquad
              w(t) = w\,[t \ge \text{burn-in}]

    with :math:`\tilde p_j` from the column `stale.<name>.logits`, which `StalePeers` keeps. Peers that
    read no live sites of each other could be trained on different machines.

    Parameters
    ----------
    names : of the students.
    T : temperature, 1 in the paper.
    burn_in : share of the training, in [0, 1], in which the others do not count yet.
    weight : w of the peers' part, once they count.

    Source: Anil et al. 2018, algorithm 1.
    """
    check_names(names)
    if not 0 <= burn_in <= 1:
        raise ValueError(f"burn_in is a share of the training in [0, 1], got {burn_in!r}")
    parts = _labels(names)
    for i in names:
        others = tuple(f"stale.{j}.logits" for j in names if j != i)
        if others:
            taught = SoftTargets(T, f"{i}.logits", f"others of {i}").scaled(functools.partial(_from, burn_in, weight))
            parts.append(Given(f"others of {i}", functools.partial(mean_of_probabilities, T=T), others, taught))
    return _sum(parts)


# ------------------------------------------------------------------ what they are made of


def mixture(w: Array, Z: Array) -> Array:
    """(N, K) sums over m of w (N, M) times Z (M, N, K)."""
    return (w.T[:, :, None] * Z).sum(axis=0)


def _mixture_backward(g: Array, Z: Array, d: Array) -> tuple[Array, list[Array]]:
    """Gradients of the scores whose softmax is g, (N, M), and of each of the M answers."""
    return softmax_backward(g, (Z * d).sum(axis=2).T), [g[:, m : m + 1] * d for m in range(Z.shape[0])]


def _stacked(logits: Sequence[Array]) -> Array:
    check_logits(*logits)
    return array_module(*logits).stack(list(logits))


def _losses(y: Array, Z: Array) -> Array:
    """(N, M) cross-entropies of the answers Z (M, N, K)."""
    _check_labels(y, Z)
    xp = array_module(y, Z)
    return xp.stack([-xp.take_along_axis(log_softmax(z), y[:, None], axis=1)[:, 0] for z in Z], axis=1)


def _check_labels(y: Array, logits: Sequence[Array]) -> None:
    if y.shape != logits[0].shape[:1]:
        raise ValueError(f"y must hold one label a row, shape {logits[0].shape[:1]}, got {y.shape}")


def _labels(names: Sequence[str], labels: str = "y") -> list[Objective]:
    return [CrossEntropy(f"{name}.logits", labels) for name in names]


def _through(heads: Sequence[Network], hidden: str, targets: Sequence[str], inner: Objective) -> Objective:
    for head, target in zip(heads, targets):
        inner = Through(head, hidden, target, inner)
    return inner


def _sum(parts: Sequence[Objective]) -> Objective:
    return functools.reduce(operator.add, parts)


def _from(start: float, weight: float, progress: float) -> float:
    return weight if progress >= start else 0.0
