"""Self-distillation: a network, or its twin, is the teacher.

Where can a teacher come from if there is none? From the generation before (`generations`), from
the network's own last layer (`exits`), from its own past, an epoch ago (`LastEpoch`) or averaged
over all steps (`MovingAverage`), from what it says of another row of the class (`same_class`) or
of another view of the row (`two_views`). None of them is a new loss. Derivation:
docs/derivations/selfdistill.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, device_of, to_device, to_numpy
from kdlearn.data import Data
from kdlearn.distill.assistant import Rows, assistants, lesson
from kdlearn.distill.feature import squared_error
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.functional import one_hot, softmax
from kdlearn.nn.layers import Linear, ReLU
from kdlearn.nn.module import Module
from kdlearn.nn.network import MLP, Network
from kdlearn.objective import Match, Objective, Sum, Through

DataFunction = Callable[[int, np.random.Generator], Data]

# ---------------------------------------------------------------------- over generations


def generations(
    make: Callable[[int], Network],
    objective: Objective,
    data: Rows,
    n: int,
    *,
    first: Objective | None = None,
    **settings: Any,
) -> list[Network]:
    r"""Born-again networks: each generation is taught by the last `[selfdistill.1]`.

    .. math:: \theta_1 = \arg\min_\theta L_1(\theta), \qquad
              \theta_g = \arg\min_\theta L(\theta;\ \theta_{g-1}),\quad g = 2 \dots n

    Parameters
    ----------
    make : `make(g)` is the untrained network of generation g = 0 … n-1. One seed for all makes
        generations that differ in their teacher alone; a seed for each, generations that gain more
        from noisy labels and are worth averaging: `mean_of_probabilities(*(net.logits(x) for net in nets))`.
    objective : reads the generation before as `teacher`, e.g. `SoftTargets(T=1)`.
    data : as `fit` takes it; the same for every generation.
    n : generations, the first included.
    first : what the first learns from; default the labels alone.
    settings : of `fit`, the same for every generation; one seed means one order of batches for all.
        An objective that reads no teacher gives n independent networks, the fair control of an
        ensemble of generations.

    Source: Furlanello et al. 2018, who add labels and teacher: `CrossEntropy() + SoftTargets(T=1)`.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n!r}")
    nets = [make(g) for g in range(n)]
    lesson(nets[0], CrossEntropy() if first is None else first, data, None, settings, 0)
    assistants(nets[1:], objective, data, nets[0], **settings)
    return nets


# ---------------------------------------------------------------------- deep to shallow


def exits(
    taps: Sequence[str],
    widths: Sequence[int],
    K: int,
    *,
    T: float = 3.0,
    alpha: float = 0.3,
    hint: float = 0.0,
    deepest: str = "student.logits",
    seed: int = 0,
    dtype: str = "float32",
    device: str = "cpu",
) -> Sum:
    r"""Be your own teacher: classifiers on shallow layers, taught by the last one `[selfdistill.2]`.

    .. math:: L = \sum_i (1-\alpha)\,\mathrm{CE}(y, q_i) + \alpha\,T^2\,\mathrm{KL}(q_\text{deep}\|q_i)
              + \lambda\,\tfrac12\|F_i - F_\text{deep}\|^2, \qquad
              F_i = \mathrm{ReLU}(h_i A_i + a_i),\quad z_i = F_i C_i + c_i

    What is deep is read from `fixed`: it teaches and is not pulled towards its pupils. Add what
    the student itself is to learn: `CrossEntropy() + exits(…)`.

    Parameters
    ----------
    taps : sites of hidden layers from shallow to deep, e.g. `("student.h1", "student.h2")`; the
        last is :math:`F_\text{deep}`, for the hint behind a ReLU too, and gets no exit of its own.
    widths : their widths.
    K : number of classes.
    T, alpha, hint : temperature, share of the teacher, weight lambda of the features; with
        `alpha=0, hint=0` it is deep supervision, the control for whether the distilling did anything.
    deepest : site of the logits that teach.
    seed, dtype, device : of the exits' weights.

    Source: Zhang et al. 2019, with their bottlenecks as one layer; the half and the T² are this package's.
    """
    if len(taps) != len(widths) or len(taps) < 2:
        raise ValueError(f"exits need a width for each of at least two taps, got {len(taps)} and {len(widths)}")
    streams = np.random.SeedSequence(seed).spawn(2 * len(taps))
    parts = []
    for i, (tap, width) in enumerate(zip(taps[:-1], widths[:-1]), 1):
        owner = tap.rpartition(".")[0]
        feature, answer = f"{owner}.feature{i}", f"{owner}.exit{i}"
        wide = Linear(width, widths[-1], gain=ReLU.gain, rng=np.random.default_rng(streams[2 * i - 2]), dtype=dtype)
        neck = Network([wide, ReLU()], {"logits": 1}).to(device)
        classifier = MLP(widths[-1], K, seed=streams[2 * i - 1], dtype=dtype).to(device)
        lessons = (1 - alpha) * CrossEntropy(answer) + alpha * SoftTargets(T, answer, deepest)
        inner = Through(classifier, feature, answer, lessons) + hint * Match(feature, taps[-1], squared_error)
        parts.append(Through(neck, tap, feature, inner))
    return Sum(tuple(parts))


class EarlyExit:
    r"""A classifier that answers at the first exit that is sure enough `[selfdistill.3]`.

    .. math:: i(x) = \min\{\, i : \max_k q_{ik}(x) > \tau \,\} \cup \{\text{deep}\}

    A row that has left is not carried through the layers above. Whether confidence means being
    right is a question of calibration: choose the threshold on validation rows.

    Parameters
    ----------
    student : the trained network.
    exits : the trained objective that `exits` made, or any with exits from one layer through one or
        more networks. It holds their weights; its terms are not kept, so that this can be pickled.
    threshold : tau in [0, 1]; 0 always takes the first exit, 1 none.
    """

    def __init__(self, student: Network, exits: Objective, threshold: float = 0.9) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold lies in [0, 1], got {threshold!r}")
        self.student, self.threshold = student, threshold
        self.branches = sorted(_branches(student, exits), key=lambda branch: branch[0])

    def answer(self, x: Array, batch_size: int = 4096) -> tuple[Array, Array]:
        """`(logits (N, K), exit taken (N,))`: 0 the shallowest exit, `len(branches)` the deep end."""
        xp = array_module(x, self.student.theta)
        parts = [self._answer(x[i : i + batch_size]) for i in range(0, max(len(x), 1), batch_size)]
        z, taken = zip(*parts)
        return xp.concatenate(list(z)), xp.concatenate(list(taken))

    def logits(self, x: Array) -> Array:
        """Logits (N, K), each row's from the exit it takes."""
        return self.answer(x)[0]

    def predict(self, x: Array) -> Array:
        """Most probable class of each row, (N,)."""
        return self.logits(x).argmax(axis=1)

    def predict_proba(self, x: Array, T: float = 1.0) -> Array:
        """Class probabilities (N, K) at temperature T."""
        return softmax(self.logits(x), T)

    def _answer(self, x: Array) -> tuple[Array, Array]:
        h = self.student.check_input(x)
        xp = array_module(h)
        rows, taken = xp.arange(len(h)), xp.full(len(h), len(self.branches))
        answers, start = [], 0
        for i, (position, nets) in enumerate(self.branches):
            h = _run(self.student.layers[start : position + 1], h)
            z = h
            for net in nets:
                z = net.forward(z, taps=("logits",))[0]["logits"]
            sure = softmax(z).max(axis=1) > self.threshold
            gone, kept = xp.flatnonzero(sure), xp.flatnonzero(~sure)
            answers.append((rows[gone], z[gone]))
            taken[rows[gone]] = i
            rows, h, start = rows[kept], h[kept], position + 1
        z = _run(self.student.layers[start:], h)
        answers.append((rows, z))
        out = xp.empty((len(x), z.shape[1]), z.dtype)
        for chosen, logits in answers:
            out[chosen] = logits
        return out, taken


def _run(layers: Sequence[Any], h: Array) -> Array:
    for layer in layers:
        h, _ = layer.forward(h)
    return h


def _branches(student: Network, exits: Objective) -> list[tuple[int, list[Module]]]:
    # follow each chain of adaptors from a layer of the student to the site at its end
    chains: dict[str, tuple[int, list[Module]]] = {}
    passed = set()
    for part in exits.walk():
        if isinstance(part, Through):
            if not isinstance(part.sources, str):
                raise ValueError(f"an exit reads one layer, {part.target!r} reads {part.sources}")
            position, nets = chains.get(part.sources) or (student.position(part.sources.rpartition(".")[2]), [])
            chains[part.target] = (position, [*nets, part.net])
            passed.add(part.sources)
    ends = [chain for target, chain in chains.items() if target not in passed]
    if not ends:
        raise ValueError("the objective has no exits: no Through in it")
    return ends


# ---------------------------------------------------------------------- its own past


def progressive(alpha: float = 0.8, past: str = "past") -> Objective:
    r"""Labels that soften, over the training, into what the network itself said before `[selfdistill.4]`.

    .. math:: L = (1-\alpha_t)\,\mathrm{CE}(y, q) + \alpha_t\,\mathrm{KL}(p\|q),\quad \alpha_t = \alpha\,t, \qquad
              \frac{\partial L}{\partial z} = \frac1N\big(q - (1-\alpha_t)\,y - \alpha_t\,p\big)

    with p the answers of the epoch before, kept by the hook `LastEpoch`, and t the progress in
    [0, 1]. At the start p is the labels themselves, `label_logits`:

        rows = train.with_columns({"past.logits": kd.label_logits(train.y, 10)})
        kd.fit(student, kd.progressive(), rows, hooks=[kd.LastEpoch()], epochs=30)

    Parameters
    ----------
    alpha : weight of the past at the end of training.
    past : owner of the site with the past answers; validation rows need that column too.

    Source: Kim et al. 2021, whose staircase of epochs is a straight line here.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha lies in [0, 1], got {alpha!r}")
    soft = SoftTargets(1, teacher=f"{past}.logits")
    return (lambda t: 1 - alpha * t) * CrossEntropy() + (lambda t: alpha * t) * soft


def label_logits(y: Array, K: int, dtype: str = "float32") -> Array:
    """Labels (N,) as logits (N, K), 0 at the label and -inf elsewhere: softmax gives them back as one-hot rows."""
    xp = array_module(y)
    return xp.where(one_hot(y, K, dtype) > 0, 0, -xp.inf).astype(dtype)


# ---------------------------------------------------------------------- its other views


def same_class(data: Data, name: str = "pair") -> DataFunction:
    r"""Data in which each row is paired with another of its class `[selfdistill.5]`.

    .. math:: L = \mathrm{CE}(y, q(x)) + \lambda\,T^2\,\mathrm{KL}\big(q(x')\,\|\,q(x)\big), \qquad y(x') = y(x)

    for the objective `CrossEntropy() + lam * SoftTargets(T, teacher="pair.logits")`. The student is its
    own teacher, by the name of the pair's column, so no gradient flows through x':

        kd.fit(student, objective, kd.same_class(train), teachers={"pair": student}, epochs=30)

    Within each class the rows stand in a circle, drawn anew each epoch, and each is paired with the
    next: every row is somebody's pair once, and no row its own unless it is alone in its class.

    Parameters
    ----------
    data : with labels `y`.
    name : the column added is `<name>.x`.

    Source: Yun et al. 2020; their published code, too, has the T² and holds the pair (read, not executed).
    """
    y = to_numpy(data.y)
    classes = [np.flatnonzero(y == k) for k in np.unique(y)]

    def columns(epoch: int, rng: np.random.Generator) -> Data:
        own, pairs = _own_stream(epoch, rng), np.empty(len(y), int)
        for rows in classes:
            circle = own.permutation(rows)
            pairs[circle] = np.roll(circle, 1)
        return data.with_columns({f"{name}.x": data.x.take(to_device(pairs, device_of(data.x)), axis=0)})

    return columns


def two_views(data: Data, distort: Callable[[Array, np.random.Generator], Array]) -> DataFunction:
    """Data with two views of each row, `a.x` and `b.x`, distorted anew each epoch.

    Parameters
    ----------
    distort : `distort(x, rng)`, a changed copy of x (N, D): noise, a shift, missing pixels.
    """

    def columns(epoch: int, rng: np.random.Generator) -> Data:
        own = _own_stream(epoch, rng)
        return data.with_columns({f"{name}.x": distort(data.x, own) for name in ("a", "b")})

    return columns


def agreeing_views(T: float = 1.0, weight: float = 1.0, hint: float = 0.0, feature: str = "h1") -> Objective:
    r"""One network, two views of each row, each the other's teacher `[selfdistill.6]`.

    .. math:: L = \sum_{v \in \{a, b\}} \mathrm{CE}(y, q_v) + \lambda\,T^2\,\mathrm{KL}(q_{\bar v}\|q_v)
              + \mu\,\tfrac12\|h_v - h_{\bar v}\|^2

    where :math:`\bar v` is the other view, read from `fixed`. For one network under both names:
    `fit({"a": student, "b": student}, agreeing_views(), two_views(train, distort), …)`.

    Parameters
    ----------
    T, weight, hint : temperature, and the weights lambda of the answers and mu of the features.
    feature : tap of the features.

    Source: Xu and Liu 2019. Their feature term is the discrepancy of the two views' means (MMD); the
    views come in pairs here, and the mean squared distance of the pairs bounds it from above.
    """

    def one(view: str, other: str) -> Objective:
        soft = SoftTargets(T, f"{view}.logits", f"{other}.logits")
        near = Match(f"{view}.{feature}", f"{other}.{feature}", squared_error)
        return CrossEntropy(f"{view}.logits") + weight * soft + hint * near

    return one("a", "b") + one("b", "a")


def _own_stream(epoch: int, rng: np.random.Generator) -> np.random.Generator:
    # drawing from fit's generator would change the order of the batches, and unpair the run from its baseline
    seed: Any = rng.bit_generator.seed_seq
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, epoch)))
