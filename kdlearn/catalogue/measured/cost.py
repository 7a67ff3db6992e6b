"""What a method's training costs, as a multiple of that of labels: CPU time, measured in turns."""

from __future__ import annotations

import time
from dataclasses import replace

from kdlearn.catalogue.measured.arm import Train
from kdlearn.catalogue.measured.lessons import METHODS, Method
from kdlearn.catalogue.measured.tasks import ground


class Alone(Train):
    """A method of a task, whose students are trained one by one."""

    @property
    def method(self) -> Method:
        """The method of this name, not stacked."""
        return replace(METHODS[self.name], alone=True)


def ratios(task: str, name: str, seeds: int, repeats: int) -> list[float]:
    """CPU time of a method's short training over that of labels, one value a repeat; the two take turns.

    Both train the same stack of students, or the first student alone where the method cannot be stacked. What
    teachers say of the rows is known before. The process's own CPU time hardly counts what else a machine does.
    """
    kind = Alone if METHODS[name].alone else Train
    made = ground(task, tuple(range(seeds)))
    made = made.only(0) if METHODS[name].alone else made

    def seconds(who: str) -> float:
        own = {key: values[0] for key, values in METHODS[who].grid.items()}
        train = kind(task, who).prepared(made, rate=1.0, epochs=0, decay=0.1, own=own)
        begun = time.process_time()
        train()
        return time.process_time() - begun

    found = []
    for _ in range(repeats):
        labels = own = 0.0
        while not (labels > 0 and own > 0):  # a clock of long ticks may not have moved: more turns
            labels, own = labels + seconds("labels"), own + seconds(name)
        found.append(round(own / labels, 3))
    return found
