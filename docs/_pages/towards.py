"""What docs/hinton.md says of the steps towards the paper's number."""

from __future__ import annotations

from kdlearn.hinton import towards
from kdlearn.study import cell_key

WORDS = """\
**The steps towards {paper} end at {steps} errors: the paper's number is {reached}.** That is {steps fewer} fewer
than the {soft} of the soft targets above{fewer word}, and {steps more} more than labels on moved images with weight
decay{more word}.

*The teachers.* Three learned by gradient descent with momentum, much as in the paper that the recipe comes from
(Hinton et al. 2012), for {epochs} epochs. They make {descent} errors, those above {teacher}. One run of
{rate epochs} epochs each chose their rate: {rates} made {rate errors} errors on the 10,000 validation images.

*The steps.* Each change below was tried with three students, on top of what was kept before it. It was kept where their
mean validation errors fell. Where the first choice lay on an edge, the grid was widened. The student's gradient descent
did best at the edge of its own grid; it was not kept, and not widened. The test images were read once, by the students
of what was kept: {kept}."""
NAMES = {"hard": "weight of the labels", "average": "mean of the weights with m"}


def steps(rows):
    """`(validation errors of the teachers' rates, settings that were kept, what was tried)`."""
    done = {cell_key(None, row["cell"]): row["result"] for row in rows}

    def ran(cells):
        return [done[cell_key(None, cell)] for cell in cells]

    first = ran(towards.rates())
    teachers = towards.teachers_of(towards.best_rate(first), held_out=True)
    return [result["validation"] for result in first], *towards.choose(teachers, ran)


def steps_of(rows, told):
    """Words, with the numbers of `facts`, and tables: mean validation errors; bold is what was kept."""
    first, kept, tried = steps(rows)
    said = {
        "epochs": towards.EPOCHS["teacher"],
        "rates": listed(towards.DESCENTS),
        "rate epochs": towards.EPOCHS["rate"],
        "rate errors": listed(first),
        "kept": in_words(kept),
    }
    return "\n".join([WORDS.format(**told, **said), "", *grid_of(tried), "", *changes_of(tried)])


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
            setting = ", ".join(f"{key} {value}" for key, value in row.items() if key in ("rate", "epochs"))
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
