"""Tables as people have them: names, texts, missing cells; teachers of every kind; settings in the user's words.

Where pandas is not installed, the tests that need a DataFrame are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import re
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

import kdlearn as kd
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.contest import CERTAIN, Choice, Result, against_labels, compete, decide, folds
from kdlearn.estimators.regressor import squared_error
from kdlearn.estimators.rows import mixed
from kdlearn.estimators.settings import DECAYS
from kdlearn.estimators.teachers import reduced
from kdlearn.estimators.training import forget_constants

HAND = {"soft_weight": 0.7, "max_iter": 30, "random_state": 0}
rng = np.random.default_rng(0)
X = rng.normal(size=(120, 3))
Y = np.array(["no", "yes"])[(X[:, 0] + X[:, 1] > 0).astype(int)]
B = X @ [1.0, -2.0, 0.5]


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


def people(pd, n=300, seed=0):
    """Ages and towns decide who buys; a tenth of the cells is missing."""
    rng = np.random.default_rng(seed)
    age, town = rng.uniform(18, 90, n), rng.choice(["Bern", "Genf", "Zug"], n)
    frame = pd.DataFrame({"age": age, "town": town, "member": rng.random(n) < 0.5, "visits": rng.integers(0, 9, n)})
    buys = np.where((age > 50) ^ (town == "Bern"), "yes", "no")
    frame.loc[rng.random(n) < 0.1, "age"] = np.nan
    frame.loc[rng.random(n) < 0.1, "town"] = None
    return frame, buys


def boosting(seed=0):
    """A pipeline that takes the raw rows: names of columns, texts, missing cells."""
    towns = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encode = ColumnTransformer([("town", towns, ["town"])], remainder="passthrough")
    return make_pipeline(encode, HistGradientBoostingClassifier(max_iter=40, random_state=seed))


# ------------------------------------------------------------------ rows


def test_the_teacher_sees_raw_rows_and_the_student_encoded_ones(pd):
    (frame, y), (new, y_new) = people(pd), people(pd, seed=1)
    for teacher in (boosting(), FrozenEstimator(boosting().fit(frame, y))):
        student = DistilledClassifier(teacher, **{**HAND, "max_iter": 100}).fit(frame, y)
        np.testing.assert_array_equal(student.feature_names_in_, frame.columns)
        assert student.n_features_in_ == 4 and student.student_.sizes[0] == 7  # 3 numbers, 3 towns, the missing town
        assert student.score(new, y_new) > 0.8
        z = student.student_.logits(student.scaler_.transform(student.preprocessor_.transform(plain(student, new))))
        np.testing.assert_array_equal(student.classes_[z.argmax(axis=1)], student.predict(new))


def plain(student, frame):
    from kdlearn.estimators.rows import plain

    return plain(frame, student.text_columns_)


def test_a_teacher_that_cannot_take_raw_rows_says_how(pd):
    frame, y = people(pd)
    with pytest.raises(ValueError, match=r"cannot learn from these rows: .*Genf.*make_pipeline\(encoder, teacher\)"):
        DistilledClassifier(RandomForestClassifier(5), **HAND).fit(frame, y)


def test_too_few_rows_to_compare_are_said():
    model = DistilledClassifier(LogisticRegression(), **{**HAND, "soft_weight": "auto"}).fit(X[:2], ["a", "b"])
    assert model.report_["verdict"].startswith("There are too few rows to compare") and model.teacher_ is None


def test_numbers_are_not_encoded(pd):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    by_name, by_place = (DistilledClassifier(**HAND).fit(rows, Y) for rows in (frame, X))
    assert by_name.preprocessor_ is None and by_place.preprocessor_ is None
    np.testing.assert_array_equal(by_name.predict_proba(frame), by_place.predict_proba(X))


def test_what_a_cell_may_be(pd):
    """Nullable integers, booleans, categories, objects; a category never seen; missing cells that were not there."""
    n = 60
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3] * 20, dtype="Int64"),
            "flag": pd.array([True, None, False] * 20, dtype="boolean"),
            "kind": pd.Categorical(["a", "b", None] * 20),
            "code": pd.Series([7, "x", None] * 20, dtype=object),
            "mixed": pd.Series([1, 2.5, None] * 20, dtype=object),
        }
    )
    y = np.arange(n) % 2
    model = DistilledClassifier(**HAND).fit(frame, y)
    assert model.student_.sizes[0] == 3 + 3 + 3
    new = frame.astype({"kind": object}).iloc[:2].assign(kind="never", code=["7", None])
    assert np.isfinite(model.predict_proba(new)).all()
    texts = np.array([["u", 1.0, np.nan], ["v", 2.0, 3.0], [None, 1.0, 4.0]] * 20, dtype=object)
    model = DistilledClassifier(**HAND).fit(texts, y)
    assert model.student_.sizes[0] == 5 and np.isfinite(model.predict_proba(texts[:1])).all()
    with pytest.raises(ValueError, match="column 'whole' held numbers when it was fitted"):
        DistilledClassifier(**HAND).fit(frame, y).predict(frame.assign(whole="many"))
    with pytest.raises(ValueError, match="column 'when' holds datetime"):
        DistilledClassifier(**HAND).fit(frame.assign(when=pd.Timestamp("2020-01-01")), y)
    with pytest.raises(ValueError, match=r"column 'id' has 240 different texts in 240 rows, more like names"):
        many = pd.DataFrame({"id": [f"k{i}" for i in range(240)], "a": 1.0})
        DistilledClassifier(**HAND).fit(many, np.arange(240) % 2)
    codes = [f"k{i % 150 if i % 3 else 0}" for i in range(900)]  # 101 texts in 900 rows, one of them in every third
    model = DistilledClassifier(**HAND).fit(pd.DataFrame({"code": codes}), np.arange(900) % 2)
    assert model.student_.sizes[0] == 100 and "k0" in model.preprocessor_.transformers_[0][1].categories_[0]
    with pytest.raises(ValueError, match="two columns are named 'a'"):
        DistilledClassifier(**HAND).fit(pd.DataFrame(X[:, :2], columns=["a", "a"]), Y)


def test_missing_numbers_of_an_array_are_imputed_and_said():
    holed = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
    model = DistilledClassifier(HistGradientBoostingClassifier(max_iter=5), **HAND).fit(holed, Y)
    assert f"{np.isnan(holed).sum()} missing cells" in " ".join(model.report_["notes"])
    assert model.score(holed, Y) > 0.7
    with pytest.raises(ValueError, match="NaN"):
        DistilledClassifier(**HAND).fit(X, Y).predict(holed)


def test_a_preprocessor_of_ones_own():
    model = DistilledClassifier(LogisticRegression(), preprocessor=PCA(2), **HAND).fit(X, Y)
    assert model.student_.sizes[0] == 2 and model.teacher_.n_features_in_ == 3
    assert not hasattr(model.preprocessor, "components_")
    words = ["good day", "bad day", "good night", "bad night"] * 10
    from sklearn.feature_extraction.text import TfidfVectorizer

    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression())
    model = DistilledClassifier(teacher, preprocessor=TfidfVectorizer(), **{**HAND, "max_iter": 100})
    assert model.fit(words, [0, 1] * 20).score(words, [0, 1] * 20) == 1


def test_unlabelled_columns_are_held_by_name(pd):
    frame = pd.DataFrame(X, columns=["income", "age", "debt"])
    model = DistilledClassifier(LogisticRegression(), **HAND)
    right = model.fit(frame, Y, X_unlabeled=frame + 0.1).predict_proba(frame)
    assert np.isfinite(right).all()
    for wrong, message in (
        (frame[["age", "income", "debt"]], "X_unlabeled: The feature names should match.*same order"),
        (frame.rename(columns={"age": "years"}), "X_unlabeled: The feature names should match.*years"),
        (frame[["income", "age"]], "X_unlabeled: The feature names should match"),
    ):
        with pytest.raises(ValueError, match="(?s)" + message):
            model.fit(frame, Y, X_unlabeled=wrong)
    with pytest.warns(UserWarning, match="feature names"):
        model.fit(frame, Y, X_unlabeled=X)
    with pytest.raises(ValueError, match="X_unlabeled has named columns, X has none; in a Pipeline"):
        model.fit(X, Y, X_unlabeled=frame)


def test_unlabelled_rows_that_a_pipeline_did_not_transform():
    U = X * 1000 + 50_000
    pipe = make_pipeline(MinMaxScaler(), DistilledClassifier(LogisticRegression(), **HAND))
    with pytest.warns(UserWarning, match=r"X_unlabeled lies far from X.*transform_input"):
        pipe.fit(U, Y, distilledclassifier__X_unlabeled=U)
    narrow = make_pipeline(PCA(2), DistilledClassifier(LogisticRegression(), **HAND))
    with pytest.raises(ValueError, match=r"X_unlabeled.*transform_input"):
        narrow.fit(U, Y, distilledclassifier__X_unlabeled=U)
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        student = DistilledClassifier(LogisticRegression(), **HAND).set_fit_request(X_unlabeled=True)
        right = Pipeline([("scale", MinMaxScaler()), ("student", student)], transform_input=["X_unlabeled"])
        right.fit(U, Y, X_unlabeled=U)
    direct = DistilledClassifier(LogisticRegression(), **HAND)
    scaled = MinMaxScaler().fit_transform(U)
    direct.fit(scaled, Y, X_unlabeled=scaled)
    np.testing.assert_array_equal(right.predict_proba(U), direct.predict_proba(scaled))


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_rows_are_dense_ones(kind):
    thin = np.where(np.abs(X) > 0.7, X, 0.0)
    teacher = LogisticRegression()
    a, b = (DistilledClassifier(teacher, **HAND).fit(rows, Y, X_unlabeled=rows) for rows in (thin, kind(thin)))
    np.testing.assert_allclose(a.predict_proba(thin), b.predict_proba(kind(thin)), rtol=1e-6)
    wide = sparse.csr_array((np.ones(40), (np.arange(40), np.arange(40))), shape=(40, 10**8))
    with pytest.raises(ValueError, match=r"GiB.*TruncatedSVD"):
        DistilledClassifier(**HAND).fit(wide, np.arange(40) % 2)
    small = DistilledClassifier(preprocessor=TruncatedSVD(2, random_state=0), **HAND).fit(kind(thin), Y)
    assert small.student_.sizes[0] == 2


class Answers:
    """What a network of another library looks like: it can be asked, and not be fitted."""

    def __call__(self, x):
        return x


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("teacher", [kd.MLP(3, 4, 2), kd.Stack([kd.MLP(3, 4, 2)] * 2), Answers(), np.ones((120, 2))])
def test_a_teacher_that_is_a_network_is_told_how_it_can_teach(teacher, frozen):
    """It was an object not 'implementing fit', or in FrozenEstimator one without __sklearn_tags__."""
    kind, told = type(teacher).__name__, "The 'teacher' parameter of {} must be an estimator with fit"
    teacher = FrozenEstimator(teacher) if frozen else teacher
    ways = "net.predict_proba(X)" if kind == "MLP" else "p)"
    for model, stored, how in (
        (DistilledClassifier(teacher, **HAND), "teacher_proba", ways),
        (DistilledRegressor(teacher, **HAND), "teacher_prediction", ways.replace("predict_proba", "logits")),
    ):
        with pytest.raises(ValueError, match=re.escape(told.format(type(model).__name__))) as error:
            model.fit(X, B)
        assert f"Got {kind} instead" in str(error.value) and f"fit(X, y, {stored}={how}" in str(error.value)
    if frozen:
        with pytest.raises(ValueError, match="must be an estimator with fit"):
            DistilledClassifier(teacher, **HAND).partial_fit(X, Y, classes=["no", "yes"])


def test_what_a_network_is_told_to_give_teaches():
    net, numbers = kd.MLP(3, 4, 2), kd.MLP(3, 4, 1)
    DistilledClassifier(**HAND).fit(X, Y, teacher_proba=net.predict_proba(X))
    DistilledRegressor(**HAND).fit(X, B, teacher_prediction=numbers.logits(X))


class Weighed(LogisticRegression):
    """Notes the weights that its fit was given."""

    given: list = []  # noqa: RUF012

    def fit(self, X, y, sample_weight=None):
        self.given.append(sample_weight)
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("weight", [2, 2.0, np.int64(2), np.float32(2), np.array(2)], ids=repr)
def test_one_number_as_sample_weight_is_the_weight_of_every_row(weight, routed):
    """NumPy's own numbers were an array without a dimension; and with a teacher those of Python were, too."""
    Weighed.given.clear()
    with sklearn.config_context(enable_metadata_routing=routed):
        teacher = Weighed().set_fit_request(sample_weight=True) if routed else Weighed()
        for model, y in ((DistilledClassifier(teacher, **HAND), Y), (DistilledRegressor(None, **HAND), B)):
            rows = np.full(len(X), 2.0)
            a, b = (clone(model).fit(X, y, sample_weight=w) for w in (weight, rows))
            np.testing.assert_array_equal(a.predict(X), b.predict(X))
    assert len(Weighed.given) == 2 and all(np.array_equal(w, np.full(len(X), 2.0)) for w in Weighed.given)
    DistilledClassifier(**HAND).partial_fit(X, Y, classes=["no", "yes"], sample_weight=weight)


@pytest.mark.parametrize("weight", ["2", b"2", "balanced"])
def test_a_text_is_no_weight(weight):
    with pytest.raises(ValueError, match=f"sample_weight must be a number, or one for each row, got {weight!r}"):
        DistilledClassifier(**HAND).fit(X, Y, sample_weight=weight)


class Raw(LogisticRegression):
    """Says which kind of rows it is asked about."""

    asked: list = []  # noqa: RUF012

    def predict_proba(self, X):
        self.asked.append((type(X).__name__, X.dtype.kind))
        return super().predict_proba(X)


@pytest.mark.parametrize("own", [None, "auto", TruncatedSVD(2, random_state=0)], ids=repr)
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_a_teacher_sees_sparse_rows_without_labels_as_it_sees_x(kind, own):
    """It was fitted on sparse rows, and asked about dense ones, of which a table of texts has too many cells."""
    thin = np.where(np.abs(X) > 0.7, X, 0.0).round().astype(int)
    Raw.asked.clear()
    model = DistilledClassifier(Raw(), preprocessor=own, **HAND).fit(kind(thin), Y, X_unlabeled=kind(thin[:50]))
    assert len(Raw.asked) == 2 and len({name for name, _ in Raw.asked}) == 1 and "ndarray" not in Raw.asked[1]
    dense = DistilledClassifier(Raw(), preprocessor=own, **HAND).fit(thin, Y, X_unlabeled=kind(thin[:50]))
    np.testing.assert_allclose(model.predict_proba(thin), dense.predict_proba(thin), rtol=1e-6)
    if own is None or own == "auto":
        assert Raw.asked[2:] == [("ndarray", "f")] * 2  # as X is


# ------------------------------------------------------------------ teachers


class Counted(ClassifierMixin, BaseEstimator):
    """Logistic regression that takes labels 0 … K-1 alone, as XGBoost does, and counts how often it is fitted."""

    fits = 0

    def fit(self, X, y, sample_weight=None, sigma=None):
        if not np.array_equal(np.unique(y), np.arange(len(np.unique(y)))):
            raise ValueError(f"Invalid classes inferred from unique values of `y`: {np.unique(y)}")
        type(self).fits += 1
        self.inner_, self.given_ = LogisticRegression().fit(X, y, sample_weight), (sample_weight, sigma)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)


def test_teachers_that_count_their_labels():
    known = FrozenEstimator(LogisticRegression().fit(X, (Y == "yes").astype(int)))
    plain = DistilledClassifier(FrozenEstimator(LogisticRegression().fit(X, Y)), **HAND).fit(X, Y)
    for teacher in (Counted(), known):
        model = DistilledClassifier(teacher, **HAND).fit(X, Y)
        np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X), atol=1e-6)
    numbers = np.where(Y == "yes", 10, 2)
    assert DistilledClassifier(Counted(), **HAND).fit(X, numbers).score(X, numbers) > 0.9
    texts = DistilledClassifier(FrozenEstimator(LogisticRegression().fit(X, numbers)), **HAND)
    assert texts.fit(X, numbers.astype(str)).score(X, numbers.astype(str)) > 0.9  # "10" and 10 are written alike
    with pytest.raises(ValueError, match=r"Unknown solver|solver"):
        DistilledClassifier(LogisticRegression(solver="none"), **HAND).fit(X, Y)


def test_a_teacher_of_more_classes_answers_the_smaller_question():
    digits = kd.data.digits()[0]
    teacher = LogisticRegression(max_iter=300).fit(digits.x, digits.y)
    some = np.isin(digits.y, [3, 8])
    model = DistilledClassifier(FrozenEstimator(teacher), augment=False, **HAND).fit(digits.x[some], digits.y[some])
    p = teacher.predict_proba(digits.x[some])[:, [3, 8]]
    stored = DistilledClassifier(**HAND).fit(
        digits.x[some], digits.y[some], teacher_proba=p / p.sum(axis=1, keepdims=True)
    )
    np.testing.assert_allclose(model.predict_proba(digits.x[some]), stored.predict_proba(digits.x[some]), atol=1e-5)
    with pytest.raises(ValueError, match="knows the classes 3, 8, but not 0"):
        two = FrozenEstimator(LogisticRegression(max_iter=300).fit(digits.x[some], digits.y[some]))
        DistilledClassifier(two, **HAND).fit(digits.x, digits.y)


@pytest.mark.parametrize(
    "teacher",
    [
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), KNeighborsClassifier()),
        CalibratedClassifierCV(make_pipeline(StandardScaler(), LogisticRegression()), cv=3),
        GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [3, 5]}, cv=2),
    ],
    ids=lambda teacher: type(teacher).__name__,
)
def test_sample_weight_breaks_no_teacher(teacher):
    w = np.linspace(0, 2, len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = DistilledClassifier(teacher, **HAND).fit(X, Y, sample_weight=w)
    assert model.score(X, Y) > 0.8


def test_sample_weight_reaches_a_teacher_that_takes_it():
    w = np.linspace(0, 2, len(X))
    codes = (Y == "yes").astype(int)
    model = DistilledClassifier(Counted(), **HAND).fit(X, codes, sample_weight=w)
    np.testing.assert_array_equal(model.teacher_.given_[0], w[w > 0])
    model = DistilledClassifier(make_pipeline(StandardScaler(), Counted()), **HAND).fit(X, codes, sample_weight=w)
    np.testing.assert_array_equal(model.teacher_[-1].given_[0], w[w > 0])
    with pytest.warns(UserWarning, match="KNeighborsClassifier takes no sample_weight"):
        DistilledClassifier(KNeighborsClassifier(), **HAND).fit(X, Y, sample_weight=w)
    with sklearn.config_context(enable_metadata_routing=True):
        teacher = Counted().set_fit_request(sample_weight=True, sigma=True)
        model = DistilledClassifier(teacher, **HAND).fit(X, codes, sample_weight=w, sigma=np.arange(len(X)))
        np.testing.assert_array_equal(model.teacher_.given_[0], w[w > 0])
        np.testing.assert_array_equal(model.teacher_.given_[1], np.arange(1, len(X)))
    with pytest.raises(ValueError, match="sigma"):
        DistilledClassifier(Counted(), **HAND).fit(X, codes, sigma=np.arange(len(X)))


def test_a_class_of_weight_zero_stays():
    y = np.arange(120) % 3
    model = DistilledClassifier(LogisticRegression(), **HAND).fit(X, y, sample_weight=(y != 2).astype(float))
    assert model.classes_.tolist() == [0, 1, 2] and model.predict_proba(X).shape == (120, 3)
    assert model.predict_proba(X)[:, 2].max() < 0.2


@pytest.mark.parametrize("weight", ["auto", 0.7])
def test_a_class_of_weight_zero_is_taught_to_the_teacher(weight):
    """`class_weight` is the student's alone, and it took the class from the teacher."""
    heard, y, w = [], np.arange(120) % 3, np.arange(120) / 120

    class Heard(Counted):
        def fit(self, X, y, sample_weight=None):
            heard.append((X, y, sample_weight))
            return super().fit(X, y, sample_weight)

    settings = HAND | {"soft_weight": weight, "max_iter": 3}
    DistilledClassifier(Heard(), **settings, class_weight={0: 0, 1: 3}).fit(X, y, sample_weight=w)
    assert all(set(labels) == {0, 1, 2} and (labels == 0).sum() == 39 for _, labels, _ in heard)
    if weight != "auto":
        for got, want in zip(heard[-1], (X, y, w)):
            np.testing.assert_array_equal(got, want[1:])


class Spy(RegressorMixin, BaseEstimator):
    """A regressor that must not be fitted."""

    def fit(self, X, y):
        raise AssertionError("the teacher was fitted first")

    def predict(self, X):
        return np.zeros(len(X))


class SpyClassifier(ClassifierMixin, Spy):
    def predict_proba(self, X):
        return np.zeros((len(X), 2))


WRONG = [
    ({"max_iter": 0}, "max_iter"),
    ({"max_iter": True and 2.5}, "max_iter"),
    ({"alpha": -1}, "alpha"),
    ({"batch_size": "full"}, "batch_size"),
    ({"learning_rate_init": float("nan")}, "learning_rate_init"),
    ({"n_iter_no_change": 0}, "n_iter_no_change"),
    ({"validation_fraction": 1.0}, "validation_fraction"),
    ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes"),
    ({"soft_weight": "half"}, "soft_weight"),
    ({"activation": "logistic"}, "activation"),
    ({"solver": "lbfgs"}, "solver"),
    ({"momentum": 1.0}, "momentum"),
    ({"tol": -1.0}, "tol"),
    ({"max_time": 0}, "max_time"),
    ({"augment": -1}, "augment"),
    ({"preprocessor": "onehot"}, "preprocessor"),
    ({"memory": 3}, "memory"),
]


@pytest.mark.parametrize(("settings", "name"), WRONG, ids=[str(s) for s, _ in WRONG])
def test_settings_are_refused_before_the_teacher_is_fitted(settings, name):
    for kind, teacher, y in ((DistilledClassifier, SpyClassifier(), Y), (DistilledRegressor, Spy(), B)):
        with pytest.raises(ValueError, match=name):
            kind(teacher, **settings).fit(X, y)


def test_sources_are_refused_before_the_teacher_is_fitted():
    p = np.full((120, 2), 0.5)
    for model, y, more, error, message in (
        (DistilledClassifier(SpyClassifier()), Y, {"teacher_proba": p}, ValueError, "teacher or teacher_proba, not"),
        (DistilledRegressor(Spy()), B, {"teacher_prediction": B}, ValueError, "teacher or teacher_prediction, not"),
        (DistilledRegressor(LogisticRegression()), B, {}, TypeError, "LogisticRegression is a classifier"),
        (DistilledClassifier(Ridge()), Y, {}, TypeError, "Ridge has none; it is a regressor"),
        (DistilledClassifier(LogisticRegression), Y, {}, TypeError, r"is the class.*LogisticRegression\(…\)"),
        (DistilledClassifier(FrozenEstimator(LogisticRegression())), Y, {}, ValueError, "is not fitted"),
        (DistilledClassifier(SpyClassifier()), Y, {"X_unlabeled": X[:, :2]}, ValueError, "X_unlabeled"),
        (DistilledClassifier(SpyClassifier()), Y, {"sample_weight": -np.ones(120)}, ValueError, "Negative"),
        (DistilledClassifier(SpyClassifier(), class_weight={"maybe": 2}), Y, {}, ValueError, "maybe"),
        (DistilledClassifier(), Y, {"teacher_proba": p, "X_unlabeled": X}, ValueError, "after the 120 of X"),
    ):
        with pytest.raises(error, match=message):
            model.fit(X, y, **more)


def test_numbers_of_every_kind_are_settings():
    grid = {"soft_weight": np.array([0, 1]), "temperature": np.array([1, 2], dtype=np.float32)}
    search = GridSearchCV(DistilledClassifier(LogisticRegression(), max_iter=np.int64(10), random_state=0), grid, cv=2)
    assert search.fit(X, Y).best_score_ > 0.8


def test_stored_answers(pd):
    p = LogisticRegression().fit(X, Y).predict_proba(X)
    by_place = DistilledClassifier(**HAND).fit(X, Y, teacher_proba=p)
    by_name = DistilledClassifier(**HAND).fit(X, Y, teacher_proba=pd.DataFrame({"yes": p[:, 1], "no": p[:, 0]}))
    np.testing.assert_array_equal(by_place.predict_proba(X), by_name.predict_proba(X))
    with pytest.raises(ValueError, match=r"has the columns.*'maybe'"):
        DistilledClassifier(**HAND).fit(X, Y, teacher_proba=pd.DataFrame({"yes": p[:, 1], "maybe": p[:, 0]}))
    U = X + 0.3
    teacher = FrozenEstimator(LinearRegression().fit(X, B))
    live = DistilledRegressor(teacher, **HAND).fit(X, B, X_unlabeled=U)
    stored = DistilledRegressor(**HAND).fit(
        X, B, teacher_prediction=teacher.predict(np.concatenate([X, U])), X_unlabeled=U
    )
    np.testing.assert_array_equal(live.predict(X), stored.predict(X))


def test_the_teacher_of_a_search_is_fitted_once_a_fold(tmp_path):
    codes = (Y == "yes").astype(int)
    for memory, fits in ((None, 6), (str(tmp_path), 2), (joblib.Memory(tmp_path / "other", verbose=0), 2)):
        Counted.fits = 0
        model = DistilledClassifier(Counted(), max_iter=3, memory=memory, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            GridSearchCV(model, {"soft_weight": [0.3, 0.6, 0.9]}, cv=2, refit=False).fit(X, codes)
        assert Counted.fits == fits


def test_a_compact_model_is_without_its_teacher(pd):
    frame, y = people(pd)
    model = DistilledClassifier(make_pipeline(boosting()), **HAND).fit(frame, y)
    small = model.compact()
    np.testing.assert_array_equal(small.predict_proba(frame), model.predict_proba(frame))
    assert small.teacher_ is None and model.teacher_ is not None
    assert len(pickle.dumps(small)) < 0.2 * len(pickle.dumps(model))
    assert b"HistGradient" not in pickle.dumps(small) and b"HistGradient" in pickle.dumps(model)


# ------------------------------------------------------------------ the contest


def rules(n, seed, d=6):
    """Rules parallel to the axes, which trees find and small networks do not."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, d))
    return x, (x[:, 0] > 0.5) ^ (x[:, 1] > 0.5)


def test_labels_alone_win_where_the_teacher_does_not_help():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 4))
    y = (x @ [1, 1, -1, 0.5] > 0).astype(int)
    wrong = FrozenEstimator(LogisticRegression().fit(rng.normal(size=(300, 4)), rng.integers(0, 2, 300)))
    model = DistilledClassifier(wrong, max_iter=40, augment=False, random_state=0).fit(x, y)
    assert model.report_["verdict"].startswith("Labels alone are as good here: the teacher is not used")
    assert model.report_["teacher_helped"] is False and model.teacher_ is None
    decay = model.report_["alpha_of_labels_alone"]
    alone = DistilledClassifier(max_iter=40, alpha=decay, random_state=0).fit(x, y)
    np.testing.assert_array_equal(model.predict_proba(x), alone.predict_proba(x))


def test_a_teacher_that_knows_more_is_used():
    (x, y), (big, known), (new, y_new) = rules(150, 0), rules(5000, 1), rules(2000, 2)
    teacher = FrozenEstimator(RandomForestClassifier(30, random_state=0).fit(big, known))
    model = DistilledClassifier(teacher, max_iter=60, random_state=0).fit(x, y, X_unlabeled=big[:1500])
    assert model.report_["verdict"].startswith("The teacher helps here: log-loss ")
    assert model.report_["teacher_helped"] is True
    alone = DistilledClassifier(max_iter=60, random_state=0).fit(x, y)
    assert model.score(new, y_new) > alone.score(new, y_new) + 0.03
    candidates = model.report_["candidates"]
    assert len(candidates) == 12  # four of each side, and labels alone once more with as many steps
    last = [c for c in candidates if c["rows"] == 150]
    labels, taught = ([c for c in last if bool(c["soft_weight"]) is used] for used in (False, True))
    assert len(taught) == 2 and len(labels) == 4  # of each side two went on to the end
    assert sorted(c["longer"] > 1 for c in labels) == [False, False, True, True]
    least = min(c["loss"] for c in labels)
    assert [c["alpha"] for c in labels if c["loss"] == least] == [model.report_["alpha_of_labels_alone"]]
    assert all(c["loss_gain"] == pytest.approx(least - c["loss"]) for c in taught)


def test_rows_held_out_are_not_seen():
    """Labels that are pure noise cannot be predicted, not even by a forest that learned them by heart."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 5)), rng.integers(0, 2, 200)
    model = DistilledClassifier(RandomForestClassifier(30, random_state=0), max_iter=20, random_state=0).fit(x, y)
    assert max(c["accuracy"] for c in model.report_["candidates"] if c["rows"] == 200) < 0.62


def test_labels_alone_have_as_many_settings_as_the_teachers_students():
    """With one weight decay against four soft weights and temperatures, decay looked like a teacher that helps."""

    def messy(n, seed):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n, 40))
        return x, (x[:, 0] + x[:, 1] + 1.5 * rng.normal(size=n) > 0).astype(int)

    (x, y), (new, y_new) = messy(150, 1), messy(2000, 2)
    forest, settings = RandomForestClassifier(30, random_state=0), {"max_iter": 60, "augment": False, "random_state": 0}
    model = DistilledClassifier(forest, **settings).fit(x, y)
    untuned = DistilledClassifier(forest, alpha=1.0, **settings).fit(x, y)
    assert untuned.report_["teacher_helped"] and not model.report_["teacher_helped"]
    alone = DistilledClassifier(max_iter=60, random_state=0).fit(x, y)
    assert log_loss(y_new, model.predict_proba(new)) < 0.9 * log_loss(y_new, alone.predict_proba(new))
    tried = [(bool(c["soft_weight"]), c["alpha"]) for c in model.report_["candidates"]]
    assert tried == [(False, 1), (True, 1), (False, 2), (True, 1), (False, 4), (True, 1), (False, 8), (True, 1)]
    assert model.report_["chosen"] == f"labels alone, alpha={model.report_['alpha_of_labels_alone']:g}"
    assert model.report_["alpha_of_labels_alone"] > 1
    assert [c["alpha"] for c in untuned.report_["candidates"]] == [1] * 5  # what was set by hand holds for both


@pytest.mark.parametrize(
    ("settings", "made", "number"),
    [({}, 9, 8), ({}, 0, 4), ({"augment": False}, 9, 4), ({"temperature": 2.0}, 0, 2), ({"solver": "sgd"}, 9, 8)],
)
def test_both_sides_have_equally_many_settings(settings, made, number):
    choices = DistilledClassifier(boosting(), **settings)._choices(made)
    alone = [c.alpha for c in choices if c.soft_weight == 0]
    assert len(set(alone)) == len(alone) == number and len(choices) == 2 * number
    assert {c.alpha for c in choices if c.soft_weight} == {alone[0]}
    quick = DistilledClassifier(boosting(), learning_rate_init=0.3)._choices(0)
    assert [c.alpha for c in quick if c.soft_weight == 0] == [1, 2, 0.5, 0.25]  # 4 would turn every weight's sign


def test_numbers_have_as_many_settings_too():
    choices = DistilledRegressor(Ridge())._choices(9)
    assert [c.alpha for c in choices if c.soft_weight == 0] == [1, 2, 4, 8] and len(choices) == 8


def test_made_rows_are_a_choice(pd):
    frame, y = people(pd, 80)
    settings = {"max_iter": 5, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        auto = DistilledClassifier(boosting(), **settings).fit(frame, y)
        never = DistilledClassifier(boosting(), augment=False, **settings).fit(frame, y)
        always = DistilledClassifier(boosting(), soft_weight=0.5, augment=50, **settings).fit(frame, y)
        plain = DistilledClassifier(boosting(), soft_weight=0.5, **settings).fit(frame, y)
    assert {c["made_rows"] for c in auto.report_["candidates"]} == {0, 320}
    assert {c["made_rows"] for c in never.report_["candidates"]} == {0}
    assert not np.array_equal(always.predict_proba(frame), plain.predict_proba(frame))


def test_made_rows_hold_cells_that_were_seen(pd):
    frame, _ = people(pd, 80)
    made = mixed(frame, np.random.default_rng(0).normal(size=(80, 2)), 200, np.random.default_rng(1))
    assert list(made.columns) == list(frame.columns) and len(made) == 200
    for name in frame:
        assert set(made[name].dropna()) <= set(frame[name].dropna())
    array = mixed(X, X, 50, np.random.default_rng(0))
    assert all(np.isin(array[:, j], X[:, j]).all() for j in range(3))
    assert not any((row == X).all(axis=1).any() for row in array[:20]) or len(np.unique(array, axis=0)) > 25


def test_the_decision_asks_for_more_than_noise():
    def result(name, loss, right):
        return Result(Choice(name, 1.0), np.array(loss, float), np.array(right, float))

    alone = result(0.0, [1, 1, 1, 1], [0, 0, 1, 1])
    same = result(0.5, [0, 2, 0, 1.9], [0, 0, 1, 1])
    better = result(0.7, [0.5, 0.6, 0.5, 0.4], [0, 1, 1, 1])
    surer = result(0.9, [0.1, 0.1, 0.1, 0.1], [0, 0, 0, 1])  # a lower loss, more mistakes
    w = np.ones(4)
    assert decide([alone, same], w) is alone and decide([alone, surer], w) is alone
    assert decide([alone, same, better, surer], w) is better
    mean, error = better.gains["loss"]
    assert mean == pytest.approx(0.5) and error == pytest.approx(np.std([0.5, 0.4, 0.5, 0.6]) / 2) and CERTAIN >= 2
    unmeasured = result(0.5, [np.nan] * 4, [np.nan] * 4)
    assert decide([alone, unmeasured], w) is alone
    decayed = result(0.0, [0.6, 0.6, 0.5, 0.6], [0, 1, 1, 1])  # labels alone, with another weight decay
    assert decide([alone, same, better, decayed], w) is decayed and decide([alone, decayed], w) is decayed
    assert better.gains["loss"][0] == pytest.approx(0.075)
    part = result(0.0, [0.1, np.nan, np.nan, np.nan], [1, np.nan, np.nan, np.nan])  # did not go on: no yardstick
    assert decide([alone, part, better], w) is better
    assert decide([alone, decayed], np.array([0.0, 0, 0, 1])) is decayed


def test_time_ends_a_contest_of_equals():
    """Whenever time is over, both sides have tried equally many settings, or labels alone one more."""
    choices = against_labels([Choice(w, 1.0) for w in (0.2, 0.4, 0.6)], (1.0, 4.0, 16.0))
    for least in range(7):
        done: list[Choice] = []

        def study(choice, done=done):
            done.append(choice)
            return np.zeros(5), np.ones(5)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kdlearn.estimators.contest.time.monotonic", lambda done=done: len(done))
            results = compete(choices, iter([np.arange(5)]), lambda held: study, np.ones(5), least - 1)
        alone, taught = (sum(bool(c.soft_weight) is used for c in done) for used in (False, True))
        assert len(done) == min(least, 6) and 0 <= alone - taught <= 1 and len(results) == 6


def test_every_row_is_held_out_once_and_each_class_alike():
    y = np.array([0] * 60 + [1] * 12 + [2])
    splits = list(folds(y, 73, np.random.default_rng(0)))
    held = np.concatenate(splits)
    assert sorted(held) == list(range(72))  # the only row of its class always teaches
    assert all((y[s] == 1).sum() == 4 for s in splits)
    (one,) = folds(None, 20_000, np.random.default_rng(0))
    assert len(one) == 2000


def test_time_ends_a_contest_and_a_training():
    began = time.monotonic()
    with pytest.warns(ConvergenceWarning, match="max_time=0.3 seconds ended"):
        model = DistilledClassifier(LogisticRegression(), max_iter=10**6, max_time=0.3, random_state=0).fit(X, Y)
    assert time.monotonic() - began < 5
    assert model.report_["verdict"].startswith("There was no time to compare")
    assert model.n_iter_ < 10**6


# ------------------------------------------------------------------ what is expected of an MLP


@pytest.mark.parametrize(
    "setting",
    [{"activation": "tanh"}, {"activation": "gelu"}, {"solver": "sgd"}, {"learning_rate": "constant"},
     {"shuffle": False}, {"alpha": 3.0}, {"class_weight": "balanced"}, {"class_weight": {"yes": 5.0}}],
    ids=str,
)  # fmt: skip
def test_settings_reach_the_training(setting):
    y = np.where(X[:, 0] > 0.8, "yes", "no")
    base = DistilledClassifier(**HAND, batch_size=32).fit(X, y)
    other = DistilledClassifier(**HAND, batch_size=32, **setting).fit(X, y)
    assert not np.allclose(base.predict_proba(X), other.predict_proba(X), atol=1e-3)
    assert other.score(X, y) > 0.8


def test_momentum_matters_and_batches_in_order_are_in_order():
    settings = {"solver": "sgd", "learning_rate": "constant", "max_iter": 4, "tol": 0.0, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        curves = [DistilledClassifier(momentum=m, **settings).fit(X, Y).loss_curve_ for m in (0.0, 0.9)]
        assert curves[0] != curves[1]
        net = DistilledClassifier(shuffle=False, batch_size=50, momentum=0.0, nesterovs_momentum=False, **settings)
        net.fit(X, Y)
        again = kd.MLP(3, 32, 2, seed=int(np.random.RandomState(0).randint(2**31 - 1)), dtype="float64")
    data = kd.Data({"x": net.scaler_.transform(X), "y": (Y == "yes").astype(int)})
    rule = kd.SGD(0.01)
    for _ in range(4):
        for batch in data.batches(50):
            kd.train_step(again, None, kd.CrossEntropy(), batch, optimizer=rule)
    np.testing.assert_allclose(net.student_.theta, again.theta, rtol=1e-10)


def test_what_a_fitted_model_shows():
    model = DistilledClassifier(hidden_layer_sizes=(8, 4), early_stopping=True, **HAND).fit(X, Y)
    assert [w.shape for w in model.coefs_] == [(3, 8), (8, 4), (4, 2)]
    assert [b.shape for b in model.intercepts_] == [(8,), (4,), (2,)]
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_
    kept = int(np.argmin(model.history_["loss", "validation"]))
    assert model.best_validation_score_ == model.validation_scores_[kept] and model.best_loss_ is None
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    plain = DistilledClassifier(**HAND).fit(X, Y)
    assert plain.best_loss_ == min(plain.loss_curve_) and plain.validation_scores_ is None
    numbers = DistilledRegressor(early_stopping=True, validation_fraction=0.3, **{**HAND, "max_iter": 100}).fit(X, B)
    assert 0.5 < numbers.best_validation_score_ <= 1


def test_early_stopping_keeps_rare_classes():
    """Six rows of 300 are rare: a third of six is held out, never all of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = np.zeros(300, int)
    y[:6] = 1
    for seed in range(20):
        held = DistilledClassifier(validation_fraction=0.34)._held_out(y, np.random.default_rng(seed))
        assert (y[held] == 1).sum() == 2 and len(held) == 102
    y[1:6] = 0  # one row alone is never held out
    held = [DistilledClassifier(validation_fraction=0.5)._held_out(y, np.random.default_rng(s)) for s in range(20)]
    assert not any((y[h] == 1).any() for h in held)
    model = DistilledClassifier(early_stopping=True, **HAND).fit(x, y)
    assert model.classes_.tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_column_of_one_value_tells_nothing(pd, dtype):
    """Its weights were never taught: another value there must not move the answer. A text of one kind neither."""
    still = np.column_stack([X, np.full(len(X), 3.1)]).astype(dtype)
    moved = still.copy()
    moved[:, 3] = [-1e4, 1e4] * 60
    unlabelled = {"X_unlabeled": still[:40]}
    for model, y, more in (
        (DistilledClassifier(**HAND), Y, {}),
        (DistilledClassifier(LogisticRegression(), **HAND), Y, unlabelled),
        (DistilledRegressor(LinearRegression(), **HAND), B, unlabelled),
        (DistilledClassifier(hidden_layer_sizes=(), **HAND), Y, {}),
        (DistilledClassifier(early_stopping=True, **HAND), Y, {}),
    ):
        model.fit(still, y, **more)
        np.testing.assert_allclose(model._forward(moved), model._forward(still), rtol=1e-6, atol=1e-6)
    model = DistilledClassifier(**HAND).partial_fit(still, Y, classes=["no", "yes"])
    np.testing.assert_allclose(model._forward(moved), model._forward(still), rtol=1e-4, atol=1e-4)
    frame = pd.DataFrame({"a": X[:, 0], "unit": "EUR", "empty": np.nan})
    model = DistilledClassifier(**HAND).fit(frame, Y)
    p = model.predict_proba(frame)
    np.testing.assert_allclose(model.predict_proba(frame.assign(unit="USD", empty=7.0)), p, rtol=1e-9)
    assert "column 'empty' has no cell: it tells nothing" in " ".join(model.report_["notes"])


def test_what_was_one_value_stays_in_the_biases():
    net = kd.MLP(4, 8, 3, seed=0, dtype="float64")
    rows = np.column_stack([X[:, 0], np.full(len(X), -2.0), X[:, 1], np.full(len(X), 0.5)])
    before = np.maximum(rows @ net.layers[0].W + net.layers[0].b, 0) @ net.layers[2].W + net.layers[2].b
    forget_constants(net, rows)
    np.testing.assert_allclose(net.logits(rows), before, rtol=1e-12)
    assert not net.layers[0].W[[1, 3]].any() and net.layers[0].W[[0, 2]].all()


def test_a_loss_that_falls_no_more_ends_a_constant_rate():
    model = DistilledClassifier(learning_rate="constant", tol=1e-2, max_iter=2000, random_state=0).fit(X, Y)
    assert model.n_iter_ < 2000


def test_a_training_that_was_too_short_or_went_wrong_warns():
    with pytest.warns(ConvergenceWarning, match="max_iter=3 passes were over while the loss was still falling"):
        DistilledClassifier(max_iter=3, random_state=0).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match=r"raised the loss.*lower learning_rate_init"):
        DistilledRegressor(learning_rate_init=1e30, alpha=0.0, max_iter=20, random_state=0).fit(X, B)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        DistilledClassifier(max_iter=300, random_state=0).fit(X, Y)


def test_a_warm_start_goes_on():
    model = DistilledClassifier(warm_start=True, **HAND).fit(X, Y)
    first = model.loss_curve_
    model.fit(X, Y)
    assert model.loss_curve_[0] < first[0] and model.loss_ < first[-1]
    with pytest.raises(ValueError, match="labels that were not there"):
        model.fit(X, np.where(X[:, 0] > 0, "yes", "perhaps"))
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :2], Y)


def test_a_little_at_a_time_is_taught_too():
    """By a teacher's stored answers alone, which contradict the labels."""
    wrong = np.column_stack([Y == "yes", Y == "no"]).astype(float)
    classes = DistilledClassifier(soft_weight=1.0, random_state=0, batch_size=20)
    numbers = DistilledRegressor(soft_weight=1.0, random_state=0, batch_size=20)
    for epoch in range(60):
        classes.partial_fit(X, Y, classes=["no", "yes"] if epoch == 0 else None, teacher_proba=wrong)
        numbers.partial_fit(X, B, teacher_prediction=-B)
    assert classes.score(X, Y) < 0.1 and np.corrcoef(numbers.predict(X), B)[0, 1] < -0.9


@pytest.mark.parametrize("shape", [(240,), (60, 4), (120, 3), (120,), (2, 120)])
def test_a_teachers_numbers_have_the_shape_of_the_targets(shape):
    with pytest.raises(ValueError, match=r"teacher_prediction must have shape \(120, 2\), got"):
        DistilledRegressor(**HAND).fit(X, np.column_stack([B, -B]), teacher_prediction=np.zeros(shape))


@pytest.mark.filterwarnings("ignore:max_iter")
@pytest.mark.parametrize("hidden", [(), (4,), (4, 4)])
def test_a_target_that_is_one_number_is_answered_exactly(hidden):
    model = DistilledRegressor(hidden_layer_sizes=hidden, max_iter=2, random_state=0).fit(X, np.full(120, 7.0))
    np.testing.assert_allclose(model.predict(3 * X), 7.0, rtol=1e-12)


@pytest.mark.parametrize("solver", DECAYS)
def test_the_decays_that_compete_leave_no_wide_gap(solver):
    several = np.array(sorted(d for d in DECAYS[solver] if d))
    assert len(DECAYS[solver]) == 8 and set(several[1:] / several[:-1] // 1) <= {2, 3}


def test_the_second_parent_of_a_made_row_is_one_of_the_five_nearest():
    """On a row of powers of two those are the five below."""
    i = np.arange(20.0)
    a, b = mixed(np.column_stack([i, i]), 2.0 ** i[:, None], 4000, np.random.default_rng(0)).T
    apart = (a != b) & (np.maximum(a, b) > 5)
    assert set(np.abs(a - b)[apart]) == {1, 2, 3, 4, 5}


def test_an_answer_about_fewer_classes_is_read_by_its_columns():
    p = np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(reduced(p, np.array([0, 2])), [[2 / 7, 5 / 7], [np.nan, np.nan]])
    np.testing.assert_allclose(reduced(p, np.array([-1, 0, 1])), [[0, 0.4, 0.6], [0, 0, 1]])


def test_both_estimators_have_one_set_of_defaults():
    classes, numbers = DistilledClassifier().get_params(), DistilledRegressor().get_params()
    assert len(numbers) > 20 and {name: classes[name] for name in numbers} == numbers


def test_a_little_at_a_time():
    teacher = FrozenEstimator(LogisticRegression().fit(X, Y))
    model = DistilledClassifier(teacher, random_state=0, batch_size=20)
    for epoch in range(30):
        for part in range(3):
            model.partial_fit(X[part::3], Y[part::3], classes=["no", "yes"] if epoch + part == 0 else None)
    assert model.score(X, Y) > 0.95 and model.t_ == 30 * 120 and len(model.loss_curve_) == 90
    with pytest.raises(ValueError, match="needs classes"):
        DistilledClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"not there at first.*maybe"):
        model.partial_fit(X[:2], ["maybe", "no"])
    for unfrozen in (DistilledClassifier(LogisticRegression()), DistilledRegressor(LinearRegression())):
        assert not hasattr(unfrozen, "partial_fit")
        with pytest.raises(AttributeError, match="a teacher only if it is fitted, in FrozenEstimator"):
            _ = unfrozen.partial_fit  # the reason is the last line of the report
    assert "One pass" in DistilledClassifier.partial_fit.__doc__
    numbers = DistilledRegressor(random_state=0, batch_size=20)
    for _ in range(60):
        numbers.partial_fit(X, B)
    assert numbers.score(X, B) > 0.9


# ------------------------------------------------------------------ numbers


def test_several_numbers_a_row():
    both = np.column_stack([B, 1000 * X[:, 0] - 5])
    model = DistilledRegressor(LinearRegression(), **{**HAND, "max_iter": 150}).fit(X, both, X_unlabeled=X + 0.1)
    assert model.predict(X).shape == (120, 2) and model.score(X, both) > 0.9
    assert model.target_mean_.shape == model.target_scale_.shape == (2,)
    with pytest.raises(ValueError, match="shape"):
        DistilledRegressor(**HAND).fit(X, both, teacher_prediction=B)
    single = DistilledRegressor(**HAND).fit(X, B)
    assert single.predict(X).shape == (120,) and np.ndim(single.target_mean_) == 0


@pytest.mark.parametrize("unit", [1e200, 1e-200, 1.0])
def test_units_of_any_size(unit):
    plain = DistilledRegressor(Ridge(), **HAND).fit(X, B)
    scaled = DistilledRegressor(FrozenEstimator(Ridge().fit(X, B * unit)), augment=False, **HAND).fit(X, B * unit)
    np.testing.assert_allclose(scaled.predict(X) / unit, plain.predict(X), rtol=1e-5, atol=1e-5)


def test_the_contest_of_numbers():
    rng = np.random.default_rng(0)
    x, new = rng.uniform(size=(150, 4)), rng.uniform(size=(3000, 4))

    def truth(x):
        return np.where(x[:, 0] > 0.5, 1.0, -1.0) * np.where(x[:, 1] > 0.5, 1.0, -1.0)

    teacher = FrozenEstimator(HistGradientBoostingRegressor(random_state=0).fit(new, truth(new)))
    model = DistilledRegressor(teacher, max_iter=60, random_state=0)
    model.fit(x, truth(x) + rng.normal(size=150), X_unlabeled=new[:1500])
    said, (best,) = (
        model.report_["verdict"],
        [
            c
            for c in model.report_["candidates"]
            if c["soft_weight"] and f"={c['soft_weight']:g})" in model.report_["verdict"]
        ],
    )
    assert model.report_["teacher_helped"] and said.startswith("The teacher helps here: squared error")
    assert f" {best['loss']:.3g} of the target's variance, {best['loss_gain']:.3g} ± " in said
    assert "lower, against labels alone on 150 rows held out in turn" in said
    wrong = FrozenEstimator(Ridge().fit(x, rng.normal(size=150)))
    model = DistilledRegressor(wrong, max_iter=60, augment=False, random_state=0).fit(x, x[:, 0])
    assert model.report_["verdict"].startswith("Labels alone are as good here")


def test_the_gradient_of_several_numbers():
    rng = np.random.default_rng(0)
    z, y, w = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.uniform(size=5)
    value, gradient = squared_error(z, y, w)
    assert value == pytest.approx((w * ((z - y) ** 2).mean(axis=1) / 2).mean())
    moves = 1e-6 * np.eye(z.size).reshape(-1, *z.shape)
    slopes = [(squared_error(z + move, y, w)[0] - squared_error(z - move, y, w)[0]) / 2e-6 for move in moves]
    np.testing.assert_allclose(gradient.ravel(), slopes, rtol=1e-6, atol=1e-8)
    one = kd.regression(z[:, :1], y[:, :1], w)
    np.testing.assert_allclose(squared_error(z[:, :1], y[:, :1], w)[1], one[1])


# ------------------------------------------------------------------ what was measured


def test_the_page_of_the_defaults_says_what_was_measured():
    """The block of the page is made of the rows, and the rows say that the defaults hurt nowhere."""
    folder = Path(__file__).resolve().parents[2] / "docs" / "evidence"
    spec = importlib.util.spec_from_file_location("tables_of_evidence", folder / "tables.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    rows = json.loads((folder / "tables.json").read_text())
    shown = (folder / "tables.md").read_text("utf-8").split("<!-- table: begin -->")[1].split("<!-- table: end -->")[0]
    assert shown.strip() == bench.page(rows)
    names = dict.fromkeys(row["table"] for row in rows)
    assert len(names) == 16 and {row["seed"] for row in rows} == set(range(bench.SEEDS))
    pairs = [(name, teacher) for name in names for teacher in ("forest", "boosting")]
    assert not [p for p in pairs if sum(bench.interval(bench.differences(rows, *p, "default"))) < 0]
    mean, half = bench.overall(rows, "default")
    assert mean + half > 0 and mean > -0.5
