"""Collaborative learning: the peers' answers are made into one, never worse than the best, which teaches them all.

Letters: N rows, K classes, M peers; y labels (N,), each of the logits (N, K). The targets are functions
for `Given`: they are held, and need no gradient. Derivation: docs/derivations/collaborative.md.
"""

from __future__ import annotations

from collections.abc import Callable

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_labels, check_weight
from kdlearn.distill.mutual import each_with_labels, total
from kdlearn.distill.response import SoftTargets
from kdlearn.hooks import check_names
from kdlearn.nn.functional import at_label, log_softmax, one_hot, softmax
from kdlearn.nn.mixture import descend_on_simplex, mixture, team
from kdlearn.objective import Given, Objective, Weight


def lowest_loss(y: Array, *logits: Array) -> Array:
    r"""In each row the answer of the peer with the smallest loss `[collaborative.1]`.

    .. math:: z_t = z_m,\qquad m = \arg\min_i\,\mathrm{CE}(z_i, y)

    Shapes: y (N,), each of the logits (N, K). Source: Guo et al. 2020, section 3.2 (KDCL-Naive).
    """
    Z = team(logits)
    M = Z.shape[0]
    chosen = one_hot(_losses(y, Z).argmin(axis=1), M, Z.dtype)
    xp = array_module(Z)
    return xp.where(chosen.T[:, :, None] > 0, Z, 0).sum(axis=0)


def best_mixture(y: Array, *logits: Array, steps: int = 20) -> Array:
    r"""In each row the convex combination of the peers' logits with the smallest loss `[collaborative.2]`.

    .. math:: z_t = \sum_m w_m z_m,\qquad w = \arg\min_{w\ge0,\ \sum w = 1} \mathrm{CE}\Big(\sum_m w_m z_m,\ y\Big),
              \qquad \frac{\partial\,\mathrm{CE}}{\partial w_m} = z_m\cdot(p - \mathrm{onehot}(y))

    Convex in w. The search starts at `lowest_loss` and never rises, so it is at least as good, after
    however few steps. Logits must be finite.

    Parameters
    ----------
    steps : shifts of weight from one peer to another, the most promising pair each time.

    Source: Guo et al. 2020, section 3.2 (KDCL-Linear).
    """
    Z = team(logits)
    M, K = Z.shape[0], Z.shape[2]
    w = one_hot(_losses(y, Z).argmin(axis=1), M, Z.dtype)
    target = one_hot(y, K, Z.dtype)

    def slope(w: Array) -> Array:
        r = softmax(mixture(w, Z)) - target
        return (Z * r).sum(axis=2).T

    def curvature(d: Array) -> Array:
        # the variance of a quantity that spans a range is at most a quarter of the range's square
        v = mixture(d, Z)
        span = v.max(axis=1) - v.min(axis=1)
        return 0.25 * span * span

    return mixture(descend_on_simplex(slope, curvature, w, steps), Z) if M > 1 else Z[0]


def min_logit(y: Array, *logits: Array) -> Array:
    r"""In each class the smallest lead that any peer gives it over the label's `[collaborative.3]`.

    .. math:: z_{t,k} = \min_m\,(z_{m,k} - z_{m,y}), \qquad
              \mathrm{CE}(z_t, y) = \log\sum_k e^{z_{t,k}} \le \min_m \mathrm{CE}(z_m, y)

    A teacher that is on no row worse than the best peer, and better where no peer has all the smallest leads; and
    surer than all of them. Shapes: y (N,), each of the logits (N, K). Source: Guo et al. 2020, section 3.2
    (KDCL-MinLogit).
    """
    Z = team(logits)
    check_labels(Z[0], y)
    return (Z - array_module(y, Z).take_along_axis(Z, y[None, :, None], axis=2)).min(axis=0)


def kdcl(
    *names: str, target: Callable[..., Array] = min_logit, T: float = 2.0, weight: Weight = 1.0, labels: str = "y"
) -> Objective:
    """Collaborative learning: the peers' answers are made into one, which teaches them all.

    The sum over the peers of `cross_entropy` and, times `weight`, `soft_targets` from
    `target(y, *logits)`, which is held.

    Parameters
    ----------
    names : of the students.
    target : `lowest_loss` [collaborative.1], `best_mixture` [collaborative.2], `min_logit` [collaborative.3], or any
        function of the labels and the peers' logits, e.g. `lambda y, *z: mean_of_logits(*z)`.
    T : temperature.
    weight : of the distillation.
    labels : name of their column.

    Source: Guo et al. 2020, equation 2; there each peer also sees an augmentation of its own, which
    is a column `<name>.x`.
    """
    check_names(names)
    check_weight("weight", weight)
    answers = [f"{name}.logits" for name in names]
    taught = total([SoftTargets(T, answer, "team") for answer in answers]).scaled(weight)
    return total([*each_with_labels(names, labels), Given("team", target, (labels, *answers), taught)])


def _losses(y: Array, Z: Array) -> Array:
    """(N, M) cross-entropies of the answers Z (M, N, K)."""
    check_labels(Z[0], y)
    return array_module(y, Z).stack([-at_label(log_softmax(z), y) for z in Z], axis=1)
