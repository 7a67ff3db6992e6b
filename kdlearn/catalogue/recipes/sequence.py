"""Generation as expressions. A data function is what differs; here each is called once, for one batch."""

from __future__ import annotations

import numpy as np

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import Setup, recipe
from kdlearn.distill.divergence import jensen_shannon, reverse_kl
from kdlearn.distill.sequence import character_model, generated, policy_gradient, windows

V, C = 5, 3


def model(*hidden, seed):
    """A float64 character model with its weights off zero."""
    made = character_model(V, C, 2, *hidden, seed=seed, dtype="float64")
    made.theta += 0.1 * np.random.default_rng(seed + 50).standard_normal(made.theta.size)
    return made


def text():
    """Windows of random tokens."""
    return windows(np.random.default_rng(3).integers(0, V, C + 8), C)


def setup(objective, data, student=None, teacher=None):
    """The columns of one batch; `data` may be a data function."""
    columns = data if isinstance(data, kd.Data) else data(0, np.random.default_rng(0))
    return Setup(
        {"student": student or model(6, seed=1)}, objective, columns.columns | {"progress": 0.5},
        {"teacher": teacher or model(7, seed=2)},
    )  # fmt: skip


@recipe
def words_of_the_data(device="cpu"):
    """Word-level distillation: soft targets after each context of the data, Kim and Rush 2016 [response.2]."""
    return setup(0.5 * kd.CrossEntropy() + 0.5 * kd.SoftTargets(T=1), text())


@recipe
def sequences_of_the_teacher(device="cpu"):
    """Sequence-level distillation: cross-entropy on what the teacher wrote, Kim and Rush 2016 [sequence.3]."""
    teacher = model(7, seed=2)
    return setup(kd.CrossEntropy(), generated(teacher, text(), 4), teacher=teacher)


@recipe
def sequences_of_the_student(device="cpu"):
    """Generalised distillation: Jensen-Shannon on the student's samples, mixed, Agarwal et al. 2024 [sequence.3]."""
    student = model(6, seed=1)
    objective = kd.Match("student.logits", "teacher.logits", jensen_shannon)
    return setup(objective, generated(student, text(), 4, fraction=0.5), student=student)


@recipe
def reverse_kl_by_policy_gradient(device="cpu"):
    """Reverse KL of whole sequences, Gu et al. 2024 [sequence.5]."""
    student, teacher = model(6, seed=1), model(7, seed=2)
    objective = kd.Match("student.logits", "teacher.logits", reverse_kl) + kd.CrossEntropy() * "advantage"
    return setup(objective, policy_gradient(student, teacher, text(), 4), student, teacher)
