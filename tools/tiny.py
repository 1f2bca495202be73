"""Bytes of tiny signals: icons, small volumes and short series, by nfcodec and by image codecs at no worse a PSNR.

    python tools/tiny.py [--photos FOLDER] [--volumes FILE.npy ...] [--quality 20,50,80] [--only icon] [-o results/tiny.tsv]

Flat, smooth and pixel art are drawn here; photos are cropped from the middle of the files of a folder and reduced, so that
a crop of 16 x 16 shows something. A peer's column holds the bytes of its smallest file that is no worse than ours.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path

import numpy as np
from tsv import ROOT, Table

import nfcodec
from nfcodec import encode
from nfcodec.measure import measure_decoded
from nfcodec.spec import Signal

_SETTINGS = {
    "webp": [{"quality": q, "method": 6} for q in (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 98, 100)]
    + [{"lossless": True, "quality": 100, "method": 6, "exact": True}],
    "avif": [{"quality": q, "speed": 2, "subsampling": "4:4:4"} for q in (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 98)],
}


def logo(n: int) -> np.ndarray:
    """(n, n, 4) uint8: a ring and a bar in two flat colours on transparent ground, with soft edges."""
    y, x = (np.mgrid[0:n, 0:n] + 0.5) / n - 0.5
    ring = np.clip(0.5 + (0.1 - np.abs(np.hypot(x, y) - 0.34)) * n, 0, 1)
    bar = np.clip(0.5 + (0.09 - np.abs(x + y) / math.sqrt(2)) * n, 0, 1) * (np.hypot(x, y) < 0.34)
    alpha = np.maximum(ring, bar)
    colour = np.where((bar > ring)[..., None], [250, 190, 40], [20, 90, 200]) * (alpha > 0)[..., None]
    return np.concatenate([colour, 255 * alpha[..., None]], -1).round().astype(np.uint8)


def gradient(n: int) -> np.ndarray:
    """(n, n, 4) uint8: colours that run into each other, opacity falling off from the middle."""
    y, x = (np.mgrid[0:n, 0:n] + 0.5) / n
    alpha = np.clip(1.3 - 1.8 * np.hypot(x - 0.5, y - 0.5), 0, 1)
    return (255 * np.stack([x, 1 - y, 0.5 + 0.5 * x * y, alpha], -1)).round().astype(np.uint8)


def pixel_art(n: int) -> np.ndarray:
    """(n, n, 4) uint8: a mirrored figure of 8 x 8 cells in four colours, hard edges, hard transparency."""
    half = np.random.default_rng(5).integers(0, 4, (8, 4))
    cells = np.concatenate([half, half[:, ::-1]], 1)
    palette = np.array([[0, 0, 0, 0], [30, 30, 40, 255], [220, 60, 50, 255], [250, 220, 170, 255]], np.uint8)
    return palette[cells[np.arange(n) * 8 // n][:, np.arange(n) * 8 // n]]


def photo(path: Path, n: int) -> np.ndarray:
    """(n, n, 3) uint8: the middle of a photo, reduced fourfold."""
    from PIL import Image

    with Image.open(path) as image:
        w, h = image.size
        edge = 4 * n
        box = ((w - edge) // 2, (h - edge) // 2, (w + edge) // 2, (h + edge) // 2)
        return np.asarray(image.convert("RGB").crop(box).resize((n, n), Image.Resampling.BOX))


def signals(photos: Path | None, volumes: list[Path]) -> dict[str, Signal]:
    """All signals by name, such as "icon-logo-rgba-16"."""
    found = {}
    for n in (8, 16, 32, 64):
        pictures = {"logo": logo(n), "gradient": gradient(n), "pixels": pixel_art(n)}
        for path in sorted(photos.glob("*.png"))[:3] if photos else ():
            pictures[path.stem] = photo(path, n)
        for name, picture in pictures.items():
            kinds = {"rgb": picture[..., :3]}
            if picture.shape[-1] == 4:
                alpha = picture[..., 3:] / 255.0
                kinds = {"rgba": picture, "rgb": (picture[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)}
            kinds["grey"] = (kinds["rgb"] @ [0.299, 0.587, 0.114])[..., None].round().astype(np.uint8)
            for kind, values in kinds.items():
                found[f"icon-{name}-{kind}-{n}"] = Signal("image", np.ascontiguousarray(values))
    for path in volumes:
        whole = np.load(path)
        whole = whole[len(whole) // 2] if whole.ndim == 4 else whole  # a frame
        for n in (8, 16):
            part = whole[tuple(slice((m - n) // 2, (m + n) // 2) for m in whole.shape)]
            found[f"volume-{path.stem}-{n}"] = Signal("volume", np.ascontiguousarray(part)[..., None])
    for n in (64, 256):
        t = np.arange(n) / n
        series = np.sin(9 * t) + 0.3 * np.sin(40 * t + 1) + np.random.default_rng(n).normal(0, 0.02, n)
        found[f"series-{n}"] = Signal("volume", series.astype(np.float32)[:, None])
    return found


def peer_files(signal: Signal, codec: str) -> list[tuple[int, float]]:
    """(bytes, PSNR in dB) of a codec's files of an image."""
    from PIL import Image

    values = signal.values
    image = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
    found = []
    for settings in _SETTINGS.get(codec, [{"optimize": True}]):
        buffer = io.BytesIO()
        image.save(buffer, codec.upper(), **settings)
        with Image.open(buffer) as back:
            decoded = np.asarray(back.convert(image.mode)).reshape(values.shape)
        found.append((len(buffer.getvalue()), measure_decoded(decoded, signal).psnr_db))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--volumes", type=Path, nargs="*", default=[])
    parser.add_argument("--quality", default="20,50,80")
    parser.add_argument("--effort", type=int, default=5)
    parser.add_argument("--only", default="", help="parts of the names of the signals to take, comma-separated")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "tiny.tsv")
    args = parser.parse_args()
    columns = "signal quality effort bytes psnr_db header network context levels meta png webp avif encode_s".split()
    table = Table(args.output, columns)
    for name, signal in signals(args.photos, args.volumes).items():
        if not any(part in name for part in args.only.split(",")):
            continue
        peers = {c: peer_files(signal, c) for c in ("png", "webp", "avif")} if signal.kind == "image" else {}
        for quality in args.quality.split(","):
            encoded = encode(signal, quality=float(quality), effort=args.effort)
            sizes = nfcodec.open(encoded.data).sizes
            at_least = encoded.report.psnr_db
            matched = [min((n for n, db in peers.get(c, ()) if db >= at_least), default=None) for c in ("png", "webp", "avif")]
            table.add(
                name, quality, args.effort, len(encoded.data), encoded.report.psnr_db, sizes["header_bytes"],
                sizes["network_bytes"], sizes["context_bytes"], sum(sizes["level_bytes"]), sizes["meta_bytes"],
                *matched, encoded.seconds,
            )  # fmt: skip


if __name__ == "__main__":
    main()
