"""Mistakes planted in a copy of the package: each must turn the suite red.

These are the mistakes that users of distillation code really make: a forgotten T, divergences the
wrong way round, a mean over N·K, a teacher with its dropout on, soft labels out of step with a shuffle.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MUTATIONS = {
    "a forgotten T² in the value": (
        "distill/response.py", "return weighted_mean(T * T * rows, q - p, T, weight)",
        "return weighted_mean(rows, difference, T, weight)", "test_response.py",
    ),
    "a forgotten T in the gradient": (
        "distill/response.py", "return weighted_mean(T * T * rows, q - p, T, weight)",
        "return weighted_mean(T * T * rows, q - p, 1.0, weight)", "test_response.py",
    ),
    "both forgotten: a gradient check cannot see it, a value can": (
        "distill/response.py", "return weighted_mean(T * T * rows, q - p, T, weight)",
        "return weighted_mean(rows, q - p, 1.0 / T, weight)", "test_response.py",
    ),
    "the divergence the wrong way round": (
        "distill/response.py", "rows, p, q, _ = kl_rows(z_t, z_s, T)",
        "rows, q, p, _ = kl_rows(z_s, z_t, T)", "test_response.py",
    ),
    "a mean over rows and classes": (
        "distill/response.py", "N = rows.shape[0]", "N = gradient.size", "test_response.py",
    ),
    "what the student gives to masked classes costs nothing": (
        "distill/response.py", "return xp.where(alive, p * (xp.expm1(r) - r), q)",
        "return xp.where(alive, p * (xp.expm1(r) - r), 0)", "test_response.py",
    ),
    "the textbook form of the divergence": (
        "distill/response.py", "return xp.where(alive, p * (xp.expm1(r) - r), q)",
        "return xp.where(alive, -p * r, 0)", "test_response.py",
    ),
    "two close answers compared in single precision": (
        "distill/response.py", 'softmax_parts(z_q.astype("float64", copy=False), T)',
        "softmax_parts(z_q, T)", "test_response.py",
    ),
    "a smoothed label that does not sum to one": (
        "distill/response.py", "p -= smoothing / K + (1 - smoothing) * hot",
        "p -= smoothing / K + hot", "test_response.py",
    ),
    "a temperature left out of softmax": (
        "nn/functional.py", "return p * (dp - (p * dp).sum(axis=-1, keepdims=True)) / T",
        "return p * (dp - (p * dp).sum(axis=-1, keepdims=True))", "test_functional.py",
    ),
    "a teacher with its dropout on": (
        "step.py", "sites, _ = net.forward(input_of(name, batch), taps=wanted[name])",
        "sites, _ = net.forward(input_of(name, batch), np.random.default_rng(0), taps=wanted[name])",
        "test_training.py",
    ),
    "soft labels out of step with the shuffle": (
        "data/columns.py", "a.take(rows, axis=0) for name, a",
        "(a[start : start + gather] if name.endswith('.logits') else a.take(rows, axis=0)) for name, a",
        "test_training.py",
    ),
    "a peer that learns through its classmate": (
        "step.py", "fixed.update(live)", "pass", "test_objective.py",
    ),
    "a weight that stops at the adaptor": (
        "objective.py", "return replace(self, inner=self.inner.scaled(weight))",
        "return self", "test_objective.py",
    ),
    "stale gradients in unreached layers": (
        "nn/network.py", 'getattr(layer, "d" + name)[...] = 0', "pass", "test_network.py",
    ),
    "decay of the biases": (
        "nn/optim.py", "decay = self.weight_decay if decays else 0.0", "decay = self.weight_decay", "test_optim.py",
    ),
    "Adam without its bias correction": (
        "nn/optim.py", "root = math.sqrt((1 - self.beta2) / (1 - self.beta2**t))",
        "root = math.sqrt(1 - self.beta2)", "test_optim.py",
    ),
    "a mean of batch means": (
        "training.py", "(weights @ table / weights.sum())", "table.mean(axis=0)", "test_training.py",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MUTATIONS)
def test_a_planted_mistake_is_caught(mistake, tmp_path):
    file, right, wrong, tests = MUTATIONS[mistake]
    for folder in ("kdlearn", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / "kdlearn" / file
    source = target.read_text()
    assert source.count(right) >= 1, f"the line to be mutated is no longer in {file}: {right}"
    target.write_text(source.replace(right, wrong))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{tests}"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout[-2000:]
    assert str(tmp_path) in done.stdout or "tests/" in done.stdout
