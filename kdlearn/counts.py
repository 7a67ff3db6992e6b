"""Which rows a term's mean is over: those with a label that is not ignored, each as often as its weight says.

And the mean over all rows of what batches of them gave.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, collect
from kdlearn.data import Data
from kdlearn.loss import ignored, normalizes
from kdlearn.objective import Objective, Term


def arguments(term: Term) -> list[tuple[str, str]]:
    """`(name, site)` of each array that a term's loss takes, where the loss says their names."""
    return list(zip(getattr(term.function, "arrays", ()), (*term.live, *term.fixed)))


def mean_over(term: Term, columns: Mapping[str, Array], always: bool = False) -> Any:
    """How much each row counts in a term's mean; None where all count alike. `always`: also by weights that only
    multiply it."""
    counts: list[Array] = []
    labels = next((site for name, site in arguments(term) if name == "y" and site in columns), None)
    if ignored(term.loss) is not None and labels is not None:
        counts.append(columns[labels] != ignored(term.loss))
    if (always or normalizes(term.loss)) and all(name in columns for name in term.row_weights):
        counts += [columns[name] for name in term.row_weights]
    return functools.reduce(operator.mul, counts) if counts else None


def check_counts(data: Data, objective: Objective) -> None:
    """ValueError where no row counts in any term; a warning for a term that is a mean over no row, and stays 0."""
    columns = {name: data.for_logits(a) for name, a in data.columns.items()}

    def none(term: Term, always: bool) -> bool:
        counts = mean_over(term, columns, always)
        return counts is not None and not bool(counts.any(axis=-1).all())  # of each member of a stack

    if all(none(term, True) for term in objective.terms):
        name = objective.terms[0].name
        raise ValueError(f"no row of the data counts, in {name}: each has the label that is ignored, or weight 0")
    for term in objective.terms:
        if none(term, False):
            warnings.warn(
                f"no row of the data counts in {term.name}: it is 0 in every step, whatever the student does",
                stacklevel=4,
            )


def table_of(values: Sequence[Mapping[str, Array]]) -> np.ndarray:
    """The values of steps, or of batches, as one array (steps, values, ...) on the host."""
    flat = collect([v for step in values for v in step.values()])
    return flat.reshape(len(values), len(values[0]), *flat.shape[1:])


def means_of(
    table: np.ndarray,
    values: Sequence[Mapping[str, Array]],
    rows: Sequence[int],
    progress: Sequence[float],
    objective: Objective,
    of_none: float = 0.0,
) -> dict[str, np.ndarray]:
    """The mean over all rows of each value of `table`, "loss" first.

    A batch weighs as much as it has rows; in a term that leaves rows out, as much as it has rows that count (see
    `step.Values`), and where no row counts the mean is `of_none`, 0 or NaN. A step of one's own says so if it returns
    what `train_step` returned.
    """
    share = np.array(rows) / sum(rows)
    share = share.reshape(-1, *[1] * (table.ndim - 2))
    means = np.tensordot(rows, table, 1) / sum(rows)
    counts = [getattr(v, "counts", {}) for v in values]
    for k, (name, term) in enumerate(zip([*values[0]][1:], objective.terms), 1):
        if name in counts[0]:
            own = collect([c[name] for c in counts]).astype(float)
            total = own.sum(axis=0)
            own = own / np.where(total != 0, total, of_none or 1)  # a mean of none is 0 then, else NaN
            factors = np.reshape([term.factor({"progress": t}) for t in progress], share.shape)
            with np.errstate(invalid="ignore"):  # a member that has diverged
                more = (own.reshape(len(rows), *table.shape[2:]) - share) * table[:, k]
                means[k] += more.sum(axis=0)
                means[0] += np.where(factors == 0, 0, factors * more).sum(axis=0)
    return dict(zip(values[0], means))
