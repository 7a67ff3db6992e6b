"""Labels, soft targets, weights, adaptors: each part of the algebra once."""

from __future__ import annotations

import numpy as np

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, net, recipe, student, teacher


@recipe
def labels(device="cpu"):
    """Hard labels alone [response.1]."""
    return Setup(student(), kd.CrossEntropy(), batch())


@recipe
def smoothed_labels(device="cpu"):
    """Label smoothing, Szegedy et al. 2016 [response.1]."""
    return Setup(student(), kd.CrossEntropy(smoothing=0.2), batch())


@recipe
def response(device="cpu"):
    """Soft targets with a live teacher, Hinton et al. 2015 [response.2]."""
    return Setup(student(), 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(T=4), batch(), teacher())


@recipe
def response_from_a_column(device="cpu"):
    """Soft targets from cached logits, Hinton et al. 2015 [response.2]."""
    soft = batch(**{"teacher.logits": lambda rng: 3 * rng.normal(size=(N, K))})
    return Setup(student(), 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(T=2), soft)


@recipe
def masked_teacher_class(device="cpu"):
    """Soft targets with a class that the teacher excludes [response.4]."""

    def logits(rng):
        z = 3 * rng.normal(size=(N, K))
        z[:, 1] = -np.inf
        return z

    return Setup(student(), kd.SoftTargets(T=2), batch(**{"teacher.logits": logits}))


@recipe
def matched_logits(device="cpu"):
    """Logit matching, Ba and Caruana 2014 [response.3]."""
    return Setup(student(), kd.Match("student.logits", "teacher.logits", kd.logit_matching), batch(), teacher())


@recipe
def weights_of_every_kind(device="cpu"):
    """Weights that are numbers, schedules and columns of one weight a row [response.2]."""
    objective = kd.CrossEntropy() * "w" + (lambda t: 1 + t) * (0.5 * kd.SoftTargets(T=3) * "w" * "v")
    columns = batch(w=lambda rng: rng.uniform(0.5, 2, N), v=lambda rng: rng.uniform(0.5, 2, N))
    return Setup(student(), objective, columns, teacher())


@recipe
def hint_through_a_regressor(device="cpu"):
    """A hint through a trained regressor, Romero et al. 2015 [network.1]."""
    regressor = net(7, 9, seed=7).to(device)
    inner = kd.Match("student.r1", "teacher.h2", kd.logit_matching)
    objective = kd.SoftTargets(T=4) + 0.1 * kd.Through(regressor, "student.h1", "student.r1", inner)
    return Setup(student(), objective, batch(), teacher())


@recipe
def one_adaptor_used_twice(device="cpu"):
    """One adaptor at several sites [network.1]."""
    head = net(7, K, seed=7).to(device)
    a = kd.Through(head, "student.h1", "student.e1", kd.CrossEntropy("student.e1"))
    b = kd.Through(head, "student.a1", "student.e2", kd.SoftTargets(2, "student.e2", "student.logits"))
    c = kd.Through(head, "student.a1", "student.e3", kd.SoftTargets(2, "student.e3"))
    return Setup(student(), kd.CrossEntropy() + a + 0.5 * b + 2 * c, batch(), teacher())


@recipe
def deep_to_shallow(device="cpu"):
    """An early exit taught by the last layer, Zhang et al. 2019 [response.2]."""
    exit1 = net(7, K, seed=8).to(device)
    inner = kd.CrossEntropy("student.exit1") + 0.5 * kd.SoftTargets(3, "student.exit1", "student.logits")
    return Setup(student(), kd.CrossEntropy() + kd.Through(exit1, "student.h1", "student.exit1", inner), batch())


@recipe
def two_teachers(device="cpu"):
    """A weighted sum over two teachers, You et al. 2017 [response.2]."""
    both = {"a": net(D, 8, K, seed=4), "b": net(D, 6, K, seed=5)}
    objective = 0.5 * kd.SoftTargets(4, teacher="a.logits") + 0.5 * kd.SoftTargets(2, teacher="b.logits")
    return Setup(student(), objective, batch(), both)


@recipe
def a_team_given(device="cpu"):
    """The mean of two teachers' logits, Hinton et al. 2015 [response.2]."""
    both = {"a": net(D, 8, K, seed=4), "b": net(D, 6, K, seed=5)}
    team = kd.Given(
        "team.logits", lambda a, b: 0.5 * (a + b), ("a.logits", "b.logits"), kd.SoftTargets(4, teacher="team.logits")
    )
    return Setup(student(), kd.CrossEntropy() + 0.5 * team, batch(), both)


@recipe
def mutual(device="cpu"):
    """Two peers that teach each other, Zhang et al. 2018 [response.2]."""
    peers = {"a": net(D, 7, K, seed=1), "b": net(D, 6, K, seed=2)}
    one = kd.CrossEntropy("a.logits") + kd.SoftTargets(1, "a.logits", "b.logits")
    other = kd.CrossEntropy("b.logits") + kd.SoftTargets(1, "b.logits", "a.logits")
    return Setup(peers, one + other, batch())


@recipe
def two_views_of_one_network(device="cpu"):
    """One network taught by its other view of the data, Xu and Liu 2019 [response.2]."""
    shared = net(D, 7, K, seed=1)
    views = batch(**{"b.x": lambda rng: rng.normal(size=(N, D))})
    objective = kd.CrossEntropy("a.logits") + 2 * kd.SoftTargets(2, "b.logits", "a.logits")
    return Setup({"a": shared, "b": shared}, objective, views)


@recipe
def dropout_and_layer_norm(device="cpu"):
    """A student with dropout, LayerNorm and GELU [layers.5]."""
    made = student(dropout=(0.2, 0.4, 0.3), layer_norm=True, activation=kd.GELU)
    return Setup(made, 0.5 * kd.CrossEntropy() + kd.SoftTargets(2), batch(), teacher())


@recipe
def pre_activations_with_tanh(device="cpu"):
    """A loss at a pre-activation tap [network.1]."""
    objective = kd.CrossEntropy() + kd.Match("student.a1", "student.h1", kd.logit_matching)
    return Setup(student(activation=kd.Tanh), objective, batch())


@recipe
def a_held_adaptor(device="cpu"):
    """A frozen network above a student's features: gradients pass, nothing of it moves [network.1]."""
    top = kd.frozen(net(7, 8, K, seed=5)).to(device)
    return Setup(student(), kd.Through(top, "student.h1", "seen", kd.CrossEntropy("seen")), batch())
