"""The other contenders of the benchmark: PyTorch, eager and compiled, and scikit-learn.

Each is written as its users would write it, with its fastest settings: fused optimisers, and of
the two ways to clear gradients the one that is quicker here. All start from this package's weights.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdlearn.bench.work import ALPHA, BATCH, Make, Many, Runner, T, batch_of, digits_table
from kdlearn.nn.layers import Linear
from kdlearn.nn.network import MLP


def both(make: Callable[[Any, str, Callable], Runner]) -> dict[str, Make]:
    """PyTorch twice, eager and compiled: `make(torch, device, wrap)`, where `wrap` compiles a function or leaves it."""

    def contender(compiled: bool) -> Make:
        def build(device: str) -> Runner:
            import torch

            torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
            mode = "default" if device == "cpu" else "reduce-overhead"  # the latter replays CUDA graphs
            wrap = functools.partial(torch.compile, dynamic=False, mode=mode) if compiled else lambda function: function
            return make(torch, device, wrap)

        return build

    return {"PyTorch": contender(False), "torch.compile": contender(True)}


def network(torch: Any, net: MLP, dropout: Sequence[float] = ()) -> Any:
    """The same layers with the same weights as a `torch.nn.Sequential`."""
    layers: list[Any] = []
    linear = [layer for layer in net.layers if isinstance(layer, Linear)]
    for i, layer in enumerate(linear):
        if dropout:
            layers.append(torch.nn.Dropout(dropout[i]))
        copy = torch.nn.Linear(*layer.W.shape)
        with torch.no_grad():
            copy.weight.copy_(torch.from_numpy(layer.W.T.copy()))
            copy.bias.copy_(torch.from_numpy(layer.b.copy()))
        layers += [copy, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def gradient_of(net: Any) -> np.ndarray:
    """Gradients in this package's order: all weights as (in, out), then all biases."""
    linear = [layer for layer in net if hasattr(layer, "weight")]
    parts = [layer.weight.grad.T.ravel() for layer in linear] + [layer.bias.grad for layer in linear]
    return np.concatenate([part.detach().cpu().numpy().ravel() for part in parts])


def columns(torch: Any, device: str, n_in: int) -> dict[str, Any]:
    """The batch of `batch_of` as tensors."""
    return {n: torch.from_numpy(a).to(device) for n, a in batch_of(n_in, extra=1200).items()}


def soft_targets(torch: Any, z: Any, z_t: Any) -> Any:
    """T² KL, a mean over the batch."""
    F = torch.nn.functional
    p = F.log_softmax(z_t / T, 1)
    return T * T * F.kl_div(F.log_softmax(z / T, 1), p, reduction="batchmean", log_target=True)


def kd_loss(torch: Any, z: Any, y: Any, z_t: Any) -> Any:
    """0.3 cross-entropy + 0.7 soft targets."""
    return (1 - ALPHA) * torch.nn.functional.cross_entropy(z, y) + ALPHA * soft_targets(torch, z, z_t)


def stepper(torch: Any, nets: Sequence[Any], loss: Callable[[], Any], rule: str, wrap: Callable) -> Runner:
    """One training step: the loss, backward, and a fused optimiser."""
    parameters = [p for net in nets for p in net.parameters()]
    if rule == "adam":
        optimizer = torch.optim.Adam(parameters, fused=True)
    else:
        optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, fused=True)
    compute = wrap(loss)

    def run(to_none: bool) -> None:
        optimizer.zero_grad(set_to_none=to_none)
        compute().backward()
        optimizer.step()

    def gradient() -> np.ndarray:
        optimizer.zero_grad()
        modules = [(m, m.training) for net in nets for m in net]
        for m, _ in modules:
            m.eval()  # as ours: without dropout
        compute().backward()
        for m, training in modules:
            m.train(training)
        return np.concatenate([gradient_of(net) for net in nets])

    first = gradient()

    def seconds(to_none: bool) -> float:
        run(to_none)
        began = time.perf_counter()
        for _ in range(10):
            run(to_none)
        return time.perf_counter() - began

    to_none = seconds(True) < seconds(False)
    return Runner(lambda: run(to_none), lambda: first)


def steps(make: Callable[[Any, str], tuple[Sequence[Any], Callable[[], Any]]], rule: str = "adam") -> dict[str, Make]:
    """Training steps of the networks and the loss that `make(torch, device)` returns."""
    return both(lambda torch, device, wrap: stepper(torch, *make(torch, device), rule, wrap))


# ---------------------------------------------------------------- works


def students(sizes: Sequence[int], rule: str, labels: bool = False) -> dict[str, Make]:
    """A student on labels and soft targets, or (labels) a teacher with dropout on labels alone.

    scikit-learn's step knows labels only, so it does a little less.
    """

    def make(torch: Any, device: str) -> tuple[Sequence[Any], Callable[[], Any]]:
        net = network(torch, MLP(*sizes, seed=0), (0.2, 0.5, 0.5) if labels else ()).to(device)
        b = columns(torch, device, sizes[0])
        if labels:
            return [net], lambda: torch.nn.functional.cross_entropy(net(b["x"]), b["y"])
        return [net], lambda: kd_loss(torch, net(b["x"]), b["y"], b["teacher.logits"])

    return {**steps(make, rule), **({} if labels else _sklearn(sizes, rule, BATCH, lambda: batch_of(sizes[0])))}


def mutual(sizes: Sequence[int]) -> dict[str, Make]:
    """Two students; what teaches is detached."""

    def make(torch: Any, device: str) -> tuple[Sequence[Any], Callable[[], Any]]:
        cross_entropy = torch.nn.functional.cross_entropy
        a, b = (network(torch, MLP(*sizes, seed=i)).to(device) for i in (0, 1))
        c = columns(torch, device, sizes[0])

        def loss() -> Any:
            z_a, z_b = a(c["x"]), b(c["x"])
            taught = soft_targets(torch, z_a, z_b.detach()) + soft_targets(torch, z_b, z_a.detach())
            return cross_entropy(z_a, c["y"]) + cross_entropy(z_b, c["y"]) + taught

        return [a, b], loss

    return steps(make)


def exits(sizes: Sequence[int]) -> dict[str, Make]:
    """Linear classifiers on both hidden layers, taught by labels and by the detached deep end."""

    def make(torch: Any, device: str) -> tuple[Sequence[Any], Callable[[], Any]]:
        net = network(torch, MLP(*sizes, seed=0)).to(device)
        heads = [network(torch, MLP(800, 10, seed=i)).to(device) for i in (1, 2)]
        c = columns(torch, device, sizes[0])

        def loss() -> Any:
            h1 = net[1](net[0](c["x"]))
            h2 = net[3](net[2](h1))
            z = net[4](h2)
            total = torch.nn.functional.cross_entropy(z, c["y"])
            for head, h in zip(heads, (h1, h2)):
                total = total + kd_loss(torch, head(h), c["y"], z.detach())
            return total

        return [net, *heads], loss

    return steps(make)


def hint(sizes: Sequence[int]) -> dict[str, Make]:
    """Soft targets, and half the squared distance of the projected last hidden layer."""

    def make(torch: Any, device: str) -> tuple[Sequence[Any], Callable[[], Any]]:
        net = network(torch, MLP(*sizes, seed=0)).to(device)
        projector = network(torch, MLP(800, 1200, seed=1)).to(device)
        c = columns(torch, device, sizes[0])

        def loss() -> Any:
            h2 = net[3](net[2](net[1](net[0](c["x"]))))
            distance = ((projector(h2) - c["teacher.h"]) ** 2).sum() / (2 * len(h2))
            return kd_loss(torch, net[4](h2), c["y"], c["teacher.logits"]) + 1e-3 * distance

        return [net, projector], loss

    return steps(make)


def epochs(sizes: Sequence[int]) -> dict[str, Make]:
    """One epoch of digits in batches of 32, shuffled."""

    def make(torch: Any, device: str, wrap: Callable) -> Runner:
        net = network(torch, MLP(*sizes, seed=0)).to(device)
        table = {n: torch.from_numpy(a).to(device) for n, a in digits_table().items()}
        optimizer = torch.optim.Adam(net.parameters(), fused=True)
        compute = wrap(lambda x, y, z_t: kd_loss(torch, net(x), y, z_t))

        def run() -> None:
            order = torch.randperm(len(table["y"]), device=device)
            x, y, z_t = (table[n][order] for n in ("x", "y", "teacher.logits"))
            for i in range(0, len(y), 32):
                rows = slice(i, i + 32)
                optimizer.zero_grad()
                compute(x[rows], y[rows], z_t[rows]).backward()
                optimizer.step()

        return Runner(run)

    return {**both(make), **_sklearn(sizes, "adam", 32, digits_table)}


def inference(sizes: Sequence[int]) -> dict[str, Make]:
    """Logits of 12,000 rows, without gradients."""

    def make(torch: Any, device: str, wrap: Callable) -> Runner:
        call = wrap(network(torch, MLP(*sizes, seed=0)).to(device).eval())
        x = torch.from_numpy(batch_of(sizes[0], 12_000)["x"]).to(device)
        return Runner(torch.inference_mode()(lambda: call(x)))

    return both(make)


def soft(rows: int, K: int) -> dict[str, Make]:
    """Softmax of logits over a temperature."""

    def make(torch: Any, device: str, wrap: Callable) -> Runner:
        z = torch.from_numpy(np.random.default_rng(0).standard_normal((rows, K), np.float32)).to(device)
        return Runner(wrap(lambda: torch.softmax(z / T, 1)))

    return both(make)


def many(work: Many) -> dict[str, Make]:
    """R students at once: `torch.func` maps one student's gradient over stacked weights."""

    def make(device: str) -> Runner:
        import torch
        from torch.func import functional_call, grad, stack_module_state, vmap

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        nets = [network(torch, MLP(*work.sizes, seed=i)).to(device) for i in range(work.members)]
        stacked, _ = stack_module_state(nets)
        table = {n: torch.from_numpy(a).to(device) for n, a in work.table().items()}
        rng, optimizer = np.random.default_rng(0), torch.optim.Adam(stacked.values(), fused=True)

        def loss(theta: dict[str, Any], x: Any, y: Any, z_t: Any) -> Any:
            return kd_loss(torch, functional_call(nets[0], theta, (x,)), y, z_t)

        gradients = vmap(grad(loss))

        def descend(rows: Any) -> dict[str, Any]:
            held = {name: a.detach() for name, a in stacked.items()}
            return gradients(held, *(table[n][rows] for n in ("x", "y", "teacher.logits")))

        def run() -> None:
            for orders in torch.from_numpy(work.orders(rng)).to(device):
                for i in range(0, work.rows, work.batch):
                    for name, g in descend(orders[:, i : i + work.batch]).items():
                        stacked[name].grad = g
                    optimizer.step()

        first = descend(torch.arange(work.batch, device=device).repeat(work.members, 1))
        names = [n for n in first if n.endswith("weight")], [n for n in first if n.endswith("bias")]
        parts = [first[n].transpose(1, 2) for n in names[0]] + [first[n] for n in names[1]]
        whole = np.concatenate([part.cpu().numpy().ravel() for part in parts])
        return Runner(run, lambda: whole)

    return {"torch.func": make}


def _sklearn(
    sizes: Sequence[int], rule: str, batch_size: int, table: Callable[[], dict[str, np.ndarray]]
) -> dict[str, Make]:
    def make(device: str) -> Runner:
        from sklearn.neural_network import MLPClassifier

        nesterov = {"solver": "sgd", "momentum": 0.9, "learning_rate_init": 0.01}
        settings: dict[str, Any] = {"solver": "adam"} if rule == "adam" else nesterov
        model = MLPClassifier(sizes[1:-1], alpha=0, batch_size=batch_size, random_state=0, **settings)
        rows = table()
        model.partial_fit(rows["x"], rows["y"], classes=np.arange(10))
        return Runner(lambda: model.partial_fit(rows["x"], rows["y"]))

    return {"scikit-learn": make}
