"""What can be drawn: one row, a name a class, a mean with its interval. All else is refused before a figure is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import to_numpy


def one_row(z: Any, what: str) -> np.ndarray:
    """One row of numbers (K,); ValueError for several, of which the first would pass for all."""
    row = np.atleast_2d(to_numpy(z)).astype(float)
    if row.ndim != 2 or len(row) != 1:
        raise ValueError(f"{what} must be one row of numbers, got shape {np.shape(z)}: give {what}[0], or another")
    return row[0]


def check_probabilities(p: np.ndarray) -> None:
    """ValueError unless p (K,) are probabilities: none below 0, with a sum of 1."""
    if not (p.min(initial=0.0) >= -1e-6 and abs(p.sum() - 1) <= 0.01):
        raise ValueError(
            f"probabilities are at least 0 and their sum is 1, got a smallest of {p.min(initial=np.inf):.3g} and a sum "
            f"of {p.sum():.3g}: of logits draw kd.softmax(z)[0]"
        )


def class_names(names: Sequence[str] | None, plain: list[str]) -> Sequence[str]:
    """The names, one for each class, or the plain ones; ValueError for more or fewer."""
    if names is not None and len(names) != len(plain):
        raise ValueError(f"names has {len(names)} names, there are {len(plain)} classes: give one for each")
    return plain if names is None else names


def check_interval(found: Any, what: str) -> None:
    """TypeError unless it is a mean with an interval."""
    if not hasattr(found, "half_width"):
        raise TypeError(
            f"{what} must be a mean with its interval, kd.study.interval(values), got {type(found).__name__}"
        )


def square_side(pixels: int, what: str) -> int:
    """The side of a square image; ValueError where so many pixels make none."""
    side = round(pixels**0.5)
    if side * side != pixels:
        raise ValueError(f"{what} has {pixels} pixels, which make no square image: {side}·{side} are {side * side}")
    return side


def check_line(values: Sequence[Any], x: Sequence[float], name: str) -> None:
    """ValueError or TypeError unless a line has one number, or one mean with an interval, at each x."""
    if len(values) != len(x):
        raise ValueError(f"the line {name!r} has {len(values)} values, x has {len(x)}")
    means = {hasattr(v, "half_width") for v in values}
    if len(means) > 1 or (means == {False} and np.ndim(values) != 1):
        raise TypeError(f"the line {name!r} must be made of numbers, or of kd.study.interval(values) at each x")


def check_logarithm(x: Sequence[float], values: Sequence[Any], log: str, name: str) -> None:
    """ValueError where a logarithmic axis has no place for any point of a line."""
    shown = [(a, v.mean if hasattr(v, "half_width") else v) for a, v in zip(x, values)]
    if shown and not any(("x" not in log or a > 0) and ("y" not in log or v > 0) for a, v in shown):
        raise ValueError(
            f"the line {name!r} has no point above 0, and a logarithmic axis shows no other: leave out log"
        )


def check_points(x: np.ndarray, y: np.ndarray) -> None:
    """ValueError unless x (N, 2) are points of a plane with finite coordinates, and y (N,) their labels."""
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ValueError(f"x must be points of a plane (N, 2), at least one, got shape {x.shape}")
    if y.shape != x.shape[:1]:
        raise ValueError(f"y must be a label for each of the {len(x)} points, ({len(x)},), got shape {y.shape}")
    lost = np.flatnonzero(~np.isfinite(x.astype(float)).all(axis=1))
    if lost.size:
        raise ValueError(f"x[{lost[0]}] has a coordinate that is NaN or infinite: leave such points out")


def check_apart(count: int, most: int, what: str) -> None:
    """ValueError for more things than colours and patterns tell apart."""
    if count > most:
        raise ValueError(f"at most {most} {what} can be told apart, got {count}: draw fewer in one picture")


def rows_of_one_length(gradients: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Each dz as one row (K,); ValueError for none, or where K differs."""
    if not gradients:
        raise ValueError("there are no gradients to draw")
    rows = {name: one_row(dz, "dz") for name, dz in gradients.items()}
    sizes = {name: row.size for name, row in rows.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the gradients must be of one row's classes, all of one length; got {sizes}")
    return rows
