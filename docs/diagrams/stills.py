"""The still pictures of docs/explore, which stand where no script runs: the package's own numbers as SVG, for the
playground those that docs/diagrams/playground.py wrote down.

python docs/diagrams/stills.py        draws docs/explore/*.svg anew; tests/test_diagrams.py holds them to this file
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
from draw import Picture
from playground import FOUND, GRID, SPAN

import kdlearn as kd

TEACHER = np.array([[6.0, 2.0, 0.0, -2.0, -6.0]])
STUDENT = np.array([[1.0, -1.0, 3.0, 0.0, -2.0]])
WALKER = np.array([[1.0, -1.0, 3.0, -1.0, -2.0]])  # its mean is the teacher's, which no step of either loss moves
LABEL = np.array([0])
MINUS = "\N{MINUS SIGN}"
CLASSES = ("#7c3aed", "#0d9488", "#d9a406")


def temperature() -> Picture:
    temperatures = (0.5, 1, 2, 4, 16, 128)
    entropies = [float(kd.metrics.entropy(TEACHER, T)) for T in temperatures]
    told = ", ".join(f"{h:.2f} at T = {T:g}" for T, h in zip(temperatures, entropies))
    p = Picture(
        "One answer at six temperatures",
        f"Bars of softmax(z / T) for the logits 6, 2, 0, -2, -6. Cold, one class has everything; hot, all five are "
        f"alike. The entropy in nats: {told}.",
        300,
    )
    for i, (T, h) in enumerate(zip(temperatures, entropies)):
        x, y = 36 + 124 * (i % 3), 104 + 140 * (i // 3)
        p.bars(x, y, [round(float(v), 4) for v in kd.softmax(TEACHER, T)[0]], "teacher", 76)
        p.text(x + 31, y + 16, f"T = {T:g}", "ink name")
        p.text(x + 31, y + 33, f"entropy {h:.2f}", "quiet small")
    return p


def gradient() -> Picture:
    T = 4
    soft = -kd.soft_targets(WALKER, TEACHER, T=T)[1][0]
    hard = -kd.cross_entropy(WALKER, LABEL)[1][0]
    p = Picture(
        "What pushes the student's logits",
        f"For each of five classes, minus the gradient of soft targets at T = 4 and of cross-entropy with label A. "
        f"Soft targets: {', '.join(f'{v:+.2f}' for v in soft)}. The label: {', '.join(f'{v:+.2f}' for v in hard)}.",
        344,
    )
    zero, unit = 230, 86
    p.text(20, 24, "push on the student's logit at T = 4", "ink name", "start")
    for k, (a, b) in enumerate(zip(soft, hard)):
        y = 66 + 46 * k
        p.text(20, y - 8, f"class {'ABCDE'[k]}", "ink", "start")
        p.text(20, y + 8, f"z {TEACHER[0, k]:g}, {WALKER[0, k]:g}".replace("-", MINUS), "quiet small", "start")
        for v, kind, top in ((a, "teacher", y - 17), (b, "label", y + 1)):
            x = zero + unit * min(0.0, float(v))
            p.parts.append(f'<rect x="{x:.1f}" y="{top}" width="{unit * abs(v):.1f}" height="16" class="{kind}"/>')
            words = f"{v:+.2f}".replace("-", MINUS)
            side, anchor = (5, "start") if v > 0 else (-5, "end")
            p.text(zero + unit * float(v) + side, top + 8, words, f"{kind} small", anchor)
    p.parts.append(f'<line x1="{zero}" y1="42" x2="{zero}" y2="280" class="quiet-line"/>')
    p.text(20, 304, f"soft targets, T (p {MINUS} q)", "teacher small", "start")
    p.text(380, 304, f"label A, onehot {MINUS} q", "label small", "end")
    p.text(20, 324, "z: logits of teacher and student", "quiet small", "start")
    return p


def slopes() -> Picture:
    temperatures = 2.0 ** np.arange(-3, 9.01, 0.25)
    size = np.array([np.linalg.norm(kd.soft_targets(STUDENT, TEACHER, T=T)[1]) for T in temperatures])
    d = (STUDENT - TEACHER) - (STUDENT - TEACHER).mean()
    limit = float(np.linalg.norm(d)) / d.size
    p = Picture(
        "Two slopes",
        f"The length of the gradient against temperature on logarithmic axes. With the factor T squared it levels off "
        f"at {limit:.2f}, the limit of matching logits; without, it falls to a quarter for each doubling of T, a slope "
        "of minus two.",
        320,
    )

    def at(T: float, g: float) -> tuple[float, float]:
        return 52 + 326 * (math.log2(T) + 3) / 12, 40 + 228 * (1 - math.log10(g)) / 6

    for e in range(1, -6, -2):
        y = at(1, 10.0**e)[1]
        p.text(44, y, f"10{'⁻' * (e < 0)}{'⁰¹²³⁴⁵'[abs(e)]}", "quiet small", "end")
        p.parts.append(f'<line x1="52" y1="{y:.1f}" x2="378" y2="{y:.1f}" class="quiet-line" stroke-opacity="0.3"/>')
    for e in range(-3, 10, 2):
        p.text(at(2.0**e, 1)[0], 282, f"1/{2**-e}" if e < 0 else f"{2**e}", "quiet small")
    p.text(215, 302, "temperature T")
    p.text(20, 18, "length of the gradient", "ink name", "start")
    for kind, values in (("student", size), ("teacher", size / temperatures**2)):
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(at, temperatures, values) if y <= 268)
        p.parts.append(f'<path d="M{way}" class="{kind}-line"/>')
    y = at(1, limit)[1]
    p.parts.append(f'<line x1="52" y1="{y:.1f}" x2="378" y2="{y:.1f}" class="quiet-line fixed"/>')
    p.text(374, y - 12, f"matching logits, {limit:.2f}", "quiet small", "end")
    p.text(374, y + 14, "with T²", "student small", "end")
    p.text(at(48, 1)[0], at(1, 3e-3)[1], "without", "teacher small", "start")
    return p


def playground() -> Picture:
    found = json.loads(FOUND.read_text("utf-8"))
    study = {who: 100 * np.array(values) for who, values in found["studies"]["the start"].items()}
    gaps = study["distilled"] - study["alone"]
    effect = kd.study.interval(gaps)
    panels = {
        "teacher": ("teacher", "teacher"),
        "alone": ("label", "labels alone"),
        "distilled": ("student", "distilled"),
    }
    told = ", ".join(f"{words} {study[who].mean():.1f} %" for who, (_, words) in panels.items())
    p = Picture(
        "A teacher and two students",
        f"Three planes with points on three spiral arms, coloured by what a teacher, a student of "
        f"{len(found['picture']['points'])} labels and a distilled student answer. Mean test accuracy over {effect.n} "
        f"seeds: {told}. Below, the paired differences of the students, mean {effect.mean:+.1f} ± "
        f"{effect.half_width:.1f} points.",
        298,
    )
    side = 114
    for i, (who, (kind, words)) in enumerate(panels.items()):
        x0, y0 = 16 + 127 * i, 36
        p.text(x0, 22, words, f"{kind} name", "start")
        p.text(x0, 162, f"seed 0: {study[who][0]:.1f} %", f"{kind} small", "start")
        p.parts.append(f'<g transform="translate({x0} {y0}) scale({side / GRID:.4f})" fill-opacity="0.5">')
        for k, color in enumerate(CLASSES):
            runs = [
                f"M{run.start()} {row}h{len(run[0])}v1h{-len(run[0])}z"
                for row, line in enumerate(found["picture"]["regions"][who])
                for run in re.finditer(f"{k}+", line)
            ]
            p.parts.append(f'<path d="{"".join(runs)}" style="fill:{color}"/>')
        p.parts.append("</g>")
        for k, color in enumerate(CLASSES) if who != "teacher" else ():
            spots = [
                f"M{x0 + side * (x / SPAN + 1) / 2:.1f} {y0 + side * (1 - y / SPAN) / 2:.1f}h0"
                for x, y, label in found["picture"]["points"]
                if label == k
            ]
            for line in ('class="ink-line" style="stroke-width:8"', f'style="stroke:{color};stroke-width:5.5"'):
                p.parts.append(f'<path d="{"".join(spots)}" stroke-linecap="round" {line}/>')
    low, high = -2, math.ceil(gaps.max()) + 1

    def at(gap: float) -> float:
        return 24 + 352 * (gap - low) / (high - low)

    p.text(16, 194, "distilled less labels alone, points of accuracy", "ink small", "start")
    for tick in range(0, high, 5):
        p.parts.append(
            f'<line x1="{at(tick):.1f}" y1="208" x2="{at(tick):.1f}" y2="254" class="quiet-line" '
            f'stroke-opacity="{0.3 if tick else 1}"/>'
        )
        p.text(at(tick), 266, f"{tick:+d}" if tick else "0", "quiet small")
    dots = (f'<circle cx="{at(gap):.1f}" cy="{216 + 6 * (seed % 4)}" r="3.5"/>' for seed, gap in enumerate(gaps))
    p.parts.append(f'<g class="student" fill-opacity="0.5">{"".join(dots)}</g>')
    p.parts.append(
        f'<line x1="{at(effect.low):.1f}" y1="247" x2="{at(effect.high):.1f}" y2="247" class="ink-line" '
        f'style="stroke-width:3"/><circle cx="{at(effect.mean):.1f}" cy="247" r="4.5" class="ink"/>'
    )
    p.text(16, 284, f"{effect.n} seeds: {effect.mean:+.1f} ± {effect.half_width:.1f} points", "ink small", "start")
    return p


def files() -> dict[Path, str]:
    """What is to be on disk."""
    folder = Path(__file__).resolve().parent.parent / "explore"
    return {folder / f"{draw.__name__}.svg": draw().svg() for draw in (playground, temperature, gradient, slopes)}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
