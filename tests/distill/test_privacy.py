"""Noisy votes, and the accountant: closed forms, integrals, another accountant's values, and exact probabilities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from kdlearn.distill.privacy import (
    ORDERS,
    VOTE,
    epsilon_of,
    gaussian_renyi,
    gaussian_sigma,
    laplace_renyi,
    noisy_winners,
    votes,
)

seeds = st.integers(0, 2**32 - 1)


def exact_delta(epsilon, mu):
    """Balle and Wang 2018, theorem 8: the delta of normal noise, for a change of mu deviations."""
    low = norm.logcdf(-mu / 2 - epsilon / mu)
    return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon + low)


# ---------------------------------------------------------------- votes


@given(seeds, st.integers(1, 30))
def test_one_teacher_moves_one_vote_and_votes_are_counted(seed, teachers):
    rng = np.random.default_rng(seed)
    answers = rng.integers(0, 4, (teachers, 5))
    before = votes(answers, 4)
    np.testing.assert_array_equal(before, np.stack([np.bincount(a, minlength=4) for a in answers.T]))
    answers[rng.integers(teachers)] = rng.integers(0, 4, 5)
    moved = votes(answers, 4) - before
    assert (np.abs(moved).sum(axis=1) <= 2).all() and (np.linalg.norm(moved, axis=1) <= VOTE).all()


@pytest.mark.parametrize("noise, winning", [
    ("gaussian", lambda gap, s: norm.cdf(gap / (math.sqrt(2) * s))),
    ("laplace", lambda gap, s: 1 - (2 + gap / s) / 4 * math.exp(-gap / s)),
])  # fmt: skip
def test_the_winner_wins_as_often_as_the_law_says(noise, winning):
    """Between two classes, a gap of 3 votes; the second formula is lemma 4 of Papernot et al. 2017."""
    counts = np.tile([4, 1], (40_000, 1))
    found = (noisy_winners(counts, 2.5, np.random.default_rng(0), noise) == 0).mean()
    assert found == pytest.approx(winning(3, 2.5), abs=4 * 0.5 / math.sqrt(len(counts)))
    np.testing.assert_array_equal(noisy_winners([[1, 3, 2], [5, 0, 1]], 0, np.random.default_rng(0), noise), [1, 0])


@pytest.mark.parametrize("call, message", [
    (lambda: votes([[0, 4]], 4), "answers must be"),
    (lambda: votes([0, 1], 4), "answers must be"),
    (lambda: noisy_winners([[1, 2]], -1, np.random.default_rng(0)), "scale >= 0"),
    (lambda: noisy_winners([[1, 2]], 1, np.random.default_rng(0), "uniform"), "gaussian"),
    (lambda: gaussian_renyi(1.0, 3), "orders must be above 1"),
    (lambda: laplace_renyi(2.0, 0), "positive scale"),
    (lambda: epsilon_of([1.0], [2.0], 0), "delta lies"),
    (lambda: gaussian_sigma(0, 1e-5), "epsilon is positive"),
])  # fmt: skip
def test_what_cannot_be_promised_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- divergences


@pytest.mark.parametrize("order", [1.1, 2.0, 3.7, 12.0])
@pytest.mark.parametrize("scale", [0.7, 3.0])
def test_divergences_are_the_integrals_of_their_definition(order, scale):
    def divergence(log_density):
        def f(x):
            return math.exp(order * log_density(x - 1) + (1 - order) * log_density(x))

        edges = [-60 * scale, 0, 1, 1 + order, 60 * scale + 2 * order]
        return math.log(sum(quad(f, a, b, limit=200)[0] for a, b in itertools.pairwise(edges))) / (order - 1)

    normal = divergence(lambda x: -(x**2) / (2 * scale**2) - math.log(scale * math.sqrt(2 * math.pi)))
    assert gaussian_renyi(order, scale, change=1.0) == pytest.approx(normal, rel=1e-7)
    laplace = divergence(lambda x: -abs(x) / scale - math.log(2 * scale))
    assert laplace_renyi(order, scale) == pytest.approx(2 * laplace, rel=1e-7)


def test_limits_of_laplace_noise():
    b = 20.0
    curve = laplace_renyi(ORDERS, b)
    assert np.isfinite(curve).all() and (np.diff(curve) > 0).all() and curve.max() < 2 / b
    assert (curve <= ORDERS * (2 / b) ** 2 / 2).all()  # the bound of Papernot et al. 2017, theorem 2
    assert laplace_renyi(1e9, b) == pytest.approx(2 / b)


# ---------------------------------------------------------------- epsilon


@given(st.floats(0.05, 20), st.floats(1e-9, 1e-2), st.integers(1, 5000))
def test_the_search_over_orders_meets_the_closed_form_and_its_inverse(epsilon, delta, queries):
    sigma = gaussian_sigma(epsilon, delta, queries)
    found, order = epsilon_of(queries * gaussian_renyi(ORDERS, sigma), ORDERS, delta)
    r = queries / sigma**2
    assert found == pytest.approx(epsilon, rel=1e-4) == r + 2 * math.sqrt(r * math.log(1 / delta))
    assert found >= epsilon * (1 - 1e-12)  # a grid may only be too careful
    assert order == pytest.approx(1 + math.sqrt(math.log(1 / delta) / r), rel=0.01)


@pytest.mark.parametrize("sigma, tight", [(20, 5.5448), (40, 2.5017), (80, 1.1575)])
def test_normal_noise_is_never_worse_than_promised(sigma, tight):
    """`tight` is what the privacy-loss distributions of dp_accounting 0.6.0 say of 300 questions at delta = 1e-5."""
    epsilon, _ = epsilon_of(300 * gaussian_renyi(ORDERS, sigma), ORDERS, 1e-5)
    mu = VOTE * math.sqrt(300) / sigma
    assert exact_delta(tight, mu) == pytest.approx(1e-5, rel=1e-3)
    assert tight < epsilon < 1.36 * tight
    assert 1e-8 < exact_delta(epsilon, mu) < 1e-5


def test_another_accountant_has_the_same_curves():
    """dp_accounting 0.6.0, RDP at delta = 1e-5: 300 questions at sigma = 40, and 100 at b = 20 (200 counts there).
    It goes from the same curve to epsilon by a tighter way: Canonne et al. 2020, proposition 12, written out here."""
    orders = np.array([*(1 + x / 10 for x in range(1, 200)), *range(21, 200)])
    way = np.log1p(-1 / orders) - np.log(1e-5 * orders) / (orders - 1)
    normal, laplace = 300 * gaussian_renyi(orders, 40), 100 * laplace_renyi(orders, 20)
    assert (normal + way).min() == pytest.approx(2.7138907791705433, rel=1e-12)
    assert (laplace + way).min() == pytest.approx(3.1264984862513978, rel=1e-7)
    assert 2.8934 < 3.1265 < epsilon_of(laplace, orders, 1e-5)[0] < 3.6  # the first by privacy-loss distributions


def test_the_number_that_others_print_for_the_first_bound():
    """PySyft's analysis of PATE: 100 questions, b = 10, delta = 1e-5, moments 1 to 8: 11.7564627 without the votes.
    Its moment l is the order l + 1, and its bound the one above for pure privacy; the exact curve asks for less."""
    orders = np.arange(2.0, 10.0)
    epsilon, order = epsilon_of(100 * orders * (2 / 10) ** 2 / 2, orders, 1e-5)
    assert epsilon == pytest.approx(11.756462732485105, rel=1e-12) and order == 3
    assert epsilon_of(100 * laplace_renyi(ORDERS, 10), ORDERS, 1e-5)[0] < epsilon


@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
@pytest.mark.parametrize("gap", [-1, 0, 1, 4])
def test_the_winner_keeps_the_promise_by_exact_probabilities(noise, gap):
    """Two classes: one vote moves the gap by 2. One question, noise so small that the promise is put to the test."""
    scale = 0.8

    def wins(g):
        if noise == "gaussian":
            return norm.cdf(g / (math.sqrt(2) * scale))
        tail = (2 + abs(g) / scale) / 4 * math.exp(-abs(g) / scale)
        return 1 - tail if g > 0 else tail

    curve = (gaussian_renyi if noise == "gaussian" else laplace_renyi)(ORDERS, scale)
    for delta in (1e-3, 0.05):
        bound = math.exp(epsilon_of(curve, ORDERS, delta)[0])
        p, q = wins(gap + 2), wins(gap)
        assert p <= bound * q + delta and 1 - q <= bound * (1 - p) + delta
        assert gap > 1 or p > 1.2 * q  # there is something to hide
