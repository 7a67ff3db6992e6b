"""A thing told with all that it holds, so that it can be compared with another: a function, an object, rows."""

from __future__ import annotations

import contextlib
import copyreg
import dis
import enum
import functools
import inspect
import itertools
import json
import operator
import os
import sysconfig
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.data import Data
from kdlearn.fingerprint import array_told, checksum, of_torch, sum_of
from kdlearn.nn.layers import Layer
from kdlearn.nn.module import Module
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Objective
from kdlearn.run import has_state

MANY = 100  # entries of a list; longer ones are told by a checksum
DEEP = 40  # things that hold one another, at the most, that are walked over
CLOCKS = ("seconds", "fit_time", "fit_time_", "score_time")  # of a history and of searches: never twice the same
MOVED = "whatever it was left at"  # what a hook saves itself, once a run has moved it
RAN: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # hooks that runs have moved, by their id
NAMED = (type, types.ModuleType, types.BuiltinFunctionType, np.ufunc)
UNBOUND = (type, types.ModuleType, types.NoneType)  # what a method may be of without holding anything
DERIVED = (str, int, float, list, tuple, set, frozenset, dict, np.ndarray)  # a class of these may hold more
WHOLE = (enum.Enum, np.ma.MaskedArray, np.memmap)  # of which the attributes tell nothing new
GLOBAL: Any = (os.environ, np.random.mtrand._rand)  # told by their kind
ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")
INSTALLED = (os.path.dirname(__file__), *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


class Telling:
    """Things told one after the other: what was told once is told by its number the next time.

    Without that, things that know one another in many ways, such as those of a picture, would never end.
    """

    def __init__(self, trained: Mapping[Module, str]) -> None:
        self.trained = trained
        self.known: dict[int, tuple[int, Any]] = {}  # by id; the thing is kept, so that the id stays its own
        self.derived: dict[int, Any] = {}  # those whose attributes have been told, too

    def __call__(self, thing: Any, inside: tuple[Any, ...] = ()) -> Any:
        """Anything by its class and what it holds; a function by its name, what is set of it, encloses and reads."""
        told = self._told(thing, inside)
        if not isinstance(thing, DERIVED) or isinstance(thing, WHOLE) or id(thing) in self.derived:
            return told
        own = getattr(thing, "__dict__", None)
        if not own or any(thing is other for other in inside):
            return told
        self.derived[id(thing)] = thing
        return {"": told} | {name: self(value, (*inside, thing)) for name, value in sorted(own.items())}

    def _told(self, thing: Any, inside: tuple[Any, ...]) -> Any:
        if isinstance(thing, np.generic):
            thing = thing.item()
        if thing is None or isinstance(thing, (bool, int, float, str)):
            return thing if thing == thing else "NaN"
        if isinstance(thing, bytes):
            return checksum(thing)
        if isinstance(thing, types.BuiltinMethodType) and not isinstance(thing.__self__, UNBOUND):
            return [thing.__qualname__, self(thing.__self__, inside)]  # such as that of a mapping
        if isinstance(thing, NAMED) or any(thing is other for other in GLOBAL):
            return getattr(thing, "__qualname__", None) or getattr(thing, "__name__", type(thing).__name__)
        if isinstance(thing, Module) and thing in self.trained:
            return self.trained[thing]
        if any(thing is other for other in inside):  # it encloses itself
            return "itself"
        if len(inside) > DEEP:
            return type(thing).__qualname__
        told = functools.partial(self, inside=(*inside, thing))
        if isinstance(thing, (tuple, list, range)):
            return _short([told(t) for t in thing])
        if isinstance(thing, (set, frozenset)):
            return _short(sorted((told(t) for t in thing), key=str))
        if id(thing) in self.known:
            return [type(thing).__qualname__, self.known[id(thing)][0]]
        self.known[id(thing)] = len(self.known), thing
        return self.compound(thing, told, any(map(has_run, inside)))

    def compound(self, thing: Any, told: Any, moves: bool) -> Any:
        """A thing with parts, told for the first time; what a hook holds that has run before `moves`."""
        kind = type(thing)
        if isinstance(thing, Data):
            return {name: array_told(thing.columns[name], told) for name in sorted(thing.columns)}
        if isinstance(thing, Mapping):
            return _mapping(thing, told)
        if isinstance(thing, Optimizer):
            return thing.settings()
        if isinstance(thing, (Objective, Layer)):
            return part(thing, told)
        if isinstance(thing, Module):
            return part(thing, told) | {"weights": MOVED if moves else sum_of(thing)}
        if hasattr(kind, "detach") and hasattr(kind, "numpy"):  # a tensor of PyTorch
            return [str(thing.dtype), told(of_torch(thing))]
        if isinstance(thing, np.ndarray) or hasattr(kind, "__cuda_array_interface__"):
            return MOVED if moves else array_told(thing, told)
        if hasattr(kind, "iloc"):  # a table of pandas, whose own arrays may differ where their cells do not
            columns = thing.to_frame() if thing.ndim == 1 else thing
            return {"index": told(columns.index.to_numpy()), "columns": list(map(str, columns))} | {
                str(name): told(cells.to_numpy()) for name, cells in columns.items()
            }
        if isinstance(thing, functools.partial):
            return [told(thing.func), [told(a) for a in thing.args], _mapping(thing.keywords, told)]
        if isinstance(thing, types.FunctionType):
            return _function(thing, told)
        if isinstance(thing, types.MethodType):
            own = thing.__self__
            return [told(own), _methods(own if isinstance(own, type) else type(own), thing.__func__, told)]
        if hasattr(kind, "__wrapped__") or isinstance(thing, functools._lru_cache_wrapper):
            return ["cached", told(thing.__wrapped__)]
        if has_state(thing):
            return made_with(thing, told)
        methods = _methods(kind, kind.__call__, told) if callable(thing) else {}
        return [_object(thing, told), methods] if methods else _object(thing, told)


def _mapping(thing: Mapping, told: Any) -> Any:
    if all(isinstance(name, str) for name in thing):
        return _short({name: told(value) for name, value in thing.items() if not name.endswith(CLOCKS)})
    return _short([[told(name), told(value)] for name, value in thing.items()])


def remember(hooks: Iterable[Any]) -> None:
    """From now on these hooks may have been moved by a run."""
    for hook in filter(has_state, hooks):
        with contextlib.suppress(TypeError):  # one with slots alone
            RAN[id(hook)] = hook


def has_run(thing: Any) -> bool:
    """Whether it is a hook with a state that a run may have moved."""
    return RAN.get(id(thing)) is thing


def made_with(thing: Any, told: Any) -> dict[str, Any]:
    """An object by the arguments that it was made with, its bases' too, where it keeps them under their names.

    Of a hook that has run, those that it saves itself may have moved.
    """
    moving = set()
    if has_run(thing):
        with contextlib.suppress(Exception):
            moving = set().union(*thing.state())
    makers = [vars(kind)["__init__"] for kind in type(thing).__mro__[:-1] if "__init__" in vars(kind)]
    taken = [inspect.signature(maker).parameters for maker in makers if isinstance(maker, types.FunctionType)]
    names = dict.fromkeys(name for own in taken for name in list(own)[1:])
    if taken and any(p.kind is p.VAR_KEYWORD and not hasattr(thing, p.name) for p in taken[-1].values()):
        names |= dict.fromkeys(sorted(vars(thing)))  # whatever it was given
    held = {name: MOVED if name in moving else told(getattr(thing, name, None)) for name in names}
    return {"kind": type(thing).__qualname__, **held}


def _own(function: types.FunctionType) -> bool:
    """Whether it is the user's: neither of this package nor of an installed one."""
    return not function.__code__.co_filename.startswith(INSTALLED)


def _methods(kind: type, first: Any, told: Any) -> dict[str, Any]:
    """What a method and those that it calls read of their class, and from their modules."""
    read = {first.__name__: told(first)} if isinstance(first, types.FunctionType) else {}
    waiting = [first]
    while waiting:
        function = waiting.pop()
        if not isinstance(function, types.FunctionType) or not _own(function):
            continue
        for name in dict.fromkeys(name for code in _codes(function.__code__) for name in code.co_names):
            value = inspect.getattr_static(kind, name, None)
            value = getattr(value, "__func__", value)  # of a staticmethod or classmethod
            value = getattr(value, "fget", value)  # of a property
            if name not in read and value is not None:
                read[name] = told(value)
                waiting.append(value)
    return read


def part(thing: Objective | Module | Layer, told: Any) -> dict[str, Any]:
    """What a part holds, without what is worked out of it, and without weights."""
    kind, derived = type(thing), functools.cached_property
    own = {name: v for name, v in vars(thing).items() if not isinstance(getattr(kind, name, None), derived)}
    if not isinstance(thing, Objective):
        own = {name: v for name, v in own.items() if not name.startswith("_") and not hasattr(v, "dtype")}
    if isinstance(thing, Module):
        own = {name: v for name, v in own.items() if name not in ("written", "slices")}
        own |= {"dtype": str(thing.theta.dtype), "frozen": thing.frozen}
        own |= {"still": None if thing.slices or not thing.n_parameters else sum_of(thing)}
    return {"kind": kind.__qualname__, **{name: told(value) for name, value in own.items()}}


def _function(thing: types.FunctionType, told: Any) -> Any:
    """A function by its name, its defaults, what it encloses and reads, and of a lambda the code."""
    codes = list(_codes(thing.__code__))
    cells = {name: enclosed(cell) for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or ())}
    said: dict[str, Any] = {}
    if not _own(thing):
        inner = getattr(thing, "__wrapped__", None)
        if inner is not None:
            return told(inner)  # a loss that `mean_over_rows` made is its function
        if "<locals>" not in thing.__code__.co_qualname:
            return thing.__qualname__
        held = cells
    else:
        held = _read(codes, {**thing.__globals__, **cells})
        held |= {name: cell for name, cell in cells.items() if not any(k.partition(".")[0] == name for k in held)}
        if thing.__name__ == "<lambda>":
            constants = [[told(n) for n in c.co_consts if not isinstance(n, types.CodeType)] for c in codes]
            said["code"] = [[checksum(c.co_code), list(c.co_names), own] for c, own in zip(codes, constants)]
    held |= {"defaults": thing.__defaults__, "keywords": thing.__kwdefaults__}
    held |= {f".{name}": value for name, value in vars(thing).items()}
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
    for steps in (list(dis.get_instructions(code)) for code in codes):
        for i, step in enumerate(steps):
            if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF") or step.argval not in values:
                continue
            name, value = step.argval, values[step.argval]
            for then in itertools.takewhile(lambda then: then.opname in ATTRIBUTE, steps[i + 1 :]):
                of, absent = value, object()
                with contextlib.suppress(Exception):  # a property's own
                    value = absent if isinstance(of, types.FunctionType) else getattr(of, then.argval, absent)
                if value is absent:
                    value = of
                    break
                name += f".{then.argval}"
                if not isinstance(of, (types.ModuleType, type)):
                    break
            read[name] = value
    return read


def _object(thing: Any, told: Any) -> Any:
    """Any other object by its class and what pickle would save of it; by its class alone where that is nothing."""
    kind = type(thing).__qualname__
    try:
        parts = copyreg.dispatch_table.get(type(thing), operator.methodcaller("__reduce_ex__", 4))(thing)
        if isinstance(parts, str):
            return [kind, parts]
        _, arguments, *rest = parts
        held = [told([a for a in arguments if a is not type(thing)])]
        if rest and type(rest[0]) is dict:  # of attributes, in whatever order they were set
            rest[0] = {name: _plain_hooks(name, value) for name, value in sorted(rest[0].items(), key=str)}
        held += [told(part if i == 0 else list(part)) for i, part in enumerate(rest[:3]) if part is not None]
    except Exception:  # a lock, a file, a thread, or a network of PyTorch that can't be pickled
        held = []
    if hasattr(type(thing), "state_dict"):  # what pickle saves of a compiled one holds no weights
        with contextlib.suppress(Exception):
            held.append(told(thing.state_dict()))
    if not held:
        return kind
    return [kind, *(part for part in held if part not in ([], {}))]


def _plain_hooks(name: Any, value: Any) -> Any:
    """Those of a module of PyTorch, without the numbers that count them through the process."""
    return list(value.values()) if str(name).endswith("_hooks") and isinstance(value, Mapping) else value


def _short(told: Any) -> Any:
    """A list or a mapping, or where it is long how many entries it has, and their checksum."""
    if len(told) <= MANY:
        return told
    return {"entries": len(told), "checksum": checksum(json.dumps(told, default=str).encode())}


def enclosed(cell: types.CellType) -> Any:
    """What a function holds there; None for a name that has no value yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
