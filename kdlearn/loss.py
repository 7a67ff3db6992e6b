"""What every loss shares: the mean over rows and its weights, precision, a stack of members.

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
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, body_for
from kdlearn.checks import check_members
from kdlearn.nn.functional import as_real, plain_arrays, real_dtype


def mean_over_rows(function: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Array, Any]]:
    r"""A loss, made of a function that returns `(rows, gradient)`: a number and a gradient for each row.

    .. math:: L = \frac1N\sum_n w_n\,\ell_n, \qquad
              \frac{\partial L}{\partial z_n} = \frac{w_n}{N}\,\frac{\partial\ell_n}{\partial z_n}

    The function's arguments without a default are its arrays; the one called `y` holds labels, and keeps
    its integers. With several live arrays, which come first, `gradient` is a tuple. A third value returned, (N,),
    says which rows count, with True or 1: the mean is over those alone, whatever arrays the others hold. The loss has
    three more keywords:

    weight : (N,) multiplies each row. A row of weight 0 is left out, NaN and infinite numbers in it too.
    normalize : divide by the sum of the weights instead of N.
    members : the rows are those of so many networks of a stack, one after the other; value (members,).

    A label or a target that the loss refuses is refused in a row of weight 0 as well. A weight must be a number in
    every row: NaN makes NaN, even where the row does not count (`fit` and `evaluate` refuse such a column).

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
        value, gradients, _ = average(loss, args, settings, **more)
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
) -> tuple[Array, tuple[Array, ...], Array | None]:
    """`(value, factor * gradients, count)` of a loss over rows; what it is made of, and what the training step calls.

    `count`, of each member, is what the mean is over where that is not all rows: those that count, or their weights.
    """
    arrays = as_floats(given, loss.arrays)  # type: ignore[attr-defined]
    per_row = body_for(loss.rows, arrays[0])  # type: ignore[attr-defined]
    rows, gradient, *counted = per_row(*arrays, **settings)
    gradients = gradient if isinstance(gradient, tuple) else (gradient,)
    if getattr(rows, "ndim", 0) != 1:
        raise ValueError(
            f"{loss.__name__} must return one number a row, shape (N,), got shape {getattr(rows, 'shape', ())}; "
            "@kd.mean_over_rows takes their mean"
        )
    count: Any = rows.shape[0] // members
    if counted:
        counted = [as_real(counted[0], "the third value of a loss")]
        rows, gradients = _weighted(rows, gradients, counted[0])
    if weight is not None:
        weight = as_real(weight, "weight")  # in float16 a sum of weights soon is infinite, and the mean 0
        rows, gradients = _weighted(rows, gradients, weight)
        counted = [weight if not counted else weight * counted[0]] if normalize else counted
    total, n = _per_member(rows, members), None
    if counted:  # where no row counts, the mean of nothing is 0; of weights that cancel there is no mean
        where, n = array_module(rows).where, _per_member(counted[0], members)
        count = where(n != 0, n, where(total == 0, 1, math.nan))
    value = total / count
    if value.dtype != given[0].dtype:
        value = _as_value(value, given[0])
    if counted and members > 1:
        count = array_module(rows).repeat(count, rows.shape[0] // members)[:, None]
    factor, scaled = factor / count, []
    for g, a in zip(gradients, given):
        g = g * factor  # not in place: what a loss returned may be an argument, or an array that it keeps
        scaled.append(g if g.dtype == a.dtype else g.astype(real_dtype(a), copy=False))
    return value, tuple(scaled), n


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


def as_floats(given: Sequence[Any], names: Sequence[str]) -> Sequence[Any]:
    """The arrays of a call as a loss computes with them; labels, called `y`, as they are."""
    try:  # by far the most frequent case, and asked at every step
        for a, name in zip(given, names):
            if a.dtype.char not in "fd" and name != "y":
                break
        else:
            return given
    except AttributeError:
        pass
    return [_floats(a, name) for a, name in zip(given, names)]


def product(columns: Sequence[Array], names: Sequence[str]) -> Array:
    """Of columns of weights of one shape, as floats: in small whole numbers it would wrap around."""
    if len({a.shape for a in columns}) > 1:
        raise ValueError(f"weights must hold one number a row each, got {dict(zip(names, (a.shape for a in columns)))}")
    return columns[0] if len(columns) == 1 else functools.reduce(operator.mul, as_floats(columns, names))


def _floats(a: Any, name: str) -> Any:
    if isinstance(a, numbers.Real) and not hasattr(a, "dtype"):  # the training's progress
        return a
    labels = name == "y" and getattr(getattr(a, "dtype", None), "kind", "") in tuple("iub")
    return a if labels else as_real(a, name)


def _as_value(value: Array, first: Array) -> Array:
    # the student's precision, but not less than float32: a sum over a batch easily passes 65504
    dtype = real_dtype(first)
    wanted = dtype if dtype.itemsize >= 4 else np.dtype("float32")
    if value.dtype == wanted:
        return value
    return wanted.type(value) if isinstance(value, np.generic) else value.astype(wanted)


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


# ---------------------------------------------------------------- what a loss was told


def unwrapped(loss: Callable[..., Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """`(function, args, settings)`: the loss without what `functools.partial` set beforehand, and that."""
    function: Any = loss
    args: tuple[Any, ...] = ()
    settings: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        args, settings = function.args + args, {**function.keywords, **settings}
        function = function.func
    return function, args, settings


def told_by_name(
    loss: Callable[..., Any], n_arrays: int
) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any]] | None:
    """`(loss, settings, how)`, for `average`, of a mean over rows of so many arrays whose settings all have names.

    `how` says whether it is told to divide by the sum of its weights. None for any other loss.
    """
    function, args, settings = unwrapped(loss)
    names = getattr(function, "arrays", ())
    how = {"normalize": settings.pop("normalize")} if isinstance(settings.get("normalize"), bool) else {}
    ready = hasattr(function, "rows") and not args and len(names) == n_arrays
    return (
        (function, settings, how) if ready and not {"weight", "normalize", "members", *names} & set(settings) else None
    )


def ignored(loss: Callable[..., Any]) -> int | None:
    """The label of the rows that a loss is told to leave out; else None."""
    return unwrapped(loss)[2].get("ignore")


def normalizes(loss: Callable[..., Any]) -> bool:
    """Whether a loss is told to divide by the sum of its weights."""
    return bool(unwrapped(loss)[2].get("normalize", False))


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


def computed(target: str, parts: Sequence[Array]) -> Array:
    """What a function made for `Given`, of one member or of each; TypeError where it is no array."""
    if not hasattr(parts[0], "shape"):
        kind = type(parts[0]).__name__
        raise TypeError(f"Given {target!r}: its function must return an array, got a {kind}")
    return parts[0] if len(parts) == 1 else joined(parts)


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
