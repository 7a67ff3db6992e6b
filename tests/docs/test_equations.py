"""Every equation has one label, one docstring and one derivation; docs/equations.md lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _pages.equations import (
    LABEL,
    ROOT,
    equations,
    equations_page,
    named_in_tests,
    notebooks,
    notebooks_that_name,
    number,
    sections,
)

from kdlearn.catalogue.losses import all_losses

PAGE = ROOT / "docs" / "equations.md"
PAGES = sorted((ROOT / "docs" / "derivations").glob("*.md"))


def test_labels_are_unique_numbered_without_gaps_and_named_after_their_file():
    labels = [e.label for e in equations()]
    assert len(labels) == len(set(labels))
    for e in equations():
        assert e.stem == Path(e.module).stem, e
    for stem in {e.stem for e in equations()}:
        numbers = sorted(number(e.label) for e in equations() if e.stem == stem)
        assert numbers == list(range(1, len(numbers) + 1)), stem


def test_every_label_has_one_derivation_and_every_derivation_one_label():
    headings = []
    for path in PAGES:
        found = re.findall(r"^### ([a-z]+\.[0-9]+)$", path.read_text("utf-8"), flags=re.MULTILINE)
        assert all(h.partition(".")[0] == path.stem for h in found), path.name
        headings += found
    labels = {e.label for e in equations()}
    assert len(headings) == len(set(headings))
    assert labels - set(headings) == set(), "labels without a derivation"
    assert set(headings) - labels == set(), "derivations without a docstring that names them"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_derivation_is_long_collapsed_and_has_limits(path):
    here = {e.label: e for e in equations()}
    for label, text in sections(path).items():
        for part in ("long", "collapsed", "limits"):
            assert re.search(rf"\*{part}\b", text, flags=re.IGNORECASE), f"{label} has no part *{part}*"
        assert label not in here or f"`{here[label].name}" in text, f"{label} does not name {here[label].name}"


@pytest.mark.parametrize("path", [*PAGES, PAGE], ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    text = path.read_text("utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        there = path.parent / target if target else path
        assert there.exists(), target
        if re.fullmatch(r"[a-z]+[0-9]+", anchor):
            assert anchor in {label.replace(".", "") for label in sections(there)}, f"{target}#{anchor}"
    if path != PAGE:
        assert re.search(r"\]\(\.\./\.\./kdlearn/", text) and re.search(r"\]\(\.\./\.\./tests/(\w+/)?test_", text)


def test_labels_that_are_mentioned_exist():
    known = {e.label for e in equations()}
    stems = {label.partition(".")[0] for label in known}
    for path in [*PAGES, *sorted((ROOT / "kdlearn").rglob("*.py"))]:
        for label in LABEL.findall(path.read_text("utf-8")):
            if label.partition(".")[0] in stems:
                assert label in known, f"{path.name} mentions {label}"


def test_every_loss_has_a_label():
    labelled = {e.name for e in equations()}
    assert {"cross_entropy", "soft_targets", "logit_matching"} <= {loss.name for loss in all_losses()} <= labelled


def test_every_equation_has_a_test_and_a_notebook():
    assert [e.label for e in equations() if named_in_tests(e) is None] == []
    assert {name for e in equations() for name in notebooks_that_name(e)} <= set(notebooks())


def test_every_equation_has_latex():
    for e in equations():
        assert e.latex and e.latex.count("{") == e.latex.count("}"), e.label


def test_the_page_of_equations_is_up_to_date():
    assert PAGE.read_text("utf-8") == equations_page(), "run python docs/pages.py"
