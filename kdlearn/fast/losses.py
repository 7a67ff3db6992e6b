"""Value and gradient in one launch: the labels, the teacher, or both in one pass over the logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kdlearn.backend import Array, array_module
from kdlearn.distill.response import check_labels, check_logits, weighted
from kdlearn.fast.launch import launch
from kdlearn.nn.functional import check_temperature, loss_in_float32
from kdlearn.objective import Objective, Sites, Sum, Term, Trace, Weight


@loss_in_float32
def cross_entropy(z: Array, y: Array, smoothing: float = 0.0, weight: Array | None = None) -> tuple[Array, Array]:
    """`kdlearn.distill.response.cross_entropy` in one launch and a sum. Gain: not measured."""
    check_logits(z)
    check_labels(z, y)
    rows, dz = hard_and_soft(z, y, None, smoothing=smoothing)
    return weighted(rows[1], dz, weight).sum(), dz


@loss_in_float32
def soft_targets(z_s: Array, z_t: Array, T: float = 4.0, weight: Array | None = None) -> tuple[Array, Array]:
    """`kdlearn.distill.response.soft_targets` in one launch and a sum. Gain: not measured."""
    check_logits(z_s, z_t)
    rows, dz = hard_and_soft(z_s, None, z_t, check_temperature(T))
    return weighted(rows[2], dz, weight).sum(), dz


def hard_and_soft(
    z_s: Array,
    y: Array | None,
    z_t: Array | None,
    T: float = 1.0,
    smoothing: float = 0.0,
    hard: float = 1.0,
    soft: float = 1.0,
) -> tuple[Array, Array]:
    """Of labels, of a teacher, or of both: `(rows, dz)`.

    `rows` (3, N) holds 1/N of each row's weighted sum, its cross-entropy and its divergence; `dz` (N, K) is the
    gradient of the sum, in which `hard` and `soft` are the weights.
    """
    xp = array_module(z_s)
    N, K = z_s.shape
    z_s = xp.ascontiguousarray(z_s)
    y_or_not = xp.empty(1, "int64") if y is None else xp.ascontiguousarray(y.astype("int64", copy=False))
    t_or_not = z_s if z_t is None else xp.ascontiguousarray(z_t.astype(z_s.dtype, copy=False))
    rows, dz = xp.empty((3, N), z_s.dtype), xp.empty((N, K), z_s.dtype)
    threads = 32
    while threads < min(K, 512):
        threads *= 2
    flags = int(y is not None), int(z_t is not None)
    numbers = float(T), float(smoothing), float(hard), float(soft)
    launch("hard_and_soft", N, threads, z_s, z_s, y_or_not, t_or_not, N, K, *flags, *numbers, rows, dz)
    return rows, dz


@dataclass(frozen=True)
class HardAndSoft(Objective):
    """`CrossEntropy + SoftTargets` at one student, in one pass over its logits. Gain: not measured.

    `hard` and `soft` are the two terms as they were, whose weights are numbers or schedules; each is still
    reported under its own name.
    """

    hard: Term
    soft: Term

    def walk(self) -> Iterator[Objective]:
        """See `Objective.walk`."""
        yield self
        yield self.hard
        yield self.soft

    def reads(self) -> tuple[set[str], set[str]]:
        """See `Objective.reads`."""
        return Sum((self.hard, self.soft)).reads()

    def scaled(self, weight: Weight) -> Objective:
        """See `Objective.scaled`; with one weight a row the two are two again."""
        parts = self.hard.scaled(weight), self.soft.scaled(weight)
        return Sum(parts) if isinstance(weight, str) else replace(self, hard=parts[0], soft=parts[1])

    def evaluate(self, live: Sites, fixed: Sites, trace: Trace) -> Array:
        """See `Objective.evaluate`."""
        smoothing, T = _argument(self.hard, "smoothing", 0.0), _argument(self.soft, "T", 4.0)
        z, y, z_t = live[self.hard.live[0]], fixed[self.hard.fixed[0]], fixed[self.soft.fixed[0]]
        check_logits(z, z_t)
        check_labels(z, y)
        rows, dz = hard_and_soft(z, y, z_t, T, smoothing, self.hard.factor(fixed), self.soft.factor(fixed))
        value, hard, soft = rows.sum(axis=1)
        trace.values[self.hard.name], trace.values[self.soft.name] = hard, soft
        trace.add(self.hard.live[0], dz)
        return value


def _argument(term: Term, name: str, default: float) -> float:
    return getattr(term.loss, "keywords", {}).get(name, default)
