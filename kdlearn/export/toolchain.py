"""What compiled C takes, as a compiler on this machine says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

COMPILERS = {
    "avr-gcc": ("avr-gcc", "-mmcu=atmega328p", "-std=c99", "-Os"),
    "cc": ("cc", "-std=c99", "-Os"),
}


def measure_c(path: str | os.PathLike, compiler: str | None = None) -> dict[str, Any] | None:
    """Bytes of flash, static RAM and stack of one `.c` file that `to_c` wrote, compiled for size.

    Parameters
    ----------
    compiler : "avr-gcc" (for an ATmega328P) or "cc"; by default the first that is installed and takes the file.

    Returns
    -------
    {"compiler", "flash", "ram", "stack"}, without the C library's own; stack is the deepest frame of the file's
    functions plus that of what it calls in the file, at most; ram the pointers to the texts of classes and categories,
    which AVR goes without and `to_c` does not count. None where no compiler is installed or all refuse.
    FileNotFoundError where there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)}")
    found = (_measured(path, c) for c in ([compiler] if compiler else COMPILERS) if shutil.which(c))
    return next((one for one in found if one is not None), None)


def _measured(path: str | os.PathLike, chosen: str) -> dict[str, Any] | None:
    size = shutil.which("avr-size" if chosen == "avr-gcc" else "size")
    with tempfile.TemporaryDirectory() as folder:
        command = [*COMPILERS[chosen], "-fstack-usage", "-c", os.path.abspath(path), "-o", "net.o"]
        # on x86-64 a function may use 128 bytes below its stack, which are not counted; elsewhere there is no such flag
        tries = ([*command, "-mno-red-zone"], command) if chosen == "cc" else (command,)
        if size is None or all(subprocess.run(one, cwd=folder, capture_output=True).returncode for one in tries):
            return None
        table = subprocess.run([size, "net.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
        text, data, bss = (int(v) for v in table.splitlines()[1].split()[:3])
        frames = [
            int(line.split("\t")[1]) for file in Path(folder).glob("*.su") for line in file.read_text().splitlines()
        ]
    return {"compiler": " ".join(COMPILERS[chosen]), "flash": text + data, "ram": data + bss, "stack": sum(frames)}
