"""The one training step. Every kind of distillation goes through here.

It reads like the sentence that describes the package: run the networks, ask the objective for
gradients at the sites, hand each gradient to the network that owns the site, and let the
optimiser move it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Objective

Networks = Network | Mapping[str, Network]
Dice = np.random.Generator | Mapping[str, np.random.Generator] | None


def train_step(
    students: Networks,
    teachers: Networks | None,
    objective: Objective,
    batch: Mapping[str, Array],
    *,
    optimizer: Optimizer,
    rng: Dice = None,
) -> dict[str, Array]:
    """One step of every student (and of the objective's adaptors) on one batch.

    Parameters
    ----------
    students, teachers : a network (called "student", "teacher") or {name: network}. Teachers run
        without dropout and are not changed.
    objective : what is to be made small, in terms of sites such as "student.logits".
    batch : columns; `<name>.x` is the input of the network of that name, else `x`.
    optimizer : moves every student and adaptor.
    rng : the dice for dropout, one Generator or {student: Generator}; None for none.

    Returns
    -------
    {term: value} as 0-d arrays on the batch's device; under "loss" the whole objective.
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    live, fixed, caches = run_networks(students, teachers, objective, batch, rng)
    values: dict[str, Array] = {}
    total, gradients = objective(live, fixed, values)
    own: dict[str, dict[str, Array]] = {name: {} for name in students}
    for site, gradient in gradients.items():
        owner, _, tap = site.rpartition(".")
        own[owner][tap] = gradient
    moved: dict[int, tuple[Network, str]] = {}
    for name, net in students.items():
        net.backward(caches[name], own[name], accumulate=id(net) in moved)
        moved.setdefault(id(net), (net, name))
    for i, net in enumerate(objective.nets):
        moved.setdefault(id(net), (net, f"adaptor {i}"))
    for net, owner in moved.values():
        optimizer.step(net, owner)
    return {"loss": total, **values}


def run_networks(
    students: Mapping[str, Network],
    teachers: Mapping[str, Network],
    objective: Objective,
    batch: Mapping[str, Array],
    rng: Dice = None,
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Any]]:
    """`(live, fixed, caches)`: run each network as far as the objective reads it.

    `fixed` holds the batch's columns, the teachers' taps and the students' own taps, detached.
    """
    wanted = _taps(objective.sites, (*students, *teachers), tuple(batch))
    live: dict[str, Array] = {}
    fixed, caches = dict(batch), {}
    for name, net in teachers.items():
        if wanted[name]:
            sites, _ = net.forward(input_of(name, batch), taps=wanted[name])
            fixed.update({f"{name}.{tap}": a for tap, a in sites.items()})
    for name, net in students.items():
        dice = rng if rng is None or isinstance(rng, np.random.Generator) else rng.get(name)
        sites, caches[name] = net.forward(input_of(name, batch), dice, taps=wanted[name])
        live.update({f"{name}.{tap}": a for tap, a in sites.items()})
    fixed.update(live)
    return live, fixed, caches


def named(networks: Networks | None, default: str) -> dict[str, Network]:
    """A network as {default: network}; a mapping as a dict."""
    if isinstance(networks, Network):
        return {default: networks}
    return {} if networks is None else dict(networks)


@functools.lru_cache
def _taps(sites: frozenset[str], names: tuple[str, ...], columns: tuple[str, ...]) -> dict[str, list[str]]:
    taps: dict[str, list[str]] = {name: [] for name in names}
    for site in sites:
        owner, dot, tap = site.rpartition(".")
        if dot and owner in taps and site not in columns:
            taps[owner].append(tap)
    return taps


def input_of(name: str, batch: Mapping[str, Array]) -> Array:
    """The batch's column `<name>.x`, or `x` where a network has none of its own."""
    own = batch.get(name + ".x")
    return batch["x"] if own is None else own
