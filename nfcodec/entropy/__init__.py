"""Integers <-> bytes: a range coder, its probability tables, a context network; integers only, see spec/entropy.md."""

from .context import ContextNet, context_inputs, n_inputs, predict
from .laplace import MAX_MU8, MAX_VALUE, LaplaceDecoder, cost_bits, encode_laplace
from .lattice import block_edge, block_mask
from .levels import decode_level, encode_level, level_cost_bits
from .static import StaticDecoder, decode_static, encode_static
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
    "context_inputs",
    "cost_bits",
    "decode_level",
    "decode_static",
    "encode_laplace",
    "encode_level",
    "encode_static",
    "level_cost_bits",
    "n_inputs",
    "predict",
]
