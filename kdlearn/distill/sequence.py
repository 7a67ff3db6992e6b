"""Generation: a student that writes, one token after the other, learns from a teacher that writes.

Letters: N rows, V tokens, C the context (how many tokens a network sees), S tokens written after a
prompt of C; a *sequence* is a row of C + S tokens. A row of the data is one token `y` with the
context `x` before it, so a language model is a classifier of contexts, every loss on logits
applies, and each method below is `fit` with another data function. `p` is the teacher's and `q` the
student's probability. Derivation: docs/derivations/sequence.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, check_generator, device_of, to_device
from kdlearn.checks import check_classes, check_count, check_labels, check_share, check_temperature, is_whole
from kdlearn.data.columns import Data, DataFunction
from kdlearn.nn.functional import at_label, log_softmax, softmax
from kdlearn.nn.layers import Embedding, Layer, ReLU
from kdlearn.nn.network import MLP, Network


def character_model(
    V: int,
    context: int,
    width: int,
    *hidden: int,
    activation: type[Layer] = ReLU,
    dropout: float | Sequence[float] = 0.0,
    seed: int | np.random.SeedSequence | np.random.Generator | None = 0,
    dtype: str = "float32",
) -> Network:
    """A language model: `context` tokens, each as a vector of `width`, through an MLP to V logits.

    The taps are those of an MLP with the hidden widths `hidden`, and `h0`, the vectors side by
    side. The other arguments are the MLP's. Source: Bengio et al. 2003, without direct connections.

    Example
    -------
    >>> character_model(68, 10, 8, 32).layers
    [Embedding(68, 8), Linear(80, 32), ReLU(), Linear(32, 68)]
    """
    rng = np.random.default_rng(seed)
    table = Embedding(V, width, rng=rng, dtype=dtype)
    body = MLP(context * width, *hidden, V, activation=activation, dropout=dropout, seed=rng, dtype=dtype)
    return Network([table, *body.layers], {"h0": 0, **{tap: i + 1 for tap, i in body.taps.items()}})


def encode(text: str, symbols: str) -> np.ndarray:
    """Each character's position in `symbols`, int32; ValueError for one that is not there."""
    number = {symbol: i for i, symbol in enumerate(symbols)}
    if len(number) < len(symbols):
        raise ValueError("a symbol is there twice; ''.join(sorted(set(text))) names each once")
    unknown = sorted(set(text) - set(symbols))
    if unknown:
        raise ValueError(f"the text has characters that are not among the symbols: {''.join(unknown)!r}")
    return np.fromiter((number[c] for c in text), np.int32, len(text))


def decode(tokens: Sequence[int] | np.ndarray, symbols: str) -> str:
    """The text of one row of tokens; ValueError for one that is no position in `symbols`."""
    row = np.asarray(tokens)
    if len(row):
        check_classes(row, len(symbols))
    return "".join(symbols[t] for t in row.tolist())


def windows(tokens: Array, context: int) -> Data:
    """Every token, as `y` (N,), with the `context` tokens before it, as `x` (N, C).

    `tokens` is one text (C + S,), or n sequences (n, C + S) that do not run into each other; then
    N = n S, one sequence after the other.
    """
    if getattr(tokens, "ndim", 0) not in (1, 2):
        raise ValueError(f"tokens must be an array (C + S,) or (n, C + S), got {_shape_of(tokens)}")
    if not is_whole(context):
        raise TypeError(f"context must be an integer, got {context!r}")
    if context < 1:
        raise ValueError(f"context must be at least 1, got {context}: without one there is nothing to predict from")
    rows = tokens.reshape(-1, tokens.shape[-1])
    length = rows.shape[1] - context
    if length < 1:
        raise ValueError(f"a context of {context} leaves nothing to predict in {rows.shape[1]} tokens")
    xp = array_module(tokens)
    places = xp.arange(length)[:, None] + xp.arange(context)
    return Data({"x": rows.take(places, axis=1).reshape(-1, context), "y": rows[:, context:].reshape(-1)})


def sample(net: Network, prompts: Array, length: int, rng: np.random.Generator, T: float = 1.0) -> Array:
    r"""Continue each prompt by `length` tokens, drawn one after the other `[sequence.1]`.

    .. math:: y_t = \#\{k : F_k \le u_t\}, \qquad F_k = \sum_{j \le k} q_T(j \mid y_{<t}),\quad u_t \sim U[0, 1)

    Parameters
    ----------
    prompts : (n, C) tokens.
    rng : a NumPy generator; the numbers u are drawn on the host, so a CPU and a GPU write alike.
    T : temperature of the answers; T -> 0 always writes the most probable token.

    Returns
    -------
    (n, C + length) tokens, the prompts included; of a wider integer type where theirs cannot hold every token.

    Raises
    ------
    ValueError
        Where the network's logits are NaN or infinite: nothing can be drawn from them.
    """
    T = check_temperature(T)
    check_generator(rng)
    check_count("length", length)
    _check_single(net)
    net.check_input(prompts)
    xp, (n, context) = array_module(prompts, net.theta), prompts.shape
    u = to_device(rng.random((length, n, 1)), device_of(prompts))
    prompts = _for_all_tokens(prompts, net)
    sequences = xp.zeros((n, context + length), prompts.dtype)
    sequences[:, :context] = prompts
    lost = xp.zeros((), bool)
    for t in range(length):
        sites, _ = net.forward(sequences[:, t : t + context], taps=("logits",))
        F = xp.cumsum(softmax(sites["logits"].astype("float64"), T), axis=1)
        lost = lost | xp.isnan(F[:, -1]).any()
        # without the last column: whatever the rounding, the count is at most V - 1
        sequences[:, context + t] = (F[:, :-1] <= u[t] * F[:, -1:]).sum(axis=1)
    if bool(lost):  # asked once, at the end: on a GPU each token would wait
        raise ValueError("some logits are NaN or infinite, and no token has a probability: the weights overflow")
    return sequences


def log_probabilities(net: Network, data: Data) -> Array:
    """The logarithm of what the network gives to each row's token, (N,)."""
    _check_single(net)
    z = net.logits(data.x)
    check_labels(z, data.y)  # a token of -1 would be the last one
    return at_label(log_softmax(z), data.y)


def perplexity(net: Network, data: Data) -> float:
    r"""Among how many equally probable tokens the network seems to choose `[sequence.2]`.

    .. math:: \exp\Big(-\frac1N \sum_n \log q(y_n \mid x_n)\Big)
    """
    return math.exp(-float(log_probabilities(net, data).mean()))


def generated(
    net: Network, data: Data, length: int, *, fraction: float = 1.0, rows: int | None = None, T: float = 1.0
) -> DataFunction:
    r"""A data function for `fit`: every epoch anew, tokens that `net` has written `[sequence.3]`.

    .. math:: \nabla\,\mathrm{KL}(p\,\|\,q) = -\,\mathbb E_{y\sim p} \sum_t \nabla \log q(y_t \mid y_{<t})
              = \mathbb E_{y\sim p} \sum_t \nabla\,\mathrm{KL}\big(p(\cdot\mid y_{<t})\,\|\,q(\cdot\mid y_{<t})\big)

    With the teacher as `net` this is sequence-level distillation: `CrossEntropy()` on what the
    teacher wrote, or `SoftTargets(T=1)`, which replaces its one choice by its whole answer. With the
    student as `net` the student is corrected where its own writing leads it; whatever is
    minimised there, no gradient flows through the choice of the tokens.

    Parameters
    ----------
    net : a network; not a stack, whose members `stack[i]` are copies that do not learn with it.
    data : prompts are rows of its `x`, drawn with replacement.
    length : tokens written after each prompt.
    fraction : share of rows that are written by `net` (GKD's lambda); the others are rows of `data`.
    rows : of an epoch, about; default as many as `data` has. The fewer, the fresher the student's
        samples: they are drawn as the epoch begins.
    T : temperature of the writing.

    Source: Kim and Rush 2016, section 3.2 (there with beam search); Agarwal et al. 2024, algorithm 1.
    """
    check_share("fraction", fraction)
    check_count("length", length)
    total = len(data) if rows is None else check_count("rows", rows)
    n_prompts = max(1, round(fraction * total / length)) if fraction else 0
    n_given = round((1 - fraction) * total)

    def columns(epoch: int, rng: np.random.Generator) -> Data:
        xp, device = array_module(data.x), device_of(data.x)
        parts = []
        if n_prompts:
            prompts = data.x.take(to_device(rng.integers(len(data), size=n_prompts), device), axis=0)
            parts.append(windows(sample(net, prompts, length, rng, T), data.x.shape[1]))
        if n_given:
            chosen = to_device(rng.integers(len(data), size=n_given), device)
            parts.append(Data({"x": data.x.take(chosen, axis=0), "y": data.y.take(chosen, axis=0)}))
        return Data({name: xp.concatenate([part[name] for part in parts]) for name in ("x", "y")})

    return columns


def enumerated(net: Network, prompts: Array, length: int) -> Data:
    r"""Every possible continuation, weighted by its probability: expectations without sampling `[sequence.4]`.

    .. math:: \mathbb E_{y\sim q}\,\frac1S\sum_t \ell(y_{<t}, y_t)
              = \frac1N \sum_{y}\sum_t w(y)\,\ell(y_{<t}, y_t), \qquad w(y) = V^S q(y)

    A loss times the column `weight` is its mean over what `net` would write, to rounding. There
    are V^length continuations of each of the (n, C) prompts: for small vocabularies.
    """
    check_count("length", length)
    V, context = net.layers[0].shapes["W"][0], prompts.shape[1]
    if V**length * len(prompts) > 1e6:
        raise ValueError(f"{V}^{length} continuations of {len(prompts)} prompts are too many to enumerate")
    xp = array_module(prompts, net.theta)
    powers, prompts = V ** np.arange(length)[::-1], _for_all_tokens(prompts, net)
    tails = to_device((np.arange(V**length)[:, None] // powers % V).astype(prompts.dtype), device_of(prompts))
    every = [xp.repeat(prompts, len(tails), axis=0), xp.concatenate([tails] * len(prompts))]
    data = windows(xp.concatenate(every, axis=1), context)
    probability = xp.exp(log_probabilities(net, data).reshape(-1, length).sum(axis=1))
    return data.with_columns({"weight": xp.repeat(V**length * probability, length)})


def policy_gradient(
    student: Network, teacher: Network, data: Data, length: int, *, rows: int | None = None
) -> DataFunction:
    r"""A data function for reverse KL between whole sequences: the student's own, with `advantage` `[sequence.5]`.

    .. math:: \nabla\,\mathrm{KL}(q\,\|\,p) = \mathbb E_{y\sim q} \sum_t \Big[
              \nabla\,\mathrm{KL}\big(q(\cdot\mid y_{<t})\,\|\,p(\cdot\mid y_{<t})\big)
              - A_t\,\nabla\log q(y_t\mid y_{<t})\Big], \qquad
              A_t = b_t - \sum_{t' > t} \log\frac{q(y_{t'}\mid y_{<t'})}{p(y_{t'}\mid y_{<t'})}

    The first term is `reverse_kl` at each token. The second is `CrossEntropy() * "advantage"`:
    its gradient is right, its value means nothing. `b_t`, the mean of the other sequences, lowers
    the variance and changes no mean. The teacher must give every token some probability.

    Parameters as in `generated`. Where an epoch has more rows than a step, all steps but its first
    use samples of a student that has moved on.

    Source: Gu et al. 2024 (MiniLLM), section 2.2, without its length normalisation, clipping and
    teacher-mixed sampling; Williams 1992 for the estimator.
    """
    write = generated(student, data, length, rows=rows)

    def columns(epoch: int, rng: np.random.Generator) -> Data:
        written = write(epoch, rng)
        return written.with_columns({"advantage": advantages(student, teacher, written, length)})

    return columns


def advantages(
    student: Network, teacher: Network, data: Data, length: int, *, single_step: bool = True, baseline: bool = True
) -> Array:
    """What is gained after each token, (N,), for the windows of sequences of `length` tokens.

    With `single_step` the token's own share is left out, for `reverse_kl` adds its mean, exactly;
    without it, this is the plain estimator (REINFORCE), which needs no other term.
    """
    xp = array_module(data.y)
    _check_sequences(data, length)
    cost = (log_probabilities(student, data) - log_probabilities(teacher, data)).reshape(-1, length)
    after = cost.sum(axis=1, keepdims=True) - xp.cumsum(cost, axis=1)
    if not single_step:
        after = after + cost
    n = len(after)
    if baseline and n > 1:
        after = (after - after.mean(axis=0)) * (n / (n - 1))  # less the mean of the others
    return -after.reshape(-1)


def _check_sequences(data: Data, length: int) -> None:
    """ValueError unless each `length` rows are the windows of one sequence: a row's tokens end with the one before."""
    check_count("length", length)
    if len(data) % length == 0:
        x, y = (a.reshape(-1, length, *a.shape[1:]) for a in (data.x, data.y))
        moved = (x[:, 1:, :-1] == x[:, :-1, 1:]).all() & (x[:, 1:, -1] == y[:, :-1]).all()
        if data.x.dtype.kind not in "iu" or bool(moved):  # numbers may be whatever a network makes of the tokens
            return
    raise ValueError(f"the {len(data)} rows are no windows of sequences of {length} tokens, one after the other")


def _check_single(net: Network) -> None:
    if net.members > 1:
        raise TypeError(
            "a stack has no one answer: take its members one by one, stack[0] and so on; these are copies, so a "
            "student that learns from its own writing trains alone, as a network"
        )


def _for_all_tokens(prompts: Array, net: Network) -> Array:
    """`prompts`, of a wider integer type where theirs cannot hold each of the network's tokens: they would wrap."""
    short = net.takes_tokens and np.iinfo(prompts.dtype).max < net.layers[0].shapes["W"][0] - 1
    return prompts.astype("int64") if short else prompts


def _shape_of(thing: Any) -> str:
    return f"shape {thing.shape}" if hasattr(thing, "shape") else type(thing).__name__
