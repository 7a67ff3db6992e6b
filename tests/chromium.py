"""Chromium for the tests that look at pages. Skipped with a reason where it or Playwright is absent."""

from __future__ import annotations

import contextlib
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@contextlib.contextmanager
def launched():
    """A running browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (on Debian: apt-get install chromium)")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def visits(browser, folder):
    """`visit(html, width=800, **options)` opens a page. At the end none may have had an error or asked for anything
    but files (`blob:` is what a page made itself, such as the code of a worker)."""
    contexts, errors, asked = [], [], []

    def visit(html, width=800, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        path = folder / "page.html"
        path.write_text(html, "utf-8")
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
    assert asked and all(url.startswith(("file:", "blob:")) for url in asked), asked
