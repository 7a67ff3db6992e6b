"""`kdlearn distill`: a teacher and its student from a table, and a report on rows held out."""

from __future__ import annotations

import math
import sys
import time
import warnings
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from kdlearn.commands.alarms import tell_leak, weak_points
from kdlearn.commands.frames import TableError, naming, read_table
from kdlearn.commands.measure import figures, format_figures, own_rule, shortfall
from kdlearn.commands.outputs import as_json, check_out
from kdlearn.commands.rules import Rules
from kdlearn.commands.student import Student, load_student
from kdlearn.commands.target import read_target
from kdlearn.commands.teacher import TEACHERS, teacher_of
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.rows import default_preprocessor, like_names, merged

if TYPE_CHECKING:
    import pandas as pd

HELD_OUT = 0.25  # of each class


def run(args: Namespace) -> int:
    """Read, teach, measure, write; the exit status."""
    began, talk, said = time.perf_counter(), not (args.quiet or args.json), list[str]()
    _check_out(args)
    table = read_table(args.data, args.delimiter, said)
    target = args.target or ("y" if args.data.suffix == ".npz" else None)
    if target is None or target not in table:
        names = ", ".join(map(str, table.columns))
        wrong = "--target is needed, the column to predict" if target is None else f"there is no column {target!r}"
        hint = f"; of its arrays x and y alone are read: save {target!r} as y" * (
            target in table.attrs.get("arrays", ())
        )
        raise TableError(f"{args.data}: {wrong}; there are: {names}{hint}")
    table, y = read_target(table, target, args.task, said)
    for name, columns in (("--ignore", args.ignore), ("--id", args.id)):
        if target in columns:
            raise TableError(f"{name} names the target {target!r}, which is what is learnt")
    if args.soft_weight == 0 and args.temperature != "auto":
        raise TableError("--temperature is of the soft targets, which have no weight with --soft-weight 0")
    skip = {target, *args.ignore, *args.id}
    rules = Rules.of(table, skip, args.categorical, args.keep, said)
    X = rules(table, said)
    rules.read = [(table, X)]
    more = None
    if args.unlabeled is not None:
        heard: list[str] = []
        more = rules.others(args.unlabeled, read_table(args.unlabeled, args.delimiter, heard), X, heard, said)
    X, y, X_test, y_test = _held_out(args, rules, table, X, y, target, said)
    for name in X.columns[[dtype.kind not in "biuf" for dtype in X.dtypes]]:
        if like_names(different := int(X[name].nunique()), len(X)):
            raise TableError(
                f"column {name!r} has {different} different texts in {len(X)} rows that teach, more like names than "
                f"categories, and no input can be made of it: --ignore {name}"
            )
    said += [f"{sentence}." for sentence in merged(X, default_preprocessor(X)[1])]
    tell_leak(X, y, target, said)
    said += weak_points(X, y, X_test, y_test)
    if talk and said:
        print("\n".join(said) + "\n", flush=True)  # before a minute goes into the teacher

    warned: list[str] = []
    teacher = teacher_of(args, X, y, rules, warned, table.attrs.get("counted"))
    student = _taught("student", args, teacher, X, y, warned, more)
    decay = student.report_["alpha_of_labels_alone"]  # the strongest that the contest found, if there was one
    decay = "auto" if decay is None else decay
    passes = math.ceil(args.epochs * (student.report_["longer_of_labels_alone"] or 1.0))
    control = student
    if student.teacher_ is not None:
        control = _taught("labels alone", args, None, X, y, warned, alpha=decay, passes=passes)
        if decay == "auto":
            warned.append("labels alone: one weight decay, the default; without --soft-weight several compete.")
    measured = student.teacher_ if student.teacher_ is not None else clone(teacher).fit(X, y)
    settings = {
        "teacher": str(args.teacher),
        "soft_weight": args.soft_weight,
        "temperature": args.temperature,
        "epochs": args.epochs,
        "seed": args.seed,
        "target": target,
        "counted": table.attrs.get("counted"),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Student(student, rules, settings).save(args.out)
    read_back = load_student(args.out)  # the report is of the file, as it will be read
    from_file = None if args.teacher in TEACHERS else Path(args.teacher).stat().st_size
    measures = figures(read_back.model, measured, control, X_test, y_test, args.out.stat().st_size, from_file)
    warned += shortfall(measures)
    if y.dtype.kind != "f" and from_file is not None:
        warned += own_rule(measured, X_test)
    found = {
        "verdict": student.report_["verdict"],
        "data": str(args.data),
        "rows": {"train": len(y), "held_out": len(y_test), "unlabeled": 0 if more is None else len(more)},
        "notes": said,
        "warnings": warned,
        "columns": rules.columns,
        "inputs": read_back.inputs,
        "classes": student.classes_.tolist() if hasattr(student, "classes_") else None,
        "student": list(student.student_.sizes),
        "settings": settings,
        "contest": student.report_,
        "report": measures,
        "out": str(args.out),
        "seconds": time.perf_counter() - began,
    }
    print(as_json(found) if args.json else _text(found, args, talk))
    return 0


def _check_out(args: Namespace) -> None:
    teacher = None if args.teacher in TEACHERS else args.teacher
    read = {"--data": args.data, "--unlabeled": args.unlabeled, "--test": args.test, "--teacher": teacher}
    check_out([args.out], read)


def _held_out(
    args: Namespace, rules: Rules, table: pd.DataFrame, X: pd.DataFrame, y: np.ndarray, target: str, said: list[str]
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
    """The rows that teach and those that measure: of `--test`, or a quarter of each class."""
    if args.test is not None:
        heard: list[str] = []
        other = read_table(args.test, args.delimiter, heard)
        if target not in other:
            raise TableError(f"{args.test}: there is no column {target!r}")
        task = "numbers" if y.dtype.kind == "f" else "classes"
        other.attrs |= {key: sign for key, sign in table.attrs.items() if key == "target_comma"}
        with naming(args.test):
            other, y_test = read_target(other, target, task, heard)
        counted = table.attrs.get("counted")
        if other.attrs.get("counted") not in (None, counted):
            was = counted or "without a unit"
            raise TableError(f"{args.test}: {target!r} is {other.attrs['counted']}, in {args.data} it is {was}")
        unknown = [] if task == "numbers" else sorted(set(y_test.tolist()) - set(y.tolist()))
        if unknown:
            raise TableError(f"{args.test} has classes that teach nothing: {', '.join(map(str, unknown[:5]))}")
        return X, y, rules.others(args.test, other, X, heard, said), y_test
    if y.dtype.kind == "f":
        train, test = train_test_split(np.arange(len(y)), test_size=HELD_OUT, random_state=args.seed)
    else:
        train, test = split(y, args.seed)
    if len(test) == 0:
        raise TableError("there is one row of each class: none is left to hold out")
    return X.iloc[train], y[train], X.iloc[test], y[test]


def split(y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`(train, test)` rows: a quarter of each class held out, at least one row of a class that has two."""
    rng, held = np.random.default_rng(seed), []
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        held.append(rows[: max(int(len(rows) * HELD_OUT), int(len(rows) > 1))])
    test = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(y)), test), test


class _Bar:
    """A hook that moves a bar, shown on a terminal; the contest's trainings move it too."""

    def _hooks(self) -> list[Any]:
        return [lambda run: self._bar.update()]

    _bar: Any


class _Classifier(_Bar, DistilledClassifier):
    pass


class _Regressor(_Bar, DistilledRegressor):
    pass


def _taught(
    what: str,
    args: Namespace,
    teacher: Any,
    X: pd.DataFrame,
    y: np.ndarray,
    warned: list[str],
    more: pd.DataFrame | None = None,
    alpha: float | str = "auto",
    passes: int | None = None,
) -> Any:
    """The student, taught by labels and, where it helps, by the teacher; or by the labels alone."""
    from tqdm import tqdm

    settings = {
        "preprocessor": default_preprocessor(X)[0],
        "soft_weight": "auto" if teacher is None else args.soft_weight,
        "alpha": alpha,
        "max_iter": args.epochs if passes is None else passes,
        "max_time": args.max_time,
        "random_state": args.seed,
    }
    if y.dtype.kind == "f":
        model: Any = _Regressor(teacher, args.student, **settings)
    else:
        temperature = "auto" if teacher is None else args.temperature
        model = _Classifier(teacher, args.student, temperature=temperature, **settings)
    hidden = True if args.quiet or args.json else None  # None: a bar on a terminal alone
    with tqdm(desc=what, unit="epoch", leave=False, disable=hidden, file=sys.stderr) as bar:
        model._bar = bar
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(X, y, X_unlabeled=more)
    for w in caught:
        if not issubclass(w.category, ConvergenceWarning):
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
        elif str(w.message).startswith("max_iter="):
            warned.append(f"{what}: the loss was still falling after {args.epochs} epochs; --epochs sets more.")
        else:
            warned.append(f"{what}: {w.message}.")
    del model._bar
    return model


def _text(found: dict[str, Any], args: Namespace, talk: bool) -> str:
    table = format_figures(found["report"])
    verdict = "\n".join([found["verdict"], *found["warnings"]])
    if not talk:
        return f"{verdict}\n\n{table}"
    rows, K = found["rows"], found["classes"]
    answers = "one number" if K is None else f"{len(K)} classes"
    unlabeled = f", {rows['unlabeled']:,} more without labels" if rows["unlabeled"] else ""
    from_file = "" if args.teacher in TEACHERS else " The teacher's file may have been made with these rows."
    kept = "as a pickle" if found["report"]["teacher"]["parameters"] is None else "as kdlearn.save writes it"
    kept = kept if args.teacher in TEACHERS else f"of {args.teacher}"
    held = (
        f"{args.test}" if args.test else f"held out, a quarter{'' if K is None else ' of each class'}, seed {args.seed}"
    )
    compared = (
        "mean absolute difference: of the two models' answers."
        if K is None
        else "agreement: same answer as the teacher."
    )
    return (
        f"{verdict}\n\n"
        f"{found['data']}: {len(found['columns'])} columns, {len(found['inputs'])} inputs, {answers}. Taught on "
        f"{rows['train']:,} rows{unlabeled};\nmeasured on {rows['held_out']:,}, {held}.{from_file}\n"
        f"teacher: {args.teacher}   student: {'-'.join(map(str, found['student']))}, {args.epochs} epochs\n\n"
        f"{table}\n\n"
        f"file on disk: the teacher {kept}.\nTimes: as called from Python, with scikit-learn's checks of both.\n"
        f"{compared} One split and one seed: what differs by less than the\n"
        "intervals may be chance.\n"
        f"Student: {found['out']}   ({found['seconds']:.0f} s)"
    )
