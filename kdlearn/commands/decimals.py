"""Cells of a table as numbers: thousands, decimal points and commas, percent and currency signs, units."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kdlearn.cells import as_text

if TYPE_CHECKING:
    import pandas as pd

ALL_BUT_A_FEW = 0.95  # share of the cells from which on the others count as missing
LARGEST = 3.4028235e38  # in float32, in which students compute
MANY = 20  # different numbers from which on a column, or a target, is a quantity rather than names or grades
CURRENCY = r"[$€£¥]|(?i:\b(?:USD|EUR|GBP|CHF)\b)"
NAMES = {"$": "USD", "€": "EUR", "£": "GBP"}  # of the signs of currencies
SIGNS = rf"[\s\u00a0'\u2019%]|{CURRENCY}"  # around a number, without a meaning for it
GROUPED = r"(?<![\d.,])[1-9]\d{0,2}(?:[\s'\u2019]\d{3})+(?!\d)"  # thousands: 12 345 678, 1'234
BETWEEN = rf"[\d.,eE](?:{SIGNS})+(?:[\d.,]|[eE][+-]?\d)"  # of 120 80, which is no number
# 0.126 is no number of thousands: groups begin with another digit than 0
POINT = r"[+-]?(?:(?:\d+|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
COMMA = r"[+-]?(?:(?:\d+|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?"


LETTERS = r"[^\W\d_]"
SIGN = r"[+\u2212-]?"
UNIT = (
    rf"{SIGN}[\d.,'\u2019\s]*\d[.,]?\s*"
    rf"({LETTERS}{{1,8}}\.?|°{LETTERS}?|{LETTERS}{{1,4}}(?:/{LETTERS}{{1,4}}|[²³]))"
)


def texts(cells: pd.Series) -> pd.Series:
    """Cells as Python's own texts, missing ones as they are: patterns then mean what Python's `re` says.

    pandas may keep texts in Arrow, whose patterns have no escapes such as \\u00a0, and another \\s and \\d.
    """
    return cells.astype(object).map(str, na_action="ignore").astype(object)


def numbers(cells: pd.Series, comma: bool) -> pd.Series:
    """Cells as floats, NaN where one is missing or is no number; `comma`: 1.234,5 and not 1,234.5.

    A blank inside a number stands between thousands, as in 12 345, and nowhere else.
    """
    if cells.dtype.kind in "biuf":
        return cells.astype(float)
    text = texts(cells).str.replace(GROUPED, _ungrouped, regex=True)
    text = text.mask(text.str.contains(BETWEEN, na=False).astype(bool))
    text = text.str.replace(SIGNS, "", regex=True).str.replace("\u2212", "-", regex=False)
    text = text.str.replace(r"^\(([^-+].*)\)$", r"-\1", regex=True)  # (12) is -12 in accounts
    text = text.where(text.str.fullmatch(COMMA if comma else POINT, na=False).astype(bool))
    text = text.str.replace("." if comma else ",", "", regex=False)
    return (text.str.replace(",", ".", regex=False) if comma else text).astype(float)


def _ungrouped(found: re.Match[str]) -> str:
    return re.sub(r"\D", "", found[0])


def unit_of(there: pd.Series) -> str | None:
    """The one unit in nearly all cells, behind the number as "kg", or a currency; None where there is none."""
    if there.dtype.kind in "biuf":
        return None
    cells = texts(there)
    for pattern, names in ((f"^{UNIT}$", {}), (f"({CURRENCY})", NAMES)):
        written = cells.str.extract(pattern, expand=False)
        named = _named(written, names)  # € and EUR are one
        counts = named.value_counts()
        if len(counts) and counts.iloc[0] >= ALL_BUT_A_FEW * len(there):
            return str(written[named == counts.index[0]].mode()[0])
    return None


def currencies(cells: pd.Series) -> pd.Series:
    """The name of the currency in each cell, NaN where there is none."""
    return _named(texts(cells).str.extract(f"({CURRENCY})", expand=False).str.upper(), NAMES)


def _named(signs: pd.Series, names: dict[str, str]) -> pd.Series:
    return signs.map(lambda sign: names.get(sign, sign))


def several_units(there: pd.Series) -> str | None:
    """What is said of numbers with several units, or with one in some cells and none in others; else None.

    A unit stands behind three numbers or more: 12A and 13B are names. A currency may be left out.
    """
    if there.dtype.kind in "biuf":
        return None
    money, bare_number = currencies(there), both(there)
    ends = money.astype(object).fillna(texts(there).str.extract(f"^{UNIT}$", expand=False))
    ends = ends.mask(ends.isna() & (bare_number[0].notna() | bare_number[1].notna()), "")
    counts, few = ends.value_counts(), (1 - ALL_BUT_A_FEW) * len(there)
    known = {"", *money.dropna()}
    units = [e for e in counts.index if there[ends == e].nunique() >= 3 or (e in known and counts[e] > few)]
    if set(units) <= known:
        units = [end for end in units if end]
    if len(units) < 2 or counts[units].sum() < ALL_BUT_A_FEW * len(there):
        return None
    one, other = (short(there[ends == end].iloc[0]) for end in units[:2])
    return f"holds numbers with several units, such as {one} and {other}"


def stand_ins(there: pd.Series) -> list[str]:
    """Texts that stand for a missing cell among numbers or dates: signs alone, such as "-", and one word, "k.A.".

    None where less than half of the cells hold a digit; a word only among many different numbers, for in 1, 2, 3, X
    it may be a grade of its own.
    """
    if there.dtype.kind in "biuf":
        return []
    cells = texts(there)
    written = cells.str.contains(r"\d").astype(bool)
    if written.mean() < 0.5 or written.all():
        return []
    words = list(cells[~written].unique())
    signs = [word for word in words if not re.search(r"\w", word)]
    named = [word for word in words if word not in signs and not re.search(r"(?i:inf)|∞", word)]
    one = len(named) == 1 and cells[written].nunique() > MANY
    return [word for word in words if word in signs or one]


def bare(cells: pd.Series, unit: str | None) -> pd.Series:
    """Cells without the unit behind their number; none where the unit is a currency and the cell has another."""
    if unit is None:
        return cells
    if re.fullmatch(CURRENCY, unit):
        found = currencies(cells)
        cells = cells.where(found.isna() | (found == NAMES.get(unit, unit.upper())))
    return texts(cells).str.replace(rf"(?<=[\d.,\s]){re.escape(unit)}$", "", regex=True)


def both(cells: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Cells as floats: read with decimal points, and with commas."""
    return numbers(cells, False), numbers(cells, True)


def comma_votes(table: pd.DataFrame) -> int:
    """Cells of numbers that only a decimal comma makes one, less those that only a point does: 1,5 and not 1,234.

    All columns of numbers are asked, whether a model reads them or not; 0 where the file does not tell.
    """
    votes = 0
    for name in table.columns:
        there = table[name].dropna()
        if there.dtype.kind in "biuf":
            continue
        there = there[~there.isin(stand_ins(there))]
        with_point, with_comma = both(bare(there, unit_of(there)))
        if (with_point.notna() | with_comma.notna()).sum() >= ALL_BUT_A_FEW * len(there):
            votes += int(with_comma.count() - with_point.count())
    return votes


def thousands(cells: pd.Series, comma: bool) -> pd.Series:
    """Which cells are read as thousands, and would be a fraction with the other sign: 1,234."""
    with_point, with_comma = both(cells)
    read, other = (with_comma, with_point) if comma else (with_point, with_comma)
    return read.abs() > other.abs()


def percent(cells: pd.Series) -> float:
    """Share of the cells with a digit that have a percent sign, which stays out of the number: 5 % is read as 5."""
    there = cells.dropna()
    if there.dtype.kind in "biuf":
        return 0.0
    written = texts(there)[texts(there).str.contains(r"\d").astype(bool)]
    return 0.0 if written.empty else float(written.str.contains("%").mean())


def infinite(cells: pd.Series) -> pd.Series:
    """Which cells say that they are infinite, in words or as a number."""
    if cells.dtype.kind in "biuf":
        return cells.abs() == float("inf")
    return texts(cells).str.fullmatch(SIGN + r"(?i:inf(?:inity)?|∞)", na=False).astype(bool)


def tell(what: str, there: pd.Series, read: pd.Series, said: list[str]) -> None:
    """Say how one cell is read, `read` as floats, where another reader would read another number, or none."""
    import pandas as pd

    other = there[read.notna() & (pd.to_numeric(there, errors="coerce") != read)]
    if len(other):
        told = f"{what}: {short(other.iloc[0])} is read as {as_text(read[other.index[0]])}."
        if told not in said:
            said.append(told)


def target_numbers(table: pd.DataFrame, target: str, said: list[str]) -> tuple[pd.Series, str | None]:
    """A target as numbers, NaN where it holds none, and what they count; how they are read is said.

    Where both signs read as many cells, the one in the table's attributes holds, which is the other's of a pair of
    tables: `attrs["target_comma"]`, left there by whoever read the first, or of the file, `attrs["decimal_comma"]`.
    """
    cells = table[target]
    if cells.dtype.kind in "biuf":
        return numbers(cells, False), None
    there = cells[~cells.isin(stand_ins(cells.dropna()))].dropna()
    unit = unit_of(there)
    with_point, with_comma = both(bare(cells, unit))
    gain = int(with_comma.count() - with_point.count())
    comma = gain > 0 or (gain == 0 and bool(table.attrs.get("target_comma", table.attrs.get("decimal_comma"))))
    table.attrs["target_comma"] = comma
    values = with_comma if comma else with_point
    if values.notna().mean() >= ALL_BUT_A_FEW:
        tell(f"the target {target!r}", cells, values, said)
    return values, counted(unit, percent(there) >= ALL_BUT_A_FEW)


def counted(unit: str | None, per_cent: bool) -> str | None:
    """What a number counts, as it stands in a header; None where its cells do not say."""
    return f"in {unit}" if unit else "in percent, 5 for 5 %" if per_cent else None


def are_not(some: pd.Series) -> str:
    """How many cells are not what the others are, and the first of them."""
    return f"{f'{len(some)} cells are' if len(some) > 1 else '1 cell is'} not, such as {short(some.iloc[0])}"


def short(cell: Any, most: int = 40) -> str:
    """A cell as it is quoted, cut where it is long."""
    text = str(cell)
    return repr(text if len(text) <= most else text[: most - 1] + "…")
