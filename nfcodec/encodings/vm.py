"""Vector-matrix decomposition (TensoRF, Chen et al. 2022, equations 4 and 5): vectors times lattices of the other axes.

For each axis a vector along it is multiplied with a matrix over the others; the products of all axes stand side by side,
as TensoRF's do for appearance, and their sum is the skip of the network. In two dimensions the matrices are vectors too, in
four they are volumes.
"""

from __future__ import annotations

from ..spec import GridSpec
from .factors import Factor, FactoredEncoding


class Grid(FactoredEncoding):
    """Factors: the lines along axes 0, 1 .., then for each axis the lattice over all others. Term k: those of axis k."""

    name = "vm"
    dims = (2, 3, 4)

    @classmethod
    def factors(cls, spec: GridSpec) -> list[Factor]:
        axes = range(spec.n_dims)
        return [*((k,) for k in axes), *(tuple(j for j in axes if j != k) for k in axes)]

    @classmethod
    def terms(cls, spec: GridSpec) -> list[tuple[int, ...]]:
        return [(k, spec.n_dims + k) for k in range(spec.n_dims)]
