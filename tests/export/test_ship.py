"""What is shipped answers as the fitted model does: files, ONNX and C, with all that stands before the network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from c_programs import compiler, run_avr, run_c
from doors import check_every_door, fed, run_onnx, saved
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)  # fmt: skip

import kdlearn as kd
from kdlearn import cli, export
from kdlearn.checkpoint import CheckpointError, read
from kdlearn.checkpoint import write as write_checkpoint
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.export import integers
from kdlearn.export.check import ExportError, rows_for
from kdlearn.export.parts import parts_of
from kdlearn.export.plan import plan

N = 300
TOWNS = ["Bern", "Genève", "Zürich"]


def raw_rows(seed=0, gaps=True):
    """Age and income, a town, a size that is a category: (N, 4) objects; y depends on age and town."""
    rng = np.random.default_rng(seed)
    age, town = rng.integers(18, 90, N).astype(object), rng.choice(TOWNS, N).astype(object)
    X = np.stack([age, town, rng.lognormal(3, 1, N).astype(object), rng.choice(["S", "M", "L"], N)], axis=1)
    y = np.where((X[:, 0] > 50) ^ (X[:, 1] == "Bern"), "yes", "no")
    if gaps:
        X[::7, 0], X[::11, 1] = np.nan, np.nan
    return X, y


def preprocessing():
    """Imputers, encoders of both kinds, two scalers: everything that a column may go through."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    order = OrdinalEncoder(categories=[["S", "M", "L"]])
    parts = [("texts", texts, [1]), ("numbers", numbers, [0]), ("log", RobustScaler(), [2]), ("size", order, [3])]
    return ColumnTransformer(parts, sparse_threshold=0)


SETTINGS = {"hidden_layer_sizes": (12,), "max_iter": 15, "random_state": 0}


def pipeline(**more):
    X, y = raw_rows()
    return make_pipeline(preprocessing(), DistilledClassifier(**SETTINGS, **more)).fit(X, y)


def with_preprocessor(kind=DistilledClassifier):
    """A stand-in for an estimator that holds its preprocessing: `preprocessor_` turns raw rows into numbers."""
    X, y = raw_rows()
    before = preprocessing().fit(X, y)
    y = y if kind is DistilledClassifier else np.where(y == "yes", 90.0, 40.0) + X[:, 2].astype(float)
    inner = kind(**SETTINGS).fit(before.transform(X), y)
    fitted = {"student_": inner.student_, "scaler_": inner.scaler_, "preprocessor_": before, "n_features_in_": 4}
    fitted["feature_names_in_"] = np.array(["age", "town", "income", "size"], object)
    if kind is DistilledClassifier:
        fitted["classes_"] = inner.classes_
        fitted["predict_proba"] = lambda rows: inner.predict_proba(before.transform(rows))
    else:
        fitted |= {"target_mean_": inner.target_mean_, "target_scale_": inner.target_scale_}
    fitted["predict"] = lambda rows: inner.predict(before.transform(rows))
    return SimpleNamespace(**fitted)


MODELS = {
    "pipeline": pipeline,
    "search": lambda: GridSearchCV(pipeline(), {"distilledclassifier__alpha": [0.0, 0.1]}, cv=2).fit(*raw_rows()),
    "frozen": lambda: FrozenEstimator(pipeline()),
    "pipeline in a pipeline": lambda: make_pipeline("passthrough", pipeline()).fit(*raw_rows()),
    "own preprocessing": with_preprocessor,
}


@pytest.fixture(scope="module")
def models():
    made = {}

    def get(name):
        return made.setdefault(name, MODELS[name]())

    return get


@pytest.fixture(params=MODELS)
def model(request, models):
    return models(request.param)


# ------------------------------------------------------------------ saved files


def test_a_saved_model_answers_as_the_model(model, tmp_path):
    X, _ = raw_rows(seed=1)
    back = saved(model, tmp_path)
    np.testing.assert_allclose(back.predict_proba(X), model.predict_proba(X), atol=1e-12)
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    kd.save(tmp_path / "again.npz", back)
    assert read(tmp_path / "again.npz")[1] == read(tmp_path / "m.npz")[1]
    assert clone(back) is back and back.score(X, model.predict(X)) == 1


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "bool", "<U1", ">i4"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_saved_models_labels_are_of_the_same_kind_and_width(dtype, tmp_path):
    """Bytes came back as int64: what a user computes with them no longer was the same."""
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.tile([0, 1], 15).astype(dtype)
    model = DistilledClassifier(hidden_layer_sizes=(3,), max_iter=2, random_state=0).fit(X, y)
    got, want = saved(model, tmp_path).predict(X), model.predict(X)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_a_saved_plain_estimator_keeps_scaler_classes_and_target(tmp_path):
    """Once only the bare network could be saved; without its scaler 91 % became 33 %."""
    x, y = load_breast_cancer(return_X_y=True)
    for fitted in (
        DistilledClassifier(**SETTINGS).fit(x, np.array(["benign", "malignant"])[y]),
        DistilledRegressor(**SETTINGS).fit(x, 1e3 * x[:, 0] + x[:, 3]),
    ):
        back = saved(fitted, tmp_path)
        np.testing.assert_array_equal(back.predict(x), fitted.predict(x))
        assert back.score(x, fitted.predict(x)) == 1
        export.to_c(back, tmp_path / "net.c")
        want = fitted.predict(x)
        label, out = run_c(tmp_path, x)
        got = fitted.classes_[label] if isinstance(fitted, DistilledClassifier) else out[:, 0]
        if isinstance(fitted, DistilledClassifier):
            assert (got == want).mean() > 0.998
        else:
            np.testing.assert_allclose(got, want, atol=1e-3 * want.std())
    with pytest.raises(TypeError, match="can be saved, not StandardScaler"):
        kd.save(tmp_path / "m.npz", StandardScaler())


def test_frames_are_read_by_name(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = raw_rows()
    names = ["age", "town", "income", "size"]
    frame = pandas.DataFrame(X, columns=names).astype({"age": float, "income": float})
    steps = [(label, step, [names[i] for i in where]) for label, step, where in preprocessing().transformers]
    fitted = make_pipeline(ColumnTransformer(steps), DistilledClassifier(**SETTINGS)).fit(frame, y)
    back = saved(fitted, tmp_path)
    assert back.feature_names_in_.tolist() == names
    np.testing.assert_allclose(back.predict_proba(frame[names[::-1]]), fitted.predict_proba(frame), atol=1e-12)
    with pytest.raises(ValueError, match="no column 'town'"):
        back.predict(frame.drop(columns="town"))


REFUSED = {
    "polynomials": (PolynomialFeatures(), "PolynomialFeatures cannot be written as plain data; these can: .*Pipeline"),
    "a function": (FunctionTransformer(np.abs), "FunctionTransformer cannot"),
    "a clipped scaler": (MinMaxScaler(clip=True), "MinMaxScaler with clip=True"),
    "another gap": (SimpleImputer(missing_values=-1), "only NaN is a missing value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_plain_is_refused_by_name(case, tmp_path, rng):
    transformer, message = REFUSED[case]
    x, y = rng.normal(size=(60, 3)), np.arange(60) % 2
    fitted = make_pipeline(transformer, DistilledClassifier(**SETTINGS)).fit(x, y)
    with pytest.raises(TypeError, match=message):
        kd.save(tmp_path / "m.npz", fitted)
    with pytest.raises(TypeError, match=message):
        export.to_c(fitted, tmp_path / "net.c")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoder", [{"handle_unknown": "ignore"}, {"drop": "first"}], ids=str)
def test_some_infrequent_categories_are_refused_by_the_columns_name(encoder, tmp_path):
    X, y = raw_rows(gaps=False)
    X[0, 1] = "Chur"
    grouped = OneHotEncoder(min_frequency=5, sparse_output=False, **encoder)
    fitted = make_pipeline(ColumnTransformer([("town", grouped, [1])]), DistilledClassifier(**SETTINGS)).fit(X, y)
    with pytest.raises(TypeError, match="column 'x1': OneHotEncoder groups infrequent categories"):
        kd.save(tmp_path / "m.npz", fitted)


def test_a_file_runs_no_code(models, tmp_path):
    kd.save(tmp_path / "m.npz", models("pipeline"))
    arrays, config = read(tmp_path / "m.npz")
    for encoding in ({"columns": [["a", "os.system"]], "features": []}, None, {"columns": 1}):
        write_checkpoint(tmp_path / "bad.npz", arrays, {**config, "model": {**config["model"], "encoding": encoding}})
        with pytest.raises(CheckpointError, match="does not describe a fitted model"):
            kd.load(tmp_path / "bad.npz")


ENCODERS = {
    "one hot, first dropped": (OneHotEncoder(drop="first"), False),
    "one hot, two dropped to one": (OneHotEncoder(drop="if_binary"), False),
    "one hot, a gap is a category": (OneHotEncoder(), True),
    "one hot, a gap is none of them": (OneHotEncoder(handle_unknown="ignore", categories=[TOWNS]), True),
    "filled with a word of its own": (
        make_pipeline(SimpleImputer(strategy="constant", fill_value="-"), OneHotEncoder()), True
    ),
    "the rare ones share one": (OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist"), True),
    "ordinal": (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), False),
    "scaled after": (make_pipeline(OneHotEncoder(sparse_output=False), StandardScaler(), MaxAbsScaler()), False),
}  # fmt: skip


@pytest.mark.parametrize("case", ENCODERS)
def test_encoders_go_everywhere(case, tmp_path):
    encoder, gaps = ENCODERS[case]
    X, y = raw_rows(gaps=gaps)
    X = X[:, 1:3]
    before = ColumnTransformer([("text", encoder, [0]), ("number", "passthrough", [1])], sparse_threshold=0)
    fitted = make_pipeline(before, DistilledClassifier(**SETTINGS)).fit(X, y)
    if case.startswith(("the rare", "ordinal", "one hot, a gap is none")):
        X = np.vstack([X, [["Basel", 3.0]]])  # which nobody was taught, and the encoder takes
    check_every_door(fitted, X, tmp_path, atol=1e-4)


def test_scalers_and_imputers_in_any_order_are_one(tmp_path):
    """Scaled twice, then filled in units of the second scaler, then scaled again."""
    X = raw_rows()[0][:, [0, 2]].astype(float)
    y = (X[:, 1] > 20).astype(int)
    steps = (RobustScaler(), MinMaxScaler((3, 5)), SimpleImputer(strategy="mean", add_indicator=True), StandardScaler())
    fitted = make_pipeline(*steps, DistilledClassifier(**SETTINGS)).fit(X, y)
    np.testing.assert_allclose(saved(fitted, tmp_path).predict_proba(X), fitted.predict_proba(X), atol=1e-9)
    export.to_c(fitted, tmp_path / "net.c", rows=X)
    np.testing.assert_allclose(run_c(tmp_path, X)[1], fitted.predict_proba(X), atol=1e-5)
    export.to_c(fitted, tmp_path / "net.c", rows=X, integer=True)
    found = integers.integers_of(plan(fitted, fold=False), X, {}, True)
    label, scores = run_c(tmp_path, found.inputs(X))
    np.testing.assert_array_equal(scores, found.answer(found.inputs(X)))
    assert (label == fitted.predict(X)).mean() > 0.97
    pytest.importorskip("onnx")
    with pytest.raises(TypeError, match="missing-value indicator has no ONNX converter"):
        export.to_onnx(fitted, tmp_path / "net.onnx")


# ------------------------------------------------------------------ ONNX and C


def test_onnx_holds_the_preprocessing(model, tmp_path):
    pytest.importorskip("skl2onnx")
    X, _ = raw_rows(seed=1)
    for int8 in (False, True):
        export.to_onnx(model, tmp_path / "net.onnx", int8=int8, rows=X)
        p, label = run_onnx(tmp_path / "net.onnx", fed(model, X))
        assert np.abs(p - model.predict_proba(X)).max() < (0.1 if int8 else 1e-5)
        assert (label == model.predict(X)).mean() > (0.97 if int8 else 0.999)


@pytest.mark.parametrize("tool", ["gcc", "g++"])
def test_c_holds_the_preprocessing(model, tool, tmp_path):
    X, _ = raw_rows(seed=1)
    export.to_c(model, tmp_path / "net.c", "net")
    label, p = run_c(tmp_path, parts_of(model).plain().codes(X), tool=tool)
    np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-5)
    assert (np.array(["no", "yes"])[label] == model.predict(X)).all()


@pytest.mark.parametrize("kind", ["own preprocessing", "plain"])
def test_regressors_go_everywhere(kind, tmp_path):
    """A regressor's answer is in the target's units, wherever it is computed."""
    if kind == "plain":
        X, y = load_diabetes(return_X_y=True)
        fitted = DistilledRegressor(**SETTINGS).fit(X, 1e4 * y)
    else:
        X, fitted = raw_rows()[0], with_preprocessor(DistilledRegressor)
    want, codes = fitted.predict(X), parts_of(fitted).plain().codes(X)
    np.testing.assert_allclose(saved(fitted, tmp_path).predict(X), want, rtol=1e-12)
    for more, off in (({}, 1e-5), ({"int8": True}, 0.05)):
        export.to_c(fitted, tmp_path / "net.c", **more)
        status, y = run_c(tmp_path, codes)
        assert (status == 0).all() and np.abs(y[:, 0] - want).max() < off * want.std()
    made = export.to_c(fitted, tmp_path / "net.c", integer=True, rows=X)
    x = integers.integers_of(plan(fitted, fold=False), codes, {}, True)
    _, y = run_c(tmp_path, x.inputs(codes))
    assert np.abs(y[:, 0] * 10.0**-x.out_digits - want).max() < 0.1 * want.std() and made["close"] > 0.99
    assert made["agreement"] is None  # which is of classes
    pytest.importorskip("skl2onnx")
    export.to_onnx(fitted, tmp_path / "net.onnx")
    (y,) = run_onnx(tmp_path / "net.onnx", fed(fitted, X), ["prediction"])
    np.testing.assert_allclose(y[:, 0], want, atol=1e-5 * want.std())


def test_skl2onnx_knows_the_estimators():
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    export.register_skl2onnx()
    x, y = load_breast_cancer(return_X_y=True)
    x32 = x.astype(np.float32)
    for fitted in (
        make_pipeline(MinMaxScaler(), DistilledClassifier(**SETTINGS)).fit(x, y),
        make_pipeline(StandardScaler(), DistilledRegressor(**SETTINGS)).fit(x, y),
    ):
        for opset in (17, 21):
            made = skl2onnx.to_onnx(fitted, x32[:1], target_opset=opset)
            out = runtime.InferenceSession(made.SerializeToString()).run(None, {"X": x32})
            if isinstance(fitted[-1], DistilledClassifier):
                assert (out[0] == fitted.predict(x)).mean() > 0.998
                np.testing.assert_allclose(out[1], fitted.predict_proba(x), atol=1e-4)
            else:
                np.testing.assert_allclose(out[0][:, 0], fitted.predict(x), atol=1e-4)


def test_skl2onnx_writes_the_preprocessing_inside_an_estimator(models, tmp_path):
    skl2onnx = pytest.importorskip("skl2onnx")
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    export.register_skl2onnx()
    model, (X, _) = models("own preprocessing"), raw_rows(seed=1)
    inside = saved(model, tmp_path)  # an estimator with its encoding inside
    kinds = [FloatTensorType, StringTensorType, FloatTensorType, StringTensorType]
    initial = [(name, kind([None, 1])) for name, kind in zip(inside.feature_names_in_, kinds)]
    made = skl2onnx.convert_sklearn(inside, initial_types=initial)
    assert [output.name for output in made.graph.output] == ["label", "probabilities"]
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    np.testing.assert_allclose(run_onnx(tmp_path / "net.onnx", fed(model, X))[0], model.predict_proba(X), atol=1e-5)


# ------------------------------------------------------------------ NaN and infinity


def test_nan_and_infinity_are_refused_at_every_door(tmp_path):
    """One NaN once made the C code say class 1 with p = .333, .374, .293, and int8 ONNX be sure of it."""
    x, y = load_breast_cancer(return_X_y=True)
    for fitted in (DistilledClassifier(**SETTINGS).fit(x, y), DistilledRegressor(**SETTINGS).fit(x, y)):
        bad = x[:4].copy()
        bad[0, 3], bad[1, 5], bad[2, 7] = np.nan, np.inf, -np.inf
        back = saved(fitted, tmp_path)
        for row in bad[:3]:
            for door in (fitted, back):
                with pytest.raises(ValueError, match=r"NaN|infin"):
                    door.predict(row[None])
        for more in ({}, {"int8": True}):
            export.to_c(fitted, tmp_path / "net.c", **more)
            status, out = run_c(tmp_path, bad)
            assert (status[:3] == -1).all() and status[3] >= 0
            assert np.isnan(out[:3]).all() and np.isfinite(out[3]).all()
            pytest.importorskip("onnx")
            export.to_onnx(fitted, tmp_path / "net.onnx", **more)
            names = ["probabilities", "label"] if isinstance(fitted, DistilledClassifier) else ["prediction"]
            p, *label = run_onnx(tmp_path / "net.onnx", {"x": bad.astype(np.float32)}, names)
            assert np.isnan(p[:3]).all() and np.isfinite(p[3]).all()
            assert not label or ((label[0][:3] == -1).all() and label[0][3] in (0, 1))


@pytest.mark.parametrize("activation", [kd.ReLU, kd.Tanh, kd.GELU])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_no_layer_swallows_a_nan(activation, layer_norm, tmp_path):
    net = kd.MLP(3, 8, 6, 3, activation=activation, layer_norm=layer_norm)
    bad = np.array([[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf], [1, 2, 3]], np.float32)
    export.to_c(net, tmp_path / "net.c")
    status, p = run_c(tmp_path, bad)
    assert status.tolist()[:3] == [-1] * 3 and status[3] >= 0 and np.isnan(p[:3]).all()
    pytest.importorskip("onnx")
    export.to_onnx(net, tmp_path / "net.onnx")
    p, label = run_onnx(tmp_path / "net.onnx", {"x": bad})
    assert np.isnan(p[:3]).all() and label.tolist()[:3] == [-1] * 3 and label[3] == net.predict(bad[3:])[0]


def test_tanh_behind_an_imputer_swallows_no_infinity(tmp_path, rng):
    imputer = SimpleImputer().fit(rng.normal(size=(9, 2)))
    net = kd.MLP(2, 4, 2, activation=kd.Tanh)
    model = SimpleNamespace(student_=net, preprocessor_=imputer, classes_=np.array(["a", "b"]))
    export.to_c(model, tmp_path / "net.c")
    status, p = run_c(tmp_path, np.array([[np.inf, 0], [0, -np.inf], [np.nan, 1]]))
    assert status.tolist()[:2] == [-1, -1] and status[2] >= 0 and np.isnan(p[:2]).all()
    pytest.importorskip("skl2onnx")
    export.to_onnx(model, tmp_path / "net.onnx")
    feed = {"x0": np.array([[np.inf], [np.nan]], np.float32), "x1": np.zeros((2, 1), np.float32)}
    assert run_onnx(tmp_path / "net.onnx", feed)[1].tolist()[0] == "" != run_onnx(tmp_path / "net.onnx", feed)[1][1]


def test_an_answer_that_overflows_is_refused(tmp_path):
    net = kd.MLP(2, 4, 2)
    net.theta[...] = np.abs(net.theta) + 1
    x = np.array([[3e38, 3e38], [1, 1]], np.float32)
    export.to_c(net, tmp_path / "net.c")
    assert run_c(tmp_path, x)[0][0] == -1
    pytest.importorskip("onnx")
    export.to_onnx(net, tmp_path / "net.onnx")
    assert run_onnx(tmp_path / "net.onnx", {"x": x})[1][0] == -1


def test_an_imputer_fills_and_strict_encoders_refuse(models, tmp_path):
    """Where an imputer ships, NaN is a missing value; where none does, and for codes of no category, -1."""
    model = models("pipeline")
    X, _ = raw_rows()
    X = X[:5].copy()
    X[0, 0], X[1, 1] = np.nan, np.nan  # imputed
    X[2, 1] = "Basel"  # unknown, and the encoder says ignore
    good = model.predict_proba(X[:3])
    X[3, 2], X[4, 3] = np.nan, "XXL"  # no imputer; an encoder that is strict
    back = saved(model, tmp_path)
    np.testing.assert_allclose(back.predict_proba(X[:3]), good, atol=1e-12)
    for row, message in ((3, "'x2' is missing"), (4, "'x3' holds an unknown category.*known are .'S', 'M', 'L'")):
        with pytest.raises(ValueError, match=message):
            back.predict(X[row : row + 1])
    codes = parts_of(model).plain().codes(X)
    export.to_c(model, tmp_path / "net.c")
    codes = np.vstack([codes, *[codes[0]] * 5])
    codes[5, 1], codes[6, 1], codes[7, 3] = 3, 0.5, -2  # no such codes
    codes[8, 0], codes[9, 2] = np.inf, -np.inf  # an imputer fills NaN alone
    status, p = run_c(tmp_path, codes)
    np.testing.assert_allclose(p[:3], good, atol=1e-5)
    assert status[3:].tolist() == [-1] * 7 and np.isnan(p[3:]).all()
    X[3, 0], X[3, 2] = np.inf, 1.0
    with pytest.raises(ValueError, match="'x0' is infinite"):
        back.predict(X[3:4])
    X[3, 0], X[3, 2] = 1.0, np.nan
    pytest.importorskip("skl2onnx")
    export.to_onnx(model, tmp_path / "net.onnx")
    p, label = run_onnx(tmp_path / "net.onnx", fed(model, X[:4]))
    np.testing.assert_allclose(p[:3], good, atol=1e-5)
    assert np.isnan(p[3]).all() and label[3] == ""
    strict = fed(model, X[:1])
    strict["x3"][0, 0] = "XXL"
    p, label = run_onnx(tmp_path / "net.onnx", strict)
    assert np.isnan(p).all() and label[0] == ""


def test_a_strict_one_hot_encoder_refuses_a_text_in_onnx(tmp_path):
    pytest.importorskip("skl2onnx")
    X, y = raw_rows(gaps=False)
    one_hot = ColumnTransformer([("town", OneHotEncoder(sparse_output=False), [1])])
    fitted = make_pipeline(one_hot, DistilledClassifier(**SETTINGS)).fit(X, y)
    export.to_onnx(fitted, tmp_path / "net.onnx")
    feed = fed(fitted, X[:2])
    run_onnx(tmp_path / "net.onnx", feed)
    for text in ("Basel", ""):
        feed["x1"][1, 0] = text
        with pytest.raises(Exception, match="Unknown Category"):
            run_onnx(tmp_path / "net.onnx", feed)


def test_fast_math_is_refused(tmp_path):
    export.to_c(kd.MLP(2, 2), tmp_path / "net.c")
    done = subprocess.run([compiler("gcc"), "-ffast-math", "-c", "net.c"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "without -ffast-math" in done.stderr


# ------------------------------------------------------------------ float32 beside float64


@pytest.mark.parametrize(("offset", "spread"), [(1.7e9, 300), (1e4, 1e-3), (-5e7, 2)])
def test_a_column_far_from_zero_keeps_its_digits(offset, spread, tmp_path):
    """Unix time: 0.998 in Python was 0.486 in C, as float32 tells only every 128th second apart."""
    rng = np.random.default_rng(0)
    x = np.stack([offset + rng.uniform(0, spread, 400), rng.normal(size=400)], axis=1)
    y = ((x[:, 0] - offset) / spread > 0.5).astype(int)
    fitted = DistilledClassifier(hidden_layer_sizes=(8,), max_iter=40, random_state=0).fit(x, y)
    assert fitted.score(x, y) > 0.95
    export.to_c(fitted, tmp_path / "net.c")
    label, p = run_c(tmp_path, x)
    np.testing.assert_allclose(p, fitted.predict_proba(x), atol=1e-4)
    assert "const double *x" in (tmp_path / "net.h").read_text()
    pytest.importorskip("onnx")
    export.to_onnx(fitted, tmp_path / "net.onnx")
    np.testing.assert_allclose(run_onnx(tmp_path / "net.onnx", {"x": x})[0], fitted.predict_proba(x), atol=1e-4)
    if offset == 1.7e9:
        export.to_c(fitted, tmp_path / "net.c", integer=True, rows=x)
        found = integers.integers_of(plan(fitted, fold=False), x, {}, True)
        label, _ = run_c(tmp_path, found.inputs(x))
        assert (label == fitted.predict(x)).mean() > 0.95
    else:
        with pytest.raises(ExportError, match="column 'x0' does not fit 32 bits"):
            export.to_c(fitted, tmp_path / "net.c", integer=True)


def test_where_float32_disagrees_the_column_is_named(tmp_path):
    """A network without a scaler knows nothing of its inputs' offset: the rows show it, and nothing is written."""
    rng = np.random.default_rng(0)
    net = kd.MLP(3, 2, dtype="float64")
    net.layers[0].W[...] = [[0.1, -0.1], [0.5, 0.1], [0.2, 0.3]]
    net.layers[0].b[...] = [-1.7e8 - 15, 1.7e8 + 15]
    rows = np.stack([1.7e9 + rng.uniform(0, 300, 50), *rng.normal(size=(2, 50))], axis=1)
    for write in (export.to_c, export.to_onnx):
        if write is export.to_onnx:
            pytest.importorskip("onnx")
        with pytest.raises(ExportError, match=r"column 'when' has values so large.*Subtract a constant"):
            write(net, tmp_path / "net.c", rows=rows, inputs=["when", "a", "b"])
    assert list(tmp_path.iterdir()) == []
    export.to_c(net, tmp_path / "net.c", scaler=(rows.mean(axis=0), rows.std(axis=0)))  # which the scaler cures


def test_a_target_far_from_zero_is_named(tmp_path, rng):
    x = rng.normal(size=(80, 2))
    fitted = DistilledRegressor(**SETTINGS).fit(x, 1.7e9 + x[:, 0])
    with pytest.raises(ExportError, match="targets nearer to zero"):
        export.to_c(fitted, tmp_path / "net.c")


# ------------------------------------------------------------------ small devices


@pytest.fixture(scope="module")
def tumours():
    x, y = load_breast_cancer(return_X_y=True)
    return DistilledClassifier(hidden_layer_sizes=(32,), max_iter=20, random_state=0).fit(x, y), x, y


def test_integers_answer_as_the_model(tumours, tmp_path):
    """The C code computes to the last digit what the simulation in Python does, and that is the model's answer."""
    fitted, x, _ = tumours
    made = export.to_c(fitted, tmp_path / "net.c", integer=True, rows=x)
    found = integers.integers_of(plan(fitted, fold=False), x, {}, True)
    rows = found.inputs(np.vstack([x, 1e3 * x[:5], -1e6 * x[:5]]))  # outliers saturate, and do not overflow
    for tool in ("gcc", "g++"):
        label, scores = run_c(tmp_path, rows, tool=tool)
        np.testing.assert_array_equal(scores, found.answer(rows))
        np.testing.assert_array_equal(label, found.answer(rows).argmax(axis=1))
    z = fitted.student_.logits(fitted.scaler_.transform(x))
    assert np.abs(scores[: len(x)] / integers.SCORE - z).max() < 0.05 * np.abs(z).max()
    assert (label[: len(x)] == fitted.predict(x)).mean() > 0.995
    assert made["agreement"] > 0.995
    source = (tmp_path / "net.c").read_text()
    assert "math.h" not in source and "float" not in source.split("#endif", 1)[1].replace("READ_float", "")


def test_integers_take_gaps_and_categories(models, tmp_path):
    model = models("pipeline")
    X, _ = raw_rows(seed=1)
    export.to_c(model, tmp_path / "net.c", integer=True, rows=X, decimals={"x2": 3})
    codes = parts_of(model).plain().codes(X)
    found = integers.integers_of(plan(model, fold=False), rows_for(plan(model), X), {"x2": 3}, True)
    assert found.features.digits.tolist() == [0, 0, 3, 0]  # ages are whole numbers, sizes and towns are codes
    rows = found.inputs(codes)
    label, scores = run_c(tmp_path, rows)
    np.testing.assert_array_equal(scores, found.answer(rows))
    assert (np.array(["no", "yes"])[label] == model.predict(X)).mean() > 0.96
    refused = np.repeat(rows[:1], 5, axis=0)
    refused[0, 2], refused[1, 1], refused[2, 1], refused[3, 3], refused[4, 3] = integers.GAP, 3, -2, -1, integers.GAP
    assert run_c(tmp_path, refused)[0].tolist() == [-1] * 5
    with pytest.raises(ExportError, match="decimals names 'hair'"):
        export.to_c(model, tmp_path / "net.c", integer=True, decimals={"hair": 1})


def test_rescaling_rounds_half_away_from_zero():
    a = np.array([5, -5, 6, -6, 7, 2**31 - 1, -(2**31) + 1])
    M0, shift = integers.multiplier(np.full(7, 0.5))
    assert integers.rescale(a, M0, shift).tolist() == [3, -3, 3, -3, 4, 2**30, -(2**30)]
    rng = np.random.default_rng(0)
    M = np.exp(rng.uniform(-20, 8, 500))
    M0, shift = integers.multiplier(M)
    assert (M0 < 2**31).all() and np.abs(M0 / 2.0**shift / M - 1).max() < 2**-30


def test_sums_of_integers_cannot_overflow(tmp_path, rng):
    """A layer with 3000 equal inputs at their limit: its range is made smaller, not its sum larger than 2^31."""
    x = rng.normal(size=(200, 3000))
    y = (x[:, :50].sum(axis=1) > 0).astype(int)
    fitted = DistilledClassifier(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(x, y)
    fitted.student_.layers[0].W[...] = 0.01
    found = integers.integers_of(plan(fitted, fold=False), x, {}, True)
    assert found.features.top < 2**15 - 1
    found.answer(found.inputs(1e6 * np.sign(x)))  # asserts its sums
    found.answer(found.inputs(1e6 * np.ones_like(x)))


@pytest.mark.parametrize("more", [{}, {"int8": True}, {"integer": True}], ids=["float", "int8", "integer"])
def test_an_atmega328p_runs_it(more, tumours, tmp_path):
    """32 kB of flash, 2 kB of RAM. Once the constants alone took 1,642 bytes of RAM, and float did not link."""
    fitted, x, _ = tumours
    made = export.to_c(fitted, tmp_path / "net.c", rows=x, **more)
    found = run_avr(tmp_path)
    assert found["wrong"] == 0
    assert found["ram"] == 0
    assert found["flash"] < 10_000 and found["stack"] < 500, found
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "deploying.md").read_text("utf-8")
    name = next(iter(more), "float")
    (row,) = [line for line in guide.splitlines() if line.startswith(("| float |", "| `--")) and name in line]
    for key, said in zip(("flash", "ram", "stack"), row.split("|")[2:5]):
        assert found[key] == pytest.approx(int(said.replace(",", "")), rel=0.1), key  # compilers differ a little
    assert made["constants"] < found["flash"]


def test_an_atmega328p_runs_the_preprocessing(models, tmp_path):
    X, _ = raw_rows()
    for more in ({}, {"integer": True}):
        export.to_c(models("pipeline"), tmp_path / "net.c", rows=X, **more)
        assert run_avr(tmp_path)["wrong"] == 0


@pytest.mark.parametrize("more", [{}, {"integer": True}], ids=["float", "integer"])
def test_the_self_test_finds_a_wrong_weight(more, tumours, tmp_path):
    fitted, x, _ = tumours
    export.to_c(fitted, tmp_path / "net.c", rows=x, **more)
    source = (tmp_path / "net.c").read_text()
    first = source.index("{\n    ", source.index("W1[" if more else "W2[")) + 6
    end = source.index(",", first)
    (tmp_path / "net.c").write_text(f"{source[:first]}{'-' if source[first] != '-' else ''}9{source[end:]}")
    with pytest.raises(AssertionError, match="the self-test found"):
        run_c(tmp_path, np.zeros((1, 30)))


def test_weights_are_compiled_once(tumours, tmp_path):
    """Two files of a program include the header; one copy of the weights is in it."""
    export.to_c(tumours[0], tmp_path / "net.c")
    assert "static const" not in (tmp_path / "net.h").read_text()
    (tmp_path / "a.c").write_text('#include "net.h"\nint a(const float *x) { return net_predict(x, 0); }\n')
    body = "float x[30] = {0}; return a(x) < -1 || net_predict(x, 0) < -1;"
    (tmp_path / "b.c").write_text(f'#include "net.h"\nint a(const float *x);\nint main(void) {{ {body} }}\n')
    subprocess.run([compiler("gcc"), "a.c", "b.c", "net.c", "-o", "both", "-lm"], cwd=tmp_path, check=True)
    symbols = subprocess.run(["nm", "both"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert sum(line.endswith(" r W0") for line in symbols.splitlines()) == 1


def test_a_c_file_beyond_its_budget_is_refused(tmp_path):
    net = kd.MLP(100, 300, 2)
    with pytest.raises(ExportError, match=r"take 122,400 bytes.*max_bytes=100,000: write ONNX"):
        export.to_c(net, tmp_path / "net.c", max_bytes=100_000)
    assert list(tmp_path.iterdir()) == []
    export.to_c(net, tmp_path / "net.c", max_bytes=122_400)


def test_integers_are_for_relu_networks(tmp_path):
    with pytest.raises(ExportError, match="not Tanh: take int8"):
        export.to_c(kd.MLP(2, 4, 2, activation=kd.Tanh), tmp_path / "net.c", integer=True)


def test_what_a_compiler_measures(tumours, tmp_path):
    fitted, x, _ = tumours
    export.to_c(fitted, tmp_path / "net.c", integer=True, rows=x)
    assert compiler("cc") and compiler("size")
    found = export.measure_c(tmp_path / "net.c", "cc")
    assert found["ram"] == 0 or found["ram"] < 100  # the names of classes are pointers, which a loader fills
    assert 1024 < found["flash"] < 8192 and 124 <= found["stack"] < 500
    assert export.measure_c(tmp_path / "net.c", "no-such-compiler") is None


@pytest.mark.parametrize("width", [4, 12])
def test_a_stack_holds_its_scratch(width, tmp_path):
    """On x86-64 the scratch of a small network lay below the stack, and the stack was said to be smaller than it."""
    assert compiler("cc") and compiler("size")
    made = export.to_c(kd.MLP(3, width, 1, seed=0), tmp_path / "net.c")
    assert export.measure_c(tmp_path / "net.c", "cc")["stack"] >= made["scratch"] > 0


def test_a_file_too_large_for_avr_is_measured_by_cc(tmp_path):
    assert compiler("avr-gcc") and compiler("cc") and compiler("size")
    export.to_c(kd.MLP(100, 100, 2, seed=0), tmp_path / "net.c")
    assert export.measure_c(tmp_path / "net.c", "avr-gcc") is None
    found = export.measure_c(tmp_path / "net.c")
    assert found["compiler"].startswith("cc ") and 40_800 < found["flash"] < 50_000


# ------------------------------------------------------------------ the report


def test_a_report_of_regressors_has_r2_and_mae():
    """Once it was "accuracy 0.0 %"."""
    X, y = load_diabetes(return_X_y=True)
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(20, random_state=0)
    fitted = DistilledRegressor(forest, soft_weight=0.5, **SETTINGS).fit(X[:300], y[:300])
    data = export.report(fitted, fitted.teacher_, X[300:], y[300:])
    for name, model in (("student", fitted), ("teacher", fitted.teacher_)):
        entry = data[name]
        assert entry["r2"] == pytest.approx(model.score(X[300:], y[300:]))
        assert entry["mae"] == pytest.approx(np.abs(model.predict(X[300:]) - y[300:]).mean())
        for key in ("r2", "mae"):
            low, high = entry[key + "_interval"]
            assert low < entry[key] < high
        assert entry["accuracy"] is None
    off = np.abs(fitted.predict(X[300:]) - fitted.teacher_.predict(X[300:])).mean()
    assert data["difference"] == pytest.approx(off) and data["agreement"] is None
    text = export.format_report(data)
    assert "\nmean absolute difference" in text and "\nmean difference" not in text
    assert (
        "R2" in text
        and "mean absolute error" in text
        and "accuracy" not in text
        and "%" not in text.replace("95 %", "")
    )
    with pytest.raises(TypeError, match="a regressor, the other a classifier"):
        export.report(fitted, DistilledClassifier(**SETTINGS).fit(X, y > 100), X, y)


def test_a_bootstrap_interval_covers():
    """Intervals of the mean absolute error hold the true mean about as often as they say, and are no wider."""
    from kdlearn.export.costs import achieved

    rng = np.random.default_rng(0)
    ends = []
    for _ in range(40):
        y = rng.normal(size=100)
        ends.append(achieved("numbers", y + rng.exponential(size=100), y)["mae_interval"])
    low, high = np.array(ends).T
    assert ((low < 1) & (high > 1)).mean() > 0.82
    assert (high - low).mean() == pytest.approx(2 * 1.96 / np.sqrt(100), rel=0.15)


def table_of(names, n=200, offset=0.0):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({names[0]: offset + 30 * rng.normal(size=n), names[1]: rng.normal(size=n)})
    frame[" kind"] = rng.choice(["a, b", " a", "München", "\u202ex"], n)
    return frame, np.where(frame[names[0]] > offset, "gut", "sch=lecht")


COLUMNS = [("K", "y0"), ("W0", "b0"), ("y", "x"), ("bad", "classes"), ("net.y0", "_net.W0"), ("net.encode.c0", "c0")]


@pytest.mark.parametrize("names", COLUMNS)
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_a_column_may_be_called_anything(names, offset, tmp_path):
    """In an ONNX file inputs and inner values share one space of names; "y" and "K" were taken."""
    pytest.importorskip("skl2onnx")
    frame, y = table_of(names, offset=offset)
    fitted = DistilledClassifier(**SETTINGS).fit(frame, y)
    for more, off in (({}, 1e-4), ({"fold": False}, 1e-4), ({"int8": True, "rows": frame}, 0.2)):
        export.to_onnx(fitted, tmp_path / "net.onnx", **more)
        p, label = run_onnx(tmp_path / "net.onnx", fed(fitted, frame))
        np.testing.assert_allclose(p, fitted.predict_proba(frame), atol=off)
        assert set(label) <= {"gut", "sch=lecht"}


@pytest.mark.parametrize("integer", [False, True])
def test_the_header_says_what_goes_in_and_out(integer, tmp_path):
    """Names as they are, quotes where ends would not be seen, the classes, the file's own name."""
    frame, y = table_of(("Temp [°C]", "day"))
    frame.iloc[::9, 2] = None
    fitted = DistilledClassifier(**SETTINGS).fit(frame, y)
    units = {"day": "days since a day"}
    export.to_c(fitted, tmp_path / "größe 2.c", "net", integer=integer, rows=frame, units=units)
    text = (tmp_path / "größe 2.h").read_text("utf-8")
    kind = '0 = missing, 1 = " a", 2 = München, 3 = "a, b", 4 = \\u202ex, -1 = any other'
    for part in (
        "Temp [°C]",
        ", days since a day; N",
        kind,
        'Classes: 0 = gut, 1 = "sch=lecht".',
        "größe 2.c",
        "UTF-8",
    ):
        assert part in text, part
    for file in ("größe 2.c", "größe 2.h", "größe 2_selftest.c"):
        (tmp_path / file.replace("größe 2", "net")).write_text(
            (tmp_path / file).read_text("utf-8").replace('"größe 2.h"', '"net.h"'), "utf-8"
        )
    codes = parts_of(fitted).plain().codes(frame)
    x = integers.integers_of(plan(fitted, fold=False), codes, {}, True).inputs(codes) if integer else codes
    label, _ = run_c(tmp_path, x, "net")
    agree = (fitted.classes_[label] == fitted.predict(frame)).mean()
    assert agree > 0.97 if integer else agree == 1


def test_how_far_a_regressors_integers_move_is_said(tmp_path, capsys):
    X, y = load_diabetes(return_X_y=True)
    fitted = DistilledRegressor(**SETTINGS).fit(X, y)
    made = export.to_c(fitted, tmp_path / "net.c", integer=True, rows=X)
    found = integers.integers_of(plan(fitted, fold=False), X, {}, True)
    _, got = run_c(tmp_path, found.inputs(X))
    off = np.abs(got[:, 0] * 10.0**-found.out_digits - fitted.predict(X))
    assert made["error"] == pytest.approx(off.mean(), rel=1e-4)
    assert made["largest_error"] == pytest.approx(off.max(), rel=1e-4)
    kd.save(tmp_path / "m.npz", fitted)
    assert cli.main(["export", "--model", str(tmp_path / "m.npz"), "--to", "c", "--integer", "--out",
                     str(tmp_path / "net.c"), "--calibration", str(cells(tmp_path / "t.csv", X, tuple(
                         f"x{i}" for i in range(10))))]) == 0  # fmt: skip
    told = capsys.readouterr().out
    assert f"move by {off.mean():.3g} on average, {off.max():.3g} at most" in told and "answered as before" not in told


def test_figures_are_those_of_the_files(models, tmp_path):
    X, _ = raw_rows()
    for model in (models("pipeline"), kd.MLP(4, 8, 2)):
        kd.save(tmp_path / "m.npz", model)
        rows = X if hasattr(model, "steps") else np.zeros((5, 4), np.float32)
        entry = export.report(model, model, rows)["student"]
        assert entry["file_bytes"] == (tmp_path / "m.npz").stat().st_size
        assert entry["rows_per_s"] > 1e6 / entry["latency_us"]["p50"]  # a batch is quicker than row by row
    data = export.report(kd.MLP(4, 8, 2), DistilledClassifier(**SETTINGS).fit(np.eye(4), [0, 1, 0, 1]))
    assert (data["student"]["door"], data["teacher"]["door"]) == ("network", "estimator")
    row = next(line for line in export.format_report(data).splitlines() if "p50" in line)
    assert row.endswith("us") and "bare network" in export.format_report(data)  # no ratio of unlike doors


def test_importing_kdlearn_brings_no_sklearn_with_load():
    script = "import sys, kdlearn as kd; kd.save, kd.load; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "False"


# ------------------------------------------------------------------ the command line


def cells(path, rows, header=("x0", "x1", "x2", "x3")):
    text = [["" if v is None or v != v else str(v) for v in row] for row in rows]
    path.write_text("\n".join(",".join(row) for row in [list(header), *text]) + "\n", "utf-8")
    return path


def test_the_command_line_predicts_and_exports_what_kd_save_wrote(models, tmp_path, capsys):
    """Gaps where an imputer is, columns in another order: the answers are the model's."""
    model, (X, _) = models("pipeline"), raw_rows()
    kd.save(tmp_path / "m.npz", model)
    data = cells(tmp_path / "t.csv", X[:, ::-1], ("x3", "x2", "x1", "x0"))
    assert cli.main(["predict", "--model", str(tmp_path / "m.npz"), "--data", str(data)]) == 0
    lines = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["prediction", "p(no)", "p(yes)"]
    assert [line[0] for line in lines[1:]] == model.predict(X).tolist()
    np.testing.assert_allclose([[float(v) for v in line[1:]] for line in lines[1:]], model.predict_proba(X), atol=1e-5)
    export_it = ["export", "--model", str(tmp_path / "m.npz"), "--to", "c", "--out", str(tmp_path / "net.c")]
    for more in ([], ["--int8"], ["--integer", "--calibration", str(data)]):
        assert cli.main([*export_it, *more]) == 0
        told = capsys.readouterr().out
        for part in (
            "net.c: ",
            "net.h: ",
            "constants ",
            "scratch ",
            "static RAM 0",
            "multiply-adds",
            "call net_predict",
        ):
            assert part in told
        assert "inputs, in this order: x0, x1, x2, x3" in told
    assert cli.main([*export_it, "--max-bytes", "100"]) == 2
    assert "max_bytes=100" in capsys.readouterr().err
    X[1, 2] = np.nan  # where no imputer is
    assert cli.main(["predict", "--model", str(tmp_path / "m.npz"), "--data", str(cells(tmp_path / "t.csv", X))]) == 2
    assert "row 1, column 'x2' is missing" in capsys.readouterr().err


def test_the_command_line_predicts_numbers(tmp_path, capsys):
    x, y = load_diabetes(return_X_y=True)
    fitted = DistilledRegressor(**SETTINGS).fit(x[:, :4], y)
    kd.save(tmp_path / "m.npz", fitted)
    data = cells(tmp_path / "t.csv", x[:20, :4])
    assert cli.main(["predict", "--model", str(tmp_path / "m.npz"), "--data", str(data)]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "prediction"
    np.testing.assert_allclose([float(v) for v in lines], fitted.predict(x[:20, :4]), rtol=1e-6)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_a_model_read_back_takes_sparse_rows_as_the_fitted_one_does(kind, tmp_path, rng):
    """They were 'rows of 3 columns, got shape ()'."""
    x = np.where(rng.random((60, 3)) < 0.5, 0, rng.normal(size=(60, 3)))
    model = DistilledClassifier(max_iter=3, random_state=0).fit(kind(x), (x[:, 0] > 0).astype(int))
    kd.save(tmp_path / "m.npz", model)
    read = kd.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(read.predict_proba(kind(x)), model.predict_proba(kind(x)))
    with pytest.raises(ValueError, match=r"rows of 3 columns are needed, got shape \(60, 2\)"):
        read.predict(kind(x[:, :2]))


def test_columns_whose_names_are_numbers_are_told_to_come_as_an_array(tmp_path, rng):
    """The very table of `fit` had 'no column x0, x1, x2'."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=[20, 10, 30])
    model = DistilledClassifier(max_iter=3, random_state=0).fit(table, (table[20] > 0).astype(int))
    kd.save(tmp_path / "m.npz", model)
    read = kd.load(tmp_path / "m.npz")
    told = (
        r"no column 'x0', 'x1', 'x2'; its columns had no names that are texts: give X.to_numpy\(\), in the order of fit"
    )
    with pytest.raises(ValueError, match=told):
        read.predict_proba(table)
    np.testing.assert_array_equal(read.predict_proba(table.to_numpy()), model.predict_proba(table))


def test_a_student_inside_something_else_is_told_how_it_is_saved(tmp_path, rng):
    """A pipeline that ends in TransformedTargetRegressor was 'not Pipeline', though pipelines can be saved."""
    x, y = rng.normal(size=(60, 3)), np.exp(rng.normal(size=60))
    student, save = DistilledRegressor(max_iter=3, random_state=0), tmp_path / "m.npz"
    logs = TransformedTargetRegressor(student, func=np.log, inverse_func=np.exp)
    for model in (logs, make_pipeline(StandardScaler(), logs)):
        for write in (lambda m: kd.save(save, m), lambda m: export.to_c(m, tmp_path / "m.c")):
            with pytest.raises(
                TypeError, match=r"TransformedTargetRegressor.*its regressor_ is one, .*without transform"
            ):
                write(model.fit(x, y))
    kd.save(save, logs.regressor_)
    np.testing.assert_allclose(np.exp(kd.load(save).predict(x)), logs.predict(x))
    with pytest.raises(TypeError, match=r"MultiOutputRegressor.*its estimators_ are some, each with a file of its own"):
        kd.save(save, MultiOutputRegressor(student).fit(x, np.c_[y, y]))
    with pytest.raises(TypeError, match="DistilledRegressor: it is not fitted"):
        kd.save(save, student)


@pytest.mark.parametrize(
    ("decimals", "told"),
    [
        ({"x0": 1.5}, "decimals of 'x0' must be a whole number of digits, got 1.5"),
        ({"x0": "2"}, "decimals of 'x0' must be a whole number of digits, got '2'"),
        ({"x0": True}, "got True"),
        ({"x0": np.nan}, "got nan"),
        ({"x0": 50}, "does not fit 32 bits with 50 digits: give it fewer decimals"),
        ({"town": 1}, "decimals names 'town', which holds no numbers"),
        ({"x9": 1}, "decimals names 'x9', which are no columns; there are: 'x0', 'town'"),
        ([1, 2], "decimals is a dict, {column: digits}, got [1, 2]"),
        (2, "decimals is a dict, {column: digits}, got 2"),
    ],
    ids=str,
)
def test_decimals_are_digits_of_columns(decimals, told, tmp_path, rng):
    """1.5 was 1 and "2" was 2; those of a column of texts, or of an export in float, went nowhere."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"x0": rng.normal(size=60), "town": rng.choice(["Bern", "Genf"], 60)})
    model = DistilledClassifier(max_iter=3, random_state=0).fit(table, (table["x0"] > 0).astype(int))
    with pytest.raises(ValueError, match=re.escape(told)):
        export.to_c(model, tmp_path / "m.c", integer=True, rows=table, decimals=decimals)
    with pytest.raises(ValueError, match="decimals are of integer=True"):
        export.to_c(model, tmp_path / "m.c", rows=table, decimals={"x0": 1})
    export.to_c(model, tmp_path / "m.c", integer=True, rows=table, decimals={"x0": np.int64(3)})
