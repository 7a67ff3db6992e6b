"""What a contender of the benchmark is, and the data that all of them get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kdlearn.backend import array_module, to_device

T, ALPHA, BATCH = 4.0, 0.7, 128
WIDE, TEACHER, SMALL = (784, 800, 800, 10), (784, 1200, 1200, 10), (64, 32, 10)


@dataclass
class Runner:
    """What a contender can do: `run()` one unit of the work; `gradient()` as a flat array, where it learns.

    `wait()` returns when all that was run is done, for libraries that only put work into a queue.
    """

    run: Callable[[], Any]
    gradient: Callable[[], np.ndarray] | None = None
    wait: Callable[[], Any] = lambda: None


Make = Callable[[str], Runner]  # for a device


@dataclass(frozen=True)
class Work:
    """One kind of work: what a unit is, who can do it, and what is asked of this package.

    `bars` are the ratios to a contender's time that kdlearn should not exceed.
    """

    title: str
    contenders: Mapping[str, Make]
    bars: Mapping[str, float]


def batch_of(n_in: int, rows: int = BATCH, extra: int = 0) -> dict[str, np.ndarray]:
    """Columns x, y, teacher.logits and, if asked for, teacher.h of that width: the same for every contender."""
    rng = np.random.default_rng(1)
    columns: dict[str, np.ndarray] = {
        "x": rng.standard_normal((rows, n_in), np.float32),
        "y": rng.integers(10, size=rows),
    }
    columns["teacher.logits"] = 3 * rng.standard_normal((rows, 10), np.float32)
    if extra:
        columns["teacher.h"] = rng.standard_normal((rows, extra), np.float32)
    return columns


def digits_table() -> dict[str, np.ndarray]:
    """All 1797 digits with made-up teacher logits."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    z = 3 * np.random.default_rng(1).standard_normal((len(x), 10), np.float32)
    return {"x": (x / 16).astype(np.float32), "y": y.astype(np.int64), "teacher.logits": z}


@dataclass(frozen=True)
class Many:
    """R students of one shape on `rows` digits each, `epochs` times in batches of `batch`, each in its own order."""

    members: int
    sizes: tuple[int, ...]
    rows: int
    batch: int
    epochs: int

    def table(self) -> dict[str, np.ndarray]:
        """The rows, the same for all."""
        return {name: a[: self.rows] for name, a in digits_table().items()}

    def orders(self, rng: np.random.Generator) -> np.ndarray:
        """(epochs, members, rows): the order of the rows, for each epoch and student."""
        return rng.permuted(np.tile(np.arange(self.rows), (self.epochs, self.members, 1)), axis=2)


def waiter(device: str) -> Callable[[], Any]:
    """A function that returns when the device has done all that was put into its queue."""
    if device == "cpu":
        return lambda: None
    return array_module(to_device(np.zeros(1), device)).cuda.Device().synchronize


def products(*shapes: tuple[int, int, int], times: int = 1) -> Make:
    """Only the matrix products of the work, (N, D, H) each, into memory that is there."""

    def make(device: str) -> Runner:
        rng = np.random.default_rng(0)
        made = [
            tuple(to_device(a, device) for a in (rng.standard_normal((n, d), np.float32),
                                                 rng.standard_normal((d, h), np.float32), np.empty((n, h), np.float32)))
            for n, d, h in shapes
        ]  # fmt: skip
        xp = array_module(made[0][0])

        def run() -> None:
            for _ in range(times):
                for a, b, out in made:
                    xp.matmul(a, b, out=out)

        return Runner(run)

    return make


def step_products(sizes: Sequence[int], rows: int = BATCH) -> list[tuple[int, int, int]]:
    """Shapes of the products of one training step: forward, dW, and dX but for the first layer."""
    pairs = list(pairwise(sizes))
    forward = [(rows, d, h) for d, h in pairs]
    return forward + [(d, rows, h) for d, h in pairs] + [(rows, h, d) for d, h in pairs[1:]]
