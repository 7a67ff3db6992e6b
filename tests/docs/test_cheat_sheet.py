"""The gradients on docs/cheat_sheet.md, written here as they are printed there, are those of the package."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import kdlearn as kd

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cheat_sheet.md"
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text("utf-8"), flags=re.M))
rng = np.random.default_rng(0)
N, K, T = 3, 5, 2.0
z_s, z_t, y = rng.normal(size=(N, K)), rng.normal(size=(N, K)), np.array([0, 3, 1])
h_s, h_t = rng.normal(size=(N, K)), rng.normal(size=(N, K))
p, q, e_y, delta = kd.softmax(z_t, T), kd.softmax(z_s, T), kd.one_hot(y, K, "float64"), (z_s - z_t) / T
q1, p1 = kd.softmax(z_s), kd.softmax(z_t)
m, sigma = 0.3 * p + 0.7 * q, np.sign(q - p)


def total(a):
    return a.sum(axis=1, keepdims=True)


def unit(a):
    return a / np.sqrt(total(a * a))


def others(a):
    return (1 - e_y) * a / total((1 - e_y) * a)


p_hat, q_hat, p_y, q_y = others(p), others(q), total(e_y * p), total(e_y * q)
z = [(a - a.mean(axis=1, keepdims=True)) / a.std(axis=1, keepdims=True) for a in (z_s, z_t)]
G = T * (kd.softmax(z[0], T) - kd.softmax(z[1], T))
P = kd.softmax(unit(h_s) @ unit(h_t).T, 0.5)


def means(a):
    return a.mean(axis=1, keepdims=True)


PRINTED = {  # name: (the gradient's LaTeX, the same in NumPy, what the package returns)
    "cross_entropy": (r"q - e_y", q1 - e_y, kd.cross_entropy(z_s, y)),
    "soft_targets": (r"T\,(q - p)", T * (q - p), kd.soft_targets(z_s, z_t, T)),
    "logit_matching": (r"z_s - z_t", z_s - z_t, kd.logit_matching(z_s, z_t)),
    "reverse_kl": (
        r"T\,q\,(\delta - \sum_k q_k \delta_k)",
        T * q * (delta - total(q * delta)),
        kd.reverse_kl(z_s, z_t, T),
    ),
    "jensen_shannon": (
        r"T (1-\beta)\,q\,(\log \frac qm - \mathrm{KL}(q \Vert m))",
        T * 0.7 * q * (np.log(q / m) - total(q * np.log(q / m))),
        kd.jensen_shannon(z_s, z_t, T=T, beta=0.3),
    ),
    "total_variation": (
        r"\tfrac12\,q\,(\sigma - \sum_k q_k \sigma_k)",
        q * (sigma - total(q * sigma)) / 2,
        kd.total_variation(z_s, z_t, T=T),
    ),
    "decoupled_kd": (
        r"T[\alpha\,(q_y - p_y)(e_y - \hat q) + \beta\,(\hat q - \hat p)]",
        T * (1.5 * (q_y - p_y) * (e_y - q_hat) + 0.5 * (q_hat - p_hat)),
        kd.decoupled_kd(z_s, z_t, y, T=T, alpha=1.5, beta=0.5),
    ),
    "normalized_kd": (
        r"p_y\,(q - e_y) + \gamma T\,(\hat q - \hat p)",
        total(e_y * p1) * (q1 - e_y) + 1.5 * T * (q_hat - p_hat),
        kd.normalized_kd(z_s, z_t, y, T=T, gamma=1.5),
    ),
    "standardized_kd": (
        r"\frac1\sigma (G - \bar G - Z_s\,\overline{G Z_s})",
        (G - means(G) - z[0] * means(G * z[0])) / z_s.std(axis=1, keepdims=True),
        kd.standardized_kd(z_s, z_t, T=T),
    ),
    "squared_error": (r"h_s - h_t", h_s - h_t, kd.squared_error(h_s, h_t)),
    "cosine_distance": (
        r"((\hat h_s \cdot \hat h_t)\,\hat h_s - \hat h_t)/\Vert h_s \Vert",
        (total(unit(h_s) * unit(h_t)) * unit(h_s) - unit(h_t)) / np.sqrt(total(h_s * h_s)),
        kd.cosine_distance(h_s, h_t),
    ),
    "activation_boundary": (
        r"2 r",
        2 * np.where(h_t > 0, np.minimum(h_s - 1, 0), np.maximum(h_s + 1, 0)),
        kd.activation_boundary(h_s, h_t, margin=1.0),
    ),
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_printed_gradient_is_that_of_the_package(name):
    formula, gradient, (_, returned) = PRINTED[name]
    assert f"${formula}$" in ROWS[name].split(" | ")[1], "transcribe the page's gradient anew"
    assert np.allclose(gradient / N, returned)


def test_every_loss_on_the_sheet_is_public():
    assert len(ROWS) > 18
    assert [name for name in ROWS if not callable(getattr(kd, name, None))] == []


def test_printed_limits():
    far = [a - means(a) for a in (z_s, z_t)]
    assert np.allclose(kd.soft_targets(z_s, z_t, 1e6)[1] * N, (far[0] - far[1]) / K)
    assert np.isclose(kd.decoupled_kd(z_s[:1], z_t[:1], y[:1], T=T, alpha=1.0, beta=float(1 - p_y[0, 0]))[0],
                      kd.soft_targets(z_s[:1], z_t[:1], T)[0])  # fmt: skip
    assert np.abs(kd.reverse_kl(np.array([[0.0, -40.0]]), np.array([[0.0, 0.0]]))[1]).max() < 1e-3
    for scale, loss in ((7.0, kd.standardized_kd), (3.0, kd.linear_cka), (3.0, kd.relational_distance)):
        assert np.isclose(loss(scale * z_s, z_t)[0], loss(z_s, z_t)[0])
