"""What tells one run from another, and a function from one that looks like it."""

from __future__ import annotations

import functools
import inspect
import json
import types
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import to_numpy
from kdlearn.checks import is_number
from kdlearn.data import Data
from kdlearn.nn.module import Module
from kdlearn.objective import Given, Through
from kdlearn.run import Run

VALUES = "values of the"


def describe(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, in words and numbers: a checkpoint goes on only with a run of the same description.

    Rows are compared by 64 of them: whole numbers each, other columns by their mean, their size and an average that
    depends on the order, all to three digits. Functions are compared by their names and the numbers that they hold,
    hooks only where they have a state to save.
    """
    weight = {"weights of": [[term.name, _said(term.loss), _said(term.weight)] for term in run.objective.terms]}
    adaptors = [o.target for o in run.objective.walk() if isinstance(o, Through)]
    given = [[o.target, _said(o.function)] for o in run.objective.walk() if isinstance(o, Given)]
    told = {
        "networks": [
            [name, net.theta.size, str(net.theta.dtype), repr(net.layers), sorted(net.frozen)]
            for net, name in run.owners.items()
        ],
        "teachers": {name: _sum(net) for name, net in run.teachers.items() if net not in run.owners},
        "objective": [weight, adaptors, *[given] * bool(given)],
        "optimizer": run.optimizer.settings(),
        "hooks": [_said_of(hook) for hook in run.hooks if hasattr(hook, "state")],
        **_of_rows("rows", run.given),
        **_of_rows("validation rows", run.held_out),
        **{name: _said(value) for name, value in settings.items()},
    }
    return json.loads(json.dumps(told, default=str))


def _of_rows(what: str, data: Data | None) -> dict[str, Any]:
    """How many, and what they hold."""
    told: dict[str, Callable[[Data], Any]] = {what: len, f"whole numbers of the {what}": _whole_numbers}
    told[f"{VALUES} {what}"] = _values
    return {name: None if data is None else tell(data) for name, tell in told.items()}


def like(name: str, saved: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether two descriptions of runs agree in this entry; an older file does not hold every entry."""
    was, mine = saved.get(name), told.get(name)
    if name not in saved:
        return name in ("step", "data function", f"{VALUES} rows") or "validation" in name
    if not name.startswith(VALUES) or was is None or mine is None:
        return bool(was == mine)
    return set(was) == set(mine) and all(
        abs(a - b) <= 1e-3 * mine[column][1] for column in mine for a, b in zip(was[column], mine[column])
    )


def _said(thing: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A function by its name, what is set of it and what it encloses; other things as they are."""
    if any(thing is other for other in inside):  # it encloses itself
        return "itself"
    told = functools.partial(_said, inside=(*inside, thing) if callable(thing) else inside)
    if isinstance(thing, functools.partial):
        return [told(thing.func), [told(a) for a in thing.args], {k: told(v) for k, v in thing.keywords.items()}]
    if isinstance(thing, (tuple, list)):
        return [told(t) for t in thing]
    if isinstance(thing, types.FunctionType):
        thing = inspect.unwrap(thing)
        held = [told(value) for value in (*map(enclosed, thing.__closure__ or ()), *(thing.__defaults__ or ()))]
        code = [f"{zlib.crc32(thing.__code__.co_code):08x}", [c for c in thing.__code__.co_consts if is_number(c)]]
        nameless = thing.__name__ == "<lambda>"
        if not nameless and "<locals>" not in thing.__qualname__:
            return thing.__qualname__
        return [thing.__qualname__, held, *code * (nameless and not thing.__module__.startswith("kdlearn."))]
    if callable(thing):
        said = getattr(thing, "__qualname__", None) or _said_of(thing)
        if said is not type(thing).__qualname__:
            return said
        return [said, {name: told(value) for name, value in getattr(thing, "__dict__", {}).items()}]
    return thing if thing is None or isinstance(thing, (bool, int, float, str)) else type(thing).__qualname__


def _said_of(thing: Any) -> Any:
    """An object by its class and, where the class is this package's, by the settings it was made with."""
    kind = type(thing)
    if not kind.__module__.startswith("kdlearn."):
        return kind.__qualname__
    own = {name: getattr(thing, name, None) for name in inspect.signature(kind).parameters}
    told = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in own.items()}
    return [kind.__name__, {name: _said(value) for name, value in told.items()}]


def enclosed(cell: types.CellType) -> Any:
    """What a function holds there; None for a name that has no value yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _sum(net: Module) -> str:
    """What tells the weights of a teacher, which is not saved, from those of another."""
    return f"weights with the sum {zlib.crc32(to_numpy(net.theta).tobytes()):08x}"


def _whole_numbers(data: Data) -> dict[str, str]:
    """What tells the labels and positions of 64 rows from those of others; floats may differ in their last bits."""
    step = max(1, len(data) // 64)
    sums = {n: to_numpy(a[::step]) for n, a in data.columns.items() if a.dtype.kind in "iu"}
    return {name: f"{zlib.crc32(np.ascontiguousarray(a).tobytes()):08x}" for name, a in sums.items()}


def _values(data: Data) -> dict[str, list[float]]:
    """Mean, root mean square and a mean in which rows have weights by their place, of the same rows' other numbers."""
    step = max(1, len(data) // 64)
    some = {n: to_numpy(a[::step]).astype(float) for n, a in data.columns.items() if a.dtype.kind == "f"}
    some = {name: np.where(np.isfinite(a), a, 0.0) for name, a in some.items()}  # a masked class is -inf
    return {
        name: [float(a.mean()), float(np.linalg.norm(a)) / a.size**0.5, float((a.T * np.sin(np.arange(len(a)))).mean())]
        for name, a in some.items()
        if a.size
    }
