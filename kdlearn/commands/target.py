"""The target of a table: numbers, or labels as they were written; decided from its cells, and said."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from kdlearn.commands.alarms import tell_far
from kdlearn.commands.dates import days
from kdlearn.commands.decimals import (
    ALL_BUT_A_FEW,
    MANY,
    are_not,
    several_units,
    short,
    stand_ins,
    target_numbers,
    texts,
)
from kdlearn.commands.frames import TableError, refuse_endless, tell_blanks

if TYPE_CHECKING:
    import pandas as pd


def read_target(table: pd.DataFrame, target: str, task: str, said: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows that have a target, and the target: numbers, or labels as they were written."""
    cells = table[target]
    gone = int(cells.isna().sum())
    if gone:
        said.append(f"{gone} rows without a {target!r} were left out.")
        table = table[cells.notna()].reset_index(drop=True)
        cells = table[target]
    if cells.empty:
        raise TableError(f"the target {target!r} is empty")
    how: list[str] = []
    values, unit = target_numbers(table, target, how)
    different, none = int(cells.nunique()), cells[values.isna()]
    stand_in = cells.isin(stand_ins(cells))  # "-" among numbers is a missing one, as in a column
    amounts = int(cells[~stand_in].nunique())
    many_numbers = amounts > MANY and amounts > 0.05 * len(cells)
    mixed = None if unit else several_units(cells[~stand_in])
    if mixed and (task == "numbers" or (task == "auto" and many_numbers)):
        raise TableError(f"the target {target!r} {mixed}: write all in one unit, or --task classes makes each a class")
    if mixed and task == "auto":
        said.append(f"the target {target!r} {mixed}: each is a class of its own.")
    odd = none[~stand_in[none.index]]
    quantity = len(odd) <= (1 - ALL_BUT_A_FEW) * int((~stand_in).sum()) and many_numbers
    if task == "auto" and quantity:
        said.append(
            f"the target {target!r} has {amounts} different numbers in {len(cells)} rows: it is predicted as a "
            "number; --task classes makes each a class."
        )
    if task == "numbers" or (task == "auto" and quantity):
        if len(odd) and not quantity:
            raise TableError(
                f"the target {target!r} holds {short(odd.iloc[0])}, which is no number ({len(odd)} of {len(cells)} "
                "cells are none): leave such cells empty"
            )
        if len(none):
            many = f"{len(none)} rows" if len(none) > 1 else "1 row"
            said.append(f"{many} with no number as {target!r}, such as {short(none.iloc[0])}, left out.")
        refuse_endless(f"the target {target!r}", cells.where(values.notna()), values)
        said += how
        tell_far(f"the target {target!r}", cells, values, said)
        table = table[values.notna()].reset_index(drop=True)
        table.attrs["counted"] = unit
        return table, values.dropna().to_numpy()
    if task == "auto" and cells.dtype == object and different > 2 and days(cells).notna().all():
        raise TableError(
            f"the target {target!r} holds dates, such as {short(cells.iloc[0])}: make it a number, such as the days "
            "from another date of the row to it; --task classes makes each date a class"
        )
    tell_blanks(f"the target {target!r}", target, table, said)
    if cells.dtype == object and values.notna().all():  # 1 and 1.0 are one label; 01 is a code
        whole = texts(cells).str.replace(r"^([+-]?\d+)\.0*$", r"\1", regex=True)
        if whole.nunique() < different:
            said.append(
                f"the target {target!r}: labels that differ in '.0' alone, such as {short(cells.iloc[0])}, are one."
            )
            cells, different = whole, int(whole.nunique())
    if cells.dtype == object and cells.str.casefold().nunique() < different:
        first = next(text for text in cells if (cells.str.casefold() == text.casefold()).sum() > (cells == text).sum())
        said.append(
            f"the target {target!r}: labels that differ in capitals alone, such as {short(first)}, are different "
            "classes."
        )
    if cells.dtype == object:
        alike = cells.map(lambda text: unicodedata.normalize("NFC", text))
        if alike.nunique() < different:
            said.append(
                f"the target {target!r}: labels that look alike and are written with other characters, such as "
                f"{short(cells[alike != cells].iloc[0])}, where an accent is a character of its own, are different "
                "classes."
            )
    y = cells.to_numpy()
    y = y.astype(str) if y.dtype == object else y
    if different < 2:
        rest = f"; in {gone} rows it is missing, as where it says NA or None" if gone else ""
        raise TableError(f"the target {target!r} has one class, {str(y[0])!r}; it takes at least two{rest}")
    if different > max(2, len(y) // 2):
        few = f" ({are_not(odd)})" if len(odd) else ""
        hint = f"; most are numbers{few}: --task numbers learns numbers" if values.notna().mean() > 0.5 else ""
        raise TableError(
            f"the target {target!r} has {different} different values in {len(y)} rows; it must hold classes{hint}"
        )
    if task == "auto" and 0 < len(odd) <= (1 - ALL_BUT_A_FEW) * len(cells):
        one = "is a class of its own" if odd.nunique() == 1 else "are classes of their own"
        said.append(
            f"the target {target!r} is almost numeric: {are_not(odd)}, which {one}. If it is a mistake, leave it empty."
        )
    return table, y
