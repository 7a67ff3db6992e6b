"""The tables of docs/performance.md, from the runs stored in docs/evidence/bench.json and bench_gpu.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from _pages.blocks import with_block

from kdlearn.bench.measure import format_table
from kdlearn.bench.scaling import format_scaling
from kdlearn.bench.suite import works

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE, PAGE = ROOT / "docs" / "evidence" / "bench.json", ROOT / "docs" / "performance.md"
CARD = EVIDENCE.with_name("bench_gpu.json")
BESIDE = ("array by array", "one by one", "PyTorch", "torch.compile", "torch.func", "JAX")


def runs():
    return json.loads(EVIDENCE.read_text())


def ratio(run, work, other):
    times = run["works"][work]["times"]
    return times["kdlearn"]["ms"] / times[other]["ms"]


def heading(run):
    found = run["environment"]
    threads = "one thread" if found["threads"] == 1 else f"{found['threads']} threads"
    return f"{run['date'][11:16]}, {threads}, {found['blas'].rsplit(' ', 1)[1]}"


def table():
    """One row a work and contender, one column a run: kdlearn's time as a share of the contender's."""
    stored = runs()
    lines = ["| work | beside | bar | " + " | ".join(heading(run) for run in stored) + " |"]
    lines.append("|---" * (3 + len(stored)) + "|")
    for work, result in stored[0]["works"].items():
        for other in result["times"]:
            if other == "kdlearn":
                continue
            bar = works()[work].bars.get(other)
            cells = []
            for run in stored:
                there = other in run["works"][work]["times"]
                value = f"{ratio(run, work, other):.2f}" if there else ""
                missed = there and bar is not None and ratio(run, work, other) > bar
                cells.append(f"**{value}**" if missed else value)
            lines.append(f"| {work} | {other} | {'' if bar is None else f'{bar:g}'} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def counts():
    """How many bars each run meets."""
    lines = []
    for run in runs():
        barred = [(w, other) for w in run["works"] for other in works()[w].bars if other in run["works"][w]["times"]]
        met = sum(ratio(run, work, other) <= works()[work].bars[other] for work, other in barred)
        lines.append(f"- {heading(run)}: {met} of {len(barred)} bars met.")
    return "\n".join(lines)


def times():
    """The first run as it was printed."""
    first = runs()[0]
    settings = ", ".join(f"{key} {value}" for key, value in first["environment"].items())
    return f"```text\n{format_table(first['works'])}\n{settings}\n```"


def on_card():
    """One row a work: kdlearn's time on the card, and that time as a share of each contender's."""
    run = json.loads(CARD.read_text())
    lines = ["| work | kdlearn, ms | " + " | ".join(BESIDE) + " |", "|---" * (2 + len(BESIDE)) + "|"]
    for work in works():
        if work not in run["works"]:
            continue
        times = run["works"][work]["times"]
        cells = [f"{ratio(run, work, other):.2f}" if other in times else "-" for other in BESIDE]
        lines.append(f"| {work} | {times['kdlearn']['ms']:.3g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def card_times():
    """The card's works as they were printed."""
    return f"```text\n{format_table(json.loads(CARD.read_text())['works'])}\n```"


def titles():
    """What each work is."""
    return "\n".join(f"- **{name}**: {work.title}." for name, work in works().items())


def widths():
    """The stored scaling as it was printed."""
    run = json.loads(CARD.read_text())
    settings = ", ".join(f"{key} {value}" for key, value in run["environment"].items())
    return f"```text\n{format_scaling(run['scaling'])}\n{run['date'][:10]}, {settings}\n```"


PARTS = {"ratios": table, "counts": counts, "times": times, "card": on_card, "card times": card_times, "widths": widths}
PARTS["works"] = titles


def write(page):
    for name, make in PARTS.items():
        page = with_block(page, name, make())
    return page


def store(paths: Sequence[str]):
    """Outputs of `python -m kdlearn bench --json` as the runs that the page shows."""
    made = [json.loads(Path(path).read_text()) for path in paths]
    for one in made:
        for result in one["works"].values():
            result["times"] = {n: {k: round(v, 4) for k, v in t.items()} for n, t in result["times"].items()}
    EVIDENCE.write_text("[\n" + ",\n".join(json.dumps(one) for one in made) + "\n]\n")
