"""What cannot be right is refused where it is said, in words of the call: no later, and by no error of NumPy's."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.distill import assistant, attention, ensemble, exits, multilabel, mutual, robust, sequence

RNG = np.random.default_rng(0)
X, Y, Z = RNG.normal(size=(12, 4)), np.arange(12) % 3, RNG.normal(size=(12, 3))
MASKED = Z.copy()
MASKED[7, 1] = -np.inf
DATA = kd.Data({"x": X, "y": Y, "teacher.logits": Z, "masked.logits": MASKED, "w": np.ones((12, 1))})
QUICK = {"epochs": 1, "batch_size": 4, "progress": False}


def net(n_out=3, seed=0, **how):
    return kd.MLP(4, 6, n_out, seed=seed, dtype="float64", **how)


def fit(objective=None, data=DATA, student=None, **how):
    return kd.fit(student or net(), objective or kd.CrossEntropy(), data, **QUICK, **how)


def step(batch, objective=None, student=None, **how):
    return kd.train_step(student or net(), None, objective or kd.CrossEntropy(), batch, optimizer=kd.SGD(0.1), **how)


def near(loss):
    return kd.Match("student.logits", "masked.logits", loss)


def own(z):
    return float((z * z).mean()), 2 * z / z.size


TOP = kd.Data({"x": X}).with_soft_labels(net(7), top=3, T=2)
CASES = {
    "a value alone": (lambda: kd.gradcheck.check_loss(lambda z: float((z * z).sum()), Z), TypeError,
                      r"returns two things, \(value, gradient\); this one returns one float"),
    "no value": (lambda: kd.gradcheck.check_loss(lambda z: None, Z), TypeError, "this one returns one NoneType"),
    "two live arrays": (lambda: kd.gradcheck.check_loss(attention.moving_target, Z, Z), TypeError,
                        "returns 2 gradients, one for each of its live arrays.*check_objective"),
    "the class of a layer": (lambda: kd.Network([kd.Linear(4, 3), kd.ReLU], {"logits": 1}), TypeError,
                             r"layer 1 must be a layer, such as kd.ReLU\(\) with its brackets, got the class ReLU"),
    "the name of a layer": (lambda: kd.Network(["relu"], {"logits": 0}), TypeError, "layer 0 must be a .* got 'relu'"),
    "rows in a list": (lambda: net().forward([[1.0, 2.0, 3.0, 4.0]]), TypeError, "x must be an array.*got a list"),
    "a sum of nothing": (lambda: kd.Sum(()), ValueError, "at least one part"),
    "no step": (lambda: fit(step=None), TypeError, "step must be a function such as kd.train_step, got None"),
    "a step without pieces": (lambda: fit(step=mutual.alternating_step, micro_batch=2), TypeError,
                              "alternating_step takes no micro_batch"),
    "given as a list": (lambda: fit(kd.Given("t", lambda y: [1.0] * len(y), ("y",), kd.CrossEntropy() * "t")),
                        TypeError, "Given 't': its function must return an array, got a list"),
    "no context": (lambda: sequence.windows(Y, 0), ValueError, "context must be at least 1, got 0"),
    "no teachers": (lambda: ensemble.weighted_teachers((), []), ValueError, "at least one teacher; got none"),
    "a warm-up in words": (lambda: kd.warmup("a"), ValueError, r"fraction lies in \(0, 1\), got 'a'"),
    "an average in words": (lambda: kd.MovingAverage("a"), ValueError, r"m lies in \[0, 1\), got 'a'"),
    "dropout in words": (lambda: kd.Dropout("a"), ValueError, r"a dropout rate lies in \[0, 1\), got 'a'"),
    "eps in words": (lambda: kd.LayerNorm(3, "a"), ValueError, "eps must be a finite number of at least 0, got 'a'"),
    "ragged rows": (lambda: kd.Data({"x": [[1, 2], [3]], "y": [0, 1]}), ValueError, "its rows have different lengths"),
    "a weight not made": (lambda: fit(kd.CrossEntropy() * kd.steps), TypeError,
                          r"the weight of cross_entropy.* returns a number, steps\(0.0\) is <function"),
    "a weight of nothing": (lambda: fit(kd.CrossEntropy() * (lambda p: None)), TypeError, r"<lambda>\(0.0\) is None"),
    "a weight of NaN": (lambda: fit(kd.CrossEntropy() * (lambda p: np.nan)), ValueError,
                        "the weight of cross_entropy.* returns a finite factor, at progress 0.0 it is nan"),
    "a generator for a seed": (lambda: fit(seed=np.random.default_rng(1)), TypeError, "seed must be a whole number"),
    "an arm without a grid": (lambda: kd.study.trial({"a": len}, "a", 2), TypeError, r"a: an arm is \(train, grid\)"),
    "a grid in a list": (lambda: kd.study.trial({"a": (len, [{"x": 1}])}, "a", 2), TypeError, "an arm is"),
    "arms in a list": (lambda: kd.study.trial([len], "a", 2), TypeError, r"arms are {name: \(train, grid\)}, got \["),
    "values without a metric": (lambda: kd.study.trial({"a": (lambda seeds, part, x: [1.0] * len(seeds), {"x": [1]})},
                                                       "a", 2, jobs=1, progress=False), TypeError,
                                r"a: {metric: one value for each of 2 seeds} is needed, got \[1.0, 1.0\]"),
    "differences for intervals": (lambda: kd.study.judge({"a": [1, 2, 3.0]}), TypeError,
                                  "a: judge takes intervals, .*verdicts takes the differences"),
    "a zone in words": (lambda: kd.study.verdicts({"a": [1, 2, 3.0]}, zone="1"), (TypeError, ValueError), "zone"),
    "no such member": (lambda: fit().member(5), IndexError, r"the history is of the members 0 … 0, got 5"),
    "half a name": (lambda: fit()[("loss",)], TypeError, "a history is asked by name"),
    "a seed below 0": (lambda: kd.data.digits(seed=-1), ValueError, "a seed is a whole number of at least 0, got -1"),
    "and of clouds": (lambda: kd.data.blobs(9, seed=-1), ValueError, "a seed is a whole number of at least 0, got -1"),
    "an attack on tokens": (lambda: robust.pgd(sequence.character_model(4, 2, 2), np.zeros((3, 2), int), Y[:3], 0.1),
                            ValueError, "takes tokens, which cannot be moved a little"),
    "a name is no names": (lambda: DATA.only("teacher.logits"), TypeError, "names must be a tuple"),
    "nor of taps": (lambda: exits.exits("ab", [6, 3], 3), TypeError, "taps must be a tuple"),
    "nor of teachers": (lambda: ensemble.weighted_teachers("ab", [0.5, 0.5]), TypeError, "teachers must be a tuple"),
    "nor of a team": (lambda: assistant.densely_guided("ab"), TypeError, "names must be a tuple"),
    "data of a list": (lambda: kd.Data([X, Y]), TypeError, "made of columns by their names, got list"),
    "top of other classes": (lambda: fit(kd.TopTargets(2), TOP, net(9)), ValueError, "a teacher with 7 classes"),
    "a masked class": (lambda: fit(near(kd.logit_matching)), ValueError,
                       "logit_matching.* is inf at row 7, where column 'masked.logits' is -inf"),
    "of features": (lambda: fit(near(kd.squared_error)), ValueError, "squared_error.* is inf at row 7"),
    "of directions": (lambda: fit(near(kd.cosine_distance)), ValueError, "cosine_distance.* is nan at row 7"),
    "labels for yes and no": (lambda: fit(multilabel.BinaryCrossEntropy(labels="y")), ValueError,
                              r"column 'y' must hold 3 numbers a row.* got shape \(12,\); .*np.eye\(3\)\[y\]"),
    "by hand": (lambda: multilabel.binary_cross_entropy(Z, Y), ValueError, "target must hold 3 numbers a row"),
    "weights of two axes": (lambda: fit(kd.CrossEntropy() * "w"), ValueError, r"it must be 1-D, got shape \(12, 1\)"),
    "one site more": (lambda: kd.Term(kd.logit_matching, ("student.logits",), ("teacher.logits", "y")), TypeError,
                      "logit_matching takes 2 sites, for z_s, z_t"),
    "one site less": (lambda: kd.Term(functools.partial(kd.soft_targets, T=2), ("student.logits",)), TypeError,
                      "soft_targets takes 2 sites"),
    "average of nobody": (lambda: fit(teachers={"t": net()}, hooks=[kd.MovingAverage(0.9, "t", "zz")]), ValueError,
                          "student 'zz'"),
    "past of nobody": (lambda: fit(hooks=[kd.LastEpoch(student="zz")]), ValueError, "student 'zz'; there are: student"),
    "route of nobody": (lambda: fit(hooks=[kd.Route(1, student="zz")]), ValueError, "student 'zz'"),
    "peers of nobody": (lambda: fit(hooks=[kd.StalePeers("a")]), ValueError, "student 'a'"),
    "asking nobody": (lambda: kd.StalePeers("a").refresh(DATA, {"b": net()}), ValueError, "no student 'a'"),
    "a layer's name": (lambda: net().freeze("1"), TypeError, "layers are numbered from 1, got '1'"),
    "a rate of text": (lambda: net(dropout="0.1"), TypeError, "dropout is a rate"),
    "no rate": (lambda: net(dropout=None), TypeError, "dropout is a rate"),
    "no momentum": (lambda: kd.SGD(0.1, momentum=None), ValueError, "momentum lies in"),
    "no decay": (lambda: kd.SGD(0.1, weight_decay=None), ValueError, "weight_decay must be"),
    "a norm of text": (lambda: kd.SGD(0.1, clip_norm="1"), ValueError, "clip_norm must be"),
    "no beta": (lambda: kd.Adam(beta1=None), ValueError, "beta1 lies in"),
    "no smoothing": (lambda: kd.cross_entropy(Z, Y, smoothing=None), ValueError, "smoothing lies in"),
    "a list of rows": (lambda: step({"x": X.tolist(), "y": Y}), TypeError, "'student' reads must be an array"),
    "no rows": (lambda: step({"y": Y}), KeyError, "no column 'x' for the network 'student'"),
    "a tap above": (lambda: kd.Network([kd.Linear(4, 3)], {"logits": 5}), ValueError, "'logits' has the position 5"),
    "a tap of text": (lambda: kd.Network([kd.Linear(4, 3)], {"logits": "0"}), TypeError, "position of a layer"),
    "seed of a training": (lambda: fit(seed=-1), ValueError, "a seed is a whole number of at least 0, got -1"),
    "seed of a network": (lambda: kd.MLP(4, 3, seed=-1), ValueError, "a seed is a whole number"),
    "seed of a layer": (lambda: kd.Linear(4, 3, rng=-1), ValueError, "a seed is a whole number"),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_what_cannot_be_right_is_refused(what):
    call, error, message = CASES[what]
    with pytest.raises(error, match=message):
        call()


def test_a_table_is_no_columns():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match="by their names, got DataFrame"):
        kd.Data(pandas.DataFrame({"a": [1.0, 2.0]}))


def test_a_masked_class_is_right_where_it_is_taken_out():
    """Also where the term that cannot take it is switched off."""
    soft = kd.SoftTargets(2, teacher="masked.logits")
    with np.errstate(invalid="ignore"):
        fit(soft + 0.0 * near(kd.logit_matching))
    stack = kd.Stack([net(seed=seed) for seed in (0, 1)])
    fit(soft, [DATA, DATA.with_columns({"masked.logits": MASKED[::-1]})], stack)


def test_the_value_of_a_loss_may_be_a_number_of_pythons():
    objective = kd.Term(own, ("student.logits",))
    assert fit(objective)["loss"][0] > 0
    assert kd.evaluate(net(), objective, DATA)["loss"] == pytest.approx(own(net().logits(X))[0], rel=1e-6)


@pytest.mark.parametrize("apart", [False, True])
def test_stacks_ask_their_peers(apart):
    """As each pair of peers alone, on rows that all share or rows of their own."""
    pairs = [{name: net(seed=10 * i + k) for k, name in enumerate("ab")} for i in range(2)]
    rows = [DATA.take(slice(0, 12)) for _ in range(2)] if apart else DATA
    stale, objective = kd.StalePeers("a", "b"), kd.distill.mutual.codistillation("a", "b", burn_in=0.0)
    stacks = {name: kd.Stack([pair[name] for pair in pairs]) for name in "ab"}
    how = {"epochs": 2, "batch_size": 4, "progress": False, "hooks": [stale]}
    kd.fit(stacks, objective, stale.refresh(rows, stacks), **how)
    for i, pair in enumerate(pairs):
        kd.fit(pair, objective, stale.refresh(DATA, pair), **how)
        for name in "ab":
            np.testing.assert_allclose(stacks[name][i].theta, pair[name].theta, rtol=1e-9)
