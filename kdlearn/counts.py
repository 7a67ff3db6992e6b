"""Which rows a term's mean is over: those with a label that is not ignored, each as often as its weight says."""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Mapping
from typing import Any

from kdlearn.backend import Array
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
