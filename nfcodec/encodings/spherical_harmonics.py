"""Real spherical harmonics of a direction: what a volume is seen in from its centre, or a panorama's pixels lie in.

    Y_lm = N_lm Q_lm(z) A_m(x, y)     A_m + i B_m = (x + i y)^m,  B_|m| for m < 0
                                      Q_lm: the m-th derivative of Legendre's P_l

which are polynomials, so their derivatives are exact. (Ramamoorthi & Hanrahan 2001, section 3; Instant-NGP, Mueller et al.
2022, section 4, of degree 4.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import legendre, polynomial

from ..spec import Parameter
from .coordinates import CoordinateEncoding, Terms

_CENTRE = 1e-9  # distance within which there is no direction


class Grid(CoordinateEncoding):
    """degree^2 features: l below degree, m from -l to l."""

    name = "spherical-harmonics"
    parameters = (Parameter("degree", 1, 8, 4, is_integer=True),)
    dims = (2, 3)

    @classmethod
    def n_features(cls, n_dims: int, *numbers: float) -> int:
        return int(numbers[0]) ** 2

    def terms(self, x: np.ndarray, order: int) -> Terms:
        direction, first, second = _panorama(x) if x.shape[1] == 2 else _from_centre(x)
        value, gradient, hessian = harmonics(direction, int(self.spec.parameters[0]))
        out = [value]
        if order:
            out.append(np.einsum("nif,nik->nkf", gradient, first))
        if order > 1:
            bent = np.einsum("nijf,nik,njl->nklf", hessian, first, first, optimize=True)
            out.append(bent + np.einsum("nif,nikl->nklf", gradient, second))
        return out


def harmonics(u: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u (N, 3) as (x, y, z) -> values (N, F), gradients (N, 3, F), Hessians (N, 3, 3, F) of the polynomials above."""
    x, y, z = u.T
    powers = [(x + 1j * y) ** m for m in range(degree)]
    n_features = degree * degree
    value, gradient, hessian = (np.empty((len(u), *(3,) * k, n_features)) for k in range(3))
    for order in range(degree):
        for m in range(order + 1):
            norm = normalisation(order, m)
            q, dq, ddq = (polynomial.polyval(z, legendre_derivative(order, m + k)) * norm for k in range(3))
            p = powers[m]
            dp = m * powers[m - 1] if m else 0 * p
            ddp = m * (m - 1) * powers[m - 2] if m > 1 else 0 * p
            for sign, part in ((1, np.real), (-1, np.imag))[: 1 + (m > 0)]:
                f = order * order + order + sign * m
                value[:, f] = q * part(p)
                # by y every derivative of (x + i y)^m has one factor i more
                gradient[:, :, f] = np.stack([q * part(dp), q * part(1j * dp), dq * part(p)], 1)
                xx, xy = q * part(ddp), q * part(1j * ddp)
                xz, yz, zz = dq * part(dp), dq * part(1j * dp), ddq * part(p)
                hessian[:, :, :, f] = np.stack([xx, xy, xz, xy, -xx, yz, xz, yz, zz], 1).reshape(-1, 3, 3)
    return value, gradient, hessian


def normalisation(order: int, m: int) -> float:
    """N_lm, with which the mean of a square over all directions is 1 / (4 pi)."""
    factor = (2 * order + 1) / (4 * math.pi) * math.factorial(order - m) / math.factorial(order + m)
    return math.sqrt(factor) * (math.sqrt(2) if m else 1)


def legendre_derivative(order: int, m: int) -> np.ndarray:
    """Factors of the powers of z of the m-th derivative of P_order."""
    return polynomial.polyder(legendre.leg2poly([0] * order + [1]), m) if m <= order else np.zeros(1)


def _panorama(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows from the pole down, columns around: (N, 2) -> directions (N, 3), first (N, 3, 2) and second (N, 3, 2, 2)
    derivatives."""
    theta, phi = np.pi * x[:, 0], 2 * np.pi * x[:, 1]
    (st, ct), (sp, cp) = ((np.sin(a), np.cos(a)) for a in (theta, phi))
    zero, a, b = 0 * theta, np.pi, 2 * np.pi
    direction = np.stack([st * cp, st * sp, ct], 1)
    first = np.stack([a * ct * cp, -b * st * sp, a * ct * sp, b * st * cp, -a * st, zero], 1).reshape(-1, 3, 2)
    mixed_x, mixed_y = -a * b * ct * sp, a * b * ct * cp
    second = np.stack(
        [
            -a * a * st * cp, mixed_x, mixed_x, -b * b * st * cp,
            -a * a * st * sp, mixed_y, mixed_y, -b * b * st * sp,
            -a * a * ct, zero, zero, zero,
        ], 1,
    ).reshape(-1, 3, 2, 2)  # fmt: skip
    return direction, first, second


def _from_centre(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 3) as (z, y, x) -> directions (N, 3) as (x, y, z), first (N, 3, 3) and second (N, 3, 3, 3) derivatives; all 0 at
    the centre."""
    p = 2 * x - 1
    r = np.linalg.norm(p, axis=1)
    inverse = np.where(r > _CENTRE, 1 / np.maximum(r, _CENTRE), 0.0)
    u, one = p * inverse[:, None], np.eye(3)
    first = 2 * inverse[:, None, None] * (one - u[:, :, None] * u[:, None, :])
    ii = np.einsum("ij,nk->nijk", one, u) + np.einsum("ik,nj->nijk", one, u) + np.einsum("jk,ni->nijk", one, u)
    second = 4 * np.square(inverse)[:, None, None, None] * (3 * np.einsum("ni,nj,nk->nijk", u, u, u) - ii)
    return u[:, ::-1], first[:, ::-1], second[:, ::-1]
