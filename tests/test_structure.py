"""Set-up and structure: what is declared, what imports what, what an import costs."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "kdlearn"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Each module may import those of lower levels, and its own where the level is a folder of losses.
LEVELS = [
    {"backend", "files", "cells", "theme"},
    {"checks", "commands.decimals", "drawable", "arrows"},
    {"nn.functional", "nn.masks", "commands.alarms", "commands.dates"},
    {"data.labelling", "ideas", "nn.mixture"},
    {"loss", "learner", "differences"},
    {"data.columns"},
    {"data.stacked"},
    {"nn.layers", "metrics", "data.sets", "judging"},
    {"nn.module", "review"},
    {"nn.network"},
    {"nn.optim", "nn.stack", "objective"},
    {"step", "history", "counts", "values", "fingerprint"},
    {"run"},
    {"faults", "reads", "telling"},
    {"description", "door", "checkpoint", "side_by_side"},
    {"evaluation", "epoch", "resume"},
    {"training", "hooks"},
    {"distill.response", "distill.privacy"},
    {
        "distill.diffusion",
        "distill.divergence",
        "distill.targets",
        "distill.feature",
        "distill.ensemble",
        "distill.transfer",
        "distill.multilabel",
    },
    {"distill.logits", "distill.relation", "distill.temperature", "distill.mutual"},
    {
        "distill.collaborative",
        "distill.branches",
        "distill.attention",
        "distill.exits",
        "distill.past",
        "distill.views",
        "distill.forgetting",
        "distill.datafree",
        "distill.robust",
        "distill.unlabelled",
        "distill.dirichlet",
    },
    {"distill.sequence", "distill.jacobian"},
    {"distill.assistant"},
    {"distill.generations"},
    {
        "gradcheck",
        "plots",
        "study.around",
        "study.origin",
        "study.intervals",
        "commands.frames",
        "estimators.settings",
        "estimators.rows",
    },
    {"study.cells"},
    {"study.comparison", "commands.outputs", "commands.rules", "commands.target"},
    {"study.trials", "commands.as_taught"},
    {"estimators.watch", "estimators.contest", "estimators.teachers", "estimators.lesson", "estimators.encoder"},
    {"estimators.reading"},
    {"estimators.training"},
    {"estimators.base"},
    {"estimators.classifier"},
    {"estimators.regressor"},
    {"export.columns", "export.toolchain"},
    {"export.transformers", "workbook.task"},
    {"export.parts", "workbook.losses", "workbook.network"},
    {"export.plan", "export.fitted", "workbook.training"},
    {"export.check", "export.saved", "export.c_text"},
    {"export.integers", "export.onnx_int8", "export.costs"},
    {"export.c_frame", "export.c_selftest", "export.held", "export.onnx_door", "commands.student"},
    {"export.onnx_file"},
    {"export.c_float", "export.c_integer", "export.converter"},
    {"export.c_file", "commands.measure", "commands.teacher"},
    {"demo", "hinton.pixels", "hinton.bias", "hinton.rows", "commands.distill", "commands.deploy", "commands.check"},
    {"hinton.teaching", "hinton.towards"},
    {"hinton.lessons", "hinton.names"},
    {"hinton.table"},
    {"commands.hinton", "bench.work", "fast.launch"},
    {"fast.losses", "fast.rules"},
    {"bench.ours", "bench.rivals", "bench.rivals_jax", "bench.rivals_thinc"},
    {"bench.suite", "bench.profile", "bench.scaling"},
    {"bench.measure"},
    {"commands.bench"},
    {"catalogue.losses", "catalogue.recipes.parts"},
    {f"catalogue.recipes.{path.stem}" for path in (PACKAGE / "catalogue" / "recipes").glob("[!_]*.py")}
    - {"catalogue.recipes.parts"},
    {"catalogue.measured.tasks", "catalogue.measured.lessons"},
    {"catalogue.measured.one_teacher"},
    {"catalogue.measured.several", "catalogue.measured.no_teacher"},
    {"catalogue.measured.arm"},
    {"catalogue.measured.cost"},
    {"catalogue.measured.study"},
    {"commands.catalogue"},
    {"cli"},
    {"__main__"},
]

# Where a folder itself is imported: the highest that this brings.
WHOLE = {
    "data": "data.sets",
    "distill": "distill.generations",
    "estimators": "estimators.regressor",
    "export": "export.c_file",
    "fast": "fast.rules",
    "hinton": "hinton.lessons",
    "study": "study.trials",
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not name.endswith("__init__"):
            yield name, path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kdlearn"):
            inside = node.module.removeprefix("kdlearn").lstrip(".")
            for alias in node.names:
                full = f"{inside}.{alias.name}".lstrip(".")
                yield full if (PACKAGE / (full.replace(".", "/") + ".py")).exists() else inside
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("kdlearn.") for a in node.names if a.name.startswith("kdlearn."))


def test_imports_run_one_way():
    level = {name: i for i, names in enumerate(LEVELS) for name in names}
    for name, path in modules():
        assert name in level, f"{name} has no place in LEVELS"
        for other in imports(path):
            below = level[WHOLE.get(other, other)]
            assert below < level[name], f"{name} imports {other}"


def test_only_backend_imports_cupy():
    for name, path in modules():
        if name != "backend":
            assert not re.search(r"^\s*(import|from) cupy", path.read_text(), re.M), name


def test_an_import_is_fast_and_brings_only_numpy():
    script = (
        "import sys, time; import numpy; began = time.process_time(); import kdlearn; "
        "print(time.process_time() - began); print([m for m in "
        "('sklearn', 'scipy', 'matplotlib', 'tqdm', 'IPython', 'cupy', 'joblib', 'torch') if m in sys.modules])"
    )
    seconds, heavy = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 0.5


def test_plots_without_matplotlib_say_how_to_get_it(monkeypatch):
    from kdlearn import plots

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plots.probabilities([0.5, 0.5])


def test_files_stay_small():
    for name, path in modules():
        tree = ast.parse(path.read_text())
        docstrings = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            for line in range(node.lineno, node.end_lineno + 1)
        }
        code = [
            i
            for i, text in enumerate(path.read_text().splitlines(), 1)
            if text.strip() and not text.strip().startswith("#") and i not in docstrings
        ]
        assert len(code) <= 260, f"{name} has {len(code)} lines of code"


def test_public_names_exist_once_and_have_docstrings():
    import kdlearn as kd

    assert len(set(kd.__all__)) == len(kd.__all__)
    for name in kd.__all__:
        assert getattr(kd, name).__doc__, name


def requirement(text):
    name, bound = re.match(r"([A-Za-z0-9_.-]+)\s*(.*)", text).groups()
    return name.lower().replace("_", "-"), bound


def test_every_direct_dependency_has_a_lower_bound_and_no_cap():
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    for text in (t for group in groups for t in group):
        assert re.search(r">=\d", text) and "<" not in text and "==" not in text, text
    assert PROJECT["project"]["requires-python"] == ">=3.11"


def test_cupy_is_never_in_the_base_and_never_twice():
    extras = PROJECT["project"]["optional-dependencies"]
    assert not any("cupy" in t or "torch" in t for t in PROJECT["project"]["dependencies"] + extras["test"])
    assert [[requirement(t)[0] for t in extras[e]] for e in ("cuda12", "cuda13")] == [
        ["cupy-cuda12x"],
        ["cupy-cuda13x"],
    ]


def test_what_is_imported_is_declared():
    declared = {requirement(t)[0] for t in PROJECT["project"]["dependencies"]}
    optional = {
        "pandas",
        "mnist1d",
        "cupy",
        "cupyx",
        "onnx",
        "onnxruntime",
        "skl2onnx",
        "torch",
        "thinc",
        "jax",
        "optax",
    }
    known = {"sklearn": "scikit-learn"}
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            roots = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and node.level == 0
                else []
            )
            for root in (r.partition(".")[0] for r in roots):
                if root and root != "kdlearn" and root not in sys.stdlib_module_names and root not in optional:
                    assert known.get(root, root) in declared, f"{name} imports {root}, which is not declared"


def test_environment_yml_says_the_same_as_pyproject():
    """Every base, notebook and test dependency, with the same bound, and a reason beside each line."""
    lines = [line for line in (ROOT / "environment.yml").read_text().splitlines() if line.strip().startswith("- ")]
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = dict(requirement(t) for t in [*PROJECT["project"]["dependencies"], *extras["notebooks"], *extras["test"]])
    found = {}
    for line in lines:
        entry, _, reason = line.strip()[2:].partition("#")
        if entry.strip() in ("conda-forge", "pip", "pip:", "-e ."):
            continue
        assert reason.strip(), f"no reason beside {entry.strip()}"
        name, bound = requirement(entry.strip().strip('"'))
        found[{"matplotlib-base": "matplotlib"}.get(name, name)] = bound.strip()
    assert found.pop("python") == PROJECT["project"]["requires-python"]
    assert found == wanted


def test_the_tree_names_no_machine():
    here = re.compile(r"(?<![\w.])/(?:home|root|Users|work|opt)/\w")
    for folder in ("kdlearn", "docs", "notebooks", "tests", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".ipynb", ".toml", ".yml"} and ".ipynb_checkpoints" not in path.parts:
                assert not here.search(path.read_text()), path


def test_the_map_lists_every_notebook_by_its_title():
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    listed = re.findall(r"^\| \[(\d\d) (.+?)\]\((.+?)\)", (ROOT / "notebooks" / "README.md").read_text(), re.M)
    assert [file for _, _, file in listed] == [path.name for path in notebooks]
    for (number, title, _), path in zip(listed, notebooks):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert "".join(cells[0]["source"]).splitlines()[0] == f"# {title}", path.name
        assert path.name.startswith(number)


def test_notebooks_are_stored_as_they_ran():
    """Counts run from 1 on, or nbval would compare nothing; no error, nothing on stderr."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
        assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1)), path.name
        outputs = [o for c in cells for o in c["outputs"]]
        assert not any(o["output_type"] == "error" or o.get("name") == "stderr" for o in outputs), path.name
        assert max(len("".join(c["source"]).splitlines()) for c in cells) <= 25, path.name


def test_every_module_of_the_reference_is_imported_by_its_path():
    """`import kdlearn.study.trial as t` gave the function of that name, which the package publishes."""
    pages = (PACKAGE.parent / "docs" / "reference").glob("*.md")
    listed = {name for page in pages for name in re.findall(r"automodule:: (\S+)", page.read_text("utf-8"))}
    assert len(listed) > 100
    for name in sorted(listed):
        module = importlib.import_module(name)
        found = functools.reduce(getattr, name.split(".")[1:], importlib.import_module("kdlearn"))
        assert found is module, f"{name} is hidden by {found!r}"
