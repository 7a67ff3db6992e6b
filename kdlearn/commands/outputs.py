"""What a command writes is never what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kdlearn.commands.frames import TableError


def check_out(written: Sequence[Path], read: Mapping[str, str | Path | None]) -> None:
    """Held before anything is computed: no file that is written is one that is read, under whatever name or link.

    Parameters
    ----------
    written : files that the command makes.
    read : {option: file}, None where it is not given.

    Raises
    ------
    IsADirectoryError : a folder stands where a file is to be written.
    TableError : one is the other; names both.
    """
    for out in written:
        if out.is_dir():
            raise IsADirectoryError(f"--out {out} is a folder; it must be a file")
        for option, path in read.items():
            if path is not None and out.exists() and Path(path).exists() and out.samefile(path):
                raise TableError(f"--out {out} would overwrite what is read, {option} {path}")
