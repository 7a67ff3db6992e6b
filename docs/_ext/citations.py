"""Papers: "Hinton et al. 2015" in a page, a docstring or a notebook leads to its entry and shows its title on hover.

Nothing is marked up: author and year are found in the text, and `docs/references.bib` says which paper that is.
The page docs/references lists for each paper where it is derived, written, tested, taught and measured.
"""

from __future__ import annotations

import ast
import re
import unicodedata

from _pages.catalogue import stored, words
from _pages.methods import methods
from docutils import nodes
from links import find, spoken
from pybtex.database import parse_file
from pybtex.plugin import find_plugin
from sources import EQUATIONS, ROOT, link, notebooks, sections
from sphinx.transforms import SphinxTransform

PAPERS = parse_file(str(ROOT / "docs" / "references.bib")).entries
STYLE = find_plugin("pybtex.style.formatting", "unsrt")(abbreviate_names=True)
PAGE = "docs/references"


def surnames(key: str) -> list[str]:
    return [" ".join(person.prelast_names + person.last_names) for person in PAPERS[key].persons["author"]]


def to_key(surname: str, year: str) -> str:
    plain = unicodedata.normalize("NFKD", surname).encode("ascii", "ignore").decode()
    return re.sub(r"\W", "", plain).lower() + year


FIRST = "|".join(sorted({re.escape(surnames(key)[0]) for key in PAPERS}, key=len, reverse=True))
CITATION = re.compile(
    rf"\b({FIRST})((?:,\s+[\w-]+)*,?\s+and\s+[\w-]+|\s+et\s+al\.)?(?:'s)?,?\s+\(?((?:18|19|20)\d\d[ab]?)\b"
)


def cited(text: str) -> list[tuple[int, int, str]]:
    """`(start, end, key)` of every citation in a text."""
    found = [(m.start(), m.end(), to_key(m[1], m[3])) for m in CITATION.finditer(text)]
    return [(start, end, key) for start, end, key in found if key in PAPERS]


def title(key: str) -> str:
    return re.sub(r"[{}]", "", PAPERS[key].fields["title"])


class Citations(SphinxTransform):
    """Every citation in running text becomes a link with the paper's title."""

    default_priority = 302
    elsewhere = nodes.literal | nodes.FixedTextElement | nodes.title | nodes.reference | nodes.math | nodes.raw

    def apply(self):
        if self.env.docname == PAGE:
            return
        for text in list(self.document.findall(nodes.Text)):
            found = cited(text.astext())
            parents, node = [], text.parent
            while node is not None:
                parents, node = [*parents, node], node.parent
            if not found or any(isinstance(p, self.elsewhere) or p.tagname == "pending_xref" for p in parents):
                continue
            parts, at = [], 0
            for start, end, key in found:
                to = link(text[start:end], self.env.docname, PAGE, key)
                to["reftitle"] = f"{title(key)} ({PAPERS[key].fields['year']})"
                to["classes"].append("citation")
                parts, at = [*parts, nodes.Text(text[at:start]), to], end
            text.parent.replace(text, [*parts, nodes.Text(text[at:])])


def uses() -> dict[str, dict[str, list[str]]]:
    """{key: {"label" | "name" | "notebook": […]}}: the equations, objects and notebooks that cite a paper."""
    found: dict[str, dict[str, list[str]]] = {key: {"label": [], "name": [], "notebook": []} for key in PAPERS}

    def note(text, kind, what):
        for _, _, key in cited(text):
            if what not in found[key][kind]:
                found[key][kind].append(what)

    by_name = {(e.module, e.name): e.label for e in EQUATIONS.values()}
    for path in sorted((ROOT / "kdlearn").rglob("*.py")):
        module = path.relative_to(ROOT).as_posix()
        for parent in ast.walk(ast.parse(path.read_text("utf-8"))):
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                    name = f"{parent.name}.{node.name}" if isinstance(parent, ast.ClassDef) else node.name
                    label = by_name.get((module, name))
                    public = "_" not in (name[0], node.name[0]) and not isinstance(parent, ast.FunctionDef)
                    full = f"{module.removesuffix('.py').replace('/', '.')}.{name}"
                    if label or public:
                        note(ast.get_docstring(node), "label" if label else "name", label or full)
    for path in sorted((ROOT / "docs" / "derivations").glob("*.md")):
        for label, text in sections(path).items():
            note(text, "label", label)
    for row in (ROOT / "docs" / "methods.md").read_text("utf-8").splitlines():
        for label in re.findall(r"\[(\w+\.\d+)\]\(derivations", row):
            note(row, "label", label)
    for name, text in notebooks().items():
        note(text, "notebook", name)
    return found


def verdicts() -> dict[str, list[tuple[str, str]]]:
    """{key: [(verdict, page)]}: what the catalogue says of the methods whose line cites the paper."""
    told = words(stored())
    found: dict[str, list[tuple[str, str]]] = {}
    for line, _, name in methods():
        for *_, key in cited(line) if name in told else ():
            found.setdefault(key, []).append((told[name], "evidence/what_helps.md"))
    return found


def entry(key: str, used: dict[str, list[str]], measured: list[tuple[str, str]]) -> str:
    """A paper in markdown: its reference, and the line of where it is used."""
    equations = [EQUATIONS[label] for label in used["label"] if label in EQUATIONS]
    names = [f"{e.module.removesuffix('.py').replace('/', '.')}.{e.name}" for e in equations] + used["name"]
    names = [f"`{spoken(find(name))}`" for name in names]
    stems = [e.stem for e in equations] + [name.split(".")[-2] for name in used["name"]]
    homes_of_tests = [f"tests/**/test_{stem}.py" for stem in dict.fromkeys(stems)]
    tests = [path.relative_to(ROOT).as_posix() for pattern in homes_of_tests for path in ROOT.glob(pattern)]
    homes = {
        "derivation": [f"[{e.label}](derivations/{e.stem}.md#{e.anchor})" for e in equations],
        "function": list(dict.fromkeys(names)),
        "test": [f"[{path.removeprefix('tests/')}](../{path})" for path in tests],
        "notebook": [f"[{name[:2]}](../notebooks/{name}.ipynb)" for name in used["notebook"]],
        "measured": [f"[{verdict}]({page})" for verdict, page in measured],
    }
    line = " · ".join(f"{kind}{'s' * (len(links) > 1)} {', '.join(links)}" for kind, links in homes.items() if links)
    reference = f'```{{bibliography}}\n:filter: key == "{key}"\n:list: bullet\n```'
    return f"({key})=\n\n{reference}\n\n{{.homes}}\n{line[:1].upper()}{line[1:]}\n"


def read(app, docname, source):
    if docname == PAGE:
        used, measured = uses(), verdicts()
        order = sorted(PAPERS, key=lambda key: (to_key(surnames(key)[0], ""), PAPERS[key].fields["year"]))
        source[0] += "\n" + "\n".join(entry(key, used[key], measured.get(key, [])) for key in order)


def setup(app):
    app.add_transform(Citations)
    app.connect("source-read", read)
