"""Exported networks answer as the network does; what models cost is counted right."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from c_programs import compiled, run_c
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

import kdlearn as kd
from kdlearn import export
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.export import c_frame, c_text, plan
from kdlearn.nn.layers import Embedding

D, K = 5, 3


def filled(net, seed=0):
    """Every parameter random: fresh biases are zero and fresh gains one, and would hide mistakes."""
    net.theta[...] += 0.3 * np.random.default_rng(seed).standard_normal(net.theta.size).astype(net.theta.dtype)
    return net


def tokens_net():
    layers = [Embedding(6, 4, rng=1), kd.Linear(12, 7, rng=2), kd.GELU(), kd.Linear(7, K, rng=3)]
    return kd.Network(layers, {"logits": 3})


NETS = {
    "linear": lambda: kd.MLP(D, K),
    "relu": lambda: kd.MLP(D, 8, 6, K, dropout=0.5),
    "tanh": lambda: kd.MLP(D, 8, K, activation=kd.Tanh, dropout=[0.1, 0.2]),
    "gelu": lambda: kd.MLP(D, 8, 9, K, activation=kd.GELU),
    "layer norm": lambda: kd.MLP(D, 8, 4, K, layer_norm=True),
    "layer norm first": lambda: kd.Network([kd.LayerNorm(D, eps=0.1), kd.Linear(D, K)], {"logits": 1}),
    "layers past the logits": lambda: kd.Network(
        [kd.Linear(D, K), kd.ReLU(), kd.Linear(K, 2)], {"logits": 0, "more": 2}
    ),
    "float64": lambda: kd.MLP(D, 8, K, dtype="float64"),
    "tokens": tokens_net,
}


def inputs(net, rng, n=40):
    if net.takes_tokens:
        return rng.integers(0, 6, (n, 3))
    return rng.normal(size=(n, D)).astype(np.float32)


def run_onnx(path, x):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = x if x.dtype == np.int64 else x.astype(np.float32)
    return dict(zip(("logits", "probabilities", "label"), session.run(["logits", "probabilities", "label"], {"x": x})))


@pytest.mark.parametrize("kind", NETS)
def test_onnx_answers_as_the_network(kind, tmp_path, rng):
    pytest.importorskip("onnx")
    net = filled(NETS[kind]())
    x = inputs(net, rng)
    export.to_onnx(net, tmp_path / "net.onnx")
    for rows in (x, x[:1]):  # the batch is dynamic
        found = run_onnx(tmp_path / "net.onnx", rows)
        np.testing.assert_allclose(found["logits"], net.logits(rows), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["probabilities"], net.predict_proba(rows), rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(found["label"], net.predict(rows))


@pytest.mark.parametrize("kind", NETS)
def test_c_answers_as_the_network(kind, tmp_path, rng):
    net = filled(NETS[kind]())
    x = inputs(net, rng)
    export.to_c(net, tmp_path / "net.h", "net")
    for tool in ("gcc", "g++"):
        labels, p = run_c(tmp_path, x, tool=tool)
        np.testing.assert_allclose(p, net.predict_proba(x), rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(labels, net.predict(x))


@pytest.mark.parametrize("kind", NETS)
def test_c_with_int8_weights_is_the_network_with_rounded_weights(kind, tmp_path, rng):
    net = filled(NETS[kind]())
    x = inputs(net, rng)
    export.to_c(net, tmp_path / "net.h", "net", int8=True)
    for layer in net.layers:
        for name in layer.weights:
            W = getattr(layer, name)
            integers, scale = plan.quantize(W)
            assert integers.dtype == np.int8 and np.abs(integers * scale - W).max() <= scale.max() / 2 * 1.001
            W[...] = integers * scale
    _, p = run_c(tmp_path, x)
    np.testing.assert_allclose(p, net.predict_proba(x), rtol=1e-4, atol=1e-6)


def test_a_dead_unit_has_a_scale():
    integers, scale = plan.quantize(np.array([[0.0, -2.0], [0.0, 1.0]], np.float32))
    assert integers.tolist() == [[0, -127], [0, 64]] and scale[0] == 1


@pytest.mark.parametrize("large", [1e4, 1e38])
def test_the_softmax_in_c_does_not_overflow(large, tmp_path):
    net = kd.MLP(1, K)
    net.layers[0].W[...] = [[1, -1, 0.5]]
    export.to_c(net, tmp_path / "net.h", "net")
    labels, p = run_c(tmp_path, np.array([[large], [-large]], np.float32))
    assert labels.tolist() == [0, 1]
    np.testing.assert_array_equal(p, [[1, 0, 0], [0, 1, 0]])


def test_a_token_out_of_the_table_is_refused_in_c(tmp_path):
    net = tokens_net()
    export.to_c(net, tmp_path / "net.h", "net")
    labels, _ = run_c(tmp_path, np.array([[0, 5, 1], [0, 6, 1], [-1, 0, 0]]))
    assert labels[0] >= 0 and labels[1:].tolist() == [-1, -1]


# ------------------------------------------------------------------ standardisation


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("first", ["relu", "layer norm first"])
def test_the_scaler_is_part_of_the_file(first, fold, tmp_path, rng):
    pytest.importorskip("onnx")
    net, raw = filled(NETS[first]()), (rng.normal(size=(50, D)) * [1, 1e3, 1e-3, 5, 1] + [0, 300, 0, -7, 2])
    scaler = StandardScaler().fit(raw)
    want = net.predict_proba(scaler.transform(raw))
    raw = raw.astype(np.float32)
    export.to_onnx(net, tmp_path / "net.onnx", scaler, fold=fold)
    np.testing.assert_allclose(run_onnx(tmp_path / "net.onnx", raw)["probabilities"], want, atol=2e-5)
    export.to_c(net, tmp_path / "net.h", "net", (scaler.mean_, scaler.scale_))
    np.testing.assert_allclose(run_c(tmp_path, raw)[1], want, atol=2e-5)
    text = (tmp_path / "net.c").read_text()
    assert ("READ_float(&mean[i])" in text) == (first == "layer norm first")


def test_where_folding_would_lose_the_digits_the_scaler_stays_apart(tmp_path, rng):
    """A constant column of a million has scale 1: folded, its product would drown the others."""
    net, raw = filled(NETS["relu"]()), rng.normal(size=(30, D)).astype(np.float32)
    raw[:, 1] = 1e6
    scaler = StandardScaler().fit(raw)
    export.to_c(net, tmp_path / "net.h", "net", scaler)
    want = net.predict_proba(scaler.transform(raw))
    np.testing.assert_allclose(run_c(tmp_path, raw)[1], want, atol=1e-5)
    assert "(x[i] - READ_double(&centre[i]))" in (tmp_path / "net.c").read_text()


# ------------------------------------------------------------------ a taught student


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    x = (x * np.linspace(0.01, 100, 64)).astype(np.float32)  # inputs in unlike units
    names = np.array([f"digit {k}" for k in range(10)])
    return x[:1200], names[y[:1200]], x[1200:], names[y[1200:]]


@pytest.fixture(scope="module")
def student(digits):
    teacher = RandomForestClassifier(30, random_state=0)
    return DistilledClassifier(teacher, (32,), soft_weight=0.7, max_iter=30, random_state=0).fit(*digits[:2])


def test_a_taught_classifier_brings_its_scaler_and_classes(student, digits, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "student.onnx"
    export.to_onnx(student, path, inputs=[f"pixel {i}" for i in range(64)])
    found = run_onnx(path, digits[2])
    assert found["label"].tolist() == student.predict(digits[2]).tolist()
    np.testing.assert_allclose(found["probabilities"], student.predict_proba(digits[2]), atol=1e-4)
    model = onnx.load(path)
    assert json.loads(model.metadata_props[0].value)[:2] == ["pixel 0", "pixel 1"]
    assert model.opset_import[0].version == 17


def test_int8_onnx_keeps_the_answers_if_the_scaler_is_not_folded(student, digits, tmp_path):
    """Folded, one grid of 256 values spans inputs from 0.01 to 100: the finding that made `fold=False`."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    agreement = {}
    for fold in (False, True):
        export.to_onnx(student, tmp_path / "float.onnx", fold=fold)
        found = export.quantize_onnx(tmp_path / "float.onnx", tmp_path / "int8.onnx", digits[0][:300])
        assert found["method"] == "static" and found["bytes_after"] < 0.7 * found["bytes_before"]
        answers = run_onnx(tmp_path / "int8.onnx", digits[2])
        agreement[fold] = (answers["label"] == student.predict(digits[2])).mean()
    assert agreement[False] > 0.97 > agreement[True]


def test_an_int8_answer_does_not_depend_on_the_rows_beside_it(student, digits, tmp_path, capfd):
    """One outlier in a batch once changed its neighbours' labels: ranges were those of the whole batch."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = export.to_onnx(student, tmp_path / "net.onnx", int8=True)  # on drawn rows
    assert found["bytes_after"] == (tmp_path / "net.onnx").stat().st_size < found["bytes_before"]
    alone = run_onnx(tmp_path / "net.onnx", digits[2])
    beside = run_onnx(tmp_path / "net.onnx", np.concatenate([digits[2], 1000 * digits[2][:1]]))
    np.testing.assert_array_equal(beside["logits"][:-1], alone["logits"])
    one = [run_onnx(tmp_path / "net.onnx", row[None])["logits"][0] for row in digits[2][:20]]
    np.testing.assert_array_equal(one, alone["logits"][:20])
    assert (alone["label"] == student.predict(digits[2])).mean() > 0.97
    far, farther = (run_onnx(tmp_path / "net.onnx", scale * digits[2][:20])["logits"] for scale in (1e3, 1e6))
    np.testing.assert_array_equal(far, farther)  # what lies beyond the range counts as its end
    assert "".join(capfd.readouterr()) == ""
    with pytest.raises(ValueError, match="in eight bits already"):
        export.quantize_onnx(tmp_path / "net.onnx", tmp_path / "q.onnx", digits[2])
    export.to_onnx(student, tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="rows of 64 inputs, got shape"):
        export.quantize_onnx(tmp_path / "net.onnx", tmp_path / "q.onnx", np.zeros((3, 5)))


def test_int8_c_keeps_the_answers(student, digits, tmp_path):
    export.to_c(student, tmp_path / "net.h", "net", int8=True)
    labels, _ = run_c(tmp_path, digits[2])
    assert (student.classes_[labels] == student.predict(digits[2])).mean() > 0.97
    export.to_c(student, tmp_path / "net.h", "net")
    labels, _ = run_c(tmp_path, digits[2])
    np.testing.assert_array_equal(student.classes_[labels], student.predict(digits[2]))


CLASSES = [[3, 7, -2], [0.5, 1.5, 2.0], ["ja", 'n"ein\\', "ü*/??/"], np.array([True, False, True])]


@pytest.mark.parametrize("classes", CLASSES, ids=["integers", "floats", "texts", "bools"])
def test_labels_of_any_kind(classes, tmp_path, rng):
    pytest.importorskip("onnx")
    net = filled(NETS["relu"]())
    x = inputs(net, rng)
    want = np.asarray(classes)[net.predict(x)]
    export.to_onnx(net, tmp_path / "net.onnx", classes=classes)
    assert run_onnx(tmp_path / "net.onnx", x)["label"].tolist() == want.tolist()
    names = ["*/ ??/", "/* \\", "\n#error", "é", "'\""]
    export.to_c(net, tmp_path / "net.h", "net", classes=classes, inputs=names)
    loop = "for (int k = 0; k < 3; k++) puts(net_classes[k]);"
    main = f'#include <stdio.h>\n#include "net.h"\nint main(void) {{ {loop} return 0; }}\n'
    out = subprocess.run([str(compiled(tmp_path, "net", main))], capture_output=True, check=True).stdout.decode()
    got = np.array(out.split("\n")[:3])[run_c(tmp_path, x)[0]].tolist()
    assert got == [str(int(c)) if isinstance(c, np.bool_) else str(c) for c in want]


# ------------------------------------------------------------------ what cannot be exported


def test_what_cannot_be_exported_says_so(tmp_path, rng):
    class Own(kd.ReLU):
        pass

    def c(net, **options):
        export.to_c(net, tmp_path / "net.h", "net", **options)

    net = kd.MLP(D, 4, K)
    for error, message, wrong, options in (
        (TypeError, "Own cannot be exported; these can: Linear", kd.MLP(D, 4, K, activation=Own), {}),
        (TypeError, "not RandomForestClassifier", RandomForestClassifier(), {}),
        (ValueError, r"shape \(5,\), got \(4,\)", net, {"scaler": (np.zeros(4), np.ones(4))}),
        (ValueError, "scale positive", net, {"scaler": (np.zeros(5), np.zeros(5))}),
        (ValueError, "tokens are not standardised", tokens_net(), {"scaler": (np.zeros(3), np.ones(3))}),
        (ValueError, "network's 3 outputs", net, {"classes": ["a", "b"]}),
        (TypeError, "numbers or texts", net, {"classes": [None, "a", 2]}),
        (ValueError, "network's 5 inputs, got 1", net, {"inputs": ["a"]}),
        (ValueError, "without parameters", kd.Network([kd.ReLU()], {"logits": 0}), {}),
        (ValueError, "how many tokens", kd.Network([Embedding(4, 3)], {"logits": 0}), {}),
    ):
        with pytest.raises(error, match=message):
            c(wrong, **options)
    for name in ("1net", "my net", "", "_net", "née"):
        with pytest.raises(ValueError, match="C identifier"):
            export.to_c(net, tmp_path / "net.h", name)
    net.theta[0] = np.nan
    with pytest.raises(ValueError, match="W of Linear 5 -> 4 has values that are not finite"):
        c(net)
    assert not (tmp_path / "net.h").exists()


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_the_error_names_it(missing, tmp_path, monkeypatch):
    if missing == "onnxruntime":
        pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install 'kdlearn\[export\]'"):
        if missing == "onnx":
            export.to_onnx(kd.MLP(D, K), tmp_path / "net.onnx")
        else:
            export.quantize_onnx(tmp_path / "a", tmp_path / "b", np.zeros((1, D)))


def test_importing_export_brings_no_onnx():
    script = "import sys, kdlearn.export; print([m for m in ('onnx', 'onnxruntime', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_network_on_a_device_is_exported(tmp_path, standin):
    net = filled(NETS["relu"]())
    for place in ("host", "device"):
        (tmp_path / place).mkdir()
        export.to_c(net if place == "host" else net.to("cuda"), tmp_path / place / "net.h")
    assert (tmp_path / "host" / "net.h").read_text() == (tmp_path / "device" / "net.h").read_text()


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_numbers_in_c_are_exact(value):
    text = c_text.number(value)
    assert np.float32(text.removesuffix("f")) == np.float32(value) and text.endswith("f") and set(text) & set(".e")


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_texts_in_c_are_what_they_were(text):
    body = c_text.string(text)[1:-1]
    assert body.encode("ascii").decode("unicode_escape").encode("latin-1").decode() == text
    comment = c_text.comment(text)
    assert "*/" not in comment and "/*" not in comment and "??" not in comment and comment.isprintable()
    assert not comment.endswith("\\")  # it would join the next line


def test_a_backslash_at_the_end_of_a_class_is_seen():
    """Class `mid\\` stood in the header as "mid"."""
    assert [c_frame.listed(text) for text in ("mid\\", "a,\\", "low")] == ['"mid\\\\"', '"a,\\\\"', "low"]


# ------------------------------------------------------------------ the report


def test_sizes_are_counted():
    data = export.report(kd.MLP(4, 8, 3, layer_norm=True), kd.MLP(4, 64, 3))
    small, large = data["student"], data["teacher"]
    weights, units = 4 * 8 + 8 * 3, 8 + 3
    others = 8 + 3 + 2 * 8  # biases, and the LayerNorm's two vectors
    assert small["parameters"] == weights + others and small["multiply_adds"] == weights
    assert small["bytes"] == 4 * (weights + others)
    assert small["bytes_int8"] == weights + 4 * units + 4 * others
    assert large["multiply_adds"] == 64 * 7
    assert data["rows"] is data["agreement"] is small["accuracy"] is None
    latency = small["latency_us"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] and latency["repeats"] >= 20
    assert export.report(tokens_net(), tokens_net())["student"]["multiply_adds"] == 12 * 7 + 7 * K


def test_int8_bytes_are_those_of_the_header(tmp_path):
    """The count in the report is the sum of the arrays that to_c writes."""
    net = filled(NETS["layer norm"]())
    export.to_c(net, tmp_path / "net.h", "net", int8=True)
    sizes = re.findall(r"static const (int8_t|float) \w+\[(\d+)\]", (tmp_path / "net.c").read_text())
    total = sum(int(n) * {"float": 4, "int8_t": 1}[kind] for kind, n in sizes)
    assert export.report(net, net)["student"]["bytes_int8"] == total


def test_a_report_of_a_forest_and_its_student(student, digits):
    data = export.report(student, student.teacher_, *digits[2:])
    assert data["rows"] == len(digits[2])
    assert data["student"]["accuracy"] == pytest.approx(student.score(*digits[2:]))
    assert data["teacher"]["accuracy"] == pytest.approx(student.teacher_.score(*digits[2:]))
    same = student.predict(digits[2]) == student.teacher_.predict(digits[2])
    assert data["agreement"] == pytest.approx(same.mean())
    low, high = data["student"]["accuracy_interval"]
    assert 0 < low < data["student"]["accuracy"] < high < 1
    assert data["teacher"]["bytes"] == len(pickle.dumps(student.teacher_, protocol=5))
    assert data["teacher"]["parameters"] is None
    assert json.loads(json.dumps(data)) == data  # plain data
    text = export.format_report(data)
    assert "parameters" in text and "p99" in text and f"{100 * data['agreement']:.1f} %" in text
    assert export.format_report(export.report(student, student.teacher_)).count("accuracy") == 0


def test_wilsons_interval():
    """Against the closed form's defining property: the ends are the p at which z deviations are met."""
    from kdlearn.export.costs import wilson

    for right, n in ((0, 10), (7, 10), (10, 10), (481, 500)):
        for end in wilson(right, n):
            assert abs(right / n - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / n), abs=1e-7)


def test_a_proportion_is_of_some_rows():
    for right, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"0 to n of n rows, n at least 1, got {right} of {n}"):
            export.costs.wilson(right, n)


def test_a_report_of_networks_of_one_output(monkeypatch):
    """They were asked for class probabilities."""
    monkeypatch.setattr(export.costs, "SECONDS", 0.0)
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("f4")
    student, teacher = kd.MLP(4, 5, 1, seed=0), kd.MLP(4, 9, 1, seed=1)
    y = student.predict(x) + np.where(np.arange(20) % 2, 1, -1)
    data = export.report(student, teacher, x, y)
    assert data["task"] == "numbers" and data["student"]["mae"] == pytest.approx(1)
    assert data["student"]["r2"] == pytest.approx(1 - 1 / y.var())
    assert data["difference"] == pytest.approx(np.abs(student.predict(x) - teacher.predict(x)).mean())
    assert "mean absolute difference" in export.format_report(data)


def test_a_report_of_no_rows_says_so():
    net = kd.MLP(4, 3)
    with pytest.raises(ValueError, match="x_test has no rows"):
        export.report(net, net, np.zeros((0, 4)), np.zeros(0, int))


def test_a_report_checks_its_rows(student, digits):
    with pytest.raises(ValueError, match="y_test needs x_test"):
        export.report(student, student, None, digits[3])
    with pytest.raises(ValueError, match="x_test has 597 rows, y_test 1"):
        export.report(student, student, digits[2], digits[3][:1])
    with pytest.raises(ValueError, match="give x_test"):
        export.report(student, DummyClassifier())


@pytest.mark.parametrize("units", [(1e-4, 1e5), (1, 1000), (1e6, 0)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_output_is_held_to_its_own_unit(units, tmp_path):
    """All were held to the smallest: the export was refused for a column's values, or agreed with itself in 3 %."""
    x = np.random.default_rng(0).normal(size=(150, 3))
    y = x[:, :2] * units
    model = DistilledRegressor(None, (8,), max_iter=20, random_state=0).fit(x, y)
    export.to_c(model, tmp_path / "net.c", rows=x)
    made = run_c(tmp_path, x)[1]
    assert (np.abs(made - model.predict(x)) <= 1e-5 * model.target_scale_).all()
    found = export.to_c(model, tmp_path / "net.c", int8=True, rows=x)
    off = np.abs(run_c(tmp_path, x)[1] - model.predict(x)) / model.target_scale_
    assert found["close"] == (off.max(axis=1) < 0.1).mean() > 0.95
    if max(units) == 1000:
        assert export.to_c(model, tmp_path / "net.c", integer=True, rows=x)["close"] > 0.95
