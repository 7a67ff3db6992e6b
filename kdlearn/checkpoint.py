"""Saving and loading: one `.npz` a checkpoint, written atomically, read without trust.

The file holds named arrays, a JSON configuration, a format version and a SHA-256 of all of it. It
is written beside its target, flushed to disk and moved into place, so a process that is killed at
any moment leaves the previous checkpoint intact. Reading runs no code, extracts nothing, and
allocates nothing that the file's own size does not cover.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdlearn.backend import device_of, to_device, to_numpy
from kdlearn.history import Run
from kdlearn.nn import layers as layer_types
from kdlearn.nn.network import MLP, Network

Dice = Mapping[str, np.random.Generator]  # every generator of the run, by name

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
    path = Path(path)
    host = {name: to_numpy(a) for name, a in arrays.items()}
    for name, a in host.items():
        if a.dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects; a checkpoint holds numbers")
        if not _NAME.fullmatch(name):
            raise ValueError(f"array name {name!r} has characters that a checkpoint does not allow")
    text = json.dumps(config, sort_keys=True)
    meta = {"format_version": FORMAT_VERSION, "sha256": _digest(host, text), "config": text}
    payload = {**host, "kdlearn": np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # a temporary file is private, a saved one is like any other
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **payload)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
    except FileNotFoundError:
        raise
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a whole checkpoint ({type(error).__name__}: {error})") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is not a whole checkpoint ({error})") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format version {version!r}, this kdlearn reads version {FORMAT_VERSION}")
    if _digest(arrays, text) != digest:
        raise CheckpointError(f"{path} is damaged: its SHA-256 differs from the one it carries")
    return arrays, json.loads(text)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    name = info.filename.removesuffix(".npy")
    if name == info.filename or not _NAME.fullmatch(name):
        raise CheckpointError(f"unexpected entry {info.filename!r}")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise CheckpointError(f"entry {name!r} is compressed or encrypted; checkpoints are neither")
    with archive.open(info) as file:
        major = np.lib.format.read_magic(file)[0]
        header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}.get(major)
        if header is None:
            raise CheckpointError(f"entry {name!r} has an unknown array format {major}")
        shape, fortran, dtype = header(file)
        if dtype.hasobject:
            raise CheckpointError(f"entry {name!r} holds Python objects; nothing was executed")
        size = math.prod(shape) * dtype.itemsize
        if size > info.file_size:  # before anything of that size is asked for
            raise CheckpointError(f"entry {name!r} claims {size} bytes in a file of {info.file_size}")
        data = file.read()
    if len(data) != size:
        raise CheckpointError(f"entry {name!r} holds {len(data)} bytes, its header says {size}")
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if fortran else "C")


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        digest.update(f"{name} {a.dtype.str} {a.shape}".encode())
        digest.update(np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------- a network


def save(path: str | os.PathLike, net: Network, model: Mapping[str, Any] | None = None) -> None:
    """Save a network made of this package's layers, and what `model` says of the one it serves in.

    `load` needs nothing but the file.
    """
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
        "frozen": sorted(net._frozen),
        "sizes": list(getattr(net, "sizes", ())),
        **({} if model is None else {"model": model}),
    }
    write(path, {"theta": net.theta}, config)


def load(path: str | os.PathLike, device: str = "cpu") -> Network:
    """The network that `save` wrote, on `device`, wherever it was when it was saved."""
    arrays, config = read(path)
    _expect(path, arrays, {"theta": None})
    try:
        layers = [getattr(layer_types, kind)(**settings) for kind, settings in config["layers"]]
        net = Network(layers, config["taps"])
        if config["network"] == "MLP":
            net.__class__ = MLP
            net.sizes = tuple(config["sizes"])  # type: ignore[attr-defined]
        net._frozen = frozenset(config["frozen"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a network ({error})") from error
    _expect(path, arrays, {"theta": net.theta.shape})
    net._bind(to_device(arrays["theta"], device))
    net._find_trainable()
    return net


def _expect(path: Any, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple | None]) -> None:
    missing, extra = set(shapes) - set(arrays), set(arrays) - set(shapes)
    if missing or extra:
        parts = [
            f"{kind} {', '.join(sorted(names))}" for kind, names in (("lacks", missing), ("has also", extra)) if names
        ]
        raise CheckpointError(f"{path} {' and '.join(parts)}")
    for name, shape in shapes.items():
        if shape is not None and arrays[name].shape != shape:
            raise CheckpointError(f"{path}: {name} has shape {arrays[name].shape}, expected {shape}")


# ---------------------------------------------------------------- a run of fit


def save_run(
    path: str | os.PathLike, run: Run, dice: Mapping[str, np.random.Generator], settings: Mapping[str, Any]
) -> None:
    """Everything that the rest of a `fit` depends on, after a complete epoch.

    Weights of students and adaptors, the optimiser's moments, the generators' states, the history,
    columns that a hook has rewritten, and what hooks with a method `state()` say of themselves.
    """
    arrays: dict[str, Any] = {f"theta:{i}": net.theta for i, net in enumerate(run.trained)}
    steps = {}
    for owner, state in run.optimizer.state.items():
        steps[owner] = state["t"]
        arrays |= {f"moment:{owner}:{i}": m for i, m in enumerate(state["moments"])}
    arrays |= {f"column:{name}": a for name, a in run.rewritten().items()}
    hooks = {}
    for i, hook in enumerate(run.hooks):
        if hasattr(hook, "state"):
            hooks[str(i)], own = hook.state()
            arrays |= {f"hook:{i}:{name}": a for name, a in own.items()}
    config = {
        "epoch": run.epoch,
        "stop": run.stop,
        "steps": steps,
        "dice": {name: rng.bit_generator.state for name, rng in dice.items()},
        "records": run.history.records,
        "hooks": hooks,
        "settings": dict(settings),
    }
    write(path, arrays, config)


def load_run(
    path: str | os.PathLike, run: Run, dice: Mapping[str, np.random.Generator], settings: Mapping[str, Any]
) -> None:
    """Put a run back where `save_run` left it. CheckpointError, and nothing changed, if it is of another run."""
    arrays, config = read(path)
    if config.get("settings") != dict(settings):
        raise CheckpointError(f"{path} is of a run with {config.get('settings')}, this one has {dict(settings)}")
    expected: dict[str, tuple | None] = {f"theta:{i}": net.theta.shape for i, net in enumerate(run.trained)}
    others = {name: None for name in arrays if name.partition(":")[0] in ("moment", "column", "hook")}
    _expect(path, arrays, expected | others)
    device = device_of(run.trained[0].theta)
    for i, net in enumerate(run.trained):
        net.theta[...] = to_device(arrays[f"theta:{i}"], device)
    for owner, t in config["steps"].items():
        moments = [to_device(arrays[f"moment:{owner}:{i}"], device) for i in range(run.optimizer.n_moments)]
        run.optimizer.state[owner] = {"t": t, "moments": moments}
    for name, rng in dice.items():
        rng.bit_generator.state = config["dice"][name]
    columns = {name.partition(":")[2]: to_device(a, device) for name, a in arrays.items() if name.startswith("column:")}
    if columns and run.data is not None:
        run.data = run.data.with_columns(columns)
    for i, state in config["hooks"].items():
        prefix = f"hook:{i}:"
        own = {name.removeprefix(prefix): to_device(a, device) for name, a in arrays.items() if name.startswith(prefix)}
        run.hooks[int(i)].restore(state, own)
    run.history.records = config["records"]
    run.epoch, run.stop = config["epoch"], config["stop"]
