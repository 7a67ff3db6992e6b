"""The benchmark: contenders do the same work, and what it prints is what was measured. And memory, which has a bar."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
import types

import numpy as np
import pytest

import kdlearn as kd
from kdlearn import cli, fast
from kdlearn.bench import measure, ours, profile, rivals, rivals_jax, scaling, work
from kdlearn.bench.suite import works

STEPS = ["w1", "w1-nesterov", "w2", "w5-online", "w5-exits", "w5-hint"]


@pytest.mark.parametrize("name", STEPS)
def test_every_contender_computes_the_same_gradient(name):
    """PyTorch's autograd, asked in its users' words, against ours at the size of the benchmark."""
    pytest.importorskip("torch")
    contenders = works()[name].contenders
    mine = contenders["kdlearn"]("cpu").gradient()
    theirs = contenders["PyTorch"]("cpu").gradient()
    assert mine.shape == theirs.shape and np.abs(mine).max() > 1e-3
    np.testing.assert_allclose(mine, theirs, atol=2e-5 * np.abs(mine).max())


@pytest.mark.parametrize("name", STEPS)
def test_jax_computes_the_same_gradient(name):
    pytest.importorskip("optax", reason="could not import optax: JAX is not installed")
    theirs = works()[name].contenders["JAX"]("cpu").gradient()
    mine = works()[name].contenders["kdlearn"]("cpu").gradient()
    np.testing.assert_allclose(theirs, mine, atol=2e-5 * np.abs(mine).max())


FEW = work.Many(3, (64, 5, 10), 70, 32, 2)


@pytest.mark.parametrize("library", ["torch.func", "JAX"])
def test_many_students_have_the_gradients_of_ours(library):
    pytest.importorskip("torch" if library == "torch.func" else "optax")
    mine = ours.many(FEW)["kdlearn"]("cpu")
    theirs = {**rivals.many(FEW), **rivals_jax.many(FEW)}[library]("cpu")
    want = mine.gradient()
    assert want.shape == (3 * (64 * 5 + 5 * 10 + 15),) and np.abs(want).max() > 1e-3
    np.testing.assert_allclose(theirs.gradient(), want, atol=1e-5 * np.abs(want).max())
    theirs.run()
    theirs.wait()


def test_each_student_has_an_order_of_its_own_in_each_epoch():
    orders = FEW.orders(np.random.default_rng(0))
    assert orders.shape == (2, 3, 70) and (np.sort(orders, axis=2) == np.arange(70)).all()
    assert len({tuple(o) for o in orders.reshape(6, 70)}) == 6


def test_jax_trains_a_student_as_it_trains_many():
    pytest.importorskip("optax", reason="could not import optax: JAX is not installed")
    for make in rivals_jax.many(FEW).values():
        runner = make("cpu")
        for _ in range(2):
            runner.run()
        runner.wait()


@pytest.mark.parametrize("name", ["w1", "w2"])
def test_thinc_computes_the_same_gradient(name):
    pytest.importorskip("thinc")
    contenders = works()[name].contenders
    mine, thinc = contenders["kdlearn"]("cpu").gradient(), contenders["thinc"]("cpu")
    for _ in range(2):  # asked twice: it adds gradients up, and must have been cleared
        np.testing.assert_allclose(thinc.gradient(), mine, atol=2e-5 * np.abs(mine).max())
    thinc.run()
    assert np.abs(thinc.gradient() - mine).max() > 1e-4 * np.abs(mine).max()  # and it learns


def test_by_hand_is_the_same_step():
    make = ours.by_hand(work.WIDE, kd.Adam)("cpu"), ours.ours(work.WIDE, ours.kd_loss, kd.Adam)("cpu")
    np.testing.assert_array_equal(make[0].gradient(), make[1].gradient())
    np.testing.assert_array_equal(make[0].gradient(), make[1].gradient())  # asked again, nothing was added


def test_a_wrong_gradient_stops_the_benchmark():
    right = np.array([1.0, -2.0])
    measure._agree({"a": right, "b": right + 1e-6})
    with pytest.raises(RuntimeError, match="a and c compute different gradients"):
        measure._agree({"a": right, "b": right, "c": 1.01 * right})


def test_the_products_of_a_step():
    """6 N P operations but for the first layer's dX, which nobody asks for."""
    shapes = work.step_products((784, 800, 800, 10), 128)
    P = [784 * 800, 800 * 800, 800 * 10]
    assert 2 * sum(n * d * h for n, d, h in shapes) == 128 * (6 * sum(P) - 2 * P[0])


def test_what_is_measured_is_printed(capsys):
    name = "w4-few"
    arguments = ["bench", "--suite", name, "--seconds", "0.2", "--rounds", "2", "--quiet", "--json"]
    assert cli.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["date"].startswith("20")
    result = found["works"][name]
    assert found["environment"]["threads"] == 1 and "numpy" in found["environment"]
    assert set(result["times"]) | set(result["absent"]) == set(works()[name].contenders)
    assert all(t["low"] <= t["ms"] <= t["high"] for t in result["times"].values())
    text = measure.format_table({name: result})
    assert all(contender in text for contender in works()[name].contenders)


def test_what_is_measured_is_a_table_unless_json_is_asked_for(monkeypatch, capsys):
    result = {"title": "few", "times": {"kdlearn": {"ms": 2.0, "low": 2.0, "high": 2.0}}, "absent": {}, "checked": [],
              "bars": {}}  # fmt: skip
    monkeypatch.setattr("kdlearn.commands.bench.measure", lambda chosen, *_: [(name, result) for name in chosen])
    assert cli.main(["bench", "--suite", "w4", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert measure.format_table({"w4-few": result}) in text and "numpy " in text.splitlines()[-1]


def test_the_table_says_met_and_missed():
    times = {n: {"ms": ms, "low": ms, "high": ms} for n, ms in (("kdlearn", 2.0), ("a", 4.0), ("b", 1.0))}
    result = {"title": "", "times": times, "absent": {"c": "not there"}, "checked": [], "bars": {"a": 0.6, "b": 1.5}}
    text = measure.format_table({"w": result})
    assert "0.50   bar 0.6: met" in text and "2.00   bar 1.5: MISSED" in text and "not measured: not there" in text


def test_an_unknown_work_lists_the_known(capsys):
    assert cli.main(["bench", "--suite", "w9"]) == 2
    assert "w1-nesterov" in capsys.readouterr().err


def test_the_profile_adds_up(tmp_path):
    found = profile.parts((20, 8, 10), 16, repeats=5)
    assert next(iter(found)).startswith("forward Linear(20, 8") and list(found)[-1] == "rest"
    assert min(found.values()) >= 0
    assert cli.main(["bench", "--profile", str(tmp_path / "deep" / "p.png")]) == 0
    assert (tmp_path / "deep" / "p.png").stat().st_size > 5000


def test_torch_layers_hold_our_weights():
    torch = pytest.importorskip("torch")
    net = kd.MLP(7, 5, 3, seed=1)
    x = np.random.default_rng(0).standard_normal((4, 7), np.float32)
    theirs = rivals.network(torch, net)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(theirs, net.logits(x), atol=1e-6)


@pytest.mark.parametrize("name", ["w1", "w2", "w3", "w5-online", "w5-exits", "w5-hint"])
def test_our_side_runs_on_a_device(name, standin, monkeypatch):
    """On the stand-in: that `--device cuda` moves everything, adaptors included."""
    contenders = works("cuda")[name].contenders
    gradients = []
    monkeypatch.setattr(ours, "BODIES", dict(fast.BODIES))  # one of them empties it, in a process of its own
    for contender in ("kdlearn", "matrix products", "array by array"):
        runner = contenders[contender]("cuda")
        if runner.gradient is not None:
            gradients.append(runner.gradient())
            assert np.abs(gradients[0]).max() > 0
            assert np.abs(gradients[-1] - gradients[0]).max() < 1e-5 * np.abs(gradients[0]).max()
        if name != "w3":
            runner.run()


def test_a_stack_runs_on_a_device(standin):
    runner = ours.many(FEW)["kdlearn"]("cuda")
    np.testing.assert_allclose(runner.gradient(), ours.many(FEW)["kdlearn"]("cpu").gradient(), atol=1e-7)
    runner.run()


def test_a_card_is_measured_over_widths_and_batches(standin, monkeypatch):
    """On the stand-in: the table's form, its numbers mean nothing."""
    cupy = sys.modules["cupy"]
    cupy.cuda.Device = lambda: types.SimpleNamespace(synchronize=lambda: None)
    properties = types.SimpleNamespace(getDeviceProperties=lambda i: {"name": b"a stand-in"})
    monkeypatch.setattr(cupy.cuda, "runtime", properties, raising=False)
    monkeypatch.setattr(scaling, "SIDE", 16)
    monkeypatch.setattr(scaling, "LONG", 1e7)
    found = scaling.scaling(widths=(4,), rows=(8, 4096))
    assert [(s["width"], s["rows"], s["cpu"] is None) for s in found["steps"]] == [(4, 8, False), (4, 4096, True)]
    first = found["steps"][0]
    operations = 2 * sum(a * b * c for a, b, c in work.step_products((784, 4, 4, 10), 8))
    assert first["share"] == pytest.approx(operations / first["gpu"] / 1e9 / found["product"])
    text = scaling.format_scaling(found)
    assert "a stand-in" in text and f"{first['cpu'] / first['gpu']:.2f}" in text


# ---------------------------------------------------------------- memory


def peak(act):
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_epoch_needs_little_beside_parameters_moments_and_one_batch():
    """The bar: three times (parameters + gradient-sized moments + one batch's activations)."""
    net, optimizer = kd.MLP(*work.WIDE, seed=0), kd.Adam()
    batch = work.batch_of(784, 1280)
    data = kd.Data(batch)
    activations = 4 * 128 * (784 + 4 * 800 + 10)
    allowed = 3 * (3 * net.theta.nbytes + activations)
    used = peak(lambda: kd.fit(net, ours.kd_loss(), data, optimizer=optimizer, epochs=1, progress=False))
    assert 2 * net.theta.nbytes < used < allowed  # the two moments are in it


def test_an_epoch_s_cost_grows_with_its_rows_and_no_faster():
    """Sixteen times the rows: sixteen times the time if linear, 256 times if quadratic. The quickest of a few each."""

    def seconds(rows):
        net, data = kd.MLP(20, 16, 10, seed=0), kd.Data(work.batch_of(20, rows))
        took = []
        for _ in range(5):
            began = time.perf_counter()
            kd.fit(net, ours.kd_loss(), data, epochs=1, batch_size=32, progress=False)
            took.append(time.perf_counter() - began)
        return min(took)

    seconds(64)
    assert 4 < seconds(16 * 1024) / seconds(1024) < 48


def test_memory_does_not_grow_with_epochs():
    net, data = kd.MLP(64, 128, 10, seed=0), kd.Data(work.batch_of(64, 1280))

    def run(epochs):
        return peak(lambda: kd.fit(net, ours.kd_loss(), data, optimizer=kd.Adam(), epochs=epochs, progress=False))

    run(1)
    few, many = run(2), run(20)
    assert many < few + 20 * 4000  # a history record, not an array
