"""The algebra, and the generic checks over every recipe: gradients, the whole step, backends."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, all_recipes, batch, net, student, teacher
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
    both, of_a, of_b = (objective(live, fixed) for objective in (2 * (0.5 * a + 3 * b), a, b))
    assert both.value == pytest.approx(of_a.value + 6 * of_b.value)
    both, of_a, of_b = (result.gradients["student.logits"] for result in (both, of_a, of_b))
    np.testing.assert_allclose(both, of_a + 6 * of_b)


def test_a_term_that_is_switched_off_costs_nothing_even_if_it_is_infinite():
    live = {"student.logits": np.array([[0.0, -np.inf]])}
    fixed = {"teacher.logits": np.zeros((1, 2)), "y": np.array([0])}
    assert kd.SoftTargets(2)(live, fixed).value == np.inf
    result = (kd.CrossEntropy() + 0 * kd.SoftTargets(2))(live, fixed)
    assert result.value == 0 and not result.gradients["student.logits"].any()


def test_terms_of_one_name_are_told_apart():
    live = {"student.logits": np.random.default_rng(0).normal(size=(N, K))}
    fixed = {"teacher.logits": np.random.default_rng(1).normal(size=(N, K))}
    terms = (kd.SoftTargets(2) + kd.SoftTargets(8))(live, fixed).terms
    first = "soft_targets(student.logits, teacher.logits)"
    assert list(terms) == [first, first + " #2"]
    z_s, z_t = live["student.logits"], fixed["teacher.logits"]
    assert [float(v) for v in terms.values()] == [float(kd.soft_targets(z_s, z_t, T)[0]) for T in (2, 8)]


def test_a_student_that_is_an_adaptor_too_gets_both_gradients():
    """Its own loss on x, and through the other student, whose answer it reads: one owner, one sum."""
    made = {"a": net(D, 6, D, seed=1), "b": net(D, 6, K, seed=2)}
    seen = kd.Through(made["b"], "a.logits", "b of a", kd.CrossEntropy("b of a"))
    assert kd.gradcheck.check_step(made, kd.CrossEntropy("b.logits") + seen, batch()) < 1e-7


def test_values_alone_leave_the_adaptors_as_they_are():
    setup = RECIPES["hint_through_a_regressor"]()
    live, fixed, _ = run_networks(setup.students, setup.teachers, setup.objective, setup.batch)
    (adaptor,) = setup.objective.nets
    adaptor.grad[...] = 7
    both = [setup.objective(live, fixed, backward=way) for way in (False, True)]
    assert both[0].value == both[1].value and both[0].terms == both[1].terms and not both[0].gradients
    setup.objective(live, fixed, backward=False)
    kept = adaptor.grad.copy()
    kd.evaluate(setup.students, setup.objective, kd.Data({k: setup.batch[k] for k in "xy"}), teachers=setup.teachers)
    np.testing.assert_array_equal(adaptor.grad, kept)


def test_a_site_is_made_once():
    one, other = (kd.Through(net(7, K, seed=i), "student.h1", "e", kd.CrossEntropy("e")) for i in (7, 8))
    with pytest.raises(ValueError, match="'e' is made twice"):
        _ = (one + other).makes
    with pytest.raises(ValueError, match="'e' is made twice"):
        kd.fit(student(), one + other, kd.Data({k: batch()[k] for k in "xy"}), epochs=1)


def test_a_loss_across_rows_takes_no_weight_a_row():
    with pytest.raises(TypeError, match=r"info_nce\(student.h2, teacher.h2\) takes no weight a row \(here 'w'\)"):
        kd.Match("student.h2", "teacher.h2", kd.info_nce) * "w"


def test_a_loss_that_does_not_say_what_it_is_takes_no_weight_a_row():
    def halved(z_s, z_t):
        return ((z_s - z_t) ** 2).sum() / 2, z_s - z_t

    with pytest.raises(TypeError, match=r"halved\(student.h2, teacher.h2\) takes no weight.*@kd.mean_over_rows"):
        kd.Match("student.h2", "teacher.h2", halved) * "w"


def test_values_are_reported_before_their_weights():
    setup = RECIPES["response"]()
    live, fixed, _ = run_networks(setup.students, setup.teachers, setup.objective, setup.batch)
    result = setup.objective(live, fixed)
    ce, soft = result.terms.values()
    assert list(result.terms) == ["cross_entropy(student.logits, y)", "soft_targets(student.logits, teacher.logits)"]
    assert result.value == pytest.approx(0.3 * ce + 0.7 * soft)


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
