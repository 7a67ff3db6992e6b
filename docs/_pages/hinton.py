"""What docs/hinton.md and README.md show of the rows in docs/evidence/hinton_2015.json."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from _pages.blocks import with_block
from _pages.towards import steps_of

import kdlearn as kd
from kdlearn import hinton
from kdlearn.hinton.names import readable
from kdlearn.hinton.rows import LABELS, LIVE, MANY, MOVED, MOVED_DECAYED, SOFT
from kdlearn.hinton.table import (
    PAPER,
    SOURCES,
    by_teacher,
    effect,
    errors,
    published,
    share,
    shown,
    steps,
    table,
    taught_by,
)
from kdlearn.hinton.towards import DESCENT, PLAIN, STEPS
from kdlearn.study import crossed

FEW = "3 % of the labels"
ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "docs" / "evidence" / "hinton_2015.json"
PAGE, README, FIGURE = ROOT / "docs" / "hinton.md", ROOT / "README.md", ROOT / "docs" / "images" / "hinton.png"
# what prose says, with the numbers of `facts` in it
TUNED = "Taught students that were tuned further, with weight decay too, make {steps} errors, {steps more} more."
HEAD = """\
**Of 10,000 test images soft targets save {saved} errors of labels alone ({teachers} teachers, {students} students
each); in the paper it is {paper saved}. But this gain needs no teacher. Students that learn from labels alone, on
images that are *moved* anew in each epoch, make {moved} errors, {fewer than moved} fewer than the taught
students; with weight decay as well they make {decayed}, {fewer} fewer. The teachers make {teacher}.**
{tuned}

The teacher learns from moved images, the paper's students from images that stand still. The paper itself says
that the soft targets carry what the teacher has learned from translations. So they do: students of teachers that
never saw a moved image make {without moved images} errors. Of the gap between labels and teacher soft targets
close {closed} % (paper: {paper closed} %), moved images without a teacher {closed by moved} %."""
LESSON = """\
The gap is always that between labels alone and the standard teacher, whoever taught the students.

*Moved images close the gap by themselves*, and with weight decay such students make {decayed} errors, the
teachers {teacher}. Soft targets carry what the teacher learned from its own moved images: without them its
students make {without moved images} errors, without moved images and dropout {without either}; labels alone make
{labels}. Without dropout alone it is {without dropout}. A teacher that saw no moved image is a worse teacher as
well ({own without moved images} errors), so the rows do not part what it knows of moved images from how good it
is. A student that hears a teacher *and* sees moved images makes {live} errors more than one with moved images and
labels{live word}.

*Several teachers.* Students of the mean of three teachers' logits make {many} errors, {many fewer} fewer than
students of one teacher{many word}. So the paper's {paper} is not reached by soft targets here. Labels on moved
images, with decay, reach it.

*Few images.* With 3 % of the images, and the labels of these, labels alone leave {few labels} errors, soft
targets {few taught}, moved images without a teacher {few moved}. The labels of the other images are unseen; the
teacher knew all."""
TEMPERATURE = """\
**Temperature.** The paper finds 2.5 to 4 clearly best for 30 units, and all T above 8 alike for 300 or more.
Three seeds are too few to say it here: of six such differences none is shown. Who asks six questions finds a
false difference more easily than who asks one, so each has to be clearer (Holm 1979). Asked alone, T = 2 is
{narrow 8} errors ahead of T = 8 with 30 units, in every seed; from T = 4 it is not told apart ({narrow 4}). So
the rows speak for a low T where the student is narrow, and do not say where the best one lies.

In the figure, blue points are students of the first teacher with their interval; the band is labels alone. So at
800 units and T = 20 the point is {first}; the table, with all five teachers, has {soft}. Each panel has its own
axis."""
HEADLINES = (
    "teacher",
    "teacher, twice as long",
    LABELS,
    MOVED,
    MOVED_DECAYED,
    SOFT,
    LIVE,
    f"{SOFT}, teacher twice as long",
    *(f"{name}{rule}" for name in hinton.MISSING for rule in ("", ", bias: test", ", bias: validation")),
)


def stored():
    return json.loads(EVIDENCE.read_text("utf-8"))


def fenced(text):
    return f"```text\n{text}\n```"


def headlines(rows):
    """The rows of the table that README.md shows."""
    return fenced(table(rows, only=HEADLINES))


def measured(rows):
    """What docs/hinton.md shows below: the table, the figure, what was chosen, what it cost, and where."""
    parts = [fenced(table(rows)), f"![{described(rows)}](images/{FIGURE.name})", chosen(rows), cost(rows)]
    return "\n\n".join(parts)


def sources(rows):
    """How much of the gap between labels and teacher each source closes, as a table."""
    found = errors(rows)
    lines = ["| the student learns from | errors | of the gap, % | teachers' own errors |", "|---" * 4 + "|"]
    lines += [f"| labels | {shown(found[LABELS])} | 0 | |"] if LABELS in found else []
    for name, words in SOURCES.items():
        if name in found:
            of = share(found, name)
            own = shown(found[taught_by(name)]) if taught_by(name) else ""
            lines.append(f"| {words} | {shown(found[name])} | {of.mean:.0f} ± {of.half_width:.0f} | {own} |")
    return "\n".join(lines)


def chosen(rows):
    """Every candidate with its validation errors, and which one was taken."""
    cells = [row for row in rows if row["cell"]["row"].startswith("choice: ")]
    best = hinton.chosen([row["cell"] for row in cells], [row["result"] for row in cells])
    heads = ["chosen for", "rate", "weight of the labels", "weight decay"]
    lines = [f"| {' | '.join(heads)} | validation errors | |", "|---" * (len(heads) + 2) + "|"]
    for row in cells:
        cell, name = row["cell"], row["cell"]["row"].removeprefix("choice: ")
        settings = [str(cell.get(key, "")) for key in ("rate", "hard", "decay")]
        taken = best[name] == {key: cell[key] for key in ("rate", "hard", "decay") if key in cell}
        lines.append(
            f"| {' | '.join([readable(name), *settings, str(row['result']['validation'])])} | {'taken' * taken} |"
        )
    return "\n".join(lines)


def cost(rows):
    """Minutes of a training, and the environments: read from the rows."""
    named: dict[str, list] = {}
    for row in rows:
        named.setdefault(row["cell"]["row"], []).append(row["result"])
    lines = ["| row | trainings | minutes each: median, longest |", "|---" * 3 + "|"]
    for name, results in named.items():
        minutes = [r["minutes"] for r in results]
        lines.append(f"| {readable(name)} | {len(results)} | {np.median(minutes):.1f}, {max(minutes):.1f} |")
    where = [json.dumps(row["result"]["environment"], sort_keys=True) for row in rows]
    hours = {there: sum(r["result"]["minutes"] for r in rows if ("gpu" in r["result"]["environment"]) == there) / 60
             for there in (False, True)}  # fmt: skip
    lines.append(f"\nIn all {hours[False]:.1f} hours of one core and {hours[True]:.1f} of a GPU. Environment:\n")
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
        alone = LABELS if width == 800 else f"{width} units, labels alone"
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


def picture(name):
    """A picture of measured.py with the words that it holds for those who cannot see it."""
    told = ET.parse(EVIDENCE.parent / f"{name}.svg").getroot().find("{*}desc").text
    return f"![{told}](evidence/{name}.svg)"


def unless_shown(difference):
    """What is said behind a difference whose interval reaches zero."""
    return ", which may be chance" if difference.low <= 0 else ""


def one_more(values):
    """Where one more run of a row lies in 95 % of cases: the mean of those there, ± t s sqrt(1 + 1/n)."""
    found = crossed(by_teacher(values))
    return found._replace(half_width=found.half_width * (found.n + 1) ** 0.5)


def facts(rows):
    """What prose says of the rows: {name: number, with half of its interval}. AssertionError where a claim falls."""
    found = errors(rows)
    said = {
        "saved": effect(found, LABELS, SOFT),
        "fewer": effect(found, SOFT, MOVED_DECAYED),
        "live": effect(found, LIVE, MOVED),
        "closed": share(found, SOFT),
        "closed by moved": share(found, MOVED),
        "many fewer": effect(found, SOFT, MANY),
        "fewer than moved": effect(found, SOFT, MOVED),
        "steps fewer": effect(found, SOFT, STEPS),
        "steps fewer than many": effect(found, MANY, STEPS),
        "steps over moved": effect(found, STEPS, MOVED),
        "steps more": effect(found, STEPS, MOVED_DECAYED),
        "narrow 4": effect(found, "30 units, T = 4", "30 units, T = 2"),
        "narrow 8": effect(found, "30 units, T = 8", "30 units, T = 2"),
        "few fewer": effect(found, f"{FEW}, T = 20", f"{FEW}, labels alone, moved images"),
        "first": crossed([[e for (_, m), e in found[SOFT].items() if m == 0]]),
        "new run": one_more(found[MOVED]),
    }
    assert said["saved"].low > 0, "soft targets help"
    assert said["fewer"].low > 0, "labels on moved images, with decay, need no teacher"
    assert said["fewer than moved"].low > 0, "nor without decay"
    assert "decay" in steps(rows)[1], "weight decay was kept for soft targets"
    assert said["steps more"].low > 0, "labels on moved images stay ahead of them"
    teachers, students = by_teacher(found[SOFT]).shape
    told = {
        "live word": unless_shown(said["live"]),
        "many word": unless_shown(said["many fewer"]),
        "fewer word": unless_shown(said["steps fewer"]),
        "mean word": unless_shown(said["steps fewer than many"]),
        "over word": unless_shown(said["steps over moved"]),
        "more word": unless_shown(said["steps more"]),
        "first mean": f"{said['first'].mean:.0f}",
        "soft mean": f"{np.mean(list(found[SOFT].values())):.0f}",
        "each": ", ".join(str(e) for e in sorted(found[MOVED].values())),
        "reached": "reached" if np.mean(list(found[STEPS].values())) <= PAPER[SOFT] else "not reached",
        **{name: f"{of.mean:.0f} ± {of.half_width:.0f}" for name, of in said.items()},
        "teacher": shown(found["teacher"]),
        "labels": shown(found[LABELS]),
        "soft": shown(found[SOFT]),
        "steps": shown(found[STEPS]),
        "plain": shown(found[PLAIN]),
        "descent": shown(found[DESCENT]),
        "few labels": shown(found[f"{FEW}, labels alone"]),
        "few taught": shown(found[f"{FEW}, T = 20"]),
        "few moved": shown(found[f"{FEW}, labels alone, moved images"]),
        "moved": shown(found[MOVED]),
        "decayed": shown(found[MOVED_DECAYED]),
        "many": shown(found[MANY]),
        "paper": PAPER[SOFT],
        **{how: shown(found[f"{SOFT}, teacher {how}"]) for how in hinton.LESS},
        **{f"own {how}": shown(found[f"teacher {how}"]) for how in hinton.LESS},
        "teachers": teachers,
        "students": students,
        "paper saved": -published(SOFT),
        "paper closed": f"{100 * published(SOFT) / published('teacher'):.0f}",
    }
    return told | {"tuned": TUNED.format(**told)}


def page(text, rows):
    """docs/hinton.md with its blocks."""
    told = facts(rows)
    blocks = {
        "head": HEAD.format(**told),
        "paper": picture("paper"),
        "sources": f"{picture('sources')}\n\n{sources(rows)}\n\n{LESSON.format(**told)}",
        "towards": steps_of(rows, told),
        "temperature": TEMPERATURE.format(**told),
        "rows": measured(rows),
    }
    for name, block in blocks.items():
        text = with_block(text, name, block)
    return text
