"""C in float: weights as float32, or as int8 with a scale; it needs nothing but math.h."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdlearn.export.c_frame import describe_answer, describe_columns, header, host_texts, source
from kdlearn.export.c_selftest import float_selftest
from kdlearn.export.c_text import (
    Constants,
    indent,
    number,
    read,
)
from kdlearn.export.check import LEAST_AGREEMENT, alike, moved
from kdlearn.export.columns import MISSING, UNKNOWN
from kdlearn.export.plan import Plan, Step, quantize

FAST_MATH = '#error "compile without -ffast-math: NaN and infinity must be seen"'
SHORT_DOUBLE = '#error "a column needs 64-bit doubles"'


def write(
    steps: Plan, name: str, stem: str, codes: np.ndarray, units: Mapping[str, str], target: str | None, int8: bool
) -> tuple[list[str], dict[str, Any]]:
    """`(texts of .c, .h and self-test, figures)`; what NAME_predict takes and answers, `to_c` says."""
    constants = Constants()
    kind = "int" if steps.takes_tokens else "float" if steps.centre is None else "double"
    out = "y" if steps.classes is None else "probabilities"
    feature, first = ([], steps.steps) if steps.takes_tokens else _feature(steps, kind, constants)
    body, scratch = _layers(first, steps, constants, int8, kind)
    about = [
        *describe_columns(steps, "NaN", units),
        "   A row is refused, -1 and NaN: NaN where no line above says missing, infinity, a code that is not listed.",
        f"   {constants.bytes} bytes of constants; {scratch * 4} bytes of scratch on the stack; no static RAM.",
        *describe_answer(steps, target, units),
    ]
    signature = f"int {name}_predict(const {kind} *x, float *{out})"
    top = header(name, stem, steps, about, [], [signature + ";"])
    guards = ["#ifdef __FAST_MATH__", FAST_MATH, "#endif"]
    if kind == "double":
        guards += ["#if defined(__SIZEOF_DOUBLE__) && __SIZEOF_DOUBLE__ < 8", SHORT_DOUBLE, "#endif"]
    lines = [f"float scratch[{scratch}];", *body, *_answer(steps)]
    text = source(stem, host_texts(name, steps), constants, feature, signature, lines, ["#include <math.h>"], guards)
    wanted = steps.rounded() if int8 else steps
    test, tested = float_selftest(wanted, name, stem, kind, codes)
    figures = {"constants": constants.bytes, "scratch": 4 * scratch, "selftest_rows": tested}
    off = moved(steps, steps.answer(codes), wanted.answer(codes)) if int8 else {}
    if int8 and (same := alike(off)) < LEAST_AGREEMENT:
        warnings.warn(
            f"with weights in eight bits {100 * same:.0f} % of {len(codes)} rows are answered as before: "
            "weights of one unit that differ in size by more than a hundred lose the small ones; stay with float",
            stacklevel=3,
        )
    return [text, top, test], {**figures, **off}


def _feature(steps: Plan, kind: str, constants: Constants) -> tuple[list[str], list[Step]]:
    """`(the function that makes feature i of a row, the steps that are left)`; it answers NaN to what is refused."""
    encoding, first = steps.encoding, steps.steps
    assert encoding is not None
    from_i, missing = "i", []
    code = ["float v;"]
    if not encoding.is_plain:
        for label, a in (("from", encoding.column.astype(np.int16)), ("code", encoding.code.astype(np.int16))):
            constants.add(f"feature_{label}", a)
        from_i = read("feature_from", "i", "int16_t")
        if not np.isnan(encoding.fill).all():
            constants.add("feature_fill", np.where(np.isnan(encoding.fill), 0, encoding.fill).astype(np.float32))
            constants.add("feature_has_fill", (~np.isnan(encoding.fill)).astype(np.int8))
            fill = f"{read('feature_has_fill', 'i', 'int8_t')} ? {read('feature_fill', 'i')} : NAN"
            missing = [f"if (gap) v = {fill};"]
    value = f"x[{from_i}]"
    if steps.centre is not None:
        constants.add("centre", steps.centre)
        value = f"(float)({value} - {read('centre', from_i, 'double')})"
    code += [f"v = {value};"]
    if not encoding.is_plain:
        known = np.array([-1 if c.categories is None else c.n_codes for c in encoding.columns], np.int16)
        constants.add("known", known)
        constants.add("strict", encoding.strict.astype(np.int8))
        unknown, no_code = [], "(v != floorf(v) || v >= n || v < lowest)"
        if not np.isnan(encoding.unknown).all():
            filled = np.where(np.isnan(encoding.unknown), UNKNOWN, encoding.unknown)
            constants.add("feature_unknown", filled.astype(np.float32))
            unknown = [
                f"if (n >= 0.0f && !gap && v == {UNKNOWN}.0f && v >= lowest) v = {read('feature_unknown', 'i')};"
            ]
        code += [
            "const int16_t code = READ_int16_t(&feature_code[i]);",
            "const int gap = isnan(v);",
            f"if (code == {MISSING}) v = gap ? 1.0f : 0.0f;",
            "else {",
            *indent(missing),
            "    if (!isfinite(v)) return NAN;",
            f"    const float n = (float)READ_int16_t(&known[{from_i}]);",
            "    const float lowest = READ_int8_t(&strict[i]) ? 0.0f : -1.0f;",
            *indent(unknown),
            f"    {'else ' if unknown else ''}if (n >= 0.0f && !gap && {no_code}) return NAN;",
            "    if (code >= 0) v = v == (float)code ? 1.0f : 0.0f;",
            "}",
        ]
    else:
        code += ["if (!isfinite(v)) return NAN;"]
    if first[0].kind == "Standardize":
        constants.add("mean", first[0].arrays["mean"])
        constants.add("factor", first[0].arrays["factor"])
        code.append(f"v = (v - {read('mean', 'i')}) * {read('factor', 'i')};")
        first = first[1:]
    return [f"static float feature(const {kind} *x, int i)", "{", *indent([*code, "return v;"]), "}"], first


def _layers(todo: list[Step], steps: Plan, constants: Constants, int8: bool, kind: str) -> tuple[list[str], int]:
    """`(code, floats of scratch)`. Outputs lie at the buffer's two ends by turns; all but these are in place."""
    makes = [s.n_out for s in todo if s.kind in ("Linear", "Embedding")]
    if todo[0].kind not in ("Linear", "Embedding"):
        makes.insert(0, todo[0].n_in)
    scratch = max(a + b for a, b in zip(makes, [*makes[1:], 0]))
    lines: list[str] = []
    at, made = "", 0  # where the last output lies

    def place(i: int, width: int) -> str:
        nonlocal made
        made += 1
        offset = 0 if made % 2 else scratch - width
        lines.append(f"float *const y{i} = scratch{f' + {offset}' if offset else ''};")
        return f"y{i}"

    if todo[0].kind not in ("Linear", "Embedding"):
        at = place(len(todo), todo[0].n_in)
        lines.append(f"for (int i = 0; i < {todo[0].n_in}; i++) {at}[i] = feature(x, i);")
    for i, step in enumerate(todo):
        n, m, arrays = step.n_in, step.n_out, dict(step.arrays)
        if int8 and "W" in arrays:
            arrays["W"], arrays["s"] = quantize(arrays["W"])
        for key, a in arrays.items():
            constants.add(f"{key}{i}", a)
        lines.append(f"/* {step.kind} {n} -> {m} */")
        weight = f"(float){read(f'W{i}', 'k', 'int8_t')}" if int8 else read(f"W{i}", "k")
        scale = f" * {read(f's{i}', 'j')}" if int8 else ""
        if step.kind == "Linear":
            value = "feature(x, i)" if not at else f"{at}[i]"
            y = place(i, m)
            start = "0.0f" if int8 else read(f"b{i}", "j")
            lines += [
                f"for (int j = 0; j < {m}; j++) {y}[j] = {start};",
                f"for (int i = 0, k = 0; i < {n}; i++) {{",
                f"    const float v = {value};",
                f"    for (int j = 0; j < {m}; j++, k++) {y}[j] += v * {weight};",
                "}",
            ]
            if int8:
                lines.append(f"for (int j = 0; j < {m}; j++) {y}[j] = {y}[j]{scale} + {read(f'b{i}', 'j')};")
            at = y
        elif step.kind == "Embedding":
            V, E = step.arrays["W"].shape
            at = place(i, m)
            lines += [
                f"for (int i = 0; i < {n}; i++) {{",
                f"    const int out = x[i] < 0 || x[i] >= {V};",
                f"    for (int j = 0, k = out ? 0 : x[i] * {E}; j < {E}; j++, k++)",
                f"        {at}[i * {E} + j] = out ? NAN : {weight}{scale};",
                "}",
            ]
        else:
            lines += _in_place(step, i, at)
    lines.append(f"const float *const z = {at};")
    return lines, scratch


def _in_place(step: Step, i: int, y: str) -> list[str]:
    n = step.n_out
    if step.kind == "LayerNorm":
        return [
            "{",
            "    float mean = 0.0f, variance = 0.0f, factor;",
            f"    for (int i = 0; i < {n}; i++) mean += {y}[i];",
            f"    mean /= {n}.0f;",
            f"    for (int i = 0; i < {n}; i++) variance += ({y}[i] - mean) * ({y}[i] - mean);",
            f"    factor = 1.0f / sqrtf(variance / {n}.0f + {number(step.eps)});",
            f"    for (int i = 0; i < {n}; i++)",
            f"        {y}[i] = {read(f'g{i}', 'i')} * (({y}[i] - mean) * factor) + {read(f'b{i}', 'i')};",
            "}",
        ]
    value = {
        "ReLU": f"{y}[i] < 0.0f ? 0.0f : {y}[i]",  # in this order NaN stays NaN
        "Tanh": f"tanhf({y}[i])",
        "GELU": f"0.5f * {y}[i] * (1.0f + erff({y}[i] * 0.707106781f))",
    }[step.kind]
    return [f"for (int i = 0; i < {n}; i++) {y}[i] = {value};"]


def _answer(steps: Plan) -> list[str]:
    K = steps.n_out
    finite = f"for (int k = 0; k < {K}; k++) if (!isfinite(z[k])) refused = 1;"
    if steps.classes is None:
        return [
            "int refused = 0;",
            finite,
            f"for (int k = 0; k < {K}; k++) y[k] = refused ? NAN : z[k];",
            "return refused ? -1 : 0;",
        ]
    return [
        "int refused = 0, label = 0;",
        "float total = 0.0f;",
        finite,
        "if (refused) {",
        f"    for (int k = 0; probabilities != NULL && k < {K}; k++) probabilities[k] = NAN;",
        "    return -1;",
        "}",
        f"for (int k = 1; k < {K}; k++)",
        "    if (z[k] > z[label]) label = k;",
        "/* the largest logit is subtracted, so no exponential overflows */",
        "if (probabilities != NULL) {",
        f"    for (int k = 0; k < {K}; k++) total += probabilities[k] = expf(z[k] - z[label]);",
        f"    for (int k = 0; k < {K}; k++) probabilities[k] /= total;",
        "}",
        "return label;",
    ]
