"""Knowledge distillation from scratch: every loss and every gradient written by hand.

    import kdlearn as kd

    objective = 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(T=4)
    kd.fit(student, objective, train, teachers=teacher, epochs=20)

The public names, nothing else. Modules: `kd.data`, `kd.metrics`, `kd.plots`, `kd.study`,
`kd.gradcheck`, `kd.distill`.
"""

from kdlearn import data, distill, gradcheck, metrics, plots, study
from kdlearn.backend import BackendUnavailable, array_module, to_device, to_numpy
from kdlearn.checkpoint import CheckpointError, load, save
from kdlearn.data import Data, DataUnavailable, Splits, soft_labels
from kdlearn.distill.response import CrossEntropy, SoftTargets, cross_entropy, logit_matching, soft_targets
from kdlearn.nn.functional import log_softmax, log_softmax_backward, one_hot, softmax, softmax_backward
from kdlearn.nn.layers import GELU, Dropout, Layer, LayerNorm, Linear, ReLU, Tanh
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
    "array_module",
    "constant",
    "cosine",
    "cross_entropy",
    "data",
    "distill",
    "evaluate",
    "fit",
    "gradcheck",
    "load",
    "log_softmax",
    "log_softmax_backward",
    "logit_matching",
    "metrics",
    "one_hot",
    "plots",
    "save",
    "soft_labels",
    "soft_targets",
    "softmax",
    "softmax_backward",
    "steps",
    "study",
    "to_device",
    "to_numpy",
    "train_step",
    "warmup",
]
