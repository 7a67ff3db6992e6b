"""Every scaler and encoder answers alike in Python, in a file, in C and in ONNX; what would not is refused."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec

import numpy as np
import pytest
from c_programs import compiled, run_c
from doors import check_every_door, saved
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

import kdlearn as kd
from kdlearn import export
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.export.integers import integers_of
from kdlearn.export.parts import parts_of
from kdlearn.export.plan import plan, softmax_rows

pytestmark = pytest.mark.filterwarnings("ignore:max_iter")
SETTINGS = {"hidden_layer_sizes": (6,), "max_iter": 10, "random_state": 0}
SCALERS = [
    StandardScaler(with_mean=False),  # it knows the mean, and leaves it
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
    MinMaxScaler((-3, 5)),
    MaxAbsScaler(),
]


@pytest.mark.parametrize("inside", [False, True], ids=["before", "inside"])
@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_a_scaler_does_everywhere_what_it_does_in_python(scaler, inside, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3)) * [1, 2, 3] + [5, 1, -3]
    model = DistilledClassifier(preprocessor=scaler if inside else None, **SETTINGS)
    model = model if inside else make_pipeline(scaler, model)
    check_every_door(model.fit(x, (x[:, 0] > 5).astype(int)), x, tmp_path, rows=x)


@pytest.mark.parametrize("scaler", SCALERS[:3], ids=str)
def test_a_fitted_scaler_beside_a_network_does_what_it_does(scaler, tmp_path):
    rng = np.random.default_rng(1)
    x, net = rng.normal(size=(50, 3)) * [1, 2, 3] + [5, 1, -3], kd.MLP(3, 6, 2, seed=0)
    export.to_c(net, tmp_path / "net.c", scaler=scaler.fit(x))
    np.testing.assert_allclose(run_c(tmp_path, x)[1], net.predict_proba(scaler.transform(x)), atol=1e-5)
    for wrong in (MinMaxScaler().fit(x), StandardScaler(), (1.0,)):
        with pytest.raises(TypeError, match=r"scaler is \(mean, scale\) or a fitted StandardScaler"):
            export.to_c(net, tmp_path / "other.c", scaler=wrong)


GAPS = {  # categories as they are sorted, and the encoder
    "an empty text is a category": (["", "a", "b"], OrdinalEncoder()),
    "an empty text, others unknown": (
        ["", "a", "b"],
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ),
    "None is a category": (["a", "b", None], OrdinalEncoder()),
    "NaN has a code": (["a", "b", np.nan], OrdinalEncoder(encoded_missing_value=2)),
    "None is a category, the unknown is filled": (
        ["a", "b", None],
        make_pipeline(
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), SimpleImputer(strategy="median")
        ),
    ),
}


@pytest.mark.parametrize("case", GAPS)
def test_a_missing_text_keeps_its_code_and_moves_no_other(case, tmp_path):
    known, encoder = GAPS[case]
    rng = np.random.default_rng(2)
    text = np.array(known, object)[rng.integers(0, 3, 90)]
    X = np.stack([text, rng.normal(size=90).astype(object)], axis=1)
    y = (text == "a").astype(int)
    before = ColumnTransformer([("text", encoder, [0]), ("number", "passthrough", [1])])
    check_every_door(make_pipeline(before, DistilledClassifier(**SETTINGS)).fit(X, y), X, tmp_path)


@pytest.mark.parametrize("case", ["an empty text is a category", "None is a category", "NaN has a code"])
def test_an_unknown_text_is_filled_where_an_imputer_stands_behind_its_encoder(case, tmp_path):
    """`unknown_value=nan` and an imputer: the pipeline answered, all that was written of it refused the row."""
    known = GAPS[case][0]
    encoder = make_pipeline(
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
        StandardScaler(),
        SimpleImputer(strategy="constant", fill_value=0.4),
    )
    text, number = np.array(known * 20, object), np.random.default_rng(2).normal(size=60).astype(object)
    X = np.stack([text, number], axis=1)
    before = ColumnTransformer([("text", encoder, [0]), ("number", StandardScaler(), [1])])
    model = make_pipeline(before, DistilledClassifier(**SETTINGS)).fit(X, (text == "a").astype(int))
    X = np.vstack([X, np.array([["new", 0.3]], object)])
    check_every_door(saved(model, tmp_path), X, tmp_path, rows=X)
    check_every_door(model, X, tmp_path, rows=X)
    export.to_c(model, tmp_path / "net.c", integer=True, rows=X)
    found = integers_of(plan(model, fold=False), parts_of(model).plain().codes(X), {}, True)
    x = found.inputs(parts_of(model).plain().codes(X))
    assert x[-1, 0] == -1
    _, scores = run_c(tmp_path, x)
    np.testing.assert_array_equal(scores, found.answer(x))
    np.testing.assert_allclose(softmax_rows(scores / 1024), model.predict_proba(X), atol=0.01)


@pytest.mark.parametrize("known", [[1, 2, 5], [1.0, 2.0, -5.0], [False, True]], ids=str)
def test_numbers_that_are_categories(known, tmp_path):
    """The header listed codes of numbers that NAME_code did not find; ONNX called 1.0 no whole number."""
    column = np.array(known * 20)
    X = column[:, None]
    model = make_pipeline(OneHotEncoder(sparse_output=False), DistilledClassifier(**SETTINGS))
    model.fit(X, (column == known[-1]).astype(int))
    if known[0] is False:
        export.to_c(model, tmp_path / "net.c", rows=X)
    else:
        check_every_door(model, X, tmp_path, rows=X)
    lines = (tmp_path / "net.h").read_text().splitlines()
    listed = next(line for line in lines if "x[0]" in line).split("a code, ")[1].split(", -1")[0]
    texts = [part.split(" = ")[1] for part in listed.split(", ")]
    assert len(texts) == len(known)
    calls = "".join(f'printf("%d ", net_code(0, "{text}"));' for text in [*texts, "7"])
    program = compiled(tmp_path, "net", f'#include <stdio.h>\n#include "net.h"\nint main(void) {{ {calls} return 0; }}')
    told = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    assert told.split() == [*map(str, range(len(known))), "-1"]


class Thrice(kd.MLP):
    """A network whose answer its layers do not say."""

    def forward(self, x, rng=None, taps=None):
        sites, caches = super().forward(x, rng, taps)
        return sites | {"logits": 3 * sites["logits"]}, caches


class Sharp(kd.MLP):
    """The same, one door further on."""

    def logits(self, x, batch_size=1024):
        return 3 * super().logits(x, batch_size)


class Swapped(DistilledClassifier):
    """An estimator that answers otherwise than its parts."""

    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


@pytest.mark.parametrize("kind, name", [(Thrice, "forward"), (Sharp, "logits"), (Swapped, "predict_proba")])
def test_a_class_that_answers_in_a_way_of_its_own_is_not_written(kind, name, tmp_path):
    """Written as its layers alone, it would load as another: once a probability was off by 0.2."""
    x = np.random.default_rng(3).normal(size=(40, 3))
    model = kind(**SETTINGS).fit(x, np.arange(40) % 2) if kind is Swapped else kind(3, 6, 2)
    message = f"{kind.__name__} has a `{name}` of its own"
    with pytest.raises(TypeError, match=message):
        kd.save(tmp_path / "m.npz", model)
    for write in (export.to_c, *([export.to_onnx] if find_spec("onnx") else [])):
        with pytest.raises(TypeError, match=message):
            write(model, tmp_path / "net")
    if kind is not Swapped:
        with pytest.raises(TypeError, match="of its own"):
            kd.Stack([model, model])
    assert list(tmp_path.iterdir()) == []


def test_a_tap_that_is_no_layer_is_not_saved_and_lost(tmp_path):
    wrapped = kd.distill.jacobian.WithJacobian(kd.MLP(3, 6, 2))
    with pytest.raises(TypeError, match=r"has the tap 'jacobian'.*save the network that it wraps"):
        kd.save(tmp_path / "m.npz", wrapped)
    assert list(tmp_path.iterdir()) == []
    x = np.random.default_rng(4).normal(size=(10, 3))
    export.to_c(wrapped, tmp_path / "net.c")  # its logits are those of its layers
    np.testing.assert_allclose(run_c(tmp_path, x)[1], wrapped.predict_proba(x), atol=1e-6)


def test_an_answer_that_overflows_is_refused_at_every_door_of_python(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 2)) * [1e-12, 1]
    large = np.array([[0.0, 0.0], [1e300, 0.0]])
    classifier = DistilledClassifier(**SETTINGS).fit(x, (x[:, 1] > 0).astype(int))
    regressor = DistilledRegressor(**SETTINGS).fit(x, 1e300 * x[:, 1])
    for model in (classifier, regressor):
        for fitted in (model, saved(model, tmp_path)):
            for door in ("predict", "predict_proba", "decision_function", "predict_log_proba"):
                if hasattr(fitted, door):
                    with np.errstate(all="ignore"), pytest.raises(ValueError, match="row 1 is so large"):
                        getattr(fitted, door)(large)
            if model is regressor:  # the network's answer is finite, in the target's unit it is not
                with np.errstate(all="ignore"), pytest.raises(ValueError, match="row 1 is so large"):
                    fitted.predict(np.array([[0.0, 0.0], [0.0, 1e12]]))


def test_a_refused_row_has_a_label_that_is_no_class(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    x = np.array([[0.0, 1.0], [np.nan, 0.0]], np.float32)
    for classes, want in ((["", "a", "b"], "refused"), (["", "refused", "b"], "refused!"), (["a", "b", "c"], "")):
        export.to_onnx(kd.MLP(2, 3), tmp_path / "net.onnx", classes=classes)
        session = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
        label = session.run(["label"], {"x": x})[0]
        assert label[1] == want and label[0] in classes
        assert session.get_modelmeta().custom_metadata_map["refused"] == f'"{want}"'
    for classes in (np.arange(3, dtype=np.uint64) + 2**63, np.array([-(2**63), 0, 1])):
        with pytest.raises(ValueError, match="labels in int64"):
            export.to_onnx(kd.MLP(2, 3), tmp_path / "other.onnx", classes=classes)


def test_a_text_that_c_would_cut_is_refused(tmp_path):
    """Three classes, "a", "a\\0" and "a\\0b", were all "a"."""
    with pytest.raises(ValueError, match="holds a NUL"):
        export.to_c(kd.MLP(2, 2), tmp_path / "net.c", classes=np.array(["a", "a\0b"], object))
    assert list(tmp_path.iterdir()) == []
