"""A cell of a table: whether it is missing, and as which text it is known. What fits and what exports agree here."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np


def is_missing(value: Any) -> bool:
    """None, NaN, pandas' NA, or NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)) and value != value


def as_text(value: Any) -> str:
    """The text of a cell among texts: a whole number without its point, a missing one as ""."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    return str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)


def without_point(text: str) -> str:
    """ "1" for "1.0", as a table of numbers writes 1 once a cell is missing; all else as it is."""
    return re.sub(r"^(-?[1-9][0-9]*|0)\.0$", r"\1", text)


def known_texts(cells: Iterable[Any], known: Collection[str]) -> list[str]:
    """The text of each cell; a number whose text is not known is the known text that reads as that number.

    Texts "0.5", "1.0", "n/a" are numbers 0.5 and 1.0 once a table's reader finds no "n/a" among them. Numbers 0.5 and
    1.0 are texts "0.5" and "1" here, and "1.0" once the reader does: where it is not known, it is "1".
    """
    cells = list(cells)
    texts = [as_text(value) for value in cells]

    def is_number(value: Any) -> bool:
        return isinstance(value, (Real, Decimal)) and not isinstance(value, bool) and not is_missing(value)

    odd = []
    for i, value in enumerate(cells):
        if texts[i] in known:
            continue
        if is_number(value):
            odd.append(i)
        elif (whole := without_point(texts[i])) in known:
            texts[i] = whole
    if not odd:
        return texts
    by_number: dict[float, list[str]] = {}
    for text in known:
        with contextlib.suppress(ValueError):
            by_number.setdefault(float(text), []).append(text)
    for i in odd:
        found = by_number.get(float(cells[i]), ())
        if len(found) == 1 or str(cells[i]) in found:
            texts[i] = found[0] if len(found) == 1 else str(cells[i])
    return texts


def may_hold_na(dtype: Any) -> bool:
    """Whether a column of this type has pandas' NA where a cell is missing: pandas' own types, and Arrow's."""
    return type(getattr(dtype, "na_value", None)).__name__ == "NAType"


def nan_for_na(X: Any, as_they_are: Collection[int] = ()) -> Any:
    """A DataFrame with NaN for NA, which scikit-learn's transformers refuse: floats for numbers, else objects.

    In the columns at the positions `as_they_are` a number stays what it is, too: True is not 1.0 there.
    """
    holes = [j for j, dtype in enumerate(X.dtypes) if may_hold_na(dtype) and X.iloc[:, j].isna().any()]
    if holes:
        X = X.copy(deep=False)
    for j in holes:
        column = X.iloc[:, j]
        kind = np.float64 if column.dtype.kind in "biuf" and j not in as_they_are else object
        X[X.columns[j]] = column.to_numpy(dtype=kind, na_value=np.nan)
    return X


def warn_of_unknown(name: Any) -> None:
    """Warn of a column of which no cell that is there is a category that the model knows."""
    warnings.warn(f"column {name!r}: the model knows none of its categories, and answers without it", stacklevel=4)


@contextlib.contextmanager
def unknown_said() -> Iterator[None]:
    """No such warnings: of rows that are timed one by one, or of which it was said in other words."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="column .*: the model knows none of its categories")
        yield
