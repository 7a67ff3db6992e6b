"""Studies that can be believed: several seeds, paired differences, intervals.

Two methods that share a seed share the data split, the initial weights and the batch order, so
their difference varies far less than either; an interval of the paired differences is what a
claim rests on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Metrics = Mapping[str, float]


class Interval(NamedTuple):
    """A mean and the half width of its 95 % interval over n seeds."""

    mean: float
    half_width: float
    n: int

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


def interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Student's t-interval of the mean of independent values; infinitely wide for fewer than two."""
    from scipy.stats import t

    a = np.asarray(list(values), dtype=float)
    if len(a) < 2:
        return Interval(float(a.mean()) if len(a) else math.nan, math.inf, len(a))
    quantile = float(t.ppf(0.5 + level / 2, len(a) - 1))
    return Interval(float(a.mean()), quantile * float(a.std(ddof=1)) / math.sqrt(len(a)), len(a))


@dataclass(frozen=True)
class Comparison:
    """Metrics of several methods over the same seeds.

    `results[method][metric]` is an array over the seeds; `baseline` is the method that the
    others are compared with.
    """

    results: dict[str, dict[str, np.ndarray]]
    baseline: str

    def mean(self, method: str, metric: str) -> Interval:
        """The method's own mean; its interval is over the seeds, not paired."""
        return interval(self.results[method][metric])

    def difference(self, method: str, metric: str, baseline: str | None = None) -> Interval:
        """Mean paired difference to the baseline (or to another method)."""
        other = self.results[self.baseline if baseline is None else baseline]
        return interval(self.results[method][metric] - other[metric])

    def table(self, metric: str, digits: int = 2) -> str:
        """One line a method: mean, and paired difference with its interval."""
        width = max(map(len, self.results))
        lines = [f"{'':<{width}}  {metric:>10}  difference to {self.baseline}"]
        for method in self.results:
            text = f"{method:<{width}}  {self.mean(method, metric).mean:>10.{digits}f}"
            if method != self.baseline:
                d = self.difference(method, metric)
                verdict = "" if d.low > 0 or d.high < 0 else "   no effect shown"
                text += f"  {d.mean:+.{digits}f} ± {d.half_width:.{digits}f}{verdict}"
            lines.append(text)
        return "\n".join(lines)

    def plot(self, metric: str, ax: Any = None) -> Any:
        """Paired differences with their intervals, one row a method."""
        from kdlearn import plots

        others = [m for m in self.results if m != self.baseline]
        ax = plots.intervals({m: self.difference(m, metric) for m in others}, ax=ax)
        ax.set_xlabel(f"{metric}: paired difference to {self.baseline}")
        return ax


def compare(
    run: Callable[[int], Mapping[str, Metrics]],
    seeds: int | Iterable[int],
    baseline: str | None = None,
    jobs: int | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Run a study for each seed and pair its methods.

    Parameters
    ----------
    run : `run(seed) -> {method: {metric: value}}`; everything random in it must follow the seed.
    seeds : how many (0, 1, …) or which.
    baseline : the method that the others are compared with; default the first.
    jobs : worker processes; default one a core, or none at all where `run` cannot be sent to one.
        The numbers do not depend on it: BLAS runs on one thread everywhere.
    progress : as in `fit`.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise ValueError("seeds must name at least one seed")
    rows = _map(run, seeds, jobs, progress)
    methods = list(rows[0])
    results = {
        method: {metric: np.array([row[method][metric] for row in rows]) for metric in rows[0][method]}
        for method in methods
    }
    chosen = methods[0] if baseline is None else baseline
    if chosen not in results:
        raise ValueError(f"baseline {chosen!r} is not among the methods: {', '.join(methods)}")
    return Comparison(results, chosen)


def choose(comparison: Comparison, candidates: Mapping[str, Iterable[str]], metric: str) -> dict[str, str]:
    """For each method the candidate with the best mean of a (validation) metric.

    `candidates` is {method: names in the comparison}, one for each setting tried.
    """
    return {
        method: max(names, key=lambda name: comparison.results[name][metric].mean())
        for method, names in candidates.items()
    }


def _map(run: Callable, seeds: list[int], jobs: int | None, progress: bool | None) -> list[Any]:
    from joblib import Parallel, cpu_count, delayed
    from tqdm import tqdm

    n = min(jobs or cpu_count(), len(seeds))
    work = (delayed(_single_threaded)(run, seed) for seed in seeds)
    results = Parallel(n_jobs=n, return_as="generator")(work) if n > 1 else (f(*a, **k) for f, a, k in work)
    bar = tqdm(
        results,
        total=len(seeds),
        desc="seeds",
        unit="seed",
        leave=False,
        disable=None if progress is None else not progress,
    )
    return list(bar)


def _single_threaded(run: Callable, seed: int) -> Any:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return run(seed)
