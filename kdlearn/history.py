"""What a training leaves behind, what its hooks see, and how it stops early or fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdlearn.backend import Array
from kdlearn.data import Data
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Objective


class DivergenceError(RuntimeError):
    """A loss or a weight became NaN or infinite. Carries the `history` of the epochs before."""

    history: History


class History:
    """What happened, one record an epoch.

    `records` is a list of {"epoch", "rate", "seconds", "train": {term: value}, "validation":
    {term: value}}. `history["loss"]` is one list over the epochs; any term may be given by an
    unambiguous beginning of its name, and `history["loss", "validation"]` asks for the other rows.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: str | tuple[str, str]) -> list[float]:
        name, part = key if isinstance(key, tuple) else (key, "train")
        known = list(self.records[0].get(part, {})) if self.records else []
        found = [n for n in known if n == name] or [n for n in known if n.startswith(name)]
        if len(found) != 1:
            problem = "is not in" if not found else "fits several of"
            raise KeyError(f"{name!r} {problem} the {part} values: {', '.join(known) or 'none'}")
        return [record[part][found[0]] for record in self.records]

    def __repr__(self) -> str:
        last = self.records[-1]["train"]["loss"] if self.records else float("nan")
        return f"History({len(self)} epochs, training loss {last:.4g})"


class Run:
    """The state of a `fit`, as its hooks see it. Setting `stop = True` ends it after the epoch."""

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
    def trained(self) -> list[Network]:
        """Students, adaptors, and the teachers that a hook names in its attribute `moves`, each once."""
        names = [name for hook in self.hooks for name in getattr(hook, "moves", ()) if name in self.teachers]
        nets = (*self.students.values(), *self.objective.nets, *(self.teachers[name] for name in names))
        return list({id(n): n for n in nets}.values())

    def rewritten(self) -> dict[str, Array]:
        """Columns that are no longer those `fit` was given."""
        if self.data is None or self.given is None:
            return {}
        given = self.given.columns
        return {name: a for name, a in self.data.columns.items() if a is not given.get(name)}


class EarlyStopping:
    """A hook that stops when a validation value no longer falls, and restores the best weights.

    Parameters
    ----------
    monitor : name of a validation value, as `History` takes it.
    patience : epochs without a new best before the end.
    """

    def __init__(self, monitor: str = "loss", patience: int = 10) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience!r}")
        self.monitor, self.patience = monitor, patience
        self.best, self.best_epoch = float("inf"), 0
        self.weights: list[Array] = []

    def after_epoch(self, run: Run) -> None:
        """Compare, remember, and on the last epoch of its patience restore and stop."""
        if "validation" not in run.history.records[-1]:
            raise ValueError("EarlyStopping needs fit(validation=…)")
        if run.epoch == 1:  # one stopper may serve several trainings, one after the other
            self.best, self.best_epoch, self.weights = float("inf"), 0, []
        value = run.history[self.monitor, "validation"][-1]
        if value < self.best:
            self.best, self.best_epoch = value, run.epoch
            self.weights = [net.theta.copy() for net in run.trained]
        run.stop = run.stop or run.epoch - self.best_epoch >= self.patience

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a checkpoint must hold: `(plain values, arrays)`."""
        best = None if self.best == float("inf") else self.best
        return {"best": best, "best_epoch": self.best_epoch}, {str(i): a for i, a in enumerate(self.weights)}

    def restore(self, values: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what `state` gave."""
        self.best = float("inf") if values["best"] is None else values["best"]
        self.best_epoch = values["best_epoch"]
        self.weights = [arrays[str(i)] for i in range(len(arrays))]

    def after_fit(self, run: Run) -> None:
        """Restore the best weights."""
        for net, theta in zip(run.trained, self.weights):
            net.theta[...] = theta
