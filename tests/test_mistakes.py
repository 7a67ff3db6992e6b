"""Mistakes that would leave every number plausible: what is measured, what is held out, what is random.

No second implementation and no optional package is needed here; `test_mutations` plants the mistakes.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import cli, demo, estimators, study
from kdlearn.distill.exits import EarlyExit
from kdlearn.estimators.training import row_weights
from kdlearn.export import costs, onnx_file, plan
from kdlearn.objective import Given, Match, Through
from kdlearn.step import train_step

# ------------------------------------------------------------------ what is measured


def calibration_by_hand(z, y, bins):
    """Guo et al. 2017, equations 2 and 3, row by row."""
    held = [[] for _ in range(bins)]
    for row, label in zip(kd.softmax(z), y):
        confidence = row.max()
        b = next(b for b in range(bins) if b / bins < confidence <= (b + 1) / bins)
        held[b].append((row.argmax() == label, confidence))
    return sum(abs(sum(r - c for r, c in rows)) for rows in held) / len(y)


@pytest.mark.parametrize("bins", [1, 4, 10, 15])
def test_calibration_error_is_its_definition(bins, rng):
    z, y = 2 * rng.normal(size=(300, 3)), rng.integers(0, 3, 300)
    assert kd.metrics.calibration_error(z, y, bins) == pytest.approx(calibration_by_hand(z, y, bins))


def test_calibration_error_has_fifteen_bins_unless_told(rng):
    z, y = 2 * rng.normal(size=(300, 3)), rng.integers(0, 3, 300)
    assert kd.metrics.calibration_error(z, y) == pytest.approx(calibration_by_hand(z, y, 15))
    assert abs(kd.metrics.calibration_error(z, y) - kd.metrics.calibration_error(z, y, 14)) > 1e-4


def test_a_confidence_of_one_is_in_the_last_bin():
    z = np.array([[1000.0, 0.0], [math.log(0.97), math.log(0.03)]])  # sure and wrong, nearly sure and right
    assert kd.metrics.calibration_error(z, np.array([1, 0])) == pytest.approx(abs(-1 + 0.03) / 2)


def test_two_networks_agree_on_the_most_probable_class():
    a, b = np.array([[3.0, 2, 1]] * 3), np.array([[3.0, 1, 2], [2, 3, 1], [3, 1, 2]])
    assert kd.metrics.agreement(a, b) == pytest.approx(2 / 3)  # the least probable class is the same in one


def rows(n=20, width=3, K=3, seed=0):
    rng = np.random.default_rng(seed)
    return kd.Data({"x": rng.normal(size=(n, width)).astype(np.float32), "y": rng.integers(0, K, n)})


@pytest.mark.parametrize("batch_size", [1, 7, 20, 64])
def test_an_evaluation_is_the_mean_over_rows_without_dropout(batch_size):
    data, net = rows(), kd.MLP(3, 32, 3, dropout=0.5, seed=1)
    teacher = kd.MLP(3, 32, 3, dropout=0.5, seed=2)
    found = kd.evaluate(net, kd.CrossEntropy() + kd.SoftTargets(2), data, teachers=teacher, batch_size=batch_size)
    z = net.logits(data.x)
    hard, soft = kd.cross_entropy(z, data.y)[0], kd.soft_targets(z, teacher.logits(data.x), T=2)[0]
    assert found["loss"] == pytest.approx(float(hard + soft), rel=1e-5)
    assert found["accuracy"] == pytest.approx(kd.metrics.accuracy(z, data.y))


def test_the_report_names_its_percentiles(monkeypatch):
    """The i-th call takes i microseconds."""
    durations = iter([0] * 5 + list(range(2000)))  # five to warm up
    clock = SimpleNamespace(now=0.0)

    def answer(x):
        clock.now += 1e-6 * next(durations)

    monkeypatch.setattr(costs, "SECONDS", 1.0)
    monkeypatch.setattr(costs.time, "perf_counter", lambda: clock.now)
    found = costs._latency(SimpleNamespace(predict=answer), np.zeros((10, 1)))
    assert found["repeats"] == costs.REPEATS
    assert [found[p] for p in ("p50", "p95", "p99")] == pytest.approx([500, 950, 990], abs=1.5)


# ------------------------------------------------------------------ what is held out; the command line: test_cli


def test_rows_without_labels_teach_no_class():
    """All of them lie where class 1 lives; counted as class 0 they would turn it over."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-2, 0.3, (20, 2)), rng.normal(2, 0.3, (20, 2))])
    y, more = np.repeat([0, 1], 20), rng.normal(2, 0.3, (400, 2))
    uniform = estimators.DistilledClassifier(teacher=_Indifferent(), soft_weight=0.0, alpha=0.0, random_state=0)
    assert (uniform.fit(X, y, X_unlabeled=more).predict(more) == 1).mean() > 0.95
    columns = row_weights(np.array([1.0, 3.0]), 5)
    np.testing.assert_allclose(columns["labelled"], [1.25, 3.75, 0, 0, 0])
    np.testing.assert_allclose(columns["taught"], np.array([1, 3, 2, 2, 2]) / 2)


class _Indifferent(estimators.DistilledClassifier):
    def __init__(self):
        super().__init__()

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.mark.filterwarnings("ignore:max_iter")
def test_every_setting_of_an_estimator_has_an_effect():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    P = rng.dirichlet(np.ones(3), 60)

    def theta(**settings):
        settings = {"max_iter": 3, "random_state": 0, "batch_size": 20, "soft_weight": 0.7} | settings
        return estimators.DistilledClassifier(**settings).fit(X, y, teacher_proba=P).student_.theta

    first = theta()
    np.testing.assert_array_equal(theta(), first)
    changed = {"alpha": 0.5, "batch_size": 30, "learning_rate_init": 0.02, "max_iter": 4, "random_state": 1}
    for name, value in {**changed, "temperature": 4.0, "soft_weight": 0.2, "early_stopping": True}.items():
        assert not np.array_equal(theta(**{name: value}), first), name


def test_the_demo_measures_the_rows_of_the_part_it_is_asked_for(monkeypatch):
    """Two seeds, each by its own rows and its own teacher's answers to them."""
    nets = [kd.MLP(64, 3, 10, seed=seed) for seed in (3, 4)]
    monkeypatch.setattr(demo, "train_students", lambda *a, **k: kd.Stack(nets))
    rng, answers = np.random.default_rng(0), {}
    for seed in (3, 4):
        answers[seed] = demo.Answers(*(rng.normal(size=(n, 10)).astype("f") for n in (100, 100, 200, 500)))
    for part in ("validation", "test"):
        found = demo.learn([3, 4], part, 1.0, arm=demo.SOFT, T=4, answers=answers)
        for i, (net, seed) in enumerate(zip(nets, (3, 4))):
            rows = getattr(kd.data.digits(seed), part)
            z, other = net.logits(rows.x), getattr(answers[seed], part)
            assert found["accuracy"][i] == 100 * kd.metrics.accuracy(z, rows.y)
            assert found["agreement"][i] == 100 * kd.metrics.agreement(z, other)
            assert found["nll"][i] == pytest.approx(kd.metrics.negative_log_likelihood(z, rows.y), rel=1e-5)
            assert found["ece"][i] == pytest.approx(kd.metrics.calibration_error(z, rows.y), rel=1e-5)


def test_the_demo_trains_on_training_rows_alone(monkeypatch):
    """Each teacher and each student: which rows it saw, and which seed it had."""
    seen = {"teacher": [], "students": []}

    def fit(net, objective, data, *, seed, **settings):
        for part, own in zip(data, seed, strict=True) if net.members > 1 else [(data, seed)]:
            seen["students" if net.members > 1 else "teacher"].append((own, set(part["row"].tolist())))

    monkeypatch.setattr(demo, "fit", fit)
    answers, few = {seed: demo.ask_teachers(seed) for seed in (3, 4)}, []
    for arm in demo.GRIDS:
        demo.learn([3, 4], "test", 1.0, arm=arm, answers=answers)
    for i, seed in enumerate((3, 4)):
        splits = kd.data.digits(seed)
        train, validation, test = (set(part["row"].tolist()) for part in splits)
        few.append((seed, set(splits.train["row"][: demo.LABELS].tolist())))
        assert seen["teacher"][2 * i : 2 * i + 2] == [(seed, train), few[-1]]
        assert not train & validation and not train & test
    assert seen["students"] == few * len(demo.GRIDS)


def test_each_arm_of_the_demo_is_taught_by_its_own_column(monkeypatch):
    """Columns as they reach the students; the settings as they reach the optimiser and the loss."""
    taught = []
    monkeypatch.setattr(
        demo,
        "train_students",
        lambda data, objective, rate, seeds, device, decay, epochs: (
            taught.append((data[0].columns, objective, rate, decay, epochs)) or kd.Stack([kd.MLP(64, 2, 10)])
        ),
    )
    rng = np.random.default_rng(0)
    own = demo.Answers(*(rng.normal(size=(n, 10)).astype("f") for n in (100, 100, 200, 500)))
    columns = {demo.SOFT: own.few, demo.PERMUTED: demo.permute_wrong(own.few, 3), demo.WEAK: own.weak}
    for arm in demo.GRIDS:
        demo.learn([3], "test", 0.7, 0.2, 9, 5.0, arm=arm, answers={3: own})
        seen, objective, *settings = taught.pop()
        assert settings == [0.2, 0.7, 9]
        live, y = rng.normal(size=(100, 10)), seen["y"]
        if arm == demo.BASELINE:
            assert "teacher.logits" not in seen
            assert objective({"student.logits": live}, {"y": y}).value == kd.cross_entropy(live, y)[0]
        else:
            np.testing.assert_array_equal(seen["teacher.logits"], columns[arm])
            value = 0.3 * kd.cross_entropy(live, y)[0] + 0.7 * kd.soft_targets(live, columns[arm], T=5.0)[0]
            fixed = {"y": y, "teacher.logits": columns[arm]}
            assert objective({"student.logits": live}, fixed).value == pytest.approx(value)


def test_the_command_line_hands_the_seed_on(monkeypatch, tmp_path, capsys):
    handed = {}
    monkeypatch.setattr(demo, "study", lambda *a, **k: handed.update(study=a) or "result")
    monkeypatch.setattr(demo, "report", lambda *a: {"methods": {}})
    monkeypatch.setattr(demo, "figure", lambda *a: SimpleNamespace(savefig=lambda *a, **k: None))
    assert cli.main(["demo", "--seed", "11", "--seeds", "3", "--quiet", "--out", str(tmp_path / "a.png")]) == 0
    assert handed == {"study": (3, 11, "cpu")}


# ------------------------------------------------------------------ what is random


@pytest.fixture
def masks(monkeypatch):
    """Every mask that a dropout layer makes."""
    made, keep = [], kd.Dropout._keep

    def recorded(self, rng, shape):
        made.append(keep(self, rng, shape))
        return made[-1]

    monkeypatch.setattr(kd.Dropout, "_keep", recorded)
    return made


def indices(into):
    def step(students, teachers, objective, batch, **settings):
        into.append(batch["index"].tolist())
        return train_step(students, teachers, objective, batch, **settings)

    return step


def test_each_step_rolls_a_mask_of_its_own(masks):
    kd.fit(kd.MLP(3, 40, 3, dropout=0.5), kd.CrossEntropy(), rows(), epochs=3, batch_size=10, progress=False)
    assert len(masks) == 6 and len({m.tobytes() for m in masks}) == 6


def test_students_roll_dice_of_their_own(masks):
    students = {name: kd.MLP(3, 40, 3, dropout=0.5, seed=0) for name in "ab"}
    objective = kd.CrossEntropy("a.logits") + kd.CrossEntropy("b.logits")
    kd.fit(students, objective, rows(), epochs=1, batch_size=20, progress=False)
    assert len(masks) == 2 and not np.array_equal(*masks)
    first = list(masks)
    masks.clear()
    kd.fit(students["a"], kd.CrossEntropy(), rows(), epochs=1, batch_size=20, progress=False)
    np.testing.assert_array_equal(masks[0], first[0])  # a peer more changes nothing of the first


def test_dropout_leaves_the_order_of_the_rows_alone():
    orders = []
    for rate in (0.0, 0.5):
        orders.append([])
        net = kd.MLP(3, 8, 3, dropout=rate)
        kd.fit(net, kd.CrossEntropy(), rows(), epochs=3, batch_size=5, progress=False, step=indices(orders[-1]))
    assert orders[0] == orders[1]
    first, second = orders[0][:4], orders[0][4:8]
    assert sorted(np.concatenate(first)) == list(range(20)) and first != second


# ------------------------------------------------------------------ what is computed, resumed, kept apart


def test_what_is_given_is_not_shadowed_by_a_column():
    z = np.array([[1.0, -1.0]])
    objective = Given(
        "teacher.logits", lambda a: 3 * a, ("base",), Match("student.logits", "teacher.logits", kd.soft_targets)
    )
    fixed = {"base": np.array([[1.0, 0.0]]), "teacher.logits": z}
    found = objective({"student.logits": z}, fixed)
    assert float(found.value) == pytest.approx(float(kd.soft_targets(z, 3 * fixed["base"])[0])) and found.value > 0


def test_a_column_in_the_place_of_a_computed_site_is_refused():
    data = rows().with_columns({"student.e": np.zeros((20, 3), np.float32), "made": np.zeros((20, 3), np.float32)})
    head = kd.MLP(3, 3)
    for objective in (
        Through(head, "student.logits", "student.e", kd.CrossEntropy("student.e")),
        Given("made", lambda y: y, ("y",), kd.CrossEntropy(labels="made")),
    ):
        with pytest.raises(ValueError, match="computed at each step"):
            kd.fit(kd.MLP(3, 3), objective, data, epochs=1, progress=False)


@pytest.mark.parametrize("threshold, exit_taken", [(0.0, 0), (0.999, 0), (1.0, 1)])
def test_an_exit_must_be_surer_than_the_threshold(threshold, exit_taken):
    """A confidence of exactly 1 does not pass a threshold of 1."""
    student, head = kd.MLP(2, 2, 2, seed=0), kd.MLP(2, 2, seed=1)
    head.theta[:] = np.array([0, 0, 0, 0, 1000, -1000], np.float32)
    objective = Through(head, "student.h1", "student.exit", kd.CrossEntropy("student.exit"))
    taken = EarlyExit(student, objective, threshold).answer(np.ones((4, 2), np.float32))[1]
    assert taken.tolist() == [exit_taken] * 4


def test_a_run_that_was_stopped_is_not_resumed(tmp_path):
    def stop(run):
        run.stop = run.epoch == 2

    def run(resume):
        net = kd.MLP(3, 4, 3)
        history = kd.fit(
            net, kd.CrossEntropy(), rows(), epochs=6, progress=False, hooks=[stop], checkpoint=tmp_path / "c.npz",
            resume=resume,
        )  # fmt: skip
        return len(history), net.theta.copy()

    first, again = run(False), run(True)
    assert first[0] == again[0] == 2
    np.testing.assert_array_equal(first[1], again[1])


OTHER = {
    "batch_size": {"batch_size": 5},
    "epochs": {"epochs": 9},
    "seed": {"seed": 1},
    "drop_last": {"drop_last": True},
    "schedule": {"schedule": kd.cosine},
    "rows": {"data": rows(21)},
    "optimizer": {"optimizer": kd.Adam(2e-3)},
    "networks": {"students": kd.MLP(3, 5, 3)},
    "objective": {"objective": 0.5 * kd.CrossEntropy()},
    "hooks": {"hooks": [kd.MovingAverage()], "teachers": kd.MLP(3, 4, 3)},
}


@pytest.mark.parametrize("what", OTHER)
def test_a_checkpoint_goes_on_only_with_the_same_run(what, tmp_path):
    def run(**changed):
        given = {"students": kd.MLP(3, 4, 3), "objective": kd.CrossEntropy(), "data": rows()} | changed
        order = [given.pop(name) for name in ("students", "objective", "data")]
        settings = {"epochs": 2, "batch_size": 8, "optimizer": kd.Adam(1e-3), "progress": False} | given
        kd.fit(*order, **settings, checkpoint=tmp_path / "c.npz", resume=True)
        return order[0].theta.copy()

    run()
    other = OTHER[what]
    before = {name: thing.theta.copy() for name, thing in other.items() if hasattr(thing, "theta")}
    with pytest.raises(kd.CheckpointError, match=f"its {what} was"):
        run(**other)
    for name, theta in before.items():
        np.testing.assert_array_equal(other[name].theta, theta)


def test_a_cell_is_known_by_all_of_its_settings(tmp_path):
    def run(a, b, c=0):
        return [a, b, c]

    cells = [{"a": a, "b": b, "c": c} for a in (1, 2) for b in (1, 2) for c in (0, "0", None)]
    assert len({study.cell_key(run, cell) for cell in cells}) == len(cells)
    for _ in range(2):
        assert study.sweep(run, cells, jobs=1, store=tmp_path / "s") == [list(c.values()) for c in cells]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cell_runs_on_one_thread_of_blas(jobs):
    import threadpoolctl

    with threadpoolctl.threadpool_limits(2):
        _, seen = study.cells._single_threaded(threads, "key", {})
        for pools in [seen, *study.sweep(threads, [{}, {"i": 1}], jobs=jobs)]:
            assert set(pools) == {1}


def threads(i=0):
    import threadpoolctl

    return [int(pool["num_threads"]) for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


# ------------------------------------------------------------------ what is exported


OPERATIONS = {
    "Identity": lambda node, x: x,
    "Gemm": lambda node, x, W, b: x @ W + b,
    "Relu": lambda node, x: np.maximum(x, 0),
    "Tanh": lambda node, x: np.tanh(x),
    "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b,
    "Abs": lambda node, a: np.abs(a),
    "LessOrEqual": lambda node, a, b: a <= b,
    "Not": lambda node, a: ~a,
    "Cast": lambda node, a: a.astype({6: np.int32, 9: bool}[node.to]),
    "ReduceSum": lambda node, a, axes: a.sum(axis=tuple(axes), keepdims=bool(node.keepdims)),
    "Squeeze": lambda node, a, axes: a.squeeze(axis=tuple(axes)),
    "Where": lambda node, c, a, b: np.where(c, a, b),
    "Softmax": lambda node, z: kd.softmax(z),
    "ArgMax": lambda node, z: z.argmax(axis=node.axis),
    "Gather": lambda node, table, at: np.take(table, at, axis=node.axis),
}


def run_graph(steps, x):
    """The graph that `to_onnx` would write, run by NumPy: onnx is only a notation here."""

    def node(op, inputs, outputs, **attributes):
        return SimpleNamespace(op=op, inputs=inputs, outputs=outputs, **attributes)

    nodes, constants = onnx_file.network_nodes(SimpleNamespace(helper=SimpleNamespace(make_node=node)), steps, "x")
    values = {"x": x, **constants}
    for made in nodes:
        values[made.outputs[0]] = OPERATIONS[made.op](made, *(values[name] for name in made.inputs))
    return values


@pytest.mark.parametrize("fold", [True, False])
def test_an_exported_graph_answers_like_the_network(fold, rng):
    net = kd.MLP(4, 8, 3, seed=2, activation=kd.Tanh)
    classes, mean, scale = np.array(["a", "b", "c"]), rng.normal(size=4), rng.uniform(0.5, 2, 4)
    x = 3 * rng.normal(size=(40, 4)).astype(np.float32)
    found = run_graph(plan.plan(net, (mean, scale), classes, fold), x)
    z = net.logits((x - mean) / scale)
    np.testing.assert_allclose(found["logits"], z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], kd.softmax(z), atol=1e-5)
    assert found["label"].tolist() == classes[z.argmax(axis=1)].tolist()
    assert len(set(found["label"].tolist())) == 3
