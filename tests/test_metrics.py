"""Metrics against closed-form answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import box, inverted, joined, sheet, sphere, without

from nfcodec import metrics
from nfcodec.errors import NfldError, UsageError
from nfcodec.spec import Mesh


def gradient(dtype=np.uint8, height=32, width=48):
    return (np.arange(height * width * 3).reshape(height, width, 3) % 200 + 20).astype(dtype)


@settings(deadline=None)
@given(shift=st.integers(1, 30))
def test_a_shifted_image_has_its_closed_form_psnr(shift):
    image = gradient()
    expected = 20 * np.log10(255 / shift)
    assert metrics.image_psnr_db(image, image + np.uint8(shift)) == pytest.approx(expected)
    # uint8 differences must not wrap around
    assert metrics.image_psnr_db(image + np.uint8(shift), image) == pytest.approx(expected)


def test_images_are_judged_as_they_would_be_written():
    image = gradient()
    assert metrics.image_psnr_db(image, image + 0.49) == np.inf
    assert metrics.image_psnr_db(image, image + 0.51) == pytest.approx(20 * np.log10(255))
    white = np.full((8, 8, 3), 255, np.uint8)
    assert metrics.image_psnr_db(white, np.full(white.shape, 300.0)) == np.inf
    deep = gradient(np.uint16)
    assert metrics.image_psnr_db(deep, deep + np.uint16(7)) == pytest.approx(20 * np.log10(65535 / 7))
    for wrong in (image.astype(np.float32), image.astype(np.int32)):
        with pytest.raises(UsageError, match="uint8 or uint16"):
            metrics.image_psnr_db(wrong, image)
    with pytest.raises(UsageError, match="one dtype"):
        metrics.image_psnr_db(image, deep)


def test_volumes_take_their_range_as_peak():
    volume = np.linspace(-3, 5, 4**3, dtype=np.float32).reshape(4, 4, 4)
    assert metrics.volume_psnr_db(volume, volume + np.float32(0.5)) == pytest.approx(20 * np.log10(8 / 0.5), abs=1e-5)
    # the source decides: the decoded range is another one
    assert metrics.volume_psnr_db(volume, volume * 2) != pytest.approx(metrics.volume_psnr_db(volume * 2, volume))
    constant = np.full((3, 3), 7, np.int16)
    assert metrics.volume_psnr_db(constant, constant) == np.inf
    assert metrics.volume_psnr_db(constant, constant + 1) == -np.inf
    wide = np.array([-32768, 32767], np.int16)
    assert metrics.volume_psnr_db(wide, wide[::-1]) == pytest.approx(0)


def test_long_arrays_are_summed_in_pieces(monkeypatch):
    a, b = np.random.default_rng(0).normal(size=(2, 1000))
    whole = metrics.psnr_db(a, b, 1.0), metrics.max_error(a, b)
    monkeypatch.setattr(metrics, "_CHUNK", 7)
    assert (metrics.psnr_db(a, b, 1.0), metrics.max_error(a, b)) == pytest.approx(whole)
    assert whole[0] == pytest.approx(-10 * np.log10(np.mean((a - b) ** 2)))
    assert whole[1] == np.abs(a - b).max()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(bad):
    values = np.ones((4, 4))
    spoilt = values.copy()
    spoilt[2, 3] = bad
    for call in (
        lambda: metrics.psnr_db(values, spoilt, 1.0),
        lambda: metrics.max_error(spoilt, values),
        lambda: metrics.volume_psnr_db(spoilt, values),
        lambda: metrics.psnr_db(values, values, bad),
        lambda: metrics.psnr_db(values, values[:2], 1.0),
        lambda: metrics.psnr_db(values[:0], values[:0], 1.0),
    ):
        with pytest.raises(UsageError, match="expected"):
            call()


def test_the_mean_is_of_decibels():
    assert metrics.mean_psnr_db([30.0, 40.0]) == 35.0
    assert metrics.mean_psnr_db([30.0, np.inf]) == np.inf
    for bad in ([], [30.0, np.nan]):
        with pytest.raises(UsageError):
            metrics.mean_psnr_db(bad)


def test_ssim():
    pytest.importorskip("skimage")
    image = gradient()
    assert metrics.ssim(image, image, 255) == pytest.approx(1)
    a, b = np.full((16, 16), 100.0), np.full((16, 16), 110.0)
    c1 = (0.01 * 255) ** 2  # constant images: only the luminance term is left
    assert metrics.ssim(a, b, 255) == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1))
    with pytest.raises(UsageError, match="11"):
        metrics.ssim(image[:8], image[:8], 255)


def test_concentric_spheres():
    pytest.importorskip("igl")
    outer, inner = sphere(6, radius=1.0), sphere(6, radius=0.9)
    errors = metrics.surface_error(outer, inner, 20_000)
    expected = 0.1 / np.sqrt(12)  # relative to the diagonal of the unit sphere's box
    for one in (errors.source_to_decoded, errors.decoded_to_source):
        assert (one.rms, one.mean, one.hausdorff) == pytest.approx((expected,) * 3, rel=5e-3)
        assert one.normal_deg < 1.0
    assert (errors.rms, errors.chamfer, errors.hausdorff) == pytest.approx((expected,) * 3, rel=5e-3)
    assert metrics.chamfer(outer, inner, 20_000) == errors.chamfer
    # relative to the source's diagonal in both directions
    assert metrics.surface_error(inner, outer, 20_000).rms == pytest.approx(expected / 0.9, rel=5e-3)


def test_directions_are_kept_apart_and_joined_as_stated():
    pytest.importorskip("igl")
    ball = sphere(5)
    half = without(ball, ball.vertices[ball.faces].mean(axis=1)[:, 2] < 0)
    errors = metrics.surface_error(ball, half, 50_000)
    assert errors.decoded_to_source.rms == pytest.approx(0, abs=1e-12)
    # a point at angle u below the rim is 2 sin(u / 2) from it; with h = sin(u) uniform, the mean square is 2 - pi / 2
    expected = np.sqrt((2 - np.pi / 2) / 2 / 12)
    assert errors.source_to_decoded.rms == pytest.approx(expected, rel=0.01)
    assert errors.rms == pytest.approx(expected / np.sqrt(2), rel=0.01)
    assert errors.hausdorff == pytest.approx(np.sqrt(2 / 12), rel=0.02)
    assert errors.chamfer == pytest.approx(errors.source_to_decoded.mean / 2)


def test_shifted_and_tilted_planes():
    pytest.importorskip("igl")
    one = metrics.surface_distance(sheet(), sheet(height=0.25), 1000)
    assert (one.rms, one.mean, one.hausdorff) == pytest.approx((0.25 / np.sqrt(2),) * 3)
    assert metrics.surface_distance(sheet(), sheet(height=0.25), 1000, diagonal=1.0).rms == pytest.approx(0.25)
    tilt = np.radians(25)
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    tilted = Mesh(sheet().vertices @ rotation.T, sheet().faces)
    assert metrics.surface_error(sheet(), tilted, 1000).normal_deg == pytest.approx(25)
    assert metrics.surface_error(sheet(), tilted, 1000).normal_consistency == pytest.approx(np.cos(tilt))
    assert metrics.surface_error(sheet(), inverted(sheet()), 1000).normal_deg == pytest.approx(0, abs=1e-6)


def test_errors_count_by_area_not_by_faces():
    """A sheet a quarter of which is raised and cut into many small faces: its error counts by a quarter."""
    pytest.importorskip("igl")
    flat = Mesh(np.array([[0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0]], float), np.array([[0, 1, 2], [0, 2, 3]]))
    x, y = (g.ravel() for g in np.meshgrid(np.linspace(3, 4, 21), np.linspace(0, 1, 21), indexing="ij"))
    corners = np.arange(21 * 20).reshape(20, 21)[:, :-1].ravel()
    fine = np.concatenate([corners[:, None] + [0, 21, 22], corners[:, None] + [0, 22, 1]])
    raised = joined(flat, Mesh(np.stack([x, y, np.full(x.shape, 0.1)], 1), fine))
    ground = Mesh(np.array([[0, 0, 0], [4, 0, 0], [4, 1, 0], [0, 1, 0]], float), np.array([[0, 1, 2], [0, 2, 3]]))
    one = metrics.surface_distance(raised, ground, 20_000, diagonal=1.0)
    assert one.rms == pytest.approx(0.1 * np.sqrt(1 / 4), rel=0.01)
    assert (one.mean, one.hausdorff) == pytest.approx((0.1 / 4, 0.1), rel=0.01)


def test_volumetric_iou_of_balls():
    """Concentric ones: the ratio of their volumes. Two of radius 1 at a distance of 1: each lens is 5 pi / 12."""
    pytest.importorskip("igl")
    assert metrics.volumetric_iou(sphere(5), sphere(5, radius=0.8)) == pytest.approx(0.8**3, abs=0.01)
    lens = 5 * np.pi / 12
    apart = metrics.volumetric_iou(sphere(5), sphere(5, centre=(1, 0, 0)))
    assert apart == pytest.approx(lens / (8 * np.pi / 3 - lens), abs=0.01)


def test_volumetric_iou_of_boxes():
    pytest.importorskip("igl")
    assert metrics.volumetric_iou(box(), box((0.5, 0, 0), (1.5, 1, 1))) == pytest.approx(1 / 3, abs=0.01)
    assert metrics.volumetric_iou(box(), inverted(box())) == 1
    assert metrics.volumetric_iou(box(), box((2, 0, 0), (3, 1, 1))) == 0
    with pytest.raises(UsageError, match="boundary edges"):
        metrics.volumetric_iou(box(), sheet())


@settings(deadline=None)
@given(factor=st.floats(0.2, 5))
def test_bd_rate_of_a_scaled_curve_is_the_scale(factor):
    pytest.importorskip("scipy")
    rates, psnrs = np.array([0.1, 0.3, 0.5, 1.0]), np.array([28.0, 32.5, 35.0, 39.5])
    shuffled = [2, 0, 3, 1]
    assert metrics.bd_rate(rates, psnrs, factor * rates[shuffled], psnrs[shuffled]) == pytest.approx(
        100 * (factor - 1), abs=1e-9
    )


def test_bd_rate_over_the_common_range():
    pytest.importorskip("scipy")
    # log-linear curves of 10 and 5 dB a decade meet at 30 dB; over 30 to 35 dB b takes 10^0.25 times the rate
    a = 10 ** np.array([-1, 0, 0.5, 1]), 30 + 10 * np.array([-1, 0, 0.5, 1])
    b = 10 ** np.array([0, 0.5, 1]), 30 + 5 * np.array([0, 0.5, 1])
    assert metrics.bd_rate(*a, *b) == pytest.approx(100 * (10**0.25 - 1))
    with pytest.raises(NfldError, match="overlap"):
        metrics.bd_rate([1, 2], [30, 31], [1, 2], [31, 32])
    for bad in (([1, 2], [30, 30]), ([0, 2], [30, 31]), ([1, 2], [30, np.nan]), ([1], [30])):
        with pytest.raises(UsageError, match="BD-rate"):
            metrics.bd_rate(*bad, [1, 2], [30, 31])
