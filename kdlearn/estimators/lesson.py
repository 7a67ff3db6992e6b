"""All that a student may be taught from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_method_params

from kdlearn.estimators.rows import take


@dataclass
class Lesson:
    """All that a student may be taught from: n labelled rows, and m without labels."""

    X: Any  # raw, as the teacher sees them
    y: np.ndarray  # as the teacher sees them
    x: np.ndarray  # (n, d) encoded and standardised
    target: np.ndarray  # (n,) codes of classes, or (n, outputs) numbers
    weights: np.ndarray  # (n,)
    more: Any = None  # raw
    more_x: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (m, d)
    stored: np.ndarray | None = None  # answers that were computed elsewhere, (n, k) or (n + m, k)
    params: dict[str, Any] = field(default_factory=dict)  # for the teacher's fit
    whole: Lesson | None = None  # of which these rows are those at `places`, and those of weight 0 the teacher's alone
    places: np.ndarray | None = None

    def take(self, chosen: np.ndarray) -> Lesson:
        """Some of the labelled rows, and all others."""
        n, stored = len(self.x), self.stored
        if stored is not None:
            stored = np.concatenate([stored[:n][chosen], stored[n:]])
        return replace(
            self,
            X=take(self.X, chosen),
            y=self.y[chosen],
            x=self.x[chosen],
            target=self.target[chosen],
            weights=self.weights[chosen],
            stored=stored,
            params=_check_method_params(self.X, self.params, chosen),
            places=None if self.places is None else self.places[chosen],
        )

    def of_weight(self) -> Lesson:
        """The rows whose weight is not 0; a class may have the weight 0, for the student, and the teacher learns it."""
        told = np.flatnonzero(self.weights)
        return self if len(told) == len(self.x) else replace(self.take(told), whole=self, places=told)

    def for_teacher(self) -> Lesson:
        """These rows, and those that have weight 0 for the student alone."""
        if self.whole is None or self.places is None:
            return self
        return self.whole.take(np.union1d(self.places, np.flatnonzero(self.whole.weights == 0)))

    def with_more(self, X: Any, x: np.ndarray) -> Lesson:
        """The same with these rows as those without labels, raw and encoded."""
        return replace(self, more=X, more_x=x)
