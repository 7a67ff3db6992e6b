"""Odd inputs get the right number or an error, never a wrong number without a word."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from scipy.special import log_softmax

import kdlearn as kd


def rows(n=50, **columns):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return kd.Data({"x": x, "y": (x[:, 0] > 0).astype(int), "w": rng.uniform(0.1, 3, n), **columns})


# ------------------------------------------------------------------ means

NORMALIZED = kd.Term(functools.partial(kd.cross_entropy, normalize=True), ("student.logits",), ("y",), "w")


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 50])
@pytest.mark.parametrize("ignore", [None, 1])
def test_a_weighted_mean_is_that_of_all_rows_whatever_the_batches(ignore, batch_size, stack):
    """Each batch was divided by its own sum of weights, and the batches then counted by their rows."""
    loss = functools.partial(kd.cross_entropy, normalize=True, ignore=ignore)
    objective = 0.5 * kd.Term(loss, ("student.logits",), ("y",), "w") + kd.CrossEntropy()
    data, net = rows(), kd.MLP(3, 5, 2, seed=0)
    found = kd.evaluate(kd.Stack([net, net]) if stack else net, objective, data, batch_size=batch_size)["loss"]
    losses = -log_softmax(net.logits(data.x).astype(float), axis=1)[np.arange(50), data.y]
    w = data["w"] * (data.y != ignore)
    want = 0.5 * (w * losses).sum() / w.sum() + losses.mean()
    np.testing.assert_allclose(found, [want, want] if stack else want, rtol=1e-6)


def test_a_weighted_mean_is_not_taken_in_pieces():
    net = kd.MLP(3, 5, 2, seed=0)
    with pytest.raises(ValueError, match="divides by the sum of its weights"):
        kd.fit(net, NORMALIZED, rows(), epochs=1, micro_batch=7, progress=False)
    whole, pieces = net.copy(), net.copy()
    batch = {name: rows()[name] for name in "xyw"}  # columns, without an index
    for one, micro in ((whole, None), (pieces, 7)):
        kd.train_step(one, None, kd.CrossEntropy() * "w", batch, optimizer=kd.SGD(1.0), micro_batch=micro)
    np.testing.assert_allclose(pieces.theta, whole.theta, atol=1e-6)


def test_a_mean_in_which_no_row_counts_is_said():
    """The loss of no row was 0, as if all were learnt."""
    none, net = np.full(50, -1), kd.MLP(3, 5, 2, seed=0)
    data, settings = rows(none=none, w0=np.zeros(50)), {"epochs": 1, "progress": False}
    labels = kd.CrossEntropy(labels="none", ignore=-1)
    nothing = {"labels": labels, "normalized": NORMALIZED, "weights": kd.CrossEntropy() * "w0"}
    for objective in (labels, labels + kd.CrossEntropy() * "w0"):
        with pytest.raises(ValueError, match=r"no row of the data counts, in cross_entropy\(student.logits, none\)"):
            kd.fit(net, objective, data, **settings)
    for name, objective in nothing.items():
        with pytest.raises(ValueError, match="no row of the data counts"):
            kd.fit(net, objective, data.with_columns({"w": 0 * data["w"]}), **settings)
        value, gradient = kd.cross_entropy(
            net.logits(data.x), data.y, weight=np.zeros(50), normalize=name == "normalized"
        )
        assert value == 0 and not gradient.any()  # of one batch, which may hold none
    soft = labels + kd.SoftTargets()
    taught = {"teachers": kd.MLP(3, 2, seed=1), **settings}
    with pytest.warns(UserWarning, match="it is 0 in every step"):
        history = kd.fit(net, soft, data, validation=data, **taught)
    assert history["cross_entropy"] == [0] and history["soft_targets"][0] > 0
    assert np.isnan(history["cross_entropy", "validation"]).all() and np.isnan(history["loss", "validation"]).all()
    found = kd.evaluate(net, soft, data, teachers=taught["teachers"], batch_size=7)
    assert np.isnan(found["loss"]) and found["soft_targets(student.logits, teacher.logits)"] > 0
    some = data.with_columns({"none": np.where(np.arange(50) == 40, 1, -1)})  # batches of none, and one of one
    one = some.take([40])
    assert kd.evaluate(net, labels, some, batch_size=7)["loss"] == pytest.approx(kd.evaluate(net, labels, one)["loss"])
    kd.fit(net, labels, some, batch_size=7, **settings)
    nets = kd.Stack([kd.MLP(3, 2, seed=seed) for seed in (0, 1)])
    with pytest.raises(ValueError, match="no row of the data counts"):  # one member alone has none
        kd.fit(nets, labels, [some, data], **settings)
    per_member = kd.evaluate(nets, labels, [some, data])["loss"]
    assert np.isfinite(per_member[0]) and np.isnan(per_member[1])


# ------------------------------------------------------------------ measures


@pytest.mark.parametrize("row", [[np.inf, 0, 1], [np.inf, np.inf, 0], [-np.inf] * 3, [np.nan, 0, 1]])
def test_a_row_without_probabilities_makes_every_measure_nan(row):
    """With infinite logits the calibration error complained of a 'list', and the accuracy was a number."""
    z, y, m = np.array([[2.0, 0, 1], row]), np.array([0, 0]), kd.metrics
    with np.errstate(invalid="ignore"):
        for found in (
            m.accuracy(z, y),
            m.agreement(z, z),
            m.calibration_error(z, y),
            m.negative_log_likelihood(z, y),
            m.entropy(z),
        ):
            assert np.isnan(found)
    masked = np.array([[2.0, 0, -np.inf]])  # a class that is masked is no fault
    assert m.accuracy(masked, y[:1]) == 1 and m.calibration_error(masked, y[:1]) < 1


def test_a_network_that_overflows_has_no_most_probable_class():
    net = kd.MLP(2, 3, seed=0)
    net.layers[0].W[...] = np.abs(net.layers[0].W) + 1
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="NaN or infinite"):
        net.predict(np.full((1, 2), 3e38, np.float32))
    assert net.predict(np.ones((1, 2), np.float32)).shape == (1,)


# ------------------------------------------------------------------ arrays of other classes

MASK = np.array([[True, False, False], [False, False, False]])
Z, Y, H = np.array([[1.0, 2, 0], [0, 1, 3]]), np.array([0, 2]), np.array([[1.0, 2, 0.5], [0.3, 1, 3]])
TAKES_ARRAYS = {
    "loss over rows": lambda z: kd.squared_error(z, H),
    "teacher": lambda z: kd.soft_targets(H, z),
    "loss across rows": lambda z: kd.similarity_preserving(z, H),
    "softmax": kd.softmax,
    "log softmax": kd.log_softmax,
    "measure": lambda z: kd.metrics.negative_log_likelihood(z, Y),
    "network": lambda z: kd.MLP(3, 4, 2, seed=0, dtype="float64").logits(z),
    "log of probabilities": lambda z: kd.data.log_probabilities(z),
    "split": lambda z: kd.data.split(z, Y, 0, 1).train.x,
}


@pytest.mark.parametrize("what", TAKES_ARRAYS)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore:divide by zero")
def test_a_mask_is_not_overlooked_and_a_matrix_is_its_array(what):
    """What lies under a mask was computed with, or the mean was over the others; a matrix multiplied otherwise."""
    call = TAKES_ARRAYS[what]
    with pytest.raises(TypeError, match="masked entries"):
        call(np.ma.masked_array(Z, MASK))
    want = call(Z)
    for same in (np.ma.masked_array(Z), np.matrix(Z)):
        np.testing.assert_array_equal(np.ravel(call(same)[0]), np.ravel(want[0])) if isinstance(want, tuple) else None
        if not isinstance(want, tuple):
            np.testing.assert_array_equal(call(same), want)


def test_labels_under_a_mask_are_not_read():
    with pytest.raises(TypeError, match="y: it has masked entries"):
        kd.cross_entropy(Z, np.ma.masked_array(Y, [True, False]))


RELATIONS = [
    kd.similarity_preserving,
    kd.probabilistic_transfer,
    kd.relational_distance,
    kd.relational_angle,
    kd.correlation_congruence,
    kd.linear_cka,
]


@pytest.mark.parametrize("loss", RELATIONS, ids=lambda f: f.__name__)
def test_no_rows_have_no_relation(loss):
    """The loss of an empty batch was 0, as if student and teacher agreed."""
    with pytest.raises(ValueError, match="at least one of each"):
        loss(np.zeros((0, 3)), np.zeros((0, 3)))
    assert loss(np.ones((1, 3)), np.ones((1, 2)))[0] == 0  # one row alone relates to nothing


# ------------------------------------------------------------------ data


@pytest.mark.parametrize("scale", ["feature", "global"])
@pytest.mark.parametrize("constant", [0.1, 1 / 3, 123456.789, 1e9 + 0.1, -1e-9])
def test_a_constant_feature_becomes_zero(constant, scale):
    """Its deviation was the rounding of its mean, and 0.1 became -54 millions."""
    x = np.full((100, 2), constant)
    if scale == "feature":
        x[:, 1] = np.random.default_rng(0).normal(size=100)
    for part in kd.data.split(x, np.arange(100) % 2, 20, 30, scale=scale):
        assert (part.x[:, 0] == 0).all()


@pytest.mark.parametrize("offset", [0, 1e3, 1e9])
@pytest.mark.parametrize("unit", [1e-50, 1e-30, 1.0, 1e30])
def test_standardised_features_have_mean_zero_wherever_they_lie(offset, unit):
    """A mean of 1e9 in float32 is off by 32."""
    x = (np.random.default_rng(0).normal(size=(400, 2)) + offset) * unit
    train, _, test = kd.data.split(x, np.arange(400) % 2, 0, 100)
    for part in (train, test):
        own = x[part["row"]]
        want = (own - x[train["row"]].mean(axis=0)) / x[train["row"]].std(axis=0)
        np.testing.assert_allclose(part.x, want, atol=3e-6 * max(1, offset / 1e3) if offset < 1e9 else 1e-5)


def with_cell(shape, at, value, dtype=float):
    """Zeros, and this value in one place."""
    x = np.zeros(shape, dtype)
    x[at] = value
    return x


@pytest.mark.parametrize("scale", ["feature", "global"])
def test_a_cell_that_is_no_number_is_said_before_it_spreads(scale):
    """One NaN became its whole column, in all three parts, and with one mean for all every number."""
    for seed in range(3):  # whichever part it falls into
        with pytest.raises(ValueError, match="row 17, column 3, counted from 0"):
            kd.data.split(with_cell((40, 5), (17, 3), np.nan), np.arange(40) % 2, 10, 10, seed=seed, scale=scale)


def test_a_deviation_that_underflows_is_said():
    x = np.random.default_rng(0).normal(size=(40, 1)) * 1e-200
    with pytest.raises(ValueError, match="another unit"):
        kd.data.split(x, np.arange(40) % 2, 5, 5)


def test_rows_and_labels_of_pandas_stay_together():
    """By their index the labels were those of other rows: a quarter was right."""
    pd = pytest.importorskip("pandas")
    x, y = np.arange(40.0)[:, None], np.arange(40) % 3
    for table, labels in (
        (x, pd.Series(y, index=np.arange(40)[::-1])),
        (pd.DataFrame(x), pd.Series(y, index=2 * np.arange(40))),
        (x.tolist(), y.tolist()),
    ):
        for part in kd.data.split(table, labels, 10, 10):
            np.testing.assert_array_equal(part.y, y[part["row"]])


@pytest.mark.parametrize(
    "x, y, sizes, message",
    [
        (np.zeros((9, 1)), np.zeros(10, int), (2, 2), "one label a row"),
        (np.zeros((9, 1)), np.zeros((9, 1), int), (2, 2), "one label a row"),
        (np.zeros((9, 1)), np.full(9, 0.5), (2, 2), "integer class labels"),
        (np.zeros((9, 1)), np.full(9, np.nan), (2, 2), "integer class labels"),
        (np.zeros((9, 1)), np.array(["a"] * 9), (2, 2), "integer class labels"),
        (np.zeros((9, 1)) + 1j, np.zeros(9, int), (2, 2), "real numbers"),
        (with_cell((9, 3), (4, 1), np.nan), np.zeros(9, int), (2, 2), "x is nan in row 4, column 1, counted from 0; "),
        (with_cell((9, 3), (0, 2), -np.inf), np.zeros(9, int), (2, 2), "x is -inf in row 0, column 2,.* fill or drop"),
        (with_cell((9, 2, 2), (8, 0, 1), np.inf), np.zeros(9, int), (2, 2), "x is inf in row 8, column 0, 1, counted"),
        (with_cell((9, 3), (4, 1), None, object), np.zeros(9, int), (2, 2), "x is nan in row 4, column 1"),
        (np.zeros((9, 1)), np.zeros(9, int), (-1, 2), "validation must be a number of rows"),
        (np.zeros((9, 1)), np.zeros(9, int), (2, 2.0), "test must be a number of rows"),
        (np.zeros((9, 1)), np.zeros(9, int), (2, True), "test must be a number of rows"),
    ],
)
def test_what_cannot_be_split_is_refused(x, y, sizes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kd.data.split(x, y, *sizes)
    assert kd.data.split(np.zeros((9, 1)), np.ones(9), 2, 2).train.y.dtype == np.int64  # whole numbers as floats


@pytest.mark.parametrize("rows_", [None, 5, [[1, 2]], np.array(3)])
def test_rows_are_taken_by_a_list_a_mask_or_a_slice(rows_):
    """None took one row of all."""
    with pytest.raises(ValueError, match="a slice, a mask or a list"):
        rows().take(rows_)
    assert len(rows().take([0, 2])) == 2 and len(rows().take(rows().y == 1)) == rows().y.sum()


def test_spirals_are_drawn_with_a_noise_that_is_one():
    for wrong in ({"noise": -0.1}, {"noise": np.nan}, {"arms": 0}):
        with pytest.raises(ValueError, match="must be"):
            kd.data.spirals(**wrong)


def test_a_folder_that_does_not_hold_the_data_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("KDLEARN_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *_, **__: 1 / 0)
    with pytest.raises(kd.DataUnavailable, match=r"there is no .*mine.mnist\.npz and no .*cache"):
        kd.data.mnist()


def test_a_teacher_whose_answers_are_no_probabilities_is_refused():
    class Votes:
        classes_ = np.arange(2)

        def predict_proba(self, x):
            return np.full((len(x), 2), 0.6)

    with pytest.raises(ValueError, match=r"rows that sum to 1, row 0 sums to 1\.2"):
        kd.soft_labels(Votes(), np.zeros((3, 2)))
    np.testing.assert_array_equal(kd.data.log_probabilities(np.array([[0, 1]])), [[-np.inf, 0]])


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize("wrong", [lambda: kd.steps(50, 75), lambda: kd.steps(-0.1), lambda: kd.steps(0.5, factor=-1)])
def test_steps_are_fractions_of_the_training(wrong):
    """Numbers of epochs made a rate that never fell."""
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]|at least 0"):
        wrong()


def test_a_tolerance_that_is_none_lets_nothing_pass():
    z = np.random.default_rng(0).normal(size=(2, 3))
    for tolerance in (np.nan, 0, -1):
        with pytest.raises(ValueError, match="tolerance must be"):
            kd.gradcheck.check_loss(lambda z: ((z**2).sum() / 2, 2 * z), z, tolerance=tolerance)


def test_labels_as_logits_need_a_precision_with_infinity():
    with pytest.raises(TypeError, match="floats"):
        kd.label_logits(np.array([0, 1]), 2, "int8")


# ------------------------------------------------------------------ what nobody reads


def test_a_teacher_that_no_term_reads_is_said():
    """The forgotten term was silent: the student learnt from the labels alone."""
    student, teacher = kd.MLP(3, 2), kd.MLP(3, 2, seed=1)
    settings = {"epochs": 1, "progress": False}
    with pytest.warns(UserWarning, match="no term of the objective reads the teacher 'teacher'"):
        kd.fit(student, kd.CrossEntropy(), rows(), teachers=teacher, **settings)
    with pytest.warns(UserWarning, match="'b'") as said:
        kd.fit(student, kd.SoftTargets(teacher="a.logits"), rows(), teachers={"a": teacher, "b": teacher}, **settings)
    assert len(said) == 1 and said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kd.fit(student, kd.SoftTargets(), rows(), teachers=teacher, **settings)
        average = student.copy()  # nobody learns from it: it is what is wanted
        kd.fit(student, kd.CrossEntropy(), rows(), teachers=average, hooks=[kd.MovingAverage()], **settings)
        kd.distill.assistant.assistants([kd.MLP(3, 2), kd.MLP(3, 2)], kd.SoftTargets(), rows(), teacher, **settings)
        kd.evaluate(student, kd.CrossEntropy(), rows(), teachers=teacher)


def test_a_student_that_no_term_reads_is_refused():
    """Its gradient was zero, and the optimiser's decay moved it all the same."""
    peers = {"a": kd.MLP(3, 2), "b": kd.MLP(3, 2, seed=1)}
    before = [net.theta.copy() for net in peers.values()]
    for objective in (
        kd.CrossEntropy("a.logits"),
        kd.CrossEntropy("a.logits") + kd.SoftTargets(2, "a.logits", "b.logits"),
    ):
        with pytest.raises(ValueError, match="no term of the objective reads the student 'b'"):
            kd.fit(peers, objective, rows(), epochs=1, optimizer=kd.AdamW(0.1), progress=False)
    for net, theta in zip(peers.values(), before):
        np.testing.assert_array_equal(net.theta, theta)
    assert set(kd.evaluate(peers, kd.CrossEntropy("a.logits"), rows())) >= {"a.accuracy", "b.accuracy"}
    twice = {"a": peers["a"], "b": peers["a"]}  # one network by two names learns by either
    kd.fit(twice, kd.CrossEntropy("a.logits"), rows(), epochs=1, progress=False)


def test_a_computed_site_that_nobody_reads_is_refused():
    """A misspelt target left the teachers' mean out without a word."""
    with pytest.raises(kd.UnknownSiteError, match="nothing inside Given reads its target 'team'"):
        kd.Given("team", kd.distill.ensemble.mean_of_logits, ("a.logits", "b.logits"), kd.SoftTargets(teacher="tame"))


# ------------------------------------------------------------------ studies


def one(seed):
    return {"a": {"m": float(seed)}}


def together(seeds):
    return {"a": {"m": 1.0}}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: kd.study.interval({1: 5.0, 2: 6.0}), "of a mapping give .values"),
        (lambda: kd.study.interval("12"), "one number a seed"),
        (lambda: kd.study.interval(["1", "2"]), "of numbers"),
        (lambda: kd.study.holm([-1, 0.5]), "lies in"),
        (lambda: kd.study.holm([0.5, 1.5]), "lies in"),
        (lambda: kd.study.compare(one, 2.5), "seeds are a number"),
        (lambda: kd.study.compare(one, None), "seeds are a number"),
        (lambda: kd.study.compare(one, 2, together=0), "together must be"),
        (lambda: kd.study.compare(lambda s: {}, 2), "run must take `seed`"),
        (lambda: kd.study.compare(lambda seed: None, 2, jobs=1, progress=False), "run must return"),
        (lambda: kd.study.compare(lambda seed: {}, 2, jobs=1, progress=False), "run must return"),
        (lambda: kd.study.compare(together, 2, jobs=1, progress=False), "one value for each of"),
    ],
)
def test_a_study_says_what_it_needs(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


RAN = []  # of the module: what a function encloses is part of its cells' keys


def test_a_store_takes_numbers_of_numpy_and_refuses_before_it_trains(tmp_path):
    ran = RAN
    ran.clear()

    def run(seed, x=None):
        RAN.append(seed)
        return {"a": np.float32(1.5), "b": np.arange(2), "c": np.int64(seed)}

    cells = [{"seed": np.int64(1)}, {"seed": 1}]
    found = kd.study.sweep(run, cells, jobs=1, progress=False, store=tmp_path / "s")
    assert found == [{"a": 1.5, "b": [0, 1], "c": 1}] * 2
    assert len(ran) == 1 and kd.study.sweep(run, cells, jobs=1, progress=False, store=tmp_path / "s") == found
    with pytest.raises(TypeError, match="JSON cannot hold the cell"):
        kd.study.sweep(run, [{"seed": 2}, {"seed": 3, "x": object()}], jobs=1, progress=False, store=tmp_path / "s")
    assert len(ran) == 1


def test_what_a_run_changes_in_its_cell_stays_there(tmp_path):
    """With one job the next cell saw it, with two it did not."""

    def run(seed, widths):
        widths.append(seed)
        return list(widths)

    widths = [8]
    cells = [{"seed": seed, "widths": widths} for seed in (1, 2)]
    assert kd.study.sweep(run, cells, jobs=1, progress=False) == [[8, 1], [8, 2]]
    assert widths == [8]


def test_limits_are_lowest_and_highest():
    arms = {"a": (lambda seeds, part, rate: {"accuracy": [rate for _ in seeds]}, {"rate": [1, 2]})}
    odd = {"search": 1}
    for wrong in ({"limits": {"rate": (3, 0)}}, {"widen": -1}, {"search": 1.5}, {"steps": {"rate": 0.5}, **odd}):
        with pytest.raises(ValueError, match=r"limits are|widen must be|search must be|a step is"):
            kd.study.trial(arms, "a", 2, jobs=1, progress=False, **wrong)


# ------------------------------------------------------------------ estimators


def test_an_estimator_reads_no_masked_entry():
    """scikit-learn drops the mask and computes with what lies below."""
    from kdlearn.estimators import DistilledClassifier

    x, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
    mask = np.zeros(30, bool)
    mask[3] = True
    hidden = np.ma.masked_array
    for arguments in (
        {"X": hidden(x, np.stack([mask, mask], axis=1))},
        {"y": hidden(y, mask)},
        {"sample_weight": hidden(np.ones(30), mask)},
        {"teacher_proba": hidden(np.full((30, 2), 0.5), np.stack([mask, mask], axis=1))},
    ):
        with pytest.raises(TypeError, match=f"{next(iter(arguments))}: it has masked entries"):
            DistilledClassifier(max_iter=2).fit(**({"X": x, "y": y} | arguments))


@pytest.mark.parametrize("changed", [{"hidden_layer_sizes": (7,)}, {"activation": "tanh"}])
@pytest.mark.filterwarnings("ignore:max_iter")
def test_a_fit_that_goes_on_does_not_overlook_another_network(changed):
    from kdlearn.estimators import DistilledClassifier

    x, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
    model = DistilledClassifier(hidden_layer_sizes=(4,), max_iter=2, warm_start=True, random_state=0).fit(x, y)
    model.set_params(learning_rate_init=0.1).fit(x, y)
    with pytest.raises(ValueError, match="fit goes on with"):
        model.set_params(**changed).fit(x, y)
    model.set_params(warm_start=False).fit(x, y)


# ------------------------------------------------------------------ tables


def cells_of(folder, text):
    from kdlearn.commands.frames import read_table

    (folder / "t.csv").write_text("a,b\n" + "".join(f"{cell},{i % 7}\n" for i, cell in enumerate(text)))
    return read_table(folder / "t.csv")


def rules_of(table, said=None):
    from kdlearn.commands.rules import Rules

    return Rules.of(table, [], [], [], [] if said is None else said)


def test_percent_signs_that_come_or_go_are_said(tmp_path):
    """A model of 5.00% answered 0.05 without a word, and the other way round."""
    pytest.importorskip("pandas")
    plain, signed = [f"{i * i % 89 / 10}" for i in range(40)], [f"{i * i % 89 / 10}%" for i in range(40)]
    mixed = [cell if i % 2 else other for i, (cell, other) in enumerate(zip(plain, signed))]
    for taught, met, message in (
        (signed, plain, "have no '%' here, in the table that taught they had one"),
        (plain, signed, "have a '%' here, in the table that taught they had none"),
        (plain, mixed, "50% of the numbers have a '%'"),
        (signed, signed, None),
        (plain, plain, None),
    ):
        said = []
        rules_of(cells_of(tmp_path, taught))(cells_of(tmp_path, met), said)
        assert [line for line in said if "%" in line] == ([] if message is None else [said[0]])
        assert message is None or message in said[0]


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "+INF", "1e400"])
def test_an_infinite_cell_is_refused_by_row_and_column(cell, tmp_path):
    """As a word it counted as missing, and a median answered for it."""
    pytest.importorskip("pandas")
    from kdlearn.commands.frames import TableError

    taught = [f"{i * i % 89 / 10}" for i in range(40)]
    rules = rules_of(cells_of(tmp_path, taught))
    with pytest.raises(TableError, match=r"row 2, column 'a'.* is infinite"):
        rules(cells_of(tmp_path, [*taught[:2], cell, *taught[3:]]), [])


def test_labels_that_differ_in_a_point_and_zeros_are_one(tmp_path):
    """0 and 0.0, as a join of tables writes them, were two classes."""
    pytest.importorskip("pandas")
    from kdlearn.commands.frames import TableError
    from kdlearn.commands.target import read_target

    said = []
    _, y = read_target(cells_of(tmp_path, ["0", "1.0", "0.0", "1"] * 5), "a", "auto", said)
    assert sorted(set(y)) == ["0", "1"] and "are one" in said[0]
    _, y = read_target(cells_of(tmp_path, ["1", "01", "1.5", "10"] * 5), "a", "classes", said)
    assert sorted(set(y)) == ["01", "1", "1.5", "10"]
    assert len(said) == 1
    _, y = read_target(cells_of(tmp_path, ["maybe", "Yes", "yes", "no"] * 5), "a", "auto", said)
    assert len(set(y)) == 4 and "in capitals alone, such as 'Yes', are different classes" in said[-1]
    with pytest.raises(TableError, match=r"one class, 'Some'.*in 10 rows it is missing, as where it says NA or None"):
        read_target(cells_of(tmp_path, ["None", "Some"] * 10), "a", "auto", said)
