"""Cells of a table as numbers: thousands, decimal points and commas, percent and currency signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SIGNS = r"[\s\u00a0'\u2019$€£¥%]|(?i:\b(?:USD|EUR|GBP|CHF)\b)"  # around or inside a number, without a meaning for it
# 0.126 is no number of thousands: groups begin with another digit than 0
POINT = r"[+-]?(?:(?:\d+|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
COMMA = r"[+-]?(?:(?:\d+|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?"


def numbers(cells: pd.Series, comma: bool) -> pd.Series:
    """Cells as floats, NaN where one is missing or is no number; `comma`: 1.234,5 and not 1,234.5."""
    if cells.dtype.kind in "biuf":
        return cells.astype(float)
    bare = cells.astype("str").str.replace(SIGNS, "", regex=True).where(cells.notna())
    bare = bare.where(bare.str.fullmatch(COMMA if comma else POINT).fillna(False).astype(bool))
    bare = bare.str.replace("." if comma else ",", "", regex=False)
    return (bare.str.replace(",", ".", regex=False) if comma else bare).astype(float)


def readable(cells: pd.Series) -> tuple[int, int]:
    """How many cells are numbers with decimal points, and how many with commas."""
    return int(numbers(cells, False).notna().sum()), int(numbers(cells, True).notna().sum())


def percent(cells: pd.Series) -> float:
    """Share of the cells that are there and have a percent sign, which stays out of the number: 5 % is read as 5."""
    there = cells.dropna()
    return 0.0 if there.dtype.kind in "biuf" or there.empty else float(there.astype("str").str.contains("%").mean())


def infinite(cells: pd.Series) -> pd.Series:
    """Which cells say that they are infinite, in words or as a number."""
    if cells.dtype.kind in "biuf":
        return cells.abs() == float("inf")
    return cells.astype("str").str.fullmatch(r"[+-]?(?i:inf(?:inity)?|∞)").fillna(False).astype(bool)


def tell(what: str, there: pd.Series, comma: bool, said: list[str]) -> None:
    """Say how one cell is read, where another reader would read another number, or none."""
    import pandas as pd

    read = numbers(there, comma)
    other = there[read.notna() & (pd.to_numeric(there, errors="coerce") != read)]
    if len(other):
        said.append(f"{what}: {short(other.iloc[0])} is read as {read[other.index[0]]:g}.")


def target_numbers(table: pd.DataFrame, target: str, said: list[str]) -> pd.Series:
    """A target as numbers, NaN where it holds none; how they are read is said where it could be read otherwise."""
    cells = table[target]
    with_point, with_comma = readable(cells)
    comma = with_comma > with_point or (with_comma == with_point and bool(table.attrs.get("decimal_comma")))
    values = numbers(cells, comma)
    if cells.dtype.kind not in "biuf" and values.notna().all():
        tell(f"the target {target!r}", cells, comma, said)
    return values


def short(cell: Any, most: int = 40) -> str:
    """A cell as it is quoted, cut where it is long."""
    text = str(cell)
    return repr(text if len(text) <= most else text[: most - 1] + "…")
