"""What each column of a table is, decided once, from the rows that teach: numbers, dates, or texts.

A column of numbers may have thousands, decimal commas, percent and currency signs, and one unit behind all numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlearn.cells import as_text
from kdlearn.commands.alarms import copies, left_out, numbers_left_out, tell_others
from kdlearn.commands.dates import DAY_ZERO, ambiguous, days, year_first
from kdlearn.commands.decimals import (
    ALL_BUT_A_FEW,
    are_not,
    bare,
    both,
    comma_votes,
    currencies,
    numbers,
    percent,
    several_units,
    short,
    stand_ins,
    tell,
    texts,
    thousands,
    unit_of,
)
from kdlearn.commands.frames import TableError, naming, pandas, refuse_endless, tell_blanks

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("number", "date", "text")  # of columns


class Rules:
    """What each column is: {"name", "kind": "number" | "date" | "text", "comma"}; made by `Rules.of`.

    With "truth" True and False in a column of numbers are 1 and 0.
    """

    def __init__(self, columns: Sequence[dict[str, Any]]) -> None:
        self.columns = [dict(column) for column in columns]
        self.dropped: list[str] = []  # columns that look useless; `keep` keeps them
        self.read: list[
            tuple[pd.DataFrame, pd.DataFrame]
        ] = []  # tables, and their rows; the first is the one that taught

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
        found, dropped, before = [], [], len(said)
        twice = copies(table, [n for n in table.columns if n not in {*skip, *categorical, *keep}], said)
        for name in table.columns:
            if name not in skip and name not in twice:
                rule = _rule(name, table[name], bool(table.attrs.get("decimal_comma")), name in categorical, said)
                if rule is None:
                    continue
                if name not in keep and _alarm(rule, table[name], said):
                    dropped.append(name)
                else:
                    found.append(rule)
                    if rule["kind"] == "text":
                        tell_blanks(f"column {name!r}", name, table, said)
        if not found:
            others = ", ".join(repr(name) for name in table.columns if name in skip)
            why = " ".join(said[before:]) or f"the table has none but {others}, which are not learnt from"
            hint = f" --keep {','.join(dropped[:3])} keeps {'it' if len(dropped) == 1 else 'them'}." if dropped else ""
            raise TableError(f"there is no column left to learn from: {why}{hint}")
        made = cls(found)
        made.dropped = [*dropped, *twice]
        return made

    @property
    def names(self) -> list[str]:
        """Of the columns that are read."""
        return [column["name"] for column in self.columns]

    @property
    def _texts(self) -> list[str]:
        return [column["name"] for column in self.columns if column["kind"] == "text"]

    def _turned(self, table: pd.DataFrame, said: list[str]) -> list[str]:
        """Columns of numbers with the other decimal sign in this table; where both would do, as most have.

        Where none of them tells, the columns that are not read do; where those do not either, thousands are said.
        """
        found, either = {}, {}
        for rule in self.columns:
            if rule["kind"] == "number" and table[rule["name"]].dtype.kind not in "biuf":
                cells = bare(table[rule["name"]], rule.get("unit"))
                point, comma = (int(read.count()) for read in both(cells))
                found[rule["name"]] = point - comma if rule["comma"] else comma - point
                either[rule["name"]] = cells[thousands(cells, rule["comma"]) | thousands(cells, not rule["comma"])]
        all_of_it = sum(found.values())
        votes = 0 if all_of_it or not any(map(len, either.values())) else comma_votes(table)
        turned = []
        for rule in self.columns:
            name = rule["name"]
            if name not in found:
                continue
            other = all_of_it > 0 or (votes < 0 if rule["comma"] else votes > 0)
            if found[name] > 0 or (found[name] == 0 and other and len(either[name])):
                turned.append(name)
            elif all_of_it == 0 == votes and len(large := either[name][thousands(either[name], rule["comma"])]):
                tell(f"column {name!r}", large, numbers(large, rule["comma"]), said)
        return turned

    def __call__(self, table: pd.DataFrame, said: list[str] | None = None) -> pd.DataFrame:
        """The columns as floats, NaN where missing, and texts, "" where missing."""
        pd = pandas()
        lacking = [name for name in self.names if name not in table]
        if lacking:
            raise TableError(f"there is no column {lacking[0]!r}; there are: {', '.join(map(str, table.columns))}")
        turned = self._turned(table, [] if said is None else said)
        if turned and said is not None:
            what = ", ".join(map(repr, turned))
            said.append(f"decimal points and commas are exchanged here, compared with the table that taught: {what}.")
        made = {}
        for rule in self.columns:
            cells = table[rule["name"]]
            if rule["name"] in turned:
                rule = {**rule, "comma": not rule["comma"]}
            if rule["kind"] == "number" and said is not None:
                _tell_percent(rule, percent(cells), said)
                _tell_unit(rule, cells, said)
            made[rule["name"]] = _values(cells, rule)
            if rule["kind"] == "number":
                refuse_endless(f"column {rule['name']!r}", cells, made[rule["name"]])
            if said is not None and rule["kind"] != "text":
                bad = made[rule["name"]].isna() & cells.notna()
                if bad.any():
                    many = f"{int(bad.sum())} cells are" if bad.sum() > 1 else "1 cell is"
                    what = rule["kind"] + (f" in {rule['unit']}" if rule.get("unit") else "")
                    said.append(
                        f"column {rule['name']!r}: {many} no {what}, such as {short(cells[bad].iloc[0])}, and "
                        "taken as missing."
                    )
        frame = pd.DataFrame(made, index=table.index)
        holes = int(frame.isna().to_numpy().sum()) + sum(int((frame[name] == "").sum()) for name in self._texts)
        if said is not None and holes:
            many = f"{holes} missing cells are" if holes > 1 else "1 missing cell is"
            said.append(f"{many} filled: a number with its median, a text as one of its own.")
        return frame

    def others(
        self, path: Path, table: pd.DataFrame, X: pd.DataFrame, heard: list[str], said: list[str]
    ) -> pd.DataFrame:
        """Another file's rows as those of X are; `said` gets what was `heard` of them and is, after the file's name."""
        with naming(path):
            rows = self(table, heard)
        tell_others(X, rows, heard)
        self.read.append((table, rows))
        said += [line if line.startswith(f"{path}: ") else f"{path}: {line}" for line in heard]
        return rows


def _values(cells: pd.Series, rule: dict[str, Any]) -> pd.Series:
    pd = pandas()
    if rule["kind"] == "number":
        if rule.get("truth"):
            cells = cells.replace({"True": "1", "False": "0"})
        return numbers(bare(cells, rule.get("unit")), rule["comma"])
    if rule["kind"] == "date":
        return days(cells)
    return cells.map(lambda cell: "" if pd.isna(cell) else str(cell)).astype(object)


def _tell_percent(rule: dict[str, Any], share: float, said: list[str]) -> None:
    name, taught = rule["name"], rule.get("percent")
    if 0 < share < 1:
        said.append(f"column {name!r}: {share:.0%} of the numbers have a '%', the others have none; 5% is read as 5.")
    elif taught is not None and bool(share) != taught:
        here, there = ("a '%'", "none") if share else ("no '%'", "one")
        said.append(f"column {name!r}: the cells have {here} here, in the table that taught they had {there}.")


def _tell_unit(rule: dict[str, Any], cells: pd.Series, said: list[str]) -> None:
    unit, what = rule.get("unit"), f"column {rule['name']!r}"
    if cells.dtype.kind in "biuf" and unit is None:
        return
    read, money = numbers(bare(cells, unit), rule["comma"]), currencies(cells)
    if unit is None:
        money = money[read.notna()].dropna()  # of a cell that is no number it is said elsewhere
        n = len(money)
        if n:
            first = money.index[0]
            many = f"{n} cells have" if n > 1 else "1 cell has"
            rest = "the others have none" if n < cells.notna().sum() else "the table that taught has none"
            said.append(
                f"{what}: {many} a currency, such as {short(cells[first])}, {rest}; it is read as "
                f"{as_text(read[first])}."
            )
        return
    with_unit = texts(cells).str.contains(unit, regex=False, case=False, na=False) | money.notna()
    bare_numbers = int((read.notna() & ~with_unit).sum())
    if bare_numbers:
        many = f"{bare_numbers} cells have no unit and are" if bare_numbers > 1 else "1 cell has no unit and is"
        said.append(f"{what}: {many} read as {unit}, in which the table that taught has them.")


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
    there = there[~there.isin(stand_ins(there))]
    when = days(there)
    if when.notna().mean() >= ALL_BUT_A_FEW:
        said.append(f"column {name!r} holds dates; they count in days from {DAY_ZERO} on.")
        return {**rule, "kind": "date"}
    if when.notna().mean() > 0.5:
        said.append(
            f"column {name!r} is almost dates: {are_not(there[when.isna()])}, so each date is a text of its own. "
            "Leave those cells empty, and it is a column of dates."
        )
        return rule
    unit = unit_of(there)
    if unit is None and (mixed := several_units(there)):
        said.append(
            f"column {name!r} {mixed}, so each cell is a text of its own. Write all in one unit, and it is a column of "
            "numbers."
        )
        return rule
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
            behind = texts(some).str.contains(r"\d-$").mean() > 0.5  # as SAP writes amounts; 2- is a grade
            advice = "If it is a minus, write it before the number" if behind else "Leave those cells empty"
            said.append(
                f"column {name!r} is almost numeric: {are_not(some)}, so each number is a text of its own. {advice}, "
                "and it is a column of numbers."
            )
        if texts(there).str.fullmatch(r"\d{1,3}:\d{2}(:\d{2})?").mean() > 0.5:
            said.append(f"column {name!r} looks like times, such as {short(there.iloc[0])}: write them as hours, 1.5.")
        if ambiguous(there) or year_first(there):
            why = "which number is the day is not known" if ambiguous(there) else "this is a form that is not read"
            said.append(
                f"column {name!r} looks like dates, such as {short(there.iloc[0])}: {why}, so they are texts. Write "
                "them as 2024-12-31."
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
