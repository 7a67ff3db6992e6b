"""Thinc as a contender: layers with hand-written backward passes, as here, on NumPy with its own C kernels.

It has no loss that takes a teacher, so its user writes the gradient, without the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdlearn.bench.work import ALPHA, Make, Runner, T, batch_of, digits_table
from kdlearn.nn.layers import Linear
from kdlearn.nn.network import MLP


def step(sizes: Sequence[int], dropout: Sequence[float] = ()) -> dict[str, Make]:
    """One training step on labels and soft targets, or (with dropout) on labels alone."""

    def make(device: str) -> Runner:
        _needs_the_cpu(device)
        model, rule, b = _network(sizes, dropout), _adam(), batch_of(sizes[0])
        z_t = None if dropout else b["teacher.logits"]

        def backward(training: bool) -> None:
            z, back = model(b["x"], is_train=training)
            back(_gradient(model.ops, z, b["y"], z_t))

        def gradient() -> np.ndarray:
            backward(False)  # without dropout, as ours
            made = [layer for layer in model.walk() if layer.has_param("W")]
            parts = [layer.get_grad("W").T.ravel() for layer in made] + [layer.get_grad("b") for layer in made]
            found = np.concatenate(parts)
            for layer in made:
                layer.set_grad("W", 0 * layer.get_grad("W"))
                layer.set_grad("b", 0 * layer.get_grad("b"))
            return found

        def run() -> None:
            backward(True)
            model.finish_update(rule)

        return Runner(run, gradient)

    return {"thinc": make}


def epochs(sizes: Sequence[int]) -> dict[str, Make]:
    """One epoch of digits in batches of 32, shuffled."""

    def make(device: str) -> Runner:
        _needs_the_cpu(device)
        model, rule, table, rng = _network(sizes), _adam(), digits_table(), np.random.default_rng(0)

        def run() -> None:
            order = rng.permutation(len(table["y"]))
            x, y, z_t = (table[n][order] for n in ("x", "y", "teacher.logits"))
            for i in range(0, len(y), 32):
                rows = slice(i, i + 32)
                z, back = model.begin_update(x[rows])
                back(_gradient(model.ops, z, y[rows], z_t[rows]))
                model.finish_update(rule)

        return Runner(run)

    return {"thinc": make}


def inference(sizes: Sequence[int]) -> dict[str, Make]:
    """Logits of 12,000 rows."""

    def make(device: str) -> Runner:
        _needs_the_cpu(device)
        model, x = _network(sizes), batch_of(sizes[0], 12_000)["x"]
        return Runner(lambda: model.predict(x))

    return {"thinc": make}


def _needs_the_cpu(device: str) -> None:
    if device != "cpu":
        raise RuntimeError("compared on the CPU only")


def _network(sizes: Sequence[int], dropout: Sequence[float] = ()) -> Any:
    """The same layers with the same weights as `MLP(*sizes, seed=0)`."""
    from thinc.api import Dropout, Relu, chain
    from thinc.api import Linear as Affine

    linear = [layer for layer in MLP(*sizes, seed=0).layers if isinstance(layer, Linear)]
    layers: list[Any] = []
    for i, layer in enumerate(linear):
        if dropout:
            layers.append(Dropout(dropout[i]))
        made = (Affine if layer is linear[-1] else Relu)(nO=layer.W.shape[1], nI=layer.W.shape[0])
        made.set_param("W", layer.W.T.copy())
        made.set_param("b", layer.b.copy())
        layers.append(made)
    return chain(*layers)


def _adam() -> Any:
    from thinc.api import Adam

    return Adam(1e-3, grad_clip=0.0, use_averages=False)


def _gradient(ops: Any, z: Any, y: Any, z_t: Any | None) -> Any:
    d = ops.softmax(z)
    d[np.arange(len(y)), y] -= 1
    if z_t is not None:
        d *= 1 - ALPHA
        d += ALPHA * T * (ops.softmax(z / T) - ops.softmax(z_t / T))
    d /= len(y)
    return d
