"""The students of the MNIST study. Each training is a function of its settings alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import to_device, to_numpy
from kdlearn.data import Data
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.hinton.bias import biased, errors
from kdlearn.hinton.pixels import MISSING, held_out_rows, images, transfer_rows
from kdlearn.hinton.teaching import (
    BATCH,
    RATE,
    as_one_network,
    members,
    moving,
    of_members,
    teacher_answers,
    trained_teacher,
)
from kdlearn.hooks import MovingAverage
from kdlearn.nn.network import MLP, Network
from kdlearn.nn.optim import SGD, Adam, AdamW, cosine, warmup
from kdlearn.objective import Objective
from kdlearn.study import environment
from kdlearn.training import fit


def learn(
    row: str, seed: int, epochs: int, teacher: Mapping[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    """One student 784-width-width-10: its errors of 10,000, and what it cost. See `learn_all` for the settings."""
    return learn_all(row, [seed], epochs, None if teacher is None else [teacher], **settings)[0]


def learn_all(
    row: str,
    seeds: Sequence[int],
    epochs: int,
    teachers: Sequence[Mapping[str, Any]] | None = None,
    T: float | None = None,
    width: int = 800,
    transfer: str = "all",
    rate: float = RATE,
    decay: float = 0.0,
    hard: float = 0.0,
    moved: bool = False,
    others: Sequence[int] = (),
    momentum: float = 0.0,
    standardized: bool = False,
    average: float = 0.0,
    held_out: bool = False,
    tested: bool = True,
    n: int | None = None,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """`learn` of each seed: students that differ in it, and in their teacher's, trained side by side as a `kd.Stack`.

    Parameters
    ----------
    row : where they stand in the table.
    seeds : of the initial weights, the order of the batches and, for a share of the labels, which.
    teachers, T : each student's teacher by its settings (see `trained_teacher`), and the temperature;
        without: labels alone.
    transfer : "all", a key of `MISSING`, or "3 % of the labels".
    rate, decay : of Adam; AdamW's decay.
    hard : weight of the labels beside 1 - hard for the soft targets.
    moved : the images are moved by up to two pixels, anew in each epoch; a teacher answers the moved image.
    others : seeds of further teachers, all else alike; the student hears the mean of all their logits.
    momentum : of gradient descent, which is taken instead of Adam where this is above 0; the rate rises first.
    standardized : the student sees pixels of mean 0 and deviation 1; not with images that are moved.
    average : m of a moving average of the student's weights (`kd.MovingAverage`), which is what is tested then.
    held_out : keep the validation rows out of the training and count the errors there.
    tested : read the test images; not where this cell is there to choose something.
    n : only the first n training images.
    """
    train, test = images(device)
    train = train.take(slice(0, n))
    if standardized:
        mean, deviation = float(train.x.mean()), float(train.x.std())
        train, test = (part.with_columns({"x": (part.x - mean) / deviation}) for part in (train, test))
    held = train.take(to_device(held_out_rows(len(train)), device)) if held_out else None
    answers: list[Any] = [None] * len(seeds)
    live: dict[str, Network] = {}
    if teachers is not None and moved:
        live["teacher"] = as_one_network([trained_teacher(**settings, device=device) for settings in teachers])
    elif teachers is not None:
        answers = [_answers(settings, others, device) for settings in teachers]
    data = [_lesson(train, own, transfer, seed, held_out, device) for seed, own in zip(seeds, answers)]
    student = as_one_network([MLP(784, width, width, 10, seed=1000 + seed) for seed in seeds]).to(device)
    if average:
        live["average"] = student.copy()
    began = time.perf_counter()
    fit(
        student, objective(T, hard), of_members([moving(d) for d in data] if moved else data), teachers=live,
        **_rule(rate, decay, momentum), hooks=[MovingAverage(average, "average")] if average else [],
        epochs=epochs, batch_size=BATCH, seed=of_members(list(seeds)), progress=False,
    )  # fmt: skip
    cost = {"minutes": (time.perf_counter() - began) / 60 / len(seeds), "environment": environment(device)}
    return [
        {**cost, **_measured(net, held, test if tested else None, transfer, own)}
        for net, own in zip(members(live.get("average", student)), answers)
    ]


def _measured(net: Network, held: Data | None, test: Data | None, transfer: str, answers: Any) -> dict[str, Any]:
    """Errors on validation rows and test images, where these are given; how often a student says what it heard."""
    found: dict[str, Any] = {}
    z_held = y_held = None
    if held is not None:
        z_held, y_held = to_numpy(net.logits(held.x)), to_numpy(held.y)
        found["validation"] = errors(z_held, y_held)["errors"]
    if test is not None:
        z, y = to_numpy(net.logits(test.x)), to_numpy(test.y)
        found |= errors(z, y)
        if answers is not None:
            found["agreement"] = float((z.argmax(1) == answers["test"].argmax(1)).mean())
        if transfer in MISSING:
            found["biased"] = biased(z, y, z_held, y_held, MISSING[transfer])
    return found


def _answers(teacher: Any, others: Sequence[int], device: str) -> dict[str, np.ndarray]:
    """The mean logits of a teacher and of those that differ in their seed alone."""
    every = [teacher_answers(**{**teacher, "seed": m}, device=device) for m in (teacher["seed"], *others)]
    return {part: np.mean([each[part] for each in every], axis=0) for part in every[0]}


def _lesson(train: Data, answers: Any, transfer: str, seed: int, held_out: bool, device: str) -> Data:
    """What one student learns from: images, labels, and what a teacher answered."""
    if answers is not None:
        train = train.with_columns({"teacher.logits": to_device(answers["train"][: len(train)], device)})
    return train.take(to_device(transfer_rows(to_numpy(train.y), transfer, seed, held_out), device))


def _rule(rate: float, decay: float, momentum: float) -> dict[str, Any]:
    """What moves a student, as `fit` takes it."""
    if momentum:
        return {"optimizer": SGD(rate, momentum=momentum), "schedule": warmup(0.05)}
    return {"optimizer": AdamW(rate, weight_decay=decay) if decay else Adam(rate), "schedule": cosine}


def objective(T: float | None, hard: float) -> Objective:
    """Labels alone (T is None), soft targets alone (hard = 0), or both."""
    if T is None:
        return CrossEntropy()
    return SoftTargets(T) if not hard else hard * CrossEntropy() + (1 - hard) * SoftTargets(T)
