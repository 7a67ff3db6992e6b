"""`DistilledRegressor`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, column_or_1d

from kdlearn.backend import Array
from kdlearn.checks import check_finite_rows
from kdlearn.estimators.base import Distilled
from kdlearn.estimators.teachers import with_frozen_teacher
from kdlearn.loss import mean_over_rows
from kdlearn.objective import Objective, Term


class DistilledRegressor(RegressorMixin, Distilled):
    """A small network taught by numbers and by any regressor's predictions.

    Parameters
    ----------
    teacher : estimator with `predict`, or None
    hidden_layer_sizes, preprocessor, soft_weight, augment, activation, solver, alpha, batch_size, learning_rate, \
learning_rate_init, momentum, nesterovs_momentum, max_iter, max_time, shuffle, tol, early_stopping, \
validation_fraction, n_iter_no_change, warm_start, memory, verbose, random_state : as in `DistilledClassifier`.

    Attributes
    ----------
    student_, preprocessor_, scaler_, teacher_, report_, history_ and the rest : as in `DistilledClassifier`.
    target_mean_, target_scale_ : of y, numbers or (outputs,); the student works in these units.
    """

    _soft_weights = (0.5, 1.0)

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        teacher_prediction: Any = None,
        X_unlabeled: Any = None,
        **params: Any,
    ) -> Self:
        """Fit teacher and student.

        Parameters
        ----------
        X, sample_weight, X_unlabeled, **params : as in `DistilledClassifier.fit`.
        y : (n,) numbers, or (n, outputs).
        teacher_prediction : like y, predictions instead of a teacher; with X_unlabeled for n + m rows.
        """
        return self._fit(X, y, sample_weight, teacher_prediction, X_unlabeled, params)

    @with_frozen_teacher
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, teacher_prediction: Any = None) -> Self:
        """One pass at a constant rate over a part of the rows; the first call fixes encoding and scales."""
        return self._partial(X, y, sample_weight, teacher_prediction)

    def predict(self, X: Any) -> np.ndarray:
        """Predicted numbers, (n,) or (n, outputs), in the units of y."""
        made = check_finite_rows(self._forward(X).astype(np.float64) * self.target_scale_ + self.target_mean_)
        return made[:, 0] if self._one_number else made

    # ------------------------------------------------------------------ what `Distilled` asks for

    def _read_y(self, y: Any) -> np.ndarray:
        if np.asarray(y).dtype.kind in "mM":
            raise ValueError("y holds dates or times: give them as numbers, such as days since a day")
        cell = next(iter(np.asarray(y).ravel().tolist()), None)
        if isinstance(cell, str):
            raise ValueError(
                f"y must hold numbers, its first cell is the text {cell!r}: for labels there is DistilledClassifier"
            )
        self._targets = list(y.columns) if getattr(y, "ndim", 1) == 2 and hasattr(y, "columns") else None
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        return y if y.ndim == 2 and y.shape[1] > 1 else column_or_1d(y, warn=True)

    def _read_target(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        if not (self.warm_start and hasattr(self, "student_")):
            self._one_number = y.ndim == 1
            y, weights, given = y[weights > 0], weights[weights > 0], y
            largest = np.abs(y).max(axis=0)
            unit = np.where(largest > 0, largest, 1.0)  # squares of the numbers themselves could overflow
            mean = np.average(y / unit, axis=0, weights=weights)
            spread = np.sqrt(np.average((y / unit - mean) ** 2, axis=0, weights=weights))
            self.target_mean_ = mean * unit
            self.target_scale_ = np.where(spread > 0, spread * unit, 1.0)[()]
            y = given
        return self._again(y)

    def _again(self, y: np.ndarray) -> np.ndarray:
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if outputs != self._outputs() or (y.ndim == 1) != self._one_number:
            raise ValueError(f"y has {outputs} numbers a row, at first it had {self._outputs()}")
        return self._standardised(y)

    def _standardised(self, y: np.ndarray) -> np.ndarray:
        return ((y - self.target_mean_) / self.target_scale_).reshape(len(y), -1)

    def _outputs(self) -> int:
        return np.size(self.target_scale_)

    def _check_answers(self, answers: Any, n: int, whose: str) -> np.ndarray:
        names = list(answers.columns) if hasattr(answers, "columns") else None
        if names is not None and self._targets is not None and names != self._targets:
            if set(names) != set(self._targets) or len(names) != len(self._targets):
                raise ValueError(f"{whose} has the columns {names}, y has {self._targets}")
            answers = answers[self._targets]
        answers = check_array(answers, dtype=np.float64, ensure_2d=False, input_name=whose)
        if answers.size != n * self._outputs() or len(answers) != n:
            shape = (n,) if self._one_number else (n, self._outputs())
            raise ValueError(f"{whose} must have shape {shape}, got {answers.shape}")
        return self._standardised(answers.reshape(n, *np.shape(self.target_scale_)))

    def _columns(self, target: np.ndarray, n: int, answer: np.ndarray | None) -> dict[str, np.ndarray]:
        columns = {"target": np.zeros((n, target.shape[1]))}
        columns["target"][: len(target)] = target
        if answer is not None:
            columns["answer"] = answer
        return columns

    def _losses(self, T: float | None) -> tuple[Objective, Objective]:
        site = ("student.logits",)
        return Term(squared_error, site, ("target",)), Term(squared_error, site, ("answer",))

    def _judge(self, outputs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss = ((outputs - target) ** 2).mean(axis=1)
        return loss, np.full(len(loss), np.nan)

    def _score(self, outputs: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
        spread = np.average((target - np.average(target, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
        error = np.average((outputs - target) ** 2, axis=0, weights=weights)
        return float(np.mean(1 - error / np.where(spread > 0, spread, 1.0)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@mean_over_rows
def squared_error(z: Array, target: Array) -> tuple[Array, Array]:
    """`kd.regression` for several numbers a row: half the squared error, averaged over the outputs.

    z, target (N, outputs); for one output it is `kdlearn.distill.transfer.regression` itself.
    """
    d = z - target
    return 0.5 * (d * d).mean(axis=1), d / d.shape[1]
