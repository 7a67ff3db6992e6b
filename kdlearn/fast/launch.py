"""Compiling the kernels, once a type, and launching them."""

from __future__ import annotations

import functools
import importlib.resources
from types import ModuleType
from typing import Any

from kdlearn.backend import Array, array_module

THREADS = 256  # of a block where every thread has one number
REAL = {"float32": "float", "float64": "double"}


def source() -> str:
    """The CUDA file beside this one."""
    return importlib.resources.files("kdlearn.fast").joinpath("kernels.cu").read_text()


@functools.lru_cache
def _module(xp: ModuleType, dtype: str) -> Any:
    return xp.RawModule(code=source(), options=(f"-DREAL={REAL[dtype]}",))


@functools.lru_cache
def _kernel(xp: ModuleType, dtype: str, name: str) -> Any:
    return _module(xp, dtype).get_function(name)


def launch(name: str, blocks: int, threads: int, like: Array, *arguments: Any) -> None:
    """Run the kernel `name` for arrays of the type of `like`, on its device and current stream.

    Raises
    ------
    TypeError
        For arrays that are neither float32 nor float64.
    """
    xp = array_module(like)
    if like.dtype.name not in REAL:
        raise TypeError(f"kdlearn.fast has float32 and float64, got {like.dtype.name}")
    _kernel(xp, like.dtype.name, name)((blocks,), (threads,), arguments)


def each(name: str, n: int, like: Array, *arguments: Any) -> None:
    """`launch` with one thread for each of n numbers."""
    launch(name, -(-n // THREADS), THREADS, like, *arguments)
