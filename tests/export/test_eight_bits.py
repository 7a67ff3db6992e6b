"""Numbers of eight bits and integers keep the answer, whatever its size and however far from zero it lies."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from c_programs import run_c
from doors import fed, run_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import kdlearn as kd
from kdlearn import export
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.export.check import ExportError
from kdlearn.export.plan import plan

SETTINGS = {"hidden_layer_sizes": (16,), "max_iter": 40, "random_state": 0}


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(500, 4))


TARGETS = {
    "near": lambda x: x[:, 0] + x[:, 1],
    "a thousand away": lambda x: 1000 + x[:, 0] + x[:, 1],
    "ten thousand away": lambda x: x[:, 0] + x[:, 1] - 1e4,
    "two sizes": lambda x: np.c_[x[:, 0] + x[:, 1], 1e6 * x[:, 2]],
    "two sizes and places": lambda x: np.c_[1e-3 * (x[:, 0] + x[:, 1]), 1e6 * x[:, 2] - 1e9],
}


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("at_once", [True, False], ids=["to_onnx", "quantize_onnx"])
@pytest.mark.parametrize("case", TARGETS)
def test_onnx_of_eight_bits_keeps_a_regressors_answer(case, at_once, x, tmp_path):
    """The answer was rounded too, all outputs with one scale from 0 on: R2 0.98 became 0.26 at a mean of 1000."""
    pytest.importorskip("onnxruntime")
    y = TARGETS[case](x)
    fitted = DistilledRegressor(**SETTINGS).fit(x, y)
    if at_once:
        made = export.to_onnx(fitted, tmp_path / "net.onnx", int8=True, rows=x)
    else:
        export.to_onnx(fitted, tmp_path / "whole.onnx")
        made = export.quantize_onnx(tmp_path / "whole.onnx", tmp_path / "net.onnx", x)
    (got,) = run_onnx(tmp_path / "net.onnx", {"x": x.astype(np.float32)}, ["prediction"])
    want = fitted.predict(x).reshape(len(x), -1)
    r2 = r2_score(y.reshape(want.shape), want, multioutput="raw_values")
    np.testing.assert_allclose(r2_score(y.reshape(want.shape), got, multioutput="raw_values"), r2, atol=0.005)
    assert (np.abs(got - want).mean(axis=0) < 0.02 * want.std(axis=0)).all()
    assert made["error"]["static"] == pytest.approx(np.abs(got - want).mean(), rel=0.01)


def test_inputs_that_share_a_range_are_warned_of(tmp_path):
    """Milligrams beside grams: where the scaler is part of the weights, eight bits see the largest column alone."""
    pytest.importorskip("onnxruntime")
    x, y = load_wine(return_X_y=True)
    for fitted in (DistilledClassifier(**SETTINGS).fit(x, y), DistilledRegressor(**SETTINGS).fit(x, y.astype(float))):
        export.to_onnx(fitted, tmp_path / "folded.onnx")
        with pytest.warns(UserWarning, match="all inputs of a layer share one range: .* fold=False"):
            export.quantize_onnx(tmp_path / "folded.onnx", tmp_path / "net.onnx", x)
        export.to_onnx(fitted, tmp_path / "whole.onnx", fold=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            export.quantize_onnx(tmp_path / "whole.onnx", tmp_path / "net.onnx", x)


def in_integers(x, folder):
    """Answers of the compiled C, read as its header says: what x[i] and scores[j] count."""
    header = (folder / "net.h").read_text("utf-8")

    def powers(what):
        return [10.0 ** int(power or 0) for power in re.findall(rf"   {what}: .*? (?:in 10\^(-?\d+)|as it is)", header)]

    status, scores = run_c(folder, np.nan_to_num(np.rint(x / powers(r"x\[\d+\]")), nan=-(2.0**31)))
    assert (status == 0).all()
    units = powers(r"scores(?:\[\d+\])?")
    assert len(units) == scores.shape[1]
    return scores * units


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", TARGETS)
def test_integers_keep_a_regressors_answers(case, x, tmp_path):
    """All outputs had the unit of the smallest: a million times larger ones were cut at 2^31, and a word was said."""
    fitted = DistilledRegressor(**SETTINGS).fit(x, TARGETS[case](x))
    made = export.to_c(fitted, tmp_path / "net.c", integer=True, rows=x)
    got, want = in_integers(x, tmp_path), fitted.predict(x).reshape(len(x), -1)
    assert (np.abs(got - want).mean(axis=0) < 0.02 * want.std(axis=0)).all()
    assert made["error"] == pytest.approx(np.abs(got - want).mean(), rel=0.1)  # beside the weights in float32


def test_an_output_that_is_constant_and_large_fits(x, tmp_path):
    """Its deviation says nothing of its unit: 10^9 in thousandths was cut at 2^31."""
    fitted = DistilledRegressor(**SETTINGS).fit(x, np.c_[x[:, 0], np.full(len(x), 1e9)])
    export.to_c(fitted, tmp_path / "net.c", integer=True, rows=x)
    np.testing.assert_allclose(in_integers(x, tmp_path)[:, 1], 1e9, rtol=1e-6)


def test_advice_is_not_what_was_done(x, tmp_path):
    """It said "give rows" to those who had given them."""
    fitted = DistilledRegressor(**SETTINGS).fit(x, x[:, 0] + x[:, 1])
    far = 40 * x  # beyond 16 deviations integers saturate
    with pytest.raises(ExportError, match=r"rows are answered as before, fewer than 90 %: take int8$"):
        export.to_c(fitted, tmp_path / "net.c", integer=True, rows=far)
    with pytest.warns(UserWarning, match="a quarter of its target's deviation: take int8$"):
        export.to_c(fitted, tmp_path / "net.c", integer=True, rows=np.r_[x, far[:5]])


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1e3, 1e8])
def test_a_bare_regressors_answers_have_any_size(size, x, tmp_path):
    """It knows no deviation of its target, and 1 was taken: small answers became 0, large ones were refused."""
    net = kd.MLP(4, 8, 1, seed=0)
    net.layers[-1].W[...] *= size
    made = export.to_c(net, tmp_path / "net.c", integer=True, rows=x)
    want = net.logits(x.astype(np.float32))
    assert np.abs(in_integers(x, tmp_path) - want).mean() < 0.02 * want.std() and made["close"] == 1
    export.to_c(net, tmp_path / "net.c", rows=x)
    np.testing.assert_allclose(run_c(tmp_path, x)[1], want, atol=1e-5 * want.std())
    source = (tmp_path / "net_selftest.c").read_text()
    (tmp_path / "net_selftest.c").write_text(source.replace("fabsf(p[k]", "fabsf(1.1f * p[k]"))
    with pytest.raises(AssertionError, match="the self-test found"):  # its tolerance is of the answers' size as well
        run_c(tmp_path, x)


def test_a_constant_target_of_any_size_is_answered_in_integers(x, tmp_path):
    """It has no deviation: a unit of thousandths made 0 of it."""
    for value in (1e-4, 3.0, 1e7):
        fitted = DistilledRegressor(**SETTINGS).fit(x, np.full(len(x), value))
        export.to_c(fitted, tmp_path / "net.c", integer=True, rows=x)
        np.testing.assert_allclose(in_integers(x, tmp_path), value, rtol=1e-3)


def test_a_class_that_never_wins_has_one_score_in_python_and_in_c(x, tmp_path):
    """A logit of -1e9 lies beyond 32 bits: the self-test found all rows wrong."""
    net = kd.MLP(4, 8, 3, seed=0)
    net.layers[-1].b[2] = -1e9
    export.to_c(net, tmp_path / "net.c", integer=True, rows=x)
    label, scores = run_c(tmp_path, np.rint(x * 1000))
    assert (label == net.predict(x.astype(np.float32))).mean() > 0.98 and (scores[:, 2] < -2e9).all()


@pytest.mark.parametrize("more", [{}, {"int8": True}], ids=["float", "int8"])
def test_a_model_without_a_clear_answer_has_a_self_test(more, x, tmp_path):
    """No row of it was sure enough for the test: an array of no rows, which C does not know, and ten were counted."""
    net = kd.MLP(4, 8, 200, seed=0)
    net.layers[-1].W[...] *= 0.01
    made = export.to_c(net, tmp_path / "net.c", rows=x, **more)
    run_c(tmp_path, x)
    source = (tmp_path / "net_selftest.c").read_text()
    assert source.startswith(f"/* {made['selftest_rows']} rows and their")


def test_drawn_rows_hold_no_gaps_among_whole_numbers(tmp_path):
    """ONNX has no missing whole number; rows were drawn with some, and NaN is no place in a list."""
    pytest.importorskip("skl2onnx")
    rng = np.random.default_rng(0)
    X = np.stack([rng.integers(0, 5, 200).astype(object), rng.normal(size=200).astype(object)], axis=1)
    one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    before = ColumnTransformer([("code", one_hot, [0]), ("number", "passthrough", [1])])
    fitted = make_pipeline(before, DistilledClassifier(**SETTINGS)).fit(X, (X[:, 0] > 2).astype(int))
    export.to_onnx(fitted, tmp_path / "net.onnx", int8=True)
    _, label = run_onnx(tmp_path / "net.onnx", fed(fitted, X))
    assert (label == fitted.predict(X)).mean() > 0.97


def bare_of_raw_inputs():
    """A network that takes the wines' raw columns, from 0.1 to 1700, with its scaler multiplied into its weights."""
    x, y = load_wine(return_X_y=True)
    fitted = DistilledClassifier(**SETTINGS).fit(x, y)
    mean, scale, net = fitted.scaler_.mean_, fitted.scaler_.scale_, fitted.student_.copy()
    first = net.layers[0]
    first.b[...] -= (mean / scale) @ first.W
    first.W[...] /= scale[:, None]
    return net, x, fitted.predict_proba(x)


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_bare_network_gets_a_scaler_from_the_rows(tmp_path):
    """Inputs of all sizes shared one range, or one scale of weights: a third of the labels were left, unsaid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net, x, want = bare_of_raw_inputs()
    made = export.to_c(net, tmp_path / "net.c", int8=True, rows=x)
    _, p = run_c(tmp_path, x)
    np.testing.assert_allclose(p, want, atol=0.05)
    assert made["agreement"] == 1
    made = export.to_c(net, tmp_path / "net.c", integer=True, rows=x)
    label, _ = run_c(tmp_path, np.rint(x * 10.0 ** np.array(list(made["digits"].values()))))
    assert (label == want.argmax(axis=1)).mean() == made["agreement"] == 1
    pytest.importorskip("onnxruntime")
    export.to_onnx(net, tmp_path / "net.onnx", int8=True, rows=x)
    p, _ = run_onnx(tmp_path / "net.onnx", {"x": x.astype(np.float32)})
    np.testing.assert_allclose(p, want, atol=0.05)


def test_a_scaler_from_rows_changes_no_answer(x):
    net = kd.MLP(4, 8, 3, seed=0)
    rows = x * [1, 1e3, 1e-3, 50] + [0, 1e4, 0, 3]
    assert plan(net, rows=x).parts.net is net  # standardised as they are
    found = plan(net, rows=rows, fold=False)
    assert found.steps[0].kind == "Standardize"
    np.testing.assert_allclose(found.answer(rows), plan(net).answer(rows, np.float64), rtol=1e-4, atol=1e-4)
    scaled = (np.zeros(4), np.ones(4))
    assert plan(net, scaled, rows=rows).parts.net is net  # it has one


def test_rounding_for_inputs_that_nobody_told_of_is_said(x, tmp_path):
    """A bare network of pixels from 0 to 255 was rounded for numbers from -3 to 3."""
    net = kd.MLP(4, 8, 3, seed=0)
    for more in ({"int8": True}, {"integer": True}):
        with pytest.warns(UserWarning, match="rounding to integers is for inputs of mean 0 and deviation 1.*no rows="):
            export.to_c(net, tmp_path / "net.c", **more)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export.to_c(net, tmp_path / "net.c")
        export.to_c(net, tmp_path / "net.c", int8=True, scaler=(np.zeros(4), np.ones(4)))
    pytest.importorskip("onnxruntime")
    with pytest.warns(UserWarning, match="the range of eight bits is for inputs of mean 0"):
        export.to_onnx(net, tmp_path / "net.onnx", int8=True)


def test_weights_that_eight_bits_lose_are_said(x, tmp_path):
    """One hidden unit's weights are a thousand times the others', alike for all classes: the others became 0."""
    net = kd.MLP(4, 8, 3, seed=0)
    net.layers[0].W[:, 3], net.layers[0].b[3], net.layers[-1].W[3] = 0, 1e-3, 1e3
    with pytest.warns(UserWarning, match=r"with weights in eight bits \d\d % of 500 rows are answered as before"):
        made = export.to_c(net, tmp_path / "net.c", int8=True, rows=x)
    labels, _ = run_c(tmp_path, x)
    assert made["agreement"] == pytest.approx((labels == net.predict(x.astype(np.float32))).mean(), abs=0.01)
    pytest.importorskip("onnxruntime")
    with pytest.warns(UserWarning, match=r"in 8 bits \d\d % of the rows get another label: stay with float32$"):
        export.to_onnx(net, tmp_path / "net.onnx", int8=True, rows=x)


def test_a_self_test_allows_the_last_digits_of_float32(x, tmp_path):
    """A thousandth of a deviation was less than one step of float32 at 4096: rows that are right were found wrong."""
    y = 4100 + 0.33 * (x[:, 0] + x[:, 1])
    fitted = DistilledRegressor(**SETTINGS).fit(x, y)
    assert np.spacing(np.float32(4100)) >= 1e-3 * y.std()
    export.to_c(fitted, tmp_path / "net.c", rows=x)
    np.testing.assert_allclose(run_c(tmp_path, x)[1][:, 0], fitted.predict(x), atol=1e-3)


def test_what_fills_a_gap_among_whole_numbers_keeps_its_digits(tmp_path):
    """Yes and no as 1 and 0, gaps filled with their mean: as whole numbers the fill of 0.4 was 0, or 0.6 was 1."""
    rng = np.random.default_rng(0)
    X = np.c_[rng.random(400) < 0.4, rng.integers(18, 90, 400), rng.integers(0, 9, 400)].astype(float)
    y = 3 * X[:, 0] + X[:, 2] / 10
    X[::4, 0] = np.nan
    X[::5, 1] = np.nan
    fitted = make_pipeline(SimpleImputer(), DistilledRegressor(**SETTINGS)).fit(X, y)
    made = export.to_c(fitted, tmp_path / "net.c", integer=True, rows=X)
    assert set(made["digits"].values()) == {0}
    off = in_integers(X, tmp_path)[:, 0] - fitted.predict(X)
    assert np.abs(off[::4]).mean() < 0.02 * y.std()
