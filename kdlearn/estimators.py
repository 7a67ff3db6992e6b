"""Distillation in scikit-learn's idiom: a small network taught by any estimator.

    DistilledClassifier(RandomForestClassifier(500), hidden_layer_sizes=(32,)).fit(X, y)

Both estimators standardise their inputs, clone and fit their teacher (wrap one that is fitted in
scikit-learn's `FrozenEstimator`), and train an `MLP` with `kdlearn.fit`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_array, check_is_fitted, validate_data

from kdlearn.data import Data, log_probabilities
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.distill.transfer import Regression
from kdlearn.hooks import EarlyStopping
from kdlearn.nn.functional import check_temperature, softmax
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import AdamW, cosine
from kdlearn.objective import Objective
from kdlearn.run import Run
from kdlearn.training import fit


class _Distilled(BaseEstimator):
    """What classifier and regressor share: parameters, scaling, weights, the training."""

    def __init__(
        self,
        teacher: Any = None,
        hidden_layer_sizes: int | Sequence[int] = (32,),
        *,
        soft_weight: float = 0.7,
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.01,
        max_iter: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.teacher = teacher
        self.hidden_layer_sizes = hidden_layer_sizes
        self.soft_weight = soft_weight
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.verbose = verbose
        self.random_state = random_state

    def _check_settings(self) -> None:
        sizes = self.hidden_layer_sizes
        sizes = (sizes,) if isinstance(sizes, (int, np.integer)) else tuple(sizes)
        if any(isinstance(h, bool) or not isinstance(h, (int, np.integer)) or h < 1 for h in sizes):
            raise ValueError(f"hidden_layer_sizes must be positive integers, got {self.hidden_layer_sizes!r}")
        if not (isinstance(self.soft_weight, (int, float)) and 0 <= self.soft_weight <= 1):
            raise ValueError(f"soft_weight must lie in [0, 1], got {self.soft_weight!r}")
        if self.early_stopping and not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must lie in (0, 1), got {self.validation_fraction!r}")
        self._hidden = sizes

    def _weights(self, sample_weight: Any, X: np.ndarray) -> np.ndarray:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return weights

    def _train(self, columns: dict[str, np.ndarray], objective: Objective, n_out: int) -> None:
        """Scale, hold rows out if stopping early, and fit `student_` on the columns."""
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        self.scaler_ = StandardScaler().fit(columns["x"], sample_weight=columns["taught"])
        x = self.scaler_.transform(columns["x"])
        dtype = "float32" if columns["x"].dtype == np.float32 else "float64"
        data = Data({**columns, "x": x.astype(dtype)})
        validation = None
        hooks: list[Any] = [self._report] if self.verbose else []
        if self.early_stopping:
            order = np.random.default_rng(seed).permutation(len(data))
            held = max(1, math.ceil(self.validation_fraction * len(data)))
            if held >= len(data):
                raise ValueError(f"validation_fraction={self.validation_fraction} leaves none of {len(data)} rows")
            validation, data = data.take(order[:held]), data.take(order[held:])
            hooks.append(EarlyStopping("loss", self.n_iter_no_change))
        batch_size: Any = min(200, len(data)) if self.batch_size == "auto" else self.batch_size
        self.student_ = MLP(x.shape[1], *self._hidden, n_out, seed=seed, dtype=dtype)
        self.history_ = fit(
            self.student_,
            objective,
            data,
            optimizer=AdamW(self.learning_rate_init, weight_decay=self.alpha),
            schedule=cosine,
            epochs=self.max_iter,
            batch_size=batch_size,
            seed=seed,
            validation=validation,
            hooks=hooks,
            progress=False,
        )
        self.n_iter_ = len(self.history_)
        self.loss_ = self.history_["loss"][-1]

    @staticmethod
    def _report(run: Run) -> None:
        print(f"Iteration {run.epoch}, loss = {run.history['loss'][-1]:.8f}")

    def _forward(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self.student_.logits(self.scaler_.transform(X))

    def _all_rows(self, X: np.ndarray, X_unlabeled: Any) -> np.ndarray:
        if X_unlabeled is None:
            return X
        extra = check_array(X_unlabeled, dtype=X.dtype)
        if extra.shape[1] != X.shape[1]:
            raise ValueError(f"X_unlabeled has {extra.shape[1]} features, X has {X.shape[1]}")
        return np.concatenate([X, extra])


def _row_weights(w: np.ndarray, n_rows: int) -> dict[str, np.ndarray]:
    """Columns of weights with mean 1: `labelled` over the first rows alone, `taught` over all."""
    labelled, taught = np.zeros(n_rows), np.full(n_rows, w.mean())
    labelled[: len(w)] = w
    taught[: len(w)] = w
    return {"labelled": labelled * (n_rows / labelled.sum()), "taught": taught * (n_rows / taught.sum())}


class DistilledClassifier(ClassifierMixin, _Distilled):
    """A small network taught by labels and by any classifier's probabilities.

    Parameters
    ----------
    teacher : estimator with `predict_proba`, or None
        Cloned and fitted on (X, y); a fitted one goes into `FrozenEstimator`. Without a teacher, and
        without `teacher_proba`, the network learns from the labels alone.
    hidden_layer_sizes : tuple of int, default (32,)
    temperature : float, default 2.0
        Of the soft targets.
    soft_weight : float in [0, 1], default 0.7
        Weight of the soft targets; the labels have the rest.
    alpha : float, default 0.0
        Decoupled weight decay.
    batch_size : int or "auto", default "auto"
        "auto" is min(200, n_samples).
    learning_rate_init : float, default 0.01
        Of Adam, falling to zero along a cosine.
    max_iter : int, default 200
        Passes over the data.
    early_stopping : bool, default False
        Hold out `validation_fraction` of the rows, stop after `n_iter_no_change` epochs without a
        lower loss there, and keep the best epoch.
    validation_fraction : float, default 0.1
    n_iter_no_change : int, default 10
    verbose : bool, default False
        Print the loss of each epoch.
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_, n_features_in_, n_iter_, loss_ : as in scikit-learn.
    student_ : MLP
    teacher_ : the fitted teacher, or None.
    history_ : History
    """

    def __init__(
        self,
        teacher: Any = None,
        hidden_layer_sizes: int | Sequence[int] = (32,),
        *,
        temperature: float = 2.0,
        soft_weight: float = 0.7,
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.01,
        max_iter: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            teacher,
            hidden_layer_sizes,
            soft_weight=soft_weight,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            max_iter=max_iter,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            verbose=verbose,
            random_state=random_state,
        )
        self.temperature = temperature

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, teacher_proba: Any = None, X_unlabeled: Any = None
    ) -> Self:
        """Fit teacher and student.

        Parameters
        ----------
        X, y : (n, d) and (n,) labels of any type.
        sample_weight : (n,) or None.
        teacher_proba : (n, k) probabilities in the order of the sorted classes, instead of a teacher.
        X_unlabeled : (m, d) more inputs, on which the student learns from the teacher alone.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self._check_settings()
        temperature = check_temperature(self.temperature)
        weights = self._weights(sample_weight, X)
        X, y, kept = X[weights > 0], y[weights > 0], weights > 0
        weights = weights[kept]
        self.classes_, codes = np.unique(y, return_inverse=True)
        K = len(self.classes_)
        if K < 2:
            raise ValueError(f"a classifier needs at least two classes, y has one class: {self.classes_[0]!r}")
        rows = self._all_rows(X, X_unlabeled)
        columns = {"x": rows, "y": np.zeros(len(rows), np.int64), **_row_weights(weights, len(rows))}
        columns["y"][: len(X)] = codes
        objective: Objective = CrossEntropy() * "labelled"
        logits = self._teacher_logits(X, y, rows, weights, sample_weight, teacher_proba, kept, temperature)
        if logits is not None:
            columns["teacher.logits"] = logits.astype(rows.dtype)
            soft = SoftTargets(temperature) * "taught"
            objective = (1 - self.soft_weight) * objective + self.soft_weight * soft
        self._train(columns, objective, K)
        return self

    def _teacher_logits(
        self,
        X: np.ndarray,
        y: np.ndarray,
        rows: np.ndarray,
        weights: np.ndarray,
        sample_weight: Any,
        teacher_proba: Any,
        kept: np.ndarray,
        temperature: float,
    ) -> np.ndarray | None:
        if self.teacher is not None and not hasattr(self.teacher, "predict_proba"):
            raise TypeError(f"a teacher needs predict_proba, {type(self.teacher).__name__} has none")
        self.teacher_ = None
        if teacher_proba is not None:
            p = _check_proba(teacher_proba, len(kept), self.classes_)[kept]
            if len(rows) > len(X):
                raise ValueError("X_unlabeled needs a teacher to label it; teacher_proba covers the rows of X alone")
            return log_probabilities(p)
        if self.teacher is None:
            if len(rows) > len(X):
                raise ValueError("X_unlabeled needs a teacher to label it")
            return None
        extra = {} if sample_weight is None else {"sample_weight": weights}
        self.teacher_ = clone(self.teacher).fit(X, y, **extra)
        known = getattr(self.teacher_, "classes_", None)
        if known is None or set(np.asarray(known).tolist()) != set(self.classes_.tolist()):
            raise ValueError(f"the teacher knows the classes {known}, y has {self.classes_}")
        p = _check_proba(self.teacher_.predict_proba(rows), len(rows), self.classes_)
        return log_probabilities(p[:, np.argsort(known)])  # classes_ are sorted

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits (n, k); for two classes their difference (n,)."""
        z = self._forward(X)
        return z[:, 1] - z[:, 0] if len(self.classes_) == 2 else z

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, k) in the order of `classes_`."""
        return softmax(self._forward(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        z = self._forward(X)
        return self.classes_[z.argmax(axis=1)]


class DistilledRegressor(RegressorMixin, _Distilled):
    """A small network taught by targets and by any regressor's predictions.

    Parameters
    ----------
    teacher : estimator with `predict`, or None
    hidden_layer_sizes, soft_weight, alpha, batch_size, learning_rate_init, max_iter, early_stopping, \
validation_fraction, n_iter_no_change, verbose, random_state : as in `DistilledClassifier`.

    Attributes
    ----------
    n_features_in_, n_iter_, loss_, student_, teacher_, history_ : as in `DistilledClassifier`; the
        student works in units of the targets' mean and deviation, `target_mean_`, `target_scale_`.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_unlabeled: Any = None) -> Self:
        """Fit teacher and student; arguments as in `DistilledClassifier.fit`, y (n,) numbers."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        y = column_or_1d(y, warn=True).astype(np.float64)
        self._check_settings()
        weights = self._weights(sample_weight, X)
        X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        rows = self._all_rows(X, X_unlabeled)
        if self.teacher is None and len(rows) > len(X):
            raise ValueError("X_unlabeled needs a teacher to label it")
        self.target_mean_ = np.average(y, weights=weights)
        self.target_scale_ = math.sqrt(np.average((y - self.target_mean_) ** 2, weights=weights)) or 1.0
        columns = {"x": rows, "target": np.zeros((len(rows), 1)), **_row_weights(weights, len(rows))}
        columns["target"][: len(X), 0] = (y - self.target_mean_) / self.target_scale_
        objective: Objective = Regression(target="target") * "labelled"
        self.teacher_ = None
        if self.teacher is not None:
            extra = {} if sample_weight is None else {"sample_weight": weights}
            self.teacher_ = clone(self.teacher).fit(X, y, **extra)
            answer = np.asarray(self.teacher_.predict(rows), dtype=np.float64).reshape(-1, 1)
            if not np.isfinite(answer).all():
                raise ValueError("the teacher's predictions have values that are not finite")
            columns["answer"] = (answer - self.target_mean_) / self.target_scale_
            objective = (1 - self.soft_weight) * objective + self.soft_weight * (Regression(target="answer") * "taught")
        self._train({name: a.astype(X.dtype) for name, a in columns.items()}, objective, 1)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets (n,)."""
        return self._forward(X)[:, 0] * self.target_scale_ + self.target_mean_


def _check_proba(p: Any, n_rows: int, classes: np.ndarray) -> np.ndarray:
    p = check_array(p, dtype=np.float64)
    if p.shape != (n_rows, len(classes)):
        raise ValueError(
            f"the teacher's probabilities must have shape ({n_rows}, {len(classes)}), a column for each of "
            f"{list(classes)}; got {p.shape}"
        )
    if p.min() < 0:
        raise ValueError(f"the teacher's probabilities must not be negative, got {p.min()}")
    total = p.sum(axis=1, keepdims=True)
    off = float(np.abs(total - 1).max())
    if off > 1e-4:
        raise ValueError(f"the teacher's probabilities must sum to 1 in each row; one row is off by {off:.3g}")
    if off > 1e-6:
        warnings.warn("the teacher's probabilities were renormalised", stacklevel=3)
    return p / total
