"""The layers, each a pair: `forward(x, rng) -> (y, cache)` and `backward(dy, cache) -> dx`.

What backward must remember is returned as the cache, so it can be printed, and one layer can be
run on two inputs before either is taken back. `rng=None` means deterministic: there is no train
flag, a caller who wants dropout hands over the dice. Letters: N batch, D input, H output width.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, device_of, special_functions, to_device
from kdlearn.checks import check_seed, check_size, different_numbers, is_number
from kdlearn.nn.functional import one_hot
from kdlearn.nn.masks import DropoutMasks

Writes = bool | None  # False: write the gradients, True: add to them, None: leave them alone
Dice = np.random.Generator | Sequence[np.random.Generator] | DropoutMasks | None  # one Generator a member of a stack


class Layer:
    """A differentiable function with named parameters.

    `weights` and `biases` name attributes; for each parameter `W` there is a gradient `dW` of
    the same shape. Weights may be decayed, biases are not. A network replaces these arrays by
    views of its own flat vectors.

    row_by_row : a layer of your own, whose rows are functions of the same row of its input alone, says so with
        `row_by_row = True` in its class: `kd.Stack` and `micro_batch` refuse others, which might mix rows that are
        not of one batch. In a stack of R networks x is (R, N, D), a weight (D, H) is (R, D, H), a vector (H,) is
        (R, 1, H) and `rng` is a list of R Generators: write `x @ self.W`, `dy @ self.W.mT`, `axis=-1`.
    """

    row_by_row: bool
    weights: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters, weights first."""
        return self.weights + self.biases

    def hold(self, **arrays: Array) -> None:
        """Take these arrays for the parameters, with gradients of zero beside them."""
        self.shapes = {name: array.shape for name, array in arrays.items()}
        for name, array in arrays.items():
            setattr(self, name, array)
            setattr(self, "d" + name, array_module(array).zeros_like(array))

    @staticmethod
    def shapes_of(**settings: Any) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters of a layer with these `settings`, before one is built."""
        return {}

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, Any]:
        """`(y, cache)` for an input of N rows."""
        raise NotImplementedError

    def backward(self, dy: Array, cache: Any, accumulate: Writes = False, need_dx: bool = True) -> Array | None:
        """dL/dx from dL/dy; writes (or with `accumulate` adds to) the parameters' gradients; None: leaves them alone.

        Neither `dy` nor the cache is modified. Without `need_dx` a layer may return None and
        save that work: nobody asks for the gradient of the data.
        """
        raise NotImplementedError

    def check_width(self, x: Array, takes: int) -> None:
        """ValueError unless x has rows of so many numbers."""
        if x.shape[-1] != takes:
            raise ValueError(f"x has rows of {x.shape[-1]} numbers, {self!r} takes {takes}")

    def settings(self) -> dict[str, Any]:
        """Arguments that make a layer of this shape again; the parameters' values are not among them."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(str(v) for v in self.settings().values())})"


@functools.cache
def works_by_rows(kind: Any) -> bool:
    """Whether a class of layers, or of networks, is known to work row by row: one with a pass of its own says so.

    What a class says is said of the passes that it has, not of those that a class derived from it puts in their place.
    """
    for own in kind.__mro__:
        if "row_by_row" in vars(own):
            return bool(vars(own)["row_by_row"])
        if "forward" in vars(own) or "backward" in vars(own):
            return own.__module__.startswith("kdlearn.")
    return False


def over_rows(d: Array, like: Array) -> Array:
    """The sum of d (N, H) over its rows, (H,); in a stack of (R, N, H), where `like` is (R, 1, H), that."""
    return d.sum(axis=-2, keepdims=like.ndim > 1)


class Linear(Layer):
    r"""Affine map of each row `[layers.1]`.

    .. math:: y = xW + b, \qquad
       \frac{\partial L}{\partial W} = x^\top \frac{\partial L}{\partial y},\quad
       \frac{\partial L}{\partial b} = \sum_n \frac{\partial L}{\partial y_n},\quad
       \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} W^\top

    Parameters
    ----------
    n_in, n_out : D and H; `W` is (D, H), `b` is (H,). x is (N, D), y is (N, H).
    gain : standard deviation of the output for an input of unit variance; sqrt(2) before a ReLU
        (He et al. 2015) or a GELU, 1 otherwise.
    """

    weights, biases = ("W",), ("b",)
    W: Array
    b: Array
    dW: Array
    db: Array

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        gain: float = 1.0,
        rng: np.random.Generator | int | None = 0,
        dtype: str = "float32",
    ) -> None:
        if n_in < 1 or n_out < 1:
            raise ValueError(f"a Linear layer needs widths of at least 1, got {n_in} -> {n_out}")
        draw = np.random.default_rng(check_seed(rng)).standard_normal((n_in, n_out))
        if not math.isfinite(gain):
            raise ValueError(f"gain must be a finite number, got {gain!r}")
        self.hold(W=(gain / math.sqrt(n_in) * draw).astype(dtype), b=np.zeros(n_out, dtype))

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, Array]:
        if x.dtype != self.W.dtype:
            raise TypeError(
                f"the input is {x.dtype}, the weights are {self.W.dtype}: cast the data once, before training"
            )
        try:  # which costs a right step nothing
            y = x @ self.W
        except ValueError:
            self.check_width(x, self.W.shape[-2])
            raise
        y += self.b
        return y, x

    def backward(self, dy: Array, cache: Array, accumulate: Writes = False, need_dx: bool = True) -> Array | None:
        xp, x = array_module(dy), cache
        if accumulate:
            self.dW += x.mT @ dy
            self.db += over_rows(dy, self.db)
        elif accumulate is not None:
            xp.matmul(x.mT, dy, out=self.dW)
            dy.sum(axis=-2, keepdims=self.db.ndim > 1, out=self.db)
        return dy @ self.W.mT if need_dx else None

    @staticmethod
    def shapes_of(n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:  # type: ignore[override]
        return {"W": (n_in, n_out), "b": (n_out,)}

    def settings(self) -> dict[str, Any]:
        return dict(zip(("n_in", "n_out"), self.shapes["W"][-2:]))


class ReLU(Layer):
    r"""Rectifier `[layers.2]`.

    .. math:: y = \max(x, 0), \qquad \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y}\,[y > 0]

    At x = 0 the derivative is taken as 0. The cache is the output: its sign says all.
    """

    gain = math.sqrt(2.0)

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, Array]:
        y = array_module(x).maximum(x, 0)
        return y, y

    def backward(self, dy: Array, cache: Array, accumulate: Writes = False, need_dx: bool = True) -> Array:
        return dy * (cache > 0)


class Tanh(Layer):
    r"""Hyperbolic tangent `[layers.3]`.

    .. math:: y = \tanh x, \qquad \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y}\,(1 - y^2)
    """

    gain = 1.0

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, Array]:
        y = array_module(x).tanh(x)
        return y, y

    def backward(self, dy: Array, cache: Array, accumulate: Writes = False, need_dx: bool = True) -> Array:
        return dy * (1 - cache * cache)


class GELU(Layer):
    r"""Gaussian error linear unit, exact form `[layers.4]`.

    .. math:: y = x\,\Phi(x), \qquad
       \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y}\,(\Phi(x) + x\,\varphi(x)),
       \qquad \Phi(x) = \tfrac12\Big(1 + \operatorname{erf}\frac{x}{\sqrt2}\Big)

    Source: Hendrycks and Gimpel 2016, section 2.
    """

    gain = math.sqrt(2.0)

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, tuple[Array, Array]]:
        Phi = 0.5 * (1 + special_functions(x).erf(x * math.sqrt(0.5)))
        return x * Phi, (x, Phi)

    def backward(
        self, dy: Array, cache: tuple[Array, Array], accumulate: Writes = False, need_dx: bool = True
    ) -> Array:
        x, Phi = cache
        phi = array_module(x).exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return dy * (Phi + x * phi)


class LayerNorm(Layer):
    r"""Each row brought to mean 0 and variance 1, then scaled and shifted `[layers.5]`.

    .. math:: \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}},\quad y = g\,\hat x + b, \qquad
       \frac{\partial L}{\partial x} = \frac{1}{\sqrt{\sigma^2+\epsilon}}
       \big(d - \bar d - \hat x\,\overline{d \hat x}\big),\quad d = g\,\frac{\partial L}{\partial y}

    Bars are means over the H entries of a row. `g` and `b` are (H,); neither is decayed.
    Source: Ba, Kiros and Hinton 2016, equations 3 and 4.
    """

    biases = ("g", "b")
    g: Array
    b: Array
    dg: Array
    db: Array

    def __init__(self, width: int, eps: float = 1e-5, dtype: str = "float32") -> None:
        self.eps = check_size("eps", eps)
        self.hold(g=np.ones(width, dtype), b=np.zeros(width, dtype))

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, tuple[Array, Array]]:
        xp = array_module(x)
        self.check_width(x, self.g.shape[-1])  # one column would be broadcast
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = 1 / xp.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self.eps)
        x_hat = centred * scale
        return self.g * x_hat + self.b, (x_hat, scale)

    def backward(
        self, dy: Array, cache: tuple[Array, Array], accumulate: Writes = False, need_dx: bool = True
    ) -> Array | None:
        x_hat, scale = cache
        if accumulate is not None:
            if not accumulate:
                self.dg[...] = 0
                self.db[...] = 0
            self.dg += over_rows(dy * x_hat, self.dg)
            self.db += over_rows(dy, self.db)
        if not need_dx:
            return None
        d = self.g * dy
        return scale * (d - d.mean(axis=-1, keepdims=True) - x_hat * (d * x_hat).mean(axis=-1, keepdims=True))

    @staticmethod
    def shapes_of(width: int, eps: float = 1e-5) -> dict[str, tuple[int, ...]]:  # type: ignore[override]
        return {"g": (width,), "b": (width,)}

    def settings(self) -> dict[str, Any]:
        return {"width": self.shapes["g"][-1], "eps": self.eps}


class Dropout(Layer):
    r"""Each entry zeroed with probability `rate`, the others scaled up `[layers.6]`.

    .. math:: y = x \odot m, \qquad \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \odot m,
       \qquad m \in \{0, \tfrac{1}{1 - r}\}

    Without `rng` it is the identity, which is the mean over masks. A NumPy Generator draws the masks on the host, so
    that a CPU and a GPU run see the same ones, from raw numbers of 16 bits, at a quarter of the cost
    of floats: the rate holds to 1/65536. `DropoutMasks` draws them from floats where the network lives.
    Source: Srivastava et al. 2014, section 4, in its inverted form.
    """

    def __init__(self, rate: float) -> None:
        if not is_number(rate) or not 0 <= rate < 1:
            raise ValueError(f"a dropout rate lies in [0, 1), got {rate!r}")
        if rate > 0.999:
            raise ValueError(f"a dropout rate above 0.999 is too fine for masks of 16 bits, got {rate!r}")
        self.rate = rate

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, Array | None]:
        if rng is None or self.rate == 0:
            return x, None
        if isinstance(rng, DropoutMasks):
            keep = rng.keep(x.shape, self.rate)
        elif isinstance(rng, np.random.Generator):
            keep = self._keep(rng, x.shape)
        else:  # a stack: each member rolls its own dice, as if it were alone
            if not hasattr(rng, "__len__"):
                raise TypeError(f"rng must be a NumPy Generator, such as np.random.default_rng(0), got {rng!r}")
            if len(rng) != len(x):
                raise TypeError(f"dropout in a stack takes one Generator a member, {len(x)} here, got {len(rng)}")
            keep = np.stack([self._keep(own, x.shape[1:]) for own in rng])
        mask = to_device(keep, device_of(x)) * x.dtype.type(1 / (1 - self.rate))
        return x * mask, mask

    def _keep(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        size = math.prod(shape)
        bits, n = rng.bit_generator, -(-size // 4)
        short = isinstance(bits, np.random.MT19937)  # its raw words have 32 bits, beside as many zeros
        words = rng.integers(0, 2**64, n, np.uint64) if short else bits.random_raw(n)
        return words.view(np.uint16)[:size].reshape(shape) >= round(self.rate * 65536)

    def backward(self, dy: Array, cache: Array | None, accumulate: Writes = False, need_dx: bool = True) -> Array:
        return dy if cache is None else dy * cache

    def settings(self) -> dict[str, Any]:
        return {"rate": self.rate}


class Embedding(Layer):
    r"""Each of a row's C tokens replaced by its vector from a table, the vectors side by side `[layers.7]`.

    .. math:: y_n = [\,W_{x_{n1}}, \dots, W_{x_{nC}}\,], \qquad
       \frac{\partial L}{\partial W_v} = \sum_{n,c}\,[x_{nc} = v]\,\frac{\partial L}{\partial y_{nc}}

    A token is a one-hot row times W, so the sum is one matrix product. It costs 2 N C V E
    operations and a matrix of (N C, V) numbers, V times what adding row by row would: that would
    have equal tokens race on a GPU. Tokens are integers, and have no gradient: dx is None.

    Parameters
    ----------
    V : number of tokens; x is (N, C) integers in 0 … V-1, checked where data enters, not here.
    width : E, the length of a vector; `W` is (V, E), of unit variance, and y is (N, C E).
    """

    weights = ("W",)
    W: Array
    dW: Array

    def __init__(
        self, V: int, width: int, *, rng: np.random.Generator | int | None = 0, dtype: str = "float32"
    ) -> None:
        if V < 1 or width < 1:
            raise ValueError(f"an Embedding needs at least 1 token and a width of at least 1, got {V} and {width}")
        self.hold(W=np.random.default_rng(check_seed(rng)).standard_normal((V, width)).astype(dtype))

    def check(self, x: Array) -> None:
        """ValueError unless x holds integers in 0 … V-1; a GPU would wrap others, silently."""
        if x.dtype.kind not in "iu":
            raise ValueError(f"tokens must be integers, got {x.dtype}")
        lowest, highest = (int(x.min()), int(x.max())) if x.size else (0, 0)
        V = self.W.shape[-2]
        if lowest < 0 or highest >= V:
            bad = lowest if lowest < 0 else highest
            raise ValueError(f"tokens must lie in 0 … {V - 1}, the rows of the table; got {bad}")

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, Array]:
        if x.dtype.kind not in "iu":
            raise TypeError(f"tokens must be integers, got {x.dtype}")
        x = x.astype("int64", copy=False)  # NumPy before 2 takes no unsigned ones of 64 bits
        if self.W.ndim == 2:
            y = self.W.take(x, axis=0)
        else:
            y = self.W[array_module(x).arange(len(self.W))[:, None, None], x]
        return y.reshape(*x.shape[:-1], x.shape[-1] * self.W.shape[-1]), x

    def backward(self, dy: Array, cache: Array, accumulate: Writes = False, need_dx: bool = True) -> None:
        *stack, V, E = self.W.shape
        chosen, dy = one_hot(cache.reshape(*stack, -1), V, dy.dtype), dy.reshape(*stack, -1, E)
        if accumulate:
            self.dW += chosen.mT @ dy
        elif accumulate is not None:
            array_module(dy).matmul(chosen.mT, dy, out=self.dW)

    @staticmethod
    def shapes_of(V: int, width: int) -> dict[str, tuple[int, ...]]:  # type: ignore[override]
        return {"W": (V, width)}

    def settings(self) -> dict[str, Any]:
        return dict(zip(("V", "width"), self.shapes["W"][-2:]))


class Select(Layer):
    r"""Some columns of its input, in this order `[layers.8]`.

    .. math:: y_{ni} = x_{n\,c_i}, \qquad
       \frac{\partial L}{\partial x_{nk}} = \begin{cases}\partial L/\partial y_{ni} & k = c_i\\
       0 & \text{for a column that was not chosen}\end{cases}

    It has no parameters. Inside a `Through` it is a loss on some of a student's live logits; for fixed ones there is
    `select_classes`.

    Parameters
    ----------
    columns : different numbers from 0 on, c_1 … c_H; y is (N, H).
    """

    def __init__(self, columns: Iterable[int]) -> None:
        self.columns = different_numbers(columns, "columns")

    def forward(self, x: Array, rng: Dice = None) -> tuple[Array, int]:
        if max(self.columns) >= x.shape[-1]:
            raise ValueError(f"there is no column {max(self.columns)}: the input has {x.shape[-1]} columns")
        return array_module(x).stack([x[..., k] for k in self.columns], axis=-1), x.shape[-1]

    def backward(self, dy: Array, cache: int, accumulate: Writes = False, need_dx: bool = True) -> Array:
        dx = array_module(dy).zeros((*dy.shape[:-1], cache), dy.dtype)
        for i, k in enumerate(self.columns):
            dx[..., k] = dy[..., i]
        return dx

    def settings(self) -> dict[str, Any]:
        return {"columns": self.columns}
