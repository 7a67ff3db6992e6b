"""A team as a distribution: against SciPy's Dirichlet density, against draws, and at its limits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.dirichlet import dirichlet_likelihood, doubts, mean_log_answer

seeds = st.integers(0, 2**32 - 1)


def example(seed, N=4, K=3, M=3, scale=1.5):
    z, *teachers = scale * np.random.default_rng(seed).normal(size=(1 + M, N, K))
    return z, teachers


@given(seeds)
def test_the_likelihood_by_its_definition_and_by_central_differences(seed):
    z, teachers = example(seed)
    column = mean_log_answer(*teachers, floor=0.0)
    densities = [
        [scipy.stats.dirichlet.logpdf(kd.softmax(t)[n], np.exp(z[n])) for t in teachers] for n in range(len(z))
    ]
    assert dirichlet_likelihood(z, column)[0] == pytest.approx(-np.mean(densities), rel=1e-6, abs=1e-9)
    kd.gradcheck.check_loss(dirichlet_likelihood, z, column, tolerance=1e-5)


def test_a_class_that_the_student_leaves_out_is_not_in_its_density():
    z, (a, b, _) = example(3)
    column = mean_log_answer(a, b, floor=0.0)
    z[:, 1] = -np.inf
    value, gradient = dirichlet_likelihood(z, column)
    kept, slopes = dirichlet_likelihood(z[:, [0, 2]], column[:, [0, 2]])
    assert value == pytest.approx(kept, rel=1e-12)
    np.testing.assert_allclose(gradient, np.insert(slopes, 1, 0, axis=1), rtol=1e-12)


def test_tiny_evidence_keeps_its_digits():
    mpmath = pytest.importorskip("mpmath")
    z, column = np.array([[-40.0, -3.0, 1.0]]), np.log([[0.2, 0.3, 0.4]])
    value, gradient = dirichlet_likelihood(z, column)
    with mpmath.workdps(50):
        a = [mpmath.exp(float(v)) for v in z[0]]
        a0 = mpmath.fsum(a)
        exact = mpmath.fsum(mpmath.loggamma(v) for v in a) - mpmath.loggamma(a0)
        exact -= mpmath.fsum((v - 1) * mpmath.mpf(float(c)) for v, c in zip(a, column[0]))
        slopes = [v * (mpmath.psi(0, v) - mpmath.psi(0, a0) - mpmath.mpf(float(c))) for v, c in zip(a, column[0])]
    assert float(value) == pytest.approx(float(exact), rel=1e-13)
    np.testing.assert_allclose(gradient[0], [float(s) for s in slopes], rtol=1e-12)


def test_the_student_learns_the_moments_of_its_team():
    # two rows with the same mean answer: on the first the teachers agree nearly, on the second not at all
    together = np.log([[0.6, 0.4], [0.9, 0.1]]), np.log([[0.5, 0.5], [0.2, 0.8]])
    column = mean_log_answer(*together, floor=0.0)
    found = scipy.optimize.minimize(
        lambda v: [g.ravel() if np.ndim(g) else float(g) for g in dirichlet_likelihood(v.reshape(2, 2), column)],
        np.zeros(4), jac=True, tol=1e-14,
    )  # fmt: skip
    z = found.x.reshape(2, 2)
    a = np.exp(z)
    moments = scipy.special.psi(a) - scipy.special.psi(a.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(moments, column, atol=1e-6)
    knowledge = doubts(z)[1]
    assert knowledge[1] > 10 * knowledge[0]


@given(seeds)
def test_doubts_are_what_draws_say(seed):
    z, _ = example(seed, N=2)
    total, knowledge = doubts(z)
    draws = np.random.default_rng(seed).dirichlet(np.exp(z[0]), size=20_000)
    entropies = -(draws * np.log(np.maximum(draws, 1e-300))).sum(axis=1)
    error = 6 * entropies.std() / np.sqrt(len(draws))
    assert abs(total[0] - entropies.mean() - knowledge[0]) < error + 1e-9
    assert (knowledge >= 0).all() and (knowledge <= total).all()


@given(seeds, st.sampled_from([-1e4, -709.0, -40.0, 0.0, 3.9, 30.0, 709.0, 1e4]), st.sampled_from([1e-3, 1.0, 30.0]))
def test_knowledge_is_a_part_of_the_doubt_whatever_the_logits(seed, shift, scale):
    """It was -3e-15 where there is much evidence, and NaN from logits of 709 on."""
    z = shift + scale * np.random.default_rng(seed).normal(size=(8, 5))
    total, knowledge = doubts(z)
    assert (knowledge >= 0).all() and (knowledge <= total).all()
    shut = np.insert(z, 2, -np.inf, axis=1)  # a class that is left out changes nothing
    np.testing.assert_allclose(doubts(shut), (total, knowledge), rtol=1e-12, atol=1e-300)
    assert np.isnan(doubts(np.where(z == z[0, 0], np.nan, z))).sum() == 2


def test_the_least_knowledge_keeps_its_digits():
    mpmath = pytest.importorskip("mpmath")
    for z in ([-30.0, -31.0], [0.0, 1.0], [3.9, 4.1], [6.0, 2.0], [12.0, 11.0], [60.0, 61.0], [300.0, 299.0]):
        with mpmath.workdps(300):
            a = [mpmath.exp(v) for v in z]
            a0 = mpmath.fsum(a)
            f = [mpmath.psi(0, v + 1) - mpmath.log(v) for v in (*a, a0)]
            exact = mpmath.fsum(v / a0 * (g - f[-1]) for v, g in zip(a, f))
        assert doubts(np.array([z]))[1][0] == pytest.approx(float(exact), rel=1e-9, abs=0)


def test_a_teacher_without_doubt_needs_the_floor():
    sure = np.array([[0.0, -np.inf]])
    assert np.isfinite(mean_log_answer(sure)).all()
    assert mean_log_answer(sure, floor=0.0)[0, 1] == -np.inf
    with pytest.raises(ValueError, match="floor lies in"):
        mean_log_answer(sure, floor=2.0)
