"""Numbers as people read them: on the command line and in reports."""

from __future__ import annotations

import math

__all__ = ["quality_text", "ratio_text", "seconds_text", "size_text", "small_text"]


def size_text(n_bytes: float, digits: int = 2) -> str:
    """305 B, 4.2 KB, 61 KB, 1.5 MB: `digits` (2 or 3) at least, powers of 1000."""
    for unit in ("B", "KB", "MB", "GB"):
        if n_bytes < 999.5 or unit == "GB":
            break
        n_bytes /= 1000
    return f"{n_bytes:.0f} B" if unit == "B" else f"{_at_least(n_bytes, digits)} {unit}"


def ratio_text(ratio: float, digits: int = 2) -> str:
    """69x, 0.3x; with three digits 1.93x."""
    return f"{_at_least(ratio, digits)}x"


def _at_least(value: float, digits: int) -> str:
    """So many digits, all those before the point among them."""
    decimals = digits - 1
    while decimals and value >= 10 ** (digits - decimals) - 0.5 * 10**-decimals:
        decimals -= 1
    return f"{value:.{decimals}f}"


def small_text(value: float) -> str:
    """2.1e-4: two digits, and an exponent without padding."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if value and math.isfinite(value) else f"{value:g}"


def seconds_text(seconds: float) -> str:
    """12 ms, 0.9 s, 58 s; below a millisecond `< 1 ms`."""
    if seconds < 0.0005:
        return "< 1 ms"
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"


def quality_text(psnr_db: float, rms: float, is_surface: bool, digits: int = 2) -> str:
    """36.60 dB. Surfaces are judged by their RMS distance: 3.2e-4 RMS."""
    if is_surface:
        return f"{small_text(rms)} RMS"
    return f"{psnr_db:.{digits}f} dB" if math.isfinite(psnr_db) else "no error"
