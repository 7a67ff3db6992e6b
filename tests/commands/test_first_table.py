"""Tables as somebody brings them the first time: what is read, what is said of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas")

from kdlearn import cli  # noqa: E402
from kdlearn.commands.alarms import tell_leak, weak_points  # noqa: E402
from kdlearn.commands.frames import read_table  # noqa: E402
from kdlearn.commands.rules import Rules  # noqa: E402
from kdlearn.estimators import DistilledClassifier  # noqa: E402
from kdlearn.estimators.contest import Choice  # noqa: E402

SHORT = ["--epochs", "8", "--student", "4", "--soft-weight", "0"]


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame({"load": rng.normal(size=n).round(3), "site": rng.choice(["Linz", "Graz"], n)})
    made["status"] = np.where((made["load"] > 0) ^ (made["site"] == "Graz"), "ok", "repair")
    return made


def ruled(path, text, said, **more):
    path.write_text(text, "utf-8")
    cells = read_table(path, said=said)
    return Rules.of(cells, (), (), tuple(more), said), cells


def lines(name, cells):
    return "\n".join([f"{name},other", *(f'"{cell}",{i * i % 7}' for i, cell in enumerate(cells))])


@pytest.mark.parametrize(
    ("cells", "unit", "read"),
    [
        (["12.3 kg", "4 kg", "1,200.5 kg"], "kg", [12.3, 4, 1200.5]),
        (["12,3 km/h", "4,25 km/h", "5 km/h"], "km/h", [12.3, 4.25, 5]),
        (["20 °C", "-3.5 °C", "7 °C"], "°C", [20, -3.5, 7]),
        (["3m²", "4m²", "5.5m²"], "m²", [3, 4, 5.5]),
    ],
)
def test_a_column_with_one_unit_is_a_column_of_numbers(cells, unit, read, tmp_path):
    """It was left out as an ID: each weight is another text."""
    said: list[str] = []
    rules, cells_read = ruled(tmp_path / "t.csv", lines("size", cells * 9), said)
    rule = rules.columns[0]
    assert (rule["kind"], rule["unit"]) == ("number", unit) and any("is read as" in line for line in said)
    assert rules(cells_read)["size"].tolist()[:3] == read
    bare = cells_read.assign(size=[str(v) for v in read] * 9)
    assert rules(bare)["size"].tolist()[:3] == read  # later rows may come without it
    other: list[str] = []
    grams = rules(cells_read.assign(size="12 grains"), other)
    assert grams["size"].isna().all() and f"27 cells are no number in {unit}, such as '12 grains'" in other[-2]


def test_what_looks_like_a_unit_and_is_none(tmp_path):
    for cells in (["12A", "13B", "14C"], ["P-100", "P-200", "P-300"], ["007X", "008X", "019X"]):
        rules, _ = ruled(tmp_path / "t.csv", lines("size", cells * 9), [])
        assert rules.columns[0]["kind"] == "text", cells


def test_accounts_write_a_loss_in_parentheses(tmp_path):
    said: list[str] = []
    rules, cells = ruled(tmp_path / "t.csv", lines("gain", ["(12)", "3", "($1,234.50)", "(0.5)"] * 9), said)
    assert rules(cells)["gain"].tolist()[:4] == [-12, 3, -1234.5, -0.5] and "'(12)' is read as -12" in said[0]


def test_the_first_line_that_excel_writes(tmp_path):
    said: list[str] = []
    rules, cells = ruled(
        tmp_path / "t.csv", "sep=;\na;b\n" + "\n".join(f"{i * i % 5},5;{i * i % 7}" for i in range(20)), said
    )
    assert rules(cells)["a"].tolist()[:3] == [0.5, 1.5, 4.5] and not any("comment" in line for line in said)


def test_numbers_that_may_be_names_and_times_are_told_of(tmp_path):
    said: list[str] = []
    ruled(tmp_path / "t.csv", lines("zip", [4020, 8010, 4600] * 12), said)
    assert "column 'zip' holds 3 different whole numbers, such as 4020" in said[0] and "--categorical" in said[0]
    for cells in ([1990, 2020, 2021] * 12, [1, 2, 3] * 12):
        said = []
        ruled(tmp_path / "t.csv", lines("year", cells), said)
        assert not any("different whole numbers" in line for line in said)
    said = []
    ruled(tmp_path / "t.csv", lines("start", ["07:30", "18:05", "9:00"] * 12), said)
    assert "looks like times, such as '07:30'" in said[0]


def test_a_target_of_dates_is_refused(tmp_path, capsys):
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(60) // 3, unit="D")
    table().assign(status=days.strftime("%Y-%m-%d")).to_csv(tmp_path / "t.csv", index=False)
    asked = ["distill", "--data", str(tmp_path / "t.csv"), "--target", "status", "--out", str(tmp_path / "m.npz")]
    assert cli.main([*asked, *SHORT]) == 2
    assert "the target 'status' holds dates, such as '2024-01-01': make it a number" in capsys.readouterr().err


def test_a_column_that_tells_the_target_is_told_of():
    rows = table()
    y = rows.pop("status").to_numpy().astype(str)
    said: list[str] = []
    tell_leak(rows, y, "status", said)
    assert said == []
    tell_leak(rows.assign(outcome=np.where(y == "ok", "A", "B")), y, "status", said)
    assert len(said) == 1 and "column 'outcome' alone tells 'status' in every row" in said[0]
    numbers = rows["load"].to_numpy() ** 3
    tell_leak(rows.assign(cents=100 * numbers), numbers, "price", said)
    assert len(said) == 2 and "column 'cents' alone tells 'price'" in said[1]
    noise = np.random.default_rng(0).random(len(y))
    tell_leak(rows.assign(score=100 * (y == "ok") + noise), y, "status", said)  # a threshold of it is the target
    assert len(said) == 3 and "column 'score' alone tells 'status'" in said[2]
    once = np.where(np.arange(len(y)) == 7, "ok", "repair")
    tell_leak(rows.assign(score=100.0 * (once == "ok") + noise), once, "status", said)  # of one row it may be chance
    tell_leak(rows.assign(score=np.where(y == "ok", 1, 0) + 1.1 * noise), y, "status", said)
    assert len(said) == 3


def test_rare_classes_are_told_in_one_line():
    X = pd.DataFrame({"a": np.arange(12.0)})
    y = np.array(["a"] * 10 + ["b", "c"])
    said = weak_points(X, y, X[:7], np.array(["a"] * 6 + ["b"]))
    assert "of 2 classes fewer than 5 rows are held out ('b' 1, 'c' 0)" in said[-1]
    said = weak_points(X, np.array(["a"] * 11 + ["b"]), X[:7], np.array(["a"] * 6 + ["b"]))
    assert said[-1].startswith("of class 'b' 1 row is held out")


def test_from_a_table_to_a_header_and_an_answer(tmp_path, capsys, monkeypatch):
    """The report says what the most frequent class is worth, the header what is in percent, predict what lies far."""
    monkeypatch.chdir(tmp_path)
    rows = table(80)
    rows["status"] = np.where(np.arange(80) == 3, "lost", np.where(np.arange(80) % 5 > 0, "ok", "repair"))
    rows["weight"] = [f"{v:.1f} kg" for v in np.linspace(3, 90, 80)]
    rows["load"] = [f"{100 * v:.1f}%" for v in rows["load"]]
    rows.to_csv("t.csv", index=False)
    assert cli.main(["distill", "--data", "t.csv", "--target", "status", "--out", "m.npz", "--teacher", "boosting",
                     *SHORT]) == 0  # fmt: skip
    text = capsys.readouterr().out
    assert "  always ok " in text and "recall of lost" in text and "0 of 0" in text
    share = 100 * float(text.split("  always ok")[1].split("%")[0]) / 100
    held = [int(text.split(f"recall of {label}")[1].split(" of ")[1].split()[0]) for label in ("ok", "repair")]
    assert share == pytest.approx(100 * held[0] / sum(held), abs=0.06)
    assert cli.main(["export", "--model", "m.npz", "--to", "c", "--int8", "--out", "m.c"]) == 0
    assert "with weights in eight bits" in capsys.readouterr().out
    header = Path("m.h").read_text("utf-8")
    assert "load, in percent, 5 for 5 %" in header and "weight, in kg" in header
    rows.loc[:1, "weight"] = ["1e30 kg", "4 kg"]
    rows[:2].to_csv("new.csv", index=False)
    assert cli.main(["predict", "--model", "m.npz", "--data", "new.csv", "--out", "p.csv"]) == 0
    assert "column 'weight': '1e+30' lies far outside what was taught" in capsys.readouterr().out


def test_the_control_trains_as_long_as_the_contest_found(tmp_path, monkeypatch):
    """Labels alone that needed three times the passes to lose would look worse in the report than they are."""
    monkeypatch.chdir(tmp_path)
    table(80).to_csv("t.csv", index=False)
    passes, choose = [], DistilledClassifier._choose

    def chosen(model, *rest):
        passes.append(model.max_iter)
        if model.teacher is None:
            return choose(model, *rest)
        model.report_ = {"verdict": "", "alpha_of_labels_alone": 2.0, "longer_of_labels_alone": 3.0}
        return Choice(0.5, 1.0)

    monkeypatch.setattr(DistilledClassifier, "_choose", chosen)
    asked = ["distill", "--data", "t.csv", "--target", "status", "--out", "m.npz", "--epochs", "8", "--student", "4"]
    assert cli.main(asked) == 0 and passes == [8, 24]


@pytest.mark.parametrize(
    ("columns", "more", "told"),
    [
        ({"n": range(60)}, [], "column 'n' counts the rows (0, 1, …); it was left out. --keep n keeps it"),
        (
            {"n": ["x"] * 60, "m": [f"k{i}" for i in range(60)]},
            [],
            "holds 'x' in all rows; it was left out. column 'm' h",
        ),
        ({"m": [f"k{i}" for i in range(60)]}, [], "has 60 different texts in 60 rows, like an ID; it was left out"),
        ({"a": range(60), "b": range(60)}, ["--ignore", "a,b"], "the table has none but 'a', 'b', 'status'"),
        ({}, [], "the table has none but 'status'"),
    ],
    ids=["counts", "two", "an ID", "ignored", "none"],
)
def test_a_table_without_a_column_to_learn_from_says_why(columns, more, told, tmp_path, capsys):
    """It said "there is no column left to learn from" alone, and left nobody out by name."""
    made = pd.DataFrame({**{name: list(cells) for name, cells in columns.items()}, "status": ["ok", "repair"] * 30})
    made.to_csv(tmp_path / "t.csv", index=False)
    arguments = ["distill", "--data", str(tmp_path / "t.csv"), "--target", "status", *more]
    assert cli.main([*arguments, "--out", str(tmp_path / "s.npz"), *SHORT]) == 2
    error = capsys.readouterr().err
    assert "there is no column left to learn from: " in error and told in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (np.ones((60, 2)), "one column of several, y[:, 0], is a target; each column takes a student of its own"),
        (np.eye(3)[np.arange(60) % 3], "one-hot rows become labels with y.argmax(axis=1)"),
        (np.ones((60, 1)), "y.ravel() has that shape"),
        (np.ones(59), "one number or label for each of the 60 rows of x"),
        (np.float64(1), "one number or label for each of the 60 rows of x"),
    ],
    ids=["two numbers", "one-hot", "a column", "too few", "one number"],
)
def test_a_target_of_arrays_says_which_shape_it_takes(y, told, tmp_path, capsys):
    np.savez(tmp_path / "t.npz", x=np.ones((60, 2)), y=y)
    assert cli.main(["distill", "--data", str(tmp_path / "t.npz"), "--out", str(tmp_path / "s.npz"), *SHORT]) == 2
    error = capsys.readouterr().err
    assert f"'y' has shape {np.shape(y)}, it must be (60,): " in error and told in error
