"""Other divergences: central differences, PyTorch, SymPy, scipy and 60 digits as witnesses; extremes; limits."""

from __future__ import annotations

import functools

import mpmath
import numpy as np
import pytest
import scipy.special
import sympy
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.catalogue.losses import losses
from kdlearn.distill.divergence import jensen_shannon, reverse_kl, total_variation

LOSSES = [loss.function for loss in losses("divergence")]
seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 5), st.integers(2, 7))
DEFINED = [reverse_kl, jensen_shannon, total_variation]  # those whose definition stands in `reference` and `exact`
loss_under_test = pytest.mark.parametrize("loss", DEFINED, ids=lambda f: f.__name__)


def example(seed, shape=(4, 5), scale=2.0):
    rng = np.random.default_rng(seed)
    z_s, z_t = scale * rng.normal(size=(2, *shape))
    return z_s, z_t, rng.uniform(0.2, 2, shape[0])


def reference(loss, z_s, z_t, T, beta=0.5):
    """The value of each row by its definition, from scipy's pieces."""
    p, q = scipy.special.softmax(z_t / T, axis=1), scipy.special.softmax(z_s / T, axis=1)
    kl = scipy.special.rel_entr
    if loss is reverse_kl:
        return T**2 * kl(q, p).sum(axis=1)
    if loss is jensen_shannon:
        m = beta * p + (1 - beta) * q
        return T**2 * (beta * kl(p, m) + (1 - beta) * kl(q, m)).sum(axis=1)
    return T * 0.5 * np.abs(p - q).sum(axis=1)


def exact(loss, z_s, z_t, T):
    """The mean over rows with 60 digits."""
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        for s, t in zip(z_s.tolist(), z_t.tolist()):
            es, et = ([mpmath.exp(mpmath.mpf(v) / mpmath.mpf(T)) for v in row] for row in (s, t))
            q, p = [e / sum(es) for e in es], [e / sum(et) for e in et]
            m = [(a + b) / 2 for a, b in zip(p, q)]

            def kl(a, b):
                return sum(x * mpmath.log(x / y) for x, y in zip(a, b))

            if loss is reverse_kl:
                total += mpmath.mpf(T) ** 2 * kl(q, p)
            elif loss is jensen_shannon:
                total += mpmath.mpf(T) ** 2 * (kl(p, m) + kl(q, m)) / 2
            else:
                total += mpmath.mpf(T) * sum(abs(a - b) for a, b in zip(p, q)) / 2
        return float(total / len(z_s))


@given(seeds, shapes, st.floats(1, 30), st.floats(0.05, 0.95))
def test_gradients_by_central_differences(seed, shape, T, beta):
    z_s, z_t, w = example(seed, shape, scale=1.0)  # a saturated gradient would drown in the value's rounding
    check = functools.partial(kd.gradcheck.check_loss, tolerance=1e-5)
    check(reverse_kl, z_s, z_t, T=T, weight=w)
    check(jensen_shannon, z_s, z_t, T=T, beta=beta, weight=w)
    if (np.abs(scipy.special.softmax(z_s / T, 1) - scipy.special.softmax(z_t / T, 1)) > 1e-4).all():  # off the kinks
        check(total_variation, z_s, z_t, T=T)


@given(seeds, shapes, st.floats(0.3, 10), st.floats(0.05, 0.95))
def test_values_from_scipy(seed, shape, T, beta):
    z_s, z_t, w = example(seed, shape)

    def mean(loss, w=1.0):
        return pytest.approx((w * reference(loss, z_s, z_t, T, beta)).mean(), rel=1e-9, abs=1e-12)

    assert reverse_kl(z_s, z_t, T=T, weight=w)[0] == mean(reverse_kl, w)
    assert jensen_shannon(z_s, z_t, T=T, beta=beta, weight=w)[0] == mean(jensen_shannon, w)
    assert total_variation(z_s, z_t, T=T)[0] == mean(total_variation)


@pytest.mark.parametrize("T", [1.0, 3.0])
def test_values_and_gradients_from_pytorch(T):
    torch = pytest.importorskip("torch")
    z_s, z_t, _ = example(0, (6, 5))
    s = torch.tensor(z_s, requires_grad=True)
    q, p = torch.softmax(s / T, 1), torch.softmax(torch.tensor(z_t) / T, 1)
    m = 0.3 * p + 0.7 * q

    def kl(a, b):
        return (a * (a.log() - b.log())).sum(1).mean()

    for ours, loss in (
        (reverse_kl(z_s, z_t, T=T), T * T * kl(q, p)),
        (jensen_shannon(z_s, z_t, T=T, beta=0.3), T * T * (0.3 * kl(p, m) + 0.7 * kl(q, m))),
        (total_variation(z_s, z_t, T=T), T * 0.5 * (p - q).abs().sum(1).mean()),
    ):
        (gradient,) = torch.autograd.grad(loss, s, retain_graph=True)
        assert ours[0] == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(ours[1], gradient.numpy(), atol=1e-14)


def test_three_classes_from_sympy():
    z = sympy.symbols("z1:4")
    v, T, beta = (0.4, -1.0, 0.9), sympy.Rational(5, 2), sympy.Rational(1, 5)
    p = [sympy.exp(a / T) / sum(sympy.exp(b / T) for b in v) for a in v]
    q = [sympy.exp(a / T) / sum(sympy.exp(b / T) for b in z) for a in z]
    m = [beta * a + (1 - beta) * b for a, b in zip(p, q)]

    def kl(a, b):
        return sum(x * sympy.log(x / y) for x, y in zip(a, b))

    at = dict(zip(z, (1.2, 0.1, -0.7)))
    z_s, z_t = np.array([[1.2, 0.1, -0.7]]), np.array([v])
    for ours, loss in (
        (reverse_kl(z_s, z_t, T=2.5), T**2 * kl(q, p)),
        (jensen_shannon(z_s, z_t, T=2.5, beta=0.2), T**2 * (beta * kl(p, m) + (1 - beta) * kl(q, m))),
    ):
        assert ours[0] == pytest.approx(float(loss.subs(at)), rel=1e-12)
        np.testing.assert_allclose(ours[1][0], [float(sympy.diff(loss, a).subs(at)) for a in z], rtol=1e-10)


@given(seeds)
def test_jensen_shannon_is_the_squared_distance_of_scipy(seed):
    from scipy.spatial.distance import jensenshannon

    z_s, z_t, _ = example(seed)
    distance = jensenshannon(kd.softmax(z_s), kd.softmax(z_t), axis=1)
    assert jensen_shannon(z_s, z_t)[0] == pytest.approx((distance**2).mean(), rel=1e-6)


@loss_under_test
@pytest.mark.parametrize("dtype, tolerance", [("float32", 5e-6), ("float64", 1e-11)])
@pytest.mark.parametrize("T", [0.05, 1.0, 20.0, 1e3, 1e8])
def test_every_temperature_keeps_its_digits(loss, T, dtype, tolerance):
    z_s, z_t = (z.astype(dtype) for z in example(1, (3, 4))[:2])
    # the rounding of float64 grows with T: at 1e8 eight digits are left
    assert float(loss(z_s, z_t, T=T)[0]) == pytest.approx(exact(loss, z_s, z_t, T), rel=max(tolerance, 1e-16 * T))


@loss_under_test
@pytest.mark.parametrize("T", [20.0, 1e3, 1e8])
def test_single_precision_gradients_keep_their_digits(loss, T):
    z_s, z_t = (z.astype("float32") for z in example(2)[:2])
    expected = loss(z_s.astype("float64"), z_t.astype("float64"), T=T)[1]
    np.testing.assert_allclose(loss(z_s, z_t, T=T)[1], expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@loss_under_test
@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-5])
def test_close_answers_keep_their_digits(loss, distance):
    """The textbook forms have no digit left where the logits differ by 1e-4 in float32."""
    z_s, z_t, _ = example(3)
    z_t = z_t.astype("float32")
    z_s = (z_t + distance * z_s).astype("float32")
    assert float(loss(z_s, z_t)[0]) == pytest.approx(exact(loss, z_s, z_t, 1.0), rel=1e-5)


@given(seeds, st.sampled_from([0.05, 1.0, 4.0, 1e8]), st.sampled_from(["float32", "float64"]))
def test_extreme_logits_stay_finite_and_positive(seed, T, dtype):
    z_s, z_t, _ = example(seed, (4, 6), scale=1e4)
    z_s, z_t = z_s.astype(dtype), z_t.astype(dtype)
    for loss in LOSSES:
        value, gradient = loss(z_s, z_t, T=T)
        assert np.isfinite(value) and value >= 0
        assert np.isfinite(gradient).all()
        assert value == pytest.approx(
            loss(z_s.astype("float64"), z_t.astype("float64"), T=T)[0], rel=2e-4 if dtype == "float32" else 0
        )


def test_probabilities_of_exactly_zero():
    sure, other = np.float32([[1e4, -1e4, 0.0]]), np.float32([[-1e4, 1e4, 0.0]])
    assert kd.softmax(sure)[0].tolist() == [1, 0, 0]
    assert float(reverse_kl(sure, other)[0]) == pytest.approx(2e4)
    assert float(jensen_shannon(sure, other)[0]) == pytest.approx(np.log(2))
    assert float(total_variation(sure, other)[0]) == 1
    for loss in LOSSES:
        value, gradient = loss(sure, sure)
        assert value == 0 and not gradient.any()


def test_a_masked_class():
    z_s, z_t, _ = example(4)
    z_t[:, 2] = -np.inf
    for loss in (jensen_shannon, total_variation):  # as defined: the student's mass there counts
        assert loss(z_s, z_t, T=1.5)[0] == pytest.approx(reference(loss, z_s, z_t, 1.5).mean(), rel=1e-12)
        assert kd.gradcheck.check_loss(loss, z_s, z_t, T=1.5) < 1e-7
    # for reverse KL every student would cost infinitely much: the class is left out for both
    value, gradient = reverse_kl(z_s, z_t, T=1.5)
    expected, rest = reverse_kl(np.delete(z_s, 2, 1), np.delete(z_t, 2, 1), T=1.5)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(np.delete(gradient, 2, 1), rest, rtol=1e-9, atol=1e-16)
    assert not gradient[:, 2].any()
    assert kd.gradcheck.check_loss(reverse_kl, z_s, z_t, T=1.5) < 1e-7
    z_s[:, 2] = 60.0
    for loss in LOSSES:
        value, gradient = loss(z_s, z_t)
        assert np.isfinite(value) and np.isfinite(gradient).all()


@given(seeds, st.floats(0.01, 0.99), st.floats(0.05, 100))
def test_jensen_shannon_is_bounded_and_symmetric(seed, beta, T):
    z_s, z_t, _ = example(seed, scale=5.0)
    value = jensen_shannon(z_s, z_t, T=T, beta=beta)[0]
    assert value == pytest.approx(jensen_shannon(z_t, z_s, T=T, beta=1 - beta)[0], rel=1e-9, abs=1e-12)
    assert 0 <= value <= T**2 * -(beta * np.log(beta) + (1 - beta) * np.log(1 - beta)) * (1 + 1e-12)


def test_jensen_shannon_ends_in_the_two_directions_of_kl():
    z_s, z_t, _ = example(5)
    beta = 1e-7
    forward, reverse = kd.soft_targets(z_s, z_t, T=2.0), reverse_kl(z_s, z_t, T=2.0)
    for end, expected in ((beta, forward), (1 - beta, reverse)):
        value, gradient = jensen_shannon(z_s, z_t, T=2.0, beta=end)
        assert value / beta == pytest.approx(expected[0], rel=1e-5)
        np.testing.assert_allclose(gradient / beta, expected[1], rtol=1e-4, atol=1e-6)


def test_reverse_kl_is_kl_with_the_roles_exchanged():
    z_s, z_t, w = example(6)
    assert reverse_kl(z_s, z_t, T=3.0, weight=w)[0] == kd.soft_targets(z_t, z_s, T=3.0, weight=w)[0]


def test_limits_of_high_temperature():
    z_s, z_t, _ = example(7, (5, 6))
    d = (z_s - z_t) - (z_s - z_t).mean(axis=1, keepdims=True)
    assert reverse_kl(z_s, z_t, T=1e8)[0] == pytest.approx((d * d).sum(axis=1).mean() / 12, rel=1e-6)
    for beta in (0.5, 0.2):
        expected = beta * (1 - beta) * (d * d).sum(axis=1).mean() / 12
        assert jensen_shannon(z_s, z_t, T=1e8, beta=beta)[0] == pytest.approx(expected, rel=1e-6)
    assert total_variation(z_s, z_t, T=1e8)[0] == pytest.approx(np.abs(d).sum(axis=1).mean() / 12, rel=1e-6)


@pytest.mark.parametrize("beta", [0, 1, -0.1, 2, float("nan")])
def test_beta_lies_inside(beta):
    z_s, z_t, _ = example(0)
    with pytest.raises(ValueError, match="beta lies in"):
        jensen_shannon(z_s, z_t, beta=beta)
