"""Films: animations, Y4M and numbered images in and out, and fields of time that are read between frames."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import nfcodec
from nfcodec import io
from nfcodec.cli import main
from nfcodec.cli.values import SCALE
from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Signal

PIL = pytest.importorskip("PIL.Image", reason="animations need pillow")


def film(n=6, h=14, w=18, channels=3, dtype=np.uint8, seed=0):
    """A smooth pattern that moves to the right, (n, h, w, channels)."""
    rng = np.random.default_rng(seed)
    t, y, x = np.mgrid[:n, :h, :w]
    phases = rng.uniform(0, 6, channels)
    values = np.stack([0.5 + 0.4 * np.sin(0.5 * (x - 0.7 * t) + p) * np.cos(0.3 * y + p) for p in phases], -1)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".apng", ".webp"])
def test_animations_without_loss(tmp_path, suffix, channels):
    values = film(channels=channels)
    io.write_lattice(tmp_path / f"a{suffix}", values, {"frame_rate": 20, "loop": 3})
    signal = io.read(tmp_path / f"a{suffix}")
    assert signal.kind == "volume" and signal.is_picture and np.array_equal(signal.values, values)
    assert signal.meta["frame_rate"] == 20 and signal.meta["axes"] == ("tyxc" if channels > 1 else "tyx") and signal.meta["loop"] == 3
    # one frame is an image
    io.write_lattice(tmp_path / f"b{suffix}", values[0], {})
    assert io.read(tmp_path / f"b{suffix}").kind == "image"


def test_gif_has_256_colours_and_hundredths_of_seconds(tmp_path):
    grey = film(channels=1)
    io.write_lattice(tmp_path / "a.gif", grey, {"frame_rate": 25})
    signal = io.read(tmp_path / "a.gif")
    assert np.array_equal(signal.values, grey) and signal.meta["frame_rate"] == 25
    with pytest.warns(UserWarning, match="256 colours"):
        io.write_lattice(tmp_path / "b.gif", film(), {"frame_rate": 10})
    assert np.abs(io.read(tmp_path / "b.gif").values.astype(int) - film()).mean() < 12
    with pytest.warns(UserWarning, match="30 a second become 33.3"):
        io.write_lattice(tmp_path / "c.gif", grey, {"frame_rate": 30})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        io.write_lattice(tmp_path / "d.gif", film()[0], {})
    assert io.read(tmp_path / "d.gif").kind == "image" and io.read(tmp_path / "d.gif").extent == (14, 18)


def test_uneven_frames_are_told(tmp_path):
    images = [PIL.fromarray(frame[..., 0]) for frame in film(3, channels=1)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 200, 300])
    with pytest.warns(UserWarning, match="0.1 to 0.3 s"):
        assert io.read(tmp_path / "a.gif").meta["frame_rate"] == 5


@pytest.mark.parametrize("chroma, full", [("444", False), ("420jpeg", False), ("422", True), ("411", False), ("420p10", False), ("444p16", True)])
def test_y4m_that_is_read_is_written_again(tmp_path, chroma, full):
    deep = "p1" in chroma
    values = film(5, 13, 18, dtype=np.uint16 if deep else np.uint8)
    meta = {"frame_rate": 30000 / 1001, "y4m": {"chroma": chroma, "full_range": full, "aspect": "4:3"}}
    io.write_lattice(tmp_path / "a.y4m", values, meta)
    signal = io.read(tmp_path / "a.y4m")
    assert signal.values.shape == values.shape and signal.values.dtype == values.dtype and signal.is_picture
    assert signal.meta["frame_rate"] == pytest.approx(30000 / 1001, abs=1e-6)
    if chroma.startswith("444"):
        assert np.abs(signal.values.astype(int) - values).max() <= (400 if deep else 3)
    io.write_lattice(tmp_path / "b.y4m", signal.values, signal.meta)
    a, b = ((tmp_path / name).read_bytes() for name in ("a.y4m", "b.y4m"))
    head = a.index(b"\n")
    assert a[:head] == b[:head] and f"F30000:1001 Ip A4:3 C{chroma}".encode() in a[:head] and len(a) == len(b)
    if not deep:
        numbers = [np.frombuffer(x[head:].replace(b"FRAME\n", b""), np.uint8).astype(int) for x in (a, b)]
        assert np.abs(numbers[0] - numbers[1]).max() <= 2


def test_y4m_of_known_colours(tmp_path):
    """Black, white and pure red by BT.601 (ITU-R BT.601-7, section 2.5.4), two pixels of each."""
    y, cb, cr = [16, 16, 235, 235, 81, 81], [128, 128, 128, 128, 90, 90], [128, 128, 128, 128, 240, 240]
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W6 H1 F25:1 C444\nFRAME\n" + bytes(y + cb + cr))
    values = io.read(tmp_path / "a.y4m").values
    assert np.abs(values[0, 0, ::2].astype(int) - [[0, 0, 0], [255, 255, 255], [255, 0, 0]]).max() <= 2
    (tmp_path / "b.y4m").write_bytes(b"YUV4MPEG2 W2 H1 F25:1 Cmono\nFRAME\n" + bytes([16, 235]))
    assert io.read(tmp_path / "b.y4m").values.ravel().tolist() == [0, 255]


@pytest.mark.parametrize("head, body, text", [
    (b"YUV4MPEG2 W4 H2 F25:1 It C444", b"FRAME\n" + bytes(24), "interlacing"),
    (b"YUV4MPEG2 W4 H2 F25:0", b"FRAME\n" + bytes(12), "rate"),
    (b"YUV4MPEG2 W4 F25:1", b"", "size"),
    (b"YUV4MPEG2 W4 H2 F25:1 C444alpha", b"FRAME\n" + bytes(32), "chroma"),
    (b"YUV4MPEG2 W4 H2 F25:1 C444", b"FRAME\n" + bytes(23), "cut short|no frames"),
    (b"YUV4MPEG2 W4 H2 F25:1 C444", b"FRAME\n" + bytes(24) + b"FRA", "cut short"),
    (b"YUV4MPEG2 W40000000 H2000000 F25:1", b"FRAME\n", "no frames|limit"),
    (b"YUV4", b"", "no YUV4MPEG2"),
])
def test_broken_y4m_is_refused(tmp_path, head, body, text):
    (tmp_path / "a.y4m").write_bytes(head + b"\n" + body)
    with pytest.raises(SignalError, match=text):
        io.read(tmp_path / "a.y4m")


def test_numbered_images(tmp_path):
    values = film(dtype=np.uint16)
    for k, frame in enumerate(values):
        io.write_lattice(tmp_path / f"shot {k + 7:03d}.png", frame, {})
    (tmp_path / "shot 7x.png").write_bytes(b"")
    signal = io.read(tmp_path / "shot %03d.png", frame_rate=12)
    assert np.array_equal(signal.values, values) and signal.kind == "volume" and signal.is_picture
    assert (signal.meta["frame_rate"], signal.meta["first_frame"], signal.meta["format"]) == (12, 7, "frames")
    assert np.array_equal(io.read(tmp_path / "shot 0*.png").values, values)
    (tmp_path / "out").mkdir()
    io.write_lattice(tmp_path / "out" / "%d.png", signal.values, signal.meta)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f"{k}.png" for k in range(7, 13))
    assert np.array_equal(io.read(tmp_path / "out" / "%d.png").values, values)
    with pytest.raises(UsageError, match="exists already"):
        io.write_lattice(tmp_path / "out" / "%d.png", signal.values, signal.meta)
    io.write_lattice(tmp_path / "out" / "%d.png", signal.values[:, :4], signal.meta, overwrite=True)
    assert io.read(tmp_path / "out" / "%d.png").extent == (6, 4, 18)
    io.write_lattice(tmp_path / "out" / "9.png", values[0, :5], {}, overwrite=True)
    with pytest.raises(SignalError, match=r"'9.png' as a frame: got \(5, 18, 3\)"):
        io.read(tmp_path / "out" / "%d.png")
    with pytest.raises(UsageError, match="no file is named like that"):
        io.read(tmp_path / "none-%04d.png")
    with pytest.raises(UsageError, match="expected a film"):
        io.write_lattice(tmp_path / "x-%04d.png", values[0], {})


def test_what_is_no_film_is_refused(tmp_path):
    for values, text in ((np.zeros((3, 4, 5, 2), np.uint8), "1, 3 or 4 channels"), (film().astype(np.float32), "got float32")):
        for name in ("a.gif", "a.png", "a.y4m"):
            with pytest.raises(UsageError, match=text):
                io.write_lattice(tmp_path / name, values, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, h, w", [("a.mp4", 16, 24), ("a.mkv", 15, 23)])
def test_compressed_video(tmp_path, name, h, w):
    pytest.importorskip("av", reason="MP4 needs PyAV, the extra [video]")
    values = film(7, h, w)
    io.write_lattice(tmp_path / name, values, {"frame_rate": 30000 / 1001})
    signal = io.read(tmp_path / name)
    assert signal.values.shape == values.shape and signal.is_picture and signal.meta["frame_rate"] == pytest.approx(29.97, abs=0.2)
    # chroma of these small patterns suffers from half the resolution, luma does not
    assert np.abs((signal.values.astype(int) - values) @ [0.299, 0.587, 0.114]).mean() < 2
    (tmp_path / "b.mp4").write_bytes((tmp_path / name).read_bytes()[:100])
    with pytest.raises(SignalError, match="b.mp4"):
        io.read(tmp_path / "b.mp4")


def test_video_without_its_extra_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"something")
    with pytest.raises(MissingExtraError, match=r"nfcodec\[video\]"):
        io.read(tmp_path / "a.mp4")


def test_scales_of_each_axis():
    assert SCALE.convert("2.5", None, None) == 2.5 and SCALE.convert("2,1,0.5", None, None) == (2.0, 1.0, 0.5)
    field = nfcodec.open(Path(__file__).parents[1] / "spec" / "golden" / "volume-film.nfld")
    n, h, w = field.spec.extent
    assert field.decode(scale=(2, 1, 0.5)).shape == (2 * n, h, round(w / 2), 3)
    assert np.array_equal(field.decode(scale=(2, 2, 2)), field.decode(scale=2))
    with pytest.raises(UsageError, match="got 2 scales"):
        field.decode(scale=(2, 1))
    with pytest.raises(UsageError, match="expected a positive number"):
        field.decode(scale=(2, 1, 0))


def test_a_film_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values = film(8)
    io.write_lattice("a.y4m", values, {"frame_rate": 10})
    for k, frame in enumerate(values[:3]):
        io.write_lattice(f"f{k:02d}.png", frame, {})
    assert main(["encode", "a.y4m", "--effort", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "volume" and facts["psnr_db"] > 24
    assert main(["verify", "a.nfld", "a.y4m"]) == 0
    capsys.readouterr()
    for command in (["--out-dir", "back"], ["-o", "slow.png", "--scale", "2,1,1"], ["-o", "part.webp", "--region", "0.2s:0.6s,:,50%:"], ["-o", "f-%02d.png"]):
        assert main(["decode", "a.nfld", *command, "--quiet"]) == 0
    field = nfcodec.open("a.nfld")
    back, slow, part = (io.read(name) for name in ("back/a.y4m", "slow.png", "part.webp"))
    assert np.abs(back.values.astype(int) - field.decode()).max() <= 3 and back.meta["frame_rate"] == 10
    assert slow.extent == (16, 14, 18) and slow.meta["frame_rate"] == 20
    assert np.array_equal(part.values, field.decode()[2:6, :, 9:]) and part.meta["frame_rate"] == 10
    assert np.array_equal(io.read("f-%02d.png").values, field.decode())
    assert main(["encode", "f%02d.png", "--frame-rate", "5", "--effort", "1", "--quiet"]) == 0
    assert nfcodec.open("f.nfld").meta["frame_rate"] == 5
    assert main(["decode", "f.nfld", "--out-dir", "frames", "--quiet"]) == 0
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == ["f-0000.png", "f-0001.png", "f-0002.png"]


def test_colour_of_films_is_kept_at_half_the_resolution():
    pytest.importorskip("torch", reason="fitting needs torch")
    from nfcodec.fit.presets import choose
    from nfcodec.fit.source import from_lattice

    for channels, features in ((3, (3, 1)), (1, (1, 1))):
        signal = Signal("volume", film(16, 32, 32, channels), meta={"quantity": "colour"})
        source = from_lattice(signal)
        assert source.is_color == (channels == 3) and source.scale == (255.0,) * channels
        assert choose(source, 1e-3, "dense", 3).grid.n_features[-2:] == features
    assert not from_lattice(Signal("volume", film(16, 32, 32))).is_color


def test_volumes_in_time_from_end_to_end(tmp_path, monkeypatch):
    """Of whatever format: the same samples, and time steps that follow the scale of time alone."""
    monkeypatch.chdir(tmp_path)
    values = film(4, 5, 6, channels=1)[:, None].repeat(3, 1)  # (t, z, y, x, 1)
    meta = {"axes": "tzyx", "time_step": 20.0, "time_units": "ms", "spacing": [3.0, 2.0, 1.0], "units": "mm"}
    io.write_lattice("a.nii.gz", values, meta)
    assert main(["encode", "a.nii.gz", "--effort", "1", "--quality", "80", "--quiet"]) == 0
    field = nfcodec.open("a.nfld")
    assert field.spec.extent == (4, 3, 5, 6) and field.meta["time_step"] == 20
    for name in ("b.nii.gz", "b.nrrd", "b.npy", "b.h5", "b.tif"):
        assert main(["decode", "a.nfld", "-o", name, "--scale", "2,1,1,1", "--quiet"]) == 0
        back = io.read(name)
        assert np.array_equal(back.values, field.decode(scale=(2, 1, 1, 1)))
        if name != "b.npy":
            assert back.meta["time_step"] == 10 and back.meta["spacing"] == [3, 2, 1]
    assert main(["decode", "a.nfld", "-o", "part.npy", "--region", "0.02s:0.06s,:,:,:", "--quiet"]) == 0
    assert np.array_equal(io.read("part.npy").values, field.decode()[1:3])
