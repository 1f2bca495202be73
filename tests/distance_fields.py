"""Fields whose vertices hold a known distance, without a fit."""

import numpy as np
from entropy_cases import zero_net
from field_cases import make_spec

import nfcodec
from nfcodec.pack import Frozen, pack

CELL, N = 0.25, 32
SIZE = CELL * N
CENTRE = np.array([0.5, 2.0, -1.0]) + SIZE / 2  # of the box of make_spec, as (x, y, z)


def field_of(distance, kind="sdf", trim=None):
    """A field whose only level holds a distance of world points (N, 3) around the middle of the box, to 1/1024, and a trim."""
    return nfcodec.open(data_of(distance, kind, trim))


def data_of(distance, kind="sdf", trim=None):
    """The file of such a field; of a volume with 0.5 + distance / 8."""
    n = 1 + (trim is not None)
    spec = make_spec(
        kind, (N, N, N), ((N, N, N),), "dense", "cubic", n, n_features=(n,), n_hidden_layers=0, scale=1.0, offset=0.0,
        step=2.0**-10, roles=("distance", "trim")[:n] if kind != "volume" else None,
    )  # fmt: skip
    z, y, x = np.meshgrid(*[(np.arange(N) + 0.5) / N * SIZE - SIZE / 2] * 3, indexing="ij")
    places = np.stack([x, y, z], -1).reshape(-1, 3)
    values = distance(places).reshape(N, N, N)
    values = {
        "sdf": values,
        "tsdf": np.clip(values, -spec.truncation or None, spec.truncation or None),
        "udf": np.abs(values),
        "volume": 0.5 + values / 8,
        "occupancy": np.clip(0.5 - values / CELL / 2, 0, 1),
    }[kind]
    planes = [values] if trim is None else [values, trim(places).reshape(N, N, N)]
    latents = np.rint(np.stack(planes) / spec.steps[0]).astype(np.int32)
    tensors = [np.zeros(n, np.int32), np.eye(n, dtype=np.int32)]
    return pack(spec, Frozen([{"latents": latents}], tensors, [0, 0], zero_net(3, n > 1, 300)))


def ball(points, radius=2.0):
    return np.linalg.norm(points, axis=1) - radius


def block(points, half=(1.5, 2.0, 1.0)):
    away = np.abs(points) - half
    return np.linalg.norm(np.maximum(away, 0), axis=1) + np.minimum(away.max(axis=1), 0)


def ring(points):
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - 2.2, points[:, 2]) - 0.8
