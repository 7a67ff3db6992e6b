"""Transfer: to other inputs, to fewer classes, to numbers instead of classes.

Two kinds of transfer need no code. Without labels: `SoftTargets()` alone, on data without a
column `y`. Across modalities: columns `teacher.x` and `student.x` with paired views of each row.

Letters: N rows, K classes; `z_s`, `z_t` outputs of student and teacher, (N, K), for regression
(N, 1). Each loss returns `(value, gradient)`, the gradient with respect to its first argument.
Derivation: docs/derivations/transfer.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_share, check_size, different_numbers
from kdlearn.loss import mean_over_rows
from kdlearn.nn.functional import as_real
from kdlearn.objective import Term


def select_classes(classes: Iterable[int]) -> Callable[[Array], Array]:
    r"""A function for `Given`: a teacher's logits (N, K) for some of its classes, in this order `[transfer.1]`.

    .. math:: \mathrm{softmax}(z_t[C]/T)_k = \frac{p_k}{\sum_{j \in C} p_j} = p(k \mid k \in C), \qquad
              p = \mathrm{softmax}(z_t/T)

    The teacher of a specialist: `Given("few.logits", select_classes([3, 5]), ("teacher.logits",),
    SoftTargets(4, teacher="few.logits"))`. The student's class i is the teacher's `classes[i]`.
    """
    return functools.partial(_columns, chosen=different_numbers(classes, "classes"))


def match_classes(teacher: Sequence[Any], student: Sequence[Any]) -> Callable[[Array], Array]:
    r"""A function for `Given`: a teacher's logits (N, K_t) as those of the student's classes, by name `[transfer.5]`.

    .. math:: z'_i = \begin{cases} z_{j} & \text{where teacher}_j = \text{student}_i\\
              -\infty & \text{where the teacher has no such class}\end{cases}

    Classes that the student lacks are cut, those that the teacher lacks are masked, others are put in order:
    what remains is `select_classes`, the teacher's belief given that it is one of the classes that both know.

    Parameters
    ----------
    teacher, student : the names of their classes, in the order of their logits.
    """
    for who, names in (("teacher", teacher), ("student", student)):
        if len(set(names)) < len(names) or not len(names):
            raise ValueError(f"the {who}'s classes must be different names, at least one, got {list(names)}")
    at = {name: i for i, name in enumerate(teacher)}
    chosen = tuple(at.get(name, -1) for name in student)
    if max(chosen) < 0:
        raise ValueError(f"teacher and student have no class in common: {list(teacher)} and {list(student)}")
    return functools.partial(_columns, chosen=chosen, width=len(teacher))


def _columns(z: Array, chosen: tuple[int, ...], width: int | None = None) -> Array:
    if width not in (None, z.shape[1]):
        raise ValueError(f"the teacher has {width} classes by name, its logits have {z.shape[1]} columns")
    if max(chosen) >= z.shape[1]:
        raise ValueError(f"there is no class {max(chosen)}: the logits have {z.shape[1]} columns")
    xp = array_module(z)
    z = z if z.dtype.kind == "f" else as_real(z, "z")  # whole numbers have no -inf
    missing = xp.full(len(z), -xp.inf, z.dtype)
    return xp.stack([missing if k < 0 else z[:, k] for k in chosen], axis=1)


@mean_over_rows
def regression(z: Array, target: Array) -> tuple[Array, Array]:
    r"""Half the squared error of a number `[transfer.2]`.

    .. math:: L = \frac1N \sum_n w_n\,\tfrac12 (z_n - y_n)^2, \qquad
              \frac{\partial L}{\partial z_n} = \frac{w_n}{N}\,(z_n - y_n)

    Parameters
    ----------
    z : (N, 1) outputs of a network.
    target : (N,) or (N, 1) numbers: labels, or a teacher's outputs.

    Source: Gauss 1809.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = regression(np.array([[1.0], [4.0]]), np.array([0.0, 2.0]))
    >>> print(value, gradient.tolist())
    1.25 [[0.5], [1.0]]
    """
    d = z - like(z, target)
    return 0.5 * (d * d)[:, 0], d


@mean_over_rows
def regression_kd(z_s: Array, target: Array, z_t: Array, alpha: float = 0.5) -> tuple[Array, Array]:
    r"""Squared errors from label and teacher, mixed `[transfer.3]`.

    .. math:: L = \frac1N \sum_n \tfrac12\big[(1-\alpha)(z_s - y)^2 + \alpha\,(z_s - z_t)^2\big], \qquad
              \frac{\partial L}{\partial z_s} = \frac1N\big(z_s - (1-\alpha)\,y - \alpha z_t\big)

    It differs from one squared error, to the mixed target, by a constant only: where the teacher
    answers on the labelled inputs alone, it can but move the labels.

    Parameters
    ----------
    z_s, z_t : (N, 1) outputs of student and teacher.
    target : (N,) or (N, 1) labels.
    alpha : the teacher's share, in [0, 1].

    Source: Saputra et al. 2019, where a confidence then weights the teacher's part.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = regression_kd(np.array([[1.0]]), np.array([0.0]), np.array([[3.0]]))
    >>> print(value, gradient.tolist())
    1.25 [[-0.5]]
    """
    check_share("alpha", alpha)
    to_label, to_teacher = z_s - like(z_s, target), z_s - like(z_s, z_t)
    rows = 0.5 * ((1 - alpha) * to_label * to_label + alpha * to_teacher * to_teacher)
    return rows[:, 0], (1 - alpha) * to_label + alpha * to_teacher


@mean_over_rows
def bounded_regression(z_s: Array, target: Array, z_t: Array, margin: float = 0.0) -> tuple[Array, Array]:
    r"""The error from the label, but only where the student is not better than its teacher `[transfer.4]`.

    .. math:: L = \frac1N \sum_n a_n\,\tfrac12 (z_s - y)^2, \quad
              a = \big[(z_s - y)^2 + m > (z_t - y)^2\big], \qquad
              \frac{\partial L}{\partial z_s} = \frac{a}{N}\,(z_s - y)

    The teacher is a bound, not a target: a student that beats it by the margin is left alone. The
    value jumps there, from half the squared error to 0; the gradient is that of either side.

    Parameters
    ----------
    z_s, z_t : (N, 1) outputs of student and teacher.
    target : (N,) or (N, 1) labels.
    margin : m >= 0, in squares of the label's unit.

    Source: Chen et al. 2017, section 3.3; there it is added to the loss of the labels.

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.array([[1.0], [3.0]]), np.array([[2.0], [2.0]])  # the first is better than its teacher
    >>> value, gradient = bounded_regression(z_s, np.zeros(2), z_t)
    >>> print(value, gradient.tolist())
    2.25 [[0.0], [1.5]]
    """
    check_size("margin", margin)
    y = like(z_s, target)
    d, of_teacher = z_s - y, like(z_s, z_t) - y
    xp, bound = array_module(d), of_teacher * of_teacher
    d = xp.where(d * d + margin <= bound, 0, d)
    d = xp.where(xp.isnan(bound), bound, d)  # a teacher that says nothing is no bound that was met
    return 0.5 * (d * d)[:, 0], d


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
