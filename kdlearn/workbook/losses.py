"""The losses of the workbook, and their usual mistakes.

Forgotten factors, signs and masks have general names in `kdlearn.ideas`, and need no slip here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from kdlearn.distill import response
from kdlearn.distill.divergence import reverse_kl
from kdlearn.distill.feature import squared_error, unit_rows
from kdlearn.distill.feature import unit_rows_backward as back_through_rows
from kdlearn.distill.relation import similarity_preserving
from kdlearn.distill.response import soft_targets
from kdlearn.ideas import Case
from kdlearn.nn import functional
from kdlearn.workbook.task import (
    OF_PAIRS,
    OF_ROWS,
    PASSED_ON,
    WITH_T,
    D,
    E,
    K,
    N,
    Slips,
    T,
    Task,
    also,
    elsewhere,
    normal,
)

Loss = tuple[Any, np.ndarray]
OVERFLOW = "Logits of a thousand overflow: take each row's maximum away before exp."
OVERFLOW_T = "Wrong for logits of a thousand at T = {T:g}: divide by T first, then take each row's maximum away."
MAXIMUM = "Take each row's maximum away before exp"
NO_FLOOR = f"{MAXIMUM}; log p is what is left minus log(sum of exp), with no floor under p."
NO_NAN = f"{MAXIMUM}; log p is what is left minus log(sum of exp), and p · log p is zero where p is, no NaN."
NO_LENGTH = "Short rows of h have a direction, too: put no floor under a length."
T_FIRST = "Divide by T first, then take each row's maximum away; log p is what is left minus log(sum of exp)."

# ---------------------------------------------------------------- softmax


def softmax(z: np.ndarray, T: float = 1.0) -> np.ndarray:
    """As the workbook asks for it."""
    return functional.softmax(z, T)


SOFTMAX: Slips = {
    "T: The logits are to be divided by T.": lambda z, T: softmax(z),
    "1/T: The logits are divided by T, not multiplied by it.": lambda z, T: softmax(z, 1 / T),
    "T inside exp: The logits are divided by T, not what comes out.": lambda z, T: softmax(z) / T,
    "the classes as the axis: Sum over axis=1; yours runs over the rows.": lambda z, T: softmax(z.T, T).T,
    "the exponential: A logit may be negative, its exponential may not.": lambda z, T: z / z.sum(axis=1, keepdims=True),
}

# ---------------------------------------------------------------- losses on logits


def large(right: Callable[..., Loss], where: str, remedy: str, *arguments: Any) -> list[Callable[..., None]]:
    """What else must hold for large logits, told of the value and of the gradient alone."""
    alone = f"The value is right for {where}, the gradient is not: its softmax overflows. {MAXIMUM}."
    return [
        also(right, f"The value is wrong for {where}. {remedy}", *arguments, unpack=lambda found: found[0]),
        also(right, alone, *arguments, unpack=lambda found: found[1]),
    ]


def cross_entropy(z: np.ndarray, y: np.ndarray) -> Loss:
    """As the workbook asks for it."""
    return response.cross_entropy(z, y)


CROSS_ENTROPY: Slips = {
    "the logarithm: The value is the mean of -log p[y], not of -p[y].": lambda z, y: (
        -softmax(z)[np.arange(len(y)), y].mean(),
        cross_entropy(z, y)[1],
    ),
    "the label: The value counts the probability of the label alone.": lambda z, y: (
        -np.log(softmax(z)).sum() / len(z),
        cross_entropy(z, y)[1],
    ),
}


def _no_entropy(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    value, gradient = soft_targets(z_s, z_t, T)
    p = softmax(z_t, T)
    return value - T**2 * (p * np.log(p)).sum() / len(p), gradient


def _cold(z_s: np.ndarray, z_t: np.ndarray, T: float) -> Loss:
    """Without a temperature in the softmaxes; the factors in front are right."""
    value, gradient = soft_targets(z_s, z_t, 1.0)
    return T**2 * value, T * gradient


SOFT_TARGETS: Slips = {
    "the order of KL: The teacher's p stands in front, the sum of p (log p - log q).": reverse_kl,
    "the order of KL: The teacher's p stands in front, the sum of p (log p - log q). The gradient is right.": (
        lambda z_s, z_t, T: (reverse_kl(z_s, z_t, T)[0], soft_targets(z_s, z_t, T)[1])
    ),
    "T in the teacher's softmax: The teacher's answers are to be softened, too.": (
        lambda z_s, z_t, T: soft_targets(z_s, z_t * T, T)
    ),
    "T in the student's softmax: The student's answers are to be softened, too.": (
        lambda z_s, z_t, T: _cold(z_s, z_t / T, T)
    ),
    "T in both softmaxes: The answers of student and teacher are to be softened.": _cold,
    "a held teacher: Student and teacher are exchanged; the gradient must be the student's.": (
        lambda z_s, z_t, T: soft_targets(z_t, z_s, T)
    ),
    "log p: KL is the sum of p (log p - log q); without p log p it is a cross-entropy. The gradient is right.": (
        _no_entropy
    ),
}

# ---------------------------------------------------------------- features and relations


def hint(h_s: np.ndarray, h_t: np.ndarray, V: np.ndarray) -> tuple[Any, ...]:
    """As the workbook asks for it."""
    value, d = squared_error(h_s @ V, h_t)
    return value, d @ V.T, h_s.T @ d


def unit_rows_backward(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    """As the workbook asks for it."""
    return back_through_rows(*unit_rows(x), du)


def _dot(u: np.ndarray, du: np.ndarray) -> np.ndarray:
    return (u * du).sum(axis=1, keepdims=True)


def _one_length(x: np.ndarray, du: np.ndarray) -> np.ndarray:
    length = np.sqrt((x * x).sum())
    u = x / length
    return (du - u * _dot(u, du)) / length


def _back(way: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """dx as `way(u, 1/|x|, du)` has it."""
    return lambda x, du: way(*unit_rows(x), du)


UNIT_ROWS_BACKWARD: Slips = {
    "the projection: Take away the part of du along u, which would only lengthen the row.": (
        _back(lambda u, inverse, du: du * inverse)
    ),
    "1/|x|: The longer the row, the less a step turns it.": _back(lambda u, inverse, du: du - u * _dot(u, du)),
    "u in place of x: The projection is along the unit row u.": (
        lambda x, du: (du - x * _dot(x, du)) * unit_rows(x)[1]
    ),
    "each row's own length: Sum the squares over axis=1; yours is the length of the whole array.": _one_length,
    "the dot product: u · du is one number a row, the sum over axis=1.": (
        _back(lambda u, inverse, du: (du - u * u * du) * inverse)
    ),
    "each row's own dot product: u · du is the sum over axis=1, not over all entries.": (
        _back(lambda u, inverse, du: (du - u * (u * du).sum()) * inverse)
    ),
    "a sign: What would lengthen the row is taken away from du, not added.": (
        _back(lambda u, inverse, du: (du + u * _dot(u, du)) * inverse)
    ),
}


def _similarity(h_s: np.ndarray, h_t: np.ndarray, sides: str = "both", back: str = "all") -> Loss:
    """The loss with one mistake: in the product h hᵀ, or on the way back through its rows."""
    (u, inverse), (v, _) = unit_rows(h_s @ h_s.T), unit_rows(h_t @ h_t.T)
    d = 2 * (u - v) / len(h_s) ** 2
    dS = {"all": back_through_rows(u, inverse, d), "length": d * inverse, "none": d}[back]
    dh = {"both": dS + dS.T, "one": dS, "twice": 2 * dS}[sides] @ h_s
    return ((u - v) ** 2).mean(), dh


def _raw_table(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    d = h_s @ h_s.T - h_t @ h_t.T
    return (d * d).mean(), 4 / d.size * d @ h_s


def _unit_features(h_s: np.ndarray, h_t: np.ndarray) -> Loss:
    (u, inverse), (v, _) = unit_rows(h_s), unit_rows(h_t)
    d = u @ u.T - v @ v.T
    return (d * d).mean(), back_through_rows(u, inverse, 4 / d.size * d @ u)


SIMILARITY: Slips = {
    "rows of unit length: Each row of the table is to be scaled, or long rows of h decide alone.": _raw_table,
    "both sides: h stands twice in S = h hᵀ, so dh = (dS + dSᵀ) h.": partial(_similarity, sides="one"),
    "the transpose: The rows of S are scaled, so dS is not symmetric: dS + dSᵀ is not 2 dS.": (
        partial(_similarity, sides="twice")
    ),
    "the way back through the rows: The length of a row of S changes, too: unit_rows_backward.": (
        partial(_similarity, back="length")
    ),
    "the way back through the rows: From the scaled rows to S it is unit_rows_backward.": (
        partial(_similarity, back="none")
    ),
    "the table's rows: The rows of the table S are scaled, not those of h.": _unit_features,
}

# ---------------------------------------------------------------- where they are asked

Z, Z2, V_, V2 = normal((N, K), (N, K), (N, K), (N, K), scale=1.5)
Y, Y2 = np.array([3, 0, 6, 3, 1]), np.array([2, 2, 5, 0, 4])
FAR = np.round(64 * Z) / 64 + np.array([[0.0], [900.0], [-900.0], [2000.0], [0.0]])  # exact in float32, too
SURE = 1000.0 * np.eye(K)[:N]
(H_S, H_S2), (H_T, H_T2) = normal((N, D), (N, D), seed=1), normal((N, E), (N, E), seed=2)
W_, W2 = normal((D, E), (D, E), seed=3)
X, X2, DU, DU2 = normal((N, K), (N, K), (N, K), (N, K), seed=4)
# another number of everything, and a temperature that is no whole number
Z3, V3, H_S3, H_T3, W3 = normal((3, 4), (3, 4), (3, 2), (3, 5), (2, 5), seed=20)
Y3, T3 = np.array([2, 0, 3]), 1.7
TEMPERATURES = (4.0, 1 / 64)  # beside 1, for large logits: powers of two, exact in float32
UNIT = X / np.sqrt((X * X).sum(axis=1, keepdims=True))
SHORT = UNIT * np.array([[1e-4], [0.05], [0.3], [0.7], [2.0]])
SIGNS = np.zeros((N, K))  # sums of zero, all entries negative, a largest entry of zero
SIGNS[:, :3] = [[1, -1, 0], [-2, -1, -3], [-1, 0, -2], [2, -1, -1], [0, 3, -3]]
SIGNS[1, 3:] = -1
ODD_ROWS = {  # (idea, hint): x
    ("short rows", "A short row, of length 0.0001, has a direction, too: only a row of zeros has none."): SHORT,
    ("rows of zeros", "A row of zeros has no direction, and 0/0 is no number: its dx is zero."): X * (Y > 0)[:, None],
    ("single zeros", "Where some entries of a row are zero it has a direction, and every entry a dx."): X * (X > 0),
    (
        "signs in a row",
        "A row has a direction, too, where its sum or its largest entry is zero, or none is positive.",
    ): SIGNS,
    ("short rows", "A row of length 1e-9 has a direction, too: only a row of zeros has none."): 1e-9 * UNIT,
}


def rare(p: float, far: float) -> Callable[..., None]:
    """A class counts to which the teacher gives about p, and the student next to nothing: its logit is `far` below."""
    hint = f"A probability of {p:g} counts, too: leave out no term of the sum, and put no floor under p or q."
    last = np.arange(K) == K - 1
    return also(soft_targets, hint, Z - far * last, V_ + 0.8 * np.log(p) * last, 1.0, idea="small probabilities")


TASKS = {
    "softmax": Task(
        softmax,
        ("p",),
        [(Z, T), (Z2, 0.5)],
        SOFTMAX,
        more=[
            elsewhere(softmax, Z3, T3),
            also(softmax, OVERFLOW, FAR, 1.0),
            also(softmax, OVERFLOW, SURE - SURE[::-1], 1.0),
            *(also(softmax, OVERFLOW_T.format(T=hot), FAR, hot) for hot in TEMPERATURES),
        ],
        odd=lambda at: (at.table(at.ends[1]), T),
    ),
    "cross_entropy": Task(
        cross_entropy,
        ("value", "dz"),
        [(Z, Y), (Z2, Y2)],
        CROSS_ENTROPY,
        ideas=OF_ROWS,
        more=[
            elsewhere(cross_entropy, Z3, Y3),
            *large(cross_entropy, "logits of a thousand", NO_FLOOR, SURE, Y),
        ],
        odd=lambda at: (at.table(at.ends[1]), at.labels()) if at.ends[1] > 1 else None,  # one class is none
    ),
    "soft_targets": Task(
        soft_targets,
        ("value", "dz_s"),
        [(Z, V_, T), (Z2, V2, T)],
        SOFT_TARGETS,
        ideas=(*OF_ROWS, *WITH_T),
        more=[
            rare(1e-6, 600.0),
            elsewhere(soft_targets, Z3, V3, T3),
            *large(soft_targets, "a student's logits of a thousand", NO_FLOOR, SURE, V_, 1.0),
            *large(soft_targets, "a teacher's logits of a thousand", NO_NAN, V_, SURE, 1.0),
            rare(1e-12, 1e9),
            also(soft_targets, "T may be below 1, too: take it as it is.", Z, V_, 0.25, idea="a low temperature"),
            *(
                holds
                for hot in TEMPERATURES
                for of, place in (("student", (4 * SURE, V_)), ("teacher", (V_, 4 * SURE)))
                for holds in large(soft_targets, f"a {of}'s logits of 4000 at T = {hot:g}", T_FIRST, *place, hot)
            ),
        ],
        odd=lambda at: (at.table(at.ends[1]), at.table(at.ends[1], seed=1), T) if at.ends[1] > 1 else None,
    ),
    "hint": Task(
        hint,
        ("value", "dh_s", "dV"),
        [(H_S, H_T, W_), (H_S2, H_T2, W2)],
        case=Case(H_T),
        ideas=(*OF_ROWS, "a factor of 2", "a factor of ½"),
        more=[elsewhere(hint, H_S3, H_T3, W3)],
        odd=lambda at: (at.table(at.ends[0]), at.table(at.ends[1], seed=1), at.normal(*at.ends, seed=2)),
    ),
    "unit_rows_backward": Task(
        unit_rows_backward,
        ("dx",),
        [(X, DU), (X2, DU2)],
        UNIT_ROWS_BACKWARD,
        ideas=PASSED_ON,
        more=[
            elsewhere(unit_rows_backward, Z3, V3),
            *(also(unit_rows_backward, hint, x, DU, idea=idea) for (idea, hint), x in ODD_ROWS.items()),
        ],
        odd=lambda at: (at.table(at.ends[0]), at.table(at.ends[0], seed=1)),
    ),
    "similarity": Task(
        similarity_preserving,
        ("value", "dh_s"),
        [(H_S, H_T), (H_S2, H_T2)],
        SIMILARITY,
        ideas=(*OF_PAIRS, "a factor of 2"),
        more=[
            also(similarity_preserving, NO_LENGTH, H_S / 1024, H_T / 1024, idea="short rows"),
            elsewhere(similarity_preserving, H_S3, H_T3),
        ],
        odd=lambda at: (at.table(at.ends[0]), at.table(at.ends[1], seed=1)) if at.scale else None,  # no row is zero
    ),
}
