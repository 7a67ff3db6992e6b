"""Layers over one flat vector of parameters: what networks, and adaptors of other forms, have in common."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

import numpy as np

from kdlearn.backend import Array, array_module, to_device
from kdlearn.checks import is_whole
from kdlearn.nn.layers import Layer, works_by_rows


class Module:
    """Trainable layers. What an optimiser, an objective's `Through` and a checkpoint know of a network.

    `theta` holds every parameter and `grad` every gradient, each as one flat vector: all weights
    first, then all biases. `layer.W` and `layer.dW` are views of them and are never rebound, so
    an optimiser step, a norm, a copy or a moving average is one line over a vector.

    Write into them: `net.theta[...] = best`, `layer.W[...] = W`. After `net.theta = best`, `layer.W = W` or another
    layer in `layers` the network is refused at each step, answer, copy and file (`check_laid`); `forward` and
    `backward` alone do not look.

    `written` says whether `grad` belongs to the step that is under way. The first `backward` of a step
    writes `grad`, each further one adds to it; an optimiser's step ends the matter.

    Parameters
    ----------
    layers : the layers, each an object of its own. Those that another network holds are copied: the two then start
        from the same weights.
    theta, grad : the flat vectors to lay the layers over; by default theirs are gathered into new ones.
    """

    members = 1  # how many networks of one shape these are; more than one in a `Stack`
    theta: Array
    grad: Array
    written: bool
    slices: tuple[tuple[int, int, bool], ...]
    _laid: tuple[Array, Array, list[Layer], list[tuple[Layer, str, Array]]]  # theta, grad, layers, their arrays

    def __init__(self, layers: Iterable[Layer], theta: Array | None = None, grad: Array | None = None) -> None:
        given = list(layers)
        for i, layer in enumerate(given):
            if isinstance(layer, type) or not hasattr(layer, "parameters"):
                known = f"the class {layer.__name__}" if isinstance(layer, type) else repr(layer)
                raise TypeError(f"layer {i} must be a layer, such as kd.ReLU() with its brackets, got {known}")
            if layer.parameters and any(layer is other for other in given[:i]):
                raise ValueError(
                    f"layer {i}, {layer!r}, stands in the network twice: one use would overwrite the other's gradient; "
                    "give each a layer of its own"
                )
        self.layers = [copy.copy(layer) if _held(layer) else layer for layer in given]
        self._frozen: frozenset[int] = frozenset()
        if theta is None:
            parts = [getattr(layer, name).ravel() for _, layer, name, _ in self._parameters()]
            theta = array_module(*parts).concatenate(parts) if parts else np.zeros(0, np.float32)
        self.lay_over(theta, grad)

    def forward(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Array], Any]:
        """`forward(*arrays, taps=None) -> ({tap: array}, caches)`; the output is the tap `"logits"`."""
        raise NotImplementedError

    def backward(self, caches: Any, gradients: Mapping[str, Array], need_dx: bool = False) -> Any:
        """Write the gradients of the parameters, or add them (see `written`); with `need_dx` return
        the gradient of each array that `forward` took (a tuple, if it took other than one)."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradient: the next `backward` starts from zero."""
        self.grad[...] = 0
        self.written = False

    # ------------------------------------------------------------------ the flat vectors

    def lay_over(self, theta: Array, grad: Array | None = None) -> None:
        """Make `theta` the parameters: every layer's arrays become views of it, and of `grad`.

        Raises
        ------
        ValueError
            Where it has another size than the layers' shapes ask for, or is neither float32 nor float64.
        """
        if theta.shape != (self.n_parameters,):
            raise ValueError(f"these layers have {self.n_parameters} parameters, theta has shape {theta.shape}")
        if theta.dtype not in (np.float32, np.float64):
            raise ValueError(f"a network computes in float32 or float64, not in {theta.dtype}; store it smaller")
        self.theta = theta
        self.grad = array_module(theta).zeros_like(theta) if grad is None else grad
        self.written = False
        for _, layer, name, place in self._parameters():
            setattr(layer, name, self.theta[place].reshape(layer.shapes[name]))
            setattr(layer, "d" + name, self.grad[place].reshape(layer.shapes[name]))
        names = [(layer, prefix + name) for _, layer, name, _ in self._parameters() for prefix in ("", "d")]
        arrays = [(layer, name, getattr(layer, name)) for layer, name in names]
        self._laid = self.theta, self.grad, list(self.layers), arrays
        self._find_trainable()

    def check_laid(self) -> None:
        """ValueError unless `theta` and the layers' arrays are those that `lay_over` laid.

        After `net.theta = …` or `layer.W = …` an optimiser moves one array, and the layer computes with another.
        """
        theta, grad, layers, arrays = self._laid
        replaced = self.theta is not theta or self.grad is not grad or self.layers != layers
        for layer, name, array in arrays:
            replaced = replaced or getattr(layer, name) is not array
        if replaced:
            raise ValueError(
                "theta, or an array or a layer of this network, was replaced: the layers no longer compute with theta, "
                "which is what is trained, copied and saved; write net.theta[...] = …, layer.W[...] = …, or "
                "make a new network of the new layers"
            )

    @property
    def n_parameters(self) -> int:
        """How many numbers the layers hold."""
        return max((place.stop for _, _, _, place in self._parameters()), default=0)

    def _parameters(self) -> list[tuple[int, Layer, str, slice]]:
        """Each parameter: its layer's position, the layer, its name, and where it lies in the flat vectors."""
        found, start = [], 0
        for kind in ("weights", "biases"):
            for i, layer in enumerate(self.layers):
                for name in getattr(layer, kind):
                    stop = start + math.prod(layer.shapes[name])
                    found.append((i, layer, name, slice(start, stop)))
                    start = stop
        return found

    def by_member(self, vector: Array) -> Iterator[Array]:
        """The trainable parts of a flat vector, one parameter after the other, each as a view (members, n)."""
        for i, _, _, place in self._parameters():
            if i not in self._frozen:
                yield vector[place].reshape(self.members, -1)

    def check_row_by_row(self, doing: str) -> None:
        """TypeError for a layer, or a forward pass, that does not say that it works row by row; see `Layer`."""
        for part in (self, *self.layers):
            kind: Any = type(part)
            if not works_by_rows(kind):
                raise TypeError(
                    f"{kind.__name__} does not say that it works row by row, as {doing} asks; where each row it "
                    "makes depends on the same row of its input alone, its class says row_by_row = True: see kd.Layer"
                )

    # ------------------------------------------------------------------ what is trained

    @property
    def frozen(self) -> frozenset[int]:
        """Positions of the layers that no optimiser touches."""
        return self._frozen

    @frozen.setter
    def frozen(self, positions: Iterable[int]) -> None:
        chosen = frozenset(positions)
        unknown = [i for i in chosen if i not in range(len(self.layers))]
        if unknown:
            raise ValueError(f"positions of layers are 0 … {len(self.layers) - 1}, got {unknown[0]!r}")
        self._frozen = chosen
        self.zero_grad()
        self._find_trainable()

    def freeze(self, *numbers: int) -> None:
        """Hold the numbered layers fixed, counting layers with weights from 1; none: free all.

        Each call replaces the last: after `freeze(1)`, `freeze(2)` frees the first again, `freeze(1, 2)` holds both.
        A frozen layer's parameters are left alone by every optimiser, decay included. Parameters without weights,
        as those of `LayerNorm`, go with the layer before them; before the first they are never held.
        """
        for n in numbers:
            if not is_whole(n):
                raise TypeError(f"layers are numbered from 1, got {n!r}")
        count, chosen = 0, set()
        for i, layer in enumerate(self.layers):
            count += bool(layer.weights)
            if layer.parameters and count in numbers:
                chosen.add(i)
        unknown = [n for n in numbers if not 1 <= n <= count]
        if unknown:
            raise ValueError(f"layers are numbered 1 to {count}, got {unknown[0]!r}")
        self.frozen = frozenset(chosen)

    def _find_trainable(self) -> None:
        # slices: (start, stop, may be decayed) of theta's trainable runs, as few as there can be
        self._first_trainable = len(self.layers)
        runs: list[tuple[int, int, bool]] = []
        for i, layer, name, place in self._parameters():
            if i not in self._frozen:
                self._first_trainable = min(self._first_trainable, i)
                start, decays = place.start, name in layer.weights
                if runs and runs[-1][1:] == (start, decays):
                    start = runs.pop()[0]
                runs.append((start, place.stop, decays))
        self.slices = tuple(runs)

    # ------------------------------------------------------------------ copies and devices

    def copy(self) -> Self:
        """An independent copy with the same parameters."""
        return copy.deepcopy(self)

    def to(self, device: str) -> Self:
        """This on `"cpu"` or `"cuda"`: a copy, or itself where it is there already."""
        theta = to_device(self.theta, device)
        if theta is self.theta:
            return self
        moved = self.copy()
        moved.lay_over(theta)
        return moved

    def __copy__(self) -> Self:  # a shallow copy would fight over the layers' views
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        self.check_laid()
        state = self.__dict__.copy()
        del state["grad"], state["_laid"]
        state["layers"] = [copy.copy(layer) for layer in self.layers]
        for layer in state["layers"]:
            for name in layer.parameters:  # the values travel once, in theta
                delattr(layer, name)
                delattr(layer, "d" + name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lay_over(self.theta)


def _held(layer: Layer) -> bool:
    """Whether its arrays are views, as those of a layer in a network are: laid over another, it would leave that."""
    return any(getattr(getattr(layer, name), "base", None) is not None for name in layer.parameters)


M = TypeVar("M", bound=Module)


def frozen(net: M) -> M:
    """A copy of a network that nothing trains: every layer is frozen, and backward computes no gradient of a weight.

    Inside a `Through` it is a fixed map that gradients pass, such as a teacher's upper layers above a student's
    features. The step costs its forward pass and the gradient of its input, no more.

    Example
    -------
    >>> from kdlearn.nn.network import MLP
    >>> held = frozen(MLP(4, 8, 3))
    >>> held.slices, sorted(held.frozen)
    ((), [0, 1, 2])
    """
    held = net.copy()
    held.frozen = frozenset(range(len(held.layers)))
    return held


class FreeVector(Module):
    """A trainable vector without an input: `Through(FreeVector(5), (), …)`.

    Parameters
    ----------
    width : number of entries; `theta` is the output.
    start : their initial value.
    dtype : `"float32"`, or `"float64"` for gradient checks.
    """

    def __init__(self, width: int, start: float = 0.0, dtype: str = "float32") -> None:
        layer = Layer()
        layer.biases = ("b",)  # a bias, so that weight decay leaves it alone
        layer.hold(b=np.full(width, start, dtype))
        super().__init__([layer])

    def forward(self, *arrays: Array, taps: Iterable[str] | None = None) -> tuple[dict[str, Array], Any]:
        """`({"logits": (width,)}, None)`; it takes no array."""
        return {"logits": self.theta}, None

    def backward(self, caches: Any, gradients: Mapping[str, Array], need_dx: bool = False) -> tuple[()]:
        """Write (or add) the gradient; there is no input to pass one on to."""
        if not self.written:
            self.grad[...] = 0
        self.grad += gradients["logits"]
        self.written = True
        return ()
