"""What the page says about the signal, and how everything was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...text import size_text
from ..rows import Comparison

__all__ = ["about", "measured_how"]


def about(comparison: Comparison) -> str:
    """`Image of 768 x 512 pixels, RGB, 8 bit; 558 KB.`"""
    signal, size = comparison.signal, size_text(comparison.source_bytes, 3)
    if signal.mesh is not None:
        state = "closed" if comparison.is_closed else "open: it has boundary edges"
        return (
            f"Surface of {len(signal.mesh.faces):,} triangles and {len(signal.mesh.vertices):,} vertices, {state}; {size}."
        )
    dtype, n = signal.values.dtype, signal.channels
    if signal.kind == "image":
        height, width = signal.extent
        channels = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha"}.get(n, f"{n} channels")
        depth = f"{8 * dtype.itemsize} bit" if dtype in (np.uint8, np.uint16) else str(dtype)
        return f"Image of {width:,} x {height:,} pixels, {channels}, {depth}; {size}."
    shape = " x ".join(f"{n:,}" for n in signal.extent)
    axes = {2: " (y, x)", 3: " (z, y, x)", 4: " (t, z, y, x)"}.get(len(signal.extent), "")
    channels = "" if n == 1 else f", {n} channels"
    return f"Volume of {shape} samples{axes}{channels}, {dtype}; {size}."


def measured_how(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """(term, meaning) of everything that a page about comparisons of one kind shows."""
    return [
        ("bytes", "Whole files are counted: headers, tables and checksums, as they would lie on a disk."),
        ("error", "Every error is computed anew from decoded output; none is taken from what an encoder prints."),
        *(_of_surfaces(comparisons) if comparisons[0].is_surface else _of_lattices(comparisons)),
        (
            "same error, same bytes",
            "A codec's curve is the Pareto front of its files: none of the others is both smaller and better. Between two "
            "files of the front the logarithm of the bytes is taken as linear in dB. Beyond its ends nothing is guessed: "
            "'its smallest', 'its best' and 'never' say where a codec has no such file.",
        ),
        (
            "BD-rate",
            "Mean difference in bytes of nfcodec against the codec at equal error, over the range of errors that both "
            "reach (Bjontegaard, with monotone cubic interpolation): -20 % means that nfcodec needs a fifth fewer bytes.",
        ),
        (
            "times",
            "Seconds on this machine, in this process, with each library's own threads; short calls are the median of "
            "three. Files that were finished before have no encode time.",
        ),
    ]


def _of_lattices(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    peaks = list(dict.fromkeys(_peak(comparison) for comparison in comparisons))
    rows = [
        (
            "PSNR",
            f"10 log10(peak^2 / mean squared error) in dB over all samples and channels. {' '.join(peaks)} "
            "Files without error have no PSNR and are called lossless.",
        ),
        ("RMS, largest error", "Root of the mean squared, and largest absolute difference of a sample, in source units."),
    ]
    if any(row.report.ssim is not None for comparison in comparisons for row in comparison.rows):
        ssim = "Structural similarity (Wang et al. 2004), Gaussian window of sigma 1.5, mean over the channels; 1 is equal."
        rows.append(("SSIM", ssim))
    return rows


def _peak(comparison: Comparison) -> str:
    dtype = comparison.signal.values.dtype
    if comparison.signal.is_picture:
        bits = 8 * dtype.itemsize
        return (
            f"Peak {np.iinfo(dtype).max}: decoded pictures are rounded to {bits} bits, as they would be written to a file."
        )
    return "The peak is the source's largest less its smallest value."


def _of_surfaces(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    judged = {
        True: "A closed source is judged by the symmetric RMS, the root of the mean of both squared ones.",
        False: "An open source is judged each way apart, since some codecs close holes: curves and tables are of the error "
        "from the source to the decoded surface, the last sentence is of the error back, which the table of all files has "
        "too.",
    }
    states = dict.fromkeys(comparison.is_closed for comparison in comparisons)
    return [
        (
            "RMS",
            "Root of the mean squared distance from 100,000 samples of one surface, spread evenly over its area, to the "
            "closest point of the other one, by the diagonal of the source's bounding box; each direction on its own. "
            + " ".join(judged[state] for state in states),
        ),
        ("Hausdorff", "The largest of these distances, so a lower bound of the true one; each direction on its own."),
        ("normals", "Mean angle between the normals at a sample and at its closest point, 0 to 90 degrees."),
        (
            "IoU",
            "Volume of the intersection by that of the union, by about 200,000 points; only where both are watertight.",
        ),
    ]
