"""What lies beyond the ends of an axis: clamp, wrap, reflect, in every path that samples a field or fits one."""

import numpy as np
import pytest
from field_cases import make_field
from hypothesis import given, settings
from hypothesis import strategies as st

import nfcodec
from nfcodec.encodings import interpolate
from nfcodec.errors import UsageError
from nfcodec.spec import BOUNDARIES, CATMULL_ROM, LINEAR, NEAREST, SMOOTHSTEP

MIXED = {2: ("wrap", "reflect"), 3: ("reflect", "wrap", "clamp")}


@given(st.integers(-60, 60), st.integers(1, 20))
def test_vertices_beyond_are_those_of_the_continued_lattice(i, n):
    values = np.arange(n)
    continued = {
        "clamp": np.concatenate([np.full(60, 0), values, np.full(80, n - 1)]),
        "wrap": np.tile(values, 200)[(-60) % n :],
        "reflect": np.tile(np.concatenate([values, values[::-1]]), 100)[(-60) % (2 * n) :],
    }
    for boundary in BOUNDARIES:
        assert interpolate.fold(np.array([i]), n, boundary)[0] == continued[boundary][60 + i]


@pytest.mark.parametrize("kernel", [NEAREST, LINEAR, SMOOTHSTEP, CATMULL_ROM, (0.5, 0.25)], ids=str)
@pytest.mark.parametrize("boundary", ["wrap", "reflect"])
@given(x=st.lists(st.floats(-3, 3), min_size=1, max_size=20), n=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_an_axis_is_that_of_a_longer_one(kernel, boundary, x, n):
    """Three axes one after the other, or there and back and there, are an axis without an end near the middle one."""
    x, values = np.round(np.array(x), 4), np.random.default_rng(n).normal(size=n)
    once = values if boundary == "wrap" else np.concatenate([values, values[::-1]])
    period = len(once) // n
    index, w, d = interpolate.taps(x, n, kernel, boundary=boundary)
    at = (x % period + 2 * period) / (5 * period)  # in the middle of five
    longer, w5, d5 = interpolate.taps(at, 5 * len(once), kernel)
    found, wanted = (w * values[index]).sum(1), (w5 * np.tile(once, 5)[longer]).sum(1)
    slopes = (d * values[index]).sum(1), (d5 * np.tile(once, 5)[longer]).sum(1) / (5 * period)
    steady = np.abs(x * n * 2 - np.rint(x * n * 2)) > 1e-6  # rounding decides where nearest jumps and linear bends
    np.testing.assert_allclose(found[steady], wanted[steady], atol=1e-4)
    np.testing.assert_allclose(slopes[0][steady], slopes[1][steady], atol=1e-3 * n)


@pytest.mark.parametrize("boundary", ["wrap", "reflect"])
@pytest.mark.parametrize("kernel", [NEAREST, LINEAR, CATMULL_ROM], ids=str)
@given(x=st.lists(st.floats(-1, 2), min_size=1, max_size=20), n=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_a_matrix_over_a_run_is_the_taps(kernel, boundary, x, n):
    x, values = np.array(x), np.random.default_rng(n).normal(size=n)
    first, matrix = interpolate.axis_matrix(x, n, kernel, 0.0, boundary)
    assert (first, matrix.shape[1]) == interpolate.axis_span(x, n, kernel, 0.0, boundary)
    index, w, _ = interpolate.taps(x, n, kernel, 0.0, boundary)
    run = interpolate.fold(np.arange(first, first + matrix.shape[1]), n, boundary)
    np.testing.assert_allclose(matrix @ values[run], (w * values[index]).sum(1), atol=1e-5)


@pytest.mark.parametrize("encoding", ["dense", "hash"])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "smoothstep", "mitchell"])
def test_kernels_equal_numpy_or_step_aside(encoding, interpolation, both):
    pytest.importorskip("numba", reason="the kernels need numba")
    extent, rng = (9, 7, 11), np.random.default_rng(0)
    field = make_field(
        encoding=encoding, interpolation=interpolation, extent=extent, resolutions=((1, 1, 1), (2, 5, 3), extent),
        n_features=(2, 1, 3), boundary=MIXED[3], n_surrounded=2 * (encoding == "dense" and interpolation == "mitchell"),
    )  # fmt: skip
    axes, around = [(np.arange(2 * n) + 0.5) / (2 * n) for n in extent], rng.uniform(-1.5, 2.5, (150, 3))
    calls = {
        "inside": lambda: field.sample(np.abs(around) % 1),
        "around": lambda: field.sample(around),
        "slopes": lambda: field.gradient(around / 4 + 0.4),
        "lattice": lambda: field.sample_lattice(axes),
        "far": lambda: field.sample_lattice([a * 3 - 1 for a in axes]),
    }
    for name, call in calls.items():
        fast, plain = both(call)
        scale = max(1.5, np.abs(plain).max())
        np.testing.assert_allclose(fast, plain, rtol=0, atol=scale * 2.0**-16, err_msg=name)


def test_a_field_that_wraps_is_periodic():
    field = make_field(interpolation="cubic", boundary=("wrap", "wrap"))
    coords = np.random.default_rng(0).random((50, 2))
    for shift in ([1, 0], [-2, 3]):
        np.testing.assert_allclose(field.sample(coords + shift), field.sample(coords), atol=1e-4)
        np.testing.assert_allclose(field.gradient(coords + shift), field.gradient(coords), atol=1e-2)
    mirror = make_field(interpolation="cubic", boundary=("reflect", "reflect"))
    np.testing.assert_allclose(mirror.sample(-coords), mirror.sample(coords), atol=1e-4)
    np.testing.assert_allclose(mirror.gradient(-coords), -mirror.gradient(coords), atol=1e-2)


# ---------------------------------------------------------------- fitting


def texture(n=64):
    """A pattern that tiles: waves of whole periods, (n, n, 3) uint8, whose phases meet no edge."""
    y, x = 2 * np.pi * (np.mgrid[:n, :n] + 0.3) / n
    waves = [np.sin(3 * x + 2 * y + 1), np.sin(5 * y - x), np.sin(2 * x - 4 * y + 2) * np.cos(6 * x)]
    return np.rint(np.stack(waves, -1) * 100 + 128).astype(np.uint8)


def seam_error(field, n):
    """RMS difference of a field between its last and first samples, across the seam, from the texture there."""
    shifts = np.array([[0.5, y] for y in (np.arange(n) + 0.5) / n]) / [n, 1]
    across = np.concatenate([shifts - [1 / n, 0], shifts - [0.5 / n, 0]])  # a sample before 0, and just at 0
    y, x = 2 * np.pi * (across * n - 0.5 + 0.3).T / n
    waves = [np.sin(3 * x + 2 * y + 1), np.sin(5 * y - x), np.sin(2 * x - 4 * y + 2) * np.cos(6 * x)]
    return np.sqrt(np.square(field.sample(across % 1 - (across % 1 == 0) * 1e-9) - np.stack(waves, -1) * 100 - 128).mean())


@pytest.mark.parametrize("encoding", ["dense", "hash"])
def test_a_texture_that_tiles_has_no_seam(encoding):
    pytest.importorskip("torch", reason="fitting needs torch")
    values, errors = texture(), {}
    for boundary in ("clamp", "wrap"):
        encoded = nfcodec.encode(values, kind="image", boundary=boundary, encoding=encoding, effort=2, quality=60)
        field = nfcodec.open(encoded.data)
        assert field.spec.grid.boundaries == (boundary,) * 2
        errors[boundary] = seam_error(field, len(values))
    assert errors["wrap"] < 0.6 * errors["clamp"], errors


def test_boundaries_by_axis_and_what_is_no_boundary(tmp_path):
    pytest.importorskip("torch", reason="fitting needs torch")
    values = texture(16)
    encoded = nfcodec.encode(values, kind="image", boundary="clamp,wrap", interpolation="nearest", effort=1, lossless=True)
    field = nfcodec.open(encoded.data)
    assert field.spec.grid.boundary == ("clamp", "wrap") and field.spec.grid.interpolation == "nearest"
    assert np.array_equal(field.decode(), values)
    for wrong in ("wrap,wrap,wrap", "mirror", ""):
        with pytest.raises(UsageError, match="boundary"):
            nfcodec.encode(values, kind="image", boundary=wrong)
    with pytest.raises(UsageError, match="interpolation"):
        nfcodec.encode(values, kind="image", interpolation="lanczos")
