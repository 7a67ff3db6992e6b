"""The main job: does a real teacher make a real student better than labels alone can?

scikit-learn's digits. The teacher, 64-256-256-10, learns from 1097 labelled images. The student,
64-16-10, sees 100 of them: with their labels alone, or with the teacher's soft targets as well.
Labels alone are tuned as much as every other arm, and may train three times as long.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kdlearn import metrics
from kdlearn.backend import to_device, to_numpy
from kdlearn.data import Data, digits
from kdlearn.distill.response import CrossEntropy, SoftTargets
from kdlearn.nn.functional import softmax
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Adam, AdamW, cosine
from kdlearn.nn.stack import Stack
from kdlearn.objective import Objective
from kdlearn.study import Trial, sweep, trial
from kdlearn.training import fit

LABELS = 100
BASELINE, SOFT = "labels alone", "soft targets"
PERMUTED, WEAK = "control: wrong classes permuted", "control: teacher of 100 labels"
GRIDS: dict[str, dict[str, list]] = {  # as many settings for each arm
    BASELINE: {"rate": [0.03, 0.1], "decay": [0.3, 1.0], "epochs": [100, 300]},
    SOFT: {"T": [2, 4, 8, 16], "decay": [0.3, 1.0]},
    PERMUTED: {"T": [2, 4, 8, 16], "decay": [0.3, 1.0]},
    WEAK: {"T": [2, 4, 8, 16], "decay": [0.3, 1.0]},
}
WIDEN = 2  # settings that an arm may add where its choice lies on an edge
LIMITS = {"epochs": (100, 300), "T": (1, 64)}  # at T = 1 this teacher's answers are nearly the labels
SEEDS = 12
ZONE = 0.5  # points of accuracy in which nothing is claimed

split = functools.lru_cache(maxsize=64)(digits)  # each setting of each arm asks for it


class Answers(NamedTuple):
    """Logits of one seed's teachers: of the 100 images that teach, and of those held out."""

    few: np.ndarray
    weak: np.ndarray  # of the 100 images, by the teacher that saw no others
    validation: np.ndarray
    test: np.ndarray


class Study(NamedTuple):
    """What the demo found: the trial, and the teachers' answers {seed: Answers}."""

    trial: Trial
    answers: dict[int, Answers]


def train_teacher(train: Data, seed: int, device: str = "cpu") -> MLP:
    """64-256-256-10 with dropout 0.3, 30 epochs of Adam."""
    teacher = MLP(64, 256, 256, 10, dropout=0.3, seed=seed).to(device)
    fit(
        teacher, CrossEntropy("student.logits"), train, optimizer=Adam(3e-3), schedule=cosine,
        epochs=30, batch_size=64, seed=seed, progress=False,
    )  # fmt: skip
    return teacher


def train_students(
    data: Sequence[Data], objective: Objective, rate: float, seeds: Sequence[int], device: str = "cpu",
    decay: float = 0.0, epochs: int = 100,
) -> Stack:  # fmt: skip
    """64-16-10, AdamW in batches of 50; the same whatever they learn from. All seeds train at once."""
    students = Stack([MLP(64, 16, 10, seed=1000 + seed) for seed in seeds]).to(device)
    fit(
        students, objective, data, optimizer=AdamW(rate, weight_decay=decay), schedule=cosine,
        epochs=epochs, batch_size=50, seed=seeds, progress=False,
    )  # fmt: skip
    return students


def ask_teachers(seed: int, device: str = "cpu") -> Answers:
    """Train both teachers of a seed, and keep what they answer."""
    train, validation, test = (part.to(device) for part in split(seed))
    few = train.take(slice(0, LABELS))
    teacher, weak = train_teacher(train, seed, device), train_teacher(few, seed, device)
    asked = ((teacher, few), (weak, few), (teacher, validation), (teacher, test))
    return Answers(*(to_numpy(net.logits(rows.x)) for net, rows in asked))


def soft_labels(arm: str, answers: Answers, seed: int) -> np.ndarray:
    """The column `teacher.logits` (N, K) of an arm: every control is a column, and the objective does not change."""
    if arm == PERMUTED:
        return permute_wrong(answers.few, seed)
    return {SOFT: answers.few, WEAK: answers.weak}[arm]


def permute_wrong(z: np.ndarray, seed: int) -> np.ndarray:
    """Each row's logits with all but the largest shuffled: the same confidence, no similarity."""
    rng, z = np.random.default_rng(seed), z.copy()
    for row in z:
        others = np.flatnonzero(np.arange(len(row)) != row.argmax())
        row[others] = row[rng.permutation(others)]
    return z


def learn(
    seeds: Sequence[int], part: str, decay: float, rate: float = 0.1, epochs: int = 100, T: float = 1.0, *,
    arm: str, answers: dict[int, Answers], device: str = "cpu",
) -> dict[str, list[float]]:  # fmt: skip
    """Teach the students of one arm at one setting, and measure them on `part`: what `kd.study.trial` asks for."""
    few = [split(seed).train.take(slice(0, LABELS)) for seed in seeds]
    objective: Objective = CrossEntropy()
    if arm != BASELINE:
        objective = 0.3 * CrossEntropy() + 0.7 * SoftTargets(T)
        columns = [{"teacher.logits": soft_labels(arm, answers[seed], seed)} for seed in seeds]
        few = [rows.with_columns(column) for rows, column in zip(few, columns)]
    students = train_students([rows.to(device) for rows in few], objective, rate, seeds, device, decay, epochs)
    held = [getattr(split(seed), part) for seed in seeds]
    z = to_numpy(students.logits(to_device(np.stack([rows.x for rows in held]), device)))
    teachers = [getattr(answers[seed], part) for seed in seeds]
    each = [measure(*own) for own in zip(z, [rows.y for rows in held], teachers)]
    return {metric: [m[metric] for m in each] for metric in each[0]}


def measure(z: np.ndarray, y: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
    """Accuracy and agreement in percent, NLL in nats, calibration error."""
    return {
        "accuracy": 100 * metrics.accuracy(z, y),
        "agreement": 100 * metrics.agreement(z, teacher),
        "nll": metrics.negative_log_likelihood(z, y),
        "ece": metrics.calibration_error(z, y),
    }


def study(seeds: int = SEEDS, seed: int = 0, device: str = "cpu", progress: bool | None = None) -> Study:
    """The whole comparison: every arm tuned on validation rows over a grid of one size, test rows read once."""
    which, jobs = range(seed, seed + seeds), None if device == "cpu" else 1
    ask = functools.partial(ask_teachers, device=device)
    answers = dict(zip(which, sweep(ask, [{"seed": s} for s in which], jobs, progress)))
    arms = {arm: (functools.partial(learn, arm=arm, answers=answers, device=device), GRIDS[arm]) for arm in GRIDS}
    found = trial(arms, BASELINE, which, zone=ZONE, widen=WIDEN, limits=LIMITS, jobs=jobs, progress=progress)
    return Study(found, answers)


def report(result: Study) -> dict[str, Any]:
    """The study as plain data: one entry for the teacher and for each arm."""
    teachers = [measure(a.test, split(seed).test.y, a.test) for seed, a in result.answers.items()]
    rows: dict[str, dict[str, Any]] = {
        "teacher": {m: float(np.mean([t[m] for t in teachers])) for m in teachers[0]}
        | {"parameters": MLP(64, 256, 256, 10).theta.size}
    }
    found, judged = result.trial, result.trial.verdicts()
    for arm, values in found.results.items():
        rows[arm] = {m: float(v.mean()) for m, v in values.items()}
        rows[arm] |= {"parameters": MLP(64, 16, 10).theta.size, "chosen": found.chosen[arm], "tried": found.tried[arm]}
        if arm != BASELINE:
            difference, p, word = judged[arm, BASELINE]
            rows[arm] |= {"difference": difference.mean, "half_width": difference.half_width, "p": p, "verdict": word}
    return {"seeds": len(result.answers), "methods": rows}


def format_table(data: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"{'':<33}{'chosen':<32}{'accuracy':>8}{'difference':>14} {'':<10}{'agree':>6}{'NLL':>7}{'ECE':>7}"]
    for method, row in data["methods"].items():
        chosen = ", ".join(f"{name} {value:g}" for name, value in row.get("chosen", {}).items())
        difference = f"{row['difference']:+.1f} ± {row['half_width']:.1f}" if "difference" in row else ""
        lines.append(
            f"{method:<33}{chosen:<32}{row['accuracy']:>7.1f}%{difference:>14} {row.get('verdict', ''):<10}"
            f"{row['agreement']:>5.1f}%{row['nll']:>7.2f}{row['ece']:>7.3f}"
        )
    return "\n".join(lines)


def figure(result: Study) -> Any:
    """One image with its hard and soft labels, and what each arm gains over labels alone."""
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_digits

    from kdlearn import plots

    seed, answers = next(iter(result.answers.items()))
    few, z = split(seed).train.take(slice(0, LABELS)), answers.few
    row = int(np.argsort(np.sort(softmax(z), axis=1)[:, -2])[-1])  # the image the teacher doubts most
    fig = plt.figure(figsize=(11, 5.4), layout="constrained")
    top, bottom = np.asarray(fig.subfigures(2, 1, height_ratios=[1, 1.1]))
    axes = top.subplots(1, 5, width_ratios=[0.8, 1, 1, 1, 1])
    plots.image(load_digits().images[few["row"][row]], ax=axes[0], title="an image")
    plots.probabilities(np.eye(10)[few.y[row]], color=plots.LABEL, ax=axes[1]).set_title("its hard label", fontsize=10)
    for ax, T in zip(axes[2:], (1, 4, 16)):
        plots.probabilities(softmax(z[row : row + 1], T)[0], ax=ax).set_title(f"its soft label, T = {T}", fontsize=10)
    for ax in axes[2:]:
        ax.set(ylabel="", yticklabels=[])
    gain, ax = result.trial.difference(SOFT), result.trial.plot(ax=bottom.subplots())
    for i, arm in enumerate(a for a in result.trial.results if a != BASELINE):
        d = result.trial.difference(arm)
        ax.annotate(f"{d.mean:+.1f} ± {d.half_width:.1f}", (d.mean, i), (0, 8), textcoords="offset points", ha="center")
    ax.set_title(
        f"Soft labels add {gain.mean:.1f} points to a 1,210-parameter student with {LABELS} images", fontsize=11
    )
    ax.set_xlabel(f"test accuracy, points above labels alone at their best setting (95 % intervals, {gain.n} seeds)")
    return fig
