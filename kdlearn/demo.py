"""The main job: a real teacher makes a real student better, over paired seeds, with controls.

scikit-learn's digits. The teacher, 64-256-256-10, learns from 1097 labelled images. The student,
64-16-10, sees 100 of them: with their labels alone, or with the teacher's soft targets as well.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdlearn import metrics
from kdlearn.backend import to_device, to_numpy
from kdlearn.data import Data, digits
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.functional import softmax
from kdlearn.nn.network import MLP, Network
from kdlearn.nn.optim import Adam, cosine
from kdlearn.nn.stack import Stack
from kdlearn.objective import Objective
from kdlearn.study import Comparison, choose, compare, interval
from kdlearn.training import fit

LABELS = 100
TEMPERATURES = (1, 2, 4, 8, 20)
CONTROL_T = 4  # the temperature of the three controls, each to be read beside "soft targets, T = 4"
RATES = (0.01, 0.03)  # validation chooses one for each method
BASELINE = "labels alone"
CONTROLS = ("control: smoothed labels", "control: wrong classes permuted", "control: teacher of 100 labels")


def soft(T: float) -> str:
    """Name of the method that adds soft targets at temperature T."""
    return f"soft targets, T = {T:g}"


METHODS = (BASELINE, *(soft(T) for T in TEMPERATURES), *CONTROLS)


def train_teacher(train: Data, seed: int, device: str = "cpu") -> MLP:
    """64-256-256-10 with dropout 0.3, 30 epochs of Adam."""
    teacher = MLP(64, 256, 256, 10, dropout=0.3, seed=seed).to(device)
    fit(
        teacher, CrossEntropy("student.logits"), train, optimizer=Adam(3e-3), schedule=cosine,
        epochs=30, batch_size=64, seed=seed, progress=False,
    )  # fmt: skip
    return teacher


def train_students(
    data: Sequence[Data], objective: Objective, rate: float, seeds: Sequence[int], device: str = "cpu"
) -> Stack:
    """64-16-10, 100 epochs of Adam in batches of 50; the same whatever they learn from. All seeds train at once."""
    students = Stack([MLP(64, 16, 10, seed=1000 + seed) for seed in seeds]).to(device)
    fit(
        students, objective, data, optimizer=Adam(rate), schedule=cosine,
        epochs=100, batch_size=50, seed=seeds, progress=False,
    )  # fmt: skip
    return students


def train_student(train: Data, objective: Objective, rate: float, seed: int, device: str = "cpu") -> Network:
    """`train_students` of one seed."""
    return train_students([train], objective, rate, [seed], device)[0]


def lessons(
    few: Data, teacher_logits: np.ndarray, weak_logits: np.ndarray, seed: int
) -> dict[str, tuple[Objective, Data]]:
    """{method: (objective, data)}: what each student is taught, the three controls included.

    Every control is a column of soft labels; the objective does not change. A target
    distribution t at temperature T is the column `T log t`.
    """
    device_of_few = "cpu" if isinstance(few.x, np.ndarray) else "cuda"

    def with_logits(z: np.ndarray) -> Data:
        return few.with_columns({"teacher.logits": to_device(z.astype(np.float32), device_of_few)})

    def recipe(T: float) -> Objective:
        return 0.3 * CrossEntropy() + 0.7 * SoftTargets(T)

    taught = with_logits(teacher_logits)
    table: dict[str, tuple[Objective, Data]] = {BASELINE: (CrossEntropy(), few)}
    table |= {soft(T): (recipe(T), taught) for T in TEMPERATURES}
    smoothed = smooth_to_entropy(to_numpy(few.y), metrics.entropy(teacher_logits, CONTROL_T))
    columns = (CONTROL_T * np.log(smoothed), permute_wrong(teacher_logits, seed), weak_logits)
    table |= {name: (recipe(CONTROL_T), with_logits(z)) for name, z in zip(CONTROLS, columns)}
    return table


def smooth_to_entropy(y: np.ndarray, target: float, K: int = 10) -> np.ndarray:
    """Smoothed one-hot rows (N, K) whose entropy is `target` nats."""
    from scipy.optimize import brentq

    def rows(eps: float) -> np.ndarray:
        return (1 - eps) * np.eye(K) + eps / K

    eps = brentq(lambda e: metrics.entropy(np.log(rows(e)[:1])) - target, 1e-9, 1.0)
    return rows(eps)[y]


def permute_wrong(z: np.ndarray, seed: int) -> np.ndarray:
    """Each row's logits with all but the largest shuffled: the same confidence, no similarity."""
    rng, z = np.random.default_rng(seed), z.copy()
    for row in z:
        others = np.flatnonzero(np.arange(len(row)) != row.argmax())
        row[others] = row[rng.permutation(others)]
    return z


def run_seeds(seeds: Sequence[int], device: str = "cpu") -> dict[str, dict[str, list[float]]]:
    """Teach every student of these seeds; {"teacher" and "method @ rate": metrics in percent or nats, one a seed}."""
    tables, held, rows = [], [], []
    for seed in seeds:
        train, validation, test = (part.to(device) for part in digits(seed))
        few = train.take(slice(0, LABELS))
        teacher, weak = train_teacher(train, seed, device), train_teacher(few, seed, device)
        held.append((validation, test, teacher.logits(test.x)))
        rows.append({"teacher": _measure(teacher, *held[-1])})
        tables.append(lessons(few, to_numpy(teacher.logits(few.x)), to_numpy(weak.logits(few.x)), seed))
    for method, rate in itertools.product(METHODS, RATES):
        students = train_students([t[method][1] for t in tables], tables[0][method][0], rate, seeds, device)
        for row, student, parts in zip(rows, students, held):
            row[f"{method} @ {rate}"] = _measure(student, *parts)
    return {method: {k: [row[method][k] for row in rows] for k in values} for method, values in rows[0].items()}


def _measure(net: Network, validation: Data, test: Data, teacher_logits: Any) -> dict[str, float]:
    z = net.logits(test.x)
    return {
        "validation": 100 * metrics.accuracy(net.logits(validation.x), validation.y),
        "accuracy": 100 * metrics.accuracy(z, test.y),
        "agreement": 100 * metrics.agreement(z, teacher_logits),
        "nll": metrics.negative_log_likelihood(z, test.y),
        "ece": metrics.calibration_error(z, test.y),
    }


def study(seeds: int = 20, seed: int = 0, device: str = "cpu", progress: bool | None = None) -> Comparison:
    """The whole comparison: each method at the rate that validation chose, test looked at for that one."""
    run = functools.partial(run_seeds, device=device)
    raw = compare(run, range(seed, seed + seeds), jobs=None if device == "cpu" else 1, progress=progress)
    chosen = choose(raw, {m: [f"{m} @ {rate}" for rate in RATES] for m in METHODS}, "validation")
    results = {"teacher": raw.results["teacher"]} | {m: raw.results[chosen[m]] for m in METHODS}
    return Comparison(results, BASELINE)


def latency(net: MLP, device: str = "cpu", repeats: int = 2000) -> float:
    """Median microseconds of one prediction for one image."""
    x = to_device(np.zeros((1, net.sizes[0]), np.float32), device)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        to_numpy(net.logits(x))
        times.append(time.perf_counter() - began)
    return 1e6 * float(np.median(times))


def report(result: Comparison, device: str = "cpu") -> dict[str, Any]:
    """The study as plain data: one entry a method."""
    nets = {"teacher": MLP(64, 256, 256, 10).to(device), "student": MLP(64, 16, 10).to(device)}
    sizes = {name: (net.theta.size, latency(net, device)) for name, net in nets.items()}
    rows = {}
    for method, values in result.results.items():
        parameters, microseconds = sizes["teacher" if method == "teacher" else "student"]
        difference = None if method in ("teacher", BASELINE) else result.difference(method, "accuracy")
        rows[method] = {
            **{metric: float(values[metric].mean()) for metric in ("accuracy", "agreement", "nll", "ece")},
            "difference": None if difference is None else difference.mean,
            "half_width": None if difference is None else difference.half_width,
            "parameters": parameters,
            "latency_us": microseconds,
        }
    return {"seeds": len(result.results[BASELINE]["accuracy"]), "device": device, "methods": rows}


def format_table(data: dict[str, Any]) -> str:
    """The report as text."""
    head = f"{'':<32}{'accuracy':>9}{'difference':>16}{'agree':>8}{'NLL':>7}{'ECE':>7}{'params':>8}{'latency':>10}"
    lines = [head]
    for method, row in data["methods"].items():
        difference = "" if row["difference"] is None else f"{row['difference']:+.1f} ± {row['half_width']:.1f}"
        lines.append(
            f"{method:<32}{row['accuracy']:>8.1f}%{difference:>16}{row['agreement']:>7.1f}%{row['nll']:>7.2f}"
            f"{row['ece']:>7.3f}{row['parameters']:>8,}{row['latency_us']:>7.0f} us"
        )
    return "\n".join(lines)


def figure(result: Comparison, seed: int = 0) -> Any:
    """One image with its hard and soft labels, and accuracy against temperature."""
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_digits

    from kdlearn import plots

    train, _, _ = digits(seed)
    teacher = train_teacher(train, seed)
    few = train.take(slice(0, LABELS))
    z = teacher.logits(few.x)
    row = int(np.argsort(np.sort(softmax(z), axis=1)[:, -2])[-1])  # the image the teacher doubts most
    fig = plt.figure(figsize=(11, 6), layout="constrained")
    top, bottom = np.asarray(fig.subfigures(2, 1, height_ratios=[1, 1.5]))
    axes = top.subplots(1, 5, width_ratios=[0.8, 1, 1, 1, 1])
    plots.image(load_digits().images[few["row"][row]], ax=axes[0], title="an image")
    plots.probabilities(np.eye(10)[few.y[row]], color=plots.LABEL, ax=axes[1]).set_title("its hard label", fontsize=10)
    for ax, T in zip(axes[2:], (1, 4, 20)):
        plots.probabilities(softmax(z[row : row + 1], T)[0], ax=ax).set_title(f"its soft label, T = {T}", fontsize=10)
    for ax in axes[2:]:
        ax.set(ylabel="", yticklabels=[])
    plots.accuracy_by_temperature(
        {T: interval(result.results[soft(T)]["accuracy"]) for T in TEMPERATURES},
        result.mean(BASELINE, "accuracy"),
        teacher=float(result.results["teacher"]["accuracy"].mean()),
        ax=bottom.subplots(),
    ).set_title(f"a 1,210-parameter student taught with {LABELS} images (95 % intervals over seeds)", fontsize=11)
    return fig
