"""What the two estimators share: a fit from beginning to end, the contest with labels alone, and what is left."""

from __future__ import annotations

import copy
import functools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_method_params, check_is_fitted, check_memory

from kdlearn.checks import check_finite_rows
from kdlearn.estimators import rows, teachers
from kdlearn.estimators.contest import Choice, against_labels, as_long, best_alone, compete, decide, folds, verdict
from kdlearn.estimators.lesson import Lesson
from kdlearn.estimators.reading import is_one_number, scaler_of
from kdlearn.estimators.settings import made_rows
from kdlearn.estimators.training import Training, alike, forget_constants, row_weights
from kdlearn.history import History
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import constant


def unmeasured(verdict: str) -> dict[str, Any]:
    """A report where nothing competed."""
    nothing = dict.fromkeys(("teacher_helped", "alpha_of_labels_alone", "longer_of_labels_alone"))
    return {"verdict": verdict, **nothing, "candidates": []}


class Distilled(Training):
    """Teacher, contest and training of both estimators."""

    _method = "predict"  # of the teacher
    _stored_name = "teacher_prediction"
    _soft_weights: ClassVar[tuple[float, ...]]  # that compete with labels alone
    student_: MLP
    teacher_: Any
    history_: History | None
    report_: dict[str, Any]

    # ------------------------------------------------------------------ what the kinds differ in

    def _read_target(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _again(self, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _begin(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return self._read_target(y, weights)

    def _class_weights(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray | float:
        return 1.0

    def _check_answers(self, answers: Any, n: int, whose: str) -> np.ndarray:
        """A teacher's answers in the order and units of the student's outputs, (n, outputs)."""
        raise NotImplementedError

    def _match(self, answers: np.ndarray, known: Any, lesson: Lesson, n: int) -> np.ndarray:
        return self._check_answers(answers, n, "the teacher's predictions")

    def _judge(self, outputs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row's loss, and whether it is right (NaN for numbers)."""
        raise NotImplementedError

    def _temperatures(self, compete: bool) -> tuple[float | None, ...]:
        """Those that compete, or the one where nothing does; None for numbers."""
        return (None,)

    # ------------------------------------------------------------------ fitting

    def _fit(self, X: Any, y: Any, sample_weight: Any, stored: Any, X_unlabeled: Any, params: dict[str, Any]) -> Self:
        began = time.monotonic()
        self._check_settings()
        self._check_sources(stored, X_unlabeled)
        again = self.warm_start and hasattr(self, "student_")
        if again:
            self._check_goes_on(self.student_)
        given = X
        X, y, x, weights, kept = self._read(X, y, sample_weight, again)
        params = self._params_of_teacher(weights if is_one_number(sample_weight) else sample_weight, params)
        target = self._read_target(y, weights)
        teachers.check_outputs(self.teacher, y)
        weights = weights * self._class_weights(y, weights)
        more, more_x = self._read_more(X, X_unlabeled, x)
        m = 0 if more is None else len(more_x)
        if stored is not None:
            rows.warn_of_order(stored, given, self._stored_name)
            stored = self._check_stored(stored, len(y), m)
            stored = np.concatenate([stored[: len(y)][kept], stored[len(y) :]])
        params = _check_method_params(y, params, kept)
        y, target, weights = y[kept], target[kept], weights[kept]
        told = np.flatnonzero(weights)
        if not again:
            everything = x[told] if m == 0 else np.concatenate([x[told], more_x])
            taught = row_weights(weights[told], len(everything))["taught"]
            self.scaler_ = scaler_of(everything, taught)
        lesson = Lesson(
            X, y, self._scaled(x), target, weights, more, self._scaled(more_x) if m else x[:0], stored, params
        ).of_weight()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        until = None if self.max_time is None else began + self.max_time
        self.teacher_ = None
        if self.teacher is not None and teachers.is_frozen(self.teacher) and self.soft_weight != 0:
            lesson.stored = self._answers(lesson, 0, seed)[0][1]  # once, whatever then competes
        half = None if self.max_time is None else began + self.max_time / 2
        choice = self._choose(lesson, seed, half)
        answer = None
        if choice.soft_weight > 0:
            lesson, answer = self._answers(lesson, choice.made, seed)[choice.made]
            teachers.warn_of_silence(answer)
        start = self.student_ if again else None
        self.student_, self.history_, watch = self._train(lesson, answer, choice, seed, until, start, self.verbose)
        self.__dict__.pop("_rule", None)
        self.n_iter_, self.t_ = len(self.history_), len(self.history_) * len(lesson.x)
        self.loss_curve_ = self.history_["loss"]
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = None if self.early_stopping else min(self.loss_curve_)
        self.validation_scores_ = watch.scores if self.early_stopping else None
        self.best_validation_score_ = watch.kept_score
        self.report_["notes"] = self._notes
        if choice.soft_weight == 0:
            self.teacher_ = None
        self._warn(watch)
        return self

    def _check_stored(self, stored: Any, n: int, m: int) -> np.ndarray:
        stored = rows.unmasked(stored.toarray() if hasattr(stored, "toarray") else stored, self._stored_name)
        given = len(stored) if hasattr(stored, "__len__") else 0
        if m and given == n:
            raise ValueError(
                f"{self._stored_name} must also answer the {m} rows of X_unlabeled, after the {n} of X: the rest "
                "needs a teacher to label it"
            )
        return self._check_answers(stored, n + m, self._stored_name)

    def _answers(self, lesson: Lesson, made: int, seed: int, keep: bool = True) -> dict[int, tuple[Lesson, np.ndarray]]:
        """`{0: (lesson, answers to all its rows), made: (the same with rows made besides, answers)}`.

        The teacher is fitted once for both; `keep` leaves it as `teacher_`.
        """
        tables = [] if lesson.stored is not None else [lesson.X, *([] if lesson.more is None else [lesson.more])]
        if made:
            tables.append(rows.mixed(lesson.X, lesson.x, made, np.random.default_rng(seed)))
        answers = [] if lesson.stored is None else [lesson.stored]
        if tables:
            memory = os.fspath(self.memory) if isinstance(self.memory, os.PathLike) else self.memory
            ask, of = check_memory(memory).cache(teachers.taught), lesson.for_teacher()
            try:
                fitted, given, known = ask(self.teacher, of.X, of.y, of.params, tables, self._method)
            except (ValueError, TypeError) as error:
                if self.preprocessor_ is None:
                    raise
                raise ValueError(
                    f"the teacher cannot learn from these rows: {error}. It takes them as they are; where their texts "
                    "or missing cells are the reason, put an encoder before it, make_pipeline(encoder, teacher)"
                ) from error
            answers += [self._match(a, known, lesson, rows.count(table)) for a, table in zip(given, tables)]
            if keep:
                self.teacher_ = fitted
        plain = answers[:-1] if made else answers
        found = {0: (lesson, np.concatenate(plain))}
        if made:
            more = lesson.with_more(tables[-1], self._scaled(self._encoded(tables[-1])))
            found[made] = more, np.concatenate(answers)
        return found

    def _default_choice(self) -> Choice:
        return Choice(0.5 if self.soft_weight == "auto" else float(self.soft_weight), self._temperatures(False)[0])

    def _choices(self, may_make: int) -> list[Choice]:
        """What competes, where so many labelled rows are there to make more of; one, where the weight is set."""
        compete = self.soft_weight == "auto"
        made = made_rows(self.augment, may_make, compete)
        if not compete:
            choice = self._default_choice()
            return [replace(choice, made=made[0]) if choice.soft_weight else choice]
        heat = self._temperatures(True)
        taught = [Choice(w, T, m) for m in made for w in self._soft_weights for T in heat]
        return against_labels(taught, self._decays(len(taught)))

    def _choose(self, lesson: Lesson, seed: int, until: float | None) -> Choice:
        """What is to be taught, and `report_`, which says why."""
        if self.teacher is None and lesson.stored is None:
            self.report_ = unmeasured("There is no teacher: the student learns from the labels alone.")
            return Choice(0.0)
        asks = self.teacher is not None and lesson.more is None and not hasattr(lesson.X, "toarray")
        few = 2 if self.soft_weight == "auto" else 1  # of them a contest holds one out, and it takes two to make more
        choices = self._choices(len(lesson.x) if asks and len(lesson.x) > few else 0)
        if not asks:
            self._warn_of_none_made("a teacher to ask, no X_unlabeled and rows that are not sparse")
        if len(choices) == 1:
            said = f"{choices[0]} was set by hand: whether the teacher helps was not measured."
            self.report_ = {**unmeasured(said), "chosen": str(choices[0])}
            return choices[0]
        groups = lesson.target if self._classifies else None
        splits = list(folds(groups, len(lesson.x), np.random.default_rng(seed)))

        def teach(held: np.ndarray, asks: bool = True) -> Callable[[Choice], tuple[np.ndarray, np.ndarray]]:
            learn = lesson.take(np.setdiff1d(np.arange(len(lesson.x)), held))
            answered = self._answers(learn, max(c.made for c in choices), seed, keep=False) if asks else {}

            def study(choice: Choice) -> tuple[np.ndarray, np.ndarray]:
                own, answer = answered[choice.made] if choice.soft_weight else (learn, None)
                student, _, _ = self._train(own, answer, choice, seed, until)
                return self._judge(student.logits(lesson.x[held]), lesson.target[held])

            return study

        results = compete(choices, splits, teach, lesson.weights, until)
        best = decide(results, lesson.weights)
        n, m = len(lesson.x) - len(splits[0]) if splits else 0, len(lesson.more_x)
        if best.choice.soft_weight > 0 and (longer := as_long(choices, best.choice, self._steps, n, m)):
            results += compete(longer, splits, functools.partial(teach, asks=False), lesson.weights, until)
            best = decide(results, lesson.weights)
        self.report_ = {
            "verdict": verdict(
                results, best, until is not None and time.monotonic() > until, len(splits[0]) if splits else 0
            ),
            "teacher_helped": best.choice.soft_weight > 0,
            "chosen": str(best.choice),
            "rows_held_out": max(int((~np.isnan(result.loss)).sum()) for result in results),
            "alpha_of_labels_alone": best_alone(results, lesson.weights).choice.alpha,
            "longer_of_labels_alone": best_alone(results, lesson.weights).choice.longer,
            "candidates": [result.entry() for result in results if not np.isnan(result.loss).all()],
        }
        return best.choice

    # ------------------------------------------------------------------ a little at a time

    def _partial(self, X: Any, y: Any, sample_weight: Any, stored: Any) -> Self:
        """One pass at a constant rate over these rows; the first call fixes encoding and scale."""
        self._check_settings()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it holds no rows out")
        self._check_sources(stored, None)
        if self.teacher is not None or stored is not None:
            self._warn_of_none_made("fit")
        first = not hasattr(self, "student_")
        if not first:
            self._check_goes_on(self.student_)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        X, y, x, weights, kept = self._read(X, y, sample_weight, again=not first)
        target = self._begin(y, weights) if first else self._again(y)
        weights = weights * self._class_weights(y, weights)
        stored = None if stored is None else self._check_stored(stored, len(y), 0)[kept]
        y, target, weights = y[kept], target[kept], weights[kept]
        if first:
            self.scaler_ = scaler_of(x, weights)
            self._warn_of_scale(x, target)
            self.teacher_, self.loss_curve_, self.t_ = self.teacher, [], 0
            said = "partial_fit measures nothing: whether the teacher helps is not known."
            self.report_ = {**unmeasured(said), "notes": self._notes}
        lesson = Lesson(X, y, self._scaled(x), target, weights, stored=stored)
        choice = self._default_choice() if self.teacher is not None or stored is not None else Choice(0.0)
        lesson, answer = lesson.take(np.flatnonzero(weights > 0)), None
        if choice.soft_weight > 0:
            lesson, answer = self._answers(lesson, 0, seed)[0]
            teachers.warn_of_silence(answer)
        data = self._data(lesson, lesson.x, answer, *2 * [np.arange(len(lesson.x))])
        if first:
            dtype = "float32" if x.dtype == np.float32 else "float64"
            self.student_ = self._network(x.shape[1], self._outputs(), seed, dtype)
            if not alike(data["x"]).all():  # later rows may teach them; without any, a ReLU is dead
                forget_constants(self.student_, data["x"])
        self._rule = self._goes_on(self._optimizer())
        size = self._rows_a_step(len(data))
        history = self._run(
            self.student_, self._objective(choice if answer is not None else Choice(0.0)), data, self._rule, constant,
            1, size, (seed + self.t_) % 2**32,
        )  # fmt: skip
        self.history_ = history
        self.loss_curve_ = [*self.loss_curve_, history["loss"][-1]]
        self.loss_, self.n_iter_, self.t_ = self.loss_curve_[-1], len(self.loss_curve_), self.t_ + len(data)
        return self

    # ------------------------------------------------------------------ what is left

    def _forward(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        x = self._encoded(self._same_columns(X))
        return check_finite_rows(self.student_.logits(self._scaled(x)), x)

    def compact(self) -> Self:
        """A copy that only predicts: without the teacher, the history and whatever else a prediction does not need."""
        check_is_fitted(self)
        small = copy.copy(self)
        small.teacher = small.teacher_ = small.history_ = small.memory = None
        small.preprocessor = "auto" if self.text_columns_ is not None else self.preprocessor
        small.__dict__.pop("_rule", None)
        return small
