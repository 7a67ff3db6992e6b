"""Self-distillation from the past: a network's teacher is what it said itself, an epoch ago.

The hooks `LastEpoch` and `MovingAverage` keep the past. Letters: N rows, K classes. Derivation:
docs/derivations/past.md.
"""

from __future__ import annotations

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_classes, check_share
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.functional import one_hot
from kdlearn.objective import Objective


def progressive(alpha: float = 0.8, past: str = "past") -> Objective:
    r"""Labels that soften, over the training, into what the network itself said before `[past.1]`.

    .. math:: L = (1-\alpha_t)\,\mathrm{CE}(y, q) + \alpha_t\,\mathrm{KL}(p\|q),\quad \alpha_t = \alpha\,t, \qquad
              \frac{\partial L}{\partial z} = \frac1N\big(q - (1-\alpha_t)\,y - \alpha_t\,p\big)

    with p the answers of the epoch before, kept by the hook `LastEpoch`, and t the progress in
    [0, 1]. At the start p is the labels themselves, `label_logits`:

        rows = train.with_columns({"past.logits": kd.label_logits(train.y, 10)})
        kd.fit(student, kd.progressive(), rows, hooks=[kd.LastEpoch()], epochs=30)

    Parameters
    ----------
    alpha : weight of the past at the end of training.
    past : owner of the site with the past answers; validation rows need that column too.

    Source: Kim et al. 2021, whose staircase of epochs is a straight line here.
    """
    check_share("alpha", alpha)
    soft = SoftTargets(1, teacher=f"{past}.logits")
    return (lambda t: 1 - alpha * t) * CrossEntropy() + (lambda t: alpha * t) * soft


def label_logits(y: Array, K: int, dtype: str = "float32") -> Array:
    """Labels (N,) as logits (N, K), 0 at the label and -inf elsewhere: softmax gives them back as one-hot rows."""
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"dtype must be one of floats, in which there is -inf, got {dtype!r}")
    xp = array_module(y)
    check_classes(y, K)
    return xp.where(one_hot(y, K, dtype) > 0, 0, -xp.inf).astype(dtype)
