"""What a student can learn from a teacher: one file per idea.

The modules are imported when they are first used, since those with loops of their own need
`kdlearn.training`, which stands above the losses.
"""

import importlib
from types import ModuleType

MODULES = (
    "assistant",
    "attention",
    "branches",
    "collaborative",
    "datafree",
    "diffusion",
    "dirichlet",
    "divergence",
    "ensemble",
    "exits",
    "feature",
    "forgetting",
    "generations",
    "jacobian",
    "logits",
    "multilabel",
    "mutual",
    "past",
    "relation",
    "response",
    "robust",
    "sequence",
    "targets",
    "temperature",
    "transfer",
    "unlabelled",
    "views",
)


def __getattr__(name: str) -> ModuleType:
    if name in MODULES:
        return importlib.import_module(f"kdlearn.distill.{name}")
    raise AttributeError(f"kdlearn.distill has no module {name!r}; there are {', '.join(MODULES)}")


def __dir__() -> list[str]:
    return sorted(MODULES)
