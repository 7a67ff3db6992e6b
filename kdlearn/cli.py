"""The command line: `kdlearn demo`, `distill`, `predict`, `export`, `bench`, `catalogue`, `hinton`, `check`."""

from __future__ import annotations

import argparse
import csv
import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from kdlearn.backend import resolve_device


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and exit status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run it; the exit status."""
    args = _parser().parse_args(arguments)
    try:
        return args.run(args)
    except BrokenPipeError:  # whoever read the output has stopped: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ImportError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"kdlearn {args.command}: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"kdlearn {args.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="kdlearn", description="Knowledge distillation from scratch.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="does a teacher beat well-tuned labels alone? digits, with controls and intervals",
        description="A small student with 100 labelled digits: soft targets of a teacher add +5.8 ± 1.2 points of "
        "accuracy to labels alone whose rate, decay and length were tuned (12 seeds, 95 % interval).",
    )
    demo.add_argument("--device", default="cpu", choices=("cpu", "cuda", "auto"), help="where to compute (default cpu)")
    demo.add_argument("--seed", type=int, default=0, help="the first seed (default 0)")
    demo.add_argument("--seeds", type=_at_least_two, default=12, help="how many paired seeds (default 12)")
    demo.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    demo.add_argument("--out", type=Path, default=Path("out/demo.png"), help="the figure (default out/demo.png)")
    demo.add_argument("--quiet", action="store_true", help="no progress bar, only the result")
    demo.set_defaults(run=_demo)
    _add_distill(commands)
    _add_predict(commands)
    _add_export(commands)
    _add_bench(commands)
    _add_catalogue(commands)
    _add_hinton(commands)
    check = commands.add_parser("check", help="what is right, and what is missing, in your copy of the workbook")
    check.add_argument("file", type=Path, metavar="FILE", help="your my_kd.py; it is run")
    check.set_defaults(run=_command("check", "run"))
    return parser


def _add_distill(commands: Any) -> None:
    distill = commands.add_parser("distill", help="a small network from a table of yours, taught by a larger model")
    distill.add_argument("--data", type=Path, required=True, help="a CSV file with a header, or .npz with x and y")
    distill.add_argument("--target", help="the column to predict (for .npz default y)")
    distill.add_argument(
        "--teacher", default="forest", metavar="forest|boosting|mlp|FILE",
        help="a kind, fitted on the table, or a file: a student saved by kdlearn, of the same columns, each of the "
        "same kind (numbers, texts), or a network of the encoded ones (default forest)",
    )  # fmt: skip
    distill.add_argument("--trust-pickle", action="store_true", help="read a teacher that is a pickle; it can run code")
    distill.add_argument("--student", type=_widths, default=(32,), help="hidden widths, such as 64,32 (default 32)")
    distill.add_argument("--out", type=Path, default=Path("student.npz"), help="the file (default student.npz)")
    distill.add_argument("--unlabeled", type=Path, help="more rows, on which the teacher alone teaches")
    distill.add_argument("--test", type=Path, help="rows to measure on (default: a quarter of the table is held out)")
    distill.add_argument("--task", choices=("auto", "classes", "numbers"), default="auto", help="what the target is")
    distill.add_argument(
        "--soft-weight", type=_auto(_share), default="auto",
        help="of the soft targets, 0 to 1 (default auto: some compete with labels alone, the best is kept)",
    )  # fmt: skip
    distill.add_argument(
        "--temperature", type=_auto(_positive), default="auto", help="of the soft targets (default auto)"
    )
    distill.add_argument("--max-time", type=_positive, metavar="SECONDS", help="for each student, the contest included")
    distill.add_argument("--epochs", type=_at_least_one, default=200, help="passes over the rows (default 200)")
    distill.add_argument("--seed", type=_seed, default=0, help="of the split and all else drawn (default 0)")
    distill.add_argument("--ignore", type=_names, default=(), metavar="COLUMNS", help="columns to leave out: a,b")
    distill.add_argument("--categorical", type=_names, default=(), metavar="COLUMNS", help="numbers that are names")
    distill.add_argument(
        "--keep", type=_names, default=(), metavar="COLUMNS", help="columns that look like an ID and are none"
    )
    distill.add_argument("--id", type=_names, default=(), metavar="COLUMNS", help="columns that name rows, no inputs")
    distill.add_argument("--json", action="store_true", help="print the report as JSON")
    _add_common(distill)
    distill.set_defaults(run=_command("distill", "run"))


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser("predict", help="a student's answers to new rows")
    predict.add_argument("--model", type=Path, required=True, help="what distill wrote")
    predict.add_argument("--data", type=Path, required=True, help="a table with the same columns; others are not read")
    predict.add_argument("--out", type=Path, help="a CSV file (default: print)")
    predict.add_argument(
        "--id", type=_names, default=(), metavar="COLUMNS", help="columns to pass through, without blanks around"
    )
    _add_common(predict)
    predict.set_defaults(run=_command("deploy", "predict"))


def _add_export(commands: Any) -> None:
    export = commands.add_parser("export", help="a student as an ONNX file or as C")
    export.add_argument("--model", type=Path, required=True, help="what distill, or kdlearn.save, wrote")
    export.add_argument("--to", choices=("onnx", "c"), required=True)
    export.add_argument("--out", type=Path, required=True, help="the file; C is three: .c, .h and a self-test")
    export.add_argument("--int8", action="store_true", help="weights in eight bits")
    export.add_argument("--integer", action="store_true", help="C without any float: int8 weights, integer arithmetic")
    export.add_argument("--calibration", type=Path, help="rows to check on and to take ranges from (default: drawn)")
    export.add_argument("--name", help="prefix in C (default: the file's name)")
    export.add_argument("--max-bytes", type=_at_least_one, help="most bytes of weights in C (default 1,000,000)")
    _add_common(export)
    export.set_defaults(run=_command("deploy", "export"))


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="the same work beside PyTorch, scikit-learn and the bare matrix products")
    bench.add_argument("--suite", type=_names, default=(), metavar="WORKS", help="such as w1,w3 (default all: minutes)")
    bench.add_argument("--device", default="cpu", choices=("cpu", "cuda", "auto"), help="where to compute")
    bench.add_argument("--threads", type=_at_least_one, default=1, help="of every contender's BLAS (default 1)")
    bench.add_argument("--seconds", type=_positive, default=8.0, help="of timing a work, once it is ready (default 8)")
    bench.add_argument("--rounds", type=_at_least_one, default=15, help="bursts of each, interleaved (default 15)")
    bench.add_argument("--json", action="store_true", help="print JSON instead of a table")
    bench.add_argument("--profile", type=Path, metavar="FILE", help="only draw where a step's time goes")
    bench.add_argument("--quiet", action="store_true", help="no progress, only the table")
    bench.set_defaults(run=_command("bench", "run"))


def _add_catalogue(commands: Any) -> None:
    catalogue = commands.add_parser("catalogue", help="which methods help: each tuned alike, against tuned baselines")
    catalogue.add_argument("--task", default="", choices=("", "digits", "clothes", "noise"), help="only this task")
    catalogue.add_argument("--method", default="", metavar="TEXT", help="only methods whose name contains this")
    catalogue.add_argument("--seeds", type=_at_least_two, help="paired seeds (default 10, or 3 with --quick)")
    catalogue.add_argument("--quick", action="store_true", help="few seeds, no search beyond the grids")
    catalogue.add_argument("--resume", action="store_true", help="go on where an earlier run stopped")
    catalogue.add_argument("--jobs", type=_at_least_one, help="trainings side by side (default one a core)")
    catalogue.add_argument("--out", type=Path, default=Path("out/catalogue.json"), help="the rows, as JSON")
    catalogue.add_argument("--quiet", action="store_true", help="no progress bar, only the tables")
    catalogue.set_defaults(run=_command("catalogue", "run"))


def _add_hinton(commands: Any) -> None:
    hinton = commands.add_parser("hinton", help="the MNIST study of Hinton, Vinyals and Dean 2015, with seeds (hours)")
    hinton.add_argument("--quick", action="store_true", help="short trainings of the headline rows (minutes)")
    hinton.add_argument("--resume", action="store_true", help="go on where an earlier run stopped")
    hinton.add_argument("--rows", default="", metavar="TEXT", help="only the rows whose name contains this")
    hinton.add_argument("--device", default="cpu", choices=("cpu", "cuda", "auto"), help="where to compute")
    hinton.add_argument("--jobs", type=_at_least_one, help="trainings side by side (default one a core)")
    hinton.add_argument("--out", type=Path, default=Path("out/hinton_2015.json"), help="the rows, as JSON")
    hinton.add_argument("--quiet", action="store_true", help="no progress bar, only the table")
    hinton.set_defaults(run=_command("hinton", "run"))


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--delimiter", type=_delimiter, help="of the CSV files (default: found in the header)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, only the result")


def _command(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """`kdlearn.commands.<module>.<function>`, imported when it is run."""

    def run(args: argparse.Namespace) -> int:
        return getattr(importlib.import_module(f"kdlearn.commands.{module}"), function)(args)

    return run


# ---------------------------------------------------------------- values of options


def _widths(text: str) -> tuple[int, ...]:
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1:
        raise argparse.ArgumentTypeError(f"widths are positive whole numbers such as 64,32, got {text!r}")
    return widths


def _number(text: str, rule: str, holds: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and holds(value)):
        raise argparse.ArgumentTypeError(f"it must be {rule}, got {text!r}")
    return value


def _positive(text: str) -> float:
    return _number(text, "a positive number", lambda v: v > 0)


def _share(text: str) -> float:
    return _number(text, "a number from 0 to 1", lambda v: 0 <= v <= 1)


def _auto(of: Callable[[str], float]) -> Callable[[str], float | str]:
    return lambda text: text if text == "auto" else of(text)


def _at_least_one(text: str) -> int:
    return int(_number(text, "a whole number of at least 1", lambda v: v >= 1 and v == int(v)))


def _at_least_two(text: str) -> int:  # seeds, for an interval
    return int(_number(text, "a whole number of at least 2", lambda v: v >= 2 and v == int(v)))


def _seed(text: str) -> int:
    return int(_number(text, "a whole number from 0 to 4294967295", lambda v: 0 <= v < 2**32 and v == int(v)))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip())


def _delimiter(text: str) -> str:
    text = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(text) != 1 or text in '"\r\n':
        raise argparse.ArgumentTypeError(f"it must be one character, or tab, got {text!r}")
    return text


def _demo(args: argparse.Namespace) -> int:
    device = resolve_device(args.device)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    import matplotlib

    matplotlib.use("Agg")
    from kdlearn import demo
    from kdlearn.commands.outputs import as_json

    began, talk = time.perf_counter(), not (args.quiet or args.json)
    if talk:
        print(
            f"Digits: a 64-256-256-10 teacher of 1097 images (85,002 parameters), 64-16-10 students (1,210) of\n"
            f"{demo.LABELS} images, {args.seeds} paired seeds. Every arm is tuned alike, on validation rows."
        )
    result = demo.study(args.seeds, args.seed, device, progress=False if args.quiet else None)
    data = demo.report(result)
    demo.figure(result).savefig(args.out, dpi=110)
    if args.json:
        print(as_json(data))
        return 0
    print(demo.format_table(data))
    if talk:
        print(
            "difference: test accuracy, paired over seeds, to labels alone, with its 95 % interval, and the verdict\n"
            "by Holm's rule.  agree: same answer as the teacher.  NLL: negative log-likelihood.  ECE: calibration\n"
            f"error.  Figure: {args.out}   ({time.perf_counter() - began:.0f} s)"
        )
    return 0
