"""`encode` from end to end, quickly: what it refuses before any work, odd signals, targets, and files as they grow."""

import math
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import surfaces
from field_cases import suits

import nfcodec
from nfcodec import io, metrics
from nfcodec.encodings import load
from nfcodec.errors import NfldError, SignalError, TargetError, TruncatedError, UsageError
from nfcodec.fit.goals import pick_goal
from nfcodec.measure import Report, measure
from nfcodec.spec import GRID_ENCODINGS, Mesh, Signal

ROOT = Path(__file__).resolve().parents[1]
needs_torch = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("torch") is None, reason="encoding needs torch"
)


def waves(*shape):
    """A smooth signal with an edge, 0 to 1, float64."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    x = sum(np.sin((k + 4) * a + k) for k, a in enumerate(axes)) + 0.5 * (sum(axes) > len(shape) / 2)
    return (x - x.min()) / (np.ptp(x) or 1.0)


def grey(*shape):
    return np.rint(255 * waves(*shape)).astype(np.uint8)


def rgb(*shape):
    return np.stack([grey(*shape), 255 - grey(*shape), grey(*shape)[::-1] // 2], -1)


def encode(source, **settings):
    return nfcodec.encode(source, **{"effort": 1, **settings})


# ---------------------------------------------------------------- before any work


@pytest.mark.parametrize(
    "output, words", [("missing/a.nfld", "does not exist"), ("folder", "folder"), ("there.nfld", "--overwrite")]
)
def test_outputs_are_refused_before_the_source_is_read(tmp_path, monkeypatch, output, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.nfld").write_bytes(b"mine")
    monkeypatch.setattr(io, "read", lambda *_, **__: pytest.fail("the source was read"))
    with pytest.raises(UsageError, match=words):
        nfcodec.encode(tmp_path / "source.png", tmp_path / output)
    assert (tmp_path / "there.nfld").read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["folder", "there.nfld"]


BLOCKED = """
import sys
import numpy as np
import nfcodec
for name in sys.argv[1:]:
    sys.modules[name] = None  # its import fails as if it were not installed
try:
    nfcodec.encode(np.zeros((4, 4), np.uint8), kind="image")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_missing_torch_is_named_with_its_cure():
    assert blocked("torch") == (
        "MissingExtraError encoding needs the package 'torch', which is not installed: "
        'run pip install "nfcodec[encode]"'
    )


@needs_torch
def test_another_missing_module_is_not_taken_for_torch():
    assert blocked("nfcodec.fit.train").startswith("ModuleNotFoundError")


def blocked(*names):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", BLOCKED, *names], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@dataclass
class Trial:
    data: bytes
    report: Report


@pytest.mark.parametrize(
    "target, text, reached",
    [
        ({"psnr": 40}, "psnr 40 dB", "39.998 dB"),
        ({"size": 1234567}, "size 1234567 bytes", "1300000 bytes"),
        ({"bpp": 0.5}, "bpp 0.5 bits a sample", "1.04 bits a sample"),
        ({"max_error": 1e-4}, "max error 0.0001", "0.00025"),
        ({"lossless": True}, "lossless", "max error 0.00025"),
    ],
)
def test_goals_in_words(target, text, reached):
    goal = pick_goal(**{**dict.fromkeys(("quality", "psnr", "max_error", "size", "bpp")), **target})
    trial = Trial(bytes(1_300_000), Report(39.998, 2.5e-4, 1e-5))
    assert goal.text == text and goal.reached(trial, 10_000_000) == reached
    assert not goal.met(trial, 10_000_000)


def test_guarantees_are_compared_exactly():
    for target, bound in (({"max_error": 0.1}, 0.1), ({"lossless": True}, 0.0)):
        goal = pick_goal(**{**dict.fromkeys(("quality", "psnr", "max_error", "size", "bpp")), **target})
        assert goal.is_guarantee
        assert goal.met(Trial(b"", Report(40.0, bound, bound)), 1)
        assert not goal.met(Trial(b"", Report(40.0, math.nextafter(bound, 1), bound)), 1)


BAD_SETTINGS = [
    ({"encoding": "quadplane"}, "expected auto, dense, hash, codebook"),
    ({"encoding": "triplane"}, "got triplane for a signal of 2 axes, expected 3"),
    ({"effort": 0}, "expected 1 to 9"),
    ({"effort": 10}, "expected 1 to 9"),
    ({"effort": 2.5}, "expected 1 to 9"),
    ({"effort": "5"}, "expected 1 to 9"),
    ({"quality": -1}, "expected 0 to 100"),
    ({"quality": float("nan")}, "expected a positive number"),
    ({"size": 0}, "expected a positive number"),
    ({"psnr": float("inf")}, "expected a positive number"),
    ({"psnr": 40, "bpp": 1}, "psnr and bpp"),
    ({"quality": 40, "size": 1000}, "quality and size"),
    ({"max_error": 2, "lossless": True}, "max_error and lossless"),
    ({"max_error": 0}, "expected a positive number"),
    ({"time_limit": 0}, "seconds above 0"),
    ({"time_limit": float("nan")}, "seconds above 0"),
    ({"seed": -1}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"seed": 1 << 70}, "seed"),
    ({"device": "tpu"}, "expected cpu"),
]


@needs_torch
@pytest.mark.parametrize("settings, words", BAD_SETTINGS, ids=lambda x: str(x))
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(UsageError, match=words):
        encode(grey(4, 4), kind="image", **settings)


NAN = np.where(np.arange(60.0).reshape(3, 4, 5) == 33, np.nan, 1)
BAD_SOURCES = {
    "no kind": (grey(4, 4), None, "expected 'image' or 'volume'"),
    "a surface kind": (grey(4, 4), "sdf", "expected 'image' or 'volume'"),
    "one axis as image": (grey(4), "image", r"expected \(H, W\)"),
    "four axes as image": (np.zeros((2, 2, 2, 2), np.uint8), "image", r"expected \(H, W\)"),
    "five axes": (np.zeros((2,) * 5), "volume", "1 to 4 axes"),
    "no axes": (np.zeros(()), "volume", "1 to 4 axes"),
    "no samples": (np.zeros((0, 4)), "volume", "at least one sample"),
    "no channels": (np.zeros((3, 4, 0), np.uint8), "image", "at least one sample"),
    "too many channels": (np.zeros((3, 4, 17), np.uint8), "image", "at most 16 channels"),
    "int64": (np.zeros((3, 4), np.int64), "volume", "convert"),
    "complex": (np.zeros((3, 4), complex), "volume", "convert"),
    "NaN": (NAN, "volume", r"1 of 60 values are NaN or infinite, the first at index \(1, 2, 3, 0\)"),
    "infinity": (np.array([1, np.inf]), "volume", "NaN or infinite"),
    "beyond float32": (np.array([0, 1e300]), "volume", "range that float32 can hold"),
    "finer than float32": (1e9 + waves(6, 6), "volume", "subtract"),
    "a list": ([[1, 2], [3, 4]], "volume", "got a list"),
    "None": (None, None, "got a NoneType"),
    "a mesh as image": (surfaces.box(), "image", "expected one of sdf"),
    "an unknown kind": (Signal("picture", grey(4, 4)[..., None]), None, "got kind 'picture'"),
    "a volume of nothing": (Signal("volume"), None, "values"),
    "an sdf of values": (Signal("sdf", grey(4, 4)[..., None]), None, "mesh"),
    "an image of three axes": (Signal("image", np.zeros((3, 4, 5, 1), np.uint8)), None, r"\(H, W, C\)"),
    "metadata of NaN": (Signal("image", grey(4, 4)[..., None], meta={"a": math.nan}), None, "metadata"),
    "no faces": (Mesh(np.eye(3), np.zeros((0, 3), np.int64)), None, "at least one triangle"),
    "no area": (Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), None, "no area"),
    "a NaN vertex": (Mesh(np.diag([1, np.nan, 1]), np.array([[0, 1, 2]])), None, "finite"),
    "faces of no vertex": (Mesh(np.eye(3), np.array([[0, 1, 7]])), None, "expected 0 to 2"),
}


@needs_torch
@pytest.mark.parametrize("name", BAD_SOURCES)
def test_sources_that_are_refused(tmp_path, name):
    source, kind, words = BAD_SOURCES[name]
    if "mesh" in words or isinstance(source, Mesh):
        pytest.importorskip("igl", reason="distances need libigl")
    output = tmp_path / "a.nfld"
    output.write_bytes(b"mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError, match=words) as error:
            encode(source, output=output, kind=kind, overwrite=True)
    assert "\n" not in str(error.value)
    assert output.read_bytes() == b"mine" and os.listdir(tmp_path) == ["a.nfld"]


def test_a_missing_file_is_named():
    with pytest.raises(UsageError, match="no such file"):
        encode("nowhere/picture.png")


# ---------------------------------------------------------------- odd signals

# source, kind, the least PSNR in dB that is no nonsense
ODD = {
    "1x1": (np.full((1, 1), 77, np.uint8), "image", 30),
    "1x1 colour": (np.array([[[10, 200, 99]]], np.uint8), "image", 30),
    "one row": (grey(1, 50), "image", 25),
    "icon": (rgb(16, 16), "image", 20),
    "grey": (grey(41, 30), "image", 25),
    "alpha": (np.concatenate([rgb(24, 31), grey(24, 31)[..., None]], -1), "image", 25),
    "16 bit": (np.rint(waves(24, 30) * 60000).astype(np.uint16), "image", 25),
    "float image": (waves(24, 30).astype(np.float32), "image", 25),
    "bool volume": (waves(12, 13, 14) > 0.5, "volume", 8),
    "negative": (np.rint(waves(12, 13, 14) * 3000 - 2000).astype(np.int16), "volume", 25),
    "offset": (1e5 + waves(12, 13, 14) * 400, "volume", 25),
    "uint32": (np.rint(waves(9, 9, 9) * 4e9).astype(np.uint32), "volume", 25),
    "big endian": (waves(9, 10).astype(">f4"), "volume", 25),
    "1-D": (waves(100), "volume", 25),
    "one number": (np.array([5.0]), "volume", math.inf),
    "3 frames": (waves(3, 10, 11, 12), "volume", 25),
    "long and thin": (waves(2, 1, 300), "volume", 25),
    "vectors": (Signal("volume", np.stack([waves(9, 10, 11), -waves(9, 10, 11)], -1).astype(np.float32)), None, 25),
}


@needs_torch
@pytest.mark.parametrize("name", ODD)
def test_odd_signals_survive(name):
    source, kind, least = ODD[name]
    encoded = encode(source, kind=kind)
    signal = source if isinstance(source, Signal) else Signal(kind, as_lattice(source, kind))
    field = nfcodec.open(encoded.data)
    decoded = field.decode()
    assert decoded.shape == signal.values.shape and decoded.dtype == signal.values.dtype.newbyteorder("=")
    assert field.kind == encoded.kind == signal.kind
    assert encoded.report == measure(field, signal) and encoded.report.psnr_db >= least
    assert encoded.met and encoded.target is None and encoded.source_bytes == signal.values.nbytes
    assert encoded.bpp == pytest.approx(8 * len(encoded.data) / math.prod(signal.extent))
    if signal.has_alpha:
        decoded = metrics.as_seen(signal.values, decoded)
    exact = decoded.astype(np.float64) - signal.values.astype(np.float64)
    assert encoded.report.rms == pytest.approx(math.sqrt(np.mean(exact**2)), rel=1e-6)
    assert encoded.report.max_error == pytest.approx(np.abs(exact).max())


def as_lattice(values, kind):
    return values[..., None] if kind == "volume" or values.ndim == 2 else values


@needs_torch
@pytest.mark.parametrize(
    "value", [-1e-3, 1e12 + 1, np.float16(60000), np.int32(-(2**31)), np.bool_(True)]
)
def test_constant_volumes(value):
    values = np.full((5, 6), value)
    encoded = encode(values, kind="volume")
    decoded = nfcodec.open(encoded.data).decode()[..., 0]
    assert decoded.dtype == values.dtype
    np.testing.assert_allclose(decoded.astype(float), float(value), rtol=1e-6)
    assert encoded.report.psnr_db == (math.inf if (decoded == values).all() else -math.inf)


@needs_torch
@pytest.mark.parametrize("target", [{"psnr": 40}, {"bpp": 100}])
def test_a_constant_meets_targets(target):
    encoded = encode(np.full((5, 6), 3.25), kind="volume", **target)
    assert encoded.met and encoded.report.max_error == 0


@needs_torch
@pytest.mark.parametrize("encoding", [name for name in GRID_ENCODINGS if suits(name, 2)])
@pytest.mark.parametrize("values", [grey(1, 1), grey(21, 34)], ids=["one", "some"])
def test_every_encoding_of_small_images(encoding, values):
    encoded = encode(values, kind="image", encoding=encoding)
    field = nfcodec.open(encoded.data)
    assert encoded.encoding == field.spec.grid.encoding == encoding
    assert encoded.report.psnr_db > 25


@needs_torch
def test_auto_names_what_it_took():
    encoded = encode(grey(8, 8), kind="image", encoding="auto")
    assert encoded.encoding == nfcodec.open(encoded.data).spec.grid.encoding


@needs_torch
def test_files_say_how_good_their_levels_are():
    encoded = encode(noisy(60, 70), kind="image", quality=90)
    field = nfcodec.open(encoded.data)
    levels = field.meta["level_db"]
    assert len(encoded.data) > 2048 and len(levels) == field.n_levels
    assert levels[-1] == pytest.approx(encoded.report.psnr_db, abs=0.3) and levels[0] < levels[-1] - 3
    small = encode(grey(8, 8), kind="image")
    assert "level_db" not in nfcodec.open(small.data).meta


def test_a_given_kind_overrides_that_of_a_signal():
    signal = Signal("image", grey(12, 12)[..., None])
    encoded = encode(signal, kind="volume")
    assert encoded.kind == nfcodec.open(encoded.data).kind == "volume"


@needs_torch
def test_metadata_goes_along():
    meta = {"source": "a.png", "dpi": [72, 72], "note": "Grüße"}
    assert nfcodec.open(encode(Signal("image", grey(9, 9)[..., None], meta=meta)).data).meta == meta


TRIANGLE = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.2]]), np.array([[0, 1, 2]]))
BOXES = surfaces.joined(surfaces.box(), surfaces.box((2, 0, 0), (3, 1, 1.5)))

# mesh, kind asked for, kind of the file, volume of the solid
MESHES = {
    "two boxes": (BOXES, None, "sdf", 2.5),
    "an inverted box far away": (
        surfaces.inverted(surfaces.box((1e6, -1e6, 5e5), (1e6 + 1, 1 - 1e6, 5e5 + 1))), None, "sdf", 1.0,
    ),
    "occupancy": (surfaces.box(), "occupancy", "occupancy", 1.0),
    "tsdf": (surfaces.sphere(3, 2.0), "tsdf", "tsdf", 32.5),
}  # fmt: skip


@needs_torch
@pytest.mark.parametrize("name", MESHES)
def test_small_meshes(name):
    pytest.importorskip("igl", reason="distances need libigl")
    mesh, kind, found, volume = MESHES[name]
    encoded = encode(mesh, kind=kind, quality=0)
    field = nfcodec.open(encoded.data)
    assert field.kind == encoded.kind == found
    assert encoded.report.rms < 0.02 and encoded.report.rms_back < 0.03
    # origins are kept in float64: a mesh far away is measured around its own middle
    middle = mesh.vertices.mean(0)
    decoded = field.to_mesh(64)
    decoded = Mesh(decoded.vertices - middle, decoded.faces)
    assert surfaces.volume(decoded) == pytest.approx(volume, rel=0.2)


@needs_torch
def test_a_triangle_is_a_signed_field_that_ends():
    pytest.importorskip("igl", reason="distances need libigl")
    encoded = encode(TRIANGLE, quality=0)
    assert encoded.kind == "sdf" and nfcodec.open(encoded.data).spec.roles == ("distance", "trim")
    assert encoded.report.rms < 0.03 and encoded.report.rms_back < 0.03
    with pytest.warns(UserWarning, match="udf"):
        assert encode(TRIANGLE, quality=0, close_holes=True).kind == "udf"


# between them a field that is positive above each passes through 0
FACING = surfaces.joined(surfaces.sheet(), surfaces.sheet(0.3))


@needs_torch
def test_facing_sheets_become_an_unsigned_field():
    pytest.importorskip("igl", reason="distances need libigl")
    with pytest.warns(UserWarning, match="udf"):
        encoded = encode(FACING, quality=20)
    assert encoded.kind == "udf" and encoded.report.rms < 0.03
    field = nfcodec.open(encoded.data)
    cell = field.spec.cell / math.sqrt(2 + 0.3**2)
    assert encoded.report.rms < 0.5 * cell and encoded.report.rms_back < 0.5 * cell
    far = field.sample(field.from_world(np.array([[0.5, 0.5, 0.15]])))[0, 0]
    assert far == pytest.approx(0.15, abs=0.03)


@needs_torch
def test_facing_sheets_have_no_sign():
    pytest.importorskip("igl", reason="distances need libigl")
    with pytest.warns(UserWarning, match="kind udf"):
        try:
            encoded = encode(FACING, kind="sdf", quality=0)
        except NfldError as error:
            assert "lost the surface" in str(error)
        else:
            assert encoded.kind == "sdf"


# ---------------------------------------------------------------- targets


def noisy(*shape):
    values = 200 * waves(*shape) + np.random.default_rng(0).normal(20, 6, shape)
    return values.clip(0, 255).astype(np.uint8)


@needs_torch
@pytest.mark.parametrize("target", [{"size": 700}, {"bpp": 3.0}, {"psnr": 33.0}, {"max_error": 25.0}])
def test_targets_are_met_on_the_finished_bytes(target):
    values = noisy(40, 40)
    encoded = encode(values, kind="image", **target)
    (name, limit), = target.items()
    report = measure(nfcodec.open(encoded.data), Signal("image", values[..., None]))
    assert report == encoded.report
    found = {"size": len(encoded.data), "bpp": encoded.bpp, "psnr": report.psnr_db, "max_error": report.max_error}[name]
    holds = found >= limit if name == "psnr" else found <= limit
    assert encoded.met and holds
    # and not by far: a file of a tenth of the size would be one too
    if name in ("size", "bpp"):
        assert found > 0.6 * limit
    elif name == "psnr":
        assert found < limit + 3
    assert encoded.target.startswith(name.replace("_", " "))


@needs_torch
def test_a_target_of_a_volume():
    encoded = encode(noisy(11, 12, 13).astype(np.float32), kind="volume", psnr=25.0)
    assert encoded.met and 25 <= encoded.report.psnr_db < 30


@needs_torch
@pytest.mark.parametrize("target", [{"psnr": 200.0}, {"bpp": 1e-3}, {"size": 10}])
def test_a_missed_target_says_what_was_reached(target):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    encoded = nfcodec.encode(noise, kind="image", effort=1, time_limit=1e-3, **target)
    (name, value), = target.items()
    report = encoded.report
    found = {"psnr": report.psnr_db, "bpp": encoded.bpp, "size": len(encoded.data)}[name]
    assert not encoded.met and encoded.target.startswith(name.replace("_", " "))
    assert float(encoded.reached.split()[0]) == pytest.approx(found, rel=1e-5)


SIGNALS = {
    "grey": (grey(13, 9), "image"),
    "colour": (rgb(12, 17), "image"),
    "noise": (np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8), "image"),
    "bilevel": (waves(9, 10) > 0.5, "image"),
    "constant": (np.full((4, 5, 3), -7, np.int16), "volume"),
    "one sample": (np.array([[[[3]]]], np.uint32), "volume"),
    "curve": ((2e9 * (waves(40) - 0.5)).astype(np.int32), "volume"),
    "film": (noisy(3, 4, 5, 6).astype(np.uint16) * 200, "volume"),
}


@needs_torch
@pytest.mark.parametrize("name, encoding", [
    (name, encoding) for name, (values, kind) in SIGNALS.items() for encoding in GRID_ENCODINGS
    if load(encoding).is_interpolated and suits(encoding, 2 if kind == "image" else values.ndim)
])
def test_lossless(name, encoding):
    values, kind = SIGNALS[name]
    encoded = encode(values, kind=kind, lossless=True, encoding=encoding, time_limit=2)
    field = nfcodec.open(encoded.data)
    assert encoded.met and encoded.report.max_error == 0 == field.max_error and encoded.target == encoded.reached
    assert np.array_equal(field.decode().reshape(values.shape), values)


@needs_torch
@pytest.mark.parametrize("dtype, bound", [("u1", 3.0), ("i2", 0.5), ("f2", 0.25), ("f4", 1e-4), ("f8", 1e-7)])
def test_a_largest_error_is_kept_even_without_time(dtype, bound):
    values = noisy(11, 12, 3).astype(dtype)
    encoded = encode(values, kind="volume", max_error=bound, time_limit=1e-3)
    field = nfcodec.open(encoded.data)
    assert encoded.met and encoded.report.max_error <= bound
    assert np.abs(field.decode()[..., 0].astype(np.float64) - values).max() == encoded.report.max_error
    assert field.info()["max_error"] == (math.floor(bound) if dtype[0] != "f" else bound)


@needs_torch
def test_a_field_and_its_residual_share_the_work():
    """A smooth picture with noise of a few grey levels: within 8 of it the field does nearly all, lossless the residual."""
    values = noisy(96, 96)
    loose, lossless = (nfcodec.open(encode(values, kind="image", **t).data).info() for t in ({"max_error": 24}, {"lossless": True}))
    assert loose["residual_bytes"] < 0.5 * loose["file_bytes"]
    assert lossless["residual_bytes"] > 0.7 * lossless["file_bytes"]
    assert loose["file_bytes"] < 0.4 * lossless["file_bytes"] and lossless["file_bytes"] < values.nbytes


@needs_torch
def test_lossless_is_for_integers_on_lattices():
    with pytest.raises(SignalError, match="expected integers; of floats give a max_error"):
        encode(waves(4, 5), kind="volume", lossless=True)
    with pytest.raises(SignalError, match="1 to 4 axes"):
        encode(np.zeros((), np.uint8), kind="volume", lossless=True)
    with pytest.raises(UsageError, match="surface to be kept lossless"):
        encode(surfaces.sphere(1), lossless=True)


@needs_torch
def test_a_broken_guarantee_gives_no_file(tmp_path, monkeypatch):
    from nfcodec.fit import residual as fit_residual

    encode_it = fit_residual.encode
    monkeypatch.setattr(fit_residual, "encode", lambda field, values, *rest: encode_it(field, values[::-1].copy(), *rest))
    with pytest.raises(TargetError, match="nothing was written"):
        encode(grey(9, 8), output=tmp_path / "a.nfld", kind="image", lossless=True)
    assert not list(tmp_path.iterdir())


@needs_torch
def test_a_time_limit_winds_the_fit_up():
    told = []
    encoded = nfcodec.encode(noisy(64, 64), kind="image", effort=9, time_limit=1.0, on_progress=told.append)
    n_steps = sum(s.phase == "fit" for s in told)
    assert 0 < n_steps < 5000  # of 20,000
    assert nfcodec.open(encoded.data).decode().shape == (64, 64, 1) and encoded.report.psnr_db > 25


@needs_torch
@pytest.mark.parametrize("source, kind", [(noisy(40, 32), "image"), (noisy(13, 12, 14), "volume")])
def test_quality_is_a_ladder(source, kind):
    found = [encode(source, kind=kind, quality=quality) for quality in (10, 50, 90)]
    sizes, psnrs = [len(e.data) for e in found], [e.report.psnr_db for e in found]
    assert sizes == sorted(sizes) and sizes[0] < 0.8 * sizes[-1]
    assert psnrs == sorted(psnrs) and psnrs[0] + 4 < psnrs[-1]
    assert found[0].lmbda > found[1].lmbda > found[2].lmbda


@needs_torch
@pytest.mark.parametrize("encoding", [name for name in GRID_ENCODINGS if suits(name, 2)])
def test_a_seed_decides_the_bytes(encoding):
    first, again, other = (
        encode(noisy(24, 24), kind="image", encoding=encoding, seed=seed).data for seed in (1, 1, 2)
    )
    assert first == again != other


# ---------------------------------------------------------------- progress, interruption


@needs_torch
def test_progress_makes_sense(tmp_path):
    told = []
    encoded = encode(grey(30, 30), output=tmp_path / "a.nfld", kind="image", on_progress=told.append)
    assert {s.phase for s in told} <= {"read", "fit", "measure", "refine"}
    assert all(0 <= s.fraction <= 1 for s in told)
    assert [s.seconds for s in told] == sorted(s.seconds for s in told)
    fit = [s for s in told if s.phase == "fit"]
    assert [s.fraction for s in fit] == sorted(s.fraction for s in fit) and fit[-1].fraction == 1
    assert all(s.seconds_left >= 0 and s.bytes >= 0 and 0 < s.psnr_db < 120 for s in fit)
    assert fit[-1].seconds_left == 0
    assert told[-1].phase == "measure" and told[-1].bytes == len(encoded.data)
    assert told[-1].psnr_db == encoded.report.psnr_db
    assert (tmp_path / "a.nfld").read_bytes() == encoded.data


@needs_torch
@pytest.mark.parametrize(
    "phase, error, exists",
    [("fit", KeyboardInterrupt, False), ("measure", KeyboardInterrupt, True), ("measure", RuntimeError, False)],
)
def test_an_interruption_leaves_no_file_and_what_was_there(tmp_path, phase, error, exists):
    output = tmp_path / "a.nfld"
    if exists:
        output.write_bytes(b"mine")

    def interrupt(status):
        if status.phase == phase:
            raise error

    with pytest.raises(error):
        encode(grey(16, 16), output=output, kind="image", on_progress=interrupt, overwrite=True)
    assert os.listdir(tmp_path) == ["a.nfld"] * exists
    assert not exists or output.read_bytes() == b"mine"


@needs_torch
def test_outputs_are_replaced_only_when_asked(tmp_path):
    output = tmp_path / "a.nfld"
    first = encode(grey(8, 8), output=output, kind="image")
    with pytest.raises(UsageError, match="--overwrite"):
        encode(grey(9, 9), output=output, kind="image")
    assert output.read_bytes() == first.data
    second = encode(grey(9, 9), output=output, kind="image", overwrite=True)
    assert output.read_bytes() == second.data != first.data


# ---------------------------------------------------------------- levels


@pytest.fixture(scope="module")
def picture():
    pytest.importorskip("torch", reason="encoding needs torch")
    values = np.stack([noisy(100, 120), noisy(120, 100).T, noisy(100, 120)[::-1]], -1)
    return values, encode(values, kind="image", quality=100).data


def psnr_db(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def test_levels_refine_each_other(picture):
    values, data = picture
    field = nfcodec.open(data)
    psnrs = [psnr_db(values, field.decode(level=level, dtype="f4")) for level in range(field.n_levels)]
    assert field.n_levels >= 4 and psnrs == sorted(psnrs) and psnrs[-1] > psnrs[0] + 6
    np.testing.assert_array_equal(field.decode(level=field.n_levels - 1), field.decode())


def test_a_prefix_is_a_coarser_field(picture):
    values, data = picture
    whole = nfcodec.open(data)
    with pytest.raises(TruncatedError):
        nfcodec.open(data[:-1])
    found = {}
    for n_bytes in range(len(data) - 1, 0, -len(data) // 10):
        try:
            field = nfcodec.open(data[:n_bytes], allow_truncated=True)
        except TruncatedError:
            break  # not even the coarsest level is whole
        # the metadata come last: without their end all levels are there
        assert field.n_levels <= whole.n_levels and not field.sizes["complete"]
        np.testing.assert_array_equal(field.decode(), whole.decode(level=field.n_levels - 1))
        found[field.n_levels] = psnr_db(values, field.decode())
    assert found
    assert [found[n] for n in sorted(found)] == sorted(found.values())


@needs_torch
def test_errors_of_encode_are_all_of_one_tree():
    with pytest.raises(NfldError):
        encode(NAN, kind="volume")
    assert issubclass(SignalError, UsageError) and issubclass(UsageError, NfldError)


@needs_torch
def test_what_no_file_could_hold_is_refused_before_it_is_fitted():
    """Sound of more than 2^22 samples, and volumes of 512^3 with all of their detail, whose files nobody could read."""
    from nfcodec.fit import presets

    long = np.arange((1 << 22) + 1, dtype=np.int32)[:, None]
    with pytest.raises(SignalError, match="4194305 vertices along an axis, expected at most .*4194304; cut it into parts"):
        nfcodec.encode(Signal("volume", long), effort=1)
    grid = presets.GridSpec("dense", ((256,) * 3, (512,) * 3), (1, 1))
    with pytest.raises(SignalError, match="scan.nrrd: got a grid of 150994944 integers"):
        presets.check_size(grid, "scan.nrrd")
    presets.check_size(presets.GridSpec("dense", ((256,) * 3,), (1,)), "scan.nrrd")
    presets.check_size(presets.GridSpec("hash", ((256,) * 3, (512,) * 3), (1, 1), log2_size=14), "scan.nrrd")  # a table is small
    presets.check_size(presets.CoordinateSpec("identity", 1, (), (1,)), "sound")  # and here is none
