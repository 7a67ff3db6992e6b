"""CUDA kernels compiled for the host by g++; where threads of a block wait for each other, each is a thread of the CPU.

Blocks run one after the other, so what `__shared__` is in CUDA is `static` here. It proves what the
source computes and that its barriers are enough to compute it; not speed, and not what nvcc makes of it.
"""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

PRELUDE = """
#include <cmath>
#include <barrier>
#include <thread>
#include <vector>
using std::fmax; using std::exp; using std::log; using std::expm1; using std::sqrt;
#define __global__
#define __device__ inline
#define __shared__ static
struct Index { int x; };
static thread_local Index threadIdx;
static Index blockIdx, blockDim;
static std::barrier<>* everybody;
static void __syncthreads() { everybody->arrive_and_wait(); }
template <class Kernel> void run(int grid, int block, bool together, Kernel kernel) {
    blockDim.x = block;
    for (int b = 0; b < grid; ++b) {
        blockIdx.x = b;
        for (int t = 0; t < block && !together; ++t) { threadIdx.x = t; kernel(); }
        if (!together) continue;
        std::barrier<> all(block);
        everybody = &all;
        std::vector<std::thread> threads;
        for (int t = 0; t < block; ++t) threads.emplace_back([=] { threadIdx.x = t; kernel(); });
        for (auto& thread : threads) thread.join();
    }
}
"""
launches = []  # names of the kernels launched
KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')
SCALARS = {"integer": ctypes.c_longlong, "double": ctypes.c_double}


def signatures(code):
    """{kernel: [type of each parameter]}, pointers as `real*` or `integer*`."""
    return {
        name: [p.strip().removeprefix("const ").rsplit(" ", 1)[0] for p in parameters.split(",")]
        for name, parameters in KERNEL.findall(code)
    }


@functools.lru_cache
def compiled(code, options):
    """The code as a library of functions `on_host_<kernel>(grid, block, arguments …)`."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed, and the kernels run on the host through it")
    launchers = []
    bodies = {part.split("(")[0]: part for part in code.split('extern "C" __global__ void ')[1:]}
    for name, types in signatures(code).items():
        together = "true" if re.search(r"__syncthreads|over_block", bodies[name]) else "false"
        parameters = ", ".join(f"{t} a{i}" for i, t in enumerate(types))
        arguments = ", ".join(f"a{i}" for i in range(len(types)))
        launchers.append(
            f'extern "C" void on_host_{name}(int grid, int block, {parameters}) '
            f"{{ run(grid, block, {together}, [=] {{ {name}({arguments}); }}); }}"
        )
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
        source.write_text("\n".join([PRELUDE, code, *launchers]))
        command = [compiler, "-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", *options, source, "-o", library]
        try:
            subprocess.run(command, check=True)
        except subprocess.CalledProcessError:
            source.write_text(PRELUDE)  # if not even this compiles, the kernels are not to blame
            if subprocess.run(command, capture_output=True).returncode:
                pytest.skip("g++ is too old for the barriers of C++20")
            raise
        return ctypes.CDLL(str(library))


class RawModule:
    """As much of `cupy.RawModule` as kdlearn uses, over the stand-in's arrays, refusals included."""

    def __init__(self, *, code, options=()):
        assert isinstance(options, tuple), "cupy.RawModule takes its options as a tuple"
        self.code, self.options = code, options

    def get_function(self, name):
        types = signatures(self.code)[name]
        real = np.dtype("float32" if "-DREAL=float" in self.options else "float64")
        dtypes = {"real*": real, "integer*": np.dtype("int64")}
        library = compiled(self.code, self.options)

        def call(grid, block, arguments):
            assert len(arguments) == len(types), f"{name} takes {len(types)} arguments, got {len(arguments)}"
            assert len(grid) == 1 and 0 < grid[0] < 2**31 and len(block) == 1 and 0 < block[0] <= 1024
            launches.append(name)
            passed = []
            for i, (kind, a) in enumerate(zip(types, arguments)):
                if kind in dtypes:
                    array = a._a  # a NumPy array has none: CuPy would refuse it as well
                    assert array.dtype == dtypes[kind], f"argument {i} of {name} is {array.dtype}, not {dtypes[kind]}"
                    assert array.flags.c_contiguous, f"argument {i} of {name} is not contiguous"
                    passed.append(ctypes.c_void_p(array.ctypes.data))
                else:  # CuPy passes a Python int as long long and a Python float as double
                    assert type(a) is {"integer": int, "double": float}[kind], f"argument {i} of {name} is {type(a)}"
                    passed.append(SCALARS[kind](a))
            getattr(library, f"on_host_{name}")(ctypes.c_int(grid[0]), ctypes.c_int(block[0]), *passed)

        return call
