"""What a command writes: never over what it reads, and as JSON that every reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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


def as_json(found: Any) -> str:
    """JSON with null where a number is NaN or infinite, for which JSON has no word."""
    return json.dumps(_finite(found), indent=2, allow_nan=False)


def _finite(found: Any) -> Any:
    if isinstance(found, Mapping):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_finite(value) for value in found]
    found = found.item() if isinstance(found, np.generic) else found
    return None if isinstance(found, float) and not math.isfinite(found) else found
