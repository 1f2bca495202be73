"""Integers <-> bytes: a range coder, its probability tables, a context network; integers only, see spec/entropy.md."""

from .context import ContextNet, n_inputs, predict
from .laplace import MAX_MU8, MAX_VALUE, LaplaceDecoder, cost_bits, encode_laplace
from .lattice import block_edge, block_mask
from .levels import decode_level, encode_level
from .static import StaticDecoder, encode_static
from .tables import N_SCALES, SCALE_OFFSET

__all__ = [
    "MAX_MU8",
    "MAX_VALUE",
    "N_SCALES",
    "SCALE_OFFSET",
    "ContextNet",
    "LaplaceDecoder",
    "StaticDecoder",
    "block_edge",
    "block_mask",
    "cost_bits",
    "decode_level",
    "encode_laplace",
    "encode_level",
    "encode_static",
    "n_inputs",
    "predict",
]
