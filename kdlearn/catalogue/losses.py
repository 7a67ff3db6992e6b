"""Every loss of the package, and input for it. A loss is found by the word above it, so nobody lists it.

Each function of `kdlearn.distill` under `@mean_over_rows` or `@across_rows` is here, with what it says of
itself. Tests take `losses(...)` by these flags, and `example` makes arrays that a loss accepts.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlearn.backend import Array
from kdlearn.distill import MODULES

# Arguments whose name does not say what they hold, as functions of (rng, N, K).
MADE: dict[str, Callable[[np.random.Generator, int, int], Any]] = {
    "y": lambda rng, N, K: rng.integers(0, K, N),
    "target": lambda rng, N, K: rng.uniform(0.05, 0.95, (N, K)),
    "progress": lambda rng, N, K: 0.25,
    "raw": lambda rng, N, K: rng.normal(size=1),
    "mean": lambda rng, N, K: rng.normal(size=(1, K)),
    "variance": lambda rng, N, K: rng.uniform(0.5, 2, (1, K)),
    "rho": lambda rng, N, K: rng.normal(size=K),
    "log_p": lambda rng, N, K: np.log(rng.dirichlet(np.ones(K), (3, N))).mean(axis=0),
    "top": lambda rng, N, K: rng.permuted(np.tile(np.arange(K), (N, 1)), axis=1)[:, : K - 1],
}
SINGLE = ("transfer",)  # files whose outputs `z` are one number a row, not logits


@dataclass(frozen=True)
class Loss:
    """A loss and what it says of itself.

    function : the loss.
    stem : the file it stands in, e.g. `"response"`.
    arrays : names of its arguments without a default, those that get a gradient first.
    settings : {name of an argument with a default: its default}, without those that every mean over rows has.
    """

    function: Callable[..., tuple[Any, Any]]
    stem: str
    arrays: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def rows(self) -> bool:
        """Whether it is a mean over rows, so that it takes `weight`, `normalize` and `members`."""
        return hasattr(self.function, "rows")

    @property
    def labels(self) -> bool:
        """Whether it reads labels `y`."""
        return "y" in self.arrays

    @property
    def T(self) -> bool:
        """Whether it has a temperature."""
        return "T" in self.settings

    @property
    def logits(self) -> bool:
        """Whether it compares logits; if not, it compares features or numbers."""
        return self.arrays[0][0] == "z" and self.stem not in SINGLE

    @property
    def softmax(self) -> bool:
        """Whether its logits are those of classes that exclude each other."""
        return self.logits and self.stem != "multilabel"

    @property
    def teacher(self) -> str | None:
        """The name of the argument that its first is compared with, e.g. `z_t` for `z_s`; None where there is none."""
        first = self.arrays[0]
        wanted = ("t",) if first == "s" else (first.removesuffix("_s") + "_t", "z_t")
        return next((name for name in wanted if name in self.arrays), None)

    @functools.cached_property
    def live(self) -> int:
        """How many of its arrays get a gradient."""
        gradient = self.function(*example(self, np.random.default_rng(0)))[1]
        return len(gradient) if isinstance(gradient, tuple) else 1


@functools.cache
def all_losses() -> tuple[Loss, ...]:
    """Every loss of `kdlearn.distill`, file by file."""
    found = []
    for stem in MODULES:
        module = importlib.import_module(f"kdlearn.distill.{stem}")
        for value in vars(module).values():
            if hasattr(value, "arrays") and value.__module__ == module.__name__:
                defaults = inspect.signature(value).parameters.values()
                common = ("weight", "normalize", "members") if hasattr(value, "rows") else ()
                settings = {p.name: p.default for p in defaults if p.name not in (*value.arrays, *common)}
                found.append(Loss(value, stem, value.arrays, settings))
    return tuple(found)


def losses(*stems: str, **flags: bool) -> tuple[Loss, ...]:
    """The losses of these files (of all, if none is named) whose flags are these.

    Example
    -------
    >>> [loss.name for loss in losses("logits", labels=True)]
    ['decoupled_kd', 'normalized_kd']
    """
    return tuple(
        loss
        for loss in all_losses()
        if (not stems or loss.stem in stems)
        and all(bool(getattr(loss, flag)) == value for flag, value in flags.items())
    )


def example(
    loss: Loss, rng: np.random.Generator, N: int = 6, K: int = 4, dtype: str = "float64", scale: float = 1.0
) -> list[Array]:
    """Arrays that a loss accepts, random and of no special kind, in the order of its arguments.

    Parameters
    ----------
    N, K : rows, and classes or units.
    dtype : of all but labels and numbers.
    scale : standard deviation of logits and features.
    """
    K = 1 if loss.stem in SINGLE else K
    made = [MADE.get(name, lambda rng, N, K: scale * rng.normal(size=(N, K)))(rng, N, K) for name in loss.arrays]
    whole = ("y", "top", "progress")
    return [a if name in whole else a.astype(dtype) for name, a in zip(loss.arrays, made)]
