"""What helps: the catalogue's rows as a page, a figure, and one verdict a method."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from statistics import median

from _pages.blocks import MINUS, NO_BREAK

from kdlearn import plots
from kdlearn.catalogue.measured.arm import METHODS
from kdlearn.catalogue.measured.study import BASELINES, GRID, REPEATS, SEARCH, families, judged
from kdlearn.catalogue.measured.tasks import TASKS
from kdlearn.study import interval

EVIDENCE = Path(__file__).resolve().parents[1] / "evidence"
ROWS, PAGE = EVIDENCE / "catalogue.json", EVIDENCE / "what_helps.md"
TIMES = "\N{MULTIPLICATION SIGN}"
COLORS = {"helps": plots.LABEL, "hurts": plots.TEACHER, "equal": plots.STUDENT, "not shown": plots.NEUTRAL}


def stored():
    return json.loads(ROWS.read_text("utf-8"))


def figure(task):
    """The file of a task's forest plot."""
    return EVIDENCE.parent / "images" / f"what_helps_{task}.svg"


def found(data):
    """`(task, family, method, baseline, Verdict)` of every comparison, table by table."""
    rows = []
    for task, measured in data["tasks"].items():
        for family in ("baselines", *BASELINES):
            for (name, baseline), verdict in judged(measured, family).items():
                rows.append((task, family, name, baseline, verdict))
    return rows


def words(data):
    """{recipe: its verdict against tuned labels on each task}, for docs/methods.md."""
    told = {}
    for task, _, name, baseline, verdict in found(data):
        if baseline == "labels":
            told.setdefault(name, []).append((task, verdict.word))
    by_recipe = {}
    for method in METHODS.values():
        if method.name in told:
            text = ", ".join(f"{task} {word}" for task, word in told[method.name])
            soft = method.name.endswith(", on soft targets")
            for recipe in method.covers:
                by_recipe.setdefault(recipe, []).append(f"on soft targets: {text}" if soft else text)
    return {recipe: "; ".join(texts) for recipe, texts in by_recipe.items()}


def signed(d, digits=1):
    return f"{d.mean:+.{digits}f}{NO_BREAK}±{NO_BREAK}{d.half_width:.{digits}f}".replace("-", MINUS)


def setting(row):
    """What was chosen; a rate of 1 and the long training go without saying."""
    told = []
    for k, v in row["chosen"].items():
        if k == "epochs":
            told += ["short"] if v == 0 else []
        elif k != "rate" or v != 1 or k in row["edges"]:
            told.append(f"{k} {float(f'{v:.3g}'):g}" + "\\*" * (k in row["edges"]))
    return ", ".join(told)


def joined(names):
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def opening(rows):
    """The page's first paragraph."""

    def say(tasks, baseline, word):
        asked = [r for r in rows if r[1] != "baselines" and r[0] in tasks and r[3] == baseline]
        return f"{sum(r[4].word == word for r in asked)} of {len(asked)}"

    (soft,) = [r[4].difference for r in rows if r[0] == "noise" and r[2] == "soft targets" and r[3] == "labels"]
    won = [f"{name} on {task}" for task, _, name, b, v in rows
           if b == "soft targets" and v.word == "helps" and task != "noise" and name != "labels"]  # fmt: skip
    return (
        "**Where the teacher knows more than the student, plain soft targets with a tuned temperature are hard to "
        f"beat:** in {say(('digits', 'clothes'), 'soft targets', 'helps')} comparisons with them a method helps"
        + (f" ({'; '.join(won)})" if won else "")
        + f", in {say(('digits', 'clothes'), 'soft targets', 'hurts')} it hurts. Against labels alone, tuned as long, "
        f"methods help in {say(('digits', 'clothes'), 'labels', 'helps')}. "
        "Where the teacher learned the same wrong labels, "
        f"soft targets themselves show no gain over labels ({signed(soft)} points), and "
        f"in {say(('noise',), 'labels', 'helps')} comparisons with labels a method helps."
    )


def surprises(data):
    """What one would not have guessed, with its numbers."""
    judged_ = {(task, name, b): v for task, _, name, b, v in found(data)}

    def gap(task, name, b="labels"):
        v = judged_[task, name, b]
        return f"{signed(v.difference)} ({v.word})"

    noise, twin, peers = "labels with noise on the inputs", "a teacher of the student's size", "mutual learning (DML)"
    alike, beside = "similarity preserving", "similarity preserving, on soft targets"
    over = {name: v for (task, name, b), v in judged_.items()
            if (task, b) == ("digits", "soft targets") and METHODS[name].family != "baselines"}  # fmt: skip
    won = [name for name, v in over.items() if v.word == "helps"]
    best = max(over, key=lambda name: over[name].difference.mean)
    loose = max(over, key=lambda name: cost_in_nats(data, name).mean)
    return [
        "## What surprised",
        "",
        f"- *On digits noise on the inputs is the strongest baseline without a teacher*: {gap('digits', noise)}. "
        f"With wrong labels it adds {gap('noise', noise)}, on clothes {gap('clothes', noise)}.",
        f"- *With wrong labels little helps* beside labels whose rate, length and decay are tuned: "
        f"{helped(data, 'noise')}.",
        f"- *{joined(won) if won else 'No method'} is shown to beat soft targets on digits*, all tuned alike. "
        f"The best, {best}, differs by {gap('digits', best, 'soft targets')}.",
        f"- *Accuracy was tuned, log-loss was not*: {loose} differs from soft targets by "
        f"{gap('digits', loose, 'soft targets')} points, and its log-loss by "
        f"{signed(cost_in_nats(data, loose), 2)} nats.",
        "- *A teacher of the student's size* teaches clothes better than the large one: "
        f"{gap('clothes', twin, 'soft targets')}. On digits it is {gap('digits', twin, 'soft targets')}.",
        f"- *Features and relations help labels on digits*: {gap('digits', alike)} for similarity. On top of soft "
        f"targets the same loss adds {gap('digits', beside, 'soft targets')}.",
        f"- *Peers without a teacher* gain less on digits than noise on the inputs does: mutual learning "
        f"{gap('digits', peers)} on digits, {gap('clothes', peers)} on clothes, "
        f"{gap('noise', peers)} with wrong labels.",
    ]


def helped(data, task):
    """How many methods of a task help against labels, in words."""
    all_of = [
        (name, v.word) for t, kind, name, b, v in found(data) if (t, b) == (task, "labels") and kind != "baselines"
    ]
    names = [name for name, word in all_of if word == "helps"]
    return f"{len(names)} of {len(all_of)} rows do" + (f": {joined(names)}" if names else "")


def cost_in_nats(data, name, task="digits"):
    """How much larger a method's log-loss is than that of soft targets."""
    own, soft = (data["tasks"][task][n]["test"]["nll"] for n in (name, "soft targets"))
    return interval([a - b for a, b in zip(own, soft)])


def page(data):
    rows = found(data)
    text = [
        "# What helps",
        "",
        opening(rows),
        "",
        f"A picture and tables for each task: {joined([f'[{task}](#{task})' for task in data['tasks']])}. "
        "Each number is in points of test accuracy: the mean of the paired differences over 10 seeds, and its 95 % "
        "interval.",
        "",
        *how(data),
        "",
        "**What it does not show.** Multilayer perceptrons with two hidden layers, three tasks, one size each. "
        "A method made for convolutions or for a larger scale may do better there.",
        "",
        "```sh",
        "python -m kdlearn catalogue --method DKD --task digits     # any row anew",
        "python -m kdlearn catalogue                                # all of them",
        "```",
    ]
    for task, measured in data["tasks"].items():
        base = ", ".join(f"{b} {interval(measured[b]['test']['accuracy']).mean:.1f}{NO_BREAK}%" for b in
                         ("labels", "smoothed labels", "labels with noise on the inputs", "soft targets"))  # fmt: skip
        line = TASKS[task].line
        line = line if line.startswith("scikit") else line[0].upper() + line[1:]
        text += ["", f"## {task.capitalize()}", "", f"{line}. Tuned baselines: {base}."]
        text += ["", f"![Paired differences to tuned labels on {task}, method by method, the best above; the same "
                 f"numbers stand in the tables below.](../images/{figure(task).name})"]  # fmt: skip
        text += ["", f"The grey strip is the zone of ±{data['zone']:g} points in which nothing is claimed."]
        for family in BASELINES:
            text += table(measured, family, task)
    text += ["", *surprises(data), "", *notes(data)]
    return "\n".join(text) + "\n"


def edges(data):
    """How many choices still lie on an edge."""
    starred = {(task, name): bool(row["edges"]) for task, rows in data["tasks"].items() for name, row in rows.items()}
    own = sum(star for (_, name), star in starred.items() if METHODS[name].family == "baselines")
    return f"{sum(starred.values())} of {len(starred)} arms, {own or 'none'} of the baselines"


def how(data):
    """The protocol."""
    text = [
        f"**How it was measured.** Every method and every baseline tries {GRID + SEARCH} settings: {GRID} of a grid, "
        "then neighbours of its best, inside the grid and beyond its edges, then values half-way between "
        "([the search](../../kdlearn/study/around.py)). All of them tune weight decay, rate and length of the training "
        "beside their own values. Validation rows choose, test rows are read once. The verdict counts all comparisons "
        "of its table ([the rule](../../kdlearn/study/intervals.py)). A rate is a factor of the task's; *short* is a "
        f"third of the training. A star marks a value on the edge of what was tried: {edges(data)}.",
    ]
    if costs := [row["cost"] for rows in data["tasks"].values() for row in rows.values() if "cost" in row]:
        spread = median((max(c) - min(c)) / median(c) for c in costs)
        text += [
            "",
            "**Time** is the CPU time of a training over that of labels: the median of "
            f"{REPEATS} turns in one process on one thread, ten students in a stack, the teachers' answers known "
            f"before. Other work ran beside it; in the middle row the turns spread by {100 * spread:.0f}{NO_BREAK}%. "
            "With networks so small, much of it is Python's own work.",
        ]
    return text


def table(measured, family, task):
    verdicts = judged(measured, family)
    names = list(dict.fromkeys(name for name, _ in verdicts))
    if not names:
        return []
    head = "".join(f" against {b} | verdict |" for b in BASELINES[family])
    timed = any("cost" in measured[name] for name in names)
    lines = [
        "",
        f"### {family.capitalize()}: {task}",
        "",
        f"| method | accuracy |{head} log-loss | agreement |{' time |' * timed} chosen |",
    ]
    lines += ["|---|---|" + "---|---|" * len(BASELINES[family]) + "---|---|---|" + "---|" * timed]
    labels = measured["labels"]["test"]
    order = sorted(names, key=lambda n: -verdicts[n, BASELINES[family][0]].difference.mean)
    for name in order:
        test = measured[name]["test"]
        cells = []
        for b in BASELINES[family]:
            v = verdicts[name, b]
            cells.append(f" {signed(v.difference)} | {v.word} |")
        time = f" {TIMES}{median(measured[name]['cost']):.1f} |" if timed else ""
        nll = interval([a - b for a, b in zip(test["nll"], labels["nll"])])
        agree = interval(test["agreement"]).mean
        lines.append(
            f"| {name} | {interval(test['accuracy']).mean:.1f} |{''.join(cells)} "
            f"{signed(nll, 2)} | {agree:.1f}{NO_BREAK}% |{time} {setting(measured[name])} |"
        )
    return lines


def notes(data):
    """Where a method is measured on part of the tasks, or its idea is gone."""
    seen = {name for measured in data["tasks"].values() for name in measured}
    told = {}
    for method in METHODS.values():
        if method.note and method.name in seen and not method.name.endswith(", on soft targets"):
            told[method.name] = method.note
    return ["## Notes", "", *(f"- {name}: {note}." for name, note in told.items())]


def draw(data, task, path):
    """A task's forest plot, as wide as a phone: methods sorted by their effect."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    own = sorted((r for r in found(data) if r[0] == task and r[3] == "labels"), key=lambda r: r[4].difference.mean)
    with plt.rc_context({"svg.hashsalt": "kdlearn", "font.size": 9, "svg.fonttype": "none"}):
        fig, ax = plt.subplots(figsize=(5.2, 0.17 * len(own) + 1), layout="constrained")
        for i, (*_, v) in enumerate(own):
            d = v.difference
            ax.plot([d.low, d.high], [i, i], color=COLORS[v.word], lw=1.2)
            ax.plot(d.mean, i, "o", color=COLORS[v.word], ms=3)
        ax.axvspan(-data["zone"], data["zone"], color=plots.NEUTRAL, alpha=0.2, lw=0)
        ax.axvline(0, color=plots.NEUTRAL, lw=0.6)
        ax.set_yticks(range(len(own)), [r[2] for r in own])
        ax.set(xlabel=f"points over tuned labels, {task}", ylim=(-1, len(own)))
        ax.spines[["top", "right"]].set_visible(False)
        for word in dict.fromkeys(v.word for *_, v in reversed(own)):
            ax.plot([], [], "o-", color=COLORS[word], ms=3, label=word)
        ax.legend(loc="lower right", frameon=False)
        fig.savefig(path, metadata={"Date": None, "Description": json.dumps(numbers(data, task))})
        plt.close(fig)


def numbers(data, task):
    """What a figure shows, to tell whether it is up to date."""
    return [[n, v.word, round(v.difference.mean, 3), round(v.difference.half_width, 3)]
            for t, _, n, b, v in found(data) if (t, b) == (task, "labels")]  # fmt: skip


def drawn(path):
    """The numbers that a figure says it shows."""
    if not path.exists():
        return None
    text = re.search(r"<dc:description>(.*?)</dc:description>", path.read_text("utf-8"), re.S)
    return json.loads(html.unescape(text[1]))


def rows_that_are_missing(data):
    """(task, method) that belongs into the rows and is not there."""
    return [(task, m.name) for those in families().values() for m in those for task in m.tasks
            if m.name not in data["tasks"].get(task, {})]  # fmt: skip
