"""The student of a table: a fitted model's file, with the rules by which the table's columns are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlearn.cells import as_text
from kdlearn.checkpoint import CheckpointError, read
from kdlearn.commands.alarms import tell_beyond, tell_new
from kdlearn.commands.dates import DAY_ZERO
from kdlearn.commands.decimals import counted
from kdlearn.commands.frames import read_table
from kdlearn.commands.rules import KINDS, Rules
from kdlearn.export.columns import VALUE, Encoding
from kdlearn.export.parts import parts_of
from kdlearn.export.saved import load, save
from kdlearn.nn.network import Network

if TYPE_CHECKING:
    import pandas as pd


class Student:
    """A fitted estimator and the rules by which a table's columns are read.

    Parameters
    ----------
    model : a fitted `DistilledClassifier` or `DistilledRegressor`, or what `kdlearn.load` makes of its file.
    rules : of the columns; what they make of a table, `model` takes.
    settings : what it was taught with.
    """

    def __init__(self, model: Any, rules: Rules, settings: dict[str, Any]) -> None:
        self.model, self.rules, self.settings = model, rules, settings

    @property
    def inputs(self) -> list[str]:
        """A name for each input of the network, `column=category` for a category."""
        encoding, names = parts_of(self.model).plain(), []
        for feature in encoding.table:
            column = encoding.columns[feature.column]
            known = "" if feature.code < 0 or column.categories is None else column.categories[feature.code]
            names.append(column.name if feature.code < 0 else f"{column.name}={'' if known is None else known}")
        return names

    @property
    def target(self) -> str | None:
        """The name of the column that is predicted; None where the file does not say."""
        name = self.settings.get("target")
        return name if isinstance(name, str) else None

    @property
    def units(self) -> dict[str, str]:
        """What the numbers of a column, or of the target, count: who calls the model without `rules` must know."""
        found = {
            c["name"]: told for c in self.rules.columns if (told := counted(c.get("unit"), c.get("percent", False)))
        }
        if self.target is not None and isinstance(self.settings.get("counted"), str):
            found[self.target] = self.settings["counted"]
        return found | {c["name"]: f"days since {DAY_ZERO}, UTC" for c in self.rules.columns if c["kind"] == "date"}

    def new_texts(self, rows: pd.DataFrame) -> list[str]:
        """A sentence for each column with texts that the model does not know."""
        said: list[str] = []
        for column in parts_of(self.model).plain().columns:
            known = column.categories
            if known is None or rows[column.name].dtype.kind in "biuf":
                continue
            tell_new(column.name, rows[column.name], [as_text(v) for v in known], said)
        return said

    def far_numbers(self, rows: pd.DataFrame) -> list[str]:
        """A sentence for each column of numbers with cells far outside what was taught."""
        said: list[str] = []
        parts = parts_of(self.model)
        if parts.mean is None or parts.scale is None:
            return said
        encoding = parts.plain()
        for j, feature in enumerate(encoding.table):
            name = encoding.columns[feature.column].name
            if feature.code == VALUE and encoding.columns[feature.column].categories is None:
                scale = float(parts.scale[j]) / feature.factor
                mean = feature.shift + float(parts.mean[j]) / feature.factor
                tell_beyond(name, rows[name], rows[name], mean, abs(scale), said)
        return said

    def read(self, path: Path, delimiter: str | None, said: list[str], every_row: bool = False) -> tuple[Any, Any]:
        """`(a file's table, its columns as the model takes them)`; what was done, and what is new, is said."""
        table = read_table(path, delimiter, said, every_row)
        rows = self.rules(table, said)
        said += self.new_texts(rows) + self.far_numbers(rows)
        return table, rows

    def save(self, path: str | os.PathLike) -> None:
        """Write model, rules and settings to `path`, atomically."""
        save(path, self.model, {**self.settings, "rules": self.rules.columns})


def load_student(path: str | os.PathLike) -> Student:
    """What `Student.save` wrote, or any fitted model that `kdlearn.save` wrote: its columns are numbers and texts.

    CheckpointError for a bare network, which has no columns, and for what contradicts itself.
    """
    described = read(path)[1].get("model")
    if described is None:
        raise CheckpointError(f"{path} is not a student of a table: make one with kdlearn distill")
    model, settings = load(path), described.get("settings")
    settings = dict(settings) if isinstance(settings, dict) else {}
    encoding = parts_of(model).plain()
    try:
        rules = Rules(settings.pop("rules")) if "rules" in settings else _rules_of(encoding)
        names = [rule["name"] for rule in rules.columns if rule["kind"] in KINDS and rule["comma"] in (False, True)]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a fitted model ({error!r})") from None
    if names != encoding.names:
        raise CheckpointError(f"{path} does not describe a fitted model (its rules are not those of its columns)")
    return Student(model, rules, settings)


def load_any(path: str | os.PathLike) -> Network | Student:
    """A student, or a bare network, which is exported as it is."""
    config = read(path)[1]
    return load(path) if "network" in config and "model" not in config else load_student(path)


def _rules_of(encoding: Encoding) -> Rules:
    """Of a model that was not taught by a table: texts where it knows texts, numbers everywhere else."""
    texts = [any(isinstance(known, str) for known in column.categories or ()) for column in encoding.columns]
    rules: list[dict[str, Any]] = [{"kind": "text"} if text else {"kind": "number", "truth": True} for text in texts]
    return Rules([{"name": name, "comma": False, **rule} for name, rule in zip(encoding.names, rules)])
