"""The pages in docs: their code runs, their commands exist, their links lead somewhere.

Sessions with `>>>` are run by pytest itself (--doctest-glob). Here all blocks of Python of a page are run in order and
in one namespace, as by a reader who goes on in one session; blocks for the shell are held to the parsers, the files and
the extras they name.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = [p for p in (ROOT / "docs").rglob("*.md") if not any(part[0] in "._" for part in p.relative_to(ROOT).parts)]
PAGES = sorted([*DOCS, ROOT / "README.md", ROOT / "notebooks" / "README.md"])
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
FENCE = re.compile(r"^(`{3,})([a-z]*)[^\n`]*\n(.*?)^\1 *$", re.S | re.M)
ELSEWHERE = {"README.md": "tests/docs/test_readme.py", "docs/guides/new_method.md": "the last test of this file"}


def page_name(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path, *languages):
    """The fenced blocks of a page in these languages, without those inside other blocks."""
    return [body for _, language, body in FENCE.findall(path.read_text("utf-8")) if language in languages]


def scripts(path):
    return [body for body in blocks(path, "python") if not body.lstrip().startswith(">>>")]


@pytest.mark.parametrize("path", [p for p in PAGES if scripts(p) and page_name(p) not in ELSEWHERE], ids=page_name)
def test_python_runs(path, tmp_path, monkeypatch):
    """A page's blocks in order. Names that a page takes for granted: two networks and a few digits."""
    monkeypatch.chdir(tmp_path)
    train, validation, test = kd.data.digits()
    train = train.take(slice(0, 60))
    nets = {"student": kd.MLP(64, 16, 10, seed=1), "teacher": kd.MLP(64, 32, 32, 10, seed=2)}
    space = {"__name__": "page", "np": np, "kd": kd, "train": train, "validation": validation, "test": test, **nets}
    for i, body in enumerate(blocks(path, "python")):
        if body.lstrip().startswith(">>>"):  # a reader goes on in one session
            body = "".join(example.source for example in doctest.DocTestParser().get_examples(body))
        for package in ("torch", "onnx", "onnxruntime", "pandas"):
            if re.search(rf"^\s*(import|from) {package}\b", body, re.M):
                pytest.importorskip(package)
        exec(compile(body, f"{page_name(path)}, block {i + 1}", "exec"), space)


# ---------------------------------------------------------------- commands


def commands(path):
    """The commands in a page's blocks for the shell, split at && and ;, a line that ends in a backslash joined."""
    for body in blocks(path, "sh", "bash", "console"):
        for line in re.sub(r"\\\n\s*", " ", body).splitlines():
            for part in re.split(r"&&|;", line.partition(" #")[0]):
                words = shlex.split(part)
                while words and (re.fullmatch(r"[A-Z_]+=.*", words[0]) or words[0] in ("$", "export")):
                    words = words[1:]
                if words:
                    yield words


def check_command(words):
    """AssertionError unless the program is one that the project uses, and what it is told to use is there."""
    program = re.sub(r"[\d.]+$", "", Path(words[0]).name)
    rest = words[1:]
    if program == "python":
        if rest[:1] == ["-m"]:
            program, rest = rest[1], rest[2:]
        elif rest and not rest[0].startswith("-"):
            assert (ROOT / rest[0]).exists(), f"there is no {rest[0]}"
            return
    if program == "kdlearn":
        try:
            cli._parser().parse_args(rest)
        except SystemExit as stop:
            assert stop.code == 0, f"kdlearn {' '.join(rest)} is not a command"
    elif program == "pytest":
        for word in rest:
            assert (
                word.startswith("-")
                or "=" in word
                or (ROOT / word.partition("::")[0]).exists()
                or rest[rest.index(word) - 1] in ("-k", "-m", "-p", "-n", "--dist")
            ), f"there is no {word}"
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for word in rest:
            for extra in re.findall(r"\[(.*)\]", word):
                assert set(extra.split(",")) <= set(extras), f"there is no extra {extra}"
    elif program == "jupyter":
        for word in rest:
            assert not word.endswith(".ipynb") or (ROOT / word).exists(), f"there is no {word}"
    else:
        assert program in (
            "git",
            "venv",
            "python",
            "nvidia-smi",
            "conda",
            "cd",
            "cc",
            "ruff",
            "mypy",
            "bash",
            "nbconvert",
        )
        for word in rest if program == "bash" else []:
            assert (ROOT / word).exists(), f"there is no {word}"


@pytest.mark.parametrize("path", [p for p in PAGES if list(commands(p))], ids=page_name)
def test_commands_exist(path, capsys):
    for words in commands(path):
        check_command(words)


@pytest.mark.parametrize(
    "line",
    [
        "kdlearn distil --data a.csv",
        "python -m kdlearn export --model a.npz --to tflite --out b",
        "pip install -e '.[gpu]'",
        "python tests/test_nothing.py",
        "python -m pytest tests/test_nothing.py",
        "kdlearn demo --sedes 3",
        "wget x",
    ],
)
def test_a_command_that_does_not_exist_is_found(line, capsys):
    with pytest.raises(AssertionError):
        check_command(shlex.split(line))


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_options_named_in_the_text_exist(path):
    """`--option` in the running text of a guide belongs to kdlearn, pytest or a script of this repository."""
    known = {o for p in parsers() for action in p._actions for o in action.option_strings}
    known |= {"--nbval", "--doctest-glob", "--serve", "--out", "--help"}
    text = FENCE.sub("", path.read_text("utf-8"))
    for option in re.findall(r"`[^`\n]*?(--[a-z][a-z0-9-]+)", text):
        assert option in known, f"{page_name(path)} names {option}"


def parsers():
    parser = cli._parser()
    (commands,) = (a for a in parser._actions if a.dest == "command")
    return [parser, *commands.choices.values()]


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_relative_links_lead_to_files(path):
    text = FENCE.sub("", path.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{page_name(path)} links to {target}"


@pytest.mark.parametrize("path", [*GUIDES, ROOT / "docs" / "contributing.md"], ids=page_name)
def test_what_is_named_in_a_file_is_there(path):
    """`NAME` in `file`: the file exists and holds the name. And every `folder/file.py` of the text exists."""
    text = FENCE.sub("", path.read_text("utf-8"))
    for name, file in re.findall(r"`([A-Z_]+)` in\s+`([\w/.]+)`", text):
        assert re.search(rf"\b{name}\b", (ROOT / file).read_text("utf-8")), f"{file} holds no {name}"
    for file in re.findall(r"`((?:kdlearn|tests|docs|notebooks)/[\w/.]+\.\w+)`", text):
        assert (ROOT / file).exists(), f"there is no {file}"


# ---------------------------------------------------------------- guides that are followed


def test_the_commands_of_the_guide_on_deployment(tmp_path, monkeypatch, capsys):
    """Every kdlearn command of the page, one after the other, in an empty folder."""
    pytest.importorskip("pandas", reason="the command line reads tables by pandas")
    page = ROOT / "docs" / "guides" / "deploying.md"
    monkeypatch.chdir(tmp_path)
    ran = 0
    exec(compile(scripts(page)[0], "the table", "exec"), {})
    for words in commands(page):
        if "kdlearn" in words:
            arguments = words[words.index("kdlearn") + 1 :]
            if "onnx" in arguments:
                pytest.importorskip("onnx")
                pytest.importorskip("onnxruntime")
            assert cli.main(arguments) == 0, capsys.readouterr().err
            ran += 1
    assert ran >= 4
    written = capsys.readouterr().out
    for shown in re.findall(r"^inputs, in this order: .*$|^parameters .*$", "\n".join(blocks(page, "text")), re.M):
        assert shown in written, shown


def test_the_program_in_c_of_the_guide_on_deployment(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas", reason="the command line reads tables by pandas")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    page = ROOT / "docs" / "guides" / "deploying.md"
    monkeypatch.chdir(tmp_path)
    exec(compile(scripts(page)[0], "the table", "exec"), {})
    for words in commands(page):
        if "distill" in words or "grape.c" in words:
            assert cli.main(words[words.index("kdlearn") + 1 :]) == 0
    (program,) = blocks(page, "c")
    Path("main.c").write_text(program)
    subprocess.run(
        [compiler, "-std=c99", "-Wall", "-Werror", "main.c", "grape.c", "grape_selftest.c", "-o", "main", "-lm"],
        check=True,
    )
    assert subprocess.run(["./main"], capture_output=True, text=True, check=True).stdout == "A\n"


def test_changelog_and_citation_name_this_version():
    changes = (ROOT / "docs" / "changelog.md").read_text("utf-8")
    assert re.findall(r"^## (\S+)", changes, re.M)[0] == kd.__version__
    assert f"version = {{{kd.__version__}}}" in (ROOT / "docs" / "citation.md").read_text("utf-8")
    (holder,) = re.findall(r"Copyright \(c\) \d+ (.*)", (ROOT / "LICENSE").read_text("utf-8"))
    assert f"{{{{{holder}}}}}" in (ROOT / "docs" / "citation.md").read_text("utf-8")


def follow(page, folder):
    """Write each block of a guide where its first line says: at the end of a file, into a new one, or before a line."""
    for _, language, body in FENCE.findall(page.read_text("utf-8")):
        first, _, rest = body.partition("\n")
        place = re.fullmatch(r"(?:#|<!--) (\S+)(?:, (at the end|before `(.*)`))?(?: -->)?", first)
        if not place:
            continue
        target = folder / place[1]
        rest = rest.strip("\n") + "\n"
        if place[3]:
            text = target.read_text("utf-8")
            assert text.count("\n" + place[3]) == 1, f"{place[1]} has no single line {place[3]!r}"
            gap = "\n" if language == "markdown" else ""
            target.write_text(text.replace("\n" + place[3], f"\n{rest}{gap}{place[3]}"), "utf-8")
        elif place[2]:
            target.write_text(target.read_text("utf-8").rstrip("\n") + "\n\n\n" + rest, "utf-8")
        else:
            assert not target.exists(), f"{place[1]} is there already"
            target.write_text(rest, "utf-8")
        yield place[1]


def test_the_worked_example_of_the_guide_on_new_methods(tmp_path):
    """The guide is followed to the letter in a copy of the repository; then everything that it promises must hold."""
    for folder in ("kdlearn", "tests", "docs", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, tmp_path)
    page = tmp_path / "docs" / "guides" / "new_method.md"
    assert len(list(follow(page, tmp_path))) == 6
    derivation = tmp_path / "docs" / "derivations" / "divergence.md"
    # the one thing that the guide says in words: "add `brier` to the import in the page's first session"
    text = derivation.read_text("utf-8").replace("divergence import ", "divergence import brier, ", 1)
    derivation.write_text(text, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / ".h")}
    for words in commands(page):
        if words[0] == "python" and words[1] != "-m":
            subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, env=environment, check=True, capture_output=True)
        elif "pytest" in words:
            command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words[words.index("pytest") + 1 :]]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}"
            assert "no tests ran" not in done.stdout
    assert "`brier`" in (tmp_path / "docs" / "methods.md").read_text("utf-8")
    assert "divergence.4" in (tmp_path / "docs" / "equations.md").read_text("utf-8")
