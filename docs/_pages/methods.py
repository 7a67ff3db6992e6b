"""docs/methods.md lists every method once: its source, equation, file and test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from _pages.equations import equations, tests_of

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
    "forgetting": "A new task beside an old one",
    "datafree": "Without data",
    "robust": "Robustness",
    "unlabelled": "Rows without a label",
    "dirichlet": "Several teachers",
    "diffusion": "Fewer steps",
    "multilabel": "Several labels at once",
    "layers": "Networks",
    "network": "Networks",
}


# Recipes that check the algebra: plumbing, or a method that stands in the page under another recipe.
ENGINE = {
    "response_from_a_column": "soft targets from a column in place of a live teacher",
    "masked_teacher_class": "-inf in a teacher's logits",
    "weights_of_every_kind": "numbers, schedules and columns as weights",
    "hint_through_a_regressor": "a regressor in front of a loss",
    "one_adaptor_used_twice": "one adaptor at several sites",
    "deep_to_shallow": "a term between two sites of one network",
    "two_teachers": "two teachers in one sum",
    "a_team_given": "a target made of two live sites",
    "forest_beside_a_network": "a column and a live network as teachers",
    "mutual": "two students at once",
    "two_views_of_one_network": "one network under two names",
    "dropout_and_layer_norm": "dropout, LayerNorm and GELU",
    "pre_activations_with_tanh": "a tap before the activation",
    "a_lesson_that_has_ended": "a weight that has become 0",
    "progressive_targets_in_the_first_epoch": "labels in place of a past",
    "densely_guided_with_absences": "a weight drawn anew in each step",
    "rows_without_a_label": "rows that one term leaves out",
    "odds_of_the_label": "a loss of labels that is not cross-entropy",
    "one_head": "a loss on some of the live logits",
    "a_held_adaptor": "a frozen adaptor",
    "squared_error": "features of one width, without a regressor",
}
# The objective is that of soft targets, or of labels: what differs is who teaches, and on which rows.
WHO = (
    "born_again",
    "born_again_by_confidence",
    "teacher_assistant",
    "densely_guided",
    "an_anchor_of_a_route",
    "a_lesson_that_ends_early",
    "mean_teacher",
    "words_of_the_data",
    "unlabelled",
    "cross_modal",
    "private_votes",
    "defensive_distillation",
)
# Where a method is not in the catalogue: who measures it instead, or why nobody does.
ELSEWHERE = {
    "weights_from_columns": "the weights are the user's own",
    "words_of_the_data": "notebook 15",
    "sequences_of_the_teacher": "notebook 15",
    "sequences_of_the_student": "notebook 15",
    "reverse_kl_by_policy_gradient": "notebook 15",
    "unlabelled": "notebook 16",
    "specialist": "notebook 16",
    "regression_from_label_and_teacher": "notebook 16",
    "regression_bounded_by_the_teacher": "not measured: it needs a target of numbers",
    "cross_modal": "not measured: it needs two views of each row",
    "learning_without_forgetting": "notebook 22",
    "dark_experience_replay": "notebook 22",
    "replay_with_a_term_for_old_classes": "notebook 22",
    "private_votes": "notebook 26",
    "inverted_inputs": "notebook 24",
    "generator_of_sure_answers": "notebook 24",
    "adversarial_generator": "notebook 24",
    "defensive_distillation": "notebook 25",
    "adversarial_training": "notebook 25",
    "adversarially_robust_distillation": "notebook 25",
    "noisy_student_training": "notebook 23",
    "no_labels_at_all": "notebook 23",
    "distribution_of_a_team": "notebook 12",
    "denoising": "notebook 27",
    "progressive_distillation": "notebook 27",
    "several_labels": "not measured: it needs several labels a row",
    "top_answers": "not measured: it saves memory and is not meant to help more than soft targets",
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


def methods_page(verdicts: Mapping[str, str]) -> str:
    """The text of docs/methods.md. `verdicts`: {recipe: what the catalogue says of it}."""
    text = [
        "# Methods",
        "",
        "Every method as an expression in the algebra, written from the recipes in `kdlearn/catalogue/recipes/` by",
        "`python docs/pages.py`. Over each of them `tests/training/test_objective.py` runs four checks: its",
        "gradient and its whole training step against central differences, the same training on every",
        "backend, and no wait for the device within a step. The last column says what the",
        "[catalogue](evidence/what_helps.md) found against tuned labels: one word for each task.",
    ]
    rows = methods()
    plain = [row for row in rows if row[2] not in ENGINE and row[2] not in WHO]
    for heading in dict.fromkeys(ROOMS.values()):
        text += _table(heading, [row for row in plain if room(row) == heading], verdicts)
    text += _table("Who the teacher is", [row for row in rows if row[2] in WHO], verdicts)
    checks = [row for row in rows if row[2] in ENGINE]
    text += ["", "## Engine checks", "", "Recipes that check a part of the algebra. They are not counted as methods."]
    text += ["", "| recipe | what it checks |", "|---|---|"]
    text += [f"| `{name}` | {ENGINE[name]} |" for _, _, name in checks]
    return "\n".join(text) + "\n"


def _table(heading: str, rows: list[tuple[str, str, str]], verdicts: Mapping[str, str]) -> list[str]:
    known = {e.label: e for e in equations()}
    text = [
        "",
        f"## {heading}",
        "",
        "| method | equation | file | test | recipe | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for line, label, name in sorted(rows, key=lambda r: (r[1].partition(".")[0], int(r[1].partition(".")[2]))):
        e = known[label]
        test = tests_of(e.stem)
        text.append(
            f"| {line} | [{label}](derivations/{e.stem}.md#{e.anchor}) | [{Path(e.module).name}](../{e.module}) "
            f"| [{Path(test).name}](../{test}) | `{name}` | {verdicts.get(name) or ELSEWHERE.get(name, '')} |"
        )
    return text if rows else []
