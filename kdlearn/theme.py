"""One house style for every figure: colours for light and for dark, direct labels, one scale a row.

    with kd.plots.style(dark=True):
        ax = kd.plots.curves(T, {"student": accuracy})

`plt.rcParams.update(kd.plots.theme())` sets it for a whole notebook. Matplotlib is imported when it is needed.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

TEACHER, STUDENT, LABEL, NEUTRAL, GRADIENT = "#c2410c", "#1d4ed8", "#047857", "#6b7280", "#a21caf"
# The same colours on a dark ground; docs/diagrams/draw.py has both.
ON_DARK = {TEACHER: "#fb923c", STUDENT: "#8ab4ff", LABEL: "#34d399", NEUTRAL: "#a3acba", GRADIENT: "#e879f9"}
CYCLE = (LABEL, STUDENT, TEACHER, NEUTRAL, GRADIENT)
GROUND, INK = ("#ffffff", "#1d2025"), ("#1f2937", "#e5e7eb")  # in light, in dark


def theme(dark: bool = False) -> dict[str, Any]:
    """The style as Matplotlib's settings, for `plt.rcParams.update`."""
    ground, ink = GROUND[dark], INK[dark]
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), ground),
        **dict.fromkeys(inked, ink),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
        "axes.prop_cycle": pyplot().cycler(color=[ON_DARK[c] if dark else c for c in CYCLE]),
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "legend.fontsize": 8,
        "figure.constrained_layout.use": True,
    }


@contextlib.contextmanager
def style(dark: bool = False) -> Iterator[None]:
    """Figures that are made inside are in the house style, on a light or on a dark ground."""
    settings, own = pyplot().rcParams, theme(dark)
    before = {name: settings[name] for name in own}
    settings.update(own)
    try:
        yield
    finally:  # these alone: rc_context would also undo what a backend sets when its first figure is made
        settings.update(before)


def pyplot() -> Any:
    """Matplotlib's pyplot, or an ImportError that says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plotting needs matplotlib: pip install matplotlib") from error
    return plt


def is_dark(ax: Any = None) -> bool:
    """Whether `ax`, or a new figure, has a dark ground."""
    from matplotlib.colors import to_rgb

    ground = ax.get_facecolor() if ax is not None else pyplot().rcParams["axes.facecolor"]
    return sum(to_rgb(ground)) < 1.5


def ink(color: str, ax: Any = None) -> str:
    """A colour as it can be read on the ground of `ax`: the house's colours are lighter on a dark one."""
    return ON_DARK.get(color, color) if is_dark(ax) else color


def sequential(ax: Any = None) -> Any:
    """The colour map of probabilities, and of whatever begins at zero: zero is the ground."""
    return _map("sequential", ["#1d2025", "#2f8f92", "#e6fffb"] if is_dark(ax) else ["#ffffff", "#5aa9ad", "#0b3c49"])


def diverging(ax: Any = None) -> Any:
    """The colour map of signed quantities: zero is the ground, blue is below it, red above."""
    return _map("diverging", [ON_DARK[STUDENT], GROUND[True], ON_DARK[TEACHER]]) if is_dark(ax) else "RdBu_r"


def _map(name: str, colors: list[str]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, colors)


def axes_of(ax: Any) -> Any:
    """`ax`, or the axes of a new figure where there is none."""
    if ax is not None:
        return ax
    with style(is_dark()):
        return pyplot().subplots(figsize=(5, 3.2))[1]


def label_lines(ax: Any, gap: float = 11.0) -> Any:
    """Each line's name at its end and in its colour, in place of a legend; names are at least `gap` points apart.

    They find their places when the figure is drawn, so limits may still change. Names need room on the right:
    a figure with a layout, such as `plt.subplots(layout="constrained")`, makes it.
    """
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_") and len(line.get_xdata())]
    lines = [line for line in lines if _drawn(line, ax).any()]
    ends = [tuple(np.column_stack(line.get_data(orig=False))[_drawn(line, ax)][-1].tolist()) for line in lines]
    names = []
    for i, line in enumerate(lines):
        place = functools.partial(_beside, ax=ax, ends=ends, i=i, gap=gap)
        look = {"va": "center", "color": line.get_color(), "fontsize": 8}
        names.append(ax.annotate(line.get_label(), ends[i], (0, 0), textcoords=place, **look))
    legend = ax.legend()  # the names stand for it: who removes it, removes them
    legend.set_visible(False)
    removed = legend.remove

    def remove() -> None:
        for artist in names:
            artist.remove()
        removed()

    legend.remove = remove
    return ax


def _drawn(line: Any, ax: Any) -> np.ndarray:
    """(N,) which points of a line have a place: a training that diverged ends in NaN, and a logarithm has no zero."""
    x, y = (np.asarray(values, float) for values in line.get_data(orig=False))
    return np.isfinite(x + y) & ((y > 0) | (ax.get_yscale() != "log")) & ((x > 0) | (ax.get_xscale() != "log"))


def _beside(renderer: Any, ax: Any, ends: list[tuple[float, float]], i: int, gap: float) -> Any:
    """Where the i-th name goes: beside its line's end, moved up or down as far as the others ask."""
    from matplotlib.transforms import Affine2D

    point = ax.figure.dpi / 72
    places = ax.transData.transform(ends)
    order = places[:, 1].argsort(kind="stable")
    heights: list[float] = []
    for own in places[order, 1]:
        heights.append(max(own, heights[-1] + gap * point) if heights else own)
    lift = sum(heights) / len(heights) - places[:, 1].mean()  # as much down as up
    return Affine2D().translate(places[i, 0] + 5 * point, heights[list(order).index(i)] - lift)


def panels(count: int, width: float = 3.0, height: float = 2.6) -> Any:
    """A row of `count` axes with one scale: what stands side by side can be compared."""
    figure = pyplot().figure(figsize=(count * width, height), layout="constrained")
    return figure.subplots(1, count, sharey=True, squeeze=False)[0]


def one_scale(*axes: Any) -> None:
    """The same heights, and the same colours for the same numbers, in axes that were drawn one by one."""
    images = [image for ax in axes for image in ax.images]
    if images:
        limits = [image.get_clim() for image in images]
        for image in images:
            image.set_clim(min(low for low, _ in limits), max(high for _, high in limits))
        return
    low, high = zip(*(sorted(ax.get_ylim()) for ax in axes))
    for ax in axes:
        ends = min(low), max(high)
        ax.set_ylim(ends[::-1] if ax.yaxis_inverted() else ends)
