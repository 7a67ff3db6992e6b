"""Files that come back as they were written, and columns that are told by the whole file."""

from __future__ import annotations

import csv
import json
import os
import re
from argparse import Namespace

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

pd = pytest.importorskip("pandas")

import kdlearn as kd  # noqa: E402
from kdlearn import cli  # noqa: E402
from kdlearn.commands.frames import TableError, read_table  # noqa: E402
from kdlearn.commands.measure import figures  # noqa: E402
from kdlearn.commands.rules import Rules  # noqa: E402
from kdlearn.commands.student import load_student  # noqa: E402
from kdlearn.commands.teacher import teacher_of  # noqa: E402
from kdlearn.estimators import DistilledClassifier, DistilledRegressor  # noqa: E402

HAND = {"max_iter": 3, "tol": 10, "hidden_layer_sizes": (4,), "random_state": 0}


def run(capsys, *arguments, status=0):
    assert cli.main([str(a) for a in arguments]) == status
    return capsys.readouterr()


def saved(path, y, n=60):
    """A student of two columns, `x` and `k`, and its rows."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.uniform(1, 2000, n).round(3), "k": rng.integers(0, 9, n)})
    kind = DistilledRegressor if y == "numbers" else DistilledClassifier
    target = X["x"] + 1e12 if y == "numbers" else np.where(X["x"] > 999, "yes", "no")
    kd.save(path, kind(**HAND).fit(X, target))
    return X


# ------------------------------------------------------------------ numbers that a machine reads


@pytest.mark.parametrize("y", ["numbers", "classes"])
def test_predictions_read_back_as_they_are(y, tmp_path, capsys):
    """Nine digits of 1e12 + x were 1e12 + a few thousands."""
    X = saved(tmp_path / "m.npz", y)
    X.to_csv(tmp_path / "d.csv", index=False)
    run(capsys, "predict", "--model", tmp_path / "m.npz", "--data", tmp_path / "d.csv", "--out", tmp_path / "p.csv")
    _, *lines = csv.reader((tmp_path / "p.csv").read_text().splitlines())
    model = load_student(tmp_path / "m.npz").model
    if y == "numbers":
        np.testing.assert_array_equal([float(cell) for (cell,) in lines], model.predict(X))
    else:
        np.testing.assert_array_equal([[float(v) for v in line[1:]] for line in lines], model.predict_proba(X))


# ------------------------------------------------------------------ no output is an input


def links(path, how):
    other = path.parent / "deep" / f"other{path.suffix}"
    other.parent.mkdir(exist_ok=True)
    if how == "spelling":
        return path.parent / "deep" / ".." / path.name
    (os.symlink if how == "link" else os.link)(path, other)
    return other


@pytest.mark.parametrize("how", ["spelling", "link", "hard link"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        *(("predict", "--model"), ("predict", "--data"), ("onnx", "--model"), ("onnx", "--calibration")),
        *(("c", "--calibration"), ("distill", "--data"), ("distill", "--test"), ("distill", "--teacher")),
    ],
)
def test_no_command_writes_over_what_it_reads(command, option, how, tmp_path, capsys):
    """predict --out MODEL made a CSV of the model; export --calibration d.csv --out d.csv a model of the rows."""
    X, files = saved(tmp_path / "m.npz", "classes"), {"--model": tmp_path / "m.npz", "--teacher": tmp_path / "m.npz"}
    for name in ("--data", "--test", "--calibration"):
        files[name] = tmp_path / f"{name[2:]}.h"
        X.assign(y=np.where(X["x"] > 999, "yes", "no")).to_csv(files[name], index=False)
    out = links(files[option], how)
    if command == "c" and how == "spelling":
        out = out.with_suffix(".c")  # the .h is written beside it
    elif command == "c":
        out.rename(out.with_suffix(".h"))
        out = out.with_suffix("")
    more = {
        "predict": ["--model", files["--model"], "--data", files["--data"]],
        "onnx": ["--model", files["--model"], "--to", "onnx", "--calibration", files["--calibration"]],
        "c": ["--model", files["--model"], "--to", "c", "--calibration", files["--calibration"]],
        "distill": ["--target", "y", "--epochs", "1", "--data", files["--data"], option, files[option]],
    }[command]
    before = {path: path.read_bytes() for path in files.values()}
    err = run(capsys, "export" if command in ("onnx", "c") else command, *more, "--out", out, status=2).err
    assert "would overwrite what is read, " + option in err and err.count("\n") == 1
    assert before == {path: path.read_bytes() for path in files.values()}


# ------------------------------------------------------------------ the decimal sign of a file


@pytest.mark.parametrize("id", ["1;1,234;1,5", "1\t1,234\t1,5", '1,"1,234","1,5"'])
def test_the_decimal_sign_is_told_by_columns_that_the_model_does_not_read(id, tmp_path, capsys):
    """x = 1,234 was read as 1234, which is in the taught range: nothing was said."""
    saved(tmp_path / "m.npz", "numbers")
    sign = next(c for c in ";\t," if c in id)
    (tmp_path / "d.csv").write_text(f"{sign.join(('k', 'x', 'w'))}\n{id}\n")
    said: list[str] = []
    _, rows = load_student(tmp_path / "m.npz").read(tmp_path / "d.csv", None, said)
    assert rows["x"].tolist() == [1.234] and rows["k"].tolist() == [1]
    assert "decimal points and commas are exchanged here, compared with the table that taught: 'x'." in said


def test_points_too_are_told_by_other_columns(tmp_path):
    (tmp_path / "taught.csv").write_text("x;k\n" + "\n".join(f"{i},5;{i % 3}" for i in range(1, 40)))
    (tmp_path / "new.csv").write_text("x;k;w\n1.234;1;0.75\n")
    table = read_table(tmp_path / "taught.csv")
    rules = Rules.of(table, (), (), ("x",), [])
    assert rules(read_table(tmp_path / "new.csv"), [])["x"].tolist() == [1.234]
    assert rules(read_table(tmp_path / "taught.csv"), said := [])["x"].tolist()[:2] == [1.5, 2.5] and not said


@pytest.mark.parametrize("extra", ["", ";w", ";name"])
def test_thousands_are_said_where_no_column_tells(extra, tmp_path):
    saved(tmp_path / "m.npz", "numbers")
    cell = {"": "", ";w": ";7", ";name": ";b1,5"}[extra]
    (tmp_path / "d.csv").write_text(f"k;x{extra}\n1;1,234{cell}\n")
    said: list[str] = []
    _, rows = load_student(tmp_path / "m.npz").read(tmp_path / "d.csv", None, said)
    assert rows["x"].tolist() == [1234] and "column 'x': '1,234' is read as 1234." in said


def test_a_table_that_teaches_is_read_with_the_sign_of_all_its_columns(tmp_path):
    """1,234 was 1234 where the file is separated by tabs, whatever stood beside it."""
    lines = [f"{1 + i % 9},{100 + i}\t{i},5\t{i % 3}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["x\tw\ty", *lines]))
    table = read_table(tmp_path / "t.csv")
    rules = Rules.of(table, ("w", "y"), (), (), [])
    assert rules.columns[0]["comma"] and rules(table, [])["x"][0] == 1.1


# ------------------------------------------------------------------ first tables


def taught(tmp_path, lines, *more, name="t.csv"):
    (tmp_path / name).write_text("\n".join(lines) + "\n", "utf-8")
    short = ["--target", "t", "--epochs", "2", "--student", "4", "--out", tmp_path / "s.npz"]
    return ["distill", "--data", tmp_path / name, *short, *more]


def numbers_of(n=60):
    x = np.random.default_rng(0).normal(size=n).round(3)
    return ["a,t", *(f"{v},{3 * v + 0.001 * i:.4f}" for i, v in enumerate(x))]


def test_a_student_knows_true_and_false_of_its_columns(tmp_path, capsys):
    """df.to_csv() writes True and False: both were taken as missing."""
    X = pd.DataFrame({"b": [True, False] * 30, "x": np.arange(60.0)})
    model = DistilledClassifier(**HAND).fit(X, X["b"])
    kd.save(tmp_path / "m.npz", model)
    X.to_csv(tmp_path / "d.csv", index=False)
    told = run(capsys, "predict", "--model", tmp_path / "m.npz", "--data", tmp_path / "d.csv")
    lines = list(csv.reader(told.out.splitlines()))[1:]
    np.testing.assert_array_equal([[float(v) for v in line[1:]] for line in lines], model.predict_proba(X))
    assert not told.err


@pytest.mark.parametrize("sign", ["-", "k.A."])
@pytest.mark.parametrize("task", ["auto", "numbers"])
def test_a_target_has_signs_for_missing_cells_as_columns_have(task, sign, tmp_path, capsys):
    lines = [line if i % 7 else f"{line.split(',')[0]},{sign}" for i, line in enumerate(numbers_of(), 6)]
    lines[0] = "a,t"
    out = run(capsys, *taught(tmp_path, lines, "--task", task)).out
    assert f"9 rows with no number as 't', such as {sign!r}, left out." in out


def test_a_target_with_other_texts_is_no_number(tmp_path, capsys):
    lines = [line if i % 7 else f"{line.split(',')[0]},{'bc'[i % 2]}" for i, line in enumerate(numbers_of(), 6)]
    lines[0] = "a,t"
    assert "which is no number" in run(capsys, *taught(tmp_path, lines, "--task", "numbers"), status=2).err


def test_columns_of_names_cannot_be_kept(tmp_path, capsys):
    """The advice was a preprocessor, which the command line has not."""
    lines = ["kunde,a,t", *(f"k{i},{i * i % 7},{'pq'[i % 2]}" for i in range(200))]
    err = run(capsys, *taught(tmp_path, lines, "--keep", "kunde"), status=2).err
    assert "column 'kunde' has 150 different texts in 150 rows" in err and "--ignore kunde" in err
    assert "preprocessor" not in err


def test_json_has_no_nan(tmp_path, capsys):
    """R2 of one row is none: it was NaN, which is no JSON."""
    (tmp_path / "one.csv").write_text("a,t\n0.5,1.5\n")
    out = run(capsys, *taught(tmp_path, numbers_of(), "--test", tmp_path / "one.csv", "--json")).out

    def refuse(word):
        raise AssertionError(word)

    assert json.loads(out, parse_constant=refuse)["report"]["achieved"]["student"]["r2"] is None


def test_a_name_over_two_lines_is_a_name(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'a,"price\r\n(EUR)",t\r\n1,2,p\r\n3,4,q\r\n')
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["a", "price (EUR)", "t"] and table["t"].tolist() == ["p", "q"]
    (tmp_path / "t.csv").write_text('a,"price\n1,2\n')
    with pytest.raises(TableError, match=r"t\.csv, line \d: "):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("option", ["--test", "--unlabeled"])
@pytest.mark.parametrize(
    ("text", "told"), [("b,t\n1,2\n", "there is no column 'a'"), ("a,t\n1e999,2\n", "row 0, column 'a': '1e999'")]
)
def test_what_is_wrong_with_another_file_names_it(option, text, told, tmp_path, capsys):
    other = tmp_path / "other.csv"
    other.write_text(text)
    assert f"{other}: {told}" in run(capsys, *taught(tmp_path, numbers_of(), option, other), status=2).err


def test_a_target_that_cannot_measure_names_its_file(tmp_path, capsys):
    other = tmp_path / "other.csv"
    other.write_text("a,t\n1,high\n2,low\n")
    err = run(capsys, *taught(tmp_path, numbers_of(), "--test", other), status=2).err
    assert f"{other}: the target 't' holds 'high', which is no number" in err


@pytest.mark.parametrize("numbers", [False, True])
def test_a_pickled_teacher_that_was_never_fitted_is_told(numbers, tmp_path, capsys):
    joblib.dump(RandomForestRegressor() if numbers else RandomForestClassifier(), tmp_path / "f.pkl")
    lines = numbers_of() if numbers else ["a,t", *(f"{i * i % 11},{'pq'[i % 2]}" for i in range(60))]
    err = run(capsys, *taught(tmp_path, lines, "--teacher", tmp_path / "f.pkl", "--trust-pickle"), status=2).err
    assert "f.pkl holds a RandomForest" in err and "that is not fitted" in err


def test_a_pickled_teacher_of_codes_knows_the_sorted_labels(tmp_path, capsys):
    """ja and nein were refused: the teacher knows the classes 0, 1."""
    a = np.random.default_rng(0).normal(size=90).round(3)
    joblib.dump(RandomForestClassifier(9, random_state=0).fit(a[:, None], (a > 0) * 1), tmp_path / "f.pkl")
    lines = ["a,t", *(f"{v},{'nein' if v > 0 else 'ja'}" for v in a)]
    more = ["--teacher", tmp_path / "f.pkl", "--trust-pickle", "--json"]
    found = json.loads(run(capsys, *taught(tmp_path, lines, *more)).out)
    assert found["report"]["achieved"]["teacher"]["accuracy"] > 0.9
    lines = ["a,t", *(f"{v},{1 + (v > 0) + (v > 1)}" for v in a)]
    joblib.dump(RandomForestClassifier(9).fit(a[:, None], (a > 0) * 1 + (a > 1)), tmp_path / "f.pkl")
    assert (
        "the teacher knows the classes 0, 1, 2, but not 3" in run(capsys, *taught(tmp_path, lines, *more), status=2).err
    )


def from_file(folder, y, model):
    """A fitted teacher of column a in a file, as the command makes it for a table of these labels; and what is said."""
    path, said = folder / "f.npz", []
    joblib.dump(model, path) if isinstance(model, RandomForestClassifier) else kd.save(path, model)
    a = pd.DataFrame({"a": np.random.default_rng(0).normal(size=len(y)).round(3)})
    args = Namespace(teacher=str(path), trust_pickle=True, seed=0)
    return teacher_of(args, a, np.array(y), Rules.of(a, (), (), (), []), said), a, said


@pytest.mark.parametrize("labels", [(8, 9, 10), (10, 20, 100), (-2, -1, 3), ("u", "v", "w")], ids=str)
def test_a_pickled_teacher_of_codes_knows_numbers_as_numbers_are_sorted(labels, tmp_path):
    """It was matched to 10, 8, 9: right in 6 % of the rows, not in 88 %, and nothing was said."""
    codes = np.arange(90) % 3
    model = RandomForestClassifier(3, random_state=0).fit(np.random.default_rng(0).normal(size=(90, 1)), codes)
    teacher, a, said = from_file(tmp_path, [str(labels[k]) for k in codes], model)
    assert teacher.classes_.tolist() == [str(label) for label in labels]
    wanted = np.array(labels).astype(str)[model.predict(a.to_numpy())]
    assert teacher.predict(a).tolist() == wanted.tolist()
    some = ", ".join(map(str, labels))
    assert said == [f"the teacher's classes 0 to 2 are taken as {some}, in this order."]
    classes = from_file(tmp_path, [str(labels[k]) for k in codes], kd.MLP(1, 4, 3))[0].classes_
    assert classes.tolist() == teacher.classes_.tolist()


@pytest.mark.parametrize(
    ("written", "known"),
    [
        (["8", "9", "10"], [8, 9, 10]),
        (["0", "1", "2"], [0.0, 1.0, 2.0]),
        (["0.0", "1.0", "2.0"], [0, 1, 2]),
        (["False", "True"], [False, True]),
        (["FALSE", "TRUE"], [False, True]),
        (["0", "1"], [False, True]),
        ([8, 9, 10], [8, 9, 10]),
    ],
    ids=str,
)
@pytest.mark.parametrize("pickled", [False, True])
def test_a_teacher_answers_in_the_labels_of_the_table(pickled, written, known, tmp_path):
    """A student of 0, 1, 2 taught for minutes, and the report ended in "texts: 0 is not '0'"."""
    codes = np.arange(60) % len(known)
    a = pd.DataFrame({"a": np.random.default_rng(0).normal(size=60).round(3)})
    model = (RandomForestClassifier(3, random_state=0) if pickled else DistilledClassifier(**HAND)).fit(
        a, np.array(known)[codes]
    )
    teacher, a, said = from_file(tmp_path, [written[k] for k in codes], model)
    assert not said and sorted(teacher.classes_.tolist()) == sorted(written)
    places = [known.index(k) for k in model.predict(a).tolist()]
    assert teacher.predict(a).tolist() == [written[k] for k in places]
    rest = figures(teacher, teacher, teacher, a, np.array([written[k] for k in codes]), 1)["achieved"]["student"]
    assert rest["accuracy"] == model.score(a, np.array(known)[codes])


def test_a_column_that_the_teacher_needs_and_that_was_left_out_can_be_kept(tmp_path, capsys):
    """ "was taught a, k; the table has a", which was not so."""
    made = pd.DataFrame({"a": np.random.default_rng(0).normal(size=40).round(3), "k": 1.0})
    lines = ["a,k,t", *(f"{v},1,{'pq'[v > 0]}" for v in made.a)]
    for rows in (made, made.to_numpy()):
        joblib.dump(RandomForestClassifier(2).fit(rows, np.where(made.a > 0, "q", "p")), tmp_path / "f.pkl")
        asked = taught(tmp_path, lines, "--teacher", tmp_path / "f.pkl", "--trust-pickle")
        assert "The table's 'k' was left out: --keep k" in run(capsys, *asked, status=2).err


def test_equal_probabilities_stay_equal_in_the_auc():
    """A division by a sum that was 1 to rounding parted them."""
    rng = np.random.default_rng(0)
    X, y = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"]), rng.integers(0, 3, 200).astype(str)
    model = RandomForestClassifier(10, random_state=0).fit(X[:100], y[:100])
    p = model.predict_proba(X)
    right = roc_auc_score(y, p, multi_class="ovr")
    assert right != roc_auc_score(y, p / p.sum(axis=1, keepdims=True), multi_class="ovr")
    assert figures(model, model, model, X, y, 1)["achieved"]["student"]["auc"] == right


def test_categories_that_onnx_has_not_are_one_line(tmp_path, capsys):
    """A traceback, and status 1."""
    pytest.importorskip("onnx")
    a = np.arange(40) % 4 + 0.5
    model = make_pipeline(OneHotEncoder(sparse_output=False), DistilledClassifier(**HAND)).fit(a[:, None], a > 2)
    kd.save(tmp_path / "f.npz", model)
    asked = ["export", "--model", tmp_path / "f.npz", "--to", "onnx", "--out", tmp_path / "f.onnx"]
    assert "categories in ONNX are texts or whole numbers: make them texts" in run(capsys, *asked, status=2).err


def test_a_contest_of_two_rows_ends(tmp_path, capsys):
    """Two rows that teach ended in 'low >= high'."""
    assert "2 rows held out" in run(capsys, *taught(tmp_path, numbers_of()[:4], "--task", "numbers")).out


def test_more_texts_than_have_inputs_are_said(tmp_path, capsys):
    """Two hundred shops: a hundred of them looked alike to the student, and nobody was told."""
    rng = np.random.default_rng(0)
    shops = np.concatenate([np.arange(200), rng.integers(200, size=1000)])
    rows = [f"shop{k},{x:.2f},{int(x > 0)}" for k, x in zip(shops, rng.normal(size=1200))]
    (tmp_path / "t.csv").write_text("\n".join(["shop,x,y", *rows]), "utf-8")
    words = ["--target", "y", "--soft-weight", "0", "--epochs", "2", "--student", "4", "--out", str(tmp_path / "s.npz")]
    assert cli.main(["distill", "--data", str(tmp_path / "t.csv"), *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["notes"]
    assert any(re.search("'shop' has 1.. different texts: the 100 commonest .* look alike", line) for line in said)
