"""Robustness to small changes of the input: attacks, training on attacked rows, and a teacher beside it.

An attack moves each row a little, to where the network errs. Letters: N rows, D inputs, K classes; z logits; q the
student's and p the teacher's probabilities; y a label, one-hot in formulas; epsilon the largest change of one input.
Derivation: docs/derivations/robust.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_count, check_labels, check_logits, check_members, check_share, check_size
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.loss import mean_over_rows
from kdlearn.nn.functional import at_label, less_at_label, softmax_parts
from kdlearn.nn.network import Network
from kdlearn.objective import Objective
from kdlearn.step import input_of, train_step

Attack = Callable[[Network, Array, Array], Array]


@mean_over_rows
def log_odds(z: Array, y: Array) -> tuple[Array, Array]:
    r"""Log-odds of the label being wrong: cross-entropy's direction, and no number that can vanish `[robust.1]`.

    .. math:: L = \frac1N\sum_n w_n\,\ell_n,\quad
              \ell = \log\frac{1 - q_y}{q_y} = \log\sum_{k\ne y} e^{z_k} - z_y, \qquad
              \frac{\partial L}{\partial z} = \frac{w}{N}\,(r - y),\quad
              r_k = \frac{q_k}{1 - q_y}\ (k \ne y),\ r_y = 0

    Cross-entropy has the gradient q - y = (1 - q_y)(r - y). Where the network is sure, the factor 1 - q_y is rounded
    to 0, in float32 from a margin of about 17, and q with it from about 104. A sign needs no factor.

    Parameters
    ----------
    z : (N, K) logits; -inf masks a class.
    y : (N,) integer labels in 0 … K-1.

    Source: Carlini and Wagner 2017 attack through differences of logits for this reason; theirs has the largest of the
    others in place of the sum.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = log_odds(np.log([[2.0, 1.0, 1.0]]), np.array([0]))  # q_y = 1/2
    >>> print(round(abs(float(value)), 4), gradient.round(4))
    0.0 [[-1.   0.5  0.5]]
    """
    check_logits(z)
    check_labels(z, y)
    xp = array_module(z, y)
    others = xp.where(xp.arange(z.shape[1]) == y[:, None], -math.inf, z)
    _, r, c = softmax_parts(others)
    return others.max(axis=1) + c[:, 0] - at_label(z, y), less_at_label(r, y, 1.0)


def pgd(
    net: Network,
    x: Array,
    y: Array,
    epsilon: float,
    steps: int = 10,
    size: float | None = None,
    low: float = -math.inf,
    high: float = math.inf,
    loss: Callable[[Array, Array], tuple[Array, Array]] = log_odds,
) -> Array:
    r"""Rows near x on which the loss is high: projected gradient ascent with signs `[robust.2]`.

    .. math:: x_{i+1} = \Pi\big(x_i + s\,\mathrm{sign}\,\nabla_{x_i} L\big), \qquad
              \Pi(v) = \min(\max(v, x - \varepsilon), x + \varepsilon), \quad x_0 = x

    The sign is the direction in which a linear loss grows fastest when no input may change by more than the others.
    One step is the fast gradient sign method, x + epsilon sign(gradient).

    Parameters
    ----------
    net : is not changed; for a stack of R the rows (R·N, D) are the members', one member after the other.
    x, y : (N, D) rows and (N,) labels.
    epsilon : largest change of one input, in its unit.
    steps, size : how many, and how far each; default 2.5 epsilon / steps, so that any place in reach can be reached.
    low, high : least and largest value that an input can have, such as 0 and 1 for pixels; those of x lie between.
    loss : `loss(z, y) -> (value, gradient)`.

    Source: Goodfellow et al. 2015 for one step; Madry et al. 2018 for several, from a random place where this one
    begins at x.
    """
    check_size("epsilon", epsilon)
    check_count("steps", steps)
    check_members(len(x), net.members)
    if getattr(net, "takes_tokens", False):
        raise ValueError("the network takes tokens, which cannot be moved a little: there is no attack on them here")
    short = x.dtype.kind != "f" or x.dtype.itemsize < 4  # whole numbers cannot be moved a little, and halves not enough
    x = x.astype(net.theta.dtype) if short else x
    if isinstance(x, np.ndarray) and (x.min() < low or x.max() > high):  # on a GPU it would wait for the device
        raise ValueError(f"x goes from {x.min():.4g} to {x.max():.4g}, beyond low = {low:g} or high = {high:g}")
    size = 2.5 * epsilon / steps if size is None else check_size("size", size, zero=False)
    xp = array_module(x, net.theta)
    least, most = xp.maximum(x - epsilon, low), xp.minimum(x + epsilon, high)
    attacked = x
    for _ in range(steps):
        _, g = net.input_gradient(attacked, lambda z: loss(z, y))
        attacked = xp.clip(attacked + (size * xp.sign(g)).astype(x.dtype), least, most)
    return attacked


def on_attacked_rows(attack: Attack, name: str = "student") -> Callable[..., dict[str, Array]]:
    r"""A training step on rows that are attacked anew, for `fit(step=…)` `[robust.3]`.

    .. math:: \min_\theta \frac1N\sum_n \max_{\|\delta_n\|_\infty \le \varepsilon} L(\theta, x_n + \delta_n), \qquad
              \frac{\partial}{\partial\theta}\max_\delta L(\theta, x + \delta) =
              \frac{\partial L}{\partial\theta}(\theta, x + \delta^*)\Big|_{\delta^*\ \text{held}}

    Adversarial training is cross-entropy with this step:

        step = on_attacked_rows(lambda net, x, y: pgd(net, x, y, epsilon=0.1, steps=3))
        kd.fit(student, kd.CrossEntropy(), train, step=step, epochs=20)

    Parameters
    ----------
    attack : `attack(net, x, y) -> x`, asked before each step with the network as it is.
    name : the student that is attacked and sees the attacked rows. Teachers, students of other names, columns and
        validation keep the rows of the data.

    Source: Madry et al. 2018, section 2, by Danskin's theorem.
    """

    def step(
        students: Mapping[str, Network], teachers: Any, objective: Objective, batch: Mapping[str, Array], **how: Any
    ) -> dict[str, Array]:
        rows = attack(students[name], input_of(name, batch), batch["y"])
        return train_step(students, teachers, objective, {**batch, name + ".x": rows}, **how)

    return step


def robust_distillation(
    T: float = 4.0,
    alpha: float = 1.0,
    attacked: str = "attacked.logits",
    clean: str = "student.logits",
    teacher: str = "teacher.logits",
) -> Objective:
    r"""On attacked rows the student says what its teacher says of the clean ones `[robust.4]`.

    .. math:: L = \frac1N\sum_n \alpha\,T^2\,\mathrm{KL}\big(p(x_n)\,\|\,q(x_n + \delta_n)\big)
              + (1 - \alpha)\,\mathrm{CE}\big(y_n, q(x_n)\big), \qquad
              \frac{\partial L}{\partial z^{\text{att}}} = \frac{\alpha T}{N}(q^{\text{att}} - p),\quad
              \frac{\partial L}{\partial z} = \frac{1 - \alpha}{N}(q - y)

    The student has two names, one for each kind of rows; the teacher may be a column, as it sees clean rows alone:

        step = on_attacked_rows(attack, "attacked")
        kd.fit({"student": net, "attacked": net}, robust_distillation(), train, teachers=robust, step=step, epochs=20)

    Parameters
    ----------
    T : temperature of both answers.
    alpha : share of the teacher, in [0, 1]; 1, the default of the published code, needs the name "attacked" alone.
    attacked, clean : live logits of the student on either kind of rows.
    teacher : its logits on the clean rows.

    Source: Goldblum et al. 2020. Their published code averages the divergence over classes too, so that its alpha
    weighs the teacher K times less (read, not executed).
    """
    check_share("alpha", alpha)
    term: Objective = alpha * SoftTargets(T, attacked, teacher)
    return term if alpha == 1 else term + (1 - alpha) * CrossEntropy(clean)
