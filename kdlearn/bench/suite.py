"""The works by name: who takes part, and the ratios that kdlearn is held to."""

from __future__ import annotations

import functools
from dataclasses import replace
from itertools import pairwise
from typing import Any

from kdlearn.bench import rivals, rivals_thinc
from kdlearn.bench.ours import (
    by_hand,
    epoch_by_hand,
    exits_loss,
    hint_loss,
    inference,
    kd_loss,
    labels,
    mutual,
    nesterov,
    our_epoch,
    ours,
    soft,
)
from kdlearn.bench.work import BATCH, SMALL, TEACHER, WIDE, Work, products, step_products
from kdlearn.fast import swap
from kdlearn.nn.optim import Adam


def works(device: str = "cpu") -> dict[str, Work]:
    """All of them; on a GPU with `kdlearn.fast` beside the reference."""
    made = _works()
    if device == "cpu":
        return made
    for name, work in made.items():
        mine: Any = work.contenders["kdlearn"]
        if not name.startswith("w4"):  # what trains, and only a GPU can run
            swapped = functools.partial(mine, faster=swap)
            made[name] = replace(work, contenders={**work.contenders, "kdlearn.fast": swapped})
    return made


def _works() -> dict[str, Work]:
    exits = step_products(WIDE) + 2 * [(BATCH, 800, 10), (800, BATCH, 10), (BATCH, 10, 800)]
    hint = [*step_products(WIDE), (BATCH, 800, 1200), (800, BATCH, 1200), (BATCH, 1200, 800)]
    step = "one step, 784-800-800-10, batch 128, "
    return {
        "w1": Work(
            step + "labels and soft targets, Adam",
            {"kdlearn": ours(WIDE, kd_loss, Adam), "by hand": by_hand(WIDE, Adam),
             "matrix products": products(*step_products(WIDE)), **rivals.students(WIDE, "adam"),
             **rivals_thinc.step(WIDE)},
            {"PyTorch": 0.9, "torch.compile": 1.05, "matrix products": 1.7, "by hand": 1.03},
        ),
        "w1-nesterov": Work(
            step + "labels and soft targets, Nesterov",
            {"kdlearn": ours(WIDE, kd_loss, nesterov), "matrix products": products(*step_products(WIDE)),
             **rivals.students(WIDE, "nesterov")},
            {"PyTorch": 0.8, "torch.compile": 0.95, "matrix products": 1.45},
        ),
        "w2": Work(
            "one step of a teacher, 784-1200-1200-10 with dropout, batch 128, labels, Adam",
            {"kdlearn": ours(TEACHER, labels, Adam, dropout=(0.2, 0.5, 0.5)),
             "matrix products": products(*step_products(TEACHER)), **rivals.students(TEACHER, "adam", labels=True),
             **rivals_thinc.step(TEACHER, (0.2, 0.5, 0.5))},
            {"PyTorch": 0.8, "torch.compile": 0.75, "matrix products": 1.65},
        ),
        "w3": Work(
            "one epoch of digits, 64-32-10, batch 32, labels and soft targets, Adam",
            {"kdlearn": our_epoch, "by hand": epoch_by_hand,
             "matrix products": products(*step_products(SMALL, 32), times=57), **rivals.epochs(SMALL),
             **rivals_thinc.epochs(SMALL)},
            {"PyTorch": 0.12, "torch.compile": 0.12, "matrix products": 6.0, "by hand": 1.25},
        ),
        "w4": Work(
            "a teacher's logits for 12,000 rows, 784-1200-1200-10",
            {"kdlearn": inference, "matrix products": products(*((12_000, d, h) for d, h in pairwise(TEACHER))),
             **rivals.inference(TEACHER), **rivals_thinc.inference(TEACHER)},
            {"PyTorch": 1.0, "torch.compile": 1.0, "matrix products": 1.1},
        ),
        "w4-few": Work("softmax with T, 60,000 x 10", {"kdlearn": soft(60_000, 10), **rivals.soft(60_000, 10)},
                       {"PyTorch": 0.3}),
        "w4-many": Work("softmax with T, 2048 x 32,000", {"kdlearn": soft(2048, 32_000), **rivals.soft(2048, 32_000)},
                        {"PyTorch": 0.5}),
        "w5-online": Work(
            "two students that teach each other, " + step + "Adam",
            {"kdlearn": ours(WIDE, mutual, Adam), "matrix products": products(*step_products(WIDE), times=2),
             **rivals.mutual(WIDE)},
            {"PyTorch": 0.9, "torch.compile": 1.0, "matrix products": 1.55},
        ),
        "w5-exits": Work(
            "three exits, the last teaches the others, " + step + "Adam",
            {"kdlearn": ours(WIDE, exits_loss, Adam), "matrix products": products(*exits), **rivals.exits(WIDE)},
            {"PyTorch": 0.9, "torch.compile": 1.0, "matrix products": 1.55},
        ),
        "w5-hint": Work(
            "soft targets and a hint behind a projector, " + step + "Adam",
            {"kdlearn": ours(WIDE, hint_loss, Adam), "matrix products": products(*hint), **rivals.hint(WIDE)},
            {"PyTorch": 0.9, "torch.compile": 1.0, "matrix products": 1.55},
        ),
    }  # fmt: skip
