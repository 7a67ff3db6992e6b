"""Rows as they come, and as the network takes them: names, missing cells, texts.

A table is a pandas DataFrame or a 2-D array; pandas itself is never imported. Inside the default
preprocessor a missing number is NaN and a missing text is the empty string.
"""

from __future__ import annotations

import numbers
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import _safe_indexing, check_array

from kdlearn.cells import as_text, is_missing, known_texts, may_hold_na, nan_for_na
from kdlearn.nn.functional import plain_arrays

FEW_TEXTS = 20  # that are never taken for names, however few the rows
MOST_TEXTS = 100  # categories of a column; the rarer ones beyond count as unknown
DENSE_AT_MOST = 2**32  # bytes of a sparse table made dense
NUMBERS = (numbers.Real, Decimal, np.bool_)  # kinds of cells
NEIGHBOURS = 5  # among which a made row finds its second parent


def read(X: Any, texts: Callable[[Any], Collection[int]] | None = None) -> Any:
    """X as a pandas DataFrame where it is another kind of data frame; else as it is.

    texts(X) are the positions of the columns that were fitted as texts: their cells stay as they are.
    """
    X = _array(unmasked(X, "X"))
    if hasattr(X, "iloc") and X.ndim == 1:
        raise ValueError("Expected 2D array, got a column of a table: give the table, X[[name]]")
    if isinstance(X, dict) and not hasattr(X, "shape"):
        raise ValueError("Expected 2D array, got a dict: make it a DataFrame")
    if hasattr(X, "iloc"):
        if X.columns.has_duplicates:
            raise ValueError(f"two columns are named {X.columns[X.columns.duplicated()][0]!r}")
        return nan_for_na(X, () if texts is None else texts(X))
    return read(X.to_pandas(), texts) if hasattr(X, "to_pandas") else X


def labels(y: Any) -> Any:
    """y as an array of NumPy's own type where it is a column of pandas' own: 1 stays 1, True stays True."""
    y = unmasked(y, "y")
    y = _array(y) if hasattr(y, "shape") else y
    own = hasattr(y, "iloc") and y.ndim == 1 and may_hold_na(y.dtype) and not y.isna().any()
    return y.to_numpy() if own else y


def _array(X: Any) -> Any:
    """A list of rows, or an array of a type that is not NumPy's, as an array of NumPy; all else as it is.

    Beside a text a number stays a number, as in an array of objects, and those are NumPy's own texts of any length.
    """
    if isinstance(X, (list, tuple)):
        try:
            made = np.asarray(X)
            return np.asarray(X, dtype=object) if made.dtype.kind in "US" else made
        except ValueError:  # rows of several lengths: scikit-learn says so
            return X
    if isinstance(X, np.ndarray) and X.dtype.kind == "T":
        return X.astype(object)
    return np.asarray(X) if hasattr(X, "dtype") and not hasattr(X.dtype, "kind") else X


def unmasked(a: Any, name: str) -> Any:
    """An array without its empty mask, all else as it is; TypeError for masked entries: they would be computed with."""
    return plain_arrays((a,), (name,))[0] if isinstance(a, np.ma.MaskedArray) else a


def check_real(X: Any) -> None:
    """ValueError for a table with a column of dates, durations or complex numbers: floats would be made of them."""
    if hasattr(X, "iloc"):
        for name, dtype in zip(X.columns, X.dtypes):
            check_real_column(dtype, name)
    elif hasattr(X, "dtype"):
        check_real_column(X.dtype, 0)


def check_real_column(dtype: Any, name: Any) -> None:
    """The same of one column; of categories it is their own type that counts."""
    dtype = dtype.categories.dtype if hasattr(dtype, "categories") else dtype
    if dtype.kind in "Mm":
        raise ValueError(f"column {name!r} holds {dtype}: give it as numbers, such as days since a day")
    if dtype.kind == "c":
        raise ValueError(f"Complex data not supported: column {name!r} holds {dtype}")


def names_not_texts(X: Any) -> list[Any] | None:
    """The names of a table's columns where they are not all texts; else None."""
    names = list(X.columns) if hasattr(X, "iloc") else []
    return None if all(isinstance(name, str) for name in names) else names


def needs_encoding(X: Any) -> bool:
    """Whether X has a missing cell or a column that is not of numbers."""
    if hasattr(X, "iloc"):
        return any(dtype.kind not in "biufc" for dtype in X.dtypes) or bool(X.isna().to_numpy().any())
    if sparse.issparse(X):
        return False
    X = np.asarray(X)
    if X.ndim != 2:
        return False
    if X.dtype.kind == "f":
        return bool(np.isnan(X).any())
    if X.dtype.kind not in "OUS":
        return False
    return any(_kind(X[:, j], j) == "texts" for j in range(X.shape[1])) or any(is_missing(v) for v in X.ravel())


def default_preprocessor(X: Any) -> tuple[ColumnTransformer, tuple[int, ...]]:
    """`(transformer, positions of the columns of texts)` for a table.

    Numbers are imputed with the median; texts become one input a category, for the 100 commonest. A missing text is
    a category more where the table has one, an unknown text is none of them.
    """
    columns = [column_of(X, j) for j in range(X.shape[1])]
    kinds = [_kind(column, name_of(X, j)) for j, column in enumerate(columns)]
    n, parts = len(columns[0]) if columns else 0, []
    by_name = hasattr(X, "iloc") and all(isinstance(name, str) for name in X.columns)
    texts = tuple(j for j, kind in enumerate(kinds) if kind == "texts")
    known = []
    for j in texts:
        found, missing = _counted(columns[j])
        if like_names(len(found), n):
            raise ValueError(
                f"column {name_of(X, j)!r} has {len(found)} different texts in {n} rows, more like names than "
                "categories: drop it, or encode it with a preprocessor of yours"
            )
        own = [text for text, _ in found.most_common(MOST_TEXTS)]
        known.append(sorted([*own, ""] if missing else own))
    numeric = [j for j, kind in enumerate(kinds) if kind == "numbers"]
    for name, chosen, made in (
        ("numbers", numeric, SimpleImputer(strategy="median", keep_empty_features=True)),
        ("categories", texts, OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False)),
    ):
        if chosen:
            parts.append((name, made, [X.columns[j] for j in chosen] if by_name else list(chosen)))
    return ColumnTransformer(parts, verbose_feature_names_out=False), texts


def like_names(different: int, n: int) -> bool:
    """Whether a column with so many different texts in n rows holds names, of which hardly one comes again."""
    return different > FEW_TEXTS and different > n / 2


def plain(X: Any, texts: tuple[int, ...], known: Mapping[int, Collection[str]] | None = None) -> Any:
    """X as the default preprocessor takes it: texts as `str`, "" where missing; all else as floats, NaN where missing.

    Parameters
    ----------
    known : the texts of each such column at fit, among which a number is looked up; None while fitting.

    Raises
    ------
    ValueError : a text where numbers were fitted; names the column.
    """
    made = []
    for j in range(X.shape[1]):
        column = column_of(X, j)
        if j in texts:
            made.append(np.array(_texts(column) if known is None else known_texts(column, known[j]), dtype=object))
            continue
        kind = np.float32 if column.dtype == np.float32 else np.float64
        try:
            made.append(
                column.to_numpy(dtype=kind, na_value=np.nan)
                if hasattr(column, "iloc")
                else column
                if column.dtype == np.float32
                else np.array([np.nan if is_missing(v) else float(v) for v in column.tolist()])
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"column {name_of(X, j)!r} held numbers when it was fitted: {error}") from None
    if hasattr(X, "iloc"):
        return type(X)(dict(zip(X.columns, made)), index=X.index)
    if not texts:
        return np.column_stack(made)
    table = np.empty(X.shape, dtype=object)
    for j, column in enumerate(made):
        table[:, j] = column
    return table


def dense(X: Any, what: str) -> np.ndarray:
    """X as a dense array, (n, d); ValueError if a sparse one would not reasonably fit into memory."""
    if not sparse.issparse(X):
        return X
    size = X.shape[0] * X.shape[1] * X.dtype.itemsize
    if size > DENSE_AT_MOST:
        raise ValueError(
            f"{what} is sparse, and would take {size / 2**30:,.0f} GiB as the dense rows that a network reads: "
            "give a preprocessor that makes fewer columns, such as TruncatedSVD"
        )
    return X.toarray()


def encoded(preprocessor: Any, X: Any) -> np.ndarray:
    """What a fitted preprocessor makes of raw rows: numbers, finite, (n, d)."""
    made = dense(preprocessor.transform(X), "what the preprocessor makes")
    if count(made) != count(X):
        raise ValueError(
            f"the preprocessor makes {count(made)} rows of {count(X)}: it must keep each; leave rows out before fit"
        )
    try:
        return check_array(made, dtype=[np.float64, np.float32])
    except (ValueError, TypeError) as error:
        raise ValueError(f"the preprocessor must make one or more finite numbers a row: {error}") from None


def notes(X: Any, texts: tuple[int, ...], inputs: int) -> list[str]:
    """What the default preprocessor did, in sentences."""
    columns = [column_of(X, j) for j in range(X.shape[1])]
    missing = [sum(as_text(v) == "" if j in texts else is_missing(v) for v in c) for j, c in enumerate(columns)]
    said = [f"{len(texts)} of {X.shape[1]} columns hold texts; all make {inputs} inputs."] if texts else []
    empty = [j for j, holes in enumerate(missing) if holes == count(X)]
    said += [f"column {name_of(X, j)!r} has no cell: it tells nothing." for j in empty]
    missing = [0 if j in empty else holes for j, holes in enumerate(missing)]
    if sum(missing):
        worst = int(np.argmax(missing))
        said.append(
            f"{sum(missing)} missing cells were filled: a number with its column's median, a text as a category of "
            f"its own; most, {missing[worst]}, in column {name_of(X, worst)!r}."
        )
    return said


def merged(X: Any, texts: tuple[int, ...]) -> list[str]:
    """A sentence for each column of more texts than have inputs of their own."""
    said = []
    for j in texts:
        found, _ = _counted(column_of(X, j))
        if len(found) > MOST_TEXTS:
            rest = found.total() - sum(often for _, often in found.most_common(MOST_TEXTS))
            said.append(
                f"column {name_of(X, j)!r} has {len(found):,} different texts: the {MOST_TEXTS} commonest have an "
                f"input each, the other {len(found) - MOST_TEXTS:,}, in {rest:,} rows, have none and look alike"
            )
    return said


def warn_of_order(answers: Any, X: Any, whose: str) -> None:
    """Warn where answers have the index of X in another order: rows are taken by position, as everywhere."""
    theirs: Any = getattr(answers, "index", None)
    ours: Any = getattr(X, "index", None)
    if not hasattr(theirs, "equals") or not hasattr(ours, "equals") or len(theirs) != len(ours) or theirs.equals(ours):
        return
    fresh = theirs.tolist() == list(range(len(theirs)))  # as an array's rows are numbered
    if not fresh and theirs.sort_values().equals(ours.sort_values()):
        warnings.warn(
            f"{whose} has the index of X in another order; its rows are taken by position: "
            f"{whose}.loc[X.index] puts them in the order of X",
            stacklevel=4,
        )


def count(X: Any) -> int:
    """Rows of a table of any kind."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def take(X: Any, chosen: np.ndarray) -> Any:
    """Rows of a table of any kind, by position."""
    if sparse.issparse(X):  # of COO, for one, none can be taken
        return X.tocsr()[chosen].asformat(X.format)
    return _safe_indexing(X, chosen)


def mixed(X: Any, x: np.ndarray, m: int, rng: np.random.Generator) -> Any:
    """m rows made of X: each cell is a row's own or that of one of its nearest neighbours, as a coin falls.

    X are n >= 2 raw rows, x (n, d) the same ones encoded, in which neighbours are near. Every made cell was
    seen, so that texts, counts and missing cells stay what they are.

    Source: after MUNGE (Bucilă, Caruana and Niculescu-Mizil 2006), without its noise.
    """
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(x))).fit(x)
    first = rng.integers(len(x), size=m)
    others = near.kneighbors(x[first], return_distance=False)
    second = others[np.arange(m), rng.integers(1, others.shape[1], size=m)]
    own = rng.random((m, X.shape[1])) < 0.5
    if not hasattr(X, "iloc"):
        return np.where(own, X[first], X[second])
    made, other = X.iloc[first].reset_index(drop=True), X.iloc[second].reset_index(drop=True)
    return type(X)({name: made[name].where(own[:, j], other[name]) for j, name in enumerate(X.columns)})


def column_of(X: Any, j: int) -> Any:
    """The j-th column of a DataFrame or an array."""
    return X.iloc[:, j] if hasattr(X, "iloc") else X[:, j]


def name_of(X: Any, j: int) -> Any:
    """Its name; its number where it has none."""
    return X.columns[j] if hasattr(X, "iloc") else j


def _kind(column: Any, name: Any) -> str:
    """ "numbers" or "texts"; ValueError for dates and the like, TypeError for cells that are neither."""
    check_real_column(column.dtype, name)
    if column.dtype.kind in "biuf":
        return "numbers"
    if hasattr(column, "cat"):
        return "texts"
    cells = [v for v in column if not is_missing(v)]
    if all(isinstance(v, NUMBERS) for v in cells):
        return "numbers"
    for v in cells:
        if not isinstance(v, (str, bytes, *NUMBERS)):
            raise TypeError(f"argument must be a string or a number, column {name!r} holds {type(v).__name__}")
    return "texts"


def _texts(column: Any) -> list[str]:
    return [as_text(v) for v in column]


def _counted(column: Any) -> tuple[Counter[str], int]:
    """How often each text is there, and how many are missing."""
    found = Counter(_texts(column))
    return found, found.pop("", 0)
