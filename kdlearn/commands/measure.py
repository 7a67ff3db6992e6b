"""What `kdlearn distill` reports of student, teacher and control on rows that taught none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from kdlearn.cells import unknown_said
from kdlearn.export.costs import achieved, format_report, report

if TYPE_CHECKING:
    import pandas as pd


def figures(
    student: Any,
    teacher: Any,
    control: Any,
    X: pd.DataFrame,
    y: np.ndarray,
    file_bytes: int,
    teacher_bytes: int | None = None,
) -> dict[str, Any]:
    """Costs of student and teacher, and what each of the three achieves.

    `file_bytes` are those of the student's file, `teacher_bytes` of the teacher's, if it came from one.
    """
    numbers = y.dtype.kind == "f"
    models = {"teacher": teacher, "student": student, "labels alone": control}
    with unknown_said():
        costs = report(student, teacher, X, y)
        results = {
            name: achieved("numbers", model.predict(X), y) if numbers else _of_classes(model, X, y)
            for name, model in models.items()
        }
    costs["student"]["file_bytes"] = file_bytes  # with the rules by which columns are read
    if teacher_bytes is not None:
        costs["teacher"]["file_bytes"] = teacher_bytes
    return {**costs, "achieved": results, "most_frequent": None if numbers else _most_frequent(y)}


def shortfall(found: dict[str, Any]) -> list[str]:
    """A sentence where the teacher stays better than its student beyond the intervals: what may bring it closer."""
    teacher, student = found["achieved"]["teacher"], found["achieved"]["student"]
    key, what = ("accuracy", "accuracy {:.1%}") if "accuracy" in teacher else ("r2", "R2 {:.4g}")
    if not teacher[f"{key}_interval"][0] > student[f"{key}_interval"][1]:
        return []
    better = what.format(teacher[key]).replace("%", " %")
    worse = what.format(student[key]).split(" ")[-1].replace("%", " %")
    return [
        f"The teacher stays better than the student, {better} against {worse}: a wider student (--student 64,32), more "
        "epochs, or rows without labels (--unlabeled) may come closer."
    ]


def own_rule(teacher: Any, X: pd.DataFrame) -> list[str]:
    """A sentence where a classifier's answers are not its most probable classes, as behind a threshold of its own."""
    with unknown_said():
        answers, p = np.asarray(teacher.predict(X)), np.asarray(teacher.predict_proba(X))
    answered = np.where(np.asarray(teacher.classes_) == answers[:, None], p, 0).max(axis=1)
    n = int((answered < p.max(axis=1)).sum())
    if not n:
        return []
    return [
        f"The teacher answers {n} of {len(X)} rows otherwise than its highest probability, by a threshold or rule of "
        "its own: its figures are those of its answers, what it teaches are its probabilities."
    ]


def _most_frequent(y: np.ndarray) -> list[Any]:
    """`[label, share]` of the class that is right most often: what an answer is worth that looks at nothing."""
    labels, n = np.unique(y, return_counts=True)
    return [str(labels[n.argmax()]), float(n.max() / len(y))]


def _of_classes(model: Any, X: pd.DataFrame, y: np.ndarray) -> dict[str, Any]:
    order = np.argsort(model.classes_)  # a teacher from a file may have another
    classes, p = np.asarray(model.classes_)[order], model.predict_proba(X)[:, order]
    answers = np.asarray(model.predict(X))  # which may follow a threshold of its own
    recall = {}
    for label in classes.tolist():
        rows = y == label
        recall[str(label)] = [int((answers[rows] == label).sum()), int(rows.sum())]
    there = np.isin(classes, y)
    auc = None
    if there.sum() > 1:
        q = p[:, there]
        if not np.allclose(q.sum(axis=1), 1):  # else the rounding of a division would part equal probabilities
            q = q / np.maximum(q.sum(axis=1, keepdims=True), 1e-300)
        auc = roc_auc_score(y, q[:, 1] if there.sum() == 2 else q, multi_class="ovr", labels=classes[there])
    return {
        **achieved("classes", answers, y),
        "auc": None if auc is None else float(auc),
        "log_loss": float(log_loss(y, p, labels=classes)),
        "recall": recall,
    }


def format_figures(found: dict[str, Any]) -> str:
    """The costs, and below them what teacher, student and labels alone achieve."""
    without = dict.fromkeys(("accuracy", "r2", "mae"))  # they stand below, beside the control's
    costs = format_report({**found, **{name: {**found[name], **without} for name in ("student", "teacher")}})
    rows: list[tuple[str, list[str]]] = [("", list(found["achieved"]))]

    def row(label: str, cells: list[str]) -> None:
        rows.append((label, cells))

    every = list(found["achieved"].values())
    if "accuracy" in every[0]:
        row("accuracy", [f"{100 * e['accuracy']:.1f} %" for e in every])
        ends = [e["accuracy_interval"] for e in every]
        row("  95 % interval", [f"{100 * a:.1f} to {100 * b:.1f} %" for a, b in ends])
        label, share = found["most_frequent"]
        row(f"  always {label}"[:23], [f"{100 * share:.1f} %"] * len(every))
        row("AUC", ["-" if e["auc"] is None else f"{e['auc']:.3f}" for e in every])
        row("log-loss", [f"{e['log_loss']:.3f}" for e in every])
        labels = list(every[0]["recall"])[:20]
        for label, cut in zip(labels, _cut(labels, 23 - len("recall of "))):
            row(f"recall of {cut}", [f"{a} of {b}" for a, b in (e["recall"][label] for e in every)])
    else:
        for key, label in (("r2", "R2"), ("mae", "mean absolute error")):
            row(label, [f"{e[key]:.4g}" for e in every])
            row("  95 % interval", ["{:.4g} to {:.4g}".format(*e[key + "_interval"]) for e in every])
    width = max(18, 2 + max(len(cell) for _, cells in rows for cell in cells))
    lines = [f"{label:<24}" + "".join(f"{cell:>{width}}" for cell in cells) for label, cells in rows]
    return "\n".join([costs, "", *lines])


def _cut(labels: list[str], room: int) -> list[str]:
    """Labels of this length at most; those that would read alike end in their place, from 1 on."""
    cut = [label if len(label) <= room else label[: room - 1] + "…" for label in labels]
    ends = [f"…{place}" if cut.count(text) > 1 else "" for place, text in enumerate(cut, 1)]
    return [text[: room - len(end)] + end if end else text for text, end in zip(cut, ends)]
