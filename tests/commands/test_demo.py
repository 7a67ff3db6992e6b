"""The main job: its controls are what they say, its command line behaves, its result stands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import cli, demo

README = Path(__file__).resolve().parents[2] / "README.md"


def test_smoothed_labels_have_the_teachers_entropy():
    rows = demo.smooth_to_entropy(np.array([3, 0]), target=1.2)
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert kd.metrics.entropy(np.log(rows)) == pytest.approx(1.2)
    assert rows.argmax(axis=1).tolist() == [3, 0]


def test_permuted_logits_keep_the_confidence_and_lose_the_rest(rng):
    z = rng.normal(size=(50, 10))
    mixed = demo.permute_wrong(z, 0)
    np.testing.assert_array_equal(mixed.argmax(axis=1), z.argmax(axis=1))
    np.testing.assert_allclose(np.sort(mixed), np.sort(z))
    assert (mixed != z).mean() > 0.7


@pytest.fixture(scope="module")
def result():
    return demo.study(20, progress=False)


def test_the_student_learns_more_from_the_teacher(result):
    """Margins are half the measured effects, so that another BLAS or another seed base passes."""
    assert 96 < result.mean("teacher", "accuracy").mean < 99
    assert result.difference(demo.soft(8), "accuracy").low > 4
    assert result.difference(demo.soft(20), "accuracy").low > 4
    assert abs(result.difference(demo.soft(1), "accuracy").mean) < 2.5
    for control in demo.CONTROLS:
        assert result.difference(demo.soft(demo.CONTROL_T), "accuracy", baseline=control).low > 1.5


def test_the_readme_shows_what_is_measured(result):
    """Within a point: the last digit may differ with another BLAS."""
    rows = dict(re.findall(r"^(\S.*?) {2,}(\d+\.\d)% ", README.read_text(), re.M))
    assert list(rows) == ["teacher", *demo.METHODS]
    for method, shown in rows.items():
        assert float(shown) == pytest.approx(result.mean(method, "accuracy").mean, abs=1.0)


def test_command_line(tmp_path, capsys):
    out = tmp_path / "figures" / "demo.png"
    assert cli.main(["demo", "--seeds", "2", "--seed", "5", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "labels alone" in text and "soft targets, T = 8" in text and "control" in text
    assert out.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert cli.main(["demo", "--seeds", "2", "--json", "--quiet", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert data["seeds"] == 2 and captured.err == ""
    row = data["methods"]["soft targets, T = 8"]
    assert row["parameters"] == 1210 and 0 < row["accuracy"] < 100 and row["half_width"] > 0


@pytest.mark.parametrize(
    "arguments", [["demo", "--seeds", "1"], ["demo", "--device", "tpu"], ["demo", "--what"], ["train"], []]
)
def test_wrong_options_exit_with_2_and_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_no_gpu_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cli.main(["demo", "--device", "cuda"]) == 2
    error = capsys.readouterr().err
    assert "pip install" in error and len(error.strip().splitlines()) == 1


def test_the_demo_runs_on_a_device(standin, tmp_path, capsys):
    assert cli.main(["demo", "--seeds", "2", "--device", "cuda", "--json", "--out", str(tmp_path / "a.png")]) == 0
    there = json.loads(capsys.readouterr().out)
    assert cli.main(["demo", "--seeds", "2", "--json", "--out", str(tmp_path / "b.png")]) == 0
    here = json.loads(capsys.readouterr().out)
    for method, row in here["methods"].items():
        assert there["methods"][method]["accuracy"] == row["accuracy"]
