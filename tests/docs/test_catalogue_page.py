"""docs/evidence/what_helps.md says what the stored rows say, and the rows are whole."""

from __future__ import annotations

import numpy as np
import pytest
from _pages.catalogue import (
    PAGE,
    drawn,
    figure,
    found,
    numbers,
    opening,
    page,
    rows_that_are_missing,
    stored,
)

from kdlearn.catalogue.measured.arm import METHODS
from kdlearn.catalogue.measured.study import GRID, REPEATS, SEARCH, SEEDS


def test_the_page_and_its_figures_are_up_to_date():
    assert PAGE.read_text("utf-8") == page(stored()), "run python docs/pages.py"
    for task in stored()["tasks"]:
        assert drawn(figure(task)) == numbers(stored(), task) != [], "run python docs/pages.py"
        assert figure(task).name in PAGE.read_text("utf-8")


def test_every_method_is_measured_where_it_says():
    assert rows_that_are_missing(stored()) == [], (
        "measure them (docs/guides/new_method.md, Does it help?), or give the recipe a line in ELSEWHERE instead"
    )


@pytest.mark.parametrize("task", stored()["tasks"])
def test_no_arm_was_tuned_less_than_another(task):
    for name, row in stored()["tasks"][task].items():
        assert row["tried"] == GRID + SEARCH, name
        assert len(row["test"]["accuracy"]) == len(row["validation"]) == SEEDS, name
        assert set(row["chosen"]) == {*METHODS[name].grid, *METHODS[name].settings}, name
        assert len(row["cost"]) == REPEATS and min(row["cost"]) > 0, name


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


def test_what_the_page_says_in_words_follows_from_the_rows():
    rows = {(task, name, b): v for task, _, name, b, v in found(stored())}
    noise, twin, alike, peers = (
        "labels with noise on the inputs", "a teacher of the student's size", "similarity preserving",
        "mutual learning (DML)",
    )  # fmt: skip
    known = [r for r in found(stored()) if r[1] != "baselines" and r[0] != "noise" and r[3] == "soft targets"]
    assert sum(r[4].word == "helps" for r in known) < 0.1 * len(known)  # hard to beat
    assert rows["noise", "soft targets", "labels"].word != "helps"
    assert rows["digits", noise, "labels"].word == "helps"
    best = max(np.mean(stored()["tasks"]["digits"][name]["test"]["accuracy"]) for name in ("smoothed labels", "labels"))
    assert np.mean(stored()["tasks"]["digits"][noise]["test"]["accuracy"]) > best
    wrong = [v.word for (task, _, b), v in rows.items() if (task, b) == ("noise", "labels")]
    assert wrong.count("helps") < 0.1 * len(wrong)  # little helps
    assert rows["clothes", twin, "soft targets"].word == "helps"
    assert rows["digits", twin, "soft targets"].word != "helps"
    assert rows["digits", alike, "labels"].word == "helps"
    assert rows["digits", f"{alike}, on soft targets", "soft targets"].word != "helps"
    assert rows["digits", peers, "labels"].difference.mean < rows["digits", noise, "labels"].difference.mean
