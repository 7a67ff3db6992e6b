"""Every fast body equals its reference, on the host through g++ and on a GPU where one is; NVIDIA takes the source."""

from __future__ import annotations

import ctypes
import importlib.util
import inspect
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import require_cupy
from cuda_on_host import launches

import kdlearn as kd
from kdlearn import fast
from kdlearn.backend import to_device, to_numpy
from kdlearn.fast import launch, layers, losses

SOURCE = Path(launch.__file__).with_name("kernels.cu")
TIGHT = {"float32": 3e-6, "float64": 1e-13}


@pytest.fixture(params=["standin", "cupy"])
def put(request):
    """An array onto the device: the stand-in's with kernels on the host, or a GPU's."""
    if request.param == "standin":
        request.getfixturevalue("standin")
    else:
        require_cupy()
    return lambda a: to_device(a, "cuda")


def close(mine, reference, dtype, what=""):
    mine, reference = to_numpy(mine), np.asarray(reference)
    assert mine.dtype == reference.dtype and mine.shape == reference.shape, what
    scale = max(np.abs(reference[np.isfinite(reference)]).max(initial=0), 1e-30)
    np.testing.assert_allclose(mine, reference, rtol=10 * TIGHT[dtype], atol=TIGHT[dtype] * scale, err_msg=what)


# ---------------------------------------------------------------- the table


def test_what_stands_for_what_is_called_the_same_way():
    assert len(fast.EQUIVALENT) == 7
    for reference, body in fast.EQUIVALENT.items():
        if isinstance(reference, tuple):
            continue
        if isinstance(reference, type):
            assert issubclass(body, reference) and body.__init__ is reference.__init__
        else:
            assert inspect.signature(body) == inspect.signature(reference)
        assert body.__name__ == reference.__name__


def test_nothing_else_imports_it():
    for path in SOURCE.parents[1].rglob("*.py"):
        if path.parent.name not in ("fast", "bench"):
            assert "kdlearn.fast" not in path.read_text() and "kdlearn import fast" not in path.read_text(), path


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("K", [2, 10, 33, 1500])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(put, rng, dtype, K, smoothing):
    z, y = (3 * rng.standard_normal((3, K))).astype(dtype), rng.integers(K, size=3).astype("int32")
    for weight in (None, rng.random(3).astype(dtype)):
        want = kd.cross_entropy(z, y, smoothing, weight=weight)
        got = losses.cross_entropy(put(z), put(y), smoothing, weight=None if weight is None else put(weight))
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
        got = losses.soft_targets(put(z_s), put(z_t), T, weight=None if weight is None else put(weight))
        if T == 1e8:  # the reference itself keeps eight digits here
            np.testing.assert_allclose(to_numpy(got[0]), want[0], rtol=1e-6)
        else:
            close(got[0], want[0], dtype)
        # q - p is a difference of numbers of size 1/K, whatever its own size
        np.testing.assert_allclose(
            to_numpy(got[1]), want[1], rtol=1e-5, atol=T / K * (1e-15 + 2e-9 * (dtype == "float32"))
        )


def test_rows_without_a_label(put, rng):
    z, y = rng.standard_normal((4, 5)), np.array([2, -1, 0, -1])
    want, got = kd.cross_entropy(z, y, 0.1, -1), losses.cross_entropy(put(z), put(y), 0.1, -1)
    for a, b in zip(got, want):
        close(a, b, "float64")


def test_what_the_one_pass_has_no_room_for_stays_two():
    hard, soft = kd.CrossEntropy(), kd.SoftTargets()
    assert len(fast.swap(hard + soft).parts) == 1
    assert len(fast.swap(kd.CrossEntropy(ignore=-1) + soft).parts) == 2


def test_one_pass_in_a_stack_gives_each_member_its_own_mean(put, rng):
    z, y, z_t = rng.standard_normal((6, 5)), rng.integers(5, size=6), rng.standard_normal((6, 5))
    objective = kd.CrossEntropy() + kd.SoftTargets()
    arrays = {"student.logits": z}, {"y": y, "teacher.logits": z_t}
    want = objective(*arrays, members=2)
    got = fast.swap(objective)(*({k: put(v) for k, v in side.items()} for side in arrays), members=2)
    close(got.value, want.value, "float64")
    close(got.gradients["student.logits"], want.gradients["student.logits"], "float64")


def test_masked_classes(put, rng):
    z_s, z_t = (rng.standard_normal((3, 6)) for _ in range(2))
    z_t[:, 2] = -np.inf
    z_s[1, 2] = -np.inf  # masked for both: it does not exist
    want, got = kd.soft_targets(z_s, z_t, 2.0), losses.soft_targets(put(z_s), put(z_t), 2.0)
    for a, b in zip(got, want):
        close(a, b, "float64")
    z_s[0, 4] = -np.inf  # only for the student, who can then never say it
    assert to_numpy(losses.soft_targets(put(z_s), put(z_t), 2.0)[0]) == math.inf
    close(
        losses.cross_entropy(put(z_s), put(np.array([0, 1, 5])))[1],
        kd.cross_entropy(z_s, np.array([0, 1, 5]))[1],
        "float64",
    )


def test_a_nan_stays_one_and_a_label_outside_reads_nothing(put, rng):
    z = rng.standard_normal((3, 4))
    y = np.array([0, 4, -1])
    value, gradient = losses.cross_entropy(put(z), put(y))  # checked where data enters; here no row beyond is read
    assert np.isfinite(to_numpy(value)) and np.isfinite(to_numpy(gradient)).all()
    z[1, 2] = np.nan
    assert np.isnan(to_numpy(losses.cross_entropy(put(z), put(np.array([0, 1, 2])))[0]))
    assert np.isnan(to_numpy(losses.soft_targets(put(z), put(np.zeros((3, 4))))[0]))


def test_half_precision_and_a_teacher_of_another(put, rng):
    z_s, z_t = rng.standard_normal((3, 5)).astype("float16"), rng.standard_normal((3, 5))
    got, want = losses.soft_targets(put(z_s), put(z_t)), kd.soft_targets(z_s, z_t)
    assert got[0].dtype == want[0].dtype == np.float32 and got[1].dtype == want[1].dtype == np.float16
    np.testing.assert_allclose(to_numpy(got[0]), want[0], rtol=1e-5)


def test_rows_that_do_not_lie_one_after_the_other(put, rng):
    wide = rng.standard_normal((10, 3))
    z, y = np.asfortranarray(wide.T[:, ::2]), np.array([0, 1, 4])
    close(losses.cross_entropy(put(wide).T[:, ::2], put(y))[1], kd.cross_entropy(z, y)[1], "float64")


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.soft_targets])
def test_wrong_shapes_are_refused_as_the_reference_refuses_them(put, loss):
    z = put(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="shape"):
        loss(z, put(np.zeros(2, int)) if loss is losses.cross_entropy else put(np.zeros((3, 5))))
    right = put(np.zeros(3, int)) if loss is losses.cross_entropy else z
    with pytest.raises(ValueError, match="weight must hold one number a row"):
        loss(z, right, weight=put(np.ones(2)))


# ---------------------------------------------------------------- objectives

OBJECTIVES = {
    "both": 0.3 * kd.CrossEntropy(smoothing=0.1) + 0.7 * kd.SoftTargets(3),
    "a schedule": kd.CrossEntropy() + (lambda progress: 1 - progress) * kd.SoftTargets(),
    "a weight of zero": 0.0 * kd.CrossEntropy() + kd.SoftTargets(2),
    "one weight a row": kd.CrossEntropy() + "trust" * kd.SoftTargets(2),
    "the teacher first": kd.SoftTargets(2) + kd.CrossEntropy(),
    "three": kd.CrossEntropy() + kd.SoftTargets(2) + 0.1 * kd.SoftTargets(5, teacher="other.logits"),
    "more than these": kd.CrossEntropy() + kd.SoftTargets(2)
    + 0.1 * kd.Match("student.logits", "teacher.logits", kd.logit_matching),
    "inside": kd.Given("mean.logits", lambda a, b: (a + b) / 2, ("teacher.logits", "other.logits"),
                       kd.CrossEntropy() + kd.SoftTargets(2, teacher="mean.logits")),
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_swapped_objective_is_the_same_function(put, rng, name):
    objective, z = OBJECTIVES[name], rng.standard_normal((4, 6))
    fixed = {"y": rng.integers(6, size=4), "trust": rng.random(4), "progress": 0.25}
    fixed |= {f"{who}.logits": rng.standard_normal((4, 6)) for who in ("teacher", "other")}
    want = objective({"student.logits": z}, fixed)
    swapped = fast.swap(objective)
    there = {n: put(a) if isinstance(a, np.ndarray) else a for n, a in fixed.items()}
    got = swapped({"student.logits": put(z)}, there)
    close(got.value, want.value, "float64")
    close(got.gradients["student.logits"], want.gradients["student.logits"], "float64")
    assert list(got.terms) == list(want.terms) == [term.name for term in swapped.terms]
    for term, value in want.terms.items():
        close(got.terms[term], value, "float64", term)
    assert swapped.sites == objective.sites


def test_both_are_one_launch(standin, rng):
    z, y, z_t = (
        to_device(a, "cuda") for a in (rng.standard_normal((3, 4)), np.zeros(3, int), rng.standard_normal((3, 4)))
    )
    launches.clear()
    fast.swap(OBJECTIVES["both"])({"student.logits": z}, {"y": y, "teacher.logits": z_t})
    assert launches == ["hard_and_soft"]


def test_a_scaled_pair_stays_one_unless_rows_have_weights(put, rng):
    pair = losses.HardAndSoft(kd.CrossEntropy(), kd.SoftTargets(2))
    half = 0.5 * pair
    assert isinstance(half, losses.HardAndSoft) and half.hard.factor({}) == 0.5
    assert isinstance("trust" * pair, kd.objective.Sum)


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
def test_a_swapped_rule_takes_the_same_steps(put, rng, name, dtype):
    net = kd.MLP(5, 4, 3, seed=1, dtype=dtype)
    net.freeze(1) if name == "Adam" else None
    there = net.copy().to("cuda")
    rule, other = RULES[name](), fast.swap(RULES[name]())
    assert type(other) is fast.EQUIVALENT[type(rule)]
    for _ in range(4):
        g = rng.standard_normal(net.theta.size).astype(dtype)
        net.grad[...] = g
        there.grad[...] = put(g)
        rule.step(net)
        other.step(there)
        close(there.theta, net.theta, dtype, name)
    for mine, reference in zip(other.memory_of(there).moments, rule.memory_of(net).moments):
        close(mine, reference, dtype, name)


def test_a_rule_of_one_s_own_is_left_alone():
    class Mine(kd.SGD):
        pass

    assert type(fast.swap(Mine(0.1))) is Mine
    with pytest.raises(TypeError, match="a network, an objective or an optimiser"):
        fast.swap(3)


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}, {"layer_norm": True}, {"activation": kd.Tanh}])
def test_a_swapped_network_is_the_same_function_over_the_same_parameters(put, rng, options):
    net = kd.MLP(5, 8, 7, 3, seed=0, dtype="float64", **options).to("cuda")
    swapped = fast.swap(net)
    assert swapped.theta is net.theta
    assert sum(isinstance(layer, layers.LinearReLU) for layer in swapped.layers) == (
        2 if "activation" not in options and "layer_norm" not in options else 0
    )
    x, d = rng.standard_normal((6, 5)), {"h1": rng.standard_normal((6, 8)), "logits": rng.standard_normal((6, 3))}
    results = []
    for one in (net, swapped):
        sites, caches = one.forward(put(x), np.random.default_rng(0), taps=("h1", "h2", "logits"))
        dx = one.backward(caches, {tap: put(g) for tap, g in d.items()}, need_dx=True)
        one.backward(caches, {"logits": put(d["logits"])})
        results.append([*sites.values(), dx, one.grad])
    for a, b in zip(*results):
        close(b, to_numpy(a), "float64")


def test_frozen_layers_stay_frozen(put):
    net = kd.MLP(5, 8, 7, 3, seed=0).to("cuda")
    net.freeze(2)
    swapped = fast.swap(net)
    assert swapped.slices == net.slices


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
    again = kd.fit(fast.swap(there), fast.swap(objective), data.to("cuda"), optimizer=fast.swap(kd.Adam()), **settings)
    close(there.theta, net.theta, "float64")
    np.testing.assert_allclose(again["loss"], history["loss"], rtol=1e-12)
    assert list(again.records[0]["train"]) == list(history.records[0]["train"])


def test_no_copy_and_no_wait_inside_a_step(standin, rng):
    net = fast.swap(kd.MLP(5, 6, 3, seed=0).to("cuda"))
    batch = {n: to_device(a, "cuda") for n, a in {
        "x": rng.standard_normal((8, 5)).astype("float32"), "y": rng.integers(3, size=8),
        "teacher.logits": rng.standard_normal((8, 3)).astype("float32")}.items()}  # fmt: skip
    objective, rule = fast.swap(kd.CrossEntropy() + kd.SoftTargets(2)), fast.swap(kd.Adam())
    standin.host_copies = standin.syncs = 0
    kd.train_step(net, None, objective, batch, optimizer=rule)
    assert (standin.host_copies, standin.syncs) == (0, 0)


def test_on_the_cpu_it_says_where_it_runs(rng):
    with pytest.raises(TypeError, match=r"runs on a GPU; move networks and data with \.to\('cuda'\)"):
        losses.cross_entropy(rng.standard_normal((3, 4)), np.zeros(3, int))


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
    assert entries(out.read_text()) == {"hard_and_soft", "adam", "sgd", "bias_relu", "relu_backward"}


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
    assert entries(ptx.value.decode()) == {"hard_and_soft", "adam", "sgd", "bias_relu", "relu_backward"}


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
