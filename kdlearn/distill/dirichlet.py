"""A team of teachers as a distribution over answers: the student learns where they agree, and where they do not.

Letters: N rows, K classes, M teachers with answers p_m, (N, K); `z` the student's logits, (N, K), and
α = e^z. The student's answer to a row is not one point of the simplex but a Dirichlet distribution over it. Its mean is
softmax(z), so the student predicts like any network; its evidence Σ_k α_k says how closely the teachers stood together.
Derivation: docs/derivations/dirichlet.md.
"""

from __future__ import annotations

from kdlearn.backend import Array, array_module, special_functions
from kdlearn.checks import check_logits, check_share
from kdlearn.loss import mean_over_rows
from kdlearn.nn.functional import log_softmax, softmax
from kdlearn.nn.mixture import team


def mean_log_answer(*logits: Array, floor: float = 1e-3) -> Array:
    r"""All that the Dirichlet likelihood asks of a team: the mean logarithm of its answers `[dirichlet.1]`.

    .. math:: \ell_k = \frac1M\sum_m \log\Big((1 - \epsilon)\,p_{mk} + \frac{\epsilon}{K}\Big),
              \qquad p_m = \mathrm{softmax}(z_m)

    Without the floor one teacher who excludes a class would decide alone: log 0 outweighs every other.

    Parameters
    ----------
    logits : (N, K) each, one a teacher.
    floor : ε in [0, 1], the share of the uniform answer.

    Returns
    -------
    (N, K).

    Source: the statistic of Malinin et al. 2020; the floor keeps log 0 out.

    Example
    -------
    >>> import numpy as np
    >>> mean_log_answer(np.log([[0.9, 0.1]]), np.log([[0.6, 0.4]]), floor=0.0).round(3)
    array([[-0.308, -1.609]])
    """
    check_share("floor", floor)
    Z = team(logits)
    log_p, K = log_softmax(Z), Z.shape[-1]
    if floor:
        log_p = array_module(Z).log((1 - floor) * array_module(Z).exp(log_p) + floor / K)
    return log_p.mean(axis=0)


@mean_over_rows
def dirichlet_likelihood(z: Array, log_p: Array) -> tuple[Array, Array]:
    r"""Negative log-likelihood of a team's answers under the student's Dirichlet distribution `[dirichlet.2]`.

    .. math:: L = \frac1N\sum_n \Big[\sum_k \log\Gamma(\alpha_k) - \log\Gamma(\alpha_0)
              - \sum_k (\alpha_k - 1)\,\ell_k\Big], \quad \alpha = e^z,\ \alpha_0 = \sum_k \alpha_k, \qquad
              \frac{\partial L}{\partial z_k} = \frac{\alpha_k}{N}
              \big[\psi(\alpha_k) - \psi(\alpha_0) - \ell_k\big]

    A density, so it may be negative. Computed in float64.

    Parameters
    ----------
    z : (N, K) the student's logits; a class with -inf is left out of the density.
    log_p : (N, K) the mean logarithm of the team's answers, of `mean_log_answer`.

    Source: Malinin et al. 2020.

    Example
    -------
    >>> import numpy as np
    >>> two = mean_log_answer(np.log([[0.9, 0.1]]), np.log([[0.6, 0.4]]), floor=0.0)
    >>> value, gradient = dirichlet_likelihood(np.zeros((1, 2)), two)  # all answers alike likely
    >>> print(round(float(value), 4), gradient.round(4))
    0.0 [[-0.6919  0.6094]]
    """
    check_logits(z, log_p)
    xp, special = array_module(z, log_p), special_functions(z, log_p)
    z, log_p = z.astype("float64"), log_p.astype("float64")
    out = z == -xp.inf
    z = xp.where(out, 0, z)
    a = xp.where(out, 0, xp.exp(z))
    a0 = a.sum(axis=1)
    # log Γ(α) = log Γ(1 + α) - log α and α ψ(α) = α ψ(1 + α) - 1 hold their digits where α is tiny
    classes = xp.where(out, 0, special.gammaln(1 + a) - z - (a - 1) * log_p)
    gradient = xp.where(out, 0, a * (special.psi(1 + a) - special.psi(a0)[:, None] - log_p) - 1)
    return classes.sum(axis=1) - special.gammaln(a0), gradient


def doubts(z: Array) -> tuple[Array, Array]:
    r"""How unsure the student is, and how much of that is for want of knowledge `[dirichlet.3]`.

    .. math:: H(\bar\pi), \qquad H(\bar\pi) - \mathbb E[H(\pi)]
              = H(\bar\pi) + \sum_k \bar\pi_k\big[\psi(\alpha_k + 1) - \psi(\alpha_0 + 1)\big],
              \qquad \bar\pi = \mathrm{softmax}(z)

    The first is the entropy of the mean answer. The second is the part that comes from answers that
    differ: of a team the disagreement, of the student its imitation.

    Parameters
    ----------
    z : (N, K) logits, of any size; a class with -inf is left out.

    Returns
    -------
    total, knowledge : (N,) each, in nats; 0 <= knowledge <= total.

    Source: Malinin and Gales 2018, who call them total uncertainty and mutual information.

    Example
    -------
    >>> import numpy as np
    >>> total, knowledge = doubts(np.log([[1.0, 1.0], [100.0, 100.0]]))  # little evidence, much evidence
    >>> print(total.round(3), knowledge.round(3))
    [0.693 0.693] [0.193 0.002]
    """
    check_logits(z)
    xp, z = array_module(z), z.astype("float64")
    p, log_p, out = softmax(z), log_softmax(z), z == -xp.inf
    z, log_p = xp.where(out, 0, z), xp.where(out, 0, log_p)
    # H + ψ(α + 1) - ψ(α0 + 1) = f(α) - f(α0), with f that falls to 0: no summand is negative, and none cancels
    terms = xp.maximum(_psi_less_log(z) - _psi_less_log(z - log_p), 0)
    total = -(p * log_p).sum(axis=1)
    return total, xp.minimum((p * terms).sum(axis=1), total)


def _psi_less_log(z: Array) -> Array:
    """ψ(α + 1) - log α at α = e^z, from about 1/(2α) where α is large up to about -z where it is tiny."""
    xp = array_module(z)
    near = special_functions(z).psi(1 + xp.exp(xp.minimum(z, 4))) - z
    r = xp.exp(-xp.maximum(z, 4))  # 1/α in Stirling's series; below, α may not overflow
    return xp.where(z < 4, near, r * (1 / 2 - r * (1 / 12 - r * r * (1 / 120 - r * r / 252))))
