"""Other divergences between two softened answers, each with the power of T that is its own.

Letters: N rows, K classes; `z_s`, `z_t` logits of student and teacher, (N, K); `p` the teacher's
and `q` the student's probabilities at temperature T. Each loss returns `(value, gradient)`, the
gradient with respect to its first argument. Derivation: docs/derivations/divergence.md.
"""

from __future__ import annotations

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_logits, check_share, check_temperature
from kdlearn.distill.response import kl_rows
from kdlearn.loss import mean_over_rows
from kdlearn.nn.functional import expm1_residual, softmax_backward


@mean_over_rows
def reverse_kl(z_s: Array, z_t: Array, T: float = 1.0) -> tuple[Array, Array]:
    r"""Divergence of the softened teacher from the softened student, the roles exchanged `[divergence.1]`.

    .. math:: L = \frac{T^2}{N}\sum_n w_n\,\mathrm{KL}(q_n\,\|\,p_n), \qquad
              \frac{\partial L}{\partial z_s} = \frac{w\,T}{N}\,q\,\Big(\delta - \sum_k q_k\delta_k\Big),\quad
              \delta = \frac{z_s - z_t}{T}

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher. A class masked by -inf in z_t does not exist
        for the student either: otherwise the value would be infinite for every student.
    T : temperature, > 0.

    Source: Gu et al. 2024 (MiniLLM) for the choice of this direction.

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.log([[1.0, 1.0]]), np.log([[3.0, 1.0]])  # q = (1/2, 1/2), p = (3/4, 1/4)
    >>> value, gradient = reverse_kl(z_s, z_t)
    >>> print(round(float(value), 4), gradient.round(4))
    0.1438 [[-0.2747  0.2747]]
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    xp = array_module(z_s, z_t)
    z_s = xp.where(z_t != -xp.inf, z_s, -xp.inf)
    rows, q, _, r = kl_rows(z_s, z_t, T)  # r = log(p/q): what is live comes first here
    return T * T * rows, -T * q * (r + rows[:, None])


@mean_over_rows
def jensen_shannon(z_s: Array, z_t: Array, T: float = 1.0, beta: float = 0.5) -> tuple[Array, Array]:
    r"""Divergence of both from their mixture; bounded, and defined where one of them is zero `[divergence.2]`.

    .. math:: L = \frac{T^2}{N}\sum_n w_n\,\big[\beta\,\mathrm{KL}(p_n\|m_n) + (1-\beta)\,\mathrm{KL}(q_n\|m_n)\big],
              \quad m = \beta p + (1-\beta) q, \qquad
              \frac{\partial L}{\partial z_s} = \frac{w\,T(1-\beta)}{N}\,
              q\,\Big(\log\frac qm - \mathrm{KL}(q\|m)\Big)

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher; -inf in z_t masks a class.
    T : temperature, > 0.
    beta : the teacher's share of the mixture, in (0, 1).

    Source: Lin 1991; Agarwal et al. 2024 (GKD) for distillation.

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.log([[1.0, 1.0]]), np.log([[3.0, 1.0]])  # their mixture: (5/8, 3/8)
    >>> value, gradient = jensen_shannon(z_s, z_t)
    >>> print(round(float(value), 4), gradient.round(4))
    0.0338 [[-0.0639  0.0639]]
    """
    T = check_temperature(T)
    if not 0 < check_share("beta", beta) < 1:
        raise ValueError(f"beta lies in (0, 1), got {beta!r}: at the ends the divergence is zero for every student")
    check_logits(z_s, z_t)
    xp = array_module(z_s, z_t)
    _, p, q, r = kl_rows(z_t, z_s, T)
    close = xp.abs(r) < 1
    r = xp.where(close, r, 0)
    m = beta * p + (1 - beta) * q
    log_m, log_p, log_q = (xp.log(xp.where(a == 0, 1, a)) for a in (m, p, q))
    a = xp.where(close, xp.log1p((1 - beta) * xp.expm1(r)), log_m - log_p)
    b = xp.where(close, xp.log1p(beta * xp.expm1(-r)), xp.where(q > 0, log_m - log_q, 0))
    # class by class, p expm1(a) and q expm1(b) cancel in the mixture: both forms are the same number
    residual_a, residual_b = (expm1_residual(xp.where(close, c, 0)) for c in (a, b))
    rows = beta * p * xp.where(close, residual_a, -a) + (1 - beta) * q * xp.where(close, residual_b, -b)
    return T * T * rows.sum(axis=1), T * (1 - beta) * softmax_backward(q, -b)


@mean_over_rows
def total_variation(z_s: Array, z_t: Array, T: float = 1.0) -> tuple[Array, Array]:
    r"""Half the sum of the differences of the probabilities `[divergence.3]`.

    .. math:: L = \frac{T}{N}\sum_n \tfrac12 \sum_k |p_{nk} - q_{nk}|, \qquad
              \frac{\partial L}{\partial z_s} = \frac{1}{2N}\,q\,\Big(\sigma - \sum_k q_k\sigma_k\Big),\quad
              \sigma = \mathrm{sign}(q - p)

    It shrinks like 1/T, not 1/T²: the factor is T. Where q = p there is a kink, and the sign is 0.

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher; -inf in z_t masks a class.
    T : temperature, > 0.

    Source: Wen et al. 2023 (f-divergences for sequence-level distillation).

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.log([[1.0, 1.0]]), np.log([[3.0, 1.0]])  # q = (1/2, 1/2), p = (3/4, 1/4)
    >>> value, gradient = total_variation(z_s, z_t)
    >>> print(round(float(value), 4), gradient.round(4))
    0.25 [[-0.25  0.25]]
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    xp = array_module(z_s, z_t)
    _, p, q, _ = kl_rows(z_t, z_s, T)
    difference = q - p
    return 0.5 * T * xp.abs(difference).sum(axis=1), 0.5 * softmax_backward(q, xp.sign(difference))
