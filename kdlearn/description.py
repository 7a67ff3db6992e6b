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
from kdlearn.nn.layers import Layer
from kdlearn.nn.module import Module
from kdlearn.objective import Objective
from kdlearn.run import Run

VERSION = 2  # of what is said; a file that says something else cannot be compared
VALUES = "values of the"


def describe(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, in words and numbers: a checkpoint goes on only with a run of the same description.

    An objective is told with all that its parts hold, whatever parts there are. The weights of what is trained are in
    the file, and are not compared. Rows are compared by 64 of them: whole numbers each, other columns by their mean,
    their size and an average that depends on the order, all to three digits. Functions are compared by their names and
    what they hold, hooks only where they have a state to save.
    """
    told = {
        "description": VERSION,
        "networks": [[name, net.theta.size, _said(net) | {"still": None}] for net, name in run.owners.items()],
        "teachers": {name: [_said(net), _sum(net)] for name, net in run.teachers.items() if net not in run.owners},
        "objective": _said(run.objective),
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
    """Whether two descriptions of runs agree in this entry."""
    was, mine = saved.get(name), told.get(name)
    if not name.startswith(VALUES) or was is None or mine is None:
        return bool(was == mine)
    return set(was) == set(mine) and all(
        abs(a - b) <= 1e-3 * mine[column][1] for column in mine for a, b in zip(was[column], mine[column])
    )


def difference(was: Any, mine: Any, path: tuple[str, ...] = ()) -> tuple[str, Any, Any]:
    """`(where, was, mine)`: the innermost entry in which two parts of a description differ, and the way to it."""
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(was, dict) and isinstance(mine, dict) and was.keys() == mine.keys():
        pairs = [(key, was[key], mine[key]) for key in was]
    elif isinstance(was, list) and isinstance(mine, list) and len(was) == len(mine):
        pairs = [("", a, b) for a, b in zip(was, mine)]
    apart = [pair for pair in pairs if pair[1] != pair[2]]
    if len(apart) != 1:
        return ", ".join(path), was, mine
    key, was, mine = apart[0]
    return difference(was, mine, (*path, key) if key else path)


def _said(thing: Any, inside: tuple[Any, ...] = ()) -> Any:
    """Anything by its class and what it holds; a function by its name, what is set of it and what it encloses."""
    if isinstance(thing, np.generic):
        thing = thing.item()
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if any(thing is other for other in inside):  # it encloses itself
        return "itself"
    told = functools.partial(_said, inside=(*inside, thing))
    if isinstance(thing, functools.partial):
        return [told(thing.func), [told(a) for a in thing.args], {k: told(v) for k, v in thing.keywords.items()}]
    if isinstance(thing, (tuple, list, range)):
        return [told(t) for t in thing]
    if isinstance(thing, (set, frozenset)):
        return sorted((told(t) for t in thing), key=str)
    if isinstance(thing, Mapping):
        return {str(name): told(value) for name, value in thing.items()}
    if isinstance(thing, (Objective, Module, Layer)):
        return {"kind": type(thing).__qualname__, **{name: told(value) for name, value in _held(thing).items()}}
    if hasattr(thing, "dtype") and hasattr(thing, "shape"):  # what an object with a state holds may move
        return [str(thing.dtype), list(thing.shape), *_digest(thing) * (not any(hasattr(o, "state") for o in inside))]
    if isinstance(thing, types.FunctionType):
        thing = inspect.unwrap(thing)
        defaults = (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values())
        held = [told(value) for value in (*map(enclosed, thing.__closure__ or ()), *defaults)]
        code = [f"{zlib.crc32(thing.__code__.co_code):08x}", [c for c in thing.__code__.co_consts if is_number(c)]]
        nameless = thing.__name__ == "<lambda>"
        if not nameless and "<locals>" not in thing.__qualname__:
            return thing.__qualname__
        return [thing.__qualname__, held, *code * (nameless and not thing.__module__.startswith("kdlearn."))]
    if isinstance(thing, types.MethodType):
        own = thing.__self__
        held = told(own) if callable(own) else [type(own).__qualname__, told(getattr(own, "__dict__", None))]
        return [thing.__func__.__qualname__, held]
    if callable(thing):
        said = getattr(thing, "__qualname__", None) or _said_of(thing, inside)
        if said is not type(thing).__qualname__:
            return said
        return [said, told(getattr(thing, "__dict__", None))]
    return type(thing).__qualname__


def _held(thing: Objective | Module | Layer) -> dict[str, Any]:
    """What a part holds, without what is worked out of it, and without weights: those of what is trained are saved."""
    own = {
        name: v for name, v in vars(thing).items() if not isinstance(_of_class(thing, name), functools.cached_property)
    }
    if isinstance(thing, Objective):
        return own
    own = {name: v for name, v in own.items() if not name.startswith("_") and not hasattr(v, "dtype")}
    if isinstance(thing, Layer):
        return own
    for name in ("written", "slices"):
        own.pop(name, None)
    still = [] if thing.slices or not thing.n_parameters else [_sum(thing)]
    return {**own, "dtype": str(thing.theta.dtype), "frozen": thing.frozen, "still": still}


def _of_class(thing: Any, name: str) -> Any:
    return getattr(type(thing), name, None)


def _said_of(thing: Any, inside: tuple[Any, ...] = ()) -> Any:
    """An object by its class and, where the class is this package's, by the settings it was made with."""
    kind = type(thing)
    if not kind.__module__.startswith("kdlearn."):
        return kind.__qualname__
    own = {name: getattr(thing, name, None) for name in inspect.signature(kind).parameters}
    return [kind.__name__, {name: _said(value, (*inside, thing)) for name, value in own.items()}]


def _digest(a: Any) -> list[Any]:
    """What tells an array from another; floats, which may differ in their last bits, to three digits."""
    if not a.size or a.dtype.kind == "O":
        return []
    if a.dtype.kind != "f":
        return [f"{zlib.crc32(np.ascontiguousarray(to_numpy(a)).tobytes()):08x}"]
    return [f"{n:.3g}" for n in _three(to_numpy(a).reshape(len(a) if a.ndim else 1, -1))]


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
    """Three numbers of the same rows' other columns; see `_three`."""
    step = max(1, len(data) // 64)
    some = {n: to_numpy(a[::step]) for n, a in data.columns.items() if a.dtype.kind == "f"}
    return {name: _three(a) for name, a in some.items() if a.size}


def _three(a: np.ndarray) -> list[float]:
    """Mean, root mean square and a mean in which rows have weights by their place."""
    a = np.where(np.isfinite(a), a, 0.0).astype(float)  # a masked class is -inf
    place = np.sin(np.arange(len(a)))
    return [float(a.mean()), float(np.linalg.norm(a)) / a.size**0.5, float((a.T * place).mean())]
