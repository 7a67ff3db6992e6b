"""Calling a function that somebody is still learning to write, and saying what came back.

Whatever the function does, a traceback is no answer to a learner. `call` and `array` turn exceptions, missing
results, wrong shapes, NaN and changed arguments into a `Verdict`, which carries one sentence. `judge` holds what
came back to what is right.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.ideas import Case, Review, name_gradient, name_value, same

UNWRITTEN = Review(False, "", "not written yet")


class Verdict(Exception):
    """A review, from wherever it was found."""

    def __init__(self, idea: str, hint: str = "") -> None:
        super().__init__(hint)
        self.review = Review(False, idea, hint)


class TooLong(BaseException):
    """No Exception, so that a learner's `except Exception` does not catch it."""


def reviewed(check: Callable[[], Any], seconds: float | None = None) -> Review:
    """Right, if `check()` returns; the verdict that it raises, otherwise. No other exception leaves, and no warning."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(), limited(seconds):
            warnings.simplefilter("ignore")
            check()
    except Verdict as verdict:
        return verdict.review
    except TooLong:
        return Review(False, "an end", f"It was stopped after {seconds:g} seconds.")
    except Exception as error:
        return Review(False, "", f"this cannot be checked: {_words(error)}")
    return Review(True)


@contextlib.contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """TooLong after so many seconds, where the system has alarms; None for no limit."""
    alarms = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if seconds is None or not alarms:
        yield
        return

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)  # again and again, should a bare except catch it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def call(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """What `function` returns for copies of the arguments; a Verdict where it stops, or changes them."""
    given = copy.deepcopy(arguments)
    try:
        result = function(*given, **settings)
    except (KeyboardInterrupt, Verdict, TooLong):
        raise
    except NotImplementedError:
        raise Verdict("", UNWRITTEN.hint) from None
    except RecursionError:
        raise Verdict("an end", f"It calls itself without end{_line(function)}.") from None
    except BaseException as error:  # also SystemExit
        raise Verdict("", f"it stops with {_words(error)}{_line(function, error)}") from None
    if result is None or result is ...:
        raise Verdict("", f"{UNWRITTEN.hint}: it returns nothing")
    for i, (before, after) in enumerate(zip(arguments, given)):
        if not _unchanged(before, after):
            name = _parameter(function, i)
            other = f"write {name} = {name} - …, not {name} -= …."
            way = other if isinstance(before, np.ndarray) else "work on a copy."
            raise Verdict("a copy", f"It changes its argument {name}: {way}")
    return result


def results(found: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """What a function returned, as a tuple with one entry for each of the names."""
    if len(names) == 1:
        return (found,)
    if not isinstance(found, (tuple, list)) or len(found) != len(names):
        many = f"{len(found)} things" if isinstance(found, (tuple, list)) else f"one {type(found).__name__}"
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
        raise Verdict("", f"{what} must be an array of numbers, it is of type {type(found).__name__}") from None
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
    fits = [[_fit(a, b) for a, b in zip(*pair)] for pair in zip(found, right)]
    if all(map(all, fits)):
        return
    for idea, slip in slips.items():
        wrong = [results(slip(*place), names) for place in places]
        if all(_fit(a, b) for pair in zip(found, wrong) for a, b in zip(*pair)):
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


def _fit(a: Any, b: Any) -> bool:
    """Whether two results are one, NaN included."""
    with contextlib.suppress(TypeError, ValueError):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if a.shape == b.shape and np.array_equal(np.isnan(a), np.isnan(b)):
            return same(np.nan_to_num(a), np.nan_to_num(b))
    return False


def hold(found: Any, expected: np.ndarray, what: str, case: Case | None = None) -> None:
    """A Verdict, with the idea that is missing, where `found` is not the array `expected`."""
    expected = np.asarray(expected, np.float64)
    got = array(found, expected.shape, what)
    if same(got, expected):
        return
    if got.ndim == 2 and got.shape == got.T.shape and same(got.T, expected):
        raise Verdict("a transpose", f"{_start(what)} is right, but for rows and columns.")
    got, expected = np.atleast_1d(got), np.atleast_1d(expected)
    if idea := name_gradient(got, expected, case or Case(expected)):
        raise Verdict(idea[0], idea[1].replace("your gradient", what).replace("Your gradient", _start(what)))
    wrong = np.abs(got - expected) > 1e-6 * np.abs(expected).max(initial=0.0)
    at = np.unravel_index(int(np.abs(got - expected).argmax()), got.shape)
    place = f"{what}{[int(i) for i in at] if got.size > 1 else ''}"
    raise Verdict(
        "",
        f"{place} is {got[at]:.6g}, it must be {expected[at]:.6g}; {wrong.sum()} of {wrong.size} entries are wrong",
    )


def _start(what: str) -> str:
    return what.replace("your ", "Your ")  # dW stays dW


def _words(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message[:150]}" if message else type(error).__name__


def _line(function: Callable[..., Any], error: BaseException | None = None) -> str:
    """Where in the learner's own file it happened."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in frames if frame.filename == code.co_filename and frame.lineno]
    return f" (line {own[-1] if own else code.co_firstlineno})"


def _parameter(function: Callable[..., Any], i: int) -> str:
    with contextlib.suppress(TypeError, ValueError):
        names = list(inspect.signature(function).parameters)
        if i < len(names):
            return names[i]
    return str(i + 1)


def _arrays(thing: Any) -> Iterator[np.ndarray]:
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from _arrays(part)


def _unchanged(before: Any, after: Any) -> bool:
    a, b = list(_arrays(before)), list(_arrays(after))
    return len(a) == len(b) and all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b))
