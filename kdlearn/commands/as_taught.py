"""Rows for a pickled teacher as whoever taught it had them: as `pandas.read_csv` gives them, unless it knows others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from kdlearn.cells import as_text, is_missing, without_point
from kdlearn.commands.decimals import short
from kdlearn.commands.frames import MISSING, pandas
from kdlearn.commands.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

BEHIND = ("final_estimator_", "transformer_")  # of a stack, and of a target: they do not get the columns


class AsTaught(TransformerMixin, BaseEstimator):
    """Columns of rows as the rules read them, with other cells where the teacher had others.

    Parameters
    ----------
    names : of the teacher's columns, in its order.
    cells : of a column, the teacher's cell for each of the rules'; "" is a missing one.
    types : of these columns, as pandas has them; None: as the cells at hand are, numbers or booleans.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        cells: Mapping[str, Mapping[Any, Any]] | None = None,
        types: Mapping[str, Any] | None = None,
    ) -> None:
        self.names, self.cells, self.types = names, cells, types

    def fit(self, X: Any, y: Any = None) -> Self:
        """Nothing to do."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The teacher's columns, (n, len(names))."""
        made = X[list(self.names)].copy()
        for name, cells in (self.cells or {}).items():
            column = [cells.get("" if is_missing(v) else v, v) for v in X[name]]
            made[name] = pandas().Series(column, X.index, (self.types or {}).get(name))
        return made


def as_taught(model: Any, names: Sequence[str], rules: Rules, what: str, said: list[str]) -> AsTaught:
    """The step in front of a pickled model of these columns; says of which column it knows no cell.

    A cell is the value that the model's own encoder knows and that is written so. Where it knows none, a number or a
    missing cell is what the rules read, a date the text in the file, and a text what `pandas.read_csv` makes of it:
    True of "True", 7 of "7", NaN of a missing one.
    """
    search = _Search(model, names)
    known, unknown = search.found, list[str]()
    found: dict[str, dict[Any, Any]] = {}
    types: dict[str, Any] = {}
    for rule in rules.columns:
        name = rule["name"]
        values = known.get(name)
        if name not in names or (rule["kind"] == "number" and values is None):
            continue
        written: dict[Any, Any] = {}
        taught: list[str] = []
        for table, rows in rules.read:
            cells = dict(zip(rows[name], table[name]))
            written = {v: as_text(cell) for v, cell in cells.items() if not is_missing(v) and v != ""} | written
            taught = taught or list(written.values())
        if rule["kind"] == "number":
            plain = {v: v for v in written}
        elif rule["kind"] == "date":
            plain = written
        else:
            plain = {v: v for v in written} | _as_pandas(taught, list(written.values()))
        if (
            values is None
            and rule["kind"] == "text"
            and (search.lost or any(isinstance(v, str) for v in plain.values()))
        ):
            unknown.append(name)
        if values is not None and any(isinstance(v, str) for v in values):
            plain = written  # it knows texts: what is none of them is one too
        as_read = sorted(() if values is None else values, key=lambda v: as_text(v) == as_text(v).strip())
        same = {without_point(as_text(v).strip()): v for v in as_read}  # the last one stays: without blanks, if known
        told = {as_text(v) for v in as_read if isinstance(v, str) and v.strip() in written.values()}
        if twice := [
            v for v in sorted(told) if v != v.strip() and len({w for w in told if w.strip() == v.strip()}) > 1
        ]:
            bare = twice[0].strip()
            said.append(
                f"column {name!r}: {what} tells {short(twice[0])} from other texts that differ in blanks alone; cells "
                f"are read without blanks, and it gets {short(same[bare])} for all of them, so its answers may be "
                "worse than they were: strip the texts before it is fitted."
            )
        turned = {v: same.get(without_point(text), same.get(as_text(v), plain[v])) for v, text in written.items()}
        turned[""] = next((same[text] for text in MISSING if text in same), np.nan)
        if values is not None and taught and not (set(turned.values()) - {turned[""]}) & set(values.tolist()):
            said.append(
                f"column {name!r}: {what} knows none of its categories, such as {short(taught[0])}, and answers "
                f"without it; it knows {', '.join(map(repr, values[:3].tolist()))}."
            )
        if any(v is not cell and not (type(v) is type(cell) and v == cell) for v, cell in turned.items()):
            found[name] = turned
            column = pandas().Series([turned["" if is_missing(v) else v] for v in rules.read[0][1][name]])
            types[name] = None if column.dtype.kind in "biuf" else object  # True beside a missing cell is no boolean
    if unknown:
        some = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        said.append(
            f"{what} does not show which texts it knows of {some}: it gets them as pandas.read_csv gives them, without "
            "blanks around them; where it was fitted with others, its answers are worse than they were."
        )
    return AsTaught(list(names), found, types)


def _as_pandas(taught: Iterable[str], texts: Iterable[str]) -> dict[str, Any]:
    """What `pandas.read_csv` makes of texts in a column that held those that taught."""

    def read(cells: Iterable[str]) -> pd.Series:
        column = pandas().Series(list(cells), name="cell", dtype=object)
        return pandas().read_csv(StringIO(column.to_csv(index=False)), skip_blank_lines=False)["cell"]

    def kind(column: pd.Series) -> str:
        return "number" if column.dtype.kind in "iuf" else column.dtype.kind

    first, more = list(dict.fromkeys(taught)), [text for text in dict.fromkeys(texts) if text not in set(taught)]
    column = read(first)
    found = dict(zip(first, column.tolist()))
    if more and kind(other := read(more)) == kind(column):
        found |= dict(zip(more, other.tolist()))
    return found


class _Search:
    """A walk through all that a fitted model of columns with these names holds.

    Attributes
    ----------
    found : of a column the categories that its encoders know, those of several joined.
    lost : whether an encoder knows texts of which the column cannot be told.
    """

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        self.found: dict[str, np.ndarray] = {}
        self.lost = False
        self._encoders, self._seen = 0, set[tuple[int, tuple[str, ...] | None]]()
        try:
            self._walk(model, tuple(names))
        except RecursionError:
            self.lost = True

    def _walk(self, part: Any, names: tuple[str, ...] | None) -> None:
        """`names` are those of the columns that the part gets; None behind what may have changed them."""
        if part is None or isinstance(part, (str, bytes, int, float, type)) or (id(part), names) in self._seen:
            return
        self._seen.add((id(part), names))
        if isinstance(part, Mapping):
            part = list(part.values())
        if isinstance(part, (list, tuple, set)) or (isinstance(part, np.ndarray) and part.dtype == object):
            for one in part.ravel() if isinstance(part, np.ndarray) else part:
                self._walk(one, names)
        elif hasattr(part, "__dict__"):
            self._inside(part, _names_of(part, names))

    def _inside(self, part: Any, names: tuple[str, ...] | None) -> None:
        held = vars(part)
        if isinstance(part, Pipeline):
            for _, step in part.steps:
                self._walk(step, names)
                if not _keeps(step, names):
                    names = None
        elif isinstance(part, ColumnTransformer):
            for name, step, _ in getattr(part, "transformers_", ()):
                places = part._transformer_to_input_indices[name]
                self._walk(step, None if names is None else tuple(names[j] for j in places))
        elif isinstance(held.get("categories_"), list):
            self._encoder(held["categories_"], names)
        elif "estimators_features_" in held:  # of bagging: each has columns of its own
            for one, places in zip(part.estimators_, part.estimators_features_):
                self._walk(one, None if names is None else tuple(names[j] for j in places))
        else:
            before = self._encoders
            learnt = {key for key in held if key.endswith("_") or key.startswith("_")}
            for keys in (learnt, held.keys() - learnt):  # what it was told is not what it knows, unless it has no other
                for key in sorted(keys):
                    self._walk(held[key], None if key in BEHIND else names)
                if self._encoders > before:
                    break

    def _encoder(self, categories: list[np.ndarray], names: tuple[str, ...] | None) -> None:
        self._encoders += 1
        if names is None or len(categories) != len(names):
            self.lost |= any(isinstance(v, str) for known in categories for v in known.tolist())
            return
        for name, known in zip(names, categories):
            before = self.found.get(name)
            self.found[name] = known if before is None else _joined(before, known)


def _names_of(part: Any, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Its own names of columns, if it was fitted with some; else those of an array that is as wide."""
    if names is None:
        return None
    own = getattr(part, "feature_names_in_", None)
    if own is not None:
        return tuple(own) if set(own) <= set(names) else None
    return names if getattr(part, "n_features_in_", len(names)) == len(names) else None


def _keeps(step: Any, names: tuple[str, ...] | None) -> bool:
    """Whether a step of a pipeline hands the columns on as they came."""
    if isinstance(step, SimpleImputer):
        return names is not None and len(step.statistics_) == len(names)
    return step is None or isinstance(step, str) or (isinstance(step, FunctionTransformer) and step.func is None)


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What two encoders know of a column; 1 and True are two cells, and NaN is one."""
    both = [*one.tolist(), *other.tolist()]
    cells = list({(type(v), None if is_missing(v) else v): v for v in both}.values())
    made = np.empty(len(cells), object)
    made[:] = cells
    return one if len(made) == len(one) else made
