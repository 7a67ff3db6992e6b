"""What hands do to networks, columns and grids between two calls: each gave a number, and not the right one."""

from __future__ import annotations

import copy
import functools
import pickle
import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest

import kdlearn as kd
from kdlearn.distill import assistant, attention, branches, collaborative, datafree, diffusion, exits, feature, jacobian

QUICK = {"epochs": 2, "batch_size": 8, "progress": False}


def rows(n=24, seed=0, **more):
    rng = np.random.default_rng(seed)
    return kd.Data({"x": rng.normal(size=(n, 4)), "y": rng.integers(0, 3, n), **more})


# ------------------------------------------------------------------ adaptors

TAPS, NORMED = ("student.h1", "student.h2"), kd.Network([kd.LayerNorm(1)], {"logits": 0})
MISFITS = {  # (objective, the width that is given, the one that is taken)
    "regressor": (lambda: feature.fitnets(kd.MLP(5, 8), "student.h1", "teacher.h1"), 6, 5),
    "variances": (lambda: feature.vid(kd.MLP(5, 8), "student.h1", "teacher.h1"), 6, 5),
    "exits": (lambda: exits.exits(TAPS, (7, 5), 3), 6, 7),
    "gate": (lambda: branches.one(branches.Gate(5, 2), kd.MLP(6, 3)), 6, 5),
    "head of a gate": (lambda: branches.one(branches.Gate(6, 2), kd.MLP(5, 3)), 6, 5),
    "head": (lambda: branches.cl_ilr(kd.MLP(7, 3)), 6, 7),
    "attention": (lambda: attention.okddip(attention.Attention(4, 2), "student", "a", "b"), 6, 4),
    "a teacher of images": (lambda: datafree.dafl(kd.MLP(4, 8, 3), images="student.logits"), 3, 4),
    "a student of images": (lambda: datafree.adversarial(kd.MLP(3, 2), kd.MLP(9, 2), images="student.logits"), 3, 9),
    "no broadcast": (
        lambda: kd.Through(NORMED, "student.h1", "n", kd.Match("n", "teacher.h1", kd.squared_error)),
        6,
        1,
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_an_adaptor_of_another_width_says_which_it_takes(what):
    """It was 'matmul: Input operand 1 has a mismatch in its core dimension 0'; a LayerNorm of 1 was broadcast."""
    make, given, takes = MISFITS[what]
    objective = make()
    teachers = {"teacher": kd.MLP(4, 6, 3)} if "teacher.h1" in objective.sites else {}
    students = {name: kd.MLP(4, 6, 5, 3, seed=i) for i, name in enumerate(("student", "a", "b"))}
    students = students if what == "attention" else {"student": students["student"]}
    told = rf"the adaptor that makes '\S.*' from .*: .*rows of {given} numbers, .*takes {takes}\b"
    with pytest.raises(ValueError, match=told):
        kd.fit(students, objective, rows(), teachers=teachers, **QUICK)


def test_a_term_that_cannot_be_computed_is_named():
    """A regressor of another width at its end was told to be a regressor; nothing said which of two it was."""
    teachers, student = {"teacher": kd.MLP(4, 8, 3)}, kd.MLP(4, 6, 3)
    objective = kd.CrossEntropy() + feature.fitnets(kd.MLP(6, 7), "student.h1", "teacher.h1")
    with pytest.raises(ValueError, match=r"^data, squared_error\(student.h1>teacher.h1, teacher.h1\): .*\(2, 7\) and"):
        kd.fit(student, objective, rows(), teachers=teachers, **QUICK)
    soft = kd.SoftTargets(teacher="teacher.h1")
    with pytest.raises(ValueError, match=r"^data, soft_targets\(student.logits, teacher.h1\): student and teacher"):
        kd.fit(student, kd.CrossEntropy() + soft, rows(), teachers=teachers, **QUICK)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_reads_rows_of_its_width(dtype):
    x = np.ones((2, 6), dtype)
    for layer in (kd.Linear(5, 8, dtype=dtype), kd.LayerNorm(1, dtype=dtype), kd.LayerNorm(5, dtype=dtype)):
        takes = layer.shapes[layer.parameters[0]][0]
        with pytest.raises(ValueError, match=re.escape(f"rows of 6 numbers, {layer!r} takes {takes}")):
            layer.forward(x)
    with pytest.raises(ValueError, match="broadcast"):  # as many numbers, and other members: NumPy's own words
        kd.Stack([kd.MLP(6, 2)] * 3).layers[0].forward(np.ones((2, 4, 6), np.float32))
    with pytest.raises(ValueError, match=r"the last layer must be a Linear, got ReLU\(\)"):
        feature.vid(kd.Network([kd.Linear(6, 8), kd.ReLU()], {"logits": 1}), "student.h1", "teacher.h1")


# ------------------------------------------------------------------ networks


def rebind_theta(net):
    net.theta = net.theta * 0


def rebind_weights(net):
    net.layers[0].W = np.zeros_like(net.layers[0].W)


def rebind_gradient(net):
    net.grad = np.zeros_like(net.grad)


def replace_layer(net):
    net.layers[0] = kd.Linear(4, 8, rng=5)


def append_layer(net):
    net.layers.append(kd.Linear(3, 3, rng=5))


@pytest.mark.parametrize("change", [rebind_theta, rebind_weights, rebind_gradient, replace_layer, append_layer])
def test_a_network_whose_arrays_were_replaced_is_not_trained_nor_copied(change, tmp_path):
    """The optimiser moved one array, the layers computed with another; a copy and a file lost what was put there."""
    data, whole = rows(), kd.MLP(4, 8, 3, seed=1)
    for call in (
        lambda net: kd.fit(net, kd.CrossEntropy(), data, **QUICK),
        lambda net: kd.fit(whole, kd.CrossEntropy() + kd.SoftTargets(), data, teachers=net, **QUICK),
        lambda net: kd.evaluate(net, kd.CrossEntropy(), data),
        lambda net: kd.train_step(net, None, kd.CrossEntropy(), {"x": data.x.astype("f4"), "y": data.y},
                                  optimizer=kd.SGD(0.1)),
        lambda net: net.copy(),
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda net: kd.save(tmp_path / "net.npz", net),
        lambda net: net.logits(data.x),
        lambda net: net.predict(data.x),
        lambda net: net.predict_proba(data.x),
        lambda net: net.input_gradient(data.x, lambda z: (z.sum(), np.ones_like(z))),
        data.with_soft_labels,
        jacobian.WithJacobian,
        lambda net: kd.Stack([net, net]),
        lambda net: kd.Stack([whole, net]),
    ):  # fmt: skip
        net = kd.MLP(4, 8, 3)
        change(net)
        with pytest.raises(ValueError, match=r"replaced|differs in shape"):
            call(net)


@pytest.mark.parametrize("which", ["student", "teacher", "adaptor"])
@pytest.mark.parametrize("change", [rebind_theta, rebind_weights, rebind_gradient, replace_layer, append_layer])
def test_a_network_replaced_between_steps_is_not_trained_in_vain(change, which):
    """From the second step on the optimiser moved the one array, and the layers computed with the other."""
    nets = {"student": kd.MLP(4, 8, 3), "teacher": kd.MLP(4, 6, 3), "adaptor": kd.MLP(8, 6, seed=1)}
    hint = kd.Through(nets["adaptor"], "student.h1", "hint", kd.Match("hint", "teacher.h1", kd.squared_error))
    objective = kd.CrossEntropy() + kd.SoftTargets() + hint
    batch, optimizer = {"x": rows().x.astype("f4"), "y": rows().y}, kd.Adam()

    def step():
        return kd.train_step(nets["student"], nets["teacher"], objective, batch, optimizer=optimizer)

    step()
    nets[which].theta *= 0.5  # in its place
    step()
    change(nets[which])
    with pytest.raises(ValueError, match=r"a layer of this network, was replaced|x has rows of"):
        step()


def test_a_network_that_is_written_into_is_trained():
    data, net = rows(), kd.MLP(4, 8, 3)
    net.theta *= 0.5
    net.layers[0].W -= 0.1
    net.layers[0].b[...] = 1
    net.lay_over(net.theta + 1)
    assert net.copy().layers[0].b[0] == 2
    before = net.theta.copy()
    kd.fit(net, kd.CrossEntropy(), data, **QUICK)
    assert (net.theta != before).mean() > 0.5


def test_a_layer_stands_in_a_network_once():
    """The gradient of its second place was lost: a whole step moved by a third of what it should."""
    shared, net = kd.Linear(4, 4, rng=1), kd.MLP(4, 4, 4)
    for tied in (shared, net.layers[0]):
        with pytest.raises(ValueError, match=r"layer 2, Linear\(4, 4\), stands in the network twice"):
            kd.Network([tied, kd.Tanh(), tied], {"logits": 2})
    tanh = kd.Tanh()  # holds nothing
    kd.Network([kd.Linear(4, 4, rng=1), tanh, kd.Linear(4, 4, rng=2), tanh], {"logits": 3})


@pytest.mark.parametrize(
    "layers, said",
    [
        ([kd.Linear(4, 1), kd.LayerNorm(8), kd.Linear(8, 3)], r"layer 1, LayerNorm\(8, 1e-05\), takes rows of 8"),
        ([kd.Linear(4, 8), kd.LayerNorm(1)], r"layer 1, LayerNorm\(1, 1e-05\), takes rows of 1 numbers, .* give 8"),
        ([kd.Linear(4, 8), kd.ReLU(), kd.Dropout(0.5), kd.Linear(6, 3)], "layer 3, .* takes rows of 6"),
        ([kd.Linear(4, 8), kd.Select([1, 2]), kd.LayerNorm(8)], "layer 2, .* give 2"),
    ],
)
def test_layers_meet(layers, said):
    """A norm was broadcast: eight numbers came of one."""
    with pytest.raises(ValueError, match=said):
        kd.Network(layers, {"logits": len(layers) - 1})


def test_frozen_positions_are_layers():
    """-1 froze nothing, and the last layer was trained."""
    net = kd.MLP(4, 8, 3)
    for wrong in ({-1}, {3}, [0, 7]):
        with pytest.raises(ValueError, match=r"positions of layers are 0 … 2, got"):
            net.frozen = wrong
    assert net.frozen == frozenset()
    with pytest.raises(ValueError, match=r"tap 'logits' has the position -1"):
        kd.Network([kd.Linear(4, 3)], {"logits": -1})


def test_a_training_that_moves_nothing_is_said():
    net, data = kd.MLP(4, 8, 3), rows()
    net.freeze(1, 2)
    with pytest.raises(ValueError, match=r"nothing would be trained: all layers of student are frozen"):
        kd.fit(net, kd.CrossEntropy(), data, **QUICK)
    kd.evaluate(net, kd.CrossEntropy(), data)
    head = kd.MLP(8, 3, seed=1)
    before = head.theta.copy()
    kd.fit(net, kd.Through(head, "student.h1", "head", kd.CrossEntropy("head")), data, **QUICK)
    assert (head.theta != before).all()


def test_one_vector_of_weights_has_one_owner():
    """A teacher that was the student in another form taught it nothing; two forms of one student moved it twice."""
    net, data = kd.MLP(4, 8, 3), rows()
    form = jacobian.WithJacobian(net)
    with pytest.raises(ValueError, match="is the student 'student' itself"):
        kd.fit(form, kd.CrossEntropy() + kd.SoftTargets(), data, teachers=net, **QUICK)
    with pytest.raises(ValueError, match="moves the teacher 'teacher', which is the student"):
        kd.fit(form, kd.CrossEntropy(), data, teachers=net, hooks=[kd.MovingAverage()], **QUICK)
    both = kd.CrossEntropy("a.logits") + kd.CrossEntropy("b.logits")
    with pytest.raises(ValueError, match="'b' and 'a' are two networks over the same weights"):
        kd.fit({"a": net, "b": form}, both, data, **QUICK)
    kd.fit({"a": net, "b": net}, both, data, **QUICK)


class Leaky(kd.Layer):
    """A rectifier with a slope below zero, which it keeps beside its settings."""

    row_by_row = True

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x, rng=None):
        return np.where(x > 0, x, self.slope * x).astype(x.dtype), x

    def backward(self, dy, cache, accumulate=False, need_dx=True):
        return (dy * np.where(cache > 0, 1, self.slope)).astype(dy.dtype)


def test_a_stack_looks_at_what_its_layers_keep():
    """All members had the slope of the first."""

    def net(slope, seed):
        return kd.MLP(4, 6, 3, activation=lambda: Leaky(slope), seed=seed)

    with pytest.raises(ValueError, match=r"layer 1, Leaky\(\): network 1 has another 'slope' than network 0"):
        kd.Stack([net(0.1, 0), net(0.9, 1)])
    with pytest.raises(ValueError, match="another 'slope'"):
        kd.Stack([net(np.zeros(6), 0), net(np.ones(6), 1)])
    x, nets = rows().x, [net(0.1, 0), net(0.1, 1)]
    for member, alone in zip(kd.Stack(nets), nets):
        np.testing.assert_array_equal(member.logits(x), alone.logits(x))


# ------------------------------------------------------------------ columns


@pytest.mark.parametrize("kind", ["u1", "i1", "f2", "i8", "f4"])
def test_weights_of_rows_are_multiplied_as_numbers(kind):
    """200 times 2 was 144, in whole numbers of one byte; in float16 two large weights were infinite."""
    a, b = np.tile([100, 3, 0], 8), np.tile([2, 125, 9, 5], 6)
    a, b = a.astype(kind), (b * (300 if kind == "f2" else 1)).astype(kind)
    net, data = kd.MLP(4, 3, dtype="float64"), rows(a=a, b=b)
    log_q = kd.log_softmax(net.logits(data.x))[np.arange(24), data.y]
    w = a.astype(float) * b.astype(float)
    weighed = kd.CrossEntropy() * "a" * "b"
    assert kd.evaluate(net, weighed, data)["loss"] == pytest.approx((-log_q * w).mean())
    loss = functools.partial(kd.soft_targets, T=2, normalize=True)
    tz = np.random.default_rng(3).normal(size=(24, 3))
    p, q = kd.softmax(tz, 2), kd.softmax(net.logits(data.x), 2)
    kl = 4 * (p * np.log(p / q)).sum(axis=1)
    objective = kd.Match("student.logits", "t", loss, ("a", "b"))
    found = kd.evaluate(net, objective, data.with_columns({"t": tz}), batch_size=7)
    assert found["loss"] == pytest.approx((kl * w).sum() / w.sum())
    history = kd.fit(net, weighed, data, optimizer=kd.SGD(1e-9), epochs=1, batch_size=24, progress=False)
    assert history["loss"][0] == pytest.approx((-log_q * w).mean())


def shifted(z, y):
    z -= z.max(axis=1, keepdims=True)
    return kd.cross_entropy(z, y)


def test_a_loss_that_writes_into_its_argument_is_found():
    """The value hung on the order of the terms: the next one read what the first had left."""
    net, teacher, data = kd.MLP(4, 6, 3, seed=2), kd.MLP(4, 6, 3, seed=1), rows()
    mine, match = (
        kd.Term(shifted, ("student.logits",), ("y",)),
        kd.Match("student.logits", "teacher.logits", kd.logit_matching),
    )
    for objective in (mine + match, match + mine):
        for call in (kd.evaluate, functools.partial(kd.fit, **QUICK)):
            with pytest.raises(ValueError, match=r"writes into the site 'student.logits'.* write z = z"):
                call(net, objective, data, teachers=teacher)
    z, y = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 2, 0])
    with pytest.raises(kd.gradcheck.GradientError, match="changes its argument z"):
        kd.gradcheck.check_loss(shifted, z, y)

    def centred(t):
        t -= t.mean(axis=1, keepdims=True)
        return t

    column = np.random.default_rng(0).normal(size=(24, 3))
    kept = column.copy()
    centre = kd.Given("c", centred, ("t",), kd.SoftTargets(teacher="c"))
    with pytest.raises(ValueError, match="writes into the site 't'"):
        kd.evaluate(net, centre, data.with_columns({"t": column}))
    np.testing.assert_array_equal(column, kept)


def test_dropout_of_an_adaptor_is_said():
    """It dropped nothing, at 0.9 as at 0."""
    data, teacher = rows(), kd.MLP(4, 5, 3, seed=1)

    def hint(rate):
        net = kd.Network([kd.Dropout(rate), kd.Linear(6, 5)], {"logits": 1})
        return kd.CrossEntropy() + kd.fitnets(net, "student.h1", "teacher.h1")

    with pytest.warns(UserWarning, match="adaptor 0 has dropout, which is never on in a Through"):
        kd.fit(kd.MLP(4, 6, 3), hint(0.9), data, teachers=teacher, **QUICK)
    held = kd.frozen(kd.Network([kd.Dropout(0.5), kd.Linear(6, 3)], {"logits": 1}))
    above = kd.Through(held, "student.h1", "above", kd.CrossEntropy("above"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kd.fit(kd.MLP(4, 6, 3), kd.CrossEntropy() + above, data, **QUICK)
        kd.fit(kd.MLP(4, 6, 3), hint(0.0), data, teachers=teacher, **QUICK)


# ------------------------------------------------------------------ whole numbers


@pytest.mark.parametrize("kind", ["u1", "i8", "f2", "f4", "f8"])
def test_whole_numbers_are_noised_at_the_angle_given(kind):
    """The angle was cut to a whole number: pixels of one byte at 45 degrees had no noise at all."""
    x, e = np.array([[200, 0], [4, 8]], kind), np.array([[0.0, 1.0], [1.0, 0.0]])
    z, v = diffusion.noised(x, e.astype("f2" if kind == "f2" else float), np.pi / 4)
    c = np.sqrt(0.5)
    np.testing.assert_allclose(z, c * x.astype(float) + c * e, rtol=2e-3 if kind == "f2" else 1e-6)
    np.testing.assert_allclose(v, c * e - c * x.astype(float), rtol=2e-3 if kind == "f2" else 1e-6)


def test_an_answer_about_noise_has_the_rows_of_z():
    """One answer for all rows was broadcast."""
    z = np.ones((3, 3))
    for wrong in (np.ones(3), np.ones((1, 3)), np.ones((3, 1))):
        with pytest.raises(ValueError, match=r"must have the shape of z, \(3, 3\)"):
            diffusion.one_step_answer(z, wrong, 0.3)
        with pytest.raises(ValueError, match=r"must have the shape of z, \(3, 3\)"):
            diffusion.ddim(lambda z, angle, v=wrong: v, z, 1.0, 0.1)
    assert diffusion.ddim(lambda z, angle: np.ones((2, 3, 3)), z, 1.0, 0.1, 2).shape == (2, 3, 3)


@pytest.mark.parametrize("kind", ["u1", "i1", "i8", "f4"])
def test_answers_in_whole_numbers_are_numbers(kind):
    """A lead of -1 was one of 255; the logit of the rest was cut to a whole number."""
    rng = np.random.default_rng(0)
    Z, y = rng.integers(0, 5, (2, 6, 4)), rng.integers(0, 4, 6)
    lead = (Z - Z[:, np.arange(6), y][:, :, None]).min(axis=0)
    np.testing.assert_array_equal(collaborative.min_logit(y, *Z.astype(kind)), lead)
    top, kept = kd.data.labelling.keep_top(Z[0].astype(kind), 2, T=3.0)
    others = [np.delete(row, chosen) for row, chosen in zip(Z[0], top)]
    np.testing.assert_array_equal(kept[:, :2], np.sort(Z[0], axis=1)[:, :1:-1])
    np.testing.assert_allclose(kept[:, 2], [3 * np.log(np.exp(o / 3).sum()) for o in others], rtol=1e-6)
    assert assistant.attendance(0.5, np.int64(3))(0.3) == assistant.attendance(0.5, 3)(0.3)


# ------------------------------------------------------------------ studies and pictures


@pytest.mark.parametrize("make", [np.array, lambda v: np.array(v, "f4"), lambda v: np.array(v, float), tuple])
def test_a_grid_of_numpy_is_walked(make):
    """Its numbers were no numbers: nothing beyond the edge was tried, and the edge had no star."""

    def arm(seeds, part, rate, width=8):
        return {"accuracy": [-((np.log2(rate) - 5.0) ** 2) + seed for seed in seeds]}

    def found(values, **how):
        arms = {"a": (arm, {"rate": values}), "b": (arm, {"rate": values})}
        return kd.study.trial(arms, "a", 2, jobs=1, progress=False, **how)

    for how in ({}, {"widen": 5}, {"search": 5}):
        got, wanted = (
            found(make([1, 2, 4]), **how),
            found([1, 2, 4] if make in (np.array, tuple) else [1.0, 2.0, 4.0], **how),
        )
        assert (got.chosen, got.edges, got.tried) == (wanted.chosen, wanted.edges, wanted.tried)
    assert found(make([1, 2, 4])).edges["a"] == ["rate"]
    assert found(make([1, 2, 4]), widen=5).chosen["a"]["rate"] == 32


def test_a_set_is_no_row_of_seeds():
    """Two seeds with the same difference were one."""
    for call in (kd.study.interval, kd.study.holm):
        with pytest.raises(TypeError, match="of a set a list"):
            call({0.5, 0.1})
    assert kd.study.interval({"a": 1.0, "b": 1.0}.values()).n == 2


def test_a_schedule_of_steps_has_steps():
    """It was a constant."""
    with pytest.raises(ValueError, match="steps takes at least one place"):
        kd.steps()
    with pytest.raises(ValueError, match="steps takes at least one place"):
        kd.steps(factor=0.5)


def test_a_picture_of_reliability_has_one_label_a_row():
    """A column of labels was compared with every row, and all bars stood at chance."""
    rng = np.random.default_rng(0)
    z, y = 2 * rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    for wrong in (y[:, None], y[:1], y + 1, y.astype(float)):
        with pytest.raises(ValueError, match="label"):
            kd.plots.reliability(z, wrong)
    with pytest.raises(ValueError, match="no probabilities"):
        kd.plots.reliability(np.where(z > 2, np.nan, z), y)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    bins = (p.max(axis=1) * 10).astype(int)
    wanted = [(p.argmax(axis=1) == y)[bins == b].mean() for b in range(10) if (bins == b).any()]
    bars = kd.plots.reliability(z, y).patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], wanted)
    plt.close("all")


# ------------------------------------------------------------------ steps by hand


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.SFC64, np.random.Philox])
def test_dropout_keeps_its_share_with_every_generator(bits):
    """The raw words of MT19937 have 32 bits: half of the entries were always dropped, and the mean was 0.5."""
    kept, _ = kd.Dropout(0.3).forward(np.ones((400, 300), np.float32), np.random.Generator(bits(1)))
    assert (kept > 0).mean() == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / kept.size))
    first = (kept[:, ::2] > 0) != (kept[:, 1::2] > 0)  # neighbours know nothing of each other
    assert first.mean() == pytest.approx(0.42, abs=5 * np.sqrt(0.25 / first.size))


def test_dropout_takes_one_generator_a_member():
    """One in a list was rolled once for all members."""
    stack, x = kd.Stack([kd.MLP(4, 8, 3, dropout=0.5, seed=seed) for seed in (0, 1)]), rows().x.astype("f4")
    dice = [np.random.default_rng(seed) for seed in range(3)]
    for wrong in (dice[:1], dice):
        with pytest.raises(TypeError, match="one Generator a member, 2 here"):
            stack.forward(x, wrong)
    stack.forward(x, dice[:2])


def test_a_batch_in_pieces_has_columns_of_one_length():
    """Where a vector stood first, only as many rows as it had entries were learnt from."""
    batch = {"prior": np.array([0.2, 0.3, 0.5]), "x": rows().x, "teacher.logits": np.zeros((24, 3))}
    told = kd.Given(
        "told", lambda z, prior: z + np.log(prior), ("teacher.logits", "prior"), kd.SoftTargets(teacher="told")
    )
    net = kd.MLP(4, 3, dtype="float64")
    with pytest.raises(ValueError, match=r"columns must have one length.*'prior': 3"):
        kd.train_step(net, None, told, batch, optimizer=kd.SGD(0.1), micro_batch=8)
    whole, pieces = net.copy(), net.copy()
    batch = {"x": rows().x, "y": rows().y}
    kd.train_step(whole, None, kd.CrossEntropy(), batch, optimizer=kd.SGD(0.1))
    kd.train_step(pieces, None, kd.CrossEntropy(), batch, optimizer=kd.SGD(0.1), micro_batch=7)
    np.testing.assert_allclose(pieces.theta, whole.theta, rtol=1e-12)


def test_dice_name_every_student():
    """Dice of another name were nobody's, and there was no dropout."""
    net, x = kd.MLP(4, 8, 3, dropout=0.5), rows().x.astype("f4")
    batch = {"x": x, "y": rows().y}
    with pytest.raises(KeyError, match="a"):
        kd.train_step({"a": net}, None, kd.CrossEntropy("a.logits"), batch, optimizer=kd.SGD(0.1),
                      rng={"student": np.random.default_rng(0)})  # fmt: skip


def test_a_term_that_is_switched_off_may_be_infinite():
    """The training ended: "the loss became 1.26"."""

    def infinite(z, y):
        return np.float32(np.inf), 0 * z

    off = kd.Term(infinite, ("student.logits",), ("y",), lambda t: 0.0)
    net, alone = kd.MLP(4, 3), kd.MLP(4, 3)
    history = kd.fit(net, kd.CrossEntropy() + off, rows(), **QUICK)
    assert history["loss"] == kd.fit(alone, kd.CrossEntropy(), rows(), **QUICK)["loss"]
    np.testing.assert_array_equal(net.theta, alone.theta)
    assert history["infinite"] == [np.inf, np.inf]
    with pytest.raises(kd.DivergenceError, match="the loss became inf"):
        kd.fit(net, kd.CrossEntropy() + 0.1 * kd.Term(infinite, ("student.logits",), ("y",)), rows(), **QUICK)


@pytest.mark.parametrize("kind", ["u1", "f2"])
def test_a_step_by_hand_multiplies_weights_as_numbers(kind):
    a, b = (
        np.tile([100, 3, 0], 8).astype(kind),
        (np.tile([2, 125, 9, 5], 6) * (300 if kind == "f2" else 1)).astype(kind),
    )
    net, data = kd.MLP(4, 3, dtype="float64"), rows()
    log_q = kd.log_softmax(net.logits(data.x))[np.arange(24), data.y]
    batch = {"x": data.x, "y": data.y, "a": a, "b": b}
    found = kd.train_step(net, None, kd.CrossEntropy() * "a" * "b", batch, optimizer=kd.SGD(1e-9))
    assert found["loss"] == pytest.approx((-log_q * a.astype(float) * b.astype(float)).mean())
