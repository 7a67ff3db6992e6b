"""Central differences, and what differs from them.

    (f(x + h) - f(x - h)) / 2h  =  f'(x) + O(h²)

asks a function only for its value, so it is an independent witness against any hand-written derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.checks import check_size
from kdlearn.ideas import CLOSE, common_factor, share

STEP = 1e-5  # the error is about STEP² from the curve and 1e-16/STEP from rounding
STEPS = (STEP, 1e-3, 0.1, 10.0)  # what rounding adds to a slope falls with the step
TOLERANCE = 1e-7
SEEN = 1e-3  # of the largest slope: where rounding may be more, slopes show nothing
ZERO = 1e-13  # a gradient that is no larger is 0, but for its own rounding
NOISE = 16 * np.finfo(float).eps / STEP  # 4e-10, of a value of about 1: what is left where the derivative is 0


class GradientError(AssertionError):
    """A gradient that is not the derivative of its value."""


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = STEP) -> np.ndarray:
    """Central differences of the scalar function f at x, entry by entry; the shape of x."""
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + step
        above = _number(f(x.copy()))  # whatever f does to it
        x[i] = kept - step
        gradient[i] = (above - _number(f(x.copy()))) / (2 * step)
        x[i] = kept
    return gradient


def _number(value: Any) -> float:
    """A loss's value as a float; GradientError where it is an array, or rounded to float32."""
    if np.ndim(value):
        raise GradientError(f"the value has shape {np.shape(value)}; it must be one number")
    if getattr(value, "dtype", None) == np.float32:
        raise GradientError("the value is in float32, too rough for central differences: keep the dtype of z")
    return float(value)


def own_numbers() -> np.random.Generator:
    """Random numbers of the checks alone: those of `default_rng(0)` may be the arrays that are checked."""
    return np.random.default_rng(list(b"kdlearn.gradcheck"))


def compare_gradients(
    got: Array, expected: Array, name: str = "gradient", tolerance: float = TOLERANCE, value: Any = 1.0
) -> float:
    """Largest |got - expected| relative to the largest |expected|; GradientError above `tolerance`.

    `value` is that of the function: what rounding makes of it, `NOISE` times its size or 1, no difference can show.
    """
    check_size("tolerance", tolerance, zero=False)
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise GradientError(f"{name} has shape {got.shape}, what it differentiates has shape {expected.shape}")
    if not np.isfinite(got).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(got))[0])
        raise GradientError(f"{name}{list(where)} is {got[where]}")
    if not np.isfinite(expected).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(expected))[0])
        raise GradientError(f"the value is not finite near {name}{list(where)}: it has no derivative there")
    if got.size == 0:
        return 0.0
    noise = NOISE * max(1.0, abs(float(value)))
    scale = max(float(np.abs(expected).max()), noise / tolerance)
    difference = np.abs(got - expected) / scale
    worst = np.unravel_index(int(difference.argmax()), difference.shape)
    error = float(difference[worst])
    if error > tolerance:
        raise GradientError(
            f"{name}{[int(i) for i in worst]} is {got[worst]:.6g}, central differences say {expected[worst]:.6g}; "
            + _diagnosis(got, expected, noise, tolerance)
        )
    return error


def hold_gradient(
    got: Array,
    numerical: Callable[[float], np.ndarray],
    name: str = "gradient",
    tolerance: float = TOLERANCE,
    value: Any = 1.0,
) -> float:
    """Largest |got - slope| relative to the largest slope, or to 4e-3 where all are smaller; what `numerical` says.

    Slopes are those of `STEP`, and, before a gradient is called wrong, without their error h²: where the gradient is 0
    that is all they are. Where the value is so large that rounding hides more of them, they are those of a longer step.
    GradientError for a gradient that is wrong, and where no step shows a thousandth of the largest slope.
    """
    expected = numerical(STEP)
    size = abs(float(value))
    if np.shape(got) != expected.shape or not (np.isfinite(got).all() and np.isfinite(expected).all()):
        return compare_gradients(got, expected, name, tolerance)
    if size <= 1 and np.abs([got, expected]).max(initial=0.0) <= NOISE:
        _hold_tiny(np.asarray(got), numerical, name)
    wrong = None
    if size <= 1 or NOISE * size <= SEEN * np.abs(expected).max(initial=0.0):
        try:
            return compare_gradients(got, expected, name, tolerance)
        except GradientError as error:
            wrong = error
        straight = (4 * expected - numerical(2 * STEP)) / 3
        try:
            return compare_gradients(got, straight, name, tolerance)
        except GradientError:
            if size <= 1:
                raise wrong from None
    slopes, times = _slopes(numerical, size, tolerance)
    largest, noise = float(np.abs(slopes).max(initial=0.0)), NOISE * size / times
    if noise <= SEEN * largest:
        compare_gradients(got, slopes, name, tolerance, size / times)
        return float(np.abs(got - slopes).max()) / largest
    if wrong is not None:
        raise wrong
    if not largest <= noise <= SEEN or NOISE < np.abs(got).max(initial=0.0) <= noise:
        raise GradientError(
            f"the value is {float(value):.3g}, so large that rounding hides how it changes, and nothing can be said of "
            f"the {name.strip()}: take the constant part away from the value, or check where z has an ordinary size"
        )
    if ZERO < np.abs(got).max(initial=0.0) <= NOISE:
        raise GradientError(_too_small(name))
    return compare_gradients(got, slopes, name, tolerance, size / times)


def _hold_tiny(got: np.ndarray, numerical: Callable[[float], np.ndarray], name: str) -> None:
    """GradientError for slopes and a gradient below `NOISE`, unless both are 0, or the slopes are seen and the same.

    Slopes that stay when the step is doubled are no rounding, however small they are.
    """
    slopes, _ = _slopes(numerical, 0.0, CLOSE / 10)
    largest = float(np.abs(slopes).max(initial=0.0))
    if largest > 0:
        wrong = np.abs(got - slopes) > CLOSE * largest
        if wrong.any() and largest > ZERO:
            factor = common_factor(got / largest, slopes / largest)
            told = f"{share(wrong)} wrong" if factor is None else f"every entry is off by the same factor {factor:.6g}"
            at = np.unravel_index(int(np.abs(got - slopes).argmax()), got.shape)
            place = f"{name}{[int(i) for i in at]}"
            raise GradientError(f"{place} is {got[at]:.6g}, central differences say {slopes[at]:.6g}; {told}")
        if not wrong.any():
            return
    if np.abs(got).max(initial=0.0) > ZERO:
        raise GradientError(_too_small(name))


def _too_small(name: str) -> str:
    return (
        f"slopes and {name.strip()} are below {NOISE:.0g}, lost in rounding: nothing can be said; make the loss larger"
    )


def _slopes(numerical: Callable[[float], np.ndarray], size: float, tolerance: float) -> tuple[np.ndarray, float]:
    """`(slopes without their error h², times)`: of a step, `times` STEP, at which they stay when it is doubled.

    Of the first where rounding leaves `tolerance` of the largest, else of the longest; NaN where they stay at none.
    """
    best, times = np.array(np.nan), 1.0
    for step in STEPS:
        try:
            with np.errstate(all="ignore"):
                a, b, c = (numerical(h * step) for h in (1, 2, 4))
        except Exception:
            break  # so far away there may be no value
        near, far, noise = (4 * a - b) / 3, (4 * b - c) / 3, NOISE * size * STEP / step
        enough = tolerance * float(np.abs(near).max(initial=0.0))
        if np.abs(near - far).max(initial=0.0) <= max(enough, noise):
            best, times = near, step / STEP
            if noise <= enough:
                break
    return best, times


def _diagnosis(got: np.ndarray, expected: np.ndarray, noise: float, tolerance: float) -> str:
    scale = float(np.abs(expected).max())
    wrong = np.abs(got - expected) > max(tolerance * scale, noise)
    if not got.any():
        return "every entry is zero"
    if scale <= noise:
        return "the value does not change there, but the gradient is not zero"
    if (factor := common_factor(got, expected)) is not None:
        return f"every entry is off by the same factor {factor:.6g}"
    if got.ndim == 2 and (np.abs(expected) > 1e-3 * scale).all():
        by_row = got / expected
        if np.abs(by_row - by_row[:, :1]).max() < 1e-4 * np.abs(by_row).max():
            return f"each row is off by a factor of its own, the first by {by_row[0, 0]:.6g}"
    shift = got - expected
    if np.abs(shift - shift.flat[0]).max() < 1e-4 * np.abs(shift).max():
        return f"every entry is off by the same amount {shift.flat[0]:.6g}"
    return f"{share(wrong)} wrong"
