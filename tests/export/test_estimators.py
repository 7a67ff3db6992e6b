"""scikit-learn's conformance suite, and that the estimators distil."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
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
