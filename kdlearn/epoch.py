"""One pass over the data: its steps, the means that they leave in the history, and members that came apart."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, collect
from kdlearn.counts import means_of, table_of
from kdlearn.data import Data
from kdlearn.history import DivergenceError
from kdlearn.nn.optim import Schedule
from kdlearn.run import Run
from kdlearn.step import train_step

Step = Callable[..., dict[str, Array]]


def one_epoch(
    run: Run,
    step: Step,
    schedule: Schedule,
    epochs: int,
    batch_size: int,
    drop_last: bool,
    order: Any,
    dice: dict[str, Any],
) -> dict[str, Any]:
    """Every step of an epoch; what becomes its record in `History`."""
    began, data = time.perf_counter(), _read_by(step, run)
    n_steps = len(data) // batch_size if drop_last else -(-len(data) // batch_size)
    if not n_steps:
        raise ValueError(f"drop_last leaves no batch of {batch_size} in {len(data)} rows")
    after_step = [hook.after_step for hook in run.hooks if hasattr(hook, "after_step")]
    values: list[dict[str, Array]] = []
    rows: list[int] = []
    progress: list[float] = []
    for i, batch in zip(range(n_steps), data.batches(batch_size, order)):
        progress.append((run.epoch - 1 + i / n_steps) / epochs)
        batch["progress"] = progress[-1]
        run.optimizer.scale = schedule(progress[-1])
        values.append(step(run.students, run.teachers, run.objective, batch, optimizer=run.optimizer, rng=dice))
        rows.append(len(batch["index"]))
        for call in after_step:
            call(run)
    table = table_of(values)
    _find_diverged(table.reshape(n_steps, len(values[0]), run.members), run)
    means = means_of(table, values, rows, progress, run.objective)
    for i in run.history.diverged:  # its steps were taken back, or were those of weights of 0
        for mean in means.values():
            mean[i] = np.nan
    return {
        "epoch": run.epoch,
        "rate": run.optimizer.lr * run.optimizer.scale,
        "seconds": time.perf_counter() - began,
        "train": {name: mean.tolist() for name, mean in means.items()},
    }


def _is_ours(step: Step) -> bool:
    return (step.func if isinstance(step, functools.partial) else step) is train_step


def _read_by(step: Step, run: Run) -> Data:
    """The columns that a step reads: to gather the others costs as much. A step of another kind may read any."""
    assert run.data is not None
    if not _is_ours(step):
        return run.data
    inputs = [f"{name}.x" for name in (*run.students, *run.teachers)]
    return run.data.only({*run.objective.sites, "x", *inputs})


def _find_diverged(values: np.ndarray, run: Run) -> None:
    """Enter the members that came apart in `History.diverged`; DivergenceError where all have.

    values : (steps, values, members).
    """
    xp = array_module(run.trained[0].theta)
    parts = [xp.isfinite(part).all(axis=1) for net in run.trained for part in net.by_member(net.theta)]
    sound: Any = collect(parts).all(axis=0) if parts else np.ones(run.members, bool)
    for i in range(run.members):
        finite = np.isfinite(values[:, 0, i])  # of the loss: a term that is switched off may be infinite
        if i in run.history.diverged or (finite.all() and sound[i]):
            continue
        batch = int(np.argmin(finite)) + 1 if not finite.all() else len(values)
        what = f"the loss became {values[batch - 1, 0, i]}" if not finite.all() else "a weight stopped being finite"
        run.history.diverged[i] = (
            f"{what} in epoch {run.epoch}, batch {batch}; the weights of the epoch's start are restored; "
            f"try a learning rate below {run.optimizer.lr:g}"
        )
    if len(run.history.diverged) == run.members:
        raise DivergenceError(next(iter(run.history.diverged.values())))
