"""Cells of a study: run side by side, stored as they finish, never run twice."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdlearn.files import plain
from kdlearn.study.origin import cell_key


def workers(jobs: int | None) -> int:
    """`jobs`, else what `joblib.parallel_config` says, else one a core."""
    from joblib import cpu_count, effective_n_jobs

    return jobs or (effective_n_jobs() if effective_n_jobs() > 1 else cpu_count())


def groups(seeds: Sequence[int], size: int) -> list[list[int]]:
    """Seeds that are trained at once: at most `size`."""
    return [list(seeds[i : i + size]) for i in range(0, len(seeds), size)]


def sweep(
    run: Callable[..., Any],
    cells: Iterable[Mapping[str, Any]],
    jobs: int | None = None,
    progress: bool | None = None,
    store: str | os.PathLike | None = None,
) -> list[Any]:
    """`run(**cell)` for each cell of a study, side by side, and never twice.

    Parameters
    ----------
    run : a function whose result JSON can hold, numbers and arrays of NumPy included; everything random in it must
        follow the cell.
    cells : configurations, each a mapping that JSON can hold (`sklearn.model_selection.ParameterGrid`
        makes grids of them).
    jobs : worker processes; default one a core, or what `joblib.parallel_config` says, which also
        chooses another backend, e.g. "dask" for a cluster. The numbers do not depend on it: BLAS
        runs on one thread everywhere.
    progress : as in `fit`.
    store : a file of JSON lines, one a finished cell, appended as they finish. Cells found there
        are not run again, so a study that was killed goes on where it stopped. A cell is known by its settings
        and by the code of `run`, see `cell_key`; a line that cannot be read is a cell that is run again.

    Returns
    -------
    The results in the order of the cells; with a store as JSON gives them back, tuples as lists.

    Raises
    ------
    OSError
        Where the store cannot be written, as on a full disk; it keeps what it held.
    TypeError
        For a `run` that cannot be told from others, or a result that JSON cannot hold, with a store.
    ValueError
        For two cells that differ in a tuple in the place of a list: they would be one.
    """
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    cells = list(cells)
    for cell in cells:
        if not isinstance(cell, Mapping):
            raise TypeError(f"cells are mappings, [{{name: value}}, …], got the cell {cell!r}")
    cells = [dict(cell) for cell in cells]
    known_by = sweep if store is None else run  # without a store one function for all: settings alone tell cells apart
    keys = [cell_key(known_by, cell) for cell in cells]
    _check_apart(keys, cells)
    done = {} if store is None else _stored(store)
    missing = {key: cell for key, cell in zip(keys, cells) if key not in done}
    if store is not None:
        if not (folder := Path(store).absolute().parent).is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such folder to write into", str(folder))
        for cell in missing.values():
            _as_line(cell)  # before anything is trained
    n = min(workers(jobs), max(len(missing), 1))
    if n > 1:
        work = (delayed(_at_work)(os.getpid(), run, key, cell) for key, cell in missing.items())
        finished: Iterable[Any] = Parallel(n_jobs=n, return_as="generator_unordered")(work)
    else:
        finished = (_single_threaded(run, key, _own(cell)) for key, cell in missing.items())
    off = None if progress is None else not progress
    with threadpool_limits(1):  # here too: with workers that are threads, each would restore what it found
        for key, result in tqdm(finished, total=len(missing), desc="cells", unit="cell", leave=False, disable=off):
            done[key] = result if store is None else _append(store, key, missing[key], result)
    return [done[key] for key in keys]


def cells_beside(out: Path, resume: bool) -> Path:
    """The file that stores a study's cells, beside its rows `out`, whose folder is made.

    ValueError where it holds the cells of an earlier run that nobody asked to resume.
    """
    store = out.with_suffix(".jsonl")
    if store.exists() and not resume:
        raise ValueError(f"{store} holds the cells of an earlier run; go on with --resume, or choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    return store


def _plain(thing: Any) -> Any:
    """Numbers and arrays of NumPy as JSON holds them."""
    return thing.tolist() if isinstance(thing, np.ndarray) else plain(thing)


def _own(thing: Any) -> Any:
    """Containers as a worker would get them, copied: what a run changes in its cell stays in its cell."""
    if type(thing) is dict:
        return {key: _own(value) for key, value in thing.items()}
    return [_own(value) for value in thing] if type(thing) is list else thing


def _stored(store: str | os.PathLike) -> dict[str, Any]:
    done: dict[str, Any] = {}
    if not os.path.exists(store):
        return done
    with open(store, "rb") as file:
        for line in file:
            # torn when the power went, or not ours: what cannot be read is run again
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                row = json.loads(line)
                done[row["key"]] = row["result"]
    return done


def _as_line(cell: Mapping[str, Any], **more: Any) -> str:
    """A cell, and more of it, as a line of the store. TypeError for what JSON cannot hold."""
    try:
        line = {"cell": cell, **more}
        _check_names(line)
        return json.dumps(line, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        what = "the cell {} and its result" if more else "the cell {}"
        raise TypeError(f"JSON cannot hold {what.format(dict(cell))}: {error}") from error


def _check_names(thing: Any) -> None:
    """TypeError where JSON would make one name of two, as of 1 and "1"."""
    if isinstance(thing, Mapping):
        if len(json.loads(json.dumps(dict.fromkeys(thing)))) < len(thing):
            raise TypeError(f"two of the names {list(thing)} are one there")
        thing = list(thing.values())
    for part in thing if isinstance(thing, (list, tuple)) else ():
        _check_names(part)


def _check_apart(keys: Sequence[str], cells: Sequence[Mapping[str, Any]]) -> None:
    """ValueError where two cells, known as one, differ in a tuple in the place of a list."""
    first: dict[str, tuple[Any, Mapping[str, Any]]] = {}
    for key, cell in zip(keys, cells):
        tuples, other = first.setdefault(key, (_tuples(cell), cell))
        if tuples != _tuples(cell):
            raise ValueError(f"the cells {dict(other)} and {dict(cell)} are one: a tuple counts as the list of JSON")


def _tuples(thing: Any) -> Any:
    """Where in it tuples stand."""
    if isinstance(thing, Mapping):
        return {key: _tuples(value) for key, value in thing.items()}
    return [isinstance(thing, tuple), *map(_tuples, thing)] if isinstance(thing, (list, tuple)) else None


def _append(store: str | os.PathLike, key: str, cell: Mapping[str, Any], result: Any) -> Any:
    """The result as it will be read back, once it is on the disk."""
    line = _as_line(cell, key=key, result=result)
    data = line.encode()
    handle = os.open(store, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":  # a torn line stays a line of its own
            data = b"\n" + data
        while data:  # a disk that is nearly full takes a part, and says so at the next write
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(store)) from error
    finally:
        os.close(handle)
    return json.loads(line)["result"]


def _at_work(parent: int, run: Callable[..., Any], key: str, cell: Mapping[str, Any]) -> tuple[str, Any]:
    """A cell in a worker. One that was started by `parent` ends with it, however that ended."""
    if os.getppid() == parent and not any(t.name == _WATCH for t in threading.enumerate()):
        threading.Thread(target=_watch, args=(parent,), name=_WATCH, daemon=True).start()
    return _single_threaded(run, key, cell)


_WATCH = "kdlearn: end with the parent"


def _watch(parent: int) -> None:
    while os.getppid() == parent:  # a process whose parent has ended is given another
        time.sleep(0.5)
    os._exit(1)


def _single_threaded(run: Callable[..., Any], key: str, cell: Mapping[str, Any]) -> tuple[str, Any]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return key, run(**cell)
