"""Several methods over the same seeds, measured and paired."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlearn.checks import check_count
from kdlearn.study.cells import groups, sweep, workers
from kdlearn.study.intervals import Interval, best_of, interval, p_value


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
        return interval(self.values(method, metric))

    def values(self, method: str, metric: str) -> np.ndarray:
        """One number a seed; KeyError, naming those that there are, for another method or metric."""
        for kind, name, known in (("method", method, self.results), ("metric", metric, self.results.get(method, {}))):
            if name not in known:
                raise KeyError(f"there is no {kind} {name!r}; there are: {', '.join(map(str, known))}")
        return self.results[method][metric]

    def difference(self, method: str, metric: str, baseline: str | None = None) -> Interval:
        """Mean paired difference to the baseline (or to another method)."""
        other = self.values(self.baseline if baseline is None else baseline, metric)
        return interval(self.values(method, metric) - other)

    def table(self, metric: str, digits: int = 2) -> str:
        """One line a method: mean, and paired difference with its interval."""
        width = max(map(len, self.results))
        lines = [f"{'':<{width}}  {metric:>10}  difference to {self.baseline}"]
        for method in self.results:
            text = f"{method:<{width}}  {self.mean(method, metric).mean:>10.{digits}f}"
            if method != self.baseline:
                d = self.difference(method, metric)
                p = p_value(d)
                verdict = "" if p < 0.05 else "   undefined" if np.isnan(p) else "   no effect shown"
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


def choose(
    comparison: Comparison, candidates: Mapping[str, Iterable[str]], metric: str, better: str = "higher"
) -> dict[str, str]:
    """For each method the candidate with the best mean of a (validation) metric; "higher" or "lower" is better.

    `candidates` is {method: names in the comparison}, one for each setting tried. One whose mean is not finite, because
    a training diverged, is not chosen; ValueError where no other is left.
    """
    found = {}
    for method, given in candidates.items():
        names = [given] if isinstance(given, str) else list(given)
        for name in names:
            comparison.values(name, metric)
        best = best_of([float(comparison.values(name, metric).mean()) for name in names], better)
        if best is None:
            raise ValueError(f"{method}: no candidate has a finite {metric}")
        found[method] = names[best]
    return found


def compare(
    run: Callable[..., Mapping[str, Mapping[str, Any]]],
    seeds: int | Iterable[int],
    baseline: str | None = None,
    jobs: int | None = None,
    progress: bool | None = None,
    store: str | os.PathLike | None = None,
    together: int = 20,
) -> Comparison:
    """Run a study for each seed and pair its methods.

    Parameters
    ----------
    run : `run(seed) -> {method: {metric: value}}`, its parameter named `seed`; everything random in it
        must follow the seed. Or `run(seeds) -> {method: {metric: one value a seed}}`, its parameter named
        `seeds`: a function that trains several seeds at once, as the members of a `kd.Stack`. With a store
        the values are lists, which JSON can hold.
    seeds : how many (0, 1, …) or which.
    baseline : the method that the others are compared with; default the first.
    jobs, progress, store : as in `sweep`.
    together : how many seeds a function of `seeds` gets at once, at most: enough to share the calls, few
        enough for the cache and for every core to have some. The numbers do not depend on it, to rounding.

    Example
    -------
    >>> import kdlearn as kd
    >>> train, _, test = kd.data.blobs(60)
    >>> def run(seeds):
    ...     results = {}
    ...     for name, smoothing in (("hard", 0.0), ("smoothed", 0.1)):
    ...         students = kd.Stack([kd.MLP(2, 8, 3, seed=seed) for seed in seeds])
    ...         kd.fit(students, kd.CrossEntropy(smoothing=smoothing), train, seed=seeds, epochs=2, progress=False)
    ...         results[name] = {"accuracy": (students.predict(test.x) == test.y).mean(axis=1)}
    ...     return results
    >>> kd.study.compare(run, seeds=3, jobs=1, progress=False).results["hard"]["accuracy"].shape
    (3,)
    """
    seeds = all_different(seeds)
    check_count("together", together)
    takes = inspect.signature(run).parameters
    if not ({"seed", "seeds"} & set(takes) or any(p.kind is p.VAR_KEYWORD for p in takes.values())):
        raise TypeError(f"run must take `seed`, or `seeds`, by that name; it takes {', '.join(takes) or 'nothing'}")
    if "seeds" in takes:
        size = max(1, min(together, -(-len(seeds) // workers(jobs))))  # some for every worker
        cells = [{"seeds": group} for group in groups(seeds, size)]
        found = sweep(run, cells, jobs, progress, store)
        rows: list[Any] = [
            row for chunk, cell in zip(found, cells) for row in one_row_a_seed(chunk, len(cell["seeds"]))
        ]
    else:
        rows = sweep(run, [{"seed": seed} for seed in seeds], jobs, progress, store)
    for seed, row in zip(seeds, rows):
        if not (isinstance(row, Mapping) and row and all(isinstance(metrics, Mapping) for metrics in row.values())):
            raise TypeError(f"run must return {{method: {{metric: value}}}}, of seed {seed} it returned {row!r}")
    methods = list(rows[0])
    measured = {method: list(metrics) for method, metrics in rows[0].items()}
    for seed, row in zip(seeds, rows):
        own = {method: list(metrics) for method, metrics in row.items()}
        if {m: set(names) for m, names in own.items()} != {m: set(names) for m, names in measured.items()}:
            raise ValueError(f"every seed must measure the same: seed {seeds[0]} {measured}, seed {seed} {own}")
    results = {
        method: {metric: np.array([_number(row[method][metric], method, metric) for row in rows]) for metric in names}
        for method, names in measured.items()
    }
    chosen = methods[0] if baseline is None else baseline
    if chosen not in results:
        raise ValueError(f"baseline {chosen!r} is not among the methods: {', '.join(methods)}")
    return Comparison(results, chosen)


def all_different(seeds: int | Iterable[int]) -> list[int]:
    """0 … n-1 for a number n, else these seeds. ValueError for none, and for a seed twice: it would count as two."""
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool):
        seeds = range(int(seeds))
    if isinstance(seeds, (bool, str)) or not np.iterable(seeds):
        raise TypeError(f"seeds are a number of seeds, or which, got {seeds!r}")
    found = [int(seed) if isinstance(seed, np.integer) else seed for seed in seeds]
    if not found:
        raise ValueError("seeds must name at least one seed")
    twice = [seed for seed in found if found.count(seed) > 1]
    if twice:
        raise ValueError(f"seed {twice[0]!r} is named twice: the same training is no second observation")
    return found


def _number(value: Any, method: str, metric: str) -> float:
    # as a float: small integers would wrap around where they are subtracted
    if np.ndim(value) or isinstance(value, str):
        raise TypeError(f"{method}, {metric}: one number a seed is needed, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{method}, {metric}: one number a seed is needed, got {value!r}") from None


def one_row_a_seed(chunk: Mapping[str, Mapping[str, Any]], n: int) -> list[dict[str, dict[str, float]]]:
    """What n seeds measured together, one row a seed."""
    for method, metrics in chunk.items():
        if not isinstance(metrics, Mapping):
            raise TypeError(f"{method}: {{metric: one value for each of {n} seeds}} is needed, got {metrics!r}")
        for metric, values in metrics.items():
            if np.ndim(values) == 0:
                raise TypeError(f"{method}, {metric}: one value for each of {n} seeds is needed, got {values!r}")
            if len(values) != n:
                raise ValueError(f"{method}, {metric}: one value for each of {n} seeds is needed, got {len(values)}")
    # of pandas by position, not by its index
    rows = {m: {k: list(values) for k, values in metrics.items()} for m, metrics in chunk.items()}
    return [{m: {k: _number(v[i], m, k) for k, v in metrics.items()} for m, metrics in rows.items()} for i in range(n)]
