"""Values from the definitions, written with loops and plain NumPy: no second implementation is needed.

A gradient that fits its value says nothing about the value. Here each loss of features and relations, and
each rule of the optimisers, is what its paper's formula says, number by number.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.distill import feature, relation

N, D, E = 5, 4, 3


def unit(v):
    return v / math.sqrt(sum(v * v))


def huber(r):
    return 0.5 * r * r if abs(r) <= 1 else abs(r) - 0.5


def cosine(a, b):
    return float(unit(a) @ unit(b))


def pairs(n):
    return [(i, j) for i in range(n) for j in range(n)]


def attention(s, t):
    return np.mean([sum((unit(a**2) - unit(b**2)) ** 2) for a, b in zip(s, t)])


def boundary(s, t, m=1.0):
    far = [max(0, m - a) if b > 0 else max(0, m + a) for a, b in zip(s.ravel(), t.ravel())]
    return sum(f * f for f in far) / len(s)


def selectivity(s, t):
    def kernel(A, B):
        return np.mean([(unit(a) @ unit(b)) ** 2 for a in A.T for b in B.T])

    return kernel(s, s) + kernel(t, t) - 2 * kernel(s, t)


def contrast(s, t, tau=0.1):
    total = 0.0
    for n in range(len(s)):
        scores = [math.exp(cosine(s[n], b) / tau) for b in t]
        total -= math.log(scores[n] / sum(scores))
    return total / len(s)


def similarity(s, t):
    S, T = (np.array([unit(row) for row in h @ h.T]) for h in (s, t))
    return ((S - T) ** 2).sum() / len(s) ** 2


def transfer(s, t):
    P, Q = (np.array([[0.5 * (cosine(a, b) + 1) for b in h] for a in h]) for h in (t, s))
    P, Q = (K / K.sum(axis=1, keepdims=True) for K in (P, Q))
    return (P * np.log(P / Q)).sum() / len(s) ** 2  # the teacher's probabilities stand in front


def distances(s, t):
    d = [np.array([[math.dist(a, b) for b in h] for a in h]) for h in (s, t)]
    psi = [a / (a.sum() / (len(s) * (len(s) - 1))) for a in d]
    return sum(huber(psi[0][p] - psi[1][p]) for p in pairs(len(s))) / len(s) ** 2


def angles(s, t):
    def angle(h, j, i, k):
        return 0.0 if j in (i, k) else cosine(h[i] - h[j], h[k] - h[j])

    n = range(len(s))
    return sum(huber(angle(s, j, i, k) - angle(t, j, i, k)) for j in n for i in n for k in n) / len(s) ** 3


def congruence(s, t, gamma=0.4):
    K = [[math.exp(-gamma * sum((unit(h[i]) - unit(h[j])) ** 2)) for i, j in pairs(len(h))] for h in (s, t)]
    return sum((a - b) ** 2 for a, b in zip(*K)) / len(s) ** 2


def alignment(s, t):
    H = np.eye(len(s)) - 1 / len(s)
    K, L = (H @ h @ h.T @ H for h in (s, t))
    return 1 - np.trace(K @ L) / math.sqrt(np.trace(K @ K) * np.trace(L @ L))


DEFINITIONS = {
    feature.squared_error: lambda s, t: 0.5 * ((s - t) ** 2).sum() / len(s),
    feature.cosine_distance: lambda s, t: 1 - np.mean([cosine(a, b) for a, b in zip(s, t)]),
    feature.attention_transfer: attention,
    feature.activation_boundary: boundary,
    feature.neuron_selectivity: selectivity,
    feature.info_nce: contrast,
    relation.similarity_preserving: similarity,
    relation.probabilistic_transfer: transfer,
    relation.relational_distance: distances,
    relation.relational_angle: angles,
    relation.correlation_congruence: congruence,
    relation.linear_cka: alignment,
}


@pytest.mark.parametrize("loss", DEFINITIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_a_loss_is_its_definition(loss, scale, rng):
    s, t = rng.normal(size=(N, D)), rng.normal(size=(N, D))
    s[0] *= scale
    assert float(loss(s, t)[0]) == pytest.approx(DEFINITIONS[loss](s, t), rel=1e-9)


@pytest.mark.parametrize("loss", list(DEFINITIONS)[6:], ids=lambda f: f.__name__)
def test_relations_of_layers_of_different_width(loss, rng):
    s, t = rng.normal(size=(N, D)), rng.normal(size=(N, E))
    assert float(loss(s, t)[0]) == pytest.approx(DEFINITIONS[loss](s, t), rel=1e-9)
    assert float(loss(t, s)[0]) == pytest.approx(DEFINITIONS[loss](t, s), rel=1e-9)


def test_the_flow_between_two_layers_is_its_definition(rng):
    h = [rng.normal(size=(N, w)) for w in (D, E, D, E)]
    gram = [sum(np.outer(a, b) for a, b in zip(h[i], h[i + 1])) / N for i in (0, 2)]
    assert float(feature.fsp(*h)[0]) == pytest.approx(((gram[0] - gram[1]) ** 2).sum() / (D * E))


def test_variational_information_is_a_gaussians_surprise(rng):
    mu, rho, t = rng.normal(size=(N, E)), rng.normal(size=E), rng.normal(size=(N, E))
    v = np.log1p(np.exp(rho)) + 1e-5
    surprise = [0.5 * ((t[n, i] - mu[n, i]) ** 2 / v[i] + math.log(v[i])) for n in range(N) for i in range(E)]
    assert float(feature.variational_information(mu, rho, t)[0]) == pytest.approx(sum(surprise) / N)


@pytest.mark.parametrize("loss", DEFINITIONS, ids=lambda f: f.__name__)
def test_settings_reach_the_value(loss, rng):
    """What is set is what is used: with the definition's own name for it."""
    s, t = rng.normal(size=(N, D)), rng.normal(size=(N, D))
    for name, value in {"margin": 0.3, "tau": 0.7, "gamma": 1.3}.items():
        if name in loss.__wrapped__.__code__.co_varnames:
            assert float(loss(s, t, **{name: value})[0]) == pytest.approx(DEFINITIONS[loss](s, t, value))


# ------------------------------------------------------------------ optimisers

RATE, DECAY = 0.1, 0.3


def sgd(theta, m, v, g, t, eta, decay):
    return theta - eta * (g + decay * theta), m, v


def momentum(theta, m, v, g, t, eta, decay):
    v = 0.8 * v + g + decay * theta
    return theta - eta * v, m, v


def nesterov(theta, m, v, g, t, eta, decay):
    g = g + decay * theta
    v = 0.8 * v + g
    return theta - eta * (g + 0.8 * v), m, v


def adam(theta, m, v, g, t, eta, decay):
    g = g + decay * theta  # in both moments
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
    return theta - eta * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-3), m, v


def adamw(theta, m, v, g, t, eta, decay):
    moved, m, v = adam(theta, m, v, g, t, eta, 0.0)
    return moved - eta * decay * theta, m, v


RULES = {
    sgd: lambda **k: kd.SGD(RATE, **k),
    momentum: lambda **k: kd.SGD(RATE, momentum=0.8, **k),
    nesterov: lambda **k: kd.SGD(RATE, momentum=0.8, nesterov=True, **k),
    adam: lambda **k: kd.Adam(RATE, beta2=0.99, eps=1e-3, **k),
    adamw: lambda **k: kd.AdamW(RATE, beta2=0.99, eps=1e-3, **k),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_an_optimiser_is_its_equations(rule, decay, rng):
    """Over several steps, under a schedule, with decay of the weights and none of the biases."""
    net = kd.MLP(3, 4, 2, seed=3, dtype="float64")
    weights = np.zeros(net.theta.size)
    for start, stop, decays in net.slices:
        weights[start:stop] = decays
    optimizer = RULES[rule](weight_decay=decay)
    theta, m, v = net.theta.copy(), 0.0, 0.0
    for t, scale in enumerate((1.0, 0.4, 0.0, 0.7), 1):
        g = rng.normal(size=theta.size)
        net.grad[:], optimizer.scale = g, scale
        optimizer.step(net)
        theta, m, v = rule(theta, m, v, g, t, RATE * scale, decay * weights)
        np.testing.assert_allclose(net.theta, theta, rtol=1e-11, atol=1e-13)
