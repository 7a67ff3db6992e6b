"""`kdlearn hinton`: the cells of the MNIST study, run, resumed, collected and shown as a table."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlearn.backend import resolve_device
from kdlearn.files import cells_beside, written_aside
from kdlearn.hinton import choices, chosen, learn, settings_of, students, teach, teachers
from kdlearn.hinton.table import Row, table
from kdlearn.study import cell_key, sweep


def run(args: argparse.Namespace) -> int:
    """Run what is missing of the study, write the rows after each part, print the table."""
    device = resolve_device(args.device)
    store = cells_beside(args.out, args.resume)
    on: dict[str, Any] = {"store": store, "jobs": args.jobs if device == "cpu" else 1}
    on["progress"] = False if args.quiet else None
    one_teacher, one_student = _on(device, teach), _on(device, learn)
    rows: list[Row] = json.loads(args.out.read_text("utf-8")) if args.resume and args.out.exists() else []
    done = {cell_key(None, row["cell"]): row["result"] for row in rows}

    def ran(function: Callable[..., Any], cells: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of these cells: of what is among the rows already, or of a training."""
        missing = [cell for cell in cells if cell_key(None, cell) not in done]
        for cell, result in zip(missing, sweep(function, missing, **on)):
            rows.append({"cell": dict(cell), "result": result})
            done[cell_key(None, cell)] = result
        write(args.out, rows)
        return [done[cell_key(None, cell)] for cell in cells]

    everyone, candidates = teachers(args.quick), choices(args.quick)
    ran(one_teacher, everyone[1:2])  # before the choices, which hear it
    best = chosen(candidates, ran(one_student, candidates))
    cells = [c for c in students(best, args.quick) if args.rows in c["row"]]
    heard = [cell["teacher"] for cell in cells if "teacher" in cell]
    ran(one_teacher, [c for c in everyone if args.rows in c["row"] or settings_of(c) in heard])
    ran(one_student, cells)
    print(table(rows))
    if not args.quiet:
        print(f"validation chose: {json.dumps(best)}\n{args.out}: one row a cell")
    return 0


def _on(device: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if device == "cpu" else functools.partial(function, device=device)


def write(path: Path, rows: Sequence[Row]) -> None:
    """The rows as a JSON list, one line a row."""
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
    with written_aside(path) as file:
        file.write(f"[\n{lines}\n]\n".encode())
