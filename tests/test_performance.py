"""The figures of docs/performance.md are those of the runs that are stored.

python tests/test_performance.py                 writes the page's tables from docs/evidence/bench.json
python tests/test_performance.py RUN.json …      first stores these outputs of `python -m kdlearn bench --json`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pages import with_block

from kdlearn.bench.measure import format_table
from kdlearn.bench.suite import works

ROOT = Path(__file__).resolve().parents[1]
EVIDENCE, PAGE = ROOT / "docs" / "evidence" / "bench.json", ROOT / "docs" / "performance.md"


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
        barred = [(w, other) for w, work in works().items() for other in work.bars if other in run["works"][w]["times"]]
        met = sum(ratio(run, work, other) <= works()[work].bars[other] for work, other in barred)
        lines.append(f"- {heading(run)}: {met} of {len(barred)} bars met.")
    return "\n".join(lines)


def times():
    """The first run as it was printed."""
    first = runs()[0]
    settings = ", ".join(f"{key} {value}" for key, value in first["environment"].items())
    return f"```text\n{format_table(first['works'])}\n{settings}\n```"


PARTS = {"ratios": table, "counts": counts, "times": times}


def write(page):
    for name, make in PARTS.items():
        page = with_block(page, name, make())
    return page


@pytest.mark.parametrize("name", PARTS)
def test_the_page_has_a_place_for_each_table(name):
    text = PAGE.read_text()
    assert text.count(f"<!-- {name}: begin -->") == text.count(f"<!-- {name}: end -->") == 1


def test_the_page_shows_the_runs_that_are_stored():
    assert write(PAGE.read_text()) == PAGE.read_text(), "python tests/test_performance.py"


def test_each_run_is_whole_and_says_where_it_ran():
    for run in runs():
        assert set(run["works"]) == set(works())
        assert {"threads", "blas", "numpy", "device"} <= set(run["environment"]) and len(run["date"]) >= 16


if __name__ == "__main__":
    if sys.argv[1:]:
        made = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
        for one in made:
            for result in one["works"].values():
                result["times"] = {n: {k: round(v, 4) for k, v in t.items()} for n, t in result["times"].items()}
        EVIDENCE.write_text("[\n" + ",\n".join(json.dumps(one) for one in made) + "\n]\n")
    PAGE.write_text(write(PAGE.read_text()))
