"""Estimators: what is set and has no effect is said; what the pages say of labels, classes and notes is so."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import kdlearn as kd
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.contest import Choice, Result, decide, verdict
from kdlearn.estimators.teachers import columns_of

HAND = {"soft_weight": 0.7, "max_iter": 3, "tol": 10, "random_state": 0}
rng = np.random.default_rng(0)
X = rng.normal(size=(90, 3))
CODES = (X[:, 0] > 0) * 1
THREE = CODES + (X[:, 1] > 0)


def test_partial_fit_refuses_to_stop_early():
    """scikit-learn's networks do, too; here it was ignored."""
    for model, more in ((DistilledClassifier, {"classes": [0, 1]}), (DistilledRegressor, {})):
        with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
            model(early_stopping=True).partial_fit(X, CODES, **more)


def test_rows_that_cannot_be_made_are_said():
    """augment=1000 was ignored in four places, of which one was written down."""
    teacher, told = LogisticRegression(), "augment=1000 has no effect"
    model, p = DistilledClassifier(teacher, augment=1000, **HAND), teacher.fit(X, CODES).predict_proba(X)
    with pytest.warns(UserWarning, match=told):
        model.fit(X, CODES, X_unlabeled=X[:9])
    with pytest.warns(UserWarning, match=told):
        model.fit(sparse.csr_array(X), CODES)
    with pytest.warns(UserWarning, match=told):
        DistilledClassifier(augment=1000, **HAND).fit(X, CODES, teacher_proba=p)
    frozen = FrozenEstimator(teacher)
    with pytest.warns(UserWarning, match=told):
        DistilledClassifier(frozen, augment=1000, **HAND).partial_fit(X, CODES, classes=[0, 1])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="augment")
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        for asked in (teacher, frozen):
            model = DistilledClassifier(asked, augment=1000, **HAND).fit(X, CODES)
            assert model.report_["chosen"].endswith("1,000 made rows")
        DistilledClassifier(frozen, **HAND).partial_fit(X, CODES, classes=[0, 1])
        DistilledClassifier(teacher, augment=False, **HAND).fit(X, CODES, X_unlabeled=X[:9])


def test_notes_count_empty_texts_as_missing():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"t": ["a", ""] * 45, "u": [None] * 5 + ["b", "c"] * 42 + ["b"], "x": X[:, 0]})
    (_, note) = DistilledClassifier(max_iter=3, tol=10).fit(table, CODES).report_["notes"]
    assert note.startswith("50 missing cells were filled") and note.endswith("most, 45, in column 't'.")


@pytest.mark.parametrize("names", [(-1, 1), ("no", "yes"), (2, 5), (False, True), (0.0, 1.0)])
def test_a_teacher_of_codes_knows_the_sorted_classes(names):
    """-1 and 1 were refused, though 1 has the same column either way."""
    y = np.array(names)[CODES]
    model = DistilledClassifier(FrozenEstimator(LogisticRegression().fit(X, CODES)), **(HAND | {"soft_weight": 1.0}))
    model.set_params(max_iter=60).fit(X, y)
    assert (model.predict(X) == y).mean() > 0.9


@pytest.mark.parametrize("names", [(1, 2, 3), ("1", "2", "3"), (-1, 0, 1), (2, 1, 5), (-1.0, 0.0, 1.0)])
def test_codes_that_could_be_labels_are_not_guessed(names):
    """As texts they were taken in order, so that the teacher's 1 taught 2."""
    model = DistilledClassifier(FrozenEstimator(LogisticRegression().fit(X, THREE)), **HAND)
    with pytest.raises(ValueError, match=r"the teacher knows the classes 0, 1, 2, but not .*LabelEncoder"):
        model.fit(X, np.array(names)[THREE])


@pytest.mark.parametrize("known", [[0, 1, 2], [0.0, 1.0, 2.0], ["0", "1", "2"], ["0.0", "1.0", "2.0"]])
@pytest.mark.parametrize("kind", [int, float, str, "1.0"])
def test_a_label_is_one_label_however_it_is_written(kind, known):
    """1.0, as y is once a column had a missing cell, was not the teacher's 1: 1.0, 2.0, 3.0 were 0, 1, 2."""

    def written(labels):
        return np.array(labels, float).astype(str) if kind == "1.0" else np.array(labels, kind)

    all_there = np.zeros(3, bool)
    assert columns_of(known, written([0, 1, 2]), all_there).tolist() == [0, 1, 2]
    assert columns_of(known[::-1], written([0, 1, 2]), all_there).tolist() == [2, 1, 0]
    assert columns_of(known, written([5, 6, 7]), all_there).tolist() == [0, 1, 2]
    for shifted in ([1, 2, 3], [0, 2, 4]):
        with pytest.raises(ValueError, match=r"the teacher knows the classes 0.*LabelEncoder"):
            columns_of(known, written(shifted), all_there)
    with pytest.raises(ValueError, match="LabelEncoder"):
        columns_of(known[:2], written([-1, 0]), all_there[:2])


@pytest.mark.parametrize("labels", [[0, 1], [False, True], [0.0, 2.0], [np.int64(3), 7], ["a", "b"]])
def test_labels_in_an_array_of_objects_are_what_they_are(labels):
    """y.astype(object) of whole numbers was an unknown label type."""
    plain = np.array(labels)[CODES]
    y = plain.astype(object)
    model = DistilledClassifier(**HAND | {"soft_weight": "auto"}).fit(X, y)
    assert model.classes_.tolist() == labels and model.predict(X).dtype.kind in (plain.dtype.kind, "O")
    model = DistilledClassifier(**HAND | {"soft_weight": "auto"})
    model.partial_fit(X, y, classes=np.array(labels, dtype=object)).partial_fit(X, y)
    assert set(model.predict(X).tolist()) <= set(labels)


def test_what_is_no_label_is_refused():
    for wrong in (np.array([True, 2], dtype=object)[CODES], np.array([b"a", b"b"])[CODES]):
        with pytest.raises((ValueError, TypeError), match=r"[Ll]abel"):
            DistilledClassifier(max_iter=3).fit(X, wrong)
    for unit in ("datetime64[D]", "timedelta64[D]"):  # NaT was a class
        days = CODES.astype(unit)
        days[4] = "NaT"
        for y in (days, np.array(list(days), dtype=object)):
            with pytest.raises(ValueError, match="y contains NaN, first in row 4"):
                DistilledClassifier(max_iter=3).fit(X, y)


@pytest.mark.parametrize("weights", [None, [1, 1, 0, 0, 0]])
def test_a_contest_of_two_rows_ends(weights):
    """It made rows of the one that was left to learn from: low >= high."""
    n = 2 if weights is None else 5
    for teacher, model, y in (
        (Ridge(), DistilledRegressor, X[:n, 0]),
        (LogisticRegression(), DistilledClassifier, np.array([0, 1, 0, 1, 0])[:n]),
    ):
        fitted = model(teacher, max_iter=3, tol=10).fit(X[:n], y, sample_weight=weights)
        assert np.isfinite(fitted.predict(X)).all()
    assert DistilledRegressor(Ridge(), soft_weight=0.5, augment=10, max_iter=3, tol=10).fit(X[:2], X[:2, 0])


def unequal(kind):
    """Rows of which the first half, of another place and class, has the weight 0."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[:30] += 100
    X[::7, 1] = np.nan
    if kind == "texts":
        X = np.c_[X.astype(object), np.where(np.arange(60) < 30, "far", "near").astype(object)]
        X[40, 3] = "here"
    if kind == "only there":
        X[30:] = np.nan_to_num(X[30:])
    return X, np.where(np.arange(60) < 30, 0, np.arange(60) % 3 > 0).astype(int), np.repeat([0.0, 1.0], 30)


@pytest.mark.parametrize("kind", ["numbers", "texts", "only there", "own", "partial"])
def test_rows_of_weight_0_decide_nothing(kind):
    """They had their part in the median, the texts, one's own preprocessor and the weights of the classes."""
    X, y, w = unequal(kind)
    settings = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, "activation": "tanh"}
    if kind == "own":
        X, settings["preprocessor"] = np.nan_to_num(X), MinMaxScaler()
    if kind == "partial":
        one, other = (DistilledClassifier(**settings) for _ in range(2))
        one.partial_fit(X, y, classes=[0, 1], sample_weight=w)
        other.partial_fit(X[30:], y[30:], classes=[0, 1])
    else:
        one = DistilledClassifier(class_weight="balanced", **settings).fit(X, y, sample_weight=w)
        other = DistilledClassifier(class_weight="balanced", **settings).fit(X[30:], y[30:])
        numbers = [DistilledRegressor(**settings) for _ in range(2)]
        target = np.linspace(0, 1, 60) ** 3 + 1e6 * (w == 0)
        numbers[0].fit(X, target, sample_weight=w)
        numbers[1].fit(X[30:], target[30:])
        np.testing.assert_array_equal(numbers[0].predict(X[30:]), numbers[1].predict(X[30:]))
    assert type(one.preprocessor_) is type(other.preprocessor_)
    np.testing.assert_array_equal(one.predict_proba(X[30:]), other.predict_proba(X[30:]))


def test_answers_and_rows_without_labels_stay_beside_theirs():
    """The rows of weight 0 leave, and take their stored answers along."""
    X, y, w = unequal("numbers")
    p = np.random.default_rng(1).dirichlet([1, 1], 80)
    more = np.random.default_rng(2).normal(size=(20, 3))
    student = DistilledClassifier(None, (3,), soft_weight=0.5, max_iter=2, random_state=0)
    one = clone(student).fit(X, y, sample_weight=w, teacher_proba=p, X_unlabeled=more)
    other = clone(student).fit(X[30:], y[30:], teacher_proba=p[30:], X_unlabeled=more)
    np.testing.assert_array_equal(one.predict_proba(X[30:]), other.predict_proba(X[30:]))


def contest_of(weights, gain=0.2):
    """Labels alone and a student of the teacher, each measured on all rows; `gain` is by how much it is better."""
    noise = np.random.default_rng(0).normal(size=len(weights))
    alone = Result(Choice(0.0), 1 + noise, np.full(len(weights), np.nan), weights=weights)
    taught = Result(Choice(0.5), 1 + noise - gain, np.full(len(weights), np.nan), weights=weights)
    return [alone, taught], decide([alone, taught], weights)


def test_a_verdict_counts_rows_by_their_weights():
    """30 rows of weight 1 beside 570 of weight 1e-9 were "600 rows held out", and not few."""
    weights = np.where(np.arange(600) < 30, 1.0, 1e-9)
    assert verdict(*contest_of(weights, -1)) == (
        "Labels alone are as good here: the teacher is not used (600 rows held out in turn, by their weights as many "
        "as 30). So few rows show large gains alone."
    )
    assert "600 rows held out in turn, by their weights as many as 30 (" in verdict(*contest_of(weights))
    assert "weights" not in verdict(*contest_of(np.ones(600)))
    one_row = np.where(np.arange(600) < 1, 1.0, 1e-9)  # has no standard error
    assert verdict(*contest_of(one_row)).startswith("There are too few rows to compare")


def test_rows_of_which_the_teacher_says_nothing_leave_the_mean():
    """540 rows of another class counted in the mean of the soft term, which was a quarter of what it should be."""
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int)
    tree = DecisionTreeClassifier(random_state=0).fit(np.r_[X, X + 9], np.r_[y, np.full(40, 2)])
    settings = {"soft_weight": 1.0, "temperature": 1.0, "max_iter": 1, "learning_rate_init": 1e-12, "random_state": 0}
    student = DistilledClassifier(FrozenEstimator(tree), (3,), batch_size=10**6, **settings)
    with pytest.warns(UserWarning, match="in 80 of 120 rows the teacher is sure of classes that y does not have"):
        student.fit(X, y, X_unlabeled=np.r_[X + 9, X + 9])
    log_p = student.predict_log_proba(X)
    assert student.loss_ == pytest.approx(-log_p[np.arange(40), y].mean(), rel=1e-6)


# ------------------------------------------------------------------ what a newcomer found


def search(teacher):
    return GridSearchCV(teacher, {}, cv=2)


@pytest.mark.parametrize(
    "teacher, name",
    [
        (search(LogisticRegression()), "sample_weight"),
        (search(make_pipeline(StandardScaler(), LogisticRegression())), "logisticregression__sample_weight"),
        (make_pipeline(StandardScaler(), search(LogisticRegression())), "gridsearchcv__sample_weight"),
        (VotingClassifier([("a", LogisticRegression())], voting="soft"), "sample_weight"),
        (StackingClassifier([("a", LogisticRegression())], cv=2), "sample_weight"),
        (RFE(LogisticRegression()), "sample_weight"),
    ],
    ids=["search", "search of a pipeline", "pipeline of a search", "votes", "stack", "rfe"],
)
def test_weights_reach_a_teacher_inside_another(teacher, name):
    """A warning said that GridSearchCV takes none."""
    w = np.linspace(0.1, 3, len(X))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*sample_weight")
        model = DistilledClassifier(teacher, **HAND).fit(X, CODES, sample_weight=w)
    np.testing.assert_allclose(
        model.teacher_.predict_proba(X), clone(teacher).fit(X, CODES, **{name: w}).predict_proba(X), atol=1e-6
    )


def test_teachers_inside_which_one_takes_no_weights_are_warned_of():
    votes = VotingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier())], voting="soft")
    with pytest.warns(UserWarning, match="VotingClassifier takes no sample_weight"):
        DistilledClassifier(votes, **HAND).fit(X, CODES, sample_weight=np.linspace(0.1, 3, len(X)))


def test_a_stack_with_its_default_end_and_a_network_of_several_numbers_may_teach():
    """The first says only once it is fitted what it has, the second says that it predicts one number."""
    for make in (lambda t: t, search, lambda t: make_pipeline(StandardScaler(), t)):
        stack = StackingClassifier([("a", LogisticRegression())], cv=2)
        assert DistilledClassifier(make(stack), **HAND).fit(X, CODES).teacher_ is not None
    several = np.c_[X[:, 0], -X[:, 1]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        DistilledRegressor(StackingRegressor([("a", Ridge())], cv=2), **HAND).fit(X, X[:, 0])
        assert DistilledRegressor(MLPRegressor(max_iter=2), **HAND).fit(X, several).predict(X).shape == (90, 2)
    without = StackingClassifier([("a", Ridge())], final_estimator=Ridge())
    with pytest.raises(TypeError, match="a teacher needs predict_proba, StackingClassifier has none"):
        DistilledClassifier(without).fit(X, CODES)
    with pytest.raises(TypeError, match="a teacher needs predict_proba, GridSearchCV has none"):
        DistilledClassifier(GridSearchCV(StackingClassifier([("a", LogisticRegression())]), {}, refit=False)).fit(
            X, CODES
        )


@pytest.mark.parametrize("kind", [RegressorChain, MultiOutputRegressor])
def test_a_teacher_of_several_columns_is_told_that_there_is_one(kind):
    with pytest.raises(ValueError, match=f"y is one column, and the teacher {kind.__name__} takes several"):
        DistilledRegressor(kind(Ridge()), **HAND).fit(X, X[:, 0])


def test_the_score_that_is_shown_is_that_of_the_epoch_that_is_kept():
    """It was the best of all epochs."""
    noisy = (X[:, 0] + np.random.default_rng(1).normal(size=90) > 1) * 1
    settings = {"early_stopping": True, "validation_fraction": 0.3, "learning_rate_init": 0.03, "random_state": 0}
    model = DistilledClassifier(max_iter=40, n_iter_no_change=8, **settings).fit(X, noisy)
    kept = int(np.argmin(model.history_["loss", "validation"]))
    assert model.best_validation_score_ == model.validation_scores_[kept] < max(model.validation_scores_)


def test_a_report_has_all_its_keys_where_nothing_competed():
    frozen = FrozenEstimator(LogisticRegression().fit(X, CODES))
    for model in (
        DistilledClassifier(max_iter=3, tol=10).fit(X, CODES),
        DistilledClassifier(frozen, **HAND).fit(X, CODES),
        DistilledClassifier(frozen, **HAND).partial_fit(X, CODES, classes=[0, 1]),
    ):
        report = model.report_
        assert report["teacher_helped"] is report["alpha_of_labels_alone"] is report["longer_of_labels_alone"] is None
        assert report["candidates"] == report["notes"] == []


def test_a_training_that_was_too_short_says_how_many_passes_there_were():
    few = {**HAND, "max_iter": 8, "tol": 0.0, "learning_rate_init": 1e-4}
    with pytest.warns(ConvergenceWarning, match="the passes that max_iter=8 makes here, 2, were over"):
        DistilledClassifier(LogisticRegression(), augment=True, **few).fit(X, CODES)


def test_rows_that_were_held_out_in_turn_are_said_to_be():
    """One row alone of its class is never held out, and 89 of 90 read as if one had taught."""
    rare = np.r_[CODES[:-1], 2]
    model = DistilledClassifier(LogisticRegression(), augment=False, max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning):
        assert "(89 rows held out in turn)" in model.fit(X, rare).report_["verdict"]


def test_a_copy_and_its_model_learn_apart():
    """`copy.copy(m).partial_fit(…)` moved the weights of m."""
    model = DistilledClassifier(random_state=0).partial_fit(X, CODES, classes=[0, 1])
    before, other = model.predict_proba(X), copy.copy(model)
    want = copy.deepcopy(model).partial_fit(X, CODES).predict_proba(X)
    np.testing.assert_array_equal(other.partial_fit(X, CODES).predict_proba(X), want)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    np.testing.assert_array_equal(model.partial_fit(X, CODES).predict_proba(X), want)  # its moments are its own, too


def test_a_path_is_a_memory(tmp_path):
    DistilledClassifier(LogisticRegression(), memory=tmp_path / "kept", **HAND).fit(X, CODES)
    assert (tmp_path / "kept" / "joblib").is_dir()


@pytest.mark.parametrize(
    "made, said",
    [
        (lambda A: A[:10], "the preprocessor makes 10 rows of 90: it must keep each"),
        (lambda A: A[:, :0], r"the preprocessor must make one or more finite numbers a row: .*0 feature\(s\)"),
        (lambda A: A.astype(str).astype(object) + "!", "the preprocessor must make one or more finite numbers a row"),
        (lambda A: np.where(A > 0, np.nan, A), "must make one or more finite numbers a row: Input contains NaN"),
    ],
)
def test_a_preprocessor_that_makes_no_rows_of_numbers_is_named(made, said):
    with pytest.raises(ValueError, match=said):
        DistilledClassifier(preprocessor=FunctionTransformer(made), max_iter=1).fit(X, CODES)


def test_rows_that_scikit_learn_was_told_not_to_check_are_not_called_large():
    model = DistilledClassifier(max_iter=3, tol=10).fit(X, CODES)
    with sklearn.config_context(assume_finite=True):
        for value in (np.nan, np.inf):
            with np.errstate(all="ignore"), pytest.raises(ValueError, match="row 1 holds NaN or infinity"):
                model.predict([[0.0] * 3, [value] * 3])
        with pytest.raises(ValueError, match="input 1 holds NaN or infinity"):
            DistilledClassifier().fit(np.where([False, True, False], np.inf, X), CODES)


def test_names_are_no_categories_of_a_small_table_either():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"x": X[:, 0], "name": [f"person {i}" for i in range(90)]})
    with pytest.raises(ValueError, match="'name' has 90 different texts in 90 rows, more like names"):
        DistilledClassifier().fit(table, CODES)
    dates = pd.Categorical(pd.to_datetime(["2020-01-01", "2021-01-01"])[CODES])
    with pytest.raises(ValueError, match=r"column 'when' holds datetime64.*: give it as numbers"):
        DistilledClassifier().fit(pd.DataFrame({"x": X[:, 0], "when": dates}), CODES)


def test_what_cannot_be_saved_says_why(tmp_path):
    net = kd.MLP(2, 3)
    kd.save(tmp_path / "net.npz", net, settings={"a": 1, 2: 3})
    assert kd.checkpoint.read(tmp_path / "net.npz")[1]["settings"] == {"a": 1, "2": 3}
    with pytest.raises(TypeError, match=r"settings of a checkpoint must be what JSON can hold: .*set"):
        kd.save(tmp_path / "net.npz", net, settings={"a": {1}})
    with pytest.raises(FileNotFoundError, match=r"no such folder to write into: .*nowhere'"):
        kd.save(tmp_path / "nowhere" / "net.npz", net)
    found = GridSearchCV(DistilledClassifier(max_iter=1, tol=10), {}, cv=2, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found.fit(X, CODES)
    with pytest.raises(TypeError, match="not GridSearchCV: with refit=False it keeps no fitted model"):
        kd.save(tmp_path / "search.npz", found)


@pytest.mark.parametrize("kind", [int, bool, str])
def test_labels_in_an_array_of_objects_can_be_scored(kind):
    """They were fitted, and score raised: a search had NaN for all of its settings."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = (X[:, 0] > 0).astype(kind)
    model = DistilledClassifier(max_iter=5, random_state=0)
    model.fit(X, y.astype(object))
    assert model.score(X, y.astype(object)) == model.score(X, y) == (model.predict(X) == y).mean()
    assert np.isfinite(cross_val_score(model, X, y.astype(object), cv=3)).all()
    texts = y.astype(str).astype(np.dtypes.StringDType())
    assert model.fit(X, texts).score(X, texts) == model.score(X, y.astype(str))
