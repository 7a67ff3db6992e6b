"""Networks taught by the generation before."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import Setup, batch, recipe, student, twin


@recipe
def born_again(device="cpu"):
    """Born-again networks, Furlanello et al. 2018 [generations.1]."""
    return Setup(student(), kd.CrossEntropy() + kd.SoftTargets(T=1), batch(), twin())


@recipe
def born_again_by_confidence(device="cpu"):
    """Born-again networks, the control that keeps of the teacher only how sure it is (CWTM), Furlanello et al. 2018
    [generations.1]."""

    def trust(z):
        surest = kd.softmax(z).max(axis=1)
        return surest / surest.mean()

    objective = kd.Given("trust", trust, ("teacher.logits",), kd.CrossEntropy() * "trust")
    return Setup(student(), objective, batch(), twin())
