"""The students of the MNIST study. Each training is a function of its settings alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, to_device, to_numpy
from kdlearn.data import Data
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.hinton.bias import biased, errors
from kdlearn.hinton.images import MISSING, held_out_rows, images, transfer_rows
from kdlearn.hinton.teaching import (
    BATCH,
    RATE,
    members,
    moving,
    of_members,
    side_by_side,
    teacher_answers,
    trained_teacher,
)
from kdlearn.hooks import MovingAverage
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import SGD, Adam, AdamW, cosine, warmup
from kdlearn.objective import Objective
from kdlearn.study import environment
from kdlearn.training import fit


def learn(
    row: str,
    seed: int | Sequence[int],
    epochs: int,
    T: float | None = None,
    teacher: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
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
) -> Any:
    """One student 784-width-width-10: its errors of 10,000, and what it cost.

    Parameters
    ----------
    row : where it stands in the table.
    seed : of the initial weights, the order of the batches and, for a share of the labels, which. Several are
        trained side by side, as a `kd.Stack`, and give a list of results.
    T, teacher : temperature and the teacher's settings (see `trained_teacher`), for several seeds one each;
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
    seeds = [seed] if isinstance(seed, int) else list(seed)
    told = [teacher] * len(seeds) if teacher is None or isinstance(teacher, Mapping) else list(teacher)
    train, test = images(device)
    train = train.take(slice(0, n))
    held = train.take(to_device(held_out_rows(len(train)), device))
    answers: list[Any] = [None] * len(seeds)
    if teacher is not None and not moved:
        answers = [_answers(settings, others, device) for settings in told]
    live = side_by_side([trained_teacher(**t, device=device) for t in told]) if teacher is not None and moved else None  # type: ignore[arg-type]
    seen = _standardized(train.x) if standardized else lambda x: x
    train = train.with_columns({"x": seen(train.x)})
    data = [_lesson(train, own, transfer, s, held_out, device) for s, own in zip(seeds, answers)]
    student = side_by_side([MLP(784, width, width, 10, seed=1000 + s) for s in seeds]).to(device)
    teachers = {} if live is None else {"teacher": live}
    if average:
        teachers["average"] = student.copy()
    began = time.perf_counter()
    fit(
        student, objective(T, hard), of_members([moving(d) for d in data] if moved else data), teachers=teachers,
        **_rule(rate, decay, momentum), hooks=[MovingAverage(average, "average")] if average else [],
        epochs=epochs, batch_size=BATCH, seed=of_members(seeds), progress=False,
    )  # fmt: skip
    minutes = (time.perf_counter() - began) / 60 / len(seeds)
    results = []
    for net, own in zip(members(teachers.get("average", student)), answers):
        result: dict[str, Any] = {"minutes": minutes, "environment": environment(device)}
        z_held = to_numpy(net.logits(seen(held.x))) if held_out else None
        if z_held is not None:
            result["validation"] = errors(z_held, held.y)["errors"]
        if tested:
            z = to_numpy(net.logits(seen(test.x)))
            result |= errors(z, test.y)
            if own is not None:
                result["agreement"] = float((z.argmax(1) == own["test"].argmax(1)).mean())
            if transfer in MISSING:
                result["biased"] = biased(z, to_numpy(test.y), z_held, to_numpy(held.y), MISSING[transfer])
        results.append(result)
    return results[0] if isinstance(seed, int) else results


def _answers(teacher: Any, others: Sequence[int], device: str) -> dict[str, np.ndarray]:
    """The mean logits of a teacher and of those that differ in their seed alone."""
    every = [teacher_answers(**{**teacher, "seed": m}, device=device) for m in (teacher["seed"], *others)]
    return {part: np.mean([each[part] for each in every], axis=0) for part in every[0]}


def _lesson(train: Data, answers: Any, transfer: str, seed: int, held_out: bool, device: str) -> Data:
    """What one student learns from: images, labels, and what a teacher answered."""
    if answers is not None:
        train = train.with_columns({"teacher.logits": to_device(answers["train"][: len(train)], device)})
    return train.take(to_device(transfer_rows(to_numpy(train.y), transfer, seed, held_out), device))


def _standardized(x: Array) -> Callable[[Array], Array]:
    """The map to mean 0 and deviation 1 over all pixels of x."""
    mean, deviation = float(x.mean()), float(x.std())
    return lambda x: (x - mean) / deviation


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
