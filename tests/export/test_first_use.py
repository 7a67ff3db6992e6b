"""What somebody meets who uses the package for the first time, on tables of their own: estimators and export."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline

import kdlearn as kd
from kdlearn import export
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.contest import Choice, Result, decide, verdict
from kdlearn.export import integers
from kdlearn.export.plan import plan

SHORT = {"hidden_layer_sizes": (8,), "max_iter": 30, "random_state": 0}


def test_whole_numbers_are_not_shifted_in_integer_c(rng, tmp_path):
    """The mean of a column that counts rooms is no whole number; what its rounding takes away is given back."""
    X = np.column_stack([rng.integers(1, 7, 400), rng.integers(0, 2, 400)]).astype(float)
    y = 100 * X[:, 0] + 50 * X[:, 1] + rng.normal(size=400)
    fitted = DistilledRegressor(**SHORT).fit(X, y)
    made = export.to_c(fitted, tmp_path / "rooms.c", integer=True, rows=X)
    assert set(made["digits"].values()) == {0} and abs(X.mean(axis=0) - np.rint(X.mean(axis=0))).max() > 0.2
    found = integers.integers_of(plan(fitted, fold=False), X, {}, True)
    moved = found.answer(found.inputs(X))[:, 0] * 10.0**-found.out_digits - fitted.predict(X)
    assert abs(moved.mean()) < 0.005 * y.std() and made["error"] < 0.01 * y.std()


def rules(n, seed):
    """Four classes cut out by rules, which trees find and small networks do not."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 10))
    high = X > 0.5
    y = (high[:, 0] ^ high[:, 1]) + 2 * (high[:, 2] & (X[:, 3] > 0.3))
    return X, np.where(rng.uniform(size=n) < 0.05, rng.integers(0, 4, n), y)


@pytest.mark.parametrize("passes", [10, 40, 200])
def test_made_rows_do_not_lengthen_the_training(passes):
    """However few passes there are, all sides of a contest take as many steps."""
    model = DistilledClassifier(max_iter=passes)
    alone, made = model._steps(Choice(0.0), 500, 0), model._steps(Choice(0.9, 3.0, 2000), 500, 0)
    assert made <= 1.25 * alone


def test_labels_alone_may_take_as_many_steps_as_a_student_who_saw_more_rows():
    """Unlabelled rows lengthen a pass. What is gained by that alone is no gain of the teacher's."""
    X, y = rules(300, 0)
    more = rules(3000, 1)[0]
    teacher = FrozenEstimator(HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(*rules(3000, 2)))
    settings = {"hidden_layer_sizes": (16,), "max_iter": 8, "random_state": 0}
    model = DistilledClassifier(teacher, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y, X_unlabeled=more)
    found = model.report_["candidates"]
    longer = [c for c in found if c["longer"] > 1]
    assert {c["soft_weight"] for c in longer} == {0.0} and model.report_["longer_of_labels_alone"] > 5
    per_pass = {n: -(-n // 200) for n in (200, 3200)}
    assert longer[0]["longer"] == pytest.approx(per_pass[3200] / per_pass[200])
    short = min(c["loss"] for c in found if c["soft_weight"] == 0 and c["longer"] == 1 and c["rows"] == 300)
    best = min(c["loss"] for c in longer if c["rows"] == 300)
    assert best < short - 0.1  # eight passes were too few for the labels: that is not what the teacher knows
    gain = next(c["loss_gain"] for c in found if c["soft_weight"] and c["rows"] == 300)
    assert gain == pytest.approx(best - next(c["loss"] for c in found if c["soft_weight"] and c["rows"] == 300))


def test_labels_alone_that_won_by_training_longer_are_trained_so():
    X, y = rules(200, 0)
    alone = Choice(0.0, alpha=1.0, longer=3.0)
    model = DistilledClassifier(max_iter=10, hidden_layer_sizes=(4,), random_state=0)
    model._choose = lambda *_: setattr(model, "report_", {}) or alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert model.fit(X, y).n_iter_ == 30
    assert str(alone) == "labels alone, alpha=1, 3 times the passes"


def contest(*entries, right=True, n=100):
    """Results of `(choice, losses)`, as a contest leaves them."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=n)
    made = [Result(c, np.full(n, float(mean)) + 0.1 * noise + spread, np.full(n, 1.0 if right else np.nan))
            for c, mean, spread in entries]  # fmt: skip
    return made, decide(made, np.ones(n))


def test_a_verdict_says_how_much_it_is_worth():
    alone, taught, small = Choice(0.0, alpha=1.0), Choice(0.5, 1.0, alpha=1.0), Choice(0.5, 3.0, alpha=1.0)
    said = verdict(*contest((alone, 1.0, 0), (taught, 0.7, 0)))
    assert said.startswith("The teacher helps here: log-loss 0.3 ") and "setting" not in said
    said = verdict(*contest((alone, 1.0, 0), (taught, 0.995, 0)))
    assert said.startswith("The teacher helps here, but little: log-loss 0.005 ")
    assert "little" not in verdict(*contest((alone, 0.1, 0), (taught, 0.095, 0)))  # a twentieth of a small loss
    said = verdict(*contest((alone, 1.0, 0), (taught, 0.7, 0), (small, 0.9, 0)))
    assert said.endswith(" Labels alone had one setting against 2: search alpha before you believe a small gain.")
    said = verdict(*contest((alone, 1.0, 0), (taught, 1.1, 0), n=20))
    assert said.endswith("(20 rows held out in turn). So few rows show large gains alone.")
    said = verdict(*contest((alone, 1.0, 0), (taught, 0.7, 0), n=20))
    assert said.startswith("The teacher helps") and said.endswith("). So few rows show large gains alone.")
    outlier = np.eye(100)[0] * 1000
    said = verdict(*contest((alone, 1.0, outlier), (taught, 0.9, 2 * outlier), right=False))
    assert "1 of these 100 rows make 91 % of the squared error, so the comparison hangs on them" in said
    assert "hangs" not in verdict(*contest((alone, 1.0, 0), (taught, 0.9, 0), right=False))


def test_a_decay_that_was_set_gives_labels_alone_one_setting_and_the_report_says_so():
    X, y = rules(150, 0)  # so few that the teacher helps by far more than its interval
    teacher = FrozenEstimator(HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(*rules(3000, 2)))
    model = DistilledClassifier(teacher, (16,), alpha=1.0, max_iter=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y, X_unlabeled=rules(2000, 1)[0])
        assert model.report_["teacher_helped"]
    assert "Labels alone had one setting against 4: search alpha" in model.report_["verdict"]


def test_a_wide_table_of_numbers_is_read_as_one_block(rng, tmp_path, monkeypatch):
    """A column at a time, three hundred columns took longer than the forest that taught."""
    table = pd.DataFrame(rng.normal(size=(200, 300))).add_prefix("v")
    model = DistilledClassifier(**SHORT).fit(table, rng.integers(0, 2, 200))
    kd.save(tmp_path / "wide.npz", model)
    loaded = kd.load(tmp_path / "wide.npz")
    turned = table[table.columns[::-1]].assign(more="text")
    holed = table.astype({"v3": "Float64"})
    want = loaded.predict_proba(table)
    np.testing.assert_array_equal(loaded.predict_proba(holed), want)  # a type of pandas' own goes cell by cell
    monkeypatch.setattr("kdlearn.export.columns._codes", None)
    np.testing.assert_array_equal(loaded.predict_proba(turned), want)
    with pytest.raises(ValueError, match="the rows have no column 'v7'"):
        loaded.predict(table.drop(columns="v7"))


def table_of(n, rng):
    table = pd.DataFrame({"site": rng.choice(["Linz", "Graz"], n), "load": rng.normal(size=n)})
    return table, np.where((table["load"] > 0) ^ (table["site"] == "Graz"), "ok", "repair")


def test_what_is_wrong_is_said_in_the_words_of_whoever_called(rng):
    table, y = table_of(60, rng)
    model = DistilledClassifier(**SHORT).fit(table, y)
    for ask in (model.predict, lambda X: DistilledClassifier(**SHORT).fit(table, y, np.ones(60), answers(y), X)):
        with pytest.raises(ValueError, match="X was a table with the columns 'site', 'load'"):
            ask(table.to_numpy())
    with pytest.raises(ValueError, match=r"teacher_proba must be probabilities.* the text '(ok|repair)'"):
        DistilledClassifier(**SHORT).fit(table, y, teacher_proba=y)
    with pytest.raises(ValueError, match="y has one class: 'ok'"):
        DistilledClassifier(**SHORT).fit(table, ["ok"] * 60)
    with pytest.raises(ValueError, match=r"got an array of shape \(60, 2\) instead: several labels at once"):
        DistilledClassifier(**SHORT).fit(table, np.ones((60, 2), int))
    with pytest.raises(ValueError, match=r"y must hold numbers, its first cell is the text '(ok|repair)'"):
        DistilledRegressor(**SHORT).fit(table, y)


def answers(y):
    return pd.DataFrame({"ok": (y == "ok") * 0.8 + 0.1, "repair": (y != "ok") * 0.8 + 0.1})


def test_a_teacher_of_one_number_is_told_that_there_are_two(rng):
    """It was blamed on texts and missing cells, and there were none."""
    X, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    X[3, 0] = np.nan
    for teacher in (HistGradientBoostingRegressor(), make_pipeline(SimpleImputer(), HistGradientBoostingRegressor())):
        with pytest.raises(ValueError, match=r"y has 2 columns, and the teacher .* MultiOutputRegressor"):
            DistilledRegressor(teacher, **SHORT).fit(X, y)
    few = MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=2))
    assert DistilledRegressor(few, soft_weight=0.5, **SHORT).fit(X, y).predict(X).shape == (60, 2)


def test_answers_in_another_order_than_the_rows_are_warned_of(rng):
    table, y = table_of(60, rng)
    model, stored = DistilledClassifier(soft_weight=0.5, **SHORT), answers(y)
    with pytest.warns(UserWarning, match=r"teacher_proba has the index of X in another order.*loc\[X.index\]"):
        model.fit(table, y, teacher_proba=stored.iloc[::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(table, y, teacher_proba=stored)
        order = rng.permutation(60)  # rows that were shuffled, and answers to them as they came from an array
        model.fit(table.iloc[order], y[order], teacher_proba=stored.iloc[order].reset_index(drop=True))


def test_a_loaded_model_is_shown_in_a_line(rng, tmp_path):
    table, y = table_of(60, rng)
    kd.save(tmp_path / "m.npz", DistilledClassifier(**SHORT).fit(table, y))
    shown = repr(kd.load(tmp_path / "m.npz"))
    assert shown == "FittedClassifier(MLP(3, 8, 2), 2 columns: site, load; 2 classes: ok, repair)"


def test_a_report_beside_no_teacher_says_that_there_is_none(rng):
    """It said that one of the two was a classifier."""
    X = rng.normal(size=(40, 2))
    alone = DistilledRegressor(**SHORT).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="teacher is None, as teacher_ is where labels alone won"):
        export.report(alone, alone.teacher_, X, X[:, 0])
