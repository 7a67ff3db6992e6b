"""docs/evidence/what_helps.md says what the stored rows say, and the rows are whole."""

from __future__ import annotations

import re

import pytest
from _pages.catalogue import FIGURE, PAGE, drawn, found, numbers, opening, page, rows_that_are_missing, stored

from kdlearn.catalogue.measured.arm import METHODS
from kdlearn.catalogue.measured.study import SEEDS, WIDEN


def test_the_page_and_the_figure_are_up_to_date():
    assert PAGE.read_text("utf-8") == page(stored()), "run python docs/pages.py"
    assert drawn(FIGURE) == numbers(stored()), "run python docs/pages.py"


def test_every_method_is_measured_where_it_says():
    assert rows_that_are_missing(stored()) == []


@pytest.mark.parametrize("task", stored()["tasks"])
def test_no_arm_was_tuned_less_than_another(task):
    for name, row in stored()["tasks"][task].items():
        assert 8 <= row["tried"] <= 8 + WIDEN, name
        assert row["edges"] == [] or row["tried"] == 8 + WIDEN or set(row["edges"]) <= {"T", "weight", "alpha"}, name
        assert len(row["test"]["accuracy"]) == len(row["validation"]) == SEEDS, name
        assert set(row["chosen"]) == {*METHODS[name].grid, *METHODS[name].settings}, name


def test_the_first_sentence_follows_from_the_rows():
    rows = [r for r in found(stored()) if r[1] != "baselines"]
    for tasks, baseline, word in (
        (("digits", "clothes"), "soft targets", "helps"),
        (("digits", "clothes"), "soft targets", "hurts"),
        (("digits", "clothes"), "labels", "helps"),
        (("noise",), "labels", "helps"),
    ):
        words = [v.word for task, _, _, b, v in rows if task in tasks and b == baseline]
        assert f"{words.count(word)} of {len(words)}" in opening(found(stored()))


def test_its_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / target).exists(), target
