"""Small changes of the input: adversarial training, with and without a teacher."""

from __future__ import annotations

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, net, recipe, student, teacher, twin
from kdlearn.distill.robust import log_odds, robust_distillation

ATTACKED = {"attacked.x": lambda rng: rng.normal(size=(N, D))}


@recipe
def defensive_distillation(device="cpu"):
    """The answers of a twin at T, used at 1, defensive distillation, Papernot et al. 2016 [response.2]."""
    return Setup(student(), kd.SoftTargets(T=40), batch(), twin())


@recipe
def odds_of_the_label(device="cpu"):
    """Log-odds of the label, the loss of an attack [robust.1]."""
    return Setup(student(), kd.Term(log_odds, ("student.logits",), ("y",)), batch())


@recipe
def adversarial_training(device="cpu"):
    """Labels on attacked rows, adversarial training, Madry et al. 2018 [robust.3]."""
    made = {"attacked": net(D, 7, 6, K, seed=1)}
    return Setup(made, kd.CrossEntropy("attacked.logits"), batch(**ATTACKED))


@recipe
def adversarially_robust_distillation(device="cpu"):
    """The teacher's answers to clean rows on attacked ones, ARD, Goldblum et al. 2020 [robust.4]."""
    one = net(D, 7, 6, K, seed=1)
    return Setup({"student": one, "attacked": one}, robust_distillation(2, 0.7), batch(**ATTACKED), teacher())
