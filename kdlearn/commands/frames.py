"""Tables as people have them, read by pandas: what is in a file, and what each column is.

Every cell is read as it was written. `Rules` then decides, once, from the rows that teach: a column of numbers
(thousands, decimal commas, percent and currency signs included), of dates, or of texts.
"""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdlearn.commands.alarms import left_out, numbers_left_out
from kdlearn.commands.dates import DAY_ZERO, ambiguous, days
from kdlearn.commands.decimals import (
    ALL_BUT_A_FEW,
    POINT,
    bare,
    both,
    infinite,
    numbers,
    percent,
    short,
    tell,
    texts,
    unit_of,
)

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("number", "date", "text")  # of columns
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?"]


class TableError(ValueError):
    """A table that cannot be used; the message names the file, and the column or line."""


def pandas() -> Any:
    """The module, or an ImportError that says how to get it."""
    try:
        import pandas
    except ImportError:
        raise ImportError('tables are read by pandas: pip install "kdlearn[tables]"') from None
    return pandas


def read_table(
    path: Path, delimiter: str | None = None, said: list[str] | None = None, every_row: bool = False
) -> pd.DataFrame:
    """The cells of a CSV file, or the arrays of a .npz file, as texts, NaN where missing.

    Parameters
    ----------
    delimiter : of the cells; None: found in the header.
    said : sentences on what was done are added to it.
    every_row : rows without any cell stay, so that an answer can stand beside each.
    """
    if path.suffix == ".npz":
        return _arrays(path)
    try:
        return _cells(path, delimiter, [] if said is None else said, every_row)
    except UnicodeError as error:
        raise TableError(f"{path}: {' '.join(str(error).split())}") from None


def _cells(path: Path, delimiter: str | None, said: list[str], every_row: bool) -> pd.DataFrame:
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
        delimiter = max(",;\t|", key=header.count)
        if delimiter != ",":
            said.append(f"{path}: the cells are separated by {'a tab' if delimiter == chr(9) else repr(delimiter)}.")
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TableError(f"{path}: two columns are named {min(twice)!r}")
    if all(re.fullmatch(POINT, name) for name in names):
        raise TableError(f"{path}: the first line must name the columns, it holds numbers: {header[:60]}")
    _check_rows(path, encoding, delimiter, comments, len(names))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path, sep=delimiter, encoding=encoding, skiprows=comments, header=0, names=names, dtype=object,
                na_values=MISSING, keep_default_na=False, index_col=False, skipinitialspace=True,
            )  # fmt: skip
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        pd.errors.ParserWarning,
        UnicodeError,
        ValueError,
    ) as error:
        raise TableError(f"{path}: {' '.join(str(error).split())}") from None
    table = table.apply(lambda column: texts(column).str.strip())
    table = table.mask(table.isin(MISSING)).astype(object)
    empty = table.isna().all(axis=1)
    if empty.any() and not every_row:
        many = f"{int(empty.sum())} rows" if empty.sum() > 1 else "1 row"
        said.append(f"{path}: {many} without any cell left out.")
        table = table[~empty].reset_index(drop=True)
    if table.empty:
        raise TableError(f"{path} has no rows")
    table.attrs["decimal_comma"] = delimiter == ";"
    first = names[0]
    if first == "":
        said.append(f"{path}: the first column has no name; it was left out as an index.")
        table = table.drop(columns=first)
    if table.columns.empty:
        raise TableError(f"{path} has no column with a name")
    return table


def _encoding(path: Path, said: list[str]) -> str:
    with open(path, "rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
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


def _check_rows(path: Path, encoding: str, delimiter: str, skip: int, n: int) -> None:
    """A row with fewer cells than the header would be filled up with missing ones: a file cut off, unseen."""
    with open(path, encoding=encoding, newline="") as file:
        for _ in range(skip):
            next(file)
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            for row in reader:
                if len(row) != n and any(cell.strip() for cell in row):
                    raise TableError(f"{path}, line {skip + reader.line_num}: {len(row)} cells, but the header has {n}")
        except csv.Error as error:
            raise TableError(f"{path}, line {skip + reader.line_num}: {error}") from None


def _arrays(path: Path) -> pd.DataFrame:
    pd = pandas()
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in ("x", "y")}
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
            raise TableError(f"{path}: 'y' has shape {y.shape}, x has {len(x)} rows")
        table["y"] = y
    return table


class Rules:
    """What each column is: {"name", "kind": "number" | "date" | "text", "comma"}; made by `Rules.of`."""

    def __init__(self, columns: Sequence[dict[str, Any]]) -> None:
        self.columns = [dict(column) for column in columns]

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        skip: Collection[str],
        categorical: Collection[str],
        keep: Collection[str],
        said: list[str],
    ) -> Rules:
        """The rules of a table; what looks wrong is left out, or alarmed of, in `said`."""
        for name in (*skip, *categorical, *keep):
            if name not in table:
                raise TableError(f"there is no column {name!r}; there are: {', '.join(map(str, table.columns))}")
        found = []
        for name in table.columns:
            if name not in skip:
                rule = _rule(name, table[name], bool(table.attrs.get("decimal_comma")), name in categorical, said)
                if rule is not None and (name in keep or not _alarm(rule, table[name], said)):
                    found.append(rule)
        if not found:
            raise TableError("there is no column left to learn from")
        return cls(found)

    @property
    def names(self) -> list[str]:
        """Of the columns that are read."""
        return [column["name"] for column in self.columns]

    @property
    def _texts(self) -> list[str]:
        return [column["name"] for column in self.columns if column["kind"] == "text"]

    def _turned(self, table: pd.DataFrame) -> list[str]:
        """Columns of numbers with the other decimal sign in this table; where both would do, as most have."""
        found = {}
        for rule in self.columns:
            if rule["kind"] == "number" and table[rule["name"]].dtype.kind not in "biuf":
                point, comma = (int(read.count()) for read in both(bare(table[rule["name"]], rule.get("unit"))))
                found[rule["name"]] = point - comma if rule["comma"] else comma - point
        all_of_it = sum(found.values())
        return [name for name, gain in found.items() if gain > 0 or (gain == 0 and all_of_it > 0)]

    def __call__(self, table: pd.DataFrame, said: list[str] | None = None) -> pd.DataFrame:
        """The columns as floats, NaN where missing, and texts, "" where missing."""
        pd = pandas()
        lacking = [name for name in self.names if name not in table]
        if lacking:
            raise TableError(f"there is no column {lacking[0]!r}; there are: {', '.join(map(str, table.columns))}")
        turned = self._turned(table)
        if turned and said is not None:
            what = ", ".join(map(repr, turned))
            said.append(f"decimal points and commas are exchanged here, compared with the table that taught: {what}.")
        made = {}
        for rule in self.columns:
            cells = table[rule["name"]]
            if rule["kind"] == "number" and said is not None:
                _tell_percent(rule, percent(cells), said)
            if rule["name"] in turned:
                rule = {**rule, "comma": not rule["comma"]}
            made[rule["name"]] = _values(cells, rule)
            if rule["kind"] == "number":
                endless = infinite(cells) | np.isinf(made[rule["name"]])
                if endless.any():
                    row = int(np.argmax(endless.to_numpy()))
                    raise TableError(f"row {row}, column {rule['name']!r}: {short(cells.iloc[row])} is infinite")
            if said is not None and rule["kind"] != "text":
                bad = made[rule["name"]].isna() & cells.notna()
                if bad.any():
                    many = f"{int(bad.sum())} cells are" if bad.sum() > 1 else "1 cell is"
                    said.append(
                        f"column {rule['name']!r}: {many} no {rule['kind']}, such as {short(cells[bad].iloc[0])}, and "
                        "taken as missing."
                    )
        frame = pd.DataFrame(made, index=table.index)
        holes = int(frame.isna().to_numpy().sum()) + sum(int((frame[name] == "").sum()) for name in self._texts)
        if said is not None and holes:
            many = f"{holes} missing cells are" if holes > 1 else "1 missing cell is"
            said.append(f"{many} filled: a number with its median, a text as one of its own.")
        return frame


def _values(cells: pd.Series, rule: dict[str, Any]) -> pd.Series:
    pd = pandas()
    if rule["kind"] == "number":
        return numbers(bare(cells, rule.get("unit")), rule["comma"])
    if rule["kind"] == "date":
        return days(cells)
    return cells.map(lambda cell: "" if pd.isna(cell) else str(cell)).astype(object)


def _tell_percent(rule: dict[str, Any], share: float, said: list[str]) -> None:
    name, taught = rule["name"], rule.get("percent")
    if 0 < share < 1:
        said.append(f"column {name!r}: {share:.0%} of the cells have a '%', the others have none; 5% is read as 5.")
    elif taught is not None and bool(share) != taught:
        here, there = ("a '%'", "none") if share else ("no '%'", "one")
        said.append(f"column {name!r}: the cells have {here} here, in the table that taught they had {there}.")


def _rule(name: str, cells: pd.Series, semicolon: bool, text: bool, said: list[str]) -> dict[str, Any] | None:
    there = cells.dropna()
    rule = {"name": name, "kind": "text", "comma": False}
    if there.empty:
        said.append(f"column {name!r} is empty; it was left out.")
        return None
    if text:
        return rule
    if there.dtype.kind in "biuf":
        return {**rule, "kind": "number"}
    if days(there).notna().mean() >= ALL_BUT_A_FEW:
        said.append(f"column {name!r} holds dates; they count in days from {DAY_ZERO} on.")
        return {**rule, "kind": "date"}
    unit = unit_of(there)
    if texts(bare(there, unit)).str.fullmatch(r"0\d+").any():  # 01 is a code, not a one
        return rule
    with_point, with_comma = both(bare(there, unit))
    gain = int(with_comma.count() - with_point.count())
    comma = gain > 0 or (gain == 0 and semicolon)
    read = with_comma if comma else with_point
    share = float(read.notna().mean())
    if share < ALL_BUT_A_FEW:
        if share > 0.5:
            some = there[read.isna()]
            said.append(f"column {name!r} is almost numeric: {len(some)} cells are not, such as {short(some.iloc[0])}.")
        if texts(there).str.fullmatch(r"\d{1,3}:\d{2}(:\d{2})?").mean() > 0.5:
            said.append(f"column {name!r} looks like times, such as {short(there.iloc[0])}: write them as hours, 1.5.")
        if ambiguous(there):
            said.append(
                f"column {name!r} looks like dates, such as {short(there.iloc[0])}: which number is the day is not "
                "known, so they are texts. Write them as 2024-12-31."
            )
        return rule
    tell(f"column {name!r}", there, read, said)
    return {**rule, "kind": "number", "comma": comma, "percent": percent(there) > 0, "unit": unit}


def _alarm(rule: dict[str, Any], cells: pd.Series, said: list[str]) -> bool:
    """Whether the column is to be left out; says so, or warns."""
    what = f"column {rule['name']!r}"
    if rule["kind"] == "text":
        return left_out(what, cells, said)
    return numbers_left_out(what, cells, _values(cells, rule), said)
