"""The MNIST study: its data, its controls, its bookkeeping. The study itself is too long for a test."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest
from _pages.hinton import (
    FIGURE,
    PAGE,
    README,
    ROOT,
    by_width,
    draw,
    drawn,
    facts,
    headlines,
    measured,
    page,
    sources,
    stored,
    with_rows,
)
from _pages.towards import settings_of_steps

import kdlearn as kd
from kdlearn import cli, hinton
from kdlearn.commands.hinton import as_one_cell, by_seed
from kdlearn.hinton import lessons, teaching, towards
from kdlearn.hinton import rows as study
from kdlearn.hinton import table as told
from kdlearn.hinton.names import GROUPS, readable
from kdlearn.hinton.pixels import transfer_rows


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A few hundred images that only look like MNIST's, and a cache of their own."""
    rng = np.random.default_rng(0)
    shapes = rng.random((10, 784)) > 0.8

    def part(n):
        y = np.arange(n) % 10
        x = (shapes[y] * rng.uniform(0.5, 1, (n, 784))).astype(np.float32)
        return kd.Data({"x": x, "y": y})

    data = part(360), part(100)
    for module in (lessons, teaching):
        monkeypatch.setattr(module, "images", lambda device="cpu": tuple(part.to(device) for part in data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    teaching.answered.cache_clear()
    yield data
    teaching.answered.cache_clear()


# ---------------------------------------------------------------- data


def test_jitter_moves_each_image_as_a_whole():
    x = np.zeros((2503, 784), np.float32)
    x[:, 14 * 28 + 14], x[:, 14 * 28 + 16] = 1, 2
    moved = hinton.jitter(x, np.random.default_rng(0))
    down, right = np.divmod(moved.argmax(axis=1), 28)
    counts = np.zeros((5, 5), int)
    np.add.at(counts, (down - 12, right - 14), 1)
    assert counts.sum() == 2503 and counts.min() > 60  # 100 of each of the 25 shifts expected
    np.testing.assert_array_equal(moved[np.arange(2503), down * 28 + right - 2], 1)
    np.testing.assert_array_equal(moved.sum(axis=1), 3)
    assert moved.dtype == np.float32 and (x.sum(axis=1) == 3).all()


@pytest.mark.parametrize("most", [-1, 1.5, "2"])
def test_jitter_moves_by_whole_pixels(most):
    with pytest.raises(ValueError, match=f"most must be a whole number of pixels, 0 or more, got {most!r}"):
        hinton.jitter(np.ones((2, 25)), np.random.default_rng(0), most)


def test_jitter_of_no_images_and_by_no_pixel():
    assert hinton.jitter(np.ones((0, 25)), np.random.default_rng(0)).shape == (0, 25)
    x = np.arange(50.0).reshape(2, 25)
    np.testing.assert_array_equal(hinton.jitter(x, np.random.default_rng(0), most=0), x)


def test_jitter_drops_what_leaves_the_image_and_lets_black_in():
    x = np.ones((400, 784), np.float32)
    sums = hinton.jitter(x, np.random.default_rng(1)).sum(axis=1)
    sides = {28 - 2, 28 - 1, 28}
    assert set(sums.astype(int)) == {a * b for a in sides for b in sides}


def test_jitter_of_zero_is_the_image(rng):
    x = rng.random((7, 784))
    np.testing.assert_array_equal(hinton.jitter(x, rng, most=0), x)


def test_jitter_writes_where_it_is_told(rng):
    x, room = rng.random((1203, 784)), np.empty((1203, 784))
    moved = hinton.jitter(x, np.random.default_rng(3), out=room)
    assert moved is room
    np.testing.assert_array_equal(moved, hinton.jitter(x, np.random.default_rng(3)))


def test_transfer_rows():
    y = np.arange(600) % 10
    rows = {t: transfer_rows(y, t, 0, False) for t in ("all", "no 3s", "only 7s and 8s", "3 % of the labels")}
    assert {t: len(r) for t, r in rows.items()} == {
        "all": 600, "no 3s": 540, "only 7s and 8s": 120, "3 % of the labels": 18
    }  # fmt: skip
    assert set(y[rows["only 7s and 8s"]]) == {7, 8} and 3 not in y[rows["no 3s"]]
    other = transfer_rows(y, "3 % of the labels", 1, False)
    assert set(other) != set(rows["3 % of the labels"])
    held = transfer_rows(y, "all", 0, True)
    assert len(held) == 500 and not set(held) & set(hinton.held_out_rows(600))


# ---------------------------------------------------------------- biases


def test_the_bias_that_was_taken_away_is_found(rng):
    y = rng.integers(10, size=4000)
    z = 6 * np.eye(10)[y] + rng.standard_normal((4000, 10))
    z[:, 3] -= 4.0
    assert 3 < hinton.best_shift(z, y, (3,)) < 5
    assert 3 < hinton.prior_shift(z, (3,)) < 5
    said = kd.softmax(hinton.shifted(z, (3,), hinton.prior_shift(z, (3,))))[:, 3].mean()
    assert said == pytest.approx(0.1, abs=1e-3)


def test_several_classes_get_one_bias(rng):
    z = rng.standard_normal((5, 10))
    moved = hinton.shifted(z, (0, 4), 2.5) - z
    np.testing.assert_allclose(moved, 2.5 * np.isin(np.arange(10), (0, 4)) * np.ones((5, 1)))


def test_the_paper_s_way_may_look_at_the_test_set_and_the_others_may_not(rng):
    y, z = rng.integers(10, size=300), rng.standard_normal((300, 10))
    assert set(hinton.biased(z, y, None, y, (3,))) == {"test"}
    found = hinton.biased(z, y, z + 0.1 * rng.standard_normal(z.shape), y, (3,))
    assert set(found) == {"test", "validation", "prior"}
    assert found["test"]["errors"] == min(f["errors"] for f in found.values())


# ---------------------------------------------------------------- cells


def test_a_choice_never_reads_the_test_images(small):
    cell = {"seed": 0, "epochs": 1, "held_out": True, "tested": False}
    result = hinton.learn(row="choice", **cell)
    assert "validation" in result and "errors" not in result


def test_of_fewer_images_too_no_validation_row_was_learned_from(small, monkeypatch):
    learned, asked = [], []
    monkeypatch.setattr(lessons, "fit", lambda net, objective, data, **settings: learned.append(data.x))
    monkeypatch.setattr(teaching, "errors", lambda z, y: asked.append(kd.to_numpy(y)) or {"errors": 0})
    monkeypatch.setattr(lessons, "errors", lambda z, y: asked.append(kd.to_numpy(y)) or {"errors": 0})
    hinton.learn(row="", seed=0, epochs=1, n=120, held_out=True, tested=False)
    hinton.teach("", 0, 1, n=120, held_out=True, width=20)
    assert [len(y) for y in asked] == [20, 20] and len(learned[0]) == 100
    part = small[0].take(slice(0, 120))
    for y in asked:
        np.testing.assert_array_equal(y, part.y[hinton.held_out_rows(120)])


def test_a_teacher_is_trained_once(small, monkeypatch):
    first = hinton.teacher_answers(seed=0, epochs=1)
    teaching.answered.cache_clear()
    monkeypatch.setattr(teaching, "fit", None)
    again = hinton.teacher_answers(seed=0, epochs=1)
    np.testing.assert_array_equal(first["train"], again["train"])
    assert first["train"].shape == (360, 10) and first["test"].shape == (100, 10)
    with pytest.raises(TypeError):  # other settings are another teacher
        hinton.teacher_answers(seed=0, epochs=2)


def test_what_a_student_hears_is_its_teacher(small):
    teacher = {"seed": 0, "epochs": 6}
    taught = hinton.learn(row="", seed=0, epochs=6, T=20, teacher=teacher)
    assert taught["agreement"] > 0.8
    assert hinton.learn(row="", seed=0, epochs=6)["errors"] < 50


def test_the_same_cell_gives_the_same_errors(small):
    runs = [hinton.learn(row="", seed=3, epochs=2, width=30)["by class"] for _ in range(2)]
    assert runs[0] == runs[1]


def test_choices_are_made_by_validation_errors():
    cells = [{"row": "choice: a", "rate": r, "seed": 0} for r in (1, 2, 3)]
    cells += [{"row": "choice: b", "rate": 5, "decay": 0.1}]
    results = [{"validation": e} for e in (9, 4, 6, 8)]
    assert hinton.chosen(cells, results) == {"a": {"rate": 2}, "b": {"rate": 5, "decay": 0.1}}


def test_cells_are_named_and_differ():
    best = hinton.chosen(hinton.choices(), [{"validation": i} for i in range(len(hinton.choices()))])
    cells = hinton.students(best)
    assert len({json.dumps(c, sort_keys=True) for c in cells}) == len(cells)
    seeds = {row: len({c["seed"] for c in cells if c["row"] == row}) for row in {c["row"] for c in cells}}
    assert seeds[hinton.LABELS] == seeds[hinton.SOFT] == seeds[hinton.MOVED] == seeds[hinton.MOVED_DECAYED] == 5
    assert min(n for row, n in seeds.items() if "three times as long" not in row) == 3
    assert not any(c.get("held_out") for c in cells if c.get("transfer", "all") == "all")
    for c in cells:  # who is taught by a teacher is told so by the row's name, and so is whose images move
        assert ("T" in c) == ("teacher" in c) == ("labels alone" not in c["row"])
        assert "T =" not in c["row"] or c["row"].rpartition("T = ")[2].split(",")[0] == str(c["T"])
        assert c.get("moved", False) == c["row"].endswith(", moved images")
        how = c["row"].rpartition("teacher without ")[2] if "teacher without" in c["row"] else ""
        heard = c.get("teacher", {})
        assert heard.get("moved", True) == (how not in ("moved images", "either"))
        assert heard.get("dropout", True) == (how not in ("dropout", "either"))


def test_no_method_was_tuned_over_more_settings_than_labels_with_decay():
    tuned = {row: sum(c["row"] == f"choice: {row}" for c in hinton.choices()) for row in told.SOURCES}
    tuned = {row: n for row, n in tuned.items() if n}
    assert tuned == {hinton.DECAYED: 8, hinton.MOVED: 4, hinton.MOVED_DECAYED: 12, hinton.SOFT: 8, hinton.LIVE: 8}


def test_a_student_of_moved_images_sees_each_epoch_s_and_its_teacher_answers_them(small, monkeypatch):
    seen = {}

    def fit(net, objective, data, *, teachers=None, **settings):
        rng = np.random.default_rng(0)
        first, second = (np.array(data(epoch, rng).x) for epoch in range(2)) if callable(data) else (data.x, data.x)
        moves = not np.array_equal(first, second)
        seen["teacher" if "1200" in repr(net) else "student"] = moves, bool(teachers)

    monkeypatch.setattr(lessons, "fit", fit)
    monkeypatch.setattr("kdlearn.hinton.teaching.fit", fit)
    teacher = {"seed": 0, "epochs": 1}
    hinton.learn(row="", seed=0, epochs=1, T=20, teacher=teacher)
    assert seen == {"teacher": (True, False), "student": (False, False)}
    hinton.learn(row="", seed=0, epochs=1, T=20, teacher=teacher, moved=True)
    assert seen["student"] == (True, True)
    hinton.learn(row="", seed=0, epochs=1, moved=True)
    assert seen["student"] == (True, False)
    hinton.trained_teacher(seed=0, epochs=1, moved=False)
    assert seen["teacher"] == (False, False)


def test_a_student_of_several_teachers_hears_the_mean_of_their_logits(small, monkeypatch):
    heard = {}

    def fit(net, objective, data, *, epochs, **settings):
        heard["lesson"] = data if "1200" not in repr(net) else heard.get("lesson")

    one = [hinton.teacher_answers(seed=seed, epochs=1)["train"] for seed in (0, 1)]
    monkeypatch.setattr(lessons, "fit", fit)
    hinton.learn(row="", seed=0, epochs=1, T=20, teacher={"seed": 0, "epochs": 1}, others=[1])
    assert not np.allclose(one[0], one[1])
    np.testing.assert_allclose(heard["lesson"]["teacher.logits"], (one[0] + one[1]) / 2, rtol=1e-6)


def test_a_teacher_s_settings_are_those_it_is_known_by(small):
    first = {"seed": 0, "epochs": 1}
    found = [
        hinton.trained_teacher(**first, **more).theta for more in ({}, {"moved": False}, {"dropout": False}, {"n": 200})
    ]
    assert len({theta.tobytes() for theta in found}) == 4
    assert hinton.trained_teacher(seed=0, epochs=1, width=30).theta.size < found[0].size
    assert hinton.trained_teacher(**first).theta.tobytes() == found[0].tobytes()


# ---------------------------------------------------------------- several at once


def test_students_and_teachers_side_by_side_are_those_that_were_trained_alone(small):
    settings = {"row": "", "epochs": 3, "width": 30}
    teacher = [{"seed": seed, "epochs": 2, "width": 40} for seed in (5, 6)]
    for more in ({}, {"moved": True}, {"average": 0.9}, {"momentum": 0.9, "rate": 0.01}, {"standardized": True}):
        told = {} if "momentum" in more else {"T": 4, "hard": 0.1}
        together = hinton.learn_all(seeds=[0, 1], **settings, **told, **more, **({"teachers": teacher} if told else {}))
        for seed in (0, 1):
            alone = hinton.learn(seed=seed, **settings, **told, **more, **({"teacher": teacher[seed]} if told else {}))
            assert [together[seed][k] for k in ("errors", "by class")] == [alone[k] for k in ("errors", "by class")]
    assert together[0]["by class"] != together[1]["by class"]


def test_teachers_side_by_side(small):
    for more in ({}, {"sgd": 0.3}, {"held_out": True}):
        told = "validation" if "held_out" in more else "errors"
        found = [result[told] for result in hinton.teach_all("", [0, 1], 2, width=50, **more)]
        assert found == [hinton.teach_all("", [seed, 7], 2, width=50, **more)[0][told] for seed in (0, 1)]


def test_a_teacher_of_the_dropout_paper_is_moved_as_it_says():
    how = hinton.as_in_dropout(1.0, 10)
    optimizer, (faster,) = how["optimizer"], how["hooks"]
    run, seen = types.SimpleNamespace(), []
    for epoch in range(11):
        run.epoch = epoch
        faster(run)
        seen.append(optimizer.momentum)
    np.testing.assert_allclose(seen, [0.5 + 0.098 * min(e, 5) for e in range(11)])
    np.testing.assert_allclose([how["schedule"](p) for p in (0, 1)], [0.01, 0.01 * 0.998**1000])
    assert optimizer.max_norm**2 == pytest.approx(15) and how["batch_size"] == 100


def test_cells_that_differ_in_seeds_alone_are_trained_at_once():
    best = hinton.chosen(hinton.choices(), [{"validation": i} for i in range(len(hinton.choices()))])
    groups = by_seed(hinton.students(best))
    assert sum(len(group) for group in groups) == len(hinton.students(best))
    for group in groups:
        several = as_one_cell(group)
        seeds, heard = several.pop("seeds"), several.pop("teachers", [None] * len(group))
        own = [{"seed": s, **({"teacher": t} if t else {})} for s, t in zip(seeds, heard)]
        assert [{**several, **each} for each in own] == group
    assert max(len(group) for group in groups) == 25


def test_a_change_is_kept_where_the_mean_of_validation_falls():
    teachers_ = towards.teachers_of(1.0, True)
    asked = []

    def validation(cell):
        good = cell["T"] == 4, cell["hard"] == 0.1, cell["rate"] == 2e-3, "others" in cell, cell.get("decay") == 0.3
        bad = "momentum" in cell, "standardized" in cell
        return 100 - 5 * sum(good) + 5 * sum(bad) + cell["epochs"] - 30

    def ran(cells):
        asked.append(cells)
        return [{"validation": validation(cell) + cell["seed"]} for cell in cells]

    kept, tried = towards.choose(teachers_, ran)
    assert kept == {"epochs": 30, "T": 4, "hard": 0.1, "rate": 2e-3, "others": True, "decay": 0.3}
    assert [row["change"] for row in tried if row["kept"]] == [*list(towards.CHANGES)[:2], *list(towards.CHANGES)[-1:]]
    assert [len(cells) for cells in asked] == [3 * len(variants) for variants in towards.CHANGES.values()]
    for cell in (cell for cells in asked for cell in cells):
        assert cell["held_out"] and not cell["tested"] and cell["teacher"]["held_out"]
    assert [{(c["seed"], c["teacher"]["seed"]) for c in asked[k]} for k in (0, 1)] == [
        {(0, 0), (1, 1), (2, 2)}, {(0, 0), (1, 0), (2, 0)}
    ]  # fmt: skip
    final = towards.tested(kept, towards.teachers_of(1.0, False))
    assert len(final) == 10 and final[0]["epochs"] == 40 and final[0]["others"] == [1, 2]
    assert [(cell["row"], cell.get("decay")) for cell in final[::5]] == [(towards.PLAIN, None), (towards.STEPS, 0.3)]
    assert not any("held_out" in cell or "held_out" in cell["teacher"] for cell in final)


# ---------------------------------------------------------------- the command


def test_quick_resumes_and_writes_rows(small, tmp_path, capsys, monkeypatch):
    out = tmp_path / "rows.json"
    monkeypatch.setitem(study.LENGTHS, True, (1, 1, 1))
    arguments = ["hinton", "--quick", "--jobs", "1", "--quiet", "--out", str(out)]
    assert cli.main(arguments) == 0
    rows, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert {r["cell"]["row"] for r in rows} >= {"teacher", hinton.LABELS, hinton.SOFT, "no 3s", "only 7s and 8s"}
    assert "no 3s, bias by known share" in shown and "verdict" in shown
    assert all("environment" in r["result"] for r in rows)
    assert cli.main(arguments) == 2
    assert "--resume" in capsys.readouterr().err
    monkeypatch.setattr(lessons, "fit", None)  # nothing is trained again
    monkeypatch.setattr(teaching, "fit", None)
    assert cli.main([*arguments, "--resume"]) == 0
    assert json.loads(out.read_text()) == rows
    out.with_suffix(".jsonl").unlink()  # rows alone are enough to go on from
    assert cli.main([*arguments, "--resume"]) == 0
    assert json.loads(out.read_text()) == rows


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_a_row_that_there_is_not_is_refused_before_anything_is_trained(quick, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kdlearn.commands.hinton.sweep", None)
    call = ["hinton", *quick, "--quiet", "--out", str(tmp_path / "x.json"), "--rows"]
    for row in ("zzz", "soft targets, T = 2, moved"):
        assert cli.main([*call, row]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"kdlearn hinton: no row's name contains {row!r}; there are: {hinton.LABELS}; ")
        assert said.count("\n") == 1 and said.count("; labels alone;") + said.count("are: labels alone;") == 1
        assert ("; teacher, twice as long; " in said and towards.STEPS in said) == (not quick)
    assert not list(tmp_path.iterdir())


def test_on_a_gpu_the_seeds_of_a_row_are_trained_at_once(small, standin, tmp_path, monkeypatch):
    monkeypatch.setitem(study.LENGTHS, True, (1, 1, 1))
    stacks = []
    real = lessons.fit

    def fit(net, *given, **settings):
        stacks.append(net.members)
        return real(net, *given, **settings)

    monkeypatch.setattr(lessons, "fit", fit)
    rows = {}
    for device in ("cpu", "cuda"):
        out = tmp_path / f"{device}.json"
        assert cli.main(["hinton", "--quick", "--jobs", "1", "--quiet", "--device", device, "--out", str(out)]) == 0
        rows[device] = {json.dumps(r["cell"], sort_keys=True): r["result"] for r in json.loads(out.read_text())}
    assert rows["cpu"].keys() == rows["cuda"].keys() and 5 in stacks
    assert all(result["environment"]["gpu"] == "no GPU" for result in rows["cuda"].values())
    alone = [cell for cell in rows["cpu"] if '"teacher"' not in cell and '"row": "teacher' not in cell]
    for cell in alone:  # who hears a teacher hears another: its dropout is rolled on the device
        for key in ("errors", "validation"):
            assert rows["cpu"][cell].get(key) == rows["cuda"][cell].get(key)


def rows_of(**errors):
    """Rows of students without a teacher, of teachers, or, where a list of lists is given, of students by teacher."""
    rows = []
    for row, values in errors.items():
        for m, of in enumerate(values if isinstance(values[0], (list, tuple)) else [values]):
            for seed, e in enumerate(of):
                cell = {"row": row, "seed": seed}
                if "T =" in row:
                    cell |= {"T": 20, "teacher": {"seed": m}}
                rows.append({"cell": cell, "result": {"errors": e}})
    return rows


LABELS_OF_FIVE = (144, 150, 147, 142, 148)


def test_verdicts_follow_the_rule():
    labels, soft = hinton.LABELS, hinton.SOFT

    def verdict(name=soft, **rows):
        return told.verdict(told.errors(rows_of(**{labels: LABELS_OF_FIVE, "teacher": (66, 67, 68), **rows})), name)

    assert verdict(labels) == "reproduced" and verdict("teacher") == "reproduced"
    assert verdict(labels, **{labels: (180, 181, 182)}) == "not reproduced"
    near = [[74 + m + s for s in (0, -2, 2)] for m in (0, -2, 2)]
    assert verdict(**{soft: near}) == "reproduced"
    assert verdict(**{soft: [[e + 28 for e in row] for row in near]}) == "direction only"
    assert verdict(**{soft: [[100, 101, 150], [102, 160, 130], [170, 150, 120]]}) == "not reproduced"
    assert verdict(**{soft: [[e + 100 for e in row] for row in near]}) == "not reproduced"
    assert verdict(**{soft: near[:2]}) == "too few runs to say"
    assert verdict("anything else") == ""


def test_an_effect_is_held_against_the_paper_s_effect_and_not_number_against_number():
    raw, biased = "only 7s and 8s", "only 7s and 8s, bias: test"
    rows = rows_of(**{raw: (2700, 2750, 2710), biased: (1310, 1330, 1320)})
    assert told.verdict(told.errors(rows), biased) == "direction only"  # 1320 is the paper's number, -1400 is not -3410


def test_rows_are_paired_by_student_and_by_teacher():
    soft, labels = hinton.SOFT, hinton.LABELS
    found = told.errors(rows_of(**{labels: (140, 150), "teacher": (80, 90), soft: [(100, 111), (102, 113)]}))
    assert told.paired(found, soft, labels) == {(0, 0): -40, (1, 0): -39, (0, 1): -38, (1, 1): -37}
    assert told.paired(found, "teacher", labels) == {(0, 0): -60, (1, 0): -70, (0, 1): -50, (1, 1): -60}
    assert told.paired(found, soft, soft) == dict.fromkeys([(0, 0), (1, 0), (0, 1), (1, 1)], 0)


def test_the_share_is_that_of_the_means_and_its_interval_covers():
    soft, labels, rng = hinton.SOFT, hinton.LABELS, np.random.default_rng(0)
    found = told.errors(rows_of(**{labels: (140, 150), "teacher": (80, 90), soft: [(100, 111), (102, 113)]}))
    assert told.share(found, soft).mean == pytest.approx(100 * (145 - 106.5) / (145 - 85))
    hits = 0
    for _ in range(300):  # 60 % of a gap of 60, where teachers, students and each training vary
        m, s = rng.normal(0, 3, (4, 1)), rng.normal(0, 3, (1, 5))
        values = {
            labels: (140 + s[0]).tolist(),
            "teacher": (80 + m[:, 0]).tolist(),
            soft: (104 + m + s + rng.normal(0, 4, (4, 5))).tolist(),
        }
        of = told.share(told.errors(rows_of(**values)), soft)
        hits += of.low <= 60 <= of.high
    assert hits >= 0.93 * 300


def test_a_share_of_students_without_a_teacher_is_of_the_gap_to_every_teacher():
    rows = rows_of(**{hinton.LABELS: (140, 150, 145), hinton.MOVED: (90, 95, 91), "teacher": (80, 90, 85)})
    assert told.share(told.errors(rows), hinton.MOVED).mean == pytest.approx(100 * (145 - 92) / (145 - 85))


def test_one_seed_shows_no_direction():
    found = told.errors(rows_of(**{hinton.LABELS: (140,), hinton.SOFT: [(110,)]}))
    assert told.verdict(found, hinton.SOFT) == "too few runs to say"


def test_two_runs_are_two_numbers_and_no_interval():
    assert told.shown({(0, None): 80, (1, None): 88}) == "80, 88" and told.shown({(0, None): 92}) == "92"
    assert told.shown({(s, None): e for s, e in enumerate((80, 88, 90))}) == "86 ± 13"
    assert told.shown({(None, m): 80 for m in range(3)}) == "80 each"  # an interval of 0 would say too much
    two_teachers = {(s, m): 90 + s + 10 * m for s in range(3) for m in range(2)}
    assert told.shown(two_teachers) == "91, 101"


def test_how_many_teachers_and_students_stand_behind_a_row():
    of = [[100, 101, 102], [103, 104, 105]]
    assert (
        told.runs(rows_of(**{hinton.SOFT: of})) == "2 x 3" and told.runs(rows_of(**{hinton.LABELS: (1, 2)})) == "- x 2"
    )
    assert told.runs(rows_of(teacher=(80, 81, 82))) == "3 x -"
    several = rows_of(**{hinton.SOFT: of[:1]})
    for row in several:
        row["cell"]["others"] = [1, 2]
    assert told.runs(several) == "3 x 3"


def test_every_stored_row_is_shown_once_by_a_name_of_its_own_below_what_it_is_held_against():
    found, text = told.errors(stored()), told.table(stored())
    lines = [line[:50].rstrip() for line in text.splitlines()]
    assert [lines.count(f"  {readable(row)}") for row in found] == [1] * len(found) and "Other rows" not in text
    few = "3 % of the labels, labels alone"
    phrases = {hinton.LABELS: "labels alone)", hinton.SOFT: "soft targets", few: "labels alone of these images)"}
    for title, rows in GROUPS.items():
        against = {told.AGAINST.get(row) for row in rows} - {None}
        assert bool(against) == ("against" in title)
        end = title.rpartition("against ")[2]
        assert phrases[against.pop()] in end if len(against) == 1 else not against or "without" in end
    assert readable("choice: labels alone, moved images") == "choice: labels, moved images"
    assert "  new" in told.table(rows_of(new=(1, 2, 3))).splitlines()[-1] and "Other rows" in told.table(
        rows_of(new=(1,))
    )


def test_a_row_whose_length_was_chosen_late_says_so():
    longer = f"{hinton.SOFT}, teacher twice as long"
    text = told.table(rows_of(**{hinton.SOFT: [(103, 104, 99)], longer: [(91, 90, 92)]}))
    assert ["chosen late" in line for line in text.splitlines() if " ± " in line or ", " in line[50:]] == [False, True]


# ---------------------------------------------------------------- what the pages show of the rows


def test_pages_show_the_rows():
    text, readme = PAGE.read_text("utf-8"), README.read_text("utf-8")
    assert text == page(text, stored()), "run python docs/pages.py"
    assert readme == with_rows(readme, headlines(stored())), "run python docs/pages.py"


def test_the_notebook_says_what_the_rows_say():
    told = facts(stored()) | settings_of_steps(stored())
    cells = json.loads((ROOT / "notebooks" / "21_hinton_2015.ipynb").read_text("utf-8"))["cells"]
    text = " ".join(" ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown").split())
    for sentence in (
        "soft targets bring {saved} of 10,000 test errors fewer than labels alone ({teachers} teachers, "
        "{students} students each)",
        "labels alone make {fewer than moved} errors fewer than the taught students if their images are *moved*",
        "with weight decay as well it is {fewer} fewer. {tuned}",
        "The {fewer} errors above mix two changes, moved images and decay; the {fewer than moved} are of moved",
        "its students make {without moved images} errors; take dropout away as well, {without either},",
        "Without dropout alone it is {without dropout}.",
        "is also a worse teacher: {own without moved images} errors",
        "makes {live} errors more than labels on moved images",
        "{closed} % of the gap (paper: {paper closed} %)",
        "close {closed by moved} %",
        "{moved} errors, with weight decay {decayed}. {tuned}",
        "Labels alone come out as published ({labels};",
        "The tuned students make {steps} errors, {steps fewer} fewer than untuned soft targets",
        "had read the test images: {plain} errors.",
        "of three teachers' mean, which were not tuned further ({many}), it is {steps fewer than many}{mean word}.",
        "The paper's {paper} is {reached}. Labels on moved images make fewer errors: {steps over moved} "
        "fewer{over word}, and with weight decay {steps more} fewer, which is not.",
        "{tried} settings were tried for the steps ({grid} in one grid), {for labels} for the labels.",
        "students of one setting differ by about {noise} validation errors",
        "The paper's {paper} is {reached}: tuned further on validation, soft targets make {steps}.",
        "and $T = 20$: {first mean} errors. The table has {soft mean}, of all five teachers.",
        "{narrow 8} errors ahead of $T = 8$",
        "moved images leave {few moved}, soft targets {few taught}.",
        "soft targets {few taught}, a difference of {few fewer}.",
        "Five stored ones made {each}. One more lies in {new run} in 95 % of cases",
    ):
        assert sentence.format(**told) in text


def test_the_figure_shows_the_rows():
    assert drawn(FIGURE) == json.loads(json.dumps(by_width(stored()))), "run python docs/pages.py"


def test_pages_can_be_written_while_rows_are_missing(tmp_path):
    rows = stored()
    first = [row for row in rows if row["cell"]["row"] in ("teacher", hinton.LABELS, hinton.SOFT)]
    for few in (first, first[:1], [row for row in rows if "choice" not in row["cell"]["row"]]):
        assert "errors" in headlines(few) and "minutes" in measured(few) and "of the gap" in sources(few)
    draw(first, tmp_path / "few.png")
    assert list(drawn(tmp_path / "few.png")) == ["800"]


def test_a_number_changed_by_hand_is_seen():
    text = with_rows("a\n<!-- rows: begin -->\nold\n<!-- rows: end -->\nb", "new")
    assert text == "a\n<!-- rows: begin -->\n\nnew\n\n<!-- rows: end -->\nb" and with_rows(text, "new") == text
    assert with_rows(text.replace("new", "nevv"), "new") != text.replace("new", "nevv")
