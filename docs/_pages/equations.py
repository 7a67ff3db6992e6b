"""Every equation of the package, read from the docstrings: its label, function, formula, test and notebooks.

A docstring *defines* a label by naming it in backticks in its first paragraph; later mentions
are references. The label's stem is the name of the file, in `kdlearn` and in `docs/derivations`.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LABEL = re.compile(r"\[([a-z]+\.[0-9]+)\]")


class Equation(NamedTuple):
    """An equation and where it stands."""

    label: str
    name: str  # of the function, class or method
    module: str  # path from the root
    sentence: str
    latex: str
    anchor: str  # of its heading on the page of derivations

    @property
    def stem(self) -> str:
        """The name of its file."""
        return self.label.partition(".")[0]


def named_objects() -> Iterator[tuple[Path, str, ast.FunctionDef | ast.ClassDef]]:
    """`(path, qualified name, node)` of every function, class and method of the package."""
    for path in sorted((ROOT / "kdlearn").rglob("*.py")):
        stack: list[tuple[ast.stmt, str]] = [(node, "") for node in ast.parse(path.read_text("utf-8")).body]
        while stack:
            node, prefix = stack.pop(0)
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield path, prefix + node.name, node
                stack += [(child, f"{prefix}{node.name}.") for child in node.body if isinstance(node, ast.ClassDef)]


@functools.cache
def equations() -> list[Equation]:
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


def latex(first: str, rest: str) -> str:
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


def number(label: str) -> int:
    """The number behind the stem."""
    return int(label.partition(".")[2])


def equations_page() -> str:
    """The text of docs/equations.md."""
    lines = [
        "# Equations",
        "",
        "Written from the docstrings by `python docs/pages.py`; a test holds it to them.",
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
def names_of(e: Equation) -> list[str]:
    """An equation's function, and the public functions of its file that are made of it."""
    last = e.name.split(".")[-1]
    made = [
        node.name
        for node in ast.parse((ROOT / e.module).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name != last and re.search(rf"\b{last}\b", ast.unparse(node))
    ]
    return [last, *(name for name in made if name[0] != "_")]


@functools.cache
def named_in_tests(e: Equation) -> tuple[str, int] | None:
    """`(path, line)` of the first mention in the tests of an equation's function, or of one that is made of it."""
    for name in names_of(e):
        mention = re.compile(rf"\b{name}\b")
        for path in sorted((ROOT / "tests").rglob("*.py"), key=lambda path: (path.name != f"test_{e.stem}.py", path)):
            for i, line in enumerate(lines_of(path), 1):
                if mention.search(line):
                    return path.relative_to(ROOT).as_posix(), i
    return None


# Ideas that no notebook uses, and the notebook that comes nearest.
NEAREST = {
    "temperature": "03_temperature_and_the_gradient",
    "targets": "02_soft_and_hard_labels",
    "jacobian": "09_features",
    "multilabel": "16_transfer",
    "hooks": "11_self_distillation",
    "views": "11_self_distillation",
    "branches": "13_online_distillation",
    "attention": "13_online_distillation",
}


@functools.cache
def tests_of(stem: str) -> str:
    """The file of tests of a stem, from the root; it stands in one of the rooms of `tests`."""
    (path,) = (ROOT / "tests").rglob(f"test_{stem}.py")
    return path.relative_to(ROOT).as_posix()


@functools.cache
def notebooks_that_name(e: Equation) -> list[str]:
    """The notebooks that lead to an equation's page and use its function; or else do one of the two; or the nearest."""
    names = "|".join(names_of(e))
    uses = re.compile(rf"\.({names})\(" if "." in e.name else rf"\bkd\.(\w+\.)*({names})\b|`({names})`")
    using = [name for name, text in notebooks().items() if uses.search(text)]
    leading = [name for name, text in notebooks().items() if f"derivations/{e.stem}.md" in text]
    return [name for name in using if name in leading] or using or leading or [NEAREST[e.stem]]


@functools.cache
def lines_of(path: Path) -> list[str]:
    """A file's lines, those of imports and of the opening docstring left blank."""
    text = path.read_text("utf-8")
    lines, tree = text.splitlines(), ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) or (node is tree.body[0] and ast.get_docstring(tree)):
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    return lines


@functools.cache
def notebooks() -> dict[str, str]:
    """{name: all that stands in its cells}"""
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    cells = {path.stem: json.loads(path.read_text("utf-8"))["cells"] for path in paths}
    return {name: "\n".join("".join(cell["source"]) for cell in cells[name]) for name in cells}


def sections(path: Path) -> dict[str, str]:
    """{label: text below it} for the headings `### stem.n` of a page of derivations."""
    parts = re.split(r"^###? (.*)$", path.read_text("utf-8"), flags=re.MULTILINE)
    return {title: text for title, text in zip(parts[1::2], parts[2::2]) if re.fullmatch(r"[a-z]+\.[0-9]+", title)}
