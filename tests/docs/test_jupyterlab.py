"""The notebooks as a student opens them: in JupyterLab, in a browser, run from top to bottom.

Skipped with a reason where JupyterLab, Playwright or Chromium is absent; nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


OPTIONS = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password="]
OPTIONS += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]


@contextlib.contextmanager
def jupyterlab(folder, *options):
    """The address of a JupyterLab that runs in a folder and keeps its settings there."""
    pytest.importorskip("jupyterlab")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    home = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", f"--port={port}", *OPTIONS, *options],
            stdout=log, stderr=log, env={**os.environ, **home}, cwd=folder,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(address + "/api").read()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):  # kernels may take their time
            process.wait(20)
        process.kill()


@pytest.fixture(scope="module")
def lab(tmp_path_factory, browser):
    """The address of a JupyterLab over a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    own = ("--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder / 'notebooks'}")
    with jupyterlab(folder, *own) as address:
        yield address


@pytest.fixture
def page(lab, browser):
    """A page that remembers its errors and every host it asked for something."""
    page = browser.new_page(viewport={"width": 1300, "height": 1600})
    page.errors, page.hosts = [], set()
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.hosts.add(re.sub(r"^(\w+:)/*([^/]*).*", r"\1\2", request.url)))
    yield page
    page.close()


def run_all(page, address, name, attempts=3):
    """Open a notebook, run all its cells, and wait until the last has its number.

    JupyterLab now and then loses what it asks of a kernel that has just started; then the page is loaded anew.
    """
    from playwright.sync_api import TimeoutError

    for attempt in range(attempts):
        page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)
        page.evaluate(
            """async () => {
                const context = window.jupyterapp.shell.currentWidget.sessionContext;
                await context.ready;
                await context.session.kernel.info;
            }"""
        )
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.wait_for_function(
                """() => {
                    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
                    const code = [...Array(cells.length).keys()].map(i => cells.get(i)).filter(c => c.type === 'code');
                    return code.every(c => c.executionState === 'idle' && c.executionCount);
                }""",
                timeout=300_000,
            )
            return
        except TimeoutError:
            if attempt + 1 == attempts:
                raise


def outputs(page):
    """All outputs of the open notebook, as the server would save them."""
    return page.evaluate(
        """() => {
            const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
            return [...Array(cells.length).keys()].map(i => cells.get(i)).filter(c => c.type === 'code')
                .map(c => ({count: c.executionCount, outputs: c.outputs.toJSON()}));
        }"""
    )


def check(page):
    assert page.errors == []
    assert all(re.match(r"(http|ws):127\.0\.0\.1:\d+$|(data|blob):", host) for host in page.hosts), page.hosts


def pictures(name):
    """How many pictures the notebook was stored with."""
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    return sum("image/png" in o.get("data", {}) for c in cells for o in c.get("outputs", []))


def test_the_first_notebook_runs_from_top_to_bottom(page, lab):
    run_all(page, lab, "00_start_here")
    made = outputs(page)
    assert [c["count"] for c in made] == list(range(1, len(made) + 1))
    assert not any(o["output_type"] == "error" for c in made for o in c["outputs"])
    assert sum("image/png" in o.get("data", {}) for c in made for o in c["outputs"]) == pictures("00_start_here") >= 2
    check(page)


def test_the_slider_moves_the_temperature(page, lab):
    run_all(page, lab, "03_temperature_and_the_gradient")
    assert not any(o["output_type"] == "error" for c in outputs(page) for o in c["outputs"])
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed(timeout=60_000)
    picture = page.locator(".widget-output img").first
    picture.wait_for(timeout=60_000)
    before = picture.get_attribute("src")
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => { const i = document.querySelector('.widget-output img'); return i && i.src !== before; }",
        arg=before,
        timeout=60_000,
    )
    check(page)


def test_links_out_of_the_notebooks_open_as_the_install_page_starts_it(tmp_path, browser):
    """The command of docs/install.md takes the project for its root, so a link to ../docs opens a tab."""
    command = re.search(r"-m jupyter lab (.+)", (ROOT / "docs" / "install.md").read_text("utf-8"))[1].split()
    for name in ("notebooks", "docs/explore", "kdlearn"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with jupyterlab(tmp_path, *command) as address:
        page = browser.new_page()
        page.goto(f"{address}/lab/tree/{command[-1]}")
        link = page.locator(".jp-RenderedMarkdown a[href*='/docs/explore/']").first
        link.wait_for(state="attached", timeout=90_000)
        link.evaluate("a => a.click()")
        page.locator(".lm-TabBar-tabLabel", has_text=re.compile(r"^\w+\.md$")).wait_for(timeout=60_000)
        assert "/lab/tree/docs/explore/" in page.url
