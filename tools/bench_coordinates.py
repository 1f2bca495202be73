"""Networks of coordinates in the settings of their papers; rows are appended to a TSV under results/.

    python tools/bench_coordinates.py siren IMAGE [--size 256] [--network 256x4] [--steps 2000] [--stride 2]
    python tools/bench_coordinates.py fourier IMAGE [--size 512] [--network 256x4] [--steps 2000] [--stride 2] [--encodings ...]

siren: a grey square from the middle of a picture, fitted by a network of sines (Sitzmann et al. 2020, section 4: 256x256, layers
of 256, omega 30). fourier: half the rows and columns of a colour square are fitted, all others are asked for, with each encoding in
turn (Tancik et al. 2020, section 6, images: 512x512, 4 layers of 256 ReLUs, sigma 10). PSNR is that of the finished bytes. A stride
of 1 is the papers' full batch; of 2, a step sees every second sample along each axis, beginning with another one each time.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench import ROOT, Table
from PIL import Image

import nfcodec
from nfcodec.choice import parse_network
from nfcodec.fit import presets
from nfcodec.fit.build import build
from nfcodec.fit.source import from_lattice
from nfcodec.fit.train import Progress, Recipe
from nfcodec.pack import pack
from nfcodec.spec import Signal

COLUMNS = "study file size encoding activation network steps stride lmbda seed bytes psnr_db psnr_unseen_db fit_s"
LMBDA = {"siren": 1e-8, "fourier": 1e-8}  # papers count no bits: these are worth next to nothing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=LMBDA)
    parser.add_argument("image", type=Path)
    parser.add_argument("--size", type=int, help="edge of the square: 256 for siren, 512 for fourier")
    parser.add_argument("--network", default="256x4")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encodings", nargs="+", default=["identity", "random-fourier:n_frequencies=256,sigma=10"])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "coordinates.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split())
    size = args.size or {"siren": 256, "fourier": 512}[args.study]
    picture = square(args.image, size, grey=args.study == "siren")
    seen = picture if args.study == "siren" else picture[::2, ::2]
    runs = [("identity", "sine")] if args.study == "siren" else [(encoding, "relu") for encoding in args.encodings]
    for encoding, activation in runs:
        data, seconds = fit(seen, encoding, activation, args)
        field = nfcodec.open(data)
        unseen = None
        if args.study == "fourier":
            # pixel i of the whole lies where pixel i / 2 of what was seen does
            axes = [(np.arange(n) / 2 + 0.5) / m for n, m in zip(picture.shape, seen.shape[:2])]
            found = np.rint(field.sample_lattice(axes))
            is_unseen = np.ones(picture.shape[:2], bool)
            is_unseen[::2, ::2] = False
            unseen = psnr(found[is_unseen], picture[is_unseen])
        table.add(
            args.study, args.image.name, size, encoding, activation, args.network, args.steps, args.stride, LMBDA[args.study],
            args.seed, len(data), psnr(field.decode(), seen), unseen, seconds,
        )  # fmt: skip


def square(path: Path, size: int, grey: bool) -> np.ndarray:
    """The middle of a picture, (size, size, C) uint8."""
    picture = np.asarray(Image.open(path).convert("L" if grey else "RGB"))
    top, left = ((n - size) // 2 for n in picture.shape[:2])
    if min(top, left) < 0:
        raise SystemExit(f"{path}: got {picture.shape[:2]} pixels, expected at least {size} along each axis")
    return picture[top : top + size, left : left + size].reshape(size, size, -1)


def fit(values: np.ndarray, encoding: str, activation: str, args) -> tuple[bytes, float]:
    """(a finished file, seconds)."""
    start = time.monotonic()
    source = from_lattice(Signal("image", values))
    lmbda = LMBDA[args.study]
    preset = presets.choose(source, lmbda, encoding, 5, activation=activation, network=parse_network(args.network))
    fitted = build(source, replace(preset, stride=args.stride), args.seed)
    fitted.run(Recipe(n_steps=args.steps, lmbda=lmbda), tell=tell)
    model = fitted.model.eval()
    return pack(model.spec, model.freeze()), time.monotonic() - start


def tell(progress: Progress) -> None:
    if progress.step % max(1, progress.n_steps // 20) == 0:
        psnr_db = -10 * math.log10(max(progress.distortion, 1e-12))
        print(f"step {progress.step} of {progress.n_steps}: {psnr_db:.2f} dB, {progress.seconds:.0f} s", flush=True)


def psnr(found: np.ndarray, wanted: np.ndarray) -> float:
    """Of 8-bit samples, in dB."""
    error = np.square(np.clip(found, 0, 255).astype(np.float64) - wanted).mean()
    return 10 * math.log10(255**2 / max(error, 1e-12))


if __name__ == "__main__":
    main()
