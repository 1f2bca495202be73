"""One encode from signal to bytes: builds the fit, runs it, and refines it until its goal is met or time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch

from .. import decode, io
from ..choice import parse_encoding
from ..errors import NfldError, TargetError, UsageError
from ..measure import Report, level_psnr, measure, measure_decoded
from ..pack import Frozen, pack, with_meta
from ..spec import GRID_ENCODINGS, SURFACE_KINDS, FieldSpec, Signal
from . import presets, race, residual
from .build import build
from .distance import MeshDistance
from .edges import is_edged
from .goals import Goal, Status
from .source import Source, from_lattice, from_mesh, measure_mesh
from .train import Fit, Progress, Recipe, Target

_PILOT_SHARE = 0.06  # of the steps of a full fit, to find lmbda for a goal
_N_PILOTS = 3
_REFINE_SHARE = 0.2  # of the steps, each round of refinement
_WARM_UP, _MIN_WARM_UP = 300, 60  # steps of the context network alone; the latter at least where steps are few and small
_MIN_PILOT = 80  # steps; fits that are not much longer need no pilot
_MAX_TRIALS = 8
_MAX_FITS = 4
_FAR = 0.15  # excess from which another full fit is worth its time
_FAR_LMBDA = 0.7  # and logarithm of the factor that lmbda has moved by since
_CLOSE = 0.04  # excess (see Goal) within which a met goal is not refined further
_ROOM = 0.985  # share of a size that steering aims at
_MIN_LMBDA = 1e-7
_PROGRESSIVE = 0.25  # share of the steps that look at coarse levels alone, where that is asked for
_TELLING = 2048  # bytes from which a file says how good each of its levels is
_QUALITY_STEP = 15.0  # between short fits that balance a field and its residual
_MAX_BALANCE = 5


@dataclass(frozen=True)
class Settings:
    """What the caller chose. deadline: of time.monotonic(). kind_is_free: nobody asked for the signal's kind.
    interpolation: None for what suits best; boundary: a name for each axis, or a single one for all."""

    encoding: str
    quality: float
    effort: int
    seed: int
    device: str
    deadline: float
    kind_is_free: bool = False
    progressive: bool = False
    closes_holes: bool = False
    activation: str = "auto"
    network: tuple[int, int] | None = None
    interpolation: str | None = None
    boundary: tuple[str, ...] = ("clamp",)


@dataclass(frozen=True)
class Trial:
    """A finished file and what was measured on it."""

    data: bytes
    report: Report
    lmbda: float


def pick_device(name: str) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu". UsageError for what is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not (name.startswith("cuda") and torch.cuda.is_available()):
        known = "cpu or cuda" if torch.cuda.is_available() else "cpu (no CUDA here)"
        raise UsageError(f"choosing a device: got {name!r}, expected {known}")
    return name


@contextmanager
def _one_thread() -> Iterator[None]:
    """For small steps, such as those of surfaces, whose tiles are mostly empty: a second thread gains nothing there
    (measured on two cores: bunny 1.33 against 1.41 s for 150 steps), and where the cores are busy threads wait for each
    other."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


class Session:
    """`search` is all there is to call."""

    def __init__(
        self,
        signal: Signal,
        settings: Settings,
        goal: Goal | None,
        on_progress: Callable[[Status], None] | None,
        on_step: Callable[[Fit, Progress], None] | None = None,
    ):
        """on_step: is called after every step of whole fits with the model as it then is, which it leaves alone."""
        self.signal, self.settings, self.goal, self.on_progress, self.on_step = signal, settings, goal, on_progress, on_step
        self.start = time.monotonic()
        self.is_surface = signal.kind in SURFACE_KINDS
        self.n_samples = len(signal.mesh.vertices) if self.is_surface else math.prod(signal.extent)
        # whether all bits are those of the network: a fit does not count them as it runs
        parts = parse_encoding(settings.encoding)
        self._is_network_alone = all(part.name not in GRID_ENCODINGS for part in parts)
        finest = [part.numbers.get("finest") for part in parts if part.name in GRID_ENCODINGS]
        self._finest = int(max(finest)) if finest and None not in finest else None
        self._distance: MeshDistance | None = None
        if self.is_surface:
            self.signal, self._distance, self._rim = measure_mesh(signal, settings.kind_is_free, settings.closes_holes)
            self._is_edged = self.signal.kind in ("sdf", "tsdf") and is_edged(self._distance.mesh)
        self._source: Source | None = None
        self._resolution = 0

    def search(self) -> Trial:
        """The best file: one that comes close to the goal from the right side, or the closest in the end."""
        lmbda = presets.lmbda_of(self.settings.quality, self.signal.kind)
        if not self.is_surface:
            self._source = from_lattice(self.signal)
            lmbda *= self._source.lmbda_factor * presets.small_factor(self.n_samples)
        if self.goal is None:
            return self._fit(lmbda)[1]
        if self.goal.is_guarantee and not self.is_surface:
            return self._search_guarantee()
        built = self._pilot(lmbda)
        fit, trial = self._fit(built)
        trials, series = [trial], [trial]  # all, and those since the last full fit
        n_fits = 1
        while len(trials) < _MAX_TRIALS and time.monotonic() < self.settings.deadline:
            excess = self.goal.excess(trials[-1], self.n_samples)
            n_met = sum(self.goal.met(t, self.n_samples) for t in trials)
            if -_CLOSE <= excess <= 0 or n_met > 2:
                break
            lmbda = self._next_lmbda(series)
            is_far = abs(excess) > _FAR or abs(math.log(lmbda / built)) > _FAR_LMBDA
            if is_far and n_fits < _MAX_FITS:
                # integer steps and resolutions follow lmbda: too far off, a fresh start beats refinement
                built = lmbda
                fit, trial = self._fit(lmbda)
                series = [t for t in series if t is trials[-1]] + [trial]
                n_fits += 1
            else:
                steps = max(20, round(self._n_steps(len(fit.tiles)) * _REFINE_SHARE))
                recipe = replace(self._recipe(fit, steps, lmbda), warm=True)
                self._run([fit], recipe, "refine")
                trial = self._finish(fit, lmbda)
                series.append(trial)
            trials.append(trial)
        return self._best(trials)

    def _search_guarantee(self) -> Trial:
        """The file whose field and residual are smallest together; TargetError where it breaks its guarantee."""
        signal, bound = self.signal, self.goal.value
        residual.check(self._source.extent, signal.channels, self._source.dtype, bound, signal.meta.get("source", "signal"))
        lmbda = self._balance(bound)
        fit, _ = self._run(*self._start(lmbda))
        fit.model.eval()
        spec, frozen = fit.model.spec, fit.model.freeze()
        del fit  # its memory is wanted for the residual
        alone = decode.open(pack(spec, frozen))
        self._tell("residual", 0.0, None, None)
        effort = self.settings.effort if time.monotonic() < self.settings.deadline else 1
        extra = residual.encode(alone, signal.values, bound, effort, self.settings.seed)
        data = self._pack(spec, frozen, extra)
        trial = Trial(data, measure(decode.open(data), signal), lmbda)
        if not self.goal.met(trial, self.n_samples):
            reached = self.goal.reached(trial, self.n_samples)
            raise TargetError(f"encoding: {reached} was decoded where {self.goal.text} was asked for; nothing was written")
        self._tell("measure", 1.0, trial.report.psnr_db, len(data))
        return trial

    def _tell(self, phase: str, fraction: float, psnr_db: float | None, n_bytes: int | None) -> None:
        if self.on_progress is not None:
            self.on_progress(Status(phase, fraction, time.monotonic() - self.start, None, psnr_db, n_bytes))

    def _balance(self, bound: float) -> float:
        """The lmbda for which short fits and estimates of their residuals give the smallest sum: downhill in steps of
        quality, and then the lowest point of the parabola through the last three."""
        qualities = [residual.first_quality(self.signal.values, bound)]
        found: dict[float, float] = {}
        step = _QUALITY_STEP
        while len(found) < _MAX_BALANCE and time.monotonic() < self.settings.deadline:
            quality = qualities[-1]
            lmbda = presets.lmbda_of(quality, self.signal.kind)
            fit = self._build(lmbda, is_brief=True)
            steps = min(self._n_steps(len(fit.tiles)), max(_MIN_PILOT, round(_PILOT_SHARE * self._n_steps(len(fit.tiles)))))
            self._run([fit], self._recipe(fit, steps, lmbda))
            fit.model.eval()
            data = pack(fit.model.spec, fit.model.freeze())
            found[quality] = len(data) + residual.estimate(
                decode.open(data), self.signal.values, bound, self.settings.seed
            )
            best = min(found, key=found.__getitem__)
            beyond = [q for q in (best + step, best - step) if q not in found and 0 <= q <= 120]
            if not beyond:
                break
            qualities.append(beyond[0])
        if not found:
            return presets.lmbda_of(qualities[0], self.signal.kind)
        best = min(found, key=found.__getitem__)
        if best - step in found and best + step in found:
            left, middle, right = (found[q] for q in (best - step, best, best + step))
            best += 0.5 * step * (left - right) / max(left - 2 * middle + right, 1e-9)
        return presets.lmbda_of(best, self.signal.kind)

    def _fit(self, lmbda: float) -> tuple[Fit, Trial]:
        """A full fit from the start, steered where its goal allows."""
        fits, recipe = self._start(lmbda)
        fit, lmbda = self._run(fits, recipe, target=self._target(fits[0]), watch=self.on_step)
        return fit, self._finish(fit, lmbda)

    def _start(self, lmbda: float) -> tuple[list[Fit], Recipe]:
        """Fits ready for a whole run, of which the better one will do, and its recipe."""
        fits = [self._build(lmbda)]
        n_steps = self._n_steps(len(fits[0].tiles))
        if self._is_patient(len(fits[0].tiles)) and not self._is_network_alone:
            fits.append(self._build(lmbda, from_nothing=True))
        return fits, self._recipe(fits[0], n_steps, lmbda)

    def _recipe(self, fit: Fit, n_steps: int, lmbda: float) -> Recipe:
        settings = presets.recipe_of(self.signal.kind, n_steps, len(fit.tiles), self.settings.encoding, lmbda)
        return Recipe(n_steps=n_steps, lmbda=lmbda, progressive=self.settings.progressive * _PROGRESSIVE, **settings)

    def _best(self, trials: list[Trial]) -> Trial:
        met = [t for t in trials if self.goal.excess(t, self.n_samples) <= 0]
        if not met:
            return min(trials, key=lambda t: self.goal.excess(t, self.n_samples))
        if self.goal.bytes_for(self.n_samples) is not None:
            return max(met, key=lambda t: t.report.psnr_db)
        return min(met, key=lambda t: len(t.data))

    def _next_lmbda(self, trials: list[Trial]) -> float:
        """Towards an excess slightly below 0, by the slope between the last two trials where that makes sense."""
        aim = -_CLOSE / 2
        excess = self.goal.excess(trials[-1], self.n_samples)
        slope = self.goal.answer
        if len(trials) > 1:
            moved = excess - self.goal.excess(trials[-2], self.n_samples)
            turned = math.log(trials[-1].lmbda / trials[-2].lmbda)
            if abs(moved) > 1e-3 and turned * moved * slope < 0:  # a larger lmbda does what it should
                slope = math.copysign(min(abs(turned / moved), 4 * abs(slope)), slope)
        step = min(max(slope * (excess - aim), -2.0), 2.0)
        return max(trials[-1].lmbda * math.exp(step), _MIN_LMBDA)

    def _pilot(self, lmbda: float) -> float:
        """A lmbda near the goal, from short fits."""
        for _ in range(_N_PILOTS):
            fit = self._build(lmbda, is_brief=True)
            full = self._n_steps(len(fit.tiles))
            steps = max(_MIN_PILOT, round(_PILOT_SHARE * full))
            if steps * 3 > full or time.monotonic() > self.settings.deadline:
                break
            self._run([fit], self._recipe(fit, steps, lmbda))
            if self.is_surface or self._is_network_alone or self.goal.what == "max_error" or not self._can_steer:
                excess = self.goal.excess(self._finish(fit, lmbda), self.n_samples)
            else:
                distortion, bits = fit.measure()
                limit = self.goal.bytes_for(self.n_samples)
                if limit is None:
                    excess = self.goal.value * math.log(10) / 10 + math.log(max(distortion, 1e-12))
                else:
                    excess = math.log((bits * fit.n_samples / 8 + presets.fixed_bytes(fit.n_samples)) / limit)
            factor = math.exp(min(max(self.goal.answer * excess, -4.0), 4.0))
            lmbda = max(lmbda * factor, _MIN_LMBDA)
            if 0.6 < factor < 1.7:
                break
        return lmbda

    def _target(self, fit: Fit) -> Target | None:
        """What the fit may steer by while it runs; surfaces are steered by finished files only."""
        if self.goal is None or self.is_surface:
            return None
        limit = self.goal.bytes_for(self.n_samples)
        if limit is not None:
            if self._is_network_alone:
                return None
            bits = 8 * max(limit * _ROOM - presets.fixed_bytes(fit.n_samples), 0.3 * limit)
            return Target(bits_per_sample=bits / fit.n_samples)
        if self.goal.what == "psnr" and self._can_steer:
            return Target(distortion=10 ** (-self.goal.value / 10))
        return None

    @property
    def _can_steer(self) -> bool:
        """Whether the fit's own error says how far a PSNR is."""
        return self.goal.what != "psnr" or self._source.is_judged_by_error

    @property
    def _on_gpu(self) -> bool:
        return self.settings.device != "cpu"

    @property
    def _boundary(self) -> tuple[str, ...]:
        """As in `GridSpec`."""
        names, d = self.settings.boundary, len(self._source.extent)
        names = names * d if len(names) == 1 else names
        return names if set(names) != {"clamp"} else ()

    def _n_steps(self, n_tiles: int) -> int:
        extent = self._source.extent
        n_whole = math.prod(extent) / presets.tile_samples(len(extent), self.signal.kind)
        n_steps = presets.n_steps(self.settings.effort, n_whole, self.signal.kind, self.settings.encoding)
        if self.is_surface:
            return n_steps
        return round(n_steps * presets.share_of_steps(extent, n_tiles, self._on_gpu))

    def _is_patient(self, n_tiles: int) -> bool:
        """Whether a whole run has the time for latents that start from nothing; what may be cut off has not."""
        has_time = presets.is_patient(self.signal.kind, self._n_steps(n_tiles), n_tiles)
        return has_time and self.settings.deadline == math.inf

    def _build(self, lmbda: float, is_brief: bool = False, from_nothing: bool = False) -> Fit:
        """A fit that is ready to run. is_brief: for a part of its steps only. from_nothing: with latents of 0."""
        resolution = 0
        if self.is_surface:
            quality = presets.quality_of(lmbda, self.signal.kind)
            resolution = presets.surface_resolution(quality, self.settings.effort, self._is_network_alone, self._finest)
        if self._source is None or resolution != self._resolution:
            self._source = from_mesh(self.signal, self._distance, resolution, self._rim)
            self._resolution = resolution
        settings = self.settings
        preset = presets.choose(
            self._source, lmbda, settings.encoding, settings.effort, activation=settings.activation,
            network=settings.network, interpolation=settings.interpolation, boundary=self._boundary,
        )  # fmt: skip
        presets.check_size(preset.grid, self.signal.meta.get("source", "signal"))
        n_tiles = presets.n_tiles(self._source.extent, preset.tile_edge)
        if self._on_gpu or (self._is_patient(n_tiles) and not is_brief):
            preset = presets.with_large_tiles(preset)
            n_tiles = presets.n_tiles(self._source.extent, preset.tile_edge)
        is_short = presets.is_short(self.signal.kind, self._n_steps(n_tiles), n_tiles)
        fit = build(
            self._source, preset, self.settings.seed, self.settings.device, is_short=is_short, from_nothing=from_nothing
        )
        fit.deadline = self.settings.deadline
        with _one_thread():
            is_large = len(fit.tiles) > 1 and not self.is_surface
            fit.warm_up(_WARM_UP if is_large else min(_WARM_UP, max(_MIN_WARM_UP, self._n_steps(len(fit.tiles)))))
        return fit

    def _run(
        self, fits: list[Fit], recipe: Recipe, phase: str = "fit", target: Target | None = None,
        watch: Callable[[Fit, Progress], None] | None = None,
    ) -> tuple[Fit, float]:  # fmt: skip
        """As `race.run`, with its progress told."""

        def tell(p: Progress) -> None:
            left = p.seconds / p.step * (p.n_steps - p.step)
            psnr = None if self.is_surface else -10 * math.log10(max(p.distortion, 1e-12))
            size = round(p.bits_per_sample * fits[0].n_samples / 8)
            self.on_progress(Status(phase, p.step / p.n_steps, time.monotonic() - self.start, left, psnr, size))

        for fit in fits:
            fit.model.train()
        with _one_thread() if self.is_surface and not self._is_network_alone else nullcontext():
            return race.run(fits, recipe, target, tell if self.on_progress is not None else None, watch)

    def _pack(self, spec: FieldSpec, frozen: Frozen, residual: bytes | None = None, is_sharp: bool = False) -> bytes:
        """The finished file; where that costs little, its metadata have the PSNR of every level. is_sharp: whether meshes
        of it are to get their edges back."""
        meta = io.compact(self.signal) | ({"sharp": True} if is_sharp else {})
        data = pack(spec, frozen, meta, residual, compact=not self.settings.progressive)
        if len(data) < _TELLING or spec.grid.n_levels == 1:
            return data
        levels = level_psnr(decode.open(data), self.signal)
        if not levels:
            return data
        return with_meta(data, {**meta, "level_db": [round(x, 1) for x in levels]})

    def _finish(self, fit: Fit, lmbda: float) -> Trial:
        """Freezes, packs, decodes and measures."""
        fit.model.eval()
        frozen = fit.model.freeze()
        data = self._pack(fit.model.spec, frozen)
        field = decode.open(data)
        try:
            report = measure(field, self.signal)
            if self.is_surface and self._is_edged:
                sharp = measure_decoded(field.to_mesh(max(field.spec.extent), sharp=True), self.signal)
                if sharp.rms_symmetric <= report.rms_symmetric and sharp.normal_deg < report.normal_deg:
                    data, report = self._pack(fit.model.spec, frozen, is_sharp=True), sharp
        except NfldError as err:
            if not self.is_surface:
                raise
            # a fit so coarse that no surface is left: as far from any goal as can be
            report = Report(0.0, 1.0, 1.0)
            if self.goal is None:
                raise NfldError(f"encoding: the fit lost the surface ({err}); raise the quality or the effort") from err
        self._tell("measure", 1.0, report.psnr_db, len(data))
        return Trial(data, report, lmbda)
