"""Learning together: mutual learning in both orders, common targets, branches, attention, stale peers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import D, K, N, batch, net
from recipes_online import peers

import kdlearn as kd
from kdlearn.distill import ensemble, online
from kdlearn.objective import Through
from kdlearn.step import run_networks

quick = settings(deadline=None, max_examples=40)


def answers(M=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, K, N), [(2 * rng.normal(size=(N, K)) + m) for m in range(M)]


def losses(y, logits):
    return np.stack([-kd.log_softmax(z)[np.arange(N), y] for z in logits])


# ------------------------------------------------------------------ mutual learning


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


@pytest.mark.parametrize(("order", "step"), [("together", kd.train_step), ("in turn", online.alternating_step)])
def test_mutual_learning_in_both_orders_is_what_the_paper_writes(order, step):
    three, columns = peers("a", "b", "c"), batch()
    expected = by_hand(three.values(), columns["x"], columns["y"], 2.0, order, 0.5)
    step(three, None, online.mutual(*three, T=2.0), columns, optimizer=kd.SGD(0.5))
    for n, theta in zip(three.values(), expected):
        np.testing.assert_allclose(n.theta, theta, rtol=1e-12, atol=1e-14)


def test_the_two_orders_differ_but_not_for_whoever_moves_first():
    together, in_turn = peers("a", "b"), peers("a", "b")
    first = kd.train_step(together, None, online.mutual("a", "b"), batch(), optimizer=kd.SGD(0.5))
    second = online.alternating_step(in_turn, None, online.mutual("a", "b"), batch(), optimizer=kd.SGD(0.5))
    assert first == second  # the values are those from before anyone moved
    np.testing.assert_array_equal(together["a"].theta, in_turn["a"].theta)
    assert np.abs(together["b"].theta - in_turn["b"].theta).max() > 1e-4


def test_mutual_learning_against_torch():
    torch = pytest.importorskip("torch")
    y, logits = answers()
    live = {f"{n}.logits": z for n, z in zip("abc", logits)}
    result = online.mutual("a", "b", "c", T=2)(live, {**live, "y": y})
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
    kd.train_step(alone, None, online.mutual("a"), batch(), optimizer=kd.SGD(0.5))
    plain = peers("a")
    kd.train_step(plain, None, kd.CrossEntropy("a.logits"), batch(), optimizer=kd.SGD(0.5))
    np.testing.assert_array_equal(alone["a"].theta, plain["a"].theta)
    assert [t.name for t in online.codistillation("a").terms] == ["cross_entropy(a.logits, y)"]


def test_names_must_be_there_and_differ():
    for make in (online.mutual, online.kdcl, online.codistillation, kd.StalePeers):
        for names in ((), ("a", "a")):
            with pytest.raises(ValueError, match="peers need names"):
                make(*names)
    with pytest.raises(ValueError, match="at least one peer"):
        online.okddip(online.Attention(7), "leader")
    with pytest.raises(ValueError, match="at least one head"):
        online.cl_ilr()


def test_in_turn_one_network_under_two_names_moves_once():
    shared = net(D, 7, K, seed=1)
    views = batch(**{"b.x": lambda rng: rng.normal(size=(N, D))})
    objective = kd.CrossEntropy("a.logits") + 2 * kd.SoftTargets(2, "b.logits", "a.logits")
    expected = shared.copy()
    kd.train_step({"a": expected, "b": expected}, None, objective, views, optimizer=kd.SGD(0.1))
    online.alternating_step({"a": shared, "b": shared}, None, objective, views, optimizer=kd.SGD(0.1))
    np.testing.assert_array_equal(shared.theta, expected.theta)


def test_in_turn_adaptors_move_and_a_teacher_does_not():
    head, teacher = net(7, K, seed=3), net(D, 4, K, seed=4)
    before = head.theta.copy(), teacher.theta.copy()
    exit1 = Through(head, "a.h1", "a.exit", kd.CrossEntropy("a.exit") + kd.SoftTargets(2, "a.exit"))
    two = peers("a", "b")
    online.alternating_step(two, {"teacher": teacher}, online.mutual("a", "b") + exit1, batch(), optimizer=kd.SGD(0.1))
    assert (head.theta != before[0]).any()
    np.testing.assert_array_equal(teacher.theta, before[1])


def test_in_turn_on_every_backend_and_without_waiting(backend, standin):
    def train(device):
        made = {name: n.to(device) for name, n in peers("a", "b").items()}
        columns = {name: kd.to_device(a, device) if hasattr(a, "ndim") else a for name, a in batch().items()}
        standin.syncs = standin.host_copies = 0
        online.alternating_step(made, None, online.mutual("a", "b"), columns, optimizer=kd.SGD(0.1))
        assert (standin.syncs, standin.host_copies) == (0, 0)
        return [kd.to_numpy(n.theta) for n in made.values()]

    for a, b in zip(train("cpu"), train(backend.device)):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_fit_takes_the_step_and_rejects_nan():
    train, _, _ = kd.data.blobs(60)
    two = {"a": kd.MLP(2, 8, 3, seed=0), "b": kd.MLP(2, 8, 3, seed=1)}
    history = kd.fit(
        two, online.mutual("a", "b"), train, epochs=5, optimizer=kd.Adam(1e-2), step=online.alternating_step,
        progress=False,
    )  # fmt: skip
    assert history["loss"][-1] < history["loss"][0]
    broken = train.with_columns({"x": np.where(np.arange(60)[:, None] == 3, np.nan, train.x)})
    with pytest.raises(ValueError, match="not finite"):
        kd.fit(two, online.mutual("a", "b"), broken, epochs=1, progress=False)


# ------------------------------------------------------------------ one target for all


@quick
@given(M=st.integers(1, 5), seed=st.integers(0, 99))
def test_common_targets_are_ordered_by_their_loss(M, seed):
    y, logits = answers(M, seed)
    best = losses(y, logits).min(axis=0)
    naive, linear, smallest = (f(y, *logits) for f in (online.lowest_loss, online.best_mixture, online.min_logit))
    np.testing.assert_allclose(losses(y, [naive])[0], best)
    assert (losses(y, [linear])[0] <= best + 1e-12).all()
    assert (losses(y, [smallest])[0] <= losses(y, [linear])[0] + 1e-9).all()
    np.testing.assert_allclose(smallest[np.arange(N), y], 0)
    np.testing.assert_allclose(losses(y, [smallest])[0], np.log(np.exp(smallest).sum(axis=1)))
    if M == 1:
        np.testing.assert_allclose(kd.softmax(smallest), kd.softmax(logits[0]))


def test_best_mixture_against_a_search():
    y, logits = answers(3, seed=4)
    Z = np.stack(logits)
    best = np.full(N, np.inf)
    for w in np.random.default_rng(0).dirichlet(0.3 * np.ones(3), 4000):
        best = np.minimum(best, losses(y, [np.tensordot(w, Z, 1)])[0])
    assert (losses(y, [online.best_mixture(y, *logits, steps=200)])[0] <= best + 1e-3).all()
    assert (losses(y, [online.best_mixture(y, *logits)])[0] <= best + 2e-2).all()
    assert (losses(y, [online.best_mixture(y, *logits)])[0] < losses(y, logits).min(axis=0) - 1e-3).any()


def test_common_targets_need_one_label_a_row():
    y, logits = answers()
    for target in (online.lowest_loss, online.best_mixture, online.min_logit):
        with pytest.raises(ValueError, match="one label a row"):
            target(np.eye(K)[y], *logits)


# ------------------------------------------------------------------ gates and attention


def adaptor_check(adaptor, *arrays):
    """Every input's gradient and the parameters', against central differences of a random projection."""
    out, caches = adaptor.forward(*arrays, taps=("logits",))
    R = np.random.default_rng(1).normal(size=out["logits"].shape)
    dx = adaptor.backward(caches, {"logits": R}, need_dx=True)
    grad = adaptor.grad.copy()

    def value(i, v):
        return (R * adaptor.forward(*arrays[:i], v, *arrays[i + 1 :])[0]["logits"]).sum()

    for i, a in enumerate(arrays):
        expected = kd.gradcheck.numerical_gradient(lambda v, i=i: value(i, v), a)
        kd.gradcheck.compare_gradients(dx[i], expected, f"input {i}")

    def of_theta(theta):
        adaptor.theta[...] = theta
        return value(0, arrays[0])

    kd.gradcheck.compare_gradients(grad, kd.gradcheck.numerical_gradient(of_theta, adaptor.theta.copy()), "theta")
    adaptor.backward(caches, {"logits": R})
    np.testing.assert_allclose(adaptor.grad, 2 * grad)


@pytest.mark.parametrize("members", [1, 2, 4])
def test_gate(members):
    _, logits = answers(members)
    gate = online.Gate(7, members, seed=1, dtype="float64")
    adaptor_check(gate, np.random.default_rng(2).normal(size=(N, 7)), *logits)
    with pytest.raises(ValueError, match=f"mixes {members} answers, got {members + 1}"):
        gate.forward(np.zeros((N, 7)), *logits, logits[0])


@pytest.mark.parametrize("members", [1, 2, 4])
def test_attention(members):
    _, logits = answers(members)
    attention = online.Attention(7, 3, seed=1, dtype="float64")
    h = [np.random.default_rng(m).normal(size=(N, 7)) for m in range(members)]
    adaptor_check(attention, np.random.default_rng(9).normal(size=(N, 7)), *h, *logits)
    with pytest.raises(ValueError, match="as many features"):
        attention.forward(h[0], *h, *logits, logits[0])


def test_adaptors_survive_copies_and_pickles():
    for adaptor in (online.Gate(7, 2), online.Attention(7)):
        for again in (adaptor.copy(), pickle.loads(pickle.dumps(adaptor))):
            np.testing.assert_array_equal(again.theta, adaptor.theta)
            again.theta += 1
            assert (again.layers[0].__dict__[again.layers[0].parameters[0]] != 0).any()


def test_one_against_torch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    rng, T = np.random.default_rng(0), 2.0
    h, z0, y = rng.normal(size=(N, 7)), rng.normal(size=(N, K)), rng.integers(0, K, N)
    head, gate = net(7, K, seed=3), online.Gate(7, 2, seed=4, dtype="float64")
    live = {"student.h1": h, "student.logits": z0}
    result = online.one(gate, head, T=T, weight=0.5)(live, {**live, "y": y})
    value, gradients = result.value, result.gradients

    def tensor(a):
        return torch.from_numpy(np.array(a)).requires_grad_()

    th, tz, ty = tensor(h), tensor(z0), torch.from_numpy(y)
    W, b, V, c = (tensor(a) for a in (head.layers[0].W, head.layers[0].b, gate.layers[0].W, gate.layers[0].b))
    z1, g = th @ W + b, torch.softmax(th @ V + c, -1)
    e = g[:, :1] * tz + g[:, 1:] * z1
    total = F.cross_entropy(tz, ty) + F.cross_entropy(z1, ty) + F.cross_entropy(e, ty)
    for z in (tz, z1):
        kl = F.kl_div(torch.log_softmax(z / T, -1), torch.softmax(e.detach() / T, -1), reduction="batchmean")
        total = total + 0.5 * T * T * kl
    total.backward()
    assert value == pytest.approx(total.item())
    for got, expected in (
        (gradients["student.h1"], th), (gradients["student.logits"], tz), (head.layers[0].dW, W),
        (head.layers[0].db, b), (gate.layers[0].dW, V), (gate.layers[0].db, c),
    ):  # fmt: skip
        np.testing.assert_allclose(got, expected.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_heads_learn_from_the_mean_of_the_others():
    rng = np.random.default_rng(0)
    h, z0, y = rng.normal(size=(N, 7)), rng.normal(size=(N, K)), rng.integers(0, K, N)
    heads = [net(7, K, seed=3), net(7, K, seed=4)]
    live = {"student.h1": h, "student.logits": z0}
    result = online.cl_ilr(*heads, T=2, beta=0.3)(live, {**live, "y": y})
    value, gradients = result.value, result.gradients
    z = [z0, *(n.logits(h) for n in heads)]
    expected = sum(
        0.3 * kd.cross_entropy(z[m], y)[0] + 0.7 * kd.soft_targets(z[m], (sum(z) - z[m]) / 2, 2)[0] for m in range(3)
    )
    assert value == pytest.approx(expected)
    own = 0.3 * kd.cross_entropy(z0, y)[1] + 0.7 * kd.soft_targets(z0, (z[1] + z[2]) / 2, 2)[1]
    np.testing.assert_allclose(gradients["student.logits"], own)


@quick
@given(T=st.floats(0.3, 30), seed=st.integers(0, 99))
def test_moving_target_moves_both(T, seed):
    _, (a, b) = answers(2, seed)
    weight = np.random.default_rng(seed).uniform(0.5, 2, N)
    for w in (None, weight):
        kd.gradcheck.check_loss(lambda z, w=w: (lambda v, g: (v, g[0]))(*online.moving_target(z, b, T, weight=w)), a)
        kd.gradcheck.check_loss(lambda z, w=w: (lambda v, g: (v, g[1]))(*online.moving_target(a, z, T, weight=w)), b)
    value, gradients = online.moving_target(a.astype("float16"), b.astype("float32"), T)
    assert [g.dtype for g in gradients] == ["float16", "float32"] and value.dtype == "float32"


def test_moving_target_against_torch():
    torch = pytest.importorskip("torch")
    _, (a, b) = answers(2)
    ta, tb = torch.from_numpy(a).requires_grad_(), torch.from_numpy(b).requires_grad_()
    kl = torch.nn.functional.kl_div(torch.log_softmax(ta / 3, -1), torch.softmax(tb / 3, -1), reduction="batchmean")
    (9 * kl).backward()
    value, (da, db) = online.moving_target(a, b, 3.0)
    assert value == pytest.approx(9 * kl.item())
    np.testing.assert_allclose(da, ta.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(db, tb.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_leader_is_heard_by_no_one():
    attention = online.Attention(7, 3, seed=1, dtype="float64")
    objective = online.okddip(attention, "leader", "a", "b")
    group = peers("leader", "a", "b")
    live, fixed, _ = run_networks(group, {}, objective, batch())
    before = objective(live, fixed).gradients
    elsewhere = {**live, "leader.logits": live["leader.logits"] + 1}
    after = objective(elsewhere, fixed | elsewhere).gradients
    for site in before:
        if not site.startswith("leader"):
            np.testing.assert_array_equal(before[site], after[site])


# ------------------------------------------------------------------ peers who are out of date


def test_codistillation_reads_no_live_site_of_another_peer():
    objective = online.codistillation("a", "b", "c", T=2)
    assert objective.reads()[1] == {"y", "progress", "stale.a.logits", "stale.b.logits", "stale.c.logits"}


def test_codistillation_by_hand_before_and_after_the_burn_in():
    y, (za, zb, sa, sb, sc) = answers(5)
    stale = {"stale.a.logits": sa, "stale.b.logits": sb, "stale.c.logits": sc}
    objective = online.codistillation("a", "b", "c", T=2, burn_in=0.5, weight=0.8)
    live = {"a.logits": za, "b.logits": zb, "c.logits": za}
    labels_alone = sum(kd.cross_entropy(z, y)[0] for z in live.values())
    assert objective(live, {"y": y, "progress": 0.49, **stale}).value == pytest.approx(labels_alone)
    mean = ensemble.mean_of_probabilities
    pairs = ((za, mean(sb, sc, T=2)), (zb, mean(sa, sc, T=2)), (za, mean(sa, sb, T=2)))
    expected = labels_alone + 0.8 * sum(kd.soft_targets(z, t, 2)[0] for z, t in pairs)
    assert objective(live, {"y": y, "progress": 0.5, **stale}).value == pytest.approx(expected)
    with pytest.raises(ValueError, match="burn_in"):
        online.codistillation("a", "b", burn_in=3)


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
        two, online.codistillation("a", "b", burn_in=0.0), data, epochs=5, hooks=[stale, witness],
        optimizer=kd.Adam(1e-2), progress=False,
    )  # fmt: skip
    for epoch, source in enumerate([None, 1, 1, 3, 3]):
        said = at_first if source is None else witness.rows[source][0]
        for name in two:
            np.testing.assert_array_equal(witness.rows[epoch][1][name], said[name])
    assert "stale.a.logits" not in train  # nothing was written into the caller's data
    np.testing.assert_array_equal(data["stale.a.logits"], at_first["a"])
    with pytest.raises(ValueError, match="every"):
        kd.StalePeers("a", every=0)


def test_without_its_columns_codistillation_says_what_is_missing():
    train, _, _ = kd.data.blobs(60)
    two = {"a": kd.MLP(2, 8, 3, seed=0), "b": kd.MLP(2, 8, 3, seed=1)}
    with pytest.raises(kd.UnknownSiteError, match=r"stale\.b\.logits"):
        kd.fit(two, online.codistillation("a", "b"), train, epochs=1, progress=False)


# ------------------------------------------------------------------ what it does to the peers


def test_mutual_learning_makes_peers_agree():
    """That is what it does; on digits it makes them no better, and that is no test."""
    train, _, test = kd.data.digits()
    few = train.take(slice(0, 200))

    def agreement(objective):
        two = {"a": kd.MLP(64, 32, 10, seed=0), "b": kd.MLP(64, 32, 10, seed=1)}
        kd.fit(two, objective, few, epochs=30, batch_size=50, optimizer=kd.Adam(1e-2), progress=False)
        return 100 * kd.metrics.agreement(two["a"].logits(test.x), two["b"].logits(test.x))

    apart = agreement(kd.CrossEntropy("a.logits") + kd.CrossEntropy("b.logits"))
    assert agreement(online.mutual("a", "b", weight=3.0)) > apart + 1
