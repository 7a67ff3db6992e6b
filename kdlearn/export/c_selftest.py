"""A self-test that goes with every export: rows, the answers that Python gives, and a row that must be refused."""

from __future__ import annotations

import numpy as np

from kdlearn.export.c_text import READ, Constants, indent, join, number, read
from kdlearn.export.check import TOLERANCE
from kdlearn.export.columns import VALUE
from kdlearn.export.integers import IntegerPlan
from kdlearn.export.plan import Plan, softmax_rows

SELFTEST_ROWS = 10


def float_selftest(steps: Plan, name: str, stem: str, kind: str, codes: np.ndarray) -> tuple[str, int]:
    """`(text, rows)`: ten rows, or fewer, with the answers that float64 gives, and a row that must be refused."""
    exact = steps.answer(codes, np.float64) if kind != "float" else steps.answer(codes.astype(np.float32), np.float64)
    if steps.classes is not None:
        exact = softmax_rows(exact)
        gap = np.diff(np.sort(exact, axis=1)[:, -2:], axis=1)[:, 0]
        clear = np.flatnonzero(gap > 0.01)[:SELFTEST_ROWS]  # rounding does not change their classes
        chosen = clear if len(clear) else np.argsort(gap)[-1:]
        expected = exact[chosen].argmax(axis=1)
    else:
        chosen = np.flatnonzero(np.isfinite(exact).all(axis=1))[:SELFTEST_ROWS]
        expected = np.zeros(len(chosen), np.int64)
    constants = Constants()
    dtype = {"int": np.int32, "float": np.float32, "double": np.float64}[kind]
    read_kind = {"int": "int32_t", "float": "float", "double": "double"}[kind]
    rows = codes[chosen].astype(dtype)
    missing = np.isnan(rows) if kind != "int" else np.zeros(rows.shape, bool)
    constants.add("rows", np.where(missing, 0, rows).astype(dtype))
    if missing.any():
        constants.add("missing", missing.astype(np.int8))
    constants.add("answers", exact[chosen].astype(np.float32))
    constants.add("labels", expected.astype(np.int16))
    n, K, R = steps.n_in, steps.n_out, len(chosen)
    off = np.full(1, TOLERANCE)
    if steps.classes is None:  # far from zero a thousandth of a deviation may be less than the last digits
        last_digit = np.spacing(np.abs(exact[chosen]).max(axis=0).astype(np.float32))
        off = np.maximum(TOLERANCE * steps.target_scale, 4 * last_digit)
    if len(off) > 1:
        constants.add("allowed", off.astype(np.float32))
    allowed = number(off[0]) if len(off) == 1 else read("allowed", "k")
    value = f"({kind}){read('rows', f'r * {n} + i', read_kind)}"
    if missing.any():
        value = f"{read('missing', f'r * {n} + i', 'int8_t')} ? ({kind})NAN : {value}"
    bad = "x[i] = -1" if kind == "int" else f"x[i] = ({kind})INFINITY"
    text = join(
        f"/* {R} rows and their answers; returns how many {name}_predict gets wrong. */",
        f'#include "{stem}.h"',
        "#include <math.h>",
        *READ,
        *constants.lines,
        f"int {name}_selftest(void)",
        "{",
        f"    {kind} x[{n}];",
        f"    float p[{K}];",
        "    int wrong = 0;",
        f"    for (int r = 0; r < {R}; r++) {{",
        f"        for (int i = 0; i < {n}; i++) x[i] = {value};",
        f"        int off = {name}_predict(x, p) != {read('labels', 'r', 'int16_t')};",
        f"        for (int k = 0; k < {K}; k++)",
        f"            if (!(fabsf(p[k] - {read('answers', f'r * {K} + k')}) <= {allowed})) off = 1;",
        "        wrong += off;",
        "    }",
        f"    for (int i = 0; i < {n}; i++) {bad};",
        f"    return wrong + ({name}_predict(x, p) != -1);",
        "}",
    )
    return text, R


def integer_selftest(found: IntegerPlan, name: str, stem: str, x: np.ndarray, scores: np.ndarray) -> str:
    """Ten rows whose scores must be met to the last digit, and a row that must be refused."""
    x, scores = x[:SELFTEST_ROWS], scores[:SELFTEST_ROWS]
    labels = scores.argmax(axis=1) if found.steps.classes is not None else np.zeros(len(x))
    constants = Constants()
    constants.add("rows", x.astype(np.int32))
    constants.add("answers", scores.astype(np.int32))
    constants.add("labels", labels.astype(np.int16))
    (R, n), K = x.shape, scores.shape[1]
    encoding = found.steps.parts.plain()
    refused = next((f for f in encoding.table if f.fill is None and f.code >= VALUE), None)
    refuse = ["return wrong;"]
    if refused is not None:
        refuse = [f"x[{refused.column}] = {name.upper()}_MISSING;", f"return wrong + ({name}_predict(x, p) != -1);"]
    return join(
        f"/* {R} rows and their scores; returns how many {name}_predict gets wrong. */",
        f'#include "{stem}.h"',
        *READ,
        *constants.lines,
        f"int {name}_selftest(void)",
        "{",
        f"    int32_t x[{n}], p[{K}];",
        "    int wrong = 0;",
        f"    for (int r = 0; r < {R}; r++) {{",
        f"        for (int i = 0; i < {n}; i++) x[i] = {read('rows', f'r * {n} + i', 'int32_t')};",
        f"        int off = {name}_predict(x, p) != {read('labels', 'r', 'int16_t')};",
        f"        for (int k = 0; k < {K}; k++) off |= p[k] != {read('answers', f'r * {K} + k', 'int32_t')};",
        "        wrong += off;",
        "    }",
        *indent(refuse),
        "}",
    )
