"""What the tests of the command line share: a small forest, which is quick to grow."""

from __future__ import annotations

import pytest

from kdlearn.commands import teacher


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    assert teacher.TREES == 300
    monkeypatch.setattr(teacher, "TREES", 30)
