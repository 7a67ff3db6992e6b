"""Learned and scheduled temperatures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.temperature import AdversarialTemperature, ScheduledTemperature, learned_temperature


def example(seed, shape=(4, 5)):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=shape), 2 * rng.normal(size=shape)


def at(raw, low=1.0, high=21.0):
    return low + (high - low) / (1 + np.exp(-raw))


@given(st.integers(0, 1000), st.floats(-4, 4), st.tuples(st.integers(1, 5), st.integers(2, 6)))
def test_both_gradients_by_central_differences(seed, raw, shape):
    z_s, z_t = example(seed, shape)
    r = np.array([raw])
    _, (dz, dr) = learned_temperature(z_s, r, z_t)
    numeric = kd.gradcheck.numerical_gradient
    expected_z = numeric(lambda z: learned_temperature(z, r, z_t)[0], z_s)
    expected_r = numeric(lambda v: learned_temperature(z_s, v, z_t)[0], r)
    np.testing.assert_allclose(dz, expected_z, atol=1e-7)
    np.testing.assert_allclose(dr, expected_r, atol=1e-7 * (1 + abs(expected_r).max()))


@given(st.integers(0, 1000), st.floats(-3, 3))
def test_value_and_gradient_are_those_of_soft_targets_at_this_temperature(seed, raw):
    z_s, z_t = example(seed)
    value, (dz, _) = learned_temperature(z_s, np.array([raw]), z_t)
    expected, gradient = kd.soft_targets(z_s, z_t, T=at(raw))
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(dz, gradient, rtol=1e-8, atol=1e-12)


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    z_s, z_t = example(3)
    s, r = torch.tensor(z_s, requires_grad=True), torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    T = 1 + 20 * torch.sigmoid(r)
    kl = F.kl_div(
        F.log_softmax(s / T, 1), F.log_softmax(torch.tensor(z_t) / T, 1), reduction="batchmean", log_target=True
    )
    (T * T * kl).sum().backward()
    _, (dz, dr) = learned_temperature(z_s, np.array([0.4]), z_t)
    np.testing.assert_allclose(dz, s.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(dr, r.grad.numpy(), atol=1e-10)


def test_masked_classes_and_extremes_stay_finite():
    z_s, z_t = example(1)
    z_t[:, 2] = -np.inf
    for raw in (-50.0, 0.0, 50.0):
        value, (dz, dr) = learned_temperature(1e4 * z_s, np.array([raw]), z_t)
        assert np.isfinite(value) and np.isfinite(dz).all() and np.isfinite(dr).all()
    r = np.array([0.3])
    _, (_, dr) = learned_temperature(z_s, r, z_t)
    expected = kd.gradcheck.numerical_gradient(lambda v: learned_temperature(z_s, v, z_t)[0], r)
    np.testing.assert_allclose(dr, expected, rtol=1e-6)


def test_the_temperature_climbs_while_the_student_descends():
    z_s, z_t = example(2)
    term = AdversarialTemperature(start=4.0, dtype="float64")
    live, fixed = {"student.logits": z_s}, {"teacher.logits": z_t}
    before = term(live, fixed).value
    assert before == pytest.approx(kd.soft_targets(z_s, z_t, T=4.0)[0])
    term.net.theta -= 0.1 * term.net.grad  # what any optimiser does with a gradient
    assert term(live, fixed).value > before


def test_a_run_moves_the_temperature_and_keeps_it_in_bounds():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    rows = kd.Data({"x": x, "y": rng.integers(0, 3, 64)}).with_soft_labels(kd.MLP(5, 12, 3, seed=5))
    term = AdversarialTemperature(start=4.0)
    start = term.net.theta.copy()
    history = kd.fit(
        kd.MLP(5, 8, 3), kd.CrossEntropy() + term, rows, optimizer=kd.Adam(0.05), epochs=20, progress=False
    )
    assert not np.array_equal(term.net.theta, start)
    assert 1 < at(float(term.net.theta[0])) < 21 and np.isfinite(history["loss"]).all()


def test_a_schedule_is_read_at_the_progress():
    z_s, z_t = example(4)
    term = ScheduledTemperature(lambda progress: 8 - 6 * progress)
    for progress, T in ((0.0, 8), (0.5, 5), (1.0, 2)):
        result = term({"student.logits": z_s}, {"teacher.logits": z_t, "progress": progress})
        assert result.value == kd.soft_targets(z_s, z_t, T=T)[0]
    assert term.sites == {"student.logits", "teacher.logits", "progress"}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda z: learned_temperature(z, np.zeros(2), z), r"shape \(1,\), got \(2,\)"),
        (lambda z: learned_temperature(z, np.zeros(1), z[:, :2]), "one shape"),
        (lambda z: learned_temperature(z, np.zeros(1), z, low=0), "0 < low < high"),
        (lambda z: AdversarialTemperature(start=30), "start must lie between"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(example(0)[0])


def test_half_precision_keeps_each_dtype():
    z_s, z_t = example(5)
    _, (dz, dr) = learned_temperature(z_s.astype(np.float16), np.zeros(1, np.float32), z_t.astype(np.float16))
    assert dz.dtype == np.float16 and dr.dtype == np.float32
