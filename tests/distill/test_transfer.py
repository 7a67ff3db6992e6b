"""Transfer: losses by central differences, PyTorch and SymPy; specialists; regression and views through `fit`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.special
import sympy
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.transfer import (
    BoundedRegression,
    Regression,
    bounded_regression,
    match_classes,
    regression,
    regression_kd,
    select_classes,
)

seeds = st.integers(0, 2**32 - 1)


def example(seed, N=6):
    rng = np.random.default_rng(seed)
    return *rng.normal(size=(2, N, 1)), rng.normal(size=N), rng.uniform(0.2, 2, N)


# ---------------------------------------------------------------------- regression


@given(seeds, st.integers(1, 6), st.floats(0, 1), st.floats(0, 2))
def test_gradients_by_central_differences(seed, N, alpha, margin):
    z_s, z_t, y, w = example(seed, N)
    check = kd.gradcheck.check_loss
    assert check(regression, z_s, y, weight=w) < 1e-7
    assert check(regression_kd, z_s, y, z_t, alpha=alpha) < 1e-7
    far = np.abs((z_s[:, 0] - y) ** 2 + margin - (z_t[:, 0] - y) ** 2) > 1e-3  # off the jump
    if far.all():
        assert check(bounded_regression, z_s, y, z_t, margin=margin) < 1e-7


def test_values_and_gradients_from_pytorch():
    torch = pytest.importorskip("torch")
    z_s, z_t, y, w = example(0)
    s, t, labels = torch.tensor(z_s, requires_grad=True), torch.tensor(z_t), torch.tensor(y)[:, None]

    def agrees(ours, loss):
        (gradient,) = torch.autograd.grad(loss, s)
        assert ours[0] == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(ours[1], gradient.numpy(), atol=1e-14)

    mse = torch.nn.functional.mse_loss
    agrees(regression(z_s, y, weight=w), (0.5 * torch.tensor(w)[:, None] * (s - labels) ** 2).mean())
    agrees(regression_kd(z_s, y, z_t, alpha=0.3), 0.5 * (0.7 * mse(s, labels) + 0.3 * mse(s, t)))
    for margin in (0.0, 0.8):
        error, bound = (s - labels) ** 2, (t - labels) ** 2
        chosen = torch.where(error + margin > bound, error, torch.zeros_like(error))
        agrees(bounded_regression(z_s, y, z_t, margin=margin), 0.5 * chosen.mean())


def test_two_rows_from_sympy():
    s = sympy.symbols("s1:3")
    y, t, a = (0.3, -0.8), (0.5, 1.1), sympy.Rational(1, 4)
    loss = sum((1 - a) * (si - yi) ** 2 + a * (si - ti) ** 2 for si, yi, ti in zip(s, y, t)) / 4
    at = dict(zip(s, (1.2, 0.1)))
    value, gradient = regression_kd(np.array([[1.2], [0.1]]), np.array(y), np.array(t)[:, None], alpha=0.25)
    assert value == pytest.approx(float(loss.subs(at)), rel=1e-12)
    np.testing.assert_allclose(gradient[:, 0], [float(sympy.diff(loss, si).subs(at)) for si in s], rtol=1e-12)


def test_regression_kd_is_regression_on_the_mixed_target_and_a_sum_of_terms():
    z_s, z_t, y, _ = example(1)
    value, gradient = regression_kd(z_s, y, z_t, alpha=0.3)
    mixed_value, mixed_gradient = regression(z_s, 0.7 * y + 0.3 * z_t[:, 0])
    np.testing.assert_allclose(gradient, mixed_gradient, atol=1e-15)
    assert value - mixed_value == pytest.approx(0.5 * 0.7 * 0.3 * ((y - z_t[:, 0]) ** 2).mean())
    result = (0.7 * Regression() + 0.3 * Regression(target="teacher.logits"))(
        {"student.logits": z_s}, {"y": y, "teacher.logits": z_t}
    )
    assert result.value == pytest.approx(value)
    np.testing.assert_allclose(result.gradients["student.logits"], gradient)


def test_bounded_regression_leaves_a_better_student_alone():
    y = np.zeros(4)
    z_s = np.array([[0.5], [-2.0], [1.0], [0.9]])
    z_t = np.array([[1.0], [1.0], [1.0], [1.0]])
    value, gradient = bounded_regression(z_s, y, z_t)
    np.testing.assert_array_equal(gradient, [[0], [-0.5], [0], [0]])  # a student as good as its teacher is let be
    assert value == 0.5 * 4 / 4 == bounded_regression(z_s, y[:, None], z_t)[0]
    _, gradient = bounded_regression(z_s, y, z_t, margin=0.2)  # it must be better by 0.2 now
    np.testing.assert_array_equal(gradient, [[0], [-0.5], [0.25], [0.225]])
    _, gradient = bounded_regression(z_s, y, 1e6 * z_t)
    assert (gradient == 0).all()
    for both in (regression(z_s, y), bounded_regression(z_s, y, 0 * z_t)):  # a perfect teacher: the plain loss
        assert both[0] == pytest.approx(0.5 * (z_s**2).mean())


def test_classes_are_selected_on_every_backend(backend):
    z = np.random.default_rng(0).normal(size=(3, 5))
    np.testing.assert_array_equal(kd.to_numpy(select_classes([4, 1])(backend.put(z))), z[:, [4, 1]])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda z, y: regression(z[:, 0], y), r"shape \(N, 1\)"),
        (lambda z, y: regression(np.hstack([z, z]), y), r"shape \(N, 1\)"),
        (lambda z, y: regression(z[:0], y[:0]), "at least one row"),
        (lambda z, y: regression(z, y[:3]), r"one number a row, shape \(6,\) or \(6, 1\), got \(3,\)"),
        (lambda z, y: regression_kd(z, y, z[:2]), "one number a row"),
        (lambda z, y: regression_kd(z, y, z, alpha=1.5), "alpha lies"),
        (lambda z, y: bounded_regression(z, y, z, margin=-1), "margin must be"),
        (lambda z, y: select_classes([]), "different numbers"),
        (lambda z, y: select_classes([1, 1]), "different numbers"),
        (lambda z, y: select_classes([-1, 2]), "different numbers"),
        (lambda z, y: select_classes([0, 3])(np.zeros((2, 3))), "there is no class 3: the logits have 3 columns"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, message):
    z, _, y, _ = example(5)
    with pytest.raises(ValueError, match=message):
        call(z, y)


def line(n=200, seed=0, noise=0.3):
    """A curve with noisy labels; y is float64, as scikit-learn gives it."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (n, 1))
    return kd.Data({"x": x, "y": np.sin(2 * x[:, 0]) + noise * rng.normal(size=n)})


@pytest.mark.parametrize("shape", ["(N,)", "(N, 1)"])
def test_fit_takes_numbers_for_a_network_with_one_output(shape):
    data = line()
    if shape == "(N, 1)":
        data = data.with_columns({"y": data.y[:, None]})
    net = kd.MLP(1, 32, 1, seed=0)
    history = kd.fit(
        net, Regression(), data, epochs=60, batch_size=50, optimizer=kd.Adam(1e-2), validation=data, progress=False
    )
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert "accuracy" not in history.records[-1]["validation"]
    assert ((net.predict(data.x) - np.sin(2 * data.x[:, 0])) ** 2).mean() < 0.05


def test_fit_refuses_numbers_that_are_not_finite_and_numbers_for_classes():
    data = line()
    with pytest.raises(ValueError, match="column 'y' has values that are not finite"):
        bad = data.with_columns({"y": np.where(data["index"] == 3, np.nan, data.y)})
        kd.fit(kd.MLP(1, 4, 1), Regression(), bad, epochs=1, progress=False)
    with pytest.raises(ValueError, match="y must hold integer class labels, got float64"):
        kd.fit(kd.MLP(1, 4, 3), kd.CrossEntropy(), data, epochs=1, progress=False)


def test_a_regression_teacher_teaches_from_a_column_as_well_as_live():
    data, teacher = line(), kd.MLP(1, 16, 1, seed=3)
    objective = Regression() + 0.5 * BoundedRegression(0.1) + 0.5 * Regression(target="teacher.logits")

    def train(**how):
        net = kd.MLP(1, 8, 1, seed=0)
        kd.fit(net, objective, how.pop("data"), epochs=2, progress=False, **how)
        return net.theta

    expected = train(data=data, teachers=teacher)
    cached = data.with_columns({"teacher.logits": teacher.logits(data.x)})
    np.testing.assert_allclose(train(data=cached), expected, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- specialists and views


@given(seeds, st.permutations(range(5)), st.integers(1, 5), st.floats(0.5, 10))
def test_selected_logits_are_conditional_probabilities(seed, order, n, T):
    z, chosen = 2 * np.random.default_rng(seed).normal(size=(3, 5)), list(order[:n])
    p = scipy.special.softmax(z / T, axis=1)[:, chosen]
    expected = p / p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(kd.softmax(select_classes(chosen)(z), T), expected, rtol=1e-10)


def test_a_selection_can_be_sent_to_another_process():
    z = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(select_classes(np.array([2, 0]))))(z), z[:, [2, 0]])


def test_a_specialist_learns_its_classes_without_labels():
    """A perfect teacher of ten classes; the student of three never sees a label."""
    train, _, test = kd.data.digits(0)
    classes = [9, 3, 5]
    rows, held = (np.isin(part.y, classes) for part in (train, test))
    taught = kd.Data({"x": train.x[rows], "teacher.logits": 8 * kd.one_hot(train.y[rows], 10)})
    few = kd.Given("few.logits", select_classes(classes), ("teacher.logits",), kd.SoftTargets(2, teacher="few.logits"))
    net = kd.MLP(64, 16, 3, seed=0)
    kd.fit(net, few, taught, epochs=20, batch_size=32, optimizer=kd.Adam(1e-2), progress=False)
    named = np.array(classes)[net.predict(test.x[held])]
    assert (named == test.y[held]).mean() > 0.9


def test_paired_views_reach_their_own_networks():
    """The teacher sees all of a row, the student two numbers of it."""
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(300, 6)).astype("float32")
    teacher = kd.MLP(6, 3, seed=1)
    data = kd.Data({"teacher.x": whole, "student.x": whole[:, :2]})
    student = kd.MLP(2, 8, 3, seed=0)
    history = kd.fit(student, kd.SoftTargets(2), data, teachers=teacher, epochs=20, validation=data, progress=False)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    cached = kd.Data({"x": whole[:, :2], "teacher.logits": teacher.logits(whole)})
    again = kd.MLP(2, 8, 3, seed=0)
    kd.fit(again, kd.SoftTargets(2), cached, epochs=20, progress=False)
    np.testing.assert_allclose(again.theta, student.theta, rtol=1e-3, atol=1e-5)


def test_classes_are_matched_by_name():
    z = np.random.default_rng(0).normal(size=(3, 4))
    match = match_classes(["cat", "dog", "fox", "owl"], ["owl", "ant", "cat"])
    np.testing.assert_array_equal(match(z), np.c_[z[:, 3], np.full(3, -np.inf), z[:, 0]])
    np.testing.assert_array_equal(match_classes("abcd", "dcba")(z), z[:, ::-1])
    term = kd.Given("named", match, ("teacher.logits",), kd.SoftTargets(2, teacher="named"))
    student, data = kd.MLP(5, 3, seed=0), kd.Data({"x": np.ones((3, 5)), "teacher.logits": z})
    kd.fit(student, term, data, epochs=2, progress=False)
    for teacher, names, message in (
        ("ab", "cd", "no class in common"),
        ("aa", "ab", "teacher's classes must be different"),
    ):
        with pytest.raises(ValueError, match=message):
            match_classes(list(teacher), list(names))
