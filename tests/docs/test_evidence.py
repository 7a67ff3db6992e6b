"""docs/evidence/effects.md says what the notebooks printed, and nothing else."""

from __future__ import annotations

import json
import re

import other_seeds
import pytest
from _pages.effects import (
    MEASURED,
    NOT_REPRODUCED,
    PAGE,
    ROOT,
    UNMEASURED,
    ZONE,
    code,
    effects,
    found,
    notebook,
    page,
    spelt,
    verdicts,
    with_other_seeds,
)

import kdlearn as kd


@pytest.mark.parametrize("name", [e.name for _, _, e in effects()])
def test_an_effect_is_printed_by_its_notebook(name):
    (e,) = (e for _, _, e in effects() if e.name == name)
    f = found(e)
    assert f.seeds and f.seeds >= 5 and f.half >= 0


def test_every_notebook_with_a_study_has_a_row():
    listed = {e.notebook for _, _, e in effects()}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        sources = [source for source, _ in notebook(path.name[:2])[1]]
        compares = any(f"kd.study.{study}(" in source for source in sources for study in ("compare", "trial"))
        assert not compares or path.name[:2] in listed, (
            f"add the effects of {path.name} to SECTIONS in docs/_pages/effects.py"
        )


def test_what_was_not_reproduced_names_effects():
    names = [e.name for _, _, e in effects()]
    for _, here in NOT_REPRODUCED:
        assert set(re.findall(r"{([^}]*)}", here)) <= set(names), here


def test_what_is_called_unmeasured_is_in_the_package_and_in_no_study():
    package = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "kdlearn").rglob("*.py")))
    code = "\n".join(source for p in (ROOT / "notebooks").glob("*.ipynb") for source, _ in notebook(p.name[:2])[1])
    for name, word in UNMEASURED.items():
        assert word.rpartition(".")[2] in package, f"{name}: {word} is not in the package"
        assert not re.search(rf"\b{re.escape(word)}" + (r"\b" if word[-1].isalnum() else ""), code), (
            f"{name} is in a notebook"
        )


def test_the_page_says_that_rounded_activations_are_not_measured():
    """The guide sent readers of int8 weights and activations to rows of rounded weights."""
    section = page().split("## Deployment\n")[1].split("\n## ")[0]
    assert "Weights alone are rounded in these rows" in section and "activations" in section
    code = "\n".join(source for p in (ROOT / "notebooks").glob("*.ipynb") for source, _ in notebook(p.name[:2])[1])
    assert "to_c(" in code and not re.search(r"quantize_onnx\(|to_onnx\([^)]*int8|integer=True", code)
    guide = " ".join((ROOT / "docs/guides/deploying.md").read_text("utf-8").split())
    assert "evidence/effects.md#deployment)" in guide and "that of activations is not" in guide


def test_a_verdict_is_the_notebooks_or_follows_from_the_rule():
    measured = {e.name: found(e) for _, _, e in effects()}
    words = verdicts(measured)
    for _, _, e in effects():
        f = measured[e.name]
        if f.printed:
            assert words[e.name] == f.printed
        elif words[e.name] in ("helps", "hurts"):  # at least what the interval alone would ask for
            assert abs(f.mean) >= f.half and (e.unit or abs(f.mean) > ZONE) and words[e.name] == e.words[f.mean < 0]


def test_the_page_of_effects_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python docs/pages.py"


def test_an_interval_is_the_one_that_studies_print():
    assert MEASURED.findall(str(kd.study.interval([1.0, 2.0, 3.0]))) == [("+2.00", "2.48")]


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("SEEDS = range(10)  # as ever", "SEEDS = range(100, 110)  # as ever"),
        ("SEEDS = tuple(range(10))", "SEEDS = tuple(range(100, 110))"),
        ("a = 1\nFRESH = range(100, 120)", "a = 1\nFRESH = range(200, 220)"),
        (
            "found = trial(arms,\n    seeds=range(20), zone=0.5)",
            "found = trial(arms,\n    seeds=range(100, 120), zone=0.5)",
        ),
        ("for i in range(10):\n    k = range(3)", "for i in range(10):\n    k = range(3)"),
    ],
)
def test_a_run_with_other_seeds_has_other_seeds_and_nothing_else(source, wanted):
    assert other_seeds.moved(source) == wanted


def test_what_was_measured_with_other_code_is_not_shown(monkeypatch):
    """A row counts as run again only while the code that leads to it is the same, but for comments."""
    again = with_other_seeds()
    assert again, "run python docs/other_seeds.py"
    (e,) = (e for _, _, e in effects() if e.name == next(iter(again)))
    path, cells = notebook(e.notebook)
    mark = code(e)
    for line, same in (("# a remark", True), ("decay = 3", False)):
        changed = path, [(cells[0][0] + "\n" + line, cells[0][1]), *cells[1:]]
        monkeypatch.setattr("_pages.effects.notebook", lambda number, folder=None, changed=changed: changed)
        assert (code(e) == mark) == same


def test_the_same_is_spelt_out():
    names = ["hints against labels, tuned", "the same against soft labels", "the same", "noise", "the same, hot"]
    assert spelt(names, " against ") == [
        "hints against labels, tuned",
        "hints against soft labels",
        "hints against labels, tuned",
        "noise",
        "noise, hot",
    ]
    assert spelt(["digits, 50 labels", "the same, hot", "the same settings"], ",") == [
        "digits, 50 labels",
        "digits, hot",
        "the same settings",
    ]


def rounded(number):
    """The ways to write the size of a number with one to three digits; 1.95 is 1.9 or 2.0."""
    return {f"{abs(number) + nudge:.{digits}f}" for digits in (1, 2, 3) for nudge in (-1e-6, 1e-6)}


def test_a_notebook_says_which_of_its_verdicts_turns():
    """The interval with other seeds stands in a text of the notebook, with one to three digits."""
    measured, again = {e.name: found(e) for _, _, e in effects()}, with_other_seeds()
    words, others = verdicts(measured), verdicts(again)
    for _, _, e in effects():
        if e.name in again and others[e.name] != words[e.name]:
            cells = json.loads(notebook(e.notebook)[0].read_text("utf-8"))["cells"]
            text = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
            f = again[e.name]
            said = [f"{a} ± {b}" for a in rounded(f.mean) for b in rounded(f.half)]
            assert any(s in text for s in said), f"{e.notebook} does not say that {e.name} turns: {f.text}"
