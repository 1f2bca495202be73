"""A field through torch: on a GPU, and differentiable by its coordinates, weights and grids.

`to_torch` makes a module of a decoded field; `on_device` a `Field` all of whose calls evaluate that module, for decoding
on a GPU. Both agree with the decoder within the tolerance of spec/format.md; integers are decoded as ever, without torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from .errors import MissingExtraError, UsageError

try:
    import torch
    from torch import nn
except ImportError as error:
    raise MissingExtraError.of("torch", "encode", "evaluating a field by torch") from error

from .encodings import Encoding, LatticeEncoding
from .encodings.composite import Composite
from .encodings.factors import FactoredEncoding
from .encodings.interpolate import CUBIC, CUBIC_B, CUBIC_C
from .evaluate import MAX_BENT, Evaluation, Lattice
from .field import Field
from .fit.activations import load as load_activation
from .spec import HASH_PRIMES, LINEAR, NEAREST, SMOOTHSTEP, Kernel, Read

__all__ = ["TorchField", "on_device", "to_torch"]

_POINTS = 1 << 18  # evaluated at a time


def to_torch(field: Field, device: str = "cpu") -> TorchField:
    """A module that does what `Field.sample` does, with weights and the features of grids as its parameters."""
    return TorchField(field).to(device)


def on_device(field: Field, device: str) -> Field:
    """The same field, evaluated by torch on a device such as "cuda"; second derivatives stay with numpy. UsageError for a
    device that is not there."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"choosing a device: got {device!r}, which torch cannot use here ({str(error).splitlines()[0]}); leave it out"
        ) from error
    evaluation = _Evaluation(field, to_torch(field, device).requires_grad_(False))
    return Field(field.spec, field.grid, field.mlp, field.meta, field.sizes, field.residual, evaluation)


class TorchField(nn.Module):
    """forward(coords (N, d) in [0, 1]) -> values (N, C) float32, as `Field.sample`; coords are best float64."""

    def __init__(self, field: Field):
        super().__init__()
        if not isinstance(field, Field):
            raise UsageError(f"evaluating by torch: got {field!r}, expected a field; take one of a scene's fields")
        spec = self.spec = field.spec
        self.n_levels = field.n_levels
        self.features = _features_of(field.grid)
        tensors = (*field.mlp.weights, *field.mlp.biases, field.mlp.skip)
        self.network = nn.ParameterList(nn.Parameter(torch.tensor(t)) for t in tensors)
        numbers = field.mlp.numbers
        self.register_buffer("numbers", None if numbers is None else torch.tensor(numbers))
        self._act = load_activation(spec.mlp.activation)
        knees, *others = field._evaluation.values.arrays()
        for name, array in zip(("knees", "scale", "offset", "low", "high"), (knees, *others)):
            self.register_buffer(name, torch.tensor(np.asarray(array, np.float32)))

    def forward(self, coords: torch.Tensor, n_levels: int | None = None, clip: bool = True) -> torch.Tensor:
        """n_levels: of the coarsest ones, all if None. clip: whether values keep to the range of the source."""
        return self.values(self.features(coords, self.n_levels if n_levels is None else n_levels), clip)

    def lattice(self, axes: Sequence[torch.Tensor], n_levels: int | None = None) -> torch.Tensor:
        """Values (M_1 .. M_d, C) at the product of the coordinates axes[k] (M_k,)."""
        return self.values(self.features.lattice(axes, self.n_levels if n_levels is None else n_levels))

    def values(self, x: torch.Tensor, clip: bool = True) -> torch.Tensor:
        """Features (..., F) -> values (..., C)."""
        n = self.spec.mlp.n_hidden_layers
        weights, biases, skip = self.network[: n + 1], self.network[n + 1 : -1], self.network[-1]
        if n == 0:
            weights, biases = self.network[:0], self.network[:-1]
        y = x @ skip.T + biases[-1]
        if n:
            h = x
            for k in range(n):
                numbers = () if self.numbers is None else self.numbers[k]
                h = self._act(h @ weights[k].T + biases[k], *numbers)
            y = y + h @ weights[-1].T
        values = y * self.scale
        if (self.knees > 0).any():
            knees = torch.where(self.knees > 0, self.knees, torch.ones_like(self.knees))
            bent = knees * torch.sinh((y * self.scale / knees).clamp(-float(MAX_BENT), float(MAX_BENT)))
            values = torch.where(self.knees > 0, bent, values)
        values = values + self.offset
        return torch.minimum(torch.maximum(values, self.low), self.high) if clip else values


class _Levels(nn.Module):
    """Features of an encoding with lattices: rows of every level, and which row a vertex has."""

    def __init__(self, grid: LatticeEncoding):
        super().__init__()
        self.spec = grid.spec
        self.rows, self.indices = nn.ParameterList(), nn.ParameterList()
        for level in range(len(grid.levels)):
            rows, index = _rows_of(grid, level)
            self.rows.append(nn.Parameter(torch.from_numpy(rows)))
            self.indices.append(nn.Parameter(torch.from_numpy(index), requires_grad=False))

    def forward(self, coords: torch.Tensor, n_levels: int) -> torch.Tensor:
        parts = []
        for read in self.spec.reads:
            if not self._has(read, n_levels):
                parts.append(coords.new_zeros((len(coords), self.spec.n_features[read.level]), dtype=torch.float32))
                continue
            axes = self._axes(coords.T, read)
            total = 0.0
            for choice in itertools.product(*(range(w.shape[1]) for _, w in axes)):
                index = [i[:, t] for (i, _), t in zip(axes, choice)]
                weight = math.prod(w[:, t] for (_, w), t in zip(axes, choice))
                total = total + weight[:, None] * self._vertices(read.level, index)
            parts.append(total)
        return torch.cat(parts, -1)

    def lattice(self, axes: Sequence[torch.Tensor], n_levels: int) -> torch.Tensor:
        """As `encodings.Encoding.lattice`, axis by axis."""
        parts, shape = [], [len(a) for a in axes]
        for read in self.spec.reads:
            if not self._has(read, n_levels):
                parts.append(axes[0].new_zeros((*shape, self.spec.n_features[read.level]), dtype=torch.float32))
                continue
            found = self._axes(axes, read)
            firsts = [int(i.min()) for i, _ in found]
            runs = [torch.arange(first, int(i.max()) + 1, device=i.device) for (i, _), first in zip(found, firsts)]
            block = self._vertices(read.level, list(torch.meshgrid(*runs, indexing="ij")))
            for k, ((index, weight), first) in enumerate(zip(found, firsts)):
                along = [-1 if j == k else 1 for j in range(len(axes) + 1)]
                block = sum(
                    block.index_select(k, index[:, t] - first) * weight[:, t].reshape(along) for t in range(weight.shape[1])
                )
            parts.append(block)
        return torch.cat(parts, -1)

    def _axes(self, axes: Sequence[torch.Tensor], read: Read) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The taps of a read along each axis."""
        sizes = self.spec.resolutions[read.level], self.spec.shift(read), self.spec.boundaries
        return [_taps(x, n, self.spec.kernel(read.level), s, boundary) for x, n, s, boundary in zip(axes, *sizes)]

    def _has(self, read: Read, n_levels: int) -> bool:
        return read.level < min(n_levels, len(self.rows))

    def _vertices(self, level: int, index: list[torch.Tensor]) -> torch.Tensor:
        """Features (..., F_l) of vertices, given by their indices along each axis."""
        resolution, rows = self.spec.resolutions[level], self.rows[level]
        if self.spec.encoding == "hash" and math.prod(resolution) > len(rows):
            row = torch.zeros_like(index[0])
            for i, prime in zip(reversed(index), HASH_PRIMES):
                row = row ^ (i * prime & 0xFFFFFFFF)
            return rows[row & len(rows) - 1]
        flat = torch.zeros_like(index[0])
        for i, n in zip(index, resolution):
            flat = flat * n + i
        return rows[self.indices[level][flat] if len(self.indices[level]) else flat]


def _rows_of(grid: LatticeEncoding, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (T, F) float32 of a level, and those of its vertices in raster order, (0,) int64 where that is the identity."""
    data, step, none = grid.levels[level], np.float32(grid.steps[level]), np.zeros(0, np.int64)
    if "table" in data:
        return data["table"].astype(np.float32) * step, none
    if "codebook" in data:
        return data["codebook"].astype(np.float32) * step, data["indices"].astype(np.int64).ravel()
    latents = data["latents"]
    return np.ascontiguousarray(latents.reshape(len(latents), -1).T).astype(np.float32) * step, none


class _Factors(nn.Module):
    """Features that are products and sums of those of lattices over fewer axes."""

    def __init__(self, grid: FactoredEncoding):
        super().__init__()
        self.kind, self.spec, self.axes = type(grid), grid.spec, grid.factors(grid.spec)
        self.lattices = nn.ModuleList(_Levels(lattice) for lattice in grid.lattices)

    def forward(self, coords: torch.Tensor, n_levels: int) -> torch.Tensor:
        found = [lattice(coords[:, list(axes)], n_levels) for lattice, axes in zip(self.lattices, self.axes)]
        return self.kind.join(self.spec, found, concatenate=torch.cat)

    def lattice(self, axes: Sequence[torch.Tensor], n_levels: int) -> torch.Tensor:
        shape, found = tuple(map(len, axes)), []
        for lattice, own in zip(self.lattices, self.axes):
            x = lattice.lattice([axes[k] for k in own], n_levels)
            wide = x.reshape(*(shape[k] if k in own else 1 for k in range(len(shape))), x.shape[-1])
            found.append(wide.expand(*shape, x.shape[-1]))
        return self.kind.join(self.spec, found, concatenate=torch.cat)


class _ByNumpy(nn.Module):
    """Features of any other encoding, by numpy; gradients pass to the coordinates."""

    def __init__(self, grid: Encoding):
        super().__init__()
        self.grid = grid

    def forward(self, coords: torch.Tensor, n_levels: int) -> torch.Tensor:
        return _Features.apply(coords, self.grid, n_levels)

    def lattice(self, axes: Sequence[torch.Tensor], n_levels: int) -> torch.Tensor:
        return torch.from_numpy(self.grid.lattice([a.cpu().numpy() for a in axes], n_levels)).to(axes[0].device)


class _Features(torch.autograd.Function):
    """coords (N, d) -> features (N, F) of an encoding."""

    @staticmethod
    def forward(ctx, coords: torch.Tensor, grid: Encoding, n_levels: int) -> torch.Tensor:
        x = coords.detach().cpu().double().numpy()
        if not coords.requires_grad:
            return torch.from_numpy(grid.features(x, n_levels)).to(coords.device)
        ctx.dtype = coords.dtype
        features, slopes = grid.jacobian(x, n_levels)
        ctx.save_for_backward(torch.from_numpy(slopes).to(coords.device))
        return torch.from_numpy(features).to(coords.device)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        (slopes,) = ctx.saved_tensors
        return torch.einsum("ndf,nf->nd", slopes, gradient).to(ctx.dtype), None, None


class _SideBySide(nn.Module):
    """Features of several encodings."""

    def __init__(self, grid: Composite):
        super().__init__()
        self.spec, self.parts = grid.spec, nn.ModuleList(_features_of(part) for part in grid.parts)

    def forward(self, coords: torch.Tensor, n_levels: int) -> torch.Tensor:
        return torch.cat([part(coords, n) for part, n in self._shares(n_levels)], -1)

    def lattice(self, axes: Sequence[torch.Tensor], n_levels: int) -> torch.Tensor:
        return torch.cat([part.lattice(axes, n) for part, n in self._shares(n_levels)], -1)

    def _shares(self, n_levels: int) -> list[tuple[nn.Module, int]]:
        """Every part with how many of its levels are among the first n_levels of all."""
        counts = [part.n_levels for part in self.spec.parts]
        firsts = itertools.accumulate([0, *counts[:-1]])
        return [(part, max(n_levels - first, 0)) for part, first in zip(self.parts, firsts)]


def _features_of(grid: Encoding) -> nn.Module:
    """The module of an encoding."""
    if isinstance(grid, Composite):
        return _SideBySide(grid)
    if isinstance(grid, FactoredEncoding):
        return _Factors(grid)
    return _Levels(grid) if isinstance(grid, LatticeEncoding) else _ByNumpy(grid)


def _placed(x: torch.Tensor, boundary: str) -> torch.Tensor:
    """As `encodings.interpolate.placed`; gradients pass."""
    if boundary == "wrap":
        return x - x.detach().floor()
    if boundary == "reflect":
        there = x - 2 * (x.detach() / 2).floor()
        return torch.where(there <= 1, there, 2 - there)
    return x.clamp(0.0, 1.0)


def _folded(index: torch.Tensor, n: int, boundary: str) -> torch.Tensor:
    """As `encodings.interpolate.fold`."""
    if boundary == "wrap":
        return index % n
    if boundary == "reflect":
        index = index % (2 * n)
        return torch.where(index < n, index, 2 * n - 1 - index)
    return index.clamp(0, n - 1)


def _taps(x: torch.Tensor, n: int, kernel: Kernel, shift: float, boundary: str) -> tuple[torch.Tensor, torch.Tensor]:
    """As `encodings.interpolate.taps`: indices (N, T) int64 and weights (N, T) float32, through which gradients pass."""
    u = _placed(x.double(), boundary) * n - 0.5 + shift
    first = (u.detach() + 0.5 * (kernel == NEAREST)).floor()
    f = u - first
    if kernel == NEAREST:
        weights = (1 + 0 * f)[:, None]  # with a gradient, which is 0
    elif kernel in (LINEAR, SMOOTHSTEP):
        w = f if kernel == LINEAR else f * f * (3 - 2 * f)
        weights = torch.stack([1 - w, w], 1)
    else:
        factors = torch.from_numpy((CUBIC + kernel[0] * CUBIC_B + kernel[1] * CUBIC_C).T).to(x.device)
        weights = torch.stack([f * f * f, f * f, f, torch.ones_like(f)], 1) @ factors
    t = weights.shape[1]
    index = first.long()[:, None] + torch.arange(t, device=x.device) - (t - 1) // 2
    return _folded(index, n, boundary), weights.float()


class _Evaluation(Evaluation):
    """As `Evaluation`, by the module; arrays come and go as numpy's."""

    def __init__(self, field: Field, module: TorchField):
        super().__init__(field.spec, field.grid, field.mlp)
        self._has_kernels, self.module = False, module

    def tensor(self, coords: np.ndarray) -> torch.Tensor:
        """On the module's device."""
        return torch.from_numpy(np.ascontiguousarray(coords)).to(self.module.scale.device)

    def sample(self, coords: np.ndarray, n_levels: int, shared: bool = True) -> np.ndarray:
        out = np.empty((len(coords), self.spec.channels), np.float32)
        with torch.no_grad():
            for start in range(0, len(coords), _POINTS):
                here = slice(start, start + _POINTS)
                out[here] = self.module(self.tensor(coords[here]), n_levels).cpu().numpy()
        return out

    def is_quick_at_points(self, n: int) -> bool:
        return True

    def gradient(self, coords: np.ndarray, n_levels: int, shared: bool = True) -> tuple[np.ndarray, np.ndarray]:
        n, d = coords.shape
        values, out = np.empty((n, self.spec.channels), np.float32), np.empty((n, self.spec.channels, d), np.float32)
        low, high = self.values.limits()
        for start in range(0, n, _POINTS):
            here = slice(start, start + _POINTS)
            x = self.tensor(coords[here]).requires_grad_()
            found = self.module(x, n_levels, clip=False)
            for c in range(self.spec.channels):
                (slope,) = torch.autograd.grad(found[:, c].sum(), x, retain_graph=c + 1 < self.spec.channels)
                out[here, c] = slope.cpu().numpy()
            values[here] = np.clip(found.detach().cpu().numpy(), low, high)
        return values, out

    def lattice(self, axes: Sequence[np.ndarray], n_levels: int) -> Lattice:
        return _Lattice(self, axes, n_levels, None)


class _Lattice(Lattice):
    """A product of coordinates on the device."""

    def sample(self, block: Sequence[slice]) -> np.ndarray:
        axes = [self.evaluation.tensor(a[b]) for a, b in zip(self.axes, block)]
        with torch.no_grad():
            return self.evaluation.module.lattice(axes, self.n_levels).cpu().numpy()
