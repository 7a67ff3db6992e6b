"""Saving and resuming: whole or not at all, and bit for bit as if never stopped."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import itertools
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import types
import unittest.mock
import zipfile

import numpy as np
import pytest
import scipy.stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from small import Trip

import kdlearn as kd
from kdlearn import checkpoint
from kdlearn.catalogue.recipes.parts import all_recipes
from kdlearn.description import describe, difference
from kdlearn.estimators import DistilledClassifier
from kdlearn.run import Run
from kdlearn.telling import remember


def network():
    net = kd.MLP(4, 6, 5, 3, dropout=0.2, layer_norm=True, activation=kd.Tanh, seed=3)
    net.freeze(2)
    return net


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


def test_a_network_comes_back_whole(path, rng):
    net = network()
    kd.save(path, net)
    back = kd.load(path)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    assert isinstance(back, kd.MLP) and back.sizes == net.sizes and back.slices == net.slices
    np.testing.assert_array_equal(back.theta, net.theta)
    np.testing.assert_array_equal(back.predict_proba(x), net.predict_proba(x))
    dice = np.random.default_rng(0), np.random.default_rng(0)
    np.testing.assert_array_equal(back.forward(x, dice[0])[0]["logits"], net.forward(x, dice[1])[0]["logits"])
    kd.fit(back, kd.CrossEntropy(), kd.Data({"x": x, "y": np.arange(5) % 3}), epochs=1, progress=False)
    assert not np.array_equal(back.theta, net.theta)


TOKENS = np.arange(10).reshape(5, 2)


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ([kd.Select([3, 1, 0]), kd.Linear(3, 3)], None),
        ([kd.ReLU(), kd.Select([3, 1]), kd.Linear(2, 3)], None),
        ([kd.Dropout(0.2), kd.Select([3, 1]), kd.LayerNorm(2)], None),
        ([kd.Select([3, 1, 0]), kd.Select([2, 0]), kd.Linear(2, 3)], None),
        ([kd.Linear(4, 3), kd.Select([2, 0]), kd.Linear(2, 3)], None),
        ([kd.Embedding(10, 2), kd.Select([3, 1]), kd.Linear(2, 3)], TOKENS),
        ([kd.Embedding(10, 2), kd.LayerNorm(4), kd.Select([3])], TOKENS),
        ([kd.Embedding(10, 2)], TOKENS),
        ([kd.Select([5, 0])], None),
        ([kd.Select([10**12]), kd.Linear(1, 2)], None),  # a row of such a width is not asked for
    ],
)
def test_a_network_that_selects_columns_comes_back(layers, x, path, rng):
    net = kd.Network(layers, {"logits": len(layers) - 1})
    kd.save(path, net)
    back = kd.load(path)
    assert repr(back.layers) == repr(net.layers)
    np.testing.assert_array_equal(back.theta, net.theta)
    if "1000000000000" not in repr(layers):
        x = rng.normal(size=(5, 6 if len(layers) == 1 else 4)) if x is None else x
        np.testing.assert_array_equal(back.logits(x), net.logits(x))


def test_widths_that_do_not_meet_behind_a_selection_are_found(path):
    layers = [kd.ReLU(), kd.Select([1, 0]), kd.Linear(2, 3)]
    kd.save(path, kd.Network(layers, {"logits": 2}))
    arrays, config = checkpoint.read(path)
    config["layers"][1][1]["columns"] = [0]
    checkpoint.write(path, arrays, config)
    with pytest.raises(kd.CheckpointError, match="takes rows of 2"):
        kd.load(path)


def test_a_device_that_there_is_not_is_no_fault_of_the_file(path):
    kd.save(path, network())
    with pytest.raises(ValueError, match="gpu") as said:
        kd.load(path, device="gpu")
    assert not isinstance(said.value, kd.CheckpointError) and "describe" not in str(said.value)


def test_weights_saved_on_a_device_load_on_the_host(path, standin):
    kd.save(path, network().to("cuda"))
    np.testing.assert_array_equal(kd.load(path).theta, network().theta)
    assert type(kd.load(path, "cuda").theta).__module__ == "cupy"


@pytest.mark.parametrize("layout", [np.transpose, lambda a: a[::-1], np.asfortranarray, lambda a: a.astype(np.float16)])
def test_any_array_round_trips(path, layout):
    a = layout(np.arange(12.0).reshape(3, 4))
    checkpoint.write(path, {"a": a, "empty": np.zeros((0, 3)), "scalar": np.array(2)}, {"k": [1, "ü"]})
    arrays, config = checkpoint.read(path)
    np.testing.assert_array_equal(arrays["a"], a)
    assert arrays["a"].dtype == a.dtype and arrays["empty"].shape == (0, 3) and config == {"k": [1, "ü"]}


def damaged(change):
    def make(path):
        kd.save(path, network())
        path.write_bytes(change(path.read_bytes()))

    return make


def flip(data):
    i = len(data) // 2
    return data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]


def rezipped(**members):
    def make(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name.replace("__", "/"), data)

    return make


def npy(a):
    import io

    out = io.BytesIO()
    np.save(out, a, allow_pickle=True)
    return out.getvalue()


def huge():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def other_version(path):
    meta = {"format_version": 99, "sha256": "", "config": "{}"}
    np.savez(path, kdlearn=np.frombuffer(json.dumps(meta).encode(), np.uint8))


BROKEN = {
    "empty": (damaged(lambda d: b""), "not a whole checkpoint"),
    "truncated": (damaged(lambda d: d[: len(d) // 2]), "not a whole checkpoint"),
    "a bit flipped": (damaged(flip), "not a whole checkpoint|damaged"),
    "not a zip": (lambda p: p.write_bytes(b"hello"), "not a whole checkpoint"),
    "a folder": (lambda p: p.mkdir(), "not a whole checkpoint"),
    "no kdlearn entry": (lambda p: np.savez(p, a=np.zeros(2)), "not a whole checkpoint"),
    "a pickle inside": (rezipped(**{"a.npy": npy(np.array([Bomb()], object))}), "nothing was executed"),
    "a trillion elements": (rezipped(**{"a.npy": huge()}), "claims 8000000000000 bytes, it holds 0$"),
    "a path that climbs out": (rezipped(**{"..__evil.npy": npy(np.zeros(2))}), "unexpected entry"),
    "another format version": (other_version, "format version 99, this kdlearn reads version 1"),
    "compressed": (lambda p: np.savez_compressed(p, a=np.zeros(9)), "compressed"),
    "other contents": (lambda p: checkpoint.write(p, {"b": np.zeros(2)}, {}), "lacks theta and has also b"),
    "no network": (lambda p: checkpoint.write(p, {"theta": np.zeros(2)}, {}), "does not describe a network"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(case, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, message = BROKEN[case]
    make(path)
    with pytest.raises(kd.CheckpointError, match=message):
        kd.load(path)
    assert not (tmp_path / "exploded").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.npz"]


def test_wrong_shapes_are_named(path):
    kd.save(path, network())
    arrays, config = checkpoint.read(path)
    for theta in (arrays["theta"][:-1], np.append(arrays["theta"], 0).astype("f"), arrays["theta"][:, None]):
        checkpoint.write(path, {"theta": theta}, config)
        with pytest.raises(kd.CheckpointError, match=r"its layers have \d+ parameters, it holds \(\d+,"):
            kd.load(path)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_files_never_load_as_something_else(tmp_path, data):
    path = tmp_path / "fuzz.npz"
    checkpoint.write(path, {"a": np.arange(6.0)}, {"n": 1})
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw))
    try:
        arrays, config = checkpoint.read(path)
    except kd.CheckpointError:
        return
    np.testing.assert_array_equal(arrays["a"], np.arange(6.0))
    assert config == {"n": 1}


def test_a_saved_file_has_the_permissions_of_any_other(path):
    kd.save(path, network())
    (path.parent / "other").touch()
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


def test_a_missing_file_is_just_missing(path):
    with pytest.raises(FileNotFoundError):
        kd.load(path)


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    kd.save(path, network())
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        kd.save(path, kd.MLP(2, 2))
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
    with pytest.raises(OSError):
        kd.save(path.parent / "absent" / "net.npz", network())


def test_what_cannot_be_saved_says_so(path):
    class Own(kd.ReLU):
        pass

    with pytest.raises(TypeError, match="Own is not a layer of kdlearn"):
        kd.save(path, kd.MLP(2, 3, 2, activation=Own))
    with pytest.raises(TypeError, match="Python objects"):
        checkpoint.write(path, {"a": np.array([{}], object)}, {})
    with pytest.raises(ValueError, match="array name"):
        checkpoint.write(path, {"a/b": np.zeros(1)}, {})


WRITER = """
import sys, numpy as np
from kdlearn import checkpoint
i = int(sys.argv[2])
print("ready", flush=True)
while True:
    checkpoint.write(sys.argv[1], {"a": np.full(200_000, i, np.float32)}, {"i": i})
    i += 1
"""


def test_killed_while_saving_leaves_a_whole_checkpoint(path):
    """A process that saves in a loop is killed ten times; the file is whole every time."""
    for i in range(10):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(1000 * i)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.02 + 0.01 * i)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if path.exists():
            arrays, config = checkpoint.read(path)
            assert (arrays["a"] == config["i"]).all()
    assert path.exists()


def test_two_writers_never_mix(path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(10**6 * k)], stdout=subprocess.PIPE)
        for k in (1, 2)
    ]
    for process in writers:
        process.stdout.readline()
    try:
        seen, until = set(), time.monotonic() + 30
        while len(seen) < 20 and time.monotonic() < until:
            if path.exists():
                arrays, config = checkpoint.read(path)
                assert (arrays["a"] == config["i"]).all()
                seen.add(config["i"])
        assert len(seen) == 20
    finally:
        for process in writers:
            process.kill()
            process.wait()


# ------------------------------------------------------------------ resuming


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    return kd.Data({"x": x, "y": (x @ rng.normal(size=(5, 3))).argmax(axis=1), "note": np.zeros(60)})


class Rewrite:
    """A hook that rewrites a column, as PS-KD does."""

    def after_epoch(self, run):
        run.data = run.data.with_columns({"note": run.data["note"] + run.epoch})


def train(path=None, hooks=(), **options):
    student = kd.MLP(5, 8, 3, dropout=0.3, seed=1)
    head = kd.MLP(8, 3, seed=4)
    objective = kd.CrossEntropy() + 0.5 * kd.Through(head, "student.h1", "student.e", kd.CrossEntropy("student.e"))
    objective = objective + 0.01 * kd.Term(
        lambda z, note: (z.sum() * 0 + note.sum(), 0 * z), ("student.logits",), ("note",)
    )
    settings = {"epochs": 6, "batch_size": 16, "schedule": kd.cosine, "progress": False, "seed": 3} | options
    hooks = [Rewrite(), kd.EarlyStopping(patience=20), *hooks]
    history = kd.fit(
        student, objective, rows(), optimizer=kd.Adam(1e-2), validation=rows(), hooks=hooks, checkpoint=path, **settings
    )
    return student.theta, head.theta, history


@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_a_resumed_run_equals_an_uninterrupted_one(at, path):
    theta, head, history = train()
    with pytest.raises(KeyboardInterrupt):
        train(path, [Trip(at)])
    resumed = train(path, resume=True)
    np.testing.assert_array_equal(resumed[0], theta)
    np.testing.assert_array_equal(resumed[1], head)
    without_time = [[{k: v for k, v in r.items() if k != "seconds"} for r in h.records] for h in (history, resumed[2])]
    assert without_time[0] == without_time[1]


def test_resuming_a_finished_run_changes_nothing(path):
    theta, _, _ = train(path)
    again, _, history = train(path, resume=True)
    np.testing.assert_array_equal(again, theta)
    assert len(history) == 6


def test_a_checkpoint_of_another_run_is_refused(path):
    train(path)
    with pytest.raises(kd.CheckpointError, match="is of another run: its seed was 3, here it is 4"):
        train(path, resume=True, seed=4)


def test_without_resume_the_file_is_begun_again(path):
    train(path)
    _, _, history = train(path)
    assert len(history) == 6


def test_a_killed_training_resumes(path, tmp_path):
    script = (
        "import sys; sys.path[:0] = sys.argv[1], sys.argv[1] + '/..'; import test_checkpoint as t\n"
        "import time\n"
        "class Slow:\n"
        "    def after_epoch(self, run): print(run.epoch, flush=True); time.sleep(0.2)\n"
        "t.train(sys.argv[2], [Slow()])\n"
    )
    here = os.path.dirname(__file__)
    process = subprocess.Popen([sys.executable, "-c", script, here, str(path)], stdout=subprocess.PIPE)
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()
    np.testing.assert_array_equal(train(path, resume=True)[0], train()[0])


def test_a_pickled_network_still_works_but_is_not_the_format():
    net = network()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).theta, net.theta)


# ---------------------------------------------------------------- what a hook changes, and what makes another run


class Stopped(Exception):
    """Raised in the middle of a training."""


class StopsAfter:
    """A hook without a state, so that it is not told."""

    def __init__(self, steps):
        self.left = steps

    def after_step(self, run):
        self.left -= 1
        if self.left < 0:
            raise Stopped


def _rows(shuffled=False):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 4)), rng.integers(0, 3, 24)
    return kd.Data({"x": x[rng.permutation(24)] if shuffled else x, "y": y})


def _halve(run):
    run.optimizer.lr *= 0.5


def _halve_dropout(run):
    run.students["student"].layers[2].rate *= 0.5


def _weigh(run):
    run.data = run.data.with_columns({"w, °C": run.data["w, °C"] * (1 + run.data.y)})


def _thaw(run):
    if run.epoch == 2:
        run.students["student"].freeze()


@pytest.mark.parametrize("hook, frozen", [(_halve, ()), (_thaw, (1,)), (_halve_dropout, ()), (_weigh, ())])
def test_what_a_hook_changed_goes_on_as_it_was(hook, frozen, tmp_path):
    def train(steps, resume, path):
        net = kd.MLP(4, 6, 3, seed=0, dropout=0.5)
        if frozen:
            net.freeze(*frozen)
        settings = {"optimizer": kd.Adam(0.05), "hooks": [hook, StopsAfter(steps)], "epochs": 5, "batch_size": 8}
        data = _rows().with_columns({"w, °C": np.ones(24)})
        with contextlib.suppress(Stopped):
            kd.fit(net, kd.CrossEntropy() * "w, °C", data, checkpoint=path, resume=resume, **settings)
        return net

    whole = train(99, False, tmp_path / "whole.npz")
    train(11, False, tmp_path / "part.npz")
    np.testing.assert_array_equal(train(99, True, tmp_path / "part.npz").theta, whole.theta)


class Weight:
    """A weight that is an object."""

    def __init__(self, value):
        self.value = value

    def __call__(self, progress):
        return self.value


class Powered:
    """An object whose method is a function of given sites."""

    def __init__(self, power):
        self.power = power

    def value(self, *z):
        return z[0] ** self.power


def _weighted(value):
    return kd.CrossEntropy() + Weight(value) * kd.SoftTargets(2)


def _scaled(c):
    return lambda epoch, rng: kd.Data({"x": c * _rows().x, "y": _rows().y})


@pytest.mark.parametrize(
    "first, then",
    [
        ({}, {"data": _rows(shuffled=True)}),
        ({"objective": _weighted(1.0)}, {"objective": _weighted(9.0)}),
        ({"data": _scaled(1.0)}, {"data": _scaled(3.0)}),
        ({}, {"validation": _rows()}),
    ],
    ids=["rows in another order", "an object as weight", "a data function", "validation rows"],
)
def test_another_run_does_not_go_on(first, then, tmp_path):
    common = {"objective": kd.CrossEntropy(), "data": _rows(), "teachers": kd.MLP(4, 3, seed=1), "batch_size": 8}

    def train(epochs, resume, own):
        kd.fit(kd.MLP(4, 6, 3), **{**common, **own}, epochs=epochs, checkpoint=tmp_path / "c.npz", resume=resume)

    with pytest.raises(Stopped):
        train(2, False, {**first, "hooks": [_stop_after_one]})
    with pytest.raises(kd.CheckpointError, match="of another run"):
        train(2, True, {**first, **then})
    train(2, True, first)


def _stop_after_one(run):
    if run.epoch == 2:
        raise Stopped


# ---------------------------------------------------------------- what a run is said to be


def _all_of(kind):
    return {kind} | {k for own in kind.__subclasses__() for k in _all_of(own) if k.__module__.startswith("kdlearn.")}


def _mean(*z):
    return sum(z) / len(z)


def _inner(T=2.0):
    return kd.SoftTargets(T, "q", "team")


def _adaptor(layer=None, **settings):
    return kd.Network([layer or kd.Tanh()], {"logits": 0}) if not settings else kd.MLP(4, 3, 4, **settings)


def _table(scale):
    table = scale * np.arange(6.0).reshape(2, 3)
    return lambda *z: table


PARTS = {  # each kind of objective: what makes one, and another value for each argument
    kd.Term: (
        {"loss": functools.partial(kd.soft_targets, T=2.0), "live": ("q",), "fixed": ("team",), "weight": 1.0},
        {
            "loss": [functools.partial(kd.soft_targets, T=3.0), kd.reverse_kl, kd.cross_entropy],
            "live": [("a.logits",)],
            "fixed": [("b.logits",)],
            "weight": [2.0, "w", (1.0, "w"), kd.cosine, Weight(2.0)],
        },
    ),
    kd.Sum: ({"parts": (_inner(), kd.CrossEntropy())}, {"parts": [(_inner(), kd.CrossEntropy("z")), (_inner(3.0),)]}),
    kd.Through: (
        {"net": _adaptor(), "sources": "a.logits", "target": "q", "inner": _inner() + kd.CrossEntropy("r")},
        {
            "net": [_adaptor(kd.ReLU()), _adaptor(kd.Select([1, 0])), _adaptor(seed=1)],
            "sources": ["a.h1", ("a.logits", "b.logits")],
            "target": ["r"],
            "inner": [_inner(3.0)],
            "ascend": [True],
        },
    ),
    kd.Given: (
        {
            "target": "team",
            "function": functools.partial(_mean),
            "sources": ("a.logits", "b.logits"),
            "inner": _inner() + kd.SoftTargets(2.0, "q", "other"),
        },
        {
            "target": ["other"],
            "function": [
                max,
                *map(_table, (1.0, 2.0)),
                *map(Weight, (1.0, 2.0)),
                *(Powered(power).value for power in (1.0, 2.0)),
                *(functools.partial(_mean, c * np.ones(3)) for c in (1.0, 2.0)),
                *map(kd.distill.unlabelled.Centre, (0.5, 0.9)),
            ],
            "sources": [("a.logits", "c.logits"), ("b.logits", "a.logits")],
            "inner": [_inner(3.0)],
        },
    ),
}
ADAPTORS = {  # of adaptors the layers, their settings and what is frozen
    "activation": (_adaptor(seed=1), _adaptor(seed=1, activation=kd.Tanh)),
    "eps": tuple(kd.Network([kd.LayerNorm(4, eps=eps)], {"logits": 0}) for eps in (1e-5, 0.1)),
    "columns": (_adaptor(kd.Select([0, 1])), _adaptor(kd.Select([1, 0]))),
    "weights that nothing trains": tuple(kd.frozen(kd.MLP(4, 4, seed=seed)) for seed in (1, 2)),
    "frozen": (kd.MLP(4, 4), kd.frozen(kd.MLP(4, 4))),
}


def _described(objective, **teachers):
    return describe(Run({}, teachers, objective, kd.Adam()), {})


def test_an_objective_is_described_with_all_that_its_parts_hold():
    """It went on with other sources, columns, activations and the other sign: a part's fields were a list by hand."""
    assert set(PARTS) == _all_of(kd.Objective) - {kd.Objective}, "a new part needs a line here"
    for kind, (made, others) in PARTS.items():
        assert set(others) == {field.name for field in dataclasses.fields(kind)}, kind
        told = [_described(kind(**made))]
        assert _described(kind(**copy.deepcopy(made))) == told[0]
        for name, values in others.items():
            for value in values:
                now = _described(kind(**made | {name: value}))
                assert now not in told, (kind, name, value)
                told.append(now)


@pytest.mark.parametrize("what", ADAPTORS)
def test_an_adaptor_is_described_with_its_layers(what):
    first, other = (kd.Through(net, "student.logits", "q", kd.CrossEntropy("q")) for net in ADAPTORS[what])
    assert _described(first) != _described(other)
    assert _described(first) == _described(copy.deepcopy(first))


@pytest.mark.parametrize("name", sorted(all_recipes()))
def test_a_recipe_made_anew_is_the_same_run(name):
    first, again = all_recipes()[name](), all_recipes()[name]()
    assert _described(first.objective, **first.teachers) == _described(again.objective, **again.teachers)


def test_a_teacher_with_the_same_weights_and_another_activation_is_another():
    teachers = [kd.MLP(4, 6, 3, seed=1, activation=a) for a in (kd.ReLU, kd.Tanh)]
    teachers[1].theta[...] = teachers[0].theta
    told = [_described(kd.SoftTargets(), teacher=teacher)["teachers"] for teacher in teachers]
    assert told[0] != told[1]


def test_another_objective_is_refused_in_a_word_where_it_differs(path):
    def run(ascend, **more):
        goal = kd.Through(kd.MLP(3, 3), "student.logits", "q", kd.CrossEntropy("q"), ascend)
        kd.fit(kd.MLP(4, 3), goal, _rows(), epochs=1, checkpoint=path, **more)

    run(False)
    run(False, resume=True)
    with pytest.raises(kd.CheckpointError, match="its objective was False, here it is True at ascend;"):
        run(True, resume=True)


def test_a_run_that_was_described_in_other_words_is_refused(path):
    """Files of before said less of an objective: another may have been trained."""
    run = functools.partial(kd.fit, kd.MLP(4, 3), kd.CrossEntropy(), _rows(), epochs=1, checkpoint=path)
    run()
    arrays, config = checkpoint.read(path)
    del config["run"]["description"]
    checkpoint.write(path, arrays, config)
    with pytest.raises(kd.CheckpointError, match=r"another version of kdlearn.*train anew without resume=True"):
        run(resume=True)


@pytest.mark.parametrize(
    "name, told", [("", "'' is empty"), ("folder", "folder' is a folder"), (".", "'.' is a folder")]
)
def test_a_checkpoint_that_is_a_folder_is_refused_before_the_first_step(name, told, tmp_path):
    """A whole epoch was trained, and then there was an error with the name of a temporary file."""
    (tmp_path / "folder").mkdir()
    net = kd.MLP(4, 3)
    before = net.theta.copy()
    with pytest.raises(ValueError, match=f"^checkpoint=.*{told}; give the name of a file"):
        kd.fit(net, kd.CrossEntropy(), _rows(), checkpoint=tmp_path / name if name == "folder" else name, epochs=1)
    np.testing.assert_array_equal(net.theta, before)


@pytest.mark.parametrize(
    "write", [lambda to: kd.save(to, kd.MLP(4, 3)), lambda to: kd.soft_labels(kd.MLP(4, 3), ENOUGH, out=to)]
)
def test_a_folder_in_the_place_of_a_file_is_told(write, tmp_path):
    with pytest.raises(IsADirectoryError, match=r"this is a folder; give the name of a file: '.*\d'$"):
        write(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^give the name of a file to write; it is empty"):
        write("")
    assert not list(tmp_path.parent.glob("*.tmp"))


def test_values_keep_their_order_when_a_run_goes_on(path):
    """They came back sorted, the loss no longer first."""
    run = functools.partial(kd.fit, kd.MLP(4, 3), kd.CrossEntropy(), _rows(), epochs=1, checkpoint=path)
    first = list(run().records[0]["train"])
    assert list(run(resume=True).records[0]["train"]) == first != sorted(first)


# ------------------------------------------------------------------ rows and functions that are others

ENOUGH = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
SAID = np.random.default_rng(4).normal(size=(300, 3)).astype(np.float32)
FACTOR = 2.0


def many(x=ENOUGH, y=None, z=SAID, w=None):
    y, w = (np.arange(300) % 3 if y is None else y), (np.ones(300, np.float32) if w is None else w)
    return kd.Data({"x": x, "y": y, "w": w, "teacher.logits": z})


def changed(a, at, value):
    a = a.copy()
    a[at] = value
    return a


def by_module(progress):
    return FACTOR * progress


def resumed(path, first, other, objective=None, between=lambda: None):
    """The run of `first` ends after an epoch; that of `other` goes on from its file."""
    settings = {"epochs": 2, "batch_size": 100, "checkpoint": path, "progress": False}
    objective = objective or kd.CrossEntropy() * "w" + kd.SoftTargets()
    with pytest.raises(KeyboardInterrupt):
        kd.fit(kd.MLP(4, 5, 3), objective, first, hooks=[Ends()], **settings)
    between()
    return kd.fit(kd.MLP(4, 5, 3), objective, other, resume=True, **settings)


class Ends:
    def after_step(self, run):
        if run.epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "change",
    [
        {"x": ENOUGH[:, ::-1]},
        {"x": ENOUGH * np.float32(1.001)},
        {"x": changed(ENOUGH, (171, 2), 3.0)},
        {"x": changed(ENOUGH, [5, 9], ENOUGH[[9, 5]])},
        {"z": SAID[:, [1, 0, 2]]},
        {"y": changed(np.arange(300) % 3, 171, 1)},
        {"w": changed(np.ones(300, np.float32), 171, 50.0)},
    ],
    ids=["columns", "scale", "a cell", "two rows", "a teacher's classes", "a label", "a weight"],
)
def test_a_run_does_not_go_on_with_rows_a_little_different(change, path):
    """64 of the rows were compared, their columns in any order."""
    with pytest.raises(kd.CheckpointError, match=r"of another run: its rows was"):
        resumed(path, many(), many(**change))


@pytest.mark.parametrize("change", [{}, {"z": np.nextafter(SAID, np.float32(9))}])
def test_a_run_goes_on_with_rows_that_are_the_same_to_rounding(change, path):
    assert len(resumed(path, many(), many(**change))) == 2


@pytest.mark.parametrize("make", [kd.same_class, lambda data: lambda epoch, rng: data], ids=["same class", "held"])
def test_data_that_a_function_holds_are_compared(make, path):
    with pytest.raises(kd.CheckpointError, match="of another run: its data function"):
        resumed(path, make(many()), make(many(x=2 * ENOUGH)), kd.CrossEntropy())
    assert len(resumed(path, make(many()), make(many()), kd.CrossEntropy())) == 2


def test_a_number_at_the_top_of_the_script_is_compared(path, monkeypatch):
    objective = kd.CrossEntropy() + kd.SoftTargets() * by_module
    assert len(resumed(path, many(), many(), objective)) == 2
    path.unlink()
    with pytest.raises(kd.CheckpointError, match=r"objective was 2.0, here it is 3.0 at .*FACTOR"):
        resumed(path, many(), many(), objective, lambda: monkeypatch.setitem(globals(), "FACTOR", 3.0))


# ------------------------------------------------------------------ what functions and hooks hold


class Holds:
    def __init__(self, value):
        self.value = value

    def rows(self, epoch, rng):
        return self.value


class Slots:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Decay:
    """A hook of one's own, whose setting moves the rate."""

    def __init__(self, factor):
        self.factor = factor

    def after_epoch(self, run):
        run.optimizer.lr *= self.factor

    def state(self):
        return {}, {}

    def restore(self, values, arrays):
        pass


def _script(source, **values):
    """The function f of a script, which reads these values at its top."""
    space = {"__name__": "__main__", **values}
    exec(source, space)
    return space["f"]


def _lambda_with(held):
    return lambda epoch, rng: held


def _default(held):
    def rows(epoch, rng, own=held):
        return own

    rows.__qualname__ = "rows"  # as at the top of a module
    return rows


WAYS = {  # how a function holds something
    "enclosed": _lambda_with,
    "a default": _default,
    "of its object": lambda held: Holds(held).rows,
    "called": Weight,
    "in slots": lambda held: _lambda_with(Slots(held)),
    "partial": lambda held: functools.partial(_mean, held),
    "read": lambda held: _script("f = lambda epoch, rng: held", held=held),
    "read in a comprehension": lambda held: _script("def f(e, rng): return [held for _ in range(2)]", held=held),
    "read by what it calls": lambda held: _script("def g(): return held\ndef f(e, rng): return g()", held=held),
}
THINGS = {
    "a number": float,
    "a list": lambda v: [0.0, v, 1.0],
    "a long list": lambda v: [0.0] * 200 + [v],
    "a mapping": lambda v: {"noise": v},
    "texts": lambda v: frozenset({"a", str(v)}),
    "bytes": lambda v: str(v).encode(),
    "a namespace": lambda v: types.SimpleNamespace(noise=v),
    "arrays": lambda v: [v * np.ones(3)],
    "a mask": lambda v: np.arange(5) == v,
    "texts in an array": lambda v: np.array(["a", v], object),
    "dates": lambda v: np.array([v], "datetime64[D]"),
    "data": lambda v: [many(x=v * ENOUGH)],
    "dice": np.random.default_rng,
    "a network": lambda v: kd.MLP(4, 3, seed=v),
    "networks": lambda v: {"team": [kd.MLP(4, 3, seed=v)]},
    "answers of a network": lambda v: kd.MLP(4, 3, seed=v).logits,
    "nothing yet, and a number": lambda v: Holds([np.zeros(0), v]),
}
FITTED = {
    "a student": lambda v: DistilledClassifier(max_iter=2, random_state=v).fit(ENOUGH, np.arange(300) % 3),
    "a search": lambda v: GridSearchCV(GaussianNB(), {"var_smoothing": [v]}, cv=2).fit(ENOUGH, np.arange(300) % 3),
    "a forest": lambda v: RandomForestClassifier(3, random_state=v).fit(ENOUGH, np.arange(300) % 3),
}
MADE = {
    "a generator of texts": lambda v: kd.distill.sequence.generated(
        kd.distill.sequence.character_model(5, 3, 4, 8, seed=v), np.zeros((6, 3), np.int64), 8
    ),
    "a weight": lambda v: kd.CrossEntropy() * _default(v),
    "given": lambda v: kd.Given("t", _lambda_with(kd.MLP(4, 3, seed=v)), ("x",), kd.SoftTargets(2.0, "q", "t")),
}


def _told(thing, **students):
    return describe(Run(students, {}, kd.CrossEntropy(), kd.Adam()), {"step": thing})


@pytest.mark.parametrize("way, thing", [*itertools.product(WAYS, THINGS), *(("enclosed", fitted) for fitted in FITTED)])
def test_a_function_is_told_with_all_that_it_holds(way, thing):
    """A list by hand left out networks, masks, mappings, defaults, what a comprehension reads ..."""
    first, again, other = (_told(WAYS[way]((THINGS | FITTED)[thing](v))) for v in (1, 1, 2))
    assert difference(first, again) is None and difference(first, other) is not None


@pytest.mark.parametrize(
    "source",
    [
        "f = lambda epoch, rng: args.noise * epoch",
        "def f(epoch, rng): return [args.noise for _ in range(epoch)]",
        "def make(args):\n  def f(epoch, rng): return args.noise + 1\n  return f\nf = make(args)",
    ],
)
@pytest.mark.parametrize("kind", [types.SimpleNamespace, types.ModuleType, type], ids=lambda kind: kind.__name__)
def test_of_settings_those_that_are_read_are_told(kind, source):
    """Another setting may change, such as --resume itself."""

    def told(noise, resume):
        args = kind("Args", (), {}) if kind is type else kind(*["args"] * (kind is types.ModuleType))
        args.noise, args.resume = noise, resume
        return _told(_script(source, args=args))

    assert difference(told(1, False), told(1, True)) is None
    assert difference(told(1, False), told(2, False)) is not None


def test_a_frame_that_a_function_holds_is_told():
    pd = pytest.importorskip("pandas")
    for kind in (pd.DataFrame, lambda columns, index: pd.DataFrame(columns, index)["b"]):
        first, again, other, index = (
            _told(_lambda_with(kind({"a": [1.0, 2.0], "b": ["x", text]}, index=[3, i])))
            for text, i in [("x", 4), ("x", 4), ("y", 4), ("x", 5)]
        )
        assert difference(first, again) is None and difference(first, other) and difference(first, index)


def test_a_network_that_is_trained_is_told_without_its_weights():
    """They are in the file; those of its copy are not."""
    net = kd.MLP(4, 3)
    other = net.copy()
    before, copied = (_told(_lambda_with(held), student=net)["step"] for held in (net, other))
    for each in (net, other):
        each.theta += 1
    after, moved = (_told(_lambda_with(held), student=net)["step"] for held in (net, other))
    assert after == before and moved != copied and "student" in str(before)


@pytest.mark.parametrize(
    "make, first, other",
    [
        (kd.EarlyStopping, "loss", "accuracy"),
        (Decay, 0.9, 0.8),
        (lambda every: kd.StalePeers("a", "b", every=every), 1, 2),
    ],
)
def test_hooks_with_a_state_and_those_of_the_package_are_told_with_their_settings(make, first, other):
    def told(setting):
        run = Run({}, {}, kd.CrossEntropy(), kd.Adam())
        run.hooks = [make(setting)]
        return describe(run, {})

    assert told(first) == told(first) != told(other)


def test_a_function_may_enclose_modules_and_what_cannot_be_told(path):
    """NumPy has a `dtype` and a `shape`, as arrays have: fit ended in a TypeError."""
    lock, module, itself = threading.Lock(), np, []
    itself.append(itself)

    def step(*arrays, **settings):
        return kd.train_step(*arrays, **settings) if lock and itself else None

    for resume in (False, True):
        kd.fit(
            kd.MLP(4, 3), kd.CrossEntropy(), many(), epochs=1, checkpoint=path, resume=resume, step=step,
            schedule=lambda t: float(module.cos(t)), progress=False,
        )  # fmt: skip


SMALL = np.column_stack([2e4 * ENOUGH[:, 0], ENOUGH[:, 1]])  # beside a large column


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ~(SAID > 0)},
        {"x": np.column_stack([SMALL[:, 0], np.roll(SMALL[:, 1], 5)])},
        {"x": SMALL * [1, 0]},
    ],
    ids=["a mask", "a small column, moved", "a small column, empty"],
)
def test_columns_are_compared_each_by_its_own_size(change, path):
    """Columns of booleans were not compared at all, and floats by the size of the largest."""
    first = {"labels": SAID > 0, "x": SMALL}
    run = functools.partial(kd.fit, objective=kd.BinaryCrossEntropy(), epochs=1, checkpoint=path, progress=False)
    run(kd.MLP(2, 3), data=kd.Data(first))
    run(kd.MLP(2, 3), data=kd.Data({**first, "labels": first["labels"].astype(np.int8)}), resume=True)
    with pytest.raises(kd.CheckpointError, match=f"its rows was .* at {next(iter(change))}"):
        run(kd.MLP(2, 3), data=kd.Data(first | change), resume=True)


def test_many_columns_are_compared_in_groups(path):
    wide = np.random.default_rng(0).normal(size=(20, 3000)).astype(np.float32)
    run = functools.partial(kd.fit, objective=kd.CrossEntropy(), epochs=1, checkpoint=path, progress=False)

    def data(x):
        return kd.Data({"x": x, "y": np.arange(20) % 3})

    run(kd.MLP(3000, 3), data=data(wide))
    run(kd.MLP(3000, 3), data=data(np.nextafter(wide, np.float32(9))), resume=True)
    for other in (changed(wide, (3, 1500), 2.0), wide[:, ::-1], changed(wide, [3, 4], wide[[4, 3]])):
        with pytest.raises(kd.CheckpointError, match=r"its rows was .* at x, column"):
            run(kd.MLP(3000, 3), data=data(other), resume=True)


# ------------------------------------------------------------------ ways to hold a value that were not seen


def _capped(least):
    def decorate(schedule):
        @functools.wraps(schedule)
        def capped(progress):
            return max(least, schedule(progress))

        return capped

    return decorate


def _scaled(factor):
    def decorate(loss):
        @functools.wraps(loss)
        def scaled(*arrays):
            return factor * loss(*arrays)

        return scaled

    return decorate


def _module(**values):
    made = types.ModuleType("made")
    vars(made).update(values)
    return made


def _class_with(value):
    class Settings:
        level = value

        def __call__(self, progress):
            return self.at(progress)

        def at(self, progress):
            return self.level * progress

    return Settings


HIDDEN = {
    "wraps": lambda v: _capped(v)(kd.cosine),
    "lru_cache": lambda v: functools.lru_cache(_lambda_with(v)),
    "of a class": lambda v: _class_with(v)(),
    "of a class, by a method": lambda v: _class_with(v)().at,
    "read by a method": lambda v: _script("class S:\n  def __call__(self, p): return v * p\nf = S()", v=v),
    "read by another method": lambda v: _script(
        "class S:\n  def f(self, p): return self.g() * p\n  def g(self): return v\nf = S().f", v=v
    ),
    "an attribute's name": lambda v: _script(f"f = lambda p: np.{['', 'tanh', 'sinh'][v]}(p)", np=np),
    "a text of a lambda": lambda v: _script(f"f = lambda p: getattr(p, {'ab'[v - 1]!r})"),
    "a constant tuple": lambda v: _script(f"f = lambda p: sum((p, {v}))"),
    "the order of a mapping": lambda v: _script(
        "def f(p): return [*M.items()]", M=dict([(1, 2), (3, 4)][:: 3 - 2 * v])
    ),
    "the order of names": lambda v: _script("def f(p): return [*M]", M=dict([("a", 2), ("b", 4)][:: 3 - 2 * v])),
    "keys that look alike": lambda v: _lambda_with({1: v, "1": 0}),
    "networks as keys": lambda v: _script("def f(p): return M.items()", M={kd.MLP(4, 3, seed=v): 1, kd.MLP(4, 3): 1}),
    "functions as keys": lambda v: _lambda_with({kd.cosine: v, max: 1}),
    "a method of a list": lambda v: _lambda_with([v].index),
    "NumPy's functions": lambda v: _lambda_with([np.sin, [np.cos, np.tan][v - 1]]),
    "a method of a class": lambda v: _script(
        "class S:\n  K = v\n  @classmethod\n  def f(cls): return cls.K\nf = S.f", v=v
    ),
    "in a class of a module": lambda v: _script("def f(): return m.S.K", m=_module(S=type("S", (), {"K": v}))),
    "in a module of a package": lambda v: _script("def f(): return m.inner.K", m=_module(inner=_module(K=v))),
    "read by a loss over rows": lambda v: kd.mean_over_rows(_script("def f(z, t): return v * z, z", v=v)),
    "decorated, over rows": lambda v: kd.mean_over_rows(_scaled(v)(_script("def f(z, t): return z, z"))),
    "a pattern": lambda v: _lambda_with(re.compile(f"a{v}")),
    "a masked array": lambda v: _lambda_with(np.ma.masked_array([1.0, 2.0, 3.0], [0, v - 1, 1])),
    "a column far from zero": lambda v: _lambda_with(1.7e9 + np.arange(60.0)[:: 3 - 2 * v]),
    "a distribution": lambda v: _lambda_with([scipy.stats.norm(0, v), np.random.rand, os.environ]),
}


@pytest.mark.parametrize("what", MADE | HIDDEN)
def test_values_in_other_places_are_told(what):
    first, again, other = (_told((MADE | HIDDEN)[what](v)) for v in (1, 1, 2))
    assert difference(first, again) is None and difference(first, other) is not None


def test_a_tensor_is_told_by_its_numbers():
    """What PyTorch pickles of one is another in each process."""
    torch = pytest.importorskip("torch")

    def linear(v):
        made = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(made.weight, v)
        torch.nn.init.zeros_(made.bias)
        return made

    for make in (linear, lambda v: torch.full((3,), float(v)), lambda v: torch.full((3,), v, requires_grad=False)):
        first, again, other = (_told(_lambda_with([make(v)])) for v in (1, 1, 2))
        assert (
            difference(first, again) is None
            and difference(first, other) is not None
            and "TypedStorage" not in str(first)
        )


class Dotted(dict):
    __getattr__ = dict.__getitem__


class Anything:
    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "thing",
    [Dotted(k=1, sub=Dotted(z=1)), Anything(), unittest.mock.Mock(), unittest.mock.MagicMock()],
    ids=["dotted", "anything", "a mock", "another"],
)
def test_an_object_with_every_attribute_is_told(thing):
    assert difference(_told(_lambda_with(thing)), _told(_lambda_with(thing))) is None


def test_a_picture_is_told_and_ends():
    """Its parts know one another in many ways; told along each of them, they had no end."""
    plt = pytest.importorskip("matplotlib.pyplot")
    figure, ax = plt.subplots()
    assert _told(_lambda_with(ax))["step"]
    plt.close(figure)


def test_a_hook_of_ones_own_is_not_told_with_what_it_saves():
    @dataclasses.dataclass
    class Counts:
        every: int = 2
        n: int = 0

        def after_epoch(self, run):
            self.n += 1

        def state(self):
            return {"n": self.n}, {}

        def restore(self, values, arrays):
            self.n = values["n"]

    def told(hook, again=False):
        run = Run({}, {}, kd.CrossEntropy(), kd.Adam())
        run.hooks = [hook]
        if again:
            remember(run.hooks)
        return describe(run, {})["hooks"]

    first = told(Counts(2, 0))
    assert difference(first, told(Counts(2, 7), again=True)) is None  # the same, after an interrupt
    for other in (told(Counts(3, 7), again=True), told(Counts(3, 0)), told(Counts(2, 7))):
        assert difference(first, other) is not None


@dataclasses.dataclass
class SavesAll:
    """A hook whose state is all that it holds."""

    factor: float

    def after_epoch(self, run):
        run.optimizer.lr *= self.factor

    def state(self):
        return vars(self), {}

    def restore(self, values, arrays):
        vars(self).update(values)


class Patient(kd.EarlyStopping):
    def __init__(self, least=0, **settings):
        super().__init__(**settings)
        self.least = least


@pytest.mark.parametrize("hook, other", [(SavesAll(0.5), SavesAll(0.9)), (Patient(patience=9), Patient(patience=1))])
def test_another_argument_of_a_hook_is_another_run(hook, other, tmp_path):
    """Where the state named it, or a base class took it, the first run's was used without a word."""

    def train(own, **more):
        settings = {"epochs": 3, "batch_size": 8, "checkpoint": tmp_path / "c.npz", "progress": False}
        kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), _rows(), validation=_rows(), hooks=[own, *more], **settings)

    def go_on(own):
        settings = {"epochs": 3, "batch_size": 8, "checkpoint": tmp_path / "c.npz", "progress": False}
        kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), _rows(), validation=_rows(), hooks=[own], resume=True, **settings)

    train(hook)
    with pytest.raises(kd.CheckpointError, match="of another run: its hooks was"):
        go_on(other)
    go_on(hook)


class TakesAll:
    def __init__(self, **settings):
        vars(self).update(settings)

    after_epoch, state, restore = Decay.after_epoch, Decay.state, Decay.restore


@pytest.mark.parametrize(
    "make",
    [Decay, lambda held: TakesAll(factor=held), lambda held: Decay([{"in": held}])],
    ids=["argument", "keywords", "deeper"],
)
@pytest.mark.parametrize(
    "first, other",
    [
        (np.arange(3.0), np.arange(3.0)[::-1]),
        (np.arange(3), np.array([0, 2, 2])),
        (0.9, 0.5),
        (kd.MLP(2, 3, seed=0), kd.MLP(2, 3, seed=1)),
    ],
    ids=["floats", "integers", "number", "network"],
)
def test_what_a_hook_with_a_state_is_given_is_told(make, first, other):
    """Arrays were told by their shape, networks without weights, keywords of a mapping not at all."""

    def told(hook):
        run = Run({}, {}, kd.CrossEntropy(), kd.Adam())
        run.hooks = [hook]
        return describe(run, {})

    assert difference(told(make(first)), told(make(copy.deepcopy(first)))) is None
    assert difference(told(make(first)), told(make(other))) is not None


@dataclasses.dataclass
class Seen:
    """Its state comes back with tuples as tuples and NumPy's numbers as such, or the rate is another."""

    factor: np.float32 = dataclasses.field(default_factory=lambda: np.float32(0.9))
    seen: list = dataclasses.field(default_factory=list)

    def after_epoch(self, run):
        self.factor = self.factor * 0.9
        run.optimizer.lr = float(self.factor) * (0.01 if (run.epoch % 2, 0) in self.seen else 0.02)
        self.seen.append((run.epoch % 2, 0))

    def state(self):
        return vars(self), {"[all] of/them": np.arange(3)}

    def restore(self, values, arrays):
        vars(self).update(values)
        assert arrays["[all] of/them"].tolist() == [0, 1, 2]


def _fewer(run):
    run.data = run.data.take(slice(0, len(run.data) - 3))


def _shared(run):
    run.data = _rows().take(slice(0, 12))


@pytest.mark.parametrize(
    "net", [lambda: kd.MLP(4, 3, seed=0), lambda: kd.Stack([kd.MLP(4, 3, seed=i) for i in (0, 1)])]
)
@pytest.mark.parametrize("hook", [Seen, lambda: _fewer, lambda: _shared], ids=["a state", "fewer rows", "other rows"])
def test_a_hook_with_any_state_and_rows_goes_on(hook, net, tmp_path):
    def train(steps, resume, path):
        student = net()
        settings = {"optimizer": kd.Adam(0.05), "hooks": [hook(), StopsAfter(steps)], "epochs": 5, "batch_size": 12}
        with contextlib.suppress(Stopped):
            kd.fit(student, kd.CrossEntropy(), _rows(), checkpoint=path, resume=resume, **settings)
        return student

    whole = train(99, False, tmp_path / "whole.npz")
    train(5, False, tmp_path / "part.npz")
    assert (tmp_path / "part.npz").exists()
    np.testing.assert_array_equal(train(99, True, tmp_path / "part.npz").theta, whole.theta)


def test_columns_that_no_hook_replaced_are_not_in_the_file(tmp_path):
    def weigh(run):
        run.data = run.data.with_columns({"w": np.full(24, run.epoch)})

    data = _rows().with_columns({"w": np.ones(24)})
    kd.fit(kd.MLP(4, 3), kd.CrossEntropy() * "w", data, hooks=[weigh], epochs=3, checkpoint=tmp_path / "c.npz")
    arrays, config = checkpoint.read(tmp_path / "c.npz")
    assert config["columns"] == ["w"] and [name for name in arrays if name.startswith("column")] == ["column:0"]


@pytest.mark.parametrize("kind", [list, dict, str, float, np.ndarray])
def test_an_attribute_of_a_list_or_a_number_is_told(kind):
    def made(temperature):
        thing = type("Own", (kind,), {})(*([(2,)] if kind is np.ndarray else []))
        if kind is np.ndarray:
            thing[...] = 0
        thing.temperature = temperature
        return thing

    assert difference(_told(_lambda_with(made(1))), _told(_lambda_with(made(1)))) is None
    assert difference(_told(_lambda_with(made(1))), _told(_lambda_with(made(2)))) is not None


def test_a_mapping_that_is_its_own_attributes_is_told():
    class Settings(dict):
        def __init__(self, **values):
            super().__init__(**values)
            self.__dict__, self.parent = self, [self]

    assert difference(_told(_lambda_with(Settings(a=1))), _told(_lambda_with(Settings(a=1)))) is None
    assert difference(_told(_lambda_with(Settings(a=1))), _told(_lambda_with(Settings(a=2)))) is not None


def test_one_is_not_true():
    assert difference(_told(_lambda_with(1)), _told(_lambda_with(True))) is not None
    assert difference(_told(_lambda_with(1)), _told(_lambda_with(1.0))) is None


def _networks_of_torch():
    torch = pytest.importorskip("torch")

    def linear(factor):
        torch.manual_seed(0)
        net = torch.nn.Linear(4, 3)
        net.weight.data.mul_(factor)
        return net.eval()

    def hooked(factor):
        net = linear(factor)
        net.register_forward_hook(print)
        return net

    return {
        "bfloat16": lambda f: linear(f).bfloat16(),
        "weight norm": lambda f: torch.nn.utils.parametrizations.weight_norm(linear(f)),
        "script": lambda f: torch.jit.script(linear(f)),
        "sparse": lambda f: linear(f).weight.detach().to_sparse(),
        "with a hook": hooked,
    }


@pytest.mark.parametrize("kind", ["bfloat16", "weight norm", "script", "sparse", "with a hook"])
def test_any_network_of_torch_is_told_with_its_weights(kind):
    make = _networks_of_torch()[kind]
    assert difference(_told(_lambda_with(make(1))), _told(_lambda_with(make(1)))) is None
    assert difference(_told(_lambda_with(make(1))), _told(_lambda_with(make(10)))) is not None


def test_an_attribute_of_a_function_is_told():
    def scaled(factor):
        def rows(epoch, rng):
            return rows.factor

        rows.factor = factor
        return rows

    assert difference(_told(scaled(1.0)), _told(scaled(1.0))) is None
    assert difference(_told(scaled(1.0)), _told(scaled(2.0))) is not None


@pytest.mark.parametrize("offset", [0.0, 1e6, 1.7e9])
@pytest.mark.parametrize("change", [lambda t: t + 0.01, lambda t: 1.01 * (t - t[0]) + t[0], lambda t: t[::-1]])
def test_a_column_far_from_zero_is_compared_by_its_spread(offset, change):
    first = offset + np.arange(60.0)
    told = [_told(_lambda_with(t)) for t in (first, np.nextafter(first, np.inf), change(first))]
    assert difference(told[0], told[1]) is None and difference(told[0], told[2]) is not None


def test_networks_and_arrays_of_a_hook_with_a_state_may_move():
    """It saves them itself; the same hook, taken again after an interrupt, is the same."""

    class Holding(Decay):
        def __init__(self, net, sums):
            self.net, self.sums = net, sums

    run = Run({}, {}, kd.CrossEntropy(), kd.Adam())
    run.hooks = [Holding(kd.MLP(4, 3), np.zeros(3))]
    before = describe(run, {})
    remember(run.hooks)
    run.hooks[0].net.theta += 1
    run.hooks[0].sums += 1
    assert difference(before, describe(run, {})) is None
    run.hooks = [copy.copy(run.hooks[0])]  # another one holds others
    assert difference(before, describe(run, {})) is not None
