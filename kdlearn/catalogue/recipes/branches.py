"""Branches of one trunk."""

from __future__ import annotations

from kdlearn.catalogue.recipes.parts import K, Setup, batch, net, recipe, student
from kdlearn.distill import branches


@recipe
def gated_branches(device="cpu"):
    """Branches of one trunk and their gated mixture, ONE, Lan et al. 2018 [branches.1]."""
    heads = [net(7, K, seed=8).to(device), net(7, 5, K, seed=9).to(device)]
    gate = branches.Gate(7, 3, seed=10, dtype="float64").to(device)
    return Setup(student(), 0.8 * branches.one(gate, *heads, T=2, weight=0.7), batch())


@recipe
def heads_of_one_trunk(device="cpu"):
    """Heads taught by the mean of the other heads, CL-ILR, Song and Chai 2018 [branches.2]."""
    heads = [net(7, K, seed=8).to(device), net(7, 5, K, seed=9).to(device)]
    return Setup(student(), 1 / 3 * branches.cl_ilr(*heads, beta=0.4), batch())
