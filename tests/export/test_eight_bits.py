"""Numbers of eight bits and integers keep the answer, whatever its size and however far from zero it lies."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from doors import run_onnx
from sklearn.datasets import load_wine
from sklearn.metrics import r2_score

from kdlearn import export
from kdlearn.estimators import DistilledClassifier, DistilledRegressor

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
