"""Odd rows at the doors of a fitted model and of the commands: the right number or a word, in each of its forms."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OrdinalEncoder, PowerTransformer, QuantileTransformer

import kdlearn as kd
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.reading import scaler_of

SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)
HOLES = np.where(np.arange(360).reshape(120, 3) == 0, np.nan, X)

pytestmark = pytest.mark.filterwarnings("ignore:max_iter")


# ------------------------------------------------------------------ learning a row at a time


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_row_at_a_time_is_learned(activation):
    """After a first call with one row each column was constant, each weight 0, and no ReLU ever learned."""
    classes = DistilledClassifier(activation=activation, random_state=0)
    numbers = DistilledRegressor(activation=activation, random_state=0)
    with pytest.warns(UserWarning, match="fixes the scale of the rows, and all its rows are alike"):
        classes.partial_fit(X[:1], Y[:1], classes=[0, 1])
    with pytest.warns(UserWarning, match="scale of the rows and the targets"):
        numbers.partial_fit(X[:1], X[:1, 0])
    for i in range(len(X)):
        classes.partial_fit(X[i : i + 1], Y[i : i + 1])
        numbers.partial_fit(X[i : i + 1], X[i : i + 1, 0])
    assert classes.score(X, Y) > 0.85 and numbers.score(X, X[:, 0]) > 0.8


def test_a_first_call_that_says_the_scale_is_no_matter_for_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DistilledClassifier(random_state=0).partial_fit(X, np.zeros(120, int), classes=[0, 1])
        DistilledRegressor(random_state=0).partial_fit(X, X[:, 0])


# ------------------------------------------------------------------ no numbers


TIMES = np.datetime64("2024-01-01", "ns") + np.arange(120).astype("timedelta64[D]").astype("timedelta64[ns]")
NO_NUMBERS = {"dates": TIMES, "durations": TIMES - TIMES[0], "complex": X[:, 0] + 1j}


@pytest.mark.parametrize("kind", NO_NUMBERS)
@pytest.mark.parametrize("preprocessor", ["auto", None])
def test_dates_are_no_numbers_at_any_door(kind, preprocessor, tmp_path):
    """A column of dates was read as nanoseconds since 1970, in fit of an array and in predict of a table."""
    pd = pytest.importorskip("pandas")
    odd = np.stack([NO_NUMBERS[kind]] * 3, axis=1)
    message = "give it as numbers|Complex data not supported|must hold numbers|rows must hold numbers"
    for given in (odd, pd.DataFrame(odd)):
        with pytest.raises(ValueError, match=message):
            DistilledClassifier(preprocessor=preprocessor, **SETTINGS).fit(given, Y)
        with pytest.raises(ValueError, match=message):
            DistilledClassifier(preprocessor=preprocessor, **SETTINGS).partial_fit(given, Y, classes=[0, 1])
    table = pd.DataFrame(X, columns=list("abc"))
    tables = [table] if preprocessor is None else [table, pd.DataFrame(HOLES, columns=list("abc"))]
    for taught in tables:
        model = DistilledClassifier(preprocessor=preprocessor, **SETTINGS).fit(taught, Y)
        kd.save(tmp_path / "m.npz", model)
        for one in (model, kd.load(tmp_path / "m.npz")):
            with pytest.raises(ValueError, match=message):
                one.predict(table.assign(b=NO_NUMBERS[kind]))
    with pytest.raises(ValueError, match=message):
        DistilledClassifier(preprocessor=preprocessor, **SETTINGS).fit(X, Y).predict(odd)
    with pytest.raises(ValueError, match=message):
        kd.load(tmp_path / "m.npz").predict(odd)


def test_a_preprocessor_of_ones_own_may_take_dates():
    pd = pytest.importorskip("pandas")

    class Days(MinMaxScaler):
        def fit(self, X, y=None):
            return super().fit((X - X.min()) / np.timedelta64(1, "D"))

        def transform(self, X):
            return super().transform((X - X.min()) / np.timedelta64(1, "D"))

    table = pd.DataFrame({"a": TIMES, "b": TIMES[::-1]})
    assert DistilledClassifier(preprocessor=Days(), **SETTINGS).fit(table, Y).predict(table).shape == (120,)


def test_a_loaded_model_reads_no_masked_entry(tmp_path):
    """It computed with the numbers below the mask."""
    kd.save(tmp_path / "m.npz", DistilledClassifier(**SETTINGS).fit(X, Y))
    loaded = kd.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.predict(np.ma.masked_array(X)), loaded.predict(X))
    with pytest.raises(TypeError, match="masked entries"):
        loaded.predict(np.ma.masked_array(X, X > 1))


def test_a_column_that_float64_cannot_square_is_refused():
    """Its variance was 0, or infinite: it counted as constant, and was left out without a word."""
    for scale, word in ((1e-200, "less"), (1e200, "more")):
        wrong = X * [1, scale, 1]
        for model in (DistilledClassifier(**SETTINGS), DistilledRegressor(**SETTINGS)):
            with pytest.raises(ValueError, match=f"input 1 varies by {word} than float64 can square"):
                model.fit(wrong, Y)
    for column in (1e200 * X[:, 0], np.array([1e200, -1e200])):  # scikit-learn's variances are NaN and infinity
        with pytest.raises(ValueError, match="input 0 varies by more than float64 can square"):
            scaler_of(column[:, None], np.ones(len(column)))
    flat = X * [1, 0, 1] + [0, 1e100, 0]
    assert DistilledClassifier(**SETTINGS).fit(flat, Y).scaler_.scale_[1] == 1


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-9, 1e12])
def test_a_target_of_one_value_is_answered(value, tmp_path):
    """It was answered with what little training left of the first weights, 0.03 for 1e-9."""
    model = DistilledRegressor(**SETTINGS).fit(X, np.full(120, value))
    assert (model.predict(100 * X) == value).all()
    both = DistilledRegressor(**SETTINGS).fit(X, np.stack([X[:, 0], np.full(120, value)], axis=1))
    made = both.predict(100 * X)
    assert (made[:, 1] == value).all() and made[:, 0].std() > 0
    kd.save(tmp_path / "m.npz", both)
    np.testing.assert_array_equal(kd.load(tmp_path / "m.npz").predict(100 * X), made)


def test_stored_answers_of_labels_that_are_true_or_false():
    """Their names were taken for a mask."""
    pd = pytest.importorskip("pandas")
    p = LogisticRegression().fit(X, Y).predict_proba(X)
    settings = {**SETTINGS, "soft_weight": 1.0, "temperature": 1.0}
    want = DistilledClassifier(**settings).fit(X, Y == 1, teacher_proba=p).predict_proba(X)
    table = pd.DataFrame(p[:, ::-1], columns=[True, False])
    got = DistilledClassifier(**settings).fit(X, Y == 1, teacher_proba=table).predict_proba(X)
    np.testing.assert_array_equal(got, want)


# ------------------------------------------------------------------ categories


@pytest.mark.parametrize("hole", [False, True])
def test_a_column_of_which_no_text_is_known_is_said(hole, tmp_path):
    """One missing cell, which the model knew, and nothing was said of 119 unknown texts."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": X[:, 0], "town": np.where(X[:, 1] > 0, "Bern", "Genf").astype(object)})
    table.loc[3:3, "town"] = None if hole else "Bern"
    model = DistilledClassifier(FrozenEstimator(LogisticRegression().fit(X, Y)), soft_weight=0, **SETTINGS)
    model.fit(table, Y)
    kd.save(tmp_path / "m.npz", model)
    for one in (model, kd.load(tmp_path / "m.npz")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            one.predict(table)
            one.predict(table.assign(town=["Bern", *["BERN"] * 119]))
            if hole:
                one.predict(table.assign(town=[None] * 120))
        with pytest.warns(UserWarning, match="column 'town': the model knows none of its categories"):
            one.predict(table.assign(town=table["town"].str.upper()))
        with pytest.warns(UserWarning, match="column 'town'"):
            one.predict(table.assign(town=[None, *[1.0] * 119]))
        if not hole:
            with pytest.warns(UserWarning, match="column 'town'"):
                one.predict(table.assign(town=[None] * 120))
        with pytest.warns(UserWarning, match="column 'town'"):
            one.predict(table.assign(town=table["town"].astype("category").cat.codes))


def test_an_array_where_fit_saw_names_is_warned_of(tmp_path):
    """The estimator said so, its file did not."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])])
    for named, rows in ((True, table), (False, X)):
        model = DistilledClassifier(**SETTINGS).fit(rows, Y)
        kd.save(tmp_path / "m.npz", model)
        for one in (model, kd.load(tmp_path / "m.npz")):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                one.predict(X)
            assert [str(w.message)[:38] for w in said] == ["X does not have valid feature names, b"] * named


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("code", [np.nan, 0])
def test_a_text_that_is_missing_for_the_first_time_is_unknown(strict, code, tmp_path):
    """`encoded_missing_value` counts where one was missing in fit alone; the file took the first category."""
    unknown = {} if strict else {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    encoder = OrdinalEncoder(encoded_missing_value=code, **unknown)
    rows = np.stack([np.where(X[:, 1] > 0, "a", "b").astype(object), X[:, 0].astype(object)], axis=1)
    encode = make_column_transformer((encoder, [0]), remainder="passthrough")
    model = DistilledRegressor(preprocessor=encode, **SETTINGS).fit(rows, X[:, 0] + (rows[:, 0] == "a"))
    kd.save(tmp_path / "m.npz", model)
    loaded = kd.load(tmp_path / "m.npz")
    for gap in (None, np.nan, ""):
        row = np.array([[gap, 0.5]], dtype=object)
        if strict:
            for one in (model, loaded):
                with pytest.raises(ValueError, match=r"unknown categories|is refused"):
                    one.predict(row)
        else:
            np.testing.assert_allclose(loaded.predict(row), model.predict(row), rtol=1e-12)


# ------------------------------------------------------------------ ONNX

BOUNDED = {
    "clipped": MinMaxScaler(clip=True),
    "quantiles": QuantileTransformer(n_quantiles=20),
    "bins": KBinsDiscretizer(4, encode="ordinal"),
    "power": PowerTransformer(),
    "filled, clipped": make_pipeline(SimpleImputer(), MinMaxScaler(clip=True)),
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("kind", BOUNDED)
@pytest.mark.filterwarnings("ignore")
def test_what_python_refuses_is_refused_behind_bounds_and_bins(kind, named, tmp_path):
    """Bounds and bins made numbers of infinity, and of NaN, before the network could see them."""
    pytest.importorskip("skl2onnx")
    runtime, pd = pytest.importorskip("onnxruntime"), pytest.importorskip("pandas")
    taught = pd.DataFrame(X, columns=list("abc")) if named else X
    model = make_pipeline(BOUNDED[kind], DistilledClassifier(**SETTINGS)).fit(taught, Y)
    kd.export.to_onnx(model, tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for value in (0.5, 1e6, -1e6, np.nan, np.inf, -np.inf):
        for column in range(3):
            row = X[:1].copy()
            row[0, column] = value
            try:
                want = model.predict_proba(pd.DataFrame(row, columns=list("abc")) if named else row)
            except ValueError:
                want = np.full((1, 2), np.nan)
            assert np.isfinite(want).all() == (np.isfinite(value) or (np.isnan(value) and kind == "filled, clipped"))
            got = session.run(["probabilities"], {"x": row.astype(np.float32)})[0]
            np.testing.assert_allclose(got, want, atol=1e-5)


# ------------------------------------------------------------------ tables


def test_a_date_is_read_alike_whatever_stands_below_it():
    """One cell with nanoseconds left pandas no room for the year 9999, which then was missing."""
    pytest.importorskip("pandas")
    import datetime

    import pandas as pd

    from kdlearn.commands.dates import days

    cells = ["2024-03-01 10:00:00.123456789", "2024-03-01 10:00:00,5", "2024-03-01 10:00", "2100-12-31", "1800-01-01"]
    whole = days(pd.Series(cells, dtype=object)).tolist()
    assert whole == [days(pd.Series([cell], dtype=object))[0] for cell in cells]
    exact = ["2024-03-01 10:00:00.123456", "2024-03-01 10:00:00.500000", *cells[2:]]
    zero = datetime.datetime(2000, 1, 1)
    want = [(datetime.datetime.fromisoformat(cell) - zero).total_seconds() / 86400 for cell in exact]
    np.testing.assert_allclose(whole, want, rtol=1e-15)
    if pd.__version__ >= "3":  # before, nanoseconds are all that pandas has
        far = days(pd.Series([cells[0], "9999-12-31"], dtype=object))
        assert far[1] == (datetime.datetime(9999, 12, 31) - zero).days


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_what_another_file_s_rows_lack_is_said(tmp_path, capsys):
    """A file to measure on whose numbers were in pounds, and none of them read, was measured without a word."""
    pytest.importorskip("pandas")
    from kdlearn.cli import main

    towns = np.where(X[:, 1] > 0, "Bern", "Genf")
    lines = [f"{70 + 10 * a:.1f} kg,{town},{'yes' if y else 'no'}" for a, town, y in zip(X[:, 0], towns, Y)]
    head = "weight,town,buys\n"
    taught = write(tmp_path / "taught.csv", head + "\n".join(lines))
    pounds = write(tmp_path / "pounds.csv", head + "\n".join(lines).replace(" kg", " lb").replace("Bern", "BERN"))
    bare = write(tmp_path / "bare.csv", head + "\n".join(lines).replace(" kg", ""))
    student = tmp_path / "s.npz"
    options = ["--data", taught, "--target", "buys", "--teacher", "boosting", "--epochs", "2", "--out", student]
    words = ("column 'weight': 120 cells are no number in kg, such as", "cells hold texts that the model does not know")
    for name in ("--test", "--unlabeled"):
        assert main(["distill", *map(str, options), "--soft-weight", "0.5", name, str(pounds)]) == 0
        out = capsys.readouterr().out
        assert f"{pounds}: {words[0]}" in out and words[1] in out
    c = ["export", "--model", student, "--to", "c", "--out", tmp_path / "net.c", "--calibration", pounds]
    assert main([*map(str, c)]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in words)
    assert main(["predict", "--model", str(student), "--data", str(bare), "--out", str(tmp_path / "p.csv")]) == 0
    assert "120 cells have no unit and are read as kg" in capsys.readouterr().out


def test_a_target_to_measure_on_is_read_as_the_one_that_taught(tmp_path):
    """1.234 beside 1.234,5 was a thousand where it taught, and a one where it measured."""
    pd = pytest.importorskip("pandas")
    from kdlearn.commands.distill import _held_out
    from kdlearn.commands.frames import read_table
    from kdlearn.commands.rules import Rules
    from kdlearn.commands.target import read_target

    taught = write(tmp_path / "a.tsv", "a\ty\n" + "".join(f"{i * i % 89}\t{1 + i}.{234 + i},5\n" for i in range(40)))
    other = write(tmp_path / "b.tsv", "a\ty\n" + "".join(f"{i * i % 97}\t{1 + i}.{234 + i}\n" for i in range(40)))
    said: list[str] = []
    table, y = read_target(read_table(taught), "y", "numbers", said)
    rules = Rules.of(table, {"y"}, [], [], said)
    args = argparse.Namespace(test=other, delimiter=None, seed=0)
    _, _, rows, measured = _held_out(args, rules, table, rules(table), y, "y", said)
    np.testing.assert_array_equal(measured, 1000 * (1 + np.arange(40)) + 234 + np.arange(40))
    assert isinstance(rows, pd.DataFrame) and f"{other}: the target 'y': '1.234' is read as 1234." in said


def test_a_file_of_another_kind_is_named_so(tmp_path):
    path = write(tmp_path / "t.csv", "a,b\n1,2\n")
    with pytest.raises(kd.CheckpointError, match="not a whole checkpoint: it is another kind of file, or was cut off"):
        kd.load(path)


def test_a_loaded_model_sorts_nothing_by_names_that_it_made_up(tmp_path):
    """Fitted on an array, it sorted columns x2, x1, x0 by its own names x0, x1, x2; the estimator goes by position."""
    pd = pytest.importorskip("pandas")
    X = RNG.normal(size=(40, 3))
    kd.save(tmp_path / "m.npz", DistilledClassifier(None, (3,), max_iter=1).fit(X, np.arange(40) % 2))
    read = kd.load(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"fit saw no names of columns, .*: give X.to_numpy\(\), in the order of fit"):
        read.predict(pd.DataFrame(X, columns=["x2", "x1", "x0"]))
    with pytest.raises(ValueError, match=r"no column 'x0', 'x1', 'x2'.*give X.to_numpy\(\), in the order of fit"):
        read.predict(pd.DataFrame(X, columns=["a", "b", "c"]))
    in_order = pd.DataFrame(X, columns=["x0", "x1", "x2"])
    assert (read.predict(in_order.assign(y=0)) == read.predict(X)).all()


def test_a_loaded_model_is_told_of_a_column_twice(tmp_path):
    """It was a message of float() about a list."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(RNG.normal(size=(40, 2)), columns=["a", "b"])
    kd.save(tmp_path / "m.npz", DistilledClassifier(None, (3,), max_iter=1).fit(table, np.arange(40) % 2))
    with pytest.raises(ValueError, match="two columns are named 'b'"):
        kd.load(tmp_path / "m.npz").predict(pd.concat([table, table[["b"]]], axis=1))
