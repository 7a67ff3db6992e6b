"""Rows to try an export on, and the comparison of float32 with float64 that every export must pass."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from kdlearn.export.columns import VALUE, Encoding
from kdlearn.export.plan import Plan, plan, softmax_rows

ROWS = 256  # that are drawn where none are given
LEAST_AGREEMENT = 0.9  # of the rows that a rounded model is tried on; below, it is no version of the model
TOLERANCE = 1e-3  # of a probability, or of a regressor's standard deviation of the target


class ExportError(ValueError):
    """An export that would not answer as the model does."""


def rows_for(steps: Plan, X: Any = None, seed: int = 0) -> np.ndarray:
    """Rows (N, C) as `Encoding.codes` reads them: those of X that are not refused, or drawn ones.

    Drawn: numbers normal with the mean and deviation that the scaler knows (0 and 1 where there is none),
    categories uniform, tokens uniform. In a column with an imputer one value in ten is missing.
    """
    rng = np.random.default_rng(seed)
    if steps.encoding is None:
        if X is not None:
            return np.asarray(X, dtype=np.int64)
        return rng.integers(0, len(steps.steps[0].arrays["W"]), (ROWS, steps.n_in))
    encoding = steps.parts.plain()
    if X is not None:
        codes = encoding.codes(X)
        codes = codes[~np.isnan(encoding.features(codes)).any(axis=1)]
        if len(codes) == 0:
            raise ExportError("none of the rows that were given is one that the model takes")
        return codes
    encoding = steps.encoding
    codes = np.empty((ROWS, len(encoding.columns)))
    for i, column in enumerate(encoding.columns):
        used = [f for f in encoding.table if f.column == i]
        if column.categories is not None:
            listed = [k for k in range(column.n_codes) if column.other or column.categories[k] is not None]
            codes[:, i] = rng.choice(listed, ROWS)
        else:
            f = next((f for f in used if f.code == VALUE), None)
            codes[:, i] = rng.standard_normal(ROWS) if f is None else f.shift + rng.standard_normal(ROWS) / f.factor
        if used and all(f.fill is not None or f.code != VALUE for f in used) and used[0].fill is not None:
            codes[rng.random(ROWS) < 0.1, i] = np.nan
    return codes if steps.centre is None else codes + steps.centre


def check(steps: Plan, X: Any = None) -> tuple[Plan, np.ndarray]:
    """`(plan, rows)` on which float32 answered as float64 does; ExportError, naming a column, where it does not.

    A bare regressor knows no deviation of its target: in the plan that is returned, its answers' stands for it.
    """
    codes = rows_for(steps, X)
    exact = exactly(steps)
    want, got = exact.answer(codes, np.float64), steps.answer(codes)
    if np.isnan(want).any(axis=1).all():
        raise ExportError("no row that it was tried on has an answer: the network's numbers overflow")
    mean, scale = steps.parts.target
    if steps.classes is None and np.all(np.equal(mean, 0) & np.equal(scale, 1)):
        steps = replace(steps, target_scale=_size(want))
    off = distance(steps, want, got)
    if off.max() <= TOLERANCE:
        return steps, codes
    where, moved = _blame(steps, exact, codes, want)
    what = "probability" if steps.classes is not None else "standard deviation of the target"
    if moved > TOLERANCE / 2:
        raise ExportError(
            f"float32 answers otherwise than float64, by {off.max():.2g} of a {what}: column {where!r} has values so "
            "large beside their differences that float32 rounds the differences away. Subtract a constant from the "
            "column before training (a time: seconds since the first row), or train with a scaler: the export uses it"
        )
    raise ExportError(
        f"float32 answers otherwise than float64, by {off.max():.2g} of a {what}: the network's own numbers need more "
        "digits than float32 has. Train it with weight decay, or with targets nearer to zero"
    )


def moved(steps: Plan, want: np.ndarray, got: np.ndarray) -> dict[str, float | None]:
    """How far rounded weights move the answers: `agreement`, the share of rows with the same class.

    Of a regressor that is None. It has `close`, the share of rows with each output within a tenth of its target's
    deviation, and the mean `error` and the `largest_error`.
    """
    if steps.classes is not None:
        return {"agreement": float((want.argmax(axis=1) == got.argmax(axis=1)).mean())}
    off = np.abs(want - got)
    same = float(((off / steps.target_scale).max(axis=1) < 0.1).mean())
    return {"agreement": None, "close": same, "error": float(np.nanmean(off)), "largest_error": float(np.nanmax(off))}


def alike(off: dict[str, float | None]) -> float:
    """The share of rows that are answered as before, of what `moved` found."""
    share = off["close"] if off["agreement"] is None else off["agreement"]
    assert share is not None
    return share


def _size(y: np.ndarray) -> np.ndarray:
    """(M,) the power of ten nearest to the deviation of answers (N, M), or, where they are constant, to their size."""
    spread, largest = np.nanstd(y, axis=0), np.nanmax(np.abs(y), axis=0)
    size = np.where(spread > 1e-6 * largest, spread, largest)
    return 10.0 ** np.rint(np.log10(np.where(size > 0, size, 1.0)))


def warn_of_drawn(steps: Plan, X: Any, what: str) -> None:
    """Say that rounding, `what`, is for inputs that nobody told of."""
    if X is None and steps.parts.knows_no_inputs:
        warnings.warn(
            f"{what} is for inputs of mean 0 and deviation 1: the network has no scaler, and no rows= were given",
            stacklevel=3,
        )


def exactly(steps: Plan) -> Plan:
    """The same plan in float64, with nothing folded."""
    return plan(_Whole(steps), fold=False, dtype=np.float64)


class _Whole:
    """The parts of a plan, as a model that `plan` takes."""

    def __init__(self, steps: Plan) -> None:
        self.parts_ = steps.parts


def distance(steps: Plan, want: np.ndarray, got: np.ndarray) -> np.ndarray:
    """(N,) how far apart two answers are; infinite where only one of them is an answer."""
    if steps.classes is not None:
        off = np.abs(softmax_rows(want) - softmax_rows(got)).max(axis=1)
    else:
        off = (np.abs(want - got) / steps.target_scale).max(axis=1)
    refused = np.isnan(want).any(axis=1), np.isnan(got).any(axis=1)
    return np.where(refused[0] & refused[1], 0, np.where(refused[0] | refused[1], np.inf, off))


def _blame(steps: Plan, exact: Plan, codes: np.ndarray, want: np.ndarray) -> tuple[str, float]:
    """The column that moves the answer most when it alone is rounded to float32, and by how much."""
    if steps.encoding is None:
        return "", 0.0
    centre = np.zeros(codes.shape[1]) if steps.centre is None else steps.centre
    moved = []
    with np.errstate(over="ignore"):
        for i in range(codes.shape[1]):
            rounded = codes.copy()
            rounded[:, i] = (codes[:, i] - centre[i]).astype(np.float32) + centre[i]
            moved.append(float(distance(steps, want, exact.answer(rounded, np.float64)).max()))
    worst = int(np.argmax(moved))
    return steps.encoding.names[worst], moved[worst]


def unscaled(encoding: Encoding) -> Encoding:
    """The same features without their scaling."""
    return Encoding(encoding.columns, [replace(f, shift=0.0, factor=1.0) for f in encoding.table])
