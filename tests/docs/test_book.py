"""The book builds without a warning, and its pages hold in a browser, on a phone and on a desk, by day and by night.

Skipped with a reason where Sphinx, Playwright or Chromium is absent; nothing leaves the machine.
"""

from __future__ import annotations

import html.parser
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import pytest
from _pages.equations import equations, notebooks_that_name

ROOT = Path(__file__).resolve().parents[2]
LAPTOP = {"width": 1280, "height": 800}
WIDTHS = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1400, "height": 900}}


def require_sphinx():
    for name in ("sphinx", "myst_nb", "furo", "math_core", "ziamath", "fontTools", "brotli"):
        pytest.importorskip(name)
    for name in ("sphinxcontrib.bibtex", "sphinx_copybutton", "sphinx_design"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """`(folder, address, what serving said)` of the book, built and then served by the documented commands."""
    require_sphinx()
    out = tmp_path_factory.mktemp("book")
    command = [sys.executable, "docs/build.py", "--out", str(out)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    with socket.socket() as taken:  # so that another port has to be found
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command += ["--serve", "--no-browser", "--port", str(taken.getsockname()[1])]
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
    yield out, line.split()[0], "".join(said)
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
            if re.match(r"\w+:|/", link) or not link.strip("#"):
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

# A picture that waits until it is scrolled to would be broken off by the next page, which counts as failed.
ALL_IMAGES = """Promise.allSettled([...document.images].map(picture => {
    picture.loading = 'eager';
    return picture.decode();
}))"""


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
        if name in ("index.html", "404.html") or (name.startswith("source/") and not name.endswith("response.py.html")):
            continue  # the former only leads on; the latter are all alike
        page.set_viewport_size(WIDTHS["desktop"])
        page.emulate_media(color_scheme="light")
        page.goto(book[1] + name)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.evaluate(ALL_IMAGES)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for device, size in WIDTHS.items():
                page.set_viewport_size(size)
                page.evaluate("document.fonts.ready")
                seen = page.evaluate(LOOK)
                formulas = seen.pop("formulas")
                assert not any(seen.values()), f"{name}, {device}, {scheme}: {seen}"
        page.set_viewport_size(LAPTOP)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{name} is wider than a laptop"
        total += formulas
        assert not events, f"{name}: {events}"
    assert total > 3000


def test_the_front_page_leads_in(book, browser):
    page = browser.new_page()
    page.goto(book[1])
    page.wait_for_url("**/docs/index.html")
    assert "play the soft targets" in page.inner_text("article")


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("soft_targets", "docs/reference/answers.html#kdlearn.distill.response.soft_targets"),
        ("install", "docs/install.html"),
        ("temperature", "docs/glossary.html#term-temperature"),
        ("KL", "docs/glossary.html#term-KL"),
        ("early stopping", "docs/glossary.html#term-early-stopping"),
        ("quantise", "docs/glossary.html#term-quantise"),
        ("attention transfer", "docs/reference/representations.html#kdlearn.distill.feature.attention_transfer"),
        ("Hinton", "notebooks/21_hinton_2015.html"),
        ("ONNX", "docs/reference/estimators.html#kdlearn.export.onnx_file.to_onnx"),
        ("DistilledClassifier", "docs/reference/estimators.html#kdlearn.estimators.DistilledClassifier"),
    ],
)
def test_the_search_finds_what_is_meant_first(book, browser, words, first):
    page = browser.new_page()
    page.goto(f"{book[1]}search.html?q={words}")
    page.wait_for_selector("#search-results li a")
    page.wait_for_function(
        "end => document.querySelector('#search-results li a').getAttribute('href').endsWith(end)", arg=first
    )


KINDS = [  # one page of each kind
    "docs/index.html",
    "docs/install.html",
    "docs/gallery.html",
    "docs/derivations/response.html",
    "docs/reference/networks.html",
    "docs/evidence/effects.html",
    "docs/evidence/what_helps.html",
    "docs/references.html",
    "docs/glossary.html",
    "docs/cheat_sheet.html",
    "docs/explore/slopes.html",
    "notebooks/03_temperature_and_the_gradient.html",
    "source/docs/_ext/font.py.html",
    "genindex.html",
    "search.html",
    "404.html",
]


@pytest.mark.parametrize(("device", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_axe_finds_nothing_serious(book, browser, device, scheme):
    axe = Path(pytest.importorskip("axe_core_python").__file__).parent / "axe.min.js"
    page = browser.new_page(viewport=WIDTHS[device], color_scheme=scheme)
    for name in KINDS:
        page.goto(book[1] + name)
        page.evaluate("document.fonts.ready")
        page.wait_for_timeout(100)
        page.add_script_tag(path=axe)
        found = page.evaluate("axe.run().then(r => r.violations)")
        serious = [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]
        assert not serious, f"{name}: {serious}"


def test_a_laptop_shows_contents_and_whole_lines(book, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{book[1]}docs/derivations/response.html")
    box = page.locator(".toc-tree a", has_text="response.2").bounding_box()
    assert box["x"] > 0 and box["x"] + box["width"] <= 1280 and box["y"] < 800
    for name in ("docs/derivations/response.html", "notebooks/03_temperature_and_the_gradient.html"):
        page.goto(book[1] + name)
        page.evaluate("document.querySelector('article .highlight pre').textContent = 'x'.repeat(88)")
        room = page.evaluate("(p => p.clientWidth - p.scrollWidth)(document.querySelector('article .highlight pre'))")
        assert room >= 0, f"{name}: 88 characters do not fit"


def test_keys_move_code_and_not_the_page(book, browser):
    page = browser.new_page(viewport=WIDTHS["phone"])
    page.goto(f"{book[1]}docs/derivations/response.html")
    code = page.locator("article .highlight pre[tabindex='0']").first
    code.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert page.url.endswith("response.html")


def test_copied_code_has_no_prompts(book, browser):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{book[1]}docs/derivations/response.html")
    block = page.locator("div.highlight", has=page.locator("pre", has_text="import numpy")).first
    block.hover()
    block.locator("button.copybtn").click()
    page.wait_for_timeout(200)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import numpy as np\nimport kdlearn as kd") and ">>>" not in copied


def test_a_box_is_drawn_and_the_font_is_small(book, browser):
    page = browser.new_page()
    page.goto(f"{book[1]}notebooks/03_temperature_and_the_gradient.html")
    width = "getComputedStyle(document.querySelector('menclose[notation=box]')).borderTopWidth"
    assert page.evaluate(width) == "1px"
    fonts = [path for path in book[0].rglob("*") if path.suffix in (".ttf", ".otf", ".woff2")]
    assert [path.name for path in fonts] == ["formulas.woff2"] and fonts[0].stat().st_size < 120_000


def test_tables_are_cards_on_a_phone_and_sort_by_their_heads(book, browser):
    page = browser.new_page(viewport=WIDTHS["phone"])
    page.goto(f"{book[1]}docs/evidence/effects.html")
    page.goto(f"{book[1]}docs/evidence/what_helps.html")
    assert page.locator("table.cards").count() > 10 and page.locator("table.cards td[data-head='']").count() == 0
    page.goto(f"{book[1]}docs/evidence/effects.html")
    cell = page.locator("table.cards td").nth(1)
    assert cell.evaluate("e => getComputedStyle(e).display") == "block" and cell.get_attribute("data-head")
    page.set_viewport_size(WIDTHS["desktop"])
    table = page.locator("table", has=page.locator("button.sort")).first
    column = table.locator("th").all_text_contents().index("difference")
    numbers = f"t => [...t.tBodies[0].rows].map(r => parseFloat(r.cells[{column}].textContent.replace('\\u2212', '-')))"
    before = table.evaluate(numbers)
    button = table.locator("th button", has_text="difference")
    button.focus()
    page.keyboard.press("Enter")
    assert table.evaluate(numbers) == sorted(before) != before
    assert table.locator("th").nth(column).get_attribute("aria-sort") == "ascending"
    button.click()
    assert table.evaluate(numbers) == sorted(before, reverse=True)


def test_what_helps_can_be_chosen_by_family_and_task(book, browser):
    page = browser.new_page()
    page.goto(f"{book[1]}docs/evidence/what_helps.html")
    heads = "[...document.querySelectorAll('section > h3')].filter(e => e.checkVisibility())"
    shown = f"{heads}.map(e => e.firstChild.textContent)"
    every = page.evaluate(shown)
    page.get_by_label("Task").select_option("clothes")
    assert page.evaluate(shown) == [name for name in every if name.endswith(": clothes")] != []
    page.get_by_label("Family").select_option("Answers")
    assert page.evaluate(shown) == ["Answers: clothes"]
    assert not page.locator("h2", has_text="Digits").is_visible()
    pictures = page.locator("article img[src*=what_helps]")
    assert [p.get_attribute("src")[-11:-4] for p in pictures.all() if p.is_visible()] == ["clothes"]
    listed = [link.text_content() for link in page.locator(".toc-tree a").all() if link.is_visible()]
    assert "Answers: clothes" in listed and not [words for words in listed if words.endswith((": digits", ": noise"))]
    for label in ("Task", "Family"):
        page.get_by_label(label).select_option("all")
    assert page.evaluate(shown) == every


def test_plots_follow_the_choice_of_light_and_dark(book, browser):
    page = browser.new_page(color_scheme="light")
    page.goto(f"{book[1]}docs/hinton.html")
    look = "getComputedStyle(document.querySelector('article img[src$=png]')).filter"
    assert page.evaluate(look) == "none"
    page.evaluate("document.body.dataset.theme = 'dark'")
    assert "invert" in page.evaluate(look)
    assert page.evaluate("getComputedStyle(document.querySelector('article img[src$=png]')).colorScheme") == "dark"
    page.goto(f"{book[1]}docs/evidence/what_helps.html")
    page.emulate_media(color_scheme="dark")
    assert "invert" in page.evaluate("getComputedStyle(document.querySelector('article img[src*=what_helps]')).filter")


def test_on_paper(book, browser):
    page = browser.new_page()
    page.goto(f"{book[1]}docs/cheat_sheet.html")
    page.evaluate("document.fonts.ready")
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1
    page.goto(f"{book[1]}docs/derivations/response.html")
    page.emulate_media(media="print")
    for what in (".skip-to-content", ".sidebar-drawer", ".toc-drawer", "button.copybtn", ".kdx-live"):
        assert not page.locator(what).first.is_visible(), what
    assert page.locator(".kdx-still img").first.is_visible()
    clipped = "[...document.querySelectorAll('article pre')].filter(p => p.scrollWidth > p.clientWidth + 1).length"
    assert page.evaluate(clipped) == 0


def test_home_shows_what_it_is_and_where_to_click(book, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{book[1]}docs/index.html")
    for words in ("Read", "Play", "Install"):
        button = page.locator("article a.sd-btn", has_text=words)
        assert words != "Play" or button.get_attribute("href") == "explore/playground.html"
        box = button.bounding_box()
        assert box["y"] + box["height"] < 800
    play = page.locator("button[data-play=soft]")
    assert play.bounding_box()["y"] < 800
    play.click()
    assert play.get_attribute("aria-pressed") == "true"
    gain = re.search(r"^soft targets  .*\+(\S+ ± \S+) helps", (ROOT / "README.md").read_text("utf-8"), re.M)[1]
    assert f"{gain} points" in page.inner_text("article")


def test_a_paper_is_two_clicks_away_and_shows_its_title(book, browser, pages):
    page = browser.new_page()
    page.goto(f"{book[1]}docs/methods.html")
    link = page.locator("a.citation", has_text="Zhao et al. 2022").first
    assert "Decoupled Knowledge Distillation" in link.get_attribute("title")
    link.click()
    page.wait_for_url("**/references.html#zhao2022")
    entry = page.locator("#zhao2022 + ul")
    assert entry.locator("a").get_attribute("href") == "https://arxiv.org/abs/2203.08679"
    homes = page.locator("#zhao2022 + ul + p.homes").inner_text()
    assert "logits.1" in homes and "distill/test_logits.py" in homes and "kd.decoupled_kd" in homes
    keys = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text("utf-8"), re.M))
    assert keys <= pages["docs/references.html"].ids


def test_every_equation_on_the_page_of_equations_leads_to_its_function(book):
    text = (book[0] / "docs" / "equations.html").read_text("utf-8")
    named = re.findall(r"<p><strong>.*?</p>", text, re.S)
    assert len(named) == len(equations()) and all('href="reference/' in line for line in named)


def test_the_reference_says_names_as_users_type_them(book, browser):
    page = browser.new_page()
    page.goto(f"{book[1]}docs/reference/answers.html")
    signature = page.locator("dt[id='kdlearn.distill.response.soft_targets']").inner_text()
    assert signature.startswith("kd.soft_targets(") and "T: float = 4.0" in signature and "Array" in signature
    assert "ForwardRef" not in page.inner_text("article")
    table = page.locator("table.autosummary").first
    assert "soft_targets" in table.inner_text()
    helper, loss = (page.locator(f"dt[id='kdlearn.distill.logits.{name}']").bounding_box()["y"]
                    for name in ("without_label", "TopTargets"))  # fmt: skip
    assert helper > loss


def test_what_the_site_offers_to_take_away(book, pages):
    links = [link for link in pages["docs/install.html"].links if "downloads/" in link]
    assert len(links) == 3
    by_end = {
        end: next(link for link in links if link.endswith(end)) for end in (".whl", "-notebooks.zip", "-source.zip")
    }
    inside = {
        end: set(zipfile.ZipFile(book[0] / target("docs/install.html", link)[0]).namelist())
        for end, link in by_end.items()
    }
    assert {"kdlearn/__init__.py", "kdlearn/py.typed", "kdlearn/fast/kernels.cu"} <= inside[".whl"]
    assert not [name for name in inside[".whl"] if name.startswith(("tests", "docs"))]
    for end, needed in (
        ("-notebooks.zip", "notebooks/00_start_here.ipynb"),
        ("-notebooks.zip", "notebooks/workbook/my_kd.py"),
        ("-source.zip", "notebooks/workbook/README.md"),
        ("-source.zip", "tests/docs/test_book.py"),
    ):
        assert any(name.endswith(needed) for name in inside[end])
        assert not [name for name in inside[end] if "__pycache__" in name]
    assert not (ROOT / "build" / "lib").exists()


def test_a_page_that_is_not_there_says_so(book):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{book[1]}docs/absent.html")
    assert error.value.code == 404 and "There is no page here" in error.value.read().decode()
    assert "There is no page here" in (book[0] / "404.html").read_text("utf-8")


def test_every_page_describes_itself(book):
    said = {}
    for path in book[0].rglob("*.html"):
        found = re.search(r'<meta name="description" content="([^"]+)">', path.read_text("utf-8"))
        assert found and 10 < len(found[1]) < 400, path
        if "source" not in path.relative_to(book[0]).parts:
            assert found[1] not in said, f"{path} and {said[found[1]]} describe themselves alike"
            assert not re.search(r"[_^]\{|mathrm|^Module |:$", found[1]), f"{path}: {found[1]}"
            said[found[1]] = path


def test_serving_again_writes_only_what_changed_and_finds_a_free_port(book):
    assert "0 added, 0 changed, 0 removed" in book[2]
    assert "passed" not in book[2], "the examples are for the whole build"


def test_served_again_the_contents_follow_their_page(tmp_path):
    require_sphinx()
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'docs' / '_ext')!r})\nextensions = ['stored']\n"
        "html_theme = 'furo'\n",
        "utf-8",
    )
    for name in ("one", "two"):
        (tmp_path / f"{name}.rst").write_text(f"{name}\n=====\n", "utf-8")
    for order in (["one", "two"], ["two", "one"]):
        lines = ["Home", "====", "", ".. toctree::", "", *(f"   {name}" for name in order), ""]
        (tmp_path / "index.rst").write_text("\n".join(lines), "utf-8")
        command = [sys.executable, "-m", "sphinx", "-q", "-W", str(tmp_path), str(tmp_path / "out")]
        subprocess.run(command, check=True, capture_output=True)
        text = (tmp_path / "out" / "index.html").read_text("utf-8")
        listed = re.findall(r'toctree-l1"><a class="reference internal" href="(\w+)\.html"', text)
        assert listed == order * 2  # at the side, and on the page


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
