"""Several teachers: means, medians, weights, and what a corrupted teacher does to each."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdlearn as kd
from kdlearn.distill import ensemble

N, K = 6, 5
INF = np.inf
quick = settings(deadline=None, max_examples=40)


def teachers(M=3, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [(3 * rng.normal(size=(N, K)) + m).astype(dtype) for m in range(M)]


def probabilities(logits, T):
    return np.stack([kd.softmax(z, T) for z in logits])


# ------------------------------------------------------------------ means and the median


@quick
@given(M=st.integers(1, 5), T=st.floats(0.05, 1e3), seed=st.integers(0, 99))
def test_the_team_answers_with_the_mean_of_the_probabilities(M, T, seed):
    logits = teachers(M, seed)
    team = ensemble.mean_of_probabilities(*logits, T=T)
    np.testing.assert_allclose(kd.softmax(team, T), probabilities(logits, T).mean(axis=0), rtol=1e-9, atol=1e-300)


@quick
@given(M=st.integers(1, 5), T=st.floats(0.05, 1e3), seed=st.integers(0, 99))
def test_the_mean_of_logits_is_the_renormalised_geometric_mean_at_every_temperature(M, T, seed):
    logits = teachers(M, seed)
    log_geometric = np.stack([kd.log_softmax(z, T) for z in logits]).mean(axis=0)
    product = np.exp(log_geometric)
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(kd.softmax(ensemble.mean_of_logits(*logits), T), expected, rtol=1e-9)


@quick
@given(M=st.integers(1, 6), T=st.floats(0.3, 20), seed=st.integers(0, 99))
def test_the_median_is_that_of_the_probabilities(M, T, seed):
    logits = teachers(M, seed)
    middle = np.median(probabilities(logits, T), axis=0)
    expected = middle / middle.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(kd.softmax(ensemble.median_of_probabilities(*logits, T=T), T), expected, rtol=1e-9)


def test_against_torch():
    torch = pytest.importorskip("torch")
    logits, T = teachers(4), 2.5
    t = torch.stack([torch.from_numpy(z) for z in logits])
    mean = T * (torch.logsumexp(torch.log_softmax(t / T, -1), 0) - np.log(4))
    np.testing.assert_allclose(ensemble.mean_of_probabilities(*logits, T=T), mean.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ensemble.mean_of_logits(*logits), t.mean(0).numpy(), rtol=1e-12)
    entropy = torch.distributions.Categorical(logits=t).entropy()
    np.testing.assert_allclose(ensemble.entropy_weights(*logits), ((1 / entropy) / (1 / entropy).sum(0)).numpy().T)
    y = np.array([0, 1, 2, 3, 4, 0])
    ce = torch.nn.functional.cross_entropy(t.reshape(-1, K), torch.from_numpy(np.tile(y, 4)), reduction="none")
    expected = (1 - torch.softmax(ce.reshape(4, N), 0)) / 3
    np.testing.assert_allclose(ensemble.confidence_weights(y, *logits), expected.numpy().T)


def test_where_the_two_means_part():
    sure, unsure = np.log([[0.98, 0.01, 0.01]]), np.log([[0.2, 0.4, 0.4]])
    arithmetic = kd.softmax(ensemble.mean_of_probabilities(sure, unsure))
    geometric = kd.softmax(ensemble.mean_of_logits(sure, unsure))
    np.testing.assert_allclose(arithmetic, [[0.59, 0.205, 0.205]])
    np.testing.assert_allclose(geometric[0, 0], 1 / (1 + 2 * np.sqrt(0.01 * 0.4 / (0.98 * 0.2))))
    assert geometric[0, 0] > arithmetic[0, 0] + 0.1


def test_masked_classes_vote_veto_and_median():
    a = np.array([[0.0, 1.0, -INF]])
    b = np.array([[-INF, 1.0, -INF]])
    c = np.array([[2.0, 1.0, 0.0]])
    assert (ensemble.mean_of_probabilities(a, b, T=2) > -INF).tolist() == [[True, True, False]]
    assert (ensemble.mean_of_probabilities(a, b, c, T=2) > -INF).all()
    assert (ensemble.mean_of_logits(a, b, c) > -INF).tolist() == [[False, True, False]]
    assert (ensemble.median_of_probabilities(a, b, c) > -INF).tolist() == [[True, True, False]]
    for team in (ensemble.mean_of_probabilities, ensemble.mean_of_logits, ensemble.median_of_probabilities):
        value, gradient = kd.soft_targets(np.array([[0.3, -0.2, 0.1]]), team(a, b, c))
        assert np.isfinite(value) and np.isfinite(gradient).all()


def test_far_apart_logits_lose_nothing():
    a, b = np.array([[0.0, -900.0, -5000.0]]), np.array([[0.0, -800.0, -5000.0]])
    team = ensemble.mean_of_probabilities(a, b)
    np.testing.assert_allclose(team - team[:, :1], [[0, -800 - np.log(2), -5000]])


def test_a_median_cannot_be_carried_off_by_one_liar():
    honest = teachers(2, seed=1)
    p = probabilities(honest, 1.0)
    for seed in range(20):
        liar = 50 * np.random.default_rng(seed).normal(size=(N, K))
        logs = np.sort(np.stack([kd.log_softmax(z) for z in (*honest, liar)]), axis=0)[1]
        team = ensemble.median_of_probabilities(*honest, liar)
        np.testing.assert_allclose(team, logs, rtol=1e-12)
        assert (np.exp(team) >= p.min(axis=0) - 1e-12).all() and (np.exp(team) <= p.max(axis=0) + 1e-12).all()


def test_teachers_must_have_one_shape_and_there_must_be_one():
    for team in (ensemble.mean_of_probabilities, ensemble.mean_of_logits, ensemble.median_of_probabilities):
        with pytest.raises(ValueError, match="one shape"):
            team(np.zeros((2, 3)), np.zeros((2, 4)))
        with pytest.raises(TypeError):
            team()
    with pytest.raises(ValueError, match="T must be"):
        ensemble.mean_of_probabilities(np.zeros((2, 3)), T=0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_precision(dtype):
    logits = teachers(3, dtype=dtype)
    wide = [z.astype("float64") for z in logits]
    y = np.zeros(N, int)
    for f in (
        ensemble.mean_of_probabilities,
        ensemble.mean_of_logits,
        ensemble.median_of_probabilities,
        ensemble.entropy_weights,
        functools.partial(ensemble.confidence_weights, y),
        functools.partial(ensemble.gradient_weights, wide[0].astype(dtype)),
    ):
        got = f(*logits)
        assert got.dtype == ("float32" if dtype == "float16" else dtype)
        np.testing.assert_allclose(got, f(*wide), rtol=2e-3, atol=2e-3)


# ------------------------------------------------------------------ weights


@quick
@given(M=st.integers(1, 6), seed=st.integers(0, 99))
def test_weights_are_shares(M, seed):
    logits, y = teachers(M, seed), np.random.default_rng(seed).integers(0, K, N)
    for w in (
        ensemble.entropy_weights(*logits),
        ensemble.confidence_weights(y, *logits),
        ensemble.gradient_weights(teachers(1, seed + 100)[0], *logits),
    ):
        assert w.shape == (N, M) and (w >= 0).all()
        np.testing.assert_allclose(w.sum(axis=1), 1, rtol=1e-12)
    assert ensemble.confidence_weights(y, *logits).max() <= 1 / max(M - 1, 1) + 1e-12


def test_entropy_weights_of_teachers_without_doubt():
    sure = np.array([[0.0, -INF, -INF], [9000.0, 0.0, -9000.0]])
    doubting = np.zeros((2, 3))
    np.testing.assert_allclose(ensemble.entropy_weights(sure, doubting), [[1, 0], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(ensemble.entropy_weights(sure, sure, doubting)[0], [0.5, 0.5, 0], atol=1e-12)


def test_confidence_weights_of_teachers_who_exclude_the_label():
    y = np.array([2])
    wrong, right = np.array([[0.0, 1.0, -INF]]), np.array([[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(ensemble.confidence_weights(y, wrong, right), [[0, 1]], atol=1e-12)
    np.testing.assert_allclose(ensemble.confidence_weights(y, wrong, wrong), [[0.5, 0.5]])
    with pytest.raises(ValueError, match="one label a row"):
        ensemble.confidence_weights(np.zeros((1, 3), int), right)


def test_accuracy_weights():
    w = ensemble.accuracy_weights(0.95, 0.95, 0.10)
    assert w[0] == w[1] == pytest.approx(0.5, abs=1e-6) and sum(w) == pytest.approx(1)
    assert ensemble.accuracy_weights(0.9, 0.1, sharpness=0) == (0.5, 0.5)
    assert ensemble.accuracy_weights(0.9, 0.85)[0] / ensemble.accuracy_weights(0.9, 0.85)[1] == pytest.approx(np.e)
    for wrong in ((), (95.0, 90.0), (float("nan"),)):
        with pytest.raises(ValueError):
            ensemble.accuracy_weights(*wrong)
    with pytest.raises(ValueError, match="sharpness"):
        ensemble.accuracy_weights(0.5, sharpness=-1)


@quick
@given(M=st.integers(2, 5), cap=st.sampled_from([0.5, 0.6, 1.0]), seed=st.integers(0, 200))
def test_min_norm_weights_against_a_general_solver(M, cap, seed):
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(4, 5))
    G = [shared + rng.normal(size=(4, 5)) * rng.choice([0.1, 1, 3]) for _ in range(M)]
    w = ensemble.min_norm_weights(*G, cap=cap)
    assert w.min() >= 0 and w.max() <= cap + 1e-12 and w.sum() == pytest.approx(1)
    flat = np.stack([g.ravel() for g in G])
    A = flat @ flat.T
    found = minimize(
        lambda v: 0.5 * v @ A @ v, np.full(M, 1 / M), jac=lambda v: A @ v, method="SLSQP", bounds=[(0, cap)] * M,
        constraints={"type": "eq", "fun": lambda v: v.sum() - 1}, options={"ftol": 1e-14},
    )  # fmt: skip
    assert 0.5 * w @ A @ w <= found.fun * (1 + 1e-4) + 1e-12


@quick
@given(seed=st.integers(0, 200))
def test_min_norm_weights_of_two_have_a_closed_form(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 7)) * [[1.0], [rng.choice([0.2, 1, 4])]]
    w = np.clip(np.dot(b - a, b) / np.dot(a - b, a - b), 0.3, 0.7)
    np.testing.assert_allclose(ensemble.min_norm_weights(a, b, cap=0.7), [w, 1 - w], rtol=1e-12)


def test_the_shortest_combination_opposes_no_teacher():
    rng = np.random.default_rng(5)
    G = [rng.normal(size=12) for _ in range(4)]
    d = sum(w * g for w, g in zip(ensemble.min_norm_weights(*G, steps=200), G))
    assert min(g @ d for g in G) >= d @ d * (1 - 1e-9) > 0
    plain = sum(G) / 4
    assert min(g @ plain for g in G) < min(g @ d for g in G)


def test_min_norm_weights_at_their_bounds():
    a = np.ones(3)
    np.testing.assert_allclose(ensemble.min_norm_weights(a), [1.0])
    np.testing.assert_allclose(ensemble.min_norm_weights(a, a, a), [1 / 3] * 3)  # nothing to choose
    np.testing.assert_allclose(ensemble.min_norm_weights(a, 0 * a, 5 * a, cap=0.5), [0.5, 0.5, 0])
    np.testing.assert_allclose(ensemble.min_norm_weights(a, 9 * a, 5 * a, cap=1 / 3), [1 / 3] * 3)
    for cap in (0.2, 1.1):
        with pytest.raises(ValueError, match="cap lies between"):
            ensemble.min_norm_weights(a, a, cap=cap)


def test_gradient_weights_find_the_mixture_nearest_to_the_student():
    """Also that they are what the losses' own gradients say."""
    z, logits, T = teachers(1, seed=9)[0], teachers(3), 2.0
    w = ensemble.gradient_weights(z, *logits, T=T, cap=1.0)
    assert (w == w[0]).all()
    gradients = [kd.soft_targets(z, z_t, T)[1] for z_t in logits]
    np.testing.assert_allclose(w[0], ensemble.min_norm_weights(*gradients), rtol=1e-9)
    q, p = kd.softmax(z, T), probabilities(logits, T)

    def distance(v):
        return np.linalg.norm(q - np.tensordot(v, p, 1))

    rng = np.random.default_rng(0)
    assert distance(w[0]) <= min(distance(v) for v in rng.dirichlet(np.ones(3), 500)) + 1e-12


# ------------------------------------------------------------------ the sum over teachers


def test_a_weighted_sum_pulls_like_one_mixed_teacher():
    z, logits, T = teachers(1, seed=9)[0], teachers(3), 3.0
    fixed = {f"{n}.logits": z_t for n, z_t in zip("abc", logits)} | {"student.logits": z}
    objective = ensemble.weighted_teachers(tuple(fixed)[:3], ensemble.entropy_weights, T)
    result = objective({"student.logits": z}, fixed)
    value, gradients = result.value, result.gradients
    w = ensemble.entropy_weights(*logits)
    p = np.einsum("nm,mnk->nk", w, probabilities(logits, T))
    mixed, gradient = kd.soft_targets(z, T * np.log(p), T)
    np.testing.assert_allclose(gradients["student.logits"], gradient, rtol=1e-9)
    disagreement = (
        T
        * T
        * np.mean(
            sum(w[:, m] * (q * (np.log(q) - np.log(p))).sum(axis=1) for m, q in enumerate(probabilities(logits, T)))
        )
    )
    assert value == pytest.approx(mixed + disagreement) and disagreement > 0


def test_weights_must_match_the_teachers():
    with pytest.raises(ValueError, match="one weight for each teacher, got 1 for 2"):
        ensemble.weighted_teachers(("a.logits", "b.logits"), (1.0,))
    with pytest.raises(ValueError, match="one weight for each teacher"):
        ensemble.weighted_teachers((), ensemble.entropy_weights)


def test_what_a_weighted_sum_reads():
    objective = ensemble.weighted_teachers(("a.logits", "b.logits"), ensemble.confidence_weights, given=("y",))
    assert objective.sites == {"student.logits", "a.logits", "b.logits", "y"}


def test_gradient_weights_are_constants_of_the_step():
    """The weights follow the student's logits in `fixed` and are blind to those in `live`."""
    z, logits = teachers(1, seed=9)[0], teachers(3)
    fixed = {f"{n}.logits": z_t for n, z_t in zip("abc", logits)} | {"student.logits": z}
    rule = functools.partial(ensemble.gradient_weights, T=2, cap=1.0)
    objective = ensemble.weighted_teachers(tuple(fixed)[:3], rule, T=2, given=("student.logits",))
    w = ensemble.gradient_weights(z, *logits, T=2, cap=1.0)[0]
    plain = ensemble.weighted_teachers(tuple(fixed)[:3], tuple(w.tolist()), T=2)
    elsewhere = {"student.logits": z + np.random.default_rng(1).normal(size=z.shape)}
    assert objective(elsewhere, fixed).value == pytest.approx(plain(elsewhere, fixed).value)
    moved = objective(elsewhere, fixed | elsewhere).value
    assert moved != pytest.approx(plain(elsewhere, fixed).value, rel=1e-3)


def test_a_forest_a_network_and_a_shard_teach_together():
    """Teachers of any kind, each knowing rows of its own, are columns; training sees no difference."""
    from sklearn.ensemble import RandomForestClassifier

    train, _, test = kd.data.digits()
    halves = train.take(slice(0, 500)), train.take(slice(500, 1000))
    forest = RandomForestClassifier(30, random_state=0).fit(halves[0].x, halves[0].y)
    net = kd.MLP(64, 64, 10, seed=1)
    kd.fit(net, kd.CrossEntropy(), halves[1], epochs=8, batch_size=50, optimizer=kd.Adam(1e-2), progress=False)
    few = train.take(slice(1000, 1097)).with_soft_labels(forest, "forest").with_soft_labels(net, "net")
    assert np.isinf(few["forest.logits"]).any()  # a forest says zero
    sites = ("forest.logits", "net.logits")
    mean = functools.partial(ensemble.mean_of_probabilities, T=2)
    team = kd.Given("team.logits", mean, sites, kd.SoftTargets(2, teacher="team.logits"))
    student = kd.MLP(64, 16, 10, seed=2)
    kd.fit(student, team, few, epochs=60, batch_size=50, optimizer=kd.Adam(1e-2), progress=False)
    assert (student.predict(test.x) == test.y).mean() > 0.75


# ------------------------------------------------------------------ a corrupted teacher


@pytest.fixture(scope="module")
def with_a_liar():
    """{way of listening: mean accuracy of the student}: digits, three honest teachers and one of y + 1."""
    T, seeds, scores = 4, 3, {}
    names = ("a.logits", "b.logits", "c.logits", "liar.logits")
    for seed in range(seeds):
        train, validation, test = kd.data.digits(seed)
        few = train.take(slice(0, 100))
        accuracies = []
        for i, name in enumerate(names):
            lesson = train.with_columns({"y": (train.y + 1) % 10}) if name.startswith("liar") else train
            net = kd.MLP(64, 64, 10, dropout=0.3, seed=10 * seed + i)
            kd.fit(net, kd.CrossEntropy(), lesson, epochs=10, optimizer=kd.Adam(5e-3), progress=False, seed=i)
            few = few.with_columns({name: net.logits(few.x)})
            accuracies.append(float((net.predict(validation.x) == validation.y).mean()))
        assert min(accuracies[:3]) > 0.9 and accuracies[3] < 0.1

        def team(function, T=T):
            return kd.Given(
                "team.logits", functools.partial(function, T=T), names, kd.SoftTargets(T, teacher="team.logits")
            )

        ways = {
            "honest alone": ensemble.weighted_teachers(names[:3], (1 / 3,) * 3, T),
            "mean": team(ensemble.mean_of_probabilities),
            "median": team(ensemble.median_of_probabilities),
            "entropy": ensemble.weighted_teachers(names, ensemble.entropy_weights, T),
            "confidence": ensemble.weighted_teachers(names, ensemble.confidence_weights, T, given=("y",)),
            "accuracy": ensemble.weighted_teachers(names, ensemble.accuracy_weights(*accuracies), T),
        }
        for way, objective in ways.items():
            student = kd.MLP(64, 16, 10, seed=1000 + seed)
            kd.fit(
                student, objective, few, epochs=100, batch_size=50, optimizer=kd.Adam(0.01), schedule=kd.cosine,
                seed=seed, progress=False,
            )  # fmt: skip
            scores.setdefault(way, []).append(100 * float((student.predict(test.x) == test.y).mean()))
    return {way: np.mean(values) for way, values in scores.items()}


def test_a_confident_liar_defeats_the_mean_and_the_entropy_weights(with_a_liar):
    assert with_a_liar["mean"] < with_a_liar["honest alone"] - 1.5
    assert with_a_liar["entropy"] < with_a_liar["honest alone"] - 2


def test_median_labels_and_held_out_rows_resist_the_liar(with_a_liar):
    for way in ("median", "confidence", "accuracy"):
        assert with_a_liar[way] > with_a_liar["honest alone"] - 2.5, way
        assert with_a_liar[way] > with_a_liar["entropy"] + 1.5, way
