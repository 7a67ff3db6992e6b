"""What the values of a column may be, for the networks and losses that read it.

Each message says what was given, what is wrong with it and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kdlearn.backend import Array, array_module, to_numpy
from kdlearn.data.columns import GATHER_BYTES
from kdlearn.nn.network import Network


def check_inputs(name: str, x: Array, networks: Mapping[str, Network]) -> Array:
    """x (N, D) in the precision of the networks that read it, tokens as they are; ValueError where they cannot."""
    if x.ndim != 2:
        hint = (
            "; reshape one feature with x.reshape(-1, 1)"
            if x.ndim == 1
            else "; flatten each row with x.reshape(len(x), -1)"
        )
        raise ValueError(f"column {name!r} must be 2-D (rows, features), got shape {x.shape}{hint}")
    if x.shape[1] == 0:
        raise ValueError(f"column {name!r} has zero features")
    tokens = [n for n, net in networks.items() if net.takes_tokens]
    if tokens:
        if len(tokens) < len(networks):
            other = next(n for n in networks if n not in tokens)
            raise ValueError(
                f"column {name!r} holds tokens for one network, numbers for {other!r}; give it {other + '.x'!r}"
            )
        if x.dtype.kind not in "iu":
            raise ValueError(f"column {name!r} must hold integer tokens, for a network's Embedding, got {x.dtype}")
        return x
    if x.dtype.kind in "cmM":
        raise ValueError(f"column {name!r} must hold real numbers, got {x.dtype}")
    try:
        x = x.astype(np.result_type(*(net.theta.dtype for net in networks.values())), copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} must be numeric, got {x.dtype}: {error}") from None
    if not all_finite(x):
        raise ValueError(f"column {name!r} has values that are not finite (NaN or infinity)")
    return x


def all_finite(a: Array) -> bool:
    """Whether no number is NaN or infinite; a column may be memory-mapped and larger than memory."""
    xp, rows = array_module(a), max(1, GATHER_BYTES // max(1, a.nbytes // max(1, len(a))))
    return all(bool(xp.isfinite(a[i : i + rows]).all()) for i in range(0, len(a), rows))


def check_answers(name: str, z: Array) -> None:
    """ValueError unless these are logits (N, K), -inf where a class is masked, and one is left in each row."""
    xp = array_module(z)
    if z.ndim != 2:
        raise ValueError(f"column {name!r} must be 2-D (rows, classes), got shape {z.shape}")
    if z.dtype.kind == "f":
        if bool(xp.isnan(z).any()):
            raise ValueError(f"column {name!r} has NaN")
        if bool((z == xp.inf).any()):
            raise ValueError(f"column {name!r} has +inf; -inf would mask a class, +inf means nothing")
        if bool((z.max(axis=1) == -xp.inf).any()):
            raise ValueError(f"column {name!r} has a row of only -inf: no class is left")


def look_like_probabilities(z: Array) -> bool:
    """Whether the first rows hold no negative number and sum to 1."""
    some = to_numpy(z[:1000])
    return some.dtype.kind == "f" and bool((some >= 0).all()) and bool((abs(some.sum(axis=1) - 1) < 1e-3).all())


def check_top(what: str, top: Array, n_classes: int) -> None:
    """ValueError unless each row names different classes in 0 … n_classes - 1."""
    ordered = np.sort(to_numpy(top), axis=-1)
    if top.dtype.kind not in "iu" or (ordered < 0).any() or (ordered >= n_classes).any():
        raise ValueError(f"{what} must hold classes, integers in 0 … {n_classes - 1}")
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError(f"{what} names a class twice in one row")


def check_shares(what: str, target: Array, K: int, look: bool = True) -> None:
    """ValueError unless these are (N, K) numbers in [0, 1]; the numbers are left alone where one does not `look`."""
    if target.ndim != 2 or target.shape[1] != K:
        hint = f"; labels 0 … {K - 1} become that with np.eye({K})[y]" * (target.ndim == 1)
        raise ValueError(f"{what} must hold {K} numbers a row, one for each class, got shape {target.shape}{hint}")
    if look and target.dtype.kind in "iuf" and bool(((target < 0) | (target > 1)).any()):
        raise ValueError(f"{what} must lie in [0, 1], it goes from {target.min()} to {target.max()}")


def check_label_column(name: str, y: Array, n_classes: int, none: int | None) -> None:
    """ValueError unless these are integers in 0 … n_classes - 1, or `none`, one a row."""
    y = to_numpy(y)  # on the host: a GPU would wrap an index that is out of range
    if y.ndim != 1:
        hint = "; one-hot rows become labels with y.argmax(axis=1)" if y.ndim == 2 else ""
        raise ValueError(f"{name} must hold one label a row, got shape {y.shape}{hint}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integer class labels, got {y.dtype}")
    y = y[y != none] if none is not None else y
    if len(y) and (y.min() < 0 or y.max() >= n_classes):
        bad = y.min() if y.min() < 0 else y.max()
        raise ValueError(
            f"labels must lie in 0 … {n_classes - 1}, the network's {n_classes} outputs; {name} holds {bad}"
        )
