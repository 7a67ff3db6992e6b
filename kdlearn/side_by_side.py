"""`fit` for a stack: what is given once or once a member becomes one objective, one data set, one stream a member."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from kdlearn.backend import to_numpy
from kdlearn.checks import check_seed
from kdlearn.data import Data
from kdlearn.data.stacked import StackedData, stack_data
from kdlearn.loss import unwrapped
from kdlearn.nn.layers import Layer
from kdlearn.nn.network import Network
from kdlearn.nn.stack import Stack, stacked
from kdlearn.objective import Objective
from kdlearn.telling import enclosed


def one_each(thing: Any, members: int, what: str) -> list[Any]:
    """`thing` once a member: a sequence of that length as it is, anything else repeated."""
    if not isinstance(thing, (list, tuple, range, np.ndarray)):
        return [thing] * members
    if len(thing) != members:
        raise ValueError(f"{what}: there are {members} members, got {len(thing)}")
    return list(thing)


def one_objective(objectives: Objective | Sequence[Objective], members: int) -> Objective:
    """One objective for a stack, of one objective a member: the same terms, their adaptors as stacks.

    ValueError where they differ in more than the weights of their adaptors, naming the part and what differs.
    """
    if not isinstance(objectives, (list, tuple)):
        return objectives  # type: ignore[return-value]  # one for all, or what the door will refuse
    given = one_each(objectives, members, "objective")
    for i, other in enumerate(given):
        if not isinstance(other, Objective):
            raise TypeError(
                f"the objective of member {i} must be a kd.Objective such as kd.CrossEntropy(), got {other!r}"
            )
    first = given[0]
    for i, other in enumerate(given):
        if found := _difference(first, other):
            raise ValueError(
                f"the objectives of a stack may differ in the weights of their adaptors alone; member {i}: {found}"
            )
    of_all = list(zip(*(o.nets for o in given)))
    for k, nets in enumerate(of_all):
        if len(set(nets)) < len(nets):
            raise ValueError(f"adaptor {k} is one object in the objectives of several members: give each its own")
    return first.with_nets({nets[0]: stacked(nets) for nets in of_all})


def _difference(first: Objective, other: Objective) -> str | None:
    """The first part of an objective that is other than member 0's, and how; None where adaptors' weights alone are."""
    for own, its in zip(other.walk(), first.walk()):  # side by side, as each has as many inside as the other
        who, where = (
            getattr(o, "name", None) or f"{type(o).__name__} {getattr(o, 'target', '')!r}" for o in (own, its)
        )
        if type(own) is not type(its) or len(own.inside) != len(its.inside):
            return f"{who} stands where member 0 has {where}"
        if not is_dataclass(own) and own is not its:
            return f"what {who} holds is not known; give all members the same object"
        settings: list[str] = [field.name for field in fields(own)] if is_dataclass(own) else []
        for setting in settings:
            pair = [getattr(own, setting), getattr(its, setting)]
            if setting == "net" and all(net.n_parameters for net in pair):  # its place among the adaptors
                pair = [other.nets.index(pair[0]), first.nets.index(pair[1])]
            if setting not in ("inner", "parts") and not same(*pair):
                told, known = map(_shown, pair)
                hint = "; a function is known to be the same where it is one object, made once for all members"
                return f"{who} has the {setting} {told}, member 0 has {known}{hint * (told == known)}"
    return None


def _shown(thing: Any) -> str:
    """A setting, as a message says it: a function by its name and what was set of it."""
    if isinstance(thing, functools.partial):
        function, args, settings = unwrapped(thing)
        told = [*map(_shown, args), *(f"{name}={_shown(value)}" for name, value in settings.items())]
        return f"{_shown(function)}({', '.join(told)})"
    if isinstance(thing, tuple):
        return f"({', '.join(map(_shown, thing))})"
    return getattr(thing, "__qualname__", None) or repr(getattr(thing, "layers", thing))


def same(a: Any, b: Any, open_: tuple[tuple[int, int], ...] = ()) -> bool:
    """Whether two settings of an objective are known to be equal.

    Numbers, texts, sequences, mappings and arrays by what they hold; functions by their code, what was set of them
    and what they enclose; other things where they are one object. `open_` holds the pairs that are being compared: a
    function may enclose itself.
    """
    if a is b or (id(a), id(b)) in open_:
        return True
    like = functools.partial(same, open_=(*open_, (id(a), id(b))))
    if isinstance(a, functools.partial) and isinstance(b, functools.partial):
        return like(unwrapped(a), unwrapped(b))
    if all(isinstance(thing, (int, float, str, np.generic)) for thing in (a, b)):
        return bool(a == b)
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(like, a, b))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(like(a[key], b[key]) for key in a)
    if isinstance(a, (slice, range)):
        return a == b
    if isinstance(a, (operator.itemgetter, operator.attrgetter, operator.methodcaller)):
        return like(a.__reduce__(), b.__reduce__())
    if isinstance(a, types.MethodType):
        return a.__self__ is b.__self__ and like(a.__func__, b.__func__)
    if isinstance(a, types.FunctionType):
        parts = ("__defaults__", "__kwdefaults__", "__closure__")
        alike = a.__code__ == b.__code__ and a.__globals__ is b.__globals__
        return alike and all(like(getattr(a, part), getattr(b, part)) for part in parts)
    if isinstance(a, types.CellType):
        return like(enclosed(a), enclosed(b))
    if isinstance(a, Network):  # a fixed map in a Through: it has no parameters
        return like((a.taps, a.layers), (b.taps, b.layers))
    if isinstance(a, Layer):
        return like(vars(a), vars(b))
    if hasattr(a, "dtype") and hasattr(a, "shape"):
        return a.dtype == b.dtype and np.array_equal(to_numpy(a), to_numpy(b))
    return False


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
    for seed in seeds:
        check_seed(seed)
        if isinstance(seed, (np.random.Generator, np.random.SeedSequence, np.random.BitGenerator)):
            raise TypeError(f"seed must be a whole number, from which several streams are made, got {seed!r}")
    spawned = [np.random.SeedSequence(seed).spawn(len(kinds)) for seed in seeds]
    made = [[np.random.default_rng(own[k]) for own in spawned] for k in range(len(kinds))]
    order, *dice = made if stack else [own[0] for own in made]
    every = {f"{kind} {i}": rng for kind, own in zip(kinds, made) for i, rng in enumerate(own)}
    return order, dict(zip(kinds[1:], dice)), every
