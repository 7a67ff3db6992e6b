"""Metrics by hand and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

import kdlearn as kd


def test_against_scikit_learn(rng):
    z, y = 2 * rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    assert kd.metrics.accuracy(z, y) == accuracy_score(y, z.argmax(axis=1))
    assert kd.metrics.negative_log_likelihood(z, y) == pytest.approx(log_loss(y, kd.softmax(z), labels=range(4)))


def test_agreement_and_entropy():
    a = np.array([[2.0, 0], [0, 2], [3, 0]])
    assert kd.metrics.agreement(a, a[::-1]) == 1.0
    assert kd.metrics.agreement(a, -a) == 0.0
    assert kd.metrics.entropy(np.zeros((3, 8))) == pytest.approx(np.log(8))
    assert kd.metrics.entropy(np.array([[0.0, -np.inf]])) == 0.0


def test_a_calibrated_network_has_no_error(rng):
    p = rng.dirichlet(np.ones(3), size=40_000)
    y = (p.cumsum(axis=1) < rng.uniform(size=(40_000, 1))).sum(axis=1)
    assert kd.metrics.calibration_error(np.log(p), y) < 0.01
    assert kd.metrics.calibration_error(3 * np.log(p), y) > 0.1


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_by_hand(bins):
    """Rows that are certain stand in the last bin, whatever the number of bins."""
    confidence = np.array([1.0, 1.0, 0.99, 0.6, 0.55])
    z, y = np.log(np.column_stack([confidence, 1 - confidence]) + 1e-300), np.array([0, 1, 0, 0, 1])
    which = [next(b for b in range(bins) if c <= (b + 1) / bins) for c in confidence]
    gaps = [sum((1.0 - label) - c for c, label, b in zip(confidence, y, which) if b == own) for own in set(which)]
    assert kd.metrics.calibration_error(z, y, bins) == pytest.approx(np.abs(gaps).sum() / 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, bins", [(1, 2), (3, 5), (9, 15), (7, 10), (55, 100)])
def test_a_confidence_on_an_edge_belongs_to_the_lower_bin(m, bins, dtype):
    """Guo et al. 2017 count ((m - 1)/M, m/M]; it was put into the bin above."""
    p = np.array([[m / bins, *np.full(4, (1 - m / bins) / 4)]], dtype)
    assert p.argmax() == 0
    z = np.log(p)
    found = kd.metrics.by_confidence(z, np.array([0]), bins)
    if found[0][0] == p[0, 0]:  # softmax rounds some of them away from the edge
        assert found[2][0] == m - 1
    halves = kd.metrics.by_confidence(np.zeros((1, 2), dtype), np.array([0]), 2)
    assert halves[0][0] == 0.5 and halves[2][0] == 0


def test_same_on_every_backend(backend, rng):
    z, y = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    m = kd.metrics
    for f in (m.accuracy, m.negative_log_likelihood, m.calibration_error):
        assert f(backend.put(z), backend.put(y)) == pytest.approx(f(z, y))
    assert m.entropy(backend.put(z), 2.0) == pytest.approx(m.entropy(z, 2.0))
    assert m.agreement(backend.put(z), backend.put(-z)) == m.agreement(z, -z)
