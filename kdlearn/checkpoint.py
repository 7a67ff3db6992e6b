"""Saving and loading: one `.npz` a checkpoint, written atomically, read without trust.

The file holds named arrays, a JSON configuration, a format version and a SHA-256 of all of it. It
is written beside its target, flushed to disk and moved into place, so a process that is killed at
any moment leaves the previous checkpoint intact. Reading runs no code, extracts nothing, and
allocates nothing that the file's own size does not cover.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdlearn.backend import device_of, to_device, to_numpy
from kdlearn.files import config_text, written_aside
from kdlearn.nn import layers as layer_types
from kdlearn.nn.network import MLP, Network, check_answers_as_ours
from kdlearn.nn.stack import Stack

FORMAT_VERSION = 1
_NAME = re.compile(r"[\w .:>-]+")


class CheckpointError(RuntimeError):
    """A file that is not a whole checkpoint, or not one of what it is loaded into."""


# ---------------------------------------------------------------- the file


def write(path: str | os.PathLike, arrays: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Write arrays and a JSON-able configuration to `path`, atomically.

    Raises OSError where the disk is full or the folder cannot be written; the old file is intact
    then and no temporary file is left. Arrays on a GPU are saved as host arrays.
    """
    host = {name: to_numpy(a) for name, a in arrays.items()}
    for name, a in host.items():
        if a.dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects; a checkpoint holds numbers")
        if not _NAME.fullmatch(name):
            raise ValueError(f"array name {name!r} has characters that a checkpoint does not allow")
    text = config_text(config)
    meta = {"format_version": FORMAT_VERSION, "sha256": _digest(host, text), "config": text}
    payload = {**host, "kdlearn": np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)}
    with written_aside(path) as file:
        np.savez(file, **payload)  # type: ignore[arg-type]


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """`(arrays, config)` of a checkpoint.

    Raises CheckpointError for anything but a whole checkpoint of a known version, and
    FileNotFoundError where there is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {info.filename.removesuffix(".npy"): _member(archive, info) for info in archive.infolist()}
        meta = json.loads(arrays.pop("kdlearn").tobytes())
        version, text, digest = meta["format_version"], meta["config"], meta["sha256"]
        if version == FORMAT_VERSION and _digest(arrays, text) == digest:
            config = json.loads(text)
            if not isinstance(config, dict):
                raise CheckpointError("its configuration is no table")
            return arrays, config
    except FileNotFoundError:
        raise
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except zipfile.BadZipFile:
        raise CheckpointError(f"{path} is not a whole checkpoint: it is another kind of file, or was cut off") from None
    except (Exception, RecursionError) as error:  # whatever a damaged file makes of the readers
        raise CheckpointError(f"{path} is not a whole checkpoint ({type(error).__name__}: {error})") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format version {version!r}, this kdlearn reads version {FORMAT_VERSION}")
    raise CheckpointError(f"{path} is damaged: its SHA-256 differs from the one it carries")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    name = info.filename.removesuffix(".npy")
    if name == info.filename or not _NAME.fullmatch(name):
        raise CheckpointError(f"unexpected entry {info.filename!r}")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise CheckpointError(f"entry {name!r} is compressed or encrypted; checkpoints are neither")
    data = archive.read(info)  # the whole entry, against its checksum, before any of it is understood
    header = io.BytesIO(data[:1024])
    if np.lib.format.read_magic(header) != (1, 0):
        raise CheckpointError(f"entry {name!r} has an unknown array format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(header)
    if dtype.hasobject:
        raise CheckpointError(f"entry {name!r} holds Python objects; nothing was executed")
    size = math.prod(shape) * dtype.itemsize
    if header.tell() + size != len(data):  # before anything of that size is asked for
        raise CheckpointError(f"entry {name!r} claims {size} bytes, it holds {len(data) - header.tell()}")
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        digest.update(f"{name} {a.dtype.str} {a.shape}".encode())
        digest.update(np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------- a network


def save(path: str | os.PathLike, net: Network, model: Mapping[str, Any] | None = None, settings: Any = None) -> None:
    """Save a network made of this package's layers, what `model` says of the one it serves in, and `settings`.

    `load` needs nothing but the file.
    """
    if isinstance(net, Stack):
        raise TypeError("a stack is saved member by member: kd.save(path, stack[0]), and so on")
    check_answers_as_ours(net, "what is loaded from the file")
    net.check_laid()
    outside = [tap for tap, position in net.taps.items() if not 0 <= position < len(net.layers)]
    if outside:
        raise TypeError(
            f"{type(net).__name__} has the tap {outside[0]!r}, which is no layer's output and would be lost: save the "
            "network that it wraps"
        )
    if not np.isfinite(to_numpy(net.theta)).all():
        raise ValueError("the network has weights that are not finite; load would refuse the file")
    described = []
    for layer in net.layers:
        kind = type(layer).__name__
        if getattr(layer_types, kind, None) is not type(layer):
            raise TypeError(f"{kind} is not a layer of kdlearn; save its network's theta with checkpoint.write")
        described.append([kind, layer.settings()])
    config = {
        "network": "MLP" if isinstance(net, MLP) else "Network",
        "layers": described,
        "taps": net.taps,
        "frozen": sorted(net.frozen),
        "sizes": list(getattr(net, "sizes", ())),
        **({} if model is None else {"model": model}),
        **({} if settings is None else {"settings": settings}),
    }
    write(path, {"theta": net.theta}, config)


def load(path: str | os.PathLike, device: str = "cpu") -> Network:
    """The network that `save` wrote, on `device`, wherever it was when it was saved."""
    arrays, config = read(path)
    if "run" in config:
        raise CheckpointError(f"{path} holds a run of fit, no network; fit goes on with it by resume=True")
    check_arrays(path, arrays, {"theta": None})
    theta = arrays["theta"]
    if theta.dtype not in (np.float32, np.float64) or not np.isfinite(theta).all():
        raise CheckpointError(f"{path} holds weights that are not finite numbers of float32 or float64")
    theta = to_device(theta, device)  # a device that there is not is no fault of the file
    try:
        kinds = [(getattr(layer_types, kind), settings) for kind, settings in config["layers"]]
        if not all(isinstance(kind, type) and issubclass(kind, layer_types.Layer) for kind, _ in kinds):
            raise TypeError("it names a layer that there is not")
        values = [v if isinstance(v, list) else [v] for _, settings in kinds for v in settings.values()]
        for number in (number for several in values for number in several):
            if isinstance(number, bool) or not (isinstance(number, (int, float)) and 0 <= number < math.inf):
                raise ValueError(f"a layer has the setting {number!r}")
        size = sum(math.prod(shape) for kind, settings in kinds for shape in kind.shapes_of(**settings).values())
        if (size,) != theta.shape:  # before anything of that size is built
            raise ValueError(f"its layers have {size} parameters, it holds {theta.shape}")
        layers = [kind(**settings) for kind, settings in kinds]
        taps, frozen = config["taps"], config["frozen"]
        if "logits" not in taps or not all(at in range(len(layers)) for at in (*taps.values(), *frozen)):
            raise ValueError("a tap is no layer, or there are no logits")
        net: Network
        if config["network"] == "MLP":
            linear = [layer.shapes["W"] for layer in layers if isinstance(layer, layer_types.Linear)]
            if [linear[0][0], *(n_out for _, n_out in linear)] != config["sizes"]:
                raise ValueError(f"its sizes {config['sizes']} are not those of its layers")
            net = MLP.from_layers(config["sizes"], layers, taps, theta)
        elif config["network"] == "Network":
            net = Network(layers, taps, theta)
        else:
            raise ValueError(f"there is no {config['network']!r}")
        net.frozen = frozenset(frozen)
        _rehearse(net)
    except Exception as error:
        raise CheckpointError(f"{path} does not describe a network ({error})") from error
    return net


def _rehearse(net: Network) -> None:
    """One row goes through: layers whose widths do not meet are found before they are used.

    A `Select` that is the first to ask for a width takes rows of many, so the row begins behind it.
    """
    sizing = (layer_types.Linear, layer_types.LayerNorm, layer_types.Select)
    at = next((i for i, layer in enumerate(net.layers) if isinstance(layer, sizing)), None)
    first, start, tokens = None if at is None else net.layers[at], 0, net.takes_tokens
    if isinstance(first, layer_types.Select):
        width, start, tokens = len(first.columns), net.layers.index(first) + 1, False
    else:
        width = 1 if first is None else next(iter(first.shapes.values()))[0]
        width //= net.layers[0].shapes["W"][1] if tokens and first is not None else 1
    x = to_device(np.zeros((1, width), np.int64 if tokens else net.theta.dtype), device_of(net.theta))
    for layer in net.layers[start:]:
        x, _ = layer.forward(x)


def check_arrays(path: Any, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple | None]) -> None:
    """CheckpointError unless these arrays are there, and no others, each of its shape; None is any."""
    missing, extra = set(shapes) - set(arrays), set(arrays) - set(shapes)
    if missing or extra:
        parts = [
            f"{kind} {', '.join(sorted(names))}" for kind, names in (("lacks", missing), ("has also", extra)) if names
        ]
        raise CheckpointError(f"{path} {' and '.join(parts)}")
    for name, shape in shapes.items():
        if shape is not None and arrays[name].shape != shape:
            raise CheckpointError(f"{path}: {name} has shape {arrays[name].shape}, expected {shape}")
