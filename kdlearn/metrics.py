"""What to measure of a classifier. All take logits (N, K) or labels and return a float.

As everywhere, NaN in is NaN out: a network that diverged has no accuracy. Nor has one whose largest logit is
infinite: softmax makes NaN of it. Logits or labels of another shape are a
ValueError: compared by broadcasting, they would give a number that looks like one.
"""

from __future__ import annotations

import numpy as np

from kdlearn.backend import Array, to_numpy
from kdlearn.checks import check_count, check_labels, check_logits
from kdlearn.nn.functional import as_real, log_softmax, softmax


def accuracy(z: Array, y: Array) -> float:
    """Share of rows whose largest logit is the label; z (N, K), y (N,)."""
    z, y = _labelled(z, y)
    return _share(z.argmax(axis=1) == y, z)


def agreement(z_a: Array, z_b: Array) -> float:
    """Share of rows in which two networks choose the same class (Stanton et al. 2021, top-1)."""
    z_a, z_b = _logits(z_a), _logits(z_b)
    check_logits(z_a, z_b, least=1)
    return _share(z_a.argmax(axis=1) == z_b.argmax(axis=1), z_a, z_b)


def negative_log_likelihood(z: Array, y: Array) -> float:
    """Mean of -log p(label), in nats: what the cross-entropy measures on these rows."""
    z, y = _labelled(z, y)
    return float(-log_softmax(z)[np.arange(len(z)), y].mean())


def calibration_error(z: Array, y: Array, bins: int = 15) -> float:
    """Expected calibration error: mean |accuracy - confidence| over equal-width confidence bins.

    Each bin is weighted by its rows; a confidence on the edge of two belongs to the lower one.
    Source: Guo et al. 2017, equation 3.
    """
    z, y = _labelled(z, y)
    check_count("bins", bins)
    if _unknown(z):
        return float("nan")
    confidence, right, which = by_confidence(z, y, bins)
    gap = np.bincount(which, weights=right - confidence.astype(float), minlength=bins)
    return float(np.abs(gap).sum() / len(y))


def by_confidence(z: np.ndarray, y: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each row how sure its answer is, whether it is right, and the number m of its bin, (m/M, (m + 1)/M]."""
    p = softmax(z)
    confidence = p.max(axis=1)
    edges = (np.arange(1, bins) / bins).astype(p.dtype)  # as near to m/M as a confidence can be
    return confidence, p.argmax(axis=1) == y, np.searchsorted(edges, confidence)


def entropy(z: Array, T: float = 1.0) -> float:
    """Mean entropy of softmax(z/T), in nats; log K for a uniform answer."""
    p = softmax(_logits(z), T).astype(float)
    return float((p * -np.log(np.maximum(p, 1e-300))).sum(axis=1).mean())


def _logits(z: Array) -> np.ndarray:
    z = as_real(to_numpy(z), "z")
    check_logits(z, least=1)
    return z


def _labelled(z: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
    z, y = _logits(z), to_numpy(y)
    check_labels(z, y)
    return z, y


def _share(right: np.ndarray, *logits: np.ndarray) -> float:
    return float("nan") if any(_unknown(z) for z in logits) else float(right.mean())


def _unknown(z: np.ndarray) -> bool:
    """Whether a row has no probabilities: its largest logit is NaN, infinite, or -inf, as where all are masked."""
    return not np.isfinite(z.max(axis=1)).all()
