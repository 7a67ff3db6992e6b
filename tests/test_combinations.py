"""Odd calls and pairs of settings that gave a number, and not the right one, or words that helped nobody."""

from __future__ import annotations

import functools
import itertools
import warnings

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.distill import diffusion, ensemble, privacy, robust, sequence, temperature
from kdlearn.estimators import DistilledClassifier, DistilledRegressor

SETTINGS = {"epochs": 4, "batch_size": 10, "progress": False}
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(40, 3)), np.arange(40) % 3


def rows(**more):
    return kd.Data({"x": X, "y": Y, "past.logits": np.cos(np.arange(120.0)).reshape(40, 3), **more})


# ------------------------------------------------------------------ functions


def test_holm_reads_a_series_by_position():
    """A Series that was sorted or cut gave the p-value at the index for that at the place."""
    pd = pytest.importorskip("pandas")
    p = [0.03, 0.01, 0.2]

    def by_hand(p):
        order, made, so_far = sorted(range(len(p)), key=p.__getitem__), [0.0] * len(p), 0.0
        for rank, i in enumerate(order):
            so_far = max(so_far, min(1.0, (len(p) - rank) * p[i]))
            made[i] = so_far
        return made

    assert kd.study.holm(pd.Series(p, index=[2, 0, 1])) == pytest.approx(by_hand(p))
    assert kd.study.holm(iter(p)) == kd.study.holm(np.array(p)) == pytest.approx(by_hand(p))
    for wrong, message in (({"a": 0.1}, "of a mapping give"), ("0.1", "of a mapping"), ([["0.1"]], "is of numbers")):
        with pytest.raises(TypeError, match=message):
            kd.study.holm(wrong)
    with pytest.raises(TypeError, match=r"an interval is of numbers, got \['a', 'b', 'c'\]$"):
        kd.study.interval(list("abcd"))
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        kd.study.holm(np.array([[0.1, 0.2]]))


def test_a_table_of_differences_is_named():
    pd = pytest.importorskip("pandas")
    found = {name: kd.study.interval([m, m + 1, m + 0.5]) for name, m in (("a", 1.0), ("b", -2.0))}
    right = kd.study.judge(found, {"a": 0.1, "b": 0.2})
    assert kd.study.judge(found, pd.Series({"b": 0.2, "a": 0.1})) == right
    assert kd.study.judge(pd.Series(found), 0.1) == kd.study.judge(found, 0.1)
    with pytest.raises(TypeError, match="found must be a mapping by the names"):
        kd.study.judge(list(found.values()))
    with pytest.raises(ValueError, match="zone has no number for 'b'; it has some for a"):
        kd.study.judge(found, {"a": 0.1})
    with pytest.raises(TypeError, match=r"one number a seed, got 3\.0 alone"):
        kd.study.interval(3.0)
    comparison = kd.study.Comparison({"base": {"loss": np.ones(3)}, "m": {"loss": np.zeros(3)}}, "base")
    for call in (comparison.mean, comparison.difference, lambda *a: comparison.difference("base", "loss", a[0])):
        with pytest.raises(KeyError, match="there is no method 'nope'; there are: base, m"):
            call("nope", "loss")
    with pytest.raises(KeyError, match="there is no metric 'acc'; there are: loss"):
        comparison.mean("m", "acc")
    assert kd.study.choose(comparison, {"m": "base"}, "loss") == {"m": "base"}


def test_whole_gradients_are_weighed_by_fractions():
    """The weights were cut to the gradients' whole numbers: 0 and 0."""
    np.testing.assert_allclose(ensemble.min_norm_weights(np.array([1, 0]), np.array([0, 1])), [0.5, 0.5])
    g = np.array([[3, 1], [1, 2]])  # w = (g2 - g1)·g2 / |g1 - g2|² = 0/5
    np.testing.assert_allclose(ensemble.min_norm_weights(*g), [0.0, 1.0], atol=1e-12)
    with pytest.raises(TypeError, match="a team has at least one teacher"):
        ensemble.mean_of_logits()


def test_an_angle_is_one_number_or_a_column():
    """(N,) was broadcast along the columns wherever there are as many columns as rows."""
    x, e = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    angle = np.array([0.0, 0.5, 1.0])
    z, v = diffusion.noised(x, e, angle[:, None])
    for n in range(3):
        np.testing.assert_allclose(z[n], np.cos(angle[n]) * x[n] + np.sin(angle[n]) * e[n])
        np.testing.assert_allclose(v[n], np.cos(angle[n]) * e[n] - np.sin(angle[n]) * x[n])
    for call in (lambda: diffusion.noised(x, e, angle), lambda: diffusion.ddim(lambda z, a: z, x, angle, 0.1)):
        with pytest.raises(ValueError, match=r"angle must be one number or \(3, 1\), one a row, got shape \(3,\)"):
            call()
    with pytest.raises(ValueError, match="each row has noise of its own"):
        diffusion.noised(x, e[:1], 0.3)
    with pytest.raises(ValueError, match="step must be a positive"):
        diffusion.ddim(lambda z, a: z, x, 0.3, 0.0)


def test_advantages_ask_for_sequences_of_their_length():
    """Where the length divides the rows, those of two sequences were added up as one."""
    student, teacher = (sequence.character_model(3, 2, 3, 4, dtype="float64", seed=s) for s in (0, 1))
    written = sequence.enumerated(student, np.array([[0, 1]]), 2)
    cost = (sequence.log_probabilities(student, written) - sequence.log_probabilities(teacher, written)).reshape(-1, 2)
    right = np.stack([-cost.sum(axis=1), -cost[:, 1]], axis=1).reshape(-1)
    found = sequence.advantages(student, teacher, written, 2, single_step=False, baseline=False)
    np.testing.assert_allclose(found, right)
    for length in (3, 6, 9):
        with pytest.raises(ValueError, match=f"no windows of sequences of {length} tokens"):
            sequence.advantages(student, teacher, written, length)
    with pytest.raises(ValueError, match="a symbol is there twice"):
        sequence.encode("abca", "abca")
    with pytest.raises(TypeError, match="take its members one by one"):
        sequence.perplexity(kd.Stack([student, teacher]), written)
    with pytest.raises(ValueError, match="tokens must be an array"):
        sequence.windows([0, 1, 2], 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda seed: sequence.sample(sequence.character_model(3, 2, 3), np.array([[0, 1]]), 2, seed),
        lambda seed: privacy.noisy_winners(np.array([[3, 2]]), 1.0, seed),
        lambda seed: next(rows().batches(5, seed)),
    ],
)
def test_a_seed_is_no_generator(call):
    with pytest.raises(TypeError, match="rng must be a NumPy Generator"):
        call(0)
    call(np.random.default_rng(0))


def test_rows_are_those_of_whole_members():
    z, y = np.zeros((5, 3)), np.zeros(5, int)
    with pytest.raises(ValueError, match="5 rows are not those of 2 members"):
        kd.cross_entropy(z, y, members=2)
    with pytest.raises(ValueError, match="members must be at least 1"):
        kd.cross_entropy(z, y, members=0)
    stack = kd.Stack([kd.MLP(3, 3), kd.MLP(3, 3, seed=1)])
    with pytest.raises(ValueError, match="5 rows are not those of 2 members"):
        robust.pgd(stack, X[:5], Y[:5], 0.1)
    with pytest.raises(TypeError, match="a stack has no one answer to export"):
        kd.export.to_c(stack, "never_written.c")
    assert privacy.gaussian_sigma(1.0, 1e-5, np.int64(4)) == 2 * privacy.gaussian_sigma(1.0, 1e-5)
    with pytest.raises(ValueError, match="a whole number"):
        privacy.gaussian_sigma(1.0, 1e-5, 2.5)


# ------------------------------------------------------------------ data


@pytest.mark.parametrize("one", [(i for i in range(40)), map(int, "123"), 5.0, None, "abc", {1, 2}])
def test_what_has_no_rows_is_no_column(one):
    """Data of 0 rows was made of it, without a word."""
    with pytest.raises(TypeError, match="column 'y' must be an array or a list with one entry a row"):
        kd.Data({"y": one})
    assert len(kd.Data({"y": range(3)})) == 3
    assert kd.Data({"y": range(5)}).take((1, 3)).y.tolist() == [1, 3]


@pytest.mark.parametrize("scale", ["feature", "global"])
def test_features_too_large_to_square_are_refused(scale):
    """They became 0, all of them."""
    with pytest.raises(ValueError, match="varies by more than float64 can square"):
        kd.data.split(X * 1e200, Y, 5, 5, scale=scale)
    assert np.abs(kd.data.split(X * 1e100, Y, 5, 5, scale=scale).train.x).max() > 1


def test_the_rest_is_read_at_the_temperature_it_was_summed_up_at():
    net = kd.MLP(3, 4, 3, seed=1)
    kept = rows().with_soft_labels(net, top=2, T=3.0)
    with pytest.raises(ValueError, match=r"made at T = 3, .* has T = 2"):
        kd.fit(kd.MLP(3, 3), kd.TopTargets(T=2), kept, **SETTINGS)
    stack = kd.Stack([kd.MLP(3, 3), kd.MLP(3, 3, seed=1)])
    for student, data in ((kd.MLP(3, 3), kept), (stack, [kept, kept])):
        kd.fit(student, kd.TopTargets(T=3), data, **SETTINGS)


def test_a_column_for_a_network_that_is_not_there_is_named():
    """`studnt.x` stood beside `x`, and the student read `x`."""
    with pytest.warns(UserWarning, match=r"no network reads the column 'studnt\.x'.*is 'student\.x' meant"):
        kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(**{"studnt.x": X + 1}), **SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # columns of other networks may stand there
        for name in ("student2.x", "pair.x", "student.x"):
            kd.fit(kd.MLP(3, 3), kd.CrossEntropy(), rows(**{name: X + 1}), **SETTINGS)


# ------------------------------------------------------------------ a run that goes on


class Stop(Exception):
    pass


def stop(run):
    if run.epoch == 2:
        raise Stop


def net():
    return kd.MLP(3, 4, 3, dtype="float64")


WEIGHT, SCHEDULED = kd.CrossEntropy(), temperature.ScheduledTemperature
PAST = {"teacher": "past.logits"}


def scaled(k):
    return kd.Given("g", functools.partial(lambda z, k: z * k, k=k), ("past.logits",), kd.SoftTargets(2, teacher="g"))


OTHERS = {
    "steps": ({"schedule": kd.steps(0.5)}, {"schedule": kd.steps(0.25)}),
    "warm-up": ({"schedule": kd.warmup(0.1)}, {"schedule": kd.warmup(0.2)}),
    "a lambda": ({"schedule": lambda t: 1 - t / 2}, {"schedule": lambda t: 1 - t / 3}),
    "patience": ({"hooks": [kd.EarlyStopping(patience=3)]}, {"hooks": [kd.EarlyStopping(patience=1)]}),
    "monitor": ({"hooks": [kd.EarlyStopping()]}, {"hooks": [kd.EarlyStopping("accuracy")]}),
    "epochs to keep": ({"hooks": [kd.Route(1, 3)]}, {"hooks": [kd.Route(1, 4)]}),
    "features": ({"data": rows()}, {"data": rows(x=X + 1)}),
    "soft labels": ({"data": rows()}, {"data": rows(**{"past.logits": np.sin(np.arange(120.0)).reshape(40, 3)})}),
    "a weight": ({"objective": WEIGHT * (lambda t: 1.0)}, {"objective": WEIGHT * (lambda t: t)}),
    "a temperature": (
        {"objective": SCHEDULED(lambda t: 2 + t, **PAST)},
        {"objective": SCHEDULED(lambda t: 3 + t, **PAST)},
    ),
    "a given function": ({"objective": scaled(1.0)}, {"objective": scaled(2.0)}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_goes_on_with_what_it_began_with(tmp_path, name):
    """It went on, without a word, with another schedule, other hooks, other numbers in the rows."""
    first, other = OTHERS[name]
    path = tmp_path / "run.npz"

    def fit(changed, hooks=(), **more):
        given = {"objective": kd.CrossEntropy(), "data": rows(), "validation": rows(), **changed}
        given["hooks"] = [*given.pop("hooks", ()), *hooks]
        student = net()
        kd.fit(student, given.pop("objective"), given.pop("data"), **given, **SETTINGS, **more)
        return student

    whole = fit(first)
    with pytest.raises(Stop):
        fit(first, [stop], checkpoint=path)
    with pytest.raises(kd.CheckpointError, match="is of another run"):
        fit(other, checkpoint=path, resume=True)
    np.testing.assert_array_equal(fit(first, checkpoint=path, resume=True).theta, whole.theta)


def test_the_last_bits_of_the_rows_are_no_other_rows(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        kd.fit(net(), kd.CrossEntropy(), rows(), hooks=[stop], checkpoint=path, **SETTINGS)
    kd.fit(net(), kd.CrossEntropy(), rows(x=X * (1 + 1e-7)), checkpoint=path, resume=True, **SETTINGS)


def test_hooks_without_a_state_may_stand_between_the_others(tmp_path):
    """The state was looked for at the hook's old place in the list."""
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        kd.fit(
            net(), kd.CrossEntropy(), rows(), validation=rows(), checkpoint=path, **SETTINGS,
            hooks=[stop, kd.EarlyStopping(patience=9)],
        )  # fmt: skip
    stopper = kd.EarlyStopping(patience=9)
    kd.fit(
        net(), kd.CrossEntropy(), rows(), validation=rows(), checkpoint=path, resume=True, hooks=[stopper], **SETTINGS
    )
    assert stopper.best_epoch[0] >= 1


def test_hooks_are_a_list():
    """A generator was empty by the time of the first epoch: its hooks were never called."""
    seen = []
    kd.fit(net(), kd.CrossEntropy(), rows(), hooks=(h for h in [lambda run: seen.append(run.epoch)]), **SETTINGS)
    assert seen == [1, 2, 3, 4]
    for hook in (kd.Route(1), stop):
        with pytest.raises(TypeError, match=r"hooks must be a list, got \w+; write hooks=\[…\]"):
            kd.fit(net(), kd.CrossEntropy(), rows(), hooks=hook, **SETTINGS)


def test_a_step_of_ones_own_is_told_of_the_progress():
    objective = kd.CrossEntropy() * (lambda t: 1 - t)
    with pytest.raises(kd.UnknownSiteError, match=r"'progress'; .*give the batch one, a number in"):
        kd.train_step(net(), None, objective, rows().columns, optimizer=kd.SGD(0.1))
    kd.gradcheck.check_step(net(), objective, {**rows().columns, "progress": 0.25})
    with pytest.raises(TypeError, match=r"kd\.Data is no mapping: data\.columns is one"):
        kd.train_step(net(), None, kd.CrossEntropy(), rows(), optimizer=kd.SGD(0.1))
    history = kd.fit(net(), kd.CrossEntropy(), rows(), **SETTINGS)
    with pytest.raises(KeyError, match="has the parts 'train' and 'validation', not 'val'"):
        history["loss", "val"]


# ------------------------------------------------------------------ estimators

QUICK = {"hidden_layer_sizes": (4,), "random_state": 0, "alpha": 0.1, "batch_size": 40}


def test_partial_fit_weighs_classes_as_rows():
    """The scale of the first call did not see class_weight; "balanced" hung on how the rows were cut into calls."""
    weights = {0: 1.0, 1: 2.0, 2: 5.0}
    by_class = DistilledClassifier(class_weight=weights, **QUICK).partial_fit(X, Y, classes=[0, 1, 2])
    by_row = DistilledClassifier(**QUICK).partial_fit(
        X, Y, classes=[0, 1, 2], sample_weight=np.array(list(weights.values()))[Y]
    )
    np.testing.assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    with pytest.raises(ValueError, match="partial_fit does not see all rows"):
        DistilledClassifier(class_weight="balanced", **QUICK).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="class_weight names"):
        DistilledClassifier(class_weight={7: 1.0}, **QUICK).partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize(
    "settings", [{"soft_weight": 0.5}, {"temperature": 2.0}, {"augment": 100}, {"soft_weight": 0.5, "augment": True}]
)
def test_settings_of_a_teacher_without_one_are_named(settings):
    for kind, y in ((DistilledClassifier, Y), (DistilledRegressor, X[:, 0])):
        if kind is DistilledRegressor and "temperature" in settings:
            continue
        with pytest.warns(UserWarning, match=f"there is no teacher, and {' and '.join(settings)} ha"):
            kind(max_iter=2, **QUICK, **settings).fit(X, y)


def test_labels_alone_are_no_surprise():
    for settings in ({}, {"soft_weight": 0.0}, {"augment": False}):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            DistilledClassifier(max_iter=2, **QUICK, **settings).fit(X, Y)
        assert not [w for w in said if "no teacher" in str(w.message)]


def test_settings_together_do_to_a_stack_what_they_do_to_one():
    choices = {
        "objective": [
            lambda: kd.CrossEntropy(ignore=-1),
            lambda: kd.CrossEntropy(ignore=-1) + kd.SoftTargets(2, **PAST) * "w",
        ],
        "optimizer": [lambda: kd.AdamW(0.02, weight_decay=0.3, max_norm=0.8), lambda: kd.Adam(0.02, clip_norm=0.3)],
        "schedule": [lambda: kd.warmup(0.2), lambda: None],
        "drop_last": [lambda: True, lambda: False],
    }
    data = rows(y=np.where(Y == 1, -1, Y), w=np.linspace(0, 2, 40))
    for made in itertools.product(*choices.values()):
        given = dict(zip(choices, made))
        stack = kd.Stack([kd.MLP(3, 4, 3, dropout=0.2, seed=s, dtype="float64") for s in range(2)])
        alone = stack[1]
        settings = {**SETTINGS, "batch_size": 12}
        for student, seed in ((stack, [3, 7]), (alone, 7)):
            now = {name: make() for name, make in given.items()}
            kd.fit(student, now.pop("objective"), data, seed=seed, **now, **settings)
        np.testing.assert_allclose(stack[1].theta, alone.theta, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------ what the training loop tells


def test_a_run_goes_on_with_its_step(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        kd.fit(net(), kd.CrossEntropy(), rows(), hooks=[stop], checkpoint=path, **SETTINGS)
    again = functools.partial(kd.fit, net(), kd.CrossEntropy(), rows(), checkpoint=path, resume=True, **SETTINGS)
    with pytest.raises(kd.CheckpointError, match="its step was 'train_step'"):
        again(step=kd.distill.mutual.alternating_step)
    again(micro_batch=5)


def test_what_is_no_network_is_told_by_its_kind():
    forest = pytest.importorskip("sklearn.ensemble").RandomForestClassifier(3).fit(X, Y)
    with pytest.raises(TypeError, match=r"got RandomForestClassifier; its answers become a column with"):
        kd.fit(net(), kd.SoftTargets(), rows(), teachers=forest, **SETTINGS)
    with pytest.raises(TypeError, match=r"give a network, or networks by their names, \{'student': …\}; got list"):
        kd.fit([net()], kd.CrossEntropy(), rows(), **SETTINGS)
    for activation in ("relu", kd.ReLU()):
        with pytest.raises(TypeError, match="activation is the class of a layer"):
            kd.MLP(3, 4, 3, activation=activation)
    with pytest.raises(ValueError, match="nesterov looks ahead along the momentum"):
        kd.SGD(0.1, nesterov=True)
    with pytest.raises(TypeError, match="a stack has members by their number"):
        kd.Stack([net(), net()])[0:1]


def test_names_that_no_arm_has_are_refused():
    arms = {"a": (lambda seeds, part, rate: {"accuracy": [rate] * len(seeds)}, {"rate": [0.1, 0.2]})}
    quiet = {"jobs": 1, "progress": False}
    for given in ({"limits": {"rat": (0, 1)}}, {"steps": {"rat": 2.0}, "search": 1}):
        with pytest.raises(ValueError, match="no arm has a setting 'rat'; is 'rate' meant"):
            kd.study.trial(arms, "a", 2, **given, **quiet)
    for name in ("Rate", "RATE", "rate "):
        with pytest.raises(ValueError, match=f"no arm has a setting '{name}'; is 'rate' meant"):
            kd.study.trial(arms, "a", 2, limits={name: (0, 1)}, **quiet)
    kd.study.trial(arms, "a", 2, limits={"epochs": (1, 9)}, **quiet)  # of another trial with these limits
