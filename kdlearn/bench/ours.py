"""This package as a contender: through its public calls, and by hand without the algebra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, to_device, to_numpy
from kdlearn.bench.work import ALPHA, SMALL, TEACHER, Make, Many, Runner, T, batch_of, digits_table
from kdlearn.data import Data
from kdlearn.distill.feature import squared_error
from kdlearn.distill.mutual import mutual as mutual_learning
from kdlearn.distill.response import CrossEntropy, SoftTargets, cross_entropy, soft_targets
from kdlearn.fast import BODIES
from kdlearn.loss import average
from kdlearn.nn.functional import softmax
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import SGD, Adam, Optimizer
from kdlearn.nn.stack import Stack
from kdlearn.objective import Match, Objective, Sum, Through
from kdlearn.training import fit, train_step


def kd_loss(device: str = "cpu") -> Objective:
    """0.3 labels + 0.7 soft targets at T = 4."""
    return (1 - ALPHA) * CrossEntropy() + ALPHA * SoftTargets(T)


def kd_gradient(z: Array, y: Array, z_t: Array) -> Array:
    """The gradient of `kd_loss` at the logits, without the algebra."""
    _, (hard,), _ = average(cross_entropy, (z, y), {}, factor=1 - ALPHA)
    _, (soft,), _ = average(soft_targets, (z, z_t), {"T": T}, factor=ALPHA)
    return hard + soft


def nesterov() -> SGD:
    """The rule of w1-nesterov."""
    return SGD(0.01, momentum=0.9, nesterov=True)


def labels(device: str = "cpu") -> Objective:
    """Labels alone."""
    return CrossEntropy()


def mutual(device: str = "cpu") -> Objective:
    """Two students, a and b, each with the labels and the other."""
    return mutual_learning("a", "b", T=T)


def exits_loss(device: str) -> Objective:
    """A linear classifier on each hidden layer, taught by labels and by the deep end."""
    parts: list[Objective] = [CrossEntropy()]
    for i in (1, 2):
        inner = (1 - ALPHA) * CrossEntropy(f"exit{i}") + ALPHA * SoftTargets(T, f"exit{i}", "student.logits")
        parts.append(Through(MLP(800, 10, seed=i).to(device), f"student.h{i}", f"exit{i}", inner))
    return Sum(tuple(parts))


def hint_loss(device: str) -> Objective:
    """Soft targets, and a hint behind a projector of 800 to 1200."""
    hint = Match("projected", "teacher.h", squared_error)
    return kd_loss() + 1e-3 * Through(MLP(800, 1200, seed=1).to(device), "student.h2", "projected", hint)


def by_reference(make: Make) -> Make:
    """The same on a GPU without the bodies of `kdlearn.fast`: each array operation a launch."""

    def without(device: str) -> Runner:
        BODIES.clear()  # in this contender's own process
        return make(device)

    return without


def ours(
    sizes: Sequence[int],
    objective: Callable[[str], Objective],
    optimizer: Callable[[], Optimizer],
    **net: Any,
) -> Make:
    """`kd.train_step` on one student, or on two that teach each other."""

    def make(device: str) -> Runner:
        goal, rule = objective(device), optimizer()
        names = ("a", "b") if "a.logits" in goal.sites else ("student",)
        students = {name: MLP(*sizes, seed=i, **net).to(device) for i, name in enumerate(names)}
        batch = {n: to_device(a, device) for n, a in batch_of(sizes[0], extra=1200).items()}
        dice = np.random.default_rng(0) if net.get("dropout") else None

        def gradient() -> np.ndarray:
            still = SGD(1e-12)  # leaves the weights where they are
            train_step(students, None, goal, batch, optimizer=still)
            return np.concatenate([to_numpy(n.grad) for n in (*students.values(), *goal.nets)])

        return Runner(lambda: train_step(students, None, goal, batch, optimizer=rule, rng=dice), gradient)

    return make


def by_hand(sizes: Sequence[int], optimizer: Callable[[], Optimizer]) -> Make:
    """The same losses, layers and optimiser without the algebra and without `train_step`."""

    def make(device: str) -> Runner:
        net, rule = MLP(*sizes, seed=0).to(device), optimizer()
        batch = {n: to_device(a, device) for n, a in batch_of(sizes[0]).items()}

        def backward() -> None:
            sites, caches = net.forward(batch["x"], taps=("logits",))
            net.backward(caches, {"logits": kd_gradient(sites["logits"], batch["y"], batch["teacher.logits"])})

        def gradient() -> np.ndarray:
            net.zero_grad()
            backward()
            found = to_numpy(net.grad).copy()
            net.zero_grad()  # no step follows, and the next backward would add
            return found

        def run() -> None:
            backward()
            rule.step(net)

        return Runner(run, gradient)

    return make


def our_epoch(device: str) -> Runner:
    """`kd.fit` for one epoch of digits in batches of 32."""
    net, goal, rule = MLP(*SMALL, seed=0).to(device), kd_loss(), Adam()
    data = Data(digits_table()).to(device)
    return Runner(lambda: fit(net, goal, data, optimizer=rule, epochs=1, batch_size=32, progress=False))


def epoch_by_hand(device: str) -> Runner:
    """The same epoch in the shortest loop: one shuffle, slices, losses, backward, Adam."""
    net, rule, rng = MLP(*SMALL, seed=0).to(device), Adam(), np.random.default_rng(0)
    table = {n: to_device(a, device) for n, a in digits_table().items()}

    def run() -> None:
        order = to_device(rng.permutation(len(table["y"])), device)
        x, y, z_t = (table[n].take(order, axis=0) for n in ("x", "y", "teacher.logits"))
        for i in range(0, len(y), 32):
            rows = slice(i, i + 32)
            sites, caches = net.forward(x[rows], taps=("logits",))
            net.backward(caches, {"logits": kd_gradient(sites["logits"], y[rows], z_t[rows])})
            rule.step(net)

    return Runner(run)


def many(work: Many) -> dict[str, Make]:
    """R students: as a stack, and one after the other."""
    settings: dict[str, Any] = {"epochs": work.epochs, "batch_size": work.batch, "progress": False}

    def together(device: str) -> Runner:
        stack, goal, rule = Stack(_students(work)).to(device), kd_loss(), Adam()
        data, seeds = Data(work.table()).to(device), list(range(work.members))
        first = {name: a[: work.batch] for name, a in data.columns.items()}
        batch = {name: array_module(a).concatenate([a] * work.members) for name, a in first.items()}

        def gradient() -> np.ndarray:
            train_step(stack, None, goal, batch, optimizer=SGD(1e-12))
            return to_numpy(stack.grad).copy()

        def run() -> None:
            fit(stack, goal, data, optimizer=rule, seed=seeds, **settings)

        return Runner(run, gradient)

    def alone(device: str) -> Runner:
        nets, goal, rule = [net.to(device) for net in _students(work)], kd_loss(), Adam()
        data = Data(work.table()).to(device)

        def run() -> None:
            for i, net in enumerate(nets):
                fit(net, goal, data, optimizer=rule, seed=i, **settings)

        return Runner(run)

    return {"kdlearn": together, "one by one": alone}


def _students(work: Many) -> list[MLP]:
    return [MLP(*work.sizes, seed=i) for i in range(work.members)]


def inference(device: str) -> Runner:
    """The logits of 12,000 rows by the teacher."""
    net, x = MLP(*TEACHER, seed=0).to(device), to_device(batch_of(784, 12_000)["x"], device)
    return Runner(lambda: net.logits(x))


def soft(rows: int, K: int) -> Make:
    """`kd.softmax` at a temperature."""

    def make(device: str) -> Runner:
        z = to_device(np.random.default_rng(0).standard_normal((rows, K), np.float32), device)
        return Runner(lambda: softmax(z, T))

    return make
