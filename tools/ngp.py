"""Instant-NGP's hash grid at the settings of its paper (Mueller et al. 2022, table 1) on a picture, in plain torch, and ours.

    python tools/ngp.py IMAGE ... [--size 512] [--steps 2000] [--device cuda] [-o results/ngp.tsv]

The reference is written from the paper alone: 16 levels of 2 features from 16 to half the picture's width, tables of 2^14
rows in float32, linear interpolation, 2 hidden layers of 64 ReLUs, Adam at 1e-2 with betas (0.9, 0.99) and eps 1e-15, and
all pixels a step. Ours has the same levels, tables and network, is trained for as many steps on all pixels with rate, rounding
and all, and is judged on the finished file. Vertices of the paper's levels lie at i / (n - 1), ours at (i + 0.5) / n.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pictures
import torch
from tsv import ROOT, Table

import nfcodec
from nfcodec.fit import presets
from nfcodec.fit.build import build
from nfcodec.fit.source import from_lattice
from nfcodec.fit.train import Recipe
from nfcodec.pack import pack
from nfcodec.spec import HASH_PRIMES, Signal

N_LEVELS, N_FEATURES, LOG2_SIZE, COARSEST = 16, 2, 14, 16
N_NEURONS, N_HIDDEN = 64, 2
COLUMNS = "image size model steps latent_rate psnr_db bytes seconds seed"
QUALITY = 110.0  # of ours: bits cost next to nothing, so that structures are compared and not rates
LATENT_RATE = 1.0  # of ours: integer steps are then so small that a tenth of one, as usual, leads nowhere


def encoding(size: int) -> str:
    """Ours for a picture of so many pixels along its longest axis."""
    numbers = f"n_levels={N_LEVELS},n_features={N_FEATURES},log2_size={LOG2_SIZE},coarsest={COARSEST},finest={size // 2}"
    return f"hash:{numbers}"


def resolutions(size: int) -> list[int]:
    """Vertices along an axis of each level: equation 2, with the finest of half the picture's width."""
    growth = math.exp((math.log(size / 2) - math.log(COARSEST)) / (N_LEVELS - 1))
    return [math.floor(COARSEST * growth**level + 1e-9) for level in range(N_LEVELS)]


class Reference(torch.nn.Module):
    """Equations 1 to 4: hashed or whole levels, their features side by side, and the network."""

    def __init__(self, sizes: list[int], channels: int):
        super().__init__()
        self.sizes = sizes
        self.tables = torch.nn.ParameterList(
            torch.nn.Parameter(torch.empty(min((n + 1) ** 2, 1 << LOG2_SIZE), N_FEATURES).uniform_(-1e-4, 1e-4)) for n in sizes
        )
        widths = [N_LEVELS * N_FEATURES, *[N_NEURONS] * N_HIDDEN, channels]
        layers: list[torch.nn.Module] = []
        for n_in, n_out in zip(widths[:-1], widths[1:]):
            layers += [torch.nn.Linear(n_in, n_out, bias=False), torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers[:-1])

    def rows(self, y: torch.Tensor, x: torch.Tensor, size: int) -> torch.Tensor:
        if (size + 1) ** 2 <= 1 << LOG2_SIZE:
            return y * (size + 1) + x
        return (x * HASH_PRIMES[0] ^ y * HASH_PRIMES[1]) & (1 << LOG2_SIZE) - 1

    def corners(self, coords: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """For each level the rows (N, 4) around coords (N, 2) and their weights: the same in every step."""
        found = []
        for size in self.sizes:
            u = coords * size
            low = u.floor().long()
            f = u - low
            rows, weights = [], []
            for dy in (0, 1):
                for dx in (0, 1):
                    rows.append(self.rows(low[:, 0] + dy, low[:, 1] + dx, size))
                    weights.append((f[:, 0] if dy else 1 - f[:, 0]) * (f[:, 1] if dx else 1 - f[:, 1]))
            found.append((torch.stack(rows, 1), torch.stack(weights, 1)))
        return found

    def forward(self, corners: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        parts = [
            (table[rows.reshape(-1)].view(*rows.shape, N_FEATURES) * weights[..., None]).sum(1)
            for table, (rows, weights) in zip(self.tables, corners)
        ]
        return self.network(torch.cat(parts, 1))


def reference_psnr(image: np.ndarray, n_steps: int, seed: int, device: str) -> float:
    """PSNR in dB of the reference after so many steps on all pixels."""
    torch.manual_seed(seed)
    height, width, channels = image.shape
    target = torch.from_numpy(image.reshape(-1, channels).astype(np.float32) / 255).to(device)
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    coords = torch.from_numpy(np.stack([y.ravel(), x.ravel()], 1)).float().to(device)
    model = Reference(resolutions(max(height, width)), channels).to(device)
    corners = model.corners(coords)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.99), eps=1e-15)
    for step in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * max(0.01, 0.5 * (1 + math.cos(math.pi * step / n_steps)))
        optimizer.zero_grad()
        (model(corners) - target).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        values = np.clip(np.rint(model(corners).cpu().numpy() * 255), 0, 255)
    return _psnr(values.reshape(image.shape), image)


def our_psnr(image: np.ndarray, n_steps: int, seed: int, device: str) -> tuple[float, int]:
    """(PSNR in dB, bytes) of the decoded file of a field of the same levels, tables and network."""
    source = from_lattice(Signal("image", image))
    lmbda = presets.lmbda_of(QUALITY, "image")
    preset = presets.choose(source, lmbda, encoding(max(source.extent)), 5, network=(N_NEURONS, N_HIDDEN))
    preset = replace(preset, step_ratio=1.0, tile_edge=max(source.extent))
    fit = build(source, preset, seed, device)
    fit.run(Recipe(n_steps=n_steps, lmbda=lmbda, latent_rate=LATENT_RATE))
    fit.model.eval()
    data = pack(fit.model.spec, fit.model.freeze())
    return _psnr(nfcodec.open(data).decode().astype(np.float64), image), len(data)


def _psnr(values: np.ndarray, image: np.ndarray) -> float:
    return float(-10 * math.log10(np.square((values - image) / 255.0).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", help="files, or skimage:astronaut and the like")
    parser.add_argument("--size", type=int, default=512, help="edge of the middle of the picture")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "ngp.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split(), args.device)
    for name in args.images:
        image = pictures.middle(pictures.load(name, grey=False), args.size)

        def add(model: str, rate: float | None, psnr: float, n_bytes: int | None, start: float) -> None:
            seconds = time.perf_counter() - start
            table.add(pictures.name_of(name), args.size, model, args.steps, rate, psnr, n_bytes, seconds, args.seed)

        start = time.perf_counter()
        add("torch reference", None, reference_psnr(image, args.steps, args.seed, args.device), None, start)
        start = time.perf_counter()
        psnr, n_bytes = our_psnr(image, args.steps, args.seed, args.device)
        add("nfcodec", LATENT_RATE, psnr, n_bytes, start)


if __name__ == "__main__":
    main()
