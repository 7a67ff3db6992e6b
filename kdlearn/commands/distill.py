"""`kdlearn distill`: a teacher and its student from a table, and a report on rows held out."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from kdlearn.checkpoint import CheckpointError
from kdlearn.commands.student import Student, load_student
from kdlearn.commands.tables import Encoder, TableError, labels, read_table
from kdlearn.estimators import DistilledClassifier
from kdlearn.export.costs import format_report, report, wilson
from kdlearn.export.plan import plan

TEACHERS = ("forest", "boosting", "mlp")
HELD_OUT = 4  # one row in four of each class


def run(args: Namespace) -> int:
    """Read, teach, measure, write; the exit status."""
    began, talk = time.perf_counter(), not (args.quiet or args.json)
    _check_out(args.out, args.data, args.unlabeled, args.teacher)
    table = read_table(args.data, args.delimiter)
    target = args.target or ("y" if args.data.suffix == ".npz" else None)
    if target is None:
        raise TableError(f"--target is needed, the column to predict; there are: {', '.join(table.columns)}")
    y = labels(table, target)
    encoder = Encoder.fit(table, {target, *args.ignore}, args.categorical)
    X = encoder(table)
    more = None if args.unlabeled is None else encoder(read_table(args.unlabeled, args.delimiter))
    train, test = _split(y, args.seed)
    if len(test) == 0:
        raise TableError(f"{table.source} has one row of each class: none is left to hold out")

    teacher = _teacher(args, encoder, X[train], y[train])
    student = _student(args, teacher, encoder, X[train], y[train], more)
    control = _student(args, None, encoder, X[train], y[train])  # what the student is without the teacher
    right = int((control.predict(X[test]) == y[test]).sum())
    settings = {
        "teacher": str(args.teacher),
        "temperature": args.temperature,
        "soft_weight": args.soft_weight,
        "epochs": args.epochs,
        "seed": args.seed,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    student.save(args.out, {**settings, "target": target})
    found = {
        "data": str(args.data),
        "rows": {"train": len(train), "held_out": len(test), "unlabeled": 0 if more is None else len(more)},
        "inputs": encoder.inputs,
        "classes": student.classes_.tolist(),
        "student": [X.shape[1], *args.student, len(student.classes_)],
        "settings": settings,
        "report": report(load_student(args.out), teacher, X[test], y[test]),  # of the file, as it will be read
        "labels_alone": {"accuracy": right / len(test), "accuracy_interval": wilson(right, len(test))},
        "out": str(args.out),
        "seconds": time.perf_counter() - began,
    }
    print(json.dumps(found, indent=2) if args.json else _text(found, talk))
    return 0


def _check_out(out: Path, *read: Any) -> None:
    if out.is_dir():
        raise IsADirectoryError(f"--out {out} is a folder; it must be a file")
    for path in read:
        if path is not None and out.exists() and Path(path).exists() and out.samefile(path):
            raise TableError(f"--out {out} would overwrite what is read")


def _split(y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`(train, test)` rows: a quarter of each class held out, at least one row of a class that has two."""
    rng, held = np.random.default_rng(seed), []
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        held.append(rows[: max(len(rows) // HELD_OUT, int(len(rows) > 1))])
    test = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(y)), test), test


class _Taught(DistilledClassifier):
    """A DistilledClassifier that moves a bar, shown on a terminal, instead of printing its losses."""

    def taught(
        self, what: str, args: Namespace, encoder: Encoder, X: np.ndarray, y: np.ndarray, more: np.ndarray | None = None
    ) -> Student:
        """Fitted, as the student that a file holds."""
        from tqdm import tqdm

        hidden = True if args.quiet or args.json else None  # None: a bar on a terminal alone
        with tqdm(total=self.max_iter, desc=what, unit="epoch", leave=False, disable=hidden, file=sys.stderr) as bar:
            self._bar = bar
            self.fit(X, y, X_unlabeled=more)
        return Student(self.student_, encoder, self.scaler_.mean_, self.scaler_.scale_, self.classes_)

    def _hooks(self) -> list[Any]:
        return [lambda run: self._bar.update()]


def _student(
    args: Namespace, teacher: Any, encoder: Encoder, X: np.ndarray, y: np.ndarray, more: np.ndarray | None = None
) -> Student:
    """The student, taught by labels and by a fitted teacher, or by the labels alone."""
    small = _Taught(
        teacher if teacher is None or isinstance(teacher, Student) else FrozenEstimator(teacher),
        args.student,
        temperature=args.temperature,
        soft_weight=args.soft_weight,
        max_iter=args.epochs,
        random_state=args.seed,
    )
    return small.taught("labels alone" if teacher is None else "student", args, encoder, X, y, more)


def _teacher(args: Namespace, encoder: Encoder, X: np.ndarray, y: np.ndarray) -> Any:
    """A fitted classifier of the encoder's rows."""
    if args.teacher == "forest":
        return RandomForestClassifier(300, random_state=args.seed).fit(X, y)
    if args.teacher == "boosting":
        return HistGradientBoostingClassifier(random_state=args.seed).fit(X, y)
    if args.teacher == "mlp":
        large = _Taught(None, (256, 256), learning_rate_init=3e-3, alpha=1e-2, max_iter=50, random_state=args.seed)
        return large.taught("teacher", args, encoder, X, y)
    return _from_file(Path(args.teacher), args.trust_pickle, encoder, np.unique(y))


def _from_file(path: Path, trust_pickle: bool, encoder: Encoder, classes: np.ndarray) -> Any:
    if not path.exists():
        raise FileNotFoundError(f"no teacher {str(path)!r}: it is one of {', '.join(TEACHERS)}, or a file")
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    width, K = len(encoder.inputs), len(classes)
    if is_zip:
        teacher = load_student(path)
        steps = plan(teacher.student_).steps
        n_in, n_out = steps[0].n_in, steps[-1].n_out
        if teacher.encoder is None:  # a bare network: its outputs are the sorted classes
            teacher.classes_ = classes if n_out == K else teacher.classes_
        elif teacher.encoder.features != encoder.features:
            raise CheckpointError(f"{path} was taught other columns than this table has: {_columns(teacher.encoder)}")
    else:
        if not trust_pickle:
            raise CheckpointError(
                f"{path} is not a checkpoint of kdlearn; if it is a pickle, reading it runs whatever code it holds: "
                "add --trust-pickle if you trust whoever wrote it"
            )
        teacher = _unpickle(path)
        n_in, n_out = getattr(teacher, "n_features_in_", width), len(teacher.classes_)
    if n_in != width:
        raise CheckpointError(f"{path} takes {n_in} inputs, the table gives {width}: {_columns(encoder)}")
    if n_out != K or set(np.asarray(teacher.classes_).tolist()) != set(classes.tolist()):
        raise CheckpointError(f"{path} knows {n_out} classes, {list(teacher.classes_)}; the table has {list(classes)}")
    return teacher


def _unpickle(path: Path) -> Any:
    import joblib

    try:
        teacher = joblib.load(path)
    except Exception as error:  # a pickle may raise whatever it likes
        raise CheckpointError(f"{path} cannot be unpickled ({type(error).__name__}: {error})") from error
    if not hasattr(teacher, "predict_proba") or not hasattr(teacher, "classes_"):
        raise CheckpointError(f"{path} holds {type(teacher).__name__}; a teacher is a fitted classifier")
    return teacher


def _columns(encoder: Encoder) -> str:
    names = encoder.inputs
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def _text(found: dict[str, Any], talk: bool) -> str:
    table = format_report(found["report"])
    if not talk:
        return f"{table}\n{_control(found)}"
    rows, settings = found["rows"], found["settings"]
    unlabeled = f", {rows['unlabeled']:,} more without labels" if rows["unlabeled"] else ""
    from_file = "" if settings["teacher"] in TEACHERS else " The teacher's file may have been made with these rows."
    return (
        f"{found['data']}: {len(found['inputs'])} inputs, {len(found['classes'])} classes. Taught on "
        f"{rows['train']:,} rows{unlabeled}; measured on {rows['held_out']:,} held out,\n"
        f"a quarter of each class, drawn with seed {settings['seed']}.{from_file}\n"
        f"teacher: {settings['teacher']}   student: {'-'.join(map(str, found['student']))}, "
        f"T = {settings['temperature']:g}, soft weight {settings['soft_weight']:g}, {settings['epochs']} epochs\n\n"
        f"{table}\n"
        f"{_control(found)}\n\n"
        "bytes: parameters in float32, or a teacher's pickle. latency: as called from Python. agreement: same\n"
        "answer as the teacher. One split and one seed: what differs by less than the intervals may be chance.\n"
        f"Student: {found['out']}   ({found['seconds']:.0f} s)"
    )


def _control(found: dict[str, Any]) -> str:
    alone = found["labels_alone"]
    low, high = alone["accuracy_interval"]
    return (
        f"The same student, taught by the labels alone: {100 * alone['accuracy']:.1f} % "
        f"({100 * low:.1f} to {100 * high:.1f} %)"
    )
