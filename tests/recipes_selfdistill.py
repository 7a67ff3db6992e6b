"""Self-distillation, as recipes."""

from __future__ import annotations

from recipes import D, K, N, Setup, batch, net, recipe, student

import kdlearn as kd
from kdlearn.distill import selfdistill


def twin(seed=2):
    return {"teacher": net(D, 7, 6, K, seed=seed)}


@recipe
def born_again(device="cpu"):
    """Born-again networks, Furlanello et al. 2018 [selfdistill.1]."""
    return Setup(student(), kd.CrossEntropy() + kd.SoftTargets(T=1), batch(), twin())


@recipe
def born_again_by_confidence(device="cpu"):
    """Born-again networks, the control that keeps of the teacher only how sure it is (CWTM), Furlanello et al. 2018
    [selfdistill.1]."""

    def trust(z):
        surest = kd.softmax(z).max(axis=1)
        return surest / surest.mean()

    objective = kd.Given("trust", trust, ("teacher.logits",), kd.CrossEntropy() * "trust")
    return Setup(student(), objective, batch(), twin())


@recipe
def be_your_own_teacher(device="cpu"):
    """Shallow exits taught by the last layer and its features, Zhang et al. 2019 [selfdistill.2]."""
    taps = ("student.h1", "student.h2", "student.h3")
    made = selfdistill.exits(taps, (7, 5, 6), K, T=3, alpha=0.4, hint=0.2, seed=4, dtype="float64", device=device)
    for adaptor in made.nets:
        adaptor.theta += 0.05  # off the kinks of their ReLUs
    return Setup({"student": net(D, 7, 5, 6, K, seed=1)}, kd.CrossEntropy() + made, batch())


@recipe
def progressive_targets(device="cpu"):
    """Targets refined by the epoch before, PS-KD, Kim et al. 2021 [selfdistill.4]."""
    past = batch(**{"past.logits": lambda rng: 3 * rng.normal(size=(N, K))})
    return Setup(student(), selfdistill.progressive(0.8), past)


@recipe
def progressive_targets_in_the_first_epoch(device="cpu"):
    """PS-KD before there is a past: the labels stand in for it, Kim et al. 2021 [selfdistill.4]."""
    rows = batch()
    past = selfdistill.label_logits(rows["y"], K, "float64")
    return Setup(student(), selfdistill.progressive(0.8), rows | {"past.logits": past})


@recipe
def mean_teacher(device="cpu"):
    """A moving-average teacher that sees its own view, Tarvainen and Valpola 2017 [hooks.1]."""
    views = batch(**{"teacher.x": lambda rng: rng.normal(size=(N, D))})
    return Setup(student(), kd.CrossEntropy() + (lambda t: 3 * t) * kd.SoftTargets(T=1), views, twin())


@recipe
def class_wise(device="cpu"):
    """The student taught by its answer for another row of the class, CS-KD, Yun et al. 2020 [selfdistill.5]."""
    pairs = batch(**{"pair.x": lambda rng: rng.normal(size=(N, D))})
    made = student()
    objective = kd.CrossEntropy() + 0.7 * kd.SoftTargets(4, teacher="pair.logits")
    return Setup(made, objective, pairs, {"pair": made["student"]})


@recipe
def agreeing_views(device="cpu"):
    """Two distorted views that teach each other, DDGSD, Xu and Liu 2019 [selfdistill.6]."""
    shared = net(D, 7, K, seed=1)
    views = batch(**{f"{name}.x": lambda rng: rng.normal(size=(N, D)) for name in ("a", "b")})
    objective = selfdistill.agreeing_views(T=2, weight=0.5, hint=0.1)
    return Setup({"a": shared, "b": shared}, objective, views)
