"""The peers of pictures: what they refuse, hold and lose, and that they do as well as others have measured them to do."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nfcodec import metrics
from nfcodec.compare.peers import peers_of, text_of
from nfcodec.spec import Signal

pytest.importorskip("PIL")
pytest.importorskip("imagecodecs")

SHARED = Path(__file__).resolve().parents[2] / "shared"
PEERS = {peer.name: peer for peer in peers_of("image")}
LOSSY = [name for name, peer in PEERS.items() if not peer.lossless]
DEEP = ["PNG", "JPEG 2000", "JPEG XL"]
WITH_ALPHA = ["PNG", "WebP", "JPEG 2000", "AVIF 4:4:4", "JPEG XL"]
# codecs of kodak_measured.csv
ANCHORS = {
    "JPEG 4:2:0": "jpeg_pillow_420",
    "JPEG 4:4:4": "jpeg_pillow_444",
    "WebP": "webp_pillow_m6",
    "JPEG 2000": "jpeg2000_pillow_mct1",
    "AVIF 4:4:4": "avif_aom_444_s4_psnr",
    "JPEG XL": "jxl_pillow_e7",
}


def picture(channels=3, dtype=np.uint8, height=80, width=104):
    """Waves and a disk with a sharp rim under a little noise, different in every channel."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).normal(size=(height, width, channels))
    disk = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2
    waves = [0.45 + 0.2 * np.sin(x / 9 + k) + 0.15 * np.cos(y / 7 - 0.7 * k) + 0.15 * disk for k in range(channels)]
    top = np.iinfo(dtype).max
    return Signal("image", np.rint(np.clip(np.stack(waves, -1) + 0.01 * noise, 0, 1) * top).astype(dtype))


def through(peer, signal, setting):
    """(bytes, PSNR in dB) of one setting; shape and dtype must be the source's."""
    data = peer.encode(signal, **setting)
    assert isinstance(data, bytes)
    decoded = peer.decode(data, signal)
    assert decoded.shape == signal.values.shape and decoded.dtype == signal.values.dtype
    return len(data), metrics.image_psnr_db(signal.values, decoded)


def good(peer, signal):
    """The last setting but one of the ladder: close to the source."""
    return peer.settings(signal)[-2:][0]


def test_the_table_holds_what_it_promises():
    assert list(PEERS) == ["PNG", "JPEG 4:2:0", "JPEG 4:4:4", "WebP", "JPEG 2000", "AVIF 4:4:4", "JPEG XL"]
    for peer in PEERS.values():
        assert peer.missing() == []
        assert re.fullmatch(r".*\d+\.\d+.* \((pillow|imagecodecs) \d[^()]*\)", peer.version()), peer.version()
        assert peer.how and "\n" not in peer.how + peer.aim
    assert "Butteraugli" in PEERS["JPEG XL"].aim


def test_looking_at_the_table_imports_no_codec():
    program = (
        "import sys; from nfcodec.compare.peers import peers_of; peers_of('image'); "
        "assert not {'PIL', 'imagecodecs'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_is_exact_and_no_larger_than_pillow_makes_it(channels, dtype):
    signal = picture(channels, dtype)
    assert PEERS["PNG"].settings(signal) == [{}]
    n_bytes, psnr = through(PEERS["PNG"], signal, {})
    assert psnr == np.inf
    assert n_bytes < signal.values.nbytes
    if dtype == np.uint8:
        from nfcodec.compare.peers.image import save_with_pillow

        assert n_bytes <= 1.005 * len(save_with_pillow(signal.values, "PNG", optimize=True))


@pytest.mark.parametrize("name", LOSSY)
def test_more_bytes_are_better_pictures_along_the_ladder(name):
    signal, peer = picture(), PEERS[name]
    settings = peer.settings(signal)
    assert len({tuple(setting) for setting in settings}) == 1
    assert len({text_of(setting) for setting in settings}) == len(settings)
    points = [through(peer, signal, setting) for setting in settings]
    for (bytes_a, psnr_a), (bytes_b, psnr_b) in zip(points, points[1:]):
        # the coarsest files are all header, and encoders are not strictly monotonic
        assert bytes_b > bytes_a - max(16, 0.02 * bytes_a), points
        assert psnr_b > psnr_a - 0.3, points
    assert points[-1][0] > 2 * points[0][0] and points[-1][1] > points[0][1] + 8, points
    assert points[-1][1] > 32, points  # none mixes up channels or axes


@pytest.mark.parametrize("name", LOSSY)
def test_a_setting_in_between_changes_the_file(name):
    signal, peer = picture(), PEERS[name]
    settings = peer.settings(signal)
    low, high = settings[3], settings[-4]
    middle = peer.between(low, high)
    files = [peer.encode(signal, **setting) for setting in (low, middle, high)]
    assert len(files[0]) < len(files[1]) < len(files[2])
    assert peer.between(low, low) is None


def test_halving_ends_before_settings_give_the_same_file():
    signal = picture(height=32, width=32)
    for name in ("AVIF 4:4:4", "JPEG 4:4:4"):
        peer, found = PEERS[name], 0
        low, high = {"quality": 70}, {"quality": 80}
        while middle := peer.between(low, high):
            assert len({peer.encode(signal, **setting) for setting in (low, middle, high)}) == 3
            low, found = middle, found + 1
        assert found >= 2
    # libavif has 64 steps for 101 qualities
    avif = PEERS["AVIF 4:4:4"]
    assert avif.between({"quality": 76}, {"quality": 78}) is None
    assert len({avif.encode(signal, quality=quality) for quality in (76, 77, 78)}) == 2


@pytest.mark.parametrize("name", ["JPEG 2000", "AVIF 4:4:4", "JPEG XL", "WebP"])
def test_files_are_the_same_each_time(name):
    signal, peer = picture(), PEERS[name]
    assert peer.encode(signal, **good(peer, signal)) == peer.encode(signal, **good(peer, signal))


@pytest.mark.parametrize("name", LOSSY)
def test_grey(name):
    signal, peer = picture(1), PEERS[name]
    if name == "JPEG 4:2:0":
        assert "grey" in peer.refuses(signal)
        return
    assert peer.refuses(signal) is None
    n_bytes, psnr = through(peer, signal, good(peer, signal))
    assert psnr > 35
    colour = Signal("image", np.repeat(signal.values, 3, axis=-1))
    assert n_bytes <= 1.01 * len(peer.encode(colour, **good(peer, colour)))


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_kept_or_refused(name, channels):
    signal, peer = picture(channels), PEERS[name]
    signal.values[:20, :, -1] = 0  # colours under it are measured too
    if name not in WITH_ALPHA:
        assert f"{channels} channels" in peer.refuses(signal)
        return
    if name == "JPEG XL":
        assert "alpha 0" in peer.refuses(signal)
        signal.values[:20] = 0
    assert peer.refuses(signal) is None
    decoded = peer.decode(peer.encode(signal, **good(peer, signal)), signal)
    for k in range(channels):
        assert metrics.image_psnr_db(signal.values[..., k], decoded[..., k]) > 25
    if "alpha lossless" in peer.how:
        assert (decoded[..., -1] == signal.values[..., -1]).all()


@pytest.mark.parametrize("name", PEERS)
def test_opaque_pictures_keep_their_alpha(name):
    signal = picture(4)
    signal.values[..., 3] = 255
    if name in WITH_ALPHA:
        peer = PEERS[name]
        decoded = peer.decode(peer.encode(signal, **peer.settings(signal)[-1]), signal)
        assert decoded.shape == signal.values.shape and (decoded[..., 3] >= 254).all()
    else:
        assert PEERS[name].refuses(signal)


@pytest.mark.parametrize("name", PEERS)
def test_sixteen_bits_are_held_or_refused(name):
    peer = PEERS[name]
    if name not in DEEP:
        assert "uint16" in peer.refuses(picture(3, np.uint16))
        return
    for channels in (1, 2, 3, 4):
        signal = picture(channels, np.uint16)
        assert peer.refuses(signal) is None
        points = [through(peer, signal, setting) for setting in peer.settings(signal)[::4]]
        assert points == sorted(points) and points[-1][1] > 31, points


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int16, np.uint32, np.bool_])
def test_other_dtypes_are_refused(name, dtype):
    why = PEERS[name].refuses(Signal("image", np.zeros((16, 16, 3), dtype)))
    assert name in why and np.dtype(dtype).name in why and "\n" not in why


@pytest.mark.parametrize("name", PEERS)
def test_other_shapes_are_refused(name):
    for shape in ((16, 16, 5), (4, 16, 16, 3)):
        assert f"{shape[-1]} channels" in PEERS[name].refuses(Signal("image", np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 1), (16, 16), (17, 3)])
def test_tiny_pictures(name, shape):
    peer = PEERS[name]
    for channels in (1, 3):
        signal = picture(channels, np.uint8, *shape)
        if peer.refuses(signal) is None:
            for setting in peer.settings(signal)[:: max(1, len(peer.settings(signal)) - 1)]:
                through(peer, signal, setting)


@pytest.mark.parametrize(("name", "side"), [("WebP", 16383), ("AVIF 4:4:4", 32768), ("JPEG 4:4:4", 65500), ("PNG", 1_000_000)])
def test_the_longest_side_works_and_the_next_is_refused(name, side):
    peer = PEERS[name]
    signal = Signal("image", np.full((1, side, 3), 100, np.uint8))
    assert peer.refuses(signal) is None
    assert through(peer, signal, peer.settings(signal)[0])[1] > 30
    why = peer.refuses(Signal("image", np.zeros((side + 1, 1, 3), np.uint8)))
    assert str(side) in why and str(side + 1) in why


def test_noise_does_not_break_jpeg():
    # its file is larger than the buffer that pillow allots by itself
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    signal = Signal("image", noise)
    assert through(PEERS["JPEG 4:4:4"], signal, {"quality": 95})[0] > 2 * 160 * 160 * 0.8


def test_pictures_beyond_pillows_guard_are_decoded(monkeypatch):
    from PIL import Image

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    signal = picture(height=32, width=32)
    through(PEERS["JPEG 4:4:4"], signal, {"quality": 90})
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("name", ANCHORS)
def test_kodim23_as_measured_elsewhere(name):
    table, source = SHARED / "anchors" / "kodak_measured.csv", SHARED / "data" / "images" / "kodim23.png"
    for path in (table, source):
        if not path.exists():
            pytest.skip(f"{path.name} is missing in {path.parent}")
    from PIL import Image

    values = np.array(Image.open(source).convert("RGB"))
    signal, peer = Signal("image", values), PEERS[name]
    with open(table, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["codec"] == ANCHORS[name] and row["image"] == "kodim23"]
    rows.sort(key=lambda row: float(row["bpp"]))
    settings = peer.settings(signal)[: len(rows)]  # the same ladder, small files first
    if name != "JPEG XL":  # its ladder is in distances, the table in qualities
        assert [list(setting.values()) for setting in settings] == [[int(re.search(r"\d+", row["setting"])[0])] for row in rows]
    # the table has libjxl 0.12, and 0.11 spends its bytes otherwise: only the curves are alike
    other_library = name == "JPEG XL" and "libjxl 0.11" in peer.version()
    chosen = slice(2, None, 2) if other_library else slice(0, 6, 5) if name == "AVIF 4:4:4" else slice(None, None, 4)
    expected = [(float(row["bpp"]) * values.shape[0] * values.shape[1] / 8, float(row["psnr_db"])) for row in rows[chosen]]
    points = [through(peer, signal, setting) for setting in settings[chosen]]
    if other_library:
        assert abs(metrics.bd_rate(*zip(*expected), *zip(*points))) < 5
        return
    for setting, (n_bytes, psnr), (n_expected, psnr_expected) in zip(settings[chosen], points, expected):
        assert n_bytes == pytest.approx(n_expected, rel=0.01), (setting, peer.version())
        assert psnr == pytest.approx(psnr_expected, abs=0.05), (setting, peer.version())
