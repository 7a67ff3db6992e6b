"""Towards the paper's 74: changes to teacher, lesson and student, one after the other, each chosen on validation.

Every change is tried with three seeds, each student told by a teacher that never saw the held-out rows, and kept
where the mean of the three students' validation errors falls. The test images are read at the end; they were read
once before weight decay, the last change, was thought of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.hinton.rows import Cell, settings_of

DESCENT, SEEDS = "teacher, gradient descent", range(3)
# a choosing teacher and a final one take as many steps: 100,000
EPOCHS = {"rate": 60, "choosing": 200, "teacher": 167, "choice": 30, "student": 40}
DESCENTS = (0.1, 0.3, 1.0, 3.0)  # rates of the teachers
GRID = [
    {"T": T, "hard": hard, "rate": rate}
    for T in (2, 4, 20)
    for hard in (0.0, 0.01, 0.1, 0.5)
    for rate in (1e-3, 2e-3, 4e-3)
]
# the choice among these lay on three edges of the grid
WIDER = [{"T": 20, "hard": hard, "rate": rate} for hard, rate in ((0.5, 8e-3), (0.7, 4e-3))]
WIDER += [{"T": 40, "hard": 0.5, "rate": 4e-3}]
MANY = {"others": True}  # each student hears the mean of all three teachers
# what is tried, in this order, each on top of what was kept before it
CHANGES: dict[str, Sequence[Cell]] = {
    "temperature, weight of the labels and rate": [*GRID, *WIDER],
    "the mean of three teachers": [MANY],
    "pixels of mean 0 and deviation 1": [{"standardized": True, "rate": rate} for rate in (5e-4, 1e-3, 2e-3, 4e-3)],
    "gradient descent with momentum": [{"momentum": 0.9, "rate": rate} for rate in (0.01, 0.03, 0.1, 0.3)],
    "four times as long": [{"epochs": 4 * EPOCHS["choice"]}],
    "a mean of the weights": [{"average": 0.999}],
    "weight decay": [{"decay": decay} for decay in (0.03, 0.1, 0.3, 1.0)],
}
STEPS = "soft targets, as chosen towards the paper"
PLAIN = "soft targets, as chosen before weight decay"  # which was tried when these had read the test images
Ran = Callable[[Sequence[Cell]], list[Any]]


def rates() -> list[Cell]:
    """Teachers whose held-out errors choose the rate of the others."""
    return [
        {"row": f"step: {DESCENT}", "seed": 0, "epochs": EPOCHS["rate"], "sgd": sgd, "held_out": True}
        for sgd in DESCENTS
    ]


def best_rate(results: Sequence[Mapping[str, Any]]) -> float:
    """The rate of `rates` whose teacher made the fewest validation errors."""
    return DESCENTS[int(np.argmin([result["validation"] for result in results]))]


def teachers_of(sgd: float, held_out: bool) -> list[Cell]:
    """The teachers of the choices, and those of the students that are tested."""
    if held_out:
        how: Cell = {"row": f"the choosing {DESCENT}", "epochs": EPOCHS["choosing"], "held_out": True}
    else:
        how = {"row": DESCENT, "epochs": EPOCHS["teacher"]}
    return [{**how, "seed": seed, "sgd": sgd} for seed in SEEDS]


def students_of(settings: Mapping[str, Any], teachers: Sequence[Cell], seeds: Sequence[int], **how: Any) -> list[Cell]:
    """Students of each teacher, or of the mean of all where the settings say `others`."""
    cell: Cell = {**settings, **how}
    if cell.pop("others", False):
        cell["others"] = [teacher["seed"] for teacher in teachers[1:]]
        teachers = teachers[:1]
    return [{**cell, "seed": seed, "teacher": settings_of(teacher)} for teacher in teachers for seed in seeds]


def of_three(settings: Cell, teachers: Sequence[Cell], **how: Any) -> list[Cell]:
    """Three students: the k-th of the k-th teacher, or all of the teachers' mean."""
    if settings.get("others"):
        return students_of(settings, teachers, SEEDS, **how)
    return [students_of(settings, [teacher], [teacher["seed"]], **how)[0] for teacher in teachers]


def choose(teachers: Sequence[Cell], ran: Ran) -> tuple[Cell, list[Cell]]:
    """`(the settings that were kept, what was tried)`: the changes in their order, each on top of those kept.

    `ran` gives the results of cells. Of what was tried: change, settings, mean validation errors, and whether kept.
    """
    kept: Cell = {"epochs": EPOCHS["choice"]}
    best, tried = np.inf, []
    for change, variants in CHANGES.items():
        how = {"row": f"step: {change}", "held_out": True, "tested": False}
        cells = [of_three({**kept, **variant}, teachers, **how) for variant in variants]
        found = iter(ran([cell for three in cells for cell in three]))
        means = [float(np.mean([next(found)["validation"] for _ in three])) for three in cells]
        taken = int(np.argmin(means)) if min(means) < best else None
        tried += [
            {"change": change, **variant, "validation": mean, "kept": i == taken}
            for i, (variant, mean) in enumerate(zip(variants, means))
        ]
        if taken is not None:
            kept, best = {**kept, **variants[taken]}, means[taken]
    return kept, tried


def tested(kept: Mapping[str, Any], teachers: Sequence[Cell]) -> list[Cell]:
    """The students whose test errors are counted, without weight decay and as chosen.

    Five of each teacher, or of the teachers' mean.
    """
    epochs = kept["epochs"] * EPOCHS["student"] // EPOCHS["choice"]
    plain = {key: value for key, value in kept.items() if key != "decay"}
    ways = {PLAIN: plain, STEPS: kept}
    return [
        cell
        for row, own in ways.items()
        for cell in students_of({**own, "epochs": epochs}, teachers, range(5), row=row)
    ]
