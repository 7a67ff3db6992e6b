"""Formulas as MathML: no script, no fetching, and lines that break where TeX would break them."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.errors import SphinxError

SIGNS = "+\N{MINUS SIGN}"
BREAKS = set("=≈≤≥≠→∝∈<>⇒≪≫\N{TILDE OPERATOR}" + SIGNS)
to_mathml = LatexToMathML()


def mathml(latex: str, display: bool) -> list[list[str]]:
    """Groups of pieces of MathML: wide spaces part the groups; between pieces a line may break."""
    tagged = r"\tag" in latex
    source = rf"\begin{{equation}}{latex}\end{{equation}}" if tagged else latex
    markup = to_mathml.convert_with_local_state(source, displaystyle=display)
    if tagged:
        return [[markup]]
    markup = re.sub(r"&(?!lt|gt|amp|quot)\w+;", lambda m: html.unescape(m[0]), markup)
    groups, depth, before = [[[]]], 0, ""
    for child in ET.fromstring(markup):
        group = groups[-1]
        sign = child.text if child.tag == "mo" else ""
        depth += (sign in ("(", "[", "{")) - (sign in (")", "]", "}"))
        binary = sign in BREAKS and group[-1] and before not in BREAKS
        short = len(group) == 1 and len(group[0]) < 6 and sign not in SIGNS  # a left-hand side stays with what follows
        if display and not depth and child.tag == "mspace" and child.get("width") in ("1em", "2em"):
            groups.append([[]])
        elif depth or not binary or (display and short):
            group[-1].append(child)
        else:
            child.set("form", "infix")
            group[-1:] = [group[-1], [child]] if display else [[*group[-1], child], []]
        before = sign
    return [[piece(children, display) for children in group if children] for group in groups if any(group)]


def piece(children, display):
    math = ET.Element("math", {"displaystyle": "true"} if display else {})
    math.extend(children)
    return ET.tostring(math, "unicode")


def visit(self, node):
    display = node.tagname == "math_block"
    try:
        groups = ["".join(group) for group in mathml(node.astext().strip(), display)]
    except LatexError as error:
        raise SphinxError(f"{self.builder.current_docname}: {error} in {node.astext()}") from error
    inner = "".join(f"<div>{group}</div>" if display else group for group in groups)
    tag = "div" if display else "span"
    self.body.append(f'<{tag} class="math">{inner}</{tag}>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit, None), (visit, None))
