"""The loop around the training step: epochs, batches, schedules, hooks, validation, faults."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, to_numpy
from kdlearn.checkpoint import load_run, save_run
from kdlearn.data import Data, check_data
from kdlearn.history import DivergenceError, EarlyStopping, History, Run
from kdlearn.nn.network import Network
from kdlearn.nn.optim import Adam, Optimizer, Schedule, constant
from kdlearn.objective import Objective
from kdlearn.step import Networks, input_of, named, run_networks, train_step

__all__ = ["DivergenceError", "EarlyStopping", "History", "Run", "evaluate", "fit", "train_step"]


def fit(
    students: Networks,
    objective: Objective,
    data: Data | Callable[[int, np.random.Generator], Data],
    *,
    teachers: Networks | None = None,
    optimizer: Optimizer | None = None,
    epochs: int,
    batch_size: int = 128,
    schedule: Schedule | None = None,
    seed: int = 0,
    validation: Data | None = None,
    hooks: Sequence[Any] = (),
    progress: bool | None = None,
    step: Callable[..., dict[str, Array]] = train_step,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
) -> History:
    """Train students on data until the epochs are over.

    Parameters
    ----------
    students : a network, called "student" in the objective, or {name: network}. Trained in place.
    objective : an expression such as `0.3 * CrossEntropy() + 0.7 * SoftTargets(T=4)`.
    data : columns, or a function `(epoch, rng) -> Data` for data that changes.
    teachers : a network, called "teacher", or {name: network}; not needed where the data holds
        a column `teacher.logits`.
    optimizer : default `Adam(1e-3)`.
    epochs, batch_size : passes over the data, and rows a step (the last step takes what is left).
    schedule : factor of the learning rate as a function of progress in [0, 1]; default constant.
    seed : of the shuffles and of dropout, one independent stream each.
    validation : columns on which every term, and each student's accuracy, is measured after
        each epoch, without dropout.
    hooks : functions `hook(run)` called after each epoch, or objects with any of `after_step`,
        `after_epoch`, `after_fit`; see `Run`.
    progress : show a bar; by default only on a terminal.
    step : the training step; `train_step` unless an algorithm updates its networks otherwise.
    checkpoint : a file that is rewritten, atomically, after each epoch.
    resume : continue from `checkpoint` where it exists, bit for bit as if never stopped. Students,
        objective, data and settings must be made as they were the first time.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        For data or settings that cannot be trained on; nothing has been changed then.
    DivergenceError
        If a value became NaN or infinite. Then, as after every other exception from within an
        epoch (an interrupt, a hook's error), the weights are those of the last complete epoch,
        and the exception's `history` ends there too.
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    optimizer = Adam() if optimizer is None else optimizer
    schedule = constant if schedule is None else schedule
    _check_settings(students, teachers, epochs, batch_size)
    streams = np.random.SeedSequence(seed).spawn(1 + len(students))
    order = np.random.default_rng(streams[0])
    dice = {name: np.random.default_rng(s) for name, s in zip(students, streams[1:])}
    run = Run(students, teachers, objective, optimizer)
    run.hooks = hooks
    if isinstance(data, Data):
        run.data = run.given = _check_columns(data, run)
    if validation is not None:
        validation = _check_columns(validation, run)

    generators = {"order": order, **{f"dropout {name}": rng for name, rng in dice.items()}}
    settings = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        load_run(checkpoint, run, generators, settings)

    for epoch in _bar(run.epoch, epochs, progress):
        if run.stop:
            break
        run.epoch = epoch + 1
        start = [net.theta.copy() for net in run.trained]
        try:
            if not isinstance(data, Data):
                run.data = _check_columns(data(epoch, order), run)
            record = _one_epoch(run, step, schedule, epochs, batch_size, order, dice, hooks)
            if validation is not None:
                record["validation"] = evaluate(students, objective, validation, teachers=teachers)
        except BaseException as error:
            for net, theta in zip(run.trained, start):
                net.theta[...] = theta
            error.history = run.history  # type: ignore[attr-defined]
            if isinstance(error, MemoryError):  # CuPy's out-of-memory error is one, too
                error.add_note(
                    f"fit: try a batch_size below {batch_size}; the weights are those of the last whole epoch"
                )
            raise
        run.history.records.append(record)
        _call(hooks, "after_epoch", run)
        if checkpoint is not None:
            save_run(checkpoint, run, generators, settings)
    _call(hooks, "after_fit", run)
    return run.history


def evaluate(
    students: Networks, objective: Objective, data: Data, *, teachers: Networks | None = None, batch_size: int = 1024
) -> dict[str, float]:
    """Each term's mean over the data, without dropout and without training, and the accuracies.

    Accuracies are there if the data has integer labels `y`: "accuracy" for one student,
    "<name>.accuracy" for several.
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    sums: dict[str, float] = {}
    for batch in data.batches(batch_size):
        batch["progress"] = 1.0
        live, fixed, _ = run_networks(students, teachers, objective, batch)
        values: dict[str, Array] = {}
        total, _ = objective(live, fixed, values)
        share = len(batch["index"]) / len(data)
        for term, value in {"loss": total, **values}.items():
            sums[term] = sums.get(term, 0.0) + share * float(value)
    if "y" in data and data.y.ndim == 1 and data.y.dtype.kind in "iu":
        for name, net in students.items():
            label = "accuracy" if len(students) == 1 else f"{name}.accuracy"
            z = net.logits(input_of(name, data.columns))
            if z.shape[1] > 1:
                sums[label] = float((z.argmax(axis=1) == data.y).mean())
    return sums


def _one_epoch(
    run: Run,
    step: Callable[..., dict[str, Array]],
    schedule: Schedule,
    epochs: int,
    batch_size: int,
    order: np.random.Generator,
    dice: dict[str, np.random.Generator],
    hooks: Sequence[Any],
) -> dict[str, Any]:
    assert run.data is not None
    began, data = time.perf_counter(), run.data
    n_steps = -(-len(data) // batch_size)
    after_step = [hook.after_step for hook in hooks if hasattr(hook, "after_step")]
    values: list[dict[str, Array]] = []
    weights = []
    for i, batch in enumerate(data.batches(batch_size, order)):
        progress = (run.epoch - 1 + i / n_steps) / epochs
        batch["progress"] = progress
        run.optimizer.scale = schedule(progress)
        values.append(step(run.students, run.teachers, run.objective, batch, optimizer=run.optimizer, rng=dice))
        weights.append(len(batch["index"]))
        for call in after_step:
            call(run)
    means = _means(values, np.array(weights), run)
    return {
        "epoch": run.epoch,
        "rate": run.optimizer.lr * run.optimizer.scale,
        "seconds": time.perf_counter() - began,
        "train": means,
    }


def _means(values: list[dict[str, Array]], weights: np.ndarray, run: Run) -> dict[str, float]:
    # the one place in an epoch that waits for the device
    xp = array_module(run.trained[0].theta)
    flat = xp.stack([xp.asarray(v) for row in values for v in row.values()])
    table = to_numpy(flat).reshape(len(values), -1)
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise DivergenceError(
            f"the loss became {table[~finite][0, 0]} in epoch {run.epoch}, batch {int(np.argmin(finite)) + 1}; the "
            f"weights of the epoch's start are restored; try a learning rate below {run.optimizer.lr:g}"
        )
    if not all(bool(xp.isfinite(net.theta).all()) for net in run.trained):
        raise DivergenceError(
            f"a weight stopped being finite in epoch {run.epoch}, batch {len(values)}; the weights of the epoch's "
            f"start are restored; try a learning rate below {run.optimizer.lr:g}"
        )
    return dict(zip(values[0], (weights @ table / weights.sum()).tolist()))


def _check_settings(students: dict[str, Network], teachers: dict[str, Network], epochs: int, batch_size: int) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value!r}")
    if not students:
        raise ValueError("there is no student to train")
    both = set(students) & set(teachers)
    if both:
        raise ValueError(f"{', '.join(sorted(both))}: a network is either a student or a teacher")


def _check_columns(data: Data, run: Run) -> Data:
    for name in (*run.students, *run.teachers):
        taken = [c for c in data.columns if c.startswith(name + ".") and c != name + ".x" and c in run.objective.sites]
        if taken:
            raise ValueError(
                f"column {taken[0]!r} has the name of a site of the live network {name!r}; drop one of the two"
            )
    first = next(iter(run.students.values()))
    widths = {name: len(net.layers[-1].b) for name, net in run.students.items() if hasattr(net.layers[-1], "b")}
    checked = check_data(data, first.theta.dtype, widths, _token_columns(data, run))
    for name, net in run.students.items():
        net._check_input(input_of(name, checked.columns))
        array_module(net.theta, input_of(name, checked.columns))  # one device, or a TypeError that says so
    for name, net in run.teachers.items():
        if net.takes_tokens:
            net._check_input(input_of(name, checked.columns))
    return checked


def _token_columns(data: Data, run: Run) -> set[str]:
    networks = {**run.students, **run.teachers}
    column = {name: f"{name}.x" if f"{name}.x" in data else "x" for name in networks}
    tokens = {column[name] for name, net in networks.items() if net.takes_tokens}
    for name, net in networks.items():
        if column[name] in tokens and not net.takes_tokens:
            raise ValueError(
                f"column {column[name]!r} holds tokens for one network, numbers for {name!r}; give it {name + '.x'!r}"
            )
    return tokens


def _call(hooks: Sequence[Any], moment: str, run: Run) -> None:
    for hook in hooks:
        if hasattr(hook, moment):
            getattr(hook, moment)(run)
        elif moment == "after_epoch" and callable(hook):
            hook(run)


def _bar(start: int, epochs: int, progress: bool | None) -> Iterable[int]:
    if progress is False:
        return range(start, epochs)
    from tqdm import tqdm

    # disable=None: a bar on a terminal, silence in a pipe or a notebook
    hidden = None if progress is None else False
    return tqdm(
        range(start, epochs), initial=start, total=epochs, desc="fit", unit="epoch", leave=False, disable=hidden
    )
