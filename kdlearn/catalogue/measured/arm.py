"""A method as an arm of a trial: trained for all seeds at once, and measured."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdlearn import demo
from kdlearn.catalogue.measured import no_teacher, one_teacher, several
from kdlearn.catalogue.measured.lessons import METHODS, Method
from kdlearn.catalogue.measured.tasks import Ground, ground
from kdlearn.data import Data
from kdlearn.history import DivergenceError
from kdlearn.nn.network import Network
from kdlearn.nn.optim import AdamW, cosine
from kdlearn.nn.stack import Stack
from kdlearn.training import fit

ENTERED = (one_teacher, several, no_teacher)  # their import enters the methods, in worker processes too


@dataclass(frozen=True)
class Train:
    """`train(seeds, part, **setting)` of a method on a task, for `kd.study.trial`; known by the two names."""

    task: str
    name: str

    @property
    def method(self) -> Method:
        """The method of this name."""
        return METHODS[self.name]

    def __call__(
        self, seeds: Sequence[int], part: str, rate: float, epochs: int, decay: float, **own: Any
    ) -> dict[str, list[float]]:
        """Metrics on the rows of `part`, one value a seed.

        `rate` is a factor of the task's, `epochs` is 0 for its short training and 1 for the long one.
        """
        made = ground(self.task, tuple(seeds))
        apart = [made.only(i) for i in range(len(seeds))] if self.method.alone else [made]
        nets = [net for one in apart for net in self.prepared(one, rate, epochs, decay, own)()]
        return measure(nets, getattr(made, part), made.teachers["teacher"])

    def prepared(
        self, made: Ground, rate: float, epochs: int, decay: float, own: dict[str, Any]
    ) -> Callable[[], Sequence[Network]]:
        """A training that is ready to begin; it returns the students that are measured."""
        made = replace(made, epochs=made.task.epochs[epochs])
        lesson = self.method.teach(made, **own)
        students: Any = lesson.students or {"student": made.students()}
        seeds: Any = list(made.seeds)
        data: Any = made.lessons if lesson.data is None else lesson.data
        teachers: Any = lesson.teachers
        if self.method.alone:
            students = {name: net[0] if isinstance(net, Stack) else net for name, net in students.items()}
            seeds, data = seeds[0], data[0] if isinstance(data, list) else data
        goal = lesson.objective
        if self.method.alone and isinstance(goal, list):
            goal = goal[0]

        def train() -> Sequence[Network]:
            with contextlib.suppress(DivergenceError):  # its weights are held, like those of a stack's member
                fit(
                    students, goal, data, teachers=teachers, optimizer=AdamW(rate * made.task.rate, weight_decay=decay),
                    schedule=cosine, epochs=made.epochs, batch_size=made.task.batch, seed=seeds,
                    hooks=lesson.hooks, progress=False,
                )  # fmt: skip
            net = students[lesson.measured]
            return [net] if self.method.alone else net

        return train


def measure(nets: Sequence[Network], rows: Sequence[Data], teachers: Sequence[Network]) -> dict[str, list[float]]:
    """Accuracy and agreement with the teacher (percent), log-loss (nats) and calibration error, one value a network."""
    each = [demo.measure(net.logits(d.x), d.y, teacher.logits(d.x)) for net, d, teacher in zip(nets, rows, teachers)]
    return {metric: [found[metric] for found in each] for metric in each[0]}
