"""What two models cost and what they achieve, side by side."""

from __future__ import annotations

import math
import pickle
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kdlearn.cells import is_missing, nan_for_na, unknown_said
from kdlearn.export.parts import network_of, output_width
from kdlearn.export.saved import save
from kdlearn.export.transformers import NotPlain
from kdlearn.nn.layers import Linear
from kdlearn.nn.network import Network

REPEATS, SECONDS = 1000, 1.0  # of timing one row: as many as this, or as long as that
BATCH = 1000  # rows of one call, for the throughput
RESAMPLES = 1000  # of the bootstrap


def report(student: Any, teacher: Any, x_test: Any = None, y_test: Any = None) -> dict[str, Any]:
    """Size, work and speed of a student and its teacher, and with test rows what they achieve.

    Parameters
    ----------
    student, teacher : networks (one of one output is a regressor), fitted distilled estimators, or any scikit-learn
        classifiers or regressors.
    x_test : (N, D) rows, an array or a frame, that both take (NaN for pandas' NA); also the rows that are timed.
    y_test : (N,) labels or targets, as the models' `predict` gives them; ValueError where one is missing.

    Returns
    -------
    {"rows": N or None, "task": "classes" or "numbers", "agreement": share of equal answers, or None, "difference": of
    regressors the mean absolute difference of the answers, or None, "student": entry, "teacher": entry}. An entry holds

    - parameters, multiply_adds: numbers in the network, and products in its linear layers for one
      row; None for other models.
    - bytes: of the parameters in float32; of the pickle for other models. bytes_int8: weights in
      int8 with a float32 scale for each output unit, and float32 biases; None for other models.
    - file_bytes: what lies on the disk: the file of `kd.save`, the pickle of other models.
    - door: "estimator" (scikit-learn's checks of the input included) or "network" (none).
    - latency_us: {"p50", "p95", "p99", "repeats"} of one row, in microseconds, through
      `predict_proba` (`predict` of regressors, and where there is none).
    - rows_per_s: through the same door, 1000 rows a call.
    - accuracy, and its 95 % Wilson interval; of regressors r2 and mae, of several outputs their mean, with 95 %
      intervals by bootstrap over rows (Efron 1979, percentiles of 1000 resamples); or None. An output that is one
      number in all rows has no r2.
    """
    if y_test is not None and x_test is None:
        raise ValueError("y_test needs x_test")
    if teacher is None:
        raise TypeError("teacher is None, as teacher_ is where labels alone won: give the model to compare with")
    models = {"student": student, "teacher": teacher}
    tasks = {name: "numbers" if _is_regressor(model) else "classes" for name, model in models.items()}
    if len(set(tasks.values())) > 1:
        raise TypeError("one of the two models is a regressor, the other a classifier")
    task = tasks["student"]
    if task == "classes":
        _check_classes(student, teacher)
    answers = {}
    result: dict[str, Any] = {"rows": None, "task": task, "agreement": None, "difference": None}
    if x_test is not None:
        x_test = x_test if hasattr(x_test, "iloc") else np.asarray(x_test)
        if y_test is not None and len(y_test) != len(x_test):
            raise ValueError(f"x_test has {len(x_test)} rows, y_test {len(y_test)}")
        result["rows"] = len(x_test)
        if not len(x_test):
            raise ValueError("x_test has no rows: give some, or leave it out")
    if y_test is not None:
        gaps = sum(map(is_missing, np.asarray(y_test).ravel().tolist()))
        if gaps:
            raise ValueError(f"y_test is missing (NaN) in {gaps} places: leave these rows out")
    for name, model in models.items():
        entry = _sizes(model)
        entry["door"] = "network" if isinstance(model, Network) else "estimator"
        rows = _one_row(model) if x_test is None else x_test
        if hasattr(rows, "iloc") and not hasattr(model, "student_"):  # ours read NA themselves
            rows = nan_for_na(rows)
        with unknown_said():
            entry["latency_us"], entry["rows_per_s"] = _latency(model, rows), _throughput(model, rows)
        entry |= dict.fromkeys(("accuracy", "accuracy_interval", "r2", "r2_interval", "mae", "mae_interval"))
        if x_test is not None:
            answers[name] = np.asarray(model.predict(rows))
            if y_test is not None:
                entry |= achieved(task, answers[name], np.asarray(y_test))
        result[name] = entry
    if answers:
        a, b = answers["student"], answers["teacher"]
        a, b = comparable(task, a, b, "the student's answers", "the teacher's")
        if task == "classes":
            result["agreement"] = float((a == b).mean())
        else:
            result["difference"] = float(np.abs(a - b).mean())
    return result


def format_report(data: dict[str, Any]) -> str:
    """The report as a table. A ratio is how many times less the student costs, or more it answers; below 1 it is worse.

    A ratio of times stands only where both models answer through the same door.
    """
    teacher, student = data["teacher"], data["student"]
    rows = [("", "teacher", "student", "ratio")]
    same_door = teacher["door"] == student["door"]

    def compare(label: str, t: Any, s: Any, show: Any, ratio: bool = False, larger_is_better: bool = False) -> None:
        gain = ""
        if ratio and None not in (t, s):
            good, bad = (s, t) if larger_is_better else (t, s)
            times = good / max(bad, 1e-30)
            gain = f"{times:,.1f}" if times >= 0.95 else f"{times:.2g}"
        rows.append((label, show(t), show(s), gain))

    def count(n: Any) -> str:
        return "-" if n is None else f"{n:,}"

    compare("parameters", teacher["parameters"], student["parameters"], count, ratio=True)
    compare("multiply-adds a row", teacher["multiply_adds"], student["multiply_adds"], count, ratio=True)
    compare("file on disk, bytes", teacher["file_bytes"], student["file_bytes"], count, ratio=True)
    in_float = [None if model["parameters"] is None else model["bytes"] for model in (teacher, student)]
    compare("weights in float32", in_float[0], in_float[1], count)
    compare("weights in int8", teacher["bytes_int8"], student["bytes_int8"], count)
    for q in ("p50", "p95", "p99"):
        t, s = teacher["latency_us"][q], student["latency_us"][q]
        compare(f"latency of one row, {q}", t, s, lambda us: f"{us:,.0f} us", ratio=same_door and q == "p50")
    speeds = teacher["rows_per_s"], student["rows_per_s"]
    compare(f"rows a second, by {BATCH}", *speeds, lambda n: f"{n:,.0f}", same_door, larger_is_better=True)
    if student["accuracy"] is not None:
        compare("accuracy", teacher["accuracy"], student["accuracy"], lambda a: f"{100 * a:.1f} %")
        intervals = teacher["accuracy_interval"], student["accuracy_interval"]
        compare("  95 % interval", *intervals, lambda ends: f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %")
    for key, label in (("r2", "R2"), ("mae", "mean absolute error")):
        if student[key] is not None:
            compare(label, teacher[key], student[key], lambda v: f"{v:.4g}")
            intervals = teacher[key + "_interval"], student[key + "_interval"]
            compare("  95 % interval", *intervals, lambda ends: f"{ends[0]:.4g} to {ends[1]:.4g}")
    if data["agreement"] is not None:
        rows.append(("agreement", "", f"{100 * data['agreement']:.1f} %", ""))
    elif data["difference"] is not None:
        rows.append(("mean absolute difference", "", f"{data['difference']:.4g}", ""))
    width = max(16, 2 + max(len(cell) for _, *cells, _ in rows for cell in cells))  # an interval may be longer
    table = "\n".join(f"{a:<24}{b:>{width}}{c:>{width}}{d:>10}".rstrip() for a, b, c, d in rows)
    return table if same_door else table + "\nOne is timed as a bare network, the other behind an estimator's checks."


def _is_regressor(model: Any) -> bool:
    if hasattr(model, "__sklearn_tags__"):
        from sklearn.base import is_regressor

        return is_regressor(model)
    net = network_of(model)
    return net is not None and (output_width(net) == 1 or hasattr(model, "target_mean_"))


def _check_classes(student: Any, teacher: Any) -> None:
    """ValueError where both know as many labels, and others, as where one was taught the codes 0 … K-1 of labels."""
    known = [np.asarray(getattr(model, "classes_", ())).tolist() for model in (student, teacher)]
    kinds = [all(isinstance(label, (int, float)) for label in labels) for labels in known]
    if all(kinds) and len(known[0]) == len(known[1]) > 0 and set(known[0]) != set(known[1]):
        raise ValueError(
            f"the student answers {known[0]}, the teacher {known[1]}: as codes of labels they cannot be compared; "
            "teach both the same labels"
        )


def comparable(task: str, a: np.ndarray, b: np.ndarray, of_a: str, of_b: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,), or numbers (N, M) as floats, of one form; ValueError where broadcasting, or texts beside numbers,
    would make a number of what cannot be compared."""
    if task != "classes":
        a, b = (v.reshape(len(v), -1).astype(np.float64) for v in (a, b))
    if a.shape != b.shape or (task == "classes" and a.ndim != 1):
        raise ValueError(f"{of_a} have shape {a.shape}, {of_b} {b.shape}")
    texts = [v.size > 0 and all(isinstance(label, str) for label in v.ravel().tolist()) for v in (a, b)]
    if texts[0] != texts[1]:
        raise ValueError(f"one of {of_a} and {of_b} are texts: {a.tolist()[0]!r} is not {b.tolist()[0]!r}")
    return a, b


def achieved(task: str, answer: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Accuracy, or R2 and the mean absolute error, with their 95 % intervals, of a model's answers."""
    answer, y = comparable(task, answer, y, "the answers", "y_test")
    if task == "classes":
        right = int((answer == y).sum())
        return {"accuracy": right / len(y), "accuracy_interval": wilson(right, len(y))}

    def both(rows: Any) -> tuple[float, float]:
        off, spread = answer[rows] - y[rows], y[rows] - y[rows].mean(axis=0)
        total = (spread**2).sum(axis=0)
        r2 = 1 - (off**2).sum(axis=0)[total > 0] / total[total > 0]
        return float(r2.mean()) if len(r2) else math.nan, float(np.abs(off).mean())

    rng = np.random.default_rng(0)
    again = np.array([both(rng.integers(0, len(y), len(y))) for _ in range(RESAMPLES)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # no resample has an R2, and no interval either
        low, high = np.nanpercentile(again, (2.5, 97.5), axis=0)
    r2, mae = both(slice(None))
    ends = [[float(a), float(b)] for a, b in zip(low, high)]
    return {"r2": r2, "r2_interval": ends[0], "mae": mae, "mae_interval": ends[1]}


def _sizes(model: Any) -> dict[str, Any]:
    net = network_of(model)
    if net is None:
        size = _pickle_bytes(model)
        return {"parameters": None, "multiply_adds": None, "bytes": size, "bytes_int8": None, "file_bytes": size}
    products = sum(math.prod(layer.shapes["W"]) for layer in net.layers if isinstance(layer, Linear))
    weights = [layer.shapes[name] for layer in net.layers for name in layer.weights]
    n_weights, n_units = sum(map(math.prod, weights)), sum(shape[-1] for shape in weights)
    return {
        "parameters": net.theta.size,
        "multiply_adds": products,
        "bytes": 4 * net.theta.size,
        "bytes_int8": n_weights + 4 * n_units + 4 * (net.theta.size - n_weights),
        "file_bytes": _file_bytes(model),
    }


def _file_bytes(model: Any) -> int:
    """Of what `kd.save` writes; of the pickle, where the model cannot be saved."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            save(Path(folder, "model.npz"), model)
        except (NotPlain, TypeError):
            return _pickle_bytes(model)
        return Path(folder, "model.npz").stat().st_size


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
    if not isinstance(model, Network) and not hasattr(model, "n_features_in_"):
        raise ValueError(f"{type(model).__name__} does not say how many features it takes: give x_test")
    if net is None or not isinstance(model, Network):
        return np.zeros((1, model.n_features_in_), np.float32)
    from kdlearn.export.plan import plan

    steps = plan(net)
    return np.zeros((1, steps.n_in), np.int64 if steps.takes_tokens else np.float32)


def _take(x: Any, rows: Any) -> Any:
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


def _answer(model: Any) -> Any:
    return model.predict if _is_regressor(model) else getattr(model, "predict_proba", model.predict)


def _latency(model: Any, x: Any) -> dict[str, Any]:
    answer, rows = _answer(model), [_take(x, [i]) for i in range(min(len(x), REPEATS))]
    for row in rows[:5]:
        answer(row)
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    while len(times) < 20 or (len(times) < REPEATS and time.perf_counter() < until):
        row = rows[len(times) % len(rows)]
        began = time.perf_counter()
        answer(row)
        times.append(time.perf_counter() - began)
    p50, p95, p99 = (1e6 * np.percentile(times, (50, 95, 99))).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "repeats": len(times)}


def _throughput(model: Any, x: Any) -> float:
    """Rows a second of the quickest of three calls or more with 1000 rows."""
    answer, rows = _answer(model), _take(x, np.arange(BATCH) % len(x))
    best, until = math.inf, time.perf_counter() + SECONDS / 4
    for repeat in range(100):
        if repeat >= 3 and time.perf_counter() > until:
            break
        began = time.perf_counter()
        answer(rows)
        best = min(best, time.perf_counter() - began)
    return BATCH / best


def wilson(right: int, n: int, z: float = 1.959964) -> list[float]:
    """Interval of a proportion (Wilson 1927): it stays in [0, 1], and has a width at 0 and at 1.

    ValueError unless it is `right` of n rows, of which there is one at least.
    """
    if not 0 <= right <= n or n < 1:
        raise ValueError(f"a proportion is 0 to n of n rows, n at least 1, got {right} of {n}")
    p = right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [max(0.0, centre - half), min(1.0, centre + half)]
