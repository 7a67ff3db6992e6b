"""Many networks at once: a stack of networks of one shape is a network.

Its weights are (R, D, H), one matrix a member; its rows are the members' rows, one member after the
other, (R·N, D). Elementwise layers do not care. A `Linear` multiplies (R, N, D) by (R, D, H), and that is all
there is to it: taps, losses over rows, objectives, optimisers and hooks work as they are, and twenty
small networks cost twenty products but one call. Each member has its own initial weights, rows, order
of batches and dropout, and ends where it would have ended alone, to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, device_of
from kdlearn.checks import check_count, check_members, is_whole
from kdlearn.nn.layers import Layer
from kdlearn.nn.module import FreeVector, Module
from kdlearn.nn.network import Network, check_answers_as_ours


class Stack(Network):
    """R networks of one shape, trained side by side: `kd.fit(kd.Stack(nets), …)`.

    `stack[i]` is member i as an ordinary network, a copy; `len` and iteration go over them.

    Parameters
    ----------
    nets : networks with equal layers, taps, frozen layers and precision; copied.

    `fit`, `evaluate`, `logits` and `predict` take rows that all members share, or rows of each. `forward` and
    `kd.train_step` take what a stack computes with, R·N rows, one member's N after the other's: those of an ordinary
    batch would be dealt out among the members.

    Raises
    ------
    TypeError
        For networks with a `forward` of their own: a stack would not know what they do; for layers of your own that
        do not say `row_by_row = True` (see `Layer`): they might mix the members' rows.
    ValueError
        For networks of different shapes, naming the first that differs.

    Example
    -------
    >>> import numpy as np
    >>> from kdlearn.nn.network import MLP
    >>> stack = Stack([MLP(4, 3, seed=0), MLP(4, 3, seed=1)])
    >>> len(stack), stack.layers[0].W.shape, stack.logits(np.zeros((5, 4))).shape
    (2, (2, 4, 3), (2, 5, 3))
    """

    def __init__(self, nets: Iterable[Network]) -> None:
        nets = list(nets)
        if not nets:
            raise ValueError("a stack needs at least one network")
        for i, net in enumerate(nets):
            if not isinstance(net, Network) or type(net).forward is not Network.forward:
                raise TypeError(f"{type(net).__name__} cannot be stacked: it has a forward pass of its own")
            check_answers_as_ours(net, "a stack")
            net.check_row_by_row("a stack")
            if _shape(net) != _shape(nets[0]):
                raise ValueError(f"network {i} differs in shape from network 0: {_shape(net)} and {_shape(nets[0])}")
            for k, (own, first) in enumerate(zip(net.layers, nets[0].layers)):
                if other := _different(own, first):
                    raise ValueError(f"layer {k}, {own!r}: network {i} has another {other!r} than network 0")
            net.check_laid()
        self.members = len(nets)
        self._first = nets[0].copy()  # its layers' settings, taps and type: what a member is made of
        layers = [_stacked([net.layers[i] for net in nets]) for i in range(len(nets[0].layers))]
        super().__init__(layers, nets[0].taps)
        self.frozen = nets[0].frozen

    def __len__(self) -> int:
        return self.members

    def __getitem__(self, i: int) -> Network:
        if not is_whole(i):
            raise TypeError(f"a stack has members by their number, got {i!r}; a part is Stack([stack[0], stack[1]])")
        if not -self.members <= i < self.members:
            raise IndexError(f"the stack has members 0 … {self.members - 1}, got {i}")
        net = self._first.copy().to(device_of(self.theta))
        for mine, own in zip(self.layers, net.layers):
            for name in own.parameters:
                getattr(own, name)[...] = getattr(mine, name)[i].reshape(own.shapes[name])
        net.frozen = self.frozen
        return net

    def __iter__(self) -> Iterator[Network]:
        return (self[i] for i in range(self.members))

    def __repr__(self) -> str:
        return f"Stack({self.members} of {self._first!r})"

    def forward(
        self, x: Array, rng: Any = None, taps: Iterable[str] | None = None
    ) -> tuple[dict[str, Array], list[Any]]:
        """As `Network.forward`, of the members' rows one after the other; `rng` is one Generator a member."""
        sites, caches = super().forward(self._apart(x), rng, taps)
        return {name: a.reshape(-1, a.shape[-1]) for name, a in sites.items()}, caches

    def _down(
        self, caches: list[Any], gradients: Mapping[str, Array], need_dx: bool, write: bool = True
    ) -> Array | None:
        # gradients come, and dx goes, as the members' rows one after the other; each member descends its own loss
        dx = super()._down(caches, {tap: self._apart(g) for tap, g in gradients.items()}, need_dx, write)
        return None if dx is None else dx.reshape(-1, dx.shape[-1])

    def logits(self, x: Array, batch_size: int = 1024) -> Array:
        """Logits (R, N, K) of x: (N, D), the same rows for all members, or (R, N, D), rows of their own."""
        check_count("batch_size", batch_size)
        self.check_laid()
        if getattr(x, "ndim", 2) == 3 and x.shape[0] != self.members:
            raise ValueError(f"x has rows for {x.shape[0]} members, the stack has {self.members}")
        parts = []
        for i in range(0, max(x.shape[-2], 1), batch_size):
            rows = x[..., i : i + batch_size, :]
            rows = self.check_input(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape)
            if self.takes_tokens and rows.ndim == 2:  # each member's table looks them up
                rows = array_module(rows).broadcast_to(rows, (self.members, *rows.shape))
            sites, _ = super().forward(rows if rows.ndim == 3 else rows[None], taps=("logits",))
            z = sites["logits"]
            parts.append(z if len(z) == self.members else array_module(z).repeat(z, self.members, axis=0))
        return parts[0] if len(parts) == 1 else array_module(self.theta).concatenate(parts, axis=1)

    def _apart(self, a: Array) -> Array:
        try:  # which costs a right step nothing
            return a.reshape(self.members, -1, a.shape[-1])
        except ValueError:
            check_members(len(a), self.members)
            raise


def stacked(modules: Sequence[Module]) -> Module:
    """R adaptors as one: networks become a `Stack`, vectors without input one vector after the other.

    TypeError for an adaptor of any other form, which names it; ValueError for vectors of several widths.
    """
    if all(type(m) is FreeVector for m in modules):
        forms = [(m.theta.size, str(m.theta.dtype), sorted(m.frozen)) for m in modules]
        if wrong := [i for i, form in enumerate(forms) if form != forms[0]]:
            raise ValueError(f"vector {wrong[0]} differs in form from vector 0: {forms[wrong[0]]} and {forms[0]}")
        made = FreeVector(1, dtype=modules[0].theta.dtype)
        made.layers[0].hold(b=array_module(*(m.theta for m in modules)).concatenate([m.theta for m in modules]))
        Module.__init__(made, made.layers)
        made.members, made.frozen = len(modules), modules[0].frozen
        return made
    return Stack(modules)  # type: ignore[arg-type]


def _shape(net: Network) -> tuple:
    layers = tuple((type(layer).__name__, *layer.settings().items()) for layer in net.layers)
    return layers, tuple(net.taps.items()), tuple(net.frozen), str(net.theta.dtype)


def _different(layer: Layer, other: Layer) -> str | None:
    """The name of a number, a text or an array, no parameter, that two layers of one kind do not share.

    A layer of one's own may keep such beside its settings; in a stack those of the first would be all members'.
    """
    known = {"shapes", *layer.parameters, *("d" + name for name in layer.parameters)}
    for name in sorted((vars(layer).keys() | vars(other).keys()) - known):
        pair: list[Any] = [vars(layer).get(name), vars(other).get(name)]
        if any(isinstance(v, (int, float, str, np.generic, np.ndarray)) for v in pair) and not np.array_equal(*pair):
            return name
    return None


def _stacked(layers: Sequence[Layer]) -> Layer:
    """One layer with the parameters of all: (D, H) becomes (R, D, H), and (H,) becomes (R, 1, H)."""
    made, parameters = copy.copy(layers[0]), {}
    for name in made.parameters:
        a = array_module(getattr(made, name)).stack([getattr(layer, name) for layer in layers])
        parameters[name] = a if a.ndim == 3 else a[:, None]
    made.hold(**parameters)
    return made
