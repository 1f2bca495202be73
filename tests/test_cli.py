"""The command line: what goes where, exit codes, one line for every error, and no half-written files."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import click
import numpy as np
import pytest

import nfcodec
from nfcodec import spec, text
from nfcodec.cli import commands, console, doctor, main
from nfcodec.cli.jobs import plan, stem_of
from nfcodec.cli.values import REGION, SHAPE, SIZE, fractions_of
from nfcodec.errors import ChecksumError, SignalError, UsageError

pytest.importorskip("torch", reason="encoding needs torch")
pytest.importorskip("trimesh", reason="meshes need trimesh")
Image = pytest.importorskip("PIL.Image", reason="images need pillow")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a picture, a volume and a surface, and their encoded files."""
    from surfaces import sphere

    from nfcodec.io import write_mesh

    folder = tmp_path_factory.mktemp("made")
    y, x = np.mgrid[0:24, 0:36]
    Image.fromarray(np.stack([7 * x, 10 * y, 4 * (x + y)], -1).astype(np.uint8)).save(folder / "photo.png", dpi=(100, 100))
    z, y, x = np.mgrid[0:12, 0:16, 0:20]
    np.save(folder / "scan.npy", (np.sin(z / 3) + np.cos(x / 4) * y).astype(np.float32))
    write_mesh(folder / "ball.obj", sphere(2))
    for name, kwargs in (("photo.png", {}), ("scan.npy", {}), ("ball.obj", {"quality": 5})):
        nfcodec.encode(folder / name, folder / f"{stem_of(name, ('.png', '.npy', '.obj'))}.nfld", effort=1, **kwargs)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(text):
    return text.strip().splitlines()


def assert_refused(capsys, args, code, *words):
    assert main([str(a) for a in args]) == code
    err = capsys.readouterr().err
    assert len(lines(err)) == 1 and err.lstrip().startswith("nfcodec: "), err
    for word in words:
        assert word in err


# ---- what it costs to ask


def test_help_and_version_load_neither_numpy_nor_torch():
    script = "import sys\nfrom nfcodec.cli import main\nmain(sys.argv[1:])\nprint([m for m in ('numpy', 'torch') if m in sys.modules])"
    for args in (["--help"], ["--version"], ["encode", "--help"], ["decode", "--help"], []):
        result = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert result.stdout.splitlines()[-1] == "[]", (args, result.stdout, result.stderr)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"nfcodec {nfcodec.__version__}"


def test_every_option_says_what_it_does():
    for command in commands.commands.values():
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help or option.name == "device", (command.name, option.name)


def test_choices_are_those_of_the_registry():
    assert _choices("kind") == set(spec.KINDS)
    module = sys.modules["nfcodec.cli.encode"]
    assert set(module.ENCODINGS) == {"auto", *spec.ENCODINGS}
    assert set(module.ACTIVATIONS) == {"auto", *spec.ACTIVATIONS}
    assert _choices("interpolation") == {"auto", *spec.INTERPOLATIONS}


def _choices(name, command="encode"):
    return set(next(p for p in commands.commands[command].params if p.name == name).type.choices)


def test_doctor_knows_the_extras_of_pyproject():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    module = sys.modules["nfcodec.cli.doctor"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(rows):
        return tuple(re.split(r"[<>=\[ ]", row)[0] for row in rows)

    assert module.BASE == names(project["dependencies"])
    extras = {extra: names(rows) for extra, rows in project["optional-dependencies"].items() if extra != "dev"}
    assert module.EXTRAS == {extra: tuple(n for n in packages if n != "nfcodec") for extra, packages in extras.items()}


def test_doctor(capsys):
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["round_trip"].startswith("ok: ")
    assert not facts["kernels"].startswith("failed") and not facts["torch"].startswith("failed")
    text = "\n".join(sys.modules["nfcodec.cli.doctor"].describe({**facts, "extras": {"fast": ["numba"]}}))
    assert 'fast: without numba: pip install "nfcodec[fast]"' in text


# ---- values of options


@pytest.mark.parametrize("text, size", [("30000", 30000), ("30KB", 30000), ("1.5MB", 1500000), ("2 KiB", 2048), ("12b", 12), ("3k", 3000)])
def test_sizes(text, size):
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize("kind, text", [(SIZE, "0"), (SIZE, "-5"), (SIZE, "3 XB"), (SIZE, "nan"), (SHAPE, "0x3"), (SHAPE, "3x"), (SHAPE, "a"), (REGION, "1"), (REGION, "1:2:3"), (REGION, "-1:2")])
def test_values_that_make_no_sense(kind, text):
    with pytest.raises(click.BadParameter, match="expected"):
        kind.convert(text, None, None)


def test_regions_in_samples_and_per_cent():
    assert fractions_of(REGION.convert("10:20,25%:75%", None, None), (40, 8)) == ((0.25, 0.5), (0.25, 0.75))
    assert fractions_of(REGION.convert(":,2:", None, None), (40, 8)) == ((0.0, 1.0), (0.25, 1.0))
    assert fractions_of(None, (3, 4)) is None
    assert fractions_of(REGION.convert("0.5s:2s", None, None), (40,), 10) == ((0.125, 0.5),)
    for region in ("0:50,:", "5:5,:", "8:2,:", ":", "0s:1s,:"):
        with pytest.raises(UsageError, match="choosing a region"):
            fractions_of(REGION.convert(region, None, None), (40, 8))


@pytest.mark.parametrize("n_bytes, expected", [(0, "0 B"), (305, "305 B"), (999, "999 B"), (4200, "4.2 KB"), (61000, "61 KB"), (999600, "1.0 MB"), (4.2e6, "4.2 MB"), (5e12, "5000 GB")])
def test_size_text(n_bytes, expected):
    assert text.size_text(n_bytes) == expected


def test_size_text_of_three_digits():
    assert [text.size_text(n, 3) for n in (999, 17812, 147026, 1.5e6)] == ["999 B", "17.8 KB", "147 KB", "1.50 MB"]
    assert text.ratio_text(1.934, 3) == "1.93x" and text.ratio_text(99.96, 3) == "100x"


def test_other_numbers():
    assert text.small_text(2.13e-4) == "2.1e-4" and text.small_text(0) == "0"
    assert text.ratio_text(69.2) == "69x" and text.ratio_text(0.314) == "0.3x"
    assert text.seconds_text(0.012) == "12 ms" and text.seconds_text(12.4) == "12 s"


# ---- inputs and outputs


def test_names_of_outputs(here):
    known = (".nii.gz", ".nii", ".png")
    (here / "in" / "deep").mkdir(parents=True)
    for name in ("in/a.nii.gz", "in/deep/b.PNG", "in/.hidden.png", "in/notes.txt"):
        (here / name).touch()

    def outputs(*args):
        return [(job.source, job.output) for job in plan(*args)]

    assert outputs(["x/scan.nii.gz"], None, None, known, ".nfld") == [("x/scan.nii.gz", "x/scan.nfld")]
    assert outputs(["x/scan.nii.gz"], "y.nfld", None, known, ".nfld") == [("x/scan.nii.gz", "y.nfld")]
    assert outputs(["in"], None, "out", known, ".nfld") == [("in/a.nii.gz", "out/a.nfld"), ("in/deep/b.PNG", "out/deep/b.nfld")]
    assert outputs(["in/deep"], None, None, known, ".nfld") == [("in/deep/b.PNG", "in/deep/b.nfld")]


@pytest.mark.parametrize(
    "args, words",
    [
        ((["a.png", "b/a.png"], None, "out"), "both become"),
        ((["a.png", "a.jpg"], None, None), "both become"),
        ((["a.png", "b.png"], "c.nfld", None), "2 inputs"),
        ((["a.png"], "c.nfld", "out"), "expected one of them"),
        ((["a.png"], "a.png", None), "input itself"),
        ((["a.png"], ".", None), "is a folder"),
        ((["empty"], None, None), "no file that ends in"),
        ((["a.png"], "missing/a.nfld", None), "does not exist"),
    ],
)
def test_names_that_do_not_work_out(here, args, words):
    (here / "empty").mkdir()
    with pytest.raises(UsageError, match=words):
        plan(*args, (".png", ".jpg"), ".nfld")


def test_clashing_outputs_are_refused_before_anything_is_encoded(made, here, capsys):
    (here / "photo.npy").touch()
    assert_refused(capsys, ["encode", made / "photo.png", "photo.npy", "--out-dir", "out"], 2, "both become")
    assert not (here / "out").exists()


def test_encode_writes_and_sums_up(made, here, capsys):
    assert main(["encode", str(made / "photo.png"), "-o", "p.nfld", "--effort", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    size = (here / "p.nfld").stat().st_size
    assert facts["file_bytes"] == size and facts["kind"] == "image" and facts["met"] is True
    assert re.fullmatch(rf"photo\.png \d+ B -> p\.nfld {size} B \(0\.\dx, \d\d\.\d\d dB, \d+(\.\d)? m?s\)", lines(err)[-1])


def test_a_failing_input_does_not_stop_the_others(made, here, capsys):
    (here / "broken.png").write_bytes(b"not a picture")
    args = ["encode", "broken.png", str(made / "photo.png"), "--out-dir", "out", "--effort", "1", "--json", "--quiet"]
    assert main(args) == 2
    out, err = capsys.readouterr()
    first, second = map(json.loads, lines(out))
    assert first["exit_code"] == 2 and first["error"] and second["output"] == "out/photo.nfld"
    assert len(lines(err)) == 1 and "broken.png" in err
    assert os.listdir("out") == ["photo.nfld"]


def test_a_missed_target_is_written_and_said(made, here, capsys):
    assert main(["encode", str(made / "photo.png"), "-o", "p.nfld", "--size", "100", "--effort", "1", "--quiet"]) == 1
    err = capsys.readouterr().err
    size = (here / "p.nfld").stat().st_size
    assert len(lines(err)) == 1 and f"the target of size 100 bytes was missed, {size} bytes was reached" in err
    assert nfcodec.open("p.nfld").kind == "image"


def test_a_met_target_exits_with_0(made, here):
    assert main(["encode", str(made / "photo.png"), "-o", "p.nfld", "--size", "20KB", "--effort", "1", "--quiet"]) == 0
    assert (here / "p.nfld").stat().st_size <= 20000


def test_guarantees(made, here, capsys):
    photo, source = made / "photo.png", np.asarray(Image.open(made / "photo.png"))
    assert main(["encode", str(photo), "-o", "a.nfld", "--lossless", "--effort", "1", "--json", "--quiet"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["target"] == facts["reached"] == "lossless" and facts["met"] and facts["max_error"] == 0
    assert main(["decode", "a.nfld", "-o", "a.png", "--quiet"]) == 0
    assert np.array_equal(np.asarray(Image.open("a.png")), source)
    assert main(["decode", "a.nfld", "-o", "part.png", "--region", "3:9,10:30", "--quiet"]) == 0
    assert np.array_equal(np.asarray(Image.open("part.png")), source[3:9, 10:30])
    assert main(["encode", str(photo), "-o", "b.nfld", "--max-error", "3", "--effort", "1", "--quiet"]) == 0
    assert main(["verify", "b.nfld", str(photo), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["max_error"] <= 3
    assert main(["info", "a.nfld"]) == main(["info", "b.nfld"]) == 0
    text = capsys.readouterr().out
    assert re.search("^residual .*: lossless at every sample", text, re.M) and "max error 3 at every sample" in text
    assert_refused(capsys, ["encode", made / "scan.npy", "-o", "c.nfld", "--lossless"], 2, "scan.npy", "expected integers")
    assert_refused(capsys, ["encode", made / "ball.obj", "-o", "c.nfld", "--lossless"], 2, "surface")
    assert_refused(capsys, ["encode", photo, "-o", "c.nfld", "--lossless", "--size", "1KB"], 2, "--size and --lossless")
    assert not (here / "c.nfld").exists()


def test_verify_reads_the_residual_too(made, here, capsys):
    from nfcodec import container

    nfcodec.encode(made / "photo.png", "a.nfld", lossless=True, effort=1)
    chunks = list(container.read((here / "a.nfld").read_bytes()).chunks)
    at = next(k for k, c in enumerate(chunks) if c.type == container.RESI)
    data = bytearray(chunks[at].data)
    data[-9] ^= 0x55  # of the planes; the checksum is made to fit
    chunks[at] = container.Chunk(container.RESI, 0, container.RANS, bytes(data))
    (here / "broken.nfld").write_bytes(container.write(chunks))
    assert main(["info", "broken.nfld"]) == 0
    assert_refused(capsys, ["verify", "broken.nfld"], 3, "broken.nfld")


def test_raw_samples(made, here):
    np.load(made / "scan.npy").tofile("scan.raw")
    shape = ["--shape", "12x16x20", "--dtype", "float32"]
    assert main(["encode", "scan.raw", *shape, "--effort", "1", "--quiet"]) == 0
    assert nfcodec.open("scan.nfld").spec.extent == (12, 16, 20)
    assert main(["verify", "scan.nfld", "scan.raw", *shape]) == 0


def test_streams(made, here):
    run = [sys.executable, "-m", "nfcodec"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    encoded = subprocess.run([*run, "encode", made / "photo.png", "-o", "-", "--effort", "1"], capture_output=True, env=environment)
    assert encoded.returncode == 0 and nfcodec.open(encoded.stdout).spec.extent == (24, 36)
    decode = [*run, "decode", "-", "-o", "-", "--format", "png", "--scale", "2"]
    decoded = subprocess.run(decode, input=encoded.stdout, capture_output=True, env=environment)
    assert Image.open(io.BytesIO(decoded.stdout)).size == (72, 48)
    assert b"stdin" in decoded.stderr and b"-> stdout" in decoded.stderr


# ---- decoding


def decoded(args, out):
    assert main(["decode", *map(str, args), "-o", str(out), "--quiet"]) == 0
    return np.asarray(Image.open(out)) if str(out).endswith(".png") else np.load(out)


def test_decode_shapes(made, here):
    photo = made / "photo.nfld"
    field = nfcodec.open(photo)
    assert np.array_equal(decoded([photo], "same.png"), field.decode())
    assert decoded([photo, "--scale", "2.5"], "scaled.png").shape == (60, 90, 3)
    assert decoded([photo, "--shape", "50x40"], "shaped.png").shape == (50, 40, 3)
    assert decoded([photo, "--resolution", "18"], "small.png").shape == (12, 18, 3)
    part = decoded([photo, "--region", "6:12,50%:"], "part.npy")
    assert np.array_equal(part, field.decode()[6:12, 18:])
    assert np.array_equal(decoded([photo, "--level", "0", "--dtype", "float32"], "coarse.npy"), field.decode(level=0, dtype="f4"))


def test_decode_keeps_the_physical_size(made, here):
    decoded([made / "photo.nfld", "--scale", "2"], "large.png")
    assert Image.open("large.png").info["dpi"] == pytest.approx((200, 200), rel=1e-3)


def test_decode_names_outputs_by_the_source(made, here, capsys):
    assert main(["decode", str(made), "--out-dir", "out", "--resolution", "32", "--json", "--quiet"]) == 0
    assert sorted(os.listdir("out")) == ["ball.obj", "photo.png", "scan.npy"]
    facts = [json.loads(line) for line in lines(capsys.readouterr().out)]
    assert [f["kind"] for f in facts] == ["sdf", "image", "volume"]
    assert main(["decode", str(made / "scan.nfld"), "--out-dir", "out", "--format", "NRRD", "--quiet"]) == 0
    assert (Path("out") / "scan.nrrd").exists()


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_meshes_have_outward_normals(made, here, suffix):
    import trimesh

    path = here / f"ball{suffix}"
    assert main(["decode", str(made / "ball.nfld"), "-o", str(path), "--resolution", "24", "--quiet"]) == 0
    mesh = trimesh.load_mesh(path, process=False)
    normals, outward = np.asarray(mesh.vertex_normals), mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert np.mean(np.sum(normals * outward, axis=1)) > 0.9
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(1, abs=0.15)


def test_meshes_are_made_by_either_method(made, here, capsys):
    from nfcodec.isosurface import METHODS

    assert _choices("method", "decode") == set(METHODS)
    sizes = {}
    for method in (None, *METHODS):
        given = [] if method is None else ["--method", method]
        command = ["decode", str(made / "ball.nfld"), "-o", "ball.ply", "--resolution", "20", "--overwrite", "--quiet", "--json"]
        assert main(command + given) == 0
        sizes[method] = (json.loads(capsys.readouterr().out)["n_vertices"], Path("ball.ply").read_bytes())
    assert sizes[None] == sizes["dual-contouring"] != sizes["marching-cubes"]
    assert main(["decode", str(made / "photo.nfld"), "-o", "photo.png", "--method", "marching-cubes"]) == 2


def test_a_coarse_level_is_a_mesh_of_fewer_faces(made, here, capsys):
    counts = []
    for level in (0, nfcodec.open(made / "ball.nfld").n_levels - 1):
        assert main(["decode", str(made / "ball.nfld"), "-o", f"{level}.obj", "--level", str(level), "--quiet", "--json"]) == 0
        counts.append(json.loads(capsys.readouterr().out)["n_faces"])
    assert 100 < counts[0] < counts[1] / 10


def test_normals_of_an_occupancy_point_outwards(made):
    from dataclasses import replace

    from nfcodec.export import vertex_normals

    field = nfcodec.open(made / "ball.nfld")
    points = field.to_mesh(16).vertices
    outwards = vertex_normals(field, points)
    field.spec = replace(field.spec, kind="occupancy")
    assert np.array_equal(vertex_normals(field, points), -outwards)


def test_a_surface_decodes_to_a_lattice_of_distances(made, here):
    values = decoded([made / "ball.nfld", "--resolution", "16"], "ball.npy")
    assert values.shape == (16, 16, 16) and values[8, 8, 8] < 0 < values[0, 0, 0]


def test_options_that_do_not_fit(made, here, capsys):
    ball, photo = made / "ball.nfld", made / "photo.nfld"
    assert_refused(capsys, ["decode", photo], 2, "--out-dir")
    assert_refused(capsys, ["decode", photo, "-o", "x.obj"], 2, "expected a surface")
    assert_refused(capsys, ["decode", ball, "-o", "x.obj", "--shape", "3x3x3"], 2, "shape does not apply")
    assert_refused(capsys, ["decode", photo, "-o", "x.png", "--iso", "1"], 2, "iso applies to meshes")
    assert_refused(capsys, ["decode", photo, "-o", "x.png", "--scale", "2", "--shape", "3x3"], 2, "one at most")
    assert_refused(capsys, ["decode", photo, "-o", "x.png", "--scale", "1e6"], 2, "expected at most")
    assert_refused(capsys, ["decode", photo, "-o", "x.png", "--scale", "nan"], 2, "positive")
    assert_refused(capsys, ["decode", photo, "-o", "x.png", "--level", "99"], 2, "level")
    assert_refused(capsys, ["decode", photo, "-o", "x.npy", "--dtype", "str"], 2, "dtype")
    assert_refused(capsys, ["decode", photo, "-o", "x.xyz"], 2, "suffix")
    assert_refused(capsys, ["decode", photo, "-o", "-"], 2, "--format")
    assert os.listdir(here) == []


def test_nothing_is_replaced_without_overwrite(made, here, capsys):
    for name in ("p.png", "p.nfld"):
        (here / name).write_bytes(b"mine")
    assert_refused(capsys, ["decode", made / "photo.nfld", "-o", "p.png"], 2, "--overwrite")
    assert_refused(capsys, ["encode", made / "photo.png", "-o", "p.nfld"], 2, "--overwrite")
    assert (here / "p.png").read_bytes() == (here / "p.nfld").read_bytes() == b"mine"
    assert main(["decode", str(made / "photo.nfld"), "-o", "p.png", "--overwrite", "--quiet"]) == 0
    assert Image.open("p.png").size == (36, 24)
    assert sorted(os.listdir(here)) == ["p.nfld", "p.png"]


# ---- info and verify


def test_info(made, capsys):
    assert main(["info", str(made / "ball.nfld")]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^kind +sdf$", text, re.M) and re.search(r"^box +x y z from -1", text, re.M)
    assert main(["info", str(made / "photo.nfld"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["extent"] == [24, 36] and facts["meta"]["source"] == "photo.png"


def test_info_shows_no_control_characters(made, capsys):
    facts = {**nfcodec.open(made / "photo.nfld").info(), "meta": {"source": "\x1b[2Jevil\n", "long": "x" * 1000}}
    from nfcodec.cli.inspect import describe

    assert all(line.isprintable() and len(line) < 250 for line in describe(facts))


def test_verify(made, capsys):
    assert main(["verify", str(made / "photo.nfld"), str(made / "photo.png"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    source, result = np.asarray(Image.open(made / "photo.png")), nfcodec.open(made / "photo.nfld").decode()
    assert facts["max_error"] == np.abs(source.astype(int) - result).max()
    assert main(["verify", str(made / "ball.nfld"), str(made / "ball.obj")]) == 0
    assert "RMS of the diagonal" in capsys.readouterr().out
    assert_refused(capsys, ["verify", made / "scan.nfld", made / "photo.png"], 1, "is not its source")
    assert_refused(capsys, ["verify", made / "ball.nfld", made / "photo.png"], 1, "is not its source")


def test_an_array_is_verified_as_what_it_was_encoded_as(made, here, capsys):
    values = np.asarray(Image.open(made / "photo.png"))
    np.save("photo.npy", values)
    assert main(["encode", "photo.npy", "--kind", "image", "--effort", "1"]) == 0
    assert main(["encode", str(made / "photo.png"), "-o", "flat.nfld", "--kind", "volume", "--effort", "1"]) == 0
    capsys.readouterr()
    for file, source in (("photo.nfld", "photo.npy"), ("flat.nfld", str(made / "photo.png"))):
        assert main(["verify", file, source, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["max_error"] == np.abs(values.astype(int) - nfcodec.open(file).decode()).max()
    assert main(["view", "photo.nfld", "--source", "photo.npy", "--html", "photo.html", "--quiet"]) == 0
    assert_refused(capsys, ["verify", "photo.nfld", made / "scan.npy"], 1, "is not its source")
    assert_refused(capsys, ["verify", made / "scan.nfld", "photo.npy"], 1, "is not its source")


def test_damaged_files(made, here, capsys):
    data = (made / "photo.nfld").read_bytes()
    (here / "flipped.nfld").write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    (here / "short.nfld").write_bytes(data[:-120])
    (here / "foreign.nfld").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (here / "newer.nfld").write_bytes(data[:9] + b"\xff" + data[10:])
    for command in (["info"], ["verify"], ["decode", "-o", "x.npy"]):
        assert_refused(capsys, [*command, "short.nfld"], 3, "cut off")
        assert_refused(capsys, [*command, "foreign.nfld"], 3, "foreign.nfld", "signature")
        assert_refused(capsys, [*command, "newer.nfld"], 4, "format")
        assert_refused(capsys, [*command, "missing.nfld"], 2, "missing.nfld")
    assert_refused(capsys, ["verify", "flipped.nfld"], 3, "checksum")  # of the metadata, which other commands drop
    assert not (here / "x.npy").exists()


def test_a_prefix_decodes_to_fewer_levels(made, here, capsys):
    # noise, since coarse levels of simple signals share their chunk with the finest
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    data = nfcodec.encode(noise, kind="image", effort=1, quality=90).data
    (here / "short.nfld").write_bytes(data[:-100])
    assert main(["decode", "short.nfld", "-o", "x.npy", "--allow-truncated", "--resolution", "8", "--quiet"]) == 0
    err = capsys.readouterr().err
    assert len(lines(err)) == 1 and "cut short" in err and np.load("x.npy").shape == (8, 8, 3)


# ---- errors, warnings, interruption


@pytest.mark.parametrize(
    "args, code, words",
    [
        (["encode"], 2, "Missing argument"),
        (["encode", "missing.png"], 2, "no such file"),
        (["encode", "a.xyz"], 2, "suffix"),
        (["encode", "a.png", "b.nfld"], 2, "already"),
        (["encode", "a.png", "--size", "1KB", "--psnr", "30"], 2, "--psnr and --size"),
        (["encode", "a.png", "--size", "nonsense"], 2, "expected bytes"),
        (["encode", "a.png", "--effort", "0"], 2, "effort"),
        (["encode", "a.png", "--quality", "high"], 2, "quality"),
        (["encode", "-"], 2, "stdin"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_usage_errors_are_one_line(here, capsys, args, code, words):
    (here / "a.xyz").touch()
    assert_refused(capsys, args, code, words)


def test_bad_signals_are_one_line(here, capsys):
    np.save("nan.npy", np.full((4, 5, 6), np.nan, np.float32))
    np.save("empty.npy", np.zeros((0, 5, 6), np.float32))
    (here / "empty.obj").write_text("v 0 0 0\n")
    for name in ("nan.npy", "empty.npy", "empty.obj"):
        assert_refused(capsys, ["encode", name], 2, name)
    assert not list(here.glob("*.nfld"))


def test_a_fault_shows_no_traceback_unless_asked(made, here, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(nfcodec, "open", fail)
    monkeypatch.delenv("NFCODEC_DEBUG", raising=False)
    assert_refused(capsys, ["info", made / "photo.nfld"], 70, "ZeroDivisionError: two lines", "NFCODEC_DEBUG=1")
    monkeypatch.setenv("NFCODEC_DEBUG", "1")
    assert main(["info", "x"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes_of_exceptions():
    codes = [console.explain(e)[1] for e in (SignalError("a"), ChecksumError("b"), KeyboardInterrupt(), click.Abort(), MemoryError(), OSError(28, "No space"))]
    assert codes == [2, 3, 130, 130, 70, 2]


def test_warnings_are_one_line_once(made, monkeypatch, capsys):
    def warn(*args, **kwargs):
        for message in ("mind\nthe gap", "mind\nthe gap"):
            warnings.warn(message, stacklevel=2)
        warnings.warn("deprecated by somebody", DeprecationWarning, stacklevel=2)
        raise UsageError("stop")

    monkeypatch.setattr(nfcodec, "open", warn)
    console._warned.clear()
    assert main(["info", "x"]) == 2
    assert lines(capsys.readouterr().err) == ["nfcodec: warning: mind the gap", "nfcodec: x: stop"]


def test_json_is_strict(capsys):
    console.print_json({"a": float("inf"), "b": [float("nan"), 1.5], "c": {"d": -float("inf")}})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5], "c": {"d": None}}


def test_interrupting_leaves_no_file(made, here, monkeypatch, capsys):
    monkeypatch.setattr(console.Progress, "__call__", lambda self, status: signal.raise_signal(signal.SIGINT))
    assert_refused(capsys, ["encode", made / "photo.png", made / "scan.npy", "--out-dir", "out"], 130, "interrupted")
    assert os.listdir("out") == []


# ---- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def status(fraction):
    from nfcodec.fit.goals import Status

    return Status("fit", fraction, 3.0, 12.4, 41.2, 58000)


def test_progress_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = console.Progress("bunny.obj")
    progress(status(0.25))
    progress(status(0.26))  # too soon to be drawn
    progress.close()
    drawn = terminal.getvalue().split("\r")
    assert drawn[1] == "bunny.obj: fit [#####---------------]  25%  41.20 dB  58 KB  12 s left"
    assert len(drawn) == 4 and drawn[2].strip() == "" and drawn[3] == ""


def test_progress_elsewhere_is_a_line_now_and_then(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    progress, quiet = console.Progress("a"), console.Progress("a", quiet=True)
    for now[0] in (101.0, 109.0, 111.0, 112.0, 122.0):
        progress(status(0.5))
        quiet(status(0.5))
    progress.close()
    assert len(lines(capsys.readouterr().err)) == 2


def test_the_doctor_command_is_the_one_that_is_registered():
    assert commands.commands["doctor"] is doctor
