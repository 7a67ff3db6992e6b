"""What was measured, as pictures: performance as bars, and the numbers of Hinton 2015 beside ours.

python docs/diagrams/measured.py      draws docs/evidence/*.svg anew from docs/evidence/*.json;
tests/docs/test_diagrams.py holds them to this file
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from draw import Picture

from kdlearn.hinton.names import readable
from kdlearn.hinton.table import MOVED, PAPER, SOURCES, by_teacher, errors, few, late, share, shown, verdict
from kdlearn.study import crossed

EVIDENCE = Path(__file__).resolve().parent.parent / "evidence"
WORKS = {  # of docs/performance.md: what stands above its bars
    "w1": "one step, 784-800-800-10, batch 128",
    "w2": "one step of a teacher with dropout",
    "w3": "one epoch of digits, 64-32-10, batch 32",
    "w3-twenty": "the same epoch for twenty students at once",
    "w4": "a teacher's logits for 12,000 rows",
    "w5-online": "two students that teach each other",
}
OTHERS = {
    "JAX": "student", "PyTorch": "teacher", "torch.compile": "teacher", "torch.func": "teacher",
    "scikit-learn": "label", "thinc": "quiet",
}  # fmt: skip


def performance() -> Picture:
    """Times beside kdlearn's: a bar is the first run, a mark the run with a BLAS that has no AVX-512."""
    runs = json.loads((EVIDENCE / "bench.json").read_text("utf-8"))
    first = runs[0]
    older = next(run for run in runs if "Haswell" in run["environment"]["blas"])

    def ratio(run, work, other):
        times = run["works"][work]["times"]
        return times[other]["ms"] / times["kdlearn"]["ms"]

    beside = {(w, o): ratio(first, w, o) for w in WORKS for o in OTHERS if o in first["works"][w]["times"]}
    spans = {name: [r for (_, other), r in beside.items() if other == name] for name in ("PyTorch", "JAX")}
    low_high = {name: f"{min(span):.1f} to {max(span):.1f}" for name, span in spans.items()}
    told = f"PyTorch: {low_high['PyTorch']} times as long; JAX: {low_high['JAX']}"
    lines = "; ".join(
        f"{words}: " + ", ".join(f"{other} {beside[w, other]:.1f}" for other in OTHERS if (w, other) in beside)
        for w, words in WORKS.items()
    )
    height = 62 + sum(34 + 20 * sum(w == work for w, _ in beside) for work in WORKS) + 40
    p = Picture(
        told, f"Bars of time as multiples of kdlearn's, one thread. {lines}. Marks: with an older BLAS kernel.", height
    )
    p.text(20, 22, told, "ink name", "start")
    p.text(20, 42, "time as a multiple of kdlearn's, one thread, AVX-512", "quiet small", "start")
    x0, unit = 112, 34
    y = 74
    for work, words in WORKS.items():
        p.text(20, y, words, "ink", "start")
        y += 20
        for other, kind in OTHERS.items():
            if (work, other) not in beside:
                continue
            value = beside[work, other]
            p.text(x0 - 8, y, other, "quiet small", "end")
            p.parts.append(f'<rect x="{x0}" y="{y - 7}" width="{unit * value:.1f}" height="14" class="{kind}"/>')
            at = x0 + unit * ratio(older, work, other)
            p.parts.append(f'<line x1="{at:.1f}" y1="{y - 9}" x2="{at:.1f}" y2="{y + 9}" class="ink-line"/>')
            p.text(max(at, x0 + unit * value) + 6, y, f"{value:.1f}", "ink small", "start")
            y += 20
        y += 14
    p.parts.append(f'<line x1="{x0 + unit}" y1="56" x2="{x0 + unit}" y2="{y - 12}" class="quiet-line fixed"/>')
    p.text(x0 + unit, y + 2, "kdlearn", "quiet small")
    p.text(380, y + 2, "mark: an older BLAS kernel", "quiet small", "end")
    return p


def paper() -> Picture:
    """Test errors of 10,000 on a logarithmic axis: the paper's number, and ours with its interval."""
    rows = json.loads((EVIDENCE / "hinton_2015.json").read_text("utf-8"))
    found = {name: values for name, values in errors(rows).items() if name in PAPER}
    same = [name for name in found if verdict(found, name) == "reproduced" and not late(name)]
    title = f"{len(same)} of {len(found)} rows come out as in the paper, by the rule"
    means = {name: crossed(by_teacher(values)) for name, values in found.items()}
    ours = {name: shown(values) for name, values in found.items()}
    told = "; ".join(f"{readable(name)}: paper {PAPER[name]}, ours {ours[name]}" for name in found)
    p = Picture(title, f"Test errors of 10,000 on MNIST, logarithmic. {told}.", 92 + 42 * len(found) + 30)
    p.text(20, 22, title, "ink name", "start")
    p.text(20, 42, "test errors of 10,000, logarithmic", "quiet small", "start")
    p.parts.append('<path d="M26 54L32 60L26 66L20 60Z" class="teacher-line"/>')
    p.text(38, 60, "the paper", "teacher small", "start")
    p.parts.append('<circle cx="126" cy="60" r="4" class="student"/>')
    p.text(136, 60, "here, with 95 % interval", "student small", "start")

    def at(value: float) -> float:
        return 24 + 352 * (math.log10(max(value, 40)) - math.log10(40)) / math.log10(6000 / 40)

    foot = 84 + 42 * len(found)
    for tick in (50, 100, 200, 500, 1000, 2000, 5000):
        x = at(tick)
        p.parts.append(f'<line x1="{x:.1f}" y1="78" x2="{x:.1f}" y2="{foot}" class="quiet-line" stroke-opacity=".25"/>')
        p.text(at(tick), foot + 12, f"{tick}", "quiet small")
    for i, name in enumerate(found):
        y, mean = 90 + 42 * i, means[name]
        low, high = mean.mean - mean.half_width, mean.mean + mean.half_width
        p.text(20, y, readable(name), "ink", "start")
        words = "chosen late" if late(name) else verdict(found, name)
        p.text(380, y, words, "label small" if name in same else "quiet small", "end")
        y += 18
        if not few(found[name]):
            p.parts.append(f'<line x1="{at(low):.1f}" y1="{y}" x2="{at(high):.1f}" y2="{y}" class="student-line"/>')
        for point in by_teacher(found[name]).mean(axis=1).tolist() if few(found[name]) else [mean.mean]:
            p.parts.append(f'<circle cx="{at(point):.1f}" cy="{y}" r="4" class="student"/>')
        x = at(PAPER[name])
        p.parts.append(
            f'<path d="M{x:.1f} {y - 6}L{x + 6:.1f} {y}L{x:.1f} {y + 6}L{x - 6:.1f} {y}Z" class="teacher-line"/>'
        )
    return p


def sources() -> Picture:
    """How much of the gap between labels and teacher each source closes: means with their 95 % intervals."""
    found = errors(json.loads((EVIDENCE / "hinton_2015.json").read_text("utf-8")))
    shares = {words: share(found, name) for name, words in SOURCES.items() if name in found}
    title = f"Moved images alone close {shares[SOURCES[MOVED]].mean:.0f} % of the gap"
    told = "; ".join(f"{words} {s.mean:.0f} ± {s.half_width:.0f}" for words, s in shares.items())
    p = Picture(
        title, f"Share of the gap between labels and teacher that is closed, in %. {told}.", 84 + 42 * len(shares) + 30
    )
    p.text(20, 22, title, "ink name", "start")
    p.text(20, 42, "0 %: labels alone; 100 %: the teacher", "quiet small", "start")
    low, high = min(-10.0, *(s.low for s in shares.values())), max(110.0, *(s.high for s in shares.values()))

    def at(value: float) -> float:
        return 24 + 352 * (value - low) / (high - low)

    foot = 66 + 42 * len(shares)
    for tick in (0, 50, 100):
        x = at(tick)
        p.parts.append(f'<line x1="{x:.1f}" y1="56" x2="{x:.1f}" y2="{foot}" class="quiet-line" stroke-opacity=".4"/>')
        p.text(x, foot + 12, f"{tick} %", "quiet small")
    for i, (words, s) in enumerate(shares.items()):
        y, kind = 72 + 42 * i, "teacher" if "soft" in words else "label"
        p.text(20, y, words, "ink small", "start")
        p.text(380, y, f"{s.mean:.0f} ± {s.half_width:.0f}", f"{kind} small", "end")
        y += 18
        p.parts.append(f'<line x1="{at(s.low):.1f}" y1="{y}" x2="{at(s.high):.1f}" y2="{y}" class="{kind}-line"/>')
        p.parts.append(f'<circle cx="{at(s.mean):.1f}" cy="{y}" r="4" class="{kind}"/>')
    return p


def files() -> dict[Path, str]:
    """What is to be on disk."""
    return {EVIDENCE / f"{draw.__name__}.svg": draw().svg() for draw in (performance, paper, sources)}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
