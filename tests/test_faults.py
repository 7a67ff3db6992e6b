"""Faults of the machine: disks that fill up, processes that are killed, files that others wrote or damaged."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import checkpoint, files, study
from kdlearn.data import sets

# A limit on the size of files: what is beyond is taken in part, and then refused, as on a full disk.
FULL = """
import json, os, resource, sys
import numpy as np
import kdlearn as kd
from kdlearn import checkpoint, study
from kdlearn.data import sets
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
path = sys.argv[1]
try:
    {code}
except OSError as error:
    print(json.dumps([error.errno, error.filename, sorted(os.listdir(os.path.dirname(path)))]))
"""


def on_a_full_disk(path, code, limit):
    script = FULL.format(limit=limit, code=code)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


WRITERS = {
    "soft_labels": "kd.data.soft_labels(kd.MLP(3, 10), np.zeros((9000, 3), np.float32), out=path)",
    "save": "kd.save(path, kd.MLP(300, 300))",
    "checkpoint.write": "checkpoint.write(path, {'a': np.zeros(90000)}, {})",
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("old", [False, True])
def test_a_full_disk_names_the_file_and_leaves_what_was_there(writer, old, tmp_path):
    path = tmp_path / "kept.bin"
    if old:
        path.write_bytes(b"what was there")
    errno, name, there = on_a_full_disk(path, WRITERS[writer], 100_000)
    assert errno in (27, 28) and name == str(path) and there == ["kept.bin"] * old
    assert not old or path.read_bytes() == b"what was there"


def test_the_cache_on_a_full_disk_is_no_fault_and_leaves_nothing(tmp_path, monkeypatch):
    code = "print(len(sets.cached('a.npz', lambda: {'x': np.random.default_rng(0).normal(size=90000)})['x']))"
    script = FULL.format(limit=100_000, code=code)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "KDLEARN_DATA": ""}
    done = subprocess.run([sys.executable, "-c", script, "x"], capture_output=True, text=True, env=environment)
    assert done.stdout == "90000\n", done.stderr
    assert list((tmp_path / "kdlearn").iterdir()) == []


def test_a_store_on_a_full_disk_keeps_what_it_holds(tmp_path):
    """The write that crosses the limit is short; the result is neither lost silently nor half believed."""
    path = tmp_path / "rows.jsonl"
    code = "study.sweep(lambda i: 'x' * 100, [{'i': i} for i in range(50)], jobs=1, store=path)"
    errno, name, _ = on_a_full_disk(path, code, 1000)
    assert errno in (27, 28) and name == str(path) and path.stat().st_size == 1000
    whole = path.read_bytes().splitlines()[:-1]
    assert len(study.cells._stored(path)) == len(whole) >= 3
    ran = subprocess.run(
        [sys.executable, "-c", FULL.format(limit=10**6, code=code), str(path)], capture_output=True, text=True
    )
    assert ran.returncode == 0 and len(study.cells._stored(path)) == 50, ran.stderr


def test_a_short_write_goes_on(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(study.cells.os, "write", lambda handle, data: write(handle, data[:7]))
    study.sweep(tenfold, [{"i": i} for i in range(5)], jobs=1, store=tmp_path / "s")
    assert sorted(study.cells._stored(tmp_path / "s").values()) == [0, 10, 20, 30, 40]


def tenfold(i):
    return 10 * i


FOREIGN = [b"\xff\xfe", b"[" * 100_000, b'{"key": [], "result": 1}', b"[1]", b"7", b'{"key": "a"}', b"\x00", b"{}", b""]


@pytest.mark.parametrize("line", FOREIGN, ids=lambda b: repr(b[:20]))
def test_foreign_lines_in_a_store_are_passed_over(line, tmp_path):
    cells = [{"i": i} for i in range(4)]
    study.sweep(tenfold, cells[:3], jobs=1, store=tmp_path / "s")
    first, *rest = (tmp_path / "s").read_bytes().splitlines(keepends=True)
    (tmp_path / "s").write_bytes(line + b"\n" + first + line + b"\n" + b"".join(rest) + line)
    assert study.sweep(tenfold, cells, jobs=1, store=tmp_path / "s") == [0, 10, 20, 30]
    assert len(study.cells._stored(tmp_path / "s")) == 4


# ------------------------------------------------------------------ whose result is it?


def make(factor, offset=0):
    def run(i):
        return factor * i + offset

    return run


class Times:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, i):
        return self.factor * i

    def method(self, i):
        return self.factor * i


def edited(code):
    """A function of one name in one module, as it is before and after an edit."""
    made = {"__name__": "edited"}
    exec(f"def run(i):\n    return {code}", made)
    return made["run"]


def times(factor, i):
    return factor * i


TEXTS = [frozenset(map(str, range(start, start + 9))) for start in (0, 1)]
PAIRS = {
    "enclosed sets": (make(TEXTS[0]), make(TEXTS[1])),
    "sets in a list of defaults": (make(2, [{"a": TEXTS[0]}]), make(2, [{"a": TEXTS[1]}])),
    "sets of sets": (functools.partial(times, {TEXTS[0]}), functools.partial(times, {TEXTS[1]})),
    "lambdas": (lambda i: 2 * i, lambda i: 3 * i),
    "constants": (edited("2 * i"), edited("3 * i")),
    "operations": (edited("2 * i"), edited("2 + i")),
    "a nested function": (edited("(lambda: 2)() * i"), edited("(lambda: 3)() * i")),
    "what is enclosed": (make(2), make(3)),
    "an enclosed array": (make(np.ones(2)), make(np.zeros(2))),
    "an enclosed function": (functools.partial(make(2)), functools.partial(make(2, 1))),
    "positional arguments": (functools.partial(times, 2), functools.partial(times, 3)),
    "keywords that are functions": (functools.partial(times, factor=make(1)), functools.partial(times, factor=make(2))),
    "methods": (Times(2).method, Times(3).method),
    "callable objects": (Times(2), Times(3)),
    "defaults": (edited("i"), lambda i, d=[1]: i),
}


@pytest.mark.parametrize("what", PAIRS)
def test_two_functions_do_not_share_their_cells(what):
    one, other = PAIRS[what]
    assert study.cell_key(one, {"i": 1}) != study.cell_key(other, {"i": 1})
    assert study.cell_key(one, {"i": 1}) == study.cell_key(one, {"i": 1})


def test_a_class_that_was_set_anew_has_other_cells(monkeypatch):
    before = study.cell_key(make(Times), {"i": 1})
    assert before == study.cell_key(make(Times), {"i": 1})
    monkeypatch.setattr(Times, "unit", 2.0, raising=False)
    assert study.cell_key(make(Times), {"i": 1}) != before


def test_equal_functions_share_their_cells():
    for one, other in ((make(2), make(2)), (Times(2), Times(2)), (edited("2 * i"), edited("2 * i"))):
        assert study.cell_key(one, {"i": 1}) == study.cell_key(other, {"i": 1})
    nested = functools.partial(functools.partial(times, 2), i=1)
    assert study.cell_key(nested, {}) == study.cell_key(functools.partial(times, 2), {"i": 1})


def test_the_key_is_the_same_in_another_process():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_faults as t\n"
    code += "print([t.study.cell_key(f, {'i': 1}) for name in sorted(t.PAIRS) for f in t.PAIRS[name]])"
    keys = set()
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        keys.add(done.stdout)
    assert len(keys) == 1


def test_a_function_that_cannot_be_told_from_others_is_refused(tmp_path):
    with open(__file__) as file:
        run = make(file)
        with pytest.raises(TypeError, match="run holds a TextIOWrapper, which cannot be hashed"):
            study.sweep(run, [{"i": 1}], jobs=1, store=tmp_path / "s")
    assert study.sweep(make(2), [{"i": 1}, {"i": 2}], jobs=1) == [2, 4]


def pair(i):
    return {"a": (i, [i, (i,)]), "b": None}


def test_results_are_the_same_before_and_after_a_resume(tmp_path):
    first = study.sweep(pair, [{"i": 1}], jobs=1, store=tmp_path / "s")
    again = study.sweep(pair, [{"i": 1}], jobs=1, store=tmp_path / "s")
    assert repr(first) == repr(again) == "[{'a': [1, [1, [1]]], 'b': None}]"
    with pytest.raises(TypeError, match=r"JSON cannot hold the cell {'i': 2}"):
        study.sweep(lambda i: object(), [{"i": 2}], jobs=1, store=tmp_path / "s")


# ------------------------------------------------------------------ ends with its parent

PARENT = """
import os, sys, time
from kdlearn.study import sweep
def run(i, folder):
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(60)
sweep(run, [{"i": i, "folder": sys.argv[1]} for i in range(4)], jobs=2)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(how, tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    workers = [int(p.name) for p in tmp_path.iterdir()]
    try:
        assert len(workers) == 2 and all(map(alive, workers))
    finally:
        parent.send_signal(how)
        parent.wait()
    until = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.1)
    left = [pid for pid in workers if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


# ------------------------------------------------------------------ damaged and hostile files


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A network's file with a member over 8 kB: longer than what a reader takes at a time."""
    path, net = tmp_path_factory.mktemp("large") / "net.npz", kd.MLP(40, 60, 10, seed=0)
    kd.save(path, net)
    return path, path.read_bytes(), net.theta


def test_a_flipped_bit_is_found_wherever_it_is(large, tmp_path, rng):
    _, raw, theta = large
    assert theta.nbytes > 8192
    ends = [*range(0, 400, 2), *range(len(raw) - 400, len(raw), 2)]  # headers, and what zip keeps at the end
    for at in [*ends, *rng.integers(0, len(raw), 150).tolist()]:
        data = bytearray(raw)
        data[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "net.npz").write_bytes(data)
        try:
            found = kd.load(tmp_path / "net.npz").theta
        except kd.CheckpointError:
            continue
        np.testing.assert_array_equal(found, theta)


def test_a_mutated_header_is_found(large, tmp_path, rng):
    _, raw, theta = large
    header = raw.index(b"\x93NUMPY")
    for _ in range(300):
        data = bytearray(raw)
        for _ in range(int(rng.integers(1, 4))):
            data[header + int(rng.integers(0, 128))] = int(rng.integers(0, 256))
        (tmp_path / "net.npz").write_bytes(data)
        try:
            np.testing.assert_array_equal(kd.load(tmp_path / "net.npz").theta, theta)
        except kd.CheckpointError:
            continue


def described(path, theta=None, **changed):
    """A whole file, its SHA-256 right, that says something else of a network."""
    net = kd.MLP(3, 4, 2)
    kd.save(path, net)
    _, config = checkpoint.read(path)
    checkpoint.write(path, {"theta": net.theta if theta is None else theta}, {**config, **changed})


LINEAR = [["Linear", {"n_in": 3, "n_out": 4}], ["ReLU", {}], ["Linear", {"n_in": 4, "n_out": 2}]]
WRONG = {
    "a huge network": {"layers": [["Linear", {"n_in": 20_000, "n_out": 50_000}]]},
    "a huger network": {"layers": [["Linear", {"n_in": 10**30, "n_out": 10**30}]]},
    "widths that are negative": {"layers": [["Linear", {"n_in": -2, "n_out": -14}]], "taps": {"logits": 0}},
    "widths that do not meet": {
        "layers": [LINEAR[0], ["Linear", {"n_in": 1, "n_out": 5}], ["Dropout", {"rate": 0}]],
        "sizes": [3, 4, 5],
    },
    "widths that are texts": {"layers": [["Linear", {"n_in": "3", "n_out": "4"}], *LINEAR[1:]]},
    "widths that are fractions": {"layers": [["Linear", {"n_in": 3.0, "n_out": 4.0}], *LINEAR[1:]]},
    "other sizes": {"sizes": [3, 5, 2]},
    "sizes of text": {"sizes": "342"},
    "no sizes": {"sizes": None},
    "a layer that there is not": {"layers": [*LINEAR, ["Attention", {}]]},
    "a class that is no layer": {"layers": [*LINEAR, ["Mapping", {}]]},
    "layers of None": {"layers": None},
    "a layer without settings": {"layers": [["Linear"], *LINEAR[1:]]},
    "a setting that there is not": {"layers": [*LINEAR[:2], ["Linear", {"n_in": 4, "n_out": 2, "rng": 1}]]},
    "a rate of text": {"layers": [*LINEAR, ["Dropout", {"rate": "0"}]]},
    "a rate of NaN": {"layers": [*LINEAR, ["Dropout", {"rate": float("nan")}]]},
    "an eps of text": {"layers": [*LINEAR, ["LayerNorm", {"width": 2, "eps": "x"}]], "theta": np.zeros(30, "f")},
    "an eps of NaN": {
        "layers": [*LINEAR, ["LayerNorm", {"width": 2, "eps": float("nan")}]],
        "theta": np.zeros(30, "f"),
    },
    "a negative eps": {"layers": [*LINEAR, ["LayerNorm", {"width": 2, "eps": -1.0}]], "theta": np.zeros(30, "f")},
    "a tap beyond the layers": {"taps": {"logits": 9}},
    "a tap that is a fraction": {"taps": {"logits": 1.5}},
    "a tap that is negative": {"taps": {"logits": -1}},
    "no logits": {"taps": {"h1": 1}},
    "taps of a list": {"taps": ["logits"]},
    "frozen beyond the layers": {"frozen": [7]},
    "frozen of text": {"frozen": "ab"},
    "frozen of nothing": {"frozen": None},
    "weights of text": {"theta": np.array(["x"] * 26)},
    "weights of NaN": {"theta": np.full(26, np.nan, "f")},
    "weights of infinity": {"theta": np.full(26, np.inf, "f")},
    "complex weights": {"theta": np.zeros(26, complex)},
    "whole weights": {"theta": np.zeros(26, np.int64)},
    "half weights": {"theta": np.zeros(26, np.float16)},
    "two-dimensional weights": {"theta": np.zeros((2, 13), "f")},
    "another kind of network": {"network": "Forest"},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_describes_no_network_is_refused_at_once(what, tmp_path):
    described(tmp_path / "net.npz", **WRONG[what])
    tracemalloc.start()
    try:
        with pytest.raises(kd.CheckpointError, match=r"net\.npz"):
            kd.load(tmp_path / "net.npz")
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


DEEP = {"[" * 50_000 + "]" * 50_000: "RecursionError", "7": "no table", "[]": "no table", "nul": "JSONDecodeError"}


@pytest.mark.parametrize("text", DEEP, ids=DEEP.get)
def test_a_configuration_that_is_none(text, tmp_path):
    path = tmp_path / "c.npz"
    meta = {"format_version": 1, "sha256": checkpoint._digest({}, text), "config": text}
    np.savez(path, kdlearn=np.frombuffer(json.dumps(meta).encode(), np.uint8))
    with pytest.raises(kd.CheckpointError, match=DEEP[text]):
        checkpoint.read(path)


def resumed(path, **changed):
    """A run that goes on from a file, some of whose entries another program has changed; what became of it."""
    data = kd.Data({"x": np.eye(4, dtype=np.float32), "y": np.arange(4) % 2})

    def train(net, **more):
        return kd.fit(net, kd.CrossEntropy(), data, epochs=2, progress=False, checkpoint=path,
                      hooks=[kd.EarlyStopping("loss")], validation=data, **more)  # fmt: skip

    train(kd.MLP(4, 3, 2))
    arrays, config = checkpoint.read(path)
    config = {name: value for name, value in {**config, **changed}.items() if value != "absent"}
    checkpoint.write(path, arrays, config)
    net = kd.MLP(4, 3, 2)
    before = net.theta.copy()
    with pytest.raises(kd.CheckpointError, match=r"c\.npz"):
        train(net, resume=True)
    return net.theta, before


ENTRIES = ("epoch", "stop", "steps", "dice", "records", "diverged", "hooks")


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("value", ["absent", "x", {"9": 1}, {"0": -1}, -1], ids=repr)
def test_a_run_that_lacks_an_entry_changes_nothing(entry, value, tmp_path):
    np.testing.assert_array_equal(*resumed(tmp_path / "c.npz", **{entry: value}))


# ------------------------------------------------------------------ what is left lying about


def test_what_killed_writers_left_is_cleaned_away(tmp_path):
    path = tmp_path / "labels[1].npy"
    old, young = tmp_path / f"{path.name}.abc.tmp", tmp_path / f"{path.name}.def.tmp"
    other = tmp_path / "labels1.npy.abc.tmp"  # of another file, though the name is a pattern
    for left in (old, young, other):
        left.write_bytes(b"x")
    for left in (old, other):
        os.utime(left, (time.time() - files.ABANDONED - 60,) * 2)
    kd.data.soft_labels(kd.MLP(3, 2), np.zeros((5, 3), np.float32), out=path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, young.name, other.name])


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    class Teacher:
        def logits(self, x):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kd.data.soft_labels(Teacher(), np.zeros((5, 3)), out=tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_says_what_to_do(tmp_path, monkeypatch, large):
    monkeypatch.setenv("KDLEARN_DATA", str(tmp_path))
    for at in range(0, 400, 3):
        raw = bytearray(large[1])
        raw[at] ^= 255
        (tmp_path / "a.npz").write_bytes(raw)
        try:
            sets.cached("a.npz", dict)
        except kd.DataUnavailable as error:
            assert "delete it to make it again" in str(error)


# ------------------------------------------------------------------ memory


def peak(work):
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_inference_goes_through_in_pieces():
    """A float64 input of 32 MB is never copied whole, and hidden layers are not kept."""
    x, net = np.zeros((40_000, 100)), kd.MLP(100, 50, 4)
    data = kd.Data({"x": np.zeros((40_000, 100), np.float32), "y": np.zeros(40_000, int)})
    assert peak(lambda: net.logits(x)) < 4e6
    assert peak(lambda: net.predict(x)) < 4e6
    assert peak(lambda: kd.evaluate(net, kd.CrossEntropy(), data)) < 4e6


def test_answers_that_are_not_kept_need_no_memory():
    x, teacher = np.zeros((20_000, 10)), kd.MLP(10, 1000)
    assert peak(lambda: kd.data.soft_labels(teacher, x, top=3, batch_size=256)) < 12e6  # all of them are 80 MB
    whole = kd.data.soft_labels(teacher, x[:1000], top=3)
    for a, b in zip(whole, kd.data.soft_labels(teacher, x[:1000], top=3, batch_size=77)):
        np.testing.assert_allclose(a, b, rtol=1e-5)


# ------------------------------------------------------------------ of another run, or never to be read


def held_below():
    net = kd.MLP(2, 5, 3)
    net.freeze(1)
    return net


OTHERS = {
    "layers": {"student": kd.MLP(2, 5, 3, activation=kd.Tanh)},
    "frozen layers": {"student": held_below()},
    "dropout": {"student": kd.MLP(2, 5, 3, dropout=0.5)},
    "teachers": {"teachers": kd.MLP(2, 5, 3, seed=9)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_run_goes_on_only_with_its_own_networks(what, tmp_path, rng):
    """Their sizes are the same: the weights went into a network with other layers, or met another teacher."""
    data = kd.Data({"x": rng.normal(size=(8, 2)), "y": np.arange(8) % 3})

    def run(student=None, teachers=None, **more):
        teachers = teachers or kd.MLP(2, 5, 3, seed=3)
        objective = kd.CrossEntropy() + kd.SoftTargets()
        student = student or kd.MLP(2, 5, 3)
        settings = {"epochs": 2, "checkpoint": tmp_path / "run.npz", "progress": False, **more}
        return kd.fit(student, objective, data, teachers=teachers, **settings)

    first = run()
    assert run(resume=True)["loss"] == first["loss"]
    with pytest.raises(kd.CheckpointError, match=r"is of another run: its (networks|teachers)"):
        run(resume=True, **OTHERS[what])
    with pytest.raises(kd.CheckpointError, match="holds a run of fit, no network"):
        kd.load(tmp_path / "run.npz")


def test_nothing_is_resumed_without_a_file(rng):
    data = kd.Data({"x": rng.normal(size=(8, 2)), "y": np.arange(8) % 3})
    with pytest.raises(ValueError, match="resume=True needs checkpoint="):
        kd.fit(kd.MLP(2, 3), kd.CrossEntropy(), data, epochs=1, resume=True)


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    """A stack was written as a file that `load` refuses, and so was lost."""
    net = kd.MLP(2, 3)
    with pytest.raises(TypeError, match="member by member"):
        kd.save(tmp_path / "stack.npz", kd.Stack([net, net]))
    net.theta[0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        kd.save(tmp_path / "net.npz", net)
    assert os.listdir(tmp_path) == []
