"""The checks that the package shares: shapes, labels, settings, names of sites.

Each raises an error that says what was given and what is wanted; those that return do so unchanged.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module


def check_logits(z: Array, *others: Array, least: int = 2) -> None:
    """ValueError unless all are (N, K) of one shape, with N >= 1 and K >= least."""
    if z.ndim != 2 or z.shape[0] == 0:
        raise ValueError(f"logits must be 2-D (rows, classes) with at least one row, got shape {z.shape}")
    if z.shape[1] < least:
        raise ValueError(
            f"a classifier needs at least two classes, got logits of shape {z.shape}; a network with one output "
            "learns with kd.regression"
        )
    for other in others:
        if other.shape != z.shape:
            raise ValueError(f"student and teacher logits must have one shape, got {z.shape} and {other.shape}")


def check_labels(z: Array, y: Array, ignore: int | None = None) -> None:
    """ValueError unless `y` has one integer label in 0 … K-1 (or `ignore`) for each row of logits.

    On a GPU the labels themselves are not looked at: that would wait for the device.
    """
    if ignore is not None and (isinstance(ignore, bool) or not isinstance(ignore, numbers.Integral)):
        raise ValueError(f"ignore must be an integer label, got {ignore!r}")
    if y.shape != z.shape[:1]:
        hint = "; one-hot rows become labels with y.argmax(axis=1)" if y.shape == z.shape else ""
        raise ValueError(f"y must hold one label a row, shape {z.shape[:1]}, got {y.shape}{hint}")
    check_classes(y, z.shape[1], ignore)


def check_classes(y: Array, K: int | None, ignore: int | None = None) -> None:
    """ValueError unless all of `y` (N,) are integers in 0 … K-1 (or `ignore`); on a GPU as in `check_labels`.

    Without K any number from 0 on is a class.
    """
    if y.ndim != 1:
        raise ValueError(f"y must hold one label a row, got shape {y.shape}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"y must hold integer class labels, got {y.dtype}")
    # as an unsigned number a negative label is a large one, so one comparison finds both kinds
    end = 2**63 if K is None else K
    if isinstance(y, np.ndarray) and y.size and (n := y.astype(np.uint64)).item(n.argmax()) >= end:
        wrong = [k for k in y.tolist() if not 0 <= k < end and k != ignore]
        if wrong:
            raise ValueError(f"labels must {'be 0 or more' if K is None else f'lie in 0 … {K - 1}'}, got {wrong[0]}")


def check_members(rows: int, members: int) -> None:
    """ValueError unless so many rows are those of so many members, each with as many."""
    if rows % check_count("members", members):
        raise ValueError(
            f"{rows} rows are not those of {members} members, each with as many: a stack takes the rows of each, one "
            "member's after the other's"
        )


def check_features(h_s: Array, h_t: Array, same_width: bool = True) -> None:
    """ValueError unless both are 2-D with the same N >= 1 rows and, if asked for, the same width."""
    if h_s.ndim != 2 or 0 in h_s.shape:
        raise ValueError(f"features must be 2-D (rows, units) with at least one of each, got shape {h_s.shape}")
    if h_t.ndim != 2 or 0 in h_t.shape or h_t.shape[0] != h_s.shape[0]:
        raise ValueError(f"student and teacher features must have the same rows, got {h_s.shape} and {h_t.shape}")
    if same_width and h_t.shape != h_s.shape:
        raise ValueError(
            f"student and teacher features must have one shape, got {h_s.shape} and {h_t.shape}; "
            "a regressor between them is `fitnets`"
        )


def check_share(name: str, value: float, low: float = 0.0, high: float = 1.0) -> float:
    """`value`; ValueError unless it is a number in [low, high]."""
    if not is_number(value) or not low <= value <= high:
        raise ValueError(f"{name} lies in [{low:g}, {high:g}], got {value!r}")
    return value


def check_size(name: str, value: float, zero: bool = True) -> float:
    """`value`; ValueError unless it is a finite number of at least 0, or, without `zero`, above 0."""
    if not is_number(value) or not (0 < value < math.inf or (zero and value == 0)):
        raise ValueError(
            f"{name} must be a {'finite number of at least 0' if zero else 'positive finite number'}, got {value!r}"
        )
    return value


def check_weight(name: str, weight: Any) -> Any:
    """`weight`, as a term takes it; ValueError where it is a number below 0, or not finite: a part would be undone."""
    return check_size(name, weight) if is_number(weight) else weight


def check_sites(**names: Any) -> None:
    """TypeError unless each is a sequence of names; one text alone would be read letter by letter."""
    for kind, given in names.items():
        if isinstance(given, str) or not all(isinstance(name, str) for name in given):
            raise TypeError(f"{kind} must be a tuple of names of sites or columns, such as ('y',), got {given!r}")


def check_parts(parts: Sequence[Any]) -> None:
    """ValueError for a sum of nothing."""
    if not parts:
        raise ValueError("a Sum has at least one part, got none")


def check_term(told: tuple[Any, Any, Any], live: Any, fixed: Any, weights: Sequence[Any]) -> None:
    """TypeError or ValueError unless a loss may be a term of these names and weights.

    ``told`` is the function, and what was set of it by position and by name. Where it says which arrays it takes, it
    must get as many sites: one more would be taken for a setting, or for a weight. ``weights`` are numbers, functions
    of the progress or names of columns.
    """
    loss, args, settings = told
    if not callable(loss):
        raise TypeError(f"a term's loss must be a function, got {loss!r}")
    check_sites(live=live, fixed=fixed)
    arrays = [name for name in getattr(loss, "arrays", ())[len(args) :] if name not in settings]
    if hasattr(loss, "arrays") and len(arrays) != len(live) + len(fixed):
        raise TypeError(
            f"{loss.__name__} takes {len(arrays)} sites, for {', '.join(arrays)}; got {', '.join((*live, *fixed))}"
        )
    for w in weights:
        if not (is_number(w) or isinstance(w, str) or callable(w)):
            raise TypeError(f"a weight is a number, a function of the progress or the name of a column, got {w!r}")
        if is_number(w) and not math.isfinite(w):
            raise ValueError(f"a weight must be a finite number, got {w!r}")


def is_number(value: Any) -> bool:
    """Whether it is one real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether it is an integer, of Python or NumPy; True and False are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(name: str, value: Any) -> int:
    """`value`; TypeError unless it is a whole number, ValueError unless it is at least 1."""
    if not is_whole(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return int(value)


def check_seed(seed: Any) -> Any:
    """`seed`; ValueError for a number that begins no stream of random numbers: one below 0, or not whole."""
    if isinstance(seed, (int, float, str, np.generic)) and not (is_whole(seed) and seed >= 0):  # type: ignore[operator]
        raise ValueError(f"a seed is a whole number of at least 0, got {seed!r}")
    return seed


def different_numbers(given: Iterable[int], what: str) -> tuple[int, ...]:
    """`given` as a tuple; ValueError unless there is at least one, none is negative and no two are equal."""
    chosen = tuple(given)
    if not all(map(is_whole, chosen)):
        raise ValueError(f"{what} must be whole numbers from 0 on, got {list(chosen)}; of a mask np.flatnonzero(mask)")
    chosen = tuple(int(k) for k in chosen)
    if not chosen or len(set(chosen)) < len(chosen) or min(chosen) < 0:
        raise ValueError(f"{what} must be different numbers from 0 on, got {list(chosen)}")
    return chosen


def check_temperature(T: float) -> float:
    """`T` as a float. ValueError unless it is one positive finite number (a 0-d array will do)."""
    if type(T) is float and 0.0 < T < math.inf:
        return T
    if (isinstance(T, numbers.Real) or getattr(T, "ndim", None) == 0) and not isinstance(T, (bool, np.bool_)):
        value = float(T)
        if value > 0 and math.isfinite(value):
            return value
    raise ValueError(f"T must be one positive finite number, got {T!r}")


def check_finite_rows(z: Array, x: Array | None = None) -> Array:
    """Outputs (N, K) as they are; ValueError, naming the first row, where one is not finite: it has no answer.

    x (N, D) are the inputs, where NaN and infinity may be among them.
    """
    finite = array_module(z).isfinite(z).all(axis=1)
    if not bool(finite.all()):
        row = int(finite.argmin())
        whole = x is None or bool(array_module(x).isfinite(x[row]).all())
        why = "is so large that the answer overflows" if whole else "holds NaN or infinity: it has no answer"
        raise ValueError(f"row {row} {why}")
    return z
