"""Parts of a page: blocks that are written by code, each between two marks, and live figures."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def with_block(page, name, block):
    """The page with this block between the marks `name: begin` and `name: end`."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    assert page.count(begin) == page.count(end) == 1, f"no place, or several, for {name}"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{block}\n\n{end}{rest.partition(end)[2]}"


def figure(name):
    """A page that holds nothing but the live figure of docs/explore/<name>.md."""
    text = (DOCS / "explore" / f"{name}.md").read_text("utf-8")
    raw, still = re.findall(r"```\{raw\} html\n(.*?)```", text, re.S), re.search(r"!\[(.+?)\]\((.+?)\)", text)
    assert len(raw) == 2
    image = f'<img alt="{still[1]}" src="{(DOCS / "explore" / still[2]).as_uri()}">'
    static = (DOCS / "_static").as_uri()
    return (
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<link rel="stylesheet" href="{static}/explore.css"><script defer src="{static}/explore.js"></script>'
        f"<body>{raw[0]}{image}{raw[1]}"
    ).replace("../../_static", static)
