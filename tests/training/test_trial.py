"""The protocol: what it chooses, what it reads, what it says, and how often it is wrong."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import scipy.stats

import kdlearn as kd
from kdlearn.study import crossed, holm, interval, trial, verdicts

QUIET = {"jobs": 1, "progress": False}


def arm(best, height=50.0, noise=0.0, reads=None):
    """A method whose score falls with the distance of `x` from the best; the test rows are worth one point more."""

    def train(seeds, part, x, other=0):
        if reads is not None:
            reads.append((part, x))
        common = [10 * np.random.default_rng(seed).normal() for seed in seeds]
        own = [noise * np.random.default_rng((seed, abs(int(100 * x)), part == "test")).normal() for seed in seeds]
        lift = height - (x - best) ** 2 + (part == "test")
        return {"accuracy": [c + o + lift for c, o in zip(common, own)]}

    return train


# ------------------------------------------------------------------ the rule


def test_holm_equals_its_definition(rng):
    p = rng.uniform(size=9)
    order = np.argsort(p)
    by_hand = np.empty(9)
    for rank, i in enumerate(order):
        by_hand[i] = max(min(1, (9 - k) * p[order[k]]) for k in range(rank + 1))
    np.testing.assert_allclose(holm(list(p)), by_hand)
    assert holm([]) == [] and holm([0.02]) == [0.02]


def test_p_and_interval_equal_scipy(rng):
    a = rng.normal(0.3, 1, 9)
    assert verdicts({"a": a})["a"].p == pytest.approx(scipy.stats.ttest_1samp(a, 0).pvalue)
    wide = interval(a, overlap=0.25)
    assert wide.half_width == pytest.approx(interval(a).half_width * np.sqrt(1 + 9 * 0.25))


@pytest.mark.parametrize(
    "values, word",
    [
        ([3.0, 3.4, 2.9, 3.2], "helps"),
        ([-3.0, -3.4, -2.9, -3.2], "hurts"),
        ([0.10, 0.12, 0.11, 0.10], "equal"),  # surely above zero, and within the zone
        ([0.6, 0.2, 0.5, 0.45], "not shown"),  # the mean lies within the zone, the interval does not
        ([9.0, -8.0, 1.0, 0.5], "not shown"),
        ([2.0], "not shown"),
        ([2.0, np.nan, 2.1], "undefined"),
        ([np.nan], "undefined"),
        ([np.inf, 2.0, 2.1], "undefined"),
    ],
)
def test_words(values, word):
    assert verdicts({"a": np.array(values)}, zone=0.5)["a"].word == word
    other = {"helps": "hurts", "hurts": "helps"}.get(word, word)
    assert verdicts({"a": np.array(values)}, zone=0.5, better="lower")["a"].word == other


@pytest.mark.parametrize("value, word", [(2.0, "helps"), (0.0, "equal"), (0.4, "equal"), (92.3 - 90.2, "helps")])
def test_differences_that_are_one_number_are_counted_as_signs_are(value, word):
    """Student's t has no deviation to go by, and was sure of three ties, or of two seeds."""
    for n in range(2, 12):
        values = [value] * (n - 1) + [value * (1 + 1e-15)]  # two scores' difference is rounded
        found = verdicts({"a": values}, zone=0.5)["a"]
        chance = scipy.stats.binomtest(n, n).pvalue  # of a sign test
        assert found.p == (1 if value == 0 else pytest.approx(chance))
        assert found.word == (word if chance < 0.05 else "not shown")
        assert found.difference.half_width == pytest.approx(0, abs=1e-13)
        ten = verdicts(dict.fromkeys(range(10), values), zone=0.5)[3]
        assert ten.word == (word if 10 * chance < 0.05 else "not shown")


@pytest.mark.parametrize("unit", [np.float32(1), np.float32(100), 100.0])
@pytest.mark.parametrize("rows", [50, 1000, 10_000])
def test_one_more_row_right_is_one_number_in_single_precision_too(rows, unit):
    """Accuracies from float32 were rounded apart: five seeds that tell one row each gave p = 6e-25, *helps*."""
    right = (rows * np.array([0.42, 0.58, 0.74, 0.86, 0.94])).astype(int)
    single = [(unit * np.float32((right + more) / rows)).astype(float) for more in (1, 0)]
    found = verdicts({"a": single[0] - single[1]})["a"]
    assert (found.p, found.word) == (pytest.approx(0.0625), "not shown")
    told = right + np.array([9, 10, 11, 10, 10]) - right  # what varies by a row is no one number
    assert verdicts({"a": told / rows})["a"].p < 1e-4


def test_what_is_no_number_has_no_p_value_and_spoils_no_other():
    found = {"a": interval([1.0, 1.1, 1.2]), "b": interval([1.0, np.nan])}
    assert np.isnan(kd.study.p_value(found["b"]))
    assert np.isnan(kd.study.p_value(kd.study.Interval(np.nan, np.inf, 1)))
    assert kd.study.p_value(kd.study.Interval(3.0, 0.5, 1)) == 1.0  # one value says nothing
    judged = kd.study.judge(found)
    assert judged["a"].p == pytest.approx(2 * scipy.stats.ttest_1samp([1.0, 1.1, 1.2], 0).pvalue)  # of two tests
    assert np.isnan(judged["b"].p) and judged["b"].word == "undefined"
    np.testing.assert_array_equal(holm([0.04, np.nan, 0.5]), [0.12, np.nan, 1.0])
    table = kd.study.Comparison({n: {"m": np.array([1.0, v])} for n, v in (("base", 2.0), ("x", np.nan))}, "base")
    assert table.table("m").splitlines()[-1].endswith("undefined")
    two = kd.study.Comparison({"base": {"m": np.zeros(2)}, "x": {"m": np.ones(2)}}, "base")
    assert two.table("m").splitlines()[-1].endswith("no effect shown")


def test_a_table_of_nulls_makes_a_false_verdict_in_5_of_100_tables_at_most(rng):
    """Eleven arms against two baselines, ten seeds, what they share included; without Holm it would be most tables."""
    wrong = single = 0
    tables = 300
    for _ in range(tables):
        scores = rng.normal(size=(13, 10)) + rng.normal(size=10)
        gaps = {(i, b): scores[i] - scores[b] for b in (0, 1) for i in range(13) if i > b}
        found = verdicts(gaps).values()
        wrong += any(v.word in ("helps", "hurts") for v in found)
        single += any(v.difference.low > 0 or v.difference.high < 0 for v in found)
    assert wrong / tables < 0.05 + 3 * np.sqrt(0.05 * 0.95 / tables)
    assert single / tables > 0.4  # what the rule is for


def test_an_effect_is_found_within_a_table(rng):
    found = 0
    for _ in range(100):
        gaps = {i: rng.normal(size=10) for i in range(10)} | {"real": rng.normal(2.5, 1, 10)}
        found += verdicts(gaps, zone=0.5)["real"].word == "helps"
    assert found > 90


def test_coverage_where_seeds_split_one_pool_anew():
    """Two estimators of a mean compared on re-split pools: plain intervals hold the pool's own mean difference, but
    that of the population only with `overlap`."""
    rng = np.random.default_rng(5)
    n, measured, seeds, pools = 90, 30, 10, 400
    plain = wide = within = 0
    for _ in range(pools):
        pool = rng.exponential(size=n)  # mean 1; the difference of the squared errors of two guesses
        gaps = []
        for _ in range(60):
            order = rng.permutation(n)
            held, rest = pool[order[:measured]], pool[order[measured:]]
            gaps.append(np.mean((held - rest.mean()) ** 2 - (held - np.median(rest)) ** 2))
        few, truth_of_pool = gaps[:seeds], np.mean(gaps)
        made, corrected = interval(few), interval(few, overlap=measured / (n - measured))
        truth = -((1 - np.log(2)) ** 2)  # about: the median of an exponential is log 2
        plain += made.low < truth < made.high
        wide += corrected.low < truth < corrected.high
        within += made.low < truth_of_pool < made.high
    assert within / pools > 0.93
    assert plain / pools < 0.85 < 0.93 < wide / pools


# ------------------------------------------------------------------ what is tried and read


@pytest.mark.parametrize("row, column", [(0, 0), (9, 0), (0, 7), (9, 7)])  # of four variances any may be the largest
def test_a_crossed_interval_is_that_of_the_mean_squares(row, column):
    a = np.array([[3.0, 1.0, 4.0, 1.0], [5.0, 9.0, 2.0, 6.0], [5.0, 3.0, 5.0, 8.0]])
    a += row * np.arange(3)[:, None] + column * np.arange(4)
    rest = sum(
        (a[i, j] - a[i].mean() - a[:, j].mean() + a.mean()) ** 2 for i in range(3) for j in range(4)
    ) / (2 * 3)  # fmt: skip
    variance = (4 * a.mean(axis=1).var(ddof=1) + 3 * a.mean(axis=0).var(ddof=1) - rest) / 12
    variance = max(variance, 4 * a.mean(axis=1).var(ddof=1) / 12, 3 * a.mean(axis=0).var(ddof=1) / 12)
    found = crossed(a)
    assert found.mean == a.mean() and found.n == 3
    np.testing.assert_allclose(found.half_width, scipy.stats.t.ppf(0.975, 2) * variance**0.5)
    np.testing.assert_allclose(crossed(a.T), found)


def test_a_crossed_interval_covers_whatever_varies(rng):
    for rows, columns, rest in ((0.0, 0.0, 1.0), (2.0, 0.3, 1.0), (0.3, 2.0, 1.0), (1.0, 1.0, 0.1)):
        hits = 0
        for _ in range(400):
            table = rows * rng.normal(size=(4, 1)) + columns * rng.normal(size=(1, 5)) + rest * rng.normal(size=(4, 5))
            found = crossed(table)
            hits += found.low <= 0 <= found.high
        assert hits >= 0.92 * 400, (rows, columns, rest)


def test_one_row_is_an_interval_of_what_varies_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match="row 1 has 1 columns, the first has 2"):  # NumPy's words were of a sequence
        crossed([[1.0, 2.0], [3.0]])
    assert crossed([[1.0, 2.0, 4.0]]) == interval([1.0, 2.0, 4.0]) == crossed([[1.0], [2.0], [4.0]])
    for bad in ([], [1.0, 2.0], [[]]):
        with pytest.raises(ValueError, match="rows and columns"):
            crossed(bad)


def test_each_arm_has_its_own_choice_and_test_rows_are_read_once():
    reads = []
    found = trial(
        {"base": (arm(1, reads=reads), {"x": [1, 2, 3]}), "new": (arm(2, 53, reads=reads), {"x": [1, 2, 3]})},
        "base", seeds=8, **QUIET,
    )  # fmt: skip
    assert found.chosen == {"base": {"x": 1}, "new": {"x": 2}} and found.tried == {"base": 3, "new": 3}
    assert [read for read in reads if read[0] == "test"] == [("test", 1), ("test", 2)]
    assert [part for part, _ in reads].index("test") == 6  # after every validation row
    assert found.difference("new").mean == pytest.approx(3) and found.verdict("new") == "helps"
    np.testing.assert_allclose(found.results["new"]["accuracy"] - found.validation["new"], 1)


def test_choosing_among_noise_promises_nothing():
    """The best of eight on validation rows is no better on test rows: choosing there would be."""
    gaps = [
        trial(
            {"base": (arm(0, noise=1), {"x": [0], "other": range(8)}), "new": (noisy, {"x": range(8)})},
            "base", seeds=range(6 * i, 6 * i + 6), **QUIET,
        ).difference("new").mean
        for i in range(16)
    ]  # fmt: skip
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(16)


def noisy(seeds, part, x):
    common = [10 * np.random.default_rng(seed).normal() for seed in seeds]
    own = [np.random.default_rng((seed, x, 7, part == "test")).normal() for seed in seeds]
    return {"accuracy": [51 * (part == "test") + 50 * (part != "test") + c + o for c, o in zip(common, own)]}


def test_an_edge_is_marked_and_the_grid_widened():
    arms = {"base": (arm(1), {"x": [0.5, 1.0, 2.0]}), "far": (arm(10), {"x": [0.5, 1.0, 2.0]})}
    narrow = trial(arms, "base", 3, **QUIET)
    assert narrow.edges == {"base": [], "far": ["x"]} and narrow.chosen["far"] == {"x": 2.0}
    wide = trial(arms, "base", 3, widen=5, **QUIET)
    assert wide.chosen["far"] == {"x": 8.0} and wide.tried == {"base": 3, "far": 6} and wide.edges["far"] == []
    assert trial(arms, "base", 3, widen=2, **QUIET).edges["far"] == ["x"]
    held = trial(arms, "base", 3, widen=9, limits={"x": (0, 3)}, **QUIET)
    assert held.chosen["far"] == {"x": 3.0} and held.edges["far"] == []


def test_what_lies_beyond():
    grid = {"x": [0, 3, 6]}
    down = trial({"a": (arm(-9), grid)}, "a", 2, widen=3, **QUIET)
    assert down.chosen["a"] == {"x": 0} and down.tried["a"] == 3  # nothing below zero
    up = trial({"a": (arm(30), {"x": [-2, 0]})}, "a", 2, widen=2, **QUIET)
    assert up.chosen["a"] == {"x": 4}
    below = trial({"a": (arm(-9), {"x": [0.0, 1.0]})}, "a", 2, widen=2, limits={"x": (-5, 5)}, **QUIET)
    assert below.chosen["a"] == {"x": -2.0}  # a row with a 0 is no geometric one
    whole = trial({"a": (arm(100), {"x": [100 // 9, 100 // 3]})}, "a", 2, widen=1, **QUIET)
    assert whole.chosen["a"] == {"x": 99} and isinstance(whole.chosen["a"]["x"], int)
    least = trial({"a": (arm(-9), {"x": [1, 4]})}, "a", 2, widen=3, **QUIET)
    assert least.chosen["a"] == {"x": 1} and least.edges["a"] == []  # a whole number below 1 would be 0
    assert trial({"a": (arm(1), {"x": [1], "other": [True, False]})}, "a", 2, widen=3, **QUIET).tried["a"] == 2


def hill(seeds, part, x, y, whole=1):
    """Best at x = 4, y = 0.25 and whole = 0, along a ridge: neither is found by moving the other alone."""
    height = -((np.log2(x) - 2) ** 2) - (np.log2(y) + 2) ** 2 - 0.5 * (np.log2(x * y)) ** 2 - whole
    return {"accuracy": [60 + height + seed for seed in seeds]}


def test_a_search_walks_to_the_best_and_tries_its_neighbours():
    grid = {"x": [0.5, 1.0], "y": [1.0, 2.0], "whole": [1]}
    how = {"limits": {"whole": (0, 1)}, "steps": {"whole": 1}, **QUIET}
    found = trial({"a": (hill, grid)}, "a", 2, search=30, **how)
    assert found.chosen["a"] == {"x": 4.0, "y": 0.25, "whole": 0} and found.edges["a"] == []
    assert found.tried["a"] == 34
    fixed = trial({"a": (hill, {"x": [0.5], "y": [1.0]})}, "a", 2, search=9, **QUIET)
    assert fixed.tried["a"] == 1 and fixed.edges["a"] == []


@pytest.mark.parametrize("search", [0, 1, 4])
def test_a_search_spends_no_more_than_it_may(search):
    found = trial({"a": (hill, {"x": [0.5, 1.0], "y": [1.0, 2.0]})}, "a", 2, search=search, **QUIET)
    assert found.tried["a"] == 4 + search
    assert found.edges["a"] or search == 4
    assert trial({"a": (hill, {"x": [1.0], "y": [1.0]})}, "a", 2, search=1, steps={"x": 2.0, "y": 2.0},
                 **QUIET).edges["a"] == ["x", "y"]  # fmt: skip


def test_a_search_ends_with_half_steps_and_spends_what_it_has():
    read = []

    def train(seeds, part, x, kind, whole):
        read.append((x, kind, whole))
        return {"accuracy": [50 - np.log2(x / 3.0) ** 2 - whole for _ in seeds]}

    grid = {"x": [1.0, 2.0, 4.0], "kind": ["a"], "whole": [0]}
    found = trial({"a": (train, grid)}, "a", 1, search=5, limits={"whole": (0, 1)}, steps={"whole": 1}, **QUIET)
    # the neighbours of (4, 0), then half-way to those beside it; then the neighbours of the new best
    assert [(x, whole) for x, _, whole in read[3:8]] == [(8.0, 0), (4.0, 1), (2.82843, 0), (5.65685, 0), (2.82843, 1)]
    assert found.chosen["a"]["x"] == 2.82843 and found.tried["a"] == 8
    words = trial({"a": (train, {"x": [3.0], "kind": ["a"], "whole": [0]})}, "a", 1, search=5, **QUIET)
    assert words.tried["a"] == 1


def test_a_search_reads_validation_rows_alone():
    reads = []
    trial({"a": (arm(9, reads=reads), {"x": [1.0, 2.0]})}, "a", 2, search=6, **QUIET)
    assert [part for part, _ in reads].count("test") == 1 and len(reads) == len(set(reads))


def test_lower_can_be_better():
    found = trial({"a": (arm(3), {"x": [1, 3]}), "b": (arm(3, 40), {"x": [1, 3]})}, "a", 8, better="lower", **QUIET)
    assert found.chosen["a"] == {"x": 1} and found.verdict("b") == "helps"


def test_two_baselines_are_compared_once():
    grid = {"x": [1, 2]}
    found = trial({name: (arm(1, 50 + i), grid) for i, name in enumerate("abcd")}, ["a", "b", "c"], 9, **QUIET)
    asked = list(found.verdicts())
    assert asked == [("b", "a"), ("c", "a"), ("d", "a"), ("c", "b"), ("d", "b"), ("d", "c")]
    higher = {"a": 0, "b": 60, "c": 1, "d": 2}  # without a name the first baseline is meant
    arms = {name: (arm(1, 50 + more), grid) for name, more in higher.items()}
    unlike = trial(arms, ["a", "b"], 9, **QUIET)
    assert unlike.verdict("d") == "helps" and unlike.verdict("d", "b") == "hurts"
    assert unlike.difference("d").mean == pytest.approx(2) and unlike.difference("d", "b").mean == pytest.approx(-58)
    lines = found.table().splitlines()
    assert lines[0].split("  ")[-3:] and "against c" in lines[0] and "+3.00 ± 0.00 helps" in lines[4]
    matplotlib.use("Agg")
    assert [t.get_text() for t in found.plot("b").get_yticklabels()] == ["a", "c", "d"]


def test_bad_settings():
    grid = {"x": [1, 2]}
    with pytest.raises(ValueError, match=r"as many settings as the others, got {'a': 2, 'b': 3}"):
        trial({"a": (arm(1), grid), "b": (arm(1), {"x": [1, 2, 3]})}, "a", 2, **QUIET)
    with pytest.raises(ValueError, match="baseline 'z' is not among the arms: a"):
        trial({"a": (arm(1), grid)}, "z", 2, **QUIET)
    with pytest.raises(ValueError, match="at least one seed"):
        trial({"a": (arm(1), grid)}, "a", 0, **QUIET)
    with pytest.raises(ValueError, match="a: no setting has a finite score"):
        trial({"a": (arm(np.nan), grid)}, "a", 2, **QUIET)
    with pytest.raises(ValueError, match="zone must be a number of 0 or more, got -1"):
        verdicts({"a": [1.0, 2.0]}, zone=-1)


def test_a_setting_that_diverges_is_not_chosen():
    def train(seeds, part, x):
        return {"accuracy": [np.nan if x == 2 else 50.0 + x for _ in seeds]}

    assert trial({"a": (train, {"x": [1, 2]})}, "a", 2, **QUIET).chosen["a"] == {"x": 1}


def test_a_stored_trial_trains_nothing_again(tmp_path):
    arms = {"a": (arm(1), {"x": [1, 2]}), "b": (arm(2), {"x": [1, 2]})}
    first = trial(arms, "a", 3, store=tmp_path / "s", together=2, **QUIET)
    lines = (tmp_path / "s").read_text().splitlines()
    assert len(lines) == 12  # two arms, two settings and the test rows, three seeds in two groups
    again = trial(arms, "a", 3, store=tmp_path / "s", together=2, **QUIET)
    assert (tmp_path / "s").read_text().splitlines() == lines and again.table() == first.table()


def test_stacks_or_one_by_one_the_numbers_are_the_same():
    def labels(seeds, part, rate):
        splits = [kd.data.blobs(60, seed=seed) for seed in seeds]
        students = kd.Stack([kd.MLP(2, 8, 3, seed=seed, dtype="float64") for seed in seeds])
        kd.fit(
            students, kd.CrossEntropy(), [s.train for s in splits], optimizer=kd.Adam(rate), epochs=2, seed=seeds,
            progress=False,
        )  # fmt: skip
        held = [getattr(s, part) for s in splits]
        return {"nll": [kd.metrics.negative_log_likelihood(net.logits(d.x), d.y) for net, d in zip(students, held)]}

    arms = {"labels": (labels, {"rate": [0.01, 0.03]})}
    at_once, alone = (
        trial(arms, "labels", 3, metric="nll", better="lower", together=n, **QUIET) for n in (20, 1)
    )  # fmt: skip
    np.testing.assert_allclose(at_once.results["labels"]["nll"], alone.results["labels"]["nll"], rtol=1e-9)


def test_two_baselines_have_a_verdict_from_either_side():
    """They are compared once, and the other way round was a KeyError."""
    found = trial(
        {"a": (arm(0), {"x": [1]}), "b": (arm(3), {"x": [3]}), "c": (arm(3), {"x": [2]})}, ("a", "b"), 9, **QUIET
    )
    assert found.verdict("b", "a") == "helps" and found.verdict("a", "b") == "hurts"
    assert ("b", "a") in found.verdicts() and ("a", "b") not in found.verdicts()
    with pytest.raises(ValueError, match="'a' is not compared with itself"):
        found.verdict("a")
    for pair, told in (
        (("a", "c"), "'c' is no baseline, those are a, b: difference"),
        (("d", "a"), "there is no arm 'd'"),
    ):
        with pytest.raises(ValueError, match=told):
            found.verdict(*pair)
