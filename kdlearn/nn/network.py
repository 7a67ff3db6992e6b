"""A network: layers in a row, one flat vector of parameters, named taps, injected gradients."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from kdlearn.backend import Array, array_module, to_device
from kdlearn.nn.functional import softmax
from kdlearn.nn.layers import Dropout, Embedding, Layer, LayerNorm, Linear, ReLU


class UnknownSiteError(KeyError):
    """A tap or site was named that does not exist; the message lists those that do."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


class Network:
    """Layers applied one after the other.

    `theta` holds every parameter and `grad` every gradient, each as one flat vector: all weights
    first, then all biases. `layer.W` and `layer.dW` are views of them and are never rebound, so
    an optimiser step, a norm, a copy or a moving average is one line over a vector.

    Parameters
    ----------
    layers : the layers, first to last.
    taps : name -> position of the layer whose output carries that name; `"logits"` is the output.
    """

    theta: Array
    grad: Array

    def __init__(self, layers: Iterable[Layer], taps: Mapping[str, int]) -> None:
        self.layers = list(layers)
        self.taps = dict(taps)
        self._frozen: frozenset[int] = frozenset()
        self._gather()

    # ------------------------------------------------------------------ forward and backward

    def forward(
        self, x: Array, rng: np.random.Generator | None = None, taps: Iterable[str] | None = None
    ) -> tuple[dict[str, Array], list[Any]]:
        """Run the layers on x (N, D) and keep the taps asked for (all of them by default).

        Returns
        -------
        sites : {tap: array (N, H)}
        caches : what `backward` must remember, one entry a layer.
        """
        wanted = self.taps if taps is None else {name: self._position(name) for name in taps}
        names = {position: name for name, position in wanted.items()}
        sites, caches = {}, []
        for i, layer in enumerate(self.layers):
            x, cache = layer.forward(x, rng)
            caches.append(cache)
            if i in names:
                sites[names[i]] = x
        return sites, caches

    def backward(
        self, caches: list[Any], gradients: Mapping[str, Array], accumulate: bool = False, need_dx: bool = False
    ) -> Array | None:
        r"""Take gradients given at taps back through the layers `[network.1]`.

        .. math:: \frac{\partial L}{\partial h} = \underbrace{\frac{\partial L}{\partial h'}
                  \frac{\partial h'}{\partial h}}_{\text{from the layer above}}
                  + \underbrace{g_h}_{\text{given at this tap}}

        The gradient of a sum of paths is the sum of their gradients. The parameters' gradients
        are written into `grad` (with `accumulate`: added); what no path reaches is zero. The
        arrays in `gradients` are not modified. Returns dL/dx if `need_dx`, else None.
        """
        given = {self._position(name): g for name, g in gradients.items()}
        top = max(given, default=-1)
        if not accumulate:
            for layer in self.layers[top + 1 :]:
                for name in layer.parameters:
                    getattr(layer, "d" + name)[...] = 0
        lowest = 0 if need_dx else self._first_trainable
        d = None
        for i in range(top, lowest - 1, -1):
            if i in given:
                d = given[i] if d is None else d + given[i]
            d = self.layers[i].backward(d, caches[i], accumulate, need_dx or i > lowest)
        return d if need_dx else None

    # ------------------------------------------------------------------ using it

    def logits(self, x: Array, batch_size: int = 1024) -> Array:
        """Logits (N, K) of x (N, D), deterministic; x is cast to the network's dtype, tokens are not.

        In batches: what a thousand rows leave behind in a layer stays in the cache, what all leave does not.
        """
        x = self._check_input(x)
        xp = array_module(x, self.theta)
        parts = [
            self.forward(x[i : i + batch_size], taps=("logits",))[0]["logits"]
            for i in range(0, max(len(x), 1), batch_size)
        ]
        return parts[0] if len(parts) == 1 else xp.concatenate(parts)

    @property
    def takes_tokens(self) -> bool:
        """Whether x holds integers, because the first layer is an `Embedding`."""
        return bool(self.layers) and isinstance(self.layers[0], Embedding)

    def predict(self, x: Array) -> Array:
        """Most probable class of each row, (N,); for a network with one output, that output."""
        z = self.logits(x)
        return z[:, 0] if z.shape[1] == 1 else z.argmax(axis=1)

    def predict_proba(self, x: Array, T: float = 1.0) -> Array:
        """Class probabilities (N, K) at temperature T."""
        return softmax(self.logits(x), T)

    def summary(self) -> str:
        """A table of layers, taps and parameter counts."""
        names = {position: name for name, position in self.taps.items()}
        rows = [f"{'layer':<22}{'tap':<8}{'parameters':>12}"]
        for i, layer in enumerate(self.layers):
            count = sum(getattr(layer, name).size for name in layer.parameters)
            mark = "  (frozen)" if i in self._frozen else ""
            rows.append(f"{layer!r:<22}{names.get(i, ''):<8}{count:>12,}{mark}".rstrip())
        rows.append(f"{'total':<30}{self.theta.size:>12,}")
        return "\n".join(rows)

    def freeze(self, *numbers: int) -> None:
        """Hold the numbered layers fixed, counting layers with weights from 1; none: free all.

        A frozen layer's parameters are left alone by every optimiser, decay included.
        """
        count, chosen = 0, set()
        for i, layer in enumerate(self.layers):
            count += bool(layer.weights)
            if layer.parameters and count in numbers:
                chosen.add(i)
        unknown = [n for n in numbers if not 1 <= n <= count]
        if unknown:
            raise ValueError(f"layers are numbered 1 to {count}, got {unknown[0]!r}")
        self._frozen = frozenset(chosen)
        self._find_trainable()

    # ------------------------------------------------------------------ copies and devices

    def copy(self) -> Self:
        """An independent network with the same parameters."""
        return copy.deepcopy(self)

    def to(self, device: str) -> Self:
        """This network on `"cpu"` or `"cuda"`: a copy, or itself where it is there already."""
        theta = to_device(self.theta, device)
        if theta is self.theta:
            return self
        moved = self.copy()
        moved._bind(theta)
        return moved

    def __copy__(self) -> Self:  # a shallow copy would fight over the layers' views
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["grad"]
        state["layers"] = [copy.copy(layer) for layer in self.layers]
        for layer in state["layers"]:
            for name in layer.parameters:  # the values travel once, in theta
                delattr(layer, name)
                delattr(layer, "d" + name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind(self.theta)

    # ------------------------------------------------------------------ the flat vectors

    def _gather(self) -> None:
        parts = [getattr(layer, name).ravel() for layer, name in self._parameters()]
        self._bind(np.concatenate(parts) if parts else np.zeros(0, np.float32))
        self._find_trainable()

    def _bind(self, theta: Array) -> None:
        self.theta, self.grad = theta, array_module(theta).zeros_like(theta)
        start = 0
        for layer, name in self._parameters():
            shape = layer.shapes[name]
            stop = start + math.prod(shape)
            setattr(layer, name, theta[start:stop].reshape(shape))
            setattr(layer, "d" + name, self.grad[start:stop].reshape(shape))
            start = stop

    def _parameters(self) -> list[tuple[Layer, str]]:
        weights = [(layer, name) for layer in self.layers for name in layer.weights]
        return weights + [(layer, name) for layer in self.layers for name in layer.biases]

    def _find_trainable(self) -> None:
        # slices: (start, stop, may be decayed) of theta's trainable runs, as few as there can be;
        # runs: fewer still, for a rule without decay
        self._first_trainable, start = len(self.layers), 0
        runs: list[tuple[int, int, bool]] = []
        for layer, name in self._parameters():
            i, stop = self.layers.index(layer), start + getattr(layer, name).size
            if i not in self._frozen:
                self._first_trainable = min(self._first_trainable, i)
                decays = name in layer.weights
                if runs and runs[-1][1:] == (start, decays):
                    start = runs.pop()[0]
                runs.append((start, stop, decays))
            start = stop
        self.slices = tuple(runs)
        merged: list[tuple[int, int, bool]] = []
        for start, stop, _ in runs:
            begin = merged.pop()[0] if merged and merged[-1][1] == start else start
            merged.append((begin, stop, False))
        self.runs = tuple(merged)

    def _position(self, tap: str) -> int:
        try:
            return self.taps[tap]
        except KeyError:
            raise UnknownSiteError(f"no tap {tap!r}; this network has {', '.join(self.taps)}") from None

    def _check_input(self, x: Array) -> Array:
        if not hasattr(x, "dtype"):
            x = np.asarray(x)
        if x.ndim != 2:
            hint = "; one row is x.reshape(1, -1)" if x.ndim == 1 else ""
            raise ValueError(f"x must be 2-D (rows, features), got shape {x.shape}{hint}")
        table = self.layers[0] if self.layers else None
        first = next((layer for layer in self.layers if isinstance(layer, Linear)), None)
        if first is not None:
            n_in = first.W.shape[0] // (table.W.shape[1] if isinstance(table, Embedding) else 1)
            if x.shape[1] != n_in:
                raise ValueError(f"x has {x.shape[1]} features, the network takes {n_in}")
        if isinstance(table, Embedding):
            table.check(x)
            return x
        if first is None:
            return x
        if x.dtype.kind == "c":
            raise ValueError(f"x must be real, got {x.dtype}")
        return x if x.dtype == self.theta.dtype else x.astype(self.theta.dtype)


class MLP(Network):
    """A multi-layer perceptron.

    Parameters
    ----------
    *sizes : widths from input to output, e.g. `MLP(64, 256, 256, 10)`; two widths are one
        linear layer.
    activation : layer class after each hidden layer (`ReLU`, `Tanh`, `GELU`).
    dropout : one rate for every hidden layer, or a rate for the input of each linear layer: the
        data first, then each hidden layer.
    layer_norm : put a `LayerNorm` before each activation.
    seed : of the initial weights; an int, a SeedSequence or a Generator.
    dtype : `"float32"`, or `"float64"` for gradient checks.

    Taps: `a1` before the first activation (after its LayerNorm), `h1` after it and before
    dropout, and so on; `logits` is the output.

    Example
    -------
    >>> net = MLP(4, 8, 3, seed=0)
    >>> sorted(net.taps)
    ['a1', 'h1', 'logits']
    >>> net.theta.size
    67
    """

    def __init__(
        self,
        *sizes: int,
        activation: type[Layer] = ReLU,
        dropout: float | Sequence[float] = 0.0,
        layer_norm: bool = False,
        seed: Any = 0,
        dtype: str = "float32",
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"an MLP needs an input and an output width, got sizes {sizes}")
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
                raise ValueError(f"every width must be a positive integer, got {size!r} in sizes {sizes}")
        n_linear = len(sizes) - 1
        if isinstance(dropout, (int, float)):
            rates = [0.0] + [float(dropout)] * (n_linear - 1)
        else:
            rates = [float(rate) for rate in dropout]
            if len(rates) != n_linear:
                raise ValueError(f"dropout takes one rate for each of the {n_linear} linear layers, got {len(rates)}")
        rng = np.random.default_rng(seed)
        layers: list[Layer] = []
        taps: dict[str, int] = {}
        for i in range(n_linear):
            if rates[i]:
                layers.append(Dropout(rates[i]))
            hidden = i + 1 < n_linear
            gain = getattr(activation, "gain", 1.0) if hidden else 1.0
            layers.append(Linear(sizes[i], sizes[i + 1], gain=gain, rng=rng, dtype=dtype))
            if hidden:
                if layer_norm:
                    layers.append(LayerNorm(sizes[i + 1], dtype=dtype))
                taps[f"a{i + 1}"] = len(layers) - 1
                layers.append(activation())
                taps[f"h{i + 1}"] = len(layers) - 1
        taps["logits"] = len(layers) - 1
        self.sizes = sizes
        super().__init__(layers, taps)

    def __repr__(self) -> str:
        return f"MLP({', '.join(map(str, self.sizes))})"
