"""Write every page, and every table of a page, that is made by code.

    python docs/pages.py                  writes what differs, and names it
    python docs/pages.py RUN.json …       first stores these outputs of `python -m kdlearn bench --json`

Tests hold each page to what is written here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from _pages import catalogue, effects, hinton, performance
from _pages.equations import equations_page
from _pages.methods import methods_page

DOCS = Path(__file__).resolve().parent


def pages() -> dict[Path, Callable[[], str]]:
    """{page: what makes its text}"""
    rows, measured = hinton.stored(), catalogue.stored()
    return {
        DOCS / "equations.md": equations_page,
        DOCS / "methods.md": lambda: methods_page(catalogue.words(measured)),
        catalogue.PAGE: lambda: catalogue.page(measured),
        effects.PAGE: effects.page,
        performance.PAGE: lambda: performance.write(performance.PAGE.read_text("utf-8")),
        hinton.PAGE: lambda: hinton.page(hinton.PAGE.read_text("utf-8"), rows),
        hinton.README: lambda: hinton.with_rows(hinton.README.read_text("utf-8"), hinton.headlines(rows)),
    }


def main(runs: list[str]) -> None:
    if runs:
        performance.store(runs)
    for path, make in pages().items():
        text = make()
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"{path.relative_to(DOCS.parent)}: written")
    rows = hinton.stored()
    if hinton.drawn(hinton.FIGURE) != json.loads(json.dumps(hinton.by_width(rows))):
        hinton.draw(rows, hinton.FIGURE)
        print(f"{hinton.FIGURE.relative_to(DOCS.parent)}: drawn")
    measured = catalogue.stored()
    for task in measured["tasks"]:
        figure = catalogue.figure(task)
        if catalogue.drawn(figure) != catalogue.numbers(measured, task):
            catalogue.draw(measured, task, figure)
            print(f"{figure.relative_to(DOCS.parent)}: drawn")


if __name__ == "__main__":
    main(sys.argv[1:])
