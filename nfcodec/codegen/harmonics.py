"""Spherical harmonics as formulas: `encodings.spherical_harmonics` again, without its complex numbers."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import polynomial

from ..encodings.spherical_harmonics import legendre_derivative, normalisation
from .expressions import Expr, name

__all__ = ["harmonics"]

_CENTRE = 1e-9  # distance within which there is no direction

Names = list[tuple[str, Expr | float]]


def harmonics(q: list[Expr], degree: int, prefix: str) -> tuple[Names, list[Expr | float]]:
    """q: coordinates in the box, of a panorama (2) or a volume (3). Returns names, beginning with `prefix`, and
    features."""
    names, (x, y, z) = _direction(q, prefix)
    powers = [(1.0, 0.0)]  # real and imaginary parts of (x + i y)^m
    for m in range(1, degree):
        a, b = powers[-1]
        labels = f"{prefix}a{m}", f"{prefix}b{m}"
        names += zip(labels, (x * a - y * b, x * b + y * a))
        powers.append(tuple(map(name, labels)))
    features: list[Expr | float] = [0.0] * (degree * degree)
    for order in range(degree):
        for m in range(order + 1):
            scaled = polynomial.polyval(z, legendre_derivative(order, m) * normalisation(order, m))
            for sign, part in zip((1, -1)[: 1 + (m > 0)], powers[m]):
                features[order * order + order + sign * m] = part * scaled
    return names, features


def _direction(q: list[Expr], prefix: str) -> tuple[Names, list[Expr]]:
    labels = [f"{prefix}{axis}" for axis in "xyz"]
    if len(q) == 2:
        theta, phi = np.pi * q[0], 2 * np.pi * q[1]
        parts, names = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], []
    else:
        away = [2 * c - 1 for c in q]
        radius, inverse = name(f"{prefix}r"), name(f"{prefix}i")
        names = [
            (f"{prefix}r", np.sqrt(sum((a * a for a in away[1:]), away[0] * away[0]))),
            (f"{prefix}i", np.where(radius > _CENTRE, 1 / np.maximum(radius, _CENTRE), 0.0)),
        ]
        parts = [a * inverse for a in reversed(away)]
    return [*names, *zip(labels, parts)], list(map(name, labels))
