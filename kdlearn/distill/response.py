"""Response distillation: the student learns what the teacher answers.

Letters: N rows, K classes; `z_s`, `z_t` logits of student and teacher, (N, K); `p` the teacher's
and `q` the student's probabilities at temperature T. Each loss returns `(value, gradient)`, the
gradient with respect to its first argument. Derivation: docs/derivations/response.md.
"""

from __future__ import annotations

import functools

from kdlearn.backend import Array, array_module
from kdlearn.nn.functional import check_temperature, loss_in_float32, softmax_parts
from kdlearn.objective import Term

NONE = 1e-290  # a probability that counts as zero: the exponential of its log ratio could overflow


def check_logits(z: Array, *others: Array, least: int = 2) -> None:
    """ValueError unless all are (N, K) of one shape, with N >= 1 and K >= least."""
    if z.ndim != 2 or z.shape[0] == 0:
        raise ValueError(f"logits must be 2-D (rows, classes) with at least one row, got shape {z.shape}")
    if z.shape[1] < least:
        raise ValueError(
            f"a classifier needs at least two classes, got logits of shape {z.shape}; a network with one output "
            "learns with kd.regression"
        )
    for other in others:
        if other.shape != z.shape:
            raise ValueError(f"student and teacher logits must have one shape, got {z.shape} and {other.shape}")


def check_labels(z: Array, y: Array) -> None:
    """ValueError unless `y` has one label for each row of logits."""
    if y.shape != z.shape[:1]:
        hint = "; one-hot rows become labels with y.argmax(axis=1)" if y.shape == z.shape else ""
        raise ValueError(f"y must hold one label a row, shape {z.shape[:1]}, got {y.shape}{hint}")


@loss_in_float32
def cross_entropy(z: Array, y: Array, smoothing: float = 0.0, weight: Array | None = None) -> tuple[Array, Array]:
    r"""Cross-entropy with hard labels, optionally smoothed `[response.1]`.

    .. math:: L = -\frac1N \sum_n w_n \sum_k t_{nk} \log p_{nk},\quad
              t = (1-\varepsilon)\,\mathrm{onehot}(y) + \frac{\varepsilon}{K}, \qquad
              \frac{\partial L}{\partial z} = \frac{w}{N}\,(p - t)

    Parameters
    ----------
    z : (N, K) logits.
    y : (N,) integer labels in 0 … K-1 (checked where data enters, not here).
    smoothing : epsilon in [0, 1] (Szegedy et al. 2016, section 7).
    weight : (N,) multiplies each row's term before the mean; not renormalised.

    Source: Bridle 1990 for the gradient. Assumes finite logits but for -inf at masked classes.
    """
    check_logits(z)
    check_labels(z, y)
    xp = array_module(z, y)
    K = z.shape[1]
    u, p, c = softmax_parts(z)
    hot = y[:, None] == xp.arange(K)
    rows = c[:, 0] - (1 - smoothing) * xp.where(hot, u, 0).sum(axis=1)
    if smoothing:
        rows -= smoothing / K * u.sum(axis=1)
    # sum_k t_k = 1, so the normaliser c enters once
    if smoothing:
        p -= smoothing / K + (1 - smoothing) * hot
    else:
        p -= hot
    return weighted_mean(rows, p, 1.0, weight)


@loss_in_float32
def soft_targets(z_s: Array, z_t: Array, T: float = 4.0, weight: Array | None = None) -> tuple[Array, Array]:
    r"""Divergence of the softened student from the softened teacher `[response.2]`.

    .. math:: L = \frac{T^2}{N}\sum_n w_n\,\mathrm{KL}(p_n\,\|\,q_n),\quad
              p = \mathrm{softmax}(z_t/T),\ q = \mathrm{softmax}(z_s/T), \qquad
              \frac{\partial L}{\partial z_s} = \frac{w\,T}{N}\,(q - p)

    The softened gradient shrinks like 1/T²; the factor T² keeps its size when T is changed, so
    that T and the weight of this term can be chosen apart.

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher; -inf in z_t masks a class.
    T : temperature, > 0.
    weight : (N,) multiplies each row's term before the mean; not renormalised.

    Source: Hinton, Vinyals and Dean 2015, section 2.
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    rows, p, q, _ = kl_rows(z_t, z_s, T)
    return weighted_mean(T * T * rows, q - p, T, weight)


@loss_in_float32
def logit_matching(z_s: Array, z_t: Array) -> tuple[Array, Array]:
    r"""Half the squared distance of the logits `[response.3]`.

    .. math:: L = \frac{1}{N}\sum_n \tfrac12 \|z_{s,n} - z_{t,n}\|^2, \qquad
              \frac{\partial L}{\partial z_s} = \frac{1}{N}(z_s - z_t)

    The limit of `soft_targets` as T -> inf, times K, if the logits of each row have mean zero.

    Source: Ba and Caruana 2014, equation 1.
    """
    check_logits(z_s, z_t, least=1)
    d = z_s - z_t
    return weighted_mean(0.5 * (d * d).sum(axis=1), d, 1.0, None)


def kl_rows(z_p: Array, z_q: Array, T: float) -> tuple[Array, Array, Array, Array]:
    r"""`(KL(p||q) of each row (N,), p, q, r)` for softened logits, r = log(q/p), all in float64 `[response.4]`.

    .. math:: \mathrm{KL}(p\|q) = \sum_k p_k\,(e^{r_k} - 1 - r_k) + \sum_{p_k = 0} q_k, \qquad
              r_k = \log\frac{q_k}{p_k}

    where the first sum runs over the classes with p > 0 (r is 0 at the others). The textbook form, the
    difference of two logarithms, loses all digits where the distributions are close, as they are at
    high temperature; here no summand is negative. Double precision whatever the logits are: what
    two float32 answers differ in begins where float32 ends.
    """
    xp = array_module(z_p, z_q)
    u_p, p, c_p = softmax_parts(z_p.astype("float64", copy=False), T)
    u_q, q, c_q = softmax_parts(z_q.astype("float64", copy=False), T)
    alive = p > NONE
    r = u_q - xp.where(alive, u_p, 0)
    r -= c_q - c_p
    r = xp.where(alive, r, 0)
    return xp.where(alive, p * (xp.expm1(r) - r), q).sum(axis=1), p, q, r


def weighted_mean(rows: Array, gradient: Array, factor: float, weight: Array | None) -> tuple[Array, Array]:
    """`(mean of weight * rows, factor / N * weight * gradient)`; overwrites `gradient`."""
    N = rows.shape[0]
    rows = weighted(rows, gradient, weight)
    gradient *= factor / N
    return rows.sum() / N, gradient


def weighted(rows: Array, gradient: Array, weight: Array | None) -> Array:
    """`weight * rows`, and `gradient` (N, K) multiplied in place by its row's weight; None leaves both as they are."""
    if weight is None:
        return rows
    if weight.shape != rows.shape:
        raise ValueError(f"weight must hold one number a row, shape {rows.shape}, got {weight.shape}")
    gradient *= weight[:, None]
    return rows * weight


def CrossEntropy(student: str = "student.logits", labels: str = "y", smoothing: float = 0.0) -> Term:
    """The term `cross_entropy(student, labels)`."""
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing lies in [0, 1], got {smoothing!r}")
    loss = functools.partial(cross_entropy, smoothing=smoothing) if smoothing else cross_entropy
    return Term(loss, (student,), (labels,))


def SoftTargets(T: float = 4.0, student: str = "student.logits", teacher: str = "teacher.logits") -> Term:
    """The term `soft_targets(student, teacher, T)`: the student at `student`, its teacher at `teacher`."""
    return Term(functools.partial(soft_targets, T=check_temperature(T)), (student,), (teacher,))
