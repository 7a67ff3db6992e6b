"""Teacher assistants, routes and lessons that end early, as recipes."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, Setup, batch, net, recipe, student, teacher
from kdlearn.distill import assistant


def upstream():
    """Three networks that may teach, the nearest first."""
    return {
        "teacher": net(D, 8, K, seed=4),
        "teacher2": net(D, 10, K, seed=5),
        "teacher3": net(D, 12, 9, K, seed=6),
    }


@recipe
def teacher_assistant(device="cpu"):
    """One lesson of a chain: the nearest network teaches, those further up are silent, Mirzadeh et al. 2020
    [assistant.1]."""
    return Setup(student(), 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(4), batch(), upstream())


@recipe
def densely_guided(device="cpu"):
    """Every network upstream teaches, DGKD, Son et al. 2021 [assistant.2]."""
    teachers = upstream()
    return Setup(student(), assistant.densely_guided(list(teachers), T=3, alpha=0.4), batch(), teachers)


@recipe
def densely_guided_with_absences(device="cpu"):
    """Every network upstream teaches, when it is there, Son et al. 2021 [assistant.3]."""
    teachers = upstream()
    objective = assistant.densely_guided(list(teachers), T=3, alpha=0.4, drop=0.5, seed=3)
    return Setup(student(), objective, batch(), teachers)


@recipe
def a_lesson_that_ends_early(device="cpu"):
    """Soft targets until half of the training, ESKD, Cho and Hariharan 2019 [response.2]."""
    objective = kd.CrossEntropy() + kd.steps(0.5, factor=0.0) * kd.SoftTargets(4)
    return Setup(student(), objective, batch(), teacher())


@recipe
def a_lesson_that_has_ended(device="cpu"):
    """The same in the second half: the labels alone, ESKD, Cho and Hariharan 2019 [response.2]."""
    objective = kd.CrossEntropy() + kd.steps(0.5, factor=0.0) * kd.SoftTargets(4)
    return Setup(student(), objective, batch() | {"progress": 0.75}, teacher())


@recipe
def an_anchor_of_a_route(device="cpu"):
    """One stage of a route: a younger self of the teacher teaches, RCO, Jin et al. 2019 [assistant.4]."""
    return Setup(student(), 0.5 * kd.CrossEntropy() + 0.5 * kd.SoftTargets(4), batch(), teacher(seed=3))
