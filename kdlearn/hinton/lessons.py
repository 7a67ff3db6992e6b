"""The trainings of the MNIST study: one teacher, one student. Each is a function of its settings alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import array_module, to_device, to_numpy
from kdlearn.data import Data
from kdlearn.data.sets import cached
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.hinton.bias import biased, errors
from kdlearn.hinton.images import MISSING, held_out_rows, images, jitter, transfer_rows
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Adam, AdamW, cosine
from kdlearn.objective import Objective
from kdlearn.study import cell_key, environment
from kdlearn.training import fit

BATCH = 250
RATE = 1e-3  # of Adam, along a cosine to 0; `choices` says how it was chosen


def moving(data: Data) -> Callable[[int, np.random.Generator], Data]:
    """Data for `fit`: the images x are moved anew in each epoch, into one array that all epochs share."""
    room = array_module(data.x).empty_like(data.x)
    return lambda epoch, rng: data.with_columns({"x": jitter(data.x, rng, out=room)})


# ---------------------------------------------------------------- teachers


def teach(row: str, seed: int, epochs: int, device: str = "cpu", **settings: Any) -> dict[str, Any]:
    """One teacher: its test errors, and what it cost. It stays in the cache for `learn`."""
    made = _weights(seed, epochs, device, **settings)
    result = {"minutes": float(made["seconds"]) / 60, "environment": environment()}
    if not settings.get("held_out"):
        _, test = images(device)
        result |= errors(to_numpy(_laid_over(made, device, **settings).logits(test.x)), test.y)
    return result


def trained_teacher(seed: int, epochs: int, device: str = "cpu", **settings: Any) -> MLP:
    """A teacher 784-1200-1200-10, trained once, then read from the cache.

    Parameters
    ----------
    seed, epochs : of its training, by Adam from 1e-3 along a cosine, weights into a unit at most 3.5 long.
    moved : each image is moved by up to two pixels, anew in each epoch (default True).
    dropout : 0.2 of the pixels and 0.5 of the hidden units (default True).
    smoothing : of the labels (default 0).
    held_out : keep the validation rows out of the training (default False).
    width, n : units a layer (default 1200); only the first n training images (default all).
    """
    return _laid_over(_weights(seed, epochs, device, **settings), device, **settings)


def teacher_answers(device: str = "cpu", **settings: Any) -> dict[str, np.ndarray]:
    """Logits of a trained teacher for all training images ("train") and the 10,000 of the test ("test")."""
    teacher = trained_teacher(device=device, **settings)
    return {part: to_numpy(teacher.logits(data.x)) for part, data in zip(("train", "test"), images(device))}


def _network(dropout: bool = True, width: int = 1200, seed: int = 0, **_: Any) -> MLP:
    return MLP(784, width, width, 10, dropout=(0.2, 0.5, 0.5) if dropout else 0.0, seed=seed)


def _laid_over(made: Mapping[str, np.ndarray], device: str, **settings: Any) -> MLP:
    teacher = _network(**settings)
    teacher.lay_over(made["theta"])
    return teacher.to(device)


def _weights(
    seed: int, epochs: int, device: str, *, moved: bool = True, smoothing: float = 0.0, held_out: bool = False,
    n: int | None = None, **shape: Any,
) -> dict[str, np.ndarray]:  # fmt: skip
    settings = {"seed": seed, "epochs": epochs, "moved": moved, "smoothing": smoothing, "held_out": held_out, "n": n}

    def make() -> dict[str, np.ndarray]:
        train = images(device)[0].take(slice(0, n))
        data = train.take(to_device(transfer_rows(to_numpy(train.y), "all", seed, held_out), device))
        teacher = _network(seed=seed, **shape).to(device)
        began = time.perf_counter()
        fit(
            teacher, CrossEntropy(smoothing=smoothing), moving(data) if moved else data,
            optimizer=Adam(RATE, max_norm=3.5), schedule=cosine,
            epochs=epochs, batch_size=BATCH, seed=seed, progress=False,
        )  # fmt: skip
        return {"theta": to_numpy(teacher.theta), "seconds": np.array(time.perf_counter() - began)}

    name = cell_key(teach, {**settings, **shape, "batch": BATCH, "rate": RATE})
    return cached(f"hinton-{name}.npz", make)


# ---------------------------------------------------------------- students


def learn(
    row: str,
    seed: int,
    epochs: int,
    T: float | None = None,
    teacher: Mapping[str, Any] | None = None,
    width: int = 800,
    transfer: str = "all",
    rate: float = RATE,
    decay: float = 0.0,
    hard: float = 0.0,
    moved: bool = False,
    others: Sequence[int] = (),
    held_out: bool = False,
    tested: bool = True,
    n: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """One student 784-width-width-10: its errors of 10,000, and what it cost.

    Parameters
    ----------
    row : where it stands in the table.
    seed : of the initial weights, the order of the batches and, for a share of the labels, which.
    T, teacher : temperature and the teacher's settings (see `trained_teacher`); without: labels alone.
    transfer : "all", a key of `MISSING`, or "3 % of the labels".
    rate, decay : of Adam; AdamW's decay.
    hard : weight of the labels beside 1 - hard for the soft targets.
    moved : the images are moved by up to two pixels, anew in each epoch; a teacher answers the moved image.
    others : seeds of further teachers, all else alike; the student hears the mean of all their logits.
    held_out : keep the validation rows out of the training and count the errors there.
    tested : read the test images; not where this cell is there to choose something.
    n : only the first n training images.
    """
    train, test = images(device)
    train = train.take(slice(0, n))
    data, live, answers = train, None, None
    if teacher is not None and moved:
        live = trained_teacher(**teacher, device=device)
    elif teacher is not None:
        every = [teacher_answers(**{**teacher, "seed": m}, device=device) for m in (teacher["seed"], *others)]
        answers = {part: np.mean([each[part] for each in every], axis=0) for part in every[0]}
        data = data.with_columns({"teacher.logits": to_device(answers["train"][:n], device)})
    data = data.take(to_device(transfer_rows(to_numpy(train.y), transfer, seed, held_out), device))
    student = MLP(784, width, width, 10, seed=1000 + seed).to(device)
    began = time.perf_counter()
    fit(
        student, objective(T, hard), moving(data) if moved else data, teachers=live,
        optimizer=AdamW(rate, weight_decay=decay) if decay else Adam(rate), schedule=cosine,
        epochs=epochs, batch_size=BATCH, seed=seed, progress=False,
    )  # fmt: skip
    result: dict[str, Any] = {"minutes": (time.perf_counter() - began) / 60, "environment": environment()}
    held = train.take(to_device(held_out_rows(len(train)), device))
    z_held = to_numpy(student.logits(held.x)) if held_out else None
    if z_held is not None:
        result["validation"] = errors(z_held, held.y)["errors"]
    if tested:
        z = to_numpy(student.logits(test.x))
        result |= errors(z, test.y)
        if answers is not None:
            result["agreement"] = float((z.argmax(1) == answers["test"].argmax(1)).mean())
        if transfer in MISSING:
            result["biased"] = biased(z, to_numpy(test.y), z_held, to_numpy(held.y), MISSING[transfer])
    return result


def objective(T: float | None, hard: float) -> Objective:
    """Labels alone (T is None), soft targets alone (hard = 0), or both."""
    if T is None:
        return CrossEntropy()
    return SoftTargets(T) if not hard else hard * CrossEntropy() + (1 - hard) * SoftTargets(T)
