"""Programs in C for the tests: compiled by gcc, g++ and avr-gcc, run here and on a simulated ATmega328P."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]
C = ["-std=c99", *STRICT]
CPP = ["-x", "c++", "-std=c++17", *STRICT]
AVR = ["-std=c99", "-mmcu=atmega328p", "-Os", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", *STRICT]

MAIN = """
#include <stdio.h>
#include "{file}"
int main(void)
{{
    {kind} x[{upper}_INPUTS];
    {out} p[{upper}_{outputs}];
    while (fread(x, sizeof x, 1, stdin) == 1) {{
        int label = {name}_predict(x, p);
        printf("%d", label);
        for (int k = 0; k < {upper}_{outputs}; k++) printf(" %.9g", (double)p[k]);
        printf("\\n");
    }}
    return {name}_selftest();
}}
"""


def compiler(name):
    """The program, or a skip that says what is missing (a failure under KDLEARN_REQUIRE_PACKAGES=1)."""
    found = next((n for n in {"gcc": ("gcc", "cc"), "g++": ("g++", "c++")}.get(name, (name,)) if shutil.which(n)), None)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def compiled(folder, name, main, tool="gcc", flags=None):
    """`main` linked with what `to_c` wrote under `name`; the program."""
    (folder / "main.c").write_text(main)
    flags = {"gcc": [*C, "-fsanitize=undefined"], "g++": CPP}.get(tool, AVR) if flags is None else flags
    files = ["main.c", f"{name}.c", f"{name}_selftest.c"]
    done = subprocess.run(
        [compiler(tool), *flags, *files, "-o", f"main-{tool}", "-lm"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / f"main-{tool}"


def run_c(folder, x, name="net", tool="gcc"):
    """`(labels, outputs)` of rows; fails where the generated self-test does."""
    header = (folder / f"{name}.h").read_text()
    kind, out = header.split(f"{name}_predict(const ")[1].split(");")[0].split(" *x, ")
    outputs = "CLASSES" if f"{name.upper()}_CLASSES" in header else "OUTPUTS"
    main = MAIN.format(file=f"{name}.h", name=name, upper=name.upper(), kind=kind, out=out.split()[0], outputs=outputs)
    program = compiled(folder, name, main, tool)
    dtype = {"float": np.float32, "double": np.float64, "int": np.int32, "int32_t": np.int32}[kind]
    done = subprocess.run([str(program)], input=np.ascontiguousarray(x, dtype).tobytes(), capture_output=True)
    assert done.returncode == 0, f"the self-test found {done.returncode} wrong rows"
    assert done.stderr == b"", done.stderr.decode()  # of the sanitiser
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    return np.array([int(row[0]) for row in rows]), np.array([[float(v) for v in row[1:]] for row in rows])


AVR_MAIN = """
#include <avr/io.h>
#include <avr/interrupt.h>
#include <avr/sleep.h>
#include <stdint.h>
#include "{name}.h"
extern uint8_t _end;
static void put(char c)
{{
    while (!(UCSR0A & (1 << UDRE0))) {{ }}
    UDR0 = (uint8_t)c;
}}
static void number(unsigned v)
{{
    char digits[6];
    int n = 0;
    do digits[n++] = (char)('0' + v % 10); while ((v /= 10) != 0);
    while (n > 0) put(digits[--n]);
    put('\\n');
}}
int main(void)
{{
    volatile uint8_t *p = &_end; /* paint what lies below the stack; what the self-test used is no longer painted */
    while (p < (volatile uint8_t *)(SP - 16)) *p++ = 0xC5;
    UCSR0B = 1 << TXEN0;
    unsigned wrong = (unsigned)name_selftest();
    unsigned used = (unsigned)RAMEND;
    for (p = &_end; *p == 0xC5; p++) {{ }}
    number(wrong);
    number(used - (unsigned)(uintptr_t)p + 1);
    put('.');
    put('\\n');
    cli();
    sleep_mode();
    return 0;
}}
"""


def run_avr(folder, name="net"):
    """`{"wrong", "stack", "flash", "ram"}` of the self-test on a simulated ATmega328P, in rows and bytes."""
    compiler("simavr")
    main = AVR_MAIN.format(name=name).replace("name_selftest", f"{name}_selftest")
    program = compiled(folder, name, main, "avr-gcc")
    size = subprocess.run(["avr-size", str(program)], capture_output=True, text=True, check=True).stdout
    text, data, bss = (int(v) for v in size.splitlines()[1].split()[:3])
    command = ["simavr", "-m", "atmega328p", "-f", "16000000", str(program)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60)
    digits = [int(w) for w in "".join(c if c.isdigit() else " " for c in said(out.stdout + out.stderr)).split()]
    return {"wrong": digits[0], "stack": digits[1], "flash": text + data, "ram": data + bss}


def said(text):
    """What the program put out, without the simulator's own lines and colours."""
    lines = text.replace("\x1b[32m", "").replace("\x1b[0m", "").splitlines()
    return "\n".join(line.rstrip(".") for line in lines if line[:1].isdigit())
