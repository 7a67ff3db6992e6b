"""A learner's own loss, judged in one sentence: its value and its gradient, held to central differences."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.differences import NOISE, STEP, STEPS, numerical_gradient, own_numbers
from kdlearn.ideas import CLOSE, Case, Review
from kdlearn.judging import array, judge, number, results
from kdlearn.learner import Verdict, call, reviewed

LOSS = ("value", "gradient")
SHARP = 1e-3  # of the largest slope: by less the two sides of a kink do not differ
LEAST = 1e-12  # slopes below it are not told apart


def review(
    loss: Callable[..., Any],
    z: Array,
    *others: Any,
    reference: Callable[..., Any] | float | None = None,
    slips: Mapping[str, Callable[..., Any]] | None = None,
    **settings: Any,
) -> Review:
    """What is right or missing in a loss of a learner's own, as one sentence; never an exception.

    Both the value and the gradient of `loss(z, *others, **settings) -> (value, gradient)` are judged, and a
    loss that is zero is refused.

    Parameters
    ----------
    loss : the learner's function; whatever it does is part of the verdict.
    z : (N, K), or any shape: the place to judge at. Ideas can be told apart where N, K, T, T² and 2 differ.
    others, settings : further arguments. Vectors of integers are taken for labels, or for positions of rows,
        other vectors (N,) for weights or a mask.
    reference : the right loss, or its value at z. Without one the gradient is held to the learner's own value.
        One that has no finite value at z, or next to it, is named as the one at fault. Where it has one at 1000 z,
        yours must have one, too. It is also asked around z: with the signs of z where all are one, between 0 and 1
        where z is, and not where the right loss has no finite value or bends too sharply.
    slips : {name of an idea: the loss without it}, for mistakes that leave no general trace.

    Where the value has a kink, as max(0, x) at 0, every slope between those of its two sides is right.

    Returns
    -------
    Review : true if all is right; its text is "right", or names the idea.

    Example
    -------
    >>> from kdlearn.distill.response import cross_entropy
    >>> z, y = np.array([[1.0, -0.5, 0.2], [0.3, 0.1, 0.9]]), np.array([2, 0])
    >>> def mine(z, y):
    ...     value, gradient = cross_entropy(z, y)
    ...     return value, -gradient
    >>> review(mine, z, y, reference=cross_entropy)
    missing: a sign. Your gradient has the opposite sign: plus and minus are exchanged.
    """
    return reviewed(lambda: _review(loss, z, others, settings, reference, slips or {}))


def _review(
    loss: Callable[..., Any], z: Array, others: Any, settings: Any, reference: Any, slips: Mapping[str, Callable]
) -> None:
    z = np.array(z, dtype=np.float64)
    case = Case(np.atleast_1d(z), _temperature(loss, z, others, settings), (*others, *settings.values()))
    own = not callable(reference)  # held to its own value
    truth: Callable = loss if own else reference
    rng = own_numbers()
    near = [_near(z, rng) for _ in range(3)]

    def outcome(f: Callable) -> Callable:
        return lambda x: results(call(f, x, *others, **settings), LOSS)

    def value(x: np.ndarray) -> float:
        return number(outcome(truth)(x)[0], case) if own else _of_reference(lambda: outcome(truth)(x)[0], case)

    known = None if not own or reference is None else _of_reference(lambda: reference, case)
    first, (slope, step, error) = outcome(loss)(z)[0], _slope(value, z)

    if own and number(first, case) != value(z):
        raise Verdict("", "the same arguments give another value each time")
    if own and np.asarray(first).dtype == np.float32:
        raise Verdict("", "the value is in float32, too rough for central differences: keep the dtype of z")
    largest, size = float(np.abs(slope).max(initial=0.0)), max(1.0, abs(value(z)))
    if largest == 0 or (error > 1e-3 and largest <= NOISE * size):
        if not own or any(_has_value(value, x) and abs(value(x) - value(z)) > NOISE * size for x in near):
            raise Verdict("", "nothing can be said here: the true gradient is zero at this place, or lost in rounding")
        never = "never changes." if largest == 0 else "never changes by more than rounding."
        raise Verdict("the loss", "Your value is zero." if value(z) == 0 else f"Your value {never}")
    if error > CLOSE:
        raise Verdict("", "nothing can be said here: the value bends too sharply, or rounding hides how it changes")
    if largest < LEAST:
        raise Verdict("", f"the true gradient is {largest:.1g} at most, too little to judge: make the loss larger")
    asked: list[tuple[np.ndarray, tuple[float, np.ndarray]]] = [(z, (value(z) if known is None else known, slope))]
    for x in near if known is None else ():
        with contextlib.suppress(Verdict):  # no value there, or next to it: nothing is asked
            there, other = (numerical_gradient(value, x, h) for h in (step, 2 * step))
            if np.abs(there - other).max(initial=0.0) <= CLOSE * np.abs(there).max(initial=0.0):
                asked.append((x, (value(x), there)))
    places = [(x,) for x, _ in asked]

    def right(x: np.ndarray) -> tuple[float, np.ndarray]:
        return next(answer for place, answer in asked if place is x)

    wrong = {idea: outcome(slip) for idea, slip in slips.items()}
    praise = "The gradient is that of your value." if own else "The gradient is right."
    try:
        judge(outcome(loss), right, places, LOSS, wrong, case, praise)
    except Verdict:
        low, high, kinks = _sides(value, z, step)
        if not kinks.any():
            raise
        mine = array(outcome(loss)(z)[1], z.shape, "your gradient")
        held = np.where(kinks, np.clip(mine, low, high), slope)
        asked[0] = (z, (asked[0][1][0], held))
        judge(outcome(loss), right, places, LOSS, wrong, case, praise)
    if not own and _has_value(value, 1000 * z):
        large = outcome(loss)(1000 * z)
        for name, part in zip(LOSS, large):
            if not np.isfinite(part).all():
                hint = f"Yours has no finite {name} for logits of a thousand: take each row's maximum away before exp"
                what = "." if name == "gradient" else ", and write log p as what is left minus log(sum of exp)."
                raise Verdict("large numbers", hint + what)


def _near(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another place around z; positive numbers stay positive there, and probabilities between 0 and 1."""
    if not z.any() or z.min() < 0 < z.max():
        return np.asarray(z + rng.normal(0, 0.5, z.shape))
    factor = rng.uniform(0.6, 1.6, z.shape)
    zero = 0.1 * factor * (1 if z.max() > 0 else -1)
    return np.where(z == 0, zero, np.abs(z) ** factor if z.min() >= 0 and z.max() <= 1 else z * factor)


def _of_reference(found: Callable[[], Any], case: Case) -> float:
    """The value of a reference; a Verdict that blames it, not the learner, where it has none."""
    try:
        return number(found(), case)
    except Verdict as verdict:
        told = verdict.review.hint.replace("your value", "its value").replace("Your value", "Its value")
        raise Verdict("", f"the reference is at fault, not your function: {told}") from None


def _has_value(value: Callable[[np.ndarray], float], x: np.ndarray) -> bool:
    """Whether a loss has a finite value at x; where not, nothing is asked there."""
    try:
        return bool(np.isfinite(value(x)))
    except Verdict:
        return False


def _sides(
    value: Callable[[np.ndarray], float], z: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The smaller and the larger slope of the two sides of each entry of z, and where they are those of a kink.

    What is between them at a curve falls with the step, at a kink it stays.
    """
    here, gaps = value(z), []
    low, high = np.empty_like(z), np.empty_like(z)
    for h in (2 * step, step):
        for i in np.ndindex(z.shape):
            below, above = z.copy(), z.copy()
            below[i], above[i] = z[i] - h, z[i] + h
            low[i], high[i] = sorted(((here - value(below)) / h, (value(above) - here) / h))
        gaps.append(high - low)
    largest = float(np.abs([low, high]).max(initial=0.0))
    return low, high, (gaps[1] > SHARP * largest) & (gaps[0] < 1.5 * gaps[1])


def _slope(value: Callable[[np.ndarray], float], z: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Central differences at z with the first of `STEPS` whose slopes stay when it is doubled.

    `(slopes, step, error)`; the error is relative to the largest slope. Where none stay: slopes of `STEP`, least error.
    """
    found: list[tuple[np.ndarray, float, float]] = []
    for step in STEPS:
        try:
            slope, other = (numerical_gradient(value, z, h) for h in (step, 2 * step))
        except Verdict:
            if not found:
                raise
            break  # so far from z there may be no value
        largest = float(np.abs([slope, other]).max(initial=0.0))
        error = float(np.abs(slope - other).max(initial=0.0)) / (largest or 1.0)
        found.append((slope, step, error))
        if error < CLOSE / 10:
            break
    best = min(found, key=lambda of: of[2])
    return best if best[2] <= CLOSE else (found[0][0], STEP, best[2])


def _temperature(loss: Callable[..., Any], *arguments: Any) -> float:
    """The argument T, or temperature, of a call; 1 where there is none."""
    z, others, settings = arguments
    try:
        bound = inspect.signature(loss).bind(z, *others, **settings)
        bound.apply_defaults()
        named = bound.arguments
    except (TypeError, ValueError):
        named = settings
    found = [named[name] for name in ("T", "temperature", "tau") if isinstance(named.get(name), (int, float))]
    return float(found[0]) if found and found[0] > 0 else 1.0
