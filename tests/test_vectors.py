"""Fields of vectors: flow, normals and volumes of them, their errors and their derivatives."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

import nfcodec
from nfcodec import io, metrics
from nfcodec.cli import main
from nfcodec.cli import values as cli_values
from nfcodec.errors import SignalError, UsageError
from nfcodec.measure import measure_decoded
from nfcodec.spec import QUANTITIES, Signal
from nfcodec.vectors import directions, finished

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"


def swirl(h=20, w=26):
    """Flow (h, w, 2) float32 in pixels around a point, with u along x first."""
    y, x = np.mgrid[:h, :w].astype(np.float64)
    return np.stack([-0.2 * (y - 9), 0.15 * (x - 12)], -1).astype(np.float32)


def bumps(h=20, w=24, dtype=np.uint8):
    """Normals of a wavy surface, (h, w, 3)."""
    y, x = np.mgrid[:h, :w]
    n = np.stack([0.5 * np.sin(x / 3), 0.5 * np.cos(y / 4), np.ones((h, w))], -1)
    n /= np.linalg.norm(n, axis=-1, keepdims=True)
    return n.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint((n + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def test_flow_in_and_out(tmp_path):
    io.write_lattice(tmp_path / "a.flo", swirl(), {})
    data = (tmp_path / "a.flo").read_bytes()
    assert data[:12] == struct.pack("<fii", 202021.25, 26, 20) and struct.unpack("<2f", data[12:20]) == tuple(swirl()[0, 0])
    signal = io.read(tmp_path / "a.flo")
    assert signal.kind == "image" and signal.quantity == "flow" and not signal.has_alpha and np.array_equal(signal.values, swirl())
    unknown = swirl()
    unknown[3:7, 5:9] = 1.7e9
    io.write_lattice(tmp_path / "b.flo", unknown, {})
    signal = io.read(tmp_path / "b.flo")
    assert signal.has_alpha and signal.values.shape == (20, 26, 3) and np.abs(signal.values).max() < 10
    io.write_lattice(tmp_path / "c.flo", signal.values, signal.meta)
    again = np.frombuffer((tmp_path / "c.flo").read_bytes()[12:], "<f4").reshape(20, 26, 2)
    assert np.array_equal(again > 1e9, unknown > 1e9) and np.array_equal(again[:3], unknown[:3])


def test_broken_flow_is_refused(tmp_path):
    for content in (b"PIEH", b"PIEX" + bytes(16), b"PIEH" + struct.pack("<ii", 2, 1) + bytes(15), b"PIEH" + struct.pack("<ii", -2, -1) + bytes(16), b"PIEH" + struct.pack("<ii", 1, 1) + struct.pack("<2f", 2e9, 2e9)):
        (tmp_path / "a.flo").write_bytes(content)
        with pytest.raises(SignalError, match="a.flo"):
            io.read(tmp_path / "a.flo")
    with pytest.raises(UsageError, match="2 floats"):
        io.write_lattice(tmp_path / "b.flo", np.zeros((3, 4, 3), np.float32), {})


def test_quantities_are_given_or_told(tmp_path):
    assert cli_values.QUANTITIES == QUANTITIES
    io.write_lattice(tmp_path / "n.png", bumps(), {})
    signal = io.read(tmp_path / "n.png", quantity="normals")
    assert signal.quantity == "normals" and not signal.is_picture and io.compact(signal)["quantity"] == "normals"
    assert io.read(tmp_path / "n.png").is_picture
    for quantity, text in (("flows", "expected one of"), ("flow", None)):
        if text:
            with pytest.raises(UsageError, match=text):
                io.read(tmp_path / "n.png", quantity=quantity)
    np.save(tmp_path / "v.npy", np.zeros((3, 4, 5), np.float32))
    with pytest.raises(UsageError, match="1 channels as vectors"):
        io.read(tmp_path / "v.npy", quantity="vectors")
    assert Signal("image", bumps(), meta={"quantity": ["x"]}).quantity == "colour"
    for quantity, kind in (("vectors", "3-vector"), ("normals", "3-normal")):
        io.write_lattice(tmp_path / f"{quantity}.nrrd", np.ones((3, 4, 5, 3), np.float32), {"axes": "zyxc", "quantity": quantity})
        assert kind.encode() in (tmp_path / f"{quantity}.nrrd").read_bytes()[:600]
        assert io.read(tmp_path / f"{quantity}.nrrd").quantity == quantity


def test_errors_of_vectors():
    a = np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    b = np.array([[0.0, 4.0], [0.0, 2.0], [1.0, 0.0]])
    assert metrics.end_point_error(a, b) == pytest.approx((5 + 2 + 1) / 3)
    assert metrics.angular_error_deg(a, b) == pytest.approx(45)
    assert metrics.angular_error_deg(a[2:], b[2:], is_flow=True) == pytest.approx(45) and metrics.angular_error_deg(a[2:], b[2:]) == 0
    assert metrics.angular_error_deg(a, a + 1e-9) < 1e-7
    report = measure_decoded(swirl() + np.float32(0.5), Signal("image", swirl(), meta={"quantity": "flow"}))
    assert report.end_point_error == pytest.approx(0.5 * 2**0.5, rel=1e-5) and 5 < report.angular_deg < 40
    longer = bumps(dtype=np.float32) * np.float32(1.5)
    assert measure_decoded(longer, Signal("image", bumps(dtype=np.float32), meta={"quantity": "normals"})).angular_deg < 1e-3
    assert measure_decoded(bumps(), Signal("image", bumps())).angular_deg is None


def test_what_is_done_to_finished_lattices():
    for dtype in (np.uint8, np.uint16, np.int16, np.float32):
        scaled = bumps(dtype=np.float32) * np.float32(0.6)
        top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
        stored = scaled.astype(dtype) if top == 1 else np.rint((scaled + 1) / 2 * top if np.dtype(dtype).kind == "u" else scaled * top).astype(dtype)
        found = finished(stored, "normals", (1.0, 1.0))
        assert found.dtype == dtype
        assert np.abs(np.linalg.norm(directions(found), axis=-1) - 1).max() < (0.02 if dtype == np.uint8 else 1e-3)
        assert metrics.angular_error_deg(directions(found), scaled) < (0.6 if dtype == np.uint8 else 0.01)
    assert not finished(np.zeros((2, 2, 3), np.float32), "normals", (1.0, 1.0)).any()
    # twice as many columns: a pixel is half as wide, so that u is twice as many
    assert np.array_equal(finished(swirl(), "flow", (1.0, 0.5)), swirl() * np.float32([2, 1]))
    assert finished(swirl(), "vectors", (1.0, 0.5)) is not None and np.array_equal(finished(swirl(), "vectors", (1.0, 0.5)), swirl())


@pytest.fixture(scope="module")
def vortex():
    """A volume of the vectors (-2y + x, 3x, z), on a lattice of 10 x 12 x 14 with samples of 0.5 x 0.25 x 2."""
    z, y, x = np.meshgrid(*(s * (np.arange(n) + 0.5) for n, s in ((10, 0.5), (12, 0.25), (14, 2.0))), indexing="ij")
    values = np.stack([x - 2 * y, 3 * x, z], -1).astype(np.float32)
    signal = Signal("volume", values, meta={"axes": "zyxc", "spacing": [0.5, 0.25, 2.0], "quantity": "vectors"})
    return nfcodec.open(nfcodec.encode(signal, quality=95, effort=2).data)


def test_derivatives_are_those_of_the_gradient_in_world_units(vortex):
    coords = np.random.default_rng(0).uniform(0.2, 0.8, (50, 3))
    step = 1e-3
    size = np.array([10, 12, 14]) * [0.5, 0.25, 2.0]
    slopes = [(vortex.sample(coords + step * e).astype(np.float64) - vortex.sample(coords - step * e)) / (2 * step) / size[k] for k, e in enumerate(np.eye(3))]
    dz, dy, dx = slopes
    scale = np.abs(slopes).max()
    assert np.abs(vortex.divergence(coords) - (dx[:, 0] + dy[:, 1] + dz[:, 2])).max() < 0.05 * scale
    expected = np.stack([dy[:, 2] - dz[:, 1], dz[:, 0] - dx[:, 2], dx[:, 1] - dy[:, 0]], 1)
    assert np.abs(vortex.curl(coords) - expected).max() < 0.05 * scale
    # and about those of the vectors themselves
    assert np.median(vortex.divergence(coords)) == pytest.approx(2, abs=0.3)
    assert np.median(vortex.curl(coords), 0) == pytest.approx([0, 0, 5], abs=0.6)


def test_an_affine_turns_derivatives(vortex):
    coords = np.random.default_rng(1).uniform(0.2, 0.8, (20, 3))
    plain = vortex.divergence(coords), vortex.curl(coords)
    kept = dict(vortex.meta)
    try:
        vortex.meta["affine"] = [[2.0, 0, 0, 5], [0, 0.25, 0, 6], [0, 0, 0.5, 7], [0, 0, 0, 1]]
        assert np.allclose(vortex.divergence(coords), plain[0]) and np.allclose(vortex.curl(coords), plain[1])
        vortex.meta["affine"] = [[0, 0.25, 0, 5], [2.0, 0, 0, 6], [0, 0, 0.5, 7], [0, 0, 0, 1]]  # x and y change places
        assert not np.allclose(vortex.divergence(coords), plain[0])
        for broken in ("x", [[1, 2], [3]], np.zeros((4, 4)).tolist()):
            vortex.meta["affine"] = broken
            assert np.allclose(vortex.divergence(coords), plain[0])
    finally:
        vortex.meta.clear()
        vortex.meta.update(kept)


def test_fields_without_vectors_have_no_divergence():
    for name in ("volume-4d", "image-rgb8", "volume-f4", "sdf-dense"):
        field = nfcodec.open(GOLDEN / f"{name}.nfld")
        if name != "image-rgb8":  # whose first two channels may be taken as components
            with pytest.raises(UsageError, match="differentiating vectors"):
                field.curl(np.full((1, field.spec.n_dims), 0.5))
        else:
            assert field.curl(np.full((1, 2), 0.5)).shape == (1, 1)


def test_flow_and_normals_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    io.write_lattice("a.flo", swirl(), {})
    io.write_lattice("n.png", bumps(), {})
    assert main(["encode", "a.flo", "--effort", "1", "--quality", "80", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["end_point_error"] < 0.2 and facts["angular_deg"] < 5
    assert main(["encode", "n.png", "--quantity", "normals", "--effort", "1", "--quality", "80", "--quiet"]) == 0
    assert main(["verify", "n.nfld", "n.png", "--quantity", "normals"]) == 0 and "angle" in capsys.readouterr().out
    for command in (["a.nfld", "-o", "b.flo"], ["a.nfld", "-o", "wide.flo", "--scale", "1,2"], ["n.nfld", "-o", "m.png"]):
        assert main(["decode", *command, "--quiet"]) == 0
    field = nfcodec.open("a.nfld")
    assert np.array_equal(io.read("b.flo").values, field.decode())
    assert np.allclose(io.read("wide.flo").values, field.decode(scale=(1, 2)) * np.float32([2, 1]))
    lengths = np.linalg.norm(directions(io.read("m.png").values), axis=-1)
    assert np.abs(lengths - 1).max() < 0.02
    assert metrics.angular_error_deg(directions(bumps()), directions(io.read("m.png").values)) < 12
