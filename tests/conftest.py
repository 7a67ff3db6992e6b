"""What tests share: the backends (NumPy, the stand-in with CuPy's refusals, CuPy where a GPU is) and a browser."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core: BLAS threads would fight, those of notebooks too
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import sys
from types import SimpleNamespace

import cupy_standin
import hypothesis
import numpy as np
import pytest
from chromium import launched

from kdlearn.backend import BackendUnavailable, resolve_device, to_device
from kdlearn.export import costs

# A busy machine is not a failure of the code. Of several failures one is raised, as it is: a group of them is printed
# in another form, in which tests/test_mutations.py cannot read what failed.
hypothesis.settings.register_profile("patient", deadline=None, report_multiple_bugs=False)
hypothesis.settings.load_profile("patient")


costs.SECONDS = 0.05  # a report is timed briefly: no test asks how quick a model is


def pytest_configure(config):
    config.addinivalue_line("markers", "gpu: needs a real GPU and CuPy")


@pytest.fixture
def standin(monkeypatch):
    """The stand-in in CuPy's place; its counters, at zero."""
    for name, module in cupy_standin.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    cupy_standin.count.host_copies = cupy_standin.count.syncs = 0
    return cupy_standin.count


@pytest.fixture(scope="module")
def browser():
    """Chromium, one for each file of tests that looks at pages; or a skip with its reason."""
    with launched() as chromium:
        yield chromium


@pytest.fixture(autouse=True)
def few_trees(request):
    """The command line's tests grow a small forest, which is quick."""
    if request.path.parent.name == "commands":
        from kdlearn.commands import teacher

        assert teacher.TREES == 300
        request.getfixturevalue("monkeypatch").setattr(teacher, "TREES", 30)


def require_cupy():
    """Skip where no GPU is; with KDLEARN_REQUIRE_GPU=1 fail instead."""
    try:
        resolve_device("cuda")
    except BackendUnavailable as reason:
        if os.environ.get("KDLEARN_REQUIRE_GPU") == "1":
            pytest.fail(str(reason))
        pytest.skip(f"no GPU: {reason}")


@pytest.fixture(params=["numpy", "standin", "cupy"])
def backend(request):
    """`put(array)` on the backend's device, its `device`, and its `name`."""
    if request.param == "standin":
        request.getfixturevalue("standin")
    elif request.param == "cupy":
        require_cupy()
    device = "cpu" if request.param == "numpy" else "cuda"
    return SimpleNamespace(name=request.param, device=device, put=lambda a: to_device(np.asarray(a), device))


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With KDLEARN_REQUIRE_PACKAGES=1 a test skipped for want of a package is a failure; of a GPU it is not."""
    report = yield
    reason = str(getattr(report, "longrepr", ""))
    wanting = report.skipped and ("could not import" in reason or "is not installed" in reason)
    wanting = wanting and "no GPU" not in reason  # which KDLEARN_REQUIRE_GPU decides
    if wanting and os.environ.get("KDLEARN_REQUIRE_PACKAGES") == "1":
        report.outcome = "failed"
    return report
