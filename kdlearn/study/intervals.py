"""Intervals of paired differences, and verdicts by a rule that counts how often it was asked.

Two methods that share a seed share the data split, the initial weights and the batch order, so
their difference varies far less than either; an interval of the paired differences is what a
claim rests on.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from kdlearn.backend import as_array
from kdlearn.checks import check_share, check_size, is_number


class _Numbers(NamedTuple):
    mean: float
    half_width: float
    n: int


class Interval(_Numbers):
    """A mean and the half width of its 95 % interval over n seeds; `overlap` is the one that `interval` was given."""

    overlap: float = 0.0  # no part of the tuple

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ± {self.half_width:.2f}"

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width


def interval(values: Iterable[float], level: float = 0.95, overlap: float = 0.0) -> Interval:
    """Student's t-interval of the mean of independent values; infinitely wide for fewer than two.

    `level` is for looking: `p_value` and `judge` take an interval for one of 95 %.

    `overlap`: where each seed splits one pool anew, the rows measured on over the rows trained on. The values
    then share rows, and an interval for *new* data is wider: the variance of the mean is (1/n + overlap) times
    that of one value, instead of 1/n. Without it the interval speaks of further splits of the same pool.
    Source: Nadeau and Bengio 2003, section 4.
    """
    if isinstance(values, (str, Mapping, Set)):  # in a set equal values are one
        raise TypeError(
            f"an interval is of one number a seed, got {values!r}; of a mapping give .values(), of a set a list"
        )
    if not isinstance(values, Iterable):
        raise TypeError(f"an interval is of one number a seed, got {values!r} alone")
    a = _numbers(values if isinstance(values, np.ndarray) else list(values))
    if a.ndim != 1:
        raise ValueError(f"an interval is of one number a seed, got an array of shape {a.shape}")
    if not 0 < check_share("level", level) < 1:
        raise ValueError(f"level lies between 0 and 1, got {level!r}")
    check_size("overlap", overlap)
    if len(a) < 2:
        return Interval(float(a.mean()) if len(a) else math.nan, math.inf, len(a))
    with np.errstate(invalid="ignore"):  # of an infinite value the deviation is NaN
        deviation = float(a.std(ddof=1))
    half_width = _quantile(level, len(a)) * deviation * math.sqrt(1 / len(a) + overlap)
    found = Interval(float(a.mean()), half_width, len(a))
    found.overlap = overlap
    return found


def crossed(table: Sequence[Sequence[float]] | np.ndarray) -> Interval:
    """The interval of the mean of a table whose rows and columns are both drawn at random, e.g. teachers and seeds.

    Of M rows and S columns, both random, the mean varies by (S σ²_row + M σ²_column + σ²_rest) / MS. The mean
    squares of rows, columns and rest have the expectations σ²_rest + S σ²_row, σ²_rest + M σ²_column and σ²_rest, so
    rows + columns - rest, over MS, estimates it; it is taken no smaller than rows or columns alone. Student's t has
    min(M, S) - 1 degrees of freedom, which is on the safe side. One row or one column: `interval` of what varies;
    it then says nothing of other rows.

    Source: Schultz 1955 (expectations of mean squares).

    Example
    -------
    >>> print(crossed([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]))
    +2.50 ± 9.70
    """
    widths = [len(row) for row in table if isinstance(row, (list, tuple, np.ndarray))]
    for i, width in enumerate(widths):
        if width != widths[0]:
            raise ValueError(f"row {i} has {width} columns, the first has {widths[0]}")
    a = _numbers(table)
    if a.ndim != 2 or not a.size:
        raise ValueError(f"a table has rows and columns, got an array of shape {a.shape}")
    if min(a.shape) == 1:
        return interval(a.ravel())
    (M, S), rows, columns = a.shape, a.mean(axis=1), a.mean(axis=0)
    rest = ((a - rows[:, None] - columns + a.mean()) ** 2).sum() / (M - 1) / (S - 1)
    between_rows, between_columns = S * rows.var(ddof=1), M * columns.var(ddof=1)
    variance = max(between_rows + between_columns - rest, between_rows, between_columns) / (M * S)
    n = min(M, S)
    return Interval(float(a.mean()), _quantile(0.95, n) * math.sqrt(variance), n)


class Verdict(NamedTuple):
    """What a rule says of one paired difference: `word` is *helps*, *hurts*, *equal*, *not shown* or *undefined*."""

    difference: Interval
    p: float
    word: str


def p_value(found: Interval) -> float:
    """Of a two-sided t-test that the mean is zero, from the mean and its 95 % interval; NaN where these are no numbers.

    Where all n values are one number, as differences of a count may be, their deviation is not known to be 0, and
    Student's t would be sure of anything. The sign test takes its place: that all n lie on one side of a median of
    zero has a chance of 2^(1 - n) at most. One number they are where their standard deviation is below 0.001 of the
    mean: accuracies from float32 are rounded by 6e-8, which is that where they differ by one row of some 10 000.
    A metric that truly varies as little needs more seeds for it. One value alone says nothing: 1.
    """
    from scipy.stats import t

    if not np.isfinite(found.mean) or np.isnan(found.half_width):
        return math.nan
    if found.n < 2 or math.isinf(found.half_width):
        return 1.0
    if _constant(found):
        return 1.0 if found.mean == 0 else 2.0 ** (1 - found.n)
    return float(2 * t.sf(abs(found.mean) / found.half_width * _quantile(0.95, found.n), found.n - 1))


def holm(p: Iterable[float]) -> list[float]:
    """p-values made larger so that, in a table of m tests, those below 0.05 hold a false one in 5 % of tables at most.

    The smallest is multiplied by m, the next by m - 1, and so on; none may be smaller than the one before. NaN counts
    as a test, and stays NaN.

    Source: Holm 1979.

    Example
    -------
    >>> holm([0.01, 0.03, 0.04])
    [0.03, 0.06, 0.06]
    """
    if isinstance(p, (str, Mapping, Set)):
        raise TypeError(f"the p-values are one number a test, got {p!r}; of a mapping give .values(), of a set a list")
    tests = _numbers(
        p if isinstance(p, np.ndarray) else list(p), "a table of tests"
    )  # of pandas by position, not by its index
    if tests.ndim != 1:
        raise ValueError(f"the p-values are one number a test, got an array of shape {tests.shape}")
    for value in tests.tolist():
        if value < 0 or value > 1:
            raise ValueError(f"a p-value lies in [0, 1], got {value!r}")
    adjusted, so_far = [0.0] * len(tests), 0.0
    for rank, i in enumerate(np.argsort(tests, kind="stable").tolist()):  # NaN comes last
        if math.isnan(tests[i]):
            adjusted[i] = math.nan
            continue
        so_far = max(so_far, min(1.0, (len(tests) - rank) * float(tests[i])))
        adjusted[i] = so_far
    return adjusted


def verdicts(
    differences: Mapping[Any, Sequence[float] | np.ndarray],
    zone: float = 0.0,
    better: str = "higher",
    overlap: float = 0.0,
) -> dict[Any, Verdict]:
    """`judge` of paired differences, {name: one difference a seed}; `overlap` as in `interval`."""
    return judge({name: interval(d, overlap=overlap) for name, d in differences.items()}, zone, better)


def judge(
    found: Mapping[Any, Interval], zone: float | Mapping[Any, float] = 0.0, better: str = "higher"
) -> dict[Any, Verdict]:
    """One verdict for each paired difference of a table.

    Parameters
    ----------
    found : {name: mean paired difference with its 95 % interval}; the whole table, since each test makes the others
        stricter.
    zone : differences of at most this size are not worth a claim, in the metric's unit; one for all, or {name: zone}.
    better : "higher" or "lower": which sign of a difference is the good one.

    Returns
    -------
    {name: Verdict}, with the 95 % interval of that difference alone, the p-value adjusted by `holm`, and the word:

    * *equal*: an interval at level 1 - 0.05/m, for m differences, lies within the zone;
    * *helps* or *hurts*: else, where the mean lies outside the zone and the adjusted p-value is below 0.05;
    * *undefined*: where the difference is no number, as after a training that diverged;
    * *not shown*: else. It does not say that there is no difference.

    Where all n differences are one number, each of the first two needs 2^(1 - n) below its level, as in `p_value`.

    Example
    -------
    >>> found = {"a": interval([2.0, 2.5, 2.2]), "b": interval([-1.0, 1.2, 0.1])}
    >>> {name: verdict.word for name, verdict in judge(found, zone=0.5).items()}
    {'a': 'helps', 'b': 'not shown'}
    """
    check_better(better)
    found = _by_name(found, "found")
    for name, difference in found.items():
        if not isinstance(difference, Interval):
            raise TypeError(
                f"{name}: judge takes intervals, got {difference!r}; kd.study.verdicts takes the differences themselves"
            )
    zones: dict[Any, Any] = dict.fromkeys(found, zone) if is_number(zone) else _by_name(zone, "zone")
    without = [name for name in found if name not in zones]
    if without:
        raise ValueError(f"zone has no number for {without[0]!r}; it has some for {', '.join(map(str, zones))}")
    check_zone(*zones.values())
    adjusted = holm([p_value(difference) for difference in found.values()])
    level = 1 - 0.05 / max(len(found), 1)
    return {
        name: Verdict(difference, p, _word(difference, p, level, zones[name], better))
        for (name, difference), p in zip(found.items(), adjusted)
    }


def _by_name(table: Any, what: str) -> dict[Any, Any]:
    """A mapping, or a Series of pandas, as a dict."""
    if not hasattr(table, "items") or not hasattr(table, "keys"):
        raise TypeError(f"{what} must be a mapping by the names of the differences, got {type(table).__name__}")
    return dict(table.items())


def check_better(better: str) -> None:
    """ValueError unless it says which way is good."""
    if better not in ("higher", "lower"):
        raise ValueError(f"better is 'higher' or 'lower', got {better!r}")


def check_zone(*zones: float) -> None:
    """ValueError unless each is a number of at least 0."""
    for zone in zones:
        if not is_number(zone) or not zone >= 0:
            raise ValueError(f"zone must be a number of 0 or more, got {zone!r}")


def best_of(means: Sequence[float], better: str) -> int | None:
    """Position of the best of these means, the first of equals; None where none is finite."""
    check_better(better)
    a = np.asarray(means, dtype=float) * (1 if better == "higher" else -1)
    return int(np.where(np.isfinite(a), a, -np.inf).argmax()) if np.isfinite(a).any() else None


def _word(found: Interval, p: float, level: float, zone: float, better: str) -> str:
    if math.isnan(p):
        return "undefined"
    strict = found.half_width * _quantile(level, found.n) / _quantile(0.95, found.n)
    known = not _constant(found) or 2.0 ** (1 - found.n) < 1 - level
    if known and abs(found.mean) + strict <= zone:
        return "equal"
    if p < 0.05 and abs(found.mean) > zone:
        return "helps" if (found.mean > 0) == (better == "higher") else "hurts"
    return "not shown"


def _numbers(values: Any, what: str = "an interval") -> np.ndarray:
    """As floats; TypeError for what is no real number, or masked."""
    a = as_array(values)
    if a.dtype.kind in "cUSOmM":
        a = a.ravel()
        if not all(isinstance(v, numbers.Real) for v in a.tolist()):
            raise TypeError(f"{what} is of numbers, got {a.tolist()[:3]}")
        return np.array(values, dtype=float)
    return a.astype(float)


def _constant(found: Interval) -> bool:
    """Whether all its values are one number, to the rounding of accuracies in float32 (see `p_value`)."""
    if found.n < 2 or not math.isfinite(found.half_width):
        return False
    deviation = found.half_width / _quantile(0.95, found.n) / math.sqrt(1 / found.n + found.overlap)
    return deviation <= 1e-3 * abs(found.mean)


def _quantile(level: float, n: int) -> float:
    """Half of the interval of this level, in standard errors, over n values."""
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, n - 1))
