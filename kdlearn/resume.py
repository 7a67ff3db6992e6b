"""A `fit` that was stopped goes on: what a checkpoint holds of it, and how it is put back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from kdlearn.backend import device_of, to_device
from kdlearn.checkpoint import CheckpointError, check_arrays, read, write
from kdlearn.checks import is_number
from kdlearn.data.stacked import StackedData
from kdlearn.description import difference
from kdlearn.files import config_text
from kdlearn.nn.layers import Layer
from kdlearn.nn.module import Module
from kdlearn.nn.optim import Memory
from kdlearn.run import Run, has_state

Dice = Mapping[str, np.random.Generator]  # every generator of the run, by name


def save_run(path: str | os.PathLike, run: Run, dice: Dice, told: Mapping[str, Any]) -> None:
    """Everything that the rest of a `fit` depends on, after a complete epoch.

    Weights of students and adaptors, the optimiser's moments, the generators' states, the history,
    columns that a hook has replaced, settings of the optimiser and of layers, such as a dropout rate, and frozen
    layers, which it may have changed, and what hooks with a method `state()` say of themselves.
    `told` is the run as it began (`describe`).
    """
    arrays: dict[str, Any] = {f"theta:{i}": net.theta for i, net in enumerate(run.trained)}
    steps = {}
    for i, net in enumerate(run.trained):
        memory = run.optimizer.memory.get(net)
        if memory is not None:
            steps[str(i)] = memory.t
            arrays |= {f"moment:{i}:{k}": m for k, m in enumerate(memory.moments)}
    columns = run.rewritten()
    for i, (name, a) in enumerate(columns.items()):
        if a.dtype.hasobject:
            raise TypeError(
                f"a hook has replaced the column {name!r} by Python objects; a checkpoint holds numbers, and texts as "
                "column.astype(str) makes them"
            )
        arrays[f"column:{i}"] = a
    hooks = {}
    for i, hook in enumerate(run.hooks):
        if has_state(hook):
            values, own = _state(hook)
            hooks[str(i)] = {"values": values, "arrays": list(own)}
            arrays |= {f"hook:{i}:{j}": a for j, a in enumerate(own.values())}
    config = {
        "epoch": run.epoch,
        "stop": run.stop,
        "steps": steps,
        "dice": {name: rng.bit_generator.state for name, rng in dice.items()},
        "records": run.history.records,
        "diverged": {str(i): why for i, why in run.history.diverged.items()},
        "hooks": hooks,
        "optimizer": {name: v for name, v in run.optimizer.settings().items() if name != "rule"},
        "frozen": [sorted(net.frozen) for net in run.trained],
        "layers": [_numbers_of(net) for net in run.trained],
        "columns": list(columns),
        "rows": None if run.data is None else len(run.data),
        "run": told,
    }
    write(path, arrays, config)


def _numbers_of(net: Module) -> list[dict[str, Any]]:
    """The settings of each layer that are numbers, and that it keeps under their names."""
    return [
        {name: v for name, v in layer.settings().items() if is_number(v) and getattr(layer, name, None) == v}
        for layer in net.layers
    ]


def _state(hook: Any) -> tuple[Any, Mapping[str, Any]]:
    """`(values, arrays)` of a hook, the values coded."""
    said, who = hook.state(), f"state() of the hook {type(hook).__name__}"
    if not isinstance(said, tuple) or len(said) != 2 or not all(isinstance(part, Mapping) for part in said):
        raise TypeError(f"{who} must return two mappings, (values, arrays), got {_cut(said)}")
    for name, a in said[1].items():
        if not hasattr(a, "dtype") or isinstance(a, np.ma.MaskedArray):
            raise TypeError(
                f"the array {name!r} of {who} is of type {type(a).__name__}: numbers and lists go into the values, the "
                "first mapping"
            )
    try:
        values = _coded(said[0])
        config_text(values)
    except TypeError as error:
        raise TypeError(
            f"the values of {who} must be what JSON can hold, with texts as names; arrays go beside them: {error}"
        ) from None
    return values, said[1]


def _coded(value: Any) -> Any:
    """What comes back from JSON, by `_decoded`, as it is: a tuple as a tuple, a number of NumPy as one."""
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"it names a value {name!r}")
        return {"": [[name, _coded(v)] for name, v in value.items()]}
    if isinstance(value, tuple):
        if type(value) is not tuple:
            raise TypeError(f"a {type(value).__name__} would come back as a plain tuple")
        return {"tuple": [_coded(v) for v in value]}
    if isinstance(value, np.generic) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        return {value.dtype.name: value.item()}
    return [_coded(v) for v in value] if isinstance(value, list) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(v) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "":
        return {name: _decoded(v) for name, v in held}
    return tuple(map(_decoded, held)) if kind == "tuple" else np.dtype(kind).type(held)


def load_run(path: str | os.PathLike, run: Run, dice: Dice, told: Mapping[str, Any]) -> None:
    """Put a run back where `save_run` left it. CheckpointError, and nothing changed, if it is of another run.

    `told` is the run as it begins (`describe`, which says what is compared).
    """
    arrays, config = read(path)
    saved = config.get("run")
    if not isinstance(saved, dict):
        raise CheckpointError(f"{path} holds no run of fit")
    if saved.get("description") != told["description"]:
        raise CheckpointError(
            f"{path} was written by another version of kdlearn, which said less of a run: whether it is this run is "
            "not known; train anew without resume=True, or go on with the version that began"
        )
    for name in {**saved, **told}:
        apart = difference(saved.get(name), told.get(name))
        if apart is not None:
            where, was, mine = apart
            raise CheckpointError(
                f"{path} is of another run: its {name} was {_cut(was)}, here it is {_cut(mine)}"
                f"{where and ' at ' + where}; "
                "give fit what it was given the first time, or another file"
            )
    try:
        put_back = _understood(path, arrays, config, run, dice)
    except CheckpointError:
        raise
    except Exception as error:  # whatever another program made of it
        raise CheckpointError(f"{path} does not describe a run of fit ({type(error).__name__}: {error})") from error
    put_back()


def _cut(told: Any) -> str:
    text = repr(told)
    return text if len(text) <= 200 else text[:200] + " …"


def _understood(
    path: Any, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], run: Run, dice: Dice
) -> Callable[[], None]:
    """What puts the run back; whatever can fail has been done by then, and nothing of the run is changed."""
    nets, n_moments = run.trained, run.optimizer.n_moments
    steps = {nets[int(i)]: (int(i), t) for i, t in config["steps"].items()}
    expected: dict[str, tuple | None] = {f"theta:{i}": net.theta.shape for i, net in enumerate(nets)}
    for net, (i, _) in steps.items():
        expected |= {f"moment:{i}:{k}": net.theta.shape for k in range(n_moments)}
    others = {name: None for name in arrays if name.partition(":")[0] in ("column", "hook")}
    check_arrays(path, arrays, expected | others)
    for name in expected:
        if arrays[name].dtype != nets[int(name.split(":")[1])].theta.dtype:
            raise TypeError(f"{name} holds {arrays[name].dtype}")
    epoch, stop, records = config["epoch"], config["stop"], config["records"]
    if [r["epoch"] for r in records] != list(range(1, epoch + 1)) or not isinstance(stop, bool):
        raise ValueError(f"{len(records)} records of {epoch} epochs, stop={stop!r}")
    if not all(isinstance(t, int) and t >= 0 for _, t in steps.values()):
        raise ValueError("an optimiser's steps are no number")
    diverged = {int(i): why for i, why in config["diverged"].items()}
    if not all(i in range(run.members) and isinstance(why, str) for i, why in diverged.items()):
        raise ValueError(f"it says that these members diverged: {diverged}")
    for name, rng in dice.items():
        type(rng.bit_generator)(0).state = config["dice"][name]
    changed, frozen = _changed(config, run)
    moved = [list(_moved(net, layers)) for net, layers in zip(nets, config["layers"], strict=True)]
    device = device_of(nets[0].theta)
    there = {name: to_device(a, device) for name, a in arrays.items()}
    columns = {name: there[f"column:{i}"] for i, name in enumerate(config["columns"])}
    data = run.data
    if isinstance(data, StackedData):
        data = StackedData({**data.columns, **columns}, data.members, config["rows"])
    elif columns and data is not None:
        data = data.with_columns(columns)
    mine = [hook for hook in run.hooks if has_state(hook)]  # in their order; others may stand between them
    if len(mine) != len(config["hooks"]):
        raise ValueError(f"it holds {len(config['hooks'])} hooks, the run has {len(mine)}")
    for i, hook in zip(sorted(config["hooks"], key=int), mine):  # last: they are the caller's, and cannot be taken back
        own = config["hooks"][i]
        held = {name: there[f"hook:{i}:{j}"] for j, name in enumerate(own["arrays"])}
        hook.restore(_decoded(own["values"]), held)

    def put_back() -> None:
        vars(run.optimizer).update(changed)
        for i, net in enumerate(nets):
            net.theta[...] = there[f"theta:{i}"]
            if net.frozen != frozen[i]:
                net.frozen = frozen[i]
            for layer, name, value in moved[i]:
                setattr(layer, name, value)
        for net, (i, t) in steps.items():
            run.optimizer.memory[net] = Memory(t, [there[f"moment:{i}:{k}"] for k in range(n_moments)])
        for name, rng in dice.items():
            rng.bit_generator.state = config["dice"][name]
        run.data = data
        run.history.records, run.history.diverged = records, diverged
        run.epoch, run.stop = epoch, stop

    return put_back


def _moved(net: Module, layers: list[dict[str, Any]]) -> Iterator[tuple[Layer, str, Any]]:
    """`(layer, setting, value)` where a hook has changed one."""
    for layer, now, then in zip(net.layers, _numbers_of(net), layers, strict=True):
        if now.keys() != then.keys() or not all(map(is_number, then.values())):
            raise ValueError(f"it holds other settings of {layer!r}: {then}")
        yield from ((layer, name, value) for name, value in then.items() if value != now[name])


def _changed(config: Mapping[str, Any], run: Run) -> tuple[dict[str, Any], list[frozenset[int]]]:
    """The optimiser's settings and the frozen layers by then; those that there are, for an older file."""
    changed = {**run.optimizer.settings(), **config.get("optimizer", {})}
    frozen = [frozenset(layers) for layers in config.get("frozen", [net.frozen for net in run.trained])]
    if changed.keys() != run.optimizer.settings().keys() or len(frozen) != len(run.trained):
        raise ValueError("it holds other settings of the optimiser, or layers of other networks")
    if any(not is_number(v) and v is not None and not isinstance(v, bool) for k, v in changed.items() if k != "rule"):
        raise ValueError(f"settings of the optimiser must be numbers, got {changed}")
    if any(i not in range(len(net.layers)) for net, layers in zip(run.trained, frozen) for i in layers):
        raise ValueError("it holds frozen layers that are not there")
    del changed["rule"]
    return changed, frozen
