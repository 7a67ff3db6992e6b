"""What the terms of an objective ask of the columns that they read, beyond what each column is by itself.

Each message says which column, what is wrong with it and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, to_numpy
from kdlearn.counts import arguments
from kdlearn.data.columns import Data
from kdlearn.loss import ignored
from kdlearn.run import Run
from kdlearn.step import run_networks
from kdlearn.values import check_label_column, check_shares, check_top


def check_weights(data: Data, names: Iterable[str]) -> None:
    """ValueError unless each column that weighs rows holds one number a row."""
    for name in names:
        if name in data and data[name].ndim != 1:
            hint = "; write w[:, 0]" * (data[name].shape[1:] == (1,))
            raise ValueError(
                f"column {name!r} holds weights, one number a row: it must be 1-D, got shape {data[name].shape}{hint}"
            )


def check_masked(data: Data, run: Run, what: str) -> None:
    """ValueError for a term that is not finite where an answer masks a class: a smaller rate would not help."""
    for name, z in data.columns.items():
        if name not in run.objective.sites or name.rpartition(".")[2] not in ("logits", "top_logits"):
            continue
        masked = (z == -array_module(z).inf).any(axis=1)
        if not bool(masked.any()):
            continue
        row = int(masked.argmax()) % len(data)
        batch: dict[str, Any] = next(data.take([row, (row + 1) % len(data)]).batches(2))
        batch["progress"] = 0.0
        live, fixed, _ = run_networks(run.students, run.teachers, run.objective, batch)
        with np.errstate(all="ignore"):
            values = run.objective(live, fixed, members=run.members, backward=False).terms
        for term, (told, value) in zip(run.objective.terms, values.items()):
            if term.factor({"progress": 0.0}) and not np.isfinite(to_numpy(value)).all():
                raise ValueError(
                    f"{what}: {told} is {to_numpy(value).max()} at row {row}, where column {name!r} is -inf, a masked "
                    "class: no number is near it; give finite numbers, or a term that takes such a class out, as "
                    "kd.SoftTargets does"
                )


def check_labels_of(data: Data, run: Run, sites: Mapping[str, Array]) -> None:
    """Every column that some term reads as labels, against the width of the logits beside it."""
    for term in run.objective.terms:
        for name, site in arguments(term):
            if name == "y" and site in data and term.live[0] in sites:
                check_label_column(site, data[site], sites[term.live[0]].shape[1], ignored(term.loss))
            if name == "top" and site in data and term.live[0] in sites:
                check_top(f"column {site!r}", data[site], sites[term.live[0]].shape[1])
                T = np.float32(getattr(term.loss, "keywords", {}).get("T", 4.0))
                if site + "_T" in data and bool((data[site + "_T"] != T).any()):
                    made_at = float(data[site + "_T"].max())
                    raise ValueError(f"column {site!r} was made at T = {made_at:g}, {term.name} has T = {T:g}")
                K = sites[term.live[0]].shape[1]
                if site + "_K" in data and bool((data[site + "_K"] != K).any()):
                    of = int(data[site + "_K"].max())
                    raise ValueError(f"column {site!r} is of a teacher with {of} classes, {term.live[0]!r} has {K}")
            if name in getattr(term.function, "shares", ()) and site in data and term.live[0] in sites:
                check_shares(f"column {site!r}", data[site], sites[term.live[0]].shape[1])
