"""A network: layers in a row, named taps, injected gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from kdlearn.backend import Array, array_module, as_array
from kdlearn.checks import check_count, check_seed, is_number, is_whole
from kdlearn.nn.functional import softmax
from kdlearn.nn.layers import GELU, Dropout, Embedding, Layer, LayerNorm, Linear, ReLU, Select, Tanh
from kdlearn.nn.module import Module


class UnknownSiteError(KeyError):
    """A tap or site was named that does not exist; the message lists those that do."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


def site_of(name: str, sites: Mapping[str, Array], kind: str) -> Array:
    """The array at a site; UnknownSiteError, which says what there is and how to give what often is missing."""
    try:
        return sites[name]
    except KeyError:
        said = f"no {kind} site {name!r}; there are: {', '.join(sorted(sites)) or 'none'}"
        said += "; give the batch one, a number in [0, 1]" * (name == "progress")
        said += "; give teachers=…, or data.with_soft_labels(teacher)" * (name == "teacher.logits")
        raise UnknownSiteError(said) from None


ANSWERS = ("logits", "predict", "predict_proba", "predict_log_proba", "decision_function")  # beside `forward`


def check_answers_as_ours(model: Any, doing: str, names: Iterable[str] = ("forward", *ANSWERS)) -> None:
    """TypeError for a class derived from one of this package's that answers in a way of its own.

    A file, an export or a stack holds layers and settings: what they say is what this package's classes make of them.
    """
    if not any(kind.__module__.startswith("kdlearn.") for kind in type(model).__mro__):
        return
    for name in names:
        method = getattr(model, name, None)
        if method is not None and not getattr(method, "__module__", "").startswith("kdlearn."):
            raise TypeError(f"{type(model).__name__} has a `{name}` of its own: {doing} would answer otherwise")


class Network(Module):
    """Layers applied one after the other, over one flat vector of parameters (see `Module`).

    Parameters
    ----------
    layers : the layers, first to last.
    taps : name -> position of the layer whose output carries that name; `"logits"` is the output.
    theta, grad : as in `Module`.
    """

    def __init__(
        self, layers: Iterable[Layer], taps: Mapping[str, int], theta: Array | None = None, grad: Array | None = None
    ) -> None:
        self.taps = dict(taps)
        names = {position: name for name, position in self.taps.items()}
        for name, position in self.taps.items():
            if names[position] != name:
                raise ValueError(f"taps {name!r} and {names[position]!r} name one layer, {position}: give it one name")
            if not is_whole(position):
                raise TypeError(f"the tap {name!r} must be the position of a layer, got {position!r}")
            if position < 0:
                raise ValueError(f"the tap {name!r} has the position {position}; layers are counted from 0")
        super().__init__(layers, theta, grad)
        beyond = [name for name, position in self.taps.items() if position >= len(self.layers)]
        if beyond and type(self).forward is Network.forward:
            at = self.taps[beyond[0]]
            raise ValueError(f"the tap {beyond[0]!r} has the position {at}, the layers are 0 … {len(self.layers) - 1}")
        _check_widths(self.layers)

    # ------------------------------------------------------------------ forward and backward

    def forward(
        self, x: Array, rng: Any = None, taps: Iterable[str] | None = None
    ) -> tuple[dict[str, Array], list[Any]]:
        """Run the layers on x (N, D) and keep the taps asked for (all of them by default).

        Returns
        -------
        sites : {tap: array (N, H)}
        caches : what `backward` must remember, one entry a layer.
        """
        try:
            names = {self.position(name): name for name in (self.taps if taps is None else taps)}
        except UnknownSiteError:
            if isinstance(taps, str):
                raise TypeError(f"taps is a list of names, got the text {taps!r}; write taps=[{taps!r}]") from None
            raise
        sites, caches = {}, []
        try:  # which costs a right step nothing
            for i, layer in enumerate(self.layers):
                x, cache = layer.forward(x, rng)
                caches.append(cache)
                if i in names:
                    sites[names[i]] = x
        except AttributeError:
            if hasattr(x, "dtype"):
                raise
            kind = type(x).__name__
            raise TypeError(f"x must be an array of rows, such as net.check_input(x) makes, got a {kind}") from None
        return sites, caches

    def backward(self, caches: list[Any], gradients: Mapping[str, Array], need_dx: bool = False) -> Array | None:
        r"""Take gradients given at taps back through the layers `[network.1]`.

        .. math:: \frac{\partial L}{\partial h} = \underbrace{\frac{\partial L}{\partial h'}
                  \frac{\partial h'}{\partial h}}_{\text{from the layer above}}
                  + \underbrace{g_h}_{\text{given at this tap}}

        The gradient of a sum of paths is the sum of their gradients. The parameters' gradients
        are written into `grad`, or added where this step has `written` it already; what no path
        reaches is zero. The arrays in `gradients` are not modified. Returns dL/dx if `need_dx`, else None.
        """
        d = self._down(caches, gradients, need_dx)
        self.written = True
        return d

    def _down(
        self, caches: list[Any], gradients: Mapping[str, Array], need_dx: bool, write: bool = True
    ) -> Array | None:
        given = {self.position(name): g for name, g in gradients.items()}
        top = max(given, default=-1)
        if write and not self.written:
            for layer in self.layers[top + 1 :]:
                for name in layer.parameters:
                    getattr(layer, "d" + name)[...] = 0
        lowest = 0 if need_dx else self._first_trainable
        layers, frozen, adds, d = self.layers, self._frozen, self.written if write else None, None
        try:  # which costs a right step nothing
            for i in range(top, lowest - 1, -1):
                if i in given:
                    d = given[i] if d is None else d + given[i]
                d = layers[i].backward(d, caches[i], None if i in frozen else adds, need_dx or i > lowest)
        except ValueError:
            n = next((cache.shape[-2] for cache in caches if getattr(cache, "ndim", 0) > 1), None)
            for name, g in gradients.items():
                if n is not None and g.shape[-2:-1] != (n,):
                    raise ValueError(
                        f"the gradient at {name!r} has shape {g.shape}, forward was given {n} rows"
                    ) from None
            raise
        return d if need_dx else None

    def input_gradient(self, x: Array, loss: Callable[[Array], tuple[Array, Array]]) -> tuple[Array, Array]:
        r"""`(value, dL/dx)` of a loss of the logits with respect to the input: one more layer of the chain rule.

        .. math:: \frac{\partial L}{\partial x} = \frac{\partial L}{\partial a_1} W_1^\top

        What an attack, a saliency map or an inversion asks for. Neither `grad` nor the weights are touched.

        Parameters
        ----------
        x : (N, D) input.
        loss : logits (N, K) -> (value, gradient (N, K)), e.g. `lambda z: kd.cross_entropy(z, y)`.

        Example
        -------
        >>> net, x = MLP(4, 3, seed=0, dtype="float64"), np.ones((1, 4))
        >>> value, dx = net.input_gradient(x, lambda z: (z[0, 2], np.array([[0.0, 0.0, 1.0]])))
        >>> bool(np.allclose(dx[0], net.layers[0].W[:, 2]))
        True
        """
        self.check_laid()
        x = self.check_input(x)
        sites, caches = self.forward(x, taps=("logits",))
        value, gradient = loss(sites["logits"])
        return value, self._down(caches, {"logits": gradient}, need_dx=True, write=False)

    # ------------------------------------------------------------------ using it

    def logits(self, x: Array, batch_size: int = 1024) -> Array:
        """Logits (N, K) of x (N, D), deterministic; x is cast to the network's dtype, tokens are not.

        In batches: what a thousand rows leave behind in a layer stays in the cache, what all leave does not.
        """
        check_count("batch_size", batch_size)
        self.check_laid()
        if hasattr(x, "dtype"):
            array_module(x, self.theta)  # one device, or a TypeError that says so
        parts = [
            self.forward(self.check_input(x[i : i + batch_size]), taps=("logits",))[0]["logits"]
            for i in range(0, max(len(x), 1), batch_size)
        ]
        return parts[0] if len(parts) == 1 else array_module(self.theta).concatenate(parts)

    @property
    def takes_tokens(self) -> bool:
        """Whether x holds integers, because the first layer is an `Embedding`."""
        return bool(self.layers) and isinstance(self.layers[0], Embedding)

    def predict(self, x: Array) -> Array:
        """Most probable class of each row, (N,); for a network with one output, that output.

        ValueError where a row's logits are NaN or overflow: such a row has no most probable class.
        """
        z = self.logits(x)
        if not bool(array_module(z).isfinite(z.max(axis=-1)).all()):
            raise ValueError("some logits are NaN or infinite: x, or the network's weights, hold NaN or overflow")
        return z[..., 0] if z.shape[-1] == 1 else z.argmax(axis=-1)

    def predict_proba(self, x: Array, T: float = 1.0) -> Array:
        """Class probabilities (N, K) at temperature T; ValueError for a network of one output, which has no classes."""
        z = self.logits(x)
        if z.shape[-1] < 2:
            raise ValueError("a network of one output has no class probabilities; its output is logits(x)")
        return softmax(z, T)

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

    def position(self, tap: str) -> int:
        """Position of the layer whose output is this tap; UnknownSiteError lists those that there are."""
        try:
            return self.taps[tap]
        except KeyError:
            raise UnknownSiteError(f"no tap {tap!r}; this network has {', '.join(self.taps)}") from None

    def check_input(self, x: Array) -> Array:
        """x (N, D) in the network's dtype, tokens as they are; ValueError where this network cannot read it."""
        if not hasattr(x, "dtype") or (type(x) is not np.ndarray and isinstance(x, np.ndarray)):
            x = as_array(x)
        if x.ndim != 2:
            hint = "; one row is x.reshape(1, -1)" if x.ndim == 1 else ""
            raise ValueError(f"x must be 2-D (rows, features), got shape {x.shape}{hint}")
        table = self.layers[0] if self.layers else None
        first = next((layer for layer in self.layers if isinstance(layer, Linear)), None)
        cut = next((layer for layer in self.layers if isinstance(layer, (Linear, Select))), None) is not first
        if first is not None and not cut:  # a Select takes rows of any width, and checks them itself
            n_in = first.shapes["W"][-2] // (table.shapes["W"][-1] if isinstance(table, Embedding) else 1)
            if x.shape[1] != n_in:
                raise ValueError(f"x has {x.shape[1]} features, the network takes {n_in}")
        if isinstance(table, Embedding):
            table.check(x)
            return x
        if first is None:
            return x
        if x.dtype.kind in "cmM":
            raise ValueError(f"x must hold real numbers, got {x.dtype}")
        return x if x.dtype == self.theta.dtype else x.astype(self.theta.dtype)


def _check_widths(layers: Iterable[Layer]) -> None:
    """ValueError where a layer takes rows of another width than the layer before it gives, as far as layers say so.

    A `LayerNorm` of another width would be broadcast.
    """
    width: int | None = None
    for i, layer in enumerate(layers):
        takes = layer.shapes["W"][-2] if isinstance(layer, Linear) else None
        takes = layer.shapes["g"][-1] if isinstance(layer, LayerNorm) else takes
        if None not in (width, takes) and width != takes:
            raise ValueError(f"layer {i}, {layer!r}, takes rows of {takes} numbers, those before it give {width}")
        if isinstance(layer, Linear):
            width = layer.shapes["W"][-1]
        elif not isinstance(layer, (LayerNorm, Dropout, ReLU, Tanh, GELU)):
            width = len(layer.columns) if isinstance(layer, Select) else None


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
            if not is_whole(size) or size < 1:
                raise ValueError(f"every width must be a positive integer, got {size!r} in sizes {sizes}")
        if isinstance(activation, Layer) or not callable(activation):
            raise TypeError(f"activation is the class of a layer, such as kd.ReLU without brackets, got {activation!r}")
        n_linear = len(sizes) - 1
        each: list[Any] = list(dropout) if isinstance(dropout, (list, tuple, np.ndarray)) else [dropout]
        if not all(map(is_number, each)):
            raise TypeError(f"dropout is a rate in [0, 1), or one for each linear layer, got {dropout!r}")
        if not isinstance(dropout, (list, tuple, np.ndarray)):
            rates = [0.0] + [float(each[0])] * (n_linear - 1)
        else:
            rates = [float(rate) for rate in each]
            if len(rates) != n_linear:
                raise ValueError(f"dropout takes one rate for each of the {n_linear} linear layers, got {len(rates)}")
        rng = np.random.default_rng(check_seed(seed))
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

    @classmethod
    def from_layers(
        cls, sizes: Sequence[int], layers: Iterable[Layer], taps: Mapping[str, int], theta: Array | None = None
    ) -> Self:
        """An MLP of these widths made of layers that are there, e.g. read from a file."""
        made = cls.__new__(cls)
        Network.__init__(made, layers, taps, theta)
        made.sizes = tuple(sizes)
        return made

    def __repr__(self) -> str:
        return f"MLP({', '.join(map(str, self.sizes))})"
