"""Build the book, and serve it.

    python docs/build.py --serve

A warning, a link that leads nowhere, an equation without a function, a public loss without an equation, and an example
that prints something else than its page says are all errors. Needs `pip install -e ".[docs]"`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ["docs", "README.md", "tests/docs/test_equations.py", "tests/docs/test_methods.py"]
FRONT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>kdlearn</title><link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">kdlearn</a></html>
"""


def build(out: Path) -> int:
    """0, or the exit status of what failed."""
    options = ["-o", "addopts=--doctest-glob=*.md", "-p", "no:cacheprovider", "--noconftest", "-q"]
    checks = subprocess.run([sys.executable, "-m", "pytest", *options, *CHECKS], cwd=ROOT)
    if checks.returncode:
        return checks.returncode
    options = ["-W", "-n", "--keep-going", "-E", "-q", "-c", ROOT / "docs", "-d", out / ".doctrees"]
    book = subprocess.run([sys.executable, "-m", "sphinx", *options, ROOT, out])
    (out / "index.html").write_text(FRONT, "utf-8")
    return book.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="serve the pages on this machine until interrupted")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "book", help="default build/book")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    status = build(args.out.resolve())
    if args.serve and not status:
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=args.out)
        with http.server.ThreadingHTTPServer(("127.0.0.1", args.port), handler) as server:
            print(f"http://127.0.0.1:{server.server_port}/  (Ctrl+C ends it)", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
    return status


if __name__ == "__main__":
    sys.exit(main())
