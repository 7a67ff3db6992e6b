"""What `kdlearn distill` reports of student, teacher and control on rows that taught none of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from kdlearn.export.costs import format_report, report, wilson

if TYPE_CHECKING:
    import pandas as pd


class ByPlace:
    """A model of a DataFrame's rows as one of an array's: the door through which all are timed."""

    def __init__(self, model: Any, frame: pd.DataFrame) -> None:
        self.model, self.empty = model, frame[:0]
        if hasattr(model, "student_"):
            self.student_ = model.student_
        if hasattr(model, "predict_proba"):
            self.predict_proba = self._predict_proba

    def _frame(self, X: np.ndarray) -> pd.DataFrame:
        return type(self.empty)(X, columns=self.empty.columns).astype(self.empty.dtypes)

    def _predict_proba(self, X: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(self._frame(X))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """See the model."""
        return self.model.predict(self._frame(X))


def figures(
    student: Any, teacher: Any, control: Any, X: pd.DataFrame, y: np.ndarray, file_bytes: int
) -> dict[str, Any]:
    """Costs of student and teacher, and what each of the three achieves; `file_bytes` of the student's file."""
    numbers, cells = y.dtype.kind == "f", X.to_numpy(dtype=object)
    costs = report(ByPlace(student, X), ByPlace(teacher, X), cells, None if numbers else y)
    costs["student"]["bytes"] = file_bytes  # what is copied, and not only the parameters
    for name, model in (("student", student), ("teacher", teacher)):
        costs[name]["rows_a_second"] = _throughput(model, X)
    achieved = {}
    for name, model in (("teacher", teacher), ("student", student), ("labels alone", control)):
        achieved[name] = _of_numbers(model.predict(X), y) if numbers else _of_classes(model, X, y)
    return {**costs, "achieved": achieved}


def _throughput(model: Any, X: pd.DataFrame) -> float:
    """Rows a second of one call with many rows, the best of three."""
    many = X.iloc[np.arange(1000) % len(X)]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        model.predict(many)
        times.append(time.perf_counter() - began)
    return len(many) / min(times)


def _of_classes(model: Any, X: pd.DataFrame, y: np.ndarray) -> dict[str, Any]:
    classes = np.asarray(model.classes_)
    p, n = model.predict_proba(X), len(y)
    answers = classes[p.argmax(axis=1)]
    right = int((answers == y).sum())
    recall = {}
    for label in np.unique(y).tolist():
        rows = y == label
        recall[str(label)] = [int((answers[rows] == label).sum()), int(rows.sum())]
    there = np.isin(classes, y)
    auc = None
    if there.sum() > 1:
        q = p[:, there] / np.maximum(p[:, there].sum(axis=1, keepdims=True), 1e-300)
        auc = roc_auc_score(y, q[:, 1] if there.sum() == 2 else q, multi_class="ovr", labels=classes[there])
    return {
        "accuracy": right / n,
        "accuracy_interval": wilson(right, n),
        "auc": None if auc is None else float(auc),
        "log_loss": float(log_loss(y, p, labels=classes)),
        "recall": recall,
    }


def _of_numbers(predicted: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """R² and the mean absolute error, with the latter's 95 % interval by Student's t."""
    error = np.abs(predicted - y)
    half = stats.t.ppf(0.975, max(1, len(y) - 1)) * error.std(ddof=1) / np.sqrt(len(y)) if len(y) > 1 else np.nan
    total = float(((y - y.mean()) ** 2).sum())
    return {
        "r2": 1 - float(((predicted - y) ** 2).sum()) / total if total else float("nan"),
        "mae": float(error.mean()),
        "mae_interval": [float(error.mean() - half), float(error.mean() + half)],
    }


def format_figures(found: dict[str, Any]) -> str:
    """The costs, and below them what teacher, student and labels alone achieve."""
    achieved = found["achieved"]
    costs = [
        line
        for line in format_report(found).splitlines()
        if not line.startswith(("accuracy", "  95 %", "bytes in int8"))
    ]
    fast = [found[name]["rows_a_second"] for name in ("teacher", "student")]
    costs.append(f"{'rows a second':<24}{fast[0]:>16,.0f}{fast[1]:>16,.0f}{fast[1] / fast[0]:>10,.1f}")
    lines = ["", f"{'':<24}" + "".join(f"{name:>18}" for name in achieved)]

    def row(label: str, cells: list[str]) -> None:
        lines.append(f"{label:<24}" + "".join(f"{cell:>18}" for cell in cells))

    every = list(achieved.values())
    if "accuracy" in every[0]:
        row("accuracy", [f"{100 * e['accuracy']:.1f} %" for e in every])
        ends = [e["accuracy_interval"] for e in every]
        row("  95 % interval", [f"{100 * a:.1f} to {100 * b:.1f} %" for a, b in ends])
        row("AUC", ["-" if e["auc"] is None else f"{e['auc']:.3f}" for e in every])
        row("log-loss", [f"{e['log_loss']:.3f}" for e in every])
        for label in list(every[0]["recall"])[:20]:
            row(f"recall of {label}"[:23], [f"{a} of {b}" for a, b in (e["recall"][label] for e in every)])
    else:
        row("R²", [f"{e['r2']:.3f}" for e in every])
        row("mean absolute error", [f"{e['mae']:.4g}" for e in every])
        row("  95 % interval", ["{:.4g} to {:.4g}".format(*e["mae_interval"]) for e in every])
    return "\n".join([*costs, *lines])
