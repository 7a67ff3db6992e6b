"""Whatever type pandas keeps a column in, NumPy's, its own or Arrow's, the answers are the same."""

from __future__ import annotations

import decimal
import importlib.util

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
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


MIXED = {
    "missing": [None, np.nan, pd.NA, "a", "b", "c"],
    "numbers and texts": [1, 2.0, "1", "x", True, 0.5],
    "bytes": [b"a", b"b", None],
    "whole numbers": pd.Categorical([3, 1, 2]),
    "truths": pd.Categorical([True, False]),
    "intervals": pd.cut(np.arange(6.0), 3),
}


@pytest.mark.parametrize("name", MIXED)
def test_the_three_parts_by_hand_are_the_model(name):
    """A missing text made all zeros without a word, categories of numbers a message about isnan."""
    cells = MIXED[name]
    n = np.arange(60.0)
    table = pd.DataFrame({"n": n, "t": pd.Series(cells).iloc[np.arange(60) % len(cells)].to_numpy(dtype=object)})
    if isinstance(cells, pd.Categorical):
        table["t"] = table["t"].astype("category")
    model = DistilledRegressor(None, (3,), max_iter=1, random_state=0).fit(table, n % 7)
    by_hand = model.student_.logits(model.scaler_.transform(model.preprocessor_.transform(table)))
    answer = by_hand[:, 0] * model.target_scale_ + model.target_mean_
    np.testing.assert_array_equal(answer, model.predict(table))


def test_numbers_once_written_as_texts_are_found_as_numbers(tmp_path):
    """Beside "n/a" a reader keeps texts: "0.5" was found as the number 0.5, "1.0" as 1.0 was not."""
    texts = np.array([f"{size:.1f}" for size in np.arange(60) % 20 / 2], object)
    texts[:2] = "n/a", "-0.0"
    table = pd.DataFrame({"size": texts, "n": np.arange(60.0)})
    model = DistilledRegressor(None, (3,), max_iter=1, random_state=0).fit(table, table["n"] % 7)
    kd.save(tmp_path / "m.npz", model)
    numbers = table[1:].assign(size=texts[1:].astype(float))
    for read in (model, kd.load(tmp_path / "m.npz")):
        np.testing.assert_array_equal(read.predict(numbers), model.predict(table[1:]))


def test_numbers_among_texts_are_found_as_they_are_written():
    """Of categories 0.5 and 1.0 the text "0.5" was known, "1.0" was not."""
    sizes = np.array([0.5, 1.0, 1.5, 2.0])[np.arange(60) % 4]
    table = pd.DataFrame({"size": pd.Categorical(sizes), "n": np.arange(60.0)})
    model = DistilledRegressor(None, (3,), max_iter=1, random_state=0).fit(table, sizes)
    np.testing.assert_array_equal(model.predict(table.assign(size=sizes.astype(str))), model.predict(table))


TRUE_OR_NOT = np.arange(60) % 3 > 0
KNOWN = {
    "texts": (TRUE_OR_NOT.astype(str), "boolean"),
    "truths": (pd.Categorical(TRUE_OR_NOT), "boolean"),
    "large": (pd.Categorical(2**53 + TRUE_OR_NOT), "Int64"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_cells_of_a_column_of_texts_are_not_made_floats(name, tmp_path, monkeypatch):
    """One NA made 1.0 of True, and 2.0**53 of 2**53 + 1: the model knew none of its categories, without a word."""
    monkeypatch.setattr("kdlearn.export.costs.SECONDS", 0.001)
    cells, nullable = KNOWN[name]
    table = pd.DataFrame({"x": np.arange(60.0) % 7, "member": cells})
    table.loc[5, "member"] = None if name == "texts" else np.nan
    frame = table.assign(member=pd.Series([*np.asarray(2**53 + TRUE_OR_NOT if name == "large" else TRUE_OR_NOT)]))
    frame["member"] = frame["member"].astype(nullable)
    frame.loc[5, "member"] = pd.NA
    teacher = FrozenEstimator(DistilledClassifier(None, (3,), max_iter=5, random_state=0).fit(table, TRUE_OR_NOT))
    model = DistilledClassifier(teacher, (3,), **QUICK).fit(table, TRUE_OR_NOT, X_unlabeled=frame)
    want = DistilledClassifier(teacher, (3,), **QUICK).fit(table, TRUE_OR_NOT, X_unlabeled=table)
    kd.save(tmp_path / "m.npz", model)
    for one in (model, kd.load(tmp_path / "m.npz")):
        np.testing.assert_allclose(one.predict_proba(frame), want.predict_proba(table), atol=1e-12)
    found, same = (kd.export.report(model, want, rows, TRUE_OR_NOT) for rows in (frame, table))
    assert found["agreement"] == same["agreement"] == 1


def test_texts_of_numpy_are_texts():
    """`could not convert string to float`, of an array of texts."""
    texts = np.array(["u", "v", "w"])[np.arange(60) % 3]
    theirs = texts.astype(np.dtypes.StringDType())
    rows, other = np.stack([texts, texts[::-1]], axis=1), np.stack([theirs, theirs[::-1]], axis=1)
    one = DistilledClassifier(None, (3,), max_iter=1, random_state=0).fit(rows, texts)
    two = DistilledClassifier(None, (3,), max_iter=1, random_state=0).fit(other, theirs)
    np.testing.assert_array_equal(one.predict_proba(rows), two.predict_proba(other))
    assert two.classes_.tolist() == ["u", "v", "w"]


def test_a_text_among_numbers_is_named():
    """Only where a cell was missing in fit did the error name the column."""
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
    model = DistilledClassifier(None, (3,), max_iter=1, random_state=0).fit(rows, np.arange(40) % 2)
    with pytest.raises(ValueError, match=r"column 'b' held numbers when it was fitted.*'True'"):
        model.predict(rows.assign(b="True"))
    model.fit(rows.to_numpy(), np.arange(40) % 2)
    with pytest.raises(ValueError, match=r"column 1 held numbers when it was fitted.*: 'True'"):
        model.predict(rows.assign(b="True").to_numpy())


def test_truths_of_numpy_are_truths():
    """Refused as "holds bool", while Python's were taken."""
    ours = pd.DataFrame({"n": np.arange(40.0), "t": pd.Series([bool(k % 3) for k in range(40)], dtype=object)})
    theirs = ours.assign(t=pd.Series([np.bool_(k % 3) for k in range(40)], dtype=object))
    fitted = [DistilledRegressor(None, (3,), max_iter=1, random_state=0).fit(t, ours["n"] % 7) for t in (ours, theirs)]
    np.testing.assert_array_equal(fitted[0].predict(ours), fitted[1].predict(theirs))


def test_a_list_of_rows_is_an_array_of_objects():
    """Beside a text every number became a text, an input each."""
    rows = [[float(k), "xy"[k % 2]] for k in range(40)]
    one, other = (
        DistilledRegressor(None, (3,), max_iter=1, random_state=0).fit(X, np.arange(40.0) % 7)
        for X in (rows, np.array(rows, dtype=object))
    )
    assert one.n_features_in_ == 2 and one.student_.sizes[0] == 3
    np.testing.assert_array_equal(one.predict(rows), other.predict(rows))


def test_an_array_of_a_type_that_is_not_numpys_is_taken():
    """A tensor was "'torch.dtype' object has no attribute 'kind'"."""

    class Tensor:
        dtype, ndim = object.__new__(type("float64", (), {})), 2

        def __init__(self, a):
            self.a, self.shape = a, a.shape

        def __len__(self):
            return len(self.a)

        def __array__(self, dtype=None, copy=None):
            return self.a

    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    model = DistilledClassifier(None, (3,), max_iter=1, random_state=0).fit(Tensor(X), Tensor(y))
    np.testing.assert_array_equal(model.predict(Tensor(X)), model.predict(X))


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_float32_stays_so_where_a_cell_is_missing(kind):
    X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    X[3, 1] = np.nan
    model = DistilledClassifier(None, (3,), max_iter=1, random_state=0).fit(kind(X), np.arange(40) % 2)
    assert model.coefs_[0].dtype == model.predict_proba(kind(X)).dtype == np.float32


def test_texts_without_an_input_of_their_own_are_counted():
    """Of 150 towns 50 were dropped without a word."""
    table = pd.DataFrame({"town": [f"k{k % 150}" for k in range(400)]})
    said = "column 'town' has 150 different texts: the 100 commonest have an input each, the other 50, in 100 rows, "
    with pytest.warns(UserWarning, match=said):
        model = DistilledClassifier(None, (3,), max_iter=1, random_state=0).fit(table, np.arange(400) % 2)
    assert model.report_["notes"][-1].startswith(said) and model.student_.sizes[0] == 100


def test_a_missing_text_is_no_text_but_has_its_input():
    """20 texts and a missing one were "21 different texts … more like names"; a rare missing one had no input."""
    towns = [f"k{k}" for k in range(20)] + [None]
    model = DistilledClassifier(None, (3,), max_iter=1, random_state=0)
    model.fit(pd.DataFrame({"town": towns}), np.arange(21) % 2)
    assert model.student_.sizes[0] == 21
    table = pd.DataFrame({"town": [f"k{k % 130}" for k in range(390)] + [None, ""]})
    with pytest.warns(UserWarning, match="has 130 different texts: the 100 commonest .* other 30, in 90 rows, "):
        model.fit(table, np.arange(392) % 2)
    assert model.student_.sizes[0] == 101 and model.preprocessor_.transform(table)[-2:].sum() == 2
