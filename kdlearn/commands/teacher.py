"""The teachers of `kdlearn distill`: a kind, fitted on the table, or a file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from kdlearn.cells import as_text, without_point
from kdlearn.checkpoint import CheckpointError
from kdlearn.commands.as_taught import AsTaught, as_taught
from kdlearn.commands.frames import pandas
from kdlearn.commands.rules import Rules
from kdlearn.commands.student import Student, load_any
from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.rows import default_preprocessor
from kdlearn.estimators.teachers import columns_of
from kdlearn.export.fitted import fitted
from kdlearn.nn.network import Network

if TYPE_CHECKING:
    import pandas as pd

TEACHERS = ("forest", "boosting", "mlp")
TREES = 300


def teacher_of(
    args: Namespace, X: pd.DataFrame, y: np.ndarray, rules: Rules, said: list[str], counted: str | None = None
) -> Any:
    """A classifier or regressor of the table's rows, not yet fitted, or frozen; `counted` is what a target counts.

    What a teacher from a file cannot know of the table is `said`.
    """
    numbers, seed, encode = y.dtype.kind == "f", args.seed, default_preprocessor(X)[0]
    if args.teacher == "forest":
        forest = RandomForestRegressor if numbers else RandomForestClassifier
        return make_pipeline(encode, forest(TREES, random_state=seed))
    if args.teacher == "boosting":
        boosting = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
        return make_pipeline(encode, boosting(random_state=seed))
    if args.teacher == "mlp":
        net = DistilledRegressor if numbers else DistilledClassifier
        settings = {"learning_rate_init": 3e-3, "max_iter": 50, "random_state": seed}
        return net(None, (256, 256), preprocessor=encode, **settings)
    return FrozenEstimator(_from_file(Path(args.teacher), args.trust_pickle, X, y, rules, said, counted))


class _Asked(BaseEstimator):
    """A fitted model of encoded rows from a file, as a model of raw ones."""

    encode: Any
    model: Any
    path: Path | None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Nothing to do: it is fitted."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _ask(self, method: str, X: Any) -> np.ndarray:
        try:
            return getattr(self.model, method)(self.encode.transform(X))
        except Exception as error:  # a pickled model may raise whatever it likes
            hint = (
                ". It gets its columns as pandas.read_csv reads them, numbers without their units, dates as texts; "
                "what else it needs must be in its pipeline"
            ) * isinstance(self.encode, AsTaught)
            raise CheckpointError(f"the teacher of {self.path} cannot answer these rows: {error}{hint}") from error


class Encoded(ClassifierMixin, _Asked):
    """A fitted classifier of encoded rows, as a classifier of raw ones."""

    def __init__(self, encode: Any = None, model: Any = None, classes: Any = None, path: Path | None = None) -> None:
        self.encode, self.model, self.classes, self.path = encode, model, classes, path

    @property
    def classes_(self) -> np.ndarray:
        """Of the columns of its probabilities."""
        return np.asarray(self.model.classes_ if self.classes is None else self.classes)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, K)."""
        return self._ask("predict_proba", X)

    def predict(self, X: Any) -> np.ndarray:
        """The model's own answers (n,), as labels of `classes_`; the most probable where it has none of its classes."""
        known = getattr(self.model, "classes_", None)
        if known is not None and hasattr(self.model, "predict"):
            own = np.asarray(self._ask("predict", X))
            where = {label: place for place, label in enumerate(np.asarray(known).tolist())}
            places = [where.get(label, -1) for label in own.ravel().tolist()]
            if own.size == len(X) and min(places, default=0) >= 0:
                return self.classes_[places]
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class EncodedNumbers(RegressorMixin, _Asked):
    """A fitted regressor of encoded rows, as a regressor of raw ones."""

    def __init__(self, encode: Any = None, model: Any = None, path: Path | None = None) -> None:
        self.encode, self.model, self.path = encode, model, path

    def predict(self, X: Any) -> np.ndarray:
        """Numbers (n,)."""
        return self._ask("predict", X)


def _from_file(
    path: Path,
    trust_pickle: bool,
    X: pd.DataFrame,
    y: np.ndarray,
    rules: Rules,
    said: list[str],
    counted: str | None,
) -> Any:
    if not path.exists():
        raise FileNotFoundError(f"no teacher {str(path)!r}: it is one of {', '.join(TEACHERS)}, or a file")
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    encode = default_preprocessor(X)[0].fit(X)
    width, classes = encode.transform(X[:1]).shape[1], None
    student = load_any(path) if is_zip else None
    if isinstance(student, Network):
        model: Any = student
        classes = _in_order(np.unique(y))
        _check_network(path, model, width, len(classes))
        _tell_places(classes, said)
        return Encoded(encode, model, classes, path)
    if student is not None:
        if student.rules.names != rules.names:
            taught = student.rules.names
            raise CheckpointError(
                f"{path} was taught other columns than this table has: {', '.join(taught[:12])}{_kept(taught, rules)}"
            )
        _check_units(path, student, rules, counted)
        if student.model.classes_ is None or y.dtype.kind == "f":
            return student.model
        own = np.array(_as_labels(student.model.classes_, y, said), y.dtype if y.dtype.kind != "U" else str)
        return fitted(replace(student.model.parts_, classes=own))
    if not trust_pickle:
        raise CheckpointError(
            f"{path} is not a checkpoint of kdlearn; if it is a pickle, reading it runs whatever code it holds: "
            "add --trust-pickle if you trust whoever wrote it"
        )
    model = _unpickle(path, "predict" if y.dtype.kind == "f" else "predict_proba")
    names, step = getattr(model, "feature_names_in_", None), encode
    if names is not None and set(names) <= set(rules.names):  # a table, of which it gets its columns in its order
        step = as_taught(model, list(names), rules, f"the teacher of {path}", said)
    elif names is not None and list(names) != list(encode.get_feature_names_out()):
        raise CheckpointError(
            f"{path} was taught {', '.join(names[:12])}; the table has {', '.join(rules.names[:12])}"
            + _kept(names, rules)
        )
    n_in = getattr(model, "n_features_in_", width)
    if step is encode and n_in != width:
        raise CheckpointError(
            f"{path} takes {n_in} inputs, the table gives {width}, encoded from {', '.join(rules.names[:12])}"
            + _kept(rules.dropped, rules) * (n_in > width)
        )
    if y.dtype.kind == "f":
        return EncodedNumbers(step, model, path)
    if not hasattr(model, "classes_"):
        raise CheckpointError(f"{path} has no classes_: the columns of its predict_proba have no names")
    return Encoded(step, model, _as_labels(model.classes_, y, said), path)


def _as_labels(classes: Any, y: np.ndarray, said: list[str]) -> list[Any]:
    """A teacher's classes as the table's labels y are; one of 0 … K-1 knows them in order, which is said."""
    known, labels = np.asarray(classes).tolist(), _in_order(np.unique(y))
    if y.dtype.kind == "U":
        truths = {label.casefold(): label for label in labels.tolist()}  # TRUE, or 1, is what pandas reads as True
        known = [
            truths.get(str(k).casefold(), truths.get(str(int(k)), str(k))) if isinstance(k, bool) else as_text(k)
            for k in known
        ]
    columns = columns_of(known, labels, np.zeros(len(labels), bool))
    if any(k != v and _plain(k) != _plain(v) for k, v in zip([known[c] for c in columns], labels.tolist())):
        _tell_places(labels, said)
    for label, column in zip(labels.tolist(), columns):
        known[column] = label
    return known


def _plain(label: Any) -> str:
    return without_point(as_text(label))


def _in_order(labels: np.ndarray) -> np.ndarray:
    """Sorted labels in the order in which they stand once `pandas.read_csv` has read them: 9 before 10."""
    numbers = pandas().to_numeric(pandas().Series(labels), errors="coerce")
    return labels if numbers.isna().any() else labels[np.argsort(numbers.to_numpy(), kind="stable")]


def _tell_places(labels: np.ndarray, said: list[str]) -> None:
    some = ", ".join(map(str, labels[:5].tolist())) + (", …" if len(labels) > 5 else "")
    to = "to" if len(labels) > 2 else "and"
    said.append(f"the teacher's classes 0 {to} {len(labels) - 1} are taken as {some}, in this order.")


def _kept(names: Sequence[str], rules: Rules) -> str:
    """How columns that the teacher needs, and that looked useless, are kept."""
    lacking = [name for name in names if name in rules.dropped and name not in rules.names]
    return f". The table's {', '.join(map(repr, lacking))} was left out: --keep {','.join(lacking)}" if lacking else ""


def _check_units(path: Path, student: Student, rules: Rules, counted: str | None) -> None:
    """CheckpointError where a column, or the target, counts something else than where the student was taught."""
    for taught, here in zip(student.rules.columns, rules.columns):
        for key in ("kind", "unit", "percent"):
            if None not in (taught.get(key), here.get(key)) and taught[key] != here[key]:
                raise CheckpointError(
                    f"{path} was taught the column {here['name']!r} with {key} {taught[key]!r}, this table has it with "
                    f"{here[key]!r}"
                )
    before = student.settings.get("counted")
    if None not in (before, counted) and before != counted:
        raise CheckpointError(f"{path} was taught a target {before}, this table has it {counted}")


def _check_network(path: Path, net: Network, width: int, K: int) -> None:
    sizes = getattr(net, "sizes", None)
    n_in, n_out = (sizes[0], sizes[-1]) if sizes else (width, K)
    if n_in != width:
        raise CheckpointError(f"{path} takes {n_in} inputs, the table gives {width}")
    if n_out != K:
        raise CheckpointError(f"{path} knows {n_out} classes, the table has {K}")


def _unpickle(path: Path, method: str) -> Any:
    import joblib

    try:
        teacher = joblib.load(path)
    except Exception as error:  # a pickle may raise whatever it likes
        raise CheckpointError(f"{path} cannot be unpickled ({type(error).__name__}: {error})") from error
    classes = hasattr(teacher, "predict_proba") or hasattr(teacher, "classes_")
    if not hasattr(teacher, method) or (classes and method == "predict"):
        if method == "predict_proba" and (classes or (isinstance(teacher, BaseEstimator) and is_classifier(teacher))):
            raise CheckpointError(
                f"{path} holds {type(teacher).__name__}, which has no predict_proba, and a teacher's probabilities are "
                "what it teaches: CalibratedClassifierCV, fitted around it, gives it some"
            )
        kind = "classifier" if method == "predict_proba" else "regressor"
        raise CheckpointError(f"{path} holds {type(teacher).__name__}; a teacher is a fitted {kind}")
    if isinstance(teacher, BaseEstimator):
        try:
            check_is_fitted(teacher)
        except NotFittedError:
            raise CheckpointError(f"{path} holds a {type(teacher).__name__} that is not fitted") from None
    return teacher
