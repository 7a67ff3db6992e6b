"""Files that are whole or not there, written aside, flushed to disk, then moved into place; and what is JSON."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

ABANDONED = 600.0  # seconds without a write after which a temporary file belongs to a writer that was killed


def config_text(config: Any) -> str:
    """Its JSON, keys made texts, in their order, NumPy's scalars as numbers; TypeError for what JSON cannot hold."""
    try:
        return json.dumps(json.loads(json.dumps(config, default=plain)))  # 1 and "1" are one name
    except (TypeError, ValueError) as error:
        raise TypeError(f"the settings of a checkpoint must be what JSON can hold: {error}") from None


def plain(thing: Any) -> Any:
    """A scalar of NumPy as the number that JSON holds; TypeError for anything else that it cannot hold."""
    if isinstance(thing, np.generic) and not isinstance(thing.item(), np.generic):  # as a long double stays
        return thing.item()
    raise TypeError(f"Object of type {type(thing).__name__} is not JSON serializable")


@contextlib.contextmanager
def written_aside(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` when the block ends.

    A process that is killed at any moment leaves what was at `path` intact, and a temporary file beside it
    that a later writer of the same path removes. After an exception nothing is left. An OSError, such as that
    of a full disk, names the file, the folder that there is not, or that which stands in the file's place.
    """
    if not os.fspath(path):
        raise FileNotFoundError("give the name of a file to write; it is empty")
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; give the name of a file", os.fspath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder to write into", os.fspath(path.parent))
    for left in path.parent.glob(f"{escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):  # another writer was faster
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".", suffix=".tmp")
    try:
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # a temporary file is private, a saved one is like any other
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk does not say which file
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
