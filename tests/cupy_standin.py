"""A stand-in for CuPy on machines without a GPU: NumPy underneath, CuPy's refusals on top.

It proves plumbing, not CUDA. Its array is a wrapper, not an ndarray: nothing converts it to NumPy
behind one's back, it does not mix with NumPy arrays, and no name or keyword works that the public
surface of CuPy 14.2 (cupy_api.json) lacks. It has no `RawModule`, so that the references run; the tests of
the kernels give it one. `host_copies` counts arrays brought back to the host,
`syncs` everything that would make the host wait for the device.
"""

from __future__ import annotations

import json
import types
from pathlib import Path

import numpy as np

API = json.loads((Path(__file__).parent / "cupy_api.json").read_text())
UFUNC_KEYWORDS = {"out", "dtype", "casting"}
SHAPED_BY_VALUES = {"nonzero", "flatnonzero", "argwhere", "unique", "compress", "extract"}  # the host waits for a size


class Counters:
    host_copies = 0
    syncs = 0


count = Counters()


def unwrap(value):
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"unsupported type {type(value)}: a NumPy array was given to CuPy")
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(v) for v in value)
    return value


def wrap(value):
    if isinstance(value, tuple):
        return tuple(wrap(v) for v in value)
    if isinstance(value, list):
        return [wrap(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    return value


def check_keywords(name, keywords, allowed):
    unknown = set(keywords) - set(allowed)
    if unknown:
        raise TypeError(f"cupy.{name} has no keyword {', '.join(sorted(unknown))}")


class ndarray:
    __slots__ = ("_a",)
    __array_ufunc__ = None  # numpy_array + this raises
    __array_priority__ = 1000
    __hash__ = None

    def __init__(self, a):
        self._a = a

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __getattr__(self, name):
        if name.startswith("__") or name == "_a":
            raise AttributeError(name)
        if name not in API["ndarray"]:
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        if name in ("get", "item", "tolist"):
            count.syncs += 1
            count.host_copies += name != "item"
            return (lambda: self._a.copy()) if name == "get" else getattr(self._a, name)
        attribute = getattr(self._a, name)
        if not callable(attribute):
            return wrap(attribute) if name in ("T", "mT") else attribute

        def method(*args, **kwargs):
            count.syncs += name in SHAPED_BY_VALUES
            return wrap(attribute(*unwrap(args), **{k: unwrap(v) for k, v in kwargs.items()}))

        return method

    def __getitem__(self, key):
        keys = key if isinstance(key, tuple) else (key,)
        count.syncs += any(isinstance(k, ndarray) and k._a.dtype == bool for k in keys)  # how many rows?
        return wrap(self._a[unwrap(key)])

    def __setitem__(self, key, value):
        self._a[unwrap(key)] = unwrap(value)

    def __len__(self):
        return len(self._a)

    def __bool__(self):
        count.syncs += 1
        return bool(self._a)

    def __float__(self):
        count.syncs += 1
        return float(self._a)

    def __int__(self):
        count.syncs += 1
        return int(self._a)

    def __index__(self):
        count.syncs += 1
        return self._a.__index__()

    def __format__(self, spec):
        count.syncs += 1
        return format(self._a, spec)

    def __repr__(self):
        return f"standin({self._a!r})"

    def __deepcopy__(self, memo):
        return ndarray(self._a.copy())

    def __reduce__(self):
        return ndarray, (self._a,)


ndarray.__module__ = "cupy"


def _operator(name):
    def method(self, other):
        result = getattr(self._a, name)(unwrap(other))
        return result if result is NotImplemented else wrap(result)

    def inplace(self, other):
        result = getattr(self._a, name)(unwrap(other))
        assert result is self._a
        return self

    return inplace if name.startswith("__i") and name != "__invert__" else method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "matmul", "and", "or", "xor", "mod"):
    for _prefix in ("", "r", "i"):
        setattr(ndarray, f"__{_prefix}{_name}__", _operator(f"__{_prefix}{_name}__"))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in ("neg", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", lambda self, _n=f"__{_name}__": wrap(getattr(self._a, _n)()))


class _Module(types.ModuleType):
    """The module: NumPy's functions under the names and keywords that CuPy has."""

    ndarray = ndarray
    pi, inf, nan, newaxis = np.pi, np.inf, np.nan, None

    def asnumpy(self, a):
        count.host_copies += 1
        count.syncs += 1
        return unwrap(a).copy()

    def asarray(self, a, dtype=None):
        source = a._a if isinstance(a, ndarray) else np.asarray(a)
        if isinstance(a, ndarray) and (dtype is None or a._a.dtype == dtype):
            return a
        return ndarray(np.array(source, dtype=dtype))

    array = asarray

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        known = name in API["ufuncs"] or name in API["callables"] or name in API["others"]
        if not known:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        target = getattr(np, name)
        if isinstance(target, type) or not callable(target):  # dtypes and finfo are NumPy's own
            return target
        allowed = UFUNC_KEYWORDS if name in API["ufuncs"] else API["callables"].get(name, ())

        def function(*args, **kwargs):
            check_keywords(name, kwargs, allowed)
            count.syncs += name in SHAPED_BY_VALUES or (name == "where" and len(args) == 1)
            if any(isinstance(a, list) and any(isinstance(v, np.ndarray) for v in a) for a in args):
                raise TypeError(f"cupy.{name} takes CuPy arrays")
            result = target(*unwrap(args), **{k: unwrap(v) for k, v in kwargs.items()})
            out = kwargs.get("out")
            return out if out is not None else wrap(result)

        return function


class _Generator:
    """A Generator of CuPy's: what it draws lies on the device."""

    def __init__(self, seed=None):
        self._rng = np.random.default_rng(seed)

    def random(self, size=None, dtype=np.float64, out=None):
        return wrap(self._rng.random(size, dtype))


def _as_strided(x, shape=None, strides=None):
    return wrap(np.lib.stride_tricks.as_strided(unwrap(x), shape, strides))


def modules():
    """{name: module} to put into sys.modules."""
    cupy = _Module("cupy")
    cupy.cuda = types.SimpleNamespace(
        is_available=lambda: True,
        Device=lambda: types.SimpleNamespace(id=0),
        runtime=types.SimpleNamespace(getDeviceProperties=lambda device: {"name": b"no GPU"}),
    )
    cupy.__version__ = "14.2.0"
    cupy.random = types.SimpleNamespace(default_rng=_Generator)
    cupy.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=_as_strided))
    special = types.ModuleType("cupyx.scipy.special")

    def made(name):
        def function(x):
            import scipy.special

            return wrap(getattr(scipy.special, name)(unwrap(x)))

        return function

    for name in ("erf", "gammaln", "psi"):
        setattr(special, name, made(name))
    return {"cupy": cupy, "cupyx.scipy.special": special}
