"""Hinton, Vinyals and Dean 2015, section 3: their MNIST study, from scratch, with seeds.

A teacher 784-1200-1200-10 learns from jittered images with dropout and max-norm. Students
784-800-800-10 without any regularisation see the images as they are: with labels alone, with the
teacher's soft targets, without a single 3, with nothing but 7s and 8s. Each training is one cell
of a sweep: stored when it is done, never run twice, the same whatever ran before it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, device_of, to_device, to_numpy
from kdlearn.data import Data, mnist
from kdlearn.data.sets import cached
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.functional import softmax
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Adam, AdamW, cosine
from kdlearn.objective import Objective
from kdlearn.study import cell_key, environment
from kdlearn.training import fit

BATCH = 250
RATE = 1e-3  # of Adam, along a cosine to 0; `choices` says how it was chosen
MISSING = {"no 3s": (3,), "only 7s and 8s": (0, 1, 2, 3, 4, 5, 6, 9)}
SHARE = 0.03  # of the labels, in the row that repeats on MNIST what the paper's table 5 says of speech
SHIFTS = np.arange(-10, 20.01, 0.1)


# ---------------------------------------------------------------- data


@functools.lru_cache(maxsize=2)
def images(device: str = "cpu") -> tuple[Data, Data]:
    """The 60,000 and the 10,000 images of MNIST with pixels in [0, 1], 0 for black."""
    train, _, test = mnist(validation=0)
    low, high = train.x.min(), train.x.max()
    parts = [part.with_columns({"x": (part.x - low) / (high - low)}).to(device) for part in (train, test)]
    return parts[0], parts[1]


def held_out_rows(n: int) -> np.ndarray:
    """The sixth of n training rows that no student learns from where something is chosen."""
    return np.random.default_rng(0).permutation(n)[: n // 6]


def jitter(x: Array, rng: np.random.Generator, most: int = 2, out: Array | None = None) -> Array:
    """Square images (N, side²), each moved by up to `most` pixels up or down and left or right; black comes in.

    A thousand at a time, into `out` if given: fresh memory for 60,000 images costs more than moving them.
    """
    xp, n, side, block = array_module(x), len(x), round(x.shape[1] ** 0.5), min(1000, len(x))
    moved = xp.empty_like(x) if out is None else out
    wide = xp.zeros((block, side + 2 * most, side + 2 * most), x.dtype)
    image, line, pixel = wide.strides
    # every window of every image, without a copy: (image, down, right, side, side)
    windows = xp.lib.stride_tricks.as_strided(
        wide, (block, 2 * most + 1, 2 * most + 1, side, side), (image, line, pixel, line, pixel)
    )
    down, right = to_device(rng.integers(2 * most + 1, size=(2, n)), device_of(x))
    for i in range(0, n, block):
        rows = slice(i, min(i + block, n))
        N = rows.stop - i
        wide[:N, most : most + side, most : most + side] = x[rows].reshape(N, side, side)
        moved[rows] = windows[xp.arange(N), down[rows], right[rows]].reshape(N, -1)
    return moved


# ---------------------------------------------------------------- cells


def teach(
    row: str, seed: int, epochs: int, smoothing: float = 0.0, held_out: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    """One teacher: its test errors, and what it cost. Its answers stay in the cache for `learn`."""
    answers = teacher_answers(seed, epochs, smoothing, held_out, device)
    seconds, moving = answers["seconds"].tolist()
    _, test = images()
    tested = {} if held_out else _errors(answers["test"], test.y)
    return {**tested, "minutes": seconds / 60, "share of jitter": moving / seconds, "environment": environment()}


def teacher_answers(
    seed: int, epochs: int, smoothing: float = 0.0, held_out: bool = False, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Logits for all 60,000 ("train") and all 10,000 ("test") images; trained once, then cached.

    784-1200-1200-10, dropout 0.2 on pixels and 0.5 on hidden units, weights into a unit at most
    3.5 long, images jittered by up to two pixels, Adam from 1e-3 along a cosine.
    """
    settings = {"seed": seed, "epochs": epochs, "smoothing": smoothing, "held_out": held_out}

    def make() -> dict[str, np.ndarray]:
        train, test = images(device)
        rows = _transfer_rows(to_numpy(train.y), "all", seed, held_out)
        data = train.take(to_device(rows, device))
        teacher = MLP(784, 1200, 1200, 10, dropout=(0.2, 0.5, 0.5), seed=seed).to(device)
        room, moving = array_module(data.x).empty_like(data.x), 0.0

        def moved(epoch: int, rng: np.random.Generator) -> Data:
            nonlocal moving
            began = time.perf_counter()
            jitter(data.x, rng, out=room)
            moving += time.perf_counter() - began
            return data.with_columns({"x": room})

        began = time.perf_counter()
        fit(
            teacher, CrossEntropy(smoothing=smoothing), moved, optimizer=Adam(RATE, max_norm=3.5), schedule=cosine,
            epochs=epochs, batch_size=BATCH, seed=seed, progress=False,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        logits = {part: to_numpy(teacher.logits(d.x)) for part, d in (("train", train), ("test", test))}
        return {**logits, "seconds": np.array([seconds, moving])}

    return cached(f"hinton-{cell_key(teach, {**settings, 'batch': BATCH, 'rate': RATE})}.npz", make)


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
    held_out: bool = False,
    tested: bool = True,
    device: str = "cpu",
) -> dict[str, Any]:
    """One student 784-width-width-10: its errors of 10,000, and what it cost.

    Parameters
    ----------
    row : where it stands in the table.
    seed : of the initial weights, the order of the batches and, for a share of the labels, which.
    T, teacher : temperature and the teacher's settings (see `teacher_answers`); without: labels alone.
    transfer : "all", a key of `MISSING`, or "3 % of the labels".
    rate, decay : of Adam; AdamW's decay.
    hard : weight of the labels beside 1 - hard for the soft targets.
    held_out : keep the validation rows out of the training and count the errors there.
    tested : read the test images; not where this cell is there to choose something.
    """
    train, test = images(device)
    answers = None if teacher is None else teacher_answers(**teacher, device=device)
    data = train
    if answers is not None:
        data = data.with_columns({"teacher.logits": to_device(answers["train"], device)})
    rows = _transfer_rows(to_numpy(train.y), transfer, seed, held_out)
    student = MLP(784, width, width, 10, seed=1000 + seed).to(device)
    began = time.perf_counter()
    fit(
        student, objective(T, hard), data.take(to_device(rows, device)),
        optimizer=AdamW(rate, weight_decay=decay) if decay else Adam(rate), schedule=cosine,
        epochs=epochs, batch_size=BATCH, seed=seed, progress=False,
    )  # fmt: skip
    result: dict[str, Any] = {"minutes": (time.perf_counter() - began) / 60, "environment": environment()}
    held = train.take(to_device(held_out_rows(len(train)), device))
    z_held = to_numpy(student.logits(held.x)) if held_out else None
    if z_held is not None:
        result["validation"] = _errors(z_held, held.y)["errors"]
    if tested:
        z = to_numpy(student.logits(test.x))
        result |= _errors(z, test.y)
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


def _transfer_rows(y: np.ndarray, transfer: str, seed: int, held_out: bool) -> np.ndarray:
    keep = np.ones(len(y), bool)
    if held_out:
        keep[held_out_rows(len(y))] = False
    if transfer in MISSING:
        keep &= ~np.isin(y, MISSING[transfer])
    elif transfer != "all":
        few = np.random.default_rng(seed).permutation(len(y))[: round(SHARE * len(y))]
        keep &= np.isin(np.arange(len(y)), few)
    return np.flatnonzero(keep)


def _errors(z: np.ndarray, y: Array) -> dict[str, Any]:
    wrong = z.argmax(1) != to_numpy(y)
    return {"errors": int(wrong.sum()), "by class": np.bincount(to_numpy(y)[wrong], minlength=10).tolist()}


# ---------------------------------------------------------------- the bias of classes never seen


def biased(
    z: np.ndarray, y: np.ndarray, z_held: np.ndarray | None, y_held: np.ndarray, missing: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    """Errors after raising the biases of the missing classes, by three rules for how far.

    "validation": fewest errors on held-out labels; "prior": no label at all, the mean probability of
    the missing classes over the held-out images is their number / 10; "test": the paper's way, fewest
    errors on the test set itself.
    """
    rules = {"test": best_shift(z, y, missing)}
    if z_held is not None:
        rules |= {"validation": best_shift(z_held, y_held, missing), "prior": prior_shift(z_held, missing)}
    return {rule: {"shift": b, **_errors(shifted(z, missing, b), y)} for rule, b in rules.items()}


def shifted(z: np.ndarray, missing: tuple[int, ...], b: float) -> np.ndarray:
    """Logits with b added to the missing classes."""
    return z + b * np.isin(np.arange(z.shape[1]), missing)


def best_shift(z: np.ndarray, y: np.ndarray, missing: tuple[int, ...]) -> float:
    """The shift with the fewest errors; of several, the middle one."""
    errors = np.array([(shifted(z, missing, b).argmax(1) != y).sum() for b in SHIFTS])
    best = np.flatnonzero(errors == errors.min())
    return round(float(SHIFTS[best[len(best) // 2]]), 1)


def prior_shift(z: np.ndarray, missing: tuple[int, ...]) -> float:
    """The shift at which the mean probability of the missing classes is their share of the classes."""
    from scipy.optimize import brentq

    def excess(b: float) -> float:
        return float(softmax(shifted(z, missing, b))[:, list(missing)].sum(1).mean()) - len(missing) / z.shape[1]

    return round(float(brentq(excess, -50, 50, xtol=1e-3)), 2)


# ---------------------------------------------------------------- the study

Cell = dict[str, Any]
WIDTHS, TEMPERATURES = (30, 100, 300), (1, 2, 4, 8, 20)
RATES, DECAYS, WEIGHTS = (1e-3, 2e-3, 4e-3, 8e-3), (0.1, 0.3), (0.0, 0.1)
BIASED, LABELS, SOFT = 20, "labels alone", "soft targets, T = 20"  # the temperature of the omissions; two rows


def teachers(quick: bool = False) -> list[Cell]:
    """The cells of `teach`: two teachers, one that never saw held-out rows, one of smoothed labels, two longer."""
    long, short = (4, 4) if quick else (110, 30)
    return [
        {"row": "teacher", "seed": 0, "epochs": long},
        {"row": "the choosing teacher", "seed": 0, "epochs": short, "held_out": True},
        {"row": "teacher", "seed": 1, "epochs": long},
        {"row": "teacher, labels smoothed by 0.1", "seed": 0, "epochs": long, "smoothing": 0.1},
        {"row": "teacher, twice as long", "seed": 0, "epochs": 2 * long},
        {"row": "teacher, twice as long", "seed": 1, "epochs": 2 * long},
    ][: 2 if quick else None]


def choices(quick: bool = False) -> list[Cell]:
    """Cells whose only use is their validation errors: rate, decay and weight of the labels, one seed each."""
    told = {"T": 20, "teacher": settings_of(teachers(quick)[1])}
    common = {"seed": 0, "epochs": 3 if quick else 30, "held_out": True, "tested": False}
    rows = [{"row": f"choice: {LABELS}", "rate": rate} for rate in RATES]
    rows += [{"row": f"choice: {SOFT}", "rate": rate, "hard": hard, **told} for hard in WEIGHTS for rate in RATES]
    rows += [{"row": "choice: weight decay", "rate": rate, "decay": decay} for decay in DECAYS for rate in RATES]
    return [{**common, **row} for row in rows]


def chosen(cells: Sequence[Cell], results: Sequence[Mapping[str, Any]]) -> dict[str, Cell]:
    """{row that is chosen for: settings with the fewest validation errors}."""
    best: dict[str, tuple[int, Cell]] = {}
    for cell, result in zip(cells, results):
        name, errors = cell["row"].removeprefix("choice: "), result["validation"]
        if name not in best or errors < best[name][0]:
            best[name] = errors, {key: cell[key] for key in ("rate", "hard", "decay") if key in cell}
    return {name: settings for name, (_, settings) in best.items()}


def students(best: Mapping[str, Cell], quick: bool = False) -> list[Cell]:
    """Every student of the table, the most important rows first."""
    made = [settings_of(cell) for cell in teachers(quick)]
    epochs, few, more = (5, 2, 2) if quick else (40, 3, 5)
    plain, soft = best[LABELS], best[SOFT]

    def row(
        name: str, seeds: int, T: float | None = None, teacher: Cell | None = made[0], **settings: Any
    ) -> list[Cell]:
        told = {} if T is None else {"T": T, "teacher": teacher}
        base = {"epochs": epochs, **(plain if T is None else soft)}
        return [{"row": name, "seed": seed, **base, **told, **settings} for seed in range(seeds)]

    seven_eight: Cell = {"transfer": "only 7s and 8s", "held_out": True, "hard": 0.0, "epochs": 2 * epochs}
    cells = [*row(LABELS, more), *row(SOFT, more, 20), *row("labels alone, weight decay", few, **best["weight decay"])]
    cells += row("no 3s", few, BIASED, transfer="no 3s", held_out=True, hard=0.0)
    cells += row("only 7s and 8s", few, BIASED, **seven_eight)
    if quick:
        return cells
    cells += row(f"{SOFT}, second teacher", more, 20, made[2])
    cells += row(f"{SOFT}, teacher twice as long", more, 20, made[4])
    cells += row(f"{SOFT}, second such teacher", more, 20, made[5])
    for T in TEMPERATURES[:-1]:
        cells += row(f"soft targets, T = {T}", few, T)
    cells += row("3 % of the labels, labels alone", few, transfer="3 % of the labels", epochs=10 * epochs)
    cells += row("3 % of the labels, T = 20", few, 20, transfer="3 % of the labels", epochs=10 * epochs)
    cells += row("teacher with smoothed labels, T = 20", few, 20, made[3])
    for width in WIDTHS:
        cells += row(f"{width} units, labels alone", few, width=width)
        for T in TEMPERATURES:
            cells += row(f"{width} units, T = {T}", few, T, width=width)
    cells += row(f"{SOFT}, three times as long", few, 20, epochs=3 * epochs)
    cells += row("labels alone, three times as long", few, epochs=3 * epochs)
    return cells


def settings_of(cell: Cell) -> Cell:
    """A teacher's cell as `learn` and `teacher_answers` take it."""
    return {key: value for key, value in cell.items() if key != "row"}
