"""`kdlearn hinton`: the cells of the MNIST study, run, resumed, collected and shown as a table."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlearn.backend import resolve_device
from kdlearn.files import written_aside
from kdlearn.hinton import choices, chosen, learn_all, settings_of, students, teach_all, teachers, towards
from kdlearn.hinton.table import Row, table
from kdlearn.study import cell_key, sweep
from kdlearn.study.cells import cells_beside


def run(args: argparse.Namespace) -> int:
    """Run what is missing of the study, write the rows after each part, print the table."""
    names = rows_to_choose(args.quick)
    if not any(args.rows in name for name in names):
        raise ValueError(f"no row's name contains {args.rows!r}; there are: {'; '.join(names)}")
    device = resolve_device(args.device)
    store = cells_beside(args.out, args.resume)
    on: dict[str, Any] = {"store": store, "jobs": args.jobs or (None if device == "cpu" else 1)}
    on["progress"] = False if args.quiet else None
    train_teachers, train_students = (functools.partial(function, device=device) for function in (teach_all, learn_all))
    rows: list[Row] = json.loads(args.out.read_text("utf-8")) if args.resume and args.out.exists() else []
    done = {cell_key(None, row["cell"]): row["result"] for row in rows}

    def ran(function: Callable[..., Any], cells: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of these cells: of what is among the rows already, or of a training."""
        missing = [cell for cell in cells if cell_key(None, cell) not in done]
        groups = [[cell] for cell in missing] if device == "cpu" else by_seed(missing)  # on a GPU stacks
        for group, results in zip(groups, sweep(function, [as_one_cell(group) for group in groups], **on)):
            for cell, result in zip(group, results):
                rows.append({"cell": dict(cell), "result": result})
                done[cell_key(None, cell)] = result
        write(args.out, rows)
        return [done[cell_key(None, cell)] for cell in cells]

    everyone, candidates = teachers(args.quick), choices(args.quick)
    ran(train_teachers, everyone[1:2])  # before the choices, which hear it
    best = chosen(candidates, ran(train_students, candidates))
    cells = [c for c in students(best, args.quick) if args.rows in c["row"]]
    heard = [cell["teacher"] for cell in cells if "teacher" in cell]
    ran(train_teachers, [c for c in everyone if args.rows in c["row"] or settings_of(c) in heard])
    ran(train_students, cells)
    if not args.quick and args.rows in towards.STEPS:
        sgd = towards.best_rate(ran(train_teachers, towards.rates()))
        heard = towards.teachers_of(sgd, held_out=True)
        ran(train_teachers, heard)
        kept, _ = towards.choose(heard, functools.partial(ran, train_students))
        heard = towards.teachers_of(sgd, held_out=False)
        ran(train_teachers, heard)
        ran(train_students, towards.tested(kept, heard))
    print(table(rows))
    if not args.quiet:
        print(f"validation chose: {json.dumps(best)}\n{args.out}: one row a cell")
    return 0


def rows_to_choose(quick: bool = False) -> list[str]:
    """The names of the rows that `--rows` chooses from, each once."""
    settings: dict[str, dict[str, Any]] = {cell["row"].removeprefix("choice: "): {} for cell in choices(quick)}
    cells = [*students(settings, quick), *teachers(quick)]
    return list(dict.fromkeys([*(cell["row"] for cell in cells), *([] if quick else [towards.STEPS])]))


def by_seed(cells: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Cells that differ in the seeds of student and teacher alone, together, in the order of the first of each."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        teacher = {"teacher": {**cell["teacher"], "seed": 0}} if "teacher" in cell else {}
        groups.setdefault(cell_key(None, {**cell, "seed": 0, **teacher}), []).append(cell)
    return list(groups.values())


def as_one_cell(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The cells of one of these groups as `learn_all` or `teach_all` takes them: what each has of its own as lists."""
    common = {key: value for key, value in cells[0].items() if key not in ("seed", "teacher")}
    own = {f"{key}s": [cell[key] for cell in cells] for key in ("seed", "teacher") if key in cells[0]}
    return {**common, **own}


def write(path: Path, rows: Sequence[Row]) -> None:
    """The rows as a JSON list, one line a row."""
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
    with written_aside(path) as file:
        file.write(f"[\n{lines}\n]\n".encode())
