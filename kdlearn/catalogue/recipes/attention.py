"""Peers who choose whom to listen to."""

from __future__ import annotations

from kdlearn.catalogue.recipes.parts import Setup, batch, peers, recipe
from kdlearn.distill import attention


@recipe
def diverse_peers(device="cpu"):
    """Peers who listen by attention, and a leader, OKDDip, Chen et al. 2020 [attention.1]."""
    listening = attention.Attention(7, 3, seed=11, dtype="float64").to(device)
    objective = attention.okddip(listening, "leader", "a", "b", "c", T=2, weight=0.7)
    return Setup(peers("leader", "a", "b", "c"), objective, batch())
