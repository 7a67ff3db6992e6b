"""The algebra, and the generic checks over every recipe: gradients, the whole step, backends."""

from __future__ import annotations

import numpy as np
import pytest
from recipes import K, N, all_recipes, batch, net, student, teacher

import kdlearn as kd
from kdlearn.step import run_networks

RECIPES = all_recipes()
SEEDS = {"dropout_and_layer_norm": 5}  # recipes that are checked with their dropout on


@pytest.mark.parametrize("name", RECIPES)
def test_objective_is_the_derivative_of_its_value(name):
    setup = RECIPES[name]()
    live, fixed, _ = run_networks(setup.students, setup.teachers, setup.objective, setup.batch)
    assert kd.gradcheck.check_objective(setup.objective, live, fixed) < 1e-7


@pytest.mark.parametrize("name", RECIPES)
def test_step_moves_along_the_gradient(name):
    setup = RECIPES[name]()
    error = kd.gradcheck.check_step(setup.students, setup.objective, setup.batch, setup.teachers, seed=SEEDS.get(name))
    assert error < 1e-7


@pytest.mark.parametrize("name", RECIPES)
def test_same_training_on_every_backend(name, backend):
    """Three steps; the stand-in must agree bit for bit, a GPU to rounding."""

    def train(device):
        setup = RECIPES[name](device).to(device)
        optimizer = kd.Adam(1e-2, weight_decay=1e-3, clip_norm=1.0, max_norm=2.0)
        values = [
            kd.train_step(
                setup.students, setup.teachers, setup.objective, setup.batch, optimizer=optimizer,
                rng=np.random.default_rng(step),
            )
            for step in range(3)
        ]  # fmt: skip
        nets = [*setup.students.values(), *setup.objective.nets]
        return [kd.to_numpy(n.theta) for n in nets], [float(v["loss"]) for v in values]

    expected, got = train("cpu"), train(backend.device)
    for a, b in zip(expected[0] + [expected[1]], got[0] + [got[1]]):
        np.testing.assert_allclose(b, a, rtol=1e-9 if backend.name == "cupy" else 0, atol=0)


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_never_waits_for_the_device(name, standin):
    setup = RECIPES[name]("cuda").to("cuda")
    optimizer = kd.Adam(1e-2, clip_norm=1.0, max_norm=2.0)
    standin.syncs = standin.host_copies = 0
    kd.train_step(
        setup.students, setup.teachers, setup.objective, setup.batch, optimizer=optimizer, rng=np.random.default_rng(0)
    )
    assert (standin.syncs, standin.host_copies) == (0, 0)


def test_weights_reach_the_leaves():
    a, b = kd.CrossEntropy(), kd.SoftTargets(2)
    live = {"student.logits": np.random.default_rng(0).normal(size=(N, K))}
    fixed = batch() | {"teacher.logits": np.random.default_rng(1).normal(size=(N, K))}
    value, gradients = (2 * (0.5 * a + 3 * b))(live, fixed)
    va, ga = a(live, fixed)
    vb, gb = b(live, fixed)
    assert value == pytest.approx(va + 6 * vb)
    np.testing.assert_allclose(gradients["student.logits"], ga["student.logits"] + 6 * gb["student.logits"])


def test_values_are_reported_before_their_weights():
    setup = RECIPES["response"]()
    live, fixed, _ = run_networks(setup.students, setup.teachers, setup.objective, setup.batch)
    values = {}
    total, _ = setup.objective(live, fixed, values)
    ce, soft = values["cross_entropy(student.logits, y)"], values["soft_targets(student.logits, teacher.logits)"]
    assert total == pytest.approx(0.3 * ce + 0.7 * soft)


def test_what_an_objective_reads():
    exit1 = net(7, K)
    inner = kd.SoftTargets(3, "student.exit1", "student.logits")
    objective = kd.CrossEntropy() + kd.Through(exit1, "student.h1", "student.exit1", inner) * "w"
    assert objective.sites == {"student.logits", "y", "student.h1", "w"}
    assert objective.nets == (exit1,)
    assert [t.name for t in objective.terms] == [
        "cross_entropy(student.logits, y)",
        "soft_targets(student.exit1, student.logits)",
    ]


def test_only_the_taps_that_are_read_are_computed():
    setup = RECIPES["hint_through_a_regressor"]()
    live, fixed, _ = run_networks(setup.students, setup.teachers, setup.objective, setup.batch)
    assert set(live) == {"student.logits", "student.h1"}
    assert {s for s in fixed if s.startswith("teacher")} == {"teacher.logits", "teacher.h2"}


def test_unknown_sites_list_the_known_ones():
    with pytest.raises(kd.UnknownSiteError, match=r"no tap 'h9'; this network has a1, h1, a2, h2, logits"):
        kd.train_step(student(), None, kd.CrossEntropy("student.h9"), batch(), optimizer=kd.SGD(0.1))
    with pytest.raises(kd.UnknownSiteError, match=r"no fixed site 'label'; there are: .*student.logits, x, y"):
        kd.train_step(student(), None, kd.CrossEntropy(labels="label"), batch(), optimizer=kd.SGD(0.1))
    with pytest.raises(kd.UnknownSiteError, match="nothing inside Through reads its target"):
        objective = kd.Through(net(7, K), "student.h1", "student.r", kd.CrossEntropy())
        kd.train_step(student(), None, objective, batch(), optimizer=kd.SGD(0.1))


def test_nonsense_in_the_algebra_is_a_type_error():
    for wrong in (None, [1], True):
        with pytest.raises(TypeError):
            wrong * kd.CrossEntropy()
    with pytest.raises(TypeError):
        kd.CrossEntropy() + 1


def test_a_teacher_is_not_changed_by_teaching():
    teachers = teacher()
    before = teachers["teacher"].theta.copy()
    kd.train_step(student(), teachers, kd.SoftTargets(2), batch(), optimizer=kd.SGD(0.1))
    np.testing.assert_array_equal(teachers["teacher"].theta, before)


def test_gradients_given_to_backward_are_not_modified():
    n = net(5, 7, K)
    sites, caches = n.forward(batch()["x"])
    given = {tap: np.ones_like(a) for tap, a in sites.items()}
    n.backward(caches, given)
    assert all((g == 1).all() for g in given.values())
