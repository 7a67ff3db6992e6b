"""`kdlearn predict` and `kdlearn export`: what is done with a student."""

from __future__ import annotations

import csv
import re
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from kdlearn.checkpoint import load, read
from kdlearn.commands.frames import TableError, read_table
from kdlearn.commands.student import Student, load_student
from kdlearn.export.c_header import to_c
from kdlearn.export.onnx_file import quantize_onnx, to_onnx


def predict(args: Namespace) -> int:
    """Write each row's answer as CSV, after the columns of `--id`; the exit status."""
    student, said = load_student(args.model), list[str]()
    table = read_table(args.data, args.delimiter, said)
    rows = student.rules(table, said)
    if args.out is not None and args.out.exists() and args.out.samefile(args.data):
        raise TableError(f"--out {args.out} would overwrite the rows")
    for name in args.id:
        if name not in table:
            raise TableError(f"there is no column {name!r}; there are: {', '.join(map(str, table.columns))}")
    model = student.model
    if hasattr(model, "classes_"):
        p = model.predict_proba(rows)
        header = ["prediction", *(f"p({label})" for label in model.classes_.tolist())]
        answers = model.classes_[p.argmax(axis=1)].tolist()
        lines = [[answer, *(f"{value:.6g}" for value in row)] for answer, row in zip(answers, p.tolist())]
    else:
        header, lines = ["prediction"], [[f"{value:.9g}"] for value in model.predict(rows)]
    ids = [["" if cell is np.nan else cell for cell in row] for row in table[list(args.id)].to_numpy().tolist()]
    made = [[*args.id, *header], *([*i, *line] for i, line in zip(ids, lines))]
    if args.out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(made)
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with open(args.out, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(made)
    if not args.quiet:
        print("\n".join([*said, f"{len(lines):,} predictions: {args.out}"]))
    return 0


def export(args: Namespace) -> int:
    """Write a student as ONNX or as a C header; the exit status."""
    model, student = _exported(args.model)
    inputs = None if student is None else student.inputs
    rows = None
    if args.calibration is not None:
        if not (args.to == "onnx" and args.int8):
            raise TableError("--calibration is for --to onnx --int8")
        if student is None:
            raise TableError("the model is a bare network, without the columns of a table")
        rows = student.encoded(student.rules(read_table(args.calibration, args.delimiter)))
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
        if found["method"] == "dynamic":
            note += "; one row's answer then depends a little on the others of its batch"
    if not args.quiet:
        print(f"{args.out}: {args.out.stat().st_size:,} bytes{note}")
        if inputs is not None:
            print("inputs, in this order: " + ", ".join(inputs[:20]) + (", …" if len(inputs) > 20 else ""))
    return 0


def _exported(path: Path) -> tuple[Any, Student | None]:
    """What is written out, from the encoded row on; and the student of a table, None for a bare network."""
    if "network" in read(path)[1]:
        return load(path), None
    student = load_student(path)
    model = student.model
    if not hasattr(model, "classes_"):
        raise TableError(f"{path} answers with numbers; what is exported are classes")
    return SimpleNamespace(student_=model.student_, scaler_=model.scaler_, classes_=model.classes_), student


def _identifier(path: Path) -> str:
    name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    return name if name[:1].isascii() and name[:1].isalpha() else "net_" + name
