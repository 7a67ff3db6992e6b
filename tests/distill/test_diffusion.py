"""Diffusion: noise as an angle, deterministic steps, and the answer that makes one step of several."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.diffusion import ddim, noised, one_step_answer

seeds = st.integers(0, 2**32 - 1)
MATCH = kd.Match("student.logits", "v", kd.logit_matching)


def example(seed=0, N=5, D=2):
    rng = np.random.default_rng(seed)
    return *rng.normal(size=(2, N, D)), rng.uniform(0.2, 1.5, (N, 1))


def bent(z, angle):
    """Some answer that depends on both."""
    return np.tanh(z[..., ::-1] + angle)


@given(seeds)
def test_a_point_and_its_speed_are_data_and_noise(seed):
    x, e, phi = example(seed)
    z, v = noised(x, e, phi)
    np.testing.assert_allclose(np.cos(phi) * z - np.sin(phi) * v, x, atol=1e-12)
    np.testing.assert_allclose(np.sin(phi) * z + np.cos(phi) * v, e, atol=1e-12)
    h = 1e-6
    numeric = (noised(x, e, phi + h)[0] - noised(x, e, phi - h)[0]) / (2 * h)
    np.testing.assert_allclose(numeric, v, atol=1e-8)


def test_noised_data_keep_their_variance():
    rng = np.random.default_rng(0)
    x, e = rng.choice([-1.0, 1.0], (40_000, 1)), rng.normal(size=(40_000, 1))
    for angle in (0.3, 0.8, 1.4):
        assert noised(x, e, angle)[0].var() == pytest.approx(1, abs=0.03)


@given(seeds, st.floats(0.01, 0.15))
def test_a_step_mixes_the_implied_data_and_noise_again(seed, step):
    z, _, phi = example(seed)
    v = bent(z, phi)
    data, noise = np.cos(phi) * z - np.sin(phi) * v, np.sin(phi) * z + np.cos(phi) * v
    again = np.cos(phi - step) * data + np.sin(phi - step) * noise
    np.testing.assert_allclose(ddim(bent, z, phi, step), again, atol=1e-12)


def test_the_angle_goes_down_from_step_to_step():
    seen = []
    ddim(lambda z, angle: seen.append(angle) or 0 * z, np.ones((1, 2)), math.pi / 2, math.pi / 8, 4)
    np.testing.assert_allclose(seen, [math.pi / 2, 3 * math.pi / 8, math.pi / 4, math.pi / 8])


def test_small_steps_follow_the_differential_equation():
    """For data of mean 0 and variance s² the exact path scales z by the standard deviation at each angle."""
    s, z = 0.5, np.array([[1.0, -2.0]])

    def mean_speed(z, angle):  # E[v | z] of two independent normal variables
        c, n = math.cos(angle), math.sin(angle)
        return z * (c * n * (1 - s * s)) / (c * c * s * s + n * n)

    errors = [np.abs(ddim(mean_speed, z, math.pi / 2, math.pi / (2 * k), k) - s * z).max() for k in (50, 100, 200)]
    assert errors[2] < 0.02 and errors[0] / errors[1] == pytest.approx(2, abs=0.1) == errors[1] / errors[2]


@given(seeds, st.floats(0.05, 3.0), st.integers(1, 5))
def test_one_step_ends_where_the_teacher_ended(seed, step, count):
    z, _, phi = example(seed)
    end = ddim(bent, z, phi, step / count, count)
    v = one_step_answer(z, end, step)
    np.testing.assert_allclose(ddim(lambda *_: v, z, phi, step), end, atol=1e-10)


@given(seeds, st.floats(0.02, 0.19))
def test_the_target_is_that_of_the_paper(seed, step):
    z, _, phi = example(seed)
    end = ddim(bent, z, phi, step / 2, 2)
    a, s, a2, s2 = np.cos(phi), np.sin(phi), np.cos(phi - step), np.sin(phi - step)
    x = (end - s2 / s * z) / (a2 - s2 / s * a)  # as Salimans and Ho (2022) write it
    np.testing.assert_allclose(one_step_answer(z, end, step), (a * z - x) / s, atol=1e-9)


def test_where_the_implied_data_stay_there_is_nothing_to_learn():
    x, e, phi = example()
    z, v = noised(x, e, phi)
    end = ddim(lambda _, angle: noised(x, e, angle)[1], z, phi, 0.1, 2)
    np.testing.assert_allclose(one_step_answer(z, end, 0.2), v, atol=1e-12)


@pytest.mark.parametrize("step", [0, -0.1, math.pi, math.nan])
def test_a_step_without_an_answer_is_refused(step):
    with pytest.raises(ValueError, match="step lies between 0 and pi"):
        one_step_answer(np.ones((1, 2)), np.ones((1, 2)), step)


def test_single_precision_stays_single():
    x, e, phi = (a.astype("float32") for a in example())
    z, v = noised(x, e, phi.astype("float64"))
    end = ddim(lambda z, angle: -z, z, 1.0, 0.25, 2)
    assert {a.dtype.name for a in (z, v, end, one_step_answer(z, end, 0.5))} == {"float32"}


def test_a_student_of_half_the_steps_comes_to_the_same_points():
    """Two exact steps of a linear teacher are a linear function of z at each angle, so the student can be exact."""
    rng = np.random.default_rng(0)
    teacher, student = kd.MLP(2, 2, seed=3, dtype="float64"), kd.MLP(2, 2, seed=4, dtype="float64")
    step, z = math.pi / 4, rng.normal(size=(400, 2))

    def answer(net):
        return lambda z, angle: net.logits(z)

    end = ddim(answer(teacher), z, math.pi / 4, step / 2, 2)
    rows = kd.Data({"x": z, "v": one_step_answer(z, end, step)})
    before = np.abs(ddim(answer(student), z, math.pi / 4, step) - end).max()
    kd.fit(student, MATCH, rows, optimizer=kd.Adam(0.05), schedule=kd.cosine, epochs=60, progress=False)
    assert np.abs(ddim(answer(student), z, math.pi / 4, step) - end).max() < 1e-3 < 0.5 < before


def test_noise_and_data_are_real_numbers():
    x, whole = np.ones((2, 3)), np.ones((2, 3), int)
    for right, plain in ((noised(whole, x, 0.5), noised(x, x, 0.5)), (noised(x, x > 0, 0.5), noised(x, x, 0.5))):
        np.testing.assert_array_equal(right, plain)
    for pair in ((x * 1j, x), (x, x * 1j), (x.astype(str), x)):
        with pytest.raises(TypeError, match="real numbers"):
            noised(*pair, 0.5)
