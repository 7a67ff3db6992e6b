"""The one training step. Every kind of distillation goes through here.

Run the networks, ask the objective for gradients at the sites, hand each gradient to the network that
owns the site, and let the optimiser move it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.checks import check_count
from kdlearn.loss import ignored, normalizes
from kdlearn.nn.masks import DropoutMasks
from kdlearn.nn.module import Module
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Optimizer
from kdlearn.nn.stack import Stack
from kdlearn.objective import Evaluation, Objective, Sites

Networks = Network | Mapping[str, Network]
Roll = np.random.Generator | Sequence[np.random.Generator] | DropoutMasks  # one Generator a member of a stack
Dice = Roll | Mapping[str, Roll] | None


class Values(dict[str, Array]):
    """{term: value} of a step, "loss" first; of a stack, of one network too, one number a member.

    `counts` is {term: what its mean is over, where not over all rows}: the mean of an epoch needs it.
    """

    __slots__ = ("counts",)

    def __init__(self, result: Evaluation, students: Mapping[str, Network]) -> None:
        self["loss"] = result.value
        self.update(result.terms)
        self.counts = result.counts
        if result.members == 1 and any(isinstance(net, Stack) for net in students.values()):
            self.update({name: np.atleast_1d(value) for name, value in self.items()})
            self.counts = {name: np.atleast_1d(count) for name, count in self.counts.items()}


def train_step(
    students: Networks,
    teachers: Networks | None,
    objective: Objective,
    batch: Mapping[str, Array],
    *,
    optimizer: Optimizer,
    rng: Dice = None,
    micro_batch: int | None = None,
) -> dict[str, Array]:
    """One step of every student (and of the objective's adaptors) on one batch.

    Parameters
    ----------
    students, teachers : a network (called "student", "teacher") or {name: network}. Teachers run
        without dropout and are not changed.
    objective : what is to be made small, in terms of sites such as "student.logits".
    batch : columns; `<name>.x` is the input of the network of that name, else `x`. For stacks of R networks every
        column has R·N rows, N for each member, one member's after the other's: N rows that all shall see are
        `np.concatenate([x] * R)`. The rows of an ordinary batch would be dealt out among the members.
    optimizer : moves every student and adaptor.
    rng : the dice for dropout, one Generator or {student: Generator} with every student; None for none. On a GPU
        `kd.DropoutMasks` are drawn there.
    micro_batch : rows that are run at a time. The gradients of the pieces are added up, so the step is that of
        the whole batch (of losses that are means over rows, of `Given` functions and layers that work row by row, and
        without dropout, which each piece draws for itself) and the memory that of a piece.

    Returns
    -------
    {term: value} as 0-d arrays on the batch's device; under "loss" the whole objective. For a stack of
    R networks the values are (R,).
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    moved = trained(students, objective)
    for net in moved:
        net.written = False
    values: dict[str, Array] = {}
    if micro_batch is None:
        values = _gradients(students, teachers, objective, batch, rng)
    else:
        _check_pieces(objective, (*moved, *teachers.values()))
        check_count("micro_batch", micro_batch)
        for share, piece in _pieces(batch, micro_batch):
            part = _gradients(students, teachers, share * objective, piece, rng)
            if part.counts:
                raise ValueError(
                    f"micro_batch: {next(iter(part.counts))} is a mean over some rows, in each piece its own"
                )
            own = {name: value if name == "loss" else share * value for name, value in part.items()}
            values = {name: values[name] + value for name, value in own.items()} if values else own
    for net in moved:
        optimizer.step(net)
    return values


def _gradients(
    students: Mapping[str, Network], teachers: Mapping[str, Network], objective: Objective, batch: Sites, rng: Dice
) -> Values:
    live, fixed, caches = run_networks(students, teachers, objective, batch, rng)
    result = objective(live, fixed, members=members_of(students))
    hand_back(students, caches, result)
    return Values(result, students)


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
            net.check_laid()
            sites, _ = net.forward(_converted_input(name, net, batch), taps=wanted[name])
            fixed.update({site: sites[tap] for tap, site in wanted[name].items()})
    for name, net in students.items():
        dice = rng if rng is None or not isinstance(rng, Mapping) else rng[name]
        sites, caches[name] = net.forward(_converted_input(name, net, batch), dice, taps=wanted[name])
        for tap, site in wanted[name].items():
            live[site] = fixed[site] = sites[tap]
    return live, fixed, caches


def hand_back(students: Mapping[str, Network], caches: Mapping[str, Any], result: Evaluation) -> None:
    """Each gradient to the network that owns its site, and back through it."""
    own: dict[str, dict[str, Array]] = {name: {} for name in students}
    for site, gradient in result.gradients.items():
        name, _, tap = site.rpartition(".")
        if name in own:
            own[name][tap] = gradient
    for name, net in students.items():
        net.backward(caches[name], own[name])


def trained(students: Mapping[str, Network], objective: Objective) -> list[Module]:
    """What a step moves: the students and the objective's adaptors, each once, whatever names it goes by."""
    return list(dict.fromkeys([*students.values(), *objective.nets]))


def members_of(networks: Mapping[str, Network]) -> int:
    """How many networks each of these is: 1, or the size of the stacks."""
    return next(iter(networks.values())).members if networks else 1


def named(networks: Networks | None, default: str) -> dict[str, Network]:
    """A network as {default: network}; a mapping as a dict."""
    if isinstance(networks, Module):
        return {default: networks}
    if networks is not None and not isinstance(networks, Mapping):
        hint = "; its answers become a column with data.with_soft_labels(teacher)"
        raise TypeError(
            f"give a network, or networks by their names, {{{default!r}: …}}; got {type(networks).__name__}"
            + hint * hasattr(networks, "predict_proba")
        )
    return {} if networks is None else dict(networks)


def _check_pieces(objective: Objective, networks: Iterable[Module]) -> None:
    """ValueError for a term whose mean over a batch is not that over its pieces; TypeError for layers that mix rows."""
    for net in networks:
        net.check_row_by_row("micro_batch")
    for term in objective.terms:
        if not term.by_rows:
            raise ValueError(
                f"micro_batch: {term.name} compares the rows of a batch, and would see those of a piece alone; "
                "a loss that is a mean over rows says so by @kd.mean_over_rows"
            )
        if ignored(term.loss) is not None:
            raise ValueError(f"micro_batch: {term.name} leaves rows out, and each piece would have a mean of its own")
        if normalizes(term.loss) and term.row_weights:
            raise ValueError(
                f"micro_batch: {term.name} divides by the sum of its weights, and each piece has one of its own"
            )


def _pieces(batch: Mapping[str, Array], micro_batch: int) -> Iterable[tuple[float, Mapping[str, Array]]]:
    lengths = {n: len(a) for n, a in batch.items() if getattr(a, "ndim", 0)}
    rows = max(lengths.values())
    if min(lengths.values()) < rows:
        raise ValueError(f"micro_batch: columns must have one length, to be cut into pieces; got {lengths}")
    cuts = [slice(i, min(i + micro_batch, rows)) for i in range(0, rows, micro_batch)]
    return [
        ((c.stop - c.start) / rows, {n: a[c] if getattr(a, "ndim", 0) else a for n, a in batch.items()}) for c in cuts
    ]


def _converted_input(name: str, net: Network, batch: Mapping[str, Array]) -> Array:
    x = input_of(name, batch)
    try:  # which costs a right step nothing
        # networks of different precision may read one column
        return x if x.dtype == net.theta.dtype or x.dtype.kind != "f" else x.astype(net.theta.dtype)
    except AttributeError:
        raise TypeError(f"what the network {name!r} reads must be an array, got {type(x).__name__}") from None


@functools.lru_cache
def _taps(sites: frozenset[str], names: tuple[str, ...], columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """{network: {tap: its site}}: what the objective reads of each network and no column holds."""
    taps: dict[str, dict[str, str]] = {name: {} for name in names}
    for site in sites:
        owner, dot, tap = site.rpartition(".")
        if not dot or owner not in taps:
            continue
        if site not in columns:
            taps[owner][tap] = site
        elif tap != "x":
            raise ValueError(
                f"column {site!r} has the name of a site of the live network {owner!r}; drop one of the two"
            )
    return taps


def input_of(name: str, batch: Mapping[str, Array]) -> Array:
    """The batch's column `<name>.x`, or `x` where a network has none of its own."""
    own = batch.get(name + ".x")
    try:
        return batch["x"] if own is None else own
    except KeyError:
        there = ", ".join(map(str, batch)) or "none"
        raise KeyError(f"no column 'x' for the network {name!r}; there are: {there}") from None
