"""How one function of the workbook is judged.

What is right comes from the package. A slip is a wrong function: one idea is missing in it, and the table that
holds it says which.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kdlearn.ideas import Case, same
from kdlearn.judging import judge
from kdlearn.learner import Verdict, call

Slips = Mapping[str, Callable[..., Any]]  # {"idea: sentence": the function without it}
Layers = list[tuple[np.ndarray, np.ndarray]]  # (W, b) of each linear layer

# Different numbers, so that a factor has one name: rows, inputs, units, a teacher's units, classes, temperature
N, D, H, E, K, T = 5, 4, 6, 11, 7, 3.0

# Factors that a loss can lack, by what it is a mean of, and a gradient that is passed on
OF_ROWS = ("1/N", "1/N only once", "N in place of N·K", "rows in place of columns")
OF_PAIRS = ("1/N", "1/N only once", "1/N²")
WITH_T = ("a factor of T", "T squared", "a factor of 1/T", "a factor of 1/T²")
PASSED_ON = ("1/N only once",)


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
    ideas : the factors that it can lack, by their names in `kdlearn.ideas`; "a sign" always.
    more : what else must hold, as functions that raise a Verdict.
    """

    right: Callable[..., Any]
    names: Sequence[str] = ()
    places: Sequence[Sequence[Any]] = ()
    slips: Slips = field(default_factory=dict)
    unpack: Callable[[Any], Any] | None = None
    case: Case | None = None
    ideas: Sequence[str] = ()
    more: Sequence[Callable[[Callable[..., Any]], None]] = ()

    def check(self, function: Callable[..., Any]) -> None:
        """A Verdict, where the function is not right."""
        if self.places:
            first, *others = self.places[0]
            temperature = next((a for a in others if isinstance(a, float)), 1.0)
            case = replace(self.case or Case(first, temperature, others), ideas=self.ideas)
            slips = {idea: self._unpacked(slip) for idea, slip in self.slips.items()}
            judge(self._unpacked(function), self._unpacked(self.right), self.places, self.names, slips, case)
        for holds in self.more:
            holds(function)
        self._defaults(function)

    def _defaults(self, function: Callable[..., Any]) -> None:
        """A Verdict, where what holds without a setting is not what the workbook says."""
        asked = list(inspect.signature(self.right).parameters.values())
        settings = [p for p in asked if p.default not in (p.empty, None)]
        if not settings:
            return
        try:
            mine = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            mine = []
        for p, own in zip(asked, mine):
            default = own.default is own.empty or isinstance(own.default, (int, float))  # else see what it does
            if p in settings and own.kind is own.POSITIONAL_OR_KEYWORD and default and own.default != p.default:
                written = "has no default" if own.default is own.empty else f"is {own.default!r}"
                raise Verdict(f"the default of {p.name}", f"Without {p.name} it is {p.default:g}; yours {written}.")
        hint = f"What is left out counts as {', '.join(f'{p.name} = {p.default:g}' for p in settings)}."
        place = self.places[0][: asked.index(settings[0])]
        also(self.right, hint, *place, idea="the defaults")(function)

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
        found, wanted = (unpack(call(one, *arguments)) for one in (function, right))
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
    numbers = ", ".join(f"{a:g}" for a in arguments if isinstance(a, (int, float)))
    where = f"{layers}arrays {sizes}{f' and the numbers {numbers}' if numbers else ''}"
    hint = f"Yours is right elsewhere, and wrong for {where}: read all numbers from the arguments, as len(z)."
    return also(right, hint, *arguments, idea="every size", unpack=unpack)


def normal(*shapes: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> list[np.ndarray]:
    """Arrays of normal numbers."""
    rng = np.random.default_rng(seed)
    return [scale * rng.normal(size=shape) for shape in shapes]
