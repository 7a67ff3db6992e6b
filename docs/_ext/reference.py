"""The reference: docstrings as they are written here, each object with its source, and nothing left out."""

from __future__ import annotations

import inspect
import re

from docutils.parsers.rst import roles
from links import code, find
from sources import EQUATIONS, SOURCES, link, to_label
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

import kdlearn as kd
from kdlearn.catalogue.equations import LABEL, ROOT

log = logging.getLogger(__name__)


def role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """Single backticks in a docstring: the label of an equation, or a name in code."""
    env = inliner.document.settings.env
    label = LABEL.fullmatch(text)
    if label and label[1] in EQUATIONS:
        return [to_label(env.docname, label[1])], []
    return [code(text, env.docname, env.ref_context.get("py:module"))], []


def docstring(app, what, name, obj, options, lines):
    """numpydoc's tables, code set in by four spaces, and bars, as reStructuredText takes them."""
    text = "\n".join(lines)
    text = re.sub(r"(:math:`[^`]*`|^\.\. math::.*\n(?:[ ].*\n|\n)*)|\|", lambda m: m[1] or r"\|", text, flags=re.M)
    text = re.sub(r"^((?!\.\. |- | ).+\n\n)(?=    \S)", r"\1::\n\n", text, flags=re.M)
    text = re.sub(r"^(\w+)\n-{4,}\n((?:.+\n?)*)", table, text, flags=re.M)
    text = re.sub(r"\bdocs/([\w/]+)\.md", r":doc:`/docs/\1`", text)
    lines[:] = re.sub(r"(`\w+`)(?=\w)", r"\1\\ ", text).replace("\nSource: ", "\n**Source.** ").split("\n")


def table(section):
    """A section of numpydoc as a heading and, where it lists names, definitions."""
    return f".. rubric:: {section[1]}\n\n" + re.sub(r"^(\S.*?) : ", r"``\1``\n    ", section[2], flags=re.M)


class Signatures(SphinxTransform):
    """Every object of the reference leads to its source."""

    default_priority = 301

    def apply(self):
        for node in list(self.document.findall(addnodes.desc_signature)):
            found = find(node["fullname"], node["module"])
            found = getattr(found, "fget", None) or getattr(found, "func", None) or found  # what a property computes
            found = inspect.unwrap(found) if callable(found) else None
            if inspect.isfunction(found) or inspect.isclass(found):
                path = f"{found.__module__.replace('.', '/')}.py"
                if path in SOURCES:
                    line = inspect.getsourcelines(found)[1]
                    node += link("source", self.env.docname, f"source/{path}", f"L-{line}")
                    node[-1]["classes"].append("source")


def unlisted(app, docname, source):
    """Modules that no page of the reference names stand on the last one, so that nothing is missing."""
    if docname == "docs/reference/more":
        named = "".join(path.read_text("utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
        for path in SOURCES:
            module = path.removesuffix(".py").replace("/", ".")
            if re.match(r"kdlearn\.(?!.*__)", module) and f":: {module}\n" not in named:
                source[0] += f"\n## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```\n"


def check(app, env):
    """Every public name and every function with an equation is in the reference."""
    names = {e.label: f"{e.module.removesuffix('.py').replace('/', '.')}.{e.name}" for e in EQUATIONS.values()}
    for found in (getattr(kd, name) for name in kd.__all__):
        if hasattr(found, "__qualname__"):
            names[f"kd.{found.__qualname__}"] = f"{found.__module__}.{found.__qualname__}"
    for name, full in names.items():
        if full not in env.domains.python_domain.objects:
            log.warning(f"{name}: {full} is not in the reference")


def setup(app):
    roles.register_local_role("book", role)
    app.add_transform(Signatures)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("source-read", unlisted)
    app.connect("env-check-consistency", check)
