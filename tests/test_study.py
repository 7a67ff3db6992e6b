"""Paired comparisons: the interval by simulation, and the same numbers however they are run."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import kdlearn as kd
from kdlearn.study import choose, compare, interval


def noisy(seed):
    rng = np.random.default_rng(seed)
    common = 10 * rng.normal()
    return {
        "a": {"score": 50 + common},
        "b": {"score": 52 + common + rng.normal()},
        "c": {"score": 50 + common + rng.normal()},
    }


def test_interval_equals_scipy(rng):
    a = rng.normal(size=12)
    low, high = scipy.stats.t.interval(0.95, 11, a.mean(), scipy.stats.sem(a))
    made = interval(a)
    assert (made.low, made.high) == pytest.approx((low, high))
    assert interval([1.0]).half_width == np.inf


def test_an_interval_covers_the_truth_95_times_of_100(rng):
    made = [interval(rng.normal(size=6)) for _ in range(2000)]
    hits = sum(i.low < 0 < i.high for i in made)
    assert 0.93 < hits / 2000 < 0.97


def test_pairing_finds_what_unpaired_means_hide():
    result = compare(noisy, 20, jobs=1)
    assert result.difference("b", "score").low > 0.5
    assert result.mean("b", "score").half_width > 3
    assert "no effect shown" in result.table("score").splitlines()[-1]
    assert result.difference("b", "score", baseline="c").mean == pytest.approx(
        result.mean("b", "score").mean - result.mean("c", "score").mean
    )


def test_workers_do_not_change_the_numbers():
    from kdlearn.demo import run_seed

    one, two = (compare(run_seed, 2, jobs=jobs) for jobs in (1, 2))
    for method in one.results:
        for metric, values in one.results[method].items():
            np.testing.assert_array_equal(values, two.results[method][metric])


def test_choose_takes_the_best_mean():
    result = compare(noisy, 8, jobs=1)
    assert choose(result, {"any": ["a", "b", "c"]}, "score") == {"any": "b"}


def test_bad_settings():
    with pytest.raises(ValueError, match="baseline 'z' is not among the methods: a, b, c"):
        compare(noisy, 2, baseline="z", jobs=1)
    with pytest.raises(ValueError, match="at least one seed"):
        compare(noisy, [], jobs=1)


def test_plot_holds_the_differences():
    import matplotlib

    matplotlib.use("Agg")
    result = compare(noisy, 5, jobs=1)
    ax = result.plot("score")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "c"]
    assert kd.study.Interval(1.0, 0.5, 3).high == 1.5
