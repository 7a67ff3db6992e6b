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
class Odd:
    """Sizes and numbers at which a function can be wrong that is right elsewhere; each is asked at all of `ODD`.

    Numbers are whole 64ths, so that they are exact in float32, too.

    Parameters
    ----------
    idea, why : what the author of such a function is told; nothing else may be odd about the place.
    rows : N.
    widths : inputs, units and classes of a network; a layer has the first and the last of them.
    networks : whether a network alone is asked there; of one array, or of a layer, nothing is odd in it.
    scale : 0, for arrays of zeros.
    far : how far the rows lie from each other.
    """

    idea: str
    why: str
    rows: int = N
    widths: tuple[int, ...] = (D, H, K)
    scale: float = 1.0
    far: float = 0.0
    networks: bool = False

    @property
    def ends(self) -> tuple[int, int]:
        """The first width and the last."""
        return self.widths[0], self.widths[-1]

    def normal(self, *shape: int, seed: int = 0) -> np.ndarray:
        """Normal numbers of this shape."""
        return np.round(64 * self.scale * np.random.default_rng((seed, *shape)).normal(size=shape)) / 64

    def table(self, width: int, seed: int = 0) -> np.ndarray:
        """N rows of this width."""
        return self.normal(self.rows, width, seed=seed) + self.far * np.arange(self.rows)[:, None]

    def network(self) -> Layers:
        """A network of these widths."""
        sizes = zip(self.widths, self.widths[1:])
        return [(self.normal(n, out, seed=i), self.normal(out, seed=i)) for i, (n, out) in enumerate(sizes, 10)]

    def labels(self) -> np.ndarray:
        """A label for each row."""
        return np.arange(self.rows) % self.widths[-1]


FITS = "whether shapes fit says nothing there, so know which axis is which"
KEEP = "an axis of length one must stay"
AS_THEY_ARE = "large numbers count as they are"
ODD = (
    Odd("square arrays", FITS, 4, (4, 4, 4, 4)),
    Odd("equal widths", FITS, 5, (4, 4, 3), networks=True),
    Odd("one row", KEEP, 1),
    Odd("one column", KEEP, 5, (1, 1, 1)),
    Odd("one layer", "a network may have no hidden layer", 5, (4, 3), networks=True),
    Odd("one number", KEEP, 1, (1, 1)),
    Odd("two rows", "two rows are rows as others", 2),
    Odd("two columns", "two columns, or classes, have no rule of their own", 5, (2, 3, 2)),
    Odd("arrays of zeros", "nothing may be divided by zero, or left out because it is zero", scale=0.0),
    Odd(
        "rows far apart", f"{AS_THEY_ARE}, and what is taken from a row, such as its maximum, is the row's own", far=1e3
    ),
)


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
    odd : the arguments at one of the places `ODD`; None where there are none for it.
    unpack_odd : `unpack` for a network of so many layers.
    """

    right: Callable[..., Any]
    names: Sequence[str] = ()
    places: Sequence[Sequence[Any]] = ()
    slips: Slips = field(default_factory=dict)
    unpack: Callable[[Any], Any] | None = None
    case: Case | None = None
    ideas: Sequence[str] = ()
    more: Sequence[Callable[[Callable[..., Any]], None]] = ()
    odd: Callable[[Odd], Sequence[Any] | None] = lambda at: None
    unpack_odd: Callable[[int], Callable[[Any], Any]] = lambda layers: lambda found: found

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
        for at in ODD:
            self._oddly(function, at)
        self._defaults(function)

    def _oddly(self, function: Callable[..., Any], at: Odd) -> None:
        """A Verdict, where the function is not right at an odd place."""
        place = self.odd(at)
        if place is None or (at.networks and not isinstance(place[0], list)):
            return
        arrays = " and ".join(str(a.shape) for a in place if isinstance(a, np.ndarray) and a.ndim)
        where = f"widths {at.widths} and " * isinstance(place[0], list) + f"arrays {arrays}"
        hint = f"Yours is right elsewhere, and wrong for {where}: {at.why}."
        try:
            unpack = self.unpack_odd(len(at.widths) - 1)
            also(self.right, hint, *place, idea=at.idea, unpack=unpack, floor=1.0)(function)
        except Verdict as verdict:
            if verdict.review.idea:
                raise
            raise Verdict(at.idea, f"For {where}: {verdict.review.hint}.") from None

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
    floor: float = 1e-12,
) -> Callable[[Callable[..., Any]], None]:
    """What else must hold: for these arguments, too, the function returns what is right, and no NaN or floor.

    `floor` is the least size that a result is measured by.
    """

    def more(function: Callable[..., Any]) -> None:
        found, wanted = (unpack(call(one, *arguments)) for one in (function, right))
        pairs = list(zip(found, wanted)) if isinstance(wanted, tuple) else [(found, wanted)]
        alike = not isinstance(wanted, tuple) or len(found) == len(wanted)
        if not alike or not all(
            np.shape(a) == np.shape(b) and np.isfinite(a).all() and same(np.asarray(a), np.asarray(b), floor)
            for a, b in pairs
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
