"""What two models cost and what they achieve, side by side."""

from __future__ import annotations

import math
import pickle
import time
from typing import Any

import numpy as np

from kdlearn.export.plan import network_of, plan
from kdlearn.nn.layers import Linear

REPEATS, SECONDS = 1000, 1.0  # of timing one row: as many as this, or as long as that


def report(student: Any, teacher: Any, x_test: Any = None, y_test: Any = None) -> dict[str, Any]:
    """Size, work and speed of a student and its teacher, and with test rows what they achieve.

    Parameters
    ----------
    student, teacher : networks, fitted `DistilledClassifier`s, or any scikit-learn classifiers.
    x_test : (N, D) rows that both take as they are; also the rows that are timed.
    y_test : (N,) labels, as the models' `predict` gives them.

    Returns
    -------
    {"rows": N or None, "agreement": share of equal answers or None,
    "student": entry, "teacher": entry}. An entry holds

    - parameters, multiply_adds: numbers in the network, and products in its linear layers for one
      row; None for other models.
    - bytes: of the parameters in float32; of the pickle for other models. bytes_int8: weights in
      int8 with a float32 scale for each output unit, and float32 biases; None for other models.
    - latency_us: {"p50", "p95", "p99", "repeats"} of one row, in microseconds, through
      `predict_proba` (`predict` where there is none), checks of the input included.
    - accuracy, and its 95 % Wilson interval, or None.
    """
    if y_test is not None and x_test is None:
        raise ValueError("y_test needs x_test")
    answers = {}
    result: dict[str, Any] = {"rows": None, "agreement": None}
    if x_test is not None:
        x_test = np.asarray(x_test)
        if y_test is not None and len(y_test) != len(x_test):
            raise ValueError(f"x_test has {len(x_test)} rows, y_test {len(y_test)}")
        result["rows"] = len(x_test)
    for name, model in (("student", student), ("teacher", teacher)):
        entry = _sizes(model)
        entry["latency_us"] = _latency(model, _one_row(model) if x_test is None else x_test)
        entry["accuracy"] = entry["accuracy_interval"] = None
        if x_test is not None:
            answers[name] = np.asarray(model.predict(x_test))
            if y_test is not None:
                right = int((answers[name] == np.asarray(y_test)).sum())
                entry["accuracy"] = right / len(x_test)
                entry["accuracy_interval"] = wilson(right, len(x_test))
        result[name] = entry
    if answers:
        result["agreement"] = float((answers["student"] == answers["teacher"]).mean())
    return result


def format_report(data: dict[str, Any]) -> str:
    """The report as a table."""
    teacher, student = data["teacher"], data["student"]
    rows = [("", "teacher", "student", "ratio")]

    def compare(label: str, t: Any, s: Any, show: Any, ratio: bool = False) -> None:
        known = ratio and None not in (t, s)
        rows.append((label, show(t), show(s), f"{t / s:,.1f}" if known else ""))

    for label, key in (
        ("parameters", "parameters"),
        ("multiply-adds a row", "multiply_adds"),
        ("bytes", "bytes"),
        ("bytes in int8", "bytes_int8"),
    ):
        compare(label, teacher[key], student[key], lambda n: "-" if n is None else f"{n:,}", ratio=True)
    for q in ("p50", "p95", "p99"):
        t, s = teacher["latency_us"][q], student["latency_us"][q]
        compare(f"latency of one row, {q}", t, s, lambda us: f"{us:,.0f} us", ratio=q == "p50")
    if student["accuracy"] is not None:
        compare("accuracy", teacher["accuracy"], student["accuracy"], lambda a: f"{100 * a:.1f} %")
        intervals = teacher["accuracy_interval"], student["accuracy_interval"]
        compare("  95 % interval", *intervals, lambda ends: f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %")
    if data["agreement"] is not None:
        rows.append(("agreement", "", f"{100 * data['agreement']:.1f} %", ""))
    return "\n".join(f"{a:<24}{b:>16}{c:>16}{d:>10}".rstrip() for a, b, c, d in rows)


def _sizes(model: Any) -> dict[str, Any]:
    net = network_of(model)
    if net is None:
        return {"parameters": None, "multiply_adds": None, "bytes": _pickle_bytes(model), "bytes_int8": None}
    products = sum(math.prod(layer.shapes["W"]) for layer in net.layers if isinstance(layer, Linear))
    weights = [layer.shapes[name] for layer in net.layers for name in layer.weights]
    n_weights, n_units = sum(map(math.prod, weights)), sum(shape[-1] for shape in weights)
    return {
        "parameters": net.theta.size,
        "multiply_adds": products,
        "bytes": 4 * net.theta.size,
        "bytes_int8": n_weights + 4 * n_units + 4 * (net.theta.size - n_weights),
    }


class _Counter:
    """A file that only counts."""

    def __init__(self) -> None:
        self.total = 0

    def write(self, data: Any) -> int:
        n = memoryview(data).nbytes
        self.total += n
        return n


def _pickle_bytes(model: Any) -> int:
    counter = _Counter()
    pickle.dump(model, counter, protocol=5)
    return counter.total


def _one_row(model: Any) -> np.ndarray:
    net = network_of(model)
    if net is None:
        if not hasattr(model, "n_features_in_"):
            raise ValueError(f"{type(model).__name__} does not say how many features it takes: give x_test")
        return np.zeros((1, model.n_features_in_), np.float32)
    steps = plan(net)
    return np.zeros((1, steps.n_in), np.int64 if steps.takes_tokens else np.float32)


def _latency(model: Any, x: np.ndarray) -> dict[str, Any]:
    answer = getattr(model, "predict_proba", model.predict)
    for row in range(5):
        answer(x[row % len(x)][None])
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    while len(times) < 20 or (len(times) < REPEATS and time.perf_counter() < until):
        row = x[len(times) % len(x)][None]
        began = time.perf_counter()
        answer(row)
        times.append(time.perf_counter() - began)
    p50, p95, p99 = (1e6 * np.percentile(times, (50, 95, 99))).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "repeats": len(times)}


def wilson(right: int, n: int, z: float = 1.959964) -> list[float]:
    """Interval of a proportion (Wilson 1927): it stays in [0, 1], and has a width at 0 and at 1."""
    p = right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [max(0.0, centre - half), min(1.0, centre + half)]
