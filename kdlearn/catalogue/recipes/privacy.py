"""Teachers of private rows: a student sees the winners of noisy votes, and nothing else."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import K, N, Setup, batch, recipe, student
from kdlearn.distill.privacy import noisy_winners, votes


@recipe
def private_votes(device="cpu"):
    """Labels from a noisy vote of teachers whose rows do not overlap, PATE, Papernot et al. 2017 [privacy.1]."""

    def winners(rng):
        return noisy_winners(votes(rng.integers(0, K, (20, N)), K), 3.0, rng)

    return Setup(student(), kd.CrossEntropy(), batch(y=winners))
