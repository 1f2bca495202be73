"""Pictures that are not plain 8-bit RGB: alpha, hidden colours, deep and float values, high dynamic range, end to end."""

import dataclasses
import math

import numpy as np
import pytest

import nfcodec
from nfcodec import io, metrics
from nfcodec.measure import measure, measure_decoded
from nfcodec.spec import Signal

needs_torch = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("torch") is None, reason="encoding needs torch"
)


def waves(height, width, phase=0.0):
    y, x = np.mgrid[0:height, 0:width] / 32
    return 0.5 + 0.35 * np.sin(5 * x + phase) * np.cos(4 * y - phase)


def rgb(height, width):
    return np.stack([waves(height, width, p) for p in (0.0, 0.7, 1.9)], -1)


def disc(height, width, soft=3.0):
    """Opacity of a disc with soft edges: 0 outside, 1 inside."""
    y, x = np.mgrid[0:height, 0:width]
    return np.clip((min(height, width) / 3 - np.hypot(y - height / 2, x - width / 2)) / soft + 0.5, 0, 1)


def as_whole(values, dtype):
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def encode(source, **settings):
    return nfcodec.encode(source, **{"effort": 1, "kind": None if isinstance(source, Signal) else "image", **settings})


def sunlit(height, width, lamp=4000.0):
    """Linear light: a picture in shade, half of it in the sun, and a lamp."""
    y, x = np.mgrid[0:height, 0:width]
    lit = rgb(height, width) ** 2.2 * np.where(x > width / 2, 16.0, 1.0)[..., None]
    spot = np.exp(-((y - height / 4) ** 2 + (x - width / 4) ** 2) / 8)
    return (lit + lamp * spot[..., None] * np.array([1, 0.8, 0.5])).astype(np.float32)


# ---------------------------------------------------------------- what a difference is worth


def test_hidden_colours_count_for_nothing_and_alpha_in_full():
    source = np.full((4, 5, 4), 200, np.uint8)
    source[:2, :, 3] = 0
    source[2:, :, 3] = 255
    other = source.copy()
    other[:2, :, :3] = 13
    signal = Signal("image", source)
    assert signal.has_alpha
    report = measure_decoded(other, signal)
    assert report.psnr_db == math.inf and report.max_error == report.rms == 0
    other[0, 0, 3] = 5  # but alpha itself is seen
    assert measure_decoded(other, signal).max_error == 5
    other[3, 3, 0] = 190
    report = measure_decoded(other, signal)
    assert report.max_error == 10 and report.rms == pytest.approx(math.sqrt(125 / source.size))
    assert report.psnr_db == pytest.approx(10 * math.log10(255**2 * source.size / 125))


@pytest.mark.parametrize("dtype, white", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
def test_differences_are_those_of_pictures_laid_over_any_background(dtype, white):
    rng = np.random.default_rng(0)
    source = (rng.random((6, 7, 4)) * white).astype(dtype)
    decoded = source.copy()
    decoded[..., :3] = (rng.random((6, 7, 3)) * white).astype(dtype)
    seen = metrics.as_seen(source, decoded)

    def over(picture, background):
        opacity = picture[..., 3:] / white
        return picture[..., :3] * opacity + background * (1 - opacity)

    for background in (0.0, 0.3 * white, white):
        wanted = over(decoded.astype(float), background) - over(source.astype(float), background)
        np.testing.assert_allclose(seen[..., :3] - source[..., :3], wanted, atol=1e-9 * white)
    assert np.array_equal(seen[..., 3], decoded[..., 3])


def test_alpha_is_what_the_metadata_say():
    for channels, meta, has_alpha in [(4, {}, True), (2, {}, True), (3, {}, False), (4, {"alpha": False}, False)]:
        assert Signal("image", np.zeros((2, 2, channels), np.uint8), meta=meta).has_alpha == has_alpha
    assert not Signal("volume", np.zeros((2, 2, 4), np.uint8)).has_alpha
    four = np.zeros((2, 2, 4), np.uint8)
    other = four.copy()
    other[0, 0, 0] = 7
    assert measure_decoded(other, Signal("image", four, meta={"alpha": False})).max_error == 7


def test_the_knee_is_for_high_dynamic_ranges_only():
    even = rgb(20, 30)
    assert metrics.light_knee(even) == 0 and metrics.light_knee(np.zeros((3, 3))) == 0
    assert metrics.light_knee(np.full((3, 3), 7.0)) == 0
    light = sunlit(20, 30)
    knee = metrics.light_knee(light)
    assert knee == pytest.approx(np.median(light) / 4)
    assert metrics.light_knee(-light) == knee and metrics.light_knee(1e-6 * light) == pytest.approx(1e-6 * knee)
    assert metrics.light_knee(np.array([1e-30] * 9 + [1e10])) == pytest.approx(1e-2)  # float32 tells no more apart
    # twice the light everywhere is the same error for bright and dark parts
    by_two = [metrics.log_psnr_db(light, np.where(m, 2 * light, light), knee) for m in (light > 1, light > 100)]
    assert all(math.isfinite(db) for db in by_two)


# ---------------------------------------------------------------- what the fit sees


def test_hidden_colours_are_filled_smoothly():
    hidden = pytest.importorskip("nfcodec.fit.hidden", reason="the fit needs torch")
    y, x = np.mgrid[0:37, 0:50] / 50
    smooth = np.stack([x, y, 0.5 * (x + y)], -1).astype(np.float32)
    seen = disc(37, 50) > 0
    noise = np.random.default_rng(0).random(smooth.shape).astype(np.float32)
    filled = hidden.fill_hidden(np.where(seen[..., None], smooth, noise), seen)
    assert np.array_equal(filled[seen], smooth[seen]) and filled.dtype == np.float32
    steps = [np.abs(np.diff(filled, axis=k)).max() for k in (0, 1)]
    assert max(steps) < 0.12 and smooth.min() - 1e-6 <= filled.min() and filled.max() <= smooth.max() + 1e-6
    assert np.array_equal(hidden.fill_hidden(noise, np.ones(seen.shape, bool)), noise)
    assert not hidden.fill_hidden(noise, np.zeros(seen.shape, bool)).any()
    for shape in ((1, 1), (1, 9), (5, 1)):
        one = np.zeros(shape, bool)
        one[0, 0] = True
        filled = hidden.fill_hidden(np.full((*shape, 2), 0.25, np.float32) * one[..., None], one)
        np.testing.assert_allclose(filled, 0.25, atol=1e-6)


def test_sources_of_pictures():
    source = pytest.importorskip("nfcodec.fit.source", reason="the fit needs torch")

    def of(values, **meta):
        return source.from_lattice(Signal("image", values, meta=meta))

    alpha = disc(16, 16)[..., None]
    plain = of(as_whole(rgb(16, 16), np.uint8))
    assert (plain.offset, plain.scale, plain.clip, plain.knee) == ((0.0,) * 3, (255.0,) * 3, True, 0.0)
    assert plain.is_judged_by_error and plain.is_color
    clear = of(as_whole(np.concatenate([rgb(16, 16), alpha], -1), np.uint16))
    assert clear.scale == (65535.0,) * 4 and not clear.is_judged_by_error
    margin = clear.target[..., 3]
    assert margin.max() > 1.01 and margin.min() < -0.01  # aimed beyond both ends, so that clipping makes them exact
    soft = (alpha[..., 0] > 0.01) & (alpha[..., 0] < 0.99)
    np.testing.assert_allclose(margin[soft], alpha[..., 0][soft], atol=1e-4)
    # the colours of floats have their own range, alpha another
    floats = of(np.concatenate([5 * rgb(16, 16), alpha], -1).astype(np.float32))
    assert floats.scale[3] == 1.0 and floats.scale[0] > 2 and floats.knee == 0
    light = sunlit(32, 48)
    bright = of(light)
    assert bright.knee and bright.offset == (0.0,) * 3 and bright.clip and bright.lmbda_factor < 1
    assert bright.target.max() == pytest.approx(1) and bright.target.min() >= 0
    back = bright.knee * np.sinh(bright.scale[0] * bright.target.astype(float) / bright.knee)
    np.testing.assert_allclose(back, light, rtol=1e-5)
    signed = of(light - 0.5)
    assert signed.knee and not signed.clip and signed.target.min() < 0
    assert not of(np.clip(light, 0, 1)).knee


# ---------------------------------------------------------------- end to end


@needs_torch
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_stays_exact_where_it_is_full_or_nothing(dtype, channels):
    opacity = disc(48, 64)
    colours = rgb(48, 64)[..., : channels - 1]
    values = as_whole(np.concatenate([colours, opacity[..., None]], -1), dtype)
    hidden = values[..., -1] == 0
    rng = np.random.default_rng(0)
    noisy = values.copy()
    noisy[hidden, :-1] = rng.integers(0, np.iinfo(dtype).max, (hidden.sum(), channels - 1))
    encoded = encode(noisy, effort=2)
    decoded = nfcodec.open(encoded.data).decode()
    white = np.iinfo(dtype).max
    for full in (0, white):
        assert (decoded[..., -1] == full)[values[..., -1] == full].mean() > 0.85
    assert encoded.report.psnr_db > 30
    assert encoded.report == measure(nfcodec.open(encoded.data), Signal("image", noisy))
    # noise that nobody sees costs what nothing there would cost
    assert len(encoded.data) <= 1.15 * len(encode(values, effort=2).data)


@needs_torch
def test_an_opaque_alpha_is_exact_and_cheap():
    colours = as_whole(rgb(32, 32), np.uint8)
    values = np.concatenate([colours, np.full((32, 32, 1), 255, np.uint8)], -1)
    encoded = encode(values)
    assert (nfcodec.open(encoded.data).decode()[..., 3] == 255).all()
    assert len(encoded.data) < len(encode(colours).data) + 60


@needs_torch
def test_highlights_and_shadows_of_a_high_dynamic_range_both_survive():
    light = sunlit(48, 64)
    encoded = encode(light, effort=2)
    field = nfcodec.open(encoded.data)
    decoded = field.decode()
    assert field.spec.knee > 0 and field.spec.clip and decoded.dtype == np.float32
    assert decoded.min() >= 0 and decoded.max() <= light.max() * 1.0001
    assert decoded.max() > 0.5 * light.max()  # the lamp
    shade = np.s_[30:, :28]
    assert np.median(np.abs(decoded[shade] / light[shade] - 1)) < 0.25
    assert encoded.report.log_psnr_db > 28
    assert encoded.report.log_psnr_db == pytest.approx(
        metrics.log_psnr_db(light, decoded, metrics.light_knee(light)), abs=1e-9
    )


@needs_torch
def test_values_below_zero_survive_beside_a_high_range():
    light = sunlit(24, 32) - 0.4
    encoded = encode(light)
    decoded = nfcodec.open(encoded.data).decode()
    assert not nfcodec.open(encoded.data).spec.clip and decoded.min() < -0.05 and encoded.report.log_psnr_db > 20


@needs_torch
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad):
    light = sunlit(8, 8)
    light[3, 4, 1] = bad
    with pytest.raises(nfcodec.errors.SignalError, match=r"the first at index \(3, 4, 1\)"):
        encode(light)


@needs_torch
@pytest.mark.parametrize("target", [{"psnr": 45.0}, {"size": 900}])
def test_targets_of_a_high_dynamic_range(target):
    encoded = encode(sunlit(24, 32), **target)
    assert encoded.met
    assert encoded.report.psnr_db >= 45 if "psnr" in target else len(encoded.data) <= 900


@needs_torch
def test_a_float_picture_of_usual_range_is_kept_on_an_even_scale():
    values = rgb(24, 32).astype(np.float32)
    encoded = encode(values)
    assert nfcodec.open(encoded.data).spec.knee == 0 and encoded.report.log_psnr_db is None
    assert encoded.report.psnr_db > 25


@needs_torch
@pytest.mark.parametrize("suffix", [".hdr", ".pfm", ".tif"])
def test_files_of_light_go_all_the_way_round(tmp_path, suffix):
    from nfcodec.export import default_suffix, export

    pytest.importorskip("imagecodecs", reason="Radiance needs imagecodecs")
    pytest.importorskip("tifffile", reason="TIFF needs tifffile")
    light = sunlit(24, 32)
    io.write_lattice(tmp_path / f"a{suffix}", light)
    encoded = encode(tmp_path / f"a{suffix}", kind=None)
    field = nfcodec.open(encoded.data)
    assert default_suffix(field) == suffix
    export(field, tmp_path / f"b{suffix}")
    back = io.read(tmp_path / f"b{suffix}")
    assert back.values.shape == light.shape and back.values.dtype == np.float32
    report = measure_decoded(back.values, Signal("image", light))
    assert report.log_psnr_db > 20
    assert field.meta.get("colour_space") == ("linear" if suffix != ".tif" else None)


@needs_torch
def test_multiplied_colours_are_divided_on_reading(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="TIFF needs tifffile")
    opacity = disc(24, 24)[..., None]
    straight = as_whole(np.concatenate([rgb(24, 24), opacity], -1), np.uint8)
    multiplied = straight.copy()
    multiplied[..., :3] = np.rint(straight[..., :3] * opacity)
    tifffile.imwrite(tmp_path / "a.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    signal = io.read(tmp_path / "a.tif")
    assert signal.has_alpha and signal.meta["premultiplied"] is True
    # eight bits of a faint colour are few
    bound = np.where(opacity > 0.02, 0.6 / np.maximum(opacity, 0.02) + 1, 255)
    assert np.all(np.abs(signal.values[..., :3].astype(int) - straight[..., :3]) <= bound)
    assert measure_decoded(signal.values, Signal("image", straight)).max_error < 2.2
    assert encode(signal).report.psnr_db > 25


def test_extra_channels_that_are_no_alpha_are_told_apart(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="TIFF needs tifffile")
    values = as_whole(np.concatenate([rgb(6, 6), disc(6, 6)[..., None]], -1), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"], metadata=None)
    signal = io.read(tmp_path / "a.tif")
    assert signal.meta["alpha"] is False and not signal.has_alpha
    io.write_lattice(tmp_path / "b.tif", signal.values, signal.meta)
    again = io.read(tmp_path / "b.tif")
    assert again.meta["alpha"] is False and np.array_equal(again.values, values)


# ---------------------------------------------------------------- metadata that say nothing new


@needs_torch
def test_a_plain_picture_keeps_only_its_name(tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="images need pillow")
    for channels in (1, 2, 3, 4):
        values = as_whole(np.concatenate([rgb(8, 8), disc(8, 8)[..., None]], -1), np.uint8)[..., -channels:]
        io.write_lattice(tmp_path / f"{channels}.png", values)
        encoded = encode(tmp_path / f"{channels}.png", kind=None)
        assert nfcodec.open(encoded.data).meta == {"source": f"{channels}.png"}
        nfcodec.export.export(nfcodec.open(encoded.data), tmp_path / f"back{channels}.png")
        with Image.open(tmp_path / f"back{channels}.png") as image:
            assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]


def test_what_is_not_implied_stays():
    values = np.zeros((4, 5, 3), np.uint16)
    meta = {
        "source": "a.dat", "format": "png", "dtype": "uint16", "axes": "yxc", "bit_depth": 10, "colour_space": "icc",
        "value_range": [0, 0], "dpi": [72, 72],
    }  # fmt: skip
    left = io.compact(Signal("image", values, meta=meta))
    assert left == {k: meta[k] for k in ("source", "format", "bit_depth", "colour_space", "dpi")}
    assert meta["dtype"] == "uint16"  # the signal's own is as it was
    volume = dataclasses.replace(Signal("volume", np.zeros((3, 4, 5, 1), np.int16)), meta={"axes": "tyx", "alpha": True})
    assert io.compact(volume) == {"axes": "tyx", "alpha": True}
