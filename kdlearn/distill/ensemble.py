"""Several teachers: how their answers become one, and how much each of them counts.

Letters: N rows, K classes, M teachers; every argument `*logits` is (N, K), one a teacher; T
temperature. Nothing here has a gradient: these functions compute what is held, for `Given`.

    Given("team.logits", mean_of_logits, ("a.logits", "b.logits"), SoftTargets(4, teacher="team.logits"))
    weighted_teachers(("a.logits", "b.logits"), entropy_weights, T=4)

A team returns logits, so every loss takes it for a teacher; weights come as a table (N, M) whose
rows sum to one. Teachers need not be networks: a column of logits will do, whoever made it, and a
teacher that excludes a class says -inf there. Derivation: docs/derivations/ensemble.md.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import (
    check_count,
    check_labels,
    check_logits,
    check_share,
    check_sites,
    check_size,
    check_temperature,
    check_weight,
)
from kdlearn.distill.response import SoftTargets
from kdlearn.loss import by_largest
from kdlearn.nn.functional import as_real, at_label, log_softmax, real_dtype, softmax
from kdlearn.nn.mixture import check_team, descend_on_simplex, team
from kdlearn.objective import Given, Objective

# ------------------------------------------------------------------ one answer out of many


def mean_of_probabilities(*logits: Array, T: float = 1.0) -> Array:
    r"""Logits of the arithmetic mean of the softened answers: the team votes `[ensemble.1]`.

    .. math:: \bar z = T \log \frac1M \sum_m p_m,\quad p_m = \mathrm{softmax}(z_m/T), \qquad
              \mathrm{softmax}(\bar z/T) = \frac1M \sum_m p_m

    Computed among logarithms, so that no probability underflows. A class is masked only where
    every teacher excludes it. T must be the temperature of the loss that reads the team.

    Source: Hinton, Vinyals and Dean 2015, section 1.
    """
    T = check_temperature(T)
    return T * _log_mean(_log_probabilities(logits, T))


def mean_of_logits(*logits: Array) -> Array:
    r"""The mean of the logits, which is the geometric mean of the answers: the team agrees `[ensemble.2]`.

    .. math:: \bar z = \frac1M \sum_m z_m, \qquad
              \mathrm{softmax}(\bar z/T) \propto \prod_m p_m^{1/M}
              \quad\text{for every } T

    Each teacher has a veto: a class that one of them excludes is masked. One class must be left.

    Source: Hinton, Vinyals and Dean 2015, section 4, which allows either mean.
    """
    return team(logits).mean(axis=0)


def median_of_probabilities(*logits: Array, T: float = 1.0) -> Array:
    r"""Logits of the median of the softened answers, class by class: the team outvotes a liar `[ensemble.3]`.

    .. math:: \bar z_k = T \log c_k,\quad c_k = \operatorname{median}_m\, p_{mk}, \qquad
              \mathrm{softmax}(\bar z/T)_k = \frac{c_k}{\sum_j c_j}

    With an even number of teachers the median is the mean of the middle two. A class is masked
    where more than half of the teachers exclude it. Fewer than half of the teachers cannot carry
    the median of a class outside the range of the others.

    Source: Tukey 1977 for the median as an estimate that resists; for teachers, no one paper.
    """
    T = check_temperature(T)
    log_p = _log_probabilities(logits, T)
    xp, M = array_module(log_p), len(logits)
    ordered = xp.sort(log_p, axis=0)
    middle = T * _log_mean(ordered[(M - 1) // 2 : M // 2 + 1])
    return xp.where(xp.isnan(log_p).any(axis=0), xp.nan, middle).astype(log_p.dtype, copy=False)


# ------------------------------------------------------------------ how much each one counts


def entropy_weights(*logits: Array, T: float = 1.0) -> Array:
    r"""Weights (N, M) that trust the teacher who is sure `[ensemble.4]`.

    .. math:: w_m = \frac{1/H(p_m)}{\sum_j 1/H(p_j)},\qquad H(p) = -\sum_k p_k \log p_k

    They ask no label, and believe a confident liar. Teachers without any doubt share the row.

    Source: Kwon et al. 2020. The code published with Zhang et al. 2022 takes 1 - H/ΣH in this
    place (read from source, not executed).
    """
    log_p = _log_probabilities(logits, check_temperature(T))
    xp = array_module(log_p)
    p = xp.exp(log_p)
    H = -(p * xp.where(p > 0, log_p, 0)).sum(axis=2)
    inverse = 1 / xp.maximum(H, float(xp.finfo(H.dtype).eps))
    return (inverse / inverse.sum(axis=0)).T


def confidence_weights(y: Array, *logits: Array) -> Array:
    r"""Weights (N, M) that trust the teacher who is right `[ensemble.5]`.

    .. math:: w_m = \frac{1}{M-1}\Big(1 - \frac{e^{\ell_m}}{\sum_j e^{\ell_j}}\Big), \qquad
              \ell_m = -\log \mathrm{softmax}(z_m)_y

    The worst teacher of a row loses its share, whatever the others do; a single teacher has
    weight 1. No weight exceeds 1/(M-1): this rule rejects, it does not choose.

    Parameters
    ----------
    y : (N,) labels.

    Source: Zhang, Chen and Wang 2022, equations 2 and 3. Their code divides the sum of the
    weighted losses by M once more (read from source, not executed).
    """
    check_team(logits)
    xp, M = array_module(y, *logits), len(logits)
    check_labels(logits[0], y)
    log_p = xp.stack([at_label(log_softmax(as_real(z, "logits")), y) for z in logits], axis=1)
    if M == 1:
        return xp.ones_like(log_p)
    # a label that a teacher excludes costs it infinity; a finite stand-in keeps two such teachers comparable
    return (1 - softmax(xp.minimum(-log_p, 1e4))) / (M - 1)


def accuracy_weights(*accuracies: float, sharpness: float = 20.0) -> tuple[float, ...]:
    r"""One weight a teacher from its accuracy on held-out data `[ensemble.6]`.

    .. math:: w_m = \frac{e^{s a_m}}{\sum_j e^{s a_j}}

    Parameters
    ----------
    accuracies : shares in [0, 1], measured on rows that neither teachers nor student learn from.
    sharpness : s >= 0; 0 counts all alike. At 20, five points more accuracy count e times as much.

    Plain numbers, for the student's every row. No one paper: the usual control of the rules above.
    """
    if not accuracies:
        raise ValueError("there is no teacher to weigh")
    if np.ndim(accuracies[0]):
        raise TypeError("the accuracies are given one by one: accuracy_weights(0.9, 0.8), or (*accuracies) of a list")
    for a in accuracies:
        check_share("an accuracy", a)
    check_size("sharpness", sharpness)
    best = max(accuracies)
    odds = [math.exp(sharpness * (a - best)) for a in accuracies]
    return tuple(o / sum(odds) for o in odds)


def min_norm_weights(*gradients: Array, cap: float = 1.0, steps: int = 30) -> Array:
    r"""The convex combination of M gradients that is shortest `[ensemble.7]`.

    .. math:: \min_w \tfrac12\Big\|\sum_m w_m g_m\Big\|^2 \quad\text{with}\quad
              \sum_m w_m = 1,\ 0 \le w_m \le C, \qquad
              M = 2:\ w_1 = \frac{(g_2 - g_1)\cdot g_2}{\|g_1 - g_2\|^2} \text{ clipped to } [1 - C, C]

    Without the cap no gradient is opposed: :math:`g_m \cdot \sum_j w_j g_j \ge \|\sum_j w_j g_j\|^2`
    for every m, so a short step along the combination lowers every loss, or none can be improved.

    Parameters
    ----------
    gradients : arrays of one shape, one a teacher.
    cap : C in [1/M, 1]; below 1 no single gradient can rule, at 1/M all count alike.
    steps : exact solutions for a pair of gradients, the most promising pair each time; two gradients
        are one pair, and take one.

    Returns
    -------
    (M,) weights.

    Source: Du et al. 2020, equation 6, where an SVM solver on the host finds them; before that
    Désidéri 2012.
    """
    M = len(gradients)
    if not 1 / M - 1e-12 <= cap <= 1:
        raise ValueError(f"cap lies between 1/M = {1 / M:.3g} and 1 for {M} teachers, got {cap!r}")
    check_count("steps", steps)
    if any(g.shape != gradients[0].shape for g in gradients):
        raise ValueError(f"the gradients must have one shape, got {[g.shape for g in gradients]}")
    xp = array_module(*gradients)
    G, _ = by_largest(xp.stack([g.reshape(-1) for g in gradients]).astype("float64"), (0, 1))  # of any unit
    A = G @ G.T
    weights = descend_on_simplex(
        lambda w: w @ A, lambda d: ((d @ A) * d).sum(axis=1), xp.full((1, M), 1 / M, A.dtype),
        steps if M > 2 else 1, cap,
    )  # fmt: skip
    weights = xp.where(xp.isnan(A).any(), xp.nan, weights)  # a comparison would have made them all alike
    return weights[0].astype(real_dtype(gradients[0]))  # whole numbers would cut them to 0


def gradient_weights(z_s: Array, *logits: Array, T: float = 4.0, cap: float = 0.6) -> Array:
    r"""Weights (N, M), every row the same: `min_norm_weights` of the teachers' pulls on the student `[ensemble.8]`.

    .. math:: g_m = \frac{T}{N}(q - p_m), \qquad
              \sum_m w_m g_m = \frac TN\Big(q - \sum_m w_m p_m\Big)

    The pulls are the gradients of `soft_targets`; the shortest combination belongs to the mixture of
    teachers nearest to the student. The student's logits are read from `fixed`, so the weights are constants of
    the step: `weighted_teachers(teachers, functools.partial(gradient_weights, T=4),
    given=("student.logits",))`.

    Parameters
    ----------
    z_s : (N, K) the student's logits.
    T : temperature of the losses that are weighed.
    cap : C, of `min_norm_weights`; raised to 1/M where it is less.

    Source: Du et al. 2020, section 3 (AE-KD), whose C is 0.6 by default. Their code first averages
    each gradient over the rows, which compares no more than how often each class is said (read
    from source, not executed); here the gradients are those of the loss, row by row. With `micro_batch` each
    piece of a batch has weights of its own.
    """
    T = check_temperature(T)
    check_team(logits)
    check_logits(z_s, *logits)
    xp, N, M = array_module(z_s, *logits), z_s.shape[0], len(logits)
    q = softmax(as_real(z_s, "z_s"), T)
    w = min_norm_weights(*(T / N * (q - softmax(as_real(z, "logits"), T)) for z in logits), cap=max(cap, 1 / M))
    return w + xp.zeros((N, 1), w.dtype)


def weighted_teachers(
    teachers: Sequence[str],
    weights: Sequence[Any] | Callable[..., Array],
    T: float = 4.0,
    student: str = "student.logits",
    given: Sequence[str] = (),
) -> Objective:
    r"""`soft_targets` from each of M teachers, weighted and summed `[ensemble.9]`.

    .. math:: L = \sum_m w_m\, T^2\,\mathrm{KL}(p_m \,\|\, q), \qquad
              \frac{\partial L}{\partial z_s} = \frac TN\Big(q\sum_m w_m - \sum_m w_m p_m\Big)

    Where the weights sum to one, this pulls exactly like one teacher who answers
    :math:`\sum_m w_m p_m`, and is larger in value by what the teachers disagree.

    Parameters
    ----------
    teachers : names of the sites of their logits.
    weights : one weight a teacher, of any kind that a Term takes (numbers from `accuracy_weights`,
        schedules, names of columns); or a function that returns a table (N, M).
    T : temperature.
    student : name of the student's site.
    given : fixed sites that such a function takes before the teachers' logits: ("y",) for
        `confidence_weights`, ("student.logits",) for `gradient_weights`.

    Source: You et al. 2017 for the sum.
    """
    check_sites(teachers=teachers, given=given)
    teachers = tuple(teachers)
    table = f"weights of the teachers of {student}"
    columns = [f"{table}, {m}" for m in range(len(teachers))]
    chosen = columns if callable(weights) else [check_weight("weights", w) for w in weights]
    if not teachers:
        raise ValueError("there must be one weight for each teacher, and at least one teacher; got none")
    if len(chosen) != len(teachers):
        raise ValueError(f"there must be one weight for each teacher, got {len(chosen)} for {len(teachers)}")
    total: Objective = functools.reduce(
        operator.add, (w * SoftTargets(T, student, teacher) for w, teacher in zip(chosen, teachers))
    )
    if not callable(weights):
        return total
    for m, column in enumerate(columns):
        total = Given(column, operator.itemgetter((slice(None), m)), (table,), total)
    return Given(table, functools.partial(_table, weights, len(teachers)), (*given, *teachers), total)


# ------------------------------------------------------------------ what they are made of


def _table(weights: Callable[..., Array], M: int, *arrays: Array) -> Array:
    """What a function of weights returns, (N, M): further columns would be left out without a word."""
    w = weights(*arrays)
    if w.shape != (len(arrays[-1]), M):
        raise ValueError(f"the weights of {M} teachers are a table of shape {(len(arrays[-1]), M)}, got {w.shape}")
    return w


def _log_probabilities(logits: Sequence[Array], T: float) -> Array:
    """(M, N, K) logarithms of the softened answers."""
    check_team(logits)
    return array_module(*logits).stack([log_softmax(as_real(z, "logits"), T) for z in logits])


def _log_mean(log_p: Array) -> Array:
    """Logarithm of the mean over the first axis; -inf where all are."""
    xp = array_module(log_p)
    top = log_p.max(axis=0)
    top = xp.where(top != -xp.inf, top, 0)
    total = xp.exp(log_p - top).mean(axis=0)
    return xp.where(total == 0, -xp.inf, xp.log(xp.where(total == 0, 1, total)) + top)
