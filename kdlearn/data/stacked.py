"""Rows for a stack: every batch holds the rows of each member, one member after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, device_of, to_device
from kdlearn.checks import check_count
from kdlearn.data.columns import GATHER_BYTES, Data


class StackedData(Data):
    """The data of R members: n rows each.

    A column holds either the n rows that all members share, or R·n rows, one member after the other.

    Parameters
    ----------
    columns : {name: array}, of one of these two lengths.
    members : R.
    rows : n; by default the shorter of the two lengths.
    """

    def __init__(self, columns: Mapping[str, Array], members: int, rows: int | None = None) -> None:
        self.columns, self.members = dict(columns), members
        self.n_rows = min(len(a) for a in self.columns.values()) if rows is None else rows
        wrong = {name: len(a) for name, a in columns.items() if len(a) not in (self.n_rows, members * self.n_rows)}
        if wrong:
            raise ValueError(f"columns must have {self.n_rows} rows, or as many for each of {members} members: {wrong}")

    def like(self, columns: Mapping[str, Array]) -> StackedData:
        return StackedData(columns, self.members, self.n_rows)

    def for_logits(self, column: Array) -> Array:
        """(n, …) where all members share it, else (R, n, …)."""
        return column if len(column) == self.n_rows else column.reshape(self.members, self.n_rows, *column.shape[1:])

    def take(self, rows: Any) -> StackedData:
        """See `Data.take`; the same rows of every member."""
        index = to_device(np.arange(self.n_rows)[rows], device_of(self.columns["index"]))
        own = (index + array_module(index).arange(self.members)[:, None] * self.n_rows).reshape(-1)
        return StackedData(self._rows({self.members * self.n_rows: own, self.n_rows: index}), self.members, len(index))

    def batches(self, batch_size: int, rng: Sequence[np.random.Generator] | None = None) -> Iterator[dict[str, Array]]:  # type: ignore[override]
        """As `Data.batches`: `batch_size` rows of each member, each in the order of its own generator."""
        check_count("batch_size", batch_size)
        n, R = self.n_rows, self.members
        orders = np.stack([np.arange(n) if rng is None else rng[i].permutation(n) for i in range(R)])
        theirs = orders + n * np.arange(R)[:, None]  # in columns that hold rows of each member
        device = device_of(self.columns["index"])
        row_bytes = R * (sum(a.nbytes // len(a) for a in self.columns.values()) + 1)
        gather = max(1, GATHER_BYTES // row_bytes // batch_size) * batch_size
        for start in range(0, n, gather):
            stop = min(start + gather, n)
            piece = self._rows(
                {R * n: _in_batches(theirs[:, start:stop], batch_size, device),
                 n: _in_batches(orders[:, start:stop], batch_size, device)}
            )  # fmt: skip
            for at in range(0, R * (stop - start), R * batch_size):
                yield {name: a[at : at + R * batch_size] for name, a in piece.items()}

    def _rows(self, index: Mapping[int, Array]) -> dict[str, Array]:
        """Rows of each column, by an index for each of the two lengths that columns have."""
        return {name: a.take(index[len(a)], axis=0) for name, a in self.columns.items()}


def _in_batches(orders: np.ndarray, batch_size: int, device: str) -> Array:
    """Orders (R, n), a batch after the other, in each the rows of all members, one member after the other: (R·n,)."""
    R, n = orders.shape
    whole = n // batch_size * batch_size
    batches = orders[:, :whole].reshape(R, -1, batch_size).swapaxes(0, 1)
    return to_device(np.concatenate([batches.reshape(-1), orders[:, whole:].reshape(-1)]), device)


def stack_data(data: Sequence[Data]) -> StackedData:
    """The data of R members as one; what all of them hold, the same array, is kept once.

    ValueError where they differ in their columns or in their number of rows, or where there is no member.
    """
    if not len(data):
        raise ValueError("there are no members: give the data of at least one")
    first = data[0]
    for i, other in enumerate(data):
        if len(other) != len(first) or set(other.columns) != set(first.columns):
            raise ValueError(
                f"the members' data must have the same columns and rows; member 0 has {first!r}, member {i} {other!r}"
            )
    columns = {}
    for name, a in first.columns.items():
        own = [d.columns[name] for d in data]
        same = all(b is a or (name == "index" and array_module(a, b).array_equal(a, b)) for b in own)
        columns[name] = a if same or len(data) == 1 else array_module(*own).concatenate(own)
    return StackedData(columns, len(data), len(first))
