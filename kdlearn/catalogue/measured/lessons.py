"""A method of the catalogue: what is taught to whom, and what is tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdlearn.nn.network import Network

DECAY = {"decay": (0.1, 1.0)}  # every arm tunes it
STEPS = {"rate": 3.0, "epochs": 1, "weight": 2.0}  # what has one value in a grid is tuned in the search, by these
LIMITS = {  # beyond these a value makes no sense, or the loss refuses it
    "T": (0.5, 64.0),
    "alpha": (0.0, 1.0),
    "epochs": (0, 1),
    "share": (0.0, 1.0),
    "smoothing": (0.0, 0.9),
    "start": (1.5, 20.0),
    "until": (0.0, 1.0),
    "weight": (0.0, 1.0),
}


@dataclass
class Lesson:
    """What an arm makes for the seeds of a ground; where nothing is said, the students learn from the lessons."""

    objective: Any  # one, or one a seed
    data: Any = None
    students: Mapping[str, Network] | None = None
    teachers: Mapping[str, Network] | None = None
    hooks: Sequence[Any] = ()
    measured: str = "student"


@dataclass(frozen=True)
class Method:
    """A method of the catalogue.

    `teach(ground, **own) -> Lesson`, and `grid`, four settings of its own: eight with the two of weight decay in
    `settings`, which every method tunes. `covers` are the recipes that it measures,
    `family` the table that it stands in, `alone` says that it cannot be stacked.
    """

    name: str
    family: str
    teach: Callable[..., Lesson]
    grid: Mapping[str, Sequence[Any]]
    covers: tuple[str, ...] = ()
    alone: bool = False
    tasks: tuple[str, ...] = ("digits", "clothes", "noise")
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=lambda: {"rate": (1.0,), "epochs": (0,), **DECAY})


METHODS: dict[str, Method] = {}


def enter(*methods: Method) -> None:
    """Into the list of what is measured."""
    METHODS.update({m.name: m for m in methods})
