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

VERSION = 3  # of what is said; a file that says something else cannot be compared
VALUES = "values of the"


def describe(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, in words and numbers: a checkpoint goes on only with a run of the same description.

    An objective is told with all that its parts hold, whatever parts there are. The weights of what is trained are in
    the file, and are not compared. Of the rows, whole numbers are compared each; other columns, whose last bits may
    differ, by their mean, their size and a sum that depends on the place of each entry, to a ten-thousandth of the
    size. Functions are compared by their names and what they hold, with the numbers, texts, arrays and data that they
    read from their module; hooks only where they have a state to save.
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
        abs(a - b) <= 1e-4 * mine[column][1] for column in mine for a, b in zip(was[column], mine[column])
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
    if isinstance(thing, Data):
        return {name: told(a) for name, a in thing.columns.items()}
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
        ours = str(thing.__module__).startswith("kdlearn.")
        read = {} if ours else {name: told(value) for name, value in _read_by(thing).items()}
        if not nameless and "<locals>" not in thing.__qualname__:
            return [thing.__qualname__, read] if read else thing.__qualname__
        return [thing.__qualname__, held, *code * (nameless and not ours), *[read] * bool(read)]
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
    kind, derived = type(thing), functools.cached_property
    own = {name: v for name, v in vars(thing).items() if not isinstance(getattr(kind, name, None), derived)}
    if isinstance(thing, Objective):
        return own
    own = {name: v for name, v in own.items() if not name.startswith("_") and not hasattr(v, "dtype")}
    if isinstance(thing, Layer):
        return own
    for name in ("written", "slices"):
        own.pop(name, None)
    still = [] if thing.slices or not thing.n_parameters else [_sum(thing)]
    return {**own, "dtype": str(thing.theta.dtype), "frozen": thing.frozen, "still": still}


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
    mean, size, placed = _three(to_numpy(a))
    return [f"{size:.3g}", *(f"{n / (size or 1.0):.3f}" for n in (mean, placed))]


def _read_by(function: types.FunctionType) -> dict[str, Any]:
    """What a function reads from its module that does not change: numbers, texts, arrays and data."""
    names = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    kinds = (bool, int, float, str, tuple, np.generic, np.ndarray, Data)
    return {name: value for name, value in names.items() if isinstance(value, kinds)}


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
    """What tells labels and positions from others; floats may differ in their last bits."""
    return {name: _digest(a)[0] for name, a in data.columns.items() if a.dtype.kind in "iu" and a.size}


def _values(data: Data) -> dict[str, list[float]]:
    """Three numbers of each column of floats; see `_three`."""
    return {name: _three(to_numpy(a)) for name, a in data.columns.items() if a.dtype.kind == "f" and a.size}


def _three(a: np.ndarray) -> list[float]:
    """Mean, root mean square, and a sum with a weight for each place, over the root of their number."""
    a = a.reshape(len(a), -1) if a.ndim else a.reshape(1, 1)
    draw = np.random.default_rng(0)
    along, across = (draw.choice([-1.0, 1.0], n) * draw.uniform(1, 2, n) for n in a.shape)
    total = square = placed = 0.0
    for start in range(0, len(a), 4096):  # as float64, of many images, it would not fit beside them
        some = np.nan_to_num(a[start : start + 4096].astype(float), nan=1.0, posinf=2.0, neginf=3.0)  # masks, too
        total, square = total + some.sum(), square + (some * some).sum()
        placed += along[start : start + 4096] @ (some @ across)
    return [float(total / a.size), float(square / a.size) ** 0.5, float(placed / a.size**0.5)]
