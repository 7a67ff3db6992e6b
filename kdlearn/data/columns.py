"""Columns of equal length, and the checks at the door of training."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, device_of, to_device, to_numpy

# Rows are gathered for a shuffled epoch in pieces of this many bytes: one gather for all of a
# small set, and never a second copy of a large one.
GATHER_BYTES = 8 << 20


class Data:
    """Columns of equal length.

    Parameters
    ----------
    columns : {name: array of N rows}; `x` (N, D) is what a network reads, `<owner>.x` what the
        network of that name reads instead. A column `index` (0 … N-1) is added where absent.

    Example
    -------
    >>> data = Data({"x": np.zeros((3, 2), np.float32), "y": np.array([0, 1, 1])})
    >>> len(data), sorted(data.columns)
    (3, ['index', 'x', 'y'])
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        if not columns:
            raise ValueError("data needs at least one column")
        for name, a in columns.items():
            if hasattr(a, "toarray"):
                raise TypeError(f"column {name!r} is sparse; make it dense with .toarray()")
        self.columns = {
            name: a if hasattr(a, "dtype") and hasattr(a, "shape") else np.asarray(a) for name, a in columns.items()
        }
        lengths = {name: a.shape[0] if a.ndim else 0 for name, a in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns must have one length, got {lengths}")
        first = next(iter(self.columns.values()))
        self.n_rows = lengths[next(iter(lengths))]
        if "index" not in self.columns:
            self.columns["index"] = to_device(np.arange(self.n_rows), device_of(first))

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, name: str) -> Array:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(f"no column {name!r}; there are: {', '.join(self.columns)}") from None

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __repr__(self) -> str:
        inside = ", ".join(f"{name} {a.shape[1:] or ''}".strip() for name, a in self.columns.items())
        return f"Data({self.n_rows} rows: {inside})"

    @property
    def x(self) -> Array:
        """The features, (N, D)."""
        return self["x"]

    @property
    def y(self) -> Array:
        """The labels, (N,)."""
        return self["y"]

    def with_columns(self, columns: Mapping[str, Array]) -> Data:
        """The same rows with these columns added or replaced."""
        return Data({**self.columns, **columns})

    def with_soft_labels(self, teacher: Any, name: str = "teacher") -> Data:
        """The same rows with the column `<name>.logits` of `soft_labels(teacher, x)`."""
        return self.with_columns({f"{name}.logits": soft_labels(teacher, self.x)})

    def take(self, rows: Any) -> Data:
        """The chosen rows (integers, a slice or a mask), in that order, with their `index` kept."""
        return Data({name: a[rows] for name, a in self.columns.items()})

    def to(self, device: str) -> Data:
        """The same columns on `"cpu"` or `"cuda"`."""
        return Data({name: to_device(a, device) for name, a in self.columns.items()})

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[dict[str, Array]]:
        """Dictionaries of columns, `batch_size` rows at a time; shuffled if `rng` is given.

        The last one holds what is left. Without `rng` they are views.
        """
        n, names = self.n_rows, list(self.columns)
        if rng is None:
            for i in range(0, n, batch_size):
                yield {name: self.columns[name][i : i + batch_size] for name in names}
            return
        device = device_of(self.columns["index"])
        order = rng.permutation(n)
        row_bytes = sum(a.nbytes for a in self.columns.values()) // max(n, 1) + 1
        gather = max(1, GATHER_BYTES // row_bytes // batch_size) * batch_size
        for start in range(0, n, gather):
            rows = to_device(order[start : start + gather], device)
            piece = {name: a.take(rows, axis=0) for name, a in self.columns.items()}
            for i in range(0, len(rows), batch_size):
                yield {name: a[i : i + batch_size] for name, a in piece.items()}


def check_data(data: Data, dtype: Any, n_classes: Mapping[str, int], tokens: Collection[str] = ()) -> Data:
    """`data` with its features as `dtype`, or a ValueError that names the column, value and rule.

    Parameters
    ----------
    data : the columns to be trained on.
    dtype : of the networks.
    n_classes : {network: width of its logits}, to hold labels against; labels of width-1
        (regression) networks are not restricted.
    tokens : names of the `x` columns that hold integer tokens and stay integers.
    """
    if len(data) == 0:
        raise ValueError("data has zero rows; at least one is needed")
    columns = dict(data.columns)
    for name, a in columns.items():
        last = name.rpartition(".")[2]
        if last == "x":
            columns[name] = _check_features(name, a, None if name in tokens else dtype)
        elif last in ("logits", "proba"):
            _check_logits(name, a)
            columns[name] = a if a.dtype.kind == "f" else a.astype(dtype)
        elif name == "y" and n_classes and max(n_classes.values()) > 1:
            _check_labels(a, min(k for k in n_classes.values() if k > 1))
        elif a.dtype.kind == "f" and not _all_finite(a):
            raise ValueError(f"column {name!r} has values that are not finite")
    return Data(columns)


def _check_features(name: str, x: Array, dtype: Any) -> Array:
    if x.ndim != 2:
        hint = (
            "; reshape one feature with x.reshape(-1, 1)"
            if x.ndim == 1
            else "; flatten each row with x.reshape(len(x), -1)"
        )
        raise ValueError(f"column {name!r} must be 2-D (rows, features), got shape {x.shape}{hint}")
    if x.shape[1] == 0:
        raise ValueError(f"column {name!r} has zero features")
    if dtype is None:
        if x.dtype.kind not in "iu":
            raise ValueError(f"column {name!r} must hold integer tokens, for a network's Embedding, got {x.dtype}")
        return x
    if x.dtype.kind == "c":
        raise ValueError(f"column {name!r} must be real, got {x.dtype}")
    try:
        x = x.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} must be numeric, got {x.dtype}: {error}") from None
    if not _all_finite(x):
        raise ValueError(f"column {name!r} has values that are not finite (NaN or infinity)")
    return x


def _all_finite(a: Array) -> bool:
    # in pieces: a column may be memory-mapped and larger than memory
    xp, rows = array_module(a), max(1, GATHER_BYTES // max(1, a.nbytes // max(1, len(a))))
    return all(bool(xp.isfinite(a[i : i + rows]).all()) for i in range(0, len(a), rows))


def _check_logits(name: str, z: Array) -> None:
    xp = array_module(z)
    if z.ndim != 2:
        raise ValueError(f"column {name!r} must be 2-D (rows, classes), got shape {z.shape}")
    if z.dtype.kind == "f":
        if bool(xp.isnan(z).any()):
            raise ValueError(f"column {name!r} has NaN")
        if bool((z == xp.inf).any()):
            raise ValueError(f"column {name!r} has +inf; -inf would mask a class, +inf means nothing")
        if bool((z.max(axis=1) == -xp.inf).any()):
            raise ValueError(f"column {name!r} has a row of only -inf: no class is left")


def _check_labels(y: Array, n_classes: int) -> None:
    y = to_numpy(y)  # on the host: a GPU would wrap an index that is out of range
    if y.ndim != 1:
        hint = "; one-hot rows become labels with y.argmax(axis=1)" if y.ndim == 2 else ""
        raise ValueError(f"y must hold one label a row, got shape {y.shape}{hint}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"y must hold integer class labels, got {y.dtype}")
    if y.min() < 0 or y.max() >= n_classes:
        bad = y.min() if y.min() < 0 else y.max()
        raise ValueError(f"labels must lie in 0 … {n_classes - 1}, the network's {n_classes} outputs; got {bad}")


def soft_labels(
    teacher: Any, x: Array, out: str | os.PathLike | None = None, dtype: str = "float32", batch_size: int = 4096
) -> Array:
    """A teacher's logits (N, K) for x (N, D).

    Parameters
    ----------
    teacher : a network, or any classifier with `predict_proba` (its classes must be 0 … K-1);
        the logarithm of its probabilities is a valid set of logits, -inf where it says 0.
    x : features; may be memory-mapped and larger than memory if `out` is given.
    out : a `.npy` file that is written batch by batch and returned memory-mapped, so that neither
        inputs nor answers need fit into memory. Row n of it answers row n of x.
    dtype : of that file, "float32" or "float16" (half the bytes, three significant digits).
    batch_size : rows a batch where `out` is given.
    """
    if out is None:
        return _answers(teacher, x)
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16', got {dtype!r}")
    column = None
    for i in range(0, len(x), batch_size):
        z = to_numpy(_answers(teacher, x[i : i + batch_size]))
        if column is None:
            column = np.lib.format.open_memmap(out, mode="w+", dtype=dtype, shape=(len(x), z.shape[1]))
        column[i : i + len(z)] = z
    if column is None:
        raise ValueError("x has zero rows; there is nothing to label")
    column.flush()
    return column


def _answers(teacher: Any, x: Array) -> Array:
    if hasattr(teacher, "logits"):
        return teacher.logits(x)
    if not hasattr(teacher, "predict_proba"):
        raise TypeError(f"a teacher needs `logits` or `predict_proba`, {type(teacher).__name__} has neither")
    p = np.asarray(teacher.predict_proba(to_numpy(x)))
    classes = getattr(teacher, "classes_", np.arange(p.shape[1]))
    if not np.array_equal(classes, np.arange(p.shape[1])):
        raise ValueError(f"the teacher's classes must be 0 … {p.shape[1] - 1}, one column each; got {list(classes)}")
    return to_device(log_probabilities(p).astype(np.float32), device_of(x))


def log_probabilities(p: np.ndarray) -> np.ndarray:
    """Logits (N, K) whose softmax is p (N, K): log p, with -inf where p is 0."""
    z = np.full(p.shape, -np.inf, dtype=p.dtype)
    np.log(p, out=z, where=p > 0)
    return z
