"""What docs/hinton.md says of the steps towards the paper's number."""

from __future__ import annotations

import json

import numpy as np

from kdlearn.hinton import towards
from kdlearn.hinton.rows import MOVED_DECAYED
from kdlearn.hinton.table import steps

WORDS = """\
**The steps towards {paper} end at {steps} errors: the paper's number is {reached}.** That is {steps fewer} fewer
than the {soft} of the soft targets above{fewer word}; {steps fewer than many} fewer than the {many} of the mean
of three teachers that was not tuned{mean word}; {steps over moved} more than labels on moved images{over word};
and {steps more} more than these with weight decay{more word}. All these students heard the same three teachers,
so the ± against labels leave out the luck of teachers.

{tried} settings were tried for these steps, {grid} of them in one grid, and {for labels} for labels on moved
images with weight decay. These did not close the gap to the latter; more might.

*The teachers.* Three learned by gradient descent with momentum, much as in the paper that the recipe comes from
(Hinton et al. 2012), for {epochs} epochs. Their errors: {descent}{equal}; those above make {teacher}. One run of
{rate epochs} epochs each chose their rate: {rates} made {rate errors} errors on the 10,000 validation images.

*The steps.* Each change below was tried with three students, on top of what was kept before it. It was kept where
their mean validation errors fell. Students that differ in their seeds alone differ by about {noise} validation
errors, a mean of three by {noise of mean}. So do many of the settings. Where the first choice lay on an edge, the
grid was widened. The student's gradient descent did best at the edge of its own grid; it was not kept, and not
widened. The students of what was kept read the test images: {kept}. Weight decay came
last, when the students without it had read the test images, too; they make {plain} errors."""
NAMES = {"hard": "weight of the labels", "decay": "weight decay", "average": "mean of the weights with m"}


def steps_of(rows, told):
    """Words, with the numbers of `facts`, and tables: mean validation errors; bold is what was kept."""
    first, kept, tried = steps(rows)
    said = {
        "equal": equal(rows),
        "epochs": towards.EPOCHS["teacher"],
        "rates": listed(towards.DESCENTS),
        "rate epochs": towards.EPOCHS["rate"],
        "rate errors": listed(first),
        "kept": in_words(kept),
    }
    return "\n".join(
        [WORDS.format(**told, **said, **settings_of_steps(rows)), "", *grid_of(tried), "", *changes_of(tried)]
    )


def settings_of_steps(rows):
    """How many settings were tried, and how far apart their students lie: for prose."""
    tried = steps(rows)[2]
    noise = between_seeds(rows, tried)
    return {
        "tried": len(tried),
        "grid": sum(setting["change"] == next(iter(towards.CHANGES)) for setting in tried),
        "for labels": sum(row["cell"]["row"] == f"choice: {MOVED_DECAYED}" for row in rows),
        "noise": f"{noise:.0f}",
        "noise of mean": f"{noise / 3**0.5:.0f}",
    }


def between_seeds(rows, tried):
    """How far students of one setting lie apart: the deviation of their validation errors, over all settings."""
    found: dict[str, list] = {}
    for row in rows:
        cell = row["cell"]
        if cell["row"].startswith("step: ") and "T" in cell:
            found.setdefault(json.dumps({**cell, "seed": 0, "teacher": 0}), []).append(row["result"]["validation"])
    threes = np.array(list(found.values()))
    assert np.allclose(sorted(threes.mean(axis=1)), sorted(setting["validation"] for setting in tried))
    return float(np.sqrt(threes.var(axis=1, ddof=1).mean()))


def equal(rows):
    """What is said of teachers that make the same number of errors."""
    found = [row["result"] for row in rows if row["cell"]["row"] == towards.DESCENT]
    if len({result["errors"] for result in found}) > 1:
        return ""
    assert len({str(result["by class"]) for result in found}) == len(found), "they are not the same teacher"
    return " (the same number by chance: class by class they differ)"


def grid_of(tried):
    """The first step, as a table: rates side by side."""
    grid = [row for row in tried if row["change"] == next(iter(towards.CHANGES))]
    rates = sorted({row["rate"] for row in grid})
    found = {(row["T"], row["hard"], row["rate"]): row for row in grid}
    lines = [f"| T | weight of the labels | {' | '.join(f'rate {rate}' for rate in rates)} |"]
    lines.append("|---" * (2 + len(rates)) + "|")
    for T, hard in sorted({(row["T"], row["hard"]) for row in grid}):
        lines.append(f"| {T} | {hard} | {' | '.join(mean_of(found.get((T, hard, rate))) for rate in rates)} |")
    return lines


def changes_of(tried):
    """The other steps."""
    lines = ["| then | setting | errors |", "|---" * 3 + "|"]
    for row in tried:
        if row["change"] != next(iter(towards.CHANGES)):
            setting = ", ".join(f"{key} {value}" for key, value in row.items() if key in ("rate", "epochs", "decay"))
            setting += f"m = {row['average']}" if "average" in row else ""
            lines.append(f"| {row['change']} | {setting} | {mean_of(row)} |")
    return lines


def in_words(kept):
    """The settings that were kept, as a phrase."""
    said = [f"{NAMES.get(key, key)} {value}" for key, value in kept.items() if key != "epochs" and value is not True]
    said += ["the mean of three teachers"] * bool(kept.get("others"))
    return ", ".join(said + ["pixels of mean 0 and deviation 1"] * bool(kept.get("standardized")))


def listed(values):
    """Numbers in a sentence."""
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}"


def mean_of(row):
    """The mean of a setting's errors, bold where it was kept; nothing where it was not tried."""
    mark = "**" if row and row["kept"] else ""
    return f"{mark}{row['validation']:.1f}{mark}" if row else ""
