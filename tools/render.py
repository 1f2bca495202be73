"""Pictures of meshes, without a GPU or a display: `python tools/render.py source.obj [decoded.ply] -o out.png`.

One mesh: shaded. Two meshes side by side in the same view: source, decoded, and both coloured by the distance to the
other one. Meshes with colours show them; else faces seen from behind are red, so that inverted ones show.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from nfcodec import io
from nfcodec.compare.report.colours import ramp
from nfcodec.compare.report.render import View, distances, rasterise, seen_points, shade
from nfcodec.geometry import TriangleTree, bounding_box_diagonal
from nfcodec.paint import barycentric, colours_at
from nfcodec.spec import Mesh

_SUPERSAMPLING = 2


def picture(source: Mesh, decoded: Mesh | None, view: View, largest: float) -> Image.Image:
    """All panels side by side with a line of text under each. largest: error of the last colour, of the diagonal."""
    fine = View(view.axes, view.centre, view.scale / _SUPERSAMPLING, view.size * _SUPERSAMPLING)
    seen = [(mesh, *rasterise(mesh, fine)) for mesh in (source, decoded) if mesh is not None]
    panels = [
        (shade(mesh, face, fine, colours(mesh, face, depth, fine)), f"{name}, {len(mesh.faces):,} faces")
        for name, (mesh, face, depth) in zip(("source", "decoded"), seen)
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


def colours(mesh: Mesh, face: np.ndarray, depth: np.ndarray, view: View) -> np.ndarray | None:
    """What each pixel sees of a mesh's colours, (size, size, 3); None for a mesh without."""
    if mesh.paint is None:
        return None
    out = np.zeros((*face.shape, 3))
    ids = face[face >= 0]
    out[face >= 0] = colours_at(mesh.paint, ids, barycentric(mesh, ids, seen_points(face, depth, view)))
    return out


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
    parser.add_argument("--texture", type=Path, help="of the source, where its file names none")
    options = parser.parse_args()
    source = io.read(options.source, texture=options.texture).mesh
    decoded = io.read(options.decoded).mesh if options.decoded else None
    view = View.around(source, options.azimuth, options.elevation, options.up, options.size)
    picture(source, decoded, view, options.largest).save(options.output)


if __name__ == "__main__":
    main()
