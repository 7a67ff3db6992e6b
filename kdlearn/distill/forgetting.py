"""Learning a new task without forgetting the old one: the teacher is the network itself, before the new task.

A network has one output a class, old and new ones side by side. The labels of the new task are about the new
outputs, the answers of the network as it was are about the old ones, so each loss looks at some columns of one
matrix of logits. Letters: N rows; z the student's logits, z_t those of the network before; A the columns
of the old classes, B those of the new. Derivation: docs/derivations/forgetting.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from kdlearn.checks import check_weight
from kdlearn.distill.response import CrossEntropy, SoftTargets, logit_matching
from kdlearn.distill.transfer import select_classes
from kdlearn.nn.layers import Select
from kdlearn.nn.network import Network
from kdlearn.objective import Given, Match, Objective, Through, Weight


def OnClasses(
    classes: Iterable[int], target: str, inner: Objective, student: str = "student.logits", teacher: str = ""
) -> Objective:
    r"""`inner` of some of a student's live logits `[forgetting.1]`.

    .. math:: L(z) = \ell(z[C]), \qquad \frac{\partial L}{\partial z_k} =
              \begin{cases}\partial\ell/\partial z_k & k \in C\\ 0 & \text{else}\end{cases}

    Parameters
    ----------
    classes : C, the columns, in the order in which `inner` sees them.
    target : name of the new site (N, |C|), which `inner` reads; labels there are 0 … |C|-1.
    inner : an objective, for example `CrossEntropy(target)`.
    student : the live logits.
    teacher : fixed logits that are cut to the same columns, if `inner` compares with any: it reads them as the
        site `target + " of the teacher"`.

    Example
    -------
    >>> import numpy as np
    >>> few = OnClasses([3, 1], "few", CrossEntropy("few"))
    >>> found = few({"student.logits": np.zeros((1, 4))}, {"y": np.array([1])})  # the label is column 1
    >>> print(found.gradients["student.logits"])
    [[ 0.  -0.5  0.   0.5]]
    """
    chosen = Select(classes)
    if teacher:
        inner = Given(target + " of the teacher", select_classes(chosen.columns), (teacher,), inner)
    return Through(Network([chosen], {"logits": 0}), student, target, inner)


def without_forgetting(
    old: Iterable[int], new: Iterable[int], T: float = 2.0, weight: Weight = 1.0, teacher: str = "teacher.logits"
) -> Objective:
    r"""Labels for the new classes, and for the old ones what the network said before, on the new rows `[forgetting.2]`.

    .. math:: L = \mathrm{CE}(y, q_B) + \lambda\,\frac{T^2}{N}\sum_n\mathrm{KL}\big(p_A\,\|\,q_A\big), \qquad
              \frac{\partial L}{\partial z_B} = \frac1N\,(q_B - y), \quad
              \frac{\partial L}{\partial z_A} = \frac{\lambda T}{N}\,(q_A - p_A)

    with q_B = softmax(z[B]), q_A = softmax(z[A]/T), p_A = softmax(z_t[A]/T). No row of the old task is needed:

        rows = new.with_soft_labels(net)  # what it says before it changes
        kd.fit(net, without_forgetting(range(10), range(10, 20)), rows, epochs=20)

    Parameters
    ----------
    old, new : A and B; the labels y are 0 … |B|-1.
    T : temperature of the old answers.
    weight : lambda. The factor T² is the package's; the paper has none, so its weight 1 is a weight 1/T² here.
    teacher : site of the answers before.

    Source: Li and Hoiem 2016, algorithm 1, at T = 2; without its warm-up of the new outputs.
    """
    check_weight("weight", weight)
    kept = SoftTargets(T, "old", "old of the teacher")
    return OnClasses(new, "new", CrossEntropy("new")) + weight * OnClasses(old, "old", kept, teacher=teacher)


def dark_experience(
    alpha: Weight = 0.5,
    beta: Weight = 0.0,
    student: str = "buffer.logits",
    past: str = "past.logits",
    y: str = "past.y",
) -> Objective:
    r"""Rows that were kept, with the logits they had and, in DER++, with their labels `[forgetting.3]`.

    .. math:: L = \frac1M\sum_m \tfrac{\alpha}{2}\,\|z(x_m) - z_m^{\text{past}}\|^2 + \beta\,\mathrm{CE}(y_m, q_m),
              \qquad \frac{\partial L}{\partial z} = \frac1M\big(\alpha\,(z - z^{\text{past}}) + \beta\,(q - y)\big)

    over M rows of a buffer; add the loss of the new rows. The buffer is a second name of the same network, with rows
    of its own: `kd.fit({"student": net, "buffer": net}, …)` on data with columns `x` and `buffer.x`.

    Parameters
    ----------
    alpha, beta : weights of the logits and of the labels.
    student : live logits of the buffer's rows.
    past, y : columns with the logits and labels that were kept.

    Source: Buzzega et al. 2020; its squared distance has no half, so its alpha is half of this one.
    """
    check_weight("alpha", alpha)
    check_weight("beta", beta)
    term: Objective = Match(student, past, logit_matching, alpha)
    return term if beta == 0 else term + beta * CrossEntropy(student, y)
