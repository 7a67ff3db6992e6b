"""Mutual learning: peers without a teacher, each of whom has the others for teachers.

Letters: N rows, K classes, M peers, T temperature. Peers are students with names; a peer's answer
is read twice, `live` where it learns and `fixed` where it teaches, and that is all there is to
it: each of these methods is a sum of terms. Two of them need more than a sum: `alternating_step`
goes to `fit(step=…)`, and `StalePeers` is a hook. Derivation: docs/derivations/mutual.md.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence

from kdlearn.backend import Array
from kdlearn.checks import check_share, check_size, check_weight
from kdlearn.distill.ensemble import mean_of_probabilities
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.hooks import check_names
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Given, Objective, Weight
from kdlearn.step import Dice, Networks, Values, hand_back, members_of, named, run_networks, trained


def mutual(*names: str, T: float = 1.0, weight: Weight = 1.0) -> Objective:
    r"""Deep mutual learning: each peer has the labels, and all the others for teachers `[mutual.1]`.

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
    check_weight("weight", weight)
    share = 1 / max(len(names) - 1, 1)
    peers = [
        (share * SoftTargets(T, f"{i}.logits", f"{j}.logits")).scaled(weight) for i in names for j in names if i != j
    ]
    return total([*each_with_labels(names), *peers])


def alternating_step(
    students: Networks,
    teachers: Networks | None,
    objective: Objective,
    batch: Mapping[str, Array],
    *,
    optimizer: Optimizer,
    rng: Dice = None,
) -> dict[str, Array]:
    r"""A step in which the peers move one after the other, each facing the others as they are by then `[mutual.2]`.

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
        report = report or Values(result, students)
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


def codistillation(*names: str, T: float = 1.0, burn_in: float = 0.25, weight: float = 1.0) -> Objective:
    r"""Each peer learns from what the others answered some time ago `[mutual.3]`.

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
    check_share("burn_in", burn_in)
    check_size("weight", weight)
    parts = each_with_labels(names)
    for i in names:
        others = tuple(f"stale.{j}.logits" for j in names if j != i)
        if others:
            taught = SoftTargets(T, f"{i}.logits", f"others of {i}").scaled(functools.partial(_from, burn_in, weight))
            parts.append(Given(f"others of {i}", functools.partial(mean_of_probabilities, T=T), others, taught))
    return total(parts)


# ------------------------------------------------------------------ what they are made of


def each_with_labels(names: Sequence[str], labels: str = "y") -> list[Objective]:
    """`cross_entropy` for each of these students."""
    return [CrossEntropy(f"{name}.logits", labels) for name in names]


def total(parts: Sequence[Objective]) -> Objective:
    """The sum of these parts."""
    return functools.reduce(operator.add, parts)


def _from(start: float, weight: float, progress: float) -> float:
    return weight if progress >= start else 0.0
