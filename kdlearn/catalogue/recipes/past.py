"""A network taught by its own past."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, recipe, student, twin
from kdlearn.distill import past


@recipe
def progressive_targets(device="cpu"):
    """Targets refined by the epoch before, PS-KD, Kim et al. 2021 [past.1]."""
    columns = batch(**{"past.logits": lambda rng: 3 * rng.normal(size=(N, K))})
    return Setup(student(), past.progressive(0.8), columns)


@recipe
def progressive_targets_in_the_first_epoch(device="cpu"):
    """PS-KD before there is a past: the labels stand in for it, Kim et al. 2021 [past.1]."""
    rows = batch()
    labels = past.label_logits(rows["y"], K, "float64")
    return Setup(student(), past.progressive(0.8), rows | {"past.logits": labels})


@recipe
def mean_teacher(device="cpu"):
    """A moving-average teacher that sees its own view, Tarvainen and Valpola 2017 [hooks.1]."""
    views = batch(**{"teacher.x": lambda rng: rng.normal(size=(N, D))})
    return Setup(student(), kd.CrossEntropy() + (lambda t: 3 * t) * kd.SoftTargets(T=1), views, twin())
