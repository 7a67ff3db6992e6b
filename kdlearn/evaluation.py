"""What an objective and its students are worth on data: each term's mean, and the accuracies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, to_numpy
from kdlearn.checks import check_share
from kdlearn.counts import means_of, table_of
from kdlearn.data import Data
from kdlearn.door import check_data, check_networks
from kdlearn.nn.layers import Select
from kdlearn.nn.optim import Adam
from kdlearn.nn.stack import Stack
from kdlearn.objective import Given, Objective, Through
from kdlearn.run import Run
from kdlearn.side_by_side import one_data
from kdlearn.step import Networks, Values, input_of, members_of, named, run_networks


def evaluate(
    students: Networks,
    objective: Objective,
    data: Data | Sequence[Data],
    *,
    teachers: Networks | None = None,
    batch_size: int = 1024,
    progress: float = 1.0,
) -> dict[str, Any]:
    """Each term's mean over the data, without dropout and without training, and the accuracies.

    Accuracies are there if the data has integer labels `y`: "accuracy" for one student,
    "<name>.accuracy" for several, over the rows whose label is one of the network's classes. There is none where the
    objective numbers some of the classes anew and reads `y` so, as `OnClasses` of any but the first does. A mean in
    which no row counts, as where no label is known, is NaN, and so is the loss. A loss that does not say what its
    mean is over, such as a `lambda` around one with `ignore`, counts each batch by its rows; `functools.partial` keeps
    what is said.
    `progress` in [0, 1] is where in the training schedules are asked.
    For a stack each value is a list, one number a member; data are for all members, or one a member.
    """
    students, teachers = named(students, "student"), named(teachers, "teacher")
    check_share("progress", progress)
    check_networks(students, teachers, objective)
    stack = any(isinstance(net, Stack) for net in students.values())
    rows: Any = one_data(data, members_of(students)) if stack else data
    for part in objective.walk():  # what keeps something for each member must keep it for these
        if isinstance(part, Given) and hasattr(part.function, "check_members"):
            part.function.check_members(members_of(students))
    rows = check_data(rows, Run(students, teachers, objective, Adam()), learns=False)
    return evaluate_checked(students, teachers, objective, rows, batch_size, progress)


def evaluate_checked(
    students: dict[str, Any],
    teachers: dict[str, Any],
    objective: Objective,
    data: Data,
    batch_size: int = 1024,
    progress: float = 1.0,
) -> dict[str, Any]:
    """`evaluate` of what has passed the door."""
    values: list[Values] = []
    rows: list[int] = []
    for batch in data.batches(batch_size):
        batch["progress"] = progress
        live, fixed, _ = run_networks(students, teachers, objective, batch)
        values.append(Values(objective(live, fixed, members=members_of(students), backward=False), students))
        rows.append(len(batch["index"]))
    at = [progress] * len(rows)
    means = means_of(table_of(values), values, rows, at, objective, of_none=math.nan)
    means["loss"] = means.pop("loss")  # after the terms
    if "y" in data and data.y.ndim == 1 and data.y.dtype.kind in "iu":
        for name, net in students.items():
            label = "accuracy" if len(students) == 1 else f"{name}.accuracy"
            z = net.logits(data.for_logits(input_of(name, data.columns)))
            if z.shape[-1] > 1 and not _numbered_otherwise(objective, name):
                means[label] = _accuracy(z, data.for_logits(data.y))
    return {name: value.tolist() for name, value in means.items()}


def _accuracy(z: Array, y: Array) -> np.ndarray:
    """Of each member, over the rows whose label is a class, such as those that are not `ignore`; NaN without any."""
    xp, K = array_module(z, y), z.shape[-1]
    known = (y >= 0) & (y < K)
    right = to_numpy(((z.argmax(axis=-1) == y) & known).sum(axis=-1))
    silent = to_numpy(xp.isnan(z).any(axis=(-1, -2)))
    n = to_numpy(known.sum(axis=-1))
    return np.where(silent | (n == 0), np.nan, right / np.maximum(n, 1))


def _numbered_otherwise(objective: Objective, name: str) -> bool:
    """Whether `y` numbers some of the student's classes alone: then it can't be held to all of its answers."""
    for o in objective.walk():
        if isinstance(o, Through) and o.sources in (f"{name}.logits", (f"{name}.logits",)):
            columns = next((layer.columns for layer in o.net.layers if isinstance(layer, Select)), None)
            renumbers = columns is not None and columns != tuple(range(len(columns)))
            if renumbers and any("y" in term.fixed and o.target in term.live for term in o.inner.terms):
                return True
    return False
