"""The voxel peers: where their samples lie, what files hold, how errors fall with the resolution, and others' figures."""

import csv
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from surfaces import box, inverted, joined, sphere, volume, without

from nfcodec import metrics
from nfcodec.compare.peers import peers_of, voxel_lattice
from nfcodec.compare.peers.voxel_lattice import lattice_of
from nfcodec.compare.peers.voxels import DenseVoxels, SparseVoxels
from nfcodec.errors import SignalError
from nfcodec.geometry import bounding_box_diagonal, count_edges
from nfcodec.spec import Mesh, Signal

pytest.importorskip("igl")
pytest.importorskip("skimage")

SHARED = Path(__file__).resolve().parents[2] / "shared"
PEERS = {peer.name: peer for peer in peers_of("sdf") if peer.name.startswith("Voxels")}
NOTHING = Signal("sdf")  # decoding takes nothing from the source
CENTRE = (100.0, -20.0, 3.0)


@pytest.fixture(scope="module")
def ball() -> Signal:
    return Signal("sdf", mesh=sphere(6, radius=2.0, centre=CENTRE))


def through(peer, signal, resolution):
    data = peer.encode(signal, resolution=resolution)
    assert isinstance(data, bytes)
    return len(data), peer.decode(data, NOTHING)


def rms(signal, mesh):
    return metrics.surface_distance(signal.mesh, mesh, 20_000).rms


def test_names_ladders_and_versions():
    assert list(PEERS) == ["Voxels dense half", "Voxels dense int8", "Voxels sparse 8^3 half", "Voxels sparse 8^3 int8"]
    for peer in PEERS.values():
        ladder = peer.settings(NOTHING)
        assert ladder == [{"resolution": n} for n in (64, 128, 256, 512)]
        assert not peer.missing() and not peer.lossless and "zstd 19" in peer.how and "winding" in peer.how
        assert all(word in peer.version() for word in ("libzstd", "libigl", "scikit-image"))
        assert peer.between(*ladder[:2]) == {"resolution": 96}
        assert peer.between({"resolution": 64}, {"resolution": 80}) == {"resolution": 72}
        assert peer.between({"resolution": 64}, {"resolution": 72}) is None  # nothing between them is of whole leaves


@pytest.mark.parametrize("name", PEERS)
def test_a_ball_comes_back_closed_in_its_place(ball, name):
    n_bytes, mesh = through(PEERS[name], ball, 64)
    assert mesh.vertices.dtype == np.float64 and mesh.faces.dtype == np.int64
    assert count_edges(mesh).watertight
    cell = 4.0 / 55
    radii = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
    assert np.abs(radii - 2).max() < 0.03 * cell
    np.testing.assert_allclose((mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2, CENTRE, atol=0.03 * cell)
    assert volume(mesh) == pytest.approx(volume(ball.mesh), rel=2e-3)  # positive: normals point outwards


def test_errors_fall_with_the_square_of_the_resolution(ball):
    errors = [rms(ball, through(DenseVoxels("half"), ball, n)[1]) for n in (32, 64, 128)]
    cells = [4.0 / (n - 9) for n in (32, 64, 128)]
    for (e1, e2), (c1, c2) in zip(zip(errors, errors[1:]), zip(cells, cells[1:])):
        assert np.log(e1 / e2) / np.log(c1 / c2) == pytest.approx(2, abs=0.25)


def test_sparse_is_smaller_for_the_same_surface_and_int8_is_close_to_half(ball):
    # an ellipsoid along no axis: of a ball, zstd finds one half of a dense lattice in the other
    turned = np.array([[1, 0.3, 0.2], [-0.4, 0.7, 0.1], [0.1, -0.2, 0.5]])
    signal = Signal("sdf", mesh=Mesh(ball.mesh.vertices @ turned.T, ball.mesh.faces))
    found = {name: through(peer, signal, 64) for name, peer in PEERS.items()}
    n_bytes = {name: row[0] for name, row in found.items()}
    for values in ("half", "int8"):
        dense, sparse = found[f"Voxels dense {values}"], found[f"Voxels sparse 8^3 {values}"]
        assert sparse[0] < 0.8 * dense[0]
        np.testing.assert_array_equal(sparse[1].vertices, dense[1].vertices)
        np.testing.assert_array_equal(sparse[1].faces, dense[1].faces)
    for kind in ("dense", "sparse 8^3"):
        assert n_bytes[f"Voxels {kind} int8"] < 0.6 * n_bytes[f"Voxels {kind} half"]
    half, int8 = (rms(signal, found[f"Voxels dense {values}"][1]) for values in ("half", "int8"))
    cell = np.ptp(signal.mesh.vertices, axis=0).max() / 55
    step = 3 / 127 * cell / bounding_box_diagonal(signal.mesh)
    assert half < int8 < half + step / 3


def test_the_cube_has_its_middle_and_its_margin_where_it_should():
    low, high = np.array([1.0, 2.0, 30.0]), np.array([2.0, 5.5, 31.0])
    signal = Signal("sdf", mesh=box(low, high))
    for name, peer in PEERS.items():
        data = peer.encode(signal, resolution=32)
        n, x, y, z, cell, band = struct.unpack_from("<H5d", data)
        assert n == 32 and cell == pytest.approx(3.5 / 23) and band == pytest.approx(3 * cell)
        np.testing.assert_allclose(np.array([x, y, z]) + 15.5 * cell, (low + high) / 2)
        mesh = peer.decode(data, NOTHING)
        # its sides are flat, so that nothing but the rounding of values moves them
        np.testing.assert_allclose(mesh.vertices.min(axis=0), low, atol=0.02 * cell)
        np.testing.assert_allclose(mesh.vertices.max(axis=0), high, atol=0.02 * cell)
        assert 0.94 < volume(mesh) / 3.5 < 1  # its edges are cut


def test_values_are_true_distances_in_cells():
    lattice = lattice_of(sphere(6, radius=2.0, centre=CENTRE), 40)
    index = np.stack(np.meshgrid(*(np.arange(40),) * 3, indexing="ij"), axis=-1)
    true = np.linalg.norm(lattice.origin + lattice.cell * index - CENTRE, axis=-1) - 2
    true = np.clip(true / lattice.cell, -3, 3)
    np.testing.assert_allclose(lattice.half, true, atol=0.01)
    np.testing.assert_allclose(lattice.int8 * (3 / 127), true, atol=0.01 + 1.5 / 127)
    assert lattice.half.dtype == np.float16 and lattice.int8.dtype == np.int8
    assert (lattice.int8.min(), lattice.int8.max()) == (-127, 127)


def test_dense_and_sparse_hold_the_same_samples_in_the_narrow_band():
    """Sheets, holes and far walls: signs are kept in leaves that touch the surface, and distances within 1.75 cells."""
    whole = joined(sphere(4), box((1.4, -1, -1), (1.5, 1, 1)))
    mesh = without(whole, whole.vertices[whole.faces].mean(axis=1)[:, 2] > 0.7)
    for values, unit in (("half", 1.0), ("int8", 3 / 127)):
        lattice = getattr(lattice_of(mesh, 64), values)
        peer = SparseVoxels(values)
        data = peer.encode(Signal("sdf", mesh=mesh), resolution=64)
        got = peer._lattice(data[42:], 64)
        assert got.dtype == lattice.dtype
        near = np.abs(lattice * unit) < 1.73
        np.testing.assert_array_equal(got[near], lattice[near])
        assert np.abs(got[~near] * unit).min() >= 1.72
        touched = near.reshape(8, 8, 8, 8, 8, 8).any(axis=(1, 3, 5))
        touched = touched.repeat(8, 0).repeat(8, 1).repeat(8, 2)
        np.testing.assert_array_equal((got < 0)[touched], (lattice < 0)[touched])
        assert np.mean((got < 0) == (lattice < 0)) > 0.995  # a wall that closes a hole is cut squarely in far leaves


def test_a_file_whose_leaves_are_all_stored():
    peer, signal = SparseVoxels("int8"), Signal("sdf", mesh=sphere(4))
    lattice = lattice_of(signal.mesh, 16).int8
    got = peer._lattice(peer.encode(signal, resolution=16)[42:], 16)
    np.testing.assert_array_equal(got[np.abs(lattice) < 74], lattice[np.abs(lattice) < 74])
    np.testing.assert_array_equal(got < 0, lattice < 0)


def test_inverted_meshes_give_the_same_files():
    mesh = sphere(4)
    right, wrong = (
        [peer.encode(Signal("sdf", mesh=m), resolution=24) for peer in PEERS.values()] for m in (mesh, inverted(mesh))
    )
    assert right == wrong


def test_what_falls_between_the_samples_is_refused_in_one_line():
    plate = box((0, 0, 0), (1, 1, 1e-3))  # the middle of the box lies between two samples
    for peer in PEERS.values():
        with pytest.raises(SignalError, match=r"64\^3.*none inside") as caught:
            peer.encode(Signal("sdf", mesh=plate), resolution=64)
        assert "\n" not in str(caught.value)


def test_a_lattice_is_computed_once_for_all_codecs_and_again_for_another_mesh(monkeypatch):
    asked = []
    sampled = voxel_lattice._sampled
    monkeypatch.setattr(voxel_lattice, "_MEMORY", voxel_lattice._Memory())
    monkeypatch.setattr(voxel_lattice, "_sampled", lambda distance, n: asked.append(n) or sampled(distance, n))
    first, second = sphere(3), sphere(3, radius=1.5)
    for peer in PEERS.values():
        for n in (16, 24):
            peer.encode(Signal("sdf", mesh=Mesh(first.vertices.copy(), first.faces.copy())), resolution=n)
    assert asked == [16, 24]
    assert lattice_of(second, 16).cell == pytest.approx(1.5 * lattice_of(first, 16).cell)
    assert asked == [16, 24, 16, 16]
    first.vertices[:] *= 2  # the same object with another content
    assert lattice_of(first, 16).cell == pytest.approx(2 * 2 / 7)


def test_what_is_kept_is_bounded(monkeypatch):
    memory = voxel_lattice._Memory()
    monkeypatch.setattr(voxel_lattice, "_KEPT_BYTES", 3 * (40**3 + 16**3))
    mesh = sphere(2)
    memory.lattice(mesh, 40)
    memory.lattice(mesh, 16)
    assert set(memory.lattices) == {40, 16}
    memory.lattice(mesh, 40)
    memory.lattice(mesh, 24)  # the one of 16 was used longest ago; without it there is still no room beside that of 40
    assert set(memory.lattices) == {24}
    memory.lattice(mesh, 48)  # too large for the limit: the only one
    assert set(memory.lattices) == {48}


def test_torch_is_not_needed():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from surfaces import sphere; from nfcodec.spec import Signal\n"
        "from nfcodec.compare.peers.voxels import SparseVoxels\n"
        "assert not {'igl', 'skimage', 'scipy'} & set(sys.modules)\n"
        "SparseVoxels('int8').encode(Signal('sdf', mesh=sphere(2)), resolution=16)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], check=True)


def anchors():
    path = SHARED / "anchors" / "geometry_voxels_measured.csv"
    source = SHARED / "data" / "meshes" / "fandisk.obj"
    if not (path.is_file() and source.is_file()):
        pytest.skip(f"needs {path} and {source}: others' figures are not checked")
    from nfcodec import io

    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mesh"] == source.name and row["grid"] == "64"]
    return io.read(source), rows


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("Voxels dense half", "dense f16 tsdf(3vox)+zstd19"),
        ("Voxels dense int8", "dense int8 tsdf+zstd19"),
        ("Voxels sparse 8^3 int8", "sparse 8^3 leaves int8 band1.75+zstd19 (VDB-like)"),
    ],
)
def test_a_part_costs_and_loses_what_others_measured(name, codec):
    signal, rows = anchors()
    (row,) = [row for row in rows if row["codec"] == codec]
    n_bytes, mesh = through(PEERS[name], signal, 64)
    errors = metrics.surface_error(signal.mesh, mesh, 100_000)
    assert n_bytes == pytest.approx(int(row["bytes"]), rel=0.01)
    assert len(mesh.faces) == int(row["mc_faces"])
    assert errors.source_to_decoded.rms == pytest.approx(float(row["rms_o2d"]), rel=0.03)
    assert errors.decoded_to_source.rms == pytest.approx(float(row["rms_d2o"]), rel=0.03)
