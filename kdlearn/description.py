"""What tells one run from another, and a function from one that looks like it."""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import json
import sysconfig
import types
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import to_numpy
from kdlearn.checks import is_number
from kdlearn.data import Data
from kdlearn.nn.layers import Layer
from kdlearn.nn.module import Module
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Objective
from kdlearn.run import Run

VERSION = 4  # of what is said; a file that says something else cannot be compared
MANY = 100  # entries of a list; longer ones are told by a checksum
GROUPS = 1024  # columns of an array of floats, at the most, that are told one by one
DEEP = 40  # things that hold one another, at the most, that are walked over
CLOCKS = ("seconds", "fit_time", "fit_time_", "score_time")  # of a history and of searches: never twice the same
FLOATS = "mean, spread and sum"
ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")
INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def describe(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, in words and numbers: a checkpoint goes on only with a run of the same description.

    All that a run is given is told with all that it holds: objectives, teachers, settings, functions, and what these
    hold in turn. Networks that the run trains are told without weights, which are in the file; others with them.
    Of arrays and columns, whole numbers and texts are compared each; floats, whose last bits may differ, by each
    column's mean, spread and a sum that depends on the place of each entry, to a ten-thousandth of the spread.
    A function is told by its name, its defaults, what it encloses and what it reads from its module; of the code
    itself only a lambda's. An object with a `state` of its own, such as a hook, is told by the arguments it was made
    with, where it keeps them under their names; hooks without a state are not told.
    """
    said = functools.partial(_said, trained=run.owners)
    told = {
        "description": VERSION,
        "networks": [[name, net.theta.size, _part(net, said)] for net, name in run.owners.items()],
        "teachers": {name: said(net) for name, net in run.teachers.items()},
        "objective": said(run.objective),
        "optimizer": run.optimizer.settings(),
        "hooks": [said(hook) for hook in run.hooks if hasattr(hook, "state")],
        "rows": said(run.given),
        "validation rows": said(run.held_out),
        **{name: said(value) for name, value in settings.items()},
    }
    return json.loads(json.dumps(told, default=str))


def difference(was: Any, mine: Any, path: tuple[str, ...] = ()) -> tuple[str, Any, Any] | None:
    """`(where, was, mine)`: the innermost entry in which two descriptions differ, and the way to it; None: in none."""
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(was, dict) and isinstance(mine, dict) and was.keys() == mine.keys():
        if FLOATS in was:
            return _difference_of_floats(was, mine, path)
        pairs = [(key, was[key], mine[key]) for key in was]
    elif isinstance(was, list) and isinstance(mine, list) and len(was) == len(mine):
        pairs = [("", a, b) for a, b in zip(was, mine)]
    elif was == mine:
        return None
    else:
        return ", ".join(path), was, mine
    found = [difference(a, b, (*path, key) if key else path) for key, a, b in pairs]
    apart = [one for one in found if one is not None]
    return None if not apart else apart[0] if len(apart) == 1 else (", ".join(path), was, mine)


def _difference_of_floats(was: Any, mine: Any, path: tuple[str, ...]) -> tuple[str, Any, Any] | None:
    where = ", ".join(path)
    if was["shape"] != mine["shape"]:
        return where, was["shape"], mine["shape"]
    a, b = np.array(was[FLOATS]), np.array(mine[FLOATS])  # (3, groups)
    away = np.abs(a - b) / (1e-4 * b[1] + 1e-6 * np.abs(b[0]) + np.finfo(float).tiny)
    if not away.size or away.max() <= 1:
        return None
    j = int(away.max(axis=0).argmax())
    of = f"column {j}, " if a.shape[1] > 1 else ""
    told_was, told_mine = ([float(f"{v:.7g}") for v in three[:, j]] for three in (a, b))
    return f"{where}{where and ', '}{of}{FLOATS}", told_was, told_mine


def _said(thing: Any, inside: tuple[Any, ...] = (), trained: Mapping[Module, str] = types.MappingProxyType({})) -> Any:
    """Anything by its class and what it holds; a function by its name, what is set of it, encloses and reads."""
    if isinstance(thing, np.generic):
        thing = thing.item()
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing if thing == thing else "NaN"
    if isinstance(thing, bytes):
        return _checksum(thing)
    if isinstance(thing, (type, types.ModuleType, types.BuiltinFunctionType)):
        return getattr(thing, "__qualname__", thing.__name__)
    if any(thing is other for other in inside):  # it encloses itself
        return "itself"
    if isinstance(thing, Module) and thing in trained:
        return trained[thing]
    if len(inside) > DEEP:
        return type(thing).__qualname__
    told = functools.partial(_said, inside=(*inside, thing), trained=trained)
    moves = any(map(_has_state, inside))  # what an object with a state holds may move
    if isinstance(thing, functools.partial):
        return [told(thing.func), [told(a) for a in thing.args], {k: told(v) for k, v in thing.keywords.items()}]
    if isinstance(thing, (tuple, list, range)):
        return _short([told(t) for t in thing])
    if isinstance(thing, (set, frozenset)):
        return _short(sorted((told(t) for t in thing), key=str))
    if isinstance(thing, Data):
        return {name: _array(a, told) for name, a in thing.columns.items()}
    if isinstance(thing, Mapping):
        return _short({str(name): told(value) for name, value in thing.items() if not str(name).endswith(CLOCKS)})
    if isinstance(thing, Optimizer):
        return thing.settings()
    if isinstance(thing, (Objective, Layer)):
        return _part(thing, told)
    if isinstance(thing, Module):
        return _part(thing, told) | {"weights": None if moves else _sum(thing)}
    if isinstance(thing, np.ndarray) or hasattr(thing, "__cuda_array_interface__"):
        return ["array", list(thing.shape)] if moves else _array(thing, told)
    if hasattr(thing, "iloc"):  # a table of pandas, whose own arrays may differ where their cells do not
        columns = thing.to_frame() if thing.ndim == 1 else thing
        return [told(columns.index.to_numpy()), [[str(n), told(c.to_numpy())] for n, c in columns.items()]]
    if isinstance(thing, types.FunctionType):
        return _function(inspect.unwrap(thing), told)
    if isinstance(thing, types.MethodType):
        return [thing.__func__.__qualname__, told(thing.__self__)]
    if _has_state(thing):
        own = {name: getattr(thing, name, None) for name in inspect.signature(type(thing)).parameters}
        return {"kind": type(thing).__qualname__, **{name: told(value) for name, value in own.items()}}
    return _object(thing, told)


def _has_state(thing: Any) -> bool:
    return callable(getattr(thing, "state", None))


def _part(thing: Objective | Module | Layer, told: Any) -> dict[str, Any]:
    """What a part holds, without what is worked out of it, and without weights."""
    kind, derived = type(thing), functools.cached_property
    own = {name: v for name, v in vars(thing).items() if not isinstance(getattr(kind, name, None), derived)}
    if not isinstance(thing, Objective):
        own = {name: v for name, v in own.items() if not name.startswith("_") and not hasattr(v, "dtype")}
    if isinstance(thing, Module):
        own = {name: v for name, v in own.items() if name not in ("written", "slices")}
        own |= {"dtype": str(thing.theta.dtype), "frozen": thing.frozen}
        own |= {"still": None if thing.slices or not thing.n_parameters else _sum(thing)}
    return {"kind": kind.__qualname__, **{name: told(value) for name, value in own.items()}}


def _function(thing: types.FunctionType, told: Any) -> Any:
    """A function by its name, its defaults, what it encloses and reads, and of a lambda the code."""
    codes = list(_codes(thing.__code__))
    cells = {name: enclosed(cell) for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or ())}
    said: dict[str, Any] = {}
    if (thing.__module__ or "").startswith("kdlearn.") or thing.__code__.co_filename.startswith(INSTALLED):
        if "<locals>" not in thing.__qualname__:
            return thing.__qualname__
        held = cells
    else:
        held = _read(codes, {**thing.__globals__, **cells})
        held |= {name: cell for name, cell in cells.items() if not any(k.partition(".")[0] == name for k in held)}
        if thing.__name__ == "<lambda>":
            said["code"] = [[f"{zlib.crc32(c.co_code):08x}", [n for n in c.co_consts if is_number(n)]] for c in codes]
    held |= {"defaults": thing.__defaults__, "keywords": thing.__kwdefaults__}
    said |= {name: told(v) for name, v in held.items() if v is not None and not isinstance(v, types.ModuleType)}
    return [thing.__qualname__, said] if said else thing.__qualname__


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """This code and that of the functions and comprehensions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _read(codes: Sequence[types.CodeType], values: Mapping[str, Any]) -> dict[str, Any]:
    """{name: value} of what code reads of these; of `args.noise` the attribute alone, since others may change."""
    read: dict[str, Any] = {}
    for first, then in (pair for code in codes for pair in itertools.pairwise(dis.get_instructions(code))):
        name = first.argval
        if first.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF") and name in values:
            absent = object()
            of_its_own = then.opname in ATTRIBUTE and not isinstance(values[name], types.FunctionType)
            try:
                value = getattr(values[name], then.argval, absent) if of_its_own else absent
            except Exception:  # a property's own
                value = absent
            read |= {name: values[name]} if value is absent else {f"{name}.{then.argval}": value}
    return read


def _object(thing: Any, told: Any) -> Any:
    """Any other object by its class and what pickle would save of it; by its class alone where that is nothing."""
    kind = type(thing).__qualname__
    try:
        parts = thing.__reduce_ex__(4)
        if isinstance(parts, str):
            return [kind, parts]
        _, arguments, *rest = parts
        held = [told([a for a in arguments if a is not type(thing)])]
        held += [told(part if i == 0 else list(part)) for i, part in enumerate(rest[:3]) if part is not None]
    except Exception:  # a lock, a file, a thread ...
        return kind
    return [kind, *(part for part in held if part not in ([], {}))]


def _array(a: Any, told: Any) -> dict[str, Any]:
    """What tells an array from another: whole numbers by a checksum, floats by three numbers for each column."""
    a = to_numpy(a)
    shape = list(a.shape)
    if a.dtype.kind == "f":
        return {"shape": shape, FLOATS: _three(a)}
    if a.dtype.kind in "biu":  # of any width
        return {"shape": shape, "checksum": _checksum(np.ascontiguousarray(a, np.int64).tobytes())}
    return {"shape": shape, "checksum": _checksum(json.dumps(told(a.tolist()), default=str).encode())}


def _checksum(content: bytes) -> str:
    return f"{zlib.crc32(content):08x}"


def _short(told: Any) -> Any:
    """A list or a mapping, or where it is long how many entries it has, and their checksum."""
    if len(told) <= MANY:
        return told
    return {"entries": len(told), "checksum": _checksum(json.dumps(told, default=str).encode())}


def enclosed(cell: types.CellType) -> Any:
    """What a function holds there; None for a name that has no value yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _sum(net: Module) -> str:
    """What tells the weights of a network, which are not saved, from those of another."""
    return f"weights with the sum {_checksum(to_numpy(net.theta).tobytes())}"


def _three(a: np.ndarray) -> list[list[float]]:
    """Of each column the mean, the standard deviation, and of what is left a sum with a weight for each place, over √N.

    More than `GROUPS` columns, as those of large images, are added up by groups, each column with a weight of its own.
    """
    if not a.size:
        return [[], [], []]
    a = a.reshape(len(a), -1) if a.ndim else a.reshape(1, 1)
    n, width = a.shape
    draw = np.random.default_rng(0)
    along, across = (draw.choice([-1.0, 1.0], size) * draw.uniform(1, 2, size) for size in a.shape)
    found = np.zeros((3, width))
    for start in range(0, n, 4096):  # as float64, of many images, it would not fit beside them
        some = np.nan_to_num(a[start : start + 4096].astype(float), nan=1.0, posinf=2.0, neginf=3.0)  # masks, too
        found += some.sum(axis=0), (some * some).sum(axis=0), along[start : start + 4096] @ some
    mean = found[0] / n
    variance, placed = np.maximum(found[1] / n - mean**2, 0), (found[2] - along.sum() * mean) / n**0.5
    if width > GROUPS:
        starts = np.arange(0, width, -(-width // GROUPS))
        mean, variance, placed = (np.add.reduceat(c, starts) for c in (across * mean, variance, across * placed))
    return np.stack([mean, variance**0.5, placed]).tolist()
