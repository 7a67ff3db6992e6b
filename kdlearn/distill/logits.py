"""What else can be read from logits: the label's class and the others apart, correlations, z-scores.

Letters: N rows, K classes; `z_s`, `z_t` logits of student and teacher, (N, K); `y` labels, (N,);
`p` the teacher's and `q` the student's probabilities at temperature T; a hat leaves the label's
class out and renormalises. Each loss returns `(value, gradient)`, the gradient with respect to
its first argument. Derivation: docs/derivations/logits.md.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_labels, check_logits, check_size, check_temperature
from kdlearn.distill.response import cross_entropy, kl_rows
from kdlearn.loss import across_rows, mean_over_rows
from kdlearn.nn.functional import at_label, log_softmax, log_softmax_backward, one_hot, softmax, softmax_parts
from kdlearn.objective import Term
from kdlearn.values import check_top


@mean_over_rows
def decoupled_kd(
    z_s: Array, z_t: Array, y: Array, T: float = 4.0, alpha: float = 1.0, beta: float = 8.0
) -> tuple[Array, Array]:
    r"""The label's class against the others, and the others among themselves, weighted apart `[logits.1]`.

    .. math:: L = \frac{T^2}{N}\sum_n \alpha\,\mathrm{KL}(b^p\|b^q) + \beta\,\mathrm{KL}(\hat p\|\hat q),\quad
              b = (p_y,\, 1 - p_y), \qquad
              \frac{\partial L}{\partial z_s} = \frac TN\big[\alpha\,(q_y - p_y)(\mathrm{onehot}(y) - \hat q)
              + \beta\,(\hat q - \hat p)\big]

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher, K >= 2; -inf in z_t masks a class.
    y : (N,) integer labels.
    T : temperature, > 0.
    alpha, beta : weights of the two parts. In plain distillation they are 1 and 1 - p_y.

    Source: Zhao et al. 2022, section 3.

    Example
    -------
    >>> import numpy as np
    >>> z_t = np.log([[2.0, 1.0, 1.0]])  # p = (1/2, 1/4, 1/4); the others agree
    >>> value, gradient = decoupled_kd(np.zeros((1, 3)), z_t, np.array([0]), T=1.0)
    >>> print(round(float(value), 4), gradient.round(4))
    0.0589 [[-0.1667  0.0833  0.0833]]
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    xp = array_module(z_s, z_t, y)
    check_size("alpha", alpha)
    check_size("beta", beta)
    hat_s, hat_t, label, _ = without_label(z_s, z_t, y)
    kl, p, q, _ = kl_rows(z_t, z_s, T)
    kl_hat, p_hat, q_hat, _ = kl_rows(hat_t, hat_s, T)
    # KL(p||q) = KL(b||b) + (1 - p_y) KL(hat||hat), solved for its first part
    others_p, others_q = (xp.where(label, 0, a).sum(axis=1) for a in (p, q))
    finite = kl_hat < xp.inf
    binary = xp.maximum(xp.where(finite, kl, 0) - others_p * xp.where(finite, kl_hat, 0), 0)
    binary = xp.where(finite, binary, _binary_kl(at_label(p, y), at_label(q, y)) + _binary_kl(others_p, others_q))
    gradient = alpha * at_label(q - p, y)[:, None] * (label - q_hat) + beta * (q_hat - p_hat)
    return T * T * (alpha * binary + (beta * kl_hat if beta else 0)), T * gradient


@mean_over_rows
def normalized_kd(z_s: Array, z_t: Array, y: Array, T: float = 1.0, gamma: float = 1.5) -> tuple[Array, Array]:
    r"""Cross-entropy as strong as the teacher's belief in the label, and the others renormalised `[logits.2]`.

    .. math:: L = \frac1N\sum_n -p_y \log q_y \Big|_{T=1}
              - \gamma\,T^2 \sum_{i\ne y} \hat p_i \log \hat q_i, \qquad
              \frac{\partial L}{\partial z_s} = \frac1N\big[p_y\,(q - \mathrm{onehot}(y))\big|_{T=1}
              + \gamma\,T\,(\hat q - \hat p)\big]

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher, K >= 2; -inf in z_t masks a class.
    y : (N,) integer labels.
    T : temperature of the second part, > 0.
    gamma : weight of the second part.

    Source: Yang et al. 2023 (NKD).

    Example
    -------
    >>> import numpy as np
    >>> z_t = np.log([[2.0, 1.0, 1.0]])  # 1/2 log 3 + 3/2 log 2
    >>> value, gradient = normalized_kd(np.zeros((1, 3)), z_t, np.array([0]))
    >>> print(round(float(value), 4), gradient.round(4))
    1.589 [[-0.3333  0.1667  0.1667]]
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    xp = array_module(z_s, z_t, y)
    check_size("gamma", gamma)
    hat_s, hat_t, _, exists = without_label(z_s, z_t, y)
    p_y = at_label(softmax(z_t), y)
    rows, gradient = cross_entropy.rows(z_s, y)  # type: ignore[attr-defined]
    _, p_hat, q_hat, _ = kl_rows(hat_t, hat_s, T)
    rows_hat = -(p_hat * xp.where(hat_t != -xp.inf, log_softmax(hat_s, T), 0)).sum(axis=1)
    gradient_hat = exists[:, None] * (q_hat - p_hat)
    rows = xp.where((p_y == 0) & (rows == xp.inf), 0, rows)  # a label that both exclude
    return p_y * rows + gamma * T * T * exists * rows_hat, p_y[:, None] * gradient + gamma * T * gradient_hat


@across_rows
def dist_kd(z_s: Array, z_t: Array, T: float = 1.0, beta: float = 1.0, gamma: float = 1.0) -> tuple[Array, Array]:
    r"""One less the correlation of the probabilities, along rows and along columns `[logits.3]`.

    .. math:: L = \frac\beta N\sum_n \big(1 - \rho(q_{n\cdot}, p_{n\cdot})\big)
              + \frac\gamma K\sum_k \big(1 - \rho(q_{\cdot k}, p_{\cdot k})\big), \qquad
              \frac{\partial(1 - \rho)}{\partial u} = -\frac{\hat w - \rho\,\hat u}{\|u\|}

    u and w are a row (a column) of q and of p less its mean, hats make them unit vectors; the
    gradient goes on through the softmax. A vector without deviation has no gradient, and correlation 0
    with every other, but 1 with another such vector: the two are alike. One row alone has no columns to
    compare, and that part is 0. No power of T: a correlation does not see sizes.

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher; -inf in z_t masks a class.
    T : temperature, > 0.
    beta, gamma : weights of the rows and of the columns.

    Source: Huang et al. 2022 (DIST), section 4.

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.log([[1.0, 1.0, 2.0]]), np.log([[2.0, 1.0, 1.0]])  # their correlation is -1/2
    >>> print(round(float(dist_kd(z_s, z_t)[0]), 4))
    1.5
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    check_size("beta", beta)
    check_size("gamma", gamma)
    q, l_s = log_share(z_s, T)
    _, l_t = log_share(z_t, T)
    N, K = z_s.shape
    gaps, d_rows = correlation_gap(l_s, l_t, 1)
    value, d = beta / N * gaps.sum(), beta / N * d_rows
    if N > 1:
        gaps, d_columns = correlation_gap(l_s, l_t, 0)
        value, d = value + gamma / K * gaps.sum(), d + gamma / K * d_columns
    return value, log_softmax_backward(q, d, T)


@mean_over_rows
def standardized_kd(z_s: Array, z_t: Array, T: float = 2.0) -> tuple[Array, Array]:
    r"""Soft targets from logits that are z-scores of their row `[logits.4]`.

    .. math:: L = \frac{T^2}{N}\sum_n \mathrm{KL}\big(\mathrm{softmax}(Z_t/T)\,\|\,\mathrm{softmax}(Z_s/T)\big),
              \quad Z = \frac{z - \bar z}{\sigma}, \qquad
              \frac{\partial L}{\partial z_s} = \frac{1}{\sigma}\big(G - \bar G - Z_s\,\overline{G Z_s}\big),\quad
              G = \frac TN\,(\tilde q - \tilde p)

    Bars are means over the classes of a row, sigma is the population deviation; masked classes
    are left out of both. A row without deviation has Z = 0 and no gradient.

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher; -inf masks a class.
    T : temperature, > 0, in units of the row's deviation.

    Source: Sun et al. 2024 (logit standardisation).

    Example
    -------
    >>> import numpy as np
    >>> z_t = np.array([[0.0, 1.0, 2.0]])
    >>> value, gradient = standardized_kd(10 * z_t + 5, z_t)  # the same z-scores
    >>> print(round(float(value), 4))
    0.0
    >>> value, gradient = standardized_kd(np.array([[1.0, 0.0, 2.0]]), z_t)
    >>> print(round(float(value), 4), gradient.round(4))
    0.3312 [[ 0.3312 -0.1656 -0.1656]]
    """
    T = check_temperature(T)
    check_logits(z_s, z_t)
    xp = array_module(z_s, z_t)
    Z_s, scale, alive = standardize(z_s)
    Z_t, _, _ = standardize(z_t)
    rows, p, q, _ = kl_rows(Z_t, Z_s, T)
    G = q - p
    Z, n = xp.where(alive, Z_s, 0), alive.sum(axis=1, keepdims=True).astype(Z_s.dtype)
    gradient = G - G.sum(axis=1, keepdims=True) / n - Z * ((G * Z).sum(axis=1, keepdims=True) / n)
    return T * T * rows, T * xp.where(alive, scale * gradient, 0)


@mean_over_rows
def top_targets(z_s: Array, top: Array, z_t: Array, T: float = 4.0) -> tuple[Array, Array]:
    r"""`soft_targets` from a teacher of whom only the k largest answers were kept, the rest as one `[logits.5]`.

    .. math:: L = \frac{T^2}{N}\sum_n\Big[\sum_{i \in \mathrm{top}} p_i\log\frac{p_i}{q_i}
              + \bar p\,\log\frac{\bar p}{\bar q}\Big],\quad \bar p = 1 - \sum_{\mathrm{top}} p_i, \qquad
              \frac{\partial L}{\partial z_i} = \frac TN (q_i - p_i),\quad
              \frac{\partial L}{\partial z_j} = \frac TN \frac{q_j}{\bar q}\,(\bar q - \bar p)
              \ \text{ for } j \notin \mathrm{top}

    Within the rest the student is free: what the teacher thought there is no longer known.

    Parameters
    ----------
    z_s : (N, K) logits of the student.
    top : (N, k) the classes kept, each once a row, k < K.
    z_t : (N, k + 1) their logits, then that of the rest, :math:`T \log\sum_{j \notin \mathrm{top}} e^{z_j/T}`:
        what `soft_labels(…, top=k, T=T)` returns.
    T : temperature, > 0: the one that the rest was summed up at.

    Source: keeping the largest answers is common practice for large vocabularies; no one paper.

    Example
    -------
    >>> import numpy as np
    >>> top, z_t = np.array([[0]]), np.log([[2.0, 2.0]])  # the first class has 1/2, the others together as much
    >>> value, gradient = top_targets(np.zeros((1, 3)), top, z_t, T=1.0)
    >>> print(round(float(value), 4), gradient.round(4))
    0.0589 [[-0.1667  0.0833  0.0833]]
    """
    T = check_temperature(T)
    check_logits(z_s)
    xp, (N, K), k = array_module(z_s, z_t), z_s.shape, top.shape[-1]
    if top.shape != (N, k) or z_t.shape != (N, k + 1) or not 0 < k < K:
        raise ValueError(f"top must be (N, k) with k < {K} and z_t (N, k + 1), got {top.shape} and {z_t.shape}")
    rows, top = xp.arange(N)[:, None], top.astype("int64")
    rest = z_s.astype("float64")
    coarse = xp.concatenate([rest[rows, top], xp.zeros((N, 1))], axis=1)
    rest[rows, top] = -xp.inf
    largest = rest.max(axis=1)
    empty = largest == -xp.inf  # the student masks all of the rest
    _, within, c = softmax_parts(xp.where(empty[:, None], 0, rest), T)
    coarse[:, -1] = largest + T * c[:, 0]
    kl, p, q, _ = kl_rows(z_t, coarse, T)
    r = q - p
    gradient = r[:, -1:] * within
    gradient[rows, top] = r[:, :-1]
    return T * T * kl, T * gradient


def _check_top(z_s: Array, top: Array, z_t: Array, **settings: float) -> None:
    # a float is cut, -1 the last class, and what is named twice counts twice; a training is checked by `fit`
    if isinstance(top, np.ndarray) and top.ndim == 2 and getattr(z_s, "shape", ())[:-1] == top.shape[:1]:
        check_top("top", top, z_s.shape[1])


top_targets.check = _check_top  # type: ignore[attr-defined]


def TopTargets(T: float = 4.0, student: str = "student.logits", teacher: str = "teacher") -> Term:
    """The term `top_targets(student, teacher.top, teacher.top_logits, T)`, of the columns that
    `data.with_soft_labels(teacher, top=k, T=T)` adds.

    T is the temperature that the rest was summed up at. `fit` and `evaluate` hold T and the number of classes to what
    these columns were made with; a `train_step` by hand does not, and at another T is a step towards another teacher.
    """
    loss = functools.partial(top_targets, T=check_temperature(T))
    return Term(loss, (student,), (f"{teacher}.top", f"{teacher}.top_logits"))


def without_label(z_s: Array, z_t: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """`(z_s, z_t, label, exists)` with the label's class masked in both.

    `label` (N, K) says where the label is. `exists` (N,) is 1 where the teacher has any other class
    and 0 where it has none; there the student stands in for it, so that nothing is compared, and zeros for both
    where the student has none either.
    """
    xp = array_module(z_s, z_t, y)
    check_labels(z_s, y)
    label = one_hot(y, z_s.shape[1], "bool")
    hat_s, hat_t = (xp.where(label, -xp.inf, z) for z in (z_s, z_t))
    exists = hat_t.max(axis=1, keepdims=True) != -xp.inf
    neither = ~exists & (hat_s.max(axis=1, keepdims=True) == -xp.inf)
    hat_s = xp.where(neither & ~label, 0, hat_s)
    return hat_s, xp.where(exists, hat_t, hat_s), label, exists[:, 0].astype(z_s.dtype)


def _binary_kl(p: Array, q: Array) -> Array:
    """p log(p/q) + q - p, which is 0 where p = q and infinite where q alone is 0."""
    xp = array_module(p, q)
    log_q = xp.where(q > 0, xp.log(xp.where(q > 0, q, 1)), -xp.inf)
    return p * xp.where(p > 0, xp.log(xp.where(p > 0, p, 1)) - log_q, 0) + q - p


def log_share(z: Array, T: float) -> tuple[Array, Array]:
    """`(p, log(K p))`, the second without cancellation where all p are near 1/K, or all near 0."""
    xp = array_module(z)
    u, p, c = softmax_parts(z, T)
    mean = xp.expm1(u).mean(axis=1, keepdims=True)
    flat = mean > -0.5
    return p, u - xp.where(flat, xp.log1p(xp.where(flat, mean, 0)), c - math.log(z.shape[1]))


def correlation_gap(l_s: Array, l_t: Array, axis: int) -> tuple[Array, Array]:
    """`(1 - Pearson(exp l_s, exp l_t) along the axis, its gradient with respect to l_s)`; see `dist_kd`.

    A correlation does not see scale or shift, so each vector is first divided by its largest entry
    and lowered by 1: `expm1(l - max l)` keeps its digits where the entries are all alike or all tiny.
    """
    a, scale_a, share = _unit_deviation(l_s, axis)
    b, scale_b, _ = _unit_deviation(l_t, axis)
    d = a - b  # of two unit vectors: 1 - a·b is half the square of their distance
    missing = ((scale_a == 0) != (scale_b == 0)) / 2  # one of the two has no deviation
    gap = 0.5 * (d * d).sum(axis=axis, keepdims=True) + missing
    return gap, share * scale_a * (scale_b > 0) * (d - gap * a)


def _unit_deviation(log_x: Array, axis: int) -> tuple[Array, Array, Array]:
    xp = array_module(log_x)
    top = log_x.max(axis=axis, keepdims=True)
    log_x = log_x - xp.where(top != -xp.inf, top, 0)
    x = xp.expm1(log_x)
    x = (x - x.mean(axis=axis, keepdims=True)).astype("float64", copy=False)  # holds the squares of float32
    norm = xp.sqrt((x * x).sum(axis=axis, keepdims=True))
    scale = xp.where(norm > 0, 1 / xp.where(norm > 0, norm, 1), 0)
    return x * scale, scale, xp.exp(log_x)


def standardize(z: Array) -> tuple[Array, Array, Array]:
    """`(Z, 1/sigma, alive)`: each row of logits as z-scores of its unmasked classes."""
    xp = array_module(z)
    alive = z != -xp.inf
    n = alive.sum(axis=1, keepdims=True).astype(z.dtype)
    d = xp.where(alive, z - z.max(axis=1, keepdims=True), 0)
    d = xp.where(alive, d - d.sum(axis=1, keepdims=True) / n, 0)
    d = d.astype("float64", copy=False)  # holds the squares of float32
    deviation = xp.sqrt((d * d).sum(axis=1, keepdims=True) / n)
    scale = xp.where(deviation > 0, 1 / xp.where(deviation > 0, deviation, 1), 0)
    return xp.where(alive, d * scale, -xp.inf), scale, alive
