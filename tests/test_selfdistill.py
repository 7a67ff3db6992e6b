"""Self-distillation: who teaches, what is held, what the hooks write, and whether it helps."""

from __future__ import annotations

import contextlib
import functools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn import LastEpoch, MovingAverage
from kdlearn.distill.ensemble import mean_of_probabilities
from kdlearn.distill.feature import squared_error
from kdlearn.distill.selfdistill import (
    EarlyExit,
    agreeing_views,
    exits,
    generations,
    label_logits,
    progressive,
    same_class,
    two_views,
)

D, H, K = 5, 6, 3
OBJECTIVE = kd.CrossEntropy() + kd.SoftTargets(T=2)


def data(n=40, seed=0, **columns):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D)).astype(np.float32)
    return kd.Data({"x": x, "y": (x @ rng.normal(size=(D, K))).argmax(axis=1), **columns})


def student(seed=1, **options):
    return kd.MLP(D, H, H, H, K, seed=seed, **options)


def settings(**changes):
    return {"epochs": 3, "batch_size": 16, "optimizer": kd.Adam(1e-2), "seed": 4, "progress": False} | changes


TAPS, WIDTHS = ("student.h1", "student.h2", "student.h3"), (H, H, H)


# ---------------------------------------------------------------- generations


def test_each_generation_is_taught_by_the_last():
    rows, objective = data(), OBJECTIVE
    nets = generations(student, objective, rows, 3, **settings())
    by_hand = []
    for g in range(3):
        net = student(g)
        goal, teachers = (objective, by_hand[-1]) if g else (kd.CrossEntropy(), None)
        kd.fit(net, goal, rows, teachers=teachers, **settings(optimizer=kd.Adam(1e-2)))
        by_hand.append(net)
    for a, b in zip(nets, by_hand, strict=True):
        np.testing.assert_array_equal(a.theta, b.theta)


def test_generations_share_seed_but_not_the_optimizers_memory():
    optimizer = kd.Adam(1e-2)
    a, b = generations(lambda g: student(7), kd.CrossEntropy(), data(), 2, **settings(optimizer=optimizer))
    np.testing.assert_array_equal(a.theta, b.theta)
    assert not optimizer.memory
    first = functools.partial(generations, student, kd.SoftTargets(1), data(), 1, **settings())
    smoothed = first(first=kd.CrossEntropy(smoothing=0.3))[0]
    assert not np.array_equal(smoothed.theta, first()[0].theta)
    with pytest.raises(ValueError, match="n must be at least 1"):
        generations(student, kd.SoftTargets(1), data(), 0, **settings())


def test_generations_keep_their_checkpoints_apart(tmp_path):
    """With one file for all, the second generation would resume as the first, finished."""
    kept = settings(checkpoint=tmp_path / "run.npz", resume=True)
    once = generations(student, kd.SoftTargets(1), data(), 3, **kept)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz.0", "run.npz.1", "run.npz.2"]
    assert not np.array_equal(once[0].theta, once[1].theta)
    again = generations(student, kd.SoftTargets(1), data(), 3, **kept)
    for a, b in zip(once, again):
        np.testing.assert_array_equal(a.theta, b.theta)


def noisy(y, share, seed):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(y)) < share, (y + rng.integers(1, 10, len(y))) % 10, y)


@functools.cache
def gain(share, fresh, seeds, n=3):
    """Test accuracy of the n-th generation less that of the first, in percent, one number a seed."""
    gains = []
    for seed in range(seeds):
        train, _, test = kd.data.digits(seed)
        rows = train.with_columns({"y": noisy(train.y, share, seed)})
        nets = generations(
            lambda g, seed=seed: kd.MLP(64, 128, 10, seed=1000 * seed + g * fresh), kd.SoftTargets(T=1), rows, n,
            epochs=30, batch_size=64, optimizer=kd.Adam(3e-3), schedule=kd.cosine, seed=seed, progress=False,
        )  # fmt: skip
        first, last = (100 * kd.metrics.accuracy(net.logits(test.x), test.y) for net in (nets[0], nets[-1]))
        gains.append(last - first)
    return kd.study.interval(gains)


def test_generations_gain_under_label_noise_and_not_on_clean_labels():
    """Digits, 64-128-10, third less first; over 20 seeds +2.6 ± 0.8 at 40 % noise and 0.0 ± 0.3 at none."""
    assert gain(0.4, True, 6).mean > 0.3
    assert -1.5 < gain(0.0, True, 4).mean < 1.0


def test_generations_from_one_start_gain_less():
    """60 % noise, 10 seeds: new initial weights each time +5.2 ± 0.8, the same ones +1.7 ± 1.0."""
    assert gain(0.6, True, 4).mean > gain(0.6, False, 4).mean + 0.5


# ---------------------------------------------------------------- deep to shallow


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


# ---------------------------------------------------------------- its own past


@given(st.integers(1, 6), st.integers(2, 5), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_progressive_is_the_cross_entropy_of_mixed_targets(N, K, alpha, progress, seed):
    rng = np.random.default_rng(seed)
    z, past, y = rng.normal(size=(N, K)), 2 * rng.normal(size=(N, K)), rng.integers(0, K, N)
    p, a = kd.softmax(past), alpha * progress
    target = (1 - a) * kd.one_hot(y, K, "float64") + a * p
    fixed = {"y": y, "past.logits": past, "progress": progress}
    result = progressive(alpha)({"student.logits": z}, fixed)
    value, gradients = result.value, result.gradients
    np.testing.assert_allclose(gradients["student.logits"], (kd.softmax(z) - target) / N, atol=1e-12)
    entropy = -(p * np.log(p)).sum(axis=1).mean()  # of the past: it does not depend on the student
    assert value == pytest.approx(-(target * kd.log_softmax(z)).sum(axis=1).mean() - a * entropy, abs=1e-9)


def test_progressive_matches_autograd():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z, past, y = rng.normal(size=(6, K)), 2 * rng.normal(size=(6, K)), rng.integers(0, K, 6)
    leaf = torch.tensor(z, requires_grad=True)
    a = 0.8 * 0.25
    target = (1 - a) * torch.eye(K, dtype=torch.float64)[y] + a * torch.softmax(torch.tensor(past), 1)
    torch.nn.functional.cross_entropy(leaf, target).backward()
    result = progressive(0.8)({"student.logits": z}, {"y": y, "past.logits": past, "progress": 0.25})
    gradients = result.gradients
    kd.gradcheck.compare_gradients(gradients["student.logits"], leaf.grad.numpy())


def with_past(rows):
    return rows.with_columns({"past.logits": label_logits(rows.y, K)})


def test_without_a_past_the_labels_stand_in(backend):
    y = np.array([2, 0, 1])
    z = kd.to_numpy(label_logits(backend.put(y), K))
    np.testing.assert_array_equal(kd.softmax(z), np.eye(K)[y])
    plain, refined = student(), student()
    kd.fit(plain, kd.CrossEntropy(), data(), **settings(epochs=1))
    kd.fit(refined, progressive(), with_past(data()), **settings(epochs=1, optimizer=kd.Adam(1e-2)))
    np.testing.assert_allclose(refined.theta, plain.theta, rtol=1e-3, atol=1e-5)


class Spy:
    """Remembers, after each epoch, the student's answers and the column that the next epoch will read."""

    def __init__(self):
        self.answers, self.columns = [], []

    def after_epoch(self, run):
        self.answers.append(run.students["student"].logits(run.data.x))
        self.columns.append(run.data["past.logits"])


def test_the_column_is_what_the_student_said_row_by_row():
    spy, rows = Spy(), with_past(data())
    kd.fit(student(), progressive(), rows, hooks=[LastEpoch(), spy], validation=rows, **settings())
    for said, kept in zip(spy.answers, spy.columns):
        np.testing.assert_array_equal(kept, said)
    assert not np.allclose(spy.columns[0], spy.columns[1])
    assert np.isneginf(rows["past.logits"]).any()  # the data that was given is not touched


def test_a_past_network_does_the_same_as_a_past_column():
    """From the second epoch on; in the first there is no past, and the labels are not a network."""
    rows = with_past(data())
    columns, network = student(), student()
    weight = (lambda t: float(t > 0.3)) * kd.SoftTargets(1, teacher="past.logits")
    objective = kd.CrossEntropy() + weight
    kd.fit(columns, objective, rows, hooks=[LastEpoch()], **settings())
    kd.fit(
        network, objective, lambda epoch, rng: data(), teachers={"past": network.copy()}, hooks=[LastEpoch()],
        **settings(optimizer=kd.Adam(1e-2)),
    )  # fmt: skip
    np.testing.assert_allclose(network.theta, columns.theta, rtol=1e-3, atol=1e-5)


def test_a_column_cannot_be_kept_in_data_that_is_made_anew():
    with pytest.raises(ValueError, match="made anew each epoch cannot keep a column"):
        kd.fit(student(), progressive(), lambda epoch, rng: with_past(data()), hooks=[LastEpoch()], **settings())
    with pytest.raises(ValueError, match="alpha lies in"):
        progressive(1.2)


class Trip:
    """Ends the training as an interrupt would, within an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def after_step(self, run):
        if run.epoch == self.epoch:
            raise KeyboardInterrupt


PASTS = {
    "a column": lambda net: (progressive(), with_past(data()), {}, LastEpoch),
    "a network": lambda net: (progressive(), data(), {"past": net.copy()}, LastEpoch),
    "an average": lambda net: (OBJECTIVE, data(), {"teacher": net.copy()}, MovingAverage),
}


@pytest.mark.parametrize("kind", PASTS)
def test_a_training_with_a_past_resumes_bit_for_bit(kind, tmp_path):
    def train(net, hooks, teachers=None, **changes):
        objective, rows, made, hook = PASTS[kind](net)
        made = made if teachers is None else teachers
        kd.fit(net, objective, rows, teachers=made, hooks=[hook(), *hooks], **settings(epochs=4, **changes))
        return net, made

    whole, _ = train(student(), [])
    file, first = tmp_path / "run.npz", student()
    with pytest.raises(KeyboardInterrupt):
        train(first, [Trip(3)], optimizer=kd.Adam(1e-2), checkpoint=file)
    resumed, _ = train(student(), [], optimizer=kd.Adam(1e-2), checkpoint=file, resume=True)
    np.testing.assert_array_equal(resumed.theta, whole.theta)


@pytest.mark.parametrize("kind", PASTS)
def test_a_training_with_a_past_on_every_backend(kind, backend):
    def train(device):
        net = student().to(device)
        objective, rows, teachers, hook = PASTS[kind](net)
        kd.fit(net, objective, rows.to(device), teachers=teachers, hooks=[hook()], **settings())
        return kd.to_numpy(net.theta)

    np.testing.assert_allclose(train(backend.device), train("cpu"), rtol=1e-3, atol=1e-5)


def test_the_teacher_is_the_moving_average():
    m, net, seen = 0.75, student(), []
    teacher = net.copy()
    address = teacher.theta

    class Record:
        def after_step(self, run):
            seen.append(run.students["student"].theta.copy())

    kd.fit(net, OBJECTIVE, data(), teachers=teacher, hooks=[Record(), MovingAverage(m)], **settings())
    expected = None
    for s, theta in enumerate(seen, 1):
        # at first the plain mean: the initial weights leave no trace
        expected = np.mean(seen[:s], axis=0) if s <= 1 / (1 - m) else m * expected + (1 - m) * theta
    assert teacher.theta is address and len(seen) == 9
    np.testing.assert_allclose(teacher.theta, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="m lies in"):
        MovingAverage(1.0)


def test_a_fault_puts_the_moving_teacher_back_too():
    def train(**changes):
        net = student()
        teacher = net.copy()
        hooks = [MovingAverage(0.9), *changes.pop("hooks", ())]
        with contextlib.suppress(KeyboardInterrupt):
            kd.fit(net, OBJECTIVE, data(), teachers=teacher, hooks=hooks, **settings(**changes))
        return net.theta, teacher.theta

    for a, b in zip(train(epochs=2, schedule=kd.constant), train(epochs=5, hooks=[Trip(3)])):
        np.testing.assert_array_equal(a, b)


def test_the_average_never_waits_for_the_device(standin):
    from kdlearn.run import Run

    net, teacher = student().to("cuda"), student(2).to("cuda")
    run = Run({"student": net}, {"teacher": teacher}, kd.CrossEntropy(), kd.Adam())
    hook = MovingAverage(0.9)
    standin.syncs = standin.host_copies = 0
    for _ in range(3):
        hook.after_step(run)
    assert (standin.syncs, standin.host_copies) == (0, 0)
    np.testing.assert_allclose(kd.to_numpy(teacher.theta), kd.to_numpy(net.theta), rtol=1e-5)


# ---------------------------------------------------------------- its other views


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 5))
def test_pairs_are_of_one_class_and_nobody_is_left_out(labels, seed):
    y = np.array(labels)
    rows = kd.Data({"x": np.arange(len(y), dtype=np.float32)[:, None], "y": y})
    made = same_class(rows)(0, np.random.default_rng(seed))
    pair = made["pair.x"][:, 0].astype(int)
    np.testing.assert_array_equal(y[pair], y)
    np.testing.assert_array_equal(np.sort(pair), np.arange(len(y)))
    alone = np.bincount(y)[y] == 1
    np.testing.assert_array_equal(pair == np.arange(len(y)), alone)


def test_pairs_change_with_epoch_and_seed_and_leave_the_shuffle_alone():
    rows = data()

    def pairs(epoch, seed):
        rng = np.random.default_rng(seed)
        made = same_class(rows)(epoch, rng)["pair.x"]
        assert rng.bit_generator.state == np.random.default_rng(seed).bit_generator.state
        return made

    np.testing.assert_array_equal(pairs(1, 0), pairs(1, 0))
    assert not np.array_equal(pairs(1, 0), pairs(2, 0)) and not np.array_equal(pairs(1, 0), pairs(1, 1))
    plain, paired = student(), student()
    kd.fit(plain, kd.CrossEntropy(), rows, **settings())
    kd.fit(paired, kd.CrossEntropy(), same_class(rows), **settings(optimizer=kd.Adam(1e-2)))
    np.testing.assert_array_equal(paired.theta, plain.theta)


def test_class_wise_training_on_every_backend(backend):
    def train(device):
        net, rows = student().to(device), data().to(device)
        objective = kd.CrossEntropy() + kd.SoftTargets(4, teacher="pair.logits")
        hist = kd.fit(net, objective, same_class(rows), teachers={"pair": net}, validation=rows, **settings())
        return kd.to_numpy(net.theta), hist

    theta, history = train("cpu")
    np.testing.assert_allclose(train(backend.device)[0], theta, rtol=1e-4, atol=1e-6)
    # validation rows have no pairs: each is its own, and agrees with itself
    assert history["soft_targets", "validation"][-1] == pytest.approx(0, abs=1e-6)
    assert history["soft_targets"][-1] > 1e-4


def test_two_views_are_distorted_apart_and_the_rows_stay():
    def noise(x, rng):
        return x + rng.standard_normal(x.shape).astype(x.dtype)

    rows = data()
    first, second = (two_views(rows, noise)(epoch, np.random.default_rng(0)) for epoch in (0, 1))
    for a, b in ((first["a.x"], first["b.x"]), (first["a.x"], second["a.x"]), (first["a.x"], rows.x)):
        assert not np.allclose(a, b)
    np.testing.assert_array_equal(first.x, rows.x)
    net = student()
    history = kd.fit({"a": net, "b": net}, agreeing_views(hint=0.1), two_views(rows, noise), **settings(epochs=20))
    assert history["loss"][-1] < history["loss"][0]


def test_agreeing_views_match_autograd():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    rng = np.random.default_rng(2)
    T, weight, hint, y = 2.0, 0.6, 0.3, rng.integers(0, K, 7)
    live = {f"{v}.{tap}": rng.normal(size=(7, w)) for v in "ab" for tap, w in (("logits", K), ("h1", H))}
    result = agreeing_views(T, weight, hint)(live, {**live, "y": y})
    value, gradients = result.value, result.gradients
    leaf = {site: torch.tensor(a, requires_grad=True) for site, a in live.items()}
    total = 0.0
    for v, o in ("ab", "ba"):
        z, other = leaf[f"{v}.logits"], leaf[f"{o}.logits"].detach()
        kl = F.kl_div(F.log_softmax(z / T, 1), F.softmax(other / T, 1), reduction="batchmean")
        near = 0.5 * ((leaf[f"{v}.h1"] - leaf[f"{o}.h1"].detach()) ** 2).sum(1).mean()
        total = total + F.cross_entropy(z, torch.tensor(y)) + weight * T * T * kl + hint * near
    total.backward()
    assert total.item() == pytest.approx(value)
    for site, tensor in leaf.items():
        kd.gradcheck.compare_gradients(gradients[site], tensor.grad.numpy())


def test_distance_of_pairs_bounds_the_discrepancy_of_means():
    rng = np.random.default_rng(0)
    h_a, h_b = rng.normal(size=(2, 9, H)) + 0.5
    mmd = ((h_a.mean(axis=0) - h_b.mean(axis=0)) ** 2).sum()
    assert 0 < mmd <= 2 * squared_error(h_a, h_b)[0]


# ---------------------------------------------------------------- together


def test_the_ensemble_of_generations_is_the_mean_of_their_probabilities():
    nets = generations(student, kd.SoftTargets(1), data(), 3, **settings())
    x = data(20, seed=8).x
    z = mean_of_probabilities(*(net.logits(x) for net in nets))
    np.testing.assert_allclose(kd.softmax(z), np.mean([net.predict_proba(x) for net in nets], axis=0), rtol=1e-4)
