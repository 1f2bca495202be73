"""The kernels that run a context network on 16 positions at once equal the numpy reference, whatever the sizes."""

import itertools

import numpy as np
import pytest
from entropy_cases import encode_all, extreme_net, kernels, make_net, make_pyramid

numba = pytest.importorskip("numba", reason="the kernels need numba")

from numba.core.registry import cpu_target  # noqa: E402

from nfcodec import kernels as choice  # noqa: E402
from nfcodec.entropy import decode_level, lattice, predict  # noqa: E402
from nfcodec.entropy.context import plane_inputs  # noqa: E402
from nfcodec.entropy.laplace import place  # noqa: E402
from nfcodec.kernels import context, integers  # noqa: E402

SHAPES = {
    1: [(1,), (5,), (70,)],
    2: [(1, 1), (3, 4), (1, 50), (33, 21)],
    3: [(2, 1, 3), (7, 6, 9)],
    4: [(1, 2, 1, 2), (3, 5, 4, 4)],
}
NETS = [(0, 0), (1, 1), (3, 3), (5, 2), (7, 1), (24, 2), (40, 2), (64, 3)]


def pyramid_of(rng, shape, multi, spread):
    coarse = tuple(-(-n // 2) for n in shape)
    return make_pyramid(rng, [coarse, shape], (2, 2) if multi else (1, 1), spread)


def assert_same_predictions(rng, net, pyramid):
    for level, planes in enumerate(pyramid):
        inputs = plane_inputs(pyramid, level, len(planes) - 1, net.multi)
        positions = rng.permutation(planes[0].size).astype(np.int32)
        for n in sorted({1, min(15, len(positions)), min(17, len(positions)), len(positions)}):
            expected = predict(net, inputs.all(positions[:n]))
            found = context.predict_plane(net, inputs, positions[:n])
            assert np.array_equal(found, expected) and found[0].dtype == found[1].dtype == np.int32


@pytest.mark.parametrize("n_neurons, n_hidden_layers", NETS)
@pytest.mark.parametrize("n_dims", SHAPES)
def test_predictions(n_dims, n_neurons, n_hidden_layers):
    rng = np.random.default_rng(11)
    for shape, multi in itertools.product(SHAPES[n_dims], (False, True)):
        net = make_net(rng, n_dims, multi, n_neurons, n_hidden_layers, 30)
        assert_same_predictions(rng, net, pyramid_of(rng, shape, multi, 3.0))


@pytest.mark.parametrize("n_hidden_layers", range(4))
@pytest.mark.parametrize("n_dims", SHAPES)
def test_numbers_at_their_bounds(n_dims, n_hidden_layers):
    rng = np.random.default_rng(12)
    seen = set()
    for _ in range(12):
        net = extreme_net(rng, n_dims, n_hidden_layers)
        pyramid = pyramid_of(rng, SHAPES[n_dims][-1], True, 1e4)
        assert_same_predictions(rng, net, pyramid)
        seen.update(np.unique(predict(net, plane_inputs(pyramid, 1, 1, True).all(np.arange(pyramid[1][0].size)))[0]))
    assert {-8 * 2047, 8 * 2047} <= seen


@pytest.mark.parametrize("n_dims", SHAPES)
def test_planes(n_dims):
    """Batches that are not full, whole fronts of one position, masks, escapes and raw bits."""
    rng = np.random.default_rng(13)
    for shape, multi, spread, has_mask in itertools.product(SHAPES[n_dims], (False, True), (0.4, 2000.0), (False, True)):
        net = make_net(rng, n_dims, multi, int(rng.integers(1, 30)), int(rng.integers(0, 4)), 20)
        pyramid, masks = pyramid_of(rng, shape, multi, spread), None
        if has_mask:
            masks = [rng.random(lattice.block_mask(planes).shape) < 0.6 for planes in pyramid]
            pyramid = [p * lattice.expand_mask(mask, p.shape[1:]) for p, mask in zip(pyramid, masks)]
        with kernels("numpy"):
            streams = encode_all(net, pyramid, masks)
        with kernels("numba"):
            assert encode_all(net, pyramid, masks) == streams
            for level, stream in enumerate(streams):
                found = decode_level(net, pyramid[:level], 2, pyramid[level].shape, stream)
                assert np.array_equal(found, pyramid[level])


def test_places():
    mu8, scale = np.meshgrid(np.r_[-16376, -16375, -9:9, 16376], np.arange(82))
    mu8, scale = (np.pad(a.ravel(), (0, -a.size % 16)).astype(np.int32) for a in (mu8, scale))
    found = np.empty((len(mu8) // 16, 4, 16), np.int32)
    for k, rows in enumerate(found):
        flat = np.zeros(64, np.int32)
        context._place(np.concatenate([mu8[16 * k : 16 * k + 16], scale[16 * k : 16 * k + 16]]), flat)
        rows[:] = flat.reshape(4, 16)
    assert np.array_equal(found.swapaxes(0, 1).reshape(4, -1), place(mu8, scale))


def test_divisions_by_multiplication():
    rng = np.random.default_rng(14)
    for n in [*range(1, 70), *(2**k + d for k in range(7, 31) for d in (-1, 0, 1)), *rng.integers(1, 1 << 31, 50).tolist()]:
        multiplier, shift = context._reciprocal(n)
        near = (rng.integers(0, (1 << 31) // n, 20) * n)[:, None] + np.arange(-1, 2)
        a = np.clip(np.r_[0, 1, (1 << 31) - 1, near.ravel()], 0, (1 << 31) - 1)
        assert np.array_equal(a * np.int64(multiplier) >> shift, a // n)


@pytest.mark.parametrize("width", [None, 0, 4])
def test_products_of_pairs(width, monkeypatch):
    """Whatever instruction they become; None is this machine's."""
    if width == 4 and integers._widest_products(cpu_target.target_context) == 0:
        pytest.skip("needs an x86")
    if width is not None:
        monkeypatch.setattr(integers, "_widest_products", lambda context: width)

    add_products, load, store = integers.add_products, integers.load, integers.store

    @numba.njit
    def run(total, a, b, out):
        store(out, 0, add_products(load(total, 0), load(a, 0), load(b, 0)))

    rng = np.random.default_rng(15)
    for _ in range(20):
        total, a, b = (rng.integers(-(1 << 31), 1 << 31, 16).astype(np.int32) for _ in range(3))
        out = np.zeros(16, np.int32)
        run(total, a, b, out)
        products = a.view(np.int16).astype(np.int64) * b.view(np.int16)
        assert np.array_equal(out, (total + products.reshape(16, 2).sum(axis=1)).astype(np.int32))


def test_arrays_with_gaps_are_refused():
    @numba.njit
    def first(a):
        return integers.get(a, 0)

    assert first(np.array([7, 8])) == 7
    with pytest.raises(numba.errors.TypingError, match="contiguous"):
        first(np.arange(4)[::2])


def test_kernels_stay_chosen(monkeypatch):
    monkeypatch.delenv("NFCODEC_KERNELS", raising=False)
    monkeypatch.setattr(choice, "_at_hand", set())
    assert not choice.use_numba(10, "some") and choice.use_numba(choice.SMALL_WORK)
    assert not choice.use_numba(10, "some") and choice.use_numba(choice.SMALL_WORK, "some")
    assert choice.use_numba(10, "some") and not choice.use_numba(10, "other") and not choice.use_numba(10)
    monkeypatch.setenv("NFCODEC_KERNELS", "numpy")
    assert not choice.use_numba(10, "some")
