"""Teachers made by hand: functions for `Given`, from labels and logits to a fixed site.

None of them needs a gradient: what they return is held, and the loss that reads it is
`soft_targets`, as ever. Letters: N rows, K classes; `y` labels (N,), `z_s` and `z_t` logits
(N, K) of student and teacher. Derivation: docs/derivations/targets.md.

    Given("virtual.logits", functools.partial(virtual_teacher, K=10), ("y",),
          SoftTargets(T=20, teacher="virtual.logits"))
    Given("fixed.logits", corrected_teacher, ("teacher.logits", "y"), SoftTargets(T=4, teacher="fixed.logits"))
    Given("need", need_of_teaching, ("student.logits", "teacher.logits", "y"), SoftTargets(T=2) * "need")
"""

from __future__ import annotations

import math

import numpy as np

from kdlearn.backend import Array, array_module, device_of, to_device
from kdlearn.checks import check_classes, check_labels, check_logits, check_share, check_size, is_whole
from kdlearn.nn.functional import as_real, one_hot, real_dtype, softmax_parts


def virtual_teacher(y: Array, K: int, confidence: float = 0.99, dtype: str = "float32") -> Array:
    r"""Logits of a teacher that is right, equally sure each time, and indifferent among the others `[targets.1]`.

    .. math:: z_k = \log p_k, \qquad p_k = \begin{cases} a & k = y \\ \frac{1-a}{K-1} & k \ne y \end{cases}

    Parameters
    ----------
    y : (N,) integer labels.
    K : number of classes, >= 2.
    confidence : a, in (1/K, 1).
    dtype : of the logits (N, K).

    Source: Yuan et al. 2020 (Tf-KD), section 4.
    """
    if not is_whole(K):
        raise TypeError(f"K must be a number of classes, got {K!r}")
    if not (K >= 2 and 1 / K < confidence < 1):
        raise ValueError(f"confidence lies between 1/K and 1, got {confidence!r} for K = {K!r}")
    check_classes(y, K)
    # any common shift will do: the others get 0
    gap = math.log(confidence) - math.log((1 - confidence) / (K - 1))
    return gap * one_hot(y, K, dtype)


def corrected_teacher(z_t: Array, y: Array) -> Array:
    r"""The teacher's logits with its first choice and the label exchanged where they differ `[targets.2]`.

    .. math:: z'_y = z_{k^*},\quad z'_{k^*} = z_y,\quad z'_k = z_k \text{ else}, \qquad k^* = \arg\max_k z_k

    The row keeps its numbers, hence its entropy at every temperature; only who holds the largest
    changes. Shapes as in the module's head; the dtype of `z_t`.

    Source: Wen, Lai and Qian 2019 ("probability shift").
    """
    check_logits(z_t)
    check_labels(z_t, y)
    xp = array_module(z_t, y)
    first = z_t.argmax(axis=1)
    is_label, is_first = (one_hot(k, z_t.shape[1], "bool") for k in (y, first))
    of_label, of_first = (xp.take_along_axis(z_t, k[:, None], axis=1) for k in (y, first))
    return xp.where(is_label, of_first, xp.where(is_first, of_label, z_t))


def need_of_teaching(z_s: Array, z_t: Array, y: Array) -> Array:
    r"""Weight (N,) of each row, near 1 where the student is worse than the teacher, near 0 where better `[targets.3]`.

    .. math:: w = 1 - \exp\Big(-\frac{\mathrm{CE}(z_s, y)}{\mathrm{CE}(z_t, y)}\Big)

    Both cross-entropies at T = 1. `z_s` is read from the fixed sites: the weight is held, and the
    student is not rewarded for staying bad. Where both are 0 so is w, and where the teacher excludes the label.

    Source: Zhou et al. 2021 (weighted soft labels).
    """
    given = real_dtype(z_s)
    z_s, z_t = as_real(z_s, "z_s"), as_real(z_t, "z_t")
    check_logits(z_s, z_t)
    check_labels(z_s, y)
    xp = array_module(z_s, z_t, y)
    ce_s, ce_t = (_surprise(z, y) for z in (z_s, z_t))
    ce_s = xp.minimum(ce_s, float(xp.finfo(ce_s.dtype).max))  # of a label that the student excludes: no inf / inf
    # beyond a quotient of 1000 the weight is 1 to the last digit
    quotient = ce_s / xp.maximum(ce_t, ce_s / 1000 + float(xp.finfo(ce_s.dtype).tiny))
    return -xp.expm1(-quotient).astype(given)


def noisy_teacher(z_t: Array, rng: np.random.Generator, deviation: float = 0.3, share: float = 0.5) -> Array:
    r"""Logits with multiplicative noise in a random share of the rows `[targets.4]`.

    .. math:: z'_{nk} = z_{nk}\,(1 + \sigma\,m_n\,\xi_{nk}), \qquad
              \xi_{nk} \sim \mathcal N(0, 1),\quad m_n \in \{0, 1\},\ P(m_n = 1) = s

    Noise comes anew each epoch, so it belongs in the data: `fit(student, objective, lambda epoch,
    rng: train.with_columns({"teacher.logits": noisy_teacher(z_t, rng)}), …)`. Drawn on the host,
    like all random numbers. A masked class stays masked.

    Parameters
    ----------
    z_t : (N, K) logits.
    deviation, share : sigma >= 0 and s in [0, 1].

    Source: Sau and Balasubramanian 2016.
    """
    check_logits(z_t)
    check_size("deviation", deviation)
    check_share("share", share)
    z_t = z_t if z_t.dtype.kind == "f" else as_real(z_t, "z_t")
    xp = array_module(z_t)
    noise = deviation * rng.standard_normal(z_t.shape) * (rng.random((z_t.shape[0], 1)) < share)
    alive = z_t != -xp.inf
    noisy = xp.where(alive, z_t, 0) * to_device(1 + noise, device_of(z_t), z_t.dtype)
    return xp.where(alive, noisy, -xp.inf)


def _surprise(z: Array, y: Array) -> Array:
    """-log p_y of each row, to full relative accuracy even where p_y is nearly 1."""
    xp = array_module(z, y)
    u, p, c = softmax_parts(z)
    label = one_hot(y, z.shape[1], "bool")
    others = xp.where(label, 0, p).sum(axis=1)
    plain = c[:, 0] - xp.take_along_axis(u, y[:, None], axis=1)[:, 0]
    return xp.where(others < 0.5, -xp.log1p(-xp.minimum(others, 0.5)), plain)
