"""`DistilledClassifier`."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_array, column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets

from kdlearn.cells import is_missing
from kdlearn.data import log_probabilities
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.estimators import rows
from kdlearn.estimators.base import Distilled
from kdlearn.estimators.lesson import Lesson
from kdlearn.estimators.teachers import check_proba, columns_of, reduced, with_frozen_teacher
from kdlearn.nn.functional import log_softmax, softmax
from kdlearn.objective import Objective

TEMPERATURES = (1.0, 3.0)  # that compete with labels alone
TEMPERATURE = 2.0  # where the soft weight is set by hand, and nothing competes


class DistilledClassifier(ClassifierMixin, Distilled):
    """A small network taught by labels and by any classifier's probabilities.

    Parameters
    ----------
    teacher : estimator with `predict_proba`, or None
        Cloned and fitted on the raw rows; a fitted one goes into `FrozenEstimator`. Without a teacher, and
        without `teacher_proba`, the network learns from the labels alone.
    hidden_layer_sizes : tuple of int, default (32,)
    preprocessor : "auto", transformer or None, default "auto"
        Makes raw rows numbers, for the student alone. "auto" imputes missing numbers with the median and
        encodes texts, one input for each of a column's 100 commonest and one for a missing text, with a
        warning where there are more; tables of numbers without missing cells it leaves as they are.
    temperature : float or "auto", default "auto"
        Of the soft targets. "auto" is part of the contest; where `soft_weight` is a number, it is 2.
    soft_weight : float in [0, 1] or "auto", default "auto"
        Weight of the soft targets; the labels have the rest. "auto": a few weights and temperatures compete
        with labels alone, at as many weight decays, on rows held out, and the best is kept (`report_`).
    augment : "auto", bool or int, default "auto"
        Rows made of the labelled ones, for the teacher to label: a number of them, True for four times the
        labelled rows, False for none. "auto": in the contest, where there is no X_unlabeled, they compete too.
    class_weight : "balanced", dict or None
        Multiplies the weights of the rows, for the student alone: a class of weight 0 is taught to the teacher.
    activation : "relu", "tanh" or "gelu"
    solver : "adam" or "sgd"
        There is no "lbfgs": the training goes by batches.
    alpha : float or "auto", default "auto"
        Weight decay: learning rate times alpha of each weight a step, beside the gradient (decoupled) with
        "adam", within it with "sgd". "auto" is 1 with "adam" and 0 with "sgd"; where labels alone compete with
        a teacher, it is the best of some for them.
    batch_size : int or "auto", default "auto"
        "auto" is min(200, n_samples).
    learning_rate : "cosine" or "constant", default "cosine"
        Falls to zero over `max_iter`, or stays and ends by `tol`.
    learning_rate_init : float, default 0.01
    momentum, nesterovs_momentum : float, default 0.9, and bool, default True
        Of "sgd", in the form v = momentum v + gradient, weights -= rate v: under a rate that changes, another
        than scikit-learn's v = momentum v - rate gradient, weights += v.
    max_iter : int, default 200
        Passes over the data. Labels alone take more where they need them to be as good as a student who saw
        more rows.
    max_time : float or None
        Seconds for the whole fit. Contest and training end by it; a teacher's own fit is not interrupted.
    shuffle : bool, default True
    tol : float, default 1e-4
        A fall of the loss that counts, for early stopping and for a constant rate.
    early_stopping : bool, default False
        Hold out `validation_fraction` of each class, stop after `n_iter_no_change` epochs without a
        lower loss there, and keep the best epoch.
    validation_fraction, n_iter_no_change : float, default 0.1, and int, default 10
    warm_start : bool, default False
        `fit` goes on from the weights, encoding and scale of the last one.
    memory : path, joblib.Memory or None
        Where fitted teachers and their answers are kept: a search fits the teacher once a fold.
    verbose : bool, default False
        Print the loss of each epoch.
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_, n_iter_, loss_, loss_curve_, best_loss_, validation_scores_, \
best_validation_score_, coefs_, intercepts_ : as in scikit-learn's `MLPClassifier`, but for two classes, \
which have two outputs here; `best_validation_score_` is that of the epoch that is kept.
    student_ : MLP
    preprocessor_, scaler_ : before it, in this order; `preprocessor_` is None where the rows are numbers already.
    teacher_ : the fitted teacher; None where it is not used.
    report_ : dict
        "verdict", a sentence that says whether the teacher helps; "teacher_helped", True, False or None;
        "candidates", what competed; "alpha_of_labels_alone", with which they did best, teacher or not,
        and "longer_of_labels_alone", by how many times the passes: [] and None where nothing competed;
        "notes" on what was imputed and encoded.
    history_ : History
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **Distilled._parameter_constraints,
        "temperature": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }
    _method, _classifies, _stored_name = "predict_proba", True, "teacher_proba"
    _soft_weights = (0.5, 0.9)

    def __init__(
        self,
        teacher: Any = None,
        hidden_layer_sizes: int | Sequence[int] = (32,),
        *,
        preprocessor: Any = "auto",
        temperature: float | str = "auto",
        soft_weight: float | str = "auto",
        augment: int | str = "auto",
        class_weight: Any = None,
        activation: str = "relu",
        solver: str = "adam",
        alpha: float | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: str = "cosine",
        learning_rate_init: float = 0.01,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        max_iter: int = 200,
        max_time: float | None = None,
        shuffle: bool = True,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        memory: Any = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            teacher,
            hidden_layer_sizes,
            preprocessor=preprocessor,
            soft_weight=soft_weight,
            augment=augment,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            max_iter=max_iter,
            max_time=max_time,
            shuffle=shuffle,
            tol=tol,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            memory=memory,
            verbose=verbose,
            random_state=random_state,
        )
        self.temperature = temperature
        self.class_weight = class_weight

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        teacher_proba: Any = None,
        X_unlabeled: Any = None,
        **params: Any,
    ) -> Self:
        """Fit teacher and student.

        Parameters
        ----------
        X : (n, d) a DataFrame or an array, of numbers and texts, cells missing or not, or a sparse matrix.
        y : (n,) labels: texts, numbers, or True and False.
        sample_weight : (n,) or None; handed to the teacher too, where it takes one.
        teacher_proba : (n, k) probabilities instead of a teacher, in the order of the sorted classes or, in a
            DataFrame, under their names; with X_unlabeled (n + m, k).
        X_unlabeled : (m, d) more inputs, on which the student learns from the teacher alone.
        **params : handed to the teacher's fit, by scikit-learn's metadata routing.
        """
        return self._fit(X, y, sample_weight, teacher_proba, X_unlabeled, params)

    @with_frozen_teacher
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None, teacher_proba: Any = None
    ) -> Self:
        """One pass at a constant rate over a part of the rows; the first call fixes encoding, scale and `classes`.

        Nothing competes here: a teacher, which must be frozen, has the weight 0.5 and the temperature 2 unless
        they are set.
        """
        classes = None if classes is None else _own_type(np.asarray(rows.labels(classes)))
        if not hasattr(self, "student_"):
            if classes is None:
                raise ValueError("the first call of partial_fit needs classes: all labels there will be")
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes are {list(np.unique(classes))}, in the first call {list(self.classes_)}")
        if self.class_weight == "balanced":  # of one call's rows: the result would hang on how the rows are cut
            raise ValueError("partial_fit does not see all rows: class_weight='balanced' needs them; give a dict")
        self._check_class_weight()
        return self._partial(X, y, sample_weight, teacher_proba)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits (n, k); for two classes their difference (n,)."""
        z = self._forward(X)
        return z[:, 1] - z[:, 0] if len(self.classes_) == 2 else z

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, k) in the order of `classes_`."""
        return softmax(self._forward(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities (n, k), finite where the probability itself is rounded to 0."""
        return log_softmax(self._forward(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        z = self._forward(X)
        return self.classes_[z.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of rows (n,), by their weights, whose class is y (n,); labels are read as `fit` reads them."""
        y = rows.labels(y)
        own = _own_type(column_or_1d(y)) if getattr(y, "dtype", np.dtype(float)).kind in "OT" else y
        return super().score(X, own, sample_weight)

    # ------------------------------------------------------------------ what `Distilled` asks for

    def _read_y(self, y: Any) -> np.ndarray:
        shape: tuple[int, ...] = getattr(y, "shape", ())
        if len(shape) == 2 and shape[1] > 1:
            raise ValueError(
                f"y should be a 1d array, got an array of shape {shape} instead: several labels at once have no "
                "loss here; MultiOutputClassifier fits one student a column"
            )
        y = column_or_1d(y, warn=True)
        gone = [row for row, label in enumerate(y) if is_missing(label)] if y.dtype.kind in "OMm" else []
        if gone:
            raise ValueError(f"y contains NaN, first in row {gone[0]}: leave out rows without a label")
        if y.dtype.kind == "O" and 0 < sum(isinstance(label, str) for label in y) < len(y):
            others = {type(label).__name__ for label in y} - {"str"}
            raise ValueError(
                f"y mixes texts with labels of the type {', '.join(sorted(others))}: make all of them texts"
            )
        if y.dtype.kind == "S" or any(isinstance(label, bytes) for label in y[:1]):
            raise ValueError("labels are bytes: y.astype(str) makes texts of them")
        y = _own_type(y)
        if y.dtype.kind == "f":
            check_array(y, ensure_2d=False, input_name="y")
        check_classification_targets(y)
        return y

    def _read_target(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        if self.warm_start and hasattr(self, "student_"):
            return self._again(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs at least two classes, y has one class: {self.classes_.tolist()[0]!r}")
        self._check_class_weight()
        return codes

    def _check_class_weight(self) -> None:
        unknown = set(self.class_weight or ()) - set(self.classes_.tolist()) if self.class_weight != "balanced" else ()
        if unknown:
            raise ValueError(f"class_weight names {sorted(map(str, unknown))}, which y does not have")

    def _begin(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return self._again(y)

    def _again(self, y: np.ndarray) -> np.ndarray:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels that were not there at first: {list(unknown[:5])}")
        return np.searchsorted(self.classes_, y)

    def _class_weights(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray | float:
        if self.class_weight is None:
            return 1.0
        counted = np.flatnonzero(weights) if self.class_weight == "balanced" else None
        weights = compute_sample_weight(self.class_weight, y, indices=counted)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(f"class_weight must be finite, at least 0, and not 0 for all, got {self.class_weight!r}")
        return weights

    def _outputs(self) -> int:
        return len(self.classes_)

    def _check_answers(self, answers: Any, n: int, whose: str) -> np.ndarray:
        if hasattr(answers, "columns"):
            names = list(answers.columns)
            if set(names) == set(self.classes_.tolist()):
                places = [names.index(label) for label in self.classes_.tolist()]  # True and False are no mask
                answers = answers.iloc[:, places] if hasattr(answers, "iloc") else answers[self.classes_.tolist()]
            elif names != list(range(len(self.classes_))):
                raise ValueError(f"{whose} has the columns {names}, y the classes {self.classes_.tolist()}")
        return check_proba(answers, n, len(self.classes_), whose)

    def _match(self, answers: np.ndarray, known: Any, lesson: Lesson, n: int) -> np.ndarray:
        present = np.bincount(lesson.target, minlength=len(self.classes_)) > 0
        columns = columns_of(known, self.classes_, ~present)
        p = check_proba(answers, n, len(known), "the teacher's probabilities")
        return p[:, columns] if sorted(columns) == list(range(p.shape[1])) else reduced(p, columns)

    def _columns(self, target: np.ndarray, n: int, answer: np.ndarray | None) -> dict[str, np.ndarray]:
        columns = {"y": np.zeros(n, np.int64)}
        columns["y"][: len(target)] = target
        if answer is not None:
            columns["teacher.logits"] = log_probabilities(np.nan_to_num(answer, nan=1.0))
        return columns

    def _losses(self, T: float | None) -> tuple[Objective, Objective]:
        return CrossEntropy(), SoftTargets(float(T or 1.0))

    def _judge(self, outputs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_p = log_softmax(outputs.astype(np.float64))
        return -log_p[np.arange(len(target)), target], (outputs.argmax(axis=1) == target).astype(float)

    def _score(self, outputs: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
        return float(np.average(outputs.argmax(axis=1) == target, weights=weights))

    def _temperatures(self, compete: bool) -> tuple[float | None, ...]:
        if self.temperature == "auto":
            return TEMPERATURES if compete else (TEMPERATURE,)
        return (float(self.temperature),)


def _own_type(labels: np.ndarray) -> np.ndarray:
    """Numbers, or True and False, in an array of objects as an array of their own type; all else as it is."""
    if labels.dtype.kind != "O":
        return labels
    truths = [isinstance(label, (bool, np.bool_)) for label in labels.ravel()]
    if all(truths) or (not any(truths) and all(isinstance(label, Real) for label in labels.ravel())):
        return np.array(labels.tolist())
    return labels
