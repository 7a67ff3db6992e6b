"""The live figures of the book, each alone on a page."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


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
