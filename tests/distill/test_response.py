"""Response losses: central differences, PyTorch, SymPy and scipy as witnesses; extremes; limits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import sympy
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 5), st.integers(2, 7))


def example(seed, shape=(4, 5), scale=2.0):
    rng = np.random.default_rng(seed)
    z_s, z_t = scale * rng.normal(size=(2, *shape))
    return z_s, z_t, rng.integers(0, shape[1], shape[0]), rng.uniform(0.2, 2, shape[0])


def reference_kl(z_s, z_t, T):
    """KL of each row from scipy's pieces, in float64."""
    p, q = scipy.special.softmax(z_t / T, axis=1), scipy.special.softmax(z_s / T, axis=1)
    return scipy.special.rel_entr(p, q).sum(axis=1)


@given(seeds, shapes, st.floats(1, 30))
def test_gradients_by_central_differences(seed, shape, T):
    """The tolerance is for central differences of rows where the two nearly agree by chance."""
    z_s, z_t, y, w = example(seed, shape, scale=1.0)
    check = kd.gradcheck.check_loss
    check(kd.cross_entropy, z_s, y, smoothing=0.1, weight=w, tolerance=1e-6)
    check(kd.soft_targets, z_s, z_t, T=T, weight=w, tolerance=1e-6)
    check(kd.logit_matching, z_s, z_t, tolerance=1e-6)


def test_gradients_by_central_differences_are_exact_on_a_typical_batch():
    z_s, z_t, y, w = example(0)
    assert kd.gradcheck.check_loss(kd.cross_entropy, z_s, y, smoothing=0.1, weight=w) < 1e-8
    assert kd.gradcheck.check_loss(kd.soft_targets, z_s, z_t, T=3.0, weight=w) < 1e-8


@given(seeds, shapes, st.floats(0.3, 10))
def test_values_from_scipy(seed, shape, T):
    z_s, z_t, y, w = example(seed, shape)
    expected = T**2 * (w * reference_kl(z_s, z_t, T)).mean()
    assert kd.soft_targets(z_s, z_t, T=T, weight=w)[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    log_p = scipy.special.log_softmax(z_s, axis=1)
    t = 0.8 * np.eye(shape[1])[y] + 0.2 / shape[1]
    assert kd.cross_entropy(z_s, y, smoothing=0.2)[0] == pytest.approx(-(t * log_p).sum(axis=1).mean(), rel=1e-12)
    assert kd.logit_matching(z_s, z_t)[0] == pytest.approx(0.5 * ((z_s - z_t) ** 2).sum(axis=1).mean())


def test_values_and_gradients_from_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    z_s, z_t, y, _ = example(0, (6, 5))
    s = torch.tensor(z_s, requires_grad=True)
    t, labels = torch.tensor(z_t), torch.tensor(y)

    def agrees(ours, loss):
        (gradient,) = torch.autograd.grad(loss, s)
        assert ours[0] == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(ours[1], gradient.numpy(), atol=1e-14)

    agrees(kd.cross_entropy(z_s, y, smoothing=0.3), F.cross_entropy(s, labels, label_smoothing=0.3))
    T = 3.0
    kl = F.kl_div(F.log_softmax(s / T, 1), F.log_softmax(t / T, 1), reduction="batchmean", log_target=True)
    agrees(kd.soft_targets(z_s, z_t, T=T), T * T * kl)
    agrees(kd.logit_matching(z_s, z_t), 0.5 * F.mse_loss(s, t, reduction="sum") / len(y))


def test_three_classes_from_sympy():
    z = sympy.symbols("z1:4")
    v, T = (0.4, -1.0, 0.9), sympy.Rational(5, 2)
    p = [sympy.exp(a / T) / sum(sympy.exp(b / T) for b in v) for a in v]
    q = [sympy.exp(a / T) / sum(sympy.exp(b / T) for b in z) for a in z]
    loss = T**2 * sum(a * (sympy.log(a) - sympy.log(b)) for a, b in zip(p, q))
    at = dict(zip(z, (1.2, 0.1, -0.7)))
    value, gradient = kd.soft_targets(np.array([[1.2, 0.1, -0.7]]), np.array([v]), T=2.5)
    assert value == pytest.approx(float(loss.subs(at)), rel=1e-12)
    np.testing.assert_allclose(gradient[0], [float(sympy.diff(loss, a).subs(at)) for a in z], rtol=1e-10)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("T", [20.0, 1e3, 1e8])
def test_high_temperature_keeps_its_digits(T, dtype, tolerance):
    """Against the exact rational value; the textbook form loses 32 % at T = 1000 in float32.

    What is computed is computed in float64, whose rounding grows with T: at 1e8 eight digits are left."""
    z_s, z_t, _, _ = example(1, (3, 4))
    z_s, z_t = z_s.astype(dtype), z_t.astype(dtype)
    T_exact = sympy.Float(T, 60)
    exact = 0
    for s, t in zip(z_s, z_t):
        es = [sympy.exp(sympy.Float(float(a), 60) / T_exact) for a in s]
        et = [sympy.exp(sympy.Float(float(a), 60) / T_exact) for a in t]
        p, q = [e / sum(et) for e in et], [e / sum(es) for e in es]
        exact += sum(a * sympy.log(a / b) for a, b in zip(p, q))
    exact = float(T_exact**2 * exact / len(z_s))
    assert float(kd.soft_targets(z_s, z_t, T=T)[0]) == pytest.approx(exact, rel=max(tolerance, 1e-16 * T))


@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-5])
@pytest.mark.parametrize("T", [4.0, 1e2, 1e4, 1e8])
def test_the_digits_that_are_left_are_those_that_the_page_of_numbers_promises(T, distance):
    """The page said "exact to the last digits from T = 0.05 to 1e8"; at T = 1e8 eight digits are lost, or more."""
    mpmath = pytest.importorskip("mpmath")
    rng, expected, worst = np.random.default_rng(5), 2.2e-16 * T / distance, [0.0, 0.0]
    for _ in range(50):
        z_t = rng.normal(size=(1, 10))
        z_s = z_t + distance * rng.normal(size=(1, 10))
        value, gradient = kd.soft_targets(z_s, z_t, T=T)
        with mpmath.workdps(60):
            p, q = ([mpmath.exp(mpmath.mpf(float(a)) / T) for a in z[0]] for z in (z_t, z_s))
            p, q = ([a / mpmath.fsum(e) for a in e] for e in (p, q))
            exact = T**2 * mpmath.fsum(a * mpmath.log(a / b) for a, b in zip(p, q))
            slopes = [T * (b - a) for a, b in zip(p, q)]
            off = max(abs(mpmath.mpf(float(g)) - s) for g, s in zip(gradient[0], slopes))
            found = abs(mpmath.mpf(float(value)) / exact - 1), off / max(map(abs, slopes))
        worst = [max(w, float(e)) for w, e in zip(worst, found)]
    assert 0.1 < worst[0] / expected < 2
    assert 0.1 < worst[1] / expected < 8


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-5])
def test_close_answers_keep_their_digits_in_single_precision(distance):
    z, other, _, _ = example(11, (6, 8))
    z_s, z_t = (z + distance * other).astype(np.float32), z.astype(np.float32)
    exact, exact_gradient = kd.soft_targets(z_s.astype(float), z_t.astype(float), T=2.0)
    value, gradient = kd.soft_targets(z_s, z_t, T=2.0)
    assert value == pytest.approx(exact, rel=1e-5)
    np.testing.assert_allclose(gradient, exact_gradient, atol=1e-5 * np.abs(exact_gradient).max())


@pytest.mark.parametrize("T", [20.0, 1e3, 1e5, 1e8])
def test_gradients_keep_their_digits_at_high_temperature(T):
    z_s, z_t, _, _ = example(1, (3, 4))
    z_s, z_t = z_s.astype(np.float32), z_t.astype(np.float32)
    exact = kd.soft_targets(z_s.astype(float), z_t.astype(float), T=T)[1]
    np.testing.assert_allclose(kd.soft_targets(z_s, z_t, T=T)[1], exact, atol=1e-5 * np.abs(exact).max())


def test_the_limit_of_high_temperature_is_logit_matching():
    z_s, z_t, _, _ = example(2, (5, 6))
    z_s, z_t = (z - z.mean(axis=1, keepdims=True) for z in (z_s, z_t))
    matched, gradient = kd.logit_matching(z_s, z_t)
    soft, soft_gradient = kd.soft_targets(z_s, z_t, T=1e8)
    assert soft == pytest.approx(matched / 6, rel=1e-6)
    np.testing.assert_allclose(soft_gradient, gradient / 6, rtol=1e-5, atol=1e-8)


@given(seeds, st.sampled_from([0.05, 1.0, 4.0, 1e8]), st.sampled_from(["float32", "float64"]))
def test_extreme_logits_stay_finite_and_positive(seed, T, dtype):
    z_s, z_t, y, _ = example(seed, (4, 6), scale=1.0)
    z_s, z_t = (1e4 * z_s).astype(dtype), (1e4 * z_t).astype(dtype)
    for value, gradient in (kd.soft_targets(z_s, z_t, T=T), kd.cross_entropy(z_s, y)):
        assert np.isfinite(value) and value >= 0
        assert np.isfinite(gradient).all()


@given(seeds, st.sampled_from(["float32", "float64"]), st.floats(1e-6, 1.0))
def test_close_distributions_never_have_negative_divergence(seed, dtype, distance):
    z_s, z_t, _, _ = example(seed, (4, 6))
    value, _ = kd.soft_targets((z_t + distance * z_s).astype(dtype), z_t.astype(dtype), T=4.0)
    assert value > 0


def test_a_masked_class_costs_what_the_student_gives_it():
    z_s, z_t, _, _ = example(3)
    z_t[:, 2] = -np.inf
    value, _ = kd.soft_targets(z_s, z_t, T=1.5)
    assert value == pytest.approx(1.5**2 * reference_kl(z_s, z_t, 1.5).mean(), rel=1e-10)
    assert kd.gradcheck.check_loss(kd.soft_targets, z_s, z_t, T=1.5) < 1e-7
    z_s[:, 2] = 60.0  # nearly all of the student's mass is where the teacher has none
    assert kd.soft_targets(z_s, z_t, T=1.5)[0] == pytest.approx(1.5**2 * reference_kl(z_s, z_t, 1.5).mean(), rel=1e-10)
    z_s[:, 2] = -np.inf  # both exclude the class
    assert kd.soft_targets(z_s, z_t, T=1.5)[0] == pytest.approx(
        kd.soft_targets(np.delete(z_s, 2, 1), np.delete(z_t, 2, 1), T=1.5)[0]
    )


def test_nearly_zero_temperature_is_finite():
    z_s, z_t, _, _ = example(12)
    value, gradient = kd.soft_targets(z_s, z_t, T=1e-8)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_one_teacher_class_only():
    z_s = np.array([[0.5, -0.2, 1.0]])
    z_t = np.array([[-np.inf, 3.0, -np.inf]])
    assert kd.soft_targets(z_s, z_t, T=1.0)[0] == pytest.approx(kd.cross_entropy(z_s, np.array([1]))[0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_widest_float64_spread_is_never_nan():
    z = np.array([[1e308, -1e308, 0.0], [0.0, 1e308, -1e308]])
    assert not np.isnan(kd.soft_targets(z, -z, T=1.0)[0])


def test_half_precision_computes_in_single():
    value, gradient = kd.soft_targets(np.float16([[6e4, -6e4]]), np.float16([[-6e4, 6e4]]))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_arguments_may_be_named():
    z_s, z_t, y, w = example(10)
    named = kd.soft_targets(z_s=z_s.astype(np.float16), z_t=z_t.astype(np.float16), T=3.0, weight=w)
    placed = kd.soft_targets(z_s.astype(np.float16), z_t.astype(np.float16), 3.0, w)
    assert named[0] == placed[0] and named[1].dtype == np.float16
    np.testing.assert_array_equal(named[1], placed[1])
    assert kd.cross_entropy(z_s, y=y)[0] == kd.cross_entropy(z=z_s, y=y)[0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda z: kd.cross_entropy(z, np.eye(5)[:4]), "argmax"),
        (lambda z: kd.cross_entropy(z, np.zeros(3, int)), r"shape \(4,\), got \(3,\)"),
        (lambda z: kd.SoftTargets(T=-1), "T must be one positive"),
        (lambda z: kd.CrossEntropy(smoothing=2), "smoothing"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0).normal(size=(4, 5)))
