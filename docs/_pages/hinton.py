"""What docs/hinton.md and README.md show of the rows in docs/evidence/hinton_2015.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from _pages.blocks import with_block

import kdlearn as kd
from kdlearn import hinton
from kdlearn.commands import hinton as command

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "docs" / "evidence" / "hinton_2015.json"
PAGE, README, FIGURE = ROOT / "docs" / "hinton.md", ROOT / "README.md", ROOT / "docs" / "images" / "hinton.png"
HEADLINES = (
    "teacher",
    "teacher, twice as long",
    hinton.LABELS,
    hinton.SOFT,
    f"{hinton.SOFT}, teacher twice as long",
    *(f"{name}{rule}" for name in hinton.MISSING for rule in ("", ", bias: test", ", bias: validation")),
)


def stored():
    return json.loads(EVIDENCE.read_text("utf-8"))


def fenced(text):
    return f"```text\n{text}\n```"


def headlines(rows):
    """The rows of the table that README.md shows."""
    lines = command.table(rows).splitlines()
    return fenced("\n".join([lines[0], *(line for line in lines if line[:45].strip() in HEADLINES)]))


def measured(rows):
    """What docs/hinton.md shows: the table, the figure, what was chosen, what it cost, and where."""
    parts = [fenced(command.table(rows)), f"![{described(rows)}](images/{FIGURE.name})", chosen(rows), cost(rows)]
    return "\n\n".join(parts)


def chosen(rows):
    """Every candidate with its validation errors, and which one was taken."""
    cells = [row for row in rows if "validation" in row["result"] and not row["cell"].get("tested", True)]
    best = hinton.chosen([row["cell"] for row in cells], [row["result"] for row in cells])
    lines = ["| chosen for | rate | weight of the labels | weight decay | validation errors | |", "|---" * 6 + "|"]
    for row in cells:
        cell, name = row["cell"], row["cell"]["row"].removeprefix("choice: ")
        settings = [str(cell.get(key, "")) for key in ("rate", "hard", "decay")]
        taken = best[name] == {key: cell[key] for key in ("rate", "hard", "decay") if key in cell}
        lines.append(f"| {' | '.join([name, *settings, str(row['result']['validation'])])} | {'taken' * taken} |")
    return "\n".join(lines)


def cost(rows):
    """Minutes of a training, the share of the jitter, the environments: read from the rows."""
    named: dict[str, list] = {}
    for row in rows:
        named.setdefault(row["cell"]["row"], []).append(row["result"])
    lines = ["| row | trainings | minutes each: median, longest | of this for moving images |", "|---" * 4 + "|"]
    for name, results in named.items():
        minutes = [r["minutes"] for r in results]
        shares = ", ".join(f"{100 * r['share of jitter']:.1f} %" for r in results if "share of jitter" in r)
        lines.append(f"| {name} | {len(results)} | {np.median(minutes):.1f}, {max(minutes):.1f} | {shares} |")
    where = [json.dumps(row["result"]["environment"], sort_keys=True) for row in rows]
    lines.append(f"\nIn all {sum(r['result']['minutes'] for r in rows) / 60:.1f} hours of one core. Environment:\n")
    for text in sorted(set(where)):
        of = ", ".join(f"{key} {value}" for key, value in json.loads(text).items())
        lines.append(f"- {of} ({where.count(text)} trainings)")
    return "\n".join(lines)


def by_width(rows):
    """{units of a layer: (errors of labels alone, {T: errors})}, of what is there."""
    table, found = command.errors(rows), {}
    for width in (*hinton.WIDTHS, 800):
        alone = hinton.LABELS if width == 800 else f"{width} units, labels alone"
        name = "soft targets, T = {}" if width == 800 else f"{width} units, T = {{}}"
        heard = {T: list(table[name.format(T)].values()) for T in hinton.TEMPERATURES if name.format(T) in table}
        if alone in table and heard:
            found[width] = list(table[alone].values()), heard
    return found


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
        means = {T: kd.study.interval(errors) for T, errors in heard.items() if len(errors) > 1}
        kd.plots.accuracy_by_temperature(means, kd.study.interval(alone), ax=ax)
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
