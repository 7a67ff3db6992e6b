"""Tables as other programs export them: signs for missing cells, targets with a unit, copies, one row of nonsense."""

from __future__ import annotations

import functools
import gzip
import json
import pickle
import re
import unicodedata
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

pd = pytest.importorskip("pandas")

import kdlearn  # noqa: E402
from kdlearn import cli, export  # noqa: E402
from kdlearn.checkpoint import CheckpointError  # noqa: E402
from kdlearn.commands import deploy  # noqa: E402
from kdlearn.commands.alarms import tell_far  # noqa: E402
from kdlearn.commands.as_taught import as_taught  # noqa: E402
from kdlearn.commands.decimals import several_units, stand_ins, target_numbers  # noqa: E402
from kdlearn.commands.frames import TableError, read_table  # noqa: E402
from kdlearn.commands.measure import shortfall  # noqa: E402
from kdlearn.commands.rules import Rules  # noqa: E402
from kdlearn.commands.target import read_target  # noqa: E402
from kdlearn.commands.teacher import Encoded, teacher_of  # noqa: E402
from kdlearn.estimators.contest import Choice, Result, decide, verdict  # noqa: E402

SHORT = ["--epochs", "8", "--student", "4", "--quiet"]


def ruled(path, header, rows, **options):
    path.write_text("\n".join([header, *rows]), "utf-8")
    said: list[str] = []
    table = read_table(path, said=said)
    rules = Rules.of(table, (), options.get("categorical", ()), options.get("keep", ()), said)
    return rules, rules(table, said), said


@pytest.mark.parametrize("sign", ["-", "--", "k.A.", "offen"])
def test_a_sign_in_every_tenth_cell_makes_no_texts_of_the_numbers(sign, tmp_path):
    """Hundreds of numbers were hundreds of texts, most of which the model did not know."""
    rows = [f"{sign if i % 10 == 3 else f'{150 + i / 10:.1f}'.replace('.', ',')};{i * i % 7}" for i in range(200)]
    rules, made, said = ruled(tmp_path / "t.csv", "size;b", rows)
    assert rules.columns[0]["kind"] == "number" and made["size"][1] == 150.1
    assert made["size"].isna().sum() == 20 and made["size"].isna()[3]
    assert f"column 'size': 20 cells are no number, such as {sign!r}, and taken as missing." in said


def test_dates_have_such_a_sign_too(tmp_path):
    rows = [f"{'-' if i % 5 == 0 else f'{i % 28 + 1:02d}.03.2024'};{i * i % 7}" for i in range(100)]
    rules, made, _ = ruled(tmp_path / "t.csv", "day;b", rows)
    assert rules.columns[0]["kind"] == "date" and made["day"].isna().sum() == 20


def test_a_word_beside_few_numbers_may_be_a_grade():
    grades = pd.Series(["1", "2", "3", "X", "2"] * 20)
    assert stand_ins(grades) == [] and stand_ins(grades.replace("X", "-")) == ["-"]
    numbers = pd.Series([str(i) for i in range(100)])
    assert stand_ins(pd.concat([numbers, pd.Series(["low", "high"])])) == []  # two words: which is missing?
    assert stand_ins(pd.concat([numbers, pd.Series(["low", "-"])])) == ["low", "-"]
    assert stand_ins(pd.Series(["+", "-", "1"])) == []
    assert stand_ins(pd.concat([numbers, pd.Series(["inf"])])) == []  # refused elsewhere


def test_a_column_that_stays_texts_says_what_it_is(tmp_path):
    rows = [f"{['low', 'high'][i // 4 % 2] if i % 4 == 0 else i % 60};{i * i % 7}" for i in range(200)]
    _, _, said = ruled(tmp_path / "t.csv", "a;b", rows)
    assert "is almost numeric: 50 cells are not, such as 'low', so each number is a text of its own." in " ".join(said)


def test_a_name_over_two_lines_hides_no_separator(tmp_path):
    """Its first line has none: the whole header was one name."""
    said: list[str] = []
    (tmp_path / "t.csv").write_text('"Gewicht\n(kg)";"a, b, c";y\n1;2;x\n3;4;z\n', "utf-8")
    assert list(read_table(tmp_path / "t.csv", said=said)) == ["Gewicht (kg)", "a, b, c", "y"]
    assert said == [f"{tmp_path / 't.csv'}: the cells are separated by ';'."]


def test_thousands_are_said_once(tmp_path):
    rows = [f"{i % 9 + 1}.{i * i % 1000:03d};{i * i % 7}" for i in range(60)]
    _, _, said = ruled(tmp_path / "t.csv", "a;b", rows)
    assert sum("is read as" in line for line in said) == 1


def test_the_share_of_percent_signs_is_that_of_the_numbers(tmp_path):
    """ "97% of the cells have a '%', the others have none": the others were no numbers."""
    rows = [f"{'k.A.' if i == 5 else f'{i % 40} %'};{i * i % 7}" for i in range(100)]
    _, _, said = ruled(tmp_path / "t.csv", "a;b", rows)
    assert not any("have none" in line for line in said)
    rows[7] = "5;1"
    assert any("99% of the numbers have a '%'" in line for line in ruled(tmp_path / "t.csv", "a;b", rows)[2])


def test_a_cell_with_another_unit_is_told_which_was_expected(tmp_path):
    rows = [f"{i * 7 % 50} °C,{i * i % 7}" for i in range(100)]
    rules, _, _ = ruled(tmp_path / "t.csv", "a,b", rows)
    said: list[str] = []
    rules(pd.DataFrame({"a": ["80 °F"], "b": ["1"]}), said)
    assert "column 'a': 1 cell is no number in °C, such as '80 °F', and taken as missing." in said


def test_a_copy_of_a_column_is_left_out(tmp_path):
    rows = [f"{i * i % 17},{i * i % 17},x,{i * i % 5},{i * i % 17}" for i in range(60)]
    rules, _, said = ruled(tmp_path / "t.csv", "a,copy,same,b,kept", rows, keep=("kept",))
    assert rules.names == ["a", "b", "kept"]
    assert "column 'copy' holds in every row what 'a' holds; it was left out." in said
    _, _, said = ruled(tmp_path / "t.csv", "a,copy,same,b,kept", rows)
    assert (
        "2 columns hold in every row what an earlier one holds; they were left out: 'copy' ('a'), 'kept' ('a')." in said
    )
    rows[9] = "3,4,x,1,5"
    assert ruled(tmp_path / "t.csv", "a,copy,same,b,kept", rows)[0].names == ["a", "copy", "b", "kept"]
    few = [f"{i % 3},{i % 3},{i}{i}" for i in range(12)]  # a chance
    assert ruled(tmp_path / "t.csv", "a,copy,b", few)[0].names == ["a", "copy", "b"]


def test_one_cell_of_nonsense_is_said():
    """999.9 °C among room temperatures stretched the scale of its column by two and a half; nothing was said."""
    rng = np.random.default_rng(0)
    for values, wrong in (
        (rng.normal(25, 8, 3000), 999.9),
        (rng.uniform(0, 100, 3000), -999),
        (rng.normal(size=300), 50),
    ):
        cells, said = pd.Series(values), list[str]()
        tell_far("a", cells, cells, said)
        assert said == []
        cells[7] = wrong
        tell_far("a", cells, cells, said)
        assert len(said) == 1 and f"1 cell holds '{wrong:.1f}'" in said[0] and "leave that cell empty" in said[0]
    for seed in range(20):  # a long tail has none
        cells, said = pd.Series(np.exp(1.5 * np.random.default_rng(seed).normal(size=2000))), []
        tell_far("a", cells, cells, said)
        assert said == []


def engines(n=240, seed=0):
    rng = np.random.default_rng(seed)
    load = rng.uniform(0, 100, n)
    return pd.DataFrame({"load": load.round(1), "hall": rng.choice(["A", "B"], n), "power": 3 + load / 20})


def test_a_target_with_a_unit_is_a_number_and_its_unit_reaches_the_header(tmp_path, capsys, monkeypatch):
    """Each of 901 readings was a class of its own; the header said neither what is predicted nor in which unit."""
    monkeypatch.chdir(tmp_path)
    made = engines()
    made["power"] = [f"{v:.2f} kW" for v in made["power"]]
    made.loc[3, "power"] = "ERR"
    made.to_csv("t.csv", index=False)
    asked = ["distill", "--data", "t.csv", "--target", "power", "--out", "m.npz", "--soft-weight", "0"]
    assert cli.main([*asked, "--epochs", "8", "--student", "4"]) == 0
    out = capsys.readouterr().out
    assert "it is predicted as a number" in out and "'power': '" in out and " kW' is read as " in out
    assert "1 row with no number as 'power', such as 'ERR', left out." in out and "Taught on 179 rows" in out
    assert cli.main(["export", "--model", "m.npz", "--to", "c", "--out", "m.c"]) == 0
    assert "the answer: power (in kW)" in capsys.readouterr().out
    assert "   y[0]: power, in kW\n" in Path("m.h").read_text("utf-8")
    asked = ["export", "--model", "m.npz", "--to", "c", "--integer", "--out", "i.c", "--calibration", "t.csv"]
    assert cli.main(asked) == 0
    assert "   scores: power in 10^-" in (text := Path("i.h").read_text("utf-8")) and ", in kW. Integers" in text


def test_rows_to_measure_on_must_count_the_target_alike(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = engines()
    made.assign(power=[f"{v:.2f} kW" for v in made["power"]]).to_csv("t.csv", index=False)
    made.assign(power=[f"{1000 * v:.0f} W" for v in made["power"]]).to_csv("other.csv", index=False)
    asked = ["distill", "--data", "t.csv", "--target", "power", "--out", "m.npz", "--soft-weight", "0", *SHORT]
    assert cli.main([*asked, "--test", "other.csv"]) == 2
    assert "other.csv: 'power' is in W, in t.csv it is in kW" in capsys.readouterr().err
    made.to_csv("bare.csv", index=False)
    assert cli.main([*asked, "--test", "bare.csv"]) == 0


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["3 €", "4,5 €"], "in €"),
        (["EUR 3", "EUR 4.5"], "in EUR"),
        (["3 %", "4.5 %"], "in percent, 5 for 5 %"),
        (["3", "4.5"], None),
    ],
)
def test_what_a_target_counts(cells, told):
    values, counted = target_numbers(pd.DataFrame({"y": cells * 9}, dtype=object), "y", [])
    assert values.tolist() == [3, 4.5] * 9 and counted == told


def test_a_currency_reaches_the_header(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = engines()
    made["class"], made["load"] = np.where(made.pop("power") > 5, "01", "02"), [f"{v:,.2f} €" for v in made["load"]]
    made["note"] = np.where(made["load"].str.startswith("1"), '"new"', "old")
    made.to_csv("t.csv", index=False)
    asked = ["distill", "--data", "t.csv", "--target", "class", "--out", "m.npz", "--soft-weight", "0", *SHORT]
    assert cli.main(asked) == 0
    assert cli.main(["export", "--model", "m.npz", "--to", "c", "--out", "m.c"]) == 0
    header = Path("m.h").read_text("utf-8")
    assert "x[0]: load, in €; NaN" in header and "   Classes of class: 0 = 01, 1 = 02.\n" in header
    assert """0 = '"new"', 1 = old""" in header  # it was ""new""


def test_what_costs_more_has_a_ratio_below_one():
    """A student that answered fewer rows a second had the ratio of one that answered more."""
    entry = {"parameters": 100, "multiply_adds": 90, "bytes": 400, "bytes_int8": 100, "file_bytes": 2000}
    entry |= {"door": "estimator", "latency_us": dict.fromkeys(("p50", "p95", "p99"), 200.0), "rows_per_s": 4000.0}
    entry |= dict.fromkeys(("accuracy", "r2", "mae"))
    slow = {**entry, "file_bytes": 4000, "rows_per_s": 3000.0, "latency_us": {"p50": 800.0, "p95": 1.0, "p99": 1.0}}
    found = {"teacher": entry, "student": slow, "agreement": None, "difference": None, "task": "classes"}

    def ratios(found):
        named = ("file", "latency of one row, p50", "rows")
        return [line.split()[-1] for line in export.format_report(found).splitlines() if line.startswith(named)]

    assert ratios(found) == ["0.5", "0.25", "0.75"]
    turned = {**found, "teacher": slow, "student": entry}
    assert ratios(turned) == ["2.0", "4.0", "1.3"]


def test_a_teacher_that_stays_better_is_said():
    def found(key, teacher, student):
        return {"achieved": {name: {key: (a + b) / 2, f"{key}_interval": [a, b]}
                             for name, (a, b) in (("teacher", teacher), ("student", student))}}  # fmt: skip

    said = shortfall(found("accuracy", (0.72, 0.74), (0.66, 0.68)))
    assert len(said) == 1 and "accuracy 73.0 % against 67.0 %: a wider student" in said[0]
    assert "R2 0.95 against 0.9: " in shortfall(found("r2", (0.94, 0.96), (0.89, 0.91)))[0]
    assert shortfall(found("r2", (0.94, 0.96), (0.92, 0.945))) == []


def test_labels_alone_without_a_contest_say_that_they_had_one_decay(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = engines(80)
    made.assign(power=np.where(made["power"] > 5, "high", "low")).to_csv("t.csv", index=False)
    asked = ["distill", "--data", "t.csv", "--target", "power", "--out", "m.npz", "--soft-weight", "0.5", *SHORT]
    assert cli.main(asked) == 0
    assert (
        "labels alone: one weight decay, the default; without --soft-weight several compete." in capsys.readouterr().out
    )


def test_a_verdict_says_that_the_time_was_over():
    noise = 0.1 * np.random.default_rng(0).normal(size=100)
    choices = (Choice(0.0, alpha=1.0), Choice(0.5, 1.0), Choice(0.5, 3.0))
    losses = (1 + noise, 1.1 + noise, np.full(100, np.nan))
    results = [Result(c, loss, np.where(np.isnan(loss), np.nan, 1.0)) for c, loss in zip(choices, losses)]
    said = verdict(results, decide(results, np.ones(100)), late=True)
    assert said.endswith("(100 rows held out in turn). max_time ended the comparison after 2 of 3 settings.")
    assert "max_time" not in verdict(results, decide(results, np.ones(100)))


def test_what_avr_cannot_take_is_said_with_what_is_smaller(monkeypatch):
    made = {
        "files": [__file__],
        "constants": 1,
        "scratch": 1,
        "static_ram": 0,
        "multiply_adds": 1,
        "name": "net",
        "selftest_rows": 1,
    }
    monkeypatch.setattr(deploy, "measure_c", lambda _: {"compiler": "cc", "flash": 50_000, "ram": 552, "stack": 300})
    monkeypatch.setattr(deploy.shutil, "which", lambda _: "/bin/avr-gcc")
    told = deploy._told_c(made, False)
    assert (
        "(the RAM: pointers to texts, which AVR goes without)" in told and "--int8 and --integer take a quarter" in told
    )
    assert "take a quarter" not in deploy._told_c({**made, "agreement": 1.0}, False)


# ------------------------------------------------------------------ what a person passes on


@pytest.fixture
def pairs(tmp_path):
    """`(file of a, b and y, its table)`, y "1" where 2 a + b / 10 > 0."""
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"a": rng.normal(size=200), "b": 3 * rng.normal(size=200) + 1})
    made["y"] = (2 * made.a + 0.1 * made.b > 0).astype(int)
    made.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv", made


@pytest.mark.parametrize("labels", [str, int])
@pytest.mark.parametrize("names", [["a", "b"], ["b", "a"], ["a"]])
def test_a_pickled_teacher_gets_its_own_columns_in_its_own_order(names, labels, pairs, tmp_path, capsys):
    """It took b for a, and was right in 65 % of the rows; one of labels 0 and 1 stopped the report."""
    data, made = pairs
    teacher = LogisticRegression().fit(made[names], made.y.astype(labels))
    joblib.dump(teacher, tmp_path / "m.pkl")
    asked = ["--data", str(data), "--teacher", str(tmp_path / "m.pkl"), "--trust-pickle", "--test", str(data), "--json"]
    rest = ["--target", "y", "--out", str(tmp_path / "s.npz"), "--epochs", "2", "--soft-weight", "0.5"]
    assert cli.main(["distill", *asked, *rest]) == 0
    found = json.loads(capsys.readouterr().out)["report"]
    assert found["achieved"]["teacher"]["accuracy"] == teacher.score(made[names], made.y.astype(labels)) > 0.9
    assert found["teacher"]["accuracy"] == found["achieved"]["teacher"]["accuracy"]


@pytest.mark.parametrize("kind", ["kdlearn", "pickle", "joblib", "compressed", "boosting", "mlp"])
def test_a_teacher_from_a_file_has_the_size_of_its_file(kind, pairs, tmp_path, capsys):
    """A file of 4,403 bytes was reported as the 3,684 that the model takes without its table's rules."""
    data, made = pairs
    file, rest = tmp_path / "m.file", ["--target", "y", "--epochs", "2", "--soft-weight", "0.5"]
    model = LogisticRegression().fit(made[["a", "b"]], made.y.astype(str))
    if kind == "kdlearn":
        assert cli.main(["distill", "--data", str(data), "--out", str(file), *rest, "--quiet"]) == 0
    elif kind == "pickle":
        file.write_bytes(pickle.dumps(model))
    elif kind in ("joblib", "compressed"):
        joblib.dump(model, file, compress=9 if kind == "compressed" else 0)
    capsys.readouterr()
    teacher = str(file) if file.exists() else kind
    asked = ["--data", str(data), "--teacher", teacher, "--trust-pickle", "--out", str(tmp_path / "s.npz"), *rest]
    assert cli.main(["distill", *asked]) == 0
    text = capsys.readouterr().out
    what = {"boosting": "as a pickle", "mlp": "as kdlearn.save writes it"}.get(kind, f"of {file}")
    assert f"file on disk: the teacher {what}" in text
    if file.exists():
        shown = text.split("file on disk, bytes")[1].split()[0]
        assert int(shown.replace(",", "")) == file.stat().st_size


def test_a_pickled_regressor_of_other_columns(pairs, tmp_path, capsys):
    _, made = pairs
    made["y"] = 2 * made.a + made.b
    made.to_csv(tmp_path / "r.csv", index=False)
    asked = [
        "distill",
        "--data",
        tmp_path / "r.csv",
        "--target",
        "y",
        "--teacher",
        tmp_path / "m.pkl",
        "--trust-pickle",
    ]
    asked += ["--out", tmp_path / "s.npz", "--epochs", "2", "--soft-weight", "0.5", "--json"]
    joblib.dump(LinearRegression().fit(made[["b", "a"]], made.y), tmp_path / "m.pkl")
    assert cli.main([*map(str, asked)]) == 0
    assert json.loads(capsys.readouterr().out)["report"]["achieved"]["teacher"]["r2"] > 0.999
    joblib.dump(LinearRegression().fit(made[["b", "a"]].set_axis(["b", "c"], axis=1), made.y), tmp_path / "m.pkl")
    assert cli.main([*map(str, asked)]) == 2
    assert "was taught b, c; the table has a, b" in capsys.readouterr().err


def odd_column(kind, n=200):
    """A table of x, c and y in which c tells y, read as its owner would have it: `(cells, --categorical, dtype)`."""
    rng = np.random.default_rng(0)
    x, code = rng.normal(size=n).round(3), rng.integers(0, 4, size=n)
    written, categorical, dtype = {
        "booleans": (np.array(["True", "False"])[code % 2], False, None),
        "lower": (np.array(["true", "FALSE"])[code % 2], False, None),
        "booleans as texts": (np.array(["True", "False"])[code % 2], False, str),
        "gaps": (np.array(["True", "False", "", ""])[code], False, None),
        "numbers": (code + 10, True, None),
        "leading zeros": (np.array(["01", "02", "10", "11"])[code], False, None),
        "numbers as texts": (code + 10, False, str),
        "codes as texts": (code + 10, True, str),
        "texts": (np.array(["u", "v", "", ""])[code], False, None),
        "question marks": (np.array(["u", "v", "?", "?"])[code], False, None),
        "dates": (np.array(["2024-02-01", "2024-02-01 10:00", "2024-03-05", "05.06.2024"])[code], False, None),
    }[kind]
    y = np.where(np.isin(code, [0, 2]) == (x > -1.5), "p", "q")
    return pd.DataFrame({"x": x, "c": written, "y": y}), ("c",) if categorical else (), dtype


def from_pickle(folder, model, categorical=(), said=None):
    """`(teacher as the command makes it, its rows)` of t.csv in the folder."""
    joblib.dump(model, folder / "m.pkl")
    table = read_table(folder / "t.csv")
    rules = Rules.of(table, {"y"}, categorical, [name for name in table if name != "y"], [])
    X, y = rules(table), table["y"].to_numpy(str)
    rules.read = [(table, X)]
    args = Namespace(teacher=str(folder / "m.pkl"), trust_pickle=True, seed=0)
    return teacher_of(args, X, y, rules, [] if said is None else said), X


@pytest.mark.parametrize(
    "kind",
    ["booleans", "lower", "booleans as texts", "gaps", "numbers", "leading zeros", "numbers as texts",
     "codes as texts", "texts", "question marks", "dates"],
)  # fmt: skip
def test_a_pickled_teacher_gets_the_cells_that_it_was_taught(kind, tmp_path):
    """Its encoder knew True and got "True": zeros for the column, 64 % for 99 %, and nothing was said."""
    made, categorical, dtype = odd_column(kind)
    made.to_csv(tmp_path / "t.csv", index=False)
    owner, said = pd.read_csv(tmp_path / "t.csv", dtype={"c": dtype} if dtype else None), []
    encoder = OneHotEncoder(handle_unknown="ignore")
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder) if kind == "gaps" else encoder
    model = make_pipeline(make_column_transformer((encoder, ["c"]), remainder="passthrough"), LogisticRegression())
    model.fit(owner[["c", "x"]], owner.y)
    teacher, X = from_pickle(tmp_path, model, categorical, said)
    np.testing.assert_array_equal(teacher.predict_proba(X), model.predict_proba(owner[["c", "x"]]))
    np.testing.assert_array_equal(teacher.predict_proba(X[:1]), model.predict_proba(owner[["c", "x"]][:1]))
    assert not said


class Kept(ClassifierMixin, BaseEstimator):
    """A model as people write them: its pipeline lies in a dict of lists, which ends in the model itself."""

    def __init__(self, pipe=None):
        self.pipe = pipe

    def fit(self, X, y):
        self.feature_names_in_, self.classes_ = np.array(X.columns, object), np.unique(y)
        self.inner_ = {"models": [("pipe", clone(self.pipe).fit(X, y)), (self,)]}
        return self

    def predict_proba(self, X):
        return self.inner_["models"][0][1].predict_proba(X)

    def predict(self, X):
        return self.inner_["models"][0][1].predict(X)


WRAPPED = {
    "frozen": lambda pipe: pipe,
    "calibrated": lambda pipe: CalibratedClassifierCV(pipe, cv=2),
    "calibrated frozen": lambda pipe: CalibratedClassifierCV(pipe),
    "voting": lambda pipe: VotingClassifier([("a", pipe), ("b", clone(pipe))], voting="soft"),
    "stacked": lambda pipe: StackingClassifier([("a", pipe)], LogisticRegression(), cv=2),
    "search": lambda pipe: GridSearchCV(pipe, {"logisticregression__C": [1.0]}, cv=2),
    "threshold": lambda pipe: TunedThresholdClassifierCV(pipe, cv=2),
    "in a pipeline": lambda pipe: make_pipeline(FunctionTransformer(), VotingClassifier([("a", pipe)], voting="soft")),
    "by hand": lambda pipe: Kept(pipe),
}
FIXED_WIDTH = {"texts": ["Bonn  ", "Ulm   ", "Aachen "], "booleans": ["True ", "False"], "signs": ["NA ", "EU ", "US "]}


def fixed_width(folder, cells):
    """`(X, y)` of t.csv as a reader of its texts has them: t with its blanks, which alone tells most of y."""
    rng = np.random.default_rng(0)
    t = np.array(cells)[np.arange(120) % len(cells)]
    y = np.where((t == cells[0]) == (rng.random(120) > 0.05), "p", "q")
    pd.DataFrame({"a": rng.normal(size=120).round(2), "t": t, "y": y}).to_csv(folder / "t.csv", index=False)
    owner = pd.read_csv(folder / "t.csv", dtype={"t": str}, keep_default_na=False)
    return owner[["a", "t"]], owner.y


@pytest.mark.parametrize("kind", FIXED_WIDTH)
@pytest.mark.parametrize("wrapper", WRAPPED)
def test_the_encoder_inside_any_wrapper_is_asked_for_its_texts(wrapper, kind, tmp_path):
    """It knew "Bonn  " and got "Bonn": 61 % for 92 %, and nothing was said."""
    X, y = fixed_width(tmp_path, FIXED_WIDTH[kind])
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["t"]), remainder="passthrough")
    pipe, said = make_pipeline(encoder, LogisticRegression()), []
    model = WRAPPED[wrapper](FrozenEstimator(pipe.fit(X, y)) if "frozen" in wrapper else pipe).fit(X, y)
    teacher, rows = from_pickle(tmp_path, model, ("t",), said)
    np.testing.assert_array_equal(teacher.predict_proba(rows), model.predict_proba(X))
    assert not said


def test_the_encoder_of_a_regressor_of_a_transformed_target_is_asked(tmp_path):
    X, _ = fixed_width(tmp_path, FIXED_WIDTH["texts"])
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["t"]), remainder="passthrough")
    inner = TransformedTargetRegressor(make_pipeline(encoder, LinearRegression()), transformer=StandardScaler())
    model, table = inner.fit(X, np.arange(120.0) % 3), read_table(tmp_path / "t.csv")
    rules = Rules.of(table, {"y"}, (), (), [])
    rules.read = [(table, rules(table))]
    step = as_taught(model, ["a", "t"], rules, "the teacher", [])
    assert model.score(step.transform(rules.read[0][1]), np.arange(120.0) % 3) > 0.99


def test_members_that_know_some_texts_each_know_all_together_and_each_its_own_columns(tmp_path):
    """One of bagging gets some of the columns, as an array; the categories of another column are none of this one's."""
    X, y = fixed_width(tmp_path, FIXED_WIDTH["texts"])
    X = X.assign(a=np.array(["Bonn", "Ulm"])[np.arange(120) % 2])
    pd.concat([X, y], axis=1).to_csv(tmp_path / "t.csv", index=False)
    one = make_pipeline(OneHotEncoder(handle_unknown="ignore"), DecisionTreeClassifier())
    bag = BaggingClassifier(one, 5, max_features=1, max_samples=3, random_state=1).fit(X, y)
    knows = {tuple(part.tolist()): part for e in bag.estimators_ for part in e[0].categories_}
    assert {tuple(places.tolist()) for places in bag.estimators_features_} == {(0,), (1,)} and len(knows) > 2
    said: list[str] = []
    teacher, rows = from_pickle(tmp_path, bag, said=said)
    np.testing.assert_array_equal(teacher.predict_proba(rows), bag.predict_proba(X))
    assert not said


@pytest.mark.parametrize("where", ["behind a turn", "of a stack", "of another kind"])
def test_an_encoder_of_which_the_columns_cannot_be_told_is_not_misread_and_is_said(where, tmp_path):
    """As many columns reach it as the table has, and they are others."""
    X, y = fixed_width(tmp_path, FIXED_WIDTH["texts"])
    hot = OneHotEncoder(handle_unknown="ignore")
    models = {
        "behind a turn": make_pipeline(FunctionTransformer(turned), hot, LogisticRegression()),
        "of a stack": StackingClassifier(
            [(f"{i}", make_pipeline(FunctionTransformer(turned), hot, LogisticRegression())) for i in range(2)],
            make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), cv=2,
        ),
        "of another kind": make_pipeline(FunctionTransformer(lengths), LogisticRegression()),
    }  # fmt: skip
    said: list[str] = []
    teacher, rows = from_pickle(tmp_path, models[where].fit(X, y), said=said)
    (one,) = said
    assert "does not show which texts it knows of 't': it gets them as pandas.read_csv gives them" in one
    assert teacher.encode.transform(rows).t.tolist() == X.t.str.strip().tolist()


def turned(F):
    return np.asarray(F, object)[:, ::-1]


def lengths(F):
    return np.array([[len(cell)] for cell in F.t])


RULES_OF_ITS_OWN = {
    "tuned": TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy", cv=2),
    "fixed": FixedThresholdClassifier(LogisticRegression(), threshold=0.2, pos_label="q"),
    "Platt": SVC(probability=True, random_state=0),
}


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
@pytest.mark.parametrize("rule", RULES_OF_ITS_OWN)
def test_the_figures_of_a_pickled_teacher_are_those_of_its_own_answers(rule, tmp_path, capsys):
    """They were those of its most probable classes: 81 % for 61 %, and 0 of 18 for 10 of 18."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(100, 2)).round(2), columns=["a", "b"])
    y = np.where(X.a + 2 * rng.normal(size=100) > 2, "q", "p")
    model = RULES_OF_ITS_OWN[rule].fit(X, y)
    own, likely = model.predict(X), model.classes_[model.predict_proba(X).argmax(axis=1)]
    joblib.dump(model, tmp_path / "m.pkl")
    X.assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    files = {"data": "t.csv", "test": "t.csv", "teacher": "m.pkl", "out": "s.npz"}
    asked = [part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file))]
    rest = ["--target", "y", "--trust-pickle", "--soft-weight", "0.5", "--json", "--epochs", "2", "--student", "2"]
    assert cli.main(["distill", *asked, *rest]) == 0
    found = json.loads(capsys.readouterr().out)
    n, achieved = int((own != likely).sum()), found["report"]["achieved"]["teacher"]
    assert n and found["report"]["teacher"]["accuracy"] == achieved["accuracy"] == model.score(X, y)
    assert achieved["recall"]["q"] == [int(((own == "q") & (y == "q")).sum()), int((y == "q").sum())]
    p = model.predict_proba(X)[np.arange(100), (y == "q").astype(int)]
    assert achieved["log_loss"] == pytest.approx(-np.log(p).mean())
    student = kdlearn.load(tmp_path / "s.npz")
    assert found["report"]["agreement"] == (student.predict(X) == own).mean()
    (said,) = [line for line in found["warnings"] if "of its own" in line]
    assert said.startswith(f"The teacher answers {n} of 100 rows otherwise than its highest probability")


@pytest.mark.parametrize("answers", [lambda p: p, lambda p: p.argmax(axis=1) + 7, None])
def test_answers_that_are_no_labels_of_the_teachers_leave_the_most_probable_ones(answers):
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    model = SimpleNamespace(classes_=np.array([0, 1]), predict_proba=lambda X: p)
    if answers:
        model.predict = lambda X: answers(p)
    teacher = Encoded(FunctionTransformer(), model, ["u", "v"])
    assert teacher.predict(p).tolist() == ["u", "v", "v"]


@pytest.mark.parametrize(
    "model",
    [SVC(), RidgeClassifier(), make_pipeline(StandardScaler(), LinearSVC()), VotingClassifier([("a", SVC())])],
    ids=lambda model: type(model).__name__,
)
def test_a_pickled_classifier_without_probabilities_is_told_what_it_lacks(model, pairs, tmp_path, capsys):
    data, made = pairs
    joblib.dump(model.fit(made[["a", "b"]], made.y), tmp_path / "m.pkl")
    asked = ["--data", str(data), "--target", "y", "--teacher", str(tmp_path / "m.pkl"), "--trust-pickle"]
    assert cli.main(["distill", *asked, "--out", str(tmp_path / "s.npz"), *SHORT]) == 2
    err = capsys.readouterr().err
    assert f"holds {type(model).__name__}, which has no predict_proba" in err and "CalibratedClassifierCV" in err


def test_a_pickled_teacher_of_booleans_needs_no_encoder(tmp_path):
    """It is fitted, and was told to the reader as one that could not learn: "put an encoder before it"."""
    made = odd_column("booleans")[0]
    made.to_csv(tmp_path / "t.csv", index=False)
    owner = pd.read_csv(tmp_path / "t.csv")
    model = HistGradientBoostingClassifier(max_iter=5).fit(owner[["c", "x"]], owner.y)
    teacher, X = from_pickle(tmp_path, model)
    np.testing.assert_array_equal(teacher.predict_proba(X), model.predict_proba(owner[["c", "x"]]))


def test_a_pickled_teacher_without_a_word_for_a_column_is_told_of(tmp_path):
    made = odd_column("booleans")[0]
    made.to_csv(tmp_path / "t.csv", index=False)
    owner, said = made.assign(c=np.where(made.c == "True", "ja", "nein")), []
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(owner[["c", "x"]], owner.y)
    teacher, X = from_pickle(tmp_path, model, said=said)
    assert teacher.predict(X).shape == (200,)
    (one,) = said
    assert "column 'c': the teacher of" in one and "knows none of its categories, such as '" in one and "'ja'" in one


def test_texts_that_blanks_alone_tell_apart_are_said(tmp_path):
    """A teacher that knew "Bern" and "Bern " got one for both, 80 % for 89 %, and nothing was said."""
    made = odd_column("texts")[0].assign(c=np.array(["Bern", "Bern ", " Bern", "Basel"])[np.arange(200) % 4])
    made["y"] = np.array(["a", "a ", "b", "b"])[np.arange(200) // 3 % 4]
    made.to_csv(tmp_path / "t.csv", index=False)
    table, notes = read_table(tmp_path / "t.csv"), []
    Rules.of(table, {"y"}, (), (), notes)
    read_target(table, "y", "auto", notes)
    assert notes == [
        f"{what}: texts that differ in blanks around them alone, such as {text!r}, are one."
        for what, text in (("column 'c'", "Bern "), ("the target 'y'", "a "))
    ]
    assert not read_table(tmp_path / "t.csv")["c"].isin(["Bern ", " Bern"]).any()
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough")
    owner, said = pd.read_csv(tmp_path / "t.csv"), []
    model = make_pipeline(encoder, LogisticRegression()).fit(owner[["c", "x"]], owner.y.str.strip())
    teacher, X = from_pickle(tmp_path, model, said=said)
    (one,) = said
    assert "tells ' Bern' from other texts that differ in blanks alone" in one and "gets 'Bern' for all" in one
    bare = owner.assign(c=owner.c.str.strip())[["c", "x"]]
    np.testing.assert_array_equal(teacher.predict_proba(X), model.predict_proba(bare))


def test_a_pickled_teacher_that_cannot_answer_says_so(tmp_path):
    made = odd_column("dates")[0]
    made.to_csv(tmp_path / "t.csv", index=False)
    owner = made.assign(c=pd.Timestamp("2024-02-01"))
    model = make_pipeline(FunctionTransformer(day_of), LogisticRegression()).fit(owner[["c", "x"]], owner.y)
    teacher, X = from_pickle(tmp_path, model)
    with pytest.raises(CheckpointError, match=r"the teacher of .*m.pkl cannot answer these rows: .* dates as texts"):
        teacher.predict_proba(X)


def day_of(F):
    return F.assign(c=F.c.dt.day)


def test_a_pickled_teacher_knows_the_cells_of_all_files(tmp_path, capsys):
    """Codes, True and False, units and commas; codes and gaps that stand in the other files alone."""
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"x": rng.normal(size=180).round(2), "on": rng.random(180) < 0.5})
    made["code"] = np.r_[rng.integers(1, 4, 120), rng.integers(1, 6, 60)]
    made["y"] = np.where((made.code % 2 == 1) == made.on, "p", "q")
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["on"]), (OrdinalEncoder(), ["code"]), remainder="passthrough"
    )
    model = make_pipeline(encoder, HistGradientBoostingClassifier(min_samples_leaf=2))
    names = ["x", "code", "on"]
    joblib.dump(model.fit(made[names], made.y), tmp_path / "m.pkl")
    written = made.assign(x=[f"{v:.2f} kg".replace(".", ",") for v in made.x])
    for name, rows in (("t", written[:120]), ("u", written[names][120:]), ("v", written[120:])):
        rows.to_csv(tmp_path / f"{name}.csv", index=False, sep=";")
    rest = ["--target", "y", "--categorical", "code", "--epochs", "2", "--soft-weight", "0.5", "--json"]
    files = {"data": "t.csv", "unlabeled": "u.csv", "test": "v.csv", "teacher": "m.pkl", "out": "s.npz"}
    asked = [part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file))]
    assert cli.main(["distill", *asked, *rest, "--trust-pickle"]) == 0
    found = json.loads(capsys.readouterr().out)["report"]
    assert found["achieved"]["teacher"]["accuracy"] == model.score(made[names][120:], made.y[120:]) == 1.0


@pytest.mark.parametrize("other", ["lb", ""])
def test_a_student_that_teaches_counts_as_the_table_does(other, pairs, tmp_path, capsys):
    """A teacher of kilograms was asked for pounds, and was right in half of the rows."""
    _, made = pairs

    def write(name, unit):
        made.assign(a=[f"{70 + 10 * a:.2f} {unit}".strip() for a in made.a]).to_csv(tmp_path / name, index=False)
        return str(tmp_path / name)

    asked = ["--target", "y", "--epochs", "2", "--quiet", "--soft-weight", "0.5", "--out"]
    teacher, student = str(tmp_path / "kg.npz"), str(tmp_path / "s.npz")
    assert cli.main(["distill", "--data", write("kg.csv", "kg"), *asked, teacher]) == 0
    assert cli.main(["distill", "--data", write("kg.csv", "kg"), "--teacher", teacher, *asked, student]) == 0
    capsys.readouterr()
    status = cli.main(["distill", "--data", write("o.csv", other), "--teacher", teacher, *asked, student])
    assert status == (2 if other else 0)
    if other:
        assert "was taught the column 'a' with unit 'kg', this table has it with 'lb'" in capsys.readouterr().err


def test_names_of_rows_are_passed_on_as_they_are(pairs, tmp_path, capsys):
    """NA, the code of Namibia, was an empty cell beside its answer."""
    data, _ = pairs
    student = str(tmp_path / "s.npz")
    assert cli.main(["distill", "--data", str(data), "--target", "y", "--out", student, *SHORT]) == 0
    rows = tmp_path / "new.csv"
    capsys.readouterr()
    rows.write_text("id,land,a,b\n007,NA,1,2\n008,None,NA,1\n,?,,\n9,null,2,2\n", "utf-8")
    assert cli.main(["predict", "--model", student, "--data", str(rows), "--id", "id,land", "--quiet"]) == 0
    lines = [line.split(",")[:2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [["id", "land"], ["007", "NA"], ["008", "None"], ["", "?"], ["9", "null"]]


def test_a_blank_line_is_the_missing_cell_of_the_only_column(pairs, tmp_path, capsys):
    """It was no row: all answers below stood one line too high."""
    data, _ = pairs
    student = str(tmp_path / "s.npz")
    assert cli.main(["distill", "--data", str(data), "--target", "y", "--ignore", "b", "--out", student, *SHORT]) == 0
    answers = {}
    for name, text in (("gap", "a\n3\n\n-3\n"), ("whole", "a\n3\n-3\n")):
        (tmp_path / "new.csv").write_text(text, "utf-8")
        capsys.readouterr()
        assert cli.main(["predict", "--model", student, "--data", str(tmp_path / "new.csv"), "--quiet"]) == 0
        answers[name] = capsys.readouterr().out.splitlines()
    assert len(answers["gap"]) == 4 and answers["gap"][:2] + answers["gap"][3:] == answers["whole"]


@pytest.mark.parametrize("unit", ["€", "EUR", "kg"])
def test_cells_with_their_unit_are_not_said_to_have_none(unit, tmp_path):
    """Of a currency it was said of every cell, in the very table that taught."""
    rows = [f"{i * i % 89}.5 {unit},{i % 7}" for i in range(60)]
    rules, _, said = ruled(tmp_path / "t.csv", "a,b", rows)
    assert rules.columns[0]["unit"] == unit and not any("have no unit" in line for line in said)
    heard: list[str] = []
    (tmp_path / "o.csv").write_text("a,b\n1.5,2\n2.5,3\n" + rows[3], "utf-8")
    rules(read_table(tmp_path / "o.csv"), heard)
    assert f"column 'a': 2 cells have no unit and are read as {unit}" in heard[0]


MIXED = {  # two kinds of cells of one column, and how each is quoted
    "kilograms and grams": (lambda i: f"{i * i % 89} kg" if i % 3 else f"{i * i % 89}000 g", "'1 kg' and '0000 g'"),
    "euro and dollars": (lambda i: f"€ {i * i % 89}" if i % 3 else f"$ {i * i % 89}", "'€ 1' and '$ 0'"),
    "words for euro and dollars": (
        lambda i: f"{i * i % 89} EUR" if i % 3 else f"{i * i % 89} USD",
        "'1 EUR' and '0 USD'",
    ),
    "kilograms and nothing": (lambda i: f"{i * i % 89} kg" if i % 3 else f"{i * i % 89}", "'1 kg' and '0'"),
}


@pytest.mark.parametrize("what", MIXED)
def test_units_that_are_mixed_in_one_column_are_said_and_not_averaged(what, tmp_path, capsys):
    """5 € and 5 $ were the number 5; 19 kg and 19000 g were texts, or names that were left out, without a word."""
    cell, quoted = MIXED[what]
    cells = [cell(i) for i in range(120)]
    rules, _, said = ruled(tmp_path / "t.csv", "a,b", [f"{c},{i % 7}" for i, c in enumerate(cells)], keep=["a"])
    assert rules.columns[0]["kind"] == "text"
    assert (
        f"column 'a' holds numbers with several units, such as {quoted}, so each cell is a text of its own" in said[0]
    )
    for task in ("numbers", "auto"):
        with pytest.raises(
            TableError, match=f"'y' holds numbers with several units, such as {re.escape(quoted)}: write"
        ):
            read_target(pd.DataFrame({"y": cells}, dtype=object), "y", task, [])
    few, said = pd.DataFrame({"y": ["3 kg", "4 kg", "5 kg", "3 g", "4 g", "5 g"] * 9}, dtype=object), []
    assert len(np.unique(read_target(few, "y", "auto", said)[1])) == 6  # they may be names
    assert "the target 'y' holds numbers with several units, such as '3 kg' and '3 g': each is a class" in said[0]


def test_two_currencies_of_two_numbers_are_not_averaged():
    assert several_units(pd.Series(["5 €", "6 $"] * 9, dtype=object)) and not several_units(pd.Series(["5 €", "6"] * 9))
    assert several_units(pd.Series(["5 €", "6 $"] + 98 * ["7"], dtype=object)) is None  # which is said in other words


def test_names_that_begin_with_a_number_have_no_unit(tmp_path):
    for cells in (
        ["12A", "13B", "14C"],
        ["1st", "2nd", "3rd", "4th"],
        ["2 rooms", "a flat", "3 beds"],
        ["5a", "6a", "7"],
    ):
        _, _, said = ruled(tmp_path / "t.csv", "a,b", [f"{cells[i % len(cells)]},{i % 7}" for i in range(60)])
        assert not any("several units" in line for line in said), cells


def test_a_cell_in_another_currency_is_missing_as_one_in_another_unit_is(tmp_path):
    """Of '5 €' among dollars it was said that it had no unit, and it was read as dollars."""
    rows = [f"${i * i % 89}.5,{i % 7}" for i in range(60)]
    rows[7] = "5 €,1"
    rules, made, said = ruled(tmp_path / "t.csv", "a,b", rows)
    assert rules.columns[0]["unit"] == "$" and made["a"].isna().tolist() == [i == 7 for i in range(60)]
    assert "column 'a': 1 cell is no number in $, such as '5 €', and taken as missing." in said
    table, heard = pd.DataFrame({"a": [row.split(",")[0] for row in rows]}, dtype=object), []
    kept, y = read_target(table, "a", "numbers", heard)
    assert len(kept) == len(y) == 59 and kept.attrs["counted"] == "in $"
    assert any("1 row with no number as 'a', such as '5 €', left out" in line for line in heard)
    said = []
    made = rules(pd.DataFrame({"a": ["USD 7", "EUR 7", "£7", "7"], "b": 1}), said)["a"]
    assert made.fillna(-1).tolist() == [7, -1, -1, 7]
    assert said[0] == "column 'a': 1 cell has no unit and is read as $, in which the table that taught has them."


def test_a_unit_may_end_in_a_full_stop(tmp_path):
    """12.3 kg was a number, and 8 Stk. a text."""
    rules, made, said = ruled(tmp_path / "t.csv", "a,b", [f"{i * i % 89} Stk.,{i % 7}" for i in range(60)])
    assert rules.columns[0]["unit"] == "Stk." and made["a"][4] == 16 and "column 'a': '0 Stk.' is read as 0." in said


def test_labels_that_look_alike_and_are_not_the_same_are_said():
    written, said = [unicodedata.normalize(form, "Caf\u00e9") for form in ("NFC", "NFD")], []
    y = read_target(pd.DataFrame({"y": 20 * written}, dtype=object), "y", "auto", said)[1]
    assert len(np.unique(y)) == 2 and "labels that look alike and are written with other characters" in said[0]


def test_one_currency_may_be_written_in_two_ways(tmp_path):
    rows = [f"{i * i % 89} {'€' if i % 3 else 'EUR'},{i % 7}" for i in range(60)]
    rules, made, said = ruled(tmp_path / "t.csv", "a,b", rows)
    assert rules.columns[0]["unit"] == "€" and made["a"].notna().all()
    assert not any("unit" in line for line in said)


def test_a_currency_that_the_table_that_taught_had_not_is_said(tmp_path):
    rules, _, said = ruled(tmp_path / "t.csv", "a,b", [f"{i * i % 89},{i % 7}" for i in range(60)])
    assert not any("currency" in line for line in said)
    rules(pd.DataFrame({"a": ["5 €", "6"], "b": 1}), said)
    assert "column 'a': 1 cell has a currency, such as '5 €', the others have none; it is read as 5." in said
    half = [f"{'$' * (i % 2)}{i * i % 89},{i % 7}" for i in range(60)]
    _, made, said = ruled(tmp_path / "t.csv", "a,b", half)
    assert made["a"].notna().all() and any(
        "30 cells have a currency, such as '$1', the others" in line for line in said
    )


def test_a_currency_is_said_with_the_number_that_is_read(tmp_path):
    """ "it is read as ." of '4211,54 €', where the table that taught had points."""
    rules, _, said = ruled(tmp_path / "t.csv", "a,b", [f"{i * i % 89}.5,{i % 7}" for i in range(60)])
    rules(pd.DataFrame({"a": ["x €", "4211,54 €", "6,25 €"], "b": 1}), said)
    told = "column 'a': 2 cells have a currency, such as '4211,54 €', the others have none; it is read as 4211.54."
    assert told in said and any("1 cell is no number, such as 'x €'" in line for line in said)


# ------------------------------------------------------------------ what looks wrong, at any share


@pytest.mark.parametrize("code", [-999, 9999])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.6, 0.85])
def test_a_code_is_said_at_any_share(share, code):
    """At a fifth of the cells and less it was said; where it did most harm it was not."""
    rng = np.random.default_rng(0)
    flags = rng.random(400) < 0.1  # most are alike: they have no middle half
    pulse = rng.integers(60, 200, 400)  # whose middle half is wide: -999 is no twenty times as far
    for values in (rng.normal(25, 8, 400), rng.integers(1, 6, 400), rng.exponential(3, 400).round(1), pulse, flags):
        cells, said = pd.Series(values, dtype=float), list[str]()
        cells[rng.permutation(400)[: int(share * 400)]] = code
        tell_far("a", cells, cells, said)
        assert len(said) == 1 and f"a: {int(share * 400)} cells hold '{code}.0', far from the others" in said[0]


def test_ordinary_columns_hold_no_code():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        n, tail = 400, np.exp(rng.normal(3, 1.5, 400)).round(2)
        columns = {
            "zeros and ones": rng.random(n) < 0.1,
            "constant": np.full(n, 7),
            "all but one": np.arange(n) == 7,
            "half zeros, and a tail": np.where(rng.random(n) < 0.5, 0, tail),
            "mostly zeros, and a tail": np.where(rng.random(n) < 0.9, 0, tail),
            "mostly nothing, else nearly the same": np.where(rng.random(n) < 0.7, 0, rng.uniform(20, 21, n)),
            "years": rng.integers(1950, 2024, n),
            "prices": np.exp(rng.normal(2, 1, n)).round() + 0.99,
            "few prices": rng.choice([4.99, 9.99, 19.99, 49.99, 99.99], n),
            "round prices": rng.choice([49, 99, 199, 499, 999], n),
            "counts": rng.poisson(0.3, n),
            "more counts": np.where(rng.random(n) < 0.7, 1, rng.integers(2, 25, n)),
            "two machines": np.where(rng.random(n) < 0.3, rng.normal(0, 1, n), rng.normal(50, 1, n)).round(),
            "cut": np.minimum(tail, 30),
        }
        for what, values in columns.items():
            cells, said = pd.Series(values, dtype=float), list[str]()
            tell_far(what, cells, cells, said)
            assert not said


@pytest.mark.parametrize("target", [False, True])
@pytest.mark.parametrize("cell", ["1e39", "-4e38", "1e999"])  # the last is infinite in float64 too
def test_a_number_beyond_the_students_is_refused_by_row_and_column(cell, target, tmp_path):
    """A forest warned of an overflow and named neither row nor column; other teachers took it."""
    rows = [f"{cell if i == 40 else i * i % 97},{i % 7}" for i in range(60)]
    what = "the target 'a'" if target else "column 'a'"
    with pytest.raises(TableError, match=f"row 40, {what}: '{cell}' is (too large: .* 3.4e.38|infinite)"):
        if target:
            read_target(pd.DataFrame({"a": [row.split(",")[0] for row in rows]}, dtype=object), "a", "auto", [])
        else:
            ruled(tmp_path / "t.csv", "a,b", rows)
    rows[40] = "3e38,1"
    assert ruled(tmp_path / "t.csv", "a,b", rows)[1]["a"][40] == 3e38


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"a,b\n1,2\n"), r"is compressed \(gzip\)"),
        (b"PK\x03\x04\x14\x00\x06", "is a zip or an Excel file"),
        ("a,b\n1,2\n".encode("utf-16-le"), "is not a text file: it holds zero bytes .UTF-16 without a mark"),
    ],
    ids=["gzip", "zip", "utf-16"],  # gzip writes the time
)
def test_a_file_that_is_no_text_is_told_what_it_is(content, told, tmp_path):
    """ "line 3: 2 cells, but the header has 1"."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(content)
    with pytest.raises(TableError, match=rf"{path} {told}.*; save it as CSV in UTF-8"):
        read_table(path)
    path.write_text("a,b\n1,2\n", "utf-32")
    assert read_table(path)["b"].tolist() == ["2"]
    path.write_text("a,b\n1,2\n")  # a name is no content
    assert read_table(path)["b"].tolist() == ["2"]


def test_a_target_that_may_be_numbers_says_how_they_are_learnt():
    few = pd.DataFrame({"y": ["1.5", "2.5", "2", "7", "3.25"]}, dtype=object)
    with pytest.raises(TableError, match="it must hold classes; most are numbers: --task numbers learns numbers"):
        read_target(few, "y", "auto", [])
    with pytest.raises(TableError, match=r"most are numbers \(1 cell is not, such as 'x'\): --task numbers"):
        read_target(few.replace("7", "x"), "y", "auto", [])
    with pytest.raises(TableError, match=r"it must hold classes$"):
        read_target(pd.DataFrame({"y": list("abcd1")}, dtype=object), "y", "auto", [])
    many, said = pd.DataFrame({"y": [str(i % 15) for i in range(184)] + ["oops"]}, dtype=object), list[str]()
    read_target(many, "y", "auto", said)
    assert said == [
        "the target 'y' is almost numeric: 1 cell is not, such as 'oops', which is a class of its own. If it is a "
        "mistake, leave it empty."
    ]
    with pytest.raises(TableError, match=r"holds 'oops', which is no number \(1 of 185 cells .*: leave such cells"):
        read_target(many, "y", "numbers", [])


def test_dates_that_are_none_are_said(tmp_path):
    """Six of 120 made a text of each date, without a word; one was said."""
    rows = [f"2023-{'02-30' if i % 17 == 3 else f'01-{i % 28 + 1:02d}'},{i * i % 7}" for i in range(120)]
    rules, _, said = ruled(tmp_path / "t.csv", "day,b", rows)
    assert rules.columns[0]["kind"] == "text"
    assert (
        "column 'day' is almost dates: 7 cells are not, such as '2023-02-30', so each date is a text of its own. Leave "
        "those cells empty, and it is a column of dates." in said
    )


LARGE_WHOLES = {
    "holds whole numbers too large to be told apart as numbers": [2**60 + i % 4 for i in range(60)],
    "has 60 different texts in 60 rows, like an ID": [2**60 + i * i for i in range(60)],
}


@pytest.mark.parametrize("told", LARGE_WHOLES)
@pytest.mark.parametrize("kind", [str, int])
def test_whole_numbers_that_floats_do_not_tell_apart_are_left_out(told, kind):
    """Four different ids: "holds no number but '1152921504606846976'", which was not so."""
    table, said = pd.DataFrame({"b": range(1, 61), "dev": list(map(kind, LARGE_WHOLES[told]))}), []
    table["b"] = table["b"] % 7
    assert Rules.of(table, (), (), (), said).names == ["b"]
    assert len(said) == 1 and told in said[0] and "was left out" in said[0]
    if "told apart" in told:
        assert Rules.of(table, (), ("dev",), (), [])(table)["dev"].nunique() == 4


def test_large_numbers_that_floats_tell_apart_stay():
    table = pd.DataFrame({"b": [str(2**60 * (i * i % 7)) for i in range(60)]})
    assert Rules.of(table, (), (), (), []).names == ["b"]


def test_large_numbers_are_said_as_they_are_written():
    """1e+09, 1e+09, … counted nothing."""
    table, said = pd.DataFrame({"n": [str(1_000_000_000 + i) for i in range(60)], "b": ["1", "2"] * 30}), []
    table["v"] = ["1,234,567" if i == 0 else str(i * i % 11) for i in range(60)]
    Rules.of(table, (), (), (), said)
    assert any("counts the rows (1000000000, 1000000001, …)" in line for line in said)
    assert any("'1,234,567' is read as 1234567." in line for line in said)


@pytest.mark.parametrize(
    "kind", [LogisticRegression, LinearSVC, functools.partial(make_pipeline, LogisticRegression())]
)
def test_a_classifier_is_no_teacher_of_numbers(kind, tmp_path, capsys):
    """Its codes 0 and 1 were taken for answers to a target of about 100."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": 100 + 20 * x[:, 0]}).to_csv(tmp_path / "t.csv", index=False)
    joblib.dump(kind().fit(x, (x[:, 0] > 0).astype(int)), tmp_path / "t.pkl")
    arguments = ["distill", "--data", tmp_path / "t.csv", "--target", "y", "--teacher", tmp_path / "t.pkl"]
    assert cli.main([str(a) for a in (*arguments, "--trust-pickle", "--out", tmp_path / "s.npz", *SHORT)]) == 2
    assert "a teacher is a fitted regressor" in capsys.readouterr().err and not (tmp_path / "s.npz").exists()
