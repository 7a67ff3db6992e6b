"""Gradients held to central differences.

    (f(x + h) - f(x - h)) / 2h  =  f'(x) + O(h²)

asks a function only for its value, so it is an independent witness against any hand-written
derivative. All checks compute in float64 on small inputs; each raises a `GradientError` that says
which entry is wrong and by what factor, and returns the largest relative error if all is well.

`review` is for learners: it never raises, judges the value too, and names the idea that is missing.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.checks import check_size
from kdlearn.ideas import Case, Review, common_factor
from kdlearn.judging import judge, number, results
from kdlearn.learner import Verdict, call, reviewed
from kdlearn.nn.layers import Embedding, Layer
from kdlearn.nn.module import Module
from kdlearn.nn.optim import SGD
from kdlearn.objective import Objective, Sites
from kdlearn.step import Networks, named, run_networks, train_step, trained

STEP = 1e-5  # the error is about STEP² from the curve and 1e-16/STEP from rounding
TOLERANCE = 1e-7
LOSS = ("value", "gradient")


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
    if np.ndim(value):
        raise GradientError(f"the value has shape {np.shape(value)}; it must be one number")
    if getattr(value, "dtype", None) == np.float32:
        raise GradientError("the value is in float32, too rough for central differences: keep the dtype of z")
    return float(value)


def _check_double(nets: Iterable[Module]) -> None:
    for net in nets:
        if net.theta.dtype != np.float64:
            raise TypeError(
                f"a network computes in {net.theta.dtype}, too rough for central differences: "
                'make it with dtype="float64"'
            )


def _own_numbers() -> np.random.Generator:
    """Random numbers of the checks alone: those of `default_rng(0)` may be the arrays that are checked."""
    return np.random.default_rng(list(b"kdlearn.gradcheck"))


def compare_gradients(got: Array, expected: Array, name: str = "gradient", tolerance: float = TOLERANCE) -> float:
    """Largest |got - expected| relative to the largest |expected|; GradientError above `tolerance`."""
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
    scale = max(float(np.abs(expected).max()), 1e-8)
    difference = np.abs(got - expected) / scale
    worst = np.unravel_index(int(difference.argmax()), difference.shape)
    error = float(difference[worst])
    if error > tolerance:
        raise GradientError(
            f"{name}{[int(i) for i in worst]} is {got[worst]:.6g}, central differences say {expected[worst]:.6g}; "
            + _diagnosis(got, expected, scale, tolerance)
        )
    return error


def _diagnosis(got: np.ndarray, expected: np.ndarray, scale: float, tolerance: float) -> str:
    wrong = np.abs(got - expected) > tolerance * scale
    if not got.any():
        return "every entry is zero"
    if not (np.abs(expected) > 1e-3 * scale).any():
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
    return f"{int(wrong.sum())} of {wrong.size} entries are wrong"


def check_loss(
    loss: Callable[..., tuple[Array, Array]], z: Array, *others: Any, tolerance: float = TOLERANCE, **settings: Any
) -> float:
    """Hold `loss(z, *others, **settings) -> (value, gradient)` to central differences in z.

    Example
    -------
    >>> z, y = np.array([[1.0, -0.5, 0.2]]), np.array([2])
    >>> from kdlearn.distill.response import cross_entropy
    >>> check_loss(cross_entropy, z, y) < 1e-7
    True
    """
    z = np.array(z, dtype=np.float64)
    given = z.copy()
    _, gradient = loss(given, *others, **settings)
    if not np.array_equal(given, z, equal_nan=True):
        raise GradientError("the loss changes its argument z, which others read as well: write z = z - …, not z -= …")
    expected = numerical_gradient(lambda x: loss(x, *others, **settings)[0], z)
    return compare_gradients(gradient, expected, "gradient", tolerance)


def check_layer(layer: Layer, x: Array, seed: int | None = None, tolerance: float = TOLERANCE) -> float:
    """Hold a layer's dx and parameter gradients to central differences.

    A random matrix R turns the output into the scalar sum(R * y), which meets every entry of
    the Jacobian at once. With `seed`, each pass rolls the same dice (for dropout). Tokens have no gradient:
    of an `Embedding` the parameters' are held alone.
    """
    tokens = isinstance(layer, Embedding)
    x = np.array(x) if tokens else np.array(x, dtype=np.float64)
    layer = copy.deepcopy(layer)
    layer.hold(**{name: np.array(getattr(layer, name), np.float64) for name in layer.parameters})

    def run(x: np.ndarray) -> tuple[np.ndarray, Any]:
        return layer.forward(x, None if seed is None else np.random.default_rng(seed))

    y, cache = run(x)
    R = _own_numbers().standard_normal(y.shape)
    dx = layer.backward(R.copy(), cache)
    errors = [0.0]
    if not tokens:
        errors.append(compare_gradients(dx, numerical_gradient(lambda v: (R * run(v)[0]).sum(), x), "dx", tolerance))
    for name in layer.parameters:
        parameter = getattr(layer, name)

        def value(v: np.ndarray, parameter: np.ndarray = parameter) -> float:
            parameter[...] = v
            return float((R * run(x)[0]).sum())

        gradient = getattr(layer, "d" + name).copy()
        kept = parameter.copy()
        expected = numerical_gradient(value, kept)
        parameter[...] = kept
        errors.append(compare_gradients(gradient, expected, "d" + name, tolerance))
    return max(errors)


def check_objective(objective: Objective, live: Sites, fixed: Sites, tolerance: float = TOLERANCE) -> float:
    """Hold an objective's site gradients, and its adaptors' gradients, to central differences.

    Only `live` is perturbed: what the objective reads from `fixed` is held, and that is how a
    stop-gradient is tested. TypeError where an adaptor is not float64.
    """
    live = {name: np.array(a, dtype=np.float64) for name, a in live.items()}
    _check_double(objective.nets)
    for net in objective.nets:
        net.zero_grad()
    first = objective(live, fixed)
    held = {**fixed, **{site: a.copy() for site, a in first.made.items()}}
    errors = [0.0]

    def value(**changed: Array) -> Array:
        return objective({**live, **changed}, held, backward=False).value

    for site, z in live.items():
        expected = numerical_gradient(lambda v, site=site: value(**{site: v}), z)  # type: ignore[misc]
        got = first.gradients.get(site, np.zeros_like(z))
        errors.append(compare_gradients(got, expected, f"gradient at {site} ", tolerance))
    for i, net in enumerate(objective.nets):
        expected = _theta_gradient(net, value) * (-1 if objective.ascends(net) else 1)
        errors.append(compare_gradients(net.grad, expected, f"gradient of adaptor {i} ", tolerance))
    return max(errors)


def check_step(
    students: Networks,
    objective: Objective,
    batch: Mapping[str, Array],
    teachers: Networks | None = None,
    seed: int | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Hold a whole training step to central differences: taken with SGD at rate 1, it must move
    every student and adaptor by exactly minus the gradient of the objective.

    TypeError where one of them is not float64. They are left as they were. With `seed`, dropout is on.
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    distinct = trained(students, objective)
    _check_double(distinct)
    before = [net.theta.copy() for net in distinct]
    dice = (lambda: None) if seed is None else (lambda: np.random.default_rng(seed))
    live, fixed, _ = run_networks(students, teachers, objective, batch, dice())
    made = objective(live, fixed, backward=False).made
    held = {**fixed, **{site: a.copy() for site, a in made.items()}}

    def value() -> float:
        live, _, _ = run_networks(students, teachers, objective, batch, dice())
        return objective(live, held, backward=False).value

    expected = [_theta_gradient(net, value) * (-1 if objective.ascends(net) else 1) for net in distinct]
    train_step(students, teachers, objective, batch, optimizer=SGD(lr=1.0), rng=dice())
    moved = [theta - net.theta for net, theta in zip(distinct, before)]
    for net, theta in zip(distinct, before):  # all of them, before one is found wrong
        net.theta[...] = theta
    return max(
        compare_gradients(m, e, f"step of network {i} ", tolerance) for i, (m, e) in enumerate(zip(moved, expected))
    )


def _theta_gradient(net: Module, value: Callable[[], float]) -> np.ndarray:
    kept = net.theta.copy()

    def at(theta: np.ndarray) -> float:
        net.theta[...] = theta
        return float(value())

    gradient = numerical_gradient(at, kept)
    net.theta[...] = kept
    moves = np.zeros(kept.shape, bool)  # what is frozen must stay where it is
    for start, stop, _ in net.slices:
        moves[start:stop] = True
    return np.where(moves, gradient, 0)


# ---------------------------------------------------------------- for learners


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
    slips : {name of an idea: the loss without it}, for mistakes that leave no general trace.

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
    rng = _own_numbers()
    places = [(z,), *((z + rng.normal(0, 0.5, z.shape),) for _ in range(3))]

    def outcome(f: Callable) -> Callable:
        return lambda x: results(call(f, x, *others, **settings), LOSS)

    def value(x: np.ndarray) -> float:
        return number(outcome(truth)(x)[0], case)

    def right(x: np.ndarray) -> tuple[float, np.ndarray]:
        return value(x), numerical_gradient(value, x)

    first, slope = outcome(loss)(z)[0], right(z)[1]
    if own and number(first, case) != value(z):
        raise Verdict("", "the same arguments give another value each time")
    if own and np.asarray(first).dtype == np.float32:
        raise Verdict("", "the value is in float32, too rough for central differences: keep the dtype of z")
    if np.abs(slope).max(initial=0.0) < 1e-9 * max(1.0, abs(value(z))):
        if not own:
            raise Verdict("", "nothing can be said here: the true gradient is zero at this place")
        raise Verdict("the loss", "Your value is zero." if value(z) == 0 else "Your value never changes.")
    if own and reference is not None:
        places, right = places[:1], lambda x: (float(reference), slope)
    wrong = {idea: outcome(slip) for idea, slip in slips.items()}
    praise = "The gradient is that of your value." if own else "The gradient is right."
    judge(outcome(loss), right, places, LOSS, wrong, case, praise)
    if not own and np.isfinite(value(1000 * z)):
        large = outcome(loss)(1000 * z)
        if not all(np.isfinite(part).all() for part in large):
            raise Verdict("large numbers", "Logits of a thousand overflow: take each row's maximum away before exp.")


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
