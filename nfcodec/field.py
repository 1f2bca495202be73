"""`Field`: what a file decodes to. A function of coordinates that can be sampled anywhere, at any resolution."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arguments, vectors
from .casting import block_mean, cast, converted, dtype_of
from .encodings import Encoding
from .errors import UsageError
from .evaluate import Evaluation
from .limits import MAX_OUTPUT_VALUES
from .mlp import Mlp
from .regions import Region, centres, own_samples
from .residual import Residual
from .spec import SURFACE_KINDS, FieldSpec, Mesh

if TYPE_CHECKING:
    from .queries import ClosestPoints, RayHits, Seeds
    from .torch_field import TorchField

MAX_SUPERSAMPLES = {1: 65536, 2: 256, 3: 32, 4: 16}  # by axes, along each: at most 2**16 a sample of the output
MESH_RESOLUTION, MESH_METHOD = 256, "dual-contouring"
_LEAST_MESH_RESOLUTION = 16
UDF_ISO = 1.2  # source cells


class Field:
    """A decoded neural field.

    Coordinates are (N, d) in [0, 1], axes in array order: (y, x) for images, (z, y, x) for volumes and surfaces;
    sample i of n lies at (i + 0.5) / n. Values are in the units of the source: 0..255 for an 8-bit image, world
    distances for a signed distance field.

    `n_levels` says how many levels are at hand (fewer than `spec.grid.n_levels` for a file cut short);
    `level=k` in the calls below uses levels 0..k only.

    A file with a guarantee (`max_error`, 0 for lossless) has a residual, which `decode` adds at the source's own
    samples; everywhere else the field stands alone.
    """

    def __init__(
        self,
        spec: FieldSpec,
        grid: Encoding,
        mlp: Mlp,
        meta: dict[str, Any],
        sizes: dict[str, Any],
        residual: Residual | None = None,
        evaluation: Evaluation | None = None,
    ):
        """evaluation: what takes the values; numpy and the kernels if None."""
        self.spec = spec
        self.grid = grid
        self.mlp = mlp
        self.meta = meta
        self.sizes = sizes
        self.residual = residual
        self._evaluation = Evaluation(spec, grid, mlp) if evaluation is None else evaluation
        self._seeds: dict[tuple[int, float], Seeds] = {}  # of `closest_point`, by level and iso
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        extent = "x".join(map(str, self.spec.extent))
        levels = f"{self.n_levels}/{self.spec.grid.n_levels}"
        return f"<nfcodec.Field {self.kind} {extent}x{self.spec.channels} {self.spec.grid.encoding} levels {levels}>"

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def n_levels(self) -> int:
        return len(self.grid.levels)

    @property
    def max_error(self) -> float | None:
        """The largest difference of a decoded sample from the source that the file guarantees; None without a guarantee."""
        return None if self.residual is None else self.residual.head.bound

    @property
    def is_surface(self) -> bool:
        return self.kind in SURFACE_KINDS

    # ------------------------------------------------------------ points

    def sample(self, coords: np.ndarray, level: int | None = None) -> np.ndarray:
        """Values (N, C) float32 at coords (N, d). Coordinates outside [0, 1] take the nearest edge's value, or that of the
        axis anew or backwards, as the field's boundaries say."""
        coords, n_levels = arguments.coordinates(coords, self.spec.n_dims), self._levels(level)
        return self._evaluation.sample(coords, n_levels)

    def gradient(self, coords: np.ndarray, level: int | None = None) -> np.ndarray:
        """Exact derivatives (N, C, d) float32 of the values by the coordinates, axes in array order.

        For surfaces divide by `box_size` to get derivatives by world distance. Where values are clipped the
        derivative is that of the field before clipping.
        """
        coords, n_levels = arguments.coordinates(coords, self.spec.n_dims), self._levels(level)
        return self._evaluation.gradient(coords, n_levels)[1]

    def hessian(self, coords: np.ndarray, level: int | None = None) -> np.ndarray:
        """Second derivatives (N, C, d, d) float32 of the values by the coordinates, symmetric; clipping as `gradient`.

        Exact where both encoding and activation have them. Elsewhere they are those beside: 0 within the pieces of ReLU and
        of linear interpolation, of which only the mixed derivatives of the latter are not. Never by the kernels.
        """
        coords, n_levels = arguments.coordinates(coords, self.spec.n_dims), self._levels(level)
        return self._evaluation.hessian(coords, n_levels)

    def laplacian(self, coords: np.ndarray, level: int | None = None) -> np.ndarray:
        """The sum of the second derivatives along each axis, (N, C) float32: the trace of `hessian`."""
        return np.trace(self.hessian(coords, level), axis1=2, axis2=3)

    def divergence(self, coords: np.ndarray, level: int | None = None) -> np.ndarray:
        """Of a field of vectors, (N,) float64 at coords (N, d): the sum of each component's derivative along its own axis,
        in units of the values by world units (the affine or spacing of the metadata, or samples of the source).

        Exact, from `gradient`. The first channels are the components along x, y (and z); an axis of time is left out.
        UsageError for fields without a component for each of 2 or 3 axes of space.
        """
        return vectors.divergence(self, coords, level)

    def curl(self, coords: np.ndarray, level: int | None = None) -> np.ndarray:
        """Of a field of vectors its rotation, float64, as `divergence`: (N, 3) along x, y, z, or in 2-D (N, 1),
        dv/dx - du/dy."""
        return vectors.curl(self, coords, level)

    def to_torch(self, device: str = "cpu") -> TorchField:
        """A differentiable torch module that does what `sample` does: see `nfcodec.to_torch`. MissingExtraError without
        torch."""
        from . import to_torch  # the package's door: torch lives on a higher floor

        return to_torch(self, device)

    # ------------------------------------------------------------ lattices

    def sample_lattice(self, axes: Sequence[np.ndarray], level: int | None = None) -> np.ndarray:
        """Values (M_1 .. M_d, C) float32 at the product of coordinates axes[k] (M_k,)."""
        n_levels, axes = self._levels(level), arguments.axes(axes, self.spec.n_dims)
        shape = tuple(len(a) for a in axes)
        out = np.empty((*shape, self.spec.channels), np.float32)
        lattice = self._evaluation.lattice(axes, n_levels)

        def work(block: tuple[slice, ...]) -> None:
            out[block] = lattice.sample(block)

        if out.size:
            lattice.for_blocks(work, shape)
        return out

    def decode(
        self,
        shape: Sequence[int] | None = None,
        *,
        scale: float | Sequence[float] | None = None,
        resolution: int | None = None,
        region: Region | None = None,
        level: int | None = None,
        dtype: Any = None,
        residual: bool = True,
        max_values: int = MAX_OUTPUT_VALUES,
    ) -> np.ndarray:
        """The field on a regular lattice: (*shape, C) in the source's dtype, or in `dtype` if given.

        One of shape (d integers), scale (a factor on the source's extent, or one an axis) and resolution (samples along the
        longest axis) at most; the source's own extent without any. region: d pairs of fractions in [0, 1] to decode that
        part only; shape then is the region's, scale and resolution keep their meaning for the whole. Lattices coarser than
        the source are averaged from a finer one, so that they do not alias (spec/format.md, section 10).

        At the source's own samples, whole or a region on their boundaries, and with all levels, the file's residual is
        added if there is one, so that its guarantee holds; residual=False leaves it out. UsageError when the arguments
        do not fit or the result has more than max_values values; FormatError where a residual turns out to be damaged.
        """
        region = arguments.region_of(region, self.spec.n_dims)
        shape = arguments.shape_of(self.spec, shape, scale, resolution, region)
        n_values = math.prod(shape) * self.spec.channels
        if n_values > max_values:
            raise UsageError(
                f"decoding to {shape}: got {n_values} values, expected at most {max_values}; "
                "ask for less or raise max_values"
            )
        dtype = dtype_of(self.spec.dtype if dtype is None else dtype)
        own = own_samples(shape, region, self.spec.extent) if residual and self.residual is not None else None
        if own is not None and self._levels(level) == self.spec.grid.n_levels:
            return converted(self.residual.values[own], dtype)
        spans = [b - a for a, b in region]
        most = 1 if self.is_surface else MAX_SUPERSAMPLES[self.spec.n_dims]
        factors = [min(max(1, math.ceil(n * s / m - 1e-9)), most) for n, s, m in zip(self.spec.extent, spans, shape)]
        axes = [centres(m * k, a, b, n) for (a, b), n, m, k in zip(region, self.spec.extent, shape, factors)]
        out = np.empty((*shape, self.spec.channels), dtype)
        lattice = self._evaluation.lattice(axes, self._levels(level))

        def work(block: tuple[slice, ...]) -> None:
            fine = tuple(slice(s.start * k, s.stop * k) for s, k in zip(block, factors))
            out[block] = cast(block_mean(lattice.sample(fine), factors), dtype)

        lattice.for_blocks(work, shape, math.prod(factors))
        return out

    def to_mesh(
        self, resolution: int | None = None, level: int | None = None, iso: float | None = None, method: str = MESH_METHOD,
        sharp: bool | None = None,
    ) -> Mesh:  # fmt: skip
        """The surface as triangles in world coordinates, from a lattice of `resolution` samples on the longest axis.

        resolution: 256 by default, and with `level` (levels of detail) fewer by as much as that level is coarser than
        the finest one, 16 at least. iso: the distance (or occupancy) at which the surface lies; 0 for sdf and tsdf, 0.5 for
        occupancy; without it a udf gives the shell at 1.2 source cells, drawn together onto the surface (see `shell`).
        method: "dual-contouring", whose vertices lie where the field's tangent planes meet, or "marching-cubes", all of
        whose vertices lie on the surface (see `isosurface`). Both are closed manifolds, also where a coarse level leaves
        the box, unless a trim channel ends the surface; with `paint` where the field has colours. sharp: whether edges that
        the field has rounded are put back (see `creases`), of sdf and tsdf; None: where the file says that its source has
        some. UsageError for fields that are no surfaces.
        """
        from .meshing import mesh_of

        self._check_surface("meshing")
        resolution = self._mesh_resolution(level) if resolution is None else resolution
        sharp = self.meta.get("sharp") is True if sharp is None else sharp
        shape = self._shape(resolution=resolution)
        return mesh_of(self, shape, level, iso, method, sharp and self.kind in ("sdf", "tsdf"))

    def closest_point(self, points: np.ndarray, level: int | None = None, iso: float | None = None) -> ClosestPoints:
        """What of the surface is closest to world points (N, 3) as (x, y, z), anywhere: `queries.ClosestPoints`.

        Found points lie on the field's zero to a hundredth of a source cell. Where several parts of the surface are about
        as close, another one than the closest may be found: of points in a scan's box 1 in 400 is more than a source
        cell farther, of points up to a box away from it 1 in 100 by more than 1 % of the distance (results/queries.tsv);
        near the surface none. iso as in `to_mesh`; to a udf without it distances have no sign. The first call for a level
        makes a coarse mesh to start from. UsageError for fields that are no surfaces, NfldError for those that are nowhere
        at their level.
        """
        from .queries import closest_points

        self._check_surface("finding closest points")
        return closest_points(self, arguments.world_points(points, "finding closest points"), level, iso)

    def raycast(
        self, origins: np.ndarray, directions: np.ndarray, min_distance: float = 0.0, max_distance: float = math.inf,
        level: int | None = None, iso: float | None = None,
    ) -> RayHits:  # fmt: skip
        """Where rays first cross the surface: `queries.RayHits`. origins, directions: (N, 3) as (x, y, z), in world units;
        one of the two may be a single (1, 3). Directions are of any length but 0.

        Rays may start anywhere; one that starts inside hits the surface where it leaves. Only crossings count, between
        min_distance and max_distance world units from the origin and within the field's box. Hits lie within a
        ten-thousandth of a source cell of the field's zero. Steps are at least a quarter of a source cell: a ray may pass
        through what is thinner along it. iso as in `to_mesh`; hits on a udf without it lie where its values
        along the ray are least, some tenths of a source cell from the surface. UsageError for fields that are no surfaces.
        """
        from .queries import cast_rays

        self._check_surface("casting rays")
        rows = [arguments.world_points(array, "casting rays") for array in (origins, directions)]
        return cast_rays(self, *rows, min_distance, max_distance, level, iso)

    def _mesh_resolution(self, level: int | None) -> int:
        """Samples on the longest axis that suit the levels up to `level`."""
        # features of coordinates are as fine as the source
        longest = [max(resolution or self.spec.extent) for resolution in self.spec.grid.resolutions]
        part = max(longest[: self._levels(level)]) / max(longest)
        return max(_LEAST_MESH_RESOLUTION, round(MESH_RESOLUTION * part))

    def _iso(self, iso: float | None) -> float:
        """The value at the surface."""
        return {"occupancy": 0.5, "udf": UDF_ISO * self.spec.cell}.get(self.kind, 0.0) if iso is None else float(iso)

    def draws_in(self, iso: float | None) -> bool:
        """Whether a surface at `iso` is what an unsigned distance is of, and no shell around it."""
        return self.kind == "udf" and iso is None

    @property
    def _outward(self) -> np.float32:
        """1 where values grow outwards, as distances do; -1 for occupancy."""
        return np.float32(-1 if self.kind == "occupancy" else 1)

    def _check_surface(self, what: str) -> None:
        if not self.is_surface:
            raise UsageError(f"{what}: got a field of kind {self.kind}, expected one of {', '.join(SURFACE_KINDS)}")

    # ------------------------------------------------------------ world coordinates of surfaces

    @property
    def box_size(self) -> np.ndarray:
        """(d,) float64: edge lengths of the box in world units, in axis order; 1 for lattice signals."""
        return np.array(self.spec.extent) * self.spec.cell if self.is_surface else np.ones(self.spec.n_dims)

    def from_world(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) as (x, y, z) -> coordinates (N, 3) as (z, y, x) in [0, 1] inside the box."""
        points = np.asarray(points, np.float64)[:, ::-1]
        return (points - np.asarray(self.spec.origin)) / self.box_size

    # ------------------------------------------------------------ description

    def info(self) -> dict[str, Any]:
        """What the file holds, JSON-able: kind, shapes, encoding, network, bytes of each part, metadata."""
        spec, grid = self.spec, self.spec.grid
        return {
            "kind": spec.kind,
            "extent": list(spec.extent),
            "channels": spec.channels,
            "dtype": spec.dtype,
            "roles": list(spec.roles),
            "encoding": grid.encoding,
            "interpolation": grid.interpolation,
            "boundary": list(grid.boundary or ("clamp",) * spec.n_dims),
            "n_levels": grid.n_levels,
            "n_levels_present": self.n_levels,
            "resolutions": [list(r) for r in grid.resolutions],
            "n_features": list(grid.n_features),
            "log2_size": grid.log2_size,
            "activation": spec.mlp.activation,
            "network": list(spec.mlp.widths) if spec.mlp.n_hidden_layers else [spec.mlp.n_inputs, spec.mlp.n_outputs],
            "box": None if spec.origin is None else {"origin": list(spec.origin), "size": self.box_size.tolist()},
            "truncation": spec.truncation,
            "max_error": self.max_error,
            "lossless": self.max_error == 0,
            **self.sizes,
            "meta": self.meta,
        }

    # ------------------------------------------------------------ arguments

    def _levels(self, level: int | None) -> int:
        return arguments.n_levels(level, self.n_levels)

    def _shape(self, shape=None, scale=None, resolution=None, region: Region | None = None) -> tuple[int, ...]:
        return arguments.shape_of(self.spec, shape, scale, resolution, arguments.region_of(region, self.spec.n_dims))
