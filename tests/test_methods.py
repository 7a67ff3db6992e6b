"""docs/methods.md lists every method once: its source, equation, file and test.

python tests/test_methods.py          writes the page anew from the recipes' docstrings
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recipes import all_recipes
from test_equations import equations

import kdlearn as kd

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "methods.md"
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
    "selfdistill": "Self-distillation",
    "hooks": "Self-distillation",
    "ensemble": "Several teachers",
    "online": "Online distillation",
    "assistant": "Capacity and teacher quality",
    "sequence": "Generation",
    "transfer": "Transfer",
    "multilabel": "Several labels at once",
    "layers": "Networks",
    "network": "Networks",
}


def methods():
    """`(line, label, recipe)` of every recipe."""
    for name, make in all_recipes().items():
        line, label = LINE.fullmatch(" ".join(make.__doc__.split())).groups()
        yield line, label, name


def room(row):
    """The heading: of the file of recipes, or else of the equation."""
    _, label, name = row
    own = all_recipes()[name].__module__.partition("_")[2]
    return ROOMS.get(own) or ROOMS[label.partition(".")[0]]


def page():
    known = {e.label: e for e in equations()}
    text = [
        "# Methods",
        "",
        "Every method as an expression in the algebra, written from the recipes in `tests/recipes*.py` by",
        "`python tests/test_methods.py`. Over each of them `tests/test_objective.py` runs four checks: its",
        "gradient and its whole training step against central differences, the same training on every",
        "backend, and no wait for the device within a step.",
    ]
    rows = list(methods())
    for heading in dict.fromkeys(ROOMS.values()):
        chosen = [row for row in rows if room(row) == heading]
        if not chosen:
            continue
        text += ["", f"## {heading}", "", "| method | equation | file | test | recipe |", "|---|---|---|---|---|"]
        for line, label, name in sorted(chosen, key=lambda r: (r[1].partition(".")[0], int(r[1].partition(".")[2]))):
            e = known[label]
            test = f"tests/test_{e.stem}.py"
            text.append(
                f"| {line} | [{label}](derivations/{e.stem}.md#{e.anchor}) | [{Path(e.module).name}](../{e.module}) "
                f"| [{Path(test).name}](../{test}) | `{name}` |"
            )
    return "\n".join(text) + "\n"


@pytest.mark.parametrize("name", all_recipes())
def test_a_recipe_says_which_method_it_is(name):
    doc = " ".join(all_recipes()[name].__doc__.split())
    match = LINE.fullmatch(doc)
    assert match, doc
    assert match[2] in {e.label for e in equations()}, f"{name}: no equation {match[2]}"


def test_the_page_of_methods_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python tests/test_methods.py"


def test_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / target).exists(), target


SECTION_0 = {
    "response": "cross_entropy soft_targets logit_matching",
    "divergence": "reverse_kl jensen_shannon total_variation",
    "logits": "decoupled_kd normalized_kd dist_kd standardized_kd",
    "feature": "squared_error cosine_distance attention_transfer activation_boundary neuron_selectivity info_nce",
    "relation": "similarity_preserving probabilistic_transfer relational_distance relational_angle "
    "correlation_congruence linear_cka",
}


def test_every_public_loss_is_importable_in_both_places_and_listed():
    listed = {name for _, _, name in methods()} | {"cross_entropy", "soft_targets", "logit_matching"}
    for module, names in SECTION_0.items():
        for name in names.split():
            assert getattr(kd, name) is getattr(getattr(kd.distill, module), name)
            assert name in listed


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
