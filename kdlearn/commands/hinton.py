"""`kdlearn hinton`: the cells of the MNIST study, run, resumed, collected and shown as a table."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlearn import hinton
from kdlearn.backend import resolve_device
from kdlearn.files import cells_beside
from kdlearn.study import interval, sweep

Row = dict[str, Any]  # {"cell": the configuration, "result": what came out}

# errors of 10,000: Hinton, Vinyals and Dean 2015, section 3; of smoothed labels Müller, Kornblith and Hinton 2019
PAPER = {
    "teacher": 67,
    "teacher, twice as long": 67,
    hinton.LABELS: 146,
    hinton.SOFT: 74,
    f"{hinton.SOFT}, teacher twice as long": 74,
    "no 3s": 206,
    "no 3s, bias: test": 109,
    "only 7s and 8s": 4730,
    "only 7s and 8s, bias: test": 1320,
    "teacher, labels smoothed by 0.1": 59,
    "teacher with smoothed labels, T = 20": 91,
}
# what a row is held against where its direction is judged
AGAINST = {
    "teacher": hinton.LABELS,
    "teacher, twice as long": hinton.LABELS,
    "teacher, labels smoothed by 0.1": "teacher",
    hinton.SOFT: hinton.LABELS,
    f"{hinton.SOFT}, teacher twice as long": hinton.LABELS,
    "no 3s": hinton.SOFT,
    "only 7s and 8s": hinton.SOFT,
    "no 3s, bias: test": "no 3s",
    "only 7s and 8s, bias: test": "only 7s and 8s",
    "teacher with smoothed labels, T = 20": hinton.SOFT,
}


def run(args: argparse.Namespace) -> int:
    """Run what is missing of the study, write the rows after each part, print the table."""
    device = resolve_device(args.device)
    store = cells_beside(args.out, args.resume)
    on: dict[str, Any] = {"store": store, "jobs": args.jobs if device == "cpu" else 1}
    on["progress"] = False if args.quiet else None
    teach, learn = (_on(device, function) for function in (hinton.teach, hinton.learn))
    rows: list[Row] = json.loads(args.out.read_text("utf-8")) if args.resume and args.out.exists() else []

    def ran(function: Callable[..., Any], cells: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of these cells: of what is among the rows already, or of a training."""
        done = {json.dumps(row["cell"], sort_keys=True): row["result"] for row in rows}
        missing = [cell for cell in cells if json.dumps(cell, sort_keys=True) not in done]
        new = _pairs(missing, sweep(function, missing, **on))
        rows.extend(new)
        write(args.out, rows)
        done |= {json.dumps(row["cell"], sort_keys=True): row["result"] for row in new}
        return [done[json.dumps(cell, sort_keys=True)] for cell in cells]

    everyone, candidates = hinton.teachers(args.quick), hinton.choices(args.quick)
    ran(teach, everyone[1:2])  # before the choices, which hear it
    best = hinton.chosen(candidates, ran(learn, candidates))
    cells = [c for c in hinton.students(best, args.quick) if args.rows in c["row"]]
    heard = [cell["teacher"] for cell in cells if "teacher" in cell]
    ran(teach, [c for c in everyone if args.rows in c["row"] or hinton.settings_of(c) in heard])
    ran(learn, cells)
    print(table(rows))
    if not args.quiet:
        print(f"validation chose: {json.dumps(best)}\n{args.out}: one row a cell")
    return 0


def _on(device: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if device == "cpu" else functools.partial(function, device=device)


def _pairs(cells: Sequence[Mapping[str, Any]], results: Sequence[Any]) -> list[Row]:
    return [{"cell": dict(cell), "result": result} for cell, result in zip(cells, results)]


def write(path: Path, rows: Sequence[Row]) -> None:
    """The rows as a JSON list, one line a row."""
    path.write_text("[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in rows) + "\n]\n")


def errors(rows: Sequence[Row]) -> dict[str, dict[tuple[int, int], int]]:
    """{row of the table: {(student's seed, teacher's seed): test errors}}; biased rows stand on their own."""
    table: dict[str, dict[tuple[int, int], int]] = {}
    for row in rows:
        cell, result = row["cell"], row["result"]
        if "errors" not in result:
            continue
        key = cell["seed"], cell.get("teacher", cell)["seed"] if "T" in cell else 0
        table.setdefault(cell["row"], {})[key] = result["errors"]
        for rule, found in result.get("biased", {}).items():
            table.setdefault(f"{cell['row']}, bias: {rule}", {})[key] = found["errors"]
    return table


def paired(table: Mapping[str, Mapping[tuple[int, int], int]], name: str, other: str) -> list[int]:
    """Differences of two rows, seed by seed of the student."""
    mine, theirs = ({seed: e for (seed, _), e in table[n].items()} for n in (name, other))
    return [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]


def verdict(table: Mapping[str, Mapping[tuple[int, int], int]], name: str) -> str:
    """Reproduced, direction only, or not: by a rule, so that nobody's wish decides.

    Reproduced: the paper's number within a tenth of ours. Direction only: the difference to the row it
    is held against has the paper's sign in every seed, of at least two.
    """
    if name not in PAPER:
        return ""
    mean = interval(list(table[name].values())).mean
    if abs(PAPER[name] - mean) <= 0.1 * mean:
        return "reproduced"
    other = AGAINST.get(name)
    if other is not None and other in table:
        differences, published = paired(table, name, other), PAPER[name] - PAPER[other]
        if len(differences) > 1 and all(d * published > 0 for d in differences):
            return "direction only"
    return "not reproduced"


def late(name: str) -> bool:
    """Whether the lengths behind this row were chosen after test rows had been read."""
    return "as long" in name or "second such teacher" in name


def shown(values: Sequence[int]) -> str:
    """Errors of a row: mean and half of the 95 % interval; of two runs both numbers, which are no interval."""
    if len(values) < 3:
        return ", ".join(map(str, values))
    mean = interval(values)
    return f"{mean.mean:.0f} ± {mean.half_width:.0f}"


def table(rows: Sequence[Row]) -> str:
    """Errors of 10,000 with their interval over the seeds, beside the paper's."""
    found = errors(rows)
    lines = [f"{'':<45}{'errors':>12}{'seeds':>7}{'paper':>7}  verdict"]
    for name, values in found.items():
        words = [verdict(found, name), "length chosen after test rows were read" * late(name)]
        of = shown(list(values.values()))
        line = f"{name:<45}{of:>12}{len(values):>7}{PAPER.get(name, ''):>7}  {', '.join(filter(None, words))}"
        lines.append(line.rstrip())
    return "\n".join(lines)
