"""A network taught by its own past: what the hooks keep, resuming, faults."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import OBJECTIVE, K, Trip, data, settings, student

import kdlearn as kd
from kdlearn import LastEpoch, MovingAverage
from kdlearn.distill.past import label_logits, progressive


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
