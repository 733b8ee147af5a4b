"""The command as a user runs it: files, standard input, exit statuses and messages."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from clew_cli.main import main

TRACE, OTHER = "0a4d000365a8f1e0000007c1000004b0", "0b" * 16
ROOT = Path(__file__).parents[2]


def line(trace: str, span: str = "01" * 8) -> str:
    spans = [{"traceId": trace, "spanId": span, "name": "GET", "kind": 2, "startTimeUnixNano": "1", "endTimeUnixNano": "1000001"}]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}) + "\n"


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    file = tmp_path / "traces.jsonl"
    file.write_text(line(TRACE) + line(OTHER))
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_decode(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "decode", "--json", TRACE, "nonsense", "0003000400000007")
    assert status == 2
    assert [json.loads(one)["kind"] for one in out.splitlines()] == ["trace", "span"]
    assert err == 'clew decode: "nonsense" is no identifier: only hexadecimal digits are allowed\n'


def test_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good, bad = ROOT / "examples" / "bookinfo.yaml", tmp_path / "bad.yaml"
    bad.write_text("kind: 1")
    assert run(capsys, "check", str(good)) == (0, f"{good}: bookinfo is valid\n", "")
    status, out, err = run(capsys, "check", str(bad), str(good))
    assert (status, out) == (1, f"{good}: bookinfo is valid\n")
    assert err.splitlines()[1] == f'{bad}: kind: 1 is not allowed: "TracingPolicy"'


def test_waterfall_of_a_file(capsys: pytest.CaptureFixture[str], traces: Path) -> None:
    status, out, err = run(capsys, "waterfall", str(traces), "--width", "100")
    assert (status, err) == (0, "")
    assert [one.split(" · ")[0] for one in out.splitlines() if one.startswith("Trace")] == [f"Trace {TRACE}", f"Trace {OTHER}"]


@pytest.mark.parametrize("wanted", [TRACE, TRACE[:4], TRACE.upper()])
def test_waterfall_of_one_trace(capsys: pytest.CaptureFixture[str], traces: Path, wanted: str) -> None:
    status, out, _ = run(capsys, "waterfall", str(traces), "--trace", wanted)
    assert status == 0
    assert TRACE in out
    assert OTHER not in out


def test_waterfall_of_a_trace_that_is_not_there(capsys: pytest.CaptureFixture[str], traces: Path) -> None:
    message = f'clew waterfall: {traces}: holds no trace whose ID is or begins with "ffff" (at least 4 digits)\n'
    assert run(capsys, "waterfall", str(traces), "--trace", "ffff") == (2, "", message)


def test_waterfall_of_a_cut_file(capsys: pytest.CaptureFixture[str], traces: Path) -> None:
    traces.write_text(line(TRACE) + line(OTHER)[:25])
    status, out, err = run(capsys, "waterfall", str(traces))
    assert status == 1
    assert TRACE in out
    assert err == f"clew waterfall: {traces}: line 2: is no JSON: Unterminated string starting at at character 21\n"


def test_waterfall_as_a_page(capsys: pytest.CaptureFixture[str], traces: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    assert run(capsys, "waterfall", str(traces), "--html", str(page)) == (0, f"{page}: 2 traces\n", "")
    assert TRACE in page.read_text()
    nowhere = tmp_path / "none" / "out.html"
    message = f"clew waterfall: {nowhere}: cannot be written: No such file or directory\n"
    assert run(capsys, "waterfall", str(traces), "--html", str(nowhere)) == (2, "", message)


def test_waterfall_without_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert run(capsys, "waterfall", str(missing)) == (2, "", f"clew waterfall: {missing}: cannot be read: No such file or directory\n")
    missing.write_text("")
    assert run(capsys, "waterfall", str(missing)) == (2, "", f"clew waterfall: {missing}: holds no trace\n")


def test_waterfall_of_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(line(TRACE).encode())))
    status, out, _ = run(capsys, "waterfall", "-")
    assert status == 0
    assert TRACE in out


@pytest.mark.parametrize("width", ["79", "1001", "wide", "-5", "²"])
def test_widths_that_are_not_allowed(capsys: pytest.CaptureFixture[str], width: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["waterfall", "-", f"--width={width}"])
    assert f'"{width}" is not allowed: a whole number of columns from 80 to 1000' in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("".join(line(f"{number:032x}") for number in range(1, 500)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "crds"), str(ROOT / "cli")])}
    command = [sys.executable, "-m", "clew_cli.main", "waterfall", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"Trace")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
