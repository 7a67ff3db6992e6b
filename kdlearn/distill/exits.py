"""Self-distillation from deep to shallow: the last layer teaches exits on the layers below.

Letters: N rows, K classes. Derivation: docs/derivations/exits.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_finite_rows, check_share, check_sites, check_weight
from kdlearn.distill.feature import squared_error
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.functional import softmax
from kdlearn.nn.layers import Linear, ReLU
from kdlearn.nn.module import Module
from kdlearn.nn.network import MLP, Network
from kdlearn.objective import Match, Objective, Sum, Through


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
    r"""Be your own teacher: classifiers on shallow layers, taught by the last one `[exits.1]`.

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
    check_sites(taps=taps)
    if len(taps) != len(widths) or len(taps) < 2:
        raise ValueError(f"exits need a width for each of at least two taps, got {len(taps)} and {len(widths)}")
    check_share("alpha", alpha)
    check_weight("hint", hint)
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
    r"""A classifier that answers at the first exit that is sure enough `[exits.2]`.

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
        self.student, self.threshold = student, check_share("threshold", threshold)
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
        return check_finite_rows(self.logits(x)).argmax(axis=1)

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
    passed, owners = set(), set()
    for part in exits.walk():
        if isinstance(part, Through):
            if not isinstance(part.sources, str):
                raise ValueError(f"an exit reads one layer, {part.target!r} reads {part.sources}")
            owner, _, tap = part.sources.rpartition(".")
            owners |= set() if part.sources in chains else {owner}
            position, nets = chains.get(part.sources) or (student.position(tap), [])
            chains[part.target] = (position, [*nets, part.net])
            passed.add(part.sources)
    if len(owners) > 1:
        raise ValueError(f"the objective has exits of several students, {sorted(owners)}: give the part that is of one")
    ends = [chain for target, chain in chains.items() if target not in passed and _is_answer(target, exits)]
    if not ends:
        raise ValueError("the objective has no exits: no Through in it whose output a loss takes for logits")
    return ends


def _is_answer(site: str, objective: Objective) -> bool:
    """Whether a term takes it for logits, `z`; a regressor's output is features, which are no answer."""
    read = [term for term in objective.terms if site in term.live]
    return any(getattr(term.function, "arrays", ("z",))[0].startswith("z") for term in read)
