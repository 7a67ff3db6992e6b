"""Knowledge distillation from scratch: every loss and every gradient written by hand.

    import kdlearn as kd

    objective = 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(T=4)
    kd.fit(student, objective, train, teachers=teacher, epochs=20)

The public names, nothing else. Modules: `kd.data`, `kd.metrics`, `kd.plots`, `kd.study`,
`kd.gradcheck`, and `kd.distill` with a module for each idea: `kd.distill.online`, …
"""

from kdlearn import data, distill, export, gradcheck, metrics, plots, study
from kdlearn.backend import BackendUnavailable, array_module, to_device, to_numpy
from kdlearn.checkpoint import CheckpointError
from kdlearn.data import Data, DataUnavailable, Splits, soft_labels
from kdlearn.distill.divergence import jensen_shannon, reverse_kl, total_variation
from kdlearn.distill.feature import (
    activation_boundary,
    attention_transfer,
    cosine_distance,
    fitnets,
    fsp,
    info_nce,
    neuron_selectivity,
    squared_error,
    vid,
)
from kdlearn.distill.logits import decoupled_kd, dist_kd, normalized_kd, standardized_kd
from kdlearn.distill.relation import (
    correlation_congruence,
    linear_cka,
    probabilistic_transfer,
    relational_angle,
    relational_distance,
    similarity_preserving,
)
from kdlearn.distill.response import CrossEntropy, SoftTargets, cross_entropy, logit_matching, soft_targets
from kdlearn.distill.transfer import bounded_regression, regression, regression_kd
from kdlearn.export.saved import load, save
from kdlearn.nn.functional import log_softmax, log_softmax_backward, one_hot, softmax, softmax_backward
from kdlearn.nn.layers import GELU, Dropout, Embedding, Layer, LayerNorm, Linear, ReLU, Tanh
from kdlearn.nn.network import MLP, Network, UnknownSiteError
from kdlearn.nn.optim import SGD, Adam, AdamW, constant, cosine, steps, warmup
from kdlearn.objective import Given, Match, Objective, Sum, Term, Through
from kdlearn.training import DivergenceError, EarlyStopping, History, evaluate, fit, train_step

__version__ = "0.1.0"

__all__ = [
    "GELU",
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "BackendUnavailable",
    "CheckpointError",
    "CrossEntropy",
    "Data",
    "DataUnavailable",
    "DivergenceError",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Given",
    "History",
    "Layer",
    "LayerNorm",
    "Linear",
    "Match",
    "Network",
    "Objective",
    "ReLU",
    "SoftTargets",
    "Splits",
    "Sum",
    "Tanh",
    "Term",
    "Through",
    "UnknownSiteError",
    "activation_boundary",
    "array_module",
    "attention_transfer",
    "bounded_regression",
    "constant",
    "correlation_congruence",
    "cosine",
    "cosine_distance",
    "cross_entropy",
    "data",
    "decoupled_kd",
    "dist_kd",
    "distill",
    "evaluate",
    "export",
    "fit",
    "fitnets",
    "fsp",
    "gradcheck",
    "info_nce",
    "jensen_shannon",
    "linear_cka",
    "load",
    "log_softmax",
    "log_softmax_backward",
    "logit_matching",
    "metrics",
    "neuron_selectivity",
    "normalized_kd",
    "one_hot",
    "plots",
    "probabilistic_transfer",
    "regression",
    "regression_kd",
    "relational_angle",
    "relational_distance",
    "reverse_kl",
    "save",
    "similarity_preserving",
    "soft_labels",
    "soft_targets",
    "softmax",
    "softmax_backward",
    "squared_error",
    "standardized_kd",
    "steps",
    "study",
    "to_device",
    "to_numpy",
    "total_variation",
    "train_step",
    "vid",
    "warmup",
]
