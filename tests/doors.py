"""The doors of a fitted model: the file in which it is saved, ONNX and C."""

from __future__ import annotations

import numpy as np
import pytest
from c_programs import run_c

import kdlearn as kd
from kdlearn import export
from kdlearn.export.onnx_file import feeds
from kdlearn.export.parts import parts_of
from kdlearn.export.plan import plan


def saved(model, folder):
    kd.save(folder / "m.npz", model)
    return kd.load(folder / "m.npz")


def run_onnx(path, feed, outputs=("probabilities", "label")):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(list(outputs), feed)


def fed(model, X):
    return feeds(plan(model), plan(model).parts.plain().codes(X))


def check_every_door(model, X, folder, atol=1e-5, **options):
    """What is saved and what is exported, with these options, answers these rows as the model does."""
    want = model.predict_proba(X)
    np.testing.assert_allclose(saved(model, folder).predict_proba(X), want, atol=1e-12)
    export.to_c(model, folder / "net.c", **options)
    np.testing.assert_allclose(run_c(folder, parts_of(model).plain().codes(X))[1], want, atol=atol)
    pytest.importorskip("skl2onnx")
    export.to_onnx(model, folder / "net.onnx", **options)
    np.testing.assert_allclose(run_onnx(folder / "net.onnx", fed(model, X))[0], want, atol=atol)
