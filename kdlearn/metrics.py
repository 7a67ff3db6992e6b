"""What to measure of a classifier. All take logits (N, K) or labels and return a float."""

from __future__ import annotations

import numpy as np

from kdlearn.backend import Array, to_numpy
from kdlearn.nn.functional import log_softmax, softmax


def accuracy(z: Array, y: Array) -> float:
    """Share of rows whose largest logit is the label; z (N, K), y (N,)."""
    return float((z.argmax(axis=1) == y).mean())


def agreement(z_a: Array, z_b: Array) -> float:
    """Share of rows in which two networks choose the same class (Stanton et al. 2021, top-1)."""
    return float((z_a.argmax(axis=1) == z_b.argmax(axis=1)).mean())


def negative_log_likelihood(z: Array, y: Array) -> float:
    """Mean of -log p(label), in nats: what the cross-entropy measures on these rows."""
    rows = np.arange(len(z))
    return float(-to_numpy(log_softmax(z))[rows, to_numpy(y)].mean())


def calibration_error(z: Array, y: Array, bins: int = 15) -> float:
    """Expected calibration error: mean |accuracy - confidence| over equal-width confidence bins.

    Each bin is weighted by its rows. Source: Guo et al. 2017, equation 3.
    """
    p, y = to_numpy(softmax(z)), to_numpy(y)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(which, weights=right - confidence.astype(float), minlength=bins)
    return float(np.abs(gap).sum() / len(y))


def entropy(z: Array, T: float = 1.0) -> float:
    """Mean entropy of softmax(z/T), in nats; log K for a uniform answer."""
    p = to_numpy(softmax(z, T)).astype(float)
    return float(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1).mean())
