"""The file and the console, and the choice among exporters."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clew_agent import __version__
from clew_agent.export.base import Result, Sent
from clew_agent.export.choose import make_exporter
from clew_agent.export.settings import SettingsError
from clew_agent.export.text import ConsoleSink, FileSink
from clew_agent.model import SpanKind

from tests.unit import made_spans

SPAN = made_spans.make_span(
    trace_id=bytes(range(16)),
    span_id=b"\xaa" * 8,
    parent_id=None,
    name="server:a->NONE",
    kind=SpanKind.SERVER,
    start_ns=1_700_000_000_000_000_000,
    end_ns=1_700_000_000_001_500_000,
    trace_flags=1,
    attributes={"http.response.status_code": 200, "ok": True, "half": 0.5, "list": ("x", "y")},
    resource={"k8s.pod.name": "a-1"},
)


def test_a_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    sink = FileSink(path)
    assert sink.send([SPAN]) == Sent(Result.SENT)
    sink.send([SPAN])
    lines = path.read_text().splitlines()
    assert lines[0] == lines[1]
    assert json.loads(lines[0]) == {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "k8s.pod.name", "value": {"stringValue": "a-1"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "clew", "version": __version__},
                        "spans": [
                            {
                                "traceId": "000102030405060708090a0b0c0d0e0f",
                                "spanId": "aaaaaaaaaaaaaaaa",
                                "parentSpanId": "",
                                "flags": 0x101,
                                "name": "server:a->NONE",
                                "kind": 2,
                                "startTimeUnixNano": "1700000000000000000",
                                "endTimeUnixNano": "1700000000001500000",
                                "attributes": [
                                    {"key": "http.response.status_code", "value": {"intValue": "200"}},
                                    {"key": "ok", "value": {"boolValue": True}},
                                    {"key": "half", "value": {"doubleValue": 0.5}},
                                    {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"stringValue": "y"}]}}},
                                ],
                                "status": {},
                            }
                        ],
                    }
                ],
            }
        ]
    }


def test_a_file_that_cannot_be_written_now_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    sink = FileSink(folder / "spans.jsonl")
    (folder / "spans.jsonl").unlink()
    folder.rmdir()
    assert sink.send([SPAN]) == Sent(Result.RETRY, f"{folder}/spans.jsonl: No such file or directory")


def test_the_console() -> None:
    out = io.StringIO()
    ConsoleSink(out).send([SPAN])
    assert out.getvalue() == "000102030405060708090a0b0c0d0e0f aaaaaaaaaaaaaaaa ---------------- server:a->NONE 1.500ms pod=a-1\n"


def test_the_console_prints_no_control_characters() -> None:
    out = io.StringIO()
    hostile = made_spans.make_span(SPAN.trace_id, SPAN.span_id, b"\1" * 8, "a\x1b[2J\nb", SpanKind.CLIENT, 0, 0, 1, {}, {}, "")
    ConsoleSink(out).send([hostile])
    assert out.getvalue() == "000102030405060708090a0b0c0d0e0f aaaaaaaaaaaaaaaa 0101010101010101 a?[2J?b 0.000ms pod=unknown ERROR\n"


def test_a_console_that_nobody_reads() -> None:
    read, write = os.pipe()
    os.close(read)
    out = os.fdopen(write, "w")
    assert ConsoleSink(out).send([SPAN]) == Sent(Result.REFUSED, "console: Broken pipe")
    with pytest.raises(BrokenPipeError):
        out.close()


def test_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exporter = make_exporter(f"file:{tmp_path}/s.jsonl", {})
    exporter.export([SPAN])
    exporter.shutdown(5)
    assert (tmp_path / "s.jsonl").read_text().count("\n") == 1
    exporter = make_exporter("console", {})
    exporter.export([SPAN])
    exporter.shutdown(5)
    assert capsys.readouterr().out.count("server:a->NONE") == 1
    for choice, message in (
        ("jaeger", "unknown exporter 'jaeger'; allowed are otlp, console or file:PATH"),
        ("file:", "unknown exporter 'file:'; allowed are otlp, console or file:PATH"),
        (f"file:{tmp_path}/no/s.jsonl", f"cannot write spans to {tmp_path}/no/s.jsonl: No such file or directory"),
    ):
        with pytest.raises(SettingsError) as caught:
            make_exporter(choice, {})
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("choice", "protocol", "absent"),
    [("console", "", ["opentelemetry", "requests", "grpc"]), ("otlp", "http/protobuf", ["grpc"]), ("otlp", "grpc", [])],
)
def test_what_is_not_chosen_is_not_imported(choice: str, protocol: str, absent: list[str]) -> None:
    program = (
        "import sys, os; from clew_agent.export.choose import make_exporter; "
        f"make_exporter({choice!r}, os.environ).shutdown(1); "
        "print(*[name for name in ('opentelemetry', 'requests', 'grpc') if name not in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ([*absent] if protocol != "grpc" else ["requests"])
