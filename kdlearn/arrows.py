"""A computational graph as a picture; `kdlearn.plots` has it beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kdlearn.theme import GRADIENT, NEUTRAL, axes_of


def graph(
    places: Mapping[str, tuple[float, float]],
    values: Mapping[str, float],
    edges: Mapping[tuple[str, str], float],
    ax: Any = None,
) -> Any:
    """A computational graph: the values on their way forward, and in purple the gradients on their way back.

    Parameters
    ----------
    places : where the box of each value stands, {name: (x, y)}.
    values : what each box holds, {name: number}.
    edges : {(from, to): gradient that comes back along this arrow}. Below a box stands the sum of what comes
        back to it.

    ValueError for an edge to or from a box without a place, and for a box without a value.
    """
    for edge in edges:
        for name in edge:
            if name not in places:
                raise ValueError(f"the edge {edge} names {name!r}, which has no place: places has {list(places)}")
    if missing := [name for name in places if name not in values]:
        raise ValueError(f"values has no number for {missing[0]!r}: give one for each of the places")
    ax = axes_of(ax)
    box = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": NEUTRAL}
    for name, (x, y) in places.items():
        ax.text(x, y, f"{name} = {values[name]:.2f}", ha="center", va="center", bbox=box, zorder=3, fontsize=9)
        back = [g for (start, _), g in edges.items() if start == name]
        if back:
            ax.text(
                x, y - 0.3, f"{sum(back):+.2f}", ha="center", va="center", color=GRADIENT, weight="bold", fontsize=9
            )
    for (start, end), g in edges.items():
        a, b = np.array(places[start]), np.array(places[end])
        ax.annotate("", b, a, arrowprops={"arrowstyle": "->", "color": NEUTRAL, "shrinkA": 28, "shrinkB": 28})
        label = {"fc": "white", "ec": "none", "pad": 0.5}
        ax.text(*(a + b) / 2, f"{g:+.2f}", ha="center", va="center", color=GRADIENT, bbox=label, fontsize=8)
    x, y = np.array(list(places.values())).T
    ax.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.min() - 0.6, y.max() + 0.4))
    ax.axis("off")
    return ax
