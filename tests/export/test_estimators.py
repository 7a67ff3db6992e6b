"""scikit-learn's conformance suite, and that the estimators distil."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import kdlearn as kd
from kdlearn.estimators import DistilledClassifier, DistilledRegressor

QUICK = {"hidden_layer_sizes": (16,), "max_iter": 60, "random_state": 0}


@parametrize_with_checks(
    [
        DistilledClassifier(max_iter=30),
        DistilledClassifier(LogisticRegression(), max_iter=30, soft_weight=0.5),
        DistilledRegressor(max_iter=30),
    ]
)
def test_conformance(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    train, _, test = kd.data.digits()
    return train.x[:300].astype(np.float64), train.y[:300], test.x, test.y, train.x[300:]


@pytest.fixture(scope="module")
def forest(digits):
    return RandomForestClassifier(100, random_state=0).fit(*digits[:2])


@pytest.mark.parametrize(
    "teacher",
    [
        RandomForestClassifier(50, random_state=0),
        HistGradientBoostingClassifier(max_iter=20),
        CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC()), ensemble=False),
    ],
    ids=["forest", "boosting", "calibrated svc"],
)
def test_any_teacher_end_to_end(teacher, digits):
    X, y, X_test, y_test, _ = digits
    student = DistilledClassifier(teacher, **QUICK).fit(X, y)
    assert student.score(X_test, y_test) > 0.75
    assert np.isfinite(student.predict_proba(X_test)).all()
    assert student.teacher_ is not teacher and not hasattr(teacher, "classes_")


def test_it_distils(digits, forest):
    """Temperature and weight matter, and the student comes to agree with its teacher."""
    X, y, X_test, _, unlabelled = digits
    frozen = FrozenEstimator(forest)
    agreement = {}
    for weight in (0.0, 1.0):
        student = DistilledClassifier(frozen, soft_weight=weight, **QUICK).fit(X, y, X_unlabeled=unlabelled)
        agreement[weight] = (student.predict(X_test) == forest.predict(X_test)).mean()
    assert agreement[1.0] > agreement[0.0] + 0.005
    hot, cold = (
        DistilledClassifier(frozen, soft_weight=0.9, temperature=T, **QUICK).fit(X, y).predict_proba(X_test)
        for T in (1.0, 8.0)
    )
    assert np.abs(hot - cold).max() > 0.05


def test_a_frozen_teacher_is_not_refitted(digits, forest):
    X, _, X_test, *_ = digits
    before = pickle.dumps(forest)
    by_hand = {**QUICK, "soft_weight": 0.5}  # in a contest such labels might not keep it
    student = DistilledClassifier(FrozenEstimator(forest), **by_hand).fit(X[:50], np.arange(50) % 10)
    assert pickle.dumps(forest) == before
    np.testing.assert_array_equal(student.teacher_.predict(X_test), forest.predict(X_test))


def test_inputs_are_standardised_inside(digits):
    X, y, X_test, y_test, _ = digits
    scale = np.geomspace(1e-3, 1e4, X.shape[1])
    student = DistilledClassifier(**QUICK).fit(X * scale + 5, y)
    assert student.score(X_test * scale + 5, y_test) > 0.8


def test_classes_of_any_kind_and_order(digits, forest):
    X, y, X_test, *_ = digits
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])

    class Reversed(RandomForestClassifier):
        """The same probabilities with its classes in descending order."""

        def fit(self, X, y, sample_weight=None):
            super().fit(X, y)
            self.classes_ = self.classes_[::-1]
            return self

        def predict_proba(self, X):
            return super().predict_proba(X)[:, ::-1]

    plain, odd = (
        DistilledClassifier(kind(30, random_state=0), soft_weight=1.0, **QUICK).fit(X, names[y])
        for kind in (RandomForestClassifier, Reversed)
    )
    assert list(plain.classes_) == sorted(names)
    np.testing.assert_allclose(plain.predict_proba(X_test), odd.predict_proba(X_test), rtol=1e-6)


def test_teacher_proba_equals_the_teacher(digits, forest):
    X, y, X_test, *_ = digits
    a = DistilledClassifier(FrozenEstimator(forest), augment=False, **QUICK).fit(X, y)
    b = DistilledClassifier(**QUICK).fit(X, y, teacher_proba=forest.predict_proba(X))
    np.testing.assert_array_equal(a.predict_proba(X_test), b.predict_proba(X_test))


def test_pipeline_search_and_routing(digits, forest):
    X, y, *_ = digits
    pipeline = make_pipeline(StandardScaler(), DistilledClassifier(FrozenEstimator(LogisticRegression()), **QUICK))
    assert "distilledclassifier__temperature" in pipeline.get_params()
    search = GridSearchCV(DistilledClassifier(LogisticRegression(max_iter=500), **QUICK), {"temperature": [1, 4]}, cv=2)
    assert search.fit(X, y).best_params_["temperature"] in (1, 4)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = DistilledClassifier(**QUICK).set_fit_request(teacher_proba=True)
        result = cross_validate(estimator, X, y, params={"teacher_proba": forest.predict_proba(X)}, cv=2)
    assert result["test_score"].min() > 0.7


def test_clone_and_pickle(digits):
    X, y, X_test, *_ = digits
    student = DistilledClassifier(**QUICK).fit(X, y)
    again = sklearn.clone(student).fit(X, y)
    loaded = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(again.predict_proba(X_test), student.predict_proba(X_test))
    np.testing.assert_array_equal(loaded.predict_proba(X_test), student.predict_proba(X_test))


def test_early_stopping_and_verbose(digits, capsys):
    X, y, *_ = digits
    student = DistilledClassifier(early_stopping=True, n_iter_no_change=3, max_iter=500, random_state=0).fit(X, y)
    assert student.n_iter_ < 500 and len(student.history_) == student.n_iter_
    DistilledClassifier(max_iter=2, verbose=True, random_state=0).fit(X, y)
    assert capsys.readouterr().out.startswith("Iteration 1, loss = ")


def test_regression():
    X, y = make_friedman1(400, noise=1.0, random_state=0)
    X_more, y_more = make_friedman1(2000, random_state=1)
    X_test, y_test = make_friedman1(1000, random_state=2)
    teacher = FrozenEstimator(RandomForestRegressor(50, random_state=0).fit(X_more, y_more))
    settings = {"max_iter": 100, "random_state": 0}
    alone = DistilledRegressor(**settings).fit(X, y)
    taught = DistilledRegressor(teacher, **settings).fit(X, y, X_unlabeled=X_more)
    assert alone.score(X_test, y_test) > 0.5
    answers = teacher.predict(X_test)
    gap = [np.mean((m.predict(X_test) - answers) ** 2) for m in (alone, taught)]
    assert gap[1] < 0.8 * gap[0]
    X, y = load_diabetes(return_X_y=True)
    assert DistilledRegressor(RandomForestRegressor(30, random_state=0), **settings).fit(X, y).score(X, y) > 0.4


X_ = np.random.default_rng(0).normal(size=(30, 4))
Y_ = np.arange(30) % 3
P_ = np.full((30, 3), 1 / 3)


@pytest.mark.parametrize(
    "settings, arguments, error, message",
    [
        ({}, {"y": np.zeros(30, int)}, ValueError, "one class"),
        ({}, {"y": Y_ + 0.5}, ValueError, "continuous"),
        ({}, {"y": Y_[:20]}, ValueError, "inconsistent numbers of samples"),
        ({"preprocessor": None}, {"X": np.where(X_ > 2, np.nan, X_)}, ValueError, "NaN"),
        ({}, {"X": np.where(X_ > 2, np.inf, X_)}, ValueError, "infinity"),
        ({"soft_weight": 1.5}, {}, ValueError, "soft_weight"),
        ({"soft_weight": float("nan")}, {}, ValueError, "soft_weight"),
        ({"temperature": 0}, {}, ValueError, "'temperature' parameter"),
        ({"hidden_layer_sizes": (0,)}, {}, ValueError, "hidden_layer_sizes"),
        ({"batch_size": 0}, {}, ValueError, "batch_size"),
        ({"learning_rate_init": -1}, {}, ValueError, "'learning_rate_init' parameter"),
        ({"max_iter": 2.5}, {}, ValueError, "'max_iter' parameter"),
        ({"teacher": RidgeClassifier()}, {}, TypeError, "predict_proba, RidgeClassifier"),
        ({"teacher": FrozenEstimator(LogisticRegression().fit(X_, Y_ % 2))}, {}, ValueError, "classes"),
        ({}, {"teacher_proba": P_[:20]}, ValueError, r"shape \(30, 3\)"),
        ({}, {"teacher_proba": P_[:, :2]}, ValueError, r"shape \(30, 3\)"),
        ({}, {"teacher_proba": 2 * P_}, ValueError, "sum to 1"),
        ({}, {"teacher_proba": P_ * [1, 3, -1]}, ValueError, "negative"),
        ({}, {"sample_weight": -np.ones(30)}, ValueError, "[Nn]egative"),
        ({}, {"sample_weight": np.full(30, np.nan)}, ValueError, "NaN"),
        ({}, {"sample_weight": np.zeros(30)}, ValueError, "non-zero"),
        ({}, {"sample_weight": np.ones(20)}, ValueError, "sample_weight"),
        ({}, {"X_unlabeled": X_}, ValueError, "needs a teacher"),
        ({"teacher": LogisticRegression()}, {"X_unlabeled": X_[:, :2]}, ValueError, "2 features"),
    ],
)
def test_bad_input(settings, arguments, error, message):
    with pytest.raises(error, match=message):
        DistilledClassifier(**{**QUICK, **settings}).fit(**{"X": X_, "y": Y_, **arguments})


def test_probabilities_slightly_off_are_renormalised_with_a_warning():
    with pytest.warns(UserWarning, match="renormalised"):
        DistilledClassifier(**QUICK).fit(X_, Y_, teacher_proba=P_ * (1 + 5e-5))


def test_probabilities_of_exactly_zero_and_one_are_fine():
    student = DistilledClassifier(**QUICK).fit(X_, Y_, teacher_proba=np.eye(3)[Y_])
    assert np.isfinite(student.loss_)


def test_before_fit_and_with_other_width():
    with pytest.raises(NotFittedError):
        DistilledClassifier().predict(X_)
    with pytest.raises(ValueError, match="features"):
        DistilledClassifier(**QUICK).fit(X_, Y_).predict(X_[:, :2])
    with pytest.raises(ValueError, match="Invalid parameter"):
        DistilledClassifier().set_params(temprature=2)


# ------------------------------------------------------------------ copies, and fits that go on

ROWS = np.random.default_rng(0).normal(size=(150, 3))
SIGNS = (ROWS[:, 0] + 0.3 * ROWS[:, 1] > 0).astype(int)


def test_a_compact_copy_stays_as_it_is():
    """It shared its network with the model: a later partial_fit moved both."""
    model = DistilledClassifier(random_state=0).partial_fit(ROWS, SIGNS, classes=[0, 1])
    small, before = model.compact(), model.predict_proba(ROWS)
    model.partial_fit(ROWS, 1 - SIGNS)
    np.testing.assert_array_equal(small.predict_proba(ROWS), before)
    assert np.abs(model.predict_proba(ROWS) - before).max() > 0.01


@pytest.mark.parametrize("again", [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_copy_learns_on_as_the_model_would(again, solver):
    """The moments of its optimiser were lost without a word, and it went another way."""
    model = DistilledClassifier(hidden_layer_sizes=(8,), solver=solver, random_state=0)
    for part in range(3):
        model.partial_fit(ROWS[30 * part :][:30], SIGNS[30 * part :][:30], classes=[0, 1])
    other = again(model)
    for one in (model, other):
        one.partial_fit(ROWS[90:], SIGNS[90:])
    np.testing.assert_array_equal(model.predict_proba(ROWS), other.predict_proba(ROWS))


def test_a_partial_fit_goes_by_the_settings_as_they_are_now():
    """The first call's rate, decay and momentum held for all."""
    model = DistilledClassifier(hidden_layer_sizes=(8,), random_state=0).partial_fit(ROWS, SIGNS, classes=[0, 1])
    before = model.predict_proba(ROWS)
    model.set_params(learning_rate_init=1e-12, alpha=0.0).partial_fit(ROWS, SIGNS)
    np.testing.assert_allclose(model.predict_proba(ROWS), before, atol=1e-9)
    model.set_params(solver="sgd", learning_rate_init=0.1).partial_fit(ROWS, SIGNS)
    assert np.abs(model.predict_proba(ROWS) - before).max() > 0.01


@pytest.mark.parametrize("numbers", [False, True])
def test_what_was_learned_of_a_column_is_kept_where_it_is_constant_later(numbers):
    """A second fit, on rows of one town, set the weights of the town to zero."""
    kind, y = (DistilledRegressor, 2 * ROWS[:, 0]) if numbers else (DistilledClassifier, SIGNS)
    model = kind(hidden_layer_sizes=(8,), max_iter=30, warm_start=True, random_state=0).fit(ROWS, y)
    before = model.predict(ROWS)
    flat = np.column_stack([np.full(150, 0.7), ROWS[:, 1:]])
    model.set_params(max_iter=1, learning_rate_init=1e-9, alpha=0.0).fit(flat, np.full(150, 1.0) if numbers else SIGNS)
    np.testing.assert_allclose(model.predict(ROWS), before, atol=1e-6)


def test_a_column_that_differs_by_rounding_is_constant():
    """Its weights were as they were drawn, and the first row with another value was answered at random."""
    noise = np.where(np.arange(150) % 2, 0.3, 0.1 + 0.2)
    assert noise.min() < noise.max()
    x = np.column_stack([ROWS[:, 0], noise])
    for model in (DistilledClassifier(**QUICK).fit(x, SIGNS), DistilledRegressor(**QUICK).fit(x, ROWS[:, 0])):
        far = model.predict(np.array([[0.5, 0.3], [0.5, 5.0], [0.5, -50.0]]))
        np.testing.assert_allclose(far, far[0], rtol=1e-12)
    taught = DistilledRegressor(**QUICK).fit(np.column_stack([x[:, 1], 1e-6 * ROWS[:, 0]]), ROWS[:, 0])
    assert taught.score(np.column_stack([x[:, 1], 1e-6 * ROWS[:, 0]]), ROWS[:, 0]) > 0.9


def test_the_report_weighs_the_rows_as_the_fit_does():
    """Losses of rows that weigh next to nothing stood in the report beside gains without them."""
    y, weights = 2 * ROWS[:, 0] + 1, np.ones(150)
    weights[::10] = 1e-7
    wild = np.where(weights < 1, y + 1000, y)
    settings = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}
    found = DistilledRegressor(LinearRegression(), **settings).fit(ROWS, wild, sample_weight=weights).report_
    assert all(entry["loss"] < 3 for entry in found["candidates"]) and "% of the squared error" not in found["verdict"]
    alone = min(
        e["loss"] for e in found["candidates"] if e["soft_weight"] == 0 and e["longer"] == 1 and e["rows"] == 150
    )
    for entry in found["candidates"]:
        if entry["soft_weight"] > 0 and entry["rows"] == 150 and found["longer_of_labels_alone"] == 1:
            assert entry["loss_gain"] == pytest.approx(alone - entry["loss"])


def test_early_stopping_keeps_the_epoch_with_the_lowest_loss():
    """A loss that fell by less than `tol` was not the best one, and its weights were lost."""
    settings = {"hidden_layer_sizes": (8,), "early_stopping": True, "validation_fraction": 0.3, "random_state": 0}
    model = DistilledClassifier(max_iter=30, tol=10.0, n_iter_no_change=30, **settings).fit(ROWS, SIGNS)
    losses = model.history_["loss", "validation"]
    best = int(np.argmin(losses))
    assert best > 0
    shorter = DistilledClassifier(max_iter=30, tol=0.0, n_iter_no_change=30, **settings).fit(ROWS, SIGNS)
    np.testing.assert_array_equal(model.predict_proba(ROWS), shorter.predict_proba(ROWS))


# ------------------------------------------------------------------ reports


class Codes(ClassifierMixin, BaseEstimator):
    """A teacher that takes no labels but 0 … K-1, as XGBoost does."""

    def fit(self, X, y):
        if not np.array_equal(np.unique(y), np.arange(len(np.unique(y)))):
            raise ValueError("Invalid classes inferred from unique values of y")
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def predict(self, X):
        return self.model_.predict(X)


def test_labels_are_not_compared_with_their_codes():
    """A teacher that was right in 97 % of the rows was reported to be right in 2 %."""
    settings = {**QUICK, "soft_weight": 0.5, "max_iter": 5}
    for labels in (SIGNS + 1, np.array([5, 9])[SIGNS], 2 * SIGNS - 1):
        model = DistilledClassifier(Codes(), **settings).fit(ROWS, labels)
        with pytest.raises(ValueError, match="as codes of labels they cannot be compared"):
            kd.export.report(model, model.teacher_, ROWS, labels)
    model = DistilledClassifier(Codes(), **settings).fit(ROWS, SIGNS)
    found = kd.export.report(model, model.teacher_, ROWS, SIGNS)
    assert found["teacher"]["accuracy"] == model.teacher_.score(ROWS, SIGNS)


def test_r2_of_several_outputs_is_their_mean():
    """The output with the largest numbers was all of it; `score` says another number."""
    y = np.column_stack([ROWS[:, 0], 1000 * np.random.default_rng(1).normal(size=150)])
    model = DistilledRegressor(**QUICK).fit(ROWS, y)
    found = kd.export.report(model, model, ROWS, y)["student"]
    assert found["r2"] == pytest.approx(model.score(ROWS, y))
    assert found["r2_interval"][0] < found["r2"] < found["r2_interval"][1]
