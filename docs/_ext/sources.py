"""Files of code as pages, to which the book links as GitHub does."""

from __future__ import annotations

from _pages.equations import (  # noqa: F401  all that the book takes from the list of equations enters here
    LABEL,
    ROOT,
    equations,
    named_in_tests,
    notebooks,
    notebooks_that_name,
    sections,
)
from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import guess_lexer_for_filename
from sphinx.util.osutil import relative_uri

EQUATIONS = {e.label: e for e in equations()}
PATTERNS = ("kdlearn/**/*.py", "tests/**/*.py", "docs/**/*.py", "notebooks/**/*.py", "*.md", "*.toml", "*.yml")
SOURCES = [path.relative_to(ROOT).as_posix() for pattern in PATTERNS for path in sorted(ROOT.glob(pattern))]


def link(text: str, here: str, there: str, anchor: str = "") -> nodes.reference:
    """A link from page to page, both named as Sphinx names documents."""
    uri = relative_uri(f"{here}.html", f"{there}.html") + (f"#{anchor}" if anchor else "")
    return nodes.reference("", text, refuri=uri, internal=True)


def to_label(here: str, label: str) -> nodes.reference:
    return link(label, here, f"docs/derivations/{label.partition('.')[0]}", label.replace(".", ""))


def pages(app):
    """A page for each file of code, with an anchor for each line and the way back to its derivation."""
    for path in SOURCES:
        here, text = f"source/{path}", (ROOT / path).read_text("utf-8")
        formatter = HtmlFormatter(lineanchors="L", linenos="inline", wrapcode=True)
        body = highlight(text, guess_lexer_for_filename(path, text), formatter)
        body = LABEL.sub(lambda m: f"[{anchor(to_label(here, m[1]))}]" if m[1] in EQUATIONS else m[0], body)  # noqa: B023
        stem = path.rpartition("/")[2].removeprefix("test_").removesuffix(".py")
        if any(e.stem == stem for e in EQUATIONS.values()):
            body = f"<p>Derivation: {anchor(link(stem, here, f'docs/derivations/{stem}'))}</p>{body}"
        yield here, {"title": path, "body": f"<h1>{path}</h1>{body}"}, "page.html"


def anchor(node):
    return f'<a href="{node["refuri"]}">{node.astext()}</a>'


def setup(app):
    app.connect("html-collect-pages", pages)
