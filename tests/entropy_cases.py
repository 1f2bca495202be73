"""What the tests of the entropy coder share: networks, pyramids, and the choice of kernels."""

import contextlib
import functools
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from nfcodec import kernels as choice
from nfcodec.entropy import ContextNet, decode_level, encode_level, n_inputs
from nfcodec.entropy.context import plane_inputs
from nfcodec.kernels import use_numba

_BUILD = """
import sys
from setuptools import Extension, setup
folder = sys.argv[1]
setup(
    name="plane", ext_modules=[Extension("_plane", [sys.argv[2]])],
    script_args=["-q", "build_ext", "--build-lib", folder, "--build-temp", folder],
)
"""


@functools.cache
def has_native():
    """Compiles the loops in C as they are now; without a compiler those of the installation count."""
    source = Path(choice.__file__).parent / "_plane.c"
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([sys.executable, "-c", _BUILD, folder, source], capture_output=True, cwd=folder)
        built = [*Path(folder).glob("_plane*.so"), *Path(folder).glob("_plane*.pyd")]
        if run.returncode == 0 and built:
            spec = importlib.util.spec_from_file_location("nfcodec.kernels._plane", built[0])
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules[spec.name] = choice._plane = module
            choice._has_native.cache_clear()
    return choice._has_native()


KERNELS = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(not has_native(), reason="needs a C compiler")),
    pytest.param("numba", marks=pytest.mark.skipif(not use_numba(1 << 40), reason="needs numba")),
]


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


def extreme_net(rng, n_dims, n_hidden_layers):
    """All numbers as large as may be, with either sign."""
    n, n_neurons = n_inputs(n_dims, True), 19
    widths = [n, *[n_neurons] * n_hidden_layers, 2]

    def signs(*shape):
        return rng.choice(np.array([-1, 1], np.int32), shape)

    weights = [2047 * signs(n_out, n_in) for n_in, n_out in itertools.pairwise(widths)]
    for w in weights[1:]:
        w[:, rng.permutation(n_neurons)[16:]] = 0  # 16 of the largest products are just below 2**31
    biases = [(1 << 17) * signs(n_out) for n_out in widths[1:]]
    skip = 2047 * signs(n - 2)
    skip[rng.permutation(n - 2)[16:]] = 0
    shifts = [int(rng.integers(0, 13)), *rng.integers(0, 4, n_hidden_layers).tolist(), int(rng.integers(0, 2))]
    return ContextNet(n_dims, n, True, n_neurons if n_hidden_layers else 0, n_hidden_layers, weights, biases, skip, shifts)


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


def context_inputs(levels, level, feature):
    """The raw inputs of the context network for a whole plane, (n_inputs, *res)."""
    inputs = plane_inputs(levels, level, feature, any(len(planes) > 1 for planes in levels))
    shape = inputs.lattice.shape
    return inputs.all(np.arange(np.prod(shape))).reshape(-1, *shape).astype(np.int32)
