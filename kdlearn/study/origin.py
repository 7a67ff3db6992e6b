"""What a stored number comes from: the settings and the code of its cell, and the versions that it ran on."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import gpu
from kdlearn.fingerprint import of_torch
from kdlearn.telling import enclosed


def cell_key(run: Callable[..., Any] | None, cell: Mapping[str, Any]) -> str:
    """What a cell is known by: a hash of its settings and of the function that runs it.

    Of the function its name and bytecode, its defaults, what it encloses at that moment (of a class of a module the
    numbers and texts that it holds), and what a `functools.partial` sets; not the code of what it calls, nor what it
    reads from its module: after a change there, begin a new store. Another Python may compile another bytecode; then
    the cells are run again.
    Of a mapping within a setting the order counts too; without a function, where settings are looked up, it does not.
    TypeError for a function that holds what cannot be hashed: it could not be told from another.
    """
    inner: Any = run
    before: list[Any] = []
    while isinstance(inner, functools.partial):
        before = [*inner.args, *before]
        cell, inner = {**inner.keywords, **cell}, inner.func
    known = None if inner is None else [_identity(inner, []), [_identity(a, []) for a in before]]
    ordered = {name: cell[name] for name in sorted(cell, key=repr)}  # run(**cell) is told no order of these
    settings = _keys_apart(ordered, run is None)
    text = json.dumps([known, settings], sort_keys=run is None, default=_scalar_or_identity)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def environment(device: str = "cpu") -> dict[str, Any]:
    """What a number may depend on: versions, the BLAS and its kernel, its threads; of a GPU its name and CuPy's."""
    from threadpoolctl import threadpool_info

    known = [i for i in threadpool_info() if i["user_api"] == "blas"]  # SciPy brings one of its own
    blas: dict[str, Any] = next((i for i in known if "numpy" in i.get("filepath", "")), known[0] if known else {})
    if device == "cuda":
        return {"python": platform.python_version(), "numpy": np.__version__, **gpu()}
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(str(blas[k]) for k in ("internal_api", "version", "architecture") if blas.get(k)),
        "threads": blas.get("num_threads", 1),
    }


def _keys_apart(thing: Any, sort: bool) -> Any:
    """Mappings whose names are not all text as pairs: JSON would make one name of 1 and "1"."""
    if isinstance(thing, Mapping):
        pairs = [[key, _keys_apart(value, sort)] for key, value in thing.items()]
        if all(isinstance(key, str) for key in thing):
            return dict(pairs)
        return sorted(pairs, key=repr) if sort else pairs
    return [_keys_apart(value, sort) for value in thing] if isinstance(thing, (list, tuple)) else thing


def _scalar_or_identity(thing: Any) -> Any:
    return thing.item() if isinstance(thing, np.generic) else _identity(thing, [])


_OF_EVERY_CLASS = ("__module__", "__dict__", "__weakref__", "__doc__", "__firstlineno__", "__static_attributes__")


def _identity(thing: Any, inside: list[Any]) -> Any:
    """What tells a function, or a value that it holds, from others, as JSON. `inside`: what this is met within."""
    if any(thing is other for other in inside):  # a function that encloses itself
        return "itself"
    inside = [*inside, thing]
    if isinstance(thing, functools.partial):
        return [_identity(part, inside) for part in (thing.func, thing.args, sorted(thing.keywords.items()))]
    if isinstance(thing, types.MethodType):
        return [_identity(thing.__func__, inside), _identity(thing.__self__, inside)]
    if isinstance(thing, types.FunctionType):
        cells = [enclosed(cell) for cell in thing.__closure__ or ()]
        held = [thing.__defaults__, thing.__kwdefaults__, *cells]
        return [thing.__module__, thing.__qualname__, _code(thing.__code__), [_identity(h, inside) for h in held]]
    if isinstance(thing, (staticmethod, classmethod)):
        return _identity(thing.__func__, inside)
    if isinstance(thing, property):
        return [_identity(part, inside) for part in (thing.fget, thing.fset, thing.fdel)]
    if isinstance(thing, (list, tuple)):
        own = getattr(thing, "__dict__", None)  # of a class of one's own
        return [_identity(part, inside) for part in thing] + ([_identity(dict(own), inside)] if own else [])
    if type(thing) in (set, frozenset):  # whose order, of texts, is another in each process
        return [type(thing).__name__, sorted((_identity(part, inside) for part in thing), key=json.dumps)]
    # joblib's hash of a mapping knows no order
    pairs = [[_identity(part, inside) for part in pair] for pair in thing.items()] if isinstance(thing, dict) else []
    if type(thing) is dict:
        return ["dict", pairs]
    if isinstance(thing, type) and "<locals>" in thing.__qualname__:  # the next of this name may hold something else
        holds = [[key, _identity(v, inside)] for key, v in sorted(vars(thing).items()) if key not in _OF_EVERY_CLASS]
        return [thing.__module__, thing.__qualname__, [_identity(base, inside) for base in thing.__bases__], holds]
    if isinstance(thing, (type, types.BuiltinFunctionType)):
        return [thing.__module__, thing.__qualname__, *_set_on(thing)]
    kind = type(thing)
    call = next((vars(k)["__call__"] for k in kind.__mro__ if "__call__" in vars(k)), None)
    own = _identity(call, inside) if isinstance(call, types.FunctionType) else None
    try:
        return [kind.__module__, kind.__qualname__, own, _hash(thing), *pairs]
    except Exception as error:
        raise TypeError(
            f"run holds a {kind.__name__}, which cannot be hashed: its stored cells could be those of another "
            "function; give it as a setting of the cell, or let run be a function of a module"
        ) from error


def _hash(thing: Any) -> str:
    """joblib's hash, to which a tensor of PyTorch is the array that it holds: pickled it is another each time."""
    from joblib.hashing import NumpyHasher

    class Hasher(NumpyHasher):
        def save(self, obj: Any) -> None:
            if hasattr(type(obj), "detach") and hasattr(type(obj), "numpy"):
                obj = [type(obj).__qualname__, str(obj.dtype), of_torch(obj)]
            super().save(obj)

    return Hasher("md5").hash(thing)


def _set_on(thing: Any) -> list[Any]:
    """Numbers and texts that a class of a module holds, its own and inherited: they may be set anew."""
    classes = reversed(thing.__mro__) if isinstance(thing, type) else ()
    held = {name: value for kind in classes for name, value in vars(kind).items() if not name.startswith("_")}
    plain = {name: value for name, value in held.items() if isinstance(value, (int, float, str, np.generic))}
    return [[[name, repr(value)] for name, value in sorted(plain.items())]] if plain else []


def _code(code: types.CodeType) -> list[Any]:
    def constant(c: Any) -> Any:
        if isinstance(c, types.CodeType):
            return _code(c)
        return sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c)

    return [code.co_code.hex(), code.co_names, code.co_varnames, [constant(c) for c in code.co_consts]]
