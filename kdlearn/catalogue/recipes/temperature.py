"""Recipes of temperatures that are not constants."""

from dataclasses import replace

from kdlearn.catalogue.recipes.parts import Setup, batch, recipe, student, teacher
from kdlearn.distill.temperature import AdversarialTemperature, ScheduledTemperature


@recipe
def adversarial_temperature(device="cpu"):
    """A temperature that learns to make the lesson hard, CTKD, Li et al. 2023 [temperature.1]."""
    learned = AdversarialTemperature(start=3.0, dtype="float64")
    learned = replace(learned, net=learned.net.to(device))
    return Setup(student(), 0.7 * learned, batch(), teacher())


@recipe
def scheduled_temperature(device="cpu"):
    """A temperature that is annealed, Jafari et al. 2021 [temperature.2]."""
    return Setup(student(), ScheduledTemperature(lambda progress: 8 - 6 * progress), batch(), teacher())
