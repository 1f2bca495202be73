"""How fast fit and decode are on a GPU for CUDA, beside what its memory can do; rows are appended to results/speed.tsv.

    python tools/bench_gpu.py [STAGE ...] [--image FILE] [--mesh FILE] [--repeat 5] [-o FILE]

Stages, all of them without a name: step, kernels, encode, others, decode, hash, volume, surface. Without files the signals are those of
tools/make_demo.py. Values are medians of several runs, after one that compiles; `ratio` says how many times as fast a row is
as what `against` names, or which share of its floor it reaches.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from bench_speed import LMBDA, Bench, kernels, parse
from bench_steps import loop_bytes, loop_parts, loop_seconds, prepare, prepare_source, step_seconds
from make_demo import knot, volume

import nfcodec
from nfcodec import decode as opening
from nfcodec import encoder, io
from nfcodec.fit import build, presets, session
from nfcodec.fit.model import FieldModel
from nfcodec.fit.source import from_lattice, from_mesh, measure_mesh
from nfcodec.fit.train import Fit, Recipe
from nfcodec.kernels.threads import n_threads
from nfcodec.spec import Signal

STAGES: dict[str, Callable[["GpuBench"], None]] = {}
PRECISIONS = ("float32", "tfloat32", "float16")
_EAGER, _COPY = "torch by autograd", "its floor"
_COPIED = 1 << 28  # float32 numbers, far more than the second cache holds
_EFFORTS = (3, 4, 5)
_SCALES = (1, 2, 4)
_SURFACE_LMBDA = 10**-2.05  # as quality 50


def stage(function: Callable[["GpuBench"], None]) -> Callable[["GpuBench"], None]:
    """Lists a stage under the name of its function."""
    STAGES[function.__name__] = function
    return function


class GpuBench(Bench):
    """A `Bench` whose machine is the GPU."""

    def __init__(self, args: argparse.Namespace):
        super().__init__(args)
        self.table.tail[0] = torch.cuda.get_device_name(0)

    @functools.cached_property
    def bandwidth(self) -> float:
        """Bytes a second of a copy, counted once read and once written."""
        x = torch.ones(_COPIED, device="cuda")
        y = torch.empty_like(x)
        return 8 * _COPIED / self.gpu_seconds(lambda: y.copy_(x))

    def gpu_seconds(self, call: Callable[[], object]) -> float:
        """The median over some runs, of which each is waited for."""
        return self.seconds(lambda: (call(), torch.cuda.synchronize()))


@contextmanager
def timed(places: dict[str, tuple[object, str]]) -> Iterator[dict[str, float]]:
    """Seconds spent in calls of functions, by their labels; places: where each is looked up."""
    spent = dict.fromkeys(places, 0.0)
    plain = {label: getattr(owner, name) for label, (owner, name) in places.items()}

    def wrap(label: str) -> Callable:
        @functools.wraps(plain[label])
        def call(*args, **settings):
            torch.cuda.synchronize()
            start = time.perf_counter()
            found = plain[label](*args, **settings)
            torch.cuda.synchronize()
            spent[label] += time.perf_counter() - start
            return found

        return call

    for label, (owner, name) in places.items():
        setattr(owner, name, wrap(label))
    try:
        yield spent
    finally:
        for label, (owner, name) in places.items():
            setattr(owner, name, plain[label])


@stage
def step(bench: GpuBench) -> None:
    """One training step of a whole dense image: torch's own operations, and the captured graph against the bytes that it moves."""
    bench.add("gpu", "a copy", bench.bandwidth / 1e9, "GB/s")
    with kernels("numpy"):
        plain = step_seconds(prepare(bench.image, LMBDA, "cuda"), 0)
    bench.add("gpu step", _EAGER, 1e3 * plain, "ms")
    fit = prepare(bench.image, LMBDA, "cuda")
    floor = sum(loop_bytes(fit).values()) / bench.bandwidth
    bench.add("gpu step", "floor, bytes of all launches counted by hand", 1e3 * floor, "ms")
    for precision in PRECISIONS:
        fast = loop_seconds(prepare(bench.image, LMBDA, "cuda"), precision)
        bench.add("gpu step", f"captured, {precision}", 1e3 * fast, "ms", plain / fast, _EAGER)
        bench.add("gpu step", f"captured, {precision}, share", floor / fast, "", floor / fast, _COPY)


@stage
def kernels_of_a_step(bench: GpuBench) -> None:
    """The kernels of such a step, each against its own bytes."""
    for precision in ("float16",):
        fit = prepare(bench.image, LMBDA, "cuda")
        floors = {name: n / bench.bandwidth for name, n in loop_bytes(fit).items()}
        for name, seconds in loop_parts(fit, precision).items():
            floor = next((floors[part] for part in floors if name.startswith(part)), None)
            ratio = None if floor is None else floor / seconds
            bench.add("gpu kernels", f"{precision}, {name[:48]}", 1e3 * seconds, "ms", ratio, _COPY if ratio else "")


STAGES["kernels"] = STAGES.pop("kernels_of_a_step")


@stage
def encode(bench: GpuBench) -> None:
    """The image from its array to the finished file, with the seconds of each part; indented are parts of the part above."""
    from nfcodec.fit.gpu import loop

    places = {
        "signal": (session, "from_lattice"), "start": (session, "build"), "  tiles": (build, "_tiles"),
        "warm-up of the context": (Fit, "warm_up"), "steps": (Fit, "run"), "  laid out": (loop.Loop, "__init__"),
        "  bases": (loop.Loop, "begin"), "  captured": (loop, "capture"), "  shapes": (loop.Loop, "_move_shapes"),
        "  shifts": (Fit, "choose_shifts"), "freeze": (FieldModel, "freeze"), "pack": (session, "pack"),
        "levels measured": (session, "level_psnr"), "measured": (session, "measure"), "opened": (opening, "open"),
    }  # fmt: skip
    for effort in _EFFORTS:
        runs = []
        for k in range(3):
            with timed(places) as spent:
                start = time.perf_counter()
                found = encoder.encode(bench.image, kind="image", effort=effort, device="cuda")
                spent["whole"] = time.perf_counter() - start
            if k == 0:
                bench.add("gpu encode", f"effort {effort}, first in a process", spent["whole"], "s")
            else:
                runs.append(spent)
        for part in runs[0]:
            bench.add("gpu encode", f"effort {effort}, {part}", statistics.median(run[part] for run in runs), "s")
        bench.add("gpu encode", f"effort {effort}", len(found.data), "bytes")
        bench.add("gpu encode", f"effort {effort}", found.report.psnr_db, "dB")


@stage
def others(bench: GpuBench) -> None:
    """Other grids from array to finished file: in captured steps, and step by step by autograd with the kernels."""
    from nfcodec.fit.gpu import loop

    is_available = loop.is_available
    values = volume(96)
    for kind, encoding, source in (("image", "hash", bench.image), ("volume", "dense", values), ("volume", "hash", values)):
        for how in ("captured", "by autograd"):
            loop.is_available = is_available if how == "captured" else lambda *args: False
            for _ in range(2):  # the first compiles
                start = time.perf_counter()
                found = encoder.encode(source, kind=kind, encoding=encoding, effort=3, device="cuda")
                seconds = time.perf_counter() - start
            setting = f"{kind}, {encoding}, effort 3, {how}"
            bench.add("gpu encode", setting, seconds, "s")
            bench.add("gpu encode", setting, len(found.data), "bytes")
            bench.add("gpu encode", setting, found.report.psnr_db, "dB")
    loop.is_available = is_available


@stage
def decode(bench: GpuBench) -> None:
    """The image at several scales, by the kernels of the CPU and through torch on the GPU."""
    field = nfcodec.open(bench.image_file)
    start = time.perf_counter()
    moved = nfcodec.on_device(field, "cuda")
    bench.add("gpu decode", "field moved to the GPU", 1e3 * (time.perf_counter() - start), "ms")
    for scale in _SCALES:
        plain = bench.seconds(lambda: field.decode(scale=scale))
        bench.add("gpu decode", f"scale {scale}, CPU, {n_threads()} threads", 1e3 * plain, "ms")
        fast = bench.gpu_seconds(lambda: moved.decode(scale=scale))
        bench.add("gpu decode", f"scale {scale}, GPU", 1e3 * fast, "ms", plain / fast, "CPU")
        difference = np.abs(field.decode(scale=scale).astype(int) - moved.decode(scale=scale)).max()
        bench.add("gpu decode", f"scale {scale}, largest difference", float(difference), "levels")


@stage
def hash(bench: GpuBench) -> None:
    """One training step of a hash grid of the image, a mean over its tiles."""
    _step_of_others(bench, "hash image", lambda: prepare(bench.image, LMBDA, "cuda", "hash"))


@stage
def volume_of_hash(bench: GpuBench) -> None:
    """One training step of a dense and of a hash grid of a volume, means over its tiles."""
    source = from_lattice(Signal("volume", volume(96)))
    for encoding in ("dense", "hash"):
        _step_of_others(bench, f"{encoding} volume", lambda e=encoding: prepare_source(source, LMBDA, "cuda", e))


STAGES["volume"] = STAGES.pop("volume_of_hash")


@stage
def surface(bench: GpuBench) -> None:
    """One training step of a dense grid of a mesh's signed distances, whose finer levels have masks, a mean over its tiles."""
    mesh = io.read(bench.args.mesh).mesh if bench.args.mesh else knot()
    signal, distance, rim = measure_mesh(Signal("sdf", mesh=mesh), False, False)
    source = from_mesh(signal, distance, presets.surface_resolution(50, 5), rim)
    _step_of_others(bench, "surface", lambda: prepare_source(source, _SURFACE_LMBDA, "cuda"))


def _step_of_others(bench: GpuBench, name: str, make: Callable[[], Fit]) -> None:
    """A step by torch's operations, by kernels under autograd, and, where there is one, in a captured graph."""
    from nfcodec.fit.gpu import loop

    with kernels("numpy"):
        plain = step_seconds(make(), 0)
    bench.add("gpu step", f"{name}, {_EAGER}", 1e3 * plain, "ms")
    fit = make()
    fast = step_seconds(fit, 0)
    bench.add("gpu step", f"{name}, kernels by autograd", 1e3 * fast, "ms", plain / fast, _EAGER)
    if loop.is_available(fit, Recipe()):
        for precision in ("float32", "float16"):
            fast = loop_seconds(make(), precision)
            bench.add("gpu step", f"{name}, captured, {precision}", 1e3 * fast, "ms", plain / fast, _EAGER)


def main() -> None:
    """Parses the command line and runs the stages, of which one that fails leaves the others their turn."""
    args = parse(__doc__, STAGES)
    if not torch.cuda.is_available():
        sys.exit("bench_gpu: got no GPU for CUDA that torch can use, expected one; run this where there is one")
    bench, failed = GpuBench(args), []
    for name in args.stages or STAGES:
        try:
            STAGES[name](bench)
        except Exception as error:  # what was lent for minutes has more to tell
            failed.append(name)
            print(f"bench_gpu: stage {name} failed: {type(error).__name__}: {error}", file=sys.stderr)
    if failed:
        sys.exit(f"bench_gpu: {', '.join(failed)} failed")


if __name__ == "__main__":
    main()
