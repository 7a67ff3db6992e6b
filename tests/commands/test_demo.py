"""The main job: its controls are what they say, its command line behaves, its result is what readers are told."""

from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from kdlearn import cli, demo

ROOT = Path(__file__).resolve().parents[2]
SHOWN = r"\+(\d\.\d) ± (\d\.\d)"


@pytest.fixture
def quick(monkeypatch):
    """One setting an arm and few epochs: what is printed, not what is found."""
    for arm in demo.GRIDS:
        own = {"T": [4]} if arm != demo.BASELINE else {}
        monkeypatch.setitem(demo.GRIDS, arm, {"decay": [1.0], "epochs": [5], **own})


def test_permuted_logits_keep_the_confidence_and_lose_the_rest(rng):
    z = rng.normal(size=(50, 10))
    mixed = demo.permute_wrong(z, 0)
    np.testing.assert_array_equal(mixed.argmax(axis=1), z.argmax(axis=1))
    np.testing.assert_allclose(np.sort(mixed), np.sort(z))
    assert (mixed != z).mean() > 0.7


@pytest.fixture(scope="module")
def result():
    return demo.study(progress=False)


def test_the_student_learns_more_from_the_teacher_than_labels_alone_can_give(result):
    """Margins are half the measured effects, so that another BLAS or another seed base passes."""
    found = result.trial
    assert 96 < demo.report(result)["methods"]["teacher"]["accuracy"] < 99
    assert found.mean(demo.BASELINE).mean > 86  # without decay and length it would be 84
    assert found.verdict(demo.SOFT) == "helps" and found.difference(demo.SOFT).low > 2.5
    for control in (demo.PERMUTED, demo.WEAK):
        assert found.difference(demo.SOFT, control).low > 1.5
    assert found.verdict(demo.WEAK) != "helps" and found.difference(demo.WEAK).mean < 1.5


def test_labels_alone_are_tuned_as_much_as_any_arm_and_may_train_longer(result):
    assert set(demo.GRIDS[demo.BASELINE]) == {"rate", "decay", "epochs"}
    assert {len(list(itertools.product(*grid.values()))) for grid in demo.GRIDS.values()} == {8}
    assert all(8 <= n <= 8 + demo.WIDEN for n in result.trial.tried.values())
    assert [arm for arm, grid in demo.GRIDS.items() if "epochs" in grid] == [demo.BASELINE]
    assert demo.GRIDS[demo.BASELINE]["epochs"] == [100, 300]


def test_the_readme_shows_what_is_measured(result):
    """Within a point: the last digit may differ with another BLAS."""
    rows = dict(re.findall(r"^(\S.*?) {2,}.*?(\d+\.\d)% ", (ROOT / "README.md").read_text("utf-8"), re.M))
    measured = demo.report(result)["methods"]
    assert list(rows) == list(measured)
    for method, shown in rows.items():
        assert float(shown) == pytest.approx(measured[method]["accuracy"], abs=1.0)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "--help"])
def test_the_first_number_that_readers_see_is_the_tuned_one(page, result, capsys):
    """It is the difference that the README's table shows, and what is measured, within a point."""
    if page == "--help":
        with pytest.raises(SystemExit):
            cli.main(["demo", "--help"])
        text = " ".join(capsys.readouterr().out.split())
    else:
        text = (ROOT / page).read_text("utf-8")
    said = re.search(SHOWN, text)
    row = re.search(rf"^{demo.SOFT} .*? {SHOWN} helps", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert said.groups() == row.groups()
    gain = result.trial.difference(demo.SOFT)
    assert float(said[1]) == pytest.approx(gain.mean, abs=1.0)
    assert float(said[2]) == pytest.approx(gain.half_width, abs=0.5)


def test_command_line(quick, tmp_path, capsys):
    out = tmp_path / "figures" / "demo.png"
    arguments = ["demo", "--seeds", "2", "--seed", "5", "--out", str(out)]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "labels alone" in text and "soft targets" in text and "control" in text
    assert out.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert cli.main([*arguments, "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert data["seeds"] == 2 and captured.err == ""
    row = data["methods"][demo.SOFT]
    assert row["parameters"] == 1210 and 0 < row["accuracy"] < 100 and row["half_width"] > 0
    assert f"{row['accuracy']:.1f}%" in text


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
    assert "extra cuda12 or cuda13" in error and len(error.strip().splitlines()) == 1


def test_the_demo_runs_on_a_device(quick, standin):
    there, here = (demo.report(demo.study(2, device=device, progress=False)) for device in ("cuda", "cpu"))
    for method, row in here["methods"].items():
        assert there["methods"][method]["accuracy"] == row["accuracy"]


def test_json_has_null_where_there_is_no_number(quick, monkeypatch, tmp_path, capsys):
    found = demo.report

    def without(result):
        return {**found(result), "none": float("nan")}

    monkeypatch.setattr(demo, "report", without)
    assert cli.main(["demo", "--seeds", "2", "--json", "--out", str(tmp_path / "demo.png")]) == 0
    text = capsys.readouterr().out
    assert "NaN" not in text and json.loads(text)["none"] is None
