"""Pieces of C that every export is made of: constants, literals, comments, indented lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TYPES = {"float32": "float", "float64": "double", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}
READ = """\
#ifdef __AVR__ /* constants stay in flash */
#include <avr/pgmspace.h>
#define ROM PROGMEM
#define READ_float(p) pgm_read_float(p)
#define READ_int8_t(p) ((int8_t)pgm_read_byte(p))
#define READ_int16_t(p) ((int16_t)pgm_read_word(p))
#define READ_int32_t(p) ((int32_t)pgm_read_dword(p))
#else
#define ROM
#define READ_float(p) (*(p))
#define READ_double(p) (*(p))
#define READ_int8_t(p) (*(p))
#define READ_int16_t(p) (*(p))
#define READ_int32_t(p) (*(p))
#endif""".splitlines()


class Constants:
    """Arrays of a C file, each written once; `bytes` is what they take in flash."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bytes = 0

    def add(self, name: str, a: np.ndarray) -> None:
        """`static const TYPE name[]`."""
        a = np.ascontiguousarray(a)
        kind = TYPES[a.dtype.name]
        numbers = [number(v) if a.dtype.kind == "f" else _integer(v) for v in a.ravel().tolist()]
        if kind == "double":
            numbers = [repr(v) for v in a.ravel().tolist()]
        rows = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
        self.lines += [f"static const {kind} {name}[{a.size}] ROM = {{", *(f"    {row}," for row in rows), "};"]
        self.bytes += a.nbytes


def read(name: str, index: str, kind: str = "float") -> str:
    """An element of a constant array."""
    return f"READ_{kind}(&{name}[{index}])"


def number(value: float) -> str:
    """A float32 as a literal that names it exactly."""
    text = f"{value:.9g}"
    return text + ("f" if set(text) & set(".e") else ".0f")


def _integer(value: int) -> str:
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def string(text: str) -> str:
    """A C string literal: bytes that are not plain letters, digits or spaces as three octal digits.

    ValueError for a text that holds a NUL: in C it would end there, and be another.
    """
    if "\0" in text:
        raise ValueError(f"{text!r} holds a NUL, at which a text in C ends: rename it")
    plain = (chr(c) if c == 32 or (c < 128 and chr(c).isalnum()) else f"\\{c:03o}" for c in text.encode())
    return '"' + "".join(plain) + '"'


def comment(text: str, mark: str = "") -> str:
    """A text that cannot end the comment it stands in, with all that can be seen as it is, between two marks.

    A backslash at its end is put between quotes: at the end of a line it would join it with the next.
    """
    safe = "".join(c if c.isprintable() and c != "\\" else ascii(c)[1:-1] for c in text)
    mark = mark or '"' * safe.endswith("\\")
    return mark + safe.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?") + mark


def indent(code: Sequence[str], by: int = 1) -> list[str]:
    """Lines moved to the right."""
    return [" " * 4 * by + line if line and not line.startswith("#") else line for line in code]


def join(*lines: Any) -> str:
    """Lines as a file."""
    return "\n".join(lines) + "\n"
