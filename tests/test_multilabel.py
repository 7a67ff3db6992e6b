"""Several labels at once: yes and no, class by class."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.multilabel import binary_cross_entropy, sigmoid_targets

seeds = st.integers(0, 2**32 - 1)


def example(seed, N=5, K=4, scale=2.0):
    rng = np.random.default_rng(seed)
    z_s, z_t = scale * rng.normal(size=(2, N, K))
    return z_s, z_t, rng.integers(0, 2, (N, K)), rng.uniform(0.2, 2, N)


@given(seeds, st.floats(0.3, 30))
def test_by_central_differences_and_by_definition(seed, T):
    z_s, z_t, t, w = example(seed)
    kd.gradcheck.check_loss(binary_cross_entropy, z_s, t, weight=w, tolerance=1e-6)
    kd.gradcheck.check_loss(sigmoid_targets, z_s, z_t, T=T, weight=w, tolerance=1e-5)
    s = scipy.special.expit(z_s)
    expected = -(w * (t * np.log(s) + (1 - t) * np.log1p(-s)).sum(axis=1)).mean()
    assert binary_cross_entropy(z_s, t, weight=w)[0] == pytest.approx(expected)
    p, q = scipy.special.expit(z_t / T), scipy.special.expit(z_s / T)
    kl = scipy.special.rel_entr(p, q) + scipy.special.rel_entr(1 - p, 1 - q)
    expected = (w * T * T * kl.sum(axis=1)).mean()
    assert sigmoid_targets(z_s, z_t, T, weight=w)[0] == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_against_torch():
    torch = pytest.importorskip("torch")
    z_s, z_t, t, _ = example(1)
    s = torch.tensor(z_s, requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        s, torch.tensor(t, dtype=torch.float64), reduction="sum"
    )
    (loss / 5).backward()
    value, gradient = binary_cross_entropy(z_s, t)
    assert value == pytest.approx(loss.item() / 5)
    np.testing.assert_allclose(gradient, s.grad.numpy(), atol=1e-14)
    s = torch.tensor(z_s, requires_grad=True)
    p, q = torch.sigmoid(torch.tensor(z_t) / 3), torch.sigmoid(s / 3)
    kl = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    (9 * kl.sum(1).mean()).backward()
    np.testing.assert_allclose(sigmoid_targets(z_s, z_t, 3.0)[1], s.grad.numpy(), atol=1e-13)


@pytest.mark.parametrize("T", [0.05, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_and_high_temperatures_keep_their_digits(T, dtype):
    z_s, z_t, t, _ = (a.astype(dtype) for a in example(3, scale=1e3))
    value, gradient = sigmoid_targets(z_s, z_t, T)
    assert np.isfinite(value) and value > 0 and np.isfinite(gradient).all()
    if T >= 1e4:
        expected = ((z_s - z_t).astype("float64") ** 2).sum(axis=1).mean() / 8
        assert value == pytest.approx(expected, rel=2e-2)
    assert np.isfinite(binary_cross_entropy(z_s, t)[0])
    assert sigmoid_targets(z_t, z_t, T)[0] == 0


def test_a_student_learns_several_labels_from_a_teacher_without_labels():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)).astype("float32")
    labels = (x @ rng.normal(size=(6, 3)) > 0).astype("float32")
    train, test = kd.Data({"x": x[:200], "labels": labels[:200]}), x[200:]
    settings = {"epochs": 60, "batch_size": 50, "optimizer": kd.Adam(0.02), "progress": False}
    teacher, student = kd.MLP(6, 32, 3, seed=1), kd.MLP(6, 12, 3, seed=2)
    kd.fit(teacher, kd.BinaryCrossEntropy(), train, **settings)
    kd.fit(student, kd.SigmoidTargets(T=2), kd.Data({"x": x[:200]}), teachers=teacher, **settings)
    for net, least in ((teacher, 0.93), (student, 0.9)):
        assert ((net.logits(test) > 0) == labels[200:]).mean() > least
