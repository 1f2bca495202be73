"""What to say of a file that its library cannot read: often it has another format's suffix."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["unreadable"]

# what the first bytes say, for the message when they contradict the suffix
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"#?RADIANCE", "radiance"),
    (b"#?RGBE", "radiance"),
    (b"PF\n", "pfm"),
    (b"Pf\n", "pfm"),
    (b"\x5c\x01\0\0", "the header of an ANALYZE or NIfTI pair (convert it to .nii)"),
    (b"v/1\x01", "openexr (convert it to .tif, .hdr or .pfm)"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz (a zip archive)"),
    (b"NRRD", "nrrd"),
    (b"\x1f\x8b", "gzip data"),
    (b"glTF", "glb"),
    (b"ply", "ply"),
    (b"GIF8", "gif"),
    (b"YUV4MPEG2", "y4m"),
    (b"\x89NFC\r\n\x1a\n", "an nfld file (decode it instead)"),
)


def unreadable(path: Path, format: str, err: Exception) -> str:
    """Why a file could not be read as a format: what its content looks like instead, or the library's own words."""
    with path.open("rb") as file:
        head = file.read(32)
    looks = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if head[:4] == b"RIFF":
        looks = {b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12], looks)
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        looks = "avif"
    if looks and looks != format and not (format == "nifti" and looks == "gzip data"):
        return f"reading {path.name!r} as {format}: its content looks like {looks}; give the file the right suffix"
    lines = str(err).strip().splitlines()
    # objects of a library are nothing to a reader
    said = re.sub(r" ?<[\w.]+ object at 0x\w+>", "", lines[0])[:160].strip() if lines else ""
    detail = f"{type(err).__name__}: {said}" if said else type(err).__name__
    return (
        f"reading {path.name!r} as {format}: the content is damaged, cut short or of another format ({detail}); "
        "check the file"
    )
