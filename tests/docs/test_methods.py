"""docs/methods.md lists every method once, and every loss is part of a method."""

from __future__ import annotations

import pytest
from _pages.catalogue import stored, words
from _pages.equations import ROOT, equations
from _pages.methods import LINE, methods_page

import kdlearn as kd
from kdlearn.catalogue.losses import all_losses
from kdlearn.catalogue.recipes.parts import all_recipes

PAGE = ROOT / "docs" / "methods.md"


@pytest.mark.parametrize("name", all_recipes())
def test_a_recipe_says_which_method_it_is(name):
    doc = " ".join(all_recipes()[name].__doc__.split())
    match = LINE.fullmatch(doc)
    assert match, doc
    assert match[2] in {e.label for e in equations()}, f"{name}: no equation {match[2]}"


def test_the_page_of_methods_is_up_to_date():
    assert PAGE.read_text("utf-8") == methods_page(words(stored())), "run python docs/pages.py"


def test_every_loss_has_a_recipe():
    """A term of some recipe holds it, or a recipe would not be checked on every backend."""
    used = {term.function for make in all_recipes().values() for term in make().objective.terms}
    assert [loss.name for loss in all_losses() if loss.function not in used] == []


def test_public_losses_are_importable_in_both_places():
    public = [loss for loss in all_losses() if loss.name in kd.__all__]
    assert len(public) >= 21
    for loss in public:
        assert getattr(kd, loss.name) is getattr(getattr(kd.distill, loss.stem), loss.name) is loss.function
