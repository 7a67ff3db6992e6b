"""The layers and the network of the workbook, and their usual mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from kdlearn.ideas import CLOSE, Case, common_factor, same
from kdlearn.judging import array, results
from kdlearn.learner import Verdict, call
from kdlearn.nn.layers import Linear, ReLU
from kdlearn.nn.network import MLP
from kdlearn.workbook.task import ODD, PASSED_ON, D, H, K, Layers, N, Slips, Task, also, elsewhere, normal

Three = tuple[np.ndarray, np.ndarray, np.ndarray]

# ---------------------------------------------------------------- layers


def _layer(W: np.ndarray, b: np.ndarray) -> Linear:
    """In float64, whatever a learner's function hands to it."""
    layer = Linear(*np.shape(W))
    layer.hold(W=np.asarray(W, np.float64), b=np.asarray(b, np.float64))
    return layer


def linear(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As the workbook asks for it."""
    return _layer(W, b).forward(np.asarray(x, np.float64))[0]


LINEAR: Slips = {
    "the bias: Add b to every row.": lambda x, W, b: x @ W,
    "x W + b alone: The ReLU stands between two layers; this function has none.": (
        lambda x, W, b: np.maximum(linear(x, W, b), 0)
    ),
}


def linear_backward(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> Three:
    """As the workbook asks for it."""
    layer = _layer(W, np.zeros(np.shape(W)[1]))
    dx = layer.backward(np.asarray(dy, np.float64), np.asarray(x, np.float64))
    assert dx is not None
    return dx, layer.dW, layer.db


def _means(*which: int) -> Callable[..., Three]:
    """linear_backward with some of its results divided by the number of rows."""

    def wrong(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> Three:
        dx, dW, db = (g / len(x) if i in which else g for i, g in enumerate(linear_backward(dy, x, W)))
        return dx, dW, db

    return wrong


LINEAR_BACKWARD: Slips = {
    "the sum over rows: db is the sum of dy over the rows; the mean is in dy already.": _means(2),
    "the sum over rows: dW is a sum over the rows; the mean is in dy already.": _means(1),
    "the sum over rows: The mean is in dy already, so dW and db are divided by nothing.": _means(1, 2),
}


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """As the workbook asks for it."""
    return ReLU().backward(dy, y)


RELU_BACKWARD: Slips = {
    "the mask: Nothing passes where the output is zero; y >= 0 is true everywhere.": lambda dy, y: dy,
    "the chain rule: The slope, 0 or 1, is to be multiplied by dy.": lambda dy, y: (y > 0) * 1.0,
    "a slope of 0 or 1: Where the output is positive dy passes as it is.": lambda dy, y: dy * y,
    "the output as the judge: Whether y is positive decides, not whether dy is.": lambda dy, y: dy * (dy > 0),
    "the mask the right way round: dy passes where the output is positive.": lambda dy, y: dy * (y <= 0),
}

# ---------------------------------------------------------------- start


def start(widths: Sequence[int], rng: np.random.Generator) -> Layers:
    """As the workbook asks for it."""
    net = MLP(*widths, seed=rng, dtype="float64")
    return [(layer.W.copy(), layer.b.copy()) for layer in net.layers if isinstance(layer, Linear)]


WIDTHS = (300, 200, 120, 40)
ELSEWHERE = [WIDTHS, (2, 3, 1), (6, 4), *(at.widths for at in ODD)]
INPUTS, OUTPUTS = (np.array(w, float) for w in (WIDTHS[:-1], WIDTHS[1:]))
GAIN = np.array([2.0, 2.0, 1.0])
SPREADS = {  # of the weights, layer by layer
    "": np.sqrt(GAIN / INPUTS),
    "the scale: The more inputs, the smaller the weights: their spread is √(2/n).": np.ones(3),
    "the 2 of the ReLU: A ReLU lets half through, so the weights before it need √(2/n).": np.sqrt(1 / INPUTS),
    "the last layer: No ReLU follows it, so its weights need √(1/n).": np.sqrt(2 / INPUTS),
    "the number of inputs: Yours divides by the number of outputs.": np.sqrt(GAIN / OUTPUTS),
    "the root: The spread is √(2/n); yours is 2/n.": GAIN / INPUTS,
}


def _weights(function: Callable[..., Any], widths: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """The weights of a new network, whose shapes and biases are right."""
    network = pairs(call(function, widths, np.random.default_rng(seed)), len(widths) - 1, "(W, b)")
    for i, (W, b) in enumerate(network):
        for name, a, shape in (("W", W, widths[i : i + 2]), ("b", b, widths[i + 1 : i + 2])):
            array(a, shape, f"{name} of layer {i}")
        if np.any(b):
            raise Verdict("biases of zero", f"b of layer {i} is not zero.")
    return [np.asarray(W, float) for W, _ in network]


def _drawn(weights: Sequence[np.ndarray], seed: int) -> bool:
    """Whether they are the numbers of rng.standard_normal, each once and well scaled, in any order and precision."""
    gains = [2.0] * (len(weights) - 1) + [1.0]
    mine = np.sort(np.concatenate([(W / np.sqrt(gain / len(W))).ravel() for W, gain in zip(weights, gains)]))
    draws = (np.random.default_rng(seed).standard_normal(mine.size, dtype) for dtype in ("float64", "float32"))
    return any(same(mine, np.sort(draw)) for draw in draws)


def check_start(function: Callable[..., Any]) -> None:
    """By shapes and spreads, which have names if they are wrong, and by the numbers that rng draws."""
    weights = _weights(function, WIDTHS, 31)
    spread = np.array([W.std() for W in weights])
    if (spread < 1e-12).any():
        raise Verdict("different weights", "Weights of a layer that are all equal stay equal for ever.")
    said = [sentence for sentence, wanted in SPREADS.items() if np.allclose(spread, wanted, rtol=0.05)]
    if not said:
        found, wanted = (", ".join(f"{v:.3g}" for v in a) for a in (spread, SPREADS[""]))
        raise Verdict("the scale", f"The spreads of your weights are {found}; they must be {wanted}.")
    if said[0]:
        raise Verdict(*said[0].split(": ", 1))
    if max(abs(W.mean()) * W.size**0.5 / s for W, s in zip(weights, spread)) > 6:
        raise Verdict("a mean of zero", "Your weights are not centred on zero.")
    for seed, widths in enumerate(ELSEWHERE, 31):
        weights = _weights(function, widths, seed)
        right = [W for W, _ in start(widths, np.random.default_rng(seed))]
        if _drawn(weights, seed):
            continue
        for i, (W, W0) in enumerate(zip(weights, right)):
            c = common_factor(np.sort(W.ravel()), np.sort(W0.ravel()))
            if c is not None and abs(c - 1) > CLOSE:
                times = f"W of layer {i} is {c:.4g} times what it must be for the widths {widths}"
                raise Verdict("the scale", f"{times}: its spread is √(2/n), in the last layer √(1/n), for n inputs.")
        raise Verdict(
            "rng", "Each weight is a new number of rng.standard_normal, times the spread: draw from nothing else."
        )


def pairs(found: Any, n: int, what: str) -> Layers:
    """A list of n pairs; a Verdict, where it is none."""
    try:
        made = [(a, b) for a, b in found]
    except (TypeError, ValueError):
        raise Verdict("", f"it must return a list of pairs {what}") from None
    if len(made) != n:
        raise Verdict("", f"it returns {len(made)} pair{'s' * (len(made) != 1)} {what}, not {n}: one for each layer")
    return made


def flat(n: int, what: str) -> Callable[[Any], tuple[Any, ...]]:
    """Makes one tuple, the pair of layer 0 first, of a list of n pairs."""
    return lambda found: tuple(a for pair in pairs(found, n, what) for a in pair)


# ---------------------------------------------------------------- forward


def forward(network: Layers, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """As the workbook asks for it."""
    return _forward(network, x)


def _forward(
    network: Layers, x: np.ndarray, keep: str = "after", first: int = 1, last: bool = False
) -> tuple[np.ndarray, Any]:
    """With a ReLU before each layer from the one with number `first` on, and with `last` behind them all."""
    kept: dict[str, list[np.ndarray]] = {"before": [], "after": []}
    for i, (W, b) in enumerate(network):
        kept["before"].append(x)
        x = np.maximum(x, 0) if i >= first else x
        kept["after"].append(x)
        x = linear(x, W, b)
    return np.maximum(x, 0) if last else x, kept[keep]


FORWARD: Slips = {
    "the ReLU: Without it all layers together are one linear layer.": (
        lambda network, x: _forward(network, x, first=len(network))
    ),
    "the data as they are: There is no ReLU before the first layer.": partial(_forward, first=0),
    "logits as they are: After the last layer there is no ReLU.": partial(_forward, last=True),
    "what a layer reads: inputs must hold what the ReLU let through, not what it was given.": (
        partial(_forward, keep="before")
    ),
}


def logits_and_inputs(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """Makes (z, the input of layer 0, …) of (z, inputs), for n layers."""

    def unpack(found: Any) -> tuple[Any, ...]:
        z, inputs = results(found, ("z", "inputs"))
        if not isinstance(inputs, (list, tuple)):
            raise Verdict("", f"inputs must be a list of arrays, it is of type {type(inputs).__name__}")
        if len(inputs) != n:
            held = f"{len(inputs)} array{'s' * (len(inputs) != 1)}"
            raise Verdict("", f"inputs holds {held}, it must hold {n}: one for each linear layer")
        return z, *inputs

    return unpack


# ---------------------------------------------------------------- backward


def backward(network: Layers, inputs: Sequence[np.ndarray], dz: np.ndarray) -> Layers:
    """As the workbook asks for it."""
    return list(_backward(network, inputs, dz))[::-1]


def _backward(network: Layers, inputs: Sequence[np.ndarray], dz: np.ndarray, relu: bool = True) -> Iterator[Any]:
    for (W, _), x in zip(network[::-1], inputs[::-1]):
        dx, dW, db = linear_backward(dz, x, W)
        yield dW, db
        dz = relu_backward(dx, x) if relu else dx


BACKWARD: Slips = {
    "the ReLU: Between two layers the gradient goes back through a ReLU, too.": (
        lambda network, inputs, dz: list(_backward(network, inputs, dz, relu=False))[::-1]
    ),
    "the order: Return the pairs in the order of the network, the first layer first.": (
        lambda *place: list(_backward(*place))
    ),
}


# ---------------------------------------------------------------- where they are asked

X, X2, W_, W2, DY, DY2 = normal((N, D), (N, D), (D, H), (D, H), (N, H), (N, H), seed=5)
B, B2 = normal((H,), (H,), seed=6)
OUT, OUT2 = (np.maximum(a - 9 * (np.arange(N) == 1)[:, None], 0) for a in normal((N, H), (N, H), seed=7))  # a row of 0
TINY = 2.0 ** -(60 * (np.arange(H) % 2))  # outputs of 1e-18 beside those of 1, exact in float32, too
NET = list(zip(normal((D, H), (H, 9), (9, K), seed=8), normal((H,), (9,), (K,), seed=9)))
POSITIVE = "An output of 1e-18 is positive, too: hold it to 0, not to a small number."
NET2 = list(zip(normal((D, H), (H, 9), (9, K), seed=10), normal((H,), (9,), (K,), seed=11)))
FAINT = [*((2.0**-60 * W, 2.0**-60 * b) for W, b in NET[:-1]), NET[-1]]  # hidden outputs of 1e-18
DZ, DZ2 = normal((N, K), (N, K), seed=12)
X3, W3, B3, DY3 = normal((3, 2), (2, 5), (5,), (3, 5), seed=21)
NET3 = [(W3, B3), *zip(normal((5, 4), seed=22), normal((4,), seed=23))]  # two layers
DZ3 = normal((3, 4), seed=24)[0]
LAYERS = range(len(NET))

TASKS = {
    "linear": Task(
        linear,
        ("y",),
        [(X, W_, B), (X2, W2, B2)],
        LINEAR,
        more=[elsewhere(linear, X3, W3, B3)],
        odd=lambda at: (at.table(at.ends[0]), at.normal(*at.ends, seed=2), at.normal(at.ends[1])),
    ),
    "linear_backward": Task(
        linear_backward,
        ("dx", "dW", "db"),
        [(DY, X, W_), (DY2, X2, W2)],
        LINEAR_BACKWARD,
        case=Case(DY),
        ideas=PASSED_ON,
        more=[elsewhere(linear_backward, DY3, X3, W3)],
        odd=lambda at: (at.table(at.ends[1], seed=1), at.table(at.ends[0]), at.normal(*at.ends, seed=2)),
    ),
    "relu_backward": Task(
        relu_backward,
        ("dx",),
        [(DY, OUT), (DY2, OUT2)],
        RELU_BACKWARD,
        ideas=PASSED_ON,
        more=[
            elsewhere(relu_backward, DY3, np.maximum(DY3[::-1], 0)),
            also(relu_backward, POSITIVE, DY, OUT * TINY, idea="small outputs"),
            also(
                relu_backward,
                "Where no output is zero all of dy passes: hold it to 0, not to the other outputs.",
                DY,
                OUT + 1,
                idea="positive outputs",
            ),
        ],
        odd=lambda at: (at.table(at.ends[1], seed=1), np.maximum(at.table(at.ends[1]), 0)),
    ),
    "start": Task(start, more=[check_start]),
    "forward": Task(
        forward,
        ("z", *(f"inputs[{i}]" for i in LAYERS)),
        [(NET, X), (NET2, X2)],
        FORWARD,
        unpack=logits_and_inputs(len(NET)),
        case=Case(DZ),
        more=[
            also(forward, POSITIVE, FAINT, X, idea="small outputs", unpack=logits_and_inputs(len(FAINT)), floor=0.0),
            elsewhere(forward, NET3, X3, unpack=logits_and_inputs(len(NET3))),
        ],
        odd=lambda at: (at.network(), at.table(at.ends[0])),
        unpack_odd=logits_and_inputs,
    ),
    "backward": Task(
        backward,
        tuple(f"{name} of layer {i}" for i in LAYERS for name in ("dW", "db")),
        [(NET, forward(NET, X)[1], DZ), (NET2, forward(NET2, X2)[1], DZ2)],
        BACKWARD,
        unpack=flat(len(NET), "(dW, db)"),
        case=Case(DZ),
        ideas=PASSED_ON,
        more=[
            also(
                backward,
                POSITIVE,
                *(FAINT, forward(FAINT, X)[1], DZ),
                idea="small outputs",
                unpack=flat(len(FAINT), "(dW, db)"),
                floor=0.0,
            ),
            elsewhere(backward, NET3, forward(NET3, X3)[1], DZ3, unpack=flat(len(NET3), "(dW, db)")),
        ],
        odd=lambda at: (at.network(), forward(at.network(), at.table(at.ends[0]))[1], at.table(at.ends[1], seed=1)),
        unpack_odd=partial(flat, what="(dW, db)"),
    ),
}
