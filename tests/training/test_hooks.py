"""Hooks: when they stop, what they restore, what they refuse. Their ideas are tested with the ideas."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd


def data(seed=0, n=40):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype("float32")
    return kd.Data({"x": x, "y": (x @ rng.normal(size=(4, 3))).argmax(axis=1)})


def settings(**changes):
    return {"epochs": 6, "batch_size": 10, "optimizer": kd.Adam(1e-2), "progress": False} | changes


class Weights:
    """What the student's weights were after each epoch."""

    def __init__(self):
        self.seen = []

    def after_epoch(self, run):
        self.seen.append(run.students["student"].theta.copy())


def script(values, name="accuracy"):
    """A hook that writes these validation values over what was measured."""

    def write(run):
        run.history.records[-1]["validation"][name] = values[run.epoch - 1]

    return write


@pytest.mark.parametrize(
    "monitor, mode, values, best",
    [
        ("accuracy", None, [0.5, 0.9, 0.7, 0.6, 0.6, 0.6], 2),  # higher is better: it used to restore the worst
        ("accuracy", "min", [0.5, 0.9, 0.4, 0.6, 0.6, 0.6], 3),
        ("loss", None, [0.5, 0.9, 0.4, 0.6, 0.6, 0.6], 3),
        ("loss", "max", [0.5, 0.9, 0.4, 0.6, 0.6, 0.6], 2),
    ],
)
def test_early_stopping_knows_which_way_is_better(monitor, mode, values, best):
    net, weights = kd.MLP(4, 6, 3, seed=0), Weights()
    hooks = [script(values, monitor), weights, kd.EarlyStopping(monitor, 3, mode)]
    history = kd.fit(net, kd.CrossEntropy(), data(), validation=data(1), hooks=hooks, **settings())
    np.testing.assert_array_equal(net.theta, weights.seen[best - 1])
    assert len(history) == best + 3


def test_early_stopping_refuses_nan_and_an_unknown_mode():
    with pytest.raises(ValueError, match="'min' or 'max', got 'up'"):
        kd.EarlyStopping(mode="up")
    hooks = [script([0.5, np.nan]), kd.EarlyStopping("accuracy", 3)]
    with pytest.raises(ValueError, match="'accuracy' is NaN in epoch 2") as error:
        kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), data(), validation=data(1), hooks=hooks, **settings())
    assert len(error.value.history) == 2


def test_the_monitored_loss_is_what_training_minimises():
    """A term that is faded out by the end of training counts, while it counts."""
    objective = (lambda t: 1 - t) * kd.CrossEntropy()
    history = kd.fit(kd.MLP(4, 3), objective, data(), validation=data(1), **settings(epochs=4))
    terms = np.array(history["cross_entropy", "validation"])
    np.testing.assert_allclose(history["loss", "validation"], terms * [0.75, 0.5, 0.25, 0], rtol=1e-6)


def test_a_moving_average_starts_anew_and_refuses_what_it_cannot_move():
    net, hook = kd.MLP(4, 6, 3, seed=0), kd.MovingAverage(0.9)
    objective = kd.CrossEntropy() + kd.SoftTargets(1)

    def train():
        student, teacher = net.copy(), net.copy()
        kd.fit(student, objective, data(), teachers=teacher, hooks=[hook], **settings(optimizer=kd.Adam(1e-2)))
        return teacher.theta

    np.testing.assert_array_equal(train(), train())
    with pytest.raises(ValueError, match=r"moves the teacher 'teacher', which is the student 'student' itself"):
        kd.fit(net, objective, data(), teachers=net, hooks=[hook], **settings())
    with pytest.raises(ValueError, match="no teacher 'teacher' to move"):
        kd.fit(net, kd.CrossEntropy(), data(), hooks=[hook], **settings())


class Misspelt:
    def after_epcoh(self, run):
        pass


class Both:
    """Has a moment of its own and can be called: it is called at that moment alone."""

    def __init__(self):
        self.calls = 0

    def after_fit(self, run):
        pass

    def __call__(self, run):
        self.calls += 1


@pytest.mark.parametrize(
    "hook, message",
    [
        (5, "a hook is a function, or has one of before_fit, after_step, after_epoch, after_fit; got 5"),
        (Misspelt(), "Misspelt has 'after_epcoh'"),
        (Weights, r"got the class Weights; write Weights\(…\)"),
    ],
)
def test_what_is_no_hook_is_refused_before_training(hook, message):
    net = kd.MLP(4, 3)
    before = net.theta.copy()
    with pytest.raises(TypeError, match=message):
        kd.fit(net, kd.CrossEntropy(), data(), hooks=[hook], **settings())
    np.testing.assert_array_equal(net.theta, before)


def test_a_hook_with_a_moment_of_its_own_is_not_called_after_epochs():
    both = Both()
    kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), data(), hooks=[both], **settings(epochs=2))
    assert both.calls == 0


class Stubborn(Exception):
    __slots__ = ()

    def __setattr__(self, name, value):
        if name == "history":
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_an_error_of_a_hook_carries_the_history_if_it_can():
    for moment, length in (("after_step", 0), ("after_epoch", 1), ("after_fit", 2)):
        for kind in (ValueError, Stubborn):

            def fail(run, kind=kind):
                raise kind("as it was raised")

            hook = type("Fail", (), {moment: lambda self, run: fail(run)})()
            with pytest.raises(kind, match="as it was raised") as error:
                kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), data(), hooks=[hook], **settings(epochs=2))
            if kind is ValueError:
                assert len(error.value.history) == length


@pytest.mark.parametrize(
    "said, message",
    [
        ({"seen": 1}, "two mappings"),
        (({"seen": 1}, [1.0]), "two mappings"),
        (({1: 0.5}, {}), "it names a value 1$"),
        (({}, {"n": 1}), "'n' of state.* is of type int: numbers and lists go into the values"),
        (({"seen": [{"by epoch": {3: 0.5}}]}, {}), "it names a value 3$"),
        (({"seen": np.ones(3)}, {}), "must be what JSON can hold, .*arrays go beside them: .*Object of type ndarray"),
    ],
)
def test_a_state_that_would_not_come_back_as_it_is_is_refused(said, message, tmp_path):
    class Remembers:
        def after_epoch(self, run): ...
        def state(self):
            return said

        def restore(self, values, arrays): ...

    with pytest.raises(TypeError, match=message):
        kd.fit(
            kd.MLP(4, 3), kd.CrossEntropy(), data(), hooks=[Remembers()], checkpoint=tmp_path / "c.npz", **settings()
        )


def test_a_hook_with_a_state_can_take_it_back():
    class Forgets:
        def after_epoch(self, run): ...
        def state(self):
            return {}, {}

    with pytest.raises(TypeError, match=r"Forgets has state\(\), so it needs restore"):
        kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), data(), hooks=[Forgets()], **settings())


def test_an_attribute_called_state_is_no_method(tmp_path):
    class Counts:
        def __init__(self):
            self.state = 0

        def after_epoch(self, run):
            self.state += 1

    counts = Counts()
    kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), data(), hooks=[counts], checkpoint=tmp_path / "c.npz", **settings())
    assert counts.state == 6


def test_a_hook_replaces_a_column_and_does_not_write_into_it():
    """What it wrote was neither checked nor saved: a run that went on began with the column as it was."""

    def weigh(run):
        run.data["w"][:] = 2

    given = data().with_columns({"w": np.ones(40)})
    with pytest.raises(ValueError, match="read-only"):
        kd.fit(kd.MLP(4, 3), kd.CrossEntropy() * "w", given, hooks=[weigh], **settings())
    given["w"][:] = 3  # the caller's own can be


def test_what_a_checkpoint_cannot_hold_is_named(tmp_path):
    def texts(run):
        run.data = run.data.with_columns({"plant": np.array(["a"] * 40, dtype=object)})

    with pytest.raises(TypeError, match=r"column 'plant' by Python objects.*astype\(str\)"):
        kd.fit(kd.MLP(4, 3), kd.CrossEntropy(), data(), hooks=[texts], checkpoint=tmp_path / "c.npz", **settings())


def test_a_number_of_numpy_in_a_state_and_in_the_history_is_saved(tmp_path):
    class Remembers:
        best = np.float32(3)

        def after_epoch(self, run):
            run.history.records[-1]["own"] = np.float32(run.epoch)

        def state(self):
            return {"best": self.best}, {}

        def restore(self, values, arrays):
            self.best = values["best"]

    def train(**more):
        hook = Remembers()
        history = kd.fit(
            kd.MLP(4, 3), kd.CrossEntropy(), data(), hooks=[hook], checkpoint=tmp_path / "c.npz", **settings(**more)
        )
        return hook.best, [record["own"] for record in history.records]

    assert train() == train(resume=True) == (3.0, [1, 2, 3, 4, 5, 6])
