"""The teachers of the MNIST study: trained once, then read from the cache."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kdlearn.backend import Array, array_module, to_device, to_numpy
from kdlearn.data import Data
from kdlearn.data.sets import cached
from kdlearn.distill.response import CrossEntropy
from kdlearn.hinton.bias import errors
from kdlearn.hinton.pixels import held_out_rows, images, jitter, transfer_rows
from kdlearn.nn.masks import DropoutMasks
from kdlearn.nn.network import MLP, Network
from kdlearn.nn.optim import SGD, Adam, cosine
from kdlearn.nn.stack import Stack
from kdlearn.run import Run
from kdlearn.step import train_step
from kdlearn.study import cell_key, environment
from kdlearn.training import fit

BATCH = 250
RATE = 1e-3  # of Adam, along a cosine to 0; `choices` says how it was chosen


def moving(data: Data) -> Callable[[int, np.random.Generator], Data]:
    """Data for `fit`: the images x are moved anew in each epoch, into one array that all epochs share."""
    room = array_module(data.x).empty_like(data.x)
    return lambda epoch, rng: data.with_columns({"x": jitter(data.x, rng, out=room)})


def teach(row: str, seed: int, epochs: int, device: str = "cpu", **settings: Any) -> dict[str, Any]:
    """One teacher: its test errors (or those on the validation rows), and what it cost. It stays in the cache."""
    return teach_all(row, [seed], epochs, device, **settings)[0]


def teach_all(
    row: str, seeds: Sequence[int], epochs: int, device: str = "cpu", **settings: Any
) -> list[dict[str, Any]]:
    """`teach` of each seed: teachers that differ in it alone, trained side by side as a `kd.Stack`."""
    train, test = images(device)
    train, held_out = train.take(slice(0, settings.get("n"))), bool(settings.get("held_out"))
    part = train.take(to_device(held_out_rows(len(train)), device)) if held_out else test
    results = []
    for made in _weights(seeds, epochs, device, **settings):
        wrong = errors(to_numpy(_laid_over(made, device, **settings).logits(part.x)), part.y)
        found = {"minutes": float(made["seconds"]) / 60, "environment": environment(device)}
        results.append(found | ({"validation": wrong["errors"]} if held_out else wrong))
    return results


def trained_teacher(seed: int, epochs: int, device: str = "cpu", **settings: Any) -> MLP:
    """A teacher 784-1200-1200-10, trained once, then read from the cache.

    Parameters
    ----------
    seed, epochs : of its training, by Adam from 1e-3 along a cosine, weights into a unit at most 3.5 long.
    sgd : its training by gradient descent instead, from this rate, as the dropout paper has it: see `as_in_dropout`.
    moved : each image is moved by up to two pixels, anew in each epoch (default True).
    dropout : 0.2 of the pixels and 0.5 of the hidden units (default True).
    smoothing : of the labels (default 0).
    held_out : keep the validation rows out of the training (default False).
    width, n : units a layer (default 1200); only the first n training images (default all).
    """
    return _laid_over(_weights([seed], epochs, device, **settings)[0], device, **settings)


def teacher_answers(device: str = "cpu", **settings: Any) -> dict[str, np.ndarray]:
    """Logits of a trained teacher for all training images ("train") and the 10,000 of the test ("test")."""
    return answered(device, tuple(sorted(settings.items())))


@functools.lru_cache(maxsize=8)
def answered(device: str, settings: tuple[tuple[str, Any], ...]) -> dict[str, np.ndarray]:
    """`teacher_answers`, kept in memory: many students in turn hear the same ones."""
    teacher = trained_teacher(device=device, **dict(settings))
    return {part: to_numpy(teacher.logits(data.x)) for part, data in zip(("train", "test"), images(device))}


def as_in_dropout(rate: float, epochs: int) -> dict[str, Any]:
    """Settings of `fit` after Hinton et al. 2012, appendix A: gradient descent, batches of 100.

    Momentum rises from 0.5 to 0.99 over the first half of the epochs, the rate is multiplied by 1 - momentum and
    falls as 0.998 does in 1000 epochs, the weights into a unit have a squared norm of at most 15. What differs:
    dropout scales up what it keeps, where the paper halves the weights afterwards, so `rate` is no number of theirs.
    """
    optimizer = SGD(rate, momentum=0.5, max_norm=15**0.5)

    def faster(run: Run) -> None:
        optimizer.momentum = 0.5 + 0.49 * min(1, 2 * run.epoch / epochs)

    def schedule(progress: float) -> float:
        return (1 - optimizer.momentum) * 0.998 ** (1000 * progress)

    return {"optimizer": optimizer, "schedule": schedule, "batch_size": 100, "hooks": [faster]}


def _network(dropout: bool = True, width: int = 1200, seed: int = 0, **_: Any) -> MLP:
    return MLP(784, width, width, 10, dropout=(0.2, 0.5, 0.5) if dropout else 0.0, seed=seed)


def _laid_over(made: Mapping[str, np.ndarray], device: str, **settings: Any) -> MLP:
    teacher = _network(**settings)
    teacher.lay_over(made["theta"])
    return teacher.to(device)


def _weights(
    seeds: Sequence[int], epochs: int, device: str, *, moved: bool = True, smoothing: float = 0.0,
    held_out: bool = False, n: int | None = None, sgd: float | None = None, **shape: Any,
) -> list[dict[str, np.ndarray]]:  # fmt: skip
    settings = {"epochs": epochs, "moved": moved, "smoothing": smoothing, "held_out": held_out, "n": n}
    settings |= {"batch": BATCH, "rate": RATE} if sgd is None else {"sgd": sgd}

    @functools.cache
    def all_made() -> list[dict[str, np.ndarray]]:
        train = images(device)[0].take(slice(0, n))
        rows = [transfer_rows(to_numpy(train.y), "all", seed, held_out) for seed in seeds]
        data = [train.take(to_device(own, device)) for own in rows]
        teachers = as_one_network([_network(seed=seed, **shape) for seed in seeds]).to(device)
        began = time.perf_counter()
        how = {"optimizer": Adam(RATE, max_norm=3.5), "schedule": cosine, "batch_size": BATCH}
        fit(
            teachers, CrossEntropy(smoothing=smoothing), of_members([moving(d) for d in data] if moved else data),
            epochs=epochs, seed=of_members(list(seeds)), progress=False, step=rolled_there(seeds[0], device),
            **(how if sgd is None else as_in_dropout(sgd, epochs)),
        )  # fmt: skip
        seconds = (time.perf_counter() - began) / len(seeds)
        return [{"theta": to_numpy(net.theta), "seconds": np.array(seconds)} for net in members(teachers)]

    names = [cell_key(teach, {"seed": seed, **settings, **shape}) for seed in seeds]
    return [cached(f"hinton-{name}.npz", lambda i=i: all_made()[i]) for i, name in enumerate(names)]  # type: ignore[misc]


# ---------------------------------------------------------------- one network, or several at once


def as_one_network(networks: Sequence[Network]) -> Network:
    """Several networks as a `kd.Stack`, one as it is."""
    return Stack(networks) if len(networks) > 1 else networks[0]


def members(network: Network) -> list[Network]:
    """What `as_one_network` was made of."""
    return list(network) if isinstance(network, Stack) else [network]


def of_members(things: list[Any]) -> Any:
    """What `fit` takes, one thing a member, or of one network the thing itself."""
    return things if len(things) > 1 else things[0]


def rolled_there(seed: int, device: str) -> Callable[..., dict[str, Array]]:
    """The training step; on a GPU with dropout's masks drawn there."""
    if device == "cpu":
        return train_step
    masks = DropoutMasks(seed, device, ahead=1 << 26)

    def step(*networks: Any, optimizer: Any, rng: Any) -> dict[str, Array]:
        return train_step(*networks, optimizer=optimizer, rng=masks)

    return step
