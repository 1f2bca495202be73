"""`nfcodec view`: a file as a page in the browser."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click

from ..text import size_text
from .jobs import STREAM, stem_of
from .values import read_options, read_source


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--html", metavar="OUT", help="Write the page to this file and open nothing.")
@click.option("--serve", is_flag=True, help="Serve the page on localhost until Ctrl-C, and open it.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of --serve.  [default: a free one]")
@click.option("--source", metavar="PATH", help="What the file was made of, to be seen beside it and measured against.")
@click.option("--no-open", is_flag=True, help="Do not open the browser.")
@click.option("--overwrite", is_flag=True, help="Replace an existing page.")
@read_options
@click.option("--quiet", is_flag=True, help="No summary.")
def view(file: str, **options: Any) -> int:
    """Look at a .nfld file in the browser: one page that holds the file, a decoder and a viewer, and needs no network.

    Images are evaluated at every pixel of the screen, at any zoom; surfaces are turned and cut, the parts of scenes also
    hidden and chosen; volumes are looked through.
    The options from --dataset on say how to read --source, as those of encode do.
    """
    from ..atomic import check_output, write_atomic

    if options["html"] is not None:
        check_output(options["html"], options["overwrite"])
    text = _page(file, options).encode()
    if options["html"] is not None:
        write_atomic(options["html"], text, options["overwrite"])
        _say(f"{file} -> {options['html']} {size_text(len(text))}", options)
    elif options["serve"]:
        _serve(text, options)
    else:
        # browsers may read the file long after this command has ended
        folder = Path(tempfile.mkdtemp(prefix="nfcodec-view-"))
        path = folder / (stem_of(Path(file).name, (".nfld",)) + ".html" if file != STREAM else "field.html")
        path.write_bytes(text)
        _open(path.as_uri(), options)
    return 0


def _page(file: str, options: dict[str, Any]) -> str:
    import nfcodec

    from ..page import page

    data = sys.stdin.buffer.read() if file == STREAM else _bytes_of(file)
    signal = size = None
    if options["source"] is not None:
        signal = read_source(nfcodec.open(data), options["source"], options)
        size = Path(options["source"]).stat().st_size
    return page(data, "stdin" if file == STREAM else Path(file).name, signal, size)


def _bytes_of(file: str) -> bytes:
    from ..errors import UsageError

    path = Path(file)
    if not path.is_file():
        raise UsageError(f"viewing {file}: there is no such file; check the path")
    return path.read_bytes()


def _open(address: str, options: dict[str, Any]) -> None:
    if not options["no_open"] and webbrowser.open(address):
        _say(f"opened {address}", options)
    else:
        _say(f"open {address} in a browser", options)


def _serve(page: bytes, options: dict[str, Any]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.split("?")[0] == "/"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(page)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", options["port"]), Handler) as server:
        _open(f"http://127.0.0.1:{server.server_port}/", options)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # how this ends
            pass


def _say(text: str, options: dict[str, Any]) -> None:
    if not options["quiet"]:
        click.echo(text, err=True)
