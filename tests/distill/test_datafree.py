"""Inputs made by descent: five losses, a teacher in two halves, and the game of a generator against a student."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.datafree import (
    activation_loss,
    adversarial,
    cut,
    dafl,
    disagreement,
    information_entropy,
    match_moments,
    one_hot_loss,
)

seeds = st.integers(0, 2**32 - 1)


def example(seed=0, N=6, K=5):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(N, K)), 2 * rng.normal(size=(N, K))


def net(*sizes, seed, **options):
    return kd.MLP(*sizes, seed=seed, dtype="float64", **options)


# ---------------------------------------------------------------- the losses, by other means


@given(seeds)
def test_losses_by_their_definition(seed):
    z, z_t = example(seed)
    q = kd.softmax(z)
    assert one_hot_loss(z)[0] == pytest.approx(-np.log(q.max(axis=1)).mean())
    assert one_hot_loss(z)[0] == pytest.approx(kd.cross_entropy(z, z.argmax(axis=1))[0])
    assert activation_loss(z)[0] == pytest.approx(-np.linalg.norm(z, 1, axis=1).mean())
    assert information_entropy(z)[0] == pytest.approx((q.mean(0) * np.log(q.mean(0))).sum())
    assert disagreement(z, z_t)[0] == pytest.approx(np.abs(z - z_t).mean())
    mean, variance = np.ones(5), np.arange(1.0, 6)
    kd.gradcheck.check_loss(match_moments, z, mean, variance, tolerance=1e-5)
    expected = (((z.mean(0) - mean) ** 2).sum() + ((z.var(0) - variance) ** 2).sum()) / 2
    assert match_moments(z, mean, variance)[0] == pytest.approx(expected)


def test_values_and_gradients_from_pytorch():
    torch = pytest.importorskip("torch")
    z, other = example(1)
    mean, variance = np.linspace(-1, 1, 5), np.linspace(0.5, 2, 5)
    m, v, F = torch.tensor(mean), torch.tensor(variance), torch.nn.functional

    def entropy(s):
        q = torch.softmax(s, 1).mean(0)
        return (q * torch.log(q)).sum()

    def moments(s):
        return 0.5 * ((s.mean(0) - m) ** 2).sum() + 0.5 * ((s.var(0, unbiased=False) - v) ** 2).sum()

    def student_alone(z):
        value, (dz, _) = disagreement(z, other)
        return value, dz

    for ours, theirs in (
        (one_hot_loss, lambda s: F.cross_entropy(s, s.data.max(1)[1])),
        (activation_loss, lambda s: -s.abs().sum(1).mean()),
        (information_entropy, entropy),
        (lambda z: match_moments(z, mean, variance), moments),
        (student_alone, lambda s: F.l1_loss(s, torch.tensor(other))),
    ):
        s = torch.tensor(z, requires_grad=True)
        loss = theirs(s)
        loss.backward()
        value, gradient = ours(z)
        assert value == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(gradient, s.grad.numpy(), atol=1e-14)


def test_the_entropy_goes_from_all_classes_alike_to_one_alone():
    z = 50 * np.eye(4)
    assert information_entropy(z)[0] == pytest.approx(-np.log(4))
    assert information_entropy(np.repeat(z[:1], 4, axis=0))[0] == pytest.approx(0, abs=1e-12)
    z[:, 3] = -np.inf  # a class that is masked in every row
    value, gradient = information_entropy(np.where(np.eye(4) * [1, 1, 1, 0] > 0, 50, z))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_moments_of_another_width_are_refused():
    for name, mean, variance in (("mean", np.ones(4), np.ones(5)), ("variance", np.ones(5), np.ones((5, 1)))):
        with pytest.raises(ValueError, match=f"{name} must hold one number a unit, 5 here"):
            match_moments(example()[0], mean, variance)


# ---------------------------------------------------------------- a teacher in two halves


@pytest.mark.parametrize("tap", ["a1", "h1", "h2"])
def test_the_halves_are_the_network_and_nothing_trains_them(tap):
    whole, x = net(4, 7, 6, 3, seed=1, layer_norm=True), example(2, K=4)[0]
    below, above = cut(whole, tap)
    np.testing.assert_array_equal(above.logits(below.logits(x)), whole.logits(x))
    np.testing.assert_array_equal(below.logits(x), whole.forward(x)[0][tap])
    assert below.slices == above.slices == () and whole.slices
    below.theta[...] = 0
    assert whole.theta.any()
    with pytest.raises(ValueError, match="nothing stands above the tap 'logits'"):
        cut(whole, "logits")


def test_the_gradient_of_the_images_by_central_differences():
    """Of the whole objective, through a teacher that ReLU and two layers make; and the teacher stays."""
    teacher, student, x = net(4, 8, 3, seed=1), net(4, 5, 3, seed=2), example(3, K=4)[0]
    for objective in (dafl(teacher, activation=0.3, balance=2), adversarial(teacher, kd.frozen(student))):
        before = [n.theta.copy() for n in objective.nets]

        def loss(x, objective=objective):
            found = objective({"generator.logits": x}, {})
            return found.value, found.gradients["generator.logits"]

        assert kd.gradcheck.check_loss(loss, x) < 1e-6
        assert all(np.array_equal(a, n.theta) for a, n in zip(before, objective.nets))


def test_the_input_gradient_is_the_same_by_the_networks_own_call():
    teacher, x = net(4, 8, 3, seed=1), example(4, K=4)[0]
    found = dafl(teacher, activation=0, balance=0)({"generator.logits": x}, {})
    value, dx = teacher.input_gradient(x, one_hot_loss)
    assert found.value == pytest.approx(float(value))
    np.testing.assert_allclose(found.gradients["generator.logits"], dx, atol=1e-15)


@pytest.mark.parametrize("game", ["dafl", "adversarial"])
def test_a_stack_of_teachers_sees_a_stack_of_images(game):
    teachers, students = ([net(4, 8, 3, seed=i + s) for i in range(3)] for s in (0, 10))
    x = [example(i, K=4)[0] for i in range(3)]

    def objective(teacher, student):
        return dafl(teacher) if game == "dafl" else adversarial(teacher, student)

    both = objective(kd.Stack(teachers), kd.Stack(students))({"generator.logits": np.concatenate(x)}, {}, members=3)
    for i in range(3):
        alone = objective(teachers[i], students[i])({"generator.logits": x[i]}, {})
        assert both.value[i] == pytest.approx(float(alone.value))
        part = both.gradients["generator.logits"][6 * i : 6 * i + 6]
        np.testing.assert_allclose(part, alone.gradients["generator.logits"], atol=1e-14)


# ---------------------------------------------------------------- what they are for


def test_the_generator_divides_and_the_student_gives_way():
    """One step on one batch: the generator's alone raises the disagreement, the student's alone lowers it."""
    noise = np.random.default_rng(0).normal(size=(32, 3))
    teacher = net(4, 8, 3, seed=1)

    def apart(generator, student):
        x = generator.logits(noise)
        return disagreement(student.logits(x), teacher.logits(x))[0]

    generator, student = net(3, 7, 4, seed=2), net(4, 6, 3, seed=3)
    before, weights = apart(generator, student), student.theta.copy()
    kd.train_step({"generator": generator}, None, adversarial(teacher, kd.frozen(student)), {"x": noise},
                  optimizer=kd.SGD(0.02))  # fmt: skip
    assert apart(generator, student) > before and np.array_equal(student.theta, weights)

    held = net(3, 7, 4, seed=2)
    held.frozen = range(len(held.layers))
    kd.train_step({"generator": held}, None, adversarial(teacher, student), {"x": noise}, optimizer=kd.SGD(0.02))
    assert apart(held, student) < before and not np.array_equal(student.theta, weights)


def test_a_generator_learns_to_please_a_teacher():
    data = kd.data.blobs(100, seed=0)
    teacher, generator = kd.MLP(2, 16, 3, seed=0), kd.MLP(3, 16, 2, seed=1)
    kd.fit(teacher, kd.CrossEntropy(), data.train, epochs=20, optimizer=kd.Adam(1e-2), progress=False)
    noise = kd.Data({"x": np.random.default_rng(0).normal(size=(256, 3)).astype("float32")})

    def answers():
        return teacher.logits(generator.logits(noise.x))

    sure, even = one_hot_loss(answers())[0], information_entropy(answers())[0]
    goal = dafl(teacher, activation=0, balance=5)
    kd.fit({"generator": generator}, goal, noise, epochs=30, batch_size=64, optimizer=kd.Adam(1e-2), progress=False)
    assert one_hot_loss(answers())[0] < 0.7 * sure and information_entropy(answers())[0] < min(even, -1.0)
