"""Numbers of grids: what was asked for is what files hold, in every structure; what cannot be is refused before a fit."""

import csv
import json
import math

import numpy as np
import pytest
from surfaces import sphere

import nfcodec
from nfcodec import cli
from nfcodec.cli.values import CHOICES
from nfcodec.encodings import checked, load
from nfcodec.errors import UsageError
from nfcodec.limits import MAX_LEVELS
from nfcodec.pack import pack
from nfcodec.spec import GRID_ENCODINGS, SCATTERED, Signal

pytest.importorskip("torch", reason="fitting needs torch")

from nfcodec.fit import presets  # noqa: E402
from nfcodec.fit.build import build  # noqa: E402
from nfcodec.fit.levels import coarser  # noqa: E402
from nfcodec.fit.source import from_lattice  # noqa: E402
from nfcodec.fit.train import Recipe  # noqa: E402
from nfcodec.study import members_of  # noqa: E402


def picture(height=40, width=30, channels=1):
    y, x = np.mgrid[:height, :width] / width
    waves = [np.sin(9 * x + 4 * y * y), np.cos(7 * y), x * y]
    return Signal("image", np.stack([127 + 100 * w for w in waves[:channels]], -1).astype(np.uint8))


def volume(*extent):
    z, y, x = np.meshgrid(*((np.arange(n) + 0.5) / n for n in extent), indexing="ij")
    values = np.sqrt((z - 0.5) ** 2 + (y - 0.5) ** 2 + (x - 0.4) ** 2) - 0.3 + 0.02 * np.sin(20 * x * y)
    return Signal("volume", values.astype(np.float32)[..., None])


SIGNALS = {"image": picture(), "colour": picture(channels=3), "volume": volume(20, 16, 12)}


def preset_of(text, signal="image", lmbda=1e-3):
    return presets.choose(from_lattice(SIGNALS[signal]), lmbda, text, 5)


def grid_of(text, signal="image", lmbda=1e-3):
    return preset_of(text, signal, lmbda).grid


def longest(text, signal="image"):
    return [max(resolution) for resolution in grid_of(text, signal).resolutions]


# ---------------------------------------------------------------- what is asked for


@pytest.mark.parametrize("text, expected", [
    ("dense", [10, 20, 40]), ("dense:n_levels=1", [40]), ("dense:n_levels=2", [20, 40]), ("dense:n_levels=7", [1, 2, 3, 5, 10, 20, 40]),
    ("dense:finest=24", [12, 24]), ("dense:finest=80", [10, 20, 40, 80]), ("dense:finest=24,n_levels=3", [6, 12, 24]),
    ("hash:coarsest=5", [5, 10, 20, 40]), ("hash:coarsest=7", [7, 12, 22, 40]), ("hash:coarsest=40", [40]),
    ("hash:coarsest=9,n_levels=3,finest=36", [9, 18, 36]), ("cp", [10, 20, 40]), ("cp:n_levels=5", [3, 5, 10, 20, 40]),
    ("cp:coarsest=4", [4, 12, 40]), ("vm:finest=10", [10]), ("points:n_levels=2", [20, 40]), ("codebook:coarsest=20", [20, 40]),
])  # fmt: skip
def test_vertices_of_the_longest_axis(text, expected):
    assert longest(text) == expected


@pytest.mark.parametrize("coarsest, finest, n_levels", [(16, 256, 16), (16, 512, 16), (16, 2048, 16), (5, 40, 9), (3, 41, 2), (7, 7, 3)])
def test_levels_grow_as_instant_ngps(coarsest, finest, n_levels):
    """Mueller et al. 2022, equations 2 and 3: floor(N_min b^l) with b = exp((ln N_max - ln N_min) / (L - 1))."""
    found = longest(f"hash:n_levels={n_levels},coarsest={coarsest},finest={finest}")
    assert found[0] == coarsest and found[-1] == finest
    for level, n in enumerate(found):
        exact = coarsest * math.exp((math.log(finest) - math.log(coarsest)) / (n_levels - 1) * level)
        assert n == math.floor(exact + 1e-9)  # which the logarithms miss by less


def test_other_axes_follow_the_longest():
    assert grid_of("hash:n_levels=3,coarsest=8,finest=32").resolutions == ((8, 6), (16, 12), (32, 24))
    assert grid_of("dense:finest=60,n_levels=2", "volume").resolutions == ((30, 24, 18), (60, 48, 36))
    assert grid_of("dense:n_levels=3", "volume").resolutions[-1] in ((20, 16, 12), (10, 8, 6))


def test_features_are_those_asked_for_and_else_follow_the_signal():
    assert grid_of("dense", "colour").n_features == (3, 1, 1)
    assert grid_of("dense:n_levels=1", "colour").n_features == (3,)
    assert grid_of("dense:finest=10", "colour").n_features == (3,)  # colour is kept at a quarter of the resolution
    assert grid_of("dense:finest=20,n_levels=2", "colour").n_features == (3, 1)
    assert grid_of("dense:n_features=2", "colour").n_features == (2, 2, 2)
    assert grid_of("cp:n_features=5").n_features == (5, 5, 5) and grid_of("cp").n_features == (16, 16, 16)
    assert grid_of("mesh:n_features=4", "volume").n_features == (4,) * grid_of("mesh", "volume").n_levels


def test_sizes_are_powers_of_two():
    assert grid_of("hash:log2_size=9").log2_size == 9 and grid_of("hash").log2_size == 14
    assert grid_of("codebook:log2_size=3").log2_size == 3
    for n, log2_size in ((1, 0), (2, 1), (200, 8), (256, 8), (257, 9), (65536, 16)):
        assert grid_of(f"points:n_points={n}").log2_size == log2_size
    assert grid_of("mesh:n_vertices=4", "volume").log2_size == 2


def test_features_around_are_of_levels_as_fine_as_the_picture():
    assert presets.choose(from_lattice(picture(96, 96)), 1e-3, "dense:n_levels=3", 5).grid.n_surrounded == 2
    assert presets.choose(from_lattice(picture(96, 96)), 1e-3, "dense:n_levels=3,finest=80", 5).grid.n_surrounded == 0


def test_steps_follow_how_many_samples_share_a_vertex():
    source, ratio = from_lattice(SIGNALS["image"]), preset_of("dense").step_ratio
    usual = build(source, preset_of("dense")).model.spec.steps
    for name in ("dense", "identity+dense"):
        plain, coarse, fine = (build(source, preset_of(f"{name}:finest={n}")).model.spec.steps for n in (40, 20, 80))
        assert plain[-len(usual) :] == usual
        assert coarse[-1] == pytest.approx(usual[-1] * ratio, rel=0.01) and fine[-1] == pytest.approx(usual[-1] / ratio, rel=0.01)
    hash_steps = build(source, preset_of("dense:n_levels=1+hash:finest=20")).model.spec.steps
    assert hash_steps[-1] == pytest.approx(usual[-1] * ratio, rel=0.01)
    assert coarser(grid_of("dense")) == [2.0, 1.0, 0.0]
    assert coarser(grid_of("hash:n_levels=9,coarsest=160,finest=640")) == pytest.approx([2 - k / 4 for k in range(9)], abs=0.01)


# ---------------------------------------------------------------- what files hold


NUMBERS = {"n_levels": 2, "n_features": 2, "coarsest": 5, "finest": 9, "log2_size": 4, "n_points": 30, "n_vertices": 30}
ASKED = [
    (name, part)
    for name in GRID_ENCODINGS
    for numbers in [[p.name for p in load(name).parameters]]
    for part in [*([number] for number in numbers), numbers]
]


def text_of(name, numbers):
    return f"{name}:{','.join(f'{number}={NUMBERS[number]}' for number in numbers)}"


def assert_holds(field, name, numbers):
    """What a file has of a structure is what NUMBERS says."""
    part = next(part for part in field.spec.grid.parts if part.encoding == name)
    found = {
        "n_levels": part.n_levels,
        "n_features": set(part.n_features),
        "coarsest": max(part.resolutions[0]),
        "finest": max(part.resolutions[-1]),
        "log2_size": part.log2_size,
    }
    for number in numbers:
        if number == "n_features":
            assert found[number] == {NUMBERS[number]}
        elif number in ("n_points", "n_vertices"):
            assert part.log2_size == 5
            counts = [len(level["positions"]) for level in field.grid.levels]
            rooms = [math.prod(resolution) for resolution in part.resolutions]
            if number == "n_points":
                assert counts == [min(NUMBERS[number], room) for room in rooms]
            else:
                assert max(counts) <= NUMBERS[number] and min(counts) >= 4
        else:
            assert found[number] == NUMBERS[number], number
    if {"log2_size", "n_points", "n_vertices"}.isdisjoint(numbers):
        usual = preset_of(name, "volume" if 3 in load(name).dims else "image").grid
        assert found["log2_size"] == usual.log2_size


@pytest.mark.parametrize("name, numbers", ASKED, ids=lambda x: x if isinstance(x, str) else "+".join(x))
def test_files_hold_what_was_asked(name, numbers):
    source = from_lattice(SIGNALS["volume"])
    fit = build(source, presets.choose(source, 1e-3, text_of(name, numbers), 5))
    fit.run(Recipe(n_steps=2, lmbda=1e-3))
    fit.model.eval()
    field = nfcodec.open(pack(fit.model.spec, fit.model.freeze()))
    assert_holds(field, name, numbers)
    assert np.isfinite(field.decode(scale=0.5)).all()


@pytest.mark.parametrize("name", GRID_ENCODINGS)
def test_whole_encodes_hold_what_was_asked(name):
    numbers = [p.name for p in load(name).parameters]
    found = nfcodec.encode(SIGNALS["volume"], encoding=text_of(name, numbers), effort=1)
    field = nfcodec.open(found.data)
    assert_holds(field, name, numbers)
    decoded = field.decode().astype(np.float64)
    peak = np.ptp(SIGNALS["volume"].values)
    error = np.square(decoded - SIGNALS["volume"].values).mean()
    assert 10 * math.log10(peak**2 / error) == pytest.approx(found.report.psnr_db, abs=0.1)
    assert found.report.psnr_db > 8


@pytest.mark.parametrize("target", [dict(size=900), dict(quality=70)], ids=str)
def test_numbers_stay_while_quality_moves(target):
    text = "dense:n_levels=3,n_features=2,coarsest=6,finest=29"
    field = nfcodec.open(nfcodec.encode(SIGNALS["image"], encoding=text, effort=1, **target).data)
    assert field.spec.grid.resolutions == ((6, 5), (13, 10), (29, 22)) and field.spec.grid.n_features == (2, 2, 2)


def test_numbers_of_surfaces():
    field = nfcodec.open(nfcodec.encode(sphere(2), encoding="dense:n_levels=2,finest=13", effort=1).data)
    assert [max(resolution) for resolution in field.spec.grid.resolutions] == [7, 13]
    assert max(field.spec.extent) == 32 and field.spec.grid.n_features == (1, 1)
    mesh = field.to_mesh(32)
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1).max() < 0.1


def test_a_surface_is_sampled_as_finely_as_its_levels():
    for quality in (0, 100):
        assert presets.surface_resolution(quality, 5, finest=100) == 224 and presets.surface_resolution(quality, 1, finest=96) == 192
    assert presets.surface_resolution(0, 1, finest=4000) == presets.surface_resolution(200, 5)


def test_numbers_of_encodings_side_by_side():
    text = "dense:n_levels=2,n_features=2+frequency:n_frequencies=6+points:n_points=20,n_levels=1"
    field = nfcodec.open(nfcodec.encode(SIGNALS["image"], encoding=text, effort=1).data)
    dense, frequency, points = field.spec.grid.parts
    assert (dense.n_levels, dense.n_features, frequency.parameters, points.n_levels) == (2, (2, 2), (6,), 1)
    assert len(field.grid.levels[-1]["positions"]) == 20


@pytest.mark.parametrize("name", ["dense", "hash", "codebook"])
def test_features_beyond_the_channels_come_to_be_used(name):
    """They start as nothing: the network has to find a use for them."""
    source = from_lattice(picture(48, 48))
    fit = build(source, presets.choose(source, 1e-5, f"{name}:n_features=3,n_levels=1,finest=9", 5, network=(16, 2)))
    values = fit.model.grid.theta[0].detach().numpy()
    assert values.shape[1] == 3 and not values[:, 1:].any() and values[:, 0].any()
    fit.run(Recipe(n_steps=150, lmbda=1e-5))
    frozen = fit.model.eval().freeze()
    field = nfcodec.open(pack(fit.model.spec, frozen))
    found = field.grid.vertices(0, list(np.ix_(range(9), range(9))))
    assert (np.abs(found).max((0, 1)) > 0).all()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("text, words", [
    ("dense:n_levels=0", "n_levels 0.*integer from 1 to 32"), ("dense:n_levels=2.5", "integer"), ("dense:n_levels=nan", "integer"),
    (f"hash:n_levels={MAX_LEVELS + 1}", "1 to 32"), ("dense:n_features=17", "1 to 16"), ("dense:finest=4194305", "1 to 4194304"),
    ("dense:log2_size=5", "got log2_size, expected n_levels, n_features, coarsest, finest"), ("hash:log2_size=25", "1 to 24"),
    ("codebook:log2_size=13", "1 to 12"), ("points:n_points=65537", "1 to 65536"), ("mesh:n_vertices=3", "4 to 16384"),
    ("points:log2_size=5", "n_points"), ("dense:levels=3", "n_levels"), ("dense:n_levels", "such as"), ("cp:n_points=4", "expected n_levels"),
])  # fmt: skip
def test_numbers_that_no_file_has(text, words):
    with pytest.raises(UsageError, match=words):
        checked(text)
    with pytest.raises(UsageError, match=words):  # before the source is read
        nfcodec.encode("absent.png", encoding=text)


@pytest.mark.parametrize("text, words", [
    ("dense:n_levels=8", "n_levels 8, expected 1 to 7.*coarsest"), ("hash:coarsest=41", "coarsest 41, expected at most the finest, which is 40"),
    ("hash:finest=20,coarsest=21", "which is 20"), ("dense:n_levels=1,coarsest=8", "2 levels or more"), ("cp:n_levels=7,finest=9", "1 to 5"),
    ("dense:finest=40000", "expected at most 134,217,728: lower finest"), ("hash:finest=20000", "expected at most 134,217,728"),
    ("vm:finest=20000", "features over all"), ("hash:n_levels=32,coarsest=3+identity", "33 levels of all"),
    ("dense:n_levels=20,coarsest=2+hash:n_levels=13,coarsest=2", "33 levels of all"),
])  # fmt: skip
def test_numbers_that_do_not_go_together(text, words):
    with pytest.raises(UsageError, match=words) as error:
        preset_of(text)
    assert "\n" not in str(error.value)


def test_the_command_says_what_it_expected(tmp_path, capsys):
    np.save(tmp_path / "v.npy", SIGNALS["volume"].values[..., 0])
    arguments = ["encode", str(tmp_path / "v.npy"), "--effort", "1", "--quiet"]
    assert cli.main([*arguments, "--encoding", "triplane:n_levels=9"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "expected 1 to" in err and not (tmp_path / "v.nfld").exists()
    assert cli.main([*arguments, "--encoding", "triplane:n_levels=2,n_features=2"]) == 0
    assert cli.main(["info", str(tmp_path / "v.nfld")]) == 0
    out = capsys.readouterr().out
    assert out.count("2 features") == 2 and "level 1" in out and "level 2" not in out


# ---------------------------------------------------------------- studies


def test_lists_of_names_with_numbers():
    for text in (
        "dense:n_levels=1,dense", "dense,dense:n_levels=5,n_features=2,hash", "dense:n_levels=2,n_features=1+frequency:n_frequencies=6,hash",
        "hash:n_levels=2,n_features=1+identity,points:n_points=9", "dense:n_levels=2+random-fourier:sigma=2,n_frequencies=3",
    ):  # fmt: skip
        found = CHOICES.convert(text, None, None)
        assert ",".join(found) == text
        assert [member.encoding for member in members_of(found, [], "identity")] == list(found)
    assert len(CHOICES.convert("dense:n_levels=2,n_features=1+frequency:n_frequencies=6,hash", None, None)) == 2


def test_a_study_tells_two_of_a_structure_apart(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    Image = pytest.importorskip("PIL.Image", reason="images need pillow")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(20, 20).values[..., 0]).save("p.png")
    names = ["dense:n_levels=1", "dense:n_levels=2,n_features=3", "dense"]
    arguments = ["study", "p.png", "--encodings", ",".join(names), "--activations", "", "--effort", "1", "--bytes", "100"]
    arguments += ["--cache", "kept", "--quiet"]
    assert cli.main([*arguments, "--csv", "s.csv", "--html", "s.html"]) == 0
    first = capsys.readouterr().out
    with open("s.csv") as file:
        assert [row["encoding"] for row in csv.DictReader(file)] == names
    page = open("s.html").read()
    for name in names:
        assert name in first and page.count(name) >= 3
    assert cli.main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["encoding"] for row in rows] == names
    assert len({row["psnr_db"] for row in rows}) == 3  # of what was kept none is taken for another


def test_scattered_structures_and_factors_have_their_own_numbers():
    assert {name for name in GRID_ENCODINGS if "log2_size" in {p.name for p in load(name).parameters}} == {"hash", "codebook"}
    assert [load(name).parameters[-1].name for name in SCATTERED] == ["n_points", "n_vertices"]
