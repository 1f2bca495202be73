"""Makes GLB scenes of several meshes placed as nodes, with instances, for bench_scenes.py.

    python tools/place_meshes.py MESH_FOLDER OUT_FOLDER

A scene needs the meshes that its table names; each is scaled to a box whose longest edge is 1 before its node places it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import trimesh

Place = tuple[tuple[float, float, float], float, float]  # x, y, z; turn about y in degrees; scale


def ring(n: int, radius: float, scale: float) -> list[Place]:
    """n places on a circle, turned outwards."""
    turns = 2 * np.pi * np.arange(n) / n
    return [((radius * np.cos(a), 0.0, radius * np.sin(a)), -np.degrees(a), scale) for a in turns]


def scattered(n: int, edge: float) -> list[Place]:
    """n places in a cube; a sixth of them mirrored."""
    rng = np.random.default_rng(0)
    out = []
    for k in range(n):
        where, turn, scale = rng.uniform(0, edge, 3), rng.uniform(0, 360), rng.uniform(0.5, 1.5)
        out.append((tuple(where), float(turn), float(scale) * (-1 if k % 6 == 0 else 1)))
    return out


SCENES: dict[str, dict[str, list[Place]]] = {
    # two cars and their neighbours, apart from each other, one of each
    "apart": {
        "beetle.obj": [((0, 0, 0), 0, 1)], "truck.obj": [((2, 0, 0), 30, 1.5)], "fandisk.obj": [((0, 0, 2), 0, 0.5)],
        "spot/spot_triangulated.obj": [((2, 0, 2), -60, 0.8)],
    },  # fmt: skip
    # animals around one, of three geometries
    "around": {
        "bunny.obj": [((0, 0, 0), 0, 1)], "armadillo.obj": ring(6, 2.0, 0.7),
        "spot/spot_triangulated.obj": ring(12, 3.5, 0.5),
    },  # fmt: skip
    # many of few
    "many": {"fandisk.obj": scattered(100, 12), "spot/spot_triangulated.obj": scattered(200, 12)[100:]},
}  # fmt: skip


def matrix(place: Place) -> np.ndarray:
    """(4, 4)"""
    where, turn, scale = place
    out = trimesh.transformations.rotation_matrix(np.radians(turn), [0, 1, 0])
    out[:3, :3] *= scale
    out[:3, 3] = where
    return out


def scene_of(table: dict[str, list[Place]], folder: Path) -> trimesh.Scene:
    """A group for each mesh, below it a node for each place."""
    scene = trimesh.Scene()
    for path, places in table.items():
        mesh = trimesh.load(folder / path, process=False, force="mesh", skip_materials=True)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        name = Path(path).stem
        vertices = (mesh.vertices - (low + high) / 2) / (high - low).max()
        scene.geometry[name] = trimesh.Trimesh(vertices, mesh.faces, process=False)
        scene.graph.update(f"{name} group", "world", matrix=np.eye(4))
        for k, place in enumerate(places):
            scene.graph.update(f"{name} {k}", f"{name} group", matrix=matrix(place), geometry=name)
    return scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, table in SCENES.items():
        missing = [path for path in table if not (options.meshes / path).exists()]
        if missing:
            print(f"{name}: left out, as there is no {missing[0]}")
            continue
        path = options.out / f"{name}.glb"
        path.write_bytes(scene_of(table, options.meshes).export(file_type="glb"))
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
