"""Softmax with temperature, its logarithm, and their vector-Jacobian products.

Letters: N rows, K classes, T temperature, `z` logits (N, K), `p` probabilities (N, K). A name
that starts with `d` is the derivative of a scalar loss with respect to what follows: `dz` is
dL/dz and has the shape of `z`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, as_array
from kdlearn.checks import check_count, check_temperature

BLOCK = 1 << 17  # numbers that softmax takes at a time: what stays in the cache is read once
FEW = 64  # classes; and rows beside which a block of many classes would be all call


def as_real(a: Any, name: str) -> Array:
    """An array as this package computes with it: float16 as float32, whole numbers and booleans as float64.

    TypeError for what is no array, holds no real numbers or has masked entries: each would be a wrong number
    without a word. A `np.matrix` counts as the array that it is.
    """
    if type(a) is not np.ndarray and isinstance(a, np.ndarray):
        a = _plain(a, name)
    try:
        dtype = a.dtype
        kind = dtype.kind
    except AttributeError:
        raise TypeError(f"{name} must be a numpy or cupy array, got {type(a).__name__}") from None
    if kind == "f":
        return a.astype("float32") if dtype.itemsize < 4 else a
    if kind in "iub":
        return a.astype("float64")
    raise TypeError(f"{name} must hold real numbers, got {dtype}")


def _plain(a: Any, name: str) -> Array:
    try:
        return as_array(a)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def plain_arrays(given: Sequence[Any], names: Sequence[str]) -> tuple[Any, ...]:
    """What a caller gave, with plain arrays in the place of a matrix or of an array without masked entries."""
    for a in given:
        if type(a) is not np.ndarray and isinstance(a, np.ndarray):
            return tuple(_plain(a, name) if isinstance(a, np.ndarray) else a for a, name in zip(given, names))
    return tuple(given)  # by far the most frequent case


def real_dtype(a: Array) -> Any:
    """The precision of what is computed of `a` and given back: its own, float64 where that is of whole numbers."""
    return a.dtype if a.dtype.kind == "f" else np.dtype("float64")


def softmax_parts(z: Array, T: float = 1.0) -> tuple[Array, Array, Array]:
    """`(u, p, c)` of a row-wise softmax: shifted logits, probabilities, log normaliser.

    With `u = (z - max z) / T` and `c = log sum exp u`, both `p = exp(u - c)` and `log p = u - c`
    come without overflow. Shapes: u and p (N, K), c (N, 1).
    """
    xp = array_module(z)
    z = class_major(z)
    u = z - largest(z)
    if T != 1.0:
        u /= T
    p = xp.exp(u)
    total = p.sum(axis=-1, keepdims=True)
    p /= total
    return u, p, xp.log(total)


def softmax(z: Array, T: float = 1.0) -> Array:
    r"""Class probabilities of logits, softened by a temperature `[functional.1]`.

    .. math:: p_k = \frac{e^{z_k/T}}{\sum_j e^{z_j/T}}

    Parameters
    ----------
    z : (N, K) logits; an entry of -inf is a masked class and gets p = 0.
    T : temperature, > 0. T -> 0 is the arg max, T = 1 the network's own belief, T -> inf uniform.

    Returns
    -------
    (N, K) probabilities, each row summing to one; the dtype of `z`, float64 where that is of whole numbers.

    Source: Hinton, Vinyals and Dean 2015, equation 1.
    """
    T, given = check_temperature(T), z
    z = as_real(z, "z")
    if z is not given:
        return softmax(z, T).astype(real_dtype(given), copy=False)
    if z.ndim == 1:
        return softmax(z[None], T)[0]
    xp = array_module(z)
    out = xp.empty_like(z)
    rows = max(FEW, BLOCK // max(1, z.shape[-1]))
    for i in range(0, len(z), rows):
        p = class_major(z[i : i + rows])
        p = p - largest(p)
        if T != 1.0:
            p /= T
        xp.exp(p, out=p)
        p /= p.sum(axis=-1, keepdims=True)
        out[i : i + rows] = p
    return out


def class_major(z: Array) -> Array:
    """Many rows (…, N, K) of few classes, laid out class by class: a sum over classes then runs over all rows."""
    few = z.ndim > 1 and z.shape[-1] <= FEW <= z.shape[-2]
    return array_module(z).ascontiguousarray(z.mT).mT if few else z


def largest(z: Array) -> Array:
    """The largest entry of each row of z (…, K), as (…, 1); NumPy finds its place faster than the number itself."""
    if array_module(z) is np and z.flags.c_contiguous:
        at = z.argmax(axis=-1, keepdims=True)
        at += np.arange(0, z.size, z.shape[-1]).reshape(at.shape)
        return z.take(at)
    return z.max(axis=-1, keepdims=True)


def log_softmax(z: Array, T: float = 1.0) -> Array:
    r"""Logarithm of `softmax(z, T)`, exact where the probability itself underflows `[functional.2]`.

    .. math:: \log p_k = \frac{z_k - m}{T} - \log \sum_j e^{(z_j - m)/T}, \qquad m = \max_j z_j

    Shapes as in `softmax`.
    """
    T, given = check_temperature(T), z
    z = as_real(z, "z")
    if z is not given:
        return log_softmax(z, T).astype(real_dtype(given), copy=False)
    u, _, c = softmax_parts(z, T)
    u -= c
    return u


def softmax_backward(p: Array, dp: Array, T: float = 1.0) -> Array:
    r"""Vector-Jacobian product of `softmax` `[functional.3]`.

    .. math:: \frac{\partial L}{\partial z_k} = \frac{p_k}{T}
              \Big(\frac{\partial L}{\partial p_k} - \sum_j p_j \frac{\partial L}{\partial p_j}\Big)

    Parameters
    ----------
    p : (N, K) output of `softmax(z, T)`.
    dp : (N, K) gradient with respect to `p`.
    """
    return p * (dp - (p * dp).sum(axis=-1, keepdims=True)) / T


def log_softmax_backward(p: Array, dlogp: Array, T: float = 1.0) -> Array:
    r"""Vector-Jacobian product of `log_softmax` `[functional.4]`.

    .. math:: \frac{\partial L}{\partial z_k} = \frac{1}{T}
              \Big(\frac{\partial L}{\partial \log p_k} - p_k \sum_j \frac{\partial L}{\partial \log p_j}\Big)

    Parameters
    ----------
    p : (N, K) output of `softmax(z, T)`.
    dlogp : (N, K) gradient with respect to `log p`.
    """
    return (dlogp - p * dlogp.sum(axis=-1, keepdims=True)) / T


def at_label(z: Array, y: Array) -> Array:
    """`z[n, y[n]]` of each row of z (N, K): (N,); a label outside 0 … K-1 was refused before (`checks.check_labels`).

    On a GPU, where a refusal would have to wait for the device, the row of such a label is NaN.
    """
    xp, N = array_module(z, y), z.shape[0]
    if xp is np:
        return z[np.arange(N), y]
    inside = (y >= 0) & (y < z.shape[1])
    return xp.where(inside, z[xp.arange(N), xp.where(inside, y, 0)], xp.nan)


def less_at_label(p: Array, y: Array, amount: float) -> Array:
    """`p[n, y[n]] -= amount` in each row of p (N, K), in place; a label outside 0 … K-1 must have been refused."""
    xp = array_module(p, y)
    if xp is np:
        p[np.arange(len(y)), y] -= amount
    else:  # by comparison: an index that is out of range would wrap around
        p -= amount * one_hot(y, p.shape[1], p.dtype)
    return p


def one_hot(y: Array, K: int, dtype: str = "float32") -> Array:
    """Labels (N,) as rows of the identity (N, K); of any other shape, with one more axis.

    Built by comparison: on a GPU an indexed assignment would wrap a label that is out of range
    instead of raising. Such a label gives a row of zeros here; `fit` rejects it before.
    """
    xp = array_module(y)
    if y.dtype.kind not in "iu":
        raise ValueError(f"y must hold integer class labels, got {y.dtype}")
    check_count("K", K)
    return (y[..., None] == xp.arange(K)).astype(dtype)


def expm1_residual(d: Array) -> Array:
    r""":math:`e^d - 1 - d`, where the subtraction would cancel by a series `[functional.5]`.

    Near zero it is the series :math:`d^2(1/2 + d/6 + d^2/24)`. The threshold balances the series'
    first missing term, :math:`d^3/60`, against the rounding of the subtraction, :math:`2\epsilon/d`.
    There the relative error is largest: about 1e-12 in double precision, 4e-6 in single.
    """
    xp = array_module(d)
    small = xp.abs(d) < (120 * float(xp.finfo(d.dtype).eps)) ** 0.25
    s = xp.where(small, d, 0)
    return xp.where(small, s * s * (0.5 + s * (1 / 6 + s / 24)), xp.expm1(d) - d)
