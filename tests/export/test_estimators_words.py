"""Estimators: what is set and has no effect is said; what the pages say of labels, classes and notes is so."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import MinMaxScaler
from sklearn.tree import DecisionTreeClassifier

from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.contest import Choice, Result, decide, verdict

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


@pytest.mark.parametrize("names", [(1, 2, 3), ("1", "2", "3"), (-1, 0, 1), (2, 1, 5)])
def test_codes_that_could_be_labels_are_not_guessed(names):
    """As texts they were taken in order, so that the teacher's 1 taught 2."""
    model = DistilledClassifier(FrozenEstimator(LogisticRegression().fit(X, THREE)), **HAND)
    with pytest.raises(ValueError, match=r"the teacher knows the classes 0, 1, 2, but not .*LabelEncoder"):
        model.fit(X, np.array(names)[THREE])


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
