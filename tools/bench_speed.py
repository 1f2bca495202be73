"""How fast the stages of fit and decode are, beside what the machine can do; rows are appended to results/speed.tsv.

    python tools/bench_speed.py [STAGE ...] [--mesh FILE] [--image FILE] [--repeat 5] [-o FILE]

Stages, all of them without a name: peak, bandwidth, step, parts, entropy, decode, points, isosurface, queries, open,
compile, sizes.
Without files the signals are those of tools/make_demo.py, a picture of 768 x 512 and a knot, encoded at effort 1. Values are
medians of several runs. `ratio` says how many times as fast a row is as what `against` names, or which share of the peak it is.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
from bench_peak import copied_bytes, gflops
from make_demo import knot, picture
from tsv import ROOT, Table

import nfcodec
from nfcodec import io
from nfcodec.isosurface import METHODS
from nfcodec.kernels.threads import n_threads

COLUMNS = "stage setting value unit ratio against"
STAGES: dict[str, Callable[["Bench"], None]] = {}
LMBDA = 10**-3.1  # as quality 50
_SIZES = range(16, 23)
_BUDGET_S = 2.0  # for the runs of one value


def stage(function: Callable[["Bench"], None]) -> Callable[["Bench"], None]:
    """Lists a stage under the name of its function."""
    STAGES[function.__name__] = function
    return function


@contextmanager
def kernels(name: str, threads: int | None = None) -> Iterator[None]:
    """Which kernels decode and fit, and with how many threads."""
    os.environ["NFCODEC_KERNELS"] = name
    if threads is not None:
        os.environ["NFCODEC_THREADS"] = str(threads)
    try:
        yield
    finally:
        del os.environ["NFCODEC_KERNELS"]
        os.environ.pop("NFCODEC_THREADS", None)


class Bench:
    """What stages share: the table, the signals and their files, and the peak."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.table = Table(args.output or ROOT / "results" / "speed.tsv", COLUMNS.split())
        self._folder = tempfile.TemporaryDirectory(prefix="nfcodec-bench-")

    def add(self, stage: str, setting: str, value: float, unit: str, ratio: float | None = None, against: str = "") -> None:
        self.table.add(stage, setting, value, unit, ratio, against)

    def seconds(self, call: Callable[[], object], warm: bool = True) -> float:
        """The median over some runs, after one that is not counted."""
        if warm:
            call()
        times: list[float] = []
        while len(times) < self.args.repeat and (len(times) < 3 or sum(times) < _BUDGET_S):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    @cached_property
    def peak(self) -> float:
        """GFLOP/s of one core."""
        return gflops(1)

    @cached_property
    def image(self) -> np.ndarray:
        return io.read(self.args.image).values if self.args.image else picture(512, 768)

    @cached_property
    def image_file(self) -> Path:
        return self._encoded("image", self.image, kind="image")

    @cached_property
    def mesh_file(self) -> Path:
        source = self.args.mesh or Path(self._folder.name) / "knot.obj"
        if not self.args.mesh:
            io.write_mesh(source, knot())
        return self._encoded("mesh", source)

    def _encoded(self, name: str, source, **settings) -> Path:
        path = Path(self._folder.name) / f"{name}.nfld"
        nfcodec.encode(source, path, effort=1, **settings)
        return path

    def python(self, code: str, *arguments: object, **environment: str) -> list[float]:
        """The numbers that a fresh process prints."""
        command = [sys.executable, "-c", code, *map(str, arguments)]
        # installed modules are compiled once, whatever this shell wants
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        run = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=True)
        return [float(word) for word in run.stdout.split()]


@stage
def peak(bench: Bench) -> None:
    """Multiplications and additions in registers alone."""
    bench.add("peak", "1 thread", bench.peak, "GFLOP/s")
    n = n_threads()
    if n > 1:
        every = gflops(n)
        bench.add("peak", f"{n} threads", every, "GFLOP/s", every / bench.peak, "1 thread")


@stage
def bandwidth(bench: Bench) -> None:
    """A copy of far more than fits any cache; bytes are counted once read and once written."""
    one = None
    for n in sorted({1, n_threads()}):
        rate = copied_bytes(n) / 1e9
        bench.add("bandwidth", f"{n} threads", rate, "GB/s", rate / one if one else None, "1 thread" if one else "")
        one = one or rate


@stage
def step(bench: Bench) -> None:
    """One training step of a dense field of an image, and its share of the peak."""
    _steps(bench, with_parts=False)


@stage
def parts(bench: Bench) -> None:
    """What of a step is the error of the network, and what the bits of the context network, on one thread."""
    _steps(bench, with_parts=True)


def _steps(bench: Bench, with_parts: bool) -> None:
    import torch
    from bench_steps import part_seconds, prepare, step_flops, step_seconds

    torch.set_num_threads(1)
    fit = prepare(bench.image, LMBDA)
    flops = step_flops(fit)
    if with_parts:
        for name, seconds in part_seconds(fit).items():
            rate = flops[name] / seconds / 1e9
            bench.add("parts", f"{name}, 1 thread, ms", 1e3 * seconds, "ms")
            bench.add("parts", f"{name}, 1 thread", rate, "GFLOP/s", rate / bench.peak, "peak of 1 thread")
        return
    with kernels("numpy"):
        plain = step_seconds(fit, 0)
    total = sum(flops.values())
    rate = total / plain / 1e9
    bench.add("step", "torch by autograd, 1 thread", 1e3 * plain, "ms")
    bench.add("step", "torch by autograd, 1 thread", rate, "GFLOP/s", rate / bench.peak, "peak of 1 thread")
    for n in sorted({1, n_threads()}):
        with kernels("numba"):
            fast = step_seconds(fit, n)
        rate = total / fast / 1e9
        bench.add("step", f"kernels, {n} threads", 1e3 * fast, "ms", plain / fast, "torch by autograd, 1 thread")
        bench.add("step", f"kernels, {n} threads", rate, "GFLOP/s", rate / bench.peak / n, f"peak of {n} threads")


@stage
def entropy(bench: Bench) -> None:
    """Integers from the bytes of the image's file: opening it does little else."""
    data = bench.image_file.read_bytes()
    symbols = sum(array.size for level in nfcodec.open(data).grid.levels for array in level.values())
    slow = None
    for name in ("numpy", "native", "numba"):
        with kernels(name):
            seconds = bench.seconds(lambda: nfcodec.open(data), warm=name != "numpy")
        rate = symbols / seconds / 1e6
        bench.add("entropy", f"{name}, 1 thread", rate, "million symbols/s", rate / slow if slow else None, "numpy" if slow else "")
        slow = slow or rate


@stage
def decode(bench: Bench) -> None:
    """The image from its open field, at its own resolution, and the whole way from the bytes."""
    field = nfcodec.open(bench.image_file)
    _against_numpy(bench, "decode", lambda: field.decode(), lambda s: (1e3 * s, "ms"))
    _against_numpy(bench, "decode from bytes", lambda: nfcodec.open(bench.image_file).decode(), lambda s: (1e3 * s, "ms"))


def _against_numpy(bench: Bench, name: str, call: Callable[[], object], value: Callable[[float], tuple[float, str]]) -> None:
    """Rows of numpy and of the kernels with one thread and with all."""
    settings = [("numpy", "numpy", None)]
    settings += [("numba", f"kernels, {n} threads", n) for n in sorted({1, n_threads()})]
    slow = None
    for choice, setting, threads in settings:
        with kernels(choice, threads):
            seconds = bench.seconds(call)
        bench.add(name, setting, *value(seconds), slow / seconds if slow else None, "numpy" if slow else "")
        slow = slow or seconds


@stage
def points(bench: Bench) -> None:
    """Signed distances at points drawn at random in the box, and at points in the order of a lattice."""
    field = nfcodec.open(bench.mesh_file)
    rng = np.random.default_rng(0)
    for n in (1, 1 << 10, 1 << 20):
        coords = rng.random((n, 3))
        # numpy's turn has points for a second
        some = coords[: 1 << 16]
        slow = None
        for choice, threads in [("numpy", None), *(("numba", k) for k in sorted({1, n_threads()}))]:
            these = some if choice == "numpy" else coords
            with kernels(choice, threads):
                seconds = bench.seconds(lambda these=these: field.sample(these))
            rate = len(these) / seconds
            setting = f"{n} at random, " + (choice if threads is None else f"kernels, {threads} threads")
            bench.add("points", setting, rate, "points/s", rate / slow if slow else None, "numpy" if slow else "")
            slow = slow or rate
    side = (np.arange(100) + 0.5) / 100
    coords = np.stack([g.ravel() for g in np.meshgrid(side, side, side, indexing="ij")], 1)
    with kernels("numba"):
        rate = len(coords) / bench.seconds(lambda: field.sample(coords))
    bench.add("points", f"{len(coords)} in order, kernels, {n_threads()} threads", rate, "points/s")


@stage
def isosurface(bench: Bench) -> None:
    """The mesh at 256 samples along the longest axis, by either method."""
    field = nfcodec.open(bench.mesh_file)
    for method in METHODS:
        _against_numpy(bench, f"isosurface at 256, {method}", lambda m=method: field.to_mesh(256, method=m), lambda s: (s, "s"))


@stage
def queries(bench: Bench) -> None:
    """Gradients, closest points and rays of the surface, at points drawn at random in its box."""
    field, rng = nfcodec.open(bench.mesh_file), np.random.default_rng(0)
    coords, along = rng.random((1 << 18, 3)), rng.normal(size=(1 << 18, 3))
    points = np.array(field.spec.origin)[::-1] + coords * field.box_size[::-1]
    calls = {
        "gradients": lambda n: field.gradient(coords[:n]),
        "closest points": lambda n: field.closest_point(points[:n]),
        "rays": lambda n: field.raycast(points[:n], along[:n]),
    }
    for name, call in calls.items():
        slow = None
        for choice, threads, n in (("numpy", None, 1 << 10), *(("numba", k, 1 << 18) for k in sorted({1, n_threads()}))):
            with kernels(choice, threads):
                rate = n / bench.seconds(lambda call=call, n=n: call(n))
            setting = f"{name}, numpy" if threads is None else f"{name}, kernels, {threads} threads"
            bench.add("queries", setting, rate, "a second", rate / slow if slow else None, "numpy" if slow else "")
            slow = slow or rate


_OPEN = """
import sys, time, numpy as np, nfcodec
imported = time.perf_counter()
opener = nfcodec.open
start = time.perf_counter()
field = opener(sys.argv[1])
field.sample(np.full((1, field.spec.n_dims), 0.4))
end = time.perf_counter()
print(1e3 * (end - start), 1e3 * (end - imported))
"""


@stage
def open(bench: Bench) -> None:
    """From the path of a file to the first value, by `nfcodec.open` as a program has it at hand, and with the modules that the name
    brings at its first use."""
    small = Path(bench._folder.name) / "small.nfld"
    nfcodec.encode(picture(64, 96), small, kind="image", effort=1)
    for name, path in (("image of 96 x 64", small), ("surface", bench.mesh_file), ("image", bench.image_file)):
        opened, whole = (statistics.median(times) for times in zip(*(bench.python(_OPEN, path) for _ in range(5))))
        bench.add("open to first sample", name, opened, "ms")
        bench.add("open to first sample", f"{name}, with imports", whole, "ms")


_COMPILE = """
import sys, time, numpy as np, nfcodec
def run():
    start = time.perf_counter()
    field = nfcodec.open(sys.argv[1])
    field.decode() if field.spec.n_dims == 2 else field.sample(np.random.default_rng(0).random((1 << 17, 3)))
    return time.perf_counter() - start
first = run()
print(first - run())
"""


@stage
def compile(bench: Bench) -> None:
    """What the first use in a process costs beyond the second, with an empty cache of compiled kernels and with a full one."""
    for name, path in (("decode of an image", bench.image_file), ("points of a surface", bench.mesh_file)):
        with tempfile.TemporaryDirectory() as cache:
            empty, full = (bench.python(_COMPILE, path, NUMBA_CACHE_DIR=cache)[0] for _ in range(2))
        bench.add("compile", f"{name}, nothing compiled", empty, "s")
        bench.add("compile", f"{name}, from the cache", full, "s")


_ENCODE = """
import resource, sys, time, numpy as np, nfcodec
sys.path.insert(0, sys.argv[1])
from make_demo import picture
height, width = int(sys.argv[2]), int(sys.argv[3])
nfcodec.encode(picture(64, 96), kind="image", effort=1)
values = picture(height, width)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, busy = time.perf_counter(), time.process_time()
nfcodec.encode(values, kind="image", effort=1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(time.perf_counter() - start, time.process_time() - busy, peak / 1024, before / 1024)
"""


@stage
def sizes(bench: Bench) -> None:
    """Seconds, those of the processor, which other work does not prolong, and memory of encodes at effort 1 by the number of
    samples, and the exponents of their growth."""
    found = []
    for bits in bench.args.sizes:
        height, width = 1 << bits // 2, 1 << bits - bits // 2
        seconds, busy, peak_mb, before_mb = bench.python(_ENCODE, ROOT / "tools", height, width)
        found.append((bits, seconds, busy, peak_mb - before_mb))
        bench.add("sizes", f"2^{bits} samples", seconds, "s")
        bench.add("sizes", f"2^{bits} samples", busy, "processor s")
        bench.add("sizes", f"2^{bits} samples", peak_mb, "MB")
    if len(found) > 1:
        bits, *figures = zip(*found)
        for name, values in zip(("time", "time of the processor", "memory beyond an idle process"), figures):
            exponent = np.polyfit(bits, [math.log2(max(v, 1e-3)) for v in values], 1)[0]
            bench.add("sizes", f"exponent of {name}", float(exponent), "")


def parse(doc: str, stages: Mapping[str, object], *more: tuple[str, dict]) -> argparse.Namespace:
    """The command line of a benchmark of stages. more: (name, settings) of options of its own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(stages))
    parser.add_argument("--mesh", type=Path, help="a mesh in place of the knot")
    parser.add_argument("--image", type=Path, help="an image in place of the hills")
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the median is taken")
    for name, settings in more:
        parser.add_argument(name, **settings)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if unknown := set(args.stages) - set(stages):
        parser.error(f"got stages {', '.join(sorted(unknown))}, expected some of {', '.join(stages)}")
    return args


def main() -> None:
    """Parses the command line and runs the stages."""
    sizes = {"type": lambda s: [int(x) for x in s.split(",")], "default": list(_SIZES), "help": "log2 of samples"}
    args = parse(__doc__, STAGES, ("--sizes", sizes))
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 0.3:
        print(f"bench: other work is going on (load {load:.1f}): times will be too long, and ratios off", file=sys.stderr)
    bench = Bench(args)
    for name in args.stages or STAGES:
        STAGES[name](bench)


if __name__ == "__main__":
    main()
