r"""Fewer steps: a student that does in one step of a diffusion model what its teacher does in several.

Noise is an angle: at 0 there are data, at a right angle there is noise alone. A network sees z at an angle and answers
with v, the speed at which z moves along the angle. Nothing here has a gradient: these functions make the rows of a
data function, and the loss that reads them is `kd.Match("student.logits", "v", kd.logit_matching)`.

Letters: N rows, D numbers a row; x data and e noise, (N, D); phi the angle, one number or (N, 1); v the answer,
(N, D). Derivation: docs/derivations/diffusion.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_count, check_size, is_number
from kdlearn.nn.functional import as_real

Answer = Callable[[Array, Any], Array]


def noised(x: Array, noise: Array, angle: Any) -> tuple[Array, Array]:
    r"""Data with noise in it, and the speed at which they move along the angle `[diffusion.1]`.

    .. math:: z = \cos\varphi\,x + \sin\varphi\,e, \qquad v = \frac{\partial z}{\partial\varphi}
              = \cos\varphi\,e - \sin\varphi\,x

    A network that minimises ½‖v̂ - v‖² over many rows is a diffusion model.

    Parameters
    ----------
    x, noise : (N, D) data, and noise of variance 1.
    angle : phi in [0, pi/2], one number or (N, 1).

    Returns
    -------
    z, v, both (N, D).

    Source: Ho, Jain and Abbeel 2020 for the rows; Salimans and Ho 2022 for v and the angle.

    Example
    -------
    >>> import numpy as np
    >>> z, v = noised(np.array([[2.0, 0.0]]), np.array([[0.0, 1.0]]), np.pi / 2)
    >>> print(z.round(6) + 0, v.round(6) + 0)
    [[0. 1.]] [[-2.  0.]]
    """
    xp = array_module(x, noise)
    x, noise = (a if a.dtype.kind == "f" else as_real(a, name) for a, name in ((x, "x"), (noise, "noise")))
    if noise.shape != x.shape:
        raise ValueError(f"noise must have the shape of x, {x.shape}, got {noise.shape}: each row has noise of its own")
    angle = xp.asarray(angle, dtype=x.dtype)  # the data keep their precision
    _check_angle(angle, x)
    c, s = xp.cos(angle), xp.sin(angle)
    return c * x + s * noise, c * noise - s * x


def ddim(answer: Answer, z: Array, angle: Any, step: float, count: int = 1) -> Array:
    r"""`count` steps of a deterministic sampler (DDIM), each `step` closer to the data `[diffusion.2]`.

    .. math:: z_{\varphi-\delta} = \cos\delta\, z_\varphi - \sin\delta\, \hat v(z_\varphi, \varphi)

    A sample of k steps is `ddim(answer, noise, pi / 2, pi / (2 * k), k)`.

    Parameters
    ----------
    answer : function (z, phi) -> v, for example a network with the angle among its inputs; of a stack of
        networks too, with one more axis in front.
    z : (N, D) where it begins.
    angle : phi, one number or (N, 1).
    step, count : delta > 0, and how many.

    Source: Song, Meng and Ermon 2021 (DDIM), with the angle of Salimans and Ho 2022.
    """
    check_count("count", count)
    check_size("step", step, zero=False)
    _check_angle(angle, z)
    for _ in range(count):
        v = answer(z, angle)
        if v.shape[-2:] != z.shape[-2:]:
            raise ValueError(f"the answer must have the shape of z, {z.shape}, got {v.shape}")
        z = math.cos(step) * z - math.sin(step) * v
        angle = angle - step
    return z


def one_step_answer(z: Array, end: Array, step: float) -> Array:
    r"""The answer with which one step of a student leads from z to where its teacher ended `[diffusion.3]`.

    .. math:: v^* = \frac{\cos\delta\, z - z''}{\sin\delta}

    Two steps of a teacher make progressive distillation:

        end = ddim(teacher, z, angle, step / 2, count=2)
        rows = kd.Data({"x": x, "v": one_step_answer(z, end, step)})

    where x is what the network sees of z and the angle. All of the teacher's steps at once, from pure noise, make a
    regression on pairs of noise and sample.

    Parameters
    ----------
    z, end : (N, D) where the step begins, and z'' where it is to end.
    step : delta, the student's step, in (0, pi).

    Source: Salimans and Ho 2022, whose target is the x that belongs to this v; Luhman and Luhman 2021
    for all steps at once.

    Example
    -------
    >>> import numpy as np
    >>> z, end = np.array([[1.0, 0.0]]), np.array([[0.0, 0.5]])
    >>> v = one_step_answer(z, end, step=0.3)
    >>> print(ddim(lambda z, angle: v, z, 0.3, step=0.3).round(6) + 0)
    [[0.  0.5]]
    """
    if not is_number(step) or not 0 < step < math.pi:
        raise ValueError(f"step lies between 0 and pi, got {step!r}")
    if end.shape != z.shape:
        raise ValueError(f"end must have the shape of z, {z.shape}, got {end.shape}")
    return (math.cos(step) * z - end) / math.sin(step)


def _check_angle(angle: Any, z: Array) -> None:
    """ValueError for (N,), which would be broadcast along the columns of z, silently where N = D."""
    shape = getattr(angle, "shape", ())
    if len(shape) and (len(shape) < 2 or shape[-2:] != (z.shape[-2], 1)):
        raise ValueError(
            f"angle must be one number or {(z.shape[-2], 1)}, one a row, got shape {shape}; "
            "angle[:, None] makes a column of a vector"
        )
