"""How one function of the workbook is judged.

What is right comes from the package. A slip is a wrong function: one idea is missing in it, and the table that
holds it says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdlearn.ideas import Case, same
from kdlearn.judging import judge
from kdlearn.learner import Verdict, call

Slips = Mapping[str, Callable[..., Any]]  # {"idea: sentence": the function without it}
Layers = list[tuple[np.ndarray, np.ndarray]]  # (W, b) of each linear layer

# Different numbers, so that a factor has one name: rows, inputs, units, a teacher's units, classes, temperature
N, D, H, E, K, T = 5, 4, 6, 8, 7, 3.0


@dataclass(frozen=True)
class Task:
    """One function of the workbook.

    Parameters
    ----------
    right : what the function must be.
    names : of its results.
    places : arguments to ask it at; none where `more` says all.
    slips : wrong functions, by what their author is told.
    unpack : what the function returns, as a tuple of arrays with these names.
    case : the first place, where it is not the first argument.
    more : what else must hold, as functions that raise a Verdict.
    """

    right: Callable[..., Any]
    names: Sequence[str] = ()
    places: Sequence[Sequence[Any]] = ()
    slips: Slips = field(default_factory=dict)
    unpack: Callable[[Any], Any] | None = None
    case: Case | None = None
    more: Sequence[Callable[[Callable[..., Any]], None]] = ()

    def check(self, function: Callable[..., Any]) -> None:
        """A Verdict, where the function is not right."""
        if self.places:
            first, *others = self.places[0]
            temperature = next((a for a in others if isinstance(a, float)), 1.0)
            case = self.case or Case(first, temperature, others)
            slips = {idea: self._unpacked(slip) for idea, slip in self.slips.items()}
            judge(self._unpacked(function), self._unpacked(self.right), self.places, self.names, slips, case)
        for holds in self.more:
            holds(function)

    def _unpacked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        unpack = self.unpack
        return (lambda *place: unpack(call(function, *place))) if unpack else function


def also(
    right: Callable[..., Any],
    hint: str,
    *arguments: Any,
    idea: str = "large numbers",
    unpack: Callable[[Any], Any] = lambda found: found,
) -> Callable[[Callable[..., Any]], None]:
    """What else must hold: for these arguments, too, the function returns what is right, and no NaN or floor."""

    def more(function: Callable[..., Any]) -> None:
        found, wanted = unpack(call(function, *arguments)), unpack(right(*arguments))
        pairs = list(zip(found, wanted)) if isinstance(wanted, tuple) else [(found, wanted)]
        alike = not isinstance(wanted, tuple) or len(found) == len(wanted)
        if not alike or not all(
            np.shape(a) == np.shape(b) and np.isfinite(a).all() and same(np.asarray(a), np.asarray(b)) for a, b in pairs
        ):
            raise Verdict(idea, hint)

    return more


def elsewhere(
    right: Callable[..., Any], *arguments: Any, unpack: Callable[[Any], Any] = lambda found: found
) -> Callable[[Callable[..., Any]], None]:
    """What is right for arrays of one shape must be right for those of another."""
    sizes = " and ".join(str(a.shape) for a in arguments if isinstance(a, np.ndarray))
    layers = f"{len(arguments[0])} layers and " * isinstance(arguments[0], list)
    numbers = ", ".join(f"{a:g}" for a in arguments if isinstance(a, float))
    where = f"{layers}arrays {sizes}{f' and the numbers {numbers}' if numbers else ''}"
    hint = f"Yours is right elsewhere, and wrong for {where}: read all numbers from the arguments, as len(z)."
    return also(right, hint, *arguments, idea="every size", unpack=unpack)


def normal(*shapes: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> list[np.ndarray]:
    """Arrays of normal numbers."""
    rng = np.random.default_rng(seed)
    return [scale * rng.normal(size=shape) for shape in shapes]
