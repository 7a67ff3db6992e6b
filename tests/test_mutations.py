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
    "a forgotten T in the gradient": (
        "distill/response.py", "    q *= T\n    return kl, q", "    return kl, q", "test_response.py",
    ),
    "the divergence the wrong way round": (
        "distill/response.py", "kl, p, q, _ = kl_rows(z_t, z_s, T)",
        "kl, q, p, _ = kl_rows(z_s, z_t, T)", "test_response.py",
    ),
    "soft labels out of step with the shuffle": (
        "data/columns.py", "a.take(rows, axis=0) for name, a",
        "(a[start : start + gather] if name.endswith('.logits') else a.take(rows, axis=0)) for name, a",
        "test_training.py",
    ),
    "students share one dropout seed": (
        "side_by_side.py", "[np.random.default_rng(own[k]) for own in spawned]",
        "[np.random.default_rng(own[min(k, 1)]) for own in spawned]", "test_mistakes.py"),
}  # fmt: skip

# And with KDLEARN_ALL_MISTAKES=1 those of mistakes.py as well.
EVERY = os.environ.get("KDLEARN_ALL_MISTAKES") == "1"


@pytest.mark.parametrize("mistake", [*MUTATIONS, *(MISTAKES if EVERY else ())])
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
