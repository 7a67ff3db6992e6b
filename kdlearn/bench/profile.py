"""Where the time of one training step goes: the parts, timed one by one on the same batch."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

from kdlearn.bench.ours import kd_gradient, kd_loss
from kdlearn.bench.work import BATCH, SMALL, WIDE, T, batch_of
from kdlearn.distill.response import cross_entropy, soft_targets
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Adam
from kdlearn.step import train_step


def parts(sizes: Sequence[int], rows: int, repeats: int = 200) -> dict[str, float]:
    """Microseconds of each part of a step, the quickest of many repeats; "rest" is what the whole step takes beside."""
    net, rule, b = MLP(*sizes, seed=0), Adam(), batch_of(sizes[0], rows)
    sites, caches = net.forward(b["x"])
    z = sites["logits"]
    found: dict[str, float] = {}
    x = b["x"]
    for layer in net.layers:
        found[f"forward {layer!r}"] = _quickest(functools.partial(layer.forward, x), repeats)
        x, _ = layer.forward(x)
    found["cross-entropy"] = _quickest(lambda: cross_entropy(z, b["y"]), repeats)
    found["soft targets"] = _quickest(lambda: soft_targets(z, b["teacher.logits"], T), repeats)
    d = kd_gradient(z, b["y"], b["teacher.logits"])
    for i in reversed(range(len(net.layers))):
        layer, cache = net.layers[i], caches[i]
        back = functools.partial(layer.backward, d, cache, need_dx=i > 0)
        found[f"backward {layer!r}"] = _quickest(back, repeats)
        d = back()
    found["Adam"] = _quickest(lambda: rule.step(net), repeats)
    goal = kd_loss()
    whole = _quickest(lambda: train_step(net, None, goal, b, optimizer=rule), repeats)
    found["rest"] = max(0.0, whole - sum(found.values()))
    return found


def _quickest(call: Callable[[], Any], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return 1e6 * best


def figure() -> Any:
    """A large step and a small one, side by side."""
    import matplotlib.pyplot as plt

    from kdlearn import plots

    fig, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for ax, (sizes, rows) in zip(axes, ((WIDE, BATCH), (SMALL, 32))):
        found = parts(sizes, rows)
        total = sum(found.values())
        title = f"{'-'.join(map(str, sizes))}, batch {rows}: {total / 1000:.2f} ms a step"
        plots.shares(found, ax=ax).set_title(title, fontsize=10)
    return fig
