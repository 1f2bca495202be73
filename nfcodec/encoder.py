"""A signal in, a .nfld file out: fit, freeze, pack, and decode and measure the bytes before they are let out."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np

from . import io
from .atomic import check_output, write_atomic
from .choice import Choice, parse_activation, parse_network
from .encodings import checked
from .encodings import load as load_encoding
from .errors import MissingExtraError, NfldError, SignalError, UsageError
from .fit.goals import EFFORT, QUALITY, Status, pick_goal
from .limits import MAX_DIMS
from .measure import Report
from .spec import (
    BOUNDARIES,
    GRID_ENCODINGS,
    INTERPOLATIONS,
    KINDS,
    PLAIN_ACTIVATIONS,
    SURFACE_KINDS,
    Mesh,
    Signal,
)  # fmt: skip

__all__ = ["Encoded", "Report", "Status", "encode", "import_session"]


@dataclass(frozen=True)
class Encoded:
    """The result of `encode`.

    target: what was asked for, such as "psnr 40 dB", and reached: what these bytes have of it, such as "39.2 dB"; None
    without a target. met: whether that is enough.
    """

    data: bytes
    report: Report
    kind: str
    encoding: str
    n_samples: int
    source_bytes: int
    seconds: float
    met: bool
    target: str | None
    reached: str | None
    lmbda: float
    signal: Signal = field(repr=False)  # as it was read, of the kind that was encoded

    @property
    def bpp(self) -> float:
        """Bits a source sample (images: a pixel)."""
        return 8 * len(self.data) / self.n_samples


def encode(
    source: str | os.PathLike | Signal | Mesh | np.ndarray,
    output: str | os.PathLike | None = None,
    *,
    kind: str | None = None,
    encoding: str = "auto",
    activation: str = "auto",
    network: str | None = None,
    interpolation: str = "auto",
    boundary: str = "clamp",
    quality: float | None = None,
    psnr: float | None = None,
    max_error: float | None = None,
    size: int | None = None,
    bpp: float | None = None,
    lossless: bool = False,
    progressive: bool = False,
    close_holes: bool = False,
    effort: int = EFFORT,
    seed: int = 0,
    device: str = "auto",
    time_limit: float | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Status], None] | None = None,
    on_step: Callable[[Any, Any], None] | None = None,
    read_options: dict[str, Any] | None = None,
) -> Encoded:
    """Fits a neural field to a signal and writes it.

    source: a path, a Signal, a Mesh, or an array with its `kind`: (H, W) or (H, W, C) for "image", 1 to 4 axes and no
    channels for "volume". output: the file to write, or None to get the bytes only. encoding: a key of
    `spec.ENCODINGS`, several with "+" between them, whose features the network then sees side by side, or "auto"; numbers
    may follow: "dense+frequency:n_frequencies=6". Grids have n_levels; n_features of every level; coarsest and finest,
    vertices along the longest axis (levels halve from the finest on, or with `coarsest` grow by equal factors from there);
    hash and codebook log2_size, points n_points, mesh n_vertices at most, of every level: "dense:n_levels=1" is a uniform
    grid. What is not given follows the signal and the quality. activation: a key of `spec.ACTIVATIONS`, likewise:
    "sine:omega=60".
    network: its neurons and hidden layers, such as "256x4", or None for what suits the signal. interpolation: of grids, a
    key of `spec.INTERPOLATIONS` or "auto". boundary: what lies beyond the ends of an image or volume, "clamp" (its edge),
    "wrap" (the image anew: panoramas, textures that tile) or "reflect"; one name, or one for each axis as in "clamp,wrap".
    One of these at most: quality (0..100, default 50), psnr (dB, see `Report`), max_error (see `Report`), size (bytes of
    the whole file), bpp (bits a source sample), lossless. progressive: train the coarse levels to be of use alone, which
    costs a few per cent of bytes. close_holes: surfaces go on where the mesh ends, which saves the bytes of a trim. effort:
    1 (seconds) to 9 (hours).
    time_limit: seconds after which the fit is wound up. device: "cpu", "cuda" or "auto". on_step: called after every
    step of a whole fit with its `fit.train.Fit` and `fit.train.Progress`, to look at. read_options: for `io.read`.

    The bytes are decoded and measured before anything is written; a target that they miss makes `met` False. max_error
    of images and volumes, and lossless, which is for integers, are guarantees: they hold at every sample of the source,
    or there is no file (TargetError). Raises UsageError (arguments and an output that cannot be written: before the source
    is read), SignalError, MissingExtraError. The same arguments on the same machine give the same bytes unless time_limit
    cuts in.
    """
    start = time.monotonic()
    goal = pick_goal(quality, psnr, max_error, size, bpp, lossless)
    if output is not None:
        check_output(output, overwrite)
    encoding = "dense" if encoding == "auto" else encoding
    parts = checked(encoding)
    boundaries = tuple(boundary.split(","))
    _check_arguments(activation, interpolation, boundaries, effort, seed, time_limit)
    session = import_session()
    settings = session.Settings(
        encoding=encoding,
        activation=activation,
        network=None if network is None else parse_network(network),
        quality=QUALITY if quality is None else float(quality),
        effort=effort,
        seed=seed,
        device=session.pick_device(device),
        deadline=start + time_limit if time_limit is not None else math.inf,
        kind_is_free=kind is None and not isinstance(source, Signal),
        progressive=progressive,
        closes_holes=close_holes,
        interpolation=None if interpolation == "auto" else interpolation,
        boundary=boundaries,
    )
    signal, source_bytes = _load(source, kind, read_options or {})
    _check(signal)
    io.check_finite(signal)
    _check_choices(signal, parts, interpolation, boundaries)
    if lossless and signal.kind in SURFACE_KINDS:
        raise UsageError(f"encoding a {signal.kind}: got a surface to be kept lossless, expected an image or a volume")
    if goal is not None and goal.is_guarantee and signal.kind not in SURFACE_KINDS:
        _check_guarantee(parts, activation)
    work, trial = _search(session, signal, settings, goal, on_progress, on_step, may_move=device == "auto")
    if output is not None:
        write_atomic(output, trial.data, overwrite)
    return Encoded(
        data=trial.data,
        report=trial.report,
        kind=work.signal.kind,
        encoding=settings.encoding,
        n_samples=work.n_samples,
        source_bytes=source_bytes,
        seconds=time.monotonic() - start,
        met=goal is None or goal.met(trial, work.n_samples),
        target=None if goal is None else goal.text,
        reached=None if goal is None else goal.reached(trial, work.n_samples),
        lmbda=trial.lmbda,
        signal=work.signal,
    )


def _check_arguments(
    activation: str, interpolation: str, boundaries: tuple[str, ...], effort: int, seed: int, time_limit: float | None
) -> None:
    """UsageError where one of them is wrong whatever the signal."""
    if activation != "auto":
        parse_activation(activation)
    if interpolation != "auto" and interpolation not in INTERPOLATIONS:
        raise UsageError(f"choosing an interpolation: got {interpolation!r}, expected auto, {', '.join(INTERPOLATIONS)}")
    if not set(boundaries) <= set(BOUNDARIES):
        expected = f"{', '.join(BOUNDARIES)}, or one for each axis"
        raise UsageError(f"choosing a boundary: got {','.join(boundaries)!r}, expected {expected}")
    if effort not in range(1, 10):
        raise UsageError(f"choosing an effort: got {effort}, expected 1 to 9")
    if time_limit is not None and not time_limit > 0:
        raise UsageError(f"choosing a time limit: got {time_limit}, expected seconds above 0")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 1 << 63:
        raise UsageError(f"choosing a seed: got {seed}, expected an integer from 0 to 2**63 - 1")


def _search(session: ModuleType, signal: Signal, settings, *others, may_move: bool):
    """(session, its best file). others: of `Session`; may_move: whether what a GPU has no memory for goes to the CPU."""
    from .fit.gpu.fallback import cause_of, is_out_of_memory

    try:
        work = session.Session(signal, settings, *others)
        return work, work.search()
    except Exception as error:
        if settings.device == "cpu" or not is_out_of_memory(error):
            raise
        cause = f"fitting on {settings.device}: the GPU has too little memory ({cause_of(error)})"
    if not may_move:
        raise NfldError(f'{cause}, expected a smaller signal; encode it with --device cpu (device="cpu")')
    warnings.warn(f"{cause}; starting over on the CPU", stacklevel=3)
    work = session.Session(signal, replace(settings, device="cpu"), *others)
    return work, work.search()


def _check_choices(signal: Signal, parts: tuple[Choice, ...], interpolation: str, boundaries: tuple[str, ...]) -> None:
    """UsageError where encodings, interpolation or boundaries do not suit a signal."""
    is_surface = signal.kind in SURFACE_KINDS
    n_axes = 3 if is_surface else len(signal.extent)
    has_lattice = any(load_encoding(part.name).is_interpolated for part in parts)
    if (interpolation, boundaries) != ("auto", ("clamp",)) and not has_lattice:
        names = "+".join(part.name for part in parts)
        raise UsageError(f"choosing an interpolation: got {names}, which has no lattice; expected auto, and clamp")
    for part in parts:
        dims = load_encoding(part.name).dims
        if 1 <= n_axes <= MAX_DIMS and n_axes not in dims:  # other signals are refused for their axes
            expected = " or ".join(map(str, dims))
            raise UsageError(f"choosing an encoding: got {part.name} for a signal of {n_axes} axes, expected {expected}")
    if len(boundaries) not in (1, n_axes) or (is_surface and boundaries != ("clamp",)):
        expected = "clamp" if is_surface else f"one name or {n_axes}, an axis each"
        raise UsageError(f"choosing a boundary: got {','.join(boundaries)!r} for kind {signal.kind}, expected {expected}")


def _check_guarantee(parts: tuple[Choice, ...], activation: str) -> None:
    """UsageError where integers do not give the field's values, which residuals are added to."""
    fixed = [name for name in GRID_ENCODINGS if load_encoding(name).is_interpolated]
    if len(parts) > 1 or parts[0].name not in fixed or activation not in ("auto", *PLAIN_ACTIVATIONS):
        raise UsageError(
            f"encoding with a guarantee: got {'+'.join(part.name for part in parts)} and the activation {activation}, "
            f"expected one of {', '.join(fixed)}, and relu or identity, whose values are the same on every machine"
        )


def import_session() -> ModuleType:
    """`fit.session`, which imports torch and scipy. MissingExtraError where one of them is not there."""
    try:
        from .fit import session
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "scipy"):  # a fault of an installation, not an extra that was left out
            raise
        raise MissingExtraError.of(error.name, "encode", "encoding") from error
    return session


def _load(source: Any, kind: str | None, options: dict[str, Any]) -> tuple[Signal, int]:
    """The signal and its size in bytes before encoding."""
    if isinstance(source, Signal):
        arrays = [source.values] if source.mesh is None else [source.mesh.vertices, source.mesh.faces]
        return source if kind is None else replace(source, kind=kind), sum(getattr(a, "nbytes", 0) for a in arrays)
    if isinstance(source, Mesh):
        if kind is not None and kind not in SURFACE_KINDS:
            raise UsageError(f"encoding a mesh: got kind {kind!r}, expected one of {', '.join(SURFACE_KINDS)}")
        return Signal(kind or "sdf", mesh=source), source.vertices.nbytes + source.faces.nbytes
    if isinstance(source, np.ndarray):
        return _from_array(source, kind), source.nbytes
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"encoding: got a {type(source).__name__}, expected a path, a Signal, a Mesh or a numpy array")
    return io.read(source, kind, **options), io.n_bytes(source)


def _check(signal: Signal) -> None:
    """What `io` promises of its signals, and a caller's own may lack: SignalError."""
    if signal.kind not in KINDS:
        raise SignalError(f"encoding a signal: got kind {signal.kind!r}, expected one of {', '.join(KINDS)}")
    wanted, other = ("mesh", "values") if signal.kind in SURFACE_KINDS else ("values", "mesh")
    if getattr(signal, wanted) is None or getattr(signal, other) is not None:
        raise SignalError(f"encoding a signal: got kind {signal.kind!r} and not its {wanted} alone, expected no {other}")
    if signal.kind == "image" and signal.values.ndim != 3:
        raise SignalError(f"encoding an image: got values of shape {signal.values.shape}, expected (H, W, C)")
    try:
        json.dumps(signal.meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SignalError(f"encoding a signal: got metadata that JSON cannot hold ({error}); leave it out") from error


def _from_array(values: np.ndarray, kind: str | None) -> Signal:
    if kind not in KINDS or kind in SURFACE_KINDS:
        raise UsageError(f"encoding an array: got kind {kind!r}, expected 'image' or 'volume'")
    if kind == "volume" or values.ndim == 2:
        values = values[..., None]
    if kind == "image" and values.ndim != 3:
        raise UsageError(f"encoding an image: got an array of shape {values.shape}, expected (H, W) or (H, W, C)")
    return Signal(kind, np.ascontiguousarray(values))
