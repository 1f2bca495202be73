"""A second decoder, written from spec/entropy.md alone in plain Python; it must read what the encoder writes."""

import functools
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

import nfcodec
from nfcodec import container, header
from nfcodec.entropy import ContextNet, block_mask, encode_level, encode_static, n_inputs
from nfcodec.entropy.lattice import expand_mask
from nfcodec.spec import COORDINATE_ENCODINGS

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
SPEC = (Path(__file__).parents[1] / "spec" / "entropy.md").read_text()


def listed(name):
    return [int(word) for word in SPEC.split(f"```{name}\n")[1].split("```")[0].split()]


@functools.cache
def neighbours(d):
    """(causal offsets, wavefront weights) from the table of section 5."""
    row = next(line for line in SPEC.splitlines() if line.startswith(f"| {d} | ("))
    tuples = [tuple(map(int, t.split(","))) for t in re.findall(r"\(([-\d,]+)\)", row)]
    return tuples[:-1], tuples[-1]


# 1. Tables


@functools.cache
def table(number):
    """(cumulative frequencies, T, H)."""
    s, fraction = divmod(number, 8)
    p = [1 << 32]
    for _ in range(511):
        p.append(p[-1] * listed("decay")[s] >> 32)
    t = 0
    while p[8 * (t + 1) - 4] - p[8 * (t + 1) + 4] >= 1 << 19:
        t += 1
    h = t + (fraction > 0)
    n = h + t + 3

    def g(x):
        return p[-x] if x <= 0 else (1 << 33) - p[x]

    inner = [(g(8 * (j - 1 - t) - 4 - fraction) * ((1 << 14) - n) + (1 << 32) >> 33) + j for j in range(1, n)]
    return [0, *inner, 1 << 14], t, h


# 2. rANS


class Stream:
    def __init__(self, data):
        self.x = int.from_bytes(data[:4], "little")
        self.words = [int.from_bytes(data[i : i + 2], "little") for i in range(4, len(data), 2)]

    def symbol(self, c):
        slot = self.x & 16383
        j = next(j for j in range(len(c) - 1) if c[j] <= slot < c[j + 1])
        self.x = (c[j + 1] - c[j]) * (self.x >> 14) + slot - c[j]
        if self.x < 1 << 16:
            self.x = self.x << 16 | self.words.pop(0)
        return j

    def raw(self, n):
        value = done = 0
        while done < n:
            m = min(14, n - done)
            value |= self.symbol(range(0, (1 << 14) + 1, 1 << 14 - m)) << done
            done += m
        return value

    # 3. Laplace values
    def laplace(self, mu8, s):
        k = max(s - 40, 0) // 6
        m = mu8 - 4 * 2**k + 4 + (2**k >> 1) >> k
        s -= 6 * k
        c, t, h = table(s * 8 + (m & 7))
        order = max((s - 27) // 6, 0)
        token = self.symbol(c)
        w = (m >> 3) + token - 1 - t
        if token in (0, len(c) - 2):
            u = 0
            while self.raw(1):
                u += 1
            e = 2 ** (order + u) + self.raw(order + u) - 2**order
            w = (m >> 3) + (-t - 1 - e if token == 0 else h + 1 + e)
        return w * 2**k + self.raw(k)

    def end(self):
        assert self.x == 1 << 16 and not self.words


# 4. Static tables


def static_tables(stream, n_symbols, n_contexts):
    m, s, tables = stream.raw(2), stream.raw(7), []
    for _ in range(n_contexts):
        if not stream.raw(1):
            tables.append(None)
            continue
        mu8, levels = 8 * (2 + ((18 - (n_symbols - 1).bit_length()) << m)), []
        for _ in range(n_symbols):
            levels.append(stream.laplace(mu8, s))
            mu8 = (mu8 + 8 * levels[-1] + 1) >> 1
        weights = [0 if q < 2 else (2**m + ((q - 2) & (2**m - 1))) << ((q - 2) >> m) for q in levels]
        used = [int(q > 0) for q in levels]
        share, total = (1 << 14) - sum(used), sum(weights)
        tables.append([sum(weights[:j]) * share // total + sum(used[:j]) for j in range(n_symbols + 1)])
    return tables


# 5. Lattices


def parent(i, n_f, n_c):
    p = (2 * i + 1) * n_c // (2 * n_f)
    side = 1 if (2 * i + 1) * n_c - 2 * p * n_f >= n_f else -1
    return p, min(max(p + side, 0), n_c - 1), min(max(p - side, 0), n_c - 1)


# 6. Context network


def value(plane, at):
    inside = all(0 <= i < n for i, n in zip(at, plane.shape, strict=True))
    return min(max(int(plane[tuple(at)]), -255), 255) if inside else 0


def inputs(levels, level, n_levels, feature, multi, at):
    planes, d = levels[level], len(at)
    x = [value(planes[feature], np.add(at, offset)) for offset in neighbours(d)[0]]
    if level:
        coarse = levels[level - 1][min(feature, len(levels[level - 1]) - 1)]
        along = [parent(*numbers) for numbers in zip(at, planes.shape[1:], coarse.shape, strict=True)]
        middle = [p for p, _, _ in along]
        x.append(value(coarse, middle))
        for which, axis in itertools.product((1, 2), range(d)):
            x.append(value(coarse, [*middle[:axis], along[axis][which], *middle[axis + 1 :]]))
    else:
        x += [0] * (1 + 2 * d)
    if multi:
        steps = [(0,) * d] + [tuple(s * (k == a) for k in range(d)) for a in range(d) for s in (-1, 1)]
        x += [value(planes[feature - 1], np.add(at, step)) if feature else 0 for step in steps]
    return [*x, n_levels - 1 - level, feature]


def net_shapes(d, multi, neurons, hidden):
    n = len(neighbours(d)[0]) + (1 + 2 * d) * (1 + multi) + 2
    widths = [n, *[neurons] * hidden, 2]
    return [*zip(widths[1:], widths[:-1], strict=True), *((w,) for w in widths[1:]), (n - 2,)]


def read_net(data):
    d, multi, neurons, hidden = data[:4]
    shapes = net_shapes(d, multi, neurons, hidden)
    start = 4 + hidden + 2
    stream, tensors = Stream(data[start + len(shapes) :]), []
    for shape, s in zip(shapes, data[start:], strict=False):
        tensors.append(np.reshape([stream.laplace(0, s) for _ in range(math.prod(shape))], shape))
    stream.end()
    return multi, list(data[4:start]), tensors[: hidden + 1], tensors[hidden + 1 : -1], tensors[-1]


def half(s):
    return 2 ** (s - 1) if s else 0


def predict(net, x):
    _, shifts, weights, biases, skip = net
    magnitude = listed_compand()
    h = [magnitude[abs(v)] * (1 if v >= 0 else -1) for v in x[:-2]] + [256 * v for v in x[-2:]]
    for w, b, s in zip(weights, biases, shifts, strict=False):
        o = [
            (sum(int(p) * q for p, q in zip(row, h, strict=True)) + int(c) * 2**s + half(s)) >> s
            for row, c in zip(w, b, strict=True)
        ]
        h = [min(max(v, 0), 65535) for v in o]
    s = shifts[-1]
    location = o[0] + ((sum(int(k) * 256 * v for k, v in zip(skip, x[:-2], strict=True)) + half(s)) >> s)
    return min(max((location + 16) >> 5, -16376), 16376), min(max(((o[1] * 6 + 128) >> 8) + 27, 0), 81)


@functools.cache
def listed_compand():
    return listed("compand")


# 8. Levels


def read_varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return number, at


def read_level(net, levels, n_levels, shape, data):
    level, resolution, d, at = len(levels), shape[1:], len(shape) - 1, 1
    edge = 8 if d <= 2 else 4
    n_blocks = [-(-n // edge) for n in resolution]
    mask = np.ones(n_blocks, int)
    if data[0]:
        length, at = read_varint(data, at)
        stream = Stream(data[at : at + length])
        at += length
        tables = static_tables(stream, 2, 3 * (d + 1))
        for block in np.ndindex(*n_blocks):
            context = sum(mask[tuple(np.subtract(block, np.eye(d, dtype=int)[k]))] for k in range(d) if block[k])
            above = 2
            if level:
                before = levels[-1]
                ends = [(edge * k, min(edge * k + edge, n) - 1) for k, n in zip(block, resolution, strict=True)]
                axes = zip(ends, resolution, before.shape[1:], strict=True)
                box = before[(slice(None), *(slice(parent(a, n, c)[0], parent(b, n, c)[0] + 1) for (a, b), n, c in axes))]
                above = -(-2 * np.count_nonzero(box.any(0)) // box[0].size)
            mask[block] = stream.symbol(tables[context + (d + 1) * above])
        stream.end()
    stream = Stream(data[at:])
    planes = read_planes(stream, net, levels, n_levels, shape, mask, edge)
    stream.end()
    return planes


def read_planes(stream, net, levels, n_levels, shape, mask, edge):
    level, resolution, d, planes = len(levels), shape[1:], len(shape) - 1, np.zeros(shape, int)
    order = sorted(np.ndindex(*resolution), key=lambda i: (np.dot(i, neighbours(d)[1]), i))
    for feature in range(shape[0]):
        for i in order:
            if mask[tuple(k // edge for k in i)]:
                x = inputs([*levels, planes], level, n_levels, feature, net[0], i)
                planes[(feature, *i)] = stream.laplace(*predict(net, x))
    return planes


# the golden files, by the loops above


def read_columns(data, at, rows, columns):
    length, at = read_varint(data, at)
    scales, stream = data[at : at + columns], Stream(data[at + columns : at + length])
    table = np.array([[stream.laplace(0, s) for _ in range(rows)] for s in scales]).T
    stream.end()
    return table, at + length


def read_indices(data, at, shape, n_symbols):
    length, at = read_varint(data, at)
    stream = Stream(data[at : at + length])
    (cumulative,) = static_tables(stream, n_symbols, 1)
    indices = np.reshape([stream.symbol(cumulative) for _ in range(math.prod(shape))], shape)
    stream.end()
    return indices, at + length


# the axes of each factor: format.md, sections 4.4 to 4.7
FACTORS = {
    "triplane": lambda d: itertools.combinations(range(d), 2),
    "kplanes": lambda d: itertools.combinations(range(d), 2),
    "cp": lambda d: [(k,) for k in range(d)],
    "vm": lambda d: [(k,) for k in range(d)] + [tuple(j for j in range(d) if j != k) for k in range(d)],
}


def read_factors(grid, level, data):
    f, resolution, at, out = grid.n_features[level], grid.resolutions[level], 0, []
    for axes in FACTORS[grid.encoding](len(resolution)):
        shape = [resolution[k] for k in axes]
        table, at = read_columns(data, at, math.prod(shape), f)
        out.append(table.T.reshape(f, *shape))
    assert at == len(data)
    return out


def read_points(grid, level, data):
    n, at = read_varint(data, 0)
    reach, at = read_varint(data, at)
    resolution = grid.resolutions[level]
    d, out = len(resolution), []
    table, end = read_columns(data, at, n, d + 1 + grid.n_features[level])
    assert end == len(data)
    table = table.reshape(n, d + 1 + grid.n_features[level])
    for row in table.tolist():
        before = out[-1][0] if out else 0
        out.append([before + row[0], *(x + r // 2 for x, r in zip(row[1:d], resolution[1:], strict=True))])
    return [np.reshape(out, (n, d)), table[:, d], table[:, d + 1 :], np.array([reach])]


def read_mesh(grid, level, data):
    n, at = read_varint(data, 0)
    n_faces, at = read_varint(data, at)
    width, faces = 3 + grid.n_features[level], []
    if n_faces:
        faces, at = read_walk(data, at, n_faces)
    table, end = read_columns(data, at, n, width)
    assert end == len(data)
    rows = table.reshape(n, width).tolist()
    for v, row in enumerate(rows):
        near = {p for face in faces if v in face for p in face if p < v}
        for k in range(width):
            before = rows[v - 1][k] if v else 0
            row[k] += (2 * sum(rows[p][k] for p in near) + len(near)) // (2 * len(near)) if near else before
    found = np.reshape(rows, (n, width))
    return [found[:, :3], np.array(faces), found[:, 3:]]


def read_walk(data, at, n_faces):
    n_symbols, at = read_varint(data, at)
    n_far, at = read_varint(data, at)
    symbols, at = read_indices(data, at, (n_symbols,), 5)
    far, at = read_columns(data, at, n_far, 1)
    symbols, far, faces, edges, n = symbols.tolist(), far.ravel().tolist(), [], {}, 0

    def told():
        nonlocal n
        k = far.pop(0)
        n += k == 0
        return n - k if k else n - 1

    def other(u):
        edge = next(edge for edge, is_open in edges.items() if is_open and u in edge)
        return edge[1] if edge[0] == u else edge[0]

    while len(faces) < n_faces:
        asked = next((edge for edge, is_open in edges.items() if is_open), None)
        if asked is None:
            face = (told(), told(), told())
        else:
            edges[asked] = False
            symbol = symbols.pop(0)
            if symbol == 0:
                continue
            if symbol == 1:
                n += 1
            face = (*asked, [None, lambda: n - 1, lambda: other(asked[0]), lambda: other(asked[1]), told][symbol]())
        faces.append(face)
        for edge in zip(face, (*face[1:], face[0])):
            edge = tuple(sorted(edge))
            edges[edge] = edge not in edges
    assert not symbols and not far
    return faces, at


def read_widths(shape, data):
    stream = Stream(data[1:])
    widths = np.reshape([stream.laplace(0, data[0]) for _ in range(math.prod(shape))], shape)
    stream.end()
    return [widths]


def read_parts(field, parts):
    """The arrays of every level of a file whose field comes in parts."""
    net = parts.get(container.CTXN)
    net = net and read_net(net.data)
    chunks = b"".join(chunk.data for chunk in parts.all(container.GRID))
    at, out = 0, []
    for grid in field.spec.grid.parts:
        own = []
        for level in range(grid.n_levels):
            if at == len(chunks):
                break
            length, at = read_varint(chunks, at)
            data, at = chunks[at : at + length], at + length
            coarser = [arrays[0] for arrays in own] if grid.encoding == "dense" else []
            own.append(read_payload(grid, coarser, level, data, net))
        out += own
    assert at == len(chunks)
    return out


def read_payload(grid, coarser, level, data, net):
    """The arrays of a level, in the order of their sections in format.md."""
    if grid.encoding == "super-gaussian":
        return read_widths((grid.n_dims, int(grid.parameters[0])), data)
    if grid.encoding in COORDINATE_ENCODINGS:
        assert not data
        return []
    f, resolution = grid.n_features[level], grid.resolutions[level]
    if grid.encoding == "dense":
        return [read_level(net, coarser, grid.n_levels, (f, *resolution), data)]
    if grid.encoding == "hash":
        table, end = read_columns(data, 0, min(math.prod(resolution), 1 << grid.log2_size), f)
        assert end == len(data)
        return [table]
    if grid.encoding == "codebook":
        book, end = read_columns(data, 0, 1 << grid.log2_size, f)
        indices, end = read_indices(data, end, resolution, 1 << grid.log2_size)
        assert end == len(data)
        return [indices, book]
    if grid.encoding in ("points", "mesh"):
        return (read_points if grid.encoding == "points" else read_mesh)(grid, level, data)
    return read_factors(grid, level, data)


def read_full(field, data):
    """The levels of a field in one chunk."""
    spec, d = field.spec, field.spec.n_dims
    stream = Stream(data[len(header.pack_spec(spec)) :])

    def read_tensors(shapes, n_shifts, bits):
        shifts = [stream.raw(bits) for _ in range(n_shifts)]
        scales = [stream.raw(7) for _ in shapes]
        return shifts, [np.reshape([stream.laplace(0, s) for _ in range(math.prod(n))], n) for n, s in zip(shapes, scales, strict=True)]

    shapes = header.mlp_shapes(spec.mlp)
    read_tensors(shapes, len(shapes), 5)
    hidden = stream.raw(2)
    neurons = stream.raw(6) + 1 if hidden else 0
    multi = max(spec.grid.n_features) > 1
    shifts, tensors = read_tensors(net_shapes(d, multi, neurons, hidden), hidden + 2, 4)
    net = multi, shifts, tensors[: hidden + 1], tensors[hidden + 1 : -1], tensors[-1]
    levels = []
    for f, resolution in zip(spec.grid.n_features, spec.grid.resolutions, strict=True):
        mask, edge = np.ones([1] * d, int), max(resolution)
        levels.append(read_planes(stream, net, levels, spec.grid.n_levels, (f, *resolution), mask, edge))
    stream.end()
    return [[latents] for latents in levels]


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.nfld")))
def test_goldens_read_by_plain_loops(name):
    data = (GOLDEN / name).read_bytes()
    field, parts = nfcodec.open(data), container.read(data)
    full = parts.get(container.FULL)
    levels = read_full(field, full.data) if full else read_parts(field, parts)
    assert len(levels) == field.n_levels
    for found, expected in zip(levels, field.grid.levels, strict=True):
        for own, other in zip(found, expected.values(), strict=True):
            np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize(
    "resolutions, n_features, spread",
    [
        ([(9,), (20,)], (1, 1), 3),
        ([(5, 6), (11, 18)], (1, 2), 2),
        ([(2, 3, 2), (5, 4, 9)], (2, 1), 500),
        ([(1, 2, 1, 2), (2, 5, 2, 3)], (1, 1), 1e6),
    ],
)
def test_levels_read_by_the_specification(resolutions, n_features, spread):
    rng = np.random.default_rng(20)
    d, multi = len(resolutions[0]), max(n_features) > 1
    widths = [n_inputs(d, multi), 6, 2]
    weights = [rng.integers(-60, 61, shape).astype(np.int32) for shape in zip(widths[1:], widths[:-1], strict=True)]
    biases = [rng.integers(-90, 91, n).astype(np.int32) for n in widths[1:]]
    skip = rng.integers(-9, 10, widths[0] - 2).astype(np.int32)
    net = ContextNet(d, widths[0], multi, 6, 1, weights, biases, skip, [7, 6, 5])
    pyramid = []
    for resolution, f in zip(resolutions, n_features, strict=True):
        planes = np.rint(rng.laplace(0, spread, (f, *resolution))).clip(-(1 << 24), 1 << 24).astype(np.int32)
        blocks = rng.random(block_mask(planes).shape) < 0.6
        pyramid.append(planes * expand_mask(blocks, resolution))
    second = read_net(net.to_bytes())
    for masked in (False, True):
        levels = []
        for level, planes in enumerate(pyramid):
            data = encode_level(net, pyramid, level, block_mask(planes) if masked else None)
            levels.append(read_level(second, levels, len(pyramid), planes.shape, data))
            assert np.array_equal(levels[-1], planes)


def test_static_streams_read_by_the_specification():
    rng = np.random.default_rng(21)
    contexts = rng.integers(0, 4, 500)
    symbols = np.minimum(rng.geometric(0.3, 500) * (contexts + 1), 19)
    stream = Stream(encode_static(symbols, contexts, 20, 5))
    tables = static_tables(stream, 20, 5)
    assert [stream.symbol(tables[c]) for c in contexts] == symbols.tolist() and tables[4] is None
    stream.end()
