"""Mistakes planted in a copy of the package: each must turn the suite red.

These are the mistakes that users of distillation code really make: a forgotten T, divergences the
wrong way round, a mean over N·K, a teacher with its dropout on, soft labels out of step with a shuffle.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mistakes import MISTAKES

ROOT = Path(__file__).resolve().parents[1]

MUTATIONS = {
    "a forgotten T² in the value": (
        "distill/response.py", "    kl *= T * T\n", "", "test_response.py",
    ),
    "a forgotten T in the gradient": (
        "distill/response.py", "    q *= T\n    return kl, q", "    return kl, q", "test_response.py",
    ),
    "the divergence the wrong way round": (
        "distill/response.py", "kl, p, q, _ = kl_rows(z_t, z_s, T)",
        "kl, q, p, _ = kl_rows(z_s, z_t, T)", "test_response.py",
    ),
    "a teacher with its dropout on": (
        "step.py", "net.forward(_converted_input(name, net, batch), taps=wanted[name])",
        "net.forward(_converted_input(name, net, batch), np.random.default_rng(0), taps=wanted[name])",
        "test_training.py",
    ),
    "soft labels out of step with the shuffle": (
        "data/columns.py", "a.take(rows, axis=0) for name, a",
        "(a[start : start + gather] if name.endswith('.logits') else a.take(rows, axis=0)) for name, a",
        "test_training.py",
    ),
    "a peer that learns through its classmate": (
        "objective.py", "*map(fixed.__getitem__, self.fixed)]",
        "*(live.get(name, fixed[name]) for name in self.fixed)]", "test_objective.py",
    ),
    "a weight that stops at the adaptor": (
        "objective.py", "return self.each(lambda part: part.scaled(weight))",
        "return self if hasattr(self, 'inner') else self.each(lambda part: part.scaled(weight))", "test_objective.py",
    ),
}  # fmt: skip

# Of the others, in mistakes.py, these are planted every time, and with KDLEARN_ALL_MISTAKES=1 all.
TELLING = (
    "the command line's student, and its control, see the held-out rows",
    "an evaluation with dropout",
    "students share one dropout seed",
)
EVERY = os.environ.get("KDLEARN_ALL_MISTAKES") == "1"


@pytest.mark.parametrize("mistake", [*MUTATIONS, *(MISTAKES if EVERY else TELLING)])
def test_a_planted_mistake_is_caught(mistake, tmp_path):
    file, right, wrong, tests = (MUTATIONS | MISTAKES)[mistake]
    for folder in ("kdlearn", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / "kdlearn" / file
    source = target.read_text()
    assert source.count(right) >= 1, f"the line to be mutated is no longer in {file}: {right}"
    target.write_text(source.replace(right, wrong))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        str(next((tmp_path / "tests").rglob(tests))),
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout[-2000:]
    # a test must have *failed*: a NameError, or a file that cannot be imported, would catch nothing
    assert re.search(
        r"^E\s+(assert\b|AssertionError|Failed|kdlearn\.differences\.GradientError|.*Not equal)", done.stdout, re.M
    ), done.stdout[-2000:]
