"""The pictures of the docs are what docs/diagrams draws, are shown with words beside them, and can be read."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from chromium import launched

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS / "diagrams"))
import draw  # noqa: E402
import measured  # noqa: E402
import stills  # noqa: E402

FILES = draw.files() | stills.files() | measured.files()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_picture_is_as_drawn(path):
    assert path.read_text("utf-8") == FILES[path], "run python docs/diagrams/draw.py, stills.py and measured.py"


def test_there_are_no_other_pictures():
    assert {p for folder in ("diagrams", "explore", "evidence") for p in (DOCS / folder).glob("*.svg")} == set(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_picture_says_what_it_shows_and_fits_a_phone(path):
    root = ET.fromstring(FILES[path])
    texts = {child.tag.rpartition("}")[2]: child.text for child in root}
    assert texts["title"] and len(texts["desc"]) > 60
    assert float(root.get("viewBox").split()[2]) <= 400
    assert "prefers-color-scheme:dark" in texts["style"]


def test_the_page_shows_each_with_its_sentence_and_its_description():
    page = (DOCS / "diagrams.md").read_text("utf-8")
    shown = {name: alt for alt, name in re.findall(r"!\[(.+?)\]\(diagrams/(\w+)\.svg\)", page)}
    assert shown == {name: make().description for name, make in draw.PICTURES.items()}
    for make in draw.PICTURES.values():
        assert make.__doc__ in page


@pytest.mark.parametrize(
    ("page", "make"), [("performance", measured.performance), ("hinton", measured.paper), ("hinton", measured.sources)]
)
def test_a_page_says_what_its_picture_of_measurements_shows(page, make):
    text = (DOCS / f"{page}.md").read_text("utf-8")
    assert f"![{make().description}](evidence/{make.__name__}.svg)" in text, "copy the description into the page"


def test_no_words_leave_the_card_or_lie_on_others():
    with launched() as browser:
        page = browser.new_page()
        for path in FILES:
            page.goto(path.as_uri())
            boxes = page.evaluate(
                "() => [...document.querySelectorAll('text')].map(t => [t.textContent, t.getBBox()])"
                ".map(([words, b]) => [words, b.x, b.y + 2, b.x + b.width, b.y + b.height - 2])"
            )
            _, _, width, height = map(float, ET.fromstring(FILES[path]).get("viewBox").split())
            for i, (words, x0, y0, x1, y1) in enumerate(boxes):
                assert x0 >= 4 and y0 >= 2 and x1 <= width - 4 and y1 <= height - 2, f"{path.stem}: {words}"
                for other, u0, v0, u1, v1 in boxes[:i]:
                    apart = x1 <= u0 or u1 <= x0 or y1 <= v0 or v1 <= y0
                    assert apart, f"{path.stem}: {words!r} lies on {other!r}"
