"""Which idea is missing, where a value or a gradient is wrong.

A mistake in one idea leaves a trace. Without the 1/N of a mean, every entry is N times too large; without the
softmax's coupling, the rows do not sum to zero. Each idea below is such a trace: where it fits all entries,
the idea has a name. `kd.gradcheck.review` asks for these names.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlearn.nn.functional import softmax, softmax_backward

CLOSE = 1e-5  # relative error up to which a trace fits: central differences are right to about 1e-9
Idea = tuple[str, str]  # a few words, and a sentence


@dataclass(frozen=True, repr=False)
class Review:
    """What a check found, as a sentence: true if all is right.

    `idea` is what is missing, in a few words; it is empty where nothing can be said of ideas, as when the
    function is not written yet. `hint` is the sentence.
    """

    right: bool
    idea: str = ""
    hint: str = ""

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        return "right" if self.right else f"missing: {self.idea}. {self.hint}".strip() if self.idea else self.hint

    __repr__ = __str__


@dataclass(frozen=True)
class Case:
    """Where a function was asked: its first argument, the temperature, and its other arguments.

    `ideas` names the factors that such a function can lack; None, where nothing is known of it.
    """

    z: np.ndarray
    T: float = 1.0
    others: Sequence[Any] = ()
    ideas: Collection[str] | None = None

    @property
    def labels(self) -> list[np.ndarray]:
        """Vectors of integers among the other arguments: labels, or positions of rows."""
        return [a for a in self.others if isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype.kind in "iu" and a.size]

    @property
    def weights(self) -> list[np.ndarray]:
        """Vectors of numbers or of yes and no among the other arguments, one for each row."""
        vectors = [a for a in self.others if isinstance(a, np.ndarray) and a.shape == self.z.shape[:1]]
        return [a.astype(float) for a in vectors if a.dtype.kind in "fb"]

    @property
    def others_like_z(self) -> list[np.ndarray]:
        """Arrays of the shape of z among the other arguments, such as a teacher's logits."""
        arrays = [a for a in self.others if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
        return [a for a in arrays if a.shape == self.z.shape]


def same(a: np.ndarray, b: np.ndarray, floor: float = 1e-12) -> bool:
    """Whether two arrays are one, up to `CLOSE` of the largest entry of b, or of `floor` where that is more."""
    return bool(np.abs(a - b).max(initial=0.0) <= CLOSE * max(float(np.abs(b).max(initial=0.0)), floor))


def share(wrong: np.ndarray) -> str:
    """How many entries, and what of them: "1 of 12 entries is", "3 of 12 entries are"."""
    number = int(wrong.sum())
    return f"{number} of {wrong.size} entries {'is' if number == 1 else 'are'}"


def common_factor(got: np.ndarray, expected: np.ndarray) -> float | None:
    """The c with got = c · expected in every entry; None where there is none, or where c is 0."""
    total = float((expected * expected).sum())
    c = float((got * expected).sum()) / total if total else 0.0
    return c if c and same(got / c, expected) else None


# ---------------------------------------------------------------- factors


def factors(case: Case, value: bool = False) -> Iterator[tuple[str, str, float, str]]:
    """Factors that are forgotten, or taken twice: `(kind, idea, got / expected, why)`.

    Two of one kind exclude each other. What a derivative brings in explains no `value`.
    """
    N, K, T = case.z.shape[0], case.z.shape[-1] if case.z.ndim > 1 else 1, case.T
    yield "sign", "a sign", -1.0, "plus and minus are exchanged"
    if N > 1:
        pairs = case.ideas is not None and "1/N²" in case.ideas
        over = f"the {N}·{N} pairs of rows, so divide by {N} once more" if pairs else f"the {N} rows, so divide by {N}"
        yield "mean", "1/N", float(N), f"the loss is a mean over {over}"
        yield "mean", "1/N only once", 1 / N, f"it is divided by the {N} rows once too often"
        yield "mean", "1/N²", float(N) ** 2, f"the loss is a mean over the {N}·{N} pairs of rows"
    if K > 1:
        yield "mean", "N in place of N·K", 1 / K, f"divide by the {N} rows alone, not by all {N * K} entries"
    if K > 1 and N > 1:
        yield "mean", "1/(N·K)", float(N * K), f"the loss is a mean over all {N * K} entries"
    if case.ideas and N != K:
        yield "mean", "rows in place of columns", N / K, f"divide by the {N} rows, not by the {K} columns"
    if T != 1:
        yield "T", "a factor of T", 1 / T, f"T is {T:g}"
        yield "T", "T squared", 1 / T**2, f"T² is {T * T:g}: with it a gradient keeps its size when T changes"
        yield "T", "a factor of 1/T", T, f"T is {T:g}" + ": the derivative of z/T in z is 1/T" * (not value)
        yield "T", "a factor of 1/T²", T**2, f"T² is {T * T:g}"
    yield "2", "a factor of 2", 0.5, "the derivative of x² is 2x" * (not value)
    yield "2", "a factor of ½", 2.0, "the loss may begin with ½"
    for w in case.weights:
        if 0 < w.sum() != N:
            why = f"divide by the sum of the weights, {w.sum():g}, not by {N}"
            yield "mean", "the mean over rows that count", w.sum() / N, why


def name_factor(c: float, case: Case, subject: str) -> Idea:
    """The idea behind a factor c = got / expected, also where it is one product of two, and of no two others."""

    def near(value: float) -> bool:
        return abs(c - value) <= CLOSE * abs(value)

    times = f"{abs(c):.4g}" if abs(abs(c) - 1) > 1e-3 else f"{abs(c):.7g}"
    size = f"{subject} is {times} times what it must be" + (", with the wrong sign" if c < 0 else "")
    if near(-1):
        size = f"{subject} has the opposite sign"
    meant = None if case.ideas is None else {"a sign", *case.ideas}
    known = [f for f in factors(case, subject == "your value") if meant is None or f[1] in meant]
    if found := [(idea, why) for _, idea, value, why in known if near(value)]:
        whys = "; or ".join(why for _, why in found if why)
        return " or ".join(idea for idea, _ in found), _sentence(f"{size}: {whys}" if whys else size)
    pairs = [
        (one, two)
        for one, two in itertools.combinations(known, 2)
        if one[0] != two[0] and near(one[2] * two[2]) and abs(one[2] * two[2] - 1) > CLOSE  # 1 leaves no trace
    ]
    if len(pairs) != 1:
        return "a factor", _sentence(f"{size}, everywhere")
    (_, one, _, why), (_, two, _, because) = pairs[0]
    return f"{one}, and {two}", _sentence(f"{size}: {'; '.join(filter(None, (why, because)))}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


# ---------------------------------------------------------------- values


def name_value(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea:
    """What is wrong with values (M,) of one loss at M places."""
    if not got.any():
        return "the loss", "Your value is zero, whatever goes in."
    if (got == got[0]).all() and not (expected == expected[0]).all():
        return "the loss", f"Your value is {got[0]:.6g}, whatever goes in."
    if same(got * np.log(2), expected):
        return "the natural logarithm", "Your value is in bits: use np.log, not np.log2."
    if (c := common_factor(got, expected)) is not None:
        idea, hint = name_factor(c, case, "your value")
        if got.size > 1 or idea != "a factor":  # one number alone is always some factor off
            return idea, hint
    shift, at = got - expected, int(np.abs(got - expected).argmax())
    if got.size > 1 and same(shift, np.full_like(shift, shift[0])):
        return (
            "a term that does not depend on the first argument",
            f"Your value is {shift[0]:+.4g} off at every place. The entropy of the targets is such a term.",
        )
    return "", f"{'At one place the' if at else 'The'} value is {got[at]:.6g}, it must be {expected[at]:.6g}."


# ---------------------------------------------------------------- gradients


def name_gradient(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """What is wrong with a gradient of the same shape as `expected`; None where no idea fits.

    `expected` is what central differences say. Only traces that fit every entry count.
    """
    if not got.any():
        return "a gradient", "Your gradient is zero everywhere, but the value does change."
    if (c := common_factor(got, expected)) is not None:
        return name_factor(c, case, "your gradient")
    for find in (_weights, _shares, _softmax, _differences, _places, _duplicates, _zeros, _sums):
        if idea := find(got, expected, case):
            return idea
    return None


def name_output(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """The same of an array that is no gradient, such as what a layer makes."""
    if (c := common_factor(got, expected)) is not None:
        return name_factor(c, case, "your gradient")
    return _shares(got, expected, case)


def _logits(expected: np.ndarray, case: Case) -> bool:
    """Whether this is a gradient at logits: then every row sums to zero."""
    if expected.ndim != 2 or expected.shape != case.z.shape or expected.shape[1] < 2:
        return False
    return float(np.abs(expected.sum(axis=1)).max()) <= CLOSE * float(np.abs(expected).max())


def _fits(repaired: np.ndarray, expected: np.ndarray, case: Case) -> bool:
    """Whether a repair leaves nothing but one of the known factors, or two."""
    c = common_factor(repaired, expected)
    return c is not None and (abs(c - 1) < CLOSE or name_factor(c, case, "")[0] != "a factor")


def _also(repaired: np.ndarray, expected: np.ndarray, case: Case) -> str:
    c = common_factor(repaired, expected)
    return "" if c is None or abs(c - 1) < CLOSE else f", and {name_factor(c, case, '')[0]}"


def _shares(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """Rows that must sum to one, and do not."""
    if expected.ndim != 2 or not same(expected.sum(axis=1), np.ones(len(expected))) or (expected < 0).any():
        return None
    sums = got.sum(axis=1, keepdims=True)
    if same(sums, np.ones_like(sums)) or not sums.all() or not same(got / sums, expected):
        return None
    return "rows that sum to one", "Divide each row by its own sum: axis=1, with keepdims=True."


def _softmax(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """Repairs: where what is left after one is right, that was missing."""
    if not _logits(expected, case):
        return None
    for T in dict.fromkeys((case.T, 1.0)):
        p = softmax(case.z, T)
        slope = np.maximum(p * (1 - p), 1e-300)
        for much, name in ((1 - p, "1 - p"), (p, "p"), (slope, "p(1 - p)")):  # fits exactly, so it comes first
            if _fits(got, expected * much, case):
                hint = f"Yours is multiplied by {name} once too often: the gradient at the logits has that in it."
                return "the softmax's slope only once" + _also(got, expected * much, case), hint
        repairs = {
            "the softmax": (
                softmax_backward(p, got),
                "Yours is the gradient at the probabilities: take it back through the softmax, p·(d - Σpd).",
            ),
            "centring": (
                got - p * got.sum(axis=1, keepdims=True),
                "A row must sum to zero: the softmax takes away p times the sum of the row.",
            ),
            "the softmax's coupling": (
                softmax_backward(p, got / slope),
                "Only the diagonal p(1 - p) is there: one logit moves the probabilities of all classes.",
            ),
            "the row's mean": (
                got - got.mean(axis=1, keepdims=True),
                "A row must sum to zero: its mean has to be taken away.",
            ),
        }
        for idea, (repaired, hint) in repairs.items():
            if _fits(repaired, expected, case):
                return idea + _also(repaired, expected, case), hint
    return None


def _differences(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """Where what is too much is something that we know."""
    if not _logits(expected, case) or len(case.z) < 2:
        return None
    z, T, excess = case.z, case.T, got - expected
    known = [
        (z - softmax(z), "the softmax", "The logits stand where the probabilities must."),
        (z / T - softmax(z, T), "the softmax", "The logits stand where the probabilities must."),
        (softmax(z, T) - softmax(z), "T in the student's softmax", "Your own probabilities must be softened, too."),
    ]
    for t in case.others_like_z:
        soft = softmax(t, T)
        known += [
            (soft - softmax(t), "T in the teacher's softmax", "The teacher's probabilities must be softened, too."),
            (soft, "the targets", "The teacher's probabilities have to be subtracted."),
            (t, "the targets", "What the teacher says has to be subtracted."),
            (soft - t, "the softmax of the teacher", "The teacher's logits stand where its probabilities must."),
        ]
    for direction, idea, hint in known:
        if common_factor(excess, direction) is not None:
            return idea, hint
    return None


def _weights(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    for w in case.weights:
        weighted = got * w.reshape(-1, *[1] * (got.ndim - 1)) if len(w) == len(got) else None
        if weighted is not None and weighted.any() and _fits(weighted, expected, case):
            mask = set(np.unique(w)) <= {0.0, 1.0}
            idea = "the mask" if mask else "the weights of the rows"
            hint = "Rows that are masked still get a gradient." if mask else "Each row's gradient is to be weighted."
            return idea + _also(weighted, expected, case), hint
    return None


def _duplicates(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """Rows of a table that are wrong because they were looked up more than once."""
    wrong = np.abs(got - expected).reshape(len(got), -1).max(axis=1) > CLOSE * float(np.abs(expected).max())
    for index in case.labels:
        if index.max() >= len(got) or index.min() < 0 or _logits(expected, case):
            continue
        counts = np.bincount(index, minlength=len(got))
        if (counts == 1).any() and wrong.any() and (counts[wrong] > 1).all():
            return (
                "all of the duplicate rows",
                f"Row {int(np.flatnonzero(wrong)[0])} is named more than once, and one share alone reached it: "
                "d[i] += … keeps the last, np.add.at(d, i, …) adds them all.",
            )
    return None


def _zeros(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """Entries that must be zero and are not, or are zero and must not be; the others are right."""
    wide, scale = (len(got), -1), CLOSE * float(np.abs(expected).max())
    moves, there = np.abs(expected) > scale, np.abs(got) > scale
    masked, lost = there & ~moves, moves & ~there
    if masked.any() and moves.any() and _fits(np.where(masked, 0, got), expected, case):
        rows = np.flatnonzero(masked.reshape(wide).any(axis=1))
        whole = not moves.reshape(wide)[rows].any()
        what = f"{_rows(rows)} must get no gradient" if whole else f"{_entries(masked)} must be zero"
        also = _also(np.where(masked, 0, got), expected, case)
        return "the mask" + also, f"{what}: what is masked, or switched off, does not change the value."
    if lost.any() and there.any() and _fits(got, np.where(lost, 0, expected), case):
        rows = np.flatnonzero(lost.reshape(wide).all(axis=1))
        what = _rows(rows) if rows.size else _entries(lost)
        gets, it = ("gets", "it") if (rows.size or lost.sum()) == 1 else ("get", "them")
        return "a part of the gradient", f"{what} {gets} none, but the value depends on {it}."
    return None


def _rows(rows: np.ndarray) -> str:
    return f"Row {rows[0]}" if len(rows) == 1 else f"Rows {rows.tolist()}"


def _entries(which: np.ndarray) -> str:
    number = int(which.sum())
    return "1 entry" if number == 1 else f"{number} entries"


def _places(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    """Entries that are wrong at the labels alone."""
    if got.ndim != 2:
        return None
    wrong = np.abs(got - expected) > CLOSE * float(np.abs(expected).max())
    for y in case.labels:
        if len(y) == len(got) and y.min() >= 0 and y.max() < got.shape[1]:
            hit = np.arange(got.shape[1]) == y[:, None]
            if np.array_equal(wrong, hit):
                return "the entry of the label", "All other entries are right: subtract the one-hot label."
    return None


def _sums(got: np.ndarray, expected: np.ndarray, case: Case) -> Idea | None:
    if not _logits(expected, case):
        return None
    sums = got.sum(axis=1)
    worst = int(np.abs(sums).argmax())
    if abs(sums[worst]) <= CLOSE * float(np.abs(got).max()):
        return None
    return (
        "rows that sum to zero",
        f"Row {worst} sums to {sums[worst]:.4g}. A constant added to all logits of a row changes no probability, "
        "so each row of the gradient sums to zero. The softmax, or what it takes away, is missing.",
    )
