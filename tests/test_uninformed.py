"""What somebody tries who has read no page: each is right, or refused in words that say what to do."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import checkpoint
from kdlearn.distill import ensemble, sequence

Y = np.array([0, 1, 2, 0])
X = np.random.default_rng(4).normal(size=(4, 5)).astype("float32")
QUIET = {"jobs": 1, "progress": False}


# ------------------------------------------------------------------ what is kept


def test_settings_are_kept_beside_a_network(tmp_path):
    """They were thrown away, though the page said that the file keeps them."""
    kd.save(tmp_path / "net", kd.MLP(5, 4, 3), settings={"T": 4, "why": "first try"})
    assert checkpoint.read(tmp_path / "net")[1]["settings"] == {"T": 4, "why": "first try"}
    assert kd.load(tmp_path / "net").sizes == kd.MLP(5, 4, 3).sizes
    kd.save(tmp_path / "bare", kd.MLP(5, 4, 3))
    assert "settings" not in checkpoint.read(tmp_path / "bare")[1]
    with pytest.raises(TypeError, match="JSON"):
        kd.save(tmp_path / "bare", kd.MLP(5, 4, 3), settings={"seeds": {1, 2}})


def step(net, rule):
    kd.train_step({"student": net}, {}, kd.CrossEntropy(), {"x": X, "y": Y}, optimizer=rule)
    return net.theta.copy()


@pytest.mark.parametrize("turned", [False, True])
def test_a_copy_of_network_and_optimiser_goes_on_as_they_do(turned):
    """The copy began with moments of zero, without a word."""
    net, rule = kd.MLP(5, 4, 3), kd.Adam(0.01)
    for _ in range(3):
        step(net, rule)
    pair = copy.deepcopy((rule, net) if turned else (net, rule))
    other, own = pair[::-1] if turned else pair
    assert own.memory[other].t == 3 and own.memory[other].moments[0] is not rule.memory[net].moments[0]
    np.testing.assert_array_equal(step(other, own), step(net, rule))
    assert len(copy.deepcopy(rule).memory) == 0  # no network came with it
    assert vars(copy.deepcopy(rule)).keys() == vars(rule).keys()
    assert len(pickle.loads(pickle.dumps((net, rule)))[1].memory) == 0 and "pickle" in kd.nn.optim.Optimizer.__doc__


# ------------------------------------------------------------------ studies


def length(a):
    return type(a).__name__


def test_a_tuple_and_a_list_are_no_two_cells(tmp_path):
    """The second got the first one's result."""
    cells = [{"a": [1, [2]]}, {"a": [1, (2,)]}]
    for store in (None, tmp_path / "cells"):
        with pytest.raises(ValueError, match=r"are one: a tuple counts as the list of JSON"):
            kd.study.sweep(length, cells, store=store, **QUIET)
        assert kd.study.sweep(length, [cells[1], cells[1]], store=None, **QUIET) == ["list", "list"]
    with pytest.raises(TypeError, match=r"cells are mappings, \[{name: value}, …\], got the cell 'a'"):
        kd.study.sweep(length, {"a": 1}, **QUIET)


def arm(seeds, part, a=0.0):
    return {"accuracy": [50.0 + a + s for s in seeds]}


def test_a_grid_is_lists_of_values_and_names_of_its_own():
    def trial(grid, **more):
        return kd.study.trial({"labels": (arm, grid)}, "labels", 2, **QUIET, **more)

    for one in (0.1, "adam"):
        with pytest.raises(TypeError, match=f"labels: a grid has a list of values for each name, got {one!r} for 'a'"):
            trial({"a": one})
    for name in ("seeds", "part"):
        with pytest.raises(ValueError, match=f"labels: '{name}' is what train gets from the trial"):
            trial({name: [1, 2]})
    assert trial({"a": [0.1, 0.1]}).tried == {"labels": 1}  # nothing to tune, and told so
    with pytest.raises(ValueError, match="twice"):
        trial({"a": [0.1, 0.1, 0.2]})
    with pytest.raises(KeyError, match="there is no arm 'zz'; there are: labels"):
        trial({"a": [0.1]}).mean("zz")
    with pytest.raises(KeyError, match="there is no metric 'zz'; there are: accuracy"):
        trial({"a": [0.1]}).difference("labels", "labels", "zz")


def test_a_history_is_asked_by_name():
    history = kd.fit(kd.MLP(5, 3), kd.CrossEntropy(), kd.Data({"x": X, "y": Y}), epochs=1, progress=False)
    for key in (0, ("train", 0)[::-1]):
        with pytest.raises(TypeError, match=r"a history is asked by name, .*\.records\[0\], got 0"):
            history[key]


# ------------------------------------------------------------------ teams and texts


def test_a_team_is_given_one_by_one():
    a, b = np.zeros((4, 3)), np.ones((4, 3))
    for f in (
        ensemble.mean_of_logits,
        ensemble.mean_of_probabilities,
        ensemble.median_of_probabilities,
        ensemble.entropy_weights,
        lambda team: ensemble.confidence_weights(Y, team),
        lambda team: ensemble.gradient_weights(a, team),
    ):
        with pytest.raises(TypeError, match=r"one by one: f\(a, b\), or f\(\*answers\) of a list"):
            f([a, b])
    for given in ([0.9, 0.8], np.array([0.9, 0.8])):
        with pytest.raises(TypeError, match="the accuracies are given one by one"):
            ensemble.accuracy_weights(given)


def test_a_length_is_a_whole_number_from_one_on():
    net, prompts = sequence.character_model(4, 2, 3), np.zeros((2, 2), "int64")
    for bad, error in ((-1, ValueError), (0, ValueError), (2.0, TypeError)):
        with pytest.raises(error, match=f"length must be .*, got {bad}"):
            sequence.sample(net, prompts, bad, np.random.default_rng(0))
        with pytest.raises(error, match=f"length must be .*, got {bad}"):
            sequence.enumerated(net, prompts, bad)
    with pytest.raises(TypeError, match=r"context must be an integer, got 2\.0"):
        sequence.windows(np.arange(6), 2.0)


# ------------------------------------------------------------------ stacks


def test_a_stack_of_one_is_a_stack():
    """Its loss was a bare number: a study whose last group held one seed ended after training everything."""
    data, one = kd.Data({"x": X, "y": Y}), kd.Stack([kd.MLP(5, 4, 3, seed=2)])
    history = kd.fit(one, kd.CrossEntropy(), data, validation=data, epochs=1, batch_size=2, progress=False)
    for values in (
        *(history.records[0][part] for part in ("train", "validation")),
        kd.evaluate(one, kd.CrossEntropy(), data),
    ):
        assert all(isinstance(v, list) and len(v) == 1 for v in values.values())
    value = kd.train_step(one, None, kd.CrossEntropy(ignore=-1), {"x": X, "y": Y}, optimizer=kd.SGD(0.1))["loss"]
    assert value.shape == (1,)
    alone = kd.MLP(5, 4, 3, seed=2)
    expected = kd.fit(alone, kd.CrossEntropy(), data, validation=data, epochs=1, batch_size=2, progress=False)
    assert history.member(0)["loss"] == expected["loss"]
    assert history.member(0)["accuracy", "validation"] == expected["accuracy", "validation"]
    mutual = kd.distill.mutual.alternating_step({"a": one}, None, kd.CrossEntropy("a.logits"), {"x": X, "y": Y},
                                                optimizer=kd.SGD(0.1))  # fmt: skip
    assert mutual["loss"].shape == (1,)
    refreshed = kd.StalePeers("a").refresh([data], {"a": one})
    np.testing.assert_array_equal(refreshed.columns["stale.a.logits"], one.logits(X)[0])


def one_seed_over(seeds):
    stack = kd.Stack([kd.MLP(5, 4, 3, seed=seed) for seed in seeds])
    history = kd.fit(stack, kd.CrossEntropy(), kd.Data({"x": X, "y": Y}), seed=seeds, epochs=1, progress=False)
    return {"labels": {"loss": history["loss"][-1]}}


def test_seeds_in_groups_of_any_size_measure_the_same():
    runs = [kd.study.compare(one_seed_over, seeds=3, together=n, **QUIET) for n in (1, 2, 3)]
    one, two, three = (run.values("labels", "loss").tolist() for run in runs)
    assert one == two == three


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("how", ["last epoch", "peers", "early stopping"])
def test_a_member_that_overflows_ends_its_own_training_alone(how):
    """Its answers overflowed first where a hook asked for them, and the training of all ended, a column to blame."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)).astype(np.float32)
    rows = kd.Data({"x": x, "y": np.arange(40) % 3, "past.logits": np.zeros((40, 3), np.float32)})
    big = rows.with_columns({"x": x * np.float32(1e12)})
    settings = {"epochs": 8, "batch_size": 40, "optimizer": kd.SGD(0.5), "progress": False}
    students, objective = kd.Stack([kd.MLP(5, 8, 3, seed=i) for i in range(2)]), kd.CrossEntropy()
    if how == "last epoch":
        settings["hooks"], objective = [kd.LastEpoch()], kd.progressive()
    elif how == "peers":
        stale = kd.StalePeers("a", "b")
        students = {"a": students, "b": kd.Stack([kd.MLP(5, 8, 3, seed=i) for i in range(5, 7)])}
        objective = kd.distill.mutual.codistillation("a", "b")
        history = kd.fit(students, objective, stale.refresh([rows, big], students), hooks=[stale], **settings)
    else:
        settings |= {"hooks": [kd.EarlyStopping(patience=20)], "validation": [rows, big]}
    if how != "peers":
        history = kd.fit(students, objective, [rows, big], **settings)
    assert [*history.diverged] == [1] and len(history) == 8
    assert np.isfinite(history.member(0)["loss"]).all()
    for net in students.values() if isinstance(students, dict) else [students]:
        assert np.isfinite(net.theta).all()


def test_what_cannot_be_monitored_is_found_before_the_first_step():
    data, net = kd.Data({"x": X, "y": Y}), kd.MLP(5, 4, 3)
    before = net.theta.copy()
    with pytest.raises(ValueError, match="needs fit"):
        kd.fit(net, kd.CrossEntropy(), data, hooks=[kd.EarlyStopping()], epochs=2, progress=False)
    with pytest.raises(KeyError, match="'acuracy' is not in the validation values"):
        kd.fit(
            net, kd.CrossEntropy(), data, validation=data, hooks=[kd.EarlyStopping("acuracy")], epochs=2, progress=False
        )
    np.testing.assert_array_equal(net.theta, before)


def test_weights_of_teachers_by_a_function_may_stand_in_each_member_s_objective():
    """Two functions of the package, made alike, were no equal ones."""
    teachers = {"teacher": kd.MLP(5, 4, 3, seed=8), "other": kd.MLP(5, 4, 3, seed=9)}

    def objective(seed):
        hint = kd.fitnets(kd.MLP(4, 4, seed=seed), "student.h1", "teacher.h1")
        return hint + ensemble.weighted_teachers(("teacher.logits", "other.logits"), ensemble.entropy_weights, T=2)

    data, stack = kd.Data({"x": X, "y": Y}), kd.Stack([kd.MLP(5, 4, 3, seed=i) for i in range(2)])
    how = {"teachers": teachers, "epochs": 2, "batch_size": 2, "progress": False}
    history = kd.fit(stack, [objective(0), objective(1)], data, seed=[0, 1], **how)
    for i in range(2):
        alone = kd.fit(kd.MLP(5, 4, 3, seed=i), objective(i), data, seed=i, **how)
        np.testing.assert_allclose(history.member(i)["loss"], alone["loss"], rtol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 1.0])
def test_values_that_are_one_number_are_so_whatever_the_overlap(overlap):
    """p = 3e-7 of three values: the wider interval was taken for values that differ more."""
    verdict = kd.study.verdicts({"a": [-1.0097, -1.0107, -1.0092]}, overlap=overlap)["a"]
    assert (verdict.p, verdict.word) == (0.25, "not shown")
    mean, _, n = kd.study.interval([1.0, 2.0], overlap=overlap)
    assert (mean, n) == (1.5, 2)
