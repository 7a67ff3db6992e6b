"""Teachers: what is refused before one is fitted, how one is fitted, and whose column is whose class."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE, RFECV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, get_tags
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from kdlearn.cells import as_text, without_point
from kdlearn.nn.network import Network
from kdlearn.nn.stack import Stack

OF_SEVERAL = (MLPRegressor, BaggingRegressor)  # that predict several numbers a row, and whose tags deny it
STACKS = (StackingClassifier, StackingRegressor)
VOTES = (VotingClassifier, VotingRegressor)


def check_outputs(teacher: Any, y: np.ndarray) -> None:
    """ValueError where y has several columns and the teacher predicts one, or the reverse: told before it is fitted."""
    if not isinstance(teacher, BaseEstimator) or isinstance(teacher, FrozenEstimator):
        return
    tags = get_tags(teacher).target_tags
    if y.ndim == 1 and not tags.single_output:
        raise ValueError(
            f"y is one column, and the teacher {type(teacher).__name__} takes several: give a teacher of one, without "
            "what splits the columns"
        )
    if y.ndim == 2 and not tags.multi_output and not isinstance(_inside(teacher), OF_SEVERAL):
        raise ValueError(
            f"y has {y.shape[1]} columns, and the teacher {type(teacher).__name__} predicts one: "
            "MultiOutputRegressor(teacher) fits one for each"
        )


def check_is_estimator(teacher: Any, whose: str, stored: str) -> None:
    """InvalidParameterError for what has no `fit`, a network above all: it says how its answers can teach instead.

    Parameters
    ----------
    whose : the name of the student's class.
    stored : the parameter of its `fit` that takes answers.
    """
    inner = teacher.estimator if isinstance(teacher, FrozenEstimator) else teacher
    if inner is None or hasattr(inner, "fit"):
        return
    ours = isinstance(inner, Network) and not isinstance(inner, Stack)
    ask = "p" if not ours else "net.predict_proba(X)" if stored == "teacher_proba" else "net.logits(X)"
    what = "p its answers, a row for each row of X; or " if ask == "p" else "net being the network; or "
    raise InvalidParameterError(
        f"The 'teacher' parameter of {whose} must be an estimator with fit, or None. Got {type(inner).__name__} "
        f"instead. Without a teacher, fit(X, y, {stored}={ask}) learns from its answers, {what}wrap it in an estimator "
        "of scikit-learn's kind"
    )


def check_teacher(teacher: Any, classifies: bool) -> None:
    """TypeError unless the teacher can teach: before a minute is spent on fitting it."""
    name = type(teacher).__name__
    if inspect.isclass(teacher):
        raise TypeError(f"teacher is the class {teacher.__name__}; it must be an object: {teacher.__name__}(…)")
    if classifies and not _has(teacher, "predict_proba"):
        kind = "; it is a regressor" if _kind(teacher) == "regressor" else "; CalibratedClassifierCV gives it some"
        raise TypeError(f"a teacher needs predict_proba, {name} has none{kind}")
    if not classifies and (_kind(teacher) == "classifier" or not _has(teacher, "predict")):
        kind = "is a classifier" if _kind(teacher) == "classifier" else "has no predict"
        raise TypeError(f"a teacher of numbers is a regressor, {name} {kind}")
    if isinstance(teacher, FrozenEstimator):
        try:
            check_is_fitted(teacher.estimator)
        except NotFittedError:
            raise ValueError("the teacher in FrozenEstimator is not fitted") from None


def _inside(teacher: Any) -> Any:
    """The estimator at the end of pipelines and inside searches, which hand on what their `fit` is given."""
    while isinstance(teacher, (Pipeline, BaseSearchCV, RFE)):
        teacher = teacher.steps[-1][1] if isinstance(teacher, Pipeline) else teacher.estimator
    return teacher


def _has(teacher: Any, method: str) -> bool:
    """Whether it answers so; a stack with its default final estimator says that it does only once it is fitted."""
    stack = _inside(teacher)
    by_default = isinstance(stack, STACKS) and stack.final_estimator is None and getattr(teacher, "refit", True)
    return hasattr(teacher, method) or bool(by_default and hasattr(type(stack), method))


def _kind(teacher: Any) -> str | None:
    """ "classifier", "regressor", or None for another or for what is no estimator of scikit-learn."""
    return get_tags(teacher).estimator_type if isinstance(teacher, BaseEstimator) else None


def takes_missing(teacher: Any) -> bool:
    """Whether it says that it takes missing cells."""
    return not isinstance(teacher, BaseEstimator) or bool(get_tags(teacher).input_tags.allow_nan)


def is_frozen(teacher: Any) -> bool:
    """Whether the teacher stays as it is: a clone of it is itself, as `FrozenEstimator` arranges."""
    return teacher is None or clone(teacher, safe=False) is teacher


class with_frozen_teacher:
    """A method that a model has only where its teacher stays as it is; the error, an AttributeError, says so.

    scikit-learn's `available_if` says in the last line alone that there is no such method, and the reason far above.
    """

    def __init__(self, method: Callable) -> None:
        self.method, self.__doc__ = method, method.__doc__

    def __get__(self, model: Any, owner: Any = None) -> Callable:
        if model is None:
            return self.method
        if not is_frozen(model.teacher):
            raise AttributeError(
                f"{self.method.__name__} takes a teacher only if it is fitted, in FrozenEstimator; or give stored "
                "answers and no teacher"
            )
        return MethodType(self.method, model)


def weight_parameter(teacher: Any) -> str | None:
    """The keyword under which the teacher's `fit` takes one weight a row; None where it takes none."""
    if isinstance(teacher, Pipeline):
        name, last = teacher.steps[-1]
        inner = weight_parameter(last)
        return None if inner is None else f"{name}__{inner}"
    if isinstance(teacher, (BaseSearchCV, RFE)) and not isinstance(teacher, RFECV):
        return weight_parameter(teacher.estimator)
    if isinstance(teacher, (*STACKS, *VOTES)):
        parts = [part for _, part in teacher.estimators if not isinstance(part, str)]
        if isinstance(teacher, STACKS):
            parts += [] if teacher.final_estimator is None else [teacher.final_estimator]
        return "sample_weight" if all(has_fit_parameter(part, "sample_weight") for part in parts) else None
    return "sample_weight" if has_fit_parameter(teacher, "sample_weight") else None


def taught(
    teacher: Any, X: Any, y: np.ndarray, params: dict[str, Any], questions: Sequence[Any], method: str
) -> tuple[Any, list[np.ndarray], np.ndarray | None]:
    """`(fitted clone, its answers to each table of questions, the classes of their columns)`.

    A teacher that takes no labels but 0 … K-1, as XGBoost does, gets those, and its columns stay the sorted
    classes of y. Whatever it is given it computes only once where this function is cached.
    """
    known = None
    try:
        fitted = clone(teacher).fit(X, y, **params)
    except ValueError:
        classes, codes = np.unique(y, return_inverse=True)
        if method == "predict" or np.array_equal(classes, np.arange(len(classes))):
            raise
        try:
            fitted = clone(teacher).fit(X, codes, **params)
        except Exception:
            fitted = None
        if fitted is None:
            raise  # what the teacher said of the labels as they are
        known = classes
    if known is None and method == "predict_proba":
        known = getattr(fitted, "classes_", None)
    return fitted, [np.asarray(getattr(fitted, method)(rows)) for rows in questions], known


def columns_of(known: Any, classes: np.ndarray, may_lack: np.ndarray) -> np.ndarray:
    """For each class of the student the teacher's column, -1 for none.

    Labels are the same if they are equal, or written alike ("1", 1, "1.0" and 1.0); a teacher of 0 … K-1, as an
    encoder of labels leaves it, knows the K sorted classes, unless that would give another column to a label that
    both have: 1 of 1, 2, 3.

    Parameters
    ----------
    known : the teacher's classes, in the order of its columns.
    classes : the student's, sorted.
    may_lack : (K,) whether a class may be missing: nothing was taught about it.
    """
    if known is None or np.ndim(known) != 1:
        raise ValueError("the teacher has no classes_: the columns of its predict_proba have no names")
    theirs = np.asarray(known).tolist()
    for alike in (lambda label: label, lambda label: without_point(as_text(label))):
        where = {alike(label): column for column, label in enumerate(theirs)}
        found = np.array([where.get(alike(label), -1) for label in classes.tolist()])
        one_each = len(where) == len(theirs) and len(set(found[found >= 0])) == (found >= 0).sum() > 0
        if one_each and ((found >= 0) | may_lack).all():
            return found
    hint = ""
    if sorted(where) == sorted(map(str, range(len(classes)))):
        in_order = np.array([where[str(k)] for k in range(len(classes))])
        if ((found < 0) | (found == in_order)).all():
            return in_order
        hint = "; if its classes are the places of y's sorted ones, give y as those: LabelEncoder().fit_transform(y)"
    missing = [str(label) for label, column in zip(classes.tolist(), found) if column < 0]
    raise ValueError(
        f"the teacher knows the classes {', '.join(map(str, theirs))}, but not {', '.join(missing)}, which y has{hint}"
    )


def check_proba(p: Any, n_rows: int, n_columns: int, whose: str) -> np.ndarray:
    """Probabilities (n, k) whose rows sum to one, as float64."""
    cell = next(iter(np.asarray(p).ravel().tolist()), None)
    if isinstance(cell, str):
        raise ValueError(f"{whose} must be probabilities, a column for each class; there is the text {cell!r}")
    p = check_array(p, dtype=np.float64, input_name=whose)
    if p.shape != (n_rows, n_columns):
        raise ValueError(f"{whose} must have shape ({n_rows}, {n_columns}), a column for each class; got {p.shape}")
    if p.min() < 0:
        raise ValueError(f"{whose} must not be negative, got {p.min()}")
    total = p.sum(axis=1, keepdims=True)
    off = float(np.abs(total - 1).max())
    if off > 1e-4:
        raise ValueError(f"{whose} must sum to 1 in each row; one row is off by {off:.3g}")
    if off > 1e-6:
        warnings.warn(f"{whose} were renormalised", stacklevel=4)
    return p / total


def reduced(p: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Probabilities (n, K) of the student's classes, given that it is one of them; a row of NaN where all say no.

    p_k / sum_j p_j over the K columns: the teacher's answer to the question that the student is asked.
    """
    made = np.where(columns >= 0, p[:, columns], 0.0)
    total = made.sum(axis=1, keepdims=True)
    return np.divide(made, total, out=np.full_like(made, np.nan), where=total > 0)


def warn_of_silence(answer: np.ndarray) -> None:
    """Warn of the rows of `reduced` in which the teacher says nothing of y's classes."""
    silent = int(np.isnan(answer).any(axis=1).sum())
    if silent:
        warnings.warn(
            f"in {silent:,} of {len(answer):,} rows the teacher is sure of classes that y does not have: they have "
            "no soft targets; leave such rows out of X_unlabeled, or give y all classes",
            stacklevel=4,
        )
