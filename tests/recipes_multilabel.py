"""Several labels at once, and a teacher of whom the top is kept."""

from __future__ import annotations

import numpy as np
from recipes import K, N, Setup, batch, recipe, student, teacher

import kdlearn as kd
from kdlearn.data.labelling import keep_top


@recipe
def several_labels(device="cpu"):
    """Yes and no, class by class, from labels and a teacher, Yang et al. 2023b [multilabel.2]."""
    labels = batch(labels=lambda rng: rng.integers(0, 2, (N, K)).astype(float))
    return Setup(student(), kd.BinaryCrossEntropy() + 0.5 * kd.SigmoidTargets(T=3), labels, teacher())


@recipe
def top_answers(device="cpu"):
    """The teacher's largest answers, and one for the rest [logits.5]."""
    top, kept = keep_top(3 * np.random.default_rng(5).normal(size=(N, K)), 2, T=3)
    columns = batch(**{"teacher.top": lambda rng: top, "teacher.top_logits": lambda rng: kept})
    return Setup(student(), kd.CrossEntropy() + 0.5 * kd.TopTargets(T=3), columns)


@recipe
def rows_without_a_label(device="cpu"):
    """Labels where there are any, a teacher on every row [response.1]."""
    some = batch() | {"y": np.array([1, -1, 0, 3, -1, 2])}
    return Setup(student(), kd.CrossEntropy(ignore=-1) + 0.5 * kd.SoftTargets(T=3), some, teacher())
