"""Calls that a user makes once in a while, each held to what it means: none may give another number without a word."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.distill import datafree, ensemble, exits, mutual, privacy, robust, sequence, unlabelled, views

QUICK = {"epochs": 2, "batch_size": 5, "progress": False}


def rows(n=24, seed=0, **more):
    rng = np.random.default_rng(seed)
    return kd.Data({"x": rng.normal(size=(n, 4)), "y": rng.integers(0, 3, n), **more})


def net(seed=0, *sizes, **how):
    return kd.MLP(*(sizes or (4, 6, 3)), seed=seed, dtype="float64", **how)


# ------------------------------------------------------------------ losses of one's own


@kd.mean_over_rows
def product_loss(z, h):
    return (z * h).sum(axis=1), h


@kd.mean_over_rows
def square(z):
    return 0.5 * (z * z).sum(axis=1), z[:]


@kd.mean_over_rows
def together(a, b):
    d = a + b
    return 0.5 * (d * d).sum(axis=1), (d, d)


@kd.mean_over_rows
def halves(a, b):
    both = np.concatenate([b, a])
    return (a * b).sum(axis=1), (both[: len(a)], both[len(a) :])


KEPT = np.full((5, 3), 2.0)


@kd.mean_over_rows
def constant_slope(z):
    return (KEPT * z).sum(axis=1), KEPT


def test_a_gradient_may_be_an_array_that_is_there_already():
    """What a loss returned was scaled in place: the teacher's answers with it, and what two sites shared twice."""
    rng = np.random.default_rng(0)
    z, h = rng.normal(size=(2, 5, 3))
    given = z.copy(), h.copy()
    for _ in range(2):
        value, gradient = product_loss(z, h)
        assert value == pytest.approx((given[0] * given[1]).sum() / 5)
        np.testing.assert_allclose(gradient, given[1] / 5)
        np.testing.assert_allclose(square(z)[1], given[0] / 5)
        for own in together(z, h)[1]:
            np.testing.assert_allclose(own, (given[0] + given[1]) / 5)
        for own, other in zip(halves(z, h)[1], given[::-1]):
            np.testing.assert_allclose(own, other / 5)
        np.testing.assert_allclose(constant_slope(z)[1], np.full((5, 3), 2 / 5))
    np.testing.assert_array_equal([z, h], given)
    term = kd.Term(together, ("student.logits", "student.h1"))
    batch = {"x": rows().x, "y": rows().y}
    assert kd.gradcheck.check_step(net(0, 4, 3, 3, activation=kd.Tanh), kd.CrossEntropy() + 0.5 * term, batch) < 1e-7


@kd.mean_over_rows
def where_positive(z_s, z_t):
    d = z_s - z_t
    return 0.5 * (d * d).sum(axis=1), d, z_t[:, 0] > 0


def test_rows_that_do_not_count_are_in_no_mean():
    """The sum of all rows was divided by the number of those that count, and the others kept a gradient."""
    z, t = np.random.default_rng(0).normal(size=(2, 6, 3))
    w, some = np.arange(6) / 3, t[:, 0] > 0
    z[np.flatnonzero(~some)[0]] = np.nan
    each, n = 0.5 * ((z - t) ** 2).sum(axis=1), some.sum()
    value, gradient = where_positive(z, t)
    assert 0 < n < 6
    assert value == pytest.approx(each[some].mean())
    np.testing.assert_allclose(gradient, np.where(some[:, None], (z - t) / n, 0))
    assert where_positive(z, t, weight=w)[0] == pytest.approx((w * each)[some].sum() / n)
    assert where_positive(z, t, weight=w, normalize=True)[0] == pytest.approx((w * each)[some].sum() / w[some].sum())


@pytest.mark.parametrize("rows_of", [lambda d: (d * d).mean(), lambda d: d * d, lambda d: 3.0])
def test_a_mean_over_rows_is_made_of_one_number_a_row(rows_of):
    """Of a table the sum was taken, divided by the number of rows."""
    loss = kd.mean_over_rows(lambda z: (rows_of(z), z))
    with pytest.raises(ValueError, match="must return one number a row"):
        loss(np.ones((4, 3)))


@pytest.mark.parametrize("part", [np.s_[:, :1], np.s_[:, 0], np.s_[0]], ids=str)
def test_a_gradient_has_the_shape_of_its_site(part):
    """Beside another term's it was broadcast, and every class got that of the first."""
    loss = kd.mean_over_rows(lambda z: (0.5 * z[:, 0] ** 2, z[part].copy()))
    with pytest.raises(ValueError, match=r"the gradient at 'student.logits' has shape"):
        kd.fit(net(), kd.CrossEntropy() + kd.Term(loss, ("student.logits",)), rows(), **QUICK)


def test_the_dice_of_a_hand_step_are_a_generator():
    """A seed was 'object of type int has no len()'."""
    step = functools.partial(kd.train_step, net(dropout=0.5), None, kd.CrossEntropy(), optimizer=kd.SGD(0.1))
    with pytest.raises(TypeError, match="rng must be a NumPy Generator"):
        step({"x": rows().x, "y": rows().y}, rng=0)


def test_weights_of_a_hand_step_are_one_a_row_each():
    """One number in the place of a column was taken for all rows."""
    batch = {"x": rows().x, "y": rows().y, "w": np.ones(24), "v": np.full(1, 3.0)}
    with pytest.raises(ValueError, match="one number a row"):
        kd.train_step(net(), None, kd.CrossEntropy() * "w" * "v", batch, optimizer=kd.SGD(0.1))


# ------------------------------------------------------------------ stacks


def test_adaptors_of_a_stacks_objectives_are_trained():
    """They were left as they began: an early exit of a member answered with weights that had learnt nothing."""
    teacher, heads, alone = net(9, 4, 7, 3), [net(s, 6, 7) for s in (5, 6)], [net(s, 6, 7) for s in (5, 6)]
    raws = [kd.distill.temperature.AdversarialTemperature(start=s, dtype="float64") for s in (3.0, 5.0)]
    raws_alone = [kd.distill.temperature.AdversarialTemperature(start=s, dtype="float64") for s in (3.0, 5.0)]

    def goals(heads, raws):
        return [kd.CrossEntropy() + kd.fitnets(h, "student.h1", "teacher.h1") + r for h, r in zip(heads, raws)]

    stack, both = kd.Stack([net(0), net(1)]), goals(heads, raws)
    kd.fit(stack, both, rows(), teachers=teacher, seed=[0, 1], **QUICK)
    for i, goal in enumerate(goals(alone, raws_alone)):
        one = net(i)
        kd.fit(one, goal, rows(), teachers=teacher, seed=i, **QUICK)
        np.testing.assert_allclose(heads[i].theta, alone[i].theta, rtol=1e-9)
        np.testing.assert_allclose(raws[i].net.theta, raws_alone[i].net.theta, rtol=1e-9)
        mine, whole = (kd.evaluate(m, o, rows(), teachers=teacher) for m, o in ((stack[i], both[i]), (one, goal)))
        assert mine["loss"] == pytest.approx(whole["loss"])
    with pytest.raises(ValueError, match="adaptor 0 is one object in the objectives of several members"):
        kd.fit(stack, [both[0], both[0]], rows(), teachers=teacher, **QUICK)


def test_adaptors_of_a_stack_keep_what_they_learnt_before_a_fault():
    head, before = net(5, 6, 7), net(5, 6, 7)

    def stop(run):
        if run.epoch == 2:
            raise KeyboardInterrupt

    goals = [kd.fitnets(head, "student.h1", "teacher.h1"), kd.fitnets(net(6, 6, 7), "student.h1", "teacher.h1")]
    with pytest.raises(KeyboardInterrupt):
        kd.fit(kd.Stack([net(0), net(1)]), goals, rows(), teachers=net(9, 4, 7, 3), hooks=[stop], **QUICK)
    assert (head.theta != before.theta).any()


def test_every_member_has_the_index_of_its_own_rows():
    """All had that of member 0: what was looked up by it belonged to other rows."""
    table, nets = np.random.default_rng(3).normal(size=(24, 3)), [net(0), net(1)]
    looked_up = kd.Given("teacher.logits", lambda i: table[i], ("index",), kd.SoftTargets())
    parts = [rows().take(np.arange(12)), rows().take(np.arange(12, 24))]
    stack = kd.Stack(nets)
    kd.fit(stack, looked_up, parts, seed=[0, 1], **QUICK)
    for i, (alone, part) in enumerate(zip(nets, parts)):
        kd.fit(alone, looked_up, part, seed=i, **QUICK)
        np.testing.assert_allclose(stack[i].theta, alone.theta, rtol=1e-9)
    found = kd.evaluate(stack, looked_up, parts, batch_size=5)["loss"]
    assert found == pytest.approx([kd.evaluate(n, looked_up, p)["loss"] for n, p in zip(nets, parts)])
    both = kd.data.stacked.stack_data(parts)
    assert len(both) == 12 and len(both.take([0, 1, 2])) == 3 and len(both.only(["x"])) == 12
    assert both.take([0, 1])["index"].tolist() == [0, 1, 12, 13]


def test_a_member_of_a_stack_is_frozen_where_the_stack_is():
    """What a stack had been told to hold, its member trained."""
    stack = kd.Stack([net(0), net(1)])
    stack.freeze(1)
    assert stack[0].frozen == stack.frozen == {0}
    stack.freeze()
    assert stack[1].frozen == frozenset()


def test_a_centre_is_of_as_many_networks_as_it_was_trained_with():
    """A network alone was given the centre of each member in turn, one a batch."""
    centre, nets = unlabelled.Centre(), [net(0), net(1)]
    goal, teachers = unlabelled.DINO(centre), kd.Stack([net(2), net(3)])
    stack = kd.Stack(nets)
    kd.fit(stack, goal, rows(), teachers=teachers, hooks=[centre], **QUICK)
    whole = kd.evaluate(stack, goal, rows(), teachers=teachers)["loss"]
    with pytest.raises(ValueError, match=r"holds the centres of 2 networks, here are 1: .* centre.member\(i\)"):
        kd.evaluate(stack[0], goal, rows(), teachers=teachers[0])
    for i in (0, 1):
        own = unlabelled.DINO(centre.member(i))
        assert kd.evaluate(stack[i], own, rows(), teachers=teachers[i], batch_size=5)["loss"] == pytest.approx(whole[i])
    fresh = unlabelled.DINO(unlabelled.Centre())  # it has no centre yet, whoever asks
    assert len(kd.evaluate(stack, fresh, rows(), teachers=teachers)["loss"]) == 2
    assert kd.evaluate(stack[0], fresh, rows(), teachers=teachers[0])["loss"] > 0


# ------------------------------------------------------------------ sequences


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u8"])
def test_a_token_has_its_number_whatever_the_integers(kind):
    """In the bytes of its prompt, token 277 was written as 21, and read so by the next step."""
    model, prompts = sequence.character_model(300, 2, 3, 4), np.array([[0, 1]] * 3)
    wanted = sequence.sample(model, prompts, 6, np.random.default_rng(0))
    assert wanted.max() > 255
    np.testing.assert_array_equal(sequence.sample(model, prompts.astype(kind), 6, np.random.default_rng(0)), wanted)
    every = sequence.enumerated(model, prompts[:1].astype(kind), 1)
    assert every.y.max() == 299 and every["weight"].mean() == pytest.approx(1, abs=1e-6)
    small = sequence.character_model(100, 2, 3, 4)
    assert sequence.sample(small, prompts.astype(kind), 2, np.random.default_rng(0)).dtype == kind


def test_nothing_is_written_by_what_has_no_probabilities():
    """Where all was NaN, token 0 was drawn, again and again; a stack's members wrote some of the prompts each."""
    model, prompts = sequence.character_model(5, 2, 3, 4), np.array([[0, 1]] * 4)
    with pytest.raises(TypeError, match="a stack has no one answer"):
        sequence.sample(kd.Stack([model, model]), prompts, 2, np.random.default_rng(0))
    model.theta[...] = np.nan
    with pytest.raises(ValueError, match="no token has a probability"):
        sequence.sample(model, prompts, 2, np.random.default_rng(0))
    for wrong in (0, -5, 2.5):
        with pytest.raises((TypeError, ValueError), match="rows must be"):
            sequence.generated(model, kd.Data({"x": prompts, "y": prompts[:, 0]}), 2, rows=wrong)


# ------------------------------------------------------------------ teachers and rows


def test_a_teacher_is_asked_about_the_rows_that_it_would_see():
    """The answers that were kept were those to the student's rows."""
    teacher, data = net(5), rows()
    data = data.with_columns({"teacher.x": data.x + 1})
    kept = kd.Data({name: data[name] for name in ("x", "y")}).with_columns(
        {"teacher.logits": data.with_soft_labels(teacher)["teacher.logits"]}
    )
    live = kd.evaluate(net(), kd.SoftTargets(), data, teachers=teacher)["loss"]
    assert kd.evaluate(net(), kd.SoftTargets(), kept)["loss"] == pytest.approx(live)
    top = data.with_soft_labels(teacher, top=2)
    np.testing.assert_array_equal(top["teacher.top"][:, 0], teacher.logits(data.x + 1).argmax(axis=1))
    assert (data.with_soft_labels(teacher, name="other")["other.logits"] == teacher.logits(data.x)).all()


class Answers:
    def __init__(self, shape):
        self.shape = shape

    def logits(self, x):
        return np.zeros([len(x) if n is None else n for n in self.shape])


@pytest.mark.parametrize("shape", [(1, 3), (None,), (None, 3, 1)])
def test_a_teacher_has_one_row_of_logits_for_each_row(shape, tmp_path):
    for how in ({}, {"out": tmp_path / "a.npy"}, {"top": 1}):
        with pytest.raises(ValueError, match="one row for each of 24 rows"):
            kd.soft_labels(Answers(shape), rows().x, **how)
    assert not (tmp_path / "a.npy").exists()


def test_a_teacher_is_not_trained_by_the_way():
    """As an adaptor it learnt from its own student."""
    teacher, peer = net(7), net(2, 4, 4)
    students, labels = {"student": net(), "peer": peer}, kd.CrossEntropy("made")
    with pytest.raises(ValueError, match=r"the teacher 'teacher' is adaptor 0 as well.*kd.frozen\(teacher\)"):
        goal = kd.CrossEntropy() + kd.SoftTargets() + kd.Through(teacher, "peer.logits", "made", labels)
        kd.fit(students, goal, rows(), teachers=teacher, **QUICK)
    held = kd.Through(kd.frozen(teacher), "peer.logits", "made", labels)
    kd.fit(students, kd.CrossEntropy() + kd.SoftTargets() + held, rows(), teachers=teacher, **QUICK)
    np.testing.assert_array_equal(teacher.theta, net(7).theta)


def test_a_step_by_hand_does_not_choose_between_a_teacher_and_a_column():
    """The column was read, and the teacher not asked."""
    batch = {"x": rows().x, "teacher.logits": np.zeros((24, 3))}
    with pytest.raises(ValueError, match=r"column 'teacher\.logits' has the name of a site"):
        kd.train_step(net(), net(5), kd.SoftTargets(), batch, optimizer=kd.SGD(0.1))


def test_data_that_a_hook_puts_in_place_are_checked():
    """A label of 2 among yes and no was learnt from."""
    data = rows(labels=np.zeros((24, 3)))
    for column in (np.full((24, 3), 2.0), np.full((24, 3), np.nan)):

        def hook(run, column=column):
            run.data = run.data.with_columns({"labels": column})

        with pytest.raises(ValueError, match="column 'labels'"):
            kd.fit(net(), kd.BinaryCrossEntropy(), data, hooks=[hook], **QUICK)


def test_a_distortion_may_work_in_place():
    """It changed the data, more in each epoch, and both views were one array."""
    data, x = rows(), rows().x

    def noisy(x, rng):
        x += rng.normal(size=x.shape)
        return x

    for epoch in (0, 1):
        made = views.two_views(data, noisy)(epoch, np.random.default_rng(0))
        assert (made["a.x"] != made["b.x"]).all()
    np.testing.assert_array_equal(data.x, x)


# ------------------------------------------------------------------ what is reported


NORMALIZED = kd.Term(functools.partial(kd.cross_entropy, normalize=True), ("student.logits",), ("y",), "w")


def step_of_the_reader(*args, **how):
    return kd.train_step(*args, **how)


STEPS = {
    "attacked": robust.on_attacked_rows(lambda net, x, y: x),
    "one after the other": mutual.alternating_step,
    "own": step_of_the_reader,
}


@pytest.mark.parametrize("step", STEPS)
def test_the_history_of_another_step_is_over_the_rows_that_count(step):
    """Batches without a label counted as ones without a loss: it was a third of what it is."""
    data = rows(few=np.where(np.arange(24) < 2, 1, -1), w=np.arange(24.0))
    goal = 0.5 * kd.CrossEntropy(labels="few", ignore=-1) + NORMALIZED
    wanted = kd.evaluate(net(), goal, data)
    history = kd.fit(net(), goal, data, step=STEPS[step], optimizer=kd.SGD(1e-13), **QUICK)
    for name in history.records[0]["train"]:
        assert history[name][0] == pytest.approx(wanted[name], rel=1e-9), name


@kd.mean_over_rows
def masked(z, t, mask):
    d = z - t
    return mask * (d * d).sum(axis=1) / 2, mask[:, None] * d, mask


def answered(goal, name="few"):
    return kd.Given(name, lambda y, i: np.where(i < 3, y, -1), ("y", "index"), goal)


PARTIAL = {
    "labels that are computed": answered(kd.CrossEntropy(labels="few", ignore=-1)),
    "weights that are computed": kd.Given("w", lambda i: (i < 3) * (i + 1.0), ("index",), NORMALIZED),
    "a loss of one's own": kd.Term(masked, ("student.logits",), ("t", "mask")),
}


@pytest.mark.parametrize("what", PARTIAL)
def test_a_mean_over_some_rows_is_that_whatever_the_batches(what):
    """It was known of columns and of the package's own losses alone: of others a batch without such rows was a 0."""
    data = rows(t=np.zeros((24, 3)), mask=(np.arange(24) < 3) * 1.0)
    goal = 0.5 * PARTIAL[what] + kd.CrossEntropy()
    wanted = kd.evaluate(net(), goal, data)
    x, y = data.x[:3], data.y[:3]
    log_q = kd.log_softmax(net().logits(x))[range(3), y]
    few = {"labels that are computed": -log_q.mean(), "weights that are computed": -(log_q * [1, 2, 3]).sum() / 6}
    value = few.get(what, (net().logits(x) ** 2).sum() / 6)
    assert wanted[next(iter(wanted))] == pytest.approx(value)
    pieces = kd.evaluate(net(), goal, data, batch_size=4)
    still = {"optimizer": kd.SGD(1e-13), **QUICK}
    history = kd.fit(net(), goal, data, **still)
    assert list(pieces) == list(wanted)
    for name in history.records[0]["train"]:
        assert history[name][0] == pytest.approx(wanted[name], rel=1e-9), name
        assert pieces[name] == pytest.approx(wanted[name], rel=1e-9), name
    stack = kd.Stack([net(), net()])
    for found in (kd.fit(stack, goal, data, **still)["loss"][0], kd.evaluate(stack, goal, data, batch_size=7)["loss"]):
        assert found == pytest.approx([wanted["loss"]] * 2, rel=1e-9)
    with pytest.raises(ValueError, match="micro_batch: "):
        kd.fit(net(), goal, data, micro_batch=2, **QUICK)


def test_an_early_exit_is_the_students_own():
    """Those of another student answered too, and a regressor to as many numbers as classes."""
    a, b = net(1, 4, 6, 6, 3), net(2, 4, 6, 6, 3)
    own, other = (
        exits.exits((f"{n}.h1", f"{n}.h2"), (6, 6), 3, deepest=f"{n}.logits", seed=s, dtype="float64")
        for n, s in (("a", 0), ("b", 7))
    )
    with pytest.raises(ValueError, match=r"exits of several students, \['a', 'b'\]"):
        exits.EarlyExit(a, other + own, 0.0)
    hint = kd.fitnets(net(9, 6, 3), "a.h1", "teacher.h1")
    wanted = exits.EarlyExit(a, own, 0.0).logits(rows().x)
    for goal in (hint + own, own + hint):
        early = exits.EarlyExit(a, goal, 0.0)
        assert len(early.branches) == 1
        np.testing.assert_array_equal(early.logits(rows().x), wanted)
    assert b.theta.size == a.theta.size
    with pytest.raises(ValueError, match="no exits"):
        exits.EarlyExit(a, hint, 0.0)


def test_weights_of_gradients_that_are_none_are_none():
    """They were all alike; so they were after no step, and columns were compared with rows."""
    g = np.array([[np.nan, 1.0], [1.0, 2.0], [0.0, 1.0]])
    for M in (2, 3):
        assert np.isnan(ensemble.min_norm_weights(*g[:M])).all()
    z = np.random.default_rng(0).normal(size=(3, 4, 5))
    z[1, 2] = np.nan
    assert np.isnan(ensemble.gradient_weights(*z)).all()
    for steps in (0, -3):
        with pytest.raises(ValueError, match="steps must be"):
            ensemble.min_norm_weights(*g[1:], g[1], steps=steps)
    with pytest.raises(ValueError, match="one shape"):
        ensemble.min_norm_weights(np.ones((1, 3)), np.ones((3, 1)))


def test_half_precision_does_not_hide_a_small_attack():
    """Beside numbers of about 1 the change was rounded away, and the network looked robust."""
    data, model = rows(), net()
    x = (1 + np.abs(data.x)).astype("f2")
    moved = robust.pgd(model, x, data.y, 1e-4)
    np.testing.assert_allclose(np.abs(moved - x.astype(float)).max(axis=1), 1e-4)
    with pytest.raises(ValueError, match="size must be"):
        robust.pgd(model, x, data.y, 0.1, size=0)


def test_a_divergence_keeps_its_digits_under_much_noise():
    """Half of them were lost at a scale of 1000; orders in small whole numbers wrapped around."""
    mp = pytest.importorskip("mpmath")
    orders = privacy.ORDERS[::400]
    with mp.workdps(60):
        for scale in (0.05, 0.9, 3.0, 1e3, 1e8):
            for order, found in zip(orders, privacy.laplace_renyi(orders, scale)):
                a, b = mp.mpf(order), mp.mpf(scale)
                both = a / (2 * a - 1) * mp.exp((a - 1) / b) + (a - 1) / (2 * a - 1) * mp.exp(-a / b)
                assert found == pytest.approx(float(2 / (a - 1) * mp.log(both)), rel=1e-11)
    small = privacy.laplace_renyi(np.array([2, 200], "u1"), 1)
    np.testing.assert_array_equal(small, privacy.laplace_renyi(np.array([2.0, 200.0]), 1.0))


def test_a_network_may_begin_with_some_columns():
    """It was refused: the rows have other columns than the first weights."""
    first = kd.Network([kd.Select([3, 0]), kd.Linear(2, 3, dtype="float64")], {"logits": 1})
    x = rows().x
    np.testing.assert_array_equal(first.logits(x), x[:, [3, 0]] @ first.layers[1].W)
    with pytest.raises(ValueError, match="no column 3"):
        first.logits(x[:, :3])


# ------------------------------------------------------------------ checks of gradients


def test_a_function_may_write_into_what_it_is_asked_at():
    """Central differences were taken along a way that it had changed itself."""

    def shifted(x):
        x -= x.max()
        return float(np.log(np.exp(x).sum()))

    x = np.array([1.0, -0.5, 0.2])
    wanted = np.exp(x) / np.exp(x).sum()
    wanted[0] -= 1
    np.testing.assert_allclose(kd.gradcheck.numerical_gradient(shifted, x), wanted, atol=1e-8)


def test_networks_are_left_as_they_were_though_a_step_is_wrong():
    generator, teacher, student = net(2, 2, 5, 4), net(1), net(3)
    before = [generator.theta.copy(), student.theta.copy()]
    goal = datafree.adversarial(teacher, student) + kd.Term(
        lambda z: (np.float64(0), np.ones_like(z)), ("generator.logits",)
    )
    with pytest.raises(kd.gradcheck.GradientError, match="step of network 0"):
        kd.gradcheck.check_step({"generator": generator}, goal, {"x": np.ones((3, 2))})
    for now, then in zip((generator, student), before):
        np.testing.assert_array_equal(now.theta, then)


def test_a_run_goes_on_with_the_validation_rows_it_had(tmp_path):
    """Other rows' measurements would stand in one history with those of the first time."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4))
    y = (x[:, 0] > 0).astype(int)
    first = kd.Data({"x": x[60:90], "y": y[60:90]})
    others = {
        "labels": kd.Data({"x": x[60:90], "y": 1 - y[60:90]}),
        "rows": kd.Data({"x": x[60:89], "y": y[60:89]}),
        "numbers": kd.Data({"x": 1.5 * x[60:90], "y": y[60:90]}),
        "none": None,
    }

    class Broken(Exception):
        pass

    def go(validation, stop=9, **more):
        def break_off(run):
            if len(run.history.records) == stop:
                raise Broken

        net = kd.MLP(4, 8, 2, seed=0)
        data = kd.Data({"x": x[:60], "y": y[:60]})
        return kd.fit(net, kd.CrossEntropy(), data, epochs=4, validation=validation, hooks=[break_off],
                      checkpoint=tmp_path / "run.npz", progress=False, **more)  # fmt: skip

    with pytest.raises(Broken):
        go(first, stop=3)
    for other in others.values():
        with pytest.raises(kd.CheckpointError, match="validation rows"):
            go(other, resume=True)
    again = kd.Data({"x": x[60:90] * (1 + 1e-7), "y": y[60:90]})  # as another machine may have rounded
    assert len(go(again, resume=True)["accuracy", "validation"]) == 4


def test_objectives_are_summed_and_are_no_weights():
    z, y = np.array([[1.0, 0.0]]), np.array([1])
    one = kd.CrossEntropy()
    both = sum([one, 2 * one])
    assert both({"student.logits": z}, {"y": y}).value == pytest.approx(3 * np.log1p(np.e))
    for wrong in (lambda: one * one, lambda: 1 + one, lambda: sum([one], 0.5)):
        with pytest.raises(TypeError, match="unsupported operand"):
            wrong()


def test_who_forgets_the_teacher_is_told_how_to_give_one():
    data = kd.Data({"x": np.zeros((4, 2), np.float32), "y": np.zeros(4, int)})
    with pytest.raises(kd.UnknownSiteError, match=r"give teachers=…, or data.with_soft_labels\(teacher\)"):
        kd.fit(kd.MLP(2, 3), kd.SoftTargets(), data, epochs=1)
    with pytest.raises(TypeError, match=r"column `teacher\.logits`"):
        kd.soft_labels(object(), data.x)
