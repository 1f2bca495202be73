"""Pictures of meshes, without a GPU or a display: `python tools/render.py source.obj [decoded.ply] -o out.png`.

One mesh: shaded. Two meshes side by side in the same view: source, decoded, and both coloured by the distance to the
other one. Faces seen from behind are red, so that inverted ones show.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from nfcodec.geometry import TriangleTree, bounding_box_diagonal, face_normals
from nfcodec.spec import Mesh

_SUPERSAMPLING = 2
_PAIRS = 1 << 22  # (triangle, pixel) pairs looked at at once
_FRONT = np.array([0.78, 0.80, 0.84])
_BACK = np.array([0.80, 0.30, 0.25])
_BACKGROUND = 1.0
# dark blue to yellow, even in lightness
_RAMP = np.array([[0.05, 0.03, 0.30], [0.45, 0.05, 0.60], [0.80, 0.28, 0.47], [0.97, 0.58, 0.25], [0.94, 0.97, 0.13]])


@dataclass(frozen=True)
class View:
    """An orthographic camera: rows of `axes` are right, up and towards the eye; one pixel is `scale` world units."""

    axes: np.ndarray
    centre: np.ndarray
    scale: float
    size: int

    @classmethod
    def around(cls, mesh: Mesh, azimuth_deg: float, elevation_deg: float, up: str, size: int) -> "View":
        """Looks at the middle of the mesh's box from the given direction, with `up` (an axis: y or z) upwards."""
        a, e = np.radians([azimuth_deg, elevation_deg])
        right = np.array([np.cos(a), 0, -np.sin(a)])
        eye = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        axes = np.stack([right, np.cross(eye, right), eye])
        if up == "z":
            axes = axes[:, [0, 2, 1]] * [1, -1, 1]
        vertices = mesh.vertices[np.unique(mesh.faces)]
        spread = vertices @ axes.T
        centre = (spread.min(axis=0) + spread.max(axis=0)) / 2 @ axes
        scale = np.ptp(spread[:, :2], axis=0).max() * 1.06 / size
        return cls(axes, centre, float(scale), size)


def rasterise(mesh: Mesh, view: View) -> tuple[np.ndarray, np.ndarray]:
    """The face seen by each pixel, (size, size) int64 with -1 for none, and its depth towards the eye, world units."""
    seen = (mesh.vertices - view.centre) @ view.axes.T
    pixels = np.stack([seen[:, 0] / view.scale, -seen[:, 1] / view.scale], axis=1) + view.size / 2
    corners, depths = pixels[mesh.faces], seen[mesh.faces, 2]  # (T, 3, 2), (T, 3)
    first = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, view.size).astype(np.int64)
    last = np.clip(np.floor(corners.max(axis=1) - 0.5) + 1, 0, view.size).astype(np.int64)
    width, height = np.maximum(last - first, 0).T
    (ax, ay), (bx, by), (cx, cy) = corners.transpose(1, 2, 0)
    double_area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    ends = np.cumsum(width * height * (double_area != 0))
    depth = np.full(view.size**2, -np.inf)
    face = np.full(view.size**2, -1, np.int64)
    for start in range(0, int(ends[-1]), _PAIRS):
        pair = np.arange(start, min(start + _PAIRS, ends[-1]))
        t = np.searchsorted(ends, pair, side="right")
        nth = pair - (ends[t] - width[t] * height[t])
        column, row = first[t, 0] + nth % width[t], first[t, 1] + nth // width[t]
        x, y = column + 0.5, row + 0.5
        u = ((bx[t] - x) * (cy[t] - y) - (cx[t] - x) * (by[t] - y)) / double_area[t]
        v = ((cx[t] - x) * (ay[t] - y) - (ax[t] - x) * (cy[t] - y)) / double_area[t]
        hit = (u >= 0) & (v >= 0) & (u + v <= 1)
        t, u, v, at = t[hit], u[hit], v[hit], (row * view.size + column)[hit]
        z = u * depths[t, 0] + v * depths[t, 1] + (1 - u - v) * depths[t, 2]
        np.maximum.at(depth, at, z)
        front = z == depth[at]
        face[at[front]] = t[front]
    return face.reshape(view.size, view.size), depth.reshape(view.size, view.size)


def shade(mesh: Mesh, face: np.ndarray, view: View, colour: np.ndarray | None = None) -> np.ndarray:
    """Lit picture (size, size, 3) in [0, 1], one normal a face; colour: (size, size, 3) in place of grey."""
    normals = (face_normals(mesh) @ view.axes.T)[face]  # (size, size, 3), towards the eye: z > 0
    back = normals[..., 2] < 0
    normals = np.where(back[..., None], -normals, normals)
    key, fill = np.array([-0.45, 0.60, 0.66]), np.array([0.80, -0.10, 0.59])
    light = 0.22 + 0.62 * np.maximum(normals @ key, 0) + 0.22 * np.maximum(normals @ fill, 0)
    if colour is None:
        colour = np.where(back[..., None], _BACK, _FRONT)
    else:
        light = 0.5 + 0.5 * light  # the colour carries the figure
    return np.where(face[..., None] < 0, _BACKGROUND, np.clip(colour * light[..., None], 0, 1))


def error_colours(
    face: np.ndarray, depth: np.ndarray, view: View, other: Mesh, unit: float, largest: float
) -> tuple[np.ndarray, float]:
    """Colours (size, size, 3) by distance of what is seen to another mesh in `unit`s, and the largest distance seen."""
    row, column = np.nonzero(face >= 0)
    right, up = (column + 0.5 - view.size / 2) * view.scale, -(row + 0.5 - view.size / 2) * view.scale
    points = np.stack([right, up, depth[row, column]], axis=1) @ view.axes + view.centre
    distances = TriangleTree(other.vertices, other.faces).closest(points)[0] / unit
    position = np.clip(distances / largest, 0, 1) * (len(_RAMP) - 1)
    colours = np.zeros((*face.shape, 3))
    for channel in range(3):
        colours[row, column, channel] = np.interp(position, np.arange(len(_RAMP)), _RAMP[:, channel])
    return colours, float(distances.max(initial=0.0))


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
        for (mesh, face, depth), other, name in zip(
            seen, (decoded, source), ("source to decoded", "decoded to source")
        ):
            colour, worst = error_colours(face, depth, fine, other, unit, largest)
            text = f"{name}: blue 0, yellow {largest:.0e} of the diagonal or more; worst seen {worst:.1e}"
            panels.append((shade(mesh, face, fine, colour), text))
    sheet = Image.new("RGB", (view.size * len(panels), view.size + 20), "white")
    for i, (values, text) in enumerate(panels):
        image = Image.fromarray(np.rint(values * 255).astype(np.uint8)).resize(
            (view.size, view.size), Image.Resampling.BOX
        )
        sheet.paste(image, (i * view.size, 0))
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
