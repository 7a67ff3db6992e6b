"""Every equation has one label, one docstring and one derivation; docs/equations.md lists them.

    python tests/test_equations.py        writes docs/equations.md anew from the docstrings

A docstring *defines* a label by naming it in backticks in its first paragraph; later mentions
are references. The label's stem is the name of the file, in `kdlearn` and in `docs/derivations`.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import kdlearn as kd

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "equations.md"
DERIVATIONS = ROOT / "docs" / "derivations"
LABEL = re.compile(r"\[([a-z]+\.[0-9]+)\]")


class Equation(NamedTuple):
    label: str
    name: str  # of the function, class or method
    module: str  # path from the root
    sentence: str
    latex: str
    anchor: str  # of its heading on the page of derivations

    @property
    def stem(self):
        return self.label.partition(".")[0]


def named_objects():
    """`(path, qualified name, node)` of every function, class and method of the package."""
    for path in sorted((ROOT / "kdlearn").rglob("*.py")):
        stack = [(node, "") for node in ast.parse(path.read_text("utf-8")).body]
        while stack:
            node, prefix = stack.pop(0)
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield path, prefix + node.name, node
                stack += [(child, f"{prefix}{node.name}.") for child in node.body if isinstance(node, ast.ClassDef)]


@functools.cache
def equations():
    """Every equation that a docstring defines, in the order of the labels."""
    found = []
    for path, name, node in named_objects():
        text = ast.get_docstring(node) or ""
        first, _, rest = text.partition("\n\n")
        for label in re.findall(r"`\[([a-z]+\.[0-9]+)\]`", first):
            sentence = re.sub(r"\s*`\[[a-z]+\.[0-9]+\]`", "", " ".join(first.split()))
            sentence = re.sub(r":math:`([^`]*)`", r"$\1$", re.split(r"(?<=\.)\s", sentence)[0]).rstrip(".:") + "."
            found.append(
                Equation(
                    label, name, path.relative_to(ROOT).as_posix(), sentence, latex(first, rest), label.replace(".", "")
                )
            )
    return sorted(found, key=lambda e: ("/nn/" not in e.module, e.module, number(e.label)))


def latex(first, rest):
    """The raw LaTeX of a docstring: its first displayed equation, or else its first inline formula."""
    lines = rest.split("\n")
    for i, line in enumerate(lines):
        if line.startswith(".. math::"):
            block = [line.removeprefix(".. math::")]
            for follower in lines[i + 1 :]:
                if follower and not follower.startswith(" "):
                    break
                block.append(follower)
            return "\n".join(stripped for stripped in map(str.strip, block) if stripped)
    inline = re.findall(r":math:`([^`]*)`", first + "\n" + rest)
    return inline[0] if inline else ""


def number(label):
    return int(label.partition(".")[2])


def equations_page():
    """The text of docs/equations.md."""
    lines = [
        "# Equations",
        "",
        "Written from the docstrings by `python tests/test_equations.py`; a test holds it to them.",
        "Each label leads to its derivation: long, collapsed, and in its limits.",
    ]
    stem = None
    for e in equations():
        if e.stem != stem:
            stem = e.stem
            lines += ["", f"## {stem}", "", f"[`{e.module}`](../{e.module})"]
        link = f"[{e.label}](derivations/{e.stem}.md#{e.anchor})"
        lines += ["", f"**{link}** `{e.name}`: {e.sentence}", "", "$$", e.latex, "$$"]
    return "\n".join(lines) + "\n"


@functools.cache
def names_of(e):
    """An equation's function, and the public functions of its file that are made of it."""
    last = e.name.split(".")[-1]
    made = [
        node.name
        for node in ast.parse((ROOT / e.module).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name != last and re.search(rf"\b{last}\b", ast.unparse(node))
    ]
    return [last, *(name for name in made if name[0] != "_")]


@functools.cache
def named_in_tests(e):
    """`(path, line)` of the first mention in the tests of an equation's function, or of one that is made of it."""
    for name in names_of(e):
        mention = re.compile(rf"\b{name}\b")
        for path in sorted((ROOT / "tests").glob("*.py"), key=lambda path: (path.name != f"test_{e.stem}.py", path)):
            for i, line in enumerate(lines_of(path), 1):
                if mention.search(line):
                    return path.relative_to(ROOT).as_posix(), i
    return None


# Ideas that no notebook uses, and the notebook that comes nearest.
NEAREST = {
    "temperature": "02_temperature",
    "targets": "01_soft_and_hard_labels",
    "jacobian": "08_features",
    "multilabel": "15_transfer",
    "hooks": "10_self_distillation",
}


@functools.cache
def notebooks_that_name(e):
    """The notebooks that lead to an equation's page and use its function; or else do one of the two; or the nearest."""
    names = "|".join(names_of(e))
    uses = re.compile(rf"\.({names})\(" if "." in e.name else rf"\bkd\.(\w+\.)*({names})\b|`({names})`")
    using = [name for name, text in notebooks().items() if uses.search(text)]
    leading = [name for name, text in notebooks().items() if f"derivations/{e.stem}.md" in text]
    return [name for name in using if name in leading] or using or leading or [NEAREST[e.stem]]


@functools.cache
def lines_of(path):
    """A file's lines, those of imports and of the opening docstring left blank."""
    text = path.read_text("utf-8")
    lines, tree = text.splitlines(), ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) or (node is tree.body[0] and ast.get_docstring(tree)):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return lines


@functools.cache
def notebooks():
    """{name: all that stands in its cells}"""
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    cells = {path.stem: json.loads(path.read_text("utf-8"))["cells"] for path in paths}
    return {name: "\n".join("".join(cell["source"]) for cell in cells[name]) for name in cells}


def sections(path):
    """{label: text below it} for the headings `### stem.n` of a page of derivations."""
    parts = re.split(r"^###? (.*)$", path.read_text("utf-8"), flags=re.MULTILINE)
    return {title: text for title, text in zip(parts[1::2], parts[2::2]) if re.fullmatch(r"[a-z]+\.[0-9]+", title)}


PAGES = sorted(DERIVATIONS.glob("*.md"))


def test_labels_are_unique_numbered_without_gaps_and_named_after_their_file():
    labels = [e.label for e in equations()]
    assert len(labels) == len(set(labels))
    for e in equations():
        assert e.stem == Path(e.module).stem, e
    for stem in {e.stem for e in equations()}:
        numbers = sorted(number(e.label) for e in equations() if e.stem == stem)
        assert numbers == list(range(1, len(numbers) + 1)), stem


def test_every_label_has_one_derivation_and_every_derivation_one_label():
    headings = []
    for path in PAGES:
        found = re.findall(r"^### ([a-z]+\.[0-9]+)$", path.read_text("utf-8"), flags=re.MULTILINE)
        assert all(h.partition(".")[0] == path.stem for h in found), path.name
        headings += found
    labels = {e.label for e in equations()}
    assert len(headings) == len(set(headings))
    assert labels - set(headings) == set(), "labels without a derivation"
    assert set(headings) - labels == set(), "derivations without a docstring that names them"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_derivation_is_long_collapsed_and_has_limits(path):
    here = {e.label: e for e in equations()}
    for label, text in sections(path).items():
        for part in ("long", "collapsed", "limits"):
            assert re.search(rf"\*{part}\b", text, flags=re.IGNORECASE), f"{label} has no part *{part}*"
        assert label not in here or f"`{here[label].name}" in text, f"{label} does not name {here[label].name}"


@pytest.mark.parametrize("path", [*PAGES, PAGE], ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    text = path.read_text("utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        there = path.parent / target if target else path
        assert there.exists(), target
        if re.fullmatch(r"[a-z]+[0-9]+", anchor):
            assert anchor in {label.replace(".", "") for label in sections(there)}, f"{target}#{anchor}"
    if path != PAGE:
        assert re.search(r"\]\(\.\./\.\./kdlearn/", text) and re.search(r"\]\(\.\./\.\./tests/test_", text)


def test_labels_that_are_mentioned_exist():
    known = {e.label for e in equations()}
    stems = {label.partition(".")[0] for label in known}
    for path in [*PAGES, *sorted((ROOT / "kdlearn").rglob("*.py"))]:
        for label in LABEL.findall(path.read_text("utf-8")):
            if label.partition(".")[0] in stems:
                assert label in known, f"{path.name} mentions {label}"


def test_every_public_loss_has_a_label():
    labelled = {e.name for e in equations()}
    losses = set()
    for path, name, node in named_objects():
        if "distill" in path.parts and isinstance(node, ast.FunctionDef) and name[0] != "_":
            wrapped = any(re.search("over_rows|across_rows|between_rows", ast.unparse(d)) for d in node.decorator_list)
            pair = node.returns is not None and ast.unparse(node.returns).startswith("tuple[Array, Array]")
            if wrapped or (pair and name in kd.__all__):
                losses.add(name)
    assert {"cross_entropy", "soft_targets", "logit_matching"} <= losses
    assert losses <= labelled, f"no label: {sorted(losses - labelled)}"


def test_every_equation_has_a_test_and_a_notebook():
    assert [e.label for e in equations() if named_in_tests(e) is None] == []
    assert {name for e in equations() for name in notebooks_that_name(e)} <= set(notebooks())


def test_every_equation_has_latex():
    for e in equations():
        assert e.latex and e.latex.count("{") == e.latex.count("}"), e.label


def test_the_page_of_equations_is_up_to_date():
    assert PAGE.read_text("utf-8") == equations_page(), "run: python tests/test_equations.py"


if __name__ == "__main__":
    PAGE.write_text(equations_page(), "utf-8")
    sys.stdout.write(f"{PAGE.name}: {len(equations())} equations\n")
