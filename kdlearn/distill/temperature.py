"""A temperature that is not a constant: it follows a schedule, or is learned, against the student.

Letters: N rows, K classes; `z_s`, `z_t` logits of student and teacher, (N, K); `p` the teacher's
and `q` the student's probabilities at temperature T. Derivation: docs/derivations/temperature.md.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_logits, check_share, check_size
from kdlearn.distill.response import kl_rows, soft_targets
from kdlearn.loss import across_rows, mean_over_rows
from kdlearn.nn.module import FreeVector
from kdlearn.nn.optim import constant
from kdlearn.objective import Term, Through


@across_rows
def learned_temperature(
    z_s: Array, raw: Array, z_t: Array, low: float = 1.0, high: float = 21.0
) -> tuple[Array, tuple[Array, Array]]:
    r"""Soft targets at a temperature that is itself a site, with a gradient for each `[temperature.1]`.

    .. math:: L = \frac{T^2}{N}\sum_n \mathrm{KL}(p_n\|q_n),\quad T = l + (h - l)\,\sigma(r), \qquad
              \frac{\partial L}{\partial T} = \frac{2L}{T} + \frac1N\sum_n\Big[
              \sum_k (p - q)_{nk}\, z_{s,nk} - \frac1T\,\mathrm{Cov}_{p_n}(z_t,\, z_t - z_s)\Big]

    and :math:`\partial L/\partial r` by the slope of the sigmoid; the gradient with respect to z_s is
    that of `soft_targets`.

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher.
    raw : (1,) the unbounded number r.
    low, high : bounds of T; those of the paper are 1 and 21.

    Returns
    -------
    value, (dz_s (N, K), draw (1,))

    Source: Li et al. 2023 (CTKD), section 3.2.

    Example
    -------
    >>> import numpy as np
    >>> z_s, raw, z_t = np.log([[1.0, 1.0]]), np.zeros(1), np.log([[3.0, 1.0]])
    >>> value, (dz, draw) = learned_temperature(z_s, raw, z_t, low=0.5, high=1.5)  # T = 1
    >>> print(round(float(value), 4), dz.round(4), draw.round(4))
    0.1308 [[-0.25  0.25]] [0.0088]
    """
    check_logits(z_s, z_t)
    if raw.shape != (1,):
        raise ValueError(f"raw must be one number, shape (1,), got {raw.shape}")
    if not 0 < check_size("low", low) < check_size("high", high):
        raise ValueError(f"the bounds of T must be 0 < low < high, got {low!r} and {high!r}")
    xp, N = array_module(z_s, raw, z_t), z_s.shape[0]
    slope = 0.5 * (1 + xp.tanh(0.5 * raw))  # a sigmoid that cannot overflow
    T = low + (high - low) * slope
    # T is an array on the device, so it divides the logits: nothing here may wait to read it
    rows, p, q, _ = kl_rows(z_t / T, z_s / T, 1.0)
    value = (T * T * rows).sum() / N
    known = z_t != -xp.inf
    teacher = xp.where(known, z_t, 0)
    student = xp.where(known | (z_s != -xp.inf), z_s, 0)
    centred = teacher - (p * teacher).sum(axis=1, keepdims=True)
    shared = (p * centred * (teacher - xp.where(known, student, 0))).sum()
    dT = 2 * value / T + (((p - q) * student).sum() - shared / T) / N
    draw = dT * (high - low) * slope * (1 - slope)
    return value, (T / N * (q - p), draw)


def AdversarialTemperature(
    start: float = 4.0,
    low: float = 1.0,
    high: float = 21.0,
    student: str = "student.logits",
    teacher: str = "teacher.logits",
    dtype: str = "float32",
) -> Through:
    """Soft targets at a temperature that learns to make them hard, while the student learns to meet them.

    The temperature is an adaptor without input that *ascends* the loss the student descends. It begins
    at `start` and stays between the bounds. The paper ramps the adaptor's gradient up from zero over
    the first epochs; here it has its full size from the beginning.

    Source: Li et al. 2023 (CTKD), equation 4, with one temperature for all rows (its "global" form).
    """
    if not low < start < high:
        raise ValueError(f"start must lie between the bounds {low!r} and {high!r}, got {start!r}")
    share = (start - low) / (high - low)
    raw = FreeVector(1, start=math.log(share / (1 - share)), dtype=dtype)
    site = f"{student}.raw_temperature"
    loss = functools.partial(learned_temperature, low=low, high=high)
    return Through(raw, (), site, Term(loss, (student, site), (teacher,)), ascend=True)


def ScheduledTemperature(
    schedule: Callable[[float], float], student: str = "student.logits", teacher: str = "teacher.logits"
) -> Term:
    """`SoftTargets` at the temperature `schedule(progress)`, a function of the training's progress in [0, 1]."""
    return Term(functools.partial(soft_targets_on_schedule, schedule=schedule), (student,), (teacher, "progress"))


@mean_over_rows
def soft_targets_on_schedule(
    z_s: Array, z_t: Array, progress: float, schedule: Callable[[float], float] = constant
) -> tuple[Array, Array]:
    r"""`soft_targets` at a temperature that depends on the training's progress `[temperature.2]`.

    .. math:: L = T(s)^2\,\frac1N\sum_n\mathrm{KL}(p_n\|q_n), \qquad s \in [0, 1]

    Shapes as in `soft_targets`; `progress` is s, a number. T is no parameter here, so the gradient is
    that of `soft_targets`; annealing T is its use. Source: Jafari et al. 2021 for an annealed T.

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.log([[1.0, 1.0]]), np.log([[3.0, 1.0]])
    >>> value, gradient = soft_targets_on_schedule(z_s, z_t, 0.5, schedule=lambda s: 2 - 2 * s)  # T = 1
    >>> print(round(float(value), 4), gradient.round(4))
    0.1308 [[-0.25  0.25]]
    """
    if not callable(schedule):
        raise TypeError(f"schedule must be a function of the progress, got {schedule!r}")
    return soft_targets.rows(z_s, z_t, T=schedule(check_share("progress", progress)))  # type: ignore[attr-defined]
