"""Exits taught by the last layer, and answers that leave early."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from small import D, H, K, data, settings, student

import kdlearn as kd
from kdlearn.distill.exits import EarlyExit, exits

TAPS, WIDTHS = ("student.h1", "student.h2", "student.h3"), (H, H, H)


def deep_setup(**options):
    net = student(dtype="float64")
    rows = {"x": data().x.astype(float), "y": data().y, "progress": 0.5}
    return net, exits(TAPS, WIDTHS, K, seed=5, dtype="float64", **options), rows


def test_exits_match_autograd():
    torch = pytest.importorskip("torch")
    T, alpha, hint = 2.5, 0.4, 0.3
    net, objective, rows = deep_setup(T=T, alpha=alpha, hint=hint)
    live, _ = net.forward(rows["x"])
    live = {f"student.{tap}": a for tap, a in live.items()}
    result = objective(live, {**rows, **live})
    value, gradients = result.value, result.gradients
    assert set(gradients) == {"student.h1", "student.h2"}  # what is deep teaches, and is not pulled

    F, y = torch.nn.functional, torch.tensor(rows["y"])
    h = {site: torch.tensor(live[site], requires_grad=True) for site in gradients}
    deep, feature = torch.tensor(live["student.logits"]), torch.tensor(live["student.h3"])
    total, weights = 0.0, []
    for i, site in enumerate(h):
        neck, head = (n.layers[0] for n in objective.nets[2 * i : 2 * i + 2])
        A, a, C, c = (torch.tensor(v, requires_grad=True) for v in (neck.W, neck.b, head.W, head.b))
        weights.append((A, C))
        f = torch.relu(h[site] @ A + a)
        z = f @ C + c
        kl = F.kl_div(F.log_softmax(z / T, 1), F.softmax(deep / T, 1), reduction="batchmean")
        total = total + (1 - alpha) * F.cross_entropy(z, y) + alpha * T * T * kl
        total = total + hint * 0.5 * ((f - feature) ** 2).sum(1).mean()
    total.backward()
    assert total.item() == pytest.approx(value)
    for site, leaf in h.items():
        kd.gradcheck.compare_gradients(gradients[site], leaf.grad.numpy())
    for i, (A, C) in enumerate(weights):
        kd.gradcheck.compare_gradients(objective.nets[2 * i].layers[0].dW, A.grad.numpy())
        kd.gradcheck.compare_gradients(objective.nets[2 * i + 1].layers[0].dW, C.grad.numpy())


def test_without_teacher_and_hint_exits_are_deep_supervision():
    net, objective, rows = deep_setup(alpha=0, hint=0)
    live = {f"student.{tap}": a for tap, a in net.forward(rows["x"])[0].items()}
    value = objective(live, {**rows, **live}).value
    expected = 0.0
    for i, site in enumerate(TAPS[:2]):
        neck, head = objective.nets[2 * i : 2 * i + 2]
        expected += kd.cross_entropy(head.logits(neck.logits(live[site])), rows["y"])[0]
    assert value == pytest.approx(expected)


def test_exits_begin_with_weights_of_their_own():
    """Where all widths are equal, two that share a stream of random numbers begin with the same direction."""
    objective = exits([f"student.h{i}" for i in range(1, 6)], [8] * 5, 8)
    weights = np.array([net.layers[0].W.ravel() for net in objective.nets])
    assert len(weights) == 8 and np.abs(np.corrcoef(weights) - np.eye(8)).max() < 0.6


def test_exits_check_their_arguments():
    with pytest.raises(ValueError, match="a width for each of at least two taps, got 3 and 2"):
        exits(TAPS, (H, H), K)
    with pytest.raises(ValueError, match="got 1 and 1"):
        exits(("student.h1",), (H,), K)


def early(threshold, net=None, objective=None):
    if net is None:
        net, objective = student(), exits(TAPS, WIDTHS, K, seed=5)
        kd.fit(net, kd.CrossEntropy() + objective, data(), **settings(epochs=30))
    return EarlyExit(net, objective, threshold), net, objective


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8, 0.95, 1.0])
def test_early_exit_takes_the_first_exit_that_is_sure(threshold):
    classifier, net, objective = early(threshold)
    x = data(200, seed=3).x
    sites, _ = net.forward(x)
    nets = objective.nets
    every = [nets[2 * i + 1].logits(nets[2 * i].logits(sites[f"h{i + 1}"])) for i in range(2)] + [sites["logits"]]
    z, taken = classifier.answer(x, batch_size=64)
    for n in range(len(x)):
        sure = [i for i in range(2) if kd.softmax(every[i][n : n + 1]).max() > threshold]
        assert taken[n] == (sure[0] if sure else 2)
        np.testing.assert_allclose(z[n], every[taken[n]][n], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(classifier.predict(x), z.argmax(axis=1))
    np.testing.assert_allclose(classifier.predict_proba(x).sum(axis=1), 1, rtol=1e-5)
    if threshold in (0.0, 1.0):
        assert set(taken) == {0 if threshold == 0 else 2}
    elif threshold == 0.8:
        assert set(taken) == {0, 1, 2}


def test_early_exit_runs_every_layer_once():
    """With a Tanh that shows: a ReLU applied twice is a ReLU."""
    net, x = student(activation=kd.Tanh), data(50, seed=3).x
    z = EarlyExit(net, exits(TAPS, WIDTHS, K), 1.0).logits(x)
    np.testing.assert_allclose(z, net.logits(x), rtol=1e-4, atol=1e-5)


def test_early_exit_survives_pickling():
    classifier, _, _ = early(0.8)
    x = data(50, seed=3).x
    for a, b in zip(classifier.answer(x), pickle.loads(pickle.dumps(classifier)).answer(x)):
        np.testing.assert_array_equal(a, b)


def test_early_exit_on_every_backend(backend):
    _, net, objective = early(0.8)
    x = data(50, seed=3).x
    expected = EarlyExit(net, objective, 0.8).answer(x)
    there = exits(TAPS, WIDTHS, K, device=backend.device)
    for new, old in zip(there.nets, objective.nets):
        new.theta[...] = backend.put(old.theta)
    got = EarlyExit(net.to(backend.device), there, 0.8).answer(backend.put(x))
    for a, b in zip(got, expected):
        np.testing.assert_allclose(kd.to_numpy(a), b, rtol=1e-4, atol=1e-5)


def test_early_exit_takes_exits_of_one_network_and_in_any_order():
    net = student()
    low, high = kd.MLP(H, K, seed=2), kd.MLP(H, K, seed=3)
    terms = [
        kd.Through(high, "student.h3", "student.e2", kd.CrossEntropy("student.e2")),
        kd.Through(low, "student.h1", "student.e1", kd.CrossEntropy("student.e1")),
    ]
    classifier = EarlyExit(net, terms[0] + terms[1], 0.0)
    x = data().x
    np.testing.assert_allclose(classifier.logits(x), low.logits(net.forward(x)[0]["h1"]), rtol=1e-5)


def test_early_exit_checks_its_arguments():
    net, objective = student(), exits(TAPS, WIDTHS, K)
    with pytest.raises(ValueError, match="threshold lies in"):
        EarlyExit(net, objective, 1.5)
    with pytest.raises(ValueError, match="no exits"):
        EarlyExit(net, kd.CrossEntropy())
    with pytest.raises(kd.UnknownSiteError, match="no tap 'h3'; this network has"):
        EarlyExit(kd.MLP(D, H, K), kd.Through(kd.MLP(H, K), "student.h3", "e", kd.CrossEntropy("e")))
    with pytest.raises(ValueError, match="x has 4 features, the network takes 5"):
        EarlyExit(net, objective).predict(np.zeros((2, 4), np.float32))
    assert EarlyExit(net, objective).logits(np.zeros((0, D), np.float32)).shape == (0, K)
