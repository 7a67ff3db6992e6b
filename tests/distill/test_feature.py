"""Feature losses: central differences and PyTorch as witnesses; degenerate rows; precision; adaptors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.catalogue.losses import losses
from kdlearn.catalogue.recipes.parts import batch, net, student, teacher
from kdlearn.distill.feature import (
    FreeVector,
    activation_boundary,
    attention_transfer,
    cosine_distance,
    fitnets,
    fsp,
    info_nce,
    neuron_selectivity,
    squared_error,
    unit_rows,
    unit_rows_backward,
    variational_information,
    vid,
)

LOSSES = [loss.function for loss in losses("feature") if loss.live == 1]
seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 6))


def example(seed, shape=(5, 4), scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(2, *shape))


def of_argument(loss, i):
    """The i-th gradient of a loss with two live arguments, as a loss of that argument."""

    def of_one(z, arrays, **settings):
        value, gradients = loss(*arrays[:i], z, *arrays[i + 1 :], **settings)
        return value, gradients[i]

    return of_one


# ------------------------------------------------------------------ central differences


@given(seeds, shapes)
def test_gradients_by_central_differences(seed, shape):
    h_s, h_t = example(seed, shape)
    # entries off the kinks and rows off zero, where a central difference is no derivative
    h_s += np.where(h_s < 0, -0.2, 0.2)
    for loss in (squared_error, cosine_distance, attention_transfer, neuron_selectivity):
        kd.gradcheck.check_loss(loss, h_s, h_t, tolerance=1e-6)
    kd.gradcheck.check_loss(info_nce, h_s, h_t, tau=0.5, tolerance=1e-6)
    s = np.where(abs(abs(h_s) - 0.7) < 1e-3, 0.9, h_s)
    kd.gradcheck.check_loss(activation_boundary, s, h_t, margin=0.7)


@given(seeds, st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
def test_neurons_of_different_number(seed, rows, D, E):
    rng = np.random.default_rng(seed)
    h_s = rng.uniform(0.2, 1, (rows, D)) * rng.choice([-1, 1], (rows, D))
    kd.gradcheck.check_loss(neuron_selectivity, h_s, rng.normal(size=(rows, E)), tolerance=1e-6)


@given(seeds, st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_both_gradients_of_two_live_sites(seed, rows, D1, D2):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(rows, width)) for width in (D1, D2, D1, D2)]
    for i in (0, 1):
        kd.gradcheck.check_loss(of_argument(fsp, i), arrays[i], arrays, tolerance=1e-6)
    arrays = [rng.normal(size=(rows, D1)), 2 * rng.normal(size=D1), rng.normal(size=(rows, D1))]
    for i in (0, 1):
        kd.gradcheck.check_loss(of_argument(variational_information, i), arrays[i], arrays, tolerance=1e-6)


# ------------------------------------------------------------------ PyTorch, written from the formulas


def test_values_and_gradients_from_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    h_s, h_t = example(0, (6, 5))
    wide = example(1, (6, 7))[0]
    s, t, w = torch.tensor(h_s, requires_grad=True), torch.tensor(h_t), torch.tensor(wide)

    def agrees(ours, loss, *live):
        gradients = ours[1] if isinstance(ours[1], tuple) else (ours[1],)
        assert float(ours[0]) == pytest.approx(loss.item(), rel=1e-12)
        for got, expected in zip(gradients, torch.autograd.grad(loss, live), strict=True):
            np.testing.assert_allclose(got, expected.numpy(), atol=1e-13)

    agrees(squared_error(h_s, h_t), F.mse_loss(s, t, reduction="sum") / 2 / 6, s)
    agrees(cosine_distance(h_s, h_t), (1 - F.cosine_similarity(s, t, dim=1)).mean(), s)
    energies = F.normalize(s**2) - F.normalize(t**2)
    agrees(attention_transfer(h_s, h_t), (energies**2).sum(1).mean(), s)

    m = 0.6
    off, on = (t <= 0) & (s > -m), (t > 0) & (s <= m)
    boundary = ((s + m) ** 2 * off + (s - m) ** 2 * on).sum() / 6
    agrees(activation_boundary(h_s, h_t, margin=m), boundary, s)

    def k(a, b):  # every pair of neurons, one kernel each, without the collapse to a norm
        return torch.stack([(p @ q) ** 2 for p in F.normalize(a.T) for q in F.normalize(b.T)]).mean()

    agrees(neuron_selectivity(h_s, wide), k(s, s) + k(w, w) - 2 * k(s, w), s)

    cosines = F.normalize(s) @ F.normalize(t).T
    agrees(info_nce(h_s, h_t, tau=0.3), F.cross_entropy(cosines / 0.3, torch.arange(6)), s)

    a, b = torch.tensor(h_s, requires_grad=True), torch.tensor(wide, requires_grad=True)
    g1, g2 = (torch.tensor(x) for x in (h_t, 2 * wide[::-1].copy()))
    flow = F.mse_loss(torch.einsum("ni,nj->ij", a, b) / 6, torch.einsum("ni,nj->ij", g1, g2) / 6)
    agrees(fsp(h_s, wide, h_t, 2 * wide[::-1]), flow, a, b)

    rho = torch.linspace(-2, 3, 5, dtype=torch.float64, requires_grad=True)
    v = F.softplus(rho) + 1e-5
    surprise = F.gaussian_nll_loss(s, t, v.expand(6, 5), reduction="sum", eps=0) / 6
    agrees(variational_information(h_s, rho.detach().numpy(), h_t), surprise, s, rho)


def test_the_backward_of_unit_rows_from_sympy():
    x = sympy.Matrix(sympy.symbols("x1:4"))
    d = sympy.Matrix([0.3, -1.1, 0.7])
    at = dict(zip(x, (0.5, -0.2, 1.5)))
    L = (d.T * x)[0] / sympy.sqrt((x.T * x)[0])
    unit, inverse = unit_rows(np.array([[0.5, -0.2, 1.5]]))
    got = unit_rows_backward(unit, inverse, np.array([[0.3, -1.1, 0.7]]))
    np.testing.assert_allclose(got[0], [float(sympy.diff(L, a).subs(at)) for a in x], rtol=1e-12)


# ------------------------------------------------------------------ what each loss does and does not see


def test_what_each_loss_is_blind_to():
    rng = np.random.default_rng(2)
    h_s, h_t = example(3, (6, 5))
    per_row, per_column = rng.uniform(0.1, 9, (6, 1)), rng.uniform(0.1, 9, (1, 5))
    signs = rng.choice([-1, 1], (6, 5))

    def same(loss, changed):
        assert float(loss(changed, h_t)[0]) == pytest.approx(float(loss(h_s, h_t)[0]), rel=1e-12)

    same(cosine_distance, per_row * h_s)
    same(info_nce, per_row * h_s)
    same(attention_transfer, per_row * signs * h_s)
    same(neuron_selectivity, h_s * per_column)
    same(neuron_selectivity, h_s[:, [3, 0, 4, 1, 2]])
    for loss in LOSSES:  # and none is blind to the rows' order
        assert float(loss(h_s[::-1], h_t)[0]) != pytest.approx(float(loss(h_s, h_t)[0]), rel=1e-3)


def test_a_perfect_student_has_nothing_to_learn():
    h = example(4)[0]
    value, gradient = activation_boundary(2 * np.sign(h), h, margin=1.0)
    assert value == 0 and not gradient.any()


def test_the_boundary_is_pushed_only_where_it_is_on_the_wrong_side_or_near():
    s, t = np.array([[-2.0, -0.5, 0.5, 2.0] * 2]), np.repeat([[-3.0, 4.0]], 4, axis=1)
    value, gradient = activation_boundary(s, t)
    np.testing.assert_allclose(gradient[0], [0, 1, 3, 6, -6, -3, -1, 0])
    assert value == pytest.approx(2 * (0.25 + 2.25 + 9))
    # of the teacher only the side counts, and zero is off, as it is for a ReLU
    assert activation_boundary(np.zeros((1, 3)), np.array([[1e-9, 0.0, -1e-9]]))[1].tolist() == [[-2, 2, 2]]


def test_info_nce_is_cross_entropy_over_the_batch():
    h_s, h_t = example(5, (7, 3))
    cosines = (h_s / np.linalg.norm(h_s, axis=1)[:, None]) @ (h_t / np.linalg.norm(h_t, axis=1)[:, None]).T
    expected = kd.cross_entropy(cosines / 0.2, np.arange(7))[0]
    assert info_nce(h_s, h_t, tau=0.2)[0] == pytest.approx(expected, rel=1e-12)
    assert info_nce(h_s[:1], h_t[:1])[0] == 0  # alone in its batch, a row is always found


def test_learned_variances_find_the_mean_square():
    """At its minimum over rho each variance is that unit's mean squared error."""
    mu, h_t = example(6, (50, 3))
    square = ((mu - h_t) ** 2).mean(axis=0)
    rho = np.log(np.expm1(square - 1e-5))
    value, (_, drho) = variational_information(mu, rho, h_t)
    np.testing.assert_allclose(drho, 0, atol=1e-14)
    assert value == pytest.approx(0.5 * (1 + np.log(square)).sum(), rel=1e-12)
    zeros = np.zeros((4, 2))
    value, (_, drho) = variational_information(zeros, np.full(2, -800.0), zeros)
    assert value == pytest.approx(np.log(1e-5), rel=1e-9) and np.isfinite(drho).all()


# ------------------------------------------------------------------ rows and columns that are nothing


def test_a_zero_row_stays_zero_and_gets_no_gradient():
    unit, inverse = unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(unit, [[0, 0], [0.6, 0.8]])
    np.testing.assert_array_equal(inverse, [[0], [0.2]])
    h_s, h_t = example(7)
    h_s[1], h_t[2] = 0, 0
    h_s[3] = h_t[3] = 0
    for loss in (cosine_distance, attention_transfer, info_nce):
        _, gradient = loss(h_s, h_t)
        assert np.isfinite(gradient).all() and not gradient[[1, 3]].any()
    cosines = [1 - float(cosine_distance(h_s[i : i + 1], h_t[i : i + 1])[0]) for i in range(4)]
    np.testing.assert_allclose(cosines[1:], [0, 0, 1], atol=1e-15)  # with a zero row it is zero, of two of them one
    distances = [float(attention_transfer(h_s[i : i + 1], h_t[i : i + 1])[0]) for i in range(4)]
    np.testing.assert_allclose(distances[1:], [1, 1, 0])
    np.testing.assert_allclose(cosine_distance(h_s, h_t)[1][2], 0, atol=1e-15)


def test_a_neuron_that_never_responds_counts_as_zero():
    h_s, h_t = example(8)
    h_s[:, 1] = 0
    value, gradient = neuron_selectivity(h_s, h_t)
    assert not gradient[:, 1].any() and np.isfinite(gradient).all()
    kept = [0, 2, 3]
    S, T = (h / np.maximum(np.linalg.norm(h, axis=0), 1e-300) for h in (h_s, h_t))
    expected = ((S.T @ S) ** 2).mean() + ((T.T @ T) ** 2).mean() - 2 * ((S.T @ T) ** 2).mean()
    assert value == pytest.approx(expected, rel=1e-12)
    kd.gradcheck.check_loss(lambda z: one_neuron_dead(z, h_t), h_s[:, kept])


def one_neuron_dead(z, h_t):
    value, gradient = neuron_selectivity(np.insert(z, 1, 0.0, axis=1), h_t)
    return value, np.delete(gradient, 1, axis=1)


def test_constant_features():
    ones, h_t = np.full((5, 4), 0.3), example(9)[1]
    for loss in LOSSES:
        value, gradient = loss(ones, h_t)
        assert np.isfinite(value) and np.isfinite(gradient).all()
        value, gradient = loss(h_t, ones)
        assert np.isfinite(value) and np.isfinite(gradient).all()


# ------------------------------------------------------------------ numbers


@given(seeds, st.sampled_from([1e-25, 1e-12, 1e-3, 1.0, 1e3, 1e12, 1e18]))
def test_the_length_of_a_row_costs_no_digits(seed, scale):
    """float32, whose squares end at 1e-38 and 1e38. RuntimeWarnings are errors in this suite."""
    h_s, h_t = (h.astype(np.float32) for h in example(seed))
    expected, direction = cosine_distance(h_s, h_t)
    value, gradient = cosine_distance(np.float32(scale) * h_s, h_t)
    assert value == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(gradient * np.float32(scale), direction, rtol=1e-3, atol=1e-6)
    for loss in (info_nce, neuron_selectivity):
        assert loss(np.float32(scale) * h_s, h_t)[0] == pytest.approx(loss(h_s, h_t)[0], rel=1e-3, abs=1e-6)


@given(seeds, st.floats(1e-5, 1e-2))
def test_nearly_aligned_rows_keep_their_digits(seed, angle):
    """In float32, one minus the cosine would be rounding below an angle of 1e-3."""
    rng = np.random.default_rng(seed)
    h_t = rng.normal(size=(3, 8)).astype(np.float32)
    h_s = (h_t + angle * rng.normal(size=(3, 8))).astype(np.float32)
    exact = cosine_distance(h_s.astype(np.float64), h_t.astype(np.float64))
    value, gradient = cosine_distance(h_s, h_t)
    assert value > 0 and value == pytest.approx(exact[0], rel=0.05)
    np.testing.assert_allclose(gradient, exact[1], atol=0.05 * abs(exact[1]).max())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda h: squared_error(h, h[:, :3]), r"one shape, got \(5, 4\) and \(5, 3\).*fitnets"),
        (lambda h: cosine_distance(h, h[:3]), "same rows"),
        (lambda h: attention_transfer(h[0], h[0]), "2-D"),
        (lambda h: neuron_selectivity(h[:0], h[:0]), "at least one"),
        (lambda h: neuron_selectivity(h, h[:2, :2]), "same rows"),
        (lambda h: info_nce(h, h, tau=0), "tau must be a positive"),
        (lambda h: fsp(h, h, h, h[:, :2]), "one shape"),
        (lambda h: fsp(h, h[:2], h, h[:2]), "same rows"),
        (lambda h: variational_information(h, h[0, :2], h), r"one number a unit, shape \(4,\), got \(2,\)"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(example(16)[0])


# ------------------------------------------------------------------ the adaptors


def test_a_step_of_several_adaptors_follows_the_gradient():
    h1, h2 = "student.h1", "student.h2"
    both = vid(net(7, 9, seed=7), h1, "teacher.h2") + vid(net(6, 8, seed=8), h2, "teacher.h1")
    objective = both + fitnets(net(7, 9, seed=9), h1, "teacher.h2")
    kd.gradcheck.check_step(student(), objective, batch(), teacher())


def test_the_hint_of_the_first_example():
    regressor = kd.MLP(7, 9, seed=7)
    hint = fitnets(regressor, "student.h1", "teacher.h2")
    assert hint.nets == (regressor,) and hint.sites == {"student.h1", "teacher.h2"}
    assert hint.terms[0].name == "squared_error(student.h1>teacher.h2, teacher.h2)"


def test_variances_are_learned_and_begin_at_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    noise = (0.05, 2.0)
    target = np.stack([x[:, 0] + noise[0] * rng.normal(size=200), noise[1] * rng.normal(size=200)], 1)
    data = kd.Data({"x": x, "teacher.h": target.astype(np.float32)})
    hint = vid(kd.MLP(2, 2, seed=1), "student.logits", "teacher.h")
    variances = hint.nets[1]
    np.testing.assert_allclose(np.logaddexp(variances.theta, 0), 1, rtol=1e-6)
    kd.fit(kd.MLP(3, 2, seed=0), hint, data, epochs=60, batch_size=50, optimizer=kd.Adam(0.03), progress=False)
    learned = np.sqrt(np.logaddexp(variances.theta, 0))
    assert learned[0] < 0.3 and 1.5 < learned[1] < 2.5


def test_a_free_vector_is_a_network():
    free = FreeVector(3, start=0.5, dtype="float64")
    sites, caches = free.forward(taps=("logits",))
    np.testing.assert_array_equal(sites["logits"], [0.5] * 3)
    assert free.backward(caches, {"logits": np.arange(3.0)}) == ()
    assert free.backward(caches, {"logits": np.arange(3.0)}) == ()
    np.testing.assert_array_equal(free.grad, [0, 2, 4])
    assert not hasattr(free, "predict")
    kd.SGD(0.1, weight_decay=1.0).step(free)
    np.testing.assert_allclose(free.theta, [0.5, 0.3, 0.1])  # no decay
    for twin in (free.copy(), pickle.loads(pickle.dumps(free))):
        twin.theta += 1
        np.testing.assert_allclose(twin.forward()[0]["logits"], free.theta + 1)
