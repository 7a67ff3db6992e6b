"""The rows of the MNIST study: which teachers and students are trained, and which settings validation chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Cell = dict[str, Any]
WIDTHS, TEMPERATURES = (30, 100, 300), (1, 2, 4, 8, 20)
RATES, DECAYS, WEIGHTS = (1e-3, 2e-3, 4e-3, 8e-3), (0.1, 0.3), (0.0, 0.1)
WIDER = (*DECAYS, 1.0)  # for moved images, where the choice lay on the edge
BIASED, LABELS, SOFT = 20, "labels alone", "soft targets, T = 20"  # the temperature of the omissions; two rows
DECAYED = "labels alone, weight decay"
MOVED, MOVED_DECAYED, LIVE = (f"{row}, moved images" for row in (LABELS, DECAYED, SOFT))  # the student's images
LESS: dict[str, Cell] = {  # teachers that lack what a student may have learned from
    "without moved images": {"moved": False},
    "without dropout": {"dropout": False},
    "without either": {"moved": False, "dropout": False},
}
MANY = f"{SOFT}, mean of three teachers"
BIG, SMALL = ({"n": 10_000, "width": width} for width in (600, 300))  # of the short study: teachers, students
LENGTHS = {False: (110, 30, 40), True: (60, 30, 40)}  # short study or not: epochs of a teacher, a choice, a student
NEW = range(2, 5)  # seeds of the teachers whose ways are taken apart


def teachers(quick: bool = False) -> list[Cell]:
    """The cells of `teach`; the second never saw the held-out rows and tells the students that choose."""
    (long, short, _), small = LENGTHS[quick], BIG if quick else {}
    first: list[Cell] = [
        {"row": "teacher", "seed": 0, "epochs": long, **small},
        {"row": "the choosing teacher", "seed": 0, "epochs": short, "held_out": True, **small},
    ]
    if quick:
        return first
    made = [*first, {"row": "teacher", "seed": 1, "epochs": long}]
    made += [{"row": "teacher", "seed": seed, "epochs": long} for seed in NEW]
    made += [
        {"row": f"teacher {how}", "seed": seed, "epochs": long, **less} for seed in NEW for how, less in LESS.items()
    ]
    made += [{"row": "teacher, labels smoothed by 0.1", "seed": 0, "epochs": long, "smoothing": 0.1}]
    return made + [{"row": "teacher, twice as long", "seed": seed, "epochs": 2 * long} for seed in range(2)]


def choices(quick: bool = False) -> list[Cell]:
    """Cells whose only use is their validation errors: rate, decay and weight of the labels, one seed each."""
    told = {"T": 20, "teacher": settings_of(teachers(quick)[1])}
    common = {
        "seed": 0,
        "epochs": LENGTHS[quick][1],
        "held_out": True,
        "tested": False,
        **(SMALL if quick else {}),
    }
    rates, moved = [{"rate": rate} for rate in RATES], {"moved": True}
    weighed = [{**rate, "hard": hard, **told} for hard in WEIGHTS for rate in rates]
    decayed = [{**rate, "decay": decay} for decay in WIDER for rate in rates]
    rows = [{"row": LABELS, **rate} for rate in rates]
    rows += [{"row": SOFT, **cell} for cell in weighed]
    rows += [{"row": DECAYED, **cell} for cell in decayed[: len(DECAYS) * len(RATES)]]
    rows += [{"row": MOVED, **moved, **rate} for rate in rates]
    rows += [{"row": MOVED_DECAYED, **moved, **cell} for cell in decayed]
    rows += [{"row": LIVE, **moved, **cell} for cell in weighed]
    return [{**common, **row, "row": f"choice: {row['row']}"} for row in rows]


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
    told = {(cell["row"], cell["seed"]): settings_of(cell) for cell in teachers(quick)}
    epochs, few, more, small = LENGTHS[quick][2], 3, 5, SMALL if quick else {}

    def row(name: str, seeds: int, T: float | None = None, teacher: Cell | None = None, **settings: Any) -> list[Cell]:
        heard = {} if T is None else {"T": T, "teacher": teacher or told["teacher", 0]}
        base = {"epochs": epochs, **best[LABELS if T is None else SOFT], **small}
        return [{"row": name, "seed": seed, **base, **heard, **settings} for seed in range(seeds)]

    seven_eight: Cell = {"transfer": "only 7s and 8s", "held_out": True, "hard": 0.0, "epochs": 2 * epochs}
    cells = [*row(LABELS, more), *row(SOFT, more, 20), *row(DECAYED, more, **best[DECAYED])]
    cells += row(MOVED, more, moved=True, **best[MOVED])
    cells += row(MOVED_DECAYED, more, moved=True, **best[MOVED_DECAYED])
    cells += row(LIVE, few, 20, told["teacher", 0 if quick else NEW[0]], moved=True, **best[LIVE])
    cells += row("no 3s", few, BIASED, transfer="no 3s", held_out=True, hard=0.0)
    cells += row("only 7s and 8s", few, BIASED, **seven_eight)
    if quick:
        return cells
    for seed in (*NEW, 1):
        cells += row(SOFT, more, 20, told["teacher", seed])
    for seed in NEW:
        for how in LESS:
            cells += row(f"{SOFT}, teacher {how}", few, 20, told[f"teacher {how}", seed])
    for seed in NEW[1:]:
        cells += row(LIVE, few, 20, told["teacher", seed], moved=True, **best[LIVE])
    for seed in range(2):
        cells += row(f"{SOFT}, teacher twice as long", more, 20, told["teacher, twice as long", seed])
    cells += row(MANY, more, 20, told["teacher", NEW[0]], others=list(NEW[1:]))
    for T in TEMPERATURES[:-1]:
        cells += row(f"soft targets, T = {T}", few, T)
    cells += row("3 % of the labels, labels alone", few, transfer="3 % of the labels", epochs=10 * epochs)
    few_moved: Cell = {"transfer": "3 % of the labels", "epochs": 10 * epochs, "moved": True, **best[MOVED]}
    cells += row("3 % of the labels, labels alone, moved images", few, **few_moved)
    cells += row("3 % of the labels, T = 20", few, 20, transfer="3 % of the labels", epochs=10 * epochs)
    cells += row("teacher with smoothed labels, T = 20", few, 20, told["teacher, labels smoothed by 0.1", 0])
    for width in WIDTHS:
        cells += row(f"{width} units, labels alone", few, width=width)
        for T in TEMPERATURES:
            cells += row(f"{width} units, T = {T}", few, T, width=width)
    cells += row(f"{SOFT}, three times as long", 1, 20, epochs=3 * epochs)
    cells += row("labels alone, three times as long", 1, epochs=3 * epochs)
    return cells


def settings_of(cell: Cell) -> Cell:
    """A teacher's cell as `learn` and `teacher_answers` take it."""
    return {key: value for key, value in cell.items() if key != "row"}
