"""The hook that ends a training early, keeps its best epoch, and counts; and batches in the order of the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kdlearn.backend import Array
from kdlearn.data import Data
from kdlearn.run import Run
from kdlearn.step import train_step


class Watch:
    """Stops a training whose watched loss no longer falls, or whose time is over.

    Parameters
    ----------
    part : "validation" or "train", whose loss is watched; None: none is.
    patience, tol : epochs without a fall of more than tol before the end.
    until : of `time.monotonic`, or None.
    score : called after each epoch; its values are kept in `scores`.
    verbose : print each epoch's loss.
    """

    def __init__(
        self,
        part: str | None,
        patience: int,
        tol: float,
        until: float | None,
        score: Callable[[], float] | None = None,
        verbose: bool = False,
    ) -> None:
        self.part, self.patience, self.tol, self.until = part, patience, tol, until
        self.score, self.verbose = score, verbose
        self.scores: list[float] = []
        self.kept_score: float | None = None  # that of the epoch whose weights are kept
        self.best, self.at = float("inf"), 0
        self.lowest = float("inf")
        self.weights: Array | None = None
        self.settled = self.late = False
        self.before = float("inf")  # the loss before the first step, where it was measured
        self.passes = 0  # that were planned

    def after_epoch(self, run: Run) -> None:
        """See the class."""
        loss = run.history["loss"][-1]
        if self.verbose:
            print(f"Iteration {run.epoch}, loss = {loss:.8f}")
        if self.score is not None:
            self.scores.append(self.score())
        if self.part is not None:
            watched = run.history["loss", self.part][-1]
            if watched < self.best - (self.tol if self.best < float("inf") else 0.0):
                self.best, self.at = watched, run.epoch
            if self.part == "validation" and watched < self.lowest:
                self.lowest, self.weights = watched, run.students["student"].theta.copy()
                self.kept_score = self.scores[-1] if self.scores else None
            self.settled = run.epoch - self.at >= self.patience
        self.late = self.until is not None and time.monotonic() > self.until
        run.stop = run.stop or self.settled or self.late

    def after_fit(self, run: Run) -> None:
        """Restore the weights of the best epoch, where validation rows watched."""
        if self.weights is not None:
            run.students["student"].theta[...] = self.weights


class InOrder:
    """A training step that takes its batches in the order of the rows, whatever was shuffled."""

    def __init__(self, data: Data, batch_size: int) -> None:
        self.data, self.batch_size = data, batch_size
        self.batches: Iterator[dict[str, Array]] = iter(())

    def __call__(self, students: Any, teachers: Any, objective: Any, batch: Mapping[str, Any], **more: Any) -> Any:
        """See `train_step`; of the batch only the progress is used."""
        rows = next(self.batches, None)
        if rows is None:
            self.batches = self.data.batches(self.batch_size)
            rows = next(self.batches)
        return train_step(students, teachers, objective, {**rows, "progress": batch["progress"]}, **more)
