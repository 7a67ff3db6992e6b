"""What every loss shares: the mean over rows and its weights, precision, and the checks of shapes.

A loss is a pure function `loss(z, …) -> (value, gradient)`. One word above it says what it looks at:

    @mean_over_rows     one number and one gradient a row; the loss is their mean. Weights, the mean
                        and precision are added here.
    @across_rows        rows are compared with each other (relations, contrast, correlation over a
                        batch), or share a parameter. It returns value and gradient itself.

Both take float16 (computed in float32), float32, float64 and integers (computed in float64), and
return each gradient in the precision of the argument that it belongs to. Letters: N rows.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, body_for
from kdlearn.nn.functional import as_real, check_count, plain_arrays, real_dtype

_WIDE = (np.dtype("float32"), np.dtype("float64"))


def mean_over_rows(function: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Array, Any]]:
    r"""A loss, made of a function that returns `(rows, gradient)`: a number and a gradient for each row.

    .. math:: L = \frac1N\sum_n w_n\,\ell_n, \qquad
              \frac{\partial L}{\partial z_n} = \frac{w_n}{N}\,\frac{\partial\ell_n}{\partial z_n}

    The function's arguments without a default are its arrays; the one called `y` holds labels, and keeps
    its integers. With several live arrays, which come first, `gradient` is a tuple. A third value returned, (N,),
    says which rows count: the mean is over those alone. The loss has three more keywords:

    weight : (N,) multiplies each row. A row of weight 0 is left out, whatever it holds.
    normalize : divide by the sum of the weights instead of N.
    members : the rows are those of so many networks of a stack, one after the other; value (members,).

    Where no row counts, which may be so in a batch, value and gradient are 0 (in PyTorch NaN); `fit` refuses
    such data, `evaluate` says NaN.

    `loss.rows` is the function itself: this is how the training step knows what may be weighted and stacked.
    `loss.arrays` holds the names of its arrays. Shapes and settings are checked inside the function, in every call;
    a look at all values, which would cost each step, goes into `loss.check`, which `fit` leaves out: it has looked
    at the columns once.
    """
    own = inspect.signature(function)
    added = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in (("weight", None), ("normalize", False), ("members", 1))
    ]
    signature = own.replace(parameters=[*own.parameters.values(), *added])
    names = _arrays(own)

    @functools.wraps(function)
    def loss(*args: Any, **settings: Any) -> tuple[Array, Any]:
        if len(args) != len(names):  # arrays by keyword, or settings by position
            settings = signature.bind(*args, **settings).arguments
            args = tuple(settings.pop(name) for name in names)
        more = {name: settings.pop(name) for name in ("weight", "normalize", "members") if name in settings}
        if more.get("normalize", False) not in (False, True):
            raise ValueError(f"normalize must be True or False, got {more['normalize']!r}")
        args = plain_arrays(args, names)
        if loss.check is not None:  # type: ignore[attr-defined]
            loss.check(*args)  # type: ignore[attr-defined]
        if more.get("members", 1) != 1 and getattr(args[0], "ndim", 0):
            check_members(len(args[0]), more["members"])
        value, gradients = average(loss, args, settings, **more)
        return value, gradients if len(gradients) > 1 else gradients[0]

    loss.rows, loss.arrays, loss.__signature__ = function, names, signature  # type: ignore[attr-defined]
    loss.check = None  # type: ignore[attr-defined]
    return loss


def average(
    loss: Callable[..., Any],
    given: Sequence[Any],
    settings: Mapping[str, Any],
    weight: Array | None = None,
    normalize: bool = False,
    members: int = 1,
    factor: float = 1.0,
) -> tuple[Array, tuple[Array, ...]]:
    """`(value, factor * gradients)` of a loss over rows; what the loss is made of, and what the training step calls."""
    arrays = as_floats(given, loss.arrays)  # type: ignore[attr-defined]
    per_row = body_for(loss.rows, arrays[0])  # type: ignore[attr-defined]
    rows, gradient, *counted = per_row(*arrays, **settings)
    gradients = gradient if isinstance(gradient, tuple) else (gradient,)
    count: Any = rows.shape[0] // members
    if weight is not None:
        weight = as_real(weight, "weight")  # in float16 a sum of weights soon is infinite, and the mean 0
        rows, gradients = _weighted(rows, gradients, weight)
        counted = [weight if not counted else weight * counted[0]] if normalize else counted
    total = _per_member(rows, members)
    if counted:  # where no row counts, the mean of nothing is 0; of weights that cancel there is no mean
        where, n = array_module(rows).where, _per_member(counted[0], members)
        count = where(n != 0, n, where(total == 0, 1, math.nan))
    value = _as_value(total / count, given[0])
    if counted and members > 1:
        count = array_module(rows).repeat(count, rows.shape[0] // members)[:, None]
    return value, tuple([_scaled(g, factor / count, a) for g, a in zip(gradients, given)])


def across_rows(function: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Array, Any]]:
    """A loss that looks across the rows of a batch: there is no weight a row, and a stack goes member by member."""
    signature = inspect.signature(function)
    names = _arrays(signature)

    @functools.wraps(function)
    def loss(*args: Any, **settings: Any) -> tuple[Array, Any]:
        if len(args) != len(names):
            settings = signature.bind(*args, **settings).arguments
            args = tuple(settings.pop(name) for name in names)
        args = plain_arrays(args, names)
        value, gradient = function(*as_floats(args, names), **settings)
        value = _as_value(value, args[0])
        if isinstance(gradient, tuple):
            return value, tuple(g.astype(real_dtype(a), copy=False) for g, a in zip(gradient, args))
        return value, gradient.astype(real_dtype(args[0]), copy=False)

    loss.arrays = names  # type: ignore[attr-defined]
    return loss


def _arrays(signature: inspect.Signature) -> tuple[str, ...]:
    """Names of the arguments without a default."""
    return tuple(name for name, p in signature.parameters.items() if p.default is inspect.Parameter.empty)


def as_floats(given: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """The arrays of a call as a loss computes with them; labels, called `y`, as they are."""
    try:  # by far the most frequent case, and asked at every step
        return [a if a.dtype in _WIDE or name == "y" else _floats(a, name) for a, name in zip(given, names)]
    except AttributeError:
        return [_floats(a, name) for a, name in zip(given, names)]


def _floats(a: Any, name: str) -> Any:
    if isinstance(a, numbers.Real) and not hasattr(a, "dtype"):  # the training's progress
        return a
    labels = name == "y" and getattr(getattr(a, "dtype", None), "kind", "") in tuple("iub")
    return a if labels else as_real(a, name)


def _as_value(value: Array, first: Array) -> Array:
    # the student's precision, but not less than float32: a sum over a batch easily passes 65504
    if value.dtype == first.dtype:
        return value
    dtype = real_dtype(first)
    wanted = dtype if dtype.itemsize >= 4 else np.dtype("float32")
    return value if value.dtype == wanted else value.astype(wanted)


def _per_member(rows: Array, members: int) -> Array:
    return rows.sum() if members == 1 else rows.reshape(members, -1).sum(axis=1)


def _weighted(rows: Array, gradients: tuple, weight: Array) -> tuple[Array, tuple]:
    if weight.shape != rows.shape:
        raise ValueError(f"weight must hold one number a row, shape {rows.shape}, got {weight.shape}")
    xp = array_module(rows, weight)
    counts = weight != 0  # 0 times infinity is not 0
    column = weight[:, None]
    parts = tuple(xp.where(counts[:, None], g, 0) * column for g in gradients)
    return xp.where(counts, rows, 0) * weight, parts


def _scaled(gradient: Array, factor: Any, given: Array) -> Array:
    if gradient is given:
        gradient = gradient * factor
    else:
        gradient *= factor
    return gradient if gradient.dtype == given.dtype else gradient.astype(real_dtype(given), copy=False)


# ---------------------------------------------------------------- checks


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
    if isinstance(y, np.ndarray) and y.size and y.astype(np.uint64).max() >= end:
        wrong = [k for k in y.tolist() if not 0 <= k < end and k != ignore]
        if wrong:
            raise ValueError(f"labels must {'be 0 or more' if K is None else f'lie in 0 … {K - 1}'}, got {wrong[0]}")


def check_members(rows: int, members: int) -> None:
    """ValueError unless so many rows are those of so many members, each with as many."""
    if rows % check_count("members", members):
        raise ValueError(f"{rows} rows are not those of {members} members, each with as many")


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


def check_sites(**names: Any) -> None:
    """TypeError unless each is a sequence of names; one text alone would be read letter by letter."""
    for kind, given in names.items():
        if isinstance(given, str) or not all(isinstance(name, str) for name in given):
            raise TypeError(f"{kind} must be a tuple of names of sites, got {given!r}")


def check_term(live: Any, fixed: Any, weights: Sequence[Any]) -> None:
    """TypeError or ValueError unless these are names, and numbers, functions of the progress or names of columns."""
    check_sites(live=live, fixed=fixed)
    for w in weights:
        if not (is_number(w) or isinstance(w, str) or callable(w)):
            raise TypeError(f"a weight is a number, a function of the progress or the name of a column, got {w!r}")
        if is_number(w) and not math.isfinite(w):
            raise ValueError(f"a weight must be a finite number, got {w!r}")


def ignored(loss: Callable[..., Any]) -> int | None:
    """The label of the rows that a loss is told to leave out; else None."""
    return getattr(loss, "keywords", {}).get("ignore")


def normalizes(loss: Callable[..., Any]) -> bool:
    """Whether a loss is told to divide by the sum of its weights."""
    return bool(getattr(loss, "keywords", {}).get("normalize", False))


def is_number(value: Any) -> bool:
    """Whether it is one real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


# ---------------------------------------------------------------- what several losses are made of


def by_largest(x: Array, axis: int | tuple[int, ...] = -1) -> tuple[Array, Array]:
    """`(x / m, 1 / m)` with m the largest size along the axis: what is squared next can't leave the number format.

    Where m is 0, or below the smallest normal number, so that 1 / m is none, both are 0. 1 / m keeps the axis, with 1.
    """
    xp = array_module(x)
    m = xp.abs(x).max(axis=axis, keepdims=True)
    per_m = 1 / xp.where(m < float(xp.finfo(x.dtype).tiny), xp.inf, m)
    return x * per_m, per_m


def softplus(x: Array) -> Array:
    r""":math:`\log(1 + e^x)`, entry by entry, without overflow."""
    xp = array_module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


def huber(x: Array, delta: float = 1.0) -> tuple[Array, Array]:
    r"""Huber's function, entry by entry, and its derivative: a parabola near zero, straight lines beyond.

    .. math:: \ell(x) = \begin{cases}\tfrac12 x^2 & |x| \le \delta\\ \delta\,(|x| - \tfrac12\delta) & |x| > \delta
              \end{cases}, \qquad \ell'(x) = \min(\max(x, -\delta), \delta)

    Source: Huber 1964, section 1.
    """
    slope = array_module(x).clip(x, -delta, delta)
    return slope * (x - 0.5 * slope), slope


# ---------------------------------------------------------------- a stack, where rows may meet


def split_members(arrays: Sequence[Any], members: int) -> Iterator[list[Any]]:
    """The arrays of one member after the other; what is no array belongs to all."""
    for m in range(members):
        yield [
            a[m * (len(a) // members) : (m + 1) * (len(a) // members)] if getattr(a, "ndim", 0) else a for a in arrays
        ]


def joined(parts: Sequence[Array]) -> Array:
    """The members' rows as one array again."""
    return array_module(*parts).concatenate(parts)


def member_by_member(
    loss: Callable[..., Any], arrays: Sequence[Any], settings: Mapping[str, Any], members: int
) -> tuple[Any, Any]:
    """`loss` of each member's rows alone: what it does across rows stays within a member."""
    names = list(settings)
    values, gradients = [], []
    for own in split_members([*arrays, *settings.values()], members):
        cut = len(own) - len(names)
        value, gradient = loss(*own[:cut], **dict(zip(names, own[cut:])))
        values.append(value)
        gradients.append(gradient if isinstance(gradient, tuple) else (gradient,))
    xp = array_module(arrays[0])
    return xp.stack([xp.asarray(v) for v in values]), tuple(joined(parts) for parts in zip(*gradients))
