"""Radiance and portable float maps in and out: what they keep, what they cannot, and files that lie."""

import sys
import warnings

import numpy as np
import pytest

from nfcodec import io
from nfcodec.errors import MissingExtraError, SignalError, UsageError

imagecodecs = pytest.importorskip("imagecodecs", reason="Radiance needs imagecodecs")


def light(*shape, seed=0):
    """Positive values over many stops, float32."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(0, 3, shape)).astype(np.float32)


def test_radiance_round_trip_is_within_its_eight_bits(tmp_path):
    values = light(13, 21, 3)
    values[0, 0] = 0
    io.write_lattice(tmp_path / "a.hdr", values, {"exposure": 0.25})
    signal = io.read(tmp_path / "a.hdr")
    assert signal.kind == "image" and signal.values.shape == values.shape and signal.values.dtype == np.float32
    assert signal.meta["colour_space"] == "linear" and signal.meta["exposure"] == 0.25 and signal.meta["axes"] == "yxc"
    largest = values.max(-1, keepdims=True)
    assert np.all(np.abs(signal.values - values) <= largest / 250)
    # what was read is written again as it is
    io.write_lattice(tmp_path / "b.hdr", signal.values)
    again = io.read(tmp_path / "b.hdr").values
    assert np.all(np.abs(again - signal.values) <= largest / 500)


def test_radiance_holds_grey_as_colour_and_nothing_below_zero(tmp_path):
    grey = light(5, 40, 1)
    io.write_lattice(tmp_path / "a.hdr", grey)
    got = io.read(tmp_path / "a.hdr").values
    assert got.shape == (5, 40, 3) and np.all(np.abs(got - grey) <= grey / 250)
    with pytest.warns(UserWarning, match="from -1 to"):
        io.write_lattice(tmp_path / "b.hdr", np.where(grey == grey.max(), -1, grey).astype(np.float32))
    assert io.read(tmp_path / "b.hdr").values.min() == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pfm_round_trip_is_exact(tmp_path, channels, dtype):
    values = (light(7, 9, channels) - 1).astype(dtype)
    io.write_lattice(tmp_path / "a.pfm", values)
    signal = io.read(tmp_path / "a.pfm")
    assert signal.kind == "image" and np.array_equal(signal.values, values.astype(np.float32))
    assert signal.meta["axes"] == ("yxc" if channels == 3 else "yx") and signal.meta["colour_space"] == "linear"


def test_pfm_rows_run_from_the_bottom_up_and_either_order_of_bytes_is_read(tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"Pf\n2 2\n-1.0\n" + np.array([1, 2, 3, 4], "<f4").tobytes())
    (tmp_path / "b.pfm").write_bytes(b"Pf 2 2 1.0 " + np.array([1, 2, 3, 4], ">f4").tobytes())
    for name in ("a.pfm", "b.pfm"):
        assert io.read(tmp_path / name).values[..., 0].tolist() == [[3, 4], [1, 2]]


def test_values_that_are_no_numbers_are_read_and_refused_later(tmp_path):
    values = light(3, 4, 3)
    values[1, 2, 0] = np.inf
    io.write_lattice(tmp_path / "a.pfm", values)
    with pytest.raises(SignalError, match=r"1 of 36 values are NaN or infinite, the first at index \(1, 2, 0\)"):
        io.check_finite(io.read(tmp_path / "a.pfm"))


@pytest.mark.parametrize("suffix", [".hdr", ".pfm"])
@pytest.mark.parametrize(
    "values, words",
    [
        (np.zeros((3, 4, 4), np.float32), "holds"),
        (np.zeros((2, 3, 4, 1), np.float32), "holds"),
        (np.zeros((3, 4, 3), np.uint8), "floats of linear light"),
    ],
)
def test_what_they_cannot_hold(tmp_path, suffix, values, words):
    with pytest.raises(UsageError, match=words):
        io.write_lattice(tmp_path / f"a{suffix}", values)
    assert not list(tmp_path.iterdir())


HEAD = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n"


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.hdr", b"#?RADIANCE\n", "its header has no size"),
        ("a.hdr", HEAD + b"+Y 2 +X 2\n" + bytes(16), "laid out as"),
        ("a.hdr", HEAD + b"-Y 60000 +X 60000\n" + bytes(16), "limit"),
        ("a.hdr", HEAD + b"-Y 9000 +X 9000\n" + bytes(16), "cannot hold"),
        ("a.hdr", HEAD + b"-Y 0 +X 5\n", "no samples"),
        ("a.hdr", HEAD.replace(b"rgbe", b"xyze") + b"-Y 1 +X 1\n" + bytes(4), "xyze"),
        ("a.hdr", HEAD + b"-Y 2 +X 2\n" + bytes(7), "damaged"),
        ("a.hdr", b"\x5c\x01\0\0" + bytes(344), "ANALYZE"),
        ("a.hdr", b"PF\n1 1\n-1\n" + bytes(12), "looks like pfm"),
        ("a.pfm", b"PF\n2 2\n-1\n" + bytes(47), "47 bytes of samples, expected 48"),
        ("a.pfm", b"PF\n2 2\n0\n" + bytes(48), "damaged"),
        ("a.pfm", b"PF\n60000 60000\n-1\n" + bytes(48), "limit"),
        ("a.pfm", b"P6\n2 2\n255\n" + bytes(12), "damaged"),
        ("a.pfm", HEAD, "looks like radiance"),
    ],
)
def test_files_that_lie_get_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SignalError, match=words) as caught:
        io.read(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("suffix", [".hdr", ".pfm"])
def test_cut_and_flipped_files_raise_nothing_else(tmp_path, suffix):
    io.write_lattice(tmp_path / f"a{suffix}", light(9, 20, 3))
    data = (tmp_path / f"a{suffix}").read_bytes()
    rng = np.random.default_rng(1)
    for trial in range(80):
        broken = bytearray(data)
        if trial % 2:
            broken = broken[: rng.integers(1, len(data))]
        else:
            for at in rng.integers(0, len(data), 4):
                broken[at] ^= 1 << rng.integers(8)
        (tmp_path / f"b{suffix}").write_bytes(broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                io.read(tmp_path / f"b{suffix}")
            except SignalError as err:
                assert "\n" not in str(err)


def test_a_missing_imagecodecs_gives_the_pip_line(tmp_path, monkeypatch):
    io.write_lattice(tmp_path / "a.hdr", light(2, 9, 3))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingExtraError, match=r'pip install "nfcodec\[encode\]"'):
        io.read(tmp_path / "a.hdr")
