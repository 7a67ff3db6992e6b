"""The walk to a better setting: beyond the edges of what was tried, beside the best one, and half-way between."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.checks import is_whole

Setting = dict[str, Any]
Limits = Mapping[str, tuple[float, float]]


def tune(
    grid: list[Setting],
    validate: Callable[[list[Setting]], list[Any]],
    choose: Callable[[list[Any]], int],
    widen: int,
    search: int,
    limits: Limits,
    steps: Mapping[str, float],
) -> tuple[list[Setting], list[Any], int]:
    """`(settings, scores, best)`: all that were tried, in order, and the position of the best.

    After the grid at most `widen` settings beyond its edges; then at most `search`, name by name from the best one:
    what lies beyond the edges; where that is not better, its neighbours among the values tried; then what lies
    half-way between. From a better one it begins again.

    Parameters
    ----------
    validate : settings -> their scores.
    choose : all scores so far -> the position of the best.
    """
    settings, scores = list(grid), validate(grid)
    best = choose(scores)

    def go_on(more: list[Setting]) -> None:
        nonlocal best
        scores.extend(validate(more))
        settings.extend(more)
        best = choose(scores)

    def outside(settings: list[Setting], chosen: Setting, name: str) -> list[Setting]:
        return beyond(settings, chosen, limits, steps).get(name, [])

    most = len(grid) + widen
    while more := [s for new in beyond(settings, settings[best], limits).values() for s in new if s not in settings]:
        if len(settings) >= most:
            break
        go_on(more[: most - len(settings)])
    most, so_far = len(settings) + search, 0
    while so_far < len(settings) < most:  # until nothing is left to try
        so_far = len(settings)
        for look in (outside, inside, between):
            before = best
            for name in settings[best]:
                more = [s for s in look(settings, settings[best], name) if s not in settings]
                if more := more[: most - len(settings)]:
                    go_on(more)
            if best != before:
                break
    return settings, scores, best


def beyond(
    settings: Sequence[Setting], chosen: Setting, limits: Limits, steps: Mapping[str, float] | None = None
) -> dict[str, list[Setting]]:
    """{name: settings with the next value beyond}, for each value of the choice that lies on an edge.

    The two values at that edge go on as a geometric row, or as an arithmetic one where one of them is 0 or less. A
    name whose value was never varied has no edge, unless `steps` says by which factor to go (whole numbers: how far).
    """
    found: dict[str, list[Setting]] = {}
    for name, value in chosen.items():
        values = tried(settings, name)
        step = (steps or {}).get(name)
        if not _is_number(value) or (len(values) < 2 and step is None):
            continue
        low, high = limits.get(name, (0 if values[0] >= 0 else -np.inf, np.inf))
        following = []
        if value == values[0] > low:
            following.append(max(_next(values[1], value) if len(values) > 1 else _stepped(value, step, -1), low))
        if value == values[-1] < high:
            following.append(min(_next(values[-2], value) if len(values) > 1 else _stepped(value, step, 1), high))
        if new := [{**chosen, name: v} for v in following if v != value]:
            found[name] = new
    return found


def inside(settings: Sequence[Setting], chosen: Setting, name: str) -> list[Setting]:
    """The choice with the next lower and the next higher value that one name had."""
    return [{**chosen, name: v} for v in _beside(settings, chosen, name)]


def between(settings: Sequence[Setting], chosen: Setting, name: str) -> list[Setting]:
    """The choice with the values half-way to the next lower and the next higher one: geometric means, or means."""
    value, found = chosen[name], []
    for other in _beside(settings, chosen, name):
        if not (isinstance(value, int) and isinstance(other, int)):  # a whole number stays one
            middle = (value * other) ** 0.5 if min(value, other) > 0 else (value + other) / 2
            found.append({**chosen, name: float(f"{middle:.6g}")})
    return found


def _beside(settings: Sequence[Setting], chosen: Setting, name: str) -> list[Any]:
    if not _is_number(chosen[name]):
        return []
    values = tried(settings, name)
    i = values.index(chosen[name])
    return [*values[max(i - 1, 0) : i], *values[i + 1 : i + 2]]


def tried(settings: Sequence[Setting], name: str) -> list[Any]:
    """The numbers that a name had, in order."""
    return sorted({s[name] for s in settings if _is_number(s[name])})


def check_walk(
    grids: Mapping[str, list[Setting]], widen: int, search: int, limits: Limits, steps: Mapping[str, float]
) -> None:
    """ValueError unless grids can be walked so: numbers of settings, (lowest, highest), and sizes of a step.

    A size is a factor above 1, or a whole number to add. Limits and steps may hold names that no grid has, for other
    trials, but none that is nearly one of these.
    """
    for what, more in (("widen", widen), ("search", search)):
        if not is_whole(more) or more < 0:
            raise ValueError(f"{what} must be a number of settings, 0 or more, got {more!r}")
    for name, (low, high) in limits.items():
        if not low <= high:
            raise ValueError(f"limits are (lowest, highest), got {(low, high)} for {name!r}")
    for name, step in steps.items():
        if not (_is_number(step) and (step > 1 or (isinstance(step, int) and step == 1))):
            raise ValueError(f"a step is a factor above 1, or a whole number to add, got {step!r} for {name!r}")
    known = {name for settings in grids.values() for setting in settings for name in setting}
    written = {name.lower(): name for name in sorted(known)}
    for what, given in (("limits", limits), ("steps", steps)):
        for name in given.keys() - known:
            if near := difflib.get_close_matches(name.strip().lower(), written, 1, 0.8):
                raise ValueError(f"{what}: no arm has a setting {name!r}; is {written[near[0]]!r} meant?")


def _next(before: float, edge: float) -> float:
    """The value after `before` and `edge`: in a geometric row, or an arithmetic one if it holds 0 or less."""
    value = edge * edge / before if before > 0 and edge > 0 else 2 * edge - before
    if isinstance(before, int) and isinstance(edge, int):
        return max(1, round(value)) if before > 0 and edge > 0 else value
    return float(f"{value:.6g}")


def _stepped(value: float, step: Any, sign: int) -> float:
    if isinstance(value, int):
        return value + sign * step
    return float(f"{value * step**sign:.6g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
