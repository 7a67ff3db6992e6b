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


@pytest.mark.parametrize("number", [i for i, b in enumerate(BLOCKS) if "def rules" not in b])
def test_every_block_of_python_runs(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {"__name__": "readme"})


def test_the_example_with_unlabelled_rows_holds_over_seeds():
    """As the contest chose, against labels alone with the decay that suits these tables best, and as many steps."""
    space: dict = {}
    exec(next(b for b in BLOCKS if "def rules" in b).split("X, y = rules(500")[0], space)
    rules = space["rules"]

    def one(seed):
        (X, y), (more, _), (X_test, y_test) = rules(500, 3 * seed), rules(4000, 3 * seed + 1), rules(4000, 3 * seed + 2)
        teacher = FrozenEstimator(HistGradientBoostingClassifier(random_state=0).fit(X, y))
        settings = {"hidden_layer_sizes": (64, 32), "random_state": seed}
        by_hand = {"soft_weight": 0.5, "temperature": 3.0, "max_iter": 60, **settings}
        nets = {
            "labels alone": DistilledClassifier(alpha=3.0, max_iter=460, **settings).fit(X, y),
            "taught on the 500": DistilledClassifier(teacher, **by_hand).fit(X, y),
            "taught": DistilledClassifier(teacher, **by_hand).fit(X, y, X_unlabeled=more),
            "teacher": teacher,
        }
        return {name: {"accuracy": 100 * net.score(X_test, y_test)} for name, net in nets.items()}

    study = kd.study.compare(one, 4, jobs=1, progress=False)
    assert study.difference("taught", "accuracy").low > 1
    assert study.difference("taught on the 500", "accuracy").mean < 0
    assert study.difference("taught", "accuracy", "teacher").mean > -2


def test_the_numbers_of_the_example_are_what_it_prints(capsys):
    block = next(b for b in BLOCKS if "def rules" in b)
    exec(block, {"__name__": "readme"})
    said = capsys.readouterr().out.splitlines()
    shown = README[README.index(block) :].split("```text\n")[1].split("```")[0].splitlines()
    assert said[0].startswith("The teacher helps here: log-loss") and len(said) == len(shown) == 4
    for a, b in zip(said[1:], shown[1:]):
        assert a[:26] == b[:26]
        assert abs(float(a[26:-2]) - float(b[26:-2])) < 2.0  # for another BLAS


def test_the_command_line_of_the_readme(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas", reason="the command line reads tables by pandas")
    monkeypatch.chdir(tmp_path)
    exec(next(b for b in BLOCKS if "tumours.csv" in b), {})
    commands = re.findall(r"-m kdlearn ((?:distill|predict|export) .*)", README.replace("\\\n", ""))
    assert len(commands) == 3
    for command in commands:
        assert cli.main(command.split()) == 0
    text = capsys.readouterr().out
    shown = re.search(r"^tumours.csv: .*?^multiply-adds a row +- +\S+", README, re.S | re.M)
    assert shown and shown[0] in text
    accuracy = [float(v) for v in re.search(r"^accuracy +(\S+) % +(\S+) %", text, re.M).groups()]
    assert np.allclose(accuracy, [98.6, 98.6], atol=2.2)  # three rows of 142, for another BLAS
    verdict = re.search(r"^Labels alone are as good here: .*", README, re.M)[0]
    assert verdict in text
    assert len(Path("predictions.csv").read_text().splitlines()) == 570
    assert "student_predict" in Path("student.h").read_text()
    exported = re.search(r"^student\.c: .*?multiply-adds a row$", README, re.S | re.M)[0].splitlines()
    found = text.splitlines()
    at = next(i for i, line in enumerate(found) if line.startswith("student.c: "))
    assert [line.split()[0] for line in exported[:3]] == [line.split()[0] for line in found[at : at + 3]]
    assert exported[1] == found[at + 1] and exported[3] == found[at + 3]  # no digit of a weight is in these
    sizes = [int(re.search(r"[\d,]+(?= bytes)", of[i])[0].replace(",", "")) for of, i in ((exported, 0), (found, at))]
    assert abs(sizes[0] - sizes[1]) < 100  # zeros at the end of a weight are not written: another BLAS moves a few
    line = re.compile(r"^file on disk, bytes +(\S+) +(\S+) +(\S+)$", re.M)
    (teacher, student, ratio), new = (
        [float(v.replace(",", "")) for v in line.search(of).groups()] for of in (README, text)
    )
    assert abs(student - new[1]) < 100 and abs(teacher - new[0]) < 0.1 * teacher  # of a forest by any version
    assert ratio == round(teacher / student, 1)
    assert re.search(r"^call student_predict; .*", README, re.M)[0] in text
