"""The embedding: its gradient by three witnesses, its tokens at the door of `fit`, its backends."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.sequence import character_model
from kdlearn.nn.layers import Embedding


def reference(x, dy, V):
    """The sum written as additions, one token at a time."""
    dW = np.zeros((V, dy.shape[1] // x.shape[1]))
    np.add.at(dW, x, dy.reshape(*x.shape, -1))
    return dW


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_forward_and_gradient(seed, N, C, V, E):
    """With few tokens and many places, most tokens occur more than once."""
    rng = np.random.default_rng(seed)
    layer = Embedding(V, E, rng=rng, dtype="float64")
    x, R = rng.integers(0, V, (N, C)), rng.normal(size=(N, C * E))
    y, cache = layer.forward(x)
    assert cache is x and y.shape == (N, C * E)
    np.testing.assert_array_equal(y, np.concatenate([layer.W[x[:, c]] for c in range(C)], axis=1))
    kept = R.copy()
    assert layer.backward(R, cache) is None
    np.testing.assert_allclose(layer.dW, reference(x, R, V), atol=1e-12)
    np.testing.assert_array_equal(R, kept)
    dW = layer.dW.copy()

    def value(W):
        layer.W[...] = W
        return (R * layer.forward(x)[0]).sum()

    expected = kd.gradcheck.numerical_gradient(value, layer.W.copy())
    assert kd.gradcheck.compare_gradients(dW, expected, "dW") < 1e-7


def test_against_pytorch(rng):
    torch = pytest.importorskip("torch")
    layer = Embedding(5, 3, rng=2, dtype="float64")
    x, R = rng.integers(0, 5, (4, 6)), rng.normal(size=(4, 18))
    W = torch.tensor(layer.W, requires_grad=True)
    y = torch.nn.functional.embedding(torch.tensor(x), W).reshape(4, -1)
    y.backward(torch.tensor(R))
    np.testing.assert_array_equal(layer.forward(x)[0], y.detach().numpy())
    layer.backward(R, x)
    np.testing.assert_allclose(layer.dW, W.grad.numpy(), atol=1e-12)


def test_gradients_are_written_or_added(rng):
    layer = Embedding(5, 3, rng=2, dtype="float64")
    x, dy = np.array([[1, 1], [4, 1]]), rng.normal(size=(2, 6))
    layer.dW[...] = 7.0
    layer.backward(dy, x)
    once = layer.dW.copy()
    assert (once[[0, 2, 3]] == 0).all()  # a token that is not in the batch has no gradient
    layer.backward(dy, x, accumulate=True)
    np.testing.assert_allclose(layer.dW, 2 * once)


def test_same_on_every_backend(backend, rng):
    here, there = Embedding(5, 3, rng=2), Embedding(5, 3, rng=2)
    there.W, there.dW = backend.put(there.W), backend.put(there.dW)
    x, dy = rng.integers(0, 5, (7, 4)), rng.normal(size=(7, 12)).astype("float32")
    y, cache = here.forward(x)
    y2, cache2 = there.forward(backend.put(x))
    np.testing.assert_array_equal(kd.to_numpy(y2), y)
    here.backward(dy, cache)
    there.backward(backend.put(dy), cache2)
    np.testing.assert_allclose(kd.to_numpy(there.dW), here.dW, rtol=1e-5, atol=1e-6)


def test_one_token_is_one_row_of_a_linear_layer(rng):
    """The table is a Linear layer without bias whose input is one-hot."""
    layer, linear = Embedding(5, 3, rng=2, dtype="float64"), kd.Linear(5, 3, dtype="float64")
    linear.W[...] = layer.W
    x, dy = rng.integers(0, 5, (6, 1)), rng.normal(size=(6, 3))
    y, cache = linear.forward(kd.one_hot(x[:, 0], 5, "float64"))
    np.testing.assert_allclose(layer.forward(x)[0], y)
    layer.backward(dy, x)
    linear.backward(dy, cache)
    np.testing.assert_allclose(layer.dW, linear.dW)


# ---------------------------------------------------------------------- in a network


def text_like(n=40, V=6, C=3, seed=0, dtype=np.int32):
    rng = np.random.default_rng(seed)
    return kd.Data({"x": rng.integers(0, V, (n, C)).astype(dtype), "y": rng.integers(0, V, n)})


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_a_network_takes_integers_as_they_are(dtype):
    data, net = text_like(dtype=dtype), character_model(6, 3, 4, 8, seed=1)
    assert net.takes_tokens and not kd.MLP(3, 2).takes_tokens
    before = net.layers[0].W.copy()
    seen = []
    kd.fit(
        net, kd.CrossEntropy(), lambda epoch, rng: data, epochs=3, validation=data, progress=False,
        hooks=[lambda run: seen.append(run.data.x.dtype)],
    )  # fmt: skip
    assert seen == [dtype] * 3
    assert (before != net.layers[0].W).any(axis=1).all()  # every row of the table has learned
    assert net.logits(data.x).shape == (40, 6) and net.logits(data.x[:0]).shape == (0, 6)
    np.testing.assert_array_equal(net.logits(data.x[:2].tolist()), net.logits(data.x[:2]))


def test_a_network_that_starts_with_numbers_casts_integers_as_before():
    data, net = text_like(), kd.MLP(3, 8, 6)
    kd.fit(net, kd.CrossEntropy(), data, epochs=1, progress=False)
    np.testing.assert_array_equal(net.logits(data.x), net.logits(data.x.astype("float32")))


@pytest.mark.parametrize(
    "x, message",
    [
        (np.array([[0, 1, 6]]), r"tokens must lie in 0 … 5, the rows of the table; got 6"),
        (np.array([[0, -1, 2]]), r"got -1"),
        (np.array([[0.0, 1.0, 2.0]]), "integer"),
        (np.array([[True, False, True]]), "integer"),
        (np.array([["a", "b", "c"]]), "integer"),
        (np.array([[0, 1, 2, 3]]), "x has 4 features, the network takes 3"),
        (np.array([0, 1, 2]), "2-D"),
    ],
)
def test_bad_tokens_are_refused_at_the_door(x, message):
    net = character_model(6, 3, 4, 8)
    before = net.theta.copy()
    with pytest.raises(ValueError, match=message):
        net.logits(x)
    with pytest.raises(ValueError, match=message):
        kd.fit(net, kd.CrossEntropy(), kd.Data({"x": x, "y": np.zeros(len(x), int)}), epochs=1, progress=False)
    np.testing.assert_array_equal(net.theta, before)


def test_bad_tokens_are_refused_for_a_teacher_and_on_a_device(standin):
    """A GPU would read another row of the table, silently."""
    data = text_like(V=6).to("cuda")
    with pytest.raises(ValueError, match="tokens must lie in 0 … 3"):
        kd.fit(
            character_model(6, 3, 4, 8).to("cuda"), kd.SoftTargets(), data,
            teachers=character_model(4, 3, 4, 8).to("cuda"), epochs=1, progress=False,
        )  # fmt: skip


def test_the_layer_itself_refuses_numbers():
    with pytest.raises(TypeError, match="tokens must be integers, got float32"):
        Embedding(4, 2).forward(np.zeros((2, 3), np.float32))
    for wrong in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            Embedding(*wrong)


def test_one_column_cannot_be_tokens_and_numbers():
    data, student, teacher = text_like(), kd.MLP(3, 8, 6), character_model(6, 3, 4, 8)
    with pytest.raises(ValueError, match=r"column 'x' holds tokens for one network, numbers for 'student'; give it"):
        kd.fit(student, kd.SoftTargets(), data, teachers=teacher, epochs=1, progress=False)
    views = data.with_columns({"student.x": data.x})
    kd.fit(student, kd.SoftTargets(), views, teachers=teacher, epochs=1, progress=False)


def test_a_frozen_table_is_left_alone_and_the_rest_learns():
    data, net = text_like(), character_model(6, 3, 4, 8)
    net.freeze(1)
    table, other = net.layers[0].W.copy(), net.layers[1].W.copy()
    kd.fit(net, kd.CrossEntropy(), data, epochs=1, optimizer=kd.Adam(1e-2, weight_decay=0.1), progress=False)
    np.testing.assert_array_equal(net.layers[0].W, table)
    assert (other != net.layers[1].W).any()


def test_copies_and_pickles_are_independent_networks():
    data, net = text_like(), character_model(6, 3, 4, 8)
    for other in (net.copy(), copy.copy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.logits(data.x), net.logits(data.x))
        other.layers[0].W += 1
        assert other.theta[0] != net.theta[0]


def test_a_saved_network_comes_back(tmp_path):
    data, net = text_like(), character_model(6, 3, 4, 8, dropout=0.2, seed=3)
    kd.save(tmp_path / "net", net)
    loaded = kd.load(tmp_path / "net")
    assert repr(loaded.layers) == repr(net.layers) and loaded.taps == net.taps
    np.testing.assert_array_equal(loaded.logits(data.x), net.logits(data.x))


def test_training_repeats_to_the_last_bit():
    def train():
        net = character_model(6, 3, 4, 8, dropout=0.2, seed=1)
        kd.fit(net, kd.CrossEntropy(), text_like(200), epochs=2, batch_size=32, progress=False)
        return net.theta

    np.testing.assert_array_equal(train(), train())


def test_a_stack_looks_up_rows_that_all_members_share():
    nets = [character_model(6, 3, 4, 8, seed=i) for i in range(3)]
    data, stack = text_like(), kd.Stack(nets)
    np.testing.assert_allclose(stack.logits(data.x), [net.logits(data.x) for net in nets], atol=1e-6)
    found = kd.evaluate(stack, kd.CrossEntropy(), data)
    alone = [kd.evaluate(net, kd.CrossEntropy(), data)["loss"] for net in nets]
    np.testing.assert_allclose(found["loss"], alone, rtol=1e-5)
