"""What the rows of the MNIST study say: errors, effects, shares of the gap, and verdicts by a rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.hinton import towards
from kdlearn.hinton.names import GROUPS, NAMES, RULES, readable
from kdlearn.hinton.rows import DECAYED, LABELS, LESS, LIVE, MANY, MOVED, MOVED_DECAYED, SOFT, Cell
from kdlearn.study import Interval, cell_key, crossed

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
    **{f"{row}, bias: {rule}": row for row in ("no 3s", "only 7s and 8s") for rule in RULES},
    "teacher with smoothed labels, T = 20": SOFT,
    DECAYED: LABELS,
    MOVED: LABELS,
    MOVED_DECAYED: LABELS,
    LIVE: LABELS,
    MANY: SOFT,
    towards.PLAIN: SOFT,
    towards.STEPS: SOFT,
    **{f"{SOFT}, teacher {how}": LABELS for how in LESS},
    **{f"{row}, three times as long": LABELS for row in (LABELS, SOFT)},
    **{
        f"3 % of the labels, {how}": "3 % of the labels, labels alone"
        for how in ("labels alone, moved images", "T = 20")
    },
}
# rows whose verdict is about the share of the gap between labels and teacher, and the teachers of each
TAUGHT_BY = {SOFT: "teacher", f"{SOFT}, teacher twice as long": "teacher, twice as long"}
# what closes the gap: the rows of the decomposition, and the words for each
SOURCES = {
    row: NAMES[row]
    for row in (
        DECAYED,
        MOVED,
        MOVED_DECAYED,
        *(f"{SOFT}, teacher {how}" for how in ("without either", *list(LESS)[:2])),
        SOFT,
        LIVE,
    )
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


def taught_by(name: str) -> str:
    """The row of the teachers of a row of `SOURCES`; none for students of labels."""
    if not name.startswith(SOFT):
        return ""
    own = name.removeprefix(f"{SOFT}, ")
    return own if own.startswith("teacher") else "teacher"


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
    """Mean and half of the interval; of too few runs each one, or each teacher's mean; of equal runs `80 each`."""
    if few(values):
        each = by_teacher(values)
        return ", ".join(f"{v:{sign}.0f}" for v in (each.mean(axis=1) if len(values) > 2 else each.ravel()))
    if len(set(values.values())) == 1:  # an interval of 0 would say too much
        return f"{next(iter(values.values())):{sign}.0f} each"
    found = crossed(by_teacher(values))
    return f"{found.mean:{sign}.0f} ± {found.half_width:.0f}"


def runs(rows: Sequence[Row]) -> str:
    """How many teachers and students stand behind a row: `5 x 5`; a dash for none.

    The students of a mean of three teachers heard all three at once.
    """
    cells = [row["cell"] for row in rows]
    seeds = len({cell["seed"] for cell in cells})
    if is_teacher(cells[0]["row"]):
        return f"{seeds} x -"
    heard = {seed for c in cells if "teacher" in c for seed in (c["teacher"]["seed"], *c.get("others", ()))}
    return f"{len(heard) or '-'} x {seeds}"


def table(rows: Sequence[Row], only: Collection[str] | None = None) -> str:
    """Errors of 10,000 beside the paper's, and each row's effect beside the paper's effect, in the groups of `names`.

    `only`: the stored rows that are wanted; all where it is None.
    """
    found = errors(rows)
    behind: dict[str, list[Row]] = {}
    for row in rows:
        behind.setdefault(row["cell"]["row"], []).append(row)
    wanted = [name for name in found if only is None or name in only]
    other = {"Other rows": {name: name for name in wanted if name not in NAMES}}
    lines = [_line("", ["of 10,000", "", "teachers", "", "paper's", ""])]
    lines += [_line("", ["errors", "paper", "x students", "effect", "effect", "verdict"])]
    for title, names in {**GROUPS, **other}.items():
        own = [_told(found, name, runs(behind[name.partition(", bias:")[0]])) for name in names if name in wanted]
        lines += [f"\n{title}", *own] if own else []
    return "\n".join(lines)


def _told(found: Errors, name: str, trained: str) -> str:
    """A row's line of the table."""
    words = ", ".join(filter(None, [verdict(found, name), "chosen late" * late(name)]))
    other, mine, theirs = AGAINST.get(name), "", ""
    if other is not None and other in found:
        mine = shown(paired(found, name, other), "+")
    if other in PAPER and name in PAPER:
        theirs = f"{published(name):+.0f}"
    return _line(f"  {readable(name)}", [shown(found[name]), f"{PAPER.get(name, '')}", trained, mine, theirs, words])


def _line(name: str, columns: Sequence[str]) -> str:
    errors, paper, trained, mine, theirs, words = columns
    return f"{name:<50}{errors:>11}{paper:>7}{trained:>12}{mine:>13}{theirs:>9}  {words}".rstrip()


def steps(rows: Sequence[Row]) -> tuple[list[int], Cell, list[Cell]]:
    """`(validation errors of the teachers' rates, settings that were kept, what was tried)` towards the paper's 74."""
    done = {cell_key(None, row["cell"]): row["result"] for row in rows}

    def ran(cells: Sequence[Cell]) -> list[Any]:
        return [done[cell_key(None, cell)] for cell in cells]

    first = ran(towards.rates())
    teachers = towards.teachers_of(towards.best_rate(first), held_out=True)
    return [result["validation"] for result in first], *towards.choose(teachers, ran)
