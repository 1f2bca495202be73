"""Probability tables of the Laplace distribution, in integers only; spec/entropy.md section 1.

A table belongs to a scale and to the 3 fractional bits of a location. Its tokens are, in this order: escape below,
r = -T .. T (T + 1 where the fraction is not 0), escape above. Every token has a frequency of at least 1 of 2**14.
Scale index s stands for b = 2**((s - SCALE_OFFSET) / 6); scales with b > 8 borrow the table of b / 2**k.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

__all__ = ["N_SCALES", "PRECISION", "SCALE_OFFSET", "TABLES_SHA256", "LaplaceTables", "laplace_tables"]

PRECISION = 14  # bits: the frequencies of a table sum to 2**14
SCALES_PER_OCTAVE = 6
SCALE_OFFSET = 27  # index of b = 1; index 0 is b = 2**-4.5
N_TABLE_SCALES = 46  # tables exist up to b = 8
N_SCALES = 82  # indices 0..81, up to b = 2**9
N_FRACTIONS = 8
N_POWERS = 512  # more eighths than the widest table spans
_32 = np.uint64(32)

# round(2**32 * exp(-1 / (8 b))) for every scale that has tables. Listed, never computed: exp differs between machines.
DECAY = (
    253857248, 345625950, 454989856, 581260615, 722994622, 878133092,
    1044178424, 1218380955, 1397915072, 1580030169, 1762168623, 1942048638,
    2117713904, 2287554667, 2450306005, 2605029347, 2751082806, 2888085073,
    3015876649, 3134481214, 3244069074, 3344923893, 3437413371, 3521964074,
    3599040369, 3669127186, 3732716247, 3790295335, 3842340174, 3889308488,
    3931635878, 3969733148, 4003984791, 4034748382, 4062354660, 4087108117,
    4109287957, 4129149313, 4146924611, 4162825044, 4177042065, 4189748882,
    4201101925, 4211242246, 4220296860, 4228380000,
)  # fmt: skip

# SHA-256 of all cumulative frequencies as u16 little endian, table after table
TABLES_SHA256 = "783331d13f3856025d7a82bb7db9c1dc270e2353d4ffaadfb7d04b900d77aed1"


@dataclass(frozen=True)
class LaplaceTables:
    """All tables, one after the other; table number = scale * 8 + fraction.

    cumulative: (sum of n_tokens + 1,) uint16, for each table 0 .. 2**14. start: (368,) int32, where a table begins in
    it. n_tokens: (368,) int32. lowest: (368,) int32, the r of token 1.
    """

    cumulative: np.ndarray
    start: np.ndarray
    n_tokens: np.ndarray
    lowest: np.ndarray

    @functools.cached_property
    def as_lists(self) -> list[tuple[list[int], int, int]]:
        """Of each table the cumulative frequencies, the r of token 1 and the last token, for the reference decoder."""
        stops = self.start + self.n_tokens + 1
        lists = [self.cumulative[a:b].tolist() for a, b in zip(self.start, stops)]
        return list(zip(lists, self.lowest.tolist(), (self.n_tokens - 1).tolist()))


@functools.lru_cache(maxsize=1)
def laplace_tables() -> LaplaceTables:
    """Builds the tables once, in about 2 ms. All numbers are below 2**64."""
    decay = np.array(DECAY, np.uint64)
    powers = np.empty((N_POWERS, N_TABLE_SCALES), np.uint64)  # row n: 2**32 exp(-n / 8b), n eighths from the location
    powers[0] = 1 << 32
    for n in range(1, N_POWERS):
        np.right_shift(powers[n - 1] * decay, _32, out=powers[n])
    parts, lowest, n_tokens = [], [], []
    for column in np.ascontiguousarray(powers.T.astype(np.int64)):
        reach = _reach(column)
        parts += _cumulative(column, reach)
        lowest += [-reach] * N_FRACTIONS
        n_tokens += [2 * reach + 3] + [2 * reach + 4] * (N_FRACTIONS - 1)
    n_tokens = np.array(n_tokens, np.int32)
    start = np.concatenate([[0], np.cumsum(n_tokens + 1)[:-1]]).astype(np.int32)
    return LaplaceTables(np.concatenate(parts).astype(np.uint16), start, n_tokens, np.array(lowest, np.int32))


def _reach(powers: np.ndarray) -> int:
    """T: the largest r whose probability at fraction 0 is 2**-14 or more; 0 for the smallest scales."""
    is_rare = powers[4:-8:8] - powers[12::8] < 1 << 33 - PRECISION
    return int(is_rare.argmax())


def _cumulative(powers: np.ndarray, reach: int) -> list[np.ndarray]:
    """Cumulative frequencies of the tables of one scale: one count for every token, the rest shared by the distribution."""
    whole = 1 << 33
    # ends of r = -reach .. reach + 1 in eighths from the location
    eighths = 8 * np.arange(-reach, reach + 3) - 4 - np.arange(N_FRACTIONS)[:, None]
    tail = powers[np.abs(eighths)]  # 2**33 times the distribution function at signed distances from the location
    parts = np.zeros((N_FRACTIONS, 2 * reach + 5), np.int64)
    parts[:, 1:-1] = np.where(eighths <= 0, tail, whole - tail)
    # a token more where the fraction is not 0
    n_tokens = np.array([2 * reach + 3] + [2 * reach + 4] * (N_FRACTIONS - 1))[:, None]
    parts[0, -2] = parts[:, -1] = whole
    parts *= (1 << PRECISION) - n_tokens
    parts += 1 << 32
    parts >>= 33
    parts += np.arange(parts.shape[1])
    return [parts[0, :-1], parts[1:].ravel()]
