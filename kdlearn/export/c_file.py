"""Fitted models as files of C99 (and C++): a `.c`, a `.h`, and a self-test, in float or in integers alone."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlearn.export import c_float, c_integer
from kdlearn.export.check import ExportError, check, warn_of_drawn
from kdlearn.export.plan import plan

MAX_BYTES = 1_000_000  # of constants; a compiler takes minutes for more, and ONNX is made for it


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
    rows : raw rows to check on; by default drawn from what the scaler knows. With int8 or integer a network
        without a scaler, the inputs of which are not standardised, gets one from them.
    decimals : with `integer`, {column: digits after the point that an input keeps}.
    units : {column: what its number counts, such as "in kg"}, for the header; of the target too.
    target : the name of what is predicted, for the header.
    max_bytes : of weights; ExportError for more. Other constants, and the code, are not counted.

    Returns
    -------
    {"name", "files", "constants", "scratch", "static_ram", "multiply_adds", "selftest_rows", …}: bytes, without
    the code's own and the pointers to texts, which AVR goes without. With int8 or integer also `agreement`, the share
    of equal classes on the rows; of a regressor None, and `close`, the share of rows with each output within a tenth of
    its target's deviation, `error` and `largest_error`.
    """
    files = files_of(path)
    stem = files[0].with_suffix("").name
    name = name if name is not None else identifier(stem)
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"name must be a C identifier that starts with a letter, got {name!r}")
    rounded = int8 or integer
    steps = plan(net, scaler, classes, fold=not rounded, inputs=inputs, rows=rows if rounded else None)
    if not steps.takes_tokens:
        steps.parts.plain()  # or it says which transformer cannot be written
    unknown = set(units or ()) - {target, *(() if steps.encoding is None else steps.encoding.names)}
    if unknown:
        raise ExportError(f"units names {', '.join(map(repr, sorted(unknown)))}, which are no columns and no target")
    size = sum((1 if rounded else 4) * s.arrays["W"].size for s in steps.steps if "W" in s.arrays)
    if size > max_bytes:
        raise ExportError(
            f"the weights take {size:,} bytes, and the C file three times as much or more, beyond "
            f"max_bytes={max_bytes:,}: write ONNX, take a smaller student, or raise the limit"
        )
    if decimals is not None and not integer:
        raise ValueError(f"decimals are of integer=True, where inputs are integers; got {decimals!r} without it")
    if decimals is not None and not isinstance(decimals, Mapping):
        raise ValueError(f"decimals is a dict, {{column: digits}}, got {decimals!r}")
    steps, codes = check(steps, rows)
    if rounded:
        warn_of_drawn(steps, rows, "rounding to integers")
    if integer:
        given = rows is not None
        texts, figures = c_integer.write(steps, name, stem, codes, decimals or {}, units or {}, target, given)
    else:
        texts, figures = c_float.write(steps, name, stem, codes, units or {}, target, int8)
    for file, text in zip(files, texts):
        file.write_text(text, encoding="utf-8")
    work = sum(step.n_in * step.n_out for step in steps.steps if step.kind == "Linear")
    return {"name": name, "files": [str(file) for file in files], "multiply_adds": work, "static_ram": 0, **figures}


def files_of(path: str | os.PathLike) -> list[Path]:
    """The three files that `to_c` writes: code, header and self-test."""
    base = Path(path).with_suffix("") if Path(path).suffix in (".c", ".h") else Path(path)
    return [base.with_name(base.name + end) for end in (".c", ".h", "_selftest.c")]


def identifier(stem: str) -> str:
    """A C identifier made of a file's name."""
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return name if name[:1].isascii() and name[:1].isalpha() else "net_" + name
