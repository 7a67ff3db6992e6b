"""What the site offers to take away, built with it: the wheel, the notebooks and the source."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from sources import ROOT

NOTEBOOKS = ("notebooks/*.ipynb", "notebooks/README.md", "notebooks/workbook/*", "LICENSE")
SOURCE = (
    "*.md",
    "*.toml",
    "*.yml",
    "LICENSE",
    "kdlearn/**/*",
    "tests/**/*",
    "docs/**/*",
    "notebooks/*",
    "notebooks/workbook/*",
    ".ci/*",
)
PACKAGE = ("pyproject.toml", "README.md", "LICENSE", "kdlearn/**/*")


def files(patterns) -> list[Path]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path for path in found if "__pycache__" not in path.parts and path.suffix != ".pyc")


def pack(target: Path, patterns, folder: str) -> None:
    """A zip whose bytes depend on the files alone."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for path in files(patterns):
            entry = zipfile.ZipInfo(f"{folder}/{path.relative_to(ROOT).as_posix()}")
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            out.writestr(entry, path.read_bytes())


def wheel(folder: Path) -> None:
    """Built from a copy, so that nothing is left beside the source."""
    with tempfile.TemporaryDirectory() as place:
        for path in files(PACKAGE):
            there = Path(place, path.relative_to(ROOT))
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
        build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
        subprocess.run([sys.executable, "-c", build], cwd=place, check=True, capture_output=True, text=True)


def build(app):
    """Written anew where a file has changed since."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir, "downloads")
    folder.mkdir(parents=True, exist_ok=True)
    newest = max(path.stat().st_mtime for path in files(SOURCE))
    made = list(folder.iterdir())
    if len(made) != 3 or min(path.stat().st_mtime for path in made) < newest:
        for path in made:
            path.unlink()
        name = f"kdlearn-{app.config.release}"
        pack(folder / f"{name}-notebooks.zip", NOTEBOOKS, f"{name}-notebooks")
        pack(folder / f"{name}-source.zip", SOURCE, name)
        wheel(folder)


def read(app, docname, source):
    if docname == "docs/install" and app.builder.format == "html":
        what = {".whl": "the wheel", "-notebooks.zip": "the notebooks", "-source.zip": "the source"}
        rows = []
        for path in sorted(Path(app.outdir, "downloads").iterdir()):
            words = next(words for end, words in what.items() if path.name.endswith(end))
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            rows.append(f'<li>{words}: <a href="../downloads/{path.name}" download>{path.name}</a>, {size}</li>')
        raw = "```{raw} html\n<ul>\n" + "\n".join(rows) + "\n</ul>\n```"
        source[0] = source[0].replace("<!-- downloads -->", raw)
        name = next(Path(app.outdir, "downloads").glob("*.whl")).name
        commands = f'python -m pip install "./{name}[notebooks]"\npython -m jupyter lab --notebook-dir=.'
        source[0] = source[0].replace("<!-- wheel -->", f"```sh\n{commands}\n```")


def setup(app):
    app.connect("builder-inited", build)
    app.connect("source-read", read)
