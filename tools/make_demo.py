"""The main job on inputs that it makes for itself: `python tools/make_demo.py [FOLDER]`, a minute or two on two cores.

Makes a mesh, a picture and a volume, and runs the commands that a user would type: encode, verify against the source,
decode at another resolution. Everything lands in FOLDER (default: demo) and replaces what an earlier run left there.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import numpy as np

from nfcodec import io
from nfcodec.cli import main
from nfcodec.spec import Mesh


def knot(n_along: int = 400, n_around: int = 48) -> Mesh:
    """A closed tube along a trefoil knot, thicker and thinner on its way."""
    t = np.linspace(0, 2 * np.pi, n_along, endpoint=False)[:, None]
    centre = np.concatenate([np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)], axis=1)
    tangent = np.roll(centre, -1, axis=0) - np.roll(centre, 1, axis=0)
    side = np.cross(tangent, centre + [0.0, 0.0, 5.0])
    up = np.cross(side, tangent)
    side, up = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (side, up))
    angle = np.linspace(0, 2 * np.pi, n_around, endpoint=False)
    radius = 0.42 + 0.06 * np.sin(9 * t)
    ring = np.cos(angle)[:, None] * side[:, None] + np.sin(angle)[:, None] * up[:, None]
    vertices = centre[:, None] + radius[:, :, None] * ring
    i, j = np.meshgrid(np.arange(n_along), np.arange(n_around), indexing="ij")
    a, b = i * n_around + j, i * n_around + (j + 1) % n_around
    c, d = ((i + 1) % n_along) * n_around + j, ((i + 1) % n_along) * n_around + (j + 1) % n_around
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, c, b), (b, c, d))])
    return Mesh(vertices.reshape(-1, 3), faces)


def picture(height: int = 240, width: int = 360) -> np.ndarray:
    """(height, width, 3) uint8: a sky, hills and their texture."""
    y, x = np.mgrid[0:height, 0:width] / height
    values = np.stack([0.35 + 0.4 * y, 0.55 + 0.25 * y, 0.9 - 0.2 * y], -1)
    noise = np.random.default_rng(1).normal(0, 1, (height, width))
    for k, tone in enumerate(([0.30, 0.42, 0.45], [0.22, 0.36, 0.28], [0.13, 0.24, 0.12])):
        hill = 0.45 + 0.17 * k + 0.08 * np.sin((3 + 2 * k) * x + k) + 0.03 * np.sin(17 * x + 3 * k)
        cover = np.clip((y - hill) * height, 0, 1)[..., None]
        values = values * (1 - cover) + (np.array(tone) + 0.02 * (k + 1) * noise[..., None]) * cover
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)


def volume(n: int = 64) -> np.ndarray:
    """(n, n, n, 1) float32: three soft shells in a slowly varying background."""
    z, y, x = np.mgrid[0:n, 0:n, 0:n] / n
    values = 0.2 * np.sin(5 * x) * np.cos(4 * y) + 0.1 * z
    for centre, radius in (((0.4, 0.4, 0.4), 0.28), ((0.65, 0.6, 0.5), 0.2), ((0.4, 0.7, 0.7), 0.15)):
        distance = np.sqrt(sum((a - c) ** 2 for a, c in zip((z, y, x), centre)))
        values += np.exp(-(((distance - radius) / 0.03) ** 2))
    return values[..., None].astype(np.float32)


def demo(folder: Path) -> int:
    """Makes the inputs and runs the commands; returns the worst exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    io.write_mesh("knot.obj", knot(), overwrite=True)
    io.write_lattice("hills.png", picture(), overwrite=True)
    io.write_lattice("shells.npy", volume(), overwrite=True)
    commands = """
        encode --effort 2 --overwrite knot.obj hills.png shells.npy
        info knot.nfld
        verify knot.nfld knot.obj
        verify hills.nfld hills.png
        verify shells.nfld shells.npy
        decode --overwrite --resolution 160 knot.nfld -o knot-160.ply
        decode --overwrite --scale 2.5 hills.nfld -o hills-2.5x.png
        decode --overwrite --shape 100x100x100 shells.nfld -o shells-100.nrrd
        decode --overwrite --level 2 hills.nfld -o hills-coarse.png
    """
    worst = 0
    for command in commands.strip().splitlines():
        print(f"$ nfcodec {command.strip()}", flush=True)
        worst = max(worst, main(shlex.split(command)))
    print(f"the files are in {Path.cwd()}")
    return worst


if __name__ == "__main__":
    sys.exit(demo(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
