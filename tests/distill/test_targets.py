"""Teachers made by hand: what they are by definition."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.targets import corrected_teacher, need_of_teaching, noisy_teacher, virtual_teacher

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 6), st.integers(2, 7))


def example(seed, shape=(4, 5), scale=2.0):
    rng = np.random.default_rng(seed)
    z_s, z_t = scale * rng.normal(size=(2, *shape))
    return z_s, z_t, rng.integers(0, shape[1], shape[0])


# ---------------------------------------------------------------- virtual teacher


@given(seeds, shapes, st.floats(0.55, 0.999))
def test_a_virtual_teacher_answers_as_told(seed, shape, a):
    _, _, y = example(seed, shape)
    K = shape[1]
    p = kd.softmax(virtual_teacher(y, K, confidence=a, dtype="float64"))
    np.testing.assert_allclose(p, np.where(np.eye(K, dtype=bool)[y], a, (1 - a) / (K - 1)), rtol=1e-12)


def test_at_one_it_is_label_smoothing():
    z, _, y = example(0)
    epsilon = 0.1 * 5 / 4
    soft, gradient = kd.soft_targets(z, virtual_teacher(y, 5, confidence=0.9, dtype="float64"), T=1.0)
    hard, expected = kd.cross_entropy(z, y, smoothing=epsilon)
    np.testing.assert_allclose(gradient, expected, atol=1e-15)
    assert hard - soft == pytest.approx(scipy.special.entr([0.9] + 4 * [0.025]).sum())


@pytest.mark.parametrize("confidence, K", [(0.2, 5), (1.0, 5), (0.0, 5), (0.9, 1), (float("nan"), 5)])
def test_a_virtual_teacher_must_know_something(confidence, K):
    with pytest.raises(ValueError, match="confidence lies between"):
        virtual_teacher(np.array([0]), K, confidence=confidence)


# ---------------------------------------------------------------- corrected teacher


@given(seeds, shapes)
def test_a_corrected_teacher_is_always_right_and_keeps_its_numbers(seed, shape):
    _, z, y = example(seed, shape)
    copy = z.copy()
    fixed = corrected_teacher(z, y)
    np.testing.assert_array_equal(z, copy)
    np.testing.assert_array_equal(fixed.argmax(axis=1), y)
    np.testing.assert_array_equal(np.sort(fixed, axis=1), np.sort(z, axis=1))
    right = z.argmax(axis=1) == y
    np.testing.assert_array_equal(fixed[right], z[right])
    assert ((fixed != z).sum(axis=1) == np.where(right, 0, 2)).all()


def test_the_exchange_by_hand():
    z = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, -np.inf]])
    assert corrected_teacher(z, np.array([1, 2])).tolist() == [[1.0, 3.0, 2.0], [0.0, -np.inf, 5.0]]


# ---------------------------------------------------------------- need of teaching


@given(seeds, shapes)
def test_the_weight_by_its_definition(seed, shape):
    z_s, z_t, y = example(seed, shape)
    ce = [-scipy.special.log_softmax(z, axis=1)[np.arange(len(y)), y] for z in (z_s, z_t)]
    np.testing.assert_allclose(need_of_teaching(z_s, z_t, y), 1 - np.exp(-ce[0] / ce[1]), rtol=1e-9)


def test_the_weight_at_its_limits():
    y = np.array([0])
    sure, wrong, even = (np.array([[v, 0.0]]) for v in (800.0, -800.0, 0.0))
    assert need_of_teaching(even, even, y) == pytest.approx(1 - np.exp(-1))
    assert need_of_teaching(wrong, even, y) == 1
    assert need_of_teaching(even, sure, y) == 1
    assert need_of_teaching(sure, sure, y) == 0
    assert need_of_teaching(sure, even, y) == 0
    assert need_of_teaching(even, np.array([[-np.inf, 0.0]]), y) == 0  # the teacher excludes the label


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-13)])
def test_a_sure_teachers_surprise_keeps_its_digits(dtype, tolerance):
    """p_y = 1 - 1e-9 has no digit left of it in float32; its logarithm must."""
    z_s, z_t = np.array([[24.0, 2.0, 0.0]], dtype), np.array([[20.0, 0.0, -1.0]], dtype)
    with mpmath.workdps(40):
        ce = [-mpmath.log(mpmath.exp(z[0]) / sum(map(mpmath.exp, z))) for z in (z_s[0].tolist(), z_t[0].tolist())]
        expected = float(1 - mpmath.exp(-ce[0] / ce[1]))
    assert float(need_of_teaching(z_s, z_t, np.array([0]))[0]) == pytest.approx(expected, rel=tolerance)


# ---------------------------------------------------------------- noisy teacher


def test_noise_has_its_size_and_its_share():
    z = np.ones((4000, 10))
    noise = noisy_teacher(z, np.random.default_rng(0), deviation=0.2, share=0.3) - 1
    touched = noise.any(axis=1)
    assert touched.mean() == pytest.approx(0.3, abs=0.03)
    assert noise[touched].std() == pytest.approx(0.2, abs=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.005)


def test_no_noise_and_masked_classes():
    _, z, _ = example(1)
    rng = np.random.default_rng(0)
    for settings in ({"deviation": 0.0}, {"share": 0.0}):
        np.testing.assert_array_equal(noisy_teacher(z, rng, **settings), z)
    z[:, 1] = -np.inf
    noisy = noisy_teacher(z, rng, deviation=5.0, share=1.0)
    assert (noisy[:, 1] == -np.inf).all() and np.isfinite(np.delete(noisy, 1, 1)).all()


@pytest.mark.parametrize("settings", [{"deviation": -1}, {"share": 1.5}, {"share": float("nan")}])
def test_noise_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        noisy_teacher(np.ones((2, 3)), np.random.default_rng(0), **settings)


# ---------------------------------------------------------------- in the algebra


def test_noise_in_the_data_trains():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, 40)
    z_t = np.where(np.eye(2, dtype=bool)[y], 2.0, -2.0).astype(np.float32)
    train = kd.Data({"x": x, "y": y})
    seen = []

    def data(epoch, rng):
        seen.append(noisy_teacher(z_t, rng))
        return train.with_columns({"teacher.logits": seen[-1]})

    kd.fit(kd.MLP(3, 8, 2), kd.SoftTargets(T=2), data, epochs=2, progress=False)
    assert (seen[0] != seen[1]).any()


# ---------------------------------------------------------------- arrays


def test_types_follow_the_logits():
    z_s, z_t, y = example(6)
    for dtype in ("float16", "float32", "float64"):
        s, t = z_s.astype(dtype), z_t.astype(dtype)
        assert corrected_teacher(t, y).dtype == noisy_teacher(t, np.random.default_rng(0)).dtype == dtype
        assert need_of_teaching(s, t, y).dtype == dtype
        assert virtual_teacher(y, 5, dtype=dtype).dtype == dtype
    with pytest.raises(ValueError, match="one shape"):
        need_of_teaching(z_s, z_t[:, :3], y)
    with pytest.raises(ValueError, match="2-D"):
        corrected_teacher(z_t[0], y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_student_that_excludes_the_label_needs_all_of_the_teaching(dtype):
    """Infinity over a number was NaN; where the teacher excludes the label there is nothing to be taught."""
    out, right = np.array([[-np.inf, 2.0, 3.0]], dtype), np.array([[1.0, 2.0, 3.0]], dtype)
    sure, y = np.array([[1.0, -np.inf, -np.inf]], dtype), np.array([0])
    found = [need_of_teaching(z_s, z_t, y)[0] for z_s, z_t in ((out, right), (out, sure), (right, out), (out, out))]
    assert found == [1, 1, 0, 0]
    assert np.isnan(need_of_teaching(np.nan * right, right, y)).all()
