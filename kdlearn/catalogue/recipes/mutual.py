"""Peers that teach each other, now or by what they said before."""

from __future__ import annotations

from kdlearn.catalogue.recipes.parts import K, N, Setup, batch, peers, recipe
from kdlearn.distill import mutual


@recipe
def mutual_of_three(device="cpu"):
    """Deep mutual learning of three peers, Zhang et al. 2018 [mutual.1]."""
    return Setup(peers("a", "b", "c"), mutual.mutual("a", "b", "c", T=2, weight=0.7), batch())


@recipe
def stale_peers(device="cpu"):
    """Peers known by what they answered before, codistillation, Anil et al. 2018 [mutual.3]."""
    columns = batch(**{f"stale.{name}.logits": lambda rng: 3 * rng.normal(size=(N, K)) for name in "abc"})
    return Setup(peers("a", "b", "c"), mutual.codistillation("a", "b", "c", T=2, burn_in=0.2), columns)
