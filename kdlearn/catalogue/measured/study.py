"""The whole catalogue, table by table: every method of a family against the baselines, on every task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.catalogue.measured.arm import Train
from kdlearn.catalogue.measured.cost import ratios
from kdlearn.catalogue.measured.lessons import LIMITS, METHODS, STEPS, Method
from kdlearn.catalogue.measured.tasks import TASKS
from kdlearn.study import Trial, environment, sweep, trial, verdicts

BASELINES = {  # family -> what its methods are held against
    "answers": ("labels", "soft targets"),
    "features": ("labels", "soft targets"),
    "relations": ("labels", "soft targets"),
    "several teachers": ("labels", "soft targets"),
    "who the teacher is": ("labels", "soft targets"),
    "self-distillation": ("labels", "labels with noise on the inputs"),
    "online": ("labels",),
}
ZONE = 0.5  # points of accuracy in which nothing is claimed
SEEDS, GRID, SEARCH, REPEATS = 10, 8, 16, 3  # GRID settings an arm, and as many more as SEARCH says


def families() -> dict[str, list[Method]]:
    """{family: its methods}; the baselines are a family, too."""
    found: dict[str, list[Method]] = {"baselines": []}
    for method in METHODS.values():
        found.setdefault(method.family, []).append(method)
    return found


def arms(task: str, family: str, wanted: str = "") -> dict[str, Any]:
    """The arms of a table: all baselines, and the methods of the family whose name contains `wanted`."""
    chosen = [m for m in families()[family] if task in m.tasks and wanted in m.name]
    everyone = [*families()["baselines"], *chosen] if family != "baselines" else families()["baselines"]
    return {m.name: (Train(task, m.name), {**m.grid, **m.settings}) for m in everyone}


def table(task: str, family: str, wanted: str = "", seeds: int = SEEDS, search: int = SEARCH, **how: Any) -> Trial:
    """One table of the catalogue; `how` goes to `kd.study.trial`."""
    against = BASELINES.get(family, ("labels",))
    return trial(
        arms(task, family, wanted),
        against,
        seeds,
        zone=ZONE,
        search=search,
        limits=LIMITS,
        steps=STEPS,
        together=seeds,
        **how,
    )


def run(
    tasks: Sequence[str] = tuple(TASKS),
    wanted: str = "",
    store: str | os.PathLike | None = None,
    repeats: int = REPEATS,
    **how: Any,
) -> dict[str, Any]:
    """Every table as data that JSON can hold: settings, scores of each seed, the training's cost, environment.

    `repeats` : of the measurement of cost, which goes one by one, whatever `jobs` says; 0 for none.
    """
    found: dict[str, Any] = {}
    for task in tasks:
        rows: dict[str, Any] = {}
        for family in ("baselines", *BASELINES):
            if family == "baselines" or any(task in m.tasks and wanted in m.name for m in families()[family]):
                made = table(task, family, wanted, store=store, **how)
                rows |= {name: _row(made, name) for name in made.results}
        if repeats:
            cells = [
                {"task": task, "name": name, "seeds": how.get("seeds", SEEDS), "repeats": repeats} for name in rows
            ]
            for name, cost in zip(rows, sweep(ratios, cells, 1, how.get("progress"), store)):
                rows[name]["cost"] = cost
        found[task] = rows
    return {"environment": environment(), "zone": ZONE, "tasks": found}


def _row(made: Trial, name: str) -> dict[str, Any]:
    return {
        "chosen": made.chosen[name],
        "edges": made.edges[name],
        "tried": made.tried[name],
        "validation": np.round(made.validation[name], 3).tolist(),
        "test": {metric: np.round(values, 4).tolist() for metric, values in made.results[name].items()},
    }


def judged(rows: Mapping[str, Any], family: str) -> dict[tuple[str, str], Any]:
    """{(method, baseline): Verdict} of one family's table on one task, from what `run` stored."""
    own = [m.name for m in families()[family] if m.name in rows]
    gaps = {
        (name, b): np.array(rows[name]["test"]["accuracy"]) - np.array(rows[b]["test"]["accuracy"])
        for b in BASELINES.get(family, ("labels",))
        for name in own
        if name != b
    }
    return verdicts(gaps, ZONE)
