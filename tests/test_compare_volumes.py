"""The peers of volumes: what they keep, bound and refuse, and that they do as well as others have measured them to do."""

import csv
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nfcodec import io
from nfcodec.compare.peers import peers_of
from nfcodec.compare.peers.volume import bounds, join, split
from nfcodec.errors import FormatError, NfldError
from nfcodec.measure import measure_decoded
from nfcodec.spec import Signal

pytest.importorskip("imagecodecs")
pytest.importorskip("scipy")

SHARED = Path(__file__).resolve().parents[2] / "shared"
PEERS = {peer.name: peer for peer in peers_of("volume")}
LOSSLESS = ["raw + zstd", "Blosc2"]
LOSSY = ["ZFP", "SZ3", "SPERR", "block means"]
DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
EXTENTS = [(24, 24, 24), (20, 31), (4, 11, 12, 13), (1, 16, 16), (16, 16, 1)]
TINY = [(1, 1), (1, 5), (2, 2), (1, 1, 1), (2, 1, 1), (2, 3, 4), (7, 7, 7), (1, 1, 1, 1), (2, 2, 2, 2)]


def volume(extent=(24, 24, 24), dtype="float32", channels=1, noise=0.01):
    """Waves and a ball with a sharp rim under a little noise, different in every channel; -1 to 1 or all of an integer."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in extent), indexing="ij")
    ball = 1.0 * (sum((axis - 0.5) ** 2 for axis in axes) < 0.1)
    waves = [sum(np.sin(4 * axis + i + k) for i, axis in enumerate(axes)) / len(axes) for k in range(channels)]
    unit = np.stack([0.5 * wave + 0.3 * ball for wave in waves], axis=-1)
    unit = np.clip(unit + noise * np.random.default_rng(0).normal(size=unit.shape), -1, 1)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return Signal("volume", unit > 0.2)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return Signal("volume", np.rint((unit + 1) / 2 * (int(limits.max) - int(limits.min)) + limits.min).astype(dtype))
    return Signal("volume", unit.astype(dtype))


def through(peer, signal, setting):
    """(bytes, report) of one setting; shape and dtype must be the source's."""
    data = peer.encode(signal, **setting)
    assert isinstance(data, bytes)
    decoded = peer.decode(data, signal)
    assert decoded.shape == signal.values.shape and decoded.dtype == signal.values.dtype
    return len(data), measure_decoded(decoded, signal)


def ends(peer, signal):
    settings = peer.settings(signal)
    return [settings[0], settings[-1]]


def span(signal):
    return float(signal.values.max()) - float(signal.values.min())


def test_the_table_holds_what_it_promises():
    assert list(PEERS) == ["raw + zstd", "Blosc2", "ZFP", "SZ3", "SPERR", "TTHRESH", "block means"]
    assert [name for name, peer in PEERS.items() if peer.lossless] == LOSSLESS
    for name in LOSSLESS + LOSSY:
        assert PEERS[name].missing() == [] and PEERS[name].refuses(volume()) is None
        assert PEERS[name].version()[-1].isdigit() or PEERS[name].version().endswith(")")


def test_nothing_heavy_is_imported_before_it_is_needed():
    program = (
        "import sys, numpy as np\n"
        "from nfcodec.compare.peers import peers_of\n"
        "from nfcodec.spec import Signal\n"
        "signal = Signal('volume', np.zeros((4, 4, 4, 1), np.uint8))\n"
        "[(peer.settings(signal), peer.how, peer.aim) for peer in peers_of('volume')]\n"
        "assert not {'imagecodecs', 'scipy', 'torch'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_ones_are_exact(name, dtype):
    peer = PEERS[name]
    for extent in EXTENTS + TINY:
        for channels in (1, 3):
            signal = volume(extent, dtype, channels)
            assert peer.settings(signal) == [{}]
            data = peer.encode(signal)
            decoded = peer.decode(data, signal)
            assert decoded.dtype == signal.values.dtype and np.array_equal(decoded, signal.values)
    # bits of equal weight differ little in smooth samples; even where they do, a constant shrinks
    assert len(peer.encode(Signal("volume", np.full((24, 24, 24, 2), 1, dtype)))) < 200


def test_blosc2_shuffles_whole_samples():
    import imagecodecs

    signal = volume(dtype="uint16", noise=0)
    as_eight = imagecodecs.blosc2_encode(signal.values.tobytes(), 9, compressor="zstd", shuffle="bitshuffle")
    assert len(PEERS["Blosc2"].encode(signal)) < 0.95 * len(as_eight)


def test_blosc2_refuses_what_its_buffers_do_not_hold():
    huge = np.broadcast_to(np.zeros((), np.float32), (1024, 1024, 512, 1))
    assert str(huge.nbytes) in PEERS["Blosc2"].refuses(Signal("volume", huge))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", LOSSY)
def test_bytes_and_psnr_rise_along_the_ladder(name, dtype):
    peer, signal = PEERS[name], volume((32, 32, 32), dtype)
    settings = peer.settings(signal)
    assert len({tuple(setting) for setting in settings}) == 1
    points = [through(peer, signal, setting) for setting in settings]
    assert points[-1][0] > 5 * points[0][0] and points[-1][1].psnr_db > 25
    floor = signal.values.nbytes / (1000 if name == "block means" else 200)
    # where nearly nothing is left, headers and chance decide; where nothing is lost, there is no more to gain
    points = [(n, r.psnr_db) for n, r in points if n > floor and r.max_error > 0]
    assert len(points) >= (3 if name == "block means" else 5)
    for (n, psnr), (n_next, psnr_next) in zip(points, points[1:]):
        assert n_next > n and psnr_next > psnr, points


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize(("name", "key"), [("ZFP", "tolerance"), ("SZ3", "bound")])
def test_error_bounds_hold(name, key, dtype, extent):
    peer, signal = PEERS[name], volume(extent, dtype, channels=2)
    for setting in peer.settings(signal)[::3]:
        _, report = through(peer, signal, setting)
        rounding = 0.5 if dtype == "int16" else 1e-6 * span(signal)
        assert report.max_error <= setting[key] * span(signal) + rounding


@pytest.mark.parametrize("name", ["ZFP", "SZ3"])
def test_ladders_of_integers_end_where_nothing_is_lost(name):
    lengths = []
    for dtype in ("bool", "uint8", "float32"):
        signal = volume(dtype=dtype)
        if dtype == "uint8":
            signal = Signal("volume", signal.values // 4)
        *others, last = PEERS[name].settings(signal)
        lengths.append(len(others) + 1)
        if dtype != "float32":
            assert through(PEERS[name], signal, last)[1].max_error == 0
            assert all(value * span(signal) >= 0.5 for setting in others for value in setting.values())
    assert lengths[0] < lengths[1] < lengths[2]


def test_bounds_of_floats_are_never_cut():
    assert bounds(volume().values, np.array([-3, -1])) == [0.5, 0.125]
    assert bounds(np.array([0, 3], np.uint8), np.array([-1, -2, -3, -4])) == [0.5, 0.25, 0.125]  # half a step is a sixth


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSY)
def test_dtypes_channels_and_axes(name, dtype):
    peer = PEERS[name]
    for extent in EXTENTS:
        for channels in (1, 2):
            signal = volume(extent, dtype, channels)
            _, report = through(peer, signal, peer.settings(signal)[-1])
            if extent == EXTENTS[0]:  # of others, SPERR and means have too few bytes
                assert report.psnr_db > (10 if dtype == "bool" else 18)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("name", LOSSY)
def test_tiny_and_constant_volumes(name, dtype):
    peer = PEERS[name]
    for extent in TINY:
        signal = volume(extent, dtype)
        for setting in ends(peer, signal):
            through(peer, signal, setting)
    for value in (0, 7):
        signal = Signal("volume", np.full((9, 10, 11, 1), value, dtype))
        for setting in ends(peer, signal):
            n_bytes, report = through(peer, signal, setting)
            assert n_bytes < 200
        assert report.max_error <= 0.01  # at the last


@pytest.mark.parametrize("name", LOSSY)
def test_channels_are_files_of_their_own(name):
    peer, signal = PEERS[name], volume(channels=3)
    # the bounds are relative to the range of all channels: give every channel the same
    signal.values[0, 0, 0], signal.values[0, 0, 1] = -1, 1
    setting = peer.settings(signal)[-2]
    data = peer.encode(signal, **setting)
    parts = [peer.encode(Signal("volume", signal.values[..., [c]]), **setting) for c in range(3)]
    assert data == join(parts) and len(data) == 24 + sum(map(len, parts))
    assert split(data, 3) == parts
    with pytest.raises(FormatError, match="damaged"):
        split(data[:-1], 3)


def test_what_lies_between_two_settings():
    signal = volume((32, 32, 32))
    for name in ("SZ3", "SPERR", "block means"):
        peer = PEERS[name]
        a, b = peer.settings(signal)[-3:-1]
        middle = peer.between(a, b)
        sizes = [through(peer, signal, setting)[0] for setting in (a, middle, b)] if middle else []
        assert middle is None if name == "block means" else sizes == sorted(set(sizes))
    assert PEERS["block means"].between({"block": 8}, {"block": 6}) == {"block": 7}
    # ZFP would make the file of one of both again
    zfp = PEERS["ZFP"]
    assert zfp.between({"tolerance": 0.25}, {"tolerance": 0.5}) is None
    files = {zfp.encode(signal, tolerance=tolerance) for tolerance in (0.25, 0.25 * 2**0.5, 0.5)}
    assert len(files) == 2


def test_zfp_spends_no_double_where_single_is_exact_enough():
    zfp, values = PEERS["ZFP"], volume().values
    single, double = (zfp.encode(Signal("volume", values.astype(dtype)), tolerance=0.5) for dtype in ("f4", "f8"))
    assert single == double
    far = Signal("volume", 1e9 + values.astype(np.float64))  # float32 has steps of 64 there
    _, report = through(zfp, far, {"tolerance": 2.0**-6})
    assert report.max_error <= 2.0**-6 * span(far)


def test_extremes_of_wide_integers_are_clipped():
    values = np.zeros((8, 8, 8, 1), np.uint32)
    values[::2] = np.iinfo(np.uint32).max
    for name in LOSSY:
        peer, signal = PEERS[name], Signal("volume", values)
        for setting in peer.settings(signal)[::5]:
            decoded = peer.decode(peer.encode(signal, **setting), signal)
            assert (decoded[::2].astype(float).mean() >= decoded[1::2].astype(float).mean()).all()
    halves = Signal("volume", np.where(values, 65504, -65504).astype(np.float16))  # the largest that there are
    for name in LOSSY:
        _, report = through(PEERS[name], halves, PEERS[name].settings(halves)[0])
        assert np.isfinite(report.max_error)


@pytest.mark.parametrize("block", [2, 3, 4, 6, 8])
def test_block_means_of_a_ramp_are_where_their_blocks_are(block):
    z, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (50, 53, 60)), indexing="ij")
    signal = Signal("volume", (x + 2 * y - 3 * z)[..., None])
    peer = PEERS["block means"]
    decoded = peer.decode(peer.encode(signal, block=block, bits=16), signal)
    # a spline through a ramp is that ramp, away from the ends; half a sample aside it would be 0.5 or more off
    inside = (slice(3 * block, -3 * block),) * 3 if block < 8 else (slice(20, 30),) * 3
    assert np.abs(decoded - signal.values)[inside].max() < 0.2


def test_block_means_have_16_bits_only_where_8_would_cost_a_decibel():
    peer = PEERS["block means"]
    rough = volume((32, 32, 32))
    wave = np.cos(np.pi * (np.arange(32, dtype=np.float32) + 0.5) / 32)
    smooth = Signal("volume", (wave[:, None, None] * wave[:, None] * wave)[..., None])
    for signal, expected in ((rough, 8), (smooth, 16)):
        sizes, psnrs = zip(*((n, r.psnr_db) for n, r in (through(peer, signal, {"block": 2, "bits": b}) for b in (8, 16))))
        n_bytes, report = through(peer, signal, {"block": 2})
        assert peer.encode(signal, block=2)[1] == expected
        assert (n_bytes, report.psnr_db) == ((sizes[0], psnrs[0]) if expected == 8 else (sizes[1], psnrs[1]))
        assert (psnrs[1] - psnrs[0] > 1) == (expected == 16)


# stands in for the program: keeps its arguments and the samples as they are
_FAKE = """#!{python}
import pathlib, shutil, sys
given = sys.argv[1:]
at = lambda flag: given[given.index(flag) + 1]
if "-i" in given:
    if "-p" in given and float(at("-p")) > 90:
        sys.exit("it is too much")
    pathlib.Path({log!r}).write_text(" ".join(given))
    shutil.copy(at("-i"), at("-c"))
else:
    shutil.copy(at("-c"), at("-o"))
"""


def test_tthresh_is_called_as_it_wants_to_be(tmp_path, monkeypatch):
    program, log = tmp_path / "tthresh", tmp_path / "log"
    program.write_text(_FAKE.format(python=sys.executable, log=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    peer = PEERS["TTHRESH"]
    for dtype, kind in (("int16", "float"), ("float64", "double")):
        signal = volume((3, 4, 5), dtype, channels=2)
        assert peer.missing() == [] and peer.refuses(signal) is None
        _, report = through(peer, signal, {"psnr": 40.0})
        assert report.max_error == 0
        words = log.read_text().split()
        assert words[words.index("-t") + 1] == kind
        assert words[words.index("-s") + 1 :][:3] == ["5", "4", "3"]  # the fastest axis first
        assert float(words[words.index("-p") + 1]) == pytest.approx(40 - 6.0206, abs=1e-4)  # its peak is half the range
    assert peer.version().startswith("tthresh, SHA-256 ")
    assert "3 or more axes" in peer.refuses(volume((8, 8)))
    with pytest.raises(NfldError, match="exit status 1 .it is too much."):
        peer.encode(signal, psnr=100.0)


def test_without_tthresh_it_is_named_and_no_line_for_pip_is_made_up(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert PEERS["TTHRESH"].missing() == ["tthresh"]
    assert "no pip package" in PEERS["TTHRESH"].refuses(volume())


def shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path.name} is missing in {path.parent}")
    return path


@pytest.mark.parametrize(
    ("codec", "name", "rows"),
    [
        (
            "sperr-0.8.4",
            "SPERR",
            {"bpp=2.28571": {"bpp": 32 / 14}, "bpp=0.32000": {"bpp": 0.32}, "bpp=0.03200": {"bpp": 0.032}},
        ),
        ("sz3-3.3.2", "SZ3", {"abs=3.125e-02*range": {"bound": 2.0**-5}, "abs=8.212e-04*range": {"bound": 2.0**-10.25}}),
        ("zfp-1.0.1", "ZFP", {"acc=1.000e+00*range": {"tolerance": 1.0}, "acc=3.125e-02*range": {"tolerance": 2.0**-5}}),
        ("lowres-mean+cubic+zstd", "block means", {"/3": {"block": 3, "bits": 16}, "/8": {"block": 8, "bits": 16}}),
        ("tthresh-2dbad4e", "TTHRESH", {"psnr=32(std)": {"psnr": 32.0}}),
    ],
)
def test_turbulence_as_measured_elsewhere(codec, name, rows):
    signal = io.read(shared("data", "volumes", "tgv_vortmag_128.npy"))
    table = shared("anchors", "volume_measured.csv")
    peer = PEERS[name]
    if peer.missing():
        pytest.skip(f"{name} is not installed")
    with open(table, newline="") as file:
        known = {r["setting"]: r for r in csv.DictReader(file) if (r["volume"], r["codec"]) == ("tgv_vortmag_128", codec)}
    for text, setting in rows.items():
        n_bytes, report = through(peer, signal, setting)
        assert n_bytes == pytest.approx(int(known[text]["bytes"]), rel=0.01), (setting, peer.version())
        assert report.psnr_db == pytest.approx(float(known[text]["psnr_db_range"]), abs=0.05), (setting, peer.version())
        assert report.max_error / span(signal) == pytest.approx(float(known[text]["maxerr_rel_range"]), rel=0.01)
