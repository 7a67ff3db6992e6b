"""Self-distillation between views: what a network says of another view of a row, or of another row of its class.

Letters: N rows. Derivation: docs/derivations/views.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdlearn.backend import Array, device_of, to_device, to_numpy
from kdlearn.checks import check_classes, check_weight
from kdlearn.data.columns import Data, DataFunction
from kdlearn.distill.feature import squared_error
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.objective import Match, Objective


def same_class(data: Data, name: str = "pair") -> DataFunction:
    r"""Data in which each row is paired with another of its class `[views.1]`.

    .. math:: L = \mathrm{CE}(y, q(x)) + \lambda\,T^2\,\mathrm{KL}\big(q(x')\,\|\,q(x)\big), \qquad y(x') = y(x)

    for the objective `CrossEntropy() + lam * SoftTargets(T, teacher="pair.logits")`. The student is its
    own teacher, by the name of the pair's column, so no gradient flows through x':

        kd.fit(student, objective, kd.same_class(train), teachers={"pair": student}, epochs=30)

    Within each class the rows stand in a circle, drawn anew each epoch, and each is paired with the
    next: every row is somebody's pair once, and no row its own unless it is alone in its class.

    Parameters
    ----------
    data : with labels `y`, all known.
    name : the column added is `<name>.x`.

    Source: Yun et al. 2020; their published code, too, has the T² and holds the pair (read, not executed).
    """
    y = to_numpy(data.y)
    check_classes(y, None)  # rows without a label are not one class
    classes = [np.flatnonzero(y == k) for k in np.unique(y)]

    def columns(epoch: int, rng: np.random.Generator) -> Data:
        own, pairs = _own_stream(epoch, rng), np.empty(len(y), int)
        for rows in classes:
            circle = own.permutation(rows)
            pairs[circle] = np.roll(circle, 1)
        return data.with_columns({f"{name}.x": data.x.take(to_device(pairs, device_of(data.x)), axis=0)})

    return columns


def two_views(data: Data, distort: Callable[[Array, np.random.Generator], Array]) -> DataFunction:
    """Data with two views of each row, `a.x` and `b.x`, distorted anew each epoch.

    Parameters
    ----------
    distort : `distort(x, rng)`, a changed x (N, D): noise, a shift, missing pixels. It has an x of its own to change.
    """

    def columns(epoch: int, rng: np.random.Generator) -> Data:
        own = _own_stream(epoch, rng)
        return data.with_columns({f"{name}.x": distort(data.x.copy(), own) for name in ("a", "b")})

    return columns


def agreeing_views(T: float = 1.0, weight: float = 1.0, hint: float = 0.0, feature: str = "h1") -> Objective:
    r"""One network, two views of each row, each the other's teacher `[views.2]`.

    .. math:: L = \sum_{v \in \{a, b\}} \mathrm{CE}(y, q_v) + \lambda\,T^2\,\mathrm{KL}(q_{\bar v}\|q_v)
              + \mu\,\tfrac12\|h_v - h_{\bar v}\|^2

    where :math:`\bar v` is the other view, read from `fixed`. For one network under both names:
    `fit({"a": student, "b": student}, agreeing_views(), two_views(train, distort), …)`.

    Parameters
    ----------
    T, weight, hint : temperature, and the weights lambda of the answers and mu of the features.
    feature : tap of the features.

    Source: Xu and Liu 2019. Their feature term is the discrepancy of the two views' means (MMD); the
    views come in pairs here, and the mean squared distance of the pairs bounds it from above.
    """
    check_weight("weight", weight)
    check_weight("hint", hint)

    def one(view: str, other: str) -> Objective:
        soft = SoftTargets(T, f"{view}.logits", f"{other}.logits")
        near = Match(f"{view}.{feature}", f"{other}.{feature}", squared_error)
        return CrossEntropy(f"{view}.logits") + weight * soft + hint * near

    return one("a", "b") + one("b", "a")


def _own_stream(epoch: int, rng: np.random.Generator) -> np.random.Generator:
    # drawing from fit's generator would change the order of the batches, and unpair the run from its baseline
    seed: Any = rng.bit_generator.seed_seq
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, epoch)))
