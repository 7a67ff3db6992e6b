"""What is written answers as the model, or is not written: ONNX held to float64, refused rows, odd requests."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from c_programs import run_c
from doors import check_every_door, run_onnx
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MaxAbsScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

import kdlearn as kd
from kdlearn import export
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.export.parts import parts_of
from kdlearn.export.transformers import NotPlain

pytestmark = [
    pytest.mark.filterwarnings("error::UserWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def student(iris):
    return DistilledClassifier(**SETTINGS).fit(*iris)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("offset", [0, 1e5, 1e7])
def test_what_skl2onnx_writes_is_float64_where_float32_has_too_few_digits(offset, int8, iris, tmp_path):
    """A column 1e7 away from zero moved a probability by 0.44, without a word."""
    pytest.importorskip("skl2onnx")
    X, y = iris[0] + [offset, 0, 0, 0], iris[1]
    model = make_pipeline(StandardScaler(), PCA(3), DistilledClassifier(**SETTINGS)).fit(X, y)
    export.to_onnx(model, tmp_path / "net.onnx", rows=X, int8=int8)
    kind = np.float64 if offset else np.float32
    p, _ = run_onnx(tmp_path / "net.onnx", {"x": X.astype(kind)})
    np.testing.assert_allclose(p, model.predict_proba(X), atol=0.05 if int8 else 1e-4)
    p, label = run_onnx(tmp_path / "net.onnx", {"x": np.array([[np.nan, 1, 1, 1], [np.inf, 1, 1, 1]], kind)})
    assert np.isnan(p).all() and (label == -1).all()


@pytest.mark.parametrize(
    "transformer, offset",
    [(KBinsDiscretizer(5, encode="onehot-dense", strategy="uniform"), 1e7), (MaxAbsScaler(), 0)],
    ids=["bins of digits that are gone", "a clip that skl2onnx leaves out"],
)
def test_a_file_that_answers_otherwise_is_not_written(transformer, offset, iris, tmp_path):
    pytest.importorskip("skl2onnx")
    if offset == 0:
        if "clip" not in transformer.get_params():
            pytest.skip("an older scikit-learn")
        transformer.set_params(clip=True)
    X, y = iris[0] + [offset, 0, 0, 0], iris[1]
    model = make_pipeline(transformer, DistilledClassifier(**SETTINGS)).fit(X, y)
    with pytest.raises(export.ExportError, match="the file answers otherwise than the model, by 0"):
        export.to_onnx(model, tmp_path / "net.onnx", rows=X)
    with pytest.warns(UserWarning, match="held to the model on no rows: none can be drawn, give rows="):
        export.to_onnx(model, tmp_path / "unheld.onnx")
    with pytest.raises(export.ExportError, match="none of the rows"):
        export.to_onnx(model, tmp_path / "net.onnx", rows=np.nan * X)
    assert [path.name for path in tmp_path.iterdir()] == ["unheld.onnx"]


def test_a_plain_file_is_run_before_it_is_written(student, iris, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    from kdlearn.export import onnx_file

    real = onnx_file.network_nodes

    def wrong(onnx, steps, *more):
        nodes, constants = real(onnx, steps, *more)
        return nodes, {name: a * 1.1 if name.startswith("W") else a for name, a in constants.items()}

    monkeypatch.setattr(onnx_file, "network_nodes", wrong)
    with pytest.raises(export.ExportError, match="the file answers otherwise"):
        export.to_onnx(student, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def table(iris):
    text = np.array(["u", "v", "w"], object)[(iris[0][:, 1] * 10).astype(int) % 3]
    text[::5] = np.nan
    return np.stack([iris[0][:, 0].astype(object), text], axis=1)


FILLS = {
    "behind": lambda fill, encoder: (make_column_transformer((encoder, [1]), remainder="passthrough"), fill),
    "inside": lambda fill, encoder: (
        ColumnTransformer([("t", make_pipeline(encoder, StandardScaler(), fill), [1]), ("n", "passthrough", [0])]),
    ),
}


@pytest.mark.parametrize("where", FILLS)
@pytest.mark.parametrize("settings", [{}, {"strategy": "constant", "fill_value": 9.0}, {"strategy": "most_frequent"}])
@pytest.mark.parametrize("strict", [False, True])
def test_a_fill_that_is_no_code_is_filled_at_every_door(where, settings, strict, iris, tmp_path):
    """C refused these rows, which its header allows; ONNX took them for the first category."""
    X = table(iris)
    known = {} if strict else {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    before = FILLS[where](SimpleImputer(**settings), OrdinalEncoder(**known))
    model = make_pipeline(*before, DistilledClassifier(**SETTINGS)).fit(X, iris[1])
    check_every_door(model, X, tmp_path, rows=X)
    made = export.to_c(model, tmp_path / "net.c", rows=X, int8=True)
    assert made["agreement"] > 0.9 and (run_c(tmp_path, parts_of(model).plain().codes(X))[0] >= 0).all()
    pytest.importorskip("skl2onnx")
    assert export.to_onnx(model, tmp_path / "8.onnx", rows=X, int8=True)["agreement"]["static"] > 0.9


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
def test_eight_bits_refuse_what_the_float_file_refuses(fold, at_once, student, iris, tmp_path):
    """The quantiser cut NaN and infinity to the end of a range, and the row got a class."""
    pytest.importorskip("onnxruntime")
    X, path = iris[0], tmp_path / "net.onnx"
    bad = np.full((3, 4), [5, 3, 4, 1], np.float32)
    bad[0, 0], bad[1, 1], bad[2] = np.nan, np.inf, -np.inf
    for model in (student, kd.MLP(4, 8, 3, seed=0)):
        if at_once:
            export.to_onnx(model, path, int8=True, rows=X, fold=fold)
        else:
            export.to_onnx(model, tmp_path / "f.onnx", fold=fold)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a range for all inputs costs much here
                export.quantize_onnx(tmp_path / "f.onnx", path, X)
        p, label = run_onnx(path, {"x": bad})
        assert np.isnan(p).all() and (label == -1).all()


@pytest.mark.parametrize("cell, value", [((140, 0), np.inf), ((0, 0), np.nan)], ids=str)
def test_a_calibration_row_that_is_refused_is_left_out_and_said(cell, value, student, iris, tmp_path):
    """One infinite cell made a range infinite, and all rows were refused; NaN in the first row was a "scale issue"."""
    pytest.importorskip("onnxruntime")
    export.to_onnx(student, tmp_path / "f.onnx", fold=False)
    rows = iris[0].copy()
    rows[cell] = value
    with pytest.warns(UserWarning, match="1 of 150 calibration rows are refused by the file, and left out"):
        made = export.quantize_onnx(tmp_path / "f.onnx", tmp_path / "8.onnx", rows)
    _, label = run_onnx(tmp_path / "8.onnx", {"x": iris[0].astype(np.float32)})
    assert made["agreement"]["static"] > 0.95 and (label == student.predict(iris[0])).mean() > 0.95
    with pytest.raises(ValueError, match="no row that the file takes"):
        export.quantize_onnx(tmp_path / "f.onnx", tmp_path / "q.onnx", np.nan * rows)


def test_names_that_are_no_columns_are_refused(student, tmp_path):
    with pytest.raises(export.ExportError, match="units names 'no_such', which are no columns and no target"):
        export.to_c(student, tmp_path / "net.c", units={"no_such": "in kg"})
    with pytest.raises(ValueError, match="decimals are of integer=True"):
        export.to_c(student, tmp_path / "net.c", decimals={"x0": 2})
    assert not list(tmp_path.iterdir())
    export.to_c(student, tmp_path / "net.c", units={"kind": "a kind", "x0": "in cm"}, target="kind")
    with pytest.raises(FileNotFoundError, match=r"nope\.c"):
        export.measure_c(tmp_path / "nope.c")


def test_onnx_says_what_it_cannot_write(iris, tmp_path):
    pytest.importorskip("skl2onnx")
    pd = pytest.importorskip("pandas")
    X, y = pd.DataFrame(iris[0], columns=list("abcd")), iris[1]
    mixed = make_column_transformer((PCA(1), ["a", "b"]), remainder="passthrough")
    model = make_pipeline(mixed, DistilledClassifier(**SETTINGS)).fit(X, y)
    with pytest.raises(NotPlain, match=r"PCA cannot be written as plain data.*skl2onnx does not write it"):
        export.to_onnx(model, tmp_path / "net.onnx", rows=X)
    rare = np.array([f"{i}" for i in range(150)], object)[:, None]
    encoder = OneHotEncoder(min_frequency=45, handle_unknown="infrequent_if_exist", sparse_output=False)
    model = make_pipeline(encoder, DistilledClassifier(**SETTINGS)).fit(rare, y)
    with pytest.raises(NotPlain, match="column 'x0': all of its categories are infrequent"):
        export.to_onnx(model, tmp_path / "net.onnx")
    gaps = X.rename(columns={"a": ""}).where(X.to_numpy() > 0.15)
    model = make_pipeline(SimpleImputer(), DistilledClassifier(**SETTINGS)).fit(gaps, y)
    with pytest.raises(ValueError, match='a column is called "", which ONNX has no input for'):
        export.to_onnx(model, tmp_path / "net.onnx")


def test_eight_bits_behind_an_imputer_and_an_encoder(iris, tmp_path):
    pytest.importorskip("skl2onnx")
    X = table(iris)
    X[::7, 0], X[1:20:5, 1] = np.nan, "rare"
    rare = OneHotEncoder(min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False)
    before = make_column_transformer((SimpleImputer(), [0]), (rare, [1]))
    model = make_pipeline(before, DistilledClassifier(**SETTINGS)).fit(X, iris[1])
    assert export.to_onnx(model, tmp_path / "net.onnx", int8=True, rows=X)["agreement"]["static"] > 0.9


def test_a_report_takes_no_missing_label_and_no_constant_target_for_a_warning(student, iris):
    X, y = iris
    for missing in (np.nan, None):
        with pytest.raises(ValueError, match=r"y_test is missing \(NaN\) in 75 places"):
            export.report(student, student, X, np.where(np.arange(150) < 75, missing, y))
    numbers = DistilledRegressor(**SETTINGS).fit(X, X[:, 0])
    found = export.report(numbers, numbers, X, np.full(150, 5.0))["student"]
    assert np.isnan(found["r2"]) and np.isnan(found["r2_interval"]).all() and found["mae"] > 0
