"""Sound: WAV in and out, fields of one axis, and what is kept of time."""

import json
import warnings
import wave

import numpy as np
import pytest

import nfcodec
from nfcodec import io
from nfcodec.cli import main
from nfcodec.errors import SignalError, UsageError
from nfcodec.io.placement import samples_per_second
from nfcodec.spec import Signal

RATE = 8000


def notes(n=2400, channels=1, seed=0):
    """Two tones that die away over quiet noise, (n, channels), within -1 and 1."""
    t, rng = np.arange(n) / RATE, np.random.default_rng(seed)
    tones = [np.sin(2 * np.pi * f * t + c) * np.exp(-4 * t) for c in range(channels) for f in (220, 330)]
    return 0.45 * (np.stack(tones[::2], 1) + np.stack(tones[1::2], 1)) + 0.003 * rng.normal(size=(n, channels))


def as_dtype(values, dtype, bits):
    return values.astype(dtype) if dtype == np.float32 else np.rint(values * (2.0 ** (bits - 1) - 1) + 128 * (bits == 8)).astype(dtype)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("dtype, bits", [(np.uint8, 8), (np.int16, 16), (np.int32, 24), (np.int32, 32), (np.float32, 32), (np.float64, 64)])
def test_what_is_written_is_read_again(tmp_path, dtype, bits, channels):
    values = as_dtype(notes(101, channels), dtype if bits != 64 else np.float32, bits).astype(dtype)
    meta = {"sample_rate": 22050, "axes": "tc" if channels > 1 else "t"} | ({"bit_depth": 24} if bits == 24 else {})
    io.write_lattice(tmp_path / "a.wav", values, meta)
    signal = io.read(tmp_path / "a.wav")
    assert signal.kind == "volume" and signal.values.dtype == dtype and np.array_equal(signal.values, values)
    assert {key: signal.meta.get(key) for key in meta} == meta
    assert (tmp_path / "a.wav").stat().st_size < values.size * bits // 8 + 100


def test_another_reader_sees_24_bits(tmp_path):
    values = np.array([[-(1 << 23)], [-1], [0], [70000], [(1 << 23) - 1]], np.int32)
    io.write_lattice(tmp_path / "a.wav", values, {"sample_rate": 48000, "bit_depth": 24, "axes": "t"})
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getsampwidth(), file.getframerate(), file.getnchannels()) == (3, 48000, 1)
        raw = file.readframes(5)
    assert [int.from_bytes(raw[k : k + 3], "little", signed=True) for k in range(0, 15, 3)] == values[:, 0].tolist()


def test_rates_that_wav_cannot_hold_are_told(tmp_path):
    with pytest.warns(UserWarning, match="no sample rate is known, 44100"):
        io.write_lattice(tmp_path / "a.wav", np.zeros((9, 1), np.int16), {})
    with pytest.warns(UserWarning, match="100.5 is rounded"):
        io.write_lattice(tmp_path / "b.wav", np.zeros((9, 1), np.int16), {"sample_rate": 100.5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        io.write_lattice(tmp_path / "c.wav", np.zeros((9, 1), np.int16), {"sample_rate": 22050.4})
    assert io.read(tmp_path / "c.wav").meta["sample_rate"] == 22050


@pytest.mark.parametrize("values, text", [(np.zeros((4, 4, 1), np.int16), "one axis"), (np.zeros((4, 1), np.uint16), "got uint16")])
def test_what_wav_cannot_hold_is_refused(tmp_path, values, text):
    with pytest.raises(UsageError, match=text):
        io.write_lattice(tmp_path / "a.wav", values)
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_refused(tmp_path):
    io.write_lattice(tmp_path / "a.wav", as_dtype(notes(500), np.int16, 16), {"sample_rate": RATE})
    data = (tmp_path / "a.wav").read_bytes()
    for name, content in (("short.wav", data[:-200]), ("head.wav", data[:30]), ("text.wav", b"RIFF of nothing"), ("png.wav", b"\x89PNG\r\n\x1a\n" + data)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SignalError, match=name):
            io.read(tmp_path / name)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SignalError, match="looks like wav"):
        io.read(tmp_path / "a.png")


def test_arrays_of_one_axis(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(20, dtype=np.int16))
    assert io.read(tmp_path / "a.npy").extent == (20,) and io.read(tmp_path / "a.npy").meta["axes"] == "x"
    assert io.read(tmp_path / "a.npy", axes="t").meta["axes"] == "t"
    np.save(tmp_path / "b.npy", np.zeros((20, 2), np.float32))
    assert io.read(tmp_path / "b.npy", axes="tc").values.shape == (20, 2)
    for axes in ("zx", "c", "tt", "q"):
        with pytest.raises(UsageError, match="axes"):
            io.read(tmp_path / "b.npy", axes=axes)
    for suffix in (".nrrd", ".h5", ".npz", ".raw"):
        io.write_lattice(tmp_path / f"c{suffix}", np.arange(9, dtype=np.int16)[:, None], {"axes": "t", "time_step": 0.5})
    assert io.read(tmp_path / "c.nrrd").meta["axes"] == "t" and io.read(tmp_path / "c.nrrd").meta["time_step"] == 0.5
    for suffix in (".nii", ".tif", ".png"):
        with pytest.raises(UsageError, match="writing"):
            io.write_lattice(tmp_path / f"d{suffix}", np.arange(9, dtype=np.uint8)[:, None], {"axes": "t"})


def test_rates_follow_a_change_of_resolution():
    meta = {"axes": "t", "sample_rate": 8000}
    assert io.rescale_meta(meta, (800,), None, (400,))["sample_rate"] == 4000
    assert io.rescale_meta(meta, (800,), ((0.25, 0.5),), (400,))["sample_rate"] == 16000
    assert io.rescale_meta(meta, (800,), ((0.25, 0.5),), (200,))["sample_rate"] == 8000
    assert samples_per_second(meta) == 8000 and samples_per_second({"time_step": 20, "time_units": "ms"}) == 50
    assert samples_per_second({"time_step": -1}) is None and samples_per_second({"sample_rate": "x"}) is None


def test_sound_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values = as_dtype(notes(channels=2), np.int16, 16)
    io.write_lattice("a.wav", values, {"sample_rate": RATE, "axes": "tc"})
    assert main(["encode", "a.wav", "--quality", "90", "--effort", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    noise = np.mean((nfcodec.open("a.nfld").decode().astype(float) - values) ** 2)
    assert facts["kind"] == "volume" and facts["snr_db"] == pytest.approx(10 * np.log10(values.var() / noise)) and facts["snr_db"] > 20
    assert main(["info", "a.nfld"]) == 0 and "sample_rate 8000" in capsys.readouterr().out
    assert main(["verify", "a.nfld", "a.wav"]) == 0 and f"SNR {facts['snr_db']:.2f} dB" in capsys.readouterr().out
    assert main(["decode", "a.nfld", "--out-dir", "back"]) == 0
    assert main(["decode", "a.nfld", "-o", "half.wav", "--scale", "0.5"]) == 0
    assert main(["decode", "a.nfld", "-o", "part.wav", "--region", "0.1s:0.2s"]) == 0
    assert main(["decode", "a.nfld", "-o", "same.wav", "--region", "800:1600"]) == 0
    back, half, part = (io.read(name) for name in ("back/a.wav", "half.wav", "part.wav"))
    assert np.array_equal(back.values, nfcodec.open("a.nfld").decode()) and back.meta["sample_rate"] == RATE
    assert half.values.shape == (1200, 2) and half.meta["sample_rate"] == RATE // 2
    assert np.array_equal(part.values, back.values[800:1600]) and part.meta["sample_rate"] == RATE
    assert np.array_equal(part.values, io.read("same.wav").values)
    assert main(["decode", "a.nfld", "-o", "b.wav", "--region", "0.1s:9s"]) == 2 and "within a source" in capsys.readouterr().err
    assert main(["decode", "a.nfld", "-o", "b.png"]) == 2


def test_lossless_sound(tmp_path):
    values = as_dtype(notes(1200), np.int16, 16)
    encoded = nfcodec.encode(Signal("volume", values, meta={"axes": "t"}), lossless=True, effort=1)
    assert np.array_equal(nfcodec.open(encoded.data).decode(), values) and len(encoded.data) < values.nbytes


def test_a_long_axis_takes_no_matrix_of_it():
    """Weights of an axis are kept as a band: those of a whole tile would be 16384 x 16384 numbers."""
    import torch

    from nfcodec.encodings.interpolate import axis_taps
    from nfcodec.fit.plan import AxisWeights

    def weights(n, m):
        index, found = axis_taps((np.arange(n) + 0.5) / n, m, (0.0, 0.5))
        return AxisWeights((n, m), index, [found])

    for n, m in ((60, 30), (5000, 2500)):
        axis = weights(n, m)
        x = torch.randn(2, m, 3, generator=torch.Generator().manual_seed(0))
        expected = torch.einsum("nm,fmk->fnk", axis.matrix(None)[1::2], x)
        assert torch.allclose(axis.along(x, 1, None, 1, 2), expected, atol=1e-5)
