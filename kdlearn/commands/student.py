"""The student of a table: a fitted model's file, and the encoder that reads the table's cells for it."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_array

from kdlearn.backend import Array
from kdlearn.checkpoint import CheckpointError, read
from kdlearn.commands.tables import Encoder
from kdlearn.export.columns import Column, Encoding, Feature
from kdlearn.export.fitted import fitted
from kdlearn.export.parts import Parts, output_width, parts_of
from kdlearn.export.saved import load, save
from kdlearn.nn.functional import softmax
from kdlearn.nn.network import Network


class Student(ClassifierMixin, BaseEstimator):
    """A network with the scaler before it, the classes behind it, and the encoder of a table.

    It answers like a fitted scikit-learn classifier, checks of the input included, so that it can be reported
    on and be a teacher itself. Rows are the encoder's, (N, D). `model` takes raw rows instead, and is what is
    saved and exported.
    """

    def __init__(
        self, net: Network, encoder: Encoder | None, mean: np.ndarray, scale: np.ndarray, classes: np.ndarray
    ) -> None:
        self.student_, self.encoder, self.classes_ = net, encoder, classes
        self.scaler_ = mean, scale

    def fit(self, X: Any, y: Any = None) -> Self:
        """Nothing to do: it is fitted."""
        return self

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def model(self) -> Any:
        """The classifier of raw rows: numbers, and texts as they were read."""
        if self.encoder is None:
            return self.student_
        mean, scale = self.scaler_
        return fitted(Parts(self.student_, encoding_of(self.encoder), mean, scale, self.classes_))

    @property
    def parts_(self) -> Parts:
        """Those of `model`: what is saved, exported and measured."""
        return parts_of(self.model)

    def predict_proba(self, X: Array) -> Array:
        """Probabilities (N, K) in the order of `classes_`."""
        mean, scale = self.scaler_
        X = check_array(X, dtype=[np.float32, np.float64])
        return softmax(self.student_.logits((X - mean) / scale))

    def predict(self, X: Array) -> np.ndarray:
        """The most probable class of each row, (N,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def save(self, path: str | os.PathLike, settings: dict[str, Any]) -> None:
        """Write `model` to `path`, atomically, with the settings it was taught with."""
        save(path, self.model, settings)


def encoding_of(encoder: Encoder) -> Encoding:
    """What a table's encoder does, as a fitted model holds it: a missing or unknown cell is refused."""
    columns, features = [], []
    for i, (name, known) in enumerate(encoder.features):
        columns.append(Column(name, None if known is None else tuple(known)))
        features += [Feature(i)] if known is None else [Feature(i, k, strict=True) for k in range(len(known))]
    return Encoding(columns, features)


def load_student(path: str | os.PathLike) -> Student:
    """What `Student.save` wrote. A network that `kdlearn.save` wrote is a student without encoder or scaler."""
    config = read(path)[1]
    if "network" not in config:
        raise CheckpointError(f"{path} is a checkpoint, but neither of a student nor of a network")
    model = load(path)
    if isinstance(model, Network):
        return Student(model, None, np.zeros(1), np.ones(1), np.arange(output_width(model)))
    parts = model.parts_
    encoding = parts.plain()
    encoder = Encoder([(c.name, None if c.categories is None else list(c.categories)) for c in encoding.columns])
    if encoding.to_plain() != encoding_of(encoder).to_plain() or parts.classes is None:
        raise CheckpointError(
            f"{path} has a preprocessing, or a target, that is not of a table: load it with kdlearn.load"
        )
    D = len(encoding.table)
    mean, scale = (np.zeros(D), np.ones(D)) if parts.mean is None else (parts.mean, parts.scale)
    return Student(parts.net, encoder, mean, scale, parts.classes)
