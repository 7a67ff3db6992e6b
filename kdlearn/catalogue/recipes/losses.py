"""Every loss that compares two sites, as a term; and the targets that are computed from others."""

import functools

import numpy as np

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import K, Setup, batch, net, recipe, student, teacher
from kdlearn.distill import divergence, feature, logits, relation, targets
from kdlearn.distill.jacobian import WithJacobian


def named(name, line):
    """Enter a recipe made by a loop under its own name and line."""

    def enter(make):
        make.__name__, make.__doc__ = name, line
        return recipe(make)

    return enter


RESPONSE = {
    divergence.reverse_kl: "Reverse divergence, Gu et al. 2024 [divergence.1]",
    divergence.jensen_shannon: "Generalised Jensen-Shannon divergence, Agarwal et al. 2024 [divergence.2]",
    divergence.total_variation: "Total variation, Wen et al. 2023 [divergence.3]",
    logits.dist_kd: "Correlation of answers, DIST, Huang et al. 2022 [logits.3]",
    logits.standardized_kd: "Standardised logits, Sun et al. 2024 [logits.4]",
}
LABELLED = {
    logits.decoupled_kd: "Decoupled distillation, DKD, Zhao et al. 2022 [logits.1]",
    logits.normalized_kd: "Normalised distillation, NKD, Yang et al. 2023 [logits.2]",
}
FEATURES = {  # loss: (line, taps of student and teacher, which must have one width or not)
    feature.squared_error: ("Feature matching, Romero et al. 2015 [feature.3]", "h2"),
    feature.cosine_distance: ("Cosine of the features, Sanh et al. 2019 [feature.4]", "h2"),
    feature.attention_transfer: ("Attention transfer on units, Zagoruyko and Komodakis 2017 [feature.5]", "h2"),
    feature.activation_boundary: ("Activation boundaries, Heo et al. 2019 [feature.6]", "a2"),
    feature.neuron_selectivity: ("Neuron selectivity, Huang and Wang 2017 [feature.7]", "h1"),
    feature.info_nce: ("In-batch contrast, CRD's InfoNCE form, Tian et al. 2020 [feature.8]", "h2"),
    relation.similarity_preserving: ("Similarity preserving, Tung and Mori 2019 [relation.1]", "h1"),
    relation.probabilistic_transfer: ("Probabilistic transfer, PKT, Passalis and Tefas 2018 [relation.2]", "h1"),
    relation.relational_distance: ("Relational distances, RKD-D, Park et al. 2019 [relation.3]", "h1"),
    relation.relational_angle: ("Relational angles, RKD-A, Park et al. 2019 [relation.4]", "h1"),
    relation.correlation_congruence: ("Correlation congruence, Peng et al. 2019 [relation.5]", "h1"),
    relation.linear_cka: ("Centred kernel alignment, Kornblith et al. 2019 [relation.6]", "h1"),
}


def wide():
    """A teacher whose second hidden layer is as wide as the student's, its first is not."""
    return {"teacher": net(5, 8, 6, K, seed=2)}


for loss, line in RESPONSE.items():

    @named(loss.__name__, line + ".")
    def _(device="cpu", loss=loss):
        return Setup(student(), kd.CrossEntropy() + 0.5 * kd.Match(SITE, "teacher.logits", loss), batch(), teacher())


for loss, line in LABELLED.items():

    @named(loss.__name__, line + ".")
    def _(device="cpu", loss=loss):
        return Setup(student(), 0.5 * kd.Term(loss, (SITE,), ("teacher.logits", "y")), batch(), teacher())


for loss, (line, tap) in FEATURES.items():

    @named(loss.__name__, line + ".")
    def _(device="cpu", loss=loss, tap=tap):
        term = kd.Match(f"student.{tap}", f"teacher.{tap}", loss)
        return Setup(student(activation=kd.Tanh), kd.SoftTargets(T=4) + 0.5 * term, batch(), wide())


SITE = "student.logits"


@recipe
def fitnets(device="cpu"):
    """A hint through a regressor, beside the training proper, Romero et al. 2015 [feature.3]."""
    regressor = net(7, 9, seed=7).to(device)
    hint = feature.fitnets(regressor, "student.h1", "teacher.h2")
    return Setup(student(), kd.SoftTargets(T=4) + 0.1 * hint, batch(), teacher())


@recipe
def flow_between_two_layers(device="cpu"):
    """The flow between two layers, FSP, Yim et al. 2017 [feature.9]."""
    term = kd.Term(feature.fsp, ("student.h1", "student.h2"), ("teacher.h1", "teacher.h2"))
    same = {"teacher": net(5, 7, 6, K, seed=2)}
    return Setup(student(), kd.CrossEntropy() + 0.5 * term, batch(), same)


@recipe
def variational_information(device="cpu"):
    """Variational information with learned variances, VID, Ahn et al. 2019 [feature.10]."""
    regressor = net(7, 9, seed=7).to(device)
    objective = kd.CrossEntropy() + 0.1 * feature.vid(regressor, "student.h1", "teacher.h2")
    return Setup(student(), objective, batch(), teacher())


@recipe
def jacobian_matching(device="cpu"):
    """Matching the derivative of the answers with respect to the input, Czarnecki et al. 2017 [jacobian.1]."""
    same = {"student": WithJacobian(net(5, 6, K, seed=1).to(device))}
    guide = {"teacher": WithJacobian(net(5, 8, K, seed=2).to(device))}
    term = kd.Match("student.jacobian", "teacher.jacobian", feature.squared_error)
    return Setup(same, kd.CrossEntropy() + 0.1 * term, batch(), guide)


@recipe
def virtual_teacher(device="cpu"):
    """A teacher without a network, Tf-KD, Yuan et al. 2020 [targets.1]."""
    by_hand = functools.partial(targets.virtual_teacher, K=K, dtype="float64")
    term = kd.Given("virtual.logits", by_hand, ("y",), kd.SoftTargets(20, teacher="virtual.logits"))
    return Setup(student(), kd.CrossEntropy() + 0.1 * term, batch())


@recipe
def corrected_teacher(device="cpu"):
    """Knowledge adjustment: the teacher's mistakes put right, Wen et al. 2019 [targets.2]."""
    taught = kd.SoftTargets(4, teacher="right.logits")
    term = kd.Given("right.logits", targets.corrected_teacher, ("teacher.logits", "y"), taught)
    return Setup(student(), term, batch(), teacher())


@recipe
def weights_by_need(device="cpu"):
    """Soft targets where the student needs them, WSLD, Zhou et al. 2021 [targets.3]."""
    sources = ("student.logits", "teacher.logits", "y")
    term = kd.Given("need", targets.need_of_teaching, sources, kd.SoftTargets(2) * "need")
    return Setup(student(), kd.CrossEntropy() + 2.5 * term, batch(), teacher())


@recipe
def noisy_teacher(device="cpu"):
    """A teacher with noise on some of its logits, Sau and Balasubramanian 2016 [targets.4]."""
    noise = functools.partial(_noisy, seed=5)
    term = kd.Given("noisy.logits", noise, ("teacher.logits",), kd.SoftTargets(4, teacher="noisy.logits"))
    return Setup(student(), kd.CrossEntropy() + term, batch(), teacher())


def _noisy(z, seed):
    return targets.noisy_teacher(z, np.random.default_rng(seed))
