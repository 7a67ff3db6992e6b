"""Transfer: to other inputs, to fewer classes, to numbers instead of classes.

Two kinds of transfer need no code. Without labels: `SoftTargets()` alone, on data without a
column `y`. Across modalities: columns `teacher.x` and `student.x` with paired views of each row.

Letters: N rows, K classes; `z_s`, `z_t` outputs of student and teacher, (N, K), for regression
(N, 1). Each loss returns `(value, gradient)`, the gradient with respect to its first argument.
Derivation: docs/derivations/transfer.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from kdlearn.backend import Array, array_module
from kdlearn.distill.response import weighted_mean
from kdlearn.nn.functional import loss_in_float32
from kdlearn.objective import Term


def select_classes(classes: Iterable[int]) -> Callable[[Array], Array]:
    r"""A function for `Given`: a teacher's logits (N, K) for some of its classes, in this order `[transfer.1]`.

    .. math:: \mathrm{softmax}(z_t[C]/T)_k = \frac{p_k}{\sum_{j \in C} p_j} = p(k \mid k \in C), \qquad
              p = \mathrm{softmax}(z_t/T)

    The teacher of a specialist: `Given("few.logits", select_classes([3, 5]), ("teacher.logits",),
    SoftTargets(4, teacher="few.logits"))`. The student's class i is the teacher's `classes[i]`.
    """
    chosen = tuple(int(k) for k in classes)
    if not chosen or len(set(chosen)) < len(chosen) or min(chosen) < 0:
        raise ValueError(f"classes must be different numbers from 0 on, got {list(chosen)}")
    return functools.partial(_columns, chosen=chosen)


def _columns(z: Array, chosen: tuple[int, ...]) -> Array:
    if max(chosen) >= z.shape[1]:
        raise ValueError(f"there is no class {max(chosen)}: the logits have {z.shape[1]} columns")
    return array_module(z).stack([z[:, k] for k in chosen], axis=1)


@loss_in_float32
def regression(z: Array, y: Array, weight: Array | None = None) -> tuple[Array, Array]:
    r"""Half the squared error of a number `[transfer.2]`.

    .. math:: L = \frac1N \sum_n w_n\,\tfrac12 (z_n - y_n)^2, \qquad
              \frac{\partial L}{\partial z_n} = \frac{w_n}{N}\,(z_n - y_n)

    Parameters
    ----------
    z : (N, 1) outputs of a network.
    y : (N,) or (N, 1) numbers: labels, or a teacher's outputs.
    weight : (N,) multiplies each row's term before the mean; not renormalised.

    Source: Gauss 1809.
    """
    d = z - like(z, y)
    return weighted_mean(0.5 * (d * d)[:, 0], d, 1.0, weight)


@loss_in_float32
def regression_kd(z_s: Array, y: Array, z_t: Array, alpha: float = 0.5) -> tuple[Array, Array]:
    r"""Squared errors from label and teacher, mixed `[transfer.3]`.

    .. math:: L = \frac1N \sum_n \tfrac12\big[(1-\alpha)(z_s - y)^2 + \alpha\,(z_s - z_t)^2\big], \qquad
              \frac{\partial L}{\partial z_s} = \frac1N\big(z_s - (1-\alpha)\,y - \alpha z_t\big)

    It differs from one squared error, to the mixed target, by a constant only: where the teacher
    answers on the labelled inputs alone, it can but move the labels.

    Parameters
    ----------
    z_s, z_t : (N, 1) outputs of student and teacher.
    y : (N,) or (N, 1) labels.
    alpha : the teacher's share, in [0, 1].

    Source: Saputra et al. 2019, where a confidence then weights the teacher's part.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha lies in [0, 1], got {alpha!r}")
    to_label, to_teacher = z_s - like(z_s, y), z_s - like(z_s, z_t)
    rows = 0.5 * ((1 - alpha) * to_label * to_label + alpha * to_teacher * to_teacher)
    return weighted_mean(rows[:, 0], (1 - alpha) * to_label + alpha * to_teacher, 1.0, None)


@loss_in_float32
def bounded_regression(z_s: Array, y: Array, z_t: Array, margin: float = 0.0) -> tuple[Array, Array]:
    r"""The error from the label, but only where the student is not better than its teacher `[transfer.4]`.

    .. math:: L = \frac1N \sum_n a_n\,\tfrac12 (z_s - y)^2, \quad
              a = \big[(z_s - y)^2 + m > (z_t - y)^2\big], \qquad
              \frac{\partial L}{\partial z_s} = \frac{a}{N}\,(z_s - y)

    The teacher is a bound, not a target: a student that beats it by the margin is left alone. The
    value jumps there, from half the squared error to 0; the gradient is that of either side.

    Parameters
    ----------
    z_s, z_t : (N, 1) outputs of student and teacher.
    y : (N,) or (N, 1) labels.
    margin : m >= 0, in squares of the label's unit.

    Source: Chen et al. 2017, section 3.3; there it is added to the loss of the labels.
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0, got {margin!r}")
    y = like(z_s, y)
    d, of_teacher = z_s - y, like(z_s, z_t) - y
    d = d * (d * d + margin > of_teacher * of_teacher)
    return weighted_mean(0.5 * (d * d)[:, 0], d, 1.0, None)


def like(z: Array, y: Array) -> Array:
    """`y` in the shape and dtype of z, (N, 1); ValueError where it has other rows."""
    if z.ndim != 2 or z.shape[1] != 1 or z.shape[0] == 0:
        raise ValueError(f"regression needs outputs of shape (N, 1) with at least one row, got {z.shape}")
    if y.shape not in (z.shape, z.shape[:1]):
        raise ValueError(f"there must be one number a row, shape {z.shape[:1]} or {z.shape}, got {y.shape}")
    return y.reshape(z.shape).astype(z.dtype, copy=False)


def Regression(student: str = "student.logits", target: str = "y") -> Term:
    """The term `regression(student, target)`; the target may be a teacher's output, `"teacher.logits"`."""
    return Term(regression, (student,), (target,))


def BoundedRegression(
    margin: float = 0.0, student: str = "student.logits", labels: str = "y", teacher: str = "teacher.logits"
) -> Term:
    """The term `bounded_regression(student, labels, teacher, margin)`."""
    return Term(functools.partial(bounded_regression, margin=margin), (student,), (labels, teacher))
