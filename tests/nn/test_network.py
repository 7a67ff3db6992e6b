"""The network: flat vectors and views, taps, injection, freezing, copies, devices, bad input."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.nn.network import Network


def views_hold(net):
    for layer in net.layers:
        for p in layer.parameters:
            assert np.shares_memory(getattr(layer, p), net.theta)
            assert np.shares_memory(getattr(layer, "d" + p), net.grad)
    net.theta[:] = np.arange(net.theta.size)
    return [getattr(layer, p).copy() for layer in net.layers for p in layer.parameters]


def small(**options):
    return kd.MLP(4, 6, 5, 3, dropout=(0.1, 0.2, 0.3), layer_norm=True, seed=1, **options)


def test_layout():
    net = kd.MLP(4, 6, 3)
    assert net.theta.shape == net.grad.shape == (4 * 6 + 6 * 3 + 6 + 3,)
    assert net.slices == ((0, 42, True), (42, 51, False))  # weights, then biases: two runs
    assert [type(layer).__name__ for layer in net.layers] == ["Linear", "ReLU", "Linear"]
    assert net.layers[0].W.shape == (4, 6) and net.layers[0].b.shape == (6,)


@pytest.mark.parametrize(
    "clone",
    [kd.MLP.copy, copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))],
    ids=["copy", "copy.copy", "deepcopy", "pickle"],
)
def test_copies_keep_their_own_views(clone, rng):
    net = small()
    net.freeze(1)
    other = clone(net)
    x = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(other.predict_proba(x), net.predict_proba(x))
    assert not np.shares_memory(net.theta, other.theta)
    assert other.slices == net.slices
    for a, b in zip(views_hold(net), views_hold(other)):
        np.testing.assert_array_equal(a, b)


def test_a_pickle_carries_the_parameters_once():
    net = kd.MLP(100, 100, 10)
    assert len(pickle.dumps(net)) < 1.2 * net.theta.nbytes


def test_taps(rng):
    net, x = small(), rng.normal(size=(3, 4)).astype(np.float32)
    sites, _ = net.forward(x)
    assert list(sites) == ["a1", "h1", "a2", "h2", "logits"]
    np.testing.assert_array_equal(sites["h1"], np.maximum(sites["a1"], 0))
    assert list(net.forward(x, taps=("h2",))[0]) == ["h2"]
    with_dice, _ = net.forward(x, np.random.default_rng(0))
    assert not np.array_equal(with_dice["h2"], sites["h2"])


def test_gradients_are_injected_at_taps_and_unreached_layers_get_none(rng):
    net, x = kd.MLP(4, 6, 5, 3, dtype="float64"), rng.normal(size=(3, 4))
    sites, caches = net.forward(x)
    g = {tap: rng.normal(size=a.shape) for tap, a in sites.items()}
    net.backward(caches, g)
    together = net.grad.copy()
    apart = np.zeros_like(together)
    for tap in g:
        net.zero_grad()
        net.backward(caches, {tap: g[tap]})
        apart += net.grad
    np.testing.assert_allclose(together, apart)
    net.written = False  # what was there is stale, and is not cleared
    net.backward(caches, {"h1": g["h1"]})
    assert net.layers[0].dW.any() and not net.layers[2].dW.any() and not net.layers[4].dW.any()
    net.written = False
    net.backward(caches, {})
    assert not net.grad.any()


def test_backward_writes_first_and_then_adds_until_an_optimiser_has_moved(rng):
    net, x = kd.MLP(4, 6, 3, dtype="float64"), rng.normal(size=(3, 4))
    _, caches = net.forward(x)
    g = {"logits": rng.normal(size=(3, 3))}
    net.backward(caches, g)
    once = net.grad.copy()
    net.backward(caches, g)
    np.testing.assert_allclose(net.grad, 2 * once)
    kd.SGD(1e-12).step(net)
    np.testing.assert_allclose(net.grad, 2 * once)  # still there to be looked at
    net.backward(caches, g)
    np.testing.assert_allclose(net.grad, once)
    net.zero_grad()
    assert not net.grad.any()


def test_a_network_over_given_parameters(rng):
    first = kd.MLP(4, 6, 3)
    theta = rng.normal(size=first.theta.size).astype("float32")
    first.lay_over(theta)
    assert first.theta is theta and np.shares_memory(first.layers[0].W, theta)
    assert np.shares_memory(first.layers[0].dW, first.grad)
    with pytest.raises(ValueError, match="51 parameters, theta has shape"):
        first.lay_over(theta[:-1])
    with pytest.raises(ValueError, match="float32 or float64, not in float16"):
        kd.MLP(4, 6, 3, dtype="float16")


def test_dx_only_when_asked_for(rng):
    net, x = kd.MLP(4, 6, 3, dtype="float64"), rng.normal(size=(3, 4))
    _, caches = net.forward(x)
    R = rng.normal(size=(3, 3))
    assert net.backward(caches, {"logits": R}) is None
    dx = net.backward(caches, {"logits": R}, need_dx=True)
    expected = kd.gradcheck.numerical_gradient(lambda v: (R * net.logits(v)).sum(), x)
    np.testing.assert_allclose(dx, expected, atol=1e-8)


def test_frozen_layers_stay(rng):
    net, data = small(), {"x": rng.normal(size=(8, 4)).astype(np.float32), "y": rng.integers(0, 3, 8)}
    net.freeze(1, 3)
    before = net.copy()
    for _ in range(3):
        kd.train_step(net, None, kd.CrossEntropy(), data, optimizer=kd.AdamW(0.1, weight_decay=0.5, max_norm=0.1))
    moved = [
        not np.array_equal(getattr(a, p), getattr(b, p))
        for a, b in zip(net.layers, before.layers)
        for p in a.parameters
    ]
    assert moved == [False] * 4 + [True] * 4 + [False] * 2
    others = net.frozen
    net.freeze(2)  # which replaces the last call
    assert net.frozen and not net.frozen & others
    net.freeze()
    assert net.slices == before.slices or len(net.slices) == 2
    with pytest.raises(ValueError, match="numbered 1 to 3"):
        net.freeze(4)


def test_inference_in_batches_equals_one_pass(rng):
    net, x = small(), rng.normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_allclose(net.logits(x, batch_size=7), net.logits(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.predict(x), net.logits(x).argmax(axis=1))
    np.testing.assert_allclose(net.predict_proba(x, T=3), kd.softmax(net.logits(x), 3))
    assert net.logits(x[:0]).shape == (0, 3)
    assert net.predict(x[:0]).shape == (0,)


def test_one_output_predicts_itself(rng):
    net, x = kd.MLP(4, 5, 1), rng.normal(size=(6, 4))
    np.testing.assert_array_equal(net.predict(x), net.logits(x)[:, 0])


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros(4), r"2-D .* x.reshape\(1, -1\)"),
        (np.zeros((2, 2, 2)), "2-D"),
        (np.zeros((2, 5)), "x has 5 features, the network takes 4"),
        (np.zeros((2, 4), complex), "real"),
    ],
)
def test_bad_input(x, message):
    with pytest.raises(ValueError, match=message):
        small().predict(x)


def test_input_of_any_kind_of_number():
    net = small()
    x = np.array([[0, 1, 1, 0]])
    for kind in (x.tolist(), x.astype(bool), x.astype(np.int8), x.astype(float), np.asfortranarray(x)):
        np.testing.assert_array_equal(net.logits(kind), net.logits(x.astype(np.float32)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: kd.MLP(4), "input and an output"),
        (lambda: kd.MLP(4, 0, 3), "positive integer"),
        (lambda: kd.MLP(4, 2.5, 3), "positive integer"),
        (lambda: kd.MLP(4, 5, 3, dropout=(0.1,)), "one rate for each of the 2 linear layers"),
        (lambda: kd.MLP(4, 5, 3, dropout=1.5), "dropout rate"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_summary_counts():
    text = kd.MLP(4, 6, 3).summary()
    assert "Linear(4, 6)" in text and "logits" in text and text.endswith("51")


def test_to_a_device_and_back(backend, rng):
    net = small()
    x = rng.normal(size=(5, 4)).astype(np.float32)
    there = net.to(backend.device)
    assert (there is net) == (backend.name == "numpy")
    np.testing.assert_allclose(kd.to_numpy(there.logits(backend.put(x))), net.logits(x), rtol=1e-5)
    np.testing.assert_array_equal(there.to("cpu").theta, net.theta)
    if backend.name != "numpy":
        with pytest.raises(TypeError, match="mixed"):
            there.logits(x)


def test_any_row_of_layers_is_a_network(rng):
    net = Network([kd.Linear(3, 4, rng=0), kd.Tanh()], {"logits": 1})
    assert net.logits(rng.normal(size=(2, 3))).shape == (2, 4)


def test_two_taps_of_one_layer_are_refused():
    layers = kd.MLP(4, 5, 3).layers
    with pytest.raises(ValueError, match="'h1' and 'same' name one layer, 1"):
        Network(layers, {"h1": 1, "same": 1, "logits": 2})


def test_taps_are_a_list_of_names():
    """The text was read letter by letter."""
    with pytest.raises(TypeError, match=r"taps is a list of names, got the text 'logits'; write taps=\['logits'\]"):
        kd.MLP(4, 3).forward(np.zeros((2, 4), np.float32), taps="logits")


@pytest.mark.parametrize("make", [lambda net: net, lambda net: kd.Stack([net, net])])
def test_a_gradient_has_the_rows_that_went_forward(make):
    net = make(kd.MLP(4, 5, 3))
    sites, caches = net.forward(np.zeros((10, 4), np.float32))
    with pytest.raises(ValueError, match=r"the gradient at 'logits' has shape .*, forward was given \d+ rows"):
        net.backward(caches, {"logits": sites["logits"][:6]})
    with pytest.raises(ValueError, match=r"the gradient at 'h1' has shape .*, forward was given \d+ rows"):
        net.backward(caches, {"logits": sites["logits"], "h1": sites["h1"][:6]})
