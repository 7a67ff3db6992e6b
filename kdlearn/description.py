"""What tells one run from another."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kdlearn.fingerprint import FLOATS
from kdlearn.run import Run, has_state
from kdlearn.telling import MOVED, Telling, made_with, part

VERSION = 5  # of what is said; a file that says something else cannot be compared


def describe(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, in words and numbers: a checkpoint goes on only with a run of the same description.

    All that a run is given is told with all that it holds: objectives, teachers, settings, functions, and what these
    hold in turn, forty deep. Networks that the run trains are told without weights, which are in the file; others with
    them. Of arrays and columns, whole numbers and texts are compared each; floats, whose last bits may differ, by each
    column's mean, spread and a sum that depends on the place of each entry, to a ten-thousandth of the spread.
    A function is told by its name, its defaults and attributes, what it encloses and what it reads from its module;
    of the code itself only a lambda's. An object with a `state` of its own, such as a hook, is told by the arguments
    it was made with, where it keeps them under their names, and so are this package's hooks; other hooks are not told.
    A hook with a state that has been through a `fit` before is told without those of them that its `state` gives, and
    without the arrays and weights that it holds: they may have moved, and the file has them.
    """
    said = Telling(run.owners)
    told = {
        "description": VERSION,
        "objective": said(run.objective),
        "optimizer": run.optimizer.settings(),
        "hooks": [
            made_with(hook, functools.partial(said, inside=(hook,)))
            for hook in run.hooks
            if has_state(hook) or _ours(hook)
        ],
        "networks": [[name, net.theta.size, part(net, said)] for net, name in run.owners.items()],
        "teachers": {name: said(run.teachers[name]) for name in sorted(run.teachers)},
        "rows": said(run.given),
        "validation rows": said(run.held_out),
        **{name: said(value) for name, value in settings.items()},
    }
    return json.loads(json.dumps(told, default=str))


def _ours(hook: Any) -> bool:
    return type(hook).__module__.startswith("kdlearn.")


def difference(was: Any, mine: Any, path: tuple[str, ...] = ()) -> tuple[str, Any, Any] | None:
    """`(where, was, mine)`: the first entry in which two descriptions differ, and the way to it; None: in none."""
    pairs: Iterable[tuple[str, Any, Any]] = ()
    if MOVED in (was, mine):
        return None
    if isinstance(was, dict) and isinstance(mine, dict) and list(was) == list(mine):
        if FLOATS in was:
            return _difference_of_floats(was, mine, path)
        pairs = [(key, was[key], mine[key]) for key in was]
    elif isinstance(was, list) and isinstance(mine, list) and len(was) == len(mine):
        pairs = [("", a, b) for a, b in zip(was, mine)]
    elif was != mine or isinstance(was, bool) != isinstance(mine, bool):
        return ", ".join(path), was, mine
    elif isinstance(was, dict) and list(was) != list(mine):
        return ", ".join((*path, "order")), list(was), list(mine)
    found = (difference(a, b, (*path, key) if key else path) for key, a, b in pairs)
    return next((apart for apart in found if apart is not None), None)


def _difference_of_floats(was: Any, mine: Any, path: tuple[str, ...]) -> tuple[str, Any, Any] | None:
    where = ", ".join(path)
    if was["shape"] != mine["shape"]:
        return f"{where}{where and ', '}shape", was["shape"], mine["shape"]
    a, b = np.array(was[FLOATS]), np.array(mine[FLOATS])  # (3, groups)
    away = np.abs(a - b) / (1e-4 * b[1] + max(was["eps"], mine["eps"]) * np.abs(b[0]) + np.finfo(float).tiny)
    if not away.size or away.max() <= 1:
        return None
    j = int(away.max(axis=0).argmax())
    of = f"column {j}, " if a.shape[1] > 1 else ""
    told_was, told_mine = ([float(f"{v:.7g}") for v in three[:, j]] for three in (a, b))
    return f"{where}{where and ', '}{of}{FLOATS}", told_was, told_mine
