"""Images in and out: depths, channels, orientation, colour, and what is refused."""

import io as stdio
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest

from nfcodec import io
from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.io.image import apply_orientation, scale_bits
from nfcodec.spec import Mesh

Image = pytest.importorskip("PIL.Image", reason="images need pillow")
features = pytest.importorskip("PIL.features")
if not features.check("avif"):
    pytest.skip("this pillow has no AVIF (needs >= 11.3)", allow_module_level=True)
imagecodecs = pytest.importorskip("imagecodecs", reason="deep images need imagecodecs")
tifffile = pytest.importorskip("tifffile", reason="TIFF needs tifffile")


def picture(channels, dtype, size=(13, 17)):
    """A smooth image that lossy coders keep well, over the whole range of dtype."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    planes = [(y / size[0] + (c + 1) * x / size[1]) / (c + 2) for c in range(channels)]
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    return (np.stack(planes, -1) * top).astype(dtype)


def stored(path):
    return sorted(p.name for p in path.iterdir())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_lossless_round_trip(tmp_path, suffix, dtype, channels):
    values = picture(channels, dtype)
    io.write_lattice(tmp_path / f"a{suffix}", values, {"alpha": channels in (2, 4)})
    signal = io.read(tmp_path / f"a{suffix}")
    assert signal.kind == "image" and signal.values.dtype == dtype
    assert np.array_equal(signal.values, values)
    assert signal.meta["axes"] == ("yxc" if channels > 1 else "yx")
    assert signal.meta.get("alpha", False) == (channels in (2, 4))
    assert signal.meta["value_range"] == [values.min(), values.max()]
    assert stored(tmp_path) == [f"a{suffix}"]


def test_webp_is_lossless_also_below_full_transparency(tmp_path):
    for channels in (3, 4):
        values = picture(channels, np.uint8)
        values[0, 0, -1] = 0
        io.write_lattice(tmp_path / f"{channels}.webp", values)
        assert np.array_equal(io.read(tmp_path / f"{channels}.webp").values, values)


@pytest.mark.parametrize("suffix, channels", [(".jpg", 1), (".jpeg", 3), (".avif", 1), (".avif", 3), (".avif", 4)])
def test_lossy_round_trip_is_close(tmp_path, suffix, channels):
    values = picture(channels, np.uint8, (32, 48))
    io.write_lattice(tmp_path / f"a{suffix}", values)
    got = io.read(tmp_path / f"a{suffix}").values
    assert got.shape == values.shape and got.dtype == np.uint8
    assert np.abs(got.astype(int) - values).mean() < 2


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_avif_keeps_its_depth(tmp_path, bits, channels):
    values = picture(channels, np.uint16, (32, 48))
    io.write_lattice(tmp_path / "a.avif", values, {"bit_depth": bits})
    signal = io.read(tmp_path / "a.avif")
    assert signal.values.dtype == np.uint16 and signal.values.shape == values.shape
    assert signal.meta["bit_depth"] == bits
    assert np.abs(signal.values.astype(int) - values).mean() < 65535 / 250


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_tiff_holds_any_dtype(tmp_path, dtype, channels):
    values = (picture(channels, np.float64) * 1000 - 500 * (dtype != np.uint32)).astype(dtype)
    io.write_lattice(tmp_path / "a.tiff", values)
    signal = io.read(tmp_path / "a.tiff")
    assert signal.kind == "image" and signal.values.dtype == dtype
    assert np.array_equal(signal.values, values)
    assert "alpha" not in signal.meta


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_exif_orientation_is_applied(tmp_path, suffix, orientation):
    from PIL import ImageOps

    corners = np.zeros((16, 24, 3), np.uint8)
    corners[:8, :12, 0], corners[:8, 12:, 1], corners[8:, :12, 2] = 250, 250, 250
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if suffix == ".tif" else {"quality": 95}
    image = Image.fromarray(corners)
    image.save(tmp_path / f"a{suffix}", exif=exif, **options)
    with Image.open(tmp_path / f"a{suffix}") as saved:
        upright = np.asarray(ImageOps.exif_transpose(saved).convert("RGB"))
    signal = io.read(tmp_path / f"a{suffix}")
    assert signal.values.shape == upright.shape == ((16, 24, 3) if orientation < 5 else (24, 16, 3))
    assert np.array_equal(signal.values, upright)
    assert signal.meta.get("orientation", 1) == orientation


def test_orientations_undo_each_other():
    image = np.arange(6).reshape(2, 3)
    inverse = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    for orientation, back in inverse.items():
        assert np.array_equal(apply_orientation(apply_orientation(image, orientation), back), image)


def test_palette_bilevel_cmyk_and_transparent_png(tmp_path):
    rgb = Image.fromarray(picture(3, np.uint8))
    rgb.quantize(8).save(tmp_path / "p.png")
    signal = io.read(tmp_path / "p.png")
    assert signal.channels == 3 and signal.meta["palette"] is True
    assert np.array_equal(signal.values, np.asarray(rgb.quantize(8).convert("RGB")))

    paletted = rgb.quantize(8)
    paletted.save(tmp_path / "t.png", transparency=0)
    assert io.read(tmp_path / "t.png").channels == 4

    paletted.save(tmp_path / "p.tif")
    assert np.array_equal(io.read(tmp_path / "p.tif").values, signal.values)

    bits = np.indices((6, 7)).sum(0) % 2 == 0
    for name in ("b.png", "b.tif"):
        Image.fromarray(bits).save(tmp_path / name)
        signal = io.read(tmp_path / name)
        assert signal.meta["bit_depth"] == 1
        assert np.array_equal(signal.values[..., 0], bits * np.uint8(255))

    for name in ("c.jpg", "c.tif"):
        Image.new("CMYK", (5, 4), (0, 255, 255, 0)).save(tmp_path / name)
        values = io.read(tmp_path / name).values
        assert values.shape == (4, 5, 3) and values[0, 0, 0] > 240 and values[0, 0, 1] < 20


def test_white_is_zero_tiff_is_inverted(tmp_path):
    values = picture(1, np.uint8)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite", metadata=None)
    assert np.array_equal(io.read(tmp_path / "a.tif").values[..., 0], 255 - values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".avif"])
def test_icc_profile_and_dpi_survive(tmp_path, suffix, dtype):
    if dtype == np.uint16 and suffix not in (".png", ".tif"):
        pytest.skip("deep values have no profile in this format")
    profile = bytearray(200)
    profile[:4] = struct.pack(">I", 200)
    profile[16:20], profile[36:40] = b"RGB ", b"acsp"
    meta = {**io_meta(bytes(profile)), "dpi": [300.0, 150.0]}
    io.write_lattice(tmp_path / f"a{suffix}", picture(3, dtype), meta)
    got = io.read(tmp_path / f"a{suffix}").meta
    assert got["colour_space"] == "icc" and got["icc_profile"] == meta["icc_profile"]
    if suffix not in (".webp", ".avif"):
        assert got["dpi"] == pytest.approx([300, 150], abs=0.02)


def io_meta(profile):
    from nfcodec.io.image import colour_meta

    return colour_meta(profile, "test")


def test_srgb_profiles_are_named_and_large_ones_dropped():
    assert io_meta(b"....sRGB IEC61966-2.1....") == {"colour_space": "sRGB"}
    assert io_meta(None) == {"colour_space": "sRGB"}
    with pytest.warns(UserWarning, match="ICC profile of 65537 bytes"):
        assert io_meta(bytes(65537)) == {"colour_space": "unknown"}


def test_what_a_format_cannot_hold(tmp_path):
    deep = picture(3, np.uint16)
    for suffix in (".jpg", ".webp"):
        with pytest.warns(UserWarning, match="8 bits"):
            io.write_lattice(tmp_path / f"a{suffix}", deep)
        got = io.read(tmp_path / f"a{suffix}").values
        assert got.dtype == np.uint8 and np.abs(got - deep / 257).mean() < 3

    faint = np.zeros((8, 8, 4), np.uint8)
    with pytest.warns(UserWarning, match="no alpha"):
        io.write_lattice(tmp_path / "white.jpg", faint)
    assert io.read(tmp_path / "white.jpg").values.min() >= 253

    for bad in (picture(3, np.float32), picture(3, np.uint8).astype(np.int16), picture(5, np.uint8), np.zeros((2, 3, 4, 5, 1), np.uint8)):
        with pytest.raises(UsageError, match="npy"):
            io.write_lattice(tmp_path / "bad.png", bad)
    assert not [name for name in stored(tmp_path) if "bad" in name]


def test_bool_field_becomes_black_and_white(tmp_path):
    values = np.eye(5, dtype=bool)[..., None]
    io.write_lattice(tmp_path / "a.png", values)
    assert np.array_equal(io.read(tmp_path / "a.png").values, values * np.uint8(255))


def test_scale_bits_reaches_both_ends():
    assert scale_bits(np.array([0, 1023]), 10, np.uint16).tolist() == [0, 65535]
    assert scale_bits(np.array([0, 15]), 4, np.uint8).tolist() == [0, 255]
    every = np.arange(4096)
    assert np.array_equal((scale_bits(every, 12, np.uint16).astype(int) * 4095 + 32767) // 65535, every)


# ---- hostile and unlucky input: one line each


def png_bytes(size=(40, 30)):
    buffer = stdio.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def png_claiming(width, height, depth=8):
    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("cut.png", png_bytes()[:1500], "damaged, cut short"),
        ("cut16.png", imagecodecs.png_encode(picture(3, np.uint16))[:200], "damaged, cut short"),
        ("empty.png", b"", "0 bytes"),
        ("photo.jpg", png_bytes(), "looks like png"),
        ("photo.avif", png_bytes(), "looks like png"),
        ("photo.tif", png_bytes(), "looks like png"),
        ("text.webp", b"hello", "damaged, cut short or of another format"),
        ("bomb.png", png_claiming(60000, 60000), "decompression"),
        ("bomb16.png", png_claiming(60000, 60000, 16), "decompression"),
        ("none.png", png_claiming(0, 5), "none.png"),
    ],
)
def test_bad_images_get_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SignalError, match=words) as caught:
        io.read(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value) and "object at 0x" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_cut_and_flipped_files_raise_nothing_else(tmp_path, suffix):
    io.write_lattice(tmp_path / f"a{suffix}", picture(3, np.uint8, (24, 24)))
    data = (tmp_path / f"a{suffix}").read_bytes()
    rng = np.random.default_rng(1)
    for trial in range(60):
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


def test_paths_and_options(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        io.read(tmp_path / "none.png")
    with pytest.raises(UsageError, match="folder"):
        io.read(tmp_path)
    (tmp_path / "a.xyz").write_bytes(b"1")
    with pytest.raises(UsageError, match=r"'\.xyz', expected one of .*\.avif .*\.png"):
        io.read(tmp_path / "a.xyz")
    (tmp_path / "a.png").write_bytes(png_bytes())
    with pytest.raises(UsageError, match="dataset does not apply"):
        io.read(tmp_path / "a.png", dataset="x")
    with pytest.raises(UsageError, match="expected one of image"):
        io.read(tmp_path / "a.png", "photo")
    with pytest.raises(UsageError, match="image or volume"):
        io.read(tmp_path / "a.png", "sdf")
    assert io.read(tmp_path / "a.png", "volume").kind == "volume"


@pytest.mark.parametrize(
    "package, suffix",
    [("PIL", ".png"), ("tifffile", ".tif"), ("h5py", ".h5"), ("nrrd", ".nrrd"), ("nibabel", ".nii"), ("trimesh", ".ply")],
)
def test_a_missing_package_gives_the_pip_line(tmp_path, monkeypatch, package, suffix):
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"anything")
    with pytest.raises(MissingExtraError, match=r'pip install "nfcodec\[encode\]"'):
        io.read(path)
    with pytest.raises(MissingExtraError, match=r'pip install "nfcodec\[encode\]"'):
        if suffix == ".ply":
            io.write_mesh(tmp_path / "b.ply", Mesh(np.eye(3), np.array([[0, 1, 2]])))
        else:
            io.write_lattice(tmp_path / f"b{suffix}", np.zeros((2, 3, 1), np.uint8))
    assert stored(tmp_path) == [path.name]


def test_table():
    assert io.kind_of("a/b.PNG") == "image" and io.kind_of("x.nii.gz") == "volume" and io.kind_of("x.Obj") == "sdf"
    assert ".gltf" in io.suffixes("udf") and ".gltf" not in io.suffixes("udf", writable=True)
    assert set(io.suffixes()) == set(io.FORMATS) and list(io.suffixes()) == sorted(io.FORMATS)
    assert io.__all__ == sorted(io.__all__)
    for bad in ("a.gz", "noext", ".png"):
        with pytest.raises(UsageError, match="suffix"):
            io.kind_of(bad)
