"""Several teachers, each way of listening to them once."""

from __future__ import annotations

import functools

import numpy as np

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, net, recipe, student
from kdlearn.distill import ensemble
from kdlearn.distill.dirichlet import dirichlet_likelihood, mean_log_answer

NAMES = ("a.logits", "b.logits", "c.logits")


def three():
    """Three teachers, one of them of another depth."""
    return {"a": net(D, 8, K, seed=4), "b": net(D, 6, K, seed=5), "c": net(D, 9, 7, K, seed=6)}


def forest_and_net():
    """A scikit-learn classifier's answers as a column, zeros included, beside a live network's."""
    from sklearn.ensemble import RandomForestClassifier

    columns = batch()
    rng = np.random.default_rng(8)
    x = rng.normal(size=(40, D))
    y = np.arange(40) % K
    forest = RandomForestClassifier(3, max_depth=2, random_state=0).fit(x, y)
    return columns | {"b.logits": kd.soft_labels(forest, columns["x"]).astype("float64")}


@recipe
def team_votes(device="cpu"):
    """The mean of the teachers' probabilities, Hinton et al. 2015 [ensemble.1]."""
    mean = functools.partial(ensemble.mean_of_probabilities, T=3)
    team = kd.Given("team.logits", mean, NAMES, kd.SoftTargets(3, teacher="team.logits"))
    return Setup(student(), kd.CrossEntropy() + 0.5 * team, batch(), three())


@recipe
def team_agrees(device="cpu"):
    """The mean of the teachers' logits, Hinton et al. 2015 [ensemble.2]."""
    team = kd.Given("team.logits", ensemble.mean_of_logits, NAMES, kd.SoftTargets(3, teacher="team.logits"))
    return Setup(student(), kd.CrossEntropy() + 0.5 * team, batch(), three())


@recipe
def team_median(device="cpu"):
    """The median of the teachers' probabilities [ensemble.3]."""
    median = functools.partial(ensemble.median_of_probabilities, T=3)
    team = kd.Given("team.logits", median, NAMES, kd.SoftTargets(3, teacher="team.logits"))
    return Setup(student(), kd.CrossEntropy() + 0.5 * team, batch(), three())


@recipe
def forest_beside_a_network(device="cpu"):
    """Teachers of two kinds, one of them a scikit-learn forest, as a column and a network [ensemble.1]."""
    mean = functools.partial(ensemble.mean_of_probabilities, T=2)
    team = kd.Given("team.logits", mean, NAMES[:2], kd.SoftTargets(2, teacher="team.logits"))
    return Setup(student(), kd.CrossEntropy() + team, forest_and_net(), {"a": net(D, 8, K, seed=4)})


@recipe
def weights_by_entropy(device="cpu"):
    """Teachers weighted by their certainty, EB-KD, Kwon et al. 2020 [ensemble.4]."""
    taught = ensemble.weighted_teachers(NAMES, ensemble.entropy_weights, T=3)
    return Setup(student(), kd.CrossEntropy() + 0.5 * taught, batch(), three())


@recipe
def weights_by_confidence(device="cpu"):
    """Teachers weighted by their loss on the label, CA-MKD, Zhang et al. 2022 [ensemble.5]."""
    taught = ensemble.weighted_teachers(NAMES, ensemble.confidence_weights, T=3, given=("y",))
    return Setup(student(), kd.CrossEntropy() + 0.5 * taught, batch(), three())


@recipe
def weights_by_accuracy(device="cpu"):
    """Teachers weighted by their accuracy on held-out rows [ensemble.6]."""
    taught = ensemble.weighted_teachers(NAMES, ensemble.accuracy_weights(0.9, 0.8, 0.85), T=3)
    return Setup(student(), kd.CrossEntropy() + 0.5 * taught, batch(), three())


@recipe
def weights_in_gradient_space(device="cpu"):
    """Teachers weighted for the shortest common gradient, AE-KD, Du et al. 2020 [ensemble.8]."""
    rule = functools.partial(ensemble.gradient_weights, T=3, cap=0.6)
    taught = ensemble.weighted_teachers(NAMES, rule, T=3, given=("student.logits",))
    return Setup(student(), kd.CrossEntropy() + 0.5 * taught, batch(), three())


@recipe
def weights_from_columns(device="cpu"):
    """Teachers weighted by columns and a schedule, one teacher for some rows only, You et al. 2017 [ensemble.9]."""
    columns = batch(own=lambda rng: (np.arange(N) < N // 2).astype(float), other=lambda rng: rng.uniform(0.5, 1, N))
    taught = ensemble.weighted_teachers(NAMES, ("own", "other", lambda t: 1 - t), T=2)
    return Setup(student(), taught, columns, three())


@recipe
def distribution_of_a_team(device="cpu"):
    """The distribution of the teachers' answers, Malinin et al. 2020 [dirichlet.2]."""
    match = kd.Match("student.logits", "team.log_p", dirichlet_likelihood)
    team = kd.Given("team.log_p", mean_log_answer, NAMES, match)
    return Setup(student(), kd.CrossEntropy() + 0.5 * team, batch(), three())
