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
