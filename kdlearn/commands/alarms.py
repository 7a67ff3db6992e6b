"""What in a column looks wrong: said before a minute goes into the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdlearn.commands.decimals import short

if TYPE_CHECKING:
    import pandas as pd

LARGE = 4096.0  # a mean so many deviations from zero loses digits in float32, and is exported otherwise
FAR = 20.0  # widths of the middle half from the median, beyond which a value that is repeated is said
ALONE = 100.0  # the same, for a value that stands once


def left_out(what: str, cells: pd.Series, said: list[str]) -> bool:
    """Whether a column of texts is to be left out; says why."""
    n, different = len(cells), int(cells.nunique())
    if different > 20 and different > n / 2:
        said.append(f"{what} has {different} different texts in {n} rows, like an ID; it was left out.")
    elif different == 1 and cells.notna().all():
        said.append(f"{what} holds {short(cells.iloc[0])} in all rows; it was left out.")
    else:
        return False
    return True


def numbers_left_out(what: str, cells: pd.Series, values: pd.Series, said: list[str]) -> bool:
    """Whether a column, `values` as floats, is to be left out; says why, or warns of it."""
    n, there = len(values), values.dropna()
    if np.isinf(there).any():
        return False  # which is refused where the rows are read
    if there.nunique() == 1:
        said.append(f"{what} holds no number but {short(cells[there.index[0]])}; it was left out.")
        return True
    steps = np.diff(values.to_numpy())
    if n > 10 and len(steps) and np.isfinite(steps).all() and (steps == steps[0]).all() and steps[0] != 0:
        said.append(f"{what} counts the rows ({values.iloc[0]:g}, {values.iloc[1]:g}, …); it was left out.")
        return True
    tell_far(what, cells, values, said)
    spread = float(values.std())
    if spread > 0 and abs(float(values.mean())) > LARGE * spread:
        said.append(
            f"{what}: {values.mean():.6g} ± {spread:.3g} is a large offset: float32 has not its digits, "
            "and what is exported takes the column in float64."
        )
    return False


def tell_far(what: str, cells: pd.Series, values: pd.Series, said: list[str]) -> None:
    """Say which value stands far from all others, such as -999 or 65535: mostly a code, and no measurement."""
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    away = (values - middle).abs()
    far = values[away > FAR * (high - low)]
    if high == low or far.empty:
        return
    counts = far.value_counts()
    value, n = counts.index[0], int(counts.iloc[0])
    if 2 * n < len(far) or (n == 1 and away[far.index[0]] <= ALONE * (high - low)):
        return  # a long tail
    first = cells[values == value].iloc[0]
    said.append(
        f"{what}: {n} cells hold {short(first)}, far from the others, of which half lie between {low:.4g} and "
        f"{high:.4g}. If it is a code, leave those cells empty."
    )
