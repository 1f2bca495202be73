"""K-planes (Fridovich-Keil et al. 2023, section 3.1): a plane of features for each pair of axes, multiplied.

Three planes for three axes, six for four. The features of each scale are the product over the planes of what the coordinate
finds on each; those of all scales, which are levels here, stand side by side.
"""

from __future__ import annotations

import itertools

from ..spec import GridSpec
from .factors import Factor, FactoredEncoding


class Grid(FactoredEncoding):
    """Factors: the planes of axes (0, 1), (0, 2) .. in lexicographic order, all of one term."""

    name = "kplanes"
    dims = (3, 4)

    @classmethod
    def factors(cls, spec: GridSpec) -> list[Factor]:
        return list(itertools.combinations(range(spec.n_dims), 2))

    @classmethod
    def terms(cls, spec: GridSpec) -> list[tuple[int, ...]]:
        return [tuple(range(len(cls.factors(spec))))]
