"""A field as one HTML file that shows it and needs nothing else: no network, no server, no install.

    Path("photo.html").write_text(page(data, "photo.nfld"))

The page holds the file, the decoder in JavaScript and its viewer (`nfcodec/view/`). `bundle.py` makes one script of their
modules, `source.py` takes of a source what the page can show beside the field, `document.py` puts all of it together.
"""

from __future__ import annotations

from .document import page

__all__ = ["page"]
