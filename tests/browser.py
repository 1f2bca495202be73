"""Chromium for tests of pages: headless, drawing in software, driven by playwright-core in Node.

Node finds playwright-core from the folder that NFCODEC_PLAYWRIGHT names (`npm install playwright-core` there), or from this one.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("NFCODEC_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
NODE = shutil.which("node")
MODULES = os.environ.get("NFCODEC_PLAYWRIGHT", str(HERE))


def missing() -> str | None:
    """Why there is no browser, or None."""
    if NODE is None or CHROMIUM is None:
        return "needs node and chromium"
    code = "require('node:module').createRequire(process.argv[1] + '/x').resolve('playwright-core')"
    found = subprocess.run([NODE, "-e", code, "--", MODULES], capture_output=True)
    return None if found.returncode == 0 else "needs playwright-core, where NFCODEC_PLAYWRIGHT says"


def browse(page: Path, steps: list[dict], query: str = "", dark: bool = False, size=(640, 480)) -> list:
    """Opens a page and does the steps one after the other: {"wait": true} until it is drawn, {"run": code} for a value of the page's,
    {"key": name}, {"shot": path}, {"mouse": [["move", x, y], ["down"], ["wheel", dx, dy] ..]}, {"touch": [["touchStart", [x, y], ..] ..]}. Returns the values of the runs; fails where the page asked the network for anything."""
    job = {"page": page.as_uri() + query, "steps": steps, "dark": dark, "size": size, "chromium": CHROMIUM, "modules": MODULES}
    done = subprocess.run(
        [NODE, str(HERE / "browser.mjs")], input=json.dumps(job), capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["requests"] == [] and told["errors"] == [], told
    return told["values"]


needs_browser = pytest.mark.skipif((_why := missing()) is not None, reason=_why or "")
