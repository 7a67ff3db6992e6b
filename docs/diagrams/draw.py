"""The pictures of docs/diagrams.md as SVG text.

    python docs/diagrams/draw.py      draws docs/diagrams/*.svg anew; tests/docs/test_diagrams.py holds them to this

One language for all: a coloured box is a network (orange teaches, blue learns), a green box is a column of the data, a
dot is a site, a pill is a loss. A line is read with a gradient coming back (`live`), a dashed one is only read
(`fixed`), and purple is the gradient. Each picture carries its own background, for light and for dark, and is narrow
enough for a phone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

COLORS = {  # name: (in light, in dark)
    "ink": ("#1f2937", "#e5e7eb"),
    "quiet": ("#5b6472", "#a3acba"),
    "teacher": ("#c2410c", "#fb923c"),
    "student": ("#1d4ed8", "#8ab4ff"),
    "label": ("#047857", "#34d399"),
    "gradient": ("#a21caf", "#e879f9"),
    "card": ("#fbfaf7", "#1d2025"),
}


def style() -> str:
    """The colours as classes: `x` fills, `x-line` strokes, `x-box` does both, faintly."""

    def rules(i: int) -> str:
        each = "".join(
            f".{n}{{fill:{c[i]}}}.{n}-line{{stroke:{c[i]}}}.{n}-box{{fill:{c[i]}1c;stroke:{c[i]}}}"
            for n, c in COLORS.items()
        )
        return each + f".pill{{fill:{COLORS['card'][i]};stroke:{COLORS['ink'][i]}}}"

    return (
        "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif}"
        ".site{font:12px ui-monospace,Menlo,Consolas,monospace}.small{font-size:12px}.name{font-weight:600}"
        "path,line{fill:none;stroke-width:1.6}rect{stroke-width:1.4}.fixed{stroke-dasharray:4 3.5}"
        f"{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}"
    )


Point = tuple[float, float]


class Picture:
    """A card that is drawn on; `svg()` is its text."""

    def __init__(self, title: str, description: str, height: float, width: float = 400) -> None:
        self.title, self.description, self.width, self.height = title, description, width, height
        self.parts: list[str] = []

    def text(self, x: float, y: float, words: str, kind: str = "ink", anchor: str = "middle") -> None:
        """Words whose line is centred at y."""
        self.parts.append(
            f'<text x="{x:g}" y="{y + 4.5:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def box(self, x: float, y: float, w: float, h: float, kind: str, *lines: str, at: float | None = None) -> None:
        """A box of a kind, its words in the middle or from height `at` on."""
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" class="{kind}-box"/>')
        top = y + h / 2 - 8 * (len(lines) - 1) if at is None else at
        for i, line in enumerate(lines):
            self.text(x + w / 2, top + 16 * i, line, f"{kind} name" if i == 0 else f"{kind} small")

    def column(self, x: float, y: float, words: str, w: float = 44) -> None:
        """A column of the data, centred at (x, y)."""
        self.box(x - w / 2, y - 13, w, 26, "label", words)

    def pill(self, x: float, y: float, *lines: str, w: float = 104) -> None:
        """A loss, centred at (x, y)."""
        h = 12 + 16 * len(lines)
        self.parts.append(
            f'<rect x="{x - w / 2:g}" y="{y - h / 2:g}" width="{w:g}" height="{h}" rx="{h / 2:g}" class="pill"/>'
        )
        for i, line in enumerate(lines):
            self.text(x, y - 8 * (len(lines) - 1) + 16 * i, line)

    def site(self, x: float, y: float, words: str = "", kind: str = "ink", side: str = "") -> None:
        """A dot with its name to the `left` or `right`."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="4" class="{kind}"/>')
        if words:
            anchor = "end" if side == "left" else "start"
            self.text(x + (-9 if side == "left" else 9), y, words, f"{kind} site", anchor)

    def arrow(self, *points: Point, kind: str = "ink", fixed: bool = False) -> None:
        """Straight from point to point, with a head at the end."""
        (x0, y0), (x1, y1) = points[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        bx, by = x1 - 7 * ux, y1 - 7 * uy
        way = "L".join(f"{x:.4g} {y:.4g}" for x, y in (*points[:-1], (bx, by)))
        dashes = " fixed" if fixed else ""
        self.parts.append(f'<path d="M{way}" class="{kind}-line{dashes}"/>')
        head = [(x1, y1), (bx - 3.6 * uy, by + 3.6 * ux), (bx + 3.6 * uy, by - 3.6 * ux)]
        self.parts.append(f'<polygon points="{" ".join(f"{x:.4g},{y:.4g}" for x, y in head)}" class="{kind}"/>')

    def live(self, a: Point, b: Point, gap: float = 4) -> None:
        """Read from a by b, and the gradient back."""
        (x0, y0), (x1, y1) = a, b
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = -gap * (y1 - y0) / length, gap * (x1 - x0) / length
        self.arrow((x0 + nx, y0 + ny), (x1 + nx, y1 + ny))
        self.arrow((x1 - nx, y1 - ny), (x0 - nx, y0 - ny), kind="gradient")

    def fixed(self, *points: Point) -> None:
        """Read, and nothing back."""
        self.arrow(*points, fixed=True)

    def bars(self, x: float, y: float, heights: list[float], kind: str, tall: float = 40) -> None:
        """A row of probabilities, standing on y."""
        for i, h in enumerate(heights):
            self.parts.append(
                f'<rect x="{x + 13 * i:g}" y="{y - tall * h:.4g}" width="10" height="{tall * h:.4g}" class="{kind}"/>'
            )
        self.parts.append(
            f'<line x1="{x - 3:g}" y1="{y:g}" x2="{x + 13 * len(heights):g}" y2="{y:g}" class="quiet-line"/>'
        )

    def legend(self) -> None:
        """What the three kinds of line mean, at the foot."""
        y = self.height - 18
        self.arrow((24, y), (52, y))
        self.text(58, y, "live: read", "quiet small", "start")
        self.arrow((130, y), (158, y), fixed=True)
        self.text(164, y, "fixed: read, held", "quiet small", "start")
        self.arrow((278, y), (306, y), kind="gradient")
        self.text(312, y, "gradient", "quiet small", "start")

    def svg(self) -> str:
        """The text of the file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width * 1.1:g}" height="{self.height * 1.1:g}" role="img" aria-labelledby="title desc">'
        )
        top = [head, f'<title id="title">{escape(self.title)}</title>']
        top += [f'<desc id="desc">{escape(self.description)}</desc>', f"<style>{style()}</style>"]
        top += [f'<rect width="{self.width:g}" height="{self.height:g}" rx="10" class="card"/>']
        return "\n".join([*top, *self.parts, "</svg>"]) + "\n"


PICTURES: dict[str, Callable[[], Picture]] = {}


def picture(title: str, description: str, height: float) -> Callable[[Callable[[Picture], None]], Callable]:
    """Enter a picture into the list: a function that draws on it. Its docstring is its sentence on the page."""

    def enter(draw: Callable[[Picture], None]) -> Callable[[], Picture]:
        @functools.wraps(draw)
        def drawn() -> Picture:
            p = Picture(title, description, height)
            draw(p)
            p.legend()
            return p

        PICTURES[draw.__name__] = drawn
        return drawn

    return enter


L, R = 116, 284  # the inner edges of a teacher at the left and a student at the right; losses stand between, at 200


def pair(p: Picture, bottom: float, left: str = "teacher", right: str = "student") -> None:
    """Two networks of one input, `left` and `right`, down to `bottom`."""
    p.column(200, 27, "x")
    p.arrow((178, 27), (70, 27), (70, 52))
    p.arrow((222, 27), (330, 27), (330, 52))
    p.box(24, 52, 92, bottom - 52, left.split()[0], left, at=68)
    p.box(284, 52, 92, bottom - 52, right.split()[0], right, at=68)


@picture(
    "The teacher-student framework",
    "One input goes to a large teacher and a small student. The softened answers of both meet in a loss, the "
    "student's answer and the label in another. Gradients go to the student alone.",
    350,
)
def framework(p: Picture) -> None:
    """A large network, already trained, answers with probabilities; a small one learns from these and the labels."""
    p.column(200, 27, "x")
    p.arrow((178, 27), (86, 27), (86, 52))
    p.arrow((222, 27), (314, 27), (314, 66))
    p.box(24, 52, 124, 76, "teacher", "teacher", "large, held")
    p.box(268, 66, 92, 48, "student", "student", "small")
    p.arrow((86, 128), (86, 150), kind="teacher")
    p.bars(55, 196, [0.62, 0.24, 0.1, 0.03, 0.06], "teacher")
    p.text(86, 210, "p = softmax(z / T)", "teacher small")
    p.live((304, 114), (304, 150))
    p.bars(283, 196, [0.3, 0.2, 0.26, 0.14, 0.1], "student")
    p.text(314, 210, "q = softmax(z / T)", "student small")
    p.pill(200, 176, "T² KL(p ‖ q)", w=96)
    p.fixed((124, 176), (152, 176))
    p.live((276, 176), (248, 176))
    p.bars(55, 280, [1, 0, 0, 0, 0], "label")
    p.text(86, 294, "the label y", "label small")
    p.pill(200, 258, "cross-entropy", w=110)
    p.fixed((124, 258), (145, 258))
    p.live((318, 224), (258, 254))
    p.text(334, 246, "q at T = 1", "student small")


@picture(
    "One training step",
    "A batch goes through teachers and students. Their sites are read by the objective, the teachers' and the "
    "columns as fixed, the students' as live. The objective returns a gradient for each live site, the "
    "students run backward, and the optimiser moves their parameters.",
    436,
)
def step(p: Picture) -> None:
    """Run the networks, ask the objective, hand each gradient to the network that owns its site, and move."""
    p.column(110, 30, "batch", w=70)
    p.arrow((80, 43), (80, 82))
    p.box(24, 82, 112, 54, "teacher", "teachers", "forward")
    p.box(206, 82, 160, 54, "student", "students", "forward, backward")
    p.arrow((145, 30), (176, 30), (176, 109), (206, 109))
    p.pill(286, 30, "optimiser", w=100)
    p.arrow((270, 82), (270, 46), kind="gradient")
    p.text(263, 64, "grad", "gradient site", "end")
    p.arrow((302, 46), (302, 82))
    p.text(309, 64, "θ", "ink site", "start")
    p.arrow((80, 136), (80, 190), kind="teacher")
    p.arrow((75, 30), (12, 30), (12, 246), (24, 246), kind="label")
    for x, w, name, sites in (
        (24, 150, "fixed", ("teacher.logits", "y", "student.logits")),
        (206, 130, "live", ("student.h1", "student.logits")),
    ):
        p.parts.append(
            f'<rect x="{x}" y="190" width="{w}" height="92" rx="6" class="pill{" fixed" if name == "fixed" else ""}"/>'
        )
        p.text(x + w / 2, 206, name, "ink name")
        for i, site in enumerate(sites):
            p.text(x + 12, 228 + 18 * i, site, "ink site", "start")
    p.arrow((256, 136), (256, 190))
    p.fixed((206, 264), (174, 264))
    p.pill(200, 336, "objective", "0.3 CrossEntropy + 0.7 SoftTargets", w=260)
    p.fixed((100, 282), (100, 314))
    p.arrow((256, 282), (256, 314))
    p.arrow((330, 336), (352, 336), (352, 136), kind="gradient")
    p.text(376, 374, "{site: gradient}", "gradient site", "end")


@picture(
    "live and fixed",
    "Two mappings of named sites. The objective reads both. A gradient returns to each site that was read "
    "from live, none to fixed. The student's own sites stand in fixed as well, detached, so that it can teach "
    "itself.",
    330,
)
def live_and_fixed(p: Picture) -> None:
    """Stop-gradient is which mapping is read: what is read from `fixed` teaches, what is read from `live` learns."""
    for x, w, name in ((20, 168, "fixed"), (228, 152, "live")):
        dashes = " fixed" if name == "fixed" else ""
        p.parts.append(f'<rect x="{x}" y="20" width="{w}" height="138" rx="6" class="pill{dashes}"/>')
        p.text(x + w / 2, 38, name, "ink name")
    for y, site, kind in (
        (64, "y", "label"),
        (90, "teacher.logits", "teacher"),
        (142, "student.logits", "student"),
    ):
        p.site(38, y, site, kind, "right")
    p.text(104, 117, "…", "quiet")
    p.site(246, 90, "student.h1", "student", "right")
    p.site(246, 142, "student.logits", "student", "right")
    p.fixed((240, 142), (154, 142))
    p.text(198, 174, "a copy, detached", "quiet small")
    p.pill(200, 232, "objective(live, fixed)", w=190)
    p.fixed((108, 158), (152, 217))
    p.live((286, 158), (242, 217), gap=-5)
    p.text(118, 200, "no way back", "quiet small", "end")
    p.text(390, 202, "{site: gradient}", "gradient site", "end")
    p.text(200, 268, "a label is a teacher that does not learn", "quiet small")


@picture(
    "Response distillation",
    "The logits of teacher and student meet in the loss of soft targets, those of the student and the labels "
    "in cross-entropy.",
    284,
)
def response(p: Picture) -> None:
    """The student learns what the teacher answers: soft targets at temperature T, beside the labels."""
    pair(p, 160)
    p.site(L, 132, "logits", "teacher", "left")
    p.site(R, 132, "logits", "student", "right")
    p.pill(200, 112, "soft targets", "temperature T", w=112)
    p.fixed((121, 130), (146, 120))
    p.live((280, 127), (256, 117))
    p.column(70, 206, "y")
    p.pill(200, 206, "cross-entropy", w=112)
    p.fixed((92, 206), (144, 206))
    p.live((283, 142), (250, 192))


@picture(
    "Feature distillation",
    "A hidden layer of the student goes through a small trained network, the adaptor, to the width of the "
    "teacher's layer; their squared error sends its gradient through the adaptor into the middle of the "
    "student.",
    310,
)
def feature(p: Picture) -> None:
    """The student learns what the teacher sees: a layer in its middle, through an adaptor where the widths differ."""
    pair(p, 236)
    for y, name in ((98, "h1"), (150, "h2"), (216, "logits")):
        p.site(L, y, name, "teacher", "left")
    p.site(R, 124, "h1", "student", "right")
    p.site(R, 216, "logits", "student", "right")
    p.box(162, 92, 88, 42, "student", "adaptor", "trained too")
    p.live((280, 118), (250, 114))
    p.pill(200, 178, "squared error", w=112)
    p.live((206, 134), (206, 163))
    p.fixed((121, 152), (150, 168))
    p.text(200, 250, "+ a loss on the logits", "quiet small")


@picture(
    "Relational distillation",
    "The same four rows of a batch as four points in the teacher's and in the student's layer. The tables of "
    "their distances are compared, so the two spaces need not have the same axes nor the same width.",
    300,
)
def relation(p: Picture) -> None:
    """The student learns how the rows of a batch lie to each other, whatever the width of either layer."""
    pair(p, 196)
    shape = [(0, 0), (34, 10), (12, 36), (46, 44)]
    for x0, y0, kind, points in (
        (48, 96, "teacher", shape),
        (314, 100, "student", [(8, 40), (0, 6), (36, 30), (28, -2)]),
    ):
        for i, a in enumerate(points):
            for b in points[i + 1 :]:
                line = f'x1="{x0 + a[0]}" y1="{y0 + a[1]}" x2="{x0 + b[0]}" y2="{y0 + b[1]}"'
                p.parts.append(f'<line {line} class="{kind}-line" stroke-opacity="0.55"/>')
        for a in points:
            p.site(x0 + a[0], y0 + a[1], kind=kind)
    p.site(L, 172, "h2", "teacher", "left")
    p.site(R, 172, "h1", "student", "right")
    p.pill(200, 172, "distances,", "angles, …", w=92)
    p.fixed((121, 172), (154, 172))
    p.live((279, 172), (246, 172))
    p.text(200, 232, "rows are compared with rows, never unit with unit", "quiet small")
    p.text(200, 250, "+ a loss on the logits", "quiet small")


@picture(
    "Self-distillation",
    "Above, within one network: an exit at the first layer learns from the network's own logits, read as "
    "fixed. Below, over generations: each trained student is the teacher of the next, which starts anew.",
    390,
)
def selfdistill(p: Picture) -> None:
    """The student is its own teacher: its last layer teaches an early exit, or each generation teaches the next."""
    p.column(330, 27, "x")
    p.arrow((330, 40), (330, 60))
    p.box(284, 60, 92, 140, "student", "student", at=76)
    p.site(R, 104, "h1", "student", "right")
    p.site(R, 176, "logits", "student", "right")
    p.box(188, 84, 64, 40, "student", "exit", "trained")
    p.live((279, 104), (252, 104))
    p.pill(92, 104, "cross-entropy", w=112)
    p.column(92, 48, "y")
    p.fixed((92, 61), (92, 90))
    p.live((188, 104), (148, 104))
    p.pill(92, 170, "soft targets", w=112)
    p.live((192, 124), (142, 157))
    p.fixed((279, 178), (148, 173))
    p.text(214, 194, "its own, held", "quiet small")
    p.text(24, 226, "over generations", "quiet small", "start")
    for i, x in enumerate((24, 160, 296)):
        p.box(x, 256, 80, 46, "student", f"student {i}")
        if i:
            p.fixed((x - 56, 279), (x, 279))
            p.text(x - 28, 266, "teaches", "quiet small")
    p.text(200, 326, "each starts anew; the last is kept, or their mean", "quiet small")


@picture(
    "Several teachers",
    "The logits of three teachers are combined into one fixed site, which the student learns from as from a "
    "single teacher.",
    318,
)
def several_teachers(p: Picture) -> None:
    """The teachers' answers become one before the student reads it: a mean, a median, or weights for each row."""
    p.column(200, 27, "x")
    p.arrow((178, 27), (70, 27), (70, 56))
    p.arrow((222, 27), (330, 27), (330, 56))
    for i, name in enumerate(("teacher a", "teacher b", "teacher c")):
        y = 56 + 58 * i
        p.box(24, y, 92, 46, "teacher", name)
        p.site(L, y + 23, kind="teacher")
        p.fixed((121, y + 23), (142, 126 + 12 * i))
    p.parts.append('<rect x="142" y="110" width="72" height="56" rx="6" class="pill fixed"/>')
    p.text(178, 130, "mean or", "ink")
    p.text(178, 147, "weights", "ink")
    p.box(284, 56, 92, 162, "student", "student", at=72)
    p.site(R, 190, "logits", "student", "right")
    p.pill(190, 208, "soft targets")
    p.fixed((178, 166), (178, 194))
    p.live((279, 192), (242, 204))
    p.text(200, 256, "+ the labels, if there are any", "quiet small")


@picture(
    "Online distillation",
    "Two students learn at the same time. Each has a loss of soft targets in which its own logits are live "
    "and its peer's are fixed, and each learns from the labels.",
    318,
)
def online(p: Picture) -> None:
    """No teacher at all: students learn together, and each reads the other as fixed."""
    pair(p, 210, "student a", "student b")
    for y, words, live in ((112, "a learns from b", "a"), (176, "b learns from a", "b")):
        p.site(L, y, "", "student")
        p.site(R, y, "", "student")
        p.pill(200, y, words, w=116)
        if live == "a":
            p.live((121, y), (142, y))
            p.fixed((279, y), (258, y))
        else:
            p.fixed((121, y), (142, y))
            p.live((279, y), (258, y))
    p.text(70, 144, "logits", "student site")
    p.text(330, 144, "logits", "student site")
    p.column(200, 256, "y")
    p.live((70, 210), (70, 241))
    p.live((330, 210), (330, 241))
    p.pill(70, 256, "cross-entropy", w=104)
    p.pill(330, 256, "cross-entropy", w=104)
    p.fixed((178, 256), (122, 256))
    p.fixed((222, 256), (278, 256))


@picture(
    "Teacher assistants",
    "A large teacher teaches a middle-sized assistant; when that has learned, it is held and teaches the "
    "small student.",
    288,
)
def assistants(p: Picture) -> None:
    """Where the teacher is far above the student, networks of sizes between them pass the lesson on."""
    for x, w, h, kind, name, words in (
        (16, 92, 130, "teacher", "teacher", "large"),
        (158, 84, 90, "student", "assistant", "between"),
        (300, 76, 54, "student", "student", "small"),
    ):
        p.box(x, 96 - h / 2, w, h, kind, name, words)
    for x, first in ((133, 108), (271, 242)):
        p.pill(x, 206, "soft targets", w=100)
        p.fixed((first - 22, 142 if first > 200 else 162), (x - 18, 192))
    p.live((176, 142), (154, 192))
    p.live((326, 124), (290, 192))
    p.text(133, 234, "first lesson", "quiet small")
    p.text(271, 234, "second lesson", "quiet small")


@picture(
    "Generation",
    "A text, written by the data, the teacher or the student itself, is read by both. After each of its "
    "beginnings, both say with which probability each word comes next, and the two answers meet in a loss.",
    398,
)
def generation(p: Picture) -> None:
    """A text is a row of answers: after each context, the student's next word is held to the teacher's."""
    p.text(200, 22, "a text: of the data, the teacher, or the student", "quiet small")
    xs = (92, 172, 252, 332)
    for i, x in enumerate(xs):
        p.column(x - 6, 52, f"w{'₁₂₃₄'[i]}", w=54)
    p.box(24, 96, 352, 36, "teacher", "teacher reads what has been written so far")
    p.box(24, 302, 352, 36, "student", "student reads the same")
    for i, x in enumerate(xs[:3]):
        p.arrow((x - 6, 65), (x - 6, 96), kind="label")
        p.arrow((x + 34, 132), (x + 34, 152), kind="teacher")
        p.bars(x + 8, 184, [[0.5, 0.3, 0.1, 0.1], [0.1, 0.75, 0.1, 0.05], [0.25, 0.2, 0.45, 0.1]][i], "teacher", 36)
        p.pill(x + 34, 210, "loss", w=56)
        p.fixed((x + 34, 185), (x + 34, 196))
        p.bars(x + 8, 296, [[0.3, 0.3, 0.2, 0.2], [0.2, 0.5, 0.2, 0.1], [0.35, 0.3, 0.2, 0.15]][i], "student", 36)
        p.live((x + 34, 268), (x + 34, 224))
    p.arrow((24, 320), (12, 320), (12, 52), (58, 52), kind="student")
    p.text(24, 354, "the student may write the text that it is taught on", "student small", "start")


def files() -> dict[Path, str]:
    """What is to be on disk."""
    return {Path(__file__).with_name(f"{name}.svg"): draw().svg() for name, draw in PICTURES.items()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
