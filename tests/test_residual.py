"""The residual: integers as the text says, the bound at every sample, parts and prefixes, and files broken on purpose."""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from entropy_cases import KERNELS, kernels, make_net
from field_cases import FACTORED, make_field, make_frozen, make_spec, specs
from hypothesis import given, settings
from hypothesis import strategies as st

import nfcodec
from nfcodec import container, decode, fixed, residual
from nfcodec.binary import Writer
from nfcodec.container import CTXN, GRID, META, RANS, RESI, Chunk
from nfcodec.errors import FormatError, LimitError, NfldError, SignalError, TruncatedError
from nfcodec.pack import pack
from nfcodec.residual import Head
from nfcodec.spec import DTYPES, SURFACE_KINDS

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
EXPECTED = json.loads((GOLDEN / "golden.json").read_text("utf-8"))
NAMES = sorted(name for name, facts in EXPECTED.items() if "decoded" in facts)
INTEGERS = [name for name in DTYPES if name[0] != "f"]


def data_of(name):
    return (GOLDEN / f"{name}.nfld").read_bytes()


def outputs(field):
    return residual.outputs_of(field.spec, field.grid, field.mlp)


# ---------------------------------------------------------------- spec/residual.md in Python's own integers


def right(x, n):
    return (x + ((1 << n) >> 1)) >> n


def shift(x, n):
    return right(x, -n) if n <= 0 else min(max(x << n, -(1 << 50)), 1 << 50)


def parts(value):
    """(M, e) with value = M * 2**e."""
    m, e = math.frexp(value)
    return int(m * 2**53), e - 53


def stand_in(i, n, boundary):
    mirrored = min(i % (2 * n), 2 * n - 1 - i % (2 * n))
    return {"clamp": min(max(i, 0), n - 1), "wrap": i % n, "reflect": mirrored}[boundary]


def taps(j, m, n, kernel, boundary):
    a = (2 * j + 1) * n - m
    i, t = a // (2 * m), ((a % (2 * m)) * 2**15 + m) // (2 * m)
    if kernel == "nearest":
        pairs = [((a + m) // (2 * m), 2**15)]
    elif kernel == "linear":
        pairs = [(i, 2**15 - t), (i + 1, t)]
    elif kernel == "smoothstep":
        s = (t * t * (3 * 2**15 - 2 * t) + 2**29) // 2**30
        pairs = [(i, 2**15 - s), (i + 1, s)]
    else:
        b, c = (round(64 * x) for x in kernel)

        def weight(*factors):
            total = sum(f * t**k * 2 ** (15 * (3 - k)) for f, k in zip(factors, (3, 2, 1, 0), strict=True))
            return (total + 192 * 2**30) // (384 * 2**30)

        first = weight(-b - 6 * c, 3 * b + 12 * c, -3 * b - 6 * c, b)
        third = weight(9 * b + 6 * c - 768, 1152 - 15 * b - 12 * c, 3 * b + 6 * c, b)
        last = weight(b + 6 * c, -6 * c, 0, 0)
        pairs = [(i - 1, first), (i, 2**15 - first - third - last), (i + 1, third), (i + 2, last)]
    return [(stand_in(k, n, boundary), w) for k, w in pairs]


def features(field, place):
    spec, grid = field.spec, field.grid
    name, d = spec.grid.encoding, spec.n_dims
    if name not in FACTORED:
        return on_lattices(grid, spec.extent, place)

    def clip(x):
        return min(max(x, -(1 << 30)), 1 << 30)

    def product(*factors):
        return [functools.reduce(lambda a, b: clip(shift(a * b, -20)), x) for x in zip(*factors, strict=True)]

    pairs, lines = list(itertools.combinations(range(d), 2)), [(k,) for k in range(d)]
    planes = [tuple(j for j in range(d) if j != k) for k in range(d)]
    factors = {"triplane": pairs, "kplanes": pairs, "cp": lines, "vm": lines + planes}[name]
    found = []
    for axes, lattice in zip(factors, grid.lattices, strict=True):
        found.append(on_lattices(lattice, [spec.extent[k] for k in axes], [place[k] for k in axes]))
    if name in ("cp", "kplanes"):
        return product(*found)
    if spec.grid.joining == "sum":
        return [clip(sum(x)) for x in zip(*found, strict=True)]
    terms = found if name == "triplane" else [product(found[k], found[d + k]) for k in range(d)]
    ends = [0, *itertools.accumulate(spec.grid.n_features)]
    return [x for a, b in itertools.pairwise(ends) for term in terms for x in term[a:b]]


def on_lattices(lattice, extent, place):
    grid, out = lattice.spec, []
    n_levels, d = grid.n_levels, grid.n_dims
    reads = [(level, (0,) * d) for level in range(n_levels)]
    for level in range(n_levels - grid.n_surrounded, n_levels):
        reads += [(level, tuple(s * (k == axis) for k in range(d))) for axis in range(d) for s in (-1, 1)]
    for level, moves in reads:
        resolution, kernel = grid.resolutions[level], grid.kernel(level)
        goes_through = isinstance(kernel, str) or kernel[0] == 0
        along = [
            [(stand_in(j + s, n, x), None)] if n == m and goes_through else taps(j + s, m, n, kernel, x)
            for j, m, n, s, x in zip(place, extent, resolution, moves, grid.boundaries, strict=True)
        ]
        for f in range(grid.n_features[level]):

            def interpolated(prefix, axis, f=f, level=level, along=along):
                """Axis 0 is summed first, so it is innermost here."""
                if axis < 0:
                    return int(lattice.integers(level, [np.array(i) for i in prefix])[f]) << 12
                terms = along[axis]
                if terms[0][1] is None:
                    return interpolated((terms[0][0], *prefix), axis - 1)
                return right(sum(w * interpolated((i, *prefix), axis - 1) for i, w in terms), 15)

            m, e = parts(lattice.steps[level])
            out.append(min(max(_scaled_step(interpolated((), d - 1), m, e), -(1 << 30)), 1 << 30))
    return out


def _scaled_step(value, m, e):
    while m % 2 == 0 and m:  # the smallest M: the text leaves it open
        m, e = m // 2, e + 1
    return shift(value * m, e + 8)


def sample(field, place):
    """y of section 2, a list of C integers."""
    spec = field.spec
    x = features(field, place)
    pairs = list(zip(field.mlp.tensors, field.mlp.shifts, strict=True))
    weights = [(w.tolist(), s) for w, s in pairs if w.ndim == 2]
    biases = [[shift(b, 20 - s) for b in t.tolist()] for t, s in pairs if t.ndim == 1]

    def layer(w, h):
        rows, s = w
        return [right(sum(a * b for a, b in zip(row, h, strict=True)), s) for row in rows]

    total = [a + b for a, b in zip(biases[-1], layer(weights[-1], x), strict=True)]
    if len(weights) > 1:
        h = x
        for w, b in zip(weights[:-2], biases, strict=False):
            h = [min(max(a + c, -(1 << 30)), 1 << 30) for a, c in zip(layer(w, h), b, strict=True)]
            h = [max(v, 0) for v in h] if spec.mlp.activation == "relu" else h
        total = [a + b for a, b in zip(total, layer(weights[-2], h), strict=True)]
    low, high = (0, 1 << 20) if spec.clip else (-(1 << 30), 1 << 30)
    return [min(max(v, low), high) for v in total]


def value(spec, channel, y, q, step):
    """Section 5."""
    offset, scale = spec.value_offset[channel], spec.value_scale[channel]
    if spec.dtype[0] == "f":
        base = np.float64(offset) + np.float64(scale) * (np.float64(y) * 2.0**-20)
        return np.dtype(spec.dtype).type(base + np.float64(step) * np.float64(q))
    (m, e), (n, g) = parts(offset), parts(scale)
    low, high = (0, 1) if spec.dtype == "b1" else (np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max)
    base = (shift(m, e + 8) + shift(y * n, g - 12) + 128) >> 8
    return min(max(min(max(base, low), high) + step * q, low), high)


def expected_detail(y, head, order):
    out = np.zeros(y.shape, int)
    for plane, channel in enumerate(order):
        z = y[channel].astype(object)
        if head.differences and plane:
            z = z - y[head.lead].astype(object)
        for place in np.ndindex(*z.shape):
            total = 0
            for axis, by in itertools.product(range(z.ndim), (-1, 1)):
                other = tuple(p + by * (k == axis) for k, p in enumerate(place))
                if 0 <= other[axis] < z.shape[axis]:
                    total += z[place] - z[other]
            out[(plane, *place)] = min(max(shift(total, -head.detail_shift), -255), 255)
    return out


@pytest.mark.parametrize("choice", KERNELS)
@pytest.mark.parametrize("name", NAMES)
def test_goldens_are_exact(name, choice):
    with kernels(choice):
        field = nfcodec.open(data_of(name))
        decoded = field.decode()
        planes = field.residual.planes()
    little = decoded.astype(decoded.dtype.newbyteorder("<"))
    assert hashlib.sha256(little.tobytes()).hexdigest() == EXPECTED[name]["decoded"]
    assert [hashlib.sha256(np.ascontiguousarray(p, "<i4")).hexdigest() for p in planes] == EXPECTED[name]["residual"]


@pytest.mark.parametrize("name", NAMES)
def test_goldens_by_the_specification(name):
    """Sections 2 to 5 at every sample; the planes themselves are those of the package, as other levels are."""
    field = nfcodec.open(data_of(name))
    spec, head, decoded = field.spec, field.residual.head, field.decode()
    y = outputs(field)
    order = [head.lead, *(c for c in range(spec.channels) if c != head.lead)]
    assert np.array_equal(residual.detail(y, head), expected_detail(y, head, order))
    planes = [p.astype(object) for p in field.residual.planes(y)]
    q = planes[0] * 2**16 + planes[1] if head.wide else planes[0]
    places = list(np.ndindex(*spec.extent))
    for place in places[:: max(1, len(places) // 150)]:
        found = sample(field, place)
        assert found == y[(slice(None), *place)].tolist()
        for plane, channel in enumerate(order):
            quotient = q[(plane, *place)] + (q[(0, *place)] if head.differences and plane else 0)
            step = head.step if spec.dtype[0] == "f" else int(head.step)
            assert decoded[(*place, channel)] == value(spec, channel, found[channel], quotient, step)


def test_the_goldens_cover_what_a_head_can_say():
    heads = [nfcodec.open(data_of(name)).residual.head for name in NAMES]
    for key in ("differences", "wide"):
        assert {getattr(h, key) for h in heads} == {False, True}
    assert {h.bound == 0 for h in heads} == {False, True} and {h.lead for h in heads} == {0, 1}
    assert {nfcodec.open(data_of(name)).spec.dtype[0] for name in NAMES} == {"u", "i", "b", "f"}


# ---------------------------------------------------------------- the field in integers


@given(specs(in_integers=True).filter(lambda s: s.kind not in SURFACE_KINDS), st.integers(0, 1 << 30), st.sampled_from([1.0, 3.0, 1e7]), st.data())
@settings(max_examples=30, deadline=None)
def test_outputs_hold_for_any_file(spec, seed, spread, data):
    """Against unlimited integers: no sum leaves 63 bits, whatever steps, weights and shifts."""
    rng = np.random.default_rng(seed)
    frozen = make_frozen(spec, rng, spread)
    largest = data.draw(st.sampled_from([100, 1 << 24]))
    frozen.tensors = [rng.integers(-largest, largest + 1, t.shape).astype(np.int32) for t in frozen.tensors]
    frozen.shifts = [data.draw(st.integers(0, 24)) for _ in frozen.shifts]
    field = nfcodec.open(pack(spec, frozen))
    fixed.check(field.mlp)
    y = outputs(field)
    for _ in range(4):
        place = tuple(int(rng.integers(0, n)) for n in spec.extent)
        assert sample(field, place) == y[(slice(None), *place)].tolist()
    for c in range(spec.channels):
        base = residual.base_of(spec, c, y[c])
        place = (0,) * spec.n_dims
        with np.errstate(over="ignore"):
            assert base.astype(spec.dtype)[place] == value(spec, c, int(y[(c, *place)]), 0, 1)


@pytest.mark.skipif(len(KERNELS) < 2, reason="needs numba")
@given(specs(in_integers=True).filter(lambda s: s.kind not in SURFACE_KINDS), st.integers(0, 1 << 30), st.booleans())
@settings(max_examples=25, deadline=None)
def test_numba_equals_numpy(spec, seed, hard):
    rng = np.random.default_rng(seed)
    frozen = make_frozen(spec, rng)
    if hard:
        frozen.tensors = [rng.integers(-(1 << 24), 1 << 24, t.shape).astype(np.int32) for t in frozen.tensors]
    field = nfcodec.open(pack(spec, frozen))
    found = []
    for choice in ("numpy", "numba"):
        try:
            with kernels(choice):
                found.append(outputs(field))
        except nfcodec.errors.MissingExtraError:
            pytest.skip("needs numba")
    assert np.array_equal(*found)


@pytest.mark.parametrize(
    "encoding, interpolation, boundary",
    [
        ("dense", "cubic", ()), ("dense", "mitchell", ()), ("hash", "linear", ()), ("codebook", "cubic", ()),
        ("dense", "nearest", ()), ("dense", "smoothstep", ("wrap", "clamp")), ("dense", "mitchell", ("reflect", "wrap")),
        ("hash", "nearest", ("wrap", "reflect")),
    ],
)  # fmt: skip
def test_the_integer_field_is_the_float_field(encoding, interpolation, boundary):
    field = make_field(
        extent=(23, 17), resolutions=((4, 3), (12, 9), (23, 17)), encoding=encoding, interpolation=interpolation, step=0.02,
        boundary=boundary,
    )  # fmt: skip
    y = np.moveaxis(outputs(field), 0, -1) * 2.0**-20
    found = y * np.array(field.spec.value_scale) + np.array(field.spec.value_offset)
    assert np.abs(found - field.decode(dtype="f8")).max() < 1e-3 * np.ptp(found)


def test_blocks_join_without_seams(monkeypatch):
    field = make_field(kind="volume", extent=(9, 7, 5), resolutions=((3, 2, 2), (9, 7, 5)), interpolation="cubic")
    whole = outputs(field)
    monkeypatch.setattr(fixed, "blocks", lambda spec: fixed.blocks_of(spec.extent, 11))
    assert np.array_equal(outputs(field), whole)


def test_detail_is_found_slab_by_slab(monkeypatch):
    y = np.random.default_rng(0).integers(-(1 << 30), 1 << 30, (2, 9, 4, 3)).astype(np.int32)
    for head in (Head(1, 0, 1, True, detail_shift=24), Head(1, 0, detail_shift=0), Head(1, 0, detail_shift=25)):
        monkeypatch.setattr(fixed, "POINTS", 12)
        assert np.array_equal(residual.detail(y, head), expected_detail(y, head, [head.lead, 1 - head.lead]))


def test_a_network_of_too_large_weights_is_refused():
    spec = make_spec(resolutions=((4, 4),), n_features=(16,), channels=16, n_hidden_layers=0)
    spec = dataclasses.replace(spec, grid=dataclasses.replace(spec.grid, n_features=(16,) * 20, resolutions=((4, 4),) * 20))
    spec = dataclasses.replace(spec, steps=spec.steps * 20, mlp=dataclasses.replace(spec.mlp, n_inputs=320))
    frozen = make_frozen(spec, np.random.default_rng(0))
    frozen.tensors = [np.full_like(t, 1 << 24) for t in frozen.tensors]
    field = nfcodec.open(pack(spec, frozen))
    with pytest.raises(FormatError) as caught:
        fixed.check(field.mlp)
    assert caught.value.code == "resi-network"


# ---------------------------------------------------------------- q and its bytes


@st.composite
def heads(draw, channels):
    differences = channels > 1 and draw(st.booleans())
    return Head(
        2 * draw(st.integers(0, 20)) + 1, 0, draw(st.integers(0, channels - 1)), differences, draw(st.booleans()),
        draw(st.integers(0, 40)),
    )  # fmt: skip


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_split_and_join(data):
    channels = data.draw(st.integers(1, 5))
    head = data.draw(heads(channels))
    largest = 1 << 38 if head.wide else 1 << 23
    q = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-largest, largest + 1, (channels, 3, 4))
    levels = residual.split(q, head)
    assert len(levels) == 1 + head.wide and all(np.abs(level).max() <= 1 << 24 for level in levels)
    assert np.array_equal(residual.join(levels, head), q)


@pytest.mark.parametrize("q, step", [(1, (1 << 33) + 1), (1 << 40, 1), (-(1 << 40), (1 << 33) + 1), (-1, 1), (0, 1)])
@pytest.mark.parametrize("dtype", ["u1", "i4", "u4", "b1"])
def test_large_residuals_end_at_the_limits_of_the_dtype(dtype, q, step):
    spec = make_spec(dtype=dtype)
    low, high = residual.limits_of(dtype)
    for base in (low, high):
        found = residual.values_of(spec, np.array([base]), np.array([q]), step)
        assert found.dtype == dtype and found[0] == min(max(base + q * step, low), high)


def packed(q, head, meta=None, **spec_settings):
    """A file with this residual on a random field, from random networks."""
    rng = np.random.default_rng(5)
    spec = make_spec(**spec_settings)
    frozen = make_frozen(spec, rng)
    field = nfcodec.open(pack(spec, frozen))
    net = make_net(rng, spec.n_dims, spec.channels > 1, largest=30)
    planes = residual.split(q, head), residual.detail(outputs(field), head)
    return pack(spec, frozen, meta, residual.pack_residual(spec, head, net, *planes))


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_files_round_trip(data):
    d, channels = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([1, 2, 3, 16]))
    extent = data.draw(st.tuples(*[st.integers(1, {1: 40, 2: 12, 3: 6, 4: 4}[d])] * d))
    dtype, head = data.draw(st.sampled_from(list(DTYPES))), data.draw(heads(channels))
    if dtype[0] == "f":
        head = dataclasses.replace(head, step=float(np.float32(0.3)), bound=0.2)
    else:
        head = dataclasses.replace(head, bound=(head.step - 1) / 2)
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    q = np.rint(rng.laplace(0, 3, (channels, *extent)) * rng.integers(0, 2, extent)).astype(np.int64)
    file = packed(
        q, head, kind="volume", extent=extent, resolutions=(tuple(-(-n // 2) for n in extent), extent), channels=channels,
        dtype=dtype, scale=100.0, offset=5.0,
    )  # fmt: skip
    field = nfcodec.open(file)
    assert field.residual.head == head and field.max_error == head.bound
    y = outputs(field)
    decoded = field.decode()
    for c in range(channels):
        wanted = residual.values_of(field.spec, residual.base_of(field.spec, c, y[c]), q[c], head.step)
        assert np.array_equal(decoded[..., c], wanted)
    with kernels("numpy"):
        assert np.array_equal(nfcodec.open(file).decode(), decoded)


# ---------------------------------------------------------------- what the encoder finds


@functools.cache
def teacher():
    pytest.importorskip("torch", reason="fitting needs torch")
    from nfcodec.fit import residual as module

    return module


def encoded(spec, values, bound):
    """A file of a random field whose residual the encoder made for `values`."""
    rng = np.random.default_rng(3)
    frozen = make_frozen(spec, rng)
    extra = teacher().encode(nfcodec.open(pack(spec, frozen)), values, bound, 1, 0)
    return nfcodec.open(pack(spec, frozen, None, extra))


@pytest.fixture
def short_lessons(monkeypatch):
    monkeypatch.setattr(teacher(), "_STEPS", dict.fromkeys(range(1, 10), 3))
    monkeypatch.setattr(teacher(), "_BATCH", 64)


def random_values(rng, dtype, shape):
    if dtype == "b1":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype[0] in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, int(info.max) + 1, shape).astype(dtype)
    return rng.normal(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("extent, channels", [((37,), 1), ((9, 1), 3), ((1, 1), 16), ((5, 6, 3), 2), ((3, 2, 4, 3), 1)])
def test_integers_are_kept_whatever_they_are(short_lessons, dtype, extent, channels):
    """Noise over the whole range of the dtype, far from the field: lossless, and within bounds."""
    values = random_values(np.random.default_rng(0), dtype, (*extent, channels))
    spec = make_spec(extent=extent, resolutions=(extent,), n_features=(2,), channels=channels, dtype=dtype)
    for bound in (0, 1, 2.9, 1e12):
        field = encoded(spec, values, bound)
        error = np.abs(field.decode().astype(np.int64) - values.astype(np.int64)).max()
        assert error <= bound and field.max_error <= bound
        assert field.info()["lossless"] == (bound == 0)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("bound", [1e-6, 1e-3, 0.04, 30.0, 1e30])
def test_floats_are_kept_within_the_bound(short_lessons, dtype, bound):
    """Also where the bound is smaller than the distance of neighbouring float16 and float32 numbers."""
    values = random_values(np.random.default_rng(1), dtype, (6, 7, 2))
    spec = make_spec(extent=(6, 7), resolutions=((6, 7),), n_features=(2,), channels=2, dtype=dtype)
    field = encoded(spec, values, bound)
    assert np.abs(field.decode().astype(np.float64) - values).max() <= bound == field.max_error


def test_a_bound_that_is_out_of_reach_is_refused(short_lessons):
    spec = make_spec(extent=(4, 4), resolutions=((4, 4),), n_features=(2,), channels=1, dtype="f8")
    with pytest.raises(SignalError, match="allow a larger"):
        encoded(spec, np.full((4, 4, 1), 1e9), 1e-9)


def test_nothing_is_coded_where_the_field_suffices(short_lessons):
    spec = make_spec(extent=(64, 48), resolutions=((64, 48),), n_features=(1,), channels=1, dtype="u1", scale=40.0, offset=90.0)
    alone = nfcodec.open(pack(spec, make_frozen(spec, np.random.default_rng(3))))
    values = alone.decode()
    values[10:14, 20:22] = 255
    small, large = (encoded(spec, v, 2).info()["residual_bytes"] for v in (alone.decode(), values))
    assert small < 60 and large < 300 < 0.2 * alone.info()["file_bytes"]


def test_the_network_learns(monkeypatch):
    """Residuals of a spread that only the detail of the field tells cost less than without any context."""
    rng = np.random.default_rng(0)
    below = np.repeat(np.array([0, 200], np.int16), 32)[None, None, :] * np.ones((1, 96, 1), np.int16)
    q = np.rint(rng.laplace(0, np.where(below > 0, 9.0, 0.6))).astype(np.int32)
    module = teacher()
    planes = module._Planes(below, [q])
    bits = module._taught([planes], 16, 1, 400, 0)[1]
    assert bits < 0.9 * module._entropy(q) * q.size


# ---------------------------------------------------------------- parts, resolutions, prefixes


@pytest.fixture(scope="module")
def lossless():
    rng = np.random.default_rng(2)
    q = rng.integers(-9, 10, (3, 12, 10))
    file = packed(
        q, Head(1, 0, 1, True, False, 12), {"source": "x"}, kind="image", extent=(12, 10), resolutions=((6, 5), (12, 10)), channels=3,
        dtype="u1", scale=200.0, offset=10.0,
    )  # fmt: skip
    return file, nfcodec.open(file).decode()


def test_regions_on_sample_boundaries_are_parts_of_the_whole(lossless):
    field, whole = nfcodec.open(lossless[0]), lossless[1]
    alone = field.decode(residual=False)
    assert not np.array_equal(whole, alone)
    assert np.array_equal(field.decode((12, 10)), whole) and np.array_equal(field.decode(scale=1), whole)
    assert np.array_equal(field.decode(level=field.n_levels - 1), whole)
    region = [(2 / 12, 9 / 12), (0.0, 7 / 10)]
    assert np.array_equal(field.decode(region=region), whole[2:9, :7])
    assert np.array_equal(field.decode(region=region, dtype="i4"), whole[2:9, :7].astype(np.int32))
    assert np.array_equal(field.decode(dtype="f8"), whole.astype(np.float64))
    for other in (dict(scale=2), dict(shape=(6, 5)), dict(level=0), dict(region=[(0.1, 0.6), (0, 1)])):
        assert np.array_equal(field.decode(**other), field.decode(**other, residual=False))
    whole_again = field.decode()
    whole_again[:] = 0
    assert np.array_equal(field.decode(), whole)


def test_a_file_cut_short_is_the_field_alone(lossless):
    file = lossless[0]
    chunks = container.read(file).chunks
    ends = np.cumsum([len(file) - sum(len(c.data) for c in chunks), *(len(c.data) for c in chunks)])[1:]
    last_grid = max(k for k, c in enumerate(chunks) if c.type == GRID)
    with pytest.raises(TruncatedError):
        nfcodec.open(file[: ends[last_grid]])
    field = nfcodec.open(file[: ends[last_grid] + 5], allow_truncated=True)
    assert field.residual is None and field.max_error is None and field.n_levels == field.spec.grid.n_levels
    assert any("residual" in text for text in field.info()["warnings"]) and not field.info()["complete"]
    assert np.array_equal(field.decode(), nfcodec.open(file).decode(residual=False))
    whole = nfcodec.open(file[: ends[last_grid + 1]], allow_truncated=True)  # without the metadata
    assert np.array_equal(whole.decode(), lossless[1]) and whole.info()["warnings"] == []


def test_info_says_what_is_guaranteed(lossless):
    info = nfcodec.open(lossless[0]).info()
    assert info["max_error"] == 0 and info["lossless"] is True
    assert info["residual_bytes"] == len(container.read(lossless[0]).get(RESI).data)
    other = make_field().info()
    assert other["max_error"] is None and other["lossless"] is False and other["residual_bytes"] == 0


# ---------------------------------------------------------------- hostile


def with_residual(file, data, key=0, codec=RANS):
    return container.write([Chunk(RESI, key, codec, data) if c.type == RESI else c for c in container.read(file).chunks])


def code_of(file):
    try:
        nfcodec.open(file).decode()
    except NfldError as error:
        assert "\n" not in str(error)
        return getattr(error, "code", type(error).__name__)
    return None


def test_each_rule_has_its_code():
    name = "image-lossless"
    data = container.read(data_of(name)).get(RESI).data
    assert code_of(with_residual(data_of(name), data)) is None
    for at, byte, code in ((0, 4, "resi-flags"), (1, 3, "resi-flags"), (2, 2, "resi-step"), (2, 0, "resi-step"), (3, 41, "resi-shift")):
        assert code_of(with_residual(data_of(name), data[:at] + bytes([byte]) + data[at + 1 :])) == code
    head = Writer().u8(0).u8(0).varint((1 << 33) + 3).getvalue()
    assert code_of(with_residual(data_of(name), head + data[3:])) == "resi-step"
    assert code_of(with_residual(data_of(name), data + b"\0")) == "leftover"
    assert code_of(with_residual(data_of(name), data, key=1)) == "chunk-count"
    assert code_of(with_residual(data_of(name), data, codec=1)) == "chunk-codec"
    wide = container.read(data_of("volume-lossless-wide")).get(RESI).data
    assert code_of(with_residual(data_of(name), wide)) in ("context-net", "resi-flags")


@pytest.mark.parametrize("at, value, code", [
    (2, 0.0, "resi-step"), (2, -1.0, "resi-step"), (2, math.nan, "not-finite"), (2, math.inf, "not-finite"),
    (6, 0.0, "resi-step"), (6, math.nan, "not-finite"),
])  # fmt: skip
def test_floats_of_a_head_that_are_none(at, value, code):
    data = container.read(data_of("volume-bound-f4")).get(RESI).data
    number = np.array([value], "<f4" if at == 2 else "<f8").tobytes()
    assert code_of(with_residual(data_of("volume-bound-f4"), data[:at] + number + data[at + len(number) :])) == code


def test_chunks_in_another_order_or_of_another_field():
    chunks = list(container.read(data_of("image-lossless")).chunks)
    resi = next(c for c in chunks if c.type == RESI)
    others = [c for c in chunks if c.type != RESI]
    assert code_of(container.write([others[0], resi, *others[1:]])) == "chunk-order"
    assert code_of(container.write([*others, resi])) is None
    for name, code in (("sdf-dense", "resi-kind"), ("udf", "resi-kind"), ("image-grey16", "resi-flags")):
        assert code_of(container.write([*container.read(data_of(name)).chunks, resi])) == code
    grey = next(c for c in container.read(data_of("image-bound")).chunks if c.type == RESI)
    assert code_of(with_residual(data_of("image-lossless"), grey.data)) == "context-net"


def test_an_extent_beyond_the_limit_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(residual, "MAX_GRID_INTEGERS", 17 * 22 * 3 - 1)
    with pytest.raises(LimitError) as caught:
        nfcodec.open(data_of("image-lossless"))
    assert caught.value.code == "resi-extent"


@pytest.mark.parametrize("name", NAMES)
def test_mutated_residuals(name, monkeypatch):
    """Only NfldError escapes, from opening or decoding; numbers that overflow give no warnings."""
    monkeypatch.setattr(decode, "MAX_GRID_INTEGERS", 1 << 12)
    file, rng = data_of(name), np.random.default_rng(len(name))
    data = container.read(file).get(RESI).data
    codes = set()
    for _ in range(120):
        at = int(rng.integers(0, 40 if rng.integers(0, 2) else len(data)))
        broken = bytearray(data)
        choice = rng.integers(0, 4)
        if choice == 0:
            broken[at : at + 1] = b""
        elif choice == 1:
            broken[at:at] = rng.bytes(int(rng.integers(1, 4)))
        elif choice == 2:
            broken = broken[:at]
        else:
            broken[at % len(broken)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
        codes.add(code_of(with_residual(file, bytes(broken))))
    assert len(codes) > 3


def test_metadata_and_unknown_chunks_do_not_matter(lossless):
    chunks = [c for c in container.read(lossless[0]).chunks if c.type != META]
    assert np.array_equal(nfcodec.open(container.write(chunks)).decode(), lossless[1])
    assert {c.type for c in chunks} >= {CTXN, GRID, RESI}
