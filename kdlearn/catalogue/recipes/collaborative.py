"""One target made of all peers."""

from __future__ import annotations

from kdlearn.catalogue.recipes.parts import D, N, Setup, batch, peers, recipe
from kdlearn.distill import collaborative, ensemble


@recipe
def kdcl_naive(device="cpu"):
    """The best peer of each row teaches all, KDCL-Naive, Guo et al. 2020 [collaborative.1]."""
    return Setup(peers("a", "b", "c"), collaborative.kdcl("a", "b", "c", target=collaborative.lowest_loss), batch())


@recipe
def kdcl_linear(device="cpu"):
    """The best mixture of peers teaches all, KDCL-Linear, Guo et al. 2020 [collaborative.2]."""
    return Setup(peers("a", "b", "c"), collaborative.kdcl("a", "b", "c", target=collaborative.best_mixture), batch())


@recipe
def kdcl_min_logit(device="cpu"):
    """The smallest logits teach all, each peer sees its own view, KDCL-MinLogit, Guo et al. 2020 [collaborative.3]."""
    views = batch(**{"b.x": lambda rng: rng.normal(size=(N, D))})
    return Setup(peers("a", "b"), collaborative.kdcl("a", "b", weight=lambda t: 0.5 + t), views)


@recipe
def kdcl_mean(device="cpu"):
    """The mean of the peers' logits teaches all, Guo et al. 2020 [ensemble.2]."""
    return Setup(
        peers("a", "b"), collaborative.kdcl("a", "b", target=lambda y, *z: ensemble.mean_of_logits(*z)), batch()
    )
