"""Saving and loading networks and fitted models: one `.npz`, atomic, read without trust.

A fitted model's file is its network's file with a description beside it: columns, categories, what stands
for a missing value, means and scales, classes or target. All of it is plain data; nothing is pickled.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kdlearn import checkpoint
from kdlearn.checkpoint import CheckpointError, read
from kdlearn.export.columns import Encoding
from kdlearn.export.parts import Parts, input_width, network_of, output_width, parts_of, what_it_is
from kdlearn.nn.network import Network


def save(path: str | os.PathLike, model: Any, settings: Any = None) -> None:
    """Save a network, or a fitted distilled estimator, pipeline or search; `load` needs nothing but the file.

    An estimator keeps its scaler, classes, names of columns and preprocessing, and leaves its teacher
    behind. TypeError, naming the transformer, where a preprocessing cannot be stored as plain data.

    Parameters
    ----------
    settings : anything that JSON can hold, kept in the file beside the model. `kdlearn.checkpoint.read(path)[1]` has it
        as "settings", for an estimator within "model".
    """
    if isinstance(model, Network):
        checkpoint.save(path, model, settings=settings)
        return
    if network_of(model) is None:
        raise TypeError(f"a network or a fitted distilled estimator can be saved, not {what_it_is(model)}")
    checkpoint.save(path, parts_of(model).net, {**describe(parts_of(model)), "settings": settings})


def load(path: str | os.PathLike, device: str = "cpu") -> Any:
    """What `save` wrote: a network on `device`, or a model with `predict`, which works on the host."""
    described = read(path)[1].get("model")
    net = checkpoint.load(path, device if described is None else "cpu")
    if described is None:
        return net
    from kdlearn.export.fitted import fitted

    return fitted(rebuild(path, net, described))


def describe(parts: Parts) -> dict[str, Any]:
    """Parts without their network, as JSON holds them."""
    classes = parts.classes
    return {
        "encoding": parts.plain().to_plain(),
        "scaler": None if parts.mean is None else [parts.mean.tolist(), np.asarray(parts.scale).tolist()],
        "classes": None if classes is None else [_format(classes.dtype), classes.tolist()],
        "target": [np.asarray(part, np.float64).tolist() for part in parts.target],
    }


def _format(dtype: np.dtype) -> str:
    """Of numbers kind and width, such as "<u1": as int64 they would no longer wrap around as they did."""
    return dtype.str if dtype.kind in "iuf" else dtype.kind


def rebuild(path: str | os.PathLike, net: Network, described: dict[str, Any]) -> Parts:
    """What `describe` described. CheckpointError where it contradicts itself or the network."""
    try:
        encoding = Encoding.from_plain(described["encoding"])
        D, K = len(encoding.table), output_width(net)
        if input_width(net) != D:
            raise ValueError(f"{D} features for a network of {input_width(net)} inputs")
        mean = scale = None
        if described["scaler"] is not None:
            mean, scale = (np.array(part, np.float64) for part in described["scaler"])
            if mean.shape != (D,) or scale.shape != (D,) or not (scale > 0).all():
                raise ValueError(f"a scaler of {mean.shape} and {scale.shape} for {D} features")
        classes = None
        if described["classes"] is not None:
            kind, labels = described["classes"]
            formats = {"O": object, "b": bool, "U": str}
            classes = np.array(labels, dtype=formats.get(kind, None if len(kind) == 1 else kind))
            if classes.shape != (K,):
                raise ValueError(f"{classes.shape[0]} classes for {K} outputs")
        target = tuple(np.array(part, np.float64)[()] for part in described["target"])
        if len(target) != 2:
            raise ValueError("a target has a mean and a scale")
        found = Parts(net, encoding, mean, scale, classes, (target[0], target[1]))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{path} does not describe a fitted model ({error})") from None
    return found
