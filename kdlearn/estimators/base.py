"""What the two estimators share: rows, teacher, the contest with labels alone, the training."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length, check_random_state, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _check_feature_names, check_is_fitted, check_memory, validate_data

from kdlearn.data import Data
from kdlearn.estimators import rows, teachers
from kdlearn.estimators.contest import Choice, compete, decide, folds, verdict
from kdlearn.estimators.lesson import Lesson
from kdlearn.estimators.settings import Settings
from kdlearn.estimators.watch import InOrder, Watch
from kdlearn.history import DivergenceError, History
from kdlearn.nn.layers import Linear
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import Optimizer, Schedule, constant
from kdlearn.objective import Objective
from kdlearn.step import train_step
from kdlearn.training import evaluate, fit

FAR = 10.0  # spans of a column by which unlabelled rows may lie outside the labelled ones without a warning


class Distilled(Settings):
    """Rows, contest and training of both estimators."""

    _method = "predict"  # of the teacher
    _classifies = False
    _stored_name = "teacher_prediction"

    # ------------------------------------------------------------------ what the kinds differ in

    def _read_target(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _outputs(self) -> int:
        raise NotImplementedError

    def _check_answers(self, answers: Any, n: int, whose: str) -> np.ndarray:
        """A teacher's answers in the order and units of the student's outputs, (n, outputs)."""
        raise NotImplementedError

    def _columns(self, target: np.ndarray, n: int, answer: np.ndarray | None) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _objective(self, choice: Choice) -> Objective:
        raise NotImplementedError

    def _judge(self, outputs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row's loss, and whether it is right (NaN for numbers)."""
        raise NotImplementedError

    def _score(self, outputs: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
        raise NotImplementedError

    def _choices(self, may_make: int) -> list[Choice]:
        raise NotImplementedError

    # ------------------------------------------------------------------ fitting

    def _fit(self, X: Any, y: Any, sample_weight: Any, stored: Any, X_unlabeled: Any, params: dict[str, Any]) -> Self:
        began = time.monotonic()
        self._check_settings()
        self._check_sources(stored, X_unlabeled)
        again = self.warm_start and hasattr(self, "student_")
        X, y, x = self._read(X, y, again)
        params = self._params_of_teacher(sample_weight, params)
        weights = _weights(sample_weight, len(y))
        target = self._read_target(y, weights)
        weights = weights * self._class_weights(y)
        kept = np.flatnonzero(weights > 0)
        more, more_x = self._read_more(X, X_unlabeled, x)
        m = 0 if more is None else len(more_x)
        if stored is not None:
            stored = self._check_stored(stored, len(y), m)
        if not again:
            everything = x[kept] if m == 0 else np.concatenate([x[kept], more_x])
            taught = _row_weights(weights[kept], len(everything))["taught"]
            self.scaler_ = StandardScaler().fit(everything, sample_weight=taught)
        lesson = Lesson(
            X, y, self._scaled(x), target, weights, more, self._scaled(more_x) if m else x[:0], stored, params
        ).take(kept)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        until = None if self.max_time is None else began + self.max_time
        self.teacher_ = None
        if self.teacher is not None and teachers.is_frozen(self.teacher) and self.soft_weight != 0:
            lesson.stored = self._answers(lesson, 0, seed)[0][1]  # once, whatever then competes
        choice = self._choose(lesson, seed, None if until is None else began + self.max_time / 2)
        answer = None
        if choice.soft_weight > 0:
            lesson, answer = self._answers(lesson, choice.made, seed)[choice.made]
        start = self.student_ if again else None
        self.student_, self.history_, watch = self._train(lesson, answer, choice, seed, until, start, self.verbose)
        self.__dict__.pop("_rule", None)
        self.n_iter_, self.t_ = len(self.history_), len(self.history_) * len(lesson.x)
        self.loss_curve_ = self.history_["loss"]
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = None if self.early_stopping else min(self.loss_curve_)
        self.validation_scores_ = watch.scores if self.early_stopping else None
        self.best_validation_score_ = max(watch.scores) if self.early_stopping else None
        self.report_["notes"] = self._notes
        if choice.soft_weight == 0:
            self.teacher_ = None
        self._warn(watch)
        return self

    def _check_sources(self, stored: Any, X_unlabeled: Any) -> None:
        if self.teacher is not None:
            teachers.check_teacher(self.teacher, self._classifies)
            if stored is not None:
                raise ValueError(f"give a teacher or {self._stored_name}, not both: one would be ignored")
        elif stored is None and X_unlabeled is not None:
            raise ValueError(f"X_unlabeled needs a teacher to label it, or {self._stored_name} that covers its rows")

    def _read(self, X: Any, y: Any, again: bool = False) -> tuple[Any, np.ndarray, np.ndarray]:
        """`(X as a teacher sees it, y, X encoded)`; fits the preprocessor unless `again`."""
        X = rows.read(X)
        auto = isinstance(self.preprocessor, str)
        if not again:
            encodes = rows.needs_encoding(X) if auto else self.preprocessor is not None
        else:
            encodes = self.preprocessor_ is not None
        numeric = {"dtype": [np.float64, np.float32], "accept_sparse": "csr"}
        checks: dict[str, Any] = {"skip_check_array": True} if encodes else numeric
        if y is None:
            validate_data(self, X, None)  # which says what is missing
        made = validate_data(self, X, reset=not again, **checks)
        check_consistent_length(X, y)
        y = self._read_y(y)
        self._notes = []
        if not encodes:
            if not again:
                self.preprocessor_, self.text_columns_ = None, None
            return X if hasattr(X, "iloc") else made, y, rows.dense(made, "X")
        if not hasattr(X, "iloc") and not hasattr(X, "toarray") and auto:
            X = np.asarray(X)
            if X.ndim != 2 or not len(X):
                check_array(X)
        if not again:
            if auto:
                self.preprocessor_, self.text_columns_ = rows.default_preprocessor(X)
                self.preprocessor_.fit(rows.plain(X, self.text_columns_), y)
            else:
                self.preprocessor_, self.text_columns_ = clone(self.preprocessor).fit(X, y), None
        x = rows.encoded(self.preprocessor_, X, self.text_columns_)
        if auto:
            self._notes = rows.notes(X, self.text_columns_, x.shape[1])
        return X, y, x

    def _read_y(self, y: Any) -> np.ndarray:
        raise NotImplementedError

    def _read_more(self, X: Any, more: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """X_unlabeled as a teacher sees it, and encoded; held to the columns of X by name."""
        if more is None:
            return None, x[:0]
        more = rows.read(more)
        hint = "; in a Pipeline its earlier steps transform X alone, see Pipeline(transform_input=…)"
        if hasattr(more, "iloc") and not hasattr(self, "feature_names_in_") and not hasattr(X, "iloc"):
            raise ValueError(f"X_unlabeled has named columns, X has none{hint}")
        try:
            _check_feature_names(self, more, reset=False)
            made = self._encoded(more)
        except ValueError as error:
            raise ValueError(f"X_unlabeled: {error}{hint if 'features' in str(error) else ''}") from None
        low, high = x.min(axis=0), x.max(axis=0)
        reach = FAR * (high - low)
        outside = ((made < low - reach) | (made > high + reach)).mean(axis=0)
        if ((outside > 0.5) & (high > low)).any():
            j = int(np.argmax(np.where(high > low, outside, 0)))
            warnings.warn(
                f"X_unlabeled lies far from X: input {j} goes from {low[j]:g} to {high[j]:g} in X, from "
                f"{made[:, j].min():g} to {made[:, j].max():g} in X_unlabeled{hint}",
                stacklevel=4,
            )
        if self.preprocessor_ is None and not hasattr(more, "iloc"):
            more = made.astype(x.dtype, copy=False)
        return more, made.astype(x.dtype, copy=False)

    def _params_of_teacher(self, sample_weight: Any, params: dict[str, Any]) -> dict[str, Any]:
        if not _routing_enabled():
            _raise_for_params(params, self, "fit")
            if self.teacher is None or sample_weight is None:
                return {}
            name = teachers.weight_parameter(self.teacher)
            if name is None and not teachers.is_frozen(self.teacher):
                kind = type(self.teacher).__name__
                warnings.warn(f"{kind} takes no sample_weight: to the teacher all rows weigh alike", stacklevel=4)
            return {} if name is None else {name: np.asarray(sample_weight)}
        if sample_weight is not None:
            params = {**params, "sample_weight": sample_weight}
        return dict(process_routing(self, "fit", **params).teacher.fit) if self.teacher is not None else {}

    def _class_weights(self, y: np.ndarray) -> np.ndarray | float:
        return 1.0

    def _check_stored(self, stored: Any, n: int, m: int) -> np.ndarray:
        given = len(stored) if hasattr(stored, "__len__") else 0
        if m and given == n:
            raise ValueError(
                f"{self._stored_name} must also answer the {m} rows of X_unlabeled, after the {n} of X: the rest "
                "needs a teacher to label it"
            )
        return self._check_answers(stored, n + m, self._stored_name)

    # ------------------------------------------------------------------ the teacher and the contest

    def _answers(self, lesson: Lesson, made: int, seed: int, keep: bool = True) -> dict[int, tuple[Lesson, np.ndarray]]:
        """`{0: (lesson, answers to all its rows), made: (the same with rows made besides, answers)}`.

        The teacher is fitted once for both; `keep` leaves it as `teacher_`.
        """
        tables = [] if lesson.stored is not None else [lesson.X, *([] if lesson.more is None else [lesson.more])]
        if made:
            tables.append(rows.mixed(lesson.X, lesson.x, made, np.random.default_rng(seed)))
        answers = [] if lesson.stored is None else [lesson.stored]
        if tables:
            ask = check_memory(self.memory).cache(teachers.taught)
            fitted, given, known = ask(self.teacher, lesson.X, lesson.y, lesson.params, tables, self._method)
            answers += [self._match(a, known, lesson, rows.count(table)) for a, table in zip(given, tables)]
            if keep:
                self.teacher_ = fitted
        plain = answers[:-1] if made else answers
        found = {0: (lesson, np.concatenate(plain))}
        if made:
            more = lesson.with_more(tables[-1], self._scaled(self._encoded(tables[-1])))
            found[made] = more, np.concatenate(answers)
        return found

    def _match(self, answers: np.ndarray, known: Any, lesson: Lesson, n: int) -> np.ndarray:
        return self._check_answers(answers, n, "the teacher's predictions")

    def _choose(self, lesson: Lesson, seed: int, until: float | None) -> Choice:
        """What is to be taught, and `report_`, which says why."""
        if self.teacher is None and lesson.stored is None:
            self.report_ = {"verdict": "There is no teacher: the student learns from the labels alone."}
            return Choice(0.0)
        asks = self.teacher is not None and lesson.more is None and not hasattr(lesson.X, "toarray")
        choices = self._choices(len(lesson.x) if asks and len(lesson.x) > 1 else 0)
        if len(choices) == 1:
            self.report_ = {
                "verdict": f"{choices[0]} was set by hand: whether the teacher helps was not measured.",
                "teacher_helped": None,
                "chosen": str(choices[0]),
            }
            return choices[0]
        groups = lesson.target if self._classifies else None
        splits = folds(groups, len(lesson.x), np.random.default_rng(seed))

        def teach(held: np.ndarray) -> Callable[[Choice], tuple[np.ndarray, np.ndarray]]:
            learn = lesson.take(np.setdiff1d(np.arange(len(lesson.x)), held))
            x, target = lesson.x[held], lesson.target[held]
            answered = self._answers(learn, max(c.made for c in choices), seed, keep=False)

            def study(choice: Choice) -> tuple[np.ndarray, np.ndarray]:
                taught = answered[choice.made] if choice.soft_weight > 0 else (learn, None)
                student, _, _ = self._train(*taught, choice, seed, until)
                return self._judge(student.logits(x), target)

            return study

        results = compete(choices, splits, teach, len(lesson.x), until)
        best = decide(results, lesson.weights)
        alone = choices[0].soft_weight == 0
        self.report_ = {
            "verdict": verdict(results, best) if alone else f"Of the settings allowed, {best.choice} is best.",
            "teacher_helped": best.choice.soft_weight > 0 if alone else None,
            "chosen": str(best.choice),
            "rows_held_out": int((~np.isnan(results[0].loss)).sum()),
            "candidates": [result.entry() for result in results if not np.isnan(result.loss).all()],
        }
        return best.choice

    # ------------------------------------------------------------------ one training

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
        watch.before = evaluate(student, objective, data)["loss"]
        history = self._run(
            student,
            objective,
            data,
            self._optimizer(),
            self._schedule(),
            self.max_iter,
            size,
            seed,
            validation,
            [watch],
        )
        return student, history, watch

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

    def _data(
        self, lesson: Lesson, x: np.ndarray, answer: np.ndarray | None, labelled: np.ndarray, every: np.ndarray
    ) -> Data:
        part = None if answer is None else answer[every]
        columns = self._columns(lesson.target[labelled], len(every), part)
        weights = _row_weights(lesson.weights[labelled], len(every))
        if part is not None and np.isnan(part).any():  # a teacher who knows none of the classes there
            silent = np.isnan(part).any(axis=1)
            weights["taught"][silent] = 0
        floats = {k: v.astype(x.dtype) if v.dtype.kind == "f" else v for k, v in {**columns, **weights}.items()}
        return Data({"x": x[every], **floats})

    def _held_out(self, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows that watch the training: `validation_fraction` of each class, never the last row of one."""
        n, held = len(target), []
        order = rng.permutation(n)
        groups = [order] if not self._classifies else [order[target[order] == k] for k in np.unique(target)]
        wanted = 0.0
        for group in groups:
            wanted += self.validation_fraction * len(group)
            some = min(len(group) - 1, max(0, round(wanted) - sum(map(len, held))))
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
            text = f"max_time={self.max_time:g} seconds ended the training after {n} of {self.max_iter} passes"
        elif watch.settled or late <= 0.1 * fell + self.tol:
            return
        else:
            text = f"max_iter={self.max_iter} passes were over while the loss was still falling"
        warnings.warn(text, ConvergenceWarning, stacklevel=4)

    # ------------------------------------------------------------------ using it

    def _encoded(self, X: Any) -> np.ndarray:
        if self.preprocessor_ is None:
            made = validate_data(self, X, reset=False, dtype=[np.float64, np.float32], accept_sparse="csr")
            return rows.dense(made, "X")
        validate_data(self, X, reset=False, skip_check_array=True)
        if self.text_columns_ is not None and not hasattr(X, "iloc"):
            X = np.asarray(X)
            if X.ndim != 2:
                check_array(X, dtype=None)
        return rows.encoded(self.preprocessor_, X, self.text_columns_)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return self.scaler_.transform(x).astype(x.dtype, copy=False)

    def _forward(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.student_.logits(self._scaled(self._encoded(rows.read(X))))

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

    def compact(self) -> Self:
        """A copy that only predicts: without the teacher, the history and whatever else a prediction does not need."""
        check_is_fitted(self)
        small = copy.copy(self)
        small.teacher = small.teacher_ = small.history_ = small.memory = None
        small.preprocessor = "auto" if self.text_columns_ is not None else self.preprocessor
        small.__dict__.pop("_rule", None)
        return small

    def get_metadata_routing(self) -> MetadataRouter:
        """What scikit-learn's routing needs to know: `fit` hands on what the teacher's `fit` asks for."""
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        if self.teacher is not None:
            router.add(teacher=self.teacher, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
        return router

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "student_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.preprocessor is not None and (
            self.teacher is None or get_tags(self.teacher).input_tags.allow_nan
        )
        return tags

    # ------------------------------------------------------------------ a little at a time

    def _partial(self, X: Any, y: Any, sample_weight: Any, stored: Any) -> Self:
        """One pass at a constant rate over these rows; the first call fixes encoding and scale."""
        self._check_settings()
        self._check_sources(stored, None)
        first = not hasattr(self, "student_")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        X, y, x = self._read(X, y, again=not first)
        weights = _weights(sample_weight, len(y))
        target = self._begin(y, weights) if first else self._again(y)
        if first:
            self.scaler_ = StandardScaler().fit(x, sample_weight=weights)
            self.teacher_, self.loss_curve_, self.t_ = self.teacher, [], 0
            self.report_ = {"verdict": "partial_fit measures nothing: whether the teacher helps is not known."}
        lesson = Lesson(X, y, self._scaled(x), target, weights * self._class_weights(y))
        lesson.stored = None if stored is None else self._check_stored(stored, len(y), 0)
        choice = self._default_choice() if self.teacher is not None or stored is not None else Choice(0.0)
        lesson, answer = lesson.take(np.flatnonzero(weights > 0)), None
        if choice.soft_weight > 0:
            lesson, answer = self._answers(lesson, 0, seed)[0]
        data = self._data(lesson, lesson.x, answer, *2 * [np.arange(len(lesson.x))])
        if first:
            dtype = "float32" if x.dtype == np.float32 else "float64"
            self.student_ = self._network(x.shape[1], self._outputs(), seed, dtype)
        if first or not hasattr(self, "_rule"):
            self._rule = self._optimizer()
        size = self._rows_a_step(len(data))
        history = self._run(
            self.student_, self._objective(choice if answer is not None else Choice(0.0)), data, self._rule, constant,
            1, size, (seed + self.t_) % 2**32,
        )  # fmt: skip
        self.history_ = history
        self.loss_curve_ = [*self.loss_curve_, history["loss"][-1]]
        self.loss_, self.n_iter_, self.t_ = self.loss_curve_[-1], len(self.loss_curve_), self.t_ + len(data)
        return self

    def _begin(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return self._read_target(y, weights)

    def _again(self, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _default_choice(self) -> Choice:
        raise NotImplementedError


def _weights(sample_weight: Any, n: int) -> np.ndarray:
    if sample_weight is None or isinstance(sample_weight, (int, float)):
        weights = np.full(n, 1.0 if sample_weight is None else float(sample_weight))
    else:
        weights = check_array(sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight")
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array")
    if weights.shape != (n,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(n,)}!")
    if weights.min() < 0:
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def _row_weights(w: np.ndarray, n_rows: int) -> dict[str, np.ndarray]:
    """Columns of weights with mean 1: `labelled` over the first rows alone, `taught` over all."""
    labelled, taught = np.zeros(n_rows), np.full(n_rows, w.mean())
    labelled[: len(w)] = w
    taught[: len(w)] = w
    return {"labelled": labelled * (n_rows / labelled.sum()), "taught": taught * (n_rows / taught.sum())}
