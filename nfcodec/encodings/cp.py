"""CP decomposition (TensoRF, Chen et al. 2022, equation 3): every feature is a product of one vector an axis.

The components of TensoRF are features here, and their sum the skip of the network. In two dimensions a level of F
features is a matrix of rank F.
"""

from __future__ import annotations

from ..spec import GridSpec
from .factors import Factor, FactoredEncoding


class Grid(FactoredEncoding):
    """Factors: the lines along axes 0, 1 .., all of one term."""

    name = "cp"
    dims = (2, 3, 4)

    @classmethod
    def factors(cls, spec: GridSpec) -> list[Factor]:
        return [(k,) for k in range(spec.n_dims)]

    @classmethod
    def terms(cls, spec: GridSpec) -> list[tuple[int, ...]]:
        return [tuple(range(spec.n_dims))]
