"""Relational losses: central differences and PyTorch as witnesses; invariances; degenerate rows; precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.catalogue.losses import losses
from kdlearn.distill.relation import (
    correlation_congruence,
    huber,
    linear_cka,
    probabilistic_transfer,
    relational_angle,
    relational_distance,
    similarity_preserving,
)

LOSSES = [loss.function for loss in losses("relation")]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
seeds = st.integers(0, 2**32 - 1)


def example(seed, rows=5, D=3, E=4):
    """Features of different widths, no two rows close."""
    rng = np.random.default_rng(seed)
    return 0.3 * rng.normal(size=(rows, D)) + np.eye(rows, D), rng.normal(size=(rows, E))


def rotation(rng, D):
    return np.linalg.qr(rng.normal(size=(D, D)))[0]


# ------------------------------------------------------------------ central differences


@given(seeds, st.integers(2, 6), st.integers(2, 5), st.integers(1, 5))
def test_gradients_by_central_differences(seed, rows, D, E):
    h_s, h_t = example(seed, rows, D, E)
    h_s += np.random.default_rng(seed).normal(size=h_s.shape)
    if min(row_gaps(h_s)) < 0.05:  # near a coincidence the curve is too sharp for a central difference
        return
    for loss in LOSSES:
        kd.gradcheck.check_loss(loss, h_s, h_t, tolerance=1e-5)
    kd.gradcheck.check_loss(correlation_congruence, h_s, h_t, gamma=2.0, tolerance=1e-5)


def row_gaps(h):
    N = len(h)
    yield from np.linalg.norm(h, axis=1)
    yield from (np.linalg.norm(h[i] - h[j]) for i in range(N) for j in range(i))
    unit = h / np.linalg.norm(h, axis=1, keepdims=True)
    yield from (np.linalg.norm(unit[i] + unit[j]) for i in range(N) for j in range(i))


# ------------------------------------------------------------------ PyTorch, written from the formulas


def test_values_and_gradients_from_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    h_s, h_t = example(0, 6, 5, 3)
    N = 6
    s, t = torch.tensor(h_s, requires_grad=True), torch.tensor(h_t)

    def agrees(ours, loss):
        (expected,) = torch.autograd.grad(loss, s)
        assert float(ours[0]) == pytest.approx(loss.item(), rel=1e-11)
        np.testing.assert_allclose(ours[1], expected.numpy(), atol=1e-13)

    difference = F.normalize(s @ s.T) - F.normalize(t @ t.T)
    agrees(similarity_preserving(h_s, h_t), (difference**2).sum() / N**2)

    def neighbours(h):
        k = (F.normalize(h) @ F.normalize(h).T + 1) / 2
        return k / k.sum(1, keepdim=True)

    P, Q = neighbours(t), neighbours(s)
    agrees(probabilistic_transfer(h_s, h_t), (P * torch.log(P / Q)).sum() / N**2)

    def relative(h):  # of the pairs i < j; the diagonal adds nothing, and each pair counts twice
        d = torch.pdist(h)
        return d / d.mean()

    distance = 2 * F.huber_loss(relative(s), relative(t), reduction="sum", delta=1.0) / N**2
    agrees(relational_distance(h_s, h_t), distance)

    def angles(h):  # one triplet after the other
        zero = torch.zeros((), dtype=torch.float64)
        return torch.stack(
            [
                zero if i == j or k == j else F.cosine_similarity(h[i] - h[j], h[k] - h[j], dim=0)
                for j in range(N)
                for i in range(N)
                for k in range(N)
            ]
        )

    agrees(relational_angle(h_s, h_t), F.smooth_l1_loss(angles(s), angles(t), reduction="mean"))

    def kernel(h):
        u = F.normalize(h)
        return torch.exp(-0.7 * ((u[:, None] - u[None]) ** 2).sum(-1))

    agrees(correlation_congruence(h_s, h_t, gamma=0.7), F.mse_loss(kernel(s), kernel(t)))

    S, T = s - s.mean(0), t - t.mean(0)
    norm = torch.linalg.matrix_norm
    agrees(linear_cka(h_s, h_t), 1 - norm(S.T @ T) ** 2 / (norm(S.T @ S) * norm(T.T @ T)))


def test_hubers_function():
    x = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    value, slope = huber(x)
    np.testing.assert_allclose(value, [2.5, 0.5, 0.125, 0, 0.125, 0.5, 2.5])
    np.testing.assert_allclose(slope, [-1, -1, -0.5, 0, 0.5, 1, 1])


def test_large_differences_are_in_hubers_linear_part():
    """One far row among near ones, in the student only; opposite angles."""
    h_s, h_t = example(1, 5)
    h_s[0] *= 40
    relative = np.array(list(row_gaps(h_s)))[5:15]
    assert max(relative) / relative.mean() > 2
    kd.gradcheck.check_loss(relational_distance, h_s, h_t, tolerance=1e-6)
    wide, sharp = np.array([[0.0, 0.1], [1.0, 0], [-1.0, 0.3]]), np.array([[0.0, 0], [1.0, 0.2], [2.0, 0.1]])
    assert relational_angle(wide, sharp)[0] > 2 * 0.5 / 27  # from the two angles at the first row
    kd.gradcheck.check_loss(relational_angle, wide, sharp)


# ------------------------------------------------------------------ invariances


@given(seeds)
def test_what_each_loss_is_blind_to(seed):
    rng = np.random.default_rng(seed)
    h_s, h_t = example(seed)
    turned, moved, scaled = h_s @ rotation(rng, 3), h_s + rng.normal(size=(1, 3)), h_s * rng.uniform(0.01, 100)
    per_row = h_s * rng.uniform(0.1, 9, (5, 1))

    def same(loss, changed):
        assert float(loss(changed, h_t)[0]) == pytest.approx(float(loss(h_s, h_t)[0]), rel=1e-6)

    for loss in LOSSES:
        same(loss, turned)
        same(loss, scaled)
    for loss in (relational_distance, relational_angle, linear_cka):
        same(loss, moved)
    for loss in (probabilistic_transfer, correlation_congruence):
        same(loss, per_row)


@each_loss
def test_what_no_loss_is_blind_to(loss):
    h_s, h_t = example(2)
    value = float(loss(h_s, h_t)[0])
    for changed in (h_s[::-1], h_s**3):
        assert float(loss(changed, h_t)[0]) != pytest.approx(value, rel=1e-3)


@each_loss
def test_the_order_of_the_rows_does_not_matter(loss):
    h_s, h_t = example(3)
    order = [3, 1, 4, 0, 2]
    value, gradient = loss(h_s, h_t)
    other, shuffled = loss(h_s[order], h_t[order])
    assert other == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(shuffled, gradient[order], atol=1e-14)


@each_loss
def test_the_same_relations_are_a_minimum(loss):
    h_t = example(4)[1]
    rng = np.random.default_rng(0)
    widened = np.concatenate([3 * h_t @ rotation(rng, 4), np.zeros((5, 2))], axis=1)
    value, gradient = loss(widened, h_t)
    assert 0 <= value < 1e-15 and abs(gradient).max() < 1e-12
    assert loss(h_t, h_t)[0] == 0


@each_loss
@given(seed=seeds)
def test_values_are_never_negative(loss, seed):
    h_s, h_t = (h.astype(np.float32) for h in example(seed))
    assert loss(h_s, h_t)[0] >= 0
    close = (h_s + 1e-3 * h_t[:, :3]).astype(np.float32)
    assert 0 <= loss(close, h_s)[0] < 0.05


# ------------------------------------------------------------------ rows that are few, zero or the same


@each_loss
def test_one_row_alone_is_no_relation(loss):
    h_s = np.ones((1, 3), np.float32)
    value, gradient = loss(h_s, 2 * np.ones((1, 4), np.float32))
    assert value == 0 and np.ndim(value) == 0 and value.dtype == np.float32
    assert gradient.shape == h_s.shape and gradient.dtype == np.float32 and not gradient.any()


@each_loss
def test_zero_rows(loss):
    h_s, h_t = example(5)
    h_s[1] = h_s[3] = 0
    h_t[2] = h_t[3] = 0
    value, gradient = loss(h_s, h_t)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if loss in (probabilistic_transfer, correlation_congruence):  # only these scale the rows themselves
        assert not gradient[[1, 3]].any()
    alive = [0, 2, 4]  # the others still get the gradient of the value
    check = kd.gradcheck.check_loss
    check(lambda z: some_rows(loss, z, alive, h_s, h_t), h_s[alive], tolerance=1e-6)


def test_the_kernel_of_zero_rows():
    h_s, h_t = example(5)
    h_s[1] = h_s[3] = 0

    def kernel(h):
        u = h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-300)
        return np.exp(-0.4 * ((u[:, None] - u[None]) ** 2).sum(axis=2))

    expected = ((kernel(h_s) - kernel(h_t)) ** 2).mean()
    assert correlation_congruence(h_s, h_t)[0] == pytest.approx(expected, rel=1e-12)


def some_rows(loss, z, rows, h_s, h_t):
    h = h_s.copy()
    h[rows] = z
    value, gradient = loss(h, h_t)
    return value, gradient[rows]


@each_loss
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_duplicated_rows(loss, dtype):
    """Distance zero, angle at a vertex that is its own neighbour: values as if by definition, finite gradients."""
    h_s, h_t = (h.astype(dtype) for h in example(6, 6))
    h_s[3] = h_s[1]
    h_t[5] = h_t[0]
    value, gradient = loss(h_s, h_t)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    reference = {relational_distance: distance_by_definition, relational_angle: angle_by_definition}.get(loss)
    if reference:
        assert value == pytest.approx(reference(h_s, h_t), rel=1e-4 if dtype == "float32" else 1e-10)
    if dtype == "float64":  # rows without a twin have a derivative
        lone = [0, 2, 4, 5]
        kd.gradcheck.check_loss(lambda z: some_rows(loss, z, lone, h_s, h_t), h_s[lone], tolerance=1e-6)


def distance_by_definition(h_s, h_t):
    N = len(h_s)

    def relative(h):
        d = np.array([[np.sqrt(((a - b) ** 2).sum()) for a in h] for b in h])
        return d / (d.sum() / (N * (N - 1)))

    return huber(relative(h_s) - relative(h_t))[0].mean()


def angle_by_definition(h_s, h_t):
    def unit(a):
        return a / np.sqrt((a**2).sum()) if a.any() else a

    def angles(h):
        return np.array([[[unit(h_i - h_j) @ unit(h_k - h_j) for h_k in h] for h_i in h] for h_j in h])

    return huber(angles(h_s) - angles(h_t))[0].mean()


@each_loss
@given(seed=seeds, width=st.sampled_from([1, 7, 300]), constant=st.floats(-1e4, 1e4))
def test_rows_that_all_coincide(loss, seed, width, constant):
    """In float32, where the mean of equal numbers need not be that number."""
    h_t = np.random.default_rng(seed).normal(size=(7, 4)).astype(np.float32)
    row = np.random.default_rng(seed).normal(size=(1, width))
    for h in (np.full((7, width), constant), np.repeat(constant * row, 7, axis=0)):
        h = h.astype(np.float32)
        for value, gradient in (loss(h, h_t), loss(h, h), loss(h_t, h)):
            assert np.isfinite(value) and np.isfinite(gradient).all()
        value, gradient = loss(h, h_t)
        if loss is linear_cka:
            assert value == pytest.approx(1) and not gradient.any()
        if loss in (relational_distance, relational_angle):
            assert not gradient.any()
            expected = {relational_distance: distance_to_nothing, relational_angle: angle_to_nothing}[loss](h_t)
            assert value == pytest.approx(expected, rel=1e-4)


def distance_to_nothing(h_t):
    d = np.linalg.norm((h_t[:, None] - h_t[None]).astype(float), axis=2)
    return huber(d / d.sum() * 42)[0].mean()


def angle_to_nothing(h_t):
    e = (h_t[None] - h_t[:, None]).astype(float)
    e /= np.linalg.norm(e, axis=2, keepdims=True) + np.eye(7)[:, :, None]
    return huber(e @ e.swapaxes(1, 2))[0].mean()


@each_loss
def test_constant_columns_change_nothing_where_columns_are_centred(loss):
    h_s, h_t = example(7)
    widened = np.concatenate([h_s, np.full((5, 1), 0.1)], axis=1)
    value, gradient = loss(widened, h_t)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if loss in (relational_distance, relational_angle, linear_cka):
        assert value == pytest.approx(float(loss(h_s, h_t)[0]), rel=1e-10)


def test_opposite_rows_have_a_bounded_divergence():
    """A similarity of exactly zero: the logarithm would be -inf."""
    h_s, h_t = np.array([[1.0, 2.0], [-1.0, -2.0], [2.0, 0.0]]), example(8, 3)[1]
    for h in (h_s, h_s[:, :1], h_s.astype(np.float32)):
        value, gradient = probabilistic_transfer(h, h_t)
        assert 0 < value < 20 and np.isfinite(gradient).all()
        value, gradient = probabilistic_transfer(h_t, h)
        assert 0 < value < 20 and np.isfinite(gradient).all()
    kd.gradcheck.check_loss(lambda z: some_rows(probabilistic_transfer, z, [2], h_s, h_t), h_s[[2]])


# ------------------------------------------------------------------ numbers


@given(seeds, st.sampled_from([1e-12, 1e-6, 1.0, 1e6, 1e9]))
def test_the_scale_of_the_features_costs_no_digits(seed, scale):
    """float32; none of these losses knows how large the features are. RuntimeWarnings are errors here."""
    h_s, h_t = (h.astype(np.float32) for h in example(seed))
    for loss in LOSSES:
        value, gradient = loss(h_s, h_t)
        other, scaled = loss(np.float32(scale) * h_s, h_t)
        assert other == pytest.approx(value, rel=1e-3, abs=1e-7)
        largest = abs(gradient).max()
        np.testing.assert_allclose(scaled * np.float32(scale), gradient, atol=2e-3 * largest + 1e-6)


def test_close_rows_keep_their_distance():
    """Distances come from a difference of squares; in float32 that would lose rows a thousandth apart."""
    h_s, h_t = example(9, 6)
    h_s[1] = h_s[0] + 1e-4 * h_t[0, :3]
    single = h_s.astype(np.float32)
    value, gradient = relational_distance(single, h_t)
    exact = relational_distance(single.astype(np.float64), h_t)
    assert value == pytest.approx(exact[0], rel=1e-6)
    np.testing.assert_allclose(gradient, exact[1], atol=1e-6)
    assert value == pytest.approx(distance_by_definition(single.astype(np.float64), h_t), rel=1e-6)


def test_coincident_rows_are_found_among_many_units():
    rng = np.random.default_rng(10)
    for dtype in (np.float32, np.float64):
        h, h_t = rng.normal(size=(33, 2000)).astype(dtype), rng.normal(size=(33, 5))
        h[20] = h[3]
        h[32] = h[31] = h[7]
        value, gradient = relational_distance(h, h_t)
        assert value == pytest.approx(distance_by_definition(h.astype(float), h_t), rel=1e-6)
        h[[20, 31, 32]] += rng.normal(size=(3, 2000)).astype(dtype)
        assert abs(gradient).max() < 2 * abs(relational_distance(h, h_t)[1]).max()


@each_loss
def test_half_precision_does_not_overflow(loss):
    h_s, h_t = (h.astype(np.float16) for h in example(11))
    assert np.isfinite(loss(np.float16(6e4) * np.sign(h_s), h_t)[0])


@each_loss
def test_wrong_arguments_say_what_is_wrong(loss):
    h_s, h_t = example(15)
    for pair in ((h_s, h_t[:3]), (h_s[0], h_t[0]), (h_s[:, :0], h_t), (h_s, h_t[:, 0])):
        with pytest.raises(ValueError, match=r"2-D \(rows, units\) with at least one of each|must have the same rows"):
            loss(*pair)


# ------------------------------------------------------------------ as they are used


@each_loss
def test_the_loss_can_be_learned(loss):
    """Forty rows with free features find the teacher's relations."""
    rng = np.random.default_rng(16)
    x = np.eye(40, dtype=np.float32)
    data = kd.Data({"x": x, "teacher.h": rng.normal(size=(40, 2)).astype(np.float32)})
    free = kd.MLP(40, 8, seed=3)
    objective = kd.Match("student.logits", "teacher.h", loss)
    history = kd.fit(free, objective, data, epochs=150, batch_size=40, optimizer=kd.Adam(0.05), progress=False)
    assert history["loss"][-1] < 0.05 * history["loss"][0]
