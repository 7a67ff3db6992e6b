"""Where arrays live: NumPy on the CPU, CuPy on a GPU, and nothing global between them.

A device is a property of an array, chosen where the array is born (`net.to("cuda")`,
`data.to("cuda")`). Code that works on arrays asks `xp = array_module(z)` and writes its
mathematics once. This is the only file that imports cupy.
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

# A numpy.ndarray or a cupy.ndarray. Static types cannot say "the same one throughout a call";
# `array_module` says it at run time.
Array: TypeAlias = Any

_HOST = np.ndarray
_log = logging.getLogger("kdlearn")


class BackendUnavailable(RuntimeError):
    """A device was asked for that this machine or installation does not have."""


def array_module(*arrays: Array) -> ModuleType:
    """The library that owns these arrays: `numpy` or `cupy`.

    Raises
    ------
    TypeError
        For anything that is not an array, and for a mixture: a silent copy between host and
        device is a performance bug that never shows up in a result.
    """
    for a in arrays:
        if type(a) is not _HOST:
            break
    else:  # by far the most frequent case, and asked many times a step
        if arrays:
            return np
    owners = {_owner(type(a)) for a in arrays}  # type: ignore[arg-type]
    if owners == {"numpy"}:
        return np
    if owners == {"cupy"}:
        return sys.modules["cupy"]
    if owners == {"numpy", "cupy"}:
        raise TypeError("arrays of numpy and cupy were mixed; move them to one device with .to(device) first")
    kinds = sorted({type(a).__name__ for a in arrays})
    raise TypeError(f"expected numpy or cupy arrays, got {', '.join(kinds)}")


@functools.lru_cache
def _owner(kind: Any) -> str:
    return kind.__module__.partition(".")[0]


# {function: its body of one launch for arrays on a GPU}, filled by kdlearn.fast, which knows both.
BODIES: dict[Callable[..., Any], Callable[..., Any]] = {}


def body_for(function: Callable[..., Any], array: Array) -> Callable[..., Any]:
    """`function` itself, or for an array on a GPU its body of one launch, where there is one.

    Both compute the same from the same arguments; a GPU spends a small step in launches, not in arithmetic.
    """
    if type(array) is np.ndarray or not hasattr(array_module(array), "RawModule"):
        return function
    return BODIES.get(function, function)


def special_functions(*arrays: Array) -> ModuleType:
    """`scipy.special` or its CuPy counterpart, whichever takes these arrays."""
    host = array_module(*arrays) is np
    return importlib.import_module("scipy.special" if host else "cupyx.scipy.special")


def device_of(array: Array) -> str:
    """`"cpu"` or `"cuda"`."""
    return "cpu" if array_module(array) is np else "cuda"


def to_device(array: Any, device: str, dtype: Any = None) -> Array:
    """`array` as an array on `device` (`"cpu"` or `"cuda"`); no copy where it is there already."""
    if device == "cpu":
        return np.asarray(to_numpy(array), dtype=dtype)
    return _cupy(device).asarray(array, dtype=dtype)


def as_array(a: Any) -> Array:
    """`a` as a NumPy or CuPy array, memory-mapped ones as they are; what is wrapped around one, as by pandas, is left.

    TypeError for an array with masked entries: the numbers below a mask mean nothing, and would be computed with.
    """
    if type(a).__module__.partition(".")[0] == "cupy":
        return a
    if isinstance(a, np.ma.MaskedArray) and np.ma.is_masked(a):
        raise TypeError("it has masked entries; fill them with .filled(…), or leave these rows out")
    if isinstance(a, np.memmap):
        return a
    try:
        return np.asarray(a)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError("its rows have different lengths; an array has rows of one length") from None
        raise


def to_numpy(array: Any) -> np.ndarray:
    """`array` on the host. The one place where a device array is copied back."""
    if type(array).__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"].asnumpy(array)
    return np.asarray(as_array(array))


def collect(values: Sequence[Array]) -> np.ndarray:
    """Many small arrays of one shape as one on the host: one copy, and one wait, for all of them."""
    if isinstance(values[0], float) or array_module(values[0]) is np:
        return np.array(values)
    return to_numpy(array_module(*values).stack(list(values)))


def check_generator(rng: Any) -> None:
    """TypeError for what draws no numbers, such as a seed."""
    if not hasattr(rng, "random"):
        raise TypeError(f"rng must be a NumPy Generator, such as np.random.default_rng(0), got {rng!r}")


def resolve_device(device: str) -> str:
    """`"cpu"`, `"cuda"`, or for `"auto"` whichever of the two there is (said once, in the log)."""
    if device == "auto":
        try:
            _cupy("cuda")
            device = "cuda"
        except BackendUnavailable as reason:
            device = "cpu"
            _log.info("device='auto' chose the CPU: %s", reason)
    elif device == "cuda":
        _cupy(device)
    elif device != "cpu":
        raise ValueError(f"device must be 'cpu', 'cuda' or 'auto', got {device!r}")
    return device


def gpu() -> dict[str, str]:
    """The name of the GPU and the version of CuPy."""
    cupy = _cupy("cuda")
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {"cupy": cupy.__version__, "gpu": properties["name"].decode()}


def _cupy(device: str) -> ModuleType:
    if device != "cuda":
        raise ValueError(f"device must be 'cpu' or 'cuda', got {device!r}")
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendUnavailable(
            "device 'cuda' needs CuPy, which is not installed: install kdlearn with its extra cuda12 or cuda13, "
            "whichever matches the driver that nvidia-smi shows (never both)"
        ) from error
    try:
        available = cupy.cuda.is_available()
    except Exception as error:  # CuPy raises types of its own for a missing or broken driver
        raise BackendUnavailable(f"device 'cuda' needs a working NVIDIA driver; CuPy says: {error}") from error
    if not available:
        raise BackendUnavailable("device 'cuda' needs an NVIDIA GPU and its driver; CuPy is installed but finds none")
    return cupy
