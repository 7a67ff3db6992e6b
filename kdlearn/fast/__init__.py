"""For a GPU: the same functions in one launch each.

A small step on a GPU is nothing but launches, some ten microseconds each, whatever they compute. `BODIES`
maps a loss's rows, or an optimiser's rule, to a body that computes the same from the same arguments in one
kernel; `kdlearn.backend.body_for` looks there for arrays that live on a GPU. The reference stays the
oracle of every body. What the bodies gain: docs/performance.md.
"""

from kdlearn.backend import BODIES
from kdlearn.distill.response import cross_entropy, soft_targets
from kdlearn.fast import losses, rules
from kdlearn.nn.optim import SGD, Adam, AdamW

BODIES |= {
    cross_entropy.rows: losses.cross_entropy,  # type: ignore[attr-defined]
    soft_targets.rows: losses.soft_targets,  # type: ignore[attr-defined]
    SGD.update: rules.sgd,
    Adam.update: rules.adam,
    AdamW.update: rules.adamw,
}

__all__ = ["BODIES"]
