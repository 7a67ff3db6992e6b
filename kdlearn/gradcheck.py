"""Losses, layers, objectives and whole steps held to central differences (`kdlearn.differences`).

All checks compute in float64 on small inputs; each raises a `GradientError` that says which entry is wrong
and by what factor, and returns the largest error relative to the largest slope if all is well. Of a value so large
that rounding hides how it changes, longer steps are taken; where they show nothing either, the error says so.

`review` is for learners: it never raises, judges the value too, and names the idea that is missing.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.differences import NOISE, TOLERANCE, GradientError, hold_gradient, numerical_gradient, own_numbers
from kdlearn.differences import compare_gradients as compare_gradients
from kdlearn.learner import arrays_in, parameter, unchanged
from kdlearn.nn.layers import Embedding, Layer
from kdlearn.nn.module import Module
from kdlearn.nn.optim import SGD
from kdlearn.objective import Objective, Sites
from kdlearn.review import review as review  # kd.gradcheck.review
from kdlearn.step import Networks, members_of, named, run_networks, train_step, trained


def _check_double(nets: Iterable[Module]) -> None:
    for net in nets:
        if net.theta.dtype != np.float64:
            raise TypeError(
                f"a network computes in {net.theta.dtype}, too rough for central differences: "
                'make it with dtype="float64"'
            )


def check_loss(
    loss: Callable[..., tuple[Array, Array]], z: Array, *others: Any, tolerance: float = TOLERANCE, **settings: Any
) -> float:
    """Hold `loss(z, *others, **settings) -> (value, gradient)` to central differences in z.

    They know no kink, where the slope jumps, as that of ReLU at 0, and are rough next to a singularity: check at
    another z. Slopes below 1e-13 count as 0.

    GradientError for a wrong gradient, for a loss that changes its arguments or is another each time, and where slopes
    are lost in rounding.

    Example
    -------
    >>> z, y = np.array([[1.0, -0.5, 0.2]]), np.array([2])
    >>> from kdlearn.distill.response import cross_entropy
    >>> check_loss(cross_entropy, z, y) < 1e-7
    True
    """
    z = np.array(z, dtype=np.float64)
    given = z.copy()
    names = [*(parameter(loss, i) for i in range(1, 1 + len(others))), *settings]
    held = [list(arrays_in(a)) for a in (*others, *settings.values())]
    before = [[a.copy() for a in arrays] for arrays in held]
    found = loss(given, *others, **settings)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        many = f"{len(found)} things" if isinstance(found, (tuple, list)) else f"one {type(found).__name__}"
        raise TypeError(f"a loss returns two things, (value, gradient); this one returns {many}")
    gradient = found[1]
    if isinstance(gradient, tuple):
        raise TypeError(
            f"the loss returns {len(gradient)} gradients, one for each of its live arrays: check it as an objective, "
            "kd.gradcheck.check_objective(kd.Term(loss, live=…), live, fixed)"
        )
    if not np.array_equal(given, z, equal_nan=True):
        raise GradientError("the loss changes its argument z, which others read as well: write z = z - …, not z -= …")
    for name, a, b in zip(names, before, held):
        if not unchanged(a, b):
            raise GradientError(f"the loss changes its argument {name}, which others read as well: work on a copy")
    again = loss(z.copy(), *others, **settings)[0]
    if np.ndim(again) == 0 and abs(again - found[0]) > NOISE * max(1.0, abs(again)):
        raise GradientError(
            f"the same arguments give another value each time, {found[0]:.6g} and {again:.6g}: draw random numbers "
            "from a generator that is made anew in each call, np.random.default_rng(seed)"
        )

    def numerical(step: float) -> np.ndarray:
        return numerical_gradient(lambda x: loss(x, *others, **settings)[0], z, step)

    return hold_gradient(gradient, numerical, "gradient", tolerance, found[0])


def check_layer(layer: Layer, x: Array, seed: int | None = None, tolerance: float = TOLERANCE) -> float:
    """Hold a layer's dx and parameter gradients to central differences.

    A random matrix R turns the output into the scalar sum(R * y), which meets every entry of
    the Jacobian at once. With `seed`, each pass rolls the same dice (for dropout). Tokens have no gradient:
    of an `Embedding` the parameters' are held alone. At a kink, as that of ReLU at 0, central differences are no
    slope: check at another x. TypeError for what is no layer.
    """
    if not all(hasattr(layer, name) for name in ("parameters", "hold", "forward", "backward")):
        raise TypeError(
            f"a layer has parameters, forward(x, rng) -> (y, cache) and backward(dy, cache), as kd.Linear has; got "
            f"{type(layer).__name__}: derive a layer of your own from kdlearn.nn.layers.Layer, check a network by "
            "kd.gradcheck.check_step"
        )
    tokens = isinstance(layer, Embedding)
    x = np.array(x) if tokens else np.array(x, dtype=np.float64)
    layer = copy.deepcopy(layer)
    layer.hold(**{name: np.array(getattr(layer, name), np.float64) for name in layer.parameters})

    def run(x: np.ndarray) -> tuple[np.ndarray, Any]:
        return layer.forward(x, None if seed is None else np.random.default_rng(seed))

    y, cache = run(x)
    R = own_numbers().standard_normal(y.shape)
    dx = layer.backward(R.copy(), cache)
    errors, size = [0.0], np.abs(R * y).sum()
    if not tokens:
        of_x = functools.partial(numerical_gradient, lambda v: (R * run(v)[0]).sum(), x)
        errors.append(hold_gradient(dx, of_x, "dx", tolerance, size))
    for name in layer.parameters:
        parameter = getattr(layer, name)

        def value(v: np.ndarray, parameter: np.ndarray = parameter) -> float:
            parameter[...] = v
            return float((R * run(x)[0]).sum())

        gradient = getattr(layer, "d" + name).copy()
        kept = parameter.copy()
        errors.append(
            hold_gradient(gradient, functools.partial(numerical_gradient, value, kept), "d" + name, tolerance, size)
        )
        parameter[...] = kept
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
        of_site = functools.partial(numerical_gradient, lambda v, site=site: value(**{site: v}), z)  # type: ignore[misc]
        got = first.gradients.get(site, np.zeros_like(z))
        errors.append(hold_gradient(got, of_site, f"gradient at {site} ", tolerance, first.value))
    for i, net in enumerate(objective.nets):
        of_theta = functools.partial(_theta_gradient, net, value, -1 if objective.ascends(net) else 1)
        errors.append(hold_gradient(net.grad, of_theta, f"gradient of adaptor {i} ", tolerance, first.value))
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

    TypeError where one of them is not float64. They are left as they were. With `seed`, dropout is on. Where a step
    meets a kink, as a unit whose input is exactly 0, central differences are no slope: check with another batch.
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    distinct = trained(students, objective)
    _check_double(distinct)
    before = [net.theta.copy() for net in distinct]
    dice = (lambda: None) if seed is None else (lambda: np.random.default_rng(seed))
    live, fixed, _ = run_networks(students, teachers, objective, batch, dice())
    members = members_of(students)
    made = objective(live, fixed, members=members, backward=False).made
    held = {**fixed, **{site: a.copy() for site, a in made.items()}}

    def value() -> float:
        live, _, _ = run_networks(students, teachers, objective, batch, dice())
        return float(np.sum(objective(live, held, members=members, backward=False).value))  # each member's own

    size = value()
    train_step(students, teachers, objective, batch, optimizer=SGD(lr=1.0), rng=dice())
    moved = [theta - net.theta for net, theta in zip(distinct, before)]
    for net, theta in zip(distinct, before):  # all of them, before one is found wrong
        net.theta[...] = theta
    signs = [-1 if objective.ascends(net) else 1 for net in distinct]
    return max(
        hold_gradient(m, functools.partial(_theta_gradient, net, value, sign), f"step of network {i} ", tolerance, size)
        for i, (net, m, sign) in enumerate(zip(distinct, moved, signs))
    )


def _theta_gradient(net: Module, value: Callable[[], float], sign: int, step: float) -> np.ndarray:
    kept = net.theta.copy()

    def at(theta: np.ndarray) -> float:
        net.theta[...] = theta
        return float(value())

    gradient = sign * numerical_gradient(at, kept, step)
    net.theta[...] = kept
    moves = np.zeros(kept.shape, bool)  # what is frozen must stay where it is
    for start, stop, _ in net.slices:
        moves[start:stop] = True
    return np.where(moves, gradient, 0)
