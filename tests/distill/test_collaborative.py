"""One target for all peers, made of their answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import answers, losses

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import K, N
from kdlearn.distill import collaborative

TARGETS = collaborative.lowest_loss, collaborative.best_mixture, collaborative.min_logit
quick = settings(deadline=None, max_examples=40)


@quick
@given(M=st.integers(1, 5), seed=st.integers(0, 99))
def test_common_targets_are_ordered_by_their_loss(M, seed):
    y, logits = answers(M, seed)
    best = losses(y, logits).min(axis=0)
    naive, linear, smallest = (
        f(y, *logits) for f in (collaborative.lowest_loss, collaborative.best_mixture, collaborative.min_logit)
    )
    np.testing.assert_allclose(losses(y, [naive])[0], best)
    assert (losses(y, [linear])[0] <= best + 1e-12).all()
    assert (losses(y, [smallest])[0] <= losses(y, [linear])[0] + 1e-9).all()
    np.testing.assert_allclose(smallest[np.arange(N), y], 0)
    np.testing.assert_allclose(losses(y, [smallest])[0], np.log(np.exp(smallest).sum(axis=1)))
    if M == 1:
        np.testing.assert_allclose(kd.softmax(smallest), kd.softmax(logits[0]))


def test_best_mixture_against_a_search():
    y, logits = answers(3, seed=4)
    Z = np.stack(logits)
    best = np.full(N, np.inf)
    for w in np.random.default_rng(0).dirichlet(0.3 * np.ones(3), 4000):
        best = np.minimum(best, losses(y, [np.tensordot(w, Z, 1)])[0])
    assert (losses(y, [collaborative.best_mixture(y, *logits, steps=200)])[0] <= best + 1e-3).all()
    assert (losses(y, [collaborative.best_mixture(y, *logits)])[0] <= best + 2e-2).all()
    assert (losses(y, [collaborative.best_mixture(y, *logits)])[0] < losses(y, logits).min(axis=0) - 1e-3).any()


def test_common_targets_need_one_label_a_row():
    y, logits = answers()
    for target in TARGETS:
        with pytest.raises(ValueError, match="one label a row"):
            target(np.eye(K)[y], *logits)
        for wrong in (-1, K):  # -1 would be the last class
            with pytest.raises(ValueError, match="labels must lie in"):
                target(np.where(np.arange(len(y)) == 1, wrong, y), *logits)


def test_labels_and_answers_weigh_alike_unless_told():
    assert [t.factor({}) for t in collaborative.kdcl("a", "b").terms] == [1, 1, 1, 1]
    assert [t.factor({}) for t in collaborative.kdcl("a", "b", weight=3.0).terms] == [1, 1, 3, 3]
