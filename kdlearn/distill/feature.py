"""Feature distillation: the student learns how the teacher sees.

Letters: N rows; `h_s` hidden activations of the student, (N, D), `h_t` of the teacher, (N, E);
where a loss compares them entry by entry, D = E. A hat is a row scaled to unit length. Each loss
returns `(value, gradient)`, the gradient with respect to what the student publishes. Derivation:
docs/derivations/feature.md.
"""

from __future__ import annotations

import math

from kdlearn.backend import Array, array_module, device_of
from kdlearn.checks import check_features, check_size
from kdlearn.loss import across_rows, by_largest, mean_over_rows, softplus
from kdlearn.nn.functional import softmax_parts
from kdlearn.nn.layers import Linear
from kdlearn.nn.module import FreeVector
from kdlearn.nn.network import Network
from kdlearn.objective import Match, Term, Through


def unit_rows(x: Array) -> tuple[Array, Array]:
    r"""`(x̂, 1 / |x|)`: each row scaled to unit length, and by how much `[feature.1]`.

    .. math:: \hat x = \frac{x}{\|x\|}, \qquad \hat 0 = 0 \text{ and } \frac{1}{\|0\|} := 0

    Parameters
    ----------
    x : (…, N, D); a row is what the last axis runs over.

    Returns
    -------
    x̂ (…, N, D) and 1/|x| (…, N, 1). A zero row stays zero, and the zero in its place of 1/|x|
    makes its gradient zero.

    Divided by its largest entry first, no row is too long or too short to be squared, down to the smallest normal
    number of the format (1.2e-38 in float32). What is below counts as zero.
    """
    x, shrink = by_largest(x)
    length = _length(x)
    return x / length, shrink / length


def _length(x: Array) -> Array:
    """(…, N, 1) of rows whose largest entry is 1; of zero rows 1."""
    square = (x * x).sum(axis=-1, keepdims=True)
    xp = array_module(x)
    return xp.sqrt(xp.where(square == 0, 1, square))


def unit_rows_backward(unit: Array, inverse: Array, dunit: Array) -> Array:
    r"""Vector-Jacobian product of `unit_rows` `[feature.2]`.

    .. math:: \frac{\partial L}{\partial x} = \frac{1}{\|x\|}
              \big(d - \hat x\,(\hat x\cdot d)\big),\quad d = \frac{\partial L}{\partial \hat x}

    What is left is orthogonal to x: a loss of unit rows can turn a row, never lengthen it.

    Parameters
    ----------
    unit, inverse : (…, N, D) and (…, N, 1), what `unit_rows` returned.
    dunit : (…, N, D) gradient with respect to `unit`.
    """
    return (dunit - unit * (unit * dunit).sum(axis=-1, keepdims=True)) * inverse


@mean_over_rows
def squared_error(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""Half the squared distance of the features `[feature.3]`.

    .. math:: L = \frac1N\sum_n \tfrac12\|h_{s,n} - h_{t,n}\|^2, \qquad
              \frac{\partial L}{\partial h_s} = \frac1N (h_s - h_t)

    Shapes: both (N, D). Between layers of different width it is put behind a regressor: `fitnets`.
    Source: Romero et al. 2015, equation 3, the hint loss.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = squared_error(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
    >>> print(round(float(value), 4), gradient.round(4))
    2.5 [[1. 2.]]
    """
    check_features(h_s, h_t)
    d = h_s - h_t
    return 0.5 * (d * d).sum(axis=1), d


@mean_over_rows
def cosine_distance(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""One minus the cosine of the angle between the rows `[feature.4]`.

    .. math:: L = \frac1N\sum_n (1 - \hat h_{s,n}\cdot\hat h_{t,n}), \qquad
              \frac{\partial L}{\partial h_s} = \frac{(\hat h_s\cdot\hat h_t)\,\hat h_s - \hat h_t}{N\,\|h_s\|}

    Computed as half the squared distance of the unit rows, which keeps its digits where they
    nearly agree and is never negative. The cosine of a zero row with another row is zero; two zero rows agree.

    Shapes: both (N, D). Source: Sanh et al. 2019, section 2, for the hidden states of DistilBERT.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = cosine_distance(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]]))
    >>> print(round(float(value), 4), gradient.round(4))
    0.4 [[-0.128  0.096]]
    """
    check_features(h_s, h_t)
    u_s, inverse_s = unit_rows(h_s)
    u_t, inverse_t = unit_rows(h_t)
    d = u_s - u_t
    # half |d|² counts a half for each row of unit length; a zero row beside one owes its half
    alone = (inverse_s == 0) != (inverse_t == 0)
    return 0.5 * ((d * d).sum(axis=1) + alone[:, 0]), unit_rows_backward(u_s, inverse_s, d)


@mean_over_rows
def attention_transfer(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""Squared distance of the normalised energies of the units `[feature.5]`.

    .. math:: L = \frac1N\sum_n \|\hat a_{s,n} - \hat a_{t,n}\|^2,\quad a = h^2, \qquad
              \frac{\partial L}{\partial h_s} = 2 h_s \odot \frac{\partial L}{\partial a_s},\quad
              \frac{\partial L}{\partial \hat a_s} = \frac2N(\hat a_s - \hat a_t)

    The paper's map runs over the places of an image, summed over channels; a dense layer has no
    places, so its map runs over the units. Shapes: both (N, D).
    Source: Zagoruyko and Komodakis 2017, equation 2, its norm squared.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = attention_transfer(np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]]))
    >>> print(round(float(value), 4), gradient.round(4))
    0.2908 [[-0.2959  0.2219]]
    """
    check_features(h_s, h_t)
    (v_s, shrink), (v_t, _) = by_largest(h_s), by_largest(h_t)  # the energies, too, are squared once more
    a_s, a_t = v_s * v_s, v_t * v_t
    length = _length(a_s)
    u_s = a_s / length
    d = u_s - a_t / _length(a_t)
    return (d * d).sum(axis=1), 2 * v_s * unit_rows_backward(u_s, shrink / length, 2 * d)


@mean_over_rows
def activation_boundary(s: Array, t: Array, margin: float = 1.0) -> tuple[Array, Array]:
    r"""Each unit pushed to the teacher's side of zero, with a margin `[feature.6]`.

    .. math:: L = \frac1N\sum_{n,i} r_{ni}^2,\quad
              r = \begin{cases}\min(s - m,\,0) & t > 0\\ \max(s + m,\,0) & t \le 0\end{cases}, \qquad
              \frac{\partial L}{\partial s} = \frac2N\, r

    Only where the teacher switches matters, not how far it goes.

    Parameters
    ----------
    s, t : (N, D) pre-activations (the taps `a1`, `a2`, …) of student and teacher.
    margin : m, the distance from zero at which a unit is left alone.

    Source: Heo et al. 2019 (activation boundaries), the hinge in place of the step.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = activation_boundary(np.array([[0.5, -2.0]]), np.array([[1.0, 1.0]]))
    >>> print(round(float(value), 4), gradient.round(4))
    9.25 [[-1. -6.]]
    """
    check_features(s, t)
    xp = array_module(s, t)
    check_size("margin", margin)
    side = 2 * (t > 0).astype(s.dtype) - 1  # no choice between two arrays: a branch an entry takes most of the time
    r = side * xp.minimum(side * s - margin, 0)
    r = xp.where(xp.isnan(t), t, r)  # what is no number is on neither side
    return (r * r).sum(axis=1), 2 * r


@across_rows
def neuron_selectivity(h_s: Array, h_t: Array) -> tuple[Array, Array]:
    r"""Squared maximum mean discrepancy between the two sets of neurons `[feature.7]`.

    A neuron is its unit column: how it responds to the N rows. With the kernel
    :math:`k(a, b) = (a\cdot b)^2` the three means of kernels are one squared distance:

    .. math:: L = \overline{k(s,s)} + \overline{k(t,t)} - 2\,\overline{k(s,t)}
              = \|M\|^2,\quad M = \frac{\hat S\hat S^\top}{D} - \frac{\hat T\hat T^\top}{E}, \qquad
              \frac{\partial L}{\partial\hat S} = \frac4D M\hat S

    Shapes: (N, D) and (N, E); the widths may differ. Memory N². A neuron that never responds is
    zero. Source: Huang and Wang 2017, polynomial kernel with d = 2 and c = 0.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = neuron_selectivity(np.array([[1.0], [1.0]]), np.array([[1.0], [0.0]]))
    >>> print(round(float(value), 4), gradient.round(4).tolist())
    1.0 [[-1.0], [1.0]]
    """
    check_features(h_s, h_t, same_width=False)
    columns_s, inverse = unit_rows(h_s.T)
    columns_t, _ = unit_rows(h_t.T)
    D, E = columns_s.shape[0], columns_t.shape[0]
    M = columns_s.T @ columns_s / D - columns_t.T @ columns_t / E
    return (M * M).sum(), unit_rows_backward(columns_s, inverse, 4 / D * (columns_s @ M)).T


@across_rows
def info_nce(h_s: Array, h_t: Array, tau: float = 0.1) -> tuple[Array, Array]:
    r"""Each row of the student must find its own row among the teacher's `[feature.8]`.

    .. math:: L = -\frac1N\sum_n \log P_{nn},\quad
              P = \mathrm{softmax}\Big(\frac{\hat h_s\hat h_t^\top}{\tau}\Big), \qquad
              \frac{\partial L}{\partial\hat h_s} = \frac{1}{N\tau}(P - I)\,\hat h_t

    Cross-entropy over the batch, every other row being a negative, of the same class or not.

    Parameters
    ----------
    h_s, h_t : (N, D).
    tau : temperature of the cosines, > 0.

    Source: van den Oord et al. 2018, equation 4, with student and teacher as the two views, as in
    Tian et al. 2020, whose own loss draws negatives from a memory instead.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = info_nce(np.eye(2), np.eye(2), tau=1.0)  # log(1 + 1/e)
    >>> print(round(float(value), 4), gradient.round(4).tolist())
    0.3133 [[0.0, 0.1345], [0.1345, 0.0]]
    """
    check_size("tau", tau, zero=False)
    check_features(h_s, h_t)
    xp = array_module(h_s, h_t)
    u_s, inverse = unit_rows(h_s)
    u_t, _ = unit_rows(h_t)
    N = u_s.shape[0]
    z, P, c = softmax_parts(u_s @ u_t.T, tau)
    P -= xp.eye(N, dtype=P.dtype)
    return (c.sum() - z.trace()) / N, unit_rows_backward(u_s, inverse, P @ u_t / (N * tau))


@across_rows
def fsp(h1_s: Array, h2_s: Array, h1_t: Array, h2_t: Array) -> tuple[Array, tuple[Array, Array]]:
    r"""The flow between two layers: the Gram matrix of their units over the batch `[feature.9]`.

    .. math:: L = \frac{1}{D_1 D_2}\|G_s - G_t\|^2,\quad G = \frac1N h_1^\top h_2, \qquad
              \frac{\partial L}{\partial h_1} = \frac1N h_2\, dG^\top,\quad
              \frac{\partial L}{\partial h_2} = \frac1N h_1\, dG,\quad
              dG = \frac{2}{D_1 D_2}(G_s - G_t)

    A term with two live sites, each of which gets its gradient:
    `Term(fsp, ("student.h1", "student.h2"), ("teacher.h1", "teacher.h2"))`.

    Parameters
    ----------
    h1_s, h1_t : (N, D1) the lower layer of student and teacher.
    h2_s, h2_t : (N, D2) the upper layer.

    Source: Yim et al. 2017, equations 1 and 2. There a Gram matrix is made for each image, over
    its places; here one over the batch.

    Example
    -------
    >>> import numpy as np
    >>> h1_s, h2_s, one = np.array([[1.0]]), np.array([[2.0]]), np.array([[1.0]])
    >>> value, (dh1, dh2) = fsp(h1_s, h2_s, one, one)  # G = 2 beside 1
    >>> print(value, dh1, dh2)
    1.0 [[4.]] [[2.]]
    """
    check_features(h1_s, h1_t)
    check_features(h2_s, h2_t)
    check_features(h1_s, h2_s, same_width=False)
    N = h1_s.shape[0]
    d = (h1_s.T @ h2_s - h1_t.T @ h2_t) / N
    dG = 2 / (N * d.size) * d
    return (d * d).mean(), (h2_s @ dG.T, h1_s @ dG)


@across_rows
def variational_information(
    mu: Array, rho: Array, h_t: Array, floor: float = 1e-5
) -> tuple[Array, tuple[Array, Array]]:
    r"""How surprising the teacher's features are, given the student's `[feature.10]`.

    .. math:: L = \frac1N\sum_{n,i} \tfrac12\Big[\frac{(h_{t,ni} - \mu_{ni})^2}{v_i} + \log v_i\Big],\quad
              v = \log(1 + e^\rho) + \epsilon, \qquad
              \frac{\partial L}{\partial\mu} = \frac{\mu - h_t}{N v},\quad
              \frac{\partial L}{\partial\rho} = \frac{1}{2v}
              \Big[1 - \frac{\overline{(h_t - \mu)^2}}{v}\Big]\,\sigma(\rho)

    The negative logarithm of a Gaussian's density without its constant: a bound on the mutual
    information of the two layers. Units that the student cannot predict get a large variance and
    little weight.

    Parameters
    ----------
    mu : (N, E) the prediction; live.
    rho : (E,) the variances before their softplus; live, a parameter without an input.
    h_t : (N, E) the teacher's features; held.
    floor : epsilon, least variance; without it a unit that is always zero would be worth -inf.

    Source: Ahn et al. 2019, with the mean that `net` makes of a student's layer.

    Example
    -------
    >>> import numpy as np
    >>> mu, rho, h_t = np.array([[1.0]]), np.array([0.0]), np.array([[3.0]])  # v = log 2
    >>> value, (dmu, drho) = variational_information(mu, rho, h_t)
    >>> print(round(float(value), 3), dmu.round(3), drho.round(3))
    2.702 [[-2.885]] [-1.721]
    """
    check_size("floor", floor, zero=False)
    check_features(mu, h_t)
    if rho.shape != mu.shape[1:]:
        raise ValueError(f"rho must hold one number a unit, shape {mu.shape[1:]}, got {rho.shape}")
    xp = array_module(mu, rho, h_t)
    d = mu - h_t
    N = d.shape[0]
    positive = softplus(rho)
    v = positive + floor
    square = (d * d).mean(axis=0) / v
    drho = 0.5 * (1 - square) / v * xp.exp(rho - positive)
    return 0.5 * (square + xp.log(v)).sum(), (d / (N * v), drho)


def fitnets(net: Network, student_site: str, teacher_site: str) -> Through:
    """The hint: `net` learns with the student to predict the teacher's features from the student's.

    `squared_error` between the teacher's site and the regressor's output, which is a site of its
    own, `"<student site>><teacher site>"`. Source: Romero et al. 2015, section 2.2; there in a stage
    before the training proper, here beside it.

    Parameters
    ----------
    net : the regressor, as wide at its input as the student's site and at its output as the teacher's.
    """
    target = f"{student_site}>{teacher_site}"
    return Through(net, student_site, target, Match(target, teacher_site, squared_error))


def vid(net: Network, student_site: str, teacher_site: str) -> Through:
    """`variational_information` with the mean from `net` and a learned variance for each of its outputs.

    The variances start at 1, where the gradient is that of `fitnets`. Sites and `net` as there.
    """
    if not isinstance(net.layers[-1], Linear):
        raise ValueError(
            f"vid learns a variance for each output of net: the last layer must be a Linear, got {net.layers[-1]}"
        )
    width, one = net.layers[-1].shapes["b"][0], math.log(math.expm1(1.0))
    variances = FreeVector(width, start=one, dtype=net.theta.dtype).to(device_of(net.theta))
    mean = f"{student_site}>{teacher_site}"
    term = Term(variational_information, (mean, mean + ":variance"), (teacher_site,))
    return Through(net, student_site, mean, Through(variances, (), mean + ":variance", term))
