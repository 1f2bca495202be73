"""The conformance suite: it is whole, the decoder here passes it, and its runner finds decoders that are wrong."""

import io
import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nfcodec.conformance import suite
from nfcodec.conformance.answer import answer, main

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "spec" / "conformance"
TESTS = list(suite.tests_in(FOLDER))
CALLERS_OWN = {"limit"}  # limits of the caller, not of a file


def judged(test):
    return suite.compare(test, json.loads(json.dumps(answer({**test.request, "file": str(test.file)}))))


@pytest.mark.parametrize("folder", [*suite.FOLDERS, "golden"])
def test_the_decoder_here_passes(folder):
    tests = [test for test in TESTS if test.name.startswith(folder)]
    assert len(tests) > 20
    assert [f"{test.name}: {problem}" for test in tests if (problem := judged(test))] == []


def test_every_code_of_the_specification_has_a_file():
    section = (ROOT / "spec" / "format.md").read_text("utf-8").split("## 12.")[1].split("## 13.")[0]
    rows = re.findall(r"^\| (`.*`) \|", section, re.M)
    codes = {code for row in rows for code in re.findall(r"`([\w-]+)`", row)}
    found = {test.answer["error"] for test in TESTS if test.name.startswith("invalid/")}
    assert len(codes) > 50 and found == codes - CALLERS_OWN


def test_files_are_small_and_all_have_tests():
    files = {path for folder in suite.FOLDERS for path in (FOLDER / folder).glob("*.nfld")}
    assert max(path.stat().st_size for path in files) <= 8192
    assert files == {test.file for test in TESTS if not test.name.startswith("golden/")}
    assert all("error" in t.answer for t in TESTS if t.name.startswith("invalid/") or t.name.startswith("truncated/") and not t.request)
    assert any("levels" in test.answer for test in TESTS if test.name.startswith("truncated/"))


def first(prefix, key):
    return next(test for test in TESTS if test.name.startswith(prefix) and key in test.answer)


def test_wrong_answers_are_found():
    test = first("valid/", "values")
    right = test.answer
    assert suite.compare(test, {**right, "other": 1}) is None
    peak = test.tolerance["peak"]

    def moved(by):
        return [[v + by for v in row] for row in right["values"]]

    assert suite.compare(test, {**right, "values": moved(0.9 * test.tolerance["rms"])}) is None
    assert "off by" in suite.compare(test, {**right, "values": moved(0.5 * peak)})  # all of them: too large a mean
    one = moved(0)
    one[0][0] += 1.1 * peak
    assert "off by" in suite.compare(test, {**right, "values": one})
    assert "rows" in suite.compare(test, {**right, "values": right["values"][:-1]})
    assert "off by inf" in suite.compare(test, {**right, "values": [[None] * len(row) for row in right["values"]]})
    assert suite.compare(test, {**right, "levels": right["levels"][:-1]}).startswith("levels")
    assert suite.compare(test, {**right, "meta": {"a": 1}}).startswith("meta")
    assert "got truncated, expected an answer" in suite.compare(test, {"error": "truncated"})
    assert "expected checksum" in suite.compare(first("invalid/checksum", "error"), {"error": "signature"})


WRONG = "import sys\nfor line in sys.stdin: print('{\"levels\": [], \"complete\": true}')"
SILENT = "raise SystemExit('out of order')"


@pytest.mark.parametrize("code, text", [(WRONG, "tests of"), (SILENT, "got no answer (out of order)")])
def test_the_runner_reports(code, text):
    command = f"{sys.executable} -c {json.dumps(code)}".replace("\\n", "\n")
    result = CliRunner().invoke(suite.main, ["--decoder", command, "--only", "invalid/resi"])
    assert result.exit_code == 1 and text in result.output


def test_the_runner_passes_a_right_decoder():
    command = f"{sys.executable} -m nfcodec.conformance.answer"
    result = CliRunner().invoke(suite.main, ["--decoder", command, "--only", "valid/one-cell"])
    assert result.exit_code == 0 and re.fullmatch(r"\d+ tests of 3 files: right\n", result.output), result.output


@pytest.mark.parametrize("arguments, text", [(["--decoder", "no-such-command"], "no-such-command"), (["--decoder", "x", "--suite", "/"], "--suite")])
def test_what_cannot_run_is_one_line(arguments, text):
    result = CliRunner().invoke(suite.main, arguments)
    assert result.exit_code == 2 and text in result.output and result.output.count("\n") == 1


def test_answers_come_a_line_each():
    requests = [{"file": str(TESTS[0].file)}, {"file": str(first("invalid/", "error").file)}]
    answers = io.StringIO()
    main(io.StringIO("\n\n".join(map(json.dumps, requests))), answers)
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert "levels" in found[0] and "error" in found[1]
