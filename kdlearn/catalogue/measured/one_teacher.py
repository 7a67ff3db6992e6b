"""Labels, their controls, and every method with one teacher."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kdlearn.catalogue.measured.lessons import DECAY, Lesson, Method, enter
from kdlearn.catalogue.measured.tasks import Ground
from kdlearn.data import Data
from kdlearn.distill import divergence, feature, logits, relation, targets
from kdlearn.distill.jacobian import WithJacobian
from kdlearn.distill.response import CrossEntropy, SoftTargets, logit_matching
from kdlearn.distill.temperature import AdversarialTemperature, ScheduledTemperature
from kdlearn.loss import across_rows
from kdlearn.nn.network import MLP
from kdlearn.objective import Given, Match, Objective, Term, Through

SITE, TEACHER = "student.logits", "teacher.logits"
ANGLES = 16  # rows among which angles are compared
HEAT = {"T": (2.0, 8.0), "weight": (0.5, 1.0)}


def mixed(weight: float, soft: Objective) -> Objective:
    """`(1 - weight)` times the labels and `weight` times the rest."""
    return soft if weight == 1 else (1 - weight) * CrossEntropy() + weight * soft


def soft(g: Ground, T: float, weight: float) -> Lesson:
    """Soft targets."""
    return Lesson(mixed(weight, SoftTargets(T)))


def with_noise(data: Data, deviation: float) -> Callable[[int, np.random.Generator], Data]:
    """Rows with new Gaussian noise each epoch; it draws from a stream of its own, so that batches stay paired."""

    def rows(epoch: int, rng: np.random.Generator) -> Data:
        seed: Any = rng.bit_generator.seed_seq
        own = np.random.default_rng([*np.atleast_1d(seed.entropy), epoch])
        return data.with_columns({"x": data.x + deviation * own.standard_normal(data.x.shape, np.float32)})

    return rows


enter(
    Method("labels", "baselines", lambda g: Lesson(CrossEntropy()), {}, ("labels",),
           settings={"rate": (1.0, 3.0), "epochs": (0, 1), **DECAY}),
    Method("smoothed labels", "baselines", lambda g, smoothing: Lesson(CrossEntropy(smoothing=smoothing)),
           {"smoothing": (0.05, 0.1, 0.2, 0.4)}, ("smoothed_labels",)),
    Method("labels with noise on the inputs", "baselines",
           lambda g, noise: Lesson(CrossEntropy(), [with_noise(d, noise) for d in g.lessons]),
           {"noise": (0.1, 0.3, 0.6, 1.2)}),
    Method("soft targets", "baselines", soft, HEAT, ("response", "response_from_a_column")),
)  # fmt: skip


# ------------------------------------------------------------------ answers


def answers(loss: Callable[..., Any], labelled: bool = False, **fixed: Any) -> Callable[..., Lesson]:
    """Labels, and `strength` times a loss on the answers."""

    def teach(g: Ground, strength: float, **own: Any) -> Lesson:
        sources = (TEACHER, "y") if labelled else (TEACHER,)
        term = Term(functools.partial(loss, **fixed, **own), (SITE,), sources)
        return Lesson(CrossEntropy() + strength * term)

    return teach


def corrected(g: Ground, T: float, weight: float) -> Lesson:
    """Soft targets of a teacher whose mistakes are put right."""
    right = SoftTargets(T, teacher="right.logits")
    return Lesson(mixed(weight, Given("right.logits", targets.corrected_teacher, (TEACHER, "y"), right)))


def by_need(g: Ground, T: float, strength: float) -> Lesson:
    """Soft targets weighted by the need of the student."""
    term = Given("need", targets.need_of_teaching, (SITE, TEACHER, "y"), SoftTargets(T) * "need")
    return Lesson(CrossEntropy() + strength * term)


def noisy(g: Ground, T: float, deviation: float) -> Lesson:
    """Soft targets of a teacher with noise on its logits, new in each step."""
    rng = np.random.default_rng(g.seeds[0])
    disturb = functools.partial(_disturbed, rng=rng, deviation=deviation)
    return Lesson(Given("noisy.logits", disturb, (TEACHER,), SoftTargets(T, teacher="noisy.logits")))


def _disturbed(z: Any, rng: np.random.Generator, deviation: float) -> Any:
    return targets.noisy_teacher(z, rng, deviation)


def by_hand(g: Ground, T: float, strength: float) -> Lesson:
    """A teacher that is a formula of the label."""
    made = functools.partial(targets.virtual_teacher, K=g.task.student[-1])
    term = Given("virtual.logits", made, ("y",), SoftTargets(T, teacher="virtual.logits"))
    return Lesson(CrossEntropy() + strength * term)


def adversarial(g: Ground, start: float, weight: float) -> Lesson:
    """A temperature that ascends."""
    return Lesson([mixed(weight, AdversarialTemperature(start)) for _ in g.seeds])


def annealed(g: Ground, hot: float, weight: float) -> Lesson:
    """A temperature that falls to 1."""
    return Lesson(mixed(weight, ScheduledTemperature(functools.partial(_falling, hot))))


def _falling(hot: float, progress: float) -> float:
    return hot + (1 - hot) * progress


T2, STRENGTH = (2.0, 8.0), (1.0, 5.0)
enter(
    Method("matched logits", "answers", answers(logit_matching), {"strength": (0.03, 0.1, 0.3, 1.0)},
           ("matched_logits",)),
    Method("adversarial temperature (CTKD)", "answers", adversarial, {"start": (2.0, 8.0), "weight": (0.5, 1.0)},
           ("adversarial_temperature",)),
    Method("annealed temperature", "answers", annealed, {"hot": (4.0, 16.0), "weight": (0.5, 1.0)},
           ("scheduled_temperature",)),
    Method("reverse divergence", "answers", answers(divergence.reverse_kl), {"T": T2, "strength": STRENGTH},
           ("reverse_kl",)),
    Method("Jensen-Shannon divergence", "answers", answers(divergence.jensen_shannon),
           {"T": T2, "strength": (1.0, 10.0)}, ("jensen_shannon",)),
    Method("total variation", "answers", answers(divergence.total_variation), {"T": T2, "strength": (1.0, 10.0)},
           ("total_variation",)),
    Method("decoupled distillation (DKD)", "answers", answers(logits.decoupled_kd, labelled=True, alpha=1.0),
           {"T": T2, "beta": (1.0, 4.0), "strength": (1.0,)}, ("decoupled_kd",)),
    Method("normalised distillation (NKD)", "answers", answers(logits.normalized_kd, labelled=True),
           {"T": (1.0, 4.0), "gamma": (1.5,), "strength": (0.3, 1.0)}, ("normalized_kd",)),
    Method("correlation of answers (DIST)", "answers", answers(logits.dist_kd), {"T": (1.0, 4.0), "strength": STRENGTH},
           ("dist_kd",)),
    Method("standardised logits", "answers", answers(logits.standardized_kd), {"T": (2.0, 4.0), "strength": STRENGTH},
           ("standardized_kd",)),
    Method("a teacher made by hand (Tf-KD)", "answers", by_hand, {"T": (5.0, 20.0), "strength": (0.1, 0.5)},
           ("virtual_teacher",)),
    Method("knowledge adjustment", "answers", corrected, HEAT, ("corrected_teacher",)),
    Method("soft targets by need (WSLD)", "answers", by_need, {"T": T2, "strength": (1.0, 3.0)}, ("weights_by_need",)),
    Method("a noisy teacher", "answers", noisy, {"T": T2, "deviation": (0.3, 1.0)}, ("noisy_teacher",)),
)  # fmt: skip


# ------------------------------------------------------------------ features and relations


def beside(term: Callable[[Ground], Any], on_top: bool) -> Callable[..., Lesson]:
    """`strength` times a term on features, beside labels or on top of soft targets."""

    def alone(g: Ground, strength: float) -> Lesson:
        return _joined(CrossEntropy(), strength, term(g))

    def on_soft(g: Ground, T: float, strength: float, weight: float) -> Lesson:
        return _joined(mixed(weight, SoftTargets(T)), strength, term(g))

    return on_soft if on_top else alone


def _joined(base: Objective, strength: float, term: Any) -> Lesson:
    if isinstance(term, list):
        return Lesson([base + strength * t for t in term])
    return Lesson(base + strength * term)


def between(loss: Callable[..., Any]) -> Callable[[Ground], Objective]:
    """A loss between the last hidden layers, of whatever widths."""
    return lambda g: Match("student.h2", "teacher.h2", loss)


def through(loss: Callable[..., Any], tap: str = "h2") -> Callable[[Ground], list[Objective]]:
    """A loss between the last hidden layers, the student's through a linear layer to the teacher's width."""

    def term(g: Ground) -> list[Objective]:
        width, wide = g.task.student[-2], g.task.teacher[-2]
        nets = [regressor(width, wide, seed) for seed in g.seeds]
        return [
            Through(net, "student.h2", "student.wide", Match("student.wide", f"teacher.{tap}", loss)) for net in nets
        ]

    return term


def regressor(width: int, wide: int, seed: int) -> MLP:
    """One linear layer."""
    return MLP(width, wide, seed=900 + seed)


def flow(g: Ground) -> Objective:
    """FSP, from a teacher of the student's shape."""
    return Term(feature.fsp, ("student.h1", "student.h2"), ("twin.h1", "twin.h2"))


def information(g: Ground) -> list[Objective]:
    """VID."""
    nets = [regressor(g.task.student[-2], g.task.teacher[-2], seed) for seed in g.seeds]
    return [feature.vid(net, "student.h2", "teacher.h2") for net in nets]


@across_rows
def some_angles(h_s: Any, h_t: Any) -> tuple[Any, Any]:
    """RKD-A between the first rows of a batch."""
    gradient = np.zeros_like(h_s)
    value, gradient[:ANGLES] = relation.relational_angle(h_s[:ANGLES], h_t[:ANGLES])
    return value, gradient


def slopes(g: Ground, strength: float) -> Lesson:
    """Jacobian matching; it is trained one by one."""
    net = MLP(*g.task.student, seed=1000 + g.seeds[0])
    teacher, data = WithJacobian(g.teachers["teacher"][0]), g.lessons[0]
    sites, _ = teacher.forward(data.x, taps=["jacobian"])
    term = Match("student.jacobian", "teacher.jacobian", feature.squared_error)
    rows = data.with_columns({"teacher.jacobian": sites["jacobian"].astype(np.float32)})
    return Lesson(CrossEntropy() + strength * term, rows, {"student": WithJacobian(net)})


FEATURES: Mapping[str, tuple[Callable[[Ground], Any], float, str, str]] = {
    "a hint through a regressor": (through(feature.squared_error), 0.01, "fitnets", ""),
    "cosine of the features": (through(feature.cosine_distance), 1.0, "cosine_distance", ""),
    "attention transfer": (through(feature.attention_transfer), 1.0, "attention_transfer",
                           "a dense layer has no places, for which it was made"),
    "activation boundaries": (through(feature.activation_boundary, "a2"), 0.01, "activation_boundary", ""),
    "neuron selectivity (NST)": (between(feature.neuron_selectivity), 1.0, "neuron_selectivity", ""),
    "in-batch contrast (CRD)": (through(feature.info_nce), 0.1, "info_nce", "InfoNCE over the batch, no memory bank"),
    "flow between layers (FSP)": (flow, 0.01, "flow_between_two_layers",
                                  "without places it is an outer product a row, of rank one: the idea is gone"),
    "variational information (VID)": (information, 0.01, "variational_information", ""),
    "similarity preserving": (between(relation.similarity_preserving), 1.0, "similarity_preserving", ""),
    "probabilistic transfer (PKT)": (between(relation.probabilistic_transfer), 1.0, "probabilistic_transfer", ""),
    "relational distances (RKD-D)": (between(relation.relational_distance), 1.0, "relational_distance", ""),
    "relational angles (RKD-A)": (between(some_angles), 1.0, "relational_angle",
                                  f"between the first {ANGLES} rows of each batch, since N rows hold N³ angles"),
    "correlation congruence": (between(relation.correlation_congruence), 1.0, "correlation_congruence", ""),
    "centred kernel alignment": (between(relation.linear_cka), 1.0, "linear_cka", ""),
}  # fmt: skip
for title, (term, scale, recipe, remark) in FEATURES.items():
    room = "relations" if hasattr(relation, recipe) else "features"
    enter(
        Method(title, room, beside(term, False), {"strength": tuple(scale * k for k in (0.1, 1.0, 10.0, 100.0))},
               (recipe,), note=remark),
        Method(f"{title}, on soft targets", room, beside(term, True),
               {"strength": (scale, 10 * scale), "T": (2.0, 8.0), "weight": (0.9,)}, (recipe,), note=remark),
    )  # fmt: skip
enter(
    Method("Jacobian matching", "features", slopes, {"strength": (0.1, 1.0, 10.0, 100.0)}, ("jacobian_matching",),
           alone=True, note="trained one by one"),
)  # fmt: skip
