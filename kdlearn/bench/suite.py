"""The works by name: who takes part, and the ratios that kdlearn is held to."""

from __future__ import annotations

import functools
from dataclasses import replace
from itertools import pairwise

from kdlearn.bench import rivals, rivals_jax, rivals_thinc
from kdlearn.bench.ours import (
    by_hand,
    by_reference,
    epoch_by_hand,
    exits_loss,
    hint_loss,
    inference,
    kd_loss,
    labels,
    many,
    mutual,
    nesterov,
    our_epoch,
    ours,
    soft,
)
from kdlearn.bench.work import BATCH, SMALL, TEACHER, WIDE, Make, Many, Work, products, step_products
from kdlearn.nn.optim import Adam

STACKS = (1, 20, 200, 2000)
CPU_ONLY = ("scikit-learn", "thinc")
STEP = "one step, 784-800-800-10, batch 128, "


@functools.cache
def works(device: str = "cpu") -> dict[str, Work]:
    """All of them; on a GPU beside the references, an array operation at a time, and without the CPU's bars."""
    made = {**_steps(), **_epochs(), **_answers(), **_kinds()}
    if device == "cpu":
        return made
    for name, work in made.items():
        known = work.contenders
        if not name.startswith("w4"):  # what trains
            known = {**known, "array by array": by_reference(known["kdlearn"])}
        made[name] = replace(work, contenders={n: m for n, m in known.items() if n not in CPU_ONLY}, bars={})
    return made


def _steps() -> dict[str, Work]:
    return {
        "w1": Work(
            STEP + "labels and soft targets, Adam",
            {"kdlearn": ours(WIDE, kd_loss, Adam), "by hand": by_hand(WIDE, Adam),
             "matrix products": products(*step_products(WIDE)), **rivals.students(WIDE, "adam"),
             **rivals_jax.students(WIDE, "adam"), **rivals_thinc.step(WIDE)},
            {"PyTorch": 0.9, "torch.compile": 1.05, "JAX": 1.1, "matrix products": 1.7, "by hand": 1.03},
        ),
        "w1-nesterov": Work(
            STEP + "labels and soft targets, Nesterov",
            {"kdlearn": ours(WIDE, kd_loss, nesterov), "matrix products": products(*step_products(WIDE)),
             **rivals.students(WIDE, "nesterov"), **rivals_jax.students(WIDE, "nesterov")},
            {"PyTorch": 0.8, "torch.compile": 0.95, "JAX": 1.1, "matrix products": 1.45},
        ),
        "w2": Work(
            "one step of a teacher, 784-1200-1200-10 with dropout, batch 128, labels, Adam",
            {"kdlearn": ours(TEACHER, labels, Adam, dropout=(0.2, 0.5, 0.5)),
             "matrix products": products(*step_products(TEACHER)), **rivals.students(TEACHER, "adam", labels=True),
             **rivals_jax.students(TEACHER, "adam", labels=True), **rivals_thinc.step(TEACHER, (0.2, 0.5, 0.5))},
            {"PyTorch": 0.8, "torch.compile": 0.75, "JAX": 1.1, "matrix products": 1.65},
        ),
    }  # fmt: skip


def _epochs() -> dict[str, Work]:
    return {
        "w3": Work(
            "one epoch of digits, 64-32-10, batch 32, labels and soft targets, Adam",
            {"kdlearn": our_epoch, "by hand": epoch_by_hand,
             "matrix products": products(*step_products(SMALL, 32), times=57), **rivals.epochs(SMALL),
             **rivals_jax.epochs(SMALL), **rivals_thinc.epochs(SMALL)},
            {"PyTorch": 0.25, "scikit-learn": 0.5, "by hand": 1.25},
        ),
        "w3-twenty": Work(
            "one epoch of digits for twenty students of 64-32-10, batch 32, labels and soft targets, Adam",
            twenty(Many(20, SMALL, 1797, 32, 1)), {"JAX": 1.1, "JAX, one by one": 1.0},
        ),
        "demo-twenty": Work(
            "100 epochs of 100 digits for twenty students of 64-16-10, batch 50, labels and soft targets, Adam",
            twenty(Many(20, (64, 16, 10), 100, 50, 100)), {"one by one": 0.2},
        ),
        **{f"stack-{R}": Work(
            f"ten steps for {R} students of 64-32-10 at once, batch 32, labels and soft targets, Adam",
            twenty(Many(R, SMALL, 320, 32, 1), at_once=True), {},
        ) for R in STACKS},
    }  # fmt: skip


def _answers() -> dict[str, Work]:
    return {
        "w4": Work(
            "a teacher's logits for 12,000 rows, 784-1200-1200-10",
            {"kdlearn": inference, "matrix products": products(*((12_000, d, h) for d, h in pairwise(TEACHER))),
             **rivals.inference(TEACHER), **rivals_jax.inference(TEACHER), **rivals_thinc.inference(TEACHER)},
            {"PyTorch": 1.0, "torch.compile": 1.0, "matrix products": 1.1},
        ),
        "w4-few": Work("softmax with T, 60,000 x 10",
                       {"kdlearn": soft(60_000, 10), **rivals.soft(60_000, 10), **rivals_jax.softmax(60_000, 10)},
                       {"PyTorch": 0.3}),
        "w4-many": Work("softmax with T, 2048 x 32,000",
                        {"kdlearn": soft(2048, 32_000), **rivals.soft(2048, 32_000),
                         **rivals_jax.softmax(2048, 32_000)}, {"PyTorch": 0.5}),
    }  # fmt: skip


def _kinds() -> dict[str, Work]:
    """Kinds of distillation that are more than one student with one teacher."""
    once = step_products(WIDE)
    exits = once + 2 * [(BATCH, 800, 10), (800, BATCH, 10), (BATCH, 10, 800)]
    hint = [*once, (BATCH, 800, 1200), (800, BATCH, 1200), (BATCH, 1200, 800)]
    known = {
        "online": ("two students that teach each other, ", mutual, products(*once, times=2),
                   rivals.mutual, rivals_jax.mutual),
        "exits": ("three exits, the last teaches the others, ", exits_loss, products(*exits),
                  rivals.exits, rivals_jax.exits),
        "hint": ("soft targets and a hint behind a projector, ", hint_loss, products(*hint),
                 rivals.hint, rivals_jax.hint),
    }  # fmt: skip
    bars = {"PyTorch": 0.9, "torch.compile": 1.0, "JAX": 1.1, "matrix products": 1.55}
    return {
        f"w5-{name}": Work(
            what + STEP + "Adam",
            {"kdlearn": ours(WIDE, loss, Adam), "matrix products": multiplied, **torch(WIDE), **jax(WIDE)},
            bars,
        )
        for name, (what, loss, multiplied, torch, jax) in known.items()
    }


def twenty(work: Many, at_once: bool = False) -> dict[str, Make]:
    """Everybody who can train many students, and with them (unless only `at_once`) one student after the other."""
    known = {**many(work), **rivals.many(work), **rivals_jax.many(work)}
    return {name: make for name, make in known.items() if not (at_once and "one by one" in name)}
