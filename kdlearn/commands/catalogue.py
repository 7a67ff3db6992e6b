"""`kdlearn catalogue`: measure methods by the protocol, and show the tables."""

from __future__ import annotations

import argparse
import json

from kdlearn.catalogue.measured import study
from kdlearn.catalogue.measured.tasks import TASKS
from kdlearn.study.cells import cells_beside


def run(args: argparse.Namespace) -> int:
    """Run what is missing, write the rows (with `--resume` beside those in the file), print a table for each task."""
    if not any(args.method in name for name in study.METHODS):
        raise ValueError(f"no method's name contains {args.method!r}; there are: {', '.join(study.METHODS)}")
    store = cells_beside(args.out, args.resume)
    size = {"search": 0, "repeats": 1} if args.quick else {"search": study.SEARCH}
    seeds = args.seeds or (3 if args.quick else study.SEEDS)
    tasks = [args.task] if args.task else list(TASKS)
    progress = False if args.quiet else None
    found = study.run(tasks, args.method, store, seeds=seeds, jobs=args.jobs, progress=progress, **size)
    kept = json.loads(args.out.read_text("utf-8")) if args.resume and args.out.exists() else {"tasks": {}}
    for task, rows in found["tasks"].items():  # what other calls measured stays
        kept["tasks"][task] = {**kept["tasks"].get(task, {}), **rows}
    args.out.write_text(json.dumps({**found, "tasks": kept["tasks"]}, separators=(",", ":")) + "\n", "utf-8")
    for task, rows in found["tasks"].items():
        print(f"\n{TASKS[task].line}")
        for family in study.BASELINES:
            print(text(rows, family), end="")
    print(f"\nwritten to {args.out}")
    return 0


def text(rows: dict, family: str) -> str:
    """One family's table."""
    found = study.judged(rows, family)
    names = dict.fromkeys(name for name, _ in found)
    lines = []
    for name in names:
        against = [f"{b}: {found[n, b].difference} {found[n, b].word}" for n, b in found if n == name]
        lines.append(f"  {name:<48} {'; '.join(against)}\n")
    return f"{family}\n{''.join(lines)}" if lines else ""
