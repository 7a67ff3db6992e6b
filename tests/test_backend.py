"""Where arrays live, and the errors of a machine without a GPU."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import backend


def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # import cupy raises ImportError


def test_array_module():
    assert kd.array_module(np.zeros(2), np.float32(1)) is np
    with pytest.raises(TypeError, match="expected numpy or cupy arrays, got list"):
        kd.array_module([1.0])


def test_mixed_backends_are_refused(standin):
    there = kd.to_device(np.zeros(2), "cuda")
    with pytest.raises(TypeError, match="mixed"):
        kd.array_module(there, np.zeros(2))
    with pytest.raises(TypeError):
        kd.soft_targets(there.reshape(1, 2), np.zeros((1, 2)))
    np.testing.assert_array_equal(kd.to_numpy(there), np.zeros(2))


def test_no_cupy_is_one_clear_error(monkeypatch):
    without_cupy(monkeypatch)
    for ask in (lambda: kd.MLP(2, 2).to("cuda"), lambda: kd.to_device(np.zeros(2), "cuda")):
        with pytest.raises(kd.BackendUnavailable, match="kdlearn with its extra cuda12 or cuda13"):
            ask()


@pytest.mark.parametrize("ask, waits", [
    (lambda xp, a: float(a.sum()), 1),
    (lambda xp, a: a.sum().item(), 1),
    (lambda xp, a: a[a > 0], 1),  # no value, but a shape that values decide
    (lambda xp, a: xp.nonzero(a), 1),
    (lambda xp, a: a.nonzero(), 1),
    (lambda xp, a: xp.where(a > 0), 1),
    (lambda xp, a: xp.where(a > 0, a, 0), 0),
    (lambda xp, a: a[xp.asarray([1, 0])], 0),
])  # fmt: skip
def test_the_stand_in_counts_what_waits(standin, ask, waits):
    ask(sys.modules["cupy"], kd.to_device(np.array([3.0, -4.0]), "cuda"))
    assert standin.syncs == waits


def test_cupy_without_a_gpu_is_another(standin, monkeypatch):
    monkeypatch.setattr(sys.modules["cupy"].cuda, "is_available", lambda: False)
    with pytest.raises(kd.BackendUnavailable, match="NVIDIA GPU and its driver"):
        kd.MLP(2, 2).to("cuda")

    def broken():
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(sys.modules["cupy"].cuda, "is_available", broken)
    with pytest.raises(kd.BackendUnavailable, match="libcuda"):
        kd.MLP(2, 2).to("cuda")


def test_auto_says_once_what_it_chose(monkeypatch, caplog):
    without_cupy(monkeypatch)
    with caplog.at_level(logging.INFO, "kdlearn"):
        assert backend.resolve_device("auto") == "cpu"
    assert len(caplog.records) == 1 and "chose the CPU" in caplog.text


def test_unknown_devices():
    for ask in (lambda: backend.resolve_device("tpu"), lambda: kd.MLP(2, 2).to("gpu")):
        with pytest.raises(ValueError, match="device must be"):
            ask()
