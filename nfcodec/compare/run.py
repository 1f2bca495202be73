"""Puts one signal through nfcodec and every peer. Everything is decoded and measured; what is done is never lost."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import io
from ..errors import NfldError, UsageError
from ..fit.goals import EFFORT, Status
from ..geometry import count_edges, weld
from ..measure import Report, measure_decoded
from ..spec import Mesh, Signal
from .machine import machine, timed
from .ours import Finished, Fitted
from .peers import Peer, Setting, package_version, peers_of, text_of
from .rows import NFCODEC, Codec, Comparison, Row, Skipped, quality_db
from .store import Store, code_hash, key_of, signal_hash

__all__ = ["MEASURING_CODE", "OUR_CODE", "TARGETS", "compare"]

TARGETS: tuple[Setting, ...] = tuple({"quality": quality} for quality in (20.0, 35.0, 50.0, 65.0, 80.0))
# what a result of ours depends on, and what every measurement does
OUR_CODE = ("activations", "encodings", "entropy", "fit", "io", "kernels", "attributes.py", "binary.py", "choice.py",
            "container.py", "decode.py", "encoder.py", "evaluate.py", "field.py", "header.py", "isosurface", "layout.py",
            "meshing.py", "mlp.py", "pack.py", "shell.py", "spec.py")  # fmt: skip
MEASURING_CODE = ("measure.py", "metrics.py", "geometry.py", "compare/run.py")
_PEERS_CODE = ("compare/peers", "fit/distance.py")
_N_BISECTIONS = 3  # files of a peer added between those of its ladder, for equal bytes and again for equal error
_CLOSE = {"bytes": 0.01, "db": 0.05}  # near enough: a share of the bytes, decibels
_OUR_WEIGHT = 25.0  # of one fit against one setting of a peer, for the progress bar


class _TimeOver(Exception):
    """Nothing new is begun."""


def compare(
    source: str | os.PathLike[str] | Signal,
    files: Sequence[str | os.PathLike[str]] = (),
    *,
    kind: str | None = None,
    targets: Sequence[Setting] = TARGETS,
    encoding: str = "auto",
    effort: int = EFFORT,
    seed: int = 0,
    device: str = "auto",
    peers: Iterable[str] | None = None,
    time_limit: float | None = None,
    store: Store | None = None,
    read_options: dict[str, Any] | None = None,
    on_progress: Callable[[Status], None] | None = None,
) -> Comparison:
    """Encodes a signal with nfcodec and with every installed peer, decodes all files and measures them.

    source: a path or a Signal. targets: of the files that nfcodec makes, such as {"quality": 50}, {"size": 10000}; the
    one in the middle is what others are matched with. files: finished .nfld files of the signal instead, the first for
    matching. encoding, effort, seed, device: as in `encode`. peers: names of those to run, all by default. time_limit:
    seconds after which nothing new is begun and a fit is given up. store: where results are kept and looked up. Ctrl-C
    ends the work as the time limit does: what is done is returned, and `Comparison.unfinished` says why that is all.

    Raises what `io.read` and `encode` raise, UsageError for unknown peers and for files that are not the signal's, and
    KeyboardInterrupt where nothing is done yet. A peer that fails is named in `Comparison.skipped`.
    """
    start = time.monotonic()
    signal = source if isinstance(source, Signal) else io.read(source, kind, **(read_options or {}))
    io.check_finite(signal)
    chosen = _chosen(signal.kind, peers)
    deadline = start + time_limit if time_limit is not None else math.inf
    run = _Run(signal, store or Store(None), deadline, on_progress)
    fixed = {"kind": kind, "encoding": encoding, "effort": effort, "seed": seed, "device": device}
    fixed["read_options"] = read_options
    ours = Finished(files) if files else Fitted(source, targets, fixed, run.watch)
    rungs = list(enumerate(ours.settings(signal)))
    if not files:  # what others are matched with comes first
        rungs.insert(0, rungs.pop((len(rungs) - 1) // 2))
    run.n_steps = len(rungs) * _OUR_WEIGHT
    run.n_steps += sum(len(peer.settings(signal)) + 2 * _N_BISECTIONS for peer in chosen)
    unfinished = ""
    try:
        run.step(ours, rungs[0][1], rungs[0][0])
        for peer in chosen:
            run.ladder(peer)
        for peer in chosen:
            run.refine(peer)
        for rung, setting in rungs[1:]:
            run.step(ours, setting, rung)
    except _TimeOver:
        unfinished = "time limit"
    except KeyboardInterrupt:
        if not run.rows:
            raise
        unfinished = "interrupted"
    run.store.prune()
    facts = {
        "machine": machine(),
        "python": platform.python_version(),
        "encoding": encoding,
        "effort": effort,
        "seed": seed,
        "seconds": time.monotonic() - start,
    }
    n_samples = math.prod(signal.extent) if signal.mesh is None else len(signal.mesh.vertices)
    name, source_bytes = name_and_bytes(source, signal)
    return Comparison(
        name=name,
        signal=signal,
        source_bytes=source_bytes,
        n_samples=n_samples,
        codecs=(run.codec(ours), *(codec for name, codec in run.codecs.items() if name != NFCODEC)),
        rows=tuple(run.rows),
        skipped=tuple(run.skipped),
        is_closed=run.is_closed,
        unfinished=unfinished,
        facts=facts,
        decode=run.decode,
    )


def _chosen(kind: str, names: Iterable[str] | None) -> list[Peer]:
    known = {peer.name: peer for peer in peers_of(kind)}
    if names is None:
        return list(known.values())
    folded = {name.casefold(): peer for name, peer in known.items()}
    names = list(names)
    for name in names:
        if name.casefold() not in folded:
            raise UsageError(f"choosing peers: got {name!r}, expected some of {', '.join(known)}")
    return [folded[name.casefold()] for name in names]


def name_and_bytes(source: str | os.PathLike[str] | Signal, signal: Signal) -> tuple[str, int]:
    """What a source is called, and the bytes of its file or, of a signal, of its arrays."""
    if not isinstance(source, Signal):
        return Path(source).name, os.path.getsize(source)
    arrays = [signal.values] if signal.mesh is None else [signal.mesh.vertices, signal.mesh.faces]
    return signal.meta.get("source", signal.kind), sum(array.nbytes for array in arrays)


class _Run:
    """What is done so far on one signal."""

    def __init__(self, signal: Signal, store: Store, deadline: float, on_progress: Callable[[Status], None] | None):
        self.signal, self.store, self.deadline, self.on_progress = signal, store, deadline, on_progress
        self.start = time.monotonic()
        self.n_steps, self.n_done = 1.0, 0.0
        self.rows: list[Row] = []
        self.codecs: dict[str, Codec] = {}
        self.skipped: list[Skipped] = []
        self.is_closed = signal.mesh is None or count_edges(weld(signal.mesh)).boundary == 0
        self._content = signal_hash(signal)
        self._peers: dict[str, Peer] = {}
        self._settings: dict[str, Setting] = {}  # by key

    # ------------------------------------------------------------ work

    def ladder(self, peer: Peer) -> None:
        """All settings of a peer that is there and takes the signal."""
        settings = peer.settings(self.signal)
        reason = peer.refuses(self.signal)
        missing = peer.missing()
        if reason is not None or missing:
            cure = "" if reason is not None else f"pip install {' '.join(missing)}"
            self.skipped.append(Skipped(peer.name, reason or f"needs {', '.join(missing)}", cure))
            self.n_done += len(settings)
            return
        for rung, setting in enumerate(settings):
            self.step(peer, setting, rung)

    def refine(self, peer: Peer) -> None:
        """Files of a peer that come closer to our reference in bytes and in error than its ladder does."""
        ours = next(row for row in self.rows if row.codec == NFCODEC)  # ours was run first
        is_surface = self.signal.mesh is not None

        def db(row: Row) -> float:
            return quality_db(row.report, is_surface, self.is_closed)

        self._bisect(peer, "bytes", lambda row: math.log(row.n_bytes), math.log(ours.n_bytes))
        self._bisect(peer, "db", db, db(ours))
        self.n_done += 2 * _N_BISECTIONS

    def _bisect(self, peer: Peer, what: str, value: Callable[[Row], float], target: float) -> None:
        for _ in range(_N_BISECTIONS):
            rows = sorted((row for row in self.rows if row.codec == peer.name), key=value)
            below = [row for row in rows if value(row) <= target]
            above = [row for row in rows if value(row) > target]
            if not below or not above:
                return
            if min(target - value(below[-1]), value(above[0]) - target) <= _CLOSE[what]:
                return
            setting = peer.between(*(self._settings[row.key] for row in (below[-1], above[0])))
            if setting is None or self.step(peer, setting) is None:
                return

    def step(self, peer: Peer, setting: Setting, rung: int | None = None) -> Row | None:
        """One file: looked up, or encoded, decoded, measured and kept. None where that fails. rung: see `Row`."""
        is_ours = peer.name == NFCODEC
        weight = (_OUR_WEIGHT if is_ours else 1.0) if rung is not None else 0.0
        self._tell(f"{peer.name} {text_of(setting)}")
        key = self._key(peer, setting)
        try:
            facts = self._known(key) or self._measured(peer, setting, key)
        except (_TimeOver, KeyboardInterrupt):
            raise
        except Exception as error:
            if is_ours and (not self.rows or isinstance(peer, Finished)):  # nothing to compare with, or not its file
                raise
            text = str(error) if isinstance(error, NfldError) else f"{type(error).__name__}: {error}"
            self.skipped.append(Skipped(peer.name, f"{text_of(setting)}: {' '.join(text.split())[:200]}"))
            return None
        finally:
            self.n_done += weight
        self._peers[peer.name], self._settings[key] = peer, setting
        self.codecs.setdefault(peer.name, self.codec(peer))
        row = Row(
            codec=peer.name,
            setting=text_of(setting),
            n_bytes=facts["n_bytes"],
            report=Report(**facts["report"]),
            encode_s=facts["encode_s"],
            decode_s=facts["decode_s"],
            key=key,
            rung=rung,
        )
        if all(other.key != key for other in self.rows):
            self.rows.append(row)
        return row

    def _known(self, key: str) -> dict[str, Any] | None:
        found = self.store.get(key)
        return None if found is None else found[0]

    def _measured(self, peer: Peer, setting: Setting, key: str) -> dict[str, Any]:
        if time.monotonic() > self.deadline:
            raise _TimeOver
        data, encode_s = timed(lambda: peer.encode(self.signal, **setting))
        if isinstance(peer, Finished):
            peer.decode(data, self.signal)  # loads what a fit has loaded already
        decoded, decode_s = timed(lambda: peer.decode(data, self.signal))
        facts = {
            "n_bytes": len(data),
            "report": dataclasses.asdict(measure_decoded(decoded, self.signal, full=True)),
            "encode_s": None if isinstance(peer, Finished) else encode_s,
            "decode_s": decode_s,
        }
        self.store.put(key, facts, b"" if peer.lossless else data)
        return facts

    # ------------------------------------------------------------ what a result is

    def _key(self, peer: Peer, setting: Setting) -> str:
        if isinstance(peer, Fitted):
            depends: Any = [peer.fixed, package_version("torch"), np.__version__, code_hash(*OUR_CODE)]
        elif isinstance(peer, Finished):
            depends = [hashlib.sha256(peer.encode(self.signal, **setting)).hexdigest(), code_hash(*OUR_CODE)]
        else:
            depends = [peer.version(), code_hash(*_PEERS_CODE)]
        return key_of(self._content, peer.name, setting, depends, code_hash(*MEASURING_CODE), machine())

    def codec(self, peer: Peer) -> Codec:
        """A peer's line in the legend."""
        return Codec(peer.name, peer.version(), peer.how, peer.aim, peer.lossless)

    def decode(self, row: Row) -> np.ndarray | Mesh:
        """What a row's file decodes to."""
        peer = self._peers[row.codec]
        if peer.lossless:
            return self.signal.values if self.signal.mesh is None else self.signal.mesh
        found = self.store.get(row.key)
        data = found[1] if found is not None else peer.encode(self.signal, **self._settings[row.key])
        return peer.decode(data, self.signal)

    # ------------------------------------------------------------ progress

    def watch(self, setting: Setting, status: Status) -> None:
        """Called by our own fit."""
        if time.monotonic() > self.deadline:
            raise _TimeOver
        self._tell(f"{NFCODEC} {text_of(setting)}, {status.phase}", status, _OUR_WEIGHT * min(status.fraction, 1) * 0.9)

    def _tell(self, phase: str, status: Status | None = None, within: float = 0.0) -> None:
        if self.on_progress is not None:
            psnr_db, n_bytes = (None, None) if status is None else (status.psnr_db, status.bytes)
            fraction = min((self.n_done + within) / self.n_steps, 1.0)
            self.on_progress(Status(phase, fraction, time.monotonic() - self.start, None, psnr_db, n_bytes))
