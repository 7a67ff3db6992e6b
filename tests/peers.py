"""Random answers of peers, and the check of an adaptor that mixes them."""

from __future__ import annotations

import pickle

import numpy as np

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import K, N


def answers(M=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, K, N), [(2 * rng.normal(size=(N, K)) + m) for m in range(M)]


def losses(y, logits):
    return np.stack([-kd.log_softmax(z)[np.arange(N), y] for z in logits])


def adaptor_check(adaptor, *arrays):
    """Every input's gradient and the parameters', against central differences of a random projection; its copies."""
    out, caches = adaptor.forward(*arrays, taps=("logits",))
    R = np.random.default_rng(1).normal(size=out["logits"].shape)
    dx = adaptor.backward(caches, {"logits": R}, need_dx=True)
    grad = adaptor.grad.copy()

    def value(i, v):
        return (R * adaptor.forward(*arrays[:i], v, *arrays[i + 1 :])[0]["logits"]).sum()

    for i, a in enumerate(arrays):
        expected = kd.gradcheck.numerical_gradient(lambda v, i=i: value(i, v), a)
        kd.gradcheck.compare_gradients(dx[i], expected, f"input {i}")

    def of_theta(theta):
        adaptor.theta[...] = theta
        return value(0, arrays[0])

    kd.gradcheck.compare_gradients(grad, kd.gradcheck.numerical_gradient(of_theta, adaptor.theta.copy()), "theta")
    adaptor.backward(caches, {"logits": R})
    np.testing.assert_allclose(adaptor.grad, 2 * grad)
    for again in (adaptor.copy(), pickle.loads(pickle.dumps(adaptor))):
        np.testing.assert_array_equal(again.theta, adaptor.theta)
        layer = again.layers[0]
        assert all(np.shares_memory(getattr(layer, name), again.theta) for name in layer.parameters)
        assert not np.shares_memory(again.theta, adaptor.theta)
