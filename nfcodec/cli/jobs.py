"""From the inputs on the command line to pairs of input and output, all checked before the first one starts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from . import console

__all__ = ["STREAM", "Job", "plan", "run_all", "run_one", "stem_of"]

STREAM = "-"  # stdin as an input, stdout as an output


@dataclass(frozen=True)
class Job:
    """One input and what is to be written. output: None where it is named only when the input has been read: the
    file then goes into `folder` as `stem` and a suffix."""

    source: str
    output: str | None
    folder: Path
    stem: str

    @property
    def name(self) -> str:
        """For messages."""
        return "stdin" if self.source == STREAM else os.path.basename(self.source)


def plan(
    inputs: Iterable[str], output: str | None, out_dir: str | None, known: tuple[str, ...], suffix: str | None
) -> list[Job]:
    """The jobs of a command.

    inputs: files, folders (searched for `known` suffixes, hidden files aside; below out_dir their structure is kept),
    or "-". output: the one output's path, "-" for stdout. out_dir: where outputs go; without both, beside their
    inputs. suffix: of the outputs, or None if it will be known later.
    Raises UsageError: nothing to do, one output for several inputs, two inputs for one output, an output that is its input.
    """
    if output is not None and out_dir is not None:
        raise UsageError("naming the output: got both -o and --out-dir, expected one of them")
    found = [pair for given in inputs for pair in _expand(given, known)]
    if not found:
        raise UsageError("finding inputs: got none, expected one file or folder at least")
    if output is not None:
        if len(found) != 1:
            raise UsageError(f"naming the output: got one name ({output}) for {len(found)} inputs; use --out-dir")
        if output != STREAM and os.path.isdir(output):
            raise UsageError(f"naming the output: {output} is a folder; use --out-dir, or add a file name")
        _check_folder(output)
    jobs = []
    for source, relative in found:
        if source == STREAM and output is None:
            raise UsageError("naming the output: reading from stdin needs -o")
        target = Path(out_dir, relative) if out_dir is not None else Path(source)
        stem = stem_of(target.name, known)
        path = output if suffix is None or output is not None else str(target.with_name(stem + suffix))
        jobs.append(Job(source, path, target.parent, stem))
    _refuse_clashes(jobs)
    return jobs


def stem_of(name: str, known: tuple[str, ...]) -> str:
    """A file's name without its suffix: scan.nii.gz -> scan."""
    for suffix in sorted(known, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return _plain(name[: -len(suffix)])
    return _plain(Path(name).stem)


def _plain(stem: str) -> str:
    """The name of numbered images without what stands for the number: frame-%04d -> frame."""
    return re.sub(r"[-_. ]*(%0?\d*d|\*)", "", stem) or "frames" if "%" in stem or "*" in stem else stem


def _expand(given: str, known: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """(path, path below the folder that was given) of each file behind an argument."""
    if given == STREAM or not os.path.isdir(given):
        yield given, Path(os.path.basename(given))
        return
    n_found = 0
    for folder, folders, files in os.walk(given):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(known) and not name.startswith("."):
                n_found += 1
                yield os.path.join(folder, name), Path(os.path.relpath(folder, given), name)
    if not n_found:
        raise UsageError(
            f"searching the folder {given}: found no file that ends in {' '.join(known)}; name the files themselves"
        )


def _check_folder(output: str) -> None:
    """An hour of fitting should not end at a folder that is not there."""
    folder = os.path.dirname(output) or "."
    if output != STREAM and not os.path.isdir(folder):
        raise UsageError(f"naming the output: the folder {folder} of {output} does not exist; make it first")


def _refuse_clashes(jobs: list[Job]) -> None:
    taken: dict[str, str] = {}
    for job in jobs:
        if job.output == STREAM:
            continue
        target = job.output or str(job.folder / job.stem)
        place = os.path.realpath(target)
        if job.source != STREAM and place == os.path.realpath(job.source):
            raise UsageError(f"naming the output: {target} is the input itself; choose another name")
        if place in taken:
            raise UsageError(
                f"naming the outputs: {taken[place]} and {job.source} would both become {target}; "
                "rename one, or run them apart"
            )
        taken[place] = job.source


def run_all(jobs: list[Job], work: Callable[[Job], int], *, make_folders: bool, as_json: bool) -> int:
    """Does every job, whatever becomes of the others, and returns the worst exit code; Ctrl-C ends all."""
    worst = 0
    for job in jobs:
        try:
            if make_folders:
                job.folder.mkdir(parents=True, exist_ok=True)
            code = work(job)
        except Exception as error:
            code = console.report(error, job.name)
            if as_json:
                console.print_json({"input": job.source, "error": console.explain(error)[0], "exit_code": code})
        worst = max(worst, code)
    return worst


def run_one(source: str, work: Callable[[Job], int], as_json: bool) -> int:
    """`run_all` for a command that reads one file and writes none."""
    return run_all([Job(source, STREAM, Path(), "")], work, make_folders=False, as_json=as_json)
