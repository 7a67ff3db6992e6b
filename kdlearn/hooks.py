"""Ready-made hooks: stop early, keep the way a network came, follow a network's past or its peers' answers.

A hook is given to `fit(hooks=[…])`; what it may be is said by `Run`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_count, is_number
from kdlearn.data import Data
from kdlearn.data.stacked import StackedData, stack_data
from kdlearn.evaluation import evaluate_checked
from kdlearn.history import History
from kdlearn.nn.layers import Dropout
from kdlearn.nn.module import Module
from kdlearn.nn.network import Network
from kdlearn.run import Run
from kdlearn.step import input_of


class EarlyStopping:
    """Stop when a validation value no longer improves, and restore the best weights.

    Parameters
    ----------
    monitor : name of a validation value, as `History` takes it. "loss" is what the training minimises, with
        the weights that its terms have at the end of the epoch.
    patience : epochs without a new best before the end.
    mode : "min" where lower is better, "max" where higher is; default "max" for accuracies, else "min".

    In a stack each member has its own best epoch; the training ends when all have run out of patience.
    A monitored value that is NaN is a ValueError: it would never be a new best. Where it is NaN of some members of a
    stack alone, these are entered in `History.diverged`, and the others go on.
    """

    def __init__(self, monitor: str = "loss", patience: int = 10, mode: str | None = None) -> None:
        check_count("patience", patience)
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        self.monitor, self.patience = monitor, patience
        self.mode = mode
        self.forget()

    def forget(self) -> None:
        """Begin anew: one stopper may serve several trainings, one after the other."""
        self.best, self.best_epoch = np.full(1, np.inf), np.zeros(1, int)
        self.weights: list[Array] = []

    def before_fit(self, run: Run) -> None:
        """Begin anew; ValueError without validation data, KeyError for a value that is not measured on them."""
        if run.held_out is None:
            raise ValueError("EarlyStopping needs fit(validation=…)")
        measured, few = History(), run.held_out.take([0, 1 % len(run.held_out)])
        with np.errstate(all="ignore"):
            values = evaluate_checked(run.students, run.teachers, run.objective, few)
        measured.records.append({"validation": values})
        measured.full_name(self.monitor, "validation")
        self.forget()

    def after_epoch(self, run: Run) -> None:
        """Compare and remember; stop when the patience of all is over."""
        value = np.atleast_1d(run.history[self.monitor, "validation"][-1]).astype(float)
        alive = np.array([i not in run.history.diverged for i in range(len(value))])
        lost = f"the validation value {self.monitor!r} is NaN in epoch {run.epoch}"
        if np.isnan(value[alive]).all() and alive.any():
            raise ValueError(f"{lost}; it can't be monitored")
        run.history.diverged |= dict.fromkeys(np.flatnonzero(alive & np.isnan(value)).tolist(), lost)
        full = run.history.full_name(self.monitor, "validation")  # a beginning of it may have been given
        if self.mode == "max" or (self.mode is None and full.endswith("accuracy")):
            value = -value
        if not self.weights:
            self.best, self.best_epoch = np.full(len(value), np.inf), np.zeros(len(value), int)
            self.weights = [net.theta.copy() for net in run.trained]
        better = (value < self.best) & (run.epoch - self.best_epoch <= self.patience)
        self.best, self.best_epoch = np.where(better, value, self.best), np.where(better, run.epoch, self.best_epoch)
        for net, kept in zip(run.trained, self.weights):
            take_members(net, kept, net.theta, better)
        run.stop = run.stop or bool((run.epoch - self.best_epoch >= self.patience).all())

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a checkpoint must hold: `(plain values, arrays)`."""
        best = [None if b == np.inf else float(b) for b in self.best]
        return {"best": best, "best_epoch": self.best_epoch.tolist()}, {str(i): a for i, a in enumerate(self.weights)}

    def restore(self, values: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what `state` gave."""
        self.best = np.array([np.inf if b is None else b for b in values["best"]])
        self.best_epoch = np.array(values["best_epoch"])
        self.weights = [arrays[str(i)] for i in range(len(arrays))]

    def after_fit(self, run: Run) -> None:
        """Restore the best weights."""
        for net, theta in zip(run.trained, self.weights):
            net.theta[...] = theta


def take_members(net: Module, into: Array, of: Array, chosen: np.ndarray) -> None:
    """Copy the parameters of the chosen members (R,) from one flat vector into another."""
    if chosen.all():
        into[...] = of
    elif chosen.any():
        rows = array_module(of).asarray(np.flatnonzero(chosen))
        for a, b in zip(net.by_member(into), net.by_member(of)):
            a[rows] = b[rows]


def check_student(run: Run, *names: str) -> None:
    """ValueError unless the training has students of these names."""
    for name in names:
        if name not in run.students:
            raise ValueError(f"a hook follows the student {name!r}; there are: {', '.join(run.students)}")


class Route:
    """Keep copies of a network as it is after the given epochs.

    Parameters
    ----------
    *epochs : counted from 1, e.g. `Route(8, 60)`.
    student : the network's name.

    After the training `networks` holds the copies, the youngest first. The first alone is an
    early-stopped teacher (Cho and Hariharan 2019); all of them are a route for `kd.distill.assistant.follow`.
    """

    def __init__(self, *epochs: int, student: str = "student") -> None:
        if not epochs:
            raise ValueError("a route needs at least one epoch")
        for epoch in epochs:
            check_count("an epoch of a route, counted from 1,", epoch)
        self.epochs, self.student = frozenset(epochs), student
        self.weights: list[Array] = []
        self.networks: list[Network] = []

    def before_fit(self, run: Run) -> None:
        """Begin anew."""
        check_student(run, self.student)
        self.weights = []

    def after_epoch(self, run: Run) -> None:
        """Keep the weights, if this is one of the epochs."""
        if run.epoch in self.epochs:
            self.weights.append(run.students[self.student].theta.copy())

    def after_fit(self, run: Run) -> None:
        """Make networks of them."""
        self.networks = [run.students[self.student].copy() for _ in self.weights]
        for net, theta in zip(self.networks, self.weights):
            net.theta[...] = theta
        missed = sorted(epoch for epoch in self.epochs if epoch > run.epoch)
        if missed:
            warnings.warn(f"the training ended after epoch {run.epoch}: the route has no epoch {missed}", stacklevel=4)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a checkpoint must hold."""
        return {}, {str(i): theta for i, theta in enumerate(self.weights)}

    def restore(self, values: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what `state` gave."""
        self.weights = [arrays[str(i)] for i in range(len(arrays))]


def check_alike(run: Run, teacher: str, student: str) -> None:
    """ValueError unless weights of the one mean the same in the other: the same layers, dropout aside."""
    kinds = [
        [repr(layer) for layer in nets[name].layers if not isinstance(layer, Dropout)]
        for nets, name in ((run.teachers, teacher), (run.students, student))
    ]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"the teacher {teacher!r} is to follow {student!r}, but has other layers: {kinds[0]} and {kinds[1]}; "
            f"give fit teachers={student}.copy()"
        )


class LastEpoch:
    """After each epoch, what the student now says becomes what it said before.

    It rewrites the column `<past>.logits` of the data, keyed by row. Where the data is a function of
    the epoch there is no such column; then let a copy of the student be the teacher of that name,
    `teachers={"past": student.copy()}`, and the hook brings it up to date instead.
    """

    def __init__(self, past: str = "past", student: str = "student") -> None:
        self.past, self.student = past, student
        self.moves = (past,)

    def before_fit(self, run: Run) -> None:
        """A teacher that is brought up to date must be a copy of the student."""
        check_student(run, self.student)
        if self.past in run.teachers:
            check_alike(run, self.past, self.student)

    def after_epoch(self, run: Run) -> None:
        """Rewrite the column, or the teacher."""
        student, data = run.students[self.student], run.data
        if self.past in run.teachers:
            run.teachers[self.past].theta[...] = student.theta
            return
        if data is None or run.given is None:
            raise ValueError(
                f"data that is made anew each epoch cannot keep a column; give fit "
                f"teachers={{{self.past!r}: student.copy()}} instead of {self.past + '.logits'!r}"
            )
        past = f"{self.past}.logits"
        run.data = data.with_columns({past: finite_answers(student, self.student, data, data.columns.get(past))})


class MovingAverage:
    r"""After each step the teacher's weights follow the student's `[hooks.1]`.

    .. math:: \theta_t \leftarrow m_s\,\theta_t + (1 - m_s)\,\theta_s, \qquad
              m_s = \min\Big(m,\ 1 - \frac1s\Big),\quad s = 1, 2, \dots

    Until :math:`s = 1/(1-m)` it is the plain mean of the student so far, so that the initial
    weights, which know nothing, leave no trace. In place, on the device, without waiting for it.

    Parameters
    ----------
    m : in [0, 1); the average looks back over about 1 / (1 - m) steps.
    teacher, student : names; begin with `teachers=student.copy()`.

    Source: Tarvainen and Valpola 2017, with the ramp that their published code has.
    """

    def __init__(self, m: float = 0.99, teacher: str = "teacher", student: str = "student") -> None:
        if not is_number(m) or not 0 <= m < 1:
            raise ValueError(f"m lies in [0, 1), got {m!r}")
        self.m, self.teacher, self.student = m, teacher, student
        self.moves = (teacher,)
        self.steps = 0

    def before_fit(self, run: Run) -> None:
        """Begin anew."""
        if self.teacher not in run.teachers:
            raise ValueError(f"there is no teacher {self.teacher!r} to move; give fit teachers=student.copy()")
        check_student(run, self.student)
        check_alike(run, self.teacher, self.student)
        self.steps = 0

    def after_step(self, run: Run) -> None:
        """Move the teacher."""
        self.steps += 1
        m = min(self.m, 1 - 1 / self.steps)
        theta = run.teachers[self.teacher].theta
        theta *= m
        theta += (1 - m) * run.students[self.student].theta

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a checkpoint must hold beside the teacher's weights."""
        return {"steps": self.steps}, {}

    def restore(self, values: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what `state` gave."""
        self.steps = values["steps"]


class StalePeers:
    """Write anew, every so many epochs, what each peer answers: the columns of `codistillation`.

    The columns must be there when training starts; `refresh` makes them.

        stale = kd.StalePeers("a", "b", every=2)
        objective = kd.distill.mutual.codistillation("a", "b")
        kd.fit(peers, objective, stale.refresh(train, peers), epochs=20, hooks=[stale])

    Where the data are a function of the epoch, that function calls `refresh` itself. Validation data
    need the columns too, if they are to be evaluated; the hook does not reach them.

    Parameters
    ----------
    names : of the students.
    every : epochs between two refreshments.
    """

    def __init__(self, *names: str, every: int = 1) -> None:
        check_names(names)
        check_count("every", every)
        self.names, self.every = names, every

    def refresh(self, data: Data | Sequence[Data], students: Mapping[str, Network]) -> Data:
        """The same rows with the columns `stale.<name>.logits` of the students as they are.

        For stacks the rows that all members share, or a list of one `Data` a member; `fit` takes what is returned.
        """
        for name in self.names:
            if name not in students:
                raise ValueError(f"there is no student {name!r} to ask; there are: {', '.join(students)}")
        rows: Any = data
        if not isinstance(data, Data):
            rows = stack_data(data)
        elif (members := students[self.names[0]].members) > 1 and not isinstance(data, StackedData):
            rows = stack_data([data] * members)
        columns = {name: f"stale.{name}.logits" for name in self.names}
        known = {name: rows.columns.get(column) for name, column in columns.items()}
        return rows.with_columns({c: finite_answers(students[n], n, rows, known[n]) for n, c in columns.items()})

    def before_fit(self, run: Run) -> None:
        """There must be students of these names."""
        check_student(run, *self.names)

    def after_epoch(self, run: Run) -> None:
        """Refresh, when it is time."""
        if run.epoch % self.every == 0 and run.data is not None:
            run.data = self.refresh(run.data, run.students)


def finite_answers(net: Network, name: str, data: Data, before: Array | None) -> Array:
    """The logits of a network on its rows of the data, as a column: for a stack member after member.

    Rows of which an answer is NaN or +inf keep what was there `before`: the weights have come apart, and the next step
    says so, of the member that it is.
    """
    with np.errstate(all="ignore"):
        z = net.logits(data.for_logits(input_of(name, data.columns)))
    z, xp = z.reshape(-1, z.shape[-1]), array_module(z)
    if before is None or before.shape != z.shape:
        return z
    sound = (z < xp.inf).all(axis=1, keepdims=True)
    return xp.where(sound, z, before)


def check_names(names: Sequence[str]) -> None:
    """ValueError unless there is at least one name, and all differ."""
    if not names or len(set(names)) != len(names):
        raise ValueError(f"peers need names, at least one and all different, got {', '.join(names) or 'none'}")
