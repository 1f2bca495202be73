"""Random Fourier features on a picture in plain torch, by the paper alone (Tancik et al. 2020, section 6): what ours are held against.

Three layers of 256 ReLUs and a linear one with a sigmoid, weights by Glorot's rule, Adam, every pixel a step, half the squared error.
Without the mapping the paper's natural pictures were fitted at ten times the rate, 1e-2.
"""

from __future__ import annotations

import math

import numpy as np
import torch

N_NEURONS, N_HIDDEN = 256, 3
N_AT_ONCE = 1 << 13  # pixels whose gradients are added up, a quarter faster on a CPU than all at once
RATES = {"identity": 1e-2, "random-fourier": 1e-3}


def fit(picture: np.ndarray, n_frequencies: int, sigma: float, n_steps: int, seed: int, device: str, tell=lambda step, error: None):
    """(what the network says of the pixels of even rows and columns, which it has seen; of those of odd ones), both in 0 to 255,
    of a picture (H, W, C) uint8 of even edges. No mapping where n_frequencies is 0."""
    generator = torch.Generator().manual_seed(seed)
    axes = [torch.arange(n, dtype=torch.float32) / n for n in picture.shape[:2]]
    frequencies = torch.randn(n_frequencies, 2, generator=generator) * sigma
    seen, unseen = (_inputs(axes, start, frequencies).to(device) for start in (0, 1))
    network = _network(seen.shape[1], picture.shape[2], generator).to(device)
    target = torch.from_numpy(picture[::2, ::2].reshape(-1, picture.shape[2]).astype(np.float32) / 255).to(device)
    rate = RATES["random-fourier" if n_frequencies else "identity"]
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for step in range(n_steps):
        optimizer.zero_grad()
        error = 0.0
        for inputs, wanted in zip(seen.split(N_AT_ONCE), target.split(N_AT_ONCE)):
            loss = (network(inputs) - wanted).square().sum() / target.numel()
            (0.5 * loss).backward()
            error += loss.item()
        optimizer.step()
        tell(step, error)
    shape = (picture.shape[0] // 2, picture.shape[1] // 2, picture.shape[2])
    with torch.no_grad():
        return tuple(np.rint(network(inputs).cpu().numpy().reshape(shape) * 255) for inputs in (seen, unseen))


def _inputs(axes: list[torch.Tensor], start: int, frequencies: torch.Tensor) -> torch.Tensor:
    """Coordinates of every second sample (N, 2), or sine and cosine of their frequencies (N, 2 n_frequencies)."""
    coords = torch.cartesian_prod(*(axis[start::2] for axis in axes))
    if not len(frequencies):
        return coords
    phases = 2 * math.pi * coords @ frequencies.T
    return torch.cat([phases.sin(), phases.cos()], 1)


def _network(n_inputs: int, channels: int, generator: torch.Generator) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for n_in, n_out in zip([n_inputs] + [N_NEURONS] * N_HIDDEN, [N_NEURONS] * N_HIDDEN + [channels]):
        linear = torch.nn.Linear(n_in, n_out)
        torch.nn.init.xavier_normal_(linear.weight, generator=generator)
        torch.nn.init.normal_(linear.bias, std=0.01, generator=generator)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1], torch.nn.Sigmoid())
