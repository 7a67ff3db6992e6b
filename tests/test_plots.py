"""Figures hold the data they show; a picture itself is looked at, not compared."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

import kdlearn as kd
from kdlearn import plots
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
    assert "T = 2" in ax.get_title() and [t.get_text() for t in ax.get_xticklabels()] == ["cat", "dog", "car"]


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
    ax = plots.curves([1, 10], {"a": [1, 2], "b": [3, 4]}, log="xy")
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
