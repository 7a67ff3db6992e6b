"""Integer-only C: no float, no math.h. The scheme is that of `kdlearn.export.integers`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from kdlearn.export.c_frame import after_name, describe_answer, describe_columns, header, host_texts, source
from kdlearn.export.c_selftest import SELFTEST_ROWS, integer_selftest
from kdlearn.export.c_text import (
    Constants,
    comment,
    indent,
    read,
)
from kdlearn.export.check import LEAST_AGREEMENT, ExportError, alike, moved
from kdlearn.export.columns import MISSING, UNKNOWN, VALUE
from kdlearn.export.integers import GAP, SCORE, TOP, IntegerPlan, as_answers, integers_of
from kdlearn.export.plan import Plan

RESCALE = f"""\
/* a * m / 2^s, half away from zero rounded up */
static int32_t rescale(int32_t a, int32_t m, int8_t s)
{{
    const int64_t p = (int64_t)a * m, half = (int64_t)1 << (s - 1);
    const int64_t y = p < 0 ? -((half - p) >> s) : (p + half) >> s;
    return y > {TOP} ? {TOP} : y < -{TOP} ? -{TOP} : (int32_t)y;
}}""".splitlines()


def write(
    steps: Plan,
    name: str,
    stem: str,
    codes: np.ndarray,
    decimals: dict[str, int],
    units: Mapping[str, str],
    target: str | None,
    given: bool,
) -> tuple[list[str], dict[str, Any]]:
    """`(texts of .c, .h and self-test, figures)`.

    `int NAME_predict(const int32_t *x, int32_t *scores)`: x[i] is a value in the unit that the header
    states, or a category's code; NAME_MISSING where a value may be missing. Scores are logits in
    1/NAME_SCORE, of a regressor the answers, each in the unit that the header states. -1 for a row that is refused.
    """
    found = integers_of(steps, codes, decimals, given)
    x = found.inputs(codes)
    scores = found.answer(x)
    want, got = steps.answer(codes, np.float64), as_answers(found, scores)
    off = moved(steps, want, got)
    advice = "take int8" if given else "give rows of yours (rows=, --calibration), or take int8"
    if (same := alike(off)) < LEAST_AGREEMENT:
        raise ExportError(
            f"in integers {100 * same:.0f} % of {len(codes)} rows are answered as before, fewer than "
            f"{100 * LEAST_AGREEMENT:.0f} %: {advice}"
        )
    if steps.classes is None and (np.abs(want - got) / steps.target_scale).max() > 0.25:
        warnings.warn(
            f"in integers an answer moves by more than a quarter of its target's deviation: {advice}", stacklevel=3
        )
    constants = Constants()
    feature = _feature(found, constants)
    body, scratch = _layers(found, constants)
    powers = [_unit(c.categories, d) for c, d in zip(steps.parts.plain().columns, found.features.digits.tolist())]
    upper = name.upper()
    about = [
        *describe_columns(steps, f"{upper}_MISSING", units, powers),
        *_describe_scores(found, target, units),
        "   A row is refused, -1: MISSING where no line above says missing, a code that is not listed.",
        f"   {constants.bytes} bytes of constants; {2 * scratch} bytes of scratch on the stack; no static RAM.",
        *(describe_answer(steps, target, units) if steps.classes is not None else []),
    ]
    signature = f"int {name}_predict(const int32_t *x, int32_t *scores)"
    defines = [f"#define {upper}_MISSING ({-TOP} - 1)"]
    defines += [f"#define {upper}_SCORE {SCORE}"] if steps.classes is not None else []
    lines = [f"int16_t scratch[{max(scratch, 1)}];", *body]
    text = source(stem, host_texts(name, steps), constants, [*RESCALE, *feature], signature, lines)
    test = integer_selftest(found, name, stem, x, scores)
    figures = {
        "constants": constants.bytes,
        "scratch": 2 * scratch,
        "selftest_rows": min(SELFTEST_ROWS, len(x)),
        **off,
        "digits": dict(zip(steps.parts.plain().names, found.features.digits.tolist())),
    }
    return [text, header(name, stem, steps, about, defines, [signature + ";"]), test], figures


def _describe_scores(found: IntegerPlan, target: str | None, units: Mapping[str, str]) -> list[str]:
    """What a score counts: each output of a regressor has a unit of its own."""
    what = "the answer" if target is None else comment(target)
    answers = [what + _unit(None, digits) + after_name(target, units) for digits in found.out_digits.tolist()]
    how = "Integers alone: int8 weights, int16 activations, int32 sums (Jacob et al. 2018)."
    if found.steps.classes is not None:
        return [f"   scores: logits in 1/{SCORE}. {how}"]
    if len(answers) == 1:
        return [f"   scores: {answers[0]}. {how}"]
    return [*(f"   scores[{j}]: {answer}" for j, answer in enumerate(answers)), f"   {how}"]


def _unit(categories: Any, digits: int) -> str:
    if categories is not None:
        return ""
    return " as it is" if digits == 0 else f" in 10^{-digits}"


def _feature(found: IntegerPlan, constants: Constants) -> list[str]:
    """The function that makes feature i of a row an int16; GAP, which no feature is, where the row is refused."""
    encoding, integers = found.steps.parts.plain(), found.features
    code, kinds = [], encoding.code
    from_i, plain = "i", encoding.is_plain
    values: dict[str, np.ndarray] = {
        "mean": integers.mean.astype(np.int32),
        "factor": integers.M0.astype(np.int32),
        "by": integers.shift.astype(np.int8),
    }
    if not plain:
        constants.add("feature_from", encoding.column.astype(np.int16))
        constants.add("feature_code", kinds.astype(np.int16))
        from_i = read("feature_from", "i", "int16_t")
        values |= {"low": integers.low.astype(np.int16), "high": integers.high.astype(np.int16)}
    for key, a in values.items():
        constants.add(key, a)
    code.append(f"int32_t v = x[{from_i}];")
    if not plain:
        code.append("const int16_t code = READ_int16_t(&feature_code[i]);")
        if (kinds == MISSING).any():
            code.append(f"if (code == {MISSING}) return {read('high', 'i', 'int16_t')} * (v == MISSING) + "
                        f"{read('low', 'i', 'int16_t')} * (v != MISSING);")  # fmt: skip
        if integers.unknown is not None:
            constants.add("unknown", integers.unknown.astype(np.int32))
            unknown = read("unknown", "i", "int32_t")
            code.append(f"if (v == {UNKNOWN} && {unknown} != MISSING) return {unknown};")
        has_fill = np.array([f.fill is not None for f in encoding.table])
        if integers.filled is not None:  # a mean of whole numbers is none of them
            constants.add("filled", np.where(has_fill, integers.filled, GAP).astype(np.int32))
            code.append(f"if (code == {VALUE} && v == MISSING) return {read('filled', 'i', 'int32_t')};")
        if has_fill.any():
            constants.add("fill", np.where(has_fill, integers.fill, GAP).astype(np.int32))
            code.append(f"if (v == MISSING) v = {read('fill', 'i', 'int32_t')};")
    code.append("if (v == MISSING) return MISSING;")
    if not plain:
        known = np.array([-1 if c.categories is None else c.n_codes for c in encoding.columns], np.int16)
        constants.add("known", known)
        constants.add("strict", encoding.strict.astype(np.int8))
        code += [
            f"const int16_t n = {read('known', from_i, 'int16_t')};",
            f"if (n >= 0 && (v >= n || v < {read('strict', 'i', 'int8_t')} - 1)) return MISSING;",
            f"if (code >= 0) return v == code ? {read('high', 'i', 'int16_t')} : {read('low', 'i', 'int16_t')};",
        ]
    code += [
        "const int32_t m = READ_int32_t(&mean[i]);",
        f"if (m > 0 && v < -{TOP} + m) v = -{TOP};",
        f"else if (m < 0 && v > {TOP} + m) v = {TOP};",
        "else v -= m;",
        f"v = rescale(v, {read('factor', 'i', 'int32_t')}, {read('by', 'i', 'int8_t')});",
        f"return v > {integers.top} ? {integers.top} : v < -{integers.top} ? -{integers.top} : v;",
    ]
    return [f"#define MISSING ({-TOP} - 1)", "static int32_t feature(const int32_t *x, int i)", "{", *indent(code), "}"]


def _layers(found: IntegerPlan, constants: Constants) -> tuple[list[str], int]:
    """`(code, int16s of scratch)`. Sums are made unit by unit, so only activations are kept."""
    encoding, layers = found.steps.parts.plain(), found.layers
    widths = [len(encoding.table), *(layer.W.shape[1] for layer in layers[:-1]), 0]
    scratch = max(a + b for a, b in pairwise(widths))
    lines = ["int label = 0;", "int32_t best = 0;"] if found.steps.classes is not None else []
    lines += [
        f"for (int i = 0; i < {widths[0]}; i++) {{",
        "    const int32_t v = feature(x, i);",
        "    if (v == MISSING) return -1;",
        "    scratch[i] = (int16_t)v;",
        "}",
        "const int16_t *y0 = scratch;",
    ]
    for i, layer in enumerate(layers):
        n, m = layer.W.shape
        for key, a in (("W", layer.W.T), ("b", layer.b.astype(np.int32)), ("M", layer.M0.astype(np.int32)),
                       ("s", layer.shift.astype(np.int8))):  # fmt: skip
            constants.add(f"{key}{i}", a)
        last = i + 1 == len(layers)
        lines.append(f"/* Linear {n} -> {m}{'' if last else ', ReLU'} */")
        if not last:
            offset = 0 if i % 2 else scratch - m
            lines.append(f"int16_t *const y{i + 1} = scratch{f' + {offset}' if offset else ''};")
        lines += [
            f"for (int j = 0, k = 0; j < {m}; j++) {{",
            f"    int32_t sum = {read(f'b{i}', 'j', 'int32_t')};",
            f"    for (int i = 0; i < {n}; i++, k++) sum += (int32_t)y{i}[i] * {read(f'W{i}', 'k', 'int8_t')};",
            f"    sum = rescale(sum, {read(f'M{i}', 'j', 'int32_t')}, {read(f's{i}', 'j', 'int8_t')});",
        ]
        if not last:
            lines += [f"    y{i + 1}[j] = (int16_t)(sum < 0 ? 0 : sum > {layer.top} ? {layer.top} : sum);", "}"]
    constants.add("offset", found.offset.astype(np.int32))
    lines += [
        f"    const int64_t z = (int64_t)sum + {read('offset', 'j', 'int32_t')};",
        f"    sum = z > {TOP} ? {TOP} : z < -{TOP} ? -{TOP} : (int32_t)z;",
        "    if (scores != NULL) scores[j] = sum;",
        *(
            ["    if (j == 0 || sum > best) {", "        best = sum;", "        label = j;", "    }"]
            if found.steps.classes is not None
            else []
        ),
        "}",
        "return label;" if found.steps.classes is not None else "return 0;",
    ]
    return lines, scratch
