"""One objective a member: a stack may train with them where they differ in the weights of their adaptors alone."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.distill import temperature
from kdlearn.distill.forgetting import OnClasses
from kdlearn.nn.module import FreeVector

LABELS = kd.CrossEntropy()


def data(n=12):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(n, 4)), rng.normal(size=(n, 3))
    return kd.Data({"x": x, "y": rng.integers(0, 3, n), "teacher.logits": z, "w": rng.random(n), "v": rng.random(n)})


def fitted(objectives):
    stack = kd.Stack([kd.MLP(4, 3, seed=i, dtype="float64") for i in range(len(objectives))])
    return kd.fit(stack, objectives, data(), epochs=1, batch_size=4, progress=False)


def given(factor):
    return kd.Given("t", lambda z: factor * z, ("teacher.logits",), kd.SoftTargets(4, teacher="t"))


def rising(factor):
    return LABELS * (lambda progress: factor * progress)


def chosen(columns):
    return OnClasses(columns, "few", kd.CrossEntropy("few"))


def adversary(**how):
    return temperature.AdversarialTemperature(dtype="float64", **how)


def weighed(settings):
    return kd.Match("student.logits", "teacher.logits", functools.partial(kd.soft_targets, **settings))


OTHERS = {
    "smoothing": (LABELS, kd.CrossEntropy(smoothing=0.4), r"cross_entropy\(student.logits, y\) has the loss"),
    "T": (kd.SoftTargets(4), kd.SoftTargets(2), r"the loss soft_targets\(T=2.0\), member 0 has soft_targets\(T=4.0"),
    "weight": (0.3 * LABELS, 0.7 * LABELS, r"has the weight \(1.0, 0.7\), member 0 has \(1.0, 0.3\)"),
    "schedule": (rising(1), rising(2), "has the weight .*one object, made once for all members"),
    "column weight": (LABELS * "w", LABELS * "v", "has the weight"),
    "ignore": (LABELS, kd.CrossEntropy(ignore=2), "has the loss"),
    "setting": (weighed({"T": 4.0}), weighed({"T": 4.0, "normalize": True}), "normalize=True"),
    "function": (given(1), given(2), "Given 't' has the function .*one object"),
    "columns": (chosen([0, 1, 2]), chosen([1, 0, 2]), r"Through 'few' has the net \[Select\(\(1, 0, 2\)\)\]"),
    "bounds": (adversary(), adversary(high=9.0), "high=9.0"),
    "site": (LABELS, kd.CrossEntropy(labels="index"), "has the fixed"),
    "order": (LABELS + kd.SoftTargets(), kd.SoftTargets() + LABELS, "soft_targets"),
    "number of terms": (LABELS, LABELS + kd.SoftTargets(), "Sum '' stands where member 0 has cross_entropy"),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHERS)
def test_what_a_stack_would_have_dropped_is_refused(what):
    """Every member was trained with the objective of the first."""
    first, other, message = OTHERS[what]
    with pytest.raises(ValueError, match=f"adaptors alone; member 1: .*{message}"):
        fitted([first, other])


def test_an_adaptor_that_climbs_for_one_member_climbs_for_all_or_none():
    objectives = []
    for ascend in (True, False):
        climbing = adversary()
        objectives.append(kd.Through(climbing.net, (), climbing.target, climbing.inner, ascend))
    with pytest.raises(ValueError, match="has the ascend False, member 0 has True"):
        fitted(objectives)


def test_adaptors_have_one_place_each():
    """One adaptor used twice is no two adaptors; vectors of two widths were read as one of their mean width."""
    a, b, c, d = (kd.MLP(3, 3, seed=i, dtype="float64") for i in range(4))

    def three(*nets):
        parts = [kd.Through(n, "student.logits", f"t{k}", kd.CrossEntropy(f"t{k}")) for k, n in enumerate(nets)]
        return parts[0] + parts[1] + parts[2]

    with pytest.raises(ValueError, match="Through 't1' has the net 0, member 0 has 1"):
        fitted([three(a, b, a), three(c, c, d)])
    with pytest.raises(ValueError, match="vector 1 differs in form from vector 0"):
        kd.nn.stack.stacked([FreeVector(1), FreeVector(3)])
    assert not kd.nn.stack.stacked([kd.frozen(FreeVector(2)), kd.frozen(FreeVector(2))]).slices


@pytest.mark.parametrize(
    "make",
    [
        lambda i: kd.CrossEntropy(smoothing=0.1) + 0.5 * kd.SoftTargets(2) * "w",
        lambda i: adversary(start=2.0 + i),
        lambda i: given(2),
        lambda i: rising(0.5),
        lambda i: LABELS * kd.nn.optim.steps(0.5, factor=0.2),
        lambda i: OnClasses([2, 0, 1], "few", kd.SoftTargets(4, "few", "few of the teacher"), teacher="teacher.logits"),
    ],
)
def test_what_is_the_same_trains_as_alone(make):
    nets = [kd.MLP(4, 3, seed=i, dtype="float64") for i in range(2)]
    stack = kd.Stack(nets)
    kd.fit(stack, [make(0), make(1)], data(), epochs=2, batch_size=4, progress=False)
    for i, net in enumerate(nets):
        kd.fit(net, make(i), data(), epochs=2, batch_size=4, progress=False)
        np.testing.assert_allclose(stack[i].theta, net.theta, rtol=1e-9)


def test_what_is_no_objective_is_no_objective_of_a_member():
    with pytest.raises(TypeError, match="the objective of member 1 must be a"):
        fitted([LABELS, None])
