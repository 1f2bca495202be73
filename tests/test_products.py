"""The kernels of factors and clouds equal numpy: points, lattices and gradients; and their steps equal autograd."""

from dataclasses import replace

import numpy as np
import pytest
from field_cases import FACTORED, make_field, suits
from kernel_cases import assert_close, points

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("numba", reason="the kernels need numba")

from nfcodec.fit import presets, scatter, step  # noqa: E402
from nfcodec.fit.build import build  # noqa: E402
from nfcodec.fit.encodings import Rounding  # noqa: E402
from nfcodec.fit.source import from_lattice  # noqa: E402
from nfcodec.fit.step import Look, PlainStep  # noqa: E402
from nfcodec.kernels import entries, factors  # noqa: E402
from nfcodec.spec import Signal  # noqa: E402

SOFT = Rounding(0.3, 0.0)  # without noise, which the two draw in different ways
CASES = [(name, d) for name in (*FACTORED, "points") for d in (2, 3, 4) if suits(name, d)]
EXTENTS = {2: (13, 70), 3: (9, 7, 21), 4: (3, 5, 4, 18)}


def make(d, name, interpolation="cubic", **settings):
    """A field with a level of one vertex an axis, one of odd sizes and one as fine as its extent."""
    settings = {"log2_size": 7, **settings} if name == "points" else settings
    resolutions = ((1,) * d, (2, 5, 3, 4)[:d], EXTENTS[d])
    return make_field(
        encoding=name, interpolation=interpolation, extent=EXTENTS[d], resolutions=resolutions, n_features=(2, 1, 3), **settings
    )


@pytest.mark.parametrize("name, d", CASES)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "smoothstep", "mitchell"])
@pytest.mark.parametrize("level", [None, 1])
def test_points_and_lattices(name, d, interpolation, level, both):
    if name == "points" and interpolation != "linear":
        pytest.skip("a cloud is not interpolated")
    field = make(d, name, interpolation, **({"joining": "concatenation"} if name == "triplane" and level else {}))
    assert_close(*both(lambda: field.sample(points(d, seed=d), level)))
    axes = [np.linspace(-0.1, 1.1, n) for n in (6, 9, 7, 21)[-d:]]
    fast, plain = both(lambda: field.sample_lattice(axes, level))
    assert_close(fast, plain)
    assert plain.std() > 1e-3


@pytest.mark.parametrize("name, d", CASES)
def test_gradients(name, d, both):
    field = make(d, name, "linear" if name == "points" else "cubic")
    fast, plain = both(lambda: field.gradient(points(d, seed=d)))
    scale = np.abs(plain).max()
    np.testing.assert_allclose(fast, plain, rtol=0, atol=scale * 2.0**-14)
    assert np.abs(plain).mean() > 0.01 * scale


@pytest.mark.parametrize("name", ["vm", "kplanes"])
def test_boundaries(name, both):
    field = make(3, name, boundary=("wrap", "clamp", "reflect"))
    coords = points(3, seed=3)
    assert_close(*both(lambda: field.sample(coords)))
    assert_close(*both(lambda: field.sample(np.clip(coords, 0, 1))))


def test_blocks_of_a_lattice_share_factors_or_have_their_own(both, monkeypatch):
    field, axes = make(3, "vm"), [np.linspace(0, 1, n) for n in (20, 90, 70)]
    shared, plain = both(lambda: field.sample_lattice(axes))
    monkeypatch.setattr(factors, "_MOST_WHOLE", 0)
    own, _ = both(lambda: field.sample_lattice(axes))
    assert_close(shared, plain)
    assert_close(own, plain)


# ---------------------------------------------------------------- steps


def step_of(name, shape, look, kernels, monkeypatch, generator=None):
    """[error, bits, gradients of networks and latents] of a step on the second tile of a signal with weights."""
    monkeypatch.setenv("NFCODEC_KERNELS", "numpy")  # both begin at the same place
    rng, axes = np.random.default_rng(0), np.meshgrid(*(np.linspace(0, 3, n) for n in shape[:-1]), indexing="ij")
    values = sum(np.sin((k + 1) * a) for k, a in enumerate(axes))[..., None] + 0.1 * rng.normal(size=shape)
    signal = Signal("image" if len(shape) == 3 else "volume", np.clip(128 + 40 * values, 0, 255).astype(np.uint8))
    source = from_lattice(signal)
    preset = presets.choose(source, 1e-3, name.split()[0], 5, max(1 << 14, source.target[..., 0].size))
    fit = build(source, replace(preset, tile_edge=23))
    torch.manual_seed(1)
    with torch.no_grad():
        for p in [*fit.model.tensors, *fit.model.grid.theta]:
            p += 0.1 * torch.randn_like(p)
    tile = fit.tiles[-1]
    tile.weight = torch.rand(tile.target.shape[1:])
    monkeypatch.setenv("NFCODEC_KERNELS", kernels)
    stepper = PlainStep(fit.model, generator)
    found = stepper.gradients(tile, look, (700.0, 0.01), wants_latents=True)
    return [*found, *(t.grad.numpy() for t in fit.model.tensors), *(leaf.grad.numpy() for leaf in stepper._picked)]


STEPS = {
    "triplane": ((26, 30, 35, 1), Look(SOFT, (0, 1, 1), 2, slope=0.5)),
    "kplanes": ((26, 30, 35, 2), Look(SOFT, (0, 0, 0), 1)),
    "cp": ((26, 30, 2), Look(SOFT, (0, 0), 1, depth=2)),
    "vm": ((6, 7, 8, 26, 1), Look(SOFT, (1, 1, 0, 0), 2)),
    "points": ((26, 30, 35, 1), Look(SOFT, (0, 1, 1), 2, slope=0.5)),
    "points of an image": ((26, 30, 3), Look(SOFT, (0, 0), 1, depth=2)),
    "hash": ((26, 30, 35, 1), Look(SOFT, (0, 1, 0), 2, slope=2.0)),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_those_of_autograd(name, monkeypatch):
    fast, plain = (step_of(name, *STEPS[name], kernels, monkeypatch) for kernels in ("numba", "numpy"))
    for found, expected in zip(fast, plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4 * np.abs(expected).max(initial=0))


def test_blocks_that_hardly_count_are_seen_seldom_with_more_weight(monkeypatch):
    seen = []
    monkeypatch.setattr(step, "FAR_WEIGHT", 2.0)  # all are far
    for seed in range(40):
        seen.append(step_of("triplane", *STEPS["triplane"], "numba", monkeypatch, np.random.default_rng(seed))[0])
    whole = step_of("triplane", *STEPS["triplane"], "numba", monkeypatch)[0]
    assert np.std(seen) > 0.02 * whole
    assert np.mean(seen) == pytest.approx(whole, abs=4 * np.std(seen) / 40**0.5)


def test_cells_of_large_lattices_are_searched(both, monkeypatch):
    field = make(3, "points", "linear")
    whole, plain = both(lambda: field.sample(points(3, seed=3)))
    monkeypatch.setattr(entries, "_MOST_CELLS", 0)
    searched = make(3, "points", "linear").sample(points(3, seed=3))
    assert_close(whole, plain)
    assert np.array_equal(searched, whole)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_points_that_matter_are_those_of_the_reference(d, monkeypatch):
    grid = make(d, "points", "linear").grid if d > 1 else make_field(encoding="points", extent=(40,), resolutions=((40,),)).grid
    cloud, extent = grid.clouds[-1], (40,) if d == 1 else EXTENTS[d]
    index = np.arange(np.prod(extent))
    found = []
    for kernels in ("numpy", "numba"):
        monkeypatch.setenv("NFCODEC_KERNELS", kernels)
        found.append(scatter.matrix_of(cloud, extent, index, entries.Entries.of([cloud], [1])).toarray())
    assert (found[0] > 0).sum() > 10
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
