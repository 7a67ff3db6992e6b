"""One training step over widths and batches, on the CPU and on a GPU: who is faster from where on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from kdlearn.backend import array_module, to_device
from kdlearn.bench.ours import kd_loss
from kdlearn.bench.work import batch_of, step_products, waiter
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Adam
from kdlearn.step import train_step

WIDTHS, ROWS = (32, 128, 512, 2048), (32, 256, 2048, 16384)
SIDE = 8192  # of the square product, and of the copy, that stand for what a card can do
LONG = 5e10  # operations of a step beyond which the CPU is not asked


def scaling(threads: int = 1, widths: Iterable[int] = WIDTHS, rows: Iterable[int] = ROWS) -> dict[str, Any]:
    """Milliseconds of a step of 784-H-H-10 for each width H and batch N, and the card's own limits.

    Returns `{"card", "product": TFLOP/s, "copy": TB/s, "threads", "steps": [{"width", "rows", "gpu", "cpu",
    "share"}, …]}`; `share` is the step's operations a second as a share of the product's, and `cpu` None where a step
    would take seconds.
    """
    found = limits()
    steps = []
    with threadpool_limits(threads):
        for width in widths:
            for n in rows:
                operations = 2 * sum(a * b * c for a, b, c in step_products((784, width, width, 10), n))
                gpu = _step(width, n, "cuda")
                cpu = _step(width, n, "cpu") if operations < LONG else None
                share = operations / gpu / 1e9 / found["product"]
                steps.append({"width": width, "rows": n, "gpu": gpu, "cpu": cpu, "share": share})
    return {**found, "threads": threads, "steps": steps}


def limits() -> dict[str, Any]:
    """What the card does with one large float32 product, TFLOP/s, and one large copy, TB/s read and written."""
    like = to_device(np.zeros((1, 1), np.float32), "cuda")
    xp = array_module(like)
    a = xp.full((SIDE, SIDE), 0.5, "float32") + to_device(np.random.default_rng(0).random(SIDE, np.float32), "cuda")
    out = xp.empty_like(a)
    name = xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    product = _milliseconds(lambda: xp.matmul(a, a, out=out), "cuda")
    copy = _milliseconds(lambda: xp.copyto(out, a), "cuda")
    return {"card": name, "product": 2 * SIDE**3 / product / 1e9, "copy": 2 * a.nbytes / copy / 1e9}


def _step(width: int, rows: int, device: str) -> float:
    net, goal, rule = MLP(784, width, width, 10, seed=0).to(device), kd_loss(), Adam()
    batch = {name: to_device(a, device) for name, a in batch_of(784, rows).items()}
    return _milliseconds(lambda: train_step(net, None, goal, batch, optimizer=rule), device)


def _milliseconds(run: Callable[[], Any], device: str) -> float:
    """The median of five bursts of 0.04 seconds, after three warm-up runs."""
    wait = waiter(device)
    for _ in range(3):
        run()
    bursts: list[float] = []
    n = 1
    for i in range(6):
        wait()
        began = time.perf_counter()
        for _ in range(n):
            run()
        wait()
        bursts.append((time.perf_counter() - began) / n)
        if i == 0:
            n = max(1, round(0.04 / max(bursts.pop(), 1e-7)))
    return 1e3 * float(np.median(bursts))


def format_scaling(found: Mapping[str, Any]) -> str:
    """A row for each width and batch; the CPU's time as a multiple of the GPU's, so above 1 the GPU is faster."""
    lines = [
        f"one step of 784-H-H-10, labels and soft targets, Adam; {found['card']}, CPU threads: {found['threads']}",
        f"the card's float32 product {found['product']:.1f} TFLOP/s, its copy {found['copy']:.2f} TB/s",
        f"{'H':>6}{'N':>8}{'GPU, ms':>10}{'CPU, ms':>10}{'CPU / GPU':>11}{'rate, % of one large product':>30}",
    ]
    for s in found["steps"]:
        cpu = (f"{s['cpu']:>10.3f}{s['cpu'] / s['gpu']:>11.2f}") if s["cpu"] else f"{'':>21}"
        lines.append(f"{s['width']:>6}{s['rows']:>8}{s['gpu']:>10.3f}{cpu}{100 * s['share']:>30.1f}")
    return "\n".join(lines)
