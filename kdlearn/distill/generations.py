"""Self-distillation over generations: each trained network teaches the next of its kind.

Derivation: docs/derivations/generations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdlearn.checks import check_count
from kdlearn.distill.assistant import Rows, assistants, lesson
from kdlearn.distill.response import CrossEntropy
from kdlearn.nn.network import Network
from kdlearn.objective import Objective


def generations(
    make: Callable[[int], Network],
    objective: Objective,
    data: Rows,
    n: int,
    *,
    first: Objective | None = None,
    **settings: Any,
) -> list[Network]:
    r"""Born-again networks: each generation is taught by the last `[generations.1]`.

    .. math:: \theta_1 = \arg\min_\theta L_1(\theta), \qquad
              \theta_g = \arg\min_\theta L(\theta;\ \theta_{g-1}),\quad g = 2 \dots n

    Parameters
    ----------
    make : `make(g)` is the untrained network of generation g = 0 … n-1. One seed for all makes
        generations that differ in their teacher alone; a seed for each, generations that gain more
        from noisy labels and are worth averaging: `mean_of_probabilities(*(net.logits(x) for net in nets))`.
    objective : reads the generation before as `teacher`, e.g. `SoftTargets(T=1)`.
    data : as `fit` takes it; the same for every generation.
    n : generations, the first included.
    first : what the first learns from; default the labels alone.
    settings : of `fit`, the same for every generation; one seed means one order of batches for all.
        An objective that reads no teacher gives n independent networks, the fair control of an
        ensemble of generations.

    Source: Furlanello et al. 2018, who add labels and teacher: `CrossEntropy() + SoftTargets(T=1)`.
    """
    nets = [make(g) for g in range(check_count("n", n))]
    lesson(nets[0], CrossEntropy() if first is None else first, data, None, settings, 0)
    assistants(nets[1:], objective, data, nets[0], **settings)
    return nets
