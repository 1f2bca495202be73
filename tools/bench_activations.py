"""Numbers and rates of activations of networks of coordinates; rows are appended to a TSV under results/.

    python tools/bench_activations.py [--images skimage:astronaut ...] [--size 96] [--network 32x3] [--steps 300] NAME ...

NAME: an activation with its numbers, as of `nfcodec encode`, with `@RATE` behind it to have Adam at another rate than the
activation's own: gaussian:a=0.05@0.003. Each is fitted to squares of pictures with the encoding identity, and judged by the PSNR of
the finished bytes: what defaults were chosen by.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pictures
from tsv import ROOT, Table

import nfcodec
from nfcodec.choice import parse_activation, parse_network
from nfcodec.fit import activations, presets
from nfcodec.fit.build import build
from nfcodec.fit.source import from_lattice
from nfcodec.fit.train import Recipe
from nfcodec.measure import measure
from nfcodec.pack import pack
from nfcodec.spec import Signal

COLUMNS = "activation rate image size encoding network steps seed bytes psnr_db seconds"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--images", nargs="+", default=["skimage:astronaut", "skimage:camera"])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--encoding", default="identity")
    parser.add_argument("--network", default="32x3")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "activations.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split())
    for name in args.names:
        activation, _, rate = name.partition("@")
        twin = activations.load(parse_activation(activation).name)
        own = twin.rate
        for image in args.images:
            signal = Signal("image", pictures.middle(pictures.load(image, grey=False), args.size, shrink=True))
            start, source, lmbda = time.perf_counter(), from_lattice(signal), presets.lmbda_of(80, "image")
            preset = presets.choose(
                source, lmbda, args.encoding, 3, activation=activation, network=parse_network(args.network)
            )
            twin.rate = float(rate) if rate else own
            fit = build(source, preset, args.seed)
            fit.run(Recipe(n_steps=args.steps, lmbda=lmbda))
            model = fit.model.eval()
            data = pack(model.spec, model.freeze())
            table.add(
                activation, twin.rate, image, args.size, args.encoding, args.network, args.steps, args.seed, len(data),
                measure(nfcodec.open(data), signal).psnr_db, time.perf_counter() - start,
            )  # fmt: skip
            twin.rate = own


if __name__ == "__main__":
    main()
