"""The catalogue: every method is an arm, tuned as long as the others, and its rows are those of the page."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from _pages.methods import ELSEWHERE, ENGINE, WHO

import kdlearn as kd
from kdlearn import cli
from kdlearn.catalogue.measured import arm, cost, one_teacher, several, study, tasks
from kdlearn.catalogue.measured.lessons import LIMITS, METHODS, STEPS
from kdlearn.catalogue.recipes.parts import all_recipes


@pytest.fixture
def tiny(monkeypatch):
    """A task of a second: three clouds in the plane."""

    def splits(seed):
        train, validation, test = kd.data.blobs(48, seed=seed)
        few = train.take(slice(0, 24))
        return tasks.Splits(few, validation.take(slice(0, 60)), test.take(slice(0, 80))), train

    task = tasks.Task("tiny", "three clouds", splits, (2, 8, 8, 3), (2, 12, 12, 3), (1, 2), 12, 4, 0.01)
    monkeypatch.setitem(tasks.TASKS, "tiny", task)
    yield task
    tasks.ground.cache_clear()


def settings(method):
    grid = {**method.grid, **method.settings}
    return [dict(zip(grid, values)) for values in itertools.product(*grid.values())]


@pytest.mark.parametrize("name", METHODS)
def test_an_arm_is_tuned_over_eight_settings(name):
    method = METHODS[name]
    assert len(settings(method)) == study.GRID
    assert {"rate", "epochs", "decay"} <= set(method.settings)
    assert all(len(method.settings[name]) > 1 or name in STEPS for name in method.settings)
    assert set(method.covers) <= set(all_recipes()) and set(method.tasks) <= set(tasks.TASKS)
    assert method.family == "baselines" or method.family in study.BASELINES


@pytest.mark.parametrize("name", METHODS)
def test_an_arm_trains_and_its_students_begin_as_those_of_labels(name, tiny):
    method = METHODS[name]
    scores = arm.Train("tiny", name)(seeds=[0, 1], part="test", **settings(method)[-1])
    assert {len(v) for v in scores.values()} == {2}
    assert all(np.isfinite(v).all() for v in scores.values())
    assert 20 < np.mean(scores["accuracy"]) <= 100
    again = arm.Train("tiny", name)(seeds=[0, 1], part="test", **settings(method)[-1])
    assert again["accuracy"] == scores["accuracy"]
    made = tasks.ground("tiny", (0, 1))
    np.testing.assert_array_equal(made.students()[0].theta, kd.MLP(*tiny.student, seed=1000).theta)


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("name", [name for name in METHODS if set(METHODS[name].grid) & set(LIMITS)])
def test_a_grid_may_be_widened_to_its_limits(name, end, tiny):
    own = {key: LIMITS[key][end] if key in LIMITS else values[0] for key, values in METHODS[name].grid.items()}
    scores = arm.Train("tiny", name)(seeds=[0], part="validation", rate=1.0, epochs=0, decay=0.1, **own)
    assert np.isfinite(scores["accuracy"]).all()


def test_every_arm_tries_equally_many_settings(tiny, monkeypatch):
    names = ("labels", "soft targets", "targets of the epoch before (PS-KD)")
    monkeypatch.setattr(study, "arms", lambda task, family, wanted="": {
        name: (arm.Train("tiny", name), {**METHODS[name].grid, **METHODS[name].settings}) for name in names
    })  # fmt: skip
    made = study.table("tiny", "answers", seeds=2, search=5, jobs=1, progress=False)
    assert made.tried == dict.fromkeys(names, study.GRID + 5)


@pytest.mark.parametrize("name", ["labels", "a hint through a regressor", "gated branches (ONE)"])
def test_a_cost_is_a_multiple_of_that_of_labels(name, tiny):
    found = cost.ratios("tiny", name, 2, 3)
    assert len(found) == 3 and all(0.02 < r < 50 for r in found)


def test_a_clock_with_long_ticks_is_looked_at_until_it_moved(tiny, monkeypatch):
    """A short training took no CPU time: the ratio was a division by zero, or zero."""
    ticks = iter([0, 0, 0, 0, 0, 1, 1, 3, *[3, 4, 4, 8], *range(8, 99)])
    monkeypatch.setattr(cost.time, "process_time", lambda: next(ticks))
    assert cost.ratios("tiny", "soft targets", 1, 2) == [2, 4]


def test_a_training_that_diverges_is_measured_on_the_weights_it_held(tiny):
    for name in ("matched logits", "gated branches (ONE)"):
        own = {key: values[0] for key, values in METHODS[name].grid.items()}
        with np.errstate(all="ignore"):
            scores = arm.Train("tiny", name)(seeds=[0, 1], part="test", rate=1e30, epochs=0, decay=0.1, **own)
        assert np.isfinite(scores["accuracy"]).all() and np.mean(scores["accuracy"]) < 80


def test_the_route_passes_all_anchors_however_long_the_training(tiny):
    g = replace(tasks.ground("tiny", (0,)), epochs=6)
    (rows,) = several.route(g, T=2.0, weight=1.0).data
    d = g.lessons[0]
    for epoch, who in enumerate(("young", "young", "half", "half", "teacher", "teacher")):
        now = rows(epoch, np.random.default_rng(0))
        np.testing.assert_array_equal(now.columns["anchor.logits"], d.columns[f"{who}.logits"])


def test_angles_are_those_of_the_first_rows(rng):
    h_s, h_t, n = rng.normal(size=(40, 3)), rng.normal(size=(40, 5)), one_teacher.ANGLES
    value, gradient = one_teacher.some_angles(h_s, h_t)
    few, part = kd.distill.relation.relational_angle(h_s[:n], h_t[:n])
    assert value == few and not gradient[n:].any()
    np.testing.assert_array_equal(gradient[:n], part)


def test_every_recipe_is_measured_or_has_a_reason():
    covered = {recipe for method in METHODS.values() for recipe in method.covers}
    for name in all_recipes():
        assert name in covered or name in ENGINE or name in ELSEWHERE, (
            f"{name} is in no table: measure it, or say why not"
        )
    assert set(ENGINE) | set(WHO) | set(ELSEWHERE) <= set(all_recipes())
    assert not set(ELSEWHERE) & covered


def test_teachers_know_what_students_do_not_and_noise_is_shared(tiny):
    made = tasks.ground("tiny", (0, 1))
    few, rows = made.lessons[0], made.task.splits(0)[1]
    assert len(few) == 24 < len(rows)
    for who in ("teacher", "second", "third", "young", "half", "twin", "assistant"):
        np.testing.assert_allclose(
            few.columns[f"{who}.logits"], made.teachers[who][0].logits(few.x), rtol=1e-4, atol=1e-5
        )
    noisy, everyone = tasks.wrong_digits(3)
    clean, _ = tasks.digits(3)[0], None
    wrong = np.mean(noisy.train.y != clean.y)
    assert 0.35 < wrong < 0.45 and (everyone.y == noisy.train.y).all()
    assert 0.3 < np.mean(noisy.validation.y != tasks.digits(3)[1].y) < 0.5
    assert (noisy.test.y == tasks.digits(3)[2].y).all()


def test_a_table_and_its_verdicts(tiny, monkeypatch):
    monkeypatch.setattr(study, "arms", lambda task, family, wanted="": {
        name: (arm.Train("tiny", name), {**METHODS[name].grid, **METHODS[name].settings})
        for name in ("labels", "soft targets", "matched logits")
    })  # fmt: skip
    made = study.table("tiny", "answers", seeds=3, search=0, jobs=1, progress=False)
    rows = {name: study._row(made, name) for name in made.results}
    judged = study.judged(json.loads(json.dumps(rows)), "answers")
    direct = made.verdicts()
    assert set(judged) == {("matched logits", "labels"), ("matched logits", "soft targets")}
    for pair, verdict in judged.items():
        assert verdict.difference.mean == pytest.approx(direct[pair].difference.mean, abs=1e-3)


@pytest.mark.parametrize(
    "options, seeds", [([], 10), (["--quick"], 3), (["--seeds", "2"], 2), (["--quick", "--seeds", "2"], 2)]
)
def test_the_seeds_that_are_asked_for_are_those_that_run(options, seeds, tmp_path, monkeypatch):
    """`--quick` took three, whatever `--seeds` said."""
    asked = []
    monkeypatch.setattr(study, "run", lambda *which, **how: asked.append(how) or {"tasks": {}})
    assert cli.main(["catalogue", *options, "--quiet", "--out", str(tmp_path / "rows.json")]) == 0
    assert asked[0]["seeds"] == seeds and asked[0]["search"] == (0 if "--quick" in options else study.SEARCH)


def test_the_command(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tasks, "TASKS", {"digits": tiny})
    monkeypatch.setitem(tasks.TASKS, "tiny", tiny)
    out = tmp_path / "rows.json"
    call = ["catalogue", "--task", "digits", "--method", "WSLD", "--quick", "--quiet", "--jobs", "1", "--out", str(out)]
    assert cli.main(call) == 0
    assert "soft targets by need (WSLD)" in capsys.readouterr().out
    rows = json.loads(out.read_text())["tasks"]["digits"]
    assert set(rows) == {"labels", "smoothed labels", "labels with noise on the inputs", "soft targets",
                         "soft targets by need (WSLD)"}  # fmt: skip
    assert all(row["tried"] == study.GRID and len(row["cost"]) == 1 for row in rows.values())
    assert cli.main(call) == 2 and "--resume" in capsys.readouterr().err
    assert cli.main([*call, "--resume"]) == 0
    another = ["NKD" if word == "WSLD" else word for word in call]
    assert cli.main([*another, "--resume"]) == 0  # its rows come beside those that are there
    kept = json.loads(out.read_text())
    assert set(kept["tasks"]["digits"]) == {*rows, "normalised distillation (NKD)"}
    assert kept["tasks"]["digits"]["soft targets by need (WSLD)"]["test"] == rows["soft targets by need (WSLD)"]["test"]
    more = [*(word for word in call if word != "--quick"), "--seeds", "2", "--resume"]
    capsys.readouterr()
    assert cli.main(more) == 2  # rows of two seeds stood beside rows of three, and nobody said so
    assert (
        "holds rows of 3 seeds, such as 'labels', and these would be of 2: go on with --seeds 3"
        in capsys.readouterr().err
    )
    assert json.loads(out.read_text()) == kept
    asked = ["labels" if word == "WSLD" else word for word in call]
    assert cli.main([*asked, "--resume"]) == 0  # the baselines among them were measured, and not shown
    shown = capsys.readouterr().out
    assert "baselines, which the methods are held against\n  labels " in shown
    assert re.search(r"smoothed labels +accuracy \d+\.\d+ ± \d+\.\d+ %; labels: [+-]", shown)
    assert cli.main(["catalogue", "--method", "nobody", "--out", str(tmp_path / "x.json")]) == 2
    assert "no method's name contains 'nobody'" in capsys.readouterr().err
