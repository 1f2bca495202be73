"""What `test_gpu_kernels.py` runs, in a process of its own: the kernels for GPUs equal their torch meaning in every gradient.

Under TRITON_INTERPRET=1 with tensors in main memory, else on a GPU.
"""

import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_fast import CASES, make_fit
from test_fit_encodings import SHAPES, make_model, make_tiles
from test_fused import make_context, plain_bits

from nfcodec.fit import gpu, presets
from nfcodec.fit.build import build
from nfcodec.fit.encodings import Rounding
from nfcodec.fit.gpu import (
    interpolation,
    loop,
    network,
    optimizer,
    points,
    pyramid,
    rate,
    rounding,
    synthesis,
    tables,
    warm_up,
)
from nfcodec.fit.gpu.flat import flatten_networks, offset
from nfcodec.fit.optimizer import Soap
from nfcodec.fit.quantizers import noisy_round
from nfcodec.fit.source import from_lattice
from nfcodec.fit.step import Look, PlainStep, Tile, error, shape_gradient
from nfcodec.fit.train import Recipe
from nfcodec.fit.weights import add_price, price_factor, priced
from nfcodec.spec import Signal

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
# of a gradient's size: sums of thousands in another order, and operands of 11 and 8 bits, to which the interpreter cuts off.
# It knows no TF32 and takes it as float32
CLOSE = {"float32": 2e-4, "float16": 0.03, "bfloat16": 0.08} | ({} if INTERPRETED else {"tfloat32": 0.01})


@pytest.fixture(autouse=True, scope="module")
def products_of_bfloat16():
    """Triton 3.9's interpreter keeps bfloat16 as 16 bits and multiplies these as integers; here it multiplies their values."""
    if not INTERPRETED:
        yield
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder

    plain = InterpreterBuilder.create_dot

    def create_dot(self, a, b, *rest):
        a, b = (self.create_fp_ext(x, tl.float32) if x.dtype.scalar == tl.bfloat16 else x for x in (a, b))
        return plain(self, a, b, *rest)

    InterpreterBuilder.create_dot = create_dot
    yield
    InterpreterBuilder.create_dot = plain


@pytest.fixture(autouse=True)
def larger_blocks(monkeypatch):
    """The interpreter takes as long for a large block as for a small one."""
    for module in (points, rate, synthesis) if INTERPRETED else ():
        monkeypatch.setattr(module, "_POINTS", 128)
    if INTERPRETED:
        shapes = {width: (taps, 32, 32, warps) for width, (taps, _, _, warps) in pyramid._SHAPES.items()}
        monkeypatch.setattr(pyramid, "_SHAPES", shapes)


def on_device(tensors):
    return [t.detach().to(DEVICE).requires_grad_(t.requires_grad) for t in tensors]


def assert_same_gradients(found, tensors, expected, plain_tensors, close):
    """Each differs by at most `close` of its root mean square, in the mean over its entries: single units of a network may
    switch at another place."""
    pairs = zip(torch.autograd.grad(3.0 * found, tensors), torch.autograd.grad(3.0 * expected, plain_tensors), strict=True)
    for k, (a, b) in enumerate(pairs):
        assert a.shape == b.shape
        error, size = (a.cpu() - b).square().mean().sqrt().item(), b.square().mean().sqrt().item()
        assert error <= close * max(size, 1e-3), f"gradient {k}: differs by {error} of {size}"


def make_network(n_features, widths, n_channels, m, weighted, seed=1):
    """(features, skip, weights, biases), target, weight."""
    torch.manual_seed(seed)
    sizes = [n_features, *widths, n_channels]
    weights = [(torch.randn(b, a) / a**0.5).requires_grad_(True) for a, b in zip(sizes, sizes[1:])]
    biases = [torch.randn(b).requires_grad_(True) for b in sizes[1:]]
    skip, features = torch.randn(n_channels, n_features, requires_grad=True), torch.randn(n_features, m, requires_grad=True)
    return (features, skip, weights, biases), torch.randn(n_channels, m), torch.rand(m) if weighted else None


def plain_error(features, skip, weights, biases, target, weight):
    h = features
    for w, b in zip(weights[:-1], biases):
        h = torch.relu(w @ h + b[:, None])
    error = (weights[-1] @ h + biases[-1][:, None] + skip @ features - target).square().mean(0)
    return (error if weight is None else error * weight).sum()


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize("n_features, widths, n_channels, m, weighted", [
    (19, (16, 16), 3, 300, False), (7, (8,), 1, 64, True), (5, (6, 9, 3), 4, 131, True), (1, (4,), 2, 1, False), (33, (24, 24), 3, 65, True),
])  # fmt: skip
def test_squared_error(n_features, widths, n_channels, m, weighted, precision):
    (features, skip, weights, biases), target, weight = make_network(n_features, widths, n_channels, m, weighted)
    plain = [features, skip, *weights, *biases]
    tensors = on_device(plain)
    n = len(weights)
    moved = target.to(DEVICE), None if weight is None else weight.to(DEVICE)
    found = synthesis.squared_error(tensors[0], *moved, tensors[2 : 2 + n], tensors[2 + n :], tensors[1], precision)
    expected = plain_error(features, skip, weights, biases, target, weight)
    assert found.item() == pytest.approx(expected.item(), rel=CLOSE[precision])
    assert_same_gradients(found, tensors, expected, plain, CLOSE[precision])


def test_squared_error_gives_what_is_asked_for():
    (features, skip, weights, biases), target, _ = make_network(6, (8,), 2, 40, False)
    expected = plain_error(features, skip, weights, biases, target, None)
    tensors = on_device([skip, *weights, *biases])
    args = features.detach().to(DEVICE), target.to(DEVICE), None
    with torch.no_grad():
        assert synthesis.squared_error(*args, tensors[1:3], tensors[3:], tensors[0]).item() == pytest.approx(expected.item(), rel=1e-5)
    found = synthesis.squared_error(*args, tensors[1:3], tensors[3:], tensors[0])
    assert_same_gradients(found, tensors, expected, [skip, *weights, *biases], 1e-4)


def closed(v):
    """Values as a step has them, with a 0 that takes no gradient as the last."""
    return torch.cat([v[:-1], v.new_zeros(1)])


@pytest.mark.parametrize("precision, as_coded", [("float32", False), ("float32", True), ("float16", False), ("bfloat16", False)])
@pytest.mark.parametrize("shape", [(17, 16, 2, 300, 300), (22, 16, 2, 900, 64), (6, 8, 1, 50, 63), (9, 0, 0, 80, 130), (12, 10, 3, 200, 1)])
def test_bits_of_latents(shape, precision, as_coded):
    v, plan, model = make_context(*shape)
    if precision != "float32":  # a gentler network: where scales are small, a location's last bits are everything
        with torch.no_grad():
            for t in (model.weights[-1], model.skip):
                t *= 0.2
    plain = [v, *model.parameters()]
    expected = plain_bits(closed(v), plan, model, rounded=as_coded)
    n = len(model.weights)
    tensors = on_device([v, model.skip, *model.weights, *model.biases])
    found = rate.context_bits(closed(tensors[0]), plan, tensors[2 : 2 + n], tensors[2 + n :], tensors[1][0], as_coded, precision)
    assert found.item() == pytest.approx(expected.item(), rel=CLOSE[precision] / 8)
    ordered = [v, model.skip, *model.weights, *model.biases]
    assert {id(t) for t in ordered} == {id(t) for t in plain}
    assert_same_gradients(found, tensors, expected, ordered, CLOSE[precision])


def test_bits_of_nothing():
    v, plan, model = make_context(6, 8, 1, 50, 0)
    tensors = on_device([v, *model.weights, *model.biases, model.skip])
    found = rate.context_bits(tensors[0], plan, tensors[1:3], tensors[3:5], tensors[5][0])
    assert found.item() == 0
    assert all((g == 0).all() for g in torch.autograd.grad(found, tensors))


def test_bits_of_tables():
    """Of scales beyond both ends, values that are escapes, and rows that no vertex has."""
    model = make_model("hash", "linear", *SHAPES["3-D"], seed=3)
    grid, plan = model.grid.train(), make_tiles(model, 2)[1][2]
    grid.idle = [0.0, 0.7]
    with torch.no_grad():
        grid.theta[0][:, 0] *= 0.0
        grid.theta[1][:] *= 0.01
        grid.theta[1][::7] += 900.0
    v = torch.cat([t[r].t().reshape(-1) for t, r in zip(grid.theta, plan.rows)]).detach().requires_grad_(True)
    expected = grid.bits(plan, torch.cat([v, v.new_zeros(1)]))
    (gradient,) = torch.autograd.grad(expected, v)
    assert (v.detach().abs() > 100).any()
    theta = torch.cat([t.detach().t().reshape(-1) for t in grid.theta]).to(DEVICE)
    found = tables.TableBits(grid.to(DEVICE), plan.to(DEVICE))
    values, d_values = torch.cat([v.detach(), torch.zeros(1)]).to(DEVICE), torch.ones(len(v) + 1, device=DEVICE)
    assert found.launch(theta, values, d_values).sum().item() == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(d_values[:-1].cpu() - 1, gradient, rtol=1e-3, atol=1e-5)
    assert found.launch(theta, values, None).sum().item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("n", [5, 1024, 1030])
def test_noisy_rounding(n, monkeypatch):
    torch.manual_seed(n)
    x, noise = (4 * torch.randn(n)).requires_grad_(True), torch.randn(n)
    monkeypatch.setattr(torch, "randn_like", lambda y: noise.to(y.device))
    moved = on_device([x])
    for temperature, sigma in ((0.35, 0.22), (0.08, 0.15)):
        found, expected = rounding.noisy_round(moved[0], temperature, sigma), noisy_round(x, temperature, sigma)
        np.testing.assert_allclose(found.detach().cpu(), expected.detach(), atol=2e-5)
        assert_same_gradients(found.square().sum(), moved, expected.square().sum(), [x], 2e-4)


@pytest.mark.parametrize("encoding, kernel, name, stride", [
    ("dense", "cubic", "1-D", 1), ("hash", "linear", "2-D", 2), ("hash", "cubic", "2-D uneven", 1), ("hash", "mitchell", "2-D", 2),
    ("hash", "linear", "3-D", 1), ("hash", "linear", "4-D", 1), ("dense", "mitchell", "3-D", 2),
])  # fmt: skip
def test_interpolation_of_values_at_indices(encoding, kernel, name, stride):
    model = make_model(encoding, kernel, *SHAPES[name], masked=True)
    _, _, plan = make_tiles(model, 2)[-1]
    n_values = sum(len(r) * f for r, f in zip(plan.rows, model.spec.grid.n_features)) + 1
    v = torch.randn(n_values).requires_grad_(True)
    phase = tuple(k % stride for k in range(1, model.spec.n_dims + 1))
    shapes = model.rounded_shapes()
    blocks = [block for block in plan.blocks if block.index is not None]
    assert blocks
    for block in blocks:
        expected = model.features(v, replace(plan, blocks=[block]), phase, stride, shapes)
        moved = on_device([v])
        shape = None if shapes is None else shapes[block.read.level].to(DEVICE)
        found = interpolation.interpolate(moved[0], block.to(DEVICE), phase, stride, shape)
        np.testing.assert_allclose(found.detach().cpu(), expected.detach(), atol=2e-5)
        assert_same_gradients(found.square().sum(), moved, expected.square().sum(), [v], 1e-4)


@pytest.mark.parametrize("encoding, kernel, name, drawn, precision", [
    ("hash", "linear", "2-D", False, "float32"), ("hash", "linear", "3-D", True, "float16"), ("dense", "mitchell", "2-D uneven", True, "float32"),
    ("hash", "cubic", "1-D", False, "float32"),
])  # fmt: skip
def test_squared_error_at_points(encoding, kernel, name, drawn, precision):
    model = make_model(encoding, kernel, *SHAPES[name], masked=True)
    start, stop, plan = make_tiles(model, 2)[-1]
    shape = [b - a for a, b in zip(start, stop)]
    n_values = sum(len(r) * f for r, f in zip(plan.rows, model.spec.grid.n_features)) + 1
    v = torch.randn(n_values - 1).requires_grad_(True)
    target, weight = torch.randn(model.spec.channels, math.prod(shape)), torch.rand(math.prod(shape))
    samples = torch.randint(math.prod(shape), (47,)) if drawn else torch.arange(math.prod(shape))
    steps = torch.cat([torch.full((len(r) * f,), s) for r, f, s in zip(plan.rows, model.spec.grid.n_features, model.grid.steps)])
    features = model.features(torch.cat([v * steps, torch.zeros(1)]), plan, (0,) * len(shape), 1)[:, samples]
    *layers, skip = (t.detach().requires_grad_(True) for t in model.network())
    expected = plain_error(features, skip, layers[::2], layers[1::2], target[:, samples], weight[samples]) * math.prod(shape) / len(samples)
    plain = [*layers[::2], *layers[1::2], skip]
    gradients = torch.autograd.grad(expected, [v, *plain])

    lookup = points.Lookup(plan.blocks, model.grid.steps, n_values, DEVICE, few=5)
    lookup.set_shapes(model.rounded_shapes())
    net = network.Network.of(layers[::2], skip)
    flat = net.flat(layers[::2], layers[1::2], skip).to(DEVICE)
    values, d_values = torch.cat([v.detach(), torch.zeros(1)]).to(DEVICE), torch.zeros(lookup.size, device=DEVICE)
    d_values[:n_values] = 1.0  # what the bits have added
    found = points.launch(
        net, flat, values, lookup, samples.int().to(DEVICE) if drawn else None, target.to(DEVICE), weight.to(DEVICE), d_values,
        torch.tensor([2.0], device=DEVICE), True, precision,
    ).sum(0)  # fmt: skip
    assert found[-1].item() == pytest.approx(expected.item(), rel=CLOSE[precision])
    d_weights, d_biases, d_skip = net.parts(found)
    own = [(d_values[: n_values - 1] - 1) / 2, *d_weights, *d_biases, d_skip.view(skip.shape)]
    for a, b in zip(own, gradients, strict=True):
        assert (a.cpu() - b).square().mean().sqrt() <= CLOSE[precision] * b.square().mean().sqrt()


@pytest.mark.parametrize("encoding", ["dense", "hash", "codebook"])
def test_a_step(encoding, monkeypatch):
    """The kernels are what a step uses where they are there, and it then gives the same."""
    model = make_model(encoding, "linear", *SHAPES["2-D"], masked=True)
    start, stop, plan = make_tiles(model, 2)[0]
    shape = [b - a for a, b in zip(start, stop)]
    tile = Tile(plan, torch.randn(model.spec.channels, *shape), torch.rand(*shape))
    look = Look(Rounding(0.3, 0.0), (1, 0), 2)

    def gradients(is_there):
        monkeypatch.setattr(gpu, "is_available", lambda x: is_there)
        monkeypatch.setenv("NFCODEC_KERNELS", "numpy")  # none for the CPU
        step = PlainStep(model.to(DEVICE))
        moved = Tile(plan.to(DEVICE), tile.target.to(DEVICE), tile.weight.to(DEVICE))
        for p in model.parameters():
            p.grad = None
        d, b = step.gradients(moved, look, (2.0, 0.5), True)
        networks = [*model.tensors, *(t for layer in model.grid.layers() for t in layer)]
        return [d, b], [leaf.grad for leaf in step._picked] + [p.grad for p in networks]

    used = []
    for module, name in ((synthesis, "squared_error"), (rounding, "noisy_round"), (rate, "context_bits"), (interpolation, "interpolate")):
        plain = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, plain=plain, name=name: used.append(name) or plain(*args))
    expected = gradients(False)
    assert not used
    found = gradients(True)
    parts = {"dense": {"noisy_round", "context_bits", "interpolate"}, "hash": {"noisy_round", "interpolate"}, "codebook": set()}
    assert set(used) == {"squared_error"} | parts[encoding]
    assert found[0] == pytest.approx(expected[0], rel=1e-4)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a.cpu(), b.cpu(), rtol=1e-3, atol=1e-4 * max(1.0, b.abs().max().item() if b.numel() else 0.0))


@pytest.mark.parametrize("name", ["short line", "small image"])
def test_the_warm_up_of_the_context_network(name, monkeypatch):
    """Goes where autograd with `Soap` goes, from one tile to the next, and draws the same."""
    expected, found = make_fit(name), make_fit(name)
    bits, plain_bits = [], type(expected.model.grid).bits
    monkeypatch.setattr(type(expected.model.grid), "bits", lambda *args: bits.append(plain_bits(*args)) or bits[-1])
    expected.warm_up(4, 160)
    found.model.to(DEVICE)
    for tile in found.tiles:
        tile.plan = tile.plan.to(DEVICE)
    monkeypatch.setattr(gpu, "is_available", lambda x: True)
    steps, plain = [], warm_up.warm_up
    monkeypatch.setattr(warm_up, "warm_up", lambda *args: steps.extend(plain(*args).tolist()))
    found.warm_up(4, 160)
    assert len(steps) == len(bits) == 4
    for a, b, close in zip(steps, bits, (1e-4, 0.02, 0.05, 0.1)):  # directions of tiny gradients make paths part
        assert a == pytest.approx(b.item(), rel=close)
    assert found.generator.integers(1 << 30) == expected.generator.integers(1 << 30)


CASES["tiny image"] = (14, 11, 3), "image", {"tile_edge": 16}
CASES["tiny vectors"] = (5, 4, 6, 2), "volume", {}
CASES["shorter line"] = (230, 1), "volume", {}
FITS = ["tiny image", "shorter line", "tiny vectors"]


@pytest.mark.parametrize("name", FITS)
def test_all_reads_of_a_pyramid(name):
    fit = make_fit(name)
    model, tile = fit.model, fit.tiles[-1]
    n_values = sum(len(r) * f for r, f in zip(tile.plan.rows, model.spec.grid.n_features)) + 1
    v = torch.randn(n_values)
    v[-1] = 0
    steps = torch.cat([torch.full((len(r) * f,), s) for r, f, s in zip(tile.plan.rows, model.spec.grid.n_features, model.grid.steps)])
    leaf = v.clone().requires_grad_(True)
    expected = model.features(leaf * torch.cat([steps, torch.ones(1)]), tile.plan, (0,) * model.spec.n_dims, 1)
    plan = tile.plan.to(DEVICE)
    found = pyramid.Pyramid(plan.blocks, model.grid.steps, n_values, DEVICE)
    found.set_shapes(None if model.rounded_shapes() is None else model.rounded_shapes().to(DEVICE))
    space, d_space = (torch.zeros(found.size, device=DEVICE) for _ in range(2))
    space[:n_values] = v.to(DEVICE)
    found.forward(space)
    np.testing.assert_allclose(found.features(space).cpu(), expected.detach(), atol=2e-5)
    d_features = torch.randn(expected.shape)
    found.features(d_space).copy_(d_features)
    d_space[:n_values] = 1.0  # what the bits have added
    found.backward(d_space, torch.tensor([2.0], device=DEVICE))
    expected.backward(d_features)
    np.testing.assert_allclose(d_space[:n_values].cpu()[:-1], 1 + 2 * leaf.grad[:-1], atol=2e-4)


@pytest.mark.parametrize("name", FITS)
def test_gradient_of_the_shapes_of_kernels(name):
    """As by autograd, where values and gradients are those of a step."""
    fit = make_fit(name)
    model, tile = fit.model, fit.tiles[-1]
    look = Look(Rounding(hard=True), (0,) * model.spec.n_dims, 1)
    expected = shape_gradient(model, tile, look)
    with torch.no_grad():
        integers, values = model.grid.values(tile.plan, look.rounding)
    features = model.features(values, tile.plan, look.phase, look.stride).detach().requires_grad_(True)
    (d_features,) = torch.autograd.grad(error(model, tile, features, look), features)
    plan = tile.plan.to(DEVICE)
    found = pyramid.Pyramid(plan.blocks, model.grid.steps, len(integers), DEVICE)
    space, d_space = (torch.zeros(found.size, device=DEVICE) for _ in range(2))
    space[: len(integers)] = integers.to(DEVICE)
    found.features(d_space).copy_(d_features)
    shapes = model.rounded_shapes().to(DEVICE)
    gradient = found.shape_gradient(space, d_space, shapes).cpu()
    np.testing.assert_allclose(gradient, expected, rtol=2e-3, atol=2e-3 * expected.abs().max().item())
    found.forward(space)
    np.testing.assert_allclose(found.features(space).cpu(), features.detach(), atol=2e-5)


def test_all_networks_in_one_launch():
    """`Soap` with the price of bits, through steps that turn the bases."""
    models = [make_fit("short line").model for _ in range(2)]
    flat = flatten_networks(models[1].to(DEVICE))
    layers = [[*m.layers(), *m.grid.layers()] for m in models]
    plain, price, rates = Soap(layers[0]), 0.02, [0.01 / (k + 1) for k in range(11)]
    found = optimizer.NetworkOptimizer(flat, layers[1], [k % 2 for k in range(len(layers[1]))])
    shifts = {id(t): s for t, s in priced(models[1])}
    found.set(lambda t: price_factor(shifts[id(t)]), lambda t: 8.0)
    counter, log = torch.zeros(1, dtype=torch.int32, device=DEVICE), torch.zeros(len(rates), 2, device=DEVICE)
    table = torch.zeros(len(rates), rounding.SCHEDULE, device=DEVICE)
    torch.manual_seed(0)
    for k, rate_ in enumerate(rates):
        table[k, 6], table[k, 7] = rate_, 1 - plain.beta ** (k + 1)
        gradients, total = torch.zeros_like(flat), torch.zeros_like(flat)
        gradients[-1] = k
        for number, pair in enumerate(zip(*layers)):
            for t, own in zip(*pair):
                t.grad = torch.randn_like(t)
                at = offset(own, flat)
                gradients[at : at + t.numel()] = t.grad.to(DEVICE).reshape(-1) / (2.0, 5.0)[number % 2]
        add_price(models[0], price)
        for t, own in zip(*([t for layer in side for t in layer] for side in layers)):
            at = offset(own, flat)
            total[at : at + t.numel()] = t.grad.to(DEVICE).reshape(-1)
        if k == 0:
            found.start(total)
        plain.step(rate_)
        found.step(gradients, torch.tensor([2.0, 5.0], device=DEVICE), price, table, counter, log, (0, len(flat) - 1))
        counter += 1
    for expected, own in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(own.detach().cpu(), expected.detach(), atol=2e-3)  # of moves of 0.03
    at, n = offset(models[1].tensors[0], flat), models[1].tensors[0].numel()
    np.testing.assert_allclose(8 * found.effective[at : at + n].cpu(), torch.floor(8 * flat[at : at + n].cpu() + 0.5), atol=1e-6)
    assert log[:, 1].tolist() == list(range(len(rates)))


def make_hash_fit(name):
    """As `make_fit`, of a hash grid."""
    shape, kind, changes = CASES[name]
    rng = np.random.default_rng(0)
    source = from_lattice(Signal(kind, np.clip(128 + 30 * rng.normal(size=shape), 0, 255).astype(np.uint8)))
    preset = presets.choose(source, 1e-3, "hash", 5, 1 << 14)
    grid = replace(preset.grid, log2_size=8)
    return build(source, replace(preset, grid=grid, **changes), 0)


@pytest.mark.parametrize("name, weighted, encoding", [("shorter line", True, "dense"), ("tiny image", False, "dense"), ("small image", False, "hash")])
def test_the_loop(name, weighted, encoding):
    """Goes where a `PlainStep` with `Soap` goes, through all stages of a schedule."""
    recipe = Recipe(n_steps=6, lmbda=1e-3, sigma=(0.0, 0.0), integers_from=0.4, hard_from=0.7)
    found, plain = (make_fit(name, weighted=weighted) if encoding == "dense" else make_hash_fit(name) for _ in range(2))
    found.model.to(DEVICE)
    for tile in found.tiles:
        tile.plan, tile.target = tile.plan.to(DEVICE), tile.target.to(DEVICE)
        tile.weight = None if tile.weight is None else tile.weight.to(DEVICE)
    found.move_shapes = lambda *args: None  # which is tested by itself
    assert loop.is_available(found, recipe)
    run = loop.Loop(found, recipe, "float32")
    told = list(run.steps())

    model, schedule = plain.model, plain.schedule()
    step, networks = PlainStep(model), Soap([*model.layers(), *model.grid.layers()])
    for k, (d_found, b_found) in enumerate(run.log.tolist()):
        at = recipe.at(k)
        if at >= recipe.integers_from and model.shifts is None:
            plain.choose_shifts(recipe.lmbda)
        rates, (index, _) = recipe.rates(at), next(schedule)
        tile = plain.tiles[index]
        share = 1 / tile.target[0].numel()
        look = Look(recipe.rounding(at), (0,) * model.spec.n_dims, 1)
        d, b = step.gradients(tile, look, (share / recipe.lmbda, share), rates[1] > 0)
        # a first step leads to the same place; further on directions of tiny gradients make paths part
        close = (1e-4, 0.02)[k] if k < 2 else 1.0
        assert (d_found, b_found) == (pytest.approx(d, rel=close), pytest.approx(b, rel=close)), k
        if rates[1]:
            step.move(index, tile, rates[1])
        add_price(model, recipe.network_price / plain.n_samples)
        networks.step(rates[0])
    assert found.model.shifts is not None and (encoding == "hash" or found.model.grid.context.shifts is not None)
    assert told[-1].step == recipe.n_steps and told[-1].bits_per_sample > 0 and told[-1].lmbda == recipe.lmbda
    freed = found.model.freeze()
    assert freed.shifts == found.model.shifts
