"""Tables as people have them, read by pandas: what is in a file.

Every cell is read as it was written. What each column is, `kdlearn.commands.rules` decides.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdlearn.commands.decimals import LARGEST, POINT, comma_votes, infinite, short, texts

if TYPE_CHECKING:
    import pandas as pd

QUOTED = r'(?<![^,;\t|\r\n]) *"(?:[^"]|"")*"'
BINARY = {  # what a file is that begins so
    b"\x1f\x8b": "is compressed (gzip)",
    b"BZh": "is compressed (bzip2)",
    b"\xfd7zXZ": "is compressed (xz)",
    b"PK\x03\x04": "is a zip or an Excel file",
    b"\xd0\xcf\x11\xe0": "is an Excel file",
}
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?"]


class TableError(ValueError):
    """A table that cannot be used; the message names the file, and the column or line."""


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """A TableError from inside begins with the name of this file: it is not the only one that is read."""
    try:
        yield
    except TableError as error:
        raise error if str(error).startswith(str(path)) else TableError(f"{path}: {error}") from None


def refuse_endless(what: str, cells: pd.Series, values: pd.Series) -> None:
    """TableError where a cell is infinite or, among `values` as floats, too large for the student's float32."""
    endless = infinite(cells) | (values.abs() > LARGEST)
    if endless.any():
        row = int(np.argmax(endless.to_numpy()))
        large = f"is too large: a student's numbers end at {LARGEST:.1e}"
        why = "is infinite" if infinite(cells).iloc[row] or np.isinf(values.iloc[row]) else large
        raise TableError(f"row {row}, {what}: {short(cells.iloc[row])} {why}")


def tell_blanks(what: str, name: str, table: pd.DataFrame, said: list[str]) -> None:
    """Say of a column of texts which of them are one here and two for another reader."""
    text = table.attrs.get("blanks", {}).get(name)
    if text is not None:
        said.append(f"{what}: texts that differ in blanks around them alone, such as {short(text)}, are one.")


def pandas() -> Any:
    """The module, or an ImportError that says how to get it."""
    try:
        import pandas
    except ImportError:
        raise ImportError('tables are read by pandas: pip install "kdlearn[tables]"') from None
    return pandas


def read_table(
    path: Path,
    delimiter: str | None = None,
    said: list[str] | None = None,
    every_row: bool = False,
    as_written: bool = False,
) -> pd.DataFrame:
    """The cells of a CSV file, or the arrays of a .npz file, as texts, NaN where missing.

    Parameters
    ----------
    delimiter : of the cells; None: found in the header.
    said : sentences on what was done are added to it.
    every_row : rows without any cell stay, so that an answer can stand beside each.
    as_written : no cell is missing: NA stays the text "NA", and an empty one the empty text.
    """
    if path.suffix == ".npz":
        return _arrays(path)
    try:
        return _cells(path, delimiter, [] if said is None else said, every_row, [] if as_written else MISSING)
    except UnicodeError as error:
        raise TableError(f"{path}: {' '.join(str(error).split())}") from None


def _cells(path: Path, delimiter: str | None, said: list[str], every_row: bool, missing: list[str]) -> pd.DataFrame:
    pd, encoding = pandas(), _encoding(path, said)
    with open(path, encoding=encoding, newline="") as file:
        lines = [line for _, line in zip(range(1000), file)]
    if lines and (told := re.fullmatch(r"\ufeff?sep=(.)\s*", lines[0])):  # Excel's own first line
        lines[0], delimiter = "#", delimiter or told[1]
    comments = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    if comments == len(lines):
        raise TableError(f"{path} is empty")
    if any(line.startswith("#") and line != "#" for line in lines[:comments]):
        many = f"{comments} lines" if comments > 1 else "1 line"
        said.append(f"{path}: {many} of comment above the header skipped.")
    header = lines[comments].rstrip("\r\n")
    if delimiter is None:
        unquoted = re.sub(QUOTED, "", "".join(lines[comments:]))  # a name in them may hold any, and go over lines
        delimiter = max(",;\t|", key=unquoted.split("\n")[0].count)
        if delimiter != ",":
            said.append(f"{path}: the cells are separated by {'a tab' if delimiter == chr(9) else repr(delimiter)}.")
    try:  # in quotation marks a name may go over several lines
        names = next(csv.reader(lines[comments:], delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise TableError(f"{path}, line {comments + 1}: {error}") from None
    names = [" ".join(re.split(r"\s*[\r\n]+\s*", name.strip())) for name in names]
    twice = {name for name in names if names.count(name) > 1}
    if len(names) > 2 and names.count("") == len(names) - 1 and names[0]:
        title = f"{short(names[0])} may be a title: write # before it"
        raise TableError(f"{path}: the first line must name the columns; {title}")
    if twice:
        raise TableError(f"{path}: two columns are named {min(twice)!r}")
    if all(re.fullmatch(POINT, name) for name in names):
        raise TableError(f"{path}: the first line must name the columns, it holds numbers: {header[:60]}")
    spaced = _check_rows(path, encoding, delimiter, comments, len(names))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path, sep=delimiter, encoding=encoding, skiprows=comments, header=0, names=names, dtype=object,
                na_values=missing, keep_default_na=False, index_col=False, skipinitialspace=spaced,
                compression=None,  # whatever the name ends in
                skip_blank_lines=len(names) > 1,  # the one column's missing cell is a blank line
            )  # fmt: skip
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        pd.errors.ParserWarning,
        UnicodeError,
        ValueError,
    ) as error:
        raise TableError(f"{path}: {' '.join(str(error).split())}") from None
    written = table.apply(texts)
    table = written.apply(lambda column: column.str.strip())
    table = table.mask(table.isin(missing)).astype(object)
    merged = [name for name in table if written[name][table[name].notna()].nunique() > table[name].nunique()]
    table.attrs["blanks"] = {name: written[name][written[name] != table[name]].dropna().iloc[0] for name in merged}
    empty = table.isna().all(axis=1)
    if empty.any() and not every_row:
        many = f"{int(empty.sum())} rows" if empty.sum() > 1 else "1 row"
        said.append(f"{path}: {many} without any cell left out.")
        table = table[~empty].reset_index(drop=True)
    if table.empty:
        raise TableError(f"{path} has no rows")
    votes = comma_votes(table)
    table.attrs["decimal_comma"] = votes > 0 or (votes == 0 and delimiter == ";")
    first = names[0]
    if first == "":
        said.append(f"{path}: the first column has no name; it was left out as an index.")
        table = table.drop(columns=first)
    if table.columns.empty:
        raise TableError(f"{path} has no column with a name")
    return table


def _encoding(path: Path, said: list[str]) -> str:
    with open(path, "rb") as file:
        begin = file.read(1 << 16)
        if begin.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            return "utf-32"
        if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        kind = next((kind for first, kind in BINARY.items() if begin.startswith(first)), None)
        if kind is None and b"\0" in begin:
            kind = "is not a text file: it holds zero bytes (UTF-16 without a mark?)"
        if kind is not None:
            raise TableError(f"{path} {kind}; save it as CSV in UTF-8")
        for encoding in ("utf-8-sig", "cp1252"):
            file.seek(0)
            decoder = codecs.getincrementaldecoder(encoding)()
            try:
                while piece := file.read(1 << 20):
                    decoder.decode(piece)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                continue
            if encoding != "utf-8-sig":
                said.append(f"{path}: it is not UTF-8 and was read as Latin-1 (Windows-1252).")
            return encoding
    said.append(f"{path}: it is not UTF-8 and was read as Latin-1.")
    return "latin-1"


def _check_rows(path: Path, encoding: str, delimiter: str, skip: int, n: int) -> bool:
    """A row with fewer cells than the header would be filled up with missing ones: a file cut off, unseen.

    Whether a quotation mark stands behind a blank: it is one only where blanks before a cell are skipped.
    """
    spaced, begin = False, re.compile(rf'(?:^|{re.escape(delimiter)}) +"')

    def lines(file: Iterator[str]) -> Iterator[str]:
        nonlocal spaced
        for line in file:
            spaced = spaced or begin.search(line) is not None
            yield line

    with open(path, encoding=encoding, newline="") as file:
        for _ in range(skip):
            next(file)
        reader = csv.reader(lines(file), delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            for row in reader:
                if len(row) != n and any(cell.strip() for cell in row):
                    raise TableError(f"{path}, line {skip + reader.line_num}: {len(row)} cells, but the header has {n}")
        except csv.Error as error:
            raise TableError(f"{path}, line {skip + reader.line_num}: {error}") from None
    return spaced


def _what_to_do(y: np.ndarray, n: int) -> str:
    if y.shape == (n, 1):
        return "y.ravel() has that shape"
    if y.ndim != 2 or len(y) != n:
        return f"one number or label for each of the {n} rows of x"
    if y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        return "one-hot rows become labels with y.argmax(axis=1)"
    return "one column of several, y[:, 0], is a target; each column takes a student of its own"


def _arrays(path: Path) -> pd.DataFrame:
    pd = pandas()
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays, others = {name: file[name] for name in file.files if name in ("x", "y")}, sorted(file.files)
    except Exception as error:  # a damaged archive may raise whatever it likes
        raise TableError(f"{path}: cannot be read ({type(error).__name__}: {' '.join(str(error).split())})") from None
    x = arrays.get("x")
    if x is None or x.ndim != 2 or not x.size or x.dtype.kind not in "biuf":
        shape = "there is none" if x is None else f"its shape is {x.shape}, its type {x.dtype}"
        raise TableError(f"{path}: 'x' must hold numbers, (rows, columns); {shape}")
    table = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])])
    y = arrays.get("y")
    if y is not None:
        if y.shape != (len(x),):
            raise TableError(f"{path}: 'y' has shape {y.shape}, it must be ({len(x)},): {_what_to_do(y, len(x))}")
        table["y"] = y
    table.attrs["arrays"] = others
    return table
