"""What a fitted scikit-learn preprocessing does, read into an `Encoding`, and back into one that is fitted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from kdlearn.cells import is_missing
from kdlearn.export.columns import MISSING, UNKNOWN, VALUE, Column, Encoding, Feature

AFFINE: dict[str, Callable[[Any, int], tuple[Any, Any]]] = {  # (x - shift) * factor of each scaler
    "StandardScaler": lambda t, n: (_or(centre_of(t), 0, n), 1 / _or(t.scale_, 1, n)),
    "MinMaxScaler": lambda t, n: (-t.min_ / t.scale_, t.scale_),
    "MaxAbsScaler": lambda t, n: (np.zeros(n), 1 / t.scale_),
    "RobustScaler": lambda t, n: (_or(t.center_, 0, n), 1 / _or(t.scale_, 1, n)),
}
KNOWN = (*AFFINE, "ColumnTransformer", "Pipeline", "SimpleImputer", "OneHotEncoder", "OrdinalEncoder")


class NotPlain(TypeError):
    """A preprocessing that is not made of columns' values, categories and gaps."""


def encoding_of(transformers: Sequence[Any], names: Sequence[str], named: bool = True) -> Encoding:
    """What fitted transformers, one after the other, make of raw columns with these names; not `named`: made up.

    NotPlain, naming the transformer, for what cannot be said column by column (PCA, polynomials,
    functions of yours).
    """
    columns = [Column(name, named=named) for name in names]
    features = [Feature(i) for i in range(len(names))]
    for transformer in transformers:
        features = _walk(transformer, features, columns)
    for f in features:
        if isinstance(f.fill, str):
            raise NotPlain(f"column {columns[f.column].name!r} holds texts that no encoder makes numbers of")
    return Encoding(columns, [replace(f, unknown=None) if is_missing(f.unknown) else f for f in features])


def _walk(t: Any, features: list[Feature], columns: list[Column]) -> list[Feature]:
    name = "passthrough" if t is None else t if isinstance(t, str) else type(t).__name__
    ours = isinstance(t, str) or t is None or type(t).__module__.startswith("sklearn.")
    if name == "passthrough" or not features:
        return features
    if name == "drop":
        return []
    if ours and name == "Pipeline":
        for _, step in t.steps:
            features = _walk(step, features, columns)
        return features
    if ours and name == "ColumnTransformer":
        return [
            _weighed(f, name, (t.transformer_weights or {}).get(name))
            for name, inner, chosen in t.transformers_
            for f in _walk(inner, [features[i] for i in _positions(chosen, t, len(features))], columns)
        ]
    if ours and name == "FunctionTransformer" and t.func is None:
        return features
    if ours and name in AFFINE and not getattr(t, "clip", False):
        shift, factor = AFFINE[name](t, len(features))
        return [
            replace(f, shift=f.shift + float(m) / f.factor, factor=f.factor * float(g))
            for f, m, g in zip(features, shift, factor)
        ]
    if ours and name == "SimpleImputer":
        return _imputed(t, features)
    if ours and name in ("OneHotEncoder", "OrdinalEncoder"):
        encode = _one_hot if name == "OneHotEncoder" else _ordinal
        return [new for k, f in enumerate(features) for new in encode(t, k, f, columns)]
    if ours and hasattr(t, "get_support"):  # a selection of features
        return [f for f, kept in zip(features, t.get_support()) if kept]
    clipped = " with clip=True" if name in AFFINE else ""
    raise NotPlain(f"{name}{clipped} cannot be written as plain data; these can: {', '.join(sorted(KNOWN))}")


def _weighed(f: Feature, name: str, weight: Any) -> Feature:
    if weight is None:
        return f
    if not (np.isfinite(weight) and weight != 0):
        raise NotPlain(f"ColumnTransformer(transformer_weights={{{name!r}: {weight!r}}}): a weight is finite and not 0")
    return replace(f, factor=f.factor * float(weight))


def _positions(chosen: Any, t: Any, n: int) -> list[int]:
    names = list(getattr(t, "feature_names_in_", ()))
    if isinstance(chosen, slice) and not any(isinstance(end, str) for end in (chosen.start, chosen.stop)):
        return list(range(n))[chosen]
    if isinstance(chosen, slice):
        start, stop = (None if end is None else names.index(end) for end in (chosen.start, chosen.stop))
        return list(range(n))[start : None if stop is None else stop + 1]
    chosen = np.atleast_1d(np.asarray(chosen))
    if chosen.dtype == bool:
        return np.flatnonzero(chosen).tolist()
    return [names.index(c) if isinstance(c, str) else int(c) % n for c in chosen.tolist()]


def centre_of(t: Any) -> Any:
    """What a fitted StandardScaler subtracts, or None: it has `mean_` even where it leaves the mean alone."""
    return t.mean_ if getattr(t, "with_mean", True) else None


def _or(values: Any, default: float, n: int) -> np.ndarray:
    return np.full(n, float(default)) if values is None else np.asarray(values, np.float64)


def _imputed(t: Any, features: list[Feature]) -> list[Feature]:
    if not is_missing(t.missing_values):
        raise NotPlain(f"SimpleImputer(missing_values={t.missing_values!r}): only NaN is a missing value here")
    out = []
    for f, value in zip(features, t.statistics_):
        if is_missing(value) and not t.keep_empty_features:
            continue  # scikit-learn drops a column that was empty in training
        if is_missing(value):
            value = 0
        if f.code == VALUE:
            stands = value if isinstance(value, str) else float(value) / f.factor + f.shift
            f = replace(f, fill=stands if f.fill is None else f.fill)
            if f.unknown is not None and is_missing(f.unknown):
                f = replace(f, strict=False, unknown=stands)
        out.append(f)
    if t.add_indicator:
        out += [Feature(features[i].column, MISSING) for i in t.indicator_.features_]
    return out


def _known(t: Any, k: int, f: Feature, columns: list[Column]) -> list[Any]:
    """The encoder's categories of its k-th feature, None for a missing one."""
    name = columns[f.column].name
    if f.code != VALUE or (f.shift, f.factor) != (0, 1):
        raise NotPlain(f"column {name!r} is encoded after it was scaled or encoded")
    known = [None if is_missing(v) or v == "" else v for v in np.asarray(t.categories_[k]).tolist()]
    if not all(v is None or isinstance(v, (str, int, float, bool)) for v in known):
        raise NotPlain(f"column {name!r} has categories that are neither texts nor numbers")
    if known.count(None) > (f.fill is None):
        raise NotPlain(
            f"column {name!r}: of None, NaN and the empty text an imputer filled one, or an encoder took two for "
            "categories: use one of them for a missing cell"
        )
    return known


def _learn(columns: list[Column], f: Feature, known: list[Any], other: bool = False) -> None:
    column = columns[f.column]
    learnt = replace(column, categories=tuple(known), other=other)
    if column.categories is not None and column != learnt:
        raise NotPlain(f"column {column.name!r} is encoded twice, with different categories")
    columns[f.column] = learnt


def _one_hot(t: Any, k: int, f: Feature, columns: list[Column]) -> list[Feature]:
    known = _known(t, k, f, columns)
    grouped = t.min_frequency is not None or t.max_categories is not None
    rare = t.infrequent_categories_[k] if grouped else None
    if rare is not None:
        return _grouped(t, k, f, columns, known, {None if is_missing(v) or v == "" else v for v in rare.tolist()})
    _learn(columns, f, known)
    strict = t.handle_unknown == "error"
    if f.fill is not None:
        fill = known.index(f.fill) if f.fill in known else None
    else:
        fill = known.index(None) if None in known else None
    if fill is None and not strict:
        fill = UNKNOWN
    dropped = None if t.drop_idx_ is None else t.drop_idx_[k]
    return [Feature(f.column, code, fill, strict=strict) for code in range(len(known)) if code != dropped]


def _grouped(t: Any, k: int, f: Feature, columns: list[Column], known: list[Any], rare: set[Any]) -> list[Feature]:
    """One-hot features where the infrequent categories, and all that is unknown, share the last one."""
    if t.handle_unknown not in ("infrequent_if_exist", "warn") or (t.drop_idx_ is not None):
        raise NotPlain(
            f"column {columns[f.column].name!r}: OneHotEncoder groups infrequent categories; that can be written "
            'with handle_unknown="infrequent_if_exist" and without drop alone'
        )
    frequent = [v for v in known if v not in rare]
    _learn(columns, f, frequent, other=True)
    fill = frequent.index(f.fill) if f.fill in frequent else len(frequent)
    return [Feature(f.column, code, fill, strict=True) for code in range(len(frequent) + 1)]


def _ordinal(t: Any, k: int, f: Feature, columns: list[Column]) -> list[Feature]:
    known = _known(t, k, f, columns)
    strict = t.handle_unknown == "error" or is_missing(t.unknown_value)
    if not strict and t.unknown_value != UNKNOWN:
        raise NotPlain(f"OrdinalEncoder(unknown_value={t.unknown_value!r}): only {UNKNOWN} and NaN can be written")
    if (t.min_frequency, t.max_categories) != (None, None):
        raise NotPlain("OrdinalEncoder with infrequent categories cannot be written as plain data")
    codes = np.arange(0 if strict else UNKNOWN, len(known))
    if (codes.astype(t.dtype).astype(np.float64) != codes).any():
        raise NotPlain(
            f"OrdinalEncoder(dtype={np.dtype(t.dtype)}) does not hold the codes of {columns[f.column].name!r}"
        )
    fill: Any = None if is_missing(t.encoded_missing_value) else float(t.encoded_missing_value)
    if fill is not None and fill not in range(UNKNOWN, len(known)):
        what = f"that is no code of {columns[f.column].name!r}; leave it NaN, or give {UNKNOWN} to {len(known) - 1}"
        raise NotPlain(f"OrdinalEncoder(encoded_missing_value={fill:g}): {what}")
    gap = known.index(None) if None in known else None
    if gap is None:  # in fit none was missing: one that is now is unknown, whatever `encoded_missing_value` says
        fill = None if strict else UNKNOWN
    elif not _is_nan(t.categories_[k][gap]):
        fill = float(gap)  # "" and None are categories like others; only NaN has `encoded_missing_value`
    if f.fill is not None:
        fill = float(known.index(f.fill)) if f.fill in known else None if strict else UNKNOWN
    _learn(columns, f, known if gap is not None and fill == gap else [v for v in known if v is not None])
    # NaN until an imputer fills it; where none does it is refused
    unknown = np.nan if t.handle_unknown != "error" and strict else None
    return [Feature(f.column, VALUE, fill, strict=strict, unknown=unknown)]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def transformed(chain: Sequence[Any], names: Sequence[str], x: np.ndarray) -> np.ndarray:
    """(N, D) float64, what fitted transformers, one after the other, make of raw numbers (N, C)."""
    made: Any = x
    if hasattr(chain[0], "feature_names_in_"):
        import pandas

        made = pandas.DataFrame(made, columns=list(names))
    for transformer in chain:
        made = transformer.transform(made)
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, np.float64)


def gaps_of(chain: Sequence[Any], names: Sequence[str]) -> np.ndarray:
    """(C,) in which raw columns a missing number is filled: fitted transformers make finite numbers of such a row."""

    def finite(row: np.ndarray) -> bool:
        try:
            return bool(np.isfinite(transformed(chain, names, row[None])).all())
        except (TypeError, ValueError):
            return False

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = np.ones((len(names), len(names)))
        np.fill_diagonal(rows, np.nan)
        return np.array([finite(row) for row in rows])


def transformer_of(encoding: Encoding) -> Any:
    """A fitted ColumnTransformer that makes the unscaled features, for converters that take only such.

    Its raw columns stand in the encoding's order. Texts are never None: an empty one is missing. The last category
    of a column with `other` is left out: `rest_of` makes it.
    """
    from sklearn.compose import ColumnTransformer

    parts = []
    for i, ((column, _), run) in enumerate(groupby(encoding.table, key=lambda f: (f.column, f.code >= 0))):
        parts.append((f"part{i}", _one(encoding.columns[column], list(run)), [column]))
    sample = [["" if isinstance((c.categories or (0,))[0], (str, type(None))) else 0 for c in encoding.columns]]
    for f in encoding.table:
        known = encoding.columns[f.column].categories
        if known is not None:
            sample[0][f.column] = next((v for v in known if v is not None), "")
    return ColumnTransformer(parts, sparse_threshold=0).fit(np.array(sample, dtype=object))


def _text(value: Any) -> Any:
    return "" if value is None else value


def _one(column: Column, run: list[Feature]) -> Any:
    """The unfitted transformer of one run of features, which are of one column."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    first = run[0]
    if any(f.code == MISSING for f in run):
        raise NotPlain(f"column {column.name!r}: a missing-value indicator has no ONNX converter")
    if column.categories is None:
        if len(run) > 1:
            raise NotPlain(f"column {column.name!r} is used more than once")
        return "passthrough" if first.fill is None else SimpleImputer(strategy="constant", fill_value=first.fill)
    known = [_text(v) for v in column.categories]
    if not known:
        raise NotPlain(f"column {column.name!r}: all of its categories are infrequent, and ONNX has no place for that")
    if column.other:
        return OneHotEncoder(categories=[known], sparse_output=False, dtype=np.float32, handle_unknown="ignore")
    unknown: dict[str, Any] = {"handle_unknown": "error" if first.strict else "ignore"}
    if first.code == VALUE:
        # NaN: refused or filled further on; skl2onnx ignores "error"
        other = np.nan if first.strict or first.unknown is not None else UNKNOWN
        unknown = {"handle_unknown": "use_encoded_value", "unknown_value": other}
        encoder: Any = OrdinalEncoder(categories=[known], dtype=np.float32, **unknown)
    else:
        absent = sorted(set(range(len(known))) - {f.code for f in run})
        if len(absent) > 1 or len(run) + len(absent) != len(known):
            raise NotPlain(f"column {column.name!r}: some of its categories are left out")
        drop = [known[absent[0]]] if absent else None
        encoder = OneHotEncoder(categories=[known], drop=drop, sparse_output=False, dtype=np.float32, **unknown)
    is_code = first.code != VALUE or first.fill in range(len(known))
    behind = [] if first.unknown is None else [SimpleImputer(strategy="constant", fill_value=first.unknown)]
    if (
        first.fill in (None, first.unknown)
        or (first.fill == UNKNOWN and not first.strict and not behind)
        or (is_code and known[int(first.fill)] == "")
    ):
        return make_pipeline(encoder, *behind) if behind else encoder
    if not isinstance(known[0], str):
        raise NotPlain(f"column {column.name!r}: a missing value among numbers that are categories")
    if not is_code:  # a gap gets a code of its own, and then the number that stands for it
        encoder.set_params(categories=[[*known, ""]])
        gap = SimpleImputer(missing_values=float(len(known)), strategy="constant", fill_value=first.fill)
        return make_pipeline(encoder, gap, *behind)
    return make_pipeline(
        SimpleImputer(missing_values="", strategy="constant", fill_value=known[int(first.fill)]), encoder, *behind
    )


def rest_of(encoding: Encoding) -> tuple[np.ndarray, np.ndarray] | None:
    """`(A, c)`, float32, with `features = x A + c` of what `transformer_of` makes; None where that is all of them.

    "Any other" is one minus the sum of the column's listed categories.
    """
    of = [encoding.columns[f.column] for f in encoding.table]
    rest = [j for j, f in enumerate(encoding.table) if of[j].other and f.code == of[j].n_codes - 1]
    if not rest:
        return None
    listed = [j for j in range(len(encoding.table)) if j not in rest]
    A, c = np.eye(len(encoding.table), dtype=np.float32)[listed], np.zeros(len(encoding.table), np.float32)
    for j in rest:
        same = [encoding.table[i].column == encoding.table[j].column and encoding.table[i].code >= 0 for i in listed]
        A[:, j] = -np.array(same, np.float32)
        c[j] = 1
    return A, c
