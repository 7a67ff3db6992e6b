"""Networks as a C99 header that needs nothing but math.h."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdlearn.export.plan import Step, plan

LEVELS = 127  # int8 from -127 to 127: symmetric, so that zero is zero


def to_c(
    net: Any,
    path: str | os.PathLike,
    name: str,
    scaler: Any = None,
    int8: bool = False,
    *,
    classes: Any = None,
    inputs: Sequence[str] | None = None,
) -> None:
    """Write a network, or a fitted `DistilledClassifier`, as one C99 header.

    The header defines `int <name>_predict(const float *x, float *probabilities)`: x holds one row;
    the K probabilities are written unless the pointer is null; the return value is the position of
    the most probable class in `<name>_classes`. A network with an Embedding takes `const int *x`,
    and answers -1 to a token that is not in its table. No memory is allocated: two arrays of the
    widest layer lie on the stack.

    Parameters
    ----------
    name : a C identifier, the prefix of everything defined.
    scaler : (mean, scale) of the inputs, or a fitted StandardScaler; by default the estimator's.
    int8 : keep the weights as integers with one scale an output unit, a quarter of the size;
        biases and arithmetic stay float32, and the scaler is not folded into the weights.
    classes : the labels; by default the estimator's, or 0 … K-1.
    inputs : names of the inputs, written as a comment.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"name must be a C identifier that starts with a letter, got {name!r}")
    steps = plan(net, scaler, classes, fold=not int8)
    if inputs is not None and len(inputs) != steps.n_in:
        raise ValueError(f"inputs must name the network's {steps.n_in} inputs, got {len(inputs)} names")
    K, upper = len(steps.classes), name.upper()
    widest = max(max(step.n_in, step.n_out) for step in steps.steps)
    constants: list[str] = []
    body: list[str] = []
    current = "x"
    for i, step in enumerate(steps.steps):
        arrays, code, current = _write(step, f"{name}_{{}}{i}", current, int8)
        constants += arrays
        body += [f"    /* {step.kind} {step.n_in} -> {step.n_out} */", *code]
    kind = "int" if steps.takes_tokens else "float"
    described = [] if inputs is None else [f"   x[{i}]: {_comment(text)}" for i, text in enumerate(inputs)]
    texts = [str(c) for c in steps.classes.tolist()]
    lines = [
        f"/* {steps.n_in} inputs, {K} classes; written by kdlearn.",
        *described,
        "*/",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <math.h>",
        "#include <stddef.h>",
        "",
        f"#define {upper}_INPUTS {steps.n_in}",
        f"#define {upper}_CLASSES {K}",
        "",
        f"static const char *const {name}_classes[{K}] = {{",
        *(f"    {_string(text)}," for text in texts),
        "};",
        "",
        *constants,
        f"static inline int {name}_predict(const {kind} *x, float *probabilities)",
        "{",
        f"    float a[{widest}]" + (f", b[{widest}];" if len(steps.steps) > 1 else ";"),
        *body,
        *_softmax(current, K),
        "}",
        "",
        "#endif",
    ]
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def quantize(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(integers, scale)` with W ≈ integers · scale, one scale for each output unit (column)."""
    scale = np.abs(W).max(axis=0) / LEVELS
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(W / scale).clip(-LEVELS, LEVELS).astype(np.int8), scale


def _write(step: Step, name: str, x: str, int8: bool) -> tuple[list[str], list[str], str]:
    """`(constants, code, name of the result)` of one step; the result lies in `a` or `b`."""
    n, m = step.n_in, step.n_out
    arrays = dict(step.arrays)
    if int8 and "W" in arrays:
        arrays["W"], arrays["s"] = quantize(arrays["W"])
    constants = [line for key, a in arrays.items() for line in _array(name.format(key), a)]
    ref = {key: name.format(key) for key in arrays}
    y = "b" if x == "a" else "a"
    times = f" * {ref['s']}[j]" if "s" in ref else ""
    if step.kind == "Linear":
        start, cast = ("0.0f", "(float)") if times else (f"{ref['b']}[j]", "")
        code = [
            f"for (int j = 0; j < {m}; j++) {y}[j] = {start};",
            f"for (int i = 0; i < {n}; i++)",
            f"    for (int j = 0; j < {m}; j++) {y}[j] += {x}[i] * {cast}{ref['W']}[i * {m} + j];",
        ]
        if times:
            code.append(f"for (int j = 0; j < {m}; j++) {y}[j] = {y}[j]{times} + {ref['b']}[j];")
        return constants, _indent(code), y
    if step.kind == "Embedding":
        V, E = step.arrays["W"].shape
        code = [
            f"for (int i = 0; i < {n}; i++) {{",
            f"    if (x[i] < 0 || x[i] >= {V}) return -1;",
            f"    for (int j = 0; j < {E}; j++) {y}[i * {E} + j] = (float){ref['W']}[x[i] * {E} + j]{times};",
            "}",
        ]
        return constants, _indent(code), y
    if step.kind == "LayerNorm":
        code = [
            "{",
            "    float mean = 0.0f, variance = 0.0f, factor;",
            f"    for (int i = 0; i < {n}; i++) mean += {x}[i];",
            f"    mean /= {n}.0f;",
            f"    for (int i = 0; i < {n}; i++) variance += ({x}[i] - mean) * ({x}[i] - mean);",
            f"    factor = 1.0f / sqrtf(variance / {n}.0f + {_number(step.eps)});",
            f"    for (int i = 0; i < {n}; i++) {y}[i] = {ref['g']}[i] * (({x}[i] - mean) * factor) + {ref['b']}[i];",
            "}",
        ]
        return constants, _indent(code), y
    value = {
        "Standardize": f"({x}[i] - {ref.get('mean')}[i]) * {ref.get('factor')}[i]",
        "ReLU": f"{x}[i] > 0.0f ? {x}[i] : 0.0f",
        "Tanh": f"tanhf({x}[i])",
        "GELU": f"0.5f * {x}[i] * (1.0f + erff({x}[i] * 0.707106781f))",
    }[step.kind]
    return constants, _indent([f"for (int i = 0; i < {n}; i++) {y}[i] = {value};"]), y


def _softmax(z: str, K: int) -> list[str]:
    code = [
        "/* the largest logit is subtracted, so no exponential overflows */",
        "int label = 0;",
        "float total = 0.0f;",
        f"for (int k = 1; k < {K}; k++)",
        f"    if ({z}[k] > {z}[label]) label = k;",
        "if (probabilities != NULL) {",
        f"    for (int k = 0; k < {K}; k++) total += probabilities[k] = expf({z}[k] - {z}[label]);",
        f"    for (int k = 0; k < {K}; k++) probabilities[k] /= total;",
        "}",
        "return label;",
    ]
    return _indent(code)


def _indent(code: list[str]) -> list[str]:
    return ["    " + line for line in code]


def _array(name: str, a: np.ndarray) -> list[str]:
    kind = "signed char" if a.dtype == np.int8 else "float"
    numbers = [_number(v) if kind == "float" else str(v) for v in a.ravel().tolist()]
    rows = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
    return [f"static const {kind} {name}[{a.size}] = {{", *(f"    {row}," for row in rows), "};", ""]


def _number(value: float) -> str:
    text = f"{value:.9g}"  # nine digits name a float32 exactly
    return text + ("f" if set(text) & set(".e") else ".0f")


def _string(text: str) -> str:
    """A C string literal: bytes that are not plain letters, digits or spaces as three octal digits."""
    plain = (chr(c) if c == 32 or (c < 128 and chr(c).isalnum()) else f"\\{c:03o}" for c in text.encode())
    return '"' + "".join(plain) + '"'


def _comment(text: str) -> str:
    safe = ascii(text)[1:-1]
    return safe.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").rstrip("\\")
