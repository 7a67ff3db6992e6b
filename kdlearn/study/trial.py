"""The protocol: every arm tuned alike on validation rows, test rows read once, a verdict by rule."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlearn.checks import check_count, check_size
from kdlearn.study.around import Setting, beyond, check_walk, tune
from kdlearn.study.cells import groups, sweep
from kdlearn.study.comparison import all_different, one_row_a_seed
from kdlearn.study.intervals import Interval, Verdict, best_of, check_better, check_zone, interval, verdicts

Arm = tuple[Callable[..., Mapping[str, Sequence[float]]], Mapping[str, Sequence[Any]]]


@dataclass(frozen=True)
class Trial:
    """What a trial found; made by `trial`.

    `results[arm][metric]` is an array over the seeds, of the test rows; `validation[arm]` is the metric that chose, on
    the validation rows. `chosen[arm]` is the setting, `edges[arm]` names its values that lie on the edge of what was
    tried, `tried[arm]` says how many settings that were.
    """

    results: dict[str, dict[str, np.ndarray]]
    validation: dict[str, np.ndarray]
    chosen: dict[str, Setting]
    edges: dict[str, list[str]]
    tried: dict[str, int]
    baselines: tuple[str, ...]
    metric: str
    better: str
    zone: float
    overlap: float

    def mean(self, arm: str, metric: str | None = None) -> Interval:
        """The arm's own mean on the test rows; its interval is over the seeds, not paired."""
        return interval(self._values(arm, metric or self.metric), overlap=self.overlap)

    def difference(self, arm: str, baseline: str | None = None, metric: str | None = None) -> Interval:
        """Mean paired difference to a baseline (default the first) or to any other arm."""
        return interval(self._gap(arm, baseline or self.baselines[0], metric or self.metric), overlap=self.overlap)

    def verdicts(self) -> dict[tuple[str, str], Verdict]:
        """{(arm, baseline): Verdict} for every arm and baseline: one table, in which Holm's rule counts them all."""
        gaps: dict[tuple[str, str], np.ndarray] = {}
        for b in self.baselines:
            for arm in self.results:
                if arm != b and (b, arm) not in gaps:  # two baselines are compared once
                    gaps[arm, b] = self._gap(arm, b, self.metric)
        return verdicts(gaps, self.zone, self.better, self.overlap)

    def verdict(self, arm: str, baseline: str | None = None) -> str:
        """*helps*, *hurts*, *equal*, *not shown* or *undefined*; see `kd.study.verdicts` for the rule.

        ValueError for what was not compared. Of two baselines, which are compared once, one is said to hurt where
        the other helps.
        """
        other, found = baseline or self.baselines[0], self.verdicts()
        for name in (arm, other):
            if name not in self.results:
                raise ValueError(f"there is no arm {name!r}; there are: {', '.join(self.results)}")
        if arm == other:
            raise ValueError(f"{arm!r} is not compared with itself: name the baseline, {', '.join(self.baselines)}")
        if other not in self.baselines:
            known = ", ".join(self.baselines)
            raise ValueError(f"{other!r} is no baseline, those are {known}: difference(…) has the interval alone")
        if (arm, other) in found:
            return found[arm, other].word
        return {"helps": "hurts", "hurts": "helps"}.get(word := found[other, arm].word, word)

    def table(self, digits: int = 2) -> str:
        """One line an arm: setting, mean, and for each baseline the difference, its interval and the verdict."""
        found = self.verdicts()
        rows = [["", "chosen", self.metric] + [f"against {b}" for b in self.baselines]]
        for arm in self.results:
            marked = [f"{k} {v:g}" if isinstance(v, (int, float)) else f"{k} {v}" for k, v in self.chosen[arm].items()]
            starred = [m + "*" * (k in self.edges[arm]) for m, k in zip(marked, self.chosen[arm])]
            row = [arm, ", ".join(starred), f"{self.mean(arm).mean:.{digits}f}"]
            for b in self.baselines:
                v = found.get((arm, b))
                d = None if v is None else v.difference
                row.append("" if d is None else f"{d.mean:+.{digits}f} ± {d.half_width:.{digits}f} {v.word}")  # type: ignore[union-attr]
            rows.append(row)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
        if any(self.edges.values()):
            lines.append("* on the edge of what was tried")
        return "\n".join(lines)

    def plot(self, baseline: str | None = None, ax: Any = None) -> Any:
        """Paired differences to a baseline with their intervals, one row an arm, and the zone.

        Grey is an interval that holds zero. Each stands alone here; `table` counts all comparisons, so what is
        coloured may be *not shown* there.
        """
        from kdlearn import plots

        other = baseline or self.baselines[0]
        ax = plots.intervals({arm: self.difference(arm, other) for arm in self.results if arm != other}, ax=ax)
        if self.zone:
            ax.axvspan(-self.zone, self.zone, color=plots.NEUTRAL, alpha=0.15, lw=0)
        ax.set_xlabel(f"{self.metric}: paired difference to {other}")
        return ax

    def _gap(self, arm: str, baseline: str, metric: str) -> np.ndarray:
        return self._values(arm, metric) - self._values(baseline, metric)

    def _values(self, arm: str, metric: str) -> np.ndarray:
        """One number a seed; KeyError, naming those that there are, for another arm or metric."""
        for kind, name, known in (("arm", arm, self.results), ("metric", metric, self.results.get(arm, {}))):
            if name not in known:
                raise KeyError(f"there is no {kind} {name!r}; there are: {', '.join(known)}")
        return self.results[arm][metric]


def trial(
    arms: Mapping[str, Arm],
    baselines: str | Sequence[str],
    seeds: int | Iterable[int],
    metric: str = "accuracy",
    better: str = "higher",
    zone: float = 0.0,
    widen: int = 0,
    search: int = 0,
    limits: Mapping[str, tuple[float, float]] | None = None,
    steps: Mapping[str, float] | None = None,
    overlap: float = 0.0,
    jobs: int | None = None,
    progress: bool | None = None,
    store: str | os.PathLike | None = None,
    together: int = 20,
) -> Trial:
    """Compare methods fairly: tune each on validation rows, measure the chosen setting once on test rows, judge.

    Parameters
    ----------
    arms : {name: (train, grid)}. `train(seeds, part, **setting) -> {metric: one value a seed}` trains the students of
        these seeds, for example as a `kd.Stack`, and measures them on the rows of `part`, "validation" or "test".
        Everything random follows the seeds: arms are paired by them. `grid` is {name: values}, and every
        combination is tried. An arm that has nothing to tune says so: its one value as often as the others have
        some, `{"decay": [0.0] * 4}`; that is one setting tried.
    baselines : the arm or arms that every other one is compared with.
    seeds : how many (0, 1, …) or which.
    metric, better : what chooses on the validation rows and is judged on the test rows; "higher" or "lower" is better.
    zone : differences of at most this size are not worth a claim; in the metric's unit.
    widen : how many settings an arm may add. While its choice lies on the edge of the values tried, the next value
        beyond is tried too: the last two values go on as a geometric row, or as an arithmetic one where one of the
        two is 0 or less. So arms may try different numbers of settings; `Trial.tried` has them.
    search : how many settings an arm adds by walking from its best, after `widen`. Name by name it tries what lies
        beyond the edges; where that finds nothing better, the next lower and the next higher value inside; then
        values half-way between. From a better one it begins again. So every arm adds equally many
        settings, but one that has nothing left to try, as where all of its values are whole numbers or words.
    limits : {name: (lowest, highest)} beyond which a value makes no sense, such as a weight's (0, 1); what lies on a
        limit is no edge. 0 is always one for values that are not negative.
    steps : {name: factor, or a whole number to add}, for a search: a name with one value in the grid is walked, too.
        It is the first step alone; from two values on the row goes on as for `widen`.
    overlap : as in `kd.study.interval`.
    jobs, progress, store : as in `sweep`.
    together : how many seeds `train` gets at once, at most.

    Returns
    -------
    Trial. The test rows are measured for the chosen settings alone, in trainings of their own.

    Raises
    ------
    ValueError
        Where the grids of arms have different numbers of settings, so that one is tuned more than another; where some
        settings of a grid are equal, unless all are; or where no setting of an arm has a finite score.

    Example
    -------
    >>> import kdlearn as kd
    >>> def labels(seeds, part, rate, smoothing=0.0):
    ...     splits = [kd.data.blobs(60, seed=seed) for seed in seeds]
    ...     students = kd.Stack([kd.MLP(2, 8, 3, seed=seed) for seed in seeds])
    ...     kd.fit(students, kd.CrossEntropy(smoothing=smoothing), [s.train for s in splits],
    ...            optimizer=kd.Adam(rate), epochs=3, seed=seeds, progress=False)
    ...     rows = [getattr(s, part) for s in splits]
    ...     return {"accuracy": [100 * kd.metrics.accuracy(net.logits(d.x), d.y) for net, d in zip(students, rows)]}
    >>> found = kd.study.trial(
    ...     {"labels": (labels, {"rate": [0.01, 0.03, 0.1]}),
    ...      "smoothed labels": (labels, {"rate": [0.03], "smoothing": [0.05, 0.1, 0.2]})},
    ...     baselines="labels", seeds=3, zone=0.5, widen=1, jobs=1, progress=False)
    >>> found.chosen["labels"]
    {'rate': 0.333333}
    >>> found.tried
    {'labels': 4, 'smoothed labels': 3}
    """
    seeds = all_different(seeds)
    check_better(better)
    check_zone(zone)
    check_size("overlap", overlap)
    check_count("together", together)
    compared = (baselines,) if isinstance(baselines, str) else tuple(baselines)
    grids = {arm: _product(arm, given) for arm, given in _by_name(arms).items()}
    _check(grids, compared)
    limits, steps = limits or {}, (steps or {}) if search else {}
    check_walk(grids, widen, search, limits, steps)

    def measured(arm: str, part: str, settings: list[Setting]) -> list[dict[str, np.ndarray]]:
        """Of each setting {metric: one value a seed}."""
        cells = [{"seeds": g, "part": part, **s} for s in settings for g in groups(seeds, together)]
        found = zip(cells, sweep(arms[arm][0], cells, jobs, progress, store))
        rows = iter([row[arm] for cell, of in found for row in one_row_a_seed({arm: of}, len(cell["seeds"]))])
        each = [[next(rows) for _ in seeds] for _ in settings]
        return [{metric: np.array([row[metric] for row in own]) for metric in own[0]} for own in each]

    chosen: dict[str, Setting] = {}
    edges: dict[str, list[str]] = {}
    tried: dict[str, int] = {}
    validation: dict[str, np.ndarray] = {}
    for arm, grid in grids.items():
        settings, scores, best = tune(
            grid, functools.partial(measured, arm, "validation"),
            functools.partial(_best, metric=metric, better=better, arm=arm), widen, search, limits, steps,
        )  # fmt: skip
        chosen[arm], tried[arm] = settings[best], len(_different(settings))
        edges[arm] = list(beyond(settings, settings[best], limits, steps))
        validation[arm] = scores[best][metric]
    results = {arm: measured(arm, "test", [setting])[0] for arm, setting in chosen.items()}
    return Trial(results, validation, chosen, edges, tried, compared, metric, better, zone, overlap)


def _by_name(arms: Any) -> Mapping[str, Any]:
    if not isinstance(arms, Mapping):
        raise TypeError(f"arms are {{name: (train, grid)}}, got {arms!r}")
    return arms


def _product(arm: str, given: Any) -> list[Setting]:
    pair = isinstance(given, (tuple, list)) and len(given) == 2
    if not (pair and callable(given[0]) and isinstance(given[1], Mapping)):
        raise TypeError(f"{arm}: an arm is (train, grid), a function and {{name: values}}, got {given!r}")
    grid: Mapping[str, Sequence[Any]] = given[1]
    for name, values in grid.items():
        if name in ("seeds", "part"):
            raise ValueError(f"{arm}: {name!r} is what train gets from the trial; call the setting something else")
        if isinstance(values, str) or not np.iterable(values):
            raise TypeError(f"{arm}: a grid has a list of values for each name, got {values!r} for {name!r}")
    settings = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    # a number of NumPy is no int: it would not be walked, nor found on an edge
    return [{name: v.item() if isinstance(v, np.generic) else v for name, v in s.items()} for s in settings]


def _check(grids: Mapping[str, list[Setting]], baselines: Sequence[str]) -> None:
    for b in baselines:
        if b not in grids:
            raise ValueError(f"baseline {b!r} is not among the arms: {', '.join(grids)}")
    for arm, settings in grids.items():
        if not settings:
            raise ValueError(f"{arm}: a grid without values leaves nothing to try; {{}} is one setting")
        different = _different(settings)
        if 1 < len(different) < len(settings):  # one setting as often as the others have some: there is nothing to tune
            raise ValueError(f"{arm}: a setting is in the grid twice, and would count as two that were tried")
    sizes = {arm: len(settings) for arm, settings in grids.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"every arm must be tuned over as many settings as the others, got {sizes}")


def _different(settings: list[Setting]) -> list[Setting]:
    return [s for i, s in enumerate(settings) if s not in settings[:i]]


def _best(scores: list[dict[str, np.ndarray]], metric: str, better: str, arm: str) -> int:
    for s in scores:
        if metric not in s:
            raise ValueError(f"{arm} does not measure {metric!r}; it measures: {', '.join(s)}")
    best = best_of([float(np.mean(s[metric])) for s in scores], better)
    if best is None:
        raise ValueError(f"{arm}: no setting has a finite score on the validation rows")
    return best
