"""Several labels at once: each class is a question of its own, answered yes or no.

Letters: N rows, K classes; `z_s`, `z_t` logits of student and teacher, (N, K); a class's probability is the
sigmoid of its logit, and the classes of a row need not sum to one. Each loss returns `(value, gradient)`,
the gradient with respect to its first argument: a mean over rows and a sum over classes, as everywhere. Derivation:
docs/derivations/multilabel.md.
"""

from __future__ import annotations

import functools

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_logits, check_temperature
from kdlearn.distill.response import kl_rows
from kdlearn.loss import mean_over_rows, softplus
from kdlearn.nn.functional import as_real
from kdlearn.objective import Term
from kdlearn.values import check_shares


@mean_over_rows
def binary_cross_entropy(z: Array, target: Array) -> tuple[Array, Array]:
    r"""Cross-entropy of K answers of yes or no `[multilabel.1]`.

    .. math:: L = \frac1N\sum_n\sum_k \log(1 + e^{z_{nk}}) - t_{nk}\,z_{nk}, \qquad
              \frac{\partial L}{\partial z} = \frac1N\,(\sigma(z) - t)

    Parameters
    ----------
    z : (N, K) logits, K >= 1.
    target : (N, K) numbers in [0, 1]: 1 where the row has the label.

    Source: the logistic model, older than its use in networks; no one paper.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = binary_cross_entropy(np.zeros((1, 2)), np.array([[1.0, 0.0]]))  # 2 log 2
    >>> print(round(float(value), 4), gradient.round(4))
    1.3863 [[-0.5  0.5]]
    """
    check_logits(z, target, least=1)
    xp = array_module(z, target)
    normaliser = softplus(z)
    return (normaliser - target * z).sum(axis=1), xp.exp(z - normaliser) - target


def _check_shares(z: Array, target: Array) -> None:
    # beyond [0, 1] the loss has no lower end; on a GPU to look would wait for the device
    if as_real(z, "z").ndim == 2 and hasattr(target, "ndim"):
        check_shares("target", target, z.shape[1], look=isinstance(target, np.ndarray))


binary_cross_entropy.shares = ("target",)  # type: ignore[attr-defined]  # held to it at the door of `fit`, too
binary_cross_entropy.check = _check_shares  # type: ignore[attr-defined]


@mean_over_rows
def sigmoid_targets(z_s: Array, z_t: Array, T: float = 4.0) -> tuple[Array, Array]:
    r"""Divergence of the student's softened yes and no from the teacher's, class by class `[multilabel.2]`.

    .. math:: L = \frac{T^2}{N}\sum_n\sum_k \mathrm{KL}\big(\mathrm{Bern}(p_{nk})\,\|\,\mathrm{Bern}(q_{nk})\big),
              \quad p = \sigma(z_t/T),\ q = \sigma(z_s/T), \qquad
              \frac{\partial L}{\partial z_s} = \frac TN\,(q - p)

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher, K >= 1; +-inf in z_t is an answer without doubt.
    T : temperature, > 0.

    Source: Yang et al. 2023b (multi-label logit distillation, its one-versus-all reduction), at a temperature.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = sigmoid_targets(np.zeros((1, 1)), np.log([[3.0]]), T=1.0)  # q = 1/2, p = 3/4
    >>> print(round(float(value), 4), gradient.round(4))
    0.1308 [[-0.25]]
    """
    T = check_temperature(T)
    check_logits(z_s, z_t, least=1)
    xp, shape = array_module(z_s, z_t), z_s.shape
    # yes or no is a softmax over two logits that differ by z: the careful divergence serves here as well
    two_s, two_t = (xp.minimum(xp.stack([z.reshape(-1), -z.reshape(-1)], axis=1), 0) for z in (z_s, z_t))
    kl, p, q, _ = kl_rows(two_t, two_s, T)
    return T * T * kl.reshape(shape).sum(axis=1), T * (q - p)[:, 0].reshape(shape)


def BinaryCrossEntropy(student: str = "student.logits", labels: str = "labels") -> Term:
    """The term `binary_cross_entropy(student, labels)`; `labels` is a column (N, K) of zeros and ones."""
    return Term(binary_cross_entropy, (student,), (labels,))


def SigmoidTargets(T: float = 4.0, student: str = "student.logits", teacher: str = "teacher.logits") -> Term:
    """The term `sigmoid_targets(student, teacher, T)`."""
    return Term(functools.partial(sigmoid_targets, T=check_temperature(T)), (student,), (teacher,))
