"""What docs/hinton.md and README.md show of the rows in docs/evidence/hinton_2015.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from _pages.blocks import with_block

import kdlearn as kd
from kdlearn import hinton
from kdlearn.hinton.rows import SETTINGS
from kdlearn.hinton.table import SOURCES, by_teacher, errors, share, shown, table
from kdlearn.study import crossed

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "docs" / "evidence" / "hinton_2015.json"
PAGE, README, FIGURE = ROOT / "docs" / "hinton.md", ROOT / "README.md", ROOT / "docs" / "images" / "hinton.png"
HEADLINES = (
    "teacher",
    "teacher, twice as long",
    hinton.LABELS,
    hinton.MOVED,
    hinton.MOVED_DECAYED,
    hinton.SOFT,
    hinton.LIVE,
    f"{hinton.SOFT}, teacher twice as long",
    *(f"{name}{rule}" for name in hinton.MISSING for rule in ("", ", bias: test", ", bias: validation")),
)


def stored():
    return json.loads(EVIDENCE.read_text("utf-8"))


def fenced(text):
    return f"```text\n{text}\n```"


def headlines(rows):
    """The rows of the table that README.md shows."""
    lines = table(rows).splitlines()
    return fenced("\n".join([lines[0], *(line for line in lines if line[:50].strip() in HEADLINES)]))


def measured(rows):
    """What docs/hinton.md shows below: the table, the figure, what was chosen, what it cost, and where."""
    parts = [fenced(table(rows)), f"![{described(rows)}](images/{FIGURE.name})", chosen(rows), cost(rows)]
    return "\n\n".join(parts)


def sources(rows):
    """How much of the gap between labels and teacher each source closes, as a table."""
    found = errors(rows)
    lines = ["| the student learns from | errors | of the gap, % | teachers' own errors |", "|---" * 4 + "|"]
    lines += [f"| labels | {shown(found[hinton.LABELS])} | 0 | |"] if hinton.LABELS in found else []
    for name, words in SOURCES.items():
        if name in found:
            of = share(found, name)
            own = words.removeprefix("soft targets, ") if "soft targets, teacher" in words else "teacher"
            own = shown(found[own]) if "soft" in words else ""
            lines.append(f"| {words} | {shown(found[name])} | {of.mean:.0f} ± {of.half_width:.0f} | {own} |")
    return "\n".join(lines)


def chosen(rows):
    """Every candidate with its validation errors, and which one was taken."""
    cells = [row for row in rows if "validation" in row["result"] and not row["cell"].get("tested", True)]
    best = hinton.chosen([row["cell"] for row in cells], [row["result"] for row in cells])
    heads = ["chosen for", "T", "rate", "weight of the labels", "weight decay", "m of the mean of weights"]
    lines = [f"| {' | '.join(heads)} | validation errors | |", "|---" * (len(heads) + 2) + "|"]
    for row in cells:
        cell, name = row["cell"], row["cell"]["row"].removeprefix("choice: ")
        settings = [str(cell.get(key, "")) for key in SETTINGS]
        taken = best[name] == {key: cell[key] for key in SETTINGS if key in cell}
        lines.append(f"| {' | '.join([name, *settings, str(row['result']['validation'])])} | {'taken' * taken} |")
    return "\n".join(lines)


def cost(rows):
    """Minutes of a training, and the environments: read from the rows."""
    named: dict[str, list] = {}
    for row in rows:
        named.setdefault(row["cell"]["row"], []).append(row["result"])
    lines = ["| row | trainings | minutes each: median, longest |", "|---" * 3 + "|"]
    for name, results in named.items():
        minutes = [r["minutes"] for r in results]
        lines.append(f"| {name} | {len(results)} | {np.median(minutes):.1f}, {max(minutes):.1f} |")
    where = [json.dumps(row["result"]["environment"], sort_keys=True) for row in rows]
    lines.append(f"\nIn all {sum(r['result']['minutes'] for r in rows) / 60:.1f} hours of one core. Environment:\n")
    for text in sorted(set(where)):
        of = ", ".join(f"{key} {value}" for key, value in json.loads(text).items())
        lines.append(f"- {of} ({where.count(text)} trainings)")
    return "\n".join(lines)


def rounded(values):
    """Their interval, to digits that every NumPy agrees on."""
    found = crossed(by_teacher(values))
    return found._replace(mean=round(found.mean, 3), half_width=round(found.half_width, 3))


def by_width(rows):
    """{units of a layer: (interval of labels alone, {T: interval})}, of what is there, told by the first teacher."""
    found, widths = errors(rows), {}

    def told(name):
        return {key: value for key, value in found.get(name, {}).items() if key[1] in (0, None)}

    for width in (*hinton.WIDTHS, 800):
        alone = hinton.LABELS if width == 800 else f"{width} units, labels alone"
        name = "soft targets, T = {}" if width == 800 else f"{width} units, T = {{}}"
        heard = {T: told(name.format(T)) for T in hinton.TEMPERATURES}
        if alone in found and any(heard.values()):
            means = {T: rounded(values) for T, values in heard.items() if len(values) > 1}
            widths[width] = rounded(found[alone]), means
    return widths


def described(rows):
    widths = " and ".join(", ".join(str(width) for width in by_width(rows)).rsplit(", ", 1))
    return f"Test errors of the student against temperature, for {widths} units a layer, beside labels alone"


def draw(rows, path):
    """Errors against T, a panel a width: means with the interval of the seeds, a band for labels alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = by_width(rows)
    figure = Figure(figsize=(3.1 * len(found), 3.2), layout="constrained")
    axes = FigureCanvasAgg(figure).figure.subplots(1, len(found), squeeze=False)[0]
    for ax, (width, (alone, heard)) in zip(axes, found.items()):
        kd.plots.accuracy_by_temperature(heard, alone, ax=ax)
        ax.set(title=f"2 x {width} units", ylabel="", xlabel="temperature T")
        ax.get_legend().remove()
    axes[0].set(ylabel="test errors of 10,000")
    figure.savefig(path, dpi=110, metadata={"Software": None, "Description": json.dumps(found)})


def drawn(path):
    """The data that a figure says it shows."""
    from PIL import Image

    return json.loads(Image.open(path).text["Description"])


def with_rows(text, block):
    """A page with this block in the place of its rows."""
    return with_block(text, "rows", block)


def page(text, rows):
    """docs/hinton.md with its two blocks."""
    return with_rows(with_block(text, "sources", sources(rows)), measured(rows))
