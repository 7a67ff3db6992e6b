"""The default preprocessor, which takes a raw table as it is."""

from __future__ import annotations

from typing import Any

from sklearn.compose import ColumnTransformer

from kdlearn.cells import warn_of_unknown
from kdlearn.estimators import rows


class TableEncoder(ColumnTransformer):
    """A `ColumnTransformer` of "numbers" and "categories" that first reads each cell as the estimators do.

    A missing number is NaN for it, a missing text "", and every other cell of a column of texts its text. So its
    `transform` takes the same tables as an estimator's `predict`.
    """

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """As of a ColumnTransformer."""
        X = rows.read(X)
        return super().fit_transform(rows.plain(X, self.text_columns(X)), y, **params)

    def transform(self, X: Any, **params: Any) -> Any:
        """As of a ColumnTransformer; warns of a column of whose texts none was there in fit."""
        X = rows.read(X, self.text_columns)
        texts = self.text_columns(X)
        known = dict(zip(texts, map(set, self.named_transformers_["categories"].categories_))) if texts else {}
        X = rows.plain(X, texts, known)
        for j, found in known.items():
            there = set(rows.column_of(X, j))
            if there and found.isdisjoint(there - {""} or there):
                warn_of_unknown(rows.name_of(X, j))
        return super().transform(X, **params)

    def of_sklearn(self) -> ColumnTransformer:
        """The same as scikit-learn's own class, for converters that take only that."""
        made = ColumnTransformer(self.transformers)
        vars(made).update(vars(self))
        return made

    def text_columns(self, X: Any) -> tuple[int, ...]:
        """Positions in X of the columns of texts."""
        chosen = [c for name, _, columns in self.transformers if name == "categories" for c in columns]
        place = {name: j for j, name in enumerate(X.columns)} if hasattr(X, "iloc") else {}
        return tuple(place[c] if isinstance(c, str) else c for c in chosen if not isinstance(c, str) or c in place)
