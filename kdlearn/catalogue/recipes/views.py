"""A network taught by another view of the row."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, net, recipe, student
from kdlearn.distill import views


@recipe
def class_wise(device="cpu"):
    """The student taught by its answer for another row of the class, CS-KD, Yun et al. 2020 [views.1]."""
    pairs = batch(**{"pair.x": lambda rng: rng.normal(size=(N, D))})
    made = student()
    objective = kd.CrossEntropy() + 0.7 * kd.SoftTargets(4, teacher="pair.logits")
    return Setup(made, objective, pairs, {"pair": made["student"]})


@recipe
def agreeing_views(device="cpu"):
    """Two distorted views that teach each other, DDGSD, Xu and Liu 2019 [views.2]."""
    shared = net(D, 7, K, seed=1)
    columns = batch(**{f"{name}.x": lambda rng: rng.normal(size=(N, D)) for name in ("a", "b")})
    objective = views.agreeing_views(T=2, weight=0.5, hint=0.1)
    return Setup({"a": shared, "b": shared}, objective, columns)
