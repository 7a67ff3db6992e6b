"""Data as columns of equal length, and the data sets of the course.

A row is an example; a column is what is known about it: `x` its features, `y` its label, `index`
its row number, `teacher.logits` what a teacher answered. Soft labels are keyed by row like every
other column, so shuffling can never misalign them.
"""

from kdlearn.data.columns import Data
from kdlearn.data.labelling import log_probabilities, soft_labels
from kdlearn.data.sets import (
    DataUnavailable,
    Splits,
    blobs,
    digits,
    fashion_mnist,
    mnist,
    mnist1d,
    moons,
    spirals,
    split,
)

__all__ = [
    "Data",
    "DataUnavailable",
    "Splits",
    "blobs",
    "digits",
    "fashion_mnist",
    "log_probabilities",
    "mnist",
    "mnist1d",
    "moons",
    "soft_labels",
    "spirals",
    "split",
]
