"""Pictures of meshes, without a GPU or a display: `python tools/render.py source.obj [decoded.ply] -o out.png`.

One mesh: shaded. Two meshes side by side in the same view: source, decoded, and both coloured by the distance to the
other one. Faces seen from behind are red, so that inverted ones show.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from nfcodec.compare.report.colours import ramp
from nfcodec.compare.report.render import View, distances, rasterise, shade
from nfcodec.geometry import TriangleTree, bounding_box_diagonal
from nfcodec.spec import Mesh

_SUPERSAMPLING = 2


def picture(source: Mesh, decoded: Mesh | None, view: View, largest: float) -> Image.Image:
    """All panels side by side with a line of text under each. largest: error of the last colour, of the diagonal."""
    fine = View(view.axes, view.centre, view.scale / _SUPERSAMPLING, view.size * _SUPERSAMPLING)
    seen = [(mesh, *rasterise(mesh, fine)) for mesh in (source, decoded) if mesh is not None]
    panels = [
        (shade(mesh, face, fine), f"{name}, {len(mesh.faces):,} faces")
        for name, (mesh, face, _) in zip(("source", "decoded"), seen)
    ]
    if decoded is not None:
        unit = bounding_box_diagonal(source)
        for (mesh, face, depth), other, name in zip(seen, (decoded, source), ("source to decoded", "decoded to source")):
            errors = distances(face, depth, fine, TriangleTree(other.vertices, other.faces)) / unit
            text = f"{name}: dark 0, bright {largest:.0e} of the diagonal or more; worst seen {errors.max():.1e}"
            panels.append((shade(mesh, face, fine, ramp(errors / largest) / 255), text))
    sheet = Image.new("RGB", (view.size * len(panels), view.size + 20), "white")
    for i, (values, text) in enumerate(panels):
        image = Image.fromarray(np.rint(values * 255).astype(np.uint8)).reduce(_SUPERSAMPLING)
        sheet.paste(image, (i * view.size, 0), image)
        ImageDraw.Draw(sheet).text((i * view.size + 8, view.size + 3), text, fill="black")
    return sheet


def read_mesh(path: Path) -> Mesh:
    """Any file that trimesh reads, its parts joined."""
    import trimesh

    mesh = trimesh.load(path, process=False, force="mesh")
    return Mesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64))


def main() -> None:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("decoded", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=800, help="pixels of a panel's side")
    parser.add_argument("--azimuth", type=float, default=30, help="degrees around the up axis")
    parser.add_argument("--elevation", type=float, default=20, help="degrees above the horizon")
    parser.add_argument("--up", choices=("y", "z"), default="y")
    parser.add_argument("--largest", type=float, default=1e-3, help="error of the last colour, of the diagonal")
    options = parser.parse_args()
    source = read_mesh(options.source)
    decoded = read_mesh(options.decoded) if options.decoded else None
    view = View.around(source, options.azimuth, options.elevation, options.up, options.size)
    picture(source, decoded, view, options.largest).save(options.output)


if __name__ == "__main__":
    main()
