"""The tasks: data, the networks, and what teachers say of the rows that a student learns from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kdlearn.data import Data, Splits, digits, fashion_mnist
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.network import MLP, Network
from kdlearn.nn.optim import Adam, cosine
from kdlearn.nn.stack import Stack
from kdlearn.objective import Objective
from kdlearn.training import fit

TEAM = ("teacher", "second", "third")  # three teachers of one kind; whoever has one teacher has the first


@dataclass(frozen=True)
class Task:
    """Rows and networks.

    `splits(seed)` are the rows that a student learns from, validation and test rows, and the teacher's rows.
    """

    name: str
    line: str
    splits: Callable[[int], tuple[Splits, Data]]
    student: tuple[int, ...]
    teacher: tuple[int, ...]
    epochs: tuple[int, int]  # of a student: short and long
    batch: int
    teacher_epochs: int
    rate: float  # of a student's AdamW


def few_digits(seed: int) -> tuple[Splits, Data]:
    """100 labels for the student, 1097 for the teacher."""
    train, validation, test = digits(seed)
    return Splits(train.take(slice(0, 100)), validation, test), train


def few_clothes(seed: int) -> tuple[Splits, Data]:
    """Fashion-MNIST at 14 x 14, means of 2 x 2 pixels: 1000 labels for the student, 10,000 for the teacher."""
    rng = np.random.default_rng(seed)
    small = _small_clothes()
    order = rng.permutation(len(small.train))[:11_000]
    train, validation = small.train.take(order[:10_000]), small.train.take(order[10_000:])
    return Splits(train.take(slice(0, 1000)), validation, small.test), train


@functools.cache
def _small_clothes() -> Splits:
    def halved(data: Data) -> Data:
        x = data.x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
        return Data({"x": x.astype(np.float32), "y": data.y})

    whole = fashion_mnist(validation=0)
    return Splits(halved(whole.train), halved(whole.train.take(slice(0, 1))), halved(whole.test))


def wrong_digits(seed: int) -> tuple[Splits, Data]:
    """Digits with 40 % of the labels wrong, in the rows to learn from and in those to choose with, for everybody."""
    train, validation, test = digits(seed)
    rng = np.random.default_rng(10_000 + seed)
    noisy = []
    for data in (train, validation):
        wrong = rng.uniform(size=len(data)) < 0.4
        y = np.where(wrong, (data.y + rng.integers(1, 10, len(data))) % 10, data.y)
        noisy.append(data.with_columns({"y": y}))
    return Splits(noisy[0], noisy[1], test), noisy[0]


TASKS = {
    task.name: task
    for task in (
        Task("digits", "scikit-learn's digits, 100 labels; the teacher has 1097", few_digits,
             (64, 32, 32, 10), (64, 128, 128, 10), (100, 300), 50, 30, 0.01),
        Task("clothes", "Fashion-MNIST at 14 x 14, 1000 labels; the teacher has 10,000", few_clothes,
             (196, 32, 32, 10), (196, 128, 128, 10), (40, 120), 200, 15, 0.003),
        Task("noise", "digits, 40 % of 1097 labels wrong; the teacher has the same labels", wrong_digits,
             (64, 64, 64, 10), (64, 128, 128, 10), (15, 45), 64, 30, 0.003),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """What the arms of a task stand on, one entry a seed."""

    task: Task
    seeds: tuple[int, ...]
    lessons: list[Data]  # with the teachers' answers as columns
    validation: list[Data]
    test: list[Data]
    teachers: dict[str, list[Network]]
    epochs: int = 0  # of the students' training

    def students(self, offset: int = 0) -> Stack:
        """Untrained students; those of the same offset begin with the same weights in every arm."""
        return Stack([MLP(*self.task.student, seed=1000 + offset * 100 + seed) for seed in self.seeds])

    def only(self, i: int) -> Ground:
        """What seed i alone stands on."""
        one = slice(i, i + 1)
        teachers = {who: nets[one] for who, nets in self.teachers.items()}
        rows = (self.lessons[one], self.validation[one], self.test[one])
        return Ground(self.task, self.seeds[one], *rows, teachers, self.epochs)


@functools.cache
def ground(name: str, seeds: tuple[int, ...]) -> Ground:
    """Data and trained teachers of these seeds: a team, younger selves of the first, a twin, an assistant."""
    task = TASKS[name]
    made = [task.splits(seed) for seed in seeds]
    lessons, rows = [splits.train for splits, _ in made], [train for _, train in made]
    y, size = CrossEntropy(), task.teacher_epochs

    def taught(sizes: Sequence[int], first: int, epochs: int, goal: Objective = y, data: list[Data] = rows) -> Stack:
        nets = Stack([MLP(*sizes, dropout=0.3 if sizes == task.teacher else 0.0, seed=first + s) for s in seeds])
        fit(nets, goal, data, optimizer=Adam(3e-3), schedule=cosine, epochs=epochs, batch_size=64,
            seed=[first + s for s in seeds], progress=False)  # fmt: skip
        return nets

    teams = {who: taught(task.teacher, 5000 * i, size) for i, who in enumerate(TEAM)}
    teams["young"] = taught(task.teacher, 0, max(2, size // 8))
    teams["half"] = taught(task.teacher, 0, size // 2)
    teams["twin"] = taught(task.student, 7000, size)
    answered = [d.with_columns({"teacher.logits": t.logits(d.x)}) for d, t in zip(rows, teams["teacher"])]
    middle = (task.teacher[0], 64, 64, task.teacher[-1])
    teams["assistant"] = taught(middle, 8000, size, 0.3 * CrossEntropy() + 0.7 * SoftTargets(4), answered)
    teachers = {who: list(stack) for who, stack in teams.items()}
    for who, nets in teachers.items():
        for i, net in enumerate(nets):
            sites, _ = net.forward(lessons[i].x)
            lessons[i] = lessons[i].with_columns({f"{who}.{tap}": a for tap, a in sites.items()})
    validation, test = [s.validation for s, _ in made], [s.test for s, _ in made]
    return Ground(task, seeds, lessons, validation, test, teachers)
