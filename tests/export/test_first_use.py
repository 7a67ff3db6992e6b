"""What somebody meets who uses the package for the first time, on tables of their own: the estimators and their export."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import export
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.export import integers
from kdlearn.export.plan import plan

SHORT = {"hidden_layer_sizes": (8,), "max_iter": 30, "random_state": 0}


def test_whole_numbers_are_not_shifted_in_integer_c(rng, tmp_path):
    """The mean of a column that counts rooms is no whole number; what its rounding takes away is given back."""
    X = np.column_stack([rng.integers(1, 7, 400), rng.integers(0, 2, 400)]).astype(float)
    y = 100 * X[:, 0] + 50 * X[:, 1] + rng.normal(size=400)
    fitted = DistilledRegressor(**SHORT).fit(X, y)
    made = export.to_c(fitted, tmp_path / "rooms.c", integer=True, rows=X)
    assert set(made["digits"].values()) == {0} and abs(X.mean(axis=0) - np.rint(X.mean(axis=0))).max() > 0.2
    found = integers.integers_of(plan(fitted, fold=False), X, {}, True)
    moved = found.answer(found.inputs(X))[:, 0] * 10.0**-found.out_digits - fitted.predict(X)
    assert abs(moved.mean()) < 0.005 * y.std() and made["error"] < 0.01 * y.std()
