"""The figures of docs/performance.md are those of the runs that are stored."""

from __future__ import annotations

import pytest
from _pages.performance import PAGE, PARTS, runs, write

from kdlearn.bench.suite import works


@pytest.mark.parametrize("name", PARTS)
def test_the_page_has_a_place_for_each_table(name):
    text = PAGE.read_text()
    assert text.count(f"<!-- {name}: begin -->") == text.count(f"<!-- {name}: end -->") == 1


def test_the_page_shows_the_runs_that_are_stored():
    assert write(PAGE.read_text()) == PAGE.read_text(), "run python docs/pages.py"


def test_each_run_is_whole_and_says_where_it_ran():
    for run in runs():
        assert set(run["works"]) == set(works())
        assert {"threads", "blas", "numpy", "device"} <= set(run["environment"]) and len(run["date"]) >= 16
