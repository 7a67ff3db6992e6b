"""`kdlearn predict` and `kdlearn export`: what is done with a student."""

from __future__ import annotations

import csv
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from kdlearn.checkpoint import CheckpointError, read
from kdlearn.commands.tables import MISSING, Table, TableError, read_table
from kdlearn.export.c_header import to_c
from kdlearn.export.onnx_file import to_onnx
from kdlearn.export.saved import load
from kdlearn.export.toolchain import measure_c
from kdlearn.nn.network import Network


def predict(args: Namespace) -> int:
    """Write each row's class and probabilities, or its predicted number, as CSV; the exit status."""
    model = _load(args.model)
    rows = _rows(model, args.data, args.delimiter)
    if args.out is not None and args.out.exists() and args.out.samefile(args.data):
        raise TableError(f"--out {args.out} would overwrite the rows")
    header, lines = ["prediction"], [[value] for value in model.predict(rows).tolist()]
    if model.classes_ is not None:
        header += [f"p({label})" for label in model.classes_.tolist()]
        lines = [[*a, *(f"{v:.6g}" for v in p)] for a, p in zip(lines, model.predict_proba(rows).tolist())]
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
    """Write a student as ONNX or as C; the exit status."""
    model = _load(args.model)
    rows = None if args.calibration is None else _rows(model, args.calibration, args.delimiter)
    if args.integer and args.to != "c":
        raise TableError("--integer is for --to c")
    if args.out.exists() and args.out.samefile(args.model):
        raise TableError(f"--out {args.out} would overwrite the model")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.to == "c":
        more = {} if args.max_bytes is None else {"max_bytes": args.max_bytes}
        made = to_c(model, args.out, args.name, int8=args.int8, integer=args.integer, rows=rows, **more)
        told = _told_c(made)
    else:
        made = to_onnx(model, args.out, int8=args.int8, rows=rows)
        told = _told_onnx(args.out, made)
    if not args.quiet:
        print(told)
        if not isinstance(model, Network):
            names = model.feature_names_in_.tolist()
            print("inputs, in this order: " + ", ".join(names[:20]) + (", …" if len(names) > 20 else ""))
    return 0


def _told_c(made: dict[str, Any]) -> str:
    source = Path(made["files"][0])
    sizes = [f"{file}: {Path(file).stat().st_size:,} bytes" for file in made["files"]]
    lines = [
        *sizes,
        f"constants {made['constants']:,} bytes, scratch {made['scratch']:,} bytes on the stack, "
        f"static RAM {made['static_ram']} bytes, {made['multiply_adds']:,} multiply-adds a row",
    ]
    if "agreement" in made:
        lines.append(
            f"in integers {100 * made['agreement']:.1f} % of the rows that it was tried on are answered as before"
        )
    found = measure_c(source)
    if found is not None:
        lines.append(
            f"compiled by {found['compiler']}: flash {found['flash']:,}, RAM {found['ram']:,}, stack at most "
            f"{found['stack']:,} bytes, without the C library's own"
        )
    lines.append(
        f"call {made['name']}_predict; float32 was held to float64, and {made['name']}_selftest() checks "
        f"{made['selftest_rows']} rows on the device"
    )
    return "\n".join(lines)


def _told_onnx(out: Path, made: dict[str, Any]) -> str:
    if made["method"] == "float32":
        return f"{out}: {made['bytes']:,} bytes; float32 was held to float64"
    same = made["agreement"]["static"]
    agrees = "" if same is None else f", {100 * same:.1f} % of the rows that it was calibrated on answered alike"
    larger = " (it grew: in a small network names and nodes outweigh weights)"
    grew = larger if made["bytes_after"] > made["bytes_before"] else ""
    return f"{out}: {made['bytes_after']:,} bytes; static int8, {made['bytes_before']:,} bytes before{grew}{agrees}"


def _load(path: Path) -> Any:
    if "network" not in read(path)[1]:
        raise CheckpointError(f"{path} is a checkpoint, but neither of a student nor of a network")
    return load(path)


def _rows(model: Any, path: Path, delimiter: str) -> np.ndarray:
    """Raw rows of a table for a fitted model: numbers and texts, None where a cell is missing and may be."""
    if isinstance(model, Network):
        raise TableError("the model is a bare network, without the columns of a table: use it through kdlearn.load")
    table = read_table(path, delimiter)
    encoding = model.parts_.plain()
    cells: list[Any] = []
    for i, column in enumerate(encoding.columns):
        may_miss = all(f.fill is not None or f.code < -1 for f in encoding.table if f.column == i)
        cells.append(_cells(table, column.name, column.categories, may_miss))
    rows = np.empty((len(table), len(cells)), dtype=object)
    for i, column in enumerate(cells):
        rows[:, i] = column
    if not any(c.categories is not None for c in encoding.columns):
        rows = rows.astype(np.float64)
    codes = encoding.codes(rows)
    for row, j in np.argwhere(np.isnan(encoding.features(codes)))[:1].tolist():
        i = encoding.column[j]
        known = encoding.columns[i].categories or ()
        listed = ", ".join(map(str, known[:12])) + (f", … ({len(known)} in all)" if len(known) > 12 else "")
        table._refuse(row, encoding.columns[i].name, f"{rows[row, i]!r} is not one of the {len(known)} known: {listed}")
    return rows


def _cells(table: Table, name: str, known: Any, may_miss: bool) -> list[Any]:
    raw = table.column(name)
    gaps = np.array([str(cell).strip().lower() in MISSING for cell in raw], bool) & may_miss
    filled = Table(table.source, {name: [str(cell) if not gap else "0" for cell, gap in zip(raw, gaps)]}, table.lines)
    values = filled.numbers(name).tolist() if known is None else filled.texts(name)
    if known is not None and not any(isinstance(v, str) for v in known):
        values = filled.numbers(name).tolist()
    return [None if gap else value for value, gap in zip(values, gaps)]
