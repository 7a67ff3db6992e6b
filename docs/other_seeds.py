"""Which verdicts of the notebooks turn with other seeds?

    python docs/other_seeds.py           runs every notebook that names its seeds, about ten minutes
    python docs/other_seeds.py 23 27     runs these

Adds 100 to the seeds of a notebook, runs it, and stores in other_seeds.json what it then prints of each effect, beside
a mark of the code. The page of effects says which verdicts turned (`python docs/pages.py` writes it).
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from _pages.effects import NOTEBOOKS, OTHER_SEEDS, code, effects, found

# `SEEDS = range(10)`, `SEEDS = tuple(range(10))` or `FRESH = range(100, 120)` at the margin, and `seeds=range(20)`
NAMED = re.compile(r"^([A-Za-z]+ = (?:tuple\()?|.*\bseeds=)range\((\d+)(?:, (\d+))?\)", re.M)


def moved(source):
    """The source with 100 added to its seeds."""

    def later(m):
        first, last = (0, m[2]) if m[3] is None else (m[2], m[3])
        return f"{m[1]}range({int(first) + 100}, {int(last) + 100})"

    return NAMED.sub(later, source)


def run(path, folder):
    """Run a notebook with other seeds and keep it in `folder`; False if it names no seeds."""
    from nbclient import NotebookClient  # comes with `.[notebooks]`; what is stored is read without it

    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells]
    for cell in cells:
        cell.source = moved(cell.source)
    if [cell.source for cell in cells] == sources:
        return False
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    nbformat.write(notebook, folder / path.name)
    return True


def store(folder, numbers):
    """Write what the notebooks in `folder` print of the effects of these numbers."""
    stored = json.loads(OTHER_SEEDS.read_text("utf-8")) if OTHER_SEEDS.exists() else {}
    rows = {e.name: e for _, _, e in effects()}
    for name, e in rows.items():
        if e.notebook in numbers:
            stored[name] = found(e, folder)._asdict() | {"code": code(e)}
    kept = {name: stored[name] for name in sorted(stored) if name in rows}
    OTHER_SEEDS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main(numbers):
    numbers = numbers or sorted({e.notebook for _, _, e in effects()})
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
            if run(path, Path(folder)):
                store(Path(folder), [number])
                print(f"{path.name}: stored")
            else:
                print(f"{path.name}: names no seeds")


if __name__ == "__main__":
    main(sys.argv[1:])
