"""What the rows of the MNIST study say: errors, effects, shares of the gap, and verdicts by a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.hinton.rows import DECAYED, LABELS, LESS, LIVE, MANY, MOVED, MOVED_DECAYED, SOFT
from kdlearn.study import Interval, crossed

Row = dict[str, Any]  # {"cell": the configuration, "result": what came out}
Key = tuple[int | None, int | None]  # seeds of the student and of the teacher, None where there is none
Errors = Mapping[str, Mapping[Key, int]]

# errors of 10,000: Hinton, Vinyals and Dean 2015, section 3; of smoothed labels Müller, Kornblith and Hinton 2019
PAPER = {
    "teacher": 67,
    "teacher, twice as long": 67,
    LABELS: 146,
    SOFT: 74,
    f"{SOFT}, teacher twice as long": 74,
    "no 3s": 206,
    "no 3s, bias: test": 109,
    "only 7s and 8s": 4730,
    "only 7s and 8s, bias: test": 1320,
    "teacher, labels smoothed by 0.1": 59,
    "teacher with smoothed labels, T = 20": 91,
}
# the row that a row is held against: an effect is the difference of the two
AGAINST = {
    "teacher": LABELS,
    "teacher, twice as long": LABELS,
    "teacher, labels smoothed by 0.1": "teacher",
    SOFT: LABELS,
    f"{SOFT}, teacher twice as long": LABELS,
    "no 3s": SOFT,
    "only 7s and 8s": SOFT,
    "no 3s, bias: test": "no 3s",
    "only 7s and 8s, bias: test": "only 7s and 8s",
    "teacher with smoothed labels, T = 20": SOFT,
    DECAYED: LABELS,
    MOVED: LABELS,
    MOVED_DECAYED: LABELS,
    LIVE: LABELS,
    MANY: SOFT,
    **{f"{SOFT}, teacher {how}": LABELS for how in LESS},
}
# rows whose verdict is about the share of the gap between labels and teacher, and the teachers of each
TAUGHT_BY = {SOFT: "teacher", f"{SOFT}, teacher twice as long": "teacher, twice as long"}
# what closes the gap: the rows of the decomposition, and what each adds to a student of labels
SOURCES = {
    DECAYED: "labels, weight decay",
    MOVED: "labels, moved images",
    MOVED_DECAYED: "labels, moved images, weight decay",
    **{f"{SOFT}, teacher {how}": f"soft targets, teacher {how}" for how in ("without either", *list(LESS)[:2])},
    SOFT: "soft targets",
    LIVE: "soft targets and moved images",
}


def errors(rows: Sequence[Row]) -> dict[str, dict[Key, int]]:
    """{row of the table: {(student's seed, teacher's seed): test errors}}; biased rows stand on their own."""
    table: dict[str, dict[Key, int]] = {}
    for row in rows:
        cell, result = row["cell"], row["result"]
        if "errors" not in result:
            continue
        heard = cell["teacher"]["seed"] if "teacher" in cell and "others" not in cell else None
        key = (None, cell["seed"]) if is_teacher(cell["row"]) else (cell["seed"], heard)
        table.setdefault(cell["row"], {})[key] = result["errors"]
        for rule, found in result.get("biased", {}).items():
            table.setdefault(f"{cell['row']}, bias: {rule}", {})[key] = found["errors"]
    return table


def is_teacher(row: str) -> bool:
    """Whether this row holds teachers, not students."""
    return row.startswith("teacher") and "T =" not in row


def by_teacher(values: Mapping[Key, float]) -> np.ndarray:
    """A row's values as (teachers, students): only students that every teacher taught."""
    teachers = sorted({m for _, m in values}, key=str)
    seeds = [s for s in sorted({s for s, _ in values}, key=str) if all((s, m) in values for m in teachers)]
    return np.array([[values[s, m] for s in seeds] for m in teachers])


def paired(found: Errors, name: str, other: str) -> dict[Key, float]:
    """Differences of two rows: the same seed of the student, and the same teacher where both have one.

    A teacher against students, or students against teachers, pairs each with each.
    """
    mine, theirs = found[name], found[other]
    differences: dict[Key, float] = {}
    for (s, m), value in mine.items():
        for (s2, m2), beside in theirs.items():
            if (s2 in (s, None) or s is None) and (m2 in (m, None) or m is None):
                differences[s if s is not None else s2, m if m is not None else m2] = value - beside
    return differences


def effect(found: Errors, name: str, other: str) -> Interval:
    """The mean difference of two rows with its interval, for which teachers and students are both drawn."""
    return crossed(by_teacher(paired(found, name, other)))


def share(found: Errors, name: str, teacher: str = "teacher") -> Interval:
    """How much of the gap between labels and teacher a row closes, in %, with its interval.

    (labels - row) / (labels - teacher), of the means; the interval is that of the numerator less the share times
    the denominator, both of the same student and the same teacher, over the mean gap (the delta method).
    """
    gap = {key: -d for key, d in paired(found, teacher, LABELS).items()}
    gain = {(s, m): -d for (s, m), d in paired(found, name, LABELS).items()}
    own = {m for _, m in gain} - {None}
    both = {(s, m): gain[s, m if own else None] for s, m in gap if (s, m if own else None) in gain}
    mean = np.mean([gap[key] for key in both])
    of = float(np.mean(list(both.values())) / mean)
    around = crossed(by_teacher({key: both[key] - of * gap[key] for key in both}))
    return Interval(100 * of, 100 * around.half_width / float(mean), around.n)


def published(name: str) -> float:
    """The paper's effect of a row."""
    return PAPER[name] - PAPER[AGAINST[name]]


def verdict(found: Errors, name: str) -> str:
    """Reproduced, direction only, or not: by a rule, so that nobody's wish decides.

    Where a row is held against another, the effect counts; of soft targets the share of the gap to the teacher.
    Reproduced: the paper's lies in our interval, and zero does not. Direction only: our interval excludes zero on
    the paper's side. Labels alone have no other row: reproduced if the paper's number lies within a tenth of ours.
    """
    if name not in PAPER:
        return ""
    other = AGAINST.get(name)
    if other is None:
        mean = np.mean(list(found[name].values()))
        return "reproduced" if abs(PAPER[name] - mean) <= 0.1 * mean else "not reproduced"
    if other not in found or few(found[name]):
        return "too few runs to say"
    ours, theirs = effect(found, name, other), published(name)
    if not (ours.low > 0 or ours.high < 0) or ours.mean * theirs < 0:
        return "not reproduced"
    if name in TAUGHT_BY:
        ours = share(found, name, TAUGHT_BY[name])
        theirs = 100 * published(SOFT) / published("teacher")
    return "reproduced" if ours.low <= theirs <= ours.high else "direction only"


def late(name: str) -> bool:
    """Whether the lengths behind this row were chosen after test rows had been read."""
    return "as long" in name


def few(values: Mapping[Key, float]) -> bool:
    """Whether there are too few runs for an interval: two, or students of two teachers."""
    n = by_teacher(values).shape
    return len(values) < 3 or min(n) == 2


def shown(values: Mapping[Key, float], sign: str = "") -> str:
    """A row's mean and half of its interval; of too few runs, or equal ones, each one, or each teacher's mean."""
    if few(values) or len(set(values.values())) == 1:
        each = by_teacher(values)
        return ", ".join(f"{v:{sign}.0f}" for v in (each.mean(axis=1) if len(values) > 2 else each.ravel()))
    found = crossed(by_teacher(values))
    return f"{found.mean:{sign}.0f} ± {found.half_width:.0f}"


def runs(values: Mapping[Key, float]) -> str:
    """How many trainings stand behind a row: teachers x students, where there are several of both."""
    n = by_teacher(values).shape
    return f"{n[0]} x {n[1]}" if min(n) > 1 else f"{len(values)}"


def table(rows: Sequence[Row]) -> str:
    """Errors of 10,000 beside the paper's, and each row's effect beside the paper's effect."""
    found = errors(rows)
    lines = [f"{'':<50}{'errors':>12}{'runs':>7}{'paper':>7}{'effect':>12}{'paper':>7}  verdict"]
    for name, values in found.items():
        words = ", ".join(filter(None, [verdict(found, name), "length chosen after test rows were read" * late(name)]))
        other, mine, theirs = AGAINST.get(name), "", ""
        if other in found:
            mine = shown(paired(found, name, other), "+")
        if other in PAPER and name in PAPER:
            theirs = f"{published(name):+.0f}"
        of = f"{name:<50}{shown(values):>12}{runs(values):>7}{PAPER.get(name, ''):>7}"
        lines.append(f"{of}{mine:>12}{theirs:>7}  {words}".rstrip())
    return "\n".join(lines)
