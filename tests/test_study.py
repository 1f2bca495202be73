"""Studies: spectra by closed forms, the search for a size, what watching changes (nothing), what is kept, and the command."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from surfaces import sphere

import nfcodec
from nfcodec import cli
from nfcodec.cli.values import CHOICES
from nfcodec.compare.store import Store
from nfcodec.errors import UsageError
from nfcodec.spec import ACTIVATIONS, COORDINATE_ENCODINGS, GRID_ENCODINGS, Signal

pytest.importorskip("torch", reason="encoding needs torch")

from nfcodec.measure import Report
from nfcodec.study import charts, members_of, report, run, study, table
from nfcodec.study.members import Member
from nfcodec.study.rows import Course, Moment, Row, Study
from nfcodec.study.spectrum import bands_missing, radial_power
from nfcodec.study.watch import Watch, moments_of


def picture(n=24):
    y, x = np.mgrid[0:n, 0:n] / n
    waves = [np.sin(5 * x + 2 * y) + 0.3 * np.sin(40 * x), np.cos(4 * y), x * y]
    return Signal("image", np.stack([128 + 50 * w for w in waves], -1).astype(np.uint8))


# ---------------------------------------------------------------- spectra


@pytest.mark.parametrize("shape", [(17, 3), (24, 31, 1), (9, 12, 10, 2), (1, 1, 1)])
def test_power_of_all_rings_is_the_mean_square(shape):
    values = np.random.default_rng(0).normal(1, 2, shape)
    frequencies, power, counts = radial_power(values)
    assert sum(power) == pytest.approx(np.square(values).mean())
    assert sum(counts) == math.prod(shape[:-1])
    assert frequencies == sorted(frequencies)


def test_a_wave_is_in_the_ring_of_its_frequency():
    n, k = 64, 16  # k half cycles over n samples: a quarter of Nyquist's frequency
    wave = np.cos(np.pi * k * (np.arange(n) + 0.5) / n)
    frequencies, power, _ = radial_power(np.broadcast_to(wave[:, None, None], (n, n, 1)))
    ring = int(np.argmax(power))
    assert power[ring] == pytest.approx(0.5)
    assert frequencies[ring] / 2**0.25 == pytest.approx(k / n)  # the ring begins there


def test_noise_has_the_same_power_at_every_frequency():
    _, power, counts = radial_power(np.random.default_rng(1).normal(0, 1, (256, 256, 1)))
    density = np.array(power) / np.array(counts) * 256**2
    assert np.allclose(density[np.array(counts) > 500], 1, atol=0.1)


def test_what_is_missing_by_bands():
    found = bands_missing([0.1, 0.3, 0.9], [1.0, 2.0, 0.5], [10.0, 4.0, 0.0])
    assert found == {"low": pytest.approx(0.1), "middle": pytest.approx(0.5), "high": None}


# ---------------------------------------------------------------- members, moments, sizes


def test_members_are_grouped_and_each_once():
    found = members_of(["frequency", "dense", "dense+frequency", "dense"], ["sine", "relu"], "frequency")
    assert [(m.group, m.name) for m in found] == [
        ("structure", "dense"), ("structure", "dense+frequency"), ("encoding", "frequency"),
        ("activation", "sine"), ("activation", "relu"),
    ]  # fmt: skip
    assert found[3].encoding == "frequency" and found[2].activation == "relu"
    assert members_of(["identity"], [], "identity")[0].activation == "sine"


def test_all_are_all():
    found = members_of(["all"], ["all"], "identity")
    assert {m.name for m in found if m.group == "structure"} == set(GRID_ENCODINGS)
    assert {m.name for m in found if m.group == "encoding"} == set(COORDINATE_ENCODINGS)
    assert {m.name for m in found if m.group == "activation"} == set(ACTIVATIONS)


BAD = "nonsense", "dense:nonsense=1", "frequency:nonsense=1", "dense+frequency:nonsense=1"


@pytest.mark.parametrize("names", [
    *(([bad], [], "identity") for bad in BAD), *(([], ["sine"], bad) for bad in BAD),
    ([], ["nonsense"], "identity"), ([], ["sine:nonsense=1"], "identity"),
])  # fmt: skip
def test_unknown_names_and_numbers_are_refused(names):
    with pytest.raises(UsageError, match="got '?nonsense"):
        members_of(*names)


@pytest.mark.parametrize("n_steps", [1, 2, 30, 5000])
def test_moments_begin_with_the_first_step_and_end_with_the_last(n_steps):
    found = moments_of(n_steps)
    assert found[0] == 1 and found[-1] == n_steps and len(found) <= 14 and found == sorted(set(found))


@pytest.mark.parametrize("first", [0.0, 20.0, 50.0, 100.0])
@pytest.mark.parametrize("slope", [0.02, 0.05, 0.11])
def test_the_search_for_a_size_ends_near_it(first, slope):
    tried, quality = {}, first
    while quality is not None:
        tried[quality] = slope * (quality - 40) + 0.2 * math.sin(quality / 15)
        quality = run.next_quality(tried)
    assert min(map(abs, tried.values())) <= 0.03 and len(tried) <= 7


def test_the_search_ends_where_sizes_leap_and_at_the_ends():
    tried, quality = {}, 50.0
    while quality is not None:
        tried[quality] = -0.5 if quality < 43.21 else 0.4
        quality = run.next_quality(tried)
    assert len(tried) == 7 and min(tried, key=lambda q: abs(tried[q])) >= 43.21
    assert run.next_quality({100.0: -0.7, 90.0: -0.9}) is None
    assert run.next_quality({0.0: 0.7}) is None


# ---------------------------------------------------------------- watching


@pytest.mark.parametrize("encoding", ["dense", "frequency"])
def test_watching_changes_nothing_and_sees_what_is_decoded(encoding):
    settings = dict(encoding=encoding, effort=2, quality=60)
    watch = Watch(None)
    watched = nfcodec.encode(picture(), **settings, on_step=watch)
    assert watched.data == nfcodec.encode(picture(), **settings).data
    course = watch.course()
    assert course.moments[-1].psnr_db == pytest.approx(watched.report.psnr_db, abs=0.3)  # of 8 bits, and clipped
    for moment in course.moments:  # the mean square, whichever way
        assert sum(moment.power) == pytest.approx(10 ** (-moment.psnr_db / 10), rel=1e-5)
    assert course.moments[0].psnr_db < course.moments[-1].psnr_db


def test_the_course_is_that_of_the_start_that_was_finished():
    from nfcodec.fit import race
    from nfcodec.fit.build import build
    from nfcodec.fit.presets import choose
    from nfcodec.fit.source import from_lattice
    from nfcodec.fit.train import Recipe

    source = from_lattice(picture())
    fits = [build(source, choose(source, 1e-3, "dense", 1), from_nothing=nothing) for nothing in (False, True)]
    watch, recipe = Watch(None), Recipe(n_steps=40)
    winner, _ = race.run(fits, recipe, watch=watch)
    moments = watch.course().moments
    assert moments[-1].step == 40
    # its last step is the model's last state
    watch_again = Watch(None)
    from nfcodec.fit.train import Progress

    watch_again(winner, Progress(40, 40, 0.0, 0.0, 0.0, 1e-3))
    assert watch_again.course().moments[0].psnr_db == pytest.approx(moments[-1].psnr_db, abs=1e-6)


def test_low_frequencies_come_first():
    n = 48
    y, x = np.mgrid[0:n, 0:n] / n
    values = 128 + 40 * np.sin(4 * x + 3 * y) + 40 * np.sin(110 * x)
    watch = Watch(None)
    nfcodec.encode(
        Signal("image", values[..., None].astype(np.uint8)), encoding="identity", activation="relu", network="32x3",
        effort=3, quality=60, on_step=watch,
    )  # fmt: skip
    missing = watch.course().missing(watch.course().moments[-1])
    assert missing["low"] < 0.2 and missing["high"] > 0.7


# ---------------------------------------------------------------- studies


def test_sizes_are_matched_and_what_does_not_suit_is_named():
    found = study(picture(), encodings=["dense", "hash", "kplanes"], activations=["sine"], quality=50, effort=1)
    assert [row.member.name for row in found.rows] == ["dense", "hash", "sine"]
    assert found.excess(found.rows[0]) == 0
    assert all(abs(found.excess(row)) < 0.12 for row in found.rows)
    assert [(s.codec, "expected 3 or 4" in s.why) for s in found.skipped] == [("structure kplanes", True)]
    assert found.rows[0].report.psnr_db > found.rows[2].report.psnr_db
    text = "\n".join(table.as_lines(found))
    assert "Best at" in text and "without structure kplanes" in text


def test_a_constant_has_no_power_that_could_be_missing():
    values = np.full((9, 8, 3), 13, np.uint8)
    found = study(Signal("image", values), encodings=["dense"], activations=[], effort=1)
    (row,) = found.rows
    assert set(row.course.missing(row.course.moments[-1]).values()) == {None}
    assert charts.limits_of([row.course])[1] <= 0  # of the peak
    assert "Best at" in report.html(found)


def fake(db, *members):
    """A study of fields of these decibels, by names of members."""
    rows = [
        Row(member, 50.0, 100, Report(psnr, 0.0, None), (16, 2), 9, 1.0, 1.0, Course((0.5,), (4,), (1.0,), (Moment(9, 1.0, psnr, (0.0,)),)))
        for psnr, member in zip(db, members)
    ]  # fmt: skip
    return Study("photo", picture(), 1000, 100, tuple(rows), (), "", {})


def test_who_wins_and_by_how_much():
    dense, hashed = (Member("structure", name, "relu") for name in ("dense", "hash"))
    identity, sine, relu = Member("encoding", "identity", "sine"), *(Member("activation", "identity", name) for name in ("sine", "relu"))
    first = [table.sentences(fake(db, dense, hashed, identity, sine, relu))[0] for db in (
        (30.0, 32.26, 20.0, 21.0, 22.0), (32.0, 32.05, 1.0, 2.0, 31.99), (3.0, 4.0, 30.0, 30.02, 22.5), (math.inf, 9.0, 2.0, 2.0, 2.0), (math.inf, math.inf, 2.0, 2.0, 2.0),
    )]  # fmt: skip
    assert first[0] == "Best at 100 B: hash, 32.26 dB, 2.3 dB before dense."
    assert first[1] == "Best at 100 B: hash, 32.05 dB, level with dense, relu on identity."
    assert first[2] == "Best at 100 B: sine on identity, 30.02 dB, 7.5 dB before relu on identity."  # the same twice is once
    assert first[3] == "Best at 100 B: dense, no error." and first[4] == "Best at 100 B: dense, no error, level with hash."
    assert table.missing_text(0.95) == "0 dB" and table.missing_text(0.0) == "-inf dB" and table.missing_text(None) == ""


def test_a_field_that_begins_far_off_does_not_press_the_others_flat():
    counts = (9,) * 12
    usual = Course(tuple(np.geomspace(0.01, 1, 12)), counts, (1.0,) * 12, tuple(Moment(k, 1.0, 9.0, (0.1,) * 12) for k in range(40)))
    wild = Course(usual.frequencies, counts, usual.signal, (Moment(1, 1.0, 0.0, (1e9,) + (0.1,) * 11), *usual.moments[:1]))
    assert charts.limits_of([usual] * 9 + [wild]) == charts.limits_of([usual]) == (-10, 0)


def test_a_surface_is_studied_near_itself():
    found = study(Signal("sdf", mesh=sphere(2)), encodings=["dense"], activations=[], quality=0, effort=1)
    (row,) = found.rows
    last = row.course.moments[-1]
    assert found.is_surface and row.report.rms < 0.02
    # not the same error: of distances on a lattice here, of a mesh there
    assert last.psnr_db == pytest.approx(row.report.psnr_db, abs=12)
    assert "RMS" in "\n".join(table.as_lines(found))


def settings_of(store):
    return dict(encodings=["dense", "identity"], activations=[], size=600, effort=1, store=store)


def test_a_second_run_fits_nothing(tmp_path, monkeypatch):
    first = study(picture(), **settings_of(Store(tmp_path)))
    monkeypatch.setattr(run, "encode", lambda *args, **kwargs: pytest.fail("fitted again"))
    second = study(picture(), **settings_of(Store(tmp_path)))
    assert second.rows == first.rows


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    own, names = run.encode, []

    def encode(*args, encoding, **kwargs):
        names.append(encoding)
        if encoding == "identity" and names.count("identity") == 1:
            raise KeyboardInterrupt
        return own(*args, encoding=encoding, **kwargs)

    monkeypatch.setattr(run, "encode", encode)
    first = study(picture(), **settings_of(Store(tmp_path)))
    assert first.unfinished == "interrupted" and [row.member.name for row in first.rows] == ["dense"]
    assert "goes on from here" in table.as_lines(first)[-1]
    n_dense = names.count("dense")
    second = study(picture(), **settings_of(Store(tmp_path)))
    assert not second.unfinished and len(second.rows) == 2
    assert names.count("dense") == n_dense


def test_time_that_is_over_ends_it():
    found = study(picture(), encodings=["dense"], activations=[], effort=1, time_limit=1e-6)
    assert found.unfinished == "time limit" and not found.rows


# ---------------------------------------------------------------- command


@pytest.fixture
def photo(tmp_path, monkeypatch):
    Image = pytest.importorskip("PIL.Image", reason="images need pillow")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture().values).save("<photo>.png")
    return "<photo>.png"


ARGUMENTS = ["--encodings", "dense,random-fourier:n_frequencies=8,sigma=2", "--activations", "relu", "--effort", "1"]


def test_the_command_writes_a_table_json_csv_and_a_report(photo, capsys):
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    arguments = ["study", photo, *ARGUMENTS, "--bytes", "700", "--cache", "kept", "--quiet"]
    assert cli.main([*arguments, "--csv", "s.csv", "--html", "s.html"]) == 0
    assert "random-fourier:n_frequencies=8,sigma=2" in capsys.readouterr().out
    assert cli.main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [row["encoding"] for row in facts["rows"]] == ["dense", "random-fourier:n_frequencies=8,sigma=2", "identity"]
    assert facts["target_bytes"] == 700
    moments = facts["rows"][0]["course"]["moments"]
    assert [m["step"] for m in moments][0] == 1 and set(moments[0]["missing"]) == {"low", "middle", "high"}
    with open("s.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["bytes"]) for row in rows] == [row["bytes"] for row in facts["rows"]]
    page = open("s.html").read()
    assert "<h1>&lt;photo&gt;.png</h1>" in page and "<photo>" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count('class="panel"') == 3 and page.count("20 steps") >= 3
    assert cli.main([*arguments, "--html", "s.html"]) == 2  # it is there


def test_mistakes_are_one_line(photo, capsys):
    for arguments in (
        ["--bytes", "700", "--quality", "30"], ["--encodings", "nonsense"], ["--activations", "nonsense"],
        ["--quality", "1000"], ["--on", "nonsense"], ["--encodings", "dense:x=1"],
    ):  # fmt: skip
        code = cli.main(["study", photo, *ARGUMENTS, "--no-cache", "--quiet", *arguments])
        out = capsys.readouterr()
        assert code == 2 and out.err.count("\n") == 1 and out.err.startswith("nfcodec: "), (arguments, out)
    Path("done.nfld").write_bytes(b"\x89NFC")
    for name in ("absent.png", "done.nfld"):
        assert cli.main(["study", name]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and ("decode it" in err) == (name == "done.nfld")


def test_ctrl_c_keeps_what_is_done(photo, monkeypatch, capsys):
    own = run.encode

    def encode(*args, encoding, **kwargs):
        if encoding != "dense":
            raise KeyboardInterrupt
        return own(*args, encoding=encoding, **kwargs)

    monkeypatch.setattr(run, "encode", encode)
    assert cli.main(["study", photo, *ARGUMENTS, "--no-cache", "--quiet"]) == 130
    out = capsys.readouterr()
    assert "dense" in out.out and "the same command goes on" in out.err


def test_names_with_numbers_are_told_apart():
    text = "dense, random-fourier:n_frequencies=8,sigma=2,frequency"
    assert CHOICES.convert(text, None, None) == ("dense", "random-fourier:n_frequencies=8,sigma=2", "frequency")
