"""Peers who choose whom to listen to, and a target that moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import adaptor_check, answers

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import N, batch, peers
from kdlearn.distill import attention
from kdlearn.step import run_networks

quick = settings(deadline=None, max_examples=40)


@pytest.mark.parametrize("members", [1, 2, 4])
def test_attention(members):
    _, logits = answers(members)
    listening = attention.Attention(7, 3, seed=1, dtype="float64")
    h = [np.random.default_rng(m).normal(size=(N, 7)) for m in range(members)]
    adaptor_check(listening, np.random.default_rng(9).normal(size=(N, 7)), *h, *logits)
    with pytest.raises(ValueError, match="as many features"):
        listening.forward(h[0], *h, *logits, logits[0])


@quick
@given(T=st.floats(0.3, 30), seed=st.integers(0, 99))
def test_moving_target_moves_both(T, seed):
    _, (a, b) = answers(2, seed)
    weight = np.random.default_rng(seed).uniform(0.5, 2, N)
    for w in (None, weight):
        kd.gradcheck.check_loss(lambda z, w=w: (lambda v, g: (v, g[0]))(*attention.moving_target(z, b, T, weight=w)), a)
        kd.gradcheck.check_loss(lambda z, w=w: (lambda v, g: (v, g[1]))(*attention.moving_target(a, z, T, weight=w)), b)
    value, gradients = attention.moving_target(a.astype("float16"), b.astype("float32"), T)
    assert [g.dtype for g in gradients] == ["float16", "float32"] and value.dtype == "float32"


def test_moving_target_against_torch():
    torch = pytest.importorskip("torch")
    _, (a, b) = answers(2)
    ta, tb = torch.from_numpy(a).requires_grad_(), torch.from_numpy(b).requires_grad_()
    kl = torch.nn.functional.kl_div(torch.log_softmax(ta / 3, -1), torch.softmax(tb / 3, -1), reduction="batchmean")
    (9 * kl).backward()
    value, (da, db) = attention.moving_target(a, b, 3.0)
    assert value == pytest.approx(9 * kl.item())
    np.testing.assert_allclose(da, ta.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(db, tb.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_leader_is_heard_by_no_one():
    listening = attention.Attention(7, 3, seed=1, dtype="float64")
    objective = attention.okddip(listening, "leader", "a", "b")
    group = peers("leader", "a", "b")
    live, fixed, _ = run_networks(group, {}, objective, batch())
    before = objective(live, fixed).gradients
    elsewhere = {**live, "leader.logits": live["leader.logits"] + 1}
    after = objective(elsewhere, fixed | elsewhere).gradients
    for site in before:
        if not site.startswith("leader"):
            np.testing.assert_array_equal(before[site], after[site])
