"""Triplane (EG3D, Chan et al. 2022, section 3.1; Convolutional Occupancy Networks, Peng et al. 2020, section 3.1).

Three planes of features, one for each pair of the three axes. A coordinate is projected onto each of them, and what it
finds there is summed, or stands side by side.
"""

from __future__ import annotations

import itertools

from ..spec import GridSpec
from .factors import Factor, FactoredEncoding


class Grid(FactoredEncoding):
    """Factors: the planes of axes (0, 1), (0, 2), (1, 2), each a term of its own."""

    name = "triplane"
    dims = (3,)

    @classmethod
    def factors(cls, spec: GridSpec) -> list[Factor]:
        return list(itertools.combinations(range(spec.n_dims), 2))

    @classmethod
    def terms(cls, spec: GridSpec) -> list[tuple[int, ...]]:
        return [(0,), (1,), (2,)]
