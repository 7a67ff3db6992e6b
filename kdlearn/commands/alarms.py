"""What in a column looks wrong: said before a minute goes into the teacher."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdlearn.cells import as_text
from kdlearn.commands.decimals import LARGEST, short, texts

if TYPE_CHECKING:
    import pandas as pd

LARGE = 4096.0  # a mean so many deviations from zero loses digits in float32, and is exported otherwise
FAR = 20.0  # widths of the middle half from the median, beyond which a value that is repeated is said
BEYOND = 50.0  # deviations from the mean of the rows that taught
ENOUGH = 30  # rows in which a column that tells all is no chance
FEW = 5  # rows held out of a class
NAMES = 20  # different large whole numbers, at the most, that may be names
ALONE = 100.0  # the same, for a value that stands once,
GAP = 10.0  # or that lies so many times as far from the median as the next one
NINES = r"-99+|999+"  # as people write a code: it is said where it lies two ranges of the others away
SOME = 10  # other cells, at the least, for a value to lie far from them


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
    if (there.abs() > LARGEST).any():
        return False  # which is refused where the rows are read
    if _too_large(cells, values):
        if not left_out(what, cells, said):
            said.append(
                f"{what} holds whole numbers too large to be told apart as numbers; it was left out: if they are "
                "names, use --categorical."
            )
        return True
    if there.nunique() == 1:
        said.append(f"{what} holds no number but {short(cells[there.index[0]])}; it was left out.")
        return True
    steps = np.diff(values.to_numpy())
    if n > 10 and len(steps) and np.isfinite(steps).all() and (steps == steps[0]).all() and steps[0] != 0:
        said.append(
            f"{what} counts the rows ({as_text(values.iloc[0])}, {as_text(values.iloc[1])}, …); it was left out."
        )
        return True
    tell_far(what, cells, values, said)
    if there.nunique() <= NAMES and (there % 1 == 0).all() and there.min() >= 1000 and (there > 2100).any():
        said.append(
            f"{what} holds {there.nunique()} different whole numbers, such as {as_text(there.iloc[0])}: if they are "
            "names, as postcodes are, use --categorical."
        )
    spread = float(values.std())
    if spread > 0 and abs(float(values.mean())) > LARGE * spread:
        said.append(
            f"{what}: {values.mean():.6g} ± {spread:.3g} is a large offset: float32 has not its digits, "
            "and what is exported takes the column in float64."
        )
    return False


def _too_large(cells: pd.Series, values: pd.Series) -> bool:
    """Whether different whole numbers become one as floats, which tell no more than 2**53 apart."""
    large = texts(cells[values.abs() > 2**53])
    exact = large[large.str.fullmatch(r"[+-]?\d+").astype(bool)].map(int)
    return bool(exact.nunique() > values[exact.index].nunique())


def copies(table: pd.DataFrame, names: Sequence[str], said: list[str]) -> set[str]:
    """Of the named columns those that hold in every row what an earlier one holds: to be left out, and said."""
    from pandas.util import hash_pandas_object

    first: dict[int, str] = {}
    found: dict[str, str] = {}
    for name in names if len(table) > ENOUGH else ():
        earlier = first.setdefault(hash(hash_pandas_object(table[name], index=False).to_numpy().tobytes()), name)
        if earlier != name and table[name].nunique() > 1 and table[name].equals(table[earlier]):
            found[name] = earlier
    if len(found) == 1:
        name, earlier = next(iter(found.items()))
        said.append(f"column {name!r} holds in every row what {earlier!r} holds; it was left out.")
    elif found:
        some = ", ".join(f"{name!r} ({earlier!r})" for name, earlier in list(found.items())[:5])
        more = ", …" if len(found) > 5 else ""
        said.append(
            f"{len(found)} columns hold in every row what an earlier one holds; they were left out: {some}{more}."
        )
    return set(found)


def tell_far(what: str, cells: pd.Series, values: pd.Series, said: list[str]) -> None:
    """Say which value stands far from all others, such as -999 or 65535: mostly a code, and no measurement.

    A value that fills many cells moves the quartiles: the least and the largest are held to those of the others too.
    """
    there = values.dropna()
    if there.empty:
        return
    found = _far(there, there)
    if found is None:
        found = next((end for end in (there.min(), there.max()) if _code(there, end)), None)
    if found is None:
        return
    alike = values == found
    low, high = there[there != found].quantile([0.25, 0.75])
    n, first = int(alike.sum()), short(cells[alike].iloc[0])
    hold, those = (f"1 cell holds {first}", "that cell") if n == 1 else (f"{n} cells hold {first}", "those cells")
    said.append(
        f"{what}: {hold}, far from the others, of which half lie between {low:.4g} and {high:.4g}. If it is a code or "
        f"a mistake, leave {those} empty."
    )


def _far(values: pd.Series, others: pd.Series) -> float | None:
    """The value that most of the cells hold that lie far from the middle half of `others`; None where there is none."""
    low, middle, high = others.quantile([0.25, 0.5, 0.75])
    away = (values - middle).abs()
    far = values[away > FAR * (high - low)]
    if high == low or far.empty:
        return None
    counts = far.value_counts()
    value, n = float(counts.index[0]), int(counts.iloc[0])
    if 2 * n < len(far):
        return None  # a long tail
    if n == 1 and away[far.index[0]] <= min(ALONE * (high - low), GAP * float(away.drop(far.index).max())):
        return None
    return value


def _code(values: pd.Series, end: float) -> bool:
    """Whether the least or the largest value, in several cells or all nines, lies far from all the others."""
    others = values[values != end]
    n = len(values) - len(others)
    if len(others) < max(SOME, len(values) / 10) or (end == 0 and 2 * n > len(values)):
        return False  # 0 in most cells is a number
    gap, middle = (others - end).abs().min(), others.median()
    if re.fullmatch(NINES, f"{end:.12g}") and gap > 2 * (others.max() - others.min()) > 0:
        return True
    if others.quantile(0.25) == others.quantile(0.75):  # most are alike
        return n > 1 and bool(abs(end - middle) > GAP * (others - middle).abs().max() > 0)
    return n > 1 and 2 * gap > abs(end - middle) and _far(values, others) == end  # the least of many low ones is none


def tell_leak(X: pd.DataFrame, y: np.ndarray, target: str, said: list[str]) -> None:
    """Say which column alone tells the target in every row: mostly it is the target itself, under another name."""
    for name in X.columns:
        cells = X[name]
        if y.dtype.kind == "f":
            there = cells.notna().to_numpy() if cells.dtype.kind == "f" else np.zeros(len(cells), bool)
            v, t = cells.to_numpy()[there], y[there]
            leaks = there.sum() > ENOUGH and v.std() > 0 < t.std() and abs(np.corrcoef(v, t)[0, 1]) > 1 - 1e-6
        else:
            few = 1 < cells.nunique() <= len(y) / 20
            leaks = len(y) > ENOUGH and ((few and bool((_labels_by(cells, y) == 1).all())) or _parted(cells, y))
        if leaks:
            said.append(
                f"column {name!r} alone tells {target!r} in every row: if it is not known before {target!r} is, "
                f"--ignore {name}."
            )


def _parted(cells: pd.Series, y: np.ndarray) -> bool:
    """Whether numbers lie, in order, class by class, each of several rows: by chance they hardly ever do."""
    if cells.dtype.kind not in "if" or cells.isna().any():
        return False
    labels, counts = np.unique(y, return_counts=True)
    order = np.argsort(cells.to_numpy(), kind="stable")
    changes = np.flatnonzero(y[order][1:] != y[order][:-1])
    v = cells.to_numpy()[order]
    return len(changes) == len(labels) - 1 and bool(counts.min() >= FEW and (v[changes] < v[changes + 1]).all())


def _labels_by(cells: pd.Series, y: np.ndarray) -> pd.Series:
    """How many different labels stand beside each text or number of a column."""
    return cells.to_frame("cell").assign(label=y).groupby("cell", dropna=False)["label"].nunique()


def tell_beyond(name: str, cells: pd.Series, values: pd.Series, mean: float, scale: float, said: list[str]) -> None:
    """Say of a column's cells to be answered which lie where nothing was taught."""
    far = values[((values - mean).abs() > BEYOND * scale).to_numpy()]
    if len(far):
        several = f"{len(far)} cells, such as {short(cells[far.index[0]])}, lie" if len(far) > 1 else (
            f"{short(cells[far.index[0]])} lies")  # fmt: skip
        said.append(
            f"column {name!r}: {several} far outside what was taught, {mean:.4g} ± {scale:.3g}: the answer is a guess."
        )


def tell_new(name: str, cells: pd.Series, known: Collection[str], said: list[str]) -> None:
    """Say how many cells of a column to be answered hold texts that were not taught; an empty one is a missing one."""
    new = cells[~cells.isin([*known, ""])]
    if len(new):
        many = f"{len(new)} cells hold texts" if len(new) > 1 else "1 cell holds a text"
        said.append(f"column {name!r}: {many} that the model does not know, such as {short(new.iloc[0])}.")


def tell_others(X: pd.DataFrame, other: pd.DataFrame, said: list[str]) -> None:
    """Say of another table's rows, read as X was, which texts are new and which numbers lie far from those of X."""
    for name in X.columns:
        if X[name].dtype.kind == "f":
            tell_beyond(name, other[name], other[name], float(X[name].mean()), float(X[name].std()), said)
        else:
            tell_new(name, other[name], X[name].unique().tolist(), said)


def weak_points(X: pd.DataFrame, y: np.ndarray, X_test: pd.DataFrame, y_test: np.ndarray) -> list[str]:
    """What makes the rows held out a poor measure: rows that teach too, and classes of which there are too few."""
    import pandas as pd

    said = []
    teach, test = (pd.util.hash_pandas_object(rows.assign(**{"": target}), index=False) for rows, target in
                   ((X, y), (X_test, y_test)))  # fmt: skip
    again = int(test.isin(teach).sum())
    if again:
        said.append(
            f"{again} of the {len(test)} rows held out stand among those that teach too, cell by cell: if rows were "
            "copied, the measure looks better than it is."
        )
    if y.dtype.kind != "f":
        rare = [(label, int((y_test == label).sum())) for label in np.unique(y).tolist()]
        rare = [(label, n) for label, n in rare if n < FEW]
        some = ", ".join(f"{str(label)!r} {n}" for label, n in rare[:5]) + (", …" if len(rare) > 5 else "")
        if len(rare) == 1:
            label, n = rare[0]
            rows = "1 row is" if n == 1 else f"{n} rows are"
            said.append(f"of class {str(label)!r} {rows} held out: what is said of it is mostly chance.")
        elif rare:
            said.append(
                f"of {len(rare)} classes fewer than {FEW} rows are held out ({some}): what is said of them is mostly "
                "chance."
            )
    return said
