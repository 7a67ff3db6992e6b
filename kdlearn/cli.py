"""The command line: `python -m kdlearn demo`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kdlearn.backend import BackendUnavailable, resolve_device


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and exit status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run it; the exit status."""
    args = _parser().parse_args(arguments)
    try:
        return args.run(args)
    except (BackendUnavailable, OSError) as error:
        print(f"kdlearn {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"kdlearn {args.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="kdlearn", description="Knowledge distillation from scratch.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="a teacher makes a student better: digits, with controls and intervals")
    demo.add_argument("--device", default="cpu", choices=("cpu", "cuda", "auto"), help="where to compute (default cpu)")
    demo.add_argument("--seed", type=int, default=0, help="the first seed (default 0)")
    demo.add_argument("--seeds", type=_at_least_two, default=20, help="how many paired seeds (default 20)")
    demo.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    demo.add_argument("--out", type=Path, default=Path("out/demo.png"), help="the figure (default out/demo.png)")
    demo.add_argument("--quiet", action="store_true", help="no progress bar, only the result")
    demo.set_defaults(run=_demo)
    return parser


def _at_least_two(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"an interval needs at least 2 seeds, got {value}")
    return value


def _demo(args: argparse.Namespace) -> int:
    device = resolve_device(args.device)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    import matplotlib

    matplotlib.use("Agg")
    from kdlearn import demo

    began, talk = time.perf_counter(), not (args.quiet or args.json)
    if talk:
        print(
            f"Digits: a 64-256-256-10 teacher, 64-16-10 students with {demo.LABELS} images, {args.seeds} paired seeds."
        )
    result = demo.study(args.seeds, args.seed, device, progress=False if args.quiet else None)
    data = demo.report(result, device)
    demo.figure(result, args.seed).savefig(args.out, dpi=110)
    if args.json:
        print(json.dumps(data, indent=2))
        return 0
    print(demo.format_table(data))
    if talk:
        print(
            "difference: test accuracy, paired over seeds, to labels alone, with its 95 % interval.  agree: same\n"
            "answer as the teacher.  NLL: negative log-likelihood.  ECE: calibration error.  latency: one image,\n"
            "median.  "
            f"Each control is to be read beside T = {demo.CONTROL_T}. Validation chose the learning rates.\n"
            f"Figure: {args.out}   ({time.perf_counter() - began:.0f} s)"
        )
    return 0
