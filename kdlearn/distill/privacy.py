"""Private teachers: noisy votes of teachers whose rows do not overlap, and what one row can change (PATE).

A vote is a count a class. If one private row is replaced, one teacher changes, so one vote moves from one class
to another: two counts change by one each. Noise hides that, and the functions here say how well. Letters:
M teachers, N rows that are asked about, K classes; Q questions; alpha > 1 an order, a number or an array. All
is NumPy in float64: a promise should not rest on rounding that can be avoided. Derivation:
docs/derivations/privacy.md.

    counts = votes(teachers.logits(public.x).argmax(axis=-1), 10)
    y = noisy_winners(counts, 40, rng)
    spent = len(y) * gaussian_renyi(ORDERS, 40)  # one question after another: curves add up
    epsilon, order = epsilon_of(spent, ORDERS, delta=1e-5)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kdlearn.backend import check_generator
from kdlearn.checks import is_number, is_whole
from kdlearn.nn.functional import expm1_residual

ORDERS = 1 + np.geomspace(1e-2, 1e5, 4001)
VOTE = math.sqrt(2)  # the length by which counts change if one vote moves


def votes(answers: Any, classes: int) -> np.ndarray:
    """Counts (N, K) of answers (M, N): how many of M teachers name each class."""
    answers = np.asarray(answers)
    if answers.ndim != 2 or not np.isin(answers, np.arange(classes)).all():
        raise ValueError(f"answers must be (M, N) with numbers 0 … {classes - 1}, got shape {answers.shape}")
    return (answers[:, :, None] == np.arange(classes)).sum(axis=0)


def noisy_winners(counts: Any, scale: float, rng: np.random.Generator, noise: str = "gaussian") -> np.ndarray:
    r"""The class with most votes, once noise is added to every count `[privacy.1]`.

    .. math:: \hat y = \arg\max_k\,(n_k + \xi_k), \qquad \xi_k \sim \mathcal N(0, \sigma^2)
              \ \text{ or }\ \mathrm{Laplace}(b)

    The counts with that noise may be published whole for the same price, as soft labels too; without it nothing of
    them may be, not the winner's share either. The noise here is that of NumPy: for study. Noise of floating-point
    numbers leaves traces in the last bits (Mironov 2012).

    Parameters
    ----------
    counts : (N, K) from `votes`.
    scale : sigma, or b; 0 adds none and protects nobody.
    rng : draws the noise. Its seed is a secret too: with it the noise can be taken off.
    noise : "gaussian" (GNMax) or "laplace" (LNMax).

    Returns
    -------
    (N,) integer labels.

    Source: Papernot et al. 2017, section 2.1 (Laplace); Papernot et al. 2018, section 4.1 (Gaussian).
    """
    if noise not in ("gaussian", "laplace") or not (0 <= scale < math.inf):
        raise ValueError(f"noise is 'gaussian' or 'laplace' with a scale >= 0, got {noise!r} and {scale!r}")
    check_generator(rng)
    draw = rng.normal if noise == "gaussian" else rng.laplace
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.dtype.kind not in "iuf" or not (counts >= 0).all():
        raise ValueError(f"counts must be (N, K) with numbers of at least 0, got shape {counts.shape}")
    return (counts + draw(0.0, scale, counts.shape)).argmax(axis=1)


def gaussian_renyi(order: Any, sigma: float, change: float = VOTE) -> Any:
    r"""Rényi divergence between normal noise around two vectors that are `change` apart `[privacy.2]`.

    .. math:: D_\alpha\big(\mathcal N(u, \sigma^2 I)\,\|\,\mathcal N(v, \sigma^2 I)\big)
              = \frac{\alpha\,\|u - v\|^2}{2\sigma^2}

    Parameters
    ----------
    order : alpha > 1.
    sigma : deviation of the noise on each entry.
    change : the largest distance of u and v if one row is replaced; sqrt(2) for votes.

    Source: Mironov 2017, table II; Papernot et al. 2018, proposition 8, for votes.
    """
    _check(order, sigma)
    return order * change**2 / (2 * sigma**2)


def laplace_renyi(order: Any, scale: float) -> Any:
    r"""Rényi divergence between Laplace noise around counts of which two differ by one each `[privacy.3]`.

    .. math:: D_\alpha = \frac{2}{\alpha - 1} \log\Big(\frac{\alpha}{2\alpha - 1}\, e^{(\alpha - 1)/b}
              + \frac{\alpha - 1}{2\alpha - 1}\, e^{-\alpha/b}\Big)

    Parameters
    ----------
    order : alpha > 1.
    scale : b; the noise has deviation sqrt(2) b.

    Source: Mironov 2017, table II, once for each of the two counts.
    """
    _check(order, scale)
    order = np.asarray(order, float)
    up, down = order / (2 * order - 1), (order - 1) / (2 * order - 1)
    more, less = (order - 1) / scale, -order / scale
    large = np.logaddexp(np.log(up) + more, np.log(down) + less)
    # under much noise the two add up to nearly 1, and what lies above it begins with their squares
    small = up * expm1_residual(np.minimum(more, 1)) + down * expm1_residual(np.maximum(less, -2))
    return 2 * np.where((more < 1) & (less > -2), np.log1p(small), large)[()] / (order - 1)


def epsilon_of(curve: Any, order: Any, delta: float) -> tuple[float, float]:
    r"""The epsilon of (epsilon, delta)-differential privacy that follows from a curve of divergences `[privacy.4]`.

    .. math:: \varepsilon = \min_\alpha \Big(D_\alpha + \frac{\log(1/\delta)}{\alpha - 1}\Big)

    Parameters
    ----------
    curve : D_alpha at each order, added up over all that was published from the private rows.
    order : alpha > 1, for example `ORDERS`.
    delta : the chance that the promise fails; well below one over the number of private rows.

    Returns
    -------
    epsilon, and the order that gave it. Any order gives a true epsilon, so a coarse grid is safe.

    Source: Mironov 2017, proposition 3. Tighter ones exist; this one has three lines of proof.
    """
    if not is_number(delta) or not 0 < delta < 1:
        raise ValueError(f"delta lies between 0 and 1, got {delta!r}")
    _check(order, 1.0)
    order, curve = np.atleast_1d(order), np.atleast_1d(curve)
    if curve.shape != order.shape:
        raise ValueError(f"curve must hold one divergence an order, shape {order.shape}, got {curve.shape}")
    values = curve + math.log(1 / delta) / (order - 1)
    best = int(values.argmin())
    return float(values[best]), float(order[best])


def gaussian_sigma(epsilon: float, delta: float, queries: int = 1, change: float = VOTE) -> float:
    r"""The deviation of normal noise with which Q questions together cost epsilon `[privacy.5]`.

    .. math:: \sigma = \frac{\Delta\sqrt{Q/2}}{\sqrt{\log(1/\delta) + \varepsilon} - \sqrt{\log(1/\delta)}}

    Parameters
    ----------
    epsilon, delta : the promise, for all questions together. Trying several on private rows and keeping the best
        costs more than the best alone (Papernot and Steinke 2022).
    queries : Q.
    change : Delta, as in `gaussian_renyi`.
    """
    if not (0 < epsilon < math.inf and 0 < delta < 1):
        raise ValueError(f"epsilon is positive and delta lies between 0 and 1, got {epsilon!r} and {delta!r}")
    if not (is_whole(queries) and queries >= 1 and 0 < change < math.inf):
        raise ValueError(
            f"there is at least one question, a whole number, and a change is positive, got {queries!r} and {change!r}"
        )
    L = math.log(1 / delta)
    # the difference of two roots, written so that a small epsilon loses no digits
    return change * math.sqrt(queries / 2) * (math.sqrt(L + epsilon) + math.sqrt(L)) / epsilon


def _check(order: Any, scale: float) -> None:
    if not (np.all(np.asarray(order) > 1) and scale > 0):
        raise ValueError("orders must be above 1, and noise needs a positive scale: without it nothing is private")
