"""The entropy coder: exact tables, round trips, numba equal to numpy, and damaged streams."""

import contextlib
import hashlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from entropy_cases import KERNELS, kernels
from hypothesis import given, settings
from hypothesis import strategies as st

from nfcodec import kernels as choice
from nfcodec.entropy import (
    LaplaceDecoder,
    StaticDecoder,
    context,
    cost_bits,
    encode_laplace,
    encode_static,
    laplace,
    lattice,
    rans,
    tables,
)
from nfcodec.errors import FormatError, UsageError
from nfcodec.kernels import use_native, use_numba

# --- tables


def test_the_tables_are_exactly_those_of_the_specification():
    cumulative = tables.laplace_tables().cumulative
    assert hashlib.sha256(cumulative.astype("<u2").tobytes()).hexdigest() == tables.TABLES_SHA256


def test_the_listed_constants_are_powers_of_e():
    for scale, decay in enumerate(tables.DECAY):
        b = 2 ** ((scale - tables.SCALE_OFFSET) / tables.SCALES_PER_OCTAVE)
        assert decay == pytest.approx(2**32 * math.exp(-1 / (8 * b)), abs=1)


def test_every_token_has_a_frequency():
    for number, (cumulative, _, _) in enumerate(tables.laplace_tables().as_lists):
        assert cumulative[0] == 0 and cumulative[-1] == 1 << tables.PRECISION
        assert all(low < high for low, high in itertools.pairwise(cumulative)), number
        assert len(cumulative) - 1 >= 3


def test_tables_follow_the_laplace_distribution():
    all_tables = tables.laplace_tables()
    for scale, fraction in itertools.product(range(tables.N_TABLE_SCALES), range(8)):
        b = 2 ** ((scale - tables.SCALE_OFFSET) / tables.SCALES_PER_OCTAVE)
        number = scale * 8 + fraction
        frequencies = np.diff(all_tables.as_lists[number][0])
        edges = np.arange(len(frequencies) - 1) + all_tables.lowest[number] - 0.5 - fraction / 8
        below = np.where(edges < 0, np.exp(-np.abs(edges) / b) / 2, 1 - np.exp(-np.abs(edges) / b) / 2)
        mass = np.diff(np.concatenate([[0], below, [1]]))
        share = (1 << tables.PRECISION) - len(frequencies)
        assert np.abs(frequencies - 1 - mass * share).max() < 1.01


def test_the_smallest_scale_makes_zeros_almost_free():
    assert cost_bits([0], 0, 0)[0] < 0.0005
    assert len(encode_laplace(np.zeros(100_000, int), 0, 0)) <= 8


# --- Laplace


values_like = st.one_of(
    st.integers(-3, 3), st.integers(-300, 300), st.integers(-laplace.MAX_VALUE, laplace.MAX_VALUE),
    st.sampled_from([laplace.MAX_VALUE, -laplace.MAX_VALUE]),
)  # fmt: skip
triples = st.lists(
    st.tuples(values_like, st.integers(-laplace.MAX_MU8, laplace.MAX_MU8), st.integers(0, tables.N_SCALES - 1)),
    max_size=60,
)


@pytest.mark.parametrize("name", KERNELS)
@given(triples=triples, cut=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_laplace_round_trip(name, triples, cut):
    values, mu8, scale = np.array(triples, np.int64).reshape(-1, 3).T
    with kernels(name):
        data = encode_laplace(values, mu8, scale)
        decoder = LaplaceDecoder(data)
        parts = [decoder.take(mu8[:cut], scale[:cut]), decoder.take(mu8[cut:], scale[cut:])]
        decoder.finish()
    assert np.array_equal(np.concatenate(parts), values)
    assert parts[0].dtype == np.int32
    with kernels("numpy"):
        assert encode_laplace(values, mu8, scale) == data


@pytest.mark.parametrize("spread", [0.05, 0.5, 3, 40, 400])
def test_costs_are_the_real_size(spread):
    rng = np.random.default_rng(1)
    mu8 = rng.integers(-800, 800, 20_000)
    values = np.rint(mu8 / 8 + rng.laplace(0, spread, mu8.size)).astype(int)
    scale = round(tables.SCALE_OFFSET + 6 * math.log2(spread))
    data = encode_laplace(values, mu8, scale)
    bits = cost_bits(values, mu8, scale)
    assert bits.shape == values.shape
    assert abs(len(data) - bits.sum() / 8) <= 0.001 * len(data) + 4
    if spread >= 3:  # and near the entropy of the continuous distribution
        assert bits.mean() == pytest.approx(math.log2(2 * math.e * spread), rel=0.06)


def test_numbers_out_of_range_are_refused():
    for arguments in (([1 << 25], 0, 0), ([0], 1 << 20, 0), ([0], 0, 82), ([0], 0, -1)):
        with pytest.raises(UsageError):
            encode_laplace(*arguments)


@pytest.mark.parametrize("name", KERNELS)
def test_streams_that_no_encoder_writes(name):
    def decode(data, mu8=0, scale=0, n=1):
        decoder = LaplaceDecoder(data)
        decoder.take(np.full(n, mu8), np.full(n, scale))
        decoder.finish()

    def code(data, *arguments):
        with pytest.raises(FormatError) as caught:
            decode(data, *arguments)
        return caught.value.code

    def stream(*steps):
        operations = [(np.array([s], np.uint16), np.array([f], np.uint16)) for s, f in steps]
        return rans.encode_operations(operations)

    with kernels(name):
        assert code(b"") == code(b"\0\0\1") == code(b"\0\0\1\0\0") == "rans-length"
        assert code(b"\xff\xff\0\0") == "rans-state"
        assert code(b"\0\0\1\0" + b"\0\0") == "rans-state"  # a word left
        assert code(b"\0\0\1\0", 0, 40, 9) == "rans-exhausted"
        escape, one = (0, 1), (1 << 13, 1 << 13)
        assert code(stream(escape, *[one] * 25)) == "escape"
        # exponent 24 is what the largest values need, but its bits can say more
        beyond = stream(escape, *[one] * 24, (0, 1 << 13), ((1 << 14) - 1, 1), ((1 << 14) - 16, 16))
        assert code(beyond) == "value-range"


# --- static tables


def decoded(data, contexts, n_symbols, n_contexts):
    decoder = StaticDecoder(data, n_symbols, n_contexts)
    symbols = decoder.take(contexts)
    decoder.finish()
    return symbols


@pytest.mark.parametrize("name", KERNELS)
@given(
    n_symbols=st.sampled_from([1, 2, 3, 16, 200]),
    n_contexts=st.integers(1, 9),
    seed=st.integers(0, 1 << 30),
    n=st.integers(0, 300),
    sharpness=st.integers(0, 6),
)
@settings(max_examples=25, deadline=None)
def test_static_round_trip(name, n_symbols, n_contexts, seed, n, sharpness):
    rng = np.random.default_rng(seed)
    weights = rng.random(n_symbols) ** sharpness
    symbols, contexts = rng.choice(n_symbols, n, p=weights / weights.sum()), rng.integers(0, n_contexts, n)
    with kernels(name):
        data = encode_static(symbols, contexts, n_symbols, n_contexts)
        assert np.array_equal(decoded(data, contexts, n_symbols, n_contexts), symbols)
        decoder = StaticDecoder(data, n_symbols, n_contexts)
        assert [decoder.take_one(c) for c in contexts.tolist()] == symbols.tolist()
        decoder.finish()


def test_static_sizes():
    rng = np.random.default_rng(2)
    weights = rng.exponential(size=4096) ** 2
    symbols = rng.choice(4096, 60_000, p=weights / weights.sum())
    counts = np.bincount(symbols)
    share = counts[counts > 0] / len(symbols)
    entropy_bytes = -(share * np.log2(share)).sum() * len(symbols) / 8
    assert len(encode_static(symbols, None, 4096, 1)) < 1.06 * entropy_bytes  # tables included
    assert len(encode_static(symbols[:300], None, 4096, 1)) <= 300 * 12 / 8 + 6  # few symbols: flat tables
    assert len(encode_static(np.ones(5000, int), None, 2, 1)) <= 8
    contexts = rng.integers(0, 8, 5000)
    assert len(encode_static(contexts > 3, contexts, 2, 8)) <= 32
    assert len(encode_static([], [], 2, 256)) <= 40  # an empty context is one bit


@pytest.mark.parametrize("name", KERNELS)
def test_static_contexts_without_a_table(name):
    data = encode_static([0, 1], [0, 0], 2, 2)
    with kernels(name), pytest.raises(FormatError) as caught:
        StaticDecoder(data, 2, 2).take(np.array([0, 1]))
    assert caught.value.code == "empty-context"


def test_static_streams_never_crash():
    rng = np.random.default_rng(3)
    contexts = rng.integers(0, 3, 60)
    data = encode_static(rng.integers(0, 5, 60), contexts, 5, 3)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(FormatError):
            assert decoded(bytes(damaged), contexts, 5, 3).max() < 5


def test_loops_that_were_not_compiled(monkeypatch):
    monkeypatch.setattr(choice, "_has_native", lambda: False)
    with kernels("native"), pytest.raises(UsageError, match="not compiled"):
        use_native()
    with kernels(""):
        assert not use_native()


def test_loops_that_were_compiled(monkeypatch):
    monkeypatch.setattr(choice, "_has_native", lambda: True)
    with kernels("native"):
        assert use_native() and not use_numba(1 << 40)
    with kernels("numba"):
        assert not use_native()
    with kernels(""):
        assert use_native()


def test_choosing_kernels():
    with kernels("fortran"), pytest.raises(UsageError, match="NFCODEC_KERNELS"):
        use_numba(10)
    with kernels("numpy"):
        assert not use_numba(1 << 40) and not use_native()


# --- the specification says the same


def listed(name):
    """The integers of a fenced block of spec/entropy.md."""
    text = (Path(__file__).parents[1] / "spec" / "entropy.md").read_text()
    return [int(word) for word in text.split(f"```{name}\n")[1].split("```")[0].split()]


def test_the_specification_lists_what_the_code_uses():
    assert listed("decay") == list(tables.DECAY)
    assert listed("compand") == context.COMPAND[255:].tolist()
    text = (Path(__file__).parents[1] / "spec" / "entropy.md").read_text()
    assert tables.TABLES_SHA256 in text
    for n_dims, offsets in lattice.CAUSAL.items():
        places = " ".join("(" + ",".join(map(str, offset)) + ")" for offset in offsets)
        weights = "(" + ",".join(map(str, lattice.WAVEFRONT[n_dims])) + ")"
        assert f"| {n_dims} | {places} | {weights} |" in text
