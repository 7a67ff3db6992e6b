"""The first part of a fit: whatever comes in, held to names, and made numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _num_samples, validate_data

from kdlearn.estimators import rows, teachers
from kdlearn.estimators.encoder import TableEncoder
from kdlearn.estimators.settings import Settings

FAR = 10.0  # spans of a column by which unlabelled rows may lie outside the labelled ones without a warning


class Reading(Settings):
    """Rows, labels and weights as they come, and as the network takes them."""

    preprocessor_: Any
    scaler_: Any
    text_columns_: tuple[int, ...] | None
    _notes: list[str]
    _unchecked: list[Any] | None
    _classifies: bool
    _stored_name: str  # of the parameter of `fit` that takes a teacher's answers

    def _check_settings(self) -> None:
        teachers.check_is_estimator(self.teacher, type(self).__name__, self._stored_name)
        super()._check_settings()

    def _check_sources(self, stored: Any, X_unlabeled: Any) -> None:
        if self.teacher is not None:
            teachers.check_teacher(self.teacher, self._classifies)
            if stored is not None:
                raise ValueError(f"give a teacher or {self._stored_name}, not both: one would be ignored")
        elif stored is None and X_unlabeled is not None:
            raise ValueError(f"X_unlabeled needs a teacher to label it, or {self._stored_name} that covers its rows")
        elif stored is None:
            idle = {"soft_weight": ("auto", 0), "temperature": ("auto",), "augment": ("auto", False, 0)}
            named = [name for name, unset in idle.items() if getattr(self, name, unset[0]) not in unset]
            if named:
                warnings.warn(
                    f"there is no teacher, and {' and '.join(named)} {'has' if len(named) == 1 else 'have'} no effect: "
                    f"give a teacher, or {self._stored_name}",
                    stacklevel=4,
                )

    def _warn_of_none_made(self, takes: str) -> None:
        if self.augment not in ("auto", False, 0):
            warnings.warn(f"augment={self.augment!r} has no effect: to make rows takes {takes}", stacklevel=5)

    def _read(
        self, X: Any, y: Any, sample_weight: Any, again: bool = False
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`(X as a teacher sees it, y, X encoded, weights, kept)`; fits the preprocessor unless `again`.

        Nothing learns from a row of weight 0: X and its encoding are the rows `kept` alone; y and weights are of all.
        """
        X, y = self._same_columns(X) if again else self._own_columns(X), rows.labels(y)
        whole = X
        if sample_weight is not None and not is_one_number(sample_weight) and _num_samples(X):
            told = read_weights(sample_weight, _num_samples(X)) > 0
            X = X if told.all() else rows.take(X, np.flatnonzero(told))
        auto = isinstance(self.preprocessor, str)
        if not again:
            self._unchecked = rows.names_not_texts(X)
            encodes = rows.needs_encoding(X) if auto else self.preprocessor is not None
        else:
            encodes = self.preprocessor_ is not None
        if y is None:
            validate_data(self, X, None)  # which says what is missing
        made = (
            validate_data(self, X, reset=not again, skip_check_array=True) if encodes else self._numbers(X, not again)
        )
        check_consistent_length(whole, y)
        y = self._read_y(y)
        weights = read_weights(sample_weight, len(y))
        kept = np.flatnonzero(weights)
        self._notes = []
        if not encodes:
            if not again:
                self.preprocessor_, self.text_columns_ = None, None
            return X if hasattr(X, "iloc") else made, y, rows.dense(made, "X"), weights, kept
        if not hasattr(X, "iloc") and not hasattr(X, "toarray") and auto:
            X = np.asarray(X)
            if X.ndim != 2 or not len(X):
                check_array(X)
        if not again:
            if auto:
                encoder, self.text_columns_ = rows.default_preprocessor(X)
                self.preprocessor_ = TableEncoder(**encoder.get_params(deep=False)).fit(X)
            else:
                self.preprocessor_, self.text_columns_ = clone(self.preprocessor).fit(X, y[kept]), None
        x = rows.encoded(self.preprocessor_, X)
        if self.text_columns_ is not None:
            merged = [] if again else rows.merged(X, self.text_columns_)
            for note in merged:
                warnings.warn(f"{note}; an encoder of yours as preprocessor tells them apart", stacklevel=4)
            self._notes = rows.notes(X, self.text_columns_, x.shape[1]) + merged
        return X, y, x, weights, kept

    def _read_y(self, y: Any) -> np.ndarray:
        raise NotImplementedError

    def _read_more(self, X: Any, more: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """X_unlabeled as a teacher sees it, and encoded; held to the columns of X by name."""
        if more is None:
            return None, x[:0]
        more = self._same_columns(more)
        hint = "; in a Pipeline its earlier steps transform X alone, see Pipeline(transform_input=…)"
        if hasattr(more, "iloc") and not hasattr(self, "feature_names_in_") and not hasattr(X, "iloc"):
            raise ValueError(f"X_unlabeled has named columns, X has none{hint}")
        try:
            made = self._encoded(more)
        except ValueError as error:
            raise ValueError(f"X_unlabeled: {error}{hint if 'features' in str(error) else ''}") from None
        low, high = x.min(axis=0), x.max(axis=0)
        reach = FAR * (high - low)
        outside = ((made < low - reach) | (made > high + reach)).mean(axis=0)
        if ((outside > 0.5) & (high > low)).any():
            j = int(np.argmax(np.where(high > low, outside, 0)))
            warnings.warn(
                f"X_unlabeled lies far from X: input {j} goes from {low[j]:g} to {high[j]:g} in X, from "
                f"{made[:, j].min():g} to {made[:, j].max():g} in X_unlabeled{hint}",
                stacklevel=4,
            )
        if self.preprocessor_ is None and not hasattr(more, "iloc"):
            alike = hasattr(more, "toarray") and hasattr(X, "toarray")  # sparse rows stay so, as those of X do
            more = (more.tocsr() if alike else made).astype(x.dtype, copy=False)
        return more, made.astype(x.dtype, copy=False)

    def _own_columns(self, X: Any, texts: Callable[[Any], Collection[int]] | None = None) -> Any:
        """X as read; ValueError for dates, unless a preprocessor of the caller's own takes them."""
        X = rows.read(X, texts)
        if self.preprocessor is None or isinstance(self.preprocessor, str):
            rows.check_real(X)
        return X

    def _same_columns(self, X: Any) -> Any:
        """X as read; ValueError where names that are no texts, which scikit-learn never compares, are others."""
        encoder = getattr(self, "preprocessor_", None)
        X = self._own_columns(X, encoder.text_columns if isinstance(encoder, TableEncoder) else None)
        known = getattr(self, "_unchecked", None)
        names = getattr(self, "feature_names_in_", None)
        if names is not None and getattr(self, "text_columns_", None) is not None and not hasattr(X, "iloc"):
            some = ", ".join(map(repr, names[:5].tolist())) + (", …" if len(names) > 5 else "")
            raise ValueError(f"in fit X was a table with the columns {some}: give one with the same names")
        if known is not None and hasattr(X, "iloc") and list(X.columns) != known:
            raise ValueError(f"X has the columns {list(X.columns)}, in fit it had {known}, in this order")
        return X

    def _numbers(self, X: Any, reset: bool) -> Any:
        """X as scikit-learn checks and keeps numbers, dense or sparse; after fit, the error names a column of texts."""
        try:
            return validate_data(self, X, reset=reset, dtype=[np.float64, np.float32], accept_sparse="csr")
        except ValueError as error:
            if not reset and "could not convert string" in str(error):
                rows.plain(X if hasattr(X, "iloc") else np.asarray(X), ())  # which names it
            raise

    def _encoded(self, X: Any) -> np.ndarray:
        if self.preprocessor_ is None:
            return rows.dense(self._numbers(X, False), "X")
        validate_data(self, X, reset=False, skip_check_array=True)
        if self.text_columns_ is not None and not hasattr(X, "iloc"):
            X = np.asarray(X)
            if X.ndim != 2:
                check_array(X, dtype=None)
        return rows.encoded(self.preprocessor_, X)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self.scaler_.transform(x), x.dtype)  # frames come column by column

    def _warn_of_scale(self, x: np.ndarray, target: np.ndarray) -> None:
        """Warn where the first rows of `partial_fit`, which fix the scale of all to come, have none."""
        scaled = {"rows": x} if target.dtype.kind != "f" else {"rows": x, "targets": target}
        alike = [what for what, a in scaled.items() if (a == a[:1]).all()]
        if alike:
            warnings.warn(
                f"the first call of partial_fit fixes the scale of the {' and the '.join(alike)}, and all its "
                f"{' and '.join(alike)} are alike: begin with more of them, or the later ones are taken unscaled",
                stacklevel=4,
            )

    def _params_of_teacher(self, sample_weight: Any, params: dict[str, Any]) -> dict[str, Any]:
        if not _routing_enabled():
            _raise_for_params(params, self, "fit")
            if self.teacher is None or sample_weight is None:
                return {}
            name = teachers.weight_parameter(self.teacher)
            if name is None and not teachers.is_frozen(self.teacher):
                kind = type(self.teacher).__name__
                warnings.warn(f"{kind} takes no sample_weight: to the teacher all rows weigh alike", stacklevel=4)
            return {} if name is None else {name: np.asarray(sample_weight)}
        if sample_weight is not None:
            params = {**params, "sample_weight": sample_weight}
        return dict(process_routing(self, "fit", **params).teacher.fit) if self.teacher is not None else {}

    def get_metadata_routing(self) -> MetadataRouter:
        """What scikit-learn's routing needs to know: `fit` hands on what the teacher's `fit` asks for."""
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        if self.teacher is not None:
            router.add(teacher=self.teacher, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
        return router

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "student_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.preprocessor is not None and (
            self.teacher is None or teachers.takes_missing(self.teacher)
        )
        return tags


def scaler_of(x: np.ndarray, weights: np.ndarray) -> StandardScaler:
    """A fitted scaler of x (n, d); ValueError where float64 has no room for a variance: it would count as flat."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaler = StandardScaler().fit(x, sample_weight=weights)
    whole = np.isfinite(x).all(axis=0)
    if not whole.all():
        raise ValueError(f"input {int(np.argmin(whole))} holds NaN or infinity")
    wrong = (x.min(axis=0) < x.max(axis=0)) & ((scaler.var_ == 0) | ~np.isfinite(scaler.var_))
    if wrong.any():
        raise ValueError(
            f"input {int(np.argmax(wrong))} varies by {'less' if scaler.var_[np.argmax(wrong)] == 0 else 'more'} than "
            "float64 can square: give its column in another unit"
        )
    return scaler


def is_one_number(sample_weight: Any) -> bool:
    """Whether it is one weight for all rows, of Python or NumPy."""
    return isinstance(sample_weight, Real) or (isinstance(sample_weight, np.ndarray) and sample_weight.ndim == 0)


def read_weights(sample_weight: Any, n: int) -> np.ndarray:
    """Weights (n,) as float64; ValueError unless they are of that length, not negative, and not all 0."""
    if isinstance(sample_weight, (str, bytes)):
        raise ValueError(f"sample_weight must be a number, or one for each row, got {sample_weight!r}")
    if sample_weight is None or is_one_number(sample_weight):
        sample_weight = np.full(n, 1.0 if sample_weight is None else float(sample_weight))
    sample_weight = rows.unmasked(sample_weight, "sample_weight")
    weights = check_array(sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight")
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array")
    if weights.shape != (n,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(n,)}!")
    if weights.min() < 0:
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights
