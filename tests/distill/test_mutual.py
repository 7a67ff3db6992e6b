"""Mutual learning in both orders, and from stale peers."""

from __future__ import annotations

import numpy as np
import pytest
from peers import answers

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, batch, net, peers
from kdlearn.distill import attention, branches, collaborative, ensemble, mutual
from kdlearn.objective import Through


def by_hand(nets, x, y, T, order, lr):
    """Peers moved by SGD after Zhang et al. 2018, each peer's gradient written out."""
    nets = [n.copy() for n in nets]
    frozen = [n.logits(x) for n in nets]
    for i, n in enumerate(nets):
        seen = frozen if order == "together" else [m.logits(x) for m in nets]
        taps, caches = n.forward(x)
        z = taps["logits"]
        q, p = kd.softmax(z), kd.softmax(z, T)
        others = np.mean([kd.softmax(s, T) for j, s in enumerate(seen) if j != i], axis=0)
        n.backward(caches, {"logits": (q - np.eye(K)[y] + T * (p - others)) / len(y)})
        n.theta -= lr * n.grad
    return [n.theta for n in nets]


@pytest.mark.parametrize(("order", "step"), [("together", kd.train_step), ("in turn", mutual.alternating_step)])
def test_mutual_learning_in_both_orders_is_what_the_paper_writes(order, step):
    three, columns = peers("a", "b", "c"), batch()
    expected = by_hand(three.values(), columns["x"], columns["y"], 2.0, order, 0.5)
    step(three, None, mutual.mutual(*three, T=2.0), columns, optimizer=kd.SGD(0.5))
    for n, theta in zip(three.values(), expected):
        np.testing.assert_allclose(n.theta, theta, rtol=1e-12, atol=1e-14)


def test_the_two_orders_differ_but_not_for_whoever_moves_first():
    together, in_turn = peers("a", "b"), peers("a", "b")
    first = kd.train_step(together, None, mutual.mutual("a", "b"), batch(), optimizer=kd.SGD(0.5))
    second = mutual.alternating_step(in_turn, None, mutual.mutual("a", "b"), batch(), optimizer=kd.SGD(0.5))
    assert first == second  # the values are those from before anyone moved
    np.testing.assert_array_equal(together["a"].theta, in_turn["a"].theta)
    assert np.abs(together["b"].theta - in_turn["b"].theta).max() > 1e-4


def test_mutual_learning_against_torch():
    torch = pytest.importorskip("torch")
    y, logits = answers()
    live = {f"{n}.logits": z for n, z in zip("abc", logits)}
    result = mutual.mutual("a", "b", "c", T=2)(live, {**live, "y": y})
    value, gradients = result.value, result.gradients
    ts = [torch.from_numpy(z).requires_grad_() for z in logits]
    total = 0
    for i, t in enumerate(ts):
        total = total + torch.nn.functional.cross_entropy(t, torch.from_numpy(y))
        for j, other in enumerate(ts):
            if i != j:
                total = total + 4 / 2 * torch.nn.functional.kl_div(
                    torch.log_softmax(t / 2, -1), torch.softmax(other.detach() / 2, -1), reduction="batchmean"
                )
    total.backward()
    assert value == pytest.approx(total.item())
    for site, t in zip(live, ts):
        np.testing.assert_allclose(gradients[site], t.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_single_peer_has_the_labels_alone():
    alone = peers("a")
    kd.train_step(alone, None, mutual.mutual("a"), batch(), optimizer=kd.SGD(0.5))
    plain = peers("a")
    kd.train_step(plain, None, kd.CrossEntropy("a.logits"), batch(), optimizer=kd.SGD(0.5))
    np.testing.assert_array_equal(alone["a"].theta, plain["a"].theta)
    assert [t.name for t in mutual.codistillation("a").terms] == ["cross_entropy(a.logits, y)"]


def test_names_must_be_there_and_differ():
    for make in (mutual.mutual, collaborative.kdcl, mutual.codistillation, kd.StalePeers):
        for names in ((), ("a", "a")):
            with pytest.raises(ValueError, match="peers need names"):
                make(*names)
    with pytest.raises(ValueError, match="at least one peer"):
        attention.okddip(attention.Attention(7), "leader")
    with pytest.raises(ValueError, match="at least one head"):
        branches.cl_ilr()


def test_in_turn_one_network_under_two_names_moves_once():
    shared = net(D, 7, K, seed=1)
    views = batch(**{"b.x": lambda rng: rng.normal(size=(N, D))})
    objective = kd.CrossEntropy("a.logits") + 2 * kd.SoftTargets(2, "b.logits", "a.logits")
    expected = shared.copy()
    kd.train_step({"a": expected, "b": expected}, None, objective, views, optimizer=kd.SGD(0.1))
    mutual.alternating_step({"a": shared, "b": shared}, None, objective, views, optimizer=kd.SGD(0.1))
    np.testing.assert_array_equal(shared.theta, expected.theta)


def test_in_turn_adaptors_move_and_a_teacher_does_not():
    head, teacher = net(7, K, seed=3), net(D, 4, K, seed=4)
    before = head.theta.copy(), teacher.theta.copy()
    exit1 = Through(head, "a.h1", "a.exit", kd.CrossEntropy("a.exit") + kd.SoftTargets(2, "a.exit"))
    two = peers("a", "b")
    mutual.alternating_step(two, {"teacher": teacher}, mutual.mutual("a", "b") + exit1, batch(), optimizer=kd.SGD(0.1))
    assert (head.theta != before[0]).any()
    np.testing.assert_array_equal(teacher.theta, before[1])


def test_in_turn_on_every_backend_and_without_waiting(backend, standin):
    def train(device):
        made = {name: n.to(device) for name, n in peers("a", "b").items()}
        columns = {name: kd.to_device(a, device) if hasattr(a, "ndim") else a for name, a in batch().items()}
        standin.syncs = standin.host_copies = 0
        mutual.alternating_step(made, None, mutual.mutual("a", "b"), columns, optimizer=kd.SGD(0.1))
        assert (standin.syncs, standin.host_copies) == (0, 0)
        return [kd.to_numpy(n.theta) for n in made.values()]

    for a, b in zip(train("cpu"), train(backend.device)):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_fit_takes_the_step_and_rejects_nan():
    train, _, _ = kd.data.blobs(60)
    two = {"a": kd.MLP(2, 8, 3, seed=0), "b": kd.MLP(2, 8, 3, seed=1)}
    history = kd.fit(
        two, mutual.mutual("a", "b"), train, epochs=5, optimizer=kd.Adam(1e-2), step=mutual.alternating_step,
        progress=False,
    )  # fmt: skip
    assert history["loss"][-1] < history["loss"][0]
    broken = train.with_columns({"x": np.where(np.arange(60)[:, None] == 3, np.nan, train.x)})
    with pytest.raises(ValueError, match="not finite"):
        kd.fit(two, mutual.mutual("a", "b"), broken, epochs=1, progress=False)


def test_codistillation_reads_no_live_site_of_another_peer():
    objective = mutual.codistillation("a", "b", "c", T=2)
    assert objective.reads()[1] == {"y", "progress", "stale.a.logits", "stale.b.logits", "stale.c.logits"}


def test_codistillation_by_hand_before_and_after_the_burn_in():
    y, (za, zb, sa, sb, sc) = answers(5)
    stale = {"stale.a.logits": sa, "stale.b.logits": sb, "stale.c.logits": sc}
    objective = mutual.codistillation("a", "b", "c", T=2, burn_in=0.5, weight=0.8)
    live = {"a.logits": za, "b.logits": zb, "c.logits": za}
    labels_alone = sum(kd.cross_entropy(z, y)[0] for z in live.values())
    assert objective(live, {"y": y, "progress": 0.49, **stale}).value == pytest.approx(labels_alone)
    mean = ensemble.mean_of_probabilities
    pairs = ((za, mean(sb, sc, T=2)), (zb, mean(sa, sc, T=2)), (za, mean(sa, sb, T=2)))
    expected = labels_alone + 0.8 * sum(kd.soft_targets(z, t, 2)[0] for z, t in pairs)
    assert objective(live, {"y": y, "progress": 0.5, **stale}).value == pytest.approx(expected)
    with pytest.raises(ValueError, match="burn_in"):
        mutual.codistillation("a", "b", burn_in=3)


class Witness:
    """Records, after each epoch, the peers' answers and the columns that the next epoch will read."""

    def __init__(self):
        self.rows = []

    def after_epoch(self, run):
        now = {name: n.logits(run.data.x) for name, n in run.students.items()}
        self.rows.append((now, {name: run.data[f"stale.{name}.logits"] for name in run.students}))


def test_stale_columns_are_what_the_peers_said_at_the_last_refreshment():
    train, _, _ = kd.data.blobs(60)
    two = {"a": kd.MLP(2, 8, 3, seed=0), "b": kd.MLP(2, 8, 3, seed=1)}
    stale, witness = kd.StalePeers("a", "b", every=2), Witness()
    data = stale.refresh(train, two)
    at_first = {name: n.logits(train.x) for name, n in two.items()}
    kd.fit(
        two, mutual.codistillation("a", "b", burn_in=0.0), data, epochs=5, hooks=[stale, witness],
        optimizer=kd.Adam(1e-2), progress=False,
    )  # fmt: skip
    for epoch, source in enumerate([None, 1, 1, 3, 3]):
        said = at_first if source is None else witness.rows[source][0]
        for name in two:
            np.testing.assert_array_equal(witness.rows[epoch][1][name], said[name])
    assert "stale.a.logits" not in train  # nothing was written into the caller's data
    np.testing.assert_array_equal(data["stale.a.logits"], at_first["a"])


def test_without_its_columns_codistillation_says_what_is_missing():
    train, _, _ = kd.data.blobs(60)
    two = {"a": kd.MLP(2, 8, 3, seed=0), "b": kd.MLP(2, 8, 3, seed=1)}
    with pytest.raises(kd.UnknownSiteError, match=r"stale\.b\.logits"):
        kd.fit(two, mutual.codistillation("a", "b"), train, epochs=1, progress=False)


def test_mutual_learning_makes_peers_agree():
    """That is what it does; on digits it makes them no better, and that is no test."""
    train, _, test = kd.data.digits()
    few = train.take(slice(0, 200))

    def agreement(objective):
        two = {"a": kd.MLP(64, 32, 10, seed=0), "b": kd.MLP(64, 32, 10, seed=1)}
        kd.fit(two, objective, few, epochs=30, batch_size=50, optimizer=kd.Adam(1e-2), progress=False)
        return 100 * kd.metrics.agreement(two["a"].logits(test.x), two["b"].logits(test.x))

    apart = agreement(kd.CrossEntropy("a.logits") + kd.CrossEntropy("b.logits"))
    assert agreement(mutual.mutual("a", "b", weight=3.0)) > apart + 1
