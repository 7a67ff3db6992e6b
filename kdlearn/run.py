"""The state of a training, as its hooks and checkpoints see it."""

from __future__ import annotations

import functools
import inspect
import json
import types
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, to_numpy
from kdlearn.checks import is_number
from kdlearn.data import Data
from kdlearn.history import History
from kdlearn.nn.module import Module
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Given, Objective, Through
from kdlearn.step import members_of

VALUES = "values of the rows"
MOMENTS = ("before_fit", "after_step", "after_epoch", "after_fit")


class Run:
    """A `fit` under way. A hook may set `stop = True`, which ends it after the epoch, and replace `data`.

    A hook is a function called with the run after each epoch, or an object with any of the methods
    `before_fit`, `after_step`, `after_epoch`, `after_fit`. One that has `state()` and `restore()` is saved in
    checkpoints; one that moves a teacher names it in `moves`, so that the teacher is restored after a
    fault and saved like a student.
    """

    def __init__(
        self, students: dict[str, Network], teachers: dict[str, Network], objective: Objective, optimizer: Optimizer
    ):
        self.students, self.teachers = students, teachers
        self.objective, self.optimizer = objective, optimizer
        self.hooks: Sequence[Any] = ()
        self.history = History()
        self.data: Data | None = None
        self.given: Data | None = None  # the data as it was before any hook rewrote a column
        self.epoch = 0
        self.stop = False

    @property
    def members(self) -> int:
        """1, or how many networks the students' stacks hold."""
        return members_of(self.students)

    @property
    def owners(self) -> dict[Module, str]:
        """{network: name}: students, adaptors, and the teachers that a hook names in `moves`, each once."""
        names = [name for hook in self.hooks for name in getattr(hook, "moves", ()) if name in self.teachers]
        pairs: list[tuple[Module, str]] = [(net, name) for name, net in self.students.items()]
        pairs += [(net, f"adaptor {i}") for i, net in enumerate(self.objective.nets)]
        pairs += [(self.teachers[name], name) for name in names]
        found: dict[Module, str] = {}
        for net, name in pairs:
            found.setdefault(net, name)
        return found

    @property
    def trained(self) -> list[Module]:
        """The networks of `owners`."""
        return list(self.owners)

    def rewritten(self) -> dict[str, Array]:
        """Columns that are no longer those `fit` was given."""
        if self.data is None or self.given is None:
            return {}
        given = self.given.columns
        return {name: a for name, a in self.data.columns.items() if a is not given.get(name)}

    def call(self, moment: str) -> None:
        """Every hook that waits for this moment."""
        for hook in self.hooks:
            if hasattr(hook, moment):
                getattr(hook, moment)(self)
            elif moment == "after_epoch" and callable(hook) and not any(hasattr(hook, m) for m in MOMENTS):
                hook(self)

    def check_hooks(self) -> None:
        """TypeError for what is no hook, ValueError for one that moves a student under a teacher's name.

        A teacher that neither the objective reads nor a hook moves is a warning: a term may be forgotten, but a hook
        or a step of another kind may look at it.
        """
        if any(hasattr(self.hooks, name) for name in (*MOMENTS, "__call__")) or not isinstance(self.hooks, Iterable):
            raise TypeError(f"hooks must be a list, got {type(self.hooks).__name__}; write hooks=[…]")
        self.hooks = list(self.hooks)  # a generator would be empty by the time of the first epoch
        for i, hook in enumerate(self.hooks):
            if any(hook is other for other in self.hooks[:i]):
                raise ValueError(f"the hook {hook!r} is given twice, and would be called twice")
            kind = hook.__name__ if isinstance(hook, type) else type(hook).__name__
            if isinstance(hook, type):
                raise TypeError(f"hooks must be objects, got the class {kind}; write {kind}(…)")
            own = [name for name in dir(hook) if name.startswith(("before_", "after_"))]
            unknown = [name for name in own if name not in MOMENTS and callable(getattr(hook, name))]
            if unknown:
                raise TypeError(f"a hook has the methods {', '.join(MOMENTS)}; {kind} has {unknown[0]!r}")
            if not own and not callable(hook):
                raise TypeError(f"a hook is a function, or has one of {', '.join(MOMENTS)}; got {hook!r}")
            for name in getattr(hook, "moves", ()):
                teacher = self.teachers.get(name)
                same = [s for s, net in self.students.items() if teacher is not None and net.theta is teacher.theta]
                if same:
                    raise ValueError(
                        f"{kind} moves the teacher {name!r}, which is the student {same[0]!r} itself; "
                        f"give fit teachers={{{name!r}: {same[0]}.copy()}}"
                    )
        moved = {name for hook in self.hooks for name in getattr(hook, "moves", ())}
        read = {site.rpartition(".")[0] for site in self.objective.sites}
        for name in self.teachers.keys() - moved - read:
            warnings.warn(
                f"no term of the objective reads the teacher {name!r}, so nothing is learnt from it; kd.SoftTargets() "
                f"is a term that does",
                stacklevel=3,
            )


def describe(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, in words and numbers: a checkpoint goes on only with a run of the same description."""
    weight = {"weights of": [[term.name, _said(term.loss), _said(term.weight)] for term in run.objective.terms]}
    adaptors = [o.target for o in run.objective.walk() if isinstance(o, Through)]
    given = [[o.target, _said(o.function)] for o in run.objective.walk() if isinstance(o, Given)]
    told = {
        "networks": [
            [name, net.theta.size, str(net.theta.dtype), repr(net.layers), sorted(net.frozen)]
            for net, name in run.owners.items()
        ],
        "teachers": {name: _sum(net) for name, net in run.teachers.items() if net not in run.owners},
        "objective": [weight, adaptors, *[given] * bool(given)],
        "optimizer": run.optimizer.settings(),
        "hooks": [_said_of(hook) for hook in run.hooks if hasattr(hook, "state")],
        "rows": None if run.given is None else len(run.given),
        "whole numbers of the rows": None if run.given is None else _whole_numbers(run.given),
        VALUES: None if run.given is None else _values(run.given),
        **{name: _said(value) for name, value in settings.items()},
    }
    return json.loads(json.dumps(told, default=str))


def _sum(net: Module) -> str:
    """What tells the weights of a teacher, which is not saved, from those of another."""
    return f"weights with the sum {zlib.crc32(to_numpy(net.theta).tobytes()):08x}"


def _whole_numbers(data: Data) -> dict[str, str]:
    """What tells the labels and positions of 64 rows from those of others; floats may differ in their last bits."""
    step = max(1, len(data) // 64)
    sums = {n: to_numpy(a[::step]) for n, a in data.columns.items() if a.dtype.kind in "iu"}
    return {name: f"{zlib.crc32(np.ascontiguousarray(a).tobytes()):08x}" for name, a in sums.items()}


def _values(data: Data) -> dict[str, list[float]]:
    """Mean and root mean square of the same rows' other numbers, which `like` compares to three digits."""
    step = max(1, len(data) // 64)
    some = {n: to_numpy(a[::step]).astype(float) for n, a in data.columns.items() if a.dtype.kind == "f"}
    some = {name: np.where(np.isfinite(a), a, 0.0) for name, a in some.items()}  # a masked class is -inf
    return {name: [float(a.mean()), float(np.linalg.norm(a)) / a.size**0.5] for name, a in some.items() if a.size}


def like(name: str, saved: Any, mine: Any) -> bool:
    """Whether one entry of two descriptions is that of one run."""
    if name != VALUES or saved is None or mine is None:
        return bool(saved == mine) or (name in (VALUES, "step") and saved is None)
    return set(saved) == set(mine) and all(
        abs(a - b) <= 1e-3 * mine[column][1] for column in mine for a, b in zip(saved[column], mine[column])
    )


def _said(thing: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A function by its name, what is set of it and what it encloses; other things as they are."""
    if any(thing is other for other in inside):  # it encloses itself
        return "itself"
    told = functools.partial(_said, inside=(*inside, thing) if callable(thing) else inside)
    if isinstance(thing, functools.partial):
        return [told(thing.func), [told(a) for a in thing.args], {k: told(v) for k, v in thing.keywords.items()}]
    if isinstance(thing, (tuple, list)):
        return [told(t) for t in thing]
    if isinstance(thing, types.FunctionType):
        thing = inspect.unwrap(thing)
        held = [told(value) for value in (*map(_enclosed, thing.__closure__ or ()), *(thing.__defaults__ or ()))]
        code = [f"{zlib.crc32(thing.__code__.co_code):08x}", [c for c in thing.__code__.co_consts if is_number(c)]]
        nameless = thing.__name__ == "<lambda>"
        if not nameless and "<locals>" not in thing.__qualname__:
            return thing.__qualname__
        return [thing.__qualname__, held, *code * (nameless and not thing.__module__.startswith("kdlearn."))]
    if callable(thing):
        return getattr(thing, "__qualname__", None) or _said_of(thing)
    return thing if thing is None or isinstance(thing, (bool, int, float, str)) else type(thing).__qualname__


def _enclosed(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return None


def _said_of(thing: Any) -> Any:
    """An object by its class and, where the class is this package's, by the settings it was made with."""
    kind = type(thing)
    if not kind.__module__.startswith("kdlearn."):
        return kind.__qualname__
    own = {name: getattr(thing, name, None) for name in inspect.signature(kind).parameters}
    told = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in own.items()}
    return [kind.__name__, {name: _said(value) for name, value in told.items()}]
