"""Students without a teacher: every way of learning together once."""

from __future__ import annotations

from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, net, recipe, student
from kdlearn.distill import ensemble, online


def peers(*names):
    return {name: net(D, 7, K, seed=1 + i) for i, name in enumerate(names)}


@recipe
def mutual_of_three(device="cpu"):
    """Deep mutual learning of three peers, Zhang et al. 2018 [online.1]."""
    return Setup(peers("a", "b", "c"), online.mutual("a", "b", "c", T=2, weight=0.7), batch())


@recipe
def kdcl_naive(device="cpu"):
    """The best peer of each row teaches all, KDCL-Naive, Guo et al. 2020 [online.3]."""
    return Setup(peers("a", "b", "c"), online.kdcl("a", "b", "c", target=online.lowest_loss), batch())


@recipe
def kdcl_linear(device="cpu"):
    """The best mixture of peers teaches all, KDCL-Linear, Guo et al. 2020 [online.4]."""
    return Setup(peers("a", "b", "c"), online.kdcl("a", "b", "c", target=online.best_mixture), batch())


@recipe
def kdcl_min_logit(device="cpu"):
    """The smallest logits teach all, each peer with a view of its own, KDCL-MinLogit, Guo et al. 2020 [online.5]."""
    views = batch(**{"b.x": lambda rng: rng.normal(size=(N, D))})
    return Setup(peers("a", "b"), online.kdcl("a", "b", weight=lambda t: 0.5 + t), views)


@recipe
def kdcl_mean(device="cpu"):
    """The mean of the peers' logits teaches all, Guo et al. 2020 [ensemble.2]."""
    return Setup(peers("a", "b"), online.kdcl("a", "b", target=lambda y, *z: ensemble.mean_of_logits(*z)), batch())


@recipe
def gated_branches(device="cpu"):
    """Branches of one trunk and their gated mixture, ONE, Lan et al. 2018 [online.6]."""
    heads = [net(7, K, seed=8).to(device), net(7, 5, K, seed=9).to(device)]
    gate = online.Gate(7, 3, seed=10, dtype="float64").to(device)
    return Setup(student(), 0.8 * online.one(gate, *heads, T=2, weight=0.7), batch())


@recipe
def heads_of_one_trunk(device="cpu"):
    """Heads taught by the mean of the other heads, CL-ILR, Song and Chai 2018 [online.7]."""
    heads = [net(7, K, seed=8).to(device), net(7, 5, K, seed=9).to(device)]
    return Setup(student(), 1 / 3 * online.cl_ilr(*heads, beta=0.4), batch())


@recipe
def diverse_peers(device="cpu"):
    """Peers who listen by attention, and a leader, OKDDip, Chen et al. 2020 [online.8]."""
    attention = online.Attention(7, 3, seed=11, dtype="float64").to(device)
    objective = online.okddip(attention, "leader", "a", "b", "c", T=2, weight=0.7)
    return Setup(peers("leader", "a", "b", "c"), objective, batch())


@recipe
def stale_peers(device="cpu"):
    """Peers known by what they answered before, codistillation, Anil et al. 2018 [online.10]."""
    columns = batch(**{f"stale.{name}.logits": lambda rng: 3 * rng.normal(size=(N, K)) for name in "abc"})
    return Setup(peers("a", "b", "c"), online.codistillation("a", "b", "c", T=2, burn_in=0.2), columns)
