"""The context network and the levels that it codes: as defined, numba equal to numpy, damaged files."""

import contextlib
import itertools
import math

import numpy as np
import pytest
from entropy_cases import (
    KERNELS,
    context_inputs,
    decode_all,
    encode_all,
    extreme_net,
    has_native,
    kernels,
    make_net,
    make_pyramid,
    zero_net,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from nfcodec import container
from nfcodec.entropy import (
    ContextNet,
    block_mask,
    context,
    decode_level,
    encode_level,
    laplace,
    lattice,
    levels,
    n_inputs,
    predict,
)
from nfcodec.entropy.masks import decode_mask, encode_mask
from nfcodec.errors import FormatError, LimitError, NfldError, UsageError

# --- lattices


@pytest.mark.parametrize("n_dims", [1, 2, 3, 4])
def test_causal_neighbours_come_before(n_dims):
    weights = lattice.WAVEFRONT[n_dims]
    offsets = np.array(lattice.CAUSAL[n_dims])
    assert len(set(map(tuple, offsets))) == len(offsets)
    assert ((offsets @ weights) < 0).all()
    for k in range(n_dims):  # the smallest such weights: one less anywhere breaks the order
        fewer = np.array(weights) - (np.arange(n_dims) == k)
        assert not ((offsets @ fewer) < 0).all()
    # and raster order would do as well, so no neighbour lies ahead of its position
    assert all(next(step for step in offset if step) < 0 for offset in offsets.tolist())


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("shape", [(7,), (5, 9), (1, 6), (6, 1), (4, 3, 5), (1, 1, 2), (2, 3, 2, 3)])
def test_the_coding_order(shape, name):
    rng = np.random.default_rng(4)
    for coded in (None, rng.random(shape) < 0.5, rng.random(shape[::-1]).T < 0.5, np.zeros(shape, bool)):
        with kernels(name):
            positions, bounds = lattice.Lattice(shape).coding_order(coded)
        assert positions.dtype == np.int32 and bounds.dtype == np.int64
        time = np.tensordot(lattice.WAVEFRONT[len(shape)], np.indices(shape), 1).ravel()
        chosen = range(math.prod(shape)) if coded is None else np.flatnonzero(coded)
        assert positions.tolist() == sorted(chosen, key=lambda i: (time[i], i))
        assert bounds[0] == 0 and bounds[-1] == len(positions)
        fronts = [set(time[positions[a:b]]) for a, b in itertools.pairwise(bounds)]
        assert all(len(front) == 1 for front in fronts) and sorted(map(min, fronts)) == list(map(min, fronts))


def reference_inputs(pyramid, level, feature, at):
    """The definition, one position and plain Python: what context_inputs must equal."""
    shape, n_dims = pyramid[level].shape[1:], len(at)
    multi = any(len(planes) > 1 for planes in pyramid)

    def value(plane, place):
        inside = all(0 <= i < n for i, n in zip(place, plane.shape))
        return max(-255, min(255, int(plane[tuple(place)]))) if inside else 0

    def moved(place, axis, step):
        return [i + step * (k == axis) for k, i in enumerate(place)]

    plane = pyramid[level][feature]
    inputs = [value(plane, [i + s for i, s in zip(at, offset)]) for offset in lattice.CAUSAL[n_dims]]
    if level == 0:
        inputs += [0] * (1 + 2 * n_dims)
    else:
        coarse = pyramid[level - 1][min(feature, len(pyramid[level - 1]) - 1)]
        parent = [(2 * i + 1) * nc // (2 * nf) for i, nc, nf in zip(at, coarse.shape, shape)]
        sides = [
            1 if (2 * i + 1) * nc - p * 2 * nf >= nf else -1 for i, p, nc, nf in zip(at, parent, coarse.shape, shape)
        ]
        places = [parent]
        places += [moved(parent, k, side) for k, side in enumerate(sides)]
        places += [moved(parent, k, -side) for k, side in enumerate(sides)]
        inputs += [value(coarse, [min(max(i, 0), n - 1) for i, n in zip(p, coarse.shape)]) for p in places]
    if multi:
        places = [list(at)] + [moved(at, k, step) for k in range(n_dims) for step in (-1, 1)]
        inputs += [value(pyramid[level][feature - 1], p) if feature else 0 for p in places]
    return [*inputs, len(pyramid) - 1 - level, feature]


PYRAMIDS = [
    ([(3,), (7,)], (1, 1)),
    ([(1, 1), (3, 4), (6, 5)], (1, 1, 1)),
    ([(3, 2), (5, 3)], (2, 3)),
    ([(2, 2, 2), (3, 5, 4)], (2, 1)),
    ([(1, 2, 2, 1), (2, 3, 3, 2)], (1, 2)),
    ([(4, 4), (3, 2)], (1, 1)),  # a finer level may have fewer vertices
]


@pytest.mark.parametrize("resolutions, n_features", PYRAMIDS)
def test_inputs_are_as_defined(resolutions, n_features):
    pyramid = make_pyramid(np.random.default_rng(5), resolutions, n_features, 120)
    for level, planes in enumerate(pyramid):
        for feature in range(len(planes)):
            inputs = context_inputs(pyramid, level, feature)
            assert inputs.dtype == np.int32 and inputs.shape[1:] == planes.shape[1:]
            for at in np.ndindex(*planes.shape[1:]):
                assert inputs[(slice(None), *at)].tolist() == reference_inputs(pyramid, level, feature, at)


def test_block_masks():
    level = np.zeros((2, 9, 20), np.int32)
    level[1, 8, 15] = -1
    mask = block_mask(level)
    assert mask.tolist() == [[False] * 3, [False, True, False]]
    expanded = lattice.expand_mask(mask, (9, 20))
    assert np.argwhere(expanded).tolist() == [[8, x] for x in range(8, 16)]
    assert block_mask(np.ones((1, 5, 4, 9), int)).shape == (2, 1, 3)


def test_masks_follow_the_features_above():
    """A mask that the coarser level explains takes little but its tables; one that has nothing to do with it a bit a block."""
    rng = np.random.default_rng(3)
    before = np.repeat(np.repeat(np.repeat(rng.random((1, 10, 11, 12)) < 0.3, 2, 1), 2, 2), 2, 3).astype(np.int32)
    resolution = tuple(2 * n for n in before.shape[1:])
    above = before[0, ::2, ::2, ::2] != 0
    other = np.random.default_rng(4).random(above.shape) < 0.3
    sizes = []
    for mask in (above, other):
        data = encode_mask(mask, before, resolution)
        assert np.array_equal(decode_mask(data, before, resolution), mask)
        sizes.append(len(data))
    assert sizes[0] < 30 and sizes[1] > 0.8 * above.size / 8
    with pytest.raises(UsageError, match="blocks, expected"):
        encode_mask(above[1:], before, resolution)


# --- context network


def test_the_companding_table():
    exact = [round(256 * math.log2(1 + x)) for x in range(256)]
    assert context.COMPAND[255:].tolist() == exact
    assert context.COMPAND[:256].tolist() == [-c for c in exact[::-1]]


def reference_predict(net, x):
    """The definition with Python integers."""
    n = net.n_inputs - 2
    hidden = [int(context.COMPAND[v + 255]) for v in x[:n]] + [v << 8 for v in x[n:]]
    for layer, (weights, bias, shift) in enumerate(zip(net.weights, net.biases, net.shifts)):
        half = 1 << (shift - 1) if shift else 0
        sums = [
            (sum(w * h for w, h in zip(row, hidden)) + (b << shift) + half) >> shift
            for row, b in zip(weights.tolist(), bias.tolist())
        ]
        if layer < net.n_hidden_layers:
            hidden = [min(max(s, 0), 65535) for s in sums]
    shift = net.shifts[-1]
    half = 1 << (shift - 1) if shift else 0
    location = sums[0] + ((sum(k * (v << 8) for k, v in zip(net.skip.tolist(), x)) + half) >> shift)
    mu8 = min(max((location + 16) >> 5, -16376), 16376)
    return mu8, min(max(((sums[1] * 6 + 128) >> 8) + 27, 0), 81)


@pytest.mark.parametrize("n_neurons, n_hidden_layers", [(0, 0), (1, 1), (8, 2), (5, 3)])
def test_predictions_are_as_defined(n_neurons, n_hidden_layers):
    rng = np.random.default_rng(6)
    for largest in (3, 80, 400):
        net = make_net(rng, 2, True, n_neurons, n_hidden_layers, largest)
        inputs = rng.integers(-255, 256, (net.n_inputs, 40)).astype(np.int32)
        inputs[-2:] = np.abs(inputs[-2:]) % 16
        mu8, scale = predict(net, inputs)
        expected = [reference_predict(net, inputs[:, i].tolist()) for i in range(40)]
        assert list(zip(mu8.tolist(), scale.tolist())) == expected


def test_accumulators_cannot_overflow():
    n = n_inputs(2, False)

    def net(weight, bias=0, shift=0, skip=0, hidden=16):
        weights = [np.full((64, n), 1, np.int32), np.zeros((2, 64), np.int32)]
        weights[1][0, :hidden] = weight
        biases = [np.zeros(64, np.int32), np.array([bias, 0], np.int32)]
        return ContextNet(2, n, False, 64, 1, weights, biases, np.full(n - 2, skip, np.int32), [0, shift, 0])

    net(2047, hidden=16)  # 16 * 2047 * 65535 just fits 31 bits
    with pytest.raises(UsageError, match="32 bits"):
        net(2047, hidden=17)
    with pytest.raises(UsageError, match="32 bits"):
        net(2047, bias=1 << 15, shift=12)
    with pytest.raises(UsageError, match="beyond"):
        net(2048)
    with pytest.raises(UsageError, match="shifts"):
        net(1, shift=13)


@given(
    seed=st.integers(0, 1 << 30),
    n_dims=st.integers(1, 4),
    multi=st.booleans(),
    n_neurons=st.integers(1, 64),
    n_hidden_layers=st.integers(0, 3),
)
@settings(max_examples=15, deadline=None)
def test_nets_survive_their_bytes(seed, n_dims, multi, n_neurons, n_hidden_layers):
    net = make_net(np.random.default_rng(seed), n_dims, multi, n_neurons, n_hidden_layers)
    again = ContextNet.from_bytes(net.to_bytes())
    assert again.to_bytes() == net.to_bytes() and list(again.shifts) == list(net.shifts)
    for old, new in zip(net.tensors(), again.tensors()):
        assert np.array_equal(old, new)


def test_damaged_nets_are_refused():
    data = make_net(np.random.default_rng(7), 2, False, 2, 1, 5).to_bytes()
    for n in range(len(data)):
        with pytest.raises(FormatError):
            ContextNet.from_bytes(data[:n])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(FormatError):
            ContextNet.from_bytes(bytes(damaged))


# --- levels


@st.composite
def pyramids(draw):
    """(net, pyramid, masks or None) of 1 to 4 axes with spreads from all zeros to the largest values."""
    n_dims = draw(st.integers(1, 4))
    n_levels = draw(st.integers(1, 3))
    size = st.integers(1, {1: 40, 2: 20, 3: 9, 4: 5}[n_dims])
    resolutions = draw(st.lists(st.tuples(*[size] * n_dims), min_size=n_levels, max_size=n_levels))
    n_features = draw(st.lists(st.integers(1, 3), min_size=n_levels, max_size=n_levels))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    spread = draw(st.sampled_from([0, 0.3, 2, 30, 3000, 1e7]))
    pyramid = make_pyramid(rng, resolutions, n_features, spread)
    net = make_net(rng, n_dims, max(n_features) > 1, draw(st.integers(1, 16)), draw(st.integers(0, 3)))
    masks = None
    if draw(st.booleans()):
        masks = [rng.random(block_mask(planes).shape) < 0.5 for planes in pyramid]
        pyramid = [planes * lattice.expand_mask(mask, planes.shape[1:]) for planes, mask in zip(pyramid, masks)]
    return net, pyramid, masks


@pytest.mark.parametrize("name", KERNELS)
@given(case=pyramids())
@settings(max_examples=30, deadline=None)
def test_level_round_trip(name, case):
    net, pyramid, masks = case
    with kernels(name):
        streams = encode_all(net, pyramid, masks)
        decoded = decode_all(net, [planes.shape for planes in pyramid], streams)
    for old, new in zip(pyramid, decoded):
        assert new.dtype == np.int32 and np.array_equal(old, new)
    with kernels("numpy"):
        assert encode_all(net, pyramid, masks) == streams


@pytest.mark.parametrize("name", KERNELS)
def test_runs_of_wavefronts(name, monkeypatch):
    """Planes larger than what is prepared at a time."""
    monkeypatch.setattr(levels, "STEP", 50)
    rng = np.random.default_rng(8)
    net, pyramid = make_net(rng, 2, True), make_pyramid(rng, [(9, 7), (19, 30)], (2, 2), 2)
    with kernels(name):
        streams = encode_all(net, pyramid)
        decoded = decode_all(net, [planes.shape for planes in pyramid], streams)
    assert all(map(np.array_equal, pyramid, decoded))


def test_zeros_cost_almost_nothing():
    zeros = [np.zeros((1, 256, 256), np.int32)]
    assert len(encode_level(zero_net(2, False, -1600), zeros, 0)) < 16
    mask = np.zeros((32, 32), bool)
    assert len(encode_level(zero_net(2, False, 0), zeros, 0, mask)) < 20


def test_levels_that_do_not_fit_are_refused():
    net = zero_net(2, False, 0)
    pyramid = [np.ones((1, 9, 9), np.int32)]
    for arguments in (
        (net, pyramid, 1),
        (net, [np.ones((2, 9, 9), np.int32)], 0),
        (net, [np.ones((1, 9), np.int32)], 0),
        (net, pyramid, 0, np.ones((3, 3), bool)),
        (net, pyramid, 0, np.zeros((2, 2), bool)),
        (net, [pyramid[0] << 25], 0),
    ):
        with pytest.raises(UsageError):
            encode_level(*arguments)
    data = encode_level(net, pyramid, 0)
    for shape in ((1, 1 << 20, 1 << 8), (1, 1 << 23, 1), (17, 2, 2), (1, 0, 2), (1, 1 << 20, 1 << 20)):
        with pytest.raises(LimitError):
            decode_level(net, [], 1, shape, data)
    with pytest.raises(FormatError):
        decode_level(net, [], 1, (1, 9, 9, 9), data)
    with pytest.raises(FormatError):
        decode_level(net, [], 1, (1, 9, 9), b"\x02" + data[1:])


def small_file():
    """A whole file with a context network and two levels, one with a mask."""
    rng = np.random.default_rng(10)
    net = make_net(rng, 2, False, 2, 1, 30)
    pyramid = make_pyramid(rng, [(3, 4), (10, 12)], (1, 1), 1.5)
    pyramid[1][:, :8] = 0
    streams = encode_all(net, pyramid, [None, block_mask(pyramid[1])])
    chunks = [container.Chunk(container.CTXN, 0, container.RANS, net.to_bytes())]
    chunks += [container.Chunk(container.GRID, level, container.RANS, stream) for level, stream in enumerate(streams)]
    return chunks, pyramid


def read_small_file(data, **options):
    found = container.read(data, **options)
    net = ContextNet.from_bytes(found.chunks[0].data)
    decoded = []
    for chunk, shape in zip(found.chunks[1:], [(1, 3, 4), (1, 10, 12)]):
        decoded.append(decode_level(net, decoded, 2, shape, chunk.data))
    return decoded


@pytest.mark.parametrize("name", KERNELS)
def test_damaged_files_end_in_an_error_or_decode(name):
    chunks, pyramid = small_file()
    data = container.write(chunks)
    with kernels(name):
        assert all(map(np.array_equal, read_small_file(data), pyramid))
        for n in range(len(data)):
            with pytest.raises(NfldError):
                read_small_file(data[:n])
        for bit in range(8 * len(data)):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(NfldError):
                read_small_file(bytes(damaged))
        for at, chunk in enumerate(chunks):  # now with sound checksums
            bits = range(8 * len(chunk.data))
            bodies = [
                (int.from_bytes(chunk.data, "little") ^ 1 << bit).to_bytes(len(chunk.data), "little") for bit in bits
            ]
            bodies += [chunk.data[:n] for n in range(len(chunk.data))]
            for body in bodies:
                changed = container.Chunk(chunk.type, chunk.key, chunk.codec, body)
                with contextlib.suppress(NfldError):
                    decoded = read_small_file(container.write([*chunks[:at], changed, *chunks[at + 1 :]]))
                    assert [planes.shape for planes in decoded] == [planes.shape for planes in pyramid]
                    assert max(np.abs(planes).max() for planes in decoded) <= laplace.MAX_VALUE


def test_a_prefix_decodes_to_the_coarse_level():
    chunks, pyramid = small_file()
    data = container.write(chunks)
    decoded = read_small_file(data[:-1], allow_truncated=True)
    assert len(decoded) == 1 and np.array_equal(decoded[0], pyramid[0])


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("n_dims, shape", [(1, (70,)), (2, (33, 21)), (3, (7, 6, 9)), (4, (3, 5, 4, 4))])
def test_networks_at_their_bounds(n_dims, shape, name):
    """Sums that just stay in 32 bits, fronts of one position and of more than a batch, escapes, raw bits and masks."""
    rng = np.random.default_rng(31)
    for n_hidden_layers, spread, masked in itertools.product(range(4), (0.4, 1e4), (False, True)):
        net = extreme_net(rng, n_dims, n_hidden_layers)
        pyramid, masks = make_pyramid(rng, [tuple(-(-n // 2) for n in shape), shape], (2, 2), spread), None
        if masked:
            masks = [rng.random(block_mask(planes).shape) < 0.6 for planes in pyramid]
            pyramid = [p * lattice.expand_mask(mask, p.shape[1:]) for p, mask in zip(pyramid, masks)]
        with kernels("numpy"):
            streams = encode_all(net, pyramid, masks)
        with kernels(name):
            found = decode_all(net, [planes.shape for planes in pyramid], streams)
        assert all(np.array_equal(a, b) for a, b in zip(found, pyramid))


@pytest.mark.parametrize("vectors", range(3))
def test_every_kind_of_vectors(vectors):
    """Networks at their bounds, and one as files have, by the loops in C for older machines and for newer ones."""
    if not has_native():
        pytest.skip("needs a C compiler")
    from nfcodec.kernels import _plane

    if _plane.choose_vectors(vectors) != vectors:
        _plane.choose_vectors(2)
        pytest.skip("this machine has no such vectors")
    rng = np.random.default_rng(32)
    try:
        for net in (*(extreme_net(rng, 2, n) for n in range(4)), make_net(rng, 2, True, 31, 2)):
            pyramid = make_pyramid(rng, [(17, 11), (33, 21)], (2, 2), 3.0)
            with kernels("numpy"):
                streams = encode_all(net, pyramid)
            with kernels("native"):
                found = decode_all(net, [planes.shape for planes in pyramid], streams)
            assert all(np.array_equal(a, b) for a, b in zip(found, pyramid))
    finally:
        _plane.choose_vectors(2)


def test_truncated_planes_are_reported_alike():
    rng = np.random.default_rng(33)
    net = make_net(rng, 2, False)
    pyramid = make_pyramid(rng, [(9, 12)], (1,), 900.0)
    with kernels("numpy"):
        (stream,) = encode_all(net, pyramid)
    for n in range(5, len(stream), 2):
        told = set()
        for parameter in KERNELS:
            name = getattr(parameter, "values", [parameter])[0]
            if getattr(parameter, "marks", ()) and parameter.marks[0].args[0]:
                continue
            with kernels(name), pytest.raises(FormatError) as caught:
                decode_all(net, [pyramid[0].shape], [stream[:n]])
            told.add(str(caught.value))
        assert len(told) == 1
