"""Transfer as expressions: without labels, to a specialist, to numbers, between views."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, N, Setup, batch, net, recipe, student, teacher
from kdlearn.distill.transfer import BoundedRegression, Regression, regression_kd, select_classes


def numbers(rng):
    """A target of numbers, (N,)."""
    return rng.normal(size=N)


@recipe
def unlabelled(device="cpu"):
    """Soft targets on inputs that nobody has labelled, Hinton et al. 2015 [response.2]."""
    columns = batch()
    del columns["y"]
    return Setup(student(), kd.SoftTargets(T=4), columns, teacher())


@recipe
def specialist(device="cpu"):
    """A student of some of the teacher's classes [transfer.1]."""
    few = kd.Given("few.logits", select_classes([3, 0]), ("teacher.logits",), kd.SoftTargets(2, teacher="few.logits"))
    two_classes = batch(y=lambda rng: rng.integers(0, 2, N))
    return Setup({"student": net(D, 7, 2, seed=1)}, kd.CrossEntropy() + few, two_classes, teacher())


@recipe
def regression_from_label_and_teacher(device="cpu"):
    """Regression distillation, Saputra et al. 2019 [transfer.3]."""
    objective = kd.Term(regression_kd, ("student.logits",), ("y", "teacher.logits"))
    return Setup({"student": net(D, 7, 1, seed=1)}, objective, batch(y=numbers), {"teacher": net(D, 8, 1, seed=2)})


@recipe
def regression_bounded_by_the_teacher(device="cpu"):
    """Teacher-bounded regression, Chen et al. 2017 [transfer.4]."""
    objective = Regression() + 0.5 * BoundedRegression(margin=0.1) + 0.2 * Regression(target="teacher.logits")
    return Setup({"student": net(D, 7, 1, seed=1)}, objective, batch(y=numbers), {"teacher": net(D, 8, 1, seed=2)})


@recipe
def cross_modal(device="cpu"):
    """A teacher that sees another view of each row, Gupta et al. 2016 [response.2]."""
    views = batch(**{"student.x": lambda rng: rng.normal(size=(N, 3))})
    return Setup({"student": net(3, 7, 4, seed=1)}, 0.5 * kd.CrossEntropy() + kd.SoftTargets(4), views, teacher())
