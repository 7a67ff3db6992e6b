"""The images of the MNIST study: as they are, moved, and those that a student may learn from."""

from __future__ import annotations

import functools

import numpy as np

from kdlearn.backend import Array, array_module, device_of, to_device
from kdlearn.checks import is_whole
from kdlearn.data import Data, mnist

MISSING = {"no 3s": (3,), "only 7s and 8s": (0, 1, 2, 3, 4, 5, 6, 9)}
SHARE = 0.03  # of the labels, in the row that repeats on MNIST what the paper's table 5 says of speech


@functools.lru_cache(maxsize=2)
def images(device: str = "cpu") -> tuple[Data, Data]:
    """The 60,000 and the 10,000 images of MNIST with pixels in [0, 1], 0 for black."""
    train, _, test = mnist(validation=0)
    low, high = train.x.min(), train.x.max()
    parts = [part.with_columns({"x": (part.x - low) / (high - low)}).to(device) for part in (train, test)]
    return parts[0], parts[1]


def held_out_rows(n: int) -> np.ndarray:
    """The sixth of n training rows that no student learns from where something is chosen."""
    return np.random.default_rng(0).permutation(n)[: n // 6]


def jitter(x: Array, rng: np.random.Generator, most: int = 2, out: Array | None = None) -> Array:
    """Square images (N, side²), each moved by up to `most` pixels up or down and left or right; black comes in.

    A thousand at a time, into `out` if given: fresh memory for 60,000 images costs more than moving them.
    """
    if not is_whole(most) or most < 0:
        raise ValueError(f"most must be a whole number of pixels, 0 or more, got {most!r}")
    xp, n, side, block = array_module(x), len(x), round(x.shape[1] ** 0.5), max(1, min(1000, len(x)))
    moved = xp.empty_like(x) if out is None else out
    if moved.shape != x.shape or moved.dtype != x.dtype or side**2 != x.shape[1]:
        raise ValueError(f"images (N, side²) go into an array like them, got {x.shape} and {moved.shape} {moved.dtype}")
    wide = xp.zeros((block, side + 2 * most, side + 2 * most), x.dtype)
    image, line, pixel = wide.strides
    # every window of every image, without a copy: (image, down, right, side, side)
    windows = xp.lib.stride_tricks.as_strided(
        wide, (block, 2 * most + 1, 2 * most + 1, side, side), (image, line, pixel, line, pixel)
    )
    down, right = to_device(rng.integers(2 * most + 1, size=(2, n)), device_of(x))
    for i in range(0, n, block):
        rows = slice(i, min(i + block, n))
        N = rows.stop - i
        wide[:N, most : most + side, most : most + side] = x[rows].reshape(N, side, side)
        moved[rows] = windows[xp.arange(N), down[rows], right[rows]].reshape(N, -1)
    return moved


def transfer_rows(y: np.ndarray, transfer: str, seed: int, held_out: bool) -> np.ndarray:
    """The rows of the training images with labels y that a student learns from."""
    keep = np.ones(len(y), bool)
    if held_out:
        keep[held_out_rows(len(y))] = False
    if transfer in MISSING:
        keep &= ~np.isin(y, MISSING[transfer])
    elif transfer != "all":
        few = np.random.default_rng(seed).permutation(len(y))[: round(SHARE * len(y))]
        keep &= np.isin(np.arange(len(y)), few)
    return np.flatnonzero(keep)
