"""Odd inputs get the right number or an error, never a wrong number without a word."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.special import log_softmax

import kdlearn as kd


def rows(n=50, **columns):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return kd.Data({"x": x, "y": (x[:, 0] > 0).astype(int), "w": rng.uniform(0.1, 3, n), **columns})


# ------------------------------------------------------------------ means

NORMALIZED = kd.Term(functools.partial(kd.cross_entropy, normalize=True), ("student.logits",), ("y",), "w")


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 50])
@pytest.mark.parametrize("ignore", [None, 1])
def test_a_weighted_mean_is_that_of_all_rows_whatever_the_batches(ignore, batch_size, stack):
    """Each batch was divided by its own sum of weights, and the batches then counted by their rows."""
    loss = functools.partial(kd.cross_entropy, normalize=True, ignore=ignore)
    objective = 0.5 * kd.Term(loss, ("student.logits",), ("y",), "w") + kd.CrossEntropy()
    data, net = rows(), kd.MLP(3, 5, 2, seed=0)
    found = kd.evaluate(kd.Stack([net, net]) if stack else net, objective, data, batch_size=batch_size)["loss"]
    losses = -log_softmax(net.logits(data.x).astype(float), axis=1)[np.arange(50), data.y]
    w = data["w"] * (data.y != ignore)
    want = 0.5 * (w * losses).sum() / w.sum() + losses.mean()
    np.testing.assert_allclose(found, [want, want] if stack else want, rtol=1e-6)


def test_a_weighted_mean_is_not_taken_in_pieces():
    net = kd.MLP(3, 5, 2, seed=0)
    with pytest.raises(ValueError, match="divides by the sum of its weights"):
        kd.fit(net, NORMALIZED, rows(), epochs=1, micro_batch=7, progress=False)
    whole, pieces = net.copy(), net.copy()
    batch = {name: rows()[name] for name in "xyw"}  # columns, without an index
    for one, micro in ((whole, None), (pieces, 7)):
        kd.train_step(one, None, kd.CrossEntropy() * "w", batch, optimizer=kd.SGD(1.0), micro_batch=micro)
    np.testing.assert_allclose(pieces.theta, whole.theta, atol=1e-6)


# ------------------------------------------------------------------ measures


@pytest.mark.parametrize("row", [[np.inf, 0, 1], [np.inf, np.inf, 0], [-np.inf] * 3, [np.nan, 0, 1]])
def test_a_row_without_probabilities_makes_every_measure_nan(row):
    """With infinite logits the calibration error complained of a 'list', and the accuracy was a number."""
    z, y, m = np.array([[2.0, 0, 1], row]), np.array([0, 0]), kd.metrics
    with np.errstate(invalid="ignore"):
        for found in (
            m.accuracy(z, y),
            m.agreement(z, z),
            m.calibration_error(z, y),
            m.negative_log_likelihood(z, y),
            m.entropy(z),
        ):
            assert np.isnan(found)
    masked = np.array([[2.0, 0, -np.inf]])  # a class that is masked is no fault
    assert m.accuracy(masked, y[:1]) == 1 and m.calibration_error(masked, y[:1]) < 1


def test_a_network_that_overflows_has_no_most_probable_class():
    net = kd.MLP(2, 3, seed=0)
    net.layers[0].W[...] = np.abs(net.layers[0].W) + 1
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="NaN or infinite"):
        net.predict(np.full((1, 2), 3e38, np.float32))
    assert net.predict(np.ones((1, 2), np.float32)).shape == (1,)
