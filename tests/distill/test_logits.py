"""Losses on logits: central differences, PyTorch, scipy and NumPy's definitions as witnesses; identities; extremes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import sympy
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.catalogue.losses import losses
from kdlearn.data.labelling import keep_top
from kdlearn.distill.logits import decoupled_kd, dist_kd, normalized_kd, standardized_kd, top_targets

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(2, 5), st.integers(2, 7))


def with_labels(loss):
    """The loss as a function of the student's and the teacher's logits, the labels, and T."""
    return lambda s, t, y, T=2.0: loss.function(s, t, *([y] if loss.labels else []), T=T)


LOSSES = {loss.name: with_labels(loss) for loss in losses("logits") if set(loss.arrays) <= {"z_s", "z_t", "y"}}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def example(seed, shape=(4, 5), scale=2.0):
    rng = np.random.default_rng(seed)
    z_s, z_t = scale * rng.normal(size=(2, *shape))
    return z_s, z_t, rng.integers(0, shape[1], shape[0])


def parts(z, y, T=1.0):
    """`(probability of the label, the others' probabilities renormalised, (N, K-1))`."""
    p = scipy.special.softmax(z / T, axis=1)
    label = np.eye(p.shape[1], dtype=bool)[y]
    others = p[~label].reshape(len(y), -1)
    return p[label], others / others.sum(axis=1, keepdims=True)


def kl(p, q):
    return scipy.special.rel_entr(p, q).sum(axis=-1)


def pearson(a, b):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b)])


@given(seeds, shapes, st.floats(1, 20), st.floats(0.2, 8))
def test_gradients_by_central_differences(seed, shape, T, weight):
    z_s, z_t, y = example(seed, shape, scale=1.0)  # a saturated gradient would drown in the value's rounding

    def check(loss, *others, **settings):
        kd.gradcheck.check_loss(loss, z_s, *others, tolerance=1e-5, **settings)

    check(decoupled_kd, z_t, y, T=T, alpha=weight, beta=2.0)
    check(normalized_kd, z_t, y, T=min(T, 5), gamma=weight)
    if shape[1] > 2:  # with two classes every correlation and every z-score is +1 or -1: see below
        check(standardized_kd, z_t, T=T)
        check(dist_kd, z_t, T=T, beta=weight, gamma=2.0)


@given(seeds, shapes, st.floats(0.4, 10), st.floats(0, 8), st.floats(0, 8))
def test_values_from_their_definitions(seed, shape, T, alpha, beta):
    z_s, z_t, y = example(seed, shape)
    (q_y, q_hat), (p_y, p_hat) = parts(z_s, y, T), parts(z_t, y, T)
    binary = kl(np.stack([p_y, 1 - p_y], 1), np.stack([q_y, 1 - q_y], 1))
    expected = T * T * (alpha * binary + beta * kl(p_hat, q_hat)).mean()
    assert decoupled_kd(z_s, z_t, y, T=T, alpha=alpha, beta=beta)[0] == pytest.approx(expected, rel=1e-7, abs=1e-10)

    first = -(parts(z_t, y)[0] * np.log(parts(z_s, y)[0])).mean()
    second = -(T * T * (p_hat * np.log(q_hat)).sum(axis=1)).mean()
    value = normalized_kd(z_s, z_t, y, T=T, gamma=alpha)[0]
    assert value == pytest.approx(first + alpha * second, rel=1e-9, abs=1e-12)

    q, p = scipy.special.softmax(z_s / T, axis=1), scipy.special.softmax(z_t / T, axis=1)
    expected = alpha * (1 - pearson(q, p)).mean() + beta * (1 - pearson(q.T, p.T)).mean()
    assert dist_kd(z_s, z_t, T=T, beta=alpha, gamma=beta)[0] == pytest.approx(expected, rel=1e-7, abs=1e-9)

    Z_s, Z_t = ((z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True) for z in (z_s, z_t))
    expected = T * T * kl(scipy.special.softmax(Z_t / T, axis=1), scipy.special.softmax(Z_s / T, axis=1)).mean()
    assert standardized_kd(z_s, z_t, T=T)[0] == pytest.approx(expected, rel=1e-7, abs=1e-10)


@pytest.mark.parametrize("T", [1.0, 3.0])
def test_values_and_gradients_from_pytorch(T):
    torch = pytest.importorskip("torch")
    z_s, z_t, y = example(0, (6, 5))
    s, t, labels = torch.tensor(z_s, requires_grad=True), torch.tensor(z_t), torch.tensor(y)
    at = torch.arange(len(y)), labels
    mask = torch.nn.functional.one_hot(labels, 5).bool()

    def apart(z, T):
        p = torch.softmax(z / T, 1)
        return torch.stack([p[at], 1 - p[at]], 1), torch.softmax(z[~mask].reshape(6, 4) / T, 1)

    def kl(p, q):
        return (p * (p.log() - q.log())).sum(1).mean()

    def pearson(a, b):
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        return torch.nn.functional.cosine_similarity(a, b, dim=1).mean()

    def standard(z):
        return (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True, correction=0)

    (b_q, q_hat), (b_p, p_hat) = apart(s, T), apart(t, T)
    q, p = torch.softmax(s / T, 1), torch.softmax(t / T, 1)
    first = -(torch.softmax(t, 1)[at] * torch.log_softmax(s, 1)[at]).mean()
    second = -(p_hat * q_hat.log()).sum(1).mean()
    for ours, loss in (
        (decoupled_kd(z_s, z_t, y, T=T, alpha=2, beta=3), T * T * (2 * kl(b_p, b_q) + 3 * kl(p_hat, q_hat))),
        (normalized_kd(z_s, z_t, y, T=T, gamma=1.2), first + 1.2 * T * T * second),
        (dist_kd(z_s, z_t, T=T, beta=2, gamma=3), 2 * (1 - pearson(q, p)) + 3 * (1 - pearson(q.T, p.T))),
        (
            standardized_kd(z_s, z_t, T=T),
            T * T * kl(torch.softmax(standard(t) / T, 1), torch.softmax(standard(s) / T, 1)),
        ),
    ):
        (gradient,) = torch.autograd.grad(loss, s, retain_graph=True)
        assert ours[0] == pytest.approx(loss.item(), rel=1e-11)
        np.testing.assert_allclose(ours[1], gradient.numpy(), atol=1e-14)


def test_three_classes_from_sympy():
    z = sympy.symbols("z1:4")
    v, T, label = (0.4, -1.0, 0.9), sympy.Rational(5, 2), 2
    p = [sympy.exp(a / T) / sum(sympy.exp(b / T) for b in v) for a in v]
    q = [sympy.exp(a / T) / sum(sympy.exp(b / T) for b in z) for a in z]

    def kl(a, b):
        return sum(x * sympy.log(x / y) for x, y in zip(a, b))

    def others(a):
        return [x / (1 - a[label]) for i, x in enumerate(a) if i != label]

    loss = T**2 * (2 * kl((p[2], 1 - p[2]), (q[2], 1 - q[2])) + 3 * kl(others(p), others(q)))
    at = dict(zip(z, (1.2, 0.1, -0.7)))
    value, gradient = decoupled_kd(
        np.array([[1.2, 0.1, -0.7]]), np.array([v]), np.array([label]), T=2.5, alpha=2, beta=3
    )
    assert value == pytest.approx(float(loss.subs(at)), rel=1e-12)
    np.testing.assert_allclose(gradient[0], [float(sympy.diff(loss, a).subs(at)) for a in z], rtol=1e-10)


# ---------------------------------------------------------------- identities


@given(seeds, shapes, st.floats(0.4, 20))
def test_distillation_is_the_label_part_and_the_weighted_rest(seed, shape, T):
    """KD = TCKD + (1 - p_y) NCKD, row by row; for value and gradient."""
    z_s, z_t, y = example(seed, shape)
    for n in range(shape[0]):
        row = z_s[n : n + 1], z_t[n : n + 1], y[n : n + 1]
        p_y = scipy.special.softmax(z_t[n] / T)[y[n]]
        whole = kd.soft_targets(*row[:2], T=T)
        together = decoupled_kd(*row, T=T, alpha=1.0, beta=1 - p_y)
        assert together[0] == pytest.approx(whole[0], rel=1e-9, abs=1e-13)
        np.testing.assert_allclose(together[1], whole[1], atol=1e-12)
        parts = decoupled_kd(*row, T=T, beta=0.0), decoupled_kd(*row, T=T, alpha=0.0, beta=1.0)
        assert parts[0][0] + (1 - p_y) * parts[1][0] == pytest.approx(whole[0], rel=1e-9, abs=1e-13)


def test_normalized_kd_is_two_losses_of_its_own():
    z_s, z_t, y = example(1)
    p_y, p_hat = parts(z_t, y)[0], parts(z_t, y, 3.0)[1]
    entropy = 9.0 * -(p_hat * np.log(p_hat)).sum(axis=1).mean()
    value, gradient = normalized_kd(z_s, z_t, y, T=3.0, gamma=2.0)
    labels = kd.cross_entropy(z_s, y, weight=p_y)
    rest = decoupled_kd(z_s, z_t, y, T=3.0, alpha=0.0, beta=2.0)
    assert value == pytest.approx(labels[0] + rest[0] + 2.0 * entropy, rel=1e-12)
    np.testing.assert_allclose(gradient, labels[1] + rest[1], atol=1e-15)


@given(seeds, st.floats(0.1, 5), st.floats(-3, 3))
def test_a_correlation_does_not_see_scale_and_shift(seed, scale, shift):
    """Rows: q -> a q + b changes nothing; at high temperature neither do scaled and shifted logits."""
    z_s, z_t, _ = example(seed)
    expected = dist_kd(z_s, z_t, T=1e7, gamma=0.0)
    moved = dist_kd(scale * z_s + shift, z_t, T=1e7, gamma=0.0)
    assert moved[0] == pytest.approx(expected[0], abs=1e-5)
    np.testing.assert_allclose(scale * moved[1], expected[1], atol=1e-5)
    q = scipy.special.softmax(z_s, axis=1)
    mixed = np.log(0.5 * q + 0.5 / q.shape[1])  # half-way to uniform
    assert dist_kd(mixed, z_t, gamma=0.0)[0] == pytest.approx(dist_kd(z_s, z_t, gamma=0.0)[0], rel=1e-9)


@given(seeds, st.floats(0.1, 50), st.floats(-30, 30))
def test_z_scores_do_not_see_scale_and_shift(seed, scale, shift):
    z_s, z_t, _ = example(seed)
    expected, gradient = standardized_kd(z_s, z_t)
    value, moved = standardized_kd(scale * z_s + shift, z_t)
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(scale * moved, gradient, atol=1e-10)
    assert standardized_kd(z_s, scale * z_t + shift)[0] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose((gradient * z_s).sum(axis=1), 0, atol=1e-12)  # Euler: no push along the row itself
    assert standardized_kd(scale * z_t + shift, z_t)[0] == pytest.approx(0, abs=1e-12)


@every_loss
def test_a_common_shift_of_a_row_changes_nothing(loss):
    z_s, z_t, y = example(2)
    shift = np.arange(4.0)[:, None]
    value, gradient = loss(z_s + shift, z_t - 2 * shift, y)
    expected = loss(z_s, z_t, y)
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-14)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-14)


def test_with_equal_logits_only_the_part_of_the_label_pulls():
    z, _, y = example(3)
    np.testing.assert_allclose(normalized_kd(z, z, y, gamma=0.0)[1], kd.cross_entropy(z, y, weight=parts(z, y)[0])[1])


def test_two_classes_have_no_shape():
    """One other class has nothing to distribute; a correlation of two numbers, and z-scores, are +1 or -1."""
    z_s, z_t, y = example(4, (6, 2))
    assert decoupled_kd(z_s, z_t, y, T=2.0)[0] == pytest.approx(kd.soft_targets(z_s, z_t, T=2.0)[0])
    np.testing.assert_allclose(decoupled_kd(z_s, z_t, y, alpha=0.0)[1], 0, atol=1e-15)
    disagree = (z_s.argmax(axis=1) != z_t.argmax(axis=1)).mean()
    assert dist_kd(z_s, z_t, gamma=0.0)[0] == pytest.approx(2 * disagree)
    np.testing.assert_allclose(standardized_kd(z_s, z_t)[1], 0, atol=1e-14)


# ---------------------------------------------------------------- degenerate and extreme input


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_and_columns_without_deviation(dtype):
    z_s, z_t, _ = (a.astype(dtype) for a in example(5, (4, 7)))
    flat = np.full_like(z_s, 0.1)
    assert (flat.sum(axis=1) / 7 != flat[:, 0]).all()  # the mean is off by a rounding: that is no deviation
    for s, t, cost in ((flat, z_t, 5.0), (z_s, flat, 5.0), (flat, flat, 0.0)):  # two that have none are alike
        value, gradient = dist_kd(s, t, beta=2.0, gamma=3.0)
        assert value == pytest.approx(cost, rel=1e-6) and not gradient.any()
        value, gradient = standardized_kd(s, t)
        if s is flat:
            assert not gradient.any()
        assert np.isfinite(value) and np.isfinite(gradient).all()
    assert standardized_kd(flat, flat)[0] == 0
    same = np.repeat(z_s[:1], 4, axis=0)  # every column constant, rows not
    value, gradient = dist_kd(same, z_t, beta=0.0)
    assert value == 1 and not gradient.any()
    value, gradient = dist_kd(z_s[:1], z_t[:1], beta=0.0)  # one row: no columns to compare
    assert value == 0 and not gradient.any()


@every_loss
@given(seed=seeds, T=st.sampled_from([0.05, 1.0, 4.0, 1e8]), dtype=st.sampled_from(["float32", "float64"]))
def test_extreme_logits_stay_finite_and_positive(loss, seed, T, dtype):
    z_s, z_t, y = example(seed, (4, 6), scale=1e4)
    value, gradient = loss(z_s.astype(dtype), z_t.astype(dtype), y, T)
    assert np.isfinite(value) and value >= 0
    assert np.isfinite(gradient).all()
    assert value.dtype == gradient.dtype == dtype


@every_loss
@pytest.mark.parametrize("T", [0.5, 20.0, 1e3, 1e8])
def test_single_precision_keeps_its_digits(loss, T):
    z_s, z_t, y = example(6)
    z_s, z_t = z_s.astype("float32"), z_t.astype("float32")
    expected, gradient = loss(z_s.astype("float64"), z_t.astype("float64"), y, T)
    value, single = loss(z_s, z_t, y, T)
    assert float(value) == pytest.approx(expected, rel=5e-6)
    np.testing.assert_allclose(single, gradient, rtol=0, atol=2e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("distance", [1e-2, 1e-4])
def test_close_correlations_keep_their_digits(distance):
    """1 - ρ as such would be off by 1e-7, more than it is worth here."""
    z_s, z_t, _ = example(7)
    z_t = z_t.astype("float32")
    z_s = (z_t + distance * z_s).astype("float32")
    expected = dist_kd(z_s.astype("float64"), z_t.astype("float64"))
    value, gradient = dist_kd(z_s, z_t)
    assert float(value) == pytest.approx(expected[0], rel=20e-7 / distance)
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=20e-7 / distance * np.abs(expected[1]).max())


def test_many_classes_in_single_precision():
    z_s, z_t, y = example(8, (8, 2000), scale=4.0)
    for loss in LOSSES.values():
        expected = loss(z_s, z_t, y)
        got = loss(z_s.astype("float32"), z_t.astype("float32"), y)
        assert float(got[0]) == pytest.approx(expected[0], rel=1e-5)
        np.testing.assert_allclose(got[1], expected[1], rtol=0, atol=1e-5 * np.abs(expected[1]).max())


def test_limits_of_high_temperature():
    z_s, z_t, y = example(9, (5, 6))
    assert dist_kd(z_s, z_t, T=1e8, gamma=0.0)[0] == pytest.approx((1 - pearson(z_s, z_t)).mean(), rel=1e-6)
    d = (z_s - z_t)[~np.eye(6, dtype=bool)[y]].reshape(5, 5)
    d = d - d.mean(axis=1, keepdims=True)
    value = decoupled_kd(z_s, z_t, y, T=1e8, alpha=0.0, beta=1.0)[0]
    assert value == pytest.approx((d * d).sum(axis=1).mean() / (2 * 5), rel=1e-6)
    rho = pearson(z_s, z_t)  # ‖Z_s - Z_t‖² = 2K(1 - ρ): z-scores meet correlations
    assert standardized_kd(z_s, z_t, T=1e8)[0] == pytest.approx((1 - rho).mean(), rel=1e-6)


@every_loss
def test_masked_classes(loss):
    z_s, z_t, y = example(10, (4, 6))
    y = np.array([0, 1, 3, 5])
    z_t[:, 2] = -np.inf
    z_t[3, 5] = -np.inf  # even the label's
    value, gradient = loss(z_s, z_t, y)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert kd.gradcheck.check_loss(lambda z: loss(z, z_t, y), z_s) < 1e-7
    z_s[:, 2] = -np.inf  # both exclude the class
    expected = loss(np.delete(z_s, 2, 1), np.delete(z_t, 2, 1), y - (y > 2))
    value, gradient = loss(z_s, z_t, y)
    assert np.isfinite(gradient).all() and not gradient[:, 2].any()
    if loss is not LOSSES["dist_kd"]:  # a mean over K sees a masked class as one that is always zero
        assert value == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(np.delete(gradient, 2, 1), expected[1], atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_teacher_with_no_class_but_the_label(dtype):
    z_s, _, y = example(11)
    z_s = z_s.astype(dtype)
    z_t = np.where(np.eye(5, dtype=bool)[y], 1.0, -np.inf).astype(dtype)
    hard = kd.cross_entropy(z_s, y)
    for value, gradient in (decoupled_kd(z_s, z_t, y, T=1.0), normalized_kd(z_s, z_t, y)):
        assert value == pytest.approx(hard[0], rel=1e-5)
        np.testing.assert_allclose(gradient, hard[1], atol=1e-6)


@pytest.mark.parametrize("loss", [decoupled_kd, normalized_kd])
def test_one_class_alone_has_no_others(loss):
    z, _, y = example(0)
    with pytest.raises(ValueError, match="at least two classes"):
        loss(z[:, :1], z[:, :1], 0 * y)


# ---------------------------------------------------------------- a teacher of whom the top is kept


@given(seed=seeds, k=st.integers(1, 6), T=st.floats(0.3, 30))
def test_top_targets_by_central_differences_and_by_definition(seed, k, T):
    z_s, z_t, _ = example(seed, (4, 7))
    top, kept = keep_top(z_t, k, T)
    rows = np.arange(4)[:, None]
    np.testing.assert_array_equal(np.sort(z_t[rows, top]), np.sort(z_t)[:, -k:])
    w = np.random.default_rng(seed).uniform(0.5, 2, 4)
    kd.gradcheck.check_loss(lambda z: top_targets(z, top, kept, T, weight=w), z_s, tolerance=1e-6)
    p, q = scipy.special.softmax(z_t / T, axis=1), scipy.special.softmax(z_s / T, axis=1)
    p, q = (np.c_[a[rows, top], 1 - a[rows, top].sum(axis=1)] for a in (p, q))
    p, q = np.maximum(p, 0), np.maximum(q, 0)
    expected = (w * T * T * scipy.special.rel_entr(p, q).sum(axis=1)).mean()
    assert top_targets(z_s, top, kept, T, weight=w)[0] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_all_but_one_kept_is_all_kept():
    z_s, z_t, _ = example(3, (5, 6))
    value, gradient = top_targets(z_s, *keep_top(z_t, 5, 3.0), 3.0)
    whole = kd.soft_targets(z_s, z_t, 3.0)
    assert value == pytest.approx(whole[0])
    np.testing.assert_allclose(gradient, whole[1], atol=1e-14)


def test_top_answers_as_columns():
    """All but one kept: the same training as with the whole answers."""
    rng = np.random.default_rng(0)
    rows = kd.Data({"x": rng.normal(size=(40, 5))})
    teacher = kd.MLP(5, 9, 4, seed=0, dtype="float64")
    kept = rows.with_soft_labels(teacher, top=3, T=2)
    assert kept["teacher.top"].shape == (40, 3) and kept["teacher.top_logits"].shape == (40, 4)
    students = [kd.MLP(5, 8, 4, seed=1, dtype="float64") for _ in range(2)]
    settings = {"epochs": 3, "batch_size": 10, "progress": False}
    kd.fit(students[0], kd.TopTargets(2), kept, **settings)
    kd.fit(students[1], kd.SoftTargets(2), rows.with_soft_labels(teacher), **settings)
    np.testing.assert_allclose(students[0].theta, students[1].theta, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("k", [0, 7, True])
def test_a_top_that_keeps_nothing_or_everything_is_refused(k):
    with pytest.raises(ValueError, match="at least 1 and less than the number of classes"):
        keep_top(np.zeros((2, 7)), k)


def test_a_masked_rest():
    z_t = np.array([[0.0, 1.0, -np.inf, -np.inf]])
    top, kept = keep_top(z_t, 2, 2.0)
    assert kept[0, -1] == -np.inf
    value, gradient = top_targets(np.zeros((1, 4)), top, kept, 2.0)
    whole = kd.soft_targets(np.zeros((1, 4)), z_t, 2.0)
    assert value == pytest.approx(whole[0])
    np.testing.assert_allclose(gradient, whole[1], atol=1e-15)


@pytest.mark.parametrize("loss", [decoupled_kd, normalized_kd])
@pytest.mark.parametrize("K", [2, 4])
@pytest.mark.parametrize("label_alone", [True, False])
def test_equal_answers_cost_nothing_where_both_have_one_class(loss, K, label_alone):
    """A softmax of no class was NaN, and so was 0 times the infinity of a label that both exclude."""
    z = np.full((1, K), -np.inf)
    z[0, 0 if label_alone else 1] = 1.5
    value, gradient = loss(z, z, np.array([0]))
    assert value == 0 and not gradient.any()
    assert np.isnan(loss(np.nan * z, z, np.array([0]))[0])
