"""Files that come back as they were written, and columns that are told by the whole file."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest

pd = pytest.importorskip("pandas")

import kdlearn as kd  # noqa: E402
from kdlearn import cli  # noqa: E402
from kdlearn.commands.frames import read_table  # noqa: E402
from kdlearn.commands.rules import Rules  # noqa: E402
from kdlearn.commands.student import load_student  # noqa: E402
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
