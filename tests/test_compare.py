"""Comparisons: matching by closed forms, what a run keeps, looks up and survives, sets, and the command line."""

import csv
import dataclasses
import io as text_io
import json
import math
import os
import time

import numpy as np
import pytest
from surfaces import sphere

import nfcodec
from nfcodec import cli, compare
from nfcodec.compare import match, run, store, table
from nfcodec.compare.peers import Peer
from nfcodec.compare.rows import NFCODEC, Codec, Comparison, Row
from nfcodec.errors import SignalError, UsageError
from nfcodec.measure import Report
from nfcodec.spec import Signal

pytest.importorskip("torch", reason="encoding needs torch")
Image = pytest.importorskip("PIL.Image", reason="images need pillow")


class Coarse(Peer):
    """Keeps every value in steps of `step`: its error and its bytes are known."""

    name = "coarse"
    calls = 0

    def settings(self, signal):
        return [{"step": step} for step in (64, 32, 8)]

    def encode(self, signal, *, step):
        type(self).calls += 1
        return bytes(signal.values.size * 2 // step) + bytes([step])

    def decode(self, data, like):
        y, x = np.mgrid[0 : like.extent[0], 0 : like.extent[1]]
        return picture(*like.extent) // data[-1] * data[-1]

    def version(self):
        return "coarse 1"


class Exact(Coarse):
    name, lossless = "exact", True

    def settings(self, signal):
        return [{}]

    def encode(self, signal):
        return signal.values.tobytes()

    def decode(self, data, like):
        return np.frombuffer(data, like.values.dtype).reshape(like.values.shape)


class Broken(Coarse):
    name = "broken"

    def encode(self, signal, *, step):
        if step == 32:
            raise SignalError("this step cannot be had")
        raise RuntimeError("no\nluck")


class Absent(Coarse):
    name, needs = "absent", (("no_such_module", "no-such-package"),)


class Choosy(Coarse):
    name = "choosy"

    def refuses(self, signal):
        return "it holds no pictures"


def picture(height=24, width=32):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([8 * x, 10 * y, 4 * (x + y)], -1).astype(np.uint8)


@pytest.fixture
def peers(monkeypatch):
    """The table of peers, for the test to fill."""
    table = [Coarse(), Exact()]
    monkeypatch.setattr(run, "peers_of", lambda kind: tuple(table))
    monkeypatch.setattr(Coarse, "calls", 0)
    return table


@pytest.fixture(scope="module")
def fitted():
    return nfcodec.encode(picture(), kind="image", effort=1)


@pytest.fixture
def fits(monkeypatch, fitted):
    """Counts our fits and makes each a copy of one that was made before."""
    made = []

    def encode(source, on_progress=None, **settings):
        made.append(settings)
        return fitted

    monkeypatch.setattr(compare.ours, "encode", encode)
    return made


def of(kind="image", rows=(), closed=True, signal=None):
    """A comparison of rows (codec, bytes, dB)."""
    signal = signal or Signal(kind, values=picture())
    made = tuple(Row(c, "-", n, Report(db, 0.0, 10 ** (-db / 20)), None, 0.1, f"{c}{n}", i) for i, (c, n, db) in enumerate(rows))
    codecs = tuple(Codec(name, "1", "", "", False) for name in dict.fromkeys(r.codec for r in made))
    return Comparison("x", signal, 10**6, 768, codecs, made, (), closed, "")


# ---------------------------------------------------------------- matching


def test_a_front_keeps_what_no_other_file_beats():
    assert match.front([(10, 30.0), (20, 29.0), (30, 35.0), (30, 36.0), (40, 36.0)]) == [(10, 30.0), (30, 36.0)]
    assert match.front([]) == []


def test_bytes_at_equal_error_are_geometric_in_between():
    curve = [(1000, 30.0), (4000, 40.0), (9000, math.inf)]
    assert match.at_db(curve, 35.0) == (pytest.approx(2000), "")
    assert match.at_db(curve, 30.0) == (1000, "")
    assert match.at_db(curve, 20.0) == (1000, "its smallest")
    assert match.at_db(curve, 41.0) == (9000, "lossless")
    assert match.at_db(curve[:2], 41.0) == (None, "never as good")
    assert match.at_db(curve, math.inf) == (9000, "")


def test_quality_at_equal_bytes_is_linear_in_the_logarithm():
    curve = [(1000, 30.0), (4000, 40.0), (9000, math.inf)]
    assert match.at_bytes(curve, 2000) == (pytest.approx(35.0), "")
    assert match.at_bytes(curve, 1000) == (30.0, "")
    assert match.at_bytes(curve, 999) == (None, "never as small")
    assert match.at_bytes(curve, 5000) == (40.0, "its best")
    assert match.at_bytes(curve, 9000) == (math.inf, "")
    assert match.at_bytes(curve[:2], 5000) == (40.0, "its best")


def test_both_ways_of_matching_agree():
    curve = [(1000, 30.0), (4000, 40.0), (7000, 41.0)]
    for n_bytes in (1000, 1700, 4100, 6999):
        assert match.at_db(curve, match.at_bytes(curve, n_bytes)[0])[0] == pytest.approx(n_bytes)


def test_a_codec_of_twice_our_bytes_is_said_to_lose():
    ours = [(NFCODEC, 1000, 30.0), (NFCODEC, 2000, 35.0), (NFCODEC, 4000, 40.0), (NFCODEC, 8000, 45.0)]
    double = [("double", 2 * n, db) for _, n, db in ours]
    half = [("half", n // 2, db) for _, n, db in ours]
    found = {m.codec: m for m in compare.matches(of(rows=[*ours, *double, *half]), of(rows=ours).reference)}
    assert found["double"].bytes_ratio == pytest.approx(2) and found["half"].bytes_ratio == pytest.approx(0.5)
    assert found["double"].bd_rate == pytest.approx(-50) and found["half"].bd_rate == pytest.approx(100)
    first, second = compare.sentences(of(rows=[*ours, *double, *half]))
    assert "loses to half (50% smaller)" in first and "beats double (2 times as large)" in first
    assert second.startswith("None of its 4 files is the smallest: half at 30.0 dB, 35.0 dB, 40.0 dB and 45.0 dB")
    assert compare.sentences(of(rows=[*ours, *double]))[1].startswith("Over all 4 of its files nfcodec is the smallest")


def test_a_bd_rate_wants_four_points():
    curve = [(1000.0 * 2**i, 30.0 + 3 * i) for i in range(4)]
    assert match.curves_bd_rate(curve, curve) == pytest.approx(0)
    assert match.curves_bd_rate(curve[:3], curve) is None and match.curves_bd_rate(curve, [*curve[:3], (1, math.inf)]) is None


def test_sentences_without_anything_to_say():
    assert "nothing to compare" in compare.sentences(of(rows=[("a", 10, 30.0)]))[0]
    assert "No other codec" in compare.sentences(of(rows=[(NFCODEC, 10, 30.0)]))[0]
    never = compare.sentences(of(rows=[(NFCODEC, 1000, 40.0), ("low", 10, 20.0)]))[0]
    assert never.endswith("it reaches what low never does.")


def test_open_surfaces_are_judged_each_way_apart():
    signal = Signal("sdf", mesh=sphere(1))
    report = Report(60.0, 0.0, 1e-3, rms_back=7e-3)
    row = Row(NFCODEC, "-", 10, report, None, 0.1, "k", 0)
    closed, opened = (of(signal=signal, closed=c) for c in (True, False))
    assert opened.error(row) == 1e-3 and opened.db(row) == pytest.approx(60)
    assert opened.error(row, back=True) == 7e-3 and opened.db(row, back=True) == pytest.approx(-20 * math.log10(7e-3))
    assert closed.error(row) == pytest.approx(5e-3) and closed.db(row) == pytest.approx(-20 * math.log10(5e-3))
    assert opened.has_ways and not closed.has_ways


def test_a_codec_that_closes_holes_wins_one_way_and_never_the_other():
    signal = Signal("sdf", mesh=sphere(1))
    files = [(NFCODEC, 1000, 1e-3, 2e-3), ("closes", 500, 1e-3, 0.1), ("closes", 9000, 1e-4, 0.1), ("keeps", 4000, 1e-3, 2e-3)]
    rows = tuple(
        Row(codec, str(k), n, Report(-20 * math.log10(there), there, there, rms_back=back), 1.0, 0.1, str(k), k)
        for k, (codec, n, there, back) in enumerate(files)
    )
    found = dataclasses.replace(of(rows=[(c, n, 30.0) for c, n, _, _ in files], signal=signal, closed=False), rows=rows)
    there, back = ({m.codec: m for m in match.matches(found, rows[0], way)} for way in (False, True))
    assert there["closes"].bytes_ratio == 0.5 and there["keeps"].bytes_ratio == back["keeps"].bytes_ratio == 4
    assert back["closes"].bytes_ratio is None and back["closes"].bytes_note == "never as good"
    first, *_, last = compare.sentences(found)
    assert "loses to closes (50% smaller)" in first
    assert last.startswith("At 2.0e-3 RMS from the decoded surface back to the source") and "what closes never does" in last
    lines = table.as_lines(found)
    assert sum(line.startswith("closes") for line in lines) == 2 and "From the decoded surface back to the source:" in lines
    assert {m["codec"] for m in table.as_dict(found)["matches_back"]} == {"closes", "keeps"}
    assert table.as_dict(dataclasses.replace(found, is_closed=True))["matches_back"] is None


# ---------------------------------------------------------------- a run


def test_everything_is_decoded_and_measured(peers, fits):
    found = compare.compare(Signal("image", values=picture()), effort=1)
    assert [c.name for c in found.codecs] == [NFCODEC, "coarse", "exact"] and not found.unfinished and not found.skipped
    assert len(found.rows_of(NFCODEC)) == 5 and found.reference.setting == "quality=50"
    for row in found.rows_of("coarse"):
        decoded = found.decode(row)
        step = int(row.setting.split("=")[1])
        error = np.mean((picture().astype(float) - picture() // step * step) ** 2)
        assert row.report.psnr_db == pytest.approx(10 * math.log10(255**2 / error))
        assert np.array_equal(decoded, picture() // step * step) and row.n_bytes == picture().size * 2 // step + 1
    (exact,) = found.rows_of("exact")
    assert exact.report.psnr_db == math.inf and exact.n_bytes == picture().size
    assert np.array_equal(found.decode(exact), picture())
    assert found.decode(found.reference).shape == picture().shape
    assert found.reference.report.ssim > 0.5


def test_files_are_added_near_ours(peers, fits):
    found = compare.compare(Signal("image", values=picture()), effort=1)
    added = [row for row in found.rows_of("coarse") if row.rung is None]
    target = found.reference
    bracketed = any(a.n_bytes < target.n_bytes < b.n_bytes for a, b in zip(found.rows_of("coarse"), found.rows_of("coarse")[1:]))
    assert bool(added) == bracketed or found.db(target) < found.db(found.rows_of("coarse")[0])
    assert all(row.setting not in ("step=64", "step=32", "step=8") for row in added)


def test_the_middle_of_two_settings():
    peer = Coarse()
    assert peer.between({"q": 10}, {"q": 20}) == {"q": 15} and peer.between({"q": 10}, {"q": 11}) is None
    assert peer.between({"t": 1.0, "e": 7}, {"t": 4.0, "e": 7}) == {"t": 2.0, "e": 7}
    assert peer.between({"t": 1.0, "e": 7}, {"t": 4.0, "e": 8}) is None and peer.between({}, {}) is None


def test_a_second_run_costs_nothing(peers, fits, tmp_path):
    kept = store.Store(tmp_path)
    first = compare.compare(Signal("image", values=picture()), effort=1, store=kept)
    n_calls, n_fits = Coarse.calls, len(fits)
    second = compare.compare(Signal("image", values=picture()), effort=1, store=store.Store(tmp_path))
    assert (Coarse.calls, len(fits)) == (n_calls, n_fits)
    assert second.rows == first.rows
    compare.compare(Signal("image", values=picture() // 2), effort=1, store=kept)
    assert Coarse.calls > n_calls and len(fits) > n_fits
    n_fits = len(fits)
    compare.compare(Signal("image", values=picture()), effort=2, store=kept)
    assert len(fits) > n_fits


def test_damaged_results_are_made_again(peers, fits, tmp_path):
    first = compare.compare(Signal("image", values=picture()), effort=1, store=store.Store(tmp_path))
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    second = compare.compare(Signal("image", values=picture()), effort=1, store=store.Store(tmp_path))
    assert [(r.codec, r.n_bytes, r.report) for r in second.rows] == [(r.codec, r.n_bytes, r.report) for r in first.rows]


def test_peers_that_fail_are_named_and_the_others_go_on(peers, fits):
    peers[:0] = [Broken(), Absent(), Choosy()]
    found = compare.compare(Signal("image", values=picture()), effort=1)
    told = [(s.codec, s.why, s.cure) for s in found.skipped]
    assert ("broken", "step=32: this step cannot be had", "") in told
    assert ("broken", "step=64: RuntimeError: no luck", "") in told
    assert ("absent", "needs no-such-package", "pip install no-such-package") in told
    assert ("choosy", "it holds no pictures", "") in told
    assert found.rows_of("coarse") and not found.rows_of("broken")


def test_a_later_fit_that_fails_costs_only_itself(peers, fitted, monkeypatch):
    def encode(source, on_progress=None, **settings):
        if settings["quality"] == 80:
            raise MemoryError
        return fitted

    monkeypatch.setattr(compare.ours, "encode", encode)
    found = compare.compare(Signal("image", values=picture()), effort=1)
    assert len(found.rows_of(NFCODEC)) == 4 and not found.unfinished
    (told,) = found.skipped
    assert told.codec == NFCODEC and told.why.startswith("quality=80: MemoryError")


def test_an_interrupt_keeps_what_is_done(peers, fits, monkeypatch, tmp_path):
    kept = store.Store(tmp_path)

    def interrupt(self, signal):
        raise KeyboardInterrupt

    monkeypatch.setattr(Exact, "encode", interrupt)
    found = compare.compare(Signal("image", values=picture()), effort=1, store=kept)
    assert found.unfinished == "interrupted" and len(found.rows_of(NFCODEC)) == 1 and len(found.rows_of("coarse")) == 3
    monkeypatch.undo()
    monkeypatch.setattr(Coarse, "encode", interrupt)  # what is done is looked up and not run again
    monkeypatch.setattr(run, "peers_of", lambda kind: (Coarse(), Exact()))
    again = compare.compare(Signal("image", values=picture()), effort=1, store=kept, targets=[{"quality": 50.0}])
    assert len(again.rows_of("coarse")) == 3


def test_an_interrupt_before_anything_is_one(peers, monkeypatch):
    def interrupt(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare.ours, "encode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compare.compare(Signal("image", values=picture()), effort=1)


def test_the_time_limit_begins_nothing_new(peers, monkeypatch):
    real = compare.ours.encode
    monkeypatch.setattr(compare.ours, "encode", lambda *a, **k: (time.sleep(0.3), real(*a, **k))[1])
    found = compare.compare(Signal("image", values=picture()), effort=1, time_limit=0.2)
    assert found.unfinished == "time limit" and found.rows == ()
    assert "nothing to compare" in compare.sentences(found)[0]


def test_finished_files_are_taken_and_foreign_ones_refused(peers, tmp_path):
    nfcodec.encode(picture(), tmp_path / "a.nfld", kind="image", effort=1, quality=20)
    nfcodec.encode(picture(), tmp_path / "b.nfld", kind="image", effort=1, quality=60)
    found = compare.compare(Signal("image", values=picture()), [tmp_path / "b.nfld", tmp_path / "a.nfld"])
    assert found.reference.n_bytes == os.path.getsize(tmp_path / "b.nfld") and len(found.rows_of(NFCODEC)) == 2
    assert found.reference.encode_s is None
    assert found.reference.report.psnr_db == nfcodec.measure.measure(nfcodec.open(tmp_path / "b.nfld"), found.signal).psnr_db
    with pytest.raises(UsageError, match="expected the file's own source"):
        compare.compare(Signal("image", values=picture(20, 20)), [tmp_path / "a.nfld"])
    with pytest.raises(FileNotFoundError):
        compare.compare(Signal("image", values=picture()), [tmp_path / "none.nfld"])


def test_peers_are_chosen_by_name(peers, fits):
    found = compare.compare(Signal("image", values=picture()), effort=1, peers=["EXACT"])
    assert [c.name for c in found.codecs] == [NFCODEC, "exact"]
    assert [c.name for c in compare.compare(Signal("image", values=picture()), effort=1, peers=()).codecs] == [NFCODEC]
    with pytest.raises(UsageError, match="expected some of coarse, exact"):
        compare.compare(Signal("image", values=picture()), peers=["nobody"])


def test_the_store_forgets_what_was_used_longest_ago(tmp_path):
    kept = store.Store(tmp_path)
    for i, key in enumerate(("old", "new", "used")):
        kept.put(key, {"n": i}, bytes(1000))
        os.utime(tmp_path / f"{key}.result", (i, i))
    assert kept.get("old")[0]["n"] == 0  # and so is the newest
    kept.prune(2500)
    assert kept.get("new") is None and kept.get("old") is not None and kept.get("used") is not None


def test_a_store_without_a_folder_lasts_as_long_as_itself(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for folder in (None, tmp_path / "file" / "below"):
        kept = store.Store(folder)
        kept.put("a", {"x": math.inf}, b"\n{}\n")
        assert kept.get("a") == (kept.get("a")[0], b"\n{}\n") and kept.get("a")[0]["x"] == math.inf
        assert kept.get("b") is None


# ---------------------------------------------------------------- sets


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set" / "below").mkdir(parents=True)
    Image.fromarray(picture()).save(tmp_path / "set" / "a.png")
    Image.fromarray(picture()).save(tmp_path / "set" / "below" / "b.png")
    (tmp_path / "set" / "notes.txt").write_text("not a signal")
    return tmp_path / "set"


def test_a_set_is_averaged(peers, fits, folder):
    found = compare.compare_set(folder, effort=1)
    assert [c.name for c in found.comparisons] == ["a.png", os.path.join("below", "b.png")] and not found.failed
    (kind, group), = compare.by_kind(found.finished).items()
    mean = {m.codec: m for m in compare.means(group)}
    assert kind == "image" and mean["coarse"].n_signals == 2 and len(mean["coarse"].ladder) == 3
    one = compare.matches(group[0], group[0].reference)
    assert mean["exact"].bytes_ratio == pytest.approx(next(m.bytes_ratio for m in one if m.codec == "exact"))
    row = group[0].rows_of("coarse")[0]
    assert mean["coarse"].ladder[0].bpp == pytest.approx(8 * row.n_bytes / group[0].n_samples)
    assert mean["coarse"].ladder[0].db == pytest.approx(row.report.psnr_db)
    assert group[0].signal.values.strides == (0, 0, 0)  # the samples were not kept


def test_ratios_are_averaged_geometrically():
    pair = [of(rows=[(NFCODEC, 1000, 30.0), ("peer", n, 30.0)]) for n in (500, 2000)]
    (ours, peer) = compare.means(pair)
    assert peer.bytes_ratio == pytest.approx(1.0) and (peer.n_smaller, peer.n_ratios) == (1, 2)
    assert ours.codec == NFCODEC and ours.bytes_ratio is None


def test_a_file_that_cannot_be_read_spoils_no_set(peers, fits, folder):
    (folder / "broken.png").write_bytes(b"no picture")
    found = compare.compare_set(folder, effort=1)
    assert len(found.comparisons) == 2 and found.failed[0][0] == "broken.png"


# ---------------------------------------------------------------- the command


def run_command(*args):
    return cli.main(["compare", *map(str, args)])


def test_the_command_prints_a_table(peers, fits, folder, capsys, tmp_path):
    peers.append(Absent())
    assert run_command(folder / "a.png", "--effort", 1, "--cache", tmp_path / "cache", "--quiet") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("a.png: image 24x32x3 uint8")
    assert any(line.startswith("exact") and "lossless" in line for line in lines)
    assert f"Versions: nfcodec {nfcodec.__version__}; coarse 1." in lines
    assert "without absent: needs no-such-package: pip install no-such-package" in lines


def test_the_command_writes_data(peers, fits, folder, capsys, tmp_path):
    path = tmp_path / "rows.csv"
    assert run_command(folder / "a.png", "--effort", 1, "--no-cache", "--json", "--csv", path, "--quality", "30,50,70") == 0
    facts = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(text_io.StringIO(path.read_text())))
    assert len(rows) == len(facts["rows"]) and {r["codec"] for r in rows} == {NFCODEC, "coarse", "exact"}
    assert [r["setting"] for r in rows if r["codec"] == NFCODEC][0] == "quality=50" and facts["reference"] == "quality=50"
    assert all(int(r["bytes"]) == f["bytes"] for r, f in zip(rows, facts["rows"]))
    assert fits[0]["quality"] == 50 and facts["sentences"]
    assert run_command(folder / "a.png", "--csv", path) == 2  # it exists
    assert "--overwrite" in capsys.readouterr().err


def test_the_command_averages_a_set(peers, fits, folder, capsys, tmp_path):
    assert run_command("--set", folder, "--effort", 1, "--no-cache", "--quiet") == 0
    assert "set: 2 images" in capsys.readouterr().out
    assert run_command("--set", folder, "--effort", 1, "--no-cache", "--quiet", "--json", "--size", "1KB,2KB") == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["signals"]) == 2 and {m["codec"] for m in facts["means"]["image"]} == {NFCODEC, "coarse", "exact"}
    assert fits[-1]["size"] == 2000


@pytest.mark.parametrize(
    "args, word",
    [
        ([], "either INPUT or --set"),
        (["a.png", "--set", "x"], "either INPUT or --set"),
        (["--set", "nowhere"], "expected a folder"),
        (["a.png", "--quality", "5,x"], "expected numbers"),
        (["a.png", "--quality", "5", "--size", "1KB"], "both"),
        (["a.png", "--html", "nowhere/out.html"], "does not exist"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(args, word, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(*args) == 2
    err = capsys.readouterr().err.strip()
    assert word in err and len(err.splitlines()) == 1


def test_an_interrupted_command_shows_what_it_has(peers, fits, folder, capsys, monkeypatch):
    def interrupt(self, signal):
        raise KeyboardInterrupt

    monkeypatch.setattr(Exact, "encode", interrupt)
    assert run_command(folder / "a.png", "--effort", 1, "--no-cache", "--quiet") == 130
    out, err = capsys.readouterr()
    assert "Not finished (interrupted)" in out and "goes on from there" in err


def test_numbers_of_a_table_stand_below_each_other():
    assert table.columns(["a", "bb"], [["xyz", "1"], ["", "22"]]) == ["a    bb", "xyz   1", "     22"]
