"""Hinton, Vinyals and Dean 2015, section 3: their MNIST study, from scratch, with seeds and the controls it lacks.

A teacher 784-1200-1200-10 learns from moved images with dropout and max-norm. Students 784-800-800-10 without any
regularisation see the images as they are: with labels alone, with the teacher's soft targets, without a single 3,
with nothing but 7s and 8s. The controls: students of labels on moved images, with and without weight decay; teachers
without moved images, without dropout, without either. Each training is one cell of a sweep: stored when it is done,
never run twice, the same whatever ran before it.
"""

from kdlearn.hinton.bias import best_shift, biased, prior_shift, shifted
from kdlearn.hinton.lessons import learn, learn_all, objective
from kdlearn.hinton.pixels import MISSING, held_out_rows, images, jitter
from kdlearn.hinton.rows import (
    DECAYED,
    LABELS,
    LESS,
    LIVE,
    MOVED,
    MOVED_DECAYED,
    SOFT,
    TEMPERATURES,
    WIDTHS,
    choices,
    chosen,
    settings_of,
    students,
    teachers,
)
from kdlearn.hinton.teaching import (
    as_in_dropout,
    teach,
    teach_all,
    teacher_answers,
    trained_teacher,
)

__all__ = [
    "DECAYED",
    "LABELS",
    "LESS",
    "LIVE",
    "MISSING",
    "MOVED",
    "MOVED_DECAYED",
    "SOFT",
    "TEMPERATURES",
    "WIDTHS",
    "as_in_dropout",
    "best_shift",
    "biased",
    "choices",
    "chosen",
    "held_out_rows",
    "images",
    "jitter",
    "learn",
    "learn_all",
    "objective",
    "prior_shift",
    "settings_of",
    "shifted",
    "students",
    "teach",
    "teach_all",
    "teacher_answers",
    "teachers",
    "trained_teacher",
]
