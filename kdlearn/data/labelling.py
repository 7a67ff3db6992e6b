"""What a teacher answers, as a column: soft labels, computed once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, as_array, device_of, to_device, to_numpy
from kdlearn.checks import check_count, check_temperature, is_whole
from kdlearn.files import written_aside
from kdlearn.nn.functional import as_real


def soft_labels(
    teacher: Any,
    x: Array,
    out: str | os.PathLike | None = None,
    dtype: str = "float32",
    batch_size: int = 4096,
    top: int | None = None,
    T: float = 4.0,
) -> Any:
    """A teacher's logits (N, K) for x (N, D).

    Parameters
    ----------
    teacher : a network, or any classifier with `predict_proba` (its classes must be 0 … K-1);
        the logarithm of its probabilities is a valid set of logits, -inf where it says 0.
    x : features; may be memory-mapped and larger than memory if `out` is given.
    out : a `.npy` file that is written batch by batch and returned memory-mapped, so that neither
        inputs nor answers need fit into memory. Row n of it answers row n of x. It is written aside and
        appears under its name when it is whole; on a full disk there is an OSError and no file.
    dtype : of that file, "float32" or "float16" (half the bytes, three significant digits; what float16
        cannot hold becomes its largest number).
    batch_size : rows a batch where `out` or `top` is given.
    top : keep the k largest answers alone and one for the rest: `(classes (N, k), logits (N, k + 1))`,
        exact at the temperature `T`; for the term `TopTargets(T)`.
    """
    check_count("batch_size", batch_size)
    check_temperature(T)
    if getattr(teacher, "members", 1) > 1:
        raise TypeError(f"a stack of {teacher.members} has as many answers to each row: ask stack[i], or its .logits")
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16', got {dtype!r}")
    if out is None and dtype != "float32":
        raise ValueError("dtype= is that of the file; give out=, or cast what is returned")
    if top is not None:
        if out is not None:
            raise ValueError("top= keeps the answers small enough for memory; leave out= away")
        pieces = range(0, max(len(x), 1), batch_size)  # the answers of all classes need not fit into memory
        kept = [keep_top(_answers(teacher, x[i : i + batch_size]), top, T) for i in pieces]
        return tuple(array_module(kept[0][0]).concatenate(part) for part in zip(*kept))
    if out is None:
        return _answers(teacher, x)
    if len(x) == 0:
        raise ValueError("x has zero rows; there is nothing to label")
    _write(
        out,
        (to_numpy(_answers(teacher, x[i : i + batch_size])) for i in range(0, len(x), batch_size)),
        len(x),
        dtype,
    )
    return np.load(out, mmap_mode="r")


def _write(path: str | os.PathLike, parts: Iterator[np.ndarray], rows: int, dtype: str) -> None:
    """A `.npy` file, part by part. Plain writes, not a map: a full disk must be an error, not a signal."""
    largest = np.finfo(dtype).max
    with written_aside(path) as file:
        for i, z in enumerate(parts):
            if i == 0:
                width = z.shape[1]
                header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (rows, z.shape[1])}
                np.lib.format.write_array_header_1_0(file, header)
            if z.shape[1] != width:
                raise ValueError(f"a teacher's logits must have one width, got {width} and {z.shape[1]}")
            held = np.where(np.isfinite(z), np.clip(z, -largest, largest), z)  # only -inf is a mask
            file.write(np.ascontiguousarray(held, dtype=dtype).tobytes())


def keep_top(z: Array, k: int, T: float = 4.0) -> tuple[Array, Array]:
    """`(classes (N, k), logits (N, k + 1))` of a teacher's logits (N, K): the k largest, and the rest as one.

    The last logit is :math:`T \\log\\sum_j e^{z_j/T}` over the classes that were not kept: with it the softmax
    at the temperature T is exact. ValueError unless 0 < k < K.
    """
    T, xp = check_temperature(T), array_module(z)
    if not is_whole(k) or z.ndim != 2 or not 0 < k < z.shape[1]:
        raise ValueError(f"top must be at least 1 and less than the number of classes, got {k!r} for {z.shape}")
    z = as_real(z, "the teacher's logits")
    rows = xp.arange(len(z))[:, None]
    top = xp.argsort(-z, axis=1)[:, :k]
    rest = z.astype("float64")
    kept = rest[rows, top]
    rest[rows, top] = -xp.inf
    largest = rest.max(axis=1)
    largest = xp.where(largest == -xp.inf, 0, largest)  # everything else may be masked
    total = xp.exp((rest - largest[:, None]) / T).sum(axis=1)
    tail = xp.where(total == 0, -xp.inf, largest + T * xp.log(xp.where(total == 0, 1, total)))
    return top.astype("int32"), xp.concatenate([kept, tail[:, None]], axis=1).astype(z.dtype)


def _answers(teacher: Any, x: Array) -> Array:
    if hasattr(teacher, "logits"):
        z = as_array(teacher.logits(x))
        if z.ndim != 2 or len(z) != len(x):
            raise ValueError(f"a teacher's logits must be one row for each of {len(x)} rows, got shape {z.shape}")
        return z
    if not hasattr(teacher, "predict_proba"):
        raise TypeError(
            f"a teacher needs `logits` or `predict_proba`, {type(teacher).__name__} has neither; "
            "answers that are there already are the column `teacher.logits`"
        )
    p = as_real(np.asarray(teacher.predict_proba(to_numpy(x))), "what predict_proba returns")
    if p.ndim != 2 or len(p) != len(x):
        raise ValueError(f"predict_proba must return one row of probabilities for each of {len(x)} rows, got {p.shape}")
    off = np.abs(p.sum(axis=1, dtype=np.float64) - 1)
    if (off > 1e-3).any():
        raise ValueError(
            f"predict_proba must return rows that sum to 1, row {int(off.argmax())} sums to {p[off.argmax()].sum()}"
        )
    classes = getattr(teacher, "classes_", np.arange(p.shape[1]))
    if not np.array_equal(classes, np.arange(p.shape[1])):
        raise ValueError(f"the teacher's classes must be 0 … {p.shape[1] - 1}, one column each; got {list(classes)}")
    return to_device(log_probabilities(p).astype(np.float32), device_of(x))


def log_probabilities(p: np.ndarray) -> np.ndarray:
    """Logits (N, K) whose softmax is p (N, K), rows that sum to 1: log p, with -inf where p is 0; NaN stays NaN.

    ValueError for a negative number: no logarithm, and no probability.
    """
    p = as_real(p, "p")
    if (p < 0).any():
        raise ValueError(f"probabilities must not be negative, got {p.min()}")
    z = np.full(p.shape, -np.inf, dtype=p.dtype)
    np.log(p, out=z, where=p != 0)
    return z
