"""Does the teacher help? On rows held out, its students compete with labels alone.

Both sides have equally many settings. Those of the teacher's students are soft weights, temperatures and made rows, at
the default weight decay; those of labels alone are weight decays. After the first split the two best of each side go
on. What is compared at the end are the best of both, on the same rows. A student that saw more rows took more steps:
before it wins, labels alone compete once more, with as many steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import numpy as np

FOLDS = 3  # of a small table every row is held out once
FINALISTS = 2  # of each side that go on after the first split of a small table
LARGE = 2000  # rows from which on one split is enough
HELD_AT_MOST = 2000
CERTAIN = 2.0  # standard errors by which a teacher must beat labels alone
LITTLE = 0.01  # of the loss of labels alone: a gain below is certain, perhaps, and of no use
FEW = 60  # rows held out that can show large differences alone
WORST, MOST = 0.01, 0.5  # a comparison hangs on so small a share of the rows if they make so much of the loss
UNLIKE = 2.0  # times as many rows as their weights count for: it is said
UNEQUAL = 1.25  # times the steps from which on a student counts as trained longer


@dataclass(frozen=True)
class Choice:
    """How a student is taught: `soft_weight` 0 is labels alone; `made` is how many rows are made besides.

    `alpha` is the weight decay; None: as it is set. The training is `longer` times the passes that are set.
    """

    soft_weight: float
    temperature: float | None = None
    made: int = 0
    alpha: float | None = None
    longer: float = 1.0

    def __str__(self) -> str:
        if self.soft_weight == 0:
            more = "" if self.longer == 1 else f", {self.longer:.3g} times the passes"
            return "labels alone" + ("" if self.alpha is None else f", alpha={self.alpha:g}") + more
        T = "" if self.temperature is None else f", temperature={self.temperature:g}"
        return f"soft_weight={self.soft_weight:g}{T}" + (f", {self.made:,} made rows" if self.made else "")


@dataclass
class Result:
    """A contestant's loss, and whether it was right, on each row held out; NaN where it did not get to it.

    A row counts as its weight, in every mean here.
    """

    choice: Choice
    loss: np.ndarray
    right: np.ndarray
    gains: dict[str, tuple[float, float]] = field(default_factory=dict)  # over labels alone: mean, standard error
    weights: np.ndarray | None = None  # None: all alike

    @property
    def effective(self) -> float:
        """How many rows of one weight would say as much: (sum w)^2 / sum w^2 over those held out."""
        known = ~np.isnan(self.loss)
        w = known.astype(float) if self.weights is None else self.weights[known] / max(self.weights.max(), 1e-300)
        return float(w.sum() ** 2 / max((w**2).sum(), 1e-300))

    def mean(self, a: np.ndarray, rows: np.ndarray) -> float:
        """Weighted mean of some of its rows."""
        return float(np.average(a[rows], weights=None if self.weights is None else self.weights[rows]))

    def entry(self) -> dict[str, Any]:
        """What `report_` says of it."""
        known = ~np.isnan(self.loss)
        made = {"soft_weight": self.choice.soft_weight, "temperature": self.choice.temperature}
        made |= {"made_rows": self.choice.made, "alpha": self.choice.alpha, "longer": self.choice.longer}
        found: dict[str, Any] = {**made, "rows": int(known.sum())}
        found["loss"] = self.mean(self.loss, known)
        if not np.isnan(self.right[known]).any():
            found["accuracy"] = self.mean(self.right, known)
        for name, (mean, error) in self.gains.items():
            found[f"{name}_gain"], found[f"{name}_gain_error"] = mean, error
        return found


def folds(groups: np.ndarray | None, n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows to hold out, one array a split: of each group alike, and never the only row of its group."""
    number = FOLDS if n < LARGE else n // min(HELD_AT_MOST, n // FOLDS)
    fold, start = np.full(n, -1), 0
    for group in [None] if groups is None else np.unique(groups):
        rows = rng.permutation(n if group is None else np.flatnonzero(groups == group))
        if len(rows) > 1:
            fold[rows] = (start + np.arange(len(rows))) % number
            start += len(rows)
    for k in range(number if n < LARGE else 1):
        held = np.flatnonzero(fold == k)
        if 0 < len(held) < n:
            yield held


def against_labels(taught: Sequence[Choice], decays: Sequence[float]) -> list[Choice]:
    """Labels alone with each decay, and the choices that use the teacher, in turn: time may end a contest anywhere."""
    alone = [Choice(0.0, alpha=decay) for decay in decays]
    pairs = zip_longest(alone, (replace(choice, alpha=decays[0]) for choice in taught))
    return [choice for pair in pairs for choice in pair if choice is not None]


def as_long(
    choices: Sequence[Choice], winner: Choice, steps: Callable[[Choice, int, int], int], n: int, m: int
) -> list[Choice]:
    """Labels alone with as many steps as the winner, or none where they had them.

    `steps(choice, n, m)` are those of a training on n labelled rows and m others.
    """
    alone = [choice for choice in choices if choice.soft_weight == 0]
    longer = steps(winner, n, m) / steps(alone[0], n, m)
    return [replace(choice, longer=longer) for choice in alone] if longer > UNEQUAL else []


def compete(
    choices: Sequence[Choice],
    splits: Iterable[np.ndarray],
    teach: Callable[[np.ndarray], Callable[[Choice], tuple[np.ndarray, np.ndarray]]],
    weights: np.ndarray,
    until: float | None,
) -> list[Result]:
    """Losses and answers of the choices on the splits, as far as the time goes; `teach(held)(choice)` gives them.

    weights (n,) are those of the rows.

    After the first split only the `FINALISTS` best of each side go on.
    """
    n = len(weights)
    results = [Result(choice, np.full(n, np.nan), np.full(n, np.nan), weights=weights) for choice in choices]
    still = results
    for held in splits:
        study = teach(held)
        for result in still:
            if until is not None and time.monotonic() > until:
                return results
            result.loss[held], result.right[held] = study(result.choice)
        ranked = [sorted(side, key=lambda r: r.mean(r.loss, held))[:FINALISTS] for side in sides(still)]
        still = [result for pair in zip_longest(*ranked) for result in pair if result is not None]
    return results


def sides(results: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """`(labels alone, those that use the teacher)`."""
    alone = [result for result in results if result.choice.soft_weight == 0]
    return alone, [result for result in results if result.choice.soft_weight > 0]


def best_alone(results: Sequence[Result], weights: np.ndarray) -> Result:
    """Labels alone with the lowest loss, among those that were measured on the most rows."""
    alone = sides(results)[0]
    known = [~np.isnan(result.loss) for result in alone]
    most = max(int(rows.sum()) for rows in known)
    if most == 0:
        return alone[0]
    last = [(result, rows) for result, rows in zip(alone, known) if rows.sum() == most]
    return min(last, key=lambda pair: float(np.average(pair[0].loss[pair[1]], weights=weights[pair[1]])))[0]


def decide(results: Sequence[Result], weights: np.ndarray) -> Result:
    """The contestant to be kept: the best of labels alone, unless one with the teacher is better beyond noise.

    Better: its loss is lower by more than `CERTAIN` standard errors of the paired difference, and it is not
    wrong more often.
    """
    alone, taught = best_alone(results, weights), sides(results)[1]
    best = alone
    most = max((int((~np.isnan(result.loss)).sum()) for result in taught), default=0)
    for result in taught:
        rows = ~np.isnan(alone.loss) & ~np.isnan(result.loss)
        w = weights[rows] / (weights[rows].sum() or 1)
        if rows.sum() < 2 or w @ w > 2 / 3:  # or one row decides by its weight
            continue
        for name in ("loss", "accuracy"):
            d = (alone.loss - result.loss if name == "loss" else result.right - alone.right)[rows]
            if not np.isnan(d).any():
                mean = float(w @ d)
                result.gains[name] = mean, float(np.sqrt(w**2 @ (d - mean) ** 2))
        mean, error = result.gains["loss"]
        ahead = rows.sum() == most and mean > CERTAIN * error and result.gains.get("accuracy", (0.0, 0.0))[0] >= 0
        if ahead and mean > best.gains.get("loss", (0.0, 0.0))[0]:
            best = result
    return best


def verdict(results: Sequence[Result], best: Result, late: bool = False, a_split: int | None = None) -> str:
    """The first sentences of a report; `late`: the time was over before the contest was.

    The first split held out `a_split` rows; None: some, not all.
    """
    n = max(int((~np.isnan(result.loss)).sum()) for result in results)
    held = f"{n:,} rows held out" + (" in turn" if n > (len(best.loss) - 1 if a_split is None else a_split) else "")
    count = max(result.effective for result in results)
    held += "" if count >= n / UNLIKE else f", by their weights as many as {count:,.0f}"
    if not any(r.gains for r in results):
        lack = "There are too few rows" if not late else "There was no time"
        return f"{lack} to compare the teacher with labels alone: the teacher is not used."
    ended = _ended(results) if late else ""
    few = " So few rows show large gains alone." if count < FEW else ""
    if best.choice.soft_weight == 0:
        return f"Labels alone are as good here: the teacher is not used ({held}).{few}{ended}{_hangs(best)}"
    (mean, error), left = best.gains["loss"], best.entry()["loss"]
    if "accuracy" not in best.gains:
        size = f"squared error {left:.3g} of the target's variance, {mean:.3g} ± {1.96 * error:.2g} lower"
    else:
        right, width = best.gains["accuracy"]
        size = f"log-loss {mean:.3g} ± {1.96 * error:.2g} lower, accuracy {100 * right:+.1f} ± {196 * width:.1f} points"
    little = ", but little" if mean < LITTLE * (left + mean) else ""
    return (
        f"The teacher helps here{little}: {size}, against labels alone on {held} ({best.choice})."
        f"{few}{ended}{_unequal(results)}{_hangs(best)}"
    )


def _ended(results: Sequence[Result]) -> str:
    """How far the contest came until its time was over."""
    ran = sum(not np.isnan(result.loss).all() for result in results)
    return f" max_time ended the comparison{f' after {ran} of {len(results)} settings' if ran < len(results) else ''}."


def _unequal(results: Sequence[Result]) -> str:
    """A warning where one side had fewer settings: the best of many is better by chance, too."""
    ran = [result for result in results if result.choice.longer == 1 and not np.isnan(result.loss).all()]
    alone, taught = map(len, sides(ran))
    if alone >= taught:
        return ""
    some = "one setting" if alone == 1 else f"{alone} settings"
    return f" Labels alone had {some} against {taught}: search alpha before you believe a small gain."


def _hangs(best: Result) -> str:
    """A warning where a squared error comes from a few rows: they alone decide which side is better."""
    known = ~np.isnan(best.loss)
    loss = (best.loss if best.weights is None else best.loss * best.weights)[known]
    few = int(np.ceil(WORST * len(loss)))
    share = float(np.sort(loss)[-few:].sum() / max(loss.sum(), 1e-300))
    if not np.isnan(best.right).all() or best.effective < FEW or share <= MOST:
        return ""
    return (
        f" {few} of these {len(loss):,} rows make {100 * share:.0f} % of the squared error, so the comparison hangs on "
        "them: if their targets are mistakes, leave them out."
    )
