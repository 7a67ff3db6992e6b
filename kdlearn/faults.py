"""Faults: what an epoch began with is put back, whatever ends it early; a member that diverged is held."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from kdlearn.run import Run


class Start:
    """The weights and moments with which an epoch began."""

    def __init__(self, run: Run) -> None:
        self.optimizer = run.optimizer
        self.weights = [(net, net.theta.copy()) for net in run.trained]
        self.moments = run.optimizer.snapshot(run.trained)

    def put_all_back(self) -> None:
        """Every network, as the epoch began."""
        for net, theta in self.weights:
            net.theta[...] = theta
        self.optimizer.restore(self.moments)

    def rest(self, diverged: Iterable[int]) -> None:
        """Members that have diverged run idle, on weights of 0, which cannot overflow."""
        chosen = list(diverged)
        for net, _ in self.weights if chosen else ():
            for part in net.by_member(net.theta):
                part[chosen] = 0

    def put_back(self, diverged: Iterable[int]) -> None:
        """The members that have diverged, as the epoch began."""
        chosen = list(diverged)
        for (net, theta), (_, memory) in zip(self.weights, self.moments) if chosen else ():
            now = self.optimizer.memory.get(net)
            vectors = [(net.theta, theta)]
            if now is not None:
                kept = memory.moments if memory else [0 * m for m in now.moments]
                vectors += zip(now.moments, kept)
            for here, before in vectors:
                for a, b in zip(net.by_member(here), net.by_member(before)):
                    a[chosen] = b[chosen]


@contextlib.contextmanager
def restored_on_error(run: Run, batch_size: int) -> Iterator[Start]:
    """Whatever ends an epoch early, an interrupt included: weights and moments are put back as it began."""
    start = Start(run)
    try:
        with with_history(run):
            yield start
    except BaseException as error:
        start.put_all_back()
        if isinstance(error, MemoryError):  # CuPy's out-of-memory error is one, too
            error.add_note(f"fit: try a batch_size below {batch_size}; the weights are those of the last whole epoch")
        raise
    finally:
        run.optimizer.scale = 1.0  # the schedule is this training's, the optimiser may go on elsewhere


@contextlib.contextmanager
def with_history(run: Run) -> Iterator[None]:
    """Whatever is raised takes the run's `history` along."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(AttributeError, TypeError):  # not every exception takes attributes
            error.history = run.history  # type: ignore[attr-defined]
        raise
