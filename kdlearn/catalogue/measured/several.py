"""Methods with several teachers, and those that change who the teacher is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdlearn.catalogue.measured.lessons import Lesson, Method, enter
from kdlearn.catalogue.measured.one_teacher import HEAT, mixed
from kdlearn.catalogue.measured.tasks import TEAM, Ground
from kdlearn.data import Data
from kdlearn.distill import assistant, ensemble
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.metrics import accuracy
from kdlearn.nn.functional import softmax
from kdlearn.nn.optim import steps
from kdlearn.objective import Given

LOGITS = tuple(f"{who}.logits" for who in TEAM)


def together(answer: Callable[..., Any], heated: bool = True) -> Callable[..., Lesson]:
    """Soft targets from one answer that is made of all the teachers'."""

    def teach(g: Ground, T: float, weight: float) -> Lesson:
        made = functools.partial(answer, T=T) if heated else answer
        return Lesson(mixed(weight, Given("team.logits", made, LOGITS, SoftTargets(T, teacher="team.logits"))))

    return teach


def weighted(rule: Callable[..., Any], given: Sequence[str] = (), heated: bool = False) -> Callable[..., Lesson]:
    """Soft targets from each teacher, weighted row by row."""

    def teach(g: Ground, T: float, weight: float) -> Lesson:
        made = functools.partial(rule, T=T) if heated else rule
        return Lesson(mixed(weight, ensemble.weighted_teachers(LOGITS, made, T=T, given=tuple(given))))

    return teach


def by_accuracy(g: Ground, T: float, weight: float) -> Lesson:
    """Teachers weighted by their accuracy on the validation rows, one weighting a seed, as columns of weights."""
    data = []
    for i, d in enumerate(g.lessons):
        held = g.validation[i]
        shares = ensemble.accuracy_weights(*(accuracy(g.teachers[t][i].logits(held.x), held.y) for t in TEAM))
        data.append(d.with_columns({f"w.{t}": np.full(len(d), w, np.float32) for t, w in zip(TEAM, shares)}))
    columns = tuple(f"w.{t}" for t in TEAM)
    return Lesson(mixed(weight, ensemble.weighted_teachers(LOGITS, columns, T=T)), data)


TABLE = "several teachers"
enter(
    Method("mean of the teachers' probabilities", TABLE, together(ensemble.mean_of_probabilities), HEAT,
           ("team_votes",)),
    Method("mean of the teachers' logits", TABLE, together(ensemble.mean_of_logits, False), HEAT, ("team_agrees",)),
    Method("median of the teachers' probabilities", TABLE, together(ensemble.median_of_probabilities), HEAT,
           ("team_median",)),
    Method("weights by certainty (EB-KD)", TABLE, weighted(ensemble.entropy_weights, heated=True), HEAT,
           ("weights_by_entropy",)),
    Method("weights by loss on the label (CA-MKD)", TABLE, weighted(ensemble.confidence_weights, ("y",)), HEAT,
           ("weights_by_confidence",)),
    Method("weights by held-out accuracy", TABLE, by_accuracy, HEAT, ("weights_by_accuracy",)),
    Method("weights in gradient space (AE-KD)", TABLE,
           weighted(ensemble.gradient_weights, ("student.logits",), heated=True), HEAT, ("weights_in_gradient_space",)),
)  # fmt: skip


# ------------------------------------------------------------------ who the teacher is


def teacher(who: str) -> Callable[..., Lesson]:
    """Soft targets of another teacher."""
    return lambda g, T, weight: Lesson(mixed(weight, SoftTargets(T, teacher=f"{who}.logits")))


def dense(g: Ground, T: float, alpha: float) -> Lesson:
    """All networks upstream teach."""
    return Lesson(assistant.densely_guided(["assistant", "teacher"], T=T, alpha=alpha))


def ends_early(g: Ground, T: float, until: float) -> Lesson:
    """Soft targets until a share of the training is over."""
    return Lesson(CrossEntropy() + steps(until, factor=0.0) * SoftTargets(T))


def route(g: Ground, T: float, weight: float) -> Lesson:
    """The teacher's younger selves, one after the other, in one training."""

    def rows(data: Data) -> Callable[[int, np.random.Generator], Data]:
        def now(epoch: int, rng: np.random.Generator) -> Data:
            who = ("young", "half", "teacher")[min(2, 3 * epoch // g.epochs)]
            return data.with_columns({"anchor.logits": data.columns[f"{who}.logits"]})

        return now

    return Lesson(mixed(weight, SoftTargets(T, teacher="anchor.logits")), [rows(d) for d in g.lessons])


def by_confidence(g: Ground, power: float) -> Lesson:
    """Labels weighted by how sure the twin is of its answer (CWTM); `power` sharpens the weights."""
    data = []
    for d in g.lessons:
        sure = softmax(d.columns["twin.logits"]).max(axis=1) ** power
        data.append(d.with_columns({"trust": (sure / sure.mean()).astype(np.float32)}))
    return Lesson(CrossEntropy() * "trust", data)


WHO = "who the teacher is"
enter(
    Method("a teacher of the student's size", WHO, teacher("twin"), HEAT, ("born_again",),
           note="of the teacher's labels; on noise it is the second generation of a born-again network"),
    Method("only how sure the twin is (CWTM)", WHO, by_confidence, {"power": (0.5, 1.0, 2.0, 4.0)},
           ("born_again_by_confidence",)),
    Method("a teacher stopped early", WHO, teacher("young"), HEAT, ("a_lesson_that_has_ended",),
           note="an eighth of its epochs"),
    Method("a teacher assistant", WHO, teacher("assistant"), HEAT, ("teacher_assistant",)),
    Method("densely guided (DGKD)", WHO, dense, {"T": (2.0, 8.0), "alpha": (0.5, 0.9)}, ("densely_guided",)),
    Method("a lesson that ends early (ESKD)", WHO, ends_early, {"T": (2.0, 8.0), "until": (0.3, 0.6)},
           ("a_lesson_that_ends_early",)),
    Method("a route of anchors (RCO)", WHO, route, HEAT, ("an_anchor_of_a_route",),
           note="three anchors, one training"),
)  # fmt: skip
