"""Robustness: a loss whose gradient does not vanish, attacks, training on attacked rows, with a teacher."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from small import data, settings, student

import kdlearn as kd
from kdlearn.distill.robust import log_odds, on_attacked_rows, pgd, robust_distillation

seeds = st.integers(0, 2**32 - 1)
ATTACK = {"epsilon": 0.3, "steps": 3}


def attack(net, x, y):
    return pgd(net, x, y, **ATTACK)


def example(seed=0, N=6, K=5, scale=2.0):
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(N, K)), rng.integers(0, K, N)


# ------------------------------------------------------------------ log-odds


@given(seeds, st.integers(2, 7))
def test_log_odds_by_central_differences_and_by_definition(seed, K):
    z, y = example(seed, K=K)
    kd.gradcheck.check_loss(log_odds, z, y)
    q = scipy.special.softmax(z, axis=1)[np.arange(6), y]
    assert log_odds(z, y)[0] == pytest.approx(scipy.special.logit(1 - q).mean(), rel=1e-9, abs=1e-12)


def test_log_odds_by_pytorch():
    torch = pytest.importorskip("torch")
    z, y = example(1)
    s = torch.tensor(z, requires_grad=True)
    q = torch.softmax(s, 1)[torch.arange(6), torch.tensor(y)]
    expected = torch.log((1 - q) / q).mean()
    expected.backward()
    value, gradient = log_odds(z, y)
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, s.grad.numpy(), atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("margin", [1, 20, 50, 200, 2000])
def test_its_gradient_is_cross_entropys_direction_however_sure_the_network_is(dtype, margin):
    z = np.array([[margin, 0.0, -1.5, -0.5]], dtype=dtype)
    with mpmath.workdps(1000):
        e = [mpmath.exp(mpmath.mpf(float(v))) for v in z[0]]
        exact = [v / mpmath.fsum(e) for v in e]
        exact[0] = -mpmath.fsum(exact[1:])
        direction = np.array([float(v / -exact[0]) for v in exact])
    gradient = log_odds(z, np.array([0]))[1][0]
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, direction, rtol=4 * np.finfo(dtype).eps)
    ended = {"float32": 104, "float64": 746}[dtype]  # what the notebook and the derivation say of cross-entropy
    assert (kd.cross_entropy(z, np.array([0]))[1] == 0).all() == (margin > ended)


# ------------------------------------------------------------------ attacks


def test_one_step_on_a_linear_network_of_two_classes_is_the_worst_of_all_corners():
    net = kd.MLP(4, 2, seed=0, dtype="float64")
    x, y = np.random.default_rng(0).normal(size=(3, 4)), np.array([0, 1, 0])
    corners = 0.2 * (1 - 2 * ((np.arange(16)[:, None] >> np.arange(4)) & 1))
    losses = np.array([[kd.cross_entropy(net.logits(row[None] + c), y[i : i + 1])[0] for c in corners]
                       for i, row in enumerate(x)])  # fmt: skip
    found = pgd(net, x, y, 0.2, steps=1)
    np.testing.assert_allclose(found, x + corners[losses.argmax(axis=1)])
    np.testing.assert_allclose(pgd(net, x, y, 0.2, steps=7), found)


@given(seeds, st.floats(0, 2), st.integers(1, 5))
def test_attacked_rows_stay_in_reach(seed, epsilon, steps):
    net, rng = kd.MLP(4, 8, 3, seed=0), np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, (5, 4)).astype("float32"), rng.integers(0, 3, 5)
    before, theta = x.copy(), net.theta.copy()
    found = pgd(net, x, y, epsilon, steps, size=1.0, low=-1, high=1)
    assert found.dtype == x.dtype and found.shape == x.shape
    assert np.abs(found - x).max() <= epsilon + 1e-6 and np.abs(found).max() <= 1
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(net.theta, theta)


def test_more_steps_find_more_and_noise_finds_little():
    net, rows = student(), data()
    kd.fit(net, kd.CrossEntropy(), rows, **settings(epochs=20))
    rng = np.random.default_rng(0)

    def loss(x):
        return log_odds(net.logits(x), rows.y)[0]

    one, ten = (loss(pgd(net, rows.x, rows.y, 1.0, steps)) for steps in (1, 10))
    noise = loss(rows.x + rng.choice([-1, 1], rows.x.shape).astype("float32"))
    assert ten > one > noise + 1


@pytest.mark.parametrize("bad", [-0.1, np.nan, True])
def test_what_is_no_size_is_refused(bad):
    for setting in ("epsilon", "size"):
        with pytest.raises(ValueError, match=setting):
            pgd(student(), data().x, data().y, **{"epsilon": 0.1, setting: bad})


def test_a_sure_network_in_float32_hides_from_cross_entropy_and_not_from_log_odds():
    net, rows = student(), data()
    kd.fit(net, kd.CrossEntropy(), rows, **settings(epochs=20))
    last = net.layers[-1]
    last.W *= 1000
    last.b *= 1000
    right = net.predict(rows.x) == rows.y
    x, y = rows.x[right], rows.y[right]

    def accuracy(loss):
        return (net.predict(pgd(net, x, y, 1.0, 1, loss=loss)) == y).mean()

    assert accuracy(kd.cross_entropy) > 0.9 > 0.6 > accuracy(log_odds)


def test_a_stack_is_attacked_as_its_members_are():
    nets = [kd.MLP(4, 8, 3, seed=i, dtype="float64") for i in range(3)]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 5, 4)), rng.integers(0, 3, (3, 5))
    found = pgd(kd.Stack(nets), x.reshape(15, 4), y.reshape(15), 0.3, 4)
    for i, net in enumerate(nets):
        np.testing.assert_allclose(found.reshape(3, 5, 4)[i], pgd(net, x[i], y[i], 0.3, 4), atol=1e-12)


def test_attacks_on_every_backend(backend):
    net, rows = student(), data()
    there = rows.to(backend.device)
    found = pgd(student().to(backend.device), there.x, there.y, 0.3, 3)
    np.testing.assert_allclose(kd.to_numpy(found), pgd(net, rows.x, rows.y, 0.3, 3), atol=1e-5)


# ------------------------------------------------------------------ training


def test_a_step_on_attacked_rows_is_the_plain_step_on_them():
    net, rows = student(), data().take(slice(0, 20))
    by_hand = net.copy()
    step = on_attacked_rows(attack)
    for _ in range(3):
        step({"student": net}, {}, kd.CrossEntropy(), dict(rows.columns), optimizer=kd.SGD(0.1))
        batch = {**rows.columns, "x": attack(by_hand, rows.x, rows.y)}
        kd.train_step(by_hand, None, kd.CrossEntropy(), batch, optimizer=kd.SGD(0.1))
    np.testing.assert_array_equal(net.theta, by_hand.theta)
    assert not np.array_equal(net.theta, student().theta)


def test_only_the_named_student_is_attacked():
    seen = {}

    class Watched(kd.MLP):
        def forward(self, x, rng=None, taps=None):
            seen.setdefault(id(self), []).append(x)
            return super().forward(x, rng, taps)

    rows = data().take(slice(0, 20))
    K = int(rows.y.max()) + 1
    nets = {name: Watched(rows.x.shape[1], 6, K, seed=i) for i, name in enumerate(("student", "attacked", "teacher"))}
    students = {name: nets[name] for name in ("student", "attacked")}
    step = on_attacked_rows(attack, "attacked")
    goal = robust_distillation(2, 0.5)
    before = kd.MLP(rows.x.shape[1], 6, K, seed=1)
    step(students, {"teacher": nets["teacher"]}, goal, dict(rows.columns), optimizer=kd.SGD(0.1))
    expected = attack(before, rows.x, rows.y)
    for name in ("student", "teacher"):
        (x,) = seen[id(nets[name])]
        np.testing.assert_array_equal(x, rows.x)
    np.testing.assert_array_equal(seen[id(nets["attacked"])][ATTACK["steps"]], expected)


def test_adversarial_training_makes_robust_and_a_stack_trains_as_its_members():
    rows, step = data(), on_attacked_rows(attack)

    def worst(net):
        return kd.cross_entropy(net.logits(attack(net, rows.x, rows.y)), rows.y)[0]

    plain, hard = student(), student()
    kd.fit(plain, kd.CrossEntropy(), rows, **settings(epochs=40))
    kd.fit(hard, kd.CrossEntropy(), rows, step=step, **settings(epochs=40))
    assert worst(hard) < 0.7 * worst(plain)

    nets = [kd.MLP(rows.x.shape[1], 6, 3, seed=i, dtype="float64") for i in range(2)]
    stack, few = kd.Stack(nets), {"epochs": 2, "batch_size": 25, "progress": False, "step": step}
    kd.fit(stack, kd.CrossEntropy(), rows, optimizer=kd.SGD(0.1), seed=[0, 1], **few)
    for i, net in enumerate(nets):
        kd.fit(net, kd.CrossEntropy(), rows, optimizer=kd.SGD(0.1), seed=i, **few)
        np.testing.assert_allclose(stack[i].theta, net.theta, atol=1e-10)


@given(seeds, st.floats(0.5, 8), st.floats(0, 1))
def test_each_term_of_robust_distillation_reaches_its_own_rows(seed, T, alpha):
    (z, y), (att, _), (z_t, _) = (example(seed + i) for i in range(3))
    live, fixed = {"student.logits": z, "attacked.logits": att}, {"teacher.logits": z_t, "y": y}
    result = robust_distillation(T, alpha)(live, fixed)
    soft, hard = kd.soft_targets(att, z_t, T), kd.cross_entropy(z, y)
    assert result.value == pytest.approx(alpha * soft[0] + (1 - alpha) * hard[0])
    np.testing.assert_allclose(result.gradients["attacked.logits"], alpha * soft[1], atol=1e-13)
    if alpha < 1:
        np.testing.assert_allclose(result.gradients["student.logits"], (1 - alpha) * hard[1], atol=1e-15)


def test_a_teacher_that_smooths_labels_is_adversarial_training_with_smoothed_labels():
    z, y = example(2)
    p = 0.7 * kd.one_hot(y, 5, "float64") + 0.3 / 5
    by_teacher = robust_distillation(1)({"attacked.logits": z}, {"teacher.logits": np.log(p), "y": y})
    expected = kd.cross_entropy(z, y, smoothing=0.3)[1]
    np.testing.assert_allclose(by_teacher.gradients["attacked.logits"], expected, atol=1e-14)


def test_robust_distillation_asks_for_the_clean_rows_only_where_they_count():
    assert robust_distillation().sites == {"attacked.logits", "teacher.logits"}
    assert robust_distillation(alpha=0.9).sites == {"attacked.logits", "teacher.logits", "student.logits", "y"}
    with pytest.raises(ValueError, match="alpha"):
        robust_distillation(alpha=1.1)
