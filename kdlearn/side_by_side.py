"""`fit` for a stack: what is given once or once a member becomes one objective, one data set, one stream a member."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kdlearn.data import Data
from kdlearn.data.stacked import StackedData, stack_data
from kdlearn.nn.stack import Stack, stacked
from kdlearn.objective import Objective


def one_each(thing: Any, members: int, what: str) -> list[Any]:
    """`thing` once a member: a sequence of that length as it is, anything else repeated."""
    if not isinstance(thing, (list, tuple, range, np.ndarray)):
        return [thing] * members
    if len(thing) != members:
        raise ValueError(f"{what}: there are {members} members, got {len(thing)}")
    return list(thing)


def one_objective(objectives: Objective | Sequence[Objective], members: int) -> Objective:
    """One objective for a stack, of one objective a member: the same terms, their adaptors as stacks."""
    if isinstance(objectives, Objective):
        return objectives
    given = one_each(objectives, members, "objective")
    first = given[0]
    for i, other in enumerate(given):
        if [t.name for t in other.terms] != [t.name for t in first.terms] or len(other.nets) != len(first.nets):
            raise ValueError(
                f"the objectives of a stack may differ in their adaptors alone; that of member {i} has other terms"
            )
    of_all = list(zip(*(o.nets for o in given)))
    for k, nets in enumerate(of_all):
        if len(set(nets)) < len(nets):
            raise ValueError(f"adaptor {k} is one object in the objectives of several members: give each its own")
    return first.with_nets({nets[0]: stacked(nets) for nets in of_all})


def hand_back_adaptors(objectives: Objective | Sequence[Objective], goal: Objective) -> None:
    """The adaptors' weights from the one objective that was trained back into those of the members' objectives."""
    if isinstance(objectives, Objective):
        return
    for k, net in enumerate(goal.nets):
        for i, own in enumerate(o.nets[k] for o in objectives):
            own.theta[...] = net[i].theta if isinstance(net, Stack) else net.theta.reshape(net.members, -1)[i]


def one_data(data: Any, members: int, what: str = "data") -> Any:
    """One `StackedData` of the members' data, or one data function of theirs."""
    if isinstance(data, StackedData):
        return data
    given = one_each(data, members, what)
    if all(isinstance(d, Data) for d in given):
        return stack_data(given)
    if not all(callable(d) for d in given):
        raise TypeError(
            f"{what} must be kd.Data or a function (epoch, rng) -> kd.Data, one for all members or one a member"
        )

    def columns(epoch: int, order: Sequence[np.random.Generator]) -> Data:
        return stack_data([own(epoch, rng) for own, rng in zip(given, order)])

    return columns


def streams(seeds: Sequence[Any], names: Iterable[str], stack: bool) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """`(order, dice, all)`: independent random streams for the shuffles and for the dropout of each named student.

    For a stack `order` and each of the dice are lists, one stream a member. `all` is {what and whose: stream}.
    """
    kinds = ("order", *names)
    spawned = [np.random.SeedSequence(seed).spawn(len(kinds)) for seed in seeds]
    made = [[np.random.default_rng(own[k]) for own in spawned] for k in range(len(kinds))]
    order, *dice = made if stack else [own[0] for own in made]
    every = {f"{kind} {i}": rng for kind, own in zip(kinds, made) for i, rng in enumerate(own)}
    return order, dict(zip(kinds[1:], dice)), every
