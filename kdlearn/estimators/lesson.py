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
        )

    def with_more(self, X: Any, x: np.ndarray) -> Lesson:
        """The same with these rows as those without labels, raw and encoded."""
        return replace(self, more=X, more_x=x)
