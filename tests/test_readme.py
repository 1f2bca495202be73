"""What README.md promises: its examples run, its commands install what they use, its figures were measured."""

import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(info):
    """The contents of the fenced blocks with this info string."""
    return re.findall(rf"^```{info}\n(.*?)^```$", README, re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the inputs that the examples name."""
    from surfaces import sphere

    Image = pytest.importorskip("PIL.Image", reason="images need pillow")
    pytest.importorskip("trimesh", reason="meshes need trimesh")
    from nfcodec import io

    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[0:24, 0:36]
    Image.fromarray(np.stack([7 * x, 10 * y, 4 * (x + y)], -1).astype(np.uint8)).save("photo.png")
    z, y, x = np.mgrid[0:12, 0:14, 0:16]
    np.save("scan.npy", (np.sin(z / 3) + np.cos(x / 4) * y).astype(np.float32))
    io.write_mesh("scene.obj", sphere(2))
    os.mkdir("photos")
    Image.open("photo.png").save("photos/one.png")
    monkeypatch.setenv("NFCODEC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_commands_run(folder):
    pytest.importorskip("torch", reason="encoding needs torch")
    from nfcodec.cli import main

    (block,) = blocks("sh run")
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(commands) > 5
    for command in commands:
        assert command[0] == "nfcodec"
        arguments = command[1:]
        if arguments[0] == "encode":
            # so that it takes seconds here
            arguments += ["--effort", "1", *([] if {"--size", "--lossless"} & set(arguments) else ["--quality", "20"])]
        if arguments[0] == "study":
            arguments += ["--encodings", "dense,frequency", "--activations", "relu"]
        if arguments[0] in ("compare", "study"):
            if "--html" in arguments:
                pytest.importorskip("matplotlib", reason="reports need matplotlib")
            arguments += ["--effort", "1", "--quality", "20"]
        assert main(arguments) == 0, shlex.join(command)
    assert os.path.getsize("small.nfld") <= 2000
    for output in ("scene.nfld", "scene.glb", "large.png", "part.png", "scan.nrrd", "back/photo.png", "back/scan.npy", "report.html", "scan.csv", "study.html"):
        assert os.path.getsize(output) > 0, output


def test_the_python_examples_run(folder):
    pytest.importorskip("torch", reason="encoding needs torch")
    examples = blocks("python run")
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})


def test_every_block_is_run_or_is_an_installation():
    assert set(re.findall(r"^```(.+)$", README, re.M)) == {"sh", "sh run", "sh test", "python run"}
    assert len(blocks("sh")) == len(blocks("sh test")) == 1


def test_the_installations_name_what_exists():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for block in blocks("sh") + blocks("sh test"):
        assert "-c constraints.txt" in block
        for name in re.search(r'\.\[([\w,]+)\]', block)[1].split(","):
            assert name in extras
    (demo,) = re.findall(r"tools/\w+\.py", blocks("sh")[0])
    assert (ROOT / demo).is_file()
    # CI runs the very block that people are told to run
    assert "```sh test" in (ROOT / ".ci" / "run").read_text()


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_constraints_fit_the_requirements():
    packaging = pytest.importorskip("packaging.requirements", reason="needs packaging")
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(row for rows in project["optional-dependencies"].values() for row in rows)]
    wanted = {r.name: r.specifier for r in map(packaging.Requirement, wanted) if r.name != "nfcodec"}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if re.match(r"\w", line)]
    pinned = list(map(packaging.Requirement, lines))
    assert set(wanted) <= {r.name for r in pinned}
    for requirement in pinned:
        (pin,) = requirement.specifier
        assert pin.operator == "==" and wanted.get(requirement.name, requirement.specifier).contains(pin.version), requirement


def numbers(text):
    return re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", text)


def figures():
    return re.search(r"<!-- figures.*?-->\n(.*?)<!-- end of figures -->", README, re.S)[1]


def test_the_figures_were_measured():
    rows = [row for row in figures().strip().splitlines() if row.startswith("|")][2:]
    if not rows:
        pytest.skip("the table of figures in README.md has no rows yet")
    measured = set(numbers((ROOT / "results" / "readme.tsv").read_text()))
    for row in rows:
        # names of signals and files, in backticks, may have digits of their own
        for number in numbers(re.sub(r"`[^`]*`", "", row)):
            assert number in measured, f"{number} in {row!r} is not in results/readme.tsv"


@pytest.mark.slow
def test_the_demo_runs(tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch", reason="encoding needs torch")
    pytest.importorskip("nrrd", reason="the demo writes NRRD")
    monkeypatch.chdir(tmp_path)
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from make_demo import demo
    finally:
        sys.path.remove(str(ROOT / "tools"))
    assert demo(tmp_path / "demo") == 0
    made = set(os.listdir(tmp_path / "demo"))
    assert {"knot.nfld", "knot-160.ply", "hills-2.5x.png", "shells-100.nrrd"} <= made


def test_the_table_of_the_study_is_that_of_its_rows(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import study_table

    assert (ROOT / "results" / "study.md").read_text() == study_table.table(ROOT / "results" / "study.tsv")
