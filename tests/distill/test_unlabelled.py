"""Rows without a label: noise as a penalty of slopes, the sharpened cross-entropy, the running centre."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import Trip

import kdlearn as kd
from kdlearn.distill.unlabelled import DINO, Centre, dino, noisy_student

seeds = st.integers(0, 2**32 - 1)
heats = st.floats(0.03, 3)


def example(seed=0, N=6, K=5):
    return np.random.default_rng(seed).normal(size=(2, N, K))


# ---------------------------------------------------------------- noisy_student


@given(seeds, st.floats(0.5, 8), st.floats(0.1, 20))
def test_labels_count_where_there_are_some_and_answers_everywhere(seed, T, weight):
    z, z_t = example(seed)
    y = np.array([2, -1, -1, 0, -1, 4])
    result = noisy_student(weight, T)({"student.logits": z}, {"y": y, "teacher.logits": z_t})
    known = y >= 0
    hard, dz = kd.cross_entropy(z[known], y[known])
    soft, everywhere = kd.soft_targets(z, z_t, T)
    assert result.value == pytest.approx(hard + weight * soft)
    expected = weight * everywhere
    expected[known] += dz
    np.testing.assert_allclose(result.gradients["student.logits"], expected, atol=1e-13)


def test_without_noise_a_student_has_nothing_to_learn_from_itself():
    z, _ = example(1)
    none = np.full(6, -1)
    result = noisy_student(3)({"student.logits": z}, {"y": none, "teacher.logits": z.copy()})
    assert result.value == 0 and not result.gradients["student.logits"].any()


def test_small_noise_is_a_penalty_of_slopes():
    """The mean over 2 D displacements of covariance s² I, against s²/2 tr(J' F J) by its definition."""
    net, s, D = kd.MLP(4, 9, 3, activation=kd.Tanh, seed=2, dtype="float64"), 1e-3, 4
    x = np.random.default_rng(0).normal(size=(1, D))
    clean = net.logits(x)
    steps = s * np.sqrt(D) * np.concatenate([np.eye(D), -np.eye(D)])
    measured = kd.soft_targets(net.logits(x + steps), np.repeat(clean, 2 * D, axis=0), T=1)[0]
    J = np.stack([(net.logits(x + 1e-5 * e) - net.logits(x - 1e-5 * e))[0] / 2e-5 for e in np.eye(D)], axis=1)
    q = kd.softmax(clean)[0]
    F = np.diag(q) - np.outer(q, q)
    assert measured == pytest.approx(s * s / 2 * np.trace(J.T @ F @ J), rel=1e-4)


def test_dropout_disturbs_the_student_and_no_teacher():
    """A mean teacher with the student's own dropout: fit's step against one written here, mask and all."""
    student = kd.MLP(4, 7, 3, dropout=(0.5, 0.0), seed=1, dtype="float64")
    average, by_hand = student.copy(), student.copy()
    x, y = np.random.default_rng(0).normal(size=(8, 4)), np.array([0, -1, -1, 2, -1, -1, 1, -1])
    rows = kd.Data({"x": x, "y": y})
    order, dice = (np.random.default_rng(s) for s in np.random.SeedSequence(5).spawn(2))
    (batch,) = rows.batches(8, order)
    sites, caches = by_hand.forward(batch["x"], dice)
    fixed = {"y": batch["y"], "teacher.logits": by_hand.logits(batch["x"])}
    result = noisy_student(2)({"student.logits": sites["logits"]}, fixed)
    by_hand.zero_grad()
    by_hand.backward(caches, {"logits": result.gradients["student.logits"]})
    by_hand.theta -= 0.1 * by_hand.grad
    kd.fit(student, noisy_student(2), rows, teachers=average, hooks=[kd.MovingAverage(0.0)], optimizer=kd.SGD(0.1),
           epochs=1, batch_size=8, seed=5, progress=False)  # fmt: skip
    np.testing.assert_allclose(student.theta, by_hand.theta, atol=1e-14)
    np.testing.assert_array_equal(average.theta, student.theta)


# ---------------------------------------------------------------- dino


@given(seeds, heats, heats)
def test_the_loss_is_its_definition_and_its_gradient_by_differences(seed, tau_s, tau_t):
    z_s, z_t = example(seed)
    value, dz = dino(z_s, z_t, tau_s, tau_t)
    p, log_q = kd.softmax(z_t, tau_t), kd.log_softmax(z_s, tau_s)
    assert value == pytest.approx(-(p * log_q).sum(axis=1).mean(), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(dz, (np.exp(log_q) - p) / (6 * tau_s), atol=1e-12)


def test_value_and_gradient_from_pytorch():
    torch = pytest.importorskip("torch")
    z_s, z_t = example(3)
    leaf, centre = torch.tensor(z_s, requires_grad=True), torch.linspace(-1, 1, 5, dtype=torch.float64)
    p = torch.softmax((torch.tensor(z_t) - centre) / 0.04, 1)
    loss = torch.nn.functional.cross_entropy(leaf / 0.1, p)
    loss.backward()
    c = Centre()
    c.c = [centre.numpy()]
    result = DINO(c)({"student.logits": z_s}, {"teacher.logits": z_t})
    assert result.value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(result.gradients["student.logits"], leaf.grad.numpy(), atol=1e-13)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("tau_t", [0.04, 0.1, 0.2])
def test_near_the_uniform_answer_what_grows_and_what_shrinks(centred, tau_t):
    """Step by step as derived: a, common to all rows, and d, by which they differ, each times a factor of its own."""
    rng, N, K, tau_s = np.random.default_rng(4), 6, 5, 0.1
    a, d = 1e-5 * rng.normal(size=(1, K)), 1e-5 * rng.normal(size=(N, K))
    a, d = a - a.mean(), d - d.mean(axis=1, keepdims=True)
    d -= d.mean(axis=0)
    _, dz = dino(a + d, d if centred else a + d, tau_s, tau_t)
    own = 1 / tau_s - 1 / tau_t
    common = 1 / tau_s if centred else own
    np.testing.assert_allclose(N * K * tau_s * dz, common * a + own * d, atol=1e-6)


@pytest.mark.parametrize("row, cost", [([0.0, 0.0, 0.0], np.log(3)), ([50.0, 0.0, 0.0], 0.0)], ids=["uniform", "one"])
def test_both_collapses_stand_still(row, cost):
    """The same answer on all rows: q = p, and there is no gradient."""
    z = np.tile(row, (4, 1))
    value, dz = dino(z, z)
    assert np.abs(dz).max() < 1e-12
    assert value == pytest.approx(cost, abs=1e-12)


# ---------------------------------------------------------------- Centre


def batches(seed, steps=4, N=8, K=3):
    return np.random.default_rng(seed).normal(size=(steps, N, K))


@given(seeds, st.floats(0, 1))
def test_the_centre_is_the_sum_of_the_batches_means_with_falling_weights(seed, m):
    centre, seen = Centre(m), batches(seed)
    for s, z in enumerate(seen):
        weights = [(1 - m) * m ** (s - 1 - j) for j in range(s)]
        expected = sum((w * b.mean(axis=0) for w, b in zip(weights, seen)), np.zeros(3))
        np.testing.assert_allclose(centre(z), z - expected, atol=1e-12)
        centre.after_step(None)


def rows(seed=0, n=24):
    return kd.Data({"x": np.random.default_rng(seed).normal(size=(n, 4)).astype("float32")})


def net(seed):
    return kd.MLP(4, 7, 5, dropout=(0.3, 0.0), seed=seed)


def train(student, data, epochs=3, seed=0, more=(), **how):
    centre, average = Centre(), student.copy()
    kd.fit(student, DINO(centre), data, teachers=average, hooks=[kd.MovingAverage(0.9), centre, *more], epochs=epochs,
           batch_size=8, optimizer=kd.Adam(1e-2), schedule=kd.constant, seed=seed, progress=False, **how)  # fmt: skip
    return student, average, centre


def test_members_of_a_stack_have_centres_of_their_own():
    stack, averages, centre = train(kd.Stack([net(i) for i in range(3)]), [rows(i) for i in range(3)], seed=[0, 1, 2])
    for i in range(3):
        alone, average, own = train(net(i), rows(i), seed=i)
        np.testing.assert_allclose(centre.c[i], own.c[0], rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(stack[i].theta, alone.theta, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(averages[i].theta, average.theta, rtol=1e-3, atol=1e-5)


def test_validation_between_the_epochs_does_not_move_a_centre():
    plain, watched = train(net(1), rows()), train(net(1), rows(), validation=rows(9))
    np.testing.assert_array_equal(watched[2].c[0], plain[2].c[0])
    np.testing.assert_array_equal(watched[0].theta, plain[0].theta)


def test_a_centre_begins_anew_and_a_run_resumes_bit_for_bit(tmp_path):
    whole, path = train(net(1), rows(), epochs=4), tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        train(net(1), rows(), epochs=4, more=[Trip(2)], checkpoint=path)
    resumed = train(net(1), rows(), epochs=4, more=[lambda run: None], checkpoint=path, resume=True)
    np.testing.assert_array_equal(resumed[0].theta, whole[0].theta)
    np.testing.assert_array_equal(resumed[2].c[0], whole[2].c[0])
    centre = whole[2]
    centre.before_fit(type("Run", (), {"members": 2}))
    assert centre.c == [0.0, 0.0]


def test_a_centre_takes_a_share():
    with pytest.raises(ValueError, match="m lies in"):
        Centre(1.5)


# ---------------------------------------------------------------- the two collapses


def spread(net, x):
    """(outputs used on average over the rows, outputs a row), as exponentials of entropies."""
    p = kd.softmax(net.logits(x), 0.1)
    mean = p.mean(axis=0)
    return [float(np.exp(-(a * np.log(a + 1e-30)).sum(axis=-1).mean())) for a in (mean, p)]


@pytest.mark.parametrize(
    "centred, tau_t, used, sure",
    [(True, 0.04, (2.5, 4.01), (1, 1.5)), (False, 0.04, (1, 2.2), (1, 1.1)), (True, 0.1, (3.3, 4.01), (2, 4.01))],
    ids=["both", "no centre", "no sharpening"],
)
def test_without_a_centre_few_outputs_without_sharpening_no_sure_row(centred, tau_t, used, sure):
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 2, (64, 2)) * 6 - 3 + rng.normal(size=(64, 2))).astype("float32")
    student = kd.MLP(2, 16, 4, dropout=(0.3, 0.0), seed=3)
    student.layers[-1].W *= 0.2
    average, centre = student.copy(), Centre()
    kd.fit(student, DINO(centre, tau_t=tau_t), kd.Data({"x": x}), teachers=average, batch_size=32, epochs=150,
           hooks=[kd.MovingAverage(0.95)] + [centre] * centred, optimizer=kd.Adam(1e-2), progress=False)  # fmt: skip
    found = spread(average, x)
    assert used[0] <= found[0] <= used[1] and sure[0] <= found[1] <= sure[1], found
