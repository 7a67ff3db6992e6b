"""Columns, batches, the data sets, and what a teacher of any kind answers."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import data as kdata
from kdlearn.data import columns as columns_module
from kdlearn.data.sets import cached


def columns(n=10):
    return kd.Data({"x": np.arange(2.0 * n, dtype=np.float32).reshape(n, 2), "y": np.arange(n) % 3})


def test_columns_have_one_length_and_an_index():
    rows = columns()
    assert len(rows) == 10 and "index" in rows and rows["index"].tolist() == list(range(10))
    with pytest.raises(ValueError, match=r"one length, got {'x': 2, 'y': 3}"):
        kd.Data({"x": np.zeros((2, 1)), "y": np.zeros(3, int)})
    with pytest.raises(ValueError, match="at least one column"):
        kd.Data({})
    with pytest.raises(KeyError, match="no column 'z'; there are: x, y, index"):
        rows["z"]


@pytest.mark.parametrize("gather", [1, 100, 1 << 20])
def test_a_shuffled_epoch_holds_every_row_once_and_keeps_rows_together(gather, monkeypatch):
    monkeypatch.setattr(columns_module, "GATHER_BYTES", gather)
    rows = columns(23)
    batches = list(rows.batches(5, np.random.default_rng(0)))
    assert [len(b["x"]) for b in batches] == [5, 5, 5, 5, 3]
    order = np.concatenate([b["index"] for b in batches])
    assert sorted(order) == list(range(23)) and list(order) != list(range(23))
    for b in batches:
        np.testing.assert_array_equal(b["x"], rows.x[b["index"]])
        np.testing.assert_array_equal(b["y"], rows.y[b["index"]])


def test_the_order_does_not_depend_on_how_rows_are_gathered(monkeypatch):
    orders = []
    for gather in (1, 1 << 20):
        monkeypatch.setattr(columns_module, "GATHER_BYTES", gather)
        orders.append([b["index"].tolist() for b in columns(23).batches(5, np.random.default_rng(0))])
    assert orders[0] == orders[1]


def test_without_dice_the_order_is_kept():
    assert np.concatenate([b["index"] for b in columns().batches(4)]).tolist() == list(range(10))


def test_take_keeps_the_index():
    assert columns().take([7, 2])["index"].tolist() == [7, 2]
    assert len(columns().take(columns().y == 0)) == 4


def test_digits_are_split_and_standardised():
    train, validation, test = kd.data.digits(seed=3)
    assert (len(train), len(validation), len(test)) == (1097, 200, 500)
    assert train.x.dtype == np.float32 and train.x.shape[1] == 64
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-5)
    deviations = train.x.std(axis=0)
    assert np.all((abs(deviations - 1) < 1e-3) | (deviations == 0))
    rows = np.concatenate([part["row"] for part in (train, validation, test)])
    assert sorted(rows) == list(range(1797))
    assert kd.data.digits(seed=3).test["row"].tolist() == test["row"].tolist()
    assert kd.data.digits(seed=4).test["row"].tolist() != test["row"].tolist()


@pytest.mark.parametrize("make, width, classes", [(kdata.blobs, 2, 3), (kdata.moons, 2, 2), (kdata.spirals, 2, 3)])
def test_sets_in_the_plane(make, width, classes):
    train, _, test = make(n=90, seed=1)
    assert len(train) == 90 and len(test) == 2000 and train.x.shape == (90, width)
    assert set(train.y.tolist()) == set(range(classes))
    teacher = kd.MLP(width, 64, 64, classes, seed=0)
    kd.fit(teacher, kd.CrossEntropy(), train, optimizer=kd.Adam(1e-2), epochs=100, progress=False)
    assert kd.metrics.accuracy(teacher.logits(test.x), test.y) > 0.8


def test_mnist1d_is_generated_without_touching_the_global_generator(monkeypatch, tmp_path):
    pytest.importorskip("mnist1d")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    (train, _, test), unlabelled = kd.data.mnist1d()
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert train.x.shape == (4000, 40) and test.x.shape == (10_000, 40) and unlabelled.shape == (8000, 40)
    again = kd.data.mnist1d()[0].train
    np.testing.assert_array_equal(again.x, train.x)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_images(name, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    try:
        train, validation, test = getattr(kd.data, name)(validation=5000)
    except kd.DataUnavailable as reason:
        pytest.skip(str(reason))
    assert (len(train), len(validation), len(test)) == (55_000, 5000, 10_000)
    assert abs(float(train.x.mean())) < 1e-3 and abs(float(train.x.std()) - 1) < 1e-3


def test_images_that_are_absent_broken_or_other_say_so(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    monkeypatch.setenv("KDLEARN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(kd.DataUnavailable, match="KDLEARN_DATA"):
        kd.data.mnist()
    (tmp_path / "mnist.npz").write_bytes(b"no archive")
    with pytest.raises(kd.DataUnavailable, match="cannot be read"):
        kd.data.mnist()
    shapes = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}
    np.savez(tmp_path / "mnist.npz", **{k: np.zeros(s, np.uint8) for k, s in shapes.items()})
    with pytest.raises(kd.DataUnavailable, match="its pixels differ"):
        kd.data.mnist()


def test_a_fetch_is_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KDLEARN_DATA", raising=False)
    made = cached("a.npz", lambda: {"a": np.arange(3)})
    assert cached("a.npz", lambda: 1 / 0)["a"].tolist() == made["a"].tolist()
    assert [p.name for p in (tmp_path / "kdlearn").iterdir()] == ["a.npz"]


def test_soft_labels_of_any_teacher():
    from sklearn.ensemble import RandomForestClassifier

    train, _, test = kd.data.blobs(n=200)
    forest = RandomForestClassifier(20, random_state=0).fit(train.x, train.y)
    z = kd.soft_labels(forest, test.x)
    np.testing.assert_allclose(kd.softmax(z), forest.predict_proba(test.x), atol=1e-6)
    assert np.isneginf(z).any()  # a forest often says exactly 0
    taught = train.with_soft_labels(forest, name="forest")
    student = kd.MLP(2, 8, 3)
    history = kd.fit(student, kd.SoftTargets(2, teacher="forest.logits"), taught, epochs=2, progress=False)
    assert np.isfinite(history["loss"]).all()
    net = kd.MLP(2, 3)
    np.testing.assert_array_equal(kd.soft_labels(net, test.x), net.logits(test.x))


def test_teachers_that_will_not_do():
    with pytest.raises(TypeError, match="needs `logits` or `predict_proba`, object has neither"):
        kd.soft_labels(object(), np.zeros((2, 2)))

    class Odd:
        classes_ = np.array([1, 3])

        def predict_proba(self, x):
            return np.full((len(x), 2), 0.5)

    with pytest.raises(ValueError, match=r"classes must be 0 … 1, one column each; got \[.*1.*3.*\]"):
        kd.soft_labels(Odd(), np.zeros((2, 2)))


def test_split_needs_training_rows():
    with pytest.raises(ValueError, match="must leave training rows"):
        kdata.split(np.zeros((5, 1)), np.zeros(5, int), 3, 2)
    with pytest.raises(ValueError, match="scale"):
        kdata.split(np.zeros((5, 1)), np.zeros(5, int), 1, 1, scale="none")


def test_to_a_device_and_back(backend):
    rows = columns().to(backend.device)
    order = [kd.to_numpy(b["index"]).tolist() for b in rows.batches(4, np.random.default_rng(0))]
    assert order == [b["index"].tolist() for b in columns().batches(4, np.random.default_rng(0))]
    np.testing.assert_array_equal(rows.to("cpu").x, columns().x)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_soft_labels_stream_into_a_file(dtype, tmp_path, rng):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(1000, 5))
    x[:] = rng.normal(size=x.shape)
    x.flush()
    before = (tmp_path / "x.npy").read_bytes()
    teacher = kd.MLP(5, 8, 3)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    column = kd.soft_labels(teacher, x, out=tmp_path / "z.npy", dtype=dtype, batch_size=64)
    assert isinstance(column, np.memmap) and column.dtype == dtype
    np.testing.assert_allclose(column, teacher.logits(np.asarray(x)), rtol=2e-3 if dtype == "float16" else 1e-5)
    rows = kd.Data(
        {"x": x, "y": rng.integers(0, 3, 1000), "teacher.logits": np.load(tmp_path / "z.npy", mmap_mode="r")}
    )
    history = kd.fit(kd.MLP(5, 4, 3), kd.CrossEntropy() + kd.SoftTargets(), rows, epochs=2, progress=False)
    assert history["loss"][1] < history["loss"][0]
    assert (tmp_path / "x.npy").read_bytes() == before


def test_streamed_soft_labels_do_not_hold_the_set_in_memory(tmp_path):
    """80 MB of inputs are labelled with a growth of the process far below that."""
    import subprocess
    import sys

    script = """
import resource, sys
import numpy as np, kdlearn as kd
x = np.lib.format.open_memmap(sys.argv[1] + "/x.npy", mode="w+", dtype=np.float32, shape=(200_000, 100))
del x
teacher = kd.MLP(100, 8, 3)
teacher.logits(np.zeros((4096, 100), np.float32))
grown = []
class Counted:  # hands out batches and lets go of the pages it has read
    def __len__(self): return 200_000
    def __getitem__(self, rows): return np.array(np.load(sys.argv[1] + "/x.npy", mmap_mode="r")[rows])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kd.soft_labels(teacher, Counted(), out=sys.argv[1] + "/z.npy")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40


@pytest.mark.parametrize("validation", [1.5, "a", -1, 60_000])
def test_the_validation_rows_of_mnist_are_a_number(validation):
    with pytest.raises(ValueError, match=f"validation must be a number of rows, 0 to 59,999, got {validation!r}"):
        kd.data.sets.mnist(validation=validation)
