"""What errors and rates mean in this project: one definition each, always computed from decoded output.

Lattices: PSNR = 10 log10(peak^2 / MSE) in dB, inf for equal arrays. Surfaces: distances from stratified, area-weighted
samples of one surface to the other (as in MPEG's and METRO's point-to-surface errors), relative to the diagonal of the
source's bounding box, each direction on its own. NaN is refused, never averaged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nfcodec.errors import MissingExtraError, UsageError
from nfcodec.geometry import TriangleTree, bounding_box_diagonal, count_edges, face_normals, sample_surface, weld
from nfcodec.spec import Mesh

__all__ = [
    "SurfaceError",
    "SurfaceErrors",
    "as_seen",
    "bd_rate",
    "angular_error_deg",
    "chamfer",
    "end_point_error",
    "image_psnr_db",
    "light_knee",
    "log_psnr_db",
    "max_error",
    "mean_psnr_db",
    "psnr_db",
    "rms_error",
    "ssim",
    "surface_distance",
    "surface_error",
    "volume_psnr_db",
    "volumetric_iou",
]

_CHUNK = 1 << 22  # values compared at once in float64; bounds the memory on large volumes
_N_SAMPLES = 100_000
SSIM_WINDOW = 11  # samples: smaller sides have no SSIM
_HIGH_RANGE = 32.0  # the largest value over the median, from which a picture has a high dynamic range: five stops
_KNEE_SHARE = 0.25  # of the median
_MAX_RANGE = 1e12  # the largest value over the knee: what float32 arithmetic of a field still tells apart


def psnr_db(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    """PSNR in dB of two arrays of one shape, any real dtype: 10 log10(peak^2 / mean((a - b)^2)).

    inf for equal arrays; -inf for different ones at peak 0. Raises UsageError for different shapes, empty arrays, NaN
    or infinite values, and a peak that is negative or not finite.
    """
    if not (np.isfinite(peak) and peak >= 0):
        raise UsageError(
            f"measuring PSNR: got peak {peak}, expected a finite number >= 0: give the range of the values"
        )
    n_values, squares, _ = _compare(a, b)
    if squares == 0:
        return float("inf")
    return float(10 * np.log10(peak**2 * n_values / squares)) if peak > 0 else float("-inf")


def image_psnr_db(source: np.ndarray, decoded: np.ndarray) -> float:
    """PSNR in dB of a decoded picture over all pixels and channels, as it would be written to a file.

    source: (H, W, C) or (H, W), uint8 (peak 255) or uint16 (peak 65535). decoded: the same shape, the same dtype or
    float on the same scale; floats are rounded to nearest and clipped first. Raises UsageError as `psnr_db`, and for
    other dtypes.
    """
    source, decoded = np.asarray(source), np.asarray(decoded)
    if source.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"measuring an image: got a source of {source.dtype}, expected uint8 or uint16: convert it")
    peak = np.iinfo(source.dtype).max
    if decoded.dtype != source.dtype:
        if decoded.dtype.kind != "f":
            raise UsageError(
                f"measuring an image: got {source.dtype} and {decoded.dtype}, expected one dtype or floats"
            )
        decoded = np.clip(np.rint(decoded), 0, peak)
    return psnr_db(source, decoded, peak)


def volume_psnr_db(source: np.ndarray, decoded: np.ndarray) -> float:
    """PSNR in dB with peak = largest - smallest value of the source (as SDRBench and the papers on SZ, ZFP, TTHRESH).

    A constant source has peak 0: inf when decoded equals it, else -inf. Raises UsageError as `psnr_db`.
    """
    source = np.asarray(source)
    if source.size == 0:
        raise UsageError("measuring a volume: got an empty array, expected values")
    return psnr_db(source, decoded, float(source.max()) - float(source.min()))


def end_point_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean length of the difference of vectors (..., C) (Baker et al. 2011, section 4.1)."""
    _compare(a, b)
    return float(np.linalg.norm(a.astype(np.float64) - b, axis=-1).mean())


def angular_error_deg(source: np.ndarray, decoded: np.ndarray, is_flow: bool = False) -> float:
    """Mean angle in degrees between vectors (..., C), of those that have a length in both; 0 where none has.

    is_flow: with a further component of 1, so that small vectors have a direction too (Barron et al. 1994, section 4.2).
    """
    _compare(source, decoded)
    a, b = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (source, decoded))
    if is_flow:
        a, b = (np.pad(x, ((0, 0), (0, 1)), constant_values=1.0) for x in (a, b))
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    known = (lengths[0] > 0) & (lengths[1] > 0)
    if not known.any():
        return 0.0
    a, b = (x[known] / length[known, None] for x, length in zip((a, b), lengths))
    # the arc cosine of nearly 1 would lose what is asked for
    return float(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=1) / 2, 0, 1))).mean())


def as_seen(source: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """`decoded` with differences of colours cut down to what shows: source + opacity * (decoded - source), float64.

    Arrays of one shape (H, W, 2 or 4) whose last channel is straight alpha; opacity is that of the source, 0 to 1. This is
    the difference that both have when they are laid over any background; alpha itself is as it was. Every measure of
    pictures with alpha is taken of (source, as_seen(source, decoded)). Floats for an integer source are rounded and
    clipped first, as a file would have them.
    """
    source, decoded = np.asarray(source), np.asarray(decoded)
    if source.shape != decoded.shape or source.ndim != 3:
        raise UsageError(f"comparing pictures: got shapes {source.shape} and {decoded.shape}, expected equal (H, W, C)")
    white = 1.0
    if source.dtype.kind in "iu":
        white = float(np.iinfo(source.dtype).max)
        if decoded.dtype.kind == "f":
            decoded = np.clip(np.rint(decoded), 0, white)
    out = decoded.astype(np.float64)
    opacity = np.clip(source[..., -1:] / white, 0, 1)
    colours = source[..., :-1].astype(np.float64)
    out[..., :-1] = colours + opacity * (out[..., :-1] - colours)
    return out


def light_knee(values: np.ndarray) -> float:
    """The knee of a picture of high dynamic range: what lies below is seen on an even scale, beyond on a logarithmic one.

    values: any shape, floats, without alpha. A quarter of the median of the magnitudes that are not 0, where the largest is
    more than 32 times that median; 0 for a picture of usual range, for which an even scale is right.
    """
    sizes = np.abs(values[values != 0].astype(np.float64))
    if not sizes.size:
        return 0.0
    largest, middle = float(sizes.max()), float(np.median(sizes))
    if not largest > _HIGH_RANGE * middle:
        return 0.0
    return max(_KNEE_SHARE * middle, largest / _MAX_RANGE)


def log_psnr_db(source: np.ndarray, decoded: np.ndarray, knee: float) -> float:
    """PSNR in dB of arcsinh(value / knee), peak = the range of that of the source: errors of dark and of bright parts count
    by their ratio to the value. Raises UsageError as `psnr_db`."""
    a, b = (np.arcsinh(np.asarray(x, np.float64) / knee) for x in (source, decoded))
    return psnr_db(a, b, float(a.max() - a.min()))


def mean_psnr_db(psnrs_db: Iterable[float]) -> float:
    """Mean of per-signal PSNRs in dB (not the PSNR of the mean MSE). Raises UsageError for none and for NaN."""
    values = np.array(list(psnrs_db), np.float64)
    if len(values) == 0 or np.isnan(values).any():
        raise UsageError(f"averaging PSNR: got {values.tolist()}, expected one or more numbers without NaN")
    return float(values.mean())


def max_error(a: np.ndarray, b: np.ndarray) -> float:
    """Largest absolute difference of two arrays of one shape. Raises UsageError as `psnr_db`."""
    return _compare(a, b)[2]


def rms_error(a: np.ndarray, b: np.ndarray) -> float:
    """Root of the mean squared difference of two arrays of one shape. Raises UsageError as `psnr_db`."""
    n_values, squares, _ = _compare(a, b)
    return float(np.sqrt(squares / n_values))


def ssim(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    """Structural similarity of two (H, W) or (H, W, C) images or (D, H, W) volumes; 1 for equal ones.

    scikit-image with the settings of Wang et al. (2004): Gaussian window of sigma 1.5, population covariance; the mean
    over channels. The last axis holds channels when it has at most 4 entries. Raises UsageError for different shapes
    and sides below 11, MissingExtraError without scikit-image.
    """
    a, b = np.asarray(a), np.asarray(b)
    channel_axis = -1 if a.ndim > 2 and a.shape[-1] <= 4 else None
    if a.shape != b.shape or min(a.shape[:channel_axis], default=0) < SSIM_WINDOW:
        raise UsageError(
            f"measuring SSIM: got shapes {a.shape} and {b.shape}, expected equal ones with sides of {SSIM_WINDOW} or more"
        )
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingExtraError.of("scikit-image", "encode", "measuring SSIM") from error
    return float(
        structural_similarity(
            a.astype(np.float64),
            b.astype(np.float64),
            data_range=peak,
            channel_axis=channel_axis,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def _compare(a: np.ndarray, b: np.ndarray) -> tuple[int, float, float]:
    """Number of values, sum of squared and largest absolute differences, in float64."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.size == 0:
        raise UsageError(f"comparing arrays: got shapes {a.shape} and {b.shape}, expected equal ones that hold values")
    a, b = a.reshape(-1), b.reshape(-1)
    squares, largest = 0.0, 0.0
    for start in range(0, a.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        difference = a[part].astype(np.float64) - b[part].astype(np.float64)
        squares += float(difference @ difference)
        largest = max(largest, float(np.abs(difference).max()))
        if not np.isfinite(squares):
            raise UsageError("comparing arrays: got NaN or infinite values, expected finite ones: mask them out first")
    return a.size, squares, largest


@dataclass(frozen=True)
class SurfaceError:
    """From samples of one surface to the other. Distances are relative to a bounding-box diagonal."""

    rms: float
    mean: float
    hausdorff: float  # the largest over the samples, so a lower bound
    normal_deg: float  # mean angle between normals, 0 to 90: orientation is ignored
    normal_consistency: float  # mean absolute cosine between normals, 0 to 1 (Mescheder et al., Occupancy Networks, 2019)


@dataclass(frozen=True)
class SurfaceErrors:
    """Both directions, and what is usually made of them. Relative to the diagonal of the source's bounding box."""

    source_to_decoded: SurfaceError
    decoded_to_source: SurfaceError

    @property
    def rms(self) -> float:
        """Symmetric: the root of the mean of both squared RMS."""
        return float(np.hypot(self.source_to_decoded.rms, self.decoded_to_source.rms) / np.sqrt(2))

    @property
    def hausdorff(self) -> float:
        """The larger of both directions."""
        return max(self.source_to_decoded.hausdorff, self.decoded_to_source.hausdorff)

    @property
    def chamfer(self) -> float:
        """The mean of both mean distances (L1, not squared, not summed)."""
        return (self.source_to_decoded.mean + self.decoded_to_source.mean) / 2

    @property
    def normal_deg(self) -> float:
        """The mean of both mean angles."""
        return (self.source_to_decoded.normal_deg + self.decoded_to_source.normal_deg) / 2

    @property
    def normal_consistency(self) -> float:
        """The mean of both mean absolute cosines."""
        return (self.source_to_decoded.normal_consistency + self.decoded_to_source.normal_consistency) / 2


def surface_distance(
    a: Mesh, b: Mesh, n: int = _N_SAMPLES, seed: int = 0, *, diagonal: float | None = None
) -> SurfaceError:
    """From n area-weighted samples of `a` to the closest points of `b`, exact point-to-triangle distances.

    diagonal: what distances are divided by, world units; None: of the bounding box of `a`.
    Raises SignalError for a mesh without area, MissingExtraError without libigl.
    """
    points, ids = sample_surface(a, n, np.random.default_rng(seed))
    distances, nearest_ids, _ = TriangleTree(b.vertices, b.faces).closest(points)
    distances /= bounding_box_diagonal(a) if diagonal is None else diagonal
    cosines = np.abs(np.sum(face_normals(a)[ids] * face_normals(b)[nearest_ids], axis=1))
    return SurfaceError(
        rms=float(np.sqrt(np.mean(distances**2))),
        mean=float(distances.mean()),
        hausdorff=float(distances.max()),
        normal_deg=float(np.degrees(np.arccos(np.minimum(cosines, 1))).mean()),
        normal_consistency=float(cosines.mean()),
    )


def surface_error(source: Mesh, decoded: Mesh, n: int = _N_SAMPLES, seed: int = 0) -> SurfaceErrors:
    """Errors of a decoded surface in both directions, relative to the source's bounding-box diagonal.

    n samples a direction. Where the source has holes that a signed field closes, only `source_to_decoded` is fair.
    Raises as `surface_distance`.
    """
    diagonal = bounding_box_diagonal(source)
    return SurfaceErrors(
        source_to_decoded=surface_distance(source, decoded, n, seed, diagonal=diagonal),
        decoded_to_source=surface_distance(decoded, source, n, seed + 1, diagonal=diagonal),
    )


def chamfer(source: Mesh, decoded: Mesh, n: int = _N_SAMPLES, seed: int = 0) -> float:
    """Mean of both mean distances, relative to the source's bounding-box diagonal (see `surface_error`)."""
    return surface_error(source, decoded, n, seed).chamfer


def volumetric_iou(a: Mesh, b: Mesh, n: int = 200_000, seed: int = 0) -> float:
    """Volume of the intersection over that of the union, by about n jittered points in the common bounding box.

    Inside is where the winding number's absolute value exceeds 0.5, so both orientations are right.
    Raises UsageError for a mesh that is not watertight, since it has no volume; MissingExtraError without libigl.
    """
    for mesh in (a, b):
        edges = count_edges(weld(mesh))
        if edges.boundary:
            raise UsageError(
                f"measuring IoU: got a mesh with {edges.boundary} boundary edges, expected watertight ones: "
                "use surface_error"
            )
    both = np.concatenate([mesh.vertices[np.unique(mesh.faces)] for mesh in (a, b)])
    low, high = both.min(axis=0), both.max(axis=0)
    side = max(2, round(n ** (1 / 3)))
    cells = np.stack(np.meshgrid(*(np.arange(side),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + (high - low) * (cells + np.random.default_rng(seed).random(cells.shape)) / side
    in_a, in_b = (np.abs(TriangleTree(m.vertices, m.faces).winding(points)) > 0.5 for m in (a, b))
    n_union = int((in_a | in_b).sum())
    if n_union == 0:
        raise UsageError(f"measuring IoU: none of {len(points)} points is inside, expected volumes: raise n")
    return float((in_a & in_b).sum() / n_union)


def bd_rate(
    rates_a: Iterable[float],
    psnrs_a_db: Iterable[float],
    rates_b: Iterable[float],
    psnrs_b_db: Iterable[float],
    within_db: tuple[float, float] = (-np.inf, np.inf),
) -> float:
    """Mean difference in rate of curve b against curve a at equal PSNR, in per cent; -20 means a fifth fewer bytes.

    Bjontegaard (VCEG-M33, 2001) with log rate over PSNR interpolated by PCHIP, averaged over the common range of PSNR
    within within_db. rates: bytes or bpp, positive; at least two points a curve, in any order.
    Raises UsageError when the ranges do not overlap, for equal PSNRs in one curve and for values that are not finite or
    rates that are not positive; MissingExtraError without scipy.
    """
    try:
        from scipy.interpolate import PchipInterpolator
    except ImportError as error:
        raise MissingExtraError.of("scipy", "encode", "measuring BD-rate") from error
    curves = [_curve(rates_a, psnrs_a_db), _curve(rates_b, psnrs_b_db)]
    low = max(within_db[0], *(x[0] for x, _ in curves))
    high = min(within_db[1], *(x[-1] for x, _ in curves))
    if not low < high:
        ranges = " and ".join(f"{x[0]:.2f}..{x[-1]:.2f} dB" for x, _ in curves)
        raise UsageError(f"measuring BD-rate: got curves over {ranges}, expected ranges that overlap: add points")
    area_a, area_b = (float(PchipInterpolator(x, y).integrate(low, high)) for x, y in curves)
    return 100 * float(np.expm1((area_b - area_a) / (high - low)))


def _curve(rates: Iterable[float], psnrs_db: Iterable[float]) -> tuple[np.ndarray, np.ndarray]:
    """PSNRs, ascending, and log rates."""
    x, y = (np.array(list(values), np.float64) for values in (psnrs_db, rates))
    if x.shape != y.shape or len(x) < 2 or not np.isfinite([*x, *y]).all() or (y <= 0).any():
        raise UsageError(
            f"measuring BD-rate: got rates {y.tolist()} and PSNRs {x.tolist()}, expected two or more finite pairs, "
            "rates > 0: leave out what is not a measurement"
        )
    order = np.argsort(x)
    if (np.diff(x[order]) <= 0).any():
        raise UsageError(
            f"measuring BD-rate: got equal PSNRs in {x.tolist()} dB, expected different ones: drop the larger file"
        )
    return x[order], np.log(y[order])
