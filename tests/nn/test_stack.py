"""A stack of networks of one shape is a network: its members end where each would have ended alone."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import all_recipes
from kdlearn.checkpoint import read, write
from kdlearn.data.stacked import stack_data
from kdlearn.loss import mean_over_rows
from kdlearn.nn.stack import stacked
from kdlearn.step import members_of

RECIPES = all_recipes()
R = 3
# An adaptor with a forward pass of its own, or a network with one, is the one thing that cannot be stacked.
ALONE = {"gated_branches": "Gate", "diverse_peers": "Attention", "jacobian_matching": "WithJacobian"}


def rules():
    """Decay and clipping: each member's own, or 1/R of a gradient would show."""
    return kd.SGD(0.1, momentum=0.9, weight_decay=0.01, clip_norm=0.5, max_norm=2.0)


def variants(name, device="cpu"):
    """The recipe R times, with weights of its own each time."""
    made = []
    for i in range(R):
        setup = RECIPES[name](device)
        if device != "cpu":
            setup = setup.to(device)
        rng = np.random.default_rng(100 + i)
        for net in dict.fromkeys([*setup.students.values(), *setup.objective.nets]):
            net.theta += kd.to_device(0.05 * rng.standard_normal(net.theta.size), device)
        made.append(setup)
    return made


def side_by_side(setups):
    """Students, teachers, objective and batch of all as those of a stack."""
    nets = {}
    for kind in ("students", "teachers"):
        for name in getattr(setups[0], kind):
            own = tuple(getattr(s, kind)[name] for s in setups)
            nets.setdefault(own, None)
    nets = {own: kd.Stack(own) for own in nets}
    students, teachers = (
        {name: nets[tuple(getattr(s, kind)[name] for s in setups)] for name in getattr(setups[0], kind)}
        for kind in ("students", "teachers")
    )
    pairs = zip(*(s.objective.nets for s in setups))
    adaptors = {own[0]: nets.get(own) or stacked(own) for own in pairs}
    xp = kd.array_module(next(iter(students.values())).theta)
    batch = {
        name: xp.concatenate([s.batch[name] for s in setups]) if getattr(a, "ndim", 0) else a
        for name, a in setups[0].batch.items()
    }
    return students, teachers, setups[0].objective.with_nets(adaptors), batch


def thetas(net):
    """What is trained, one flat vector a member."""
    parts = [kd.to_numpy(part) for part in net.by_member(net.theta)]
    return np.concatenate([np.zeros((net.members, 0)), *parts], axis=1)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_stacked_as_it_trains_alone(name, backend):
    setups = variants(name, backend.device)
    if name in ALONE:
        with pytest.raises(TypeError, match=f"{ALONE[name]} cannot be stacked"):
            side_by_side(setups)
        return
    students, teachers, objective, batch = side_by_side(setups)
    assert members_of(students) == R
    alone, together = [rules() for _ in setups], rules()
    for step in range(3):
        expected = [
            kd.train_step(
                s.students, s.teachers, s.objective, s.batch, optimizer=o, rng=np.random.default_rng(step + i)
            )
            for i, (s, o) in enumerate(zip(setups, alone))
        ]
        rng = [np.random.default_rng(step + i) for i in range(R)]
        got = kd.train_step(students, teachers, objective, batch, optimizer=together, rng=rng)
        for term, value in got.items():
            np.testing.assert_allclose(kd.to_numpy(value), [float(e[term]) for e in expected], rtol=1e-9, atol=1e-12)
    nets = list(dict.fromkeys([*students.values(), *objective.nets]))
    for i, setup in enumerate(setups):
        own = list(dict.fromkeys([*setup.students.values(), *setup.objective.nets]))
        for stack, net in zip(nets, own):
            np.testing.assert_allclose(thetas(stack)[i], thetas(net)[0], rtol=1e-8, atol=1e-12)


# ---------------------------------------------------------------- fit


def make_data(seed, n=50, classes=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    return kd.Data({"x": x, "y": (x @ rng.normal(size=(5, classes))).argmax(axis=1), "w": rng.uniform(0.5, 2, n)})


def make_net(seed, dropout=0.2):
    return kd.MLP(5, 8, 3, seed=seed, dropout=dropout, dtype="float64")


SEEDS = [4, 9, 2]
SETTINGS = {"epochs": 3, "batch_size": 16, "schedule": kd.cosine, "progress": False}


def test_a_range_of_seeds_is_one_a_member():
    stacks = [kd.Stack([make_net(i) for i in range(R)]) for _ in range(2)]
    for stack, seed in zip(stacks, (range(R), list(range(R)))):
        kd.fit(stack, kd.CrossEntropy(), make_data(0), seed=seed, **SETTINGS)
    np.testing.assert_array_equal(stacks[0].theta, stacks[1].theta)


def alone(i, data, validation=None, hooks=(), objective=None, **more):
    net = make_net(i)
    goal = objective or 0.4 * kd.CrossEntropy() * "w" + kd.SoftTargets(2)
    history = kd.fit(
        net, goal, data, validation=validation, hooks=hooks, seed=SEEDS[i], optimizer=kd.Adam(0.02, weight_decay=1e-3),
        **SETTINGS | more,
    )  # fmt: skip
    return net, history


def together(data, objective=None, **more):
    stack = kd.Stack([make_net(i) for i in range(R)])
    goal = objective or 0.4 * kd.CrossEntropy() * "w" + kd.SoftTargets(2)
    rule = kd.Adam(0.02, weight_decay=1e-3)
    history = kd.fit(stack, goal, data, **{"seed": SEEDS, "optimizer": rule} | SETTINGS | more)
    return stack, history


def assert_same(stack, history, pairs):
    for i, (net, own) in enumerate(pairs):
        np.testing.assert_allclose(stack[i].theta, net.theta, rtol=1e-8, atol=1e-12)
        mine = history.member(i)
        assert len(mine) == len(own)
        for part in {"train", "validation"} & set(own.records[0]):
            for name in own.records[0][part]:
                np.testing.assert_allclose(mine[name, part], own[name, part], rtol=1e-8)


@pytest.mark.parametrize("shared", [False, True])
def test_fit_leaves_each_member_where_it_would_have_ended_alone(shared):
    """Own weights, rows, order of batches, dropout, soft labels; validation; a teacher for all as a column."""
    teachers = [kd.MLP(5, 9, 3, seed=20 + i, dtype="float64") for i in range(R)]
    data = [make_data(0 if shared else i).with_soft_labels(teachers[0 if shared else i]) for i in range(R)]
    held = make_data(50).with_soft_labels(teachers[0])
    pairs = [alone(i, data[i], held) for i in range(R)]
    stack, history = together(data[0] if shared else data, validation=held)
    assert_same(stack, history, pairs)
    assert isinstance(stack[0], kd.MLP) and stack[0].sizes == (5, 8, 3) and len(list(stack)) == len(stack) == R
    with pytest.raises(IndexError):
        stack[R]


def test_teachers_live_one_for_all_or_one_each():
    own = [kd.MLP(5, 9, 3, seed=20 + i, dtype="float64") for i in range(R)]
    data = make_data(0)
    for teachers in (kd.Stack(own), own[0]):
        each = own if isinstance(teachers, kd.Stack) else [own[0]] * R
        pairs = [alone(i, data, teachers=each[i]) for i in range(R)]
        assert_same(*together(data, teachers=teachers), pairs)


def test_adaptors_data_functions_and_early_stopping():
    def regressor(i):
        return kd.MLP(8, 9, seed=40 + i, dtype="float64")

    def objective(i):
        return kd.CrossEntropy() + 0.1 * kd.fitnets(regressor(i), "student.h1", "teacher.h1")

    def noisy(i):
        base = make_data(i)
        return lambda epoch, rng: base.with_columns({"x": base.x + 0.1 * rng.normal(size=base.x.shape)})

    teacher, held = kd.MLP(5, 9, 3, seed=20, dtype="float64"), make_data(50)
    more = {"teachers": teacher, "validation": held, "epochs": 8}
    pairs = [
        alone(i, noisy(i), objective=objective(i), hooks=[kd.EarlyStopping("accuracy", 2)], **more) for i in range(R)
    ]
    stack, history = together(
        [noisy(i) for i in range(R)], [objective(i) for i in range(R)], hooks=[kd.EarlyStopping("accuracy", 2)], **more
    )
    for i, (net, own) in enumerate(pairs):
        np.testing.assert_allclose(stack[i].theta, net.theta, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(history.member(i)["loss"][: len(own)], own["loss"], rtol=1e-8)
    assert len(history) == max(len(own) for _, own in pairs)


def test_hooks_that_move_teachers_and_columns():
    rows = make_data(0)
    past = rows.with_columns({"past.logits": kd.label_logits(rows.y, 3, "float64")})
    pairs = [alone(i, past, objective=kd.progressive(), hooks=[kd.LastEpoch()]) for i in range(R)]
    assert_same(*together(past, kd.progressive(), hooks=[kd.LastEpoch()]), pairs)
    mean = kd.CrossEntropy() + kd.SoftTargets(1)
    pairs = [alone(i, rows, objective=mean, teachers=make_net(i), hooks=[kd.MovingAverage(0.9)]) for i in range(R)]
    teachers = kd.Stack([make_net(i) for i in range(R)])
    assert_same(*together(rows, mean, teachers=teachers, hooks=[kd.MovingAverage(0.9)]), pairs)


def test_a_stack_resumes_bit_for_bit(tmp_path):
    def stop(run):
        run.stop = run.epoch == 2

    data = make_data(0)
    whole, first = together(data, kd.CrossEntropy(), epochs=4)
    together(data, kd.CrossEntropy(), epochs=4, hooks=[stop], checkpoint=tmp_path / "run.npz")

    arrays, config = read(tmp_path / "run.npz")
    write(tmp_path / "run.npz", arrays, config | {"stop": False})
    again, second = together(data, kd.CrossEntropy(), epochs=4, checkpoint=tmp_path / "run.npz", resume=True)
    np.testing.assert_array_equal(again.theta, whole.theta)
    assert second["loss"] == first["loss"]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_member_that_diverges_is_named_and_does_not_spoil_the_others():
    """Member 1 starts where its second epoch overflows."""
    nets = [kd.MLP(5, 8, 3, seed=i) for i in range(R)]
    data = [make_data(i) for i in range(R)]
    wild = data[1].with_columns({"x": 1e18 * data[1].x})
    rule = {"optimizer": kd.SGD(0.5), "epochs": 4, "batch_size": 16, "progress": False}
    stack = kd.Stack(nets)
    history = kd.fit(stack, kd.CrossEntropy(), [data[0], wild, data[2]], seed=SEEDS, **rule)
    assert list(history.diverged) == [1] and "try a learning rate below 0.5" in history.diverged[1]
    np.testing.assert_array_equal(stack[1].theta, nets[1].theta)  # the weights of the epoch's start
    assert history.member(1).diverged and not history.member(0).diverged
    assert np.isnan(history.member(1)["loss"]).all() and np.isfinite(history.member(0)["loss"]).all()
    for i in (0, 2):
        own = nets[i].copy()
        expected = kd.fit(own, kd.CrossEntropy(), data[i], seed=SEEDS[i], **rule | {"optimizer": kd.SGD(0.5)})
        np.testing.assert_allclose(stack[i].theta, own.theta, rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(history.member(i)["loss"], expected["loss"], rtol=1e-4)
    with pytest.raises(kd.DivergenceError, match="the loss became"):
        kd.fit(kd.Stack(nets), kd.CrossEntropy(), wild, **rule)


def test_the_data_of_no_members_is_refused_in_words():
    with pytest.raises(ValueError, match="there are no members"):
        stack_data([])


def test_a_batch_that_is_cut_member_by_member_keeps_its_rows_together():
    """The last batch is smaller; columns that members share are kept once."""
    rows = [kd.Data({"x": np.arange(7.0)[:, None] + 100 * i, "y": np.arange(7)}) for i in range(2)]
    joint = stack_data([rows[0], rows[1].with_columns({"y": rows[0].y})])
    assert joint.y is rows[0].y and len(joint) == 7 and joint.x.shape == (14, 1)
    seen = [[], []]
    for batch in joint.batches(3, [np.random.default_rng(i) for i in range(2)]):
        half = len(batch["y"]) // 2
        for i in range(2):
            x, y = batch["x"][i * half : (i + 1) * half, 0], batch["y"][i * half : (i + 1) * half]
            np.testing.assert_array_equal(x, y + 100 * i)
            seen[i] += y.tolist()
    for i in range(2):
        assert seen[i] == np.random.default_rng(i).permutation(7).tolist()
    assert joint.take(slice(2, 4)).x[:, 0].tolist() == [2, 3, 102, 103]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: kd.Stack([]), "at least one"),
        (lambda: kd.Stack([kd.MLP(4, 3), kd.MLP(5, 3)]), "network 1 differs in shape from network 0"),
        (lambda: kd.Stack([kd.MLP(4, 3), kd.MLP(4, 3, dtype="float64")]), "network 1 differs"),
        (lambda: together(make_data(0), kd.CrossEntropy(), seed=[1, 2]), "seed: there are 3 members, got 2"),
        (lambda: together([make_data(0), make_data(1)], kd.CrossEntropy()), "data: there are 3 members, got 2"),
        (lambda: together([make_data(i, n=50 + i) for i in range(R)], kd.CrossEntropy()), "same columns and rows"),
        (
            lambda: together(make_data(0), kd.CrossEntropy() + kd.fitnets(kd.MLP(8, 9, dtype="float64"), "student.h1",
                                                                          "student.h1")),
            "is one network, the students are stacks of 3; give it a kd.Stack",
        ),
        (lambda: together(make_data(0), kd.CrossEntropy(), micro_batch=4), "micro_batch is for one network"),
    ],
)  # fmt: skip
def test_what_cannot_be_stacked_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_loss_over_rows_is_called_once_for_all_members():
    seen = []

    @mean_over_rows
    def counted(z, y):
        seen.append(len(z))
        return z[:, 0], np.ones_like(z)

    data = make_data(0)
    batch = {name: np.concatenate([a] * R) for name, a in data.columns.items()}
    kd.train_step(
        kd.Stack([make_net(i) for i in range(R)]), None, kd.Term(counted, ("student.logits",), ("y",)), batch,
        optimizer=kd.SGD(0.1),
    )  # fmt: skip
    assert seen == [R * len(data)]


def test_answers_of_a_stack():
    nets = [kd.MLP(5, 8, 3, seed=i) for i in range(R)]
    stack, x = kd.Stack(nets), np.random.default_rng(0).normal(size=(2500, 5)).astype("float32")
    own = np.stack([net.logits(x) for net in nets])
    np.testing.assert_allclose(stack.logits(x), own, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        stack.logits(np.stack([x, x + 1, x + 2]))[2], nets[2].logits(x + 2), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(stack.predict(x), own.argmax(axis=2))
    assert stack.predict_proba(x, T=2).shape == (R, 2500, 3)
    assert kd.Stack(nets[:1]).logits(x).shape == (1, 2500, 3)
    np.testing.assert_array_equal(stack[-1].theta, nets[-1].theta)
    for wrong in (R, -R - 1):
        with pytest.raises(IndexError, match=rf"the stack has members 0 … {R - 1}, got {wrong}$"):
            stack[wrong]
    twin = stack.copy()
    twin.theta += 1
    assert not np.array_equal(twin[0].theta, stack[0].theta)
