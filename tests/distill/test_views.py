"""Pairs of a class, and two views of a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import H, K, data, settings, student

import kdlearn as kd
from kdlearn.distill.feature import squared_error
from kdlearn.distill.views import agreeing_views, same_class, two_views


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 5))
def test_pairs_are_of_one_class_and_nobody_is_left_out(labels, seed):
    y = np.array(labels)
    rows = kd.Data({"x": np.arange(len(y), dtype=np.float32)[:, None], "y": y})
    made = same_class(rows)(0, np.random.default_rng(seed))
    pair = made["pair.x"][:, 0].astype(int)
    np.testing.assert_array_equal(y[pair], y)
    np.testing.assert_array_equal(np.sort(pair), np.arange(len(y)))
    alone = np.bincount(y)[y] == 1
    np.testing.assert_array_equal(pair == np.arange(len(y)), alone)


def test_pairs_change_with_epoch_and_seed_and_leave_the_shuffle_alone():
    rows = data()

    def pairs(epoch, seed):
        rng = np.random.default_rng(seed)
        made = same_class(rows)(epoch, rng)["pair.x"]
        assert rng.bit_generator.state == np.random.default_rng(seed).bit_generator.state
        return made

    np.testing.assert_array_equal(pairs(1, 0), pairs(1, 0))
    assert not np.array_equal(pairs(1, 0), pairs(2, 0)) and not np.array_equal(pairs(1, 0), pairs(1, 1))
    plain, paired = student(), student()
    kd.fit(plain, kd.CrossEntropy(), rows, **settings())
    kd.fit(paired, kd.CrossEntropy(), same_class(rows), **settings(optimizer=kd.Adam(1e-2)))
    np.testing.assert_array_equal(paired.theta, plain.theta)


def test_class_wise_training_on_every_backend(backend):
    def train(device):
        net, rows = student().to(device), data().to(device)
        objective = kd.CrossEntropy() + kd.SoftTargets(4, teacher="pair.logits")
        hist = kd.fit(net, objective, same_class(rows), teachers={"pair": net}, validation=rows, **settings())
        return kd.to_numpy(net.theta), hist

    theta, history = train("cpu")
    np.testing.assert_allclose(train(backend.device)[0], theta, rtol=1e-4, atol=1e-6)
    # validation rows have no pairs: each is its own, and agrees with itself
    assert history["soft_targets", "validation"][-1] == pytest.approx(0, abs=1e-6)
    assert history["soft_targets"][-1] > 1e-4


def test_two_views_are_distorted_apart_and_the_rows_stay():
    def noise(x, rng):
        return x + rng.standard_normal(x.shape).astype(x.dtype)

    rows = data()
    first, second = (two_views(rows, noise)(epoch, np.random.default_rng(0)) for epoch in (0, 1))
    for a, b in ((first["a.x"], first["b.x"]), (first["a.x"], second["a.x"]), (first["a.x"], rows.x)):
        assert not np.allclose(a, b)
    np.testing.assert_array_equal(first.x, rows.x)
    net = student()
    history = kd.fit({"a": net, "b": net}, agreeing_views(hint=0.1), two_views(rows, noise), **settings(epochs=20))
    assert history["loss"][-1] < history["loss"][0]


def test_agreeing_views_match_autograd():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    rng = np.random.default_rng(2)
    T, weight, hint, y = 2.0, 0.6, 0.3, rng.integers(0, K, 7)
    live = {f"{v}.{tap}": rng.normal(size=(7, w)) for v in "ab" for tap, w in (("logits", K), ("h1", H))}
    result = agreeing_views(T, weight, hint)(live, {**live, "y": y})
    value, gradients = result.value, result.gradients
    leaf = {site: torch.tensor(a, requires_grad=True) for site, a in live.items()}
    total = 0.0
    for v, o in ("ab", "ba"):
        z, other = leaf[f"{v}.logits"], leaf[f"{o}.logits"].detach()
        kl = F.kl_div(F.log_softmax(z / T, 1), F.softmax(other / T, 1), reduction="batchmean")
        near = 0.5 * ((leaf[f"{v}.h1"] - leaf[f"{o}.h1"].detach()) ** 2).sum(1).mean()
        total = total + F.cross_entropy(z, torch.tensor(y)) + weight * T * T * kl + hint * near
    total.backward()
    assert total.item() == pytest.approx(value)
    for site, tensor in leaf.items():
        kd.gradcheck.compare_gradients(gradients[site], tensor.grad.numpy())


def test_distance_of_pairs_bounds_the_discrepancy_of_means():
    rng = np.random.default_rng(0)
    h_a, h_b = rng.normal(size=(2, 9, H)) + 0.5
    mmd = ((h_a.mean(axis=0) - h_b.mean(axis=0)) ** 2).sum()
    assert 0 < mmd <= 2 * squared_error(h_a, h_b)[0]
