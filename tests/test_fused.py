"""The fused operations of a training step equal their torch meaning, in value and in every gradient."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("numba", reason="the kernels need numba")

from nfcodec.fit import fused  # noqa: E402
from nfcodec.fit import gathers as packed  # noqa: E402
from nfcodec.fit.context import ContextModel, compand  # noqa: E402
from nfcodec.fit.gathers import LOOSE, RUN, SAME, Gathers  # noqa: E402
from nfcodec.fit.plan import Plan  # noqa: E402
from nfcodec.fit.quantizers import noisy_round  # noqa: E402
from nfcodec.fit.rate import as_coded, laplace_bits  # noqa: E402
from nfcodec.kernels import rate  # noqa: E402
from nfcodec.kernels.blocks import pack, padded, unpack  # noqa: E402

CLOSE = {"rtol": 2e-4, "atol": 2e-4}  # sums of thousands of float32 in another order


@pytest.fixture(params=[1, 2])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def gradients(loss, tensors):
    return [g.numpy() for g in torch.autograd.grad(3.0 * loss, tensors)]


def assert_same(found, expected):
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * max(1.0, np.abs(b).max()))


def make_context(n_gathered, n_neurons, n_hidden_layers, n_values, m, seed=0):
    """(values, plan, context model): some inputs are runs, some positions repeat, some values are exactly 0."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    v = rng.normal(0, 2, n_values).astype(np.float32)
    v[rng.random(n_values) < 0.2] = 0.0
    context = rng.integers(0, n_values, (n_gathered, m), np.int32)
    for i in range(0, n_gathered, 2):
        context[i] = (np.arange(m) // (1 + i // 2 % 2)) % (n_values - 7) + i % 7 * (1 - np.arange(m) % 2)
    context[1, : m // 2] = n_values - 1
    own = np.arange(m, dtype=np.int32) % n_values
    own[m // 2 :] = rng.integers(0, n_values, m - m // 2)
    constants = rng.integers(0, 7, (2, m))
    model = ContextModel(2, False, n_gathered, n_neurons, n_hidden_layers)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.3 * torch.randn_like(p))
        model.biases[-1][1] += 3.0  # some scales beyond the tables' ends
        model.weights[-1][1] *= 4.0
    plan = Plan([], gathers=Gathers.pack(own, context, constants))
    return torch.from_numpy(v).requires_grad_(True), plan, model


def plain_bits(v, plan, model, rounded=False):
    # compand has no derivative at 0; the twins agree to differ there, so it is taken as 1 / ln 2 here too
    companded = compand(v) + torch.where(v == 0, v / np.log(2), 0 * v)
    own, index, constants = plan.gathers.whole("cpu")
    mu, log2_b = model(v[index], companded[index], constants)
    if rounded:
        mu, log2_b = as_coded(mu, log2_b)
    return laplace_bits(v[own], mu, log2_b).sum()


@pytest.mark.parametrize("shape", [(17, 16, 2, 300, 1000), (22, 16, 2, 900, 64), (6, 8, 1, 50, 63), (9, 0, 0, 80, 130), (12, 10, 3, 200, 1)])
def test_bits_of_latents(shape, n_threads):
    v, plan, model = make_context(*shape)
    tensors = [v, *model.parameters()]
    found = fused.context_bits(v, plan, *model.layers())
    expected = plain_bits(v, plan, model)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_same(gradients(found, tensors), gradients(expected, tensors))


def test_bits_as_coded():
    v, plan, model = make_context(12, 16, 2, 300, 500)
    tensors = [v, *model.parameters()]
    found, expected = fused.context_bits(v, plan, *model.layers(), as_coded=True), plain_bits(v, plan, model, rounded=True)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert found.item() != pytest.approx(plain_bits(v, plan, model).item(), rel=1e-4)
    assert_same(gradients(found, tensors), gradients(expected, tensors))


def test_bits_without_gradients():
    v, plan, model = make_context(12, 16, 2, 300, 500)
    with torch.no_grad():
        assert fused.context_bits(v, plan, *model.layers()).item() == pytest.approx(plain_bits(v, plan, model).item(), rel=1e-5)


@pytest.mark.parametrize("n_features, widths, n_channels, m, weighted", [(19, (16, 16), 3, 1000, False), (7, (8,), 1, 64, True), (5, (6, 9, 3), 4, 65, True), (1, (4,), 2, 1, False)])
def test_squared_error(n_features, widths, n_channels, m, weighted, n_threads):
    torch.manual_seed(1)
    sizes = [n_features, *widths, n_channels]
    weights = [(0.5 * torch.randn(b, a)).requires_grad_(True) for a, b in zip(sizes, sizes[1:])]
    biases = [torch.randn(b).requires_grad_(True) for b in sizes[1:]]
    skip, features = torch.randn(n_channels, n_features, requires_grad=True), torch.randn(n_features, m, requires_grad=True)
    target, weight = torch.randn(n_channels, m), torch.rand(m) if weighted else None
    h = features
    for w, b in zip(weights[:-1], biases):
        h = torch.relu(w @ h + b[:, None])
    error = (weights[-1] @ h + biases[-1][:, None] + skip @ features - target).square().mean(0)
    expected = (error if weight is None else error * weight).sum()
    found = fused.squared_error(features, target, weight, weights, biases, skip)
    tensors = [features, skip, *weights, *biases]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_same(gradients(found, tensors), gradients(expected, tensors))


def test_runs_and_pairs_of_runs():
    parents = np.arange(200) // 2
    nearer = parents + np.arange(200) % 2 * 2
    context = np.stack([np.arange(200), np.arange(200)[::-1], parents, nearer, np.full(200, 5)])
    own, constants = np.arange(3, 203), np.stack([np.arange(200) % 7, np.arange(200) // 100])
    found = Gathers.pack(own, context, constants)
    starts = np.arange(0, 192, 16)
    runs = found.runs[:, :12]
    assert runs[0].tolist() == np.stack([starts, np.full(12, RUN)], 1).tolist()
    assert runs[2].tolist() == np.stack([starts // 2, starts // 2], 1).tolist()
    assert runs[3].tolist() == np.stack([starts // 2, starts // 2 + 2], 1).tolist()
    assert runs[4].tolist() == [[5, SAME]] * 12
    assert runs[5].tolist() == np.stack([starts + 3, np.full(12, RUN)], 1).tolist()
    assert (runs[1, :, 1] == LOOSE).all() and (found.runs[:, 12, 1] == LOOSE).all()  # the last vector is not whole
    for unpacked, expected in zip(found.whole("cpu"), (own, context, constants)):
        np.testing.assert_array_equal(unpacked, expected)
    some = np.array([3, 7])
    part, places = found.some(some), (some[:, None] * 16 + np.arange(16)).ravel()
    for unpacked, expected in zip(part.whole("cpu"), (own, context, constants)):
        np.testing.assert_array_equal(unpacked, expected[..., places])
    assert (rate.RUN, rate.SAME, rate.LANES) == (packed.RUN, packed.SAME, packed.LANES)
    # as a GPU takes them, and packed only later
    later = Gathers(np.concatenate([context, own[None]]), constants)
    for gathers in (found, later):
        for unpacked, expected in zip(gathers.places(torch.device("cpu")), (np.concatenate([context, own[None]]), constants)):
            np.testing.assert_array_equal(unpacked, expected)
        np.testing.assert_array_equal(gathers.runs, found.runs)
        np.testing.assert_array_equal(gathers.loose, found.loose)


def test_packing_leads_back():
    rng = np.random.default_rng(0)
    shapes = [(5, 3), (8, 5), (2, 8)]
    weights, biases = [rng.random(s, np.float32) for s in shapes], [rng.random(s[0], np.float32) for s in shapes]
    flat, widths = pack(weights, biases)
    assert widths.tolist() == [padded(n) for n in (3, 5, 8, 2)] == [4, 8, 8, 4]
    for found, expected in zip([x for part in unpack(flat, shapes) for x in part], [*weights, *biases]):
        np.testing.assert_array_equal(found, expected)


def test_the_kernels_take_what_they_can(monkeypatch):
    assert not fused.is_available(torch.zeros(1 << 16, dtype=torch.float64))
    monkeypatch.setenv("NFCODEC_KERNELS", "numpy")
    assert not fused.is_available(torch.zeros(1 << 16))
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    assert fused.is_available(torch.zeros(4))


@pytest.mark.parametrize("n", [5, 64, 1003])
def test_noisy_rounding(n):
    x = (4 * torch.randn(n)).requires_grad_(True)
    for temperature, sigma in ((0.35, 0.22), (0.08, 0.15)):
        torch.manual_seed(3)
        found = fused.noisy_round(x, temperature, sigma)
        torch.manual_seed(3)
        expected = noisy_round(x, temperature, sigma)
        np.testing.assert_allclose(found.detach(), expected.detach(), atol=2e-5)
        assert_same(gradients(found.square().sum(), [x]), gradients(expected.square().sum(), [x]))
