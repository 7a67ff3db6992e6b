"""Studies that can be believed: several seeds, paired differences, intervals.

Two methods that share a seed share the data split, the initial weights and the batch order, so
their difference varies far less than either; an interval of the paired differences is what a
claim rests on.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
import math
import os
import platform
import threading
import time
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Metrics = Mapping[str, float]


class Interval(NamedTuple):
    """A mean and the half width of its 95 % interval over n seeds."""

    mean: float
    half_width: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ± {self.half_width:.2f}"

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width


def interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Student's t-interval of the mean of independent values; infinitely wide for fewer than two."""
    from scipy.stats import t

    a = np.asarray(list(values), dtype=float)
    if len(a) < 2:
        return Interval(float(a.mean()) if len(a) else math.nan, math.inf, len(a))
    quantile = float(t.ppf(0.5 + level / 2, len(a) - 1))
    return Interval(float(a.mean()), quantile * float(a.std(ddof=1)) / math.sqrt(len(a)), len(a))


@dataclass(frozen=True)
class Comparison:
    """Metrics of several methods over the same seeds.

    `results[method][metric]` is an array over the seeds; `baseline` is the method that the
    others are compared with.
    """

    results: dict[str, dict[str, np.ndarray]]
    baseline: str

    def mean(self, method: str, metric: str) -> Interval:
        """The method's own mean; its interval is over the seeds, not paired."""
        return interval(self.results[method][metric])

    def difference(self, method: str, metric: str, baseline: str | None = None) -> Interval:
        """Mean paired difference to the baseline (or to another method)."""
        other = self.results[self.baseline if baseline is None else baseline]
        return interval(self.results[method][metric] - other[metric])

    def table(self, metric: str, digits: int = 2) -> str:
        """One line a method: mean, and paired difference with its interval."""
        width = max(map(len, self.results))
        lines = [f"{'':<{width}}  {metric:>10}  difference to {self.baseline}"]
        for method in self.results:
            text = f"{method:<{width}}  {self.mean(method, metric).mean:>10.{digits}f}"
            if method != self.baseline:
                d = self.difference(method, metric)
                verdict = "" if d.low > 0 or d.high < 0 else "   no effect shown"
                text += f"  {d.mean:+.{digits}f} ± {d.half_width:.{digits}f}{verdict}"
            lines.append(text)
        return "\n".join(lines)

    def plot(self, metric: str, ax: Any = None) -> Any:
        """Paired differences with their intervals, one row a method."""
        from kdlearn import plots

        others = [m for m in self.results if m != self.baseline]
        ax = plots.intervals({m: self.difference(m, metric) for m in others}, ax=ax)
        ax.set_xlabel(f"{metric}: paired difference to {self.baseline}")
        return ax


def choose(comparison: Comparison, candidates: Mapping[str, Iterable[str]], metric: str) -> dict[str, str]:
    """For each method the candidate with the best mean of a (validation) metric.

    `candidates` is {method: names in the comparison}, one for each setting tried.
    """
    return {
        method: max(names, key=lambda name: comparison.results[name][metric].mean())
        for method, names in candidates.items()
    }


def compare(
    run: Callable[..., Mapping[str, Mapping[str, Any]]],
    seeds: int | Iterable[int],
    baseline: str | None = None,
    jobs: int | None = None,
    progress: bool | None = None,
    store: str | os.PathLike | None = None,
    together: int = 20,
) -> Comparison:
    """Run a study for each seed and pair its methods.

    Parameters
    ----------
    run : `run(seed) -> {method: {metric: value}}`, its parameter named `seed`; everything random in it
        must follow the seed. Or `run(seeds) -> {method: {metric: one value a seed}}`, its parameter named
        `seeds`: a function that trains several seeds at once, as the members of a `kd.Stack`. With a store
        the values are lists, which JSON can hold.
    seeds : how many (0, 1, …) or which.
    baseline : the method that the others are compared with; default the first.
    jobs, progress, store : as in `sweep`.
    together : how many seeds a function of `seeds` gets at once, at most: enough to share the calls, few
        enough for the cache and for every core to have some. The numbers do not depend on it, to rounding.

    Example
    -------
    >>> import kdlearn as kd
    >>> train, _, test = kd.data.blobs(60)
    >>> def run(seeds):
    ...     results = {}
    ...     for name, smoothing in (("hard", 0.0), ("smoothed", 0.1)):
    ...         students = kd.Stack([kd.MLP(2, 8, 3, seed=seed) for seed in seeds])
    ...         kd.fit(students, kd.CrossEntropy(smoothing=smoothing), train, seed=seeds, epochs=2, progress=False)
    ...         results[name] = {"accuracy": (students.predict(test.x) == test.y).mean(axis=1)}
    ...     return results
    >>> kd.study.compare(run, seeds=3, jobs=1, progress=False).results["hard"]["accuracy"].shape
    (3,)
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise ValueError("seeds must name at least one seed")
    if "seeds" in inspect.signature(run).parameters:
        size = max(1, min(together, -(-len(seeds) // _workers(jobs))))
        cells = [{"seeds": seeds[i : i + size]} for i in range(0, len(seeds), size)]
        found = sweep(run, cells, jobs, progress, store)
        rows: list[Any] = [row for chunk, cell in zip(found, cells) for row in _apart(chunk, len(cell["seeds"]))]
    else:
        rows = sweep(run, [{"seed": seed} for seed in seeds], jobs, progress, store)
    methods = list(rows[0])
    results = {
        method: {metric: np.array([row[method][metric] for row in rows]) for metric in rows[0][method]}
        for method in methods
    }
    chosen = methods[0] if baseline is None else baseline
    if chosen not in results:
        raise ValueError(f"baseline {chosen!r} is not among the methods: {', '.join(methods)}")
    return Comparison(results, chosen)


def _workers(jobs: int | None) -> int:
    """`jobs`, else what `joblib.parallel_config` says, else one a core."""
    from joblib import cpu_count, effective_n_jobs

    return jobs or (effective_n_jobs() if effective_n_jobs() > 1 else cpu_count())


def _apart(chunk: Mapping[str, Mapping[str, Any]], n: int) -> list[dict[str, dict[str, float]]]:
    """What n seeds measured together, one row a seed."""
    for method, metrics in chunk.items():
        for metric, values in metrics.items():
            if len(values) != n:
                raise ValueError(f"{method}, {metric}: one value for each of {n} seeds is needed, got {len(values)}")
    return [{m: {k: float(v[i]) for k, v in metrics.items()} for m, metrics in chunk.items()} for i in range(n)]


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
    run : a function whose result JSON can hold; everything random in it must follow the cell.
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
    """
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    cells = [dict(cell) for cell in cells]
    keys = [cell_key(None if store is None else run, cell) for cell in cells]
    done = {} if store is None else _stored(store)
    missing = {key: cell for key, cell in zip(keys, cells) if key not in done}
    n = min(_workers(jobs), max(len(missing), 1))
    if n > 1:
        work = (delayed(_at_work)(os.getpid(), run, key, cell) for key, cell in missing.items())
        finished: Iterable[Any] = Parallel(n_jobs=n, return_as="generator_unordered")(work)
    else:
        finished = (_single_threaded(run, key, cell) for key, cell in missing.items())
    off = None if progress is None else not progress
    with threadpool_limits(1):  # here too: with workers that are threads, each would restore what it found
        for key, result in tqdm(finished, total=len(missing), desc="cells", unit="cell", leave=False, disable=off):
            done[key] = result if store is None else _append(store, key, missing[key], result)
    return [done[key] for key in keys]


def cell_key(run: Callable[..., Any] | None, cell: Mapping[str, Any]) -> str:
    """What a cell is known by: a hash of its settings and of the function that runs it.

    Of the function its name and bytecode, its defaults, what it encloses at that moment, and what a
    `functools.partial` sets; not the code of what it calls, nor what it reads from its module: after a change
    there, begin a new store. Another Python may compile another bytecode; then the cells are run again.
    TypeError for a function that holds what cannot be hashed: it could not be told from another.
    """
    inner: Any = run
    before: list[Any] = []
    while isinstance(inner, functools.partial):
        before = [*inner.args, *before]
        cell, inner = {**inner.keywords, **cell}, inner.func
    known = None if inner is None else [_identity(inner, []), [_identity(a, []) for a in before]]
    text = json.dumps([known, cell], sort_keys=True, default=lambda thing: _identity(thing, []))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _identity(thing: Any, inside: list[Any]) -> Any:
    """What tells a function, or a value that it holds, from others, as JSON. `inside`: what this is met within."""
    import joblib

    if any(thing is other for other in inside):  # a function that encloses itself
        return "itself"
    inside = [*inside, thing]
    if isinstance(thing, functools.partial):
        return [_identity(part, inside) for part in (thing.func, thing.args, sorted(thing.keywords.items()))]
    if isinstance(thing, types.MethodType):
        return [_identity(thing.__func__, inside), _identity(thing.__self__, inside)]
    if isinstance(thing, types.FunctionType):
        cells = [_enclosed(cell) for cell in thing.__closure__ or ()]
        held = [thing.__defaults__, thing.__kwdefaults__, *cells]
        return [thing.__module__, thing.__qualname__, _code(thing.__code__), [_identity(h, inside) for h in held]]
    if isinstance(thing, (list, tuple)):
        return [_identity(part, inside) for part in thing]
    if isinstance(thing, (type, types.BuiltinFunctionType)):
        return [thing.__module__, thing.__qualname__]
    kind = type(thing)
    call = next((vars(k)["__call__"] for k in kind.__mro__ if "__call__" in vars(k)), None)
    own = _identity(call, inside) if isinstance(call, types.FunctionType) else None
    try:
        return [kind.__module__, kind.__qualname__, own, joblib.hash(thing)]
    except Exception as error:
        raise TypeError(
            f"run holds a {kind.__name__}, which cannot be hashed: its stored cells could be those of another "
            "function; give it as a setting of the cell, or let run be a function of a module"
        ) from error


def _enclosed(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _code(code: types.CodeType) -> list[Any]:
    def constant(c: Any) -> Any:
        if isinstance(c, types.CodeType):
            return _code(c)
        return sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c)

    return [code.co_code.hex(), code.co_names, code.co_varnames, [constant(c) for c in code.co_consts]]


def environment() -> dict[str, Any]:
    """What a number may depend on: versions, the BLAS and its kernel, its threads."""
    from threadpoolctl import threadpool_info

    known = [i for i in threadpool_info() if i["user_api"] == "blas"]  # SciPy brings one of its own
    blas: dict[str, Any] = next((i for i in known if "numpy" in i.get("filepath", "")), known[0] if known else {})
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(str(blas[k]) for k in ("internal_api", "version", "architecture") if blas.get(k)),
        "threads": blas.get("num_threads", 1),
    }


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


def _append(store: str | os.PathLike, key: str, cell: Mapping[str, Any], result: Any) -> Any:
    """The result as it will be read back, once it is on the disk."""
    try:
        line = json.dumps({"key": key, "cell": cell, "result": result}, sort_keys=True) + "\n"
    except (TypeError, ValueError) as error:
        raise TypeError(f"JSON cannot hold the cell {dict(cell)} and its result: {error}") from error
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
