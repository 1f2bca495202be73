"""Signals in and out: one table from a file's suffix to the code that reads and writes it.

    signal = read("scan.nii.gz")                       # Signal: kind, values (*extent, C) or mesh, meta
    write_lattice("scan.nrrd", values, signal.meta)    # whole or not at all; existing files are refused
    write_mesh("bunny.glb", mesh)

Every error is one line: UsageError for arguments, SignalError for content, MissingExtraError for a package. NaN and
infinite values are read as they are; `check_finite` refuses them.

`meta` is a JSON-able dictionary of what must survive the round trip and never affects samples. Absent means unknown, or
the default given here; a file holds what `compact` leaves. World axes of spacing and origin are in array order (z, y, x),
those of affine are (x, y, z).

    key           signal   meaning
    source        all      file name without folders
    format        all      "png", "nifti" ...: FORMATS[suffix].name
    dtype         lattice  numpy name of the values' dtype; stored_dtype: of the file, where it differs (64-bit integers)
    axes          lattice  letters of the source's axes in canonical order, a subsequence of "tzyxc" ("yx" grey, "yxc" RGB,
                           "tc" sound of several channels)
    value_range   lattice  [least, greatest] finite value
    bit_depth     image    bits a sample in the file where they do not fill the dtype (1, 2, 4, 10, 12); 16 for deep PNG;
                           24 for sound in int32
    sample_rate   volume   of sound: samples a second
    palette       image    true: the source had a palette, expanded to RGB(A)
    alpha         image    whether the last of 2 or 4 channels is straight alpha (assumed where nothing is said)
    premultiplied image    true: colours were multiplied by alpha in the file (TIFF's associated alpha) and were divided
    colour_space  image    "sRGB" (assumed where nothing is said), "linear" (.hdr, .pfm), "icc" or "unknown"
    level_db      all      PSNR in dB of the levels 0..k against the source, for every k; set by `encode`
    frame_rate    volume   of a film: frames a second; loop: how often an animation is shown, 0 for ever; first_frame: the
                           number of the first of numbered images; y4m: chroma, matrix, full_range and aspect of its source
    sharp         surface  true: edges that the field has rounded are put back in meshes of it; set by `encode`
    exposure      image    what a Radiance file says its values were multiplied by
    quantity      lattice  "colour"; "measurement", which has no white; "vectors" along x, y, z, "flow", in samples, or
                           "normals", of length 1. Without it images are colours, volumes measurements; so are images in
                           GeoTIFF of more than 8 bits, and films are colours
    opaque        image    the alpha of a measurement that is there, where it is not the dtype's white or 1
    geotiff       image    where a raster lies on the earth, and what stands for nothing: see `nfcodec.io.geotiff`
    icc_profile   image    base64 of the ICC profile, at most 64 KiB
    orientation   image    EXIF orientation 2..8 that was applied on reading
    dpi           image    [x, y] dots an inch
    spacing       volume   distance of sample centres along each spatial axis, array order
    origin        volume   world position of the first sample's centre, array order; only where there is no affine
    units         volume   of spacing: "mm", "um", "m" ...; of a mesh's vertices
    affine        volume   4 rows of 4: sample index (x, y, z, 1) -> world (x, y, z, 1)
    space         volume   the world frame of affine: "RAS" (NIfTI), "LPS" or NRRD's own word
    time_step     volume   between frames, with time_units ("s", "ms", "us"); time_origin: time of the first frame
    nrrd, nifti   volume   further header fields, restored by the writer of the format; nifti holds slope and intercept,
                           which are kept for the writer and not applied to the values
    hdf5          volume   dataset (its name) and attrs (the JSON-able ones)
    npz           volume   name of the array
    colour        surface  "#rrggbb", sRGB: what a part of a scene has all over, which no channel holds then
    n_vertices, n_faces, n_parts, n_instances, watertight, n_boundary_edges, n_nonmanifold_edges, consistent_winding,
    n_welded, n_removed_degenerate, n_removed_duplicate, dropped, part: surfaces, see `nfcodec.io.mesh`
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nfcodec.atomic import replacing
from nfcodec.errors import MissingExtraError, NfldError, SignalError, UsageError
from nfcodec.spec import KINDS, QUANTITIES, SURFACE_KINDS, Mesh, Signal

from . import frames
from .implied import compact_meta
from .meaning import as_kind, as_quantity, may_have_channels
from .placement import rescale_meta
from .unreadable import unreadable

if TYPE_CHECKING:
    from nfcodec.scene import Node

    from .scene import SceneSource

__all__ = [
    "FORMATS",
    "Format",
    "check_finite",
    "compact",
    "kind_of",
    "n_bytes",
    "parts",
    "read",
    "read_scene",
    "rescale_meta",
    "suffixes",
    "write_lattice",
    "write_mesh",
    "write_scene",
]


class Format(NamedTuple):
    """One row of the table: functions are named, so that a module and its libraries are imported when used.

    kinds: of the signals that the suffix can hold, the usual one first. options: of `read` that the reader takes.
    """

    name: str
    module: str
    reader: str | None
    writer: str | None
    kinds: tuple[str, ...]
    options: tuple[str, ...] = ()


_IMAGE, _ARRAY = ("image", "volume"), ("volume", "image")

FORMATS: dict[str, Format] = {
    ".png": Format("png", "image", "read", "write", _IMAGE),
    ".jpg": Format("jpeg", "image", "read", "write", _IMAGE),
    ".jpeg": Format("jpeg", "image", "read", "write", _IMAGE),
    ".webp": Format("webp", "image", "read", "write", _IMAGE),
    ".avif": Format("avif", "image", "read", "write", _IMAGE),
    ".apng": Format("png", "image", "read", "write", _ARRAY),
    ".gif": Format("gif", "film", "read_gif", "write_gif", _ARRAY),
    ".y4m": Format("y4m", "y4m", "read", "write", ("volume",)),
    ".mp4": Format("mp4", "video", "read", "write", ("volume",)),
    ".mkv": Format("mkv", "video", "read", "write", ("volume",)),
    ".mov": Format("mov", "video", "read", None, ("volume",)),
    ".webm": Format("webm", "video", "read", None, ("volume",)),
    ".avi": Format("avi", "video", "read", None, ("volume",)),
    ".tif": Format("tiff", "tiff", "read", "write", _IMAGE),
    ".tiff": Format("tiff", "tiff", "read", "write", _IMAGE),
    ".flo": Format("flo", "flo", "read", "write", _IMAGE),
    ".wav": Format("wav", "wav", "read", "write", ("volume",)),
    ".hdr": Format("radiance", "hdr", "read_radiance", "write_radiance", _IMAGE),
    ".pfm": Format("pfm", "hdr", "read_pfm", "write_pfm", _IMAGE),
    ".h5": Format("hdf5", "hdf5", "read", "write", _ARRAY, ("dataset", "axes")),
    ".hdf5": Format("hdf5", "hdf5", "read", "write", _ARRAY, ("dataset", "axes")),
    ".npy": Format("npy", "volume", "read_npy", "write_npy", _ARRAY, ("axes",)),
    ".npz": Format("npz", "volume", "read_npz", "write_npz", _ARRAY, ("dataset", "axes")),
    ".raw": Format("raw", "volume", "read_raw", "write_raw", _ARRAY, ("shape", "dtype", "axes")),
    ".bin": Format("raw", "volume", "read_raw", "write_raw", _ARRAY, ("shape", "dtype", "axes")),
    ".vol": Format("raw", "volume", "read_raw", "write_raw", _ARRAY, ("shape", "dtype", "axes")),
    ".nrrd": Format("nrrd", "volume", "read_nrrd", "write_nrrd", _ARRAY, ("axes",)),
    ".nii": Format("nifti", "nifti", "read", "write", _ARRAY),
    ".nii.gz": Format("nifti", "nifti", "read", "write", _ARRAY),
    ".obj": Format("obj", "mesh", "read", "write", SURFACE_KINDS, ("texture", "part")),
    ".stl": Format("stl", "mesh", "read", "write", SURFACE_KINDS, ("part",)),
    ".ply": Format("ply", "mesh", "read", "write", SURFACE_KINDS, ("texture", "part")),
    ".off": Format("off", "mesh", "read", "write", SURFACE_KINDS, ("part",)),
    ".glb": Format("glb", "mesh", "read", "write", SURFACE_KINDS, ("texture", "part")),
    ".gltf": Format("gltf", "mesh", "read", None, SURFACE_KINDS, ("texture", "part")),
}


def suffixes(kind: str | None = None, *, writable: bool = False) -> tuple[str, ...]:
    """Known suffixes, sorted: all, or those of a kind of signal; `writable`: only those that can be written."""
    return tuple(sorted(s for s, f in FORMATS.items() if (kind is None or kind in f.kinds) and (f.writer or not writable)))


def kind_of(path: str | os.PathLike) -> str:
    """The usual kind of signal behind a suffix, without opening the file (a TIFF stack turns out a volume when read)."""
    return _format_of(path)[1].kinds[0]


def compact(signal: Signal) -> dict[str, Any]:
    """The signal's metadata as a file holds them: without what its header or the source's suffix say."""
    try:
        named = _format_of(str(signal.meta.get("source", "")))[1].name
    except UsageError:
        named = None
    return compact_meta(signal, named)


def _format_of(path: str | os.PathLike) -> tuple[str, Format]:
    name = Path(path).name.lower()
    # ".nii.gz" before anything that could match ".gz"
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix) and len(name) > len(suffix):
            return suffix, FORMATS[suffix]
    got = Path(path).suffix
    problem = f"the unknown suffix {got!r}" if got else "no suffix"
    raise UsageError(
        f"{str(path)!r} has {problem}, expected one of {' '.join(suffixes())}; convert or rename the file"
    )


def read(
    path: str | os.PathLike,
    kind: str | None = None,
    *,
    dataset: str | None = None,
    shape: tuple[int, ...] | None = None,
    dtype: Any = None,
    axes: str | None = None,
    texture: str | os.PathLike | None = None,
    part: int | None = None,
    frame_rate: float | None = None,
    quantity: str | None = None,
) -> Signal:
    """Read a signal; see the module's docstring for its meta.

    kind: a key of spec.KINDS to override what the file suggests: "image" or "volume" for 2-D lattices, any surface kind
    for a mesh. dataset: name inside HDF5 or NPZ (default: the only or the largest suitable one). shape, dtype: of RAW
    data, shape in the order of `axes`, dtype default uint8. axes: letters of the file's array axes, such as "zyxc" or
    "xyz", for HDF5, NPY, NPZ, NRRD and RAW; without it a 1-D array is "x", 2-D "yx", 3-D "zyx", or "yxc" where an image is
    asked for and the last axis has 16 entries at most, 4-D "tzyx" and 5-D "tzyxc".
    texture: an image for a mesh's texture coordinates, where its file names none. part: the number of one part of a mesh's
    file, see `parts`. frame_rate: of a film of numbered images, such as "frame-%04d.png" or "frames/*.png": see `frames`.
    quantity: of spec.QUANTITIES to override what the file suggests, for lattices.

    Raises UsageError (missing file, unknown suffix, options that do not fit), SignalError (content), MissingExtraError.
    """
    path = Path(path)
    if kind is not None and kind not in KINDS:
        raise UsageError(f"reading {path.name!r}: got the kind {kind!r}, expected one of {', '.join(KINDS)}")
    if quantity is not None and quantity not in QUANTITIES:
        raise UsageError(f"reading {path.name!r}: got the quantity {quantity!r}, expected one of {', '.join(QUANTITIES)}")
    if frames.is_pattern(path):
        return as_quantity(frames.read(path, read, frame_rate), quantity, path.name, False)
    format = _present(path)
    given = {"dataset": dataset, "shape": shape, "dtype": dtype, "axes": axes, "texture": texture, "part": part}
    given["frame_rate"] = frame_rate
    options = {key: value for key, value in given.items() if value is not None}
    wrong = [key for key in options if key not in format.options]
    if wrong:
        raise UsageError(
            f"reading {path.name!r}: {wrong[0]} does not apply to {format.name}; leave it out"
            + (f" (it takes {', '.join(format.options)})" if format.options else "")
        )
    if kind is not None and kind not in format.kinds:
        raise UsageError(f"reading {path.name!r}: {format.name} holds {' or '.join(format.kinds)}, got the kind {kind!r}")

    module = importlib.import_module(f".{format.module}", __name__)
    with _explained(path, format.name):
        signal = getattr(module, format.reader)(path, format.name, **options)
    takes_axes = "axes" in format.options
    if kind == "image" and takes_axes and axes is None and may_have_channels(signal):
        return read(path, kind, **{**options, "axes": "yxc"}, quantity=quantity)
    return as_quantity(as_kind(signal, kind, path.name, takes_axes), quantity, path.name, takes_axes)


def _present(path: Path) -> Format:
    """The format of a file that is there and not empty."""
    if path.is_dir():
        raise UsageError(f"reading {str(path)!r}: it is a folder, expected a file")
    if not path.exists():
        raise UsageError(f"reading {str(path)!r}: there is no such file; check the path")
    if path.suffix.lower() == ".nfld":
        raise UsageError(f"reading {str(path)!r}: it is a field already, expected a signal; decode it to one first")
    format = _format_of(path)[1]
    if path.stat().st_size == 0:
        raise SignalError(f"reading {path.name!r}: the file is empty (0 bytes), expected {format.name}")
    return format


@contextmanager
def _explained(path: Path, format: str) -> Iterator[None]:
    """What libraries raise while they read a file, as errors of this package."""
    try:
        yield
    except NfldError:
        raise
    except ImportError as err:  # of a package that a library needs for this very file
        raise MissingExtraError.of(err.name or str(err), "encode", f"reading {path.name!r}") from err
    except PermissionError as err:
        raise UsageError(f"reading {str(path)!r}: permission denied; check the file's permissions") from err
    except MemoryError as err:
        raise SignalError(f"reading {path.name!r}: not enough memory; crop or downsample it") from err
    except Exception as err:
        raise SignalError(unreadable(path, format, err)) from err


def n_bytes(path: str | os.PathLike) -> int:
    """Bytes of a file, or of all numbered ones that a pattern stands for."""
    if frames.is_pattern(path):
        return sum(file.stat().st_size for _, file in frames.files_of(path))
    return os.path.getsize(path)


def parts(path: str | os.PathLike) -> list[str]:
    """Names of the parts of a mesh's file: of the instances of its scene, or numbers of the pieces of a single one.

    `read` takes their numbers in this list as `part`. Raises as `read`, and UsageError for files of other signals.
    """
    whole = read(path)  # for its errors
    if whole.mesh is None:
        raise UsageError(f"reading {str(path)!r}: got a file of kind {whole.kind}, expected a mesh, which has parts")
    from .mesh import part_names

    return part_names(Path(path), whole.meta["format"])


def read_scene(path: str | os.PathLike, texture: str | os.PathLike | None = None) -> SceneSource:
    """The parts of a mesh's file with the nodes that place them: `scene.SceneSource`. Raises as `read`, and UsageError for
    files of other signals."""
    path = Path(path)
    format = _present(path)
    if "sdf" not in format.kinds:
        raise UsageError(f"reading {str(path)!r}: got a file of kind {format.kinds[0]}, expected a mesh, which has parts")
    if texture is not None and "texture" not in format.options:
        raise UsageError(f"reading {path.name!r}: texture does not apply to {format.name}; leave it out")
    from .scene import read as read_parts

    with _explained(path, format.name):
        return read_parts(path, format.name, texture)


def check_finite(signal: Signal) -> None:
    """Raise SignalError if a lattice signal has NaN or infinite values, naming how many and where the first one is."""
    values = signal.values
    if values is None or values.dtype.kind != "f":
        return
    # sums propagate NaN and inf: one cheap pass for the usual, clean signal; an overflowing sum only costs the second pass
    with np.errstate(all="ignore"):
        if np.isfinite(values.sum(dtype=np.float64)):
            return
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if not count:
        return
    first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), values.shape))
    raise SignalError(
        f"{signal.meta.get('source', 'signal')}: {count} of {values.size} values are NaN or infinite, "
        f"the first at index {first} (value {values[first]}); expected finite values: fill them first, "
        "for example with numpy.nan_to_num"
    )


def write_lattice(
    path: str | os.PathLike, values: np.ndarray, meta: dict[str, Any] | None = None, *, overwrite: bool = False
) -> None:
    """Write values (*extent, C) in the format of the suffix, with what meta knows (already fitted by `rescale_meta`).

    The file appears whole or not at all. A format that cannot hold the values either warns and converts (16 bits in
    JPEG or WebP, alpha in JPEG) or raises UsageError (floats in PNG, 3-D in an image format).
    """
    if frames.is_pattern(path):
        frames.write(Path(path), values, meta or {}, write_lattice, overwrite)
        return
    suffix, format = _writable_format(path, lattice=True)
    if values.ndim < 2 or values.size == 0:
        raise UsageError(
            f"writing {str(path)!r}: got an array of shape {values.shape}, "
            "expected (*extent, C) with 1 to 4 axes of samples"
        )
    module = importlib.import_module(f".{format.module}", __name__)
    with replacing(path, overwrite) as temporary:
        getattr(module, format.writer)(temporary, values, meta or {}, format.name, Path(path).name)


def write_mesh(
    path: str | os.PathLike,
    mesh: Mesh,
    meta: dict[str, Any] | None = None,
    *,
    normals: np.ndarray | None = None,
    overwrite: bool = False,
) -> None:
    """Write a triangle mesh as OBJ, STL, PLY, OFF or GLB. normals: (V, 3) unit vectors, kept by OBJ, PLY and GLB, as are
    the colours of the vertices of a mesh with paint.

    The file appears whole or not at all. STL, PLY and GLB store float32; OBJ and OFF text with digits enough for 1e-9 of
    the box's diagonal. meta: "units" becomes a comment in OBJ.
    """
    suffix, format = _writable_format(path, lattice=False)
    module = importlib.import_module(f".{format.module}", __name__)
    with replacing(path, overwrite) as temporary:
        getattr(module, format.writer)(temporary, mesh, meta or {}, format.name, Path(path).name, normals)


def write_scene(
    path: str | os.PathLike,
    nodes: Sequence[Node],
    geometries: Sequence[Mesh | None],
    normals: Sequence[np.ndarray | None],
    meta: dict[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write meshes and the nodes that place them as GLB; geometries, normals: of each field, in its own coordinates."""
    from .scene import write_glb

    with replacing(path, overwrite) as temporary:
        write_glb(Path(temporary), list(nodes), list(geometries), list(normals), meta or {})


def _writable_format(path: str | os.PathLike, lattice: bool) -> tuple[str, Format]:
    suffix, format = _format_of(path)
    if ("volume" in format.kinds) != lattice or format.writer is None:
        what, kind = ("images and volumes", "volume") if lattice else ("meshes", "sdf")
        known = " ".join(suffixes(kind, writable=True))
        raise UsageError(f"writing {str(path)!r}: {suffix} is not written for {what}; choose one of {known}")
    return suffix, format
