"""What a sceptical hour of odd calls found: each gave a number, and not the right one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.distill import diffusion, ensemble, exits, privacy, robust, sequence

SETTINGS = {"epochs": 2, "progress": False}


def rows(n=40):
    x = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return kd.Data({"x": x, "y": np.arange(n) % 3})


# ------------------------------------------------------------------ training


@pytest.mark.parametrize(
    "schedule", [lambda t: 1 - 2 * t, lambda t: np.nan if t > 0.4 else 1.0, lambda t: 1 / (0.5 - t)]
)
def test_a_schedule_is_asked_along_the_whole_way(schedule):
    """Below 0 the student climbed in the second half of its training; it was asked at the start alone."""
    net = kd.MLP(3, 3)
    before = net.theta.copy()
    with np.errstate(all="ignore"), pytest.raises((ValueError, ZeroDivisionError), match=r"at progress|division"):
        kd.fit(net, kd.CrossEntropy(), rows(), schedule=schedule, **SETTINGS)
    np.testing.assert_array_equal(net.theta, before)


def test_an_adaptor_does_not_take_the_name_of_a_site_that_others_read():
    """All gradients at that name went to the adaptor, and the student's own answer got none."""
    net, head = kd.MLP(3, 5, 3), kd.MLP(5, 3, seed=4)
    objective = kd.CrossEntropy() + kd.Through(head, "student.h1", "student.logits", kd.CrossEntropy())
    with pytest.raises(ValueError, match=r"'student\.logits', made by a Through, is a network's as well"):
        kd.fit(net, objective, rows(), **SETTINGS)
    with pytest.raises(ValueError, match="give it another target"):
        kd.evaluate(net, objective, rows())


def test_weights_of_teachers_are_one_column_each():
    """The third of three columns was left out, and a third of the loss with it."""
    teachers = {"a": kd.MLP(3, 3, seed=1), "b": kd.MLP(3, 3, seed=2)}
    for M, right in ((1, False), (2, True), (3, False)):
        objective = ensemble.weighted_teachers(
            ("a.logits", "b.logits"), lambda *z, M=M: np.full((len(z[0]), M), 1 / M, np.float32)
        )
        if right:
            kd.fit(kd.MLP(3, 3), objective, rows(), teachers=teachers, **SETTINGS)
        else:
            with pytest.raises(ValueError, match=r"weights of 2 teachers are a table of shape \(2, 2\)"):
                kd.fit(kd.MLP(3, 3), objective, rows(), teachers=teachers, **SETTINGS)


def test_a_stack_has_no_one_answer_to_keep(tmp_path):
    """Its file could not be read again; a column of as many rows as members was taken."""
    stack, x = kd.Stack([kd.MLP(3, 3, seed=seed) for seed in (0, 1)]), rows().x
    for call in (
        lambda: kd.soft_labels(stack, x),
        lambda: kd.soft_labels(stack, x, out=tmp_path / "a.npy"),
        lambda: rows(2).with_soft_labels(stack),
    ):
        with pytest.raises(TypeError, match="a stack of 2"):
            call()
    assert not (tmp_path / "a.npy").exists()


# ------------------------------------------------------------------ sequences


def test_tokens_that_are_none_have_no_probability_and_no_letter():
    """A token of -1 was the last of the vocabulary."""
    model = sequence.character_model(5, 2, 3, 4)
    x = np.zeros((4, 2), int)
    p = kd.softmax(model.logits(x).astype(float))
    y = np.array([3, 0, 1, 2])
    found = sequence.perplexity(model, kd.Data({"x": x, "y": y}))
    assert found == pytest.approx(np.exp(-np.log(p[np.arange(4), y]).mean()), rel=1e-5)
    for wrong in (-1, 5):
        with pytest.raises(ValueError, match="labels must lie in 0 … 4"):
            sequence.perplexity(model, kd.Data({"x": x, "y": np.array([wrong, 0, 1, 2])}))
    assert sequence.decode([2, 0], "abc") == "ca" and sequence.decode([], "abc") == ""
    for tokens in ([-1, 0], [3], [1.7, 0], [[0, 1]]):
        with pytest.raises(ValueError, match="label"):
            sequence.decode(tokens, "abc")


# ------------------------------------------------------------------ attacks


def test_an_attack_takes_steps():
    """With -3 of them no row moved, and the network looked robust; so it did for whole numbers."""
    net, data = kd.MLP(3, 3), rows()
    for steps in (0, -3, 2.5, True):
        with pytest.raises((TypeError, ValueError), match="steps must be"):
            robust.pgd(net, data.x, data.y, 0.1, steps=steps)
    whole = np.ones((40, 3), int)
    moved = robust.pgd(net, whole, data.y, 0.5)
    np.testing.assert_array_equal(moved, robust.pgd(net, whole.astype(np.float32), data.y, 0.5))
    assert np.abs(moved - 1).max() == pytest.approx(0.5)


@pytest.mark.parametrize("bounds", [{"low": 0.0}, {"high": 1.0}, {"low": 1.0, "high": 0.0}])
def test_rows_that_are_attacked_lie_within_the_bounds(bounds):
    """Standardised rows between the bounds of pixels were moved to them, ten times as far as epsilon allows."""
    with pytest.raises(ValueError, match="beyond low ="):
        robust.pgd(kd.MLP(3, 3), rows().x, rows().y, 0.1, **bounds)


# ------------------------------------------------------------------ promises


def test_a_promise_of_privacy_has_a_divergence_for_each_order():
    """One divergence for all orders made an epsilon that was too small."""
    curve = 10 * privacy.gaussian_renyi(privacy.ORDERS, 40.0)
    epsilon, order = privacy.epsilon_of(curve, privacy.ORDERS, 1e-5)
    assert privacy.epsilon_of(curve[7], privacy.ORDERS[7], 1e-5)[1] == privacy.ORDERS[7]
    sigma = privacy.gaussian_sigma(epsilon, 1e-5, 10)
    assert sigma == pytest.approx(40, rel=1e-4) and order > 1
    for wrong in (3.0, curve[:1], curve[:, None]):
        with pytest.raises(ValueError, match="one divergence an order"):
            privacy.epsilon_of(wrong, privacy.ORDERS, 1e-5)
    for wrong in ({"queries": 0}, {"queries": -1}, {"change": -1.0}, {"change": np.nan}, {"change": 0}):
        with pytest.raises(ValueError, match="at least one question"):
            privacy.gaussian_sigma(1.0, 1e-5, **wrong)


@pytest.mark.parametrize("counts", [[[np.nan, 3, 1]], [[-1, 3, 1]], [1, 3, 1], [["1", "3"]], [[True, False]]])
def test_votes_are_counts(counts):
    """NaN won."""
    with pytest.raises(ValueError, match="counts must be"):
        privacy.noisy_winners(np.array(counts), 0.0, np.random.default_rng(0))


# ------------------------------------------------------------------ others


@pytest.mark.parametrize("count", [-1, 0, 1.5])
def test_a_sampler_takes_steps(count):
    with pytest.raises((TypeError, ValueError), match="count must be"):
        diffusion.ddim(lambda z, angle: z, rows().x, 0.5, 0.1, count)


def test_an_exit_that_says_nothing_has_no_most_probable_class():
    """NaN was class 0."""
    student, x = kd.MLP(3, 6, 6, 3), rows(4).x.copy()
    early = exits.EarlyExit(student, exits.exits(("student.h1", "student.h2"), (6, 6), 3), 0.5)
    assert early.predict(x).shape == (4,)
    x[1, 0] = np.nan
    with pytest.raises(ValueError, match="row 1"):
        early.predict(x)


# ------------------------------------------------------------------ hooks, and data that change


def layers(activation, *sizes):
    return kd.Network([kd.Linear(*sizes[:2]), activation(), kd.Linear(*sizes[1:])], {"logits": 2})


@pytest.mark.parametrize("hook", [lambda: kd.MovingAverage(), lambda: kd.LastEpoch("teacher")])
def test_a_teacher_that_follows_has_the_students_layers(hook):
    """Weights were averaged into a network of other activations, or of another order of as many weights."""
    objective = kd.CrossEntropy() + kd.SoftTargets()
    for other in (layers(kd.Tanh, 3, 4, 3), kd.MLP(3, 2, 7, 3), kd.MLP(3, 5, 3)):
        with pytest.raises(ValueError, match="has other layers"):
            kd.fit(kd.MLP(3, 4, 3), objective, rows(), teachers=other, hooks=[hook()], **SETTINGS)
    student = kd.MLP(3, 4, 3, dropout=0.5)
    for alike in (student.copy(), kd.MLP(3, 4, 3)):  # a teacher runs without dropout anyhow
        kd.fit(student, objective, rows(), teachers=alike, hooks=[hook()], **SETTINGS)


def test_a_hook_is_called_once():
    """A moving average that was given twice moved twice a step."""
    student, hook = kd.MLP(3, 3), kd.MovingAverage()
    with pytest.raises(ValueError, match="is given twice"):
        kd.fit(student, kd.SoftTargets(), rows(), teachers=student.copy(), hooks=[hook, hook], **SETTINGS)


def test_a_route_says_what_it_could_not_keep():
    """A route of no network taught nothing, without a word."""
    route = kd.Route(1, 9)
    with pytest.warns(UserWarning, match=r"ended after epoch 2: the route has no epoch \[9\]"):
        kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(), hooks=[route], **SETTINGS)
    assert len(route.networks) == 1
    with pytest.raises(ValueError, match="at least one network"):
        kd.distill.assistant.follow(kd.MLP(3, 3), [], kd.SoftTargets(), rows(), **SETTINGS)


LATER = {
    "classes twice": (
        kd.TopTargets(),
        {"teacher.top": [0, 1], "teacher.top_logits": [0.0] * 3},
        {"teacher.top": [0, 0]},
    ),
    "yes and no": (kd.BinaryCrossEntropy(), {"labels": [1.0] * 3}, {"labels": [2.0] * 3}),
    "labels": (kd.CrossEntropy(), {}, {"y": -1}),
}


@pytest.mark.parametrize("what", LATER)
def test_data_made_anew_are_checked_in_every_epoch(what):
    """What a loss cannot see of a row was checked in the first epoch alone."""
    objective, first, later = LATER[what]
    data = rows().with_columns({name: np.array([row] * 40) for name, row in first.items()})
    net = kd.MLP(3, 3)
    kd.fit(net, objective, lambda epoch, rng: data, **SETTINGS)
    wrong = data.with_columns({name: np.array([row] * 40) for name, row in later.items()})
    with pytest.raises(ValueError, match=r"twice|\[0, 1\]|labels must lie") as error:
        kd.fit(net, objective, lambda epoch, rng: wrong if epoch else data, **SETTINGS)
    assert len(error.value.history) == 1


def test_classes_matched_by_name_are_all_of_the_teachers():
    """Of three columns under two names the third was left out, whatever it was."""
    match = kd.match_classes(["a", "b", "c"], ["b", "a"])
    np.testing.assert_array_equal(match(np.array([[1.0, 2.0, 3.0]])), [[2.0, 1.0]])
    for width in (2, 4):
        with pytest.raises(ValueError, match=f"3 classes by name, its logits have {width} columns"):
            match(np.zeros((1, width)))


# ------------------------------------------------------------------ estimators and reports


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["datetime64[D]", "timedelta64[h]"])
def test_dates_are_no_targets(kind):
    """They were numbers of days, and so were the answers."""
    from kdlearn.estimators import DistilledRegressor

    model = DistilledRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
    y = np.arange(40).astype(kind)
    with pytest.raises(ValueError, match="y holds dates or times"):
        model.fit(rows().x, y)
    pd = pytest.importorskip("pandas")
    for table in (pd.Series(y), pd.DataFrame({"a": y, "b": y})):
        with pytest.raises(ValueError, match="y holds dates or times"):
            model.fit(rows().x, table)


def test_a_report_compares_like_with_like():
    """Texts beside numbers agreed in no row, and a column of numbers was compared with every row."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    x = rows().x
    y = (x[:, 0] > 0).astype(int)
    model, texts = LogisticRegression().fit(x, y), LogisticRegression().fit(x, y.astype(str))
    for teacher, labels in (
        (model, y[:, None]),
        (texts, None),
        (model, y.astype(str)),
        (model, y.astype(str).astype(object)),
    ):
        with pytest.raises(ValueError, match=r"have shape|are texts"):
            kd.export.report(model, teacher, x, labels)
    right = float((model.predict(x) == y).mean())
    assert kd.export.report(model, model, x, y)["student"]["accuracy"] == right
    assert kd.export.report(texts, texts, x, y.astype(str).astype(object))["teacher"]["accuracy"] == right
    flat, column = LinearRegression().fit(x, x[:, 0]), LinearRegression().fit(x, 2 * x[:, :1])
    found = kd.export.report(flat, column, x, x[:, :1])
    assert found["difference"] == pytest.approx(np.abs(x[:, 0]).mean(), rel=1e-5)
    assert found["teacher"]["mae"] == pytest.approx(found["difference"])
    assert found["agreement"] is None  # which is of classes
    with pytest.raises(ValueError, match="have shape"):
        kd.export.report(flat, flat, x, x[:, :2])


# ------------------------------------------------------------------ studies, and runs that go on


@pytest.mark.parametrize(
    "values",
    [[1 + 1j, 2], [1, None], ["1", 2.0], np.ma.masked_array([1.0, 99.0], [0, 1]), np.arange(2).astype("datetime64[D]")],
    ids=repr,
)
def test_an_interval_is_of_numbers(values):
    """An imaginary part was dropped, and what lay under a mask of a table was averaged."""
    for call in (kd.study.interval, lambda v: kd.study.crossed([v, v] if isinstance(v, list) else np.ma.stack([v, v]))):
        with pytest.raises(TypeError, match=r"numbers|masked"):
            call(values)
    assert kd.study.interval([1, np.float32(2), True]).mean == pytest.approx(4 / 3)
    assert kd.study.interval(np.array([1, 2.5], object)).mean == 1.75


def test_a_run_does_not_go_on_with_other_labels(tmp_path):
    """Only their number was compared."""
    path, net = tmp_path / "c.npz", kd.MLP(3, 3)

    def stop(run):
        run.stop = run.epoch == 1

    settings = {"epochs": 3, "progress": False, "checkpoint": path}
    kd.fit(net, kd.CrossEntropy(), rows(), hooks=[stop], **settings)
    for other in (rows().with_columns({"y": (rows().y + 1) % 3}), rows().take(np.arange(40)[::-1])):
        with pytest.raises(kd.CheckpointError, match="of another run: its rows was"):
            kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), other, resume=True, **settings)
    noise = rows().with_columns({"x": rows().x * np.float32(1 + 1e-6)})  # another machine rounds otherwise
    for same in (rows(), noise):
        assert len(kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), same, resume=True, **settings)) >= 1


# ------------------------------------------------------------------ losses


def test_the_answers_kept_are_classes_each_once():
    """0.5 was class 0, -1 the last class, and what was named twice counted twice."""
    z, kept = np.random.default_rng(0).normal(size=(2, 3)), np.log([[0.5, 0.3, 0.2]] * 2)
    value, _ = kd.top_targets(z, np.array([[2, 0]] * 2), kept, T=1.0)
    p, q = np.exp(kept), kd.softmax(z)[:, [2, 0, 1]]
    assert value == pytest.approx((p * np.log(p / q)).sum(axis=1).mean())
    for wrong in ([0.0, 1.0], [0, 0], [-1, 0], [0, 3], [True, False]):
        with pytest.raises(ValueError, match=r"top must hold classes|twice"):
            kd.top_targets(z, np.array([wrong] * 2), kept, T=1.0)


@pytest.mark.parametrize("target", [-1.0, 2.0, 1.001])
def test_labels_of_yes_and_no_lie_between(target):
    with pytest.raises(ValueError, match=r"target must lie in \[0, 1\]"):
        kd.binary_cross_entropy(np.zeros((2, 3)), np.full((2, 3), target))
    assert kd.binary_cross_entropy(np.zeros((2, 3)), np.ones((2, 3), bool))[0] == pytest.approx(3 * np.log(2))


def test_weights_that_cancel_have_no_mean():
    """A sum of 0 was taken for no row at all, and the sum of the losses given for their mean."""
    z, y = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 2, 0])
    value, gradient = kd.cross_entropy(z, y, weight=np.array([1.0, -1.0, 1.0, -1.0]), normalize=True)
    assert np.isnan(value) and np.isnan(gradient).all()
    value, gradient = kd.cross_entropy(z, y, weight=np.zeros(4), normalize=True)
    assert value == 0 and not gradient.any()
    for wrong in ("no", None, 2):
        with pytest.raises(ValueError, match="normalize must be"):
            kd.cross_entropy(z, y, normalize=wrong)
    with pytest.raises(TypeError, match="number of classes"):
        kd.distill.targets.virtual_teacher(y, 3.5)


def test_probabilities_in_the_place_of_logits_are_said():
    """Their softmax is almost uniform: the student learnt next to nothing from its teacher."""
    p = kd.softmax(np.random.default_rng(1).normal(size=(40, 3)))
    for name in ("teacher.logits", "teacher.proba"):
        with pytest.warns(UserWarning, match=f"column '{name}' seems to hold probabilities"):
            kd.fit(kd.MLP(3, 3), kd.SoftTargets(teacher=name), rows().with_columns({name: p}), **SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for z in (kd.data.log_probabilities(p), np.zeros((40, 3)), p + 1):
            data = rows().with_columns({"teacher.logits": z})
            kd.fit(kd.MLP(3, 3), kd.SoftTargets(), data, **SETTINGS)
        kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows().with_columns({"teacher.proba": p}), **SETTINGS)


# ---------------------------------------------------------------- networks and steps


def test_a_network_made_of_another_s_layers_leaves_it_as_it_was(rng):
    net = kd.MLP(4, 5, 3, seed=0)
    part = kd.Network(net.layers[:2], {"logits": 1})
    x = np.ones((2, 4), "f4")
    np.testing.assert_allclose(part.logits(x), np.maximum(x @ net.layers[0].W, 0), rtol=1e-6)
    before = [layer.W.copy() for layer in (net.layers[0], net.layers[2])]
    data = kd.Data({"x": rng.standard_normal((20, 4)).astype("f4"), "y": rng.integers(3, size=20)})
    kd.fit(net, kd.CrossEntropy(), data, epochs=1, progress=False)
    assert all((old != layer.W).any() for layer, old in zip((net.layers[0], net.layers[2]), before))
    np.testing.assert_array_equal(part.layers[0].W, before[0])


def test_one_output_has_no_class_probabilities():
    with pytest.raises(ValueError, match="one output has no class probabilities"):
        kd.MLP(3, 1).predict_proba(np.zeros((2, 3), "f4"))


@pytest.mark.parametrize("make", [
    lambda: kd.LayerNorm(3, eps=-1.0), lambda: kd.LayerNorm(3, eps=np.nan),
    lambda: kd.Linear(2, 3, gain=np.nan), lambda: kd.Linear(2, 3, gain=np.inf),
])  # fmt: skip
def test_a_layer_s_settings_are_finite(make):
    with pytest.raises(ValueError, match="finite"):
        make()


@pytest.mark.parametrize("K", [2.5, 0])
def test_classes_are_counted_in_whole_numbers(K):
    with pytest.raises((TypeError, ValueError), match="K must be"):
        kd.one_hot(np.array([0, 1]), K)


@pytest.mark.parametrize("size", [-2, 0, 1.5])
def test_a_step_in_pieces_needs_a_size(size):
    batch = {"x": np.ones((4, 3), "f4"), "y": np.array([0, 1, 0, 1])}
    with pytest.raises((TypeError, ValueError), match="micro_batch must be"):
        kd.train_step(kd.MLP(3, 2), None, kd.CrossEntropy(), batch, optimizer=kd.Adam(), micro_batch=size)
