"""The reference: a table of what a module holds, then each object by the name its users type, helpers last.

autodoc, autosummary, napoleon and linkcode do the work. What stands here is the order, the names, and the three habits
of this package's docstrings that they do not know: labels in backticks, code set in by four spaces, `name : meaning`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re

from docutils.parsers.rst import roles
from links import code, find, spoken
from sources import EQUATIONS, LABEL, ROOT, SOURCES, to_label
from sphinx import addnodes
from sphinx.util import logging

import kdlearn as kd

log = logging.getLogger(__name__)


def role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """Single backticks in a docstring: the label of an equation, or a name in code."""
    env = inliner.document.settings.env
    label = LABEL.fullmatch(text)
    if label and label[1] in EQUATIONS:
        return [to_label(env.docname, label[1])], []
    return [code(text, env.docname, env.ref_context.get("py:module"))], []


def docstring(app, what, name, obj, options, lines):
    """The habits of this package's docstrings as reStructuredText and napoleon take them.

    To napoleon `name : meaning` is a type, and only two empty lines end a section.
    """
    text = "\n".join(lines)
    text = re.sub(r"(:math:`[^`]*`|^\.\. math::.*\n(?:[ ].*\n|\n)*)|\|", lambda m: m[1] or r"\|", text, flags=re.M)
    text = re.sub(r"^((?!\.\. |- | ).+\n\n)(?=    \S)", r"\1::\n\n", text, flags=re.M)
    meanings = re.compile(r"^(\S.*?) : ", flags=re.M)
    text = re.sub(r"^\w+\n-{4,}\n(?:.+\n?)*", lambda m: meanings.sub(r"\1\n    ", m[0]) + "\n", text, flags=re.M)
    text = re.sub(r"\bdocs/([\w/]+)\.md", r":doc:`/docs/\1`", text)
    lines[:] = re.sub(r"(`\w+`)(?=\w)", r"\1\\ ", text).replace("\nSource: ", "\n**Source.** ").split("\n")


def contents(module: str) -> tuple[list[str], list[str]]:
    """The documented objects of a module, in its order: those that users and equations name, and its helpers."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    tree = ast.parse((path if path.exists() else path.with_suffix("") / "__init__.py").read_text("utf-8"))
    labelled = {e.name.partition(".")[0] for e in EQUATIONS.values() if e.stem == module.rpartition(".")[2]}
    named = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_" and ast.get_docstring(node)
    ]
    first = [name for name in named if name in kd.__all__ or name in labelled]
    return (first, [name for name in named if name not in first]) if first else (named, [])


def module_page(module: str) -> str:
    """A module in reStructuredText."""
    first, helpers = contents(module)
    there = importlib.import_module(module)
    text = f".. automodule:: {module}\n   :no-members:\n"
    for heading, names in (("", first), ("Helpers", helpers)):
        table = "".join(f"   {name}\n" for name in names)
        text += f"\n.. rubric:: {heading}\n" if heading and names else ""
        text += f"\n.. autosummary::\n   :nosignatures:\n\n{table}" if names else ""
        for name in names:
            kind = "autoclass" if inspect.isclass(getattr(there, name)) else "autofunction"
            text += f"\n.. {kind}:: {module}.{name}\n"
    return text


def pages(app, docname, source):
    """`.. automodule::` on a page becomes the module's table and objects; modules named nowhere go to the last page."""
    if not docname.startswith("docs/reference/"):
        return
    if docname == "docs/reference/more":
        rooms = sorted((ROOT / "docs" / "reference").glob("*.md"))
        named = "".join(path.read_text("utf-8") for path in rooms)
        for path in rooms:  # what they take is not left here: served, this page follows them
            app.env.note_dependency(str(path))
        for path in SOURCES:
            module = path.removesuffix(".py").replace("/", ".")
            if re.match(r"kdlearn\.(?!.*__)", module) and f":: {module}\n" not in named:
                source[0] += f"\n## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```\n"
    source[0] = re.sub(r"^\.\. automodule:: (\S+)\n(?!   )", lambda m: module_page(m[1]), source[0], flags=re.M)


def names(app, domain, objtype, content):
    """`kd.soft_targets`, as it is called, in place of a bare name."""
    for node in content.parent.findall(addnodes.desc_signature):
        found = find(node["fullname"], node["module"]) if "." not in node.get("fullname", ".") else None
        if found is not None and node["module"].startswith("kdlearn"):
            prefix = spoken(found).removesuffix(node["fullname"])
            at = next(i for i, child in enumerate(node) if isinstance(child, addnodes.desc_name))
            node.insert(at, addnodes.desc_addname(prefix, prefix))


def aliases(app, what, name, obj, options, signature, returns):
    """`Array` as the code has it, where Sphinx prints how it keeps an alias."""
    plain = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
    return tuple(text and plain.sub(r"\1", text) for text in (signature, returns))


def linkcode_resolve(domain, info):
    """The line of a file of the book's sources; the pages of the reference lie in one folder."""
    found = find(info["fullname"], info["module"])
    found = getattr(found, "fget", None) or getattr(found, "func", None) or found  # what a property computes
    found = inspect.unwrap(found) if callable(found) else None
    path = f"{found.__module__.replace('.', '/')}.py" if inspect.isfunction(found) or inspect.isclass(found) else ""
    return f"../../source/{path}.html#L-{inspect.getsourcelines(found)[1]}" if path in SOURCES else None


def check(app, env):
    """Every public name and every function with an equation is in the reference, and not on its page of leftovers."""
    needed = {e.label: f"{e.module.removesuffix('.py').replace('/', '.')}.{e.name}" for e in EQUATIONS.values()}
    for room in (kd, kd.data, kd.study, kd.export):
        for found in (getattr(room, name) for name in room.__all__):
            if hasattr(found, "__qualname__") and found.__module__.startswith("kdlearn"):
                needed[spoken(found)] = f"{found.__module__}.{found.__qualname__}"
    objects = env.domains.python_domain.objects
    for name, full in needed.items():
        if full not in objects:
            log.warning(f"{name}: {full} is not in the reference")
        elif objects[full].docname == "docs/reference/more":
            log.warning(f"{name}: {full.rpartition('.')[0]} needs a page of the reference, before 'more'")


def setup(app):
    roles.register_local_role("book", role)
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", aliases)
    app.connect("source-read", pages)
    app.connect("object-description-transform", names)
    app.connect("env-check-consistency", check)
