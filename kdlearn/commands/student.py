"""The file that `kdlearn distill` writes: all that a prediction needs, from a table's cells to an answer."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from kdlearn.checkpoint import CheckpointError, read, write
from kdlearn.commands.frames import Rules, pandas
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.rows import default_preprocessor
from kdlearn.nn.network import MLP

if TYPE_CHECKING:
    import pandas as pd

KIND = "student of a table, 2"


class Student:
    """A fitted estimator and the rules by which a table's columns are read.

    Parameters
    ----------
    model : `DistilledClassifier` or `DistilledRegressor`, fitted on what the rules make.
    rules : of the columns.
    settings : what it was taught with.
    """

    def __init__(self, model: Any, rules: Rules, settings: dict[str, Any]) -> None:
        self.model, self.rules, self.settings = model, rules, settings

    @property
    def inputs(self) -> list[str]:
        """A name for each input of the network, `column=category` for a category."""
        return inputs_of(self.model, self.rules.names)

    def encoded(self, rows: pd.DataFrame) -> np.ndarray:
        """What the network's scaler takes, (n, d) float32, of rows that the rules made."""
        return np.asarray(self.model.preprocessor_.transform(rows), dtype=np.float32)

    def save(self, path: str | os.PathLike) -> None:
        """Write it to `path`, atomically."""
        model = self.model
        medians, categories = _fitted(model.preprocessor_)
        arrays = {"theta": model.student_.theta, "mean": model.scaler_.mean_, "scale": model.scaler_.scale_}
        config = {
            "kind": KIND,
            "sizes": [int(size) for size in model.student_.sizes],
            "columns": self.rules.columns,
            "medians": medians,
            "categories": categories,
            "settings": self.settings,
        }
        if hasattr(model, "classes_"):
            config["classes"] = model.classes_.tolist()
        else:
            config["target"] = [float(model.target_mean_), float(model.target_scale_)]
        write(path, arrays, config)


def inputs_of(model: Any, columns: list[str]) -> list[str]:
    """Names of what the preprocessor of `model` makes."""
    names = []
    for name, encoder, chosen in model.preprocessor_.transformers_:
        if name == "numbers":
            names += list(chosen)
        elif name == "categories":
            names += [f"{c}={text}" for c, known in zip(chosen, encoder.categories_) for text in known]
    assert len(names) == len(model.scaler_.mean_) and set(columns)
    return names


def _fitted(preprocessor: Any) -> tuple[list[float], list[list[str]]]:
    parts = {name: encoder for name, encoder, _ in preprocessor.transformers_}
    medians = parts["numbers"].statistics_.tolist() if "numbers" in parts else []
    categories = [list(known) for known in parts["categories"].categories_] if "categories" in parts else []
    return medians, categories


def load_student(path: str | os.PathLike) -> Student:
    """What `Student.save` wrote, or a CheckpointError."""
    arrays, config = read(path)
    if config.get("kind") != KIND:
        raise CheckpointError(f"{path} is not a student of a table: make it again with kdlearn distill")
    try:
        return _built(arrays, config)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration) as error:
        raise CheckpointError(f"{path} does not describe a student ({error})") from None


def _built(arrays: dict[str, np.ndarray], config: dict[str, Any]) -> Student:
    pd, sizes = pandas(), [int(size) for size in config["sizes"]]
    wanted = {"theta": sum((a + 1) * b for a, b in itertools.pairwise(sizes)), "mean": sizes[0], "scale": sizes[0]}
    found = {name: a.size for name, a in arrays.items()}
    if found != wanted:
        raise ValueError(f"a network {'-'.join(map(str, sizes))} does not fit its arrays")
    rules = Rules(config["columns"])
    medians, known = list(config["medians"]), [list(texts) for texts in config["categories"]]
    # two rows from which the encoder learns what it knew: each number at its median, each category once
    long = max([2, *map(len, known)])
    cells: dict[str, list[Any]] = {}
    numeric, texts = iter(medians), iter(known)
    for rule in rules.columns:
        if rule["kind"] == "text":
            here = next(texts)
            cells[rule["name"]] = (here * long)[:long]
        else:
            cells[rule["name"]] = [float(next(numeric))] * long
    frame = pd.DataFrame(
        {name: pd.Series(c, dtype=None if isinstance(c[0], float) else object) for name, c in cells.items()}
    )
    preprocessor, _ = default_preprocessor(frame)
    if any(name == "categories" for name, _, _ in preprocessor.transformers):
        encoder = next(encoder for name, encoder, _ in preprocessor.transformers if name == "categories")
        encoder.set_params(categories=[np.array(texts, dtype=object) for texts in known])
    model: Any = DistilledClassifier() if "classes" in config else DistilledRegressor()
    model.preprocessor_, model.text_columns_ = preprocessor.fit(frame), None
    model.feature_names_in_, model.n_features_in_ = np.array(rules.names, dtype=object), len(rules.names)
    model.scaler_ = StandardScaler()
    model.scaler_.mean_, model.scaler_.scale_ = arrays["mean"], arrays["scale"]
    model.scaler_.var_, model.scaler_.n_features_in_ = arrays["scale"] ** 2, sizes[0]
    model.student_ = MLP(*sizes, dtype=str(arrays["theta"].dtype))
    model.student_.theta[...] = arrays["theta"]
    model.teacher_ = None
    outputs = len(config["classes"]) if "classes" in config else 1
    if outputs != sizes[-1] or preprocessor.transform(frame[:1]).shape[1] != sizes[0]:
        raise ValueError("its columns and classes do not fit its network")
    if "classes" in config:
        model.classes_ = np.array(config["classes"])
    else:
        mean, scale = config["target"]
        model.target_mean_, model.target_scale_, model._one_number = float(mean), float(scale), True
    return Student(model, rules, config.get("settings", {}))
