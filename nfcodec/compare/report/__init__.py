"""The report of a comparison as one HTML file that needs nothing else: no network, no fonts, no other files.

    Path("photo.html").write_text(html(comparison))

`page.py` puts it together; `curves.py`, `markup.py` and `gallery.py` take plain values; `images.py`, `volumes.py` and
`surfaces.py` make the pictures, the last with `render.py`.
"""

from __future__ import annotations

from .page import html, require
from .sets import html_of_set

__all__ = ["html", "html_of_set", "require"]
