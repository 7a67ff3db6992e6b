"""Diffusion models: rows that a data function makes, and one loss."""

from __future__ import annotations

import numpy as np

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, N, Setup, batch, net, recipe
from kdlearn.distill.diffusion import noised, one_step_answer

MATCH = kd.Match("student.logits", "v", kd.logit_matching)


@recipe
def denoising(device="cpu"):
    """A diffusion model, Ho et al. 2020, in the form of Salimans and Ho 2022 [diffusion.1]."""
    columns = {"data": lambda rng: rng.normal(size=(N, D)), "noise": lambda rng: rng.normal(size=(N, D))}
    return Setup(
        {"student": net(D, 7, 6, D, seed=1)},
        kd.Given("v", lambda x, e: noised(x, e, 0.7)[1], ("data", "noise"), MATCH),
        batch(**columns),
    )


@recipe
def progressive_distillation(device="cpu"):
    """Progressive distillation, two steps in one, Salimans and Ho 2022 [diffusion.3]."""
    columns = {"z": lambda rng: rng.normal(size=(N, D)), "end": lambda rng: rng.normal(size=(N, D))}
    return Setup(
        {"student": net(D, 7, 6, D, seed=1)},
        kd.Given("v", lambda z, end: one_step_answer(z, end, np.pi / 8), ("z", "end"), MATCH),
        batch(**columns),
    )
