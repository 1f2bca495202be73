"""Runs the conformance suite against any decoder that answers requests: `nfld-conformance --decoder CMD`.

What requests and answers are, and what the folders hold, stands in spec/conformance/README.md.
"""

from __future__ import annotations

import json
import math
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..errors import NfldError, UsageError

__all__ = ["Test", "compare", "main", "run", "tests_in"]

SUITE = Path(__file__).parents[2] / "spec" / "conformance"
FOLDERS = ("valid", "invalid", "truncated", "forward")
PLACED = 1e-9  # what numbers of placements may differ by
RMS = 4  # goldens state the largest difference alone: the root mean square is a fourth of it
MAX_BYTES_A_MESSAGE = 200


@dataclass(frozen=True)
class Test:
    """One request with the answer that is right. name: folder/file; file: its path."""

    name: str
    file: Path
    request: dict[str, Any]
    answer: dict[str, Any]
    tolerance: dict[str, float] | None = None


def tests_in(suite: Path) -> Iterator[Test]:
    """All tests of a suite: its folders, and the goldens beside it. UsageError where there is none."""
    if not (suite / FOLDERS[0] / "test.json").exists():
        raise UsageError(
            f"reading the conformance suite: got no tests in {suite}, expected spec/conformance; give it by --suite"
        )
    for folder in FOLDERS:
        for row in json.loads((suite / folder / "test.json").read_text("utf-8")):
            file = suite / folder / row["file"]
            yield Test(f"{folder}/{file.stem}", file, row["request"], row["answer"], row.get("tolerance"))
    golden = suite.parent / "golden"
    for row in json.loads((golden / "scenes" / "scenes.json").read_text("utf-8")):
        file = golden / "scenes" / row["file"]
        yield Test(f"golden/{file.stem}", file, row["request"], row["answer"], row["tolerance"])
    for name, entry in json.loads((golden / "golden.json").read_text("utf-8")).items():
        yield from _golden(golden / f"{name}.nfld", entry)


def _golden(file: Path, entry: dict[str, Any]) -> Iterator[Test]:
    """A golden file as tests of the same kind."""
    same = {key: entry[key] for key in ("levels", "residual", "decoded") if key in entry} | {"complete": True}
    if entry["info"]["meta"]:
        same["meta"] = entry["info"]["meta"]
    tolerance = {"peak": entry["tolerance"], "rms": entry["tolerance"] / RMS}
    coords = entry["coords"]
    for request, values in (
        ({"coords": coords}, {"values": entry["values"]}),
        ({"coords": coords, "level": 0}, {"values": entry["values_level_0"]}),
        ({"shape": entry["half_shape"]}, {"lattice": entry["half_first"]}),
    ):
        yield Test(f"golden/{file.stem}", file, request, {**same, **values}, tolerance)


def compare(test: Test, found: dict[str, Any]) -> str | None:
    """What is wrong with an answer, or None."""
    if "error" in test.answer or "error" in found:
        got, wanted = found.get("error", "an answer"), test.answer.get("error", "an answer")
        return None if got == wanted else f"got {got}, expected {wanted}"
    for key, wanted in test.answer.items():
        if key in ("values", "lattice", "distances"):
            problem = _distance(found.get(key), wanted, test.tolerance or {})
        elif key == "worlds":
            problem = _distance(found.get(key), wanted, {"peak": PLACED, "rms": PLACED})
        else:
            problem = None if found.get(key) == wanted else f"got {_short(found.get(key))}, expected {_short(wanted)}"
        if problem:
            return f"{key}: {problem}"
    return "meta: got some, expected none" if found.get("meta") and "meta" not in test.answer else None


def _distance(found: Any, wanted: list[list[float]], tolerance: dict[str, float]) -> str | None:
    """Of rows of values; there may be more rows than are known."""
    if not isinstance(found, list) or len(found) < len(wanted):
        return f"got {_short(found)}, expected {len(wanted)} rows"
    pairs = [pair for row, right in zip(found, wanted) for pair in zip(row, right, strict=True)]
    differences = [math.inf if a is None else abs(a - b) for a, b in pairs]
    peak, rms = max(differences), math.sqrt(sum(d * d for d in differences) / len(differences))
    if peak <= tolerance["peak"] and rms <= tolerance["rms"]:
        return None
    return f"off by {peak:.3g}, rms {rms:.3g}, expected {tolerance['peak']:.3g}, rms {tolerance['rms']:.3g}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_BYTES_A_MESSAGE else f"{text[:MAX_BYTES_A_MESSAGE]} .."


def run(command: list[str], tests: list[Test]) -> Iterator[tuple[Test, str | None]]:
    """Each test with what is wrong, from one run of a decoder. UsageError where it cannot be run or stops answering."""
    requests = "".join(json.dumps({**test.request, "file": str(test.file.resolve())}) + "\n" for test in tests)
    try:
        done = subprocess.run(command, input=requests, capture_output=True, text=True, encoding="utf-8", check=False)
    except OSError as error:
        raise UsageError(f"running {command[0]}: {error.strerror}; give a decoder's command by --decoder") from error
    answers = done.stdout.splitlines()
    for test, line in zip(tests, answers):
        yield test, _judge(test, line)
    if len(answers) < len(tests):
        last = (done.stderr.strip().splitlines() or ["nothing on standard error"])[-1]
        yield tests[len(answers)], f"got no answer ({last}); {len(tests) - len(answers)} tests were not run"


def _judge(test: Test, line: str) -> str | None:
    try:
        found = json.loads(line)
        return compare(test, found) if isinstance(found, dict) else f"got {line[:80]}, expected an object"
    except ValueError as error:
        return f"got an answer that does not fit ({error}): {line[:80]}"


@click.command(name="nfld-conformance")
@click.option("--decoder", required=True, metavar="CMD", help="A command that answers requests, one a line.")
@click.option("--suite", default=SUITE, type=click.Path(path_type=Path), help="The folder spec/conformance.")
@click.option("--only", default="", metavar="TEXT", help="Tests whose name holds this, such as invalid/ or mitchell.")
def main(decoder: str, suite: Path, only: str) -> None:
    """Tests a decoder of .nfld files against the conformance suite; exit code 1 where it is wrong.

    \b
    nfld-conformance --decoder "python -m nfcodec.conformance.answer"
    nfld-conformance --decoder "node nfcodec/view/nfld-decode.mjs"
    """
    try:
        tests = [test for test in tests_in(suite) if only in test.name]
        n_wrong = 0
        for test, problem in run(shlex.split(decoder), tests):
            if problem:
                n_wrong += 1
                click.echo(f"{test.name}: {problem}")
    except NfldError as error:
        click.echo(f"nfld-conformance: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    n_files = len({test.file for test in tests})
    click.echo(
        f"{len(tests)} tests of {n_files} files: {n_wrong} wrong"
        if n_wrong
        else f"{len(tests)} tests of {n_files} files: right"
    )
    raise SystemExit(bool(n_wrong))
