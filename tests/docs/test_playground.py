"""The playground learns as the package does, judges as `kd.study` does, and answers to keys, mouse and finger."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from chromium import visits
from figures import figure

import kdlearn as kd

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS / "diagrams"))
import playground  # noqa: E402
import stills  # noqa: E402

STUDIES = json.loads(playground.FOUND.read_text("utf-8"))["studies"]
FEW, EXTRA, K = 12, 20, 3  # rows with a label, rows without, classes


@pytest.fixture(scope="module")
def engine(browser):
    """A page that holds the code that trains, and nothing to see."""
    page = browser.new_page()
    playground.load(page)
    yield page
    page.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Opens the playground, by default for one who wants no motion: then each training is at its end at once."""
    with visits(browser, tmp_path) as open_page:

        def visit(ready=True, **options):
            page = open_page(figure("playground"), **{"reduced_motion": "reduce", **options})
            if ready:
                page.wait_for_function("kdplay.now.pair.done")
            return page

        yield visit


def interval(name):
    study = {who: 100 * np.array(values) for who, values in STUDIES[name].items()}
    return kd.study.interval(study["distilled"] - study["alone"])


def told(found):
    """An interval as the page writes it."""
    return f"{found.mean:+.1f} ± {found.half_width:.1f}".replace("-", "\N{MINUS SIGN}")


# ---- what it trains ----------------------------------------------------------------------------------


FIFTY = """({sizes, theta, batches, T, weight, decay}) => {
    const net = new kdplay.MLP(sizes, kdplay.stream(0, 0)), adam = new kdplay.Adam(net, 0.01, decay);
    net.theta.set(theta);
    const values = batches.map(({x, y, zt}) =>
        kdplay.trainStep(net, adam, {x: Float64Array.from(x), y, zt}, T, weight));
    return {theta: [...net.theta], values};
}"""


@pytest.mark.parametrize(("T", "weight", "decay"), [(1.0, 0.0, 0.0), (4.0, 0.9, 0.0), (2.5, 0.6, 0.01)])
def test_fifty_steps_give_the_weights_of_the_package(engine, rng, T, weight, decay):
    net = kd.MLP(2, 16, 16, K, seed=1, dtype="float64")
    batches = []
    for _ in range(50):
        x = rng.normal(size=(FEW + EXTRA, 2))
        y = rng.integers(K, size=FEW + EXTRA)
        batches.append({"x": x, "y": y, "zt": 4 * np.sin(3 * x @ rng.normal(size=(2, K)))})
    asked = {"sizes": net.sizes, "theta": net.theta.tolist(), "T": T, "weight": weight, "decay": decay}
    asked["batches"] = [
        {"x": b["x"].ravel().tolist(), "y": b["y"][:FEW].tolist(), "zt": b["zt"].ravel().tolist()} for b in batches
    ]
    got = engine.evaluate(FIFTY, asked)

    start = net.theta.copy()
    labelled = np.where(np.arange(FEW + EXTRA) < FEW, (FEW + EXTRA) / FEW, 0)  # a mean over the labelled rows
    objective = (1 - weight) * kd.CrossEntropy() * "labelled" + weight * kd.SoftTargets(T=T)
    optimizer = kd.Adam(0.01, weight_decay=decay)
    for b, values in zip(batches, got["values"]):
        columns = {"x": b["x"], "y": b["y"], "teacher.logits": b["zt"], "labelled": labelled}
        said = kd.train_step(net, None, objective, columns, optimizer=optimizer)
        assert values["loss"] == pytest.approx(float(said["loss"]), abs=1e-6)
    assert np.abs(net.theta - start).max() > 0.1
    np.testing.assert_allclose(got["theta"], net.theta, rtol=0, atol=1e-6)


def test_first_weights_have_the_size_and_the_order_of_the_package(engine):
    sizes = [2, 300, 300, 4]
    theta = engine.evaluate("sizes => [...new kdplay.MLP(sizes, kdplay.stream(5, 7)).theta]", sizes)
    ours, theirs = kd.MLP(*sizes, dtype="float64"), kd.MLP(*sizes, dtype="float64")
    theirs.theta[...] = theta
    for a, b in zip(ours.layers[::2], theirs.layers[::2]):
        assert b.W.std() == pytest.approx(a.W.std(), rel=0.1) and abs(b.W.mean()) < 0.1 * b.W.std() + 0.02
        assert not b.b.any()


def test_the_interval_and_the_verdict_are_those_of_the_study(engine, rng):
    for n in (2, 3, 8, 20, 41):
        for shift in (-3, -0.3, 0, 0.3, 3):
            gaps = shift + rng.normal(size=n)
            found = kd.study.interval(gaps)
            mean, half, verdict = engine.evaluate(
                "gaps => { const i = kdplay.interval(gaps); return [i.mean, i.half, kdplay.verdict(i)]; }",
                gaps.tolist(),
            )
            assert (mean, half) == pytest.approx((found.mean, found.half_width), rel=1e-9)
            table = kd.study.Comparison({"a": {"m": 0 * gaps}, "b": {"m": gaps}}, "a").table("m")
            assert (verdict == "no effect shown") == ("no effect shown" in table)
            if verdict != "no effect shown":
                assert verdict == ("helps" if mean > 0 else "hurts")
    assert engine.evaluate("kdplay.interval([1]).half === Infinity")


def test_a_seed_gives_the_same_points_and_others_give_others(engine):
    draw = "([set, n, seed, noise]) => { const p = kdplay.points(set, n, kdplay.stream(seed, 1), noise); "
    draw += "return [[...p.x], [...p.y]]; }"
    for name, classes in engine.evaluate("Object.entries(kdplay.SETS).map(([name, {K}]) => [name, K])"):
        x, y = map(np.array, engine.evaluate(draw, [name, 1200, 3, 0]))
        again, noisy = map(np.array, engine.evaluate(draw, [name, 600, 3, 0.3]))
        assert (again == x[:1200]).all()
        assert (np.bincount(y) == 1200 / classes).all()
        assert (noisy != y[:600]).mean() == pytest.approx(0.3, abs=0.06)
        other = np.array(engine.evaluate(draw, [name, 1200, 4, 0])[0])
        assert not (other == x).any()
        assert x.reshape(-1, 2).std(axis=0) == pytest.approx([1, 1], abs=0.35)


def test_without_weight_the_distilled_student_is_the_other_one(engine):
    row = engine.evaluate(playground.TRAIN, [{"weight": 0}, 0])
    assert row["alone"] == row["distilled"]


# ---- the numbers in the text -------------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_what_was_written_down_comes_out_again(engine, name):
    # another browser may round another way, which a training makes larger: so not to the last digit
    row = engine.evaluate(playground.TRAIN, [playground.buttons()[name], 13])
    for who, values in STUDIES[name].items():
        assert row[who] == pytest.approx(values[13], abs=0.03)


def test_the_page_says_what_was_found():
    text = " ".join(playground.PAGE.read_text("utf-8").split())
    assert list(STUDIES) == list(playground.buttons())
    for name in STUDIES:
        assert told(interval(name)) in text, name
        assert f"*{name}*" in text.lower(), name
    for soft, hard in (("the start", "hard answers"), ("no extra points", "hard answers, no extra points")):
        gaps = 100 * (np.array(STUDIES[soft]["distilled"]) - np.array(STUDIES[hard]["distilled"]))
        assert f"({'soft less hard: ' if soft == 'the start' else ''}{told(kd.study.interval(gaps))})" in text
    for name, who in (("the start", "alone"), ("a tuned baseline", "alone"), ("a bad teacher", "distilled")):
        assert f"{100 * np.mean(STUDIES[name][who]):.1f}" in text
    assert f"{100 * np.mean(STUDIES['a bad teacher']['teacher']):.1f} %" in text
    decays = json.loads(playground.FOUND.read_text("utf-8"))["decays"]
    assert float(max(decays, key=decays.get)) == playground.buttons()["a tuned baseline"]["decay"]
    assert decays["0.001"] == pytest.approx(np.mean(STUDIES["a tuned baseline"]["alone"]))
    assert f"![{stills.playground().description}](playground.svg)" in text


def test_all_of_it_is_smaller_than_60_kilobytes():
    parts = [DOCS / "_static" / "explore.css", playground.PAGE, DOCS / "explore" / "playground.svg"]
    assert sum(path.stat().st_size for path in (*parts, *playground.CODE.iterdir())) < 60_000


# ---- the page ----------------------------------------------------------------------------------------


def now(page, what):
    return page.evaluate(f"kdplay.now.{what}")


def shown(page, name):
    return page.locator(f"[data-v={name}]").first.text_content()


def test_twenty_seeds_are_trained_while_the_page_stays_alive(visit):
    page = visit()
    page.get_by_role("button", name="twenty seeds").press("Enter")
    page.wait_for_function("kdplay.studies[0].rows.length > 1")
    stop = page.get_by_role("button", name="stop")
    assert page.locator("progress").is_visible() and page.locator(".kdp-dot").count() > 1
    stop.press("Enter")
    assert re.search(r"after \d+ of 20 seeds: no verdict", shown(page, "verdict"))
    assert page.locator(".kdp-studies li").count() == 0 and not page.locator("progress").is_visible()

    page.get_by_role("button", name="twenty seeds").click()
    frames = page.evaluate(
        "() => new Promise(done => { let n = 0; const f = () => { n++; "
        "kdplay.now.worker ? requestAnimationFrame(f) : done(n); }; requestAnimationFrame(f); })"
    )
    assert frames > 20  # while it worked
    gaps = [float(dot.get_attribute("data-gap")) for dot in page.locator(".kdp-dot").all()]
    found = kd.study.interval(gaps)
    assert found.n == 20 and found.mean == pytest.approx(interval("the start").mean, abs=1)
    assert f"{told(found)} points: helps" in shown(page, "verdict")
    assert f"spirals: {told(found)} points: helps" in page.locator(".kdp-studies li").text_content()
    rows = page.evaluate("kdplay.studies[0].rows")
    assert [row["seed"] for row in rows] == list(range(20))
    assert now(page, "accuracies") == {k: v for k, v in rows[0].items() if k != "seed"}  # what is shown is seed 0
    line, dot = page.locator(".kdp-interval"), page.locator(".kdp-mean")
    ends = [float(line.get_attribute(x)) for x in ("x1", "x2")]
    assert float(dot.get_attribute("cx")) == pytest.approx(np.mean(ends))
    where = [float(d.get_attribute("cx")) for d in page.locator(".kdp-dot").all()]
    unit = np.polyfit(gaps, where, 1)[0]  # one scale for the dots and the interval
    assert (ends[1] - ends[0]) / unit == pytest.approx(2 * found.half_width)

    page.locator(".kdp-dot").nth(7).click()  # to the training behind a dot
    page.wait_for_function("kdplay.now.pair.done")
    assert page.evaluate("kdplay.settings.seed") == 7
    assert now(page, "accuracies.distilled") == rows[7]["distilled"]
    assert "points: helps" in shown(page, "verdict")  # of all seeds, this one among them
    page.get_by_role("button", name="many labels").click()
    assert shown(page, "verdict") == ""  # what was said of other settings is not said of these
    assert page.locator(".kdp-studies li").count() == 1
    page.get_by_role("button", name="the start").click()
    assert "points: helps" in shown(page, "verdict")


EFFECTS = {  # slider: what must follow it
    "T": "kdplay.now.pair.settings.T",
    "weight": "kdplay.now.pair.settings.weight",
    "labelled": "kdplay.now.pair.labelled.y.length",
    "unlabelled": "kdplay.now.pair.unlabelled.y.length",
    "noise": "(p => p.y.filter((k, n) => k !== n % 3).length / p.y.length)(kdplay.now.teacher.points)",
    "teacherPoints": "kdplay.now.teacher.points.y.length",
    "width": "kdplay.now.pair.distilled.net.layers[0].H",
    "decay": "kdplay.now.pair.alone.adam.decay",
    "seed": "kdplay.now.pair.settings.seed",
}


def test_every_slider_does_what_it_says(visit):
    page = visit()
    for name, effect in EFFECTS.items():
        slider = page.locator(f"input[name={name}]")
        output = page.locator(f"label:has(input[name={name}]) output")
        teacher, other = now(page, "teacher.net.theta[0]"), now(page, "pair.alone.net.theta[0]")
        slider.focus()
        for key in ("End", "ArrowLeft", "Home", "ArrowRight"):
            page.keyboard.press(key)
            value = float(output.text_content().removesuffix("\u00a0%")) / (100 if name == "noise" else 1)
            assert page.evaluate(effect) == pytest.approx(value, abs=0.05 if name == "noise" else 0), (name, key)
            number = f"{value:g}" if name != "noise" else f"{100 * value:g} %"
            assert number in slider.get_attribute("aria-valuetext")
        page.wait_for_function("kdplay.now.pair.done")
        new_teacher = name in ("noise", "teacherPoints", "seed")
        assert (now(page, "teacher.net.theta[0]") != teacher) == new_teacher, name
        heard = name in ("T", "weight", "unlabelled", "teacherPoints")  # by the distilled student alone
        assert (now(page, "pair.alone.net.theta[0]") == other) == heard, name
        if name == "decay":
            assert now(page, "pair.distilled.adam.decay") == 0
            decays = json.loads(playground.FOUND.read_text("utf-8"))["decays"]
            assert int(slider.get_attribute("max")) == len(decays) - 1
            page.locator("input[name=both]").press("Space")
            assert now(page, "pair.distilled.adam.decay") == now(page, "pair.alone.adam.decay") > 0


def test_every_choice_and_button_does_what_it_says(visit):
    page = visit()
    for name in ("rings", "islands", "crescents", "spirals"):
        page.get_by_role("radio", name=name).press("Space")
        page.wait_for_function("kdplay.now.pair.done")
        assert page.evaluate("kdplay.settings.data") == name
        assert now(page, "accuracies.teacher") > 0.85
    defaults = page.evaluate("kdplay.DEFAULTS")
    for name, changes in playground.buttons().items():
        page.get_by_role("button", name=name, exact=True).press("Enter")
        assert page.evaluate("kdplay.settings") == {**defaults, **changes}
        for control in page.locator("input[type=range]").all():  # each shows what is set
            value = page.evaluate("name => kdplay.settings[name]", control.get_attribute("name"))
            assert f"{value:g}" in control.get_attribute("aria-valuetext")


def test_it_plays_by_itself_and_answers_to_play_step_end_and_again(visit):
    page = visit(ready=False, reduced_motion="no-preference")
    page.wait_for_function("kdplay.now.pair.t > 8")  # nobody has pressed anything; the teacher has learned
    assert now(page, "teacher.adam.t") == page.evaluate("kdplay.PLAN.teacherSteps")
    page.get_by_role("button", name="pause").press("Space")
    t = now(page, "pair.t")
    page.wait_for_timeout(150)
    assert now(page, "pair.t") == t == int(shown(page, "step"))
    page.get_by_role("button", name="ten steps").press("Space")
    assert now(page, "pair.t") == t + 10 == int(shown(page, "step"))
    page.get_by_role("button", name="play").press("Space")
    page.wait_for_function(f"kdplay.now.pair.t > {t + 20}")
    page.get_by_role("button", name="to the end").press("Space")
    assert now(page, "pair.t") == page.evaluate("kdplay.PLAN.steps") and not now(page, "playing")
    gap = 100 * (now(page, "accuracies.distilled") - now(page, "accuracies.alone"))
    assert float(shown(page, "gap").replace("\N{MINUS SIGN}", "-")) == pytest.approx(gap, abs=0.051)
    page.get_by_role("button", name="again").press("Space")
    assert now(page, "pair.t") < 500 and now(page, "playing")


def test_who_wants_no_motion_sees_the_end_and_nothing_moves(visit):
    page = visit()
    page.evaluate(
        "() => { window.frames_ = 0; const f = requestAnimationFrame; "
        "window.requestAnimationFrame = g => { window.frames_++; return f(g); }; }"
    )
    page.locator("input[name=T]").press("ArrowRight")
    page.wait_for_function("kdplay.settings.T === 8 && kdplay.now.pair.done")
    page.wait_for_timeout(100)
    assert page.evaluate("window.frames_") == 0 and not now(page, "playing")
    page.get_by_role("button", name="play").press("Enter")  # unless it is asked for
    page.wait_for_function("kdplay.now.playing && window.frames_ > 2")


def test_the_tab_key_reaches_every_control(visit):
    page = visit()
    wanted = page.evaluate("() => document.querySelectorAll('button, input:not([type=radio])').length + 1")
    reached = set()
    for _ in range(wanted + 1):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "() => { const e = document.activeElement; "
                "return `${e.tagName} ${e.name || e.dataset.do || e.textContent}`; }"
            )
        )
    assert len({r for r in reached if not r.startswith("BODY")}) == wanted


def test_it_answers_to_a_finger(visit):
    page = visit(width=390, has_touch=True, is_mobile=True)
    slider = page.locator("input[name=labelled]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box["height"] >= 24
    page.touchscreen.tap(box["x"] + 0.97 * box["width"], box["y"] + box["height"] / 2)
    assert page.evaluate("kdplay.settings.labelled") == 500
    page.get_by_role("button", name="again").tap()
    assert now(page, "pair.t") == 0


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_phone_and_desk_by_day_and_by_night(visit, width, scheme):
    page = visit(width=width, color_scheme=scheme)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    for panel in page.locator("canvas").all():
        box = panel.bounding_box()
        assert 100 < box["width"] == pytest.approx(box["height"], abs=1)
        colors = panel.evaluate(
            "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const seen = {}; "
            "for (let i = 0; i < d.length; i += 4) { const k = [d[i] >> 5, d[i + 1] >> 5, d[i + 2] >> 5]; "
            "seen[k] = (seen[k] || 0) + 4 / d.length; } return Object.values(seen).filter(v => v > .05).length; }"
        )
        assert colors >= 3  # a region for each class
    card, ink = page.evaluate(
        "() => { const s = getComputedStyle(document.querySelector('.kdx')); return [s.backgroundColor, s.color]; }"
    )
    light = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (card, ink)]
    assert (light[0] > light[1] + 400) == (scheme == "light")


def test_without_javascript_a_picture_and_its_words_are_there(visit):
    page = visit(ready=False, java_script_enabled=False)
    image = page.locator("img")
    assert image.is_visible() and image.bounding_box()["height"] > 100
    assert not page.locator(".kdp-panels").is_visible() and page.locator("figcaption").is_visible()
    page = visit()
    assert page.locator(".kdp-panels").is_visible() and not page.locator("img").is_visible()
