"""`kdlearn predict` and `kdlearn export`: what is done with a student."""

from __future__ import annotations

import csv
import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from kdlearn.cells import unknown_said
from kdlearn.commands.frames import TableError, read_table
from kdlearn.commands.outputs import check_out
from kdlearn.commands.student import Student, load_any, load_student
from kdlearn.export.c_file import files_of, to_c
from kdlearn.export.onnx_file import to_onnx
from kdlearn.export.toolchain import measure_c


def predict(args: Namespace) -> int:
    """Write each row's answer as CSV, after the columns of `--id`; the exit status."""
    check_out([] if args.out is None else [args.out], {"--model": args.model, "--data": args.data})
    student, said = load_student(args.model), list[str]()
    table, rows = student.read(args.data, args.delimiter, said, every_row=True)
    for name in args.id:
        if name not in table:
            raise TableError(f"there is no column {name!r}; there are: {', '.join(map(str, table.columns))}")
    model = student.model
    with unknown_said():
        p = model.predict(rows) if model.classes_ is None else model.predict_proba(rows)
    if model.classes_ is not None:
        header = ["prediction", *(f"p({label})" for label in model.classes_.tolist())]
        answers = model.classes_[p.argmax(axis=1)].tolist()
        lines = [[answer, *row] for answer, row in zip(answers, p.tolist())]  # csv writes every digit of a float
    else:
        answers = p.reshape(len(rows), -1)
        header = ["prediction"] if answers.shape[1] == 1 else [f"prediction {j}" for j in range(answers.shape[1])]
        lines = answers.tolist()
    taken = [name for name in args.id if name in header]
    if taken:
        raise TableError(
            f"--id {taken[0]!r} is the name of an answer's column, and two would be alike: rename the table's column"
        )
    written = read_table(args.data, args.delimiter, every_row=True, as_written=True) if args.id else table
    ids = written[list(args.id)].to_numpy().tolist()
    made = [[*args.id, *header], *([*i, *line] for i, line in zip(ids, lines))]
    if said and not args.quiet:
        print("\n".join(said), file=sys.stderr if args.out is None else sys.stdout)
    if args.out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(made)
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with open(args.out, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(made)
    if not args.quiet:
        print(f"{len(lines):,} prediction{'s' * (len(lines) != 1)}: {args.out}")
    return 0


def export(args: Namespace) -> int:
    """Write a student as ONNX or as C; the exit status."""
    check_out(
        [args.out, *(files_of(args.out) if args.to == "c" else ())],
        {"--model": args.model, "--calibration": args.calibration},
    )
    student = load_any(args.model)
    model: Any = student.model if isinstance(student, Student) else student
    rows = None
    if args.calibration is not None:
        if not isinstance(student, Student):
            raise TableError("the model is a bare network, without the columns of a table: use it through kdlearn.load")
        said = list[str]()
        _, rows = student.read(args.calibration, args.delimiter, said)
        if said and not args.quiet:
            print("\n".join(said), flush=True)
    for name, given in (("--integer", args.integer), ("--name", args.name), ("--max-bytes", args.max_bytes)):
        if args.to != "c" and given not in (None, False):
            raise TableError(f"{name} is for --to c")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    units, target = (student.units, student.target) if isinstance(student, Student) else ({}, None)
    if args.to == "c":
        more: dict[str, Any] = {} if args.max_bytes is None else {"max_bytes": args.max_bytes}
        more |= {"rows": rows, "units": units, "target": target}
        made = to_c(model, args.out, args.name, int8=args.int8, integer=args.integer, **more)
        told = _told_c(made, args.integer)
    else:
        made = to_onnx(model, args.out, int8=args.int8, rows=rows)
        told = _told_onnx(args.out, made)
    if not args.quiet:
        print(told)
        if isinstance(student, Student):
            *names, answer = (f"{n} ({units[n]})" if n in units else n for n in [*model.feature_names_in_, target])
            print("inputs, in this order: " + ", ".join(names[:20]) + (", …" if len(names) > 20 else ""))
            if model.classes_ is None and answer is not None:
                print(f"the answer: {answer}")
    return 0


def _told_c(made: dict[str, Any], integer: bool) -> str:
    source = Path(made["files"][0])
    sizes = [f"{file}: {Path(file).stat().st_size:,} bytes" for file in made["files"]]
    lines = [
        *sizes,
        f"constants {made['constants']:,} bytes, scratch {made['scratch']:,} bytes on the stack, "
        f"static RAM {made['static_ram']} bytes, {made['multiply_adds']:,} multiply-adds a row",
    ]
    how = "in integers" if integer else "with weights in eight bits"
    if "error" in made:
        lines.append(f"{how} the answers move by {made['error']:.3g} on average, {made['largest_error']:.3g} at most")
    elif "agreement" in made:
        lines.append(f"{how} {100 * made['agreement']:.1f} % of the rows that it was tried on are answered as before")
    found = measure_c(source)
    if found is not None:
        lines.append(
            f"compiled by {found['compiler']}: flash {found['flash']:,}, RAM {found['ram']:,}, stack at most "
            f"{found['stack']:,} bytes, without the C library's own"
            + (" (the RAM: pointers to texts, which AVR goes without)" if found["ram"] else "")
        )
        if not found["compiler"].startswith("avr-gcc") and shutil.which("avr-gcc"):
            smaller = (
                "" if {"error", "agreement"} & set(made) else "; --int8 and --integer take a quarter for the weights"
            )
            lines.append(f"avr-gcc refuses it for an ATmega328P, which has 32,768 bytes of flash{smaller}")
    lines.append(
        f"call {made['name']}_predict; float32 was held to float64, and {made['name']}_selftest() checks "
        f"{made['selftest_rows']} rows on the device"
    )
    return "\n".join(lines)


def _told_onnx(out: Path, made: dict[str, Any]) -> str:
    if made["method"] == "float32":
        return f"{out}: {made['bytes']:,} bytes; float32 was held to float64"
    same, off, most = (made[key]["static"] for key in ("agreement", "error", "largest_error"))
    agrees = (
        f", the answers move by {off:.3g} on average, {most:.3g} at most"
        if same is None
        else f", {100 * same:.1f} % of the rows that it was calibrated on answered alike"
    )
    larger = " (it grew: in a small network names and nodes outweigh weights)"
    grew = larger if made["bytes_after"] > made["bytes_before"] else ""
    return f"{out}: {made['bytes_after']:,} bytes; static int8, {made['bytes_before']:,} bytes before{grew}{agrees}"
