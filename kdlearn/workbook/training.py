"""Adam and the training loop of the workbook, and their usual mistakes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kdlearn.distill.feature import squared_error
from kdlearn.distill.response import cross_entropy
from kdlearn.ideas import Case
from kdlearn.learner import Verdict
from kdlearn.workbook.network import backward, flat, forward
from kdlearn.workbook.task import D, H, K, Layers, Odd, Slips, Task, also, elsewhere, normal

Loss = Callable[[np.ndarray, np.ndarray], tuple[Any, np.ndarray]]
Moved = tuple[np.ndarray, np.ndarray, np.ndarray]

# ---------------------------------------------------------------- Adam


def means(grad: Any, m: Any, v: Any, b1: float, b2: float) -> tuple[Any, Any]:
    """The new running means."""
    return b1 * m + (1 - b1) * grad, b2 * v + (1 - b2) * grad**2


def step(m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float) -> Any:
    """By how much theta falls."""
    return lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def adam(
    theta: Any, grad: Any, m: Any, v: Any, t: int, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999,
    eps: float = 1e-8,
) -> Moved:  # fmt: skip
    """As the workbook asks for it."""
    if t < 1:
        raise Verdict("Adam's clock", "Steps are counted from 1: with t = 0 the correction divides by zero.")
    m, v = means(grad, m, v, beta1, beta2)
    return theta - step(m, v, t, lr, beta1, beta2, eps), m, v


def _adam(means: Callable = means, step: Callable = step, old: bool = False) -> Callable[..., Moved]:
    """Adam with other means or another step."""

    def wrong(theta: Any, grad: Any, m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float) -> Moved:
        new = means(grad, m, v, b1, b2)
        used = (m, v) if old else new
        return theta - step(*used, t, lr, b1, b2, eps), *new

    return wrong


def _returned_corrected(
    theta: Any, grad: Any, m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float
) -> Moved:
    theta, m, v = adam(theta, grad, m, v, t, lr, b1, b2, eps)
    return theta, m / (1 - b1**t), v / (1 - b2**t)


ADAM: Slips = {
    "running means as they were: Divide m and v by 1 - beta^t for the step alone, and return them undivided.": (
        _returned_corrected
    ),
    "the bias correction: m and v begin at zero; divide them by 1 - beta^t for the step.": _adam(
        step=lambda m, v, t, lr, b1, b2, eps: lr * m / (np.sqrt(v) + eps)
    ),
    "the power t: The corrections are 1 - beta^t; yours do not change with t.": _adam(
        step=lambda m, v, t, *settings: step(m, v, 1, *settings)
    ),
    "the root: The step is divided by √v, not by v.": _adam(
        step=lambda m, v, t, lr, b1, b2, eps: lr * (m / (1 - b1**t)) / (v / (1 - b2**t) + eps)
    ),
    "eps outside the root: It is √v + eps, not √(v + eps).": _adam(
        step=lambda m, v, t, lr, b1, b2, eps: lr * (m / (1 - b1**t)) / np.sqrt(v / (1 - b2**t) + eps)
    ),
    "eps: The step is divided by √v + eps; yours leaves out the argument eps, or has a number in its place.": _adam(
        step=lambda m, v, t, lr, b1, b2, eps: step(m, v, t, lr, b1, b2, 0.0)
    ),
    "a sign: The step goes against the gradient; yours climbs.": _adam(step=lambda *place: -step(*place)),
    "the learning rate: The step is multiplied by lr.": _adam(
        step=lambda m, v, t, lr, *rest: step(m, v, t, 1.0, *rest)
    ),
    "the new means: The step takes m and v with the new gradient in them.": _adam(old=True),
    "the square: v is the running mean of the squared gradients.": _adam(
        means=lambda grad, m, v, b1, b2: (b1 * m + (1 - b1) * grad, b2 * v + (1 - b2) * grad)
    ),
    "the share of the new: The new gradient enters with 1 - beta, or the mean is a sum.": _adam(
        means=lambda grad, m, v, b1, b2: (b1 * m + grad, b2 * v + grad**2)
    ),
    "beta for the old: The old mean enters with beta, the new gradient with 1 - beta.": _adam(
        means=lambda grad, m, v, b1, b2: means(grad, m, v, 1 - b1, 1 - b2)
    ),
    "each its own beta: beta1 belongs to m, beta2 to v.": _adam(
        means=lambda grad, m, v, b1, b2: means(grad, m, v, b2, b1),
        step=lambda m, v, t, lr, b1, b2, eps: step(m, v, t, lr, b2, b1, eps),
    ),
}


# ---------------------------------------------------------------- the loop


def train(
    network: Layers, x: np.ndarray, loss: Loss, epochs: int, batch_size: int, lr: float, rng: np.random.Generator
) -> Layers:
    """As the workbook asks for it."""
    return _train("", network, x, loss, epochs, batch_size, lr, rng)


def _train(
    slip: str,
    network: Layers,
    x: np.ndarray,
    loss: Loss,
    epochs: int,
    batch_size: int,
    lr: float,
    rng: np.random.Generator,
) -> Layers:
    """The loop, or the loop with one mistake."""
    theta = [a for layer in network for a in layer]
    memory = [(np.zeros_like(a), np.zeros_like(a)) for a in theta]
    steps = -(-len(x) // batch_size)  # of an epoch
    for t, rows in enumerate(_batches(len(x), epochs, batch_size, rng, slip), 1):
        network = list(zip(theta[::2], theta[1::2]))
        z, inputs = forward(network, x[rows])
        said = np.arange(len(rows)) if slip == "rows" else rows
        grads = [g for pair in backward(network, inputs, loss(z, said)[1]) for g in pair]
        if slip == "memory" or (slip == "memory of an epoch" and t % steps == 1):
            memory = [(np.zeros_like(a), np.zeros_like(a)) for a in theta]
        for k, (grad, (m, v)) in enumerate(zip(grads, memory)):
            clocks = {"clock": 1, "epochs": -(-t // steps), "arrays": (t - 1) * len(theta) + k + 1, "late": t + 1}
            rate = 1e-3 if slip == "rate" else lr
            if slip == "descent":
                theta[k] = theta[k] - lr * grad
            elif slip != "biases" or k % 2 == 0:
                theta[k], *memory[k] = adam(theta[k], grad, m, v, clocks.get(slip, t), rate)  # type: ignore[call-overload]
    return list(zip(theta[::2], theta[1::2]))


def _batches(n: int, epochs: int, batch_size: int, rng: np.random.Generator, slip: str) -> Iterator[np.ndarray]:
    order = rng.permutation(n) if slip == "one order" else np.arange(n)
    for _ in range(1 if slip == "one epoch" else epochs):
        if slip not in ("one order", "in order"):
            order = rng.permutation(n)
        if slip == "whole":
            yield order
            continue
        for i in range(0, n - n % batch_size if slip == "whole batches" else n, batch_size):
            yield order[i : i + batch_size]


SLIPS: Slips = {
    sentence: functools.partial(_train, name)
    for name, sentence in {
        "in order": "the shuffle: Draw an order of the rows, rng.permutation(N), in each epoch.",
        "one order": "a new order: Draw one in each epoch, not one for all of them.",
        "whole batches": "the last rows: The last batch takes what is left; yours leaves it out.",
        "whole": "the batches: Each step sees batch_size rows, not all of them.",
        "one epoch": "the epochs: One pass over the rows is not all of them.",
        "memory": "Adam's memory: m and v are kept from step to step; yours begin at zero in each.",
        "memory of an epoch": "Adam's memory: m and v begin at zero once, not in each epoch.",
        "clock": "Adam's clock: t grows by one in each step; yours stands still.",
        "epochs": "Adam's clock: t counts the steps, not the epochs.",
        "late": "Adam's clock: t is 1 in the first step; yours begins at 2.",
        "arrays": "Adam's clock: t grows once in a step, not once for each W and b.",
        "rate": "the learning rate: Give lr to `adam`.",
        "biases": "the biases: Every W and every b is moved; yours leaves b as it was.",
        "rows": "the rows of the batch: loss(z, rows) must get the numbers of the rows that z belongs to.",
        "descent": "Adam: The step is that of `adam`, not plain gradient descent.",
    }.items()
}


# ---------------------------------------------------------------- where they are asked

ROWS = 11  # batches of 4, and 3 that are left
THETA, GRAD, M, ROOT, THETA2, GRAD2 = normal((D, H), (D, H), (D, H), (D, H), (D, H), (D, H), seed=13)
SETTINGS = (0.1, 0.8, 0.9, 0.05)
X, X2, X3 = normal((ROWS, D), (ROWS, D), (ROWS + 1, D), seed=14)
Y = np.random.default_rng(15).integers(0, K, ROWS + 1)
NET = list(zip(normal((D, H), (H, K), seed=16), normal((H,), (K,), seed=17)))
DEEP = list(zip(normal((D, H), (H, H), (H, K), seed=25), normal((H,), (H,), (K,), seed=26)))
ONE = list(zip(normal((D, K), seed=28), normal((K,), seed=29)))


def labels(z: np.ndarray, rows: np.ndarray) -> tuple[Any, np.ndarray]:
    """The loss that `train` is asked with."""
    if not len(rows):
        raise Verdict(
            "rows in each batch", "Where batch_size divides N no row is left; yours steps once more, with none."
        )
    return cross_entropy(np.asarray(z, np.float64), Y[rows])


def distance_at(at: Odd) -> Loss:
    """A loss at one of the odd places, also of one output."""
    targets = at.normal(at.rows, at.ends[1], seed=4)
    return lambda z, rows: squared_error(np.asarray(z, np.float64), targets[rows])


def steep(z: np.ndarray, rows: np.ndarray) -> tuple[Any, np.ndarray]:
    """A loss with large gradients."""
    value, dz = labels(z, rows)
    return 1000 * value, 1000 * dz


PLACES = {  # (idea, hint): the network, the rows, the loss, epochs, batch_size
    ("rows in each batch", "Yours is wrong where batch_size divides N, and no row is left."): (NET, X3, labels, 2, 4),
    ("every size", "Yours is right for two layers, and wrong for three."): (DEEP, X, labels, 2, 4),
    ("every size", "Yours is right for two layers, and wrong for one."): (ONE, X, labels, 2, 4),
    ("every size", "Yours is wrong where batch_size is larger than N."): (NET, X, labels, 3, 20),
    ("the epochs", "Yours is right for 3 epochs, and wrong for 12."): (NET, X, labels, 12, 4),
    ("the gradients", "Large gradients go to `adam` as they are."): (NET, X, steep, 2, 4),
}

TASKS = {
    "adam": Task(
        adam,
        ("theta", "m", "v"),
        # in step 1 both means are zero: what a function does with others there is its own affair
        [(THETA, GRAD, M, ROOT**2, 3, *SETTINGS), (THETA2, GRAD2, 0 * M, 0 * M, 1, *SETTINGS)],
        ADAM,
        more=[
            elsewhere(adam, THETA[0], GRAD[0], M[0], ROOT[0] ** 2, 2, *SETTINGS),
            also(
                adam,
                "Yours is wrong in step 50: t, as it is, is the power in 1 - beta^t.",
                *(THETA, GRAD, M, ROOT**2, 50, *SETTINGS[:2], 0.99, SETTINGS[3]),
                idea="late steps",
            ),
        ],
        odd=lambda at: (*(at.table(at.ends[1], i) for i in range(3)), at.table(at.ends[1], 3) ** 2, 3, *SETTINGS),
    ),
    "train": Task(
        train,
        tuple(f"{name} of layer {i}" for i in (0, 1) for name in ("W", "b")),
        [
            (NET, X, labels, 3, 4, 0.05, np.random.default_rng(18)),
            (NET, X2, labels, 2, 5, 0.1, np.random.default_rng(19)),
        ],
        SLIPS,
        unpack=flat(len(NET), "(W, b)"),
        case=Case(X),
        more=[
            also(
                train,
                hint,
                *(*place, 0.05, np.random.default_rng(27)),
                idea=idea,
                unpack=flat(len(place[0]), "(W, b)"),
            )
            for (idea, hint), place in PLACES.items()
        ],
        odd=lambda at: (
            at.network(),
            at.normal(at.rows, at.ends[0]),
            distance_at(at),
            2,
            at.rows,
            0.05,
            np.random.default_rng(30),
        ),
        unpack_odd=functools.partial(flat, what="(W, b)"),
    ),
}
