"""Timing the works: a process for each contender, interleaved bursts, medians.

Before anything is timed, all contenders that learn compute one gradient from the same weights,
and it must be the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import platform
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from kdlearn.bench.suite import works
from kdlearn.bench.work import Work, waiter
from kdlearn.study import environment as of_numpy


def measure(
    names: Iterable[str], device: str = "cpu", threads: int = 1, seconds: float = 6.0, rounds: int = 15
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Times of every contender of each work, one work after the other.

    Yields `(name, {"title", "times": {contender: {"ms", "low", "high"}}, "absent": {contender: why}, …})`.

    Raises
    ------
    RuntimeError
        If two contenders compute different gradients.
    """
    known = works(device)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    context = multiprocessing.get_context("spawn")
    workers: dict[str, Any] = {}
    try:
        for name in names:
            work = known[name]
            for contender in work.contenders:
                if contender not in workers:
                    mine, theirs = context.Pipe()
                    process = context.Process(target=_serve, args=(theirs, contender, device), daemon=True)
                    process.start()
                    workers[contender] = mine, process
            yield name, _one_work(name, work, {c: workers[c][0] for c in work.contenders}, seconds, rounds)
    finally:
        for _, process in workers.values():
            process.terminate()


def _one_work(name: str, work: Work, workers: Mapping[str, Any], seconds: float, rounds: int) -> dict[str, Any]:
    for connection in workers.values():  # all get ready side by side, and nothing is timed before all are
        connection.send(name)
    answers = {contender: connection.recv() for contender, connection in workers.items()}
    absent = {c: content for c, (kind, content) in answers.items() if kind == "absent"}
    gradients = {c: g for c, (kind, g) in answers.items() if kind == "ready" and g is not None}
    _agree(gradients)
    bursts = _interleaved({c: connection for c, connection in workers.items() if c not in absent}, seconds, rounds)
    times = {c: dict(zip(("ms", "low", "high"), np.percentile(b, (50, 25, 75)).tolist())) for c, b in bursts.items()}
    return {"title": work.title, "times": times, "absent": absent, "checked": sorted(gradients), "bars": work.bars}


def _interleaved(workers: Mapping[str, Any], seconds: float, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of one unit, `rounds` bursts of each worker in an order drawn anew."""
    once = {name: _ask(connection, 1) for name, connection in workers.items()}
    counts = {name: max(1, round(seconds / rounds / len(workers) / max(t, 1e-7))) for name, t in once.items()}
    bursts: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name in random.sample(list(workers), len(workers)):
            bursts[name].append(1e3 * _ask(workers[name], counts[name]))
    return bursts


def _ask(connection: Any, n: int) -> float:
    connection.send(n)
    return connection.recv()


def _serve(connection: Any, contender: str, device: str) -> None:
    """A contender's process: a name makes it get ready for that work, a number makes it run so many units."""
    if device == "cpu" and hasattr(os, "sched_setaffinity"):  # not every library has a setting for its threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ["OMP_NUM_THREADS"])])
    wait, runner = waiter(device), None
    while True:
        asked = connection.recv()
        if isinstance(asked, str):
            runner = None  # what the last work held is given back
            try:
                runner = works(device)[asked].contenders[contender](device)
                gradient = None if runner.gradient is None else runner.gradient()
                for _ in range(3):
                    runner.run()
                runner.wait()
            except Exception as error:  # a library that is not there, a compiler that is not there
                said = str(error).splitlines()[0] if str(error) else ""
                connection.send(("absent", f"{type(error).__name__}: {said}"))
                continue
            connection.send(("ready", gradient))
            continue
        assert runner is not None
        wait()
        began = time.perf_counter()
        for _ in range(asked):
            runner.run()
        runner.wait()
        wait()
        connection.send((time.perf_counter() - began) / asked)


def _agree(gradients: Mapping[str, np.ndarray]) -> None:
    if len(gradients) < 2:
        return
    (first, expected), *others = gradients.items()
    for name, got in others:
        worst = float(np.abs(got - expected).max() / np.abs(expected).max())
        if not worst < 1e-4:
            raise RuntimeError(f"{first} and {name} compute different gradients: they differ by {worst:.0e}")


def environment(threads: int, device: str) -> dict[str, Any]:
    """Versions and threads: what a ratio may depend on."""
    versions = {}
    for name in ("torch", "jax", "sklearn", "thinc", "cupy"):
        if importlib.util.find_spec(name):
            versions[name] = importlib.import_module(name).__version__
    found = {**of_numpy(), **versions, "threads": threads, "device": device, "processor": platform.machine()}
    return {**found, "cores": os.cpu_count()}


def format_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """One block a work: median and quartiles, and kdlearn's time as a share of each contender's, beside the bar."""
    lines = []
    for work, result in results.items():
        lines.append(f"{work}: {result['title']}")
        mine = result["times"]["kdlearn"]["ms"]
        for name, t in result["times"].items():
            line = f"  {name:<18}{t['ms']:>10.3f} ms   ({t['low']:.3f} to {t['high']:.3f})"
            if name != "kdlearn":
                bar = result["bars"].get(name)
                line += f"   kdlearn / it: {mine / t['ms']:.2f}"
                line += "" if bar is None else f"   bar {bar:g}: {'met' if mine / t['ms'] <= bar else 'MISSED'}"
            lines.append(line)
        lines += [f"  {name:<18}not measured: {why}" for name, why in result["absent"].items()]
        if result["checked"]:
            lines.append(f"  the same gradient: {', '.join(result['checked'])}")
    return "\n".join(lines)
