"""Edges that only a changed sign, bound or index would show: found by mutating the code at random."""

from __future__ import annotations

import json
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import datasets

import kdlearn as kd
from kdlearn import checkpoint
from kdlearn.data import labelling, sets
from kdlearn.distill import (
    assistant,
    attention,
    branches,
    collaborative,
    datafree,
    ensemble,
    exits,
    forgetting,
    mutual,
    past,
    robust,
    sequence,
    unlabelled,
    views,
)


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
        sets.mnist(59_999)
    for held in (-1, 60_000):
        with pytest.raises(ValueError, match="a number of rows, 0 to 59,999"):
            sets.mnist(held)


def test_data_and_history_say_what_they_hold():
    assert repr(rows()) == "Data(12 rows: x (3,), y, index)"
    history = kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(), epochs=2, progress=False)
    assert re.fullmatch(r"History\(2 epochs, training loss \d\.\d+\)", repr(history))
    assert repr(kd.History()) == "History(0 epochs)"


def test_data_without_rows_have_no_batches():
    for rng in (None, np.random.default_rng(0)):
        assert list(rows(0).batches(4, rng)) == []


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_top_answers_of_few_rows_in_batches_of_one(n):
    x, teacher = np.ones((n, 3), np.float32), kd.MLP(3, 4)
    top, z = labelling.soft_labels(teacher, x, top=2, batch_size=1)
    assert top.shape == (n, 2) and z.shape == (n, 3)


@pytest.mark.parametrize("k", [1, 3, 4])
def test_top_answers_are_the_largest_and_the_tail_holds_the_rest(k, rng):
    z, T = 3 * rng.normal(size=(6, 5)), 2.0
    classes, kept = labelling.keep_top(z, k, T)
    for row, own, logits in zip(z, classes, kept):
        largest = sorted(range(5), key=lambda c, row=row: -row[c])[:k]
        assert own.tolist() == largest and logits[:k].tolist() == [row[c] for c in largest]
        rest = [row[c] for c in range(5) if c not in largest]
        assert logits[k] == pytest.approx(T * np.log(np.exp(np.array(rest) / T).sum()))


def test_the_sizes_of_the_small_sets():
    for make, n in ((kd.data.moons, 100), (kd.data.blobs, 300), (kd.data.spirals, 300)):
        assert [len(part) for part in make()] == [n, 500, 2000] and [len(part) for part in make(7)] == [7, 500, 2000]


@pytest.mark.parametrize("seed", [0, 1])
def test_blobs_and_moons_are_those_of_scikit_learn(seed):
    for parts, (x, _) in (
        (kd.data.blobs(40, 5, 0.5, seed), datasets.make_blobs(2540, centers=5, cluster_std=0.5, center_box=(-4, 4),
                                                              random_state=seed)),
        (kd.data.moons(40, 0.1, seed), datasets.make_moons(2540, noise=0.1, random_state=seed)),
    ):  # fmt: skip
        own = x[parts.train["row"]]
        for part in parts:
            right = (x[part["row"]] - own.mean(axis=0)) / own.std(axis=0)
            np.testing.assert_allclose(part.x, right, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("n, batch_size, steps", [(12, 4, 3), (12, 5, 2), (12, 12, 1), (13, 3, 4)])
def test_an_incomplete_batch_is_left_out_if_told(n, batch_size, steps):
    seen = []
    kd.fit(
        kd.MLP(3, 3), kd.CrossEntropy(), rows(n), epochs=1, batch_size=batch_size, drop_last=True, progress=False,
        hooks=[SimpleNamespace(after_step=lambda run: seen.append(1))],
    )  # fmt: skip
    assert len(seen) == steps


@pytest.mark.parametrize("first", [True, False])
def test_in_a_function_s_first_epoch_some_row_counts(first):
    none = rows().with_columns({"y": np.full(12, -1)})

    def data(epoch, rng):
        return none if (epoch == 0) is first else rows()

    settings = {"epochs": 2, "progress": False}
    if first:
        with pytest.raises(ValueError, match="no row of the data counts"):
            kd.fit(kd.MLP(3, 3), kd.CrossEntropy(ignore=-1), data, **settings)
    else:
        assert len(kd.fit(kd.MLP(3, 3), kd.CrossEntropy(ignore=-1), data, **settings)) == 2


@pytest.mark.parametrize("progress, shown", [(True, True), (False, False), (None, False)])
def test_a_bar_is_drawn_if_told_and_not_in_a_pipe(progress, shown, capsys):
    kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(), epochs=2, progress=progress)
    assert ("fit: " in capsys.readouterr().err) is shown


@pytest.mark.parametrize("label", [3, 4, 100, -1, -100])
def test_a_label_beyond_the_outputs_is_named(label):
    data = rows().with_columns({"y": np.array([label, *[0] * 11])})
    with pytest.raises(ValueError, match=f"labels must lie in 0 … 2, the network's 3 outputs; .*y.* holds {label}$"):
        kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), data, epochs=1, progress=False)


def test_a_batch_has_128_rows_unless_told():
    for n, steps in ((128, 1), (129, 2)):
        seen = []
        kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(n), epochs=1, progress=False,
               hooks=[SimpleNamespace(after_step=lambda run, seen=seen: seen.append(1))])  # fmt: skip
        assert len(seen) == steps


@pytest.mark.parametrize("activation, gain", [(kd.ReLU, 2**0.5), (kd.GELU, 2**0.5), (kd.Tanh, 1.0)])
def test_initial_weights_keep_the_variance_behind_their_activation(activation, gain):
    net = kd.MLP(400, 300, 200, activation=activation)
    assert net.layers[0].W.std() == pytest.approx(gain / 400**0.5, rel=0.02)
    assert net.layers[2].W.std() == pytest.approx(1 / 300**0.5, rel=0.02)  # nothing comes behind the last


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_divergence_names_its_batch(batch):
    calls = []

    def loss(z):
        calls.append(len(z))
        return z.sum() * (np.nan if calls.count(4) == batch else 1.0), np.zeros_like(z)

    with pytest.raises(kd.DivergenceError, match=f"became nan in epoch 1, batch {batch};"):
        kd.fit(kd.MLP(3, 3), kd.Term(loss, ("student.logits",)), rows(), epochs=1, batch_size=4, progress=False)


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


def test_class_weights_make_every_class_count_alike():
    y = np.array([5, 5, 5, 2, 9, 9])
    data = kd.Data({"x": np.zeros((6, 1)), "y": y}).with_class_weights()
    np.testing.assert_allclose(data["class_weight"], [6 / (3 * (y == label).sum()) for label in y], rtol=1e-6)
    assert data["class_weight"].mean() == pytest.approx(1)


def test_rows_without_a_label_are_no_class():
    """They were counted as one more, and paired with each other as alike."""
    y = np.array([0, -1, 0, 0, 1, -1])
    data = kd.Data({"x": np.zeros((6, 1)), "y": y})
    known = kd.Data({"x": np.zeros((4, 1)), "y": y[y >= 0]})
    weights = data.with_class_weights(ignore=-1)["class_weight"]
    assert weights.tolist() == [pytest.approx(2 / 3), 0, pytest.approx(2 / 3), pytest.approx(2 / 3), 2, 0]
    np.testing.assert_array_equal(weights[y >= 0], known.with_class_weights()["class_weight"])
    net, w = kd.MLP(1, 2), np.array([4 / 6, 4 / 2])
    losses = -kd.log_softmax(net.logits(known.x).astype(float))[np.arange(4), known.y]
    found = kd.evaluate(net, kd.CrossEntropy(ignore=-1) * "class_weight", data.with_class_weights(ignore=-1))
    assert found["loss"] == pytest.approx((w[known.y] * losses).mean(), rel=1e-6)
    with pytest.raises(ValueError, match=r"column 'y': labels must be 0 or more, got -1; .* ignore="):
        data.with_class_weights()
    with pytest.raises(ValueError, match="labels must be 0 or more, got -1"):
        kd.same_class(data)


@pytest.mark.parametrize("shape, hint", [((4, 3), True), ((4, 4), False), ((5,), False), ((4, 1), False), ((), False)])
def test_labels_that_are_one_hot_are_told_how_to_become_labels(shape, hint):
    with pytest.raises(ValueError, match=r"y must hold one label a row, shape \(4,\), got") as error:
        kd.cross_entropy(np.zeros((4, 3)), np.zeros(shape, int))
    assert ("y.argmax(axis=1)" in str(error.value)) is hint


@pytest.mark.parametrize("shape", [(3,), (5,), (4, 1), ()])
def test_weights_are_one_a_row(shape):
    with pytest.raises(ValueError, match=r"weight must hold one number a row, shape \(4,\)"):
        kd.cross_entropy(np.zeros((4, 3)), np.zeros(4, int), weight=np.ones(shape))


def test_a_machine_whose_blas_is_unknown_has_one_thread(monkeypatch):
    monkeypatch.setattr("threadpoolctl.threadpool_info", list)
    assert kd.study.environment()["threads"] == 1 and kd.study.environment()["blas"] == ""


def test_two_views_agree_in_their_answers_alone_unless_told():
    by_default = [t.factor({}) for t in views.agreeing_views().terms]
    assert by_default == [1.0, 1.0, 0.0] * 2  # labels, answers, features
    assert [t.factor({}) for t in views.agreeing_views(weight=2.0, hint=3.0).terms] == [1.0, 2.0, 3.0] * 2


def test_what_peers_attend_with_begins_small_and_differs():
    net = attention.Attention(400, 50, seed=1)
    assert abs(net.theta.mean()) < 0.002 and net.theta.std() == pytest.approx(400**-0.5, rel=0.02)
    assert not np.array_equal(net.layers[0].L, net.layers[0].E)


@pytest.mark.parametrize("baseline", [False, True])
def test_a_single_sequence_has_no_others_to_be_compared_with(baseline):
    data, student, teacher = rows(5), kd.MLP(3, 4, seed=1), kd.MLP(3, 4, seed=2)
    n = np.arange(5)
    cost = kd.log_softmax(student.logits(data.x))[n, data.y] - kd.log_softmax(teacher.logits(data.x))[n, data.y]
    gained = sequence.advantages(student, teacher, data, 5, baseline=baseline)
    np.testing.assert_allclose(gained, [-cost[i + 1 :].sum() for i in n], rtol=1e-4, atol=1e-6)


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


# ------------------------------------------------------------------ wrong numbers without a word


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "float16"])
def test_whole_numbers_have_a_softmax(dtype):
    """In a small integer's own precision every probability would be rounded to 0."""
    z = np.array([[1, 0, 1], [0, 0, 1]]).astype(dtype)
    exact = np.exp(z.astype(float)) / np.exp(z.astype(float)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(kd.softmax(z), exact, rtol=2e-3)
    np.testing.assert_allclose(kd.log_softmax(z, 2.0), kd.log_softmax(z.astype(float), 2.0), rtol=2e-3)
    assert kd.softmax(z).dtype == (dtype if dtype == "float16" else "float64")
    assert kd.metrics.entropy(z) == pytest.approx(kd.metrics.entropy(z.astype(float)), rel=1e-3)


@pytest.mark.parametrize("z", [np.ones((1, 2), complex), np.ones((1, 2), object), [[1.0, 2.0]]])
def test_what_holds_no_real_numbers_has_no_softmax(z):
    for function in (kd.softmax, kd.log_softmax):
        with pytest.raises(TypeError, match=r"real numbers|must be a numpy"):
            function(z)


MEASURES = [kd.metrics.accuracy, kd.metrics.negative_log_likelihood, kd.metrics.calibration_error]
NO_LABELS = {
    "one column": [[0], [1], [1]],
    "one-hot": [[1, 0], [0, 1], [0, 1]],
    "one for all": [0],
    "a number": 0,
    "negative": [0, 1, -1],
    "no class": [0, 1, 2],
    "booleans": [True, False, True],
    "texts": ["0", "1", "1"],
    "floats": [0.0, 1.0, np.nan],
}


@pytest.mark.parametrize("what", NO_LABELS)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_refuses_labels_that_are_none(measure, what):
    """Compared by broadcasting, or as an index from the end, they gave a number that looked like one."""
    z = np.array([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0]])
    assert np.isfinite(measure(z, np.array([0, 1, 1])))
    with pytest.raises(ValueError, match="label"):
        measure(z, np.array(NO_LABELS[what]))


def test_answers_are_compared_row_by_row_and_there_are_some():
    z, y = np.array([[2.0, 1.0], [np.nan, np.nan]]), np.array([0, 0])
    for other in (z[:1], np.ones((2, 3)), z[None]):
        with pytest.raises(ValueError, match="logits"):
            kd.metrics.agreement(z, other)
    with pytest.raises(ValueError, match="at least one row"):
        kd.metrics.accuracy(z[:0], y[:0])


BY_LABEL = {
    "virtual_teacher": lambda z, y: kd.distill.targets.virtual_teacher(y, 3),
    "label_logits": lambda z, y: kd.label_logits(y, 3),
    "corrected_teacher": kd.distill.targets.corrected_teacher,
    "need_of_teaching": lambda z, y: kd.distill.targets.need_of_teaching(z, z, y),
    "confidence_weights": lambda z, y: kd.distill.ensemble.confidence_weights(y, z, -z),
}


@pytest.mark.parametrize("y", [[0, -1], [0, 3], [0.0, 1.0], [[0, 1, 0], [1, 0, 0]], [True, False], ["0", "1"]])
@pytest.mark.parametrize("function", BY_LABEL)
def test_teachers_made_from_labels_refuse_what_is_no_label(function, y):
    """A label of -1 was the last class here, and a uniform answer there."""
    z = np.array([[0.0, 1.0, 2.0], [2.0, 0.5, 0.0]])
    assert BY_LABEL[function](z, np.array([0, 2])).shape[0] == 2
    with pytest.raises(ValueError, match="label"):
        BY_LABEL[function](z, np.array(y))


def test_whole_numbers_can_be_masked_weighed_and_distorted():
    z = np.array([[3, 1, 2], [0, 1, 5]])
    real, y = z.astype(float), np.array([0, 0])
    matched = kd.match_classes("abc", "bax")
    for function in (
        matched,
        lambda z: kd.distill.targets.noisy_teacher(z, np.random.default_rng(0)),
        lambda z: kd.distill.targets.need_of_teaching(z, real, y),
        lambda z: kd.distill.ensemble.mean_of_probabilities(z, real),
    ):
        np.testing.assert_array_equal(function(z), function(real))
    assert (matched(z)[:, 2] == -np.inf).all()


@pytest.mark.parametrize("classes", [[1.5], [True, False], ["0"]])
def test_classes_are_chosen_by_whole_numbers(classes):
    with pytest.raises(ValueError, match="whole numbers"):
        kd.distill.transfer.select_classes(classes)


NO_WEIGHTS = [None, True, [0.5], np.ones(12), np.nan, np.inf, (0.5, None)]


@pytest.mark.parametrize("weight", NO_WEIGHTS, ids=repr)
def test_a_weight_that_is_none_is_refused_where_the_term_is_made(weight):
    """It was left out, as if it were 1."""
    for make in (
        lambda w: kd.Term(kd.cross_entropy, ("student.logits",), ("y",), w),
        lambda w: kd.Match("a", "b", len, w),
    ):
        with pytest.raises((TypeError, ValueError), match="a weight"):
            make(weight)


HEADS, PAIR = (kd.MLP(6, 3),), ("a", "b")
SHARES = {  # (a builder of objectives with one share, its name)
    "exits": (lambda v: exits.exits(("student.h1", "student.h2"), (6, 5), 3, alpha=v), "alpha"),
    "cl_ilr": (lambda v: branches.cl_ilr(*HEADS, beta=v), "beta"),
    "densely_guided": (lambda v: assistant.densely_guided(PAIR, alpha=v), "alpha"),
    "progressive": (lambda v: past.progressive(alpha=v), "alpha"),
    "robust_distillation": (lambda v: robust.robust_distillation(alpha=v), "alpha"),
}
AMOUNTS = {  # the same with one weight
    "exits": (lambda v: exits.exits(("student.h1", "student.h2"), (6, 5), 3, hint=v), "hint"),
    "one": (lambda v: branches.one(branches.Gate(6, 2), *HEADS, weight=v), "weight"),
    "okddip": (lambda v: attention.okddip(attention.Attention(6), "a", "b", weight=v), "weight"),
    "mutual": (lambda v: mutual.mutual(*PAIR, weight=v), "weight"),
    "codistillation": (lambda v: mutual.codistillation(*PAIR, weight=v), "weight"),
    "kdcl": (lambda v: collaborative.kdcl(*PAIR, weight=v), "weight"),
    "without_forgetting": (lambda v: forgetting.without_forgetting((0, 1), (2,), weight=v), "weight"),
    "dark_experience, logits": (lambda v: forgetting.dark_experience(alpha=v), "alpha"),
    "dark_experience, labels": (lambda v: forgetting.dark_experience(beta=v), "beta"),
    "noisy_student": (lambda v: unlabelled.noisy_student(weight=v), "weight"),
    "agreeing_views": (lambda v: views.agreeing_views(weight=v), "weight"),
    "agreeing_views, features": (lambda v: views.agreeing_views(hint=v), "hint"),
    "dafl, activation": (lambda v: datafree.dafl(kd.MLP(4, 6, 3), activation=v), "activation"),
    "dafl, balance": (lambda v: datafree.dafl(kd.MLP(4, 6, 3), balance=v), "balance"),
    "weighted_teachers": (lambda v: ensemble.weighted_teachers(("a.logits", "b.logits"), (1, v)), "weights"),
}


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, True, "0.5"], ids=repr)
@pytest.mark.parametrize("what", SHARES)
def test_a_share_of_an_objective_lies_between_zero_and_one(what, value):
    """exits(alpha=1.5) and cl_ilr(beta=1.5) weighed the labels by -0.5: the student was taught the wrong classes."""
    make, name = SHARES[what]
    with pytest.raises(ValueError, match=re.escape(f"{name} lies in [0, 1], got {value!r}")):
        make(value)
    for right in (0, 0.3, np.float32(1)):
        assert make(right).terms


@pytest.mark.parametrize("value", [-1, -0.1, np.nan, np.inf, np.float32(-2)], ids=repr)
@pytest.mark.parametrize("what", AMOUNTS)
def test_a_weight_of_an_objective_is_no_less_than_zero(what, value):
    """exits(hint=-1) drove the features apart, mutual(weight=-1) the peers."""
    make, name = AMOUNTS[what]
    with pytest.raises(ValueError, match=re.escape(f"{name} must be a finite number of at least 0, got {value!r}")):
        make(value)
    for right in (0, 2.0, *(() if what in ("codistillation",) else (lambda t: t,))):
        assert make(right).terms


def test_a_text_is_not_read_letter_by_letter_as_names_of_sites():
    for make in (
        lambda: kd.Term(kd.cross_entropy, "student.logits", ("y",)),
        lambda: kd.Term(kd.cross_entropy, ("student.logits",), "y"),
        lambda: kd.Given("a", len, "teacher.logits", kd.CrossEntropy()),
    ):
        with pytest.raises(TypeError, match="names of sites"):
            make()


def test_weights_in_half_precision_are_summed_in_single(rng):
    z, y = rng.normal(size=(70_000, 2)), rng.integers(0, 2, 70_000)
    weight = np.ones(len(z), np.float16)  # their sum is more than float16 can hold
    assert kd.cross_entropy(z, y, weight=weight, normalize=True)[0] == pytest.approx(kd.cross_entropy(z, y)[0])
    for none in (weight.astype(complex), weight.astype(str), list(weight)):
        with pytest.raises(TypeError, match="weight must"):
            kd.cross_entropy(z, y, weight=none)


COLUMNS = {"texts": np.array(list("abcdefghijkl")), "objects": np.ones(12, object), "complex": np.ones(12) * 1j}


@pytest.mark.parametrize("what", COLUMNS)
def test_a_column_that_is_read_holds_numbers(what):
    """A complex weight trained on its real part."""
    train = rows().with_columns({"w": COLUMNS[what]})
    kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), train, epochs=1, progress=False)  # nobody reads it
    with pytest.raises(ValueError, match="column 'w' must hold numbers"):
        kd.fit(kd.MLP(3, 3), kd.CrossEntropy() * "w", train, epochs=1, progress=False)


@pytest.mark.parametrize("dtype", ["datetime64[D]", "timedelta64[D]"])
def test_dates_are_no_features(dtype):
    """They were numbers of days."""
    x = np.zeros((12, 3), int).astype(dtype)
    with pytest.raises(ValueError, match="real numbers"):
        kd.evaluate(kd.MLP(3, 3), kd.CrossEntropy(), rows().with_columns({"x": x}))
    with pytest.raises(ValueError, match="real numbers"):
        kd.MLP(3, 3).logits(x)


def test_columns_of_pandas_are_taken_by_position():
    pd = pytest.importorskip("pandas")
    y = pd.Series([0, 1, 2], index=[2, 1, 0])
    taken = kd.Data({"x": np.zeros((3, 1)), "y": y}).take([0])
    assert taken.y.tolist() == [0]  # by the index it was the last one
    assert isinstance(taken.y, np.ndarray)


def test_masked_entries_are_not_computed_with():
    for name, a in (("x", np.zeros((2, 1))), ("y", np.zeros(2, int))):
        columns = {"x": np.zeros((2, 1)), "y": np.zeros(2, int)}
        mask = np.zeros(a.shape, bool)
        assert len(kd.Data({**columns, name: np.ma.masked_array(a, mask)})) == 2
        mask[0] = True
        with pytest.raises(TypeError, match=rf"column '{name}': it has masked entries"):
            kd.Data({**columns, name: np.ma.masked_array(a, mask)})


SIZES = {
    "batches": lambda n: list(rows().batches(n)),
    "logits": lambda n: kd.MLP(3, 3).logits(rows().x, n),
    "stack": lambda n: kd.Stack([kd.MLP(3, 3)] * 2).logits(rows().x, n),
    "evaluate": lambda n: kd.evaluate(kd.MLP(3, 3), kd.CrossEntropy(), rows(), batch_size=n),
    "soft_labels": lambda n: kd.soft_labels(kd.MLP(3, 3), rows().x, batch_size=n, top=1),
    "bins": lambda n: kd.metrics.calibration_error(rows().x.astype(float), rows().y, n),
}


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
@pytest.mark.parametrize("what", SIZES)
def test_sizes_are_whole_numbers_from_one_on(what, size):
    """With -1 rows a batch there were none, and `evaluate` had no loss to tell."""
    SIZES[what](2)
    with pytest.raises((TypeError, ValueError), match=r"must be (an integer|at least 1)"):
        SIZES[what](size)


def test_one_stack_is_evaluated_as_its_members_are():
    """The rows were cut into halves, one a member, and the values divided by two."""
    members, objective = [kd.MLP(3, 4, 3, seed=seed) for seed in (0, 1)], kd.CrossEntropy()
    found = kd.evaluate(kd.Stack(members), objective, rows(), batch_size=5)
    own = kd.evaluate(kd.Stack(members), objective, [rows(), rows(8).take(np.arange(12) % 8)])
    for i, net in enumerate(members):
        alone = kd.evaluate(net, objective, rows(), batch_size=5)
        assert {name: values[i] for name, values in found.items()} == pytest.approx(alone)
    assert own["loss"][0] == pytest.approx(found["loss"][0]) and own["loss"][1] != pytest.approx(found["loss"][1])


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_rows_without_a_label_do_not_count_whatever_the_batches(stack, batch_size):
    """Rows whose label nobody knows came last, and each batch of them was a loss of 0; they counted as errors, too."""
    y = np.array([0, 1, 2, 0] + [-1] * 8)
    data, net = rows().with_columns({"y": y, "w": np.arange(12.0)}), kd.MLP(3, 3)
    objective = 0.5 * kd.CrossEntropy(ignore=-1) * "w" + kd.CrossEntropy(smoothing=0.1, ignore=-1)
    found = kd.evaluate(kd.Stack([net, net]) if stack else net, objective, data, batch_size=batch_size)
    found = {name: value[1] if stack else value for name, value in found.items()}
    z = net.logits(data.x)
    weighted, _ = kd.cross_entropy(z, y, ignore=-1, weight=data["w"])
    smoothed, _ = kd.cross_entropy(z, y, smoothing=0.1, ignore=-1)
    assert found["loss"] == pytest.approx(0.5 * weighted + smoothed, rel=1e-5)
    assert found["accuracy"] == kd.metrics.accuracy(z[:4], y[:4])


def test_an_accuracy_needs_labels_that_number_the_answers():
    data = rows().with_columns({"y": np.arange(12) % 2})
    few = kd.distill.forgetting.OnClasses([1, 2], "few", kd.CrossEntropy("few"))
    first = kd.distill.forgetting.OnClasses([0, 1], "few", kd.CrossEntropy("few"))
    assert "accuracy" not in kd.evaluate(kd.MLP(3, 3), few, data)
    assert "accuracy" in kd.evaluate(kd.MLP(3, 3), first, data)
    with pytest.raises(ValueError, match="progress"):
        kd.evaluate(kd.MLP(3, 3), first, data, progress=2)


PIECES = {
    "compares the rows": kd.Match("student.h1", "teacher.h1", kd.similarity_preserving),
    "leaves rows out": kd.CrossEntropy(ignore=-1) + kd.SoftTargets(),
}


@pytest.mark.parametrize("what", PIECES)
def test_a_batch_goes_in_pieces_only_where_the_step_is_the_same(what):
    """In pieces of one row a relation between rows is 0, and so was the whole training."""
    net = kd.MLP(3, 4, 3)
    before = net.theta.copy()
    with pytest.raises(ValueError, match=what):
        kd.fit(net, PIECES[what], rows(), teachers=kd.MLP(3, 4, 3, seed=1), epochs=1, micro_batch=1, progress=False)
    np.testing.assert_array_equal(net.theta, before)


def test_students_are_all_stacks_of_one_size_or_none_is():
    peers = {"a": kd.Stack([kd.MLP(3, 3), kd.MLP(3, 3)]), "b": kd.MLP(3, 3)}
    with pytest.raises(ValueError, match="student 'b' is a stack of 1"):
        kd.fit(peers, kd.distill.mutual.mutual("a", "b"), rows(), epochs=1, progress=False)


@pytest.mark.parametrize("schedule", [0.5, "cosine", kd.steps, lambda t: -1, lambda t: None, lambda t: np.ones(2)])
def test_a_schedule_makes_a_factor(schedule):
    """A negative one climbed."""
    with pytest.raises((TypeError, ValueError), match="a schedule"):
        kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(), schedule=schedule, epochs=1, progress=False)


@pytest.mark.parametrize("labels", [-1.0, 2.0])
def test_yes_and_no_lie_between_zero_and_one(labels):
    """Labels of -1 and 1 made a loss without a lower end."""
    data = rows().with_columns({"labels": np.full((12, 3), labels)})
    with pytest.raises(ValueError, match=r"column 'labels' must lie in \[0, 1\]"):
        kd.fit(kd.MLP(3, 3), kd.BinaryCrossEntropy(), data, epochs=1, progress=False)


@pytest.mark.parametrize("top", [[-1, 0], [0, 3], [1, 1], [0.0, 1.0]])
def test_the_answers_kept_are_classes(top):
    data = rows().with_columns(
        {"teacher.top": np.array([[0, 1]] * 11 + [top]), "teacher.top_logits": np.zeros((12, 3))}
    )
    with pytest.raises(ValueError, match=r"column 'teacher\.top'"):
        kd.fit(kd.MLP(3, 3), kd.TopTargets(), data, epochs=1, progress=False)


def test_what_a_classifier_says_becomes_logits():
    class Says:
        def __init__(self, p):
            self.p = np.array(p)

        def predict_proba(self, x):
            return self.p

    x = np.zeros((2, 3))
    np.testing.assert_array_equal(kd.soft_labels(Says([[1, 0], [0, 1]]), x), [[0, -np.inf], [-np.inf, 0]])
    for p in ([[0.5, 0.5]], [0.5, 0.5], [[[1.0]], [[1.0]]]):
        with pytest.raises(ValueError, match="one row of probabilities"):
            kd.soft_labels(Says(p), x)
    for ignored in ({"dtype": "float16"}, {"dtype": "int8"}, {"T": -5}, {"top": 1.0}):
        with pytest.raises(ValueError, match=r"dtype|T must|top must"):
            kd.soft_labels(kd.MLP(3, 3), x, **ignored)


def compared(run, seeds=3):
    return kd.study.compare(lambda seed: run(seed), seeds, jobs=1, progress=False)


def test_small_integers_do_not_wrap_around_where_they_are_compared():
    """As unsigned bytes 3 less 4 is 255."""
    found = compared(lambda seed: {"a": {"right": np.uint8(3)}, "b": {"right": np.uint8(3 + seed)}})
    assert found.difference("b", "right").mean == 1 and found.difference("a", "right", "b").mean == -1
    assert compared(lambda seed: {"a": {"m": False}, "b": {"m": True}}).difference("b", "m").mean == 1


@pytest.mark.parametrize("value", [[1.0, 2.0], "1", None, 1j])
def test_a_measure_is_one_number_a_seed(value):
    """The mean of a list ran over all its entries, its interval over the seeds."""
    with pytest.raises(TypeError, match="one number a seed"):
        compared(lambda seed: {"a": {"m": value}})
    with pytest.raises(ValueError, match="one number a seed"):
        kd.study.interval([[1.0, 2.0], [3.0, 4.0]])


def test_what_only_some_seeds_measure_is_not_left_out():
    for more in (0, 1):
        with pytest.raises(ValueError, match="every seed must measure the same"):
            compared(lambda seed, more=more: {"a": {"m": 1.0}, **({"b": {"m": 1.0}} if seed == more else {})})


def measure(seeds, part, rate):
    return {"accuracy": [rate + seed for seed in seeds]}


def tried(seeds=2, grid=(1, 2), **settings):
    arms = {"a": (measure, {"rate": list(grid)}), "b": (measure, {"rate": [1, 2]})}
    return kd.study.trial(arms, "a", seeds, jobs=1, progress=False, **settings)


@pytest.mark.parametrize("seeds", [[0, 0], [], "12", True])
def test_seeds_are_different_numbers(seeds):
    """A seed that is named twice is no second observation, and made every interval narrower."""
    for study in (lambda: compared(lambda seed: {"a": {"m": 1.0}}, seeds), lambda: tried(seeds)):
        with pytest.raises((TypeError, ValueError), match="seed"):
            study()


WRONG = {
    "better": ({"better": "min"}, "better is"),
    "zone": ({"zone": -1}, "zone must"),
    "overlap": ({"overlap": -0.1}, "overlap must"),
    "metric": ({"metric": "acc"}, "does not measure 'acc'"),
    "together": ({"together": 0}, "together must"),
    "grid": ({"grid": [1, 2, 1]}, "twice"),
    "no grid": ({"grid": []}, "nothing to try"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_trial_is_refused_before_it_trains_the_wrong_way(what):
    """With better="min" the worst setting was chosen, and the word was refused when the table was printed."""
    assert tried().chosen["a"] == {"rate": 2} and tried(better="lower").chosen["a"] == {"rate": 1}
    settings, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        tried(**settings)


def test_a_candidate_that_diverged_is_not_chosen():
    """No number is larger than NaN, and so it was the largest."""
    found = compared(lambda seed: {"a": {"m": np.nan}, "b": {"m": 1.0}, "c": {"m": 2.0}})
    assert kd.study.choose(found, {"x": ["a", "b"], "y": ["b", "c"]}, "m") == {"x": "b", "y": "c"}
    assert kd.study.choose(found, {"y": ["a", "b", "c"]}, "m", better="lower") == {"y": "b"}
    with pytest.raises(ValueError, match="no candidate has a finite m"):
        kd.study.choose(found, {"x": ["a"]}, "m")


@pytest.mark.parametrize("level", [0, 1, 95, np.nan])
def test_a_level_lies_between_zero_and_one(level):
    with pytest.raises(ValueError, match="level lies"):
        kd.study.interval([1.0, 2.0], level=level)


def test_a_value_that_is_not_finite_has_no_right_gradient():
    """NaN is not larger than the tolerance, and so the check went through."""
    for value in (np.nan, np.inf):
        with pytest.raises(kd.gradcheck.GradientError, match="not finite"):
            kd.gradcheck.check_loss(lambda z, value=value: (value, np.zeros_like(z)), np.ones((2, 3)))


@pytest.mark.parametrize("monitor", ["acc", "accuracy"])
def test_an_accuracy_is_better_where_it_is_higher_however_it_is_named(monitor):
    """By the beginning of its name it was monitored for its smallest value."""
    stopper = kd.EarlyStopping(monitor, patience=3)
    for epoch, value in enumerate((0.2, 0.9, 0.1), 1):
        record = {"epoch": epoch, "train": {"loss": 1.0}, "validation": {"loss": 1.0, "accuracy": value}}
        if epoch == 1:
            run = SimpleNamespace(history=kd.History(), trained=[kd.MLP(3, 3)], stop=False)
        run.epoch = epoch
        run.history.records.append(record)
        stopper.after_epoch(run)
    assert stopper.best_epoch.tolist() == [2]


COUNTS = {
    "patience": lambda n: kd.EarlyStopping(patience=n),
    "every": lambda n: kd.StalePeers("a", "b", every=n),
    "route": lambda n: kd.Route(1, n),
}


@pytest.mark.parametrize("n", [0, 1.5, np.nan, True])
@pytest.mark.parametrize("what", COUNTS)
def test_epochs_are_counted_in_whole_numbers(what, n):
    """A route by epoch 1.5 kept nothing, and patience of NaN never ended."""
    with pytest.raises((TypeError, ValueError), match=r"must be (an integer|at least 1)"):
        COUNTS[what](n)


@pytest.mark.parametrize("settings", [{"eps": -1}, {"eps": 0}, {"eps": np.nan}, {"lr": True}])
def test_settings_of_adam(settings):
    with pytest.raises(ValueError, match="must be a positive finite number"):
        kd.Adam(**settings)


def test_the_members_of_a_history_are_counted_from_both_ends():
    nets = kd.Stack([kd.MLP(3, 3, seed=seed) for seed in (0, 1)])
    history = kd.fit(nets, kd.CrossEntropy(), rows(), epochs=1, progress=False)
    history.diverged[1] = "why"
    assert history.member(-1).diverged == {0: "why"} and history.member(-1)["loss"] == history.member(1)["loss"]
    with pytest.raises(IndexError):
        history.member(2)
    with pytest.raises(IndexError):
        history.member(0).member(1)


# ------------------------------------------------------------------ estimators, and tables of the command line


def fitted(kind, X, y, **fit):
    estimators = pytest.importorskip("kdlearn.estimators")
    model = {"classes": estimators.DistilledClassifier, "numbers": estimators.DistilledRegressor}[kind]
    settings = {name: fit.pop(name) for name in ("class_weight", "soft_weight") if name in fit}
    return model(hidden_layer_sizes=(3,), max_iter=2, random_state=0, **settings).fit(X, y, **fit)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weight", [-5.0, np.nan, np.inf])
def test_weights_of_classes_and_rows_are_finite_and_not_negative(weight):
    """A negative weight of a class left its rows out; as one number for all rows NaN was taken, too."""
    X, y = rows().x, rows().y
    with pytest.raises(ValueError, match="class_weight must be finite"):
        fitted("classes", X, y, class_weight={0: weight})
    with pytest.raises(ValueError, match=r"sample_weight|Negative values"):
        fitted("classes", X, y, sample_weight=weight)
    with pytest.raises(ValueError, match="not 0 for all"):
        fitted("classes", X, y, class_weight={0: 0, 1: 0, 2: 0})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_teachers_numbers_are_known_by_name():
    """By position each number learnt from the prediction of the other."""
    pd = pytest.importorskip("pandas")
    x = rows(60).x.astype(float)
    y = pd.DataFrame({"u": x[:, 0], "v": -x[:, 1]})
    fit = {"soft_weight": 1.0, "teacher_prediction": y}
    named = fitted("numbers", x, y, **fit).predict(x)
    turned = fitted("numbers", x, y, **{**fit, "teacher_prediction": y[["v", "u"]]}).predict(x)
    np.testing.assert_array_equal(turned, named)
    with pytest.raises(ValueError, match=r"has the columns \['u', 'w'\], y has \['u', 'v'\]"):
        fitted("numbers", x, y, **{**fit, "teacher_prediction": y.rename(columns={"v": "w"})})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_columns_whose_names_are_numbers_keep_their_order():
    """scikit-learn compares names that are texts alone: in another order these were other inputs."""
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(rows(30).x.astype(float), columns=[2, 0, 1])
    model = fitted("numbers", X, X[0])
    assert model.predict(X.to_numpy()).tolist() == model.predict(X).tolist()
    with pytest.raises(ValueError, match=r"columns \[0, 1, 2\], in fit it had \[2, 0, 1\]"):
        model.predict(X[[0, 1, 2]])
    with pytest.raises(ValueError, match="Expected 2D array"):
        model.predict(X[0])
    with pytest.raises(ValueError, match="Expected 2D array"):
        model.predict({0: [1.0]})


def test_labels_are_of_one_kind():
    with pytest.raises(ValueError, match="mixes texts with labels of the type int"):
        fitted("classes", rows().x, np.array([0, "0", "1"] * 4, object))


def table_of(text, path):
    pytest.importorskip("pandas")
    from kdlearn.commands.frames import read_table

    path.write_text(text)
    return read_table(path)


@pytest.mark.parametrize("taught", ["comma", "point"])
def test_a_table_with_the_other_decimal_sign_is_the_same_table(taught, tmp_path):
    """A model that was taught with 0,126 read 0.126 as 126."""
    from kdlearn.commands.rules import Rules

    numbers = [0.126, 1.9, 2.139, 0.566] * 3
    texts = {"comma": "a;b\n" + "".join(f"{v:.3f};{1 + v:.3f}\n" for v in numbers).replace(".", ",")}
    texts["point"] = texts["comma"].replace(",", ".").replace(";", ",")
    tables = {name: table_of(text, tmp_path / f"{name}.csv") for name, text in texts.items()}
    rules, said = Rules.of(tables[taught], (), (), ("a", "b"), []), []
    other = rules(tables["point" if taught == "comma" else "comma"], said)
    np.testing.assert_allclose(other["a"], numbers)
    np.testing.assert_allclose(other["b"], [1 + v for v in numbers])  # 1.126 alone could be thousands
    assert len(said) == 1 and "'a', 'b'" in said[0]
    np.testing.assert_allclose(rules(tables[taught], said)["a"], numbers)
    assert len(said) == 1


def test_a_target_is_read_with_the_decimal_sign_that_it_has(tmp_path):
    """Between semicolons 0.817 was 817."""
    from kdlearn.commands.decimals import target_numbers

    said = []
    table = table_of("a;y\n1;0.817\n2;2.139\n3;1.5\n", tmp_path / "table.csv")
    assert target_numbers(table, "y", said)[0].tolist() == [0.817, 2.139, 1.5] and said == []
    table = table_of("a;y\n1;2.139\n2;3.500\n", tmp_path / "table.csv")
    assert target_numbers(table, "y", said)[0].tolist() == [2139, 3500] and "is read as 2139" in said[0]
