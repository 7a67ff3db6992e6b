"""Response distillation: the student learns what the teacher answers.

Letters: N rows, K classes; `z_s`, `z_t` logits of student and teacher, (N, K); `p` the teacher's
and `q` the student's probabilities at temperature T. Each loss returns `(value, gradient)`, the
gradient with respect to its first argument. Derivation: docs/derivations/response.md.
"""

from __future__ import annotations

import functools

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_labels, check_logits, check_share, check_temperature
from kdlearn.loss import mean_over_rows
from kdlearn.nn.functional import at_label, less_at_label, softmax_parts
from kdlearn.objective import Term

# Least log ratio to a row's largest probability: what is masked counts as e^-690 of it. Nothing that small can be
# seen in a value, and its logarithm, and the exponential of that, are numbers.
LEAST = -690.0


@mean_over_rows
def cross_entropy(z: Array, y: Array, smoothing: float = 0.0, ignore: int | None = None) -> tuple[Array, ...]:
    r"""Cross-entropy with hard labels, optionally smoothed `[response.1]`.

    .. math:: L = -\frac1N \sum_n w_n \sum_k t_{nk} \log p_{nk},\quad
              t = (1-\varepsilon)\,\mathrm{onehot}(y) + \frac{\varepsilon}{K}, \qquad
              \frac{\partial L}{\partial z} = \frac{w}{N}\,(p - t)

    Parameters
    ----------
    z : (N, K) logits.
    y : (N,) integer labels in 0 … K-1.
    smoothing : epsilon in [0, 1] (Szegedy et al. 2016, section 7).
    ignore : a label that says "none is known"; such rows cost nothing, and the mean is over the others; without any
        it is 0. Their `weight` must be a number all the same: NaN there makes NaN of all.

    Source: Bridle 1990 for the gradient. Assumes finite logits but for -inf at masked classes.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = cross_entropy(np.log([[3.0, 1.0]]), np.array([0]))  # -log 3/4
    >>> print(round(float(value), 4), gradient.round(4))
    0.2877 [[-0.25  0.25]]
    """
    check_logits(z)
    check_labels(z, y, ignore)
    K, counts = z.shape[1], None
    if ignore is not None:
        xp = array_module(z, y)
        counts = (y != ignore).astype(z.dtype)
        y = xp.where(y != ignore, y, 0)
    u, p, c = softmax_parts(z)
    rows = at_label(u, y)
    if smoothing != 0.0:
        check_share("smoothing", smoothing)
        rows = (1 - smoothing) * rows + smoothing / K * u.sum(axis=1)
        p -= smoothing / K
    rows = c[:, 0] - rows  # sum_k t_k = 1, so the normaliser c enters once
    p = less_at_label(p, y, 1 - smoothing)
    return (rows, p) if counts is None else (rows, p, counts)


@mean_over_rows
def soft_targets(z_s: Array, z_t: Array, T: float = 4.0) -> tuple[Array, Array]:
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

    Source: Hinton, Vinyals and Dean 2015, section 2.

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.log([[1.0, 1.0]]), np.log([[3.0, 1.0]])  # q = (1/2, 1/2), p = (3/4, 1/4)
    >>> value, gradient = soft_targets(z_s, z_t, T=1.0)
    >>> print(round(float(value), 4), gradient.round(4))
    0.1308 [[-0.25  0.25]]
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    kl, p, q, _ = kl_rows(z_t, z_s, T)
    kl *= T * T
    q -= p
    q *= T
    return kl, q


@mean_over_rows
def logit_matching(z_s: Array, z_t: Array) -> tuple[Array, Array]:
    r"""Half the squared distance of the logits `[response.3]`.

    .. math:: L = \frac{1}{N}\sum_n \tfrac12 \|z_{s,n} - z_{t,n}\|^2, \qquad
              \frac{\partial L}{\partial z_s} = \frac{1}{N}(z_s - z_t)

    The limit of `soft_targets` as T -> inf, times K, if the logits of each row have mean zero.

    Source: Ba and Caruana 2014, equation 1.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = logit_matching(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
    >>> print(round(float(value), 4), gradient.round(4))
    2.5 [[1. 2.]]
    """
    check_logits(z_s, z_t, least=1)
    xp = array_module(z_s, z_t)
    d = z_s - xp.where(z_s == z_t, 0, z_t)
    d = xp.where(z_s == z_t, 0, d)  # what both mask is no difference; infinity less infinity would be none
    return 0.5 * (d * d).sum(axis=1), d


def kl_rows(z_p: Array, z_q: Array, T: float) -> tuple[Array, Array, Array, Array]:
    r"""`(KL(p||q) of each row (N,), p, q, r)` for softened logits, r = log(q/p), all in float64 `[response.4]`.

    .. math:: \mathrm{KL}(p\|q) = \sum_k p_k\,(e^{r_k} - 1 - r_k), \qquad r_k = \log\frac{q_k}{p_k}

    The textbook form, the difference of two logarithms, loses all digits where the distributions are close,
    as they are at high temperature; here no summand is negative, and for logits that lie d apart a relative error of
    about 2e-16 T/d is left. A class that p masks counts as e^-690 of the
    largest: its summand is then q_k, as it must be, and where both mask it, 0. Double precision
    whatever the logits are: what two float32 answers differ in begins where float32 ends.
    """
    xp = array_module(z_p, z_q)
    # both at once: a small batch costs calls, not arithmetic
    z = xp.empty((2, *z_p.shape))  # float64
    z[0], z[1] = z_p, z_q
    (u_p, u_q), (p, q), (c_p, c_q) = softmax_parts(z, T)
    masked, r = u_p <= LEAST, u_q
    xp.copyto(r, xp.maximum(r, LEAST), where=masked)
    r -= xp.maximum(u_p, LEAST)
    r -= c_q - c_p
    terms = xp.expm1(r)
    terms -= r
    terms *= p
    xp.copyto(terms, q, where=masked)
    return terms.sum(axis=1), p, q, r


def CrossEntropy(
    student: str = "student.logits", labels: str = "y", smoothing: float = 0.0, ignore: int | None = None
) -> Term:
    """The term `cross_entropy(student, labels)`; rows whose label is `ignore` are left out of it."""
    settings: dict[str, float] = {"smoothing": smoothing} if check_share("smoothing", smoothing) else {}
    if ignore is not None:
        settings["ignore"] = ignore
    return Term(functools.partial(cross_entropy, **settings) if settings else cross_entropy, (student,), (labels,))


def SoftTargets(T: float = 4.0, student: str = "student.logits", teacher: str = "teacher.logits") -> Term:
    """The term `soft_targets(student, teacher, T)`: the student at `student`, its teacher at `teacher`."""
    return Term(functools.partial(soft_targets, T=check_temperature(T)), (student,), (teacher,))
