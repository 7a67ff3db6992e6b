"""The checks at the door of training: what can be found before the first step is found here.

Each message says what was given, what is wrong with it and what to do.
"""

from __future__ import annotations

import difflib
import inspect
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, to_numpy
from kdlearn.checks import check_count, is_number
from kdlearn.counts import check_counts
from kdlearn.data.columns import Data
from kdlearn.nn.functional import as_real
from kdlearn.nn.layers import Dropout
from kdlearn.nn.module import Module
from kdlearn.nn.network import ANSWERS, Network, UnknownSiteError, check_answers_as_ours
from kdlearn.nn.optim import Optimizer
from kdlearn.objective import Objective, Term, Through
from kdlearn.reads import check_labels_of, check_masked, check_weights
from kdlearn.run import Run
from kdlearn.step import input_of, members_of, run_networks
from kdlearn.values import all_finite, check_answers, check_inputs, look_like_probabilities


def check_settings(
    epochs: int,
    batch_size: int,
    micro_batch: int | None,
    step: Any,
    checkpoint: str | os.PathLike | None,
    resume: bool,
) -> None:
    """TypeError or ValueError for settings that no training can have."""
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("micro_batch", micro_batch)):
        if value is None and name == "micro_batch":
            continue
        check_count(name, value)
    if not callable(step):
        raise TypeError(f"step must be a function such as kd.train_step, got {step!r}")
    if micro_batch is not None:
        try:
            inspect.signature(step).bind_partial(micro_batch=micro_batch)
        except TypeError:
            name = getattr(step, "__name__", "this step")
            raise TypeError(f"{name} takes no micro_batch: leave it out, or take kd.train_step") from None
    if resume and checkpoint is None:
        raise ValueError("resume=True needs checkpoint=, the file to go on from")
    if checkpoint is None:
        return
    told, file = f"checkpoint={os.fspath(checkpoint)!r}", Path(checkpoint)
    if not os.fspath(checkpoint) or file.is_dir():
        raise ValueError(f"{told} is {'a folder' if os.fspath(checkpoint) else 'empty'}; give the name of a file")
    if not file.parent.is_dir():
        raise ValueError(f"{told}: the folder {str(file.parent)!r} is not there")


def check_schedule(schedule: Any, what: str = "a schedule", low: float = 0.0) -> None:
    """TypeError or ValueError unless it makes a finite factor of the progress, `low` or more; asked at 20 places."""
    if not callable(schedule):
        raise TypeError(f"{what} is a function of the progress, such as kd.cosine, got {schedule!r}")
    for progress in [i / 20 for i in range(20)]:
        factor: Any = schedule(progress)
        if not is_number(factor):
            name = getattr(schedule, "__name__", "the schedule")
            raise TypeError(
                f"{what} returns a number, {name}({progress}) is {factor!r}; kd.steps(…) and kd.warmup(…) make one"
            )
        if not (math.isfinite(factor) and factor >= low):
            least = " of at least 0" * (low == 0)
            raise ValueError(f"{what} returns a finite factor{least}, at progress {progress} it is {factor!r}")


def check_networks(
    students: dict[str, Network], teachers: dict[str, Network], objective: Objective, optimizer: Optimizer | None = None
) -> None:
    """TypeError or ValueError unless these can be trained together."""
    if not isinstance(objective, Objective):
        hint = "; a loss becomes one with kd.Match or kd.Term" if callable(objective) else ""
        raise TypeError(f"the objective must be a kd.Objective such as kd.CrossEntropy(), got {objective!r}{hint}")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        hint = f"; write {optimizer.__name__}(…)" if isinstance(optimizer, type) else ""
        raise TypeError(f"the optimizer must be one of kdlearn's, such as kd.Adam(1e-3), got {optimizer!r}{hint}")
    if not students:
        raise ValueError("there is no student to train")
    for term in objective.terms:
        for schedule in term.schedules:
            check_schedule(schedule, f"the weight of {term.name}", -math.inf)
    both = set(students) & set(teachers)
    if both:
        raise ValueError(f"{', '.join(sorted(both))}: a network is either a student or a teacher")
    for kind, nets in (("student", students), ("teacher", teachers)):
        for name, net in nets.items():
            if not isinstance(net, Network):
                hint = "; its answers become a column with data.with_soft_labels(teacher)" * hasattr(
                    net, "predict_proba"
                )
                raise TypeError(f"{kind} {name!r} must be a kd.Network, got {type(net).__name__}{hint}")
            if net.members != members_of(students) and (kind == "student" or net.members != 1):
                raise ValueError(
                    f"{kind} {name!r} is a stack of {net.members}, the students are {members_of(students)}"
                )
    for net in teachers.values():
        check_answers_as_ours(net, "a live teacher is run by its `forward`, and", ANSWERS)
    adaptors: dict[str, Module] = {f"adaptor {i}": net for i, net in enumerate(objective.nets)}
    for name, module in {**students, **teachers, **adaptors}.items():
        try:
            module.check_laid()
        except ValueError as error:
            raise ValueError(f"the network {name!r}: {error}") from None
        if not bool(array_module(module.theta).isfinite(module.theta).all()):
            raise ValueError(f"the network {name!r} has weights that are not finite")
    for site in objective.reads()[0]:
        owner = site.rpartition(".")[0]
        if owner not in students:
            raise UnknownSiteError(f"no student {owner!r} for the live site {site!r}; there are: {', '.join(students)}")
    read = {students[site.rpartition(".")[0]] for site in objective.reads()[0]}
    idle = [name for name, net in students.items() if net not in read]
    if idle and optimizer is not None:  # an optimiser moves it all the same, by its weight decay
        raise ValueError(f"no term of the objective reads the student {idle[0]!r}: it would learn nothing")
    if optimizer is not None:
        _check_moved({**students, **adaptors})
        for name, teacher in teachers.items():
            moving = [k for k, net in adaptors.items() if net.slices and net.theta is teacher.theta]
            if moving:
                raise ValueError(
                    f"the teacher {name!r} is {moving[0]} as well, which is trained; give Through kd.frozen({name})"
                )
        for name, adaptor in adaptors.items():
            if adaptor.slices and any(isinstance(layer, Dropout) and layer.rate for layer in adaptor.layers):
                warnings.warn(f"{name} has dropout, which is never on in a Through: it drops nothing", stacklevel=3)
    for term in objective.terms:
        if len(term.live) == 1 and term.fixed == term.live:
            raise ValueError(f"{term.name} compares {term.live[0]!r} with itself: it is 0 whatever the student does")


def _check_moved(networks: Mapping[str, Module]) -> None:
    """ValueError unless an optimiser moves something, and nothing twice."""
    if not any(net.slices for net in networks.values()):
        raise ValueError(
            f"nothing would be trained: all layers of {', '.join(networks)} are frozen; net.freeze() frees all"
        )
    distinct = {id(net): name for name, net in networks.items()}
    names = [(name, networks[name]) for name in distinct.values()]
    for i, (name, net) in enumerate(names):
        for other, known in names[:i]:
            if net.theta is known.theta and net.theta.size:
                raise ValueError(
                    f"{name!r} and {other!r} are two networks over the same weights, which each step would move twice; "
                    "give one of them, under both names"
                )


def check_data(data: Data, run: Run, what: str = "data", rehearse: bool = True, learns: bool = True) -> Data:
    """`data` with its features in the networks' precision, or an error that names the column, value and rule.

    Beside the values of every column it checks that a step can be taken: two rows are run through the
    networks and the objective. Where one `learns` from the data, some row must count in some term; without
    `rehearse`, in later epochs of a data function, this is not asked.
    """
    if not isinstance(data, Data):
        hint = "; make it kd.Data(…)" if isinstance(data, Mapping) else ""
        raise TypeError(f"{what} must be kd.Data, got {type(data).__name__}{hint}")
    if len(data) == 0:
        raise ValueError(f"{what} has zero rows; at least one is needed")
    _check_names(data, run)
    networks: dict[str, Network] = {**run.students, **run.teachers}
    readers: dict[str, list[str]] = {}
    for name in networks:
        column = f"{name}.x" if f"{name}.x" in data else "x"
        if column not in data:
            raise ValueError(f"{what} has no column 'x' for the network {name!r}; there are: {', '.join(data.columns)}")
        readers.setdefault(column, []).append(name)
    for name, net in run.teachers.items() if what == "data" else ():
        own = [s for s, student in run.students.items() if student.theta is net.theta]
        column = next(c for c, names in readers.items() if name in names)
        if own and own[0] in readers[column] and not any(name in getattr(h, "moves", ()) for h in run.hooks):
            raise ValueError(
                f"the teacher {name!r} is the student {own[0]!r} itself and reads the same column {column!r}: it has "
                "nothing to teach; give it a copy or a view of its own"
            )
    first = next(iter(run.students.values())).theta.dtype
    columns = dict(data.columns)
    weights = {name for term in run.objective.terms for name in term.row_weights}
    check_weights(data, weights)
    weights -= {name for term in run.objective.terms for name in term.fixed}
    for name, a in columns.items():
        last = name.rpartition(".")[2]
        if last == "x":
            columns[name] = check_inputs(name, a, {n: networks[n] for n in readers.get(name, run.students)})
        elif last in ("logits", "top_logits", "proba"):
            check_answers(name, a)
            if name in run.objective.sites and last != "top_logits" and look_like_probabilities(a):
                warnings.warn(
                    f"column {name!r} seems to hold probabilities, its rows sum to 1: a term reads logits there, such "
                    "as kd.data.log_probabilities makes of them",
                    stacklevel=3,
                )
            columns[name] = a if a.dtype.kind == "f" else a.astype(first)
        elif name in weights and a.dtype.kind in "biuf":
            columns[name] = as_real(a, name)  # products of small whole numbers would wrap around
            _check_finite(name, columns[name])
        elif name in run.objective.sites and a.dtype.kind not in "biuf":
            raise ValueError(f"column {name!r} must hold numbers, got {a.dtype}")
        else:
            _check_finite(name, a)
    checked = data.like(columns)
    for name, net in networks.items():
        x = input_of(name, checked.columns)
        array_module(net.theta, x)  # one device, or a TypeError that says so
        if net.takes_tokens or len(x) <= 2:
            net.check_input(x)
    _rehearse(checked, run, what)
    check_masked(checked, run, what)
    if rehearse and learns and what == "data":
        check_counts(checked, run.objective)
    return checked


def _check_finite(name: str, a: Array) -> None:
    if a.dtype.kind == "f" and not all_finite(a):
        raise ValueError(f"column {name!r} has values that are not finite")


def _check_names(data: Data, run: Run) -> None:
    names = [*run.students, *run.teachers]
    for owner in [c.removesuffix(".x") for c in data.columns if c.endswith(".x") and c not in run.objective.sites]:
        near = difflib.get_close_matches(owner, names, 1, 0.8) if owner not in names else []
        if near and near[0] + ".x" not in data and near[0].rstrip("0123456789") != owner.rstrip("0123456789"):
            warnings.warn(
                f"no network reads the column {owner + '.x'!r}: {near[0]!r} reads 'x'; is {near[0] + '.x'!r} meant?",
                stacklevel=4,
            )
    taken = [c for c in data.columns if c == "progress" or c in run.objective.makes]
    if taken:
        raise ValueError(f"column {taken[0]!r} has the name of a site that is computed at each step; rename it")
    shared = run.objective.makes & run.objective.reads()[0]
    if shared:  # the gradients of both would be taken for those of the adaptor's output
        raise ValueError(f"the site {min(shared)!r}, made by a Through, is a network's as well; give it another target")
    for name in (*run.students, *run.teachers):
        taken = [c for c in data.columns if c.startswith(name + ".") and c != name + ".x" and c in run.objective.sites]
        if taken:
            raise ValueError(
                f"column {taken[0]!r} has the name of a site of the live network {name!r}; drop one of the two"
            )


def _rehearse(data: Data, run: Run, what: str) -> None:
    """Two rows a member go the way that a step goes; labels are checked against the logits beside them."""
    batch = {name: a.copy() for name, a in next(data.batches(2)).items()}  # whatever a loss does to them
    batch["progress"] = 0.0
    for name, net in {**run.students, **run.teachers}.items():
        try:
            net.check_input(input_of(name, batch))
        except ValueError as error:
            raise ValueError(f"{what}, network {name!r}: {error}") from None
    try:
        live, fixed, _ = run_networks(run.students, run.teachers, run.objective, batch)
        check_labels_of(data, run, live)
        read = {name: a for name, a in fixed.items() if name in run.objective.sites and hasattr(a, "dtype")}
        before = {name: to_numpy(a).copy() for name, a in read.items()}
        result = run.objective(live, fixed, members=run.members, backward=False)
        for name, a in before.items():
            if not np.array_equal(to_numpy(read[name]), a, equal_nan=a.dtype.kind == "f"):
                raise ValueError(
                    f"{what}: a loss, or a function of Given, writes into the site {name!r}, which others read; "
                    "write z = z - …, not z -= …"
                )
        check_labels_of(data, run, result.made)
    except UnknownSiteError as error:
        raise UnknownSiteError(f"{what}: {error}") from None
    except ValueError as error:
        where = _where(error)
        if not where or where in str(error):
            raise
        raise ValueError(f"{what}, {where}: {error}") from error


def _where(error: ValueError) -> str:
    """The innermost part of an objective that was being evaluated when it was raised; empty for none."""
    found, trace = "", error.__traceback__
    while trace is not None:
        part = trace.tb_frame.f_locals.get("self")
        if isinstance(part, Through):
            found = f"the adaptor that makes {part.target!r} from {part.sources!r}"
        elif isinstance(part, Term):
            found = part.name
        trace = trace.tb_next
    return found
