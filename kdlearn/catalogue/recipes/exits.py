"""Shallow exits taught by the last layer."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, Setup, batch, net, recipe
from kdlearn.distill import exits


@recipe
def be_your_own_teacher(device="cpu"):
    """Shallow exits taught by the last layer and its features, Zhang et al. 2019 [exits.1]."""
    taps = ("student.h1", "student.h2", "student.h3")
    made = exits.exits(taps, (7, 5, 6), K, T=3, alpha=0.4, hint=0.2, seed=4, dtype="float64", device=device)
    for adaptor in made.nets:
        adaptor.theta += 0.05  # off the kinks of their ReLUs
    return Setup({"student": net(D, 7, 5, 6, K, seed=1)}, kd.CrossEntropy() + made, batch())
