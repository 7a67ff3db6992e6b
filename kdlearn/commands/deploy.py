"""`kdlearn predict` and `kdlearn export`: what is done with a student."""

from __future__ import annotations

import csv
import re
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from kdlearn.commands.student import Student, load_student
from kdlearn.commands.tables import TableError, read_table
from kdlearn.export.c_header import to_c
from kdlearn.export.onnx_file import quantize_onnx, to_onnx


def predict(args: Namespace) -> int:
    """Write each row's class and probabilities as CSV; the exit status."""
    student = load_student(args.model)
    rows = _rows(student, args.data, args.delimiter)
    if args.out is not None and args.out.exists() and args.out.samefile(args.data):
        raise TableError(f"--out {args.out} would overwrite the rows")
    p = student.predict_proba(rows)
    answers = student.classes_[p.argmax(axis=1)].tolist()
    header = ["prediction", *(f"p({label})" for label in student.classes_.tolist())]
    lines = [[answer, *(f"{value:.6g}" for value in row)] for answer, row in zip(answers, p.tolist())]
    if args.out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *lines])
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with open(args.out, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])
    if not args.quiet:
        print(f"{len(lines):,} predictions: {args.out}")
    return 0


def export(args: Namespace) -> int:
    """Write a student as ONNX or as a C header; the exit status."""
    student = load_student(args.model)
    model: Any = student if student.encoder is not None else student.student_
    inputs = None if student.encoder is None else student.encoder.inputs
    rows = None if args.calibration is None else _rows(student, args.calibration, args.delimiter)
    if args.calibration is not None and not (args.to == "onnx" and args.int8):
        raise TableError("--calibration is for --to onnx --int8")
    if args.out.exists() and args.out.samefile(args.model):
        raise TableError(f"--out {args.out} would overwrite the model")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    note = ""
    if args.to == "c":
        name = args.name or _identifier(args.out)
        to_c(model, args.out, name, int8=args.int8, inputs=inputs)
        note = f"; call {name}_predict"
    elif not args.int8:
        to_onnx(model, args.out, inputs=inputs)
    else:
        with tempfile.TemporaryDirectory() as folder:
            to_onnx(model, Path(folder, "float.onnx"), fold=False, inputs=inputs)
            found = quantize_onnx(Path(folder, "float.onnx"), args.out, rows)
        agreement = found.get("agreement", {}).get(found["method"])
        agrees = "" if agreement is None else f", {100 * agreement:.1f} % of the calibration rows answered alike"
        note = f"; {found['method']} int8, {found['bytes_before']:,} bytes before{agrees}"
    if not args.quiet:
        print(f"{args.out}: {args.out.stat().st_size:,} bytes{note}")
        if inputs is not None:
            print("inputs, in this order: " + ", ".join(inputs[:20]) + (", …" if len(inputs) > 20 else ""))
    return 0


def _rows(student: Student, path: Path, delimiter: str) -> Any:
    if student.encoder is None:
        raise TableError("the model is a bare network, without the columns of a table: use it through kdlearn.load")
    return student.encoder(read_table(path, delimiter))


def _identifier(path: Path) -> str:
    name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    return name if name[:1].isascii() and name[:1].isalpha() else "net_" + name
