"""Columns of equal length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, as_array, check_generator, device_of, to_device, to_numpy
from kdlearn.checks import check_classes, check_count, check_sites
from kdlearn.data.labelling import soft_labels

DataFunction = Callable[[int, np.random.Generator], "Data"]  # (epoch, rng) -> data, for data that change

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
        if not isinstance(columns, Mapping):
            hint = '; write kd.Data({"x": features, "y": labels}), of a table kd.Data({"x": table.to_numpy()})'
            raise TypeError(f"data is made of columns by their names, got {type(columns).__name__}{hint}")
        if not columns:
            raise ValueError("data needs at least one column")
        self.columns: dict[str, Array] = {}
        for name, a in columns.items():
            if hasattr(a, "toarray"):
                raise TypeError(f"column {name!r} is sparse; make it dense with .toarray()")
            try:
                self.columns[name] = as_array(a)
            except TypeError as error:
                raise TypeError(f"column {name!r}: {error}") from None
            if not self.columns[name].ndim:  # one value, or a generator, a set, a text: no rows
                raise TypeError(f"column {name!r} must be an array or a list with one entry a row, got {a!r}")
        lengths = {name: a.shape[0] for name, a in self.columns.items()}
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

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("kd.Data is no mapping: data.columns is one, and data.batches(n) makes several")

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
        return self.like({**self.columns, **columns})

    def like(self, columns: Mapping[str, Array]) -> Data:
        """Data of the same kind with these columns."""
        return Data(columns)

    def only(self, names: Iterable[str]) -> Data:
        """The same rows with those of these columns that there are, and `index`."""
        check_sites(names=names)
        kept = {*names, "index"}
        return self.like({name: a for name, a in self.columns.items() if name in kept})

    def for_logits(self, column: Array) -> Array:
        """A column as `net.logits` takes it, one row an example."""
        return column

    def with_soft_labels(self, teacher: Any, name: str = "teacher", top: int | None = None, T: float = 4.0) -> Data:
        """The same rows with the column `<name>.logits` of `soft_labels(teacher, x)`; of `<name>.x` where there is one.

        With `top` only the k largest answers are kept, and one for the rest, in the columns `<name>.top` and
        `<name>.top_logits`, which `TopTargets(T)` reads; `<name>.top_T` says at which temperature, `<name>.top_K` of
        how many classes: `fit` and `evaluate` hold the term to both.
        """
        x = self[f"{name}.x" if f"{name}.x" in self else "x"]
        answers = soft_labels(teacher, x, top=top, T=T)
        if top is None:
            return self.with_columns({f"{name}.logits": answers})
        made_at = array_module(answers[1]).full(len(self), T, "float32")
        classes = array_module(answers[1]).full(len(self), soft_labels(teacher, x[:1]).shape[1])
        columns = {f"{name}.top": answers[0], f"{name}.top_logits": answers[1]}
        return self.with_columns({**columns, f"{name}.top_T": made_at, f"{name}.top_K": classes})

    def with_class_weights(self, labels: str = "y", name: str = "class_weight", ignore: int | None = None) -> Data:
        """The same rows with one weight a row, N / (K n_k) for a row whose class has n_k of the N rows.

        For `CrossEntropy() * "class_weight"`: each of the K classes then counts alike, and the mean weight is 1.
        Rows whose label is `ignore` are no class and none of the N; they have weight 0.
        """
        y = to_numpy(self[labels])
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise ValueError(f"column {labels!r} must hold one integer label a row")
        try:
            check_classes(y, None, ignore)
        except ValueError as error:
            raise ValueError(f"column {labels!r}: {error}; rows without a label are named by ignore=") from None
        known = np.full(len(y), True) if ignore is None else y != ignore
        found, number, counts = np.unique(y[known], return_inverse=True, return_counts=True)
        weights = np.zeros(len(y), "float32")
        weights[known] = (known.sum() / (len(found) * counts))[number]
        return self.with_columns({name: to_device(weights, device_of(self[labels]))})

    def take(self, rows: Any) -> Data:
        """The chosen rows (integers, a slice or a mask), in that order, with their `index` kept."""
        if not isinstance(rows, slice) and (rows.ndim if hasattr(rows, "ndim") else np.ndim(rows)) != 1:
            raise ValueError(f"rows are a slice, a mask or a list of positions, got {rows!r}")
        rows = list(rows) if isinstance(rows, tuple) else rows  # of an array it would be a place in two axes
        return Data({name: a[rows] for name, a in self.columns.items()})

    def to(self, device: str) -> Data:
        """The same columns on `"cpu"` or `"cuda"`."""
        return self.like({name: to_device(a, device) for name, a in self.columns.items()})

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[dict[str, Array]]:
        """Dictionaries of columns, `batch_size` rows at a time; shuffled if `rng` is given.

        The last one holds what is left. Without `rng` they are views.
        """
        check_count("batch_size", batch_size)
        if not hasattr(rng, "permutation") and rng is not None:  # a stack shuffles by a generator a member
            check_generator(rng)
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
