"""The data sets of the course, split and standardised."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdlearn.backend import as_array
from kdlearn.checks import check_count, check_seed, check_size, is_whole
from kdlearn.data.columns import Data
from kdlearn.files import written_aside


class DataUnavailable(RuntimeError):
    """A data set is neither on this machine nor to be fetched; the message says what to do."""


class Splits(NamedTuple):
    """Rows to learn from, to choose with, and to look at once."""

    train: Data
    validation: Data
    test: Data


def split(x: np.ndarray, y: np.ndarray, validation: int, test: int, seed: int = 0, scale: str = "feature") -> Splits:
    """Shuffle, split and standardise; the column `row` says where each example came from.

    Parameters
    ----------
    x, y : features (N, D) and integer labels (N,); of pandas by position.
    validation, test : rows of these parts; the others are for training.
    seed : of the shuffle.
    scale : `"feature"`: each feature to mean 0 and deviation 1 over the training rows, constant
        ones to 0; `"global"`: all features by one mean and deviation, as suits pixels.

    ValueError where x holds NaN or infinity, which would be the mean of all: fill or drop such rows first.
    """
    if scale not in ("feature", "global"):
        raise ValueError(f"scale is 'feature' or 'global', got {scale!r}")
    x, y = as_array(x), as_array(y)
    x = x.astype(np.float64) if x.dtype.kind == "O" else x
    if x.dtype.kind not in "fiub" or x.ndim == 0:
        raise TypeError(f"x must hold real numbers, one row an example, got {x.dtype} of shape {x.shape}")
    if not (finite := np.isfinite(x)).all():
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        where = f"row {at[0]}" + f", column {', '.join(map(str, at[1:]))}" * (x.ndim > 1)
        raise ValueError(
            f"x is {x[at]} in {where}, counted from 0; the mean over it is no number: fill or drop such rows first"
        )
    if y.shape != x.shape[:1]:
        raise ValueError(f"y must hold one label a row, shape {x.shape[:1]}, got {y.shape}")
    if y.dtype.kind not in "iub" and not (y.dtype.kind == "f" and (np.isfinite(y) & (y == np.floor(y))).all()):
        raise ValueError(f"y must hold integer class labels, got {y.dtype}; kd.Data takes numbers to be predicted")
    for name, size in (("validation", validation), ("test", test)):
        if not is_whole(size) or size < 0:
            raise ValueError(f"{name} must be a number of rows, 0 or more, got {size!r}")
    if validation + test >= len(x):
        raise ValueError(f"validation + test must leave training rows, got {validation} + {test} of {len(x)}")
    order = np.random.default_rng(check_seed(seed)).permutation(len(x))
    held_test, held, rest = np.split(order, [test, test + validation])
    parts = (rest, held, held_test)
    splits = _standardize([(x[rows], y[rows]) for rows in parts], scale)
    return Splits(*(data.with_columns({"row": rows}) for data, rows in zip(splits, parts)))


def _standardize(parts: list[tuple[np.ndarray, np.ndarray]], scale: str = "feature") -> Splits:
    axis = 0 if scale == "feature" else None
    mean = np.asarray(parts[0][0].mean(axis=axis, dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.asarray(parts[0][0].std(axis=axis, dtype=np.float64))
    if (np.isfinite(mean) & ~np.isfinite(deviation)).any():  # the square overflowed: all rows would become 0
        raise ValueError("a feature varies by more than float64 can square: give it in another unit")
    flat = deviation <= 1e-6 * np.abs(mean)  # perhaps nothing but the rounding of a mean
    if flat.any():
        low, high = parts[0][0].min(axis=axis), parts[0][0].max(axis=axis)
        if ((deviation == 0) & (low < high)).any():
            raise ValueError("a feature varies by less than float64 can square: give it in another unit")
        flat &= low == high
        mean, deviation = np.where(flat, low, mean), np.where(flat, 1.0, deviation)
    # pixels and other plain features need no more than float32; a constant or a large offset would lose its digits
    with np.errstate(over="ignore"):
        short = mean.astype(np.float32), deviation.astype(np.float32)
    lost = np.maximum(np.abs(mean - short[0]), np.abs(deviation - short[1]))
    if (lost <= np.where(flat, 0.0, 1e-6 * deviation)).all():
        mean, deviation = short
    return Splits(
        *(
            Data(
                {
                    "x": ((x - mean) / deviation).astype(np.float32),
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
    x, y = make_blobs(total, centers=classes, cluster_std=spread, center_box=(-4, 4), random_state=check_seed(seed))[:2]
    return split(x, y, validation=500, test=2000, seed=seed)


def moons(n: int = 100, noise: float = 0.25, seed: int = 0) -> Splits:
    """Two interleaved half circles: n training rows, 500 / 2000 for validation and test."""
    from sklearn.datasets import make_moons

    x, y = make_moons(n + 2500, noise=noise, random_state=check_seed(seed))
    return split(x, y, validation=500, test=2000, seed=seed)


def spirals(n: int = 300, arms: int = 3, noise: float = 0.1, seed: int = 0) -> Splits:
    """Interleaved spiral arms, one class each: n training rows, 500 / 2000 for validation and test."""
    check_count("arms", arms)
    check_size("noise", noise)
    rng = np.random.default_rng(check_seed(seed))
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

    made = cached("mnist1d_24000_42.npz", make)
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
    if not is_whole(validation) or not 0 <= validation < 60_000:
        raise ValueError(f"validation must be a number of rows, 0 to 59,999, got {validation!r}")

    def fetch() -> dict[str, np.ndarray]:
        from sklearn.datasets import fetch_openml

        try:
            x, y = fetch_openml(openml_name, version=1, return_X_y=True, as_frame=False, parser="liac-arff")
        except Exception as error:
            raise DataUnavailable(
                f"{name} is not on this machine and could not be fetched from OpenML ({error}); there is no "
                f"{' and no '.join(str(folder / f'{name}.npz') for folder in _folders())}: put {name}.npz into a "
                "folder and set KDLEARN_DATA to it"
            ) from error
        x, y = x.astype(np.uint8).reshape(-1, 28, 28), y.astype(np.uint8)
        return {"x_train": x[:60_000], "y_train": y[:60_000], "x_test": x[60_000:], "y_test": y[60_000:]}

    arrays = cached(f"{name}.npz", fetch)
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
    order = np.random.default_rng(check_seed(seed)).permutation(60_000)
    held, rest = order[:validation], np.sort(order[validation:])
    test = (arrays["x_test"].reshape(10_000, 784), arrays["y_test"])
    return _standardize([(x[rest], arrays["y_train"][rest]), (x[held], arrays["y_train"][held]), test], "global")


def cached(filename: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of a file in KDLEARN_DATA or in the cache; where it is in neither, made once and kept in the cache."""
    *_, cache = _folders()
    for folder in _folders():
        if (folder / filename).exists():
            try:
                with np.load(folder / filename, allow_pickle=False) as archive:
                    return dict(archive)
            except Exception as error:  # whatever a damaged file makes of the readers
                raise DataUnavailable(
                    f"{folder / filename} cannot be read ({error}); delete it to make it again"
                ) from error
    arrays = make()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with written_aside(cache / filename) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    except OSError:  # a read-only home, a full disk: the data is made again next time
        pass
    return arrays


def _folders() -> list[Path]:
    """Where files are looked for; the last is the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kdlearn"
    named = os.environ.get("KDLEARN_DATA")
    return [*([Path(named).expanduser()] if named else []), cache]
