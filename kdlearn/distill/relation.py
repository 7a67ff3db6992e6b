"""Relational distillation: the student learns how the teacher's rows lie to one another.

Letters: N rows of a batch; `h_s` hidden activations of the student, (N, D), `h_t` of the teacher,
(N, E). Only relations between rows are compared, never the rows themselves, so the widths may
differ and no regressor is needed. A hat is a row scaled to unit length; a zero row stays zero, and
no gradient passes through its hat. One row alone has no relation, and every loss
is zero. Each loss returns `(value, gradient)`, the gradient with respect to `h_s`. Derivation:
docs/derivations/relation.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_features, check_size
from kdlearn.distill.feature import cosine_distance, unit_rows, unit_rows_backward
from kdlearn.loss import across_rows, by_largest, huber
from kdlearn.nn.functional import expm1_residual


def _between_rows(loss: Callable) -> Callable:
    """`across_rows` for a relation: checks the shapes, and answers zero where there is one row alone."""

    @across_rows
    @functools.wraps(loss)
    def checked(h_s: Array, h_t: Array, **settings: float) -> tuple[Array, Array]:
        check_features(h_s, h_t, same_width=False)
        if h_s.shape[0] < 2:
            xp = array_module(h_s, h_t)
            return xp.zeros((), h_s.dtype), xp.zeros_like(h_s)
        return loss(h_s, h_t, **settings)

    return checked


@_between_rows
def similarity_preserving(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""Which rows excite the same units, compared between student and teacher `[relation.1]`.

    .. math:: L = \frac{1}{N^2}\|\hat S_s - \hat S_t\|^2,\quad S = h h^\top, \qquad
              \frac{\partial L}{\partial\hat S_s} = \frac{2}{N^2}(\hat S_s - \hat S_t),\quad
              \frac{\partial L}{\partial h_s} = (dS + dS^\top)\,h_s

    The rows of S are scaled to unit length, and dS follows from [feature.2]. Shapes: (N, D) and
    (N, E). Source: Tung and Mori 2019, equations 2 and 4.

    Example
    -------
    >>> import numpy as np
    >>> h_s, h_t = np.array([[1.0, 0.0], [1.0, 0.0]]), np.eye(2)
    >>> print(round(float(similarity_preserving(h_s, h_t)[0]), 4))  # 1 - 1/√2
    0.2929
    """
    N = h_s.shape[0]
    (h_s, per_m), (h_t, _) = by_largest(h_s, (0, 1)), by_largest(h_t, (0, 1))  # or products of tiny numbers are none
    u_s, inverse = unit_rows(h_s @ h_s.T)
    u_t, _ = unit_rows(h_t @ h_t.T)
    d = u_s - u_t
    dS = unit_rows_backward(u_s, inverse, 2 / N**2 * d)
    return (d * d).sum() / N**2, per_m * ((dS + dS.T) @ h_s)


@_between_rows
def probabilistic_transfer(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""Whom each row would pick, if it picked a neighbour by similarity `[relation.2]`.

    .. math:: L = \frac{1}{N^2}\sum_{ij} P_{ij}\log\frac{P_{ij}}{Q_{ij}},\quad
              Q_{ij} = \frac{K_{ij}}{\sum_k K_{ik}},\quad K = \tfrac12(\hat h_s\hat h_s^\top + 1), \qquad
              \frac{\partial L}{\partial K_{ij}} = \frac{Q_{ij} - P_{ij}}{N^2 K_{ij}}

    P is the same of the teacher. A similarity below the rounding of a cosine, that of rows
    exactly opposite, counts as that rounding and has no gradient: its logarithm would be -inf.

    Shapes: (N, D) and (N, E). Source: Passalis and Tefas 2018, equations 3, 4 and 6, with the
    cosine kernel; their sum, divided by N² as in their code.

    Example
    -------
    >>> import numpy as np
    >>> h_s, h_t = np.array([[1.0, 0.0], [1.0, 1.0]]), np.eye(2)
    >>> value, gradient = probabilistic_transfer(h_s, h_t)
    >>> print(round(float(value), 4), gradient.round(4).tolist())
    0.0167 [[0.0, 0.0263], [0.0132, -0.0132]]
    """
    xp = array_module(h_s, h_t)
    N = h_s.shape[0]
    u, inverse = unit_rows(h_s)
    v, _ = unit_rows(h_t)
    least = float(xp.finfo(u.dtype).eps)
    K_s = xp.maximum(0.5 * (u @ u.T + 1), least)
    K_t = xp.maximum(0.5 * (v @ v.T + 1), least)
    P = K_t / K_t.sum(axis=1, keepdims=True)
    Q = K_s / K_s.sum(axis=1, keepdims=True)
    # the rows of P and Q sum to one, so P log(P/Q) may be summed as P (e^d - 1 - d), no term negative
    value = (P * expm1_residual(xp.log(Q) - xp.log(P))).sum() / N**2
    dC = xp.where(K_s > least, (Q - P) / K_s, 0) / (2 * N**2)
    return value, unit_rows_backward(u, inverse, (dC + dC.T) @ u)


@_between_rows
def relational_distance(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""How far apart two rows are, measured by the mean distance `[relation.3]`.

    .. math:: L = \frac{1}{N^2}\sum_{ij} \ell(\psi_{s,ij} - \psi_{t,ij}),\quad
              \psi_{ij} = \frac{d_{ij}}{\mu},\quad d_{ij} = \|h_i - h_j\|,\quad
              \mu = \frac{\sum_{i\ne j} d_{ij}}{N(N-1)}, \qquad
              \frac{\partial L}{\partial d_{ij}} = \frac1\mu
              \Big(d\psi_{ij} - \frac{\sum_{kl} d\psi_{kl}\psi_{kl}}{N(N-1)}\Big),\quad
              d\psi = \frac{\ell'}{N^2}

    where :math:`\ell` is Huber's function with threshold 1. Coincident rows have distance 0 and
    exchange no gradient; where all coincide, every :math:`\psi` is 0.

    Shapes: (N, D) and (N, E). Source: Park et al. 2019, equations 5 to 8.

    Example
    -------
    >>> import numpy as np
    >>> h_s, h_t = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [3.0]])
    >>> value, gradient = relational_distance(h_s, h_t)  # 1/72
    >>> print(round(float(value), 4), gradient.round(4).tolist())
    0.0139 [[-0.0417], [0.0833], [-0.0417]]
    """
    xp = array_module(h_s, h_t)
    N = h_s.shape[0]
    pairs = N * (N - 1)
    h, d_s, apart, per_m = _distances(h_s)
    _, d_t, _, _ = _distances(h_t)
    psi_s, per_mean = _by_the_mean(d_s, pairs)
    psi_t, _ = _by_the_mean(d_t, pairs)
    rows, dpsi = huber(psi_s - psi_t)
    dd = per_mean / N**2 * (dpsi - (dpsi * psi_s).sum() / pairs)
    w = xp.where(apart, dd / xp.where(apart, d_s, 1), 0)
    # each pair is met twice, as (i, j) and as (j, i)
    gradient = 2 * per_m * (w.sum(axis=1, keepdims=True) * h - w @ h)
    return (rows.sum() / N**2).astype(h_s.dtype), gradient.astype(h_s.dtype)


@_between_rows
def relational_angle(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""The angle that two rows make, seen from a third `[relation.4]`.

    .. math:: L = \frac{1}{N^3}\sum_{jik} \ell(A_{s,jik} - A_{t,jik}),\quad
              A_{jik} = e_{ji}\cdot e_{jk},\quad e_{ji} = \frac{h_i - h_j}{\|h_i - h_j\|}, \qquad
              \frac{\partial L}{\partial e_{ji}} = \frac{2}{N^3}\sum_k \ell'_{jik}\, e_{jk}

    where :math:`\ell` is Huber's function with threshold 1 and [feature.2] leads from the edges
    e to their ends. An edge between coincident rows is zero.

    The angles are N³ numbers, four times over, and the edges N²D: 36 MB in float32 at N = 128 and
    D = 16, 280 MB at N = 256. Take a part of the batch where that is too much.

    Shapes: (N, D) and (N, E). Source: Park et al. 2019, equations 9 and 10.

    Example
    -------
    >>> import numpy as np
    >>> corner, line = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([[0.0], [1.0], [2.0]])
    >>> value, gradient = relational_angle(corner, line)
    >>> print(round(float(value), 4), gradient.round(4).tolist())
    0.1296 [[0.0587, 0.1265], [0.0339, -0.0926], [-0.0926, -0.0339]]
    """
    N = h_s.shape[0]
    e_s, inverse = unit_rows(h_s[None, :, :] - h_s[:, None, :])
    e_t, _ = unit_rows(h_t[None, :, :] - h_t[:, None, :])
    rows, dA = huber(e_s @ e_s.swapaxes(1, 2) - e_t @ e_t.swapaxes(1, 2))
    edges = unit_rows_backward(e_s, inverse, 2 / N**3 * (dA @ e_s))
    # an edge pulls its far end one way and its vertex the other
    return rows.sum() / N**3, edges.sum(axis=0) - edges.sum(axis=1)


@_between_rows
def correlation_congruence(h_s: Array, h_t: Array, gamma: float = 0.4) -> tuple[Array, Array]:
    r"""How alike two rows are, on a scale that forgets what is far `[relation.5]`.

    .. math:: L = \frac{1}{N^2}\|K_s - K_t\|^2,\quad
              K_{ij} = e^{-\gamma\|\hat h_i - \hat h_j\|^2}, \qquad
              \frac{\partial L}{\partial C} = 2\gamma\, dK\odot K_s,\quad dK = \frac{2}{N^2}(K_s - K_t),\quad
              \frac{\partial L}{\partial\hat h_s} = (dC + dC^\top)\,\hat h_s

    with the cosines :math:`C = \hat h_s\hat h_s^\top`.

    Parameters
    ----------
    h_s, h_t : (N, D) and (N, E).
    gamma : sharpness of the kernel.

    Source: Peng et al. 2019, equations 6 and 8, the Gaussian kernel itself instead of its Taylor series.

    Example
    -------
    >>> import numpy as np
    >>> h_s, h_t = np.array([[1.0, 0.0], [1.0, 1.0]]), np.eye(2)
    >>> value, gradient = correlation_congruence(h_s, h_t)
    >>> print(round(float(value), 4), gradient.round(4).tolist())
    0.0584 [[0.0, 0.153], [0.0765, -0.0765]]
    """
    check_size("gamma", gamma)
    N = h_s.shape[0]
    u, inverse = unit_rows(h_s)
    v, inverse_t = unit_rows(h_t)
    K_s, K_t = _gaussian(u, inverse, gamma), _gaussian(v, inverse_t, gamma)
    d = K_s - K_t
    dC = 4 * gamma / N**2 * d * K_s
    return (d * d).sum() / N**2, unit_rows_backward(u, inverse, (dC + dC.T) @ u)


@_between_rows
def linear_cka(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""One minus the centred kernel alignment of the two layers `[relation.6]`.

    .. math:: L = 1 - \frac{\|H_s^\top H_t\|^2}{\|H_s^\top H_s\|\,\|H_t^\top H_t\|}
              = 1 - \frac{\langle K_s, K_t\rangle}{\|K_s\|\,\|K_t\|},\quad K = HH^\top, \qquad
              \frac{\partial L}{\partial h_s} = 2\,dK\,H_s

    H is h with the mean of each column taken off. The cosine distance [feature.4] of the two
    matrices of similarities, each read as one long row: from there comes dK. Blind to rotations
    and to one factor for all of h. A layer that is the same for all rows has similarity zero with
    every other.

    Shapes: (N, D) and (N, E); memory N². Source: Kornblith et al. 2019, section 3.

    Example
    -------
    >>> import numpy as np
    >>> h_s, h_t = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [1.0]])
    >>> value, gradient = linear_cka(h_s, h_t)  # one less the squared correlation, 3/4
    >>> print(round(float(value), 4), gradient.round(4).tolist())
    0.25 [[0.25], [-0.5], [0.25]]
    """
    N = h_s.shape[0]
    (H_s, per_m), (H_t, _) = by_largest(_centred(h_s), (0, 1)), by_largest(_centred(h_t), (0, 1))
    value, dK = cosine_distance((H_s @ H_s.T).reshape(1, -1), (H_t @ H_t.T).reshape(1, -1))
    # the rows of K, and so of dK, sum to zero: this gradient is centred as it is
    return value, 2 * per_m * (dK.reshape(N, N) @ H_s)


def _centred(h: Array) -> Array:
    # the first row goes first: then a constant column becomes exactly zero, not the rounding of its mean
    h = h - h[:1]
    return h - h.mean(axis=0)


def _distances(h: Array) -> tuple[Array, Array, Array, Array]:
    """`(h centred, distances (N, N), which rows are apart, 1 / m)`, in float64, in units of the largest entry m.

    From |a|² + |b|² - 2 a·b, for N² D differences are slow to write down. This one cancels for
    close rows, hence float64 inside; what is below its rounding is no distance.
    """
    xp = array_module(h)
    h, per_m = by_largest(_centred(h.astype("float64")), (0, 1))
    gram = h @ h.T
    squares = gram.diagonal()
    total = squares[:, None] + squares
    d2 = total - 2 * gram
    together = d2 <= 100 * float(xp.finfo(d2.dtype).eps) * total  # False for NaN, which stays what it is
    return h, xp.sqrt(xp.where(together, 0, d2)), ~together, per_m


def _by_the_mean(d: Array, pairs: int) -> tuple[Array, Array]:
    """`(d / mean, 1 / mean)`; both zero where the mean over `pairs` is."""
    xp = array_module(d)
    mean = d.sum() / pairs
    per_mean = xp.where(mean == 0, 0, 1 / xp.where(mean == 0, 1, mean))
    return d * per_mean, per_mean


def _gaussian(u: Array, inverse: Array, gamma: float) -> Array:
    # |û_i - û_j|² with |û|² being one, or zero for a zero row
    length = (inverse > 0).astype(u.dtype)
    return array_module(u).exp(-gamma * (length + length.T - 2 * (u @ u.T)))
