"""A review says which idea is missing: each planted mistake has its name. And nothing makes it raise."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.gradcheck import review

N, K, T = 5, 7, 3.0
rng = np.random.default_rng(4)
Z, V = rng.normal(size=(N, K)), rng.normal(size=(N, K))
Y = np.array([3, 0, 6, 3, 1])
MASK = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
WEIGHT = np.array([0.5, 2.0, 1.0, 1.5, 0.7])
P = kd.softmax(Z)
ce, soft = kd.cross_entropy, kd.soft_targets


def soft_without(change):
    """`soft_targets` with another gradient."""
    return lambda z, v, T=T: (soft(z, v, T=T)[0], change(soft(z, v, T=T)[1]))


def ce_without(change):
    return lambda z, y: (ce(z, y)[0], change(ce(z, y)[1]))


def ce_with(gradient):
    """Cross-entropy with the gradient `gradient(z, one-hot labels)`."""
    return lambda z, y: (ce(z, y)[0], gradient(z, np.eye(K)[y]))


def soft_with(gradient):
    """Soft targets with `gradient(q, p)`, divided by N."""

    def loss(z, v, T=T):
        return soft(z, v, T=T)[0], gradient(z, v) / N

    return loss


def masked(z, y, m):
    """Cross-entropy over the rows with m = 1."""
    value, gradient = ce(z, y, weight=m * N / m.sum())
    return value, gradient


def weighted(z, y, w):
    return ce(z, y, weight=w)


GRADIENTS = {  # idea: (a loss without it, its arguments)
    "a sign": (ce_without(lambda g: -g), (Y,)),
    "1/N": (ce_without(lambda g: N * g), (Y,)),
    "1/N only once": (ce_without(lambda g: g / N), (Y,)),
    "N in place of N·K": (ce_without(lambda g: g / K), (Y,)),
    "a factor of 2": (ce_without(lambda g: g / 2), (Y,)),
    "a factor of ½": (ce_without(lambda g: g * 2), (Y,)),
    "a factor": (ce_without(lambda g: g * 0.83), (Y,)),
    "a factor of T": (soft_without(lambda g: g / T), (V,)),
    "T squared": (soft_without(lambda g: g / T**2), (V,)),
    "a factor of 1/T": (soft_without(lambda g: g * T), (V,)),
    "a factor of 1/T²": (soft_without(lambda g: g * T**2), (V,)),
    "a sign, and 1/N": (ce_without(lambda g: -N * g), (Y,)),
    "1/N, and T squared": (soft_without(lambda g: N * g / T**2), (V,)),
    "a gradient": (ce_without(lambda g: 0 * g), (Y,)),
    "centring": (ce_with(lambda z, y: -y / N), (Y,)),
    "the softmax": (ce_with(lambda z, y: -y / kd.softmax(z) / N), (Y,)),
    "the softmax's coupling": (ce_with(lambda z, y: -y * (1 - kd.softmax(z)) / N), (Y,)),
    "the softmax's slope only once": (ce_with(lambda z, y: (kd.softmax(z) - y) * (1 - kd.softmax(z)) / N), (Y,)),
    "the softmax's slope only once, and 1/N": (ce_with(lambda z, y: (P - y) * P * (1 - P)), (Y,)),
    "the softmax's coupling, and 1/N": (ce_with(lambda z, y: -y * (1 - kd.softmax(z))), (Y,)),
    "the entry of the label": (ce_with(lambda z, y: kd.softmax(z) / N), (Y,)),
    "T in the student's softmax": (soft_with(lambda z, v: T * (kd.softmax(z) - kd.softmax(v, T))), (V,)),
    "T in the teacher's softmax": (soft_with(lambda z, v: T * (kd.softmax(z, T) - kd.softmax(v))), (V,)),
    "the targets": (soft_with(lambda z, v: T * kd.softmax(z, T)), (V,)),
    "the softmax of the teacher": (soft_with(lambda z, v: T * (kd.softmax(z, T) - v)), (V,)),
    "rows that sum to zero": (ce_without(lambda g: g + 0.01 * Z**2), (Y,)),
    "the mask": (lambda z, y, m: (masked(z, y, m)[0], ce(z, y)[1] * N / m.sum()), (Y, MASK)),
    "the mean over rows that count": (lambda z, y, m: (masked(z, y, m)[0], ce(z, y, weight=m)[1]), (Y, MASK)),
    "the weights of the rows": (lambda z, y, w: (weighted(z, y, w)[0], ce(z, y)[1]), (Y, WEIGHT)),
    "a part of the gradient": (ce_without(lambda g: g * MASK[:, None]), (Y,)),
}


@pytest.mark.parametrize("idea", GRADIENTS)
def test_what_is_missing_in_a_gradient_has_a_name(idea):
    loss, others = GRADIENTS[idea]
    found = review(loss, Z, *others)
    assert not found and found.idea == idea, found
    assert str(found).startswith(f"missing: {idea}. ") and str(found).endswith(".")


def test_logits_in_place_of_probabilities():
    found = review(ce_with(lambda z, y: (z - y) / N), Z, Y)
    assert found.idea == "the softmax" and "The logits stand where" in found.hint


def test_a_forgotten_mean_of_the_row():
    """A loss of centred logits, differentiated as if the mean were a constant."""

    def centred(z, v):
        c = z - z.mean(axis=1, keepdims=True)
        return 0.5 * ((c - v) ** 2).sum() / N, (c - v) / N

    assert review(centred, Z, V).idea == "the row's mean"


def test_one_entry_is_no_entries():
    """It was "1 entries get none, but the value depends on them", and "Rows [2]"."""

    def but(change):
        return str(review(lambda z: (0.5 * (z**2).sum(), change(z.copy())), Z))

    def nothing(*where):
        def change(z):
            z[where] = 0
            return z

        return change

    assert but(nothing(2, 3)).endswith("1 entry gets none, but the value depends on it.")
    assert but(nothing(slice(2), 3)).endswith("2 entries get none, but the value depends on them.")
    assert but(nothing(2)).endswith("Row 2 gets none, but the value depends on it.")
    assert but(nothing([2, 4])).endswith("Rows [2, 4] get none, but the value depends on them.")
    assert but(lambda z: z + (z == Z[2, 3])).endswith("; 1 of 35 entries is wrong")


KINK = np.array([[0.0, 1.0, -1.0], [0.4, 0.0, -0.2]])


def hinged(slope, other=1.0):
    """max(0, z), with this slope at 0 and another where z is positive."""
    return lambda z: (float(np.maximum(z, 0).sum()), np.where(z == 0, slope, other * (z > 0)))


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_at_a_kink_any_slope_between_its_sides_is_right(slope):
    """The slope 0 of max(0, z) at 0, which every framework takes, was called a missing part."""
    for reference in (None, hinged(0.5), float(hinged(0)(KINK)[0])):
        assert str(review(hinged(slope), KINK, reference=reference)) == "right"


def test_a_kink_excuses_nothing_else():
    assert review(hinged(0.0, 0.7), KINK).idea == "a factor"
    assert str(review(hinged(1.2), KINK)).startswith("your gradient[0, 0] is 1.2, it must be 1")
    assert str(review(hinged(np.nan), KINK)) == "your gradient[0, 0] is nan"
    off = review(lambda z: (1 + hinged(0.0)(z)[0], hinged(0.0)(z)[1]), KINK, reference=hinged(0.0))
    assert off.idea == "a term that does not depend on the first argument"


@pytest.mark.parametrize("loss", [lambda x: (abs(x), np.sign(x)), lambda x: (x * x, 2 * x)])
def test_a_minimum_is_not_said_to_be_a_constant(loss):
    """Of |x| and of x² at 0 it was said that the value is zero."""
    assert str(review(loss, 0.0)).startswith("nothing can be said here: the true gradient is zero at this place")


def test_a_mask_of_entries():
    """ReLU in the loss: what is switched off gets no gradient."""
    found = review(lambda z: (0.5 * (np.maximum(z, 0) ** 2).sum(), z), Z)
    assert found.idea == "the mask" and f"{(Z < 0).sum()} entries must be zero" in found.hint


def test_rows_that_an_index_leaves_out():
    """Rows with the label -1 cost nothing; the loss does not say so in a vector of weights."""

    def some(z, y):
        value, gradient = ce(z, y, ignore=-1)
        return value, np.where((y == -1)[:, None], kd.logit_matching(z, V)[1], gradient)

    found = review(some, Z, np.array([3, -1, 6, -1, 1]))
    assert found.idea == "the mask" and "[1, 3] must get no gradient" in found.hint


def test_the_last_of_duplicate_rows():
    """A table's gradient where a row is looked up twice."""
    tokens = np.array([4, 2, 4, 0])
    R = np.random.default_rng(0).normal(size=(4, K))

    def lookup(table, tokens):
        gradient = np.zeros_like(table)
        gradient[tokens] += R
        return (R * table[tokens]).sum(), gradient

    found = review(lookup, Z, tokens)
    assert found.idea == "all of the duplicate rows" and found.hint.startswith("Row 4 ")


def test_a_gradient_at_one_number():
    assert review(lambda x: (x**2, 2 * x), 3.0)
    assert review(lambda x: (x**2, x), 3.0).idea == "a factor of 2"


VALUES = {
    "a sign": lambda z, v, T=T: -soft(z, v, T=T)[0],
    "1/N": lambda z, v, T=T: N * soft(z, v, T=T)[0],
    "N in place of N·K": lambda z, v, T=T: soft(z, v, T=T)[0] / K,
    "T squared": lambda z, v, T=T: soft(z, v, T=T)[0] / T**2,
    "the natural logarithm": lambda z, v, T=T: soft(z, v, T=T)[0] / np.log(2),
    "a term that does not depend on the first argument": lambda z, v, T=T: soft(z, v, T=T)[0] + 1.5,
    "the loss": lambda z, v, T=T: 0.0,
    "": lambda z, v, T=T: kd.reverse_kl(z, v, T=T)[0],
}


@pytest.mark.parametrize("idea", VALUES)
def test_what_is_missing_in_a_value_has_a_name(idea):
    found = review(lambda z, v, T=T: (VALUES[idea](z, v, T), soft(z, v, T=T)[1]), Z, V, reference=soft, T=T)
    assert not found and found.idea == idea, found
    assert str(found).endswith("The gradient is right.")


def test_a_value_and_its_gradient_may_both_lack_an_idea():
    """Held to its own value the gradient is right; held to the reference neither is."""

    def mine(z, v, T):
        return tuple(part / T**2 for part in soft(z, v, T=T))

    assert review(mine, Z, V, T=T)
    found = review(mine, Z, V, T=T, reference=soft)
    assert found.idea == "T squared" and "Your value" in found.hint and "right" not in found.hint


def test_a_reference_may_be_a_number():
    assert review(ce, Z, Y, reference=float(ce(Z, Y)[0]))
    found = review(ce, Z, Y, reference=N * float(ce(Z, Y)[0]))
    assert found.idea == "1/N only once" and str(found).endswith("The gradient is that of your value.")
    found = review(ce, Z, Y, reference=0.7321 * float(ce(Z, Y)[0]))  # one number says nothing of a factor
    assert found.idea == "" and found.hint.startswith("The value is ")


@pytest.mark.parametrize("c", [1.0001, 0.9999, 1.00003, 2.0001, N * 1.00005])
def test_a_factor_that_is_nearly_a_known_one_has_no_other_name(c):
    """1.0001 was said to be 1/N, and 1/N only once."""
    both = review(lambda *a, **how: tuple(c * part for part in soft(*a, **how)), Z, V, reference=soft, T=T)
    gradient = review(soft_without(lambda g: c * g), Z, V, reference=soft, T=T)
    assert (both.idea, gradient.idea) == ("a factor", "a factor")
    if c < 1.1:
        assert both.hint == f"Your value is {c} times what it must be, everywhere."
        assert gradient.hint == f"Your gradient is {c} times what it must be, everywhere."


def test_a_value_that_never_changes_is_not_said_to_change():
    found = review(lambda z, y: (1.0, 0 * z), Z, Y, reference=ce)
    assert (found.idea, found.hint) == ("the loss", "Your value is 1, whatever goes in.")


def test_zero_is_refused():
    assert review(lambda z, y: (0.0, 0 * z), Z, Y).idea == "the loss"
    assert "never changes" in review(lambda z, y: (1.0, 0 * z), Z, Y).hint
    assert review(lambda z, y: (0.0, 0 * z), Z, Y, reference=ce).idea == "the loss"
    assert "zero at this place" in str(review(soft, Z, Z, reference=soft))


@pytest.mark.parametrize("c", [1e-3, 1e-9, 1e-11])
def test_a_small_loss_is_judged_like_any_other(c):
    """Of 1e-9 times a right loss it was said that its value never changes."""

    def small(z, y):
        return tuple(c * part for part in ce(z, y))

    assert review(small, Z, Y) and review(small, Z, Y, reference=small)
    wrong = review(lambda z, y: (small(z, y)[0], 2 * small(z, y)[1]), Z, Y)
    assert wrong.idea == "a factor of ½"


def test_a_loss_too_small_to_judge_is_not_said_to_be_constant():
    found = str(review(lambda z, y: tuple(1e-15 * part for part in ce(z, y)), Z, Y))
    assert "too little to judge" in found and "never" not in found


@pytest.mark.parametrize("T", [1e3, 1e4])
@pytest.mark.parametrize("squared", [False, True])
def test_rounding_at_a_large_temperature_is_not_held_against_a_loss(T, squared):
    """The loss without T² was called constant at 1e4, and the right one wrong from 1e3 on."""

    def mine(z, v, T):
        p, q = kd.softmax(v, T), kd.softmax(z, T)
        size = T**2 if squared else 1.0
        value = (p * (kd.log_softmax(v, T) - kd.log_softmax(z, T))).sum() / N
        return size * value, size * (q - p) / (N * T)

    assert str(review(mine, Z, V, T=T)) == "right"
    wrong = review(lambda z, v, T: (mine(z, v, T)[0], 2 * mine(z, v, T)[1]), Z, V, T=T)
    assert wrong.idea == "a factor of ½"


def test_a_value_that_only_rounding_changes_never_changes():
    for size in (1.0, 1e-9, 1e9):
        found = review(lambda z, y, size=size: (size * kd.softmax(z).sum(), 0 * z), Z, Y)
        assert found.idea == "the loss" and "never changes" in found.hint
    unsteady = review(lambda z, y: (1e6 * kd.softmax(z / 1e-7).sum() + 1e6 * np.sin(1e9 * z).sum(), z), Z, Y)
    assert "nothing can be said here" in str(unsteady)


def test_a_slip_is_named_where_nothing_general_fits():
    slips = {"the target's logarithm": lambda z, v, T=T: kd.reverse_kl(z, v, T=T)}
    assert str(review(kd.reverse_kl, Z, V, T=T, reference=soft, slips=slips)) == "missing: the target's logarithm."
    assert review(soft, Z, V, T=T, reference=soft, slips=slips)


def overflows(z, y):
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]).mean(), (p - np.eye(K)[y]) / len(y)


def test_overflow_is_found():
    assert review(overflows, Z, Y)  # without a reference nobody knows that it should not
    found = review(overflows, Z, Y, reference=ce)
    assert found.idea == "large numbers" and found.hint.startswith("Yours has no finite value for logits of a")
    alone = review(lambda z, y: (ce(z, y)[0], overflows(z, y)[1]), Z, Y, reference=ce)
    assert alone.hint.startswith(
        "Yours has no finite gradient for logits of a thousand: take each row's maximum away b"
    )


@pytest.mark.parametrize("far", [np.inf, 1 / 3, "a sum"])
def test_where_the_reference_has_no_value_nothing_is_asked(far):
    """A reference that is infinite at 1000 z alone was at fault."""

    def growing(z):
        if isinstance(far, str) and np.abs(z).max() > 100:
            raise ValueError(far)
        return float(far if np.abs(z).max() > 100 else np.exp(z).sum()), np.exp(z)

    asked = str(review(lambda z: (float(np.exp(z).sum()), np.exp(z)), Z, reference=growing))
    assert (asked == "right") == (far != 1 / 3)


def test_a_number_in_words_is_none():
    """It was told of a ufunc."""
    found = review(lambda z, y: (str(ce(z, y)[0]), ce(z, y)[1]), Z, Y, reference=ce)
    assert str(found) == "your value must be a number, it is of type str"


@pytest.mark.parametrize("loss", [ce, kd.decoupled_kd, soft, kd.logit_matching, kd.reverse_kl, kd.dist_kd])
def test_what_is_right_is_right(loss):
    others = (Y,) if loss is ce else (V, Y) if loss is kd.decoupled_kd else (V,)
    assert str(review(loss, Z, *others)) == "right" == str(review(loss, Z, *others, reference=loss))


def inplace(z, y):
    z -= z.max(axis=1, keepdims=True)
    return ce(z, y)


def endless(z, y):
    return endless(z, y)


HARMS = {
    "not written yet": (lambda z, y: None, lambda z, y: ..., lambda z, y: unwritten()),
    "your gradient is not written yet": (lambda z, y: (ce(z, y)[0], None), lambda z, y: (ce(z, y)[0], ...)),
    "it returns 3 things; it must return (value, gradient)": (lambda z, y: (1, 2, 3),),
    "it returns one float": (lambda z, y: 0.5,),
    "your gradient has shape (5,), it must have (5, 7)": (lambda z, y: (ce(z, y)[0], z[:, 0]),),
    "missing: a transpose. Your gradient has shape (7, 5)": (ce_without(np.transpose),),
    "missing: the mean. Your value has shape (5,)": (lambda z, y: (z.sum(axis=1), z),),
    "missing: the order": (lambda z, y: ce(z, y)[::-1],),
    "missing: a copy. It changes its argument z": (inplace,),
    "missing: an end": (endless,),
    "your gradient must be an array of numbers": (lambda z, y: (ce(z, y)[0], "g"), lambda z, y: (ce(z, y)[0], {})),
    "your gradient[0, 0] is nan": (ce_without(lambda g: g * np.nan),),
    "your value is nan": (lambda z, y: (np.nan, z),),
    "it stops with ZeroDivisionError: division by zero (line ": (lambda z, y: 1 / 0,),
    "it stops with SystemExit: bye (line ": (lambda z, y: sys.exit("bye"),),
    "it stops with AssertionError (line ": (lambda z, y: asserts(),),
    "it stops with TypeError": (lambda z: ce(z, Y), 3),
    "another value each time": (lambda z, y: (rng.normal(), z),),
    "the value is in float32": (lambda z, y: ce(z.astype(np.float32), y),),
}


def asserts():
    raise AssertionError


def unwritten():
    raise NotImplementedError


@pytest.mark.parametrize("words, loss", [(w, f) for w, losses in HARMS.items() for f in losses])
def test_whatever_goes_wrong_is_said_in_a_sentence(words, loss):
    found = review(loss, Z, Y)
    assert not found and words in str(found) and "\n" not in str(found), found


def test_warnings_of_a_learner_are_not_announced(recwarn):
    review(lambda z, y: (np.log(-1.0), z), Z, Y)
    assert not recwarn.list


def test_an_interrupt_is_the_users():
    def interrupted(z, y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        review(interrupted, Z, Y)


THINGS = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(), st.binary(), st.just(...), st.just(Z), st.just(Z.astype(complex)),
    st.just(np.array(["a"])), st.builds(object), st.just(Z[:, :0]), st.just(np.float16(3)),
)  # fmt: skip


@given(st.one_of(THINGS, st.lists(THINGS, max_size=3), st.tuples(THINGS, THINGS)), st.sampled_from([None, ce, 1.0]))
def test_no_result_makes_it_raise(result, reference):
    assert not review(lambda z, y: result, Z, Y, reference=reference)


@pytest.mark.parametrize(
    "reference, told",
    [
        (float("nan"), "its value is nan"),
        (np.ones(3), "has shape"),
        (lambda z, y: (1 / 0, z), "it stops with ZeroDivisionError"),
        (lambda z, y: ce(z, y)[0], r"it returns one \w+; it must return \(value, gradient\)"),
        (lambda z, y: (np.nan, z), "its value is nan"),
        (lambda z, y: (ce(z, y)[1].sum(axis=1), z), "Its value has shape"),
    ],
)
def test_a_reference_without_a_value_is_told_as_its_own_fault(reference, told):
    """The learner, who was right, was told 'your value is nan' or 'it stops with ZeroDivisionError'."""
    found = str(review(ce, Z, Y, reference=reference))
    assert re.search(f"the reference is at fault, not your function: .*{told}", found)


POSITIVE = np.abs(Z) + 0.3


def likelihood(p, y):
    """Of probabilities; it raises for what is none."""
    if (p < 0).any() or (p > 1).any():
        raise ValueError("no probabilities")
    hit = np.eye(K)[y]
    return -np.log((p * hit).sum(axis=1)).mean(), -hit / p / N


def bounded(p):
    return -(np.log(p) + np.log(1 - p)).sum(), 1 / (1 - p) - 1 / p


HALF_LINES = {  # name: (a loss that is none of all numbers, where, what else it takes)
    "log": (lambda z: (np.log(z).sum(), 1 / z), POSITIVE, ()),
    "root": (lambda z: (np.sqrt(z).sum(), 0.5 / np.sqrt(z)), POSITIVE, ()),
    "log of what is negative": (lambda z: (np.log(-z).sum(), 1 / z), -POSITIVE, ()),
    "deviation": (lambda s: ((np.log(s) + 2 / s**2).sum(), 1 / s - 4 / s**3), POSITIVE, ()),
    "likelihood": (likelihood, P, (Y,)),
    "bounded": (bounded, P, ()),
}


@pytest.mark.parametrize("name", HALF_LINES)
def test_a_loss_of_positive_numbers_is_asked_at_such(name):
    """All of these were told 'your value is nan', or that the reference is at fault."""
    loss, z, others = HALF_LINES[name]
    for reference in (None, loss):
        assert str(review(loss, z, *others, reference=reference)) == "right"
        wrong = review(lambda *a: (loss(*a)[0], -loss(*a)[1]), z, *others, reference=reference)
        assert wrong.idea == "a sign"


def test_no_value_where_the_reference_has_one_is_told():
    def fails(z):
        return (np.log(z).sum(), 1 / z) if z.max() <= POSITIVE.max() else 1 / 0

    loss = HALF_LINES["log"][0]
    assert str(review(fails, POSITIVE, reference=loss)).startswith("it stops with ZeroDivisionError")
