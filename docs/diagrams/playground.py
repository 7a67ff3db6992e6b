"""What the playground finds, written down: for its still picture, and for the numbers in the page's text.

    python docs/diagrams/playground.py        trains anew and writes docs/explore/playground.json; takes two minutes

Each setting that the page has a button for is trained with twenty seeds, by the page's own code in Chromium; and the
student of labels with each weight decay of the slider.
tests/test_playground.py trains some of them again, and holds the page's text to these numbers.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
PAGE = DOCS / "explore" / "playground.md"
FOUND = DOCS / "explore" / "playground.json"
CODE = DOCS / "_static" / "playground"
SEEDS = 20
DECAYS = (0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)  # the slider's
GRID = 24  # cells a side of the still picture
SPAN = 2.7  # the largest coordinate shown, as on the page

TRAIN = "([changes, seed]) => kdplay.train({...kdplay.DEFAULTS, ...changes, seed})"
PICTURE = """([grid, span]) => {
    const settings = kdplay.DEFAULTS, teacher = new kdplay.Teacher(settings);
    while (!teacher.done) teacher.step();
    const pair = new kdplay.Pair(settings, teacher);
    while (!pair.done) pair.step();
    const at = i => span * ((2 * i + 1) / grid - 1);
    const first = z => z.indexOf(Math.max(...z));
    const answers = net => Array.from({length: grid}, (_, row) => Array.from({length: grid}, (_, column) =>
        first(net.forward(Float64Array.of(at(column), -at(row)), 1))).join(""));
    const {x, y} = pair.labelled;
    return {
        regions: {
            teacher: answers(teacher.net), alone: answers(pair.alone.net), distilled: answers(pair.distilled.net),
        },
        points: Array.from(y, (k, n) => [+x[2 * n].toFixed(2), +x[2 * n + 1].toFixed(2), k]),
    };
}"""


def buttons() -> dict[str, dict[str, Any]]:
    """{words of a button: what it changes in the first settings}, from the page."""
    text = PAGE.read_text("utf-8")
    return {words: json.loads(changes) for changes, words in re.findall(r"data-set='(.+?)'>(.+?)<", text)}


def load(page: Any) -> None:
    """Give a browser's page the code that trains."""
    for name in ("engine.js", "lesson.js"):
        page.add_script_tag(path=CODE / name)


def main() -> None:
    sys.path.insert(0, str(DOCS.parent / "tests"))
    from chromium import launched

    with launched() as browser:
        page = browser.new_page()
        load(page)
        studies = {}
        for words, changes in buttons().items():
            rows = [page.evaluate(TRAIN, [changes, seed]) for seed in range(SEEDS)]
            studies[words] = {who: [row[who] for row in rows] for who in ("teacher", "alone", "distilled")}
            print(words, flush=True)
        tuned = {
            decay: sum(page.evaluate(TRAIN, [{"decay": decay}, seed])["alone"] for seed in range(SEEDS)) / SEEDS
            for decay in DECAYS
        }
        found = {"decays": tuned, "studies": studies, "picture": page.evaluate(PICTURE, [GRID, SPAN])}
    FOUND.write_text(json.dumps(found) + "\n", "utf-8")


if __name__ == "__main__":
    main()
