"""What rims and colours of surfaces cost: rows are appended to a TSV under results/.

    python tools/bench_attributes.py MESH ... [--texture IMAGE] [--effort 2] [-o results/attributes.tsv]

Each mesh is encoded as it comes, with its holes closed, and, where it is open, as an unsigned field; meshes with colours
with and without them. The names hemisphere and sheet stand for surfaces that are made here. color_psnr_db: of colours at the vertices of
a mesh as fine as the source's lattice; vertices_db, texture_db: of a mesh for a texture, with colours at its vertices and with the
texture.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from tsv import ROOT, Table

import nfcodec
from nfcodec import io
from nfcodec.export import TEXTURED_RESOLUTION, export
from nfcodec.geometry import count_edges, weld
from nfcodec.measure import measure_decoded
from nfcodec.spec import Mesh, Signal

COLUMNS = "input n_faces what quality effort seed kind bytes rms rms_back max_back normal_deg color_psnr_db vertices_db texture_db cpu_s"
_TEXTURE = 1024  # texels an edge
_SIDE = 80  # vertices of the made sheet's edge


def surface(width: int, height: int, place) -> Mesh:
    """The triangles of place(u, v) over a lattice of parameters 0 to 1, without those that have a corner at NaN."""
    u, v = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height), indexing="ij")
    vertices = np.stack(place(u, v), -1).reshape(-1, 3)
    ids = np.arange(width * height).reshape(width, height)
    a, b, c, d = (x.reshape(-1) for x in (ids[:-1, :-1], ids[1:, :-1], ids[1:, 1:], ids[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    faces = faces[np.isfinite(vertices[faces]).all((1, 2))]
    return Mesh(np.nan_to_num(vertices), faces)


def hemisphere() -> Mesh:
    """The lower half of a sphere, to the rim."""

    def place(u, v):
        a, b = 2 * np.pi * u, np.pi / 2 * (0.01 + 0.99 * v)
        return np.round(np.sin(b) * np.cos(a), 9), np.round(np.sin(b) * np.sin(a), 9), -np.cos(b)

    return weld(surface(160, 40, place))


def sheet() -> Mesh:
    """A wavy square with a round hole."""

    def place(u, v):
        x, y = 2 * u - 1, 2 * v - 1
        z = 0.25 * np.sin(3 * x) * np.cos(2 * y)
        return x, y, np.where(np.hypot(x - 0.3, y - 0.2) < 0.35, np.nan, z)

    return surface(_SIDE, _SIDE, place)


MADE = {"hemisphere": hemisphere, "sheet": sheet}


def cases(signal: Signal):
    """(what, signal, settings) of the rows of a mesh."""
    yield "as it comes", signal, {}
    if count_edges(weld(signal.mesh)).boundary:
        yield "holes closed", signal, {"kind": "sdf", "close_holes": True}
        yield "unsigned", signal, {"kind": "udf"}
    if signal.mesh.paint is not None:
        yield "without colours", replace(signal, mesh=replace(signal.mesh, paint=None)), {}


def of_textures(data: bytes, signal: Signal) -> tuple[float | None, float | None]:
    """PSNR in dB of colours at the vertices of a mesh for a texture, and of that texture; None for surfaces without."""
    if signal.mesh.paint is None:
        return None, None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.glb"
        field = nfcodec.open(data)
        export(field, path, texture=_TEXTURE)
        meshes = field.to_mesh(TEXTURED_RESOLUTION), io.read(path).mesh
    return tuple(measure_decoded(mesh, signal).color_psnr_db for mesh in meshes)


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="+")
    parser.add_argument("--texture")
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--effort", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "attributes.tsv")
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    table = Table(args.output, COLUMNS.split())
    for name in args.meshes:
        signal = Signal("sdf", mesh=MADE[name]()) if name in MADE else io.read(name, texture=args.texture)
        for what, changed, settings in cases(signal):
            start = time.process_time()
            encoded = nfcodec.encode(changed, quality=args.quality, effort=args.effort, seed=args.seed, **settings)
            cpu_s, r = time.process_time() - start, encoded.report
            table.add(
                Path(name).name, len(signal.mesh.faces), what, args.quality, args.effort, args.seed, encoded.kind,
                len(encoded.data), r.rms, r.rms_back, r.max_back, r.normal_deg, r.color_psnr_db,
                *of_textures(encoded.data, changed), cpu_s,
            )  # fmt: skip


if __name__ == "__main__":
    main()
