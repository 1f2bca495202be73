"""Makes nfcodec/fit/prior.npz: networks from which fits of any signal get to their goal sooner.

    python tools/make_prior.py [--rounds 60] [--steps 120] [-o nfcodec/fit/prior.npz]

Draws pictures and volumes of overlapping shapes with shading and grain ("dead leaves", Lee, Mumford & Huang 2001, which
have the statistics of photographs), fits each for a short while from the networks so far, and moves these a part of the
way to where the fit went (Reptile, Nichol et al. 2018). No signal from elsewhere has a part in it. Takes some minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from nfcodec.fit import presets, prior
from nfcodec.fit.analysis import channel_transform
from nfcodec.fit.build import build
from nfcodec.fit.source import from_lattice
from nfcodec.fit.train import Recipe
from nfcodec.spec import Signal

_EDGE = {2: 256, 3: 64}
_N_SHAPES = {2: 400, 3: 150}
# axes, channels, the qualities between which a round draws one, and the samples of the whole signal whose part it stands for,
# on which the sizes of networks depend
_FAMILIES = (
    (2, 3, (44.0, 66.0), 1 << 19), (2, 3, (16.0, 40.0), 1 << 17),
    (2, 1, (44.0, 66.0), 1 << 19), (2, 1, (16.0, 40.0), 1 << 17),
    (3, 1, (30.0, 60.0), 1 << 24),
)  # fmt: skip


def leaves(rng: np.random.Generator, n_dims: int, channels: int) -> np.ndarray:
    """A signal (*edge, channels) uint8 of overlapping balls and boxes, each with its colour, slope and grain."""
    edge = _EDGE[n_dims]
    grid = np.stack(np.meshgrid(*[np.arange(edge) / edge] * n_dims, indexing="ij"))
    base = rng.random(3)
    values = np.ones((3, *grid.shape[1:])) * base.reshape(-1, *[1] * n_dims)
    for _ in range(_N_SHAPES[n_dims]):
        radius = min(0.02 / rng.random() ** 0.6, 0.5)
        centre, stretch = rng.random(n_dims), np.exp(rng.normal(0, 0.5, n_dims))
        turn = np.linalg.qr(rng.normal(size=(n_dims, n_dims)))[0] / radius * stretch[:, None]
        away = np.einsum("ij,j...->i...", turn, grid - centre.reshape(-1, *[1] * n_dims))
        distance = np.abs(away).max(0) if rng.random() < 0.3 else np.sqrt(np.square(away).sum(0))
        soft = np.clip((1 - distance) * radius * edge / rng.choice([1.0, 1.0, 3.0]) + 0.5, 0, 1)
        colour = base + rng.normal(0, 0.25) + rng.normal(0, 0.07, 3)
        shade = np.tensordot(rng.normal(0, 0.1, n_dims), away, 1)
        grain = rng.normal(0, rng.choice([0.0, 0.01, 0.03, 0.06]), grid.shape[1:])
        if rng.random() < 0.3:
            shade = shade + 0.08 * np.sin(rng.uniform(3, 30) * radius * np.tensordot(rng.normal(0, 1, n_dims), away, 1))
        values += soft * (colour.reshape(-1, *[1] * n_dims) + shade + grain - values)
    values = np.clip(values * 255, 0, 255).round().astype(np.uint8)
    return np.moveaxis(values, 0, -1)[..., 3 - channels :]


def one_round(rng, family, networks: prior.Networks | None, n_steps: int) -> tuple[str, prior.Networks]:
    """The key and the networks of a short fit that started from `networks`."""
    n_dims, channels, qualities, n_samples = family
    signal = Signal("image" if n_dims == 2 else "volume", leaves(rng, n_dims, channels))
    source = from_lattice(signal)
    lmbda = presets.lmbda_of(rng.uniform(*qualities), signal.kind)
    preset = presets.choose(source, lmbda, "dense", 5, n_samples)
    fit = build(source, preset, int(rng.integers(1 << 31)), networks=networks)
    fit.warm_up(100)
    fit.run(Recipe(lmbda=lmbda, n_steps=n_steps, integers_from=2.0, network_price=0.0))
    transform = channel_transform(source.target, source.is_color)
    mean = source.target.reshape(-1, channels).mean(0, dtype=np.float64).astype(np.float32)
    return prior.key_of(fit.model), prior.extract(fit.model, transform, mean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("-o", "--output", type=Path, default=Path(prior.__file__).with_name("prior.npz"))
    options = parser.parse_args()
    torch.manual_seed(0)
    arrays = {}
    for family in _FAMILIES:
        rng, networks = np.random.default_rng(0), None
        for k in range(options.rounds):
            key, found = one_round(rng, family, networks or {}, options.steps)
            share = 1.0 if networks is None else 0.5 * (1 - k / options.rounds) + 0.05
            networks = found if networks is None else {n: a + share * (found[n] - a) for n, a in networks.items()}
            print(f"{key}: round {k + 1} of {options.rounds}", flush=True)
        arrays |= {f"{key}/{name}": array.astype(np.float16) for name, array in networks.items()}
        np.savez_compressed(options.output, **arrays)
    print(f"{options.output}: {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
