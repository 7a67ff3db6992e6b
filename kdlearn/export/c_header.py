"""Fitted models as C99 (and C++) that needs nothing but math.h: a `.c`, a `.h`, and a self-test."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdlearn.export.c_selftest import SELFTEST_ROWS, float_selftest
from kdlearn.export.c_text import (
    READ,
    Constants,
    describe_answer,
    describe_columns,
    header,
    host_texts,
    indent,
    join,
    number,
    read,
)
from kdlearn.export.check import ExportError, check, moved
from kdlearn.export.columns import VALUE
from kdlearn.export.plan import Plan, Step, plan, quantize

MAX_BYTES = 1_000_000  # of constants; a compiler takes minutes for more, and ONNX is made for it

__all__ = ["quantize", "to_c"]


def to_c(
    net: Any,
    path: str | os.PathLike,
    name: str | None = None,
    scaler: Any = None,
    int8: bool = False,
    *,
    integer: bool = False,
    classes: Any = None,
    inputs: Sequence[str] | None = None,
    rows: Any = None,
    decimals: dict[str, int] | None = None,
    units: Mapping[str, str] | None = None,
    target: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> dict[str, Any]:
    """Write a network, a fitted distilled estimator, pipeline or search as `NAME.c`, `NAME.h`, `NAME_selftest.c`.

    `int NAME_predict(const float *x, float *probabilities)` takes one raw row (imputer, encoder and scaler
    are inside; the header says what each x[i] is) and returns the position of the most probable class, or
    -1 for a row that is refused: NaN where no imputer is, infinity, a code that is not in the table, an
    answer that overflows. The K probabilities, NaN if refused, are written unless the pointer is null. A regressor is
    `int NAME_predict(const float *x, float *y)`, 0 or -1. A network of tokens takes `const int *x`. Where a column's
    values are so large beside their spread that float32 would lose them, x is `const double *`.

    Nothing is allocated and nothing is static but constants, which stay in flash on AVR; one scratch buffer
    lies on the stack. Before anything is written float32 is held to float64 on `rows`.

    Parameters
    ----------
    path : the `.c` or `.h`; the other two files stand beside it.
    name : a C identifier, the prefix of everything public; by default from the file's name.
    scaler : (mean, scale) of the inputs, or a fitted StandardScaler; by default the estimator's.
    int8 : weights as integers with one scale for each output unit, a quarter of the size; arithmetic in float.
    integer : no float at all; see `kdlearn.export.c_integer`. Takes int8's weights, and ReLU networks alone.
    classes, inputs : labels and column names, where the model has none.
    rows : raw rows to check on; by default drawn from what the scaler knows.
    decimals : with `integer`, {column: digits after the point that an input keeps}.
    units : {column: what its number counts, such as "in kg"}, for the header; of the target too.
    target : the name of what is predicted, for the header.
    max_bytes : ExportError for more constants than these.

    Returns
    -------
    {"name", "files", "constants", "scratch", "static_ram", "multiply_adds", "selftest_rows", …}: bytes, without
    the code's own.
    """
    base = Path(path).with_suffix("") if Path(path).suffix in (".c", ".h") else Path(path)
    name = name if name is not None else identifier(base.name)
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"name must be a C identifier that starts with a letter, got {name!r}")
    steps = plan(net, scaler, classes, fold=not (int8 or integer), inputs=inputs)
    if not steps.takes_tokens:
        steps.parts.plain()  # or it says which transformer cannot be written
    size = sum((1 if int8 or integer else 4) * s.arrays["W"].size for s in steps.steps if "W" in s.arrays)
    if size > max_bytes:
        raise ExportError(
            f"the weights take {size:,} bytes, and the C file three times as much or more, beyond "
            f"max_bytes={max_bytes:,}: write ONNX, take a smaller student, or raise the limit"
        )
    codes = check(steps, rows)
    if integer:
        from kdlearn.export.c_integer import write

        texts, figures = write(
            steps, name, base.name, codes, decimals or {}, units or {}, target, given=rows is not None
        )
    else:
        texts, figures = _write(steps, name, base.name, codes, units or {}, target, int8)
    files = [base.with_name(base.name + end) for end in (".c", ".h", "_selftest.c")]
    for file, text in zip(files, texts):
        file.write_text(text, encoding="utf-8")
    work = sum(step.n_in * step.n_out for step in steps.steps if step.kind == "Linear")
    return {"name": name, "files": [str(file) for file in files], "multiply_adds": work, "static_ram": 0, **figures}


def identifier(stem: str) -> str:
    """A C identifier made of a file's name."""
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return name if name[:1].isascii() and name[:1].isalpha() else "net_" + name


def _write(
    steps: Plan, name: str, stem: str, codes: np.ndarray, units: Mapping[str, str], target: str | None, int8: bool
) -> tuple[list[str], dict[str, Any]]:
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
    double = [
        "#if defined(__SIZEOF_DOUBLE__) && __SIZEOF_DOUBLE__ < 8",
        '#error "a column needs 64-bit doubles"',
        "#endif",
    ]
    source = join(
        f'#include "{stem}.h"',
        "#include <math.h>",
        "#include <stddef.h>",
        "#include <string.h>",
        "#ifdef __FAST_MATH__",
        '#error "compile without -ffast-math: NaN and infinity must be seen"',
        "#endif",
        *(double if kind == "double" else []),
        *READ,
        *constants.lines,
        *host_texts(name, steps),
        *feature,
        signature,
        "{",
        f"    float scratch[{scratch}];",
        *indent(body),
        *indent(_answer(steps)),
        "}",
    )
    wanted = steps.rounded() if int8 else steps
    test = float_selftest(wanted, name, stem, kind, codes)
    figures = {"constants": constants.bytes, "scratch": 4 * scratch, "selftest_rows": min(SELFTEST_ROWS, len(codes))}
    off = moved(steps, steps.answer(codes), wanted.answer(codes)) if int8 else {}
    return [source, top, test], {**figures, **off}


def _feature(steps: Plan, kind: str, constants: Constants) -> tuple[list[str], list[Step]]:
    """`(the function that makes feature i of a row, the steps that are left)`; it answers NaN to what is refused."""
    encoding, first = steps.encoding, steps.steps
    assert encoding is not None
    source, missing = "i", []
    code = ["float v;"]
    if not encoding.is_plain:
        for label, a in (("from", encoding.column.astype(np.int16)), ("code", encoding.code.astype(np.int16))):
            constants.add(f"feature_{label}", a)
        source = read("feature_from", "i", "int16_t")
        if not np.isnan(encoding.fill).all():
            constants.add("feature_fill", np.where(np.isnan(encoding.fill), 0, encoding.fill).astype(np.float32))
            constants.add("feature_has_fill", (~np.isnan(encoding.fill)).astype(np.int8))
            fill = f"{read('feature_has_fill', 'i', 'int8_t')} ? {read('feature_fill', 'i')} : NAN"
            missing = [f"if (isnan(v)) v = {fill};"]
    value = f"x[{source}]"
    if steps.centre is not None:
        constants.add("centre", steps.centre)
        value = f"(float)({value} - {read('centre', source, 'double')})"
    code += [f"v = {value};"]
    if not encoding.is_plain:
        known = np.array([-1 if c.categories is None else c.n_codes for c in encoding.columns], np.int16)
        constants.add("known", known)
        constants.add("strict", encoding.strict.astype(np.int8))
        code += [
            "const int16_t code = READ_int16_t(&feature_code[i]);",
            "if (code == -2) v = isnan(v) ? 1.0f : 0.0f;",
            "else {",
            *indent(missing),
            "    if (!isfinite(v)) return NAN;",
            f"    const float n = (float)READ_int16_t(&known[{source}]);",
            "    const float lowest = READ_int8_t(&strict[i]) ? 0.0f : -1.0f;",
            "    if (n >= 0.0f && (v != floorf(v) || v >= n || v < lowest)) return NAN;",
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


assert VALUE == -1  # the C code tells the kinds of features by these numbers
