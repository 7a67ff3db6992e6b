"""The last part of a fit: one network, trained on a lesson in the way that was chosen."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from kdlearn.data import Data
from kdlearn.estimators.contest import Choice
from kdlearn.estimators.lesson import Lesson
from kdlearn.estimators.reading import Reading
from kdlearn.estimators.watch import InOrder, Watch
from kdlearn.evaluation import evaluate
from kdlearn.history import DivergenceError, History
from kdlearn.nn.layers import Linear
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Optimizer, Schedule
from kdlearn.objective import Objective
from kdlearn.step import train_step
from kdlearn.training import fit

ROUNDING = 1e-9  # between standardised rows


class Training(Reading):
    """One training; what classifier and regressor differ in is asked of them."""

    _classifies = False
    loss_: float
    loss_curve_: list[float]
    student_: MLP
    _rule: Optimizer

    def _outputs(self) -> int:
        raise NotImplementedError

    def _columns(self, target: np.ndarray, n: int, answer: np.ndarray | None) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _losses(self, T: float | None) -> tuple[Objective, Objective]:
        """Of the labels, and of the teacher's answers at this temperature."""
        raise NotImplementedError

    def _objective(self, choice: Choice) -> Objective:
        labels, soft = self._losses(choice.temperature)
        if choice.soft_weight == 0:
            return labels * "labelled"
        return (1 - choice.soft_weight) * (labels * "labelled") + choice.soft_weight * (soft * "taught")

    def _score(self, outputs: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
        raise NotImplementedError

    def _train(
        self,
        lesson: Lesson,
        answer: np.ndarray | None,
        choice: Choice,
        seed: int,
        until: float | None = None,
        start: MLP | None = None,
        verbose: Any = False,
    ) -> tuple[MLP, History, Watch]:
        use = answer is not None
        x = np.concatenate([lesson.x, lesson.more_x]) if use and len(lesson.more_x) else lesson.x
        n, held = len(lesson.x), np.zeros(0, np.int64)
        if self.early_stopping:
            held = self._held_out(lesson.target, np.random.default_rng(seed))
        kept = np.setdiff1d(np.arange(n), held)
        every = np.concatenate([kept, np.arange(n, len(x))])
        data = self._data(lesson, x, answer, kept, every)
        validation = self._data(lesson, x, answer, held, held) if len(held) else None
        student = (
            start.copy()
            if start is not None
            else self._network(x.shape[1], self._outputs(), seed, "float32" if x.dtype == np.float32 else "float64")
        )
        part = "validation" if len(held) else "train" if self.learning_rate == "constant" else None

        def score() -> float:
            return self._score(student.logits(lesson.x[held]), lesson.target[held], lesson.weights[held])

        watch = Watch(part, self.n_iter_no_change, self.tol, until, score if len(held) else None, bool(verbose))
        objective = self._objective(choice if use else Choice(0.0))
        size = self._rows_a_step(len(data))
        watch.passes = passes = self._passes(choice, n, len(x))
        watch.before = evaluate(student, objective, data)["loss"]
        history = self._run(
            student,
            objective,
            data,
            self._optimizer(choice.alpha),
            self._schedule(),
            passes,
            size,
            seed,
            validation,
            [watch, *self._hooks()],
        )
        if start is None:  # else an earlier fit may have taught what is constant here
            forget_constants(student, x)
            if not use and not self._classifies:
                answer_constants(student, lesson.target)
        return student, history, watch

    def _passes(self, choice: Choice, n: int, rows: int) -> int:
        """Over `rows`, of which n are labelled; with made rows fewer, over as many rows in all, and at least one."""
        share = n / rows if choice.made else 1.0
        return math.ceil(round(self.max_iter * choice.longer * share, 6))

    def _steps(self, choice: Choice, n: int, unlabelled: int) -> int:
        """Steps of a whole training on n labelled rows."""
        rows = n + choice.made + unlabelled if choice.soft_weight > 0 else n
        return self._passes(choice, n, rows) * math.ceil(rows / self._rows_a_step(rows))

    def _hooks(self) -> list[Any]:
        """Further hooks of each training, such as a bar."""
        return []

    def _run(
        self,
        student: MLP,
        objective: Objective,
        data: Data,
        optimizer: Optimizer,
        schedule: Schedule,
        epochs: int,
        size: int,
        seed: int,
        validation: Data | None = None,
        hooks: Any = (),
    ) -> History:
        try:
            return fit(
                student,
                objective,
                data,
                optimizer=optimizer,
                schedule=schedule,
                epochs=int(epochs),
                batch_size=size,
                seed=seed,
                validation=validation,
                hooks=hooks,
                progress=False,
                step=train_step if self.shuffle else InOrder(data, size),
            )
        except DivergenceError as error:
            error.add_note(f"learning_rate_init is {self.learning_rate_init:g}: try a smaller one")
            raise

    def _goes_on(self, rule: Optimizer) -> Optimizer:
        """The rule as it is set now, with what the one before it remembers where both are of a kind."""
        before = getattr(self, "_rule", None)
        if before is not None and type(before) is type(rule) and before.n_moments == rule.n_moments:
            rule.memory[self.student_] = before.memory_of(self.student_)
        return rule

    def __copy__(self) -> Self:
        """Shallow, but for the network and what its optimiser remembers: `partial_fit` moves them where they lie."""
        state = self.__getstate__()
        moved: dict[str, Any] = {name: state[name] for name in ("student_", "_rule", "_rule_memory") if name in state}
        made = type(self).__new__(type(self))
        made.__setstate__({**state, **copy.deepcopy(moved)})
        return made

    def __getstate__(self) -> dict[str, Any]:  # a copy of the optimiser alone has forgotten its moments
        state = dict(super().__getstate__())
        if "_rule" in state:
            state["_rule_memory"] = self._rule.memory.get(self.student_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        memory = state.pop("_rule_memory", None)
        super().__setstate__(state)
        if memory is not None:
            self._rule.memory[self.student_] = memory

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each linear layer, (units below, units above)."""
        check_is_fitted(self)
        return [layer.W for layer in self.student_.layers if isinstance(layer, Linear)]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each linear layer."""
        check_is_fitted(self)
        return [layer.b for layer in self.student_.layers if isinstance(layer, Linear)]

    def _data(
        self, lesson: Lesson, x: np.ndarray, answer: np.ndarray | None, labelled: np.ndarray, every: np.ndarray
    ) -> Data:
        part = None if answer is None else answer[every]
        columns = self._columns(lesson.target[labelled], len(every), part)
        weights = row_weights(lesson.weights[labelled], len(every))
        if part is not None and np.isnan(part).any():  # a teacher who knows none of the classes there
            silent = np.isnan(part).any(axis=1)
            weights["taught"][silent] = 0  # its mean is over the others
            weights["taught"] *= len(every) / (weights["taught"].sum() or 1)
        floats = {k: v.astype(x.dtype) if v.dtype.kind == "f" else v for k, v in {**columns, **weights}.items()}
        return Data({"x": x[every], **floats})

    def _held_out(self, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows that watch the training: `validation_fraction` of each class, never the last row of one."""
        n = len(target)
        held: list[np.ndarray] = []
        order = rng.permutation(n)
        groups = [order] if not self._classifies else [order[target[order] == k] for k in np.unique(target)]
        wanted = 0.0
        for group in groups:
            wanted += self.validation_fraction * len(group)
            some = min(len(group) - 1, max(0, round(wanted) - sum(len(h) for h in held)))
            held.append(group[:some])
        found = np.concatenate(held)
        if len(found) == 0:
            found = next((g[:1] for g in groups if len(g) > 1), found)
        if len(found) == 0 or len(found) >= n or math.ceil(self.validation_fraction * n) >= n:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} leaves none of {n} rows, or holds none of them out"
            )
        return np.sort(found)

    def _warn(self, watch: Watch) -> None:
        """ConvergenceWarning where the training went wrong, or was over too early."""
        curve, n = self.loss_curve_, len(self.loss_curve_)
        fell = curve[0] - curve[-1]
        late = curve[(n - 1) // 2] - curve[-1] if n > 1 else math.inf  # fell in the second half of the passes
        if not self.loss_ <= 2 * watch.before:
            text = f"the training raised the loss from {watch.before:.3g} to {self.loss_:.3g}: lower learning_rate_init"
        elif watch.late:
            text = f"max_time={self.max_time:g} seconds ended the training after {n} of {watch.passes} passes"
        elif watch.settled or late <= 0.1 * fell + self.tol:
            return
        else:
            passes = f"max_iter={self.max_iter} passes"
            passes = passes if n == self.max_iter else f"the passes that max_iter={self.max_iter} makes here, {n},"
            text = f"{passes} were over while the loss was still falling"
        warnings.warn(text, ConvergenceWarning, stacklevel=4)


def alike(x: np.ndarray) -> np.ndarray:
    """(d,) which columns of standardised rows x (n, d) hold one value.

    scikit-learn takes for constant, and does not scale, what differs by roundings alone: here by less than `ROUNDING`.
    """
    return np.ptp(x, axis=0) < ROUNDING


def forget_constants(student: MLP, x: np.ndarray) -> None:
    """Weights 0 to the inputs that are one value in all rows of x; what they added goes into the biases.

    Nothing taught those weights. They are as they were drawn, and the first row with another value would be answered
    at random.
    """
    constant = alike(x)
    first = next(layer for layer in student.layers if isinstance(layer, Linear))
    first.b += x[0, constant] @ first.W[constant]
    first.W[constant] = 0


def answer_constants(student: MLP, target: np.ndarray) -> None:
    """Outputs whose target (n, outputs) is one number in all rows answer that number, however little was trained."""
    constant = (target == target[:1]).all(axis=0)
    last = [layer for layer in student.layers if isinstance(layer, Linear)][-1]
    last.W[:, constant] = 0
    last.b[constant] = target[0, constant]


def row_weights(w: np.ndarray, n_rows: int) -> dict[str, np.ndarray]:
    """Columns of weights with mean 1: `labelled` over the first rows alone, `taught` over all."""
    labelled, taught = np.zeros(n_rows), np.full(n_rows, w.mean())
    labelled[: len(w)] = w
    taught[: len(w)] = w
    return {"labelled": labelled * (n_rows / labelled.sum()), "taught": taught * (n_rows / taught.sum())}
