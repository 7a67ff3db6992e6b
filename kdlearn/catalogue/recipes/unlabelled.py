"""Rows without a label."""

from __future__ import annotations

import numpy as np

from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, recipe, student, twin
from kdlearn.distill.unlabelled import DINO, Centre, noisy_student


@recipe
def noisy_student_training(device="cpu"):
    """A disturbed student learns what its teacher says undisturbed, Xie et al. 2020 [unlabelled.1]."""
    rows = batch(y=lambda rng: np.where(np.arange(N) % 2 == 0, -1, rng.integers(0, K, N)))
    return Setup(student(), noisy_student(2), rows | {"teacher.x": rows["x"] + 0.3}, twin())


@recipe
def no_labels_at_all(device="cpu"):
    """A centred and sharpened teacher without labels, DINO, Caron et al. 2021 [unlabelled.2]."""
    views = batch(**{"teacher.x": lambda rng: rng.normal(size=(N, D))})
    return Setup(student(), DINO(Centre(), tau_s=0.5, tau_t=0.2), views, twin())
