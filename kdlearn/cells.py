"""One cell of a table: whether it is missing, and as which text it is known. What fits and what exports agree here."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_missing(value: Any) -> bool:
    """None, NaN, or pandas' NA and NaT."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def as_text(value: Any) -> str:
    """The text of a cell among texts: a whole number without its point, a missing one as ""."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    return str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)
