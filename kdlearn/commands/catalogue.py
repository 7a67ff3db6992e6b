"""`kdlearn catalogue`: measure methods by the protocol, and show the tables."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kdlearn.catalogue.measured import study
from kdlearn.catalogue.measured.tasks import TASKS
from kdlearn.study import interval
from kdlearn.study.cells import cells_beside


def run(args: argparse.Namespace) -> int:
    """Run what is missing, write the rows (with `--resume` beside those in the file), print a table for each task."""
    if not any(args.method in name for name in study.METHODS):
        raise ValueError(f"no method's name contains {args.method!r}; there are: {', '.join(study.METHODS)}")
    seeds = args.seeds or (3 if args.quick else study.SEEDS)
    kept = json.loads(args.out.read_text("utf-8")) if args.resume and args.out.exists() else {"tasks": {}}
    _check_seeds(args.out, kept["tasks"], seeds)
    store = cells_beside(args.out, args.resume)
    size = {"search": 0, "repeats": 1} if args.quick else {"search": study.SEARCH}
    tasks = [args.task] if args.task else list(TASKS)
    progress = False if args.quiet else None
    found = study.run(tasks, args.method, store, seeds=seeds, jobs=args.jobs, progress=progress, **size)
    for task, rows in found["tasks"].items():  # what other calls measured stays
        kept["tasks"][task] = {**kept["tasks"].get(task, {}), **rows}
    args.out.write_text(json.dumps({**found, "tasks": kept["tasks"]}, separators=(",", ":")) + "\n", "utf-8")
    for task, rows in found["tasks"].items():
        print(f"\n{TASKS[task].line}")
        tables = [text(rows, family) for family in study.BASELINES]
        if args.method:  # a baseline that was asked for by its name
            tables = [baselines(rows, args.method), *tables]
        print("".join(tables) or f"no method whose name contains {args.method!r} is one of this task\n", end="")
    print(f"\nwritten to {args.out}")
    return 0


def _check_seeds(out: Path, tasks: dict, seeds: int) -> None:
    """ValueError where the file holds rows of more or fewer seeds: they would stand beside each other."""
    for rows in tasks.values():
        for name, row in rows.items():
            if (there := len(row["test"]["accuracy"])) != seeds:
                raise ValueError(
                    f"{out} holds rows of {there} seeds, such as {name!r}, and these would be of {seeds}: "
                    f"go on with --seeds {there}, or choose another --out"
                )


def baselines(rows: dict, wanted: str) -> str:
    """The baselines whose name contains `wanted`: their accuracy, and how far they are from labels."""
    lines = []
    for name in (m.name for m in study.families()["baselines"] if wanted in m.name):
        accuracy = interval(rows[name]["test"]["accuracy"])
        line = f"accuracy {accuracy.mean:.2f} ± {accuracy.half_width:.2f} %"
        if name != "labels":
            verdict = study.judged({key: rows[key] for key in ("labels", name)}, "baselines")[name, "labels"]
            line += f"; labels: {verdict.difference} {verdict.word}"
        lines.append(f"  {name:<48} {line}\n")
    return f"baselines, which the methods are held against\n{''.join(lines)}" if lines else ""


def text(rows: dict, family: str) -> str:
    """One family's table."""
    found = study.judged(rows, family)
    names = dict.fromkeys(name for name, _ in found)
    lines = []
    for name in names:
        against = [f"{b}: {found[n, b].difference} {found[n, b].word}" for n, b in found if n == name]
        lines.append(f"  {name:<48} {'; '.join(against)}\n")
    return f"{family}\n{''.join(lines)}" if lines else ""
