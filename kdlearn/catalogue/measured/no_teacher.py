"""Self-distillation and peers: nobody was trained before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdlearn.catalogue.measured.lessons import Lesson, Method, enter
from kdlearn.catalogue.measured.one_teacher import with_noise
from kdlearn.catalogue.measured.tasks import Ground
from kdlearn.distill import attention, branches, collaborative, ensemble, exits, mutual, past, views
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.hooks import LastEpoch, MovingAverage, StalePeers
from kdlearn.nn.network import MLP, Network

SELF, PEERS = "self-distillation", "online"


def own_exits(g: Ground, alpha: float, hint: float) -> Lesson:
    """Exits on the first hidden layer, taught by the last layer."""
    widths = g.task.student[1:3]
    made = [exits.exits(("student.h1", "student.h2"), widths, g.task.student[-1], alpha=alpha, hint=hint, seed=300 + s)
            for s in g.seeds]  # fmt: skip
    return Lesson([CrossEntropy() + e for e in made])


def progressive(g: Ground, alpha: float) -> Lesson:
    """PS-KD."""
    K = g.task.student[-1]
    data = [d.with_columns({"past.logits": past.label_logits(d.y, K)}) for d in g.lessons]
    return Lesson(past.progressive(alpha), data, hooks=(LastEpoch(),))


def class_wise(g: Ground, T: float, strength: float) -> Lesson:
    """CS-KD."""
    students = g.students()
    objective = CrossEntropy() + strength * SoftTargets(T, teacher="pair.logits")
    return Lesson(objective, [views.same_class(d) for d in g.lessons], {"student": students}, {"pair": students})


def agreeing(g: Ground, noise: float, strength: float) -> Lesson:
    """DDGSD."""
    student = g.students()

    def distort(x: Any, rng: np.random.Generator) -> Any:
        return x + noise * rng.standard_normal(x.shape, np.float32)

    data = [views.two_views(d, distort) for d in g.lessons]
    return Lesson(views.agreeing_views(weight=strength), data, {"a": student, "b": student}, measured="a")


def mean_teacher(g: Ground, noise: float, strength: float) -> Lesson:
    """The moving average sees the clean row, the student a noisy one."""
    students = g.students()
    data = []
    for d in g.lessons:
        disturbed = with_noise(d, noise)
        clean = d.x

        def rows(epoch: int, rng: np.random.Generator, disturbed: Any = disturbed, clean: Any = clean) -> Any:
            return disturbed(epoch, rng).with_columns({"mean.x": clean})

        data.append(rows)
    objective = CrossEntropy() + strength * SoftTargets(1, teacher="mean.logits")
    average = MovingAverage(0.99, teacher="mean")
    return Lesson(objective, data, {"student": students}, {"mean": students.copy()}, (average,))


NOISE = {"noise": (0.3, 1.0), "strength": (1.0, 3.0)}
enter(
    Method("exits taught by the last layer (BYOT)", SELF, own_exits, {"alpha": (0.1, 0.5), "hint": (0.0, 0.1)},
           ("be_your_own_teacher", "deep_to_shallow")),
    Method("targets of the epoch before (PS-KD)", SELF, progressive, {"alpha": (0.3, 0.5, 0.7, 0.9)},
           ("progressive_targets", "progressive_targets_in_the_first_epoch")),
    Method("another row of the class (CS-KD)", SELF, class_wise, {"T": (1.0, 4.0), "strength": (0.5, 2.0)},
           ("class_wise",)),
    Method("two views that agree (DDGSD)", SELF, agreeing, NOISE, ("agreeing_views", "two_views_of_one_network")),
    Method("mean teacher", SELF, mean_teacher, NOISE, ("mean_teacher",)),
)  # fmt: skip


# ------------------------------------------------------------------ peers


def peers(g: Ground, n: int) -> dict[str, Any]:
    """Students of one shape; the first begins as the student of every other arm does."""
    return {name: g.students(offset=i) for i, name in enumerate("abc"[:n])}


def learn(objective: Callable[..., Any], n: int = 2) -> Callable[..., Lesson]:
    """Peers that learn from each other; the first is measured."""
    return lambda g, **own: Lesson(objective(*"abc"[:n], **own), students=peers(g, n), measured="a")


def stale(g: Ground, T: float, weight: float) -> Lesson:
    """Codistillation: peers known by what they answered in the epoch before."""
    made = peers(g, 2)
    keeper = StalePeers(*made)
    data = [keeper.refresh(d, {name: net[i] for name, net in made.items()}) for i, d in enumerate(g.lessons)]
    return Lesson(mutual.codistillation(*made, T=T, weight=weight), data, made, hooks=(keeper,), measured="a")


def heads(g: Ground, n: int, seed: int) -> list[Network]:
    """Further heads on the first hidden layer."""
    width, K = g.task.student[1], g.task.student[-1]
    return [MLP(width, g.task.student[2], K, seed=400 + 50 * i + seed) for i in range(n)]


def gated(g: Ground, T: float, weight: float) -> Lesson:
    """ONE: branches of one trunk and their gated mixture."""
    seed = g.seeds[0]
    gate = branches.Gate(g.task.student[1], 3, seed=600 + seed)
    return Lesson(branches.one(gate, *heads(g, 2, seed), T=T, weight=weight))


def collaborating(g: Ground, T: float, share: float) -> Lesson:
    """CL-ILR: each head is taught by the mean of the others."""
    return Lesson([branches.cl_ilr(*heads(g, 2, s), T=T, beta=share) for s in g.seeds])


def listening(g: Ground, T: float, weight: float) -> Lesson:
    """OKDDip: peers who choose whom to listen to, and a leader, who is measured."""
    made = dict(zip(("leader", "a", "b"), (g.students(offset=i) for i in range(3))))
    ear = attention.Attention(g.task.student[1], 8, seed=700 + g.seeds[0])
    return Lesson(attention.okddip(ear, *made, T=T, weight=weight), students=made, measured="leader")


def averaged(*names: str, T: float, weight: float) -> Any:
    """KDCL with the mean of the peers' logits for a target."""
    return collaborative.kdcl(*names, target=lambda y, *z: ensemble.mean_of_logits(*z), T=T, weight=weight)


def kdcl(target: Callable[..., Any]) -> Callable[..., Any]:
    """KDCL with this target."""
    return lambda *names, T, weight: collaborative.kdcl(*names, target=target, T=T, weight=weight)


HOT = {"T": (1.0, 3.0), "weight": (0.3, 1.0)}
ALONE = "trained one by one, since its adaptor has several inputs"
enter(
    Method("mutual learning (DML)", PEERS, learn(mutual.mutual), HOT, ("mutual", "mutual_of_three")),
    Method("codistillation", PEERS, stale, HOT, ("stale_peers",)),
    Method("the best peer of each row (KDCL-Naive)", PEERS, learn(kdcl(collaborative.lowest_loss)), HOT,
           ("kdcl_naive",)),
    Method("the best mixture (KDCL-Linear)", PEERS, learn(kdcl(collaborative.best_mixture)), HOT, ("kdcl_linear",)),
    Method("the smallest logits (KDCL-MinLogit)", PEERS, learn(kdcl(collaborative.min_logit)), HOT,
           ("kdcl_min_logit",)),
    Method("the mean of the peers (KDCL)", PEERS, learn(averaged), HOT, ("kdcl_mean",)),
    Method("gated branches (ONE)", PEERS, gated, HOT, ("gated_branches",), alone=True, note=ALONE),
    Method("heads of one trunk (CL-ILR)", PEERS, collaborating, {"T": (1.0, 3.0), "share": (0.3, 0.7)},
           ("heads_of_one_trunk",)),
    Method("attention and a leader (OKDDip)", PEERS, listening, HOT, ("diverse_peers",), alone=True, note=ALONE),
)  # fmt: skip
