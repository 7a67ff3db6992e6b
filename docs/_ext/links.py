"""Links between an equation, its function, its test and its notebooks, in every direction."""

from __future__ import annotations

import html
import importlib
import json
import operator
import re
import sys
import textwrap

from docutils import nodes
from sources import EQUATIONS, ROOT, SOURCES, link, named_in_tests, notebooks_that_name, to_label
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

import kdlearn as kd

log = logging.getLogger(__name__)
BELOW = {  # pages that stay plain markdown, and those below them in the book
    "notebooks/README": ["[0-9]*", "workbook/README"],
    "docs/explore/index": ["playground", "temperature", "gradient", "slopes"],
    "docs/evidence": ["evidence/*", "hinton", "performance"],
    "docs/guides/index": ["new_method", "scikit_learn", "pytorch", "deploying", "gpu"],
}


def find(name: str, module: str | None = None):
    """The object of the package that a name in code means, or None."""
    for base in filter(None, (sys.modules.get(module or ""), kd)):
        try:
            return operator.attrgetter(re.sub(r"^kd(learn)?\.|\(\)$", "", name))(base)
        except AttributeError:
            pass


def spoken(found) -> str:
    """An object's name as its users type it: the shortest that leads to it."""
    rooms = found.__module__.split(".")[1:]
    paths = [".".join(["kd", *rooms[:depth], found.__qualname__]) for depth in range(len(rooms) + 1)]
    return next((path for path in paths if find(path) is found), f"{found.__module__}.{found.__qualname__}")


def module_of(e) -> str:
    """The module of an equation's function, imported."""
    return importlib.import_module(e.module.removesuffix(".py").replace("/", ".")).__name__


def code(text: str, here: str, module: str | None = None) -> nodes.Node:
    """A name in code: a link to the reference if it is one of the package's."""
    found = find(text, module) if re.fullmatch(r"[A-Za-z][\w.]*(\(\))?", text) and "._" not in text else None
    if found is None and re.fullmatch(r"kd\.[\w.]+(\(\))?", text):
        log.warning(f"there is no {text}", location=here)
    owner, literal = getattr(found, "__module__", None) or "", nodes.literal(text, text)
    if not owner.startswith("kdlearn") or not hasattr(found, "__qualname__"):
        return literal
    target = f"{owner}.{found.__qualname__}"
    return addnodes.pending_xref("", literal, refdomain="py", reftype="obj", refdoc=here, reftarget=target)


class Links(SphinxTransform):
    """Links to files lead to pages of sources; names in code and equations lead to their other homes."""

    default_priority = 300

    def apply(self):
        here = self.env.docname
        for node in list(self.document.findall(addnodes.download_reference)):
            path = self.env.relfn2path(node["reftarget"], here)[0]
            if path in SOURCES:
                node.replace_self(link(node.astext(), here, f"source/{path}"))
        for node in list(self.document.findall(addnodes.pending_xref)):
            path = self.env.relfn2path(node["reftarget"], here)[0] if node["reftype"] == "myst" else ""
            if path and (ROOT / path).is_dir():
                node.replace_self(link(node.astext(), here, f"{path}/index"))
        for node in list(self.document.findall(nodes.paragraph)) if here == "docs/equations" else ():
            said = re.match(r"([a-z]+\.\d+) (\S+):", node.astext())
            e = EQUATIONS.get(said[1]) if said else None
            literal = next(node.findall(nodes.literal), None)
            if e and literal is not None and literal.astext() == e.name:
                literal.replace_self(code(e.name, here, module_of(e)))
        own = next((module_of(e) for e in EQUATIONS.values() if here == f"docs/derivations/{e.stem}"), None)
        for node in list(self.document.findall(nodes.literal)):
            name = re.search(r"kd\.|_|^[A-Z]", node.astext())  # not the plain words that are names as well
            if name and isinstance(node.parent, nodes.paragraph | nodes.entry):
                node.replace_self(code(node.astext(), here, own))
        for node in self.document.findall(nodes.literal_block):  # a doctest ends with an empty line
            node.rawsource = node.astext().rstrip()
            node[:] = [nodes.Text(node.rawsource)]
        for section in list(self.document.findall(nodes.section)):
            e = EQUATIONS.get(section[0].astext())
            if e and here == f"docs/derivations/{e.stem}":
                section["ids"].append(e.anchor)
                section[0].extend([nodes.Text(" "), nodes.literal(e.name, e.name)])
                section.insert(1, homes(e, here))
        if here == "docs/methods":
            for table in list(self.document.findall(nodes.table)):
                for label in reversed(dict.fromkeys(re.findall(r"[a-z]+\.\d+", table.astext()))):
                    table.parent.insert(table.parent.index(table) + 1, formula(EQUATIONS.get(label), here))


def homes(e, here):
    """The line below an equation's label: where it lives in code, in a test, in notebooks."""
    line = nodes.paragraph("", "Function ", code(e.name, here, module_of(e)), nodes.Text(" · test "), classes=["homes"])
    test, number = named_in_tests(e)
    line += link(test.removeprefix("tests/"), here, f"source/{test}", f"L-{number}")
    names = notebooks_that_name(e)
    for i, name in enumerate(names):
        line += nodes.Text(", " if i else " · notebooks " if names[1:] else " · notebook ")
        line += link(name[:2], here, f"notebooks/{name}")
    return line


def formula(e, here):
    """An equation below a table that only names it."""
    if e is None:
        return []
    math = nodes.math_block(e.latex, e.latex, nowrap=False, number=None, label=None)
    return nodes.container("", nodes.paragraph("", "", to_label(here, e.label)), math, classes=["formula"])


def figures(cells, name):
    """`(png, words, cell)` of each figure of a notebook: what the text before it says of it, and where it stands."""
    heading, caption, number = "", "", 0
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            heading = (re.findall(r"^#+ (.+)$", text, re.M) or [heading])[-1]
            last = text.strip().split("\n\n")[-1]  # it mostly says what the next figure shows
            plain = not re.match(r"[#<|-]", last) and "\\" not in last
            caption = f"{textwrap.shorten(last, 160, placeholder=' …')} " if plain else ""
            continue
        pngs = [output["data"]["image/png"] for output in cell["outputs"] if "image/png" in output.get("data", {})]
        if pngs:
            number += 1
            words = f"{caption}({heading}, figure {number} of notebook {name[:2]})"
            yield pngs[0], re.sub(r"\[([^\]]*)\]\([^)]*\)|[$`*\\]", r"\1", words), cell


DESCRIPTIONS = {  # of pages whose first sentence is a formula, a command, or none
    "search": "Search kdlearn's documentation: functions, methods, papers, notebooks.",
    "genindex": "Every function, class and module of kdlearn in alphabetical order.",
    "docs/cheat_sheet": "Losses of distillation with their gradients and limits, on one page to print.",
    "docs/contributing": "How to set kdlearn up for a change, what the tests demand, and how a method is added.",
    "docs/explore/temperature": "Move the temperature of a softmax: what happens to an answer and its entropy.",
    "docs/explore/gradient": "See where a teacher's soft targets push a student's logits, and where a label would.",
    "docs/explore/slopes": "Why the loss of soft targets carries the factor T², seen on logarithmic axes.",
    "docs/derivations/index": "Every equation of kdlearn derived step by step, with its function and its test.",
}


def describe(app, pagename, templatename, context, doctree):
    """The first sentences of a page, for those who find it elsewhere."""
    paragraphs = doctree.findall(nodes.paragraph) if doctree else ()
    said = (p.astext() for p in paragraphs if isinstance(p.parent, nodes.section) and len(p.astext()) > 30)
    derived = list(dict.fromkeys(e.name for e in EQUATIONS.values() if pagename == f"docs/derivations/{e.stem}"))
    if pagename in DESCRIPTIONS:
        text = DESCRIPTIONS[pagename]
    elif derived:
        text = f"{context['title']}: values, gradients and limits derived step by step for {', '.join(derived)}"
    else:
        text = next(said, pagename)
    text = textwrap.shorten(text, 160, placeholder=" …")
    context["metatags"] = context.get("metatags", "") + f'<meta name="description" content="{html.escape(text)}">'


def read(app, docname, source):
    """A plain page gets what lies below it; a notebook its number, alternative texts, and its equations at the end."""
    folder, name = (ROOT / docname).parent, docname.partition("/")[2]
    below = [entry for entry in BELOW.get(docname, []) if "*" in entry or (folder / f"{entry}.md").exists()]
    source[0] += "\n".join(["\n```{toctree}", ":hidden:", ":glob:", *below, "```"]) if below else ""
    if not re.match(r"notebooks/\d", docname):
        return
    notebook = json.loads(source[0])
    cells = notebook["cells"]
    for _, words, cell in figures(cells, name):
        cell["metadata"].setdefault("mystnb", {}).setdefault("image", {}).setdefault("alt", words)
    cells[0]["source"] = "".join(cells[0]["source"]).replace("# ", f"# {name[:2]} ", 1)
    used = [e for e in EQUATIONS.values() if name in notebooks_that_name(e)]
    links = [f"[{e.label}](../docs/derivations/{e.stem}.md#{e.anchor}) `{e.name}`" for e in used]
    end = f"---\n**Equations in this notebook:** {', '.join(links)}.\n\n" if links else "---\n"
    end += f"**To run it:** {{download}}`{name}.ipynb <{name}.ipynb>`."
    cells.append({"cell_type": "markdown", "metadata": {}, "source": end, "id": "end"})
    source[0] = json.dumps(notebook)


def setup(app):
    app.add_transform(Links)
    app.connect("source-read", read)
    app.connect("html-page-context", describe)
