"""The font of the formulas, cut down to the characters that the built pages use."""

from __future__ import annotations

import html
import importlib.resources
import logging
import re
from pathlib import Path

from fontTools import subset

NAME = "formulas.woff2"
logging.getLogger("fontTools").setLevel(logging.ERROR)


def cut(app, exception):
    """Write the font beside the pages, unless it is there with the same characters."""
    if exception or app.builder.format != "html":
        return
    used = set()
    for path in Path(app.outdir).rglob("*.html"):
        formulas = re.findall(r"<math.*?</math>", path.read_text("utf-8"), re.DOTALL)
        used |= set(html.unescape(re.sub(r"<[^>]*>", "", "".join(formulas))))
    text = "".join(sorted(used))
    font, list_of_characters = Path(app.outdir, "_static", NAME), Path(app.doctreedir, "formulas.txt")
    if font.exists() and list_of_characters.exists() and list_of_characters.read_text("utf-8") == text:
        return
    source = importlib.resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(flavor="woff2", layout_features=["*"], hinting=False, notdef_outline=True)
    whole = subset.load_font(str(source), options)
    cutter = subset.Subsetter(options)
    cutter.populate(text=text + italic(text))
    cutter.subset(whole)
    subset.save_font(whole, str(font), options)
    list_of_characters.write_text(text, "utf-8")


def italic(text: str) -> str:
    """The mathematical italics: a browser shows a single letter as one of them."""
    small, capital = "αβγδεζηθικλμνξοπρςστυφχψω∂ϵϑϰϕϱϖ", "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΘΣΤΥΦΧΨΩ∇"
    table = {ord(letter): 0x1D6FC + i for i, letter in enumerate(small)}
    table |= {ord(letter): 0x1D6E2 + i for i, letter in enumerate(capital)}
    table |= {ord("a") + i: 0x1D44E + i for i in range(26)} | {ord("A") + i: 0x1D434 + i for i in range(26)}
    return text.translate(table | {ord("h"): 0x210E})


def setup(app):
    app.connect("build-finished", cut)
