"""The figures of docs/explore answer to keys and to the mouse, and show what the package computes."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from chromium import visits
from figures import figure

import kdlearn as kd

PAGES = ("temperature", "gradient", "slopes")


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a figure."""
    with visits(browser, tmp_path) as open_page:
        yield lambda name, **options: open_page(figure(name), **options)


def shown(page):
    """{name: words} of every number in the figure."""
    pairs = page.evaluate("() => [...document.querySelectorAll('[data-v]')].map(n => [n.dataset.v, n.textContent])")
    for name, words in pairs:  # a name that stands twice says the same twice
        assert dict(pairs)[name] == words
    return dict(pairs)


def number(words):
    return float(words.replace("\N{MINUS SIGN}", "-").removeprefix("under ").removesuffix("\u00a0%"))


def state(page):
    """T, the rows of logits and the label, as the controls say."""
    T = 2.0 ** float(page.locator("input[type=range]").input_value())
    row = {}
    for who in ("teacher", "student"):
        handles = page.locator(f"[role=slider][aria-label$='{who}']").all()
        row[who] = np.array([[float(h.get_attribute("aria-valuenow")) for h in handles]])
    radios = [r.is_checked() for r in page.locator("input[type=radio]").all()]
    y = np.array([radios.index(True)]) if radios else None
    return SimpleNamespace(T=T, t=row["teacher"], s=row["student"], y=y)


def drawn(page, selector, attribute):
    """That attribute of each shape in the panels."""
    return [float(shape.get_attribute(attribute)) for shape in page.locator(f".kdx-panels {selector}").all()]


def temperature(page):
    """Asserts that the numbers shown are the package's, and returns the state."""
    now, words = state(page), shown(page)
    p = kd.softmax(now.t, now.T)[0]
    assert [number(words[f"p-{c}"]) for c in "ABCDE"] == pytest.approx(p, abs=5.1e-4)
    assert drawn(page, "rect.teacher", "width") == pytest.approx(100 * p, abs=0.01)
    entropy = kd.metrics.entropy(now.t, now.T)
    assert number(words["H"]) == pytest.approx(entropy, abs=5.1e-3)
    assert number(words["even"]) == pytest.approx(np.exp(entropy), abs=0.051)
    assert words["first"] == "ABCDE"[p.argmax()] and number(words["most"]) == pytest.approx(100 * p.max(), abs=0.051)
    if p.min() > 1e-4:
        assert words["last"] == "ABCDE"[p.argmin()]
        assert number(words["least"]) == pytest.approx(100 * p.min(), abs=0.051)
    return now


def gradient(page):
    now, words = state(page), shown(page)
    value, dz = kd.soft_targets(now.s, now.t, T=now.T)
    hard_value, hard = kd.cross_entropy(now.s, now.y)
    assert [number(words[f"teacher-{c}"]) for c in "ABCDE"] == pytest.approx(-dz[0], abs=5.1e-3)
    assert [number(words[f"label-{c}"]) for c in "ABCDE"] == pytest.approx(-hard[0], abs=5.1e-3)
    bars = np.array(drawn(page, "rect.teacher, rect.label", "width")).reshape(5, 2)
    assert bars / 54 == pytest.approx(np.minimum(2, np.abs([dz[0], hard[0]])).T, abs=1e-3)
    k = "ABCDE".index(words["k"])
    assert abs(dz[0, k]) == pytest.approx(np.abs(dz).max(), abs=1e-9)
    assert number(words["soft"]) == pytest.approx(-dz[0, k], abs=5.1e-3)
    assert number(words["hard"]) == pytest.approx(-hard[0, k], abs=5.1e-3)
    assert number(words["p"]) == pytest.approx(100 * kd.softmax(now.t, now.T)[0, k], abs=0.051)
    assert number(words["q"]) == pytest.approx(100 * kd.softmax(now.s, now.T)[0, k], abs=0.051)
    assert number(words["KL"]) == pytest.approx(float(value), abs=5.1e-4)
    assert number(words["CE"]) == pytest.approx(float(hard_value), abs=5.1e-4)
    assert words["y"] == "ABCDE"[now.y[0]]
    return now


def slopes(page):
    now, words = state(page), shown(page)
    size, later = (np.linalg.norm(kd.soft_targets(now.s, now.t, T=T)[1]) for T in (now.T, 2 * now.T))
    limit = np.linalg.norm(kd.soft_targets(now.s, now.t, T=1e6)[1])
    heights = (
        1 - 6 * (np.array(drawn(page, "circle", "cy")) - 26) / 226
    )  # of the dots on the three curves, as powers of ten
    assert heights == pytest.approx(np.clip(np.log10([size, size / now.T**2, limit]), -5.2, 1), abs=0.02)
    expected = {"with": size, "without": size / now.T**2, "limit": limit}
    for name, value in expected.items():
        assert number(words[name]) == pytest.approx(value, rel=0.051 if value < 1e-3 else 5.1e-3), name
    assert number(words["up"]) == pytest.approx(later / size, abs=5.1e-3)
    assert number(words["down"]) == pytest.approx(later / size / 4, abs=5.1e-3)
    assert number(words["slope"]) == pytest.approx(np.log2(later / size), abs=5.1e-3)
    assert number(words["fall"]) == pytest.approx(np.log2(later / size / 4), abs=5.1e-3)
    return now


CHECK = {"temperature": temperature, "gradient": gradient, "slopes": slopes}


def drag(page, handle, by):
    handle.scroll_into_view_if_needed()
    box = handle.locator("path").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by / 2, y)
    page.mouse.move(x + by, y)
    page.mouse.up()


def test_the_mathematics_is_that_of_the_package(visit, rng):
    page = visit("gradient")
    for T in (0.125, 1.0, 4.0, 512.0):
        s, t = 3 * rng.normal(size=(2, 1, 5))
        call = "([f, ...a]) => { const r = window.kdexplore[f](...a); return Array.isArray(r) ? r : [r]; }"

        def js(f, *arguments, call=call):
            return page.evaluate(call, [f, *(a[0].tolist() if isinstance(a, np.ndarray) else a for a in arguments)])

        p = kd.softmax(t, T)
        assert js("softmax", t, T) == pytest.approx(p[0], abs=1e-12)
        assert js("entropy", p) == pytest.approx([kd.metrics.entropy(t, T)], abs=1e-12)
        value, dz = kd.soft_targets(s, t, T=T)
        assert js("softTargets", s, t, T) == pytest.approx([value], abs=1e-8)
        assert js("softTargetsGradient", s, t, T) == pytest.approx(dz[0], abs=1e-11)
        value, dz = kd.cross_entropy(s, np.array([2]))
        assert js("crossEntropy", s, 2) == pytest.approx([value], abs=1e-12)
        assert js("crossEntropyGradient", s, 2) == pytest.approx(dz[0], abs=1e-12)
        assert js("hotLimit", s, t) == pytest.approx(kd.soft_targets(s, t, T=1e7)[1][0], abs=1e-5)


@pytest.mark.parametrize("name", PAGES)
def test_without_javascript_a_picture_and_the_same_numbers_are_there(visit, name):
    page = visit(name, java_script_enabled=False)
    assert page.locator("img").is_visible() and page.locator("img").bounding_box()["height"] > 100
    assert not page.locator(".kdx-panels").is_visible() and not page.locator("input").first.is_visible()
    before = {n.get_attribute("data-v"): n.text_content() for n in page.locator("[data-v]").all()}
    page = visit(name)
    assert page.locator(".kdx-panels").is_visible() and not page.locator("img").is_visible()
    CHECK[name](page)
    assert before.items() <= shown(page).items()


@pytest.mark.parametrize("name", PAGES)
def test_the_slider_answers_to_keys_and_to_the_mouse(visit, name):
    page = visit(name)
    slider = page.locator("input[type=range]")
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    assert CHECK[name](page).T == 8 and shown(page)["T"] == "8"
    assert slider.get_attribute("aria-valuetext") == "T = 8"
    page.keyboard.press("Home")
    assert CHECK[name](page).T == 1 / 8 and shown(page)["T"] == "0.125"
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    assert CHECK[name](page).T > 16


@pytest.mark.parametrize("name", PAGES)
def test_the_handles_answer_to_keys_and_to_the_mouse(visit, name):
    page = visit(name)
    handle = page.get_by_role("slider", name="logit of class C, teacher")
    before = CHECK[name](page)
    drag(page, handle, 30)
    after = CHECK[name](page)
    assert after.t[0, 2] > before.t[0, 2] + 0.5
    assert np.delete(after.t - before.t, 2, axis=1).tolist() == [[0] * 4] and after.T == before.T
    handle.focus()
    page.evaluate("() => { window.heard = 0; document.addEventListener('keydown', () => window.heard++); }")
    for key, by in (("ArrowLeft", -0.1), ("PageUp", 1), ("ArrowUp", 0.1)):
        was = state(page).t[0, 2]
        page.keyboard.press(key)
        assert CHECK[name](page).t[0, 2] == pytest.approx(was + by)
    page.keyboard.press("End")
    assert CHECK[name](page).t[0, 2] == 8
    assert page.evaluate("() => window.heard") == 0, "the theme turns pages with the arrow keys"
    if name != "temperature":
        drag(page, page.get_by_role("slider", name="logit of class B, student"), -40)
        assert CHECK[name](page).s[0, 1] < -2


def test_the_handles_answer_to_a_finger(visit):
    page = visit("gradient", width=390, has_touch=True, is_mobile=True)
    handle = page.get_by_role("slider", name="logit of class B, student")
    handle.scroll_into_view_if_needed()
    box = handle.locator("path").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        *(("touchMove", [{"x": x + by, "y": y}]) for by in range(5, 65, 5)),
        ("touchEnd", []),
    ):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert gradient(page).s[0, 1] > -1 + 2.5


@pytest.mark.parametrize("name", ["temperature", "slopes"])
def test_the_curve_can_be_taken_hold_of(visit, name):
    page = visit(name)
    handle = page.locator("[role=slider].here")
    drag(page, handle, -60)
    assert CHECK[name](page).T < 2
    handle.focus()
    page.keyboard.press("End")
    now = CHECK[name](page)
    hottest = 128 if name == "temperature" else 512
    assert hottest == now.T


@pytest.mark.parametrize("name", PAGES)
def test_every_button_and_choice_does_something(visit, name):
    page = visit(name)
    for control in page.locator("button:not([data-play]), input[type=radio]:not(:checked)").all()[::-1]:
        before = state(page)
        control.focus()
        page.keyboard.press("Space")
        after = CHECK[name](page)
        assert str(after) != str(before), control.text_content()


def test_steps_on_the_soft_targets_end_at_the_teacher_and_steps_on_the_label_do_not(visit):
    page = visit("gradient")
    page.locator("input[type=range]").press("End")  # a step then covers a fifth of what is left
    for _ in range(40):
        page.get_by_role("button", name="a step on the soft targets").click()
    now = gradient(page)
    assert now.s - now.s.mean() == pytest.approx(now.t - now.t.mean(), abs=0.01)
    for _ in range(5):
        page.get_by_role("button", name="a step on the label").click()
    assert state(page).s[0, 0] > now.s[0, 0]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read_in_the_dark(visit, name, scheme):
    page = visit(name, width=360, color_scheme=scheme)
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    ink, card = page.evaluate(
        "() => { const s = getComputedStyle(document.querySelector('.kdx')); return [s.color, s.backgroundColor]; }"
    )
    light = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (ink, card)]
    assert (light[0] < light[1] - 400) if scheme == "light" else (light[0] > light[1] + 400)
    CHECK[name](page)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_play_walks_the_student_to_the_teacher_and_can_be_stopped(visit, motion):
    page = visit("gradient", reduced_motion=motion)
    soft, hard = (page.locator(f"button[data-play={loss}]") for loss in ("soft", "hard"))
    start = gradient(page)
    soft.click()
    if motion == "no-preference":
        assert soft.get_attribute("aria-pressed") == "true"
        page.wait_for_function(
            f"document.querySelector('[data-v=KL]').textContent < {kd.soft_targets(start.s, start.t)[0] / 2}"
        )
        soft.click()
        assert soft.get_attribute("aria-pressed") == "false"
        paused = state(page).s
        page.wait_for_timeout(200)
        assert (state(page).s == paused).all() and not np.allclose(paused, start.t, atol=0.2)
        soft.click()
    page.wait_for_function("document.querySelector('button[data-play=soft]').ariaPressed === 'false'")
    assert gradient(page).s == pytest.approx(start.t, abs=0.1)
    hard.click()
    page.wait_for_timeout(300)
    page.locator("button", has_text="start again").click()
    assert gradient(page).s == pytest.approx(start.s)
    page.wait_for_timeout(200)
    assert gradient(page).s == pytest.approx(start.s), "anything else that is pressed stops it"
