"""What others are handed to tell and take apart a file: the description for Kaitai Struct and the magic for file(1)."""

import json
import shutil
import subprocess
import types
from pathlib import Path

import kaitai
import pytest

import nfcodec
from nfcodec import container, spec

ROOT = Path(__file__).parents[1]
FILES = [*sorted((ROOT / "spec" / "golden").rglob("*.nfld")), *sorted((ROOT / "spec" / "conformance" / "valid").glob("*.nfld"))]
# brought by: npm install --no-save kaitai-struct-compiler, in this folder
VIEW = ROOT / "nfcodec" / "view"
COMPILE = """
const compiler = require("module").createRequire(process.argv[1])("kaitai-struct-compiler");
compiler.compile("python", JSON.parse(require("fs").readFileSync(0)), null, false).then(
    files => process.stdout.write(Object.values(files)[0]));
"""
FILE = shutil.which("file")


@pytest.fixture(scope="module")
def description():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    return yaml.safe_load((ROOT / "spec" / "nfld.ksy").read_text())


def assert_is_the_file(found, data, name_of):
    """Against the container as it is read here. name_of: of what an id of an enumeration became."""
    expected = container.read(data)
    assert (found.major, found.minor, found.required_features) == (0, spec.DRAFT, 0)
    assert found.file_length.value == expected.file_length == len(data)
    names = {number: name.lower() for number, name in container.TYPE_NAMES.items()}
    rows = [(names.get(c.type, c.type), c.key, c.codec, len(c.data)) for c in expected.chunks]
    codecs = {"raw": container.RAW, "zstd": container.ZSTD, "rans": container.RANS}
    assert [(name_of(r.type), r.key.value, codecs[name_of(r.codec)], r.stored_length.value) for r in found.table] == rows
    for chunk, part in zip(expected.chunks, found.chunks, strict=True):
        if chunk.type == container.PART:
            assert_is_the_file(part.body, chunk.data, name_of)
            continue
        if chunk.type != container.FHDR:
            assert part.body == chunk.data
            continue
        field, head = nfcodec.open(data).spec, part.body
        assert (name_of(head.kind), name_of(head.dtype)) == (field.kind, field.dtype)
        assert (head.n_dims, head.n_channels) == (field.n_dims, field.channels)
        assert tuple(n.value for n in head.extent) == field.extent
        assert chunk.data.endswith(head.rest) and chunk.data[1] == head.flags


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_description_takes_files_apart(path, description):
    data = path.read_bytes()
    assert_is_the_file(kaitai.parse(description, data), data, lambda name: name)


def test_the_description_has_all_ids(description):
    found = description["enums"]
    assert found["chunk_type"] == {number: name.lower() for number, name in container.TYPE_NAMES.items()}
    assert {name: number for number, name in found["kind"].items()} == spec.KINDS
    assert {name: number for number, name in found["dtype"].items()} == spec.DTYPES
    assert sorted(found["codec"]) == sorted(container.CODECS)


def test_large_varints(description):
    parser = kaitai._Parser(description)
    for value in (0, 127, 128, 300, 1 << 31, (1 << 53) - 1):
        stream = kaitai.Stream(container.write_varint(value))
        assert parser.object(description["types"]["varint"], stream, {}, None).value == value


def test_the_description_refuses_other_files(description):
    data = FILES[0].read_bytes()
    for other in (b"\x88" + data[1:], data[:8] + b"\x01" + data[9:], data[:-1], data + b"x"):
        with pytest.raises(AssertionError):
            kaitai.parse(description, other)


def test_a_parser_that_kaitai_compiled(description):
    pytest.importorskip("kaitaistruct", reason="needs kaitaistruct")
    if shutil.which("node") is None:
        pytest.skip("needs node")
    done = subprocess.run(
        ["node", "-e", COMPILE, VIEW / "package.json"], input=json.dumps(description), capture_output=True, text=True
    )
    if "Cannot find module" in done.stderr:
        pytest.skip("needs npm install --no-save kaitai-struct-compiler in nfcodec/view")
    assert done.returncode == 0, done.stderr
    module = types.ModuleType("nfld")
    exec(done.stdout, vars(module))
    for path in FILES:
        data = path.read_bytes()
        assert_is_the_file(module.Nfld.from_bytes(data), data, lambda member: member.name)


@pytest.mark.skipif(FILE is None, reason="needs file(1)")
def test_the_magic(tmp_path):
    def say(data, *options):
        (tmp_path / "a").write_bytes(data)
        command = [FILE, "--brief", *options, "-m", ROOT / "spec" / "nfld.magic", tmp_path / "a"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    for path in FILES:
        data = path.read_bytes()
        n_chunks = len(container.read(data).chunks)
        assert say(data) == f"Neural field (.nfld), format 0.{spec.DRAFT}, {n_chunks} chunks"
    assert say(data, "--mime-type") == "application/x-nfld"
    assert say(data, "--extension") == "nfld"
    assert say(data[:10] + b"\x03\x00" + data[12:]).startswith(f"Neural field (.nfld), format 0.{spec.DRAFT}, needs features 0x3")
    for other in (data[1:], data[:7] + b"\r", b"\x89PNG\r\n\x1a\n" + data[8:], b""):
        assert "Neural field" not in say(other)
