"""Whatever type pandas keeps a column in, NumPy's, its own or Arrow's, the answers are the same."""

from __future__ import annotations

import decimal
import importlib.util

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import kdlearn as kd
from kdlearn.estimators import DistilledClassifier, DistilledRegressor

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
ARROW = importlib.util.find_spec("pyarrow") is not None
QUICK = {"soft_weight": 0.5, "max_iter": 10, "random_state": 0}
N = 120

STR = "str" if pd.__version__ >= "3" else object  # pandas 2 made the text "nan" of a missing cell
# numbers, whole numbers, truths, texts
PLAIN = ("float64", "int64", "bool", object)
KINDS = {
    "texts of pandas": ("float64", "int64", "bool", STR),
    "nullable": ("Float64", "Int64", "boolean", "string[python]"),
    "small": ("Float64", "UInt8", "boolean", "category"),
}
TEXTS = [STR, "string[python]", "category"]
LABELS = ["Int64", "UInt8"]
TRUTHS = ["boolean"]
if ARROW:
    import pyarrow as pa

    KINDS["Arrow"] = ("double[pyarrow]", "int64[pyarrow]", "bool[pyarrow]", "string[pyarrow]")
    KINDS["Arrow's own texts"] = (*KINDS["Arrow"][:3], pd.ArrowDtype(pa.string()))
    KINDS["Arrow's dictionary"] = (*KINDS["Arrow"][:3], pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())))
    KINDS["Arrow's decimals"] = (pd.ArrowDtype(pa.decimal128(30, 20)), *KINDS["Arrow"][1:])
    TEXTS += ["string[pyarrow]", KINDS["Arrow's own texts"][3], KINDS["Arrow's dictionary"][3]]
    LABELS.append("int64[pyarrow]")
    TRUTHS.append("bool[pyarrow]")


def people(kinds, holes, seed=0):
    """Rows of these types, and who buys; with `holes` a tenth of each column is missing."""
    rng = np.random.default_rng(seed)
    age, town = rng.normal(size=N).round(6), rng.choice(["Bern", "Genf", "Zug"], N)
    frame = pd.DataFrame({"age": age, "visits": rng.integers(0, 9, N), "member": rng.random(N) < 0.5})
    frame["town"] = pd.Series(town, dtype=object)
    if holes:
        frame[["visits", "member"]] = frame[["visits", "member"]].astype(float)
        frame = frame.mask(rng.random(frame.shape) < 0.1)
        kinds = tuple("float64" if kind in ("int64", "bool") else kind for kind in kinds)
        frame["member"] = frame["member"].astype("boolean")
    return frame.astype(dict(zip(frame, kinds))), np.where((age > 0) ^ (town == "Bern"), "yes", "no")


def boosting():
    """A pipeline of scikit-learn that takes the raw rows."""
    towns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"]), remainder="passthrough"
    )
    return make_pipeline(towns, HistGradientBoostingClassifier(max_iter=5, random_state=0))


@pytest.mark.parametrize("holes", [False, True], ids=["whole", "holes"])
@pytest.mark.parametrize("name", KINDS)
def test_a_table_of_other_types_is_the_same_table(name, holes, tmp_path):
    """With holes, scikit-learn's transformers refused pandas' NA, and the teacher could not be taught."""
    (plain, y), (frame, _) = people(PLAIN, holes), people(KINDS[name], holes)
    want = DistilledClassifier(boosting(), **QUICK).fit(plain, y)
    model = DistilledClassifier(boosting(), **QUICK).fit(frame, y)
    p = want.predict_proba(plain)
    for one, rows in ((model, frame), (model, plain), (want, frame)):
        np.testing.assert_array_equal(one.predict_proba(rows), p)
    more = DistilledClassifier(boosting(), **QUICK).fit(plain, y, X_unlabeled=frame)
    again = DistilledClassifier(boosting(), **QUICK).fit(plain, y, X_unlabeled=plain)
    np.testing.assert_array_equal(more.predict_proba(plain), again.predict_proba(plain))
    kd.save(tmp_path / "m.npz", model)
    np.testing.assert_allclose(kd.load(tmp_path / "m.npz").predict_proba(frame), p, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_made_rows_and_the_contest_take_every_type(name):
    (plain, y), (frame, _) = people(PLAIN, True), people(KINDS[name], True)
    settings = {"max_iter": 2, "random_state": 0}
    want = DistilledClassifier(boosting(), **settings).fit(plain, y)
    model = DistilledClassifier(boosting(), **settings).fit(frame, y)
    assert model.report_ == want.report_ and len(model.report_["candidates"]) > 8


def test_a_report_takes_what_the_fit_took(monkeypatch):
    monkeypatch.setattr("kdlearn.export.costs.SECONDS", 0.01)
    (plain, y), (frame, _) = people(PLAIN, True), people(KINDS["nullable"], True)
    model = DistilledClassifier(boosting(), **QUICK).fit(frame, y)
    found, same = (kd.export.report(model, model.teacher_, rows, y) for rows in (frame, plain))
    assert found["agreement"] == same["agreement"] and found["teacher"]["accuracy"] == same["teacher"]["accuracy"]


def test_the_callers_table_stays_as_it_is():
    frame, y = people(KINDS["nullable"], True)
    before = frame.copy()
    DistilledClassifier(None, **QUICK).fit(frame, y).predict(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_labels_of_every_text(kind):
    frame, y = people(PLAIN, False)
    want = DistilledClassifier(None, **QUICK).fit(frame, y)
    model = DistilledClassifier(None, **QUICK).fit(frame, pd.Series(y).astype(kind))
    assert model.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(model.predict_proba(frame), want.predict_proba(frame))
    gone = pd.Series(y, dtype=object)
    gone[3] = None
    with pytest.raises(ValueError, match="y contains NaN, first in row 3: leave out rows without a label"):
        DistilledClassifier(None, **QUICK).fit(frame, gone.astype(kind))


@pytest.mark.parametrize("kind", LABELS + TRUTHS)
def test_labels_keep_their_type(kind):
    """They became 1.0 and 0.0."""
    frame, y = people(PLAIN, False)
    y = y == "yes" if kind in TRUTHS else (y == "yes") + 1
    model = DistilledClassifier(None, **QUICK).fit(frame, pd.Series(y).astype(kind))
    assert model.classes_.dtype.kind in ("b" if kind in TRUTHS else "iu") and model.score(frame, y) > 0.5


@pytest.mark.parametrize("kind", ["Float64", *(["double[pyarrow]"] if ARROW else [])])
def test_numbers_weights_and_answers_of_every_type(kind):
    (frame, labels), rng = people(PLAIN, False), np.random.default_rng(1)
    y, w = rng.normal(size=N), rng.uniform(size=N)
    p = rng.dirichlet([1, 1], N)
    want = DistilledRegressor(None, **QUICK).fit(frame, y, w, teacher_prediction=y)
    model = DistilledRegressor(None, **QUICK)
    model.fit(frame, *(pd.Series(a).astype(kind) for a in (y, w)), teacher_prediction=pd.Series(y).astype(kind))
    np.testing.assert_array_equal(model.predict(frame), want.predict(frame))
    want = DistilledClassifier(None, **QUICK).fit(frame, labels, teacher_proba=p)
    named = pd.DataFrame(p, columns=["no", "yes"]).astype(kind)
    model = DistilledClassifier(None, **QUICK).fit(frame, labels, teacher_proba=named)
    np.testing.assert_array_equal(model.predict_proba(frame), want.predict_proba(frame))


def test_decimals_are_numbers():
    """As databases give them."""
    frame, y = people(PLAIN, False)
    money = frame.assign(age=[decimal.Decimal(repr(float(v))) for v in frame["age"]])
    want, model = (DistilledClassifier(None, **QUICK).fit(table, y) for table in (frame, money))
    np.testing.assert_array_equal(model.predict_proba(money), want.predict_proba(frame))


def test_a_frame_and_an_array_reach_the_network_in_the_same_order(tmp_path, monkeypatch):
    """A product's last bit may hang on it: a saved model answered 2e-16 beside the one that was saved."""
    x, y = load_diabetes(return_X_y=True)
    model = DistilledRegressor(None, **QUICK).fit(x, y)
    kd.save(tmp_path / "m.npz", model)
    back, seen = kd.load(tmp_path / "m.npz"), []
    logits = type(model.student_).logits
    monkeypatch.setattr(kd.MLP, "logits", lambda net, rows: seen.append(rows) or logits(net, rows))
    frame = pd.DataFrame(x)
    for one, rows in ((model, x), (model.fit(frame, y), frame), (back, x)):
        one.predict(rows)
    assert len(seen) >= 3 and all(rows.flags.c_contiguous for rows in seen)
