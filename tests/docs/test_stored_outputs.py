"""The check in notebooks/conftest.py: it sees a stale output of a cell that nbval does not compare."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat.v4 as v4
import pytest
from nbformat import write

CONFTEST = Path(__file__).parents[2] / "notebooks" / "conftest.py"


def loaded():
    spec = importlib.util.spec_from_file_location("stored_outputs", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
ROW = "ARD   rate 0.03, T 0.5   76.30   +1.46 ± 0.86 helps   over 10 seeds, 41 % read"


@pytest.mark.parametrize(
    "new",
    [
        ROW,
        ROW.replace("   ", " "),  # a table's columns may be wider
        ROW.replace("76.30", "77.80"),
        ROW.replace("+1.46", "+0.66"),
        ROW.replace("0.86", "1.10"),
        ROW.replace("41 %", "43 %"),
    ],
)
def test_what_another_run_may_print(new):
    assert loaded().differences(ROW, new) == []


@pytest.mark.parametrize(
    "new",
    [
        ROW.replace("helps", "not shown"),
        ROW.replace("ARD", "TRADES"),
        ROW.replace("76.30", "78.50"),  # further than two points
        ROW.replace("+1.46", "+0.56"),  # further than half of its interval
        ROW.replace("+1.46", "-1.46"),
        ROW.replace("0.86", "1.40"),
        ROW.replace("41 %", "44 %"),
        ROW.replace("10 seeds", "9 seeds"),
        ROW.replace("T 0.5", "T 1.0"),  # another setting was chosen
        ROW + "\nand a line more",
        "",
    ],
)
def test_what_is_stale(new):
    assert loaded().differences(ROW, new)


def run_notebook(folder, **env):
    """pytest's answer to a notebook with one cell that trains; its stored output says ten seeds, it prints twelve."""
    shutil.copy(CONFTEST, folder)
    stored = v4.new_output("stream", name="stdout", text="over 10 seeds\n")
    tags = {"tags": ["nbval-ignore-output"]}
    cell = v4.new_code_cell("print('over 12 seeds')", execution_count=1, outputs=[stored], metadata=tags)
    write(v4.new_notebook(cells=[cell], metadata={"kernelspec": KERNEL}), folder / "planted.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", "planted.ipynb"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "KDLEARN_STORED"))}
    return subprocess.run(command, cwd=folder, env=clean | env, capture_output=True, text=True, timeout=120)


def test_a_planted_stale_output_is_caught(tmp_path):
    found = run_notebook(tmp_path, KDLEARN_STORED="1")
    assert found.returncode == 1, found.stdout + found.stderr
    assert "stored: over 10 seeds" in found.stdout and "now:    over 12 seeds" in found.stdout


def test_it_is_not_asked_for_by_default(tmp_path):
    found = run_notebook(tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


def test_only_what_is_printed_counts():
    """nbval answers a last line with a semicolon, which a notebook does not store; progress goes to stderr."""
    outputs = [
        v4.new_output("stream", name="stderr", text="50 %"),
        v4.new_output("stream", name="stdout", text="a "),
        v4.new_output("execute_result", data={"text/plain": "Text(0.5, 1.0, 'a title')"}),
        v4.new_output("stream", name="stdout", text="line"),
    ]
    assert loaded().text(outputs) == "a line"
