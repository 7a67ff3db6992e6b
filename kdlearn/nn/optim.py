"""Optimisers and schedules: each rule is one expression over a flat vector.

An optimiser sees a network only as `theta`, `grad` and the trainable `slices` of both. Its moments belong
to the network that they were made from, so that one optimiser serves several networks: on one that it
has moved before it goes on, on any other it begins anew.
"""

from __future__ import annotations

import copy
import functools
import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from kdlearn.backend import Array, array_module, body_for
from kdlearn.checks import check_share, check_size, is_number
from kdlearn.nn.layers import Linear
from kdlearn.nn.module import Module

Schedule = Callable[[float], float]  # progress in [0, 1] -> factor of the learning rate

# Elements updated at a time on the CPU: ten passes over a block that stays in the cache are faster than
# ten passes over the whole vector. On a GPU each block would be a launch a pass, so there the vector is one.
BLOCK = 1 << 16


@dataclass
class Memory:
    """What a rule remembers of one network: how often it moved it, and the moments of its gradient."""

    t: int
    moments: list[Array]


class Optimizer:
    """What every rule shares: the rate, decay, clipping, and the walk over trainable slices.

    `copy.deepcopy((net, optimizer))` copies the moments with the network. A pickle holds the settings alone, even of
    both: what goes on from a file with its moments is `fit(checkpoint=…, resume=True)`.

    Parameters
    ----------
    lr : learning rate, > 0. A schedule multiplies it through `scale`.
    weight_decay : coefficient of the L2 penalty on weights (never on biases).
    clip_norm : largest Euclidean norm of the network's trainable gradient; longer ones are scaled.
    max_norm : largest Euclidean norm of the weights that enter a unit of a `Linear`; longer ones are
        scaled back after each step (Hinton et al. 2012, section 2). An `Embedding` is left alone.
    """

    n_moments = 0
    block = BLOCK

    def __init__(
        self, lr: float, weight_decay: float = 0.0, clip_norm: float | None = None, max_norm: float | None = None
    ) -> None:
        check_size("lr", lr, zero=False)
        check_size("weight_decay", weight_decay)
        for name, limit in (("clip_norm", clip_norm), ("max_norm", max_norm)):
            if limit is not None and not (is_number(limit) and limit > 0):
                raise ValueError(f"{name} must be positive or None, got {limit!r}")
        self.lr, self.weight_decay = lr, weight_decay
        self.clip_norm, self.max_norm = clip_norm, max_norm
        self.scale = 1.0
        self.memory: weakref.WeakKeyDictionary[Module, Memory] = weakref.WeakKeyDictionary()

    def step(self, net: Module) -> None:
        """Move `net.theta` along `net.grad`, which has done its work then: the next backward begins anew."""
        net.check_laid()
        memory = self.memory_of(net)
        memory.t += 1
        if self.clip_norm is not None:
            self._clip(net)
        theta, grad, moments = net.theta, net.grad, memory.moments
        xp, update = array_module(theta), body_for(type(self).update, theta)
        size = min(self.block, theta.size) if xp is np else theta.size
        scratch = xp.empty(size, theta.dtype)
        for block, own, decays in _blocks(net.slices, size, bool(self.weight_decay)):
            decay = self.weight_decay if decays else 0.0
            update(self, theta[block], grad[block], [m[block] for m in moments], memory.t, decay, scratch[own])
        if self.max_norm is not None:
            self._constrain(net)
        net.written = False

    def memory_of(self, net: Module) -> Memory:
        """What is remembered of this network; made, with moments of zero, where there is none yet."""
        memory = self.memory.get(net)
        if memory is None:
            zeros = array_module(net.theta).zeros_like
            memory = self.memory[net] = Memory(0, [zeros(net.theta) for _ in range(self.n_moments)])
        return memory

    def snapshot(self, nets: Iterable[Module]) -> list[tuple[Module, Memory | None]]:
        """A copy of what is remembered of these networks, for `restore`."""
        found = [(net, self.memory.get(net)) for net in nets]
        return [(net, m and Memory(m.t, [a.copy() for a in m.moments])) for net, m in found]

    def restore(self, snapshot: Iterable[tuple[Module, Memory | None]]) -> None:
        """Remember what `snapshot` copied, and nothing since."""
        for net, memory in snapshot:
            if memory is None:
                self.memory.pop(net, None)
            else:
                self.memory[net] = memory

    def fresh(self) -> Self:
        """The same rule and settings, with no memory."""
        other = copy.copy(self)
        other.memory, other.scale = weakref.WeakKeyDictionary(), 1.0
        return other

    def settings(self) -> dict[str, Any]:
        """The rule's name and its settings: what makes another one of the same kind."""
        own = {k: v for k, v in vars(self).items() if k not in ("memory", "scale", "n_moments")}
        return {"rule": type(self).__name__, **own}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """With what is remembered of the networks that are copied with it, as in `copy.deepcopy((net, optimizer))`."""
        other = memo[id(self)] = copy.copy(self)
        vars(other).update(copy.deepcopy({k: v for k, v in vars(self).items() if k != "memory"}, memo))
        for net, memory in list(self.memory.items()):  # the copy of a network that nobody keeps is forgotten again
            other.memory[copy.deepcopy(net, memo)] = Memory(memory.t, [m.copy() for m in memory.moments])
        return other

    def __getstate__(self) -> dict[str, Any]:  # moments belong to networks of this process
        return {**vars(self), "memory": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, memory=weakref.WeakKeyDictionary())

    def update(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
        """One step of the rule on one block, in place: the t-th for this owner, t = 1, 2, …

        `scratch` has the block's shape and may be overwritten.
        """
        raise NotImplementedError

    def _clip(self, net: Module) -> None:
        xp = array_module(net.theta)
        parts = list(net.by_member(net.grad))
        if not parts:
            return
        total = functools.reduce(lambda a, b: a + b, ((g * g).sum(axis=1) for g in parts))
        # on the device throughout: deciding on the host would wait for the GPU
        factor = xp.minimum(self.clip_norm / (xp.sqrt(total) + 1e-12), 1)[:, None]
        for g in parts:
            g *= factor

    def _constrain(self, net: Module) -> None:
        xp = array_module(net.theta)
        for i, layer in enumerate(net.layers):
            if isinstance(layer, Linear) and i not in net.frozen:
                norm = xp.sqrt((layer.W * layer.W).sum(axis=-2, keepdims=True))
                layer.W *= xp.minimum(self.max_norm / (norm + 1e-12), 1)


@functools.lru_cache
def _blocks(slices: tuple[tuple[int, int, bool], ...], size: int, decay: bool) -> list[tuple[slice, slice, bool]]:
    """`(block, its part of the scratch, whether it decays)` of at most `size` numbers each.

    Runs that meet are one where nothing asks for decay: fewer blocks, so fewer calls.
    """
    runs: list[tuple[int, int, bool]] = []
    for start, stop, decays in slices:
        if runs and runs[-1][1] == start and not decay:
            start = runs.pop()[0]
        runs.append((start, stop, decays and decay))
    pieces = [(i, min(i + size, stop), decays) for start, stop, decays in runs for i in range(start, stop, size)]
    return [(slice(i, end), slice(0, end - i), decays) for i, end, decays in pieces]


class SGD(Optimizer):
    r"""Gradient descent with momentum `[optim.1]`.

    .. math:: g = \nabla L + \lambda\theta,\quad v \leftarrow \mu v + g,\quad
              \theta \leftarrow \theta - \eta\,v \quad(\text{Nesterov: } \theta - \eta\,(g + \mu v))

    Source: Sutskever et al. 2013, in the form that keeps the look-ahead point as `theta`.
    """

    def __init__(self, lr: float, momentum: float = 0.0, nesterov: bool = False, **common: Any) -> None:
        super().__init__(lr, **common)
        if not (is_number(momentum) and 0 <= momentum < 1):
            raise ValueError(f"momentum lies in [0, 1), got {momentum!r}")
        if nesterov and not momentum:
            raise ValueError("nesterov looks ahead along the momentum: without one it changes nothing")
        self.momentum, self.nesterov = momentum, nesterov
        self.n_moments = 1 if momentum else 0

    def update(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
        xp, rate, g = array_module(theta), self.lr * self.scale, grad
        if decay:
            xp.multiply(theta, decay, out=scratch)
            scratch += grad
            g = scratch
        if not self.momentum:
            theta -= rate * g
            return
        v = moments[0]
        v *= self.momentum
        v += g
        if self.nesterov:  # rate (g + mu v) in two subtractions, since scratch holds one of them
            xp.multiply(g, rate, out=scratch)
            theta -= scratch
            rate *= self.momentum
        xp.multiply(v, rate, out=scratch)
        theta -= scratch


class Adam(Optimizer):
    r"""Adaptive moments `[optim.2]`.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g,\quad v \leftarrow \beta_2 v + (1-\beta_2) g^2,\quad
       \theta \leftarrow \theta - \eta\,\frac{m/(1-\beta_1^t)}{\sqrt{v/(1-\beta_2^t)} + \epsilon}

    As the paper has it, for the t-th step:

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        theta -= lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    Here the moments are stored divided by :math:`1-\beta`, which turns both bias corrections and the
    rate into two scalars and saves two passes over the vector. `weight_decay` is an L2 penalty
    inside g. Source: Kingma and Ba 2015, algorithm 1.

    t counts the steps of the network, not of each parameter as in PyTorch. A layer that is freed after
    the others were trained begins with steps of another length, several times the rate where that
    training was long: after `net.freeze()` train with `optimizer.fresh()`.
    """

    n_moments = 2

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, **common: Any
    ) -> None:
        super().__init__(lr, **common)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            if not (is_number(beta) and 0 <= beta < 1):
                raise ValueError(f"{name} lies in [0, 1), got {beta!r}")
        self.beta1, self.beta2, self.eps = beta1, beta2, check_size("eps", eps, zero=False)

    def corrected(self, t: int) -> tuple[float, float]:
        """`(rate, eps)` of the t-th step for the moments as they are stored, both corrections in them."""
        root = math.sqrt((1 - self.beta2) / (1 - self.beta2**t))
        return self.lr * self.scale * (1 - self.beta1) / (1 - self.beta1**t) / root, self.eps / root

    def update(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
        xp, (m, v) = array_module(theta), moments
        rate, eps = self.corrected(t)
        m *= self.beta1
        v *= self.beta2
        if decay:
            xp.multiply(theta, decay, out=scratch)
            scratch += grad
            m += scratch
            scratch *= scratch
        else:
            m += grad
            xp.multiply(grad, grad, out=scratch)
        v += scratch
        xp.sqrt(v, out=scratch)
        scratch += eps
        xp.divide(m, scratch, out=scratch)
        scratch *= rate
        theta -= scratch


class AdamW(Adam):
    r"""Adam with decay outside the adaptive step `[optim.3]`.

    .. math:: \theta \leftarrow (1 - \eta\lambda)\,\theta - \text{(Adam's step without } \lambda)

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    def update(self, theta: Array, grad: Array, moments: list[Array], t: int, decay: float, scratch: Array) -> None:
        if decay:
            theta *= 1 - self.lr * self.scale * decay
        super().update(theta, grad, moments, t, 0.0, scratch)


def constant(progress: float) -> float:
    """The rate as it is."""
    return 1.0


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def steps(*at: float, factor: float = 0.1) -> Schedule:
    """Multiply by `factor` at each of the given fractions of the training, e.g. `steps(0.5, 0.75)`."""
    if not at:
        raise ValueError("steps takes at least one place in the training, such as steps(0.5, 0.75)")
    for point in at:
        check_share("a step's place in the training", point)
    check_size("factor", factor)
    return lambda progress: factor ** sum(progress >= point for point in at)


def warmup(fraction: float, then: Schedule = cosine) -> Schedule:
    """Rise linearly to 1 over the first `fraction` of the training, then follow `then`, stretched over the rest.

    So `warmup(0.2, steps(0.5))` drops after 0.6 of the training.
    """
    if not callable(then):
        raise TypeError(f"then is a function of the progress, such as kd.cosine, got {then!r}")
    if not is_number(fraction) or not 0 < fraction < 1:
        raise ValueError(f"fraction lies in (0, 1), got {fraction!r}")

    def schedule(progress: float) -> float:
        if progress < fraction:
            return progress / fraction
        return then((progress - fraction) / (1 - fraction))

    return schedule
