"""KDLEARN_STORED=1 python -m pytest notebooks: are the stored outputs of cells that train still what they print?

nbval runs a cell with the tag `nbval-ignore-output`, and compares nothing. Here its text is compared: words, and
so verdicts, exactly; numbers by what they are. Another machine may print other numbers, so it has to be asked for.
"""

from __future__ import annotations

import os
import re

import pytest

TAG = "nbval-ignore-output"
NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    done = yield  # nbval has run the cell, and its text lies in `test_outputs`
    tags = getattr(getattr(item, "cell", None), "metadata", {}).get("tags", ())
    if os.environ.get("KDLEARN_STORED") == "1" and TAG in tags:
        stale = differences(text(item.cell.outputs), text(item.test_outputs))
        if stale:
            item.raise_cell_error("The stored output is stale", "\n".join(stale))
    return done


def text(outputs):
    """What a cell printed; neither pictures, nor progress, which goes to stderr."""
    return "".join("".join(o["text"]) for o in outputs if o.get("name") == "stdout")


def differences(stored, fresh):
    """Lines that say something else than stored, as texts; an empty list if there is none."""
    old, new = ([line for line in said.splitlines() if line.strip()] for said in (stored, fresh))
    if len(old) != len(new):
        return [f"{len(old)} lines are stored, {len(new)} are printed now:", *new]
    return [f"stored: {a}\nnow:    {b}" for a, b in zip(old, new) if not alike(a, b)]


def alike(old, new):
    """Two lines with the same words, and with numbers as near as what they are allows."""
    words, others = ([" ".join(w.split()) for w in NUMBER.split(line)] for line in (old, new))
    if words != others:
        return False
    pairs = list(zip(NUMBER.findall(old), NUMBER.findall(new)))
    after = [*pairs[1:], ("0", "0")]
    return all(
        near(a, b, before, behind, value(half))
        for (a, b), before, behind, (half, _) in zip(pairs, words, words[1:], after)
    )


def near(old, new, before, behind, half):
    """Is a number near the stored one? The words `before` and `behind` it say what it is, `half` is the next number."""
    a, b = value(old), value(new)
    last = 10.0 ** -len(re.sub(r"e.*", "", old).partition(".")[2])  # one unit of the last digit
    if behind == "±":  # a mean moves by less than half of its interval
        far = half
    elif before.endswith("±"):
        far = 0.5 * a
    elif behind.startswith("%"):
        far = 2.0
    elif "." in old:
        far = min(0.05 * abs(a), 2.0)
    else:  # a count, a class or a setting
        far = 0.0
    return abs(a - b) <= max(far, last if far or "." in old else 0.0) * (1 + 1e-9)


def value(number):
    return float(number.replace(",", ""))
