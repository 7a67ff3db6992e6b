"""Data as columns of equal length, and the data sets of the course.

A row is an example; a column is what is known about it: `x` its features, `y` its label, `index`
its row number, `teacher.logits` what a teacher answered. Soft labels are keyed by row like every
other column, so shuffling can never misalign them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdlearn.backend import Array, array_module, device_of, to_device, to_numpy

# Rows are gathered for a shuffled epoch in pieces of this many bytes: one gather for all of a
# small set, and never a second copy of a large one.
GATHER_BYTES = 8 << 20


class DataUnavailable(RuntimeError):
    """A data set is neither on this machine nor to be fetched; the message says what to do."""


class Data:
    """Columns of equal length.

    Parameters
    ----------
    columns : {name: array of N rows}; `x` (N, D) is what a network reads, `<owner>.x` what the
        network of that name reads instead. A column `index` (0 … N-1) is added where absent.

    Example
    -------
    >>> data = Data({"x": np.zeros((3, 2), np.float32), "y": np.array([0, 1, 1])})
    >>> len(data), sorted(data.columns)
    (3, ['index', 'x', 'y'])
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        if not columns:
            raise ValueError("data needs at least one column")
        self.columns = {
            name: a if hasattr(a, "dtype") and hasattr(a, "shape") else np.asarray(a) for name, a in columns.items()
        }
        lengths = {name: a.shape[0] if a.ndim else 0 for name, a in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns must have one length, got {lengths}")
        first = next(iter(self.columns.values()))
        self.n_rows = lengths[next(iter(lengths))]
        if "index" not in self.columns:
            self.columns["index"] = to_device(np.arange(self.n_rows), device_of(first))

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, name: str) -> Array:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(f"no column {name!r}; there are: {', '.join(self.columns)}") from None

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __repr__(self) -> str:
        inside = ", ".join(f"{name} {a.shape[1:] or ''}".strip() for name, a in self.columns.items())
        return f"Data({self.n_rows} rows: {inside})"

    @property
    def x(self) -> Array:
        """The features, (N, D)."""
        return self["x"]

    @property
    def y(self) -> Array:
        """The labels, (N,)."""
        return self["y"]

    def with_columns(self, columns: Mapping[str, Array]) -> Data:
        """The same rows with these columns added or replaced."""
        return Data({**self.columns, **columns})

    def with_soft_labels(self, teacher: Any, name: str = "teacher") -> Data:
        """The same rows with the column `<name>.logits` of `soft_labels(teacher, x)`."""
        return self.with_columns({f"{name}.logits": soft_labels(teacher, self.x)})

    def take(self, rows: Any) -> Data:
        """The chosen rows (integers, a slice or a mask), in that order, with their `index` kept."""
        return Data({name: a[rows] for name, a in self.columns.items()})

    def to(self, device: str) -> Data:
        """The same columns on `"cpu"` or `"cuda"`."""
        return Data({name: to_device(a, device) for name, a in self.columns.items()})

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[dict[str, Array]]:
        """Dictionaries of columns, `batch_size` rows at a time; shuffled if `rng` is given.

        The last one holds what is left. Without `rng` they are views.
        """
        n, names = self.n_rows, list(self.columns)
        if rng is None:
            for i in range(0, n, batch_size):
                yield {name: self.columns[name][i : i + batch_size] for name in names}
            return
        device = device_of(self.columns["index"])
        order = rng.permutation(n)
        row_bytes = sum(a.nbytes for a in self.columns.values()) // max(n, 1) + 1
        gather = max(1, GATHER_BYTES // row_bytes // batch_size) * batch_size
        for start in range(0, n, gather):
            rows = to_device(order[start : start + gather], device)
            piece = {name: a.take(rows, axis=0) for name, a in self.columns.items()}
            for i in range(0, len(rows), batch_size):
                yield {name: a[i : i + batch_size] for name, a in piece.items()}


def check_data(data: Data, dtype: Any, n_classes: Mapping[str, int]) -> Data:
    """`data` with its features as `dtype`, or a ValueError that names the column, value and rule.

    Parameters
    ----------
    data : the columns to be trained on.
    dtype : of the networks.
    n_classes : {network: width of its logits}, to hold labels against; labels of width-1
        (regression) networks are not restricted.
    """
    if len(data) == 0:
        raise ValueError("data has zero rows; at least one is needed")
    columns = dict(data.columns)
    for name, a in columns.items():
        last = name.rpartition(".")[2]
        if last == "x":
            columns[name] = _check_features(name, a, dtype)
        elif last in ("logits", "proba"):
            _check_logits(name, a)
            columns[name] = a if a.dtype.kind == "f" else a.astype(dtype)
        elif name == "y" and n_classes and max(n_classes.values()) > 1:
            _check_labels(a, min(k for k in n_classes.values() if k > 1))
        elif a.dtype.kind == "f" and not bool(array_module(a).isfinite(a).all()):
            raise ValueError(f"column {name!r} has values that are not finite")
    return Data(columns)


def _check_features(name: str, x: Array, dtype: Any) -> Array:
    if type(x).__name__.endswith(("_matrix", "_array")):
        raise TypeError(f"column {name!r} is sparse; make it dense with .toarray()")
    if x.ndim != 2:
        hint = (
            "; reshape one feature with x.reshape(-1, 1)"
            if x.ndim == 1
            else "; flatten each row with x.reshape(len(x), -1)"
        )
        raise ValueError(f"column {name!r} must be 2-D (rows, features), got shape {x.shape}{hint}")
    if x.shape[1] == 0:
        raise ValueError(f"column {name!r} has zero features")
    if x.dtype.kind == "c":
        raise ValueError(f"column {name!r} must be real, got {x.dtype}")
    try:
        x = x.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} must be numeric, got {x.dtype}: {error}") from None
    if not bool(array_module(x).isfinite(x).all()):
        raise ValueError(f"column {name!r} has values that are not finite (NaN or infinity)")
    return x


def _check_logits(name: str, z: Array) -> None:
    xp = array_module(z)
    if z.ndim != 2:
        raise ValueError(f"column {name!r} must be 2-D (rows, classes), got shape {z.shape}")
    if z.dtype.kind == "f":
        if bool(xp.isnan(z).any()):
            raise ValueError(f"column {name!r} has NaN")
        if bool((z == xp.inf).any()):
            raise ValueError(f"column {name!r} has +inf; -inf would mask a class, +inf means nothing")
        if bool((z.max(axis=1) == -xp.inf).any()):
            raise ValueError(f"column {name!r} has a row of only -inf: no class is left")


def _check_labels(y: Array, n_classes: int) -> None:
    y = to_numpy(y)  # on the host: a GPU would wrap an index that is out of range
    if y.ndim != 1:
        hint = "; one-hot rows become labels with y.argmax(axis=1)" if y.ndim == 2 else ""
        raise ValueError(f"y must hold one label a row, got shape {y.shape}{hint}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"y must hold integer class labels, got {y.dtype}")
    if y.min() < 0 or y.max() >= n_classes:
        bad = y.min() if y.min() < 0 else y.max()
        raise ValueError(f"labels must lie in 0 … {n_classes - 1}, the network's {n_classes} outputs; got {bad}")


def soft_labels(teacher: Any, x: Array) -> Array:
    """A teacher's logits (N, K) for x (N, D).

    Parameters
    ----------
    teacher : a network, or any classifier with `predict_proba` (its classes must be 0 … K-1);
        the logarithm of its probabilities is a valid set of logits, -inf where it says 0.
    """
    if hasattr(teacher, "logits"):
        return teacher.logits(x)
    if not hasattr(teacher, "predict_proba"):
        raise TypeError(f"a teacher needs `logits` or `predict_proba`, {type(teacher).__name__} has neither")
    p = np.asarray(teacher.predict_proba(to_numpy(x)))
    classes = getattr(teacher, "classes_", np.arange(p.shape[1]))
    if not np.array_equal(classes, np.arange(p.shape[1])):
        raise ValueError(f"the teacher's classes must be 0 … {p.shape[1] - 1}, one column each; got {list(classes)}")
    z = np.full(p.shape, -np.inf, dtype=np.float32)
    np.log(p, out=z, where=p > 0, casting="same_kind")
    return to_device(z, device_of(x))


class Splits(NamedTuple):
    """Rows to learn from, to choose with, and to look at once."""

    train: Data
    validation: Data
    test: Data


def split(x: np.ndarray, y: np.ndarray, validation: int, test: int, seed: int = 0, scale: str = "feature") -> Splits:
    """Shuffle, split and standardise; the column `row` says where each example came from.

    Parameters
    ----------
    x, y : features (N, D) and integer labels (N,).
    validation, test : rows of these parts; the others are for training.
    seed : of the shuffle.
    scale : `"feature"`: each feature to mean 0 and deviation 1 over the training rows, constant
        ones to 0; `"global"`: all features by one mean and deviation, as suits pixels.
    """
    if scale not in ("feature", "global"):
        raise ValueError(f"scale is 'feature' or 'global', got {scale!r}")
    if min(validation, test) < 0 or validation + test >= len(x):
        raise ValueError(f"validation + test must leave training rows, got {validation} + {test} of {len(x)}")
    order = np.random.default_rng(seed).permutation(len(x))
    held_test, held, rest = np.split(order, [test, test + validation])
    parts = (rest, held, held_test)
    splits = _standardize([(x[rows], y[rows]) for rows in parts], scale)
    return Splits(*(data.with_columns({"row": rows}) for data, rows in zip(splits, parts)))


def _standardize(parts: list[tuple[np.ndarray, np.ndarray]], scale: str = "feature") -> Splits:
    axis = 0 if scale == "feature" else None
    mean = parts[0][0].mean(axis=axis, dtype=np.float64)
    deviation = parts[0][0].std(axis=axis, dtype=np.float64)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return Splits(
        *(
            Data(
                {
                    "x": ((x - mean.astype(np.float32)) / deviation.astype(np.float32)).astype(np.float32),
                    "y": y.astype(np.int64),
                }
            )
            for x, y in parts
        )
    )


def digits(seed: int = 0) -> Splits:
    """scikit-learn's 8x8 digits, 64 features, 10 classes: 1097 / 200 / 500 rows.

    Source: Alpaydin and Kaynak 1998, through `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return split(x, y, validation=200, test=500, seed=seed)


def blobs(n: int = 300, classes: int = 3, spread: float = 1.0, seed: int = 0) -> Splits:
    """Gaussian clouds in the plane: n training rows, 500 / 2000 for validation and test."""
    from sklearn.datasets import make_blobs

    total = n + 2500
    x, y = make_blobs(total, centers=classes, cluster_std=spread, center_box=(-4, 4), random_state=seed)[:2]
    return split(x, y, validation=500, test=2000, seed=seed)


def moons(n: int = 100, noise: float = 0.25, seed: int = 0) -> Splits:
    """Two interleaved half circles: n training rows, 500 / 2000 for validation and test."""
    from sklearn.datasets import make_moons

    x, y = make_moons(n + 2500, noise=noise, random_state=seed)
    return split(x, y, validation=500, test=2000, seed=seed)


def spirals(n: int = 300, arms: int = 3, noise: float = 0.1, seed: int = 0) -> Splits:
    """Interleaved spiral arms, one class each: n training rows, 500 / 2000 for validation and test."""
    rng = np.random.default_rng(seed)
    total = n + 2500
    y = rng.integers(arms, size=total)
    radius = np.sqrt(rng.uniform(0.02, 1, total))
    angle = 2 * np.pi * (y / arms + 0.75 * radius)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return split(x + noise * 0.5 * rng.standard_normal(x.shape), y, validation=500, test=2000, seed=seed)


def mnist1d() -> tuple[Splits, np.ndarray]:
    """MNIST-1D, 40 features, 10 classes: splits of 4000 / 2000 / 10,000 rows, and 8000 unlabelled.

    Generated with seed 42 by the package `mnist1d` (a few seconds, then cached).
    Source: Greydanus and Kobak 2024.
    """

    def make() -> dict[str, np.ndarray]:
        try:
            from mnist1d.data import get_dataset_args, make_dataset
        except ImportError as error:
            raise DataUnavailable("MNIST-1D is generated by a package: pip install 'kdlearn[mnist1d]'") from error
        args = get_dataset_args()
        args.num_samples, args.seed, args.train_split = 24_000, 42, 1.0
        state = np.random.get_state()  # the package seeds and draws from NumPy's global generator
        try:
            made = make_dataset(args)
        finally:
            np.random.set_state(state)
        return {"x": np.asarray(made["x"], np.float32), "y": np.asarray(made["y"], np.int64)}

    made = _cached("mnist1d_24000_42.npz", make)
    x, y = made["x"], made["y"]
    splits = _standardize([(x[:4000], y[:4000]), (x[4000:6000], y[4000:6000]), (x[6000:16000], y[6000:16000])])
    mean, deviation = x[:4000].mean(axis=0), x[:4000].std(axis=0)
    return splits, ((x[16000:] - mean) / deviation).astype(np.float32)


def mnist(validation: int = 10_000, seed: int = 0) -> Splits:
    """MNIST, 784 pixels, 10 classes: the canonical test set; validation is held out of the 60,000.

    Read from `mnist.npz` in the folder `KDLEARN_DATA` or in the cache; otherwise fetched once
    from OpenML and checked pixel by pixel. Source: LeCun et al. 1998.
    """
    return _images(
        "mnist", "mnist_784", "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16", validation, seed
    )


def fashion_mnist(validation: int = 10_000, seed: int = 0) -> Splits:
    """Fashion-MNIST, 784 pixels, 10 classes, read like `mnist`. Source: Xiao et al. 2017."""
    return _images(
        "fashion_mnist",
        "Fashion-MNIST",
        "ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f",
        validation,
        seed,
    )


_IMAGE_SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}


def _images(name: str, openml_name: str, digest: str, validation: int, seed: int) -> Splits:
    if not 0 <= validation < 60_000:
        raise ValueError(f"validation must be 0 to 59,999 rows, got {validation}")

    def fetch() -> dict[str, np.ndarray]:
        from sklearn.datasets import fetch_openml

        try:
            x, y = fetch_openml(openml_name, version=1, return_X_y=True, as_frame=False, parser="liac-arff")
        except Exception as error:
            raise DataUnavailable(
                f"{name} is not on this machine and could not be fetched from OpenML ({error}); "
                f"put {name}.npz into a folder and set KDLEARN_DATA to it"
            ) from error
        x, y = x.astype(np.uint8).reshape(-1, 28, 28), y.astype(np.uint8)
        return {"x_train": x[:60_000], "y_train": y[:60_000], "x_test": x[60_000:], "y_test": y[60_000:]}

    arrays = _cached(f"{name}.npz", fetch)
    found = hashlib.sha256()
    for key, shape in _IMAGE_SHAPES.items():
        if key not in arrays or arrays[key].shape != shape:
            raise DataUnavailable(f"{name}.npz must hold {key} of shape {shape}; delete the file to fetch it again")
        found.update(np.ascontiguousarray(arrays[key], dtype=np.uint8).tobytes())
    if found.hexdigest() != digest:
        raise DataUnavailable(
            f"{name}.npz does not hold the canonical {name} (its pixels differ); delete the file to fetch it again"
        )
    x = arrays["x_train"].reshape(60_000, 784)
    order = np.random.default_rng(seed).permutation(60_000)
    held, rest = order[:validation], np.sort(order[validation:])
    test = (arrays["x_test"].reshape(10_000, 784), arrays["y_test"])
    return _standardize([(x[rest], arrays["y_train"][rest]), (x[held], arrays["y_train"][held]), test], "global")


def _cached(filename: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kdlearn"
    folders = [Path(os.environ["KDLEARN_DATA"])] if os.environ.get("KDLEARN_DATA") else []
    for folder in (*folders, cache):
        if (folder / filename).exists():
            try:
                with np.load(folder / filename, allow_pickle=False) as archive:
                    return dict(archive)
            except (OSError, ValueError, EOFError) as error:
                raise DataUnavailable(
                    f"{folder / filename} cannot be read ({error}); delete it to make it again"
                ) from error
    arrays = make()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache, suffix=".tmp", delete=False) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        os.replace(file.name, cache / filename)
    except OSError:  # a read-only home: the data is made again next time
        pass
    return arrays
