"""Inputs made by descent: the gradient passes a frozen teacher."""

import functools

import numpy as np

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, Setup, batch, net, recipe
from kdlearn.distill.datafree import adversarial, cut, dafl, match_moments
from kdlearn.nn.layers import Embedding

WIDE = 8


@recipe
def inverted_inputs(device="cpu"):
    """Inputs that a teacher names as asked, with the moments of its features, after Yin et al. 2020 [datafree.1]."""
    table = kd.Network([Embedding(N, D, rng=4, dtype="float64")], {"logits": 0})  # one row an image
    below, above = cut(net(D, WIDE, K, seed=2), "a1")
    kept = {"mean": np.linspace(-1, 1, WIDE), "variance": np.linspace(0.5, 2, WIDE)}
    kept = {name: kd.to_device(a, device) for name, a in kept.items()}
    alike = 0.3 * kd.Term(functools.partial(match_moments, **kept), ("made.a",))
    named = kd.Through(above.to(device), "made.a", "made.logits", kd.CrossEntropy("made.logits"))
    objective = kd.Through(below.to(device), "images.logits", "made.a", alike + named)
    return Setup({"images": table}, objective, batch(x=lambda rng: np.arange(N)[:, None]))


def generator():
    """A network from noise to inputs of the teacher."""
    return {"generator": net(3, 7, D, seed=1)}


def noise():
    """What a generator makes inputs of."""
    return batch(x=lambda rng: rng.normal(size=(N, 3)))


@recipe
def generator_of_sure_answers(device="cpu"):
    """A generator whose images a teacher is sure of, all classes alike, DAFL, Chen et al. 2019 [datafree.6]."""
    guide = net(D, WIDE, K, seed=2, activation=kd.Tanh).to(device)
    return Setup(generator(), dafl(guide, activation=0.1, balance=2), noise())


@recipe
def adversarial_generator(device="cpu"):
    """A generator against the student, DFAD, Fang et al. 2019 [datafree.7]."""
    student, guide = net(D, 6, K, seed=3).to(device), net(D, WIDE, K, seed=2).to(device)
    return Setup(generator(), adversarial(guide, student), noise())
