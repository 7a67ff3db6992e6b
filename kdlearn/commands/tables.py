"""Tables from files: CSV with a header, or `.npz` with `x` and labels. No cell is ever executed.

A table keeps its cells as they were read, and gives a column as numbers or as texts when it is
asked to; what does not fit is a `TableError` of one line that names the line and the column.
"""

from __future__ import annotations

import csv
import os
import re
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MISSING = frozenset(("", "nan", "+nan", "-nan"))
TEXTS_AT_MOST = 100  # distinct texts in a column; beyond, it is a name or a sentence, not a category
LARGEST = float(np.finfo(np.float32).max)


class TableError(ValueError):
    """A table that cannot be read or used, in one line."""


class Table:
    """Columns of cells, and the line of the file that each row began on.

    Parameters
    ----------
    source : name of the file, for messages.
    columns : {name: list of texts, or array of numbers}, all of one length.
    lines : the line of each row; by default 1, 2, …
    features : the columns that may be learned from; by default all.
    """

    def __init__(
        self,
        source: str,
        columns: Mapping[str, Any],
        lines: Sequence[int] | None = None,
        features: Sequence[str] | None = None,
    ) -> None:
        self.source, self.columns = source, dict(columns)
        self.features = list(self.columns if features is None else features)
        self.n_rows = len(next(iter(self.columns.values()), ()))
        self.lines = range(1, self.n_rows + 1) if lines is None else lines

    def __len__(self) -> int:
        return self.n_rows

    def column(self, name: str) -> Any:
        """The cells of a column as they were read."""
        if name not in self.columns:
            raise TableError(f"{self.source} has no column {name!r}; there are: {_list(self.columns)}")
        return self.columns[name]

    def is_text(self, name: str) -> bool:
        """Whether no cell of the column is a number. A mixture counts as numbers, one of which is wrong."""
        cells = self.column(name)
        if isinstance(cells, np.ndarray):
            return cells.dtype.kind == "U"
        return not any(NUMBER.fullmatch(cell.strip()) for cell in cells)

    def numbers(self, name: str) -> np.ndarray:
        """The column as float64, each a finite number that float32 can hold."""
        cells = self.column(name)
        if isinstance(cells, np.ndarray) and cells.dtype.kind != "U":
            values = cells.astype(np.float64)
            for row in np.flatnonzero(~np.isfinite(values))[:1]:
                self._refuse(int(row), name, "is missing (NaN)" if np.isnan(values[row]) else "is infinite")
        else:
            values = np.array([self._number(row, name, str(cell)) for row, cell in enumerate(cells)], np.float64)
        for row in np.flatnonzero(np.abs(values) > LARGEST)[:1]:
            self._refuse(int(row), name, f"{values[row]:g} is too large for float32")
        return values

    def texts(self, name: str) -> list[str]:
        """The column as texts without surrounding blanks, none of them missing."""
        texts = [str(cell).strip() for cell in self.column(name)]
        for row, text in enumerate(texts):
            if text.lower() in MISSING:
                self._refuse(row, name, "is missing; fill it or leave the row out")
        return texts

    def _number(self, row: int, name: str, cell: str) -> float:
        text = cell.strip()
        if NUMBER.fullmatch(text):
            return float(text)
        if text.lower() in MISSING:
            self._refuse(row, name, "is missing; fill it or leave the row out")
        self._refuse(row, name, f"{_short(text)} is not a number")
        raise AssertionError  # _refuse does not return

    def _refuse(self, row: int, name: str, what: str) -> None:
        place = "row" if isinstance(self.lines, range) else "line"
        raise TableError(f"{self.source}, {place} {self.lines[row]}, column {name!r}: {what}")


def read_table(path: str | os.PathLike, delimiter: str = ",") -> Table:
    """The table in a `.npz` (arrays `x` and labels) or, under any other name, a CSV file with a header."""
    path = Path(path)
    return _read_npz(path) if path.suffix == ".npz" else _read_csv(path, delimiter)


def _read_csv(path: Path, delimiter: str) -> Table:
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            began = 1
            for row in reader:
                if row:  # blank lines are no rows
                    if rows and len(row) != len(rows[0]):
                        raise TableError(
                            f"{path.name}, line {began}: {len(row)} cells, but the header has {len(rows[0])}"
                        )
                    rows.append(row)
                    lines.append(began)
                began = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path.name}, line {reader.line_num}: {error}") from None
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path.name} is not UTF-8 text (byte {error.start} is {error.object[error.start]:#x})"
        ) from None
    if not rows:
        raise TableError(f"{path.name} is empty")
    header = [name.strip() for name in rows[0]]
    for i, name in enumerate(header):
        if not name:
            raise TableError(f"{path.name}: column {i + 1} has no name in the header")
        if name in header[:i]:
            raise TableError(f"{path.name} has two columns {name!r}")
    if all(NUMBER.fullmatch(name) for name in header):
        raise TableError(f"{path.name} begins with numbers; its first line must name the columns")
    if len(header) == 1 and (found := next((d for d in ";\t|" if d in header[0]), None)):
        raise TableError(f"{path.name} has one column; with --delimiter {found!r} it would have more")
    if len(rows) == 1:
        raise TableError(f"{path.name} has a header and no rows")
    return Table(path.name, {name: [row[i] for row in rows[1:]] for i, name in enumerate(header)}, lines[1:])


def _read_npz(path: Path) -> Table:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, RuntimeError) as error:
        raise TableError(f"{path.name} is not a whole .npz file of numbers ({_line(error)})") from None
    except (zipfile.BadZipFile, zlib.error, MemoryError, SyntaxError, AttributeError) as error:
        raise TableError(f"{path.name} is not a whole .npz file of numbers ({_line(error)})") from None
    if "x" not in arrays:
        raise TableError(f"{path.name} has no array 'x' with the rows; there are: {_list(arrays)}")
    x = arrays.pop("x")
    if x.ndim != 2 or 0 in x.shape:
        raise TableError(f"{path.name}: x must hold rows of features, its shape is {x.shape}")
    for name, a in arrays.items():
        if a.shape != (len(x),):
            raise TableError(f"{path.name}: {name!r} has shape {a.shape}, x has {len(x)} rows")
    for name, a in {"x": x, **arrays}.items():
        if a.dtype.kind not in "iufbU":
            raise TableError(f"{path.name}: {name!r} must hold numbers or texts, not {a.dtype}")
    features = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    return Table(path.name, {**arrays, **features}, features=list(features))


class Encoder:
    """How a table becomes the input of a network: numbers as they are, texts one-hot.

    Parameters
    ----------
    features : [(column, None) for numbers, (column, [category, …]) for texts], in the table's order.
    """

    def __init__(self, features: Sequence[tuple[str, list[str] | None]]) -> None:
        self.features = [(name, None if known is None else list(known)) for name, known in features]

    @classmethod
    def fit(cls, table: Table, skip: Collection[str], categorical: Collection[str] = ()) -> Encoder:
        """Every column but those to `skip`; a column without any number is one of categories."""
        for name in (*skip, *categorical):
            table.column(name)
        features: list[tuple[str, list[str] | None]] = []
        for name in table.features:
            if name in skip:
                continue
            known = None
            if name in categorical or table.is_text(name):
                known = sorted(set(table.texts(name)))
                if len(known) > TEXTS_AT_MOST:
                    raise TableError(
                        f"{table.source}: column {name!r} has {len(known)} different texts, too many for categories; "
                        f"leave it out with --ignore {name}"
                    )
            features.append((name, known))
        if not features:
            raise TableError(f"{table.source} has no column to learn from")
        return cls(features)

    @property
    def inputs(self) -> list[str]:
        """A name for each column of the encoded matrix."""
        names: list[str] = []
        for name, known in self.features:
            names += [name] if known is None else [f"{name}={category}" for category in known]
        return names

    def __call__(self, table: Table) -> np.ndarray:
        """The rows of a table as float32 (N, D)."""
        parts = [
            table.numbers(name).astype(np.float32)[:, None] if known is None else self._one_hot(table, name, known)
            for name, known in self.features
        ]
        return np.concatenate(parts, axis=1)

    @staticmethod
    def _one_hot(table: Table, name: str, known: list[str]) -> np.ndarray:
        from sklearn.preprocessing import OneHotEncoder

        texts = table.texts(name)
        unknown = set(texts) - set(known)
        for row, text in enumerate(texts):
            if text in unknown:
                table._refuse(row, name, f"{_short(text)} is not one of the {len(known)} known: {_list(known)}")
        cells = np.array(texts, dtype=object)[:, None]
        return OneHotEncoder(categories=[known], sparse_output=False, dtype=np.float32).fit_transform(cells)


def labels(table: Table, target: str) -> np.ndarray:
    """The labels of a table: whole numbers as integers, all others as texts."""
    cells = table.column(target)
    plain = isinstance(cells, np.ndarray) and cells.dtype.kind != "U"
    if not plain and not all(NUMBER.fullmatch(str(cell).strip()) for cell in cells):
        y = np.array(table.texts(target))
    else:
        values = table.numbers(target)
        for row in np.flatnonzero(values != np.rint(values))[:1]:
            table._refuse(int(row), target, f"{values[row]:g} is a fraction; the target must hold classes")
        if np.abs(values).max() > 2**53:
            raise TableError(f"{table.source}: the target {target!r} has numbers too large to be classes")
        y = values.astype(np.int64)
    classes = np.unique(y)
    if len(classes) < 2:
        raise TableError(
            f"{table.source}: the target {target!r} has one class, {classes[0].item()!r}; it takes at least two"
        )
    if len(classes) > max(2, len(y) // 2):
        raise TableError(
            f"{table.source}: the target {target!r} has {len(classes)} different values in {len(y)} rows; "
            "it must hold classes"
        )
    return y


def _list(names: Collection[Any], most: int = 12) -> str:
    shown = [str(name) for name in list(names)[:most]]
    return ", ".join(shown) + (f", … ({len(names)} in all)" if len(names) > most else "")


def _short(text: str, most: int = 40) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
