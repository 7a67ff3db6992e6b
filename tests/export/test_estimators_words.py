"""Estimators: what is set and has no effect is said; what the pages say of labels, classes and notes is so."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge

from kdlearn.estimators import DistilledClassifier, DistilledRegressor

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
