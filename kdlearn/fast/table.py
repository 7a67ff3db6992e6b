"""What stands for what, and the swap."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from kdlearn.distill import response
from kdlearn.fast import layers, losses, rules
from kdlearn.nn import optim
from kdlearn.nn.layers import Linear, ReLU
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Given, Objective, Sum, Term, Through

EQUIVALENT: dict[Any, Any] = {
    response.cross_entropy: losses.cross_entropy,
    response.soft_targets: losses.soft_targets,
    (response.cross_entropy, response.soft_targets): losses.HardAndSoft,
    optim.SGD: rules.SGD,
    optim.Adam: rules.Adam,
    optim.AdamW: rules.AdamW,
    (Linear, ReLU): layers.LinearReLU,
}

Swapped = TypeVar("Swapped", Network, Objective, Optimizer)


def swap(thing: Swapped) -> Swapped:
    """The same network, objective or optimiser with the bodies of this package wherever `EQUIVALENT` has one.

    A network comes back over the *same* parameters: whoever trains it trains the one that was given. It has
    no taps before a rectifier. An objective's adaptors stay as they are. An optimiser keeps its state.
    """
    if isinstance(thing, Network):
        return _network(thing)
    if isinstance(thing, Objective):
        return _objective(thing)
    if isinstance(thing, Optimizer):
        other = copy.copy(thing)
        other.__class__ = EQUIVALENT.get(type(thing), type(thing))
        other.memory = thing.memory
        return other
    raise TypeError(f"swap takes a network, an objective or an optimiser, got {type(thing).__name__}")


def _objective(objective: Objective) -> Any:
    if isinstance(objective, Term):
        return replace(objective, loss=_loss(objective.loss))
    if isinstance(objective, (Through, Given)):
        return replace(objective, inner=_objective(objective.inner))
    if not isinstance(objective, Sum):
        return objective
    parts: list[Objective] = []
    for part in objective.parts:
        before = parts[-1] if parts else None
        if isinstance(before, Term) and isinstance(part, Term) and _pair(before, part):
            parts[-1] = losses.HardAndSoft(before, part)
        else:
            parts.append(part)
    return Sum(tuple(map(_objective, parts)))


def _pair(hard: Term, soft: Term) -> bool:
    functions = hard.function, soft.function
    known = all(isinstance(f, Hashable) for f in functions) and functions in EQUIVALENT
    plain = _settings(hard) <= {"smoothing"} and _settings(soft) <= {"T"}  # what the one pass has room for
    return known and plain and hard.live == soft.live and not hard.row_weights and not soft.row_weights


def _settings(term: Term) -> set[str]:
    return set(getattr(term.loss, "keywords", {}))


def _loss(loss: Callable[..., Any]) -> Callable[..., Any]:
    if isinstance(loss, functools.partial):
        return functools.partial(_loss(loss.func), *loss.args, **loss.keywords)
    return EQUIVALENT.get(loss, loss) if isinstance(loss, Hashable) else loss


def _network(net: Network) -> Any:
    made: list[Any] = []
    position: dict[int, int] = {}  # of a layer before, to where its output comes from now
    i = 0
    while i < len(net.layers):
        pair = tuple(type(layer) for layer in net.layers[i : i + 2])
        fused = EQUIVALENT.get(pair)
        made.append(copy.copy(net.layers[i]))
        if fused is not None:
            made[-1].__class__ = fused
        i += 1 if fused is None else 2
        position[i - 1] = len(made) - 1
    other = object.__new__(type(net))  # not copy: that would be a network of its own
    other.__dict__.update(net.__dict__)
    other.layers = made
    other.taps = {name: position[at] for name, at in net.taps.items() if at in position}
    other.lay_over(net.theta)
    other.frozen = frozenset(position.get(at, position.get(at + 1, -1)) for at in net.frozen)
    return other
