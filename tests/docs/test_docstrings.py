"""Examples in docstrings run, and code in them names what exists.

pytest's own --doctest-modules passes over functions under a decorator, so those run here.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import inspect
import operator
import re
from pathlib import Path

import pytest

import kdlearn as kd
from kdlearn.catalogue.losses import all_losses

ROOT = Path(kd.__file__).parent
SOMEBODY_ELSES = {"RandomForestClassifier", "sqrt"}


def docstrings():
    """`(module, name, docstring)` of everything in the package."""
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(["kdlearn", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        stack = [(ast.parse(path.read_text("utf-8")), "")]
        while stack:
            node, name = stack.pop()
            if text := ast.get_docstring(node):
                yield module, name, text
            inside = [n for n in node.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
            stack += [(n, f"{name}.{n.name}".lstrip(".")) for n in inside]


ALL = list(docstrings())
EXAMPLES = [(m, n, text) for m, n, text in ALL if ">>>" in text]


@pytest.mark.parametrize("module, name, text", EXAMPLES, ids=[f"{m}.{n}" for m, n, _ in EXAMPLES])
def test_an_example_prints_what_it_says(module, name, text):
    space = dict(vars(importlib.import_module(module)))
    test = doctest.DocTestParser().get_doctest(text, space, f"{module}.{name}", None, None)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("loss", all_losses(), ids=lambda loss: loss.name)
def test_every_loss_has_an_example_with_digits(loss):
    examples = doctest.DocTestParser().get_examples(loss.function.__doc__)
    assert any(re.search(r"\d", example.want) for example in examples)


def blocks(text):
    """Code that is set in by four spaces and is no session."""
    for lead, body in re.findall(r"^(?=\S)(.*)\n\n((?:    .*\n|\n)+)", text + "\n", re.M):
        if not lead.startswith(".. math") and ">>>" not in body:
            yield body


def called(body):
    """The names that a block calls, e.g. `kd.fit`; none where it is no Python."""
    try:
        tree = ast.parse("if 1:\n" + body)
    except SyntaxError:
        return []
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def exists(name, known):
    """Whether a called name is there; of an object that only the block knows, nothing is said."""
    first, _, rest = name.partition(".")
    if not rest:
        return first in known or first in SOMEBODY_ELSES
    if not inspect.ismodule(known.get(first)):
        return True
    try:
        return callable(operator.attrgetter(rest)(known[first]))
    except AttributeError:
        return False


def test_code_in_a_docstring_names_what_exists():
    names = 0
    for module, place, text in ALL:
        for name in (n for body in blocks(text) for n in called(body)):
            known = {**vars(builtins), **vars(kd), **vars(importlib.import_module(module)), "kd": kd}
            assert exists(name, known), f"{module}.{place} names {name}"
            names += 1
    assert names >= 15


def test_a_name_that_does_not_exist_is_found():
    text = "Use it so:\n\n    kd.fitt(student, Termm(loss), train.take(3), kd.distill.logits.kl())\n"
    (body,) = blocks(text)
    known = {**vars(kd), "kd": kd}
    assert [exists(name, known) for name in called(body)] == [False, False, True, False]
