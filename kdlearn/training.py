"""The loop around the training step: epochs, batches, schedules, hooks, validation."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.data.columns import Data, DataFunction
from kdlearn.description import describe
from kdlearn.door import check_data, check_networks, check_schedule, check_settings
from kdlearn.epoch import one_epoch
from kdlearn.evaluation import evaluate_checked
from kdlearn.faults import restored_on_error, with_history
from kdlearn.history import History
from kdlearn.nn.optim import Adam, Optimizer, Schedule, constant
from kdlearn.nn.stack import Stack
from kdlearn.objective import Objective
from kdlearn.resume import load_run, save_run
from kdlearn.run import Run
from kdlearn.side_by_side import hand_back_adaptors, one_data, one_each, one_objective, streams
from kdlearn.step import Networks, members_of, named, train_step
from kdlearn.telling import remember


def fit(
    students: Networks,
    objective: Objective | Sequence[Objective],
    data: Data | DataFunction | Sequence[Data | DataFunction],
    *,
    teachers: Networks | None = None,
    optimizer: Optimizer | None = None,
    epochs: int,
    batch_size: int = 128,
    micro_batch: int | None = None,
    drop_last: bool = False,
    schedule: Schedule | None = None,
    seed: int | Sequence[int] = 0,
    validation: Data | Sequence[Data] | None = None,
    hooks: Sequence[Any] = (),
    progress: bool | None = None,
    step: Callable[..., dict[str, Array]] = train_step,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
) -> History:
    """Train students on data until the epochs are over.

    Parameters
    ----------
    students : a network, called "student" in the objective, or {name: network}. Trained in place. A `kd.Stack`
        trains its members side by side, each as it would be trained alone.
    objective : an expression such as `0.3 * CrossEntropy() + 0.7 * SoftTargets(T=4)`; its adaptors are trained in
        place. For a stack also one a member, which differ in their adaptors' weights alone; the optimiser's
        moments of these begin anew with each call.
    data : columns, or a function `(epoch, rng) -> Data` for data that changes; for a stack one for all
        members or one a member, of one length.
    teachers : a network, called "teacher", or {name: network}; not needed where the data holds
        a column `teacher.logits`.
    optimizer : default `Adam(1e-3)`. Its moments belong to the networks it moved: a second `fit` of the same
        network goes on with them, that of another network begins anew.
    epochs, batch_size : passes over the data, and rows a step (the last step takes what is left).
    micro_batch : rows run at a time, where a whole batch does not fit into memory (see `train_step`).
    drop_last : leave out the rows of an epoch that do not fill a batch.
    schedule : factor of the learning rate as a function of progress in [0, 1]; default constant.
    seed : of the shuffles and of dropout, one independent stream each; for a stack one for all members, or
        one a member.
    validation : columns on which every term, and each student's accuracy, is measured after
        each epoch, without dropout, with the weights that the terms have by then.
    hooks : functions `hook(run)` called after each epoch, or objects with any of `before_fit`, `after_step`,
        `after_epoch`, `after_fit`; see `Run`. One that remembers something has `state() -> (values, arrays)`, two
        mappings for the checkpoint with texts as names, and `restore(values, arrays)`.
    progress : show a bar; by default only on a terminal.
    step : the training step; `train_step` unless an algorithm updates its networks otherwise. What `train_step`
        returns is returned as it is: it knows which rows each mean is over.
    checkpoint : a file that is rewritten, atomically, after each epoch.
    resume : continue from `checkpoint` where it exists, bit for bit as if never stopped. Students,
        objective, data and settings must be those of the first time; they are compared as
        `kdlearn.description.describe` says, functions by what they hold and not by their code. `micro_batch` alone
        may be another, and the steps then agree to rounding, without dropout. Dice, counters and iterators that a
        function of yours holds are not saved: let it draw from the `rng` that it is given. The first file comes
        after the first epoch and its hooks: where one of them failed in it, make the networks anew. So with what a
        hook changed before it failed, such as the optimiser's rate: a fresh one goes on with the file's.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        For data or settings that cannot be trained on; nothing has been changed then.
    DivergenceError
        If a value became NaN or infinite. Then, as after every other exception from within an
        epoch (an interrupt, a hook's error), weights and the optimiser's moments are those of the last
        complete epoch, and the exception's `history` ends there too. In a stack a member that diverges is
        named in `History.diverged`, its weights are held, and the others go on.
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    optimizer = Adam() if optimizer is None else optimizer
    schedule = constant if schedule is None else schedule
    goal: Any = objective
    rows: Any = data
    held_out: Any = validation
    seeds: Any = [seed]
    stack, members = any(isinstance(net, Stack) for net in students.values()), members_of(students)
    if stack:
        seeds = one_each(seed, members, "seed")
        goal, rows = one_objective(objective, members), one_data(data, members)
        held_out = None if validation is None else one_data(validation, members, "validation data")

    check_networks(students, teachers, goal, optimizer)
    check_schedule(schedule)
    check_settings(epochs, batch_size, micro_batch, step, checkpoint, resume)
    if micro_batch is not None and stack:
        raise ValueError("micro_batch is for one network; a stack of fewer members needs less memory, too")
    run = Run(students, teachers, goal, optimizer)
    run.hooks = hooks
    run.check_hooks()
    if isinstance(rows, Data):
        run.data = run.given = _held(check_data(rows, run))
    elif not callable(rows):
        hint = "; make it kd.Data(…)" if isinstance(rows, dict) else ""
        raise TypeError(f"data must be kd.Data or a function (epoch, rng) -> kd.Data, got {type(rows).__name__}{hint}")
    if held_out is not None:
        run.held_out = held_out = check_data(held_out, run, "validation data")

    settings: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "seed": seeds, "schedule": schedule}
    settings |= {"drop_last": drop_last, "step": step}  # pieces of a batch are no other step
    settings["data function"] = None if isinstance(rows, Data) else rows
    one_step = step if micro_batch is None else functools.partial(step, micro_batch=micro_batch)
    order, dice, generators = streams(seeds, students, stack)
    run.call("before_fit")
    told = {} if checkpoint is None else describe(run, settings)  # as it begins: a hook may change the rate
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        load_run(checkpoint, run, generators, told)
    remember(run.hooks)

    checked = run.data
    try:
        for epoch in _bar(run.epoch, epochs, progress):
            if run.stop:
                break
            run.epoch = epoch + 1
            with restored_on_error(run, batch_size) as start:
                if not isinstance(rows, Data):
                    run.data = _held(check_data(rows(epoch, order), run, rehearse=epoch == 0))
                elif run.data is not checked:  # a hook has replaced it
                    new: Any = one_data(run.data, members) if stack else run.data
                    run.data = checked = _held(check_data(new, run, rehearse=False))
                start.rest(run.history.diverged)
                record = one_epoch(run, one_step, schedule, epochs, batch_size, drop_last, order, dice)
                start.put_back(run.history.diverged)
                if held_out is not None:
                    now = run.epoch / epochs
                    record["validation"] = evaluate_checked(students, teachers, goal, held_out, progress=now)
                run.history.records.append(record)
            with with_history(run):
                run.call("after_epoch")
                if checkpoint is not None:
                    save_run(checkpoint, run, generators, told)
        with with_history(run):
            run.call("after_fit")
    finally:
        hand_back_adaptors(objective, goal)
    return run.history


def _held(data: Data) -> Data:
    """The same columns, which cannot be written into: what a hook changes so would be neither checked nor saved."""
    views = {name: a.view() for name, a in data.columns.items() if isinstance(a, np.ndarray) and a.flags.writeable}
    for a in views.values():
        a.flags.writeable = False
    return data.with_columns(views)


def _bar(start: int, epochs: int, progress: bool | None) -> Iterable[int]:
    if progress is False:
        return range(start, epochs)
    from tqdm import tqdm

    # disable=None: a bar on a terminal, silence in a pipe or a notebook
    hidden = None if progress is None else False
    return tqdm(
        range(start, epochs), initial=start, total=epochs, desc="fit", unit="epoch", leave=False, disable=hidden
    )
