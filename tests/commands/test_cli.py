"""The command line: from a table to a student, its predictions and its exports; and every error in one line."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline

import kdlearn as kd
from kdlearn import cli
from kdlearn.checkpoint import CheckpointError, read, write
from kdlearn.commands import distill
from kdlearn.commands.decimals import numbers
from kdlearn.commands.frames import TableError, read_table
from kdlearn.commands.measure import figures, format_figures
from kdlearn.commands.rules import Rules
from kdlearn.commands.student import load_student
from kdlearn.commands.target import read_target
from kdlearn.estimators import DistilledClassifier
from kdlearn.estimators.rows import default_preprocessor
from kdlearn.export.costs import format_report

pd = pytest.importorskip("pandas", reason="the command line reads tables by pandas")

FAST = ["--epochs", "15", "--student", "8"]
BY_HAND = ["--soft-weight", "0.7"]  # no contest


def people(n=200, seed=0):
    """Ages and towns that decide, an income that does not; the header, then rows of texts."""
    rng = np.random.default_rng(seed)
    age, town = rng.integers(18, 90, n), rng.choice(["Bern", "Genève", "Zürich"], n)
    buys = np.where((age > 50) ^ (town == "Bern"), "yes", "no")
    rows = [[str(a), t, f"{v:.2f}", b] for a, t, v, b in zip(age, town, rng.lognormal(10, 1, n), buys)]
    return [["age", "town", "income", "buys"], *rows]


def write_csv(path, rows, **options):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, **options).writerows(rows)
    return path


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "people.csv", people())


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    data = write_csv(folder / "people.csv", people())
    teach(data, folder / "student.npz", "--teacher", "boosting", "--quiet", epochs="60", student="16")
    return folder / "student.npz"


def teach(data, out, *more, target="buys", epochs="15", student="8"):
    options = ["--data", str(data), "--out", str(out), "--epochs", epochs, "--student", student]
    assert cli.main(["distill", *options, *(["--target", target] if target else []), *more]) == 0


def told(capsys, *arguments):
    """What a command that succeeds prints."""
    assert cli.main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments):
    """The one line that a refusal prints; its status is 2, and nothing goes to stdout."""
    try:
        status = cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2 and out == "" and len(err.splitlines()) == 1, (status, out, err)
    return err


# ------------------------------------------------------------------ distill


def test_options_that_would_have_no_effect_are_refused(table, tmp_path, capsys):
    begun = ["distill", "--data", table, "--target", "buys", "--out", tmp_path / "s.npz"]
    for option in ("--ignore", "--id"):
        assert f"{option} names the target 'buys'" in refused(capsys, *begun, option, "buys")
    assert "have no weight" in refused(capsys, *begun, "--soft-weight", "0", "--temperature", "3")


def encoded(path, target="buys"):
    """Rows of a file as the command line reads them, their labels, and the rows encoded."""
    table = read_table(path)
    rules = Rules.of(table, {target}, (), (), [])
    rows = rules(table)
    return rows, table[target].to_numpy(dtype=str), default_preprocessor(rows)[0].fit_transform(rows)


def test_a_table_becomes_a_student(table, tmp_path, capsys):
    out = tmp_path / "new" / "student.npz"
    teach(table, out, "--teacher", "boosting", epochs="60")
    text, err = capsys.readouterr()
    assert err == ""  # no bar outside a terminal, no warning
    for part in ("3 columns, 5 inputs, 2 classes", "151 rows", "49, held out", "seed 0", "5-8-2", "AUC", "p99"):
        assert part in text, part
    assert re.match(r"Labels alone are as good here|The teacher helps here", text)  # the first sentence
    for part in ("labels alone", "recall of no", "recall of yes", "log-loss", "rows a second", str(out)):
        assert part in text, part
    student = load_student(out)
    assert student.model.classes_.tolist() == ["no", "yes"]
    assert student.inputs == ["age", "income", "town=Bern", "town=Genève", "town=Zürich"]
    bytes_shown = int(re.search(r"^file on disk, bytes +\S+ +(\S+)", text, re.M)[1].replace(",", ""))
    assert bytes_shown == out.stat().st_size


def test_the_report_as_json_is_what_the_file_does(table, tmp_path, capsys):
    out = tmp_path / "student.npz"
    by_hand = ["--temperature", "3", "--soft-weight", "0.5"]
    teach(table, out, "--teacher", "forest", "--json", "--seed", "7", *by_hand)
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == {"train": 151, "held_out": 49, "unlabeled": 0} and found["student"] == [5, 8, 2]
    assert read(out)[1]["model"]["settings"] == {**found["settings"], "rules": found["columns"]}
    assert found["settings"] == {
        "teacher": "forest", "temperature": 3.0, "soft_weight": 0.5, "epochs": 15, "seed": 7, "target": "buys",
        "counted": None,
    }  # fmt: skip
    rows, y, x = encoded(table)
    student = load_student(out)
    train, test = distill.split(y, 7)
    answers = student.model.predict(rows.iloc[test])
    achieved = found["report"]["achieved"]
    assert achieved["student"]["accuracy"] == pytest.approx((answers == y[test]).mean())
    for label in ("no", "yes"):
        here = y[test] == label
        assert achieved["student"]["recall"][label] == [int((answers[here] == label).sum()), int(here.sum())]
    forest = RandomForestClassifier(300, random_state=7).fit(x[train], y[train])
    assert achieved["teacher"]["accuracy"] == pytest.approx((forest.predict(x[test]) == y[test]).mean())


def by_hand(rows, y, teacher, more=None):
    """The student of `BY_HAND` and FAST, seed 3, taught on these rows by an estimator."""
    settings = {"soft_weight": 0.7, "max_iter": 15, "random_state": 3, "preprocessor": default_preprocessor(rows)[0]}
    return DistilledClassifier(teacher, (8,), **settings).fit(rows, y, X_unlabeled=more)


def test_rows_that_measure_teach_nobody(table, tmp_path, capsys):
    """Student, control and teacher are those of the rows that teach, and of the unlabelled ones alone."""
    more = write_csv(tmp_path / "more.csv", [row[:3] for row in people(100, seed=1)])
    teach(
        table, tmp_path / "s.npz", "--teacher", "boosting", "--unlabeled", str(more), "--json", "--seed", "3", *BY_HAND
    )
    achieved = json.loads(capsys.readouterr().out)["report"]["achieved"]
    rows, y, _ = encoded(table)
    train, test = distill.split(y, 3)
    few = rows.iloc[train]
    extra = load_student(tmp_path / "s.npz").rules(read_table(more))
    boosting = make_pipeline(default_preprocessor(few)[0], HistGradientBoostingClassifier(random_state=3))
    student = by_hand(few, y[train], boosting, extra)
    np.testing.assert_array_equal(read(tmp_path / "s.npz")[0]["theta"], student.student_.theta)
    models = {"student": student, "teacher": boosting.fit(few, y[train]), "labels alone": by_hand(few, y[train], None)}
    for name, model in models.items():
        assert achieved[name]["accuracy"] == pytest.approx(model.score(rows.iloc[test], y[test])), name
        p = model.predict_proba(rows.iloc[test])
        right = p[np.arange(len(test)), (y[test] == "yes").astype(int)]
        assert achieved[name]["log_loss"] == pytest.approx(-np.log(right).mean(), rel=1e-6)
        pairs = p[y[test] == "yes", 1][:, None] - p[y[test] == "no", 1]
        assert achieved[name]["auc"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_the_same_seed_gives_the_same_student(table, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        teach(table, tmp_path / name, "--teacher", "mlp", "--seed", seed, "--quiet", *BY_HAND)
    a, b, c = (read(tmp_path / name)[0]["theta"] for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("option", [("--temperature", "9"), ("--soft-weight", "0.1"), ("--epochs", "16")])
def test_options_reach_the_training(option, table, tmp_path):
    teach(table, tmp_path / "a", "--teacher", "boosting", "--quiet", *BY_HAND)
    teach(table, tmp_path / "b", "--teacher", "boosting", "--quiet", *BY_HAND, *option)
    assert not np.array_equal(read(tmp_path / "a")[0]["theta"], read(tmp_path / "b")[0]["theta"])


def test_rows_are_held_out_from_each_class():
    y = np.array(["a"] * 40 + ["b"] * 8 + ["c"] * 2 + ["d"])
    train, test = distill.split(y, 0)
    assert sorted([*train, *test]) == list(range(51))
    assert dict(zip(*np.unique(y[test], return_counts=True))) == {"a": 10, "b": 2, "c": 1}
    assert set(y[train]) == set(y)


@pytest.mark.parametrize("teacher", ["boosting", "mlp"])
def test_unlabeled_rows_teach(teacher, table, tmp_path, capsys):
    more = write_csv(tmp_path / "more.csv", [row[:3] for row in people(300, seed=1)])
    teach(table, tmp_path / "with", "--teacher", teacher, "--unlabeled", str(more), "--json", *BY_HAND)
    assert json.loads(capsys.readouterr().out)["rows"]["unlabeled"] == 300
    teach(table, tmp_path / "without", "--teacher", teacher, "--quiet", *BY_HAND)
    assert not np.array_equal(read(tmp_path / "with")[0]["theta"], read(tmp_path / "without")[0]["theta"])


def test_arrays_are_a_table_too(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = (x[:, 0] > 0) * 2 + 1
    np.savez(tmp_path / "data.npz", x=x, y=y, leak=y)
    teach(tmp_path / "data.npz", tmp_path / "s.npz", "--json", "--teacher", "mlp", target=None, epochs="60")
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"] == ["x0", "x1", "x2"] and found["classes"] == [1, 3]  # other arrays are not inputs
    assert found["report"]["achieved"]["student"]["accuracy"] > 0.8
    hint = "of its arrays x and y alone are read: save 'leak' as y"
    asked = ["distill", "--data", tmp_path / "data.npz", "--out", tmp_path / "s.npz"]
    assert hint in refused(capsys, *asked, "--target", "leak")
    assert hint[:9] not in refused(capsys, *asked, "--target", "nothing")
    np.savez(tmp_path / "text.npz", x=x, y=np.where(y > 1, "up", "down"))
    teach(tmp_path / "text.npz", tmp_path / "t.npz", "--quiet", "--teacher", "mlp", target=None)
    assert load_student(tmp_path / "t.npz").model.classes_.tolist() == ["down", "up"]


def test_columns_can_be_ignored_or_named_categories(tmp_path):
    rows = [["id", "zip", "n", "y"]]
    rows += [[f"k{i}", str(i % 3 + 1000), str(i * i % 7), "ab"[i % 2]] for i in range(120)]
    data = write_csv(tmp_path / "t.csv", rows)
    teach(data, tmp_path / "s.npz", "--ignore", "id", "--categorical", "zip", "--quiet", target="y")
    assert load_student(tmp_path / "s.npz").inputs == ["n", "zip=1000", "zip=1001", "zip=1002"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("more", [[], ["--quiet"], ["--json"]])
def test_a_bar_on_a_terminal_only(more, table, tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    teach(table, tmp_path / "s.npz", "--teacher", "mlp", *more)
    for what in ("student:",):
        assert (what in terminal.getvalue()) == (not more)


# ------------------------------------------------------------------ a teacher from a file


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_not_read_without_trust(table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps(Bomb()))
    arguments = ["distill", "--data", table, "--target", "buys", "--teacher", tmp_path / "bomb.pkl", *FAST]
    assert "runs whatever code it holds: add --trust-pickle" in refused(capsys, *arguments)
    assert not (tmp_path / "exploded").exists()
    assert "a teacher is a fitted classifier" in refused(capsys, *arguments, "--trust-pickle")
    assert (tmp_path / "exploded").exists()  # the flag is what it says


@pytest.mark.parametrize("dump", [joblib.dump, lambda model, path: path.write_bytes(pickle.dumps(model))])
def test_a_trusted_pickle_teaches(dump, table, tmp_path, capsys):
    rows, y, x = encoded(table)
    pickled = tmp_path / "forest.pkl"
    dump(RandomForestClassifier(20, random_state=0).fit(x, y), pickled)
    teach(table, tmp_path / "s.npz", "--teacher", str(pickled), "--trust-pickle", *BY_HAND)
    text = capsys.readouterr().out
    assert "may have been made with these rows" in text and "100.0 %" in text  # it was
    raw = make_pipeline(default_preprocessor(rows)[0], RandomForestClassifier(20, random_state=0)).fit(rows, y)
    dump(raw, pickled)  # a pipeline takes the columns as they are
    teach(table, tmp_path / "s.npz", "--teacher", str(pickled), "--trust-pickle", "--quiet", *BY_HAND)
    capsys.readouterr()
    dump(RandomForestClassifier(5).fit(x[:, :2], y), pickled)
    rest = ["--target", "buys", "--trust-pickle", *FAST]
    err = refused(capsys, "distill", "--data", table, "--teacher", pickled, *rest)
    assert "takes 2 inputs, the table gives 5, encoded from age" in err
    dump(RandomForestClassifier(5).fit(x, np.where(y == "yes", "ja", "nein")), pickled)
    err = refused(capsys, "distill", "--data", table, "--teacher", pickled, *rest)
    assert "knows the classes ja, nein, but not no, yes" in err
    pickled.write_bytes(b"\x80\x04nonsense")
    err = refused(capsys, "distill", "--data", table, "--teacher", pickled, *rest)
    assert "cannot be unpickled" in err


def test_a_student_can_teach(table, student, tmp_path, capsys):
    teach(table, tmp_path / "s.npz", "--teacher", str(student), "--json", *BY_HAND)
    found = json.loads(capsys.readouterr().out)
    assert found["report"]["achieved"]["teacher"]["accuracy"] > 0.8
    other = write_csv(tmp_path / "other.csv", [[*row[:2], row[3]] for row in people()])
    arguments = ["distill", "--data", other, "--target", "buys", "--teacher", student, "--quiet", *FAST]
    assert "was taught other columns than this table has" in refused(capsys, *arguments)


def test_a_saved_network_can_teach(table, tmp_path, capsys):
    kd.save(tmp_path / "net.npz", kd.MLP(5, 12, 2))
    teach(table, tmp_path / "s.npz", "--teacher", str(tmp_path / "net.npz"), "--json", *BY_HAND)
    assert json.loads(capsys.readouterr().out)["contest"]["chosen"].startswith("soft_weight=0.7")
    for sizes, message in (((4, 2), "takes 4 inputs, the table gives 5"), ((5, 3), "knows 3 classes")):
        kd.save(tmp_path / "net.npz", kd.MLP(*sizes))
        arguments = ["distill", "--data", table, "--target", "buys", "--teacher", tmp_path / "net.npz", *FAST]
        assert message in refused(capsys, *arguments)


# ------------------------------------------------------------------ predict


def test_predictions_are_written(student, tmp_path, capsys):
    rows = people(30, seed=5)
    mixed = [["note", *row[:3][::-1]] if i == 0 else ["?", *row[:3][::-1]] for i, row in enumerate(rows)]
    data = write_csv(tmp_path / "new.csv", mixed)  # other order, no target, a column too many
    out = tmp_path / "made" / "predictions.csv"
    assert "30 predictions" in told(capsys, "predict", "--model", student, "--data", data, "--out", out)
    with open(out, newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == ["prediction", "p(no)", "p(yes)"] and len(lines) == 30
    for answer, *p in lines:
        assert sum(map(float, p)) == pytest.approx(1, abs=1e-5)
        assert answer == ("no", "yes")[int(np.argmax(list(map(float, p))))]
    assert np.mean([line[0] == row[3] for line, row in zip(lines, rows[1:])]) > 0.8
    assert told(capsys, "predict", "--model", student, "--data", data) == out.read_text()


def test_what_cannot_be_predicted_says_so(student, table, tmp_path, capsys):
    def predict(rows, *more):
        return refused(capsys, "predict", "--model", student, "--data", write_csv(tmp_path / "new.csv", rows), *more)

    assert "there is no column 'income'" in predict([["age", "town"], ["1", "Bern"]])
    assert "no column 'name'" in predict([["age", "town", "income"], ["1", "Bern", "3"]], "--id", "name")
    for taken in ("prediction", "p(no)"):  # two columns of one name: a reader takes the first
        rows = [["age", "town", "income", taken], ["1", "Bern", "3", "old"]]
        assert f"--id {taken!r} is the name of an answer's column" in predict(rows, "--id", taken)
    data = tmp_path / "new.csv"
    assert "would overwrite what is read, --data" in predict(
        [["age", "town", "income"], ["1", "Bern", "3"]], "--out", data
    )
    kd.save(tmp_path / "net.npz", kd.MLP(2, 2))
    assert "is not a student of a table" in refused(capsys, "predict", "--model", tmp_path / "net.npz", "--data", data)
    assert "not a whole checkpoint" in refused(capsys, "predict", "--model", table, "--data", table)
    assert "No such file" in refused(capsys, "predict", "--model", tmp_path / "absent", "--data", table)


def test_a_reader_that_stops_is_no_error(student, tmp_path):
    data = write_csv(tmp_path / "many.csv", people(20_000))
    command = [sys.executable, "-m", "kdlearn", "predict", "--model", str(student), "--data", str(data)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.readline()
    run.stdout.close()
    assert run.stderr.read() == b"" and run.wait() == 1


# ------------------------------------------------------------------ export


@pytest.mark.parametrize("int8", [False, True])
def test_a_student_as_onnx(int8, student, table, tmp_path, capsys):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    out = tmp_path / "s.onnx"
    more = ["--int8", "--calibration", str(table)] if int8 else []
    text = told(capsys, "export", "--model", student, "--to", "onnx", "--out", out, *more)
    assert "inputs, in this order: age, town, income" in text and ("int8" in text) == int8
    loaded = load_student(student)
    rows, _, _ = encoded(table)
    feed = {name: rows[name].to_numpy(np.float32)[:, None] for name in ("age", "income")}
    feed["town"] = rows["town"].to_numpy(object)[:, None]
    label, p = runtime.InferenceSession(str(out)).run(["label", "probabilities"], feed)
    assert (label == loaded.model.predict(rows)).mean() > (0.95 if int8 else 0.999)
    assert np.abs(p - loaded.model.predict_proba(rows)).max() < (0.2 if int8 else 1e-4)


@pytest.mark.parametrize("int8", [False, True])
def test_a_student_as_c(int8, student, table, tmp_path, capsys):
    out = tmp_path / "8-bit student.h"
    assert "call net_8_bit_student_predict" in told(
        capsys, "export", "--model", student, "--to", "c", "--out", out, *["--int8"][: int(int8)]
    )
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("no C compiler `cc`")
    loaded = load_student(student)
    rows, _, _ = encoded(table)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "8-bit student.h"\n'
        "int main(void)\n{\n    float x[3];\n    while (fread(x, sizeof x, 1, stdin) == 1)\n"
        "        puts(net_8_bit_student_classes[net_8_bit_student_predict(x, NULL)]);\n    return 0;\n}\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([cc, *flags, "main.c", "8-bit student.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    towns = rows["town"].map(["Bern", "Genève", "Zürich"].index)
    raw = np.stack([rows["age"], towns, rows["income"]], axis=1).astype(np.float32)
    answers = subprocess.run([str(tmp_path / "main")], input=raw.tobytes(), capture_output=True, check=True).stdout
    assert (np.array(answers.decode().split()) == loaded.model.predict(rows)).mean() > (0.95 if int8 else 0.999)


def test_a_saved_network_is_exported_and_wrong_options_are_not(student, table, tmp_path, capsys, monkeypatch):
    kd.save(tmp_path / "net.npz", kd.MLP(3, 4, 2, activation=kd.GELU))
    arguments = ["export", "--model", str(tmp_path / "net.npz"), "--to", "c", "--out", str(tmp_path / "net.h")]
    assert cli.main([*arguments, "--name", "gelu"]) == 0
    assert "int gelu_predict" in (tmp_path / "net.h").read_text()
    capsys.readouterr()
    assert "C identifier" in refused(capsys, *arguments, "--name", "no name")
    for option in (["--integer"], ["--name", "me"], ["--max-bytes", "300"]):
        assert f"{option[0]} is for --to c" in refused(
            capsys, "export", "--model", student, "--to", "onnx", "--out", tmp_path / "s.onnx", *option
        )
    assert "would overwrite what is read, --model" in refused(capsys, *arguments[:-1], tmp_path / "net.npz")
    write(tmp_path / "run.npz", {}, {})
    assert "is not a student of a table" in refused(capsys, "export", "--model", tmp_path / "run.npz", *arguments[3:])
    monkeypatch.setitem(sys.modules, "onnx", None)
    err = refused(capsys, "export", "--model", student, "--to", "onnx", "--out", tmp_path / "s.onnx")
    assert "pip install 'kdlearn[export]'" in err


RULE = {"name": "age", "kind": "number", "comma": False}
CONTRADICTIONS = {
    "classes": {"classes": ["U", ["a"]]},
    "kind of classes": {"classes": 5},
    "columns": {"encoding": {"columns": [["age", None]], "features": []}},
    "a feature of no column": {"encoding": {"columns": [["age", None]], "features": [[1, -1, None, 0, 1, False]] * 5}},
    "no scaler": {"scaler": [[0.0], [1.0]]},
    "a scale of zero": {"scaler": [[0.0] * 5, [0.0] * 5]},
    "target": {"target": [1]},
    "no rules": {"settings": {"rules": 5}},
    "a rule of no kind": {"settings": {"rules": [{"name": "age"}] * 3}},
    "rules of other columns": {"settings": {"rules": [RULE, RULE, RULE]}},
}


@pytest.mark.parametrize("change", CONTRADICTIONS)
def test_a_student_file_that_contradicts_itself_is_refused(change, student, tmp_path):
    arrays, config = read(student)
    write(tmp_path / "s.npz", arrays, {**config, "model": config["model"] | CONTRADICTIONS[change]})
    with pytest.raises(CheckpointError, match="does not describe a fitted model"):
        load_student(tmp_path / "s.npz")


# ------------------------------------------------------------------ tables that are refused


def good(i):
    return f"{i},{i % 3}.5,{'ab'[i % 2]}"


BODY = "\n".join(good(i) for i in range(20))
WRONG_CSV = {
    "empty": ("", "t.csv is empty"),
    "blank lines": ("\n\n\n", "t.csv is empty"),
    "a header alone": ("a,b,y\n", "has no rows"),
    "no header": ("1,2,3\n" * 9, "the first line must name the columns"),
    "a missing column": (f"a,b,z\n{BODY}", "there is no column 'y'; there are: a, b, z"),
    "a ragged row": (f"a,b,y\n{BODY}\n7,1", "t.csv, line 22: 2 cells, but the header has 3"),
    "a row too long": (f"a,b,y\n{BODY}\n7,1,a,", "t.csv, line 22: 4 cells, but the header has 3"),
    "lines in a cell are counted": ("a,b,y\n" + '1,2,"p\nq"\n' * 8 + "1,2\n", "line 18: 2 cells"),
    "one class": ("a,b,y\n" + "1,2,only\n" * 9, "the target 'y' has one class, 'only'"),
    "a class for each row": ("a,b,y\n" + "".join(f"1,2,k{i}\n" for i in range(9)), "9 different values in 9 rows"),
    "no label at all": ("a,b,y\n" + "1,2,\n" * 9, "the target 'y' is empty"),
    "two rows": ("a,b,y\n1,2,p\n3,5,q\n", "one row of each class: none is left"),
    "a title": (f"Report 2024,,\na,b,y\n{BODY}", "'Report 2024' may be a title: write # before it"),
    "a name twice": (f"a,a,y\n{BODY}", "two columns are named 'a'"),
    "only the target": ("y\n" + "p\nq\n" * 9, "no column left to learn from"),
    "names of people": (
        "a,y\n" + "".join(f"n{i},{'pq'[i % 2]}\n" for i in range(300)),
        "no column left to learn from",
    ),
    "an open quote": (f'a,b,y\n{BODY}\n"7,1,a', "t.csv, line 22: unexpected end of data"),
    "a stray quote": (f'a,b,y\n"7"x,1,a\n{BODY}', "t.csv, line 2: "),
    "a cell without end": ("a,b,y\n" + "1" * 200_000 + ",2,p\n", "field larger than field limit"),
}


@pytest.mark.parametrize("case", WRONG_CSV)
def test_a_wrong_csv_is_one_line(case, tmp_path, capsys):
    text, message = WRONG_CSV[case]
    (tmp_path / "t.csv").write_text(text)
    err = refused(
        capsys, "distill", "--data", tmp_path / "t.csv", "--target", "y", "--out", tmp_path / "s.npz",
        "--teacher", "boosting", *FAST,
    )  # fmt: skip
    assert re.search(message, err), err
    assert not (tmp_path / "s.npz").exists()


def npy():
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    return out.getvalue()


def pickled(path):
    np.savez(path, x=np.array([[Bomb()]], object), y=np.zeros(1))


WRONG_NPZ = {
    "not a zip": (lambda p: p.write_bytes(b"hello"), "cannot be read"),
    "empty": (lambda p: p.write_bytes(b""), "cannot be read"),
    "a pickle": (lambda p: p.write_bytes(pickle.dumps(Bomb())), "cannot be read"),
    "a pickle inside": (pickled, "cannot be read"),
    "one array": (lambda p: p.write_bytes(npy()), "cannot be read|must hold numbers"),
    "no x": (lambda p: np.savez(p, X=np.zeros((3, 2))), "'x' must hold numbers.*there is none"),
    "x in one dimension": (lambda p: np.savez(p, x=np.zeros(3), y=np.zeros(3)), r"its shape is \(3,\)"),
    "no rows": (lambda p: np.savez(p, x=np.zeros((0, 2)), y=np.zeros(0)), r"its shape is \(0, 2\)"),
    "other lengths": (
        lambda p: np.savez(p, x=np.zeros((3, 2)), y=np.zeros(2)),
        r"'y' has shape \(2,\), it must be \(3,\): one number",
    ),
    "complex": (lambda p: np.savez(p, x=np.zeros((3, 2), complex), y=np.zeros(3)), "'x' must hold numbers"),
    "infinity": (lambda p: np.savez(p, x=[[1, np.inf], [3, 0]] * 4, y=[0, 1] * 4), "row 0, column 'x1'.*is infinite"),
    "no labels": (lambda p: np.savez(p, x=np.zeros((3, 2))), "no column 'y'"),
}


@pytest.mark.parametrize("case", WRONG_NPZ)
def test_wrong_arrays_are_one_line(case, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, message = WRONG_NPZ[case]
    make(tmp_path / "t.npz")
    err = refused(capsys, "distill", "--data", "t.npz", "--teacher", "boosting", *FAST)
    assert re.search(message, err), err
    assert not (tmp_path / "exploded").exists()


WRONG_OPTIONS = [
    (["--data", "absent.csv", "--target", "y"], "absent.csv"),
    (["--target", "y"], "--data"),
    (["--data", "people.csv"], "--target is needed.*age, town, income, buys"),
    (["--data", "people.csv", "--target", "buys", "--teacher", "oracle"], "no teacher 'oracle': it is one of forest"),
    (["--data", "people.csv", "--target", "buys", "--ignore", "hair"], "no column 'hair'"),
    (["--data", "people.csv", "--target", "buys", "--student", "8,0"], "positive whole numbers"),
    (["--data", "people.csv", "--target", "buys", "--student", "wide"], "positive whole numbers"),
    (["--data", "people.csv", "--target", "buys", "--temperature", "0"], "a positive number"),
    (["--data", "people.csv", "--target", "buys", "--temperature", "hot"], "a positive number"),
    (["--data", "people.csv", "--target", "buys", "--soft-weight", "1.5"], "from 0 to 1"),
    (["--data", "people.csv", "--target", "buys", "--soft-weight", "nan"], "from 0 to 1"),
    (["--data", "people.csv", "--target", "buys", "--epochs", "2.5"], "at least 1"),
    (["--data", "people.csv", "--target", "buys", "--seed", "-1"], "from 0"),
    (["--data", "people.csv", "--target", "buys", "--delimiter", "ab"], "one character"),
    (["--data", "people.csv", "--target", "buys", "--out", "people.csv"], "would overwrite what is read"),
    (["--data", "people.csv", "--target", "buys", "--out", "."], "is a folder"),
    (["--data", "people.csv", "--target", "buys", "--unlabeled", "absent.csv"], "absent.csv"),
    (["--data", ".", "--target", "buys"], "directory|denied"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS, ids=[" ".join(o) for o, _ in WRONG_OPTIONS])
def test_wrong_options_are_one_line(options, message, table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    err = refused(capsys, "distill", *options)
    assert re.search(message, err), err


# ------------------------------------------------------------------ tables that are read


@pytest.mark.parametrize(
    "raw",
    [
        b"a,b\n1,p\n2,q\n",
        b"a,b\r\n1,p\r\n2,q",
        b"\xef\xbb\xbfa,b\n1,p\n2,q\n",
        b'"a", b\n"1"," p"\n\n 2 ,q \n\n',
        b"a;b\n1;p\n2;q\n",
        b"a\tb\n1\tp\n2\tq\n",
        b"# made by hand\n# 2026\na,b\n1,p\n2,q\n",
        b",a,b\n0,1,p\n1,2,q\n",
        b"a,b\n1,p\n2,q\n,\n",
        "a,b\n1,p\n2,q\n".encode("utf-16"),
    ],
)
def test_ordinary_variations_are_read(raw, tmp_path):
    (tmp_path / "t.csv").write_bytes(raw)
    table = read_table(tmp_path / "t.csv")
    assert numbers(table["a"], False).tolist() == [1, 2] and table["b"].tolist() == ["p", "q"]
    assert cli._delimiter("tab") == cli._delimiter("\\t") == "\t"


def test_what_was_done_to_a_file_is_said(tmp_path):
    said = []
    (tmp_path / "t.csv").write_bytes("# x\n;name;wert\n0;Genf\xe9;1,5\n1;;\n2;b;2\n;;\n".encode("latin-1"))
    table = read_table(tmp_path / "t.csv", None, said)
    text = " ".join(said)
    for part in ("not UTF-8", "1 line of comment", "separated by ';'", "1 row without any cell", "no name"):
        assert part in text, part
    assert table["name"].tolist()[::2] == ["Genf\xe9", "b"]
    rules = Rules.of(table, (), (), (), said)
    assert rules(table, said)["wert"].tolist()[::2] == [1.5, 2] and "2 missing cells are filled" in said[-1]


@pytest.mark.parametrize(
    ("cells", "comma", "kind", "values"),
    [
        (["3,750", "12,000", "1,250.5"], False, "number", [3750, 12000, 1250.5]),
        (["3,75", "12", "1.250,5"], False, "number", [3.75, 12, 1250.5]),
        (["3,750", "12,125", "1,5"], True, "number", [3.75, 12.125, 1.5]),
        (["18.7%", "3 %", "100%"], False, "number", [18.7, 3, 100]),
        (["$18.70", "$1,200.00", "-$3"], False, "number", [18.7, 1200, -3]),
        (["EUR 5", "6 EUR", "7€"], False, "number", [5, 6, 7]),
        (["1'000", "2 000", "3"], False, "number", [1000, 2000, 3]),
        (["1e3", "-2.5E-1", ".5"], False, "number", [1000, -0.25, 0.5]),
        (["\u22125", "\u2212 1,200.5", "3"], False, "number", [-5, -1200.5, 3]),  # a minus as typesetters write it
        (["\u22125 kg", "7 kg", "8 kg"], False, "number", [-5, 7, 8]),
        (["01", "02", "10"], False, "text", ["01", "02", "10"]),
        (["1_0", "2_0", "3_0"], False, "text", ["1_0", "2_0", "3_0"]),
        (["inf", "nope", "1"], False, "text", ["inf", "nope", "1"]),
        (["2000-01-02", "2000-01-03 12:00", "1999-12-31"], False, "date", [1, 2.5, -1]),
        (["2.1.2000", "03.01.2000 12:00", "31.12.1999"], True, "date", [1, 2.5, -1]),
        (["2000-01-02T00:00:00Z", "2000-01-02T00:00:00-06:00", "2000-01-02 06:00+0600"], False, "date", [1, 1.25, 1]),
        (["2000-01-02", *["2000-01-03"] * 19, "-"], False, "date", [1, *[2] * 19, None]),
        (["1/2/2000", "2/1/2000", "1/1/2000"], False, "text", ["1/2/2000", "2/1/2000", "1/1/2000"]),
    ],
)
def test_a_column_is_what_its_cells_say(cells, comma, kind, values):
    table = pd.DataFrame({"a": cells}, dtype=object)
    table.attrs["decimal_comma"] = comma
    rules = Rules.of(table, (), (), ("a",), [])
    assert rules.columns[0]["kind"] == kind
    assert [None if pd.isna(v) else v for v in rules(table)["a"]] == values


ALARMS = {
    "counts the rows": [str(i + 1) for i in range(60)],
    "like an ID": [f"k{i}" for i in range(60)],
    "almost numeric: 15 cells": ["unknown" if i % 4 == 0 else str(i * i % 17) for i in range(60)],
    "a large offset": [str(1_700_000_000 + i * i % 299) for i in range(60)],
    "1 cell is no number, such as 'old'": ["old" if i == 7 else str(i * i % 17) for i in range(60)],
    "is empty": ["" for i in range(60)],
    "holds no number but '3'": ["" if i == 7 else "3" for i in range(60)],
    "holds 'EUR' in all rows": ["EUR" for i in range(60)],
    "3 cells hold '-999', far from the others": ["-999" if i % 20 == 1 else str(i * i % 17) for i in range(60)],
    "1 cell holds '65535', far from the others": ["65535" if i == 1 else str(i * i % 17) for i in range(60)],
    "looks like dates, such as '1/2/2000'": [f"{i % 12 + 1}/2/2000" for i in range(60)],
    "looks like dates, such as '2024/12/10'": [f"2024/12/{i % 12 + 10}" for i in range(60)],
    "'5,25-', so each number is a text of its own. If it is a minus, write it before the number": [
        f"{5 + i % 10},25{'-' * (i % 3 == 0)}" for i in range(60)
    ],
}


@pytest.mark.parametrize("alarm", ALARMS)
def test_alarms_come_before_the_teacher(alarm, tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    rows = [["odd", "b", "y"], *([cell, f"{rng.normal():.3f}", "pq"[i % 2]] for i, cell in enumerate(ALARMS[alarm]))]
    data = write_csv(tmp_path / "t.csv", rows)

    def stop(*args):
        raise ValueError("the teacher's turn")

    monkeypatch.setattr(distill, "teacher_of", stop)
    arguments = ["distill", "--data", str(data), "--target", "y", "--out", str(tmp_path / "s.npz"), *FAST]
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert alarm in out and "the teacher's turn" in err
    assert cli.main([*arguments, "--keep", "odd"]) == 2
    if alarm in ("counts the rows", "like an ID", "holds no number but '3'", "holds 'EUR' in all rows"):
        assert alarm not in capsys.readouterr().out


def test_a_long_tail_is_no_alarm():
    said = []
    tail = pd.DataFrame({"a": np.exp(2 * np.random.default_rng(0).normal(size=3000)), "b": np.arange(3000) % 2})
    Rules.of(tail, (), (), (), said)
    assert said == []


def test_labels_are_kept_as_they_were_written(tmp_path, capsys):
    rows = [["a", "y"], *([f"{i % 3 + 0.5}", ["01", "1", "10"][i % 3]] for i in range(90))]
    data = write_csv(tmp_path / "t.csv", rows)
    teach(data, tmp_path / "s.npz", "--quiet", "--teacher", "boosting", *BY_HAND, target="y", epochs="100")
    assert load_student(tmp_path / "s.npz").model.classes_.tolist() == ["01", "1", "10"]
    capsys.readouterr()
    lines = list(csv.reader(told(capsys, "predict", "--model", tmp_path / "s.npz", "--data", data).splitlines()))
    assert [line[0] for line in lines[1:]] == [row[1] for row in rows[1:]]


def test_a_target_that_is_a_number(tmp_path, capsys):
    from sklearn.datasets import load_diabetes

    load_diabetes(as_frame=True).frame.to_csv(tmp_path / "d.csv", index=False)
    out = tmp_path / "s.npz"
    teach(tmp_path / "d.csv", out, "--teacher", "boosting", target="target", epochs="40")
    text = capsys.readouterr().out
    assert "'target' has 214 different numbers in 442 rows: it is predicted as a number" in text
    for part in (
        "R2",
        "mean absolute error",
        "95 % interval",
        "10-8-1",
        "mean absolute difference: of the two models'",
    ):
        assert part in text, part
    student, table = load_student(out), read_table(tmp_path / "d.csv")
    predicted, y = student.model.predict(student.rules(table)), table["target"].astype(float)
    assert np.corrcoef(predicted, y)[0, 1] > 0.6
    lines = told(capsys, "predict", "--model", out, "--data", tmp_path / "d.csv").splitlines()
    np.testing.assert_allclose([float(line) for line in lines[1:]], predicted, rtol=1e-7)
    assert "call net_predict" in told(capsys, "export", "--model", out, "--to", "c", "--out", tmp_path / "net.c")
    runtime = pytest.importorskip("onnxruntime")
    assert cli.main(["export", "--model", str(out), "--to", "onnx", "--out", str(tmp_path / "net.onnx")]) == 0
    rows = student.rules(table)
    feed = {name: rows[name].to_numpy(np.float32)[:, None] for name in rows}
    (made,) = runtime.InferenceSession(str(tmp_path / "net.onnx")).run(["prediction"], feed)
    np.testing.assert_allclose(made.ravel(), predicted, rtol=1e-3)
    capsys.readouterr()
    assert "one class for" not in text and "holds 'x'" in refused_target(tmp_path, capsys)


def test_long_intervals_stand_apart():
    """An R2 may be far below 0: its interval is longer than a column is wide."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=40)})
    far = DummyRegressor(strategy="constant", constant=-123.456).fit(X, np.zeros(40))
    found = figures(far, far, far, X, rng.normal(size=40), 1)
    for table in (format_figures(found), format_report(found)):
        ends = [re.split(" {2,}", line.strip()) for line in table.splitlines() if "95 % interval" in line]
        assert ends and all(re.fullmatch(r"\S+ to \S+", cell) for line in ends for cell in line[1:]), table
        assert min(map(len, ends)) >= 3


def test_of_many_classes_twenty_have_their_recall_printed():
    X, y = pd.DataFrame({"a": np.arange(50.0)}), np.array([f"c{i // 2:02d}" for i in range(50)])
    most = DummyClassifier(strategy="most_frequent").fit(X, y)
    found = figures(most, most, most, X, y, 1)
    told = re.findall("recall of (c..)", format_figures(found))
    assert told == [f"c{i:02d}" for i in range(20)] and len(found["achieved"]["student"]["recall"]) == 25


def test_long_names_of_classes_stay_apart():
    """They were cut to the same text: whose recall was it?"""
    names = ["Reparatur beim Hersteller, bezahlt", "Reparatur beim Hersteller", "Ersatz", "Reparatur beim Haendler"]
    X, y = pd.DataFrame({"a": np.arange(40.0)}), np.array(names * 10)
    most = DummyClassifier(strategy="most_frequent").fit(X, y)
    lines = format_figures(figures(most, most, most, X, y, 1)).splitlines()
    heads = [line[:24].strip() for line in lines if line.startswith("recall of")]
    assert len(set(heads)) == 4 and "recall of Ersatz" in heads and max(map(len, heads)) < 24


def test_what_makes_the_measure_weak_is_said(tmp_path, capsys):
    rows = people(80)
    rows += [rows[i] for i in range(1, 81)]  # each twice
    rows += [["30", "Bern", f"{i}.5", "perhaps"] for i in range(9)]
    data = write_csv(tmp_path / "t.csv", rows)
    teach(data, tmp_path / "s.npz", "--json", *BY_HAND)
    found = json.loads(capsys.readouterr().out)
    notes, table = " ".join(found["notes"]), pd.DataFrame(rows[1:], columns=rows[0])
    train, test = distill.split(table["buys"].to_numpy(str), 0)
    taught = {tuple(row) for row in table.iloc[train].to_numpy()}
    again = sum(tuple(row) in taught for row in table.iloc[test].to_numpy())
    assert 0 < again < len(test) and f"{again} of the {len(test)} rows held out stand among those that teach" in notes
    assert "of class 'perhaps' 2 rows are held out" in notes and "of class 'no'" not in notes


def test_a_training_that_was_too_short_is_said_in_the_words_of_the_command(table, tmp_path, capsys):
    teach(table, tmp_path / "s.npz", *BY_HAND, epochs="3")
    out, err = capsys.readouterr()
    assert "student: the loss was still falling after 3 epochs; --epochs sets more." in out and err == ""
    assert cli._names('a, "b, in g", c') == ("a", "b, in g", "c") and cli._names("") == ()


def refused_target(folder, capsys):
    data = write_csv(folder / "x.csv", [["a", "y"], ["1", "2"], ["2", "x"], ["3", "4"]])
    return refused(capsys, "distill", "--data", data, "--target", "y", "--task", "numbers", *FAST)


def test_missing_cells_and_unknown_texts_are_predicted(student, tmp_path, capsys):
    rows = [["age", "town", "income"], ["", "Bern", "3"], ["20", "", "NA"], ["20", "Basel", "3"], ["x", "Bern", "1"]]
    data, out = write_csv(tmp_path / "new.csv", rows), tmp_path / "p.csv"
    text = told(capsys, "predict", "--model", student, "--data", data, "--out", out)
    assert "4 missing cells are filled" in text and "1 cell is no number, such as 'x'" in text
    assert "column 'town': 1 cell holds a text that the model does not know, such as 'Basel'." in text
    assert len(out.read_text().splitlines()) == 5
    assert cli.main(["predict", "--model", str(student), "--data", str(data)]) == 0
    to_screen, said = capsys.readouterr()
    assert to_screen == out.read_text() and "such as 'Basel'" in said


def test_an_answer_stands_beside_each_row(student, tmp_path, capsys):
    """Rows without any cell too: else every answer below would stand beside another row."""
    (tmp_path / "new.csv").write_text("age,town,income\n70,Bern,3\n,,\n20,Bern,3\n")
    (tmp_path / "none.csv").write_text("age,town,income\n,,\n")
    lines = told(capsys, "predict", "--model", student, "--data", tmp_path / "new.csv").splitlines()
    assert len(lines) == 4 and len(set(lines)) == 4
    assert told(capsys, "predict", "--model", student, "--data", tmp_path / "none.csv").splitlines()[1] == lines[2]
    (tmp_path / "new.csv").write_text("age,town,income\n70,Bern,3\n20,Bern,1e999\n")
    err = refused(capsys, "predict", "--model", student, "--data", tmp_path / "new.csv")
    assert "row 1, column 'income': '1e999' is infinite" in err


def test_an_id_is_passed_through_and_teaches_nothing(table, tmp_path, capsys):
    rows = [["who", *people()[0]], *([f"p{i}", *row] for i, row in enumerate(people()[1:]))]
    data = write_csv(tmp_path / "t.csv", rows)
    teach(data, tmp_path / "s.npz", "--id", "who", "--quiet", *BY_HAND)
    assert load_student(tmp_path / "s.npz").rules.names == ["age", "town", "income"]
    capsys.readouterr()
    lines = told(capsys, "predict", "--model", tmp_path / "s.npz", "--data", data, "--id", "who").splitlines()
    assert lines[0] == "who,prediction,p(no),p(yes)" and lines[1].startswith("p0,")


def test_a_file_can_measure(table, tmp_path, capsys):
    other = write_csv(tmp_path / "test.csv", people(80, seed=9))
    teach(table, tmp_path / "s.npz", "--test", str(other), "--json", *BY_HAND)
    found = json.loads(capsys.readouterr().out)
    assert found["rows"]["train"] == 200 and found["rows"]["held_out"] == 80
    student, rows = load_student(tmp_path / "s.npz"), read_table(other)
    right = student.model.predict(student.rules(rows)) == rows["buys"]
    assert found["report"]["achieved"]["student"]["accuracy"] == pytest.approx(right.mean())
    rows = [[*row[:3], row[3] if i < 5 else "perhaps"] for i, row in enumerate(people(9))]
    strange = write_csv(tmp_path / "strange.csv", rows)
    err = refused(capsys, "distill", "--data", table, "--target", "buys", "--test", strange, *FAST)
    assert "classes that teach nothing: perhaps" in err


SOURCE = ("a,c,y\n" + "".join(f"{i}.25,{'pq'[i % 2]},{'uv'[i // 2 % 2]}\n" for i in range(12))).encode()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_mutated_csv_is_a_table_or_an_error(tmp_path, data):
    """Bytes replaced, removed, added, or cut off: a valid table, or a TableError of one line; nothing else."""
    raw = bytearray(SOURCE)
    noise = st.one_of(st.integers(0, 255), st.sampled_from(list(b',"\n\r;=@+-.eE0 \x00')))
    for _ in range(data.draw(st.integers(1, 6))):
        i = data.draw(st.integers(0, len(raw) - 1))
        what = data.draw(st.sampled_from(("replace", "remove", "add")))
        raw[i : i + (what != "add")] = b"" if what == "remove" else bytes([data.draw(noise)])
    check_bytes(tmp_path, bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.text(alphabet=',"\n\r;=-.e01a \t\x00', max_size=200).map(str.encode)))
@example(b"=cmd|' /C calc'!A0,y\n=1+1,p\n=1+1,q\n")
@example(b'""\r0')  # one column, without a name
@example(b"a,y\n__import__('os').mkdir('exploded'),p\n")
def test_any_bytes_are_a_table_or_an_error(tmp_path, raw):
    check_bytes(tmp_path, raw)


def check_bytes(folder, raw):
    path = folder / "fuzz.csv"
    path.write_bytes(raw)
    try:
        table = read_table(path)
        target = "y" if "y" in table.columns else list(table.columns)[-1]
        table, y = read_target(table, target, "auto", [])
        rules = Rules.of(table, {target}, (), (), [])
        x = rules(table)
    except TableError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 600, str(error)
    else:
        assert x.shape == (len(table), len(rules.names)) and len(y) == len(table) > 1
        assert len(set(y.tolist())) > 1
    assert [p.name for p in folder.iterdir()] == ["fuzz.csv"]
