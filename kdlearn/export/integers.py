r"""A network in integers alone: int8 weights, int16 activations, int32 sums, fixed-point multipliers.

A real number r stands as `r = S q` with an integer q. With S_x, S_w and S_y the scales of a layer's inputs,
of a unit's weights and of its outputs,

.. math:: q_y = M \Big(\sum_i q_{x,i}\, q_{w,i} + q_b\Big), \qquad M = \frac{S_x S_w}{S_y} \approx M_0\, 2^{-n},

with M_0 an integer below 2^31, the product in 64 bits, and half away from zero rounded up.

Source: Jacob et al. 2018, section 2 (real numbers from integers, the multiplier M, biases in
int32 of scale S_x S_w). What differs: zero points are 0 throughout, each unit
has its own S_w, and activations have 16 bits, so that an outlier costs its neighbours nothing.

Every sum is bounded when the file is written: the activations' range is made smaller where
`sum |q_w| q_max + |q_b|` could reach 2^31. So no sum overflows, whatever the row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kdlearn.checks import is_whole
from kdlearn.export.check import ExportError
from kdlearn.export.columns import MISSING, UNKNOWN, VALUE
from kdlearn.export.plan import LEVELS, Plan, Step

GAP = -(2**31)  # a missing value, where one is allowed
REACH = 16.0  # standard deviations that a number may lie from its mean; beyond, it saturates
HEADROOM = 2.0  # of a hidden layer beyond what the rows reach; beyond, it saturates
STEPS = 200  # a number's unit is the power of ten that tells at least this many steps of a deviation apart
LOST = 0.05  # deviations that the rounding of what fills a gap may cost
SCORE = 1024  # logits are given in 1/1024
TOP = 2**31 - 1


@dataclass(frozen=True)
class IntegerLayer:
    """Integers of one linear layer: W (n, m) int8, b (m,) int32, multipliers M0 / 2**shift (m,); `relu` cuts at 0."""

    W: np.ndarray
    b: np.ndarray
    M0: np.ndarray
    shift: np.ndarray
    relu: bool
    top: int  # the largest activation that it puts out; outputs of the last layer have 32 bits


@dataclass(frozen=True)
class IntegerFeatures:
    """From raw columns to the integers of D features.

    A value is `(x - mean) M0 / 2**shift`, cut at ±`top`; a category, or a gap, is `low` or `high`.
    `digits` (C,) is how many digits after the point x keeps: x = value · 10**digits.
    `fill` (D,) stands for a missing x. Where these digits are too few for it, `filled` is the features' values instead.
    `unknown` (D,) are those of an unknown category, GAP where there is none; None where none has one.
    """

    digits: np.ndarray
    fill: np.ndarray
    filled: np.ndarray | None
    unknown: np.ndarray | None
    mean: np.ndarray
    M0: np.ndarray
    shift: np.ndarray
    low: np.ndarray
    high: np.ndarray
    top: int


@dataclass(frozen=True)
class IntegerPlan:
    """All integers of a plan. `offset` (K,) is added to the last layer's outputs.

    A score of a regressor is its answer · 10**out_digits, (K,): each output has a unit of its own.
    """

    steps: Plan
    features: IntegerFeatures
    layers: list[IntegerLayer]
    offset: np.ndarray
    out_digits: np.ndarray

    def inputs(self, codes: np.ndarray) -> np.ndarray:
        """Rows (N, C) as the integers that the C function takes."""
        scaled = np.rint(np.where(np.isnan(codes), 0, codes) * 10.0**self.features.digits)
        return np.where(np.isnan(codes), GAP, scaled.clip(-TOP, TOP)).astype(np.int64)

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Scores (N, K) of integer rows: exactly what the C code computes. Rows that it refuses are not tried."""
        encoding, f = self.steps.parts.plain(), self.features
        v = x[:, encoding.column]
        missing = v == GAP
        v = np.where(missing, f.fill, v)
        scaled = rescale(np.clip(v - f.mean, -TOP, TOP), f.M0, f.shift).clip(-f.top, f.top)
        scaled = scaled if f.filled is None else np.where(missing, f.filled, scaled)
        if f.unknown is not None:
            scaled = np.where((x[:, encoding.column] == UNKNOWN) & (f.unknown != GAP), f.unknown, scaled)
        chosen = np.where(encoding.code == MISSING, missing, v == encoding.code)
        q = np.where(encoding.code == VALUE, scaled, np.where(chosen, f.high, f.low))
        for layer in self.layers:
            total = q @ layer.W.astype(np.int64) + layer.b
            assert np.abs(total).max(initial=0) <= TOP
            q = rescale(total, layer.M0, layer.shift)
            if layer is self.layers[-1]:
                return (q + self.offset).clip(-TOP, TOP)
            q = q.clip(0 if layer.relu else -layer.top, layer.top)
        raise AssertionError  # there is a last layer


def rescale(a: np.ndarray, M0: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """`a M0 / 2**shift`, half away from zero rounded up, in 64 bits."""
    product = a.astype(np.int64) * M0.astype(np.int64)
    half = np.int64(1) << (shift.astype(np.int64) - 1)
    return np.sign(product) * ((np.abs(product) + half) >> shift.astype(np.int64))


def multiplier(M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(M0, shift)` with M ≈ M0 / 2**shift, 2**30 <= |M0| < 2**31, 1 <= shift <= 62."""
    exponent = np.frexp(M)[1]
    shift = np.clip(31 - exponent, 1, 62)
    M0 = np.rint(M * 2.0**shift)
    over = np.abs(M0) > TOP
    shift = np.where(over & (shift > 1), shift - 1, shift)
    M0 = np.rint(M * 2.0**shift)
    if (np.abs(M0) > TOP).any():
        raise ExportError("a factor of the network is too large for integers: scale the inputs")
    return M0.astype(np.int64), shift.astype(np.int64)


def integers_of(steps: Plan, codes: np.ndarray, decimals: dict[str, int], given: bool) -> IntegerPlan:
    """The integers of a plan whose scaler is not folded. `codes` are rows that say how far hidden layers reach."""
    linear = _linear(steps)
    digits = _digits(steps, codes, decimals, given)
    features, scale, given_back = _features(steps, linear[0], digits)
    out_digits = _out_digits(steps, codes)
    unit = np.full(linear[-1].n_out, 1 / SCORE) if steps.classes is not None else 10.0**-out_digits
    layers, hidden = [], _real_features(steps, codes)
    for step, following in pairwise(linear):
        W, b = _weights(step)
        hidden = np.maximum(hidden @ W + b, 0)
        most = max(HEADROOM * float(np.nanmax(hidden, initial=0)), 1e-6)
        top, next_scale = _top(_weights(following)[0], most)
        layers.append(_layer(W, b + given_back, scale, next_scale, True, top))
        scale, given_back = next_scale, np.zeros(following.n_out)
    W, b = _weights(linear[-1])
    layers.append(_layer(W, np.zeros_like(b), scale, unit, False, TOP))
    offset = np.rint((b + given_back) / unit).clip(-TOP, TOP)  # as a bias of the sums it would have too few digits
    return IntegerPlan(steps, features, layers, offset.astype(np.int64), out_digits)


def _linear(steps: Plan) -> list[Step]:
    """The linear layers, between which nothing but ReLU stands; ExportError for any other network."""
    linear = [s for s in steps.steps if s.kind == "Linear"]
    kinds = [s.kind for s in steps.steps if s.kind != "Standardize"]
    wanted = ["Linear", *["ReLU", "Linear"] * (len(linear) - 1)]
    if steps.encoding is None or kinds != wanted:
        odd = next((k for k, w in zip(kinds, wanted) if k != w), "this order of layers")
        raise ExportError(
            f"integers are written for linear layers with ReLU between them, not {odd}: take int8 instead"
        )
    return linear


def _weights(step: Step) -> tuple[np.ndarray, np.ndarray]:
    return step.arrays["W"].astype(np.float64), step.arrays["b"].astype(np.float64)


def _scaling(steps: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Mean and factor of each feature of the raw, uncentred columns."""
    encoding = steps.parts.plain()
    shift, factor = encoding.shift, encoding.factor
    if steps.parts.mean is not None and steps.parts.scale is not None:
        shift, factor = shift + steps.parts.mean / factor, factor / steps.parts.scale
    return shift, factor


def _real_features(steps: Plan, codes: np.ndarray) -> np.ndarray:
    mean, factor = _scaling(steps)
    return (steps.parts.plain().features(codes) - mean) * factor


def _digits(steps: Plan, codes: np.ndarray, decimals: dict[str, int], given: bool) -> np.ndarray:
    """Digits after the point that each raw column keeps, (C,)."""
    encoding = steps.parts.plain()
    mean, factor = _scaling(steps)
    unknown = set(decimals) - set(encoding.names)
    if unknown:
        known, named = (", ".join(map(repr, names)) for names in (encoding.names, sorted(unknown, key=str)))
        raise ExportError(f"decimals names {named}, which are no columns; there are: {known}")
    for name, n in decimals.items():
        if not is_whole(n):
            raise ExportError(f"decimals of {name!r} must be a whole number of digits, got {n!r}")
        if encoding.columns[encoding.names.index(name)].categories is not None:
            raise ExportError(f"decimals names {name!r}, which holds no numbers")
    digits = np.zeros(len(encoding.columns), np.int64)
    for j, f in enumerate(encoding.table):
        column = encoding.columns[f.column]
        if f.code != VALUE or column.categories is not None:
            continue
        v = codes[:, f.column]
        whole = given and bool(np.all(np.isnan(v) | (v == np.rint(v))))
        need = 0 if whole else math.ceil(math.log10(STEPS * abs(factor[j])))
        largest = abs(mean[j]) + 8 / abs(factor[j])
        if largest * 10.0**need > TOP and 10.0 ** (need - 1) / abs(factor[j]) >= STEPS / 4:
            need -= 1  # a coarser unit still tells fifty steps of a deviation apart
        digits[f.column] = decimals.get(column.name, need)
        if largest * 10.0 ** digits[f.column] > TOP:
            if column.name in decimals:
                n = decimals[column.name]
                raise ExportError(
                    f"column {column.name!r} does not fit 32 bits with {n} digits: give it fewer decimals"
                )
            raise ExportError(
                f"column {column.name!r} does not fit 32 bits with the digits that it needs (10^{-digits[f.column]}): "
                "subtract a constant from it before training, or give decimals for it"
            )
    return digits


def _out_digits(steps: Plan, codes: np.ndarray) -> np.ndarray:
    """Digits after the point of each score of a regressor, (K,): negative for large answers."""
    if steps.classes is not None:
        return np.zeros(steps.n_out, np.int64)
    largest = np.nanmax(np.abs(steps.answer(codes, np.float64)), axis=0)
    largest = np.where(largest > 0, largest, 1.0)
    size = np.minimum(steps.target_scale, largest)  # a target that is constant has no deviation
    needed = [math.ceil(math.log10(STEPS / s)) for s in size.tolist()]
    room = np.floor(np.log10(TOP / (HEADROOM * largest)))
    return np.minimum(needed, room.astype(np.int64))


def _features(steps: Plan, first: Step, digits: np.ndarray) -> tuple[IntegerFeatures, float, np.ndarray]:
    """`(features, their scale, what the first bias gives back (H,))`: what the rounding of the means took away."""
    encoding = steps.parts.plain()
    mean, factor = _scaling(steps)
    unit = 10.0 ** -digits[encoding.column]
    value = encoding.code == VALUE
    on = np.where(value, 0, np.maximum(np.abs((0 - mean) * factor), np.abs((1 - mean) * factor)))
    W = _weights(first)[0]
    top, scale = _top(W, max(REACH, float(on.max(initial=0))))
    M0, shift = multiplier(np.where(value, unit * factor / scale, 0.5))
    whole = np.rint(mean / unit)
    real = np.array([0 if f.fill is None else f.fill for f in encoding.table], np.float64)
    fill = np.rint(real / unit)
    lost = np.where(value, np.abs(fill * unit - real) * np.abs(factor), 0)  # in deviations

    def put(v: np.ndarray) -> np.ndarray:
        return np.rint((v - whole * unit) * factor / scale).clip(-top, top)

    filled = put(real).astype(np.int64) if lost.max() > LOST else None
    has, unknown = ~np.isnan(encoding.unknown), None
    if has.any():
        unknown = np.where(has, put(np.where(has, encoding.unknown, 0)), GAP).astype(np.int64)
    low, high = (np.rint((v - mean) * factor / scale).clip(-top, top).astype(np.int64) for v in (0, 1))
    found = IntegerFeatures(
        digits, fill.astype(np.int64), filled, unknown, whole.astype(np.int64), M0, shift, low, high, top
    )
    return found, scale, np.where(value, (whole * unit - mean) * factor, 0) @ W


def _layer(W: np.ndarray, b: np.ndarray, scale: float, next_scale: Any, relu: bool, top: int) -> IntegerLayer:
    """A layer from inputs in units of `scale` to outputs in units of `next_scale`, one or (m,).

    A unit's weights get a larger scale where its bias would not fit 30 bits beside them.
    """
    s = np.maximum(np.abs(W).max(axis=0) / LEVELS, np.abs(b) / (scale * (TOP // 2 - 1)))
    s = np.where(s > 0, s, 1.0)
    M0, shift = multiplier(scale * s / next_scale)
    q = np.rint(W / s).clip(-LEVELS, LEVELS).astype(np.int8)
    return IntegerLayer(q, np.rint(b / (scale * s)).astype(np.int64), M0, shift, relu, top)


def _top(W: np.ndarray, reach: float) -> tuple[int, float]:
    """`(largest integer, scale)` of a layer's inputs in ±reach: 16 bits, fewer where its sums could overflow."""
    most = np.abs(W).sum(axis=0) / np.maximum(np.abs(W).max(axis=0), 1e-30) * LEVELS
    top = int(min(2**15 - 1, (TOP // 2) / max(float(most.max()), 1.0)))
    return top, reach / top


def as_answers(found: IntegerPlan, scores: np.ndarray) -> Any:
    """Scores as logits, or as answers in units of the target."""
    return scores / SCORE if found.steps.classes is not None else scores * 10.0**-found.out_digits
