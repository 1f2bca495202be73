"""Sound as fields beside FLAC, Vorbis and Opus; rows are appended to results/sound.tsv.

    python tools/bench_sound.py [FILE.wav ...] [--qualities 50 80 100] [--effort 3] [--seconds 4]

Without files: notes that die away over quiet noise, drawn here, of 24000 samples a second. Peers come from libsndfile, where the
package soundfile is installed; Opus knows few sample rates. SNR is that of decoded samples in the source's dtype: a psychoacoustic
codec aims at what is heard instead, so that it understates Vorbis and Opus.
"""

from __future__ import annotations

import argparse
import io as memory
import time
from pathlib import Path

import numpy as np
from bench import ROOT, Table

import nfcodec
from nfcodec import io
from nfcodec.casting import cast
from nfcodec.spec import Signal

COLUMNS = "file rate samples channels codec setting effort seed bytes kbit_s snr_db encode_s"
RATE = 24000
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
SIREN = {"encoding": "identity", "activation": "sine", "network": "64x3"}


def notes(seconds: float) -> Signal:
    """Chords of decaying harmonics over quiet noise, int16, one channel."""
    rng, t = np.random.default_rng(0), np.arange(round(seconds * RATE)) / RATE
    x = 0.003 * rng.normal(size=len(t))
    for k in range(int(4 * seconds)):
        since = t - k / 4
        envelope = np.where(since >= 0, np.exp(-5 * np.maximum(since, 0)), 0) * (1 - np.exp(-200 * np.maximum(since, 0)))
        for f in 110 * 2 ** (rng.choice([0, 3, 7, 10, 12, 15, 19], 3) / 12):
            x += envelope * sum(np.sin(2 * np.pi * f * h * since + rng.uniform(0, 6)) / h**1.5 for h in range(1, 12))
    values = np.rint(0.8 * x / np.abs(x).max() * 32767).astype(np.int16)[:, None]
    return Signal("volume", values, meta={"axes": "t", "sample_rate": RATE, "source": "notes"})


def snr_db(source: np.ndarray, decoded: np.ndarray) -> float:
    error = np.mean(np.square(source.astype(np.float64) - decoded))
    return float(10 * np.log10(source.var(dtype=np.float64) / error)) if error else float("inf")


def peers(signal: Signal):
    """(codec, setting, bytes, decoded, seconds) of each that is there."""
    try:
        import soundfile
    except ImportError:
        return
    rate, values = round(signal.meta["sample_rate"]), signal.values
    white = 128.0 if values.dtype == np.uint8 else 32768.0
    floats = (values.astype(np.float64) - (128 if values.dtype == np.uint8 else 0)) / white
    runs = [("FLAC", "FLAC", "PCM_S8" if values.dtype == np.uint8 else "PCM_16", [1.0])]
    runs.append(("Vorbis", "OGG", "VORBIS", [1.0, 0.7, 0.4, 0.0]))
    if rate in OPUS_RATES:
        runs.append(("Opus", "OGG", "OPUS", [1.0, 0.9, 0.7, 0.4]))
    for codec, container, subtype, levels in runs:
        for level in levels:
            start, buffer = time.monotonic(), memory.BytesIO()
            soundfile.write(buffer, floats, rate, format=container, subtype=subtype, compression_level=level)
            seconds, data = time.monotonic() - start, buffer.getvalue()
            decoded = soundfile.read(memory.BytesIO(data), always_2d=True)[0][: len(floats)] * white
            decoded = np.pad(decoded, ((0, len(floats) - len(decoded)), (0, 0))) + (128 if values.dtype == np.uint8 else 0)
            yield codec, f"level {level:g}", data, cast(decoded, values.dtype), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--qualities", nargs="*", type=float, default=[50, 80, 100])
    parser.add_argument("--effort", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--siren", action="store_true", help="a network of sines alone too, whose fit takes long")
    parser.add_argument("--lossless", action="store_true", help="without loss too")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "sound.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split())
    for signal in [io.read(file) for file in args.files] or [notes(args.seconds)]:
        rate, n = signal.meta["sample_rate"], len(signal.values)
        source = signal.meta["source"], rate, n, signal.channels

        def add(codec, setting, data, decoded, seconds, effort=None, seed=None):
            kbit = 8 * len(data) * rate / n / 1000
            table.add(*source, codec, setting, effort, seed, len(data), kbit, snr_db(signal.values, decoded), seconds)

        for found in peers(signal):
            add(*found)
        runs = [(f"quality {q:g}", {"quality": q}) for q in args.qualities]
        runs += [("lossless", {"lossless": True})] * args.lossless
        for setting, options in runs + ([("quality 50, SIREN 64x3", SIREN)] if args.siren else []):
            encoded = nfcodec.encode(signal, effort=args.effort, **options)
            add("nfcodec", setting, encoded.data, nfcodec.open(encoded.data).decode(), encoded.seconds, effort=args.effort, seed=0)


if __name__ == "__main__":
    main()
