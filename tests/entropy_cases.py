"""What the tests of the entropy coder share: networks, pyramids, and the choice of kernels."""

import contextlib
import os
from unittest import mock

import numpy as np
import pytest

from nfcodec.entropy import ContextNet, decode_level, encode_level, n_inputs
from nfcodec.kernels import use_numba

KERNELS = ["numpy", pytest.param("numba", marks=pytest.mark.skipif(not use_numba(1 << 40), reason="needs numba"))]


@contextlib.contextmanager
def kernels(name):
    with mock.patch.dict(os.environ, {"NFCODEC_KERNELS": name}):
        yield


def make_net(rng, n_dims, multi, n_neurons=8, n_hidden_layers=1, largest=80):
    n = n_inputs(n_dims, multi)
    widths = [n, *[n_neurons] * n_hidden_layers, 2]
    weights = [rng.integers(-largest, largest + 1, s).astype(np.int32) for s in zip(widths[1:], widths[:-1])]
    biases = [rng.integers(-100, 101, w).astype(np.int32) for w in widths[1:]]
    skip = rng.integers(-20, 21, n - 2).astype(np.int32)
    shifts = rng.integers(4, 10, n_hidden_layers + 2).tolist()
    return ContextNet(
        n_dims, n, multi, n_neurons if n_hidden_layers else 0, n_hidden_layers, weights, biases, skip, shifts
    )


def zero_net(n_dims, multi, log2_scale):
    """Predicts 0 with b = 2**(log2_scale / 256) everywhere."""
    n = n_inputs(n_dims, multi)
    weights, biases = np.zeros((2, n), np.int32), np.array([0, log2_scale], np.int32)
    return ContextNet(n_dims, n, multi, 0, 0, [weights], [biases], np.zeros(n - 2, np.int32), [0, 0])


def make_pyramid(rng, resolutions, n_features, spread):
    return [
        np.rint(rng.laplace(0, spread, (f, *res))).clip(-(1 << 24), 1 << 24).astype(np.int32)
        for res, f in zip(resolutions, n_features)
    ]


def encode_all(net, pyramid, masks=None):
    return [encode_level(net, pyramid, level, masks[level] if masks else None) for level in range(len(pyramid))]


def decode_all(net, shapes, streams):
    decoded = []
    for shape, stream in zip(shapes, streams):
        decoded.append(decode_level(net, decoded, len(shapes), shape, stream))
    return decoded
