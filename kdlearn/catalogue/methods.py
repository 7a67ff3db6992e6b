"""docs/methods.md lists every method once: its source, equation, file and test."""

from __future__ import annotations

import re
from pathlib import Path

from kdlearn.catalogue.equations import equations, tests_of
from kdlearn.catalogue.recipes.parts import all_recipes

LINE = re.compile(r"(.+) \[([a-z]+\.[0-9]+)\]\.")
ROOMS = {  # stem of the equation -> heading, in the order of the page
    "response": "Response",
    "temperature": "Temperature",
    "divergence": "Divergences",
    "logits": "Logit losses",
    "targets": "Teachers made by hand",
    "feature": "Features",
    "jacobian": "Jacobians",
    "relation": "Relations",
    "generations": "Self-distillation",
    "exits": "Self-distillation",
    "past": "Self-distillation",
    "views": "Self-distillation",
    "hooks": "Self-distillation",
    "ensemble": "Several teachers",
    "mutual": "Online distillation",
    "collaborative": "Online distillation",
    "branches": "Online distillation",
    "attention": "Online distillation",
    "assistant": "Capacity and teacher quality",
    "sequence": "Generation",
    "transfer": "Transfer",
    "multilabel": "Several labels at once",
    "layers": "Networks",
    "network": "Networks",
}


def methods() -> list[tuple[str, str, str]]:
    """`(line, label, recipe)` of every recipe."""
    rows = []
    for name, make in all_recipes().items():
        match = LINE.fullmatch(" ".join((make.__doc__ or "").split()))
        if match is None:
            raise ValueError(f"the docstring of the recipe {name} is no line such as 'Method, source [stem.1].'")
        rows.append((match[1], match[2], name))
    return rows


def room(row: tuple[str, str, str]) -> str:
    """The heading: of the file of recipes, or else of the equation."""
    _, label, name = row
    own = all_recipes()[name].__module__.rpartition(".")[2]
    return ROOMS.get(own) or ROOMS[label.partition(".")[0]]


def methods_page() -> str:
    """The text of docs/methods.md."""
    known = {e.label: e for e in equations()}
    text = [
        "# Methods",
        "",
        "Every method as an expression in the algebra, written from the recipes in `kdlearn/catalogue/recipes/` by",
        "`python docs/pages.py`. Over each of them `tests/training/test_objective.py` runs four checks: its",
        "gradient and its whole training step against central differences, the same training on every",
        "backend, and no wait for the device within a step.",
    ]
    rows = methods()
    for heading in dict.fromkeys(ROOMS.values()):
        chosen = [row for row in rows if room(row) == heading]
        if not chosen:
            continue
        text += ["", f"## {heading}", "", "| method | equation | file | test | recipe |", "|---|---|---|---|---|"]
        for line, label, name in sorted(chosen, key=lambda r: (r[1].partition(".")[0], int(r[1].partition(".")[2]))):
            e = known[label]
            test = tests_of(e.stem)
            text.append(
                f"| {line} | [{label}](derivations/{e.stem}.md#{e.anchor}) | [{Path(e.module).name}](../{e.module}) "
                f"| [{Path(test).name}](../{test}) | `{name}` |"
            )
    return "\n".join(text) + "\n"
