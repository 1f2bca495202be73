"""The specification against the code: tables, limits, codes, the dump, and a second decoder written from the text."""

import ast
import functools
import importlib.util
import itertools
import json
import math
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from second_inputs import NUMBERS, activate, closest_weights, coordinate_features

import nfcodec
from nfcodec import activations, container, encodings, header, limits, spec
from nfcodec.entropy import rans

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "spec" / "golden"
EXPECTED = json.loads((GOLDEN / "golden.json").read_text("utf-8"))


def text(name):
    return (ROOT / "spec" / name).read_text("utf-8")


def tool(name):
    """A file of tools/ as a module."""
    found = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def table(heading, base=10):
    """The ids of a table in registry.md by name."""
    section = text("registry.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    assert rows[0][0] in ("id", "bit") and set(rows[1][0]) == {"-"}
    ids = {name: int(number, base) for number, name, _ in rows[2:]}
    assert len(set(ids.values())) == len(ids) == len(rows) - 2
    return ids


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "heading, registered",
    [
        ("Kinds", spec.KINDS),
        ("Roles", spec.ROLES),
        ("Encodings", spec.ENCODINGS),
        ("Interpolations", spec.INTERPOLATIONS),
        ("Boundaries", spec.BOUNDARIES),
        ("Activations", spec.ACTIVATIONS),
        ("Dtypes", spec.DTYPES),
        ("Codecs", {"raw": container.RAW, "zstd": container.ZSTD, "rans": container.RANS}),
    ],
)
def test_registry(heading, registered):
    assert table(heading) == registered


def test_registry_of_chunks_and_bits():
    assert table("Chunk types", 16) == {name: number for number, name in container.TYPE_NAMES.items()}
    flags = {f"FLAG_{name.upper()}": 1 << bit for name, bit in table("Field flags").items()}
    assert flags == {name: value for name, value in vars(header).items() if name.startswith("FLAG_")}
    assert sum(1 << bit for bit in table("Required features").values()) == container.KNOWN_FEATURES
    assert f"# The .nfld format, draft {spec.DRAFT}\n" in text("README.md")
    assert f"this text is draft {spec.DRAFT}." in text("format.md")


def test_limits():
    found = {}
    for name, base, exponent in re.findall(r"^\| (MAX_\w+) \| (\d+)(?:\^(\d+))? \|", text("format.md"), re.M):
        found[name] = int(base) ** int(exponent or 1)
    assert found == {name: value for name, value in vars(limits).items() if name.startswith("MAX_")}
    assert ", ".join(map(str, spec.HASH_PRIMES)) in text("format.md")


def test_every_encoding_has_its_section():
    for name in spec.ENCODINGS:
        assert re.search(rf"^### 4\.\d+ {name}$", text("format.md"), re.M)


def test_numbers_are_those_of_the_code():
    for name in spec.COORDINATE_ENCODINGS:
        section = re.search(rf"^### 4\.\d+ {name}\n\n(.+)", text("format.md"), re.M)[1]
        for p in encodings.load(name).parameters:
            limits = re.search(rf"\b{p.name}\b[^,;]*, ([\de.-]+)\.\.([\de^-]+)", section)
            low, high = float(limits[1]), eval(limits[2].rstrip(".").replace("^", "**"))
            assert (low, high) == (p.low, p.high), (name, p)
    section = text("format.md").split("\n## 6.")[1].split("\n## 7.")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    found = {name: [n.split() for n in numbers.split(",") if n] for name, numbers, _, _ in rows}
    for name in spec.ACTIVATIONS:
        assert found[name] == [[p.name, f"{p.default:g}"] for p in activations.load(name).parameters], name


# ---------------------------------------------------------------- error codes

DEFAULTS = {"TruncatedError": "truncated", "ChecksumError": "checksum", "LimitError": "limit"}
NAMING = {"named": "fhdr-", "_positive": "fhdr-", "_within": "fhdr-", "limited": "limit-"}


def codes_in(tree):
    """The codes that a file's calls can give; a FormatError without its own code counts as "format"."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        name, arguments = node.func.id, node.args
        if name in NAMING and isinstance(arguments[-1], ast.Constant):
            yield NAMING[name] + arguments[-1].value.replace(" ", "-")
        elif name.endswith("Error") and name in {*DEFAULTS, "FormatError", "UnsupportedError"}:
            if len(arguments) == 1:
                yield DEFAULTS.get(name, "format")
            elif isinstance(arguments[1], ast.Constant):
                yield arguments[1].value


def test_every_error_code_is_listed():
    rooms = ["binary.py", "container.py", "decode.py", "header.py", "layout.py", "entropy/*.py", "encodings/*.py", "fixed.py", "residual.py", "scene/*.py"]
    used = set()
    for path in itertools.chain.from_iterable((ROOT / "nfcodec").glob(room) for room in rooms):
        used.update(codes_in(ast.parse(path.read_text("utf-8"))))
    used.update(code for code, _ in rans._PROBLEMS.values())
    listed = text("format.md").split("| codes | where |")[1].split("\n\n")[0]
    codes = re.findall(r"`([\w-]+)`", listed)
    assert sorted(codes) == sorted(used)
    for code, place in re.findall(r"`([\w-]+)`(?=[^|]*\| `(\w+\.md)`)", listed):
        assert re.search(rf"`{code}`|\({code}\)", text(place)), f"{place} does not say when {code} is raised"
    for code in re.findall(r"`((?:fhdr|grid|chunk-c|chunk-o|limit-)[\w-]*)`", listed):
        said = text("format.md").split("\n## 11.")[0] + text("scene.md")
        assert f"(`{code}`)" in said, f"neither format.md nor scene.md says when {code} is raised"


# ---------------------------------------------------------------- the dump


def test_the_dump_is_that_of_the_tiny_file():
    dump = text("format.md").split("```dump\n")[1].split("```")[0]
    assert dump == tool("annotate").annotate((GOLDEN / "tiny.nfld").read_bytes())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_dump_holds_every_byte_once(name):
    data = (GOLDEN / f"{name}.nfld").read_bytes()
    position = 0
    for offset, stored, meaning in tool("annotate").rows(data):
        assert offset == position and meaning
        position += len(stored)
    assert b"".join(stored for _, stored, _ in tool("annotate").rows(data)) == data


# ---------------------------------------------------------------- a second decoder, from the text alone


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        self.at += struct.calcsize("<" + form)
        return struct.unpack_from("<" + form, self.data, self.at - struct.calcsize("<" + form))[0]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.take("B")
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value


def read_fhdr(data, is_all=True):
    """Section 2; is_all: whether nothing may follow."""
    c, f = Cursor(data), {}
    names = {key: {number: name for name, number in table(key).items()} for key in ("Kinds", "Encodings", "Interpolations", "Activations")}
    f["kind"], flags, d, f["channels"], dtype = names["Kinds"][c.take("B")], *(c.take("B") for _ in range(4))
    dtype = {number: name for name, number in table("Dtypes").items()}[dtype]
    f["clip"], placed, truncated, knee, one_range, halving, shared, full = (bool(flags >> bit & 1) for bit in range(8))
    f["extent"] = [c.varint() for _ in range(d)]
    ranges = [(c.take("f"), c.take("f")) for _ in range(0 if full else 1 if one_range else f["channels"])]
    f["ranges"] = ranges * f["channels"] if one_range else ranges
    if full:
        f["ranges"] = [(0.0, {"u1": 255.0, "u2": 65535.0}[dtype])] * f["channels"]
    f["origin"] = [c.take("d") for _ in range(d)] if placed else None
    f["cell"] = c.take("d") if placed else 0.0
    f["truncation"] = c.take("f") if truncated else 0.0
    f["knee"] = c.take("f") if knee else 0.0
    roles = {number: name for name, number in table("Roles").items()}
    f["roles"] = ["distance", *(roles[c.take("B")] for _ in range(f["channels"] - 1))] if placed else []
    f["parts"], more = [], True
    while more:
        code = c.take("B")
        more, encoding = code >= 128, names["Encodings"][code % 128]
        if encoding in NUMBERS:
            read = {"i": c.varint, "f": lambda: c.take("f")}
            f["parts"].append({"encoding": encoding, "numbers": [read[form]() for form in NUMBERS[encoding]]})
        else:
            f["parts"].append(read_grid(c, d, encoding, names["Interpolations"], halving, shared))
    f["activation"], f["hidden"] = names["Activations"][c.take("B")], c.take("B")
    f["neurons"] = c.varint() if f["hidden"] else 0
    assert c.at == len(data) or not is_all
    return f


def read_grid(c, d, encoding, interpolations, halving, shared):
    """Section 2, a part with a grid."""
    f, code = {"encoding": encoding}, c.take("B")
    f["interpolation"], boundaries = interpolations[code & 127], c.take("B") if code & 128 else 0
    f["boundaries"] = [("clamp", "wrap", "reflect")[boundaries >> 2 * axis & 3] for axis in range(d)]
    f["joining"] = "sum" if encoding != "triplane" else ("sum", "concatenation")[c.take("B")]
    f["log2_size"], n_levels = c.take("B"), c.take("B")
    resolutions = [[c.varint() for _ in range(d)] for _ in range(1 if halving else n_levels)]
    while len(resolutions) < n_levels:
        resolutions.insert(0, [(n + 1) // 2 for n in resolutions[0]])
    f["resolutions"], f["features"] = resolutions, [c.take("B") for _ in range(2 if shared else n_levels)]
    f["features"] = f["features"][:1] * (n_levels - len(f["features"])) + f["features"]
    f["steps"] = [struct.unpack("<f", struct.pack("<I", c.take("H") << 16))[0] for _ in range(n_levels)]
    f["shapes"], f["surrounded"] = [(0.0, 0.5)] * n_levels, 0
    if f["interpolation"] == "mitchell":
        f["shapes"] = [(c.take("b") / 64, c.take("b") / 64) for _ in range(n_levels)]
        f["surrounded"] = c.take("B")
    return f


def vertex(f, level, arrays, index):
    """Section 4: the features of one vertex."""
    if f["encoding"] == "dense":
        integers = arrays["latents"][(slice(None), *index)]
    elif f["encoding"] == "codebook":
        integers = arrays["codebook"][arrays["indices"][index]]
    else:
        resolution = f["resolutions"][level]
        row = 0
        if math.prod(resolution) <= 2 ** f["log2_size"]:
            for i, n in zip(index, resolution, strict=True):
                row = row * n + i
        else:
            for i, prime in zip(reversed(index), (1, 2654435761, 805459861, 3674653429), strict=False):
                row ^= i * prime % 2**32
            row %= 2 ** f["log2_size"]
        integers = arrays["table"][row]
    return integers.astype(np.float64) * f["steps"][level]


def stand_in(i, n, boundary):
    """Section 5: the vertex of n that is taken for vertex i."""
    mirrored = min(i % (2 * n), 2 * n - 1 - i % (2 * n))
    return {"clamp": min(max(i, 0), n - 1), "wrap": i % n, "reflect": mirrored}[boundary]


def features(f, level, arrays, coord, shift):
    """Sections 4 and 5: what a read of a level gives the network."""
    d, name = len(coord), f["encoding"]
    if name == "points":
        return around(f, level, arrays, coord)
    if name == "mesh":
        return on_faces(f, level, arrays, coord)
    pairs, lines = list(itertools.combinations(range(d), 2)), [(k,) for k in range(d)]
    others = [tuple(j for j in range(d) if j != k) for k in range(d)]
    factors = {"triplane": pairs, "kplanes": pairs, "cp": lines, "vm": lines + others}.get(name)
    if factors is None:
        return interpolated(f, level, lambda index: vertex(f, level, arrays, index), coord, shift, range(d))
    found = []
    for k, axes in enumerate(factors):
        table = arrays[f"factor{k}"].astype(np.float64) * f["steps"][level]
        found.append(interpolated(f, level, lambda index, table=table: table[(slice(None), *index)], coord, shift, axes))
    if name in ("cp", "kplanes"):
        return np.prod(found, axis=0)
    if name == "vm":
        return np.concatenate([found[k] * found[d + k] for k in range(d)])
    return sum(found) if f["joining"] == "sum" else np.concatenate(found)


def around(f, level, arrays, coord):
    """Section 4.8: the sum over all points, most of which are too far away."""
    total, reach = np.zeros(f["features"][level]), int(arrays["reach"][0])
    for place, size, values in zip(arrays["positions"], arrays["sizes"], arrays["features"], strict=True):
        square = sum((min(max(x, 0.0), 1.0) * n - 0.5 - i) ** 2 for x, n, i in zip(coord, f["resolutions"][level], place, strict=True))
        total += max(1 - square * 16 / (reach**2 * (16 - int(size))), 0.0) ** 3 * values * f["steps"][level]
    return total


def on_faces(f, level, arrays, coord):
    """Section 4.9: those of the closest point of all faces."""
    u = np.array([min(max(x, 0.0), 1.0) * n - 0.5 for x, n in zip(coord, f["resolutions"][level], strict=True)])
    found = [closest_weights(u, *arrays["positions"][face].astype(float)) for face in arrays["faces"]]
    best = min(range(len(found)), key=lambda k: found[k][1])
    return found[best][0] @ arrays["features"][arrays["faces"][best]] * f["steps"][level]


def interpolated(f, level, vertex, coord, shift, axes):
    """Section 5, along these axes."""
    along = []
    sizes = coord, f["resolutions"][level], shift, f["resolutions"][-1], f["boundaries"]
    for x, n, s, finest, boundary in ([size[k] for size in sizes] for k in axes):
        x = {"clamp": min(max(x, 0.0), 1.0), "wrap": x % 1, "reflect": min(x % 2, 2 - x % 2)}[boundary]
        u = x * n - 0.5 + s * n / finest
        i = math.floor(u)
        t = u - i
        if f["interpolation"] == "nearest":
            w, first = [1.0], math.floor(x * n)
        elif f["interpolation"] == "linear":
            w, first = [1 - t, t], i
        elif f["interpolation"] == "smoothstep":
            w, first = [1 - 3 * t**2 + 2 * t**3, 3 * t**2 - 2 * t**3], i
        else:
            (b, c), first = f["shapes"][level], i - 1
            w = [(-b - 6 * c) * t**3 + (3 * b + 12 * c) * t**2 - (3 * b + 6 * c) * t + b]
            w += [(12 - 9 * b - 6 * c) * t**3 + (-18 + 12 * b + 6 * c) * t**2 + 6 - 2 * b]
            w += [(9 * b + 6 * c - 12) * t**3 + (18 - 15 * b - 12 * c) * t**2 + (3 * b + 6 * c) * t + b]
            w += [(b + 6 * c) * t**3 - 6 * c * t**2]
            w = [x / 6 for x in w]
        along.append([(stand_in(first + k, n, boundary), weight) for k, weight in enumerate(w)])
    total = np.zeros(f["features"][level])
    for corner in itertools.product(*along):
        total += vertex(tuple(i for i, _ in corner)) * math.prod(w for _, w in corner)
    return total


def grid_features(f, levels, coord, n_levels):
    """Section 6: what the network sees of a grid."""
    d, n = len(coord), len(f["steps"])
    reads = [(k, (0,) * d) for k in range(n)]
    for k in range(n - f["surrounded"], n):
        reads += [(k, tuple(s * (j == axis) for j in range(d))) for axis in range(d) for s in (-1, 1)]
    return [features(f, k, levels[k], coord, s) * (k < n_levels) for k, s in reads]


def value(f, tensors, levels, coord, n_levels):
    """Sections 4 to 8: one value (C,) in float64."""
    seen, first = [], 0
    for part in f["parts"]:
        own = levels[first:]
        if part["encoding"] in NUMBERS:
            found = coordinate_features(part["encoding"], part["numbers"], own[0], coord)
            seen.append(found if first < n_levels else 0 * found)
            first += 1
        else:
            seen += grid_features(part, own, coord, n_levels - first)
            first += len(part["steps"])
    x = np.concatenate(seen)
    tensors, numbers = tensors
    if f["hidden"]:
        *layers, skip = tensors
        h = x
        for k in range(f["hidden"]):
            h = activate(f["activation"], layers[2 * k] @ h + layers[2 * k + 1], numbers[k])
        y = layers[-2] @ h + layers[-1] + skip @ x
    else:
        y = tensors[0] + tensors[1] @ x
    offset, scale = np.array(f["ranges"]).T

    def value(y):
        return offset + (f["knee"] * np.sinh(np.clip(scale * y / f["knee"], -40, 40)) if f["knee"] else scale * y)

    v, end = value(y), value(1.0)
    if f["clip"] and not f["roles"]:
        v = np.clip(v, np.minimum(offset, end), np.maximum(offset, end))
    for c, role in enumerate(f["roles"]):
        if c:
            v[c] = offset[c] + scale[c] * y[c]
        if role in ("red", "green", "blue") or (f["clip"] and not c):
            v[c] = min(max(v[c], 0.0), 1.0)
    return v


@functools.cache
def second_decoder(name):
    """(header, tensors, levels): the integers are those of the package, which test_entropy_spec.py checks."""
    data = (GOLDEN / f"{name}.nfld").read_bytes()
    chunks = container.read(data)
    full = chunks.get(container.FULL)
    f = read_fhdr(full.data, is_all=False) if full else read_fhdr(chunks.get(container.FHDR).data)
    mlp = nfcodec.open(data).mlp
    layers = itertools.chain.from_iterable(zip(mlp.weights, mlp.biases, strict=True)) if f["hidden"] else mlp.biases
    numbers = [()] * f["hidden"] if mlp.numbers is None else mlp.numbers.astype(np.float64).tolist()
    return f, ([t.astype(np.float64) for t in (*layers, mlp.skip)], numbers), nfcodec.open(data).grid.levels


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_samples_by_the_specification(name):
    f, tensors, levels = second_decoder(name)
    expected = EXPECTED[name]
    for coord, all_levels, coarsest in zip(
        expected["coords"], expected["values"], expected["values_level_0"], strict=True
    ):
        for n_levels, wanted in ((len(levels), all_levels), (1, coarsest)):
            found = value(f, tensors, levels, coord, n_levels)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=expected["tolerance"])


@pytest.mark.parametrize("name", ["image-odd", "image-rgb8", "volume-1d", "volume-vector", "sdf-codebook"])
def test_lattices_by_the_specification(name):
    f, tensors, levels = second_decoder(name)
    expected = EXPECTED[name]
    factors = [
        1 if f["origin"] else max(1, math.ceil(n / m - 1e-9))
        for n, m in zip(f["extent"], expected["half_shape"], strict=True)
    ]
    places = list(itertools.product(*(range(m) for m in expected["half_shape"])))[:6]
    for place, wanted in zip(places, expected["half_first"], strict=True):
        fine = itertools.product(*(range(j * k, (j + 1) * k) for j, k in zip(place, factors, strict=True)))
        shape = [m * k for m, k in zip(expected["half_shape"], factors, strict=True)]
        coords = [[(i + 0.5) / n for i, n in zip(index, shape, strict=True)] for index in fine]
        mean = np.mean([value(f, tensors, levels, coord, len(levels)) for coord in coords], axis=0)
        np.testing.assert_allclose(mean, wanted, rtol=0, atol=expected["tolerance"])


def test_network_tensors_are_integers_times_powers_of_two():
    """Section 3, on the smallest golden: no hidden layers, so the biases come first."""
    _, (tensors, _), _ = second_decoder("tiny")
    dnet = container.read((GOLDEN / "tiny.nfld").read_bytes()).get(container.DNET).data
    for tensor, shift in zip(tensors, dnet[:2], strict=True):
        assert np.array_equal(tensor * 2**shift, np.rint(tensor * 2**shift))
    assert tensors[0].shape == (1,) and tensors[1].shape == (1, 2)
