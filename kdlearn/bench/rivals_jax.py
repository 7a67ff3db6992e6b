"""JAX as a contender: steps compiled by `jit`, epochs by `scan`, many students by `vmap`, optimisers from optax."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdlearn.bench.work import ALPHA, Make, Many, Runner, T, batch_of, digits_table
from kdlearn.nn.layers import Linear
from kdlearn.nn.network import MLP

Parameters = list[list[tuple[Any, Any]]]  # for each network, for each layer, W and b
Loss = Callable[[Parameters, dict[str, Any], Any], Any]  # of the parameters, a batch and a key for dropout


def library(device: str) -> Any:
    """`jax` on that device, with float32 products as everybody else has them."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # others compute on the same card
    import jax

    jax.config.update("jax_default_matmul_precision", "float32")
    jax.config.update("jax_platforms", device)
    return jax


def parameters(net: MLP) -> list[tuple[np.ndarray, np.ndarray]]:
    """The weights of the package's network."""
    return [(layer.W.copy(), layer.b.copy()) for layer in net.layers if isinstance(layer, Linear)]


def flat(gradients: Any) -> np.ndarray:
    """Gradients in this package's order: of each network all weights, then all biases."""
    parts = [a for net in gradients for k in (0, 1) for a in [layer[k] for layer in net]]
    return np.concatenate([np.asarray(a).ravel() for a in parts])


def logits(layers: Sequence[tuple[Any, Any]], x: Any, dropout: Sequence[float] = (), key: Any = None) -> Any:
    """The output of a network."""
    return hidden(layers, x, dropout, key)[-1]


def hidden(layers: Sequence[tuple[Any, Any]], x: Any, dropout: Sequence[float] = (), key: Any = None) -> list[Any]:
    """What each layer puts out, the last one the logits."""
    import jax

    found = [x]
    for i, (W, b) in enumerate(layers):
        h = found[-1]
        if dropout and key is not None:
            keep = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout[i], h.shape)
            h = h * keep / (1 - dropout[i])
        a = h @ W + b
        found.append(jax.nn.relu(a) if i < len(layers) - 1 else a)
    return found[1:]


def hard(z: Any, y: Any) -> Any:
    """Cross-entropy, a mean over the batch."""
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()


def soft(z: Any, z_t: Any) -> Any:
    """T² KL, a mean over the batch."""
    import jax
    import optax

    p = jax.nn.log_softmax(z_t / T)
    return T * T * optax.losses.kl_divergence_with_log_targets(jax.nn.log_softmax(z / T), p).mean()


def both(z: Any, b: dict[str, Any]) -> Any:
    """0.3 cross-entropy + 0.7 soft targets."""
    return (1 - ALPHA) * hard(z, b["y"]) + ALPHA * soft(z, b["teacher.logits"])


def rule_of(name: str) -> Any:
    """Adam, or SGD with Nesterov's momentum."""
    import optax

    return optax.adam(1e-3) if name == "adam" else optax.sgd(0.01, momentum=0.9, nesterov=True)


def stepper(loss: Loss, rule: Any) -> Callable[..., Any]:
    """`step(parameters, state, batch, key) -> (parameters, state, value)`, not yet compiled."""
    import jax
    import optax

    def step(theta: Any, state: Any, b: dict[str, Any], key: Any = None) -> Any:
        value, gradient = jax.value_and_grad(loss)(theta, b, key)
        moves, state = rule.update(gradient, state, theta)
        return optax.apply_updates(theta, moves), state, value

    return step


def steps(nets: Sequence[MLP], n_in: int, loss: Loss, rule: str = "adam", dropout: bool = False) -> dict[str, Make]:
    """Training steps of some networks on the batch that everybody has."""

    def make(device: str) -> Runner:
        jax = library(device)
        optimizer = rule_of(rule)
        theta = jax.device_put([parameters(net) for net in nets])
        b = jax.device_put(batch_of(n_in, extra=1200))
        first = flat(jax.jit(jax.grad(loss))(theta, b, None))
        step = jax.jit(stepper(loss, optimizer), donate_argnums=(0, 1))
        now = [theta, optimizer.init(theta), jax.random.key(0)]

        def run() -> None:
            key = None
            if dropout:
                now[2], key = jax.random.split(now[2])
            now[0], now[1], _ = step(now[0], now[1], b, key)

        return Runner(run, lambda: first, lambda: jax.block_until_ready(now[0]))

    return {"JAX": make}


def students(sizes: Sequence[int], rule: str, labels: bool = False) -> dict[str, Make]:
    """A student on labels and soft targets, or (labels) a teacher with dropout on labels alone."""

    def loss(nets: Parameters, b: dict[str, Any], key: Any) -> Any:
        if labels:
            return hard(logits(nets[0], b["x"], (0.2, 0.5, 0.5), key), b["y"])
        return both(logits(nets[0], b["x"]), b)

    return steps([MLP(*sizes, seed=0)], sizes[0], loss, rule, dropout=labels)


def mutual(sizes: Sequence[int]) -> dict[str, Make]:
    """Two students; what teaches is held."""

    def loss(nets: Parameters, b: dict[str, Any], key: Any) -> Any:
        import jax

        first, second = (logits(net, b["x"]) for net in nets)
        taught = soft(first, jax.lax.stop_gradient(second)) + soft(second, jax.lax.stop_gradient(first))
        return hard(first, b["y"]) + hard(second, b["y"]) + taught

    return steps([MLP(*sizes, seed=i) for i in (0, 1)], sizes[0], loss)


def exits(sizes: Sequence[int]) -> dict[str, Make]:
    """Linear classifiers on both hidden layers, taught by labels and by the deep end."""

    def loss(nets: Parameters, b: dict[str, Any], key: Any) -> Any:
        import jax

        h1, h2, z = hidden(nets[0], b["x"])
        held = {**b, "teacher.logits": jax.lax.stop_gradient(z)}
        return hard(z, b["y"]) + sum(both(logits(head, h), held) for head, h in zip(nets[1:], (h1, h2)))

    return steps([MLP(*sizes, seed=0), MLP(800, 10, seed=1), MLP(800, 10, seed=2)], sizes[0], loss)


def hint(sizes: Sequence[int]) -> dict[str, Make]:
    """Soft targets, and half the squared distance of the projected last hidden layer."""

    def loss(nets: Parameters, b: dict[str, Any], key: Any) -> Any:
        _, h2, z = hidden(nets[0], b["x"])
        distance = ((logits(nets[1], h2) - b["teacher.h"]) ** 2).sum() / (2 * len(h2))
        return both(z, b) + 1e-3 * distance

    return steps([MLP(*sizes, seed=0), MLP(800, 1200, seed=1)], sizes[0], loss)


def inference(sizes: Sequence[int]) -> dict[str, Make]:
    """Logits of 12,000 rows."""
    return _calls(logits, lambda: (parameters(MLP(*sizes, seed=0)), batch_of(sizes[0], 12_000)["x"]))


def softmax(rows: int, K: int) -> dict[str, Make]:
    """Softmax of logits over a temperature."""

    def at_T(z: Any) -> Any:
        import jax

        return jax.nn.softmax(z / T)

    return _calls(at_T, lambda: (np.random.default_rng(0).standard_normal((rows, K), np.float32),))


def _calls(function: Callable[..., Any], given: Callable[[], tuple[Any, ...]]) -> dict[str, Make]:
    def make(device: str) -> Runner:
        jax = library(device)
        call, held, last = jax.jit(function), jax.device_put(given()), [None]

        def run() -> None:
            last[0] = call(*held)

        return Runner(run, wait=lambda: jax.block_until_ready(last[0]))

    return {"JAX": make}


def _kd(nets: Parameters, b: dict[str, Any], key: Any) -> Any:
    return both(logits(nets[0], b["x"]), b)


def _epoch(optimizer: Any, batch: int) -> Callable[..., Any]:
    """`epoch(parameters, state, table, order)`: a scan over whole batches, then what is left."""
    import jax

    step = stepper(_kd, optimizer)

    def epoch(theta: Any, state: Any, table: dict[str, Any], order: Any) -> Any:
        shuffled = {name: a[order] for name, a in table.items()}
        whole = len(order) // batch * batch
        pieces = {name: a[:whole].reshape(-1, batch, *a.shape[1:]) for name, a in shuffled.items()}

        def one(now: Any, b: dict[str, Any]) -> Any:
            theta, state, value = step(*now, b)
            return (theta, state), value

        (theta, state), _ = jax.lax.scan(one, (theta, state), pieces)
        if whole < len(order):
            theta, state, _ = step(theta, state, {name: a[whole:] for name, a in shuffled.items()})
        return theta, state

    return epoch


def epochs(sizes: Sequence[int]) -> dict[str, Make]:
    """One epoch of digits in batches of 32, shuffled: one compiled scan."""
    return {"JAX": many(Many(1, tuple(sizes), len(digits_table()["y"]), 32, 1))["JAX, one by one"]}


def many(work: Many) -> dict[str, Make]:
    """R students: all at once under `vmap`, and one after the other."""
    return {"JAX": functools.partial(_many, work, True), "JAX, one by one": functools.partial(_many, work, False)}


def _many(work: Many, together: bool, device: str) -> Runner:
    jax = library(device)
    optimizer, rng = rule_of("adam"), np.random.default_rng(0)
    table = jax.device_put(work.table())
    each = [[parameters(MLP(*work.sizes, seed=i))] for i in range(work.members)]
    epoch = _epoch(optimizer, work.batch)

    def train(theta: Any, state: Any, orders: Any) -> Any:  # orders: (epochs, rows)
        return jax.lax.scan(lambda now, order: (epoch(*now, table, order), None), (theta, state), orders)[0]

    if together:
        stacked = jax.tree.map(lambda *a: np.stack(a), *each)
        states = [stacked := jax.device_put(stacked), jax.vmap(optimizer.init)(stacked)]
        go = jax.jit(jax.vmap(train, in_axes=(0, 0, 1)), donate_argnums=(0, 1))

        def run() -> None:
            states[:] = go(*states, work.orders(rng))

        rows = {name: a[: work.batch] for name, a in table.items()}
        first = flat(jax.vmap(jax.grad(_kd), in_axes=(0, None, None))(stacked, rows, None))
        return Runner(run, lambda: first, lambda: jax.block_until_ready(states))

    singles = [[theta := jax.device_put(own), optimizer.init(theta)] for own in each]
    alone = jax.jit(train, donate_argnums=(0, 1))

    def run_each() -> None:
        orders = work.orders(rng)
        for i, now in enumerate(singles):
            now[:] = alone(*now, orders[:, i])

    return Runner(run_each, wait=lambda: jax.block_until_ready(singles))
