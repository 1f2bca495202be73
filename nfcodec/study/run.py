"""Fits every member of a study to one signal at matched bytes. Everything is decoded and measured; what is done is kept."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import decode, io
from ..compare.machine import machine, timed
from ..compare.peers import package_version
from ..compare.run import MEASURING_CODE, OUR_CODE, name_and_bytes
from ..compare.store import Store, code_hash, key_of, signal_hash
from ..encoder import encode, import_session
from ..errors import NfldError
from ..fit.goals import Status
from ..geometry import bounding_box_diagonal
from ..measure import Report, decode_for, measure_decoded
from ..spec import Signal
from .members import ACTIVATIONS_USUAL, ENCODINGS_USUAL, Member, members_of
from .rows import Course, Moment, Row, Skipped, Study
from .watch import Watch

__all__ = ["EFFORT", "QUALITY", "study"]

EFFORT, QUALITY = 3, 50.0
_CLOSE, _MAX_FITS = 0.03, 7  # logarithm of a ratio of bytes that is near enough; fits of a member until it is
_SLOPE, _LEAST_STEP, _BEYOND = 0.05, 1.0, 1.1  # of that logarithm by quality, as it usually is; of quality; of a step
_REFERENCE = Member("structure", "dense", "relu")  # whose bytes at a quality the others get


class _TimeOver(Exception):
    """Nothing new is begun."""


def study(
    source: str | os.PathLike[str] | Signal,
    *,
    kind: str | None = None,
    encodings: Iterable[str] = ENCODINGS_USUAL,
    activations: Iterable[str] = ACTIVATIONS_USUAL,
    on: str = "identity",
    size: int | None = None,
    quality: float = QUALITY,
    effort: int = EFFORT,
    seed: int = 0,
    device: str = "auto",
    time_limit: float | None = None,
    store: Store | None = None,
    read_options: dict[str, Any] | None = None,
    on_progress: Callable[[Status], None] | None = None,
) -> Study:
    """Fits a signal with each of several encodings, and with each of several activations on the encoding `on`, all with the
    same effort, until files have the same size.

    source: a path or a Signal. encodings, activations: as of `encode`, "all" for all there are; one may be there several
    times with other numbers. size: bytes of the files;
    without it those of a dense grid at `quality`, which is also where the search for the size begins. effort, seed, device,
    kind, read_options: as of `encode`. time_limit: seconds after which nothing new is begun and a fit is given up. store:
    where results are kept and looked up. Ctrl-C ends the work as the time limit does: what is done is returned, and
    `Study.unfinished` says why that is all.

    Raises what `io.read` raises, UsageError for unknown names, what `encode` raises where not even the size is known, and
    KeyboardInterrupt where nothing is done yet. A member that does not suit the signal is named in `Study.skipped`.
    """
    start = time.monotonic()
    import_session()  # or the extra that is missing
    members = members_of(encodings, activations, on)
    signal = source if isinstance(source, Signal) else io.read(source, kind, **(read_options or {}))
    io.check_finite(signal)
    fixed = {"effort": effort, "seed": seed, "device": device}
    deadline = start + time_limit if time_limit is not None else math.inf
    shared = {**fixed, "kind": kind, "read_options": read_options}
    run = _Run(signal, source, shared, store or Store(None), deadline, on_progress, len(members))
    n_bytes, unfinished = size, ""
    try:
        if n_bytes is None:
            n_bytes = run.fit(_REFERENCE, quality).n_bytes
        for member in members:
            last = next((row.quality for row in reversed(run.rows) if row.member.group == member.group), quality)
            run.add(member, n_bytes, last)
    except _TimeOver:
        unfinished = "time limit"
    except KeyboardInterrupt:
        if not run.rows:
            raise
        unfinished = "interrupted"
    run.store.prune()
    name, source_bytes = name_and_bytes(source, signal)
    facts = {"machine": machine(), "python": platform.python_version(), **fixed, "seconds": time.monotonic() - start}
    return Study(
        name=name,
        signal=signal,
        source_bytes=source_bytes,
        n_bytes=n_bytes or 0,
        rows=tuple(run.rows),
        skipped=tuple(run.skipped),
        unfinished=unfinished,
        facts=facts,
    )


class _Run:
    """What is done so far on one signal."""

    def __init__(self, signal, source, shared, store, deadline, on_progress, n_members):
        """source: what `encode` is given; shared: its arguments that all members have in common."""
        self.signal, self.source, self.shared = signal, source, shared
        self.store, self.deadline, self.on_progress, self.n_members = store, deadline, on_progress, n_members
        self.start = time.monotonic()
        self.rows: list[Row] = []
        self.skipped: list[Skipped] = []
        self._n_fits = 0  # of the member in hand
        self._content = signal_hash(signal)

    def add(self, member: Member, n_bytes: int, quality: float) -> None:
        """One more row, or the reason why there is none. quality: where to look first for the size."""
        try:
            self.rows.append(self._matched(member, n_bytes, quality))
        except NfldError as error:
            self.skipped.append(Skipped(f"{member.group} {member.name}", str(error)))

    def _matched(self, member: Member, n_bytes: int, quality: float) -> Row:
        """The file that is nearest in bytes of some whole fits, each at another quality."""
        tried: dict[float, float] = {}  # quality: logarithm of bytes too many
        rows: dict[float, Row] = {}
        while quality is not None:
            self._n_fits = len(rows)
            rows[quality] = self.fit(member, quality)
            tried[quality] = math.log(rows[quality].n_bytes / n_bytes)
            quality = next_quality(tried)
        return rows[min(tried, key=lambda q: abs(tried[q]))]

    def fit(self, member: Member, quality: float) -> Row:
        """Looked up, or encoded, decoded, measured and kept."""
        key = self._key(member, quality)
        found = self.store.get(key)
        facts = found[0] if found is not None else self._measured(member, quality, key)
        course = facts["course"]
        moments = tuple(Moment(**{**m, "power": tuple(m["power"])}) for m in course["moments"])
        rings = (tuple(course[name]) for name in ("frequencies", "counts", "signal"))
        return Row(
            member=member,
            quality=quality,
            n_bytes=facts["n_bytes"],
            report=Report(**facts["report"]),
            network=tuple(facts["network"]),
            n_steps=facts["n_steps"],
            encode_s=facts["encode_s"],
            decode_s=facts["decode_s"],
            course=Course(*rings, moments),
        )

    def _measured(self, member: Member, quality: float, key: str) -> dict[str, Any]:
        if time.monotonic() > self.deadline:
            raise _TimeOver
        mesh = self.signal.mesh
        watch = Watch(None if mesh is None else bounding_box_diagonal(mesh))

        def tell(status: Status) -> None:
            if time.monotonic() > self.deadline:
                raise _TimeOver
            self._tell(f"{member.name} at quality {quality:g}, {status.phase}", status)

        encoded = encode(
            self.source, encoding=member.encoding, activation=member.activation, quality=quality, **self.shared,
            on_progress=tell, on_step=watch,
        )  # fmt: skip
        field = decode.open(encoded.data)
        decoded, decode_s = timed(lambda: decode_for(decode.open(encoded.data), encoded.signal))
        course = watch.course()
        facts = {
            "n_bytes": len(encoded.data),
            "report": dataclasses.asdict(measure_decoded(decoded, encoded.signal, full=True)),
            "network": [field.spec.mlp.n_neurons, field.spec.mlp.n_hidden_layers],
            "n_steps": course.moments[-1].step,
            "encode_s": encoded.seconds - watch.seconds,
            "decode_s": decode_s,
            "course": dataclasses.asdict(course),
        }
        self.store.put(key, facts, encoded.data)
        return facts

    def _key(self, member: Member, quality: float) -> str:
        depends = [member.encoding, member.activation, quality, self.shared]
        code = code_hash(*OUR_CODE, *MEASURING_CODE, "study")
        return key_of("study", self._content, depends, package_version("torch"), np.__version__, code, machine())

    def _tell(self, phase: str, status: Status) -> None:
        if self.on_progress is not None:
            done = len(self.rows) + len(self.skipped)
            # nobody knows how many fits a size will take
            within = 1 - 0.6**self._n_fits * (1 - 0.4 * min(status.fraction, 1.0))
            fraction = min((done + within) / max(self.n_members, 1), 1.0)
            seconds = time.monotonic() - self.start
            self.on_progress(Status(phase, fraction, seconds, None, status.psnr_db, status.bytes))


def next_quality(tried: dict[float, float]) -> float | None:
    """The quality to try next for a size, or None where that is settled. tried: of qualities the logarithm of how many
    times too many bytes they gave; more quality takes more bytes, mostly."""
    near = min(tried, key=lambda q: abs(tried[q]))
    if abs(tried[near]) <= _CLOSE or len(tried) >= _MAX_FITS:
        return None
    below = max((q for q in tried if tried[q] < 0), default=None)
    above = min((q for q in tried if tried[q] > 0), default=None)
    if below is None or above is None or below >= above:
        low, high = min(tried), max(tried)
        slope = (tried[high] - tried[low]) / (high - low) if high > low else _SLOPE
        # a little further than there, so that there is something on either side
        step = -_BEYOND * tried[near] / min(max(slope, _SLOPE / 4), _SLOPE * 4)
        quality = near + math.copysign(max(abs(step), _LEAST_STEP), step)
    else:
        share = -tried[below] / (tried[above] - tried[below])
        # the middle in the end, since sizes may leap between two
        share = min(max(share, 0.1), 0.9) if len(tried) < _MAX_FITS - 2 else 0.5
        quality = below + share * (above - below)
    quality = round(min(max(quality, 0.0), 100.0), 1)
    return None if quality in tried else quality
