"""Torch twin of triplane: see `factors`."""

from __future__ import annotations

from .factors import FactoredTwin

__all__ = ["Twin"]

Twin = FactoredTwin
