"""The file that `kdlearn distill` writes: all that a prediction needs, from a table's cells to a class."""

from __future__ import annotations

import itertools
import os
from typing import Any, Self

import numpy as np

from kdlearn.backend import Array
from kdlearn.checkpoint import CheckpointError, load, read, write
from kdlearn.commands.tables import Encoder
from kdlearn.export.plan import plan
from kdlearn.nn.functional import softmax
from kdlearn.nn.network import MLP, Network

KIND = "student of a table"


class Student:
    """A network with the encoder and scaler before it and the classes behind it.

    It answers like a fitted scikit-learn classifier, so that it can be reported on, exported and
    be a teacher itself. Rows are the encoder's, (N, D).
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

    def predict_proba(self, X: Array) -> Array:
        """Probabilities (N, K) in the order of `classes_`."""
        mean, scale = self.scaler_
        return softmax(self.student_.logits((X - mean) / scale))

    def predict(self, X: Array) -> np.ndarray:
        """The most probable class of each row, (N,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def save(self, path: str | os.PathLike, settings: dict[str, Any]) -> None:
        """Write it to `path`, atomically, with the settings it was taught with."""
        assert isinstance(self.student_, MLP) and self.encoder is not None
        mean, scale = self.scaler_
        config = {
            "kind": KIND,
            "sizes": [int(size) for size in self.student_.sizes],
            "features": self.encoder.features,
            "classes": self.classes_.tolist(),
            "settings": settings,
        }
        write(path, {"theta": self.student_.theta, "mean": mean, "scale": scale}, config)


def load_student(path: str | os.PathLike) -> Student:
    """What `Student.save` wrote. A network that `kdlearn.save` wrote is a student without encoder or scaler."""
    arrays, config = read(path)
    if "network" in config:
        net = load(path)
        return Student(net, None, np.zeros(1), np.ones(1), plan(net).classes)
    if config.get("kind") != KIND:
        raise CheckpointError(f"{path} is a checkpoint, but neither of a student nor of a network")
    try:
        sizes, classes = [int(size) for size in config["sizes"]], np.array(config["classes"])
        encoder = Encoder(config["features"])
        wanted = {"theta": sum((a + 1) * b for a, b in itertools.pairwise(sizes)), "mean": sizes[0], "scale": sizes[0]}
        found = {name: a.size for name, a in arrays.items()}
        if found != wanted or (len(encoder.inputs), len(classes)) != (sizes[0], sizes[-1]):
            raise ValueError(f"a network {'-'.join(map(str, sizes))} does not fit its arrays, features and classes")
        net = MLP(*sizes)
        net.theta[...] = arrays["theta"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path} does not describe a student ({error})") from None
    return Student(net, encoder, arrays["mean"], arrays["scale"], classes)
