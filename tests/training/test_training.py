"""fit and train_step: reproducible, cached teachers, hooks, early stopping, faults, bad input."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from small import Trip

import kdlearn as kd

OBJECTIVE = 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(T=4)


def data(n=50, seed=0, **columns):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype(np.float32)
    return kd.Data({"x": x, "y": (x @ rng.normal(size=(5, 3))).argmax(axis=1), **columns})


def teacher(**options):
    return kd.MLP(5, 12, 3, seed=9, **options)


def student(**options):
    return kd.MLP(5, 8, 3, seed=1, **options)


def trained(net=None, objective=OBJECTIVE, rows=None, teachers=None, **settings):
    net = student() if net is None else net
    rows = data() if rows is None else rows
    settings = {"epochs": 3, "batch_size": 16, "optimizer": kd.Adam(1e-2)} | settings
    history = kd.fit(net, objective, rows, teachers=teacher() if teachers is None else teachers, **settings)
    return net, history


def test_same_seed_same_bits_other_seed_other_bits():
    a, b, c = (trained(student(dropout=0.3), seed=s)[0].theta for s in (4, 4, 5))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_global_generator_is_left_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    trained(student(dropout=0.3))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_cached_soft_labels_equal_a_live_teacher_even_one_with_dropout():
    """Rows are keyed, so shuffling cannot misalign them; and a live teacher runs without dropout.

    To rounding: BLAS may round a product of 16 rows otherwise than one of all rows."""
    master, rows = teacher(dtype="float64", dropout=(0.5, 0.5)), data()
    rows = rows.with_columns({"x": rows.x.astype(np.float64)})
    live, _ = trained(student(dtype="float64"), rows=rows, teachers=master)
    cached, _ = trained(student(dtype="float64"), rows=rows.with_soft_labels(master), teachers={})
    np.testing.assert_allclose(cached.theta, live.theta, rtol=0, atol=1e-13)


def test_same_run_on_every_backend(backend):
    rows, master = data(), teacher()
    expected, history = trained(student(dropout=0.2), rows=rows, teachers=master, validation=rows, schedule=kd.cosine)
    got, there = trained(
        student(dropout=0.2).to(backend.device),
        rows=rows.to(backend.device),
        teachers=master.to(backend.device),
        validation=rows.to(backend.device),
        schedule=kd.cosine,
    )
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if backend.name == "cupy" else {"rtol": 0, "atol": 0}
    np.testing.assert_allclose(kd.to_numpy(got.theta), expected.theta, **tolerance)
    assert there["loss"] == pytest.approx(history["loss"], rel=1e-4)
    assert there["accuracy", "validation"] == pytest.approx(history["accuracy", "validation"], abs=0.05)


def test_an_epoch_reads_the_device_a_fixed_number_of_times(standin):
    """Host copies do not grow with the number of steps."""
    counts = []
    for batch_size in (25, 5):
        rows = data().to("cuda")
        net = student().to("cuda")
        standin.syncs = standin.host_copies = 0
        trained(net, rows=rows, teachers=teacher().to("cuda"), batch_size=batch_size)
        counts.append((standin.syncs, standin.host_copies))
    assert counts[0] == counts[1]


def test_history_holds_every_term_on_train_and_validation():
    rows = data()
    net, history = trained(validation=rows, epochs=4)
    assert len(history) == 4 and history.records[-1]["epoch"] == 4
    for part in ("train", "validation"):
        assert len(history["cross_entropy", part]) == len(history["soft_targets", part]) == 4
        mixed = 0.3 * history["cross_entropy", part][-1] + 0.7 * history["soft_targets", part][-1]
        assert history["loss", part][-1] == pytest.approx(mixed, rel=1e-5)
    assert history["accuracy", "validation"][-1] == kd.metrics.accuracy(net.logits(rows.x), rows.y)
    with pytest.raises(KeyError, match="is not in the train values: loss, cross_entropy"):
        history["entropy"]


def test_learning_learns():
    _, history = trained(epochs=60, objective=kd.CrossEntropy(), teachers={}, validation=data())
    assert history["accuracy", "validation"][-1] > 0.95


def test_schedule_and_progress():
    seen = []
    objective = kd.CrossEntropy() * (lambda progress: seen.append(progress) or 1.0)
    _, history = trained(objective=objective, teachers={}, schedule=kd.cosine, epochs=2, batch_size=25)
    asked, seen = seen[:20], seen[20:]
    assert asked == [i / 20 for i in range(20)]  # whether it makes a weight everywhere
    assert seen == [0, 0, 0.25, 0.5, 0.75]  # the first is asked before training, whether a step can be taken
    assert history.records[0]["rate"] == pytest.approx(1e-2 * kd.cosine(0.25))


def test_hooks_and_stopping():
    class Count:
        steps = epochs = fits = 0

        def after_step(self, run):
            self.steps += 1

        def after_epoch(self, run):
            self.epochs += 1
            run.stop = run.epoch == 2

        def after_fit(self, run):
            self.fits += 1

    count, seen = Count(), []
    trained(hooks=[count, lambda run: seen.append(len(run.history))], epochs=5, batch_size=25)
    assert (count.steps, count.epochs, count.fits) == (4, 2, 1)
    assert seen == [1, 2]


def test_early_stopping_restores_the_best_epoch():
    rows = data(n=20)
    noisy = kd.Data({"x": data(40, seed=1).x, "y": np.random.default_rng(0).integers(0, 3, 40)})
    stopper = kd.EarlyStopping("loss", patience=3)
    net, history = trained(
        objective=kd.CrossEntropy(), rows=noisy, teachers={}, validation=rows, hooks=[stopper], epochs=200,
        optimizer=kd.Adam(0.05),
    )  # fmt: skip
    values = history["loss", "validation"]
    assert len(history) < 200 and len(values) - 1 - int(np.argmin(values)) == 3
    again = kd.evaluate(net, kd.CrossEntropy(), rows)
    assert again["loss"] == pytest.approx(min(values), rel=1e-5)
    with pytest.raises(ValueError, match="validation"):
        trained(hooks=[kd.EarlyStopping()])


def test_data_may_be_a_function_of_the_epoch():
    seen = []

    def jittered(epoch, rng):
        seen.append(epoch)
        rows = data()
        return rows.with_columns({"x": rows.x + 0.1 * rng.standard_normal(rows.x.shape).astype(np.float32)})

    trained(rows=jittered)
    assert seen == [0, 1, 2]


def test_a_step_gathers_the_columns_that_it_reads():
    gathered = []

    class Watched(kd.Data):
        def like(self, columns):
            return Watched(columns)

        def batches(self, batch_size, rng=None):
            gathered.append(set(self.columns))
            return super().batches(batch_size, rng)

    def own_step(*networks_and_goal, **settings):
        return kd.train_step(*networks_and_goal, **settings)

    rows = Watched({"x": np.eye(4, dtype=np.float32), "y": np.arange(4), "teacher.x": np.eye(4), "w": np.ones(4)})
    for step, columns in ((kd.train_step, {"x", "y", "index"}), (own_step, set(rows.columns))):
        kd.fit(kd.MLP(4, 4), kd.CrossEntropy(), rows, epochs=1, progress=False, step=step)
        assert gathered[-1] == columns
    kd.fit(kd.MLP(4, 4), kd.CrossEntropy() * "w" + kd.SoftTargets(2), rows, teachers=kd.MLP(4, 4), epochs=1)
    assert gathered[-1] == set(rows.columns)


def test_own_views_and_two_students():
    rows = data(**{"b.x": data(seed=4).x})
    peers = {"a": student(), "b": kd.MLP(5, 6, 3, seed=2)}
    objective = (
        kd.CrossEntropy("a.logits")
        + kd.CrossEntropy("b.logits")
        + kd.SoftTargets(1, "a.logits", "b.logits")
        + kd.SoftTargets(1, "b.logits", "a.logits")
    )
    before = [net.theta.copy() for net in peers.values()]
    _, history = trained(peers, objective, rows, {}, validation=rows)
    assert all(not np.array_equal(net.theta, old) for net, old in zip(peers.values(), before))
    assert set(history.records[0]["validation"]) >= {"a.accuracy", "b.accuracy"}


def test_divergence_is_found_and_undone():
    net = student()
    with pytest.raises(kd.DivergenceError, match=r"epoch 1, batch \d+; .* below 1e\+10"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained(net, optimizer=kd.SGD(1e10), epochs=30)
    np.testing.assert_array_equal(net.theta, student().theta)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
def test_a_fault_leaves_the_last_complete_epoch(fault):
    two, _ = trained(epochs=2)
    net = student()
    with pytest.raises(fault) as caught:
        trained(net, hooks=[Trip(3, fault)], epochs=5)
    np.testing.assert_array_equal(net.theta, two.theta)
    assert len(caught.value.history) == 2
    notes = getattr(caught.value, "__notes__", [])
    assert any("batch_size below 16" in note for note in notes) == (fault is MemoryError)


def test_one_output_cannot_classify():
    net = kd.MLP(5, 4, 1)
    rows = data().with_columns({"y": np.zeros(50, int)})
    with pytest.raises(ValueError, match="at least two classes"):
        trained(net, kd.CrossEntropy(), rows, teachers={})
    np.testing.assert_array_equal(net.theta, kd.MLP(5, 4, 1).theta)


def test_labels_out_of_range_are_found_on_a_device_too(standin):
    with pytest.raises(ValueError, match="y holds 3"):
        trained(student().to("cuda"), kd.CrossEntropy(), changed("y", put(3, 0)).to("cuda"), teachers={})


def test_valid_data_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(student(dropout=0.3, layer_norm=True, activation=kd.GELU), validation=data())


def test_input_is_not_modified_and_may_be_read_only():
    rows = data().with_soft_labels(teacher())
    for a in rows.columns.values():
        a.setflags(write=False)
    trained(rows=rows, teachers={})


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1].copy()[::-1]])
def test_memory_layout_does_not_matter(layout):
    rows = data()
    a, _ = trained(rows=rows)
    b, _ = trained(rows=rows.with_columns({"x": layout(rows.x)}))
    np.testing.assert_array_equal(a.theta, b.theta)


def changed(name, change):
    rows = data().with_soft_labels(teacher())
    column = rows[name].copy()
    return rows.with_columns({name: change(column)})


def put(value, *where):
    def change(a):
        a = a.copy()
        a[where] = value
        return a

    return change


BAD_DATA = {
    "NaN in x": ("x", put(np.nan, 3, 1), ValueError, "'x' has values that are not finite"),
    "inf in x": ("x", put(np.inf, 3, 1), ValueError, "'x' has values that are not finite"),
    "x 1-D": ("x", lambda x: x[:, 0], ValueError, r"2-D .* x.reshape\(-1, 1\)"),
    "x 3-D": ("x", lambda x: x[:, None], ValueError, "2-D"),
    "no features": ("x", lambda x: x[:, :0], ValueError, "zero features"),
    "other width": ("x", lambda x: x[:, :3], ValueError, "x has 3 features, the network takes 5"),
    "complex": ("x", lambda x: x.astype(complex), ValueError, "real"),
    "text": ("x", lambda x: np.full(x.shape, "a", object), ValueError, "numeric"),
    "label too large": ("y", put(3, 0), ValueError, "0 … 2, the network's 3 outputs; y holds 3"),
    "label negative": ("y", put(-1, 0), ValueError, "y holds -1"),
    "labels continuous": ("y", lambda y: y + 0.5, ValueError, "integer class labels, got float64"),
    "labels one-hot": ("y", lambda y: np.eye(3)[y], ValueError, "argmax"),
    "NaN logits": ("teacher.logits", put(np.nan, 0, 0), ValueError, "NaN"),
    "+inf logits": ("teacher.logits", put(np.inf, 0, 0), ValueError, r"\+inf"),
    "all masked": ("teacher.logits", put(-np.inf, 0), ValueError, "only -inf"),
    "logits of other width": ("teacher.logits", lambda z: z[:, :2], ValueError, "one shape"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_rejected_before_anything_changes(case):
    name, change, error, message = BAD_DATA[case]
    net = student()
    with pytest.raises(error, match=message):
        trained(net, rows=changed(name, change), teachers={})
    np.testing.assert_array_equal(net.theta, student().theta)


def test_sparse_x_says_make_it_dense():
    import scipy.sparse

    rows = data()
    with pytest.raises(TypeError, match="toarray"):
        trained(rows=kd.Data({"x": scipy.sparse.csr_matrix(rows.x), "y": rows.y}), teachers={})


def test_object_numbers_bools_and_integers_are_cast():
    for cast in (lambda x: x.astype(object), lambda x: x > 0, lambda x: (9 * x).astype(np.int8)):
        trained(rows=changed("x", cast), teachers={})


def test_masked_teacher_classes_are_fine():
    _, history = trained(rows=changed("teacher.logits", put(-np.inf, slice(None), 1)), teachers={})
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"epochs": 2.5}, TypeError, "epochs must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": -1}, ValueError, "batch_size"),
        ({"batch_size": True}, TypeError, "batch_size"),
        ({"teachers": {"student": teacher()}}, ValueError, "either a student or a teacher"),
        ({"rows": data().take(slice(0, 0))}, ValueError, "zero rows"),
        ({"rows": data().with_soft_labels(teacher())}, ValueError, "the name of a site of the live network"),
    ],
)
def test_bad_settings(settings, error, message):
    with pytest.raises(error, match=message):
        trained(**settings)


def test_a_batch_larger_than_the_data_is_one_batch():
    _, history = trained(batch_size=10_000)
    assert len(history) == 3


def test_arrays_of_two_backends_are_not_mixed(standin):
    with pytest.raises(TypeError, match="mixed"):
        trained(student().to("cuda"), rows=data(), teachers=teacher().to("cuda"))


class Still(kd.SGD):
    """Leaves the weights where they are, so that a training's mean is the mean of one network."""

    def update(self, theta, grad, moments, t, decay, scratch):
        pass


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("kind", ["ignored", "normalized", "ignored and on schedule", "ignored and weighed"])
def test_the_history_is_a_mean_over_the_rows_that_count(kind, stack):
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(24, 4)), rng.integers(0, 3, 24), rng.random(24)
    y[:11] = -1 if "ignored" in kind else y[:11]  # in order, so that batches differ in how many rows count
    y[3:23] = -1 if "weighed" in kind else y[3:23]  # and in some of them none does
    data = kd.Data({"x": x, "y": y, "w": w, "teacher.logits": rng.normal(size=(24, 3))})
    hard = kd.CrossEntropy(ignore=-1)
    if kind == "normalized":
        hard = "w" * kd.Term(functools.partial(kd.cross_entropy, normalize=True), ("student.logits",), ("y",))
    hard = hard * "w" if "weighed" in kind else hard
    goal = 0.3 * hard + 0.7 * kd.SoftTargets(2.0)
    if "schedule" in kind:
        goal = (lambda progress: 0.5) * hard + kd.SoftTargets(2.0)
    nets = [kd.MLP(4, 5, 3, seed=s, dtype="float64") for s in (0, 1)]
    student = kd.Stack(nets) if stack else nets[0]
    history = kd.fit(student, goal, data, optimizer=Still(1.0), epochs=1, batch_size=5, progress=False)
    expected = kd.evaluate(student, goal, data)
    for name, value in history.records[0]["train"].items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-12, err_msg=name)


def test_a_schedule_ends_with_its_training():
    x, y = np.random.default_rng(0).normal(size=(20, 4)).astype("float32"), np.arange(20) % 3
    rule = kd.SGD(0.1)
    kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), kd.Data({"x": x, "y": y}), optimizer=rule, schedule=kd.cosine, epochs=2,
           progress=False)  # fmt: skip
    one, other = kd.MLP(4, 3, seed=1), kd.MLP(4, 3, seed=1)
    kd.train_step(one, None, kd.CrossEntropy(), {"x": x, "y": y}, optimizer=rule)
    kd.train_step(other, None, kd.CrossEntropy(), {"x": x, "y": y}, optimizer=kd.SGD(0.1))
    np.testing.assert_array_equal(one.theta, other.theta)
    with pytest.raises(ZeroDivisionError):
        kd.fit(one, kd.CrossEntropy(), kd.Data({"x": x, "y": y}), optimizer=rule, schedule=kd.cosine, epochs=2,
               hooks=[Trip(1, ZeroDivisionError)], progress=False)  # fmt: skip
    assert rule.scale == 1.0


class Calibrated(kd.MLP):
    """It divides its logits, but not those of its forward pass."""

    def logits(self, x, batch_size=1024):
        return super().logits(x, batch_size) / 3


def test_a_live_teacher_answers_by_its_forward_pass():
    data = kd.Data({"x": np.ones((4, 2)), "y": np.zeros(4, int)})
    with pytest.raises(TypeError, match=r"Calibrated has a `logits` of its own: a live teacher"):
        kd.evaluate(kd.MLP(2, 3), kd.SoftTargets(), data, teachers=Calibrated(2, 3))
