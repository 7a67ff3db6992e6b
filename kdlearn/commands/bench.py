"""`kdlearn bench`: the benchmark's table, as text or JSON."""

from __future__ import annotations

import argparse
import datetime
import sys
from typing import Any

from kdlearn.backend import resolve_device
from kdlearn.bench.measure import environment, format_table, measure
from kdlearn.bench.scaling import format_scaling, scaling
from kdlearn.bench.suite import works
from kdlearn.commands.outputs import as_json


def run(args: argparse.Namespace) -> int:
    """Measure the chosen works one after the other, and print them."""
    if args.profile:
        return _profile(args)
    device = resolve_device(args.device)
    names = list(works())
    chosen = [n for n in names if not args.suite or any(n == s or n.startswith(s + "-") for s in args.suite)]
    if not chosen:
        raise ValueError(f"no such work: {', '.join(args.suite)}; there are: {', '.join(names)}")
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    results: dict[str, Any] = {}
    for name, result in measure(chosen, device, args.threads, args.seconds, args.rounds):
        results[name] = result
        if not args.json:
            print(format_table({name: result}), flush=True)
        elif not args.quiet:
            print(f"{name}: done", file=sys.stderr, flush=True)
    found = environment(args.threads, device)
    over = scaling(args.threads) if device == "cuda" and not args.suite else None
    if args.json:
        sizes = {} if over is None else {"scaling": over}
        print(as_json({"date": began, "environment": found, "works": results, **sizes}))
        return 0
    if over is not None:
        print(format_scaling(over))
    print(", ".join(f"{key} {value}" for key, value in found.items()))
    return 0


def _profile(args: argparse.Namespace) -> int:
    import matplotlib

    matplotlib.use("Agg")
    from threadpoolctl import threadpool_limits

    from kdlearn.bench.profile import figure

    args.profile.parent.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(args.threads):
        figure().savefig(args.profile, dpi=110)
    return 0
