"""The page docs/gallery: every picture of the book as a link, with words that say what it shows."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

from links import figures
from sources import ROOT

DOCS = ROOT / "docs"
PICTURE = re.compile(r"!\[([^\]]+)\]\(([\w/]+\.(?:svg|png))\)")


def slug(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def drawn():
    """`(page, heading, file, words)` of the pictures on the pages of docs, in the order of the headings."""
    for name in ("diagrams", "explore/temperature", "explore/gradient", "explore/slopes", "hinton", "performance"):
        text = (DOCS / f"{name}.md").read_text("utf-8")
        first = re.search(r"^# (.+)$", text, re.M)[1]
        for part in re.split(r"^## ", text, flags=re.M):
            heading = first if part.startswith("# ") else part.partition("\n")[0]
            for words, file in PICTURE.findall(part):
                anchor = "" if heading == first else f"#{slug(heading)}"
                yield f"{name}.html{anchor}", heading.replace("`", ""), file.rpartition("/")[2], words


def card(page, heading, source, words) -> str:
    words = html.escape(words, quote=True)
    image = f'<img src="{source}" alt="{words}" loading="lazy">'
    return f'<a class="picture" href="{page}">{image}<span>{html.escape(heading)}</span></a>'


def read(app, docname, source):
    if docname != "docs/gallery":
        return
    cards = [card(page, heading, f"../_images/{file}", words) for page, heading, file, words in drawn()]
    folder = Path(app.outdir, "_static", "gallery")
    folder.mkdir(parents=True, exist_ok=True)
    taught = []
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        app.env.note_dependency(str(path))
        cells = json.loads(path.read_text("utf-8"))["cells"]
        title = re.search(r"^# (.+)$", "".join(cells[0]["source"]), re.M)[1]
        for png, words, _ in list(figures(cells, path.stem))[:1]:
            (folder / f"{path.stem}.png").write_bytes(base64.b64decode("".join(png)))
            address = f"../_static/gallery/{path.stem}.png"
            taught.append(card(f"../notebooks/{path.stem}.html", f"{path.stem[:2]} {title}", address, words))
    for heading, found in (("Drawn", cards), ("From the notebooks", taught)):
        source[0] += (
            f'\n## {heading}\n\n```{{raw}} html\n<div class="gallery">\n' + "\n".join(found) + "\n</div>\n```\n"
        )


def setup(app):
    app.connect("source-read", read)
