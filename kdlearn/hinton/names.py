"""The words that readers see in place of the names of stored rows, in the order and groups of the table."""

from __future__ import annotations

from kdlearn.hinton.rows import DECAYED, LABELS, LESS, LIVE, MANY, MOVED, MOVED_DECAYED, SOFT, TEMPERATURES, WIDTHS
from kdlearn.hinton.towards import DESCENT, PLAIN, STEPS

RULES = {"prior": "known share", "validation": "validation labels", "test": "test labels"}  # that choose a bias
BOTH = "moves and dropout"  # what the teachers lack that are stored as "without either"


def _missing(row: str) -> dict[str, str]:
    return {f"{row}, bias: {rule}": f"{row}, bias by {words}" for rule, words in RULES.items()}


def _narrow(width: int) -> dict[str, str]:
    taught = {f"{width} units, T = {T}": f"{width} units, soft targets, T = {T}" for T in TEMPERATURES}
    return {f"{width} units, labels alone": f"{width} units, labels alone", **taught}


def _lacking(how: str) -> str:
    return f"without {BOTH}" if how == "without either" else how


# {what unites the rows, and which row their effects are held against: {stored row: shown name}}
GROUPS: dict[str, dict[str, str]] = {
    "The paper's main rows (effect: against labels alone)": {row: row for row in (LABELS, "teacher", SOFT)},
    "Controls: labels with more, and taught students that see moved images (against labels alone)": {
        DECAYED: "labels, weight decay",
        MOVED: "labels, moved images",
        MOVED_DECAYED: "labels, moved images, weight decay",
        LIVE: "soft targets, student sees moved images",
    },
    "Teachers that lack something, and their students (students against labels alone)": {
        **{f"teacher {how}": f"teacher {_lacking(how)}" for how in LESS},
        **{f"{SOFT}, teacher {how}": f"soft targets, teacher {_lacking(how)}" for how in LESS},
    },
    "Several teachers, and soft targets tuned further (against soft targets, T = 20)": {
        MANY: "soft targets, mean of 3 teachers' logits",
        DESCENT: "teacher, gradient descent",
        PLAIN: "soft targets, tuned, no weight decay",
        STEPS: "soft targets, tuned towards 74",
    },
    "Longer, lengths chosen late (against labels alone)": {
        "teacher, twice as long": "teacher, 220 epochs",
        f"{SOFT}, teacher twice as long": "soft targets, teacher of 220 epochs",
        f"{SOFT}, three times as long": "soft targets, student of 120 epochs",
        "labels alone, three times as long": "labels alone, student of 120 epochs",
    },
    "Classes left out, a sixth of the images too (against soft targets of the first teacher)": {
        row: row for row in ("no 3s", "only 7s and 8s")
    },
    "The same with a bias (against the row without it)": {**_missing("no 3s"), **_missing("only 7s and 8s")},
    "3 % of the images; the teacher knew all (against labels alone of these images)": {
        "3 % of the labels, labels alone": "3 % of the images, labels alone",
        "3 % of the labels, labels alone, moved images": "3 % of the images, labels, moved images",
        "3 % of the labels, T = 20": "3 % of the images, soft targets",
    },
    "Temperature, 800 units": {f"soft targets, T = {T}": f"soft targets, T = {T}" for T in TEMPERATURES[:-1]},
    **{f"Temperature, {width} units": _narrow(width) for width in WIDTHS},
    "Smoothed labels; the paper is Müller et al. 2019 (against the row without smoothing)": {
        "teacher, labels smoothed by 0.1": "teacher, labels smoothed by 0.1",
        "teacher with smoothed labels, T = 20": "soft targets, teacher of smoothed labels",
    },
}
NAMES = {row: words for rows in GROUPS.values() for row, words in rows.items()}


def readable(row: str) -> str:
    """The words for a stored row, with what stands before a colon kept: `choice: labels alone`; its own where none."""
    kind, colon, rest = row.partition(": ")
    return NAMES.get(row) or (f"{kind}: {NAMES.get(rest, rest)}" if colon else row)
