"""The workbook: its solution is right, each mistake in it gets its name, and nothing in a file harms the check."""

from __future__ import annotations

import ast
import functools
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from slips import HARMS, MISTAKES

from kdlearn import cli, learner
from kdlearn.commands import check
from kdlearn.workbook import task

HERE = Path(__file__).parent
SOLUTION = (HERE / "solution.py").read_text("utf-8")
FOLDER = HERE.parents[1] / "notebooks" / "workbook"


def module(text):
    made = types.ModuleType("my_kd")
    exec(compile(text, "my_kd.py", "exec"), vars(made))
    return made


def source(name, text=SOLUTION):
    """The text of one function."""
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == name)
    return ast.get_source_segment(text, node)


def functions(text):
    """Names, arguments and docstrings of a file's functions."""
    nodes = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
    return [(n.name, ast.unparse(n.args), ast.get_docstring(n)) for n in nodes]


def test_the_solution_is_right():
    own = module(SOLUTION)
    assert [name for name in check.ORDER if not check.review(own, name)] == []


def test_the_workbook_asks_for_what_the_solution_solves():
    text = (FOLDER / "my_kd.py").read_text("utf-8")
    assert functions(text) == functions(SOLUTION)
    assert [name for name, _, _ in functions(text)] == list(check.ORDER) and set(check.ORDER) == set(check.TASKS)
    assert text.count("raise NotImplementedError") == len(check.ORDER)
    assert max(map(len, text.splitlines())) <= 88
    own = module(text)
    assert {str(check.review(own, name)) for name in check.ORDER} == {"not written yet"}


EACH = [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.mark.parametrize("name, old, new, words", EACH, ids=[f"{m[0]}: {m[3]} {i}" for i, m in enumerate(EACH)])
def test_a_mistake_has_its_name(name, old, new, words):
    before = source(name)
    assert before.count(old) == 1, f"{old!r} is not in {name} once"
    own = module(SOLUTION.replace(before, before.replace(old, new)))
    found = str(check.review(own, name))
    assert found.startswith(words) and "\n" not in found, found
    calls = [n for n in check.ORDER if n != name and re.search(rf"\b{name}\(", source(n))]
    assert all(check.review(own, other) for other in calls)  # each is judged alone


@pytest.mark.parametrize("name", check.ORDER)
def test_every_slip_is_told_from_what_is_right_and_from_the_others(name):
    task = check.TASKS[name]
    assert learner.reviewed(lambda: task.check(task.right))
    for sentence, slip in task.slips.items():
        idea, _, hint = sentence.partition(": ")
        found = learner.reviewed(lambda slip=slip: task.check(slip))
        assert (found.right, found.idea, found.hint) == (False, idea, hint)


def squeezed(found):
    return type(found)(map(squeezed, found)) if isinstance(found, (list, tuple)) else np.squeeze(found)


@pytest.mark.parametrize("name", [name for name in check.ORDER if name != "start"])
def test_an_axis_of_length_one_must_stay(name):
    """A squeezed result passed in ten of the exercises; `start` was asked for one class already."""
    own = module(SOLUTION)
    mine = vars(own)[name]
    vars(own)[name] = functools.wraps(mine)(lambda *place, **settings: squeezed(mine(*place, **settings)))
    assert re.match("missing: one (row|column)", str(check.review(own, name)))


def test_a_softmax_in_single_precision_is_right():
    """It was told to take the maximum away, which it does."""
    own = module(SOLUTION.replace("u = z / T\n    e =", "u = (z / T).astype('float32')\n    e ="))
    assert str(check.review(own, "softmax")) == "right"


STYLES = {  # (function, old, new): as right, written otherwise
    "means that begin at zero in step 1": (
        "adam",
        "    m = beta1 * m +",
        "    if t == 1:\n        m, v = 0 * m, 0 * v\n    m = beta1 * m +",
    ),
    "the first step by itself": (
        "adam",
        "return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v",
        "return theta - lr * (grad / (abs(grad) + eps) if t == 1 else m_hat / (np.sqrt(v_hat) + eps)), m, v",
    ),
    "other names and no default in the line": (
        "soft_targets",
        "def soft_targets(z_s, z_t, T=4.0):",
        "def soft_targets(z_s, teacher, T=None):\n    T, z_t = 4.0 if T is None else T, teacher",
    ),
    "a setting of its own": ("cross_entropy", "def cross_entropy(z, y):", "def cross_entropy(z, y, floor=1e-12):"),
    "a transposed draw": ("start", "rng.standard_normal((n, out))", "rng.standard_normal((out, n)).T"),
    "a spread inside": (
        "start",
        "np.sqrt(gain / n) * rng.standard_normal((n, out))",
        "rng.normal(0, (gain / n) ** 0.5, (n, out))",
    ),
    "one number after another": (
        "start",
        "rng.standard_normal((n, out))",
        "np.array([[rng.standard_normal() for _ in range(out)] for _ in range(n)])",
    ),
    "single precision": (
        "start",
        "rng.standard_normal((n, out))",
        "rng.standard_normal((n, out), dtype=np.float32)",
    ),
    "weights in single precision": (
        "train",
        "theta = [a for layer in network for a in layer]",
        "theta = [a.astype('float32') for layer in network for a in layer]",
    ),
    "rows as a list": ("train", "rows = order[i : i + batch_size]", "rows = order[i : i + batch_size].tolist()"),
    "batches in one go": (
        "train",
        "for i in range(0, len(x), batch_size):\n            rows = order[i : i + batch_size]",
        "for rows in np.split(order, range(batch_size, len(x), batch_size)):",
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_what_is_right_may_be_written_otherwise(style):
    """Single precision was told of the `forward` that was lent, and a first step of Adam from zero of square arrays."""
    name, old, new = STYLES[style]
    before = source(name)
    assert before.count(old) == 1
    assert str(check.review(module(SOLUTION.replace(before, before.replace(old, new))), name)) == "right"


@pytest.mark.parametrize("at", task.ODD, ids=[at.idea for at in task.ODD])
def test_an_odd_place_is_odd_in_nothing_else(at):
    """At square arrays `adam` was asked a first step with means of another, and `softmax` a temperature of its own."""
    numbers = (int, float)
    for name, one in check.TASKS.items():
        if (place := one.odd(at)) is None or name == "train":
            continue
        assert [a for a in place if isinstance(a, numbers)] == [a for a in one.places[0] if isinstance(a, numbers)]


def test_an_array_is_not_told_of_networks():
    """For three outputs `linear` was told of equal widths: (5, 4) and (4, 3) are not equal."""
    own = module(SOLUTION.replace("return x @ W + b", "return x @ W + b * (W.shape[1] != 3)"))
    assert not re.search("equal widths|one layer", str(check.review(own, "linear")))


def test_there_are_mistakes_of_every_function():
    assert set(MISTAKES) == set(check.ORDER)


@pytest.mark.parametrize("words", HARMS)
def test_whatever_a_function_does_the_check_goes_on(words, monkeypatch):
    monkeypatch.setattr(check, "SECONDS", 0.3)
    before = source("relu_backward")
    own = module(SOLUTION.replace(before, f"def relu_backward(dy, y):\n    {HARMS[words]}"))
    found = str(check.review(own, "relu_backward"))
    assert found.startswith(words) and "\n" not in found, found
    assert check.review(own, "backward")


def test_what_calls_a_wrong_function_is_told_apart_from_it():
    """The learner's softmax is back in its place after each check."""
    own = module(SOLUTION)
    mine = own.softmax
    check.review(own, "cross_entropy")
    assert own.softmax is mine


def run(tmp_path, text, capsys):
    path = tmp_path / "my_kd.py"
    path.write_text(text, "utf-8", errors="surrogateescape")
    status = cli.main(["check", str(path)])
    out, err = capsys.readouterr()
    return status, out, err.replace(str(path), "my_kd.py")


def test_the_command_says_a_line_for_each_function(tmp_path, capsys):
    before = source("adam")
    text = SOLUTION.replace(before, before.replace("return theta - lr", "return theta + lr")).replace(
        "def start(", "def begin("
    )
    status, out, err = run(tmp_path, text, capsys)
    lines = out.splitlines()
    assert status == 1 and err == "" and lines[-1] == "12 of 14 are right."
    assert [line.split()[0] for line in lines[:14]] == list(check.ORDER)
    assert [line.split(maxsplit=1) for line in lines[:14] if not line.endswith(" right")] == [
        ["start", "the file has no function start"],
        ["adam", "missing: a sign. The step goes against the gradient; yours climbs."],
    ]


def test_a_solved_workbook_trains_beside_the_package(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check, "SEEDS", range(2))
    monkeypatch.setattr(check, "EPOCHS", 40)
    status, out, err = run(tmp_path, SOLUTION, capsys)
    assert status == 0 and err == "" and "All 14 are right." in out
    rows = re.findall(r"^(labels alone|with a teacher) +(\S+) % +(\S+) %$", out, re.M)
    assert [name for name, _, _ in rows] == ["labels alone", "with a teacher"]
    for _, yours, ours in rows:
        assert abs(float(yours) - float(ours)) < 1 and float(yours) > 60
    assert re.search(r"adds [+-]\d+\.\d+ ± ", out)


LISTS = {  # (what the loss returns, what is then said)
    "lists and floats": ("return float(value), (dz / N).tolist()", ""),
    "a training that cannot run": (
        "return (value, dz / N) if len(z) < 40 else (value, 'dz')",
        r"your functions do not run together: my_kd\.py(, line \d+)?: \w+Error: .*\n",
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_what_is_right_alone_runs_together_or_says_where_not(what, tmp_path, capsys, monkeypatch):
    """All 14 are right, and then a traceback: a list times a share."""
    monkeypatch.setattr(check, "SEEDS", range(2))
    monkeypatch.setattr(check, "EPOCHS", 2)
    changed, words = LISTS[what]
    loss = source("cross_entropy")
    assert loss.endswith("return value, dz / N")
    text = SOLUTION.replace(loss, loss.replace("return value, dz / N", changed))
    status, out, err = run(tmp_path, text, capsys)
    assert "All 14 are right." in out and re.fullmatch(f"(kdlearn check: {words})?", err)
    assert (status, bool(err)) == ((2, True) if words else (0, False))


EVERYWHERE = """

def lists(found):
    if isinstance(found, (list, tuple)):
        return [lists(part) for part in found]
    return found.tolist()


def listed(function):
    return functools.wraps(function)(lambda *place, **settings: lists(function(*place, **settings)))


import functools
"""


def test_lists_that_are_right_run_together(tmp_path, capsys, monkeypatch):
    """All 14 are right, and then: 'list' object has no attribute 'shape'."""
    monkeypatch.setattr(check, "SEEDS", range(2))
    monkeypatch.setattr(check, "EPOCHS", 2)
    text = SOLUTION + EVERYWHERE + "\n".join(f"{name} = listed({name})" for name in check.ORDER)
    status, out, err = run(tmp_path, text, capsys)
    assert (status, err) == (0, "") and "All 14 are right." in out and out.count(" %") == 4 + 1


@pytest.mark.parametrize(
    "text, words",
    [
        ("def f(:\n", "my_kd.py, line 1: invalid syntax"),
        ("import numpy\n\nnumpy.nothing\n", "my_kd.py, line 3: AttributeError: "),
        ("raise SystemExit\n", "my_kd.py, line 1: SystemExit"),
        (None, "No such file"),
        ("\udcff", "my_kd.py is no text in UTF-8: save it as such"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused_in_one_line(text, words, tmp_path, capsys):
    if text is None:
        assert cli.main(["check", str(tmp_path / "none.py")]) == 2
        out, err = capsys.readouterr()
    else:
        status, out, err = run(tmp_path, text, capsys)
        assert status == 2
    assert out == "" and words in err and len(err.splitlines()) == 1


def test_a_notebook_is_no_file_of_functions(tmp_path, capsys):
    """It had no function, fourteen times."""
    path = tmp_path / "my.ipynb"
    path.write_text('{"cells": []}')
    assert cli.main(["check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("my.ipynb is a notebook: put its functions into a .py file, and check that\n")


def test_a_mark_before_the_first_letter_is_no_mistake(tmp_path):
    path = tmp_path / "my_kd.py"
    path.write_text("one = 1\n", "utf-8-sig")
    assert check.load(path).one == 1


def test_a_name_that_is_no_function():
    assert "is no function, it is of type int" in str(check.review(module("softmax = 3"), "softmax"))


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_kd.py").write_text(SOLUTION, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_kd", raising=False)
    readme = (FOLDER / "README.md").read_text("utf-8")
    exec("\n".join(re.findall(r"```python\n(.*?)```", readme, re.S)), {})
    monkeypatch.delitem(sys.modules, "my_kd")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "right" and float(second.removesuffix(" %")) > 80
    named = [
        name for row in re.findall(r"^\| \d .*", readme, re.M) for name in re.findall(r"`(\w+)`", row.split("|")[2])
    ]
    assert named == list(check.ORDER)


def test_a_limit_ends_where_it_was_set(monkeypatch):
    """No alarm is left behind."""
    import signal

    with learner.limited(5.0):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
