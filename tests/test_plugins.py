"""Pillow, imageio and trimesh open .nfld files once their plugin is imported; hostile ones end in the errors they expect."""

import importlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from field_cases import make_frozen, make_spec

import nfcodec
from nfcodec.errors import MissingExtraError
from nfcodec.pack import pack

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
DAMAGED = ["cut off", "a byte changed", "the signature alone", "appended"]


def path_of(label):
    return GOLDEN / f"{label}.nfld"


def damaged(kind, label="image-rgb8"):
    data = bytearray(path_of(label).read_bytes())
    if kind == "a byte changed":
        data[len(data) // 2] ^= 1
    return {"cut off": data[:-20], "a byte changed": data, "the signature alone": data[:8], "appended": data + b"x"}[kind]


def picture(dtype, channels, meta=None):
    """A file of an image of any type."""
    scale = {"b1": 1, "u1": 60, "u2": 15000}.get(dtype, 2.5)
    spec = make_spec("image", (9, 12), ((3, 4), (9, 12)), channels=channels, dtype=dtype, scale=scale, offset=scale)
    return pack(spec, make_frozen(spec, np.random.default_rng(channels)), meta or {})


# ---------------------------------------------------------------- Pillow


@pytest.fixture(scope="module")
def Image():
    found = pytest.importorskip("PIL.Image", reason="needs pillow")
    importlib.import_module("nfcodec.plugins.pillow")
    return found


@pytest.mark.parametrize(
    "dtype, channels, mode",
    [("b1", 1, "1"), ("u1", 1, "L"), ("u1", 2, "LA"), ("u1", 3, "RGB"), ("u1", 4, "RGBA"), ("u2", 1, "I;16"), ("f4", 1, "F")],
)
def test_pillow_opens_pictures(Image, dtype, channels, mode):
    data = picture(dtype, channels)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("NFLD", mode, (12, 9))
        assert image.field.spec.channels == channels
        found = np.asarray(image)
    expected = nfcodec.open(data).decode()
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    assert len(np.unique(expected)) > 1


def test_colours_of_16_bits_become_8(Image):
    data = picture("u2", 3)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), nfcodec.open(data).decode() >> 8)


def test_pillow_opens_paths_and_closes_them(Image, tmp_path):
    image = Image.open(path_of("image-rgb8"))
    thumbnail = image.convert("L").resize((4, 3))
    assert thumbnail.size == (4, 3) and image.size == image.field.spec.extent[::-1]
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as again:
        np.testing.assert_array_equal(np.asarray(again), image.field.decode())


def test_pillow_gets_the_profile(Image):
    for text, profile in (("aGVsbG8=", b"hello"), ("&&", None), (7, None)):
        with Image.open(io.BytesIO(picture("u1", 3, {"icc_profile": text}))) as image:
            assert image.info.get("icc_profile") == profile


@pytest.mark.parametrize("kind", DAMAGED)
def test_pillow_refuses_what_is_damaged(Image, kind):
    from PIL import UnidentifiedImageError

    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(damaged(kind)))


def test_pillow_refuses_what_is_no_picture(Image):
    from PIL import UnidentifiedImageError

    from nfcodec.plugins.pillow import NfldImageFile

    not_alpha = picture("u1", 2, {"alpha": False})
    others = [path_of(label).read_bytes() for label in ("sdf-dense", "volume-f4", "scenes/scene-tree")]
    for data in (*others, picture("f4", 3), not_alpha):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data))
        with pytest.raises(SyntaxError, match="got a .*; use nfcodec.open"):
            NfldImageFile(io.BytesIO(data))


def test_a_large_picture_is_a_bomb_to_pillow(Image):
    spec = make_spec("image", (1 << 15, 1 << 15), ((3, 4),), n_features=(1,), channels=3, dtype="u1")
    data = pack(spec, make_frozen(spec, np.random.default_rng(0)), {})
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


# ---------------------------------------------------------------- imageio


@pytest.fixture(scope="module")
def iio():
    found = pytest.importorskip("imageio.v3", reason="needs imageio")
    importlib.import_module("nfcodec.plugins.imageio")
    return found


@pytest.mark.parametrize("label", ["image-rgb8", "image-grey16", "volume-f4", "volume-vector", "volume-4d"])
def test_imageio_reads_images_and_volumes(iio, label):
    field = nfcodec.open(path_of(label))
    expected = field.decode()
    expected = expected[..., 0] if expected.shape[-1] == 1 else expected
    for source in (path_of(label), path_of(label).read_bytes()):
        np.testing.assert_array_equal(iio.imread(source), expected)
    np.testing.assert_array_equal(iio.imread(path_of(label), index=...), expected[None])
    np.testing.assert_array_equal(iio.imread(path_of(label), plugin="nfld", scale=2).shape[:2], 2 * np.array(expected.shape[:2]))
    properties = iio.improps(path_of(label))
    assert (properties.shape, properties.dtype) == (expected.shape, expected.dtype)
    assert iio.improps(path_of(label), index=...).n_images == 1
    assert iio.immeta(path_of(label))["nfld"]["kind"] == field.kind
    assert len(list(iio.imiter(path_of(label)))) == 1


@pytest.mark.parametrize("kind", DAMAGED)
def test_imageio_refuses_what_is_damaged(iio, kind, tmp_path):
    (tmp_path / "a.nfld").write_bytes(damaged(kind))
    for options in ({}, {"plugin": "nfld"}):
        with pytest.raises(OSError):
            iio.imread(tmp_path / "a.nfld", **options)


def test_what_imageio_cannot_do(iio, tmp_path):
    for label in ("sdf-dense", "scenes/scene-tree"):
        with pytest.raises(OSError):
            iio.imread(path_of(label))
    with pytest.raises(OSError):
        iio.imwrite(tmp_path / "a.nfld", np.zeros((4, 4, 3), np.uint8), plugin="nfld")
    assert not (tmp_path / "a.nfld").exists()
    with pytest.raises(ValueError, match="got index 1, expected 0"):
        iio.imread(path_of("image-rgb8"), index=1)
    with pytest.raises(ValueError, match="choosing a level: got 99"):
        iio.imread(path_of("image-rgb8"), level=99)


# ---------------------------------------------------------------- trimesh


@pytest.fixture(scope="module")
def trimesh():
    found = pytest.importorskip("trimesh", reason="needs trimesh")
    importlib.import_module("nfcodec.plugins.trimesh")
    return found


def test_trimesh_loads_surfaces(trimesh):
    path = path_of("sdf-colours")
    expected = nfcodec.open(path).to_mesh(24)
    mesh = trimesh.load_mesh(path, resolution=24, process=False)
    assert len(trimesh.load(path, resolution=24).geometry) == 1
    assert "nfld" in trimesh.available_formats()
    np.testing.assert_allclose(mesh.vertices, expected.vertices, atol=1e-5)
    np.testing.assert_array_equal(mesh.faces, expected.faces)
    assert mesh.visual.kind == "vertex" and mesh.visual.vertex_colors[:, :3].max() > 0
    with open(path, "rb") as file:
        assert len(trimesh.load_mesh(file, file_type="nfld", resolution=24, method="marching-cubes").faces) != len(mesh.faces)


def test_trimesh_loads_scenes_as_one_mesh(trimesh):
    path = path_of("scenes/scene-tree")
    expected = nfcodec.open(path).to_mesh(24)
    found = trimesh.load_mesh(path, resolution=24, process=False)
    np.testing.assert_allclose(found.vertices, expected.vertices, atol=1e-5)


@pytest.mark.parametrize("kind", DAMAGED)
def test_trimesh_refuses_what_is_damaged(trimesh, kind, tmp_path):
    (tmp_path / "a.nfld").write_bytes(damaged(kind, "sdf-dense"))
    with pytest.raises(ValueError, match="reading"):
        trimesh.load(tmp_path / "a.nfld")


def test_trimesh_refuses_what_is_no_surface(trimesh):
    with pytest.raises(ValueError, match="got a field of kind image"):
        trimesh.load(path_of("image-rgb8"))


# ---------------------------------------------------------------- missing libraries


@pytest.mark.parametrize("plugin, library", [("pillow", "PIL"), ("imageio", "imageio.config"), ("trimesh", "trimesh.exchange.load")])
def test_a_missing_library_is_named(plugin, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"nfcodec.plugins.{plugin}", raising=False)
    with pytest.raises(MissingExtraError, match="pip install"):
        importlib.import_module(f"nfcodec.plugins.{plugin}")


def test_nothing_is_registered_by_itself():
    pytest.importorskip("PIL.Image", reason="needs pillow")
    script = "import nfcodec.plugins, nfcodec.field, PIL.Image as I; I.init(); print('NFLD' in I.OPEN)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout == "False\n", done.stderr
