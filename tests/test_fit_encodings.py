"""The torch twins against the decoder: what a fit sees and counts is what its file holds and costs."""

import itertools
import math

import numpy as np
import pytest
from entropy_cases import context_inputs
from field_cases import COMBINATIONS, FACTORED, make_frozen, make_spec, suits

import nfcodec
from nfcodec.encodings import load as load_grid
from nfcodec.entropy import n_inputs
from nfcodec.pack import pack
from nfcodec.spec import GRID_ENCODINGS, SCATTERED, Signal

torch = pytest.importorskip("torch", reason="fitting needs torch")

from nfcodec.fit import presets  # noqa: E402
from nfcodec.fit.build import build  # noqa: E402
from nfcodec.fit.context import ContextModel  # noqa: E402
from nfcodec.fit.encodings import Rounding, load  # noqa: E402
from nfcodec.fit.model import FieldModel  # noqa: E402
from nfcodec.fit.plan import owned  # noqa: E402
from nfcodec.fit.source import from_lattice  # noqa: E402
from nfcodec.fit.train import Recipe  # noqa: E402

HARD = Rounding(hard=True)

# extent, resolutions: odd, halving or not, finer and coarser than the source
SHAPES = {
    "1-D": ((23,), ((6,), (12,), (23,))),
    "2-D": ((13, 9), ((4, 3), (7, 5), (13, 9))),
    "2-D uneven": ((11, 20), ((5, 2), (3, 30))),
    "3-D": ((9, 8, 7), ((3, 2, 2), (5, 4, 4))),
    "4-D": ((3, 4, 5, 6), ((2, 2, 3, 3), (3, 4, 5, 6))),
}


IN_2D = [name for name in GRID_ENCODINGS if suits(name, 2)]
TWINS = [
    (encoding, interpolation, shape)
    for encoding, interpolation in [*COMBINATIONS, *itertools.product(FACTORED, ("linear", "mitchell")), ("points", "linear"), ("mesh", "linear")]
    for shape in SHAPES if suits(encoding, len(SHAPES[shape][0]))
]  # fmt: skip


def make_model(encoding, interpolation, extent, resolutions, seed=0, masked=False, **settings):
    """A twin of random latents and a network whose every part speaks."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    n_features = (3, 2, 1)[-len(resolutions) :]
    spec = make_spec(
        kind="volume", extent=extent, resolutions=resolutions, encoding=encoding, interpolation=interpolation,
        n_features=n_features, scale=1.0, offset=0.0, **settings,
    )  # fmt: skip
    latents = [rng.laplace(0, 3, (f, *r)).astype(np.float32) for f, r in zip(n_features, resolutions, strict=True)]
    if encoding == "dense":
        context = ContextModel(spec.n_dims, True, n_inputs(spec.n_dims, True) - 2, 8, 1)
        masks = [rng.random(r) < 0.6 if masked else None for r in resolutions]
        if masked:
            masks[0][:] = False
        grid = load(encoding)(spec.grid, spec.steps, latents, masks, context)
    else:
        if encoding in FACTORED:
            shapes = [load_grid(encoding).level_shapes(spec.grid, level) for level in range(len(resolutions))]
            latents = [[rng.laplace(0, 9, shape) for shape in level.values()] for level in shapes]
        if encoding in SCATTERED:
            latents = make_frozen(spec, rng).levels
        grid = load(encoding)(spec.grid, spec.steps, latents)
    shape = (spec.channels, spec.grid.n_inputs)
    model = FieldModel(spec, grid, rng.normal(size=shape).astype(np.float32), np.array([0.5, -1], np.float32))
    with torch.no_grad():
        for tensor in [*model.tensors, *(grid.context.parameters() if encoding == "dense" else ())]:
            tensor += 0.3 * torch.randn_like(tensor)
    model.choose_shifts(32.0)
    if grid.context is not None:
        grid.context.choose_shifts(32.0)
    return model.eval()


def make_tiles(model, n_cuts):
    """[(start, stop, plan)] of a partition of the source into n_cuts parts an axis."""
    spec = model.spec
    cuts = [[(i * n // k, (i + 1) * n // k) for i in range(k)] for n, k in ((n, min(n_cuts, n)) for n in spec.extent)]
    boxes = [tuple(zip(*box, strict=True)) for box in itertools.product(*cuts)]
    plans = model.grid.plans(boxes, spec.extent)
    return [(start, stop, plan) for (start, stop), plan in zip(boxes, plans, strict=True)]


def assert_twin_is_the_file(model, n_cuts, stride):
    field = nfcodec.open(pack(model.spec, model.freeze()))
    for start, stop, plan in make_tiles(model, n_cuts):
        for phase in itertools.product(range(stride), repeat=model.spec.n_dims):
            axes = [(np.arange(a, b)[p::stride] + 0.5) / n for a, b, p, n in zip(start, stop, phase, model.spec.extent)]
            with torch.no_grad():
                _, values = model.grid.values(plan, HARD)
                features = model.features(values, plan, phase, stride)
                out, _ = model(plan, HARD, phase, stride)
            shape = tuple(map(len, axes))
            expected = field.grid.lattice(axes, field.n_levels)
            np.testing.assert_allclose(features.numpy().T.reshape(*shape, -1), expected, atol=1e-4)
            np.testing.assert_allclose(out.numpy().T.reshape(*shape, -1), field.sample_lattice(axes), atol=1e-4)


@pytest.mark.parametrize("encoding, interpolation, shape", TWINS)
def test_a_tile_of_the_twin_is_the_decoded_field(encoding, interpolation, shape):
    assert_twin_is_the_file(make_model(encoding, interpolation, *SHAPES[shape]), n_cuts=2, stride=1)


@pytest.mark.parametrize("encoding", GRID_ENCODINGS)
def test_every_phase_of_a_stride(encoding):
    shape = "2-D" if suits(encoding, 2) else "3-D"
    interpolation = "linear" if encoding in SCATTERED else "cubic"
    assert_twin_is_the_file(make_model(encoding, interpolation, *SHAPES[shape]), n_cuts=3, stride=2)


@pytest.mark.parametrize("encoding", [name for name in GRID_ENCODINGS if name not in SCATTERED])
def test_tiles_at_boundaries_of_any_kind(encoding):
    model = make_model(encoding, "cubic", *SHAPES["3-D"], boundary=("wrap", "clamp", "reflect"))
    assert_twin_is_the_file(model, n_cuts=2, stride=1)


def test_planes_side_by_side():
    assert_twin_is_the_file(make_model("triplane", "linear", *SHAPES["3-D"], joining="concatenation"), n_cuts=2, stride=2)


@pytest.mark.parametrize("shape", ["2-D", "3-D"])
def test_masked_vertices_are_zero(shape):
    model = make_model("dense", "cubic", *SHAPES[shape], masked=True)
    assert_twin_is_the_file(model, n_cuts=3, stride=1)
    frozen = model.freeze()
    for level, row_map in zip(frozen.levels, model.grid.row_maps, strict=True):
        assert not level["latents"][:, row_map < 0].any()
    assert not frozen.levels[0]["latents"].any() and frozen.levels[1]["latents"].any()


def test_empty_blocks_of_large_volumes_are_masked():
    extent = (56, 52, 54)  # of which the finest level has half, which is large enough for a mask
    values = np.zeros((*extent, 1), np.float32)
    values[20:36, 18:40, 22:30] = np.random.default_rng(0).random((16, 22, 8, 1))
    source = from_lattice(Signal("volume", values))
    fit = build(source, presets.choose(source, 3 * source.detail, "dense", 5))
    row_map = fit.model.grid.row_maps[-1]
    assert row_map.shape == (28, 26, 27) and 0.05 < (row_map < 0).mean() < 0.95
    assert (row_map[10:18, 9:20, 11:15] >= 0).all()  # something lies there
    assert row_map.max() + 1 == len(fit.model.grid.theta[-1]) == (row_map >= 0).sum()


# ---------------------------------------------------------------- which tile counts what


@pytest.mark.parametrize("n_cuts", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("masked", [False, True])
def test_tiles_own_every_value_once(shape, n_cuts, masked):
    model = make_model("dense", "cubic", *SHAPES[shape], masked=masked)
    counts = counted(model, make_tiles(model, n_cuts), lambda plan: np.bincount(plan.gathers.whole("cpu")[0].numpy(), minlength=10**4))
    assert all((count == 1).all() for count in counts)
    assert sum(map(np.size, counts)) == sum(t.numel() for t in model.grid.theta)


@pytest.mark.parametrize("n_cuts", [1, 3])
@pytest.mark.parametrize("encoding", ["hash", "codebook", "kplanes", "vm"])
def test_shares_of_every_value_sum_to_one(encoding, n_cuts):
    model = make_model(encoding, "cubic", *SHAPES["3-D"])
    counts = counted(model, make_tiles(model, n_cuts), lambda plan: plan.shares.numpy())
    for count, row_map in zip(counts, model.grid.row_maps, strict=True):
        used = np.unique(row_map)  # no vertex may hash to a row
        np.testing.assert_allclose(count[used], 1, atol=1e-5)
        assert count.sum() == pytest.approx(len(used) * count.shape[1])


def counted(model, tiles, weights):
    """For each level (rows, F): the sum over the plans of weights(plan), which is laid out as a step's values are."""
    sums = [np.zeros(tuple(t.shape)) for t in model.grid.theta]
    for _, _, plan in tiles:
        start, parts = 0, weights(plan)
        for total, rows in zip(sums, plan.rows, strict=True):
            part = parts[start : start + total.shape[1] * len(rows)]
            total[rows.numpy()] += part.reshape(total.shape[1], len(rows)).T
            start += part.size
    return sums


@pytest.mark.parametrize("extent", [1, 7, 24])
@pytest.mark.parametrize("n", [1, 3, 12, 24, 40])
def test_a_partition_of_samples_partitions_vertices(extent, n):
    cuts = [0, *sorted({extent // 3, extent // 2}), extent]
    ranges = [owned(a, b, extent, n) for a, b in itertools.pairwise(cuts)]
    assert [i for a, b in ranges for i in range(a, b)] == list(range(n))
    for (a, b), (start, stop) in zip(itertools.pairwise(cuts), ranges, strict=True):
        for i in range(start, stop):
            assert a <= (i + 0.5) / n * extent <= b


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_contexts_of_a_tile_are_those_of_the_coder(shape, masked):
    model = make_model("dense", "cubic", *SHAPES[shape], masked=masked)
    levels = [level["latents"] for level in model.freeze().levels]
    inputs = {(k, f): context_inputs(levels, k, f) for k in range(len(levels)) for f in range(len(levels[k]))}
    for start, stop, plan in make_tiles(model, 2):
        with torch.no_grad():
            v, _ = model.grid.values(plan, HARD)
        own, context, constants = plan.gathers.whole("cpu")
        found = np.concatenate([v[context].numpy(), constants.numpy()])
        expected, values = [], []
        for (level, feature), planes in inputs.items():
            resolution = planes.shape[1:]
            box = tuple(slice(*owned(*r)) for r in zip(start, stop, model.spec.extent, resolution, strict=True))
            active = model.grid.row_maps[level][box] >= 0
            expected.append(planes[(slice(None), *box)][:, active])
            values.append(levels[level][feature][box][active])
        np.testing.assert_array_equal(found, np.concatenate(expected, 1))
        np.testing.assert_array_equal(v[own].numpy(), np.concatenate(values))


# ---------------------------------------------------------------- rates


def smooth(shape, power, seed=0):
    """Noise of a falling spectrum, 0 to 1."""
    rng = np.random.default_rng(seed)
    frequency = np.sqrt(sum(np.square(a) for a in np.meshgrid(*(np.fft.fftfreq(n) * n for n in shape), indexing="ij")))
    x = np.fft.ifftn(np.fft.fftn(rng.normal(size=shape)) / np.maximum(frequency, 1) ** power).real
    return (x - x.min()) / np.ptp(x)


SIGNALS = {
    "image": lambda: Signal("image", (smooth((90, 101), 1.5) * 255).astype(np.uint8)[..., None]),
    "volume": lambda: Signal("volume", smooth((34, 37, 40), 2.4).astype(np.float32)[..., None]),
    "film": lambda: Signal("volume", smooth((10, 18, 20, 21), 2.6).astype(np.float32)[..., None]),
}


def fitted(signal, encoding, n_steps, quality=60):
    source, lmbda = from_lattice(signal), presets.lmbda_of(quality, signal.kind)
    fit = build(source, presets.choose(source, lmbda, encoding, 5))
    fit.warm_up()
    fit.run(Recipe(n_steps=n_steps, lmbda=lmbda, **presets.recipe_of(signal.kind, n_steps, len(fit.tiles), encoding, lmbda)))
    fit.model.eval()
    return fit


# a level's flags and the state of its coder; of a level of factors its length, and of each of them its length and the state
LEVEL_BYTES, FACTORS_BYTES, FACTOR_BYTES = 5, 2, 4


FITS = [(encoding, name) for encoding in GRID_ENCODINGS for name, d in (("image", 2), ("volume", 3), ("film", 4)) if suits(encoding, d)]


@pytest.mark.parametrize("encoding, name", FITS)
def test_estimated_bits_are_those_of_the_file(name, encoding):
    signal = SIGNALS[name]()
    fit = fitted(signal, encoding, 60)
    distortion, bits = fit.measure()
    frozen = fit.model.freeze()
    field = nfcodec.open(pack(fit.model.spec, frozen))
    found = sum(field.sizes["level_bytes"])
    estimate = bits * fit.n_samples / 8
    if encoding == "codebook":  # the entries, frequencies and all else but the indices are not estimated
        estimate += sum(book_bytes(field.spec.grid, frozen.levels, level) for level in range(field.n_levels))
    else:
        if encoding in SCATTERED:  # where they lie does not change
            estimate += sum(len(places(field, level)) for level in range(field.n_levels))
        if encoding in FACTORED:  # a scale of every feature in every stream
            n_streams = len(load_grid(encoding).factors(field.spec.grid))
            estimate += sum(FACTORS_BYTES + n_streams * (FACTOR_BYTES + f) for f in field.spec.grid.n_features)
        else:
            estimate += LEVEL_BYTES * field.n_levels
    assert found == pytest.approx(estimate, rel=0.01)

    # the squared error too is the file's, but for the phase that one estimate looks at
    error = field.sample_lattice([(np.arange(n) + 0.5) / n for n in signal.extent]) - signal.values
    assert distortion == pytest.approx(np.square(error / fit.model.spec.value_scale).mean(), rel=0.2)


def places(field, level):
    """A level of a cloud without its features."""
    kept = dict(field.grid.levels[level])
    kept["features"] = kept["features"][:, :0]
    return field.grid.encode_level(field.spec.grid, {level: kept}, level, None)


def book_bytes(spec, levels, level):
    """Bytes of a level whose every index is coded for its entropy are what is left of it."""
    data = load_grid("codebook").encode_level(spec, levels, level, None)
    counts = np.bincount(levels[level]["indices"].ravel())
    counts = counts[counts > 0]
    return len(data) + (counts * np.log2(counts / counts.sum())).sum() / 8


@pytest.mark.parametrize("encoding", IN_2D)
def test_the_estimate_of_a_step_is_that_of_all_tiles(encoding):
    """More tiles see the same values: neither bits nor the field depend on where the source is cut."""
    model = make_model(encoding, "linear" if encoding in SCATTERED else "cubic", *SHAPES["2-D"])
    totals = []
    for n_cuts in (1, 3):
        total = 0.0
        for _, _, plan in make_tiles(model, n_cuts):
            with torch.no_grad():
                total += model.grid.bits(plan, model.grid.values(plan, HARD)[0]).item()
        totals.append(total)
    assert totals[0] == pytest.approx(totals[1], rel=1e-5) and totals[0] > 100


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize("encoding", GRID_ENCODINGS)
def test_every_parameter_learns(encoding):
    interpolation = "linear" if encoding in SCATTERED else "cubic"
    model = make_model(encoding, interpolation, *SHAPES["2-D" if suits(encoding, 2) else "3-D"]).train()
    (_, _, plan), = make_tiles(model, 1)
    out, integers = model(plan, Rounding(), (0,) * model.spec.n_dims, 1)
    (out.square().sum() + model.grid.bits(plan, integers)).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_rows_of_a_hash_level_begin_at_their_vertices_mean():
    spec = make_spec(extent=(8, 8), resolutions=((8, 8),), encoding="hash", n_features=(1,), log2_size=3)
    latents = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    twin = load("hash")(spec.grid, spec.steps, [latents])
    (row_map,), (table,) = twin.row_maps, twin.theta
    for row in range(8):
        assert table[row, 0].item() == pytest.approx(latents[0][row_map == row].mean(), abs=1e-4)
    assert math.isclose(float((table[:, 0].detach().numpy() * np.bincount(row_map.ravel())).sum()), latents.sum(), rel_tol=1e-5)


def test_codebook_entries_settle_on_clusters():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 2], [-4, 7], [5, -8]], np.float32)
    chosen = rng.integers(0, 4, (12, 12))
    latents = np.moveaxis(centres[chosen], -1, 0) + rng.normal(0, 0.05, (2, 12, 12)).astype(np.float32)
    spec = make_spec(extent=(12, 12), resolutions=((12, 12),), encoding="codebook", n_features=(2,), log2_size=4)
    level, = load("codebook")(spec.grid, spec.steps, [latents.astype(np.float32)]).freeze()
    np.testing.assert_array_equal(level["codebook"][level["indices"]], centres[chosen])
    unused = np.setdiff1d(np.arange(16), level["indices"])
    assert not level["codebook"][unused].any()



def test_rows_that_vertices_share_move_faster_at_high_quality():
    signal = Signal("image", (smooth((150, 160, 3), 1.2) * 255).astype(np.uint8))
    source, lmbda = from_lattice(signal), presets.lmbda_of(100, "image")
    errors = {}
    for rate_of in ("dense", "hash"):
        fit = build(source, presets.choose(source, lmbda, "hash", 5))
        fit.run(Recipe(n_steps=80, lmbda=lmbda, **presets.recipe_of("image", 80, 1, rate_of, lmbda)))
        errors[rate_of] = fit.measure()[0]
    assert errors["hash"] < 0.85 * errors["dense"]
    assert presets.recipe_of("image", 80, 1, "hash", presets.lmbda_of(40, "image"))["latent_rate"] == Recipe().latent_rate
