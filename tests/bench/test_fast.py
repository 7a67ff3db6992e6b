"""Every body for a GPU equals its reference, through g++ on the host and on a GPU; NVIDIA takes the source."""

from __future__ import annotations

import ctypes
import importlib.util
import inspect
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import require_cupy
from cuda_on_host import RawModule, launches

import kdlearn as kd
from kdlearn import fast
from kdlearn.backend import body_for, to_device, to_numpy
from kdlearn.fast import launch

SOURCE = Path(launch.__file__).with_name("kernels.cu")
TIGHT = {"float32": 3e-6, "float64": 1e-13}


@pytest.fixture
def kernels(standin, monkeypatch):
    """The stand-in with the kernels compiled for the host; without them it runs the reference. Its counters."""
    monkeypatch.setattr(sys.modules["cupy"], "RawModule", RawModule, raising=False)
    launches.clear()
    return standin


@pytest.fixture(params=["standin", "cupy"])
def put(request):
    """An array onto the device: the stand-in's with kernels on the host, or a GPU's."""
    if request.param == "standin":
        request.getfixturevalue("kernels")
    else:
        require_cupy()
    return lambda a: to_device(a, "cuda")


def close(mine, reference, dtype, what=""):
    mine, reference = to_numpy(mine), np.asarray(reference)
    assert mine.dtype == reference.dtype and mine.shape == reference.shape, what
    scale = max(np.abs(reference[np.isfinite(reference)]).max(initial=0), 1e-30)
    np.testing.assert_allclose(mine, reference, rtol=10 * TIGHT[dtype], atol=TIGHT[dtype] * scale, err_msg=what)


# ---------------------------------------------------------------- the table


def test_every_body_takes_what_its_reference_takes(put):
    for reference, body in fast.BODIES.items():
        names = [name for name in inspect.signature(reference).parameters if name != "self"]
        assert [name for name in inspect.signature(body).parameters if name != "rule"] == names
        assert body_for(reference, np.zeros(1)) is reference
        assert body_for(reference, put(np.zeros(1))) is body


def test_a_function_without_a_body_is_itself(put):
    assert body_for(kd.logit_matching.rows, put(np.zeros(1))) is kd.logit_matching.rows


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("K", [2, 10, 33, 1500])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(put, rng, dtype, K, smoothing):
    z, y = (3 * rng.standard_normal((3, K))).astype(dtype), rng.integers(K, size=3).astype("int32")
    for weight in (None, rng.random(3).astype(dtype)):
        want = kd.cross_entropy(z, y, smoothing, weight=weight)
        got = kd.cross_entropy(put(z), put(y), smoothing, weight=None if weight is None else put(weight))
        for a, b in zip(got, want):
            close(a, b, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("K", "T", "size"), [(2, 1, 1), (10, 4, 3), (10, 0.05, 1e4), (10, 1e3, 3), (10, 1e8, 3), (1500, 2, 9)]
)
def test_soft_targets(put, rng, dtype, K, T, size):
    z_s, z_t = ((size * rng.standard_normal((3, K))).astype(dtype) for _ in range(2))
    for weight in (None, rng.random(3).astype(dtype)):
        want = kd.soft_targets(z_s, z_t, T, weight=weight)
        got = kd.soft_targets(put(z_s), put(z_t), T, weight=None if weight is None else put(weight))
        if T == 1e8:  # the reference itself keeps eight digits here
            np.testing.assert_allclose(to_numpy(got[0]), want[0], rtol=1e-6)
        else:
            close(got[0], want[0], dtype)
        # q - p is a difference of numbers of size 1/K, whatever its own size
        np.testing.assert_allclose(
            to_numpy(got[1]), want[1], rtol=1e-5, atol=T / K * (1e-15 + 2e-9 * (dtype == "float32"))
        )


def test_a_loss_is_one_launch_and_its_mean_none_of_the_kernels(kernels, rng):
    z, y = to_device(rng.standard_normal((3, 4)), "cuda"), to_device(np.zeros(3, int), "cuda")
    kd.cross_entropy(z, y)
    kd.soft_targets(z, z)
    assert launches == ["cross_entropy", "soft_targets"]


def test_rows_without_a_label(put, rng):
    z, y = rng.standard_normal((4, 5)), np.array([2, -1, 0, -1])
    want, got = kd.cross_entropy(z, y, 0.1, -1), kd.cross_entropy(put(z), put(y), 0.1, -1)
    for a, b in zip(got, want):
        close(a, b, "float64")


def test_each_member_of_a_stack_has_its_own_mean(put, rng):
    z, y, z_t = rng.standard_normal((6, 5)), rng.integers(5, size=6), rng.standard_normal((6, 5))
    objective = kd.CrossEntropy() + kd.SoftTargets()
    arrays = {"student.logits": z}, {"y": y, "teacher.logits": z_t}
    want = objective(*arrays, members=2)
    got = objective(*({k: put(v) for k, v in side.items()} for side in arrays), members=2)
    close(got.value, want.value, "float64")
    close(got.gradients["student.logits"], want.gradients["student.logits"], "float64")


def test_masked_classes(put, rng):
    z_s, z_t = (rng.standard_normal((3, 6)) for _ in range(2))
    z_t[:, 2] = -np.inf
    z_s[1, 2] = -np.inf  # masked for both: it does not exist
    want, got = kd.soft_targets(z_s, z_t, 2.0), kd.soft_targets(put(z_s), put(z_t), 2.0)
    for a, b in zip(got, want):
        close(a, b, "float64")
    z_s[0, 4] = -np.inf  # only for the student, who can then never say it
    assert to_numpy(kd.soft_targets(put(z_s), put(z_t), 2.0)[0]) == math.inf
    y = np.array([0, 1, 5])
    close(kd.cross_entropy(put(z_s), put(y))[1], kd.cross_entropy(z_s, y)[1], "float64")


def test_a_nan_stays_one_and_a_label_outside_reads_nothing(put, rng):
    z = rng.standard_normal((3, 4))
    y = np.array([0, 4, -1])
    value, gradient = kd.cross_entropy(put(z), put(y))  # checked where data enters; here no row beyond is read
    assert np.isfinite(to_numpy(value)) and np.isfinite(to_numpy(gradient)).all()
    z[1, 2] = np.nan
    assert np.isnan(to_numpy(kd.cross_entropy(put(z), put(np.array([0, 1, 2])))[0]))
    assert np.isnan(to_numpy(kd.soft_targets(put(z), put(np.zeros((3, 4))))[0]))


def test_half_precision_and_a_teacher_of_another(put, rng):
    z_s, z_t = rng.standard_normal((3, 5)).astype("float16"), rng.standard_normal((3, 5))
    got, want = kd.soft_targets(put(z_s), put(z_t)), kd.soft_targets(z_s, z_t)
    assert got[0].dtype == want[0].dtype == np.float32 and got[1].dtype == want[1].dtype == np.float16
    np.testing.assert_allclose(to_numpy(got[0]), want[0], rtol=1e-5)


def test_rows_that_do_not_lie_one_after_the_other(put, rng):
    wide = rng.standard_normal((10, 3))
    z, y = np.asfortranarray(wide.T[:, ::2]), np.array([0, 1, 4])
    close(kd.cross_entropy(put(wide).T[:, ::2], put(y))[1], kd.cross_entropy(z, y)[1], "float64")


@pytest.mark.parametrize("loss", [kd.cross_entropy, kd.soft_targets])
def test_wrong_shapes_are_refused_as_the_reference_refuses_them(put, loss):
    z = put(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="shape"):
        loss(z, put(np.zeros(2, int)) if loss is kd.cross_entropy else put(np.zeros((3, 5))))
    right = put(np.zeros(3, int)) if loss is kd.cross_entropy else z
    with pytest.raises(ValueError, match="weight must hold one number a row"):
        loss(z, right, weight=put(np.ones(2)))
    with pytest.raises(ValueError, match="smoothing" if loss is kd.cross_entropy else "T must be one positive"):
        loss(z, right, 2.0 if loss is kd.cross_entropy else -1.0)


# ---------------------------------------------------------------- optimisers

RULES = {
    "plain": lambda: kd.SGD(0.1),
    "momentum, decay": lambda: kd.SGD(0.1, momentum=0.9, weight_decay=0.01),
    "Nesterov": lambda: kd.SGD(0.1, momentum=0.9, nesterov=True),
    "Adam": lambda: kd.Adam(0.01),
    "Adam, decay": lambda: kd.Adam(0.01, weight_decay=0.1, clip_norm=1.0),
    "AdamW": lambda: kd.AdamW(0.01, weight_decay=0.1, max_norm=1.5),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_takes_the_same_steps(put, rng, name, dtype):
    net = kd.MLP(5, 4, 3, seed=1, dtype=dtype)
    net.freeze(1) if name == "Adam" else None
    there = net.copy().to("cuda")
    rule, other = RULES[name](), RULES[name]()
    for _ in range(4):
        g = rng.standard_normal(net.theta.size).astype(dtype)
        net.grad[...] = g
        there.grad[...] = put(g)
        rule.step(net)
        other.step(there)
        close(there.theta, net.theta, dtype, name)
    for mine, reference in zip(other.memory_of(there).moments, rule.memory_of(net).moments):
        close(mine, reference, dtype, name)


def test_a_rule_is_one_launch_however_long_the_vector(kernels):
    net = kd.MLP(300, 300, 3, seed=0).to("cuda")
    assert net.theta.size > kd.Adam.block
    kd.Adam().step(net)
    assert launches == ["adam"]


def test_a_rule_of_one_s_own_keeps_its_own_update(kernels):
    class Mine(kd.SGD):
        def update(self, theta, grad, moments, t, decay, scratch):
            theta -= grad

    class Named(kd.SGD):
        """SGD by another name, which still has its update."""

    net = kd.MLP(3, 2, seed=0).to("cuda")
    Mine(0.1).step(net)
    assert launches == []
    Named(0.1).step(net)
    assert launches == ["sgd"]


# ---------------------------------------------------------------- trainings


def test_a_whole_training_is_the_same(put, rng):
    data = kd.Data(
        {
            "x": rng.standard_normal((40, 5)),
            "y": rng.integers(3, size=40),
            "teacher.logits": rng.standard_normal((40, 3)),
        }
    )
    objective = 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(2)
    settings = {"epochs": 2, "batch_size": 16, "seed": 3, "progress": False}
    net = kd.MLP(5, 6, 3, seed=0, dropout=0.2, dtype="float64")
    there = net.copy().to("cuda")
    history = kd.fit(net, objective, data, optimizer=kd.Adam(), **settings)
    again = kd.fit(there, objective, data.to("cuda"), optimizer=kd.Adam(), **settings)
    close(there.theta, net.theta, "float64")
    np.testing.assert_allclose(again["loss"], history["loss"], rtol=1e-12)
    assert list(again.records[0]["train"]) == list(history.records[0]["train"])


def test_no_copy_and_no_wait_inside_a_step(kernels, rng):
    net = kd.MLP(5, 6, 3, seed=0).to("cuda")
    batch = {n: to_device(a, "cuda") for n, a in {
        "x": rng.standard_normal((8, 5)).astype("float32"), "y": rng.integers(3, size=8),
        "teacher.logits": rng.standard_normal((8, 3)).astype("float32")}.items()}  # fmt: skip
    kernels.host_copies = kernels.syncs = 0
    kd.train_step(net, None, kd.CrossEntropy() + kd.SoftTargets(2), batch, optimizer=kd.Adam())
    assert (kernels.host_copies, kernels.syncs) == (0, 0)
    assert launches == ["cross_entropy", "soft_targets", "adam"]


# ---------------------------------------------------------------- NVIDIA's compilers


@pytest.mark.parametrize("real", ["float", "double"])
def test_nvcc_takes_the_kernels(tmp_path, real):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not installed")
    out = tmp_path / "kernels.ptx"
    command = [nvcc, "-ptx", "-arch=sm_80", "-Werror", "all-warnings", f"-DREAL={real}", SOURCE, "-o", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert entries(out.read_text()) == {"cross_entropy", "soft_targets", "adam", "sgd"}


@pytest.mark.parametrize("real", ["float", "double"])
def test_nvrtc_takes_the_kernels(real):
    """The compiler that CuPy uses, which knows no standard headers."""
    nvrtc = nvrtc_library()
    program, code = ctypes.c_void_p(), launch.source().encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code, b"kernels.cu", 0, None, None) == 0
    options = [f"-DREAL={real}".encode(), b"--gpu-architecture=compute_80", b"--std=c++17"]
    result = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert result == 0, log.value.decode()
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, ptx)
    assert entries(ptx.value.decode()) == {"cross_entropy", "soft_targets", "adam", "sgd"}


def entries(ptx):
    return {line.split(".entry ")[1].rstrip("( \n") for line in ptx.splitlines() if ".visible .entry " in line}


def nvrtc_library():
    spec = importlib.util.find_spec("nvidia")
    found = [
        lib for place in (spec.submodule_search_locations if spec else ()) for lib in Path(place).rglob("libnvrtc.so.*")
    ]
    if not found:
        pytest.skip("could not import nvidia-cuda-nvrtc: NVRTC is not installed")
    return ctypes.CDLL(str(found[0]))
