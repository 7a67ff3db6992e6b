"""Branches of one trunk: the gate, and heads that teach each other."""

from __future__ import annotations

import numpy as np
import pytest
from peers import adaptor_check, answers

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import K, N, net
from kdlearn.distill import branches


@pytest.mark.parametrize("members", [1, 2, 4])
def test_gate(members):
    _, logits = answers(members)
    gate = branches.Gate(7, members, seed=1, dtype="float64")
    adaptor_check(gate, np.random.default_rng(2).normal(size=(N, 7)), *logits)
    with pytest.raises(ValueError, match=f"mixes {members} answers, got {members + 1}"):
        gate.forward(np.zeros((N, 7)), *logits, logits[0])


def test_one_against_torch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    rng, T = np.random.default_rng(0), 2.0
    h, z0, y = rng.normal(size=(N, 7)), rng.normal(size=(N, K)), rng.integers(0, K, N)
    head, gate = net(7, K, seed=3), branches.Gate(7, 2, seed=4, dtype="float64")
    live = {"student.h1": h, "student.logits": z0}
    result = branches.one(gate, head, T=T, weight=0.5)(live, {**live, "y": y})
    value, gradients = result.value, result.gradients

    def tensor(a):
        return torch.from_numpy(np.array(a)).requires_grad_()

    th, tz, ty = tensor(h), tensor(z0), torch.from_numpy(y)
    W, b, V, c = (tensor(a) for a in (head.layers[0].W, head.layers[0].b, gate.layers[0].W, gate.layers[0].b))
    z1, g = th @ W + b, torch.softmax(th @ V + c, -1)
    e = g[:, :1] * tz + g[:, 1:] * z1
    total = F.cross_entropy(tz, ty) + F.cross_entropy(z1, ty) + F.cross_entropy(e, ty)
    for z in (tz, z1):
        kl = F.kl_div(torch.log_softmax(z / T, -1), torch.softmax(e.detach() / T, -1), reduction="batchmean")
        total = total + 0.5 * T * T * kl
    total.backward()
    assert value == pytest.approx(total.item())
    for got, expected in (
        (gradients["student.h1"], th), (gradients["student.logits"], tz), (head.layers[0].dW, W),
        (head.layers[0].db, b), (gate.layers[0].dW, V), (gate.layers[0].db, c),
    ):  # fmt: skip
        np.testing.assert_allclose(got, expected.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_heads_learn_from_the_mean_of_the_others():
    rng = np.random.default_rng(0)
    h, z0, y = rng.normal(size=(N, 7)), rng.normal(size=(N, K)), rng.integers(0, K, N)
    heads = [net(7, K, seed=3), net(7, K, seed=4)]
    live = {"student.h1": h, "student.logits": z0}
    result = branches.cl_ilr(*heads, T=2, beta=0.3)(live, {**live, "y": y})
    value, gradients = result.value, result.gradients
    z = [z0, *(n.logits(h) for n in heads)]
    expected = sum(
        0.3 * kd.cross_entropy(z[m], y)[0] + 0.7 * kd.soft_targets(z[m], (sum(z) - z[m]) / 2, 2)[0] for m in range(3)
    )
    assert value == pytest.approx(expected)
    own = 0.3 * kd.cross_entropy(z0, y)[1] + 0.7 * kd.soft_targets(z0, (z[1] + z[2]) / 2, 2)[1]
    np.testing.assert_allclose(gradients["student.logits"], own)
