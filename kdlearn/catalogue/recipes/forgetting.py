"""A new task beside an old one: the teacher is the network before."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, net, recipe, student, twin
from kdlearn.distill.forgetting import OnClasses, dark_experience, without_forgetting

OLD, NEW = (2, 0), (1, 3)


def two_labels(rng):
    """Labels of the new head, 0 or 1."""
    return rng.integers(0, 2, N)


@recipe
def one_head(device="cpu"):
    """Labels for some of the outputs only [forgetting.1]."""
    return Setup(student(), OnClasses(NEW, "new", kd.CrossEntropy("new")), batch(y=two_labels))


@recipe
def learning_without_forgetting(device="cpu"):
    """Learning without forgetting, LwF, Li and Hoiem 2016 [forgetting.2]."""
    return Setup(student(), without_forgetting(OLD, NEW, weight=3), batch(y=two_labels), twin())


@recipe
def dark_experience_replay(device="cpu"):
    """Labels, and a buffer's past logits and labels, DER++, Buzzega et al. 2020 [forgetting.3]."""
    kept = {
        "buffer.x": lambda rng: rng.normal(size=(N, D)),
        "past.logits": lambda rng: rng.normal(size=(N, K)),
        "past.y": lambda rng: rng.integers(0, K, N),
    }
    one = net(D, 7, K, seed=1)
    return Setup({"student": one, "buffer": one}, kd.CrossEntropy() + dark_experience(0.5, 0.3), batch(**kept))


@recipe
def replay_with_a_term_for_old_classes(device="cpu"):
    """Replayed labels, and the old outputs as yes and no, the loss of iCaRL, Rebuffi et al. 2017 [forgetting.1]."""
    old = OnClasses(OLD, "old", kd.SigmoidTargets(1, "old", "old of the teacher"), teacher="teacher.logits")
    labels = batch(labels=lambda rng: rng.integers(0, 2, (N, 2)).astype(float))
    return Setup(student(), OnClasses(NEW, "new", kd.BinaryCrossEntropy("new")) + old, labels, twin())
