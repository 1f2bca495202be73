"""Torch twin of vm: see `factors`."""

from __future__ import annotations

from .factors import FactoredTwin

__all__ = ["Twin"]

Twin = FactoredTwin
