"""Knowledge distillation from scratch: every loss and every gradient written by hand.

    import kdlearn as kd

    objective = 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(T=4)
    kd.fit(student, objective, train, teachers=teacher, epochs=20)

The public names, nothing else. Modules: `kd.data`, `kd.metrics`, `kd.plots`, `kd.study`,
`kd.gradcheck`, and `kd.distill` with a module for each idea: `kd.distill.mutual`, …
"""

from kdlearn import data, distill, export, gradcheck, metrics, plots, study
from kdlearn import fast as _fast  # noqa: F401 (puts its bodies where `backend.body_for` looks)
from kdlearn.backend import BackendUnavailable, array_module, to_device, to_numpy
from kdlearn.checkpoint import CheckpointError
from kdlearn.data import Data, DataUnavailable, Splits, soft_labels
from kdlearn.distill.assistant import densely_guided
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
from kdlearn.distill.logits import TopTargets, decoupled_kd, dist_kd, normalized_kd, standardized_kd, top_targets
from kdlearn.distill.multilabel import BinaryCrossEntropy, SigmoidTargets, binary_cross_entropy, sigmoid_targets
from kdlearn.distill.past import label_logits, progressive
from kdlearn.distill.relation import (
    correlation_congruence,
    linear_cka,
    probabilistic_transfer,
    relational_angle,
    relational_distance,
    similarity_preserving,
)
from kdlearn.distill.response import CrossEntropy, SoftTargets, cross_entropy, logit_matching, soft_targets
from kdlearn.distill.transfer import bounded_regression, match_classes, regression, regression_kd
from kdlearn.distill.views import same_class
from kdlearn.evaluation import evaluate
from kdlearn.export.saved import load, save
from kdlearn.history import DivergenceError, History
from kdlearn.hooks import EarlyStopping, LastEpoch, MovingAverage, Route, StalePeers
from kdlearn.loss import across_rows, mean_over_rows
from kdlearn.nn.functional import log_softmax, log_softmax_backward, one_hot, softmax, softmax_backward
from kdlearn.nn.layers import GELU, Dropout, Embedding, Layer, LayerNorm, Linear, ReLU, Select, Tanh
from kdlearn.nn.masks import DropoutMasks
from kdlearn.nn.module import FreeVector, Module, frozen
from kdlearn.nn.network import MLP, Network, UnknownSiteError
from kdlearn.nn.optim import SGD, Adam, AdamW, constant, cosine, steps, warmup
from kdlearn.nn.stack import Stack
from kdlearn.objective import Evaluation, Given, Match, Objective, Sum, Term, Through
from kdlearn.run import Run
from kdlearn.step import train_step
from kdlearn.training import fit

__version__ = "0.1.0"

__all__ = [
    "GELU",
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "BackendUnavailable",
    "BinaryCrossEntropy",
    "CheckpointError",
    "CrossEntropy",
    "Data",
    "DataUnavailable",
    "DivergenceError",
    "Dropout",
    "DropoutMasks",
    "EarlyStopping",
    "Embedding",
    "Evaluation",
    "FreeVector",
    "Given",
    "History",
    "LastEpoch",
    "Layer",
    "LayerNorm",
    "Linear",
    "Match",
    "Module",
    "MovingAverage",
    "Network",
    "Objective",
    "ReLU",
    "Route",
    "Run",
    "Select",
    "SigmoidTargets",
    "SoftTargets",
    "Splits",
    "Stack",
    "StalePeers",
    "Sum",
    "Tanh",
    "Term",
    "Through",
    "TopTargets",
    "UnknownSiteError",
    "across_rows",
    "activation_boundary",
    "array_module",
    "attention_transfer",
    "binary_cross_entropy",
    "bounded_regression",
    "constant",
    "correlation_congruence",
    "cosine",
    "cosine_distance",
    "cross_entropy",
    "data",
    "decoupled_kd",
    "densely_guided",
    "dist_kd",
    "distill",
    "evaluate",
    "export",
    "fit",
    "fitnets",
    "frozen",
    "fsp",
    "gradcheck",
    "info_nce",
    "jensen_shannon",
    "label_logits",
    "linear_cka",
    "load",
    "log_softmax",
    "log_softmax_backward",
    "logit_matching",
    "match_classes",
    "mean_over_rows",
    "metrics",
    "neuron_selectivity",
    "normalized_kd",
    "one_hot",
    "plots",
    "probabilistic_transfer",
    "progressive",
    "regression",
    "regression_kd",
    "relational_angle",
    "relational_distance",
    "reverse_kl",
    "same_class",
    "save",
    "sigmoid_targets",
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
    "top_targets",
    "total_variation",
    "train_step",
    "vid",
    "warmup",
]
