"""The fused training step equals the plain one by autograd: distortion, bits, all gradients, and where latents go."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("numba", reason="the kernels need numba")

from nfcodec.fit import presets  # noqa: E402
from nfcodec.fit.build import build  # noqa: E402
from nfcodec.fit.encodings import Rounding  # noqa: E402
from nfcodec.fit.fast import FastStep  # noqa: E402
from nfcodec.fit.lines import Bands  # noqa: E402
from nfcodec.fit.source import from_lattice  # noqa: E402
from nfcodec.fit.step import Look, PlainStep, features, slope_error  # noqa: E402
from nfcodec.fit.train import Recipe  # noqa: E402
from nfcodec.spec import Signal  # noqa: E402

SOFT = Rounding(0.3, 0.0)  # without noise, which the two draw in different ways
CASES = {
    "image": ((96, 91, 3), "image", {"tile_edge": 40}),
    "grey": ((96, 100, 1), "image", {}),
    "small image": ((30, 27, 3), "image", {"tile_edge": 16}),
    "short line": ((700, 1), "volume", {}),
    "line": ((9000, 1), "volume", {}),
    "volume": ((33, 29, 31, 1), "volume", {"stride": 2, "tile_edge": 20}),
    "vectors": ((20, 24, 22, 2), "volume", {}),
    "small vectors": ((9, 8, 10, 2), "volume", {}),
    "frames": ((5, 12, 14, 16, 1), "volume", {"stride": 2}),
}


def make_fit(name, seed=0, weighted=False, sparse=False):
    shape, kind, changes = CASES[name]
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(0, 3, n) for n in shape[:-1]), indexing="ij")
    smooth = sum(np.sin((k + 1) * a) for k, a in enumerate(axes))
    values = smooth[..., None] + 0.4 * rng.normal(size=shape)
    if sparse:
        values = np.where(smooth[..., None] > 1.5, values, 0.0)
    values = np.clip(128 + 30 * values, 0, 255).astype(np.uint8)
    source = from_lattice(Signal(kind, values))
    n_samples = max(1 << 14, source.target[..., 0].size)  # never a signal so small that its networks are
    preset = replace(presets.choose(source, 1e-3, "dense", 5, n_samples), **changes)
    fit = build(source, preset, seed)
    if weighted:
        for tile in fit.tiles:
            tile.weight = torch.rand(tile.target.shape[1:])
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in [*fit.model.tensors, *fit.model.grid.context.parameters()]:
            p += 0.1 * torch.randn_like(p)
        fit.model.grid.flat += 0.3 * torch.randn_like(fit.model.grid.flat)
        fit.model.shapes += 0.4 * torch.randn_like(fit.model.shapes)
    fit.model.set_shapes()
    return fit


def walk(fit, stepper, looks, weights=(700.0, 0.01)):
    """[distortion, bits, network gradients] of steps over all tiles, and the latents in the end."""
    found = []
    for look in looks:
        for index, tile in enumerate(fit.tiles):
            d, b = stepper.gradients(tile, look, weights, wants_latents=True)
            stepper.move(index, tile, 0.05)()
            layers = [t for layer in [*fit.model.layers(), *fit.model.grid.layers()] for t in layer]
            found.append([d, b, [t.grad.numpy().copy() for t in layers]])
            for t in layers:
                t.grad = None
    return found, [t.detach().numpy().copy() for t in fit.model.grid.theta]


def assert_same_walk(name, looks, n_threads=1, **settings):
    plain, fast = make_fit(name, **settings), make_fit(name, **settings)
    assert FastStep.is_available(fast.model)
    expected, latents = walk(plain, PlainStep(plain.model), looks)
    found, moved = walk(fast, FastStep(fast.model, fast.tiles, np.random.default_rng(0), n_threads), looks)
    for (d, b, gradients), (d0, b0, gradients0) in zip(found, expected, strict=True):
        assert d == pytest.approx(d0, rel=1e-4) and b == pytest.approx(b0, rel=1e-4)
        for g, g0 in zip(gradients, gradients0, strict=True):
            np.testing.assert_allclose(g, g0, rtol=2e-3, atol=2e-4 * np.abs(g0).max())
    for a, b in zip(moved, latents, strict=True):
        # Adam turns tiny gradients into whole steps, whatever their size: some rows may go either way
        assert np.mean(np.abs(a - b) > 2e-3) < 2e-3


@pytest.mark.parametrize("n_rows, n_in, n_out", [(1, 5, 3), (3, 7, 64), (4, 70, 66), (9, 40, 200)])
def test_banded_products(n_rows, n_in, n_out):
    rng = np.random.default_rng(n_rows)
    matrix = np.zeros((n_in, n_out), np.float32)
    for j in range(n_out):
        if not 64 <= j < 128:  # these have nothing at all
            first = min(j * n_in // n_out, n_in - 3)
            matrix[first : first + 3, j] = rng.normal(size=3)
    rows, columns = np.nonzero(matrix)
    bands = Bands(rows, columns, n_out)
    table = bands.table(matrix[rows, columns])
    x, start = rng.normal(size=(n_rows, n_in)).astype(np.float32), rng.normal(size=(n_rows, n_out + 5)).astype(np.float32)
    for adds in (False, True):
        found = start.copy()
        bands.apply(table, x.reshape(-1), np.arange(n_rows) * n_in, found.reshape(-1), np.arange(n_rows) * (n_out + 5) + 2, adds)
        np.testing.assert_allclose(found[:, 2 : n_out + 2], x @ matrix + adds * start[:, 2 : n_out + 2], atol=1e-5)
        assert np.array_equal(found[:, :2], start[:, :2]) and np.array_equal(found[:, n_out + 2 :], start[:, n_out + 2 :])
    y, found = np.ascontiguousarray(start[:, :n_out]), x.copy()
    bands.apply_back(table, y.reshape(-1), np.arange(n_rows) * n_out, found.reshape(-1), np.arange(n_rows) * n_in)
    np.testing.assert_allclose(found, x + y @ matrix.T, atol=1e-5)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_autograd(name, n_threads):
    stride, d = CASES[name][2].get("stride", 1), len(CASES[name][0]) - 1
    phases = [(0,) * d, (stride - 1,) * d] if stride > 1 else [(0,) * d] * 2
    assert_same_walk(name, [Look(SOFT, phase, stride) for phase in phases], n_threads)


def test_weighted_errors_and_coarse_levels_alone():
    assert_same_walk("image", [Look(SOFT, (0, 0), 1, depth=2), Look(SOFT, (0, 0), 1)], weighted=True)


@pytest.mark.parametrize("name, n_threads", [("volume", 1), ("volume", 3), ("vectors", 2)])
def test_errors_of_slopes(name, n_threads):
    stride = CASES[name][2].get("stride", 1)
    assert_same_walk(name, [Look(SOFT, (0, 0, 0), stride, slope=2.0)], n_threads, weighted=True)


def test_what_an_error_of_slopes_is():
    """Of equal errors everywhere there is none; of one sample alone those of its pairs, as its lesser neighbours weigh."""
    fit = make_fit("vectors")
    (tile,) = fit.tiles
    tile.weight = torch.ones(tile.target.shape[1:])
    tile.weight[4, 5, 6], tile.weight[4, 5, 8] = 0.5, 0.05
    look = Look(Rounding(hard=True), (0, 0, 0), 1)
    _, found = features(fit.model, tile, look)
    outputs = fit.model.mlp(found).detach().view(tile.target.shape)
    tile.target = outputs - 3.0
    assert slope_error(fit.model, tile, found, look).item() == pytest.approx(0.0, abs=1e-6)
    tile.target[0, 4, 5, 7] -= 2.0
    tile.target[1] = 7.0  # further channels do not count
    # five neighbours, one of which weighs a half and one too little, a square of 4, the mean of 2 channels
    assert slope_error(fit.model, tile, found, look).item() == pytest.approx(4.5 * 4 / 2, rel=1e-4)


def test_blocks_without_weight():
    def look_away(fit):
        for tile in fit.tiles:
            tile.weight = torch.rand(tile.target.shape[1:]) * (torch.arange(tile.target.shape[1]) % 3 == 0)[:, None, None]
        return fit

    plain, fast = look_away(make_fit("volume")), look_away(make_fit("volume"))
    for tile, other in zip(plain.tiles, fast.tiles):
        other.weight = tile.weight
    looks = [Look(SOFT, (0, 1, 0), 2)]
    expected, _ = walk(plain, PlainStep(plain.model), looks)
    found, _ = walk(fast, FastStep(fast.model, fast.tiles, np.random.default_rng(0)), looks)
    for (d, b, gradients), (d0, b0, gradients0) in zip(found, expected, strict=True):
        assert d == pytest.approx(d0, rel=1e-4) and b == pytest.approx(b0, rel=1e-4)
        for g, g0 in zip(gradients, gradients0, strict=True):
            np.testing.assert_allclose(g, g0, rtol=2e-3, atol=2e-4 * np.abs(g0).max())


def test_the_lines_follow_the_shapes_of_the_kernels():
    fit, look = make_fit("image"), Look(SOFT, (0, 0), 1)
    stepper = FastStep(fit.model, fit.tiles, np.random.default_rng(0))
    before = stepper.gradients(fit.tiles[0], look, (1.0, 1.0), False)
    fit.model.shapes -= 0.3
    fit.model.set_shapes()
    after = stepper.gradients(fit.tiles[0], look, (1.0, 1.0), False)
    expected = PlainStep(fit.model).gradients(fit.tiles[0], look, (1.0, 1.0), False)
    assert after == pytest.approx(expected, rel=1e-4) and before != pytest.approx(expected, rel=1e-3)


def test_levels_with_empty_blocks():
    fit = make_fit("volume", sparse=True)
    assert any(block.index is not None for tile in fit.tiles for block in tile.plan.blocks)
    assert_same_walk("volume", [Look(SOFT, (0, 1, 0), 2), Look(SOFT, (1, 1, 0), 2)], sparse=True)


@pytest.mark.parametrize("wants_latents", [True, False])
def test_hard_rounding_and_integer_networks(wants_latents):
    look, found = Look(Rounding(hard=True), (0, 0), 1), []
    for make in (lambda fit: PlainStep(fit.model), lambda fit: FastStep(fit.model, fit.tiles, np.random.default_rng(0))):
        fit = make_fit("image")
        fit.model.choose_shifts(64.0)
        fit.model.grid.context.choose_shifts(64.0)
        d, b = make(fit).gradients(fit.tiles[1], look, (700.0, 0.01), wants_latents)
        found.append((d, b, [t.grad.numpy() for t in fit.model.tensors], fit.model.grid.context.skip.grad.numpy()))
    (d0, b0, decoder0, skip0), (d, b, decoder, skip) = found
    assert d == pytest.approx(d0, rel=1e-4) and b == pytest.approx(b0, rel=1e-4)
    for g, g0 in zip([*decoder, skip], [*decoder0, skip0], strict=True):
        np.testing.assert_allclose(g, g0, rtol=2e-3, atol=2e-4 * np.abs(g0).max())


def test_noise_is_new_in_every_step():
    fit = make_fit("image")
    stepper, look = FastStep(fit.model, fit.tiles, np.random.default_rng(0)), Look(Rounding(0.3, 0.2), (0, 0), 1)
    bits = [stepper.gradients(fit.tiles[0], look, (1.0, 1.0), True)[1] for _ in range(3)]
    assert len(set(bits)) == 3 and max(bits) < 1.2 * min(bits)


def test_the_same_seed_gives_the_same_fit():
    files = []
    for _ in range(2):
        fit = make_fit("image")
        fit.run(Recipe(n_steps=12, lmbda=1e-3))
        files.append([t.detach().numpy().copy() for t in [*fit.model.tensors, *fit.model.grid.theta]])
    for a, b in zip(*files, strict=True):
        np.testing.assert_array_equal(a, b)
