"""How soon the page of `nfcodec view` shows something, in headless Chromium without a GPU; rows are appended to results/view.tsv.

    python tools/bench_view.py FIELD.nfld ... [--runs 5] [--size 1280x800] [-o FILE]

Milliseconds from the start of loading the page, each the median of the runs: header_ms until the first levels are decoded, first_ms until
the first picture is drawn and scale how many pixels of the screen along each axis it has for one of its own; full_ms until the whole
file is there at each pixel of the screen. Needs what tests/browser.py names.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from tsv import ROOT, Table

import nfcodec
from nfcodec.page import page

sys.path.insert(0, str(ROOT / "tests"))
from browser import browse, missing  # noqa: E402

COLUMNS = "field kind file_bytes page_bytes width height runs header_ms first_ms scale full_ms"
_MARKS = "performance.getEntriesByType('mark').map((mark) => [mark.name, mark.startTime])"


def main() -> None:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if why := missing():
        sys.exit(f"bench_view: {why}")
    width, height = map(int, args.size.split("x"))
    table = Table(args.output or ROOT / "results" / "view.tsv", COLUMNS.split())
    for path in args.paths:
        data = path.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            html = Path(folder, "page.html")
            html.write_text(page(data, path.name))
            found = [browse(html, [{"wait": True}, {"run": _MARKS}], size=(width, height))[0] for _ in range(args.runs)]
            n_bytes = html.stat().st_size
        headers = [dict(marks)["header"] for marks in found]
        pictures = [[(time, int(name.split("/")[1])) for name, time in marks if name.startswith("picture")] for marks in found]
        first = sorted(times[0] for times in pictures)[len(pictures) // 2]
        full = [times[-1][0] for times in pictures]
        table.add(
            path.name, nfcodec.open(data).info()["kind"], len(data), n_bytes, width, height, args.runs, round(statistics.median(headers)),
            round(first[0]), first[1], round(statistics.median(full)),
        )  # fmt: skip


if __name__ == "__main__":
    main()
