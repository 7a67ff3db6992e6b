"""docs/guides/forty_lines.py distils without the package, and ends where the package ends."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import kdlearn as kd

FILE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "forty_lines.py"


def same(arrays, net):
    W, b, V, c = arrays
    first, last = net.layers[0], net.layers[-1]
    for by_hand, theirs in ((W, first.W), (b, first.b), (V, last.W), (c, last.b)):
        np.testing.assert_allclose(by_hand, theirs, rtol=0, atol=1e-9)


def test_it_ends_with_the_weights_of_fit():
    own = runpy.run_path(str(FILE))
    x, y = load_digits(return_X_y=True)
    x = x / 16
    settings = {"epochs": own["EPOCHS"], "batch_size": own["BATCH"], "progress": False}

    def fit(net, objective, n, **teachers):
        kd.fit(
            net, objective, kd.Data({"x": x[:n], "y": y[:n]}), optimizer=kd.Adam(own["RATE"]), **settings, **teachers
        )
        return net

    guide = fit(kd.MLP(64, 128, 10, seed=2, dtype="float64"), kd.CrossEntropy(), 250)
    teacher = own["train"](own["network"](128, seed=2), x[:250], y[:250])
    same(teacher, guide)
    student = kd.MLP(64, 16, 10, seed=1, dtype="float64")
    before = student.theta.copy()
    objective = own["ALPHA"] * kd.CrossEntropy() + (1 - own["ALPHA"]) * kd.SoftTargets(own["T"])
    fit(student, objective, 200, teachers=guide)
    same(own["train"](own["network"](16, seed=1), x[:200], y[:200], teacher), student)
    assert np.abs(student.theta - before).max() > 0.1


def test_it_has_forty_lines_and_needs_numpy_and_digits_alone():
    text = FILE.read_text("utf-8")
    tree = ast.parse(text)
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"numpy", "sklearn.datasets"}
    body = text[: text.index('if __name__ == "__main__"')].split('"""')[2]
    assert sum(bool(line.strip()) for line in body.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 88
