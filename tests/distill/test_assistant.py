"""Chains of teachers, dense guidance, routes: who teaches whom, and whether a better teacher teaches better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import D, K, Trip, data, settings

import kdlearn as kd
from kdlearn import Route
from kdlearn.distill.assistant import assistants, attendance, densely_guided, follow
from kdlearn.distill.feature import fitnets


def net(width=8, seed=1):
    return kd.MLP(D, width, K, seed=seed)


def by_hand(student, objective, teachers, **changes):
    kd.fit(student, objective, data(), teachers=teachers, **settings(**changes))
    return student


# ---------------------------------------------------------------- chains


def test_each_is_taught_by_the_one_before():
    objective = 0.3 * kd.CrossEntropy() + 0.7 * kd.SoftTargets(4)
    head, chain = net(20, 9), [net(12, 2), net(6, 3)]
    optimizer = kd.Adam(1e-2)
    histories = assistants(chain, objective, data(), head, **settings(optimizer=optimizer))
    middle = by_hand(net(12, 2), objective, head)
    last = by_hand(net(6, 3), objective, middle)
    np.testing.assert_array_equal(chain[0].theta, middle.theta)
    np.testing.assert_array_equal(chain[1].theta, last.theta)
    assert [len(h) for h in histories] == [3, 3] and not optimizer.memory
    assert assistants([], objective, data(), head, **settings()) == []


def test_in_a_dense_chain_everybody_upstream_teaches():
    head, chain, seen = net(20, 9), [net(12, 2), net(9, 5), net(6, 3)], []

    def objective(names):
        seen.append(list(names))
        return densely_guided(names, T=2, alpha=0.4)

    assistants(chain, objective, data(), head, **settings())
    assert seen == [["teacher"], ["teacher", "teacher2"], ["teacher", "teacher2", "teacher3"]]
    first = by_hand(net(12, 2), densely_guided(["teacher"], 2, 0.4), head)
    second = by_hand(net(9, 5), densely_guided(["teacher", "teacher2"], 2, 0.4), {"teacher": first, "teacher2": head})
    third = {"teacher": second, "teacher2": first, "teacher3": head}
    last = by_hand(net(6, 3), densely_guided(list(third), 2, 0.4), third)
    np.testing.assert_array_equal(chain[2].theta, last.theta)


def test_an_adaptor_of_its_own_for_each_lesson():
    made = []

    def hints(names):
        made.append(kd.MLP(8, 8, seed=len(made)))
        return kd.CrossEntropy() + 0.1 * fitnets(made[-1], "student.h1", "teacher.h1")

    assistants([net(8, 2), net(8, 3)], hints, data(), net(8, 9), **settings())
    assert len(made) == 2 and not np.array_equal(made[0].theta, made[1].theta)


def test_lessons_keep_their_checkpoints_apart(tmp_path):
    def chain():
        return [net(12, 2), net(6, 3)]

    kept = settings(checkpoint=str(tmp_path / "run"), resume=True)
    once, again = chain(), chain()
    assistants(once, kd.SoftTargets(4), data(), net(20, 9), **kept)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.1", "run.2"]
    assistants(again, kd.SoftTargets(4), data(), net(20, 9), **kept)
    for a, b in zip(once, again):
        np.testing.assert_array_equal(a.theta, b.theta)


def test_one_stopper_serves_all_lessons():
    """Without a new start, the second network would be stopped by the first one's best value."""
    noise = kd.Data({"x": data(40, 1).x, "y": np.random.default_rng(0).integers(0, K, 40)})
    stopper = kd.EarlyStopping("cross_entropy", patience=2)
    chain = [net(12, 2), net(12, 3)]
    together = assistants(
        chain, kd.CrossEntropy(), noise, net(20, 9), validation=data(), hooks=[stopper],
        **settings(epochs=60, optimizer=kd.Adam(0.05)),
    )  # fmt: skip
    alone = net(12, 3)
    history = kd.fit(
        alone, kd.CrossEntropy(), noise, validation=data(), hooks=[kd.EarlyStopping("cross_entropy", patience=2)],
        **settings(epochs=60, optimizer=kd.Adam(0.05)),
    )  # fmt: skip
    assert len(together[1]) == len(history) < 60
    np.testing.assert_array_equal(chain[1].theta, alone.theta)


# ---------------------------------------------------------------- dense guidance


@given(st.integers(1, 5), st.integers(2, 5), st.integers(0, 4), st.floats(0.5, 8), st.floats(0, 1), st.integers(0, 99))
def test_dense_guidance_is_one_cross_entropy_and_a_sum_over_teachers(N, K, M, T, alpha, seed):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(N, K)), rng.integers(0, K, N)
    names = [f"t{m}" for m in range(M)]
    held = {f"{name}.logits": 2 * rng.normal(size=(N, K)) for name in names}
    result = densely_guided(names, T, alpha)({"student.logits": z}, {"y": y, **held})
    value, gradients = result.value, result.gradients
    q = kd.softmax(z, T)
    expected = (1 - alpha) * (kd.softmax(z) - kd.one_hot(y, K, "float64"))
    expected = (expected + alpha * T * sum(q - kd.softmax(t, T) for t in held.values())) / N
    np.testing.assert_allclose(gradients["student.logits"], expected, atol=1e-12)
    kl = sum((kd.softmax(t, T) * (kd.log_softmax(t, T) - kd.log_softmax(z, T))).sum() / N for t in held.values())
    assert value == pytest.approx((1 - alpha) * kd.cross_entropy(z, y)[0] + alpha * T * T * kl, abs=1e-9)


def test_dense_guidance_matches_autograd():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(6, K)), rng.integers(0, K, 6)
    held = {f"{name}.logits": 2 * rng.normal(size=(6, K)) for name in "ab"}
    leaf, T = torch.tensor(z, requires_grad=True), 3.0
    total = 0.6 * F.cross_entropy(leaf, torch.tensor(y))
    for t in held.values():
        kl = F.kl_div(F.log_softmax(leaf / T, 1), F.softmax(torch.tensor(t) / T, 1), reduction="batchmean")
        total = total + 0.4 * T * T * kl
    total.backward()
    result = densely_guided(("a", "b"), T, 0.4)({"student.logits": z}, {"y": y, **held})
    value, gradients = result.value, result.gradients
    assert total.item() == pytest.approx(value)
    kd.gradcheck.compare_gradients(gradients["student.logits"], leaf.grad.numpy())


def test_many_teachers_of_one_mind_are_one_teacher_that_counts_more():
    rng = np.random.default_rng(1)
    z, y, t = rng.normal(size=(6, K)), rng.integers(0, K, 6), rng.normal(size=(6, K))
    fixed = {"y": y, **{f"t{m}.logits": t for m in range(3)}}
    value = densely_guided(["t0", "t1", "t2"], 4, 0.2)({"student.logits": z}, fixed).value
    assert value == pytest.approx(0.8 * kd.cross_entropy(z, y)[0] + 0.6 * kd.soft_targets(z, t, 4)[0])


def test_attendance_is_one_on_average_and_a_function():
    steps = np.arange(20_000) / 20_000
    for drop in (0.0, 0.25, 0.6):
        b = np.array([attendance(drop, seed=3)(t) for t in steps[:: 1 if drop else 100]])
        assert set(np.round(b, 6)) <= {0.0, round(1 / (1 - drop), 6)}
        assert b.mean() == pytest.approx(1, abs=0.04)
    again = attendance(0.5, seed=3)
    assert [again(t) for t in steps[:50]] == [attendance(0.5, seed=[3])(t) for t in steps[:50]]
    assert [again(t) for t in steps[:50]] != [attendance(0.5, seed=4)(t) for t in steps[:50]]
    assert again(1.0) == 1.0
    with pytest.raises(ValueError, match="drop lies in"):
        attendance(1.0)


def test_teachers_are_absent_independently_of_each_other():
    terms = densely_guided(["a", "b"], drop=0.5, seed=1).terms[1:]
    weights = [next(w for w in term.weight if callable(w)) for term in terms]
    there = np.array([[w(t) > 0 for t in np.arange(2000) / 2000] for w in weights])
    assert abs(np.corrcoef(there)[0, 1]) < 0.1
    names, held = ["a", "b"], {f"{m}.logits": np.random.default_rng(2).normal(size=(4, K)) for m in "ab"}
    z, y = np.random.default_rng(3).normal(size=(4, K)), np.array([0, 1, 2, 0])
    values = [
        densely_guided(names, drop=drop, seed=1)({"student.logits": z}, {"y": y, "progress": 1.0, **held}).value
        for drop in (0.0, 0.5)
    ]
    assert values[0] == values[1]  # a validation hears everybody


def test_a_dense_chain_with_absences_trains():
    def objective(names):
        return densely_guided(names, drop=0.5, seed=2)

    chain, again = [net(12, 2), net(6, 3)], [net(12, 2), net(6, 3)]
    for nets in (chain, again):
        histories = assistants(nets, objective, data(), net(20, 9), validation=data(), **settings(epochs=15))
    assert histories[1]["loss", "validation"][-1] < histories[1]["loss", "validation"][0]
    np.testing.assert_array_equal(chain[1].theta, again[1].theta)


# ---------------------------------------------------------------- early stopped: nothing new is needed


def test_a_lesson_that_ends_early_goes_on_with_labels_alone():
    """The weight is a function of progress; the second half is the training without a teacher."""
    objective = kd.CrossEntropy() + kd.steps(0.5, factor=0.0) * kd.SoftTargets(4)
    rng = np.random.default_rng(0)
    z, fixed = rng.normal(size=(4, K)), {"y": np.array([0, 1, 2, 0]), "teacher.logits": rng.normal(size=(4, K))}
    both = kd.cross_entropy(z, fixed["y"])[1] + kd.soft_targets(z, fixed["teacher.logits"], 4)[1]
    for progress, expected in ((0.0, both), (0.49, both), (0.5, kd.cross_entropy(z, fixed["y"])[1])):
        gradients = objective({"student.logits": z}, {**fixed, "progress": progress}).gradients
        np.testing.assert_allclose(gradients["student.logits"], expected)


# ---------------------------------------------------------------- routes


class Spy:
    def __init__(self):
        self.thetas = []

    def after_epoch(self, run):
        self.thetas.append(run.students["student"].theta.copy())


def test_a_route_is_the_network_after_the_given_epochs():
    route, spy, trained = Route(1, 3, 4), Spy(), net()
    for _ in range(2):  # one hook may serve two trainings
        spy.thetas.clear()
        kd.fit(trained, kd.CrossEntropy(), data(), hooks=[route, spy], **settings(epochs=4))
        assert len(route.networks) == 3
        for young, epoch in zip(route.networks, (1, 3, 4)):
            np.testing.assert_array_equal(young.theta, spy.thetas[epoch - 1])
            assert young is not trained
    with pytest.raises(ValueError, match="at least one epoch"):
        Route()
    with pytest.raises(ValueError, match="counted from 1"):
        Route(0, 3)


def test_a_route_survives_an_interruption(tmp_path):
    whole, resumed, file = Route(1, 3), Route(1, 3), tmp_path / "run.npz"
    kd.fit(net(), kd.CrossEntropy(), data(), hooks=[whole], **settings())
    with pytest.raises(KeyboardInterrupt):
        kd.fit(net(), kd.CrossEntropy(), data(), hooks=[Route(1, 3), Trip(3)], checkpoint=file, **settings())
    kd.fit(net(), kd.CrossEntropy(), data(), hooks=[resumed], checkpoint=file, resume=True, **settings())
    for a, b in zip(whole.networks, resumed.networks, strict=True):
        np.testing.assert_array_equal(a.theta, b.theta)


def test_following_is_one_stage_an_anchor():
    anchors, objective = [net(8, 5), net(8, 6)], kd.CrossEntropy() + kd.SoftTargets(4)
    student = net(6, 2)
    histories = follow(student, anchors, objective, data(), **settings())
    expected = net(6, 2)
    for anchor in anchors:
        by_hand(expected, objective, anchor, optimizer=kd.Adam(1e-2))
    np.testing.assert_array_equal(student.theta, expected.theta)
    assert [len(h) for h in histories] == [3, 3]


def test_the_better_teacher_makes_the_worse_student_and_the_route_leads_between():
    """MNIST-1D, teacher 128-128 on 4000 rows, student 64 on 500 of them, T = 4; 5 seeds: the teacher is 6.2 points
    better after epoch 60 than after epoch 8, its student 7.7 ± 1.6 worse; a student of the route 4, 8, 30, 60 in as
    many steps is 4.3 ± 1.8 better than that of epoch 60, and 3.5 ± 0.8 worse than that of epoch 8."""
    try:
        splits, _ = kd.data.mnist1d()
    except kd.DataUnavailable as reason:
        pytest.skip(str(reason))
    few = splits.train.take(slice(0, 500))

    def accuracy(network):
        return 100 * kd.metrics.accuracy(network.logits(splits.test.x), splits.test.y)

    def taught(anchors, seed):
        student = kd.MLP(40, 64, 10, seed=1000 + seed)
        follow(
            student, anchors, kd.SoftTargets(4), few, epochs=60 // len(anchors), batch_size=50,
            optimizer=kd.Adam(0.015), schedule=kd.cosine, seed=seed, progress=False,
        )  # fmt: skip
        return accuracy(student)

    rows = []
    for seed in range(2):
        route, teacher = Route(4, 8, 30, 60), kd.MLP(40, 128, 128, 10, seed=seed)
        kd.fit(
            teacher, kd.CrossEntropy(), splits.train, epochs=60, batch_size=100, optimizer=kd.Adam(3e-3), seed=seed,
            hooks=[route], progress=False,
        )  # fmt: skip
        young, old = route.networks[1], route.networks[3]
        rows.append([accuracy(old) - accuracy(young), taught([young], seed), taught(route.networks, seed),
                     taught([old], seed)])  # fmt: skip
    ahead, of_the_young, of_the_route, of_the_old = np.mean(rows, axis=0)
    assert ahead > 2 and of_the_young > of_the_old + 3 and of_the_route > of_the_old
