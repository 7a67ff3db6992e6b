"""Teacher assistants: when the teacher is too far ahead, somebody in between teaches.

At a low temperature a large teacher, or one that knows its training rows by heart, can be a poor teacher of a
small student. A higher temperature is the first remedy, and often enough. Four others: a chain of networks
of falling size, each taught by the one before (`assistants`); the same with all of them teaching
(`densely_guided`); the teacher's own younger selves, one after the other (`Route`, `follow`); and a lesson
that ends before the training does, which needs nothing new:
`kd.steps(0.5, factor=0.0) * kd.SoftTargets(4)`. All are loops over `fit` and weights in the algebra.
Derivation: docs/derivations/assistant.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.checks import check_share, check_sites
from kdlearn.data.columns import Data, DataFunction
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.history import History
from kdlearn.nn.network import Network
from kdlearn.objective import Objective
from kdlearn.step import Networks
from kdlearn.training import fit

Rows = Data | DataFunction


def assistants(
    nets: Sequence[Network],
    objective: Objective | Callable[[list[str]], Objective],
    data: Rows,
    teacher: Network,
    **settings: Any,
) -> list[History]:
    r"""A chain of lessons: each network is taught by the one before it `[assistant.1]`.

    .. math:: \theta_i = \arg\min_\theta L(\theta;\ \theta_{i-1}), \qquad \theta_0 = \text{teacher},\quad i = 1 \dots n

    Parameters
    ----------
    nets : untrained networks, in the order of the chain; the last is the student. Trained in place.
    objective : reads the network before as `teacher` (e.g. `teacher.logits`), the one before that
        as `teacher2`, and so on; those it does not read are not run. Or a function of the list
        of these names that returns an objective: for `densely_guided`, and for adaptors, which
        would otherwise be handed on from lesson to lesson.
    data : as `fit` takes it; the same for every lesson.
    teacher : the trained network at the head of the chain.
    settings : of `fit` (`epochs`, `optimizer`, `seed`, …), the same for every lesson. Each begins
        with the optimiser's memory empty, and one seed means one order of batches for all. A
        `checkpoint` is one file a lesson, its name followed by `.1`, `.2`, …

    Returns
    -------
    One History a lesson.

    Source: Mirzadeh et al. 2020.
    """
    upstream, histories = [teacher], []
    for number, net in enumerate(nets, 1):
        teachers = {f"teacher{i}" if i > 1 else "teacher": t for i, t in enumerate(upstream, 1)}
        goal = objective if isinstance(objective, Objective) else objective(list(teachers))
        read = {site.rpartition(".")[0] for site in goal.sites}
        heard = {name: t for name, t in teachers.items() if name in read}
        histories.append(lesson(net, goal, data, heard, settings, number))
        upstream.insert(0, net)
    return histories


def densely_guided(
    names: Sequence[str], T: float = 4.0, alpha: float = 0.5, drop: float = 0.0, seed: int = 0
) -> Objective:
    r"""Labels and every network upstream `[assistant.2]`.

    .. math:: L = (1-\alpha)\,\mathrm{CE}(y, q) + \alpha \sum_{m=1}^{M} b_m\, T^2\,\mathrm{KL}(p_m\|q), \qquad
              \frac{\partial L}{\partial z} = \frac1N\Big[(1-\alpha)(q_1 - y)
              + \alpha T \sum_m b_m\,(q - p_m)\Big]

    with :math:`q_1` the student at T = 1. `assistants(nets, kd.densely_guided, …)` is the chain in
    which nobody upstream falls silent, so that a mistake of one assistant is not all that the next
    one hears.

    Parameters
    ----------
    names : of the teachers.
    T, alpha : temperature, and weight of each teacher.
    drop : share of steps that a teacher misses (`attendance`), drawn anew for each step and teacher.
    seed : of the draws.

    Source: Son et al. 2021, who drop teachers for each mini-batch; scaling up those that stay, as in
    dropout, is ours: the mean over the draws is then the objective without them.
    """
    check_sites(names=names)
    check_share("alpha", alpha)
    objective = (1 - alpha) * CrossEntropy()
    for m, name in enumerate(names):
        term = alpha * SoftTargets(T, teacher=f"{name}.logits")
        objective += attendance(drop, seed=(seed, m)) * term if drop else term
    return objective


def attendance(drop: float, seed: int | Sequence[int] = 0) -> Callable[[float], float]:
    r"""A weight that is 0 in a random share of the steps, and 1 on average `[assistant.3]`.

    .. math:: b(t) = \begin{cases}\frac{1}{1-r} & u(t) \ge r\\ 0 & u(t) < r\end{cases},\qquad
              u(t) \sim U[0, 1),\quad \mathrm{E}\,b = 1,\quad b(1) = 1

    The draw depends on the seed and the progress t alone, so that it is a function, the same
    whenever it is asked; t = 1 is where `fit` validates, with everyone present.

    Parameters
    ----------
    drop : r in [0, 1).
    """
    if not 0 <= drop < 1:
        raise ValueError(f"drop lies in [0, 1), got {drop!r}")
    key = [seed] if isinstance(seed, (int, np.integer)) else list(seed)

    def weight(progress: float) -> float:
        if progress >= 1:
            return 1.0
        u = np.random.default_rng([*key, int(progress * 2**53)]).random()
        return 1 / (1 - drop) if u >= drop else 0.0

    return weight


def follow(
    student: Network, route: Sequence[Network], objective: Objective, data: Rows, **settings: Any
) -> list[History]:
    r"""One student, taught by the teacher's younger selves in turn `[assistant.4]`.

    .. math:: \theta_s^{(i)} = \arg\min_\theta L(\theta;\ \theta_t^{(i)})\ \text{ started at }\ \theta_s^{(i-1)},
              \qquad i = 1 \dots n

    Parameters
    ----------
    student : trained in place, through all stages.
    route : the anchors, e.g. `Route.networks`; each is `teacher` for one stage.
    objective, data : as `fit` takes them.
    settings : of `fit`, the same for every stage; `epochs` are those of one stage. The rate's
        schedule and the optimiser's memory begin anew with each.

    Returns
    -------
    One History a stage.

    Source: Jin et al. 2019.
    """
    if not route:
        raise ValueError("a route needs at least one network; Route keeps those of epochs that the training reaches")
    return [lesson(student, objective, data, anchor, settings, number) for number, anchor in enumerate(route, 1)]


def lesson(
    student: Networks,
    objective: Objective,
    data: Rows,
    teachers: Networks | None,
    settings: Mapping[str, Any],
    number: int,
) -> History:
    """`fit` with these settings, its own checkpoint, and a copy of the optimiser that remembers nothing."""
    own = dict(settings)
    if own.get("optimizer") is not None:
        own["optimizer"] = own["optimizer"].fresh()
    if own.get("checkpoint") is not None:
        own["checkpoint"] = f"{os.fspath(own['checkpoint'])}.{number}"
    return fit(student, objective, data, teachers=teachers, **own)
