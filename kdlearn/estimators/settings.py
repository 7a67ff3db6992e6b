"""The estimators' settings: their rules, and the network, optimiser and schedule that they make."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from kdlearn.nn.layers import GELU, ReLU, Tanh
from kdlearn.nn.network import MLP
from kdlearn.nn.optim import SGD, AdamW, Optimizer, Schedule, constant, cosine

# Weight decays: the first is the default, which was measured in docs/evidence/tables.md; the first few of them compete.
DECAYS = {
    "adam": (1.0, 2.0, 4.0, 8.0, 0.5, 16.0, 0.25, 32.0),  # decoupled from the gradient
    "sgd": (0.0, 1e-3, 3e-3, 1e-2, 3e-4, 3e-2, 1e-4, 1e-1),
}
ACTIVATIONS = {"relu": ReLU, "tanh": Tanh, "gelu": GELU}
SHARE, MADE_AT_MOST = 4, 8000  # rows made where nobody has unlabelled ones: this many times the labelled rows


class Settings(BaseEstimator):
    """The parameters of both estimators, and what they make."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "teacher": [HasMethods("fit"), None],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "preprocessor": [StrOptions({"auto"}), HasMethods(["fit", "transform"]), None],
        "soft_weight": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "augment": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left"), "boolean"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "solver": [StrOptions({"adam", "sgd"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [StrOptions({"cosine", "constant"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "shuffle": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        teacher: Any = None,
        hidden_layer_sizes: int | Sequence[int] = (32,),
        *,
        preprocessor: Any = "auto",
        soft_weight: float | str = "auto",
        augment: int | str = "auto",
        activation: str = "relu",
        solver: str = "adam",
        alpha: float | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: str = "cosine",
        learning_rate_init: float = 0.01,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        max_iter: int = 200,
        max_time: float | None = None,
        shuffle: bool = True,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        memory: Any = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.teacher = teacher
        self.hidden_layer_sizes = hidden_layer_sizes
        self.preprocessor = preprocessor
        self.soft_weight = soft_weight
        self.augment = augment
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.max_iter = max_iter
        self.max_time = max_time
        self.shuffle = shuffle
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.memory = memory
        self.verbose = verbose
        self.random_state = random_state

    def _check_settings(self) -> None:
        """Every rule of the settings, in the words of whoever set them."""
        self._validate_params()
        self._widths()

    def _widths(self) -> tuple[int, ...]:
        sizes: Any = self.hidden_layer_sizes
        sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
        if any(isinstance(h, bool) or not isinstance(h, Integral) or h < 1 for h in sizes):
            raise ValueError(f"hidden_layer_sizes must be positive integers, got {self.hidden_layer_sizes!r}")
        return tuple(int(h) for h in sizes)

    def _network(self, n_in: int, n_out: int, seed: int, dtype: str) -> MLP:
        return MLP(n_in, *self._widths(), n_out, activation=ACTIVATIONS[self.activation], seed=seed, dtype=dtype)

    def _check_goes_on(self, student: MLP) -> None:
        """ValueError where the settings ask for another network than the one that a fit would go on with."""
        asked = self._network(student.sizes[0], student.sizes[-1], 0, "float32")
        if repr(asked.layers) != repr(student.layers):
            raise ValueError(
                f"fit goes on with {student.layers}, hidden_layer_sizes and activation ask for {asked.layers}; "
                "begin anew, with warm_start=False or a clone"
            )

    def _decays(self, most: int) -> tuple[float, ...]:
        """Weight decays that labels alone may have: at most so many, or the one that was set."""
        if self.alpha != "auto":
            return (float(self.alpha),)
        first, *others = DECAYS[self.solver]  # a step that takes away more than there is would never settle
        return first, *[decay for decay in others if self.learning_rate_init * decay < 1][: most - 1]

    def _optimizer(self, decay: float | None = None) -> Optimizer:
        rate, decay = float(self.learning_rate_init), self._decays(1)[0] if decay is None else decay
        if self.solver == "adam":
            return AdamW(rate, weight_decay=decay)
        nesterov = bool(self.nesterovs_momentum and self.momentum)
        return SGD(rate, float(self.momentum), nesterov=nesterov, weight_decay=decay)

    def _schedule(self) -> Schedule:
        return cosine if self.learning_rate == "cosine" else constant

    def _rows_a_step(self, n: int) -> int:
        return min(200, n) if self.batch_size == "auto" else min(int(self.batch_size), n)


def made_rows(augment: int | str, n: int, compete: bool) -> tuple[int, ...]:
    """How many rows may be made of n labelled ones: none where n is 0; "auto" makes some in a contest alone."""
    many = min(SHARE * n, MADE_AT_MOST)
    if isinstance(augment, str):
        return (0, many) if n and compete else (0,)
    return (0,) if n == 0 else (many,) if augment is True else (int(augment),)
