"""Every paper that a text cites is in docs/references.bib, once, with a way to it; and every entry is cited."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("pybtex")
pytest.importorskip("sphinx")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import citations  # noqa: E402

BOOKS = {"gauss1809", "tukey1977"}  # older or larger than a DOI
AUTHOR_AND_YEAR = re.compile(r"\b([A-Z][\w-]*[a-z])(?:\s+et\s+al\.)?(?:'s)?,?\s+\(?((?:18|19|20)\d\d[ab]?)\b")
NO_AUTHORS = {"Since", "In", "Measured"}


def texts():
    """{path: text} of all that may cite."""
    found = {"README.md": (ROOT / "README.md").read_text("utf-8")}
    for pattern in ("docs/**/*.md", "kdlearn/**/*.py", "notebooks/*.md"):
        found |= {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(ROOT.glob(pattern))}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        found[path.name] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return found


def known(name, year):
    """Whether an author of this name has an entry of this year."""
    return any(citations.to_key(name, year) == citations.to_key(surname.split()[-1], key[-len(year) :])
               for key in citations.PAPERS for surname in citations.surnames(key))  # fmt: skip


def test_every_citation_has_an_entry():
    missing = [
        f"{path}: {name} {year}"
        for path, text in texts().items()
        for name, year in AUTHOR_AND_YEAR.findall(text)
        if name not in NO_AUTHORS and not known(name, year)
    ]
    assert not missing, "docs/references.bib has no such paper"


def test_every_entry_is_cited_and_leads_somewhere():
    seen = {key for text in texts().values() for _, _, key in citations.cited(text)}
    assert set(citations.PAPERS) == seen
    for key, paper in citations.PAPERS.items():
        fields = paper.fields
        assert key.rstrip("b") == citations.to_key(citations.surnames(key)[0], fields["year"]), key
        assert key in BOOKS or any(fields.get(way) for way in ("doi", "eprint", "url")), key
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "0000.00000")), key
        assert fields.get("doi", "10.").startswith("10."), key
    identities = [paper.fields.get("doi") or paper.fields.get("eprint") for paper in citations.PAPERS.values()]
    identities = [i for i in identities if i]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("as in Hinton,\nVinyals and Dean (2015), section 2", ["hinton2015"]),
        ("Zhang et al. 2018, Zhang et al. 2019", ["zhang2018", "zhang2019"]),
        ("van den Oord et al. 2018; Désidéri 2012", ["vandenoord2018", "desideri2012"]),
        ("Nobody et al. 2015, in 2015, Hinton et al. 1815", []),
    ],
)
def test_citations_are_found_in_text(text, keys):
    assert [key for _, _, key in citations.cited(text)] == keys


def test_a_paper_lists_what_it_became():
    used = citations.uses()
    assert "response.2" in used["hinton2015"]["label"] and "00_start_here" in used["hinton2015"]["notebook"]
    assert "logits.1" in used["zhao2022"]["label"]
    for path in (ROOT / "kdlearn").rglob("*.py"):  # as the book does: a name is found in what is imported
        if {"catalogue", "distill", "export", "estimators", "hinton"} & set(path.relative_to(ROOT).parts):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    for key, homes in used.items():
        line = citations.entry(key, homes, [])
        derived = [label for label in homes["label"] if label in citations.EQUATIONS]
        assert not derived or "](../tests/" in line, key
        assert not [path for path in re.findall(r"\]\(\.\./(tests/[^)]+)\)", line) if not (ROOT / path).exists()], key
    assert not [key for key, homes in used.items() if key not in UNUSED and not any(homes.values())]


# the example of a guide, which the package does not hold; what export does, which is no method; surveys
UNUSED = {"brier1950", "laine2017", "jacob2018", "gou2021", "mansourian2025", "wang2022", "xu2024"}
