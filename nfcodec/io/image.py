"""PNG, JPEG, WebP and AVIF through pillow; what pillow cannot hold (16-bit PNG, 10- and 12-bit AVIF) through imagecodecs.

Images are read as (H, W, C), C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha: palettes, CMYK and the like are converted,
the EXIF orientation is applied, depths that fill no dtype (1 or 4-bit PNG, 10 or 12-bit AVIF) are scaled to 8 or 16 bits.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Signal

from .lattice import check_shape, new_signal
from .placement import numbers

__all__ = [
    "apply_orientation", "colour_meta", "icc_profile_of", "pillow", "read", "read_with_pillow", "scale_bits",
    "straight_colours", "writable_colours", "write",
]  # fmt: skip

MAX_ICC_BYTES = 64 << 10
_PILLOW_NAMES = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF", "tiff": "TIFF"}
# modes that are held as they are; every other one is converted to one of these
_PLAIN_MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_CONVERTED_MODES = ("1", "La", "P", "PA", "RGBX", "RGBa", "CMYK", "YCbCr")


def pillow(what: str):
    try:
        from PIL import Image, features
    except ImportError as err:
        raise MissingExtraError.of("pillow", "encode", what) from err
    if what.endswith("AVIF") and not features.check("avif"):
        raise MissingExtraError.of("pillow>=11.3", "encode", what)
    return Image


def _imagecodecs(what: str):
    try:
        import imagecodecs
    except ImportError as err:
        raise MissingExtraError.of("imagecodecs", "encode", what) from err
    return imagecodecs


# ---- reading


def read(path: Path, format: str) -> Signal:
    """An image signal: values (H, W, C) uint8, or uint16 for deeper files; of several frames a film, see `film`."""
    data = path.read_bytes()
    image, meta = _open(path.name, data, format)
    if getattr(image, "n_frames", 1) > 1:
        from . import film

        return film.read(path, format)
    depth = _deep_bits(data, format)
    if depth:
        codecs = _imagecodecs(f"reading {depth}-bit {format.upper()}")
        check_shape(path.name, (image.height, image.width, 4), np.dtype(np.uint16))
        array = codecs.png_decode(data) if format == "png" else codecs.avif_decode(data)
        array = scale_bits(array, depth, np.uint16)
        meta["bit_depth"] = depth
    else:
        array = _plain_array(image, meta)
        if format == "avif" and _av1_config(data) & 0x10 and array.shape[-1] >= 3:
            # pillow may give monochrome files three equal channels
            array = array[..., [0, 3]] if array.shape[-1] == 4 else array[..., :1]
    return _image_signal(path, format, array, meta)


def read_with_pillow(path: Path, format: str) -> Signal:
    """An image signal of 8 bits a channel, whatever colour model the file has."""
    image, meta = _open(path.name, path.read_bytes(), format)
    return _image_signal(path, format, _plain_array(image, meta), meta)


def _open(name: str, data: bytes, format: str) -> tuple[Any, dict[str, Any]]:
    """The image, opened but not yet decoded, and the meta of its container."""
    Image = pillow(f"reading {format.upper()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=[_PILLOW_NAMES[format]])
        except Image.DecompressionBombError as err:
            raise SignalError(
                f"reading {name!r}: it claims more than {2 * Image.MAX_IMAGE_PIXELS} pixels, pillow's guard against "
                "decompression bombs; crop it, or raise PIL.Image.MAX_IMAGE_PIXELS if the file is sound"
            ) from err
    check_shape(name, (image.height, image.width, len(image.getbands())), np.dtype(np.uint8))
    if image.mode not in (*_PLAIN_MODES, *_CONVERTED_MODES) and not image.mode.startswith("I;16") and image.mode != "I":
        raise SignalError(f"reading {name!r}: got the colour model {image.mode}, expected grey or RGB; convert it to RGB")
    if image.mode == "CMYK":
        warnings.warn(
            f"{name}: CMYK is taken as RGB without its profile; convert it first to keep its colours", stacklevel=2
        )
    profile = None if image.mode == "CMYK" else image.info.get("icc_profile")
    meta = colour_meta(profile, name)
    dpi = image.info.get("dpi")
    try:
        dpi = numbers([round(float(d), 3) for d in dpi], 2)
    except (TypeError, ValueError, ZeroDivisionError):
        dpi = None
    if dpi and min(dpi) > 0:
        meta["dpi"] = dpi
    orientation = image.getexif().get(0x0112, 1)
    if orientation in range(2, 9):
        meta["orientation"] = orientation
    return image, meta


def _plain_array(image: Any, meta: dict[str, Any]) -> np.ndarray:
    """(H, W, C) uint8 of an opened image in one of the plain modes; notes palette and bit depth in meta."""
    if image.mode in ("P", "PA"):
        meta["palette"] = True
    if image.mode == "1":
        meta["bit_depth"] = 1
    transparent = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        mode = "LA" if transparent else "L"
    else:
        mode = "RGBA" if transparent else "RGB"
    array = np.asarray(image if image.mode == mode else image.convert(mode))
    return array.reshape(image.height, image.width, _PLAIN_MODES[mode])


def _image_signal(path: Path, format: str, array: np.ndarray, meta: dict[str, Any]) -> Signal:
    array = apply_orientation(array, meta.get("orientation", 1))
    if meta.get("orientation", 1) >= 5 and "dpi" in meta:
        meta["dpi"] = meta["dpi"][::-1]
    if array.ndim == 3 and array.shape[-1] in (2, 4):
        meta["alpha"] = True
    axes = "yxc" if array.ndim == 3 and array.shape[-1] > 1 else "yx"
    return new_signal(path.name, format, array if axes == "yxc" else array.reshape(array.shape[:2]), axes, "image", meta)


def _deep_bits(data: bytes, format: str) -> int:
    """Bits a sample where they exceed 8, else 0."""
    if format == "png" and data[12:16] == b"IHDR" and data[24] == 16:
        return 16
    if format == "avif" and _av1_config(data) & 0x40:
        return 12 if _av1_config(data) & 0x20 else 10
    return 0


def _av1_config(data: bytes) -> int:
    """Byte 2 of AV1CodecConfigurationRecord: bit 6 high bit depth, 5 twelve bits, 4 monochrome (AV1 in ISOBMFF, 2.3.3)."""
    found = data.find(b"av1C", 0, 1 << 16)
    return data[found + 6] if 0 <= found < len(data) - 6 else 0


def scale_bits(array: np.ndarray, bits: int, dtype: type) -> np.ndarray:
    """Values in [0, 2^bits - 1] spread over the whole range of dtype; exact to undo."""
    top = np.iinfo(dtype).max
    limit = (1 << bits) - 1
    if limit == top:
        return array.astype(dtype, copy=False)
    wide = np.minimum(array, limit).astype(np.uint64)
    return ((wide * top + limit // 2) // limit).astype(dtype)


def straight_colours(array: np.ndarray) -> np.ndarray:
    """(..., C) whose colours were multiplied by the alpha in the last channel -> the same with straight alpha.

    Colours are rounded and bounded by the dtype's white; below no opacity there is none to find, so it becomes 0.
    """
    is_whole = array.dtype.kind == "u"
    white = float(np.iinfo(array.dtype).max) if is_whole else 1.0
    alpha = array[..., -1:].astype(np.float64)
    colours = np.divide(array[..., :-1] * white, alpha, out=np.zeros(array[..., :-1].shape), where=alpha > 0)
    out = array.copy()
    out[..., :-1] = np.rint(np.minimum(colours, white)) if is_whole else colours
    return out


def apply_orientation(array: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W[, C]) turned upright as the EXIF orientation 1..8 says (EXIF 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def colour_meta(profile: bytes | None, name: str) -> dict[str, Any]:
    """The meta of a colour space: an ICC profile of at most 64 KiB is kept, without one sRGB is assumed.

    The usual profiles of sRGB itself (3 KB, more than many a field) are told by their description and stated by name.
    """
    if not profile or any("sRGB IEC61966-2".encode(text) in profile for text in ("ascii", "utf-16-be")):
        return {"colour_space": "sRGB"}
    if len(profile) > MAX_ICC_BYTES:
        warnings.warn(
            f"{name}: its ICC profile of {len(profile)} bytes is not kept, the limit is {MAX_ICC_BYTES}", stacklevel=2
        )
        return {"colour_space": "unknown"}
    return {"colour_space": "icc", "icc_profile": base64.b64encode(profile).decode("ascii")}


def icc_profile_of(meta: dict[str, Any]) -> bytes | None:
    """The ICC profile that meta carries, or None where it has none or a malformed one."""
    text = meta.get("icc_profile")
    try:
        return base64.b64decode(text, validate=True) or None if isinstance(text, str) else None
    except (ValueError, binascii.Error):
        return None


# ---- writing


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Write (H, W, C) to `path`; `name` is the final file's, for messages.

    What a format cannot hold is lost, with a warning.
    """
    if values.ndim == 4 and format != "jpeg":
        from . import film

        return film.write(path, values, meta, format, name)
    array = _writable(values, format, name)
    # 10 and 12 bits in AVIF, as the source had them
    bits = 8 * array.dtype.itemsize
    if format == "avif" and bits == 16:
        bits = 10 if meta.get("bit_depth") == 10 else 12
        if meta.get("bit_depth") not in (10, 12):
            warnings.warn(f"{name}: AVIF holds at most 12 bits, 16-bit values are rounded to 12", stacklevel=3)
    if format == "png" and bits == 16:
        encoded = _imagecodecs("writing 16-bit PNG").png_encode(array[..., 0] if array.shape[-1] == 1 else array)
        path.write_bytes(_with_png_chunks(encoded, meta))
    elif format == "avif" and (bits > 8 or array.shape[-1] < 3):
        deep = array if bits == 8 else ((array.astype(np.uint32) * ((1 << bits) - 1) + 32767) // 65535).astype(np.uint16)
        codecs = _imagecodecs("writing grey or deep AVIF")
        path.write_bytes(codecs.avif_encode(deep[..., 0] if deep.shape[-1] == 1 else deep, level=95, bitspersample=bits))
    else:
        _save_with_pillow(path, array, meta, format)


def _writable(values: np.ndarray, format: str, name: str) -> np.ndarray:
    """The values as the format can hold them, (H, W, C) uint8 or uint16."""
    if values.ndim != 3:
        raise UsageError(
            f"writing {name!r}: {format.upper()} holds 2-D images, got shape {values.shape[:-1]}; write .tif or .npy"
        )
    if values.shape[-1] > 4:
        raise UsageError(
            f"writing {name!r}: {format.upper()} holds 1 to 4 channels, got {values.shape[-1]}; write .tif or .npy"
        )
    values = writable_colours(values, name)
    if values.dtype == np.uint16 and format in ("jpeg", "webp"):
        warnings.warn(
            f"{name}: {format.upper()} holds 8 bits, 16-bit values are rounded; write .png to keep them", stacklevel=4
        )
        values = ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if format == "jpeg" and values.shape[-1] in (2, 4):
        warnings.warn(f"{name}: JPEG has no alpha, the image is laid over white; write .png to keep it", stacklevel=4)
        alpha = values[..., -1:].astype(np.uint32)
        values = ((values[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return values


def writable_colours(values: np.ndarray, name: str) -> np.ndarray:
    """Values as uint8 or uint16, of which True is white; UsageError for other dtypes."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype not in (np.uint8, np.uint16):
        raise UsageError(
            f"writing {name!r}: pictures hold 8 or 16-bit unsigned integers, got {values.dtype}; write .tif or .npy"
        )
    return values


def _save_with_pillow(path: Path, array: np.ndarray, meta: dict[str, Any], format: str) -> None:
    Image = pillow(f"writing {format.upper()}")
    image = Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[-1] == 1 else array))
    options: dict[str, Any] = {
        "png": {"optimize": False},
        "jpeg": {"quality": 95, "subsampling": "4:4:4", "optimize": True},
        "webp": {"lossless": True, "exact": True},
        "avif": {"quality": 90, "subsampling": "4:4:4"},
    }[format]
    profile = icc_profile_of(meta)
    # a profile is for grey or for RGB; one that does not fit makes viewers refuse or discolour the image
    if profile and _profile_fits(profile, array.shape[-1]):
        options["icc_profile"] = profile
    dpi = numbers(meta.get("dpi"), 2)
    if dpi and min(dpi) >= 1 and max(dpi) < 65536 and format in ("png", "jpeg"):
        options["dpi"] = tuple(dpi)
    image.save(path, _PILLOW_NAMES[format], **options)


def _profile_fits(profile: bytes, channels: int) -> bool:
    """Whether an ICC profile's colour space (ICC.1:2022, header bytes 16..19) is that of an image with these channels."""
    return profile[16:20] == (b"GRAY" if channels < 3 else b"RGB ")


def _with_png_chunks(png: bytes, meta: dict[str, Any]) -> bytes:
    """The PNG with its ICC profile and resolution, which imagecodecs does not write, put behind the header chunk."""
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[png[25]]
    extra = io.BytesIO()

    def put(kind: bytes, data: bytes) -> None:
        extra.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

    profile = icc_profile_of(meta)
    if profile and _profile_fits(profile, channels):
        put(b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile, 9))
    dpi = numbers(meta.get("dpi"), 2)
    if dpi and min(dpi) >= 1 and max(dpi) < 65536:
        put(b"pHYs", struct.pack(">IIB", round(dpi[0] / 0.0254), round(dpi[1] / 0.0254), 1))
    return png[:33] + extra.getvalue() + png[33:]
