"""The book builds without a warning, and its pages hold in a browser, on a phone and on a desk, by day and by night.

Skipped with a reason where Sphinx, Playwright or Chromium is absent; nothing leaves the machine.
"""

from __future__ import annotations

import html.parser
import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from chromium import launched

from kdlearn.catalogue.equations import equations, notebooks_that_name

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1400, "height": 900}}


def require_sphinx():
    for name in ("sphinx", "myst_nb", "furo", "math_core", "ziamath"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """`(folder, address)` of the book, built and served by the documented command."""
    require_sphinx()
    out = tmp_path_factory.mktemp("book")
    command = [sys.executable, "docs/build.py", "--serve", "--port", "0", "--out", str(out)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("http://"):
            break
    else:
        pytest.fail("".join(said))
    yield out, line.split()[0]
    process.terminate()  # where SIGINT is ignored, as in a shell's background, Ctrl+C would not arrive
    process.wait(60)


class Page(html.parser.HTMLParser):
    """What a page defines, what it links to, and its images."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.images = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        self.ids |= {a[k] for k in ("id", "name") if a.get(k)}
        if tag == "a" and "href" in a:
            self.links.append(a["href"])
        elif tag in ("script", "img", "link", "iframe", "source") and (a.get("src") or a.get("href")):
            self.loads.append(a.get("src") or a["href"])
        if tag == "img":
            self.images.append(a)


@pytest.fixture(scope="module")
def pages(book):
    return {path.relative_to(book[0]).as_posix(): Page(path.read_text("utf-8")) for path in book[0].rglob("*.html")}


def target(page, link):
    """`(path from the root of the book, anchor)`."""
    there, _, anchor = link.partition("#")
    path = os.path.normpath(os.path.join(os.path.dirname(page), urllib.parse.unquote(there.partition("?")[0])))
    return (path if there else page), urllib.parse.unquote(anchor)


def test_every_link_leads_somewhere(book, pages):
    broken = []
    for name, page in pages.items():
        for link in page.links:
            path, anchor = target(name, link)
            if re.match(r"\w+:", link) or not link.strip("#"):
                continue
            if not (book[0] / path).is_file() or (anchor and path in pages and anchor not in pages[path].ids):
                broken.append(f"{name}: {link}")
    assert not broken


def test_pages_load_only_what_lies_beside_them(book, pages):
    for name, page in pages.items():
        for load in page.loads:
            assert not re.match(r"(\w+:)?//", load), f"{name} loads {load}"
            assert load.startswith("data:") or (book[0] / target(name, load)[0]).is_file(), f"{name} loads {load}"


def test_every_figure_has_words_for_those_who_do_not_see_it(pages):
    images = [(name, image) for name, page in pages.items() for image in page.images]
    assert len([name for name, _ in images if name.startswith("notebooks/")]) > 60
    for name, image in images:
        words = image.get("alt") or ""
        assert len(words) > 12 and not re.search(r"\.(png|svg)$", words), f"{name}: {image}"


@pytest.mark.parametrize("e", equations(), ids=lambda e: e.label)
def test_an_equation_leads_to_its_homes_and_they_lead_back(e, book, pages):
    here = f"docs/derivations/{e.stem}.html"
    text = (book[0] / here).read_text("utf-8")
    section = text[text.index(f'id="{e.anchor}"') :]
    line = section[section.index('<p class="homes">') :].partition("</p>")[0]
    links = [target(here, link) for link in re.findall(r'href="([^"]+)"', line)]
    function, test, *notebooks = links
    full = f"{e.module.removesuffix('.py').replace('/', '.')}.{e.name}"
    assert function[1] == full and function[0].startswith("docs/reference/")
    assert re.match(r"source/tests/(\w+/)?test_", test[0]) and test[1] in pages[test[0]].ids
    assert [path for path, _ in notebooks] == [f"notebooks/{name}.html" for name in notebooks_that_name(e)]
    for back in (function[0], f"source/{e.module}.html", *(path for path, _ in notebooks)):
        links = {target(back, link) for link in pages[back].links}
        assert links & {(here, e.anchor), (here, e.label.replace(".", "-"))}, f"{back} does not lead back"
    assert here in [target(test[0], link)[0] for link in pages[test[0]].links] or e.stem not in test[0]


LOOK = r"""() => {
    const all = (what, root = document) => [...root.querySelectorAll(what)].filter(e => e.checkVisibility());
    const numbers = colour => (colour.match(/[\d.]+/g) || []).map(Number);
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = colour => numbers(colour).slice(0, 3)
        .reduce((sum, v, i) => sum + linear(v / 255) * [.2126, .7152, .0722][i], 0);
    const ground = e => {
        for (; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if ((numbers(colour)[3] ?? 1) > .9) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const contrast = e => {
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
        return (a + .05) / (b + .05);
    };
    const maths = all('math'), size = e => e.getBoundingClientRect();
    const faint = all('article :is(p, li, td, th, h1, h2, h3, code, math, a, .highlight span)')
        .filter(e => e.textContent.trim() && contrast(e) < 4.2);
    const raw = all('article :is(p, li, td, dd)').filter(e => !e.querySelector('code, pre'))
        .filter(e => /\$[^$]*\\[a-z]+|\\frac|\\mathrm/.test(e.textContent));
    return {
        wide: Math.max(0, document.documentElement.scrollWidth - innerWidth),
        formulas: maths.length,
        flat: maths.filter(e => size(e).width < 2 || size(e).height < 2).length,
        wrong: all('merror').length,
        raw: raw.map(e => e.textContent.slice(0, 80)),
        unset: maths.length > 0 && !document.fonts.check('16px "STIX Two Math"'),
        absent: [...document.images].filter(i => i.complete && i.naturalWidth === 0).map(i => i.src),
        faint: faint.slice(0, 5).map(e => `${e.tagName} ${contrast(e).toFixed(1)} ${e.textContent.slice(0, 40)}`),
    };
}"""


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


def test_every_page_holds_in_a_browser(book, pages, browser):
    page = browser.new_page()
    events = []
    page.on("pageerror", lambda error: events.append(f"error {error}"))
    page.on("console", lambda said: events.append(f"console {said.text}") if said.type == "error" else None)
    page.on("requestfailed", lambda request: events.append(f"failed {request.url}"))
    page.on("response", lambda got: events.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    page.on("request", lambda asked: asked.url.startswith((book[1], "data:")) or events.append(f"asked {asked.url}"))
    total = 0
    for name in sorted(pages):
        if name == "index.html" or (name.startswith("source/") and not name.endswith("response.py.html")):
            continue  # the former only leads on; the latter are all alike
        page.set_viewport_size(WIDTHS["desktop"])
        page.emulate_media(color_scheme="light")
        page.goto(book[1] + name)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for device, size in WIDTHS.items():
                page.set_viewport_size(size)
                page.evaluate("document.fonts.ready")
                seen = page.evaluate(LOOK)
                formulas = seen.pop("formulas")
                assert not any(seen.values()), f"{name}, {device}, {scheme}: {seen}"
        total += formulas
        assert not events, f"{name}: {events}"
    assert total > 3000


def test_the_front_page_leads_in_and_the_search_finds(book, browser):
    page = browser.new_page()
    page.goto(book[1])
    page.wait_for_url("**/docs/index.html")
    assert "Two commands" in page.inner_text("article")
    page.goto(f"{book[1]}search.html?q=temperature")
    page.wait_for_selector("#search-results li a")


def test_mistakes_are_found(tmp_path):
    """A page with a link, a formula and a name that do not exist."""
    require_sphinx()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(
        "# A page\n\n[a](absent.md) [b](#nowhere) $x$\n\n```{eval-rst}\n:py:func:`kdlearn.absent`\n```\n", "utf-8"
    )
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-c", str(ROOT / "docs"), str(tmp_path)]
    found = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True)
    assert found.returncode
    for said in ("'absent.md'", "'nowhere'", "kdlearn.absent", "response.1: kdlearn.distill.response.cross_entropy"):
        assert said in found.stderr, found.stderr
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n$\\absent$\n", "utf-8")
    found = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True)
    assert found.returncode and "absent" in found.stderr
