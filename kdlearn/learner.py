"""Calling a function that somebody is still learning to write.

Whatever the function does, a traceback is no answer to a learner. `call` turns exceptions, missing results and
changed arguments into a `Verdict`, which carries one sentence; what came back is for `kdlearn.judging`.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kdlearn.ideas import Review

UNWRITTEN = "not written yet"


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
        raise Verdict("", UNWRITTEN) from None
    except RecursionError:
        raise Verdict("an end", f"It calls itself without end{_line(function)}.") from None
    except BaseException as error:  # also SystemExit
        raise Verdict("", f"it stops with {_words(error)}{_line(function, error)}") from None
    if result is None or result is ...:
        raise Verdict("", f"{UNWRITTEN}: it returns nothing")
    for i, (before, after) in enumerate(zip(arguments, given)):
        if not unchanged(before, after):
            name = parameter(function, i)
            other = f"begin with {name} = {name}.copy(), or write {name} = {name} - …, not {name} -= …."
            way = other if isinstance(before, np.ndarray) else "work on a copy."
            raise Verdict("a copy", f"It changes its argument {name}: {way}")
    return result


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


def parameter(function: Callable[..., Any], i: int) -> str:
    """The name of argument i, or its number, where the function tells none."""
    with contextlib.suppress(TypeError, ValueError):
        names = list(inspect.signature(function).parameters)
        if i < len(names):
            return names[i]
    return str(i + 1)


def arrays_in(thing: Any) -> Iterator[np.ndarray]:
    """The arrays that an argument is, or holds in lists and tuples."""
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from arrays_in(part)


def unchanged(before: Any, after: Any) -> bool:
    """Whether all arrays of an argument are what they were."""
    a, b = list(arrays_in(before)), list(arrays_in(after))
    return len(a) == len(b) and all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b))
