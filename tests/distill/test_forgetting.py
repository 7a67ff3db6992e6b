"""Forgetting: losses on some live logits, the network before as teacher, a buffer; frozen networks as adaptors."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import Trip

import kdlearn as kd
from kdlearn.distill.forgetting import OnClasses, dark_experience, without_forgetting

seeds = st.integers(0, 2**32 - 1)
OLD, NEW = (4, 0, 2), (1, 3)


def example(seed=0, N=6, K=5):
    rng = np.random.default_rng(seed)
    z, z_t = 2 * rng.normal(size=(2, N, K))
    return z, z_t, rng.integers(0, 2, N)


@given(seeds, st.floats(0.5, 8), st.floats(0.1, 20))
def test_each_loss_reaches_its_own_columns(seed, T, weight):
    z, z_t, y = example(seed)
    result = without_forgetting(OLD, NEW, T, weight)({"student.logits": z}, {"y": y, "teacher.logits": z_t})
    hard, soft = kd.cross_entropy(z[:, NEW], y), kd.soft_targets(z[:, OLD], z_t[:, OLD], T)
    assert result.value == pytest.approx(hard[0] + weight * soft[0])
    dz = result.gradients["student.logits"]
    np.testing.assert_allclose(dz[:, NEW], hard[1], atol=1e-15)
    np.testing.assert_allclose(dz[:, OLD], weight * soft[1], atol=1e-13)


def test_values_and_gradients_from_pytorch():
    torch = pytest.importorskip("torch")
    z, z_t, y = example(1)
    s, t, T, F = torch.tensor(z, requires_grad=True), torch.tensor(z_t), 2.0, torch.nn.functional
    log_q, p = F.log_softmax(s[:, list(OLD)] / T, 1), F.softmax(t[:, list(OLD)] / T, 1)
    kept = F.kl_div(log_q, p, reduction="batchmean")
    loss = F.cross_entropy(s[:, list(NEW)], torch.tensor(y)) + 3 * T * T * kept
    loss.backward()
    result = without_forgetting(OLD, NEW, T, 3)({"student.logits": z}, {"y": y, "teacher.logits": z_t})
    assert result.value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(result.gradients["student.logits"], s.grad.numpy(), atol=1e-14)

    s = torch.tensor(z, requires_grad=True)
    loss = 0.25 * ((s - t) ** 2).sum() / len(z) + 2 * F.cross_entropy(s, torch.tensor(y))
    loss.backward()
    result = dark_experience(0.5, 2)({"buffer.logits": z}, {"past.logits": z_t, "past.y": y})
    assert result.value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(result.gradients["buffer.logits"], s.grad.numpy(), atol=1e-14)


def test_the_papers_weight_is_ours_without_the_factor():
    """Li and Hoiem's loss has no factor T²: their weight 1 at T = 2 is 1/4 here, up to the entropy of what is held."""
    z, z_t, _ = example(2)
    q, p = (kd.softmax(a[:, OLD], 2) for a in (z, z_t))
    theirs = -(p * np.log(q)).sum(axis=1).mean() + (p * np.log(p)).sum(axis=1).mean()
    kept = without_forgetting(OLD, NEW, T=2, weight=1 / 4).parts[1]
    assert kept({"student.logits": z}, {"teacher.logits": z_t}).value == pytest.approx(theirs)


def test_the_first_step_is_that_of_fine_tuning_and_later_ones_are_not():
    net = kd.MLP(4, 7, 5, seed=1, dtype="float64")
    batch = {"x": np.random.default_rng(0).normal(size=(6, 4)), "y": example()[2], "index": np.arange(6)}
    batch["teacher.logits"] = net.logits(batch["x"])
    plain, held = net.copy(), net.copy()
    for step in range(2):
        for student, goal in (
            (plain, OnClasses(NEW, "new", kd.CrossEntropy("new"))),
            (held, without_forgetting(OLD, NEW, weight=5)),
        ):
            kd.train_step(student, None, goal, batch, optimizer=kd.SGD(0.5))
        apart = np.abs(plain.theta - held.theta).max()
        assert (apart < 1e-12) if step == 0 else (apart > 1e-4)


def test_labels_are_checked_against_the_width_of_their_head():
    rows = kd.Data({"x": np.ones((4, 3)), "y": np.array([0, 1, 2, 0])})
    with pytest.raises(ValueError, match=r"labels must lie in 0 … 1, the network's 2 outputs; y holds 2"):
        kd.fit(kd.MLP(3, 5), OnClasses(NEW, "new", kd.CrossEntropy("new")), rows, epochs=1, progress=False)


@pytest.mark.parametrize(
    "columns, message",
    [([], "different numbers"), ([1, 1], "different numbers"), ([-1], "different numbers"), ([0, 5], "no column 5")],
)
def test_wrong_columns_say_what_is_wrong(columns, message):
    with pytest.raises(ValueError, match=message):
        kd.Select(columns).forward(np.zeros((2, 5)))


def test_columns_are_counted_in_the_last_axis():
    with pytest.raises(ValueError, match="no column 5: the input has 4 columns"):
        kd.Select([5]).forward(np.zeros((2, 9, 4)))


# ---------------------------------------------------------------- adaptors that nothing trains


def rows(seed=0, n=40):
    rng = np.random.default_rng(seed)
    data = kd.Data({"x": rng.normal(size=(n, 4)).astype("float32"), "y": rng.integers(0, 2, n)})
    return data.with_columns({"teacher.logits": rng.normal(size=(n, 5)).astype("float32")})


def test_members_of_a_stack_end_where_they_would_have_ended_alone():
    """One objective without parameters serves them all, with clipping, which asks for each net's gradient."""
    how = {"epochs": 3, "batch_size": 16, "progress": False}
    stack = kd.Stack([kd.MLP(4, 7, 5, seed=i) for i in range(3)])
    each = [rows(i) for i in range(3)]
    kd.fit(stack, without_forgetting(OLD, NEW), each, optimizer=kd.Adam(1e-2, clip_norm=0.1), seed=[0, 1, 2], **how)
    for i, member in enumerate(stack):
        alone = kd.MLP(4, 7, 5, seed=i)
        kd.fit(alone, without_forgetting(OLD, NEW), each[i], optimizer=kd.Adam(1e-2, clip_norm=0.1), seed=i, **how)
        np.testing.assert_allclose(member.theta, alone.theta, rtol=1e-3, atol=1e-5)


def test_a_run_with_a_selection_resumes_bit_for_bit(tmp_path):
    def train(epochs, **how):
        net = kd.MLP(4, 7, 5, seed=1)
        kd.fit(net, without_forgetting(OLD, NEW), rows(), epochs=epochs, schedule=kd.constant, progress=False, **how)
        return net.theta

    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        train(4, checkpoint=path, hooks=[Trip(3)])
    np.testing.assert_array_equal(train(4, checkpoint=path, resume=True), train(4))


def test_a_selection_inside_a_network_is_saved_and_stacked(tmp_path):
    net = kd.Network([kd.Linear(4, 5, rng=1), kd.Select([4, 0])], {"logits": 1})
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    kd.save(tmp_path / "net.npz", net)
    np.testing.assert_array_equal(kd.load(tmp_path / "net.npz").logits(x), net.logits(x))
    np.testing.assert_array_equal(kd.Stack([net, net]).logits(x)[1], net.logits(x))


def test_an_adaptor_without_parameters_is_not_trained_and_keeps_the_precision():
    objective = OnClasses(NEW, "new", kd.CrossEntropy("new"))
    assert objective.nets == ()
    for dtype in ("float32", "float64"):
        z = example()[0].astype(dtype)
        result = objective({"student.logits": z}, {"y": example()[2]})
        assert result.gradients["student.logits"].dtype == dtype and result.made["new"].dtype == dtype


class Counting(kd.Linear):
    """A layer that says what it is asked to do with its gradients."""

    asked: ClassVar[list] = []

    def backward(self, dy, cache, accumulate=False, need_dx=True):
        self.asked.append(accumulate)
        return super().backward(dy, cache, accumulate, need_dx)


def test_a_frozen_network_passes_gradients_and_computes_none_of_its_own():
    x = np.random.default_rng(0).normal(size=(6, 4))
    net = kd.Network(
        [Counting(4, 6, rng=1, dtype="float64"), kd.LayerNorm(6, dtype="float64"), kd.Tanh(),
         Counting(6, 3, rng=2, dtype="float64")], {"logits": 3},
    )  # fmt: skip
    held = kd.frozen(net)
    assert not net.frozen and held.slices == () and held.theta is not net.theta
    held.grad[...] = np.nan  # whoever wrote it, or added to it, would be seen
    seen = []
    for network in (net, held):
        Counting.asked.clear()
        _, caches = network.forward(x)
        seen.append(network.backward(caches, {"logits": np.ones((6, 3))}, need_dx=True))
        assert Counting.asked == 2 * [False if network is net else None]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert np.isnan(held.grad).all() and net.grad.any()


@pytest.mark.parametrize("members", [1, 3])
def test_no_optimiser_moves_a_frozen_adaptor(members):
    top, student = kd.MLP(7, 8, 2, seed=5), kd.MLP(4, 7, 5, seed=1)
    if members > 1:
        top, student = kd.Stack([top] * members), kd.Stack([student] * members)
    held = kd.frozen(top)
    goal = kd.Through(held, "student.h1", "seen", kd.CrossEntropy("seen"))
    before = student.theta.copy()
    decay = kd.AdamW(1e-2, weight_decay=0.5, clip_norm=1.0)
    kd.fit(student, goal, rows(), optimizer=decay, epochs=2, progress=False)
    np.testing.assert_array_equal(held.theta, top.theta)
    assert np.abs(student.theta - before).max() > 1e-3


def test_a_check_of_a_step_expects_a_frozen_layer_to_stay():
    student = kd.MLP(4, 7, 5, seed=1, dtype="float64")
    student.freeze(1)
    batch = {"x": np.random.default_rng(0).normal(size=(6, 4)), "y": example()[2]}
    assert kd.gradcheck.check_step(student, kd.CrossEntropy(), batch) < 1e-7


def test_a_buffer_is_the_same_network_under_a_second_name():
    def replayed(epoch, rng):
        kept, i = rows(1), rng.integers(0, 5, 40)
        more = {"buffer.x": kept.x[i], "past.y": kept.y[i], "past.logits": kept["teacher.logits"][i]}
        return rows(0).with_columns(more)

    net, kept = kd.MLP(4, 16, 5, seed=1), rows(1).take(slice(0, 5))
    before = ((net.logits(kept.x) - kept["teacher.logits"]) ** 2).sum()
    goal = kd.CrossEntropy() + dark_experience(5)
    how = {"optimizer": kd.Adam(1e-2), "epochs": 40, "progress": False}
    kd.fit({"student": net, "buffer": net}, goal, replayed, **how)
    assert ((net.logits(kept.x) - kept["teacher.logits"]) ** 2).sum() < 0.2 * before
