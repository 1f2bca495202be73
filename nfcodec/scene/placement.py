"""Similarities: where a node places what hangs below it. They keep shapes, so that distances only change by their scale.

    world point = translation + scale * R(rotation) local point

A negative scale mirrors. Points are (x, y, z); rotations unit quaternions (x, y, z, w) as in glTF 2.0. Spec/scene.md,
section 3, has the same formulas; products are summed from left to right, so that every decoder gets the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Similarity", "nearest_similarity", "square"]

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
_FLAT = 1e-9  # of the largest stretch of a matrix: a smaller one is none


@dataclass(frozen=True)
class Similarity:
    """translation: (x, y, z). rotation: quaternion (x, y, z, w), normalised when used. scale: not 0; below 0 mirrors."""

    translation: Vector = (0.0, 0.0, 0.0)
    rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    scale: float = 1.0

    @property
    def turn(self) -> np.ndarray:
        """The rotation as a matrix (3, 3)."""
        x, y, z, w = normalised(self.rotation)
        return np.array([
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ])  # fmt: skip

    @property
    def matrix(self) -> np.ndarray:
        """(4, 4) float64 for columns (x, y, z, 1)."""
        out = np.eye(4)
        out[:3, :3] = self.scale * self.turn
        out[:3, 3] = self.translation
        return out

    def after(self, first: Similarity) -> Similarity:
        """`first`, then this one: the placement in the world of what `first` places in this one's node."""
        (ax, ay, az, aw), (bx, by, bz, bw) = self.rotation, first.rotation
        rotation = (
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        )
        x, y, z = first.translation
        moved = (t + self.scale * (r[0] * x + r[1] * y + r[2] * z) for t, r in zip(self.translation, self.turn.tolist()))
        return Similarity(tuple(moved), normalised(rotation), self.scale * first.scale)

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Local points (N, 3) in the world."""
        return points @ (self.scale * self.turn).T + self.translation

    def to_local(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) as local ones."""
        return (points - self.translation) @ (self.turn / self.scale)

    def turned(self, vectors: np.ndarray) -> np.ndarray:
        """Local normals (N, 3) in the world; of the same length."""
        return vectors @ (math.copysign(1.0, self.scale) * self.turn).T

    def to_local_directions(self, vectors: np.ndarray) -> np.ndarray:
        """World directions (N, 3) as local ones, shorter by the scale: a ray has the same parameter in both."""
        return vectors @ (self.turn / self.scale)

    @classmethod
    def of(cls, matrix: np.ndarray) -> Similarity:
        """The similarity of a matrix (4, 4) that is one."""
        linear = np.asarray(matrix, np.float64)[:3, :3]
        determinant = float(np.linalg.det(linear))
        scale = math.copysign(abs(determinant) ** (1 / 3), determinant)
        # a sum of squares is as good as 1 where nothing was scaled, and then no factor is worth its bytes
        scale = float(np.sign(scale)) if abs(abs(scale) - 1) < 1e-12 else scale
        return cls(tuple(float(v) for v in matrix[:3, 3]), _quaternion(linear / scale), scale)


def nearest_similarity(matrix: np.ndarray) -> tuple[Similarity, np.ndarray | None]:
    """(similarity, rest): matrix (4, 4) = similarity after the linear map `rest` (3, 3), None where that is nothing.

    The rest stretches along three axes whose factors multiply to 1, unless the matrix is flat: it then has all of it.
    """
    linear = np.asarray(matrix, np.float64)[:3, :3]
    left, stretch, right = np.linalg.svd(linear)
    placed = np.eye(4)
    placed[:3, 3] = matrix[:3, 3]
    if stretch[2] <= _FLAT * stretch[0]:
        return Similarity.of(placed), linear
    turn = left @ right
    scale = float(np.prod(stretch)) ** (1 / 3)
    placed[:3, :3] = scale * turn
    similarity = Similarity.of(placed)
    if stretch[0] - stretch[2] <= _FLAT * stretch[0]:
        return similarity, None
    return similarity, right.T @ np.diag(stretch / scale) @ right


def square(q: Quaternion) -> float:
    """The square of a quaternion's length, summed in order: `sum` would compensate in some versions of Python."""
    return q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]


def normalised(q: Quaternion) -> Quaternion:
    """A quaternion of length 1."""
    length = math.sqrt(square(q))
    return q[0] / length, q[1] / length, q[2] / length, q[3] / length


def _quaternion(turn: np.ndarray) -> Quaternion:
    """Of a rotation matrix (3, 3): from the largest of its four numbers, as Shepperd (1978) does; w is not negative."""
    trace = float(np.trace(turn))
    k = int(np.argmax([*np.diag(turn), trace]))
    q = np.empty(4)
    if k == 3:
        q[3] = 1 + trace
        q[:3] = turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]
    else:
        i, j = (k + 1) % 3, (k + 2) % 3
        q[k] = 1 - trace + 2 * turn[k, k]
        q[i], q[j] = turn[i, k] + turn[k, i], turn[j, k] + turn[k, j]
        q[3] = turn[j, i] - turn[i, j]
    q /= np.linalg.norm(q)
    # rounding errors of a rotation by nothing, or by half or a quarter turn, are not worth eight bytes each
    q[np.abs(q) < 1e-15] = 0.0
    q = -q if q[3] < 0 else q
    return tuple(float(v) for v in q + 0.0)
