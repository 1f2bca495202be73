"""What is particular to fits of surfaces: where errors count, where features start, and which samples a step looks at."""

from dataclasses import replace

import numpy as np
import pytest
import surfaces

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("igl", reason="distances need libigl")

import nfcodec  # noqa: E402
from nfcodec.fit import presets  # noqa: E402
from nfcodec.fit.analysis import pyramid  # noqa: E402
from nfcodec.fit.build import build  # noqa: E402
from nfcodec.fit.encodings import Rounding  # noqa: E402
from nfcodec.fit.source import SURFACE_ALIGNMENT, from_mesh, measure_mesh  # noqa: E402
from nfcodec.fit.step import Look  # noqa: E402
from nfcodec.spec import GridSpec, Signal  # noqa: E402


def source_of(mesh, resolution=64, kind="sdf"):
    signal, distance, rim = measure_mesh(Signal(kind, mesh=mesh), False)
    return from_mesh(signal, distance, resolution, rim)


@pytest.mark.parametrize("mesh", [surfaces.sphere(3), surfaces.box(high=(1.0, 0.4, 0.1))])
def test_a_lattice_halves_exactly_and_holds_the_mesh(mesh):
    source = source_of(mesh)
    assert max(source.extent) == 64 and all(n % SURFACE_ALIGNMENT == 0 for n in source.extent)
    size = np.array(source.extent) * source.cell
    low, high = np.array(source.origin)[::-1], (np.array(source.origin) + size)[::-1]
    assert (low < mesh.vertices.min(0)).all() and (mesh.vertices.max(0) < high).all()
    preset = presets.choose(source, 1e-2, "dense", 5)
    pairs = zip(preset.grid.resolutions[-3:], preset.grid.resolutions[-2:])
    assert all(2 * a == b for coarse, fine in pairs for a, b in zip(coarse, fine))


def test_errors_count_at_the_surface_and_a_little_anywhere():
    source = source_of(surfaces.sphere(4))
    distance = np.abs(source.target[..., 0]) * source.scale[0] / source.cell  # in samples, near the surface
    assert source.weight[distance < 0.2].min() > 0.9
    assert source.weight[distance > 3].max() < 0.02
    assert 0 < source.weight.min() < 1e-3


def test_features_that_do_not_pay_start_at_nothing():
    rng = np.random.default_rng(0)
    planes = rng.normal(size=(32, 32, 1)).astype(np.float32)
    weight = np.full((32, 32), 1e-4, np.float32)
    weight[:8] = 1.0
    spec = GridSpec("dense", ((8, 8), (16, 16), (32, 32)), (1, 1, 1), "cubic")
    plain, found = pyramid(planes, spec), pyramid(planes, spec, weight, 0.01)
    for before, after in zip(plain, found):
        n = after.shape[1]
        assert (after[:, n // 2 :] == 0).all() and (before[:, n // 2 :] != 0).any()
        assert np.mean(after[:, : n // 4] != 0) > 0.5
    np.testing.assert_array_equal(found[0][found[0] != 0], plain[0][found[0] != 0])
    free = pyramid(planes, spec, weight, 0.0)  # where bits cost nothing all are kept
    for before, after in zip(plain, free):
        np.testing.assert_array_equal(before, after)


def test_blocks_far_from_the_surface_are_seen_seldom_and_count_the_same():
    pytest.importorskip("numba", reason="the kernels need numba")
    from nfcodec.fit.fast import FastStep

    source = source_of(surfaces.sphere(3))
    fit = build(source, presets.choose(source, 1e-2, "dense", 5))
    stepper = FastStep(fit.model, fit.tiles, np.random.default_rng(0))
    (tile,), look = fit.tiles, Look(Rounding(0.3, 0.0), (1, 0, 1), 2)
    layout = stepper._layout(tile)
    plane = layout.samples(look, tuple(tile.target.shape[1:]), fit.model.rounded_shapes()).plane
    weight = tile.weight[look.pick()].numpy().reshape(-1)
    drawn = np.stack([stepper._weights(layout, tile, look, plane) for _ in range(400)])
    near = weight > 0.02
    np.testing.assert_array_equal(drawn[:, near], np.broadcast_to(weight[near], drawn[:, near].shape))
    assert (drawn == 0).any(1).all()
    assert drawn.mean(0).sum() == pytest.approx(weight.sum(), rel=0.02)
    far = (drawn == 0).any(0)
    assert (drawn[:, far] == 0).mean() == pytest.approx(0.875, abs=0.02)
    assert drawn[:, far].mean() == pytest.approx(weight[far].mean(), rel=0.1)


def test_a_thin_lattice_is_a_field_too():
    source = source_of(surfaces.box(high=(1.0, 1.0, 0.01)), 32)
    fit = build(source, replace(presets.choose(source, 1e-2, "dense", 1), tile_edge=20))
    assert len(fit.tiles) == 4 and np.isfinite(fit.measure()).all()


def test_a_network_alone_starts_near_the_surface_and_sees_few_samples_a_step():
    source = source_of(surfaces.sphere(3), 96)
    fit = build(source, presets.choose(source, 5e-3, "identity", 3), 0)
    start = fit.model.tensors[-2].item()
    assert abs(start) < 0.1 * source.target.mean()
    assert start == pytest.approx(np.average(source.target[..., 0], weights=source.weight), rel=1e-4)
    assert 8192 <= np.prod([n / fit.stride for n in source.extent]) <= 32768
    # beside a grid, whose own features are what is left of the mean
    grid = build(source, presets.choose(source, 5e-3, "dense", 3), 0)
    assert grid.model.tensors[-2].item() == pytest.approx(float(source.target.mean()), rel=1e-4)


def test_a_narrow_siren_finds_a_surface():
    found = nfcodec.encode(surfaces.sphere(3), encoding="identity", network="16x2", quality=30, effort=2)
    assert max(nfcodec.open(found.data).spec.extent) <= 96
    assert found.report.rms < 0.02
