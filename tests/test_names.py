"""Whatever a docstring or a page calls by its name is there under that name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import kdlearn

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(p for folder in ("kdlearn", "docs") for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]
NAME = re.compile(r"(?<![\w./-])(?:kd|kdlearn)((?:\.[A-Za-z_]\w*)+)")


def missing(text):
    """Dotted names that kdlearn lacks; what a page defines itself, as `def brier`, is not among them."""
    for name in sorted(set(NAME.findall(text))):
        thing, path = kdlearn, "kdlearn"
        for part in name[1:].split("."):
            path += "." + part
            if not hasattr(thing, part):
                try:
                    importlib.import_module(path)
                except ImportError:
                    if not re.search(rf"^[\s>\"]*def {part}\(", text, re.M):
                        yield name
                    break
            thing = getattr(thing, part)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_exist(page):
    assert not list(missing(page.read_text("utf-8")))


def test_a_missing_name_is_found():
    assert list(missing("`kd.soft_target(z)`, kd.MLP, kd.nn.optim.Lion and kdlearn.data.blobs")) == [
        ".nn.optim.Lion",
        ".soft_target",
    ]
    assert not list(missing("def mine(z): …\nkd.mine, kdlearn/files.py, my.kd.thing"))
