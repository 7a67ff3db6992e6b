"""What tells an array, or a network's weights, from others: a checksum, or three numbers for each column."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from kdlearn.backend import to_numpy
from kdlearn.nn.module import Module

GROUPS = 1024  # columns of an array of floats, at the most, that are told one by one
FLOATS = "mean, spread and sum"


def array_told(a: Any, told: Any) -> dict[str, Any]:
    """What tells an array from another: whole numbers by a checksum, floats by three numbers for each column."""
    shape = list(a.shape)
    if isinstance(a, np.ma.MaskedArray):
        return {
            "shape": shape,
            "mask": array_told(np.ma.getmaskarray(a), told),
            "cells": array_told(np.asarray(a), told),
        }
    a = to_numpy(a)
    if a.dtype.kind == "f":
        return {"shape": shape, "eps": 4 * float(np.finfo(a.dtype).eps), FLOATS: _three(a)}
    if a.dtype.kind in "biu":  # of any width
        return {"shape": shape, "checksum": checksum(np.ascontiguousarray(a, np.int64).tobytes())}
    return {"shape": shape, "checksum": checksum(json.dumps(told(a.tolist()), default=str).encode())}


def checksum(content: bytes) -> str:
    """Eight digits that are others for other bytes, but for one in four thousand million."""
    return f"{zlib.crc32(content):08x}"


def sum_of(net: Module) -> str:
    """What tells the weights of a network, which are not saved, from those of another."""
    return f"weights with the sum {checksum(to_numpy(net.theta).tobytes())}"


def of_torch(tensor: Any) -> np.ndarray:
    """The numbers of a tensor of PyTorch, of any kind."""
    tensor = tensor.detach().cpu()
    tensor = tensor.dequantize() if tensor.is_quantized else tensor.to_dense()
    try:
        return tensor.numpy()
    except TypeError:  # NumPy has no bfloat16
        return tensor.float().numpy()


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
    found, rows = np.zeros((3, width)), max(1, 2**22 // width)  # as float64, of many images, it would not fit
    first = np.nan_to_num(a[0].astype(float), nan=1.0, posinf=2.0, neginf=3.0)
    for start in range(0, n, rows):
        some = np.nan_to_num(a[start : start + rows].astype(float), nan=1.0, posinf=2.0, neginf=3.0)  # masks, too
        some -= first  # or a column far from zero would lose its digits in the squares
        found += some.sum(axis=0), (some * some).sum(axis=0), along[start : start + rows] @ some
    mean = found[0] / n
    variance, placed = np.maximum(found[1] / n - mean**2, 0), (found[2] - along.sum() * mean) / n**0.5
    mean = mean + first
    if width > GROUPS:
        starts = np.arange(0, width, -(-width // GROUPS))
        mean, variance, placed = (np.add.reduceat(c, starts) for c in (across * mean, variance, across * placed))
    return np.stack([mean, variance**0.5, placed]).tolist()
