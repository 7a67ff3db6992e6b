"""Rows without a label: a disturbed student and a teacher that is not, and a teacher that needs no label at all.

Letters: N rows, of which N_y have a label; K outputs; `z_s`, `z_t` logits of student and teacher, (N, K); `p` the
teacher's and `q` the student's probabilities. Derivation: docs/derivations/unlabelled.md.
"""

from __future__ import annotations

import functools
from typing import Any

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_logits, check_share, check_size, check_weight
from kdlearn.distill.response import CrossEntropy, SoftTargets, kl_rows
from kdlearn.loss import mean_over_rows
from kdlearn.objective import Given, Match, Objective, Weight
from kdlearn.run import Run


def noisy_student(
    weight: Weight = 1.0,
    T: float = 1.0,
    student: str = "student.logits",
    teacher: str = "teacher.logits",
    y: str = "y",
    ignore: int = -1,
) -> Objective:
    r"""Labels where there are some, and on every row what a teacher says of it undisturbed `[unlabelled.1]`.

    .. math:: L = \frac{1}{N_y}\sum_{n\,\text{labelled}}\mathrm{CE}(y_n, q_n) + \lambda\,\frac{T^2}{N}\sum_n
              \mathrm{KL}(p_n\|q_n), \qquad
              \frac{\partial L}{\partial z} = \frac{l}{N_y}\,(q^{(1)} - y) + \frac{\lambda T}{N}\,(q - p)

    with q at temperature T, q^(1) at 1, and l = 1 on a row with a label, else 0. The student sees a disturbed row, the
    teacher the clean one. Dropout of the input is such a disturbance, and no teacher has it; a column `teacher.x`
    beside a disturbed `x` is another:

        student = kd.MLP(64, 32, 10, dropout=(0.5, 0.0))
        kd.fit(student, noisy_student(), data, teachers=teacher, epochs=20)  # noisy student: the teacher is finished

        average = student.copy()  # mean teacher: it comes along
        kd.fit(student, noisy_student(lambda t: 3 * t), data, teachers=average, hooks=[kd.MovingAverage()], epochs=20)

    Parameters
    ----------
    weight : lambda; for a teacher that knows nothing at first it grows with the progress.
    T : temperature of the teacher's answers.
    student, teacher, y : sites; y is `ignore` where no label is known.

    Source: Xie et al. 2020, algorithm 1 with soft pseudo-labels, whose second mean is over the rows without a label;
    Tarvainen and Valpola 2017, section 2, whose second term is a squared distance of the probabilities.
    """
    check_weight("weight", weight)
    return CrossEntropy(student, y, ignore=ignore) + weight * SoftTargets(T, student, teacher)


@mean_over_rows
def dino(z_s: Array, z_t: Array, tau_s: float = 0.1, tau_t: float = 0.04) -> tuple[Array, Array]:
    r"""Cross-entropy with a teacher that is sharper than its student `[unlabelled.2]`.

    .. math:: L = -\frac1N\sum_n w_n\sum_k p_{nk}\log q_{nk},\quad p = \mathrm{softmax}(z_t/\tau_t),
              \ q = \mathrm{softmax}(z_s/\tau_s), \qquad \frac{\partial L}{\partial z_s} = \frac{w}{N\,\tau_s}\,(q - p)

    The outputs are no classes: nobody says what they mean. z_t is centred before (`Centre`).

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher, of two views of the rows.
    tau_s, tau_t : temperatures, > 0; the teacher is sharpened where tau_t is smaller.

    Source: Caron et al. 2021, section 3.1, equation 2.

    Example
    -------
    >>> import numpy as np
    >>> z_s, z_t = np.log([[1.0, 1.0]]), np.log([[3.0, 1.0]])  # q = (1/2, 1/2), p = (9/10, 1/10)
    >>> value, gradient = dino(z_s, z_t, tau_s=1.0, tau_t=0.5)
    >>> print(round(float(value), 4), gradient.round(4))
    0.6931 [[-0.4  0.4]]
    """
    check_logits(z_s, z_t)
    tau_s, tau_t = check_size("tau_s", tau_s, zero=False), check_size("tau_t", tau_t, zero=False)
    xp = array_module(z_s, z_t)
    kl, p, q, _ = kl_rows(z_t.astype("float64", copy=False) * (tau_s / tau_t), z_s, tau_s)
    entropy = -(p * xp.log(xp.where(p > 0, p, 1))).sum(axis=1)
    return kl + entropy, (q - p) / tau_s


class Centre:
    r"""The running mean of a teacher's logits, taken off them: a function of `Given`, and a hook that moves it
    `[unlabelled.3]`.

    .. math:: z_t \mapsto z_t - c, \qquad c \leftarrow m\,c + (1 - m)\,\frac1N\sum_n z_{t,n}\ \text{ after each step},
              \quad c = 0 \text{ before the first}

    In a stack each member has a centre of its own. With `micro_batch` it sees the last part of a batch.

    Parameters
    ----------
    m : in [0, 1].

    Example
    -------
    >>> import numpy as np
    >>> centre = Centre(m=0.5)
    >>> for step in range(3):
    ...     print(centre(np.array([[4.0, 0.0], [8.0, 0.0]]))[0])
    ...     centre.after_step(None)
    [4. 0.]
    [1. 0.]
    [-0.5  0. ]

    Source: Caron et al. 2021, equation 4.
    """

    def __init__(self, m: float = 0.9) -> None:
        self.m = check_share("m", m)
        self.begin(1)

    def begin(self, members: int) -> None:
        """No centre yet."""
        self.c: list[Any] = [0.0] * members
        self.seen: list[Any] = [0.0] * members
        self.turn = 0

    def __call__(self, z_t: Array) -> Array:
        """z_t less its centre; `Given` calls it for the members of a stack in turn."""
        i, self.turn = self.turn, (self.turn + 1) % len(self.c)
        self.seen[i] = z_t.mean(axis=0)
        return z_t - self.c[i]

    def check_members(self, members: int) -> None:
        """ValueError unless these are the centres of so many members; `evaluate` asks."""
        if all(isinstance(c, float) for c in self.c):  # none has moved yet
            self.begin(members)
        if len(self.c) != members:
            raise ValueError(
                f"this Centre holds the centres of {len(self.c)} networks, here are {members}: of one member of a "
                "stack it is centre.member(i)"
            )
        self.turn = 0

    def member(self, i: int) -> Centre:
        """The centre of one member of a stack, for that member alone."""
        own = Centre(self.m)
        own.c, own.seen = [self.c[i]], [self.seen[i]]
        return own

    def before_fit(self, run: Run) -> None:
        """Begin anew."""
        self.begin(run.members)

    def after_step(self, run: Run | None) -> None:
        """Move each centre towards the mean of the batch that it was taken off."""
        self.c = [self.m * c + (1 - self.m) * mean for c, mean in zip(self.c, self.seen)]

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a checkpoint must hold."""
        return {}, {str(i): c for i, c in enumerate(self.c)}

    def restore(self, values: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what `state` gave."""
        self.c = [arrays[str(i)] for i in range(len(arrays))]


def DINO(
    centre: Centre,
    tau_s: float = 0.1,
    tau_t: float = 0.04,
    student: str = "student.logits",
    teacher: str = "teacher.logits",
) -> Objective:
    """`dino` of a student and a centred teacher, a moving average of it; no label is read.

        centre, average = Centre(), student.copy()
        kd.fit(student, DINO(centre), rows, teachers=average, hooks=[kd.MovingAverage(), centre], epochs=40)

    Parameters
    ----------
    centre : also a hook of the training; without it there it stays at 0.
    tau_s, tau_t, student, teacher : as in `dino`.
    """
    loss = functools.partial(dino, tau_s=tau_s, tau_t=tau_t)
    return Given("centred", centre, (teacher,), Match(student, "centred", loss))
