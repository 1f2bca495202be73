"""Makes the golden files in spec/golden: small fields with random integers, and what a decoder must read from them.

    python tools/make_goldens.py [--force] [--out spec/golden]

Existing files are kept; --force replaces them, which is right only with a new draft of the format. Tests decode the
goldens and never make them. No torch: the integers come from a seeded generator, the expected samples from `Field`,
and tests/test_spec.py computes them again in float64 from the text of the specification.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import nfcodec  # noqa: E402
from nfcodec import activations, header, residual  # noqa: E402
from nfcodec.encodings import load  # noqa: E402
from nfcodec.encodings.mesh import in_order  # noqa: E402
from nfcodec.entropy.context import ContextNet, n_inputs  # noqa: E402
from nfcodec.pack import Frozen, pack  # noqa: E402
from nfcodec.residual import Head  # noqa: E402
from nfcodec.spec import SURFACE_KINDS, CompositeSpec, CoordinateSpec, FieldSpec, GridSpec, MlpSpec  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
MAX_BYTES = 8192
N_SAMPLES = 8


@dataclass(frozen=True)
class Case:
    """One golden file. resolutions: coarse first; spread: of the latents; empty: levels that are all zero."""

    name: str
    kind: str
    extent: tuple[int, ...]
    resolutions: tuple[tuple[int, ...], ...]
    channels: int = 1
    dtype: str = "u1"
    n_features: tuple[int, ...] | None = None
    encoding: str = "dense"
    log2_size: int = 0
    interpolation: str = "linear"
    boundary: tuple[str, ...] = ()
    joining: str = ""
    shapes: tuple[tuple[float, float], ...] = ()
    n_surrounded: int = 0
    n_neurons: int = 6
    n_hidden_layers: int = 1
    activation: str = "relu"
    numbers: tuple[float, ...] | None = None
    before: tuple[tuple[str, dict[str, float]], ...] = ()  # encodings without a grid that come before the grid
    is_alone: bool = False  # whether these are all
    offset: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (255.0,)
    clip: bool = True
    knee: float = 0.0
    truncation: float = 0.0
    spread: float = 3.0
    empty: tuple[int, ...] = ()
    sparse: bool = False  # only a corner of the finest level holds anything, so that it has a mask
    context_layers: int = 1
    compact: bool = False  # one chunk for all
    residual: Head | None = None
    residual_spread: float = 1.0
    roles: tuple[str, ...] = ()  # of a surface's channels after the first
    meta: dict = field(default_factory=dict)


def pyramid(finest: tuple[int, ...], n_levels: int) -> tuple[tuple[int, ...], ...]:
    """Halving resolutions, coarse first."""
    levels = [finest]
    while len(levels) < n_levels:
        levels.insert(0, header.halved(levels[0]))
    return tuple(levels)


CASES = (
    Case("tiny", "image", (4, 5), ((2, 3), (4, 5)), n_hidden_layers=0, context_layers=0, meta={"source": "tiny"}),
    Case("image-rgb8", "image", (24, 32), pyramid((24, 32), 4), 3, n_features=(3, 3, 3, 1), interpolation="cubic"),
    Case("image-grey16", "image", (19, 27), pyramid((19, 27), 3), dtype="u2", scale=(65535.0,), interpolation="cubic"),
    Case(
        "image-mitchell", "image", (21, 26), pyramid((21, 26), 3), 3, n_features=(3, 3, 1), interpolation="mitchell",
        shapes=((1.0, 0.0), (0.328125, 0.34375), (0.5, -0.25)),
    ),
    Case(
        "image-surrounded", "image", (19, 24), pyramid((19, 24), 3), 3, n_features=(3, 2, 1), interpolation="mitchell",
        shapes=((0.3125, 0.40625), (0.328125, 0.34375), (0.0, 0.5)), n_surrounded=2,
    ),
    Case("volume-mitchell", "volume", (6, 5, 7), pyramid((6, 5, 7), 2), dtype="i2", offset=(-500.0,), scale=(1500.0,), interpolation="mitchell", shapes=((-2.0, 1.984375), (0.0, 0.5)), n_surrounded=1),
    Case("volume-lossless-mitchell", "volume", (9, 8), pyramid((9, 8), 2), dtype="u1", interpolation="mitchell", shapes=((0.75, 0.25), (0.25, 0.0)), n_surrounded=2, residual=Head(1, 0, 0, True, detail_shift=10)),
    Case("image-rgba", "image", (16, 15), pyramid((16, 15), 3), 4, n_features=(4, 4, 2), n_hidden_layers=2),
    Case("image-no-hidden", "image", (9, 9), pyramid((9, 9), 2), 3, n_features=(3, 3), n_hidden_layers=0),
    Case("image-wrap", "image", (15, 18), pyramid((15, 18), 3), 3, n_features=(3, 1, 1), interpolation="smoothstep", boundary=("wrap", "wrap")),
    Case("image-panorama", "image", (12, 24), pyramid((12, 24), 2), interpolation="mitchell", shapes=((0.25, 0.5), (0.0, 0.5)), boundary=("clamp", "wrap"), n_surrounded=1, residual=Head(1, 0, detail_shift=11)),
    Case("volume-reflect", "volume", (7, 9, 8), ((2, 3, 3), (7, 9, 8)), dtype="f4", scale=(2.0,), n_features=(2, 1), encoding="hash", log2_size=6, interpolation="nearest", boundary=("reflect", "clamp", "wrap")),
    Case("image-full", "image", (12, 10), pyramid((12, 10), 2), 3, n_features=(3, 1), n_hidden_layers=0, interpolation="cubic", compact=True, meta={"source": "icon.png"}),
    Case("image-full-one-level", "image", (8, 8), ((8, 8),), 4, n_features=(4,), n_neurons=5, context_layers=0, compact=True),
    Case("volume-full", "volume", (5, 6, 7), pyramid((5, 6, 7), 2), dtype="i2", offset=(-500.0,), scale=(1500.0,), n_features=(1, 1), compact=True),
    Case("image-knee", "image", (14, 11), pyramid((14, 11), 2), 3, dtype="f4", scale=(0.9,), knee=0.05, n_features=(3, 3), interpolation="cubic"),
    Case("image-terrain", "image", (15, 12), pyramid((15, 12), 2), 2, "f4", n_features=(2, 2), offset=(312.5, 0.0), scale=(1480.0, 1480.0), interpolation="cubic", meta={"geotiff": {"scale": [30.0, 20.0, 0.0], "nodata": "-9999"}}),
    Case("image-flow", "image", (11, 14), pyramid((11, 14), 2), 2, "f4", n_features=(2, 2), offset=(-6.0, -6.0), scale=(15.0, 15.0), interpolation="cubic", meta={"source": "a.flo", "quantity": "flow"}),
    Case("image-one-pixel", "image", (1, 1), ((1, 1),), interpolation="cubic"),
    Case("image-bilevel", "image", (8, 8), pyramid((8, 8), 2), dtype="b1", scale=(1.0,)),
    Case(
        "image-odd", "image", (17, 3), ((2, 2), (5, 3), (16, 1)), context_layers=2, interpolation="cubic",
        meta={"source": "é.png", "dpi": [72, 72]},
    ),
    Case("image-empty-level", "image", (20, 20), pyramid((20, 20), 3), empty=(1,), interpolation="cubic"),
    Case("image-all-empty", "image", (70, 50), pyramid((70, 50), 3), empty=(0, 1, 2)),
    Case("image-large", "image", (12, 12), pyramid((12, 12), 2), spread=2e5, dtype="f4", clip=False, scale=(1.0,)),
    Case("image-mask", "image", (40, 48), pyramid((40, 48), 3), 2, n_features=(2, 2, 2), sparse=True),
    Case("image-hash", "image", (32, 40), ((4, 5), (9, 12), (32, 40)), 3, n_features=(2, 2, 2), encoding="hash", log2_size=6),
    Case("image-codebook", "image", (20, 21), ((5, 5), (20, 21)), n_features=(3, 1), encoding="codebook", log2_size=4, interpolation="cubic"),
    Case("volume-1d", "volume", (61,), ((7,), (31,), (61,)), dtype="i2", offset=(-500.0,), scale=(1000.0,), interpolation="cubic"),
    Case("volume-sound", "volume", (70,), pyramid((70,), 4), 2, "i2", n_features=(2, 2, 2, 2), offset=(-32768.0,), scale=(65535.0,), interpolation="mitchell", shapes=((0.25, 0.5),) * 3 + ((0.0, 0.5),), meta={"source": "notes.wav", "axes": "tc", "sample_rate": 22050}),
    Case("volume-film", "volume", (5, 9, 12), pyramid((5, 9, 12), 3), 3, n_features=(3, 3, 1), interpolation="mitchell", shapes=((0.25, 0.5), (0.25, 0.5), (0.0, 0.5)), meta={"axes": "tyxc", "frame_rate": 29.97, "quantity": "colour"}),
    Case("volume-f4", "volume", (9, 10, 11), pyramid((9, 10, 11), 3), dtype="f4", scale=(2.5,), offset=(-1.0,), interpolation="cubic"),
    Case("volume-mask", "volume", (10, 12, 13), pyramid((10, 12, 13), 2), dtype="u2", scale=(4095.0,), sparse=True),
    Case("volume-vector", "volume", (5, 6, 4), pyramid((5, 6, 4), 2), 3, "f8", n_features=(3, 2), offset=(-1.0, 0.0, 5.0), scale=(2.0, -1.0, 0.5)),
    Case("volume-4d", "volume", (4, 5, 6, 7), ((2, 3, 3, 4), (4, 5, 6, 7)), dtype="i1", offset=(-128.0,), scale=(255.0,), n_features=(1, 1)),
    Case("volume-4d-cubic", "volume", (3, 4, 3, 4), ((3, 4, 3, 4),), dtype="f2", scale=(8.0,), n_features=(2,), interpolation="cubic", clip=False),
    Case("volume-hash", "volume", (16, 16, 18), ((3, 3, 3), (7, 7, 8), (16, 16, 18)), dtype="f4", scale=(1.0,), n_features=(1, 2, 2), encoding="hash", log2_size=7),
    Case("volume-hash-4d", "volume", (6, 7, 8, 9), ((2, 2, 2, 2), (6, 7, 8, 9)), dtype="i4", scale=(1e6,), n_features=(1, 1), encoding="hash", log2_size=5),
    Case("volume-codebook", "volume", (8, 9, 10), ((3, 3, 3), (8, 9, 10)), dtype="u1", n_features=(2, 2), encoding="codebook", log2_size=3),
    Case("volume-one-cell", "volume", (1, 1, 1), ((1, 1, 1),), dtype="f4", scale=(1.0,), encoding="codebook", log2_size=0),
    Case("sdf-dense", "sdf", (12, 14, 16), pyramid((6, 7, 8), 3), dtype="f4", scale=(0.2,), knee=0.05, clip=False, interpolation="cubic"),
    Case("sdf-hash", "sdf", (20, 18, 16), ((4, 4, 4), (10, 9, 8)), dtype="f4", scale=(0.2,), knee=0.05, clip=False, n_features=(2, 2), encoding="hash", log2_size=7),
    Case("sdf-codebook", "sdf", (8, 8, 8), ((4, 4, 4), (8, 8, 8)), dtype="f4", scale=(0.2,), clip=False, n_features=(1, 2), encoding="codebook", log2_size=5),
    Case("tsdf", "tsdf", (10, 10, 8), pyramid((5, 5, 4), 2), dtype="f4", scale=(0.2,), clip=False, truncation=0.6, interpolation="cubic"),
    Case("occupancy", "occupancy", (8, 10, 8), pyramid((8, 10, 8), 2), dtype="f4", scale=(1.0,), activation="identity"),
    Case("image-lossless", "image", (17, 22), pyramid((17, 22), 3), 3, n_features=(3, 3, 1), interpolation="cubic", residual=Head(1, 0, 1, True, detail_shift=11), residual_spread=4.0),
    Case("image-bound", "image", (40, 33), ((5, 5), (20, 17)), dtype="u2", scale=(4095.0,), residual=Head(21, 10, detail_shift=12), sparse=True),
    Case("volume-lossless-wide", "volume", (5, 4, 6), pyramid((5, 4, 6), 2), 2, "i4", n_features=(2, 2), offset=(-3e8, 2.0), scale=(7e8, -5e8), residual=Head(1, 0, 0, False, True, 3), residual_spread=3e7),
    Case("volume-lossless-b1", "volume", (4, 3, 2, 5), ((2, 2, 2, 2), (4, 3, 2, 5)), dtype="b1", scale=(1.0,), residual=Head(1, 0, detail_shift=18), residual_spread=0.3),
    Case("volume-bound-f4", "volume", (6, 7, 9), pyramid((6, 7, 9), 2), dtype="f4", scale=(2.5,), offset=(-1.0,), interpolation="cubic", n_hidden_layers=2, residual=Head(float(np.float32(0.02)), 0.01, detail_shift=11)),
    Case("volume-bound-hash", "volume", (33,), ((9,), (40,)), 2, "f8", n_features=(2, 1), offset=(0.0,), scale=(1e-3,), encoding="hash", log2_size=4, clip=False, residual=Head(float(np.float32(1e-6)), 5e-7, 1, True, detail_shift=8)),
    Case("sdf-trim", "sdf", (8, 10, 12), pyramid((4, 5, 6), 2), 2, "f4", n_features=(2, 1), offset=(0.0, 0.1), scale=(0.2, 0.15), knee=0.05, clip=False, interpolation="cubic", roles=("trim",)),
    Case("sdf-colours", "sdf", (8, 6, 7), pyramid((8, 6, 7), 2), 5, "f4", n_features=(5, 2), offset=(0.0, 0.0, 0.5, 0.0, 0.0), scale=(0.2, 0.5, 0.5, 2.0, 0.3), knee=0.05, clip=False, interpolation="mitchell", shapes=((0.296875, 0.40625), (0.0, 0.5)), roles=("red", "green", "blue", "trim")),
    Case("occupancy-colours", "occupancy", (6, 6, 6), ((6, 6, 6),), 5, "f4", n_features=(4,), offset=(0.0,), scale=(1.0,), clip=True, roles=("blue", "other", "green", "red")),
    *(
        Case(f"act-{name}", "image", (9, 11), ((9, 11),), n_hidden_layers=2, n_neurons=5, activation=name, numbers=numbers, before=(("identity", {}),), is_alone=True)
        for name, numbers in {
            "prelu": None, "sine": (6.0,), "tanh": None, "sigmoid": None, "silu": None, "softplus": (3.0,), "gaussian": (0.5,), "quadratic": (2.0,),
            "multi-quadratic": (3.0,), "laplacian": (0.75,), "super-gaussian": (0.75, 2.0), "expsin": (3.0,), "gabor": (4.0, 0.75), "finer": (4.0,),
        }.items()
    ),
    Case("volume-identity", "volume", (5, 6, 7), ((5, 6, 7),), dtype="f4", scale=(1.0,), activation="sine", numbers=(8.0,), before=(("identity", {}),), is_alone=True),
    Case("image-frequency", "image", (20, 30), ((20, 30),), 3, n_hidden_layers=2, before=(("frequency", {"n_frequencies": 5}),), is_alone=True),
    Case("volume-frequency", "volume", (4, 5, 6), ((4, 5, 6),), dtype="f4", scale=(1.0,), before=(("frequency", {"n_frequencies": 3}),), is_alone=True),
    Case("image-random-fourier", "image", (16, 16), ((16, 16),), before=(("random-fourier", {"n_frequencies": 20, "sigma": 4, "seed": 7}),), is_alone=True),
    Case("volume-random-fourier", "volume", (6, 5, 4), ((6, 5, 4),), dtype="f4", scale=(1.0,), before=(("random-fourier", {"n_frequencies": 12, "sigma": 1.5, "seed": 4294967295}),), is_alone=True),
    Case("image-one-blob", "image", (16, 12), ((16, 12),), before=(("one-blob", {"n_bins": 9}),), is_alone=True),
    Case("volume-one-blob", "volume", (6, 5, 4), ((6, 5, 4),), dtype="f4", scale=(1.0,), before=(("one-blob", {"n_bins": 4}),), is_alone=True),
    Case("image-super-gaussian", "image", (16, 12), ((16, 12),), before=(("super-gaussian", {"n_places": 9, "power": 2}),), is_alone=True),
    Case("volume-super-gaussian", "volume", (6, 5, 4), ((6, 5, 4),), dtype="f4", scale=(1.0,), before=(("super-gaussian", {"n_places": 5}),), is_alone=True),
    Case("image-spherical-harmonics", "image", (8, 16), ((8, 16),), before=(("spherical-harmonics", {"degree": 5}),), is_alone=True),
    Case("volume-spherical-harmonics", "volume", (6, 5, 4), ((6, 5, 4),), dtype="f4", scale=(1.0,), before=(("spherical-harmonics", {"degree": 4}),), is_alone=True),
    Case("image-parts", "image", (20, 21), pyramid((20, 21), 3), 2, n_features=(2, 2, 1), interpolation="cubic", activation="silu", before=(("frequency", {"n_frequencies": 2}), ("one-blob", {"n_bins": 5}))),
    Case("sdf-parts", "sdf", (20, 18, 16), ((4, 4, 4), (10, 9, 8)), dtype="f4", scale=(0.2,), knee=0.05, clip=False, n_features=(2, 2), encoding="hash", log2_size=7, activation="gaussian", numbers=(0.75,), before=(("super-gaussian", {"n_places": 4}),)),
    Case("sdf-triplane", "sdf", (10, 12, 8), ((3, 3, 2), (10, 12, 8)), dtype="f4", scale=(0.2,), knee=0.05, clip=False, n_features=(2, 3), encoding="triplane", joining="sum"),
    Case("volume-triplane", "volume", (9, 8, 7), ((4, 3, 2), (9, 8, 7)), 2, "u1", n_features=(1, 2), encoding="triplane", joining="concatenation", interpolation="cubic", boundary=("clamp", "wrap", "clamp")),
    Case("volume-kplanes", "volume", (9, 11, 10), pyramid((9, 11, 10), 2), dtype="f4", scale=(2.5,), n_features=(3, 2), encoding="kplanes", spread=8.0),
    Case("volume-kplanes-4d", "volume", (4, 6, 5, 7), ((2, 3, 3, 4), (4, 6, 5, 7)), dtype="u2", scale=(4095.0,), n_features=(2, 2), encoding="kplanes", spread=8.0),
    Case("image-cp", "image", (21, 30), ((11, 15), (21, 30)), 3, n_features=(4, 6), encoding="cp", spread=8.0),
    Case("volume-cp", "volume", (9, 10, 11), ((9, 10, 11),), dtype="u1", scale=(255.0,), n_features=(5,), encoding="cp", interpolation="mitchell", shapes=((0.25, 0.5),), spread=8.0, residual=Head(1, 0, detail_shift=11)),
    Case("volume-cp-4d", "volume", (5, 4, 6, 5), ((3, 2, 3, 3), (5, 4, 6, 5)), dtype="f4", scale=(1.5,), n_features=(3, 3), encoding="cp", interpolation="nearest", spread=8.0),
    Case("image-vm", "image", (14, 13), ((14, 13),), n_features=(3,), encoding="vm", spread=8.0),
    Case("volume-vm", "volume", (8, 9, 10), ((4, 5, 5), (8, 9, 10)), dtype="f4", scale=(2.5,), n_features=(2, 1), encoding="vm", spread=8.0),
    Case("volume-vm-4d", "volume", (3, 5, 4, 6), ((3, 5, 4, 6),), dtype="f4", scale=(1.0,), n_features=(1,), encoding="vm", spread=8.0),
    Case("volume-points-1d", "volume", (40,), ((20,),), dtype="i2", scale=(1000.0,), n_features=(2,), encoding="points", log2_size=3),
    Case("image-points", "image", (18, 21), ((5, 6), (18, 21)), 3, n_features=(3, 2), encoding="points", log2_size=6),
    Case("volume-points", "volume", (9, 8, 10), ((4, 4, 4), (9, 8, 10)), dtype="f4", scale=(1.5,), n_features=(1, 1), encoding="points", log2_size=6),
    Case("sdf-mesh", "sdf", (8, 10, 12), ((5, 6, 7), (8, 10, 12)), 4, "f4", n_features=(4, 3), encoding="mesh", log2_size=5, before=(("identity", {}),), offset=(0.0, 0.5, 0.5, 0.5), scale=(0.2, 0.5, 0.5, 0.5), knee=0.05, clip=False, roles=("red", "green", "blue")),
    Case("volume-mesh", "volume", (6, 7, 5), ((6, 7, 5),), dtype="f4", scale=(1.5,), n_features=(2,), encoding="mesh", log2_size=4),
    Case("udf", "udf", (6, 6, 9), pyramid((6, 6, 9), 2), dtype="f4", scale=(0.2,), knee=0.05, clip=False),
)  # fmt: skip


def build(case: Case) -> bytes:
    """The bytes of a golden file."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    n_levels = len(case.resolutions)
    n_features = case.n_features or (1,) * n_levels
    d, surface = len(case.extent), case.kind in SURFACE_KINDS
    n_neurons = case.n_neurons if case.n_hidden_layers else 0
    per_channel = [tuple(float(np.float32(x)) for x in v * (case.channels // len(v))) for v in (case.offset, case.scale)]
    steps = tuple(header.step_value(header.step_code(0.3 * 0.6**level / case.spread)) for level in range(n_levels))
    grid = GridSpec(
        case.encoding, case.resolutions, n_features, case.interpolation, case.log2_size, case.shapes, case.n_surrounded,
        case.boundary, case.joining,
    )  # fmt: skip
    parts = [load(name).describe(d, **numbers) for name, numbers in case.before] + [grid] * (not case.is_alone)
    sees = parts[0] if len(parts) == 1 else CompositeSpec(tuple(parts))
    steps = (1.0,) * len(case.before) + steps * (not case.is_alone)
    spec = FieldSpec(
        kind=case.kind,
        extent=case.extent,
        channels=case.channels,
        dtype=case.dtype,
        grid=sees,
        mlp=MlpSpec(sees.n_inputs, n_neurons, case.n_hidden_layers, case.channels, case.activation),
        steps=steps,
        value_offset=per_channel[0],
        value_scale=per_channel[1],
        knee=float(np.float32(case.knee)),
        clip=case.clip,
        origin=(-1.5, 0.25, 3.0) if surface else None,
        cell=0.125 if surface else 0.0,
        truncation=float(np.float32(case.truncation)),
        roles=("distance", *case.roles) if surface else (),
    )
    parameters = activations.load(case.activation).parameters if case.n_hidden_layers else ()
    shapes = header.mlp_shapes(spec.mlp)[: -1 if parameters else None]
    # about as large as all inputs together allow, so that outputs are not all clipped
    size = 40 / math.sqrt(max(1, sees.n_inputs / 16)) if case.before else 40
    tensors = [np.rint(rng.normal(0, size, shape)).astype(np.int32) for shape in shapes]
    if case.clip:
        tensors[-2 if case.n_hidden_layers else 0][:] += 128  # one half: the middle of what is not clipped
    shifts = [7 if len(shape) == 2 else 8 for shape in shapes]
    if parameters:
        numbers = case.numbers or [p.default for p in parameters]
        tensors.append(np.rint(np.outer(1 + 0.25 * np.arange(case.n_hidden_layers), numbers) * 64).astype(np.int32))
        shifts.append(6)
    levels = [_level(case, part, level, rng) for part in parts for level in range(part.n_levels)]
    has_context = case.encoding == "dense" and not case.is_alone
    net = context_net(rng, d, max(n_features) > 1, case.context_layers, case.spread) if has_context else None
    frozen = Frozen(levels, tensors, shifts, net)
    extra = None if case.residual is None else _residual(case, pack(spec, frozen), rng)
    return pack(spec, frozen, case.meta, extra, compact=case.compact)


def _residual(case: Case, alone: bytes, rng: np.random.Generator) -> bytes:
    """A random residual for a field."""
    found = nfcodec.open(alone)
    spec, head = found.spec, case.residual
    y = residual.outputs_of(spec, found.grid, found.mlp)
    q = np.rint(rng.laplace(0, case.residual_spread, y.shape)).astype(np.int64)
    if case.sparse:
        q[:, spec.extent[0] // 3 :] = 0
    spread = min(max(case.residual_spread, 1.0), 255.0)
    net = context_net(rng, spec.n_dims, spec.channels > 1, case.context_layers, spread)
    return residual.pack_residual(spec, head, net, residual.split(q, head), residual.detail(y, head))


def _level(case: Case, grid: GridSpec | CoordinateSpec, level: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    if grid.encoding == "points":
        return _cloud(grid, level, rng, case.spread)
    if grid.encoding == "mesh":
        return mesh(grid, level, rng, case.spread)
    out = {}
    for name, shape in load(grid.encoding).level_shapes(grid, level).items():
        if name == "indices":
            values = np.minimum(rng.geometric(0.3, shape) - 1, (1 << grid.log2_size) - 1)
        else:
            values = np.rint(rng.laplace(0, case.spread, shape)).clip(-(1 << 24), 1 << 24)
        if case.sparse and level == grid.n_levels - 1:
            keep = np.zeros(shape, bool)
            keep[(slice(None), *(slice(n // 2) for n in shape[1:]))] = True
            values = values * keep
        out[name] = (values * (level not in case.empty)).astype(np.int32)
    return out


def mesh(grid: GridSpec, level: int, rng: np.random.Generator, spread: float) -> dict[str, np.ndarray]:
    """Random heights over a lattice, so that no two faces lie one in the other."""
    resolution = grid.resolutions[level]
    m = [min(n, math.isqrt(1 << grid.log2_size)) for n in resolution[1:]]
    heights = rng.integers(0, resolution[0], m)
    places = [np.sort(rng.choice(n, k, replace=False)) for n, k in zip(resolution[1:], m)]
    positions = np.stack([heights, *np.meshgrid(*places, indexing="ij")], -1).reshape(-1, 3)
    i, j = (x.ravel() for x in np.meshgrid(*(np.arange(k - 1) for k in m), indexing="ij"))
    corner = i * m[1] + j
    halves = [[corner, corner + 1, corner + m[1] + 1], [corner, corner + m[1], corner + m[1] + 1]]
    faces = np.concatenate([np.stack(half, 1) for half in halves])
    found = {
        "positions": positions.astype(np.int32),
        "faces": faces[np.lexsort(faces.T[::-1])].astype(np.int32),
        "features": np.rint(rng.laplace(0, spread, (len(positions), grid.n_features[level]))).astype(np.int32),
    }
    return in_order(found)[0]


def _cloud(grid: GridSpec, level: int, rng: np.random.Generator, spread: float) -> dict[str, np.ndarray]:
    resolution = grid.resolutions[level]
    n = min(math.prod(resolution) // 2, 1 << grid.log2_size)
    positions = np.unravel_index(np.sort(rng.choice(math.prod(resolution), n, replace=False)), resolution)
    return {
        "positions": np.stack(positions, 1).astype(np.int32),
        "sizes": rng.integers(0, 12, n).astype(np.int32),
        "features": np.rint(rng.laplace(0, spread, (n, grid.n_features[level]))).astype(np.int32),
        "reach": np.array([2 + level % 2], np.int32),
    }


def context_net(rng: np.random.Generator, d: int, multi: bool, n_hidden_layers: int, spread: float) -> ContextNet:
    """A random context network whose scale is about right for values of this spread."""
    n, n_neurons = n_inputs(d, multi), 5 if n_hidden_layers else 0
    widths = [n, *[n_neurons] * n_hidden_layers, 2]
    weights = [rng.integers(-12, 13, shape).astype(np.int32) for shape in zip(widths[1:], widths[:-1])]
    biases = [rng.integers(-30, 31, width).astype(np.int32) for width in widths[1:]]
    biases[-1][1] = round(64 * math.log2(spread))
    skip = rng.integers(-3, 4, n - 2).astype(np.int32)
    shifts = [7] * (n_hidden_layers + 1) + [5]
    return ContextNet(d, n, multi, n_neurons, n_hidden_layers, weights, biases, skip, shifts)


def digest(array: np.ndarray) -> str:
    """SHA-256 of integers as int32, little endian, C order."""
    return hashlib.sha256(np.ascontiguousarray(array, "<i4").tobytes()).hexdigest()


def expectations(name: str, data: bytes) -> dict:
    """What a decoder must find in a golden file."""
    found = nfcodec.open(data)
    d = found.spec.n_dims
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 1)
    inner = np.round(rng.random((N_SAMPLES - 3, d)), 3)
    coords = np.concatenate([np.zeros((1, d)), np.full((1, d), 0.5), np.ones((1, d)), inner])
    shape = [max(1, n // 2) for n in found.spec.extent]
    reduced = found.decode(shape, dtype="f4")
    samples = found.sample(coords)
    size = max(float(np.abs(samples).max()), *map(abs, found.spec.value_scale))
    exact = {}
    if found.residual is not None:
        decoded = found.decode()
        exact["decoded"] = hashlib.sha256(decoded.astype(decoded.dtype.newbyteorder("<")).tobytes()).hexdigest()
        exact["residual"] = [digest(planes) for planes in found.residual.planes()]
    return exact | {
        "sha256": hashlib.sha256(data).hexdigest(),
        "levels": [{key: digest(a) for key, a in level.items()} for level in found.grid.levels],
        "tolerance": 2.0**-14 * size,
        "coords": coords.tolist(),
        "values": _listed(samples),
        "values_level_0": _listed(found.sample(coords, level=0)),
        "gradient": _listed(found.gradient(coords[3:5])),
        "half_shape": shape,
        "half_first": _listed(reduced.reshape(-1, reduced.shape[-1])[:6]),
        "info": found.info(),
    }


def _listed(values: np.ndarray) -> list:
    """Nested lists of the shortest decimals that give the same float32."""
    if values.ndim:
        return [_listed(v) for v in values]
    return float(str(np.float32(values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=GOLDEN)
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    index = options.out / "golden.json"
    expected = json.loads(index.read_text("utf-8")) if index.exists() and not options.force else {}
    for case in CASES:
        path = options.out / f"{case.name}.nfld"
        if path.exists() and not options.force:
            print(f"{path.name}: kept")
            continue
        data = build(case)
        if len(data) > MAX_BYTES:
            sys.exit(f"{path.name}: got {len(data)} bytes, expected at most {MAX_BYTES}; make the case smaller")
        path.write_bytes(data)
        expected[case.name] = expectations(case.name, data)
        print(f"{path.name}: {len(data)} bytes")
    rows = (f"{json.dumps(name)}: {json.dumps(expected[name], ensure_ascii=False)}" for name in sorted(expected))
    index.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
