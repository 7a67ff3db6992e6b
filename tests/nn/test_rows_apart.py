"""A stack, and a batch in pieces, are what each network and each batch is alone: layers that mix rows are refused."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd

ROWS = kd.Data({"x": np.random.default_rng(0).normal(size=(12, 4)), "y": np.arange(12) % 3})


class BatchMean(kd.Layer):
    """It looks across rows, and says nothing."""

    def forward(self, x, rng=None):
        return x - x.mean(0), None

    def backward(self, dy, cache, accumulate=False, need_dx=True):
        return dy - dy.mean(0)


class Centred(kd.Tanh):
    """It has a forward pass of its own in the place of one that is known."""

    def forward(self, x, rng=None):
        return super().forward(x - x.mean(0), rng)


class Scale(kd.Layer):
    """Own weights, written for stacks; noise of each member's own dice."""

    row_by_row = True
    weights = ("g",)

    def __init__(self, width):
        self.hold(g=np.ones(width))

    def forward(self, x, rng=None):
        shift = 0.0 if rng is None else 0.1 * self.noise(rng, x.shape)
        return x * self.g + shift, x

    def noise(self, rng, shape):
        return np.stack([own.random(shape[1:]) for own in rng]) if isinstance(rng, list) else rng.random(shape)

    def backward(self, dy, cache, accumulate=False, need_dx=True):
        if accumulate is not None:
            g = (dy * cache).sum(axis=-2, keepdims=self.g.ndim > 1)
            self.dg[...] = self.dg + g if accumulate else g
        return dy * self.g

    def settings(self):
        return {"width": self.shapes["g"][-1]}


class Quiet(Scale):
    def forward(self, x, rng=None):
        return x * self.g - x.mean(0), x


class OwnPass(kd.Network):
    def forward(self, x, rng=None, taps=None):
        return super().forward(x - x.mean(0), rng, taps)


def net(activation=kd.ReLU, seed=0):
    return kd.MLP(4, 6, 3, activation=activation, seed=seed, dtype="float64")


@pytest.mark.parametrize("layer", [BatchMean, Centred, lambda: Quiet(6)])
def test_a_layer_that_may_mix_rows_is_refused_by_name(layer):
    name = type(layer()).__name__
    with pytest.raises(TypeError, match=f"{name} does not say that it works row by row, as a stack asks"):
        kd.Stack([net(layer), net(layer, 1)])
    parts = {"epochs": 1, "batch_size": 6, "micro_batch": 2, "progress": False}
    with pytest.raises(TypeError, match=f"{name} does not say that it works row by row, as micro_batch asks"):
        kd.fit(net(layer), kd.CrossEntropy(), ROWS, **parts)
    with pytest.raises(TypeError, match=f"{name} does not say"):
        kd.fit(net(), kd.SoftTargets(), ROWS, teachers=net(layer), **parts)
    kd.fit(net(layer), kd.CrossEntropy(), ROWS, epochs=1, progress=False)


def test_a_network_with_a_pass_of_its_own_may_mix_rows_too():
    own = OwnPass([kd.Linear(4, 3, dtype="float64")], {"logits": 0})
    with pytest.raises(TypeError, match="OwnPass does not say"):
        kd.fit(own, kd.CrossEntropy(), ROWS, epochs=1, micro_batch=2, progress=False)


def test_a_layer_that_says_so_is_stacked_with_its_weights_and_dice():
    nets = [net(lambda: Scale(6), seed) for seed in (0, 1)]
    stack = kd.Stack(nets)
    how = {"epochs": 2, "batch_size": 5, "progress": False}
    kd.fit(stack, kd.CrossEntropy(), ROWS, seed=[3, 4], **how)
    for i, alone in enumerate(nets):
        kd.fit(alone, kd.CrossEntropy(), ROWS, seed=3 + i, **how)
        np.testing.assert_allclose(stack[i].theta, alone.theta, rtol=1e-9)
    kd.fit(net(lambda: Scale(6)), kd.CrossEntropy(), ROWS, micro_batch=2, **how)


def test_a_stack_by_hand_takes_the_rows_of_each_member():
    stack = kd.Stack([net(seed=seed) for seed in range(5)])
    with pytest.raises(ValueError, match="12 rows are not those of 5 members"):
        kd.train_step(stack, None, kd.CrossEntropy(), ROWS.columns, optimizer=kd.SGD(0.1))
