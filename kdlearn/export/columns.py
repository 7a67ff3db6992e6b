"""Raw columns and the numbers that a network sees of them, as plain data.

Imputers, encoders and scalers work column by column. So each number that a network sees, a *feature*,
is made from one raw column: the value itself, "is it this category?", or "is it missing?". A table of
features says all that a fitted preprocessing does. It can be saved without a pickle, and written as C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kdlearn.cells import is_missing, known_texts
from kdlearn.nn.functional import plain_arrays

VALUE, MISSING = -1, -2  # codes of features that are no category: the value; whether it is missing
AS_ARRAY = "give X.to_numpy(), in the order of fit"
UNKNOWN = -1  # the code of a category that was not there when the encoder was fitted


@dataclass(frozen=True)
class Column:
    """One raw column: its name, and its categories (texts or numbers) unless it holds numbers.

    None among the categories stands for a missing value that has a category of its own; an empty text is a
    missing one. With `other`, all that is not listed is one category more, the last. Not `named`: fit saw no names of
    columns, and this one is made up.
    """

    name: str
    categories: tuple[Any, ...] | None = None
    other: bool = False
    named: bool = True

    @property
    def n_codes(self) -> int:
        """Categories, the last included that all others share."""
        return len(self.categories or ()) + self.other


@dataclass(frozen=True)
class Feature:
    """One number made of a raw column: `(value - shift) * factor`.

    Parameters
    ----------
    column : position of the raw column.
    code : VALUE, MISSING, or the position of the category that is asked for (value 1 or 0).
    fill : what stands for a missing value (a number, or a category's position); None refuses it.
    strict : an unknown category is refused; otherwise it is none of the known.
    unknown : what stands for an unknown category, of a column's codes; None for nothing.
    """

    column: int
    code: int = VALUE
    fill: Any = None
    shift: float = 0.0
    factor: float = 1.0
    strict: bool = False
    unknown: Any = None

    def to_plain(self) -> list[Any]:
        """Its settings in order, the last only where it has one."""
        settings = [self.column, self.code, self.fill, self.shift, self.factor, self.strict]
        return settings if self.unknown is None else [*settings, self.unknown]


class Encoding:
    """Raw columns and their features.

    `codes(X)` reads raw rows as numbers, (N, C): NaN where a cell is missing, a category's position
    for a text, UNKNOWN for one that is not known. `features(codes)` is (N, D), unscaled; NaN in a row
    that is refused. `shift` and `factor` (D,) are what is left to do: `(features - shift) * factor`.
    """

    def __init__(self, columns: Sequence[Column], features: Sequence[Feature]) -> None:
        self.columns, self.table = list(columns), list(features)
        self.column = np.array([f.column for f in features], np.int64)
        self.code = np.array([f.code for f in features], np.int64)
        self.fill = np.array([np.nan if f.fill is None else f.fill for f in features], np.float64)
        self.shift = np.array([f.shift for f in features], np.float64)
        self.factor = np.array([f.factor for f in features], np.float64)
        self.strict = np.array([f.strict for f in features], bool)
        self.unknown = np.array([np.nan if f.unknown is None else f.unknown for f in features], np.float64)

    @classmethod
    def plain(cls, names: Sequence[str]) -> Encoding:
        """Numbers that are taken as they are."""
        return cls([Column(name) for name in names], [Feature(i) for i in range(len(names))])

    @property
    def is_plain(self) -> bool:
        """Whether each feature is a column of numbers, in order, and nothing is filled in."""
        numbers = all(c.categories is None for c in self.columns)
        return numbers and [(f.column, f.code, f.fill) for f in self.table] == [
            (i, VALUE, None) for i in range(len(self.columns))
        ]

    @property
    def used(self) -> list[int]:
        """Positions of the raw columns that a feature reads."""
        return sorted({f.column for f in self.table})

    @property
    def named(self) -> bool:
        """Whether the names of the raw columns are those that fit saw."""
        return all(c.named for c in self.columns)

    @property
    def names(self) -> list[str]:
        """Names of the raw columns."""
        return [c.name for c in self.columns]

    def moved(self, centre: np.ndarray) -> Encoding:
        """The encoding of columns from which `centre` (C,) has been subtracted."""

        def move(f: Feature) -> Feature:
            by = float(centre[f.column])
            if f.code != VALUE or by == 0:
                return f
            return replace(f, fill=None if f.fill is None else f.fill - by, shift=f.shift - by)

        return Encoding(self.columns, [move(f) for f in self.table])

    def codes(self, X: Any) -> np.ndarray:
        """Raw rows (a frame, an array or a list of rows) as float64 (N, C). A frame is read by its columns' names."""
        if hasattr(X, "columns"):
            there, names = set(X.columns), self.names
            if getattr(X.columns, "has_duplicates", False):
                raise ValueError(f"two columns are named {X.columns[X.columns.duplicated()][0]!r}")
            absent = [names[i] for i in self.used if names[i] not in there]
            if absent:
                hint = "" if self.named else f"; its columns had no names that are texts: {AS_ARRAY}"
                raise ValueError(f"the rows have no column {', '.join(map(repr, absent[:5]))}{hint}")
            if not self.named and [name for name in X.columns if name in names] != [n for n in names if n in there]:
                raise ValueError(f"fit saw no names of columns, so these cannot be put into its order: {AS_ARRAY}")
            kinds = [X.dtypes[c.name] for c in self.columns if c.name in there and c.categories is None]
            numbers = all(isinstance(kind, np.dtype) and kind.kind in "fiub" for kind in kinds)
            if numbers and all(c.categories is None for c in self.columns):
                return X.reindex(columns=names).to_numpy(dtype=np.float64)
            gap = np.full(len(X), np.nan)
            cells = [X[name].to_numpy(dtype=object) if name in there else gap for name in names]
        else:
            (X,) = plain_arrays((X.toarray() if hasattr(X, "toarray") else X,), ("X",))
            X = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
            if X.ndim != 2 or X.shape[1] != len(self.columns):
                raise ValueError(f"rows of {len(self.columns)} columns are needed, got shape {X.shape}")
            if X.dtype.kind in "Mm":
                raise ValueError(f"rows must hold numbers or texts, got {X.dtype}")
            if X.dtype.kind in "fiub" and all(c.categories is None for c in self.columns):
                return X.astype(np.float64)
            cells = [X[:, i] for i in range(len(self.columns))]
        codes = np.full((len(cells[0]), len(self.columns)), np.nan)  # a column that no feature reads may hold anything
        for i in self.used:
            codes[:, i] = _codes(self.columns[i], cells[i])
        return codes

    def features(self, codes: np.ndarray) -> np.ndarray:
        """(N, D) of (N, C), in the precision of `codes`; NaN where a value is refused."""
        v = codes[:, self.column]
        missing = np.isnan(v)
        known = np.isnan(self.unknown) | (v != UNKNOWN)
        v = np.where(missing, self.fill.astype(v.dtype), np.where(known, v, self.unknown.astype(v.dtype)))
        bad = (self.code != MISSING) & (~np.isfinite(v) | (self.strict & (v < 0) & ~missing))
        v = np.where(self.code >= 0, v == self.code, np.where(self.code == MISSING, missing, v)).astype(codes.dtype)
        v[bad] = np.nan
        return v

    def check(self, codes: np.ndarray) -> None:
        """ValueError that names the row, the column and the rule, if a value is refused."""
        bad = np.argwhere(np.isnan(self.features(codes)))
        if len(bad):
            row, j = bad[0].tolist()
            column = self.columns[self.column[j]]
            v = codes[row, self.column[j]]
            what = "is missing (NaN)" if np.isnan(v) else "is infinite" if np.isinf(v) else "holds an unknown category"
            known = "" if column.categories is None else f"; known are {list(column.categories)[:8]}"
            raise ValueError(f"row {row}, column {column.name!r} {what}: it is refused{known}")

    def to_plain(self) -> dict[str, Any]:
        """As lists, numbers and texts."""
        return {
            "columns": [[c.name, None if c.categories is None else list(c.categories), c.other] for c in self.columns],
            "named": self.named,
            "features": [f.to_plain() for f in self.table],
        }

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> Encoding:
        """What `to_plain` gave. TypeError, ValueError or KeyError for anything else."""
        columns = [
            Column(str(name), None if known is None else tuple(known), bool(other), bool(data.get("named", True)))
            for name, known, other in data["columns"]
        ]
        features = [
            Feature(
                int(c),
                int(code),
                None if fill is None else float(fill),
                float(shift),
                float(factor),
                bool(strict),
                *(float(unknown) for unknown in rest[:1]),
            )
            for c, code, fill, shift, factor, strict, *rest in data["features"]
        ]
        for f in features:
            n_codes = columns[f.column].n_codes if 0 <= f.column < len(columns) else -1
            if n_codes < 0 or not MISSING <= f.code < max(n_codes, 0) or f.factor == 0:
                raise ValueError(f"{f} does not belong to the {len(columns)} columns")
        return cls(columns, features)


def _codes(column: Column, cells: np.ndarray) -> np.ndarray:
    if cells.dtype.kind in "fiub" and column.categories is None:
        return cells.astype(np.float64)
    if column.categories is None:
        try:
            return np.array([np.nan if is_missing(v) else float(v) for v in cells.tolist()], np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"column {column.name!r} must hold numbers: {error}") from None
    known = {value: float(code) for code, value in enumerate(column.categories) if value is not None}
    texts = all(isinstance(v, str) for v in known)
    unknown = float(len(column.categories)) if column.other else UNKNOWN
    found = np.full(len(cells), np.nan)
    values = cells.tolist()
    # among texts a table's reader may have made a number of one
    for row, (v, name) in enumerate(zip(values, known_texts(values, known) if texts else values)):
        if not (is_missing(v) or (texts and v == "")):
            found[row] = known.get(name, unknown)
    return found
