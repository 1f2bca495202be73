"""Features on a mesh: against the formulas of the specification, derivatives, the twin, and the meshes that fits start from."""

import itertools

import numpy as np
import pytest
from field_cases import make_frozen, make_spec
from second_inputs import closest_weights
from surfaces import sphere

import nfcodec
from nfcodec.binary import Reader
from nfcodec.encodings import load
from nfcodec.encodings.mesh import Grid, Surface, in_order, is_flat
from nfcodec.entropy.faces import decode_faces, encode_faces
from nfcodec.pack import pack
from nfcodec.spec import GridSpec

RESOLUTION = (9, 10, 11)


def ball(resolution=RESOLUTION, halvings=2):
    """The mesh of a ball whose vertices are those of a lattice."""
    places = (sphere(halvings).vertices * 0.35 + 0.5) * resolution - 0.5
    positions, which = np.unique(np.rint(places).astype(np.int64), axis=0, return_inverse=True)
    faces = np.unique(np.sort(which.reshape(-1)[sphere(halvings).faces], axis=1), axis=0)
    faces = faces[(np.diff(faces) > 0).all(1)]
    data = {"positions": positions.astype(np.int32), "faces": faces[~is_flat(positions, faces)].astype(np.int32)}
    return in_order(data)[0]


def grid(rng, f=3):
    level = ball()
    level["features"] = rng.integers(-9, 10, (len(level["positions"]), f)).astype(np.int32)
    spec = GridSpec("mesh", (RESOLUTION,), (f,), "linear", 10)
    return Grid(spec, [level], (0.25,))


def test_features_are_those_of_the_closest_point():
    rng = np.random.default_rng(0)
    found = grid(rng)
    coords = rng.uniform(-0.2, 1.2, (300, 3))
    level = found.levels[0]
    for x, row in zip(coords, found.features(coords, 1)):
        u = np.clip(x, 0, 1) * RESOLUTION - 0.5
        best = min((closest_weights(u, *level["positions"][face].astype(float))[1], k) for k, face in enumerate(level["faces"]))[1]
        face = level["faces"][best]
        w, _ = closest_weights(u, *level["positions"][face].astype(float))
        np.testing.assert_allclose(row, w @ level["features"][face] * 0.25, atol=1e-5)
    assert not found.features(coords, 0).any()


def test_weights_against_a_dense_search():
    """Of one triangle, from all around it: no other point of it is closer."""
    rng = np.random.default_rng(1)
    level = {"positions": np.array([[1, 1, 1], [5, 2, 1], [2, 6, 3]]), "faces": np.array([[0, 1, 2]])}
    surface, coords = Surface(level, (8, 8, 8)), rng.random((400, 3))
    weights = np.stack([terms[0] for _, _, terms in surface.near(coords, 0)], 1)
    assert (weights >= 0).all() and np.allclose(weights.sum(1), 1)
    regions = {tuple(w > 1e-9) for w in weights}
    assert len(regions) == 7, "all corners, edges and the inside"
    steps = np.linspace(0, 1, 60)
    others = np.array([(a, b, 1 - a - b) for a, b in itertools.product(steps, steps) if a + b <= 1])
    u = coords * 8 - 0.5
    near = np.linalg.norm(u - weights @ level["positions"], axis=1)
    far = np.linalg.norm(u[:, None] - (others @ level["positions"])[None], axis=2).min(1)
    assert (near <= far + 1e-6).all() and (far - near).max() < 0.1


def test_the_kernel_finds_the_same_faces(monkeypatch):
    pytest.importorskip("numba", reason="kernels need numba")
    rng = np.random.default_rng(7)
    surface = Surface(ball(), RESOLUTION)
    on_ties = np.stack(np.meshgrid(*(np.arange(0, n, 0.5) for n in RESOLUTION), indexing="ij"), -1).reshape(-1, 3)
    u = np.concatenate([rng.uniform(-1, 12, (2000, 3)), on_ties])
    found = []
    for choice in ("numpy", "numba"):
        monkeypatch.setenv("NFCODEC_KERNELS", choice)
        found.append(surface.closest(u))
    np.testing.assert_array_equal(*found)


def test_derivatives():
    rng = np.random.default_rng(2)
    found, h = grid(rng), 1e-4
    coords = rng.uniform(0.05, 0.95, (200, 3))
    values, slopes = found.jacobian(coords, 1)
    np.testing.assert_array_equal(values, found.features(coords, 1))
    numeric = [(found.features(coords + h * e, 1) - found.features(coords - h * e, 1)) / (2 * h) for e in np.eye(3)]
    right = np.abs(slopes - np.stack(numeric, 1)).max((1, 2)) < 0.05 * np.abs(slopes).max()
    assert right.mean() > 0.97, "but where the closest face is another one nearby"
    _, again, bends = found.hessian(coords, 1)
    np.testing.assert_array_equal(again, slopes)
    assert bends.shape == (200, 3, 3, 3) and not bends.any()
    assert not found.jacobian(np.full((1, 3), 1.5), 1)[1].any(), "beyond the box nothing changes"


def test_a_level_there_and_back_and_one_without_faces():
    rng = np.random.default_rng(3)
    found = grid(rng)
    data = Grid.encode_level(found.spec, found.levels, 0, None)
    back = Grid.decode_level(found.spec, [], 0, data, None)
    assert {k: v.tolist() for k, v in back.items()} == {k: v.tolist() for k, v in found.levels[0].items()}
    nothing = {"positions": np.zeros((0, 3), np.int32), "faces": np.zeros((0, 3), np.int32), "features": np.zeros((0, 3), np.int32)}
    data = Grid.encode_level(found.spec, [nothing], 0, None)
    empty = Grid(found.spec, [Grid.decode_level(found.spec, [], 0, data, None)], (1.0,))
    assert not empty.features(rng.random((5, 3)), 1).any() and not empty.jacobian(rng.random((5, 3)), 1)[1].any()


def soup(rng):
    """Faces of every kind: borders, three at an edge, twice the same, single ones, and vertices that none has."""
    fan = [[0, 1, k] for k in range(2, 7)] + [[0, 1, 2], [8, 9, 10], [10, 11, 12], [12, 8, 0]]
    faces = np.array(fan + rng.integers(0, 20, (40, 3)).tolist())
    faces = faces[(np.diff(np.sort(faces, 1)) > 0).all(1)]
    return faces[rng.permutation(len(faces))]


@pytest.mark.parametrize("seed", range(8))
def test_a_walk_keeps_faces_whatever_they_are(seed):
    faces = soup(np.random.default_rng(seed))
    data, order, walked = encode_faces(faces)
    reader = Reader(data, "a walk")
    np.testing.assert_array_equal(decode_faces(reader, 21, len(faces)), walked)
    reader.done()
    assert sorted(map(sorted, order[walked].tolist())) == sorted(map(sorted, faces.tolist()))
    again, same, twice = encode_faces(walked)
    assert again == data and (twice == walked).all() and (same == np.arange(len(order))).all(), "it is in order already"


def test_a_closed_mesh_costs_few_bits_a_face():
    faces = ball((40, 41, 42), 4)["faces"]
    assert 8 * len(encode_faces(faces)[0]) < 3.5 * len(faces) > 3000


def test_neighbours_on_the_mesh_predict_features():
    data, rng = ball((24, 24, 24), 3), np.random.default_rng(8)
    spec = GridSpec("mesh", ((24, 24, 24),), (3,), "linear", 12)
    smooth = np.rint(20 * np.sin(data["positions"] / 6)).astype(np.int32)
    kinds = (0 * smooth, smooth, rng.permutation(smooth))
    carrier, kept, mixed = (len(Grid.encode_level(spec, [{**data, "features": f}], 0, None)) for f in kinds)
    assert kept - carrier < 0.7 * (mixed - carrier)


def test_fields_of_meshes_beside_others():
    spec = make_spec("sdf", (8, 9, 10), ((8, 9, 10),), "mesh", "linear", 2, n_features=(2,), roles=("distance", "trim"))
    field = nfcodec.open(pack(spec, make_frozen(spec, np.random.default_rng(4))))
    assert field.info()["encoding"] == "mesh" and set(field.grid.levels[0]) == {"positions", "faces", "features"}
    lattice = field.decode((4, 4, 4), dtype="f4")
    axes = [(np.arange(4) + 0.5) / 4] * 3
    points = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    np.testing.assert_allclose(lattice.reshape(-1, 2), field.sample(points), atol=1e-5)
    assert not load("mesh").is_interpolated


# ---------------------------------------------------------------- fits

torch = pytest.importorskip("torch", reason="fits need torch")


def distances(n=24):
    x = (np.arange(n) + 0.5) / n
    z, y, x = np.meshgrid(x, x, x, indexing="ij")
    return (np.sqrt((z - 0.5) ** 2 + (y - 0.5) ** 2 + (x - 0.5) ** 2) - 0.3).astype(np.float32), np.stack([z, y, x], -1)


def test_fits_start_on_the_surface_with_its_colours():
    from nfcodec.fit.coarse_mesh import on_meshes

    distance, coords = distances()
    planes = np.concatenate([distance[..., None], coords[..., :2].astype(np.float32)], -1)
    spec = GridSpec("mesh", ((6, 6, 6), (12, 12, 12)), (3, 3), "linear", 10)
    levels = on_meshes(planes, spec, np.exp(-400 * distance**2), 0.0)
    for level, resolution in zip(levels, spec.resolutions):
        places = (level["positions"] + 0.5) / resolution
        off = np.abs(np.linalg.norm(places - 0.5, axis=1) - 0.3)
        assert len(level["faces"]) > 20 and off.max() < 0.9 / resolution[0]
    both = Grid(spec, [{**level, "features": level["features"]} for level in levels], (1.0, 1.0))
    normals = np.random.default_rng(5).normal(size=(500, 3))
    points = 0.5 + 0.3 * normals / np.linalg.norm(normals, axis=1, keepdims=True)
    values = both.features(points, 2)
    error = np.abs(values[:, 1:3] + values[:, 4:6] - points[:, :2])
    assert np.sqrt((error**2).mean()) < 0.02


def test_meshes_keep_to_what_a_level_may_have():
    from nfcodec.fit.coarse_mesh import on_meshes

    distance, _ = distances()
    spec = GridSpec("mesh", ((24, 24, 24),), (1,), "linear", 6)
    (level,) = on_meshes(distance[..., None], spec, None, 0.0)
    assert 4 < len(level["positions"]) <= 64 and len(level["faces"]) <= 256
    (level,) = on_meshes(np.ones((8, 8, 8, 1), np.float32), GridSpec("mesh", ((8, 8, 8),), (1,), "linear", 6), None, 0.0)
    assert level["positions"].shape == (0, 3) and level["features"].shape == (0, 1)


def test_the_twin_gives_the_same_features():
    from nfcodec.fit.encodings import Rounding
    from nfcodec.fit.encodings.mesh import Twin

    found = grid(np.random.default_rng(6))
    level = {**found.levels[0], "features": found.levels[0]["features"].astype(np.float32)}
    twin, extent = Twin(found.spec, found.steps, [level]), (7, 8, 9)
    twin.eval()
    (plan,) = twin.plans([((0, 0, 0), extent)], extent)
    v = twin.values(plan, Rounding(hard=True))[1]
    for phase, stride in (((0, 0, 0), 1), ((1, 0, 1), 2)):
        axes = [((np.arange(n) + 0.5) / n)[p::stride] for n, p in zip(extent, phase)]
        features = twin.features(v, plan, phase, stride, None).detach().numpy().T
        same = np.abs(features - found.lattice(axes, 1).reshape(-1, 3)).max(1) < 1e-5
        assert same.mean() > 0.97, "but where two faces are as near, in the middle of the ball"
    (frozen,) = twin.freeze()
    assert all((frozen[key] == found.levels[0][key]).all() for key in frozen)
