"""Meshes put through OBJ, STL, PLY, GLB, Draco, meshoptimizer and simplification: what comes back, and how many bytes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from surfaces import box, inverted, joined, sheet, sphere

from nfcodec import io
from nfcodec.compare.peers import peers_of
from nfcodec.compare.peers.draco import Draco, encoded
from nfcodec.compare.peers.interchange import Interchange
from nfcodec.compare.peers.meshoptimizer import Meshoptimizer, packed
from nfcodec.compare.peers.simplify import SimplifyDraco, simplified
from nfcodec.errors import SignalError
from nfcodec.geometry import bounding_box_diagonal, count_edges, weld
from nfcodec.measure import measure_decoded
from nfcodec.metrics import surface_error
from nfcodec.spec import Mesh, Signal

pytest.importorskip("igl")

SHARED = Path(__file__).resolve().parents[2] / "shared"
EXCHANGED = [Interchange(format) for format in ("obj", "stl", "ply", "glb")]
QUANTISED = [Draco(), Meshoptimizer()]
ALL = [*EXCHANGED, *QUANTISED, SimplifyDraco()]


@pytest.fixture(autouse=True)
def _installed(request):
    """Skips a test whose peer is not installed."""
    peer = getattr(request.node, "callspec", None) and request.node.callspec.params.get("peer")
    if peer and peer.missing():
        pytest.skip(f"{peer.name} needs {', '.join(peer.missing())}")


def by_name(peers):
    return pytest.mark.parametrize("peer", peers, ids=lambda peer: peer.name)


def signal_of(mesh: Mesh) -> Signal:
    return Signal("sdf", mesh=mesh)


def bumpy(n: int = 40) -> Mesh:
    """An open height field of 2 (n - 1)^2 faces whose positions are not of float32."""
    i, j = (axis.reshape(-1) for axis in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    vertices = np.stack([i / 7, j / 7, np.sin(i / 3) * np.cos(j / 5)], axis=1) + np.array([2.0, -1.0, 0.3])
    corner = (i * n + j).reshape(n, n)[:-1, :-1].reshape(-1)
    faces = [[corner, corner + n, corner + 1], [corner + 1, corner + n, corner + n + 1]]
    return Mesh(vertices, np.concatenate([np.stack(face, axis=1) for face in faces]).astype(np.int64))


def rms(mesh: Mesh, decoded: Mesh) -> float:
    """The larger of both directions, relative to the diagonal."""
    errors = surface_error(mesh, decoded, 5000)
    return max(errors.source_to_decoded.rms, errors.decoded_to_source.rms)


def ladder(peer, mesh: Mesh) -> list[tuple[dict, int, Mesh]]:
    """Setting, bytes and decoded mesh of each rung."""
    signal, rungs = signal_of(mesh), []
    for setting in peer.settings(signal):
        data = peer.encode(signal, **setting)
        # nothing but the bytes and the kind of signal may be needed
        rungs.append((setting, len(data), peer.decode(data, Signal("sdf"))))
    return rungs


def soup(mesh: Mesh) -> Mesh:
    """The same faces, each with vertices of its own."""
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))


def with_unused(mesh: Mesh) -> Mesh:
    """The same faces, with far vertices before and after theirs that none uses."""
    far = np.full((1, 3), 50.0)
    return Mesh(np.concatenate([far, mesh.vertices, -far]), mesh.faces + 1)


# ------------------------------------------------------------------ what comes back


@by_name(EXCHANGED)
@pytest.mark.parametrize("mesh", [sphere(3), box(), bumpy(), joined(sphere(2), box((2, 2, 2), (3, 3, 3)))])
def test_interchange_formats_keep_every_face(peer, mesh):
    ((setting, n_bytes, decoded),) = ladder(peer, mesh)
    assert setting == {} and n_bytes > 0
    assert decoded.vertices.dtype == np.float64 and decoded.faces.dtype == np.int64
    # the order of faces and corners is kept, so corners compare one by one; 7 digits of numbers below 8
    np.testing.assert_allclose(decoded.vertices[decoded.faces], mesh.vertices[mesh.faces], rtol=0, atol=8 * 10**-6.9)
    assert rms(mesh, decoded) < 1e-6


@by_name(EXCHANGED)
def test_none_of_them_is_called_lossless_and_the_error_is_measured(peer):
    ((_, _, decoded),) = ladder(peer, bumpy())
    assert not peer.lossless
    assert 1e-10 < rms(bumpy(), decoded) < 1e-6


@by_name(EXCHANGED)
def test_far_from_the_origin_the_loss_of_digits_shows(peer):
    far = sphere(3, centre=(1e6, 2e6, -3e6))
    ((_, _, decoded),) = ladder(peer, far)
    assert rms(far, decoded) > 1e-4


def test_obj_is_what_one_expects_in_the_file():
    import zstandard

    data = Interchange("obj").encode(signal_of(Mesh(np.array([[0.1, 1 / 3, 12345678.0]] * 3), np.array([[0, 1, 2]]))))
    assert zstandard.ZstdDecompressor().decompress(data) == b"v 0.1 0.3333333 1.234568e+07\n" * 3 + b"f 1 2 3\n"


@by_name(QUANTISED)
@pytest.mark.parametrize("mesh", [sphere(4), bumpy(), inverted(sphere(3))])
def test_error_follows_the_lattice_and_bytes_grow_along_the_ladder(peer, mesh):
    rungs = ladder(peer, mesh)
    side = float(np.ptp(mesh.vertices, axis=0).max()) / bounding_box_diagonal(mesh)
    for setting, _, decoded in rungs:
        assert decoded.vertices.dtype == np.float64 and decoded.faces.dtype == np.int64
        assert len(decoded.faces) == len(mesh.faces)
        step = side / (2 ** setting["qp"] - 1)
        # a coordinate's rounding is uniform: step / sqrt(12), less between vertices and along the surface
        assert 0.1 * step < rms(mesh, decoded) < 0.6 * step
    sizes = [n_bytes for _, n_bytes, _ in rungs]
    assert sizes == sorted(sizes)


@by_name(QUANTISED)
def test_orientation_survives(peer):
    for mesh, sign in ((sphere(3), 1), (inverted(sphere(3)), -1)):
        decoded = ladder(peer, mesh)[-1][2]
        a, b, c = (decoded.vertices[decoded.faces[:, k]] for k in range(3))
        assert sign * np.sum(a * np.cross(b, c)) / 6 == pytest.approx(4.19, rel=0.05)


def test_meshoptimizer_keeps_far_meshes_since_its_lattice_is_placed_in_float64():
    peer, far = Meshoptimizer(), sphere(3, centre=(1e6, 2e6, -3e6))
    if peer.missing():
        pytest.skip("meshopt is not installed")
    assert rms(far, ladder(peer, far)[-1][2]) < 5e-6


@by_name(QUANTISED)
def test_between_two_rungs_is_the_middle_where_there_is_one(peer):
    assert peer.between({"qp": 10}, {"qp": 12}) == {"qp": 11}
    assert peer.between({"qp": 10}, {"qp": 11}) is None


# ------------------------------------------------------------------ odd meshes


@by_name(QUANTISED)
def test_vertices_that_no_face_uses_cost_nothing(peer):
    plain, odd = (ladder(peer, mesh)[0] for mesh in (sphere(3), with_unused(sphere(3))))
    assert odd[1] == plain[1]
    assert rms(sphere(3), odd[2]) == pytest.approx(rms(sphere(3), plain[2]))


@by_name([*QUANTISED, SimplifyDraco()])
def test_a_soup_is_coded_like_the_welded_mesh(peer):
    plain, odd = (ladder(peer, mesh)[-1] for mesh in (sphere(3), soup(sphere(3))))
    assert odd[1] <= 1.02 * plain[1]
    assert rms(sphere(3), odd[2]) <= 1.02 * rms(sphere(3), plain[2])


ODD = {
    "one triangle": Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]])),
    "flat sheet": sheet(),
    "three faces at an edge": Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0.2], [0, 0.3, 1]]), np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]])
    ),
    "parts that cut each other": joined(box(), box((0.5, 0.5, 0.5), (1.5, 1.5, 1.5))),
    "faces without area, repeated faces": Mesh(
        sphere(2).vertices, np.concatenate([sphere(2).faces, [[0, 0, 1], [2, 2, 2]], sphere(2).faces[:3]])
    ),
    "tiny": sphere(2, radius=1e-9),
    "huge": sphere(2, radius=1e12),
}


@by_name([*EXCHANGED, *QUANTISED])
@pytest.mark.parametrize("mesh", ODD.values(), ids=ODD)
def test_odd_meshes_come_back(peer, mesh):
    for _, n_bytes, decoded in ladder(peer, mesh)[-1:]:
        assert n_bytes > 0
        assert rms(mesh, decoded) < 1e-5


@pytest.mark.parametrize("peer", [Draco()], ids=["Draco"])
def test_meshes_at_the_ends_of_float32_are_refused_before_the_library_crashes(peer):
    for radius in (1e-40, 1e35):
        with pytest.raises(SignalError, match="rescale"):
            peer.encode(signal_of(sphere(1, radius=radius)), qp=10)


# ------------------------------------------------------------------ simplification

needs_simplify = pytest.mark.skipif(bool(SimplifyDraco().missing()), reason="fast-simplification or DracoPy is missing")


@needs_simplify
def test_simplified_meshes_have_the_faces_asked_for_and_stay_near():
    mesh = sphere(5, radius=20, centre=(100, 0, 0))
    n_faces, errors = [], []
    for keep in (0.05, 0.1, 0.25, 0.5):
        less = simplified(mesh, keep)
        n_faces.append(len(less.faces) / len(mesh.faces))
        errors.append(rms(mesh, less))
    np.testing.assert_allclose(n_faces, [0.05, 0.1, 0.25, 0.5], rtol=0.15)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-3
    assert count_edges(weld(simplified(mesh, 0.1))).boundary == 0


@needs_simplify
def test_scale_does_not_matter_to_simplification():
    # the library's own limits are absolute lengths
    small, large = (simplified(sphere(4, radius=r), 0.1) for r in (1e-3, 1e3))
    assert len(small.faces) == len(large.faces)
    assert rms(sphere(4), Mesh(small.vertices * 1e3, small.faces)) == pytest.approx(
        rms(sphere(4), Mesh(large.vertices / 1e3, large.faces)), rel=0.1
    )


@needs_simplify
def test_flat_faces_are_dropped_without_error():
    mesh = bumpy()
    flat = Mesh(mesh.vertices * [1, 1, 0], mesh.faces)
    less = simplified(flat, 0.25, keep_border=True)
    assert len(less.faces) < 0.3 * len(flat.faces)
    assert rms(flat, less) < 1e-6


@needs_simplify
def test_open_meshes_are_offered_with_their_borders():
    peer, signal = SimplifyDraco(), signal_of(bumpy())
    settings = peer.settings(signal)
    assert {setting["border"] for setting in settings} == {False, True}
    # 156 edges of 3042 faces lie at the border
    assert min(setting["keep"] for setting in settings if setting["border"]) == 0.1
    assert all("border" not in setting for setting in peer.settings(signal_of(sphere(4))))
    errors = {}
    for border in (False, True):
        data = peer.encode(signal, keep=0.25, qp=12, border=border)
        errors[border] = measure_decoded(peer.decode(data, signal), signal)
    assert errors[True].max_error < errors[False].max_error
    assert peer.between(settings[0], {**settings[0], "border": not settings[0]["border"]}) is None


@needs_simplify
def test_simplification_stops_at_a_tetrahedron():
    peer = SimplifyDraco()
    assert peer.settings(signal_of(sheet())) == [] and "tetrahedron" in peer.refuses(signal_of(sheet()))
    assert peer.refuses(signal_of(sphere(2))) is None
    for mesh in (sphere(1), sphere(2), sphere(3)):
        assert all(int(setting["keep"] * len(mesh.faces)) >= 4 for setting in peer.settings(signal_of(mesh)))
    with pytest.raises(SignalError, match="got 7 of 7 faces"):
        # every edge of a fan touches its border
        ring = [[np.cos(a), np.sin(a), 0] for a in np.linspace(0, 5, 8)]
        fan = Mesh(np.array([[0, 0, 1], *ring]), np.array([[0, i, i + 1] for i in range(1, 8)]))
        simplified(fan, 0.6, keep_border=True)


@needs_simplify
def test_simplification_trades_bytes_for_error():
    rungs = ladder(SimplifyDraco(), sphere(5))
    assert len(rungs) == 20
    sizes, errors = [n_bytes for _, n_bytes, _ in rungs], [rms(sphere(5), decoded) for _, _, decoded in rungs]
    assert sizes[-1] > 20 * sizes[0] and errors[0] > 50 * errors[-1]
    assert np.corrcoef(np.log(sizes), np.log(errors))[0, 1] < -0.95


# ------------------------------------------------------------------ the table, and figures measured before


def test_they_are_in_the_table_of_surfaces():
    table = {peer.name: peer for peer in peers_of("sdf")}
    for peer in ALL:
        assert type(table[peer.name]) is type(peer)
        assert peer.how and not peer.lossless
        if not peer.missing():
            assert any(character.isdigit() for character in peer.version())


def anchors(mesh: str) -> dict[tuple[str, str], dict[str, str]]:
    path = SHARED / "anchors" / "geometry_measured.csv"
    if not path.exists() or not (SHARED / "data" / "meshes" / mesh).exists():
        pytest.skip(f"the measured figures of {mesh} are not beside this checkout")
    with path.open(newline="") as file:
        return {(row["codec"], row["setting"]): row for row in csv.DictReader(file) if row["mesh"] == mesh}


@pytest.fixture(scope="module")
def fandisk() -> tuple[Signal, dict[tuple[str, str], dict[str, str]]]:
    known = anchors("fandisk.obj")
    return io.read(SHARED / "data" / "meshes" / "fandisk.obj"), known


@pytest.mark.parametrize("peer", [Draco()], ids=["Draco"])
def test_draco_agrees_with_measured_figures(peer, fandisk):
    signal, known = fandisk
    settings = peer.settings(signal)
    assert [setting["qp"] for setting in settings] == list(range(8, 17))
    for setting in settings:
        row = known["Draco", f"qp={setting['qp']} cl=10"]
        data = peer.encode(signal, **setting)
        assert len(data) == pytest.approx(int(row["bytes"]), rel=0.01)
        errors = surface_error(signal.mesh, peer.decode(data, signal), 30_000)
        assert errors.source_to_decoded.rms == pytest.approx(float(row["rms_o2d"]), rel=0.03)
        assert errors.decoded_to_source.rms == pytest.approx(float(row["rms_d2o"]), rel=0.03)


@pytest.mark.parametrize("peer", [Meshoptimizer()], ids=["meshoptimizer"])
def test_meshoptimizer_agrees_with_measured_figures_and_beats_them_by_its_settings(peer, fandisk):
    signal, known = fandisk
    for setting in peer.settings(signal):
        row = known["meshoptimizer+zstd19", f"q={setting['qp']}"]
        usual = packed(signal.mesh, setting["qp"], for_size=False)
        assert len(usual) == pytest.approx(int(row["bytes"]), rel=0.01)
        assert 0.5 * len(usual) < len(peer.encode(signal, **setting)) < 0.8 * len(usual)
        errors = surface_error(signal.mesh, peer.decode(usual, signal), 30_000)
        assert errors.source_to_decoded.rms == pytest.approx(float(row["rms_o2d"]), rel=0.03)


@by_name([EXCHANGED[0], EXCHANGED[1], EXCHANGED[3]])
def test_interchange_formats_agree_with_measured_figures(peer, fandisk):
    signal, known = fandisk
    codecs = {"obj": "OBJ+zstd19", "stl": "STL binary+zstd19", "glb": "GLB float32+zstd19"}
    row = next(row for (codec, _), row in known.items() if codec == codecs[peer.format])
    assert len(peer.encode(signal)) == pytest.approx(int(row["bytes"]), rel=0.01)


@needs_simplify
@pytest.mark.parametrize("keep, qp, agg", [(0.01, 9, 4), (0.1, 12, 2), (0.25, 11, 2), (0.5, 13, 2)])
def test_simplification_agrees_with_measured_figures(fandisk, keep, qp, agg):
    signal, known = fandisk
    row = known["simplify+Draco", f"keep={keep:g} qp={qp} cl=10"]
    assert row["note"] == f"fast_simplification agg={agg}"
    less = simplified(signal.mesh, keep, aggressiveness=(agg,))
    assert len(less.faces) == int(row["faces_coded"])
    data = encoded(less, qp)
    # the last digit of a position decides which of equal edges goes first: 3 % of the bytes, more of the error
    assert len(data) == pytest.approx(int(row["bytes"]), rel=0.03)
    errors = surface_error(signal.mesh, Draco().decode(data, signal), 30_000)
    assert errors.source_to_decoded.rms == pytest.approx(float(row["rms_o2d"]), rel=0.1)
