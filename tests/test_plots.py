"""Figures hold the data they show; a picture itself is looked at, not compared."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import kdlearn as kd
from kdlearn import plots, theme
from kdlearn.study import Interval

matplotlib.use("Agg")
Z = np.array([2.0, 0.5, -1.0])


@pytest.fixture(autouse=True)
def close():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_softened_bars_are_the_probabilities():
    ax = plots.softened(Z, 2.0, names=["cat", "dog", "car"])
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], kd.softmax(Z[None], 2.0)[0])
    assert ax.get_title() == f"T = 2   entropy {kd.metrics.entropy(Z[None], 2.0):.2f} nats"
    assert plots.softened(np.array([800.0, 0.0]), 1.0).get_title() == "T = 1   entropy 0.00 nats"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["cat", "dog", "car"]


def test_temperature_paths_start_hard_and_end_uniform():
    lines = plots.temperature_paths(Z).lines[:3]
    assert lines[0].get_ydata()[0] > 0.999
    assert all(abs(line.get_ydata()[-1] - 1 / 3) < 0.02 for line in lines)


def test_heatmap_is_symmetric_about_zero():
    image = plots.heatmap(np.array([[1.0, -3.0]])).images[0]
    assert image.get_clim() == (-3, 3)
    plots.heatmap(np.zeros((2, 2)))


def test_intervals_are_grey_where_they_hold_zero():
    ax = plots.intervals({"a": Interval(1, 0.5, 5), "b": Interval(0.1, 0.5, 5)})
    colors = [line.get_color() for line in ax.lines if len(line.get_xdata()) == 1 and line.get_marker() == "o"]
    assert colors == [plots.STUDENT, plots.NEUTRAL]


def test_history_draws_both_parts():
    rows = kd.Data({"x": np.eye(4, dtype=np.float32), "y": np.arange(4)})
    record = kd.fit(kd.MLP(4, 4), kd.CrossEntropy(), rows, validation=rows, epochs=3, progress=False)
    ax = plots.history(record)
    assert [line.get_label() for line in ax.lines] == ["loss", "loss, validation"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), record["loss"])
    ax = plots.history(record, "cross")  # a beginning of the name drew the training alone
    assert [line.get_label() for line in ax.lines] == ["cross", "cross, validation"]


def test_reliability_bars_are_accuracies():
    z = np.log(np.array([[0.95, 0.05]] * 4))
    ax = plots.reliability(z, np.array([0, 0, 0, 1]))
    assert [bar.get_height() for bar in ax.patches] == [0.75]


def test_pictures_of_data_draw(rng):
    x, y = rng.normal(size=(20, 2)).astype(np.float32), rng.integers(0, 3, 20)
    plots.regions(kd.MLP(2, 4, 3), x, y)
    plots.regions(kd.MLP(2, 4, 2), x, y % 2)
    plots.image(np.arange(64.0))


def test_pushes_point_against_the_gradient():
    assert [bar.get_height() for bar in plots.pushes({"a": np.array([[1.0, -2.0]])}).patches] == [-1, 2]


def test_curves_keep_their_scales():
    ax = plots.curves(np.array([1, 10]), {"a": np.array([1.0, 2.0]), "b": [3, 4]}, log="xy")
    assert ax.get_xscale() == ax.get_yscale() == "log" and len(ax.lines) == 2
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10"]
    assert not ax.get_xticks(minor=True).size


def test_an_axes_is_used_and_returned():
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1]
    assert plots.probabilities([0.5, 0.5], ax=ax) is ax


def test_shares_are_percent_of_the_whole():
    ax = plots.shares({"one": 1.0, "three": 3.0})
    assert [round(bar.get_width()) for bar in ax.patches] == [25, 75]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "three"]


def test_a_graph_adds_what_comes_back_to_a_box():
    places = {"h": (0, 0), "z1": (1, 1), "z2": (1, 0)}
    values = {"h": 0.8, "z1": 1.2, "z2": -0.4}
    ax = plots.graph(places, values, {("h", "z1"): 0.5, ("h", "z2"): -0.75})
    words = [t.get_text() for t in ax.texts]
    assert {"h = 0.80", "z1 = 1.20", "z2 = -0.40", "+0.50", "-0.75", "-0.25"} == {w for w in words if w}
    (total,) = (t for t in ax.texts if t.get_text() == "-0.25")
    assert total.get_position()[0] == 0 and total.get_color() == plots.GRADIENT


# ------------------------------------------------------------------ the house style


def luminance(color):
    """Of a colour, as WCAG 2.1 defines it."""
    v = np.array(to_rgb(color))
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_drawn_can_be_read_on_its_ground(dark):
    with plots.style(dark):
        ax = plots.curves([1, 2], {name: [i, i + 1] for i, name in enumerate("abcd")})
        bars = plots.probabilities([0.5, 0.5])
    ground = ax.get_facecolor()
    assert bool(luminance(ground) < 0.1) == dark and ax.figure.get_facecolor() == ground
    drawn = [line.get_color() for line in ax.lines] + [text.get_color() for text in ax.texts]
    for color in [*drawn, ax.xaxis.label.get_color(), bars.patches[0].get_facecolor()]:
        assert contrast(color, ground) > 4.5


def test_the_theme_ends_where_its_block_ends():
    before = dict(matplotlib.rcParams)
    with plots.style(dark=True):
        assert matplotlib.rcParams["axes.facecolor"] != before["axes.facecolor"]
    assert dict(matplotlib.rcParams) == before


def test_what_a_backend_sets_at_its_first_figure_stays(monkeypatch):
    """As a notebook's does: it turns the display of figures on."""
    monkeypatch.setitem(matplotlib.rcParams, "interactive", False)
    with plots.style():
        matplotlib.rcParams["interactive"] = True
    assert matplotlib.rcParams["interactive"]


def test_colours_are_those_of_the_diagrams():
    from diagrams.draw import COLORS

    for name in ("teacher", "student", "label", "gradient"):
        light, dark = COLORS[name]
        assert getattr(theme, name.upper()) == light and theme.ON_DARK[light] == dark


@pytest.mark.parametrize("dark", [False, True])
def test_zero_is_the_ground_and_more_is_further_from_it(dark):
    with plots.style(dark):
        ax = plots.heatmap(np.array([[0.2, 0.8]]), signed=False)
        signed = plots.heatmap(np.array([[-1.0, 1.0]])).images[0].get_cmap()
    image, ground = ax.images[0], luminance(ax.get_facecolor())
    assert image.get_clim() == (0, 1)
    steps = [abs(luminance(image.get_cmap()(p)) - ground) for p in np.linspace(0, 1, 21)]
    assert steps[0] < 0.02 and (np.diff(steps) > 0).all()
    middle, low, high = (signed(v) for v in (0.5, 0.0, 1.0))
    assert abs(luminance(middle) - ground) < 0.1
    assert low[2] > low[0] and high[0] > high[2]  # blue below, red above


def boxes(ax):
    """The frames of the names, in pixels, as they were drawn."""
    ax.figure.canvas.draw()
    return [text.get_window_extent() for text in ax.texts]


def test_names_stand_beside_their_lines_and_not_on_each_other():
    ends = {"first": 1.0, "second": 1.001, "third": 1.002, "far": 5.0}
    ax = plots.curves([0, 1], {name: [0, end] for name, end in ends.items()})
    ax.set_ylim(0, 40)  # afterwards: now all the ends lie close together
    assert [text.get_text() for text in ax.texts] == list(ends)
    found = boxes(ax)
    right = ax.get_window_extent().x1
    for i, box in enumerate(found):
        assert box.x0 > right - 20 and box.x1 < ax.figure.bbox.width  # the layout made room
        for other in found[:i]:
            assert not box.overlaps(other)
    heights = [box.y0 for box in found]
    assert sorted(heights) == heights and not ax.get_legend().get_visible()
    ax.get_legend().remove()  # as figures do that name their lines themselves
    assert not ax.texts


def test_names_go_into_a_legend_where_there_is_no_room():
    import matplotlib.pyplot as plt

    ax = plots.curves([0, 1], {"a": [0, 1], "b": [1, 0]}, ax=plt.subplots()[1])
    assert not ax.texts and ax.get_legend().get_visible()
    many = plots.curves([0, 1], {str(i): [0, i] for i in range(9)})
    assert not many.texts and many.get_legend().get_visible()


def test_label_lines_takes_the_legends_place():
    ax = plots.curves([0, 1], {"a": [0, 1]})
    ax.plot([0, 1], [1, 0], label="b")
    ax.legend()
    assert [t.get_text() for t in plots.label_lines(ax).texts] == ["a", "b"] and not ax.get_legend().get_visible()


def test_means_get_a_band():
    ax = plots.curves([1, 2], {"a": [Interval(1, 0.5, 5), Interval(2, 0.25, 5)], "b": [0, 1]})
    assert [list(line.get_ydata()) for line in ax.lines] == [[1, 2], [0, 1]]
    (band,) = ax.collections
    ys = band.get_paths()[0].vertices[:, 1]
    assert ys.min() == 0.5 and ys.max() == 2.25


def test_panels_share_a_scale():
    left, right = plots.panels(2)
    left.plot([0, 10])
    right.plot([0, 1])
    assert left.get_ylim() == right.get_ylim()


def test_axes_drawn_one_by_one_get_one_scale():
    a, b = plots.heatmap(np.array([[1.0]])), plots.heatmap(np.array([[-3.0]]))
    plots.one_scale(a, b)
    assert a.images[0].get_clim() == b.images[0].get_clim() == (-3, 3)
    c, d = plots.curves([0, 1], {"x": [0, 1]}), plots.curves([0, 1], {"x": [5, 9]})
    plots.one_scale(c, d)
    assert c.get_ylim() == d.get_ylim() and c.get_ylim()[0] < 0 and c.get_ylim()[1] > 9


def test_regions_of_probability_show_where_they_are_even(rng):
    x = rng.normal(size=(20, 2)).astype(np.float32)
    ax = plots.regions(kd.MLP(2, 4, 2), x, (x[:, 0] > 0).astype(int))
    assert [c.levels.tolist() for c in ax.collections if getattr(c, "levels", None) is not None][-1] == [0.5]


@pytest.mark.parametrize("K", [2, 3, 4, 8, 12])
def test_a_point_has_the_colour_of_its_labels_region(K):
    """With three classes no point had; with two of three among the rows, one had another's."""

    class Stripes:
        def predict_proba(self, x):
            return np.eye(K)[np.clip(np.floor(x[:, 0] + 0.5).astype(int), 0, K - 1)]

    x = np.column_stack([np.arange(K), np.zeros(K)]).astype(float)
    ax = plots.regions(Stripes(), x, np.arange(K))
    ax.figure.canvas.draw()
    if K > 2:
        regions = [to_rgb(c) for c in ax.collections[0].get_facecolor()]
        assert [to_rgb(c) for c in ax.collections[-1].get_facecolor()] == regions and len(set(regions)) == K
    points = [to_rgb(c) for c in ax.collections[-1].get_facecolor()]
    some = plots.regions(Stripes(), x[1:], np.arange(1, K))
    some.figure.canvas.draw()
    assert [to_rgb(c) for c in some.collections[-1].get_facecolor()] == points[1:]
    with pytest.raises(ValueError, match=f"y has the label .*{K}"):
        plots.regions(Stripes(), x, np.arange(K) + 1)
    named = Stripes()
    named.classes_ = np.array([f"c{k:02}" for k in range(K)])
    ax = plots.regions(named, x, named.classes_)
    ax.figure.canvas.draw()
    assert [to_rgb(c) for c in ax.collections[-1].get_facecolor()] == points


def test_a_cell_without_a_number_takes_no_colour_from_the_others():
    """The scale was ±0.1 then; that of -128 in one byte was ±1."""
    image = plots.heatmap(np.array([[1.0, np.nan], [-2.0, np.inf]])).images[0]
    assert image.get_clim() == (-2, 2) and image.get_array().mask.tolist() == [[False, True], [False, True]]
    assert plots.heatmap(np.array([[1, -128]], np.int8)).images[0].get_clim() == (-128, 128)


@pytest.mark.parametrize("end, log", [(np.nan, ""), (np.inf, ""), (0.0, "y")])
def test_a_line_that_ends_nowhere_keeps_its_name_and_the_others_theirs(end, log):
    """One arm that diverged took the names of all lines away."""
    import matplotlib.pyplot as plt

    ax = plots.curves([1, 2, 3], {"a": [1, 2, 3], "b": [3, 2, end]}, log=log, ax=plots.panels(1)[0])
    ax.figure.canvas.draw()
    boxes = {t.get_text(): t.get_window_extent() for t in ax.texts}
    plt.close(ax.figure)
    assert all(np.isfinite(box.bounds).all() and box.x0 > 50 for box in boxes.values()) and set(boxes) == {"a", "b"}
    assert boxes["b"].x0 < boxes["a"].x0


@pytest.mark.parametrize(
    "draw",
    [
        plots.probabilities,
        lambda rows: plots.softened(rows, 2.0),
        plots.temperature_paths,
        lambda rows: plots.pushes({"a": rows}),
    ],
)
def test_a_picture_of_one_row_is_not_of_the_first_of_several(draw):
    draw(np.array([[0.2, 0.8]]))
    with pytest.raises(ValueError, match="must be one row of numbers, got shape"):
        draw(np.array([[0.2, 0.8], [0.5, 0.5]]))


def test_shares_of_small_whole_numbers_sum_to_a_hundred():
    bars = plots.shares({"a": np.uint8(200), "b": np.uint8(100)}).patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [200 / 3, 100 / 3])


def plane(x=None, y=None):
    return plots.regions(kd.MLP(2, 4, 2), np.eye(3)[:, :2] if x is None else x, np.arange(3) % 2 if y is None else y)


def test_different_names_look_different():
    """The fourth gradient looked like the first, the fifth line like the first, and the eleventh class had no name."""
    bars = plots.pushes({str(i): Z for i in range(12)}).containers
    assert len({(b[0].get_facecolor(), b[0].get_hatch()) for b in bars}) == 12
    lines = plots.curves([0, 1], {str(i): [0, i] for i in range(16)}).lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 16
    names = [f"class of {i}" for i in range(20)]
    ax = plots.temperature_paths(np.arange(20.0), names)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines[:20]}) == 20
    assert [text.get_text() for text in ax.get_legend().get_texts()] == names
    assert plots.temperature_paths(np.arange(20.0)).get_legend() is None


REFUSED = {
    "shares are of parts of at least 0 with a sum above 0, got {'x': 0, 'y': 0}": lambda: plots.shares(
        {"x": 0, "y": 0}
    ),
    "names has 2 names, there are 3 classes: give one for each": lambda: plots.probabilities(Z, ["a", "b"]),
    "names has 4 names, there are 3 classes: give one for each": lambda: plots.temperature_paths(Z, list("abcd")),
    "the image has 8 pixels, which make no square image: 3·3 are 9": lambda: plots.image(np.arange(8)),
    "a column of W has 7 pixels, which make no square image: 3·3 are 9": lambda: plots.filters(np.ones((7, 3))),
    'log names the axes that are logarithmic, "x", "y" or "xy", got \'z\'': lambda: plots.curves(
        [1, 2], {"a": [1, 2]}, log="z"
    ),
    "there are no gradients to draw": lambda: plots.pushes({}),
    "values must be a matrix, got shape (3,)": lambda: plots.heatmap(Z),
    "W must be a matrix (D, H), got shape (9,)": lambda: plots.filters(np.ones(9)),
    "the image must be one image's pixels, got shape (4, 9): give one row of them": lambda: plots.image(
        np.ones((4, 9))
    ),
    "the gradients must be of one row's classes, all of one length; got {'hard': 3, 'soft': 2}": lambda: plots.pushes(
        {"hard": Z, "soft": Z[:2]}
    ),
    "x must be points of a plane (N, 2), at least one, got shape (3, 3)": lambda: plane(np.ones((3, 3))),
    "x must be points of a plane (N, 2), at least one, got shape (0, 2)": lambda: plane(np.ones((0, 2))),
    "y must be a label for each of the 3 points, (3,), got shape (3, 1)": lambda: plane(y=np.ones((3, 1), int)),
    "y must be a label for each of the 3 points, (3,), got shape (2,)": lambda: plane(y=np.ones(2, int)),
    "x[1] has a coordinate that is NaN or infinite: leave such points out": lambda: plane(
        np.array([[0, 0], [np.nan, 0], [1, 1]])
    ),
    "at most 16 lines can be told apart, got 17: draw fewer in one picture": lambda: plots.curves(
        [0, 1], {str(i): [0, i] for i in range(17)}
    ),
    "at most 12 gradients can be told apart, got 13: draw fewer in one picture": lambda: plots.pushes(
        {str(i): Z for i in range(13)}
    ),
    "at most 20 named classes can be told apart, got 21: draw fewer in one picture": lambda: plots.temperature_paths(
        np.arange(21.0), [str(i) for i in range(21)]
    ),
    "the edge ('x', 'z') names 'z', which has no place: places has ['x']": lambda: plots.graph(
        {"x": (0, 0)}, {"x": 1.0}, {("x", "z"): 1.0}
    ),
    "values has no number for 'x': give one for each of the places": lambda: plots.graph({"x": (0, 0)}, {}, {}),
    "count must be at least 1, got 0": lambda: plots.filters(np.ones((9, 4)), count=0),
    "columns must be at least 1, got 0": lambda: plots.filters(np.ones((9, 4)), columns=0),
    **{
        f"probabilities are at least 0 and their sum is 1, got a smallest of {smallest:g} and a sum of {sum(p):g}: of "
        "logits draw kd.softmax(z)[0]": lambda p=p: plots.probabilities(p)
        for p, smallest in (([1, 1], 1), ([1.5, -0.5], -0.5))
    },
    "the line 'b' has no point above 0, and a logarithmic axis shows no other: leave out log": lambda: plots.curves(
        [1, 2], {"a": [1, 2], "b": [0, -1]}, log="y"
    ),
    "the line 'a' has 3 values, x has 2": lambda: plots.curves([1, 2], {"a": [1, 2, 3]}),
}
NO_INTERVAL = {
    "by_temperature[8]": lambda: plots.accuracy_by_temperature({8: [0.9, 0.91]}, Interval(88, 1, 5)),
    "baseline": lambda: plots.accuracy_by_temperature({8: Interval(88, 1, 5)}, [0.7, 0.72]),
    "differences['a']": lambda: plots.intervals({"a": [0.1, 0.2]}),
    "the line 'a'": lambda: plots.curves([1, 2], {"a": [Interval(88, 1, 5), 88.0]}),
    "the line 'b'": lambda: plots.curves([1, 2], {"b": [[0.9, 0.91], [0.7, 0.72]]}),
}


@pytest.mark.parametrize("what", NO_INTERVAL)
def test_scores_in_the_place_of_an_interval_are_refused(what):
    """A raw AttributeError of `low`; and a line of two seeds was drawn as two lines of one name."""
    import matplotlib.pyplot as plt

    with pytest.raises(TypeError, match=rf"^{re.escape(what)} must be .*kd\.study\.interval\(values\)"):
        NO_INTERVAL[what]()
    assert not plt.get_fignums()


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_drawn_is_refused_before_there_is_a_figure(words):
    import matplotlib.pyplot as plt

    with pytest.raises(ValueError) as refused:
        REFUSED[words]()
    assert str(refused.value) == words and not plt.get_fignums()


def test_temperatures_are_joined_in_their_order():
    means = {1: Interval(90, 1, 5), 4: Interval(94, 1, 5), 2: Interval(92, 1, 5)}
    ax = plots.accuracy_by_temperature(means, Interval(88, 1, 5))
    (line,) = (line for line in ax.lines if line.get_marker() == "o")
    assert list(line.get_xdata()) == [1, 2, 4] and list(line.get_ydata()) == [90, 92, 94]
