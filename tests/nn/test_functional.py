"""Softmax with temperature: scipy and SymPy as oracles, products of Jacobians, extremes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import sympy
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.checks import check_temperature
from kdlearn.nn.functional import expm1_residual, largest

shapes = st.tuples(st.integers(1, 5), st.integers(1, 6))
temperatures = st.floats(0.05, 1e8)
seeds = st.integers(0, 2**32 - 1)


@given(shapes, temperatures, seeds, st.sampled_from([1.0, 1e2, 1e4]))
def test_softmax_equals_scipy(shape, T, seed, scale):
    z = scale * np.random.default_rng(seed).normal(size=shape)
    np.testing.assert_allclose(kd.softmax(z, T), scipy.special.softmax(z / T, axis=1), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(
        kd.log_softmax(z, T), scipy.special.log_softmax(z / T, axis=1), rtol=1e-9, atol=1e-12 * scale / T + 1e-15
    )


@given(shapes, st.floats(0.3, 20), seeds)
def test_backward_products(shape, T, seed):
    rng = np.random.default_rng(seed)
    z, R = rng.normal(size=shape), rng.normal(size=shape)
    for f, backward in ((kd.softmax, kd.softmax_backward), (kd.log_softmax, kd.log_softmax_backward)):
        expected = kd.gradcheck.numerical_gradient(lambda v, f=f: (R * f(v, T)).sum(), z)
        np.testing.assert_allclose(backward(kd.softmax(z, T), R, T), expected, atol=1e-8)


def test_jacobian_equals_sympy():
    z1, z2, z3, T = sympy.symbols("z1 z2 z3 T", positive=True)
    z = (z1, z2, z3)
    total = sum(sympy.exp(v / T) for v in z)
    point = {z1: 0.3, z2: 1.1, z3: 2.0, T: 1.7}
    values = np.array([[0.3, 1.1, 2.0]])
    p = kd.softmax(values, 1.7)
    for k in range(3):
        symbolic = [float(sympy.diff(sympy.exp(z[k] / T) / total, v).subs(point)) for v in z]
        unit = np.eye(3)[[k]]
        np.testing.assert_allclose(kd.softmax_backward(p, unit, 1.7)[0], symbolic, rtol=1e-12)


def test_masked_and_extreme_rows():
    z = np.array([[-np.inf, 3.0, -np.inf], [1e4, -1e4, 0.0], [1e308, 1e308, -1e307]])
    p = kd.softmax(z)
    np.testing.assert_allclose(p, [[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(kd.log_softmax(z[:2])[0], [-np.inf, 0, -np.inf])
    assert kd.log_softmax(z[:2])[1, 1] == -2e4
    np.testing.assert_array_equal(kd.softmax(np.array([[0.1, 0.2]]), 1e-8), [[0, 1]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(dtype):
    z = np.array([[6e4, 1.0, -6e4]]).astype(dtype)
    assert kd.softmax(z, 2.0).dtype == kd.log_softmax(z, 2.0).dtype == dtype
    assert np.isfinite(kd.softmax(z)).all()


def test_half_precision_sums_seventy_thousand_classes():
    p = kd.softmax(np.zeros((1, 70_000), np.float16))
    assert abs(float(p.astype(np.float64).sum()) - 1) < 0.05


@pytest.mark.parametrize("T", [0, -1, float("nan"), float("inf"), [1.0], np.array([1.0]), "2", None])
def test_bad_temperatures(T):
    with pytest.raises(ValueError, match="T must be one positive finite number"):
        kd.softmax(np.zeros((1, 2)), T)


def test_a_zero_dimensional_temperature_will_do():
    assert check_temperature(np.array(2.0)) == 2.0
    assert check_temperature(np.float32(2)) == 2.0


def test_one_hot():
    np.testing.assert_array_equal(kd.one_hot(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("dtype, tolerance", [("float32", 5e-6), ("float64", 1e-11)])
def test_expm1_residual_keeps_its_digits(dtype, tolerance):
    d = np.concatenate([np.geomspace(1e-12, 5, 200), -np.geomspace(1e-12, 5, 200)]).astype(dtype)
    exact = [float(sympy.exp(sympy.Rational(float(v))).evalf(60) - 1 - sympy.Rational(float(v))) for v in d[::20]]
    np.testing.assert_allclose(expm1_residual(d)[::20], exact, rtol=tolerance)


def test_same_on_every_backend(backend, rng):
    z = rng.normal(size=(4, 3)).astype(np.float32)
    for f in (kd.softmax, kd.log_softmax):
        np.testing.assert_allclose(kd.to_numpy(f(backend.put(z), 3.0)), f(z, 3.0), rtol=1e-6)


@pytest.mark.parametrize(
    "shape", [(5, 3), (64, 64), (64, 65), (30_000, 10), (130, 3000), (0, 4), (7,), (1000,), (4, 5, 6), (200, 5, 6)]
)
def test_softmax_takes_blocks_and_layouts_without_a_trace(shape, rng):
    """Blocks of rows and the class-major layout are for speed alone."""
    z = 3 * rng.standard_normal(shape)
    e = np.exp(z / 2.5)
    for laid_out in (z, np.asfortranarray(z)):
        before, p = laid_out.copy(), kd.softmax(laid_out, 2.5)
        np.testing.assert_allclose(p, e / e.sum(axis=-1, keepdims=True), rtol=1e-13)
        np.testing.assert_array_equal(laid_out, before)
        assert p.shape == shape and p.dtype == z.dtype


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3), (3, 1), (0, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_entry_of_each_row(shape, dtype):
    z = np.random.default_rng(0).normal(size=shape).astype(dtype)
    for k, odd in enumerate((np.nan, np.inf, -np.inf)):
        z.reshape(-1)[k * shape[-1] : k * shape[-1] + 1] = odd
    z[..., -1:, :] = z[..., -1:, :1]  # ties
    for laid_out in (z, z[::-1], np.asfortranarray(z), z[..., ::-1]):
        np.testing.assert_array_equal(largest(laid_out), laid_out.max(axis=-1, keepdims=True))
