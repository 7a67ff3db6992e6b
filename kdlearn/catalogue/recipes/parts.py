"""What recipes are made of, and the list of them. The generic checks run over it: a new method is tested by
having a recipe.

A recipe builds small float64 networks on a given device and says what is to be minimised.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import kdlearn as kd

N, D, K = 6, 5, 4


@dataclass
class Setup:
    """What a recipe makes: networks and adaptors, what is to be minimised, and one batch."""

    students: dict
    objective: kd.Objective
    batch: dict
    teachers: dict = field(default_factory=dict)

    def to(self, device):
        """Everything on a device; adaptors are built there by the recipe."""
        moved = {id(n): n.to(device) for n in (*self.students.values(), *self.teachers.values())}
        return Setup(
            {name: moved[id(n)] for name, n in self.students.items()},
            self.objective,
            {name: kd.to_device(a, device) if hasattr(a, "ndim") else a for name, a in self.batch.items()},
            {name: moved[id(n)] for name, n in self.teachers.items()},
        )


def net(*sizes, seed=0, **options):
    """A float64 network with biases off zero, so that no unit sits on the kink of its ReLU."""
    made = kd.MLP(*sizes, seed=seed, dtype="float64", **options)
    made.theta += 0.1 * np.random.default_rng(seed + 50).standard_normal(made.theta.size)
    return made


def batch(**columns):
    """Asymmetric inputs; zeros would hide mistakes."""
    rng = np.random.default_rng(3)
    made = {"x": rng.normal(size=(N, D)), "y": rng.integers(0, K, N), "progress": 0.25}
    return made | {name: make(rng) for name, make in columns.items()}


def student(**options):
    """The student of most recipes."""
    return {"student": net(D, 7, 6, K, seed=1, **options)}


def teacher(seed=2):
    """A teacher wider than the student."""
    return {"teacher": net(D, 8, 9, K, seed=seed)}


def twin():
    """A teacher of the student's own shape."""
    return {"teacher": net(D, 7, 6, K, seed=2)}


def peers(*names):
    """Students of one shape, without a teacher."""
    return {name: net(D, 7, K, seed=1 + i) for i, name in enumerate(names)}


RECIPES: dict = {}


def recipe(make):
    """Enter a recipe into the list. Its docstring is its line in docs/methods.md: the method, its source, and
    the label of its equation, e.g. "Soft targets, Hinton et al. 2015 [response.2]"."""
    RECIPES[make.__name__] = make
    return make


def all_recipes():
    """{name: recipe}, with what each file beside this one adds."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        importlib.import_module(f"kdlearn.catalogue.recipes.{path.stem}")
    return RECIPES
