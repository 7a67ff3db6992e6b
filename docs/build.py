"""Build the book, and show it.

    python docs/build.py             checks and pages, all anew
    python docs/build.py --serve     what has changed since, in a browser

Without `--serve` a warning, a link that leads nowhere, an equation without a function, a public loss without an
equation, and an example that prints something else than its page says are all errors. With it the examples are not
run, and only pages that changed are written. Needs `pip install -e ".[docs]"`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import subprocess
import sys
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ["docs", "README.md", "tests/docs/test_equations.py", "tests/docs/test_methods.py"]
FRONT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>kdlearn</title><link rel="icon" href="data:,">
<meta name="description" content="kdlearn: knowledge distillation from scratch">
<meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">kdlearn</a></html>
"""
ABSENT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>No such page: kdlearn</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<meta name="description" content="There is no page here."><style>body{font:1.1em/1.6 sans-serif;max-width:34em;
margin:4em auto;padding:0 1em;color-scheme:light dark}a{color:inherit}</style><main><h1>There is no page here</h1>
<p>It may have been renamed. <a href="/">The first page</a> and <a href="/search.html">the search</a> lead on.</p>
</main></html>
"""


def check() -> int:
    """0, or the exit status of what failed."""
    options = ["-o", "addopts=--doctest-glob=*.md", "-p", "no:cacheprovider", "--noconftest", "-q"]
    return subprocess.run([sys.executable, "-m", "pytest", *options, *CHECKS], cwd=ROOT).returncode


def build(out: Path, anew: bool) -> int:
    options = [
        "-W",
        "-n",
        "--keep-going",
        "-c",
        ROOT / "docs",
        "-d",
        out / ".doctrees",
        *(["-E", "-a"] if anew else []),
    ]
    book = subprocess.run([sys.executable, "-m", "sphinx", *options, ROOT, out])
    (out / "index.html").write_text(FRONT, "utf-8")
    (out / "404.html").write_text(ABSENT, "utf-8")
    return book.returncode


class Handler(http.server.SimpleHTTPRequestHandler):
    """The pages, without a line for each request, and a page for what is not there."""

    error_message_format = ABSENT.replace("%", "%%")

    def log_message(self, *_) -> None:
        pass


def server(port: int, out: Path) -> http.server.ThreadingHTTPServer:
    """At this port, or at a free one where it is taken."""
    handler = functools.partial(Handler, directory=str(out))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="serve the pages on this machine until interrupted")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "book", help="default build/book")
    parser.add_argument("--port", type=int, default=8000, help="default 8000; a free one if it is taken")
    parser.add_argument("--no-browser", action="store_true", help="only say the address")
    args = parser.parse_args()
    out = args.out.resolve()
    if not args.serve:
        return check() or build(out, anew=True)
    status = build(out, anew=False)
    if not status:
        with server(args.port, out) as pages:
            address = f"http://127.0.0.1:{pages.server_port}/"
            print(f"{address}  (Ctrl+C ends it; python docs/build.py runs the examples as well)", flush=True)
            if not args.no_browser:
                webbrowser.open(address)
            with contextlib.suppress(KeyboardInterrupt):
                pages.serve_forever()
    return status


if __name__ == "__main__":
    sys.exit(main())
