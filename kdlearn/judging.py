"""What a learner's function returned, held to what is right: a `Verdict` names the idea that is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.ideas import Case, name_gradient, name_output, name_value, same, share
from kdlearn.learner import Verdict, call


def results(found: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """What a function returned, as a tuple with one entry for each of the names."""
    if len(names) == 1:
        return (found,)
    if not isinstance(found, (tuple, list)) or len(found) != len(names):
        things = f"{len(found)} thing{'s' * (len(found) != 1)}" if isinstance(found, (tuple, list)) else ""
        many = things or f"one {type(found).__name__}"
        raise Verdict("", f"it returns {many}; it must return ({', '.join(names)})")
    if names[0] == "value" and np.ndim(found[0]) and isinstance(found[1], (float, np.floating, int)):
        raise Verdict("the order", f"Return ({', '.join(names)}), the value first.")
    return tuple(found)


def number(found: Any, case: Case) -> float:
    """The value of a loss as a number; a Verdict, where it is none."""
    if np.ndim(found) and np.shape(found) in (case.z.shape[:1], case.z.shape):
        raise Verdict("the mean", f"Your value has shape {np.shape(found)}: a loss is one number, the mean over rows.")
    return float(array(found, (), "your value"))


def array(found: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """`found` as an array of float64 and of this shape; a Verdict, where it is none or not finite."""
    if found is None or found is ...:
        raise Verdict("", f"{what} is not written yet")
    try:
        a = np.asarray(found)
        if a.dtype.kind not in "biuf":
            raise TypeError
        a = a.astype(np.float64)
    except (TypeError, ValueError):
        kind = "an array of numbers" if shape else "a number"
        raise Verdict("", f"{what} must be {kind}, it is of type {type(found).__name__}") from None
    if a.shape != shape:
        if len(shape) == 2 and a.shape == shape[::-1]:
            raise Verdict("a transpose", f"{_start(what)} has shape {a.shape}, it must have {shape}.")
        raise Verdict("", f"{what} has shape {a.shape}, it must have {shape}")
    if not np.isfinite(a).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(a))[0]]
        raise Verdict("", f"{what}{where or ''} is {a[tuple(where)]}")
    return a


def judge(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    places: Sequence[Sequence[Any]],
    names: Sequence[str],
    slips: Mapping[str, Callable[..., Any]],
    case: Case,
    praise: str = "The gradient is right.",
) -> None:
    """A Verdict, where `function(*place)` is not `reference(*place)` at each of the places.

    `names` are those of the results; a first one that is called "value" is a number. `slips` are wrong functions by
    the idea that they lack. `case` is the first place. `praise` follows where the value alone is wrong.
    """
    found = [results(call(function, *place), names) for place in places]
    right = [results(reference(*place), names) for place in places]
    if _fit(found, right):
        return
    for idea, slip in slips.items():
        if _fit(found, [results(slip(*place), names) for place in places]):
            raise Verdict(*idea.split(": ", 1))
    arrays: Verdict | None = None
    start = 1 if names[0] == "value" else 0
    got, expected = (np.array([number(r[0], case) for r in rows] if start else []) for rows in (found, right))
    try:
        for one, other in zip(found, right):
            for name, a, b in list(zip(names, one, other))[start:]:
                hold(a, b, "your gradient" if name == "gradient" else name, case)
    except Verdict as verdict:
        arrays = verdict
    if not same(got, expected):
        idea, hint = name_value(got, expected, case)
        if idea or arrays is None or not arrays.review.idea:  # or else the gradient says what both lack
            raise Verdict(idea, hint + (f" {praise}" if arrays is None and len(names) == 2 else ""))
    if arrays is not None:
        raise arrays


def _fit(found: Sequence[tuple[Any, ...]], others: Sequence[tuple[Any, ...]]) -> bool:
    """Whether all results at all places are the same, NaN included."""
    for a, b in (pair for place in zip(found, others) for pair in zip(*place)):
        try:
            if np.asarray(a).dtype.kind not in "biuf":  # float("0.5") would do
                return False
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        except (TypeError, ValueError):
            return False
        alike = a.shape == b.shape and np.array_equal(np.isnan(a), np.isnan(b))
        if not alike or not same(np.nan_to_num(a), np.nan_to_num(b)):
            return False
    return True


def hold(found: Any, expected: np.ndarray, what: str, case: Case) -> None:
    """A Verdict, with the idea that is missing, where `found` is not the array `expected`."""
    expected = np.asarray(expected, np.float64)
    got = array(found, expected.shape, what)
    if same(got, expected):
        return
    if got.ndim == 2 and got.shape == got.T.shape and same(got.T, expected):
        raise Verdict("a transpose", f"{_start(what)} is right, but for rows and columns.")
    got, expected = np.atleast_1d(got), np.atleast_1d(expected)
    gradient = what.startswith("d") or "gradient" in what
    if idea := name_gradient(got, expected, case) if gradient else name_output(got, expected, case):
        raise Verdict(idea[0], idea[1].replace("your gradient", what).replace("Your gradient", _start(what)))
    wrong = np.abs(got - expected) > 1e-6 * np.abs(expected).max(initial=0.0)
    at = np.unravel_index(int(np.abs(got - expected).argmax()), got.shape)
    place = f"{what}{[int(i) for i in at] if got.size > 1 else ''}"
    raise Verdict(
        "",
        f"{place} is {got[at]:.6g}, it must be {expected[at]:.6g}; {share(wrong)} wrong",
    )


def _start(what: str) -> str:
    return what.replace("your ", "Your ")  # dW stays dW
