"""The checks must find mistakes, and say which entry is wrong and by what factor."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.gradcheck import GradientError, check_layer, check_loss, check_objective, check_step, numerical_gradient

Z = np.random.default_rng(1).normal(size=(4, 3))
V = np.random.default_rng(2).normal(size=(4, 3))
W = np.random.default_rng(3).uniform(0.5, 2, size=(4, 1))


def wrong(change):
    def loss(z, v, T=2.0):
        value, gradient = kd.soft_targets(z, v, T=T)
        return value, change(gradient)

    return loss


def one_entry(g):
    g = g.copy()
    g[2, 1] *= 1.5
    return g


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda g: g / 2, "every entry is off by the same factor 0.5"),
        (lambda g: -g, "every entry is off by the same factor -1"),
        (lambda g: g * W, "each row is off by a factor of its own"),
        (lambda g: g + 0.125, "every entry is off by the same amount 0.125"),
        (lambda g: 0 * g, "every entry is zero"),
        (one_entry, r"gradient\[2, 1\] is .*, central differences say .*; 1 of 12 entries is wrong"),
        (lambda g: np.where(g > 0, np.nan, g), "is nan"),
        (lambda g: g[:, :2], r"has shape \(4, 2\), what it differentiates has shape \(4, 3\)"),
    ],
)
def test_a_wrong_gradient_is_described(change, message):
    with pytest.raises(GradientError, match=message):
        check_loss(wrong(change), Z, V)


def test_a_gradient_where_nothing_changes_is_described():
    with pytest.raises(GradientError, match="the value does not change"):
        check_loss(lambda z: (z.sum() * 0.0, np.ones_like(z)), Z)


def test_a_gradient_where_only_some_entries_count_is_described():
    counts = np.array([1.0, 0.0, 1.0])
    with pytest.raises(GradientError, match=r"gradient\[1\] is .* say 0; 1 of 3 entries is wrong"):
        check_loss(lambda z: ((counts * z**2).sum(), 2 * z), np.array([1.0, 2.0, 3.0]))


def test_numerical_gradient_of_a_cubic():
    x = np.array([1.0, -2.0])
    np.testing.assert_allclose(numerical_gradient(lambda v: (v**3).sum(), x), 3 * x**2, rtol=1e-8)
    np.testing.assert_array_equal(x, [1, -2])


def test_a_wrong_layer_is_caught():
    class Slow(kd.ReLU):
        def backward(self, dy, cache, accumulate=False, need_dx=True):
            return 0.9 * dy * (cache > 0)

    class Biased(kd.Linear):
        def backward(self, dy, cache, accumulate=False, need_dx=True):
            dx = super().backward(dy, cache, accumulate, need_dx)
            self.db[...] = dy.mean(axis=0)
            return dx

    with pytest.raises(GradientError, match=r"dx.*same factor 0.9"):
        check_layer(Slow(), Z)
    with pytest.raises(GradientError, match=r"db.*same factor 0.25"):
        check_layer(Biased(3, 2), Z)


def test_a_leaking_stop_gradient_is_caught():
    """A loss that differentiates through what it read from `fixed`."""

    def leaky(z, held):
        value, g = kd.logit_matching(z, 2 * held)
        return value, g - 2 * g  # as if `held` were z itself

    live = {"student.logits": Z.copy()}
    term = kd.Term(leaky, ("student.logits",), ("student.logits",))
    with pytest.raises(GradientError):
        check_objective(term, live, live)


def test_a_wrong_step_is_caught(monkeypatch):
    net = kd.MLP(3, 4, 3, dtype="float64")
    batch = {"x": Z, "y": np.array([0, 1, 2, 0])}
    assert check_step(net, kd.CrossEntropy(), batch) < 1e-7
    before = net.theta.copy()
    monkeypatch.setattr(kd.ReLU, "backward", lambda self, dy, cache, accumulate=False, need_dx=True: dy)
    with pytest.raises(GradientError, match="step of network 0"):
        check_step(net, kd.CrossEntropy(), batch)
    np.testing.assert_array_equal(net.theta, before)


# ------------------------------------------------------------------ the checks' own numbers


class Held(kd.Layer):
    """y = x W entry by entry, and a backward that never looks at dy."""

    weights = ("W",)

    def __init__(self):
        self.hold(W=np.array([0.5, 1.0, 2.0]))

    def forward(self, x, rng=None):
        return x * self.W, x

    def backward(self, dy, cache, accumulate=False, need_dx=True):
        self.dW[...] = (cache * cache).sum(axis=0)
        return cache * self.W


@pytest.mark.parametrize("seed", range(20))
def test_no_array_of_a_user_is_the_random_matrix_of_the_check(seed):
    """R was that of default_rng(0): for the first x that people try, R == x, and the layer above was right."""
    x = np.random.default_rng(seed).normal(size=(4, 3))
    with pytest.raises(GradientError, match=r"^dx"):
        check_layer(Held(), x)
    assert check_layer(kd.LayerNorm(3, dtype="float64"), x) < 1e-7


def test_a_review_looks_at_places_that_are_not_multiples_of_z():
    z, seen = np.random.default_rng(0).normal(size=(5, 4)), []

    def loss(x):
        seen.append(x.copy())
        return (x * x).sum(), 2 * x

    assert kd.gradcheck.review(loss, z)
    far = [x for x in seen if np.abs(x - z).max() > 0.1]  # the places, and not the steps of the differences
    for x in far:
        across = x - z * (x * z).sum() / (z * z).sum()
        assert np.abs(across).max() > 0.1


def test_a_check_of_single_precision_says_so():
    """It was '18 of 18 entries are wrong': a step of 1e-5 is lost where numbers have seven digits."""
    batch = {"x": Z, "y": np.array([0, 1, 2, 0])}
    single, told = {**batch, "x": Z.astype("float32")}, r"float32.*dtype=\"float64\""
    with pytest.raises(TypeError, match=told):
        check_step(kd.MLP(3, 4, 3), kd.CrossEntropy(), single)
    adapted = kd.Through(kd.MLP(3, 3), "student.logits", "seen", kd.CrossEntropy("seen"))
    with pytest.raises(TypeError, match=told):
        check_step(kd.MLP(3, 4, 3, dtype="float64"), adapted, batch)
    with pytest.raises(TypeError, match=told):
        check_objective(adapted, {"student.logits": Z}, batch)
    with pytest.raises(GradientError, match="the value is in float32"):
        check_loss(lambda z: (np.float32((z * z).sum()), 2 * z), Z)


def test_a_value_that_is_no_number_is_described():
    with pytest.raises(GradientError, match=r"the value has shape \(1,\); it must be one number"):
        check_loss(lambda z: (np.array([(z * z).sum()]), 2 * z), Z)
    with pytest.raises(GradientError, match=r"the value has shape \(4,\)"):
        check_loss(lambda z: ((z * z).sum(axis=1), 2 * z), Z)


def test_a_layer_of_tokens_is_checked_without_dx():
    tokens = np.array([[0, 3, 1], [3, 3, 2]])
    assert check_layer(kd.Embedding(4, 3), tokens) < 1e-7

    class Halved(kd.Embedding):
        def backward(self, dy, cache, accumulate=False, need_dx=True):
            super().backward(dy / 2, cache, accumulate, need_dx)

    with pytest.raises(GradientError, match=r"dW.*same factor 0.5"):
        check_layer(Halved(4, 3), tokens)
    assert check_layer(kd.Linear(3, 2), tokens) < 1e-7  # whole numbers are numbers to any other layer


ALIKE = ("cosine_distance", "attention_transfer", "linear_cka", "dist_kd", "standardized_kd", "relational_angle")


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("name", ALIKE)
def test_a_gradient_of_zero_is_held_to_zero(name, scale, rng):
    """All that central differences say at a minimum is their own error, which was called a wrong gradient."""
    h, loss = scale * rng.normal(size=(6, 4)), getattr(kd, name)
    assert check_loss(loss, h, h) <= 1e-7
    for offset in (1e-3, 1e-6 / scale):

        def off(z, t, offset=offset):
            value, gradient = loss(z, t)
            gradient[1, 2] += offset
            return value, gradient

        with pytest.raises(GradientError, match=r"the value does not change there|wrong"):
            check_loss(off, h, h)


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-5])
@pytest.mark.parametrize("factor", [1.001, 0.999, 2.0])
@pytest.mark.parametrize("name", ALIKE)
def test_a_factor_is_found_however_small_the_gradient(name, factor, size, rng):
    h, t, loss = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), getattr(kd, name)

    def scaled(z, t, factor=1.0):
        value, gradient = loss(z, t)
        return size * value, factor * size * gradient

    assert check_loss(scaled, h, t) <= 1e-7
    with pytest.raises(GradientError, match=f"off by the same factor {factor:.6g}"):
        check_loss(scaled, h, t, factor=factor)


def test_a_step_at_a_minimum_is_no_wrong_step(rng):
    student = kd.MLP(4, 5, 3, seed=1, dtype="float64")
    batch = {"x": rng.normal(size=(6, 4))}
    same = kd.Match("student.h1", "teacher.h1", kd.cosine_distance)
    assert check_step(student, same, batch, student.copy()) <= 1e-7


def test_a_step_of_a_stack_is_each_members_own(rng, monkeypatch):
    """It was 'off by the same factor 2': the value was the mean over the members, the step is each member's own."""
    stack = kd.Stack([kd.MLP(4, 5, 3, seed=i, dtype="float64") for i in range(2)])
    batch = {"x": rng.normal(size=(12, 4)), "y": rng.integers(0, 3, 12)}
    assert check_step(stack, kd.CrossEntropy(), batch) < 1e-7
    monkeypatch.setattr(kd.ReLU, "backward", lambda self, dy, cache, accumulate=False, need_dx=True: dy)
    with pytest.raises(GradientError, match="step of network 0"):
        check_step(stack, kd.CrossEntropy(), batch)


# ------------------------------------------------------------------ values so large that rounding hides their slopes


def square(constant, factor, size=1.0):
    return lambda z: (constant + 0.5 * (size * z**2).sum(), factor * size * z)


@pytest.mark.parametrize(
    "constant, scale, factor",
    [(0, 1e6, 1.001), (0, 1e7, 1.01), (0, 1e8, 1.1), (1e9, 1, 1.1), (1e12, 1, -1), (1e12, 1, 0)],
)
def test_a_large_value_hides_no_wrong_gradient(constant, scale, factor):
    """All of these passed, the last but one with 6.5e-10."""
    told = "every entry is zero" if factor == 0 else f"off by the same factor {factor:.6g}"
    with pytest.raises(GradientError, match=told):
        check_loss(square(constant, factor), scale * Z)
    assert check_loss(square(constant, 1.0), scale * Z) < 1e-5


def test_the_error_of_a_large_value_is_relative_to_the_largest_slope():
    error = check_loss(square(1e9, 1 + 1e-4), Z, tolerance=1e-3)
    assert 0.9e-4 < error < 1.1e-4


@pytest.mark.parametrize("constant", [1e9, 1e16])
@pytest.mark.parametrize("factor", [1.0, 1.1, -1.0])
def test_what_rounding_hides_is_not_called_right(constant, factor):
    with pytest.raises(GradientError, match=r"so large that rounding hides how it changes.*take the constant part"):
        check_loss(lambda z: (constant + np.sin(z).sum(), factor * np.cos(z)), Z)


@pytest.mark.parametrize("constant", [1e3, 1e6])
def test_a_gradient_of_zero_beside_a_large_value_is_right(constant):
    bent = check_loss(lambda z: (constant + (np.exp(z) - z).sum(), np.exp(z) - 1), 0 * Z)
    assert max(bent, check_loss(square(constant, 1.0), 0 * Z), check_loss(square(constant, 0.0, 0.0), Z)) < 1e-7
    with pytest.raises(GradientError, match="the value does not change there"):
        check_loss(lambda z: (constant + 0 * z.sum(), 0 * z + 1), Z)


@pytest.mark.parametrize("size", [1e-10, 1e-12])
def test_slopes_below_the_noise_of_a_value_of_one_are_held_to_what_is_seen(size):
    """Whatever the gradient was, it was right."""

    def loss(z, factor, constant=0.0):
        return constant + size * np.sin(z).sum(), factor * size * np.cos(z)

    assert check_loss(loss, Z, 1) < 1e-7
    for factor, told in ((2, "the same factor 2"), (-1, "the same factor -1"), (0, "12 of 12 entries are wrong")):
        with pytest.raises(GradientError, match=told):
            check_loss(loss, Z, factor)
    for factor in (1, -1):
        with pytest.raises(GradientError, match="below 4e-10, lost in rounding: nothing can be said; make the loss"):
            check_loss(loss, Z, factor, constant=0.5)
    assert check_loss(kd.soft_targets, Z, Z.copy()) < 1e-7  # equal answers cost 0


def changes(z, w):
    w *= 2
    return (w * z).sum(), w * np.ones_like(z)


def test_a_loss_that_is_no_function_of_its_arguments_is_told_so():
    """Both were a wrong gradient, with numbers of nothing."""
    for others, settings in (((np.ones(3),), {}), ((), {"w": np.ones(3)})):
        with pytest.raises(GradientError, match="the loss changes its argument w"):
            check_loss(changes, Z, *others, **settings)
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="the same arguments give another value each time"):
        check_loss(lambda z: ((z * (m := rng.random(z.shape))).sum(), m), Z)


@pytest.mark.parametrize("thing", [kd.MLP(3, 2, dtype="float64"), np.tanh])
def test_what_is_no_layer_is_told_what_one_is(thing):
    """It was: no attribute 'hold'."""
    with pytest.raises(TypeError, match=f"a layer has .*got {type(thing).__name__}: .*check a network by"):
        check_layer(thing, Z)
