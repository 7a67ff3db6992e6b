"""Value and gradient in one launch: the labels, the teacher, or both in one pass over the logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kdlearn.backend import Array, array_module
from kdlearn.fast.launch import launch
from kdlearn.loss import check_labels, check_logits, mean_over_rows
from kdlearn.nn.functional import check_temperature
from kdlearn.objective import Evaluation, Objective, Sites, Sum, Term, Weight


@mean_over_rows
def cross_entropy(z: Array, y: Array, smoothing: float = 0.0, ignore: int | None = None) -> tuple[Array, ...]:
    """`kdlearn.distill.response.cross_entropy` in one launch and a sum. Gain: not measured."""
    check_logits(z)
    check_labels(z, y, ignore)
    N = z.shape[0]  # the kernel divides by N, for the caller of both; here that is done outside
    if ignore is None:
        rows, dz = hard_and_soft(z, y, None, smoothing=smoothing, hard=N)
        return N * rows[1], dz
    counts = (y != ignore).astype(z.dtype)
    rows, dz = hard_and_soft(z, array_module(z).where(y != ignore, y, 0), None, smoothing=smoothing, hard=N)
    return counts * N * rows[1], counts[:, None] * dz, counts


@mean_over_rows
def soft_targets(z_s: Array, z_t: Array, T: float = 4.0) -> tuple[Array, Array]:
    """`kdlearn.distill.response.soft_targets` in one launch and a sum. Gain: not measured."""
    check_logits(z_s, z_t)
    N = z_s.shape[0]
    rows, dz = hard_and_soft(z_s, None, z_t, check_temperature(T), soft=N)
    return N * rows[2], dz


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

    def evaluate(self, live: Sites, fixed: Sites, result: Evaluation) -> Array:
        """See `Objective.evaluate`; for a stack, where each member has a mean of its own, the two are two again."""
        if result.members > 1:
            return Sum((self.hard, self.soft)).evaluate(live, fixed, result)
        smoothing, T = _argument(self.hard, "smoothing", 0.0), _argument(self.soft, "T", 4.0)
        z, y, z_t = live[self.hard.live[0]], fixed[self.hard.fixed[0]], fixed[self.soft.fixed[0]]
        check_logits(z, z_t)
        check_labels(z, y)
        rows, dz = hard_and_soft(z, y, z_t, T, smoothing, self.hard.factor(fixed), self.soft.factor(fixed))
        value, hard, soft = rows.sum(axis=1)
        result.report(self.hard.name, hard)
        result.report(self.soft.name, soft)
        if result.backward:
            result.add(self.hard.live[0], dz)
        return value


def _argument(term: Term, name: str, default: float) -> float:
    return getattr(term.loss, "keywords", {}).get(name, default)
