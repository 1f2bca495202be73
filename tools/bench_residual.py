"""Files with guarantees: bytes of lossless and bounded files on any signals; rows are appended to a TSV under results/.

    python tools/bench_residual.py FOLDER_OR_FILE ... [--bounds 0,2,8] [--effort 2] [-o results/residual.tsv]

A bound of 0 is lossless. Bounds are in source units, or with a trailing % of the range of values. Peers that keep the same
bound are measured beside: PNG, JPEG-LS, WebP and JPEG XL for 8-bit images, JPEG XL slice by slice and SZ3 for volumes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from bench import signals
from tsv import ROOT, Table

import nfcodec
from nfcodec import io
from nfcodec.spec import Signal

COLUMNS = "file kind codec bound effort seed bytes bpp residual_bytes field_bytes max_error encode_s decode_s"


def peers(signal: Signal, bound: float) -> Iterator[tuple[str, Callable[[], bytes], Callable[[bytes], np.ndarray]]]:
    """(name, encode, decode) of codecs that keep the bound."""
    values = signal.values
    if signal.kind == "image" and values.dtype == np.uint8 and values.shape[-1] in (1, 3):
        if bound == 0:
            yield "PNG", lambda: imagecodecs.png_encode(values, level=9), imagecodecs.png_decode
            yield "WebP", lambda: imagecodecs.webp_encode(values, lossless=True), imagecodecs.webp_decode
            yield "JPEG XL", lambda: imagecodecs.jpegxl_encode(values, lossless=True, effort=7), imagecodecs.jpegxl_decode
        yield "JPEG-LS", lambda: imagecodecs.jpegls_encode(values, level=int(bound)), imagecodecs.jpegls_decode
    elif values.ndim == 4:
        field = np.ascontiguousarray(values[..., 0])
        if bound == 0 and values.dtype in (np.uint8, np.uint16):
            yield "JPEG XL slices", lambda: _slices(field), _unsliced
        if bound > 0 or values.dtype.kind in "iu":
            # of integers SZ3 rounds a float that may lie at the bound
            limit = bound if values.dtype.kind == "f" else bound + 0.49
            shape, floats = field.shape, field.astype(np.float32)
            yield "SZ3", lambda: imagecodecs.sz3_encode(floats, mode="abs", abs=limit), lambda data: _rounded(
                imagecodecs.sz3_decode(data, shape=shape, dtype=np.float32), values.dtype
            )


def _slices(field: np.ndarray) -> bytes:
    parts = [imagecodecs.jpegxl_encode(part, lossless=True, effort=7) for part in field]
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def _unsliced(data: bytes) -> np.ndarray:
    parts, at = [], 0
    while at < len(data):
        n = int.from_bytes(data[at : at + 4], "little")
        parts.append(imagecodecs.jpegxl_decode(data[at + 4 : at + 4 + n]))
        at += 4 + n
    return np.stack(parts)


def _rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(values).astype(dtype) if dtype.kind in "iu" else values


def measure(table: Table, path: Path, bound_text: str, effort: int, seed: int, with_peers: bool) -> None:
    """Rows for one signal and bound."""
    signal = io.read(path)
    span = float(signal.values.max()) - float(signal.values.min())
    bound = float(bound_text.rstrip("%")) * (span / 100 if bound_text.endswith("%") else 1)
    n = signal.values[..., 0].size
    target = {"max_error": bound} if bound else {"lossless": True}
    encoded = nfcodec.encode(path, effort=effort, seed=seed, **target)
    start = time.perf_counter()
    field = nfcodec.open(encoded.data)
    decoded = field.decode()
    seconds = time.perf_counter() - start
    residual = field.info()["residual_bytes"]
    size = len(encoded.data)
    table.add(
        path.name, signal.kind, "nfcodec", bound, effort, seed, size, 8 * size / n, residual, size - residual,
        _error(decoded, signal.values), encoded.seconds, seconds,
    )  # fmt: skip
    for name, encode, decode in peers(signal, bound) if with_peers else ():
        start = time.perf_counter()
        data = encode()
        middle = time.perf_counter()
        found = decode(data)
        end = time.perf_counter()
        error = _error(found.reshape(signal.values.shape), signal.values)
        table.add(
            path.name, signal.kind, name, bound, None, None, len(data), 8 * len(data) / n, None, None, error,
            middle - start, end - middle,
        )  # fmt: skip


def _error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--bounds", default="0,2,8")
    parser.add_argument("--effort", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "residual.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split())
    for path in signals(args.paths):
        for bound in args.bounds.split(","):
            measure(table, path, bound, args.effort, args.seed, not args.no_peers)


if __name__ == "__main__":
    main()
