"""Answers of a team mixed by weights: no teacher is named here, and a branch or a peer is mixed alike.

Letters: N rows, K classes, M members of the team; Z (M, N, K) their answers, w (N, M) weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_logits
from kdlearn.nn.functional import as_real, one_hot, softmax_backward


def team(logits: Sequence[Array]) -> Array:
    """M answers as one array (M, N, K); errors as of `check_team`."""
    check_team(logits)
    return array_module(*logits).stack([as_real(z, "logits") for z in logits])


def check_team(logits: Sequence[Array]) -> None:
    """TypeError without any answer or for a list of them, ValueError unless all are (N, K) of one shape."""
    if any(isinstance(z, (list, tuple)) for z in logits):
        raise TypeError("the answers of a team are given one by one: f(a, b), or f(*answers) of a list")
    if not logits:
        raise TypeError("a team has at least one teacher: give the logits (N, K) of each")
    check_logits(*logits)


def mixture(w: Array, Z: Array) -> Array:
    """(N, K) sums over m of w (N, M) times Z (M, N, K)."""
    return (w.T[:, :, None] * Z).sum(axis=0)


def mixture_backward(g: Array, Z: Array, d: Array) -> tuple[Array, list[Array]]:
    """Gradients of the scores whose softmax is g, (N, M), and of each of the M answers."""
    return softmax_backward(g, (Z * d).sum(axis=2).T), [g[:, m : m + 1] * d for m in range(Z.shape[0])]


def descend_on_simplex(
    slope: Callable[[Array], Array], curvature: Callable[[Array], Array], w: Array, steps: int, cap: float = 1.0
) -> Array:
    """Weights that lower a convex function, each row of `w` (R, M) on its own and staying on the simplex.

    Each step shifts weight from the member with the steepest slope to the one with the least, by
    slope over curvature, as far as the bounds 0 and `cap` allow. With a curvature that is exact
    or too large the function never rises. A fixed number of steps: nothing waits for the device.

    Parameters
    ----------
    slope : w -> (R, M) partial derivatives.
    curvature : direction (R, M) -> (R,) upper bound of the second derivative along it.
    w : where to start.
    """
    xp, M = array_module(w), w.shape[1]
    for _ in range(steps):
        g = slope(w)
        gains = one_hot(xp.where(w < cap, g, xp.inf).argmin(axis=1), M, w.dtype)
        gives = one_hot(xp.where(w > 0, g, -xp.inf).argmax(axis=1), M, w.dtype)
        d = gains - gives
        bend = curvature(d)
        wanted = xp.where(bend > 0, -(g * d).sum(axis=1) / xp.where(bend > 0, bend, 1), 0)
        room = xp.minimum((w * gives).sum(axis=1), cap - (w * gains).sum(axis=1))
        w = w + xp.clip(wanted, 0, xp.maximum(room, 0))[:, None] * d
    return w
