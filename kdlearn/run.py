"""The state of a training, as its hooks and checkpoints see it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from kdlearn.backend import Array
from kdlearn.data import Data
from kdlearn.history import History
from kdlearn.nn.module import Module
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Objective
from kdlearn.step import members_of

MOMENTS = ("before_fit", "after_step", "after_epoch", "after_fit")


def has_state(thing: Any) -> bool:
    """Whether it says itself, by a method `state`, what of it changes."""
    return callable(getattr(type(thing), "state", None))


class Run:
    """A `fit` under way. A hook may set `stop = True`, which ends it after the epoch, and replace `data`.

    Columns of `data` cannot be written into; one that changes is replaced, `run.data.with_columns({"w": …})`.

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
        self.held_out: Data | None = None  # the validation data
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
            if has_state(hook) and not hasattr(hook, "restore"):
                raise TypeError(
                    f"{kind} has state(), so it needs restore(values, arrays), which takes back what that gave"
                )
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
