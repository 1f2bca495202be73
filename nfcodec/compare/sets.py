"""Averages over a set of signals.

Each signal counts the same: PSNRs in dB are averaged (not their errors), ratios of bytes geometrically, BD-rates and
times as they are. A codec's ladder is averaged rung by rung over the signals that have that rung; a mean that leaves
signals out says so by its `n_signals`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import io
from ..errors import NfldError, UsageError
from ..fit.goals import Status
from ..metrics import mean_psnr_db
from ..spec import SURFACE_KINDS, Mesh, Signal
from .match import Match, matches
from .rows import NFCODEC, Comparison, Row
from .run import compare

__all__ = ["Mean", "MeanRow", "SetComparison", "by_kind", "compare_set", "means", "signals_of"]


@dataclass(frozen=True)
class SetComparison:
    """All signals of a folder. failed: (file, why) of those that could not be read or encoded. unfinished: as in
    `Comparison`; the last of the comparisons may be unfinished too, and counts in no average."""

    name: str
    comparisons: tuple[Comparison, ...]
    failed: tuple[tuple[str, str], ...]
    unfinished: str

    @property
    def finished(self) -> list[Comparison]:
        """Those that count."""
        return [comparison for comparison in self.comparisons if not comparison.unfinished]


def signals_of(folder: str | os.PathLike[str]) -> list[Path]:
    """Files of known suffixes below a folder, by name; bare samples aside, which need a shape. UsageError for none."""
    known = tuple(suffix for suffix in io.suffixes() if io.FORMATS[suffix].name != "raw")
    found = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.name.lower().endswith(known))
    found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not found:
        raise UsageError(f"searching the folder {folder}: found no file that ends in {' '.join(known)}")
    return found


def compare_set(
    folder: str | os.PathLike[str],
    *,
    time_limit: float | None = None,
    progress_of: Callable[[str], Callable[[Status], None] | None] = lambda name: None,
    **options: Any,
) -> SetComparison:
    """`compare` on every signal of a folder. time_limit: seconds for all of them; progress_of(name) gives the callback of
    one signal; options: of `compare`. The samples are not kept. Raises UsageError and, with nothing done,
    KeyboardInterrupt."""
    end = time.monotonic() + time_limit if time_limit is not None else math.inf
    comparisons: list[Comparison] = []
    failed: list[tuple[str, str]] = []
    unfinished = ""
    for path in signals_of(folder):
        name = str(path.relative_to(folder))
        left = end - time.monotonic()
        if left <= 0:
            unfinished = "time limit"
            break
        limit = None if math.isinf(left) else left
        try:
            done = compare(path, time_limit=limit, on_progress=progress_of(name), **options)
        except NfldError as error:
            failed.append((name, str(error)))
            continue
        except KeyboardInterrupt:
            if not comparisons:
                raise
            unfinished = "interrupted"
            break
        comparisons.append(replace(done, name=name, signal=_without_samples(done.signal), decode=None))
        if done.unfinished:
            unfinished = done.unfinished
            break
    return SetComparison(Path(folder).resolve().name, tuple(comparisons), tuple(failed), unfinished)


def _without_samples(signal: Signal) -> Signal:
    """A signal of the same shape that takes no memory."""
    if signal.mesh is None:
        return replace(signal, values=np.broadcast_to(signal.values.dtype.type(0), signal.values.shape))
    shapes = len(signal.mesh.vertices), len(signal.mesh.faces)
    return replace(signal, mesh=Mesh(np.broadcast_to(0.0, (shapes[0], 3)), np.broadcast_to(0, (shapes[1], 3))))


@dataclass(frozen=True)
class MeanRow:
    """One rung over all signals. bpp: bits a sample; setting: the first signal's, where ladders are relative."""

    setting: str
    bpp: float
    db: float
    encode_s: float | None
    decode_s: float


@dataclass(frozen=True)
class Mean:
    """One codec over a set. bytes_ratio: geometric mean of its bytes by nfcodec's at the error of nfcodec's reference
    files, n_ratios: of how many signals, n_smaller: on how many of them nfcodec is the smaller one. bd_rate: mean of
    nfcodec's against it, per cent, over n_bd_rates signals. ladder: rungs that all signals have."""

    codec: str
    n_signals: int
    ladder: tuple[MeanRow, ...]
    bytes_ratio: float | None
    n_ratios: int
    n_smaller: int
    bd_rate: float | None
    n_bd_rates: int


def by_kind(comparisons: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    """Signals that can be averaged together: images, volumes, surfaces."""
    groups: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        kind = "surface" if comparison.signal.kind in SURFACE_KINDS else comparison.signal.kind
        groups.setdefault(kind, []).append(comparison)
    return groups


def means(comparisons: Sequence[Comparison]) -> list[Mean]:
    """Every codec over signals of one kind, nfcodec first, then in the order of the first signal's table."""
    names = list(dict.fromkeys(codec.name for comparison in comparisons for codec in comparison.codecs))
    found = [match for c in comparisons if c.reference is not None for match in matches(c, c.reference)]
    return [_mean(name, comparisons, [match for match in found if match.codec == name]) for name in names]


def _mean(codec: str, comparisons: Sequence[Comparison], found: Sequence[Match]) -> Mean:
    with_rows = [c for c in comparisons if c.rows_of(codec)]
    ratios = [m.bytes_ratio for m in found if m.bytes_ratio is not None]
    bd_rates = [m.bd_rate for m in found if m.bd_rate is not None]
    return Mean(
        codec=codec,
        n_signals=len(with_rows),
        ladder=tuple(_ladder(codec, with_rows)),
        bytes_ratio=math.exp(_mean_of([math.log(r) for r in ratios])) if ratios and codec != NFCODEC else None,
        n_ratios=len(ratios),
        n_smaller=sum(ratio > 1 for ratio in ratios),
        bd_rate=_mean_of(bd_rates) if bd_rates else None,
        n_bd_rates=len(bd_rates),
    )


def _ladder(codec: str, comparisons: Sequence[Comparison]) -> Iterable[MeanRow]:
    rungs: dict[int, list[tuple[Comparison, Row]]] = {}
    for comparison in comparisons:
        for row in comparison.rows_of(codec):
            if row.rung is not None:
                rungs.setdefault(row.rung, []).append((comparison, row))
    for rung in sorted(rungs):
        pairs = rungs[rung]
        if len(pairs) < len(comparisons):
            continue
        encode = [row.encode_s for _, row in pairs if row.encode_s is not None]
        yield MeanRow(
            setting=pairs[0][1].setting,
            bpp=_mean_of([8 * row.n_bytes / comparison.n_samples for comparison, row in pairs]),
            db=mean_psnr_db(comparison.db(row) for comparison, row in pairs),
            encode_s=_mean_of(encode) if len(encode) == len(pairs) else None,
            decode_s=_mean_of([row.decode_s for _, row in pairs]),
        )


def _mean_of(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
