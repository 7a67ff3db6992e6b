"""The README's code runs, and what it says of it is measured."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator

import kdlearn as kd
from kdlearn import cli
from kdlearn.estimators import DistilledClassifier

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_of_python_runs(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {"__name__": "readme"})


def test_the_example_with_unlabelled_rows_holds_over_seeds():
    space: dict = {}
    exec(next(b for b in BLOCKS if "def rules" in b).split("X, y = rules(500")[0], space)
    rules = space["rules"]

    def one(seed):
        (X, y), (more, _), (X_test, y_test) = rules(500, 3 * seed), rules(8000, 3 * seed + 1), rules(4000, 3 * seed + 2)
        teacher = FrozenEstimator(HistGradientBoostingClassifier(random_state=0).fit(X, y))
        settings = {"hidden_layer_sizes": (64, 32), "random_state": seed}
        nets = {
            "labels alone": DistilledClassifier(max_iter=400, **settings).fit(X, y),
            "taught on the 500": DistilledClassifier(teacher, max_iter=400, **settings).fit(X, y),
            "taught": DistilledClassifier(teacher, max_iter=60, **settings).fit(X, y, X_unlabeled=more),
            "teacher": teacher,
        }
        return {name: {"accuracy": 100 * net.score(X_test, y_test)} for name, net in nets.items()}

    study = kd.study.compare(one, 4, jobs=1, progress=False)
    assert study.difference("taught", "accuracy").mean > 8
    assert study.difference("taught on the 500", "accuracy").mean < -1
    assert abs(study.difference("taught", "accuracy", "teacher").mean) < 4


def test_the_command_line_of_the_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(next(b for b in BLOCKS if "tumours.csv" in b), {})
    commands = re.findall(r"-m kdlearn ((?:distill|predict|export) .*)", README)
    assert len(commands) == 3
    for command in commands:
        assert cli.main(command.split()) == 0
    text = capsys.readouterr().out
    shown = re.search(r"^tumours.csv: .*?^parameters +- +\S+", README, re.S | re.M)
    assert shown and shown[0] in text
    accuracy = [float(v) for v in re.search(r"^accuracy +(\S+) % +(\S+) %", text, re.M).groups()]
    assert np.allclose(accuracy, [98.6, 97.9], atol=2.2)  # three rows of 142, for another BLAS
    assert len(Path("predictions.csv").read_text().splitlines()) == 570
    assert "student_predict" in Path("student.h").read_text()
