"""The losses of the workbook, and their usual mistakes.

Forgotten factors, signs and masks have general names in `kdlearn.ideas`, and need no slip here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kdlearn.distill.divergence import reverse_kl
from kdlearn.distill.feature import squared_error, unit_rows
from kdlearn.distill.feature import unit_rows_backward as back_through_rows
from kdlearn.distill.relation import similarity_preserving
from kdlearn.distill.response import cross_entropy, soft_targets
from kdlearn.ideas import Case
from kdlearn.nn import functional
from kdlearn.workbook.task import D, E, K, N, T, Task, also, normal

Loss = tuple[Any, np.ndarray]
OVERFLOW = "Logits of a thousand overflow: take each row's maximum away before exp."

# ---------------------------------------------------------------- softmax


def softmax(z: np.ndarray, T: float = 1.0) -> np.ndarray:
    """As the workbook asks for it."""
    return functional.softmax(z, T)


def cold(z: np.ndarray, T: float) -> np.ndarray:
    """T: The logits are to be divided by T."""
    return softmax(z)


def multiplied(z: np.ndarray, T: float) -> np.ndarray:
    """1/T: The logits are divided by T, not multiplied by it."""
    return softmax(z, 1 / T)


def late(z: np.ndarray, T: float) -> np.ndarray:
    """T inside exp: The logits are divided by T, not what comes out."""
    return softmax(z) / T


def columns(z: np.ndarray, T: float) -> np.ndarray:
    """the classes as the axis: Sum over axis=1; yours runs over the rows."""
    return softmax(z.T, T).T


def no_exponential(z: np.ndarray, T: float) -> np.ndarray:
    """the exponential: A logit may be negative, its exponential may not."""
    return z / z.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- losses on logits


def no_logarithm(z: np.ndarray, y: np.ndarray) -> Loss:
    """the logarithm: The value is the mean of -log p[y], not of -p[y]."""
    return -softmax(z)[np.arange(len(y)), y].mean(), cross_entropy(z, y)[1]


def every_class(z: np.ndarray, y: np.ndarray) -> Loss:
    """the label: The value counts the probability of the label alone."""
    return -np.log(softmax(z)).sum() / len(z), cross_entropy(z, y)[1]


def reversed_kl(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """the order of KL: The teacher's p stands in front, the sum of p (log p - log q)."""
    return reverse_kl(z_s, z_t, T=T)


def reversed_value(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """the order of KL: The teacher's p stands in front, the sum of p (log p - log q). The gradient is right."""
    return reverse_kl(z_s, z_t, T=T)[0], soft_targets(z_s, z_t, T=T)[1]


def cold_teacher(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """T in the teacher's softmax: The teacher's answers are to be softened, too."""
    return soft_targets(z_s, z_t * T, T=T)


def cold_student(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """T in the student's softmax: The student's answers are to be softened, too."""
    value, gradient = soft_targets(z_s, z_t / T, T=1.0)
    return T**2 * value, T * gradient


def no_entropy(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """log p: KL is the sum of p (log p - log q); without p log p it is a cross-entropy. The gradient is right."""
    value, gradient = soft_targets(z_s, z_t, T=T)
    p = softmax(z_t, T)
    return value - T**2 * (p * np.log(p)).sum() / len(p), gradient


def exchanged(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """a held teacher: Student and teacher are exchanged; the gradient must be the student's."""
    return soft_targets(z_t, z_s, T=T)


def cold_both(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """T in both softmaxes: The answers of student and teacher are to be softened."""
    value, gradient = soft_targets(z_s, z_t, T=1.0)
    return T**2 * value, T * gradient


# ---------------------------------------------------------------- features and relations


def hint(h_s: np.ndarray, h_t: np.ndarray, V: np.ndarray) -> tuple[Any, ...]:
    """As the workbook asks for it."""
    value, d = squared_error(h_s @ V, h_t)
    return value, d @ V.T, h_s.T @ d


def unit_rows_backward(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """As the workbook asks for it."""
    return back_through_rows(*unit_rows(x), du)


def no_projection(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """the projection: Take away the part of du along u, which would only lengthen the row."""
    return du * unit_rows(x)[1]


def no_length(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """1/|x|: The longer the row, the less a step turns it."""
    u, _ = unit_rows(x)
    return du - u * (u * du).sum(axis=1, keepdims=True)


def long_projection(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """u in place of x: The projection is along the unit row u."""
    return (du - x * (x * du).sum(axis=1, keepdims=True)) * unit_rows(x)[1]


def one_length(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """each row's own length: Sum the squares over axis=1; yours is the length of the whole array."""
    length = np.sqrt((x * x).sum())
    u = x / length
    return (du - u * (u * du).sum(axis=1, keepdims=True)) / length


def no_dot(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """the dot product: u · du is one number a row, the sum over axis=1."""
    u, inverse = unit_rows(x)
    return (du - u * u * du) * inverse


def one_dot(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """each row's own dot product: u · du is the sum over axis=1, not over all entries."""
    u, inverse = unit_rows(x)
    return (du - u * (u * du).sum()) * inverse


def lengthened(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """a sign: What would lengthen the row is taken away from du, not added."""
    u, inverse = unit_rows(x)
    return (du + u * (u * du).sum(axis=1, keepdims=True)) * inverse


def _similarity(h_s: np.ndarray, h_t: np.ndarray, sides: str = "both", back: str = "all") -> Loss:
    """The loss with one mistake: in the product h hᵀ, or on the way back through its rows."""
    (u, inverse), (v, _) = unit_rows(h_s @ h_s.T), unit_rows(h_t @ h_t.T)
    d = 2 * (u - v) / len(h_s) ** 2
    dS = {"all": back_through_rows(u, inverse, d), "length": d * inverse, "none": d}[back]
    dh = {"both": dS + dS.T, "one": dS, "twice": 2 * dS}[sides] @ h_s
    return ((u - v) ** 2).mean(), dh


def raw_table(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    """rows of unit length: Each row of the table is to be scaled, or long rows of h decide alone."""
    d = h_s @ h_s.T - h_t @ h_t.T
    return (d * d).mean(), 4 / d.size * d @ h_s


def one_side(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    """both sides: h stands twice in S = h hᵀ, so dh = (dS + dSᵀ) h."""
    return _similarity(h_s, h_t, sides="one")


def twice(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    """the transpose: The rows of S are scaled, so dS is not symmetric: dS + dSᵀ is not 2 dS."""
    return _similarity(h_s, h_t, sides="twice")


def lengths_held(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    """the way back through the rows: The length of a row of S changes, too: unit_rows_backward."""
    return _similarity(h_s, h_t, back="length")


def no_way_back(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    """the way back through the rows: From the scaled rows to S it is unit_rows_backward."""
    return _similarity(h_s, h_t, back="none")


def unit_features(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    """the table's rows: The rows of the table S are scaled, not those of h."""
    (u, inverse), (v, _) = unit_rows(h_s), unit_rows(h_t)
    d = u @ u.T - v @ v.T
    return (d * d).mean(), back_through_rows(u, inverse, 4 / d.size * d @ u)


# ---------------------------------------------------------------- where they are asked

Z, Z2, V_, V2 = normal((N, K), (N, K), (N, K), (N, K), scale=1.5)
Y, Y2 = np.array([3, 0, 6, 3, 1]), np.array([2, 2, 5, 0, 4])
FAR = Z + np.array([[0.0], [900.0], [-900.0], [2000.0], [0.0]])
SURE = 1000.0 * np.eye(K)[:N]
(H_S, H_S2), (H_T, H_T2) = normal((N, D), (N, D), seed=1), normal((N, E), (N, E), seed=2)
W_, W2 = normal((D, E), (D, E), seed=3)
X, X2, DU, DU2 = normal((N, K), (N, K), (N, K), (N, K), seed=4)

TASKS = {
    "softmax": Task(
        softmax,
        ("p",),
        [(Z, T), (Z2, 0.5)],
        [cold, multiplied, late, columns, no_exponential],
        more=also(softmax, OVERFLOW, FAR),
    ),
    "cross_entropy": Task(
        cross_entropy,
        ("value", "dz"),
        [(Z, Y), (Z2, Y2)],
        [no_logarithm, every_class],
        more=also(
            cross_entropy,
            "Where p is zero its logarithm is not a number, and a floor under p is wrong: log(sum of exp) - z[y].",
            SURE,
            Y,
        ),
    ),
    "soft_targets": Task(
        soft_targets,
        ("value", "dz_s"),
        [(Z, V_, T), (Z2, V2, T)],
        [reversed_kl, reversed_value, cold_teacher, cold_student, cold_both, exchanged, no_entropy],
        more=also(
            soft_targets,
            "Where q is zero its logarithm is not a number, and a floor under q is wrong: subtract log(sum of exp).",
            SURE,
            V_,
            1.0,
        ),
    ),
    "hint": Task(hint, ("value", "dh_s", "dV"), [(H_S, H_T, W_), (H_S2, H_T2, W2)], case=Case(H_T)),
    "unit_rows_backward": Task(
        unit_rows_backward,
        ("dx",),
        [(X, DU), (X2, DU2)],
        [no_projection, no_length, long_projection, one_length, no_dot, one_dot, lengthened],
        more=also(
            unit_rows_backward,
            "A row of zeros has no direction, and 0/0 is not a number: its dx is zero.",
            X * (Y > 0)[:, None],
            DU,
            idea="rows of zeros",
        ),
    ),
    "similarity": Task(
        similarity_preserving,
        ("value", "dh_s"),
        [(H_S, H_T), (H_S2, H_T2)],
        [raw_table, one_side, twice, lengths_held, no_way_back, unit_features],
    ),
}
