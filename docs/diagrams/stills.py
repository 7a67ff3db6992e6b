"""The still pictures of docs/explore, which stand where no script runs: the package's own numbers as SVG.

python docs/diagrams/stills.py        draws docs/explore/*.svg anew; tests/test_diagrams.py holds them to this file
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from draw import Picture

import kdlearn as kd

TEACHER = np.array([[6.0, 2.0, 0.0, -2.0, -6.0]])
STUDENT = np.array([[1.0, -1.0, 3.0, 0.0, -2.0]])
WALKER = np.array([[1.0, -1.0, 3.0, -1.0, -2.0]])  # its mean is the teacher's, which no step of either loss moves
LABEL = np.array([0])
MINUS = "\N{MINUS SIGN}"


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


def files() -> dict[Path, str]:
    """What is to be on disk."""
    folder = Path(__file__).resolve().parent.parent / "explore"
    return {folder / f"{draw.__name__}.svg": draw().svg() for draw in (temperature, gradient, slopes)}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
