"""A small problem: forty rows of three classes, a student of three hidden layers, three epochs."""

from __future__ import annotations

import numpy as np

import kdlearn as kd

D, H, K = 5, 6, 3
OBJECTIVE = kd.CrossEntropy() + kd.SoftTargets(T=2)


def data(n=40, seed=0, **columns):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D)).astype(np.float32)
    return kd.Data({"x": x, "y": (x @ rng.normal(size=(D, K))).argmax(axis=1), **columns})


def student(seed=1, **options):
    return kd.MLP(D, H, H, H, K, seed=seed, **options)


def settings(**changes):
    return {"epochs": 3, "batch_size": 16, "optimizer": kd.Adam(1e-2), "seed": 4, "progress": False} | changes


class Trip:
    """Ends a training within an epoch, as an interrupt or a fault of the machine would."""

    def __init__(self, epoch, fault=KeyboardInterrupt):
        self.epoch, self.fault = epoch, fault

    def after_step(self, run):
        if run.epoch == self.epoch:
            raise self.fault
