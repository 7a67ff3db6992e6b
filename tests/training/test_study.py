"""Paired comparisons: the interval by simulation, and the same numbers however they are run."""

from __future__ import annotations

import collections
import functools
import json
import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
import scipy.stats

import kdlearn as kd
from kdlearn.study import cell_key, choose, compare, interval, sweep


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
    one, two = (compare(stacked_run, 2, jobs=jobs) for jobs in (1, 2))
    for method in one.results:
        np.testing.assert_allclose(one.results[method]["nll"], two.results[method]["nll"], rtol=0, atol=1e-12)


def test_choose_takes_the_best_mean():
    result = compare(noisy, 8, jobs=1)
    assert choose(result, {"any": ["a", "b", "c"]}, "score") == {"any": "b"}


def test_bad_settings():
    with pytest.raises(ValueError, match="baseline 'z' is not among the methods: a, b, c"):
        compare(noisy, 2, baseline="z", jobs=1)


def test_plot_holds_the_differences():
    import matplotlib

    matplotlib.use("Agg")
    result = compare(noisy, 5, jobs=1)
    ax = result.plot("score")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "c"]
    assert kd.study.Interval(1.0, 0.5, 3).high == 1.5


# ------------------------------------------------------------------ many cells


def trained(seed, width=4):
    """A small training; its numbers must not depend on where it ran."""
    rng = np.random.default_rng(seed)
    rows = kd.Data({"x": rng.normal(size=(200, 30)).astype(np.float32), "y": rng.integers(0, 3, 200)})
    net = kd.MLP(30, width, 3, seed=seed)
    history = kd.fit(net, kd.CrossEntropy(), rows, epochs=3, progress=False)
    return {"loss": history["loss"], "theta": float(net.theta.sum())}


CELLS = [{"seed": s, "width": w} for s in range(3) for w in (4, 8)]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_sweep_is_the_same_bits_however_it_runs(backend):
    serial = sweep(trained, CELLS, jobs=1)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert sweep(trained, CELLS) == serial


def test_a_sweep_runs_on_a_dask_cluster():
    distributed = pytest.importorskip("distributed")
    serial = sweep(trained, CELLS, jobs=1)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert sweep(trained, CELLS) == serial


ran = []  # of the module: what a function encloses is a part of what it is known by


def tenfold(seed):
    ran.append(seed)
    if seed == 2 and len(ran) == 3:
        raise KeyboardInterrupt
    return seed * 10


def test_finished_cells_are_kept_and_not_run_again(tmp_path):
    store, run = tmp_path / "rows.jsonl", tenfold
    ran.clear()
    with pytest.raises(KeyboardInterrupt):
        sweep(run, [{"seed": s} for s in range(4)], jobs=1, store=store)
    with open(store, "a") as file:
        file.write('{"key": "torn')  # as if killed while appending
    assert sweep(run, [{"seed": s} for s in (3, 2, 1, 0, 0)], jobs=1, store=store) == [30, 20, 10, 0, 0]
    assert ran == [0, 1, 2, 3, 2]
    rows = [json.loads(line) for line in store.read_text().splitlines() if "torn" not in line]
    assert [r["cell"]["seed"] for r in rows] == [0, 1, 3, 2]


SLOW = """
import sys, time
from kdlearn.study import sweep
def run(seed):
    time.sleep(0.05)
    return seed
run.__module__ = "slow"
print("ready", flush=True)
print(len(sweep(run, [{"seed": s} for s in range(40)], jobs=1, store=sys.argv[1])))
"""


def test_a_killed_sweep_goes_on(tmp_path):
    import time

    store = tmp_path / "rows.jsonl"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(store)], stdout=subprocess.PIPE)
    process.stdout.readline()
    while not (store.exists() and store.read_text().count("\n") >= 5):
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = [line for line in store.read_text().splitlines() if line.endswith("}")]
    assert 5 <= len(done) < 40
    again = subprocess.run([sys.executable, "-c", SLOW, str(store)], capture_output=True, text=True, check=True)
    assert again.stdout.split() == ["ready", "40"]
    keys = [json.loads(line)["key"] for line in store.read_text().splitlines() if line.endswith("}")]
    assert len(keys) == len(set(keys)) == 40


def test_a_cell_is_known_by_its_function_and_its_settings():
    assert cell_key(trained, {"seed": 1, "width": 4}) == cell_key(trained, {"width": 4, "seed": 1})
    assert cell_key(trained, {"seed": 1}) != cell_key(trained, {"seed": 2})
    assert cell_key(trained, {"seed": 1}) != cell_key(noisy, {"seed": 1})
    assert cell_key(functools.partial(trained, width=8), {"seed": 1}) == cell_key(trained, {"seed": 1, "width": 8})


def test_compare_resumes_too(tmp_path):
    store = tmp_path / "rows.jsonl"
    first = compare(noisy, 4, jobs=1, store=store)
    os.utime(store)
    again = compare(noisy, 6, jobs=1, store=store)
    np.testing.assert_array_equal(again.results["b"]["score"][:4], first.results["b"]["score"])
    assert len(store.read_text().splitlines()) == 6


# ---------------------------------------------------------------- several seeds at once


def stacked_run(seeds):
    """Two methods over all these seeds, each method one training; in float64, where stacks differ by rounding alone."""
    train, _, test = kd.data.blobs(60)
    results = {}
    for name, smoothing in (("hard", 0.0), ("smoothed", 0.2)):
        students = kd.Stack([kd.MLP(2, 8, 3, seed=seed, dtype="float64") for seed in seeds])
        kd.fit(students, kd.CrossEntropy(smoothing=smoothing), train, seed=seeds, epochs=3, progress=False)
        nll = [kd.metrics.negative_log_likelihood(net.logits(test.x), test.y) for net in students]
        results[name] = {"nll": nll}
    return results


def plain_run(seed):
    return {method: {k: v[0] for k, v in values.items()} for method, values in stacked_run([seed]).items()}


@pytest.mark.parametrize("jobs, together", [(1, 20), (1, 2), (2, 20)])
def test_seeds_that_train_together_give_the_numbers_of_seeds_alone(jobs, together, tmp_path):
    alone = kd.study.compare(plain_run, 5, jobs=1, progress=False)
    store = tmp_path / "cells.jsonl"
    for _ in range(2):  # the second time from the store
        found = kd.study.compare(stacked_run, 5, jobs=jobs, progress=False, together=together, store=store)
        for method in ("hard", "smoothed"):
            np.testing.assert_allclose(found.results[method]["nll"], alone.results[method]["nll"], rtol=1e-9)
    assert found.baseline == "hard"


def test_a_value_a_seed_is_demanded():
    with pytest.raises(ValueError, match="one value for each of 3 seeds is needed, got 2"):
        kd.study.compare(lambda seeds: {"a": {"m": [1.0, 2.0]}}, 3, jobs=1, progress=False)


def test_a_number_and_its_text_are_two_names(tmp_path):
    """JSON makes one name of 1 and "1"; two such cells are two trainings, and stored as two."""
    cells = [{"widths": names} for names in ({1: 2}, {"1": 2}, {1: 2, "1": 3}, {True: 2})]
    cells += [{"nested": [{"a": names}]} for names in ({1: 2}, {"1": 2})]
    assert len({cell_key(None, cell) for cell in cells}) == len(cells)
    ran = sweep(name_of, cells[:2], jobs=1, store=tmp_path / "cells.jsonl")
    again = sweep(name_of, cells[:2], jobs=1, store=tmp_path / "cells.jsonl")
    assert ran == again == ["int", "str"]
    assert cell_key(None, {"b": 1, "a": {"c": (1, 2)}}) == cell_key(None, {"a": {"c": [1, 2]}, "b": 1})


def first_of(names):
    return next(iter(names))


def first_within(names):
    return lambda x: first_of(names)


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict])
def test_the_order_of_a_mapping_within_a_setting_counts(kind, tmp_path):
    """Two such cells were one, and the second got the first one's result."""
    orders = [kind(p=1, q=2), kind(q=2, p=1)]
    for store in (None, tmp_path / "s"):
        how = {"jobs": 1, "progress": False, "store": store}
        assert sweep(first_of, [{"names": names} for names in orders], **how) == ["p", "q"]
        assert sweep(first_of, [{"names": kind({1: 0, 2: 0})}, {"names": kind({2: 0, 1: 0})}], **how) == [1, 2]
        assert [sweep(first_within(names), [{"x": 1}], **how) for names in orders] == [["p"], ["q"]]
        set_of_it = [functools.partial(lambda names, x: first_of(names), names=names) for names in orders]
        assert [sweep(run, [{"x": 1}], **how) for run in set_of_it] == [["p"], ["q"]]
    assert cell_key(None, {"a": orders[0]}) == cell_key(None, {"a": orders[1]})  # a row of a file is looked up so


def name_of(widths):
    return type(next(iter(widths))).__name__


def test_one_value_a_seed_is_taken_by_position():
    """Of a column of pandas by its index: sorted by value, each seed had another's."""
    pd = pytest.importorskip("pandas")

    def run(seeds):
        return {"a": {"m": pd.Series([10.0 * s for s in seeds], index=range(len(seeds))[::-1])}}

    def arm(seeds, part):
        return {"accuracy": pd.Series([float(s) for s in seeds], index=seeds)}

    found = kd.study.compare(run, [7, 3, 5], jobs=1, progress=False, together=2)
    np.testing.assert_array_equal(found.values("a", "m"), [70, 30, 50])
    trial = kd.study.trial({"a": (arm, {})}, "a", [7, 3], jobs=1, progress=False)
    np.testing.assert_array_equal(trial.results["a"]["accuracy"], [7, 3])


def with_width(k):
    class Student:
        width = k

        @property
        def twice(self):
            return 2 * self.width

        @staticmethod
        def once():
            return k

    return Student


def test_classes_made_in_a_function_are_told_apart(tmp_path):
    """Two of one name were one cell, and the second got the first one's result."""
    cells = [{"kind": with_width(1)}, {"kind": with_width(2)}, {"kind": with_width(1)}]
    assert sweep(lambda kind: kind().twice, cells, jobs=1, progress=False) == [2, 4, 2]
    for store in (None, tmp_path / "s"):
        run = [functools.partial(lambda kind, x: kind.width * x, with_width(k)) for k in (1, 2)]
        assert [sweep(f, [{"x": 5}], jobs=1, progress=False, store=store) for f in run] == [[5], [10]]
    assert len({cell_key(None, cell) for cell in cells}) == 2


def test_names_that_are_not_texts_are_stored_as_json_has_them(tmp_path):
    """Texts and numbers cannot be sorted; two that JSON makes one name were one."""

    def run(i):
        return [{"mean": 1.5, 0: float(i)}, {1: "a", "1": "b"}][i]

    for _ in range(2):
        assert sweep(run, [{"i": 0}], jobs=1, progress=False, store=tmp_path / "s.jsonl") == [{"mean": 1.5, "0": 0.0}]
    with pytest.raises(TypeError, match=r"two of the names .* are one there"):
        sweep(run, [{"i": 1}], jobs=1, progress=False, store=tmp_path / "s.jsonl")


def test_a_store_in_no_folder_is_refused_before_anything_is_trained(tmp_path):
    ran: list[int] = []
    with pytest.raises(FileNotFoundError, match="no such folder"):
        sweep(ran.append, [{"object": 1}], jobs=1, progress=False, store=tmp_path / "none" / "s.jsonl")
    assert not ran


def test_a_long_double_is_no_number_of_json(tmp_path):
    with pytest.raises(TypeError, match="longdouble"):
        sweep(lambda a: np.longdouble(a), [{"a": 1}], jobs=1, progress=False, store=tmp_path / "s.jsonl")


def test_an_attribute_of_a_list_is_told():
    class Own(list):
        temperature = 0

    def enclosed(temperature):
        held = Own([1])
        held.temperature = temperature
        return lambda seed: held

    assert len({cell_key(enclosed(t), {"seed": 0}) for t in (1, 1, 2)}) == 2


def test_a_cell_that_holds_a_network_of_torch_is_known_again():
    torch = pytest.importorskip("torch")

    def enclosed(net):
        return lambda seed: net

    torch.manual_seed(0)
    net, other = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
    again = torch.nn.Linear(4, 2)
    again.load_state_dict(net.state_dict())
    keys = [cell_key(enclosed(held), {"seed": 0}) for held in (net, again, other, net.weight, other.weight)]
    assert keys[0] == keys[1] and len(set(keys)) == 4
