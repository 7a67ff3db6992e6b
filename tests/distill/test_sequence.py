"""Generation: writing, its numbers, and every estimator beside the exact gradient of a small vocabulary."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill.divergence import jensen_shannon, reverse_kl
from kdlearn.distill.sequence import (
    advantages,
    character_model,
    decode,
    encode,
    enumerated,
    generated,
    log_probabilities,
    perplexity,
    policy_gradient,
    sample,
    windows,
)
from kdlearn.step import run_networks

V, C, S = 3, 2, 3  # tokens, context, length: 27 sequences after each prompt


def model(seed, V=V, C=C, width=2, hidden=5):
    """A float64 model with an opinion: its logits are far from equal."""
    net = character_model(V, C, width, hidden, seed=seed, dtype="float64")
    net.theta += 0.3 * np.random.default_rng(seed + 50).standard_normal(net.theta.size)
    net.layers[-1].W *= 1.5
    return net


PROMPTS = np.array([[0, 2], [1, 1]])
STUDENT, TEACHER = model(1), model(2)


# ---------------------------------------------------------------------- text, windows, the network


def test_windows_are_the_context_and_the_next_token():
    data = windows(np.arange(7), 3)
    assert data.x.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]] and data.y.tolist() == [3, 4, 5, 6]
    pair = windows(np.array([[0, 1, 2, 3], [9, 8, 7, 6]]), 2)
    assert pair.x.tolist() == [[0, 1], [1, 2], [9, 8], [8, 7]] and pair.y.tolist() == [2, 3, 7, 6]
    for context in (0, 7):
        with pytest.raises(ValueError, match="nothing to predict"):
            windows(np.arange(7), context)


def test_text_goes_there_and_back():
    text = "there and back again, 2 times"
    symbols = "".join(sorted(set(text)))
    tokens = encode(text, symbols)
    assert tokens.dtype == np.int32 and decode(tokens, symbols) == text
    with pytest.raises(ValueError, match="not among the symbols: 'xy'"):
        encode("xay", "abc")


def test_a_character_model_is_a_network_with_taps():
    net = character_model(6, 4, 3, 8, 7, dropout=(0.1, 0.2, 0.0), seed=4)
    assert list(net.taps) == ["h0", "a1", "h1", "a2", "h2", "logits"]
    sites, _ = net.forward(np.array([[0, 1, 2, 3]]))
    np.testing.assert_array_equal(sites["h0"][0], net.layers[0].W[[0, 1, 2, 3]].ravel())
    assert [sites[t].shape[1] for t in net.taps] == [12, 8, 8, 7, 7, 6]
    np.testing.assert_array_equal(net.theta, character_model(6, 4, 3, 8, 7, dropout=(0.1, 0.2, 0.0), seed=4).theta)
    assert (net.theta != character_model(6, 4, 3, 8, 7, seed=5).theta).any()


# ---------------------------------------------------------------------- writing


def reference_probabilities(net, prompts, T=1.0):
    """{sequence: probability}, one token at a time, with nothing but softmax and a product."""
    table = {}
    for prompt in prompts.tolist():
        for tail in itertools.product(range(V), repeat=S):
            probability, sequence = 1.0, list(prompt)
            for token in tail:
                probability *= kd.softmax(net.logits(np.array([sequence[-C:]])), T)[0, token]
                sequence.append(token)
            table[tuple(sequence)] = probability
    return table


@pytest.mark.parametrize("T", [1.0, 0.5, 3.0])
def test_sequences_are_written_as_often_as_they_are_probable(T):
    n = 20_000
    written = sample(STUDENT, np.repeat(PROMPTS[:1], n, axis=0), S, np.random.default_rng(0), T)
    assert written.shape == (n, C + S) and (written[:, :C] == PROMPTS[0]).all()
    expected = reference_probabilities(STUDENT, PROMPTS[:1], T)
    assert sum(expected.values()) == pytest.approx(1)
    found, counts = np.unique(written, axis=0, return_counts=True)
    chi2 = n * (1 - sum(expected[tuple(row)] for row in found.tolist()))  # what was never written
    chi2 += sum(
        (k - n * expected[tuple(row)]) ** 2 / (n * expected[tuple(row)]) for row, k in zip(found.tolist(), counts)
    )
    assert chi2 < 56  # 26 degrees of freedom: the 99.95 % quantile


def test_low_temperature_writes_the_most_probable_token():
    written = sample(STUDENT, PROMPTS, S, np.random.default_rng(0), T=1e-6)
    for t in range(S):
        np.testing.assert_array_equal(written[:, C + t], STUDENT.predict(written[:, t : t + C]))


def test_writing_follows_its_generator_and_leaves_the_prompts_alone():
    prompts = PROMPTS.copy()
    a, b, c = (sample(STUDENT, prompts, 20, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any() and (prompts == PROMPTS).all()


def test_an_impossible_token_is_never_written():
    net = model(3)
    net.layers[-1].b[:] = [0, -np.inf, 0]
    assert not (sample(net, np.repeat(PROMPTS[:1], 500, axis=0), S, np.random.default_rng(0))[:, C:] == 1).any()

    class Loaded:
        def __init__(self, u):
            self.u = u

        def random(self, shape):
            return np.full(shape, self.u)

    # the first and the last token, with the smallest and the largest number that there is
    net.layers[-1].b[:] = [-np.inf, 0, 0]
    assert (sample(net, PROMPTS, S, Loaded(0.0))[:, C:] == 1).all()
    net.layers[-1].b[:] = [0, 0, -np.inf]
    assert (sample(net, PROMPTS, S, Loaded(np.nextafter(1.0, 0.0)))[:, C:] == 1).all()


def test_cpu_and_device_write_alike(backend):
    net, prompts = model(1), PROMPTS
    there = sample(net.to(backend.device), backend.put(prompts), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(kd.to_numpy(there), sample(net, prompts, 10, np.random.default_rng(0)))
    columns = {}
    for device, put in (("cpu", np.asarray), (backend.device, backend.put)):
        data, student, teacher = windows(put(np.arange(20) % V), C), net.to(device), TEACHER.to(device)
        mixed = generated(student, data, 4, fraction=0.5)(0, np.random.default_rng(1))
        own = policy_gradient(student, teacher, data, 4)(0, np.random.default_rng(1))
        columns[put] = [kd.to_numpy(a) for a in (mixed.x, mixed.y, own.x, own.y, own["advantage"])]
    for a, b in zip(*columns.values()):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    weights = enumerated(net.to(backend.device), backend.put(prompts), S)["weight"]
    np.testing.assert_allclose(kd.to_numpy(weights), enumerated(net, prompts, S)["weight"], rtol=1e-9)


def test_perplexity_counts_choices():
    data = windows(np.random.default_rng(0).integers(0, V, 50), C)
    net = model(1)
    net.theta[...] = 0
    assert perplexity(net, data) == pytest.approx(V)
    expected = np.exp(kd.metrics.negative_log_likelihood(STUDENT.logits(data.x), data.y))
    assert perplexity(STUDENT, data) == pytest.approx(expected)


# ---------------------------------------------------------------------- data functions


def test_generated_rows_are_of_the_network_or_of_the_data():
    text = windows(np.zeros(50, int), C)
    always_two = model(1)
    always_two.layers[-1].b[:] = [0, 0, 1e4]
    made = generated(always_two, text, 4, fraction=0.25, rows=80)(0, np.random.default_rng(0))
    assert len(made) == 80 and (made.y == 2).sum() == 20 and (made.y == 0).sum() == 60
    assert sorted(made.columns) == ["index", "x", "y"]
    assert (generated(always_two, text, 4)(0, np.random.default_rng(0)).y == 2).all()
    assert (generated(always_two, text, 4, fraction=0)(0, np.random.default_rng(0)).y == 0).all()
    few = generated(always_two, text, 4, fraction=0.01, rows=80)(0, np.random.default_rng(0))
    assert (few.y == 2).sum() == 4 and len(few) == 83  # one prompt at least
    for wrong in ({"fraction": 1.5}, {"length": 0}):
        with pytest.raises(ValueError):
            generated(STUDENT, text, **{"length": 4, **wrong})


@pytest.mark.filterwarnings("ignore:no term of the objective reads the teacher")
def test_fit_takes_data_functions_and_the_student_comes_closer():
    """Each method brings the student nearer to its teacher in the direction that it minimises."""
    text = windows(sample(TEACHER, PROMPTS[:1], 60, np.random.default_rng(5))[0], C)

    def distances(student):
        prompts = np.array(list(itertools.product(range(V), repeat=C)))
        of_teacher, of_student = enumerated(TEACHER, prompts, S), enumerated(student, prompts, S)
        return exact(kd.SoftTargets(T=1), of_teacher, student)[0], exact(REVERSE, of_student, student)[0]

    js = kd.Match("student.logits", "teacher.logits", jensen_shannon)
    for objective, make, direction in (
        (kd.CrossEntropy(), lambda s: generated(TEACHER, text, S, rows=96), 0),
        (kd.SoftTargets(T=1), lambda s: generated(TEACHER, text, S, rows=96), 0),
        (js, lambda s: generated(s, text, S, rows=96, fraction=0.5), 1),
        (REVERSE + kd.CrossEntropy() * "advantage", lambda s: policy_gradient(s, TEACHER, text, S, rows=96), 1),
    ):
        student = model(1)
        before = distances(student)[direction]
        kd.fit(
            student, objective, make(student), teachers=TEACHER, epochs=60, batch_size=96,
            optimizer=kd.Adam(2e-2), progress=False,
        )  # fmt: skip
        assert distances(student)[direction] < 0.5 * before


# ---------------------------------------------------------------------- estimators beside exact gradients

REVERSE = kd.Match("student.logits", "teacher.logits", reverse_kl)
JENSEN = kd.Match("student.logits", "teacher.logits", functools.partial(jensen_shannon, beta=0.3))
POLICY = REVERSE + kd.CrossEntropy() * "advantage"


def exact(objective, data, student=STUDENT, teacher=TEACHER, weight="weight"):
    """`(value, gradient with respect to theta)` of an objective on columns."""
    objective = objective * weight if weight else objective
    live, fixed, caches = run_networks({"student": student}, {"teacher": teacher}, objective, data.columns)
    result = objective(live, fixed)
    value, gradients = result.value, result.gradients
    student.zero_grad()
    student.backward(caches["student"], {"logits": gradients["student.logits"]})
    return float(value), student.grad.copy()


def sequence_kl(student, teacher, reverse):
    """The divergence of whole sequences, per token, from the two tables of probabilities."""
    q, p = (reference_probabilities(net, PROMPTS) for net in (student, teacher))
    if reverse:
        p, q = q, p
    return sum(p[y] * np.log(p[y] / q[y]) for y in p) / len(PROMPTS) / S


@pytest.fixture(scope="module")
def witness():
    """Central differences of `sequence_kl` in every parameter: {reverse: (value, gradient)}."""
    found = {}
    for reverse in (False, True):
        net = STUDENT.copy()

        def value(theta, net=net, reverse=reverse):
            net.theta[...] = theta
            return sequence_kl(net, TEACHER, reverse)

        gradient = kd.gradcheck.numerical_gradient(value, STUDENT.theta.copy())
        found[reverse] = value(STUDENT.theta), gradient
    return found


def test_enumerated_weights_are_the_probabilities():
    data = enumerated(STUDENT, PROMPTS, S)
    table = reference_probabilities(STUDENT, PROMPTS)
    assert len(data) == len(table) * S
    for i, row in enumerate(data["weight"].reshape(-1, S)):
        sequence = (*data.x[i * S], *data.y[i * S : (i + 1) * S])
        np.testing.assert_allclose(row, V**S * table[sequence])
    assert data["weight"].mean() == pytest.approx(1)
    with pytest.raises(ValueError, match="too many to enumerate"):
        enumerated(STUDENT, PROMPTS, 20)


def test_exact_forward_kl(witness):
    value, gradient = exact(kd.SoftTargets(T=1), enumerated(TEACHER, PROMPTS, S))
    assert value == pytest.approx(witness[False][0], rel=1e-9)
    assert kd.gradcheck.compare_gradients(gradient, witness[False][1]) < 1e-7
    _, gradient = exact(kd.CrossEntropy(), enumerated(TEACHER, PROMPTS, S))
    assert kd.gradcheck.compare_gradients(gradient, witness[False][1]) < 1e-7


def every(single_step):
    data = enumerated(STUDENT, PROMPTS, S)
    columns = advantages(STUDENT, TEACHER, data, S, single_step=single_step, baseline=False)
    return data.with_columns({"advantage": columns})


def test_exact_reverse_kl(witness):
    value, _ = exact(REVERSE, every(True))
    assert value == pytest.approx(witness[True][0], rel=1e-9)
    _, gradient = exact(POLICY, every(True))
    assert kd.gradcheck.compare_gradients(gradient, witness[True][1]) < 1e-7
    _, gradient = exact(kd.CrossEntropy() * "advantage", every(False))
    assert kd.gradcheck.compare_gradients(gradient, witness[True][1]) < 1e-7


def test_without_the_choice_of_the_tokens_it_is_another_gradient(witness):
    """Reverse KL at each token of the student's own text, no policy gradient: not the sequences' gradient."""
    _, gradient = exact(REVERSE, every(True))
    assert np.abs(gradient - witness[True][1]).max() > 0.1 * np.abs(witness[True][1]).max()


def repeated(make, objective, repeats=400):
    """Gradients of an estimator on fresh samples, one a row."""
    rng = np.random.default_rng(7)
    return np.array([exact(objective, make(i, rng), weight=None)[1] for i in range(repeats)])


def agrees(gradients, expected):
    """In every parameter within four standard errors, and within one in the mean square."""
    error = gradients.std(axis=0, ddof=1) / np.sqrt(len(gradients))
    used = error > 1e-12
    z = (gradients.mean(axis=0) - expected)[used] / error[used]
    np.testing.assert_allclose(gradients.mean(axis=0)[~used], expected[~used], atol=1e-12)
    assert used.sum() > 20 and np.abs(z).max() < 4 and (z * z).mean() < 2, (np.abs(z).max(), (z * z).mean())
    return float((error * error).sum())


DATA = kd.Data({"x": PROMPTS, "y": np.zeros(2, int)})


def test_estimators_of_forward_kl_approach_the_exact_gradient(witness):
    write = generated(TEACHER, DATA, S, rows=30)
    sequence_level = agrees(repeated(write, kd.CrossEntropy()), witness[False][1])
    whole_answer = agrees(repeated(write, kd.SoftTargets(T=1)), witness[False][1])
    assert whole_answer < 0.5 * sequence_level  # the teacher's whole answer instead of one choice of it


def test_the_estimator_on_own_samples_approaches_its_exact_mean():
    expected = exact(JENSEN, enumerated(STUDENT, PROMPTS, S))[1]
    agrees(repeated(generated(STUDENT, DATA, S, rows=30), JENSEN), expected)


def test_a_mixture_approaches_the_mixture_of_both(witness):
    """fraction: a third of the rows are the student's, the others of the data."""
    text = windows(sample(TEACHER, PROMPTS, 6, np.random.default_rng(3)), C)
    own = enumerated(STUDENT, text.x, S)
    of_data = exact(JENSEN, text, weight=None)[1]
    expected = exact(JENSEN, own)[1] / 3 + 2 * of_data / 3
    agrees(repeated(generated(STUDENT, text, S, fraction=1 / 3, rows=36), JENSEN), expected)


def test_estimators_of_reverse_kl_approach_the_exact_gradient(witness):
    single = agrees(repeated(policy_gradient(STUDENT, TEACHER, DATA, S, rows=30), POLICY), witness[True][1])

    def plain(baseline):
        write = generated(STUDENT, DATA, S, rows=30)

        def columns(epoch, rng):
            made = write(epoch, rng)
            gain = advantages(STUDENT, TEACHER, made, S, single_step=False, baseline=baseline)
            return made.with_columns({"advantage": gain})

        return agrees(repeated(columns, kd.CrossEntropy() * "advantage"), witness[True][1])

    assert single < plain(baseline=True) < plain(baseline=False)


def test_a_wrong_estimator_is_caught(witness):
    """The costs before a token belong to other choices; leaving out those after it is a bias."""
    with pytest.raises(AssertionError):
        agrees(repeated(generated(STUDENT, DATA, S, rows=30), REVERSE), witness[True][1])


def test_log_probabilities_against_pytorch():
    torch = pytest.importorskip("torch")
    data = windows(np.random.default_rng(0).integers(0, V, 20), C)
    z = torch.tensor(STUDENT.logits(data.x))
    expected = -torch.nn.functional.cross_entropy(z, torch.tensor(data.y), reduction="none")
    np.testing.assert_allclose(log_probabilities(STUDENT, data), expected.numpy(), rtol=1e-12)


def test_the_exact_gradients_against_pytorch():
    """Autograd through the sum over all sequences: a third witness for both directions."""
    torch = pytest.importorskip("torch")
    sequences = np.array([(*p, *tail) for p in PROMPTS for tail in itertools.product(range(V), repeat=S)])
    data = windows(sequences, C)
    x, y = torch.tensor(data.x), torch.tensor(data.y)
    table, first, _, last = STUDENT.layers
    theta = [torch.tensor(a, requires_grad=True) for a in (table.W, first.W, last.W, first.b, last.b)]

    def log_q():
        h = torch.relu(theta[0][x].reshape(len(x), -1) @ theta[1] + theta[3])
        z = torch.log_softmax(h @ theta[2] + theta[4], dim=1)
        return z.gather(1, y[:, None]).reshape(-1, S).sum(dim=1)

    log_p = torch.tensor(log_probabilities(TEACHER, data).reshape(-1, S).sum(axis=1))
    for loss, (objective, columns) in (
        (lambda q: (log_p.exp() * (log_p - q)).sum(), (kd.SoftTargets(T=1), enumerated(TEACHER, PROMPTS, S))),
        (lambda q: (q.exp() * (q - log_p)).sum(), (POLICY, every(True))),
    ):
        gradients = torch.autograd.grad(loss(log_q()) / len(PROMPTS) / S, theta)
        expected = np.concatenate([g.numpy().ravel() for g in gradients])
        np.testing.assert_allclose(exact(objective, columns)[1], expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 4))
def test_advantages_are_sums_of_what_comes_after(seed, n, length):
    rng = np.random.default_rng(seed)
    data = windows(rng.integers(0, V, (n, C + length)), C)
    cost = (log_probabilities(STUDENT, data) - log_probabilities(TEACHER, data)).reshape(n, length)
    for single_step, baseline in itertools.product((True, False), repeat=2):
        got = advantages(STUDENT, TEACHER, data, length, single_step=single_step, baseline=baseline).reshape(n, length)
        for i, t in itertools.product(range(n), range(length)):
            after = cost[:, t + single_step :].sum(axis=1)
            others = np.delete(after, i).mean() if baseline else 0.0
            assert got[i, t] == pytest.approx(others - after[i], abs=1e-12)
