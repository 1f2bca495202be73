"""imageio's v3 API reads images and volumes in .nfld files, once this module is imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import container, decode
from ..errors import MissingExtraError, NfldError
from ..field import Field

try:
    from imageio.config import extension_list, known_extensions, known_plugins
    from imageio.config.extensions import FileExtension
    from imageio.config.plugins import PluginConfig
    from imageio.core.request import InitializationError, Request
    from imageio.core.v3_plugin_api import ImageProperties, PluginV3
except ImportError as error:
    raise MissingExtraError('opening .nfld by imageio needs the package "imageio": run pip install imageio') from error

__all__ = ["NfldPlugin"]

_NAME, _SUFFIX = "nfld", ".nfld"


class NfldPlugin(PluginV3):
    """One array a file: (y, x) or (z, y, x), with channels last where there are several; the index ... stacks that one."""

    def __init__(self, request: Request):
        super().__init__(request)
        if request.mode.io_mode != "r":
            raise InitializationError(".nfld files are written by nfcodec.encode")
        data = request.get_file().read()
        if not data.startswith(container.SIGNATURE):
            raise InitializationError("not an .nfld file")
        try:
            self.field = decode.open(data)
        except NfldError as error:
            raise OSError(str(error)) from error
        if not isinstance(self.field, Field) or self.field.is_surface:
            raise InitializationError("got surfaces, expected an image or a volume; use nfcodec.open, or trimesh's plugin")

    def read(self, *, index: int | None = 0, **options: Any) -> np.ndarray:
        """options: as of `Field.decode`: shape, scale, resolution, region, level, dtype."""
        self._check(index)
        try:
            values = self.field.decode(**options)
        except NfldError as error:
            raise ValueError(str(error)) from error
        values = values[..., 0] if values.shape[-1] == 1 else values
        return values[None] if index is ... else values

    def iter(self, **options: Any) -> Iterator[np.ndarray]:
        yield self.read(**options)

    def properties(self, index: int | None = 0) -> ImageProperties:
        """Of what `read` gives; spacing where the file has it."""
        self._check(index)
        spec, spacing = self.field.spec, self.field.meta.get("spacing")
        shape = spec.extent + (spec.channels,) * (spec.channels > 1)
        spacing = tuple(spacing) if isinstance(spacing, list) else None
        if index is ...:
            return ImageProperties((1, *shape), np.dtype(spec.dtype), n_images=1, is_batch=True, spacing=spacing)
        return ImageProperties(shape, np.dtype(spec.dtype), is_batch=False, spacing=spacing)

    def metadata(self, index: int | None = 0, exclude_applied: bool = True) -> dict[str, Any]:
        """The file's, and what `Field.info` says beside."""
        self._check(index)
        return {**self.field.meta, "nfld": {k: v for k, v in self.field.info().items() if k != "meta"}}

    def _check(self, index: Any) -> None:
        if index not in (0, None, ...):
            raise ValueError(f"reading .nfld: got index {index}, expected 0; a file has one array")


known_plugins[_NAME] = PluginConfig(name=_NAME, class_name="NfldPlugin", module_name=__name__, install_name="nfcodec")
if _SUFFIX not in known_extensions:
    known_extensions[_SUFFIX] = [
        FileExtension(extension=_SUFFIX, priority=[_NAME], name="Neural field", volume_support=True)
    ]
    extension_list.extend(known_extensions[_SUFFIX])
