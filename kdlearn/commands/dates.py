"""Cells of a table as dates: ISO 8601, with a time and an offset from UTC or without, and day.month.year."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlearn.commands.decimals import texts

if TYPE_CHECKING:
    import pandas as pd

DAY_ZERO = "2000-01-01"
CLOCK = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?(?:Z|[+-]\d{2}(?::?\d{2})?))?)?"
ISO = r"\d{4}-\d{2}-\d{2}" + CLOCK
DOTTED = r"\d{1,2}\.\d{1,2}\.\d{4}" + CLOCK
OTHER = r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}" + CLOCK  # the day first, or the month? nobody can tell
YEAR_FIRST = r"\d{4}[/.]\d{1,2}[/.]\d{1,2}" + CLOCK


def days(cells: pd.Series) -> pd.Series:
    """Days since `DAY_ZERO`, UTC, as floats; NaN where a cell is missing or is no date. Without an offset: UTC.

    A dot stands between day, month and year, in this order; what is written with slashes is no date here.
    """
    import pandas as pd

    # microseconds are enough: with finer ones pandas would have no room for the year 9999, in no row of the column
    text = texts(cells).str.replace(r"(:\d{2})[.,](\d{1,6})\d*", r"\1.\2", regex=True)
    dotted = text.str.fullmatch(DOTTED, na=False).astype(bool)
    iso = text.str.fullmatch(ISO, na=False).astype(bool)
    turned = text.where(~dotted, text.str.replace(r"^(\d{1,2})\.(\d{1,2})\.(\d{4})", _ymd, regex=True))
    when = pd.to_datetime(turned.where(dotted | iso), errors="coerce", format="ISO8601", utc=True)
    return (when - pd.Timestamp(DAY_ZERO, tz="UTC")).dt.total_seconds() / 86400


def _ymd(found: object) -> str:
    day, month, year = found.groups()  # type: ignore[attr-defined]
    return f"{year}-{int(month):02d}-{int(day):02d}"


def ambiguous(there: pd.Series) -> bool:
    """Whether the cells look like dates of which the order of day and month is not known."""
    return bool(texts(there).str.fullmatch(OTHER).mean() > 0.5)


def year_first(there: pd.Series) -> bool:
    """Whether the cells look like dates of year, month and day without the hyphens of ISO 8601."""
    return bool(texts(there).str.fullmatch(YEAR_FIRST).mean() > 0.5)
