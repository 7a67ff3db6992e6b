"""Pictures of the ideas. Each function draws on `ax` (or a new one) and returns it.

Colours mean the same everywhere: `TEACHER`, `STUDENT`, `LABEL` (hard labels), `GRADIENT` and `NEUTRAL`. `style` and
`theme` are the house style, for light and for dark; `label_lines`, `panels`, `one_scale` help with figures of your own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.arrows import graph
from kdlearn.backend import Array, to_numpy
from kdlearn.checks import check_count
from kdlearn.drawable import (
    check_apart,
    check_interval,
    check_line,
    check_logarithm,
    check_points,
    check_probabilities,
    class_names,
    one_row,
    rows_of_one_length,
    square_side,
)
from kdlearn.metrics import by_confidence, calibration_error, entropy
from kdlearn.nn.functional import softmax
from kdlearn.theme import (
    CYCLE,
    GRADIENT,
    LABEL,
    NEUTRAL,
    STUDENT,
    TEACHER,
    axes_of,
    diverging,
    ink,
    label_lines,
    one_scale,
    panels,
    sequential,
    style,
    theme,
)

__all__ = [
    "GRADIENT", "LABEL", "NEUTRAL", "STUDENT", "TEACHER", "accuracy_by_temperature", "curves", "diverging",
    "filters", "graph", "heatmap", "history", "image", "ink", "intervals", "label_lines", "one_scale", "panels",
    "probabilities", "pushes", "regions", "reliability", "sequential", "shares", "softened", "style",
    "temperature_paths", "theme",
]  # fmt: skip
MOST_NAMES = 8  # that find room beside their lines
DASHES, HATCHES = ("-", "--", ":", "-."), ("", "///", "...", "xxx")  # of the first, second, … round of the colours


def _plain(ax: Any) -> Any:
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _names(ax: Any) -> Any:
    """The names of lines beside them, where the figure makes room; in a legend, where it does not."""
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    if len(lines) <= MOST_NAMES and ax.figure.get_layout_engine() is not None:
        return label_lines(ax)
    ax.legend(frameon=False, fontsize=8, ncols=-(-len(lines) // 10))
    return ax


def probabilities(
    p: Sequence[float] | Array, names: Sequence[str] | None = None, color: str = TEACHER, ax: Any = None
) -> Any:
    """Bars of one row of class probabilities p (K,), with a name for each, or its number.

    ValueError for numbers below 0, or whose sum is not 1 up to a hundredth.
    """
    p = one_row(p, "p")
    names = class_names(names, [str(k) for k in range(len(p))])
    check_probabilities(p)
    ax = axes_of(ax)
    ax.bar(range(len(p)), p, color=ink(color, ax))
    ax.set_xticks(range(len(p)), names)
    ax.set(ylim=(0, 1), ylabel="probability")
    return _plain(ax)


def softened(z: Array, T: float, names: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Bars of softmax(z/T) for one row of logits z (K,), with T and the entropy, in nats, in the title."""
    row = one_row(z, "z")[None]
    ax = probabilities(softmax(row, T)[0], names, ax=ax)
    ax.set_title(f"T = {T:g}   entropy {abs(entropy(row, T)):.2f} nats", fontsize=10)  # no minus before a zero
    return ax


def temperature_paths(z: Array, names: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Each class's probability as T runs from 0.1 to 100, for one row of logits z (K,).

    More than ten classes are named where `names` are given; more than twenty cannot be told apart: ValueError.
    """
    row = one_row(z, "z")[None]
    labels = class_names(names, [f"class {k}" for k in range(row.shape[1])])
    if names is not None:
        check_apart(len(names), len(CYCLE) * len(DASHES), "named classes")
    ax, temperatures = axes_of(ax), np.geomspace(0.1, 100, 200)
    paths = np.array([softmax(row, T)[0] for T in temperatures])
    drawn: list[Any] = []  # colours
    for path, label in zip(paths.T, labels):
        (line,) = ax.plot(temperatures, path, label=label)
        line.set_linestyle(DASHES[drawn.count(line.get_color()) % len(DASHES)])
        drawn.append(line.get_color())
    ax.axhline(1 / row.shape[1], color=ink(NEUTRAL, ax), lw=1, ls=":")
    ax.set(xscale="log", xlabel="temperature T", ylabel="probability", ylim=(0, 1))
    return _plain(_names(ax) if names is not None or row.shape[1] <= 10 else ax)


def heatmap(
    values: Array, ax: Any = None, title: str = "", xlabel: str = "class", ylabel: str = "example", signed: bool = True
) -> Any:
    """A matrix as colours. Signed, as gradients and differences are: zero white, blue below and red above.

    Not signed, as probabilities are: from zero, white, to one or to the largest. What is NaN or infinite has no colour.
    """
    a = to_numpy(values).astype(float)  # of whole numbers of a byte -128 is its own absolute value
    if a.ndim != 2:
        raise ValueError(f"values must be a matrix, got shape {a.shape}")
    ax = axes_of(ax)
    a = np.where(np.isfinite(a), a, np.nan)
    limit = (float(np.nanmax(np.abs(a), initial=0)) or 1.0) if signed else float(np.nanmax(a, initial=1))
    scale = {"cmap": diverging(ax), "vmin": -limit} if signed else {"cmap": sequential(ax), "vmin": 0.0}
    image = ax.imshow(a, vmax=limit, aspect="auto", **scale)
    ax.figure.colorbar(image, ax=ax, shrink=0.85)
    ax.locator_params(integer=True)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return ax


def intervals(differences: Mapping[str, Any], ax: Any = None) -> Any:
    """Means with their 95 % intervals, one row each; grey where the interval holds zero."""
    for name, d in differences.items():
        check_interval(d, f"differences[{name!r}]")
    ax = axes_of(ax)
    for row, d in enumerate(differences.values()):
        color = ink(STUDENT if d.low > 0 or d.high < 0 else NEUTRAL, ax)
        ax.errorbar(d.mean, row, xerr=d.half_width, fmt="o", color=color, capsize=3)
    ax.axvline(0, color=ink(NEUTRAL, ax), lw=1)
    ax.set_yticks(range(len(differences)), list(differences))
    ax.set(ylim=(len(differences) - 0.5, -0.5))
    return _plain(ax)


def history(record: Any, *terms: str, ax: Any = None) -> Any:
    """Training (line) and validation (dashes) values of a `History`, by default the whole loss.

    `terms` are names, or beginnings of names, as a `History` takes them.
    """
    ax = axes_of(ax)
    epochs = range(1, len(record) + 1)
    for i, term in enumerate(terms or ("loss",)):
        ax.plot(epochs, record[term], color=f"C{i}", label=term)
        full = record.full_name(term)
        if full in record.records[0].get("validation", {}):
            ax.plot(epochs, record[full, "validation"], color=f"C{i}", ls="--", label=f"{term}, validation")
    ax.set(xlabel="epoch", ylabel="value")
    return _plain(_names(ax))


def reliability(z: Array, y: Array, bins: int = 10, ax: Any = None) -> Any:
    """Accuracy within each confidence bin; on the diagonal a network is as right as it believes."""
    ax = axes_of(ax)
    if np.isnan(calibration_error(z, y, bins)):  # which looks at shapes and labels, too
        raise ValueError("some rows have no probabilities: their largest logit is NaN or infinite")
    _, right, which = by_confidence(to_numpy(z), to_numpy(y), bins)
    filled = [b for b in range(bins) if (which == b).any()]
    heights = [right[which == b].mean() for b in filled]
    ax.bar([(b + 0.5) / bins for b in filled], heights, width=0.9 / bins, color=ink(STUDENT, ax))
    ax.plot([0, 1], [0, 1], color=ink(NEUTRAL, ax), ls=":")
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    return _plain(ax)


def regions(net: Any, x: Array, y: Array, ax: Any = None, title: str = "") -> Any:
    """A classifier of the plane as coloured regions, under points x (N, 2) with labels y (N,).

    A point has the colour of its label's region; labels are those of `net.classes_`, or 0 … K-1.
    """
    x, y = to_numpy(x), to_numpy(y)
    check_points(x, y)
    ax = axes_of(ax)
    (left, low), (right, high) = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
    a, b = np.meshgrid(np.linspace(left, right, 150), np.linspace(low, high, 150))
    grid = np.stack([a.ravel(), b.ravel()], axis=1).astype(np.float32)
    p = to_numpy(net.predict_proba(grid))
    K = p.shape[1]
    known = np.asarray(getattr(net, "classes_", np.arange(K)))
    same = y[:, None] == known
    if not same.any(axis=1).all():
        raise ValueError(f"y has the label {y[~same.any(axis=1)][0]!r}, the classes are {known.tolist()}")
    look = {"cmap": "Set2" if K <= 8 else "turbo", "vmin": -0.5, "vmax": K - 0.5}  # Set2 has eight colours
    if K == 2:
        look = {"cmap": sequential(ax), "vmin": 0, "vmax": 1}
        ax.contourf(a, b, p[:, 1].reshape(a.shape), levels=np.linspace(0, 1, 11), cmap=sequential(ax), alpha=0.8)
        ax.contour(a, b, p[:, 1].reshape(a.shape), levels=[0.5], colors=[ink(NEUTRAL, ax)])
    else:
        ax.contourf(a, b, p.argmax(axis=1).reshape(a.shape), levels=np.arange(K + 1) - 0.5, alpha=0.6, **look)
    ax.scatter(x[:, 0], x[:, 1], c=same.argmax(axis=1), edgecolor="black", lw=0.5, s=18, **look)
    ax.set(title=title, xticks=[], yticks=[])
    return ax


def image(pixels: Array, ax: Any = None, title: str = "") -> Any:
    """A square image from its flat pixels."""
    a = to_numpy(pixels)
    side = square_side(a.size, "the image")
    if a.shape not in ((a.size,), (1, a.size), (side, side)):
        raise ValueError(f"the image must be one image's pixels, got shape {a.shape}: give one row of them")
    ax = axes_of(ax)
    ax.imshow(a.reshape(side, side), cmap="gray_r")
    ax.set(title=title, xticks=[], yticks=[])
    return ax


def accuracy_by_temperature(
    by_temperature: Mapping[float, Any], baseline: Any, teacher: float | None = None, ax: Any = None
) -> Any:
    """Accuracy (percent) of distilled students against T, with a band for labels alone.

    `by_temperature` is {T: mean with its interval}, `baseline` another (`kd.study.interval`); `teacher` a number.
    """
    for t, found in by_temperature.items():
        check_interval(found, f"by_temperature[{t!r}]")
    check_interval(baseline, "baseline")
    ax, T = axes_of(ax), sorted(by_temperature)
    ax.axhspan(baseline.low, baseline.high, color=ink(LABEL, ax), alpha=0.2, lw=0)
    ax.axhline(baseline.mean, color=ink(LABEL, ax), label="student, labels alone")
    ax.errorbar(
        T,
        [by_temperature[t].mean for t in T],
        yerr=[by_temperature[t].half_width for t in T],
        fmt="o-",
        color=ink(STUDENT, ax),
        capsize=3,
        label="student, labels + soft targets",
    )
    if teacher is not None:
        ax.axhline(teacher, color=ink(TEACHER, ax), ls="--", label="teacher")
    ax.set_xscale("log", base=2)
    ax.set_xticks(T, [f"{t:g}" for t in T])
    ax.set(xlabel="temperature T of the soft targets", ylabel="test accuracy, %")
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=9)
    return _plain(ax)


def pushes(gradients: Mapping[str, Array], ax: Any = None) -> Any:
    """How descent moves one row's logits: bars of minus the gradient dz (K,), a group for each class.

    From the fourth gradient on bars have a pattern; more than twelve cannot be told apart: ValueError.
    """
    rows = {name: -row for name, row in rows_of_one_length(gradients).items()}
    colors = (LABEL, TEACHER, STUDENT)
    check_apart(len(rows), len(colors) * len(HATCHES), "gradients")
    ax, width = axes_of(ax), 0.8 / len(gradients)
    for i, (name, row) in enumerate(rows.items()):
        look = {"color": ink(colors[i % 3], ax), "hatch": HATCHES[i // 3], "edgecolor": "white", "lw": 0}
        ax.bar(np.arange(row.size) + (i + 0.5) * width - 0.4, row, width, label=name, **look)
        ax.set_xticks(range(row.size))
    ax.axhline(0, color=ink(NEUTRAL, ax), lw=1)
    ax.set(xlabel="class", ylabel="push on the logit")
    ax.legend(frameon=False, fontsize=8)
    return _plain(ax)


def curves(
    x: Sequence[float], lines: Mapping[str, Sequence[Any]], xlabel: str = "", ylabel: str = "", log: str = "",
    ax: Any = None,
) -> Any:  # fmt: skip
    """Named lines over one x; `log` names the axes that are logarithmic: "x", "y" or "xy".

    A line is made of numbers, or of means with an interval (`kd.study.interval`), which get a band. From the fifth
    line on they are dashed; more than sixteen cannot be told apart: ValueError. A logarithmic axis leaves out what is
    not above 0; ValueError where nothing is left of a line.
    """
    if log not in ("", "x", "y", "xy", "yx"):
        raise ValueError(f'log names the axes that are logarithmic, "x", "y" or "xy", got {log!r}')
    for name, values in lines.items():
        check_line(values, x, name)
        check_logarithm(x, values, log, name)
    colors = (LABEL, STUDENT, TEACHER, NEUTRAL)
    check_apart(len(lines), len(colors) * len(DASHES), "lines")
    ax = axes_of(ax)
    for i, (name, values) in enumerate(lines.items()):
        color = ink(colors[i % 4], ax)
        if len(values) and all(hasattr(v, "half_width") for v in values):
            ax.fill_between(x, [v.low for v in values], [v.high for v in values], color=color, alpha=0.2, lw=0)
            values = [v.mean for v in values]
        ax.plot(x, values, label=name, color=color, ls=DASHES[i // 4])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if "x" in log:
        ax.set_xscale("log")
        if len(x) <= 12:  # few values: each is a tick of its own, and none between them
            ax.set_xticks(x, [f"{v:g}" for v in x])
            ax.minorticks_off()
    if "y" in log:
        ax.set_yscale("log")
    return _plain(_names(ax) if len(lines) > 1 else ax)


def filters(W: Array, count: int = 32, columns: int = 8, ax: Any = None, title: str = "") -> Any:
    """What the first `count` units look for: columns of W (D, H), each as a square image, zero white."""
    check_count("count", count)
    check_count("columns", columns)
    a = to_numpy(W)
    if a.ndim != 2:
        raise ValueError(f"W must be a matrix (D, H), got shape {a.shape}")
    side, count, ax = square_side(a.shape[0], "a column of W"), min(count, a.shape[1]), axes_of(ax)
    rows = -(-count // columns)
    sheet = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), np.nan)
    for i in range(count):
        top, left = i // columns * (side + 1), i % columns * (side + 1)
        sheet[top : top + side, left : left + side] = a[:, i].reshape(side, side)
    limit = float(np.abs(a[:, :count]).max()) or 1.0
    ax.imshow(sheet, cmap=diverging(ax), vmin=-limit, vmax=limit)
    ax.set(title=title, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def shares(parts: Mapping[str, float], ax: Any = None) -> Any:
    """What each part takes of the whole, in percent, in the order given: one bar a part."""
    whole = sum(map(float, parts.values()))
    if not (0 < whole < np.inf and min(map(float, parts.values())) >= 0):
        raise ValueError(f"shares are of parts of at least 0 with a sum above 0, got {dict(parts)}")
    ax = _plain(axes_of(ax))
    percent = [100 * float(value) / whole for value in parts.values()]
    ax.barh(list(parts), percent, color=ink(STUDENT, ax))
    ax.invert_yaxis()
    ax.set_xlabel("share, %")
    return ax
