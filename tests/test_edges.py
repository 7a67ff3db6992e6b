"""Edges that only a changed sign, bound or index would show: found by mutating the code at random."""

from __future__ import annotations

import json
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import checkpoint
from kdlearn.data import labelling, sets


def rows(n=12, width=3):
    rng = np.random.default_rng(0)
    return kd.Data({"x": rng.normal(size=(n, width)).astype(np.float32), "y": rng.integers(0, 3, n)})


# ------------------------------------------------------------------ data


def test_mnist1d_is_split_and_scaled_by_its_training_rows(monkeypatch, tmp_path, rng):
    """With a generator of the package's shape; the package itself is tried where it is installed."""
    x, y = 3 + 2 * rng.normal(size=(24_000, 40)), rng.integers(0, 10, 24_000)
    state = np.random.get_state()[1].copy()

    def make(args):
        assert (args.num_samples, args.seed, args.train_split) == (24_000, 42, 1.0)
        np.random.seed(args.seed)
        return {"x": x, "y": y}

    module = SimpleNamespace(get_dataset_args=SimpleNamespace, make_dataset=make)
    monkeypatch.setitem(sys.modules, "mnist1d", SimpleNamespace(data=module))
    monkeypatch.setitem(sys.modules, "mnist1d.data", module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KDLEARN_DATA", raising=False)
    splits, more = sets.mnist1d()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # NumPy's own generator is left alone
    mean, deviation = x[:4000].mean(axis=0), x[:4000].std(axis=0)
    ends = (0, 4000, 6000, 16_000, 24_000)
    for part, a, b in zip((*(s.x for s in splits), more), ends, ends[1:]):
        np.testing.assert_allclose(part, (x[a:b] - mean) / deviation, rtol=1e-4, atol=1e-5)
    for part, a, b in zip(splits, ends, ends[1:]):
        np.testing.assert_array_equal(part.y, y[a:b])
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    np.testing.assert_array_equal(sets.mnist1d()[1], more)  # from the cache, without the package
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with pytest.raises(kd.DataUnavailable, match=r"pip install 'kdlearn\[mnist1d\]'"):
        sets.mnist1d()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_fetched_images_are_the_canonical_ones_or_refused(name, monkeypatch):
    asked = []

    def fetch(openml, **settings):
        asked.append(openml)
        return np.zeros((70_000, 784), np.uint8), np.zeros(70_000, np.uint8)

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    monkeypatch.setattr(sets, "cached", lambda filename, make: make())
    with pytest.raises(kd.DataUnavailable, match=f"{name}.npz does not hold the canonical {name}"):
        getattr(sets, name)()
    assert asked == [{"mnist": "mnist_784", "fashion_mnist": "Fashion-MNIST"}[name]]


def test_images_of_another_shape_are_refused(monkeypatch):
    few = {k: np.zeros((9, *shape[1:]), np.uint8) for k, shape in sets._IMAGE_SHAPES.items()}
    monkeypatch.setattr(sets, "cached", lambda filename, make: few)
    with pytest.raises(kd.DataUnavailable, match=r"x_train of shape \(60000, 28, 28\)"):
        sets.mnist()
    for held in (-1, 60_000):
        with pytest.raises(ValueError, match="0 to 59,999 rows"):
            sets.mnist(held)


def test_data_and_history_say_what_they_hold():
    assert repr(rows()) == "Data(12 rows: x (3,), y, index)"
    history = kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(), epochs=2, progress=False)
    assert re.fullmatch(r"History\(2 epochs, training loss \d\.\d+\)", repr(history))
    assert repr(kd.History()) == "History(0 epochs)"


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_top_answers_of_few_rows_in_batches_of_one(n):
    x, teacher = np.ones((n, 3), np.float32), kd.MLP(3, 4)
    top, z = labelling.soft_labels(teacher, x, top=2, batch_size=1)
    assert top.shape == (n, 2) and z.shape == (n, 3)


# ------------------------------------------------------------------ training


def test_a_column_that_is_not_finite_is_refused_whatever_its_name():
    for bad in (np.nan, np.inf):
        data = rows().with_columns({"note": np.full(12, bad)})
        with pytest.raises(ValueError, match="column 'note' has values that are not finite"):
            kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), data, epochs=1, progress=False)


def test_features_of_other_dimensions_say_how_to_reshape():
    for shape, hint in (((12,), r"x\.reshape\(-1, 1\)"), ((12, 3, 1), r"x\.reshape\(len\(x\), -1\)")):
        data = kd.Data({"x": np.zeros(shape), "y": np.zeros(12, int)})
        with pytest.raises(ValueError, match=hint):
            kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), data, epochs=1, progress=False)


def test_seconds_are_seconds():
    began = time.perf_counter()
    history = kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(), epochs=20, progress=False)
    assert 0 < sum(r["seconds"] for r in history.records) < time.perf_counter() - began
    assert [r["epoch"] for r in history.records] == list(range(1, 21))


def test_what_is_frozen_and_what_only_asks_for_the_input_keep_their_gradients():
    net, x = kd.MLP(3, 4, 3), rows().x
    net.freeze(1)
    net.grad[:] = 7
    first = [net.layers[0].dW, net.layers[0].db]
    net.input_gradient(x, lambda z: (0.0, np.ones_like(z)))
    assert (net.grad == 7).all() and not net.written
    for _ in range(2):
        _, caches = net.forward(x)
        net.backward(caches, {"logits": np.ones((12, 3), np.float32)}, need_dx=True)
        assert all((a == 7).all() for a in first) and not (net.layers[2].dW == 7).any()


@pytest.mark.parametrize("m", [-0.1, 1, 1.5])
def test_a_moving_average_looks_back(m):
    with pytest.raises(ValueError, match=r"m lies in \[0, 1\)"):
        kd.MovingAverage(m)


def test_a_moving_average_begins_as_the_plain_mean():
    student, seen = kd.MLP(3, 3, seed=1), []
    teacher = student.copy()
    after = SimpleNamespace(after_step=lambda run: seen.append(student.theta.copy()))
    kd.fit(
        student, kd.CrossEntropy(), rows(), teachers=teacher, hooks=[kd.MovingAverage(0.9), after], epochs=2,
        batch_size=4, progress=False, optimizer=kd.SGD(0.5),
    )  # fmt: skip
    np.testing.assert_allclose(teacher.theta, np.mean(seen, axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_stale_peers_are_refreshed_every_so_many_epochs(every):
    peers, written = {n: kd.MLP(3, 3, seed=i) for i, n in enumerate("ab")}, []
    stale = kd.StalePeers("a", "b", every=every)
    objective = sum(
        (kd.CrossEntropy(f"{n}.logits") for n in "ab"), start=kd.SoftTargets(2, "a.logits", "stale.b.logits")
    )

    def note(run):
        written.append(run.data["stale.b.logits"].copy())

    kd.fit(peers, objective, stale.refresh(rows(), peers), hooks=[stale, note], epochs=6, progress=False)
    changed = [i + 2 for i in range(5) if not np.array_equal(written[i], written[i + 1])]
    assert changed == [e for e in range(2, 7) if e % every == 0]


# ------------------------------------------------------------------ arithmetic over more than two axes


def test_softmax_is_over_the_last_axis(rng):
    from kdlearn.nn.functional import log_softmax, softmax

    z = rng.normal(size=(2, 3, 4))
    p = softmax(z, 2.0)
    expected = np.exp(z / 2) / np.exp(z / 2).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(p, expected)
    np.testing.assert_allclose(log_softmax(z, 2.0), np.log(expected))


# ------------------------------------------------------------------ checkpoints


def test_a_file_whose_sum_is_not_its_own_is_refused(tmp_path):
    """Each member is whole, and so is the archive: only the SHA-256 can tell."""
    path = tmp_path / "a.npz"
    checkpoint.write(path, {"a": np.zeros(3)}, {"n": 1})
    with np.load(path) as archive:
        meta = json.loads(archive["kdlearn"].tobytes())
    for arrays, config in (({"a": np.ones(3)}, '{"n": 1}'), ({"a": np.zeros(3)}, '{"n": 2}')):
        changed = json.dumps({**meta, "config": config}).encode()
        np.savez(path, **arrays, kdlearn=np.frombuffer(changed, np.uint8))
        with pytest.raises(kd.CheckpointError, match="its SHA-256 differs"):
            checkpoint.read(path)


# ------------------------------------------------------------------ verdicts


@pytest.mark.parametrize("difference, shown", [(3.0, True), (-3.0, True), (0.0, False)])
def test_a_verdict_needs_an_interval_that_excludes_zero(difference, shown):
    values = np.array([1.0, 2.0, 1.5, 1.2])
    noise = np.array([0.1, -0.1, 0.2, -0.2])
    table = kd.study.Comparison({"a": {"m": values}, "b": {"m": values + difference + noise}}, "a").table("m")
    assert ("no effect shown" not in table.splitlines()[-1]) is shown
