"""A fitted model read back from a file: it predicts, and is exported, as the one that was saved."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import StandardScaler

from kdlearn.cells import warn_of_unknown
from kdlearn.checks import check_finite_rows
from kdlearn.export.columns import UNKNOWN
from kdlearn.export.parts import Parts
from kdlearn.nn.functional import softmax


class _Fitted(BaseEstimator):
    """What classifier and regressor share. There is nothing to fit: `fit` returns the model as it is."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        encoding = parts.plain()
        self.parts_, self.student_, self.classes_ = parts, parts.net, parts.classes
        self.n_features_in_ = len(encoding.columns)
        self.feature_names_in_ = np.array(encoding.names, dtype=object)
        self.scaler_ = None if parts.mean is None else StandardScaler()
        if self.scaler_ is not None:
            self.scaler_.mean_, self.scaler_.scale_ = parts.mean, parts.scale

    def fit(self, X: Any = None, y: Any = None, sample_weight: Any = None) -> Self:
        """Nothing to do: it is fitted."""
        return self

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        names, classes = self.feature_names_in_.tolist(), self.classes_
        what = f"{len(names)} columns: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        if classes is not None:
            what += f"; {len(classes)} classes: {', '.join(map(str, classes[:5]))}{', …' if len(classes) > 5 else ''}"
        return f"{type(self).__name__}({self.student_!r}, {what})"

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _logits(self, X: Any) -> np.ndarray:
        encoding, mean, scale = self.parts_.plain(), self.parts_.mean, self.parts_.scale
        codes = encoding.codes(X)
        encoding.check(codes)
        if encoding.named and not hasattr(X, "columns"):
            said = f"X does not have valid feature names, but {type(self).__name__} was fitted with feature names"
            warnings.warn(said, stacklevel=3)  # as scikit-learn says it
        for i in encoding.used if len(codes) else ():
            there = codes[~np.isnan(codes[:, i]), i]
            gap_unknown = (encoding.fill[encoding.column == i] == UNKNOWN).all()
            asked = encoding.columns[i].categories is not None and (len(there) or gap_unknown)
            if asked and (there == UNKNOWN).all():
                warn_of_unknown(encoding.columns[i].name)
        x = (encoding.features(codes) - encoding.shift) * encoding.factor
        x = np.ascontiguousarray(x if mean is None else (x - mean) / scale)  # as when it was taught, to the last bit
        return check_finite_rows(self.parts_.net.logits(x))


class FittedClassifier(ClassifierMixin, _Fitted):
    """A saved classifier. Raw rows, a frame by its columns' names, an array by position: warned of where fit saw names.

    NaN is refused unless an imputer is inside.
    """

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, K) in the order of `classes_`."""
        return softmax(self._logits(X).astype(np.float64))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        classes = self.classes_
        assert classes is not None
        return classes[self._logits(X).argmax(axis=1)]


class FittedRegressor(RegressorMixin, _Fitted):
    """A saved regressor. Rows as in `FittedClassifier`."""

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets, (n,) or (n, M)."""
        mean, scale = self.parts_.target
        y = check_finite_rows(self._logits(X) * np.asarray(scale) + np.asarray(mean))
        return y[:, 0] if y.shape[1] == 1 else y


def fitted(parts: Parts) -> FittedClassifier | FittedRegressor:
    """The model that these parts are."""
    return FittedRegressor(parts) if parts.classes is None else FittedClassifier(parts)
