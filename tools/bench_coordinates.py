"""Networks of coordinates in the settings of their papers; rows are appended to a TSV under results/.

    python tools/bench_coordinates.py siren IMAGE ... [--size 256] [--network 256x4] [--steps 15000] [--stride 1] [--device cuda]
    python tools/bench_coordinates.py fourier IMAGE ... [--size 512] [--network 256x3] [--steps 2000] [--stride 1] [--rate R] [--encodings ...]
    python tools/bench_coordinates.py fourier-reference IMAGE ... [--size 512] [--steps 2000]

IMAGE: a file, or skimage:camera and the like. siren: a grey square (the picture made smaller), fitted by a network of sines
(Sitzmann et al. 2020, section 4.1: 256x256, five layers of 256, omega 30, Adam at 1e-4). fourier: half the rows and columns of a
colour square are fitted, those between are asked for, with each encoding in turn (Tancik et al. 2020, section 6 and its code:
512x512, of four layers of 256 ReLUs the last is the output, Adam at 1e-3, 2000 steps, sigma 10; without the mapping 19.3 dB, with it
25.6, mean of 16 pictures, which the repository of FINER, Liu et al. 2024, keeps as data/div2k/test_data). PSNR is that of the finished bytes. Steps here are papers' full batches where the stride is 1; of 2, a
step sees every second sample along each axis, beginning with another one each time. fourier-reference: the same pictures by the
paper's network in plain torch (`fourier_reference.py`), so that margins are compared on the same pictures.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import fourier_reference
import numpy as np
import pictures
import torch
from tsv import ROOT, Table

import nfcodec
from nfcodec.choice import parse_network
from nfcodec.fit import presets
from nfcodec.fit.build import build
from nfcodec.fit.source import from_lattice
from nfcodec.fit.train import Progress, Recipe
from nfcodec.pack import pack
from nfcodec.spec import Signal

COLUMNS = "study file size encoding activation network steps stride lmbda rate seed bytes psnr_db psnr_unseen_db fit_s"
LMBDA = {"siren": 1e-8, "fourier": 1e-8}  # papers count no bits: these are worth next to nothing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=[*LMBDA, "fourier-reference"])
    parser.add_argument("images", nargs="+")
    parser.add_argument("--size", type=int, help="edge of the square: 256 for siren, 512 for fourier")
    parser.add_argument("--network", help="256x4 for siren, 256x3 for fourier")
    parser.add_argument("--steps", type=int, help="15000 for siren, 2000 for fourier")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--rate", type=float, help="of Adam, if not what suits the activation and width")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--encodings", nargs="+", default=["identity", "random-fourier:n_frequencies=256,sigma=10"])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "coordinates.tsv")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    table = Table(args.output, COLUMNS.split(), args.device)
    is_siren = args.study == "siren"
    size = args.size or (256 if is_siren else 512)
    args.network = args.network or ("256x4" if is_siren else "256x3")
    args.steps = args.steps or (15000 if is_siren else 2000)
    runs = [("identity", "sine")] if is_siren else [(encoding, "relu") for encoding in args.encodings]
    for image in args.images:
        picture = pictures.middle(pictures.load(image, grey=is_siren), size, shrink=True)
        seen = picture if is_siren else np.ascontiguousarray(picture[::2, ::2])
        if args.study == "fourier-reference":
            for row in reference(picture, args):
                table.add(args.study, pictures.name_of(image), size, *row)
            continue
        for encoding, activation in runs:
            data, seconds = fit(seen, encoding, activation, args)
            field = nfcodec.open(data)
            table.add(
                args.study, pictures.name_of(image), size, encoding, activation, args.network, args.steps, args.stride,
                LMBDA[args.study], args.rate, args.seed, len(data), psnr(field.decode(), seen),
                None if is_siren else unseen_psnr(field, picture), seconds,
            )  # fmt: skip


def reference(picture: np.ndarray, args):
    """The rest of a row without the mapping, and of one with it."""
    for encoding, n_frequencies in (("identity", 0), ("random-fourier:n_frequencies=256,sigma=10", 256)):
        start = time.monotonic()

        def told(step: int, error: float) -> None:
            if step % max(1, args.steps // 20) == 0:
                print(f"step {step} of {args.steps}: {-10 * math.log10(error):.2f} dB, {time.monotonic() - start:.0f} s", flush=True)

        seen, unseen = fourier_reference.fit(picture, n_frequencies, 10.0, args.steps, args.seed, args.device, told)
        found = psnr(seen, picture[::2, ::2]), psnr(unseen, picture[1::2, 1::2])
        yield encoding, "relu", "256x3", args.steps, 1, None, fourier_reference.RATES[encoding.split(":")[0]], args.seed, None, *found, time.monotonic() - start


def unseen_psnr(field: nfcodec.Field, picture: np.ndarray) -> float:
    """Of the pixels of odd rows and columns, which lie between those seen, as the paper tests it."""
    # pixel i of the whole lies where pixel i / 2 of what was seen does
    axes = [(np.arange(1, n, 2) / 2 + 0.5) / (n // 2) for n in picture.shape[:2]]
    return psnr(np.rint(field.sample_lattice(axes)), picture[1::2, 1::2])


def fit(values: np.ndarray, encoding: str, activation: str, args) -> tuple[bytes, float]:
    """(a finished file, seconds)."""
    start = time.monotonic()
    source = from_lattice(Signal("image", values))
    lmbda = LMBDA[args.study]
    preset = presets.choose(source, lmbda, encoding, 5, activation=activation, network=parse_network(args.network))
    fitted = build(source, replace(preset, stride=args.stride, tile_edge=max(source.extent)), args.seed, args.device)
    if args.rate:
        fitted.model.activation.rate *= args.rate / fitted.model.adam_rate
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
