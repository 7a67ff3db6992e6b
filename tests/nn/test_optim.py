"""Optimisers against PyTorch's and against their own equations; schedules; clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.nn import optim


def follow(optimizer, gradients, freeze=()):
    net = kd.MLP(3, 4, 2, seed=3, dtype="float64")
    net.freeze(*freeze)
    for g in gradients:
        net.grad[:] = g
        optimizer.step(net)
    return net


@pytest.fixture
def gradients(rng):
    return [rng.normal(size=26) for _ in range(5)]


RULES = {
    "sgd": (lambda: kd.SGD(0.1), lambda t, p: t.optim.SGD(p, 0.1)),
    "momentum": (lambda: kd.SGD(0.1, momentum=0.9), lambda t, p: t.optim.SGD(p, 0.1, momentum=0.9)),
    "nesterov": (
        lambda: kd.SGD(0.1, momentum=0.9, nesterov=True),
        lambda t, p: t.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    "nesterov with decay": (
        lambda: kd.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.2),
        lambda t, p: t.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.2),
    ),
    "adam": (lambda: kd.Adam(0.1), lambda t, p: t.optim.Adam(p, 0.1)),
    "adam with decay": (
        lambda: kd.Adam(0.1, weight_decay=0.2),
        lambda t, p: t.optim.Adam(p, 0.1, weight_decay=0.2),
    ),
    "adamw": (lambda: kd.AdamW(0.1, weight_decay=0.2), lambda t, p: t.optim.AdamW(p, 0.1, weight_decay=0.2)),
}


@pytest.mark.parametrize("name", RULES)
def test_against_pytorch(name, gradients):
    torch = pytest.importorskip("torch")
    ours, theirs = RULES[name]
    start = kd.MLP(3, 4, 2, seed=3, dtype="float64")
    n_weights = start.slices[0][1]
    weights = torch.nn.Parameter(torch.tensor(start.theta[:n_weights]))
    biases = torch.nn.Parameter(torch.tensor(start.theta[n_weights:]))
    decayed, plain = theirs(torch, [weights]), theirs(torch, [biases])
    for group in plain.param_groups:
        group["weight_decay"] = 0.0  # biases are not decayed
    for g in gradients:
        weights.grad, biases.grad = torch.tensor(g[:n_weights]), torch.tensor(g[n_weights:])
        decayed.step()
        plain.step()
    expected = np.concatenate([weights.detach().numpy(), biases.detach().numpy()])
    np.testing.assert_allclose(follow(ours(), gradients).theta, expected, atol=1e-12)


@pytest.mark.parametrize("make", [kd.SGD, kd.Adam, kd.AdamW])
def test_decay_shrinks_weights_and_leaves_biases(make):
    start = kd.MLP(3, 4, 2, seed=3, dtype="float64")
    start.theta[:] = 1.0
    net = start.copy()
    make(0.1, weight_decay=0.5).step(net)  # the gradient is zero: what moves, decay has moved
    n_weights = net.slices[0][1]
    assert (net.theta[:n_weights] < 1).all() and (net.theta[n_weights:] == 1).all()


@pytest.mark.parametrize("betas", [{}, {"beta1": 0.3, "beta2": 0.4}])  # of the second the powers are soon small
def test_adam_is_its_equation(gradients, betas):
    beta1, beta2 = betas.get("beta1", 0.9), betas.get("beta2", 0.999)
    net = kd.MLP(3, 4, 2, seed=3, dtype="float64")
    theta, m, v = net.theta.copy(), 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        theta -= 0.1 * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + 1e-8)
    np.testing.assert_allclose(follow(kd.Adam(0.1, **betas), gradients).theta, theta, rtol=1e-12)


def test_blocks_do_not_matter(gradients, monkeypatch):
    expected = follow(kd.Adam(0.1, weight_decay=0.1), gradients).theta
    monkeypatch.setattr(optim, "BLOCK", 5)
    np.testing.assert_array_equal(follow(kd.Adam(0.1, weight_decay=0.1), gradients).theta, expected)


def test_one_optimizer_keeps_apart_what_it_moves(gradients):
    shared = kd.Adam(0.1)
    a, b = (kd.MLP(3, 4, 2, seed=3, dtype="float64") for _ in "ab")
    for g in gradients:
        a.grad[:] = g
        b.grad[:] = -g
        shared.step(a)
        shared.step(b)
    np.testing.assert_array_equal(a.theta, follow(kd.Adam(0.1), gradients).theta)
    np.testing.assert_array_equal(b.theta, follow(kd.Adam(0.1), [-g for g in gradients]).theta)


def test_clip_norm_counts_only_what_is_trained(gradients):
    net = follow(kd.SGD(1.0, clip_norm=0.5), gradients[:1])
    start = kd.MLP(3, 4, 2, seed=3, dtype="float64")
    assert np.linalg.norm(net.theta - start.theta) == pytest.approx(0.5)
    net = follow(kd.SGD(1.0, clip_norm=0.5), gradients[:1], freeze=(1,))
    assert np.linalg.norm(net.theta - start.theta) == pytest.approx(0.5)
    net = follow(kd.SGD(1.0, clip_norm=1e3), gradients[:1])
    np.testing.assert_allclose(net.theta, start.theta - gradients[0])


def test_max_norm_bounds_what_enters_each_unit(gradients):
    net = follow(kd.SGD(1.0, max_norm=0.7), gradients)
    for layer in (net.layers[0], net.layers[2]):
        norms = np.linalg.norm(layer.W, axis=0)
        assert norms.max() == pytest.approx(0.7) and norms.max() < 0.7 + 1e-9


def test_schedules():
    assert [kd.constant(p) for p in (0, 0.5)] == [1, 1]
    assert [round(kd.cosine(p), 6) for p in (0, 0.5, 1)] == [1, 0.5, 0]
    assert [kd.steps(0.5, 0.75)(p) for p in (0.4, 0.5, 0.8)] == pytest.approx([1, 0.1, 0.01])
    rise = kd.warmup(0.2)
    assert [rise(p) for p in (0, 0.1, 0.2, 1)] == pytest.approx([0, 0.5, 1, 0])
    assert rise(0.6) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.5)))


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: kd.Adam(0), "lr"),
        (lambda: kd.Adam(-1), "lr"),
        (lambda: kd.SGD(float("nan")), "lr"),
        (lambda: kd.SGD(float("inf")), "lr"),
        (lambda: kd.Adam(weight_decay=-1), "weight_decay"),
        (lambda: kd.Adam(clip_norm=0), "clip_norm"),
        (lambda: kd.Adam(max_norm=-1), "max_norm"),
        (lambda: kd.SGD(0.1, momentum=1), "momentum"),
        (lambda: kd.Adam(beta1=1), "beta1"),
        (lambda: kd.warmup(0), "fraction"),
    ],
)
def test_bad_settings(make, name):
    with pytest.raises(ValueError, match=name):
        make()


@pytest.mark.parametrize("make", [kd.Adam, kd.AdamW])
def test_a_layer_that_is_freed_late_has_steps_of_its_own_with_a_fresh_optimizer(make):
    """Adam's t is the network's; the docstring says what that does, and what to do."""
    net = kd.MLP(2, 2, 2, dtype="float64")
    rule = make(0.01)

    def longest(optimizer):
        before = net.layers[0].W.copy()
        net.grad[...] = 1.0
        optimizer.step(net)
        return np.abs(net.layers[0].W - before).max() / 0.01

    net.freeze(1)
    assert longest(rule) == 0
    rule.memory_of(net).t = 10_000  # after a long training
    net.freeze()
    assert max(longest(rule) for _ in range(12)) == pytest.approx(6.57, abs=0.01)
    assert longest(rule.fresh()) == pytest.approx(1)


def test_max_norm_leaves_a_table_alone():
    net = kd.Network([kd.Embedding(5, 3), kd.Linear(6, 2)], {"logits": 1})
    before = net.layers[0].W.copy()
    net.zero_grad()
    kd.SGD(1.0, max_norm=0.1).step(net)
    np.testing.assert_array_equal(net.layers[0].W, before)
    assert np.linalg.norm(net.layers[1].W, axis=0).max() <= 0.1001


def test_frozen_layers_are_left_alone_with_momentum_and_decay(gradients):
    net = follow(kd.AdamW(0.1, weight_decay=0.5), gradients, freeze=(2,))
    start = kd.MLP(3, 4, 2, seed=3, dtype="float64")
    np.testing.assert_array_equal(net.layers[2].W, start.layers[2].W)
    assert not np.array_equal(net.layers[0].W, start.layers[0].W)
