"""Layers: central differences, PyTorch, and what each remembers."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd

LAYERS = {
    "Linear": lambda: kd.Linear(4, 3, rng=1, dtype="float64"),
    "ReLU": kd.ReLU,
    "Tanh": kd.Tanh,
    "GELU": kd.GELU,
    "LayerNorm": lambda: kd.LayerNorm(4, dtype="float64"),
    "Dropout": lambda: kd.Dropout(0.4),
    "Select": lambda: kd.Select([3, 0, 2]),
}


def made(name):
    layer = LAYERS[name]()
    for p in layer.parameters:
        getattr(layer, p)[...] += 0.3 * np.random.default_rng(5).normal(size=layer.shapes[p])
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_by_central_differences(name, rng):
    assert kd.gradcheck.check_layer(made(name), rng.normal(size=(5, 4)), seed=3) < 1e-7


@pytest.mark.parametrize("name", LAYERS)
def test_backward_leaves_its_arguments_alone_and_can_add(name, rng):
    layer, x = made(name), rng.normal(size=(5, 4))
    y, cache = layer.forward(x, np.random.default_rng(0))
    dy = rng.normal(size=y.shape)
    kept = dy.copy(), x.copy()
    layer.backward(dy, cache)
    once = [getattr(layer, "d" + p).copy() for p in layer.parameters]
    layer.backward(dy, cache, accumulate=True)
    for p, g in zip(layer.parameters, once):
        np.testing.assert_allclose(getattr(layer, "d" + p), 2 * g)
    np.testing.assert_array_equal(dy, kept[0])
    np.testing.assert_array_equal(x, kept[1])


@pytest.mark.parametrize("name", ["Linear", "LayerNorm"])
def test_without_need_dx_nothing_is_returned(name, rng):
    layer = made(name)
    y, cache = layer.forward(rng.normal(size=(5, 4)))
    assert layer.backward(np.ones_like(y), cache, need_dx=False) is None


def test_two_inputs_before_either_goes_back(rng):
    layer = made("Linear")
    x1, x2 = rng.normal(size=(2, 5, 4))
    y1, c1 = layer.forward(x1)
    layer.forward(x2)
    dy = rng.normal(size=y1.shape)
    layer.backward(dy, c1)
    np.testing.assert_allclose(layer.dW, x1.T @ dy)


def test_against_pytorch(rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(5, 4))
    R = rng.normal(size=(5, 4))
    modules = {"ReLU": torch.nn.ReLU(), "Tanh": torch.nn.Tanh(), "GELU": torch.nn.GELU()}
    modules["LayerNorm"] = torch.nn.LayerNorm(4, dtype=torch.float64)
    for name, module in modules.items():
        layer = made(name)
        if name == "LayerNorm":
            module.weight.data, module.bias.data = torch.tensor(layer.g), torch.tensor(layer.b)
        t = torch.tensor(x, requires_grad=True)
        out = module(t)
        out.backward(torch.tensor(R))
        y, cache = layer.forward(x)
        np.testing.assert_allclose(y, out.detach().numpy(), atol=1e-12)
        np.testing.assert_allclose(layer.backward(R, cache), t.grad.numpy(), atol=1e-12)
        if name == "LayerNorm":
            np.testing.assert_allclose(layer.dg, module.weight.grad.numpy(), atol=1e-12)


def test_dropout_keeps_the_mean_and_the_rate():
    layer, x = kd.Dropout(0.3), np.ones((200, 500), np.float32)
    y, mask = layer.forward(x, np.random.default_rng(0))
    assert abs((y == 0).mean() - 0.3) < 0.005
    assert abs(y.mean() - 1) < 0.01
    assert y.dtype == mask.dtype == np.float32
    same, cache = layer.forward(x)
    assert same is x and cache is None


def test_half_of_nothing():
    for rate in (1.0, -0.1):
        with pytest.raises(ValueError, match="dropout rate"):
            kd.Dropout(rate)
    with pytest.raises(ValueError, match="widths"):
        kd.Linear(0, 3)


def test_a_silent_float64_is_refused():
    with pytest.raises(TypeError, match="the input is float64, the weights are float32"):
        kd.Linear(4, 3).forward(np.zeros((2, 4)))


@pytest.mark.parametrize("name", LAYERS)
def test_same_on_every_backend(name, backend, rng):
    x, dy = rng.normal(size=(5, 4)), rng.normal(size=(5, 3 if name in ("Linear", "Select") else 4))
    here, there = made(name), made(name)
    there.hold(**{p: np.zeros(there.shapes[p]) for p in there.parameters})
    for p in there.parameters:
        setattr(there, p, backend.put(getattr(here, p)))
        setattr(there, "d" + p, backend.put(getattr(here, "d" + p)))
    y, cache = here.forward(x, np.random.default_rng(0))
    dx = here.backward(dy, cache)
    y2, cache2 = there.forward(backend.put(x), np.random.default_rng(0))
    dx2 = there.backward(backend.put(dy), cache2)
    np.testing.assert_allclose(kd.to_numpy(y2), y, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kd.to_numpy(dx2), dx, rtol=1e-9, atol=1e-12)
