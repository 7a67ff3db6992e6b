"""Distillation in forty lines of NumPy, without the package: nothing is hidden.

    python docs/guides/forty_lines.py

Both networks end with the weights that `kd.fit` gives them, to rounding; a test holds
that. What is printed is one split and one seed: it shows that it runs, no more.
"""

import numpy as np
from sklearn.datasets import load_digits

T, ALPHA, RATE, EPOCHS, BATCH = 4.0, 0.3, 5e-3, 80, 64


def softmax(z, T=1.0):
    e = np.exp((z - z.max(axis=1, keepdims=True)) / T)
    return e / e.sum(axis=1, keepdims=True)


def network(H, seed):
    rng = np.random.default_rng(seed)
    W, V = rng.standard_normal((64, H)), rng.standard_normal((H, 10))
    return [W * np.sqrt(2 / 64), np.zeros(H), V * np.sqrt(1 / H), np.zeros(10)]


def forward(net, x):
    W, b, V, c = net
    h = np.maximum(x @ W + b, 0)
    return h, h @ V + c


def train(net, x, y, teacher=None):
    order = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0,)))
    m, v, t = [0 * a for a in net], [0 * a for a in net], 0
    for _ in range(EPOCHS):
        rows = order.permutation(len(x))
        for n in (rows[i : i + BATCH] for i in range(0, len(x), BATCH)):
            h, z = forward(net, x[n])
            dz = softmax(z) - np.eye(10)[y[n]]  # of the cross-entropy with the labels
            if teacher:
                q, p = softmax(z, T), softmax(forward(teacher, x[n])[1], T)
                dz = ALPHA * dz + (1 - ALPHA) * T * (q - p)  # of T² KL(p||q)
            dz /= len(n)
            da = dz @ net[2].T * (h > 0)
            t += 1
            gradients = x[n].T @ da, da.sum(0), h.T @ dz, dz.sum(0)
            for k, g in enumerate(gradients):  # Adam
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g**2
                root = np.sqrt(v[k] / (1 - 0.999**t))
                net[k] -= RATE * m[k] / (1 - 0.9**t) / (root + 1e-8)
    return net


if __name__ == "__main__":
    x, y = load_digits(return_X_y=True)
    x = x / 16
    teacher = train(network(128, seed=2), x[:1200], y[:1200])
    alone = train(network(16, seed=1), x[:200], y[:200])
    taught = train(network(16, seed=1), x[:200], y[:200], teacher)
    for name, net in {"teacher": teacher, "alone": alone, "taught": taught}.items():
        answers = forward(net, x[1200:])[1].argmax(axis=1)
        print(f"{name:8}{(answers == y[1200:]).mean():.3f}")
