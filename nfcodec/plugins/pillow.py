"""`PIL.Image.open` reads images in .nfld files, once this module is imported."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np

from .. import container, decode
from ..errors import MissingExtraError, NfldError
from ..field import Field

try:
    from PIL import Image, ImageFile
except ImportError as error:
    raise MissingExtraError.of("pillow", "encode", "opening .nfld by Pillow") from error

__all__ = ["NfldImageFile"]

# (dtype, channels) -> mode of Pillow, and how it calls such bytes; of more than 8 bits only grey has a mode
_MODES = {
    ("b1", 1): ("1", "1;8"), ("u1", 1): ("L", "L"), ("u1", 2): ("LA", "LA"), ("u1", 3): ("RGB", "RGB"),
    ("u1", 4): ("RGBA", "RGBA"), ("u2", 1): ("I;16", "I;16"), ("u2", 2): ("LA", "LA"), ("u2", 3): ("RGB", "RGB"),
    ("u2", 4): ("RGBA", "RGBA"), ("f4", 1): ("F", "F;32F"),
}  # fmt: skip


class NfldImageFile(ImageFile.ImageFile):
    """Opened like any other picture, colours of 16 bits as 8; its `field` is the `nfcodec.Field`, for other sizes."""

    format = "NFLD"
    format_description = "Neural field"

    def _open(self) -> None:
        try:
            self.field = decode.open(self.fp.read())
        except NfldError as error:  # to Pillow a file that this is not the one to read
            raise SyntaxError(str(error)) from error
        if not isinstance(self.field, Field):
            raise SyntaxError("got a scene of several fields, which is no picture; use nfcodec.open")
        spec = self.field.spec
        known = _MODES.get((spec.dtype, spec.channels))
        if spec.kind != "image" or known is None or (spec.channels in (2, 4) and not self.field.meta.get("alpha", True)):
            got = f"a field of kind {spec.kind}, {spec.channels} channels of {spec.dtype}"
            raise SyntaxError(f"got {got}, which Pillow has no mode for; use nfcodec.open")
        self._mode, self._size = known[0], spec.extent[::-1]
        profile = self.field.meta.get("icc_profile")
        if isinstance(profile, str):  # anybody's JSON
            try:
                self.info["icc_profile"] = base64.b64decode(profile, validate=True)
            except binascii.Error:
                pass
        # for `load` to fill: Pillow asks for a tile
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, known[1])]
        self._is_decoded = False

    def load(self):
        if not self._is_decoded:
            spec = self.field.spec
            try:
                values = self.field.decode()
            except NfldError as error:
                raise OSError(str(error)) from error
            if spec.dtype == "u2" and spec.channels > 1:
                values = (values >> 8).astype(np.uint8)
            if self._exclusive_fp:
                self.fp.close()
            self.fp = io.BytesIO(values.astype(values.dtype.newbyteorder("<")).tobytes())
            self._is_decoded = True
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.SIGNATURE)


Image.register_open(NfldImageFile.format, NfldImageFile, _accept)
Image.register_extension(NfldImageFile.format, ".nfld")
