"""What holds for every loss, over the list of all of them: a new loss is covered when it enters.

`kdlearn.catalogue.losses` finds the losses and makes arrays that each accepts. What is true of one loss alone stands
in the tests of its stem.
"""

from __future__ import annotations

import functools
import math
import warnings

import mpmath
import numpy as np
import pytest

import kdlearn as kd
from kdlearn.catalogue.losses import all_losses, example, losses

N, K = 6, 4
FLOATS = [(loss, i) for loss in all_losses() for i, name in enumerate(loss.arrays) if name not in ("y", "top")]

# A perfect student still pays: what is compared is not one answer with another.
PAYS = {
    "normalized_kd": "its first part is a cross-entropy",
    "info_nce": "the other rows are still there",
    "regression_kd": "the label is another number",
    "bounded_regression": "the label is another number",
    "cross_entropy": "a label is surer than any answer",
    "log_odds": "a label is surer than any answer",
    "binary_cross_entropy": "a label is surer than any answer",
    "dino": "its teacher is sharper, and an entropy is part of it",
    "match_moments": "the moments that are kept are others",
    "one_hot_loss": "no answer is quite sure",
    "activation_loss": "it has no lower bound",
    "information_entropy": "the best is -log K",
    "dirichlet_likelihood": "the more of the density lies at the answers, the better, without end",
    "variational_information": "it learns a variance beside",
}
NEAR = {"activation_boundary": {"margin": 0.0}}  # settings under which equal answers cost nothing

NO_SHARE = (-0.1, 1.1, math.nan, True, "half")
NO_WEIGHT = (-1.0, math.nan, math.inf, True, "one")
NO_SCALE = (0.0, *NO_WEIGHT)
REFUSED = {  # setting: values that mean nothing
    "T": NO_SCALE,
    "smoothing": NO_SHARE,
    "ignore": (0.5, True, "none"),
    "margin": NO_WEIGHT,
    "alpha": NO_WEIGHT,
    "beta": NO_WEIGHT,
    "gamma": NO_WEIGHT,
    "tau": NO_SCALE,
    "tau_s": NO_SCALE,
    "tau_t": NO_SCALE,
    "floor": NO_SCALE,
    "low": NO_SCALE,
    "high": NO_SCALE,
    "schedule": (5,),
}


def each(chosen):
    return pytest.mark.parametrize("loss", chosen, ids=lambda loss: loss.name)


every = each(all_losses())
by_rows = each(losses(rows=True))
with_masks = each(losses(softmax=True))


def made(loss, seed=0, rows=N, **settings):
    return example(loss, np.random.default_rng(seed), rows, K, **settings)


def call(loss, arrays, **settings):
    """`(value, gradients)`, the second always a tuple."""
    value, gradient = loss.function(*arrays, **settings)
    return value, gradient if isinstance(gradient, tuple) else (gradient,)


def agree(got, expected, **tolerance):
    """Value and gradients of two calls."""
    np.testing.assert_allclose(got[0], expected[0], **tolerance)
    for a, b in zip(got[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def rows_of(a):
    return getattr(a, "ndim", 0) > 0


def as_student(loss, arrays):
    """The arguments with a teacher that answers what the student answers."""
    given = dict(zip(loss.arrays, arrays))
    for name in loss.arrays:
        partner = {"s": "t", "z": "z_t"}.get(name, name.removesuffix("_s") + "_t" if name.endswith("_s") else "")
        if partner in given and given[partner].shape == given[name].shape:
            given[partner] = given[name].copy()
    if "target" in given and "z_t" not in given:
        given["target"] = given["z"].copy()
    if "top" in given:
        rest = np.array([sorted(set(range(K)) - set(row)) for row in given["top"].tolist()])
        given["z_t"] = np.take_along_axis(given["z_s"], np.concatenate([given["top"], rest], axis=1), axis=1)
    return list(given.values())


# ------------------------------------------------------------------ the gradient is the value's


@every
@pytest.mark.parametrize("seed", range(3))
def test_gradients_by_central_differences(loss, seed):
    for settings in [{"T": T} for T in (1.0, 2.5, 30.0)] if loss.T else [{}]:
        check_gradients(loss, made(loss, seed), **settings)


def check_gradients(loss, arrays, tolerance=1e-6, **settings):
    gradients = call(loss, arrays, **settings)[1]
    for i in range(loss.live):

        def value(x, i=i):
            return loss.function(*arrays[:i], x, *arrays[i + 1 :], **settings)[0]

        expected = kd.gradcheck.numerical_gradient(value, arrays[i])
        kd.gradcheck.compare_gradients(gradients[i], expected, f"gradient {i}", tolerance)


@with_masks
@pytest.mark.parametrize("gap", [35 / 0.05, 700.0, 745.0, 1e4])
def test_gradients_where_the_teacher_is_all_but_certain(loss, gap):
    """Probabilities down to the smallest double, and below it."""
    arrays = dict(zip(loss.arrays, made(loss, 1)))
    if loss.teacher and loss.name != "logit_matching":
        arrays[loss.teacher][:, 1] -= gap
    check_gradients(loss, list(arrays.values()), tolerance=1e-5, **({"T": 1.0} if loss.T else {}))


# ------------------------------------------------------------------ a mean over rows


@by_rows
def test_a_loss_is_the_mean_of_its_rows(loss):
    arrays = made(loss, 2)
    rows, gradients = loss.function.rows(*(a.copy() if rows_of(a) else a for a in arrays))[:2]
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert rows.shape == (N,)
    agree(call(loss, arrays), (rows.mean(), [g / N for g in gradients]), rtol=1e-12, atol=1e-15)
    for n in range(N):  # what a row costs is its own affair
        one, _ = loss.function(*(a[n : n + 1] if rows_of(a) else a for a in arrays))
        assert one == pytest.approx(rows[n], rel=1e-12)


@by_rows
@pytest.mark.parametrize("normalize", [False, True])
def test_weights_by_their_definition(loss, normalize):
    arrays, w = made(loss, 3), np.array([0.5, 2.0, 0.0, 1.0, 0.25, 3.0])
    rows, gradients = loss.function.rows(*(a.copy() if rows_of(a) else a for a in arrays))[:2]
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    count = w.sum() if normalize else N
    expected = (w * rows).sum() / count, [w[:, None] * g / count for g in gradients]
    kept = w.copy()
    agree(call(loss, arrays, weight=w, normalize=normalize), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(w, kept)
    assert float(call(loss, arrays, weight=0 * w, normalize=normalize)[0]) == 0  # the mean of nothing


@by_rows
def test_a_row_of_weight_0_is_left_out_whatever_it_holds(loss):
    arrays, w = made(loss, 4), np.ones(N)
    w[0] = 0
    expected = call(loss, arrays, weight=w)
    for bad in (math.nan, -math.inf) if loss.softmax else (math.nan,):  # a student's mask: the row costs infinity
        arrays[0][0, 0] = bad
        got = call(loss, arrays, weight=w)
        assert got[0] == pytest.approx(float(expected[0]), rel=1e-12)
        assert not got[1][0][0].any() and np.isfinite(got[1][0]).all()
    with pytest.raises(ValueError, match="weight must hold one number a row"):
        loss.function(*arrays, weight=w[:3])


@by_rows
def test_several_members_are_several_calls(loss):
    each_own = [made(loss, seed) for seed in range(3)]
    together = [np.concatenate(parts) if rows_of(parts[0]) else parts[0] for parts in zip(*each_own)]
    value, gradients = call(loss, together, members=3)
    assert value.shape == (3,)
    for m, own in enumerate(each_own):
        expected = call(loss, own)
        got = value[m], [g[m * N : (m + 1) * N] for g in gradients]
        agree(got, expected, rtol=1e-12, atol=1e-15)
    if rows_of(together[0]):
        with pytest.raises(ValueError, match=f"{3 * N} rows are not those of {3 * N + 1} members"):
            loss.function(*together, members=3 * N + 1)


@pytest.mark.parametrize("computed", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64"])
def test_a_gradient_has_the_precision_of_its_argument_whatever_a_loss_computes_in(given, computed):
    @kd.mean_over_rows
    def own(z):
        return z[:, 0], np.ones_like(z, dtype=computed)

    assert own(np.ones((4, 3), given))[1].dtype == given


@each(losses(rows=False))
def test_across_rows_there_is_no_weight_a_row(loss):
    with pytest.raises(TypeError, match="weight"):
        loss.function(*made(loss), weight=np.ones(N))


# ------------------------------------------------------------------ no number without a word


@every
def test_whole_numbers_count_as_the_same_floats(loss):
    rng = np.random.default_rng(5)
    floats = [np.round(3 * a) if a.dtype.kind == "f" else a for a in map(np.asarray, made(loss, 5))]
    shares = getattr(loss.function, "shares", ())
    floats = [a.clip(0, 1) if name in shares else a for name, a in zip(loss.arrays, floats)]
    whole = [a.astype(rng.choice(["int64", "int32", "int8"])) if a.dtype.kind == "f" else a for a in floats]
    scalars = [i for i, a in enumerate(made(loss, 5)) if not rows_of(a)]
    for i in scalars:
        floats[i] = whole[i] = 0.25
    got = call(loss, whole)
    agree(got, call(loss, floats), rtol=1e-14, atol=1e-16)
    assert {g.dtype for g in got[1]} == {np.dtype("float64")}


@pytest.mark.parametrize("loss, i", FLOATS, ids=[f"{loss.name}-{loss.arrays[i]}" for loss, i in FLOATS])
@pytest.mark.parametrize("row", [0, -1])
def test_nan_in_any_argument_is_nan_in_value_and_gradient_or_an_error(loss, i, row):
    arrays = made(loss, 6)
    if rows_of(arrays[i]):
        arrays[i].reshape(len(arrays[i]), -1)[row, -1] = math.nan
    else:
        arrays[i] = math.nan
    try:
        value, gradients = call(loss, arrays)
    except ValueError as error:
        assert loss.arrays[i] in str(error)
        return
    assert np.isnan(value)
    assert np.isnan(gradients[0]).any()


@each(losses(labels=True))
def test_labels_that_are_none_are_refused(loss):
    given = dict(zip(loss.arrays, made(loss, 7)))
    for wrong in (np.full(N, math.nan), given["y"].astype(float), np.eye(K)[given["y"]], given["y"][:3]):
        with pytest.raises(ValueError, match="y must hold"):
            loss.function(**{**given, "y": wrong})
    for wrong in (-1, K, -100):
        y = given["y"].copy()
        y[2] = wrong
        with pytest.raises(ValueError, match=rf"labels must lie in 0 … {K - 1}, got {wrong}"):
            loss.function(**{**given, "y": y})


@every
def test_what_is_no_array_of_numbers_is_refused(loss):
    for wrong in ([[1.0, 2.0]], np.array([["a", "b"]]), np.ones((N, K), complex), None):
        with pytest.raises(TypeError, match=rf"{loss.arrays[0]} must"):
            loss.function(wrong, *made(loss)[1:])


SETTINGS = [(loss, name, bad) for loss in all_losses() for name in loss.settings for bad in REFUSED.get(name, ())]


@every
def test_every_setting_has_values_that_it_must_refuse(loss):
    for name in loss.settings:
        assert name in REFUSED, f"{loss.name} has a new setting: give {name!r} a line in REFUSED, in {__file__}"


@pytest.mark.parametrize("loss, name, bad", SETTINGS, ids=[f"{f.name}-{n}-{b}" for f, n, b in SETTINGS])
def test_settings_that_mean_nothing_are_refused_by_name(loss, name, bad):
    with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
        loss.function(*made(loss), **{name: bad})


# ------------------------------------------------------------------ masks and equal answers


@with_masks
@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_a_class_that_is_masked(loss, both):
    """Never NaN; what both exclude has no gradient."""
    arrays = dict(zip(loss.arrays, made(loss, 8)))
    names = [name for name in loss.arrays if name[0] == "z" and (both or name == loss.teacher)]
    if "y" in arrays:
        arrays["y"] = arrays["y"] % (K - 1)  # the label stays
    for name in names:
        arrays[name][:, -1] = -math.inf
    if "top" in arrays and both:
        arrays["top"] = np.tile(np.arange(K - 1), (N, 1))  # the rest is the class that nobody has
    value, gradients = call(loss, list(arrays.values()))
    assert not np.isnan(value) and not any(np.isnan(g).any() for g in gradients)
    if both:
        assert np.isfinite(value) and not gradients[0][:, -1].any()


KINDS = {
    "random": lambda z: z,
    "zero": lambda z: 0 * z,
    "one zero row": lambda z: np.where(np.arange(len(z))[:, None] == 1, 0, z),
    "constant": lambda z: 0 * z + 0.3,
    "equal rows": lambda z: z[:1] + 0 * z,
    "large": lambda z: 1e4 * z,
    "small": lambda z: 1e-8 * z,
    "masked": lambda z: np.where(np.arange(z.shape[1]) == 2, -np.inf, z),
}


EQUAL = [(f, k) for f in all_losses() if f.name not in PAYS for k in KINDS if f.softmax or k != "masked"]


@pytest.mark.parametrize("loss, kind", EQUAL, ids=[f"{f.name}-{k}" for f, k in EQUAL])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_answers_cost_nothing(loss, kind, dtype):
    with np.errstate(invalid="ignore"):
        arrays = [KINDS[kind](a) if name[0] in "zhs" else a for name, a in zip(loss.arrays, made(loss, 9))]
    arrays = [a.astype(dtype) if rows_of(a) and a.dtype.kind == "f" else a for a in as_student(loss, arrays)]
    value, gradients = call(loss, arrays, **NEAR.get(loss.name, {}))
    assert abs(float(value)) <= 1e-12
    for g in gradients:
        assert np.abs(g).max() <= 1e-9


# ------------------------------------------------------------------ numbers that cannot be squared

# Losses that scale what they compare see no common factor of it.
NO_FACTOR = [
    "cosine_distance",
    "attention_transfer",
    "neuron_selectivity",
    "info_nce",
    "similarity_preserving",
    "probabilistic_transfer",
    "relational_distance",
    "relational_angle",
    "correlation_congruence",
    "linear_cka",
    "standardized_kd",
]
FACTORS = [
    (loss, dtype, 10.0**e)
    for loss in all_losses()
    for dtype, powers in (("float32", (-37, -30, -19, 19, 30, 37)), ("float64", (-306, -160, 160, 306)))
    for e in powers
    if loss.name in NO_FACTOR and (loss.name, dtype) != ("standardized_kd", "float64")  # squared in float64, as it is
]


@pytest.mark.parametrize("loss, dtype, factor", FACTORS, ids=[f"{f.name}-{t}-{c:.0e}" for f, t, c in FACTORS])
def test_a_common_factor_is_not_seen_down_to_the_smallest_normal_number(loss, dtype, factor):
    """Below 1e-19 the squares of float32 are 0: such features counted as none. Above 1e19 they are infinite."""
    h_s, h_t = (a.clip(-3, 3) for a in made(loss, 20))
    expected = call(loss, (h_s, h_t))
    digits = 2e-5 if dtype == "float32" else 1e-10
    for own, other in ((factor, 1.0), (1.0, factor)):
        value, (gradient,) = call(loss, ((own * h_s).astype(dtype), (other * h_t).astype(dtype)))
        assert value == pytest.approx(float(expected[0]), rel=digits)
        largest = np.abs(expected[1][0]).max()
        np.testing.assert_allclose(own * gradient.astype(float), expected[1][0], rtol=0, atol=digits * largest)


@pytest.mark.parametrize("dtype, factor", [("float32", 1e-20), ("float32", 1e-33), ("float64", 1e-150)])
def test_answers_that_hardly_differ_are_correlated_as_their_logits_are(dtype, factor):
    """p is 1/K + (z - mean) / KT to the first order: its correlations are those of the logits, less each row's mean."""
    z_s, z_t = (np.random.default_rng(21).normal(size=(2, N, K)) * factor).astype(dtype)

    def gaps(axis):
        with mpmath.workdps(30):
            parts = []
            for z in (z_s, z_t):
                a = np.vectorize(mpmath.mpf)(z.astype(float))
                a = a - a.mean(axis=1, keepdims=True)  # what the softmax does not see
                a = a - a.mean(axis=axis, keepdims=True)
                parts.append(a / np.vectorize(mpmath.sqrt)((a * a).sum(axis=axis, keepdims=True)))
            return float(1 - (parts[0] * parts[1]).sum(axis=axis).mean())

    assert kd.dist_kd(z_s, z_t, T=1.0)[0] == pytest.approx(gaps(1) + gaps(0), rel=1e-5)


def test_gradients_too_small_to_be_squared_have_their_shortest_mixture():
    g = np.random.default_rng(22).normal(size=(3, 5))
    expected = kd.distill.ensemble.min_norm_weights(*g)
    for unit in (1e-200, 1e200):
        np.testing.assert_allclose(kd.distill.ensemble.min_norm_weights(*(unit * g)), expected, rtol=1e-9)


# ------------------------------------------------------------------ formats


@every
def test_half_precision_computes_in_single(loss):
    half = made(loss, 10, dtype="float16")
    single = [a.astype("float32") if rows_of(a) and a.dtype.kind == "f" else a for a in half]
    value, gradients = call(loss, half)
    expected = call(loss, single)
    assert value.dtype == np.float32 and value == expected[0]
    for got, wanted in zip(gradients, expected[1], strict=True):
        assert got.dtype == np.float16
        np.testing.assert_array_equal(got, wanted.astype(np.float16))


@every
def test_single_precision_is_double_precision_to_its_digits(loss):
    single = made(loss, 11, dtype="float32")
    double = [a.astype("float64") if rows_of(a) and a.dtype.kind == "f" else a for a in single]
    value, gradients = call(loss, single)
    expected = call(loss, double)
    assert value.dtype == np.float32 and all(g.dtype == np.float32 for g in gradients)
    assert value == pytest.approx(float(expected[0]), rel=1e-5)
    for got, wanted in zip(gradients, expected[1], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@every
@pytest.mark.parametrize("first, second", [("float32", "float64"), ("float64", "float32"), ("float16", "float64")])
def test_each_gradient_has_the_precision_of_its_argument(loss, first, second):
    arrays = made(loss, 12)
    types = [first if i < loss.live else second for i in range(len(arrays))]
    arrays = [a.astype(t) if rows_of(a) and a.dtype.kind == "f" else a for a, t in zip(arrays, types)]
    value, gradients = call(loss, arrays)
    assert value.ndim == 0 and value.dtype.itemsize >= 4
    for a, g in zip(arrays, gradients):
        assert g.dtype == a.dtype and g.shape == a.shape


@every
def test_arguments_are_not_modified_and_layout_does_not_matter(loss):
    arrays = made(loss, 13)
    expected = call(loss, arrays)
    layouts = {
        "as they are": lambda a: a.copy(),
        "Fortran": np.asfortranarray,
        "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
        "backwards": lambda a: a[::-1].copy()[::-1],
    }
    for name, change in layouts.items():
        given = [change(a) if rows_of(a) else a for a in arrays]
        for a in given:
            if rows_of(a):
                a.flags.writeable = False
        agree(call(loss, given), expected, rtol=1e-12, atol=1e-14)
        for a, kept in zip(given, arrays):
            np.testing.assert_array_equal(a, kept, err_msg=name)


@every
def test_same_on_every_backend(loss, backend):
    arrays = made(loss, 14, dtype="float32")
    value, gradients = call(loss, [backend.put(a) if rows_of(a) else a for a in arrays])
    got = kd.to_numpy(value), [kd.to_numpy(g) for g in gradients]
    agree(got, call(loss, arrays), rtol=2e-5, atol=1e-6)


@every
def test_no_loss_waits_for_the_device(loss, standin):
    arrays = [kd.to_device(a, "cuda") if rows_of(a) else a for a in made(loss, 15, dtype="float32")]
    standin.syncs = standin.host_copies = 0
    call(loss, arrays)
    assert standin.syncs == standin.host_copies == 0


@every
def test_wrong_shapes_are_refused(loss):
    arrays = made(loss, 16)
    alone = not any(rows_of(a) and len(a) == N for a in arrays[1:])  # three rows of nothing else are three rows
    for first in (arrays[0][0], arrays[0][:0], *([] if alone else [arrays[0][:3]])):
        with pytest.raises(ValueError, match="got"):
            loss.function(first, *arrays[1:])


@each([loss for loss in losses(softmax=True) if loss.arrays[:2] == ("z_s", "z_t")])
def test_logits_that_cannot_be_compared_say_why(loss):
    z_s, z_t, *more = made(loss, 18)
    for pair, message in (
        ((z_s, z_t[:, :3]), r"one shape, got \(6, 4\) and \(6, 3\)"),
        ((z_s[0], z_t[0]), "2-D"),
        ((z_s[:0], z_t[:0]), "at least one row"),
    ):
        with pytest.raises(ValueError, match=message):
            loss.function(*pair, *(a[: len(pair[0])] if rows_of(a) else a for a in more))


# ------------------------------------------------------------------ values from forty digits


def kl(p, q):
    return sum(a * mpmath.log(a / b) for a, b in zip(p, q) if a)


def jensen_shannon(p, q):
    m = [(a + b) / 2 for a, b in zip(p, q)]
    return (kl(p, m) + kl(q, m)) / 2


def decoupled(p, q):  # of the label 0, with the default weights
    others = [[v / sum(a[1:]) for v in a[1:]] for a in (p, q)]
    two = [[a[0], sum(a[1:])] for a in (p, q)]
    return kl(*two) + 8 * kl(*others)


DEFINED = {  # name: what a row costs at T = 1, of the teacher's and the student's probabilities
    "soft_targets": kl,
    "moving_target": kl,
    "reverse_kl": lambda p, q: kl(q, p),
    "jensen_shannon": jensen_shannon,
    "total_variation": lambda p, q: sum(abs(a - b) for a, b in zip(p, q)) / 2,  # its power of T is 1
    "decoupled_kd": decoupled,
}


def softmax(z, T):
    e = [mpmath.exp((mpmath.mpf(v) - max(z)) / T) for v in z]
    return [v / sum(e) for v in e]


GAPS = [(f, g) for f in all_losses() if f.name in DEFINED for g in (1e-6, 1.0, 35.0, 640.0, 700.0, 745.0, 1e4)]


@pytest.mark.parametrize("loss, gap", GAPS, ids=[f"{f.name}-{g:g}" for f, g in GAPS])
@pytest.mark.parametrize("T", [0.05, 1.0, 4.0])
def test_values_and_gradients_by_forty_digits(loss, T, gap):
    z_s, z_t = [0.3, -0.2, 0.7], [0.1, -gap, -0.4]
    with mpmath.workdps(60):
        p = softmax(z_t, T)
        if loss.name == "reverse_kl" and p[1] < mpmath.mpf("1e-290"):
            z_t[1] = -690 * T + z_t[0]  # what is less counts as e^-690 of the largest there
            p = softmax(z_t, T)

        def value(z):
            return T ** (1 if loss.name == "total_variation" else 2) * DEFINED[loss.name](p, softmax(z, T))

        expected = float(value(z_s))
        h = mpmath.mpf("1e-20")
        slopes = [
            float(
                (value([*z_s[:i], z_s[i] + h, *z_s[i + 1 :]]) - value([*z_s[:i], z_s[i] - h, *z_s[i + 1 :]])) / (2 * h)
            )
            for i in range(3)
        ]
    labels = [np.array([0])] if loss.labels else []
    got, gradients = call(loss, [np.array([z_s]), np.array([z_t]), *labels], T=T)
    assert float(got) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(gradients[0][0], slopes, rtol=1e-8, atol=1e-12 * max(map(abs, slopes)))


def test_cross_entropy_of_a_label_that_is_all_but_impossible():
    for gap in (35.0, 700.0, 745.0, 1e4):
        value, gradient = kd.cross_entropy(np.array([[0.0, -gap]]), np.array([1]))
        assert value == pytest.approx(gap, rel=1e-15) and gradient[0] == pytest.approx([1, -1], rel=1e-14)


# ------------------------------------------------------------------ right values that once were wrong


def test_a_probability_of_1e_304_is_a_probability():
    for dtype in ("float32", "float64"):
        value, gradient = kd.jensen_shannon(np.array([[0, 0]], dtype), np.array([[-700, 0]], dtype))
        assert float(value) == pytest.approx(0.21576155, rel=1e-7)
        np.testing.assert_allclose(gradient, [[0.13732654, -0.13732654]], rtol=1e-6)


def test_logits_of_whole_numbers_are_not_truncated():
    value, gradient = kd.soft_targets(np.array([[2, 0]]), np.array([[0, 1]]))
    p, q = 1 / (1 + math.exp(0.25)), 1 / (1 + math.exp(-0.5))  # at T = 4
    assert value == pytest.approx(16 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))))
    np.testing.assert_allclose(gradient, [[4 * (q - p), 4 * (p - q)]])


@pytest.mark.parametrize("masked", [False, True])
def test_masks_that_once_were_no_numbers(masked):
    z = np.array([[1.0, 0.5, -np.inf]])
    y = np.array([0])
    value, gradients = kd.distill.temperature.learned_temperature(z, np.zeros(1), z + 0.0)
    assert value == 0 and not gradients[0].any() and not gradients[1].any()
    assert kd.decoupled_kd(np.array([[0.0, 0.0, -np.inf]]), np.zeros((1, 3)), y)[0] == np.inf
    value, gradient = kd.logit_matching(z, z.copy())
    assert value == 0 and not gradient.any()
    for loss in (functools.partial(kd.dist_kd), functools.partial(kd.dist_kd, T=4.0)):
        rows = np.array([[1.0, 2.0, -np.inf], [0.5, 0.1, -np.inf]])
        assert loss(rows, rows.copy())[0] == 0
        assert loss(np.ones((2, 3)), np.ones((2, 3)))[0] == 0
    assert kd.cosine_distance(np.zeros((2, 3)), np.zeros((2, 3)))[0] == 0
    assert kd.linear_cka(np.ones((4, 3)), np.ones((4, 2)))[0] == 0


def test_no_warning_is_given_for_what_is_allowed():
    """A masked class, a zero row, a certain teacher: nothing for a reader to worry about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss in losses(softmax=True):
            arrays = dict(zip(loss.arrays, made(loss, 17, scale=300.0)))
            if loss.teacher and loss.name not in ("logit_matching", "top_targets"):
                arrays[loss.teacher][:, -1] = -np.inf
            call(loss, list(arrays.values()))
