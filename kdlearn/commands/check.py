"""`kdlearn check`: which functions of a learner's workbook are right, and which idea is missing in the others."""

from __future__ import annotations

import argparse
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from kdlearn import metrics
from kdlearn.data import Data, digits
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.ideas import Review
from kdlearn.learner import reviewed
from kdlearn.nn.layers import Linear
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Adam
from kdlearn.study import interval
from kdlearn.training import fit
from kdlearn.workbook import losses, network, training

TASKS = {**losses.TASKS, **network.TASKS, **training.TASKS}
ORDER = (
    "softmax", "cross_entropy", "soft_targets", "linear", "linear_backward", "relu_backward", "start", "forward",
    "backward", "adam", "train", "hint", "unit_rows_backward", "similarity",
)  # fmt: skip
SECONDS = 20.0  # for one function
SEEDS = range(5)
WIDTHS, LABELS, T, SHARE, EPOCHS, BATCH, RATE = (64, 16, 10), 100, 4.0, 0.3, 100, 50, 0.01


def run(args: argparse.Namespace) -> int:
    """One line for each function; and where all are right, a training on digits. 0 if all is right, 1 if not."""
    own = load(args.file)
    found: dict[str, Review] = {}
    for name in ORDER:
        found[name] = review(own, name)
        print(f"{name:<20} {found[name]}", flush=True)
    right = sum(map(bool, found.values()))
    if right < len(found):
        print(f"\n{right} of {len(found)} are right.")
        return 1
    print(f"\nAll {right} are right. Now your own code, from the first weight to the last, beside the package's:\n")
    vars(own).update({name: _with_arrays(name, vars(own)[name]) for name in ORDER})
    with threadpool_limits(1):  # small products: more threads would only wait for each other
        try:
            print(on_digits(own))
        except Exception as error:  # each is right alone; what they hand to each other may still not fit
            raise ValueError(f"your functions do not run together: {_where(args.file, error)}") from None
    return 0


def load(path: Path) -> types.ModuleType:
    """The learner's file as a module; a ValueError of one line where it cannot be run."""
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    source = path.read_text("utf-8")
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(_where(path, error)) from None
    finally:
        sys.path.pop(0)
    return module


def _where(path: Path, error: BaseException) -> str:
    """What went wrong, after the line of the learner's file where it did."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}{f', line {lines[-1]}' if lines else ''}: {type(error).__name__}: {error}"


def review(own: types.ModuleType, name: str) -> Review:
    """The verdict on one function; the others that it calls are the right ones meanwhile."""
    function = vars(own).get(name)
    if function is None:
        return Review(False, "", f"the file has no function {name}")
    if not callable(function):
        return Review(False, "", f"{name} is no function, it is of type {type(function).__name__}")
    before = dict(vars(own))
    vars(own).update({other: task.right for other, task in TASKS.items() if other != name})
    try:
        return reviewed(lambda: TASKS[name].check(function), SECONDS)
    finally:
        vars(own).clear()
        vars(own).update(before)


# ---------------------------------------------------------------- all right: digits


def _with_arrays(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with arrays where it returns lists of numbers: each is judged like this, so they run like this."""

    def asked(*arguments: Any, **settings: Any) -> Any:
        found = function(*arguments, **settings)
        if name in ("start", "backward", "train"):
            return [(np.asarray(a), np.asarray(b)) for a, b in found]
        if name == "forward":
            return np.asarray(found[0]), [np.asarray(a) for a in found[1]]
        return tuple(map(np.asarray, found)) if len(TASKS[name].names) > 1 else np.asarray(found)

    return asked


def on_digits(own: types.ModuleType) -> str:
    """Accuracies of the learner's code and of the package's, from the same weights and the same order of rows."""
    shares = {"labels alone": 1.0, "with a teacher": SHARE}
    found: dict[str, list[list[float]]] = {name: [] for name in shares}
    for seed in SEEDS:
        train, _, test = digits(seed)
        few = train.take(slice(0, LABELS))
        teacher = MLP(64, 128, 10, seed=seed)
        fit(teacher, CrossEntropy(), train, optimizer=Adam(3e-3), epochs=20, batch_size=64, seed=seed, progress=False)
        taught = few.with_columns({"teacher.logits": teacher.logits(few.x).astype(np.float64)})
        for name, share in shares.items():
            both = _both(own, taught, test.x, share, seed)
            found[name].append([100 * metrics.accuracy(z, test.y) for z in both])
    lines = [f"{'':<18}{'your code':>12}{'the package':>14}"]
    for name, rows in found.items():
        yours, ours = np.mean(rows, axis=0)
        lines.append(f"{name:<18}{yours:>10.1f} %{ours:>12.1f} %")
    gain = interval([b[0] - a[0] for a, b in zip(*found.values())])
    lines.append(
        f"\nTest accuracy on digits, the mean of {len(SEEDS)} seeds: {LABELS} labelled images, a network 64-16-10.\n"
        "Both begin with your first weights and see the same batches. In your code the teacher\n"
        f"adds {gain} points (95 % interval) to labels alone. Nobody tuned those; notebook 06 does."
    )
    return "\n".join(lines)


def _both(
    own: types.ModuleType, taught: Data, x_test: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Test logits of the learner's student and of the package's."""
    me: Any = own
    x, y, z_t = taught.x.astype(np.float64), taught.y, taught["teacher.logits"]

    def loss(z: np.ndarray, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        hard, dz = me.cross_entropy(z, y[rows])
        soft, dz_soft = me.soft_targets(z, z_t[rows], T)
        return share * hard + (1 - share) * soft, share * np.asarray(dz) + (1 - share) * np.asarray(dz_soft)

    first = me.start(WIDTHS, np.random.default_rng(seed))
    order = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0])  # as `fit` draws it
    trained = me.train(first, x, loss, EPOCHS, BATCH, RATE, order)
    student = MLP(*WIDTHS, dtype="float64")
    for layer, (W, b) in zip((layer for layer in student.layers if isinstance(layer, Linear)), first):
        layer.W[...], layer.b[...] = W, b
    objective = share * CrossEntropy() + (1 - share) * SoftTargets(T)
    fit(student, objective, taught, optimizer=Adam(RATE), epochs=EPOCHS, batch_size=BATCH, seed=seed, progress=False)
    return np.asarray(me.forward(trained, x_test.astype(np.float64))[0]), student.logits(x_test)
